#include "codes.h"

/* GGUF's Q4_0: blocks of 32 values, f16 d, then 16 bytes with code j in the low half of byte j and
 * code j + 16 in the high half; a value is d (code - 8). Grids of up to 4 bits in groups of 32: a
 * code moves by 8 - zero. */
enum { BITS = 4, MIDDLE = 8, HALF = S24I_PACK_BLOCK / 2 };

static s24_status plan(s24i_packing *p, const s24i_pack_source *source)
{
    return s24i_blocks_plan(p, source, S24I_GGUF_Q4_0, BITS, false);
}

typedef struct {
    const s24i_packing *p;
    s24i_codes c;
} packing;

static s24_status pack_row(void *arg, int64_t row, void *scratch)
{
    const packing *w = arg;
    s24_status status = s24i_codes_check_row(w->p, &w->c, row);

    (void)scratch;
    for (int64_t b = 0; !status && b < w->c.groups; b++) {
        int64_t at = row * w->c.groups + b;
        const uint8_t *code = w->c.code + row * w->p->cols + b * S24I_PACK_BLOCK;
        uint8_t *block = s24i_block_at(w->p, row, b);
        memcpy(block, w->c.scale + at, 2);
        for (int j = 0; !status && j < S24I_PACK_BLOCK; j++) {
            int moved = code[j] + MIDDLE - w->c.zero[at];
            if (moved < 0 || moved >> BITS)
                status = s24i_fail(S24_E_STATE,
                                   "row %lld, column %lld is %d steps from zero: layout %s holds "
                                   "-8 .. 7 (ask for sym)",
                                   (long long)row, (long long)(b * S24I_PACK_BLOCK + j),
                                   moved - MIDDLE, w->p->layout->name);
            else
                block[2 + j % HALF] |= (uint8_t)(moved << 4 * (j / HALF));
        }
    }
    return status;
}

static s24_status pack(const s24i_packing *p, const s24i_pack_source *source,
                       const s24i_pack_tools *tools)
{
    packing w = {.p = p};
    s24_status status = s24i_codes_read(p, source, BITS, false, &w.c);

    return status ? status : s24i_pack_rows(tools, p->rows, 0, pack_row, &w);
}

static s24_status check(const s24i_packing *p, const s24i_pack_tools *tools)
{
    (void)tools;
    return s24i_blocks_check(p, S24I_GGUF_Q4_0, 1);
}

static void unpack_row(const s24i_packing *p, int64_t row, void *out, void *scratch)
{
    (void)scratch;
    s24i_blocks_unpack_row(p, row, S24I_GGUF_Q4_0, out);
}

static void grid(const s24i_packing *p, int32_t *bits, int64_t *group)
{
    (void)p;
    *bits = BITS;
    *group = S24I_PACK_BLOCK;
}

static void codes(const s24i_packing *p, int64_t row, uint8_t *out, uint16_t *scales,
                  uint8_t *zeros)
{
    for (int64_t b = 0; b < p->cols / S24I_PACK_BLOCK; b++, out += S24I_PACK_BLOCK) {
        const uint8_t *block = s24i_block_at(p, row, b);
        scales[b] = s24i_half_at(block, 0);
        zeros[b] = MIDDLE;
        for (int j = 0; j < S24I_PACK_BLOCK; j++)
            out[j] = block[2 + j % HALF] >> 4 * (j / HALF) & 15;
    }
}

const s24i_layout s24i_layout_q4_0 = {
    .name = "q4_0",
    .help = "GGUF Q4_0: 4 bits in blocks of 32, zero in the middle",
    .dtypes = {S24_F32},
    .plan = plan,
    .pack = pack,
    .check = check,
    .unpack_row = unpack_row,
    .grid = grid,
    .codes = codes,
};
