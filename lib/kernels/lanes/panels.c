#include <lanes.h>
#include "kernels/inline.h"
#include "kernels/kernels.h"
#include "kernels/table.h"

/* Of TALL rows and two registers of columns all sums fit into registers. Rows of b are fetched
 * AHEAD of their use (docs/numerics.md). */
enum { TALL = LANES == 16 ? S24I_PANEL_ROWS : S24I_PANEL_ROWS / 2, SPAN = 2 * LANES, AHEAD = 8 };

/* acc of all k, from +0. */
INLINE void sum_tile(const s24i_panel_product *p, const float *a, const float *b, const int rows,
                     lane_values sum[TALL][2])
{
    UNROLL_16
    for (int i = 0; i < rows; ++i)
        sum[i][0] = sum[i][1] = lanes_zero();
    for (int64_t k = 0; k < p->k; ++k, a += p->rows, b += S24I_PANEL_COLS) {
        __builtin_prefetch(b + AHEAD * S24I_PANEL_COLS);
        __builtin_prefetch(b + AHEAD * S24I_PANEL_COLS + 16);
        lane_values first = lanes_load(b), second = lanes_load(b + LANES);
        UNROLL_16
        for (int i = 0; i < rows; ++i) {
            lane_values x = lanes_all(a[i]);
            sum[i][0] = lanes_fma(x, first, sum[i][0]);
            sum[i][1] = lanes_fma(x, second, sum[i][1]);
        }
    }
}

INLINE void put(const s24i_panel_product *p, float *c, lane_values sum)
{
    lane_values alpha = lanes_all(p->alpha);
    lanes_store(c, p->add ? lanes_fma(alpha, sum, lanes_load(c)) : lanes_mul(alpha, sum));
}

INLINE void tile(const s24i_panel_product *p, int64_t row, int64_t column, const int rows)
{
    lane_values sum[TALL][2];
    float *c = p->c + row * p->ldc + column;
    for (int i = 0; i < rows; ++i) {
        __builtin_prefetch(c + i * p->ldc);
        __builtin_prefetch(c + i * p->ldc + 16);
    }
    sum_tile(p, p->a + row, p->b + column, rows, sum);
    UNROLL_16
    for (int i = 0; i < rows; ++i, c += p->ldc) {
        put(p, c, sum[i][0]);
        put(p, c + LANES, sum[i][1]);
    }
}

/* A case a height, so that each has its sums in registers. */
#define ROWS(rows)                                         \
    case rows:                                             \
        if (rows <= TALL)                                  \
            tile(p, row, column, rows <= TALL ? rows : 1); \
        break;

static void some_rows(const s24i_panel_product *p, int64_t row, int64_t column, int64_t rows)
{
    switch (rows) {
        ROWS(1)
        ROWS(2)
        ROWS(3)
        ROWS(4)
        ROWS(5)
        ROWS(6)
        ROWS(7)
        ROWS(8)
        ROWS(9)
        ROWS(10)
        ROWS(11)
        ROWS(12)
    }
}
#undef ROWS

static void span(const s24i_panel_product *p, int64_t column)
{
    int64_t upper = p->rows > TALL ? (p->rows + 1) / 2 : p->rows;
    some_rows(p, 0, column, upper);
    some_rows(p, upper, column, p->rows - upper);
}

/* The columns from `column` on, fewer than SPAN: all of them beside C. */
static void last_columns(const s24i_panel_product *p, int64_t column)
{
    float sums[S24I_PANEL_ROWS * SPAN];
    s24i_panel_product all = {p->rows, SPAN, p->k, p->a, p->b + column, 1, false, sums, SPAN};
    span(&all, 0);
    for (int64_t i = 0; i < p->rows; ++i)
        for (int64_t j = column; j < p->cols; ++j) {
            float *c = p->c + i * p->ldc + j, s = sums[i * SPAN + j - column];
            *c = p->add ? __builtin_fmaf(p->alpha, s, *c) : p->alpha * s;
        }
}

void S24I_IN_SET(multiply_panel)(const s24i_panel_product *p)
{
    int64_t column = 0;
    for (; column + SPAN <= p->cols; column += SPAN)
        span(p, column);
    if (column < p->cols)
        last_columns(p, column);
}
