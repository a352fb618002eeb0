#include "matrix.h"
#include "codes.h"
#include "effort.h"
#include "fail.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Does the damping that travels to other text than the calibration's take the place of the solver's
 * own? */
static bool may_transfer(const s24_solver *solver)
{
    const char *preset, *how;
    int32_t by_rule, by_value;
    return s24_solver_get_str(solver, "damp_rule", &how) == S24_OK &&
           s24_solver_is_set(solver, "damp_rule", &by_rule) == S24_OK && !by_rule &&
           s24_solver_is_set(solver, "damp", &by_value) == S24_OK && !by_value &&
           (s24_solver_get_str(solver, "preset", &preset) != S24_OK || strcmp(preset, "paper"));
}

bool s24m_matrix_has_parts(const matrix *m)
{
    return s24m_plan_has_parts(m->constraints);
}

bool s24m_matrix_prepare(const settings *s, const char *constraints, s24_solver *solver)
{
    const char *scales = "f16";
    double outliers = 0;
    int32_t set = 0;
    if (!s24m_effort_give(s->preset, solver))
        return false;
    if (!s24m_form_has_codes(s->form, constraints) ||
        s24_solver_is_set(solver, "scales", &set) != S24_OK)
        return true;
    if (set && s24_solver_get_str(solver, "scales", &scales) == S24_OK && strcmp(scales, "f16"))
        return s24m_wrong(S24_E_UNSUPPORTED, "--options scales=%s: %s holds scales of type f16",
                          scales, s->form->option);
    if (s24_solver_get_float(solver, "outliers", &outliers) == S24_OK && outliers > 0)
        return s24m_wrong(S24_E_UNSUPPORTED, "--options outliers=%g: %s has no place for outliers",
                          outliers, s->form->option);
    return s24m_good(s24_solver_set_str(solver, "scales", "f16"), "%s", s->form->option);
}

/* Rows of a model, not of this matrix: only we know them. */
static bool tell_samples(s24_solver *solver, const settings *s)
{
    int32_t set = 1;
    return s24_solver_is_set(solver, "samples", &set) != S24_OK || set ||
           s24m_good(s24_solver_set_float(solver, "samples", s->samples), "samples");
}

bool s24m_matrix_solver(s24_solver **solver, const settings *s, const s24_problem *problem)
{
    const char *name = s->solver ? s->solver : s24_problem_solver(problem);
    if (!s24m_good(s24_solver_create(s->ctx, name, solver), "--solver %s", name) ||
        !s24m_good(s24_solver_parse(*solver, s->options), "--options %s",
                   s->options ? s->options : "") ||
        !s24m_matrix_prepare(s, s24_problem_constraints(problem), *solver) ||
        !tell_samples(*solver, s))
        return false;
    return !may_transfer(*solver) ||
           s24m_good(s24_solver_set_str(*solver, "damp_rule", "transfer"), "%s", name);
}

bool s24m_matrix_problem(s24_problem **problem, const matrix *m, const settings *s,
                         const sums *given)
{
    s24_status status = s24_problem_create(s->ctx, &m->w, problem);
    status = status ? status : s24_problem_parse(*problem, m->constraints);
    status = status ? status : s24_problem_set_gram(*problem, given->gram);
    if (!status && given->cross)
        status = s24_problem_set_target(*problem, given->cross, s->correct);
    s24_mat scores = m->w;
    scores.data = m->scores;
    if (!status && m->scores)
        status = s24_problem_set_importance(*problem, &scores);
    if (!status && m->previous.data)
        status = s24_problem_set_previous(*problem, &m->previous, m->input_scores, m->output_norms);
    return s24m_good(status, "%s", m->tensor);
}

static bool run(matrix *m, const settings *s, s24_solver *solver, const s24_problem *problem)
{
    char title[64];
    snprintf(title, sizeof title, "block %d of %d: %s", m->layer + 1, s->blocks, m->kind);
    s24m_watch_solver(s->watch, solver, title);
    s24_status status = s24_solve(solver, problem, &m->result);
    s24m_watch_solver(s->watch, NULL, NULL);
    return s24m_watch_go_on(s->watch) && s24m_good(status, "%s", m->tensor);
}

s24_mat s24m_matrix_values(const matrix *m)
{
    s24_mat v = {0};
    if (m->v) /* else its error would hide that there was no memory */
        s24_mat_rowmajor(&v, m->v, m->w.rows, m->w.cols, S24_F32);
    return v;
}

const char *s24m_matrix_type(int32_t store)
{
    return store == S24_F64 ? "F64" : store == S24_F32 ? "F32" : store == S24_F16 ? "F16" : "BF16";
}

static void lift(const matrix *m, float by)
{
    for (int64_t i = 0; by != 0 && i < m->w.rows * m->w.cols; i++)
        m->v[i] += by;
}

bool s24m_matrix_narrow(const matrix *m, s24_ctx *ctx, s24_mat *narrow)
{
    int64_t size = m->w.rows * m->w.cols;
    s24_mat v = s24m_matrix_values(m);
    int width = (m->store & 0xff) / 8; /* the low byte of a type is its width in bits */
    void *data = s24m_have(malloc((size_t)(size * width)));
    float *lower = m->less != 0 ? s24m_have(malloc((size_t)size * sizeof *lower)) : NULL;
    bool done = data && (lower || m->less == 0);
    for (int64_t i = 0; done && lower && i < size; i++)
        lower[i] = m->v[i] - m->less;
    if (lower)
        v.data = lower;
    if (data)
        s24_mat_rowmajor(narrow, data, m->w.rows, m->w.cols, m->store);
    done = done && s24m_good(s24_mat_copy(ctx, &v, narrow), "%s", m->tensor);
    free(lower);
    return done;
}

bool s24m_matrix_store(matrix *m, s24_ctx *ctx, bool *fits)
{
    s24_mat narrow = {0}, v = s24m_matrix_values(m);
    bool done = s24m_matrix_narrow(m, ctx, &narrow) &&
                s24m_good(s24_mat_copy(ctx, &narrow, &v), "%s", m->tensor);
    free(narrow.data);
    if (done)
        lift(m, m->less);
    *fits = true;
    for (int64_t i = 0; done && i < m->w.rows * m->w.cols; i++)
        *fits = *fits && isfinite(m->v[i]);
    return done;
}

static bool round_values(matrix *m, const settings *s)
{
    bool fits, done = s24m_matrix_store(m, s->ctx, &fits);
    return done && (fits || s24m_wrong(S24_E_NUMERIC,
                                       "%s: a weight does not fit %s: choose --store bf16 or f32",
                                       m->tensor, s24m_matrix_type(m->store)));
}

/* What the result's weights are once they are stored. */
static bool take_weights(matrix *m, const settings *s)
{
    s24_mat weights, v;
    codes c;
    m->v = s24m_have(malloc((size_t)(m->w.rows * m->w.cols) * sizeof(float)));
    v = s24m_matrix_values(m);
    return m->v && s24m_good(s24_result_matrix(m->result, "weights", &weights), "%s", m->tensor) &&
           s24m_good(s24_mat_copy(s->ctx, &weights, &v), "%s", m->tensor) && round_values(m, s) &&
           (!s24m_codes_of_result(m->result, &c) ||
            s24m_codes_decode(&c, s->ctx, m->constraints, m->v));
}

typedef s24_status (*loss_fn)(const s24_problem *problem, const s24_mat *candidate, double *loss,
                              double *relative);

static s24_status loss_of_zeros(const matrix *m, const s24_problem *problem, loss_fn ask,
                                double *loss)
{
    float *none = s24m_have(calloc((size_t)(m->w.rows * m->w.cols), sizeof *none));
    s24_mat zeros = {0};
    s24_mat_rowmajor(&zeros, none, m->w.rows, m->w.cols, S24_F32);
    s24_status status = none ? ask(problem, &zeros, loss, NULL) : S24_E_MEMORY;
    free(none);
    return status;
}

/* One of the record's losses, and what it is relative to where that is wanted. */
static s24_status take_loss(const matrix *m, const s24_problem *problem, loss_fn ask,
                            double *relative)
{
    s24_mat v = s24m_matrix_values(m);
    double loss = 0;
    s24_status status = ask(problem, &v, &loss, relative);
    if (status || !m->norms)
        return status;
    double *norm = m->norms + (relative - (m->record.number + RECORD_LOSS));
    *norm = loss / *relative;
    return *relative > 0 ? status : loss_of_zeros(m, problem, ask, norm);
}

/* Of what is stored: against what w does on the same inputs, what was aimed at, and what the dense
 * model does. */
static bool take_losses(const matrix *m, s24_problem *problem, const sums *given, double *losses)
{
    s24_status status = take_loss(m, problem, s24_problem_loss, losses);
    if (!status && given->cross)
        status = take_loss(m, problem, s24_problem_target_loss, losses + 1);
    if (!status && given->cross)
        status = s24_problem_set_target(problem, given->cross, 1);
    if (!status && given->cross)
        status = take_loss(m, problem, s24_problem_target_loss, losses + 2);
    return s24m_good(status, "%s", m->tensor);
}

static bool take_heldout(matrix *m, const settings *s, const sums *heldout)
{
    s24_problem *problem = NULL;
    bool done = s24m_matrix_problem(&problem, m, s, heldout) &&
                take_losses(m, problem, heldout, m->record.number + RECORD_TEST_LOSS);
    s24_problem_destroy(problem);
    return done;
}

bool s24m_matrix_few_rows(int64_t tokens, int64_t different, int64_t cols, char *text, size_t size)
{
    int64_t rows = tokens >= 0 && tokens < different ? tokens : different;
    snprintf(text, size,
             tokens == 0      ? "no token came to this expert: solved from the sums of all experts'"
             : different == 1 ? "calibrated with one token only, repeated"
             : rows < different
                 ? "its expert saw %lld tokens for %lld inputs: take more text"
                 : "calibrated with %lld different rows for %lld inputs: take more text",
             (long long)rows, (long long)cols);
    return rows < cols;
}

static bool take_warning(matrix *m, const settings *s)
{
    char counted[160];
    const char *text = counted;
    if (!s24m_matrix_few_rows(m->tokens, s->rows, m->w.cols, counted, sizeof counted) &&
        s24_result_str(m->result, "warning", &text) != S24_OK)
        return true;
    s24m_watch_log(s->watch, 1, "%s: %s", m->tensor, text);
    return s24m_record_set(&m->record, RECORD_WARNING, text);
}

/* The numbers of what is stored. */
static bool describe(matrix *m, const settings *s)
{
    double *number = m->record.number;
    s24m_record_open(&m->record);
    number[RECORD_LAYER] = m->layer;
    number[RECORD_SIZE] = (double)(m->w.rows * m->w.cols);
    number[RECORD_ZEROS] = 0;
    if (m->tokens >= 0)
        number[RECORD_TOKENS] = (double)m->tokens;
    for (int64_t i = 0; i < m->w.rows * m->w.cols; i++)
        number[RECORD_ZEROS] += m->v[i] == 0;
    return s24m_record_set(&m->record, RECORD_TENSOR, m->tensor) &&
           s24m_record_set(&m->record, RECORD_MATRIX, m->kind) &&
           s24m_record_set(&m->record, RECORD_STORED,
                           m->stored ? m->stored : s24m_matrix_type(m->store)) &&
           (!m->source || s24m_record_set(&m->record, RECORD_SOURCE, m->source)) &&
           take_warning(m, s);
}

bool s24m_matrix_solve(matrix *m, const settings *s, const sums *calib, const sums *heldout)
{
    s24_problem *problem = NULL;
    s24_solver *solver = NULL;
    const char *told = "{}";
    bool done = s24m_matrix_problem(&problem, m, s, calib) &&
                s24m_matrix_solver(&solver, s, problem) && run(m, s, solver, problem) &&
                take_weights(m, s) && describe(m, s) &&
                take_losses(m, problem, calib, m->record.number + RECORD_LOSS) &&
                (!heldout->gram || take_heldout(m, s, heldout));
    if (done)
        s24_result_str(m->result, "record", &told);
    done = done && s24m_record_seal(&m->record, told);
    s24_solver_destroy(solver);
    s24_problem_destroy(problem);
    return done;
}

void s24m_matrix_let_go(matrix *m)
{
    if (!m->result || s24m_plan_keeps_result(m->constraints))
        return;
    s24_result_destroy(m->result);
    m->result = NULL;
}

void s24m_matrix_close(matrix *m)
{
    s24_result_destroy(m->result);
    s24m_gathered_free(m->parts);
    s24m_made_close(&m->made);
    free(m->v);
    free(m->scores);
    free(m->order);
    free(m->input_scores);
    free(m->output_norms);
    s24m_record_close(&m->record);
    m->result = NULL;
    m->parts = NULL;
    m->v = NULL;
    m->scores = NULL;
    m->order = NULL;
    m->input_scores = m->output_norms = NULL;
}
