/* What the two ADMM kernels say about a support: signs and choices by its bytes. Knows no
 * kernel. */
#ifndef S24I_AVX512_KEPT_H
#define S24I_AVX512_KEPT_H
#include "kernels/avx512/tail.h"

static inline __mmask16 kept(const uint8_t *mask, __mmask16 lanes)
{
    __m128i bytes = _mm_maskz_loadu_epi8(lanes, mask);
    return _mm_test_epi8_mask(bytes, bytes);
}

static inline __m512 negated(__m512 x)
{
    return _mm512_xor_ps(x, _mm512_set1_ps(-0.0f));
}

#endif
