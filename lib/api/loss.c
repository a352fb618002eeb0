#include "api.h"
#include <math.h>
#include <stdio.h>

#define LEAST_SQUARE 1e-290 /* of a gram: products with it keep their digits */
#define DEAD 1e-12          /* of the largest, as in ops/prepare.c */

double s24i_relative(double loss, double norm)
{
    return loss == 0 && norm == 0 ? 0 : loss / norm;
}

/* ---- The sums that a problem refers to, while something reads them ---- */

static s24_status open_target(s24i_reading *reading)
{
    s24_cross *cross = reading->problem->cross;

    if (!cross)
        return s24i_fail(S24_E_STATE, "the problem has no target: s24_problem_set_target() first");
    if (reading->gram != cross->gram)
        return s24i_fail(
            S24_E_STATE, "the target hangs on %s: s24_problem_set_gram() with the target's",
            reading->gram ? "another gram than the problem's" : "a gram, and the problem has none");
    reading->cross = cross;
    return S24_OK;
}

static s24_status open_reading(s24i_reading *reading, const s24_problem *problem, bool target,
                               s24_status (*open)(s24_gram *gram))
{
    s24_status status = S24_OK;

    *reading = (s24i_reading){.problem = problem};
    if (problem->gram)
        status = open(problem->gram);
    if (!status)
        reading->gram = problem->gram;
    if (!status && target)
        status = open_target(reading);
    if (status)
        s24i_reading_close(reading);
    return status;
}

s24_status s24i_reading_open(s24i_reading *reading, const s24_problem *problem, bool target)
{
    return open_reading(reading, problem, target, s24i_gram_open);
}

s24_status s24i_reading_open_there(s24i_reading *reading, const s24_problem *problem, bool target)
{
    return open_reading(reading, problem, target, s24i_gram_open_there);
}

void s24i_reading_close(s24i_reading *reading)
{
    s24i_gram_close(reading->gram);
    reading->cross = NULL;
    reading->gram = NULL;
}

/* The largest of the diagonal, and where. */
static double largest_square(const s24i_gram *sums, int64_t *at)
{
    double largest = 0;

    *at = 0;
    for (int64_t j = 0; j < sums->dim; j++) {
        double h = s24i_gram_diagonal(sums, S24I_BOTH, j);
        if (h > largest) {
            largest = h;
            *at = j;
        }
    }
    return largest;
}

static s24_status check_range(const s24i_gram *sums)
{
    int64_t at;
    double largest = largest_square(sums, &at);

    if (largest == 0)
        return s24i_fail(S24_E_NUMERIC,
                         "the problem's gram is all zero: every input was 0 in all %g rows, so "
                         "that nothing is known about the layer",
                         s24i_rows_weight(&sums->rows));
    if (largest > LEAST_SQUARE && isfinite(largest))
        return S24_OK;
    return s24i_fail(S24_E_NUMERIC,
                     "the problem's gram: its largest diagonal entry, that of input %lld, is %g, "
                     "but must be between %g and 1.8e308: multiply the inputs by a power of two",
                     (long long)at, largest, LEAST_SQUARE);
}

/* Are all rows multiples of one: |h_kj|^2 = h_kk h_jj for the largest input k and every other
 * that is not dead? */
static bool one_direction(const s24i_gram *sums)
{
    int64_t k, alive = 0;
    double most = largest_square(sums, &k);

    for (int64_t j = 0; j < sums->dim; j++) {
        double h = s24i_gram_diagonal(sums, S24I_BOTH, j), shared = 0;
        for (int half = 0; half < 2; half++)
            shared += j < k ? s24i_gram_row(sums, half, k)[j] : s24i_gram_row(sums, half, j)[k];
        if (h <= DEAD * most)
            continue;
        if (fabs(shared) < (1 - 1e-5) * sqrt(most) * sqrt(h))
            return false;
        alive++;
    }
    return alive > 1;
}

void s24i_reading_warn(const s24i_reading *reading, char text[S24I_WARNING_TEXT])
{
    const s24i_gram *sums = reading->gram ? &reading->gram->sums : NULL;
    double rows = sums ? sums->rows.count[0] + sums->rows.count[1] : 0;

    *text = 0;
    if (!sums)
        return;
    if (one_direction(sums))
        snprintf(text, S24I_WARNING_TEXT,
                 "all %g calibration rows are multiples of one row: the weights fit this row only",
                 rows);
    else if (rows < (double)sums->dim)
        snprintf(text, S24I_WARNING_TEXT,
                 "%g calibration rows for %lld inputs: the weights may fit these rows only; give "
                 "at least as many rows as inputs",
                 rows, (long long)sums->dim);
}

s24_status s24i_reading_check(const s24i_reading *reading)
{
    if (reading->gram && s24i_rows_weight(&reading->gram->sums.rows) == 0)
        return s24i_fail(S24_E_STATE, "the problem's gram has no rows yet: s24_gram_add() first");
    s24_status status = reading->gram ? check_range(&reading->gram->sums) : S24_OK;
    if (status)
        return status;
    for (int half = 0; reading->cross && half < 2; half++) {
        double rows = reading->gram->sums.rows.x.weight[half];
        double target_rows = reading->cross->sums.t.weight[half];
        if (!s24i_same_count(rows, target_rows))
            return s24i_fail(
                S24_E_STATE,
                "half %d of the gram holds %g rows and that of the target %g: both must see "
                "the same rows",
                half + 1, rows, target_rows);
        if ((status = s24i_cross_compare(&reading->gram->sums, &reading->cross->sums, half)))
            return status;
    }
    return S24_OK;
}

/* ---- Losses ---- */

static uint64_t gram_version(const s24i_reading *reading)
{
    return reading->gram ? reading->gram->version : 0;
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

s24_status s24i_reading_loss(const s24i_reading *reading, const s24i_run *run, const s24_mat *v,
                             double *loss, double *norm)
{
    const s24i_gram *gram = reading->gram ? &reading->gram->sums : NULL;
    const s24_mat *w = &reading->problem->w;
    s24_status status = s24i_quadratic(run, gram, S24I_BOTH, w, v, loss);

    if (status || recall_norm(reading, norm))
        return status;
    status = s24i_quadratic(run, gram, S24I_BOTH, w, NULL, norm);
    if (!status && !s24i_counting(run))
        remember_norm(reading, *norm);
    return status;
}

s24_status s24i_reading_target_loss(const s24i_reading *reading, const s24i_run *run,
                                    const s24_mat *v, double *loss, double *norm)
{
    s24i_matrix matrix = {.gram = &reading->gram->sums,
                          .cross = &reading->cross->sums,
                          .blend = reading->problem->blend};
    return s24i_target_loss(run, &matrix, S24I_BOTH, &reading->problem->w, v, NULL, loss, norm);
}

typedef struct evaluation {
    s24i_reading reading;
    const s24_mat *candidate;
    bool target;
    double loss, norm;
} evaluation;

static s24_status evaluate_stage(void *arg, const s24i_run *run)
{
    evaluation *e = arg;

    return (e->target ? s24i_reading_target_loss
                      : s24i_reading_loss)(&e->reading, run, e->candidate, &e->loss, &e->norm);
}

s24_status s24i_check_candidate(const s24_problem *problem, const s24_mat *candidate)
{
    s24_status status = s24i_check_mat(candidate, "candidate", S24I_FLOATS_OF(problem->object.ctx));

    if (!status)
        status = s24i_check_shape(candidate, "candidate", problem->w.rows, problem->w.cols);
    return status;
}

/* Of what lies on the device, the loss tells. */
static s24_status check_operand(s24_ctx *ctx, const s24_mat *mat, const char *what)
{
    return mat->device == S24_CPU ? s24i_check_values(ctx, mat, what, false) : S24_OK;
}

static s24_status evaluate(const s24_problem *problem, const s24_mat *candidate, bool target,
                           double *loss, double *relative)
{
    s24_ctx *ctx = problem->object.ctx;
    evaluation e = {.candidate = candidate, .target = target};
    s24_status status = s24i_check_candidate(problem, candidate);

    if (!status)
        status = s24i_reading_open_there(&e.reading, problem, target);
    if (status)
        return status;
    status = s24i_enter(ctx);
    if (!status)
        status = s24i_reading_check(&e.reading);
    if (!status)
        status = check_operand(ctx, &problem->w, "w");
    if (!status)
        status = check_operand(ctx, candidate, "candidate");
    if (!status)
        status = s24i_on_device(ctx, evaluate_stage, &e);
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
