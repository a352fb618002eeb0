#include "solver.h"
#include <math.h>
#include <string.h>

/* Wanda (Sun et al. 2023): mask by |W_ij| ||X_j||_2; the weights that stay are not changed. */

struct values {
    char preset[S24I_WORD];
    char score[S24I_WORD];
};

/* norm_j = ||X_j|| relative to the largest: only the order matters. Dead inputs score 0 and go first. */
static void input_norms(const s24i_gram *gram, float *norm)
{
    double largest = 0;
    for (int64_t j = 0; j < gram->dim; j++)
        largest = fmax(largest, s24i_gram_diagonal(gram, S24I_BOTH, j));
    for (int64_t j = 0; j < gram->dim; j++) {
        double share = largest > 0 ? s24i_gram_diagonal(gram, S24I_BOTH, j) / largest : 0;
        norm[j] = share > 1e-12 ? (float)sqrt(share) : 0;
    }
}

static void drop_dead(const s24i_job *job, const float *norm)
{
    int64_t cols = job->layer.cols;
    for (int64_t i = 0; i < job->layer.rows * cols; i++)
        if (norm[i % cols] == 0)
            job->v[i] = 0;
}

static s24_status solve(s24i_job *job, const void *values)
{
    const struct values *o = values;
    const s24i_layer *layer = &job->layer;
    int64_t size = layer->rows * layer->cols;
    bool given = strcmp(o->score, "importance") == 0, counting = s24i_counting(job->arena);
    float *norm = NULL, *score = NULL;
    s24_status status = s24i_aim(job->ops, job->arena, job->watch, layer, job->w);
    if (given)
        score = s24i_arena_take(job->arena, (size_t)size, sizeof(float));
    else if (layer->gram)
        norm = s24i_arena_take(job->arena, (size_t)layer->cols, sizeof(float));
    if (given && !counting) {
        if (!job->importance)
            return s24i_fail(S24_E_STATE,
                             "solver wanda: score=importance needs s24_problem_set_importance()");
        if (!status)
            status = s24i_mat_read(job->ops, job->importance, "importance", score);
    }
    if (norm && !counting)
        input_norms(layer->gram, norm);
    double unit = counting ? 1 : s24i_unit_for(s24i_largest(job->w, size));
    s24i_multiply_by(job->w, unit, size); /* and back below: scores of any weights are in range */
    if (!status)
        status = s24i_project(job->ops, job->arena, &layer->pattern, given ? score : job->w, norm,
                              layer->rows, layer->cols, job->mask);
    if (!status && !counting)
        status = s24i_apply_mask(job->ops, job->w, job->mask, layer->rows, layer->cols, job->v);
    s24i_multiply_by(job->v, 1 / unit, size);
    if (!status && !counting && norm)
        drop_dead(job, norm);
    return status;
}

static const s24i_option options[] = {
    S24I_OPTION_STR(struct values, preset, "paper", "paper", "the published method"),
    S24I_OPTION_STR(struct values, score, "input|importance", "input",
                    "rank weights by |W| times the input's norm, or by the problem's importance"),
    {0},
};

static const s24i_preset presets[] = {{"paper", ""}, {0}};

const s24i_solver_class s24i_solver_wanda = {
    .name = "wanda",
    .title = "magnitude times input norm; weights that stay are unchanged",
    .constraints = "n:m, sparsity",
    .paper = "Sun, Liu, Bair, Kolter 2023, arXiv 2306.11695",
    .cost = "one pass over the weights",
    .honours = S24I_HAS_PATTERN | S24I_HAS_SPARSITY,
    .options = options,
    .presets = presets,
    .values_size = sizeof(struct values),
    .solve = solve,
};
