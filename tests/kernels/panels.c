/* lib/kernels/lanes/panels.c: a tile of a product, on every instruction set. */
#include "dots.h"
#include "trial.h"
#include <string.h>

enum { MOST_TERMS = 70, STRIDE = 40, A = S24I_PANEL_ROWS * MOST_TERMS };
static float a[A], b[S24I_PANEL_COLS * MOST_TERMS], c[S24I_PANEL_ROWS * STRIDE];
static const float factors[] = {1, -1, 0.75f};

static void run_multiply_panel(const s24i_kernels *table, trial *t)
{
    s24i_panel_product p = {.rows = t->number[0], .cols = t->number[1], .k = t->n};
    p.a = t->at[0];
    p.b = t->at[1];
    p.c = t->at[2];
    p.ldc = STRIDE;
    p.alpha = factors[t->number[2]];
    p.add = t->keep != 0;
    table->multiply_panel(&p);
}

/* All heights and widths of a tile, each with some lengths, once added and once not. */
static void check_shape(const s24i_kernels *fast, int64_t rows, int64_t cols)
{
    static const int64_t lengths[] = {0, 1, 2, 9, MOST_TERMS};
    for (int i = 0; i < 5; ++i) {
        int64_t n = lengths[i], size = (rows - 1) * STRIDE + cols;
        trial t = {"multiply_panel", run_multiply_panel, n, (int32_t)(rows + cols + i) % 2, 0};
        memcpy(t.number, (int64_t[]){rows, cols, (rows + 2 * cols + i) % 3}, 3 * sizeof(int64_t));
        trial_argument(&t, GIVEN, a, (size_t)(rows * n) * sizeof(float));
        trial_argument(&t, GIVEN, b, (size_t)(S24I_PANEL_COLS * n) * sizeof(float));
        trial_argument(&t, WANTED, c, (size_t)size * sizeof(float));
        trial_compare(&t, fast);
    }
}

void check_multiply_panel(const s24i_kernels *fast)
{
    for (number_kind kind = 0; kind < WATCHED_KINDS; ++kind) {
        fill_floats(a, A, kind, 1e15f, 30);
        fill_floats(b, S24I_PANEL_COLS * MOST_TERMS, kind, 1e15f, 31);
        fill_floats(c, S24I_PANEL_ROWS * STRIDE, kind, 1e30f, 32);
        for (int64_t rows = 1; rows <= S24I_PANEL_ROWS; ++rows)
            for (int64_t cols = 1; cols <= S24I_PANEL_COLS; ++cols)
                check_shape(fast, rows, cols);
    }
}
