/* The shrinking operators of n:m groups, one group in each lane. Written in the vocabulary of a
 * reals_*.h, which comes first and says what a `real` is and how many are worked on at once; one
 * lane of it is the reference. Knows no instruction set and no matrix.
 *
 * Every operation is written down and rounded once, nothing is fused, so that all instantiations
 * give the same bits. All sorting is by magnitude; of equal ones the first goes before the second.
 * docs/operators.md derives what is used here.
 * */
#ifndef S24I_LANES_PROX_H
#define S24I_LANES_PROX_H
#include "kernels/inline.h"
#include "kernels/kernels.h"
#include <stdbool.h>
#include <string.h>

#define ALL(x) reals_all((real)(x))

enum {
    SINGLE = sizeof(real) == 4,
    STEPS = SINGLE ? 4 : 7, /* towards the root: docs/operators.md says what fewer would cost */
    SWEEPS = 2,             /* over the coordinates afterwards */
};

typedef enum shrink_method {
    SHRINK_TRIPLES, /* 2:m: lambda times the sum of the products of all triples */
    SHRINK_PAIRS,   /* 1:m: of all pairs */
    SHRINK_FIRM,    /* a threshold between the n-th and the next */
} shrink_method;

typedef struct shrink_rule {
    shrink_method method;
    int32_t n, m;
    real strength; /* lambda of the first two */
    bool relative; /* lambda is divided by the largest magnitude of the group */
} shrink_rule;

INLINE reals reals_clamp(reals x, reals low, reals high)
{
    return reals_min(reals_max(x, low), high);
}

/* u / y where y is not 0. */
INLINE reals shrink_factor(reals u, reals y, reals otherwise)
{
    which some = reals_greater(y, ALL(0));
    return reals_choose(some, u / reals_choose(some, y, ALL(1)), otherwise);
}

/* Magnitudes relative to the first and largest. */
INLINE reals relative_magnitude(const reals *a, int32_t i)
{
    which some = reals_greater(a[0], ALL(0));
    return a[i] / reals_choose(some, a[0], ALL(1));
}

/* ---- 2:m: 1/2 |u - y|^2 + e3(u), y sorted and not negative ---- */

/* The way to the only local minimum whose support is the first n, if there is one. */
typedef struct candidate {
    reals o[S24I_MAX_GROUP], weight, slope; /* of G */
    which low;
    reals x;
    reals u[S24I_MAX_GROUP];
} candidate;

/* The equation G(x) = sum_{i < n-1} sqrt(x^2 + o_i) + weight sqrt(x^2 + o_{n-1}) + slope x - 4 = 0.
 * `sum` is that of the first n. */
INLINE void set_equation(const reals *y, reals sum, int32_t n, candidate *c)
{
    const real rest = (real)(n - 2), b = (real)(n - 4) / rest;
    reals last = y[n - 1];
    reals kappa = sum * reals_all(4 / rest) - ALL(4) * last + reals_all(b * b - 1);
    c->low = reals_greater(ALL(0), kappa); /* small y: solve for T - b instead of s_n */
    reals lift = reals_max(ALL(0) - kappa, ALL(0));
    for (int32_t i = 0; i < n - 1; ++i)
        c->o[i] = ALL(4) * (y[i] - last) + lift;
    c->o[n - 1] = reals_magnitude(kappa);
    c->weight = reals_choose(c->low, ALL(1), reals_all(rest));
    c->slope = reals_choose(c->low, reals_all(rest), ALL(1));
    c->x = reals_all((real)2 / (real)(n - 1));
}

/* From a point to the right of the largest root of G, which is convex, by Euler's second-order
 * step: even next to a double root a few are enough, where Newton's method needs twenty. Without a
 * root x becomes some number of [-3, 1]. */
INLINE void step_to_root(int32_t n, candidate *c)
{
    const reals floor = ALL(SINGLE ? 1e-12 : 1e-30), *o = c->o, x = c->x;
    reals square = x * x + floor, root = reals_sqrt(square + o[n - 1]), inverse = ALL(1) / root;
    reals g = c->weight * root + (c->slope * x - ALL(4)), g1 = c->weight * inverse;
    reals g2 = g1 * (o[n - 1] * inverse * inverse);
    for (int32_t i = 0; i < n - 1; ++i) {
        root = reals_sqrt(square + o[i]);
        inverse = ALL(1) / root;
        g = g + root;
        g1 = g1 + inverse;
        g2 = g2 + o[i] * inverse * inverse * inverse;
    }
    g1 = g1 * x + c->slope;
    reals inner = reals_max(g1 * g1 - ALL(2) * g * g2, ALL(0));
    reals below = reals_max(g1 + reals_sqrt(inner), ALL(1e-6));
    reals move = reals_clamp(ALL(2) * g / below, ALL(-1), ALL(1));
    c->x = reals_clamp(x - move, ALL(-3), ALL(1));
}

/* u from the root; some point between 0 and y when there was none. */
INLINE void read_point(const reals *y, int32_t n, candidate *c)
{
    const real b = (real)(n - 4) / (real)(n - 2);
    reals square = c->x * c->x, other = reals_sqrt(square + c->o[n - 1]);
    reals total = reals_choose(c->low, c->x, other) + reals_all(b), half = ALL(0.5);
    for (int32_t i = 0; i < n - 1; ++i)
        c->u[i] = reals_sqrt(square + c->o[i]);
    c->u[n - 1] = reals_choose(c->low, other, c->x);
    for (int32_t i = 0; i < n; ++i)
        c->u[i] = reals_clamp(half * (c->u[i] + (total - ALL(1))), ALL(0), y[i]);
}

/* Exact minimisation over one coordinate after the other, which can only help; it brings back the
 * relative precision of small values, and all of it where y is so small that the equation above has
 * none. */
INLINE void sweep_coordinates(const reals *y, int32_t n, candidate *c)
{
    reals e1 = c->u[0], e2 = ALL(0), *u = c->u;
    for (int32_t i = 1; i < n; ++i) {
        e2 = e2 + u[i] * e1;
        e1 = e1 + u[i];
    }
    for (int32_t i = 0; i < n; ++i) {
        e1 = e1 - u[i];
        e2 = e2 - u[i] * e1;
        u[i] = reals_clamp(y[i] - e2, ALL(0), y[i]);
        e2 = e2 + u[i] * e1;
        e1 = e1 + u[i];
    }
}

/* Twice the objective over the first n, once rounding has been kept from changing the order of
 * y. */
INLINE reals twice_objective(const reals *y, int32_t n, candidate *c)
{
    reals e1 = ALL(0), e2 = ALL(0), e3 = ALL(0), squares = ALL(0), *u = c->u;
    for (int32_t i = 0; i < n; ++i) {
        if (i > 0)
            u[i] = reals_min(u[i], u[i - 1]);
        reals lost = u[i] - y[i];
        squares = squares + lost * lost;
        e3 = e3 + u[i] * e2;
        e2 = e2 + u[i] * e1;
        e1 = e1 + u[i];
    }
    return squares + ALL(2) * e3;
}

/* One or two candidates in step: what one waits for is covered by the other's work. */
INLINE void find_candidates(const reals *y, const reals *sum, int32_t n, int32_t count,
                            candidate *c)
{
    for (int32_t k = 0; k < count; ++k)
        set_equation(y, sum[k], n + k, &c[k]);
    for (int step = 0; step < STEPS; ++step)
        for (int32_t k = 0; k < count; ++k)
            step_to_root(n + k, &c[k]);
    for (int32_t k = 0; k < count; ++k)
        read_point(y, n + k, &c[k]);
    for (int sweep = 0; sweep < SWEEPS; ++sweep)
        for (int32_t k = 0; k < count; ++k)
            sweep_coordinates(y, n + k, &c[k]);
}

/*
 * The best of the local minima, one for each number of non-zeros from 2 on; of equal ones the
 * first. y[0] > 2 admits two non-zeros only. Where y is tiny all objectives may be 0 or rounding,
 * but the function is strictly convex there: the last candidate's sweeps find its minimum.
 */
INLINE void minimise_triples(const reals *y, int32_t m, reals *u)
{
    candidate c[2];
    reals tail[S24I_MAX_GROUP + 1], sum[2];
    which forced = reals_greater(y[0], ALL(2));
    which tiny = reals_greater(ALL(SINGLE ? 1e-5 : 1e-9), y[0]);
    for (int32_t i = 0; i < m; ++i)
        u[i] = i < 2 ? y[i] : ALL(0);
    if (which_all(forced))
        return;
    tail[m] = ALL(0);
    for (int32_t i = m - 1; i >= 2; --i)
        tail[i] = tail[i + 1] + y[i] * y[i];
    reals best = reals_choose(forced, ALL(-1), tail[2]);
    sum[1] = y[0] + y[1];
    for (int32_t n = 3; n <= m; n += 2) {
        const int32_t count = n < m ? 2 : 1;
        sum[0] = sum[1] + y[n - 1];
        if (count == 2)
            sum[1] = sum[0] + y[n];
        find_candidates(y, sum, n, count, c);
        for (int32_t k = 0; k < count; ++k) {
            reals value = twice_objective(y, n + k, &c[k]) + tail[n + k];
            if (n + k == m)
                best = reals_choose(tiny, value + ALL(1), best);
            which better = reals_greater(best, value);
            best = reals_choose(better, value, best);
            for (int32_t i = 0; i < n + k; ++i)
                u[i] = reals_choose(better, c[k].u[i], u[i]);
        }
    }
}

INLINE void shrink_triples(const shrink_rule *rule, reals *a)
{
    const int32_t m = rule->m;
    const bool endless = rule->strength > REAL_MAX;
    reals y[S24I_MAX_GROUP], u[S24I_MAX_GROUP];
    /* Beyond 2 the outcome is decided, so 3 is as good as anything, and has a square. */
    reals lambda = reals_all(endless ? 0 : rule->strength), least = ALL(endless ? 3 : 0);
    for (int32_t i = 0; i < m; ++i) {
        reals magnitude = rule->relative ? relative_magnitude(a, i) : a[i];
        y[i] = reals_min(magnitude * lambda + least, ALL(3));
    }
    minimise_triples(y, m, u);
    which tiny = reals_greater(ALL(SINGLE ? 1e-5 : 1e-9), y[0]);
    reals otherwise = reals_choose(tiny, ALL(1), ALL(0)); /* y too small to be seen beside others */
    for (int32_t i = 0; i < m; ++i)
        a[i] = a[i] * shrink_factor(u[i], y[i], otherwise);
}

/* ---- 1:m: 1/2 |u - y|^2 + lambda e2(u) ---- */

/*
 * u_i = (y_i - lambda T) / (1 - lambda) on the largest prefix where that is positive, T = sum / (1
 * + (n-1) lambda). With g_i = y_1 - y_i it is (y_i + lambda / (1 - lambda) (sum g - n g_i)) / (1 +
 * (n-1) lambda), where nothing cancels as lambda goes to 1: on the support all g are then of the
 * order of 1 - lambda.
 */
INLINE void shrink_pairs(const shrink_rule *rule, reals *a)
{
    const int32_t m = rule->m;
    const real lambda = rule->strength, left = 1 - lambda;
    if (left <= 0) {
        for (int32_t i = 1; i < m; ++i)
            a[i] = ALL(0);
        return;
    }
    reals y[S24I_MAX_GROUP], gap[S24I_MAX_GROUP], gaps = ALL(0), sum = ALL(0), count = ALL(0);
    which fits = reals_greater(ALL(1), ALL(0));
    for (int32_t i = 0; i < m; ++i) {
        y[i] = relative_magnitude(a, i);
        gap[i] = y[0] - y[i];
        sum = sum + gap[i];
        reals rest = reals_all(left) * y[i] + reals_all(lambda) * (sum - ALL(i + 1) * gap[i]);
        fits = which_and(fits, reals_greater(rest, ALL(0)));
        count = reals_choose(fits, ALL(i + 1), count);
        gaps = reals_choose(fits, sum, gaps);
    }
    reals below = ALL(1) + (count - ALL(1)) * reals_all(lambda),
          otherwise = ALL(lambda > 0 ? 0 : 1);
    for (int32_t i = 0; i < m; ++i) {
        reals u = (y[i] + reals_all(lambda / left) * (gaps - count * gap[i])) / below;
        u = reals_choose(reals_greater(count, ALL(i)), reals_clamp(u, ALL(0), y[i]), ALL(0));
        a[i] = a[i] * shrink_factor(u, y[i], otherwise);
    }
}

/* ---- any n:m ---- */

/* t is half-way between the n-th and the next; 0 up to t (1 - d), unchanged from t (1 + d) on,
 * linear between; d = 1 - strength. */
INLINE void shrink_firm(const shrink_rule *rule, reals *a)
{
    const int32_t n = rule->n, m = rule->m;
    const real d = 1 - rule->strength;
    if (d <= 0) {
        for (int32_t i = 0; i < m; ++i)
            a[i] = i < n ? a[i] : ALL(0);
        return;
    }
    reals middle = a[n] + ALL(0.5) * (a[n - 1] - a[n]);
    reals low = middle * reals_all(rule->strength), high = middle + middle * reals_all(d);
    reals slope = reals_all((1 + d) / (2 * d));
    for (int32_t i = 0; i < m; ++i) {
        reals shrunk = reals_clamp(slope * (a[i] - low), ALL(0), a[i]);
        a[i] = reals_choose(reals_greater(high, a[i]), shrunk, a[i]);
    }
}

/* ---- groups ---- */

/* From sorted magnitudes to the result's. */
INLINE void shrink_sorted(const shrink_rule *rule, reals *a)
{
    if (rule->method == SHRINK_TRIPLES)
        shrink_triples(rule, a);
    else if (rule->method == SHRINK_PAIRS)
        shrink_pairs(rule, a);
    else
        shrink_firm(rule, a);
    for (int32_t i = 1; i < rule->m; ++i) /* rounding may not change the order */
        a[i] = reals_min(a[i], a[i - 1]);
}

/* With the sign of z; what has become 0 is +0, what was 0 stays as it was. */
INLINE reals with_sign(reals magnitude, reals z)
{
    reals zero = reals_choose(reals_greater(reals_magnitude(z), ALL(0)), ALL(0), z);
    return reals_choose(reals_greater(magnitude, ALL(0)), reals_signed(magnitude, z), zero);
}

/* rank[i] is the place of a[i] among all, largest first. */
INLINE void rank_magnitudes(const reals *a, int32_t m, reals *rank)
{
    for (int32_t i = 0; i < m; ++i)
        rank[i] = ALL(0);
    for (int32_t j = 1; j < m; ++j)
        for (int32_t i = 0; i < j; ++i) {
            which later = reals_greater(a[j], a[i]);
            rank[i] = rank[i] + reals_choose(later, ALL(1), ALL(0));
            rank[j] = rank[j] + reals_choose(later, ALL(0), ALL(1));
        }
}

INLINE void order_pair(reals *x, reals *y)
{
    reals least = reals_min(*x, *y);
    *x = reals_max(*x, *y);
    *y = least;
}

/* REALS groups of four, in registers. */
INLINE void shrink_fours(const shrink_rule *rule, const real *z, real *w)
{
    reals value[4], a[4], rank[4];
    groups_load(z, value);
    for (int i = 0; i < 4; ++i)
        a[i] = reals_magnitude(value[i]);
    rank_magnitudes(a, 4, rank);
    order_pair(&a[0], &a[1]);
    order_pair(&a[2], &a[3]);
    order_pair(&a[0], &a[2]);
    order_pair(&a[1], &a[3]);
    order_pair(&a[1], &a[2]);
    shrink_sorted(rule, a);
    for (int i = 0; i < 4; ++i) {
        reals back = reals_choose(reals_greater(ALL(2.5), rank[i]), a[2], a[3]);
        back = reals_choose(reals_greater(ALL(1.5), rank[i]), a[1], back);
        back = reals_choose(reals_greater(ALL(0.5), rank[i]), a[0], back);
        value[i] = with_sign(back, value[i]);
    }
    groups_store(w, value);
}

INLINE void all_fours(const shrink_rule *rule, const real *z, real *w, int64_t n)
{
    const int64_t block = 4 * REALS;
    for (int64_t i = 0; i < n; i += block) {
        real last[4 * REALS] = {0}, *to = w + i;
        const real *from = z + i;
        if (n - i < block) {
            memcpy(last, from, (size_t)(n - i) * sizeof *z);
            from = to = last;
        }
        shrink_fours(rule, from, to);
        if (to == last)
            memcpy(w + i, last, (size_t)(n - i) * sizeof *w);
    }
}

/* `count` <= REALS groups of any size, through memory. */
INLINE void shrink_any(const shrink_rule *rule, const real *z, real *w, int32_t count)
{
    const int32_t m = rule->m;
    real value[S24I_MAX_GROUP][REALS] = {{0}}, place[S24I_MAX_GROUP][REALS];
    real sorted[S24I_MAX_GROUP][REALS];
    reals a[S24I_MAX_GROUP], rank[S24I_MAX_GROUP];
    for (int32_t g = 0; g < count; ++g)
        for (int32_t i = 0; i < m; ++i)
            value[i][g] = z[g * m + i];
    memcpy(sorted, value, (size_t)m * sizeof *sorted); /* a NaN may leave places empty */
    for (int32_t i = 0; i < m; ++i)
        a[i] = reals_magnitude(reals_load(value[i]));
    rank_magnitudes(a, m, rank);
    for (int32_t i = 0; i < m; ++i) {
        reals_store(place[i], rank[i]);
        for (int32_t g = 0; g < REALS; ++g)
            sorted[(int32_t)place[i][g]][g] = value[i][g];
    }
    for (int32_t i = 0; i < m; ++i)
        a[i] = reals_magnitude(reals_load(sorted[i]));
    shrink_sorted(rule, a);
    for (int32_t i = 0; i < m; ++i)
        reals_store(sorted[i], with_sign(a[i], reals_load(sorted[i])));
    for (int32_t g = 0; g < count; ++g)
        for (int32_t i = 0; i < m; ++i)
            w[g * m + i] = sorted[(int32_t)place[i][g]][g];
}

INLINE void all_groups(const shrink_rule *rule, const real *z, real *w, int64_t n)
{
    const int64_t groups = n / rule->m;
    for (int64_t done = 0; done < groups; done += REALS) {
        int32_t count = groups - done < REALS ? (int32_t)(groups - done) : REALS;
        shrink_any(rule, z + done * rule->m, w + done * rule->m, count);
    }
}

/* ---- the kernels ---- */

static void lanes_prox_2m(const real *z, real *w, int64_t n, int32_t m, real lambda,
                          int32_t relative)
{
    /* A constant m is what the compiler unrolls by. */
    const shrink_rule four = {SHRINK_TRIPLES, 2, 4, lambda, relative != 0};
    const shrink_rule any = {SHRINK_TRIPLES, 2, m, lambda, relative != 0};
    if (m <= 2)
        memmove(w, z, (size_t)n * sizeof *z);
    else if (m == 4)
        all_fours(&four, z, w, n);
    else
        all_groups(&any, z, w, n);
}

static void lanes_prox_1m(const real *z, real *w, int64_t n, int32_t m, real lambda)
{
    const shrink_rule four = {SHRINK_PAIRS, 1, 4, lambda, true};
    const shrink_rule any = {SHRINK_PAIRS, 1, m, lambda, true};
    if (m <= 1)
        memmove(w, z, (size_t)n * sizeof *z);
    else if (m == 4)
        all_fours(&four, z, w, n);
    else
        all_groups(&any, z, w, n);
}

static void lanes_prox_firm(const real *z, real *w, int64_t n, int32_t keep, int32_t m,
                            real strength)
{
    const shrink_rule any = {SHRINK_FIRM, keep, m, strength, false};
    const shrink_rule two_four = {SHRINK_FIRM, 2, 4, strength, false};
    if (keep >= m)
        memmove(w, z, (size_t)n * sizeof *z);
    else if (keep == 2 && m == 4)
        all_fours(&two_four, z, w, n);
    else
        all_groups(&any, z, w, n);
}

#endif
