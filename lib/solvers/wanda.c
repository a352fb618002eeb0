#include "solver.h"

/* Wanda (Sun et al. 2023): mask by |W_ij| ||X_j||_2; the weights that stay are not changed. */

struct values {
    s24i_word preset;
    s24i_word score;
};

enum { BY_INPUT, BY_IMPORTANCE };

/* What weights are ranked by: the importance alone, or |w| times the norm of their input. */
static s24_status rank(s24i_job *job, const struct values *o, const float *norm)
{
    const s24i_matrix *matrix = &job->matrix;
    const float *score = job->w;
    s24_status status = S24_OK;
    if (o->score.index == BY_IMPORTANCE) {
        float *given = s24i_arena_take(job->run->arena, (size_t)s24i_job_size(job), sizeof(float));
        if (!job->importance)
            return s24i_fail(S24_E_STATE,
                             "solver wanda: score=importance needs s24_problem_set_importance()");
        status = s24i_mat_read(job->run, job->importance, "importance", given);
        score = given;
    }
    return status ? status
                  : s24i_project(job->run, &matrix->constraints, score, norm, matrix->rows,
                                 matrix->cols, job->mask);
}

static s24_status solve(s24i_job *job, const void *values)
{
    const struct values *o = values;
    const s24i_matrix *matrix = &job->matrix;
    int64_t size = s24i_job_size(job);
    float *norm = NULL;
    double unit;
    s24_status status = s24i_aim(job->run, matrix, job->w);
    if (o->score.index == BY_INPUT && matrix->gram) {
        norm = s24i_arena_take(job->run->arena, (size_t)matrix->cols, sizeof(float));
        if (!status)
            status = s24i_input_norms(job->run, matrix->gram, norm);
    }
    if (!status)
        status = s24i_bring_near(job->run, false, size, job->w,
                                 &unit); /* and back: scores are in range */
    if (!status)
        status = rank(job, o, norm);
    if (!status)
        status = s24i_apply_mask(job->run, job->w, job->mask, matrix->rows, matrix->cols, job->v);
    if (!status)
        status = s24i_scale_by(job->run, 1 / unit, size, job->v);
    if (!status && norm)
        status = s24i_drop_columns(job->run, norm, matrix->rows, matrix->cols, job->v);
    return status;
}

static const s24i_option options[] = {
    S24I_OPTION_STR(struct values, preset, "paper", "paper", "paper: the published method"),
    S24I_OPTION_STR(struct values, score, "input|importance", "input",
                    "what ranks the weights: |W| times the input's norm (input), or the problem's "
                    "importance (importance)"),
    {0},
};

static const s24i_preset presets[] = {{"paper", ""}, {0}};

const s24i_solver_class s24i_solver_wanda = {
    .name = "wanda",
    .title = "magnitude times input norm; weights that stay are unchanged",
    .constraints = "n:m, n:mt, n:m dense, sparsity",
    .paper = "Sun, Liu, Bair, Kolter 2023, arXiv 2306.11695",
    .cost = "one pass over the weights",
    .honours = S24I_HAS_PATTERN | S24I_HAS_DENSE | S24I_HAS_BOTH | S24I_HAS_SPARSITY,
    .still = true,
    .options = options,
    .presets = presets,
    .values_size = sizeof(struct values),
    .solve = solve,
};
