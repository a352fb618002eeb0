#include <lanes.h>
#include "kernels/table.h"
#include "kernels/lanes/dots.h"

void S24I_IN_SET(dot_rows)(const float *x, int64_t rows, const float *y, int64_t cols, int64_t n,
                           float *out, int64_t ldo)
{
    dots d = {x, y, n, out, ldo};
    all_dots(&d, rows, cols);
}
