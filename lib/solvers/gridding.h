/* What solvers that put values on a grid have in common: options, the fitted grid, codes and what becomes of them. Knows no method. */
#ifndef S24I_GRIDDING_H
#define S24I_GRIDDING_H
#include "solver.h"
#include <string.h>

/* Rows for the fields `char grid[S24I_WORD]; char scales[S24I_WORD];` of struct values. */
#define S24I_GRID_OPTIONS(type)                                                                \
    S24I_OPTION_STR(type, grid, "search|mse|minmax", "search",                                 \
                    "fit of scales: range shrunk to the least weighted squares, to the least " \
                    "|error|^2.4, or not"),                                                    \
        S24I_OPTION_STR(type, scales, "f32|f16|bf16", "f32", "type that scales are rounded to")

/* Rows for the fields `char damp_rule[S24I_WORD]; double damp;`: without a support the two-halves rule has nothing to try. */
#define S24I_GRID_DAMPING_OPTIONS(type)                                                          \
    S24I_OPTION_STR(type, damp_rule, "auto|relative|mean", "auto",                               \
                    "auto: chosen on two halves of the rows where a support is asked for, else " \
                    "relative; damping relative to each diagonal entry, or to their mean"),      \
        S24I_OPTION_FLOAT(type, damp, 0, 100, "0.1", "damping, unless chosen")

static inline const char *s24i_grid_damp_rule(const s24i_job *job, const char *rule)
{
    return strcmp(rule, "auto") == 0 && !s24i_has_support(&job->layer.pattern) ? "relative" : rule;
}

/* The grid of a job and its parts of the result. */
typedef struct s24i_gridding {
    s24i_grid grid;
    s24i_outliers outliers;
    uint8_t *codes;
    void *scales, *zeros;
} s24i_gridding;

static inline int32_t s24i_fit_method(const char *word)
{
    return strcmp(word, "minmax") == 0 ? S24I_FIT_MINMAX
           : strcmp(word, "mse") == 0  ? S24I_FIT_MSE
                                       : S24I_FIT_SEARCH;
}

/* Take all of it; before anything else is taken from the arena. */
static inline void s24i_gridding_take(s24i_job *job, const char *scales, s24i_gridding *out)
{
    const s24i_layer *layer = &job->layer;
    const s24i_grid_form *form = &layer->pattern.grid;
    int64_t groups = s24i_grid_groups(form, layer->cols);
    int32_t type = strcmp(scales, "f16") == 0    ? S24_F16
                   : strcmp(scales, "bf16") == 0 ? S24_BF16
                                                 : S24_F32;
    size_t size = s24i_mul((size_t)layer->rows, (size_t)groups);
    *out = (s24i_gridding){.grid = {.form = *form, .cols = layer->cols, .type = type}};
    out->grid.scale = s24i_arena_take(job->arena, size, sizeof(float));
    out->grid.zero = s24i_arena_take(job->arena, size, sizeof(float));
    out->codes = s24i_job_part(job, "codes", layer->rows, layer->cols, S24_U8);
    out->scales = s24i_job_part(job, "scales", layer->rows, groups, type);
    out->zeros = s24i_job_part(job, "zeros", layer->rows, groups,
                               form->scheme == S24I_GRID_REAL ? type : S24_U8);
}

/* Then, for solvers that keep outliers, this. */
static inline void s24i_gridding_take_outliers(s24i_job *job, s24i_gridding *g)
{
    const s24i_layer *layer = &job->layer;
    g->grid.value = s24i_arena_take(job->arena, s24i_mul((size_t)layer->rows, (size_t)layer->cols),
                                    sizeof(float));
    g->grid.free = s24i_job_part(job, "outliers", layer->rows, layer->cols, S24_U8);
}

static inline void s24i_gridding_store(const s24i_job *job, const s24i_part *part,
                                       const float *values)
{
    const s24_mat *mat = &part->mat;
    if (mat->dtype != S24_U8)
        s24i_mat_store(job->ops->kernels, values, mat, 0, mat->rows);
    for (int64_t i = 0; mat->dtype == S24_U8 && i < mat->rows * mat->cols; i++)
        ((uint8_t *)mat->data)[i] = (uint8_t)values[i];
}

/* Codes, scales and zeros of the result, and in `v` what they decode to; job->mask is final. */
static inline s24_status s24i_gridding_finish(s24i_job *job, const s24i_gridding *g, float *v)
{
    if (s24i_counting(job->arena))
        return S24_OK;
    s24i_gridding_store(job, &job->parts[1], g->grid.scale);
    s24i_gridding_store(job, &job->parts[2], g->grid.zero);
    return s24i_grid_decode(job->ops, &g->grid, job->mask, job->layer.rows, g->codes, v);
}

/* key = H_jj + Delta_j times the share of each input that others do not explain (variance NULL: all of it); 0 for dead ones. */
static inline void s24i_gridding_key(const s24i_prepared *p, const float *variance, float *key)
{
    for (int64_t j = 0; j < p->dim; j++) {
        float scale = (float)(p->scale[j] * p->plain);
        key[j] = p->dead[j] ? 0 : scale * scale * (variance ? variance[j] : 1);
    }
}

/* Codes for `w` by the column sweep, `by_key`: inputs by falling key; the mask too where the pattern leaves it open. */
static inline s24_status s24i_gridding_sweep(s24i_job *job, const s24i_prepared *prepared,
                                             const s24i_pattern *pattern, bool by_key,
                                             const float *key, const float *w, s24i_gridding *g)
{
    size_t mark = job->arena->used;
    s24i_prepared ordered;
    int64_t *order = NULL;
    s24_status status = S24_OK;
    if (by_key) {
        order = s24i_arena_take(job->arena, (size_t)prepared->dim, sizeof *order);
        s24i_order_by(job->arena, key, prepared->dim, order);
        status = s24i_reorder(job->ops, job->arena, prepared, order, &ordered);
    }
    if (!status)
        status = s24i_sweep_grid(job->ops, job->arena, job->watch, by_key ? &ordered : prepared,
                                 pattern, &g->grid, order, w, job->layer.rows, g->codes, job->mask);
    job->arena->used = mark;
    return status;
}

/* job->mask: the problem's, or all ones. */
static inline void s24i_keep_given(s24i_job *job)
{
    size_t size = (size_t)(job->layer.rows * job->layer.cols);
    if (s24i_counting(job->arena))
        return;
    if (job->layer.pattern.mask)
        memcpy(job->mask, job->layer.pattern.mask, size);
    else
        memset(job->mask, 1, size);
}

/* Fit the grid to `w` (unit-diagonal coordinates) under job->mask, errors weighted by `variance` of each input (NULL: equally); choose
 * outliers by it, and fit it again to the rest, three times. job->v is used for scratch. */
static inline s24_status s24i_gridding_fit(s24i_job *job, const s24i_prepared *prepared,
                                           const char *method, const float *variance,
                                           const float *w, s24i_gridding *g)
{
    size_t mark = job->arena->used;
    int64_t rows = job->layer.rows, n = job->layer.cols;
    float *weight = s24i_arena_take(job->arena, (size_t)n, sizeof(float));
    s24_status status = S24_OK;
    if (!s24i_counting(job->arena)) {
        for (int64_t j = 0; j < n; j++) {
            float scale = (float)(prepared->scale[j] * prepared->plain);
            weight[j] = prepared->dead[j] ? 0 : variance ? variance[j] * scale * scale : 1;
        }
        if (w != job->v)
            memcpy(job->v, w, (size_t)(rows * n) * sizeof(float));
        s24i_prepared near = *prepared;
        g->grid.shift = -s24i_exponent(prepared->plain);
        near.unit *= near.plain;
        status = s24i_unscale(job->ops, &near, job->v, rows);
    }
    for (int32_t rounds = g->outliers.count > 0 ? 3 : 0; !status; rounds--) {
        status = s24i_grid_fit(job->ops, job->arena, s24i_fit_method(method), weight, job->v,
                               job->mask, rows, &g->grid);
        if (status || rounds == 0)
            break;
        status = s24i_choose_outliers(job->ops, job->arena, g->outliers, weight, job->v, job->mask,
                                      rows, &g->grid);
    }
    job->arena->used = mark;
    return status;
}

#endif
