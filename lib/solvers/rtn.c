#include "gridding.h"
#include <math.h>

/*
 * Round to nearest: every weight on its own. preset=default fits each group's range to the least squares weighted by the inputs' energies;
 * preset=paper takes the range as it is.
 */

struct values {
    char preset[S24I_WORD];
    char grid[S24I_WORD];
    char scales[S24I_WORD];
};

static s24_status solve(s24i_job *job, const void *values)
{
    const struct values *o = values;
    const s24i_layer *layer = &job->layer;
    int64_t n = layer->cols;
    s24i_gridding g;
    s24i_gridding_take(job, o->scales, &g);
    float *energy = s24i_arena_take(job->arena, (size_t)n, sizeof(float));
    s24_status status = s24i_aim(job->ops, job->arena, job->watch, layer, job->w);
    s24i_keep_given(job);
    if (!status && !s24i_counting(job->arena)) {
        double largest = 0;
        for (int64_t j = 0; layer->gram && j < n; j++)
            largest = fmax(largest, s24i_gram_diagonal(layer->gram, S24I_BOTH, j));
        for (int64_t j = 0; j < n; j++)
            energy[j] =
                largest > 0 ? (float)(s24i_gram_diagonal(layer->gram, S24I_BOTH, j) / largest) : 1;
    }
    if (!status && !s24i_counting(job->arena)) {
        double unit = s24i_unit_for(s24i_largest(job->w, layer->rows * n));
        g.grid.shift = s24i_exponent(unit);
        s24i_multiply_by(job->w, unit, layer->rows * n);
        for (int64_t i = 0; i < layer->rows * n; i++)
            job->w[i] = s24i_drop_tiny(job->w[i], S24I_TINY_WEIGHT);
    }
    if (!status)
        status = s24i_grid_fit(job->ops, job->arena, s24i_fit_method(o->grid), energy, job->w,
                               job->mask, layer->rows, &g.grid);
    if (!status && !s24i_counting(job->arena))
        status = s24i_grid_round(job->ops, &g.grid, job->w, layer->rows, g.codes);
    return status ? status : s24i_gridding_finish(job, &g, job->v);
}

static const s24i_option options[] = {
    S24I_OPTION_STR(struct values, preset, "default|paper", "default",
                    "paper: ranges as they are; default: searched ones"),
    S24I_GRID_OPTIONS(struct values),
    {0},
};

static const s24i_preset presets[] = {
    {"default", ""},
    {"paper", "grid=minmax"},
    {0},
};

const s24i_solver_class s24i_solver_rtn = {
    .name = "rtn",
    .title = "round every weight to the nearest level",
    .constraints = "grid, also with a mask",
    .paper = "",
    .cost = "138 candidates a weight for the scales",
    .honours = S24I_HAS_GRID | S24I_HAS_MASK,
    .needs = S24I_HAS_GRID,
    .options = options,
    .presets = presets,
    .values_size = sizeof(struct values),
    .solve = solve,
};
