/* What layouts of values on a grid have in common: codes, scales and zeros as a solver left them,
 * fields of bits, and rows of values. Knows no layout. */
#ifndef S24I_PACK_CODES_H
#define S24I_PACK_CODES_H
#include "base/half.h"
#include "pack.h"
#include <string.h>

/* rows x cols codes; rows x groups scales (f16) and zeros. A value is scale (code - zero), or with
 * `real` zeros scale code + zero. */
typedef struct s24i_codes {
    int32_t bits;
    bool real;
    int64_t group, groups;
    const uint8_t *code, *zero; /* zero: codes; NULL with real ones */
    const uint16_t *scale, *real_zero;
    const uint8_t *mask; /* or NULL */
} s24i_codes;

/* From the source: S24_E_UNSUPPORTED when it has no grid, more than `bits`, or zeros of the other
 * kind; S24_E_DTYPE: scales are not f16. */
s24_status s24i_codes_read(const s24i_packing *p, const s24i_pack_source *source, int32_t bits,
                           bool real, s24i_codes *out);
/* What s24i_pack_rows() calls must check first of a row: S24_E_STATE names a code beyond the bits,
 * and a weight that is pruned but does not decode to 0. */
s24_status s24i_codes_check_row(const s24i_packing *p, const s24i_codes *c, int64_t row);
/* S24_E_FORMAT names the first scale (f16, `count` of them, `across` a row) that is not finite. */
s24_status s24i_codes_check_scales(const void *scales, int64_t count, int64_t across,
                                   const char *name);

/* Field `index` of `bits` (a divisor of 32) of little-endian words. */
static inline uint32_t s24i_field(const void *words, int64_t index, int32_t bits)
{
    uint32_t word;

    memcpy(&word, (const char *)words + index * bits / 32 * 4, 4);
    return word >> index * bits % 32 & (0xffu >> (8 - bits));
}

static inline void s24i_put_field(void *words, int64_t index, int32_t bits, uint32_t value)
{
    char *place = (char *)words + index * bits / 32 * 4;
    uint32_t word;

    memcpy(&word, place, 4);
    word |= value << index * bits % 32;
    memcpy(place, &word, 4);
}

static inline uint16_t s24i_half_at(const void *halves, int64_t index)
{
    uint16_t half;

    memcpy(&half, (const char *)halves + 2 * index, 2);
    return half;
}

static inline bool s24i_half_is_finite(uint16_t half)
{
    return (half & 0x7c00) != 0x7c00;
}

/* Layouts of GGUF's blocks of 32, one part "blocks"; `type` is the number there. */
#define S24I_PACK_BLOCK S24I_GGUF_BLOCK
s24_status s24i_blocks_plan(s24i_packing *p, const s24i_pack_source *source, uint32_t type,
                            int32_t bits, bool real);
/* Block b of a row. */
static inline uint8_t *s24i_block_at(const s24i_packing *p, int64_t row, int64_t b)
{
    int64_t bytes = p->part[0].cols / (p->cols / S24I_PACK_BLOCK);

    return (uint8_t *)p->part[0].data + row * p->part[0].cols + b * bytes;
}
/* The `halves` f16 numbers that each block begins with are finite. */
s24_status s24i_blocks_check(const s24i_packing *p, uint32_t type, int halves);
void s24i_blocks_unpack_row(const s24i_packing *p, int64_t row, uint32_t type, float *out);

#endif
