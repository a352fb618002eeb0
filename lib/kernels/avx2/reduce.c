#include "kernels/table.h"
#include "kernels/sum.h"
#include <immintrin.h>
#include <math.h>

/* Accumulators 4 q to 4 q + 3 in part[q]. */
typedef struct accumulators {
    __m256d part[4];
} accumulators;

static inline accumulators no_sum(void)
{
    __m256d zero = _mm256_setzero_pd();
    return (accumulators){{zero, zero, zero, zero}};
}

static inline void store_sum(const accumulators *sum, double acc[S24I_ACCUMULATORS])
{
    for (int q = 0; q < 4; ++q)
        _mm256_storeu_pd(acc + 4 * q, sum->part[q]);
}

static inline __m256d load_f32(const float *x)
{
    return _mm256_cvtps_pd(_mm_loadu_ps(x));
}

double s24i_avx2_sum_squares(const float *x, int64_t n)
{
    return s24i_avx2_dot(x, x, n);
}

double s24i_avx2_dot(const float *x, const float *y, int64_t n)
{
    accumulators sum = no_sum();
    double acc[S24I_ACCUMULATORS];
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int q = 0; q < 4; ++q)
            sum.part[q] =
                _mm256_fmadd_pd(load_f32(x + i + 4 * q), load_f32(y + i + 4 * q), sum.part[q]);
    store_sum(&sum, acc);
    for (int k = 0; i < n; ++i, ++k)
        acc[k] = fma((double)x[i], (double)y[i], acc[k]);
    return s24i_sum_accumulators(acc);
}

double s24i_avx2_dot_f64(const double *x, const double *y, int64_t n)
{
    accumulators sum = no_sum();
    double acc[S24I_ACCUMULATORS];
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int q = 0; q < 4; ++q)
            sum.part[q] = _mm256_fmadd_pd(_mm256_loadu_pd(x + i + 4 * q),
                                          _mm256_loadu_pd(y + i + 4 * q), sum.part[q]);
    store_sum(&sum, acc);
    for (int k = 0; i < n; ++i, ++k)
        acc[k] = fma(x[i], y[i], acc[k]);
    return s24i_sum_accumulators(acc);
}

void s24i_avx2_add_squares(const float *x, double *acc, int64_t n)
{
    int64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        __m256d wide = load_f32(x + i);
        _mm256_storeu_pd(acc + i, _mm256_fmadd_pd(wide, wide, _mm256_loadu_pd(acc + i)));
    }
    s24i_ref_add_squares(x + i, acc + i, n - i);
}

void s24i_avx2_add_f32_to_f64(const float *x, double *acc, int64_t n)
{
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        _mm256_storeu_pd(acc + i, _mm256_add_pd(_mm256_loadu_pd(acc + i), load_f32(x + i)));
    s24i_ref_add_f32_to_f64(x + i, acc + i, n - i);
}

void s24i_avx2_difference_f64(const float *x, const float *y, double *out, int64_t n)
{
    int64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        __m256d wide = load_f32(x + i);
        _mm256_storeu_pd(out + i, y ? _mm256_sub_pd(wide, load_f32(y + i)) : wide);
    }
    s24i_ref_difference_f64(x + i, y ? y + i : NULL, out + i, n - i);
}
