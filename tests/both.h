/* The best mask of n:m along both sides of a tile, by cancelling cycles of exchanges: slow, and
 * independent of the library, which grows shortest paths. */
#ifndef S24_TESTS_BOTH_H
#define S24_TESTS_BOTH_H
#include "naive.h"

enum { BOTH_MOST = 64 };

/* Exchanges as steps between columns: from j to k in the row that loses least by dropping j for k.
 * A cycle of negative cost is a better mask. */
typedef struct {
    const double *s;
    uint8_t *mask;
    int n, m;
    double cost[BOTH_MOST][BOTH_MOST];
    int row[BOTH_MOST][BOTH_MOST];
} both_tile;

static inline void both_price(both_tile *t)
{
    for (int j = 0; j < t->m; j++)
        for (int k = 0; k < t->m; k++) {
            t->cost[j][k] = INFINITY;
            for (int i = 0; i < t->m; i++) {
                double cost = t->s[i * t->m + j] - t->s[i * t->m + k];
                if (t->mask[i * t->m + j] && !t->mask[i * t->m + k] && cost < t->cost[j][k]) {
                    t->cost[j][k] = cost;
                    t->row[j][k] = i;
                }
            }
        }
}

/* Bellman and Ford: a column on a cycle that gains more than `slack`, or -1; from[] leads round. */
static inline int both_cycle(const both_tile *t, double slack, int from[BOTH_MOST])
{
    double length[BOTH_MOST] = {0};
    int last = -1;

    for (int round = 0; round <= t->m; round++) {
        last = -1;
        for (int j = 0; j < t->m; j++)
            for (int k = 0; k < t->m; k++)
                if (length[j] + t->cost[j][k] < length[k] - slack) {
                    length[k] = length[j] + t->cost[j][k];
                    from[k] = j;
                    last = k;
                }
        if (last < 0)
            return -1;
    }
    for (int i = 0; i < t->m; i++)
        last = from[last];
    return last;
}

/* No exchange, however long its chain, gains more than `slack` a step: the mask is the best. */
static inline bool both_is_best(const double *s, const uint8_t *mask, int n, int m, double slack)
{
    int mark = naive_count, from[BOTH_MOST];
    both_tile *t = GRAB(both_tile, 1);

    *t = (both_tile){.s = s, .mask = (uint8_t *)(uintptr_t)mask, .n = n, .m = m};
    both_price(t);
    bool best = both_cycle(t, slack, from) < 0;
    drop_to(mark);
    return best;
}

/* mask, m x m, is the best. */
static inline void both_solve(const double *s, int n, int m, uint8_t *mask)
{
    int mark = naive_count, from[BOTH_MOST], start;
    both_tile *t = GRAB(both_tile, 1);
    double largest = 0;

    *t = (both_tile){.s = s, .mask = mask, .n = n, .m = m};
    for (int i = 0; i < m * m; i++) {
        mask[i] = (i % m - i / m + m) % m < n;
        largest = fmax(largest, s[i]);
    }
    for (both_price(t); (start = both_cycle(t, 1e-14 * largest, from)) >= 0; both_price(t)) {
        int k = start;
        do {
            int j = from[k], row = t->row[j][k];
            mask[row * m + j] = 0;
            mask[row * m + k] = 1;
            k = j;
        } while (k != start);
    }
    drop_to(mark);
}

/* Of a matrix, by the squares of w. */
static inline void both_mask(const float *w, int64_t rows, int64_t cols, int n, int m,
                             uint8_t *mask)
{
    int mark = naive_count;
    double *s = GRAB(double, m *m);
    uint8_t *tile = GRAB(uint8_t, m * m);

    for (int64_t at = 0; at < rows / m * (cols / m); at++) {
        int64_t corner = at / (cols / m) * m * cols + at % (cols / m) * m;
        for (int i = 0; i < m * m; i++)
            s[i] = pow(w[corner + i / m * cols + i % m], 2);
        both_solve(s, n, m, tile);
        for (int i = 0; i < m * m; i++)
            mask[corner + i / m * cols + i % m] = tile[i];
    }
    drop_to(mark);
}

#endif
