#include <lanes.h>
#include "kernels/inline.h"
#include "kernels/table.h"
#include "kernels/lanes/sum.h"
#include <string.h>

enum { BROAD = 4 }; /* rows of y at once */

/* 16 values of x and of each y, which lie `stride` apart. */
INLINE void add_excess(const float *x, const float *y, int64_t stride, int broad,
                       lane_values sum[BROAD][PARTS])
{
    UNROLL
    for (int p = 0; p < PARTS; ++p) {
        lane_values a = lanes_load(x + p * LANES);
        UNROLL
        for (int j = 0; j < broad; ++j) {
            lane_values over = lanes_sub(a, lanes_load(y + j * stride + p * LANES));
            sum[j][p] = lanes_add(sum[j][p], lanes_max(over, lanes_zero()));
        }
    }
}

INLINE void some_excess(const float *x, const float *y, int64_t n, int broad, float *out)
{
    float tail[1 + BROAD][S24I_ACCUMULATORS] = {{0}};
    lane_values sum[BROAD][PARTS];
    int64_t k = 0;
    for (int j = 0; j < broad; ++j)
        for (int p = 0; p < PARTS; ++p)
            sum[j][p] = lanes_zero();
    for (; k + S24I_ACCUMULATORS <= n; k += S24I_ACCUMULATORS)
        add_excess(x + k, y + k, n, broad, sum);
    if (k < n) {
        memcpy(tail[0], x + k, (size_t)(n - k) * sizeof(float));
        for (int j = 0; j < broad; ++j)
            memcpy(tail[1 + j], y + j * n + k, (size_t)(n - k) * sizeof(float));
        add_excess(tail[0], tail[1], S24I_ACCUMULATORS, broad, sum);
    }
    for (int j = 0; j < broad; ++j)
        out[j] = lanes_sum(sum[j]);
}

void S24I_IN_SET(excess_rows)(const float *x, int64_t rows, const float *y, int64_t cols, int64_t n,
                              float *out, int64_t ldo)
{
    for (int64_t i = 0; i < rows; ++i) {
        int64_t j = 0;
        for (; j + BROAD <= cols; j += BROAD)
            some_excess(x + i * n, y + j * n, n, BROAD, out + i * ldo + j);
        for (; j < cols; ++j)
            some_excess(x + i * n, y + j * n, n, 1, out + i * ldo + j);
    }
}
