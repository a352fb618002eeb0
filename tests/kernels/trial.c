/* One call of a kernel on arrays at the edge of a page: see trial.h. */
#include "trial.h"
#include <check.h>
#include <float.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    PAGE = 4096,
    ROOM = 1 << 20, /* largest array */
    MARGIN = 256,   /* bytes beside the array that are watched */
    WATCHED = 0xa5
};

/* ---- arrays beside forbidden pages ---- */

static unsigned char *region(int index)
{
    static unsigned char *regions[TRIAL_ARGUMENTS];
    if (!regions[index]) {
        unsigned char *map =
            mmap(NULL, ROOM + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ck_assert(map != MAP_FAILED);
        ck_assert_int_eq(mprotect(map + PAGE, ROOM, PROT_READ | PROT_WRITE), 0);
        regions[index] = map + PAGE;
    }
    return regions[index];
}

static void place(trial *t, int index, bool at_end)
{
    size_t size = t->argument[index].size;
    unsigned char *start = region(index), *at = at_end ? start + ROOM - size : start;
    if (size + MARGIN > ROOM)
        ck_abort_msg("%s: no room for %zu bytes", t->kernel, size);
    memset(at_end ? at - MARGIN : at + size, WATCHED, MARGIN);
    if (size)
        memcpy(at, t->argument[index].initial, size);
    t->at[index] = t->argument[index].initial ? at : NULL;
}

static void expect_untouched(const trial *t, int index, bool at_end, const char *isa)
{
    size_t size = t->argument[index].size;
    const unsigned char *at = t->at[index], *margin;
    if (!at)
        return;
    margin = at_end ? at - MARGIN : at + size;
    for (int i = 0; i < MARGIN; ++i)
        if (margin[i] != WATCHED)
            ck_abort_msg("%s (%s), n = %lld: writes beside argument %d", t->kernel, isa,
                         (long long)t->n, index);
    if (t->argument[index].role == GIVEN && memcmp(at, t->argument[index].initial, size))
        ck_abort_msg("%s (%s), n = %lld: changes argument %d", t->kernel, isa, (long long)t->n,
                     index);
}

/* ---- */

void trial_argument(trial *t, array_role role, const void *initial, size_t size)
{
    int index = t->arguments++;
    if (index >= TRIAL_ARGUMENTS)
        ck_abort_msg("%s: too many arguments", t->kernel);
    t->argument[index].role = role;
    t->argument[index].size = initial ? size : 0;
    t->argument[index].initial = initial;
}

static void run_guarded(trial *t, const s24i_kernels *table, bool at_end)
{
    for (int i = 0; i < t->arguments; ++i)
        place(t, i, at_end);
    t->run(table, t);
    for (int i = 0; i < t->arguments; ++i)
        expect_untouched(t, i, at_end, table->isa);
}

static void expect_equal(const trial *t, const s24i_kernels *fast, const char *what, const void *x,
                         const void *y, size_t size)
{
    const unsigned char *a = x, *b = y;
    size_t same = 0;
    while (same < size && a[same] == b[same])
        ++same;
    if (same < size)
        ck_abort_msg("%s (%s), n = %lld, %d:%d: %s differs from byte %zu of %zu on", t->kernel,
                     fast->isa, (long long)t->n, t->keep, t->m, what, same, size);
}

void trial_compare(trial *t, const s24i_kernels *fast)
{
    s24i_kernels ref;
    s24i_kernels_ref(&ref);
    for (int at_end = 0; at_end < 2; ++at_end) {
        void *wanted[TRIAL_ARGUMENTS];
        run_guarded(t, &ref, at_end);
        int64_t index = t->index;
        double sum = t->sum;
        for (int i = 0; i < t->arguments; ++i) {
            wanted[i] = malloc(t->argument[i].size + 1);
            if (t->at[i])
                memcpy(wanted[i], t->at[i], t->argument[i].size);
        }
        t->index = 0;
        t->sum = 0;
        run_guarded(t, fast, at_end);
        expect_equal(t, fast, "the index", &t->index, &index, sizeof index);
        expect_equal(t, fast, "the sum", &t->sum, &sum, sizeof sum);
        for (int i = 0; i < t->arguments; ++i) {
            if (t->argument[i].role == WANTED)
                expect_equal(t, fast, "an array", t->at[i], wanted[i], t->argument[i].size);
            free(wanted[i]);
        }
    }
}

/* ---- numbers ---- */

uint64_t random_bits(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15; /* splitmix64 */
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

double random_number(uint64_t *state)
{
    return ((double)(random_bits(state) >> 11) + 0.5) * 0x1p-52 - 1.0;
}

void fill_floats(float *x, int64_t n, number_kind kind, float largest, uint64_t seed)
{
    static const float few[] = {1.0f, -1.0f, 0.5f, 1.0f, -0.5f, 2.0f};
    static const float zeros[] = {0.0f, -0.0f, 0.0f, -0.0f, 1.0f, -1.0f};
    uint64_t state = seed * 16 + (uint64_t)kind;
    for (int64_t i = 0; i < n; ++i) {
        double number = random_number(&state);
        uint64_t pick = random_bits(&state) % 6;
        if (kind == RANDOM)
            x[i] = (float)number;
        else if (kind == TIES)
            x[i] = few[pick];
        else if (kind == ZEROS)
            x[i] = zeros[pick];
        else if (kind == DENORMAL)
            x[i] = (float)(number * (double)FLT_MIN * (pick == 0 ? 8 : pick == 1 ? 1e-6 : 1));
        else
            x[i] = pick == 0 ? (float)number : (float)(number * (double)largest);
    }
}

uint32_t low_half(int round, uint64_t *state)
{
    /* Halves of the last place of both formats, and of f16 denormals through the shift by the
     * exponent. */
    static const uint16_t some[] = {0x0000, 0x0001, 0x0fff, 0x1000, 0x1001, 0x1fff, 0x2000, 0x2fff,
                                    0x3000, 0x3001, 0x7fff, 0x8000, 0x8001, 0xbfff, 0xc000, 0xffff};
    return round < 16 ? some[round] : (uint32_t)(random_bits(state) & 0xffff);
}
