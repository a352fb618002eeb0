/* One value of each of 16 rows (or groups) in an AVX-512 register, under the names in which the
 * headers of lanes/ are written. Knows no kernel. */
#ifndef S24I_AVX512_LANES_H
#define S24I_AVX512_LANES_H
#include <immintrin.h>
#include <stdint.h>

enum {
    LANES = 16, /* in a register */
    WIDE = 4,   /* registers that the sums of one column are in */
};

typedef __m512 lane_values;
typedef __m512i lane_keys;   /* non-negative */
typedef __mmask16 lane_mask; /* which lanes */

static inline lane_values lanes_load(const float *x)
{
    return _mm512_loadu_ps(x);
}

static inline void lanes_store(float *x, lane_values value)
{
    _mm512_storeu_ps(x, value);
}

static inline lane_values lanes_all(float x)
{
    return _mm512_set1_ps(x);
}

static inline lane_values lanes_zero(void)
{
    return _mm512_setzero_ps();
}

static inline lane_values lanes_fma(lane_values x, lane_values y, lane_values z)
{
    return _mm512_fmadd_ps(x, y, z);
}

static inline lane_values lanes_sub(lane_values x, lane_values y)
{
    return _mm512_sub_ps(x, y);
}

static inline lane_values lanes_mul(lane_values x, lane_values y)
{
    return _mm512_mul_ps(x, y);
}

static inline lane_values lanes_add(lane_values x, lane_values y)
{
    return _mm512_add_ps(x, y);
}

/* x < y ? x : y */
static inline lane_values lanes_min(lane_values x, lane_values y)
{
    return _mm512_min_ps(x, y);
}

/* x > y ? x : y */
static inline lane_values lanes_max(lane_values x, lane_values y)
{
    return _mm512_max_ps(x, y);
}

/* The power of two that brings a value >= 0 into 1 .. 4; of one beyond it, or infinite, 2^-126. */
static inline lane_values lanes_unit(lane_values x)
{
    __m512i exponent = _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7f800000));
    __m512i unit = _mm512_sub_epi32(_mm512_set1_epi32(0x7f000000), exponent);
    return _mm512_castsi512_ps(_mm512_max_epi32(unit, _mm512_set1_epi32(0x00800000)));
}

/* Bit i: x > y in lane i. */
static inline uint32_t lanes_greater(lane_values x, lane_values y)
{
    return _mm512_cmp_ps_mask(x, y, _CMP_GT_OQ);
}

/* Integers below 256, one byte a lane. */
static inline void lanes_store_bytes(uint8_t *bytes, lane_values x)
{
    _mm_storeu_si128((__m128i *)bytes, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x)));
}

static inline lane_values lanes_choose(lane_mask mask, lane_values yes, lane_values no)
{
    return _mm512_mask_blend_ps(mask, no, yes);
}

/* |x| as an integer, which orders as |x| does. */
static inline lane_keys lanes_key(lane_values x)
{
    return _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fffffff));
}

static inline lane_keys keys_zero(void)
{
    return _mm512_setzero_si512();
}

static inline lane_keys keys_all(int32_t x)
{
    return _mm512_set1_epi32(x);
}

static inline lane_keys keys_min(lane_keys x, lane_keys y)
{
    return _mm512_min_epi32(x, y);
}

static inline lane_keys keys_max(lane_keys x, lane_keys y)
{
    return _mm512_max_epi32(x, y);
}

static inline lane_mask keys_greater(lane_keys x, lane_keys y)
{
    return _mm512_cmpgt_epi32_mask(x, y);
}

static inline lane_mask keys_equal(lane_keys x, lane_keys y)
{
    return _mm512_cmpeq_epi32_mask(x, y);
}

/* One less in the lanes of the mask. */
static inline lane_keys keys_count_down(lane_keys count, lane_mask mask)
{
    return _mm512_mask_sub_epi32(count, mask, count, _mm512_set1_epi32(1));
}

static inline lane_mask mask_and(lane_mask x, lane_mask y)
{
    return _kand_mask16(x, y);
}

static inline lane_mask mask_or(lane_mask x, lane_mask y)
{
    return _kor_mask16(x, y);
}

/* Which 2 of 4 keys are the largest, the first of equal ones. */
static inline void keys_keep_24(const lane_keys key[4], lane_mask kept[4])
{
    /* The sign of x<i><j> is set where j goes before i < j. */
    __m512i x01 = _mm512_sub_epi32(key[0], key[1]), x02 = _mm512_sub_epi32(key[0], key[2]);
    __m512i x03 = _mm512_sub_epi32(key[0], key[3]), x12 = _mm512_sub_epi32(key[1], key[2]);
    __m512i x13 = _mm512_sub_epi32(key[1], key[3]), x23 = _mm512_sub_epi32(key[2], key[3]);
    kept[0] = _mm512_movepi32_mask(_mm512_ternarylogic_epi32(x01, x02, x03, 0x17));
    kept[1] = _mm512_movepi32_mask(_mm512_ternarylogic_epi32(x01, x12, x13, 0x71));
    kept[2] = _mm512_movepi32_mask(_mm512_ternarylogic_epi32(x02, x12, x23, 0xd4));
    kept[3] = _mm512_movepi32_mask(_mm512_ternarylogic_epi32(x03, x13, x23, 0xe8));
}

/* One byte a lane. */
static inline lane_mask mask_load(const uint8_t *bytes)
{
    __m128i x = _mm_loadu_si128((const __m128i *)bytes);
    return _mm_test_epi8_mask(x, x);
}

static inline void mask_store(uint8_t *bytes, lane_mask mask)
{
    _mm_storeu_si128((__m128i *)bytes, _mm_maskz_set1_epi8(mask, 1));
}

/* x[i * stride + j] for i, j < LANES to y[j * ldy + i]. */
static inline void lanes_transpose(const float *x, int64_t stride, float *y, int64_t ldy)
{
    __m512 r[16], s[16];
    for (int i = 0; i < 16; ++i)
        r[i] = _mm512_loadu_ps(x + i * stride);
    for (int i = 0; i < 16; i += 2) { /* pairs of rows, interleaved within 128 bits */
        s[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        s[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16;
         i += 4) { /* r[i + k]: columns k, k + 4, k + 8, k + 12 of rows i .. i + 3 */
        for (int k = 0; k < 2; ++k) {
            __m512d a = _mm512_castps_pd(s[i + k]), b = _mm512_castps_pd(s[i + k + 2]);
            r[i + 2 * k] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            r[i + 2 * k + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
    }
    for (int k = 0; k < 4;
         ++k) { /* quarters: columns k, k + 8 and k + 4, k + 12 of two sets of four rows */
        s[k] = _mm512_shuffle_f32x4(r[k], r[k + 4], 0x88);
        s[k + 4] = _mm512_shuffle_f32x4(r[k], r[k + 4], 0xdd);
        s[k + 8] = _mm512_shuffle_f32x4(r[k + 8], r[k + 12], 0x88);
        s[k + 12] = _mm512_shuffle_f32x4(r[k + 8], r[k + 12], 0xdd);
    }
    for (int k = 0; k < 8; ++k) {
        _mm512_storeu_ps(y + k * ldy, _mm512_shuffle_f32x4(s[k], s[k + 8], 0x88));
        _mm512_storeu_ps(y + (k + 8) * ldy, _mm512_shuffle_f32x4(s[k], s[k + 8], 0xdd));
    }
}

#endif
