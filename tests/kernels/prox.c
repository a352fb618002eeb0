/* lib/kernels/lanes/prox_*.c: the shrinking kernels against the reference. */
#include "prox.h"
#include "trial.h"
#include <float.h>
#include <math.h>

enum { LONGEST = 70 * S24I_MAX_GROUP };
static float single[LONGEST];
static double wide[LONGEST];

/* The numbers of a kind, and others that are near 1, where minima are many and close. */
static void fill(number_kind kind)
{
    fill_floats(single, LONGEST, kind, FLT_MAX, 21);
    for (int i = 0; i < LONGEST; ++i) {
        if (kind == RANDOM && i / 256 % 2)
            single[i] = copysignf(1 + single[i] / 10, single[i]);
        wide[i] = kind == DENORMAL ? (double)single[i] * 0x1p-890 : (double)single[i];
    }
}

/* Strengths of any size, as doubles and as what a float can hold. */
static const double strengths[] = {0, 1e-20, 0.3, 0.99, 1, 1.2, 2.5, 1e30, INFINITY};
enum { STRENGTHS = sizeof strengths / sizeof *strengths };

typedef void (*run_fn)(const s24i_kernels *table, trial *t);

/* Strength number[0]; number[1]: relative; number[2]: in place. Each size of a block and one more
 * or less, and all m; wide groups, which cost most, with some. */
static void compare_groups(const char *kernel, run_fn run, size_t size, trial shape,
                           const s24i_kernels *fast)
{
    static const int64_t groups[] = {0, 1, 7, 17, 3, 4, 5, 8, 9, 15, 16, 33, 64};
    size_t count = shape.m > 8 ? 4 : sizeof groups / sizeof *groups;
    for (size_t i = 0; i < count; ++i)
        for (int in_place = 0; in_place < 2; ++in_place) {
            trial t = shape;
            t.kernel = kernel;
            t.run = run;
            t.n = groups[i] * t.m;
            t.number[2] = in_place;
            const void *values = size == sizeof *wide ? (void *)wide : (void *)single;
            trial_argument(&t, in_place ? WANTED : GIVEN, values, (size_t)t.n * size);
            trial_argument(&t, WANTED, values, (size_t)t.n * size);
            trial_compare(&t, fast);
        }
}

static void compare_all(const char *kernel, run_fn run, size_t size, bool relative, bool keeps,
                        const s24i_kernels *fast)
{
    static const int32_t sizes[] = {1, 2, 3, 4, 5, 8, 19, 64};
    for (number_kind kind = 0; kind < WATCHED_KINDS; ++kind) {
        fill(kind);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i)
            for (int strength = 0; strength < (sizes[i] > 8 ? 4 : STRENGTHS); ++strength) {
                trial t = {.m = sizes[i], .keep = 1};
                t.number[0] = strength;
                for (t.number[1] = 0; t.number[1] <= relative; ++t.number[1])
                    for (t.keep = 1; t.keep <= (keeps ? t.m : 1); t.keep += 1 + t.m / 5)
                        compare_groups(kernel, run, size, t, fast);
            }
    }
}

#define PROX_CHECK(name, type, relative, keeps, call)                        \
    static void run_##name(const s24i_kernels *table, trial *t)              \
    {                                                                        \
        type strength = (type)strengths[t->number[0]];                       \
        type *z = t->at[0], *w = t->number[2] ? z : t->at[1];                \
        call;                                                                \
    }                                                                        \
    void check_##name(const s24i_kernels *fast)                              \
    {                                                                        \
        compare_all(#name, run_##name, sizeof(type), relative, keeps, fast); \
    }

PROX_CHECK(prox_2m_f32, float, true, false,
           table->prox_2m_f32(z, w, t->n, t->m, strength, (int32_t)t->number[1]))
PROX_CHECK(prox_2m_f64, double, true, false,
           table->prox_2m_f64(z, w, t->n, t->m, strength, (int32_t)t->number[1]))
PROX_CHECK(prox_1m_f32, float, false, false, table->prox_1m_f32(z, w, t->n, t->m, strength))
PROX_CHECK(prox_1m_f64, double, false, false, table->prox_1m_f64(z, w, t->n, t->m, strength))
PROX_CHECK(prox_firm_f32, float, false, true,
           table->prox_firm_f32(z, w, t->n, t->keep, t->m, fminf(strength, 1)))
PROX_CHECK(prox_firm_f64, double, false, true,
           table->prox_firm_f64(z, w, t->n, t->keep, t->m, fmin(strength, 1)))
