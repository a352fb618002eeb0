#include "sets.h"
#include <math.h>
#include <string.h>

/* Do weights, and what they consist of, obey the constraints? */

/* ---- The support ---- */

/* support = values != 0, in their own type. */
static void find_support(const s24i_kernels *kernels, const s24_mat *w, double *row,
                         uint8_t *support)
{
    for (int64_t i = 0; i < w->rows; i++) {
        s24i_mat_load_f64(kernels, w, i, 1, row);
        for (int64_t j = 0; j < w->cols; j++)
            support[i * w->cols + j] = row[j] != 0;
    }
}

static s24_status check_cover(const s24i_solution *s, const uint8_t *support)
{
    int64_t rows = s->mask->rows, cols = s->mask->cols;
    const uint8_t *mask = s->mask->data;

    for (int64_t i = 0; i < rows * cols; i++)
        if (support[i] && !mask[i])
            return s24i_fail(S24_E_STATE, "%s: row %lld, column %lld is not zero where the mask is",
                             s->name, (long long)(i / cols), (long long)(i % cols));
    return S24_OK;
}

s24_status s24i_check_zeros(const s24i_run *run, const s24i_constraints *constraints,
                            const s24i_solution *s)
{
    const s24_mat *subject = s24i_subject(s);
    int64_t rows = s->weights->rows, cols = s->weights->cols;
    size_t kept = run->arena->used;
    double *row = s24i_arena_take(run->arena, (size_t)cols, sizeof *row);
    uint8_t *support = s24i_arena_take(run->arena, (size_t)(rows * cols), 1);
    s24_status status = S24_OK;

    if (subject && !s24i_counting(run)) {
        find_support(run->device->kernels, subject, row, support);
        status = s24i_obeys(constraints, support, rows, cols, s->name);
        if (!status && s->mask)
            status = check_cover(s, support);
        if (!status && s->mask)
            status = s24i_obeys(constraints, s->mask->data, rows, cols, "mask");
    }
    run->arena->used = kept;
    return status;
}

s24_status s24i_check_finite(const s24i_run *run, const s24_mat *weights, const char *solver)
{
    const float *v = weights->data;
    int64_t cols = weights->cols;
    int64_t bad = run->device->kernels->first_nonfinite(v, weights->rows * cols);

    if (bad < 0)
        return S24_OK;
    return s24i_fail(S24_E_NUMERIC, "solver %s: the weight in row %lld, column %lld became %g",
                     solver, (long long)(bad / cols), (long long)(bad % cols), v[bad]);
}

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
    claim c = {.form = &grid->form, .codes = codes, .mask = mask, .free = grid->outliers};
    c.scale = grid->scale;
    c.zero = grid->zero;
    c.v = v;
    c.cols = grid->cols;
    s24_status status = s24i_parallel(device->threads, check_row, &c, rows);
    return status ? status : s24i_failure_raise(&c.failure);
}

/* Scales and zeros of any type as floats, rows x groups. */
static void load_any(const s24i_kernels *kernels, const s24_mat *mat, float *out)
{
    if (mat->dtype != S24_U8)
        s24i_mat_load(kernels, mat, 0, mat->rows, out);
    for (int64_t i = 0; mat->dtype == S24_U8 && i < mat->rows * mat->cols; i++)
        out[i] = ((const uint8_t *)mat->data)[i];
}

s24_status s24i_check_coded(const s24i_run *run, const s24i_grid_form *form, const s24i_solution *s)
{
    size_t kept = run->arena->used, size = (size_t)(s->scales->rows * s->scales->cols);
    s24i_grid grid = {.form = *form, .cols = s->weights->cols};
    s24_status status = S24_OK;

    grid.scale = s24i_arena_take(run->arena, size, sizeof(float));
    grid.zero = s24i_arena_take(run->arena, size, sizeof(float));
    if (!s24i_counting(run)) {
        load_any(run->device->kernels, s->scales, grid.scale);
        load_any(run->device->kernels, s->zeros, grid.zero);
        grid.outliers = s->outliers ? s->outliers->data : NULL;
        status = s24i_check_codes(run->device, &grid, s->codes->data, s->mask->data,
                                  s24i_subject(s)->data, s->weights->rows);
    }
    run->arena->used = kept;
    return status;
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

/* Are all values `step` apart from the least one, within `error`, with 0 in the middle of a
 * symmetric grid? */
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

/* How far rounding to its type may move a value, relative to it. */
static double rounding(int32_t dtype)
{
    return dtype == S24_F64    ? 0x1p-24 /* it may have been made in single precision */
           : dtype == S24_F32  ? 0x1p-23
           : dtype == S24_BF16 ? 0x1p-8
                               : 0x1p-11;
}

/* Between neighbours among the least numbers of a type: as much is rounded off whatever the
 * value. */
static double least_step(int32_t dtype)
{
    return dtype == S24_F16 ? 0x1p-24 : dtype == S24_BF16 ? 0x1p-133 : 0x1p-149;
}

static s24_status check_levels(const s24i_grid_form *form, const s24i_solution *s, const double *v,
                               bool sparse, int64_t row)
{
    int64_t cols = s->weights->cols, group = s24i_grid_group(form, cols);
    double error = rounding(s->weights->dtype), least = least_step(s->weights->dtype);

    for (int64_t first = 0; first < cols; first += group) {
        int64_t end = first + group < cols ? first + group : cols;
        level_set set = {.count = 0};
        bool fits = form->scheme == S24I_GRID_REAL || insert(&set, 0);
        for (int64_t j = first; fits && j < end; j++)
            fits = (sparse && v[j] == 0) || insert(&set, v[j]);
        if (!fits || !on_grid(&set, form, error, least))
            return s24i_fail(
                S24_E_STATE, "%s: row %lld, columns %lld to %lld are not on a grid of %d levels",
                s->name, (long long)row, (long long)first, (long long)(end - 1), 1 << form->bits);
    }
    return S24_OK;
}

s24_status s24i_check_on_grid(const s24i_run *run, const s24i_grid_form *form,
                              const s24i_solution *s, bool sparse)
{
    size_t kept = run->arena->used;
    double *row = s24i_arena_take(run->arena, (size_t)s->weights->cols, sizeof *row);
    s24_status status = S24_OK;

    for (int64_t i = 0; !status && !s24i_counting(run) && i < s->weights->rows; i++) {
        s24i_mat_load_f64(run->device->kernels, s->weights, i, 1, row);
        status = check_levels(form, s, row, sparse, i);
    }
    run->arena->used = kept;
    return status;
}

/* ---- The rank ---- */

enum { TILE = 16 }; /* rows whose products are formed at a time */

typedef struct {
    double *u, *v, *norm, *product, *row, *sparse;
} sums;

/* weights = sparse + U V in row `first + i` of a tile, within the rounding of sums in single
 * precision. */
static s24_status check_sum(const s24i_run *run, const s24i_solution *c, const sums *s,
                            int64_t first, int64_t i)
{
    int64_t cols = c->weights->cols, rank = c->u->cols;
    double norm = 0;

    for (int64_t k = 0; k < rank; k++)
        norm += s->u[i * rank + k] * s->u[i * rank + k];
    norm = sqrt(norm);
    s24i_mat_load_f64(run->device->kernels, c->weights, first + i, 1, s->row);
    memset(s->sparse, 0, (size_t)cols * sizeof *s->sparse);
    if (c->sparse)
        s24i_mat_load_f64(run->device->kernels, c->sparse, first + i, 1, s->sparse);
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

static s24_status check_sums(const s24i_run *run, const s24i_solution *c, const sums *s)
{
    const s24i_kernels *kernels = run->device->kernels;
    int64_t rows = c->weights->rows, cols = c->weights->cols, rank = c->u->cols;
    s24_status status = S24_OK;

    s24i_mat_load_f64(kernels, c->v, 0, rank, s->v);
    for (int64_t j = 0; j < cols; j++) {
        double sum = 0;
        for (int64_t k = 0; k < rank; k++)
            sum += s->v[k * cols + j] * s->v[k * cols + j];
        s->norm[j] = sqrt(sum);
    }
    for (int64_t first = 0; !status && first < rows; first += TILE) {
        int64_t count = rows - first < TILE ? rows - first : TILE;
        s24i_mat_load_f64(kernels, c->u, first, count, s->u);
        s24i_dgemm(count, cols, rank, 1, s24i_f64(s->u, rank), s24i_f64(s->v, cols), 0,
                   s24i_f64_out(s->product, cols));
        for (int64_t i = 0; !status && i < count; i++)
            status = check_sum(run, c, s, first, i);
    }
    return status;
}

s24_status s24i_check_factors(const s24i_run *run, const s24i_solution *c)
{
    int64_t cols = c->weights->cols, rank = c->u->cols;
    size_t kept = run->arena->used;
    sums s = {.u = s24i_arena_take(run->arena, (size_t)(TILE * rank), sizeof(double)),
              .v = s24i_arena_take(run->arena, (size_t)(rank * cols), sizeof(double)),
              .norm = s24i_arena_take(run->arena, (size_t)cols, sizeof(double)),
              .product = s24i_arena_take(run->arena, (size_t)(TILE * cols), sizeof(double)),
              .row = s24i_arena_take(run->arena, (size_t)cols, sizeof(double)),
              .sparse = s24i_arena_take(run->arena, (size_t)cols, sizeof(double))};
    s24_status status = s24i_counting(run) ? S24_OK : check_sums(run, c, &s);

    run->arena->used = kept;
    return status;
}
