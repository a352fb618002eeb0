/* What a packed model would weigh and how fast its matrices would be, by a short measurement: sparse24 info --speed. */
#include "speed.h"
#include "message.h"
#include "weights.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLE_ROWS = 64, COLS = 4096, GROUPS = COLS / 64, MOST_POOL = 128 << 20, BATCHES = 3 };
static const int64_t batches[BATCHES] = {1, 8, 16};

/* The first is what the others are compared with. */
static const struct kind {
    const char *name, *layout, *grid;
    int32_t dtype, activations;
} kinds[] = {
    {"dense bf16", "ri16:bf16", NULL, S24_BF16, 0},
    {"2:4 bf16", "ri16x32:bf16", NULL, S24_BF16, 0},
    {"dense int8", "ri16-int8", "int8 sym g64", S24_F32, 0},
    {"2:4 int8", "ri16x32-int8", "int8 sym g64", S24_F32, 0},
    {"dense int4 g64", "ri16-int4", "int4 sym g64", S24_F32, 0},
    {"2:4 int4 g64", "ri16x32-int4", "int4 sym g64", S24_F32, 0},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* ---- A matrix of this kind ---- */

static s24_mat plain(void *data, int64_t rows, int64_t cols, int32_t dtype)
{
    s24_mat mat = {0};
    s24_mat_rowmajor(&mat, data, rows, cols, dtype);
    return mat;
}

/* Two of four, at places that go round; dense layouts take it as well. */
static bool pack_sample(s24_ctx *ctx, const struct kind *kind, s24_packed **out)
{
    static float values[SAMPLE_ROWS * COLS];
    static uint8_t codes[SAMPLE_ROWS * COLS], zeros[SAMPLE_ROWS * GROUPS];
    static uint16_t scales[SAMPLE_ROWS * GROUPS];
    int middle = kind->grid && strstr(kind->grid, "int8") ? 128 : 8;
    for (int i = 0; i < SAMPLE_ROWS * COLS; i++) {
        bool kept = i % 4 == i / 4 % 4 || i % 4 == (i / 4 + 1 + i / 16 % 3) % 4;
        values[i] = kept ? (float)(i % 63 - 31) / 64 : 0;
        codes[i] = (uint8_t)(kept ? i % 15 + middle - 7 : middle);
    }
    memset(zeros, middle, sizeof zeros);
    for (int i = 0; i < SAMPLE_ROWS * GROUPS; i++)
        scales[i] = 0x2400; /* 1 / 64 */
    s24_mat w = plain(values, SAMPLE_ROWS, COLS, S24_F32);
    s24_mat code = plain(codes, SAMPLE_ROWS, COLS, S24_U8);
    s24_mat scale = plain(scales, SAMPLE_ROWS, GROUPS, S24_F16);
    s24_mat zero = plain(zeros, SAMPLE_ROWS, GROUPS, S24_U8);
    s24_status status =
        kind->grid ? s24_pack_codes(ctx, kind->grid, &code, &scale, &zero, kind->layout, out)
                   : s24_pack(ctx, &w, NULL, kind->layout, out);
    return status == S24_OK || fail_library("%s", kind->name);
}

/* Rows are blocks one after another in these layouts: the sample, so many times over. */
static bool pack_tall(s24_ctx *ctx, const struct kind *kind, int64_t copies, char *room,
                      size_t size, s24_packed **out)
{
    char layout[32];
    const void *data = room;
    size_t all = size * (size_t)copies;
    snprintf(layout, sizeof layout, "%.*s", (int)strcspn(kind->layout, ":"), kind->layout);
    return s24_packed_wrap(ctx, layout, copies * SAMPLE_ROWS, COLS, kind->dtype, &data, &all, 1,
                           out) == S24_OK ||
           fail_library("%s", kind->name);
}

/* ---- Its speed ---- */

/* Seconds of the fastest product of a few, or less than 0. */
static double best_seconds(const s24_packed *packed, const struct kind *kind, int64_t rows,
                           int64_t tokens)
{
    s24_product *product = NULL;
    float *x = must(calloc((size_t)tokens * COLS, sizeof *x));
    float *y = must(calloc((size_t)(tokens * rows), sizeof *y));
    s24_mat in = plain(x, tokens, COLS, S24_F32), out = plain(y, tokens, rows, S24_F32);
    double best = -1, start = s24_seconds();
    for (int64_t i = 0; i < tokens * COLS; i++)
        x[i] = (float)(i % 201 - 100) / 100;
    s24_status status =
        s24_packed_prepare(packed, S24_FAST, kind->activations, tokens, NULL, &product);
    for (int turn = 0; !status && (turn < 4 || s24_seconds() - start < 0.3); turn++) {
        double before = s24_seconds();
        status = s24_product_run(product, &in, &out);
        double took = s24_seconds() - before;
        best = best < 0 || took < best ? took : best;
    }
    s24_product_destroy(product);
    free(x);
    free(y);
    return status == S24_OK || fail_library("%s", kind->name) ? best : -1;
}

/* MiB of `total` weights, and seconds for them with each batch. */
static bool measure(s24_ctx *ctx, const struct kind *kind, double total, double *mib, double *took)
{
    s24_packed *sample = NULL, *tall = NULL;
    const char *name;
    const void *data;
    size_t size = 0;
    if (!pack_sample(ctx, kind, &sample))
        return false;
    s24_packed_part(sample, 0, &name, &data, &size);
    double bytes = (double)size / (SAMPLE_ROWS * COLS) * total;
    int64_t copies = (int64_t)((bytes < MOST_POOL ? bytes : MOST_POOL) / (double)size) + 1;
    char *room = must(malloc(size * (size_t)copies));
    for (int64_t i = 0; i < copies; i++)
        memcpy(room + size * (size_t)i, data, size);
    bool done = pack_tall(ctx, kind, copies, room, size, &tall);
    for (int b = 0; done && b < BATCHES; b++) {
        double seconds = best_seconds(tall, kind, copies * SAMPLE_ROWS, batches[b]);
        took[b] = seconds * total / ((double)copies * SAMPLE_ROWS * COLS);
        done = seconds >= 0;
    }
    *mib = bytes / (1 << 20);
    s24_packed_destroy(tall);
    s24_packed_destroy(sample);
    free(room);
    return done;
}

/* ---- The model's ---- */

static double weights_in(const s24_file *file, int64_t *matrices)
{
    survey s = weights_survey(file);
    double total = 0;
    for (int64_t i = 0; i < s24_file_count(file); i++) {
        const char *name = s24_file_name(file, i), *type;
        weights w = weights_of(file, &s, name);
        int64_t shape[8];
        int32_t rank;
        if (w.kind != WEIGHTS || s24_file_info(file, name, shape, &rank, &type))
            continue;
        double count = 1;
        for (int32_t k = 0; k < rank; k++)
            count *= (double)shape[k];
        total += count;
        *matrices += w.count;
    }
    return total;
}

bool print_speed(s24_ctx *ctx, const s24_file *file)
{
    int64_t matrices = 0;
    double total = weights_in(file, &matrices), mib, took[BATCHES], dense[BATCHES] = {0};
    if (!matrices)
        return fail("info: no weights of linear layers that could be packed");
    say("%lld matrices of linear layers, %.1f million weights, as products with the kernels of "
        "this processor",
        (long long)matrices, total / 1e6);
    say("%-16s %-14s %10s  %26s  %s", "packed", "layout", "MiB", "ms for 1, 8, 16 tokens",
        "x dense bf16");
    for (int k = 0; k < KINDS; k++) {
        if (!measure(ctx, &kinds[k], total, &mib, took))
            return false;
        if (k == 0)
            memcpy(dense, took, sizeof dense);
        say("%-16s %-14s %10.2f  %8.2f %8.2f %8.2f  %.2f %.2f %.2f", kinds[k].name, kinds[k].layout,
            mib, took[0] * 1e3, took[1] * 1e3, took[2] * 1e3, dense[0] / took[0],
            dense[1] / took[1], dense[2] / took[2]);
    }
    say("Each from a pool of at most %d MiB in turn, the fastest of some runs; attention, "
        "embeddings and head come on top.",
        MOST_POOL >> 20);
    return true;
}
