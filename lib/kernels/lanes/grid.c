#include <lanes.h>
#include "kernels/table.h"
#include "kernels/lanes/grid.h"

void S24I_IN_SET(subtract_scaled)(float *y, const float *x, float a, int64_t n)
{
    subtract(y, x, a, n);
}

int64_t S24I_IN_SET(descend_row)(const s24i_descent *row)
{
    return descend(row);
}

void S24I_IN_SET(grid_errors)(const float *w, const float *weight, int64_t n, float inverse,
                              float step, float zero, float top, float sum[3])
{
    sum_errors(w, weight, n, inverse, step, zero, top, sum);
}
