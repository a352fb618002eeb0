/* Weights in lanes and the activations that meet them, in AVX2 registers, under the names in which
 * lanes/products.h is written. Knows no kernel. */
#ifndef S24I_AVX2_PRODUCTS_H
#define S24I_AVX2_PRODUCTS_H
#include "kernels/avx2/lanes.h"
#include "kernels/inline.h"
#include <stdbool.h>

enum { TOKENS = 8 }; /* whose accumulators fit into registers */

typedef __m256i lane_dwords;

INLINE lane_dwords dwords_load(const void *from)
{
    return _mm256_loadu_si256(from);
}

INLINE lane_values lanes_of_halves(const void *from)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)from));
}

/* The earlier and the later bf16 of each dword. */
INLINE lane_values lanes_of_earlier(lane_dwords pairs)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
}

INLINE lane_values lanes_of_later(lane_dwords pairs)
{
    return _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32((int)0xffff0000)));
}

/* Which of the 4 activations of group g each lane wants, by 2 bits from bit `shift` on. */
INLINE lane_dwords dwords_places(lane_dwords meta, const int shift, const int g, const bool several)
{
    (void)g, (void)several;
    return _mm256_srli_epi32(meta, shift);
}

/* The activations of group g out of 16 columns. */
INLINE lane_values lanes_quad(const float *x, const int g, const bool several)
{
    (void)several;
    return _mm256_broadcast_ps((const __m128 *)(x + 4 * (g & 3)));
}

INLINE lane_values lanes_pick(lane_values quad, lane_dwords places, const bool several)
{
    (void)several;
    return _mm256_permutevar_ps(quad, places);
}

/* ---- bf16 by pairs ---- */

/* Bytes that pick the two activations (bf16) of a group out of its 4, by nibble. */
INLINE lane_dwords dwords_pair_bytes(lane_dwords meta, const int g)
{
    const lane_dwords three = _mm256_set1_epi32(3);
    lane_dwords nibble = _mm256_srli_epi32(meta, 4 * g);
    lane_dwords early = _mm256_and_si256(nibble, three);
    lane_dwords late = _mm256_and_si256(_mm256_srli_epi32(nibble, 2), three);
    lane_dwords both = _mm256_or_si256(early, _mm256_slli_epi32(late, 16)); /* words */

    /* A word w becomes bytes 2 w, 2 w + 1. */
    both = _mm256_mullo_epi16(both, _mm256_set1_epi16(0x0202));
    return _mm256_or_si256(both, _mm256_set1_epi16(0x0100));
}

INLINE lane_dwords dwords_all_of_8(const void *from)
{
    long long bits;

    __builtin_memcpy(&bits, from, 8);
    return _mm256_set1_epi64x(bits);
}

INLINE lane_dwords dwords_all_of_4(const void *from)
{
    int bits;

    __builtin_memcpy(&bits, from, 4);
    return _mm256_set1_epi32(bits);
}

INLINE lane_dwords dwords_bytes(lane_dwords bytes, lane_dwords places)
{
    return _mm256_shuffle_epi8(bytes, places);
}

INLINE lane_values lanes_dot_bf16(lane_values sum, lane_dwords x, lane_dwords w)
{
    sum = lanes_fma(lanes_of_later(x), lanes_of_later(w), sum);
    return lanes_fma(lanes_of_earlier(x), lanes_of_earlier(w), sum);
}

#endif
