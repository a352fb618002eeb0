#include "steps.h"
#include <math.h>
#include <string.h>

/*
 * Conjugate gradients for S_MM v_M = (S w)_M, every row of the matrix its own system, a tile of
 * rows one product with S an iteration. In unit-diagonal coordinates the Jacobi preconditioner is
 * the identity. The residual is kept zero off the mask, so its norm is the masked one and a row
 * stops when it should.
 */
enum { THIN = 32, STRIP = 48 };

/* Wide tiles make better products, many tiles better balance. Of the shape alone. So few rows are
 * one tile, and the columns of their products are shared out. */
static int64_t tile_rows(int64_t rows)
{
    return rows >= 1024 ? S24I_CG_ROWS : rows >= 256 ? 64 : rows > THIN ? 32 : THIN;
}

typedef struct {
    const s24i_device *device;
    const s24i_prepared *p;
    const float *w;
    const uint8_t *mask;
    s24i_cg_limits limits;
    float *v;
    double *left;         /* a row: relative residual at the end */
    bool thin;            /* products run on all threads: not inside a task */
    const s24i_panels *s; /* or NULL */
} cg;

/* to = from S, S symmetric. */
typedef struct {
    const cg *c;
    const float *from;
    int64_t rows;
    float *to;
} thin_product;

static void multiply_strip(void *arg, int64_t strip, int32_t worker)
{
    (void)worker;
    const thin_product *t = arg;
    int64_t n = t->c->p->dim, first = strip * STRIP, cols = n - first < STRIP ? n - first : STRIP;
    t->c->device->kernels->dot_rows(t->from, t->rows, t->c->p->s + first * n, cols, n,
                                    t->to + first, n);
}

static s24_status multiply(const cg *c, const float *from, int64_t rows, float *to)
{
    int64_t n = c->p->dim;
    thin_product t = {c, from, rows, to};
    if (c->thin)
        return s24i_parallel(c->device->threads, multiply_strip, &t, (n + STRIP - 1) / STRIP);
    if (c->s)
        s24i_times_packed(c->device, rows, from, c->s, to);
    else
        s24i_times(rows, n, from, c->p->s, to);
    return S24_OK;
}

/* The rows of a tile that still run, packed to the front: the product shrinks as rows finish. */
typedef struct {
    int64_t n, running;
    int64_t row[S24I_CG_ROWS]; /* of the tile */
    float *r, *p, *ap;
    double start[S24I_CG_ROWS], norm2[S24I_CG_ROWS];
} tile_state;

static bool done(const cg *c, const tile_state *t, int64_t i)
{
    return !(t->norm2[i] > c->limits.tol * c->limits.tol * t->start[i]);
}

/* Record where a row ended and move the last one into its place. */
static void retire(const cg *c, tile_state *t, int64_t i)
{
    size_t size = (size_t)t->n * sizeof(float);
    int64_t last = --t->running;
    c->left[t->row[i]] = t->start[i] > 0 ? sqrt(t->norm2[i] / t->start[i]) : 0;
    if (i == last)
        return;
    memcpy(t->r + i * t->n, t->r + last * t->n, size);
    memcpy(t->p + i * t->n, t->p + last * t->n, size);
    t->row[i] = t->row[last];
    t->start[i] = t->start[last];
    t->norm2[i] = t->norm2[last];
}

/* r = ((w - v) S) on the mask, p = r. */
static s24_status begin(const cg *c, tile_state *t, int64_t rows)
{
    const s24i_kernels *kernels = c->device->kernels;
    int64_t n = t->n;
    for (int64_t i = 0; i < rows * n; i++)
        t->p[i] = c->w[i] - c->v[i];
    s24_status status = multiply(c, t->p, rows, t->r);
    for (int64_t i = 0; i < rows; i++) {
        float *r = t->r + i * n;
        kernels->apply_mask(r, c->mask + i * n, r, n);
        t->row[i] = i;
        t->start[i] = t->norm2[i] = kernels->sum_squares(r, n);
    }
    memcpy(t->p, t->r, (size_t)(rows * n) * sizeof(float));
    t->running = rows;
    for (int64_t i = rows - 1; i >= 0; i--)
        if (done(c, t, i))
            retire(c, t, i);
    return status;
}

/* One iteration of one row, with ap = p S. */
static void advance(const cg *c, tile_state *t, int64_t i)
{
    const s24i_kernels *kernels = c->device->kernels;
    int64_t n = t->n, row = t->row[i] * n;
    float *p = t->p + i * n, *ap = t->ap + i * n;
    double curvature = kernels->dot(p, ap, n); /* p is 0 off the mask */
    if (!(curvature > 0)) {
        t->norm2[i] = 0; /* no direction of descent is left in single precision */
        return;
    }
    double norm2 = kernels->cg_step(c->v + row, t->r + i * n, p, ap, c->mask + row,
                                    (float)(t->norm2[i] / curvature), n);
    kernels->cg_direction(p, t->r + i * n, (float)(norm2 / t->norm2[i]), n);
    t->norm2[i] = norm2;
}

static s24_status run_rows(const cg *c, s24i_watch *watch, int64_t rows, float *scratch,
                           int32_t *iterations, int64_t *products)
{
    tile_state t = {.n = c->p->dim};
    t.r = scratch;
    t.p = t.r + rows * t.n;
    t.ap = t.p + rows * t.n;
    s24_status status = begin(c, &t, rows);
    *iterations = 0;
    *products = rows;
    while (!status && t.running && *iterations < c->limits.max_iter && !s24i_watch_stopped(watch)) {
        status = multiply(c, t.p, t.running, t.ap);
        *products += t.running;
        for (int64_t i = t.running - 1; i >= 0 && !status; i--) {
            advance(c, &t, i);
            if (done(c, &t, i))
                retire(c, &t, i);
        }
        ++*iterations;
    }
    while (t.running)
        retire(c, &t, t.running - 1);
    return status;
}

int32_t s24i_cg_rows(const s24i_run *run, const s24i_target *target, const uint8_t *mask,
                     s24i_cg_limits limits, float *v, float *scratch, double *left,
                     int64_t *products)
{
    cg c = {run->device, target->prepared, target->w, mask, limits, v, left};
    int32_t iterations;
    run_rows(&c, run->watch, target->rows, scratch, &iterations, products);
    return iterations;
}

/* ---- the whole layer ---- */

typedef struct {
    cg c;
    s24i_watch *watch;
    int64_t rows, tile;
    float *scratch;
    _Atomic int64_t iterations, products; /* most of a row; rows times S, of all */
} matrix_cg;

static s24_status run_tile(matrix_cg *l, int64_t tile, float *scratch)
{
    int64_t n = l->c.p->dim, first = tile * l->tile, products;
    int64_t rows = l->rows - first < l->tile ? l->rows - first : l->tile;
    int32_t iterations;
    cg c = l->c;
    c.w += first * n;
    c.mask += first * n;
    c.v += first * n;
    c.left += first;
    s24_status status = run_rows(&c, l->watch, rows, scratch, &iterations, &products);
    s24i_keep_maximum(&l->iterations, iterations);
    atomic_fetch_add(&l->products, products);
    s24i_watch_step(l->watch, rows, NAN, NAN);
    return status;
}

static void cg_tile(void *arg, int64_t tile, int32_t worker)
{
    matrix_cg *l = arg;
    run_tile(l, tile, l->scratch + (int64_t)worker * 3 * l->tile * l->c.p->dim);
}

s24_status s24i_cpu_cg(const s24i_run *run, const s24i_target *target, const uint8_t *mask,
                       s24i_cg_limits limits, float *v, int32_t *iterations, double *residual)
{
    size_t mark = run->arena->used;
    matrix_cg l = {.c = {run->device, target->prepared, target->w, mask, limits, v},
                   .watch = run->watch,
                   .rows = target->rows};
    l.tile = tile_rows(limits.of_rows ? limits.of_rows : target->rows);
    l.c.thin = l.tile == THIN && target->rows <= THIN;
    size_t tiles = l.c.thin ? 1 : (size_t)s24i_workers(run->device->threads);
    l.scratch = s24i_arena_take(
        run->arena, s24i_mul((size_t)(3 * l.tile * target->prepared->dim), tiles), sizeof(float));
    l.c.left = s24i_arena_take(run->arena, (size_t)target->rows, sizeof(double));
    s24i_panels packed;
    s24_status status = S24_OK;
    if (!l.c.thin) {
        status = s24i_take_panels(run, target->prepared->dim, target->prepared->s, &packed);
        l.c.s = &packed;
    }
    if (!s24i_counting(run) && !status) {
        s24i_watch_phase(run->watch, "refit", target->rows);
        status = l.c.thin ? run_tile(&l, 0, l.scratch)
                          : s24i_parallel(run->device->threads, cg_tile, &l,
                                          (target->rows + l.tile - 1) / l.tile);
        *iterations = (int32_t)atomic_load(&l.iterations);
        run->arena->flops += s24i_product_flops(atomic_load(&l.products), target->prepared->dim);
        *residual = 0;
        for (int64_t i = 0; i < target->rows; i++)
            *residual = fmax(*residual, l.c.left[i]);
    }
    run->arena->used = mark;
    return status;
}
