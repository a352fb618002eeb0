#include "cuda.h"
#include <math.h>

/* Supports, and values on a grid (lib/ops/sets). */

/* ---- Selections ---- */

s24_status s24c_refuse_both(const s24i_run *run, const s24i_constraints *constraints,
                            const char *what)
{
    if (!constraints->both || constraints->mask)
        return S24_OK;
    return s24i_fail(S24_E_UNSUPPORTED,
                     "device %s: operation \"%s\" does not take n:m along both "
                     "sides",
                     run->device->name, what);
}

enum { BINS = 4096 }; /* words that s24c_keep_all() wants */

s24_status s24c_select(const s24i_run *run, const float *score, int64_t count, int64_t keep,
                       uint8_t *mask)
{
    size_t mark = run->arena->used;
    uint64_t *bins = s24i_arena_take(run->arena, BINS, sizeof *bins);
    int64_t *ties = s24i_arena_take(run->arena, (size_t)(count / S24C_CHUNK + 2), sizeof *ties);

    run->arena->used = mark;
    if (s24i_counting(run))
        return S24_OK;
    s24c_keep_all(s24c_stream(run), score, count, keep, bins, ties, mask);
    return s24c_launched(run, "selection");
}

static int64_t zeros(double sparsity, int64_t size)
{
    int64_t count = (int64_t)nearbyint(sparsity * (double)size);
    return count < size ? count : size - 1;
}

s24_status s24c_op_project(const s24i_run *run, const s24i_constraints *constraints, const float *w,
                           const float *norm, int64_t rows, int64_t cols, uint8_t *mask)
{
    cudaStream_t s = s24c_stream(run);
    size_t mark = run->arena->used, size = (size_t)(rows * cols);
    bool layer = s24i_over_layer(constraints);
    s24_status status = s24c_refuse_both(run, constraints, "project");

    if (status)
        return status;
    if (constraints->mask)
        return s24i_counting(run) ? S24_OK : s24c_op_copy(run, constraints->mask, size, mask);
    if (constraints->n) {
        if (!s24i_counting(run))
            s24c_select_nm(s, w, norm, rows * cols, cols, constraints->n, constraints->m, mask);
        return s24i_counting(run) ? S24_OK : s24c_launched(run, "project");
    }
    float *score = s24i_arena_take(run->arena, size, sizeof(float));
    if (!s24i_counting(run))
        s24c_score(s, w, norm, rows, cols, score);
    if (layer)
        status = s24c_select(run, score, rows * cols,
                             rows * cols - zeros(constraints->sparsity, rows * cols), mask);
    else if (!s24i_counting(run))
        s24c_keep_rows(s, score, rows, cols, cols - zeros(constraints->sparsity, cols), mask);
    run->arena->used = mark;
    return status || s24i_counting(run) ? status : s24c_launched(run, "project");
}

s24_status s24c_op_apply_mask(const s24i_run *run, const float *w, const uint8_t *mask,
                              int64_t rows, int64_t cols, float *v)
{
    s24c_apply_mask(s24c_stream(run), w, mask, rows * cols, v);
    return s24c_launched(run, "apply_mask");
}

s24_status s24c_op_drop_columns(const s24i_run *run, const float *norm, int64_t rows, int64_t cols,
                                float *v)
{
    s24c_drop_columns(s24c_stream(run), norm, rows, cols, v);
    return s24c_launched(run, "drop_columns");
}

s24_status s24c_op_support_of(const s24i_run *run, const uint8_t *given, const float *w,
                              int64_t size, uint8_t *mask)
{
    if (given)
        return s24c_op_copy(run, given, (size_t)size, mask);
    if (!w)
        return s24c_op_fill(run, 1, (size_t)size, mask);
    s24c_support(s24c_stream(run), w, size, mask);
    return s24c_launched(run, "support_of");
}

/* The host looks: the first offending place has a text. */
s24_status s24c_op_check_support(const s24i_run *run, const s24i_constraints *constraints,
                                 const uint8_t *support, int64_t rows, int64_t cols,
                                 const char *name)
{
    s24i_constraints here = *constraints;
    size_t size = (size_t)(rows * cols), bytes = s24i_mul(size, constraints->mask ? 2 : 1);
    s24i_memory first;

    s24i_memory_init(&first, NULL, NULL, NULL);
    uint8_t *copy = s24i_alloc(&first, bytes);
    if (!copy)
        return S24_E_MEMORY;
    s24_status status = s24c_op_download(run, support, size, copy);
    if (!status && constraints->mask) {
        status = s24c_op_download(run, constraints->mask, size, copy + size);
        here.mask = copy + size;
    }
    if (!status)
        status = s24c_host->obeys(&here, copy, rows, cols, name);
    s24i_free(&first, copy, bytes);
    return status;
}

static s24_status number(const s24i_run *run, const char *what, int64_t *out)
{
    s24_status status = s24c_launched(run, what);
    return status ? status : s24c_fetch(run, s24c_of(run)->numbers, sizeof *out, out, what);
}

s24_status s24c_op_count_kept(const s24i_run *run, const uint8_t *mask, int64_t size, int64_t *kept)
{
    *kept = size;
    if (s24i_counting(run))
        return S24_OK;
    s24c_count(s24c_stream(run), mask, size, (unsigned long long *)s24c_of(run)->numbers);
    return number(run, "count_kept", kept);
}

s24_status s24c_op_count_changed(const s24i_run *run, const uint8_t *mask, int64_t size,
                                 uint8_t *seen, int64_t *changed)
{
    s24c_changed(s24c_stream(run), mask, size, seen, (unsigned long long *)s24c_of(run)->numbers);
    return number(run, "count_changed", changed);
}

/* ---- Grids ---- */

s24c_grid s24c_grid_of(const s24i_grid *grid)
{
    int64_t group =
        grid->form.group && grid->form.group < grid->cols ? grid->form.group : grid->cols;
    return (s24c_grid){.cols = grid->cols,
                       .group = group,
                       .groups = (grid->cols + group - 1) / group,
                       .scheme = grid->form.scheme,
                       .bits = grid->form.bits,
                       .type = grid->type,
                       .shift = grid->shift,
                       .top = s24i_grid_top(&grid->form),
                       .scale = grid->scale,
                       .zero = grid->zero,
                       .outliers = grid->outliers,
                       .value = grid->value};
}

s24_status s24c_op_grid_fit(const s24i_run *run, int32_t method, const float *weight,
                            const float *w, const uint8_t *mask, int64_t rows, s24i_grid *grid)
{
    s24c_state *state = s24c_of(run);
    uint64_t failed = 0;
    unsigned *largest = (unsigned *)(state->numbers + 1);

    if (s24i_counting(run))
        return S24_OK;
    s24c_grid g = s24c_grid_of(grid);
    s24c_largest(state->stream, w, rows * grid->cols, largest);
    s24c_grid_fit(state->stream, &g, method, weight, w, mask, largest, rows,
                  (unsigned long long *)state->numbers);
    s24_status status = s24c_launched(run, "grid_fit");
    if (!status)
        status = s24c_fetch(run, state->numbers, sizeof failed, &failed, "grid_fit");
    if (status || failed == UINT64_MAX)
        return status;
    return s24i_fail(S24_E_NUMERIC,
                     "grid: weights in row %lld, group %lld need a scale beyond the range of its "
                     "type: use scales=f32",
                     (long long)(failed / (uint64_t)g.groups),
                     (long long)(failed % (uint64_t)g.groups));
}

s24_status s24c_op_choose_outliers(const s24i_run *run, s24i_outliers outliers, const float *weight,
                                   const float *w, const uint8_t *mask, int64_t rows,
                                   s24i_grid *grid)
{
    cudaStream_t s = s24c_stream(run);
    size_t mark = run->arena->used, n = (size_t)grid->cols;
    float *score = s24i_arena_take(run->arena, s24i_mul((size_t)rows, n), sizeof(float));
    float *sums = s24i_arena_take(run->arena, n, sizeof(float));
    uint8_t *chosen = s24i_arena_take(run->arena, n, 1);
    bool counting = s24i_counting(run);
    s24c_grid g = {0};
    s24_status status = S24_OK;

    if (!counting) {
        g = s24c_grid_of(grid);
        s24c_outlier_scores(s, &g, outliers.by_magnitude, weight, w, mask, rows, score);
    }
    if (!counting && outliers.inputs) {
        s24c_outlier_sums(s, score, rows, grid->cols, sums);
        s24c_keep_rows(s, sums, 1, grid->cols, outliers.count, chosen);
    }
    if (!outliers.inputs)
        status = s24c_select(run, score, rows * grid->cols, outliers.count, grid->outliers);
    if (!counting)
        s24c_outlier_marks(s, outliers.inputs ? chosen : NULL, mask, w, ldexp(1, -grid->shift),
                           rows, grid->cols, grid->outliers, grid->value);
    run->arena->used = mark;
    return status || counting ? status : s24c_launched(run, "choose_outliers");
}

s24_status s24c_op_grid_round(const s24i_run *run, const s24i_grid *grid, const float *w,
                              int64_t rows, uint8_t *codes)
{
    s24c_grid g = s24c_grid_of(grid);
    s24c_grid_round(s24c_stream(run), &g, w, rows, codes);
    return s24c_launched(run, "grid_round");
}

s24_status s24c_op_grid_decode(const s24i_run *run, const s24i_grid *grid, const uint8_t *mask,
                               int64_t rows, uint8_t *codes, float *v)
{
    s24c_grid g = s24c_grid_of(grid);
    s24c_grid_decode(s24c_stream(run), &g, mask, rows, codes, v);
    return s24c_launched(run, "grid_decode");
}

s24_status s24c_op_grid_store(const s24i_run *run, const s24i_grid *grid, const s24_mat *scales,
                              const s24_mat *zeros)
{
    cudaStream_t s = s24c_stream(run);
    s24c_store(s, grid->scale, scales->dtype, scales->rows * scales->cols, scales->data);
    s24c_store(s, grid->zero, zeros->dtype, zeros->rows * zeros->cols, zeros->data);
    return s24c_launched(run, "grid_store");
}
