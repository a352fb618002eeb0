#include "linear.h"
#include <math.h>
#include <string.h>

/*
 * S = R R^T with R upper triangular, by blocks of columns from the last to the first. Each block
 * needs one product with the columns already done (left-looking: every element is written once), so
 * all the work is large products. Triangular solves go through the inverted diagonal blocks:
 * OpenBLAS's strsm reaches a fifth of its sgemm on some processors (docs/numerics.md).
 */
enum { B = S24I_BLOCK, TALL = 2 * B };

static int64_t blocks(int64_t dim)
{
    return (dim + B - 1) / B;
}

static int64_t width_of(int64_t dim, int64_t block)
{
    return dim - block * B < B ? dim - block * B : B;
}

/* At 16384 inputs one factorisation may take a minute. */
static bool cancelled(const s24i_run *run)
{
    return run->watch && s24i_watch_cancelled(run->watch);
}

static s24_status unless_cancelled(const s24i_run *run, s24_status status)
{
    if (status || !cancelled(run))
        return status;
    return s24i_fail(S24_E_CANCELLED, "stopped during a factorisation");
}

/* ---- Cholesky ---- */

typedef struct {
    int64_t dim, block;
    float *a, *inv_diag, *scratch;
} cholesky;

/* Rows of `block` and above: minus the product with the columns right of it. The diagonal block is
 * the first task. */
static void update_tile(void *arg, int64_t index, int32_t worker)
{
    (void)worker;
    const cholesky *c = arg;
    int64_t n = c->dim, k0 = c->block * B, kw = width_of(n, c->block), right = k0 + kw;
    const float *done = c->a + k0 * n + right;
    int64_t first = (index - 1) * TALL, rows = k0 - first < TALL ? k0 - first : TALL;
    if (right == n)
        return;
    if (index == 0)
        s24i_ssyrk_subtract(kw, n - right, done, n, c->a + k0 * n + k0, n);
    else
        s24i_sgemm(rows, kw, n - right, -1, s24i_f32(c->a + first * n + right, n),
                   s24i_f32_turned(done, n), 1, s24i_f32_out(c->a + first * n + k0, n));
}

/* Times R_kk^-T from the right. */
static void panel_tile(void *arg, int64_t i, int32_t worker)
{
    const cholesky *c = arg;
    int64_t n = c->dim, k0 = c->block * B, kw = width_of(n, c->block), rows = width_of(n, i);
    float *block = c->a + i * B * n + k0, *copy = c->scratch + (int64_t)worker * B * B;
    for (int64_t r = 0; r < rows; r++)
        memcpy(copy + r * kw, block + r * n, (size_t)kw * sizeof(float));
    s24i_sgemm(rows, kw, kw, 1, s24i_f32(copy, kw), s24i_f32_turned(c->inv_diag + k0 * B, B), 0,
               s24i_f32_out(block, n));
    for (int64_t r = 0; r < rows; r++)
        for (int64_t j = 0; j < kw; j++)
            block[r * n + j] = s24i_drop_tiny(block[r * n + j], S24I_TINY_ENTRY);
}

/* The diagonal block in double: reversed, A = R R^T is the ordinary L L^T. */
static bool factor_diagonal(const cholesky *c, double *work, float floor)
{
    int64_t n = c->dim, k0 = c->block * B, kw = width_of(n, c->block);
    float *a = c->a + k0 * n + k0, *inverse = c->inv_diag + k0 * B;
    for (int64_t i = 0; i < kw; i++)
        for (int64_t j = 0; j <= i; j++)
            work[i * kw + j] = a[(kw - 1 - i) * n + kw - 1 - j];
    if (!s24i_small_cholesky(kw, work, kw))
        return false;
    memset(inverse, 0, (size_t)(kw * B) * sizeof(float));
    for (int64_t i = 0; i < kw; i++) {
        if (!(work[i * kw + i] * work[i * kw + i] >= floor))
            return false;
        for (int64_t j = 0; j <= i; j++)
            a[(kw - 1 - i) * n + kw - 1 - j] =
                s24i_drop_tiny((float)work[i * kw + j], S24I_TINY_ENTRY);
    }
    s24i_small_invert(kw, work, kw);
    for (int64_t i = 0; i < kw; i++)
        for (int64_t j = 0; j <= i; j++)
            inverse[(kw - 1 - i) * B + kw - 1 - j] =
                s24i_drop_tiny((float)work[i * kw + j], S24I_TINY_ENTRY);
    return true;
}

s24_status s24i_cholesky(const s24i_run *run, int64_t dim, float *s, float *inv_diag, float floor,
                         bool *positive)
{
    size_t mark = run->arena->used;
    cholesky c = {.dim = dim, .a = s, .inv_diag = inv_diag};
    c.scratch = s24i_arena_take(
        run->arena, (size_t)(B * B) * (size_t)s24i_workers(run->device->threads), sizeof(float));
    double *work = s24i_arena_take(run->arena, (size_t)(B * B), sizeof(double));
    s24_status status = S24_OK;
    if (s24i_counting(run))
        goto done;
    *positive = true;
    run->arena->flops += (double)dim * (double)dim * (double)dim / 3;
    for (c.block = blocks(dim) - 1; c.block >= 0 && !status && !cancelled(run); c.block--) {
        status = s24i_parallel(run->device->threads, update_tile, &c, 1 + (c.block + 1) / 2);
        if (status || !(*positive = factor_diagonal(&c, work, floor)))
            break;
        status = s24i_parallel(run->device->threads, panel_tile, &c, c.block);
    }
    status = unless_cancelled(run, status);
done:
    run->arena->used = mark;
    return status;
}

/* ---- inverse: U = R^-1 by block columns, then K = U^T U ---- */

typedef struct {
    const s24i_run *run;
    int64_t dim;
    const float *r, *inv_diag;
    float *u, *k, *scratch;
} inversion;

/* U_jj = R_jj^-1; U_ij = -R_ii^-1 sum_{i < l <= j} R_il U_lj, upwards. */
static void invert_column(void *arg, int64_t index, int32_t worker)
{
    const inversion *v = arg;
    int64_t n = v->dim, j = blocks(n) - 1 - index, jw = width_of(n, j);
    float *sum = v->scratch + (int64_t)worker * B * B;
    for (int64_t r = 0; r < jw; r++)
        memcpy(v->u + (j * B + r) * n + j * B, v->inv_diag + (j * B + r) * B,
               (size_t)jw * sizeof(float));
    for (int64_t i = j - 1; i >= 0 && !cancelled(v->run); i--) {
        int64_t below = (i + 1) * B;
        s24i_sgemm(B, jw, j * B + jw - below, 1, s24i_f32(v->r + i * B * n + below, n),
                   s24i_f32(v->u + below * n + j * B, n), 0, s24i_f32_out(sum, jw));
        s24i_sgemm(B, jw, B, -1, s24i_f32(v->inv_diag + i * B * B, B), s24i_f32(sum, jw), 0,
                   s24i_f32_out(v->u + i * B * n + j * B, n));
    }
}

/* K_ij = sum_{l <= i} U_li^T U_lj for i <= j, and its mirror image. */
static void multiply_tile(void *arg, int64_t index, int32_t worker)
{
    (void)worker;
    const inversion *v = arg;
    int64_t n = v->dim, i = blocks(n) - 1 - index, iw = width_of(n, i), first = i * B;
    float *k = v->k + first * n;
    if (cancelled(v->run))
        return;
    s24i_sgemm(iw, n - first, first + iw, 1, s24i_f32_turned(v->u + first, n),
               s24i_f32(v->u + first, n), 0, s24i_f32_out(k + first, n));
    for (int64_t r = 0; r < iw; r++)
        for (int64_t c = 0; c < r; c++)
            k[r * n + first + c] = k[c * n + first + r];
    v->run->device->kernels->transpose(k + first + iw, n, v->k + (first + iw) * n + first, n, iw,
                                       n - first - iw);
}

s24_status s24i_invert_factor(const s24i_run *run, int64_t dim, const float *r,
                              const float *inv_diag, float *u)
{
    size_t mark = run->arena->used;
    inversion v = {.run = run, .dim = dim, .r = r, .inv_diag = inv_diag, .u = u};
    v.scratch = s24i_arena_take(
        run->arena, (size_t)(B * B) * (size_t)s24i_workers(run->device->threads), sizeof(float));
    s24_status status = S24_OK;
    if (!s24i_counting(run)) {
        run->arena->flops += (double)dim * (double)dim * (double)dim / 3;
        status = unless_cancelled(
            run, s24i_parallel(run->device->threads, invert_column, &v, blocks(dim)));
    }
    run->arena->used = mark;
    return status;
}

static s24_status invert_into(const inversion *v)
{
    s24_status status = s24i_invert_factor(v->run, v->dim, v->r, v->inv_diag, v->u);
    if (status || s24i_counting(v->run))
        return status;
    v->run->arena->flops += (double)v->dim * (double)v->dim * (double)v->dim / 3;
    return unless_cancelled(v->run, s24i_parallel(v->run->device->threads, multiply_tile,
                                                  (void *)(uintptr_t)v, blocks(v->dim)));
}

s24_status s24i_inverse(const s24i_run *run, int64_t dim, const float *r, const float *inv_diag,
                        float *k)
{
    size_t mark = run->arena->used;
    inversion v = {.run = run, .dim = dim, .r = r, .inv_diag = inv_diag, .k = k};
    v.u = s24i_arena_take(run->arena, (size_t)dim * (size_t)dim, sizeof(float));
    s24_status status = invert_into(&v);
    run->arena->used = mark;
    return status;
}

/* ---- X <- X (R R^T)^-1, tiles of rows ---- */

enum { ROWS = 64 };

typedef struct {
    const s24i_run *run;
    int64_t dim, rows;
    const float *r, *inv_diag;
    float *x, *scratch;
} solution;

static void times_inverse(const solution *s, bool transposed, float *x, int64_t rows, int64_t block,
                          float *copy)
{
    int64_t n = s->dim, w = width_of(n, block);
    for (int64_t r = 0; r < rows; r++)
        memcpy(copy + r * w, x + r * n + block * B, (size_t)w * sizeof(float));
    s24i_sgemm(rows, w, w, 1, s24i_f32(copy, w),
               (s24i_f32s){s->inv_diag + block * B * B, B, transposed}, 0,
               s24i_f32_out(x + block * B, n));
}

static void solve_tile(void *arg, int64_t tile, int32_t worker)
{
    const solution *s = arg;
    int64_t n = s->dim, rows = s->rows - tile * ROWS < ROWS ? s->rows - tile * ROWS : ROWS;
    float *x = s->x + tile * ROWS * n, *copy = s->scratch + (int64_t)worker * ROWS * B;
    for (int64_t j = blocks(n) - 1; j >= 0 && !cancelled(s->run); j--) { /* Y R^T = X */
        int64_t first = j * B, right = first + width_of(n, j);
        if (right < n)
            s24i_sgemm(rows, right - first, n - right, -1, s24i_f32(x + right, n),
                       s24i_f32_turned(s->r + first * n + right, n), 1, s24i_f32_out(x + first, n));
        times_inverse(s, true, x, rows, j, copy);
    }
    for (int64_t j = 0; j < blocks(n) && !cancelled(s->run); j++) { /* X R = Y */
        int64_t first = j * B;
        if (first > 0)
            s24i_sgemm(rows, width_of(n, j), first, -1, s24i_f32(x, n), s24i_f32(s->r + first, n),
                       1, s24i_f32_out(x + first, n));
        times_inverse(s, false, x, rows, j, copy);
    }
}

s24_status s24i_solve_rows(const s24i_run *run, int64_t dim, const float *r, const float *inv_diag,
                           float *x, int64_t rows)
{
    size_t mark = run->arena->used;
    solution s = {.run = run, .dim = dim, .rows = rows, .r = r, .inv_diag = inv_diag, .x = x};
    s.scratch = s24i_arena_take(
        run->arena, (size_t)(ROWS * B) * (size_t)s24i_workers(run->device->threads), sizeof(float));
    s24_status status = S24_OK;
    run->arena->flops += s24i_product_flops(rows, dim);
    if (!s24i_counting(run))
        status = unless_cancelled(
            run, s24i_parallel(run->device->threads, solve_tile, &s, (rows + ROWS - 1) / ROWS));
    run->arena->used = mark;
    return status;
}

/* ---- (S + rho I)^-1: its factor lives where the inverse will ---- */

typedef struct {
    const s24i_prepared *p;
    float rho, *f;
} shift;

static void shift_row(void *arg, int64_t i, int32_t worker)
{
    (void)worker;
    const shift *s = arg;
    int64_t n = s->p->dim, place = i * n + i;
    memcpy(s->f + place, s->p->s + place, (size_t)(n - i) * sizeof(float));
    s->f[place] += s->rho;
}

/* u: what s24i_inverse() would take. */
static s24_status shifted_inverse(const s24i_run *run, const s24i_prepared *prepared, double rho,
                                  float *f, float *u)
{
    size_t mark = run->arena->used;
    shift s = {prepared, (float)rho, f};
    int64_t n = prepared->dim;
    bool positive = true, counting = s24i_counting(run);
    float *inv_diag = s24i_arena_take(run->arena, (size_t)(n * S24I_BLOCK), sizeof(float));
    s24_status status = counting ? S24_OK : s24i_parallel(run->device->threads, shift_row, &s, n);
    if (!status)
        status = s24i_cholesky(run, n, f, inv_diag, 0, &positive);
    if (!status && !positive)
        status = s24i_fail(S24_E_NUMERIC, "S + %g I is not positive definite", rho);
    inversion v = {.run = run, .dim = n, .r = f, .inv_diag = inv_diag, .u = u, .k = f};
    if (!status)
        status = invert_into(&v);
    run->arena->used = mark;
    return status;
}

s24_status s24i_shifted_inverse(const s24i_run *run, const s24i_prepared *prepared, double rho,
                                float *f)
{
    size_t mark = run->arena->used, n = (size_t)prepared->dim;
    float *u = s24i_arena_take(run->arena, s24i_mul(n, n), sizeof(float));
    s24_status status = shifted_inverse(run, prepared, rho, f, u);
    run->arena->used = mark;
    return status;
}

/* What lies in panels at the end is scratch before. */
s24_status s24i_shifted_panels(const s24i_run *run, const s24i_prepared *prepared, double rho,
                               float *data, s24i_panels *panels)
{
    size_t mark = run->arena->used, n = (size_t)prepared->dim;
    float *f = s24i_arena_take(run->arena, s24i_mul(n, n), sizeof(float));
    s24_status status = shifted_inverse(run, prepared, rho, f, data);
    if (!status && !s24i_counting(run))
        status = s24i_pack_panels(run->device, s24i_f32(f, prepared->dim), prepared->dim,
                                  prepared->dim, data, panels);
    run->arena->used = mark;
    return status;
}
