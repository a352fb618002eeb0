#include "pack.h"
#include <string.h>

/*
 * Which two places a group's nibble names, by the flags of what is kept (bit i: place i). With two
 * flags there is no choice; with fewer the rest is filled as PyTorch and CUTLASS fill it: always
 * one of the six ordered pairs. More than two: 0.
 */
static const uint8_t nibble_of_four[16] = {
    [0x0] = 0xE, [0x1] = 0x8, [0x2] = 0x9, [0x4] = 0xE, [0x8] = 0xE, [0x3] = 0x4,
    [0x5] = 0x8, [0x6] = 0x9, [0x9] = 0xC, [0xA] = 0xD, [0xC] = 0xE,
};
static const uint8_t nibble_of_two[4] = {0xE, 0x4, 0xE, 0};

uint8_t s24i_half_nibble(uint32_t flags, int32_t width)
{
    return width == 2 ? nibble_of_two[flags] : nibble_of_four[flags];
}

uint32_t s24i_half_places(uint8_t nibble, int32_t width)
{
    if (width == 2)
        return nibble == 0x4 ? 1 : nibble == 0xE ? 2 : 0;
    return (nibble & 3) < nibble >> 2 ? 1u << (nibble & 3) | 1u << (nibble >> 2) : 0;
}

static s24i_half_row place_row(const s24i_packing *p, void *scratch)
{
    /* The padded columns are at most cols + 64: cols / 2 + 32 nibbles, then at most as many values
     * of 4 bytes, aligned. */
    return (s24i_half_row){scratch, (char *)scratch + ((size_t)p->cols + 64) * 4};
}

s24_status s24i_half_plan(s24i_packing *p, int32_t width, int64_t row_multiple,
                          int64_t col_multiple)
{
    if (p->cols % width)
        return s24i_half_check_shape(p, 1, width);
    p->width = width;
    p->padded_rows = (p->rows + row_multiple - 1) / row_multiple * row_multiple;
    p->padded_cols = (p->cols + col_multiple - 1) / col_multiple * col_multiple;
    return S24_OK;
}

s24_status s24i_half_check_shape(const s24i_packing *p, int64_t rows, int64_t cols)
{
    if (p->rows % rows == 0 && p->cols % cols == 0)
        return S24_OK;
    return s24i_fail(S24_E_SHAPE,
                     "the matrix is %lld x %lld, but layout %s with elements of %d bytes needs "
                     "multiples of %lld x %lld",
                     (long long)p->rows, (long long)p->cols, p->layout->name,
                     (int)s24i_dtype_size(p->dtype), (long long)rows, (long long)cols);
}

static size_t values_size(const s24i_packing *p)
{
    return (size_t)(p->cols / 2 * s24i_dtype_size(p->dtype));
}

void s24i_half_put_values(const s24i_packing *p, int64_t row, const s24i_half_row *from)
{
    memcpy((char *)p->part[0].data + (size_t)row * values_size(p), from->values, values_size(p));
}

void s24i_half_get_values(const s24i_packing *p, int64_t row, const s24i_half_row *to)
{
    memcpy(to->values, (char *)p->part[0].data + (size_t)row * values_size(p), values_size(p));
}

/* ---- Packing ---- */

typedef struct packing {
    const s24i_packing *p;
    s24_mat w, mask;
} packing;

static const char *element(const s24_mat *mat, int64_t row, int64_t col, size_t size)
{
    int64_t offset =
        (mat->rows > 1 ? row * mat->row_stride : 0) + (mat->cols > 1 ? col * mat->col_stride : 0);

    return (const char *)mat->data + (size_t)offset * size;
}

/* Copy one element, -0 as 0. True when it is not 0. */
static bool take(void *to, const void *from, int32_t dtype)
{
    size_t size = (size_t)s24i_dtype_size(dtype);
    uint32_t bits = 0, sign = dtype == S24_I8 ? 0 : 1u << (8 * size - 1);

    memcpy(&bits, from, size); /* little-endian, as all we run on */
    if (!(bits & ~sign))
        bits = 0;
    memcpy(to, &bits, size);
    return bits != 0;
}

static s24_status refuse(const packing *k, int64_t row, int64_t col, int32_t kept)
{
    int32_t width = k->p->width;

    return s24i_fail(S24_E_STATE,
                     "%s: row %lld, group %lld (columns %lld .. %lld) keeps %d, but layout %s "
                     "holds %d of %d",
                     k->mask.data ? "mask" : "w", (long long)row, (long long)(col / width),
                     (long long)col, (long long)(col + width - 1), (int)kept, k->p->layout->name,
                     width / 2, width);
}

/* The group at `col`: its nibble, and its kept weights to `values`. */
static s24_status pack_group(const packing *k, int64_t row, int64_t col, uint8_t *nibble,
                             char *values)
{
    int32_t width = k->p->width, dtype = k->p->dtype;
    size_t size = (size_t)s24i_dtype_size(dtype);
    char weights[4][4] = {{0}};
    uint32_t flags = 0;

    for (int32_t i = 0; i < width; i++) {
        bool keep = take(weights[i], element(&k->w, row, col + i, size), dtype);
        if (k->mask.data)
            keep = *element(&k->mask, row, col + i, 1) != 0;
        if (!keep)
            memset(weights[i], 0, size);
        flags |= (uint32_t)keep << i;
    }
    *nibble = s24i_half_nibble(flags, width);
    if (!*nibble)
        return refuse(k, row, col, __builtin_popcount(flags));
    uint32_t places = s24i_half_places(*nibble, width);
    for (int32_t i = 0; i < width; i++)
        if (places >> i & 1) {
            memcpy(values, weights[i], size);
            values += size;
        }
    return S24_OK;
}

static s24_status pack_row(void *arg, int64_t row, void *scratch)
{
    const packing *k = arg;
    s24i_half_row out = place_row(k->p, scratch);
    int32_t width = k->p->width;
    size_t step = (size_t)(width / 2 * s24i_dtype_size(k->p->dtype));

    for (int64_t g = 0; g < k->p->padded_cols / width; g++) {
        char *values = (char *)out.values + (size_t)g * step;
        if (row < k->p->rows && g * width < k->p->cols) {
            s24_status status = pack_group(k, row, g * width, &out.nibbles[g], values);
            if (status)
                return status;
        } else {
            out.nibbles[g] = 0x4;
            memset(values, 0, step);
        }
    }
    k->p->layout->put(k->p, row, &out);
    return S24_OK;
}

s24_status s24i_half_pack(const s24i_packing *p, const s24i_pack_source *source,
                          const s24i_pack_tools *tools)
{
    packing k = {.p = p};
    s24_status status = source->matrix(source, "weights", &k.w);

    if (!status)
        status = source->matrix(source, "mask", &k.mask);
    if (status)
        return status;
    return s24i_pack_rows(tools, p->padded_rows, s24i_mul((size_t)p->cols + 64, 8), pack_row, &k);
}

/* ---- Checking and unpacking ---- */

static s24_status check_row(void *arg, int64_t row, void *scratch)
{
    const packing *k = arg;
    const s24i_packing *p = k->p;
    s24i_half_row in = place_row(p, scratch);
    int32_t width = k->p->width;
    size_t step = (size_t)(width / 2 * s24i_dtype_size(p->dtype));

    p->layout->get(p, row, &in);
    for (int64_t g = 0; g < k->p->padded_cols / width; g++) {
        const char *values = (const char *)in.values + (size_t)g * step;
        if (!s24i_half_places(in.nibbles[g], width))
            return s24i_fail(S24_E_FORMAT,
                             "row %lld, group %lld (columns %lld .. %lld): its index bits 0x%X do "
                             "not name %d of %d places in ascending order",
                             (long long)row, (long long)g, (long long)(g * width),
                             (long long)(g * width + width - 1), in.nibbles[g], width / 2, width);
        bool inside = row < p->rows && g * width < p->cols;
        if (!inside && (in.nibbles[g] != 0x4 || memcmp(values, (const char[8]){0}, step)))
            return s24i_fail(S24_E_FORMAT,
                             "row %lld, group %lld is padding beyond %lld x %lld, but does not "
                             "hold index bits 0x4 and zeros",
                             (long long)row, (long long)g, (long long)p->rows, (long long)p->cols);
    }
    return S24_OK;
}

s24_status s24i_half_check(const s24i_packing *p, const s24i_pack_tools *tools)
{
    packing k = {.p = p};

    return s24i_pack_rows(tools, p->padded_rows, s24i_mul((size_t)p->cols + 64, 8), check_row, &k);
}

void s24i_half_unpack_row(const s24i_packing *p, int64_t row, void *out, void *scratch)
{
    s24i_half_row in = place_row(p, scratch);
    size_t size = (size_t)s24i_dtype_size(p->dtype);
    const char *value = in.values;
    char *to = out;

    p->layout->get(p, row, &in);
    memset(out, 0, (size_t)p->cols * size);
    for (int64_t g = 0; g < p->cols / p->width; g++)
        for (uint32_t places = s24i_half_places(in.nibbles[g], p->width); places;
             places &= places - 1, value += size)
            memcpy(to + (size_t)(g * p->width + __builtin_ctz(places)) * size, value, size);
}
