#include "kernels/table.h"
#include "kernels/sum.h"
#include <math.h>
#include <stddef.h>

void s24i_ref_subtract_scaled(float *y, const float *x, float a, int64_t n)
{
    for (int64_t i = 0; i < n; ++i)
        y[i] = fmaf(-a, x[i], y[i]);
}

int64_t s24i_ref_descend_row(const s24i_descent *row)
{
    int64_t changed = 0;
    for (int64_t j = 0; j < row->n; ++j) {
        float x = row->g[j] * row->inverse[j];
        float c = s24i_nearest_code(fmaf(row->g[j], row->inverse[j], row->code[j]), row->top);
        float k = c - row->code[j];
        if (!(2 * x * k > 1.00001f * k * k))
            continue;
        float d = k * row->step[j];
        row->code[j] = c;
        s24i_ref_subtract_scaled(row->g, row->s + j * row->n, d, row->n);
        ++changed;
    }
    return changed;
}

void s24i_ref_grid_errors(const float *w, const float *weight, int64_t n, float inverse, float step,
                          float zero, float top, float sum[3])
{
    for (int k = 0; k < 3; ++k) {
        float acc[16] = {0}, z = zero + (float)(k - 1);
        for (int64_t i = 0; i < n; ++i) {
            float e = step * (s24i_nearest_code(fmaf(w[i], inverse, z), top) - z) - w[i];
            acc[i % 16] = fmaf(weight[i] * e, e, acc[i % 16]);
        }
        sum[k] = s24i_sum_singles(acc);
    }
}
