#include "kernels/avx512/kept.h"
#include "kernels/table.h"

void s24i_avx512_admm_gap(const float *z, const float *w, const uint8_t *mask, float dual,
                          float *gap, int64_t n)
{
    for (int64_t i = 0; i < n; i += 16) {
        __mmask16 lanes = n - i < 16 ? s24i_first_lanes(n - i) : S24I_ALL16;
        __m512 here = _mm512_maskz_loadu_ps(lanes, z + i);
        __m512 other = negated(_mm512_mul_ps(_mm512_set1_ps(dual), here));
        __m512 chosen = _mm512_mask_blend_ps(kept(mask + i, lanes), other, here);
        _mm512_mask_storeu_ps(gap + i, lanes,
                              _mm512_sub_ps(chosen, _mm512_maskz_loadu_ps(lanes, w + i)));
    }
}

void s24i_avx512_admm_move(const float *p, const float *w, const uint8_t *mask, float rho,
                           float dual, float *z, float *b_out, int64_t n)
{
    for (int64_t i = 0; i < n; i += 16) {
        __mmask16 lanes = n - i < 16 ? s24i_first_lanes(n - i) : S24I_ALL16;
        __m512 b = _mm512_fmadd_ps(_mm512_set1_ps(rho), _mm512_maskz_loadu_ps(lanes, p + i),
                                   _mm512_maskz_loadu_ps(lanes, w + i));
        __m512 old = _mm512_mul_ps(_mm512_set1_ps(dual), _mm512_maskz_loadu_ps(lanes, z + i));
        __m512 moved = _mm512_mask_blend_ps(kept(mask + i, lanes), _mm512_add_ps(b, old), b);
        _mm512_mask_storeu_ps(z + i, lanes, moved);
        if (b_out)
            _mm512_mask_storeu_ps(b_out + i, lanes, b);
    }
}
