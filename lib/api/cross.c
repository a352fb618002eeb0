#include "api.h"
#include <math.h>
#include <string.h>

static s24_status create(s24_ctx *ctx, int64_t out_dim, int64_t in_dim, int32_t accumulator,
                         s24_cross **out)
{
    s24_status status = s24i_check_dim(out_dim, "out_dim");

    if (!status)
        status = s24i_check_dim(in_dim, "in_dim");
    if (!status)
        status = s24i_check_accumulator(accumulator);
    if (!status)
        status = s24i_check_pointer(out, "out");
    if (status)
        return status;
    s24_cross *cross = s24i_alloc_zero(&ctx->memory, sizeof *cross);
    if (!cross)
        return S24_E_MEMORY;
    status = s24i_cross_init(&ctx->cpu, &cross->sums, out_dim, in_dim, accumulator);
    if (status) {
        s24i_free(&ctx->memory, cross, sizeof *cross);
        return status;
    }
    s24i_shared_init(&cross->shared, S24I_CROSS, "cross", ctx);
    *out = cross;
    return S24_OK;
}

s24_status s24_cross_create(s24_ctx *ctx, int64_t out_dim, int64_t in_dim, int32_t accumulator,
                            s24_cross **out)
{
    s24_status status = s24i_check_handle(ctx, S24I_CTX, "ctx");

    return s24i_done(__func__, status ? status : create(ctx, out_dim, in_dim, accumulator, out));
}

void s24i_cross_release(s24_cross *cross)
{
    s24_ctx *ctx = cross->shared.object.ctx;

    if (!s24i_object_drop(&cross->shared.object))
        return;
    s24i_lock_fini(&cross->shared.lock);
    s24i_cross_fini(&ctx->cpu, &cross->sums);
    s24i_free(&ctx->memory, cross, sizeof *cross);
    s24i_ctx_release(ctx);
}

void s24_cross_destroy(s24_cross *cross)
{
    if (!s24i_is(cross, S24I_CROSS))
        return;
    cross->shared.object.handle.magic = S24I_DEAD;
    s24i_cross_release(cross);
}

static s24_status flush(s24i_shared *shared)
{
    s24i_cross *sums = &((s24_cross *)shared)->sums;
    int64_t waiting = sums->rows.filled[0] + sums->rows.filled[1];
    s24_status status = s24i_cross_flush(&shared->object.ctx->cpu, sums);

    shared->lost = status && sums->rows.filled[0] + sums->rows.filled[1] != waiting;
    return status;
}

s24_status s24i_cross_open(s24_cross *cross)
{
    return s24i_shared_open(&cross->shared, flush);
}

void s24i_cross_close(s24_cross *cross)
{
    if (!cross)
        return;
    s24i_shared_close(&cross->shared);
    s24i_cross_release(cross);
}

static s24_status check_batch(const s24_cross *cross, const s24_mat *x, const s24_mat *t,
                              const s24_mat *row_weight)
{
    s24_status status = s24i_check_mat(x, "x", S24I_FLOAT_TYPE);

    if (!status)
        status = s24i_check_mat(t, "t", S24I_FLOAT_TYPE);
    if (!status)
        status = s24i_check_shape(x, "x", x->rows, cross->sums.in);
    if (!status)
        status = s24i_check_shape(t, "t", x->rows, cross->sums.out);
    return status ? status : s24i_check_row_weight(row_weight, x->rows);
}

static s24_status add(s24_cross *cross, const s24_mat *x, const s24_mat *t,
                      const s24_mat *row_weight)
{
    s24_ctx *ctx = cross->shared.object.ctx;
    s24_status status = check_batch(cross, x, t, row_weight);

    if (!status)
        status = s24i_shared_change(&cross->shared);
    if (status)
        return status;
    int64_t before = cross->sums.rows.next;
    status = s24i_enter(ctx);
    if (!status)
        status = s24i_cross_add(&ctx->cpu, &cross->sums, x, t, row_weight);
    s24i_leave(ctx);
    s24i_shared_changed(&cross->shared, status && cross->sums.rows.next != before);
    return status;
}

s24_status s24_cross_add(s24_cross *cross, const s24_mat *x, const s24_mat *t,
                         const s24_mat *row_weight)
{
    s24_status status = s24i_check_handle(cross, S24I_CROSS, "cross");

    return s24i_done(__func__, status ? status : add(cross, x, t, row_weight));
}

static size_t half_count(const s24i_cross *sums)
{
    return s24i_mul((size_t)sums->out, (size_t)sums->in);
}

static s24_status merge(s24_cross *dst, s24_cross *src)
{
    if (dst == src)
        return s24i_fail(S24_E_ARG, "src is dst: a cross cannot be merged into itself");
    if (src->sums.out != dst->sums.out || src->sums.in != dst->sums.in)
        return s24i_fail(S24_E_SHAPE, "src is %lld x %lld and dst %lld x %lld: they must be equal",
                         (long long)src->sums.out, (long long)src->sums.in,
                         (long long)dst->sums.out, (long long)dst->sums.in);
    s24_status status = s24i_cross_open(src);
    if (status)
        return status;
    if (!(status = s24i_shared_change(&dst->shared))) {
        for (int half = 0; half < 2; half++) {
            s24i_add_sums(dst->sums.half[half], src->sums.half[half], half_count(&dst->sums));
            s24i_add_sums(dst->sums.norm2[half], src->sums.norm2[half], (size_t)dst->sums.out);
            dst->sums.rows.weight[half] += src->sums.rows.weight[half];
        }
        s24i_shared_changed(&dst->shared, false);
    }
    s24i_cross_close(src);
    return status;
}

s24_status s24_cross_merge(s24_cross *dst, const s24_cross *src)
{
    s24_status status = s24i_check_handle(dst, S24I_CROSS, "dst");

    if (!status)
        status = s24i_check_handle(src, S24I_CROSS, "src");
    return s24i_done(__func__, status ? status : merge(dst, (s24_cross *)src));
}

/* ---- Halves out and in ---- */

static s24_mat half_view(const s24_cross *cross, double *half)
{
    return s24i_mat_plain(half, cross->sums.out, cross->sums.in, S24_F64);
}

static s24_status check_half_arguments(const s24_cross *cross, int32_t half, const s24_mat *c)
{
    s24_status status = s24i_check_half(half);

    if (!status)
        status = s24i_check_mat(c, "c", S24I_FLOAT_TYPE);
    return status ? status : s24i_check_shape(c, "c", cross->sums.out, cross->sums.in);
}

static s24_status check_room(const s24i_cross *sums, int half, int32_t dtype)
{
    for (int64_t i = 0; i < sums->out * sums->in; i++)
        if (!s24i_fits(sums->half[half][i], dtype))
            return s24i_fail(S24_E_NONFINITE,
                             "row %lld, column %lld is %g, which the type of c cannot hold: take "
                             "S24_F64",
                             (long long)(i / sums->in), (long long)(i % sums->in),
                             sums->half[half][i]);
    return S24_OK;
}

static s24_status export(s24_cross *cross, int32_t half, const s24_mat *c, double *norm2,
                         double *rows)
{
    s24_ctx *ctx = cross->shared.object.ctx;
    s24_status status = check_half_arguments(cross, half, c);

    if (!status)
        status = s24i_cross_open(cross);
    if (status)
        return status;
    s24_mat view = half_view(cross, cross->sums.half[half - 1]);
    s24i_enter(ctx);
    status = check_room(&cross->sums, half - 1, c->dtype);
    if (!status)
        status = s24i_mat_copy(&ctx->cpu, &view, c);
    s24i_leave(ctx);
    if (!status && norm2)
        memcpy(norm2, cross->sums.norm2[half - 1], (size_t)cross->sums.out * sizeof *norm2);
    if (!status && rows)
        *rows = cross->sums.rows.weight[half - 1];
    s24i_cross_close(cross);
    return status;
}

s24_status s24_cross_export(const s24_cross *cross, int32_t half, const s24_mat *c, double *norm2,
                            double *rows)
{
    s24_status status = s24i_check_handle(cross, S24I_CROSS, "cross");

    return s24i_done(__func__, status ? status : export((s24_cross *)cross, half, c, norm2, rows));
}

static s24_status check_norm2(const double *norm2, int64_t count, double rows)
{
    for (int64_t i = 0; i < count; i++) {
        if (!(norm2[i] >= 0 && isfinite(norm2[i])))
            return s24i_fail(isfinite(norm2[i]) ? S24_E_ARG : S24_E_NONFINITE,
                             "norm2: value %lld is %g: a sum of squares is finite and not negative",
                             (long long)i, norm2[i]);
        if (rows == 0 && norm2[i] != 0)
            return s24i_fail(S24_E_ARG, "rows is 0 and norm2 is not: sums over no rows are 0");
    }
    return S24_OK;
}

static s24_status check_empty(const double *sums, size_t count, double rows)
{
    for (size_t i = 0; rows == 0 && i < count; i++)
        if (sums[i] != 0)
            return s24i_fail(S24_E_ARG, "rows is 0 and c is not: sums over no rows are 0");
    return S24_OK;
}

/* Read the arguments into half 0 of `made`, which has the room. */
static s24_status read_half(s24_ctx *ctx, s24i_cross *made, const s24_mat *c, const double *norm2,
                            double rows)
{
    s24_status status = check_norm2(norm2, made->out, rows);

    if (status)
        return status;
    memcpy(made->norm2[0], norm2, (size_t)made->out * sizeof *norm2);
    s24i_enter(ctx);
    status = s24i_check_values(ctx, c, "c", false);
    if (!status)
        s24i_mat_load_f64(&ctx->kernels, c, 0, c->rows, made->half[0]);
    s24i_leave(ctx);
    return status ? status : check_empty(made->half[0], half_count(made), rows);
}

static void swap(double **a, double **b)
{
    double *kept = *a;

    *a = *b;
    *b = kept;
}

static s24_status replace_half(s24_cross *cross, int half, s24i_cross *made, double rows)
{
    s24_status status = s24i_shared_change(&cross->shared);

    if (status)
        return status;
    swap(&cross->sums.half[half], &made->half[0]);
    swap(&cross->sums.norm2[half], &made->norm2[0]);
    cross->sums.rows.filled[half] = 0;
    cross->sums.rows.weight[half] = rows;
    s24i_shared_changed(&cross->shared, false);
    return S24_OK;
}

/* Into a half of its own, which then takes the place of the old one. */
static s24_status import(s24_cross *cross, int32_t half, const s24_mat *c, const double *norm2,
                         double rows)
{
    s24_ctx *ctx = cross->shared.object.ctx;
    s24i_cross made = {.out = cross->sums.out, .in = cross->sums.in};
    size_t size = s24i_mul(half_count(&made), sizeof(double));
    size_t norm2_size = (size_t)made.out * sizeof(double);
    s24_status status = check_half_arguments(cross, half, c);

    if (!status)
        status = s24i_check_pointer(norm2, "norm2");
    if (!status)
        status = s24i_check_sum(rows, "rows");
    if (status)
        return status;
    made.half[0] = s24i_alloc(&ctx->memory, size);
    made.norm2[0] = s24i_alloc(&ctx->memory, norm2_size);
    status = made.half[0] && made.norm2[0] ? read_half(ctx, &made, c, norm2, rows) : S24_E_MEMORY;
    if (!status)
        status = replace_half(cross, half - 1, &made, rows);
    s24i_free(&ctx->memory, made.norm2[0], norm2_size);
    s24i_free(&ctx->memory, made.half[0], size);
    return status;
}

s24_status s24_cross_import(s24_cross *cross, int32_t half, const s24_mat *c, const double *norm2,
                            double rows)
{
    s24_status status = s24i_check_handle(cross, S24I_CROSS, "cross");

    return s24i_done(__func__, status ? status : import(cross, half, c, norm2, rows));
}
