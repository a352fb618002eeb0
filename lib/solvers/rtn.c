#include "gridding.h"

/*
 * Round to nearest: every weight on its own. preset=default fits each group's range to the least
 * squares weighted by the inputs' energies; preset=paper takes the range as it is.
 */

struct values {
    s24i_word preset;
    s24i_word fit;
    s24i_word scales;
};

static s24_status solve(s24i_job *job, const void *values)
{
    const struct values *o = values;
    const s24i_matrix *matrix = &job->matrix;
    s24i_gridding g;
    double unit = 1;
    s24i_gridding_take(job, o->scales, &g);
    float *energy = s24i_arena_take(job->run->arena, (size_t)matrix->cols, sizeof(float));
    s24_status status = s24i_aim(job->run, matrix, job->w);
    if (!status)
        status = s24i_keep_given(job);
    if (!status)
        status = s24i_input_energies(job->run, matrix->gram, matrix->cols, energy);
    if (!status)
        status = s24i_bring_near(job->run, true, s24i_job_size(job), job->w, &unit);
    g.grid.shift = s24i_exponent(unit);
    if (!status)
        status =
            s24i_grid_fit(job->run, o->fit.index, energy, job->w, job->mask, matrix->rows, &g.grid);
    if (!status)
        status = s24i_grid_round(job->run, &g.grid, job->w, matrix->rows, g.codes);
    return status ? status : s24i_gridding_finish(job, &g, job->v);
}

static const s24i_option options[] = {
    S24I_OPTION_STR(struct values, preset, "default|paper", "default",
                    "paper: scales from each group's range; default: scales are searched"),
    S24I_GRID_OPTIONS(struct values),
    {0},
};

static const s24i_preset presets[] = {
    {"default", ""},
    {"paper", "fit=minmax"},
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
