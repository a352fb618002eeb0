#include "columns.h"

/*
 * Whole inputs removed by their scores in the graph of weights (MLPRank, LLM-Rank, Hoffmann et al.
 * 2024): what the matrix before gives to each, times its norm. preset=paper is the published code;
 * preset=default scores the inputs as they really are, behind the gate, and fits the columns that
 * stay.
 */

struct values {
    s24i_word preset;
    s24i_word score;
    double gamma, theta;
    int64_t refit;
    int64_t chain;
    s24i_word damp_rule;
    double damp;
};

enum { AUTO, WPR, MPR, GATED, NORM, COLUMN };

/* Without the matrix before only the columns are there to tell. */
static int32_t score_of(const s24i_job *job, const struct values *o)
{
    return o->score.index == AUTO ? job->previous ? GATED : COLUMN : o->score.index;
}

static s24i_ranking ranking_of(int32_t score, const struct values *o)
{
    return (s24i_ranking){score == WPR    ? S24I_RANK_WPR
                          : score == NORM ? S24I_RANK_NORM
                                          : S24I_RANK_MPR,
                          o->gamma, o->theta};
}

/* The caller's numbers, or all alike. */
static s24_status bring_scores(s24i_job *job, const double *given, int64_t count, double *to)
{
    s24_status status = S24_OK;
    if (given)
        status = s24i_upload(job->run, given, (size_t)count * sizeof *to, to);
    else
        status = s24i_norms(job->run, NULL, NULL, count, to);
    return status;
}

/* By the matrix before: own are the norms of this matrix's inputs. */
static s24_status rank_by_previous(s24i_job *job, s24i_ranking how, bool gated, const double *own,
                                   double *score)
{
    const s24i_run *run = job->run;
    const s24i_previous *previous = job->previous;
    int64_t rows = previous->w.rows, cols = previous->w.cols;
    size_t mark = run->arena->used;
    float *w = s24i_arena_take(run->arena, s24i_mul((size_t)rows, (size_t)cols), sizeof *w);
    double *r = s24i_arena_take(run->arena, (size_t)cols, sizeof *r);
    double *a = s24i_arena_take(run->arena, (size_t)rows, sizeof *a);
    bool given = previous->norms && !gated;
    s24_status status = s24i_mat_read(run, &previous->w, "previous", w);
    if (!status)
        status = bring_scores(job, previous->scores, cols, r);
    if (!status && given)
        status = bring_scores(job, previous->norms, rows, a);
    if (!status)
        status = s24i_rank_nodes(run, &how, w, rows, cols, r, given ? a : own, score);
    run->arena->used = mark;
    return status;
}

/* Scores of the outputs, for the next matrix. */
static s24_status chain(s24i_job *job, s24i_ranking how, const double *score, double *out)
{
    const s24i_matrix *matrix = &job->matrix;
    int64_t rows = matrix->rows, cols = matrix->cols;
    size_t mark = job->run->arena->used;
    double *norm = s24i_arena_take(job->run->arena, (size_t)rows, sizeof *norm);
    s24_mat w = s24i_view(job->w, rows, cols);
    s24_status status = s24i_norms(job->run, matrix->gram, &w, cols, norm);
    if (!status)
        status = s24i_rank_nodes(job->run, &how, job->w, rows, cols, score, norm, out);
    job->run->arena->used = mark;
    return status;
}

static s24_status choose(s24i_job *job, const struct values *o)
{
    const s24i_matrix *matrix = &job->matrix;
    const s24i_run *run = job->run;
    int64_t rows = matrix->rows, cols = matrix->cols;
    int32_t by = score_of(job, o);
    const s24_mat *kept = s24i_job_part(job, "kept", 1, matrix->constraints.units.keep, S24_I32);
    const s24_mat *score = s24i_job_part(job, "scores", 1, cols, S24_F64);
    const s24_mat *out = o->chain ? s24i_job_part(job, "output_scores", 1, rows, S24_F64) : NULL;
    double *norm = s24i_arena_take(run->arena, (size_t)cols, sizeof *norm);
    s24_status status = s24i_norms(run, matrix->gram, NULL, cols, norm);
    if (!status && by == COLUMN)
        status = s24i_rank_columns(run, job->w, rows, cols, norm, score->data);
    else if (!status)
        status = rank_by_previous(job, ranking_of(by, o), by == GATED, norm, score->data);
    if (!status)
        status = s24i_keep_units(run, &matrix->constraints, score->data, rows, cols, job->mask,
                                 kept->data);
    return status || !out ? status : chain(job, ranking_of(by, o), score->data, out->data);
}

/* The weights as they are. */
static s24_status keep_weights(s24i_job *job)
{
    const s24i_matrix *matrix = &job->matrix;
    s24_status status = s24i_aim(job->run, matrix, job->w);
    return status
               ? status
               : s24i_apply_mask(job->run, job->w, job->mask, matrix->rows, matrix->cols, job->v);
}

static s24_status solve(s24i_job *job, const void *values)
{
    const struct values *o = values;
    bool columns = job->matrix.constraints.units.kind == S24I_UNIT_COLUMN;
    s24i_damping damping = {o->damp_rule.index, o->damp, columns ? 3 : 1};
    int32_t by = score_of(job, o);
    if (!job->previous && by != COLUMN)
        return s24i_fail(S24_E_STATE,
                         "solver mlprank: score=%s needs the matrix before this one, "
                         "s24_problem_set_previous(); score=column does without",
                         o->score.text);
    s24_status status = choose(job, o);
    if (!status)
        status = o->refit ? s24i_fit_columns(job, o->damp_rule.text, damping) : keep_weights(job);
    job->iterations = 1;
    return status;
}

static const s24i_option options[] = {
    S24I_OPTION_STR(struct values, preset, "default|paper", "default",
                    "paper: the published method, by norms of the matrix before alone"),
    S24I_OPTION_STR(struct values, score, "auto|wpr|mpr|gated|norm|column", "auto",
                    "what columns are ranked by; wpr: weighted PageRank; mpr: what the matrix "
                    "before gives each, times the norm of its output; gated: the same times the "
                    "norm of the input as this matrix sees it; norm: sums of |weights| before it; "
                    "column: norm of the column times that of the input; auto: gated where the "
                    "matrix before is known, else column"),
    S24I_OPTION_FLOAT(struct values, gamma, 0, 1, "0",
                      "wpr: share of the graph in a score; the rest is the norm of the output"),
    S24I_OPTION_FLOAT(struct values, theta, 0, 1, "0.5",
                      "wpr: share of a node's score that goes by the sizes of weights; the rest "
                      "goes evenly to all that are not 0"),
    S24I_OPTION_INT(struct values, refit, 0, 1, "1",
                    "fit the columns that stay; 0: leave them as they are"),
    S24I_OPTION_INT(struct values, chain, 0, 1, "0",
                    "also score the outputs, so that scores of the next matrix start from them"),
    S24I_OPTION_STR(struct values, damp_rule, "auto|relative|mean|transfer", "auto",
                    "how the damping of refit=1 is chosen; auto: on two halves of the rows; "
                    "relative: damp times each diagonal entry; mean: damp times their mean; "
                    "transfer: 0.1, relative, for use on other text"),
    S24I_OPTION_FLOAT(struct values, damp, 0, 100, "0.01",
                      "damping of damp_rule=relative and mean"),
    {0},
};

static const s24i_preset presets[] = {
    {"default", ""},
    {"paper", "score=wpr,gamma=0,theta=0.5,refit=0"},
    {0},
};

const s24i_solver_class s24i_solver_mlprank = {
    .name = "mlprank",
    .title =
        "whole inputs or heads removed by scores in the graph of weights, the rest fitted again",
    .constraints = "columns, heads, groups",
    .paper = "Hoffmann, Budhathoki, Kleindessner 2024, arXiv 2410.13299",
    .cost = "one product of the matrix before with a vector; with refit rows cols^2 flops",
    .honours = S24I_HAS_UNITS,
    .needs = S24I_HAS_UNITS,
    .options = options,
    .presets = presets,
    .values_size = sizeof(struct values),
    .solve = solve,
};
