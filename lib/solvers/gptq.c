#include "damping.h"
#include "gridding.h"

/*
 * GPTQ (Frantar et al. 2022): columns in turn, each rounded, its error spread over the columns to
 * come. preset=default fits the grid to the least squares weighted by each input's variance given
 * all others and goes by falling variance; preset=paper takes ranges and the inputs as they are.
 * Grids are fitted before the sweep, whatever the order.
 */

struct values {
    s24i_word preset;
    s24i_word damp_rule;
    double damp;
    s24i_word fit;
    s24i_word scales;
    s24i_word order;
};

enum { BY_VARIANCE, BY_DIAGONAL, AS_THEY_ARE }; /* order */

static s24_status solve(s24i_job *job, const void *values)
{
    const struct values *o = values;
    size_t n = (size_t)job->matrix.cols;
    s24i_prepared prepared;
    s24i_gridding g;
    s24i_gridding_take(job, o->scales, &g);
    float *variance = s24i_arena_take(job->run->arena, n, sizeof(float));
    float *key = s24i_arena_take(job->run->arena, n, sizeof(float));
    bool reorder = o->order.index != AS_THEY_ARE;
    bool weigh = o->fit.index == S24I_FIT_SEARCH || o->order.index == BY_VARIANCE;
    s24i_damping damping = s24i_grid_damping(job, o->damp_rule, o->damp);
    s24_status status = s24i_prepare(job->run, &job->matrix, damping, job->w, &prepared);
    if (!status)
        status = s24i_keep_given(job);
    if (!status && weigh)
        status = s24i_variances(job->run, &prepared, variance);
    if (!status)
        status =
            s24i_gridding_fit(job, &prepared, o->fit.index, weigh ? variance : NULL, job->w, &g);
    if (!status && reorder)
        status =
            s24i_input_weights(job->run, &prepared, o->order.index == BY_DIAGONAL ? NULL : variance,
                               S24I_WEIGHT_ENERGY, key);
    s24i_target target = s24i_job_target(job, &prepared);
    if (!status)
        status = s24i_gridding_sweep(job, &target, reorder, key, &g);
    if (status)
        return status;
    s24i_report_damping(job, s24i_damp_word(damping), &prepared);
    return s24i_gridding_finish(job, &g, job->v);
}

static const s24i_option options[] = {
    S24I_OPTION_STR(struct values, preset, "default|paper", "default",
                    "paper: scales from each group's range, inputs from left to right, damping "
                    "relative to the mean of the diagonal"),
    S24I_GRID_DAMPING_OPTIONS(struct values),
    S24I_GRID_OPTIONS(struct values),
    S24I_OPTION_STR(
        struct values, order, "variance|diagonal|none", "variance",
        "order in which inputs are rounded: by falling variance given all others (variance), by "
        "falling energy, as act-order (diagonal), or from left to right (none)"),
    {0},
};

static const s24i_preset presets[] = {
    {"default", ""},
    {"paper", "damp_rule=mean,damp=0.01,fit=minmax,order=none"},
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
