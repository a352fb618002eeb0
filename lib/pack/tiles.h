/*
 * What the layouts of codes with the row as vector lane have in common. One part "stream": 16 rows
 * after 16 rows, and of each group after group of columns. A group is its 16 scales (f16), with
 * zero points 16 signed bytes, then tiles of 16 rows x 32 columns: metadata, then codes. See
 * docs/formats.md.
 */
#ifndef S24I_PACK_TILES_H
#define S24I_PACK_TILES_H
#include "codes.h"

enum { S24I_TILE_ROWS = 16, S24I_TILE_COLS = 32 };
/* Bytes of metadata in a tile. */
enum { S24I_META_DENSE = 0, S24I_META_PAIRS = 48, S24I_META_INDICES = 64 };

/* s24i_packing.own */
enum { S24I_OWN_BITS, S24I_OWN_META, S24I_OWN_ZEROS, S24I_OWN_GROUP };

s24_status s24i_tiles_plan(s24i_packing *p, const s24i_pack_source *source, int32_t bits,
                           int32_t meta, bool zeros);
s24_status s24i_tiles_pack(const s24i_packing *p, const s24i_pack_source *source,
                           const s24i_pack_tools *tools);
s24_status s24i_tiles_check(const s24i_packing *p, const s24i_pack_tools *tools);
void s24i_tiles_unpack_row(const s24i_packing *p, int64_t row, void *out, void *scratch);

void s24i_tiles_grid(const s24i_packing *p, int32_t *bits, int64_t *group);
void s24i_tiles_codes(const s24i_packing *p, int64_t row, uint8_t *codes, uint16_t *scales,
                      uint8_t *zeros);
s24_status s24i_tiles_lanes(const s24i_packing *p, int32_t activations, s24i_lanes *out);

/* A layout of codes in tiles: its file in one line. */
#define S24I_TILES_LAYOUT(symbol, text, words, bits, meta, zeros)           \
    static s24_status plan(s24i_packing *p, const s24i_pack_source *source) \
    {                                                                       \
        return s24i_tiles_plan(p, source, bits, meta, zeros);               \
    }                                                                       \
    const s24i_layout s24i_layout_##symbol = {                              \
        .name = text,                                                       \
        .help = words,                                                      \
        .dtypes = {S24_F32},                                                \
        .plan = plan,                                                       \
        .pack = s24i_tiles_pack,                                            \
        .check = s24i_tiles_check,                                          \
        .unpack_row = s24i_tiles_unpack_row,                                \
        .lanes = s24i_tiles_lanes,                                          \
        .grid = s24i_tiles_grid,                                            \
        .codes = s24i_tiles_codes,                                          \
    };

#endif
