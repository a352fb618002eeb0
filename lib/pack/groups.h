/* Groups of four that keep two, for layouts that put such groups elsewhere than side by side: a
 * nibble and two values each. Knows no layout. */
#ifndef S24I_PACK_GROUPS_H
#define S24I_PACK_GROUPS_H
#include "pack.h"
#include <string.h>

/* What a row is packed from. */
typedef struct s24i_weights {
    const s24i_packing *p;
    s24_mat w, mask;
} s24i_weights;

/* The bits of one weight, 0 for -0 and where the mask is 0; kept: it needs a place. */
static inline uint32_t s24i_weight_bits(const s24i_weights *k, int64_t row, int64_t col, bool *kept)
{
    const s24_mat *mats[] = {&k->w, &k->mask};
    const char *at[2] = {0};
    size_t size = (size_t)s24i_dtype_size(k->p->dtype);
    uint32_t bits = 0, sign = k->p->dtype == S24_I8 ? 0 : 1u << (8 * size - 1);

    for (int i = 0; i < (k->mask.data ? 2 : 1); i++)
        at[i] = (const char *)mats[i]->data +
                (size_t)((mats[i]->rows > 1 ? row * mats[i]->row_stride : 0) +
                         (mats[i]->cols > 1 ? col * mats[i]->col_stride : 0)) *
                    (i ? 1 : size);
    memcpy(&bits, at[0], size);
    bits = bits & ~sign ? bits : 0;
    *kept = k->mask.data ? *at[1] != 0 : bits != 0;
    return *kept ? bits : 0;
}

/* Group g of row `row`: parts 0 and 1 are the kept values (two a group) and the nibbles. */
static inline char *s24i_group_values(const s24i_packing *p, int64_t row, int64_t g)
{
    return (char *)p->part[0].data +
           (size_t)((row * p->part[0].cols + 2 * g) * s24i_dtype_size(p->dtype));
}

static inline uint8_t *s24i_group_nibble(const s24i_packing *p, int64_t row, int64_t g)
{
    return (uint8_t *)p->part[1].data + row * p->part[1].cols + g / 2;
}

/* flags: which of the four are kept; false: they are more than two. */
static inline bool s24i_group_put(const s24i_packing *p, int64_t row, int64_t g, uint32_t flags,
                                  const uint32_t bits[4])
{
    uint8_t nibble = s24i_half_nibble(flags, 4);
    size_t size = (size_t)s24i_dtype_size(p->dtype);
    char *values = s24i_group_values(p, row, g);

    if (!nibble)
        return false;
    *s24i_group_nibble(p, row, g) |= (uint8_t)(nibble << 4 * (g & 1));
    for (uint32_t places = s24i_half_places(nibble, 4); places; places &= places - 1) {
        memcpy(values, &bits[__builtin_ctz(places)], size);
        values += size;
    }
    return true;
}

/* The places that it keeps, rising, and their bits; false: its nibble names none. */
static inline bool s24i_group_get(const s24i_packing *p, int64_t row, int64_t g, int32_t place[2],
                                  uint32_t bits[2])
{
    uint8_t nibble = *s24i_group_nibble(p, row, g) >> 4 * (g & 1) & 0xF;
    size_t size = (size_t)s24i_dtype_size(p->dtype);
    const char *values = s24i_group_values(p, row, g);

    place[0] = nibble & 3;
    place[1] = nibble >> 2;
    bits[0] = bits[1] = 0;
    memcpy(&bits[0], values, size);
    memcpy(&bits[1], values + size, size);
    return place[0] < place[1];
}

/* Parts 0 and 1, for so many groups a row. */
static inline void s24i_group_parts(s24i_packing *p, int64_t groups)
{
    s24i_packing_part(p, "values", p->dtype, p->rows, 2 * groups);
    s24i_packing_part(p, "nibbles", S24_U8, p->rows, (groups + 1) / 2);
}

static inline s24_status s24i_weights_open(const s24i_packing *p, const s24i_pack_source *source,
                                           s24i_weights *k)
{
    *k = (s24i_weights){.p = p};
    s24_status status = source->matrix(source, "weights", &k->w);

    return status ? status : source->matrix(source, "mask", &k->mask);
}

/* S24_E_FORMAT unless the nibble of the group, and the last half byte of a row, are as they have
 * to be. */
static inline s24_status s24i_group_check(const s24i_packing *p, int64_t row, int64_t g,
                                          int64_t groups)
{
    int32_t place[2];
    uint32_t bits[2];

    if (!s24i_group_get(p, row, g, place, bits))
        return s24i_fail(S24_E_FORMAT,
                         "row %lld, group %lld: its nibble names places %d and %d, which do not "
                         "rise",
                         (long long)row, (long long)g, (int)place[0], (int)place[1]);
    if (g == groups - 1 && groups % 2 && *s24i_group_nibble(p, row, g) >> 4)
        return s24i_fail(S24_E_FORMAT, "row %lld: a nibble beyond the %lld groups is not 0",
                         (long long)row, (long long)groups);
    return S24_OK;
}

#endif
