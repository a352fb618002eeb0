#include "damping.h"

/*
 * SparseGPT (Frantar and Alistarh 2023): columns from left to right, each group's (or block's) mask chosen on the current weights by
 * w^2 / [H^-1]_jj of the columns that are left, the loss of each pruned weight spread over later columns. preset=default works with the
 * two-halves damping and re-fits the weights on the mask found.
 */

struct values {
    char preset[S24I_WORD];
    char damp_rule[S24I_WORD];
    double damp;
    char refit[S24I_WORD];
    int64_t max_iter;
    double tol;
};

static s24_status solve(s24i_job *job, const void *values)
{
    const struct values *o = values;
    const s24i_layer *layer = &job->layer;
    s24i_prepared prepared;
    s24i_cg_limits limits = {(int32_t)o->max_iter, o->tol};
    int32_t iterations = 1;
    s24_status status = s24i_prepare(job->ops, job->arena, job->watch, layer,
                                     s24i_damping_of(o->damp_rule, o->damp), job->w, &prepared);
    if (!status)
        status = s24i_sweep(job->ops, job->arena, job->watch, &prepared, &layer->pattern, job->w,
                            layer->rows, job->v, job->mask);
    if (!status && strcmp(o->refit, "none") != 0) {
        status = s24i_refit(job->ops, job->arena, job->watch, &prepared, &layer->pattern, job->w,
                            layer->rows, job->mask, s24i_refit_method(o->refit), limits, job->v,
                            &iterations, &job->residual);
        job->converged = job->residual <= o->tol;
    }
    if (status || s24i_counting(job->arena))
        return status;
    job->iterations = iterations;
    s24i_report_damping(job, o->damp_rule, &prepared);
    return s24i_unscale(job->ops, &prepared, job->v, layer->rows);
}

static const s24i_option options[] = {
    S24I_OPTION_STR(struct values, preset, "default|paper", "default",
                    "paper: the published method; default: two-halves damping and a refit"),
    S24I_DAMPING_OPTIONS(struct values),
    S24I_OPTION_STR(struct values, refit, "none|auto|exact|cg", "auto",
                    "re-fit the weights on the mask found: not, by cost, by Cholesky, by "
                    "conjugate gradients"),
    S24I_OPTION_INT(struct values, max_iter, 1, 10000, "60", "iterations of refit=cg"),
    S24I_OPTION_FLOAT(struct values, tol, 0, 1, "0.0001", "relative residual that ends refit=cg"),
    {0},
};

static const s24i_preset presets[] = {
    {"default", ""},
    {"paper", "damp_rule=mean,damp=0.01,refit=none"},
    {0},
};

const s24i_solver_class s24i_solver_sparsegpt = {
    .name = "sparsegpt",
    .title = "column sweep that spreads each pruned weight's loss over later columns",
    .constraints = "n:m, sparsity, mask",
    .paper = "Frantar and Alistarh 2023, arXiv 2301.00774",
    .cost = "rows cols^2 + cols^3 / 3 flops; default: about 7 more factorisations and the refit",
    .honours = S24I_HAS_PATTERN | S24I_HAS_SPARSITY | S24I_HAS_MASK,
    .options = options,
    .presets = presets,
    .values_size = sizeof(struct values),
    .solve = solve,
};
