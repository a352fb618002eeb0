/* Minima of the proximal objectives by grids and quadratics' corners. */
#include "oracle.h"
#include "inputs.h"
#include <math.h>
#include <stdlib.h>

/* ---- objectives ---- */

typedef struct sums {
    long double e1, e2, e3, squares;
} sums;

static sums add_up(const double *z, const double *w, int32_t m, long double scale)
{
    sums s = {0};
    for (int32_t i = 0; i < m; ++i) {
        long double y = scale * fabsl((long double)z[i]), u = scale * fabsl((long double)w[i]);
        s.squares += (u - y) * (u - y);
        s.e3 += u * s.e2;
        s.e2 += u * s.e1;
        s.e1 += u;
    }
    return s;
}

long double triples_objective(const double *z, const double *w, int32_t m, double lambda)
{
    sums s = add_up(z, w, m, lambda);
    return s.squares / 2 + s.e3;
}

long double pairs_objective(const double *z, const double *w, int32_t m, double lambda)
{
    sums s = add_up(z, w, m, 1);
    return s.squares / 2 + lambda * s.e2;
}

long double triples_scale(const double *z, int32_t m, double lambda)
{
    static const double zeros[ORACLE_MAX];
    return triples_objective(z, zeros, m, lambda);
}

/* ---- the grid ---- */

static int descending(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a < b) - (a > b);
}

/* min over u1, u2 >= 0 of the objective with u3, u4 given: 1/2 (u1 - p1)^2 + 1/2 (u2 - p2)^2 + a u1
 * u2 and what does not depend on them, a = u3 + u4, p = y - u3 u4. Where it is goes to `at`, unless
 * NULL. */
static double inner_minimum(const double *y, double u3, double u4, double *at)
{
    double a = u3 + u4, b = u3 * u4, p1 = y[0] - b, p2 = y[1] - b;
    double q1 = fmax(p1, 0), q2 = fmax(p2, 0);
    double one = ((q1 - p1) * (q1 - p1) + p2 * p2) / 2, two = (p1 * p1 + (q2 - p2) * (q2 - p2)) / 2;
    double both = 1 - a * a, u1 = (p1 - a * p2) / both, u2 = (p2 - a * p1) / both, mixed = HUGE_VAL;
    if (both > 0 && u1 >= 0 && u2 >= 0)
        mixed = ((u1 - p1) * (u1 - p1) + (u2 - p2) * (u2 - p2)) / 2 + a * u1 * u2;
    double best = fmin(mixed, fmin(one, two));
    if (at) {
        at[0] = best == mixed ? u1 : best == one ? q1 : 0;
        at[1] = best == mixed ? u2 : best == one ? 0 : q2;
    }
    /* 1/2 (u - y)^2 + u b = 1/2 (u - p)^2 + b y - b^2 / 2 for both. */
    double fixed = b * (y[0] + y[1]) - b * b;
    return best + fixed + ((u3 - y[2]) * (u3 - y[2]) + (u4 - y[3]) * (u4 - y[3])) / 2;
}

typedef struct place {
    double u3, u4, value;
} place;

enum { CELLS = 24, LEVELS = 17, MOVES = 80, REACH = 2 };

static double between(double x, double high)
{
    return x < 0 ? 0 : x > high ? high : x;
}

/* The best of a few points around; once it is the centre, of nearer ones. */
static place refine(const double *y, place best)
{
    double step3 = y[2] / (2 * CELLS), step4 = y[3] / (2 * CELLS);
    for (int level = 0, moves = 0; level < LEVELS && moves < MOVES; ++moves) {
        place centre = best;
        for (int i = -REACH; i <= REACH; ++i)
            for (int j = -REACH; j <= REACH; ++j) {
                place p = {between(centre.u3 + i * step3, y[2]),
                           between(centre.u4 + j * step4, y[3]), 0};
                p.value = inner_minimum(y, p.u3, p.u4, NULL);
                if (p.value < best.value)
                    best = p;
            }
        if (best.u3 == centre.u3 && best.u4 == centre.u4) {
            ++level;
            step3 /= 3;
            step4 /= 3;
        }
    }
    return best;
}

typedef double grid[CELLS + 3][CELLS + 3]; /* with a margin of infinity */

static void fill_grid(const double *y, grid value)
{
    for (int i = 0; i < CELLS + 3; ++i)
        for (int j = 0; j < CELLS + 3; ++j)
            value[i][j] =
                i % (CELLS + 2) && j % (CELLS + 2)
                    ? inner_minimum(y, y[2] * (i - 1) / CELLS, y[3] * (j - 1) / CELLS, NULL)
                    : HUGE_VAL;
}

static int is_lowest(const grid value, int i, int j)
{
    for (int k = 0; k < 9; ++k) {
        double beside = value[i + k / 3 - 1][j + k % 3 - 1];
        if (beside < value[i][j] || (k < 4 && beside == value[i][j])) /* of a plateau the first */
            return 0;
    }
    return 1;
}

/* ---- descent ---- */

/* e1 and e2 of all but i. */
static sums others(const double *u, int32_t m, int32_t i)
{
    sums s = {0};
    for (int32_t j = 0; j < m; ++j)
        if (j != i) {
            s.e2 += u[j] * s.e1;
            s.e1 += u[j];
        }
    return s;
}

static void descend(const double *y, int32_t m, double weight, int order, double *u)
{
    for (int round = 0; round < 2000; ++round) {
        double moved = 0;
        for (int32_t i = 0; i < m; ++i) {
            sums s = others(u, m, i);
            double next = fmax(0, y[i] - weight * (double)(order == 3 ? s.e2 : s.e1));
            moved = fmax(moved, fabs(next - u[i]));
            u[i] = next;
        }
        if (moved <= 1e-12 * y[0])
            break;
    }
}

/* Long narrow valleys and dents smaller than a cell are not for grids: descent from the best place,
 * and from what comes to mind. */
static long double polish(const double *y, place best)
{
    long double least = (long double)best.value;
    for (int start = 0; start < 5; ++start) {
        double u[4] = {0, 0, best.u3, best.u4}, share = start % 2 ? 0.8 : 0.5;
        inner_minimum(y, best.u3, best.u4, u);
        for (int i = 0; i < 4 && start; ++i)
            u[i] = i < 3 || start > 2 ? share * y[i] : 0;
        descend(y, 4, 1, 3, u);
        least = fminl(least, triples_objective(y, u, 4, 1));
    }
    return least;
}

long double grid_minimum(const double *z, double lambda)
{
    double y[4];
    place best = {0, 0, HUGE_VAL};
    grid value;
    for (int i = 0; i < 4; ++i)
        y[i] = lambda * fabs(z[i]);
    qsort(y, 4, sizeof *y, descending);
    fill_grid(y, value);
    for (int i = 1; i < CELLS + 2; ++i)
        for (int j = 1; j < CELLS + 2; ++j)
            if (is_lowest(value, i, j)) {
                place p = {y[2] * (i - 1) / CELLS, y[3] * (j - 1) / CELLS, value[i][j]};
                p = refine(y, p);
                best = p.value < best.value ? p : best;
            }
    return polish(y, best);
}

/* Support sizes go round; every other start takes the largest, the others any. */
static void start_somewhere(const double *y, int32_t m, int start, uint64_t *state, double *u)
{
    int32_t size = 1 + start % m;
    for (int32_t i = 0; i < m; ++i) {
        int in = start / m % 2 == 0 ? i < size : (int32_t)(any_bits(state) % (uint64_t)m) < size;
        u[i] = in ? y[i] * (start < 2 * m ? 0.5 : any_number(state)) : 0;
    }
}

static long double descent(const double *z, int32_t m, double lambda, int order, int starts,
                           uint64_t seed)
{
    double y[ORACLE_MAX], u[ORACLE_MAX];
    long double least = HUGE_VALL;
    for (int32_t i = 0; i < m; ++i)
        y[i] = (order == 3 ? lambda : 1) * fabs(z[i]);
    qsort(y, (size_t)m, sizeof *y, descending);
    for (int start = 0; start < starts; ++start) {
        start_somewhere(y, m, start, &seed, u);
        descend(y, m, order == 3 ? 1 : lambda, order, u);
        least = fminl(least, order == 3 ? triples_objective(y, u, m, 1)
                                        : pairs_objective(y, u, m, lambda));
    }
    return least;
}

long double triples_descent(const double *z, int32_t m, double lambda, int starts, uint64_t seed)
{
    return descent(z, m, lambda, 3, starts, seed);
}

long double pairs_descent(const double *z, int32_t m, double lambda, int starts, uint64_t seed)
{
    return descent(z, m, lambda, 2, starts, seed);
}
