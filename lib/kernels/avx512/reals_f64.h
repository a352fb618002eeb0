/* Doubles of 8 groups in an AVX-512 register, under the names in which lanes/prox.h is written.
 * Knows no kernel. */
#ifndef S24I_AVX512_REALS_F64_H
#define S24I_AVX512_REALS_F64_H
#include <float.h>
#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

enum { REALS = 8 };
typedef double real;
typedef __m512d reals;  /* + - * / are the compiler's, lane by lane */
typedef __mmask8 which; /* which lanes */
#define REAL_MAX DBL_MAX

static inline reals reals_load(const real *x)
{
    return _mm512_loadu_pd(x);
}

static inline void reals_store(real *x, reals value)
{
    _mm512_storeu_pd(x, value);
}

static inline reals reals_all(real x)
{
    return _mm512_set1_pd(x);
}

static inline reals reals_sqrt(reals x)
{
    return _mm512_sqrt_pd(x);
}

/* Of equal values, which may be zeros of both signs, the second. */
static inline reals reals_min(reals x, reals y)
{
    return _mm512_min_pd(x, y);
}

static inline reals reals_max(reals x, reals y)
{
    return _mm512_max_pd(x, y);
}

static inline reals reals_magnitude(reals x)
{
    return _mm512_andnot_pd(_mm512_set1_pd(-0.0), x);
}

/* A magnitude with the sign of z. */
static inline reals reals_signed(reals magnitude, reals z)
{
    return _mm512_or_pd(magnitude, _mm512_and_pd(_mm512_set1_pd(-0.0), z));
}

static inline which reals_greater(reals x, reals y)
{
    return _mm512_cmp_pd_mask(x, y, _CMP_GT_OQ);
}

static inline reals reals_choose(which mask, reals yes, reals no)
{
    return _mm512_mask_blend_pd(mask, no, yes);
}

static inline which which_and(which x, which y)
{
    return _kand_mask8(x, y);
}

static inline bool which_all(which x)
{
    return x == 0xff;
}

/* REALS groups of four: x[i] has the i-th value of each; of the groups in the order 0 2 1 3 4 6 5
 * 7. */
static inline void groups_load(const real *z, reals x[4])
{
    __m512d r[4];
    for (int i = 0; i < 4; ++i)
        r[i] = reals_load(z + i * REALS);
    __m512d a = _mm512_unpacklo_pd(r[0], r[1]), b = _mm512_unpackhi_pd(r[0], r[1]);
    __m512d c = _mm512_unpacklo_pd(r[2], r[3]), d = _mm512_unpackhi_pd(r[2], r[3]);
    x[0] = _mm512_shuffle_f64x2(a, c, 0x88);
    x[1] = _mm512_shuffle_f64x2(b, d, 0x88);
    x[2] = _mm512_shuffle_f64x2(a, c, 0xdd);
    x[3] = _mm512_shuffle_f64x2(b, d, 0xdd);
}

static inline void groups_store(real *w, const reals x[4])
{
    const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    const __m512i second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    __m512d a = _mm512_permutex2var_pd(x[0], first, x[2]);
    __m512d b = _mm512_permutex2var_pd(x[1], first, x[3]);
    __m512d c = _mm512_permutex2var_pd(x[0], second, x[2]);
    __m512d d = _mm512_permutex2var_pd(x[1], second, x[3]);
    reals_store(w, _mm512_unpacklo_pd(a, b));
    reals_store(w + REALS, _mm512_unpackhi_pd(a, b));
    reals_store(w + 2 * REALS, _mm512_unpacklo_pd(c, d));
    reals_store(w + 3 * REALS, _mm512_unpackhi_pd(c, d));
}

#endif
