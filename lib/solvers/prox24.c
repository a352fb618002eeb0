#include "damping.h"

/*
 * The 2:4 proximal operator as a solver (Kuebler et al. 2025): weights are shrunk towards the
 * pattern by the regulariser e_3 that is zero exactly on it, a little more in each iteration, while
 * the rest of the row makes up for the loss. preset=paper is proximal gradient with a growing
 * lambda, then masked gradient; preset=default is ADMM with the same operator, then conjugate
 * gradients. 1:m uses e_2, n >= 3 the firm threshold.
 */

struct values {
    s24i_word preset;
    s24i_word damp_rule;
    double damp;
    s24i_word method;
    int64_t max_iter;
    double rho;
    double lambda;
    double growth;
    int64_t gradient_steps;
    int64_t refit_iter;
    double tol;
    double time_limit;
};

enum { BY_ADMM, BY_GRADIENT };

static s24_status solve(s24i_job *job, const void *values)
{
    const struct values *o = values;
    s24i_prepared prepared;
    s24i_target target = s24i_job_target(job, &prepared);
    _Atomic int64_t taken = 0;
    s24i_damping damping = {.rule = o->damp_rule.index, .value = o->damp, .divisor = 2};
    s24i_cg_limits limits = {(int32_t)o->refit_iter, o->tol};
    s24i_shrinking how = {.gradient = o->method.index == BY_GRADIENT, .taken = &taken};
    int32_t steps;
    how.iterations = (int32_t)o->max_iter;
    how.rho = o->rho;
    how.lambda = o->lambda;
    how.growth = o->growth;
    how.refit_steps = (int32_t)o->gradient_steps;
    s24_status status = s24i_prepare(job->run, &job->matrix, damping, job->w, &prepared);
    if (!status)
        status = s24i_shrink(job->run, &target, how, job->v, job->mask);
    if (!status && o->refit_iter > 0)
        status = s24i_cg(job->run, &target, job->mask, limits, job->v, &steps, &job->residual);
    if (status)
        return status;
    job->iterations = atomic_load(&taken);
    job->converged = job->iterations < o->max_iter || !how.gradient;
    s24i_report_damping(job, o->damp_rule.text, &prepared);
    return s24i_unscale(job->run, &prepared, job->v, job->matrix.rows);
}

static const s24i_option options[] = {
    S24I_OPTION_STR(
        struct values, preset, "default|paper", "default",
        "paper: proximal gradient, then gradient on the mask; default: ADMM, then a refit"),
    S24I_DAMPING_OPTIONS(struct values),
    S24I_OPTION_STR(struct values, method, "admm|gradient", "admm",
                    "what drives the proximal operator: ADMM (admm), or proximal gradient steps as "
                    "published (gradient)"),
    S24I_OPTION_INT(struct values, max_iter, 1, 100000, "60",
                    "largest number of iterations; method=gradient ends earlier when every group "
                    "obeys the pattern"),
    S24I_OPTION_FLOAT(struct values, rho, 0.001, 1000, "1", "penalty parameter of method=admm"),
    S24I_OPTION_FLOAT(
        struct values, lambda, 0.000001, 1000, "0.01",
        "first strength of the regulariser in method=gradient, in units of 1 / rms of the weights"),
    S24I_OPTION_FLOAT(struct values, growth, 1.0001, 10, "1.01",
                      "method=gradient multiplies lambda by this factor in each iteration"),
    S24I_OPTION_INT(struct values, gradient_steps, 0, 100000, "0",
                    "number of gradient steps on the final mask in method=gradient"),
    S24I_OPTION_INT(struct values, refit_iter, 0, 10000, "30",
                    "largest number of conjugate gradient steps on the final mask"),
    S24I_OPTION_FLOAT(
        struct values, tol, 0, 1, "0.0001",
        "conjugate gradients stop when the residual has fallen to this share of its start"),
    S24I_OPTION_FLOAT(struct values, time_limit, 0, 1e9, "0",
                      "stop after this many seconds and return what there is; 0: no limit"),
    {0},
};

static const s24i_preset presets[] = {
    {"default", ""},
    {"paper",
     "method=gradient,max_iter=2000,gradient_steps=1000,refit_iter=0,damp_rule=mean,damp=0.01"},
    {0},
};

const s24i_solver_class s24i_solver_prox24 = {
    .name = "prox24",
    .title = "weights shrunk towards n:m by a proximal operator, then re-fitted",
    .constraints = "n:m, n:m dense",
    .paper = "Kuebler et al. 2025, arXiv 2501.18015",
    .cost = "60 products 2 rows cols^2 and one factorisation; paper: 600 to 1800 products",
    .honours = S24I_HAS_PATTERN | S24I_HAS_DENSE,
    .options = options,
    .presets = presets,
    .values_size = sizeof(struct values),
    .solve = solve,
};
