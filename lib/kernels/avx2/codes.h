/* Codes in lanes and the activations (q + 128 in bytes) that meet them, in AVX2 registers, with
 * AVX-VNNI where the set has it, under the names in which lanes/codes.h is written. Knows no
 * kernel. */
#ifndef S24I_AVX2_CODES_H
#define S24I_AVX2_CODES_H
#include "kernels/inline.h"
#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

enum { CODE_LANES = 8, CODE_TOKENS = 8 };
#if defined __AVXVNNI__
enum { SHORT_SUMS = false };
#else
enum { SHORT_SUMS = true }; /* of 4-bit codes, in 16 bits, widened every 4 vectors */
#endif

typedef __m256i code_dwords;
typedef __m256 code_floats;

INLINE code_dwords codes_zero(void)
{
    return _mm256_setzero_si256();
}

INLINE code_dwords codes_load(const void *from)
{
    return _mm256_loadu_si256(from);
}

INLINE code_dwords codes_add(code_dwords x, code_dwords y)
{
    return _mm256_add_epi32(x, y);
}

INLINE code_dwords codes_subtract(code_dwords x, code_dwords y)
{
    return _mm256_sub_epi32(x, y);
}

/* 8 bytes, or 4, in all lanes. */
INLINE code_dwords codes_eight(const uint8_t *x)
{
    long long bits;

    __builtin_memcpy(&bits, x, 8);
    return _mm256_set1_epi64x(bits);
}

INLINE code_dwords codes_four(const uint8_t *x)
{
    int bits;

    __builtin_memcpy(&bits, x, 4);
    return _mm256_set1_epi32(bits);
}

INLINE code_dwords codes_pick(code_dwords eight, code_dwords places)
{
    return _mm256_shuffle_epi8(eight, places);
}

/* A row's indices at 8 i + 2 v, value v: their places among the 8 activations of two groups. */
INLINE code_dwords codes_places(code_dwords meta, const int v)
{
    return _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi32(meta, 2 * v), _mm256_set1_epi8(3)),
                           _mm256_set1_epi32(0x04040000));
}

/* Two groups in 6 bits: their 4 indices, a byte each. */
#define PAIR(early, late) \
    ((early & 3u) | (early >> 2 & 3u) << 8 | (late & 3u) << 16 | (uint32_t)(late >> 2 & 3u) << 24)
#define PAIRS(late)                                                                           \
    PAIR(0x4u, late), PAIR(0x8u, late), PAIR(0x9u, late), PAIR(0xCu, late), PAIR(0xDu, late), \
        PAIR(0xEu, late)

/* The metadata of p6 as that of the other layouts; nothing wide does it without vbmi. */
INLINE code_dwords codes_meta_of_pairs(const uint8_t *meta, const int part)
{
    static const uint32_t pairs[64] = {PAIRS(0x4u), PAIRS(0x8u), PAIRS(0x9u),
                                       PAIRS(0xCu), PAIRS(0xDu), PAIRS(0xEu)};
    uint32_t dwords[CODE_LANES];

    UNROLL
    for (int lane = 0; lane < CODE_LANES; ++lane) {
        const uint8_t *at = meta + 3 * (part * CODE_LANES + lane);
        uint32_t bits = at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16;
        dwords[lane] = pairs[bits & 63] | pairs[bits >> 6 & 63] << 2 | pairs[bits >> 12 & 63] << 4 |
                       pairs[bits >> 18] << 6;
    }
    return codes_load(dwords);
}

INLINE code_dwords codes_places_of_pairs(code_dwords meta, const int v)
{
    return codes_places(meta, v);
}

/* The signed low and high halves of bytes. */
INLINE code_dwords codes_low(code_dwords bytes)
{
    const __m256i table = _mm256_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1,
                                           0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1);

    return _mm256_shuffle_epi8(table, _mm256_and_si256(bytes, _mm256_set1_epi8(15)));
}

INLINE code_dwords codes_high(code_dwords bytes)
{
    return codes_low(_mm256_srli_epi16(bytes, 4));
}

/* A byte for each row, in all bytes of its lane. */
INLINE code_dwords codes_zeros(const uint8_t *zeros)
{
    __m128i bytes = _mm_loadl_epi64((const __m128i *)zeros);

    return _mm256_mullo_epi32(_mm256_cvtepu8_epi32(bytes), _mm256_set1_epi32(0x01010101));
}

INLINE code_dwords codes_less(code_dwords codes, code_dwords zeros)
{
    return _mm256_sub_epi8(codes, zeros);
}

/* sum + x w, x being q + 128: what 128 adds is taken off by the sum of 128 w, codes_bias(). */
INLINE code_dwords codes_step(code_dwords sum, code_dwords x, code_dwords w, const int bits)
{
#if defined __AVXVNNI__
    (void)bits;
    return _mm256_dpbusd_avx_epi32(sum, x, w);
#else
    if (bits == 4)
        return _mm256_add_epi16(sum, _mm256_maddubs_epi16(x, w));
    /* 255 * 127 twice is more than 16 bits hold: |w| and q with its sign instead. */
    x = _mm256_sign_epi8(_mm256_xor_si256(x, _mm256_set1_epi8(-128)), w);
    __m256i two = _mm256_maddubs_epi16(_mm256_abs_epi8(w), x);
    return _mm256_add_epi32(sum, _mm256_madd_epi16(two, _mm256_set1_epi16(1)));
#endif
}

INLINE code_dwords codes_bias(code_dwords sum, code_dwords w, const int bits)
{
    return bits == 8 && SHORT_SUMS ? sum : codes_step(sum, _mm256_set1_epi8(-128), w, bits);
}

/* Sums of 16 bits, less their bias, added to those of 32. */
INLINE code_dwords codes_widen(code_dwords sum, code_dwords words, code_dwords bias)
{
    __m256i difference = _mm256_sub_epi16(words, bias);

    return _mm256_add_epi32(sum, _mm256_madd_epi16(difference, _mm256_set1_epi16(1)));
}

INLINE code_floats codes_no_floats(void)
{
    return _mm256_setzero_ps();
}

INLINE code_floats codes_scales(const uint8_t *halves)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)halves));
}

/* y + sum * (scale * x_scale) */
INLINE code_floats codes_scaled(code_floats y, code_dwords sum, code_floats scale, float x_scale)
{
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(scale, _mm256_set1_ps(x_scale)),
                           y);
}

INLINE void codes_store(float *y, code_floats values)
{
    _mm256_storeu_ps(y, values);
}

#endif
