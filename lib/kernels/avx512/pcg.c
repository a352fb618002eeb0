#include "kernels/avx512/tail.h"
#include "kernels/table.h"
#include "kernels/sum.h"

typedef struct step {
    float *v, *r;
    const float *p, *ap;
    const uint8_t *mask;
    __m512 alpha;
    __m512d low, high; /* accumulators 0-7 and 8-15 of r^2; lanes that are off add +0 */
} step;

static inline void step_lanes(step *s, int64_t i, __mmask16 lanes)
{
    __m512 v = _mm512_maskz_loadu_ps(lanes, s->v + i), r = _mm512_maskz_loadu_ps(lanes, s->r + i);
    __m512 p = _mm512_maskz_loadu_ps(lanes, s->p + i), ap = _mm512_maskz_loadu_ps(lanes, s->ap + i);
    __m128i mask = _mm_maskz_loadu_epi8(lanes, s->mask + i);
    _mm512_mask_storeu_ps(s->v + i, lanes, _mm512_fmadd_ps(s->alpha, p, v));
    r = _mm512_maskz_fnmadd_ps(_mm_test_epi8_mask(mask, mask), s->alpha, ap, r);
    _mm512_mask_storeu_ps(s->r + i, lanes, r);
    __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(r));
    __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(r, 1));
    s->low = _mm512_fmadd_pd(low, low, s->low);
    s->high = _mm512_fmadd_pd(high, high, s->high);
}

double s24i_avx512_cg_step(float *v, float *r, const float *p, const float *ap, const uint8_t *mask,
                           float alpha, int64_t n)
{
    step s = {v, r, p, ap, mask, _mm512_set1_ps(alpha), _mm512_setzero_pd(), _mm512_setzero_pd()};
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        step_lanes(&s, i, S24I_ALL16);
    step_lanes(&s, i, s24i_first_lanes(n - i));
    double acc[S24I_ACCUMULATORS];
    _mm512_storeu_pd(acc, s.low);
    _mm512_storeu_pd(acc + 8, s.high);
    return s24i_sum_accumulators(acc);
}

void s24i_avx512_cg_direction(float *p, const float *r, float beta, int64_t n)
{
    __m512 factor = _mm512_set1_ps(beta);
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m512 sum = _mm512_fmadd_ps(factor, _mm512_loadu_ps(p + i), _mm512_loadu_ps(r + i));
        _mm512_storeu_ps(p + i, sum);
    }
    __mmask16 left = s24i_first_lanes(n - i);
    __m512 sum = _mm512_fmadd_ps(factor, _mm512_maskz_loadu_ps(left, p + i),
                                 _mm512_maskz_loadu_ps(left, r + i));
    _mm512_mask_storeu_ps(p + i, left, sum);
}
