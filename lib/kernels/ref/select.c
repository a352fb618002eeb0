#include "kernels/table.h"
#include <math.h>
#include <string.h>

/* Orders non-negative floats as their values do, NaN above all: a mask has its exact count whatever
 * comes in. */
static uint32_t magnitude_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits & 0x7fffffffu;
}

static float weighted(const float *w, const float *norm, int64_t i)
{
    return norm ? fabsf(w[i]) * norm[i] : fabsf(w[i]);
}

void s24i_ref_select_24(const float *w, const float *norm, uint8_t *mask, int64_t n)
{
    s24i_ref_select_nm(w, norm, mask, n, 2, 4);
}

void s24i_ref_select_nm(const float *w, const float *norm, uint8_t *mask, int64_t n, int32_t keep,
                        int32_t m)
{
    uint32_t key[S24I_MAX_GROUP];
    for (int64_t group = 0; group < n; group += m) {
        for (int32_t t = 0; t < m; ++t)
            key[t] = magnitude_bits(weighted(w, norm, group + t));
        for (int32_t t = 0; t < m; ++t) {
            int32_t before = 0; /* how many go before t */
            for (int32_t u = 0; u < m; ++u)
                before += key[u] > key[t] || (key[u] == key[t] && u < t);
            mask[group + t] = before < keep;
        }
    }
}

void s24i_ref_score(const float *w, const float *norm, float *score, int64_t n)
{
    for (int64_t i = 0; i < n; ++i)
        score[i] = weighted(w, norm, i);
}

void s24i_ref_apply_mask(const float *w, const uint8_t *mask, float *v, int64_t n)
{
    for (int64_t i = 0; i < n; ++i)
        v[i] = mask[i] ? w[i] : 0.0f;
}

int64_t s24i_ref_first_nonfinite(const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; ++i)
        if (magnitude_bits(x[i]) >= 0x7f800000u)
            return i;
    return -1;
}

void s24i_ref_multiply(const float *x, const float *y, float *out, int64_t n)
{
    for (int64_t i = 0; i < n; ++i)
        out[i] = x[i] * y[i];
}
