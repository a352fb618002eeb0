#include "damping.h"
#include "gridding.h"

/*
 * SparseGPT (Frantar and Alistarh 2023): columns from left to right, each group's (or block's) mask
 * chosen on the current weights by w^2 / [H^-1]_jj of the columns that are left, the loss of each
 * pruned weight spread over later columns. preset=default works with the two-halves damping and
 * re-fits the weights on the mask found. Under a grid what is kept is rounded in the same sweep,
 * and re-fitting is descent over the codes on the mask.
 */

struct values {
    s24i_word preset;
    s24i_word damp_rule;
    double damp;
    s24i_word refit;
    int64_t max_iter;
    double tol;
    s24i_word fit;
    s24i_word scales;
};

enum { REFIT_NONE, REFIT_AUTO }; /* from here on the order of S24I_REFIT_AUTO and on */

static s24_status prune(s24i_job *job, const struct values *o, const s24i_prepared *prepared)
{
    s24i_target target = s24i_job_target(job, prepared);
    s24i_cg_limits limits = {(int32_t)o->max_iter, o->tol};
    int32_t iterations = 1;
    s24_status status = s24i_sweep(job->run, &target, job->v, job->mask);
    if (!status && o->refit.index != REFIT_NONE) {
        status = s24i_refit(job->run, &target, job->mask, o->refit.index - REFIT_AUTO, limits,
                            job->v, &iterations, &job->residual);
        job->converged = job->residual <= o->tol;
    }
    job->iterations = iterations;
    return status ? status : s24i_unscale(job->run, prepared, job->v, job->matrix.rows);
}

static s24_status prune_on_grid(s24i_job *job, const struct values *o,
                                const s24i_prepared *prepared, s24i_gridding *g)
{
    s24i_target open = s24i_job_target(job, prepared), target = open;
    s24i_descent_limits limits = {(int32_t)o->max_iter, 1};
    s24i_constraints fixed = job->matrix.constraints;
    float *variance = s24i_arena_take(job->run->arena, (size_t)job->matrix.cols, sizeof *variance);
    int32_t iterations = 1;
    fixed.mask = job->mask;
    target.constraints = &fixed;
    s24_status status = s24i_keep_given(job);
    if (!status)
        status = s24i_variances(job->run, prepared, variance);
    if (!status)
        status = s24i_gridding_fit(job, prepared, o->fit.index, variance, job->w, g);
    if (!status)
        status = s24i_sweep_grid(job->run, &open, &g->grid, NULL, g->codes, job->mask);
    if (!status && o->refit.index != REFIT_NONE)
        status =
            s24i_descend(job->run, &target, limits, &g->grid, g->codes, job->mask, &iterations);
    job->iterations = iterations;
    return status ? status : s24i_gridding_finish(job, g, job->v);
}

static s24_status solve(s24i_job *job, const void *values)
{
    const struct values *o = values;
    bool on_grid = job->matrix.constraints.grid.bits > 0;
    s24i_prepared prepared;
    s24i_gridding g;
    s24i_damping damping = {o->damp_rule.index, o->damp};
    if (on_grid)
        s24i_gridding_take(job, o->scales, &g);
    s24_status status = s24i_prepare(job->run, &job->matrix, damping, job->w, &prepared);
    if (!status)
        status = on_grid ? prune_on_grid(job, o, &prepared, &g) : prune(job, o, &prepared);
    if (!status)
        s24i_report_damping(job, o->damp_rule.text, &prepared);
    return status;
}

static const s24i_option options[] = {
    S24I_OPTION_STR(struct values, preset, "default|paper", "default",
                    "paper: the published method; default: damping chosen on two halves of the "
                    "rows, then a refit"),
    S24I_DAMPING_OPTIONS(struct values),
    S24I_OPTION_STR(struct values, refit, "none|auto|exact|cg", "auto",
                    "fit the kept weights again when the mask is found; none: do not; exact: by "
                    "Cholesky; cg: by conjugate gradients; auto: exact up to 256 inputs, else cg"),
    S24I_OPTION_INT(
        struct values, max_iter, 1, 10000, "60",
        "largest number of iterations of refit=cg; under a grid, of sweeps over the codes"),
    S24I_OPTION_FLOAT(struct values, tol, 0, 1, "0.0001",
                      "refit=cg stops when the residual has fallen to this share of its start"),
    S24I_GRID_OPTIONS(struct values),
    {0},
};

static const s24i_preset presets[] = {
    {"default", ""},
    {"paper", "damp_rule=mean,damp=0.01,refit=none,fit=minmax"},
    {0},
};

const s24i_solver_class s24i_solver_sparsegpt = {
    .name = "sparsegpt",
    .title = "column sweep that spreads each pruned weight's loss over later columns",
    .constraints = "n:m, n:mt, n:m dense, sparsity, mask, also with a grid",
    .paper = "Frantar and Alistarh 2023, arXiv 2301.00774",
    .cost = "rows cols^2 + cols^3 / 3 flops; default: about 7 more factorisations and the refit",
    .honours = S24I_HAS_SUPPORT | S24I_HAS_DENSE | S24I_HAS_BOTH | S24I_HAS_GRID,
    .needs = S24I_HAS_SUPPORT,
    .options = options,
    .presets = presets,
    .values_size = sizeof(struct values),
    .solve = solve,
};
