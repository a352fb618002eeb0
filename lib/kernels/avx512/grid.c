#include "kernels/avx512/lanes.h"
#include "kernels/avx512/table.h"
#include "kernels/lanes_grid.h"

void s24i_avx512_subtract_scaled(float *y, const float *x, float a, int64_t n)
{
    subtract(y, x, a, n);
}

int64_t s24i_avx512_descend_row(const s24i_descent *row)
{
    return descend(row);
}

void s24i_avx512_grid_errors(const float *w, const float *weight, int64_t n, float inverse,
                             float step, float zero, float top, float sum[3])
{
    sum_errors(w, weight, n, inverse, step, zero, top, sum);
}
