#include "ops.h"
#include <math.h>
#include <string.h>

/*
 * Exact 1-swaps: in one row of the layer exchange a kept weight p for a pruned one q of the same group, all other kept weights re-fitted,
 * as long as that lowers the loss. The tableau of [[S, c], [c^T, 0]], c = S w, swept on the support, holds every gain:
 * with K = S_MM^-1 on the support M, a = K S_Mq, s = Schur complement of q, g = residual of q and v = the fitted weights,
 *   gain(p, q) = (g_q + a_p v_p / K_pp)^2 / (s_q + a_p^2 / K_pp) - v_p^2 / K_pp,
 * and a swap is two pivots. docs/solvers/swaps.md derives it.
 */

typedef struct {
    const s24i_ops *ops;
    s24i_watch *watch;
    const s24i_prepared *p;
    const float *w;
    int64_t group; /* inputs of a group; dim when any kept weight may go for any pruned one */
    double tol;
    int64_t most; /* swaps in a row */
    float *v;
    uint8_t *mask;
    char *scratch;
    size_t bytes; /* of it, a worker */
    _Atomic int64_t swapped;
} swapping;

/* One row. Positions: the support at the start first, then the rest; `in` says who is in the support now. */
typedef struct {
    int64_t n;
    double *m;       /* n x n: -K, K S_Mq, Schur complement */
    double *b;       /* n: v where in, residual where out */
    double *factor;  /* n x n at most */
    double *c;       /* n */
    int64_t *column; /* of a position */
    int64_t *place;  /* of a column */
    uint8_t *in;
    double loss;
} tableau;

static size_t lay_out(tableau *t, int64_t n, char *base)
{
    s24i_arena arena = {.base = base, .size = SIZE_MAX};
    size_t size = (size_t)n;
    t->n = n;
    t->m = s24i_arena_take(&arena, s24i_mul(size, size), sizeof(double));
    t->factor = s24i_arena_take(&arena, s24i_mul(size, size), sizeof(double));
    t->b = s24i_arena_take(&arena, size, sizeof(double));
    t->c = s24i_arena_take(&arena, size, sizeof(double));
    t->column = s24i_arena_take(&arena, size, sizeof(int64_t));
    t->place = s24i_arena_take(&arena, size, sizeof(int64_t));
    t->in = s24i_arena_take(&arena, size, 1);
    return arena.peak;
}

static int64_t order(tableau *t, const uint8_t *mask)
{
    int64_t kept = 0, at;
    for (int64_t j = 0; j < t->n; j++)
        if (mask[j])
            t->column[kept++] = j;
    at = kept;
    for (int64_t j = 0; j < t->n; j++)
        if (!mask[j])
            t->column[at++] = j;
    for (int64_t i = 0; i < t->n; i++) {
        t->place[t->column[i]] = i;
        t->in[i] = i < kept;
    }
    return kept;
}

/* Rows [r0, r1) x columns [c0, c1) of the permuted S. */
static void copy_block(const tableau *t, const float *s, int64_t r0, int64_t r1, int64_t c0,
                       int64_t c1, double *out, int64_t ld)
{
    for (int64_t i = r0; i < r1; i++)
        for (int64_t j = c0; j < c1; j++)
            out[(i - r0) * ld + j - c0] = s[t->column[i] * t->n + t->column[j]];
}

/* -K, X = K S_MQ and S_QQ - S_QM X; false when S_MM is not positive definite. */
static bool sweep_support(tableau *t, const float *s, int64_t k)
{
    int64_t n = t->n, q = n - k;
    double *m = t->m, *l = t->factor;
    copy_block(t, s, 0, k, 0, k, l, k);
    if (k && !s24i_small_cholesky(k, l, k))
        return false;
    s24i_small_invert(k, l, k);
    for (int64_t i = 0; i < k; i++)
        memset(l + i * k + i + 1, 0, (size_t)(k - 1 - i) * sizeof *l);
    copy_block(t, s, k, n, 0, k, m + k * n, n);
    copy_block(t, s, k, n, k, n, m + k * n + k, n);
    if (k) {
        s24i_dgemm(true, false, k, k, k, 1, l, k, l, k, 0, m, n);
        s24i_dgemm(false, true, k, q, k, 1, m, n, m + k * n, n, 0, m + k, n);
        s24i_dgemm(false, false, q, q, k, -1, m + k * n, n, m + k, n, 1, m + k * n + k, n);
    }
    for (int64_t i = 0; i < k; i++) {
        for (int64_t j = 0; j < k; j++)
            m[i * n + j] = -m[i * n + j];
        for (int64_t j = k; j < n; j++)
            m[j * n + i] = m[i * n + j];
    }
    return true;
}

/* b from c = S w, and the loss (v - w) S (v - w)^T = w c - v c. */
static void fit(tableau *t, const float *s, const float *w, int64_t k)
{
    int64_t n = t->n;
    t->loss = 0;
    for (int64_t i = 0; i < n; i++) {
        const float *row = s + t->column[i] * n;
        double sum = 0;
        for (int64_t j = 0; j < n; j++)
            sum += (double)row[j] * (double)w[j];
        t->c[i] = sum;
        t->loss += sum * (double)w[t->column[i]];
    }
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t j = 0; j < k; j++)
            sum += t->m[i * n + j] * t->c[j];
        t->b[i] = i < k ? -sum : t->c[i] - sum;
        t->loss -= i < k ? t->b[i] * t->c[i] : 0;
    }
}

/* Sweep position k into the support, or out of it. */
static void pivot(tableau *t, int64_t k)
{
    int64_t n = t->n;
    double *row = t->m + k * n, d = row[k], sign = t->in[k] ? -1 : 1, bk = t->b[k];
    for (int64_t i = 0; i < n; i++) {
        double *mi = t->m + i * n, factor = mi[k] / d;
        if (i == k || factor == 0)
            continue;
        for (int64_t j = 0; j < n; j++)
            mi[j] -= factor * row[j];
        t->b[i] -= factor * bk;
        mi[k] = sign * factor;
    }
    for (int64_t j = 0; j < n; j++)
        row[j] = sign * row[j] / d;
    row[k] = -1 / d;
    t->b[k] = sign * bk / d;
    t->in[k] = !t->in[k];
}

typedef struct {
    double gain;
    int64_t out, in;
} exchange;

static void consider(const tableau *t, int64_t p, int64_t q, exchange *best)
{
    double kpp = -t->m[p * t->n + p], a = t->m[p * t->n + q], s = t->m[q * t->n + q];
    double g = t->b[q] + a * t->b[p] / kpp, price = t->b[p] * t->b[p] / kpp;
    double gain = g * g / (s + a * a / kpp) - price;
    if (s > 1e-12 && kpp > 0 && gain > best->gain)
        *best = (exchange){gain, p, q};
}

static exchange best_exchange(const tableau *t, int64_t group)
{
    exchange best = {0, -1, -1};
    for (int64_t first = 0; first < t->n; first += group)
        for (int64_t i = first; i < first + group; i++)
            for (int64_t j = first; t->in[t->place[i]] && j < first + group; j++)
                if (!t->in[t->place[j]])
                    consider(t, t->place[i], t->place[j], &best);
    return best;
}

static void swap_row(void *arg, int64_t row, int32_t worker)
{
    swapping *s = arg;
    int64_t n = s->p->dim, swaps = 0;
    uint8_t *mask = s->mask + row * n;
    float *v = s->v + row * n;
    tableau t;
    if (s24i_watch_stopped(s->watch))
        return;
    lay_out(&t, n, s->scratch + (size_t)worker * s->bytes);
    int64_t kept = order(&t, mask);
    if (kept == 0 || kept == n || !sweep_support(&t, s->p->s, kept))
        return;
    fit(&t, s->p->s, s->w + row * n, kept);
    for (; swaps < s->most && !s24i_watch_stopped(s->watch); swaps++) {
        exchange best = best_exchange(&t, s->group);
        if (!(best.gain > s->tol * t.loss))
            break;
        pivot(&t, best.out);
        pivot(&t, best.in);
        t.loss -= best.gain;
    }
    for (int64_t i = 0; i < n; i++) {
        mask[t.column[i]] = t.in[i];
        v[t.column[i]] = t.in[i] ? (float)t.b[i] : 0;
    }
    atomic_fetch_add(&s->swapped, swaps);
    s24i_watch_step(s->watch, 1, NAN, NAN);
}

s24_status s24i_swap(const s24i_ops *ops, s24i_arena *arena, s24i_watch *watch,
                     const s24i_prepared *prepared, const s24i_pattern *pattern, const float *w,
                     int64_t rows, double tol, int64_t most, float *v, uint8_t *mask,
                     int64_t *swapped)
{
    size_t mark = arena->used;
    swapping s = {.ops = ops, .watch = watch, .p = prepared, .w = w, .v = v, .mask = mask};
    tableau layout;
    s.group = pattern->n ? pattern->m : prepared->dim;
    s.tol = tol;
    s.most = most;
    s.bytes = lay_out(&layout, prepared->dim, NULL);
    s.scratch = s24i_arena_take(arena, s24i_mul(s.bytes, (size_t)s24i_workers(ops->threads)), 1);
    s24_status status = S24_OK;
    if (!s24i_counting(arena)) {
        s24i_watch_phase(watch, "swaps", rows);
        status = s24i_parallel(ops->threads, swap_row, &s, rows);
        *swapped = atomic_load(&s.swapped);
    }
    arena->used = mark;
    return status;
}
