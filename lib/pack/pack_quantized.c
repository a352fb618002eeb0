#include "codes.h"

/*
 * pack-quantized of compressed-tensors: "weight_packed" int32, (rows, cols b / 32 rounded up), code
 * j of a row in bits b (j mod 32 / b) of its word, signed codes offset by 2^(b-1); "weight_scale"
 * f16, (rows, groups); "weight_shape" int64; where zeros are not all in the middle
 * "weight_zero_point" int32, (rows b / 32 rounded up, groups), packed along the outputs, offset in
 * the same way. b is 4 or 8; groups are of one size. Signed codes and zeros so offset are ours,
 * moved by 2^(b-1) - 2^(bits-1) where the grid has fewer bits.
 */
enum { PACKED, SCALE, SHAPE, ZERO, MOST_BITS = 8 };

static int64_t words(int64_t count, int64_t bits)
{
    return (count * bits + 31) / 32;
}

static bool in_the_middle(const s24i_packing *p, const s24i_codes *c)
{
    for (int64_t i = 0; i < p->rows * c->groups; i++)
        if (c->zero[i] != 1 << (c->bits - 1))
            return false;
    return true;
}

/* own: bits, groups, whether there are zeros. */
static s24_status find_bits(s24i_packing *p, const s24i_pack_source *source)
{
    s24i_codes c;

    if (source) {
        s24_status status = s24i_codes_read(p, source, MOST_BITS, false, &c);
        if (!status && c.group * c.groups != p->cols)
            status = s24i_fail(S24_E_SHAPE,
                               "layout %s needs groups of one size: %lld columns are not a "
                               "multiple of %lld",
                               p->layout->name, (long long)p->cols, (long long)c.group);
        p->own[0] = c.bits <= 4 ? 4 : 8;
        p->own[1] = c.groups;
        p->own[2] = !status && !in_the_middle(p, &c);
        return status;
    }
    p->own[0] = p->part[PACKED].size == (size_t)(p->rows * words(p->cols, 8)) * 4 ? 8 : 4;
    p->own[1] = (int64_t)(p->part[SCALE].size / 2) / p->rows;
    p->own[2] = p->part[ZERO].size > 0;
    return p->own[1] > 0 && p->cols % p->own[1] == 0
               ? S24_OK
               : s24i_fail(S24_E_SHAPE,
                           "part 1, \"weight_scale\", has %zu bytes: not of a number of groups "
                           "that divides %lld columns",
                           p->part[SCALE].size, (long long)p->cols);
}

static s24_status plan(s24i_packing *p, const s24i_pack_source *source)
{
    s24_status status = find_bits(p, source);

    if (status)
        return status;
    s24i_packing_part(p, "weight_packed", S24_I32, p->rows, words(p->cols, p->own[0]));
    s24i_packing_part(p, "weight_scale", S24_F16, p->rows, p->own[1]);
    s24i_packing_vector(p, "weight_shape", S24_I64, 2);
    if (p->own[2])
        s24i_packing_part(p, "weight_zero_point", S24_I32, words(p->rows, p->own[0]), p->own[1]);
    return S24_OK;
}

static char *row_words(const s24i_packing *p, int64_t row)
{
    return (char *)p->part[PACKED].data + row * p->part[PACKED].cols * 4;
}

/* The word with the row's zero of a group; its field is row mod 32 / b. */
static char *zero_word(const s24i_packing *p, int64_t row, int64_t group)
{
    return (char *)p->part[ZERO].data + (row * p->own[0] / 32 * p->own[1] + group) * 4;
}

typedef struct {
    const s24i_packing *p;
    s24i_codes c;
} packing;

static s24_status pack_row(void *arg, int64_t row, void *scratch)
{
    const packing *w = arg;
    const s24i_packing *p = w->p;
    int32_t bits = (int32_t)p->own[0], move = (1 << (bits - 1)) - (1 << (w->c.bits - 1));
    s24_status status = s24i_codes_check_row(p, &w->c, row);

    (void)scratch;
    for (int64_t j = 0; !status && j < p->cols; j++)
        s24i_put_field(row_words(p, row), j, bits, (uint32_t)(w->c.code[row * p->cols + j] + move));
    for (int64_t g = 0; !status && g < w->c.groups; g++) {
        int64_t at = row * w->c.groups + g;
        if (w->c.zero[at] >> w->c.bits)
            return s24i_fail(S24_E_STATE, "zeros: row %lld, group %lld is %d, beyond %d bits",
                             (long long)row, (long long)g, (int)w->c.zero[at], (int)w->c.bits);
        if (p->own[2])
            s24i_put_field(zero_word(p, row, g), row % (32 / bits), bits,
                           (uint32_t)(w->c.zero[at] + move));
        memcpy((char *)p->part[SCALE].data + 2 * at, w->c.scale + at, 2);
    }
    return status;
}

static s24_status pack(const s24i_packing *p, const s24i_pack_source *source,
                       const s24i_pack_tools *tools)
{
    packing w = {.p = p};
    int64_t shape[] = {p->rows, p->cols};
    s24_status status = s24i_codes_read(p, source, MOST_BITS, false, &w.c);

    memcpy(p->part[SHAPE].data, shape, sizeof shape);
    return status ? status : s24i_pack_rows(tools, p->rows, 0, pack_row, &w);
}

/* Fields past the last column, or past the last row. */
static s24_status check_padding(const s24i_packing *p)
{
    int64_t across = 32 / p->own[0];

    for (int64_t row = 0; row < p->rows; row++)
        for (int64_t j = p->cols; j % across; j++)
            if (s24i_field(row_words(p, row), j, (int32_t)p->own[0]))
                return s24i_fail(S24_E_FORMAT, "\"weight_packed\": row %lld has codes beyond %lld",
                                 (long long)row, (long long)p->cols);
    for (int64_t row = p->rows; p->own[2] && row % across; row++)
        for (int64_t g = 0; g < p->own[1]; g++)
            if (s24i_field(zero_word(p, row, g), row % across, (int32_t)p->own[0]))
                return s24i_fail(S24_E_FORMAT,
                                 "\"weight_zero_point\": group %lld has zeros beyond row %lld",
                                 (long long)g, (long long)p->rows - 1);
    return S24_OK;
}

static s24_status check(const s24i_packing *p, const s24i_pack_tools *tools)
{
    int64_t shape[2];

    (void)tools;
    memcpy(shape, p->part[SHAPE].data, sizeof shape);
    if (shape[0] != p->rows || shape[1] != p->cols)
        return s24i_fail(S24_E_FORMAT, "\"weight_shape\" says %lld x %lld, not %lld x %lld",
                         (long long)shape[0], (long long)shape[1], (long long)p->rows,
                         (long long)p->cols);
    s24_status status = check_padding(p);
    return status ? status
                  : s24i_codes_check_scales(p->part[SCALE].data, p->rows * p->own[1], p->own[1],
                                            "weight_scale");
}

static void unpack_row(const s24i_packing *p, int64_t row, void *out, void *scratch)
{
    int32_t bits = (int32_t)p->own[0];
    int64_t group = p->cols / p->own[1];
    float *v = out;

    (void)scratch;
    for (int64_t j = 0; j < p->cols; j++) {
        int64_t g = j / group;
        float zero = (float)(1 << (bits - 1));
        if (p->own[2])
            zero = (float)s24i_field(zero_word(p, row, g), row % (32 / bits), bits);
        v[j] = s24i_f16_to_f32(s24i_half_at(p->part[SCALE].data, row * p->own[1] + g)) *
               ((float)s24i_field(row_words(p, row), j, bits) - zero);
    }
}

static void grid(const s24i_packing *p, int32_t *bits, int64_t *group)
{
    *bits = (int32_t)p->own[0];
    *group = p->cols / p->own[1];
}

static void codes(const s24i_packing *p, int64_t row, uint8_t *out, uint16_t *scales,
                  uint8_t *zeros)
{
    int32_t bits = (int32_t)p->own[0];

    for (int64_t j = 0; j < p->cols; j++)
        out[j] = (uint8_t)s24i_field(row_words(p, row), j, bits);
    for (int64_t g = 0; g < p->own[1]; g++) {
        scales[g] = s24i_half_at(p->part[SCALE].data, row * p->own[1] + g);
        zeros[g] = (uint8_t)(1 << (bits - 1));
        if (p->own[2])
            zeros[g] = (uint8_t)s24i_field(zero_word(p, row, g), row % (32 / bits), bits);
    }
}

const s24i_layout s24i_layout_pack_quantized = {
    .name = "pack-quantized",
    .help = "compressed-tensors pack-quantized: 4 or 8 bits, groups of one size",
    .dtypes = {S24_F32},
    .plan = plan,
    .pack = pack,
    .check = check,
    .unpack_row = unpack_row,
    .grid = grid,
    .codes = codes,
};
