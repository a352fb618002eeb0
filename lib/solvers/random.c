#include "damping.h"

/* Weights are kept at random: what every choice of a mask has to beat. refit=auto fits those that
 * stay, so that the gap to a solver is what its choice is worth. */

struct values {
    int64_t seed;
    s24i_word refit;
    s24i_word damp_rule;
    double damp;
    int64_t max_iter;
    double tol;
};

enum { REFIT_NONE, REFIT_AUTO }; /* from here on the order of S24I_REFIT_AUTO and on */

/* job->mask: random numbers in place of magnitudes. */
static s24_status choose(s24i_job *job, const struct values *o)
{
    const s24i_matrix *matrix = &job->matrix;
    size_t mark = job->run->arena->used;
    float *score = s24i_arena_take(job->run->arena, (size_t)s24i_job_size(job), sizeof(float));
    s24_status status = s24i_random(job->run, (uint64_t)o->seed, s24i_job_size(job), score);
    if (!status)
        status = s24i_project(job->run, &matrix->constraints, score, NULL, matrix->rows,
                              matrix->cols, job->mask);
    job->run->arena->used = mark;
    return status;
}

static s24_status keep_weights(s24i_job *job)
{
    const s24i_matrix *matrix = &job->matrix;
    s24_status status = s24i_aim(job->run, matrix, job->w);
    return status
               ? status
               : s24i_apply_mask(job->run, job->w, job->mask, matrix->rows, matrix->cols, job->v);
}

static s24_status fit_weights(s24i_job *job, const struct values *o)
{
    const s24i_matrix *matrix = &job->matrix;
    s24i_prepared prepared;
    s24i_target target = s24i_job_target(job, &prepared);
    s24i_cg_limits limits = {(int32_t)o->max_iter, o->tol};
    int32_t iterations = 0;
    s24_status status = s24i_prepare(job->run, matrix, (s24i_damping){o->damp_rule.index, o->damp},
                                     job->w, &prepared);
    if (!status)
        status = s24i_apply_mask(job->run, job->w, job->mask, matrix->rows, matrix->cols, job->v);
    if (!status)
        status = s24i_refit(job->run, &target, job->mask, o->refit.index - REFIT_AUTO, limits,
                            job->v, &iterations, &job->residual);
    if (status)
        return status;
    job->iterations = iterations;
    job->converged = job->residual <= o->tol;
    s24i_report_damping(job, o->damp_rule.text, &prepared);
    return s24i_unscale(job->run, &prepared, job->v, matrix->rows);
}

static s24_status solve(s24i_job *job, const void *values)
{
    const struct values *o = values;
    s24_status status = choose(job, o);
    if (status)
        return status;
    return o->refit.index == REFIT_NONE ? keep_weights(job) : fit_weights(job, o);
}

static const s24i_option options[] = {
    S24I_OPTION_INT(struct values, seed, 0, 4294967295, "0",
                    "the mask is the same for the same seed, shape and constraint"),
    S24I_OPTION_STR(struct values, refit, "none|auto|exact|cg", "none",
                    "fit the kept weights on the mask; none: do not; exact: by Cholesky; cg: by "
                    "conjugate gradients; auto: exact up to 256 inputs, else cg"),
    S24I_DAMPING_OPTIONS(struct values),
    S24I_OPTION_INT(struct values, max_iter, 1, 10000, "60",
                    "largest number of iterations of refit=cg"),
    S24I_OPTION_FLOAT(struct values, tol, 0, 1, "0.0001",
                      "refit=cg stops when the residual has fallen to this share of its start"),
    {0},
};

const s24i_solver_class s24i_solver_random = {
    .name = "random",
    .title = "weights kept at random: the baseline of every choice",
    .constraints = "n:m, n:mt, n:m dense, sparsity",
    .paper = "the baseline of every pruning paper",
    .cost = "one pass over the weights; with refit as refit",
    .honours = S24I_HAS_PATTERN | S24I_HAS_DENSE | S24I_HAS_BOTH | S24I_HAS_SPARSITY,
    .still = true,
    .options = options,
    .values_size = sizeof(struct values),
    .solve = solve,
};
