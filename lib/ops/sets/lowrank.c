#include "sets.h"
#include <math.h>
#include <string.h>

/*
 * The L of rank r nearest to M in the norm of S: (M - L) S^(1/2) is smallest for L = U U^T M with U
 * the r leading eigenvectors of M S M^T (Eckart-Young), which needs no root of S and holds for
 * singular S. U comes from subspace iteration, Q <- orth(M (S (M^T Q))), with some more columns
 * than r, warm from one M to the next. M itself may be given as a dense part and two products of
 * low rank (the momentum).
 */
enum { OVERSAMPLE = 8, ROWS = 64, COLS = 64, PAIR = 32 };
#define DEPENDENT 1e-10 /* share of a column's square that others leave of it */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t tiles(int64_t count, int64_t size)
{
    return (count + size - 1) / size;
}

void s24i_lowrank_take(const s24i_run *run, s24i_lowrank *l)
{
    int64_t least_side = least(l->rows, l->p->dim);
    size_t m = (size_t)l->rows, n = (size_t)l->p->dim;
    l->rank = least(l->rank, least_side);
    l->width = least(l->rank + OVERSAMPLE, least_side);
    size_t k = (size_t)l->width, r = (size_t)l->rank;
    size_t workers = (size_t)s24i_workers(l->run->device->threads);
    l->q = s24i_arena_take(run->arena, s24i_mul(m, k), sizeof(float));
    l->c = s24i_arena_take(run->arena, s24i_mul(k, n), sizeof(float));
    l->moved = s24i_arena_take(run->arena, s24i_mul(k, n), sizeof(float));
    l->image = s24i_arena_take(run->arena, s24i_mul(k, n), sizeof(float));
    l->past_u = s24i_arena_take(run->arena, s24i_mul(m, r), sizeof(float));
    l->past_c = s24i_arena_take(run->arena, s24i_mul(r, n), sizeof(float));
    l->small = s24i_arena_take(run->arena, s24i_mul(3 * k, r), sizeof(float));
    l->y = s24i_arena_take(run->arena, s24i_mul(m, k), sizeof(double));
    l->square = s24i_arena_take(run->arena, s24i_mul(4 * k, k), sizeof(double));
    l->values = s24i_arena_take(run->arena, 2 * k, sizeof(double));
    l->work = s24i_arena_take(run->arena, s24i_eigen_work((int64_t)k), 1);
    l->tile = s24i_arena_take(run->arena, s24i_mul(ROWS * k, workers), sizeof(double));
}

/* ---- products ---- */

typedef struct {
    s24i_lowrank *l;
    const float *m;
    float *out;
} product;

static void gather_tile(void *arg, int64_t tile, int32_t worker)
{
    (void)worker;
    const product *p = arg;
    s24i_lowrank_gather(p->l, p->m, tile * COLS, least(COLS, p->l->p->dim - tile * COLS));
}

void s24i_lowrank_gather(const s24i_lowrank *l, const float *m, int64_t first, int64_t cols)
{
    int64_t n = l->p->dim;
    s24i_sgemm(l->width, cols, l->rows, 1, s24i_f32_turned(l->q, l->width), s24i_f32(m + first, n),
               0, s24i_f32_out(l->c + first, n));
}

s24_status s24i_lowrank_project(const s24i_run *run, s24i_lowrank *l, const float *m)
{
    product p = {.l = l, .m = m};
    run->arena->flops += 2 * (double)l->width * (double)l->rows * (double)l->p->dim;
    return s24i_parallel(l->run->device->threads, gather_tile, &p, tiles(l->p->dim, COLS));
}

void s24i_lowrank_subtract(const s24i_lowrank *l, int64_t first, int64_t rows, float *m)
{
    int64_t n = l->p->dim;
    s24i_sgemm(rows, n, l->rank, -1, s24i_f32(l->q + first * l->width, l->width), s24i_f32(l->c, n),
               1, s24i_f32_out(m, n));
}

static void rest_tile(void *arg, int64_t tile, int32_t worker)
{
    (void)worker;
    const product *p = arg;
    int64_t n = p->l->p->dim, first = tile * ROWS, rows = least(ROWS, p->l->rows - first);
    float *out = p->out + first * n;
    memcpy(out, p->m + first * n, (size_t)(rows * n) * sizeof(float));
    s24i_lowrank_subtract(p->l, first, rows, out);
}

s24_status s24i_cpu_lowrank_rest(const s24i_run *run, s24i_lowrank *l, const float *m, float *rest)
{
    product p = {.l = l, .m = m, .out = rest};
    run->arena->flops += 2 * (double)l->rank * (double)l->rows * (double)l->p->dim;
    return s24i_parallel(l->run->device->threads, rest_tile, &p, tiles(l->rows, ROWS));
}

/* Q^T times M with its momentum, from Q^T M: the columns of U are the first of Q. */
static void moved_tile(void *arg, int64_t tile, int32_t worker)
{
    (void)worker;
    const s24i_lowrank *l = arg;
    int64_t n = l->p->dim, first = tile * COLS, cols = least(COLS, n - first);
    for (int64_t i = 0; i < l->width; i++) {
        float *to = l->moved + i * n + first;
        const float *from = l->c + i * n + first;
        float factor = i < l->rank ? 1 + l->momentum : 1;
        for (int64_t j = 0; j < cols; j++)
            to[j] = factor * from[j];
    }
    if (l->momentum > 0)
        s24i_sgemm(l->width, cols, l->rank, -l->momentum, s24i_f32(l->small, l->rank),
                   s24i_f32(l->past_c + first, n), 1, s24i_f32_out(l->moved + first, n));
}

static void image_tile(void *arg, int64_t tile, int32_t worker)
{
    (void)worker;
    const s24i_lowrank *l = arg;
    int64_t n = l->p->dim, first = tile * COLS;
    s24i_sgemm(l->width, least(COLS, n - first), n, 1, s24i_f32(l->moved, n),
               s24i_f32(l->p->s + first, n), 0, s24i_f32_out(l->image + first, n));
}

/* Y = M image^T. */
static void back_tile(void *arg, int64_t tile, int32_t worker)
{
    const product *p = arg;
    const s24i_lowrank *l = p->l;
    int64_t n = l->p->dim, k = l->width, r = l->rank, first = tile * ROWS;
    int64_t rows = least(ROWS, l->rows - first);
    float *out = (float *)(l->tile + (int64_t)worker * ROWS * k);
    s24i_sgemm(rows, k, n, 1, s24i_f32(p->m + first * n, n), s24i_f32_turned(l->image, n), 0,
               s24i_f32_out(out, k));
    if (l->momentum > 0) {
        s24i_sgemm(rows, k, r, l->momentum, s24i_f32(l->q + first * k, k),
                   s24i_f32(l->small + k * r, k), 1, s24i_f32_out(out, k));
        s24i_sgemm(rows, k, r, -l->momentum, s24i_f32(l->past_u + first * r, r),
                   s24i_f32(l->small + 2 * k * r, k), 1, s24i_f32_out(out, k));
    }
    for (int64_t i = 0; i < rows * k; i++)
        l->y[first * k + i] = out[i];
}

/* ---- an orthonormal basis of what Y spans ---- */

/* Blocks of the lower triangle of Y^T Y. */
static void gram_tile(void *arg, int64_t index, int32_t worker)
{
    (void)worker;
    const s24i_lowrank *l = arg;
    int64_t k = l->width, i = 0;
    while (index > i)
        index -= ++i;
    int64_t a = i * PAIR, b = index * PAIR;
    s24i_dgemm(least(PAIR, k - a), least(PAIR, k - b), l->rows, 1, s24i_f64_turned(l->y + a, k),
               s24i_f64(l->y + b, k), 0, s24i_f64_out(l->square + a * k + b, k));
}

/* Numbers of [-1, 1) that depend on their place alone. */
static double noise(int64_t i, int64_t j)
{
    uint64_t x = ((uint64_t)i << 32) + (uint64_t)j + 1;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return (double)((x ^ x >> 31) >> 11) * 0x1p-52 - 1;
}

/* The Cholesky factor of Y^T Y with unit diagonal, in place, lower; scales to values. Columns that
 * depend on those before become noise in Y: how many is returned, and then nothing else holds. */
static int64_t factor_square(s24i_lowrank *l, int64_t attempt)
{
    int64_t k = l->width, fresh = 0;
    double *g = l->square;
    for (int64_t i = 0; i < k; i++)
        l->values[i] = g[i * k + i] > 0 ? sqrt(g[i * k + i]) : 0;
    for (int64_t i = 0; i < k; i++) {
        double *row = g + i * k, rest = 1, own = l->values[i];
        for (int64_t j = 0; j < i; j++) {
            const double *other = g + j * k;
            double x = own > 0 ? row[j] / own / l->values[j] : 0;
            row[j] = (x - l->run->device->kernels->dot_f64(row, other, j)) / other[j];
        }
        rest -= l->run->device->kernels->dot_f64(row, row, i);
        bool dependent = !(own > 0) || !(rest > DEPENDENT);
        row[i] = dependent ? 1 : sqrt(rest);
        l->values[i] = dependent ? 1 : own;
        for (int64_t j = i + 1; j < k; j++)
            row[j] = 0;
        for (int64_t j = 0; dependent && j < i; j++)
            row[j] = 0;
        for (int64_t j = 0; dependent && j < l->rows; j++)
            l->y[j * k + i] = noise(j + attempt * l->rows, i);
        for (int64_t j = i + 1; dependent && j < k; j++)
            g[j * k + i] = 0;
        fresh += dependent;
    }
    return fresh;
}

/* square (second part) = what Y is multiplied with: D^-1 T^-T for Y^T Y = D T T^T D, times the
 * eigenvectors of T^T D^2 T, largest first, so that the columns are the left singular vectors of
 * Y. */
static bool make_turn(s24i_lowrank *l, bool rotate)
{
    int64_t k = l->width;
    double *t = l->square, *turn = t + k * k, *own = turn + k * k, *scaled = own + k * k;
    if (rotate) {
        for (int64_t i = 0; i < k; i++)
            for (int64_t j = 0; j < k; j++)
                scaled[i * k + j] = l->values[i] * t[i * k + j];
        s24i_dsyrk(k, k, scaled, k, own, k);
        if (!s24i_symmetric_eigen(k, own, l->values + k, l->work))
            return false;
    }
    s24i_small_invert(k, t, k);
    if (rotate)
        s24i_dgemm(k, k, k, 1, s24i_f64_turned(t, k), s24i_f64_turned(own, k), 0,
                   s24i_f64_out(scaled, k));
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < k; j++)
            turn[i * k + j] = (rotate ? scaled[i * k + k - 1 - j] : t[j * k + i]) / l->values[i];
    return true;
}

static void turn_tile(void *arg, int64_t tile, int32_t worker)
{
    const s24i_lowrank *l = arg;
    int64_t k = l->width, first = tile * ROWS, rows = least(ROWS, l->rows - first);
    double *out = l->tile + (int64_t)worker * ROWS * k;
    s24i_dgemm(rows, k, k, 1, s24i_f64(l->y + first * k, k), s24i_f64(l->square + k * k, k), 0,
               s24i_f64_out(out, k));
    for (int64_t i = 0; i < rows * k; i++)
        l->q[first * k + i] = (float)out[i];
}

static s24_status orthonormalise(s24i_lowrank *l, bool rotate)
{
    int64_t blocks = tiles(l->width, PAIR);
    s24_status status = S24_OK;
    int64_t fresh = 1;
    /* One column that is drawn anew may show another to depend on it. */
    for (int64_t attempt = 0; attempt < 2 * l->width + 2 && fresh && !status; attempt++) {
        status = s24i_parallel(l->run->device->threads, gram_tile, l, blocks * (blocks + 1) / 2);
        if (!status)
            fresh = factor_square(l, attempt);
    }
    if (!status && (fresh || !make_turn(l, rotate)))
        status = s24i_fail(S24_E_NUMERIC, "no orthonormal basis for a product of rank %lld",
                           (long long)l->rank);
    return status ? status
                  : s24i_parallel(l->run->device->threads, turn_tile, l, tiles(l->rows, ROWS));
}

/* ---- steps ---- */

s24_status s24i_cpu_lowrank_start(const s24i_run *run, s24i_lowrank *l, const float *m)
{
    int64_t n = l->p->dim;
    product p = {.l = l, .m = m};
    float momentum = l->momentum;
    l->momentum = 0;
    for (int64_t i = 0; i < l->width; i++)
        for (int64_t j = 0; j < n; j++)
            l->image[i * n + j] = (float)noise(j, i);
    s24_status status = s24i_parallel(l->run->device->threads, back_tile, &p, tiles(l->rows, ROWS));
    l->momentum = momentum;
    return status ? status : orthonormalise(l, false);
}

/* The small factors of the momentum: Q^T U', and U^T M and U'^T M' times the image. */
static void small_products(const s24i_lowrank *l, bool images)
{
    int64_t n = l->p->dim, k = l->width, r = l->rank;
    if (!images) {
        s24i_sgemm(k, r, l->rows, 1, s24i_f32_turned(l->q, k), s24i_f32(l->past_u, r), 0,
                   s24i_f32_out(l->small, r));
        return;
    }
    s24i_sgemm(r, k, n, 1, s24i_f32(l->c, n), s24i_f32_turned(l->image, n), 0,
               s24i_f32_out(l->small + k * r, k));
    s24i_sgemm(r, k, n, 1, s24i_f32(l->past_c, n), s24i_f32_turned(l->image, n), 0,
               s24i_f32_out(l->small + 2 * k * r, k));
}

/* What the momentum is measured from next time. */
static void keep_past(s24i_lowrank *l)
{
    for (int64_t i = 0; i < l->rows; i++)
        memcpy(l->past_u + i * l->rank, l->q + i * l->width, (size_t)l->rank * sizeof(float));
    memcpy(l->past_c, l->c, (size_t)(l->rank * l->p->dim) * sizeof(float));
}

s24_status s24i_lowrank_step(const s24i_run *run, s24i_lowrank *l, const float *m, bool rotate)
{
    product p = {.l = l, .m = m};
    double n = (double)l->p->dim, k = (double)l->width;
    run->arena->flops += 2 * k * n * ((double)l->rows + n) + 4 * (double)l->rows * k * k;
    if (l->momentum > 0)
        small_products(l, false);
    s24_status status =
        s24i_parallel(l->run->device->threads, moved_tile, l, tiles(l->p->dim, COLS));
    if (!status)
        status = s24i_parallel(l->run->device->threads, image_tile, l, tiles(l->p->dim, COLS));
    if (!status && l->momentum > 0)
        small_products(l, true);
    if (!status)
        status = s24i_parallel(l->run->device->threads, back_tile, &p, tiles(l->rows, ROWS));
    if (!status && l->momentum > 0)
        keep_past(l);
    return status ? status : orthonormalise(l, rotate);
}

/* What the first rank columns of the basis took of M S M^T in the last step without momentum. */
static double energy(const s24i_lowrank *l)
{
    return l->run->device->kernels->dot(l->c, l->image, l->rank * l->p->dim);
}

s24_status s24i_cpu_lowrank_fit(const s24i_run *run, s24i_lowrank *l, const float *m, double total,
                                double tol, int32_t most)
{
    float momentum = l->momentum;
    double before = 0;
    s24_status status = S24_OK;
    l->momentum = 0;
    for (int32_t t = 0; t < most && !status; t++) {
        status = s24i_lowrank_project(run, l, m);
        if (!status)
            status = s24i_lowrank_step(run, l, m, true);
        double now = status ? 0 : energy(l);
        if (now - before <= tol * fmax(total - now, 0) || s24i_watch_stopped(run->watch))
            break;
        before = now;
    }
    if (!status)
        status = s24i_lowrank_project(run, l, m);
    if (!status)
        keep_past(l);
    l->momentum = momentum;
    return status;
}

s24_status s24i_cpu_lowrank_left(const s24i_run *run, s24i_lowrank *l, double total, double *left)
{
    run->arena->flops += 2 * (double)l->width * (double)l->p->dim * (double)l->p->dim;
    memcpy(l->moved, l->c, (size_t)(l->width * l->p->dim) * sizeof(float));
    s24_status status =
        s24i_parallel(l->run->device->threads, image_tile, l, tiles(l->p->dim, COLS));
    if (!status)
        *left = fmax(total - energy(l), 0);
    return status;
}

s24_status s24i_cpu_lowrank_clear(const s24i_run *run, s24i_lowrank *l)
{
    return s24i_cpu_fill(run, 0, (size_t)(l->width * l->p->dim) * sizeof(float), l->c);
}
