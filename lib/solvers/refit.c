#include "damping.h"

/* The weights re-fitted on a support that someone else chose: min over V on the mask of tr((V -
 * W*)(H + Delta)(V - W*)^T), rows independent. */

struct values {
    s24i_word preset;
    s24i_word damp_rule;
    double damp;
    s24i_word method;
    int64_t max_iter;
    double tol;
    double time_limit;
};

/* The fixed mask, or where w is not zero; it must obey the other constraints. */
static s24_status take_support(s24i_job *job)
{
    s24i_constraints *constraints = &job->matrix.constraints;
    s24_status status =
        s24i_support_of(job->run, constraints->mask, job->w, s24i_job_size(job), job->mask);
    if (!status)
        status = s24i_check_support(job->run, constraints, job->mask, job->matrix.rows,
                                    job->matrix.cols, constraints->mask ? "mask" : "support of w");
    constraints->mask = job->mask;
    return status;
}

static s24_status solve(s24i_job *job, const void *values)
{
    const struct values *o = values;
    const s24i_matrix *matrix = &job->matrix;
    s24i_prepared prepared;
    s24i_target target = s24i_job_target(job, &prepared);
    s24i_damping damping = {o->damp_rule.index, o->damp};
    s24i_cg_limits limits = {(int32_t)o->max_iter, o->tol};
    int32_t iterations = 0;
    s24_status status = take_support(job);
    if (!status)
        status = s24i_prepare(job->run, matrix, damping, job->w, &prepared);
    if (!status)
        status = s24i_apply_mask(job->run, job->w, job->mask, matrix->rows, matrix->cols, job->v);
    if (!status)
        status = s24i_refit(job->run, &target, job->mask, o->method.index, limits, job->v,
                            &iterations, &job->residual);
    if (status)
        return status;
    job->iterations = iterations;
    job->converged = job->residual <= o->tol;
    s24i_report_damping(job, o->damp_rule.text, &prepared);
    return s24i_unscale(job->run, &prepared, job->v, matrix->rows);
}

static const s24i_option options[] = {
    S24I_OPTION_STR(struct values, preset, "default|best", "default",
                    "best: always by Cholesky, whatever it costs; default: as method says"),
    S24I_DAMPING_OPTIONS(struct values),
    S24I_OPTION_STR(
        struct values, method, "auto|exact|cg", "auto",
        "exact: by Cholesky; cg: by conjugate gradients; auto: exact up to 256 inputs, else cg"),
    S24I_OPTION_INT(struct values, max_iter, 1, 10000, "60",
                    "largest number of iterations of method=cg"),
    S24I_OPTION_FLOAT(struct values, tol, 0, 1, "0.0001",
                      "method=cg stops when the residual has fallen to this share of its start"),
    S24I_OPTION_FLOAT(struct values, time_limit, 0, 1e9, "0",
                      "stop after this many seconds and return what there is; 0: no limit"),
    {0},
};

static const s24i_preset presets[] = {{"default", ""}, {"best", "method=exact"}, {0}};

const s24i_solver_class s24i_solver_refit = {
    .name = "refit",
    .title = "values re-fitted on a fixed support",
    .constraints = "mask, or the support of w; n:m, n:mt, sparsity and whole columns are checked",
    .paper = "least squares on the support; docs/solvers/refit.md",
    .cost = "rows kept^3 / 3 flops exactly, or 2 rows cols^2 an iteration of conjugate gradients",
    .honours = S24I_HAS_SUPPORT | S24I_HAS_BOTH | S24I_HAS_UNITS,
    .unconstrained = true,
    .combines = true,
    .options = options,
    .presets = presets,
    .values_size = sizeof(struct values),
    .solve = solve,
};
