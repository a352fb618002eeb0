#include "kernels/table.h"

void s24i_ref_split_move(float *h, const uint8_t *mask, float dual, float *z, int64_t n)
{
    for (int64_t i = 0; i < n; ++i) {
        float b = (mask[i] ? z[i] : -(dual * z[i])) - h[i];
        z[i] = mask[i] ? b : -h[i];
        h[i] = b;
    }
}

void s24i_ref_split_rest(const float *w, const float *b, const float *z, const uint8_t *mask,
                         float share, float *rest, int64_t n)
{
    for (int64_t i = 0; i < n; ++i)
        rest[i] = (w[i] - b[i]) + share * (b[i] - (mask[i] ? z[i] : 0));
}
