#include "steps.h"
#include <math.h>
#include <string.h>

/*
 * ADMM on the pattern with penalty rho (Meng et al. 2024, ALPS, eq. 5), in differences: with B the
 * unconstrained and D the projected iterate, U the scaled dual and Z = B + U,
 *   B = W + rho (D - U - W) F,  F = (S + rho I)^-1;   D = Z where Z is kept, else 0;   U = Z - D.
 * D and U have disjoint supports, so Z and the mask are all the state there is.
 */

/* Whole strips of rows that depend on each other. */
static int64_t tile_rows(int64_t rows, int64_t tied)
{
    int64_t tile = rows >= 2048 ? 256 : rows >= 1024 ? 128 : rows >= 256 ? 64 : 32;
    return tile > tied ? tile / tied * tied : tied;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

s24_status s24i_cpu_penalty_unit(const s24i_run *run, const s24i_prepared *prepared, double *unit)
{
    size_t mark = run->arena->used;
    int64_t n = prepared->dim;
    float *variance = s24i_arena_take(run->arena, (size_t)n, sizeof(float));
    uint8_t *upper = s24i_arena_take(run->arena, (size_t)n, 1);
    s24_status status = s24i_cpu_variances(run, prepared, variance);
    *unit = 1;
    if (!status && !s24i_counting(run)) {
        s24i_keep_largest(variance, n, n / 2 + 1, upper);
        *unit = INFINITY;
        for (int64_t j = 0; j < n; j++)
            if (upper[j])
                *unit = fmin(*unit, (double)variance[j]);
    }
    run->arena->used = mark;
    return status == S24_E_CANCELLED ? S24_OK : status; /* no iteration will look at it */
}

s24_status s24i_cpu_admm_take(const s24i_run *run, s24i_admm *a)
{
    size_t n = (size_t)a->target.prepared->dim,
           workers = (size_t)s24i_workers(run->device->threads);
    a->tile =
        tile_rows(a->of_rows ? a->of_rows : a->target.rows, s24i_tied_rows(a->target.constraints));
    a->z = s24i_arena_take(run->arena, s24i_mul((size_t)a->target.rows, n), sizeof(float));
    a->inverse =
        s24i_arena_take(run->arena, s24i_panels_size((int64_t)n, (int64_t)n), sizeof(float));
    a->share = 2 * (size_t)a->tile * n + 2 * s24i_both_scratch(a->target.constraints);
    a->scratch = s24i_arena_take(run->arena, s24i_mul(a->share, workers), sizeof(float));
    a->rho = a->dual = 1;
    return S24_OK;
}

s24_status s24i_cpu_admm_penalty(const s24i_run *run, s24i_admm *a, double rho)
{
    a->dual *= a->rho / rho; /* the unscaled dual rho U stays */
    a->rho = rho;
    s24_status status = s24i_shifted_panels(run, a->target.prepared, rho, a->inverse, &a->f);
    return status == S24_E_CANCELLED ? S24_OK : status; /* no iteration will look at f */
}

s24_status s24i_cpu_admm_start(const s24i_run *run, s24i_admm *a, const float *from)
{
    a->dual = 1;
    return s24i_cpu_apply_mask(run, from, a->mask, a->target.rows, a->target.prepared->dim, a->z);
}

/* ---- iterations ---- */

/* Z of one tile from the present Z and mask. */
static void move_tile(const s24i_admm *a, int64_t first, int64_t rows, float *gap, double dual)
{
    const s24i_kernels *kernels = a->run->device->kernels;
    int64_t n = a->target.prepared->dim, place = first * n, size = rows * n;
    float *product = gap + a->tile * n;
    kernels->admm_gap(a->z + place, a->target.w + place, a->mask + place, (float)dual, gap, size);
    s24i_times_packed(a->run->device, rows, gap, &a->f, product);
    kernels->admm_move(product, a->target.w + place, a->mask + place, (float)a->rho, (float)dual,
                       a->z + place, a->b ? a->b + place : NULL, size);
}

static void project_strips(const s24i_admm *a, int64_t first, int64_t rows, double *scratch)
{
    const s24i_constraints *constraints = a->target.constraints;
    int64_t n = a->target.prepared->dim;
    for (int64_t i = first; i < first + rows; i += constraints->m)
        s24i_select_both(a->run->device->kernels, constraints, (s24i_strip){a->z + i * n, NULL, n},
                         n, a->mask + i * n, scratch);
}

/* gap: the worker's scratch, of move_tile() and then of both sides. */
static void project_rows(const s24i_admm *a, int64_t first, int64_t rows, float *gap)
{
    const s24i_constraints *constraints = a->target.constraints;
    int64_t n = a->target.prepared->dim;
    if (constraints->mask)
        return;
    if (constraints->both)
        project_strips(a, first, rows, (double *)(void *)(gap + 2 * a->tile * n));
    else if (constraints->n)
        s24i_select_nm(a->run->device->kernels, a->z + first * n, NULL, a->mask + first * n,
                       rows * n, constraints->n, constraints->m);
    for (int64_t i = first; !constraints->n && i < first + rows; i++)
        s24i_keep_largest(a->z + i * n, n, n - s24i_zeros(constraints->sparsity, n),
                          a->mask + i * n);
}

static void iterate_tile(void *arg, int64_t tile, int32_t worker)
{
    const s24i_admm *a = arg;
    int64_t first = tile * a->tile, rows = least(a->tile, a->target.rows - first);
    float *gap = a->scratch + (size_t)worker * a->share;
    double dual = a->dual;
    for (int32_t step = 0; step < a->steps && !s24i_watch_stopped(a->run->watch); step++) {
        move_tile(a, first, rows, gap, dual);
        project_rows(a, first, rows, gap);
        dual = 1;
    }
}

static void matrix_tile(void *arg, int64_t tile, int32_t worker)
{
    const s24i_admm *a = arg;
    int64_t first = tile * a->tile;
    move_tile(a, first, least(a->tile, a->target.rows - first),
              a->scratch + (size_t)worker * a->share, a->dual);
}

static s24_status iterate_layer(const s24i_run *run, s24i_admm *a)
{
    int64_t size = a->target.rows * a->target.prepared->dim,
            keep = size - s24i_zeros(a->target.constraints->sparsity, size);
    s24_status status = S24_OK;
    for (int32_t step = 0; step < a->steps && !status && !s24i_watch_stopped(run->watch); step++) {
        status = s24i_parallel(run->device->threads, matrix_tile, a,
                               (a->target.rows + a->tile - 1) / a->tile);
        if (!status)
            status = s24i_select_largest(run, a->z, size, keep, a->mask);
        a->dual = 1;
    }
    return status;
}

s24_status s24i_cpu_admm_iterate(const s24i_run *run, s24i_admm *a, int32_t steps)
{
    s24_status status;
    a->steps = steps;
    if (s24i_counting(run))
        return s24i_over_layer(a->target.constraints)
                   ? s24i_select_largest(run, NULL, a->target.rows * a->target.prepared->dim, 0,
                                         NULL)
                   : S24_OK;
    run->arena->flops += steps * s24i_product_flops(a->target.rows, a->target.prepared->dim);
    if (s24i_over_layer(a->target.constraints))
        return iterate_layer(run, a);
    status = s24i_parallel(run->device->threads, iterate_tile, a,
                           (a->target.rows + a->tile - 1) / a->tile);
    a->dual = 1;
    return status;
}
