#include "cuda.h"
#include <math.h>
#include <stdatomic.h>

/* What a method repeats: refits on a support, ADMM, shrinking searches (lib/ops/steps).
 * Rows go all at once. */

/* ---- Losses of rows ---- */

s24_status s24c_op_row_losses(const s24i_run *run, const s24i_target *target, const float *v,
                              double *loss, double *total)
{
    cudaStream_t s = s24c_stream(run);
    size_t mark = run->arena->used;
    int64_t n = target->prepared->dim, rows = target->rows;
    size_t size = s24i_mul((size_t)rows, (size_t)n);
    float *e = s24i_arena_take(run->arena, size, sizeof(float));
    float *product = s24i_arena_take(run->arena, size, sizeof(float));
    s24_status status = S24_OK;

    *total = 0;
    run->arena->flops += s24i_product_flops(rows, n) / 2;
    run->arena->used = mark;
    if (s24i_counting(run))
        return S24_OK;
    s24c_subtract(s, v, target->w, rows * n, e);
    status = s24c_gemm(run, (s24c_shape){rows, n, n}, 1, s24i_f32(e, n),
                       s24i_f32(target->prepared->r, n), 0, s24i_f32_out(product, n));
    s24c_row_dots(s, product, product, rows, n, loss);
    s24c_total(s, loss, rows, (double *)(void *)s24c_of(run)->numbers);
    if (!status)
        status = s24c_launched(run, "row_losses");
    return status ? status
                  : s24c_fetch(run, s24c_of(run)->numbers, sizeof *total, total, "row_losses");
}

s24_status s24c_op_keep_better(const s24i_run *run, const s24i_target *target, const float *first,
                               const uint8_t *first_mask, float *v, uint8_t *mask)
{
    size_t mark = run->arena->used;
    int64_t rows = target->rows, cols = target->prepared->dim;
    double *old = s24i_arena_take(run->arena, (size_t)rows + 1, sizeof(double));
    double *now = s24i_arena_take(run->arena, (size_t)rows + 1, sizeof(double)), sums[2];
    bool layer = s24i_over_layer(target->constraints);
    s24_status status = s24c_op_row_losses(run, target, first, old, &sums[0]);

    if (!status)
        status = s24c_op_row_losses(run, target, v, now, &sums[1]);
    if (!status && !s24i_counting(run)) {
        if (layer && (status = s24c_send(run, &sums[0], sizeof(double), old)) == S24_OK)
            status = s24c_send(run, &sums[1], sizeof(double), now);
        s24c_keep_better(s24c_stream(run), old, now,
                         layer ? 0 : s24i_tied_rows(target->constraints), first, first_mask, rows,
                         cols, v, mask);
    }
    if (!status && !s24i_counting(run))
        status = s24c_launched(run, "keep_better");
    run->arena->used = mark;
    return status;
}

/* ---- Conjugate gradients ---- */

static void take_cg(const s24i_run *run, const s24i_target *target, s24c_cg *c)
{
    size_t rows = (size_t)target->rows, size = s24i_mul(rows, (size_t)target->prepared->dim);
    c->r = s24i_arena_take(run->arena, size, sizeof(float));
    c->p = s24i_arena_take(run->arena, size, sizeof(float));
    c->ap = s24i_arena_take(run->arena, size, sizeof(float));
    c->start = s24i_arena_take(run->arena, rows, sizeof(double));
    c->norm2 = s24i_arena_take(run->arena, rows, sizeof(double));
    c->running = s24i_arena_take(run->arena, rows, sizeof(int32_t));
}

static s24_status how_many_run(const s24i_run *run, const s24c_cg *c, int32_t *count)
{
    s24_status status = s24c_launched(run, "cg");
    return status ? status : s24c_fetch(run, c->count, sizeof *count, count, "cg");
}

static s24_status run_cg(const s24i_run *run, const s24i_target *target, s24i_cg_limits limits,
                         s24c_cg *c, int32_t *iterations, double *residual)
{
    s24c_state *state = s24c_of(run);
    int64_t rows = target->rows, n = target->prepared->dim;
    double *left = (double *)(void *)(state->numbers + 1);
    int32_t running = 0;

    *iterations = 0;
    s24i_watch_phase(run->watch, "refit", rows);
    s24c_subtract(state->stream, target->w, c->v, rows * n, c->p);
    s24_status status = s24c_times(run, rows, n, c->p, target->prepared->s, c->r);
    s24c_cg_begin(state->stream, c);
    if (!status)
        status = how_many_run(run, c, &running);
    while (!status && running && *iterations < limits.max_iter && !s24i_watch_stopped(run->watch)) {
        run->arena->flops += s24i_product_flops(running, n);
        status = s24c_times(run, rows, n, c->p, target->prepared->s, c->ap);
        s24c_cg_advance(state->stream, c);
        if (!status)
            status = how_many_run(run, c, &running);
        ++*iterations;
    }
    s24c_cg_left(state->stream, c, left);
    if (!status)
        status = s24c_launched(run, "cg");
    s24i_watch_step(run->watch, rows, NAN, NAN);
    return status ? status : s24c_fetch(run, left, sizeof *residual, residual, "cg");
}

s24_status s24c_op_cg(const s24i_run *run, const s24i_target *target, const uint8_t *mask,
                      s24i_cg_limits limits, float *v, int32_t *iterations, double *residual)
{
    size_t mark = run->arena->used;
    s24c_cg c = {.rows = target->rows, .cols = target->prepared->dim};
    s24_status status = S24_OK;

    c.tol2 = limits.tol * limits.tol;
    c.v = v;
    c.mask = mask;
    take_cg(run, target, &c);
    if (!s24i_counting(run)) {
        c.count = (int32_t *)(void *)s24c_of(run)->numbers;
        status = run_cg(run, target, limits, &c, iterations, residual);
    }
    run->arena->used = mark;
    return status;
}

/* ---- The exact refit ---- */

enum { REFIT_BLOCKS = 264 };

static int64_t most_kept(const s24i_constraints *constraints, int64_t cols)
{
    int64_t zeros = (int64_t)nearbyint(constraints->sparsity * (double)cols);

    if (constraints->n)
        return cols / constraints->m * constraints->n;
    if (constraints->units.kind)
        return cols / constraints->units.count * constraints->units.keep;
    return constraints->scope == S24I_SCOPE_ROW ? cols - (zeros < cols ? zeros : cols - 1) : cols;
}

static s24_status refit_exact(const s24i_run *run, const s24i_target *target, const uint8_t *mask,
                              float *v)
{
    cudaStream_t s = s24c_stream(run);
    size_t mark = run->arena->used;
    int64_t n = target->prepared->dim, rows = target->rows;
    int64_t widest = most_kept(target->constraints, n);
    int32_t blocks = rows < REFIT_BLOCKS ? (int32_t)rows : REFIT_BLOCKS, singular = -1;
    size_t size = s24i_mul((size_t)rows, (size_t)n), k = (size_t)widest;
    float *difference = s24i_arena_take(run->arena, size, sizeof(float));
    float *gradient = s24i_arena_take(run->arena, size, sizeof(float));
    double *system =
        s24i_arena_take(run->arena, s24i_mul(k * (k + 1), (size_t)blocks), sizeof(double));
    int32_t *index = s24i_arena_take(run->arena, k * (size_t)blocks, sizeof *index);
    int32_t *told = (int32_t *)(void *)s24c_of(run)->numbers;
    s24_status status = S24_OK;

    run->arena->used = mark;
    if (s24i_counting(run) || rows == 0 || widest == 0)
        return S24_OK;
    run->arena->flops += (double)rows * (double)widest * (double)widest * (double)widest / 3;
    s24i_watch_phase(run->watch, "refit", rows);
    s24c_subtract(s, target->w, v, rows * n, difference);
    status = s24c_times(run, rows, n, difference, target->prepared->s, gradient);
    s24c_refit(s, target->prepared->s, mask, gradient, rows, n, widest, blocks, system, index, v,
               told);
    if (!status)
        status = s24c_launched(run, "refit");
    if (!status)
        status = s24c_fetch(run, told, sizeof singular, &singular, "refit");
    s24i_watch_step(run->watch, rows, NAN, NAN);
    if (!status && singular >= 0)
        status = s24i_fail(S24_E_NUMERIC, "the system of row %d is not positive definite",
                           (int)singular);
    return status;
}

s24_status s24c_op_refit(const s24i_run *run, const s24i_target *target, const uint8_t *mask,
                         int32_t method, s24i_cg_limits limits, float *v, int32_t *iterations,
                         double *residual)
{
    int64_t cols = target->prepared->dim;

    if (method == S24I_REFIT_CG || (method == S24I_REFIT_AUTO && cols > S24I_EXACT_COLS))
        return s24c_op_cg(run, target, mask, limits, v, iterations, residual);
    *iterations = 1;
    *residual = 0;
    return refit_exact(run, target, mask, v);
}

/* ---- ADMM ---- */

/* The upper median on the host. */
static double upper_median(float *x, int64_t n)
{
    int64_t low = 0, high = n - 1, wanted = (n - 1) / 2; /* as many from it on as n / 2 + 1 */

    if (n % 2 == 0)
        wanted = n / 2 - 1;
    while (low < high) {
        float pivot = x[low + (high - low) / 2];
        int64_t i = low, j = high;
        while (i <= j) {
            while (x[i] < pivot)
                i++;
            while (x[j] > pivot)
                j--;
            if (i <= j) {
                float t = x[i];
                x[i++] = x[j];
                x[j--] = t;
            }
        }
        if (wanted <= j)
            high = j;
        else if (wanted >= i)
            low = i;
        else
            break;
    }
    return x[wanted];
}

s24_status s24c_op_penalty_unit(const s24i_run *run, const s24i_prepared *p, double *unit)
{
    size_t mark = run->arena->used, bytes = s24i_mul((size_t)p->dim, sizeof(float));
    float *variance = s24i_arena_take(run->arena, (size_t)p->dim, sizeof(float));
    s24i_memory first;
    s24_status status = s24c_op_variances(run, p, variance);

    *unit = 1;
    run->arena->used = mark;
    if (status || s24i_counting(run))
        return status == S24_E_CANCELLED ? S24_OK : status;
    s24i_memory_init(&first, NULL, NULL, NULL);
    float *here = s24i_alloc(&first, bytes);
    if (!here)
        return S24_E_MEMORY;
    status = s24c_op_download(run, variance, bytes, here);
    if (!status)
        *unit = upper_median(here, p->dim);
    s24i_free(&first, here, bytes);
    return status;
}

s24_status s24c_op_admm_take(const s24i_run *run, s24i_admm *a)
{
    size_t n = (size_t)a->target.prepared->dim, size = s24i_mul((size_t)a->target.rows, n);

    a->tile = a->target.rows;
    a->share = 2 * size;
    a->z = s24i_arena_take(run->arena, size, sizeof(float));
    a->f = s24i_arena_take(run->arena, s24i_mul(n, n), sizeof(float));
    a->scratch = s24i_arena_take(run->arena, a->share, sizeof(float));
    a->rho = a->dual = 1;
    return s24c_refuse_both(run, a->target.constraints, "admm_take");
}

s24_status s24c_op_admm_start(const s24i_run *run, s24i_admm *a, const float *from)
{
    a->dual = 1;
    return s24c_op_apply_mask(run, from, a->mask, a->target.rows, a->target.prepared->dim, a->z);
}

s24_status s24c_op_admm_penalty(const s24i_run *run, s24i_admm *a, double rho)
{
    a->dual *= a->rho / rho;
    a->rho = rho;
    s24_status status = s24c_shifted_inverse(run, a->target.prepared, rho, a->f);
    return status == S24_E_CANCELLED ? S24_OK : status;
}

static s24_status project_z(const s24i_run *run, s24i_admm *a)
{
    const s24i_constraints *constraints = a->target.constraints;
    int64_t rows = a->target.rows, n = a->target.prepared->dim, size = rows * n;
    bool layer = s24i_over_layer(constraints);
    int64_t all = layer ? size : n, zeros = (int64_t)nearbyint(constraints->sparsity * (double)all);

    if (constraints->mask || constraints->n || !constraints->scope)
        return S24_OK;
    zeros = zeros < all ? zeros : all - 1;
    if (layer)
        return s24c_select(run, a->z, size, size - zeros, a->mask);
    s24c_keep_rows(s24c_stream(run), a->z, rows, n, n - zeros, a->mask);
    return s24c_launched(run, "admm_iterate");
}

s24_status s24c_op_admm_iterate(const s24i_run *run, s24i_admm *a, int32_t steps)
{
    cudaStream_t s = s24c_stream(run);
    const s24i_constraints *constraints = a->target.constraints;
    int64_t rows = a->target.rows, n = a->target.prepared->dim, size = rows * n;
    float *gap = a->scratch, *product = a->scratch ? a->scratch + size : NULL;
    bool groups = constraints->n && !constraints->mask;
    s24_status status = S24_OK;

    a->steps = steps;
    if (s24i_counting(run))
        return s24i_over_layer(constraints) ? s24c_select(run, NULL, size, 0, NULL) : S24_OK;
    run->arena->flops += steps * s24i_product_flops(rows, n);
    for (int32_t step = 0; step < steps && !status && !s24i_watch_stopped(run->watch); step++) {
        s24c_admm_gap(s, a->z, a->target.w, a->mask, (float)a->dual, size, gap);
        status = s24c_times(run, rows, n, gap, a->f, product);
        s24c_admm_move(s, product, a->target.w, (float)a->rho, (float)a->dual,
                       groups ? constraints->n : 0, groups ? constraints->m : 1, size, a->mask,
                       a->z, a->b);
        if (!status)
            status = project_z(run, a);
        a->dual = 1;
    }
    a->dual = 1;
    return status ? status : s24c_launched(run, "admm_iterate");
}

/* ---- Shrinking searches ---- */

enum { POWER_STEPS = 20 };

typedef struct shrinking {
    const s24i_run *run;
    const s24i_target *target;
    s24i_shrinking how;
    int64_t rows, n, size;
    int32_t keep, m;
    float *f, *z, *gap, *product, *v;
    uint8_t *mask;
    double step, scale;
} shrinking;

static int32_t kind_of(const shrinking *s)
{
    return s->keep == 1 ? 1 : s->keep == 2 ? 2 : 3;
}

/* As shrink_relative() and shrink_growing() of lib/ops/steps/shrink.c. */
static float strength_of(const shrinking *s, int32_t t)
{
    double way = (double)t / (0.85 * (double)s->how.iterations);
    double lambda = s->how.lambda * pow(s->how.growth, t);

    if (s->how.gradient)
        return s->keep == 2 ? (float)fmin(lambda / s->scale, 1e30) : (float)fmin(1, lambda);
    return s->keep == 1   ? (float)fmin(1, 0.01 + way)
           : s->keep == 2 ? (float)fmin(2.1, 0.1 * pow(21, way))
                          : (float)fmin(1, 0.1 + 0.9 * way);
}

static s24_status shrink_by_admm(shrinking *s, int32_t *taken)
{
    cudaStream_t stream = s24c_stream(s->run);
    const float *w = s->target->w;
    size_t bytes = (size_t)s->size * sizeof(float);
    s24_status status = s24c_op_copy(s->run, w, bytes, s->z);

    if (!status)
        status = s24c_op_copy(s->run, w, bytes, s->v);
    for (*taken = 0; !status && *taken < s->how.iterations && !s24i_watch_stopped(s->run->watch);) {
        s24c_shrink_gap(stream, s->v, s->z, w, s->size, s->gap);
        status = s24c_times(s->run, s->rows, s->n, s->gap, s->f, s->product);
        s24c_shrink_move(stream, w, s->product, s->v, (float)s->how.rho, s->size, s->z);
        ++*taken;
        s24c_prox(stream, kind_of(s), s->z, s->size, s->keep, s->m, strength_of(s, *taken), 1,
                  s->v);
    }
    s24c_select_nm(stream, s->z, NULL, s->size, s->n, s->keep, s->m, s->mask);
    s24c_apply_mask(stream, s->z, s->mask, s->size, s->v);
    return status ? status : s24c_launched(s->run, "shrink");
}

static s24_status residual(shrinking *s)
{
    s24c_subtract(s24c_stream(s->run), s->target->w, s->v, s->size, s->gap);
    return s24c_times(s->run, s->rows, s->n, s->gap, s->target->prepared->s, s->product);
}

static s24_status settled(shrinking *s, bool *done)
{
    uint64_t *numbers = s24c_of(s->run)->numbers, left = 0;

    s24c_unsettled(s24c_stream(s->run), s->v, s->size, s->keep, s->m,
                   (unsigned long long *)numbers);
    s24_status status = s24c_launched(s->run, "shrink");
    if (!status)
        status = s24c_fetch(s->run, numbers, sizeof left, &left, "shrink");
    *done = left == 0;
    return status;
}

static s24_status shrink_by_gradient(shrinking *s, int32_t *taken)
{
    cudaStream_t stream = s24c_stream(s->run);
    unsigned *largest = (unsigned *)s24c_of(s->run)->numbers;
    bool done = false;
    s24_status status = s24c_op_copy(s->run, s->target->w, (size_t)s->size * sizeof(float), s->v);

    for (*taken = 0; !status && *taken < s->how.iterations && !s24i_watch_stopped(s->run->watch);
         ++*taken) {
        if (*taken % 16 == 0 && ((status = settled(s, &done)) || done))
            break;
        status = residual(s);
        s24c_add_scaled(stream, s->v, s->product, (float)s->step, s->size, s->z);
        s24c_prox(stream, kind_of(s), s->z, s->size, s->keep, s->m, strength_of(s, *taken), 0,
                  s->v);
    }
    s24c_largest(stream, s->target->w, s->size, largest);
    s24c_fill_score(stream, s->v, s->target->w, largest, s->size, s->gap);
    s24c_select_nm(stream, s->gap, NULL, s->size, s->n, s->keep, s->m, s->mask);
    s24c_apply_mask(stream, s->target->w, s->mask, s->size, s->v);
    for (int32_t i = 0; !status && i < s->how.refit_steps && !s24i_watch_stopped(s->run->watch);
         i++) {
        status = residual(s);
        s24c_masked_step(stream, s->product, s->mask, (float)s->step, s->size, s->v);
    }
    return status ? status : s24c_launched(s->run, "shrink");
}

/* sum of squares of a row of `count`. */
static s24_status squares(const s24i_run *run, const float *x, int64_t rows, int64_t cols,
                          double *sums, double *out)
{
    double *total = (double *)(void *)s24c_of(run)->numbers;

    s24c_row_dots(s24c_stream(run), x, x, rows, cols, sums);
    s24c_total(s24c_stream(run), sums, rows, total);
    s24_status status = s24c_launched(run, "shrink");
    return status ? status : s24c_fetch(run, total, sizeof *out, out, "shrink");
}

/* 1 / the largest eigenvalue of S, by the power method from above. */
static s24_status find_step(shrinking *s, double *sums)
{
    float *x = s->z, *y = s->gap;
    double before = 0, after = 0, norm = 1;
    float start[256];
    s24_status status = S24_OK;

    for (int64_t j = 0; j < s->n && !status; j += 256) {
        int64_t cols = s->n - j < 256 ? s->n - j : 256;
        for (int64_t i = 0; i < cols; i++)
            start[i] = 1 + (float)((j + i) % 7) / 16;
        status = s24c_send(s->run, start, (size_t)cols * sizeof *start, x + j);
    }
    for (int32_t i = 0; i < POWER_STEPS && !status; i++) {
        status = s24c_times(s->run, 1, s->n, x, s->target->prepared->s, y);
        if (!status)
            status = squares(s->run, x, 1, s->n, sums, &before);
        if (!status)
            status = squares(s->run, y, 1, s->n, sums, &after);
        norm = sqrt(after / before);
        s24c_multiply(s24c_stream(s->run), 1 / sqrt(after), 0, s->n, y);
        float *t = x;
        x = y;
        y = t;
    }
    s->step = 1 / (1.02 * norm);
    return status;
}

s24_status s24c_op_shrink(const s24i_run *run, const s24i_target *target, s24i_shrinking how,
                          float *v, uint8_t *mask)
{
    size_t at = run->arena->used;
    shrinking s = {.run = run, .target = target, .how = how, .rows = target->rows, .v = v};
    int32_t taken = 0;
    s24_status status = S24_OK;

    s.n = target->prepared->dim;
    s.size = s.rows * s.n;
    s.keep = target->constraints->n;
    s.m = target->constraints->m;
    s.mask = mask;
    s.z = s24i_arena_take(run->arena, (size_t)s.size, sizeof(float));
    s.gap = s24i_arena_take(run->arena, (size_t)s.size, sizeof(float));
    s.product = s24i_arena_take(run->arena, (size_t)s.size, sizeof(float));
    double *sums = s24i_arena_take(run->arena, (size_t)s.rows, sizeof(double));
    if (!how.gradient) {
        s.f = s24i_arena_take(run->arena, s24i_mul((size_t)s.n, (size_t)s.n), sizeof(float));
        status = s24c_shifted_inverse(run, target->prepared, how.rho, s.f);
    }
    if (!status && !s24i_counting(run)) {
        double square = 0;
        status = squares(run, target->w, s.rows, s.n, sums, &square);
        s.scale = sqrt(square / (double)s.size);
        if (!status && how.gradient)
            status = find_step(&s, sums);
        s24i_watch_phase(run->watch, "shrink", s.rows);
        if (!status)
            status = (how.gradient ? shrink_by_gradient : shrink_by_admm)(&s, &taken);
        atomic_store(how.taken, taken);
        run->arena->flops += taken * s24i_product_flops(s.rows, s.n);
        s24i_watch_step(run->watch, s.rows, NAN, NAN);
    }
    run->arena->used = at;
    return status;
}
