#include "base/sort.h"
#include "ops/linear/linear.h"
#include <math.h>
#include <string.h>

/* A matrix in unit-diagonal coordinates: the factor, the aim, the way back, and its inputs in
 * another order. */

#define DEAD_INPUT 1e-12  /* of the largest diagonal entry */
#define PIVOT_FLOOR 1e-6f /* of R_jj^2, in single precision and unit-diagonal coordinates */
#define FIRST_CLIMB 1e-6  /* where the ladder starts from no damping at all */
enum { LADDER = 6, TILE = 64, ROWS = 32 };

/* For scales up to `root` before any unit is applied. */
static void set_units(double root, s24i_prepared *out)
{
    out->unit = s24i_unit_for(fmax(root * out->largest, out->wanted));
    out->plain = s24i_unit_for(root) / out->unit;
}

/* scale, dead and nothing else. Delta_j is `damp` times the diagonal entry, the mean of all, or
 * both. */
static void set_scale(const s24i_gram *gram, int which, s24i_damping damping, s24i_prepared *out)
{
    double largest = 0, mean = 0, plain;
    for (int64_t j = 0; j < out->dim; j++) {
        double h = s24i_gram_diagonal(gram, which, j);
        largest = h > largest ? h : largest;
        mean += h / (double)out->dim;
    }
    set_units(sqrt(largest), out);
    plain = out->plain * out->unit;
    for (int64_t j = 0; j < out->dim; j++) {
        double h = s24i_gram_diagonal(gram, which, j);
        out->dead[j] = !(h > DEAD_INPUT * largest);
        double delta = damping.value * ((damping.rule == S24I_DAMP_MEAN ? 0 : h) +
                                        (damping.rule == S24I_DAMP_RELATIVE ? 0 : mean));
        double root = sqrt(h + delta);
        out->scale[j] = (out->dead[j] ? 1 : (float)(root * plain)) / out->plain;
        out->inverse[j] = out->dead[j] ? 0 : 1 / root;
        out->share[j] = out->dead[j] ? 0 : (float)(delta / (h + delta));
    }
}

typedef struct {
    const s24i_gram *gram;
    int which;
    s24i_prepared *out;
    int64_t tiles;
    const s24i_kernels *kernels;
} fill;

static void fill_row(const fill *f, int64_t i, int64_t j0, int64_t j1)
{
    const double *first = s24i_gram_row(f->gram, f->which & S24I_FIRST ? 0 : 1, i);
    const double *second = f->which == S24I_BOTH ? s24i_gram_row(f->gram, 1, i) : NULL;
    const double *inverse = f->out->inverse, mine = inverse[i];
    float *s = f->out->s + i * f->out->dim;
    for (int64_t j = j0; second && j < j1; j++)
        s[j] = s24i_drop_tiny((float)((first[j] + second[j]) * mine * inverse[j]), S24I_TINY_ENTRY);
    for (int64_t j = j0; !second && j < j1; j++)
        s[j] = s24i_drop_tiny((float)(first[j] * mine * inverse[j]), S24I_TINY_ENTRY);
    if (j1 == i + 1)
        s[i] = 1;
}

/* One tile of the lower triangle, its mirror image, and that again as R. */
static void fill_tile(void *arg, int64_t index, int32_t worker)
{
    (void)worker;
    const fill *f = arg;
    int64_t n = f->out->dim, i0 = index / f->tiles * TILE, j0 = index % f->tiles * TILE;
    int64_t i1 = i0 + TILE < n ? i0 + TILE : n, j1 = j0 + TILE < n ? j0 + TILE : n;
    if (j0 > i0)
        return;
    for (int64_t i = i0; i < i1; i++)
        fill_row(f, i, j0, j1 < i + 1 ? j1 : i + 1);
    float *s = f->out->s;
    for (int64_t j = j0; i0 == j0 && j < j1; j++)
        for (int64_t i = j; i < i1; i++)
            s[j * n + i] = s[i * n + j];
    if (i0 > j0)
        f->kernels->transpose(s + i0 * n + j0, n, s + j0 * n + i0, n, i1 - i0, j1 - j0);
    for (int64_t j = j0; j < j1; j++) {
        int64_t first = i0 > j ? i0 : j;
        memcpy(f->out->r + j * n + first, s + j * n + first, (size_t)(i1 - first) * sizeof(float));
    }
}

s24_status s24i_cpu_prepare_factor(const s24i_run *run, const s24i_gram *gram, int which,
                                   s24i_damping damping, s24i_prepared *out)
{
    if (s24i_counting(run))
        return s24i_cholesky(run, out->dim, NULL, NULL, 0, NULL);
    fill f = {.gram = gram, .which = which, .out = out, .tiles = (out->dim + TILE - 1) / TILE};
    f.kernels = run->device->kernels;
    bool positive = false;
    for (out->climbs = 0; !positive && out->climbs <= LADDER; out->climbs++) {
        set_scale(gram, which, damping, out);
        s24_status status = s24i_parallel(run->device->threads, fill_tile, &f, f.tiles * f.tiles);
        if (!status)
            status = s24i_cholesky(run, out->dim, out->r, out->inv_diag, PIVOT_FLOOR, &positive);
        if (status)
            return status;
        out->damp = damping.value;
        damping.value = damping.value > 0 ? damping.value * 10 : FIRST_CLIMB;
    }
    out->climbs--;
    if (!positive)
        return s24i_fail(S24_E_NUMERIC,
                         "H is not positive definite even with damping %g of the diagonal; the "
                         "calibration rows may hold very few distinct values",
                         out->damp);
    return S24_OK;
}

s24_status s24i_cpu_prepare_reach(const s24i_run *run, const s24i_matrix *matrix, const float *w,
                                  s24i_prepared *out)
{
    if (s24i_counting(run))
        return S24_OK;
    out->largest = s24i_largest(w, matrix->rows * matrix->cols);
    for (int64_t i = 0; matrix->cross && matrix->blend > 0 && i < matrix->rows; i++)
        out->wanted =
            fmax(out->wanted, sqrt(matrix->cross->norm2[0][i] + matrix->cross->norm2[1][i]));
    return S24_OK;
}

s24_status s24i_cpu_prepare_identity(const s24i_run *run, s24i_prepared *out)
{
    int64_t n = out->dim;
    set_units(1, out);
    memset(out->dead, 0, (size_t)n);
    memset(out->s, 0, (size_t)(n * n) * sizeof(float));
    memset(out->inv_diag, 0, (size_t)(n * S24I_BLOCK) * sizeof(float));
    for (int64_t j = 0; j < n; j++) {
        out->scale[j] = out->unit;
        out->inverse[j] = out->s[j * n + j] = 1;
        out->share[j] = 0;
        out->inv_diag[j * S24I_BLOCK + j % S24I_BLOCK] = 1;
    }
    memcpy(out->r, out->s, (size_t)(n * n) * sizeof(float));
    out->damp = 0;
    out->climbs = 0;
    return S24_OK;
}

/* ---- the aim ---- */

typedef struct {
    const s24i_device *device;
    const s24i_matrix *matrix;
    const s24i_prepared *prepared;
    int which;
    float *w, *step;
    s24i_panels s; /* of prepared */
    const int64_t *row_of;
    int64_t rows;
} aim;

static void scale_row(void *arg, int64_t i, int32_t worker)
{
    (void)worker;
    const aim *a = arg;
    float *w = a->w + i * a->prepared->dim;
    for (int64_t j = 0; j < a->prepared->dim; j++)
        w[j] = a->prepared->dead[j]
                   ? 0
                   : s24i_drop_tiny((float)(w[j] * a->prepared->scale[j]), S24I_TINY_WEIGHT);
}

/* step = (C - W H) diag(1/scale), where W H diag(1/scale) = w S - w diag(share) for the scaled w: S
 * holds the damping too. w is 0 at dead inputs and S nothing beside their diagonal, so step is 0
 * there. */
static void step_tile(void *arg, int64_t tile, int32_t worker)
{
    (void)worker;
    const aim *a = arg;
    const s24i_cross *cross = a->matrix->cross;
    int64_t n = a->prepared->dim, first = tile * ROWS;
    int64_t rows = a->rows - first < ROWS ? a->rows - first : ROWS;
    const float *w = a->w + first * n;
    float *step = a->step + first * n;
    s24i_times_packed(a->device, rows, w, &a->s, step);
    for (int64_t i = 0; i < rows; i++) {
        int64_t source = (a->row_of ? a->row_of[first + i] : first + i) * n;
        for (int64_t j = 0; j < n; j++) {
            double c = (a->which & S24I_FIRST ? cross->half[0][source + j] : 0) +
                       (a->which & S24I_SECOND ? cross->half[1][source + j] : 0);
            double wh = (double)step[i * n + j] - (double)w[i * n + j] * a->prepared->share[j];
            step[i * n + j] = (float)(c * a->prepared->inverse[j] * a->prepared->unit - wh);
        }
    }
}

static void add_step(void *arg, int64_t i, int32_t worker)
{
    (void)worker;
    const aim *a = arg;
    int64_t n = a->prepared->dim;
    a->device->kernels->cg_direction(a->step + i * n, a->w + i * n, (float)a->matrix->blend, n);
    memcpy(a->w + i * n, a->step + i * n, (size_t)n * sizeof(float));
}

s24_status s24i_cpu_prepare_aim(const s24i_run *run, const s24i_matrix *matrix, int which,
                                const s24i_prepared *prepared, float *w, const int64_t *row_of,
                                int64_t rows)
{
    size_t mark = run->arena->used;
    aim a = {.device = run->device, .matrix = matrix, .prepared = prepared, .which = which, .w = w};
    a.row_of = row_of;
    a.rows = rows;
    bool target = matrix->cross && matrix->blend > 0;
    s24_status status = S24_OK;
    if (target) {
        a.step = s24i_arena_take(run->arena, (size_t)(rows * prepared->dim), sizeof(float));
        status = s24i_take_panels(run, prepared->dim, prepared->s, &a.s);
    }
    if (status || s24i_counting(run)) {
        if (target && !status)
            s24i_solve_rows(run, prepared->dim, NULL, NULL, NULL, rows);
        goto done;
    }
    run->arena->flops += target ? s24i_product_flops(rows, prepared->dim) : 0;
    status = s24i_parallel(run->device->threads, scale_row, &a, rows);
    if (target && !status)
        status = s24i_parallel(run->device->threads, step_tile, &a, (rows + ROWS - 1) / ROWS);
    if (target && !status)
        status = s24i_solve_rows(run, prepared->dim, prepared->r, prepared->inv_diag, a.step, rows);
    if (target && !status)
        status = s24i_parallel(run->device->threads, add_step, &a, rows);
done:
    run->arena->used = mark;
    return status;
}

/* ---- the way back ---- */

typedef struct {
    const s24i_prepared *prepared;
    float *v;
} unscaling;

static void unscale_row(void *arg, int64_t i, int32_t worker)
{
    (void)worker;
    const unscaling *u = arg;
    const s24i_prepared *p = u->prepared;
    float *v = u->v + i * p->dim;
    for (int64_t j = 0; j < p->dim; j++)
        v[j] = (float)(v[j] * p->inverse[j] / p->unit);
}

s24_status s24i_cpu_unscale(const s24i_run *run, const s24i_prepared *prepared, float *v,
                            int64_t rows)
{
    unscaling u = {.prepared = prepared, .v = v};
    return s24i_parallel(run->device->threads, unscale_row, &u, rows);
}

/* ---- orders of the inputs ---- */

enum { STRIP = 64 };

typedef struct {
    size_t n;
    const float *u;
    float *variance;
} column_norms;

/* [S^-1]_jj is the square of column j of U = R^-1, which is upper triangular. */
static void column_norm_strip(void *arg, int64_t strip, int32_t worker)
{
    (void)worker;
    const column_norms *c = arg;
    size_t n = c->n, first = (size_t)strip * STRIP, end = first + STRIP < n ? first + STRIP : n;
    double sum[STRIP] = {0};
    for (size_t i = 0; i < end; i++)
        for (size_t j = i > first ? i : first; j < end; j++)
            sum[j - first] += (double)c->u[i * n + j] * (double)c->u[i * n + j];
    for (size_t j = first; j < end; j++)
        c->variance[j] = (float)(1 / sum[j - first]);
}

s24_status s24i_cpu_variances(const s24i_run *run, const s24i_prepared *prepared, float *variance)
{
    size_t mark = run->arena->used, n = (size_t)prepared->dim;
    float *u = s24i_arena_take(run->arena, s24i_mul(n, n), sizeof(float));
    s24_status status = s24i_invert_factor(run, prepared->dim, prepared->r, prepared->inv_diag, u);
    column_norms c = {n, u, variance};
    if (!status && !s24i_counting(run))
        status = s24i_parallel(run->device->threads, column_norm_strip, &c,
                               (int64_t)(n + STRIP - 1) / STRIP);
    run->arena->used = mark;
    return status;
}

static int falling(const void *a, const void *b)
{
    const float *x = a, *y = b;
    return *x > *y ? -1 : *x < *y ? 1 : x < y ? -1 : x > y;
}

s24_status s24i_cpu_order_by(const s24i_run *run, const float *key, int64_t count, int64_t *order)
{
    size_t mark = run->arena->used;
    const void **items = s24i_arena_take(run->arena, (size_t)count, sizeof *items);
    if (!s24i_counting(run)) {
        for (int64_t j = 0; j < count; j++)
            items[j] = key + j;
        s24i_sort(items, count, falling);
        for (int64_t j = 0; j < count; j++)
            order[j] = (const float *)items[j] - key;
    }
    run->arena->used = mark;
    return S24_OK;
}

typedef struct {
    const s24i_prepared *from;
    const int64_t *order;
    s24i_prepared *to;
} reordering;

static void reorder_row(void *arg, int64_t i, int32_t worker)
{
    (void)worker;
    const reordering *o = arg;
    int64_t n = o->from->dim;
    const float *from = o->from->s + o->order[i] * n;
    o->to->scale[i] = o->from->scale[o->order[i]];
    for (int64_t j = i; j < n; j++)
        o->to->r[i * n + j] = from[o->order[j]];
}

s24_status s24i_cpu_reorder(const s24i_run *run, const s24i_prepared *prepared,
                            const int64_t *order, s24i_prepared *out)
{
    size_t n = (size_t)prepared->dim;
    bool positive = true;
    *out = (s24i_prepared){.dim = prepared->dim, .heldout = NAN};
    out->unit = prepared->unit;
    out->plain = prepared->plain;
    out->scale = s24i_arena_take(run->arena, n, sizeof(double));
    out->r = s24i_arena_take(run->arena, s24i_mul(n, n), sizeof(float));
    out->inv_diag = s24i_arena_take(run->arena, n * S24I_BLOCK, sizeof(float));
    reordering o = {prepared, order, out};
    s24_status status = S24_OK;
    if (!s24i_counting(run))
        status = s24i_parallel(run->device->threads, reorder_row, &o, prepared->dim);
    if (!status)
        status =
            s24i_cholesky(run, prepared->dim, out->r, out->inv_diag, PIVOT_FLOOR / 16, &positive);
    if (!status && !positive)
        status = s24i_fail(S24_E_NUMERIC, "H has no factor with its inputs in another order: use "
                                          "more damping");
    return status;
}
