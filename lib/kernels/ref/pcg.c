#include "kernels/table.h"
#include <math.h>

double s24i_ref_cg_step(float *v, float *r, const float *p, const float *ap, const uint8_t *mask,
                        float alpha, int64_t n)
{
    for (int64_t i = 0; i < n; ++i) {
        v[i] = fmaf(alpha, p[i], v[i]);
        r[i] = mask[i] ? fmaf(-alpha, ap[i], r[i]) : 0.0f;
    }
    return s24i_ref_sum_squares(r, n);
}

void s24i_ref_cg_direction(float *p, const float *r, float beta, int64_t n)
{
    for (int64_t i = 0; i < n; ++i)
        p[i] = fmaf(beta, p[i], r[i]);
}
