#include "steps.h"
#include <math.h>
#include <string.h>

/* The exact minimum on a support: one Cholesky solve a row, in double. Solved for the change from
 * v, so that rounding in the right-hand side is relative to what is still to gain. */
enum { ROWS = 16 };

typedef struct {
    const s24i_run *run;
    const s24i_target *target;
    const s24i_prepared *p;
    int64_t widest; /* largest support of a row */
    const uint8_t *mask;
    float *v, *gradient; /* ROWS x dim a worker, twice */
    double *system;      /* widest x (widest + 1) a worker */
    int64_t *index;      /* widest a worker */
    _Atomic int64_t singular;
} refit;

static int64_t support_of(const uint8_t *mask, int64_t n, int64_t *index)
{
    int64_t k = 0;
    for (int64_t j = 0; j < n; j++)
        if (mask[j])
            index[k++] = j;
    return k;
}

static bool solve_row(const refit *f, int64_t row, const float *gradient, int64_t *index,
                      double *system)
{
    int64_t n = f->p->dim, k = support_of(f->mask + row * n, n, index);
    double *rhs = system + f->widest * f->widest;
    for (int64_t i = 0; i < k; i++) {
        const float *s = f->p->s + index[i] * n;
        for (int64_t j = 0; j <= i; j++)
            system[i * k + j] = s[index[j]];
        rhs[i] = gradient[index[i]];
    }
    if (k == 0)
        return true;
    if (!s24i_small_cholesky(k, system, k))
        return false;
    s24i_small_solve(k, system, k, rhs);
    for (int64_t i = 0; i < k; i++)
        f->v[row * n + index[i]] += (float)rhs[i];
    return true;
}

static void refit_tile(void *arg, int64_t tile, int32_t worker)
{
    refit *f = arg;
    if (s24i_watch_stopped(f->run->watch))
        return;
    int64_t n = f->p->dim, first = tile * ROWS;
    int64_t rows = f->target->rows - first < ROWS ? f->target->rows - first : ROWS;
    float *difference = f->gradient + (int64_t)worker * 2 * ROWS * n;
    float *gradient = difference + ROWS * n;
    double *system = f->system + (int64_t)worker * f->widest * (f->widest + 1);
    int64_t *index = f->index + (int64_t)worker * f->widest;
    for (int64_t i = 0; i < rows * n; i++)
        difference[i] = f->target->w[first * n + i] - f->v[first * n + i];
    s24i_times(rows, n, difference, f->p->s, gradient);
    for (int64_t i = 0; i < rows; i++)
        if (!solve_row(f, first + i, gradient + i * n, index, system))
            atomic_store(&f->singular, first + i);
    s24i_watch_step(f->run->watch, rows, NAN, NAN);
}

/* What is needed when no row's support is larger than `widest`. */
static void take_refit(refit *f, const s24i_run *run)
{
    size_t workers = (size_t)s24i_workers(f->run->device->threads), k = (size_t)f->widest;
    f->gradient =
        s24i_arena_take(run->arena, (size_t)(2 * ROWS * f->p->dim) * workers, sizeof(float));
    f->system = s24i_arena_take(run->arena, s24i_mul(k * (k + 1), workers), sizeof(double));
    f->index = s24i_arena_take(run->arena, k * workers, sizeof(int64_t));
}

s24_status s24i_refit_exact(const s24i_run *run, const s24i_target *target, const uint8_t *mask,
                            int64_t widest, float *v)
{
    size_t before = run->arena->used;
    refit f = {.run = run, .target = target, .p = target->prepared};
    f.widest = widest;
    f.mask = mask;
    f.v = v;
    f.singular = -1;
    take_refit(&f, run);
    s24_status status = S24_OK;
    if (!s24i_counting(run)) {
        run->arena->flops +=
            (double)target->rows * (double)widest * (double)widest * (double)widest / 3;
        s24i_watch_phase(run->watch, "refit", target->rows);
        status =
            s24i_parallel(run->device->threads, refit_tile, &f, (target->rows + ROWS - 1) / ROWS);
        if (!status && f.singular >= 0)
            status = s24i_fail(S24_E_NUMERIC, "the system of row %lld is not positive definite",
                               (long long)f.singular);
    }
    run->arena->used = before;
    return status;
}

s24_status s24i_cpu_refit(const s24i_run *run, const s24i_target *target, const uint8_t *mask,
                          int32_t method, s24i_cg_limits limits, float *v, int32_t *iterations,
                          double *residual)
{
    int64_t cols = target->prepared->dim;
    if (method == S24I_REFIT_CG || (method == S24I_REFIT_AUTO && cols > S24I_EXACT_COLS))
        return s24i_cpu_cg(run, target, mask, limits, v, iterations, residual);
    *iterations = 1;
    *residual = 0;
    return s24i_refit_exact(run, target, mask, s24i_most_kept(target->constraints, cols), v);
}

/* ---- losses of rows ---- */

/* |e R|^2, S = R R^T, block after block of columns: half of the product with S. */
enum { LOSS_ROWS = 128, LOSS_COLS = 2 * S24I_BLOCK };

typedef struct {
    const s24i_run *run;
    const s24i_target *target;
    const s24i_prepared *p;
    const float *v;
    float *scratch; /* a worker: LOSS_ROWS x dim, LOSS_ROWS x LOSS_COLS, LOSS_COLS x LOSS_COLS */
    double *loss;
} row_losses;

static int64_t loss_floats(int64_t n)
{
    return LOSS_ROWS * (n + LOSS_COLS) + LOSS_COLS * LOSS_COLS;
}

static void loss_tile(void *arg, int64_t tile, int32_t worker)
{
    const row_losses *l = arg;
    int64_t n = l->p->dim, first = tile * LOSS_ROWS;
    int64_t rows = l->target->rows - first < LOSS_ROWS ? l->target->rows - first : LOSS_ROWS;
    float *e = l->scratch + (int64_t)worker * loss_floats(n), *product = e + LOSS_ROWS * n;
    float *corner = product + LOSS_ROWS * LOSS_COLS;
    for (int64_t i = 0; i < rows * n; i++)
        e[i] = l->v[first * n + i] - l->target->w[first * n + i];
    for (int64_t i = 0; i < rows; i++)
        l->loss[first + i] = 0;
    for (int64_t c = 0; c < n; c += LOSS_COLS) {
        int64_t cols = n - c < LOSS_COLS ? n - c : LOSS_COLS;
        const float *r = l->p->r + c;
        for (int64_t i = 0; i < cols; i++)
            for (int64_t j = 0; j < cols; j++)
                corner[i * cols + j] = j < i ? 0 : r[(c + i) * n + j];
        s24i_sgemm(rows, cols, cols, 1, s24i_f32(e + c, n), s24i_f32(corner, cols), 0,
                   s24i_f32_out(product, cols));
        if (c > 0)
            s24i_sgemm(rows, cols, c, 1, s24i_f32(e, n), s24i_f32(r, n), 1,
                       s24i_f32_out(product, cols));
        for (int64_t i = 0; i < rows; i++)
            l->loss[first + i] += l->run->device->kernels->sum_squares(product + i * cols, cols);
    }
}

s24_status s24i_cpu_row_losses(const s24i_run *run, const s24i_target *target, const float *v,
                               double *loss, double *total)
{
    size_t before = run->arena->used;
    int64_t n = target->prepared->dim, rows = target->rows;
    row_losses l = {run, target, target->prepared, v};
    l.scratch = s24i_arena_take(run->arena,
                                (size_t)loss_floats(n) * (size_t)s24i_workers(run->device->threads),
                                sizeof(float));
    l.loss = loss;
    s24_status status = S24_OK;
    run->arena->flops += s24i_product_flops(rows, n) / 2;
    if (!s24i_counting(run))
        status =
            s24i_parallel(run->device->threads, loss_tile, &l, (rows + LOSS_ROWS - 1) / LOSS_ROWS);
    *total = 0;
    for (int64_t i = 0; !status && !s24i_counting(run) && i < rows; i++)
        *total += loss[i];
    run->arena->used = before;
    return status;
}

static double sum(const double *x, int64_t count)
{
    double total = 0;
    for (int64_t i = 0; i < count; i++)
        total += x[i];
    return total;
}

s24_status s24i_cpu_keep_better(const s24i_run *run, const s24i_target *target, const float *first,
                                const uint8_t *first_mask, float *v, uint8_t *mask)
{
    size_t before = run->arena->used;
    int64_t rows = target->rows, cols = target->prepared->dim;
    double *old = s24i_arena_take(run->arena, (size_t)rows, sizeof(double));
    double *now = s24i_arena_take(run->arena, (size_t)rows, sizeof(double)), sums[2];
    int64_t tied =
        s24i_over_layer(target->constraints) ? rows : s24i_tied_rows(target->constraints);
    s24_status status = s24i_cpu_row_losses(run, target, first, old, &sums[0]);
    if (!status)
        status = s24i_cpu_row_losses(run, target, v, now, &sums[1]);
    for (int64_t i = 0; !status && !s24i_counting(run) && i < rows; i += tied)
        if (sum(old + i, tied) <= sum(now + i, tied)) {
            memcpy(v + i * cols, first + i * cols, (size_t)(tied * cols) * sizeof(float));
            memcpy(mask + i * cols, first_mask + i * cols, (size_t)(tied * cols));
        }
    run->arena->used = before;
    return status;
}
