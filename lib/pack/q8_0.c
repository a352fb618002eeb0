#include "codes.h"

/* GGUF's Q8_0: blocks of 32 values, f16 d, then 32 signed bytes; a value is d times its byte. Grids
 * of up to 8 bits in groups of 32: the byte is code - zero. */
enum { BITS = 8, MIDDLE = 128 };

static s24_status plan(s24i_packing *p, const s24i_pack_source *source)
{
    return s24i_blocks_plan(p, source, S24I_GGUF_Q8_0, BITS, false);
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
            int steps = code[j] - w->c.zero[at];
            if (steps < -128 || steps > 127)
                status = s24i_fail(S24_E_STATE,
                                   "row %lld, column %lld is %d steps from zero: layout %s holds "
                                   "-128 .. 127 (ask for sym)",
                                   (long long)row, (long long)(b * S24I_PACK_BLOCK + j), steps,
                                   w->p->layout->name);
            else
                block[2 + j] = (uint8_t)steps;
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
    return s24i_blocks_check(p, S24I_GGUF_Q8_0, 1);
}

static void unpack_row(const s24i_packing *p, int64_t row, void *out, void *scratch)
{
    (void)scratch;
    s24i_blocks_unpack_row(p, row, S24I_GGUF_Q8_0, out);
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
            out[j] = (uint8_t)(block[2 + j] ^ MIDDLE);
    }
}

const s24i_layout s24i_layout_q8_0 = {
    .name = "q8_0",
    .help = "GGUF Q8_0: 8 bits in blocks of 32",
    .dtypes = {S24_F32},
    .plan = plan,
    .pack = pack,
    .check = check,
    .unpack_row = unpack_row,
    .grid = grid,
    .codes = codes,
};
