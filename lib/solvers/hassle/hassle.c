#include "hassle.h"

/*
 * W ~ S + L with S on the pattern and L a product of low rank (HASSLE-free, Makni et al. 2025).
 * preset=default is one ADMM over both with L's right factor eliminated (ops/split.c), from
 * SparseGPT, then conjugate gradients on S and exact steps for L in turn. preset=3basil is the
 * published three-block ADMM (Makni et al. 2026); preset=paper alternates a sparse step by a chosen
 * method and the exact L. Under a grid S is then put on it, L fitted to what that leaves, and both
 * again.
 */

enum {
    MOST_RANK = 30000, /* LAPACK counts the square of it in 32 bits */
    FIT_MOST = 100
};
#define FIT_TOL 1e-5 /* of an exact L: an iteration gains less than this of the loss left */

/* No support is asked for: L is all there is, or what a grid leaves. */
static s24_status alone(s24i_hassle *r)
{
    s24i_job *job = r->job;
    const s24i_run *run = job->run;
    size_t size = (size_t)s24i_job_size(job);
    double total = 0;
    s24_status status = S24_OK;
    if (job->matrix.constraints.grid.bits) {
        status = s24i_keep_given(job);
        if (!status)
            status = s24i_copy(run, job->w, size * sizeof(float), r->split.z);
        return status ? status : s24i_split_start(run, &r->split);
    }
    status = s24i_fill(run, 0, size, job->mask);
    if (!status)
        status = s24i_fill(run, 0, size * sizeof(float), job->v);
    if (!status)
        status = s24i_row_losses(run, &r->target, job->v, r->row_loss, &total);
    if (!status)
        status = s24i_lowrank_start(run, &r->split.low, job->w);
    return status ? status : s24i_lowrank_fit(run, &r->split.low, job->w, total, FIT_TOL, FIT_MOST);
}

static s24_status take_split(s24i_hassle *r)
{
    s24i_job *job = r->job;
    s24i_split *a = &r->split;
    a->target = r->target;
    a->mask = job->mask;
    a->h = job->v;
    a->apart = r->o->method.index == S24I_HASSLE_3BASIL;
    a->low.rank = job->matrix.constraints.rank;
    return s24i_split_take(job->run, a);
}

/* Of rounds on a grid, and of alternating: what belongs to the best so far. */
static void take_kept(s24i_hassle *r, bool grid)
{
    const s24i_matrix *matrix = &r->job->matrix;
    size_t size = (size_t)s24i_job_size(r->job), rows = (size_t)matrix->rows;
    size_t width = (size_t)r->split.low.width, n = (size_t)matrix->cols;
    if (grid) {
        size_t scales = rows * (size_t)s24i_grid_groups(&matrix->constraints.grid, matrix->cols);
        s24i_hassle_keep(r, r->g.codes, size);
        s24i_hassle_keep(r, r->g.grid.scale, scales * sizeof(float));
        s24i_hassle_keep(r, r->g.grid.zero, scales * sizeof(float));
    }
    s24i_hassle_keep(r, r->split.z, size * sizeof(float));
    s24i_hassle_keep(r, r->job->mask, size);
    s24i_hassle_keep(r, r->split.low.q, rows * width * sizeof(float));
    s24i_hassle_keep(r, r->split.low.c, n * width * sizeof(float));
}

static s24_status take(s24i_hassle *r, bool grid)
{
    s24i_job *job = r->job;
    s24i_arena *arena = job->run->arena;
    size_t size = (size_t)s24i_job_size(job), n = (size_t)job->matrix.cols;
    bool alternate = r->o->method.index == S24I_HASSLE_ALTERNATE;
    s24_status status = take_split(r);
    r->row_loss = s24i_arena_take(arena, (size_t)job->matrix.rows, sizeof(double));
    if (r->o->method.index != S24I_HASSLE_JOINT)
        r->seen = s24i_arena_take(arena, size, 1);
    if (grid) {
        r->variance = s24i_arena_take(arena, n, sizeof(float));
        r->key = s24i_arena_take(arena, n, sizeof(float));
    }
    if (grid || alternate)
        take_kept(r, grid);
    if (status || !alternate || r->o->sparse.index != S24I_HASSLE_BY_ALPS)
        return status;
    r->admm = (s24i_admm){.run = job->run, .target = r->target, .mask = job->mask};
    status = s24i_admm_take(job->run, &r->admm);
    r->admm.b = s24i_arena_take(arena, size, sizeof(float));
    return status;
}

static s24_status by_method(s24i_hassle *r)
{
    switch (r->o->method.index) {
    case S24I_HASSLE_JOINT:
        return s24i_hassle_joint(r);
    case S24I_HASSLE_3BASIL:
        return s24i_hassle_three_blocks(r);
    default:
        return s24i_hassle_alternate(r);
    }
}

static s24_status solve(s24i_job *job, const void *values)
{
    s24i_hassle r = {.job = job, .o = values, .converged = true};
    const s24i_matrix *matrix = &job->matrix;
    bool support = s24i_has_support(&matrix->constraints), grid = matrix->constraints.grid.bits;
    s24i_damping damping = s24i_grid_damping(job, r.o->damp_rule, r.o->damp);
    r.target = s24i_job_target(job, &r.prepared);
    if (matrix->constraints.rank > MOST_RANK && matrix->rows > MOST_RANK &&
        matrix->cols > MOST_RANK)
        return s24i_fail(S24_E_UNSUPPORTED, "hassle takes a rank up to %d in a layer of this size",
                         MOST_RANK);
    if (grid)
        s24i_gridding_take(job, r.o->scales, &r.g);
    s24i_factors_take(job, support || grid, r.o->factors, &r.factors);
    r.split.z = r.factors.sparse;
    s24_status status = s24i_prepare(job->run, matrix, damping, job->w, &r.prepared);
    if (!status)
        status = take(&r, grid);
    if (!status)
        status = support ? by_method(&r) : alone(&r);
    if (!status && grid)
        status = s24i_hassle_rounds_on_grid(&r);
    if (status)
        return status;
    job->iterations = r.iterations;
    job->converged = r.converged;
    s24i_report_damping(job, s24i_damp_word(damping), &r.prepared);
    if (support && !grid)
        status = s24i_unscale(job->run, &r.prepared, r.factors.sparse, matrix->rows);
    return status ? status
                  : s24i_lowrank_store(job->run, &r.split.low, &r.factors.u, &r.factors.v,
                                       r.factors.sparse, job->v);
}

static const s24i_option options[] = {
    S24I_OPTION_STR(s24i_hassle_values, preset, "default|paper|3basil|fast|best", "default",
                    "paper: the alternation of HASSLE-free; 3basil: the published ADMM with three "
                    "blocks; fast and best: shorter and longer than default"),
    S24I_OPTION_STR(
        s24i_hassle_values, damp_rule, "auto|relative|mean|transfer|mixed", "auto",
        "how the damping is chosen; auto: on two halves of the rows if a support is asked for, "
        "else relative; relative: damp times each diagonal entry; mean: damp times their mean; "
        "mixed: damp times both; transfer: 0.2, relative, for use on other text"),
    S24I_OPTION_FLOAT(s24i_hassle_values, damp, 0, 100, "0.03",
                      "damping of the rules that do not choose it, and of auto without a support"),
    S24I_OPTION_STR(s24i_hassle_values, method, "joint|3basil|alternate", "joint",
                    "joint: one ADMM with the right factor eliminated; 3basil: ADMM with three "
                    "blocks; alternate: a sparse and a low-rank step in turn"),
    S24I_OPTION_STR(s24i_hassle_values, sparse, "sparsegpt|alps", "sparsegpt",
                    "solver of the sparse step in method=alternate"),
    S24I_OPTION_INT(s24i_hassle_values, max_iter, 0, 100000, "0",
                    "iterations, or rounds of method=alternate; 0: joint 128 (96 from a tenth of "
                    "the full rank on), 3basil 2000, alternate 80"),
    S24I_OPTION_FLOAT(s24i_hassle_values, rho, 0, 1000, "0",
                      "first penalty; 3basil: 0 means 0.1; joint: in units of 1 / median "
                      "diag(S^-1), 0 means 0.2"),
    S24I_OPTION_FLOAT(s24i_hassle_values, rho_end, 0, 1000, "0",
                      "last penalty of method=joint; 0: 0.55 - 1.3 rank / min(rows, cols) but at "
                      "least 0.25, or 1 / median diag(S^-1) if that is more"),
    S24I_OPTION_INT(s24i_hassle_values, polish, 0, 1000, "3",
                    "number of rounds at the end of method=joint: conjugate gradients on the "
                    "sparse part, then the exact low-rank part"),
    S24I_OPTION_INT(s24i_hassle_values, rounds, 1, 1000, "4",
                    "under a grid, largest number of rounds: codes for what the low-rank part "
                    "leaves, then a low-rank part for what the codes leave"),
    S24I_GRID_OPTIONS(s24i_hassle_values),
    S24I_OPTION_STR(
        s24i_hassle_values, factors, "f32|f16|bf16", "f32",
        "type that the factors are stored in; reported losses are those of what is stored"),
    S24I_OPTION_FLOAT(s24i_hassle_values, time_limit, 0, 1e9, "0",
                      "stop after this many seconds and return what there is; 0: no limit"),
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
    .constraints = "rank, also with n:m, n:mt, sparsity, a mask, a grid",
    .paper = "Makni, Behdin, Xu, Ponomareva, Mazumder 2025, arXiv 2502.00899",
    .cost = "128 (2 rows cols^2 + 8 rank rows cols + 2 rank cols^2) + 16 cols^3 flops",
    .honours = S24I_HAS_RANK | S24I_HAS_SUPPORT | S24I_HAS_BOTH | S24I_HAS_GRID,
    .needs = S24I_HAS_RANK,
    .options = options,
    .presets = presets,
    .values_size = sizeof(s24i_hassle_values),
    .solve = solve,
};
