/* lib/kernels/lanes/dots.c, excess.c: few rows times many, on every instruction set. */
#include "dots.h"
#include "trial.h"
#include <string.h>

enum { LONGEST = 1 << 11 };
static float x[LONGEST], y[LONGEST], z[LONGEST];

static void run_dot_rows(const s24i_kernels *table, trial *t)
{
    table->dot_rows(t->at[0], t->number[0], t->at[1], t->number[1], t->n, t->at[2], t->number[1]);
}

static void run_excess_rows(const s24i_kernels *table, trial *t)
{
    table->excess_rows(t->at[0], t->number[0], t->at[1], t->number[1], t->n, t->at[2],
                       t->number[1]);
}

/* All remainders of every block, and of the length. */
static void check_rows(const char *name, void (*run)(const s24i_kernels *, trial *),
                       const s24i_kernels *fast)
{
    static const int64_t lengths[] = {0, 1, 15, 16, 17, 47, 64, 100};
    for (number_kind kind = 0; kind < WATCHED_KINDS; ++kind) {
        fill_floats(x, LONGEST, kind, 1e15f, 20);
        fill_floats(y, LONGEST, kind, 1e15f, 21);
        for (int64_t rows = 1; rows <= 9; ++rows)
            for (int64_t cols = 1; cols <= 13; ++cols)
                for (int i = 0; i < 8; ++i) {
                    int64_t n = lengths[i];
                    trial t = {name, run, n, 0, 0};
                    memcpy(t.number, (int64_t[]){rows, cols}, 2 * sizeof(int64_t));
                    trial_argument(&t, GIVEN, x, (size_t)(rows * n) * sizeof(float));
                    trial_argument(&t, GIVEN, y, (size_t)(cols * n) * sizeof(float));
                    trial_argument(&t, WANTED, z, (size_t)(rows * cols) * sizeof(float));
                    trial_compare(&t, fast);
                }
    }
}

void check_dot_rows(const s24i_kernels *fast)
{
    check_rows("dot_rows", run_dot_rows, fast);
}

void check_excess_rows(const s24i_kernels *fast)
{
    check_rows("excess_rows", run_excess_rows, fast);
}
