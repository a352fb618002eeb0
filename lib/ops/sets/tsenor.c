#include "training.h"
#include <math.h>
#include <string.h>

/*
 * TSENOR (arXiv 2505.23949), from the paper's text, to compare with: the transport problem with
 * entropy, S = exp(tau |w| / max |w|), by Dykstra's projections in logarithms (rows to n, columns
 * to n, entries to at most 1), then rounded: the largest first while row and column have room, and
 * exchanges for rows and columns that are short. It may end without a mask of n:m.
 */
enum { EXCHANGES = 10, SIZE = S24I_MAX_GROUP * S24I_MAX_GROUP };

typedef struct {
    int32_t n, m;
    double s[SIZE], f[SIZE], dual[SIZE];
    int32_t order[SIZE], across[S24I_MAX_GROUP], down[S24I_MAX_GROUP];
    uint8_t mask[SIZE];
} tile;

typedef struct {
    const s24i_device *device;
    s24i_nm nm;
    double tau;
    int32_t rounds;
    const s24_mat *w;
    uint8_t *mask; /* rows x cols */
    tile *room;    /* a worker */
    _Atomic int64_t bad;
} job;

/* f -= log(sum of exp f / n) along a row or column of the tile. */
static void project_line(const tile *t, double *f, int32_t stride)
{
    double top = f[0], sum = 0;
    for (int32_t k = 1; k < t->m; k++)
        top = fmax(top, f[k * stride]);
    for (int32_t k = 0; k < t->m; k++)
        sum += exp(f[k * stride] - top);
    for (int32_t k = 0; k < t->m; k++)
        f[k * stride] -= top + log(sum / t->n);
}

static void project(tile *t, int32_t rounds)
{
    memset(t->dual, 0, sizeof t->dual);
    for (int32_t round = 0; round < rounds; round++) {
        for (int32_t i = 0; i < t->m; i++)
            project_line(t, t->f + i * t->m, 1);
        for (int32_t j = 0; j < t->m; j++)
            project_line(t, t->f + j, t->m);
        for (int32_t i = 0; i < t->m * t->m; i++) {
            double with = t->f[i] + t->dual[i], f = fmin(with, 0);
            t->dual[i] = with - f;
            t->f[i] = f;
        }
    }
}

static void keep(tile *t, int32_t i, int32_t j, int32_t kept)
{
    t->mask[i * t->m + j] = kept > 0;
    t->across[i] += kept;
    t->down[j] += kept;
}

/* Falling f, ties to the lower index: insertion by halves would do no better for so few. */
static void sort_entries(tile *t)
{
    int32_t count = t->m * t->m;
    for (int32_t gap = count / 2; gap > 0; gap /= 2)
        for (int32_t i = gap; i < count; i++) {
            int32_t moved = t->order[i], at = i;
            for (; at >= gap &&
                   (t->f[t->order[at - gap]] < t->f[moved] ||
                    (t->f[t->order[at - gap]] == t->f[moved] && t->order[at - gap] > moved));
                 at -= gap)
                t->order[at] = t->order[at - gap];
            t->order[at] = moved;
        }
}

static void round_greedily(tile *t)
{
    int32_t count = t->m * t->m;
    memset(t->mask, 0, sizeof t->mask);
    memset(t->across, 0, sizeof t->across);
    memset(t->down, 0, sizeof t->down);
    for (int32_t i = 0; i < count; i++)
        t->order[i] = i;
    sort_entries(t);
    for (int32_t k = 0; k < count; k++) {
        int32_t i = t->order[k] / t->m, j = t->order[k] % t->m;
        if (t->across[i] < t->n && t->down[j] < t->n)
            keep(t, i, j, 1);
    }
}

static int32_t first_short(const tile *t, const int32_t *held)
{
    for (int32_t i = 0; i < t->m; i++)
        if (held[i] < t->n)
            return i;
    return -1;
}

/* The best of (i, b) and (a, j) in, (a, b) out; false when there is none. */
static bool exchange(tile *t, int32_t i, int32_t j)
{
    int32_t m = t->m, best = -1;
    double most = -INFINITY;
    for (int32_t k = 0; k < m * m; k++) {
        int32_t a = k / m, b = k % m;
        double gain = t->s[i * m + b] + t->s[a * m + j] - t->s[k];
        if (t->mask[k] && !t->mask[i * m + b] && !t->mask[a * m + j] && gain > most) {
            most = gain;
            best = k;
        }
    }
    if (best < 0)
        return false;
    keep(t, best / m, best % m, -1);
    keep(t, i, best % m, 1);
    keep(t, best / m, j, 1);
    return true;
}

static bool repair(tile *t)
{
    for (int32_t step = 0; step < EXCHANGES; step++) {
        int32_t i = first_short(t, t->across), j = first_short(t, t->down);
        if (i < 0)
            return true;
        if (!t->mask[i * t->m + j])
            keep(t, i, j, 1);
        else if (!exchange(t, i, j))
            return false;
    }
    return first_short(t, t->across) < 0;
}

static void load_tile(const job *k, tile *t, int64_t row, int64_t col)
{
    double largest = 0;
    for (int32_t i = 0; i < t->m; i++) {
        s24_mat part = *k->w;
        part.data = s24i_address(k->w, row + i, col);
        part.cols = t->m;
        part.rows = 1;
        s24i_mat_load_f64(k->device->kernels, &part, 0, 1, t->s + i * t->m);
    }
    for (int32_t i = 0; i < t->m * t->m; i++) {
        t->s[i] = fabs(t->s[i]);
        largest = fmax(largest, t->s[i]);
    }
    for (int32_t i = 0; i < t->m * t->m; i++)
        t->f[i] = largest > 0 ? k->tau * (t->s[i] / largest) : 0;
}

static void solve_tile(void *arg, int64_t index, int32_t worker)
{
    job *k = arg;
    tile *t = k->room + worker;
    int32_t m = k->nm.m;
    int64_t across = k->w->cols / m, row = index / across * m, col = index % across * m;
    t->n = k->nm.n;
    t->m = m;
    load_tile(k, t, row, col);
    project(t, k->rounds);
    round_greedily(t);
    if (!repair(t))
        s24i_keep_minimum(&k->bad, index);
    for (int32_t i = 0; i < m; i++)
        memcpy(k->mask + (row + i) * k->w->cols + col, t->mask + i * m, (size_t)m);
}

static s24_status solve(job *k, const s24_mat *mask)
{
    int32_t m = k->nm.m;
    int64_t across = k->w->cols / m;
    s24_status status = s24i_parallel(k->device->threads, solve_tile, k, k->w->rows / m * across);
    int64_t bad = atomic_load(&k->bad);
    if (!status && bad < INT64_MAX)
        return s24i_fail(S24_E_NUMERIC,
                         "the tile at row %lld, column %lld did not end at %d:%d along both sides: "
                         "raise rounds, or take S24_ALONG_BOTH, which is exact",
                         (long long)(bad / across * m), (long long)(bad % across * m), (int)k->nm.n,
                         (int)m);
    for (int64_t i = 0; !status && i < mask->rows; i++)
        for (int64_t j = 0; j < mask->cols; j++)
            *(uint8_t *)s24i_address(mask, i, j) = k->mask[i * mask->cols + j];
    return status;
}

s24_status s24i_mask_tsenor(const s24i_device *device, s24i_nm nm, double tau, int32_t rounds,
                            const s24_mat *w, const s24_mat *mask)
{
    job k = {.device = device, .nm = nm, .tau = tau, .rounds = rounds, .w = w};
    size_t size = s24i_mul((size_t)w->rows, (size_t)w->cols);
    size_t room = sizeof *k.room * (size_t)s24i_workers(device->threads);
    atomic_init(&k.bad, INT64_MAX);
    k.mask = s24i_alloc(device->memory, size);
    k.room = s24i_alloc(device->memory, room);
    s24_status status = k.mask && k.room ? solve(&k, mask) : S24_E_MEMORY;
    s24i_free(device->memory, k.room, room);
    s24i_free(device->memory, k.mask, size);
    return status;
}
