#include "api.h"

static s24_status hang(s24_cross *cross, s24_gram *gram, int64_t out_dim)
{
    s24_status status = S24_OK;

    s24i_lock_take(&gram->lock);
    if (gram->sums.rows.next > 0)
        status = s24i_fail(S24_E_STATE, "the gram has rows already: its crosses come before them");
    if (!status)
        status = s24i_cross_init(&gram->object.ctx->cpu, &cross->sums, &gram->sums, out_dim);
    s24i_lock_drop(&gram->lock);
    return status;
}

/* Without sums; it keeps the gram alive. */
static s24_cross *new_cross(s24_gram *gram)
{
    s24_ctx *ctx = gram->object.ctx;
    s24_cross *cross = s24i_alloc_zero(&ctx->memory, sizeof *cross);

    if (!cross)
        return NULL;
    /* Before anyone can see it on the gram. */
    s24i_object_init(&cross->object, S24I_CROSS, ctx);
    s24i_object_retain(&gram->object);
    cross->gram = gram;
    return cross;
}

/* It goes to *out, or away where its sums could not be made. */
static s24_status give(s24_cross *cross, s24_status status, s24_cross **out)
{
    if (status)
        s24i_cross_release(cross);
    else
        *out = cross;
    return status;
}

static s24_status create(s24_gram *gram, int64_t out_dim, s24_cross **out)
{
    s24_status status = s24i_check_dim(out_dim, "out_dim");

    if (!status)
        status = s24i_check_pointer(out, "out");
    if (status)
        return status;
    s24_cross *cross = new_cross(gram);
    return cross ? give(cross, hang(cross, gram, out_dim), out) : S24_E_MEMORY;
}

s24_status s24_cross_create(s24_gram *gram, int64_t out_dim, s24_cross **out)
{
    s24_status status = s24i_check_handle(gram, S24I_GRAM, "gram");

    return s24i_done(__func__, status ? status : create(gram, out_dim, out));
}

void s24i_cross_release(s24_cross *cross)
{
    s24_ctx *ctx = cross->object.ctx;
    s24_gram *gram = cross->gram;

    if (!s24i_object_drop(&cross->object))
        return;
    s24i_lock_take(&gram->lock);
    s24i_cross_detach(&cross->sums, &gram->sums);
    s24i_lock_drop(&gram->lock);
    s24i_cross_fini(&ctx->cpu, &cross->sums);
    if (cross->sums.mirror)
        ctx->device->forget(ctx->device, cross->sums.mirror);
    s24i_gram_release(gram);
    s24i_free(&ctx->memory, cross, sizeof *cross);
    s24i_ctx_release(ctx);
}

void s24_cross_destroy(s24_cross *cross)
{
    if (!s24i_is(cross, S24I_CROSS))
        return;
    s24i_lock_take(&cross->gram->lock);
    cross->object.handle.magic = S24I_DEAD;
    s24i_lock_drop(&cross->gram->lock);
    s24i_cross_release(cross);
}

/* ---- From the inputs' ---- */

static s24_status check_shapes(const s24_cross *inputs, const s24_gram *dense, const s24_mat *w)
{
    int64_t dim = inputs->sums.out;
    s24_status status = s24i_check_mat(w, "w", S24I_FLOAT_TYPE);

    if (!status && dense->sums.dim != dim)
        status = s24i_fail(S24_E_SHAPE,
                           "dense has dim %lld, but must have %lld, the out_dim of "
                           "inputs",
                           (long long)dense->sums.dim, (long long)dim);
    if (!status)
        status = s24i_check_shape(w, "w", w->rows, dim);
    return status ? status : s24i_check_dim(w->rows, "w->rows");
}

/* All that is read holds the same rows. */
static s24_status check_rows(const s24_cross *inputs, const s24_gram *dense)
{
    const s24i_gram *gram = &inputs->gram->sums;
    s24_status status = S24_OK;

    for (int half = 0; !status && half < 2; half++) {
        double rows = inputs->sums.t.weight[half], own = gram->rows.x.weight[half];
        double others = dense->sums.rows.x.weight[half];
        if (!s24i_same_count(rows, own) || !s24i_same_count(rows, others))
            return s24i_fail(S24_E_STATE,
                             "half %d of inputs holds %g rows, of its gram %g and of dense %g: all "
                             "must see the same rows",
                             half + 1, rows, own, others);
        status = s24i_cross_compare(gram, &inputs->sums, half);
        if (!status)
            status = s24i_cross_compare_inputs(&inputs->sums, &dense->sums, half);
    }
    return status;
}

static s24_status derive_open(s24_cross *inputs, s24_gram *dense, const s24_mat *w, s24_cross **out)
{
    s24_ctx *ctx = inputs->object.ctx;
    s24_status status = check_rows(inputs, dense);

    if (status)
        return status;
    s24_cross *cross = new_cross(inputs->gram);
    if (!cross)
        return S24_E_MEMORY;
    status = s24i_enter(ctx);
    if (!status)
        status = s24i_cross_derive(&ctx->cpu, &inputs->gram->sums, &inputs->sums, &dense->sums, w,
                                   &cross->sums);
    s24i_leave(ctx);
    return give(cross, status, out);
}

static s24_status derive(s24_cross *inputs, s24_gram *dense, const s24_mat *w, s24_cross **out)
{
    s24_status status = check_shapes(inputs, dense, w);

    if (!status)
        status = s24i_check_pointer(out, "out");
    if (!status)
        status = s24i_gram_open(inputs->gram);
    if (status)
        return status;
    if (!(status = s24i_gram_open(dense))) {
        status = derive_open(inputs, dense, w, out);
        s24i_gram_close(dense);
    }
    s24i_gram_close(inputs->gram);
    return status;
}

s24_status s24_cross_derive(const s24_cross *inputs, const s24_gram *dense, const s24_mat *w,
                            s24_cross **out)
{
    s24_status status = s24i_check_handle(inputs, S24I_CROSS, "inputs");

    if (!status)
        status = s24i_check_handle(dense, S24I_GRAM, "dense");
    return s24i_done(__func__,
                     status ? status : derive((s24_cross *)inputs, (s24_gram *)dense, w, out));
}

/* ---- Halves ---- */

static s24_status merge(s24_cross *dst, s24_cross *src)
{
    if (dst == src)
        return s24i_fail(S24_E_ARG, "src is dst: a cross cannot be merged into itself");
    if (dst->gram == src->gram)
        return s24i_fail(S24_E_ARG, "src and dst hang on the same gram: they are sums over the "
                                    "same rows");
    if (src->sums.out != dst->sums.out || src->sums.in != dst->sums.in)
        return s24i_fail(S24_E_SHAPE, "src is %lld x %lld and dst %lld x %lld: they must be equal",
                         (long long)src->sums.out, (long long)src->sums.in,
                         (long long)dst->sums.out, (long long)dst->sums.in);
    s24_status status = s24i_gram_open(src->gram);
    if (status)
        return status;
    if (!(status = s24i_gram_change_here(dst->gram))) {
        s24i_cross_merge(&dst->sums, &src->sums);
        s24i_gram_changed(dst->gram, S24_OK);
    }
    s24i_gram_close(src->gram);
    return status;
}

s24_status s24_cross_merge(s24_cross *dst, const s24_cross *src)
{
    s24_status status = s24i_check_handle(dst, S24I_CROSS, "dst");

    if (!status)
        status = s24i_check_handle(src, S24I_CROSS, "src");
    return s24i_done(__func__, status ? status : merge(dst, (s24_cross *)src));
}

static s24_status export(s24_cross *cross, int32_t half, const s24_mat *c, double *norm2,
                         double *rows)
{
    s24_ctx *ctx = cross->object.ctx;
    s24_status status = s24i_check_half(half, c, "c", cross->sums.out, cross->sums.in);

    if (!status)
        status = s24i_gram_open(cross->gram);
    if (status)
        return status;
    s24i_enter(ctx);
    status = s24i_cross_export(&ctx->cpu, &cross->sums, half - 1, c, norm2);
    s24i_leave(ctx);
    if (!status && rows)
        *rows = cross->sums.t.weight[half - 1];
    s24i_gram_close(cross->gram);
    return status;
}

s24_status s24_cross_export(const s24_cross *cross, int32_t half, const s24_mat *c, double *norm2,
                            double *rows)
{
    s24_status status = s24i_check_handle(cross, S24I_CROSS, "cross");

    return s24i_done(__func__, status ? status : export((s24_cross *)cross, half, c, norm2, rows));
}

static s24_status import(s24_cross *cross, int32_t half, const s24_mat *c, const double *norm2,
                         double rows)
{
    s24_gram *gram = cross->gram;
    s24_status status = s24i_check_half(half, c, "c", cross->sums.out, cross->sums.in);

    if (!status)
        status = s24i_check_pointer(norm2, "norm2");
    if (!status)
        status = s24i_check_sum(rows, "rows");
    if (!status)
        status = s24i_gram_change_here(gram);
    if (status)
        return status;
    status = s24i_cross_import(&gram->object.ctx->cpu, &gram->sums, &cross->sums, half - 1, c,
                               norm2, rows);
    return s24i_gram_changed(gram, status);
}

s24_status s24_cross_import(s24_cross *cross, int32_t half, const s24_mat *c, const double *norm2,
                            double rows)
{
    s24_status status = s24i_check_handle(cross, S24I_CROSS, "cross");

    return s24i_done(__func__, status ? status : import(cross, half, c, norm2, rows));
}
