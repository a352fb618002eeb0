#include "sets.h"
#include <math.h>

/*
 * n:m along both sides of a tile of m x m: n in each row and each column, of the largest sum of
 * squares. A transport problem, so it is solved by shortest paths: every row takes its n largest;
 * then columns that hold too many give one to columns that hold too few, along the cheapest chain
 * of exchanges within rows (column j -> k through the row that loses least by it). With potentials
 * v no exchange gains by s_ij - v_j, which proves the mask optimal.
 */

typedef struct {
    int32_t n, m;
    const double *s; /* m x m */
    double *free;    /* m x m: s where the mask is 0, else -infinity */
    uint8_t *mask;   /* m rows, `stride` apart */
    int64_t stride;
    double v[S24I_MAX_GROUP];
    /* Of the shortest path to a column: its length; the same while it may get shorter, else
     * -infinity; and S24I_MAX_GROUP times the column before, and the row between. */
    double length[S24I_MAX_GROUP], open[S24I_MAX_GROUP], via[S24I_MAX_GROUP];
    int32_t held[S24I_MAX_GROUP]; /* by a column */
} transport;

static void set(transport *t, int32_t i, int32_t j, bool kept)
{
    int32_t at = i * t->m + j;
    t->mask[i * t->stride + j] = kept;
    t->free[at] = kept ? -INFINITY : t->s[at];
}

/* The n largest of every row, ties to the lower index. */
static void take_largest(transport *t)
{
    for (int32_t j = 0; j < t->m; j++)
        t->held[j] = 0;
    for (int32_t i = 0; i < t->m; i++) {
        const double *s = t->s + i * t->m;
        for (int32_t j = 0; j < t->m; j++) {
            int32_t before = 0;
            for (int32_t k = 0; k < t->m; k++)
                before += s[k] > s[j] || (s[k] == s[j] && k < j);
            set(t, i, j, before < t->n);
            t->held[j] += before < t->n;
        }
    }
}

/* Paths begin at the columns that hold too many; false when there is none. */
static bool begin_paths(transport *t)
{
    bool any = false;
    for (int32_t j = 0; j < t->m; j++) {
        bool source = t->held[j] > t->n;
        t->open[j] = source ? 0 : INFINITY;
        t->length[j] = INFINITY;
        t->via[j] = -1;
        any |= source;
    }
    return any;
}

/* The nearest open column, which is closed. */
static int32_t take_nearest(transport *t)
{
    int32_t j = -1;
    for (int32_t k = 0; k < t->m; k++)
        if (t->open[k] > -INFINITY && (j < 0 || t->open[k] < t->open[j]))
            j = k;
    t->length[j] = t->open[j];
    t->open[j] = -INFINITY;
    return j;
}

/* Row i may drop column j and take another. */
static void relax_row(transport *t, int32_t i, int32_t j)
{
    const double *free = t->free + i * t->m;
    double base = t->length[j] + t->s[i * t->m + j] - t->v[j];
    double way = j * S24I_MAX_GROUP + i;
    for (int32_t k = 0; k < t->m; k++) {
        double length = base - free[k] + t->v[k];
        t->via[k] = length < t->open[k] ? way : t->via[k];
        t->open[k] = length < t->open[k] ? length : t->open[k];
    }
}

/* Dijkstra over the columns up to the first that holds too few; there always is one. */
static int32_t find_path(transport *t)
{
    for (;;) {
        int32_t j = take_nearest(t);
        if (t->held[j] < t->n)
            return j;
        for (int32_t i = 0; i < t->m; i++)
            if (t->mask[i * t->stride + j])
                relax_row(t, i, j);
    }
}

static void follow_path(transport *t, int32_t end)
{
    for (int32_t j = 0; j < t->m; j++)
        t->v[j] -= fmin(t->length[j], t->length[end]);
    for (int32_t j = end; t->via[j] >= 0;) {
        int32_t way = (int32_t)t->via[j], row = way % S24I_MAX_GROUP, from = way / S24I_MAX_GROUP;
        set(t, row, j, true);
        set(t, row, from, false);
        t->held[j]++;
        t->held[from]--;
        j = from;
    }
}

static void select_tile(transport *t)
{
    for (int32_t j = 0; j < t->m; j++)
        t->v[j] = 0;
    take_largest(t);
    while (begin_paths(t))
        follow_path(t, find_path(t));
}

static void square_tile(const float *w, const float *norm, int64_t stride, int32_t m, double *s)
{
    for (int32_t i = 0; i < m; i++)
        for (int32_t j = 0; j < m; j++) {
            float x = norm ? fabsf(w[i * stride + j]) * norm[j] : fabsf(w[i * stride + j]);
            s[i * m + j] = (double)x * (double)x;
        }
}

size_t s24i_both_scratch(const s24i_constraints *constraints)
{
    return constraints->both ? 2 * (size_t)constraints->m * (size_t)constraints->m : 0;
}

void s24i_select_both(const s24i_kernels *kernels, const s24i_constraints *constraints,
                      s24i_strip strip, int64_t cols, uint8_t *mask, double *scratch)
{
    int32_t m = constraints->m;
    transport t = {.n = constraints->n, .m = m, .s = scratch, .stride = strip.stride};
    t.free = scratch + m * m;
    if (t.n == 2 && m == 4) {
        kernels->select_24_both(strip.w, strip.norm, mask, strip.stride, cols);
        return;
    }
    for (int64_t j = 0; j < cols; j += m) {
        square_tile(strip.w + j, strip.norm ? strip.norm + j : NULL, strip.stride, m, scratch);
        t.mask = mask + j;
        select_tile(&t);
    }
}
