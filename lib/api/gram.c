#include "api.h"
#include <math.h>
#include <stddef.h>
#include <stdio.h>

/* ---- Handles ---- */

static s24_status create(s24_ctx *ctx, int64_t dim, int32_t accumulator, s24_gram **out)
{
    s24_status status = s24i_check_dim(dim, "dim");

    if (!status && accumulator != S24_F32 && accumulator != S24_F64)
        status = s24i_fail(S24_E_DTYPE, "accumulator is 0x%04x, but must be S24_F32 or S24_F64",
                           (unsigned)accumulator);
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
    s24i_object_init(&gram->object, S24I_GRAM, ctx);
    s24i_lock_init(&gram->lock);
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
    s24_ctx *ctx = gram->object.ctx;

    if (!s24i_object_drop(&gram->object))
        return;
    s24i_lock_fini(&gram->lock);
    s24i_gram_fini(&ctx->cpu, &gram->sums);
    if (gram->sums.mirror)
        ctx->device->forget(ctx->device, gram->sums.mirror);
    s24i_free(&ctx->memory, gram, sizeof *gram);
    s24i_ctx_release(ctx);
}

void s24_gram_destroy(s24_gram *gram)
{
    if (!s24i_is(gram, S24I_GRAM))
        return;
    gram->object.handle.magic = S24I_DEAD;
    s24i_gram_release(gram);
}

/* ---- Many may read the sums, nobody changes them then ---- */

static s24_status refuse_lost(void)
{
    return s24i_fail(S24_E_STATE,
                     "the gram is spoilt: the host's parallel runner failed in the middle of an "
                     "earlier addition; make a new one");
}

/* Rows that no longer wait: where this moved and the work failed, the sums are lost. */
static int64_t summed(const s24_gram *gram)
{
    const s24i_rows *rows = &gram->sums.rows;

    return rows->next - rows->filled[0] - rows->filled[1];
}

static s24_status enter(s24_gram *gram)
{
    s24_status status = s24i_enter(gram->object.ctx);

    gram->before = summed(gram);
    return status;
}

static void leave(s24_gram *gram, s24_status status)
{
    s24i_leave(gram->object.ctx);
    gram->lost = status && summed(gram) != gram->before;
}

s24_status s24i_gram_change(s24_gram *gram)
{
    s24_status status = S24_OK;

    s24i_lock_take(&gram->lock);
    if (gram->lost)
        status = refuse_lost();
    else if (gram->readers)
        status = s24i_fail(S24_E_STATE,
                           "the gram is being read by a running solve: change it afterwards");
    else if ((status = enter(gram)))
        s24i_leave(gram->object.ctx);
    if (status)
        s24i_lock_drop(&gram->lock);
    return status;
}

/* The device makes the sums of grams in single precision. */
static bool is_there(const s24_gram *gram)
{
    return gram->object.ctx->device->sums_add && gram->sums.rows.type == S24_F32;
}

/* Rows that wait, into the sums; then what the host wants to see. */
static s24_status flush(s24_gram *gram)
{
    s24_ctx *ctx = gram->object.ctx;

    if (!is_there(gram))
        return s24i_gram_flush(&ctx->cpu, &gram->sums, S24I_BOTH);
    int32_t before = s24i_device_enter(ctx);
    s24_status status = ctx->device->sums_flush(ctx->device, &gram->sums);
    s24i_device_leave(ctx, before);
    return status;
}

static s24_status fetch(s24_gram *gram, bool whole)
{
    s24_ctx *ctx = gram->object.ctx;

    if (!is_there(gram))
        return S24_OK;
    int32_t before = s24i_device_enter(ctx);
    s24_status status = ctx->device->sums_fetch(ctx->device, &gram->sums, whole);
    s24i_device_leave(ctx, before);
    return status;
}

s24_status s24i_gram_change_here(s24_gram *gram)
{
    s24_status status = s24i_gram_change(gram);

    if (status)
        return status;
    status = flush(gram);
    if (!status)
        status = fetch(gram, true);
    return status ? s24i_gram_changed(gram, status) : S24_OK;
}

/* Of the device's sums, which the host's then are not. */
static s24_status changed_there(s24_gram *gram, s24_status status)
{
    leave(gram, status);
    gram->version++;
    s24i_lock_drop(&gram->lock);
    return status;
}

s24_status s24i_gram_changed(s24_gram *gram, s24_status status)
{
    leave(gram, status);
    gram->version++;
    gram->sums.changes++;
    s24i_lock_drop(&gram->lock);
    return status;
}

static s24_status open_gram(s24_gram *gram, bool whole)
{
    s24_status status = S24_OK;

    s24i_lock_take(&gram->lock);
    if (gram->lost) {
        status = refuse_lost();
    } else if (!gram->readers) {
        status = enter(gram);
        if (!status)
            status = flush(gram);
        leave(gram, status);
    }
    if (!status)
        status = fetch(gram, whole);
    if (!status) {
        gram->readers++;
        s24i_object_retain(&gram->object);
    }
    s24i_lock_drop(&gram->lock);
    return status;
}

s24_status s24i_gram_open(s24_gram *gram)
{
    return open_gram(gram, true);
}

s24_status s24i_gram_open_there(s24_gram *gram)
{
    return open_gram(gram, gram->object.ctx->device->host);
}

void s24i_gram_close(s24_gram *gram)
{
    if (!gram)
        return;
    s24i_lock_take(&gram->lock);
    gram->readers--;
    s24i_lock_drop(&gram->lock);
    s24i_gram_release(gram);
}

/* ---- Rows in ---- */

static s24_cross *cross_of(s24i_stream *stream)
{
    return (s24_cross *)((char *)stream - offsetof(s24_cross, sums.t));
}

static bool is_destroyed(s24i_stream *stream)
{
    return !s24i_is(cross_of(stream), S24I_CROSS);
}

static s24_status check_rows(const s24_gram *gram, const s24_mat *x, const s24_mat *row_weight)
{
    int32_t floats = is_there(gram) ? S24I_FLOATS_OF(gram->object.ctx) : S24I_FLOAT_TYPE;
    s24_status status = s24i_check_mat(x, "x", floats);

    if (!status)
        status = s24i_check_shape(x, "x", x->rows, gram->sums.dim);
    if (status || !row_weight)
        return status;
    status = s24i_check_mat(row_weight, "row_weight", S24I_FLOAT_TYPE);
    return status ? status : s24i_check_shape(row_weight, "row_weight", x->rows, 1);
}

/* Target i goes to crosses[i]. */
static s24_status assign_target(s24_gram *gram, int64_t rows, s24_cross *cross,
                                const s24_mat *target, int32_t i)
{
    char name[24];

    snprintf(name, sizeof name, "crosses[%d]", (int)i);
    s24_status status = s24i_check_handle(cross, S24I_CROSS, name);
    if (status)
        return status;
    if (cross->gram != gram)
        return s24i_fail(S24_E_ARG, "%s hangs on another gram", name);
    if (!cross->sums.t.batch[0])
        return s24i_fail(S24_E_ARG, "%s was derived: its rows do not come with targets", name);
    if (cross->sums.t.target >= 0)
        return s24i_fail(S24_E_ARG, "%s is crosses[%d] again", name, (int)cross->sums.t.target);
    snprintf(name, sizeof name, "targets[%d]", (int)i);
    if (!(status = s24i_check_mat(
              target, name, is_there(gram) ? S24I_FLOATS_OF(gram->object.ctx) : S24I_FLOAT_TYPE)))
        status = s24i_check_shape(target, name, rows, cross->sums.out);
    cross->sums.t.target = i;
    return status;
}

static s24_status check_complete(s24_gram *gram, int32_t count)
{
    int32_t living = 0;

    for (s24i_stream *s = gram->sums.rows.x.next; s; s = s->next)
        living += !is_destroyed(s);
    if (living == count)
        return S24_OK;
    return s24i_fail(S24_E_STATE,
                     "%d of the %d crosses that hang on the gram get no target: rows come with the "
                     "targets of all, s24_gram_add_targets()",
                     (int)(living - count), (int)living);
}

/* The rows that wait still go into crosses that only problems keep, further rows do not. */
static s24_status part_from_destroyed(s24_gram *gram)
{
    s24_status status = S24_OK;

    for (s24i_stream *s = gram->sums.rows.x.next, *next; s && !status; s = next) {
        next = s->next;
        if (!is_destroyed(s))
            continue;
        status = flush(gram);
        if (!status)
            status = fetch(gram, true);
        if (!status)
            s24i_cross_detach(&cross_of(s)->sums, &gram->sums);
    }
    return status;
}

static s24_status add(s24_gram *gram, const s24i_addition *addition, s24_cross *const *crosses,
                      int32_t count)
{
    s24_ctx *ctx = gram->object.ctx;
    s24_status status = check_rows(gram, addition->x, addition->row_weight);

    if (!status)
        status = s24i_gram_change(gram);
    if (status)
        return status;
    for (s24i_stream *s = gram->sums.rows.x.next; s; s = s->next)
        s->target = -1;
    for (int32_t i = 0; i < count && !status; i++)
        status = assign_target(gram, addition->x->rows, crosses[i], addition->targets + i, i);
    if (!status)
        status = check_complete(gram, count);
    if (!status)
        status = part_from_destroyed(gram);
    if (status || !is_there(gram)) {
        if (!status)
            status = s24i_gram_add(&gram->object.ctx->cpu, &gram->sums, addition);
        return s24i_gram_changed(gram, status);
    }
    int32_t before = s24i_device_enter(ctx);
    status = ctx->device->sums_add(ctx->device, &gram->sums, addition);
    s24i_device_leave(ctx, before);
    return changed_there(gram, status);
}

s24_status s24_gram_add(s24_gram *gram, const s24_mat *x, const s24_mat *row_weight)
{
    s24i_addition addition = {.x = x, .row_weight = row_weight};
    s24_status status = s24i_check_handle(gram, S24I_GRAM, "gram");

    return s24i_done(__func__, status ? status : add(gram, &addition, NULL, 0));
}

s24_status s24_gram_add_targets(s24_gram *gram, const s24_mat *x, const s24_mat *row_weight,
                                s24_cross *const *crosses, const s24_mat *targets, int32_t count)
{
    s24i_addition addition = {.x = x, .row_weight = row_weight, .targets = targets};
    s24_status status = s24i_check_handle(gram, S24I_GRAM, "gram");

    if (!status && count < 0)
        status = s24i_fail(S24_E_ARG, "count is %d, but must not be negative", (int)count);
    if (!status && count)
        status = s24i_check_pointer(crosses, "crosses");
    if (!status && count)
        status = s24i_check_pointer(targets, "targets");
    return s24i_done(__func__, status ? status : add(gram, &addition, crosses, count));
}

/* ---- Halves ---- */

static s24_status merge(s24_gram *dst, s24_gram *src)
{
    if (dst == src)
        return s24i_fail(S24_E_ARG, "src is dst: a gram cannot be merged into itself");
    if (src->sums.dim != dst->sums.dim)
        return s24i_fail(S24_E_SHAPE, "src has dim %lld and dst %lld: they must be equal",
                         (long long)src->sums.dim, (long long)dst->sums.dim);
    s24_status status = s24i_gram_open(src);
    if (status)
        return status;
    if (!(status = s24i_gram_change_here(dst))) {
        s24i_gram_merge(&dst->sums, &src->sums);
        s24i_gram_changed(dst, S24_OK);
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

s24_status s24i_check_half(int32_t half, const s24_mat *mat, const char *what, int64_t rows,
                           int64_t cols)
{
    if (half != 1 && half != 2)
        return s24i_fail(S24_E_ARG, "half is %d, but must be 1 or 2", (int)half);
    s24_status status = s24i_check_mat(mat, what, S24I_FLOAT_TYPE);
    return status ? status : s24i_check_shape(mat, what, rows, cols);
}

static s24_status export(s24_gram *gram, int32_t half, const s24_mat *h, double *rows)
{
    s24_ctx *ctx = gram->object.ctx;
    s24_status status = s24i_check_half(half, h, "h", gram->sums.dim, gram->sums.dim);

    if (!status)
        status = s24i_gram_open(gram);
    if (status)
        return status;
    s24i_enter(ctx);
    status = s24i_gram_export(&ctx->cpu, &gram->sums, half - 1, h);
    s24i_leave(ctx);
    if (!status && rows)
        *rows = gram->sums.rows.x.weight[half - 1];
    s24i_gram_close(gram);
    return status;
}

s24_status s24_gram_export(const s24_gram *gram, int32_t half, const s24_mat *h, double *rows)
{
    s24_status status = s24i_check_handle(gram, S24I_GRAM, "gram");

    return s24i_done(__func__, status ? status : export((s24_gram *)gram, half, h, rows));
}

static s24_status import(s24_gram *gram, int32_t half, const s24_mat *h, double rows)
{
    s24_status status = s24i_check_half(half, h, "h", gram->sums.dim, gram->sums.dim);

    if (!status)
        status = s24i_check_sum(rows, "rows");
    if (!status)
        status = s24i_gram_change_here(gram);
    if (status)
        return status;
    status = s24i_gram_import(&gram->object.ctx->cpu, &gram->sums, half - 1, h, rows);
    return s24i_gram_changed(gram, status);
}

s24_status s24_gram_import(s24_gram *gram, int32_t half, const s24_mat *h, double rows)
{
    s24_status status = s24i_check_handle(gram, S24I_GRAM, "gram");

    return s24i_done(__func__, status ? status : import(gram, half, h, rows));
}

/* ---- What is known of it ---- */

bool s24i_same_count(double a, double b)
{
    return fabs(a - b) <= 1e-9 * fmax(a, b);
}

double s24i_rows_weight(const s24i_rows *rows)
{
    return rows->x.weight[0] + rows->x.weight[1];
}

typedef struct output_norms {
    const s24_gram *gram;
    const s24_mat *w;
    double *norm;
} output_norms;

static s24_status norms_stage(void *arg, const s24i_run *run)
{
    const output_norms *n = arg;

    return s24i_norms(run, &n->gram->sums, n->w, n->gram->sums.dim, n->norm);
}

static s24_status gram_norms(s24_gram *gram, const s24_mat *w, double *norm)
{
    s24_ctx *ctx = gram->object.ctx;
    output_norms n = {gram, w, norm};
    s24_status status = s24i_check_pointer(norm, "norms");

    if (!status && w)
        status = s24i_check_mat(w, "w", S24I_FLOAT_TYPE);
    if (!status && w)
        status = s24i_check_shape(w, "w", w->rows, gram->sums.dim);
    if (!status)
        status = s24i_gram_open(gram);
    if (status)
        return status;
    status = s24i_enter(ctx);
    if (!status && w)
        status = s24i_check_values(ctx, w, "w", false);
    if (!status)
        status = s24i_in_arena(ctx, norms_stage, &n);
    s24i_leave(ctx);
    s24i_gram_close(gram);
    return status;
}

s24_status s24_gram_norms(const s24_gram *gram, const s24_mat *w, double *norms)
{
    s24_status status = s24i_check_handle(gram, S24I_GRAM, "gram");

    return s24i_done(__func__, status ? status : gram_norms((s24_gram *)gram, w, norms));
}

s24_status s24_gram_info(const s24_gram *gram, int64_t *dim, double *rows)
{
    s24_status status = s24i_check_handle(gram, S24I_GRAM, "gram");

    if (status)
        return s24i_done(__func__, status);
    s24i_lock *lock = &((s24_gram *)gram)->lock;
    s24i_lock_take(lock);
    if (rows)
        *rows = s24i_rows_weight(&gram->sums.rows);
    s24i_lock_drop(lock);
    if (dim)
        *dim = gram->sums.dim;
    return S24_OK;
}
