/* Dot products of few rows with many, some values of a pair at a time. Written in the vocabulary of
 * an instruction set's lanes.h, which comes first; knows no instruction set. */
#ifndef S24I_LANES_DOTS_H
#define S24I_LANES_DOTS_H
#include "kernels/kernels.h"
#include "kernels/lanes/sum.h"
#include <string.h>

/* A pair's 16 accumulators are in PARTS registers; of TALL x BROAD pairs at once all fit. */
enum { TALL = PARTS == 1 ? 4 : 2, BROAD = PARTS == 1 ? 6 : 3 };

typedef struct {
    const float *x, *y;
    int64_t n;
    float *out;
    int64_t ldo;
} dots;

/* 16 values of each row, from x and y on; rows lie `stride` apart. */
INLINE void add_products(const float *x, const float *y, int64_t stride, int tall, int broad,
                         lane_values sum[TALL][BROAD][PARTS])
{
    UNROLL
    for (int p = 0; p < PARTS; ++p) {
        lane_values a[TALL];
        UNROLL
        for (int i = 0; i < tall; ++i)
            a[i] = lanes_load(x + i * stride + p * LANES);
        UNROLL
        for (int j = 0; j < broad; ++j) {
            lane_values b = lanes_load(y + j * stride + p * LANES);
            UNROLL
            for (int i = 0; i < tall; ++i)
                sum[i][j][p] = lanes_fma(a[i], b, sum[i][j][p]);
        }
    }
}

INLINE void some_dots(const dots *d, int64_t row, int64_t column, int tall, int broad)
{
    const float *x = d->x + row * d->n, *y = d->y + column * d->n;
    float tail[TALL + BROAD][S24I_ACCUMULATORS] = {{0}};
    lane_values sum[TALL][BROAD][PARTS];
    int64_t k = 0;
    UNROLL
    for (int i = 0; i < tall; ++i)
        UNROLL
    for (int j = 0; j < broad; ++j)
        UNROLL
    for (int p = 0; p < PARTS; ++p)
        sum[i][j][p] = lanes_zero();
    for (; k + S24I_ACCUMULATORS <= d->n; k += S24I_ACCUMULATORS)
        add_products(x + k, y + k, d->n, tall, broad, sum);
    if (k < d->n) {
        for (int i = 0; i < tall; ++i)
            memcpy(tail[i], x + i * d->n + k, (size_t)(d->n - k) * sizeof(float));
        for (int j = 0; j < broad; ++j)
            memcpy(tail[TALL + j], y + j * d->n + k, (size_t)(d->n - k) * sizeof(float));
        add_products(tail[0], tail[TALL], S24I_ACCUMULATORS, tall, broad, sum);
    }
    for (int i = 0; i < tall; ++i)
        for (int j = 0; j < broad; ++j)
            d->out[(row + i) * d->ldo + column + j] = lanes_sum(sum[i][j]);
}

/* The columns from `column` on, `broad` of them, with all rows. */
INLINE void column_dots(const dots *d, int64_t rows, int64_t column, int broad)
{
    int64_t i = 0;
    for (; i + TALL <= rows; i += TALL)
        some_dots(d, i, column, TALL, broad);
    for (; i < rows; ++i)
        some_dots(d, i, column, 1, broad);
}

INLINE void all_dots(const dots *d, int64_t rows, int64_t cols)
{
    int64_t j = 0;
    for (; j + BROAD <= cols; j += BROAD)
        column_dots(d, rows, j, BROAD);
    for (; j < cols; ++j)
        column_dots(d, rows, j, 1);
}

#endif
