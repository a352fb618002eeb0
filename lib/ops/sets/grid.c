#include "sets.h"
#include <math.h>

/*
 * Values on a grid: within a group of consecutive columns of a row a weight is scale (code - zero),
 * 0 <= code < 2^bits. The zero of S24I_GRID_ASYM is one of the codes and that of S24I_GRID_SYM the
 * code 2^(bits - 1), so that 0 is always a level. Of S24I_GRID_REAL the zero is the least value,
 * scale code + zero, and 0 need not be a level: under a mask pruned weights are 0 all the same.
 */

typedef struct {
    const s24i_grid *grid;
    const float *w;
    const uint8_t *mask;
    uint8_t *codes;
    float *v;
} coding;

float s24i_grid_value(const s24i_grid *grid, const uint8_t *codes, int64_t row, int64_t col)
{
    int64_t at = row * grid->cols + col, group = s24i_grid_group(&grid->form, grid->cols);
    int64_t g = row * s24i_grid_groups(&grid->form, grid->cols) + col / group;

    return s24i_is_outlier(grid, at)
               ? grid->value[at]
               : grid->scale[g] * ((float)codes[at] - s24i_grid_zero(grid, g));
}

static void round_row(void *arg, int64_t i, int32_t worker)
{
    (void)worker;
    const coding *c = arg;
    const s24i_grid *grid = c->grid;
    int64_t n = grid->cols, group = s24i_grid_group(&grid->form, n);
    int64_t groups = s24i_grid_groups(&grid->form, n);
    float top = s24i_grid_top(&grid->form);
    double up = ldexp(1, grid->shift);
    for (int64_t j = 0; j < n; j++) {
        int64_t at = i * groups + j / group;
        float t = c->w[i * n + j] / (float)(grid->scale[at] * up) + s24i_grid_zero(grid, at);
        c->codes[i * n + j] = (uint8_t)s24i_nearest_code(t, top);
    }
}

s24_status s24i_cpu_grid_round(const s24i_run *run, const s24i_grid *grid, const float *w,
                               int64_t rows, uint8_t *codes)
{
    coding c = {.grid = grid, .w = w, .codes = codes};
    return s24i_parallel(run->device->threads, round_row, &c, rows);
}

static void decode_row(void *arg, int64_t i, int32_t worker)
{
    (void)worker;
    const coding *c = arg;
    const s24i_grid *grid = c->grid;
    int64_t n = grid->cols, group = s24i_grid_group(&grid->form, n);
    int64_t groups = s24i_grid_groups(&grid->form, n);
    float top = s24i_grid_top(&grid->form);
    for (int64_t j = 0; j < n; j++) {
        int64_t at = i * groups + j / group;
        uint8_t *code = &c->codes[i * n + j];
        bool kept = c->mask[i * n + j], outlier = kept && s24i_is_outlier(grid, i * n + j);
        if (!kept || outlier)
            *code = (uint8_t)s24i_nearest_code(s24i_grid_zero(grid, at), top);
        float value = s24i_decode(&grid->form, grid->scale[at], grid->zero[at], *code);
        c->v[i * n + j] = outlier ? grid->value[i * n + j] : kept ? value : 0;
    }
}

s24_status s24i_cpu_grid_decode(const s24i_run *run, const s24i_grid *grid, const uint8_t *mask,
                                int64_t rows, uint8_t *codes, float *v)
{
    coding c = {.grid = grid, .mask = mask, .codes = codes, .v = v};
    return s24i_parallel(run->device->threads, decode_row, &c, rows);
}

static void store(const s24i_kernels *kernels, const float *values, const s24_mat *mat)
{
    if (mat->dtype != S24_U8)
        s24i_mat_store(kernels, values, mat, 0, mat->rows);
    for (int64_t i = 0; mat->dtype == S24_U8 && i < mat->rows * mat->cols; i++)
        ((uint8_t *)mat->data)[i] = (uint8_t)values[i];
}

s24_status s24i_cpu_grid_store(const s24i_run *run, const s24i_grid *grid, const s24_mat *scales,
                               const s24_mat *zeros)
{
    store(run->device->kernels, grid->scale, scales);
    store(run->device->kernels, grid->zero, zeros);
    return S24_OK;
}

void s24i_grid_spread(const s24i_grid *grid, const double *scale, const int64_t *order, int64_t row,
                      int64_t rows, int64_t first, s24i_sweep_block *block, float *out)
{
    int64_t groups = s24i_grid_groups(&grid->form, grid->cols);
    int64_t group = s24i_grid_group(&grid->form, grid->cols), lanes = block->lanes;
    float *inverse = out + block->cols * lanes, *zero = inverse + block->cols * lanes;

    for (int64_t j = 0; j < block->cols; j++)
        for (int64_t r = 0; r < lanes; r++) {
            int64_t input = order ? order[first + j] : first + j, k = j * lanes + r;
            int64_t i = row + (r < rows ? r : 0), at = i * groups + input / group;
            bool outlier = s24i_is_outlier(grid, i * grid->cols + input);
            out[k] = outlier ? 0 : (float)(grid->scale[at] * scale[first + j]);
            inverse[k] = outlier ? 0 : 1 / out[k];
            zero[k] = s24i_grid_zero(grid, at);
        }
    block->step = out;
    block->inverse = inverse;
    block->zero = zero;
    block->top = s24i_grid_top(&grid->form);
}
