#include "steps.h"
#include <math.h>
#include <string.h>

/*
 * QuantEase (Behdin et al. 2023): whole sweeps over the columns, each put on the level nearest to
 * v_j + g_j, g = (w - v) S, S_jj = 1, or in a relaxed sweep on that point itself. A block of
 * columns takes g from one product with all of S and then is the column sweep of s24i_cpu_sweep()
 * with S in place of R and v in place of w. Tiles of rows lie transposed: a lane is a row of the
 * matrix.
 */
enum { LANES = 64, B = S24I_BLOCK, PERIOD = 3, LAST_RELAXED = 25 };

typedef struct {
    const s24i_run *run;
    const s24i_target *target;
    const s24i_prepared *p;
    int32_t sweeps;
    bool relaxed, from_w;
    const s24i_grid *grid;
    const uint8_t *mask;
    uint8_t *codes;
    float *ones, *store;
    uint8_t *bytes;
} relaxation;

/* [column][lane]; e = w - v. */
typedef struct {
    int64_t first, rows;
    float *v, *e, *a, *d, *steps;
    uint8_t *kept, *codes;
} tile_state;

static size_t floats_of(const relaxation *x)
{
    return (size_t)((2 * x->p->dim + 5 * B) * LANES);
}

static tile_state state_of(const relaxation *x, int64_t tile, int32_t worker)
{
    tile_state t = {.first = tile * LANES};
    int64_t size = x->p->dim * LANES;
    t.rows = x->target->rows - t.first < LANES ? x->target->rows - t.first : LANES;
    t.v = x->store + (size_t)worker * floats_of(x);
    t.e = t.v + size;
    t.a = t.e + size;
    t.d = t.a + B * LANES;
    t.steps = t.d + B * LANES;
    t.kept = x->bytes + (size_t)worker * 2 * (size_t)size;
    t.codes = t.kept + size;
    return t;
}

static void load(const relaxation *x, tile_state *t)
{
    int64_t n = x->p->dim;
    memset(t->e, 0, (size_t)(n * LANES) * sizeof(float));
    memset(t->kept, 0, (size_t)(n * LANES));
    x->run->device->kernels->transpose(x->target->w + t->first * n, n, t->e, LANES, t->rows, n);
    for (int64_t j = 0; j < n; j++)
        for (int64_t r = 0; r < LANES; r++) {
            int64_t k = j * LANES + r, row = t->first + r;
            t->kept[k] = r < t->rows && x->mask[row * n + j];
            t->v[k] = t->kept[k] ? t->e[k] : 0;
            if (!x->from_w && t->kept[k])
                t->v[k] = (float)(x->p->scale[j] * s24i_grid_value(x->grid, x->codes, row, j));
            t->e[k] -= t->v[k];
        }
}

static void sweep_block(const relaxation *x, tile_state *t, int64_t first, bool round)
{
    int64_t n = x->p->dim, cols = n - first < B ? n - first : B;
    s24i_sweep_block block = {.lanes = LANES, .cols = cols, .m = 1};
    float *v = t->v + first * LANES, *e = t->e + first * LANES;
    s24i_sgemm(cols, LANES, n, 1, s24i_f32_turned(x->p->s + first, n), s24i_f32(t->e, LANES), 0,
               s24i_f32_out(t->a, LANES));
    block.w = v;
    block.a = t->a;
    block.d = t->d;
    block.mask = t->kept + first * LANES;
    block.r = x->p->s + first * n + first;
    block.ldr = n;
    block.inv_diag = x->ones;
    if (round) {
        s24i_grid_spread(x->grid, x->p->scale, NULL, t->first, t->rows, first, &block, t->steps);
        block.codes = t->codes + first * LANES;
    }
    x->run->device->kernels->sweep_block(&block);
    for (int64_t k = 0; k < cols * LANES; k++) {
        v[k] -= t->d[k];
        e[k] += t->d[k];
    }
}

static void relax_tile(void *arg, int64_t tile, int32_t worker)
{
    const relaxation *x = arg;
    int64_t n = x->p->dim;
    tile_state t = state_of(x, tile, worker);
    load(x, &t);
    for (int32_t k = 0; k < x->sweeps; k++) {
        bool last = k == x->sweeps - 1;
        bool round = !x->relaxed || k % PERIOD != 1 || k > LAST_RELAXED || last;
        for (int64_t first = 0; first < n; first += B)
            sweep_block(x, &t, first, round);
        if (round && s24i_watch_stopped(x->run->watch))
            break;
    }
    for (int64_t r = 0; r < t.rows; r++)
        for (int64_t j = 0; j < n; j++) {
            int64_t at = (t.first + r) * n + j, k = j * LANES + r;
            x->codes[at] = t.codes[k];
            if (s24i_is_outlier(x->grid, at))
                x->grid->value[at] = (float)(t.v[k] / x->p->scale[j]);
        }
    s24i_watch_step(x->run->watch, t.rows, NAN, NAN);
}

s24_status s24i_cpu_relax(const s24i_run *run, const s24i_target *target, int32_t sweeps,
                          bool relaxed, bool from_w, const s24i_grid *grid, const uint8_t *mask,
                          uint8_t *codes)
{
    size_t mark = run->arena->used, workers = (size_t)s24i_workers(run->device->threads);
    relaxation x = {.run = run, .target = target, .p = target->prepared};
    x.sweeps = sweeps;
    x.relaxed = relaxed;
    x.from_w = from_w;
    x.grid = grid;
    x.mask = mask;
    x.codes = codes;
    x.ones = s24i_arena_take(run->arena, B, sizeof(float));
    x.store = s24i_arena_take(run->arena, s24i_mul(floats_of(&x), workers), sizeof(float));
    x.bytes = s24i_arena_take(run->arena, workers, (size_t)(2 * target->prepared->dim * LANES));
    s24_status status = S24_OK;
    if (!s24i_counting(run)) {
        for (int64_t j = 0; j < B; j++)
            x.ones[j] = 1;
        run->arena->flops += s24i_product_flops(target->rows, target->prepared->dim) * sweeps;
        s24i_watch_phase(run->watch, "sweeps", target->rows);
        status =
            s24i_parallel(run->device->threads, relax_tile, &x, (target->rows + LANES - 1) / LANES);
    }
    run->arena->used = mark;
    return status;
}
