#include "damping.h"
#include <math.h>

/*
 * ALPS (Meng et al. 2024): ADMM between the weights and the pattern with a growing penalty rho,
 * then conjugate gradients on the support found. preset=paper runs the published schedule;
 * preset=default starts from SparseGPT, takes rho from the diagonal of S^-1 and lets it grow
 * geometrically.
 */

struct values {
    s24i_word preset;
    s24i_word damp_rule;
    double damp;
    s24i_word schedule;
    int64_t max_iter;
    double rho;
    double rho_end;
    int64_t refit_iter;
    double tol;
    int64_t swaps;
    s24i_word swap_method;
    double time_limit;
};

enum { HOLD = 3 }; /* iterations between changes of a geometric rho */
enum { GEOMETRIC, PUBLISHED };

typedef struct {
    s24i_job *job;
    const struct values *o;
    const s24i_prepared *p;
    bool published; /* schedule */
    int64_t block;  /* rows at once */
    s24i_admm admm; /* over a block of rows, that of v */
    float *v;
    float *first; /* geometric: SparseGPT's weights, kept where nothing better was found */
    uint8_t *first_mask;
    uint8_t *seen; /* published: the mask at the last look */
    int32_t iterations;
} run;

static bool unstructured(const s24i_matrix *matrix)
{
    return !matrix->constraints.n && !matrix->constraints.mask;
}

/* ---- the geometric schedule ---- */

/* More of the matrix goes, longer the way. */
static int64_t length(const run *r)
{
    double sparsity = unstructured(&r->job->matrix) ? r->job->matrix.constraints.sparsity : 0;
    int64_t usual = sparsity > 0.8 ? 96 : sparsity > 0.6 ? 48 : sparsity > 0 ? 32 : 18;
    return r->o->max_iter ? r->o->max_iter : usual;
}

/* One step of the watch an iteration: true when it should stop. Any iterate is feasible. */
static bool tick(run *r, int32_t steps)
{
    r->iterations += steps;
    return s24i_watch_step(r->job->run->watch, steps, NAN, NAN);
}

/* SparseGPT's weights and mask; without H the largest weights, which are the optimum. */
static s24_status first_point(run *r)
{
    s24i_job *job = r->job;
    const s24i_matrix *matrix = &job->matrix;
    s24i_target target = s24i_job_target(job, r->p);
    if (matrix->gram)
        return s24i_sweep(job->run, &target, job->v, job->mask);
    s24_status status = s24i_project(job->run, &matrix->constraints, job->w, NULL, matrix->rows,
                                     matrix->cols, job->mask);
    return status
               ? status
               : s24i_apply_mask(job->run, job->w, job->mask, matrix->rows, matrix->cols, job->v);
}

/* What first_point() gave for the rows of the block, to be kept where nothing better is found. */
static s24_status remember(run *r)
{
    size_t size = (size_t)(r->admm.target.rows * r->job->matrix.cols);
    s24_status status = s24i_copy(r->job->run, r->v, size * sizeof(float), r->first);
    return status ? status : s24i_copy(r->job->run, r->admm.mask, size, r->first_mask);
}

/* From what first_point() gave, the rows of one block. */
static s24_status geometric(run *r, double unit)
{
    const s24i_job *job = r->job;
    int64_t iterations = length(r);
    double start = r->o->rho > 0 ? r->o->rho : unstructured(&job->matrix) ? 0.5 : 0.3, ratio;
    start *= unit;
    ratio = (r->o->rho_end > 0 ? r->o->rho_end : fmax(0.7, 2 * unit)) / start;
    s24_status status = remember(r);
    if (!status)
        status = s24i_admm_start(job->run, &r->admm, r->v);
    s24i_watch_phase(job->run->watch, "admm", iterations);
    r->iterations = 0;
    for (int64_t t = 0; t < iterations && !status; t += HOLD) {
        int32_t steps = (int32_t)(iterations - t < HOLD ? iterations - t : HOLD);
        double share = iterations > 1 ? (double)t / (double)(iterations - 1) : 1;
        status = s24i_admm_penalty(job->run, &r->admm, start * pow(ratio, share));
        if (!status)
            status = s24i_admm_iterate(job->run, &r->admm, steps);
        if (tick(r, steps))
            break;
    }
    return status;
}

static s24_status published(run *r)
{
    double rho = r->o->rho > 0 ? r->o->rho : 0.1;
    return s24i_admm_published(r->job->run, &r->admm, r->seen, rho, length(r), &r->iterations);
}

/* ---- from the support to the weights ---- */

/* V = the last iterate on its support, then conjugate gradients there; never worse than SparseGPT's
 * start. The published code ends on the unconstrained iterate's support. */
static s24_status finish(run *r)
{
    s24i_job *job = r->job;
    const s24i_matrix *matrix = &job->matrix;
    const s24i_target *target = &r->admm.target;
    s24i_cg_limits limits = {(int32_t)r->o->refit_iter, r->o->tol, matrix->rows};
    uint8_t *mask = r->admm.mask;
    double residual = 0;
    int32_t steps = 0;
    s24_status status = S24_OK;
    if (r->published)
        status = s24i_project(job->run, &matrix->constraints, r->admm.b, NULL, target->rows,
                              matrix->cols, mask);
    if (!status)
        status = s24i_apply_mask(job->run, r->admm.b ? r->admm.b : r->admm.z, mask, target->rows,
                                 matrix->cols, r->v);
    if (!status)
        status = s24i_cg(job->run, target, mask, limits, r->v, &steps, &residual);
    job->residual = fmax(job->residual, residual); /* NAN before the first block */
    return status || r->published
               ? status
               : s24i_keep_better(job->run, target, r->first, r->first_mask, r->v, mask);
}

static void enter_block(run *r, int64_t first)
{
    const s24i_job *job = r->job;
    int64_t rows = job->matrix.rows - first, place = first * job->matrix.cols;
    r->admm.target.rows = rows < r->block ? rows : r->block;
    r->admm.target.w = job->w + place;
    r->admm.mask = job->mask + place;
    r->v = job->v + place;
}

/* Block after block; one that the watch forbids to begin keeps SparseGPT's point. */
static s24_status geometric_blocks(run *r)
{
    const s24i_job *job = r->job;
    double unit = 1;
    s24_status status = first_point(r);
    if (!status)
        status = s24i_penalty_unit(job->run, r->p, &unit);
    for (int64_t first = 0; first < job->matrix.rows && !status; first += r->block) {
        if (first > 0 && s24i_watch_stopped(job->run->watch))
            break;
        enter_block(r, first);
        status = geometric(r, unit);
        if (!status)
            status = finish(r);
    }
    return status;
}

static s24_status take(run *r)
{
    const s24i_job *job = r->job;
    s24i_arena *arena = job->run->arena;
    bool together = r->published || s24i_over_layer(&job->matrix.constraints) ||
                    S24I_ROW_BLOCK % s24i_tied_rows(&job->matrix.constraints) > 0;
    r->block = together || job->row_block > job->matrix.rows ? job->matrix.rows : job->row_block;
    size_t size = (size_t)(r->block * job->matrix.cols);
    r->admm = (s24i_admm){.run = job->run, .target = s24i_job_target(job, r->p)};
    r->admm.of_rows = job->matrix.rows;
    enter_block(r, 0);
    s24_status status = s24i_admm_take(job->run, &r->admm);
    if (!r->published) {
        r->first = s24i_arena_take(arena, size, sizeof(float));
        r->first_mask = s24i_arena_take(arena, size, 1);
    } else {
        r->admm.b = s24i_arena_take(arena, size, sizeof(float));
        r->seen = s24i_arena_take(arena, size, 1);
    }
    return status;
}

static s24_status solve(s24i_job *job, const void *values)
{
    const struct values *o = values;
    s24i_prepared prepared;
    s24i_target target = s24i_job_target(job, &prepared);
    run r = {.job = job, .o = o, .p = &prepared, .published = o->schedule.index == PUBLISHED};
    s24i_damping damping = {o->damp_rule.index, o->damp, unstructured(&job->matrix) ? 3 : 2};
    s24i_swap_limits limits = {o->swap_method.index, 1e-6, o->swaps};
    s24_status status = s24i_prepare(job->run, &job->matrix, damping, job->w, &prepared);
    if (!status)
        status = take(&r);
    if (!status)
        status = r.published ? published(&r) : geometric_blocks(&r);
    if (!status && r.published)
        status = finish(&r);
    if (!status && o->swaps > 0 && !job->matrix.constraints.mask && !job->matrix.constraints.both)
        status = s24i_swap(job->run, &target, limits, job->v, job->mask, &job->swaps);
    if (status)
        return status;
    job->iterations = r.iterations;
    job->converged = !r.published || r.iterations < length(&r);
    s24i_report_damping(job, o->damp_rule.text, &prepared);
    return s24i_unscale(job->run, &prepared, job->v, job->matrix.rows);
}

static const s24i_option options[] = {
    S24I_OPTION_STR(struct values, preset, "default|paper|fast|best", "default",
                    "paper: the published schedule and damping; fast: fewer iterations than "
                    "default; best: more iterations, and swaps"),
    S24I_DAMPING_OPTIONS(struct values),
    S24I_OPTION_STR(struct values, schedule, "geometric|published", "geometric",
                    "how the penalty grows: by a fixed ratio (geometric), or by how much of the "
                    "support changes (published)"),
    S24I_OPTION_INT(
        struct values, max_iter, 0, 100000, "0",
        "iterations of ADMM; 0: 18 for n:m and masks; 32, 48 or 96 for a sparsity, by its height"),
    S24I_OPTION_FLOAT(struct values, rho, 0, 1000, "0",
                      "first penalty; schedule=published: 0 means 0.1; schedule=geometric: in "
                      "units of 1 / median diag(S^-1), 0 means 0.3 with n:m and 0.5 without"),
    S24I_OPTION_FLOAT(struct values, rho_end, 0, 1000, "0",
                      "last penalty of schedule=geometric; 0: 0.7, or twice 1 / median diag(S^-1) "
                      "if that is more"),
    S24I_OPTION_INT(struct values, refit_iter, 0, 10000, "6",
                    "largest number of conjugate gradient steps on the final mask"),
    S24I_OPTION_FLOAT(
        struct values, tol, 0, 1, "0.0001",
        "conjugate gradients stop when the residual has fallen to this share of its start"),
    S24I_OPTION_INT(struct values, swaps, 0, 1000000, "0",
                    "largest number of exchanges of kept for pruned weights in each row at the "
                    "end; 0, and n:mt, "
                    "whose columns they would break: none"),
    S24I_OPTION_STR(struct values, swap_method, "auto|exact|schur", "auto",
                    "exact: one exchange at a time, cols^3 flops a row; schur: many at once, for "
                    "long rows; auto: exact up to 256 inputs, else schur"),
    S24I_OPTION_FLOAT(struct values, time_limit, 0, 1e9, "0",
                      "stop after this many seconds and return what there is; 0: no limit"),
    {0},
};

static const s24i_preset presets[] = {
    {"default", ""},
    {"paper", "damp_rule=mean,damp=0.01,schedule=published,max_iter=300,refit_iter=10,tol=0"},
    {"fast", "max_iter=12"},
    {"best", "max_iter=48,refit_iter=40,swaps=1000"},
    {0},
};

const s24i_solver_class s24i_solver_alps = {
    .name = "alps",
    .title = "ADMM with a growing penalty, then conjugate gradients on the support",
    .constraints = "n:m, n:mt, n:m dense, sparsity, mask",
    .paper = "Meng, Behdin, Wang, Mazumder 2024, arXiv 2406.07831",
    .cost = "18 products 2 rows cols^2, 6 factorisations cols^3, 6 products of conjugate gradients",
    .honours = S24I_HAS_SUPPORT | S24I_HAS_DENSE | S24I_HAS_BOTH,
    .options = options,
    .presets = presets,
    .values_size = sizeof(struct values),
    .solve = solve,
};
