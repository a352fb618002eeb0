#include "pack.h"
#include <string.h>

/*
 * Neutral order: "values" is the row-major matrix of kept weights, "meta" the row-major nibbles,
 * two a byte, the earlier group in the low half; a row of an odd number of groups ends with four
 * zero bits.
 */

static s24_status plan(s24i_packing *p, const s24i_pack_source *source)
{
    s24i_packing_part(p, "values", p->dtype, p->rows, p->cols / 2);
    s24i_packing_part(p, "meta", S24_U8, p->rows, (p->cols + 7) / 8);
    return s24i_half_plan(p, 4, 1, 4);
}

static void put(const s24i_packing *p, int64_t row, const s24i_half_row *from)
{
    uint8_t *meta = (uint8_t *)p->part[1].data + row * p->part[1].cols;

    s24i_half_put_values(p, row, from);
    for (int64_t g = 0; g < p->cols / 4; g++)
        meta[g / 2] |= (uint8_t)(from->nibbles[g] << 4 * (g & 1));
}

static void get(const s24i_packing *p, int64_t row, const s24i_half_row *to)
{
    const uint8_t *meta = (const uint8_t *)p->part[1].data + row * p->part[1].cols;

    s24i_half_get_values(p, row, to);
    for (int64_t g = 0; g < p->cols / 4; g++)
        to->nibbles[g] = meta[g / 2] >> 4 * (g & 1) & 0xF;
}

static s24_status check(const s24i_packing *p, const s24i_pack_tools *tools)
{
    const uint8_t *meta = p->part[1].data;

    for (int64_t row = 0; p->cols % 8 && row < p->rows; row++)
        if (meta[(row + 1) * p->part[1].cols - 1] >> 4)
            return s24i_fail(S24_E_FORMAT, "row %lld: the last four bits of \"meta\" are not 0",
                             (long long)row);
    return s24i_half_check(p, tools);
}

const s24i_layout s24i_layout_nibble = {
    .name = "nibble",
    .help = "2:4, kept values and 2-bit indices, both row-major",
    .dtypes = {S24_F32, S24_F16, S24_BF16, S24_I8},
    .plan = plan,
    .pack = s24i_half_pack,
    .check = check,
    .unpack_row = s24i_half_unpack_row,
    .put = put,
    .get = get,
};
