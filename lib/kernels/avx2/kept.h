/* What the two ADMM kernels say about a support: signs and choices by its bytes. Knows no
 * kernel. */
#ifndef S24I_AVX2_KEPT_H
#define S24I_AVX2_KEPT_H
#include "kernels/avx2/lanes.h"

static inline __m256 negated(__m256 x)
{
    return _mm256_xor_ps(x, _mm256_set1_ps(-0.0f));
}

static inline __m256 where_kept(const uint8_t *mask, __m256 yes, __m256 no)
{
    return _mm256_blendv_ps(no, yes, _mm256_castsi256_ps(mask_load(mask)));
}

#endif
