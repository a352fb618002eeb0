#include "joint.h"
#include <math.h>
#include <string.h>

/*
 * Coordinate descent over codes, (v - w) S (v - w)^T with S_jj = 1 (Behdin et al. 2023, there over
 * whole columns): code j becomes the level nearest to v_j + g_j, g = (w - v) S, which is the exact
 * minimum in column j. Rows are independent, and few codes change once a sequential method went
 * before, so each change updates g by one row of S. Then scales: with u = v in the columns of one
 * group, the factor 1 + (u g^T) / (u S u^T) is the exact minimum along u.
 */
enum { ROWS = 32 };

typedef struct {
    const s24i_run *run;
    const s24i_target *target;
    const s24i_prepared *p;
    s24i_panels s; /* of p */
    s24i_descent_limits limits;
    s24i_grid *grid;
    uint8_t *codes, *mask;
    float *scratch;
    _Atomic int64_t iterations;
} descent;

/* ROWS x n each, and ROWS x group of t; v and t only between passes. Of one row: all its steps and
 * zeros. */
typedef struct {
    int64_t first, rows;
    float *code, *step, *inverse, *g, *v, *t;
    float *row_step, *row_inverse, *row_zero;
} tile_state;

static size_t floats_of(const descent *d)
{
    return (size_t)(ROWS * (5 * d->p->dim + s24i_grid_group(&d->grid->form, d->p->dim)) +
                    3 * d->p->dim);
}

static tile_state state_of(const descent *d, int64_t tile, int32_t worker)
{
    tile_state t = {.first = tile * ROWS};
    int64_t size = ROWS * d->p->dim;
    t.rows = d->target->rows - t.first < ROWS ? d->target->rows - t.first : ROWS;
    t.code = d->scratch + (size_t)worker * floats_of(d);
    t.step = t.code + size;
    t.inverse = t.step + size;
    t.g = t.inverse + size;
    t.v = t.g + size;
    t.t = t.v + size;
    t.row_step = t.t + ROWS * s24i_grid_group(&d->grid->form, d->p->dim);
    t.row_inverse = t.row_step + d->p->dim;
    t.row_zero = t.row_inverse + d->p->dim;
    return t;
}

static int64_t group_at(const descent *d, const tile_state *t, int64_t i, int64_t j)
{
    const s24i_grid_form *form = &d->grid->form;
    int64_t n = d->p->dim;
    return (t->first + i) * s24i_grid_groups(form, n) + j / s24i_grid_group(form, n);
}

static bool is_outlier(const descent *d, int64_t at)
{
    return s24i_is_outlier(d->grid, at) && d->mask[at];
}

/* Pruned columns and outliers have no step. */
static void load(const descent *d, tile_state *t)
{
    int64_t n = d->p->dim;
    for (int64_t i = 0; i < t->rows; i++)
        for (int64_t j = 0; j < n; j++) {
            int64_t at = (t->first + i) * n + j, group = group_at(d, t, i, j), k = i * n + j;
            float step = (float)(d->grid->scale[group] * d->p->scale[j]);
            t->code[k] = d->codes[at];
            bool coded = d->mask[at] && !is_outlier(d, at);
            t->step[k] = coded ? step : 0;
            t->inverse[k] = coded ? 1 / step : 0;
        }
}

/* v from the codes, 0 for outliers. */
static void decode(const descent *d, const tile_state *t)
{
    int64_t n = d->p->dim;
    for (int64_t i = 0; i < t->rows; i++)
        for (int64_t j = 0; j < n; j++) {
            float zero = s24i_grid_zero(d->grid, group_at(d, t, i, j));
            t->v[i * n + j] = t->step[i * n + j] * (t->code[i * n + j] - zero);
        }
}

static void find_gradient(const descent *d, const tile_state *t)
{
    int64_t n = d->p->dim;
    const float *w = d->target->w + t->first * n;
    decode(d, t);
    for (int64_t k = 0; k < t->rows * n; k++) {
        if (is_outlier(d, t->first * n + k))
            t->v[k] = (float)(d->grid->value[t->first * n + k] * d->p->scale[k % n]);
        t->v[k] = w[k] - t->v[k];
    }
    s24i_times_packed(d->run->device, t->rows, t->v, &d->s, t->g);
}

/* Each outlier of row i takes the exact minimum in its column. */
static void descend_outliers(const descent *d, const tile_state *t, int64_t i)
{
    int64_t n = d->p->dim, at = (t->first + i) * n;
    float *g = t->g + i * n, *value = d->grid->value + at;
    for (int64_t j = 0; j < n; j++) {
        if (!is_outlier(d, at + j) || d->p->dead[j])
            continue;
        float before = value[j];
        value[j] += (float)(g[j] / d->p->scale[j]);
        d->run->device->kernels->subtract_scaled(g, d->p->s + j * n,
                                                 (float)((value[j] - before) * d->p->scale[j]), n);
    }
}

/* Sweeps until no code changes, with outliers twice in a row; how many. */
static int32_t descend_codes(const descent *d, const tile_state *t, int64_t i)
{
    int64_t n = d->p->dim;
    int32_t sweeps = 0, idle = 0;
    s24i_descent row = {.n = n, .code = t->code + i * n, .g = t->g + i * n, .s = d->p->s};
    row.step = t->step + i * n;
    row.inverse = t->inverse + i * n;
    row.top = s24i_grid_top(&d->grid->form);
    while (sweeps < d->limits.sweeps && idle <= (d->grid->outliers != NULL) &&
           !s24i_watch_stopped(d->run->watch)) {
        bool changed = d->run->device->kernels->descend_row(&row) > 0;
        if (d->grid->outliers)
            descend_outliers(d, t, i);
        sweeps += changed;
        idle = changed ? 0 : idle + 1;
    }
    return sweeps;
}

static int32_t descend_jointly(const descent *d, const tile_state *t, int64_t i)
{
    int64_t n = d->p->dim;
    int32_t sweeps = 0;
    s24i_joint row = {.kernels = d->run->device->kernels, .cols = n, .s = d->p->s};
    row.n = d->target->constraints->n;
    row.m = d->target->constraints->m;
    row.step = t->row_step;
    row.inverse = t->row_inverse;
    row.zero = t->row_zero;
    row.top = s24i_grid_top(&d->grid->form);
    row.code = t->code + i * n;
    row.g = t->g + i * n;
    row.kept_step = t->step + i * n;
    row.kept_inverse = t->inverse + i * n;
    row.mask = d->mask + (t->first + i) * n;
    for (int64_t j = 0; j < n; j++) {
        int64_t at = group_at(d, t, i, j);
        t->row_step[j] = (float)(d->grid->scale[at] * d->p->scale[j]);
        t->row_inverse[j] = 1 / t->row_step[j];
        t->row_zero[j] = s24i_grid_zero(d->grid, at);
    }
    while (sweeps < d->limits.sweeps && !s24i_watch_stopped(d->run->watch) &&
           s24i_joint_sweep(&row) > 0)
        sweeps++;
    return sweeps;
}

static void descend_rows(descent *d, const tile_state *t)
{
    bool joint = d->target->constraints->n && !d->target->constraints->mask && !d->grid->outliers;
    int32_t most = 0;
    for (int64_t i = 0; i < t->rows; i++) {
        int32_t sweeps = (joint ? descend_jointly : descend_codes)(d, t, i);
        most = sweeps > most ? sweeps : most;
    }
    s24i_keep_maximum(&d->iterations, most);
}

/* ---- scales ---- */

/* Columns [first, end) of row i times 1 + delta, the best that the type of scales allows; v becomes
 * what is added to them. Real zeros, in units of the matrix, grow with their scale. */
static void refit_row(const descent *d, const tile_state *t, int64_t i, int64_t first, int64_t end)
{
    int64_t n = d->p->dim;
    int64_t at = group_at(d, t, i, first);
    float *v = t->v + i * n, *scale = &d->grid->scale[at];
    const float *g = t->g + i * n, *sv = t->t + i * (end - first);
    double along = 0, curvature = 0, delta = 0;
    for (int64_t j = first; j < end; j++) {
        along += (double)v[j] * g[j];
        curvature += (double)v[j] * sv[j - first];
    }
    if (curvature > 0 && *scale != 0) {
        float wanted = s24i_stored(d->grid->type, (float)(*scale * (1 + along / curvature)));
        delta = (double)wanted / *scale - 1;
        if (!(wanted > 0 && isfinite(wanted) && delta * (2 * along - delta * curvature) > 0))
            delta = 0;
        else if (d->grid->form.scheme == S24I_GRID_REAL)
            d->grid->zero[at] *= wanted / *scale;
        *scale = delta != 0 ? wanted : *scale;
    }
    for (int64_t j = first; j < end; j++) {
        float *step = &t->step[i * n + j];
        *step = *step != 0 ? (float)(*scale * d->p->scale[j]) : 0;
        t->inverse[i * n + j] = *step != 0 ? 1 / *step : 0;
        v[j] *= (float)delta;
    }
}

static void refit(const descent *d, const tile_state *t)
{
    int64_t n = d->p->dim, group = s24i_grid_group(&d->grid->form, n);
    const float *s = d->p->s;
    decode(d, t);
    for (int64_t first = 0; first < n; first += group) {
        int64_t end = first + group < n ? first + group : n, width = end - first;
        s24i_sgemm(t->rows, width, width, 1, s24i_f32(t->v + first, n),
                   s24i_f32(s + first * n + first, n), 0, s24i_f32_out(t->t, width));
        for (int64_t i = 0; i < t->rows; i++)
            refit_row(d, t, i, first, end);
        s24i_times_panels(d->run->device->kernels, t->rows, -1, s24i_f32(t->v + first, n),
                          (s24i_slice){&d->s, first, width}, true, s24i_f32_out(t->g, n));
    }
}

/* Real zeros in 16 bits would round to others. */
static bool may_refit(const s24i_grid *grid)
{
    return grid->form.scheme != S24I_GRID_REAL || grid->type == S24_F32;
}

/* ---- all of it ---- */

static void store(const descent *d, const tile_state *t)
{
    uint8_t *codes = d->codes + t->first * d->p->dim;
    for (int64_t k = 0; k < t->rows * d->p->dim; k++)
        codes[k] = (uint8_t)t->code[k];
}

static void descend_tile(void *arg, int64_t tile, int32_t worker)
{
    descent *d = arg;
    tile_state t = state_of(d, tile, worker);
    load(d, &t);
    find_gradient(d, &t);
    descend_rows(d, &t);
    for (int32_t k = 0; k < d->limits.refits && may_refit(d->grid); k++) {
        refit(d, &t);
        descend_rows(d, &t);
    }
    store(d, &t);
    s24i_watch_step(d->run->watch, t.rows, NAN, NAN);
}

s24_status s24i_cpu_descend(const s24i_run *run, const s24i_target *target,
                            s24i_descent_limits limits, s24i_grid *grid, uint8_t *codes,
                            uint8_t *mask, int32_t *iterations)
{
    size_t mark = run->arena->used;
    descent d = {.run = run, .target = target, .p = target->prepared};
    d.limits = limits;
    d.grid = grid;
    d.codes = codes;
    d.mask = mask;
    d.scratch = s24i_arena_take(run->arena,
                                s24i_mul(floats_of(&d), (size_t)s24i_workers(run->device->threads)),
                                sizeof(float));
    s24_status status = s24i_take_panels(run, d.p->dim, d.p->s, &d.s);
    if (!s24i_counting(run) && !status) {
        run->arena->flops += s24i_product_flops(target->rows, target->prepared->dim) *
                             (1 + (may_refit(grid) ? limits.refits : 0));
        s24i_watch_phase(run->watch, "descent", target->rows);
        status =
            s24i_parallel(run->device->threads, descend_tile, &d, (target->rows + ROWS - 1) / ROWS);
        *iterations = (int32_t)atomic_load(&d.iterations);
    }
    run->arena->used = mark;
    return status;
}
