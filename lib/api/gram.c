#include "api.h"
#include <math.h>
#include <string.h>

static s24_status create(s24_ctx *ctx, int64_t dim, int32_t accumulator, s24_gram **out)
{
    s24_status status = s24i_check_dim(dim, "dim");

    if (!status)
        status = s24i_check_accumulator(accumulator);
    if (!status)
        status = s24i_check_pointer(out, "out");
    if (status)
        return status;
    s24_gram *gram = s24i_alloc_zero(&ctx->memory, sizeof *gram);
    if (!gram)
        return S24_E_MEMORY;
    status = s24i_gram_init(&ctx->cpu, &gram->sums, dim, accumulator);
    if (status) {
        s24i_free(&ctx->memory, gram, sizeof *gram);
        return status;
    }
    s24i_shared_init(&gram->shared, S24I_GRAM, "gram", ctx);
    *out = gram;
    return S24_OK;
}

s24_status s24_gram_create(s24_ctx *ctx, int64_t dim, int32_t accumulator, s24_gram **out)
{
    s24_status status = s24i_check_handle(ctx, S24I_CTX, "ctx");

    return s24i_done(__func__, status ? status : create(ctx, dim, accumulator, out));
}

void s24i_gram_release(s24_gram *gram)
{
    s24_ctx *ctx = gram->shared.object.ctx;

    if (!s24i_object_drop(&gram->shared.object))
        return;
    s24i_lock_fini(&gram->shared.lock);
    s24i_gram_fini(&ctx->cpu, &gram->sums);
    s24i_free(&ctx->memory, gram, sizeof *gram);
    s24i_ctx_release(ctx);
}

void s24_gram_destroy(s24_gram *gram)
{
    if (!s24i_is(gram, S24I_GRAM))
        return;
    gram->shared.object.handle.magic = S24I_DEAD;
    s24i_gram_release(gram);
}

static s24_status flush(s24i_shared *shared)
{
    s24i_gram *sums = &((s24_gram *)shared)->sums;
    int64_t waiting = sums->rows.filled[0] + sums->rows.filled[1];
    s24_status status = s24i_gram_flush(&shared->object.ctx->cpu, sums);

    shared->lost = status && sums->rows.filled[0] + sums->rows.filled[1] != waiting;
    return status;
}

s24_status s24i_gram_open(s24_gram *gram)
{
    return s24i_shared_open(&gram->shared, flush);
}

void s24i_gram_close(s24_gram *gram)
{
    if (!gram)
        return;
    s24i_shared_close(&gram->shared);
    s24i_gram_release(gram);
}

/* ---- Rows in ---- */

static s24_status add(s24_gram *gram, const s24_mat *x, const s24_mat *row_weight)
{
    s24_ctx *ctx = gram->shared.object.ctx;
    s24_status status = s24i_check_mat(x, "x", S24I_FLOAT_TYPE);

    if (!status)
        status = s24i_check_shape(x, "x", x->rows, gram->sums.dim);
    if (!status)
        status = s24i_check_row_weight(row_weight, x->rows);
    if (!status)
        status = s24i_shared_change(&gram->shared);
    if (status)
        return status;
    int64_t before = gram->sums.rows.next;
    status = s24i_enter(ctx);
    if (!status)
        status = s24i_gram_add(&ctx->cpu, &gram->sums, x, row_weight);
    s24i_leave(ctx);
    s24i_shared_changed(&gram->shared, status && gram->sums.rows.next != before);
    return status;
}

s24_status s24_gram_add(s24_gram *gram, const s24_mat *x, const s24_mat *row_weight)
{
    s24_status status = s24i_check_handle(gram, S24I_GRAM, "gram");

    return s24i_done(__func__, status ? status : add(gram, x, row_weight));
}

static s24_status merge(s24_gram *dst, s24_gram *src)
{
    int64_t dim = dst->sums.dim;

    if (dst == src)
        return s24i_fail(S24_E_ARG, "src is dst: a gram cannot be merged into itself");
    if (src->sums.dim != dim)
        return s24i_fail(S24_E_SHAPE, "src has dim %lld and dst %lld: they must be equal",
                         (long long)src->sums.dim, (long long)dim);
    s24_status status = s24i_gram_open(src);
    if (status)
        return status;
    if (!(status = s24i_shared_change(&dst->shared))) {
        for (int half = 0; half < 2; half++) {
            s24i_add_sums(dst->sums.half[half], src->sums.half[half],
                          s24i_gram_half_bytes(dim) / sizeof(double));
            dst->sums.rows.weight[half] += src->sums.rows.weight[half];
            dst->sums.rows.count[half] += src->sums.rows.count[half];
        }
        s24i_shared_changed(&dst->shared, false);
    }
    s24i_gram_close(src);
    return status;
}

s24_status s24_gram_merge(s24_gram *dst, const s24_gram *src)
{
    s24_status status = s24i_check_handle(dst, S24I_GRAM, "dst");

    if (!status)
        status = s24i_check_handle(src, S24I_GRAM, "src");
    return s24i_done(__func__, status ? status : merge(dst, (s24_gram *)src));
}

/* ---- Halves out and in, in groups of whole rows ---- */

enum { GROUP = 64 };

static int64_t group_rows(int64_t dim, int64_t first)
{
    return dim - first < GROUP ? dim - first : GROUP;
}

static void spread_row(const s24i_gram *sums, int half, int64_t i, double *row)
{
    memcpy(row, s24i_gram_row(sums, half, i), (size_t)(i + 1) * sizeof *row);
    for (int64_t j = i + 1; j < sums->dim; j++)
        row[j] = s24i_gram_row(sums, half, j)[i];
}

static s24_status write_half(s24_ctx *ctx, const s24i_gram *sums, int half, const s24_mat *h)
{
    size_t size = s24i_mul((size_t)(GROUP * sums->dim), sizeof(double));
    double *rows = s24i_alloc(&ctx->memory, size);
    s24_status status = rows ? S24_OK : S24_E_MEMORY;

    for (int64_t first = 0; !status && first < sums->dim; first += GROUP) {
        int64_t count = group_rows(sums->dim, first);
        for (int64_t i = 0; i < count; i++)
            spread_row(sums, half, first + i, rows + i * sums->dim);
        s24_mat src = s24i_mat_plain(rows, count, sums->dim, S24_F64);
        s24_mat dst = s24i_mat_rows(h, first, count);
        status = s24i_mat_copy(&ctx->cpu, &src, &dst);
    }
    s24i_free(&ctx->memory, rows, size);
    return status;
}

static s24_status check_half_arguments(const s24_gram *gram, int32_t half, const s24_mat *h)
{
    s24_status status = s24i_check_half(half);

    if (!status)
        status = s24i_check_mat(h, "h", S24I_FLOAT_TYPE);
    return status ? status : s24i_check_shape(h, "h", gram->sums.dim, gram->sums.dim);
}

/* No entry of a sum of squares is larger than the largest of its diagonal. */
static s24_status check_room(const s24i_gram *sums, int half, int32_t dtype)
{
    for (int64_t j = 0; j < sums->dim; j++) {
        double h = s24i_gram_row(sums, half, j)[j];
        if (!s24i_fits(h, dtype))
            return s24i_fail(S24_E_NONFINITE,
                             "row %lld, column %lld is %g, which the type of h cannot hold: take "
                             "S24_F64",
                             (long long)j, (long long)j, h);
    }
    return S24_OK;
}

static s24_status export(s24_gram *gram, int32_t half, const s24_mat *h, double *rows)
{
    s24_ctx *ctx = gram->shared.object.ctx;
    s24_status status = check_half_arguments(gram, half, h);

    if (!status)
        status = s24i_gram_open(gram);
    if (status)
        return status;
    s24i_enter(ctx);
    status = check_room(&gram->sums, half - 1, h->dtype);
    if (!status)
        status = write_half(ctx, &gram->sums, half - 1, h);
    s24i_leave(ctx);
    if (!status && rows)
        *rows = gram->sums.rows.weight[half - 1];
    s24i_gram_close(gram);
    return status;
}

s24_status s24_gram_export(const s24_gram *gram, int32_t half, const s24_mat *h, double *rows)
{
    s24_status status = s24i_check_handle(gram, S24I_GRAM, "gram");

    return s24i_done(__func__, status ? status : export((s24_gram *)gram, half, h, rows));
}

/* The lower part of one row, checked, into the stored form. */
static s24_status take_lower(s24i_gram *sums, int64_t i, const double *row)
{
    double *stored = (double *)s24i_gram_row(sums, 0, i);

    for (int64_t j = 0; j < sums->dim; j++)
        if (!isfinite(row[j]))
            return s24i_fail(S24_E_NONFINITE, "h: row %lld, column %lld is %g", (long long)i,
                             (long long)j, row[j]);
    if (row[i] < 0)
        return s24i_fail(S24_E_ARG,
                         "h: row %lld, column %lld is %g: a sum of squares is not negative",
                         (long long)i, (long long)i, row[i]);
    memcpy(stored, row, (size_t)(i + 1) * sizeof *row);
    return S24_OK;
}

/* By how much rounding to its type may take an entry over sqrt(h_ii h_jj); sums made in single
 * precision come in doubles too. */
static double excess(int32_t dtype)
{
    return dtype == S24_F16 ? 0x1p-10 : dtype == S24_BF16 ? 0x1p-7 : 1e-5;
}

/* The upper part of one row against the stored lower part; all rows below are stored already.
 * Squares of inputs far below the others may have vanished where their products with others have
 * not. */
static s24_status compare_upper(const s24i_gram *sums, int64_t i, const double *row,
                                double tolerance)
{
    for (int64_t j = i + 1; j < sums->dim; j++) {
        const double *mirror = s24i_gram_row(sums, 0, j);
        double most = sqrt(row[i]) * sqrt(mirror[j]);
        if (fabs(row[j] - mirror[i]) > 1e-6 * most)
            return s24i_fail(S24_E_ARG,
                             "h is not symmetric: row %lld, column %lld is %g and its mirror is %g",
                             (long long)i, (long long)j, row[j], mirror[i]);
        if (fabs(row[j]) > (1 + tolerance) * most + 1e-12 * fmax(row[i], mirror[j]))
            return s24i_fail(S24_E_ARG,
                             "h: row %lld, column %lld is %g: sums over rows with squares of %g "
                             "and %g are at most %g",
                             (long long)i, (long long)j, row[j], row[i], mirror[j], most);
    }
    return S24_OK;
}

/* From the last rows to the first, so that one pass sees both triangles. */
static s24_status read_rows(s24_ctx *ctx, s24i_gram *sums, const s24_mat *h, double *rows)
{
    s24_status status = S24_OK;
    int64_t dim = sums->dim;

    for (int64_t first = (dim - 1) / GROUP * GROUP; !status && first >= 0; first -= GROUP) {
        int64_t count = group_rows(dim, first);
        s24i_mat_load_f64(&ctx->kernels, h, first, count, rows);
        for (int64_t i = 0; !status && i < count; i++)
            status = take_lower(sums, first + i, rows + i * dim);
        for (int64_t i = 0; !status && i < count; i++)
            status = compare_upper(sums, first + i, rows + i * dim, excess(h->dtype));
    }
    return status;
}

static s24_status check_empty(const double *sums, size_t count, double rows)
{
    for (size_t i = 0; rows == 0 && i < count; i++)
        if (sums[i] != 0)
            return s24i_fail(S24_E_ARG, "rows is 0 and h is not: sums over no rows are 0");
    return S24_OK;
}

static s24_status read_half(s24_ctx *ctx, s24i_gram *sums, const s24_mat *h, double count)
{
    size_t size = s24i_mul((size_t)(GROUP * sums->dim), sizeof(double));
    double *rows = s24i_alloc(&ctx->memory, size);

    if (!rows)
        return S24_E_MEMORY;
    s24i_enter(ctx);
    s24_status status = read_rows(ctx, sums, h, rows);
    s24i_leave(ctx);
    s24i_free(&ctx->memory, rows, size);
    if (!status)
        status =
            check_empty(sums->half[0], s24i_gram_half_bytes(sums->dim) / sizeof(double), count);
    return status;
}

/* Into a half of its own, which then takes the place of the old one. */
static s24_status import(s24_gram *gram, int32_t half, const s24_mat *h, double rows)
{
    s24_ctx *ctx = gram->shared.object.ctx;
    size_t size = s24i_gram_half_bytes(gram->sums.dim);
    s24i_gram made = {.dim = gram->sums.dim};
    s24_status status = check_half_arguments(gram, half, h);

    if (!status)
        status = s24i_check_sum(rows, "rows");
    if (status)
        return status;
    if (!(made.half[0] = s24i_alloc_zero(&ctx->memory, size)))
        return S24_E_MEMORY;
    if (!(status = read_half(ctx, &made, h, rows)))
        status = s24i_shared_change(&gram->shared);
    if (!status) {
        double *old = gram->sums.half[half - 1];
        gram->sums.half[half - 1] = made.half[0];
        made.half[0] = old;
        gram->sums.rows.filled[half - 1] = 0;
        gram->sums.rows.weight[half - 1] = gram->sums.rows.count[half - 1] = rows;
        s24i_shared_changed(&gram->shared, false);
    }
    s24i_free(&ctx->memory, made.half[0], size);
    return status;
}

s24_status s24_gram_import(s24_gram *gram, int32_t half, const s24_mat *h, double rows)
{
    s24_status status = s24i_check_handle(gram, S24I_GRAM, "gram");

    return s24i_done(__func__, status ? status : import(gram, half, h, rows));
}

s24_status s24_gram_info(const s24_gram *gram, int64_t *dim, double *rows)
{
    s24_status status = s24i_check_handle(gram, S24I_GRAM, "gram");

    if (status)
        return s24i_done(__func__, status);
    s24i_lock *lock = &((s24_gram *)gram)->shared.lock;
    s24i_lock_take(lock);
    if (rows)
        *rows = s24i_rows_weight(&gram->sums.rows);
    s24i_lock_drop(lock);
    if (dim)
        *dim = gram->sums.dim;
    return S24_OK;
}
