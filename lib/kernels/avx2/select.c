#include "kernels/avx2/lanes.h"
#include "kernels/table.h"
#include "kernels/lanes/select.h"
#include <string.h>

/* Bits of |w norm|, which order as the values do. norm may be NULL. */
static inline __m256i load_keys(const float *w, const float *norm, int64_t i)
{
    __m256 x = _mm256_loadu_ps(w + i);
    if (norm)
        x = _mm256_mul_ps(x, _mm256_loadu_ps(norm + i));
    return lanes_key(x);
}

static inline const float *advance(const float *norm, int64_t i)
{
    return norm ? norm + i : NULL;
}

/*
 * Each weight meets the other three of its group. One that comes round from the front of the group
 * goes before it when equal, so it is raised by one. Two or three that go before: dropped.
 */
static inline __m256i dropped_24(__m256i key)
{
    const __m256i front1 = _mm256_setr_epi32(0, 0, 0, 1, 0, 0, 0, 1);
    const __m256i front2 = _mm256_setr_epi32(0, 0, 1, 1, 0, 0, 1, 1);
    const __m256i front3 = _mm256_setr_epi32(0, 1, 1, 1, 0, 1, 1, 1);
    __m256i x = _mm256_add_epi32(_mm256_shuffle_epi32(key, 0x39), front1);
    __m256i y = _mm256_add_epi32(_mm256_shuffle_epi32(key, 0x4e), front2);
    __m256i z = _mm256_add_epi32(_mm256_shuffle_epi32(key, 0x93), front3);
    x = _mm256_cmpgt_epi32(x, key);
    y = _mm256_cmpgt_epi32(y, key);
    z = _mm256_cmpgt_epi32(z, key);
    __m256i either = _mm256_and_si256(z, _mm256_or_si256(x, y));
    return _mm256_or_si256(_mm256_and_si256(x, y), either);
}

/* Four registers of all bits or none to 32 bytes of 1 or 0. */
static inline void store_mask(uint8_t *mask, const __m256i kept[4])
{
    __m256i low = _mm256_packs_epi32(kept[0], kept[1]), high = _mm256_packs_epi32(kept[2], kept[3]);
    __m256i bytes = _mm256_abs_epi8(_mm256_packs_epi16(low, high)); /* fours, halves apart */
    __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_storeu_si256((__m256i *)mask, _mm256_permutevar8x32_epi32(bytes, order));
}

static inline void select_24(const float *w, const float *norm, uint8_t *mask, int64_t n)
{
    int64_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m256i kept[4];
        for (int part = 0; part < 4; ++part)
            kept[part] = mask_not(dropped_24(load_keys(w, norm, i + 8 * part)));
        store_mask(mask + i, kept);
    }
    s24i_ref_select_24(w + i, advance(norm, i), mask + i, n - i);
}

void s24i_avx2_select_24(const float *w, const float *norm, uint8_t *mask, int64_t n)
{
    if (norm)
        select_24(w, norm, mask, n);
    else
        select_24(w, NULL, mask, n);
}

/*
 * The rest of the group passes by each weight, one place a step: a rotation of every m lanes.
 * Whatever comes round from the front of the group goes before an equal weight, so it is raised by
 * one on the way.
 */
static inline __attribute__((always_inline)) __m256i
kept_by_rotation(__m256i key, int32_t keep, int32_t m, __m256i next, __m256i front)
{
    __m256i other = key, fewer = _mm256_set1_epi32(keep);
    for (int32_t step = 1; step < m; ++step) {
        other = _mm256_add_epi32(_mm256_permutevar8x32_epi32(other, next), front);
        fewer = keys_count_down(fewer, keys_greater(other, key));
    }
    return keys_greater(fewer, keys_zero());
}

/* m divides 8. */
static inline __attribute__((always_inline)) void select_by_rotation(const float *w,
                                                                     const float *norm,
                                                                     uint8_t *mask, int64_t n,
                                                                     int32_t keep, int32_t m)
{
    const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i within = _mm256_set1_epi32(m - 1);
    __m256i after = _mm256_and_si256(_mm256_add_epi32(index, _mm256_set1_epi32(1)), within);
    __m256i next = _mm256_or_si256(_mm256_andnot_si256(within, index), after);
    __m256i front = _mm256_abs_epi32(_mm256_cmpeq_epi32(after, _mm256_setzero_si256()));
    int64_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m256i kept[4];
        for (int part = 0; part < 4; ++part)
            kept[part] = kept_by_rotation(load_keys(w, norm, i + 8 * part), keep, m, next, front);
        store_mask(mask + i, kept);
    }
    s24i_ref_select_nm(w + i, advance(norm, i), mask + i, n - i, keep, m);
}

/* 8 groups; a last transpose and the last bytes may reach over the end. */
typedef struct groups {
    int32_t key[LANES * S24I_MAX_GROUP + LANES];
    uint8_t mask[LANES * S24I_MAX_GROUP + 64];
} groups;

static void load_groups(groups *set, const float *w, const float *norm, int64_t count)
{
    int64_t i = 0, left = count % 8;
    for (; i + 8 <= count; i += 8)
        _mm256_storeu_si256((__m256i *)(set->key + i), load_keys(w, norm, i));
    float last_w[8] = {0}, last_norm[8] = {0};
    memcpy(last_w, w + i, (size_t)left * sizeof *w);
    if (norm)
        memcpy(last_norm, norm + i, (size_t)left * sizeof *norm);
    __m256i last = load_keys(last_w, norm ? last_norm : NULL, 0);
    _mm256_storeu_si256((__m256i *)(set->key + i), last);
}

/* The keep-th largest key of each group. */
static void group_thresholds(const groups *set, int32_t keep, int32_t m, int32_t threshold[LANES])
{
    lane_keys column[S24I_MAX_GROUP];
    for (int32_t t = 0; t < m; t += LANES)
        lanes_transpose((const float *)set->key + t, m, (float *)&column[t], LANES);
    _mm256_storeu_si256((__m256i *)threshold, keys_kth_largest(column, m, keep));
}

static inline uint64_t lane_bits(__m256i mask)
{
    return (uint64_t)_mm256_movemask_ps(_mm256_castsi256_ps(mask));
}

/* 32 bits to 32 bytes of 1 or 0. */
static inline void store_bits(uint8_t *bytes, uint32_t bits)
{
    const __m256i eight =
        _mm256_set_epi64x(0x0303030303030303, 0x0202020202020202, 0x0101010101010101, 0);
    const __m256i one = _mm256_set1_epi64x((int64_t)0x8040201008040201);
    __m256i spread = _mm256_shuffle_epi8(_mm256_set1_epi32((int32_t)bits), eight);
    __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, one), one);
    _mm256_storeu_si256((__m256i *)bytes, _mm256_abs_epi8(set));
}

static void keep_group(const int32_t *key, int32_t threshold, uint8_t *mask, int32_t keep,
                       int32_t m)
{
    uint64_t above = 0, equal = 0, all = ~0ull >> (64 - m);
    for (int32_t t = 0; t < m; t += 8) {
        __m256i x = _mm256_loadu_si256((const __m256i *)(key + t));
        __m256i least = _mm256_set1_epi32(threshold);
        above |= lane_bits(_mm256_cmpgt_epi32(x, least)) << t;
        equal |= lane_bits(_mm256_cmpeq_epi32(x, least)) << t;
    }
    int room = keep - __builtin_popcountll(above & all); /* for equal ones, the first of them */
    uint64_t kept = above | _pdep_u64(~(~0ull << room), equal & all);
    store_bits(mask, (uint32_t)kept);
    store_bits(mask + 32, (uint32_t)(kept >> 32));
}

static void select_by_threshold(const float *w, const float *norm, uint8_t *mask, int64_t n,
                                int32_t keep, int32_t m)
{
    groups set = {0};
    int32_t threshold[LANES];
    for (int64_t first = 0; first < n; first += LANES * m) {
        int64_t count = n - first < LANES * m ? n - first : LANES * m;
        load_groups(&set, w + first, norm ? norm + first : NULL, count);
        group_thresholds(&set, keep, m, threshold);
        for (int32_t g = 0; g * m < count;
             ++g) /* what a group writes beyond its end is the next one's */
            keep_group(set.key + g * m, threshold[g], set.mask + g * m, keep, m);
        memcpy(mask + first, set.mask, (size_t)count);
    }
}

void s24i_avx2_select_nm(const float *w, const float *norm, uint8_t *mask, int64_t n, int32_t keep,
                         int32_t m)
{
    if (keep == m)
        memset(mask, 1, (size_t)n);
    else if (keep == 2 && m == 4)
        s24i_avx2_select_24(w, norm, mask, n);
    else if (m == 2)
        select_by_rotation(w, norm, mask, n, keep, 2);
    else if (m == 4)
        select_by_rotation(w, norm, mask, n, keep, 4);
    else if (m == 8)
        select_by_rotation(w, norm, mask, n, keep, 8);
    else
        select_by_threshold(w, norm, mask, n, keep, m);
}

static inline __m256 magnitude(const float *w)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), _mm256_loadu_ps(w));
}

void s24i_avx2_score(const float *w, const float *norm, float *score, int64_t n)
{
    int64_t i = 0;
    if (norm)
        for (; i + 8 <= n; i += 8)
            _mm256_storeu_ps(score + i, _mm256_mul_ps(magnitude(w + i), _mm256_loadu_ps(norm + i)));
    else
        for (; i + 8 <= n; i += 8)
            _mm256_storeu_ps(score + i, magnitude(w + i));
    s24i_ref_score(w + i, advance(norm, i), score + i, n - i);
}

void s24i_avx2_apply_mask(const float *w, const uint8_t *mask, float *v, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 kept = _mm256_castsi256_ps(mask_load(mask + i));
        _mm256_storeu_ps(v + i, _mm256_and_ps(_mm256_loadu_ps(w + i), kept));
    }
    s24i_ref_apply_mask(w + i, mask + i, v + i, n - i);
}

int64_t s24i_avx2_first_nonfinite(const float *x, int64_t n)
{
    const __m256i largest = _mm256_set1_epi32(0x7f7fffff);
    int64_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m256i key = load_keys(x, NULL, i);
        for (int part = 8; part < 32; part += 8)
            key = _mm256_max_epi32(key, load_keys(x, NULL, i + part));
        if (_mm256_movemask_epi8(_mm256_cmpgt_epi32(key, largest)))
            break;
    }
    int64_t found = s24i_ref_first_nonfinite(x + i, n - i);
    return found < 0 ? found : i + found;
}

void s24i_avx2_multiply(const float *x, const float *y, float *out, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
    s24i_ref_multiply(x + i, y + i, out + i, n - i);
}
