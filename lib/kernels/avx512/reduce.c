#include "kernels/avx512/tail.h"
#include "kernels/table.h"
#include "kernels/sum.h"

/* Accumulators 0-7 and 8-15. */
typedef struct accumulators {
    __m512d low, high;
} accumulators;

static inline double total(accumulators sum)
{
    double acc[S24I_ACCUMULATORS];
    _mm512_storeu_pd(acc, sum.low);
    _mm512_storeu_pd(acc + 8, sum.high);
    return s24i_sum_accumulators(acc);
}

static inline __m512d load_f32(const float *x, __mmask8 lanes)
{
    return _mm512_cvtps_pd(_mm256_maskz_loadu_ps(lanes, x));
}

/* Lanes outside the mask add +0: a sum of float products, exact in double, is never -0. */
static inline accumulators add_products(accumulators sum, const float *x, const float *y,
                                        __mmask16 lanes)
{
    __mmask8 low = (__mmask8)lanes, high = (__mmask8)(lanes >> 8);
    sum.low = _mm512_fmadd_pd(load_f32(x, low), load_f32(y, low), sum.low);
    sum.high = _mm512_fmadd_pd(load_f32(x + 8, high), load_f32(y + 8, high), sum.high);
    return sum;
}

static inline double sum_products(const float *x, const float *y, int64_t n)
{
    accumulators sum = {_mm512_setzero_pd(), _mm512_setzero_pd()};
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        sum = add_products(sum, x + i, y + i, S24I_ALL16);
    return total(add_products(sum, x + i, y + i, s24i_first_lanes(n - i)));
}

double s24i_avx512_sum_squares(const float *x, int64_t n)
{
    return sum_products(x, x, n);
}

double s24i_avx512_dot(const float *x, const float *y, int64_t n)
{
    return sum_products(x, y, n);
}

double s24i_avx512_dot_f64(const double *x, const double *y, int64_t n)
{
    accumulators sum = {_mm512_setzero_pd(), _mm512_setzero_pd()};
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        sum.low = _mm512_fmadd_pd(_mm512_loadu_pd(x + i), _mm512_loadu_pd(y + i), sum.low);
        sum.high =
            _mm512_fmadd_pd(_mm512_loadu_pd(x + i + 8), _mm512_loadu_pd(y + i + 8), sum.high);
    }
    /* A product that underflows may have made an accumulator -0, so the others are left alone. */
    __mmask16 left = s24i_first_lanes(n - i);
    __mmask8 low = (__mmask8)left, high = (__mmask8)(left >> 8);
    sum.low = _mm512_mask3_fmadd_pd(_mm512_maskz_loadu_pd(low, x + i),
                                    _mm512_maskz_loadu_pd(low, y + i), sum.low, low);
    sum.high = _mm512_mask3_fmadd_pd(_mm512_maskz_loadu_pd(high, x + i + 8),
                                     _mm512_maskz_loadu_pd(high, y + i + 8), sum.high, high);
    return total(sum);
}

static inline __m512d square_added(const float *x, const double *acc, __mmask8 lanes)
{
    __m512d wide = load_f32(x, lanes);
    return _mm512_fmadd_pd(wide, wide, _mm512_maskz_loadu_pd(lanes, acc));
}

void s24i_avx512_add_squares(const float *x, double *acc, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm512_storeu_pd(acc + i, square_added(x + i, acc + i, 0xff));
    __mmask8 left = (__mmask8)s24i_first_lanes(n - i);
    _mm512_mask_storeu_pd(acc + i, left, square_added(x + i, acc + i, left));
}

static inline __m512d value_added(const float *x, const double *acc, __mmask8 lanes)
{
    return _mm512_add_pd(_mm512_maskz_loadu_pd(lanes, acc), load_f32(x, lanes));
}

void s24i_avx512_add_f32_to_f64(const float *x, double *acc, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm512_storeu_pd(acc + i, value_added(x + i, acc + i, 0xff));
    __mmask8 left = (__mmask8)s24i_first_lanes(n - i);
    _mm512_mask_storeu_pd(acc + i, left, value_added(x + i, acc + i, left));
}

static inline __m512d difference(const float *x, const float *y, int64_t i, __mmask8 lanes)
{
    __m512d wide = load_f32(x + i, lanes);
    return y ? _mm512_sub_pd(wide, load_f32(y + i, lanes)) : wide;
}

void s24i_avx512_difference_f64(const float *x, const float *y, double *out, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm512_storeu_pd(out + i, difference(x, y, i, 0xff));
    __mmask8 left = (__mmask8)s24i_first_lanes(n - i);
    _mm512_mask_storeu_pd(out + i, left, difference(x, y, i, left));
}
