#include "exchange.h"
#include <math.h>

/*
 * Exchanges of kept for removed columns, others fitted again. One symmetric matrix holds for the
 * kept S and the removed N
 *   T = [ K, K S_SN; ., C ],  K = S_SS^-1,  C = S_NN - S_NS K S_SN,
 * and Q = M M^T for M = [ B; R ]: the fitted weights and what the residual asks of each removed
 * column. A pivot moves one column from one side to the other by changes of rank 2. Taking i out
 * and j in changes the loss by
 *   (Q_ii - 2 u Q_ij + u^2 Q_jj) / (T_ii + u x) - Q_jj / c,  x = T_ij, c = T_jj, u = x / c,
 * so all exchanges are priced exactly from T and Q, whatever the number of outputs.
 */
enum { STRIP = 64 };

typedef struct {
    const s24i_exchanges *of;
    int64_t pivot;
    double *u, *f, *z, *same, *other; /* n each, of the pivot: see pivot() */
    double *gain;                     /* a column: the best exchange that takes it out, */
    int64_t *partner;                 /* and which comes in */
} tableau;

/* ---- Pivots ---- */

static void change_strip(void *arg, int64_t strip, int32_t worker)
{
    (void)worker;
    const tableau *t = arg;
    const s24i_exchanges *e = t->of;
    int64_t n = e->dim, end = (strip + 1) * STRIP < n ? (strip + 1) * STRIP : n;
    for (int64_t i = strip * STRIP; i < end; i++) {
        const double *sign = e->kept[i] == e->kept[t->pivot] ? t->same : t->other;
        double *k = e->k + i * n, *q = e->q + i * n, u = t->u[i], f = t->f[i], z = t->z[i];
        for (int64_t j = 0; j < n; j++) {
            k[j] += u * sign[j];
            q[j] -= f * t->z[j] + z * t->f[j];
        }
    }
}

/* What rows are changed by, out of the pivot's own. */
static void read_pivot(tableau *t, double d)
{
    const s24i_exchanges *e = t->of;
    int64_t n = e->dim, p = t->pivot;
    const double *q = e->q + p * n;
    for (int64_t i = 0; i < n; i++) {
        bool alike = e->kept[i] == e->kept[p];
        double g = e->k[p * n + i] / d;
        t->u[i] = e->k[p * n + i];
        t->f[i] = i == p ? 0 : e->kept[p] && !alike ? -g : g;
        t->z[i] = q[i] - 0.5 * q[p] * t->f[i];
        t->same[i] = -g;
        t->other[i] = alike ? -g : g;
    }
}

/* Its own row and column. */
static void write_pivot(const tableau *t, double d, double own, const double *row)
{
    const s24i_exchanges *e = t->of;
    int64_t n = e->dim, p = t->pivot;
    for (int64_t i = 0; i < n; i++) {
        bool alike = e->kept[i] == e->kept[p];
        double g = t->u[i] / d, q = (row[i] - t->f[i] * own) / d;
        e->k[p * n + i] = e->k[i * n + p] = alike == !e->kept[p] ? g : -g;
        e->q[p * n + i] = e->q[i * n + p] = q;
    }
    e->k[p * n + p] = 1 / d;
    e->q[p * n + p] = own / (d * d);
}

/* Column p changes sides. */
static s24_status pivot(tableau *t, int64_t p)
{
    const s24i_exchanges *e = t->of;
    int64_t n = e->dim;
    double d = e->k[p * n + p], own = e->q[p * n + p];
    if (!(d > 0))
        return s24i_fail(S24_E_NUMERIC, "column %lld cannot be told from others: raise damp",
                         (long long)p);
    t->pivot = p;
    read_pivot(t, d);
    double *row = t->gain; /* free between searches */
    for (int64_t i = 0; i < n; i++)
        row[i] = e->q[p * n + i];
    s24_status status =
        s24i_parallel(e->run->device->threads, change_strip, t, (n + STRIP - 1) / STRIP);
    e->run->arena->flops += 6 * (double)n * (double)n;
    write_pivot(t, d, own, row);
    e->kept[p] = !e->kept[p];
    return status;
}

/* ---- Prices ---- */

static double price(const s24i_exchanges *e, int64_t i, int64_t j)
{
    int64_t n = e->dim;
    double x = e->k[i * n + j], c = e->k[j * n + j], u = x / c, qj = e->q[j * n + j];
    double out = e->q[i * n + i] - 2 * u * e->q[i * n + j] + u * u * qj;
    return out / (e->k[i * n + i] + u * x) - qj / c;
}

static void search_row(void *arg, int64_t i, int32_t worker)
{
    (void)worker;
    const tableau *t = arg;
    const s24i_exchanges *e = t->of;
    t->gain[i] = 0;
    t->partner[i] = -1;
    for (int64_t j = 0; e->kept[i] && j < e->dim; j++) {
        double change = e->kept[j] ? 0 : price(e, i, j);
        if (change < t->gain[i]) {
            t->gain[i] = change;
            t->partner[i] = j;
        }
    }
}

/* The best exchange of all; -1: none gains more than `least`. */
static s24_status search(tableau *t, double least, int64_t *best)
{
    const s24i_exchanges *e = t->of;
    s24_status status = s24i_parallel(e->run->device->threads, search_row, t, e->dim);
    *best = -1;
    for (int64_t i = 0; i < e->dim && !status; i++)
        if (t->gain[i] < -least && (*best < 0 || t->gain[i] < t->gain[*best]))
            *best = i;
    return status;
}

/* ---- All of it ---- */

static s24_status exchange(tableau *t, double least, int64_t *swapped)
{
    const s24i_exchanges *e = t->of;
    s24_status status = S24_OK;
    s24i_watch_phase(e->run->watch, "exchanges", e->most);
    while (!status && *swapped < e->most) {
        int64_t out;
        status = search(t, least, &out);
        if (status || out < 0)
            return status;
        int64_t in = t->partner[out];
        status = pivot(t, in);
        if (!status)
            status = pivot(t, out);
        ++*swapped;
        if (s24i_watch_step(e->run->watch, 1, NAN, NAN))
            return status;
    }
    return status;
}

s24_status s24i_exchange_columns(const s24i_exchanges *e, double least, int64_t *swapped)
{
    s24i_arena *arena = e->run->arena;
    size_t mark = arena->used, n = (size_t)e->dim;
    tableau t = {.of = e};
    double **arrays[] = {&t.u, &t.f, &t.z, &t.same, &t.other, &t.gain};
    for (int i = 0; i < 6; i++)
        *arrays[i] = s24i_arena_take(arena, n, sizeof(double));
    t.partner = s24i_arena_take(arena, n, sizeof(int64_t));
    uint8_t *wanted = s24i_arena_take(arena, n, 1);
    s24_status status = S24_OK;
    *swapped = 0;
    if (!s24i_counting(e->run)) {
        for (int64_t j = 0; j < e->dim; j++) {
            wanted[j] = e->kept[j];
            e->kept[j] = 1;
        }
        for (int64_t j = 0; j < e->dim && !status; j++)
            status = wanted[j] ? S24_OK : pivot(&t, j);
        if (!status)
            status = exchange(&t, least, swapped);
    }
    arena->used = mark;
    return status;
}
