#include "base/half.h"
#include "kernels/table.h"

void s24i_ref_f16_to_f32(const uint16_t *x, float *y, int64_t n)
{
    for (int64_t i = 0; i < n; ++i)
        y[i] = s24i_f16_to_f32(x[i]);
}

void s24i_ref_bf16_to_f32(const uint16_t *x, float *y, int64_t n)
{
    for (int64_t i = 0; i < n; ++i)
        y[i] = s24i_bf16_to_f32(x[i]);
}

void s24i_ref_f32_to_f16(const float *x, uint16_t *y, int64_t n)
{
    for (int64_t i = 0; i < n; ++i)
        y[i] = s24i_f32_to_f16(x[i]);
}

void s24i_ref_f32_to_bf16(const float *x, uint16_t *y, int64_t n)
{
    for (int64_t i = 0; i < n; ++i)
        y[i] = s24i_f32_to_bf16(x[i]);
}
