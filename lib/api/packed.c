#include "api.h"
#include <string.h>

s24i_pack_tools s24i_pack_tools_of(s24_ctx *ctx)
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
    s24i_pack_tools tools = s24i_pack_tools_of(ctx);
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
    s24_status status = s24i_layout_parse(layout, &packing);

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
    s24i_constraints constraints = {0};

    if (!status)
        status = s24i_check_pointer(grid, "grid");
    if (!status)
        status = check_codes(codes, scales, zeros);
    if (!status)
        status = s24i_constraints_parse(grid, codes->rows, codes->cols, &constraints);
    if (!status && constraints.grid.scheme == S24I_GRID_REAL && s24i_has_support(&constraints))
        status = s24i_fail(S24_E_UNSUPPORTED,
                           "grid \"%.64s\": where zeros are real numbers pruned weights have no "
                           "code: ask for sym, or pack the result",
                           grid);
    if (status)
        return s24i_done(__func__, status);
    source from = {.grid = constraints.grid, .codes = codes, .scales = scales, .zeros = zeros};
    from.weights = s24i_mat_plain(NULL, codes->rows, codes->cols, S24_F32);
    return s24i_done(__func__, pack_source(ctx, &from, layout, out));
}

/* ---- From another layout ---- */

/* All that a conversion holds: the dense matrix, or codes, scales and zeros. */
typedef struct copies {
    void *values;
    uint8_t *codes, *zeros;
    uint16_t *scales;
    size_t value_bytes, code_bytes, group_bytes;
} copies;

static void free_copies(s24_ctx *ctx, const copies *c)
{
    s24i_free(&ctx->memory, c->values, c->value_bytes);
    s24i_free(&ctx->memory, c->codes, c->code_bytes);
    s24i_free(&ctx->memory, c->scales, s24i_mul(c->group_bytes, 2));
    s24i_free(&ctx->memory, c->zeros, c->group_bytes);
}

static s24_status convert_codes(const s24_packed *packed, const char *layout, copies *c,
                                s24_packed **out)
{
    const s24i_packing *p = &packed->packing;
    s24_ctx *ctx = packed->object.ctx;
    source from = {.weights = s24i_mat_plain(NULL, p->rows, p->cols, S24_F32)};
    int64_t group;
    p->layout->grid(p, &from.grid.bits, &group);
    int64_t groups = (p->cols + group - 1) / group;

    from.grid.group = (int32_t)group;
    c->code_bytes = s24i_mul((size_t)p->rows, (size_t)p->cols);
    c->group_bytes = s24i_mul((size_t)p->rows, (size_t)groups);
    c->codes = s24i_alloc(&ctx->memory, c->code_bytes);
    c->scales = s24i_alloc(&ctx->memory, s24i_mul(c->group_bytes, 2));
    c->zeros = s24i_alloc(&ctx->memory, c->group_bytes);
    if (!c->codes || !c->scales || !c->zeros)
        return S24_E_MEMORY;
    for (int64_t row = 0; row < p->rows; row++)
        p->layout->codes(p, row, c->codes + row * p->cols, c->scales + row * groups,
                         c->zeros + row * groups);
    s24_mat codes = s24i_mat_plain(c->codes, p->rows, p->cols, S24_U8);
    s24_mat scales = s24i_mat_plain(c->scales, p->rows, groups, S24_F16);
    s24_mat zeros = s24i_mat_plain(c->zeros, p->rows, groups, S24_U8);
    from.codes = &codes;
    from.scales = &scales;
    from.zeros = &zeros;
    return pack_source(ctx, &from, layout, out);
}

static s24_status convert_values(const s24_packed *packed, const char *layout, copies *c,
                                 s24_packed **out)
{
    const s24i_packing *p = &packed->packing;
    s24_ctx *ctx = packed->object.ctx;
    s24i_pack_tools tools = s24i_pack_tools_of(ctx);

    c->value_bytes =
        s24i_mul(s24i_mul((size_t)p->rows, (size_t)p->cols), (size_t)s24i_dtype_size(p->dtype));
    c->values = s24i_alloc(&ctx->memory, c->value_bytes);
    if (!c->values)
        return S24_E_MEMORY;
    source from = {.weights = s24i_mat_plain(c->values, p->rows, p->cols, p->dtype)};
    s24i_enter(ctx);
    s24_status status = s24i_packing_unpack(&tools, p, &from.weights);
    s24i_leave(ctx);
    return status ? status : pack_source(ctx, &from, layout, out);
}

/* Codes stay codes where the new layout takes them. */
static s24_status convert(const s24_packed *packed, const char *layout, s24_packed **out)
{
    s24_status status = s24i_check_pointer(layout, "layout");
    s24i_packing wanted = {0};
    copies c = {0};

    if (!status)
        status = s24i_check_pointer(out, "out");
    if (!status)
        status = s24i_layout_parse(layout, &wanted);
    if (status)
        return status;
    bool codes = wanted.layout->codes && packed->packing.layout->codes;
    status = (codes ? convert_codes : convert_values)(packed, layout, &c, out);
    free_copies(packed->object.ctx, &c);
    return status;
}

s24_status s24_packed_convert(const s24_packed *packed, const char *layout, s24_packed **out)
{
    s24_status status = s24i_check_handle(packed, S24I_PACKED, "packed");

    return s24i_done(__func__, status ? status : convert(packed, layout, out));
}

static s24_status wrap(s24_ctx *ctx, const char *layout, s24i_packing *packing,
                       const void *const *parts, const size_t *sizes, int32_t count,
                       s24_packed **out)
{
    s24i_pack_tools tools = s24i_pack_tools_of(ctx);
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

void s24i_packed_release(s24_packed *packed)
{
    s24_ctx *ctx = packed->object.ctx;

    if (!s24i_object_drop(&packed->object))
        return;
    if (!packed->borrowed)
        s24i_packing_free(&ctx->memory, &packed->packing);
    s24i_free(&ctx->memory, packed, sizeof *packed);
    s24i_ctx_release(ctx);
}

void s24_packed_destroy(s24_packed *packed)
{
    if (!s24i_is(packed, S24I_PACKED))
        return;
    packed->object.handle.magic = S24I_DEAD;
    s24i_packed_release(packed);
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
    s24i_pack_tools tools = s24i_pack_tools_of(ctx);

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

s24_status s24i_check_product(const s24_packed *packed, const s24_mat *x, const s24_mat *y)
{
    const s24i_packing *p = &packed->packing;
    s24_status status = s24i_check_mat(x, "x", S24I_FLOAT_TYPE);

    if (!status)
        status = s24i_check_mat(y, "y", S24I_FLOAT_TYPE);
    if (!status)
        status = s24i_check_shape(x, "x", x->rows, p->cols);
    if (!status)
        status = s24i_check_shape(y, "y", x->rows, p->rows);
    return status ? status : s24i_check_apart(y, "y", x, "x", false);
}

/* With scratch for this once. */
static s24_status multiply(const s24_packed *packed, const s24_mat *x, const s24_mat *y)
{
    s24_ctx *ctx = packed->object.ctx;
    s24i_pack_tools tools = s24i_pack_tools_of(ctx);
    s24_status status = s24i_check_product(packed, x, y);
    s24i_product product;

    if (status || x->rows == 0)
        return status;
    s24i_enter(ctx);
    status = s24i_product_plan(&packed->packing, false, 0, x->rows, s24i_workers(tools.threads),
                               &product);
    void *scratch = status ? NULL : s24i_alloc(&ctx->memory, product.scratch);
    if (!status)
        status = scratch ? s24i_product_run(&product, &tools, x, y, scratch) : S24_E_MEMORY;
    s24i_free(&ctx->memory, scratch, product.scratch);
    s24i_leave(ctx);
    return status;
}

s24_status s24_packed_multiply(const s24_packed *packed, const s24_mat *x, const s24_mat *y)
{
    s24_status status = s24i_check_handle(packed, S24I_PACKED, "packed");

    return s24i_done(__func__, status ? status : multiply(packed, x, y));
}
