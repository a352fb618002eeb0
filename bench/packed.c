/* Speed of fast products with packed weights against what memory gives in the same run, one JSON
 * object a line or a table.
 *
 *     packed [ROWS COLS [MIB [SECONDS [ISA [LAYOUT ...]]]]]
 *
 * Weights are read from a pool of copies, so that no cache holds them. Segments of some MiB of
 * products and of plain reading take turns; the best of each is taken, in processor time of this
 * thread, for others on the machine take theirs. "of limit": bytes a second of weights to those of
 * the read loop. "x dense": the time of the dense layout of the same type by the own time, each to
 * its limit. */
#include "pack/pack.h"
#include "base/cpu.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { SEGMENT = 24 << 20, BATCHES = 5, MIB = 1 << 20 };
static const int64_t batches[BATCHES] = {1, 2, 4, 8, 16};

/* One line of the table. */
typedef struct entry {
    const char *name, *layout;
    int32_t dtype, activations;
    int32_t bits;      /* of codes, or 0 */
    int64_t group;     /* columns to a scale, 0: the row */
    const char *dense; /* the entry to compare with */
} entry;

static const entry entries[] = {
    {"dense f32", "ri16", S24_F32, 0, 0, 0, NULL},
    {"dense bf16", "ri16", S24_BF16, 0, 0, 0, NULL},
    {"dense f16", "ri16", S24_F16, 0, 0, 0, NULL},
    {"dense bf16 dot", "ri16", S24_BF16, S24_BF16, 0, 0, NULL},
    {"dense int8", "ri16-int8", S24_F32, 0, 8, 0, NULL},
    {"dense int4 g32", "ri16-int4", S24_F32, 0, 4, 32, NULL},
    {"dense int4 g64", "ri16-int4", S24_F32, 0, 4, 64, NULL},
    {"dense int4 g128", "ri16-int4", S24_F32, 0, 4, 128, NULL},
    {"dense int4 g128 zeros", "ri16-int4-zeros", S24_F32, 0, 4, 128, NULL},
    {"2:4 f32", "ri16x32", S24_F32, 0, 0, 0, "dense f32"},
    {"2:4 bf16", "ri16x32", S24_BF16, 0, 0, 0, "dense bf16"},
    {"2:4 f16", "ri16x32-f16", S24_F16, 0, 0, 0, "dense f16"},
    {"2:4 bf16 dot", "ri16x32", S24_BF16, S24_BF16, 0, 0, "dense bf16 dot"},
    {"2:4 int8", "ri16x32-int8", S24_F32, 0, 8, 0, "dense int8"},
    {"2:4 int8 g32", "ri16x32-int8", S24_F32, 0, 8, 32, NULL},
    {"2:4 int4 g32", "ri16x32-int4", S24_F32, 0, 4, 32, "dense int4 g32"},
    {"2:4 int4 g64", "ri16x32-int4", S24_F32, 0, 4, 64, "dense int4 g64"},
    {"2:4 int4 g128", "ri16x32-int4", S24_F32, 0, 4, 128, "dense int4 g128"},
    {"2:4 int4 g128 zeros", "ri16x32-int4-zeros", S24_F32, 0, 4, 128, "dense int4 g128 zeros"},
    {"2:4 int4 g128 p6", "ri16x32-int4-p6", S24_F32, 0, 4, 128, "dense int4 g128"},
};
enum { ENTRIES = sizeof entries / sizeof *entries };

typedef struct machine {
    s24i_memory memory;
    s24i_threads threads;
    s24i_kernels kernels;
    char *pool;
    size_t size;
    double seconds; /* to measure a number in */
    uint64_t read;  /* so that nothing is left out */
} machine;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- What is packed ---- */

/* 2:4 weights in every type, or codes of them; dense layouts take the same. */
typedef struct material {
    s24i_pack_source source;
    const entry *entry;
    int64_t rows, cols, groups;
    void *weights;
    uint8_t *codes, *zeros;
    uint16_t *scales;
} material;

static s24_mat plain(void *data, int64_t rows, int64_t cols, int32_t dtype)
{
    return (s24_mat){.data = data,
                     .rows = rows,
                     .cols = cols,
                     .row_stride = cols,
                     .col_stride = 1,
                     .dtype = dtype};
}

static s24_status matrix(const s24i_pack_source *source, const char *name, s24_mat *view)
{
    const material *m = (const material *)source;

    *view = plain(NULL, m->rows, m->cols, S24_U8);
    if (!strcmp(name, "weights"))
        *view = plain(m->weights, m->rows, m->cols, m->entry->dtype);
    if (!strcmp(name, "codes"))
        *view = plain(m->codes, m->rows, m->cols, S24_U8);
    if (!strcmp(name, "scales"))
        *view = plain(m->scales, m->rows, m->groups, S24_F16);
    if (!strcmp(name, "zeros"))
        *view = plain(m->zeros, m->rows, m->groups, S24_U8);
    return S24_OK;
}

static s24_status grid(const s24i_pack_source *source, int32_t *bits, bool *real, int64_t *group)
{
    const material *m = (const material *)source;

    *bits = m->entry->bits;
    *real = false;
    *group = m->entry->group ? m->entry->group : m->cols;
    return S24_OK;
}

static void *array(size_t size)
{
    void *values = aligned_alloc(64, (size + 63) / 64 * 64);
    if (!values)
        exit(1);
    memset(values, 0, size);
    return values;
}

static void put_weight(material *m, int64_t i, float value)
{
    if (m->entry->dtype == S24_F32)
        ((float *)m->weights)[i] = value;
    else
        ((uint16_t *)m->weights)[i] =
            m->entry->dtype == S24_F16 ? s24i_f32_to_f16(value) : s24i_f32_to_bf16(value);
}

static material make_material(const entry *e, int64_t rows, int64_t cols)
{
    static const uint8_t pairs[6][2] = {{0, 1}, {0, 2}, {1, 2}, {0, 3}, {1, 3}, {2, 3}};
    material m = {{matrix, grid}, e, rows, cols, 0, NULL, NULL, NULL, NULL};
    uint64_t state = 1;

    m.groups = e->group ? (cols + e->group - 1) / e->group : 1;
    m.weights = array((size_t)(rows * cols) * 4);
    m.codes = array((size_t)(rows * cols));
    m.zeros = array((size_t)(rows * m.groups));
    m.scales = array((size_t)(rows * m.groups) * 2);
    int middle = e->bits ? 1 << (e->bits - 1) : 0;
    memset(m.codes, middle, (size_t)(rows * cols));
    memset(m.zeros, middle, (size_t)(rows * m.groups));
    for (int64_t i = 0; i < rows * m.groups; i++)
        m.scales[i] = (uint16_t)(0x1c00 + i % 512);
    for (int64_t i = 0; i < rows * cols; i += 4)
        for (int k = 0; k < 2; k++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            int64_t at = i + pairs[(state >> 40) % 6][k];
            put_weight(&m, at, ((float)(state >> 50) - 8192) * 1e-5f);
            m.codes[at] = (uint8_t)((state >> 30) % (uint64_t)(e->bits ? 2 * middle : 1));
        }
    return m;
}

static void free_material(material *m)
{
    free(m->weights);
    free(m->codes);
    free(m->zeros);
    free(m->scales);
}

/* ---- Reading ---- */

typedef uint64_t eight __attribute__((vector_size(64), aligned(1)));

#if defined __x86_64__
#define BEST_WIDTH __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define BEST_WIDTH
#endif

/* As fast as this thread can: with and without asking ahead. */
BEST_WIDTH static uint64_t read_all(const char *from, size_t size, size_t ahead)
{
    eight a = {0}, b = {0}, c = {0}, d = {0};

    for (size_t i = 0; i + 256 <= size; i += 256) {
        const char *at = from + i;
        if (ahead)
            for (int line = 0; line < 4; line++)
                __builtin_prefetch(at + ahead + 64 * line, 0, 3);
        a ^= *(const eight *)at;
        b ^= *(const eight *)(at + 64);
        c ^= *(const eight *)(at + 128);
        d ^= *(const eight *)(at + 192);
    }
    a ^= b ^ c ^ d;
    return a[0] ^ a[1] ^ a[2] ^ a[3] ^ a[4] ^ a[5] ^ a[6] ^ a[7];
}

/* ---- Measuring ---- */

typedef struct result {
    double bytes, ms[BATCHES], limit[BATCHES]; /* of a product; of limit, and the limit in GB/s */
    double share[BATCHES];
} result;

typedef struct bench {
    machine *machine;
    s24i_packing packing;
    s24i_product product;
    void *scratch;
    s24_mat x, y;
    size_t each;
    int64_t copies, at; /* in the pool; the next */
} bench;

/* Products with the next copies, about a segment; their time each. */
static double time_products(bench *b)
{
    int64_t count = SEGMENT / (int64_t)b->each + 1;
    s24i_pack_tools tools = {&b->machine->memory, &b->machine->threads, &b->machine->kernels};
    double start = seconds();

    for (int64_t i = 0; i < count; i++, b->at = (b->at + 1) % b->copies) {
        b->packing.part[0].data = b->machine->pool + (size_t)b->at * b->each;
        if (s24i_product_run(&b->product, &tools, &b->x, &b->y, b->scratch))
            exit(1);
    }
    return (seconds() - start) / (double)count;
}

/* Bytes a second of plain reading half a pool away. */
static double time_reading(bench *b, int turn)
{
    static const size_t ahead[] = {0, 1024, 4096};
    machine *m = b->machine;
    size_t offset = ((size_t)b->at * b->each + m->size / 2) %
                    (m->size > 2 * SEGMENT ? m->size - SEGMENT : 1) / 64 * 64;
    double start = seconds();

    m->read += read_all(m->pool + offset, m->size < SEGMENT ? m->size : SEGMENT, ahead[turn % 3]);
    return SEGMENT / (seconds() - start);
}

static void measure_batch(bench *b, int which, result *r)
{
    double best = INFINITY, limit = 0, start = seconds();

    for (int turn = 0; turn < 6 || seconds() - start < b->machine->seconds; turn++) {
        best = fmin(best, time_products(b));
        limit = fmax(limit, time_reading(b, turn));
    }
    r->ms[which] = best * 1e3;
    r->limit[which] = limit * 1e-9;
    r->share[which] = (double)b->packing.part[0].size / best / limit;
}

static result measure(machine *m, const entry *e, int64_t rows, int64_t cols)
{
    material from = make_material(e, rows, cols);
    bench b = {.machine = m, .packing = {.rows = rows, .cols = cols, .dtype = e->dtype}};
    s24i_pack_tools tools = {&m->memory, &m->threads, &m->kernels};
    float *x = array((size_t)cols * 16 * 4), *y = array((size_t)rows * 16 * 4);
    result r = {0};

    if (s24i_layout_find(e->layout, &b.packing.layout) ||
        s24i_packing_make(&tools, &b.packing, &from.source))
        exit(1);
    s24i_packing owned = b.packing;
    b.each = (owned.part[0].size + 63) / 64 * 64;
    b.copies = (int64_t)(m->size / b.each);
    r.bytes = (double)owned.part[0].size / (double)(rows * cols);
    for (int64_t i = 0; i < b.copies; i++)
        memcpy(m->pool + (size_t)i * b.each, owned.part[0].data, owned.part[0].size);
    for (int64_t i = 0; i < cols * 16; i++)
        x[i] = (float)((i * 7919) % 2001 - 1000) * 1e-3f;
    for (int i = 0; i < BATCHES; i++) {
        if (s24i_product_plan(&b.packing, true, e->activations, batches[i], 1, &b.product))
            exit(1);
        if (getenv("AHEAD")) /* bytes, to find the best */
            b.product.prefetch = atoll(getenv("AHEAD"));
        b.scratch = array(b.product.scratch);
        b.x = plain(x, batches[i], cols, S24_F32);
        b.y = plain(y, batches[i], rows, S24_F32);
        measure_batch(&b, i, &r);
        free(b.scratch);
    }
    s24i_packing_free(&m->memory, &owned);
    free_material(&from);
    free(x);
    free(y);
    return r;
}

static void print(const entry *e, const result *r, const result *dense)
{
    printf("%-22s %6.3f", e->name, r->bytes);
    for (int i = 0; i < BATCHES; i++)
        printf(" %8.4f %4.2f", r->ms[i], r->share[i]);
    printf("  %4.2f", r->ms[3] / r->ms[0]);
    for (int i = 0; i < BATCHES && dense; i += i ? 1 : 3)
        printf(" %5.2f", dense->ms[i] * dense->limit[i] / (r->ms[i] * r->limit[i]));
    printf("\n");
    fflush(stdout);
}

static int is_wanted(const entry *e, int argc, char **argv)
{
    for (int i = 6; i < argc; i++)
        if (!strncmp(argv[i], e->name, strlen(argv[i])) || strstr(e->name, argv[i]))
            return 1;
    return argc <= 6;
}

int main(int argc, char **argv)
{
    int64_t rows = argc > 1 ? atoll(argv[1]) : 4096, cols = argc > 2 ? atoll(argv[2]) : 4096;
    machine m = {.size = (size_t)(argc > 3 ? atoll(argv[3]) : 512) * MIB};
    static result results[ENTRIES];

    m.seconds = argc > 4 ? atof(argv[4]) : 1;
    s24i_memory_init(&m.memory, NULL, NULL, NULL);
    m.threads = (s24i_threads){.memory = &m.memory, .count = 1};
    if (s24i_kernels_dispatch(&m.kernels, argc > 5 ? argv[5] : "auto") != 1)
        return 1;
    m.pool = mmap(NULL, m.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m.pool == MAP_FAILED)
        return 1;
    madvise(m.pool, m.size, MADV_HUGEPAGE);
    memset(m.pool, 1, m.size);
    printf("# %lld x %lld, pool of %zu MiB, kernels %s, one thread\n", (long long)rows,
           (long long)cols, m.size / MIB, m.kernels.isa);
    printf("# ms and share of the read limit for batch 1, 2, 4, 8, 16; batch 8 to 1; x dense of "
           "batch 1, 8, 16\n");
    for (int i = 0; i < ENTRIES; i++) {
        const result *dense = NULL;
        if (!is_wanted(&entries[i], argc, argv))
            continue;
        results[i] = measure(&m, &entries[i], rows, cols);
        for (int k = 0; k < i && entries[i].dense; k++)
            if (!strcmp(entries[k].name, entries[i].dense) && results[k].bytes > 0)
                dense = &results[k];
        print(&entries[i], &results[i], dense);
    }
    return m.read == 1;
}
