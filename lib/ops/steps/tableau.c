#include "swaps.h"
#include <string.h>

/* Quadratic forms swept on a support, and what an exchange of two positions gains. */

size_t s24i_row_tableau_lay(s24i_row_tableau *t, int64_t n, char *base)
{
    s24i_arena arena = {.base = base, .size = SIZE_MAX};
    size_t size = (size_t)n;
    t->t.n = n;
    t->t.m = s24i_arena_take(&arena, s24i_mul(size, size), sizeof(double));
    t->t.b = s24i_arena_take(&arena, size, sizeof(double));
    t->t.in = s24i_arena_take(&arena, size, 1);
    t->factor = s24i_arena_take(&arena, s24i_mul(size, size), sizeof(double));
    t->column = s24i_arena_take(&arena, size, sizeof(int64_t));
    t->place = s24i_arena_take(&arena, size, sizeof(int64_t));
    return arena.peak;
}

static int64_t order(s24i_row_tableau *t, const uint8_t *mask)
{
    int64_t n = t->t.n, kept = 0, at;
    for (int64_t j = 0; j < n; j++)
        if (mask[j])
            t->column[kept++] = j;
    at = kept;
    for (int64_t j = 0; j < n; j++)
        if (!mask[j])
            t->column[at++] = j;
    for (int64_t i = 0; i < n; i++) {
        t->place[t->column[i]] = i;
        t->t.in[i] = i < kept;
    }
    return kept;
}

/* Rows [r0, r1) x columns [c0, c1) of the permuted S. */
static void copy_block(const s24i_row_tableau *t, const float *s, int64_t r0, int64_t r1,
                       int64_t c0, int64_t c1, double *out, int64_t ld)
{
    for (int64_t i = r0; i < r1; i++)
        for (int64_t j = c0; j < c1; j++)
            out[(i - r0) * ld + j - c0] = s[t->column[i] * t->t.n + t->column[j]];
}

/* -K, X = K S_MQ and S_QQ - S_QM X. */
bool s24i_row_tableau_sweep(s24i_row_tableau *t, const float *s, const uint8_t *mask, int64_t *kept)
{
    int64_t n = t->t.n, k = *kept = order(t, mask), q = n - k;
    double *m = t->t.m, *l = t->factor;
    if (k == 0 || q == 0)
        return false;
    copy_block(t, s, 0, k, 0, k, l, k);
    if (!s24i_small_cholesky(k, l, k))
        return false;
    s24i_small_invert(k, l, k);
    for (int64_t i = 0; i < k; i++)
        memset(l + i * k + i + 1, 0, (size_t)(k - 1 - i) * sizeof *l);
    copy_block(t, s, k, n, 0, k, m + k * n, n);
    copy_block(t, s, k, n, k, n, m + k * n + k, n);
    s24i_dgemm(k, k, k, 1, s24i_f64_turned(l, k), s24i_f64(l, k), 0, s24i_f64_out(m, n));
    s24i_dgemm(k, q, k, 1, s24i_f64(m, n), s24i_f64_turned(m + k * n, n), 0,
               s24i_f64_out(m + k, n));
    s24i_dgemm(q, q, k, -1, s24i_f64(m + k * n, n), s24i_f64(m + k, n), 1,
               s24i_f64_out(m + k * n + k, n));
    for (int64_t i = 0; i < k; i++) {
        for (int64_t j = 0; j < k; j++)
            m[i * n + j] = -m[i * n + j];
        for (int64_t j = k; j < n; j++)
            m[j * n + i] = m[i * n + j];
    }
    return true;
}

void s24i_pivot(s24i_tableau *t, int64_t k)
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

void s24i_consider(const s24i_tableau *t, int64_t p, int64_t q, s24i_exchange *best)
{
    double kpp = -t->m[p * t->n + p], a = t->m[p * t->n + q], s = t->m[q * t->n + q];
    double g = t->b[q] + a * t->b[p] / kpp, price = t->b[p] * t->b[p] / kpp;
    double gain = g * g / (s + a * a / kpp) - price;
    if (s > 1e-12 && kpp > 0 && gain > best->gain)
        *best = (s24i_exchange){gain, p, q};
}
