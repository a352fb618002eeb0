#include "api.h"
#include <math.h>
#include <string.h>

/* Does a candidate, or all that a solver made, obey the constraints? */

static const s24_mat *part(const s24i_check *c, const char *name)
{
    for (int32_t i = 0; i < c->part_count; i++)
        if (!strcmp(c->parts[i].name, name))
            return &c->parts[i].mat;
    return NULL;
}

static s24_status need_part(const s24i_check *c, const char *name, int64_t rows, int64_t cols,
                            const s24_mat **out)
{
    *out = part(c, name);
    if (!*out)
        return s24i_fail(S24_E_STATE, "the result has no \"%s\", which the constraint is about",
                         name);
    return s24i_check_shape(*out, name, rows, cols);
}

const s24_mat *s24i_check_subject(const s24i_check *c)
{
    const s24_mat *sparse = part(c, "sparse");

    return sparse || !part(c, "lowrank_u") ? (sparse ? sparse : c->weights) : NULL;
}

/* ---- The support ---- */

/* support = values != 0, in their own type. */
static s24_status find_support(const s24i_check *c, const s24_mat *w, double *row, uint8_t *support)
{
    s24_status status = s24i_check_values(c->ctx, w, c->name, false);

    for (int64_t i = 0; !status && i < w->rows; i++) {
        s24i_mat_load_f64(&c->ctx->kernels, w, i, 1, row);
        for (int64_t j = 0; j < w->cols; j++)
            support[i * w->cols + j] = row[j] != 0;
    }
    return status;
}

static s24_status check_cover(const s24i_check *c, const s24i_pattern *pattern,
                              const uint8_t *support)
{
    int64_t rows = c->mask->rows, cols = c->mask->cols;
    const uint8_t *mask = c->mask->data;

    for (int64_t i = 0; i < rows * cols; i++)
        if (support[i] && !mask[i])
            return s24i_fail(S24_E_STATE, "%s: row %lld, column %lld is not zero where the mask is",
                             c->name, (long long)(i / cols), (long long)(i % cols));
    return s24i_obeys(pattern, mask, rows, cols, "mask");
}

static s24_status check_support(const s24i_check *c, const s24i_run *run)
{
    const s24_mat *subject = s24i_check_subject(c);
    size_t rows = (size_t)c->weights->rows, cols = (size_t)c->weights->cols,
           kept = run->arena->used;
    s24i_pattern pattern = c->problem->pattern;
    double *row = s24i_arena_take(run->arena, cols, sizeof *row);
    uint8_t *support = s24i_arena_take(run->arena, rows * cols, 1);
    uint8_t *mask = c->problem->mask.data ? s24i_arena_take(run->arena, rows * cols, 1) : NULL;
    s24_status status = S24_OK;

    if (subject && !s24i_counting(run)) {
        if (mask)
            status = s24i_problem_mask(c->problem, c->ctx, mask);
        pattern.mask = mask;
        if (!status)
            status = find_support(c, subject, row, support);
        if (!status)
            status = s24i_obeys(&pattern, support, subject->rows, subject->cols, c->name);
        if (!status && c->mask)
            status = check_cover(c, &pattern, support);
    }
    run->arena->used = kept;
    return status;
}

/* ---- The grid ---- */

/* Scales and zeros of any type as floats, rows x groups. */
static void load_any(const s24i_check *c, const s24_mat *mat, float *out)
{
    if (mat->dtype != S24_U8)
        s24i_mat_load(&c->ctx->kernels, mat, 0, mat->rows, out);
    for (int64_t i = 0; mat->dtype == S24_U8 && i < mat->rows * mat->cols; i++)
        out[i] = ((const uint8_t *)mat->data)[i];
}

static s24_status check_codes(const s24i_check *c, const s24i_run *run)
{
    const s24_mat *subject = s24i_check_subject(c), *codes, *scales, *zeros, *outliers;
    const s24i_grid_form *form = &c->problem->pattern.grid;
    int64_t rows = c->weights->rows, cols = c->weights->cols;
    int64_t groups = s24i_grid_groups(form, cols);
    size_t kept = run->arena->used, size = (size_t)(rows * groups);
    float *scale = s24i_arena_take(run->arena, size, sizeof *scale);
    float *zero = s24i_arena_take(run->arena, size, sizeof *zero);
    s24_status status = need_part(c, "codes", rows, cols, &codes);

    if (!status)
        status = need_part(c, "scales", rows, groups, &scales);
    if (!status)
        status = need_part(c, "zeros", rows, groups, &zeros);
    if (!status && !subject)
        status = s24i_fail(S24_E_STATE, "the result has no \"sparse\" that codes could decode to");
    if (!status && !s24i_counting(run)) {
        load_any(c, scales, scale);
        load_any(c, zeros, zero);
        outliers = part(c, "outliers");
        s24i_grid grid = {.form = *form, .cols = cols, .scale = scale, .zero = zero};
        grid.free = outliers ? outliers->data : NULL;
        status =
            s24i_check_codes(&c->ctx->cpu, &grid, codes->data, c->mask->data, subject->data, rows);
    }
    run->arena->used = kept;
    return status;
}

/* How far rounding to its type may move a value, relative to it. */
static double rounding(int32_t dtype)
{
    return dtype == S24_F64    ? 0x1p-24 /* it may have been made in single precision */
           : dtype == S24_F32  ? 0x1p-23
           : dtype == S24_BF16 ? 0x1p-8
                               : 0x1p-11;
}

/* Between neighbours among the least numbers of a type: as much is rounded off whatever the value. */
static double least_step(int32_t dtype)
{
    return dtype == S24_F16 ? 0x1p-24 : dtype == S24_BF16 ? 0x1p-133 : 0x1p-149;
}

static s24_status check_levels(const s24i_check *c, const s24i_run *run)
{
    const s24i_pattern *pattern = &c->problem->pattern;
    size_t kept = run->arena->used;
    double *row = s24i_arena_take(run->arena, (size_t)c->weights->cols, sizeof *row);
    bool sparse = pattern->n || pattern->scope || c->problem->mask.data;
    s24_status status = S24_OK;

    for (int64_t i = 0; !status && !s24i_counting(run) && i < c->weights->rows; i++) {
        s24i_mat_load_f64(&c->ctx->kernels, c->weights, i, 1, row);
        status =
            s24i_check_levels(&pattern->grid, row, c->weights->cols, rounding(c->weights->dtype),
                              least_step(c->weights->dtype), sparse, i, c->name);
    }
    run->arena->used = kept;
    return status;
}

/* ---- The rank ---- */

enum { TILE = 16 }; /* rows whose products are formed at a time */

typedef struct {
    double *u, *v, *norm, *product, *row, *sparse;
} sums;

/* weights = sparse + U V in row `first + i` of a tile, within the rounding of sums in single precision. */
static s24_status check_sum(const s24i_check *c, const sums *s, int64_t first, int64_t i,
                            int64_t rank)
{
    int64_t cols = c->weights->cols;
    const s24_mat *sparse = part(c, "sparse");
    double norm = 0;

    for (int64_t k = 0; k < rank; k++)
        norm += s->u[i * rank + k] * s->u[i * rank + k];
    norm = sqrt(norm);
    s24i_mat_load_f64(&c->ctx->kernels, c->weights, first + i, 1, s->row);
    memset(s->sparse, 0, (size_t)cols * sizeof *s->sparse);
    if (sparse)
        s24i_mat_load_f64(&c->ctx->kernels, sparse, first + i, 1, s->sparse);
    for (int64_t j = 0; j < cols; j++) {
        double sum = s->sparse[j] + s->product[i * cols + j];
        double allowed = 1e-5 * (fabs(s->sparse[j]) + norm * s->norm[j]);
        if (fabs(s->row[j] - sum) > allowed + (double)(rank + 1) * 2 * least_step(S24_F32))
            return s24i_fail(S24_E_STATE,
                             "weights: row %lld, column %lld is %.9g, but the parts add up to %.9g",
                             (long long)(first + i), (long long)j, s->row[j], sum);
    }
    return S24_OK;
}

static s24_status check_sums(const s24i_check *c, const s24_mat *u, const s24_mat *v, const sums *s)
{
    const s24i_kernels *kernels = &c->ctx->kernels;
    int64_t rows = c->weights->rows, cols = c->weights->cols, rank = u->cols;
    s24_status status = S24_OK;

    s24i_mat_load_f64(kernels, v, 0, rank, s->v);
    for (int64_t j = 0; j < cols; j++) {
        double sum = 0;
        for (int64_t k = 0; k < rank; k++)
            sum += s->v[k * cols + j] * s->v[k * cols + j];
        s->norm[j] = sqrt(sum);
    }
    for (int64_t first = 0; !status && first < rows; first += TILE) {
        int64_t count = rows - first < TILE ? rows - first : TILE;
        s24i_mat_load_f64(kernels, u, first, count, s->u);
        s24i_dgemm(count, cols, rank, 1, s24i_f64(s->u, rank), s24i_f64(s->v, cols), 0,
                   s24i_f64_out(s->product, cols));
        for (int64_t i = 0; !status && i < count; i++)
            status = check_sum(c, s, first, i, rank);
    }
    return status;
}

static s24_status check_rank(const s24i_check *c, const s24i_run *run)
{
    const s24_mat *u = part(c, "lowrank_u"), *v = part(c, "lowrank_v");
    int64_t cols = c->weights->cols, rank = u ? u->cols : 0;
    size_t kept = run->arena->used;
    s24_status status = S24_OK;

    if (!u || !v)
        return s24i_fail(S24_E_STATE, "the result has no \"lowrank_u\" and \"lowrank_v\"");
    if (rank > c->problem->pattern.rank)
        return s24i_fail(S24_E_STATE, "lowrank_u has %lld columns, rank %lld is allowed",
                         (long long)rank, (long long)c->problem->pattern.rank);
    status = s24i_check_shape(u, "lowrank_u", c->weights->rows, rank);
    if (!status)
        status = s24i_check_shape(v, "lowrank_v", rank, cols);
    if (status)
        return status;
    sums s = {.u = s24i_arena_take(run->arena, (size_t)(TILE * rank), sizeof(double)),
              .v = s24i_arena_take(run->arena, (size_t)(rank * cols), sizeof(double)),
              .norm = s24i_arena_take(run->arena, (size_t)cols, sizeof(double)),
              .product = s24i_arena_take(run->arena, (size_t)(TILE * cols), sizeof(double)),
              .row = s24i_arena_take(run->arena, (size_t)cols, sizeof(double)),
              .sparse = s24i_arena_take(run->arena, (size_t)cols, sizeof(double))};
    if (!s24i_counting(run))
        status = check_sums(c, u, v, &s);
    run->arena->used = kept;
    return status;
}

s24_status s24i_check_parts(const s24i_check *c, const s24i_run *run)
{
    const s24i_pattern *pattern = &c->problem->pattern;
    s24_status status = S24_OK;

    if (pattern->grid.bits)
        status = c->mask ? check_codes(c, run) : check_levels(c, run);
    if (!status && pattern->rank)
        status = check_rank(c, run);
    return status;
}

/* ---- Public ---- */

static s24_status check_stage(void *arg, const s24i_run *run)
{
    s24_status status = check_support(arg, run);

    return status ? status : s24i_check_parts(arg, run);
}

static s24_status run_check(s24i_check *check)
{
    check->ctx = check->problem->object.ctx;
    s24_status status = s24i_enter(check->ctx);
    if (!status)
        status = s24i_in_arena(check->ctx, check_stage, check);
    s24i_leave(check->ctx);
    return status;
}

static s24_status check_candidate(const s24_problem *problem, const s24_mat *candidate)
{
    s24i_check check = {.problem = problem, .name = "candidate", .weights = candidate};
    s24_status status = s24i_check_candidate(problem, candidate);

    if (!status && problem->pattern.rank)
        status = s24i_fail(S24_E_UNSUPPORTED,
                           "candidate: under a rank only a whole result can be checked");
    return status ? status : run_check(&check);
}

s24_status s24_problem_check(const s24_problem *problem, const s24_mat *candidate)
{
    s24_status status = s24i_check_handle(problem, S24I_PROBLEM, "problem");

    return s24i_done(__func__, status ? status : check_candidate(problem, candidate));
}

s24_status s24_problem_check_result(const s24_problem *problem, const s24_result *result)
{
    s24_status status = s24i_check_handle(problem, S24I_PROBLEM, "problem");

    if (!status)
        status = s24i_check_handle(result, S24I_RESULT, "result");
    if (!status)
        status = s24i_check_shape(&result->weights, "result", problem->w.rows, problem->w.cols);
    if (status)
        return s24i_done(__func__, status);
    s24i_check check = {.problem = problem,
                        .name = "weights",
                        .weights = &result->weights,
                        .mask = &result->mask,
                        .parts = result->parts,
                        .part_count = result->part_count};
    return s24i_done(__func__, run_check(&check));
}
