#include "kernels/avx2/lanes.h"
#include "kernels/table.h"
#include "kernels/sum.h"
#include <math.h>

/* r where the mask is set, less alpha ap; else 0. */
static inline __m256 next_residual(const float *r, const float *ap, const uint8_t *mask,
                                   __m256 alpha)
{
    __m256 next = _mm256_fnmadd_ps(alpha, _mm256_loadu_ps(ap), _mm256_loadu_ps(r));
    return _mm256_and_ps(next, _mm256_castsi256_ps(mask_load(mask)));
}

static inline __m256d square_added(__m256d sum, __m128 x)
{
    __m256d wide = _mm256_cvtps_pd(x);
    return _mm256_fmadd_pd(wide, wide, sum);
}

static void cg_step_tail(float *v, float *r, const float *p, const float *ap, const uint8_t *mask,
                         float alpha, int64_t n, double *acc)
{
    for (int64_t i = 0; i < n; ++i) {
        v[i] = fmaf(alpha, p[i], v[i]);
        r[i] = mask[i] ? fmaf(-alpha, ap[i], r[i]) : 0.0f;
        acc[i] = fma((double)r[i], (double)r[i], acc[i]);
    }
}

double s24i_avx2_cg_step(float *v, float *r, const float *p, const float *ap, const uint8_t *mask,
                         float alpha, int64_t n)
{
    __m256d sum[4] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(),
                      _mm256_setzero_pd()};
    __m256 step = _mm256_set1_ps(alpha);
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int q = 0; q < 4; q += 2) {
            int64_t at = i + 4 * q;
            __m256 moved = _mm256_fmadd_ps(step, _mm256_loadu_ps(p + at), _mm256_loadu_ps(v + at));
            __m256 next = next_residual(r + at, ap + at, mask + at, step);
            _mm256_storeu_ps(v + at, moved);
            _mm256_storeu_ps(r + at, next);
            sum[q] = square_added(sum[q], _mm256_castps256_ps128(next));
            sum[q + 1] = square_added(sum[q + 1], _mm256_extractf128_ps(next, 1));
        }
    double acc[S24I_ACCUMULATORS];
    for (int q = 0; q < 4; ++q)
        _mm256_storeu_pd(acc + 4 * q, sum[q]);
    cg_step_tail(v + i, r + i, p + i, ap + i, mask + i, alpha, n - i, acc);
    return s24i_sum_accumulators(acc);
}

void s24i_avx2_cg_direction(float *p, const float *r, float beta, int64_t n)
{
    __m256 factor = _mm256_set1_ps(beta);
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 next = _mm256_fmadd_ps(factor, _mm256_loadu_ps(p + i), _mm256_loadu_ps(r + i));
        _mm256_storeu_ps(p + i, next);
    }
    s24i_ref_cg_direction(p + i, r + i, beta, n - i);
}
