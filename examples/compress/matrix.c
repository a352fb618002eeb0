#include "matrix.h"
#include "message.h"
#include "progress.h"
#include "record.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Damping that travels to other text than the calibration's: docs/model.md. */
#define DAMP_PATTERN "damp_rule=relative,damp=0.1"
#define DAMP_GRID_OR_RANK "damp_rule=relative,damp=0.2"

static bool is_set(const char *options, const char *what)
{
    return options && strstr(options, what);
}

static bool create_solver(s24_solver **solver, const matrix *m, const settings *s)
{
    bool grid_or_rank = strstr(m->constraints, "int") || strstr(m->constraints, "rank");
    const char *set;
    if (s24_solver_create(s->ctx, s->solver, solver) != S24_OK)
        return fail_library("--solver %s", s->solver);
    bool own = !is_set(s->options, "damp") && !is_set(s->options, "paper") &&
               s24_solver_get_str(*solver, "damp_rule", &set) == S24_OK;
    if (own && s24_solver_parse(*solver, grid_or_rank ? DAMP_GRID_OR_RANK : DAMP_PATTERN) != S24_OK)
        return fail_library("%s", s->solver);
    return s24_solver_parse(*solver, s->options) == S24_OK ||
           fail_library("--options %s", s->options);
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

s24_mat matrix_stored(const matrix *m)
{
    s24_mat v = {0};
    s24_mat_rowmajor(&v, m->v, m->w.rows, m->w.cols, S24_F32);
    return v;
}

const char *matrix_type(const settings *s)
{
    return s->store == S24_F32 ? "F32" : s->store == S24_F16 ? "F16" : "BF16";
}

/* The result's weights through the stored type. */
static bool round_weights(matrix *m, const settings *s)
{
    int64_t size = m->w.rows * m->w.cols;
    s24_mat weights, narrow, v;
    void *stored = must(malloc((size_t)size * (s->store == S24_F32 ? 4 : 2)));
    m->v = must(malloc((size_t)size * sizeof(float)));
    v = matrix_stored(m);
    bool done = s24_result_matrix(m->result, "weights", &weights) == S24_OK &&
                s24_mat_rowmajor(&narrow, stored, m->w.rows, m->w.cols, s->store) == S24_OK &&
                s24_mat_copy(s->ctx, &weights, &narrow) == S24_OK &&
                s24_mat_copy(s->ctx, &narrow, &v) == S24_OK;
    for (int64_t i = 0; done && i < size; i++)
        if (!isfinite(m->v[i]))
            done = fail("%s: a weight does not fit %s: choose --store bf16 or f32", m->tensor,
                        matrix_type(s));
    free(stored);
    return done;
}

static bool put_loss(matrix *m, const char *prefix, const char *key, const s24_problem *problem,
                     s24_status (*measure)(const s24_problem *, const s24_mat *, double *,
                                           double *))
{
    char name[64];
    s24_mat v = matrix_stored(m);
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
    m->record = record_put_text(m->record, "stored", matrix_type(s));
}

bool matrix_solve(matrix *m, const settings *s, const sums *calib, const sums *heldout)
{
    s24_problem *problem = NULL;
    s24_solver *solver = NULL;
    bool done = create_problem(&problem, m, s, calib) && create_solver(&solver, m, s) &&
                run(m, solver, problem) && round_weights(m, s);
    if (done) {
        describe(m, s);
        done = put_losses(m, "", problem, calib) && (!heldout->gram || put_heldout(m, s, heldout));
    }
    s24_solver_destroy(solver);
    s24_problem_destroy(problem);
    return done;
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
