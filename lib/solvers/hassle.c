#include "damping.h"
#include "gridding.h"
#include "lowrank.h"
#include <math.h>

/*
 * W ~ S + L with S on the pattern and L a product of low rank (HASSLE-free, Makni et al. 2025). preset=default is one ADMM over both with L's
 * right factor eliminated (ops/split.c), from SparseGPT, then conjugate gradients on S and exact steps for L in turn. preset=3basil is the
 * published three-block ADMM (Makni et al. 2026); preset=paper alternates a sparse step by a chosen method and the exact L. Under a grid S is
 * then put on it, L fitted to what that leaves, and both again.
 */

struct values {
    char preset[S24I_WORD];
    char damp_rule[S24I_WORD];
    double damp;
    char method[S24I_WORD];
    char sparse[S24I_WORD];
    int64_t max_iter;
    double rho;
    double rho_end;
    int64_t polish;
    int64_t rounds;
    char grid[S24I_WORD];
    char scales[S24I_WORD];
    char factors[S24I_WORD];
    double time_limit;
};

enum {
    HOLD = 8,       /* iterations between changes of rho */
    LOOK = 10,      /* 3basil: between looks at the support */
    AT_LEAST = 100, /* 3basil: iterations before it may stop */
    KEPT = 7,
    MOST_RANK = 30000 /* LAPACK counts the square of it in 32 bits */
};
#define MOMENTUM 0.9f
#define FIT_TOL 1e-5 /* of an exact L: an iteration gains less than this of the loss left */
enum { FIT_MOST = 100, FIT_POLISH = 3, CG_POLISH = 3 };

typedef struct {
    s24i_job *job;
    const struct values *o;
    s24i_prepared prepared;
    s24i_split split;
    s24i_factors factors;
    double *row_loss;
    uint8_t *seen;  /* 3basil: the support last looked at */
    s24i_admm admm; /* alternating: the sparse step by ALPS */
    s24i_gridding g;
    float *variance, *key;
    struct {
        void *now, *best;
        size_t size;
    } kept[KEPT]; /* of alternating and of rounds on a grid: the best so far */
    int32_t kept_count;
    int32_t iterations;
    bool converged;
} run;

static size_t size_of(const run *r)
{
    return (size_t)(r->job->layer.rows * r->job->layer.cols);
}

/* ---- steps ---- */

/* tr((W - V) S (W - V)^T) */
static s24_status row_loss(run *r, const float *v, double *total)
{
    s24i_job *job = r->job;
    *total = 0;
    s24_status status = s24i_row_losses(job->ops, job->arena, &r->prepared, job->w, job->layer.rows,
                                        v, r->row_loss);
    for (int64_t i = 0; !status && !s24i_counting(job->arena) && i < job->layer.rows; i++)
        *total += r->row_loss[i];
    return status;
}

/* The same for V = S + L, c = U^T (W - S). */
static s24_status loss(run *r, double *value)
{
    double total;
    s24_status status = row_loss(r, r->split.z, &total);
    return status || s24i_counting(r->job->arena)
               ? status
               : s24i_lowrank_left(&r->split.low, r->job->arena, total, value);
}

/* L = the best for what S leaves, warm. */
static s24_status fit_rest(run *r, int32_t most)
{
    s24i_split *a = &r->split;
    s24_status status = s24i_split_rest(a);
    return status ? status
                  : s24i_lowrank_fit(&a->low, r->job->arena, r->job->watch, a->h, 0, 0, most, NULL);
}

/* SparseGPT's S for the target, h or w. */
static s24_status sweep(run *r, const float *target)
{
    s24i_job *job = r->job;
    return s24i_sweep(job->ops, job->arena, job->watch, &r->prepared, &job->layer.pattern, target,
                      job->layer.rows, r->split.z, job->mask);
}

/* SparseGPT's S (without H the largest weights) and an L for its rest. */
static s24_status first_point(run *r)
{
    s24i_job *job = r->job;
    s24_status status = job->layer.gram
                            ? sweep(r, job->w)
                            : s24i_project(job->ops, job->arena, &job->layer.pattern, job->w, NULL,
                                           job->layer.rows, job->layer.cols, job->mask);
    if (status || s24i_counting(job->arena))
        return status;
    if (!job->layer.gram)
        memcpy(r->split.z, job->w, size_of(r) * sizeof(float));
    return s24i_split_start(job->arena, &r->split);
}

/* Conjugate gradients on S for the present L, then L, and again. */
static s24_status polish(run *r)
{
    s24i_job *job = r->job;
    s24i_split *a = &r->split;
    s24i_cg_limits limits = {CG_POLISH, 1e-6};
    int32_t steps;
    s24_status status = S24_OK;
    for (int64_t k = 0; k < r->o->polish && !status; k++) {
        if (!s24i_counting(job->arena))
            status = s24i_lowrank_rest(&a->low, job->arena, job->w, a->h);
        if (!status)
            status = s24i_cg(job->ops, job->arena, job->watch, &r->prepared, a->h, job->layer.rows,
                             job->mask, limits, a->z, &steps, &job->residual);
        if (!status && !s24i_counting(job->arena))
            status = fit_rest(r, FIT_POLISH);
    }
    return status;
}

/* ---- the best so far ---- */

static void keep(run *r, void *now, size_t size)
{
    void *best = s24i_arena_take(r->job->arena, size, 1);
    r->kept[r->kept_count].now = now;
    r->kept[r->kept_count].best = best;
    r->kept[r->kept_count++].size = size;
}

static void save_best(run *r)
{
    for (int32_t i = 0; i < r->kept_count; i++)
        memcpy(r->kept[i].best, r->kept[i].now, r->kept[i].size);
}

static void restore_best(run *r)
{
    for (int32_t i = 0; i < r->kept_count; i++)
        memcpy(r->kept[i].now, r->kept[i].best, r->kept[i].size);
}

/* ---- method=joint ---- */

static int64_t length(const run *r, int64_t usual)
{
    return r->o->max_iter ? r->o->max_iter : usual;
}

/* Of all that a product could be. */
static double share_of_rank(const run *r)
{
    const s24i_layer *layer = &r->job->layer;
    return (double)r->split.low.rank / fmin((double)layer->rows, (double)layer->cols);
}

/* The more L can take, the longer the support stays open. */
static double usual_end(const run *r, double unit)
{
    return fmax(fmax(0.25, 0.55 - 1.3 * share_of_rank(r)), unit);
}

static s24_status iterate(run *r, double unit)
{
    s24i_job *job = r->job;
    int64_t iterations = length(r, share_of_rank(r) < 0.1 ? 128 : 96);
    double start = (r->o->rho > 0 ? r->o->rho : 0.2) * unit;
    double ratio = (r->o->rho_end > 0 ? r->o->rho_end : usual_end(r, unit)) / start;
    s24_status status = S24_OK;
    s24i_watch_phase(job->watch, "admm", iterations);
    for (int64_t t = 0; t < iterations && !status; t++) {
        double share = iterations > 1 ? (double)(t / HOLD * HOLD) / (double)(iterations - 1) : 1;
        if (t % HOLD == 0)
            status = s24i_split_penalty(job->arena, &r->split, start * pow(ratio, share));
        if (!status)
            status = s24i_split_iterate(job->arena, &r->split, t % HOLD == HOLD - 1);
        r->iterations++;
        if (s24i_watch_step(job->watch, 1, NAN, NAN))
            break;
    }
    return status;
}

static s24_status joint(run *r)
{
    s24i_job *job = r->job;
    double first = 0, last = 0, unit = 1;
    s24_status status = first_point(r);
    r->split.low.momentum = MOMENTUM;
    if (!status)
        status = loss(r, &first);
    if (!status)
        status = s24i_penalty_unit(job->ops, job->arena, &r->prepared, &unit);
    if (s24i_counting(job->arena)) {
        s24i_split_penalty(job->arena, &r->split, 1);
        s24i_split_iterate(job->arena, &r->split, true);
        return polish(r);
    }
    if (!status)
        status = iterate(r, unit);
    if (!status)
        status = s24i_apply_mask(job->ops, r->split.z, job->mask, job->layer.rows, job->layer.cols,
                                 r->split.z);
    if (!status)
        status = fit_rest(r, 1);
    if (!status)
        status = polish(r);
    if (!status)
        status = loss(r, &last);
    return status || last <= first ? status : first_point(r);
}

/* ---- method=3basil ---- */

/* The unconstrained iterate's support and values, L as it is. */
static s24_status end_unconstrained(run *r)
{
    s24i_job *job = r->job;
    s24i_split *a = &r->split;
    for (size_t i = 0; i < size_of(r); i++)
        a->z[i] = job->w[i] - a->h[i];
    s24_status status = s24i_project(job->ops, job->arena, &job->layer.pattern, a->z, NULL,
                                     job->layer.rows, job->layer.cols, job->mask);
    return status
               ? status
               : s24i_apply_mask(job->ops, a->z, job->mask, job->layer.rows, job->layer.cols, a->z);
}

static s24_status start_largest(run *r)
{
    s24i_job *job = r->job;
    s24i_split *a = &r->split;
    s24_status status = s24i_project(job->ops, job->arena, &job->layer.pattern, job->w, NULL,
                                     job->layer.rows, job->layer.cols, job->mask);
    if (status || s24i_counting(job->arena))
        return status;
    a->dual = 1;
    return s24i_apply_mask(job->ops, job->w, job->mask, job->layer.rows, job->layer.cols, a->z);
}

static s24_status three_blocks(run *r)
{
    static const double growth[] = {1.1, 1.05, 1.02};
    s24i_job *job = r->job;
    s24i_split *a = &r->split;
    int64_t iterations = length(r, 2000), size = (int64_t)size_of(r);
    double rho = r->o->rho > 0 ? r->o->rho : 0.1, kept = 0;
    bool grew = false, busy = true;
    s24_status status = start_largest(r);
    if (s24i_counting(job->arena)) {
        s24i_split_penalty(job->arena, a, 1);
        return s24i_split_iterate(job->arena, a, true);
    }
    if (!status)
        status = s24i_lowrank_start(&a->low, job->w);
    memset(a->low.c, 0, (size_t)(a->low.width * job->layer.cols) * sizeof(float));
    memcpy(r->seen, job->mask, size_of(r));
    for (int64_t i = 0; i < size; i++)
        kept += job->mask[i];
    s24i_watch_phase(job->watch, "admm", iterations);
    for (int64_t t = 0; t < iterations && busy && !status; t++) {
        if (t % LOOK == 0)
            status = s24i_split_penalty(job->arena, a, rho);
        if (!status)
            status = s24i_split_iterate(job->arena, a, true);
        r->iterations++;
        if (s24i_watch_step(job->watch, 1, NAN, NAN))
            break;
        if (t % LOOK != LOOK - 1)
            continue;
        double changed = (double)s24i_changed(job->mask, size, r->seen);
        bool restart = !grew && changed > 0 && !(changed > 0.005 * kept);
        busy = s24i_penalty_grows(growth, changed, kept, &grew, &rho) &&
               !(r->iterations >= AT_LEAST && changed < 3e-4 * kept);
        if (restart && busy)
            status = start_largest(r);
    }
    r->converged = !busy;
    return status ? status : end_unconstrained(r);
}

/* ---- method=alternate ---- */

/* S by the published ALPS from a cold start, its penalty larger from round to round. */
static s24_status sparse_by_alps(run *r, int64_t round)
{
    enum { MOST = 200 };
    s24i_job *job = r->job;
    s24i_split *a = &r->split;
    s24i_cg_limits limits = {10, 0};
    int32_t steps;
    double residual;
    r->admm.w = a->h;
    s24_status status = s24i_admm_published(job->ops, job->arena, &r->admm, r->seen,
                                            0.1 * (5 * (double)round + 1), MOST, &steps);
    if (!status)
        status = s24i_project(job->ops, job->arena, &job->layer.pattern, r->admm.b, NULL,
                              job->layer.rows, job->layer.cols, job->mask);
    if (!status && !s24i_counting(job->arena))
        status =
            s24i_apply_mask(job->ops, r->admm.b, job->mask, job->layer.rows, job->layer.cols, a->z);
    return status ? status
                  : s24i_cg(job->ops, job->arena, job->watch, &r->prepared, a->h, job->layer.rows,
                            job->mask, limits, a->z, &steps, &residual);
}

static s24_status sparse_step(run *r, int64_t round)
{
    s24i_split *a = &r->split;
    s24_status status = S24_OK;
    if (!s24i_counting(r->job->arena))
        status = s24i_lowrank_rest(&a->low, r->job->arena, r->job->w, a->h);
    if (status)
        return status;
    return strcmp(r->o->sparse, "alps") == 0 ? sparse_by_alps(r, round) : sweep(r, a->h);
}

static s24_status alternate(run *r)
{
    s24i_job *job = r->job;
    int64_t rounds = length(r, 80);
    double best = INFINITY, now = 0;
    s24_status status = first_point(r);
    if (s24i_counting(job->arena)) {
        sparse_step(r, 0);
        return loss(r, &now);
    }
    for (int64_t t = 0; t <= rounds && !status; t++) {
        status = t ? sparse_step(r, t - 1) : S24_OK;
        if (!status && t)
            status = fit_rest(r, FIT_POLISH);
        if (!status)
            status = loss(r, &now);
        if (!status && now < best) {
            best = now;
            save_best(r);
        }
        r->iterations = (int32_t)t;
        s24i_watch_phase(job->watch, "round", 1); /* the steps have phases of their own */
        if (s24i_watch_step(job->watch, 1, now, NAN))
            break;
    }
    if (!status)
        restore_best(r);
    return status;
}

/* ---- S on a grid ---- */

/* Codes for W - L under the pattern, and z = what they decode to. */
static s24_status quantise(run *r)
{
    s24i_job *job = r->job;
    s24i_split *a = &r->split;
    s24i_pattern fixed = job->layer.pattern;
    s24i_descent_limits limits = {30, 1};
    int64_t n = job->layer.cols;
    int32_t sweeps;
    fixed.mask = job->mask;
    s24_status status = s24i_gridding_sweep(job, &r->prepared, &fixed, true, r->key, a->h, &r->g);
    if (!status)
        status =
            s24i_descend(job->ops, job->arena, job->watch, &r->prepared, &job->layer.pattern, a->h,
                         job->layer.rows, limits, &r->g.grid, r->g.codes, job->mask, &sweeps);
    if (status || s24i_counting(job->arena))
        return status;
    status = s24i_grid_decode(job->ops, &r->g.grid, job->mask, job->layer.rows, r->g.codes, a->z);
    for (int64_t i = 0; i < job->layer.rows * n; i++)
        a->z[i] = r->prepared.dead[i % n] ? 0 : (float)(a->z[i] * r->prepared.scale[i % n]);
    return status;
}

/* Scales from S as it is; they follow the codes from round to round, which end when one does not help: the result is the best of them. */
static s24_status rounds_on_grid(run *r)
{
    s24i_job *job = r->job;
    s24i_split *a = &r->split;
    double best = INFINITY, now = 0;
    bool counting = s24i_counting(job->arena);
    s24_status status = s24i_variances(job->ops, job->arena, &r->prepared, r->variance);
    if (!status)
        status = s24i_gridding_fit(job, &r->prepared, r->o->grid, r->variance, a->z, &r->g);
    if (counting) {
        quantise(r);
        return loss(r, &now);
    }
    s24i_gridding_key(&r->prepared, r->variance, r->key);
    for (int64_t t = 0; t < r->o->rounds && !status; t++) {
        status = s24i_lowrank_rest(&a->low, job->arena, job->w, a->h);
        if (!status)
            status = quantise(r);
        if (!status)
            status = fit_rest(r, FIT_POLISH);
        if (!status)
            status = loss(r, &now);
        if (status || !(now < best))
            break;
        best = now;
        save_best(r);
        if (s24i_watch_stopped(job->watch))
            break;
    }
    if (status)
        return status;
    restore_best(r);
    return s24i_gridding_finish(job, &r->g, a->z);
}

/* ---- all of it ---- */

/* No support is asked for: L is all there is, or what a grid leaves. */
static s24_status alone(run *r)
{
    s24i_job *job = r->job;
    double total = 0;
    bool counting = s24i_counting(job->arena);
    if (job->layer.pattern.grid.bits) {
        s24i_keep_given(job);
        if (counting)
            return S24_OK;
        memcpy(r->split.z, job->w, size_of(r) * sizeof(float));
        return s24i_split_start(job->arena, &r->split);
    }
    if (!counting) {
        memset(job->mask, 0, size_of(r));
        memset(job->v, 0, size_of(r) * sizeof(float));
    }
    s24_status status = row_loss(r, job->v, &total);
    if (status || counting)
        return status;
    status = s24i_lowrank_start(&r->split.low, job->w);
    return status ? status
                  : s24i_lowrank_fit(&r->split.low, job->arena, job->watch, job->w, total, FIT_TOL,
                                     FIT_MOST, NULL);
}

static bool has_method(const run *r, const char *name)
{
    return strcmp(r->o->method, name) == 0;
}

static void take(run *r)
{
    s24i_job *job = r->job;
    s24i_split *a = &r->split;
    size_t size = size_of(r), n = (size_t)job->layer.cols, rows = (size_t)job->layer.rows;
    bool grid = job->layer.pattern.grid.bits;
    a->ops = job->ops;
    a->watch = job->watch;
    a->p = &r->prepared;
    a->pattern = &job->layer.pattern;
    a->w = job->w;
    a->rows = job->layer.rows;
    a->mask = job->mask;
    a->h = job->v;
    a->apart = has_method(r, "3basil");
    a->low.rank = job->layer.pattern.rank;
    s24i_split_take(job->arena, a);
    r->row_loss = s24i_arena_take(job->arena, rows, sizeof(double));
    if (!has_method(r, "joint"))
        r->seen = s24i_arena_take(job->arena, size, 1);
    if (grid) {
        size_t scales = rows * (size_t)s24i_grid_groups(&job->layer.pattern.grid, job->layer.cols);
        r->variance = s24i_arena_take(job->arena, n, sizeof(float));
        r->key = s24i_arena_take(job->arena, n, sizeof(float));
        keep(r, r->g.codes, size);
        keep(r, r->g.grid.scale, scales * sizeof(float));
        keep(r, r->g.grid.zero, scales * sizeof(float));
    }
    if (grid || has_method(r, "alternate")) {
        keep(r, a->z, size * sizeof(float));
        keep(r, job->mask, size);
        keep(r, a->low.q, rows * (size_t)a->low.width * sizeof(float));
        keep(r, a->low.c, n * (size_t)a->low.width * sizeof(float));
    }
    if (!has_method(r, "alternate") || strcmp(r->o->sparse, "alps") != 0)
        return;
    r->admm = (s24i_admm){.ops = job->ops, .watch = job->watch, .p = &r->prepared};
    r->admm.pattern = &job->layer.pattern;
    r->admm.rows = job->layer.rows;
    r->admm.mask = job->mask;
    s24i_admm_take(job->ops, job->arena, &r->admm);
    r->admm.b = s24i_arena_take(job->arena, size, sizeof(float));
}

static s24_status solve(s24i_job *job, const void *values)
{
    run r = {.job = job, .o = values, .converged = true};
    bool support = s24i_has_support(&job->layer.pattern), grid = job->layer.pattern.grid.bits;
    const char *rule = s24i_grid_damp_rule(job, r.o->damp_rule);
    const s24i_layer *layer = &job->layer;
    if (layer->pattern.rank > MOST_RANK && layer->rows > MOST_RANK && layer->cols > MOST_RANK)
        return s24i_fail(S24_E_UNSUPPORTED, "hassle takes a rank up to %d in a layer of this size",
                         MOST_RANK);
    if (grid)
        s24i_gridding_take(job, r.o->scales, &r.g);
    s24i_factors_take(job, support || grid, r.o->factors, &r.factors);
    r.split.z = r.factors.sparse;
    s24_status status = s24i_prepare(job->ops, job->arena, job->watch, &job->layer,
                                     s24i_damping_of(rule, r.o->damp), job->w, &r.prepared);
    if (status)
        return status;
    take(&r);
    status = !support                   ? alone(&r)
             : has_method(&r, "3basil") ? three_blocks(&r)
             : has_method(&r, "joint")  ? joint(&r)
                                        : alternate(&r);
    if (!status && grid)
        status = rounds_on_grid(&r);
    if (status || s24i_counting(job->arena))
        return status;
    job->iterations = r.iterations;
    job->converged = r.converged;
    s24i_report_damping(job, rule, &r.prepared);
    if (support && !grid)
        status = s24i_unscale(job->ops, &r.prepared, r.factors.sparse, job->layer.rows);
    return status ? status : s24i_factors_finish(job, &r.prepared, &r.split.low, &r.factors);
}

static const s24i_option options[] = {
    S24I_OPTION_STR(struct values, preset, "default|paper|3basil|fast|best", "default",
                    "paper: HASSLE-free's alternation; 3basil: the published three-block ADMM"),
    S24I_OPTION_STR(struct values, damp_rule, "auto|relative|mean|mixed", "auto",
                    "damping: chosen on two halves of the rows where a support is asked for, else "
                    "relative; relative to each diagonal entry, to their mean, or to both"),
    S24I_OPTION_FLOAT(struct values, damp, 0, 100, "0.03", "damping, unless chosen"),
    S24I_OPTION_STR(struct values, method, "joint|3basil|alternate", "joint",
                    "one ADMM with the right factor eliminated; with three blocks; or a sparse "
                    "and a low-rank step in turn"),
    S24I_OPTION_STR(struct values, sparse, "sparsegpt|alps", "sparsegpt",
                    "the sparse step of method=alternate"),
    S24I_OPTION_INT(struct values, max_iter, 0, 100000, "0",
                    "iterations, or rounds of method=alternate; 0: 128, from a tenth of the full "
                    "rank on 96, 3basil 2000, alternate 80"),
    S24I_OPTION_FLOAT(struct values, rho, 0, 1000, "0",
                      "first penalty: of 3basil, 0: 0.1; of joint in units of 1 / median "
                      "diag(S^-1), 0: 0.2"),
    S24I_OPTION_FLOAT(struct values, rho_end, 0, 1000, "0",
                      "last penalty of joint; 0: 0.55 - 1.3 rank / min(rows, cols) but at least "
                      "0.25, or 1 / median diag(S^-1) when that is more"),
    S24I_OPTION_INT(struct values, polish, 0, 1000, "3",
                    "joint: rounds at the end of conjugate gradients on S and exact L"),
    S24I_OPTION_INT(struct values, rounds, 1, 1000, "4",
                    "grid: of codes for what L leaves and L for what they leave, at most"),
    S24I_GRID_OPTIONS(struct values),
    S24I_OPTION_STR(struct values, factors, "f32|f16|bf16", "f32",
                    "type that the factors are stored in; losses are those of what is stored"),
    S24I_OPTION_FLOAT(struct values, time_limit, 0, 1e9, "0", "seconds, 0 = none"),
    {0},
};

static const s24i_preset presets[] = {
    {"default", ""},
    {"paper", "damp_rule=mixed,damp=0.005,method=alternate"},
    {"3basil", "damp_rule=mixed,damp=0.005,method=3basil"},
    {"fast", "max_iter=48"},
    {"best", "max_iter=384"},
    {0},
};

const s24i_solver_class s24i_solver_hassle = {
    .name = "hassle",
    .title = "sparse plus low rank: one ADMM over both, the right factor eliminated",
    .constraints = "rank, also with n:m, sparsity, a mask, a grid",
    .paper = "Makni, Behdin, Xu, Ponomareva, Mazumder 2025, arXiv 2502.00899",
    .cost = "128 (2 rows cols^2 + 8 rank rows cols + 2 rank cols^2) + 16 cols^3 flops",
    .honours = S24I_HAS_RANK | S24I_HAS_SUPPORT | S24I_HAS_GRID,
    .needs = S24I_HAS_RANK,
    .options = options,
    .presets = presets,
    .values_size = sizeof(struct values),
    .solve = solve,
};
