#include "api.h"
#include "pack/pack.h"
#include <string.h>

struct s24_packed {
    s24i_object object;
    s24i_packing packing;
    bool borrowed; /* the parts are the caller's */
};

static s24i_pack_tools tools_of(s24_ctx *ctx)
{
    return (s24i_pack_tools){&ctx->memory, &ctx->threads, &ctx->kernels};
}

/* ---- Making ---- */

/* Where a layout finds what it packs: weights and mask, then whatever else a result has, or the
 * codes that were given. */
typedef struct source {
    s24i_pack_source source;
    s24_mat weights, mask;
    const s24_result *result;              /* NULL: none */
    s24i_grid_form grid;                   /* how to read the codes; 0 bits: there are none */
    const s24_mat *codes, *scales, *zeros; /* given, or NULL */
} source;

static s24_status source_matrix(const s24i_pack_source *base, const char *name, s24_mat *view)
{
    const source *s = (const source *)base;
    const s24_result *result = s->result;
    const s24_mat *given = !strcmp(name, "weights")  ? &s->weights
                           : !strcmp(name, "mask")   ? &s->mask
                           : !strcmp(name, "codes")  ? s->codes
                           : !strcmp(name, "scales") ? s->scales
                           : !strcmp(name, "zeros")  ? s->zeros
                                                     : NULL;

    if (!given)
        return s24_result_matrix(result, name, view);
    if (given == &s->weights && !given->data)
        return s24i_fail(S24_E_UNSUPPORTED, "this layout needs weights: use s24_pack()");
    *view = *given;
    return S24_OK;
}

static s24_status source_grid(const s24i_pack_source *base, int32_t *bits, bool *real,
                              int64_t *group)
{
    const source *s = (const source *)base;
    s24_mat outliers;

    *bits = s->grid.bits;
    *real = s->grid.scheme == S24I_GRID_REAL;
    *group = s->grid.group;
    if (!s->grid.bits)
        return s24i_fail(S24_E_UNSUPPORTED, "this layout needs codes: of a result with a grid by "
                                            "s24_pack_result(), or given to s24_pack_codes()");
    return s->result && !s24_result_matrix(s->result, "outliers", &outliers)
               ? s24i_fail(S24_E_UNSUPPORTED, "the result has outliers, which codes do not hold")
               : S24_OK;
}

/* "ri16x32:bf16": the layout, and the type that the weights are rounded to, 0 for none. */
static s24_status parse_layout(const char *text, const s24i_layout **layout, int32_t *dtype)
{
    static const struct {
        const char *name;
        int32_t dtype;
    } types[] = {{"f32", S24_F32}, {"f16", S24_F16}, {"bf16", S24_BF16}};
    const char *colon = strchr(text, ':');
    char name[64];

    *dtype = 0;
    if (!colon || colon - text >= (ptrdiff_t)sizeof name)
        return s24i_layout_find(text, layout);
    memcpy(name, text, (size_t)(colon - text));
    name[colon - text] = 0;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(colon + 1, types[i].name))
            *dtype = types[i].dtype;
    if (!*dtype)
        return s24i_fail(S24_E_DTYPE, "layout \"%.80s\": after the colon must be f32, f16 or bf16",
                         text);
    return s24i_layout_find(name, layout);
}

static s24_status make_object(s24_ctx *ctx, const s24i_packing *packing, bool borrowed,
                              s24_packed **out)
{
    s24_packed *packed = s24i_alloc_zero(&ctx->memory, sizeof *packed);

    if (!packed)
        return S24_E_MEMORY;
    s24i_object_init(&packed->object, S24I_PACKED, ctx);
    packed->packing = *packing;
    packed->borrowed = borrowed;
    *out = packed;
    return S24_OK;
}

static s24_status pack(s24_ctx *ctx, s24i_packing *packing, const source *from, s24_packed **out)
{
    s24i_pack_tools tools = tools_of(ctx);
    s24_status status = s24i_packing_make(&tools, packing, &from->source);

    if (status)
        return status;
    status = make_object(ctx, packing, false, out);
    if (status)
        s24i_packing_free(&ctx->memory, packing);
    return status;
}

/* Pack a rounded copy of the weights. */
static s24_status pack_rounded(s24_ctx *ctx, s24i_packing *packing, source *from, s24_packed **out)
{
    size_t size = s24i_mul(s24i_mul((size_t)packing->rows, (size_t)packing->cols),
                           (size_t)s24i_dtype_size(packing->dtype));
    void *copy = s24i_alloc(&ctx->memory, size);
    s24_mat rounded = s24i_mat_plain(copy, packing->rows, packing->cols, packing->dtype);

    if (!copy)
        return S24_E_MEMORY;
    s24_status status = s24i_copy_mat(ctx, &from->weights, &rounded);
    from->weights = rounded;
    if (!status)
        status = pack(ctx, packing, from, out);
    s24i_free(&ctx->memory, copy, size);
    return status;
}

static s24_status check_weights(const s24_mat *w, const s24_mat *mask)
{
    s24_status status = s24i_check_mat(w, "w", S24I_ANY_TYPE);

    if (!status)
        status = s24i_check_dim(w->rows, "w: rows");
    if (!status)
        status = s24i_check_dim(w->cols, "w: cols");
    if (!status && mask)
        status = s24i_check_mat(mask, "mask", S24I_MASK_TYPE);
    if (!status && mask)
        status = s24i_check_shape(mask, "mask", w->rows, w->cols);
    return status;
}

static s24_status pack_source(s24_ctx *ctx, source *from, const char *layout, s24_packed **out)
{
    s24i_packing packing = {.rows = from->weights.rows, .cols = from->weights.cols};
    s24_status status = parse_layout(layout, &packing.layout, &packing.dtype);

    if (status)
        return status;
    from->source = (s24i_pack_source){source_matrix, source_grid};
    bool rounds = packing.dtype && packing.dtype != from->weights.dtype;
    if (!rounds)
        packing.dtype = from->weights.dtype;
    if (rounds && !from->weights.data)
        return s24i_fail(S24_E_DTYPE, "layout \"%.80s\": codes are not rounded to a type", layout);
    s24i_enter(ctx);
    status = rounds ? pack_rounded(ctx, &packing, from, out) : pack(ctx, &packing, from, out);
    s24i_leave(ctx);
    return status;
}

static s24_status check_call(s24_ctx *ctx, const char *layout, s24_packed **out)
{
    s24_status status = s24i_check_handle(ctx, S24I_CTX, "ctx");

    if (!status)
        status = s24i_check_pointer(layout, "layout");
    return status ? status : s24i_check_pointer(out, "out");
}

s24_status s24_pack(s24_ctx *ctx, const s24_mat *w, const s24_mat *mask, const char *layout,
                    s24_packed **out)
{
    s24_status status = check_call(ctx, layout, out);

    if (!status)
        status = check_weights(w, mask);
    if (status)
        return s24i_done(__func__, status);
    source from = {.weights = *w};
    if (mask)
        from.mask = *mask;
    return s24i_done(__func__, pack_source(ctx, &from, layout, out));
}

s24_status s24_pack_result(s24_ctx *ctx, const s24_result *result, const char *layout,
                           s24_packed **out)
{
    s24_status status = check_call(ctx, layout, out);

    if (!status)
        status = s24i_check_handle(result, S24I_RESULT, "result");
    if (status)
        return s24i_done(__func__, status);
    source from = {
        .weights = result->weights, .mask = result->mask, .result = result, .grid = result->grid};
    return s24i_done(__func__, pack_source(ctx, &from, layout, out));
}

static s24_status check_codes(const s24_mat *codes, const s24_mat *scales, const s24_mat *zeros)
{
    const s24_mat *mats[] = {codes, scales, zeros};
    static const char *const names[] = {"codes", "scales", "zeros"};
    s24_status status = S24_OK;

    for (int i = 0; i < 3 && !status; i++) {
        status = s24i_check_mat(mats[i], names[i], S24I_ANY_TYPE);
        if (!status)
            status = s24i_check_dim(mats[i]->rows, "codes, scales, zeros: rows");
        if (!status)
            status = s24i_check_dim(mats[i]->cols, "codes, scales, zeros: cols");
    }
    return status;
}

s24_status s24_pack_codes(s24_ctx *ctx, const char *grid, const s24_mat *codes,
                          const s24_mat *scales, const s24_mat *zeros, const char *layout,
                          s24_packed **out)
{
    s24_status status = check_call(ctx, layout, out);
    s24i_pattern pattern = {0};

    if (!status)
        status = s24i_check_pointer(grid, "grid");
    if (!status)
        status = check_codes(codes, scales, zeros);
    if (!status)
        status = s24i_constraints_parse(grid, codes->cols, &pattern);
    if (!status && pattern.grid.scheme == S24I_GRID_REAL && s24i_has_support(&pattern))
        status = s24i_fail(S24_E_UNSUPPORTED,
                           "grid \"%.64s\": where zeros are real numbers pruned weights have no "
                           "code: ask for sym, or pack the result",
                           grid);
    if (status)
        return s24i_done(__func__, status);
    source from = {.grid = pattern.grid, .codes = codes, .scales = scales, .zeros = zeros};
    from.weights = s24i_mat_plain(NULL, codes->rows, codes->cols, S24_F32);
    return s24i_done(__func__, pack_source(ctx, &from, layout, out));
}

static s24_status wrap(s24_ctx *ctx, const char *layout, s24i_packing *packing,
                       const void *const *parts, const size_t *sizes, int32_t count,
                       s24_packed **out)
{
    s24i_pack_tools tools = tools_of(ctx);
    s24_status status = s24i_layout_find(layout, &packing->layout);

    if (!status)
        status = s24i_check_pointer(parts, "parts");
    if (!status)
        status = s24i_check_pointer(sizes, "sizes");
    if (!status && count < 0)
        status = s24i_fail(S24_E_ARG, "count is %d, but must not be negative", (int)count);
    if (!status)
        status = s24i_check_dim(packing->rows, "rows");
    if (!status)
        status = s24i_check_dim(packing->cols, "cols");
    if (status)
        return status;
    s24i_enter(ctx);
    status = s24i_packing_wrap(&tools, packing, count, parts, sizes);
    s24i_leave(ctx);
    return status ? status : make_object(ctx, packing, true, out);
}

s24_status s24_packed_wrap(s24_ctx *ctx, const char *layout, int64_t rows, int64_t cols,
                           int32_t dtype, const void *const *parts, const size_t *sizes,
                           int32_t count, s24_packed **out)
{
    s24i_packing packing = {.rows = rows, .cols = cols, .dtype = dtype};
    s24_status status = check_call(ctx, layout, out);

    return s24i_done(__func__,
                     status ? status : wrap(ctx, layout, &packing, parts, sizes, count, out));
}

void s24_packed_destroy(s24_packed *packed)
{
    if (!s24i_is(packed, S24I_PACKED))
        return;
    s24_ctx *ctx = packed->object.ctx;
    packed->object.handle.magic = S24I_DEAD;
    if (!packed->borrowed)
        s24i_packing_free(&ctx->memory, &packed->packing);
    s24i_free(&ctx->memory, packed, sizeof *packed);
    s24i_ctx_release(ctx);
}

/* ---- Reading ---- */

s24_status s24_packed_part(const s24_packed *packed, int32_t index, const char **name,
                           const void **data, size_t *size)
{
    s24_status status = s24i_check_handle(packed, S24I_PACKED, "packed");

    if (!status)
        status = s24i_check_pointer(name, "name");
    if (!status && index < 0)
        status = s24i_fail(S24_E_ARG, "index is %d, but must not be negative", (int)index);
    if (status)
        return s24i_done(__func__, status);
    *name = NULL;
    if (index >= packed->packing.count)
        return S24_OK;
    const s24i_packed_part *part = &packed->packing.part[index];
    *name = part->name;
    if (data)
        *data = part->data;
    if (size)
        *size = part->size;
    return S24_OK;
}

static s24_status find_part(const s24i_packing *p, const char *name, const s24i_packed_part **out)
{
    const char *names[S24I_MAX_PARTS];

    for (int32_t i = 0; i < p->count; i++) {
        const s24i_packed_part *part = &p->part[i];
        names[i] = part->name;
        if (strcmp(name, part->name))
            continue;
        *out = part;
        return S24_OK;
    }
    s24i_fail(S24_E_UNSUPPORTED, "layout %s has no part \"%.64s\"", p->layout->name, name);
    return s24i_fail_near(S24_E_UNSUPPORTED, name, names, p->count);
}

static s24_status check_part(const s24_packed *packed, const char *name,
                             const s24i_packed_part **part)
{
    s24_status status = s24i_check_handle(packed, S24I_PACKED, "packed");

    if (!status)
        status = s24i_check_pointer(name, "name");
    return status ? status : find_part(&packed->packing, name, part);
}

s24_status s24_packed_matrix(const s24_packed *packed, const char *name, s24_mat *view)
{
    const s24i_packed_part *part = NULL;
    s24_status status = check_part(packed, name, &part);

    if (!status)
        status = s24i_check_pointer(view, "view");
    if (!status)
        *view = s24i_mat_plain(part->data, part->rows, part->cols, part->dtype);
    return s24i_done(__func__, status);
}

s24_status s24_packed_shape(const s24_packed *packed, const char *name, int64_t *shape,
                            int32_t *rank)
{
    const s24i_packed_part *part = NULL;
    s24_status status = check_part(packed, name, &part);

    if (!status)
        status = s24i_check_pointer(shape, "shape");
    if (!status)
        status = s24i_check_pointer(rank, "rank");
    if (status)
        return s24i_done(__func__, status);
    *rank = part->rank;
    *shape = part->rows;
    shape[part->rank - 1] = part->cols;
    return S24_OK;
}

s24_status s24_packed_info(const s24_packed *packed, const char **layout, int64_t *rows,
                           int64_t *cols, int32_t *dtype)
{
    s24_status status = s24i_check_handle(packed, S24I_PACKED, "packed");

    if (status)
        return s24i_done(__func__, status);
    if (layout)
        *layout = packed->packing.layout->name;
    if (rows)
        *rows = packed->packing.rows;
    if (cols)
        *cols = packed->packing.cols;
    if (dtype)
        *dtype = packed->packing.dtype;
    return S24_OK;
}

/* ---- Unpacking and multiplying ---- */

static s24_status unpack_into(s24_ctx *ctx, const s24i_packing *p, const s24_mat *w)
{
    s24i_pack_tools tools = tools_of(ctx);

    if (w->dtype == p->dtype)
        return s24i_packing_unpack(&tools, p, w);
    size_t size =
        s24i_mul(s24i_mul((size_t)p->rows, (size_t)p->cols), (size_t)s24i_dtype_size(p->dtype));
    s24_mat dense = s24i_mat_plain(s24i_alloc(&ctx->memory, size), p->rows, p->cols, p->dtype);
    if (!dense.data)
        return S24_E_MEMORY;
    s24_status status = s24i_packing_unpack(&tools, p, &dense);
    if (!status)
        status = s24i_copy_mat(ctx, &dense, w);
    s24i_free(&ctx->memory, dense.data, size);
    return status;
}

static s24_status unpack(const s24_packed *packed, const s24_mat *w)
{
    const s24i_packing *p = &packed->packing;
    s24_ctx *ctx = packed->object.ctx;
    s24_status status = s24i_check_mat(w, "w", S24I_ANY_TYPE);

    if (!status)
        status = s24i_check_shape(w, "w", p->rows, p->cols);
    if (!status && w->dtype != p->dtype && !(s24i_is_float(w->dtype) && s24i_is_float(p->dtype)))
        status = s24i_fail(S24_E_DTYPE,
                           "w has dtype 0x%04x, but must have that of the packed matrix, 0x%04x, "
                           "or both must be floats",
                           (unsigned)w->dtype, (unsigned)p->dtype);
    if (status)
        return status;
    s24i_enter(ctx);
    status = unpack_into(ctx, p, w);
    s24i_leave(ctx);
    return status;
}

s24_status s24_unpack(const s24_packed *packed, const s24_mat *w)
{
    s24_status status = s24i_check_handle(packed, S24I_PACKED, "packed");

    return s24i_done(__func__, status ? status : unpack(packed, w));
}

static bool contiguous(const s24_mat *mat)
{
    return mat->dtype == S24_F32 && (mat->cols <= 1 || mat->col_stride == 1) &&
           (mat->rows <= 1 || mat->row_stride == mat->cols);
}

/* The product over contiguous f32 copies of what is not so already. */
static s24_status multiply_stage(s24_ctx *ctx, const s24i_packing *p, const s24_mat *x,
                                 const s24_mat *y)
{
    s24i_pack_tools tools = tools_of(ctx);
    size_t x_size = contiguous(x) ? 0 : s24i_mul((size_t)x->rows, (size_t)p->cols * sizeof(float));
    size_t y_size = contiguous(y) ? 0 : s24i_mul((size_t)x->rows, (size_t)p->rows * sizeof(float));
    float *copy = s24i_alloc(&ctx->memory, x_size + y_size);

    if (!copy)
        return S24_E_MEMORY;
    s24_mat from = x_size ? s24i_mat_plain(copy, x->rows, p->cols, S24_F32) : *x;
    s24_mat to = y_size ? s24i_mat_plain((char *)copy + x_size, x->rows, p->rows, S24_F32) : *y;
    s24_status status = x_size ? s24i_copy_mat(ctx, x, &from) : S24_OK;
    if (!status)
        status = s24i_packing_multiply(&tools, p, x->rows, from.data, to.data);
    if (!status && y_size)
        status = s24i_copy_mat(ctx, &to, y);
    s24i_free(&ctx->memory, copy, x_size + y_size);
    return status;
}

static s24_status multiply(const s24_packed *packed, const s24_mat *x, const s24_mat *y)
{
    const s24i_packing *p = &packed->packing;
    s24_ctx *ctx = packed->object.ctx;
    s24_status status = s24i_check_mat(x, "x", S24I_FLOAT_TYPE);

    if (!status)
        status = s24i_check_mat(y, "y", S24I_FLOAT_TYPE);
    if (!status)
        status = s24i_check_shape(x, "x", x->rows, p->cols);
    if (!status)
        status = s24i_check_shape(y, "y", x->rows, p->rows);
    if (!status)
        status = s24i_check_apart(y, "y", x, "x", false);
    if (status || x->rows == 0)
        return status;
    s24i_enter(ctx);
    status = multiply_stage(ctx, p, x, y);
    s24i_leave(ctx);
    return status;
}

s24_status s24_packed_multiply(const s24_packed *packed, const s24_mat *x, const s24_mat *y)
{
    s24_status status = s24i_check_handle(packed, S24I_PACKED, "packed");

    return s24i_done(__func__, status ? status : multiply(packed, x, y));
}
