#include "steps.h"
#include <math.h>
#include <string.h>

/*
 * ADMM for W ~ S + L, S on the pattern and L of low rank (3BASiL, arXiv 2603.01376). D, U, Z and F
 * as in admm.c. Where L is a block of its own, W - L takes the place of W there. Else L = U_r C
 * with the best C for any B is put into the step, which is then the minimum over B and C together:
 *   B = (D - U) - h,  h = (I - U_r U_r^T) g,  g = (D - U - W) - rho (D - U - W) F,
 * and U_r takes one warm iteration on W - (B + D) / 2. Rows meet in U_r^T g and in M^T Q, so tiles
 * of rows take turns with tiles of columns.
 */
enum { COLS = 64, WIDE_COLS = 128 };

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t tile_rows(int64_t rows)
{
    return rows >= 2048 ? 256 : rows >= 1024 ? 128 : rows >= 256 ? 64 : 32;
}

/* Columns of a tile: whole groups. */
static int64_t tile_cols(const s24i_split *a)
{
    int64_t wanted = a->target.prepared->dim >= 1024 ? WIDE_COLS : COLS,
            m = a->target.constraints->n ? a->target.constraints->m : 1;
    return wanted / m * m;
}

static bool by_columns(const s24i_split *a)
{
    const s24i_constraints *constraints = a->target.constraints;
    return constraints->mask || (constraints->n && !constraints->both);
}

s24_status s24i_cpu_split_take(const s24i_run *run, s24i_split *a)
{
    size_t n = (size_t)a->target.prepared->dim,
           workers = (size_t)s24i_workers(run->device->threads);
    a->tile = tile_rows(a->target.rows);
    a->low.run = run;
    a->run = run;
    a->low.p = a->target.prepared;
    a->low.rows = a->target.rows;
    s24i_lowrank_take(run, &a->low);
    a->inverse =
        s24i_arena_take(run->arena, s24i_panels_size((int64_t)n, (int64_t)n), sizeof(float));
    size_t columns = s24i_mul((size_t)a->low.rank, WIDE_COLS);
    a->share = 2 * (size_t)a->tile * n > columns ? 2 * (size_t)a->tile * n : columns;
    a->scratch = s24i_arena_take(run->arena, s24i_mul(a->share, workers), sizeof(float));
    a->rho = a->dual = 1;
    return S24_OK;
}

s24_status s24i_cpu_split_penalty(const s24i_run *run, s24i_split *a, double rho)
{
    a->dual *= a->rho / rho; /* the unscaled dual rho U stays */
    a->rho = rho;
    s24_status status = s24i_shifted_panels(run, a->target.prepared, rho, a->inverse, &a->f);
    return status == S24_E_CANCELLED ? S24_OK : status; /* no iteration will look at f */
}

/* ---- one iteration ---- */

/* h = g, of W - L in place of W when L is a block of its own. */
static void gap_tile(void *arg, int64_t tile, int32_t worker)
{
    const s24i_split *a = arg;
    const s24i_kernels *kernels = a->run->device->kernels;
    int64_t n = a->target.prepared->dim, first = tile * a->tile,
            rows = least(a->tile, a->target.rows - first);
    int64_t place = first * n, size = rows * n;
    float *gap = a->scratch + (size_t)worker * a->share, *rest = gap + a->tile * n;
    const float *w = a->target.w + place;
    if (a->apart) {
        memcpy(rest, w, (size_t)size * sizeof(float));
        s24i_lowrank_subtract(&a->low, first, rows, rest);
        w = rest;
    }
    kernels->admm_gap(a->z + place, w, a->mask + place, (float)a->dual, gap, size);
    s24i_times_packed(a->run->device, rows, gap, &a->f, a->h + place);
    kernels->cg_direction(a->h + place, gap, (float)-a->rho, size);
}

/* g -> h -> B, and Z. */
static void move_columns(const s24i_split *a, int64_t first, int64_t cols, float *scratch)
{
    int64_t n = a->target.prepared->dim, k = a->low.width, r = a->low.rank;
    if (!a->apart) {
        s24i_sgemm(r, cols, a->target.rows, 1, s24i_f32_turned(a->low.q, k),
                   s24i_f32(a->h + first, n), 0, s24i_f32_out(scratch, cols));
        s24i_sgemm(a->target.rows, cols, r, -1, s24i_f32(a->low.q, k), s24i_f32(scratch, cols), 1,
                   s24i_f32_out(a->h + first, n));
    }
    for (int64_t i = 0; i < a->target.rows; i++)
        a->run->device->kernels->split_move(a->h + i * n + first, a->mask + i * n + first,
                                            (float)a->dual, a->z + i * n + first, cols);
}

static void select_columns(const s24i_split *a, int64_t first, int64_t cols)
{
    const s24i_constraints *constraints = a->target.constraints;
    int64_t n = a->target.prepared->dim;
    for (int64_t i = 0; !constraints->mask && i < a->target.rows; i++)
        s24i_select_nm(a->run->device->kernels, a->z + i * n + first, NULL, a->mask + i * n + first,
                       cols, constraints->n, constraints->m);
}

/* h = what L is to take, and its product with Q. */
static void rest_columns(const s24i_split *a, int64_t first, int64_t cols)
{
    int64_t n = a->target.prepared->dim;
    for (int64_t i = 0; i < a->target.rows; i++) {
        int64_t at = i * n + first;
        a->run->device->kernels->split_rest(a->target.w + at, a->h + at, a->z + at, a->mask + at,
                                            a->apart ? 0 : 0.5f, a->h + at, cols);
    }
    s24i_lowrank_gather(&a->low, a->h, first, cols);
}

typedef struct {
    const s24i_split *a;
    bool move, rest;
} column_work;

static void column_tile(void *arg, int64_t tile, int32_t worker)
{
    const column_work *work = arg;
    const s24i_split *a = work->a;
    int64_t width = tile_cols(a), first = tile * width,
            cols = least(width, a->target.prepared->dim - first);
    if (work->move)
        move_columns(a, first, cols, a->scratch + (size_t)worker * a->share);
    if (work->move && work->rest)
        select_columns(a, first, cols);
    if (work->rest)
        rest_columns(a, first, cols);
}

static s24_status over_columns(const s24i_split *a, bool move, bool rest)
{
    column_work work = {a, move, rest};
    int64_t width = tile_cols(a);
    return s24i_parallel(a->run->device->threads, column_tile, &work,
                         (a->target.prepared->dim + width - 1) / width);
}

s24_status s24i_cpu_split_iterate(const s24i_run *run, s24i_split *a, bool rotate)
{
    int64_t tiles = (a->target.rows + a->tile - 1) / a->tile;
    if (s24i_counting(run))
        return by_columns(a) ? S24_OK
                             : s24i_cpu_project(run, a->target.constraints, a->z, NULL,
                                                a->target.rows, a->target.prepared->dim, a->mask);
    if (s24i_watch_cancelled(run->watch))
        return S24_OK;
    run->arena->flops += s24i_product_flops(a->target.rows, a->target.prepared->dim) +
                         (2 * (double)a->low.rank + 2 * (double)a->low.width) * 2 *
                             (double)a->target.rows * (double)a->target.prepared->dim;
    s24_status status = s24i_parallel(a->run->device->threads, gap_tile, a, tiles);
    if (!status && by_columns(a))
        status = over_columns(a, true, true);
    if (!status && !by_columns(a)) {
        status = over_columns(a, true, false);
        if (!status)
            status = s24i_cpu_project(run, a->target.constraints, a->z, NULL, a->target.rows,
                                      a->target.prepared->dim, a->mask);
        if (!status)
            status = over_columns(a, false, true);
    }
    a->dual = 1;
    if (!status)
        status = s24i_lowrank_step(run, &a->low, a->h, rotate);
    if (!status && a->apart)
        status = s24i_lowrank_project(run, &a->low, a->h);
    return status;
}

/* ---- before and after ---- */

static void rest_row(void *arg, int64_t i, int32_t worker)
{
    (void)worker;
    const s24i_split *a = arg;
    int64_t n = a->target.prepared->dim, at = i * n;
    a->run->device->kernels->apply_mask(a->z + at, a->mask + at, a->h + at, n);
    for (int64_t j = at; j < at + n; j++)
        a->h[j] = a->target.w[j] - a->h[j];
}

s24_status s24i_cpu_split_rest(const s24i_run *run, s24i_split *a)
{
    return s24i_counting(run) ? S24_OK
                              : s24i_parallel(run->device->threads, rest_row, a, a->target.rows);
}

s24_status s24i_cpu_split_start(const s24i_run *run, s24i_split *a)
{
    enum { WARM = 4 };
    a->dual = 1;
    s24_status status =
        s24i_cpu_apply_mask(run, a->z, a->mask, a->target.rows, a->target.prepared->dim, a->z);
    if (!status)
        status = s24i_cpu_split_rest(run, a);
    if (!status)
        status = s24i_cpu_lowrank_start(run, &a->low, a->h);
    return status ? status : s24i_cpu_lowrank_fit(run, &a->low, a->h, 0, 0, WARM);
}
