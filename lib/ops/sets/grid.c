#include "sets.h"
#include <math.h>
#include <stdlib.h>

/*
 * Values on a grid: within a group of consecutive columns of a row a weight is scale (code - zero), 0 <= code < 2^bits. The zero of
 * S24I_GRID_ASYM is one of the codes and that of S24I_GRID_SYM the code 2^(bits - 1), so that 0 is always a level. Of S24I_GRID_REAL the
 * zero is the least value, scale code + zero, and 0 need not be a level: under a mask pruned weights are 0 all the same.
 */

/* ---- Do codes decode? ---- */

typedef struct {
    const s24i_grid_form *form;
    const uint8_t *codes, *mask, *free;
    const float *scale, *zero, *v;
    int64_t cols;
    s24i_failure failure;
} claim;

static void check_row(void *arg, int64_t i, int32_t worker)
{
    (void)worker;
    claim *c = arg;
    int64_t n = c->cols, groups = s24i_grid_groups(c->form, n), group = s24i_grid_group(c->form, n);

    for (int64_t j = 0, g = i * groups; j < n; j++, g += j % group == 0) {
        int64_t at = i * n + j;
        bool kept = !c->mask || c->mask[at];
        float value = kept ? s24i_decode(c->form, c->scale[g], c->zero[g], c->codes[at]) : 0;
        if (c->codes[at] >> c->form->bits) {
            s24i_failure_keep(&c->failure, i,
                              s24i_fail(S24_E_STATE,
                                        "codes: row %lld, column %lld is %d, beyond %d bits",
                                        (long long)i, (long long)j, c->codes[at], c->form->bits));
            return;
        }
        if (c->v[at] != value && !(kept && c->free && c->free[at])) {
            s24i_failure_keep(
                &c->failure, i,
                s24i_fail(S24_E_STATE,
                          "weights: row %lld, column %lld is %.9g, but its code decodes to %.9g",
                          (long long)i, (long long)j, c->v[at], value));
            return;
        }
    }
}

s24_status s24i_check_codes(const s24i_device *device, const s24i_grid *grid, const uint8_t *codes,
                            const uint8_t *mask, const float *v, int64_t rows)
{
    claim c = {.form = &grid->form, .codes = codes, .mask = mask, .free = grid->free};
    c.scale = grid->scale;
    c.zero = grid->zero;
    c.v = v;
    c.cols = grid->cols;
    s24_status status = s24i_parallel(device->threads, check_row, &c, rows);
    return status ? status : s24i_failure_raise(&c.failure);
}

/* ---- Could values come from codes? ---- */

/* The values of a group without repetition, in ascending order. */
typedef struct {
    double value[S24I_MOST_LEVELS + 1];
    int32_t count;
} level_set;

/* False when the set is full. */
static bool insert(level_set *set, double value)
{
    int32_t low = 0, high = set->count;

    while (low < high) {
        int32_t middle = (low + high) / 2;
        if (set->value[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < set->count && set->value[low] == value)
        return true;
    if (set->count > S24I_MOST_LEVELS)
        return false;
    for (int32_t i = set->count++; i > low; i--)
        set->value[i] = set->value[i - 1];
    set->value[low] = value;
    return true;
}

/* Are all values `step` apart from the least one, within `error`, with 0 in the middle of a symmetric grid? */
static bool in_steps(const level_set *set, const s24i_grid_form *form, double step, double error)
{
    double least = set->value[0], most = set->value[set->count - 1],
           half = ldexp(1, form->bits - 1);

    for (int32_t i = 0; i < set->count; i++) {
        double steps = (set->value[i] - least) / step;
        if (fabs(steps - nearbyint(steps)) * step > error)
            return false;
    }
    if (form->scheme != S24I_GRID_SYM)
        return true;
    double below = nearbyint(-least / step), above = nearbyint(most / step);
    return below <= half && above <= half && below + above < 2 * half;
}

static bool on_grid(const level_set *set, const s24i_grid_form *form, double error, double least)
{
    int32_t levels = 1 << form->bits;
    double span = set->count ? set->value[set->count - 1] - set->value[0] : 0;
    double largest = set->count ? fmax(-set->value[0], set->value[set->count - 1]) : 0;
    double slack = fmax(error * largest, least);

    if (set->count > levels)
        return false;
    if (set->count < 3 || 4 * slack * levels > span)
        return true; /* no step could be told from another */
    for (int32_t k = set->count - 1; k < levels; k++)
        if (in_steps(set, form, span / k, 2 * slack))
            return true;
    return false;
}

s24_status s24i_check_levels(const s24i_grid_form *form, const double *v, int64_t cols,
                             double error, double least, bool sparse, int64_t row, const char *name)
{
    int64_t group = s24i_grid_group(form, cols);

    for (int64_t first = 0; first < cols; first += group) {
        int64_t end = first + group < cols ? first + group : cols;
        level_set set = {.count = 0};
        bool fits = form->scheme == S24I_GRID_REAL || insert(&set, 0);
        for (int64_t j = first; fits && j < end; j++)
            fits = (sparse && v[j] == 0) || insert(&set, v[j]);
        if (!fits || !on_grid(&set, form, error, least))
            return s24i_fail(
                S24_E_STATE, "%s: row %lld, columns %lld to %lld are not on a grid of %d levels",
                name, (long long)row, (long long)first, (long long)(end - 1), 1 << form->bits);
    }
    return S24_OK;
}

/* ---- From values to codes and back ---- */

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
