#include "cuda.h"
#include <math.h>

/* Coordinate descent over the codes of all rows, and scales fitted again
 * (lib/ops/steps/descend.c). */

static bool may_refit(const s24i_grid *grid)
{
    return grid->form.scheme != S24I_GRID_REAL || grid->type == S24_F32;
}

static s24_status refit_scales(const s24i_run *run, const s24c_descent *d, float *v, float *t)
{
    cudaStream_t s = s24c_stream(run);
    int64_t n = d->dim;
    s24_status status = S24_OK;

    s24c_descent_values(s, d, v);
    for (int64_t first = 0; first < n && !status; first += d->grid.group) {
        int64_t width = n - first < d->grid.group ? n - first : d->grid.group;
        status = s24c_gemm(run, (s24c_shape){d->rows, width, width}, 1, s24i_f32(v + first, n),
                           s24i_f32(d->s + first * n + first, n), 0, s24i_f32_out(t, width));
        s24c_descent_refit(s, d, first, width, t, v);
        if (!status)
            status = s24c_gemm(run, (s24c_shape){d->rows, n, width}, -1, s24i_f32(v + first, n),
                               s24i_f32(d->s + first * n, n), 1, s24i_f32_out(d->g, n));
    }
    return status ? status : s24c_launched(run, "descend");
}

static s24_status most_taken(const s24i_run *run, const s24c_descent *d, int32_t *most)
{
    int32_t part[1024];
    s24_status status = S24_OK;

    *most = 0;
    for (int64_t i = 0; i < d->rows && !status; i += 1024) {
        int64_t count = d->rows - i < 1024 ? d->rows - i : 1024;
        status = s24c_fetch(run, d->taken + i, (size_t)count * sizeof *part, part, "descend");
        for (int64_t k = 0; k < count && !status; k++)
            *most = part[k] > *most ? part[k] : *most;
    }
    return status;
}

static s24_status descend_all(const s24i_run *run, const s24i_target *target,
                              s24i_descent_limits limits, s24c_descent *d, float *v, float *t,
                              int32_t *iterations)
{
    cudaStream_t s = s24c_stream(run);
    int64_t size = d->rows * d->dim;

    s24i_watch_phase(run->watch, "descent", d->rows);
    s24c_grid_values(s, &d->grid, d->unit, d->mask, d->codes, d->rows, v);
    s24c_subtract(s, target->w, v, size, v);
    s24_status status = s24c_times(run, d->rows, d->dim, v, d->s, d->g);
    if (!status)
        status = s24c_op_fill(run, 0, (size_t)d->rows * sizeof *d->taken, d->taken);
    s24c_descend(s, d);
    for (int32_t k = 0; k < limits.refits && !status; k++) {
        status = refit_scales(run, d, v, t);
        s24c_descend(s, d);
        if (s24i_watch_stopped(run->watch))
            break;
    }
    if (!status)
        status = s24c_launched(run, "descend");
    s24i_watch_step(run->watch, d->rows, NAN, NAN);
    return status ? status : most_taken(run, d, iterations);
}

s24_status s24c_op_descend(const s24i_run *run, const s24i_target *target,
                           s24i_descent_limits limits, s24i_grid *grid, uint8_t *codes,
                           uint8_t *mask, int32_t *iterations)
{
    size_t at = run->arena->used;
    const s24i_constraints *constraints = target->constraints;
    bool joint = constraints->n && !constraints->mask && !grid->outliers;
    s24c_descent d = {.grid = s24c_grid_of(grid), .rows = target->rows, .mask = mask};
    s24_status status = S24_OK;

    if (joint)
        return s24i_fail(S24_E_UNSUPPORTED,
                         "device %s: operation \"descend\" does not go over "
                         "supports and codes together",
                         run->device->name);
    d.dim = target->prepared->dim;
    d.sweeps = limits.sweeps;
    d.s = target->prepared->s;
    d.unit = target->prepared->scale;
    d.dead = target->prepared->dead;
    d.codes = codes;
    size_t size = s24i_mul((size_t)d.rows, (size_t)d.dim);
    float *v = s24i_arena_take(run->arena, size, sizeof(float));
    float *t =
        s24i_arena_take(run->arena, s24i_mul((size_t)d.rows, (size_t)d.grid.group), sizeof(float));
    d.g = s24i_arena_take(run->arena, size, sizeof(float));
    d.taken = s24i_arena_take(run->arena, (size_t)d.rows, sizeof *d.taken);
    if (!may_refit(grid))
        limits.refits = 0;
    if (!s24i_counting(run)) {
        run->arena->flops += s24i_product_flops(d.rows, d.dim) * (1 + limits.refits);
        status = descend_all(run, target, limits, &d, v, t, iterations);
    }
    run->arena->used = at;
    return status;
}
