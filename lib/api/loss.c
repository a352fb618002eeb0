#include "api.h"
#include <math.h>

double s24i_relative(double loss, double norm)
{
    return norm > 0 ? loss / norm : loss > 0 ? INFINITY : 0;
}

/* ---- The sums that a problem refers to, while something reads them ---- */

static bool same_count(double a, double b)
{
    return fabs(a - b) <= 1e-9 * fmax(a, b);
}

static s24_status open_target(s24i_reading *reading)
{
    if (!reading->problem->cross)
        return s24i_fail(S24_E_STATE, "the problem has no target: s24_problem_set_target() first");
    if (!reading->gram)
        return s24i_fail(S24_E_STATE, "a target needs the gram of the same rows: "
                                      "s24_problem_set_gram() first");
    s24_status status = s24i_cross_open(reading->problem->cross);
    if (!status)
        reading->cross = reading->problem->cross;
    return status;
}

s24_status s24i_reading_open(s24i_reading *reading, const s24_problem *problem, bool target)
{
    s24_status status = S24_OK;

    *reading = (s24i_reading){.problem = problem};
    if (problem->gram)
        status = s24i_gram_open(problem->gram);
    if (!status)
        reading->gram = problem->gram;
    if (!status && target)
        status = open_target(reading);
    if (status)
        s24i_reading_close(reading);
    return status;
}

void s24i_reading_close(s24i_reading *reading)
{
    s24i_cross_close(reading->cross);
    s24i_gram_close(reading->gram);
    reading->cross = NULL;
    reading->gram = NULL;
}

s24_status s24i_reading_check(const s24i_reading *reading)
{
    if (reading->gram && s24i_rows_weight(&reading->gram->sums.rows) == 0)
        return s24i_fail(S24_E_STATE, "the problem's gram has no rows yet: s24_gram_add() first");
    for (int half = 0; reading->cross && half < 2; half++) {
        double rows = reading->gram->sums.rows.weight[half];
        double target_rows = reading->cross->sums.rows.weight[half];
        if (!same_count(rows, target_rows))
            return s24i_fail(
                S24_E_STATE,
                "half %d of the gram holds %g rows and that of the target %g: both must see "
                "the same rows",
                half + 1, rows, target_rows);
    }
    return S24_OK;
}

/* ---- Losses ---- */

static uint64_t gram_version(const s24i_reading *reading)
{
    return reading->gram ? reading->gram->shared.version : 0;
}

static bool recall_norm(const s24i_reading *reading, double *norm)
{
    s24_problem *problem = (s24_problem *)reading->problem;

    s24i_lock_take(&problem->lock);
    bool known = problem->norm.valid && problem->norm.version == gram_version(reading);
    if (known)
        *norm = problem->norm.value;
    s24i_lock_drop(&problem->lock);
    return known;
}

static void remember_norm(const s24i_reading *reading, double norm)
{
    s24_problem *problem = (s24_problem *)reading->problem;

    s24i_lock_take(&problem->lock);
    problem->norm = (s24i_cached){true, gram_version(reading), norm};
    s24i_lock_drop(&problem->lock);
}

s24_status s24i_reading_loss(const s24i_reading *reading, s24_ctx *ctx, s24i_arena *arena,
                             const s24_mat *v, double *loss, double *norm)
{
    const s24i_gram *gram = reading->gram ? &reading->gram->sums : NULL;
    const s24_mat *w = &reading->problem->w;
    s24_status status = s24i_quadratic(&ctx->ops, arena, gram, S24I_BOTH, w, v, loss);

    if (status || recall_norm(reading, norm))
        return status;
    status = s24i_quadratic(&ctx->ops, arena, gram, S24I_BOTH, w, NULL, norm);
    if (!status && !s24i_counting(arena))
        remember_norm(reading, *norm);
    return status;
}

s24_status s24i_reading_target_loss(const s24i_reading *reading, s24_ctx *ctx, s24i_arena *arena,
                                    const s24_mat *v, double *loss, double *norm)
{
    return s24i_target_loss(&ctx->ops, arena, &reading->gram->sums, &reading->cross->sums,
                            S24I_BOTH, reading->problem->blend, &reading->problem->w, v, NULL, loss,
                            norm);
}

typedef struct evaluation {
    s24i_reading reading;
    const s24_mat *candidate;
    bool target;
    double loss, norm;
} evaluation;

static s24_status evaluate_stage(void *arg, s24i_arena *arena)
{
    evaluation *e = arg;
    s24_ctx *ctx = e->reading.problem->object.ctx;

    return (e->target ? s24i_reading_target_loss : s24i_reading_loss)(
        &e->reading, ctx, arena, e->candidate, &e->loss, &e->norm);
}

static s24_status check_candidate(const s24_problem *problem, const s24_mat *candidate)
{
    s24_status status = s24i_check_mat(candidate, "candidate", S24I_FLOAT_TYPE);

    if (!status)
        status = s24i_check_shape(candidate, "candidate", problem->w.rows, problem->w.cols);
    return status;
}

static s24_status evaluate(const s24_problem *problem, const s24_mat *candidate, bool target,
                           double *loss, double *relative)
{
    s24_ctx *ctx = problem->object.ctx;
    evaluation e = {.candidate = candidate, .target = target};
    s24_status status = check_candidate(problem, candidate);

    if (!status)
        status = s24i_reading_open(&e.reading, problem, target);
    if (status)
        return status;
    s24i_enter(ctx);
    status = s24i_reading_check(&e.reading);
    if (!status)
        status = s24i_check_values(ctx, &problem->w, "w", false);
    if (!status)
        status = s24i_check_values(ctx, candidate, "candidate", false);
    if (!status)
        status = s24i_in_arena(ctx, evaluate_stage, &e);
    s24i_leave(ctx);
    s24i_reading_close(&e.reading);
    if (!status && loss)
        *loss = e.loss;
    if (!status && relative)
        *relative = s24i_relative(e.loss, e.norm);
    return status;
}

s24_status s24_problem_loss(const s24_problem *problem, const s24_mat *candidate, double *loss,
                            double *relative)
{
    s24_status status = s24i_check_handle(problem, S24I_PROBLEM, "problem");

    return s24i_done(__func__,
                     status ? status : evaluate(problem, candidate, false, loss, relative));
}

s24_status s24_problem_target_loss(const s24_problem *problem, const s24_mat *candidate,
                                   double *loss, double *relative)
{
    s24_status status = s24i_check_handle(problem, S24I_PROBLEM, "problem");

    return s24i_done(__func__,
                     status ? status : evaluate(problem, candidate, true, loss, relative));
}

/* ---- Does a candidate obey the constraints? ---- */

typedef struct check {
    const s24_problem *problem;
    s24_ctx *ctx;
    const char *name; /* of the weights, in texts */
    const s24_mat *weights;
    const s24_mat *mask; /* that must cover them, or NULL */
} check;

/* support = weights != 0, by the values in their own type. */
static s24_status find_support(const check *c, double *row, uint8_t *support)
{
    const s24_mat *w = c->weights;
    s24_status status = s24i_check_values(c->ctx, w, c->name, false);

    for (int64_t i = 0; !status && i < w->rows; i++) {
        s24i_mat_load_f64(&c->ctx->kernels, w, i, 1, row);
        for (int64_t j = 0; j < w->cols; j++)
            support[i * w->cols + j] = row[j] != 0;
    }
    return status;
}

static s24_status check_cover(const check *c, const s24i_pattern *pattern, const uint8_t *support)
{
    int64_t rows = c->mask->rows, cols = c->mask->cols;
    const uint8_t *mask = c->mask->data;

    for (int64_t i = 0; i < rows * cols; i++)
        if (support[i] && !mask[i])
            return s24i_fail(S24_E_STATE,
                             "weights: row %lld, column %lld is not zero where the mask is",
                             (long long)(i / cols), (long long)(i % cols));
    return s24i_check_support(pattern, mask, rows, cols, "mask");
}

static s24_status check_stage(void *arg, s24i_arena *arena)
{
    const check *c = arg;
    size_t rows = (size_t)c->weights->rows, cols = (size_t)c->weights->cols;
    s24i_pattern pattern = c->problem->pattern;
    double *row = s24i_arena_take(arena, cols, sizeof *row);
    uint8_t *support = s24i_arena_take(arena, rows * cols, 1);
    uint8_t *mask = c->problem->mask.data ? s24i_arena_take(arena, rows * cols, 1) : NULL;
    s24_status status = S24_OK;

    if (s24i_counting(arena))
        return S24_OK;
    if (mask)
        status = s24i_problem_mask(c->problem, c->ctx, mask);
    pattern.mask = mask;
    if (!status)
        status = find_support(c, row, support);
    if (!status)
        status = s24i_check_support(&pattern, support, c->weights->rows, c->weights->cols, c->name);
    if (!status && c->mask)
        status = check_cover(c, &pattern, support);
    return status;
}

static s24_status run_check(const s24_problem *problem, const s24_mat *weights, const s24_mat *mask)
{
    check c = {problem, problem->object.ctx, mask ? "weights" : "candidate", weights, mask};

    s24i_enter(c.ctx);
    s24_status status = s24i_in_arena(c.ctx, check_stage, &c);
    s24i_leave(c.ctx);
    return status;
}

s24_status s24_problem_check(const s24_problem *problem, const s24_mat *candidate)
{
    s24_status status = s24i_check_handle(problem, S24I_PROBLEM, "problem");

    if (!status)
        status = check_candidate(problem, candidate);
    return s24i_done(__func__, status ? status : run_check(problem, candidate, NULL));
}

s24_status s24_problem_check_result(const s24_problem *problem, const s24_result *result)
{
    s24_status status = s24i_check_handle(problem, S24I_PROBLEM, "problem");

    if (!status)
        status = s24i_check_handle(result, S24I_RESULT, "result");
    if (!status)
        status = s24i_check_shape(&result->weights, "result", problem->w.rows, problem->w.cols);
    return s24i_done(__func__,
                     status ? status : run_check(problem, &result->weights, &result->mask));
}
