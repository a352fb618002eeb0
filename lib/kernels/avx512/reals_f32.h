/* Floats of 16 groups in an AVX-512 register, under the names in which lanes/prox.h is written.
 * Knows no kernel. */
#ifndef S24I_AVX512_REALS_F32_H
#define S24I_AVX512_REALS_F32_H
#include <float.h>
#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

enum { REALS = 16 };
typedef float real;
typedef __m512 reals;    /* + - * / are the compiler's, lane by lane */
typedef __mmask16 which; /* which lanes */
#define REAL_MAX FLT_MAX

static inline reals reals_load(const real *x)
{
    return _mm512_loadu_ps(x);
}

static inline void reals_store(real *x, reals value)
{
    _mm512_storeu_ps(x, value);
}

static inline reals reals_all(real x)
{
    return _mm512_set1_ps(x);
}

static inline reals reals_sqrt(reals x)
{
    return _mm512_sqrt_ps(x);
}

/* Of equal values, which may be zeros of both signs, the second. */
static inline reals reals_min(reals x, reals y)
{
    return _mm512_min_ps(x, y);
}

static inline reals reals_max(reals x, reals y)
{
    return _mm512_max_ps(x, y);
}

static inline reals reals_magnitude(reals x)
{
    return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), x);
}

/* A magnitude with the sign of z. */
static inline reals reals_signed(reals magnitude, reals z)
{
    return _mm512_or_ps(magnitude, _mm512_and_ps(_mm512_set1_ps(-0.0f), z));
}

static inline which reals_greater(reals x, reals y)
{
    return _mm512_cmp_ps_mask(x, y, _CMP_GT_OQ);
}

static inline reals reals_choose(which mask, reals yes, reals no)
{
    return _mm512_mask_blend_ps(mask, no, yes);
}

static inline which which_and(which x, which y)
{
    return _kand_mask16(x, y);
}

static inline bool which_all(which x)
{
    return x == 0xffff;
}

/* A transpose of each 128 bits: the order of the groups in a register does not matter, as the same
 * brings them back. */
static inline void groups_turn(reals x[4])
{
    __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(x[0], x[1])),
            b = _mm512_castps_pd(_mm512_unpacklo_ps(x[2], x[3]));
    __m512d c = _mm512_castps_pd(_mm512_unpackhi_ps(x[0], x[1])),
            d = _mm512_castps_pd(_mm512_unpackhi_ps(x[2], x[3]));
    x[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
    x[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
    x[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(c, d));
    x[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(c, d));
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
