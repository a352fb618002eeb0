#include "groups.h"

/*
 * (2N - 2):2N as 2:4 (SlideSparse): each 2N inputs are read through N - 1 windows of four, two
 * apart, and a window keeps two. Weights go from left to right into the first window with room,
 * which never fails for up to 2N - 2 of them (docs/formats.md). The windows side by side are a 2:4
 * matrix of 4 (N - 1) cols / 2N columns; "lift" says which input each of these reads.
 */

enum { MOST_N = 32 };

static int64_t windows(const s24i_packing *p)
{
    return (p->own[0] - 1) * (p->cols / (2 * p->own[0]));
}

static int32_t lifted(const s24i_packing *p, int64_t column)
{
    int64_t n = p->own[0], window = column / 4;
    return (int32_t)(window / (n - 1) * 2 * n + window % (n - 1) * 2 + column % 4);
}

/* From the length of "lift": 2 cols (N - 1) / N. */
static int64_t n_of_parts(const s24i_packing *p)
{
    int64_t count = (int64_t)(p->part[2].size / sizeof(int32_t)), gap = 2 * p->cols - count;
    return gap > 0 && 2 * p->cols % gap == 0 ? 2 * p->cols / gap : 0;
}

static s24_status plan(s24i_packing *p, const s24i_pack_source *source)
{
    int64_t n = source ? p->number : n_of_parts(p);
    if (source && !p->number)
        return s24i_fail(S24_E_UNSUPPORTED, "layout window24 needs a number: \"window24:4\" packs "
                                            "6:8, \"window24:N\" (2N-2):2N");
    if (n < 2 || n > MOST_N)
        return s24i_fail(S24_E_SHAPE, "layout window24:%lld: N must be 2 to %d", (long long)n,
                         MOST_N);
    if (p->cols % (2 * n)) {
        int64_t near = n;
        while (near > 2 && p->cols % (2 * near))
            near--;
        return s24i_fail(S24_E_SHAPE,
                         "layout window24:%lld: the %lld columns are not a multiple of %lld%s%s",
                         (long long)n, (long long)p->cols, (long long)(2 * n),
                         p->cols % (2 * near) ? "" : "; a smaller N is possible",
                         p->cols % 4 ? ", and of no smaller window" : "");
    }
    p->own[0] = n;
    s24i_group_parts(p, windows(p));
    s24i_packing_vector(p, "lift", S24_I32, 4 * windows(p));
    return S24_OK;
}

/* One group of 2N inputs. */
static s24_status pack_group(const s24i_weights *k, int64_t row, int64_t group)
{
    int64_t n = k->p->own[0], first = group * 2 * n;
    uint32_t flags[MOST_N] = {0}, bits[MOST_N][4] = {{0}};
    for (int64_t i = 0; i < 2 * n; i++) {
        bool kept;
        uint32_t value = s24i_weight_bits(k, row, first + i, &kept);
        int64_t window = i / 2 > 0 ? i / 2 - 1 : 0, last = i / 2 < n - 1 ? i / 2 : n - 2;
        while (kept && window <= last && __builtin_popcount(flags[window]) == 2)
            window++;
        if (kept && window > last)
            return s24i_fail(S24_E_STATE,
                             "%s: row %lld, group %lld (columns %lld .. %lld) keeps more than %lld "
                             "of %lld, which layout window24:%lld holds",
                             k->mask.data ? "mask" : "w", (long long)row, (long long)group,
                             (long long)first, (long long)(first + 2 * n - 1),
                             (long long)(2 * n - 2), (long long)(2 * n), (long long)n);
        if (!kept)
            continue;
        flags[window] |= 1u << (i - 2 * window);
        bits[window][i - 2 * window] = value;
    }
    for (int64_t i = 0; i < n - 1; i++)
        s24i_group_put(k->p, row, group * (n - 1) + i, flags[i], bits[i]);
    return S24_OK;
}

static s24_status pack_row(void *arg, int64_t row, void *scratch)
{
    const s24i_weights *k = arg;
    s24_status status = S24_OK;
    (void)scratch;
    for (int64_t g = 0; !status && g < k->p->cols / (2 * k->p->own[0]); g++)
        status = pack_group(k, row, g);
    return status;
}

static s24_status pack(const s24i_packing *p, const s24i_pack_source *source,
                       const s24i_pack_tools *tools)
{
    s24i_weights k;
    s24_status status = s24i_weights_open(p, source, &k);
    for (int64_t c = 0; c < p->part[2].cols; c++)
        ((int32_t *)p->part[2].data)[c] = lifted(p, c);
    return status ? status : s24i_pack_rows(tools, p->rows, 0, pack_row, &k);
}

/* A window that is filled up names places with the value 0, which others may hold. */
static void unpack_row(const s24i_packing *p, int64_t row, void *out, void *scratch)
{
    size_t size = (size_t)s24i_dtype_size(p->dtype);
    int32_t place[2];
    uint32_t bits[2];
    (void)scratch;
    memset(out, 0, (size_t)p->cols * size);
    for (int64_t g = 0; g < windows(p); g++) {
        s24i_group_get(p, row, g, place, bits);
        for (int i = 0; i < 2; i++)
            if (bits[i])
                memcpy((char *)out + (size_t)lifted(p, 4 * g + place[i]) * size, &bits[i], size);
    }
}

/* scratch: a byte a column, 1 where it is held. */
static s24_status check_row(void *arg, int64_t row, void *scratch)
{
    const s24i_packing *p = arg;
    uint8_t *held = scratch;
    s24_status status = S24_OK;
    memset(held, 0, (size_t)p->cols);
    for (int64_t g = 0; !status && g < windows(p); g++) {
        int32_t place[2];
        uint32_t bits[2];
        status = s24i_group_check(p, row, g, windows(p));
        s24i_group_get(p, row, g, place, bits);
        for (int i = 0; !status && i < 2; i++) {
            int32_t column = lifted(p, 4 * g + place[i]);
            if (bits[i] && held[column]++)
                status = s24i_fail(S24_E_FORMAT, "row %lld: column %d is held by two windows",
                                   (long long)row, (int)column);
        }
    }
    return status;
}

static s24_status check(const s24i_packing *p, const s24i_pack_tools *tools)
{
    const int32_t *lift = p->part[2].data;
    for (int64_t c = 0; c < p->part[2].cols; c++)
        if (lift[c] != lifted(p, c))
            return s24i_fail(S24_E_FORMAT, "\"lift\": column %lld reads input %d, not %d",
                             (long long)c, (int)lift[c], (int)lifted(p, c));
    return s24i_pack_rows(tools, p->rows, (size_t)p->cols, check_row, (void *)(uintptr_t)p);
}

const s24i_layout s24i_layout_window24 = {
    .name = "window24",
    .help = "window24:N: (2N-2):2N as 2:4 of windows that overlap, and which input each reads",
    .dtypes = {S24_F32, S24_F16, S24_BF16, S24_I8},
    .numbered = true,
    .plan = plan,
    .pack = pack,
    .check = check,
    .unpack_row = unpack_row,
};
