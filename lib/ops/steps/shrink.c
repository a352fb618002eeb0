#include "steps.h"
#include <math.h>
#include <string.h>

/*
 * Searches for an n:m support that shrink the weights towards it, all groups a little more in each
 * iteration (docs/solvers/prox24.md): ADMM with the proximal operator at a fixed penalty, and
 * proximal gradient. Rows are independent, so a tile of rows runs through all iterations by itself.
 */

enum { ROWS = 64, POWER_STEPS = 20 };

typedef struct {
    const s24i_run *run;
    const s24i_target *target;
    const s24i_prepared *p;
    int32_t n, m;
    s24i_shrinking how;
    s24i_panels by; /* ADMM: (S + rho I)^-1; else S */
    double step;    /* gradient: 1 / largest eigenvalue of S */
    double scale;   /* gradient: root mean square of w */
    float *v;
    uint8_t *mask;
    float *scratch; /* three tiles a worker */
} shrinking;

typedef struct {
    int64_t first, rows, size; /* of the matrix; size = rows * dim */
    const float *w;
    float *z, *gap, *product;
    float *v;
    uint8_t *mask;
} tile_state;

/* ---- the operator of iteration t ---- */

/* Of ADMM, with no unit: from nothing to exactly n of m at 85 % of the way
 * (docs/solvers/prox24.md). */
static void shrink_relative(const shrinking *s, int32_t t, const float *z, float *v, int64_t size)
{
    const s24i_kernels *kernels = s->run->device->kernels;
    double way = (double)t / (0.85 * (double)s->how.iterations);
    if (s->n == 1)
        kernels->prox_1m_f32(z, v, size, s->m, (float)fmin(1, 0.01 + way));
    else if (s->n == 2)
        kernels->prox_2m_f32(z, v, size, s->m, (float)fmin(2.1, 0.1 * pow(21, way)), 1);
    else
        kernels->prox_firm_f32(z, v, size, s->n, s->m, (float)fmin(1, 0.1 + 0.9 * way));
}

/* Of proximal gradient: lambda grows by a constant factor from lambda0, in units of the weights'
 * size. */
static void shrink_growing(const shrinking *s, int32_t t, const float *z, float *v, int64_t size)
{
    const s24i_kernels *kernels = s->run->device->kernels;
    double lambda = s->how.lambda * pow(s->how.growth, t);
    if (s->n == 1)
        kernels->prox_1m_f32(z, v, size, s->m, (float)fmin(1, lambda));
    else if (s->n == 2)
        kernels->prox_2m_f32(z, v, size, s->m, (float)fmin(lambda / s->scale, 1e30), 0);
    else
        kernels->prox_firm_f32(z, v, size, s->n, s->m, (float)fmin(1, lambda));
}

static void choose(const shrinking *s, const tile_state *t, const float *score)
{
    s24i_select_nm(s->run->device->kernels, score, NULL, t->mask, t->size, s->n, s->m);
}

/* ---- ADMM: z = x + u before the operator, v after it, u = z - v ---- */

static int32_t admm_tile(const shrinking *s, tile_state *t)
{
    float rho = (float)s->how.rho;
    int32_t step = 0;
    memcpy(t->z, t->w, (size_t)t->size * sizeof(float));
    memcpy(t->v, t->w, (size_t)t->size * sizeof(float));
    for (; step < s->how.iterations && !s24i_watch_stopped(s->run->watch); step++) {
        for (int64_t i = 0; i < t->size; i++)
            t->gap[i] = 2 * t->v[i] - t->z[i] - t->w[i];
        s24i_times_packed(s->run->device, t->rows, t->gap, &s->by, t->product);
        for (int64_t i = 0; i < t->size; i++)
            t->z[i] = t->w[i] + rho * t->product[i] + (t->z[i] - t->v[i]);
        shrink_relative(s, step + 1, t->z, t->v, t->size);
    }
    choose(s, t, t->z);
    s->run->device->kernels->apply_mask(t->z, t->mask, t->v, t->size);
    return step;
}

/* ---- proximal gradient ---- */

static bool settled(const shrinking *s, const tile_state *t)
{
    for (int64_t i = 0; i < t->size; i += s->m) {
        int32_t kept = 0;
        for (int32_t j = 0; j < s->m; j++)
            kept += t->v[i + j] != 0;
        if (kept > s->n)
            return false;
    }
    return true;
}

/* product = (w - v) S */
static void residual(const shrinking *s, tile_state *t)
{
    for (int64_t i = 0; i < t->size; i++)
        t->gap[i] = t->w[i] - t->v[i];
    s24i_times_packed(s->run->device, t->rows, t->gap, &s->by, t->product);
}

/* The support of v; groups with room take their largest original weights, which score below any
 * weight that is left. */
static void fill_support(const shrinking *s, tile_state *t)
{
    float largest = 0;
    for (int64_t i = 0; i < t->size; i++)
        largest = fmaxf(largest, fabsf(t->w[i]));
    for (int64_t i = 0; i < t->size; i++)
        t->gap[i] = t->v[i] != 0 ? 2 * largest : fabsf(t->w[i]);
    choose(s, t, t->gap);
}

static int32_t gradient_tile(const shrinking *s, tile_state *t)
{
    float step = (float)s->step;
    int32_t iteration = 0;
    memcpy(t->v, t->w, (size_t)t->size * sizeof(float));
    for (; iteration < s->how.iterations && !s24i_watch_stopped(s->run->watch); iteration++) {
        if (iteration % 16 == 0 && settled(s, t))
            break;
        residual(s, t);
        for (int64_t i = 0; i < t->size; i++)
            t->z[i] = t->v[i] + step * t->product[i];
        shrink_growing(s, iteration, t->z, t->v, t->size);
    }
    fill_support(s, t);
    s->run->device->kernels->apply_mask(t->w, t->mask, t->v, t->size);
    for (int32_t i = 0; i < s->how.refit_steps && !s24i_watch_stopped(s->run->watch); i++) {
        residual(s, t);
        for (int64_t j = 0; j < t->size; j++)
            t->v[j] = t->mask[j] ? t->v[j] + step * t->product[j] : 0;
    }
    return iteration;
}

/* ---- both ---- */

static void shrink_tile(void *arg, int64_t tile, int32_t worker)
{
    shrinking *s = arg;
    int64_t n = s->p->dim;
    tile_state t = {.first = tile * ROWS};
    t.rows = s->target->rows - t.first < ROWS ? s->target->rows - t.first : ROWS;
    t.size = t.rows * n;
    t.w = s->target->w + t.first * n;
    t.v = s->v + t.first * n;
    t.mask = s->mask + t.first * n;
    t.z = s->scratch + (int64_t)worker * 3 * ROWS * n;
    t.gap = t.z + ROWS * n;
    t.product = t.gap + ROWS * n;
    int32_t iterations = s->how.gradient ? gradient_tile(s, &t) : admm_tile(s, &t);
    s24i_keep_maximum(s->how.taken, iterations);
    s24i_watch_step(s->run->watch, t.rows, NAN, NAN);
}

/* 1 / the largest eigenvalue of S, by the power method from above. */
static double step_size(const shrinking *s)
{
    int64_t n = s->p->dim;
    float *x = s->scratch, *y = x + n;
    double norm = 1;
    for (int64_t j = 0; j < n; j++)
        x[j] = 1 + (float)(j % 7) / 16;
    for (int32_t i = 0; i < POWER_STEPS; i++) {
        s24i_times(1, n, x, s->p->s, y);
        norm = sqrt(s->run->device->kernels->sum_squares(y, n) /
                    s->run->device->kernels->sum_squares(x, n));
        double size = sqrt(s->run->device->kernels->sum_squares(y, n));
        for (int64_t j = 0; j < n; j++)
            x[j] = (float)(y[j] / size);
    }
    return 1 / (1.02 * norm);
}

s24_status s24i_cpu_shrink(const s24i_run *run, const s24i_target *target, s24i_shrinking how,
                           float *v, uint8_t *mask)
{
    size_t mark = run->arena->used;
    shrinking s = {.run = run, .target = target, .p = target->prepared, .how = how};
    s.n = target->constraints->n;
    s.m = target->constraints->m;
    s.v = v;
    s.mask = mask;
    s24_status status = S24_OK;
    s.scratch = s24i_arena_take(run->arena,
                                s24i_mul((size_t)(3 * ROWS * target->prepared->dim),
                                         (size_t)s24i_workers(run->device->threads)),
                                sizeof(float));
    if (how.gradient) {
        status = s24i_take_panels(run, s.p->dim, s.p->s, &s.by);
    } else {
        float *f = s24i_arena_take(run->arena, s24i_panels_size(s.p->dim, s.p->dim), sizeof(float));
        status = s24i_shifted_panels(run, s.p, how.rho, f, &s.by);
    }
    if (!status && !s24i_counting(run)) {
        s.step = how.gradient ? step_size(&s) : 0;
        s.scale = sqrt(
            run->device->kernels->sum_squares(target->w, target->rows * target->prepared->dim) /
            (double)(target->rows * target->prepared->dim));
        atomic_store(how.taken, 0);
        s24i_watch_phase(run->watch, "shrink", target->rows);
        status =
            s24i_parallel(run->device->threads, shrink_tile, &s, (target->rows + ROWS - 1) / ROWS);
        run->arena->flops += (double)atomic_load(how.taken) *
                             s24i_product_flops(target->rows, target->prepared->dim);
    }
    run->arena->used = mark;
    return status;
}
