#include "api.h"
#include "base/clock.h"
#include <math.h>
#include <string.h>

/* The pool of threads is made by the first call that has a loop to share, perhaps by a solve. */
enum { POOL_BYTES = 1024, POOL_BYTES_A_THREAD = 64 };

typedef struct solve {
    s24_ctx *ctx;
    s24_solver *solver;
    const s24_problem *problem;
    s24i_reading reading;
    s24i_pattern pattern;
    s24i_watch watch;
    s24i_job job;
    s24_result *result; /* NULL while only memory is predicted */
    int64_t row_block;
    double loss, norm, target_loss, target_norm;
    double began;
    char warning[S24I_WARNING_TEXT];
} solve;

static int64_t size_of(const solve *s)
{
    return s->problem->w.rows * s->problem->w.cols;
}

/* ---- The stages, which run twice: counting, then working ---- */

static void describe(solve *s, s24i_arena *arena)
{
    const s24_problem *problem = s->problem;

    s->job = (s24i_job){.ops = &s->ctx->ops,
                        .arena = arena,
                        .watch = &s->watch,
                        .row_block = s->row_block,
                        .importance = problem->importance.data ? &problem->importance : NULL,
                        .damp_used = NAN,
                        .heldout = NAN,
                        .residual = NAN};
    s->job.layer = (s24i_layer){.rows = problem->w.rows,
                                .cols = problem->w.cols,
                                .gram = s->reading.gram ? &s->reading.gram->sums : NULL,
                                .cross = s->reading.cross ? &s->reading.cross->sums : NULL,
                                .blend = problem->blend,
                                .pattern = s->pattern};
}

static s24_status solver_stage(solve *s, s24i_arena *arena)
{
    static const max_align_t nowhere; /* stands for arrays that will be; who writes there crashes */
    s24_status status = S24_OK;

    describe(s, arena);
    s->job.w = s24i_arena_take(arena, (size_t)size_of(s), sizeof(float));
    if (s24i_counting(arena)) {
        s->job.w = s->job.v = (float *)&nowhere;
        s->job.mask = (uint8_t *)&nowhere;
    } else {
        memcpy(s->job.parts, s->result->parts, sizeof s->job.parts);
        s->job.v = s->result->weights.data;
        s->job.mask = s->result->mask.data;
        status = s24i_mat_read(&s->ctx->ops, &s->problem->w, "w", s->job.w);
    }
    return status ? status : s->solver->class->solve(&s->job, s->solver->values);
}

/* Whatever the solver did: zero where the mask is, finite, and all constraints obeyed. */
static s24_status verify(const solve *s, s24i_arena *arena)
{
    float *v = s->job.v;
    int64_t rows = s->job.layer.rows, cols = s->job.layer.cols;
    const char *name = s->solver->class->name;
    s24_mat weights = s24i_mat_plain(v, rows, cols, S24_F32);
    s24_mat mask = s24i_mat_plain(s->job.mask, rows, cols, S24_U8);
    s24i_check check = {.problem = s->problem,
                        .ctx = s->ctx,
                        .name = "weights",
                        .weights = &weights,
                        .mask = &mask,
                        .parts = s->job.parts,
                        .part_count = s->job.part_count};
    const s24_mat *masked = s24i_check_subject(&check);

    if (s24i_counting(arena))
        return s24i_check_parts(&check, arena);
    if (masked)
        s->ctx->kernels.apply_mask(masked->data, s->job.mask, masked->data, rows * cols);
    int64_t bad = s->ctx->kernels.first_nonfinite(v, rows * cols);
    if (bad >= 0)
        return s24i_fail(S24_E_NUMERIC, "solver %s: the weight in row %lld, column %lld became %g",
                         name, (long long)(bad / cols), (long long)(bad % cols), v[bad]);
    s24_status status = s24i_check_support(&s->pattern, s->job.mask, rows, cols, "mask");
    if (!status)
        status = s24i_check_parts(&check, arena);
    if (status != S24_E_STATE)
        return status;
    s24i_fail_in(S24_E_INTERNAL, name);
    return s24i_fail_in(S24_E_INTERNAL, "a solver broke a constraint");
}

static s24_status loss_stage(solve *s, s24i_arena *arena)
{
    s24_mat v = s24i_mat_plain(s->job.v, s->problem->w.rows, s->problem->w.cols, S24_F32);
    s24_status status = s24i_reading_loss(&s->reading, s->ctx, arena, &v, &s->loss, &s->norm);

    if (!status && s->reading.cross)
        status = s24i_reading_target_loss(&s->reading, s->ctx, arena, &v, &s->target_loss,
                                          &s->target_norm);
    return status;
}

static s24_status all_stages(void *arg, s24i_arena *arena)
{
    solve *s = arg;
    bool counting = s24i_counting(arena), masked = s->problem->mask.data != NULL;
    uint8_t *mask = masked ? s24i_arena_take(arena, (size_t)size_of(s), 1) : NULL;
    size_t kept = arena->used;
    s24_status status = S24_OK;

    if (masked && !counting)
        status = s24i_problem_mask(s->problem, s->ctx, mask);
    s->pattern = s->problem->pattern;
    s->pattern.mask = counting ? s->problem->mask.data : mask;
    if (!status)
        status = solver_stage(s, arena);
    arena->used = kept;
    if (!counting)
        s->result->flops = arena->flops; /* without the losses: their norms may be remembered */
    if (!status)
        status = verify(s, arena);
    return status ? status : loss_stage(s, arena);
}

/* ---- Memory ---- */

static s24_status predict(solve *s, size_t *scratch)
{
    s24i_arena arena = {0};
    s24_status status;

    s24i_watch_init(&s->watch, NULL, NULL, NULL, 0);
    status = all_stages(s, &arena);
    *scratch = arena.peak;
    return status;
}

static size_t result_bytes(const solve *s)
{
    return s24i_result_bytes(&s->job);
}

static bool fits(const solve *s, size_t scratch)
{
    uint64_t limit = atomic_load(&s->ctx->memory.limit),
             used = atomic_load(&s->ctx->memory.current);
    uint64_t wanted = scratch + result_bytes(s);

    return !limit || (used <= limit && wanted <= limit - used);
}

/* The layer at once, or in the largest blocks of rows that fit. */
static s24_status predict_within_limit(solve *s, size_t *scratch)
{
    s24_status status = predict(s, scratch);

    while (!status && !fits(s, *scratch) && s->row_block > S24I_ROW_BLOCK) {
        s->row_block = (s->row_block / 2 + S24I_ROW_BLOCK - 1) / S24I_ROW_BLOCK * S24I_ROW_BLOCK;
        status = predict(s, scratch);
    }
    if (status || fits(s, *scratch))
        return status;
    uint64_t limit = atomic_load(&s->ctx->memory.limit),
             used = atomic_load(&s->ctx->memory.current);
    return s24i_fail(S24_E_MEMORY,
                     "solver %s needs %llu bytes for this problem; %llu of memory_limit %llu are "
                     "in use: a limit "
                     "of %llu is enough",
                     s->solver->class->name, (unsigned long long)(*scratch + result_bytes(s)),
                     (unsigned long long)used, (unsigned long long)limit,
                     (unsigned long long)(used + *scratch + result_bytes(s)));
}

static s24_status work_in_arena(solve *s)
{
    s24i_arena arena = {0};
    s24_status status = predict_within_limit(s, &arena.size);

    if (!status)
        status = s24i_result_create(s->ctx, &s->job, &s->result);
    if (!status && !(arena.base = s24i_alloc(&s->ctx->memory, arena.size)))
        status = S24_E_MEMORY;
    if (status)
        return status;
    s24i_watch_init(&s->watch, s->solver->progress, s->solver->progress_user, &s->solver->cancel,
                    s24i_solver_number(s->solver, "time_limit", 0));
    status = all_stages(s, &arena);
    if (arena.exceeded)
        status = s24i_fail(S24_E_INTERNAL, "solver %s used more scratch than it predicted",
                           s->solver->class->name);
    s->result->peak_bytes = (int64_t)(arena.peak + result_bytes(s));
    s24i_free(&s->ctx->memory, arena.base, arena.size);
    return status;
}

/* ---- The result ---- */

static const char *stop_name(const solve *s)
{
    int32_t stop = atomic_load(&s->watch.stop);

    if (stop)
        return stop == S24I_STOP_TIME ? "time" : "cancelled";
    if (isnan(s->job.residual))
        return "done";
    return s->job.converged ? "converged" : "max_iter";
}

static void fill_numbers(const solve *s, s24_result *r)
{
    s24i_check check = {.weights = &r->weights, .parts = r->parts, .part_count = r->part_count};
    const s24_mat *sparse = s24i_check_subject(&check);

    for (int64_t i = 0; sparse && i < size_of(s); i++)
        r->nnz += ((const float *)sparse->data)[i] != 0;
    r->zeros = size_of(s) - r->nnz;
    r->loss = s->loss;
    r->relative_loss = s24i_relative(s->loss, s->norm);
    r->has_target = s->reading.cross != NULL;
    r->target_relative_loss = r->has_target ? s24i_relative(s->target_loss, s->target_norm) : NAN;
    r->heldout_relative_loss = s->job.heldout;
    r->damp_used = s->job.damp_used;
    r->residual = s->job.residual;
    r->iterations = s->job.iterations;
    r->swaps = s->job.swaps;
    r->calibration_rows = s->reading.gram ? s24i_rows_weight(&s->reading.gram->sums.rows) : 0;
    r->threads = s24i_workers(&s->ctx->threads);
}

static s24_status fill(const solve *s)
{
    s24_result *r = s->result;

    fill_numbers(s, r);
    r->solver = s->solver->class->name;
    r->stop = stop_name(s);
    r->blas = s24i_blas_name();
    r->isa = s->ctx->kernels.isa;
    s24i_constraints_text(&s->problem->pattern, s->problem->mask.data != NULL, r->constraints_text);
    r->constraints = r->constraints_text;
    if (s->job.damp_rule) {
        strncpy(r->damp_word, s->job.damp_rule, sizeof r->damp_word - 1);
        r->damp_rule = r->damp_word;
    }
    if (*s->warning) {
        memcpy(r->warning_text, s->warning, sizeof r->warning_text);
        r->warning = r->warning_text;
    }
    s24i_text_append(&r->options_text, "%s", "");
    s24i_options_text(&s->solver->options, &r->options_text);
    r->options = r->options_text.data;
    r->seconds = s24i_seconds() - s->began;
    return r->options_text.failed ? S24_E_MEMORY : s24i_result_record(r);
}

/* ---- Public ---- */

/* What can be told without the calibration sums. */
static s24_status check_job(const s24_solver *solver, const s24_problem *problem)
{
    return s24i_check_honoured(
        solver->class, s24i_constraints_bits(&problem->pattern, problem->mask.data != NULL));
}

static s24_status check_inputs(solve *s)
{
    s24_status status = s24i_reading_check(&s->reading);

    if (!status && !s->solver->class->blind)
        s24i_reading_warn(&s->reading, s->warning);
    if (!status && s->problem->importance.data)
        status = s24i_check_values(s->ctx, &s->problem->importance, "importance", true);
    return status;
}

static s24_status begin(solve *s, const s24_solver *solver, const s24_problem *problem)
{
    s24_status status = check_job(solver, problem);

    *s = (solve){.ctx = solver->object.ctx, .solver = (s24_solver *)solver, .problem = problem};
    s->began = s24i_seconds();
    s->row_block = problem->w.rows;
    return status ? status : s24i_reading_open(&s->reading, problem, problem->cross != NULL);
}

static s24_status run(s24_solver *solver, const s24_problem *problem, s24_result **out)
{
    solve s;
    s24_status status = begin(&s, solver, problem);

    if (status)
        return status;
    status = s24i_enter(s.ctx);
    s24i_warn_blas(s.ctx);
    if (!status)
        status = check_inputs(&s);
    if (!status && *s.warning)
        s24i_log(s.ctx, 1, "%s on %lld x %lld: %s", solver->class->name, (long long)problem->w.rows,
                 (long long)problem->w.cols, s.warning);
    if (!status)
        status = work_in_arena(&s);
    if (status == S24_E_CANCELLED)
        s24i_fail(status, "solver %s was stopped before it had a feasible point",
                  solver->class->name);
    if (!status)
        status = fill(&s);
    if (!status)
        s24i_log(s.ctx, 2, "%s %s on %lld x %lld: relative loss %.6g, %.3g s, %s", s.result->solver,
                 s.result->constraints, (long long)s.result->rows, (long long)s.result->cols,
                 s.result->relative_loss, s.result->seconds, s.result->stop);
    s24i_leave(s.ctx);
    s24i_reading_close(&s.reading);
    if (status)
        s24_result_destroy(s.result);
    else
        *out = s.result;
    return status;
}

/* One at a time, and alive whatever a callback destroys. */
static s24_status run_alone(s24_solver *solver, s24_problem *problem, s24_result **out)
{
    if (atomic_exchange(&solver->busy, 1))
        return s24i_fail(S24_E_STATE,
                         "a solve is running on this solver: use another one beside it");
    atomic_store(&solver->cancel, 0);
    s24i_object_retain(&solver->object);
    s24i_object_retain(&problem->object);
    atomic_fetch_add(&problem->solves, 1);
    s24_status status = run(solver, problem, out);
    atomic_fetch_sub(&problem->solves, 1);
    s24i_problem_release(problem);
    atomic_store(&solver->busy, 0);
    s24i_solver_release(solver);
    return status;
}

static s24_status check_handles(const s24_solver *solver, const s24_problem *problem,
                                const void *out, const char *name)
{
    s24_status status = s24i_check_handle(solver, S24I_SOLVER, "solver");

    if (!status)
        status = s24i_check_handle(problem, S24I_PROBLEM, "problem");
    return status ? status : s24i_check_pointer(out, name);
}

s24_status s24_solve(s24_solver *solver, const s24_problem *problem, s24_result **out)
{
    s24_status status = check_handles(solver, problem, out, "out");

    return s24i_done(__func__, status ? status : run_alone(solver, (s24_problem *)problem, out));
}

s24_status s24_solver_memory(const s24_solver *solver, const s24_problem *problem, uint64_t *bytes)
{
    solve s;
    size_t scratch = 0;
    s24_status status = check_handles(solver, problem, bytes, "bytes");

    if (!status)
        status = begin(&s, solver, problem);
    if (status)
        return s24i_done(__func__, status);
    s24i_enter(s.ctx);
    status = predict(&s, &scratch);
    s24i_leave(s.ctx);
    s24i_reading_close(&s.reading);
    if (!status)
        *bytes = scratch + result_bytes(&s) + POOL_BYTES +
                 POOL_BYTES_A_THREAD * (uint64_t)s24i_workers(&s.ctx->threads);
    return s24i_done(__func__, status);
}
