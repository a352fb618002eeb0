#include "damping.h"
#include <math.h>

/*
 * ARMOR (Liu et al. 2025): n:m between two block-diagonal matrices. The core starts as n:m alone,
 * by ADMM. Then the blocks of both sides, each an exact least-squares problem, and the core's
 * values on their support are fitted in turn. preset=paper takes the published proxy, the diagonal
 * of H.
 */

struct values {
    s24i_word preset;
    s24i_word damp_rule;
    double damp;
    s24i_word metric;
    int64_t rounds;
    int64_t steps;
    double time_limit;
};

enum { FULL, DIAGONAL };
enum { ITERATIONS = 18, HOLD = 3 };

typedef struct {
    s24i_job *job;
    const struct values *o;
    s24i_prepared prepared;
    s24i_target target;
    s24i_blocks a;
    s24i_admm admm;
} run;

/* The largest weights times input norms: the published start. */
static s24_status largest(run *r)
{
    s24i_job *job = r->job;
    int64_t rows = job->matrix.rows, cols = job->matrix.cols;
    s24_status status =
        s24i_project(job->run, &job->matrix.constraints, job->w, NULL, rows, cols, job->mask);
    return status ? status : s24i_apply_mask(job->run, job->w, job->mask, rows, cols, r->a.core);
}

/* n:m alone as alps finds it. */
static s24_status by_admm(run *r)
{
    s24i_job *job = r->job;
    const s24i_run *in = job->run;
    s24i_cg_limits limits = {20, 1e-4, 0};
    double unit = 1, residual;
    int32_t steps;
    s24_status status = s24i_sweep(in, &r->target, r->a.core, job->mask);
    if (!status)
        status = s24i_penalty_unit(in, &r->prepared, &unit);
    double start = 0.3 * unit, ratio = fmax(0.7, 2 * unit) / start;
    if (!status)
        status = s24i_admm_start(in, &r->admm, r->a.core);
    for (int t = 0; t < ITERATIONS && !status; t += HOLD) {
        status = s24i_admm_penalty(in, &r->admm, start * pow(ratio, t / (ITERATIONS - 1.)));
        if (!status)
            status = s24i_admm_iterate(in, &r->admm, HOLD);
    }
    if (!status)
        status = s24i_apply_mask(in, r->admm.z, job->mask, job->matrix.rows, job->matrix.cols,
                                 r->a.core);
    return status ? status
                  : s24i_cg(in, &r->target, job->mask, limits, r->a.core, &steps, &residual);
}

static s24_status take(run *r)
{
    s24i_job *job = r->job;
    r->a = (s24i_blocks){.target = &r->target, .size = job->matrix.constraints.blocks};
    r->a.mask = job->mask;
    r->a.diagonal = r->o->metric.index == DIAGONAL;
    s24_status status = s24i_blocks_take(job->run, &r->a);
    r->admm = (s24i_admm){.run = job->run, .target = r->target, .mask = job->mask};
    return status || r->a.diagonal ? status : s24i_admm_take(job->run, &r->admm);
}

static s24_status rounds(run *r)
{
    const s24i_run *in = r->job->run;
    s24_status status = s24i_blocks_start(in, &r->a);
    s24i_watch_phase(in->watch, "round", r->o->rounds);
    for (int64_t t = 0; t < r->o->rounds && !status; t++) {
        status = s24i_blocks_right(in, &r->a);
        if (!status)
            status = s24i_blocks_left(in, &r->a);
        if (!status)
            status = s24i_blocks_core(in, &r->a, (int32_t)r->o->steps);
        r->job->iterations = t + 1;
        if (s24i_watch_step(in->watch, 1, NAN, NAN))
            break;
    }
    return status;
}

static s24_status solve(s24i_job *job, const void *values)
{
    run r = {.job = job, .o = values};
    const s24i_matrix *matrix = &job->matrix;
    s24i_damping damping = {r.o->damp_rule.index, r.o->damp, 2};
    int64_t size = matrix->constraints.blocks;
    s24i_blocks_parts parts = {
        s24i_job_part(job, "left", matrix->rows, size, S24_F32),
        s24i_job_part(job, "sparse", matrix->rows, matrix->cols, S24_F32),
        s24i_job_part(job, "right", matrix->cols, size, S24_F32),
    };
    r.target = s24i_job_target(job, &r.prepared);
    s24_status status = s24i_prepare(job->run, matrix, damping, job->w, &r.prepared);
    if (!status)
        status = take(&r);
    if (!status)
        status = r.a.diagonal ? largest(&r) : by_admm(&r);
    if (!status)
        status = rounds(&r);
    if (!status)
        status = s24i_blocks_store(job->run, &r.a, &parts, job->v);
    s24i_report_damping(job, r.o->damp_rule.text, &r.prepared);
    return status;
}

static const s24i_option options[] = {
    S24I_OPTION_STR(struct values, preset, "default|paper|best", "default",
                    "paper: the published proxy and start, with exact steps for its gradient "
                    "steps; best: more rounds"),
    S24I_DAMPING_OPTIONS(struct values),
    S24I_OPTION_STR(struct values, metric, "full|diagonal", "full",
                    "what the factors are fitted in: H (full), or its diagonal"),
    S24I_OPTION_INT(struct values, rounds, 1, 1000, "6",
                    "rounds of right blocks, left blocks and the core's values"),
    S24I_OPTION_INT(struct values, steps, 1, 1000, "15",
                    "steps of conjugate gradients for the core's values in a round"),
    S24I_OPTION_FLOAT(struct values, time_limit, 0, 1e9, "0",
                      "stop after this many seconds and return what there is; 0: no limit"),
    {0},
};

static const s24i_preset presets[] = {
    {"default", ""},
    {"paper", "damp_rule=relative,damp=0,metric=diagonal,rounds=20"},
    {"best", "rounds=24"},
    {0},
};

const s24i_solver_class s24i_solver_armor = {
    .name = "armor",
    .title = "n:m between two block-diagonal matrices, all three fitted in turn",
    .constraints = "n:m blocks",
    .paper = "Liu, Liu, Wang, Zhao, Yang 2025, arXiv 2510.05528",
    .cost = "rounds (2 steps + 6) rows cols^2 flops",
    .honours = S24I_HAS_PATTERN | S24I_HAS_BLOCKS,
    .needs = S24I_HAS_BLOCKS,
    .options = options,
    .presets = presets,
    .values_size = sizeof(struct values),
    .solve = solve,
};
