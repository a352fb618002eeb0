#include "kernels/avx512/lanes.h"
#include "kernels/table.h"
#include "kernels/avx512/tail.h"
#include "kernels/inline.h"
#include "kernels/lanes/select.h"
#include <string.h>

/* Bits of |w norm|, which order as the values do. norm may be NULL. */
static inline __m512i load_keys(const float *w, const float *norm, int64_t i, __mmask16 lanes)
{
    __m512 x = _mm512_maskz_loadu_ps(lanes, w + i);
    if (norm)
        x = _mm512_mul_ps(x, _mm512_maskz_loadu_ps(lanes, norm + i));
    return lanes_key(x);
}

/* Counts below m, a power of two up to 16, for 64 weights: bit b of count i is bit i of plane b. */
typedef struct counts {
    uint64_t plane[4];
} counts;

INLINE void add_one(counts *count, uint64_t where, int32_t m)
{
    for (int b = 0; m >> b > 1; ++b) {
        uint64_t carry = count->plane[b] & where;
        count->plane[b] ^= where;
        where = carry;
    }
}

INLINE uint64_t less_than(const counts *count, int32_t limit, int32_t m)
{
    uint64_t less = 0;
    for (int b = 0; m >> b > 1; ++b) {
        uint64_t bit = limit >> b & 1 ? ~0ull : 0;
        less = (~count->plane[b] & bit) | (~(count->plane[b] ^ bit) & less);
    }
    return less;
}

/* Every group of m bits rotated: what was at t is at (t + step) mod m. */
INLINE uint64_t rotate_groups(uint64_t x, int32_t step, int32_t m)
{
    uint64_t every = ~0ull / (~0ull >> (64 - m)), wrapped = ((1ull << step) - 1) * every;
    return ((x << step) & ~wrapped) | ((x >> (m - step)) & wrapped);
}

/* A rotation of every m lanes by one place, and a one for the lane that gets the front of its
 * group. */
typedef struct rotation {
    __m512i next, front;
} rotation;

INLINE rotation make_rotation(int32_t m)
{
    const __m512i index = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m512i within = _mm512_set1_epi32(m - 1);
    __m512i after = _mm512_and_si512(_mm512_add_epi32(index, _mm512_set1_epi32(1)), within);
    __m512i front = _mm512_maskz_set1_epi32(_mm512_testn_epi32_mask(after, after), 1);
    return (rotation){_mm512_or_si512(_mm512_andnot_si512(within, index), after), front};
}

/*
 * The rest of the group passes by each weight, one place a step. Whatever comes round from the
 * front of the group goes before an equal weight, so it is raised by one on the way. Half a turn is
 * enough: the weight `step` places behind goes before this one unless this one, which is `step`
 * places in front of it, goes before it.
 */
INLINE uint64_t kept_by_rotation(const __m512i key[4], int32_t keep, int32_t m, rotation turn)
{
    __m512i other[4] = {key[0], key[1], key[2], key[3]};
    counts count = {{0}};
    for (int32_t step = 1; 2 * step <= m; ++step) {
        uint64_t before = 0;
        for (int part = 0; part < 4; ++part) {
            __m512i next = _mm512_permutexvar_epi32(turn.next, other[part]);
            other[part] = _mm512_add_epi32(next, turn.front);
            before |= (uint64_t)_mm512_cmpgt_epi32_mask(other[part], key[part]) << (16 * part);
        }
        add_one(&count, before, m);
        if (2 * step < m)
            add_one(&count, ~rotate_groups(before, step, m), m);
    }
    return less_than(&count, keep, m);
}

INLINE __m512i kept_64(const float *w, const float *norm, int64_t i, uint64_t lanes, int32_t keep,
                       int32_t m, rotation turn)
{
    __m512i key[4];
    for (int part = 0; part < 4; ++part)
        key[part] = load_keys(w, norm, i + 16 * part, (__mmask16)(lanes >> (16 * part)));
    return _mm512_maskz_set1_epi8(kept_by_rotation(key, keep, m, turn), 1);
}

INLINE void select_by_rotation(const float *w, const float *norm, uint8_t *mask, int64_t n,
                               int32_t keep, int32_t m)
{
    rotation turn = make_rotation(m);
    int64_t i = 0;
    for (; i + 64 <= n; i += 64)
        _mm512_storeu_si512(mask + i, kept_64(w, norm, i, ~0ull, keep, m, turn));
    uint64_t left = (1ull << (n - i)) - 1;
    _mm512_mask_storeu_epi8(mask + i, left, kept_64(w, norm, i, left, keep, m, turn));
}

void s24i_avx512_select_24(const float *w, const float *norm, uint8_t *mask, int64_t n)
{
    if (norm)
        select_by_rotation(w, norm, mask, n, 2, 4);
    else
        select_by_rotation(w, NULL, mask, n, 2, 4);
}

/* Keys of 16 groups, and room for a last transpose to read on. */
typedef struct group_keys {
    int32_t key[LANES * S24I_MAX_GROUP + LANES];
} group_keys;

/* The keep-th largest key of each of 16 groups. */
static void group_thresholds(const group_keys *groups, int32_t keep, int32_t m,
                             int32_t threshold[LANES])
{
    lane_keys column[S24I_MAX_GROUP];
    for (int32_t t = 0; t < m; t += LANES)
        lanes_transpose((const float *)groups->key + t, m, (float *)&column[t], LANES);
    _mm512_storeu_si512(threshold, keys_kth_largest(column, m, keep));
}

static void keep_group(const int32_t *key, int32_t threshold, uint8_t *mask, int32_t keep,
                       int32_t m)
{
    uint64_t above = 0, equal = 0;
    for (int32_t t = 0; t < m; t += 16) {
        __m512i x = _mm512_loadu_si512(key + t), least = _mm512_set1_epi32(threshold);
        above |= (uint64_t)_mm512_cmpgt_epi32_mask(x, least) << t;
        equal |= (uint64_t)_mm512_cmpeq_epi32_mask(x, least) << t;
    }
    uint64_t all = ~0ull >> (64 - m);
    above &= all;
    int room = keep - __builtin_popcountll(above); /* for equal ones, the first of them */
    uint64_t kept = above | _pdep_u64(~(~0ull << room), equal & all);
    _mm512_mask_storeu_epi8(mask, all, _mm512_maskz_set1_epi8(kept, 1));
}

static void select_by_threshold(const float *w, const float *norm, uint8_t *mask, int64_t n,
                                int32_t keep, int32_t m)
{
    group_keys groups = {0};
    int32_t threshold[LANES];
    for (int64_t first = 0; first < n; first += LANES * m) {
        int64_t count = n - first < LANES * m ? n - first : LANES * m;
        for (int64_t i = 0; i < count; i += 16) {
            __mmask16 lanes = count - i < 16 ? s24i_first_lanes(count - i) : S24I_ALL16;
            _mm512_storeu_si512(groups.key + i, load_keys(w, norm, first + i, lanes));
        }
        group_thresholds(&groups, keep, m, threshold);
        for (int64_t g = 0; g * m < count; ++g)
            keep_group(groups.key + g * m, threshold[g], mask + first + g * m, keep, m);
    }
}

void s24i_avx512_select_nm(const float *w, const float *norm, uint8_t *mask, int64_t n,
                           int32_t keep, int32_t m)
{
    if (keep == m)
        memset(mask, 1, (size_t)n);
    else if (keep == 2 && m == 4)
        s24i_avx512_select_24(w, norm, mask, n);
    else if (m == 2)
        select_by_rotation(w, norm, mask, n, keep, 2);
    else if (m == 4)
        select_by_rotation(w, norm, mask, n, keep, 4);
    else if (m == 8)
        select_by_rotation(w, norm, mask, n, keep, 8);
    else if (m == 16)
        select_by_rotation(w, norm, mask, n, keep, 16);
    else
        select_by_threshold(w, norm, mask, n, keep, m);
}

static inline __m512 magnitude(const float *w, __mmask16 lanes)
{
    return _mm512_abs_ps(_mm512_maskz_loadu_ps(lanes, w));
}

void s24i_avx512_score(const float *w, const float *norm, float *score, int64_t n)
{
    int64_t i = 0;
    __mmask16 left = s24i_first_lanes(n % 16);
    if (!norm) {
        for (; i + 16 <= n; i += 16)
            _mm512_storeu_ps(score + i, magnitude(w + i, S24I_ALL16));
        _mm512_mask_storeu_ps(score + i, left, magnitude(w + i, left));
        return;
    }
    for (; i + 16 <= n; i += 16)
        _mm512_storeu_ps(score + i,
                         _mm512_mul_ps(magnitude(w + i, S24I_ALL16), _mm512_loadu_ps(norm + i)));
    __m512 last = _mm512_mul_ps(magnitude(w + i, left), _mm512_maskz_loadu_ps(left, norm + i));
    _mm512_mask_storeu_ps(score + i, left, last);
}

static inline __m512 masked(const float *w, const uint8_t *mask, __mmask16 lanes)
{
    __m128i kept = _mm_maskz_loadu_epi8(lanes, mask);
    return _mm512_maskz_mov_ps(_mm_test_epi8_mask(kept, kept), _mm512_maskz_loadu_ps(lanes, w));
}

void s24i_avx512_apply_mask(const float *w, const uint8_t *mask, float *v, int64_t n)
{
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        _mm512_storeu_ps(v + i, masked(w + i, mask + i, S24I_ALL16));
    __mmask16 left = s24i_first_lanes(n - i);
    _mm512_mask_storeu_ps(v + i, left, masked(w + i, mask + i, left));
}

static inline __mmask16 nonfinite(const float *x, __mmask16 lanes)
{
    __m512i key = lanes_key(_mm512_maskz_loadu_ps(lanes, x));
    return _mm512_cmpge_epi32_mask(key, _mm512_set1_epi32(0x7f800000));
}

int64_t s24i_avx512_first_nonfinite(const float *x, int64_t n)
{
    int64_t i = 0;
    for (; i + 64 <= n; i += 64) {
        __m512i key = lanes_key(_mm512_loadu_ps(x + i));
        for (int part = 16; part < 64; part += 16)
            key = _mm512_max_epi32(key, lanes_key(_mm512_loadu_ps(x + i + part)));
        if (_mm512_cmpge_epi32_mask(key, _mm512_set1_epi32(0x7f800000)))
            break;
    }
    for (; i < n; i += 16) {
        __mmask16 lanes = n - i < 16 ? s24i_first_lanes(n - i) : S24I_ALL16;
        __mmask16 found = nonfinite(x + i, lanes);
        if (found)
            return i + __builtin_ctz(found);
    }
    return -1;
}

void s24i_avx512_multiply(const float *x, const float *y, float *out, int64_t n)
{
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        _mm512_storeu_ps(out + i, _mm512_mul_ps(_mm512_loadu_ps(x + i), _mm512_loadu_ps(y + i)));
    __mmask16 left = s24i_first_lanes(n - i);
    _mm512_mask_storeu_ps(
        out + i, left,
        _mm512_mul_ps(_mm512_maskz_loadu_ps(left, x + i), _mm512_maskz_loadu_ps(left, y + i)));
}
