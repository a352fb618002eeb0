#include "kernels/avx512/lanes.h"
#include "kernels/avx512/table.h"
#include "kernels/lanes_dots.h"

void s24i_avx512_dot_rows(const float *x, int64_t rows, const float *y, int64_t cols, int64_t n,
                          float *out, int64_t ldo)
{
    dots d = {x, y, n, out, ldo};
    all_dots(&d, rows, cols);
}
