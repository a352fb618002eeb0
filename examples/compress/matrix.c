#include "matrix.h"
#include "codes.h"
#include "layer.h"
#include "message.h"
#include "progress.h"
#include "record.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Does the damping that travels to other text than the calibration's take the place of the solver's own? */
static bool may_transfer(const s24_solver *solver)
{
    const char *preset, *rule;
    int32_t by_rule, by_value;
    return s24_solver_get_str(solver, "damp_rule", &rule) == S24_OK &&
           s24_solver_is_set(solver, "damp_rule", &by_rule) == S24_OK && !by_rule &&
           s24_solver_is_set(solver, "damp", &by_value) == S24_OK && !by_value &&
           (s24_solver_get_str(solver, "preset", &preset) != S24_OK || strcmp(preset, "paper"));
}

bool matrix_has_parts(const matrix *m)
{
    return strstr(m->constraints, "int") || strstr(m->constraints, "rank");
}

static bool create_solver(s24_solver **solver, const settings *s, const s24_problem *problem)
{
    const char *name = s->solver ? s->solver : default_solver(s->ctx, problem);
    if (s24_solver_create(s->ctx, name, solver) != S24_OK)
        return fail_library("--solver %s", name);
    if (s24_solver_parse(*solver, s->options) != S24_OK)
        return fail_library("--options %s", s->options);
    return !may_transfer(*solver) ||
           s24_solver_set_str(*solver, "damp_rule", "transfer") == S24_OK ||
           fail_library("%s", name);
}

static bool create_problem(s24_problem **problem, const matrix *m, const settings *s,
                           const sums *given)
{
    return (s24_problem_create(s->ctx, &m->w, problem) == S24_OK &&
            s24_problem_parse(*problem, m->constraints) == S24_OK &&
            s24_problem_set_gram(*problem, given->gram) == S24_OK &&
            (!given->cross ||
             s24_problem_set_target(*problem, given->cross, s->correct) == S24_OK)) ||
           fail_library("%s", m->tensor);
}

static bool run(matrix *m, s24_solver *solver, const s24_problem *problem)
{
    progress_watch(solver, m->kind);
    s24_status status = s24_solve(solver, problem, &m->result);
    progress_watch(NULL, NULL);
    if (progress_interrupted())
        return false;
    return status == S24_OK || fail_library("%s", m->tensor);
}

s24_mat matrix_values(const matrix *m)
{
    s24_mat v = {0};
    s24_mat_rowmajor(&v, m->v, m->w.rows, m->w.cols, S24_F32);
    return v;
}

const char *matrix_type(int32_t store)
{
    return store == S24_F64 ? "F64" : store == S24_F32 ? "F32" : store == S24_F16 ? "F16" : "BF16";
}

bool matrix_narrow(const matrix *m, s24_ctx *ctx, s24_mat *narrow)
{
    int64_t size = m->w.rows * m->w.cols;
    s24_mat v = matrix_values(m);
    int width = (m->store & 0xff) / 8; /* the low byte of a type is its width in bits */
    s24_mat_rowmajor(narrow, must(malloc((size_t)(size * width))), m->w.rows, m->w.cols, m->store);
    return s24_mat_copy(ctx, &v, narrow) == S24_OK || fail_library("%s", m->tensor);
}

/* v through the stored type. */
static bool round_values(matrix *m, const settings *s)
{
    s24_mat narrow = {0}, v = matrix_values(m);
    bool done = matrix_narrow(m, s->ctx, &narrow) &&
                (s24_mat_copy(s->ctx, &narrow, &v) == S24_OK || fail_library("%s", m->tensor));
    free(narrow.data);
    for (int64_t i = 0; done && i < m->w.rows * m->w.cols; i++)
        if (!isfinite(m->v[i]))
            done = fail("%s: a weight does not fit %s: choose --store bf16 or f32", m->tensor,
                        matrix_type(m->store));
    return done;
}

/* What the result's weights are once they are stored. */
static bool take_weights(matrix *m, const settings *s)
{
    s24_mat weights, v;
    codes c;
    m->v = must(malloc((size_t)(m->w.rows * m->w.cols) * sizeof(float)));
    v = matrix_values(m);
    return ((s24_result_matrix(m->result, "weights", &weights) == S24_OK &&
             s24_mat_copy(s->ctx, &weights, &v) == S24_OK) ||
            fail_library("%s", m->tensor)) &&
           round_values(m, s) &&
           (!codes_of_result(m->result, &c) || codes_decode(&c, s->ctx, m->constraints, m->v));
}

static bool put_loss(matrix *m, const char *prefix, const char *key, const s24_problem *problem,
                     s24_status (*measure)(const s24_problem *, const s24_mat *, double *,
                                           double *))
{
    char name[64];
    s24_mat v = matrix_values(m);
    double relative;
    if (measure(problem, &v, NULL, &relative) != S24_OK)
        return fail_library("%s", m->tensor);
    snprintf(name, sizeof name, "%s%s", prefix, key);
    m->record = record_put_number(m->record, name, relative);
    return true;
}

/* Of what is stored: against what w does on the same inputs, what was aimed at, and what the dense
 * model does. */
static bool put_losses(matrix *m, const char *prefix, s24_problem *problem, const sums *given)
{
    bool done = put_loss(m, prefix, "relative_loss", problem, s24_problem_loss);
    return done &&
           (!given->cross ||
            (put_loss(m, prefix, "target_relative_loss", problem, s24_problem_target_loss) &&
             s24_problem_set_target(problem, given->cross, 1) == S24_OK &&
             put_loss(m, prefix, "dense_relative_loss", problem, s24_problem_target_loss)));
}

static bool put_heldout(matrix *m, const settings *s, const sums *heldout)
{
    s24_problem *problem = NULL;
    bool done = create_problem(&problem, m, s, heldout) && put_losses(m, "test_", problem, heldout);
    s24_problem_destroy(problem);
    return done;
}

/* Inputs that cannot tell all of the weights from each other; the library counts rows, not how many
 * of them are equal. */
static void put_warning(matrix *m, const settings *s)
{
    char counted[160];
    const char *text = NULL;
    snprintf(counted, sizeof counted,
             s->rows == 1 ? "calibrated with one token only, repeated"
                          : "calibrated with %lld different rows for %lld inputs: take more text",
             (long long)s->rows, (long long)m->w.cols);
    if (s->rows < m->w.cols)
        text = counted;
    else if (s24_result_str(m->result, "warning", &text) != S24_OK)
        return;
    progress_clear();
    warn("%s: %s", m->tensor, text);
    m->record = record_put_text(m->record, "warning", text);
}

/* The solver's record, with the numbers of what is stored where they differ. */
static void describe(matrix *m, const settings *s)
{
    static const char *const gone[] = {"loss", "zeros", "nnz"}; /* of what was not stored */
    const char *text = "{}";
    double zeros = 0, size = (double)(m->w.rows * m->w.cols);
    for (int64_t i = 0; i < m->w.rows * m->w.cols; i++)
        zeros += m->v[i] == 0;
    s24_result_str(m->result, "record", &text);
    m->record = must(strdup(text));
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        m->record = record_drop(m->record, gone[i]);
    m->record = record_put_text(m->record, "tensor", m->tensor);
    m->record = record_put_text(m->record, "matrix", m->kind);
    m->record = record_put_number(m->record, "layer", m->layer);
    m->record = record_put_number(m->record, "size", size);
    m->record = record_put_number(m->record, "zeros", zeros);
    m->record = record_put_text(m->record, "stored", matrix_type(m->store));
    put_warning(m, s);
}

bool matrix_solve(matrix *m, const settings *s, const sums *calib, const sums *heldout)
{
    s24_problem *problem = NULL;
    s24_solver *solver = NULL;
    bool done = create_problem(&problem, m, s, calib) && create_solver(&solver, s, problem) &&
                run(m, solver, problem) && take_weights(m, s);
    if (done) {
        describe(m, s);
        done = put_losses(m, "", problem, calib) && (!heldout->gram || put_heldout(m, s, heldout));
    }
    s24_solver_destroy(solver);
    s24_problem_destroy(problem);
    return done;
}

void matrix_let_go(matrix *m)
{
    if (!m->result || matrix_has_parts(m))
        return;
    s24_result_destroy(m->result);
    m->result = NULL;
}

void matrix_close(matrix *m)
{
    s24_result_destroy(m->result);
    free(m->v);
    free(m->record);
    m->result = NULL;
    m->v = NULL;
    m->record = NULL;
}
