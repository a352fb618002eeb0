#include "steps.h"
#include <math.h>
#include <string.h>

/*
 * W ~ A Z B with a sparse core Z between block-diagonal matrices (ARMOR, Liu et al. 2025), in
 * unit-diagonal coordinates. Each of the three is a least-squares problem in S for given others:
 * a block of A from its own rows, A_I = W_I S P_I^T (P_I S P_I^T)^-1 with P = Z B; a block of B for
 * given other blocks, B_k += (C_k^T C_k)^-1 C_k^T E S_:k S_kk^-1 with C = A Z, E = W - C B; and the
 * values of Z on their support by conjugate gradients.
 */
enum { ROWS = 32 };
#define RIDGE 1e-6 /* of what is inverted, relative to its diagonal */

static int64_t tiles(const s24i_blocks *a)
{
    return (a->target->rows + ROWS - 1) / ROWS;
}

static int64_t tile_rows(const s24i_blocks *a, int64_t first)
{
    return a->target->rows - first < ROWS ? a->target->rows - first : ROWS;
}

s24_status s24i_cpu_blocks_take(const s24i_run *run, s24i_blocks *a)
{
    size_t m = (size_t)a->target->rows, n = (size_t)a->target->prepared->dim, b = (size_t)a->size;
    size_t workers = (size_t)s24i_workers(run->device->threads), size = s24i_mul(m, n);
    a->left = s24i_arena_take(run->arena, s24i_mul(m, b), sizeof(float));
    a->right = s24i_arena_take(run->arena, s24i_mul(n, b), sizeof(float));
    a->core = s24i_arena_take(run->arena, size, sizeof(float));
    for (int i = 0; i < S24I_BLOCKS_ROOM; i++)
        a->room[i] = s24i_arena_take(run->arena, size, sizeof(float));
    a->column = s24i_arena_take(run->arena, s24i_mul(m, b), sizeof(float));
    a->square = s24i_arena_take(run->arena, s24i_mul(3 * b * b, workers), sizeof(double));
    a->sums = s24i_arena_take(run->arena, m, sizeof(double));
    return S24_OK;
}

s24_status s24i_cpu_blocks_start(const s24i_run *run, s24i_blocks *a)
{
    int64_t b = a->size, m = a->target->rows, n = a->target->prepared->dim;
    for (int64_t i = 0; i < m * b; i++)
        a->left[i] = i % b == i / b % b;
    for (int64_t i = 0; i < n * b; i++)
        a->right[i] = i % b == i / b % b;
    return S24_OK;
}

/* ---- Products ---- */

typedef struct {
    s24i_blocks *a;
    const float *in;
    float *out;
    bool turned;
} product;

static void left_block(void *arg, int64_t block, int32_t worker)
{
    (void)worker;
    const product *p = arg;
    int64_t b = p->a->size, n = p->a->target->prepared->dim, at = block * b;
    s24i_f32s left = s24i_f32(p->a->left + at * b, b);
    left.turned = p->turned;
    s24i_sgemm(b, n, b, 1, left, s24i_f32(p->in + at * n, n), 0, s24i_f32_out(p->out + at * n, n));
}

static void right_tile(void *arg, int64_t tile, int32_t worker)
{
    (void)worker;
    const product *p = arg;
    int64_t b = p->a->size, n = p->a->target->prepared->dim, first = tile * ROWS;
    for (int64_t k = 0; k < n; k += b) {
        s24i_f32s right = s24i_f32(p->a->right + k * b, b);
        right.turned = p->turned;
        s24i_sgemm(tile_rows(p->a, first), b, b, 1, s24i_f32(p->in + first * n + k, n), right, 0,
                   s24i_f32_out(p->out + first * n + k, n));
    }
}

static void metric_tile(void *arg, int64_t tile, int32_t worker)
{
    (void)worker;
    const product *p = arg;
    int64_t n = p->a->target->prepared->dim, first = tile * ROWS, rows = tile_rows(p->a, first);
    if (p->a->diagonal)
        memcpy(p->out + first * n, p->in + first * n, (size_t)(rows * n) * sizeof(float));
    else
        s24i_times(rows, n, p->in + first * n, p->a->target->prepared->s, p->out + first * n);
}

static s24_status times_left(const s24i_run *run, s24i_blocks *a, const float *in, bool turned,
                             float *out)
{
    product p = {a, in, out, turned};
    return s24i_parallel(run->device->threads, left_block, &p, a->target->rows / a->size);
}

static s24_status times_right(const s24i_run *run, s24i_blocks *a, const float *in, bool turned,
                              float *out)
{
    product p = {a, in, out, turned};
    return s24i_parallel(run->device->threads, right_tile, &p, tiles(a));
}

static s24_status times_metric(const s24i_run *run, s24i_blocks *a, const float *in, float *out)
{
    product p = {a, in, out, false};
    run->arena->flops +=
        a->diagonal ? 0 : s24i_product_flops(a->target->rows, a->target->prepared->dim);
    return s24i_parallel(run->device->threads, metric_tile, &p, tiles(a));
}

/* x with (Q + ridge) x = g for `count` right-hand sides, a row each, in place. */
static void solve_block(int64_t b, double *q, double *g, int64_t count)
{
    double most = 0;
    for (int64_t i = 0; i < b; i++)
        most = fmax(most, q[i * b + i]);
    for (int64_t i = 0; i < b; i++)
        q[i * b + i] += RIDGE * (most > 0 ? most : 1);
    bool good = s24i_small_cholesky(b, q, b);
    for (int64_t i = 0; i < count; i++) {
        if (good)
            s24i_small_solve(b, q, b, g + i * b);
        else
            memset(g + i * b, 0, (size_t)b * sizeof *g); /* such a block stays as it is */
    }
}

static double dot(const float *x, int64_t dx, const float *y, int64_t dy, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)x[i * dx] * y[i * dy];
    return sum;
}

/* ---- A ---- */

/* room 0: P, room 1: P S. */
static void left_fit(void *arg, int64_t block, int32_t worker)
{
    s24i_blocks *a = arg;
    int64_t b = a->size, n = a->target->prepared->dim, at = block * b * n;
    double *q = a->square + worker * 3 * b * b, *g = q + b * b;
    for (int64_t i = 0; i < b; i++)
        for (int64_t j = 0; j < b; j++) {
            q[i * b + j] = dot(a->room[1] + at + i * n, 1, a->room[0] + at + j * n, 1, n);
            g[i * b + j] = dot(a->target->w + at + i * n, 1, a->room[1] + at + j * n, 1, n);
        }
    for (int64_t i = 0; i < b; i++) /* the step from what is there */
        for (int64_t j = 0; j < b; j++)
            for (int64_t t = 0; t < b; t++)
                g[i * b + j] -= (double)a->left[block * b * b + i * b + t] * q[t * b + j];
    solve_block(b, q, g, b);
    for (int64_t i = 0; i < b * b; i++)
        a->left[block * b * b + i] += (float)g[i];
}

s24_status s24i_cpu_blocks_left(const s24i_run *run, s24i_blocks *a)
{
    s24_status status = times_right(run, a, a->core, false, a->room[0]);
    if (!status)
        status = times_metric(run, a, a->room[0], a->room[1]);
    return status ? status
                  : s24i_parallel(run->device->threads, left_fit, a, a->target->rows / a->size);
}

/* ---- B ---- */

typedef struct {
    s24i_blocks *a;
    int64_t at; /* the first column of the block */
    const float *step;
} block_of_b;

/* column = E S_:k, of a tile of rows; room 1: E. */
static void image_tile(void *arg, int64_t tile, int32_t worker)
{
    (void)worker;
    const block_of_b *k = arg;
    s24i_blocks *a = k->a;
    int64_t b = a->size, n = a->target->prepared->dim, first = tile * ROWS;
    int64_t rows = tile_rows(a, first);
    if (!a->diagonal) {
        s24i_sgemm(rows, b, n, 1, s24i_f32(a->room[1] + first * n, n),
                   s24i_f32(a->target->prepared->s + k->at, n), 0,
                   s24i_f32_out(a->column + first * b, b));
        return;
    }
    for (int64_t i = first; i < first + rows; i++)
        memcpy(a->column + i * b, a->room[1] + i * n + k->at, (size_t)b * sizeof(float));
}

/* E -= C_k step; room 0: C. */
static void subtract_tile(void *arg, int64_t tile, int32_t worker)
{
    (void)worker;
    const block_of_b *k = arg;
    int64_t b = k->a->size, n = k->a->target->prepared->dim, first = tile * ROWS;
    s24i_sgemm(tile_rows(k->a, first), b, b, -1, s24i_f32(k->a->room[0] + first * n + k->at, n),
               s24i_f32(k->step, b), 1, s24i_f32_out(k->a->room[1] + first * n + k->at, n));
}

/* The step of one block, added to it; also to room 2, where subtract_tile() finds it. */
static void right_fit(s24i_blocks *a, int64_t at)
{
    int64_t b = a->size, n = a->target->prepared->dim, m = a->target->rows;
    double *q = a->square, *g = q + b * b, *s = g + b * b;
    for (int64_t i = 0; i < b; i++)
        for (int64_t j = 0; j < b; j++) {
            q[i * b + j] = dot(a->room[0] + at + i, n, a->room[0] + at + j, n, m);
            g[j * b + i] = dot(a->room[0] + at + i, n, a->column + j, b, m); /* turned */
            s[i * b + j] = a->diagonal ? i == j : a->target->prepared->s[(at + i) * n + at + j];
        }
    solve_block(b, q, g, b);
    for (int64_t i = 0; i < b; i++)
        for (int64_t j = 0; j < i; j++) {
            double held = g[i * b + j];
            g[i * b + j] = g[j * b + i];
            g[j * b + i] = held;
        }
    solve_block(b, s, g, b);
    for (int64_t i = 0; i < b * b; i++) {
        a->room[2][i] = (float)g[i];
        a->right[at * b + i] += a->room[2][i];
    }
}

s24_status s24i_cpu_blocks_right(const s24i_run *run, s24i_blocks *a)
{
    int64_t size = a->target->rows * a->target->prepared->dim;
    s24_status status = times_left(run, a, a->core, false, a->room[0]);
    if (!status)
        status = times_right(run, a, a->room[0], false, a->room[1]);
    for (int64_t i = 0; i < size; i++)
        a->room[1][i] = a->target->w[i] - a->room[1][i];
    for (int64_t at = 0; at < a->target->prepared->dim && !status; at += a->size) {
        block_of_b k = {a, at, a->room[2]};
        status = s24i_parallel(run->device->threads, image_tile, &k, tiles(a));
        if (status)
            return status;
        right_fit(a, at);
        status = s24i_parallel(run->device->threads, subtract_tile, &k, tiles(a));
    }
    run->arena->flops +=
        a->diagonal ? 0 : s24i_product_flops(a->target->rows, a->target->prepared->dim);
    return status;
}

/* ---- Z ---- */

/* out = A^T (in S) B^T on the support, in room 1 and out. */
static s24_status gradient(const s24i_run *run, s24i_blocks *a, const float *in, float *out)
{
    int64_t size = a->target->rows * a->target->prepared->dim;
    s24_status status = times_metric(run, a, in, a->room[1]);
    if (!status)
        status = times_right(run, a, a->room[1], true, out);
    if (!status)
        status = times_left(run, a, out, true, a->room[1]);
    for (int64_t i = 0; i < size; i++)
        out[i] = a->mask[i] ? a->room[1][i] : 0;
    return status;
}

static void row_sum(void *arg, int64_t i, int32_t worker)
{
    (void)worker;
    const product *p = arg;
    int64_t n = p->a->target->prepared->dim;
    p->a->sums[i] = dot(p->in + i * n, 1, p->out + i * n, 1, n);
}

static s24_status inner(const s24i_run *run, s24i_blocks *a, const float *x, const float *y,
                        double *sum)
{
    product p = {a, x, (float *)(uintptr_t)y, false};
    s24_status status = s24i_parallel(run->device->threads, row_sum, &p, a->target->rows);
    *sum = 0;
    for (int64_t i = 0; i < a->target->rows; i++)
        *sum += a->sums[i];
    return status;
}

static s24_status multiply(const s24i_run *run, s24i_blocks *a, const float *core, float *out)
{
    s24_status status = times_left(run, a, core, false, a->room[1]);
    return status ? status : times_right(run, a, a->room[1], false, out);
}

/* room 2: residual, room 3: direction, room 4: its image, room 0: their products. */
s24_status s24i_cpu_blocks_core(const s24i_run *run, s24i_blocks *a, int32_t steps)
{
    int64_t size = a->target->rows * a->target->prepared->dim;
    double left = 0, curve = 0, next = 0;
    s24_status status = multiply(run, a, a->core, a->room[0]);
    for (int64_t i = 0; i < size; i++)
        a->room[0][i] = a->target->w[i] - a->room[0][i];
    if (!status)
        status = gradient(run, a, a->room[0], a->room[2]);
    memcpy(a->room[3], a->room[2], (size_t)size * sizeof(float));
    if (!status)
        status = inner(run, a, a->room[2], a->room[2], &left);
    for (int32_t t = 0; t < steps && !status && left > 0; t++) {
        status = multiply(run, a, a->room[3], a->room[0]);
        if (!status)
            status = gradient(run, a, a->room[0], a->room[4]);
        if (!status)
            status = inner(run, a, a->room[3], a->room[4], &curve);
        if (status || !(curve > 0))
            return status;
        float step = (float)(left / curve);
        for (int64_t i = 0; i < size; i++) {
            a->core[i] += step * a->room[3][i];
            a->room[2][i] -= step * a->room[4][i];
        }
        status = inner(run, a, a->room[2], a->room[2], &next);
        float turn = (float)(next / left);
        for (int64_t i = 0; i < size; i++)
            a->room[3][i] = a->room[2][i] + turn * a->room[3][i];
        left = next;
    }
    return status;
}

/* ---- What is handed out ---- */

static void store_left(void *arg, int64_t block, int32_t worker)
{
    (void)worker;
    const product *p = arg; /* in: the core, out: A core */
    int64_t b = p->a->size, n = p->a->target->prepared->dim, at = block * b;
    s24i_sgemm_exact(b, n, b, 1, s24i_f32(p->a->left + at * b, b), s24i_f32(p->in + at * n, n), 0,
                     s24i_f32_out(p->out + at * n, n));
}

static void store_right(void *arg, int64_t tile, int32_t worker)
{
    (void)worker;
    const product *p = arg; /* in: A core, out: v; room 1 holds B in matrix coordinates */
    int64_t b = p->a->size, n = p->a->target->prepared->dim, first = tile * ROWS;
    for (int64_t k = 0; k < n; k += b)
        s24i_sgemm_exact(tile_rows(p->a, first), b, b, 1, s24i_f32(p->in + first * n + k, n),
                         s24i_f32(p->a->right + k * b, b), 0,
                         s24i_f32_out(p->out + first * n + k, n));
}

s24_status s24i_cpu_blocks_store(const s24i_run *run, s24i_blocks *a, const s24i_blocks_parts *out,
                                 float *v)
{
    const s24i_prepared *p = a->target->prepared;
    int64_t b = a->size, m = a->target->rows, n = p->dim;
    double plain = p->plain * p->unit; /* B gets near 1 by it, the core takes the rest */
    for (int64_t i = 0; i < n * b; i++)
        a->right[i] = (float)(a->right[i] * (p->inverse[i / b / b * b + i % b] * plain));
    for (int64_t i = 0; i < m * n; i++)
        a->core[i] = a->mask[i] ? (float)(a->core[i] / (plain * p->unit)) : 0;
    memcpy(out->left->data, a->left, (size_t)(m * b) * sizeof(float));
    memcpy(out->right->data, a->right, (size_t)(n * b) * sizeof(float));
    memcpy(out->core->data, a->core, (size_t)(m * n) * sizeof(float));
    product one = {a, a->core, a->room[0], false}, two = {a, a->room[0], v, false};
    s24_status status = s24i_parallel(run->device->threads, store_left, &one, m / b);
    return status ? status : s24i_parallel(run->device->threads, store_right, &two, tiles(a));
}
