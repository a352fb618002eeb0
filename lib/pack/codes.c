#include "codes.h"

static s24_status read_part(const s24i_packing *p, const s24i_pack_source *source, const char *name,
                            int64_t cols, int32_t dtype, const void **data)
{
    s24_mat mat;
    s24_status status = source->matrix(source, name, &mat);

    if (status)
        return status;
    if (mat.rows != p->rows || mat.cols != cols || (cols > 1 && mat.col_stride != 1) ||
        (mat.rows > 1 && mat.row_stride != cols))
        return s24i_fail(S24_E_SHAPE, "%s must be %lld x %lld and contiguous", name,
                         (long long)p->rows, (long long)cols);
    if (mat.dtype != dtype)
        return s24i_fail(S24_E_DTYPE, "layout %s holds %s %s: solve with scales=f16",
                         p->layout->name, dtype == S24_U8 ? "integer" : "f16", name);
    *data = mat.data;
    return S24_OK;
}

s24_status s24i_codes_read(const s24i_packing *p, const s24i_pack_source *source, int32_t bits,
                           bool real, s24i_codes *out)
{
    const void *code = NULL, *scale = NULL, *zero = NULL;
    s24_mat mask = {0};
    s24_status status = source->grid(source, &out->bits, &out->real, &out->group);

    if (status)
        return status;
    if (out->bits > bits)
        return s24i_fail(S24_E_UNSUPPORTED, "layout %s holds codes of %d bits, not of %d",
                         p->layout->name, (int)bits, (int)out->bits);
    if (out->real != real)
        return s24i_fail(S24_E_UNSUPPORTED, "layout %s holds %s zeros: ask for \"int%d%s\"",
                         p->layout->name, real ? "real" : "integer", (int)out->bits,
                         real ? " real" : "");
    out->group = out->group && out->group < p->cols ? out->group : p->cols;
    out->groups = (p->cols + out->group - 1) / out->group;
    status = read_part(p, source, "codes", p->cols, S24_U8, &code);
    if (!status)
        status = read_part(p, source, "scales", out->groups, S24_F16, &scale);
    if (!status)
        status = read_part(p, source, "zeros", out->groups, real ? S24_F16 : S24_U8, &zero);
    if (!status)
        status = source->matrix(source, "mask", &mask);
    out->code = code;
    out->scale = scale;
    out->zero = real ? NULL : zero;
    out->real_zero = real ? zero : NULL;
    out->mask = mask.data;
    return status;
}

s24_status s24i_codes_check_row(const s24i_packing *p, const s24i_codes *c, int64_t row)
{
    for (int64_t j = 0; j < p->cols; j++) {
        int64_t at = row * p->cols + j, group = row * c->groups + j / c->group;
        bool pruned = c->mask && !c->mask[at];
        bool zero = c->real ? s24i_f16_to_f32(c->scale[group]) * c->code[at] +
                                      s24i_f16_to_f32(c->real_zero[group]) ==
                                  0
                            : c->code[at] == c->zero[group];
        if (c->code[at] >> c->bits)
            return s24i_fail(S24_E_STATE, "codes: row %lld, column %lld is %d, beyond %d bits",
                             (long long)row, (long long)j, (int)c->code[at], (int)c->bits);
        if (pruned && !zero)
            return s24i_fail(S24_E_STATE,
                             "row %lld, column %lld is pruned, but its code decodes to another "
                             "value than 0",
                             (long long)row, (long long)j);
    }
    return S24_OK;
}

s24_status s24i_codes_check_scales(const void *scales, int64_t count, int64_t across,
                                   const char *name)
{
    for (int64_t i = 0; i < count; i++)
        if (!s24i_half_is_finite(s24i_half_at(scales, i)))
            return s24i_fail(S24_E_FORMAT, "\"%s\": row %lld, column %lld is not finite", name,
                             (long long)(i / across), (long long)(i % across));
    return S24_OK;
}

static int64_t bytes_of(uint32_t type)
{
    return s24i_element_by_gguf(type)->bits / 8;
}

s24_status s24i_blocks_plan(s24i_packing *p, const s24i_pack_source *source, uint32_t type,
                            int32_t bits, bool real)
{
    s24i_codes c;
    s24_status status = source ? s24i_codes_read(p, source, bits, real, &c) : S24_OK;

    if (!status && p->cols % S24I_PACK_BLOCK)
        status = s24i_fail(S24_E_SHAPE, "layout %s needs columns in multiples of 32, not %lld",
                           p->layout->name, (long long)p->cols);
    if (!status && source && c.group != S24I_PACK_BLOCK)
        status = s24i_fail(S24_E_UNSUPPORTED,
                           "layout %s has a scale for each 32 columns, not for %lld: ask for g32",
                           p->layout->name, (long long)c.group);
    if (!status)
        s24i_packing_part(p, "blocks", S24_U8, p->rows, p->cols / S24I_PACK_BLOCK * bytes_of(type));
    return status;
}

s24_status s24i_blocks_check(const s24i_packing *p, uint32_t type, int halves)
{
    const char *blocks = p->part[0].data;
    int64_t across = p->cols / S24I_PACK_BLOCK, bytes = bytes_of(type);

    for (int64_t b = 0; b < p->rows * across; b++)
        for (int k = 0; k < halves; k++)
            if (!s24i_half_is_finite(s24i_half_at(blocks + b * bytes, k)))
                return s24i_fail(S24_E_FORMAT, "row %lld, block %lld: its %s is not finite",
                                 (long long)(b / across), (long long)(b % across),
                                 k ? "minimum" : "scale");
    return S24_OK;
}

void s24i_blocks_unpack_row(const s24i_packing *p, int64_t row, uint32_t type, float *out)
{
    const s24i_element *element = s24i_element_by_gguf(type);
    const unsigned char *block = p->part[0].data;

    block += row * p->part[0].cols;
    for (int64_t j = 0; j < p->cols; j += S24I_PACK_BLOCK, block += element->bits / 8)
        element->decode(block, out + j);
}
