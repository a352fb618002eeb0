#include "codes.h"

/* GGUF's Q4_1: blocks of 32 values, f16 d and m, then 16 bytes with code j in the low half of byte
 * j and code j + 16 in the high half; a value is d code + m. Grids of up to 4 bits with real zeros
 * in groups of 32. */
enum { BITS = 4, HALF = S24I_PACK_BLOCK / 2 };

static s24_status plan(s24i_packing *p, const s24i_pack_source *source)
{
    return s24i_blocks_plan(p, source, S24I_GGUF_Q4_1, BITS, true);
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
        memcpy(block + 2, w->c.real_zero + at, 2);
        for (int j = 0; j < S24I_PACK_BLOCK; j++)
            block[4 + j % HALF] |= (uint8_t)(code[j] << 4 * (j / HALF));
    }
    return status;
}

static s24_status pack(const s24i_packing *p, const s24i_pack_source *source,
                       const s24i_pack_tools *tools)
{
    packing w = {.p = p};
    s24_status status = s24i_codes_read(p, source, BITS, true, &w.c);

    return status ? status : s24i_pack_rows(tools, p->rows, 0, pack_row, &w);
}

static s24_status check(const s24i_packing *p, const s24i_pack_tools *tools)
{
    (void)tools;
    return s24i_blocks_check(p, S24I_GGUF_Q4_1, 2);
}

static void unpack_row(const s24i_packing *p, int64_t row, void *out, void *scratch)
{
    (void)scratch;
    s24i_blocks_unpack_row(p, row, S24I_GGUF_Q4_1, out);
}

const s24i_layout s24i_layout_q4_1 = {
    .name = "q4_1",
    .help = "GGUF Q4_1: 4 bits in blocks of 32, a real minimum",
    .dtypes = {S24_F32},
    .plan = plan,
    .pack = pack,
    .check = check,
    .unpack_row = unpack_row,
};
