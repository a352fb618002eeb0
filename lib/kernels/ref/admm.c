#include "kernels/table.h"
#include <math.h>

void s24i_ref_admm_gap(const float *z, const float *w, const uint8_t *mask, float dual, float *gap,
                       int64_t n)
{
    for (int64_t i = 0; i < n; ++i)
        gap[i] = (mask[i] ? z[i] : -(dual * z[i])) - w[i];
}

void s24i_ref_admm_move(const float *p, const float *w, const uint8_t *mask, float rho, float dual,
                        float *z, float *b_out, int64_t n)
{
    for (int64_t i = 0; i < n; ++i) {
        float b = fmaf(rho, p[i], w[i]);
        z[i] = mask[i] ? b : b + dual * z[i];
        if (b_out)
            b_out[i] = b;
    }
}
