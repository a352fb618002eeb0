#include "kernels/table.h"
#include "kernels/sum.h"

static float excess(const float *x, const float *y, int64_t n)
{
    float acc[S24I_ACCUMULATORS] = {0};
    for (int64_t k = 0; k < n; ++k) {
        float over = x[k] - y[k];
        acc[k % S24I_ACCUMULATORS] += over > 0 ? over : 0;
    }
    return s24i_sum_singles(acc);
}

void s24i_ref_excess_rows(const float *x, int64_t rows, const float *y, int64_t cols, int64_t n,
                          float *out, int64_t ldo)
{
    for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < cols; ++j)
            out[i * ldo + j] = excess(x + i * n, y + j * n, n);
}
