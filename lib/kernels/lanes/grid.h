/* Rounding to grids, some lanes of values at a time. Written in the vocabulary of an instruction
 * set's lanes.h, which comes first; knows no instruction set. */
#ifndef S24I_LANES_GRID_H
#define S24I_LANES_GRID_H
#include "kernels/kernels.h"
#include "kernels/lanes/sum.h"
#include <string.h>

/* s24i_nearest_code() */
INLINE lane_values lanes_nearest(lane_values t, lane_values top)
{
    lane_values large = lanes_all(8388608.0f);
    t = lanes_min(lanes_max(t, lanes_zero()), top);
    return lanes_sub(lanes_add(t, large), large);
}

/* Some values, zeros after the last. */
INLINE lane_values load_some(const float *x, int64_t count)
{
    float some[LANES] = {0};
    if (count >= LANES)
        return lanes_load(x);
    memcpy(some, x, (size_t)count * sizeof *x);
    return lanes_load(some);
}

/* ---- coordinate descent ---- */

/* The codes that columns j .. would take, and in which lanes that lowers the loss. */
INLINE uint32_t improvements(const s24i_descent *row, int64_t j, float nearest[LANES])
{
    int64_t left = row->n - j;
    lane_values g = load_some(row->g + j, left), inverse = load_some(row->inverse + j, left);
    lane_values code = load_some(row->code + j, left);
    lane_values c = lanes_nearest(lanes_fma(g, inverse, code), lanes_all(row->top));
    lane_values x = lanes_mul(g, inverse), k = lanes_sub(c, code);
    lanes_store(nearest, c);
    return lanes_greater(lanes_mul(lanes_mul(lanes_all(2), x), k),
                         lanes_mul(lanes_mul(lanes_all(1.00001f), k), k));
}

INLINE void subtract(float *y, const float *x, float a, int64_t n)
{
    lane_values factor = lanes_all(-a);
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        lanes_store(y + i, lanes_fma(factor, lanes_load(x + i), lanes_load(y + i)));
    for (; i < n; ++i)
        y[i] = __builtin_fmaf(-a, x[i], y[i]);
}

INLINE int64_t descend(const s24i_descent *row)
{
    float nearest[LANES];
    int64_t changed = 0;
    for (int64_t first = 0; first < row->n; first += LANES) {
        uint32_t better = improvements(row, first, nearest);
        while (better) { /* the first one; then the lanes after it again */
            int lane = __builtin_ctz(better);
            int64_t j = first + lane;
            float d = (nearest[lane] - row->code[j]) * row->step[j];
            row->code[j] = nearest[lane];
            subtract(row->g, row->s + j * row->n, d, row->n);
            ++changed;
            better = improvements(row, first, nearest) & ~((2u << lane) - 1);
        }
    }
    return changed;
}

/* ---- the error of a grid ---- */

INLINE void add_errors(lane_values w, lane_values weight, const lane_values grid[3], float zero,
                       int part, lane_values acc[3][PARTS])
{
    for (int k = 0; k < 3; ++k) {
        lane_values z = lanes_all(zero + (float)(k - 1));
        lane_values code = lanes_nearest(lanes_fma(w, grid[0], z), grid[2]);
        lane_values e = lanes_sub(lanes_mul(grid[1], lanes_sub(code, z)), w);
        acc[k][part] = lanes_fma(lanes_mul(weight, e), e, acc[k][part]);
    }
}

INLINE void sum_errors(const float *w, const float *weight, int64_t n, float inverse, float step,
                       float zero, float top, float sum[3])
{
    lane_values grid[3] = {lanes_all(inverse), lanes_all(step), lanes_all(top)};
    lane_values acc[3][PARTS];
    for (int k = 0; k < 3; ++k)
        for (int part = 0; part < PARTS; ++part)
            acc[k][part] = lanes_zero();
    for (int64_t i = 0; i < n; i += 16)
        for (int part = 0; part < PARTS; ++part) {
            int64_t at = i + part * LANES;
            if (at < n) /* a weight of 0 adds +0 */
                add_errors(load_some(w + at, n - at), load_some(weight + at, n - at), grid, zero,
                           part, acc);
        }
    for (int k = 0; k < 3; ++k)
        sum[k] = lanes_sum(acc[k]);
}

#endif
