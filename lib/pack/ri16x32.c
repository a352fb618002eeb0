#include "pack.h"
#include <string.h>

/*
 * Our own execution layout. "tiles" holds tiles of 16 rows x 32 columns, the tiles of 16 rows one
 * after another along the columns. A tile is 16 dwords, one a row, of eight nibbles each; then
 * dwords of kept values, 16 (a row each) at a time: row = lane, so that one vector holds the same
 * kept values of all rows, and the nibbles select activations where they lie. Padding: nibble 0x4,
 * zeros.
 */
enum { ROWS = 16, COLS = 32, META = 64 };

static int64_t tile_size(const s24i_packing *p)
{
    return META + ROWS * COLS / 2 * s24i_dtype_size(p->dtype);
}

static s24_status plan(s24i_packing *p, const s24i_pack_source *source)
{
    s24_status status = s24i_half_plan(p, 4, ROWS, COLS);

    if (!status)
        s24i_packing_part(p, "tiles", S24_U8, p->padded_rows / ROWS,
                          p->padded_cols / COLS * tile_size(p));
    return status;
}

/* The row's dword `index` of a tile: 0 the nibbles, then the values. */
static char *dword(const s24i_packing *p, int64_t row, int64_t tile, int64_t index)
{
    int64_t tiles = p->padded_cols / COLS;

    return (char *)p->part[0].data + (row / ROWS * tiles + tile) * tile_size(p) + index * META +
           row % ROWS * 4;
}

static void put(const s24i_packing *p, int64_t row, const s24i_half_row *from)
{
    const char *values = from->values;
    int32_t dwords = COLS / 2 * s24i_dtype_size(p->dtype) / 4;

    for (int64_t tile = 0; tile < p->padded_cols / COLS; tile++) {
        uint32_t bits = 0;
        for (int32_t g = 0; g < COLS / 4; g++)
            bits |= (uint32_t)from->nibbles[tile * COLS / 4 + g] << 4 * g;
        memcpy(dword(p, row, tile, 0), &bits, 4);
        for (int32_t i = 0; i < dwords; i++, values += 4)
            memcpy(dword(p, row, tile, 1 + i), values, 4);
    }
}

static void get(const s24i_packing *p, int64_t row, const s24i_half_row *to)
{
    char *values = to->values;
    int32_t dwords = COLS / 2 * s24i_dtype_size(p->dtype) / 4;

    for (int64_t tile = 0; tile < p->padded_cols / COLS; tile++) {
        uint32_t bits;
        memcpy(&bits, dword(p, row, tile, 0), 4);
        for (int32_t g = 0; g < COLS / 4; g++)
            to->nibbles[tile * COLS / 4 + g] = bits >> 4 * g & 0xF;
        for (int32_t i = 0; i < dwords; i++, values += 4)
            memcpy(values, dword(p, row, tile, 1 + i), 4);
    }
}

/* 16-bit floats in pairs would have to be taken apart first, and so would the indices of codes. */
static s24_status lanes(const s24i_packing *p, int32_t activations, s24i_lanes *out)
{
    s24i_lanes f32 = {S24I_LANES_KERNEL(sparse_f32)}, bf16 = {S24I_LANES_KERNEL(sparse_bf16)},
               dot = {S24I_LANES_KERNEL(sparse_bf16_dot)};

    if (p->dtype != S24_F32 && p->dtype != S24_BF16)
        return s24i_fail(S24_E_UNSUPPORTED,
                         "layout ri16x32 has a fast product of f32 and bf16 only: use %s",
                         p->dtype == S24_F16 ? "ri16x32-f16" : "ri16x32-int8");
    activations = activations ? activations : S24_F32;
    s24_status status =
        s24i_lanes_check(p, activations, S24_F32, p->dtype == S24_BF16 ? S24_BF16 : S24_F32);
    *out = p->dtype == S24_F32 ? f32 : activations == S24_BF16 ? dot : bf16;
    out->activations = activations;
    out->tiles = p->padded_cols / COLS;
    out->block = out->tiles * tile_size(p);
    return status;
}

const s24i_layout s24i_layout_ri16x32 = {
    .name = "ri16x32",
    .help = "2:4 in tiles of 16 rows x 32 columns, the row as vector lane",
    .dtypes = {S24_F32, S24_F16, S24_BF16, S24_I8},
    .plan = plan,
    .pack = s24i_half_pack,
    .check = s24i_half_check,
    .unpack_row = s24i_half_unpack_row,
    .put = put,
    .get = get,
    .lanes = lanes,
};
