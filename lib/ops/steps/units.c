#include "exchange.h"
#include <math.h>
#include <string.h>

/*
 * Whole inputs removed (OSSCAR, Meng et al. 2024): with K = S^-1 and B the aim, taking unit u out
 * and fitting the rest costs tr(B_u K_uu^-1 B_u^T). Only Q = B^T B is needed, so no step depends on
 * the rows. Taking out a set U is exact too: with M = K_UU^-1 K_U: both K and Q lose
 *   K -= M^T K_UU M,   Q -= M^T Q_U: + Q_:U M - M^T Q_UU M.
 * In double: all costs come from these two matrices.
 */
enum { STRIP = 64 };

typedef struct {
    const s24i_run *run;
    const s24i_units *units;
    int64_t dim, width; /* of a unit */
    double *k, *q;      /* dim x dim */
    double *block;      /* of the columns that go: K_UU and its factor, Q_UU */
    double *square;
    double *m, *c;       /* U x dim: L^-1 K_U: and then M; Q_U: - Q_UU M / 2 */
    double *half;        /* U x dim: L^-1 K_U: */
    double *cost;        /* a unit */
    double *scratch;     /* a worker: 2 width^2 */
    double *w;           /* rows x dim */
    int64_t *gone;       /* the columns that go */
    int64_t *order;      /* units, cheapest first */
    uint8_t *kept;       /* a unit */
    int64_t count, rows; /* of gone */
    _Atomic int64_t singular;
} removal;

static int64_t strips(const removal *r)
{
    return (r->dim + STRIP - 1) / STRIP;
}

static int64_t strip_rows(const removal *r, int64_t first)
{
    return r->dim - first < STRIP ? r->dim - first : STRIP;
}

/* Q = W^T W. */
static void sum_products(void *arg, int64_t strip, int32_t worker)
{
    (void)worker;
    const removal *r = arg;
    int64_t first = strip * STRIP, n = r->dim;
    s24i_dgemm(strip_rows(r, first), n, r->rows, 1, s24i_f64_turned(r->w + first, n),
               s24i_f64(r->w, n), 0, s24i_f64_out(r->q + first * n, n));
}

/* tr(K_uu^-1 Q_uu) = tr(L^-1 Q_uu L^-T), K_uu = L L^T. */
static bool price_block(const double *k, const double *q, int64_t n, int64_t width, double *scratch,
                        double *cost)
{
    double *l = scratch, *product = scratch + width * width;
    for (int64_t i = 0; i < width; i++)
        for (int64_t j = 0; j < width; j++)
            l[i * width + j] = j <= i ? k[i * n + j] : 0;
    if (!s24i_small_cholesky(width, l, width))
        return false;
    s24i_small_invert(width, l, width);
    s24i_dgemm(width, width, width, 1, s24i_f64(l, width), s24i_f64(q, n), 0,
               s24i_f64_out(product, width));
    *cost = 0;
    for (int64_t i = 0; i < width * width; i++)
        *cost += product[i] * l[i];
    return true;
}

static void price_unit(void *arg, int64_t u, int32_t worker)
{
    removal *r = arg;
    int64_t at = u * r->width * (r->dim + 1), width = r->width;
    r->cost[u] = INFINITY;
    if (!r->kept[u])
        return;
    if (width == 1)
        r->cost[u] = r->k[at] > 0 ? fmax(0, r->q[at]) / r->k[at] : 0;
    else if (!price_block(r->k + at, r->q + at, r->dim, width,
                          r->scratch + (size_t)worker * 2 * (size_t)(width * width), &r->cost[u]))
        s24i_keep_minimum(&r->singular, u);
}

/* ---- a set goes ---- */

static void gather_rows(const removal *r, const double *from, double *to)
{
    for (int64_t i = 0; i < r->count; i++)
        memcpy(to + i * r->dim, from + r->gone[i] * r->dim, (size_t)r->dim * sizeof *to);
}

/* The square of rows and columns that go, out of rows that were gathered. */
static void gather_square(const removal *r, const double *rows, double *to)
{
    for (int64_t i = 0; i < r->count; i++)
        for (int64_t j = 0; j < r->count; j++)
            to[i * r->count + j] = rows[i * r->dim + r->gone[j]];
}

/* half = L^-1 K_U:, m = L^-T half, c = Q_U: - Q_UU m / 2. */
static bool factor_set(removal *r)
{
    int64_t u = r->count, n = r->dim;
    gather_rows(r, r->k, r->m);
    gather_square(r, r->m, r->block);
    for (int64_t i = 0; i < u; i++)
        for (int64_t j = i + 1; j < u; j++)
            r->block[i * u + j] = 0;
    if (!s24i_small_cholesky(u, r->block, u))
        return false;
    s24i_small_invert(u, r->block, u);
    s24i_dgemm(u, n, u, 1, s24i_f64(r->block, u), s24i_f64(r->m, n), 0, s24i_f64_out(r->half, n));
    s24i_dgemm(u, n, u, 1, s24i_f64_turned(r->block, u), s24i_f64(r->half, n), 0,
               s24i_f64_out(r->m, n));
    gather_rows(r, r->q, r->c);
    gather_square(r, r->c, r->square);
    s24i_dgemm(u, n, u, -0.5, s24i_f64(r->square, u), s24i_f64(r->m, n), 1, s24i_f64_out(r->c, n));
    return true;
}

static void take_from_strip(void *arg, int64_t strip, int32_t worker)
{
    (void)worker;
    const removal *r = arg;
    int64_t first = strip * STRIP, rows = strip_rows(r, first), n = r->dim, u = r->count;
    s24i_f64s_out k = s24i_f64_out(r->k + first * n, n), q = s24i_f64_out(r->q + first * n, n);
    s24i_dgemm(rows, n, u, -1, s24i_f64_turned(r->half + first, n), s24i_f64(r->half, n), 1, k);
    s24i_dgemm(rows, n, u, -1, s24i_f64_turned(r->m + first, n), s24i_f64(r->c, n), 1, q);
    s24i_dgemm(rows, n, u, -1, s24i_f64_turned(r->c + first, n), s24i_f64(r->m, n), 1, q);
}

/* What is gone is exactly 0. */
static void clear_set(removal *r)
{
    for (int64_t i = 0; i < r->count; i++) {
        memset(r->k + r->gone[i] * r->dim, 0, (size_t)r->dim * sizeof *r->k);
        memset(r->q + r->gone[i] * r->dim, 0, (size_t)r->dim * sizeof *r->q);
    }
    for (int64_t row = 0; row < r->dim; row++)
        for (int64_t i = 0; i < r->count; i++)
            r->k[row * r->dim + r->gone[i]] = r->q[row * r->dim + r->gone[i]] = 0;
}

static s24_status remove_set(removal *r)
{
    if (!factor_set(r))
        return s24i_fail(S24_E_NUMERIC, "the columns from %lld on cannot be told apart: raise damp",
                         (long long)r->gone[0]);
    s24_status status = s24i_parallel(r->run->device->threads, take_from_strip, r, strips(r));
    r->run->arena->flops += 6 * (double)r->count * (double)r->dim * (double)r->dim;
    clear_set(r);
    return status;
}

/* ---- greedy ---- */

/* The `count` cheapest units, ties to the lower one, are marked as gone. */
static void pick_cheapest(removal *r, int64_t count)
{
    r->count = 0;
    for (int64_t picked = 0; picked < count; picked++) {
        int64_t least = -1;
        for (int64_t u = 0; u < r->units->count; u++)
            if (r->kept[u] && (least < 0 || r->cost[u] < r->cost[least]))
                least = u;
        r->kept[least] = 0;
        for (int64_t j = 0; j < r->width; j++)
            r->gone[r->count++] = least * r->width + j;
    }
}

static s24_status price_all(removal *r)
{
    s24_status status = s24i_parallel(r->run->device->threads, price_unit, r, r->units->count);
    int64_t bad = atomic_load(&r->singular);
    if (!status && bad < INT64_MAX)
        status = s24i_fail(S24_E_NUMERIC, "the system of %s %lld is not positive definite",
                           s24i_unit_name(r->units->kind), (long long)bad);
    return status;
}

/* Rounds of nearly `batch` units each, of equal size but for one. */
static s24_status remove_greedily(removal *r, int64_t batch)
{
    int64_t left = r->units->count - r->units->keep;
    int64_t rounds = left / batch > 1 ? left / batch : 1, more = left % rounds;
    s24_status status = S24_OK;
    s24i_watch_phase(r->run->watch, "removal", left);
    for (int64_t round = 0; round < rounds && left > 0 && !status; round++) {
        int64_t count = (r->units->count - r->units->keep) / rounds + (round < more);
        status = price_all(r);
        if (status)
            break;
        pick_cheapest(r, count);
        status = remove_set(r);
        if (s24i_watch_step(r->run->watch, count, NAN, NAN) && round + 1 < rounds)
            return s24i_fail(S24_E_CANCELLED, "stopped before all columns were removed");
    }
    return status;
}

/* ---- every subset ---- */

/* How many ways there are, up to `most` + 1. */
static int64_t subsets(int64_t count, int64_t gone, int64_t most)
{
    int64_t ways = 1;
    gone = gone < count - gone ? gone : count - gone;
    for (int64_t i = 1; i <= gone && ways <= most; i++)
        ways = ways * (count - gone + i) / i;
    return ways;
}

/* The next choice of `size` of `count` in lexical order; false after the last. */
static bool next_choice(int64_t *choice, int64_t size, int64_t count)
{
    int64_t i = size - 1;
    while (i >= 0 && choice[i] == count - size + i)
        i--;
    if (i < 0)
        return false;
    choice[i]++;
    for (int64_t j = i + 1; j < size; j++)
        choice[j] = choice[j - 1] + 1;
    return true;
}

static void set_gone(removal *r, const int64_t *choice, int64_t size)
{
    r->count = 0;
    for (int64_t i = 0; i < size; i++)
        for (int64_t j = 0; j < r->width; j++)
            r->gone[r->count++] = choice[i] * r->width + j;
}

/* What it costs to take all of them out at once: tr(K_UU^-1 Q_UU). */
static double price_set(removal *r)
{
    double cost = INFINITY;
    for (int64_t i = 0; i < r->count; i++)
        for (int64_t j = 0; j < r->count; j++) {
            int64_t at = r->gone[i] * r->dim + r->gone[j];
            r->square[i * r->count + j] = r->q[at];
            r->m[i * r->count + j] = r->k[at];
        }
    return price_block(r->m, r->square, r->count, r->count, r->block, &cost) ? cost : INFINITY;
}

static s24_status try_all(removal *r, int64_t ways)
{
    int64_t size = r->units->count - r->units->keep, *choice = r->order;
    int64_t *best = r->order + r->units->count;
    double least = INFINITY;
    for (int64_t i = 0; i < size; i++)
        choice[i] = best[i] = i;
    s24i_watch_phase(r->run->watch, "subsets", ways);
    do {
        set_gone(r, choice, size);
        double cost = price_set(r);
        if (cost < least) {
            least = cost;
            memcpy(best, choice, (size_t)size * sizeof *best);
        }
        if (s24i_watch_step(r->run->watch, 1, NAN, NAN) && s24i_watch_stopped(r->run->watch))
            return s24i_fail(S24_E_CANCELLED, "stopped before all choices were tried");
    } while (next_choice(choice, size, r->units->count));
    if (!(least < INFINITY))
        return s24i_fail(S24_E_NUMERIC, "no choice of %s is positive definite: raise damp",
                         s24i_unit_name(r->units->kind));
    for (int64_t i = 0; i < size; i++)
        r->kept[best[i]] = 0;
    return S24_OK;
}

/* ---- all of it ---- */

static int64_t most_gone(const removal *r, s24i_removal how, bool all)
{
    int64_t units = r->units->count - r->units->keep;
    /* a round takes at most twice the batch: the rest is shared out */
    return (all || units < 2 * how.batch ? units : 2 * how.batch) * r->width;
}

static bool tries_all(const removal *r, s24i_removal how, int64_t *ways)
{
    enum { MOST = 20000 };
    int64_t gone = r->units->count - r->units->keep;
    *ways = subsets(r->units->count, gone, MOST);
    return how.all && gone > 0 && *ways <= MOST &&
           (double)*ways * pow((double)(gone * r->width), 3) <= S24I_MOST_TRIED;
}

static void take(removal *r, int64_t gone)
{
    s24i_arena *arena = r->run->arena;
    size_t n = (size_t)r->dim, u = (size_t)gone, units = (size_t)r->units->count;
    size_t workers = (size_t)s24i_workers(r->run->device->threads), width = (size_t)r->width;
    r->k = s24i_arena_take(arena, s24i_mul(n, n), sizeof(double));
    r->q = s24i_arena_take(arena, s24i_mul(n, n), sizeof(double));
    r->block = s24i_arena_take(arena, s24i_mul(2 * u, u), sizeof(double));
    r->square = s24i_arena_take(arena, s24i_mul(u, u), sizeof(double));
    r->m = s24i_arena_take(arena, s24i_mul(u, n), sizeof(double));
    r->c = s24i_arena_take(arena, s24i_mul(u, n), sizeof(double));
    r->half = s24i_arena_take(arena, s24i_mul(u, n), sizeof(double));
    r->cost = s24i_arena_take(arena, units, sizeof(double));
    r->gone = s24i_arena_take(arena, u, sizeof(int64_t));
    r->order = s24i_arena_take(arena, 2 * units, sizeof(int64_t));
    r->kept = s24i_arena_take(arena, units, 1);
    r->scratch = s24i_arena_take(arena, s24i_mul(2 * width * width, workers), sizeof(double));
}

/* K = S^-1 and Q = W^T W. */
static s24_status start(removal *r, const s24i_target *target)
{
    const s24i_run *run = r->run;
    const s24i_prepared *p = target->prepared;
    size_t mark = run->arena->used, size = (size_t)(r->dim * r->dim);
    float *k = s24i_arena_take(run->arena, size, sizeof(float));
    s24_status status = s24i_inverse(run, r->dim, p->r, p->inv_diag, k);
    if (!status && !s24i_counting(run))
        run->device->kernels->difference_f64(k, NULL, r->k, (int64_t)size);
    run->arena->used = mark;
    r->w = s24i_arena_take(run->arena, s24i_mul((size_t)r->rows, (size_t)r->dim), sizeof(double));
    if (!status && !s24i_counting(run)) {
        run->device->kernels->difference_f64(target->w, NULL, r->w, r->rows * r->dim);
        run->arena->flops += s24i_product_flops(r->rows, r->dim);
        status = s24i_parallel(run->device->threads, sum_products, r, strips(r));
    }
    run->arena->used = mark;
    return status;
}

static void write_kept(const uint8_t *stays, int64_t units, int64_t rows, int64_t dim,
                       uint8_t *mask, int32_t *kept)
{
    for (int64_t u = 0; u < units; u++)
        if (stays[u])
            *kept++ = (int32_t)u;
    for (int64_t j = 0; j < dim; j++)
        mask[j] = stays[j / (dim / units)];
    for (int64_t i = 1; i < rows; i++)
        memcpy(mask + i * dim, mask, (size_t)dim);
}

/* tr(W S W^T), of all columns kept. */
static double total(const removal *r, const float *s)
{
    double sum = 0;
    for (int64_t i = 0; i < r->dim * r->dim; i++)
        sum += (double)s[i] * r->q[i];
    return sum;
}

/* Single columns; heads and groups are tried in all choices. */
static s24_status exchange(removal *r, const s24i_target *target, s24i_removal how,
                           int64_t *swapped)
{
    s24i_exchanges e = {r->run, r->dim, how.swaps, r->k, r->q, r->kept};
    *swapped = 0;
    if (!how.swaps || r->width > 1 || s24i_watch_stopped(r->run->watch))
        return S24_OK;
    s24_status status = start(r, target);
    double least = s24i_counting(r->run) || status ? 0 : 1e-7 * total(r, target->prepared->s);
    return status ? status : s24i_exchange_columns(&e, least, swapped);
}

s24_status s24i_cpu_remove_units(const s24i_run *run, const s24i_target *target, s24i_removal how,
                                 uint8_t *mask, int32_t *kept, int64_t *swapped)
{
    size_t mark = run->arena->used;
    removal r = {.run = run, .units = &target->constraints->units, .rows = target->rows};
    int64_t ways;
    r.dim = target->prepared->dim;
    r.width = r.dim / r.units->count;
    r.singular = INT64_MAX;
    bool all = tries_all(&r, how, &ways);
    take(&r, most_gone(&r, how, all));
    s24_status status = start(&r, target);
    if (!status && !s24i_counting(run)) {
        memset(r.kept, 1, (size_t)r.units->count);
        status = all ? try_all(&r, ways) : remove_greedily(&r, how.batch);
    }
    if (!status)
        status = exchange(&r, target, how, swapped);
    if (!status && !s24i_counting(run))
        write_kept(r.kept, r.units->count, r.rows, r.dim, mask, kept);
    run->arena->used = mark;
    return status;
}

/* ---- by a score ---- */

/* The sum of a unit's columns. */
static double unit_score(const double *score, int64_t unit, int64_t width)
{
    double sum = 0;
    for (int64_t j = 0; j < width; j++)
        sum += score[unit * width + j];
    return sum;
}

s24_status s24i_cpu_keep_units(const s24i_run *run, const s24i_constraints *constraints,
                               const double *score, int64_t rows, int64_t cols, uint8_t *mask,
                               int32_t *kept)
{
    const s24i_units *units = &constraints->units;
    size_t mark = run->arena->used, count = (size_t)units->count;
    uint8_t *stays = s24i_arena_take(run->arena, count, 1);
    double *sum = s24i_arena_take(run->arena, count, sizeof *sum);
    if (!s24i_counting(run)) {
        for (int64_t u = 0; u < units->count; u++)
            sum[u] = unit_score(score, u, cols / units->count);
        for (int64_t u = 0; u < units->count; u++) {
            int64_t before = 0;
            for (int64_t other = 0; other < units->count; other++)
                before += sum[other] > sum[u] || (sum[other] == sum[u] && other < u);
            stays[u] = before < units->keep;
        }
        write_kept(stays, units->count, rows, cols, mask, kept);
    }
    run->arena->used = mark;
    return S24_OK;
}

/* ---- the columns that stay, fitted again ---- */

/* to (rows x count) = the columns of from (rows x dim) that the mask keeps; or back. */
static void gather_kept(const uint8_t *mask, int64_t dim, const float *from, int64_t rows,
                        float *to)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < dim; j++)
            if (mask[j])
                *to++ = from[i * dim + j];
}

static void scatter_kept(const uint8_t *mask, int64_t dim, const float *from, int64_t rows,
                         float *to)
{
    for (int64_t i = 0; i < rows * dim; i++)
        to[i] = mask[i % dim] ? *from++ : 0;
}

typedef struct {
    const s24i_target *target;
    float *product;
} products;

static void multiply_rows(void *arg, int64_t tile, int32_t worker)
{
    (void)worker;
    const products *p = arg;
    int64_t n = p->target->prepared->dim, first = tile * STRIP;
    int64_t rows = p->target->rows - first < STRIP ? p->target->rows - first : STRIP;
    s24i_times(rows, n, p->target->w + first * n, p->target->prepared->s, p->product + first * n);
}

/* V_S = (W S)_S (S_SS)^-1, one factor for all rows. */
s24_status s24i_cpu_refit_columns(const s24i_run *run, const s24i_target *target,
                                  const uint8_t *mask, float *v)
{
    size_t mark = run->arena->used;
    int64_t n = target->prepared->dim, rows = target->rows;
    int64_t most = s24i_most_kept(target->constraints, n);
    float *s = s24i_arena_take(run->arena, s24i_mul((size_t)most, (size_t)most), sizeof(float));
    float *inv_diag = s24i_arena_take(run->arena, (size_t)most, S24I_BLOCK * sizeof(float));
    float *x = s24i_arena_take(run->arena, s24i_mul((size_t)rows, (size_t)most), sizeof(float));
    products p = {target, v};
    bool positive = true;
    s24_status status = S24_OK;
    if (!s24i_counting(run)) {
        for (int64_t j = 0, i = 0; j < n; j++)
            if (mask[j])
                gather_kept(mask, n, target->prepared->s + j * n, 1, s + i++ * most);
        run->arena->flops += s24i_product_flops(rows, n);
        s24i_watch_phase(run->watch, "refit", rows);
        status = s24i_parallel(run->device->threads, multiply_rows, &p, (rows + STRIP - 1) / STRIP);
        gather_kept(mask, n, v, rows, x);
    }
    if (!status)
        status = s24i_cholesky(run, most, s, inv_diag, 1e-7f, &positive);
    if (!status && !positive)
        status = s24i_fail(S24_E_NUMERIC, "the columns that stay cannot be told apart: raise damp");
    if (!status)
        status = s24i_solve_rows(run, most, s, inv_diag, x, rows);
    if (!status && !s24i_counting(run)) {
        scatter_kept(mask, n, x, rows, v);
        s24i_watch_step(run->watch, rows, NAN, NAN);
    }
    run->arena->used = mark;
    return status;
}
