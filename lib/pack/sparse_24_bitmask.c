#include "pack.h"
#include <string.h>

/*
 * The checkpoint format of compressed-tensors: "compressed" is the row-major matrix of kept
 * weights; bit j of byte b of a row of "bitmask" is set when column 8 b + j is kept, exactly two of
 * each four; "shape" is rows and cols.
 */

static s24_status plan(s24i_packing *p, const s24i_pack_source *source)
{
    s24i_packing_part(p, "compressed", p->dtype, p->rows, p->cols / 2);
    s24i_packing_part(p, "bitmask", S24_U8, p->rows, (p->cols + 7) / 8);
    s24i_packing_part(p, "shape", S24_I64, 2, 1);
    return s24i_half_plan(p, 4, 1, 4);
}

static void put(const s24i_packing *p, int64_t row, const s24i_half_row *from)
{
    uint8_t *bits = (uint8_t *)p->part[1].data + row * p->part[1].cols;

    s24i_half_put_values(p, row, from);
    for (int64_t g = 0; g < p->cols / 4; g++) {
        uint32_t kept = 1u << (from->nibbles[g] & 3) | 1u << (from->nibbles[g] >> 2);
        bits[g / 2] |= (uint8_t)(kept << 4 * (g & 1));
    }
}

static void get(const s24i_packing *p, int64_t row, const s24i_half_row *to)
{
    const uint8_t *bits = (const uint8_t *)p->part[1].data + row * p->part[1].cols;

    s24i_half_get_values(p, row, to);
    for (int64_t g = 0; g < p->cols / 4; g++) {
        uint32_t kept = bits[g / 2] >> 4 * (g & 1) & 0xF, rest = kept & (kept - 1);
        bool two = rest && !(rest & (rest - 1));
        to->nibbles[g] = two ? (uint8_t)(__builtin_ctz(kept) | __builtin_ctz(rest) << 2) : 0;
    }
}

static s24_status pack(const s24i_packing *p, const s24i_pack_source *source,
                       const s24i_pack_tools *tools)
{
    memcpy(p->part[2].data, (const int64_t[2]){p->rows, p->cols}, 2 * sizeof(int64_t));
    return s24i_half_pack(p, source, tools);
}

static s24_status check(const s24i_packing *p, const s24i_pack_tools *tools)
{
    const uint8_t *bits = p->part[1].data;
    int64_t shape[2];

    memcpy(shape, p->part[2].data, sizeof shape);
    if (shape[0] != p->rows || shape[1] != p->cols)
        return s24i_fail(S24_E_FORMAT, "\"shape\" says %lld x %lld, but the matrix is %lld x %lld",
                         (long long)shape[0], (long long)shape[1], (long long)p->rows,
                         (long long)p->cols);
    for (int64_t row = 0; p->cols % 8 && row < p->rows; row++)
        if (bits[(row + 1) * p->part[1].cols - 1] >> 4)
            return s24i_fail(S24_E_FORMAT, "row %lld: \"bitmask\" marks columns beyond %lld",
                             (long long)row, (long long)p->cols);
    return s24i_half_check(p, tools);
}

const s24i_layout s24i_layout_sparse_24_bitmask = {
    .name = "sparse-24-bitmask",
    .help = "2:4 as compressed-tensors stored it up to 0.14: kept values and a bit a weight",
    .dtypes = {S24_F32, S24_F16, S24_BF16, S24_I8},
    .plan = plan,
    .pack = pack,
    .check = check,
    .unpack_row = s24i_half_unpack_row,
    .put = put,
    .get = get,
};
