/* A matrix on a grid, for tests of fits and of what moves codes: its stages, values and losses. */
#ifndef S24_TESTS_CODED_H
#define S24_TESTS_CODED_H
#include "ops_test.h"

typedef struct {
    int64_t rows, n;
    s24i_constraints constraints;
    s24i_prepared prepared;
    s24i_grid grid;
    s24i_descent_limits limits;
    s24i_outliers outliers;
    int32_t method, sweeps;
    bool relaxed;
    float *plain, *w; /* in the matrix's and in unit-diagonal coordinates */
    uint8_t *codes, *mask;
    int32_t iterations;
} coded;

static inline void take_grid(coded *p, int32_t bits, int32_t scheme, int64_t group, int32_t type)
{
    p->constraints.grid = (s24i_grid_form){bits, scheme, group};
    p->grid = (s24i_grid){.form = p->constraints.grid, .cols = p->n, .type = type};
    int64_t size = p->rows * s24i_grid_groups(&p->grid.form, p->n);
    p->grid.scale = GRAB(float, size);
    p->grid.zero = GRAB(float, size);
    p->codes = GRAB(uint8_t, p->rows * p->n);
    p->mask = GRAB(uint8_t, p->rows * p->n);
    memset(p->mask, 1, (size_t)(p->rows * p->n));
}

static inline s24_status fit_stage(void *arg, const s24i_run *run)
{
    coded *p = arg;
    return s24i_grid_fit(run, p->method, NULL, p->plain, p->mask, p->rows, &p->grid);
}

static inline s24_status sweep_stage(void *arg, const s24i_run *run)
{
    coded *p = arg;
    return s24i_sweep_grid(run, &(s24i_target){&p->prepared, &p->constraints, p->w, p->rows},
                           &p->grid, NULL, p->codes, p->mask);
}

static inline s24_status descend_stage(void *arg, const s24i_run *run)
{
    coded *p = arg;
    return s24i_descend(run, &(s24i_target){&p->prepared, &p->constraints, p->w, p->rows},
                        p->limits, &p->grid, p->codes, p->mask, &p->iterations);
}

static inline s24_status relax_stage(void *arg, const s24i_run *run)
{
    coded *p = arg;
    return s24i_relax(run, &(s24i_target){.prepared = &p->prepared, .w = p->w, .rows = p->rows},
                      p->sweeps, p->relaxed, false, &p->grid, p->mask, p->codes);
}

static inline s24_status babai_stage(void *arg, const s24i_run *run)
{
    coded *p = arg;
    return s24i_babai(run, &(s24i_target){.prepared = &p->prepared, .w = p->w, .rows = p->rows},
                      p->sweeps, scales_of(&p->prepared), &p->grid, p->mask, p->codes);
}

static inline s24_status outlier_stage(void *arg, const s24i_run *run)
{
    coded *p = arg;
    return s24i_choose_outliers(run, p->outliers, scales_of(&p->prepared), p->plain, p->mask,
                                p->rows, &p->grid);
}

/* A matrix of correlated inputs, its grid fitted by range. */
static inline coded open_problem(uint64_t seed, int64_t rows, int64_t n, double correlation)
{
    coded p = {.rows = rows, .n = n, .method = S24I_FIT_MINMAX};
    float *x = activations(&seed, 4 * n + 50, n, correlation);
    s24i_gram gram = gram_of(x, 4 * n + 50, n, S24_F32);
    s24i_matrix matrix = matrix_of(rows, n, &gram);
    p.plain = normals(&seed, rows * n);
    p.w = GRAB(float, rows *n);
    memcpy(p.w, p.plain, (size_t)(rows * n) * sizeof(float));
    p.prepared = prepare(&matrix, S24I_DAMP_RELATIVE, 0.05, p.w);
    s24i_gram_fini(&device, &gram);
    return p;
}

static inline float value(const coded *p, int64_t i, int64_t j)
{
    int64_t at =
        i * s24i_grid_groups(&p->grid.form, p->n) + j / s24i_grid_group(&p->grid.form, p->n);
    if (p->grid.outliers && p->grid.outliers[i * p->n + j])
        return p->grid.value[i * p->n + j];
    return p->mask[i * p->n + j] ? s24i_decode(&p->grid.form, p->grid.scale[at], p->grid.zero[at],
                                               p->codes[i * p->n + j])
                                 : 0;
}

/* (v - w) S (v - w)^T of one row in double. */
static inline double row_loss(const coded *p, int64_t i)
{
    int mark = naive_count;
    double loss = 0, *e = GRAB(double, p->n);
    for (int64_t j = 0; j < p->n; j++)
        e[j] = (double)value(p, i, j) * p->prepared.scale[j] - p->w[i * p->n + j];
    for (int64_t j = 0; j < p->n; j++)
        for (int64_t k = 0; k < p->n; k++)
            loss += e[j] * e[k] * p->prepared.s[j * p->n + k];
    drop_to(mark);
    return loss;
}

static inline double whole_loss(const coded *p)
{
    double loss = 0;
    for (int64_t i = 0; i < p->rows; i++)
        loss += row_loss(p, i);
    return loss;
}

#endif
