/* Codes in lanes and the activations (q + 128 in bytes) that meet them, in AVX-512 registers with
 * VNNI, VBMI and GFNI, under the names in which lanes/codes.h is written. Without these, AVX2 is as
 * good. Knows no kernel. */
#ifndef S24I_AVX512_CODES_H
#define S24I_AVX512_CODES_H
#if !defined __AVX512VNNI__ || !defined __AVX512VBMI__ || !defined __GFNI__
#include "kernels/avx2/codes.h"
#else
#include "kernels/inline.h"
#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

enum { CODE_LANES = 16, CODE_TOKENS = 16, SHORT_SUMS = false };

typedef __m512i code_dwords;
typedef __m512 code_floats;

INLINE code_dwords codes_zero(void)
{
    return _mm512_setzero_si512();
}

INLINE code_dwords codes_load(const void *from)
{
    return _mm512_loadu_si512(from);
}

INLINE code_dwords codes_add(code_dwords x, code_dwords y)
{
    return _mm512_add_epi32(x, y);
}

INLINE code_dwords codes_subtract(code_dwords x, code_dwords y)
{
    return _mm512_sub_epi32(x, y);
}

/* 8 bytes, or 4, in all lanes. */
INLINE code_dwords codes_eight(const uint8_t *x)
{
    long long bits;

    __builtin_memcpy(&bits, x, 8);
    return _mm512_set1_epi64(bits);
}

INLINE code_dwords codes_four(const uint8_t *x)
{
    int bits;

    __builtin_memcpy(&bits, x, 4);
    return _mm512_set1_epi32(bits);
}

INLINE code_dwords codes_pick(code_dwords eight, code_dwords places)
{
    return _mm512_shuffle_epi8(eight, places);
}

/* (x & 3) | places of the second group: the last two bytes of a lane. */
INLINE code_dwords codes_in_two_groups(code_dwords x)
{
    return _mm512_ternarylogic_epi32(x, _mm512_set1_epi8(3), _mm512_set1_epi32(0x04040000), 0xEA);
}

/* A row's indices at 8 i + 2 v, value v: their places among the 8 activations of two groups. */
INLINE code_dwords codes_places(code_dwords meta, const int v)
{
    return codes_in_two_groups(_mm512_srli_epi32(meta, (unsigned)(2 * v)));
}

#define NIBBLES(late)                                                                              \
    (0x4 | late << 4), (0x8 | late << 4), (0x9 | late << 4), (0xC | late << 4), (0xD | late << 4), \
        (0xE | late << 4)

/* Two groups in 6 bits as two nibbles in 8: a row's 3 bytes to its lane's 4 fields, and those
 * through a table, of whose index the processor reads 6 bits. */
INLINE code_dwords codes_meta_of_pairs(const uint8_t *meta, const int part)
{
    static const uint8_t nibbles[64] = {NIBBLES(0x4), NIBBLES(0x8), NIBBLES(0x9),
                                        NIBBLES(0xC), NIBBLES(0xD), NIBBLES(0xE)};
    static const uint8_t spread[64] = {0,  1,  2,  3,  4,  5,  0, 0, 6,  7,  8,  9,  10, 11, 0, 0,
                                       12, 13, 14, 15, 16, 17, 0, 0, 18, 19, 20, 21, 22, 23, 0, 0,
                                       24, 25, 26, 27, 28, 29, 0, 0, 30, 31, 32, 33, 34, 35, 0, 0,
                                       36, 37, 38, 39, 40, 41, 0, 0, 42, 43, 44, 45, 46, 47, 0, 0};
    const __m512i fields = _mm512_set1_epi64(0x2a241e18120c0600); /* 0, 6, 12 ... */

    (void)part;
    __m512i rows = _mm512_permutexvar_epi8(codes_load(spread), codes_load(meta));
    __m512i pairs = _mm512_multishift_epi64_epi8(fields, rows);
    return _mm512_permutexvar_epi8(pairs, codes_load(nibbles));
}

/* Of such nibbles, where the indices of vector v are bits 8 v + 2 i. */
INLINE code_dwords codes_places_of_pairs(code_dwords meta, const int v)
{
    const __m512i from =
        _mm512_add_epi8(_mm512_set1_epi64(0x2624222006040200), _mm512_set1_epi8((char)(8 * v)));

    return codes_in_two_groups(_mm512_multishift_epi64_epi8(from, meta));
}

/* The signed low and high halves of bytes, as an affine map of bits. */
INLINE code_dwords codes_low(code_dwords bytes)
{
    return _mm512_gf2p8affine_epi64_epi8(bytes, _mm512_set1_epi64(0x0102040808080808), 0);
}

INLINE code_dwords codes_high(code_dwords bytes)
{
    return _mm512_gf2p8affine_epi64_epi8(bytes, _mm512_set1_epi64(0x1020408080808080), 0);
}

/* A byte for each row, in all bytes of its lane. */
INLINE code_dwords codes_zeros(const uint8_t *zeros)
{
    __m512i bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)zeros));

    return _mm512_mullo_epi32(bytes, _mm512_set1_epi32(0x01010101));
}

INLINE code_dwords codes_less(code_dwords codes, code_dwords zeros)
{
    return _mm512_sub_epi8(codes, zeros);
}

/* sum + x w, x being q + 128: what 128 adds is taken off by the sum of 128 w, codes_bias(). */
INLINE code_dwords codes_step(code_dwords sum, code_dwords x, code_dwords w, const int bits)
{
    (void)bits;
    return _mm512_dpbusd_epi32(sum, x, w);
}

INLINE code_dwords codes_bias(code_dwords sum, code_dwords w, const int bits)
{
    return codes_step(sum, _mm512_set1_epi8(-128), w, bits);
}

INLINE code_dwords codes_widen(code_dwords sum, code_dwords words, code_dwords bias)
{
    (void)words, (void)bias;
    return sum;
}

INLINE code_floats codes_no_floats(void)
{
    return _mm512_setzero_ps();
}

INLINE code_floats codes_scales(const uint8_t *halves)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)halves));
}

/* y + sum * (scale * x_scale) */
INLINE code_floats codes_scaled(code_floats y, code_dwords sum, code_floats scale, float x_scale)
{
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(scale, _mm512_set1_ps(x_scale)),
                           y);
}

INLINE void codes_store(float *y, code_floats values)
{
    _mm512_storeu_ps(y, values);
}

#endif
#endif
