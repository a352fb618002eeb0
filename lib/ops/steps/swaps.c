#include "swaps.h"
#include <float.h>
#include <math.h>
#include <string.h>

/*
 * Exact 1-swaps: in one row of the matrix exchange a kept weight p for a pruned one q of the same
 * group, all other kept weights re-fitted, as long as that lowers the loss. The tableau of [[S, c],
 * [c^T, 0]], c = S w, swept on the support, holds every gain: with K = S_MM^-1 on the support M, a
 * = K S_Mq, s = Schur complement of q, g = residual of q and v = the fitted weights,
 *   gain(p, q) = (g_q + a_p v_p / K_pp)^2 / (s_q + a_p^2 / K_pp) - v_p^2 / K_pp,
 * and a swap is two pivots.
 */

/* ---- the exact search: one row after another ---- */

typedef struct {
    s24i_swapping *s;
    char *scratch;
    size_t bytes; /* of it, a worker */
} exact;

/* t.b from c = S w; the loss (v - w) S (v - w)^T = w c - v c, and what rounding hides of it. */
static double fit(s24i_row_tableau *t, const float *s, const float *w, int64_t k, double *hidden)
{
    int64_t n = t->t.n;
    double loss = 0, *c = t->factor, *b = t->t.b; /* the factor has been used */
    for (int64_t i = 0; i < n; i++) {
        const float *row = s + t->column[i] * n;
        double sum = 0;
        for (int64_t j = 0; j < n; j++)
            sum += (double)row[j] * (double)w[j];
        c[i] = sum;
        loss += sum * (double)w[t->column[i]];
    }
    *hidden = DBL_EPSILON * loss;
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t j = 0; j < k; j++)
            sum += t->t.m[i * n + j] * c[j];
        b[i] = i < k ? -sum : c[i] - sum;
        loss -= i < k ? b[i] * c[i] : 0;
    }
    return loss;
}

static s24i_exchange best_exchange(const s24i_row_tableau *t, int64_t group)
{
    s24i_exchange best = {0, -1, -1};
    for (int64_t first = 0; first < t->t.n; first += group)
        for (int64_t i = first; i < first + group; i++)
            for (int64_t j = first; t->t.in[t->place[i]] && j < first + group; j++)
                if (!t->t.in[t->place[j]])
                    s24i_consider(&t->t, t->place[i], t->place[j], &best);
    return best;
}

static void swap_row(void *arg, int64_t row, int32_t worker)
{
    const exact *e = arg;
    s24i_swapping *s = e->s;
    int64_t n = s->p->dim, swaps = 0, kept;
    uint8_t *mask = s->mask + row * n;
    float *v = s->v + row * n;
    s24i_row_tableau t;
    if (s24i_watch_stopped(s->run->watch))
        return;
    s24i_row_tableau_lay(&t, n, e->scratch + (size_t)worker * e->bytes);
    if (!s24i_row_tableau_sweep(&t, s->p->s, mask, &kept))
        return;
    double hidden, loss = fit(&t, s->p->s, s->w + row * n, kept, &hidden);
    for (; swaps < s->limits.most && !s24i_watch_stopped(s->run->watch); swaps++) {
        s24i_exchange best = best_exchange(&t, s->group);
        if (best.out < 0 || !(best.gain > fmax(s->limits.tol * loss, hidden)))
            break;
        s24i_pivot(&t.t, best.out);
        s24i_pivot(&t.t, best.in);
        loss -= best.gain;
    }
    for (int64_t i = 0; i < n; i++) {
        mask[t.column[i]] = t.t.in[i];
        v[t.column[i]] = t.t.in[i] ? (float)t.t.b[i] : 0;
    }
    atomic_fetch_add(&s->swapped, swaps);
    s24i_watch_step(s->run->watch, 1, NAN, NAN);
}

s24_status s24i_swap_exact(const s24i_run *run, s24i_swapping *s)
{
    size_t mark = run->arena->used;
    s24i_row_tableau layout;
    exact e = {.s = s, .bytes = s24i_row_tableau_lay(&layout, s->p->dim, NULL)};
    e.scratch = s24i_arena_take(
        run->arena, s24i_mul(e.bytes, (size_t)s24i_workers(s->run->device->threads)), 1);
    s24_status status = S24_OK;
    if (!s24i_counting(run)) {
        s24i_watch_phase(s->run->watch, "swaps", s->rows);
        status = s24i_parallel(s->run->device->threads, swap_row, &e, s->rows);
    }
    run->arena->used = mark;
    return status;
}

/* ---- either ---- */

s24_status s24i_cpu_swap(const s24i_run *run, const s24i_target *target, s24i_swap_limits limits,
                         float *v, uint8_t *mask, int64_t *swapped)
{
    s24i_swapping s = {.run = run, .p = target->prepared, .w = target->w, .rows = target->rows};
    s.group = target->constraints->n ? target->constraints->m : target->prepared->dim;
    s.limits = limits;
    s.v = v;
    s.mask = mask;
    bool is_exact = limits.method == S24I_SWAP_EXACT ||
                    (limits.method == S24I_SWAP_AUTO && target->prepared->dim <= S24I_EXACT_COLS);
    s24_status status = is_exact ? s24i_swap_exact(run, &s) : s24i_swap_schur(run, &s);
    *swapped = atomic_load(&s.swapped);
    return status;
}
