#include "damping.h"
#include "gridding.h"
#include <math.h>

/*
 * QuantEase (Behdin et al. 2023): cyclic coordinate descent over the codes. preset=paper sweeps
 * over whole columns from the weights themselves, every third time without rounding. preset=default
 * works on the damped S: a grid weighted by each input's variance given all others, a sequential
 * start (gptq), descent that follows only what changes, scales fitted again. Where the support is
 * to be chosen too, it comes from a column sweep and a refit in floats, and the descent goes on
 * over supports and codes together.
 */

struct values {
    s24i_word preset;
    s24i_word damp_rule;
    double damp;
    s24i_word fit;
    s24i_word scales;
    s24i_word start;
    int64_t sweeps;
    int64_t max_iter;
    int64_t refits;
    int64_t block_sweeps;
    double outliers;
    s24i_word outlier_rule;
    s24i_word outlier_shape;
    double time_limit;
};

enum { START_GPTQ, START_WEIGHTS };
enum { BY_ERROR, BY_MAGNITUDE };
enum { OF_WEIGHTS, OF_INPUTS };

typedef struct {
    s24i_job *job;
    const struct values *o;
    s24i_prepared prepared;
    s24i_target target;
    s24i_gridding g;
    float *variance, *key;
} run;

/* job->mask: as given, or the best that floats find; *fitted: what the grid is to fit. */
static s24_status find_support(run *r, const float **fitted)
{
    s24i_job *job = r->job;
    const s24i_constraints *constraints = &job->matrix.constraints;
    s24i_cg_limits limits = {20, 1e-3};
    int32_t iterations;
    double residual;
    *fitted = job->w;
    if (constraints->mask || !s24i_has_support(constraints))
        return s24i_keep_given(job);
    *fitted = job->v;
    s24_status status = s24i_sweep(job->run, &r->target, job->v, job->mask);
    return status
               ? status
               : s24i_cg(job->run, &r->target, job->mask, limits, job->v, &iterations, &residual);
}

/* How many outliers there are to be, of what is kept. */
static s24_status count_outliers(run *r)
{
    s24i_outliers *o = &r->g.outliers;
    int64_t all = r->job->matrix.cols;
    s24_status status = S24_OK;
    o->by_magnitude = r->o->outlier_rule.index == BY_MAGNITUDE;
    o->inputs = r->o->outlier_shape.index == OF_INPUTS;
    if (!o->inputs)
        status = s24i_count_kept(r->job->run, r->job->mask, s24i_job_size(r->job), &all);
    o->count = (int64_t)nearbyint(r->o->outliers * (double)all);
    return status;
}

/* Codes under job->mask, inputs by falling variance. */
static s24_status start(run *r)
{
    s24i_constraints fixed = r->job->matrix.constraints;
    s24i_target target = r->target;
    fixed.mask = r->job->mask;
    target.constraints = &fixed;
    return s24i_gridding_sweep(r->job, &target, true, r->key, &r->g);
}

/* Row by row, as long as single codes (or groups) gain; then scales, and again. */
static s24_status descend_rows(run *r, int32_t refits, int32_t *iterations)
{
    s24i_descent_limits limits = {(int32_t)r->o->max_iter, refits};
    *iterations = 0;
    return limits.sweeps ? s24i_descend(r->job->run, &r->target, limits, &r->g.grid, r->g.codes,
                                        r->job->mask, iterations)
                         : S24_OK;
}

static s24_status descend(run *r)
{
    s24i_job *job = r->job;
    bool from_w = r->o->start.index == START_WEIGHTS;
    int32_t first = 0, last = 0, sweeps = (int32_t)r->o->sweeps;
    if (from_w && sweeps == 0)
        sweeps = 1;
    s24_status status = from_w ? S24_OK : start(r);
    if (!status && sweeps > 0)
        status = s24i_relax(job->run, &r->target, sweeps, true, from_w, &r->g.grid, job->mask,
                            r->g.codes);
    if (!status)
        status = descend_rows(r, (int32_t)r->o->refits, &first);
    if (!status && r->o->block_sweeps > 0) {
        status = s24i_babai(job->run, &r->target, (int32_t)r->o->block_sweeps, r->key, &r->g.grid,
                            job->mask, r->g.codes);
        if (!status)
            status = descend_rows(r, 0, &last);
    }
    job->iterations = sweeps + first + last;
    return status;
}

static s24_status solve(s24i_job *job, const void *values)
{
    run r = {.job = job, .o = values};
    const float *fitted;
    size_t n = (size_t)job->matrix.cols;
    s24i_damping damping = s24i_grid_damping(job, r.o->damp_rule, r.o->damp);
    r.target = s24i_job_target(job, &r.prepared);
    s24i_gridding_take(job, r.o->scales, &r.g);
    if (r.o->outliers > 0)
        s24i_gridding_take_outliers(job, &r.g);
    r.variance = s24i_arena_take(job->run->arena, n, sizeof(float));
    r.key = s24i_arena_take(job->run->arena, n, sizeof(float));
    s24_status status = s24i_prepare(job->run, &job->matrix, damping, job->w, &r.prepared);
    if (!status && r.o->outliers > 0)
        status = s24i_fill(job->run, 0, (size_t)s24i_job_size(job), r.g.grid.outliers);
    if (!status)
        status = s24i_variances(job->run, &r.prepared, r.variance);
    if (!status)
        status = find_support(&r, &fitted);
    if (!status)
        status = s24i_input_weights(job->run, &r.prepared, r.variance, S24I_WEIGHT_ENERGY, r.key);
    if (!status && r.o->outliers > 0)
        status = count_outliers(&r);
    if (!status)
        status = s24i_gridding_fit(job, &r.prepared, r.o->fit.index, r.variance, fitted, &r.g);
    if (!status)
        status = descend(&r);
    if (status)
        return status;
    s24i_report_damping(job, s24i_damp_word(damping), &r.prepared);
    return s24i_gridding_finish(job, &r.g, job->v);
}

static const s24i_option options[] = {
    S24I_OPTION_STR(struct values, preset, "default|paper|fast|best", "default",
                    "paper: 30 sweeps from the weights, scales from each group's range, no "
                    "damping; fast and best: less and more work than default"),
    S24I_GRID_DAMPING_OPTIONS(struct values),
    S24I_GRID_OPTIONS(struct values),
    S24I_OPTION_STR(struct values, start, "gptq|weights", "gptq",
                    "where the codes start: from a sequential solution (gptq), or from the weights "
                    "as they are (weights)"),
    S24I_OPTION_INT(struct values, sweeps, 0, 10000, "0",
                    "number of sweeps over whole columns, every third of them relaxed; "
                    "start=weights makes at least one"),
    S24I_OPTION_INT(struct values, max_iter, 0, 10000, "30",
                    "largest number of sweeps row by row, after those over whole columns; they "
                    "follow only what changes"),
    S24I_OPTION_INT(
        struct values, refits, 0, 100, "1",
        "how often scales are fitted to the codes, each time followed by sweeps row by row"),
    S24I_OPTION_INT(struct values, block_sweeps, 0, 100, "0",
                    "number of sweeps at the end over random blocks of 128 inputs: each block is "
                    "put on the grid as a whole, then single codes again"),
    S24I_OPTION_FLOAT(struct values, outliers, 0, 0.5, "0",
                      "share of the weights, or of the inputs, that stays off the grid"),
    S24I_OPTION_STR(struct values, outlier_rule, "error|magnitude", "error",
                    "which weights become outliers: those whose error on the grid costs most "
                    "(error), or the largest (magnitude)"),
    S24I_OPTION_STR(
        struct values, outlier_shape, "weights|inputs", "weights",
        "outliers are single weights (weights), or all weights of some inputs (inputs)"),
    S24I_OPTION_FLOAT(struct values, time_limit, 0, 1e9, "0",
                      "stop after this many seconds and return what there is; 0: no limit"),
    {0},
};

static const s24i_preset presets[] = {
    {"default", ""},
    {"paper", "damp_rule=mean,damp=0,fit=minmax,start=weights,sweeps=30,max_iter=0,refits=0,"
              "outlier_rule=magnitude"},
    {"fast", "refits=0"},
    {"best", "sweeps=30,refits=3,block_sweeps=4"},
    {0},
};

const s24i_solver_class s24i_solver_quantease = {
    .name = "quantease",
    .title = "coordinate descent over codes, from a sequential start, with fitted scales",
    .constraints = "grid, also with n:m, sparsity or a mask",
    .paper = "Behdin, Acharya, Gupta, Keerthi, Mazumder 2023, arXiv 2309.01885",
    .cost = "3 rows cols^2 + 2 cols^3 flops; a refit 2 rows cols^2",
    .honours = S24I_HAS_GRID | S24I_HAS_SUPPORT,
    .needs = S24I_HAS_GRID,
    .options = options,
    .presets = presets,
    .values_size = sizeof(struct values),
    .solve = solve,
};
