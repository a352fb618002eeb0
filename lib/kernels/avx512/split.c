#include "kernels/avx512/kept.h"
#include "kernels/table.h"

void s24i_avx512_split_move(float *h, const uint8_t *mask, float dual, float *z, int64_t n)
{
    for (int64_t i = 0; i < n; i += 16) {
        __mmask16 lanes = n - i < 16 ? s24i_first_lanes(n - i) : S24I_ALL16;
        __mmask16 keep = kept(mask + i, lanes);
        __m512 here = _mm512_maskz_loadu_ps(lanes, z + i);
        __m512 step = _mm512_maskz_loadu_ps(lanes, h + i);
        __m512 other = negated(_mm512_mul_ps(_mm512_set1_ps(dual), here));
        __m512 b = _mm512_sub_ps(_mm512_mask_blend_ps(keep, other, here), step);
        _mm512_mask_storeu_ps(z + i, lanes, _mm512_mask_blend_ps(keep, negated(step), b));
        _mm512_mask_storeu_ps(h + i, lanes, b);
    }
}

void s24i_avx512_split_rest(const float *w, const float *b, const float *z, const uint8_t *mask,
                            float share, float *rest, int64_t n)
{
    for (int64_t i = 0; i < n; i += 16) {
        __mmask16 lanes = n - i < 16 ? s24i_first_lanes(n - i) : S24I_ALL16;
        __m512 here = _mm512_maskz_loadu_ps(lanes, b + i);
        __m512 d = _mm512_maskz_mov_ps(kept(mask + i, lanes), _mm512_maskz_loadu_ps(lanes, z + i));
        __m512 mixed = _mm512_mul_ps(_mm512_set1_ps(share), _mm512_sub_ps(here, d));
        __m512 left = _mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, w + i), here);
        _mm512_mask_storeu_ps(rest + i, lanes, _mm512_add_ps(left, mixed));
    }
}
