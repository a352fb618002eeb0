#include "damping.h"
#include "gridding.h"
#include <math.h>

/*
 * QuantEase (Behdin et al. 2023): cyclic coordinate descent over the codes. preset=paper sweeps over whole columns from the weights
 * themselves, every third time without rounding. preset=default works on the damped S: a grid weighted by each input's variance given all
 * others, a sequential start (gptq), descent that follows only what changes, scales fitted again. Where the support is to be chosen too, it
 * comes from a column sweep and a refit in floats, and the descent goes on over supports and codes together.
 */

struct values {
    char preset[S24I_WORD];
    char damp_rule[S24I_WORD];
    double damp;
    char grid[S24I_WORD];
    char scales[S24I_WORD];
    char start[S24I_WORD];
    int64_t sweeps;
    int64_t max_iter;
    int64_t refits;
    int64_t block_sweeps;
    double outliers;
    char outlier_rule[S24I_WORD];
    char outlier_shape[S24I_WORD];
    double time_limit;
};

typedef struct {
    s24i_job *job;
    const struct values *o;
    s24i_prepared prepared;
    s24i_gridding g;
    float *variance, *key;
} run;

/* job->mask: as given, or the best that floats find; *fitted: what the grid is to fit. */
static s24_status find_support(run *r, const float **fitted)
{
    s24i_job *job = r->job;
    const s24i_layer *layer = &job->layer;
    s24i_cg_limits limits = {20, 1e-3};
    int32_t iterations;
    double residual;
    *fitted = job->w;
    if (layer->pattern.mask || !s24i_has_support(&layer->pattern)) {
        s24i_keep_given(job);
        return S24_OK;
    }
    *fitted = job->v;
    s24_status status = s24i_sweep(job->ops, job->arena, job->watch, &r->prepared, &layer->pattern,
                                   job->w, layer->rows, job->v, job->mask);
    if (!status)
        status = s24i_cg(job->ops, job->arena, job->watch, &r->prepared, job->w, layer->rows,
                         job->mask, limits, job->v, &iterations, &residual);
    return status;
}

/* How many outliers there are to be, of what is kept. */
static void count_outliers(run *r)
{
    const s24i_job *job = r->job;
    int64_t all = job->layer.rows * job->layer.cols, kept = 0;
    s24i_outliers *o = &r->g.outliers;
    o->by_magnitude = strcmp(r->o->outlier_rule, "magnitude") == 0;
    o->inputs = strcmp(r->o->outlier_shape, "inputs") == 0;
    for (int64_t i = 0; i < all && !s24i_counting(job->arena); i++)
        kept += job->mask[i];
    if (s24i_counting(job->arena))
        kept = all;
    o->count = (int64_t)nearbyint(r->o->outliers * (double)(o->inputs ? job->layer.cols : kept));
}

/* Codes under job->mask, inputs by falling variance. */
static s24_status start(run *r)
{
    s24i_job *job = r->job;
    s24i_pattern fixed = job->layer.pattern;
    fixed.mask = job->mask;
    return s24i_gridding_sweep(job, &r->prepared, &fixed, true, r->key, job->w, &r->g);
}

/* Row by row, as long as single codes (or groups) gain; then scales, and again. */
static s24_status descend_rows(run *r, int32_t refits, int32_t *iterations)
{
    s24i_job *job = r->job;
    s24i_descent_limits limits = {(int32_t)r->o->max_iter, refits};
    *iterations = 0;
    if (limits.sweeps == 0)
        return S24_OK;
    return s24i_descend(job->ops, job->arena, job->watch, &r->prepared, &job->layer.pattern, job->w,
                        job->layer.rows, limits, &r->g.grid, r->g.codes, job->mask, iterations);
}

static s24_status descend(run *r)
{
    s24i_job *job = r->job;
    int64_t rows = job->layer.rows;
    bool from_w = strcmp(r->o->start, "weights") == 0;
    int32_t first = 0, last = 0, sweeps = (int32_t)r->o->sweeps;
    if (from_w && sweeps == 0)
        sweeps = 1;
    s24_status status = from_w ? S24_OK : start(r);
    if (!status && sweeps > 0)
        status = s24i_relax(job->ops, job->arena, job->watch, &r->prepared, job->w, rows, sweeps,
                            true, from_w, &r->g.grid, job->mask, r->g.codes);
    if (!status)
        status = descend_rows(r, (int32_t)r->o->refits, &first);
    if (!status && r->o->block_sweeps > 0) {
        status = s24i_babai(job->ops, job->arena, job->watch, &r->prepared, job->w, rows,
                            (int32_t)r->o->block_sweeps, r->key, &r->g.grid, job->mask, r->g.codes);
        if (!status)
            status = descend_rows(r, 0, &last);
    }
    job->iterations = sweeps + first + last;
    return status;
}

static s24_status solve(s24i_job *job, const void *values)
{
    run r = {.job = job, .o = values};
    const s24i_layer *layer = &job->layer;
    const float *fitted;
    s24i_gridding_take(job, r.o->scales, &r.g);
    if (r.o->outliers > 0)
        s24i_gridding_take_outliers(job, &r.g);
    r.variance = s24i_arena_take(job->arena, (size_t)layer->cols, sizeof(float));
    r.key = s24i_arena_take(job->arena, (size_t)layer->cols, sizeof(float));
    const char *rule = s24i_grid_damp_rule(job, r.o->damp_rule);
    s24_status status = s24i_prepare(job->ops, job->arena, job->watch, layer,
                                     s24i_damping_of(rule, r.o->damp), job->w, &r.prepared);
    if (!status)
        status = s24i_variances(job->ops, job->arena, &r.prepared, r.variance);
    if (!status)
        status = find_support(&r, &fitted);
    if (!status && !s24i_counting(job->arena))
        s24i_gridding_key(&r.prepared, r.variance, r.key);
    if (!status && r.o->outliers > 0)
        count_outliers(&r);
    if (!status)
        status = s24i_gridding_fit(job, &r.prepared, r.o->grid, r.variance, fitted, &r.g);
    if (!status)
        status = descend(&r);
    if (status)
        return status;
    s24i_report_damping(job, rule, &r.prepared);
    return s24i_gridding_finish(job, &r.g, job->v);
}

static const s24i_option options[] = {
    S24I_OPTION_STR(struct values, preset, "default|paper|fast|best", "default",
                    "paper: 30 sweeps from the weights, ranges as they are, no damping"),
    S24I_GRID_DAMPING_OPTIONS(struct values),
    S24I_GRID_OPTIONS(struct values),
    S24I_OPTION_STR(struct values, start, "gptq|weights", "gptq",
                    "start from a sequential solution, or from the weights as they are"),
    S24I_OPTION_INT(
        struct values, sweeps, 0, 10000, "0",
        "sweeps over whole columns, every third of them relaxed; start=weights makes one "
        "at least"),
    S24I_OPTION_INT(struct values, max_iter, 0, 10000, "30",
                    "then sweeps of each row that follow only what changes, at most"),
    S24I_OPTION_INT(struct values, refits, 0, 100, "1",
                    "fits of the scales to the codes, each followed by such sweeps"),
    S24I_OPTION_INT(struct values, block_sweeps, 0, 100, "0",
                    "at the end sweeps over random blocks of 128 inputs, each put on the grid as "
                    "a whole, then single codes again"),
    S24I_OPTION_FLOAT(struct values, outliers, 0, 0.5, "0",
                      "this part of the weights (or inputs) stays off the grid"),
    S24I_OPTION_STR(struct values, outlier_rule, "error|magnitude", "error",
                    "outliers: those whose error on the grid costs most, or the largest"),
    S24I_OPTION_STR(struct values, outlier_shape, "weights|inputs", "weights",
                    "outliers: single weights, or all weights of some inputs"),
    S24I_OPTION_FLOAT(struct values, time_limit, 0, 1e9, "0", "seconds, 0 = none"),
    {0},
};

static const s24i_preset presets[] = {
    {"default", ""},
    {"paper", "damp_rule=mean,damp=0,grid=minmax,start=weights,sweeps=30,max_iter=0,refits=0,"
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
