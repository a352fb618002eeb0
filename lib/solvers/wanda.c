#include "solver.h"
#include <math.h>

/* Wanda (Sun et al. 2023): mask by |W_ij| ||X_j||_2; the weights that stay are not changed. GBLM
 * (Das, Ma, Shen 2023, arXiv 2311.04902) adds gradients: |W_ij| (||X_j||_2 + alpha G_ij). */

struct values {
    s24i_word preset;
    s24i_word score;
    double alpha, samples;
};

enum { BY_INPUT, BY_IMPORTANCE, BY_GRADIENT };

/* The caller's matrix; or of gradients, |w| times the inputs' norms and those. */
static s24_status read_scores(s24i_job *job, const struct values *o, float *score)
{
    const s24i_matrix *matrix = &job->matrix;
    bool of_gradients = o->score.index == BY_GRADIENT;
    if (of_gradients && !matrix->gram && !s24i_counting(job->run))
        return s24i_fail(S24_E_STATE, "solver wanda: score=gblm needs the inputs' gram");
    if (!job->importance)
        return s24i_fail(S24_E_STATE, "solver wanda: score=%s needs s24_problem_set_importance()%s",
                         of_gradients ? "gblm" : "importance",
                         of_gradients ? ", norms of the weights' gradients" : "");
    s24_status status = s24i_mat_read(job->run, job->importance, "importance", score);
    if (status || !of_gradients)
        return status;
    const double shares[] = {1 / sqrt(o->samples), o->alpha};
    return s24i_gradient_scores(job->run, matrix->gram, shares, job->w, score, matrix->rows, score);
}

/* What weights are ranked by: such scores, or |w| times the norm of their input. */
static s24_status rank(s24i_job *job, const struct values *o, const float *norm)
{
    const s24i_matrix *matrix = &job->matrix;
    const float *score = job->w;
    s24_status status = S24_OK;
    if (o->score.index != BY_INPUT) {
        float *given = s24i_arena_take(job->run->arena, (size_t)s24i_job_size(job), sizeof(float));
        status = read_scores(job, o, given);
        score = given;
    }
    return status ? status
                  : s24i_project(job->run, &matrix->constraints, score,
                                 o->score.index == BY_INPUT ? norm : NULL, matrix->rows,
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
    if (o->score.index != BY_IMPORTANCE && matrix->gram) {
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
    S24I_OPTION_STR(struct values, score, "input|importance|gblm", "input",
                    "what ranks the weights: |W| times the input's norm (input); the problem's "
                    "importance (importance); or |W| times the sum of both, the importance being "
                    "norms of gradients (gblm)"),
    S24I_OPTION_FLOAT(struct values, alpha, 0, 1e9, "100",
                      "score=gblm: what gradients are multiplied by in that sum"),
    S24I_OPTION_FLOAT(struct values, samples, 1, 1e9, "1",
                      "score=gblm: calibration rows of a model, so that the input's norm is of "
                      "their mean; compress sets it"),
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
