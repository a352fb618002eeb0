/* Doubles of 4 groups in an AVX2 register, under the names in which lanes/prox.h is written. Knows
 * no kernel. */
#ifndef S24I_AVX2_REALS_F64_H
#define S24I_AVX2_REALS_F64_H
#include <float.h>
#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

enum { REALS = 4 };
typedef double real;
typedef __m256d reals; /* + - * / are the compiler's, lane by lane */
typedef __m256d which; /* which lanes: all bits set or none */
#define REAL_MAX DBL_MAX

static inline reals reals_load(const real *x)
{
    return _mm256_loadu_pd(x);
}

static inline void reals_store(real *x, reals value)
{
    _mm256_storeu_pd(x, value);
}

static inline reals reals_all(real x)
{
    return _mm256_set1_pd(x);
}

static inline reals reals_sqrt(reals x)
{
    return _mm256_sqrt_pd(x);
}

/* Of equal values, which may be zeros of both signs, the second. */
static inline reals reals_min(reals x, reals y)
{
    return _mm256_min_pd(x, y);
}

static inline reals reals_max(reals x, reals y)
{
    return _mm256_max_pd(x, y);
}

static inline reals reals_magnitude(reals x)
{
    return _mm256_andnot_pd(_mm256_set1_pd(-0.0), x);
}

/* A magnitude with the sign of z. */
static inline reals reals_signed(reals magnitude, reals z)
{
    return _mm256_or_pd(magnitude, _mm256_and_pd(_mm256_set1_pd(-0.0), z));
}

static inline which reals_greater(reals x, reals y)
{
    return _mm256_cmp_pd(x, y, _CMP_GT_OQ);
}

static inline reals reals_choose(which mask, reals yes, reals no)
{
    return _mm256_blendv_pd(no, yes, mask);
}

static inline which which_and(which x, which y)
{
    return _mm256_and_pd(x, y);
}

static inline bool which_all(which x)
{
    return _mm256_movemask_pd(x) == 0xf;
}

/* A transpose, which is its own inverse. */
static inline void groups_turn(reals x[4])
{
    __m256d a = _mm256_unpacklo_pd(x[0], x[1]), b = _mm256_unpackhi_pd(x[0], x[1]);
    __m256d c = _mm256_unpacklo_pd(x[2], x[3]), d = _mm256_unpackhi_pd(x[2], x[3]);
    x[0] = _mm256_permute2f128_pd(a, c, 0x20);
    x[1] = _mm256_permute2f128_pd(b, d, 0x20);
    x[2] = _mm256_permute2f128_pd(a, c, 0x31);
    x[3] = _mm256_permute2f128_pd(b, d, 0x31);
}

/* REALS groups of four: x[i] has the i-th value of each. */
static inline void groups_load(const real *z, reals x[4])
{
    for (int i = 0; i < 4; ++i)
        x[i] = reals_load(z + i * REALS);
    groups_turn(x);
}

static inline void groups_store(real *w, const reals x[4])
{
    reals y[4] = {x[0], x[1], x[2], x[3]};
    groups_turn(y);
    for (int i = 0; i < 4; ++i)
        reals_store(w + i * REALS, y[i]);
}

#endif
