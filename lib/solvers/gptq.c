#include "damping.h"
#include "gridding.h"

/*
 * GPTQ (Frantar et al. 2022): columns in turn, each rounded, its error spread over the columns to come. preset=default fits the grid to the
 * least squares weighted by each input's variance given all others and goes by falling variance; preset=paper takes ranges and the inputs
 * as they are. Grids are fitted before the sweep, whatever the order.
 */

struct values {
    char preset[S24I_WORD];
    char damp_rule[S24I_WORD];
    double damp;
    char grid[S24I_WORD];
    char scales[S24I_WORD];
    char order[S24I_WORD];
};

static s24_status solve(s24i_job *job, const void *values)
{
    const struct values *o = values;
    const s24i_layer *layer = &job->layer;
    size_t n = (size_t)layer->cols;
    s24i_prepared prepared;
    s24i_gridding g;
    s24i_gridding_take(job, o->scales, &g);
    float *variance = s24i_arena_take(job->arena, n, sizeof(float));
    float *key = s24i_arena_take(job->arena, n, sizeof(float));
    bool reorder = strcmp(o->order, "none") != 0;
    bool weigh = strcmp(o->grid, "search") == 0 || strcmp(o->order, "variance") == 0;
    const char *rule = s24i_grid_damp_rule(job, o->damp_rule);
    s24_status status = s24i_prepare(job->ops, job->arena, job->watch, layer,
                                     s24i_damping_of(rule, o->damp), job->w, &prepared);
    s24i_keep_given(job);
    if (!status && weigh)
        status = s24i_variances(job->ops, job->arena, &prepared, variance);
    if (!status)
        status = s24i_gridding_fit(job, &prepared, o->grid, weigh ? variance : NULL, job->w, &g);
    if (!status && reorder && !s24i_counting(job->arena))
        s24i_gridding_key(&prepared, strcmp(o->order, "diagonal") == 0 ? NULL : variance, key);
    if (!status)
        status = s24i_gridding_sweep(job, &prepared, &layer->pattern, reorder, key, job->w, &g);
    if (status)
        return status;
    s24i_report_damping(job, rule, &prepared);
    return s24i_gridding_finish(job, &g, job->v);
}

static const s24i_option options[] = {
    S24I_OPTION_STR(struct values, preset, "default|paper", "default",
                    "paper: ranges as they are, inputs from left to right, damping by the mean"),
    S24I_GRID_DAMPING_OPTIONS(struct values),
    S24I_GRID_OPTIONS(struct values),
    S24I_OPTION_STR(struct values, order, "variance|diagonal|none", "variance",
                    "inputs by falling variance given all others, by falling energy (act-order), "
                    "or from left to right"),
    {0},
};

static const s24i_preset presets[] = {
    {"default", ""},
    {"paper", "damp_rule=mean,damp=0.01,grid=minmax,order=none"},
    {0},
};

const s24i_solver_class s24i_solver_gptq = {
    .name = "gptq",
    .title = "column sweep that spreads each rounding error over later columns",
    .constraints = "grid, also with a mask",
    .paper = "Frantar, Ashkboos, Hoefler, Alistarh 2022, arXiv 2210.17323",
    .cost = "rows cols^2 + cols^3 / 3 flops; default: cols^3 more for variances and order",
    .honours = S24I_HAS_GRID | S24I_HAS_MASK,
    .needs = S24I_HAS_GRID,
    .options = options,
    .presets = presets,
    .values_size = sizeof(struct values),
    .solve = solve,
};
