/*
 * What solvers that put values on a grid have in common: options, the fitted grid, codes and what
 * becomes of them. Knows no method.
 */
#ifndef S24I_GRIDDING_H
#define S24I_GRIDDING_H
#include "solver.h"

/*
 * Rows for the fields `s24i_word fit, scales;` of struct values. The choices of fit are in the
 * order of S24I_FIT_SEARCH and on.
 */
#define S24I_GRID_OPTIONS(type)                                                                  \
    S24I_OPTION_STR(type, fit, "search|mse|minmax", "search",                                    \
                    "how scales are found; search: range with the least weighted squares; mse: " \
                    "range with the least sum of |error|^2.4; minmax: the range as it is"),      \
        S24I_OPTION_STR(type, scales, "f32|f16|bf16", "f32", "type that scales are stored in")

/*
 * Rows for the fields `s24i_word damp_rule; double damp;`: without a support the two-halves rule
 * has nothing to try.
 */
#define S24I_GRID_DAMPING_OPTIONS(type)                                                          \
    S24I_OPTION_STR(                                                                             \
        type, damp_rule, "auto|relative|mean|transfer", "auto",                                  \
        "how the damping is chosen; auto: on two halves of the rows if a support is asked for, " \
        "else relative; relative: damp times each diagonal entry; mean: damp times their mean; " \
        "transfer: 0.1, or 0.2 with a grid or a rank, relative, for use on other text"),         \
        S24I_OPTION_FLOAT(type, damp, 0, 100, "0.1",                                             \
                          "damping of damp_rule=relative and mean, and of auto without a support")

static inline s24i_damping s24i_grid_damping(const s24i_job *job, s24i_word rule, double value)
{
    bool chosen = rule.index == S24I_DAMP_AUTO && s24i_has_support(&job->matrix.constraints);
    return (s24i_damping){chosen || rule.index != S24I_DAMP_AUTO ? rule.index : S24I_DAMP_RELATIVE,
                          value};
}

/* The rule as the record tells it. */
static inline const char *s24i_damp_word(s24i_damping damping)
{
    static const char *const words[] = {"auto", "relative", "mean", "transfer", "mixed"};
    return words[damping.rule];
}

/* The grid of a job and its parts of the result. */
typedef struct s24i_gridding {
    s24i_grid grid;
    s24i_outliers outliers;
    uint8_t *codes;
    s24_mat scales, zeros;
} s24i_gridding;

/* Take all of it; before anything else is taken from the arena. */
static inline void s24i_gridding_take(s24i_job *job, s24i_word scales, s24i_gridding *out)
{
    const s24i_matrix *matrix = &job->matrix;
    const s24i_grid_form *form = &matrix->constraints.grid;
    int64_t groups = s24i_grid_groups(form, matrix->cols);
    int32_t type = s24i_stored_type(scales);
    size_t size = s24i_mul((size_t)matrix->rows, (size_t)groups);
    *out = (s24i_gridding){.grid = {.form = *form, .cols = matrix->cols, .type = type}};
    out->grid.scale = s24i_arena_take(job->run->arena, size, sizeof(float));
    out->grid.zero = s24i_arena_take(job->run->arena, size, sizeof(float));
    out->codes = s24i_job_part(job, "codes", matrix->rows, matrix->cols, S24_U8)->data;
    out->scales = *s24i_job_part(job, "scales", matrix->rows, groups, type);
    out->zeros = *s24i_job_part(job, "zeros", matrix->rows, groups,
                                form->scheme == S24I_GRID_REAL ? type : S24_U8);
}

/* Then, for solvers that keep outliers, this. */
static inline void s24i_gridding_take_outliers(s24i_job *job, s24i_gridding *g)
{
    const s24i_matrix *matrix = &job->matrix;
    g->grid.value = s24i_arena_take(job->run->arena, (size_t)s24i_job_size(job), sizeof(float));
    g->grid.outliers = s24i_job_part(job, "outliers", matrix->rows, matrix->cols, S24_U8)->data;
}

/* Codes, scales and zeros of the result, and in `v` what they decode to; job->mask is final. */
static inline s24_status s24i_gridding_finish(s24i_job *job, const s24i_gridding *g, float *v)
{
    s24_status status = s24i_grid_store(job->run, &g->grid, &g->scales, &g->zeros);
    return status ? status
                  : s24i_grid_decode(job->run, &g->grid, job->mask, job->matrix.rows, g->codes, v);
}

/*
 * Codes for the target by the column sweep, inputs by falling key if `by_key`; the mask too where
 * it is open.
 */
static inline s24_status s24i_gridding_sweep(s24i_job *job, const s24i_target *target, bool by_key,
                                             const float *key, s24i_gridding *g)
{
    s24i_arena *arena = job->run->arena;
    size_t mark = arena->used;
    int64_t *order = NULL, n = target->prepared->dim;
    s24i_prepared ordered;
    s24i_target turned = *target;
    s24_status status = S24_OK;
    if (by_key) {
        order = s24i_arena_take(arena, (size_t)n, sizeof *order);
        status = s24i_order_by(job->run, key, n, order);
        if (!status)
            status = s24i_reorder(job->run, target->prepared, order, &ordered);
        turned.prepared = &ordered;
    }
    if (!status)
        status = s24i_sweep_grid(job->run, &turned, &g->grid, order, g->codes, job->mask);
    arena->used = mark;
    return status;
}

/*
 * Fit the grid to `w` (unit-diagonal coordinates) under job->mask, errors weighted by `variance` of
 * each input (NULL: equally); choose outliers by it, and fit it again to the rest, three times.
 * job->v is used for scratch.
 */
static inline s24_status s24i_gridding_fit(s24i_job *job, const s24i_prepared *prepared,
                                           int32_t method, const float *variance, const float *w,
                                           s24i_gridding *g)
{
    s24i_arena *arena = job->run->arena;
    size_t mark = arena->used;
    int64_t rows = job->matrix.rows;
    s24i_prepared near = *prepared;
    float *weight = s24i_arena_take(arena, (size_t)job->matrix.cols, sizeof(float));
    s24_status status = s24i_input_weights(job->run, prepared, variance, S24I_WEIGHT_ERROR, weight);
    if (!status && w != job->v)
        status = s24i_copy(job->run, w, (size_t)s24i_job_size(job) * sizeof(float), job->v);
    near.unit *= near.plain;
    g->grid.shift = -s24i_exponent(prepared->plain);
    if (!status)
        status = s24i_unscale(job->run, &near, job->v, rows);
    for (int32_t rounds = g->outliers.count > 0 ? 3 : 0; !status; rounds--) {
        status = s24i_grid_fit(job->run, method, weight, job->v, job->mask, rows, &g->grid);
        if (status || rounds == 0)
            break;
        status =
            s24i_choose_outliers(job->run, g->outliers, weight, job->v, job->mask, rows, &g->grid);
    }
    arena->used = mark;
    return status;
}

#endif
