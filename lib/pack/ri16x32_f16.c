#include "pack.h"
#include <string.h>

/*
 * ri16x32 with 16-bit floats as planes: after a tile's 16 dwords of nibbles come 16 times 32 bytes,
 * each the same kept value of all 16 rows. So one conversion from memory widens a value of all
 * rows, where pairs in dwords would first have to be taken apart. Padding: nibble 0x4, zeros.
 */
enum { ROWS = 16, COLS = 32, KEPT = COLS / 2, META = 64, TILE = META + ROWS * KEPT * 2 };

static s24_status plan(s24i_packing *p, const s24i_pack_source *source)
{
    s24_status status = s24i_half_plan(p, 4, ROWS, COLS);

    if (!status)
        s24i_packing_part(p, "tiles", S24_U8, p->padded_rows / ROWS, p->padded_cols / COLS * TILE);
    return status;
}

static char *tile_of(const s24i_packing *p, int64_t row, int64_t tile)
{
    return (char *)p->part[0].data + (row / ROWS * (p->padded_cols / COLS) + tile) * TILE;
}

static void put(const s24i_packing *p, int64_t row, const s24i_half_row *from)
{
    const uint16_t *values = from->values;

    for (int64_t tile = 0; tile < p->padded_cols / COLS; tile++) {
        char *at = tile_of(p, row, tile);
        uint32_t bits = 0;
        for (int32_t g = 0; g < COLS / 4; g++)
            bits |= (uint32_t)from->nibbles[tile * COLS / 4 + g] << 4 * g;
        memcpy(at + row % ROWS * 4, &bits, 4);
        for (int32_t k = 0; k < KEPT; k++)
            memcpy(at + META + (k * ROWS + row % ROWS) * 2, values++, 2);
    }
}

static void get(const s24i_packing *p, int64_t row, const s24i_half_row *to)
{
    uint16_t *values = to->values;

    for (int64_t tile = 0; tile < p->padded_cols / COLS; tile++) {
        const char *at = tile_of(p, row, tile);
        uint32_t bits;
        memcpy(&bits, at + row % ROWS * 4, 4);
        for (int32_t g = 0; g < COLS / 4; g++)
            to->nibbles[tile * COLS / 4 + g] = bits >> 4 * g & 0xF;
        for (int32_t k = 0; k < KEPT; k++)
            memcpy(values++, at + META + (k * ROWS + row % ROWS) * 2, 2);
    }
}

static s24_status lanes(const s24i_packing *p, int32_t activations, s24i_lanes *out)
{
    int64_t tiles = p->padded_cols / COLS;

    *out = (s24i_lanes){S24I_LANES_KERNEL(sparse_f16), .activations = S24_F32, .tiles = tiles,
                        .block = tiles * TILE};
    return s24i_lanes_check(p, activations ? activations : S24_F32, S24_F32, S24_F32);
}

const s24i_layout s24i_layout_ri16x32_f16 = {
    .name = "ri16x32-f16",
    .help = "2:4 as ri16x32, 16-bit floats as planes of 16 rows",
    .dtypes = {S24_F16},
    .plan = plan,
    .pack = s24i_half_pack,
    .check = s24i_half_check,
    .unpack_row = s24i_half_unpack_row,
    .put = put,
    .get = get,
    .lanes = lanes,
};
