/* Weights in lanes and the activations that meet them, in AVX-512 registers, under the names in
 * which lanes/products.h is written. Knows no kernel. */
#ifndef S24I_AVX512_PRODUCTS_H
#define S24I_AVX512_PRODUCTS_H
#include "kernels/avx512/lanes.h"
#include "kernels/inline.h"
#include <stdbool.h>

enum { TOKENS = 16 }; /* whose accumulators fit into registers */

typedef __m512i lane_dwords;

INLINE lane_dwords dwords_load(const void *from)
{
    return _mm512_loadu_si512(from);
}

INLINE lane_values lanes_of_halves(const void *from)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)from));
}

/* The earlier and the later bf16 of each dword. */
INLINE lane_values lanes_of_earlier(lane_dwords pairs)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
}

INLINE lane_values lanes_of_later(lane_dwords pairs)
{
    return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32((int)0xffff0000)));
}

/* Which of the 4 activations of group g each lane wants, by 2 bits from bit `shift` on. With
 * several tokens it is a place among 16: a full load costs no second port. */
INLINE lane_dwords dwords_places(lane_dwords meta, const int shift, const int g, const bool several)
{
    lane_dwords c = _mm512_srli_epi32(meta, (unsigned)shift);
    const lane_dwords base = _mm512_set1_epi32(4 * (g & 3)), three = _mm512_set1_epi32(3);

    return several ? _mm512_ternarylogic_epi32(c, three, base, 0xEA) : c;
}

/* The activations of group g out of 16 columns. */
INLINE lane_values lanes_quad(const float *x, const int g, const bool several)
{
    return several ? _mm512_loadu_ps(x) : _mm512_broadcast_f32x4(_mm_loadu_ps(x + 4 * (g & 3)));
}

INLINE lane_values lanes_pick(lane_values quad, lane_dwords places, const bool several)
{
    return several ? _mm512_permutexvar_ps(places, quad) : _mm512_permutevar_ps(quad, places);
}

/* ---- bf16 by pairs ---- */

/* Bytes that pick the two activations (bf16) of a group out of its 4, by nibble. */
INLINE lane_dwords dwords_pair_bytes(lane_dwords meta, const int g)
{
    const lane_dwords table =
        _mm512_setr_epi32(0x01000100, 0x01000302, 0x01000504, 0x01000706, 0x03020100, 0x03020302,
                          0x03020504, 0x03020706, 0x05040100, 0x05040302, 0x05040504, 0x05040706,
                          0x07060100, 0x07060302, 0x07060504, 0x07060706);

    return _mm512_permutexvar_epi32(_mm512_srli_epi32(meta, (unsigned)(4 * g)), table);
}

INLINE lane_dwords dwords_all_of_8(const void *from)
{
    long long bits;

    __builtin_memcpy(&bits, from, 8);
    return _mm512_set1_epi64(bits);
}

INLINE lane_dwords dwords_all_of_4(const void *from)
{
    int bits;

    __builtin_memcpy(&bits, from, 4);
    return _mm512_set1_epi32(bits);
}

INLINE lane_dwords dwords_bytes(lane_dwords bytes, lane_dwords places)
{
    return _mm512_shuffle_epi8(bytes, places);
}

INLINE lane_values lanes_dot_bf16(lane_values sum, lane_dwords x, lane_dwords w)
{
#if defined __AVX512BF16__
    return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)w);
#else
    sum = lanes_fma(lanes_of_later(x), lanes_of_later(w), sum);
    return lanes_fma(lanes_of_earlier(x), lanes_of_earlier(w), sum);
#endif
}

#endif
