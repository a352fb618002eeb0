/* One value of each of 8 rows (or groups) in an AVX2 register, under the names in which the headers
 * of lanes/ are written. Knows no kernel. */
#ifndef S24I_AVX2_LANES_H
#define S24I_AVX2_LANES_H
#include <immintrin.h>
#include <stdint.h>

enum {
    LANES = 8, /* in a register */
    WIDE = 3,  /* registers that the sums of one column are in */
};

typedef __m256 lane_values;
typedef __m256i lane_keys; /* non-negative */
typedef __m256i lane_mask; /* which lanes: all bits set or none */

static inline lane_values lanes_load(const float *x)
{
    return _mm256_loadu_ps(x);
}

static inline void lanes_store(float *x, lane_values value)
{
    _mm256_storeu_ps(x, value);
}

static inline lane_values lanes_all(float x)
{
    return _mm256_set1_ps(x);
}

static inline lane_values lanes_zero(void)
{
    return _mm256_setzero_ps();
}

static inline lane_values lanes_fma(lane_values x, lane_values y, lane_values z)
{
    return _mm256_fmadd_ps(x, y, z);
}

static inline lane_values lanes_sub(lane_values x, lane_values y)
{
    return _mm256_sub_ps(x, y);
}

static inline lane_values lanes_mul(lane_values x, lane_values y)
{
    return _mm256_mul_ps(x, y);
}

static inline lane_values lanes_add(lane_values x, lane_values y)
{
    return _mm256_add_ps(x, y);
}

/* x < y ? x : y */
static inline lane_values lanes_min(lane_values x, lane_values y)
{
    return _mm256_min_ps(x, y);
}

/* x > y ? x : y */
static inline lane_values lanes_max(lane_values x, lane_values y)
{
    return _mm256_max_ps(x, y);
}

/* The power of two that brings a value >= 0 into 1 .. 4; of one beyond it, or infinite, 2^-126. */
static inline lane_values lanes_unit(lane_values x)
{
    __m256i exponent = _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7f800000));
    __m256i unit = _mm256_sub_epi32(_mm256_set1_epi32(0x7f000000), exponent);
    return _mm256_castsi256_ps(_mm256_max_epi32(unit, _mm256_set1_epi32(0x00800000)));
}

/* Bit i: x > y in lane i. */
static inline uint32_t lanes_greater(lane_values x, lane_values y)
{
    return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(x, y, _CMP_GT_OQ));
}

/* Integers below 256, one byte a lane. */
static inline void lanes_store_bytes(uint8_t *bytes, lane_values x)
{
    __m256i words = _mm256_cvtps_epi32(x);
    __m128i halves =
        _mm_packs_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storel_epi64((__m128i *)bytes, _mm_packus_epi16(halves, halves));
}

static inline lane_values lanes_choose(lane_mask mask, lane_values yes, lane_values no)
{
    return _mm256_blendv_ps(no, yes, _mm256_castsi256_ps(mask));
}

/* |x| as an integer, which orders as |x| does. */
static inline lane_keys lanes_key(lane_values x)
{
    return _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fffffff));
}

static inline lane_keys keys_zero(void)
{
    return _mm256_setzero_si256();
}

static inline lane_keys keys_all(int32_t x)
{
    return _mm256_set1_epi32(x);
}

static inline lane_keys keys_min(lane_keys x, lane_keys y)
{
    return _mm256_min_epi32(x, y);
}

static inline lane_keys keys_max(lane_keys x, lane_keys y)
{
    return _mm256_max_epi32(x, y);
}

static inline lane_mask keys_greater(lane_keys x, lane_keys y)
{
    return _mm256_cmpgt_epi32(x, y);
}

static inline lane_mask keys_equal(lane_keys x, lane_keys y)
{
    return _mm256_cmpeq_epi32(x, y);
}

/* One less in the lanes of the mask. */
static inline lane_keys keys_count_down(lane_keys count, lane_mask mask)
{
    return _mm256_add_epi32(count, mask);
}

static inline lane_mask mask_and(lane_mask x, lane_mask y)
{
    return _mm256_and_si256(x, y);
}

static inline lane_mask mask_or(lane_mask x, lane_mask y)
{
    return _mm256_or_si256(x, y);
}

static inline lane_mask mask_not(lane_mask x)
{
    return _mm256_xor_si256(x, _mm256_set1_epi32(-1));
}

static inline lane_mask majority(lane_mask x, lane_mask y, lane_mask z)
{
    return mask_or(mask_and(x, y), mask_and(z, mask_or(x, y)));
}

/* Which 2 of 4 keys are the largest, the first of equal ones. */
static inline void keys_keep_24(const lane_keys key[4], lane_mask kept[4])
{
    /* x<i><j> where j goes before i < j. */
    lane_mask x01 = keys_greater(key[1], key[0]), x02 = keys_greater(key[2], key[0]);
    lane_mask x03 = keys_greater(key[3], key[0]), x12 = keys_greater(key[2], key[1]);
    lane_mask x13 = keys_greater(key[3], key[1]), x23 = keys_greater(key[3], key[2]);
    kept[0] = mask_not(majority(x01, x02, x03));
    kept[1] = majority(x01, mask_not(x12), mask_not(x13));
    kept[2] = majority(x02, x12, mask_not(x23));
    kept[3] = majority(x03, x13, x23);
}

/* One byte a lane. */
static inline lane_mask mask_load(const uint8_t *bytes)
{
    __m256i x = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)bytes));
    return _mm256_cmpgt_epi32(x, _mm256_setzero_si256());
}

static inline void mask_store(uint8_t *bytes, lane_mask mask)
{
    __m128i words =
        _mm_packs_epi32(_mm256_castsi256_si128(mask), _mm256_extracti128_si256(mask, 1));
    __m128i kept = _mm_abs_epi8(_mm_packs_epi16(words, words));
    _mm_storel_epi64((__m128i *)bytes, kept);
}

/* x[i * stride + j] for i, j < LANES to y[j * ldy + i]. */
static inline void lanes_transpose(const float *x, int64_t stride, float *y, int64_t ldy)
{
    __m256 r[8], s[8];
    for (int i = 0; i < 8; ++i)
        r[i] = _mm256_loadu_ps(x + i * stride);
    for (int i = 0; i < 8; i += 2) { /* pairs of rows, interleaved within 128 bits */
        s[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        s[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) /* r[i + k]: columns k and k + 4 of rows i .. i + 3 */
        for (int k = 0; k < 2; ++k) {
            __m256d a = _mm256_castps_pd(s[i + k]), b = _mm256_castps_pd(s[i + k + 2]);
            r[i + 2 * k] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, b));
            r[i + 2 * k + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, b));
        }
    for (int k = 0; k < 4; ++k) {
        _mm256_storeu_ps(y + k * ldy, _mm256_permute2f128_ps(r[k], r[k + 4], 0x20));
        _mm256_storeu_ps(y + (k + 4) * ldy, _mm256_permute2f128_ps(r[k], r[k + 4], 0x31));
    }
}

#endif
