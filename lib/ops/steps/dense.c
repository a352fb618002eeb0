#include "steps.h"
#include <math.h>
#include <string.h>

/*
 * Some columns stay whole, n:m holds on the others (a hybrid of sparse and dense, SpenseGPT, Lee et
 * al. 2026). What stays is free, so it is eliminated. With G = (H_dd + Delta)^-1 H_ds the others
 * see the inputs x_s - G^T x_d, whatever is asked of them, and V_d = W_d + (W_s - V_s) G^T. So
 * every solver of n:m solves the hybrid exactly, on the sums T^T H T with T = [1; -G].
 */
enum { STRIP = S24I_STRIP, ROWS = 32 };
#define DAMP 0.01        /* relative, of H_dd and of what columns are chosen by */
#define FLOOR 1e-6f      /* of a pivot, in unit-diagonal coordinates */
#define DEAD_INPUT 1e-12 /* of the largest diagonal entry */

static double entry(const s24i_gram *gram, int half, int64_t i, int64_t j)
{
    return s24i_gram_row(gram, half, i > j ? i : j)[i > j ? j : i];
}

/* ---- Which columns ---- */

typedef struct {
    double *energy; /* a column: the sum of w^2 */
    float *key, *variance;
    int64_t *order;
    uint8_t *support; /* rows x cols; then a column: is it taken */
    void *scratch;
} choice;

static void look_at_columns(const float *w, int64_t rows, int64_t cols, choice *c)
{
    memset(c->energy, 0, (size_t)cols * sizeof *c->energy);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) {
            double x = w[i * cols + j];
            c->energy[j] += x * x;
            c->support[i * cols + j] = x != 0;
        }
}

/* The first `count` of the order, rising. */
static void take_first(const choice *c, int64_t cols, int64_t count, int32_t *at)
{
    uint8_t *first = c->support;
    int64_t next = 0;
    memset(first, 0, (size_t)cols);
    for (int64_t k = 0; k < count; k++)
        first[c->order[k]] = 1;
    for (int64_t j = 0; j < cols; j++)
        if (first[j])
            at[next++] = (int32_t)j;
}

/* Are the weights such a hybrid already? */
static bool obeys_as_it_is(const s24i_matrix *matrix, const choice *c, int32_t *at)
{
    s24i_constraints constraints = matrix->constraints;
    s24i_columns columns = {c->support, c->energy, matrix->rows, matrix->cols};
    s24i_fullest(columns, constraints.dense, c->scratch, at);
    constraints.dense_at = at;
    return s24i_obeys(&constraints, c->support, matrix->rows, matrix->cols, "w") == S24_OK;
}

/* Between a column's energy, which it costs when nothing else moves, and what is left of that when
 * all others are fitted again: the geometric mean (docs/solvers/dense.md). */
static void price(const s24i_matrix *matrix, choice *c)
{
    int64_t cols = matrix->cols;
    double largest = 0;
    for (int64_t j = 0; j < cols; j++) {
        double h = matrix->gram ? s24i_gram_diagonal(matrix->gram, S24I_BOTH, j) : 1;
        c->energy[j] *= h * sqrt((double)c->variance[j]);
        largest = fmax(largest, c->energy[j]);
    }
    for (int64_t j = 0; j < cols; j++)
        c->key[j] = largest > 0 ? (float)(c->energy[j] / largest) : 0;
}

static s24_status find_variances(const s24i_run *run, const s24i_matrix *matrix, float *variance)
{
    size_t mark = run->arena->used;
    s24i_prepared prepared;
    s24i_damping damping = {S24I_DAMP_RELATIVE, DAMP, 0};
    for (int64_t j = 0; !matrix->gram && !s24i_counting(run) && j < matrix->cols; j++)
        variance[j] = 1;
    if (!matrix->gram)
        return S24_OK;
    s24i_prepared_take(run, matrix->cols, &prepared);
    s24_status status = s24i_cpu_prepare_factor(run, matrix->gram, S24I_BOTH, damping, &prepared);
    if (!status)
        status = s24i_cpu_variances(run, &prepared, variance);
    run->arena->used = mark;
    return status;
}

s24_status s24i_cpu_choose_dense(const s24i_run *run, const s24i_matrix *matrix, const float *w,
                                 int32_t *at)
{
    size_t mark = run->arena->used, n = (size_t)matrix->cols;
    choice c = {.energy = s24i_arena_take(run->arena, n, sizeof(double)),
                .key = s24i_arena_take(run->arena, n, sizeof(float)),
                .variance = s24i_arena_take(run->arena, n, sizeof(float)),
                .order = s24i_arena_take(run->arena, n, sizeof(int64_t))};
    c.support = s24i_arena_take(run->arena, (size_t)(matrix->rows * matrix->cols), 1);
    c.scratch = s24i_arena_take(run->arena, s24i_fullest_scratch(matrix->cols), 1);
    if (!s24i_counting(run))
        look_at_columns(w, matrix->rows, matrix->cols, &c);
    bool done = !s24i_counting(run) && obeys_as_it_is(matrix, &c, at);
    s24_status status = done ? S24_OK : find_variances(run, matrix, c.variance);
    if (!status && !done && !s24i_counting(run))
        price(matrix, &c);
    if (!status && !done)
        status = s24i_cpu_order_by(run, c.key, matrix->cols, c.order);
    if (!status && !done && !s24i_counting(run))
        take_first(&c, matrix->cols, matrix->constraints.dense, at);
    run->arena->used = mark;
    return status;
}

/* ---- The columns that stay, eliminated ---- */

typedef struct {
    const s24i_run *run;
    const s24i_gram *gram;
    const int32_t *at, *rest;
    int64_t dense, others;
    double *inverse; /* a column of the matrix: 1 / sqrt(H_jj (1 + damping)), 0 where dead */
    float *s;        /* dense x dense: unit-diagonal H_dd, and then its factor */
    float *inv_diag;
    float *back;   /* others x dense */
    double *g, *p; /* dense x others: G, and H_ds - H_dd G / 2 of a half */
    double *row;   /* a worker: `others` */
    s24i_gram *out;
    int half;
} elimination;

static void set_inverse(elimination *e, int64_t cols, double damp)
{
    double largest = 0;
    for (int64_t j = 0; j < cols; j++)
        largest = fmax(largest, s24i_gram_diagonal(e->gram, S24I_BOTH, j));
    for (int64_t j = 0; j < cols; j++) {
        double h = s24i_gram_diagonal(e->gram, S24I_BOTH, j);
        e->inverse[j] = h > DEAD_INPUT * largest ? 1 / sqrt(h * (1 + damp)) : 0;
    }
}

static double unit_entry(const elimination *e, int64_t i, int64_t j)
{
    return (entry(e->gram, 0, i, j) + entry(e->gram, 1, i, j)) * e->inverse[i] * e->inverse[j];
}

static void fill_block(void *arg, int64_t i, int32_t worker)
{
    (void)worker;
    const elimination *e = arg;
    for (int64_t j = 0; j < e->dense; j++)
        e->s[i * e->dense + j] = i == j ? 1 : (float)unit_entry(e, e->at[i], e->at[j]);
}

static void fill_back(void *arg, int64_t k, int32_t worker)
{
    (void)worker;
    const elimination *e = arg;
    for (int64_t d = 0; d < e->dense; d++)
        e->back[k * e->dense + d] = (float)unit_entry(e, e->rest[k], e->at[d]);
}

/* From unit-diagonal coordinates, and G. */
static void scale_back(void *arg, int64_t k, int32_t worker)
{
    (void)worker;
    const elimination *e = arg;
    double mine = e->inverse[e->rest[k]];
    for (int64_t d = 0; d < e->dense; d++) {
        float *x = &e->back[k * e->dense + d];
        *x = mine > 0 ? (float)(*x * e->inverse[e->at[d]] / mine) : 0;
        e->g[d * e->others + k] = *x;
    }
}

/* The regression of the other inputs on those that stay; more damping where they are too alike. */
static s24_status regress(elimination *e, int64_t cols)
{
    const s24i_run *run = e->run;
    bool positive = s24i_counting(run);
    s24_status status = s24i_counting(run) ? s24i_cholesky(run, e->dense, NULL, NULL, 0, NULL) : 0;
    for (double damp = DAMP; !status && !positive && damp < 1e4; damp *= 10) {
        set_inverse(e, cols, damp);
        status = s24i_parallel(run->device->threads, fill_block, e, e->dense);
        if (!status)
            status = s24i_cholesky(run, e->dense, e->s, e->inv_diag, FLOOR, &positive);
    }
    if (!status && !positive)
        return s24i_fail(S24_E_NUMERIC, "the inputs of the columns that stay dense have no factor");
    if (!status && !s24i_counting(run))
        status = s24i_parallel(run->device->threads, fill_back, e, e->others);
    if (!status)
        status = s24i_solve_rows(run, e->dense, e->s, e->inv_diag, e->back, e->others);
    if (!status && !s24i_counting(run))
        status = s24i_parallel(run->device->threads, scale_back, e, e->others);
    return status;
}

static void form_p(void *arg, int64_t d, int32_t worker)
{
    const elimination *e = arg;
    double *h = e->row + worker * e->dense, *p = e->p + d * e->others;
    for (int64_t k = 0; k < e->others; k++)
        p[k] = entry(e->gram, e->half, e->at[d], e->rest[k]);
    for (int64_t k = 0; k < e->dense; k++)
        h[k] = entry(e->gram, e->half, e->at[d], e->at[k]);
    s24i_dgemm(1, e->others, e->dense, -0.5, s24i_f64(h, e->dense), s24i_f64(e->g, e->others), 1,
               s24i_f64_out(p, e->others));
}

/* H_ss - G^T P - P^T G, rows of one strip. */
static void form_strip(void *arg, int64_t strip, int32_t worker)
{
    (void)worker;
    const elimination *e = arg;
    int64_t first = strip * STRIP, width = s24i_strip_width(e->others, strip);
    int64_t rows = width - first, n = e->others;
    double *out = e->out->half[e->half] + s24i_strip_offset(n, strip);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < width; j++)
            out[i * width + j] =
                j > first + i ? 0 : entry(e->gram, e->half, e->rest[first + i], e->rest[j]);
    if (!e->back)
        return;
    s24i_dgemm(rows, width, e->dense, -1, s24i_f64_turned(e->g + first, n), s24i_f64(e->p, n), 1,
               s24i_f64_out(out, width));
    s24i_dgemm(rows, width, e->dense, -1, s24i_f64_turned(e->p + first, n), s24i_f64(e->g, n), 1,
               s24i_f64_out(out, width));
    for (int64_t i = 0; i < rows; i++) {
        out[i * width + first + i] = fmax(out[i * width + first + i], 0);
        for (int64_t j = first + i + 1; j < width; j++)
            out[i * width + j] = 0;
    }
}

static s24_status form_sums(elimination *e)
{
    s24i_threads *threads = e->run->device->threads;
    s24_status status = S24_OK;
    for (e->half = 0; !status && e->half < 2; e->half++) {
        if (e->back)
            status = s24i_parallel(threads, form_p, e, e->dense);
        if (!status)
            status = s24i_parallel(threads, form_strip, e, (e->others + STRIP - 1) / STRIP);
    }
    return status;
}

/* The sums of the other inputs, and `back` unless the columns that stay are still. */
static s24_status reduce_sums(const s24i_run *run, const s24i_matrix *matrix, const int32_t *at,
                              bool still, s24i_reduced *out)
{
    s24i_arena *arena = run->arena;
    int64_t dense = matrix->constraints.dense, others = matrix->cols - dense;
    size_t d = (size_t)dense, n = (size_t)others;
    elimination e = {.run = run, .gram = matrix->gram, .at = at, .rest = out->rest};
    e.dense = dense;
    e.others = others;
    e.out = &out->sums;
    out->sums = *matrix->gram;
    out->sums.dim = others;
    for (int half = 0; half < 2; half++)
        out->sums.half[half] = s24i_arena_take(arena, s24i_gram_half_bytes(others), 1);
    if (!still)
        e.back = out->back = s24i_arena_take(arena, s24i_mul(n, d), sizeof(float));
    size_t mark = arena->used;
    s24_status status = S24_OK;
    if (!still) {
        e.inverse = s24i_arena_take(arena, (size_t)matrix->cols, sizeof(double));
        e.s = s24i_arena_take(arena, s24i_mul(d, d), sizeof(float));
        e.inv_diag = s24i_arena_take(arena, d * S24I_BLOCK, sizeof(float));
        e.g = s24i_arena_take(arena, s24i_mul(n, d), sizeof(double));
        e.p = s24i_arena_take(arena, s24i_mul(n, d), sizeof(double));
        e.row =
            s24i_arena_take(arena, d * (size_t)s24i_workers(run->device->threads), sizeof(double));
        status = regress(&e, matrix->cols);
    }
    if (!status && !s24i_counting(run))
        status = form_sums(&e);
    run->arena->flops +=
        still ? 0 : 4 * (double)others * (double)dense * ((double)others + (double)dense);
    arena->used = mark;
    return status;
}

static void list_rest(const int32_t *at, int64_t dense, int64_t cols, int32_t *rest)
{
    for (int64_t j = 0, d = 0; j < cols; j++)
        if (d < dense && at[d] == j)
            d++;
        else
            rest[j - d] = (int32_t)j;
}

s24_status s24i_cpu_gather_columns(const s24i_run *run, const float *w, int64_t rows, int64_t cols,
                                   const s24i_reduced *reduced, float *out)
{
    int64_t others = reduced->matrix.cols;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < others; k++)
            out[i * others + k] = w[i * cols + reduced->rest[k]];
    return S24_OK;
}

s24_status s24i_cpu_reduce_dense(const s24i_run *run, const s24i_matrix *matrix, const float *w,
                                 const int32_t *at, bool still, s24i_reduced *out)
{
    const s24i_constraints *all = &matrix->constraints;
    int64_t others = matrix->cols - all->dense;
    s24_status status = S24_OK;
    *out = (s24i_reduced){.matrix = {.rows = matrix->rows, .cols = others}, .dense = all->dense};
    out->matrix.constraints = (s24i_constraints){.n = all->n, .m = all->m, .both = all->both};
    out->rest = s24i_arena_take(run->arena, (size_t)others, sizeof(int32_t));
    out->w = s24i_arena_take(run->arena, (size_t)(matrix->rows * others), sizeof(float));
    if (!s24i_counting(run)) {
        list_rest(at, all->dense, matrix->cols, out->rest);
        s24i_cpu_gather_columns(run, w, matrix->rows, matrix->cols, out, out->w);
    }
    if (matrix->gram) {
        status = reduce_sums(run, matrix, at, still, out);
        out->matrix.gram = &out->sums;
    }
    return status;
}

/* ---- And back ---- */

typedef struct {
    const s24i_reduced *reduced;
    const int32_t *at;
    const float *w, *vs;
    const uint8_t *kept;
    float *v, *scratch; /* a worker: ROWS x cols */
    uint8_t *mask;
    int64_t cols, dense;
} restoring;

static void restore_tile(void *arg, int64_t tile, int32_t worker)
{
    const restoring *r = arg;
    int64_t cols = r->cols, dense = r->dense, others = cols - dense, first = tile * ROWS;
    int64_t left = r->reduced->matrix.rows - first, rows = left < ROWS ? left : ROWS;
    float *error = r->scratch + worker * ROWS * cols, *step = error + ROWS * others;
    for (int64_t i = first; i < first + rows; i++)
        for (int64_t k = 0; k < others; k++) {
            int64_t at = i * cols + r->reduced->rest[k], from = i * others + k;
            error[from - first * others] = r->w[at] - r->vs[from];
            r->v[at] = r->vs[from];
            r->mask[at] = r->kept[from];
        }
    memset(step, 0, (size_t)(rows * dense) * sizeof *step);
    if (r->reduced->back)
        s24i_sgemm_exact(rows, dense, others, 1, s24i_f32(error, others),
                         s24i_f32(r->reduced->back, dense), 0, s24i_f32_out(step, dense));
    for (int64_t i = 0; i < rows; i++)
        for (int64_t d = 0; d < dense; d++) {
            int64_t at = (first + i) * cols + r->at[d];
            r->v[at] = r->w[at] + step[i * dense + d];
            r->mask[at] = 1;
        }
}

s24_status s24i_cpu_restore_dense(const s24i_run *run, const s24i_reduced *reduced,
                                  const int32_t *at, const float *w, const float *vs,
                                  const uint8_t *kept, float *v, uint8_t *mask)
{
    size_t mark = run->arena->used, workers = (size_t)s24i_workers(run->device->threads);
    int64_t rows = reduced->matrix.rows;
    restoring r = {.reduced = reduced, .at = at, .w = w, .vs = vs, .kept = kept, .v = v};
    r.mask = mask;
    r.dense = reduced->dense;
    r.cols = reduced->matrix.cols + r.dense;
    r.scratch = s24i_arena_take(run->arena, workers * ROWS * (size_t)r.cols, sizeof(float));
    s24_status status = S24_OK;
    if (!s24i_counting(run))
        status = s24i_parallel(run->device->threads, restore_tile, &r, (rows + ROWS - 1) / ROWS);
    run->arena->used = mark;
    return status;
}
