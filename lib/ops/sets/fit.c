#include "base/half.h"
#include "sets.h"
#include <math.h>
#include <string.h>

/*
 * Scales and zeros of grids. A candidate is the range of a group, 0 included, shrunk by a factor;
 * all candidates are rounded to the type that they are stored in before they are judged. Groups are
 * scaled to a largest magnitude of 1, so that nothing overflows and scaling W by a power of two
 * scales the grid.
 */
enum { CANDIDATES = 46, MSE_CANDIDATES = 80, REFINEMENTS = 3 };
#define MSE_NORM 2.4f

typedef struct {
    const s24i_device *device;
    int32_t method;
    const float *weight, *w;
    const uint8_t *mask;
    s24i_grid *grid;
    float largest;  /* |w| */
    float *scratch; /* 2 groups a worker */
    s24i_failure failure;
} fit;

/* One group, scaled; `unit` is what it was divided by. */
typedef struct {
    float *x, *weight;
    int64_t count;
    float unit, low, high, top;
    double down; /* to the matrix's own numbers: 2^-shift */
    const s24i_grid_form *form;
    int32_t type;
    bool fine; /* enough, if steps are the least number of the type */
} values;

typedef struct {
    float scale, zero; /* scale in units of the group, zero in codes */
    float error;
    float stored; /* the scale itself */
} candidate;

float s24i_stored(int32_t type, float x)
{
    return type == S24_F16    ? s24i_f16_to_f32(s24i_f32_to_f16(x))
           : type == S24_BF16 ? s24i_bf16_to_f32(s24i_f32_to_bf16(x))
                              : x;
}

static float least_number(int32_t type)
{
    return type == S24_F16 ? 0x1p-24f : type == S24_BF16 ? 0x1p-133f : 0x1p-149f;
}

/* A scale as it will be once it is stored; scale 0 if it does not fit. */
static void set_scale(const values *v, float scale, candidate *c)
{
    c->stored = s24i_stored(v->type, (float)(scale * v->unit * v->down));
    if (c->stored == 0 && scale > 0 && v->fine)
        c->stored = least_number(v->type);
    c->scale = isfinite(c->stored) && c->stored > 0 ? (float)(c->stored / v->down) / v->unit : 0;
}

static candidate shrunk(const values *v, float factor)
{
    float low = factor * v->low, high = factor * v->high;
    candidate c = {.error = INFINITY};
    if (v->form->scheme == S24I_GRID_SYM) {
        set_scale(v, 2 * fmaxf(-low, high) / v->top, &c);
        c.zero = (v->top + 1) / 2;
        return c;
    }
    set_scale(v, (high - low) / v->top, &c);
    if (c.scale > 0)
        c.zero = v->form->scheme == S24I_GRID_REAL ? -low / c.scale
                                                   : s24i_nearest_code(-low / c.scale, v->top);
    return c;
}

static void keep_better(candidate *best, candidate c)
{
    if (c.scale > 0 && (c.error < best->error || best->scale == 0))
        *best = c;
}

/* ---- methods ---- */

static candidate search_mse(const values *v)
{
    candidate best = {0};
    for (int k = 0; k < MSE_CANDIDATES; k++) {
        candidate c = shrunk(v, 1 - (float)k / 100);
        if (!(c.scale > 0))
            continue;
        c.error = 0;
        for (int64_t i = 0; i < v->count; i++) {
            float code = s24i_nearest_code(v->x[i] / c.scale + c.zero, v->top);
            c.error += powf(fabsf(c.scale * (code - c.zero) - v->x[i]), MSE_NORM);
        }
        keep_better(&best, c);
    }
    return best;
}

/* The three zeros around c's. */
static void judge(const fit *f, const values *v, candidate c, candidate *best)
{
    float sum[3];
    if (!(c.scale > 0))
        return;
    f->device->kernels->grid_errors(v->x, v->weight, v->count, 1 / c.scale, c.scale, c.zero, v->top,
                                    sum);
    for (int k = 0; k < 3; k++) {
        candidate one = {c.scale, c.zero + (float)(k - 1), sum[k], c.stored};
        bool allowed = v->form->scheme == S24I_GRID_SYM    ? k == 1
                       : v->form->scheme == S24I_GRID_ASYM ? one.zero >= 0 && one.zero <= v->top
                                                           : true;
        if (allowed)
            keep_better(best, one);
    }
}

/* Least squares for scale and zero given the codes; only for real zeros, others are refined by
 * s24i_cpu_descend(). */
static candidate least_squares(const values *v, candidate c)
{
    double n = 0, sc = 0, scc = 0, sx = 0, scx = 0;
    for (int64_t i = 0; i < v->count; i++) {
        double weight = v->weight[i], x = v->x[i];
        double code = s24i_nearest_code(v->x[i] / c.scale + c.zero, v->top);
        n += weight;
        sc += weight * code;
        scc += weight * code * code;
        sx += weight * x;
        scx += weight * code * x;
    }
    double determinant = n * scc - sc * sc;
    if (!(determinant > 1e-9 * n * scc))
        return (candidate){0};
    double scale = (n * scx - sc * sx) / determinant, least = (sx - scale * sc) / n;
    set_scale(v, (float)scale, &c);
    c.zero = c.scale > 0 ? (float)(-least / (double)c.scale) : 0;
    return c;
}

static candidate search_weighted(const fit *f, const values *v)
{
    candidate best = {0};
    for (int k = 0; k < CANDIDATES; k++)
        judge(f, v, shrunk(v, 1.1f - 0.9f * (float)k / (CANDIDATES - 1)), &best);
    for (int k = 0; k < REFINEMENTS && v->form->scheme == S24I_GRID_REAL && best.scale > 0; k++)
        judge(f, v, least_squares(v, best), &best);
    return best;
}

/* ---- groups ---- */

/* As fminf, fmaxf for numbers, without a call. */
static inline float least(float x, float y)
{
    return x < y ? x : y;
}

static inline float most(float x, float y)
{
    return x > y ? x : y;
}

/* What of group [first, end) of a row is kept and goes on the grid. */
static void gather(const fit *f, int64_t row, int64_t first, int64_t end, values *v)
{
    int64_t n = f->grid->cols;
    float heaviest = 0;
    v->count = 0;
    v->unit = v->low = v->high = 0;
    for (int64_t j = first; j < end; j++) {
        if ((f->mask && !f->mask[row * n + j]) || s24i_is_outlier(f->grid, row * n + j))
            continue;
        v->x[v->count] = f->w[row * n + j];
        v->weight[v->count] = f->weight ? f->weight[j] : 1;
        v->unit = most(v->unit, fabsf(v->x[v->count]));
        heaviest = most(heaviest, v->weight[v->count++]);
    }
    for (int64_t i = 0; i < v->count && v->unit > 0; i++) {
        v->x[i] /= v->unit;
        v->weight[i] /= heaviest > 0 ? heaviest : 1;
        v->low = least(v->low, v->x[i]);
        v->high = most(v->high, v->x[i]);
    }
    v->fine =
        v->form->scheme == S24I_GRID_REAL || v->type == S24_F32 || v->unit < f->largest * 0x1p-10f;
    if (v->form->scheme == S24I_GRID_REAL && v->count && v->unit > 0) {
        v->low = v->high = v->x[0]; /* 0 need not be in the range */
        for (int64_t i = 1; i < v->count; i++) {
            v->low = least(v->low, v->x[i]);
            v->high = most(v->high, v->x[i]);
        }
        if (v->low == v->high)
            v->low = least(v->low, 0), v->high = most(v->high, 0);
    }
}

static candidate choose(const fit *f, const values *v)
{
    return f->method == S24I_FIT_MINMAX ? shrunk(v, 1)
           : f->method == S24I_FIT_MSE  ? search_mse(v)
                                        : search_weighted(f, v);
}

/* Groups of nothing but zeros: every level of a scale that the row knows anyway. */
static void fill_empty(const fit *f, int64_t row, int64_t groups)
{
    float *scale = f->grid->scale + row * groups, *zero = f->grid->zero + row * groups;
    float largest = 0, middle = ldexpf(1, f->grid->form.bits - 1);
    for (int64_t g = 0; g < groups; g++)
        largest = fmaxf(largest, scale[g]);
    for (int64_t g = 0; g < groups; g++)
        if (scale[g] == 0) {
            scale[g] = largest > 0 ? largest : 1;
            zero[g] = f->grid->form.scheme == S24I_GRID_REAL ? 0 : middle;
        }
}

static void fit_row(void *arg, int64_t row, int32_t worker)
{
    fit *f = arg;
    s24i_grid *grid = f->grid;
    int64_t n = grid->cols, group = s24i_grid_group(&grid->form, n);
    int64_t groups = s24i_grid_groups(&grid->form, n);
    values v = {.form = &grid->form, .type = grid->type, .top = s24i_grid_top(&grid->form)};
    v.down = ldexp(1, -grid->shift);
    v.x = f->scratch + 2 * group * worker;
    v.weight = v.x + group;
    for (int64_t g = 0; g < groups; g++) {
        gather(f, row, g * group, g * group + group < n ? g * group + group : n, &v);
        candidate c = v.unit > 0 ? choose(f, &v) : (candidate){0};
        if (v.unit > 0 && !(c.scale > 0))
            s24i_failure_keep(&f->failure, row,
                              s24i_fail(S24_E_NUMERIC,
                                        "grid: weights up to %g in row %lld, group %lld need a "
                                        "scale beyond the range of its type: use scales=f32",
                                        v.unit * v.down, (long long)row, (long long)g));
        grid->scale[row * groups + g] = c.stored;
        grid->zero[row * groups + g] =
            grid->form.scheme == S24I_GRID_REAL
                ? s24i_stored(grid->type, (float)(-c.zero * c.scale * v.unit * v.down))
                : c.zero;
    }
    fill_empty(f, row, groups);
}

s24_status s24i_cpu_grid_fit(const s24i_run *run, int32_t method, const float *weight,
                             const float *w, const uint8_t *mask, int64_t rows, s24i_grid *grid)
{
    size_t mark = run->arena->used;
    fit f = {.device = run->device,
             .method = method,
             .weight = weight,
             .w = w,
             .mask = mask,
             .grid = grid};
    f.scratch = s24i_arena_take(run->arena,
                                2 * (size_t)s24i_grid_group(&grid->form, grid->cols) *
                                    (size_t)s24i_workers(run->device->threads),
                                sizeof(float));
    s24_status status = S24_OK;
    if (!s24i_counting(run)) {
        f.largest = s24i_largest(w, rows * grid->cols);
        status = s24i_parallel(run->device->threads, fit_row, &f, rows);
    }
    if (!status)
        status = s24i_failure_raise(&f.failure);
    run->arena->used = mark;
    return status;
}
