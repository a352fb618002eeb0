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
    s24i_constraints constraints; /* its mask: on the host */
    s24i_watch watch;
    s24i_run run; /* the solver's */
    s24i_job job;
    s24_result *result; /* NULL while only memory is predicted */
    uint8_t *mask;      /* of the problem, contiguous, on the host; NULL without one */
    int64_t row_block;
    size_t solved; /* of the solver's arena: its weights, and all that came before */
    double loss, norm, target_loss, target_norm;
    double began;
    char warning[S24I_WARNING_TEXT];
} solve;

static int64_t size_of(const solve *s)
{
    return s->problem->w.rows * s->problem->w.cols;
}

/* ---- The stages, which run twice: counting, then working ---- */

static void describe(solve *s)
{
    const s24_problem *problem = s->problem;

    s->job = (s24i_job){.run = &s->run,
                        .row_block = s->row_block,
                        .importance = problem->importance.data ? &problem->importance : NULL,
                        .previous = problem->previous.w.data ? &problem->previous : NULL,
                        .damp_used = NAN,
                        .heldout = NAN,
                        .residual = NAN};
    s->job.matrix = (s24i_matrix){.rows = problem->w.rows,
                                  .cols = problem->w.cols,
                                  .gram = s->reading.gram ? &s->reading.gram->sums : NULL,
                                  .cross = s->reading.cross ? &s->reading.cross->sums : NULL,
                                  .blend = problem->blend,
                                  .constraints = s->constraints};
}

/* An array of the solver: the result's own where the device works in the host's memory, else one of
 * the device. */
static void *device_array(const solve *s, void *own, size_t count, size_t element_size)
{
    return s->run.device->host ? own : s24i_arena_take(s->run.arena, count, element_size);
}

/* Where nothing lies yet, an address stands for arrays that will be; who writes there crashes. */
static void place_arrays(solve *s)
{
    static const max_align_t nowhere;
    size_t size = (size_t)size_of(s);
    bool counting = s24i_counting(&s->run);

    s->job.w = s24i_arena_take(s->run.arena, size, sizeof(float));
    s->job.v = device_array(s, counting ? NULL : s->result->weights.data, size, sizeof(float));
    s->job.mask = device_array(s, counting ? NULL : s->result->mask.data, size, 1);
    s->solved = s->run.arena->used;
    if (counting) {
        s->job.w = s->job.v = (float *)&nowhere;
        s->job.mask = (uint8_t *)&nowhere;
    } else {
        memcpy(s->job.parts, s->result->parts, sizeof s->job.parts);
    }
    if (s->problem->mask.data) {
        uint8_t *mask = device_array(s, s->mask, size, 1);
        s->job.matrix.constraints.mask = counting ? (const uint8_t *)&nowhere : mask;
    }
}

static s24_status bring_in(solve *s)
{
    uint8_t *mask = (uint8_t *)(uintptr_t)s->job.matrix.constraints.mask;
    s24_status status = s24i_mat_read(&s->run, &s->problem->w, "w", s->job.w);

    return status || !mask || s->run.device->host
               ? status
               : s24i_upload(&s->run, s->mask, (size_t)size_of(s), mask);
}

static s24_status take_out(solve *s)
{
    s24_result *r = s->result;
    s24_status status = S24_OK;

    if (s->run.device->host || s24i_counting(&s->run))
        return S24_OK;
    status = s24i_download(&s->run, s->job.v, (size_t)size_of(s) * sizeof(float), r->weights.data);
    if (!status)
        status = s24i_download(&s->run, s->job.mask, (size_t)size_of(s), r->mask.data);
    for (int32_t i = 0; !status && i < s->job.part_count; i++) {
        const s24_mat *mat = &s->job.parts[i].mat;
        size_t bytes = (size_t)(mat->rows * mat->cols) * (size_t)s24i_dtype_size(mat->dtype);
        status = s24i_download(&s->run, mat->data, bytes, r->parts[i].mat.data);
    }
    return status;
}

static s24_status solver_stage(solve *s)
{
    describe(s);
    place_arrays(s);
    s24_status status = bring_in(s);

    if (!status)
        status = s->constraints.dense
                     ? s24i_solve_dense(s->solver->class, &s->job, s->solver->values)
                     : s->solver->class->solve(&s->job, s->solver->values);
    if (!status)
        status = take_out(s);
    return status == S24_E_UNSUPPORTED ? s24i_fail_in(status, s->solver->class->name) : status;
}

/* Whatever the solver did: zero where the mask is, finite, and all constraints obeyed. */
static s24_status verify(const solve *s, const s24i_run *run)
{
    bool counting = s24i_counting(run);
    int64_t rows = s->problem->w.rows, cols = s->problem->w.cols;
    const char *name = s->solver->class->name;
    s24_mat weights =
        s24i_mat_plain(counting ? s->job.v : s->result->weights.data, rows, cols, S24_F32);
    s24_mat mask =
        s24i_mat_plain(counting ? s->job.mask : s->result->mask.data, rows, cols, S24_U8);
    s24i_check check = {.problem = s->problem,
                        .ctx = s->ctx,
                        .name = "weights",
                        .weights = &weights,
                        .mask = &mask,
                        .parts = counting ? s->job.parts : s->result->parts,
                        .part_count = s->job.part_count};
    const s24_mat *masked = s24i_check_subject(&check);
    s24i_constraints constraints = s->constraints;

    if (counting)
        return s24i_check_parts(&check, run);
    constraints.dense_at = s24i_dense_places(&check);
    s24_status status = S24_OK;
    if (masked)
        status = s24i_apply_mask(run, masked->data, mask.data, rows, cols, masked->data);
    if (!status)
        status = s24i_check_finite(run, &weights, name);
    if (!status)
        status = s24i_check_support(run, &constraints, mask.data, rows, cols, "mask");
    if (!status)
        status = s24i_check_parts(&check, run);
    if (status != S24_E_STATE)
        return status;
    s24i_fail_in(S24_E_INTERNAL, name);
    return s24i_fail_in(S24_E_INTERNAL, "a solver broke a constraint");
}

/* On the solver's device, of what it made. */
static s24_status loss_stage(solve *s, const s24i_run *run)
{
    bool own = s24i_counting(run) || !run->device->host;
    const void *weights = own ? s->job.v : s->result->weights.data;
    s24_mat v =
        s24i_mat_plain((void *)(uintptr_t)weights, s->problem->w.rows, s->problem->w.cols, S24_F32);
    s24_status status = s24i_reading_loss(&s->reading, run, &v, &s->loss, &s->norm);

    if (!status && s->reading.cross)
        status = s24i_reading_target_loss(&s->reading, run, &v, &s->target_loss, &s->target_norm);
    return status;
}

/* The solver in `solving` on its device, then checks and losses in `checking` on the host: the same
 * arena where both are one. */
static s24_status all_stages(solve *s, s24i_arena *solving, s24i_arena *checking)
{
    s24i_run check = {.device = &s->ctx->cpu, .arena = checking, .watch = &s->watch};
    bool counting = solving->base == NULL;

    s->run = (s24i_run){.device = s->ctx->device, .arena = solving, .watch = &s->watch};
    s->constraints = s->problem->constraints;
    s->constraints.mask = counting ? s->problem->mask.data : s->mask;
    s24_status status = solver_stage(s);

    if (!counting)
        s->result->flops = solving->flops; /* without the losses: their norms may be remembered */
    if (s->run.device->host)
        solving->used = 0;
    if (!status)
        status = verify(s, &check);
    if (status || s->run.device->host)
        return status ? status : loss_stage(s, &check);
    solving->used = s->solved; /* the weights stay where they are */
    return loss_stage(s, &s->run);
}

/* ---- Memory ---- */

/* Bytes of scratch on the device, and on the host if that is another. */
typedef struct scratch {
    size_t solving, checking;
} scratch;

static s24_status predict(solve *s, scratch *bytes)
{
    s24i_arena solving = {0}, checking = {0};
    bool host = s->ctx->device->host;
    s24_status status;

    s24i_watch_init(&s->watch, NULL, NULL, NULL, 0);
    s->watch.once = true;
    status = all_stages(s, &solving, host ? &solving : &checking);
    *bytes = (scratch){solving.peak, checking.peak};
    return status;
}

/* The result, and the mask as the solver reads it. */
static size_t kept_bytes(const solve *s)
{
    return s24i_result_bytes(&s->job) + (s->problem->mask.data ? (size_t)size_of(s) : 0);
}

/* Of the host's memory. */
static uint64_t wanted_bytes(const solve *s, scratch bytes)
{
    return kept_bytes(s) + bytes.checking + (s->ctx->device->host ? bytes.solving : 0);
}

static bool fits(const solve *s, scratch bytes)
{
    uint64_t limit = atomic_load(&s->ctx->memory.limit),
             used = atomic_load(&s->ctx->memory.current);

    return !limit || (used <= limit && wanted_bytes(s, bytes) <= limit - used);
}

/* The layer at once, or in the largest blocks of rows that fit. */
static s24_status predict_within_limit(solve *s, scratch *bytes)
{
    s24_status status = predict(s, bytes);

    while (!status && !fits(s, *bytes) && s->row_block > S24I_ROW_BLOCK) {
        s->row_block = (s->row_block / 2 + S24I_ROW_BLOCK - 1) / S24I_ROW_BLOCK * S24I_ROW_BLOCK;
        status = predict(s, bytes);
    }
    if (status || fits(s, *bytes))
        return status;
    uint64_t limit = atomic_load(&s->ctx->memory.limit),
             used = atomic_load(&s->ctx->memory.current);
    uint64_t wanted = wanted_bytes(s, *bytes);
    return s24i_fail(
        S24_E_MEMORY,
        "solver %s needs %llu bytes for this problem; %llu of memory_limit %llu are in "
        "use: a limit of %llu is enough",
        s->solver->class->name, (unsigned long long)wanted, (unsigned long long)used,
        (unsigned long long)limit, (unsigned long long)(used + wanted));
}

static s24_status take_mask(solve *s)
{
    if (!s->problem->mask.data)
        return S24_OK;
    s->mask = s24i_alloc(&s->ctx->memory, (size_t)size_of(s));
    return s->mask ? s24i_problem_mask(s->problem, s->ctx, s->mask) : S24_E_MEMORY;
}

static s24_status take_arena(const s24i_device *device, size_t size, s24i_arena *arena)
{
    *arena = (s24i_arena){.base = s24i_alloc(device->memory, size), .size = size};
    if (arena->base)
        return S24_OK;
    return device->host ? S24_E_MEMORY : s24i_fail_in(S24_E_MEMORY, device->name);
}

static s24_status work_in_arenas(solve *s, scratch bytes)
{
    bool host = s->ctx->device->host;
    s24i_arena solving = {0}, checking = {0};
    int32_t before = s24i_device_enter(s->ctx);
    s24_status status = take_arena(s->ctx->device, bytes.solving, &solving);

    if (!status && !host)
        status = take_arena(&s->ctx->cpu, bytes.checking, &checking);
    if (!status) {
        s24i_watch_init(&s->watch, s->solver->progress, s->solver->progress_user,
                        &s->solver->cancel, s24i_solver_number(s->solver, "time_limit", 0));
        status = all_stages(s, &solving, host ? &solving : &checking);
    }
    if (solving.exceeded || checking.exceeded)
        status = s24i_fail(S24_E_INTERNAL, "solver %s used more scratch than it predicted",
                           s->solver->class->name);
    s->result->peak_bytes = (int64_t)(solving.peak + checking.peak + kept_bytes(s));
    s24i_free(s->ctx->device->memory, solving.base, solving.size);
    s24i_free(&s->ctx->memory, checking.base, checking.size);
    s24i_device_leave(s->ctx, before);
    return status;
}

static s24_status work(solve *s)
{
    scratch bytes;
    s24_status status = predict_within_limit(s, &bytes);

    if (!status)
        status = s24i_result_create(s->ctx, &s->job, &s->result);
    if (!status)
        status = take_mask(s);
    if (!status)
        status = work_in_arenas(s, bytes);
    s24i_free(&s->ctx->memory, s->mask, (size_t)size_of(s));
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
    s24i_constraints_text(&s->problem->constraints, s->problem->mask.data != NULL,
                          r->constraints_text);
    r->constraints = r->constraints_text;
    r->grid = s->problem->constraints.grid;
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
        solver->class, s24i_constraints_bits(&problem->constraints, problem->mask.data != NULL));
}

static s24_status check_numbers(solve *s, const double *values, int64_t count, const char *what)
{
    s24_mat row = s24i_mat_plain((void *)(uintptr_t)values, 1, count, S24_F64);

    return values ? s24i_check_values(s->ctx, &row, what, true) : S24_OK;
}

static s24_status check_previous(solve *s)
{
    const s24i_previous *previous = &s->problem->previous;
    s24_status status = S24_OK;

    if (!previous->w.data)
        return S24_OK;
    status = s24i_check_values(s->ctx, &previous->w, "previous", false);
    if (!status)
        status = check_numbers(s, previous->scores, previous->w.cols, "scores of the previous");
    return status ? status
                  : check_numbers(s, previous->norms, previous->w.rows, "norms of the previous");
}

static s24_status check_inputs(solve *s)
{
    s24_status status = s24i_reading_check(&s->reading);

    if (!status && !s->solver->class->blind)
        s24i_reading_warn(&s->reading, s->warning);
    if (!status && s->problem->importance.data)
        status = s24i_check_values(s->ctx, &s->problem->importance, "importance", true);
    return status ? status : check_previous(s);
}

static s24_status begin(solve *s, const s24_solver *solver, const s24_problem *problem)
{
    s24_status status = check_job(solver, problem);

    *s = (solve){.ctx = solver->object.ctx, .solver = (s24_solver *)solver, .problem = problem};
    s->began = s24i_seconds();
    s->row_block = problem->w.rows;
    return status ? status : s24i_reading_open_there(&s->reading, problem, problem->cross != NULL);
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
        status = work(&s);
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
    scratch needed = {0};
    s24_status status = check_handles(solver, problem, bytes, "bytes");

    if (!status)
        status = begin(&s, solver, problem);
    if (status)
        return s24i_done(__func__, status);
    s24i_enter(s.ctx);
    status = predict(&s, &needed);
    s24i_leave(s.ctx);
    s24i_reading_close(&s.reading);
    if (!status)
        *bytes = wanted_bytes(&s, needed) + POOL_BYTES +
                 POOL_BYTES_A_THREAD * (uint64_t)s24i_workers(&s.ctx->threads);
    return s24i_done(__func__, status);
}
