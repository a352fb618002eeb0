#include "gptq.h"

enum { QWEIGHT, QZEROS, SCALES, G_IDX, MOST_BITS = 8 };

static s24_status find_bits(s24i_packing *p, const s24i_pack_source *source)
{
    s24i_codes c;
    size_t weights = s24i_mul((size_t)p->rows, (size_t)p->cols);

    if (source) {
        s24_status status = s24i_codes_read(p, source, MOST_BITS, false, &c);
        p->own[0] = c.bits <= 2 ? 2 : c.bits <= 4 ? 4 : 8;
        p->own[1] = c.groups;
        return status;
    }
    p->own[0] = 4;
    while (p->own[0] > 2 && p->part[QWEIGHT].size < weights * (size_t)p->own[0] / 8)
        p->own[0] /= 2;
    if (p->part[QWEIGHT].size > weights * (size_t)p->own[0] / 8)
        p->own[0] = 8;
    p->own[1] = (int64_t)(p->part[SCALES].size / 2) / p->rows;
    return p->own[1] > 0 && p->own[1] <= p->cols
               ? S24_OK
               : s24i_fail(S24_E_SHAPE,
                           "part 2, \"scales\", has %zu bytes: not of 1 to %lld groups",
                           p->part[SCALES].size, (long long)p->cols);
}

s24_status s24i_gptq_plan(s24i_packing *p, const s24i_pack_source *source)
{
    s24_status status = find_bits(p, source);
    int64_t bits = p->own[0], groups = p->own[1];

    if (status)
        return status;
    if (p->cols % (32 / bits) || p->rows % (32 / bits))
        return s24i_fail(S24_E_SHAPE,
                         "layout %s with %d bits needs rows and columns in multiples of %d, not "
                         "%lld x %lld",
                         p->layout->name, (int)bits, (int)(32 / bits), (long long)p->rows,
                         (long long)p->cols);
    s24i_packing_part(p, "qweight", S24_I32, p->cols * bits / 32, p->rows);
    s24i_packing_part(p, "qzeros", S24_I32, groups, p->rows * bits / 32);
    s24i_packing_part(p, "scales", S24_F16, groups, p->rows);
    s24i_packing_vector(p, "g_idx", S24_I32, p->cols);
    return S24_OK;
}

/* Where the word is that holds code j of a row, and that holds the row's zero of a group. */
static char *weight_word(const s24i_packing *p, int64_t row, int64_t j)
{
    return (char *)p->part[QWEIGHT].data + (j * p->own[0] / 32 * p->rows + row) * 4;
}

static char *zero_words(const s24i_packing *p, int64_t group)
{
    return (char *)p->part[QZEROS].data + group * p->part[QZEROS].cols * 4;
}

static int64_t group_of(const s24i_packing *p, int64_t j)
{
    int32_t group;

    memcpy(&group, (const char *)p->part[G_IDX].data + 4 * j, 4);
    return group;
}

typedef struct {
    const s24i_packing *p;
    s24i_codes c;
} packing;

static s24_status pack_row(void *arg, int64_t row, void *scratch)
{
    const packing *w = arg;
    const s24i_packing *p = w->p;
    int32_t bits = (int32_t)p->own[0];
    s24_status status = s24i_codes_check_row(p, &w->c, row);

    (void)scratch;
    for (int64_t j = 0; !status && j < p->cols; j++)
        s24i_put_field(weight_word(p, row, j), j % (32 / bits), bits, w->c.code[row * p->cols + j]);
    for (int64_t g = 0; !status && g < w->c.groups; g++) {
        int64_t at = row * w->c.groups + g;
        int zero = w->c.zero[at] - (int)p->own[S24I_GPTQ_LESS];
        if (zero < 0 || zero >> bits)
            return s24i_fail(
                S24_E_STATE, "zeros: row %lld, group %lld is %d, but layout %s holds %d .. %d",
                (long long)row, (long long)g, (int)w->c.zero[at], p->layout->name,
                (int)p->own[S24I_GPTQ_LESS], (1 << bits) - 1 + (int)p->own[S24I_GPTQ_LESS]);
        s24i_put_field(zero_words(p, g), row, bits, (uint32_t)zero);
        memcpy((char *)p->part[SCALES].data + 2 * (g * p->rows + row), w->c.scale + at, 2);
    }
    return status;
}

s24_status s24i_gptq_pack(const s24i_packing *p, const s24i_pack_source *source,
                          const s24i_pack_tools *tools)
{
    packing w = {.p = p};
    s24_status status = s24i_codes_read(p, source, MOST_BITS, false, &w.c);

    for (int64_t j = 0; !status && j < p->cols; j++) {
        int32_t group = (int32_t)(j / w.c.group);
        memcpy((char *)p->part[G_IDX].data + 4 * j, &group, 4);
    }
    return status ? status : s24i_pack_rows(tools, p->rows, 0, pack_row, &w);
}

s24_status s24i_gptq_check(const s24i_packing *p, const s24i_pack_tools *tools)
{
    (void)tools;
    for (int64_t j = 0; j < p->cols; j++)
        if (group_of(p, j) < 0 || group_of(p, j) >= p->own[1])
            return s24i_fail(S24_E_FORMAT, "\"g_idx\": column %lld is in group %lld of %lld",
                             (long long)j, (long long)group_of(p, j), (long long)p->own[1]);
    return s24i_codes_check_scales(p->part[SCALES].data, p->own[1] * p->rows, p->rows, "scales");
}

void s24i_gptq_unpack_row(const s24i_packing *p, int64_t row, void *out, void *scratch)
{
    int32_t bits = (int32_t)p->own[0];
    float *v = out, less = (float)p->own[S24I_GPTQ_LESS];

    (void)scratch;
    for (int64_t j = 0; j < p->cols; j++) {
        int64_t g = group_of(p, j);
        float scale = s24i_f16_to_f32(s24i_half_at(p->part[SCALES].data, g * p->rows + row));
        float code = (float)s24i_field(weight_word(p, row, j), j % (32 / bits), bits);
        float zero = (float)s24i_field(zero_words(p, g), row, bits) + less;
        v[j] = scale * (code - zero);
    }
}
