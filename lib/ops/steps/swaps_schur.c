#include "swaps.h"
#include "base/sort.h"
#include <math.h>
#include <string.h>

/*
 * Exchanges for matrices whose rows are too long for a tableau each. With everything else of the
 * row re-fitted, the loss over one group is a quadratic form with H_g = S_gg - S_gF S_FF^-1 S_Fg, F
 * the kept weights outside of the group. Over rows with the same density of zeros it varies little,
 * so the average over a few rows prices the exchanges of all. A round takes the best part of each
 * row's exchanges at their predicted values, re-fits by conjugate gradients, and keeps the row if
 * its loss fell; else that row will take a third as many. Without n:m groups are single weights:
 * the best additions pair with the cheapest removals.
 */

/* docs/solvers/alps.md, Swaps, has the method; tests/ops holds its gain. */
enum { SAMPLE = 4, PASSES = 2, ROUNDS = 10, STEPS = 10, LAST_STEPS = 40 };
#define FIRST_SHARE 0.12 /* of a row's groups that one round exchanges */
#define FIT_TOL 1e-4

typedef struct {
    s24i_swapping *s;
    int64_t width, tile;      /* inputs of a priced group: m, or 1; rows of a tile */
    int64_t samples;          /* rows that are averaged */
    float *sample[SAMPLE];    /* dim x width: H_g of all groups, one after another */
    bool usable[SAMPLE];      /* the row had a tableau */
    float *forms;             /* the average */
    double *share;            /* a row: of its groups, what a round exchanges; 0: done */
    int64_t *swaps;           /* a row */
    _Atomic int64_t products; /* rows times S, of the fits */
    bool last;                /* pass */
    char *scratch;
    size_t bytes; /* of it, a worker */
} search;

typedef struct {
    double key; /* gain of an exchange or an addition; minus the price of a removal */
    int64_t out, in;
} candidate;

/* One worker's arrays. `row` and the rest lie in the same place. */
typedef struct {
    s24i_tableau group; /* of `width` */
    s24i_row_tableau row;
    float *gradient;        /* tile x dim: (w - v) S of the matrix's rows */
    float *w, *v, *fit;     /* the rows on trial, packed; three tiles for the re-fit */
    uint8_t *mask;          /* on trial */
    candidate *pool;        /* dim */
    const void **order;     /* dim */
    double *loss, *left;    /* tile */
    int64_t *tried, *taken; /* tile: the rows on trial and their exchanges */
} workspace;

static size_t lay(workspace *a, const search *s, char *base)
{
    s24i_arena arena = {.base = base, .size = SIZE_MAX};
    size_t n = (size_t)s->s->p->dim, width = (size_t)s->width, rows = (size_t)s->tile;
    a->group.n = s->width;
    a->group.m = s24i_arena_take(&arena, width * width, sizeof(double));
    a->group.b = s24i_arena_take(&arena, width, sizeof(double));
    a->group.in = s24i_arena_take(&arena, width, 1);
    size_t tableau =
        arena.used + s24i_row_tableau_lay(&a->row, s->s->p->dim, base ? base + arena.used : NULL);
    a->gradient = s24i_arena_take(&arena, rows * n, sizeof(float));
    a->w = s24i_arena_take(&arena, rows * n, sizeof(float));
    a->v = s24i_arena_take(&arena, rows * n, sizeof(float));
    a->fit = s24i_arena_take(&arena, 3 * rows * n, sizeof(float));
    a->mask = s24i_arena_take(&arena, rows * n, 1);
    a->pool = s24i_arena_take(&arena, n, sizeof(candidate));
    a->order = s24i_arena_take(&arena, n, sizeof(void *));
    a->loss = s24i_arena_take(&arena, rows, sizeof(double));
    a->left = s24i_arena_take(&arena, rows, sizeof(double));
    a->tried = s24i_arena_take(&arena, rows, sizeof(int64_t));
    a->taken = s24i_arena_take(&arena, rows, sizeof(int64_t));
    return arena.peak > tableau ? arena.peak : tableau;
}

/* ---- the forms of groups, averaged over rows ---- */

/* H_g from the row's tableau: its part on the group, with the group taken out of the support. */
static void reduce_group(workspace *a, int64_t first)
{
    int64_t n = a->row.t.n, width = a->group.n;
    for (int64_t i = 0; i < width; i++) {
        int64_t place = a->row.place[first + i];
        for (int64_t j = 0; j < width; j++)
            a->group.m[i * width + j] = a->row.t.m[place * n + a->row.place[first + j]];
        a->group.in[i] = a->row.t.in[place];
        a->group.b[i] = 0;
    }
    for (int64_t i = 0; i < width; i++)
        if (a->group.in[i])
            s24i_pivot(&a->group, i);
}

static void sample_row(void *arg, int64_t index, int32_t worker)
{
    search *s = arg;
    int64_t n = s->s->p->dim, row = (2 * index + 1) * s->s->rows / (2 * s->samples), kept;
    workspace a;
    lay(&a, s, s->scratch + (size_t)worker * s->bytes);
    s->usable[index] = s24i_row_tableau_sweep(&a.row, s->s->p->s, s->s->mask + row * n, &kept);
    for (int64_t first = 0; s->usable[index] && first < n; first += s->width) {
        reduce_group(&a, first);
        for (int64_t i = 0; i < s->width * s->width; i++)
            s->sample[index][first * s->width + i] = (float)a.group.m[i];
    }
}

/* The average of the usable samples; S itself when there is none. */
static void average(search *s)
{
    int64_t n = s->s->p->dim, count = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < s->width; j++)
            s->forms[i * s->width + j] = s->s->p->s[i * n + i - i % s->width + j];
    for (int64_t k = 0; k < s->samples; k++) {
        if (!s->usable[k])
            continue;
        count++;
        for (int64_t i = 0; i < n * s->width; i++)
            s->forms[i] += (s->sample[k][i] - s->forms[i]) / (float)count;
    }
}

/* ---- what one row would exchange ---- */

/* The group's tableau on the mask, with v where in and the gradient where out. */
static void price_group(const search *s, workspace *a, int64_t first, const uint8_t *mask,
                        const float *v, const float *gradient)
{
    s24i_tableau *t = &a->group;
    for (int64_t i = 0; i < t->n * t->n; i++)
        t->m[i] = s->forms[first * t->n + i];
    for (int64_t i = 0; i < t->n; i++) {
        t->in[i] = 0;
        t->b[i] = 0;
    }
    for (int64_t i = 0; i < t->n; i++)
        if (mask[first + i])
            s24i_pivot(t, i);
    for (int64_t i = 0; i < t->n; i++)
        t->b[i] = mask[first + i] ? v[first + i] : gradient[first + i];
}

static int by_key(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->key != y->key)
        return x->key > y->key ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* The best exchange of each group that gains enough, best first. */
static int64_t rank_groups(const search *s, workspace *a, const uint8_t *mask, const float *v,
                           const float *gradient, double enough)
{
    int64_t count = 0;
    for (int64_t first = 0; first < s->s->p->dim; first += s->width) {
        s24i_exchange best = {enough, -1, -1};
        price_group(s, a, first, mask, v, gradient);
        for (int64_t p = 0; p < s->width; p++)
            for (int64_t q = 0; mask[first + p] && q < s->width; q++)
                if (!mask[first + q])
                    s24i_consider(&a->group, p, q, &best);
        if (best.out < 0)
            continue;
        a->pool[count] = (candidate){best.gain, first + best.out, first + best.in};
        a->order[count] = &a->pool[count];
        count++;
    }
    s24i_sort(a->order, count, by_key);
    return count;
}

/* The same where any weight may go for any other: best additions with cheapest removals. */
static int64_t rank_weights(const search *s, workspace *a, const uint8_t *mask, const float *v,
                            const float *gradient, double enough)
{
    int64_t n = s->s->p->dim, kept = 0, out = n, pairs = 0;
    for (int64_t j = 0; j < n; j++) {
        double form = s->forms[j], price = form * v[j] * v[j];
        double gain = form > 1e-12 ? (double)gradient[j] * gradient[j] / form : 0;
        a->pool[j] = (candidate){mask[j] ? -price : gain, j, j};
        a->order[mask[j] ? kept++ : --out] = &a->pool[j];
    }
    s24i_sort(a->order, kept, by_key);
    s24i_sort(a->order + kept, n - kept, by_key);
    while (pairs < kept && pairs < n - kept) {
        const candidate *removal = a->order[pairs], *addition = a->order[kept + pairs];
        if (!(removal->key + addition->key > enough))
            break;
        a->pool[removal->out].in = addition->in;
        pairs++;
    }
    return pairs;
}

/* Exchange in v and mask, at predicted values. */
static void exchange(const search *s, workspace *a, const candidate *c, uint8_t *mask, float *v,
                     const float *gradient)
{
    int64_t first = c->out - c->out % s->width;
    if (s->width == 1) {
        v[c->in] = gradient[c->in] / s->forms[c->in];
    } else {
        price_group(s, a, first, mask, v, gradient);
        s24i_pivot(&a->group, c->out - first);
        s24i_pivot(&a->group, c->in - first);
        for (int64_t i = 0; i < s->width; i++)
            v[first + i] = a->group.in[i] ? (float)a->group.b[i] : 0;
    }
    v[c->out] = 0;
    mask[c->out] = 0;
    mask[c->in] = 1;
}

/* Put row `row` on trial in place k; the exchanges taken. */
static int64_t propose(const search *s, workspace *a, int64_t row, int64_t in_tile, int64_t k)
{
    int64_t n = s->s->p->dim, count;
    const float *gradient = a->gradient + in_tile * n;
    uint8_t *mask = a->mask + k * n;
    float *v = a->v + k * n;
    double enough = s->s->limits.tol * a->loss[in_tile];
    memcpy(v, s->s->v + row * n, (size_t)n * sizeof *v);
    memcpy(mask, s->s->mask + row * n, (size_t)n);
    memcpy(a->w + k * n, s->s->w + row * n, (size_t)n * sizeof *v);
    count = s->width == 1 ? rank_weights(s, a, mask, v, gradient, enough)
                          : rank_groups(s, a, mask, v, gradient, enough);
    count = (int64_t)fmin((double)count, fmax(1, s->share[row] * (double)(n / s->width)));
    if (count > s->s->limits.most - s->swaps[row])
        count = s->s->limits.most - s->swaps[row];
    for (int64_t i = 0; i < count; i++)
        exchange(s, a, a->order[i], mask, v, gradient);
    return count;
}

/* ---- rounds over a tile of rows ---- */

/* product = (w - v) S and loss = (w - v) product of `rows` rows; the difference is left in
 * a->fit. */
static void measure(const search *s, workspace *a, const float *w, const float *v, int64_t rows,
                    float *product, double *loss)
{
    int64_t n = s->s->p->dim;
    for (int64_t i = 0; i < rows * n; i++)
        a->fit[i] = w[i] - v[i];
    s24i_times(rows, n, a->fit, s->s->p->s, product);
    for (int64_t i = 0; i < rows; i++)
        loss[i] = s->s->run->device->kernels->dot(a->fit + i * n, product + i * n, n);
}

/* Trial k has ended with this loss and gradient. */
static void settle(search *s, workspace *a, int64_t first, int64_t k, double loss,
                   const float *gradient)
{
    int64_t n = s->s->p->dim, in_tile = a->tried[k], row = first + in_tile;
    size_t size = (size_t)n * sizeof(float);
    if (!(loss < a->loss[in_tile])) {
        s->share[row] = a->taken[k] > 1 ? (double)a->taken[k] / (double)(3 * n / s->width) : 0;
        return;
    }
    memcpy(s->s->v + row * n, a->v + k * n, size);
    memcpy(s->s->mask + row * n, a->mask + k * n, (size_t)n);
    memcpy(a->gradient + in_tile * n, gradient, size);
    a->loss[in_tile] = loss;
    s->swaps[row] += a->taken[k];
    atomic_fetch_add(&s->s->swapped, a->taken[k]);
}

/* False when no row exchanges anything any more. */
static bool round_of(search *s, workspace *a, int64_t first, int64_t rows)
{
    int64_t n = s->s->p->dim, active = 0;
    float *product = a->fit + rows * n;
    for (int64_t i = 0; i < rows; i++) {
        if (s->share[first + i] <= 0)
            continue;
        a->tried[active] = i;
        a->taken[active] = propose(s, a, first + i, i, active);
        if (a->taken[active])
            active++;
        else
            s->share[first + i] = 0;
    }
    if (!active)
        return false;
    int64_t products;
    s24i_cg_rows(s->s->run, &(s24i_target){.prepared = s->s->p, .w = a->w, .rows = active}, a->mask,
                 (s24i_cg_limits){STEPS, FIT_TOL}, a->v, a->fit, a->left, &products);
    atomic_fetch_add(&s->products, products + active);
    measure(s, a, a->w, a->v, active, product, a->left);
    for (int64_t k = 0; k < active; k++)
        settle(s, a, first, k, a->left[k], product + k * n);
    return true;
}

static void search_tile(void *arg, int64_t tile, int32_t worker)
{
    search *s = arg;
    s24i_swapping *all = s->s;
    int64_t n = all->p->dim, first = tile * s->tile;
    int64_t rows = all->rows - first < s->tile ? all->rows - first : s->tile, products = 0;
    workspace a;
    lay(&a, s, s->scratch + (size_t)worker * s->bytes);
    measure(s, &a, all->w + first * n, all->v + first * n, rows, a.gradient, a.loss);
    for (int32_t i = 0; i < ROUNDS && !s24i_watch_stopped(all->run->watch); i++)
        if (!round_of(s, &a, first, rows))
            break;
    if (s->last)
        s24i_cg_rows(all->run,
                     &(s24i_target){.prepared = all->p, .w = all->w + first * n, .rows = rows},
                     all->mask + first * n, (s24i_cg_limits){LAST_STEPS, FIT_TOL},
                     all->v + first * n, a.fit, a.left, &products);
    atomic_fetch_add(&s->products, products + rows);
    s24i_watch_step(all->run->watch, rows, NAN, NAN);
}

/* ---- all of it ---- */

static void take(search *s, const s24i_run *run)
{
    size_t n = (size_t)s->s->p->dim, rows = (size_t)s->s->rows;
    workspace layout;
    s->forms = s24i_arena_take(run->arena, s24i_mul(n, (size_t)s->width), sizeof(float));
    for (int64_t k = 0; k < s->samples; k++)
        s->sample[k] = s24i_arena_take(run->arena, s24i_mul(n, (size_t)s->width), sizeof(float));
    s->share = s24i_arena_take(run->arena, rows, sizeof(double));
    s->swaps = s24i_arena_take(run->arena, rows, sizeof(int64_t));
    s->bytes = lay(&layout, s, NULL);
    s->scratch = s24i_arena_take(
        run->arena, s24i_mul(s->bytes, (size_t)s24i_workers(s->s->run->device->threads)), 1);
}

s24_status s24i_swap_schur(const s24i_run *run, s24i_swapping *s)
{
    size_t mark = run->arena->used;
    s24i_threads *threads = s->run->device->threads;
    search h = {.s = s, .width = s->group == s->p->dim ? 1 : s->group};
    h.tile = s->rows >= 1024 ? S24I_CG_ROWS : 64;
    h.samples = s->rows < SAMPLE ? s->rows : SAMPLE;
    take(&h, run);
    s24_status status = S24_OK;
    if (s24i_counting(run))
        goto done;
    for (int64_t i = 0; i < s->rows; i++) {
        h.share[i] = FIRST_SHARE;
        h.swaps[i] = 0;
    }
    s24i_watch_phase(s->run->watch, "swaps", PASSES * s->rows);
    for (int pass = 1; pass <= PASSES && !status; pass++) {
        h.last = pass == PASSES;
        status = s24i_parallel(threads, sample_row, &h, h.samples);
        average(&h);
        if (!status)
            status = s24i_parallel(threads, search_tile, &h, (s->rows + h.tile - 1) / h.tile);
    }
    run->arena->flops += s24i_product_flops(atomic_load(&h.products), s->p->dim);
done:
    run->arena->used = mark;
    return status;
}
