#include "steps.h"
#include <math.h>
#include <string.h>

/*
 * Blocks of inputs at once, (v - w) S (v - w)^T with S_jj = 1. With all other inputs as they are
 * the best values of a block B, on no grid, are v_B + g_B S_BB^-1, g = (w - v) S; the column sweep
 * over S_BB = R R^T puts them on the grid one after the other, which is Babai's nearest plane in
 * the block. Coordinate descent is a block of one input, GPTQ the block of all. A row takes what it
 * gets if its loss falls. Each sweep cuts the inputs into other blocks, at random but always the
 * same. Tiles of rows lie transposed: a lane is a row of the matrix.
 */
enum { LANES = 64, B = S24I_BLOCK };

typedef struct {
    const s24i_run *run;
    const s24i_target *target;
    const s24i_prepared *p;
    const s24i_grid *grid;
    const uint8_t *mask;
    uint8_t *codes;
    float *v, *e; /* [tile][column][lane]; e = w - v */
    float *store; /* ARRAYS blocks a worker */
    uint8_t *bytes;
    /* of the block that is looked at */
    const int64_t *inputs;
    int64_t cols;
    float *s_rows, *s, *r, *u, *inv_diag; /* cols x dim, then cols x cols; u = R^-1, B apart */
    double *scale;
} babai;

enum { ARRAYS = 8 }; /* of tile_state; steps are three */

/* [column of the block][lane] */
typedef struct {
    int64_t first, rows;
    float *v, *e, *before, *g, *target, *d, *product, *steps;
    uint8_t *kept, *codes;
} tile_state;

static tile_state state_of(const babai *x, int64_t tile, int32_t worker)
{
    tile_state t = {.first = tile * LANES};
    int64_t n = x->p->dim, size = B * LANES;
    t.rows = x->target->rows - t.first < LANES ? x->target->rows - t.first : LANES;
    t.v = x->v + tile * n * LANES;
    t.e = x->e + tile * n * LANES;
    t.before = x->store + worker * ARRAYS * size;
    t.g = t.before + size;
    t.target = t.g + size;
    t.d = t.target + size;
    t.product = t.d + size;
    t.steps = t.product + size;
    t.kept = x->bytes + worker * 2 * size;
    t.codes = t.kept + size;
    return t;
}

static void load_tile(void *arg, int64_t tile, int32_t worker)
{
    const babai *x = arg;
    tile_state t = state_of(x, tile, worker);
    int64_t n = x->p->dim;
    memset(t.v, 0, (size_t)(n * LANES) * sizeof(float));
    memset(t.e, 0, (size_t)(n * LANES) * sizeof(float));
    x->run->device->kernels->transpose(x->target->w + t.first * n, n, t.e, LANES, t.rows, n);
    for (int64_t r = 0; r < t.rows; r++)
        for (int64_t j = 0; j < n; j++) {
            int64_t row = t.first + r;
            float value = (float)(x->p->scale[j] * s24i_grid_value(x->grid, x->codes, row, j));
            t.v[j * LANES + r] = x->mask[row * n + j] ? value : 0;
            t.e[j * LANES + r] -= t.v[j * LANES + r];
        }
}

/* The block's columns of the tile: values, gradient, and the values that would be best. */
static void aim(const babai *x, const tile_state *t)
{
    int64_t n = x->p->dim, cols = x->cols, size = cols * LANES;
    for (int64_t j = 0; j < cols; j++) {
        memcpy(t->before + j * LANES, t->v + x->inputs[j] * LANES, LANES * sizeof(float));
        for (int64_t r = 0; r < LANES; r++)
            t->kept[j * LANES + r] = r < t->rows && x->mask[(t->first + r) * n + x->inputs[j]];
    }
    s24i_sgemm(cols, LANES, n, 1, s24i_f32(x->s_rows, n), s24i_f32(t->e, LANES), 0,
               s24i_f32_out(t->g, LANES));
    s24i_sgemm(cols, LANES, cols, 1, s24i_f32(x->u, B), s24i_f32(t->g, LANES), 0,
               s24i_f32_out(t->product, LANES));
    memcpy(t->target, t->before, (size_t)size * sizeof(float));
    s24i_sgemm(cols, LANES, cols, 1, s24i_f32_turned(x->u, B), s24i_f32(t->product, LANES), 1,
               s24i_f32_out(t->target, LANES));
}

/* Takes v and codes of the lanes whose loss falls from `before` to `target`. */
static void accept(const babai *x, const tile_state *t)
{
    int64_t n = x->p->dim, cols = x->cols;
    double change[LANES] = {0}, size[LANES] = {0};
    for (int64_t k = 0; k < cols * LANES; k++)
        t->d[k] = t->target[k] - t->before[k];
    s24i_sgemm(cols, LANES, cols, 1, s24i_f32(x->s, cols), s24i_f32(t->d, LANES), 0,
               s24i_f32_out(t->product, LANES));
    for (int64_t k = 0; k < cols * LANES; k++) {
        change[k % LANES] += (double)t->d[k] * ((double)t->product[k] - 2 * (double)t->g[k]);
        size[k % LANES] += fabs((double)t->d[k] * (double)t->g[k]);
    }
    for (int64_t r = 0; r < t->rows; r++)
        for (int64_t j = 0; j < cols && change[r] < -1e-6 * size[r]; j++) {
            int64_t k = j * LANES + r, to = x->inputs[j] * LANES + r;
            int64_t at = (t->first + r) * n + x->inputs[j];
            t->v[to] = t->target[k];
            t->e[to] -= t->d[k];
            x->codes[at] = t->codes[k];
            if (s24i_is_outlier(x->grid, at))
                x->grid->value[at] = (float)(t->target[k] / x->scale[j]);
        }
}

static void step_tile(void *arg, int64_t tile, int32_t worker)
{
    const babai *x = arg;
    tile_state t = state_of(x, tile, worker);
    s24i_sweep_block block = {.lanes = LANES, .cols = x->cols, .m = 1};
    int64_t size = x->cols * LANES;
    aim(x, &t);
    s24i_grid_spread(x->grid, x->scale, x->inputs, t.first, t.rows, 0, &block, t.steps);
    memset(t.product, 0, (size_t)size * sizeof(float));
    block.w = t.target;
    block.a = t.product;
    block.d = t.d;
    block.mask = t.kept;
    block.codes = t.codes;
    block.r = x->r;
    block.ldr = x->cols;
    block.inv_diag = x->inv_diag;
    x->run->device->kernels->sweep_block(&block);
    for (int64_t k = 0; k < size; k++) {
        float step = block.step[k], value = step * ((float)t.codes[k] - block.zero[k]);
        t.target[k] = !t.kept[k] ? 0 : step == 0 ? t.target[k] - t.d[k] : value;
    }
    accept(x, &t);
}

/* ---- blocks ---- */

/* The inputs in an order of their own for each sweep, ascending within a block by their place in
 * `ranked`. */
static void shuffle(int32_t sweep, int64_t n, const int64_t *ranked, int64_t *order, int64_t *block)
{
    uint64_t state = 0x9e3779b97f4a7c15u * (uint64_t)(sweep + 1);
    for (int64_t j = 0; j < n; j++)
        block[j] = j / B;
    for (int64_t j = n - 1; j > 0; j--) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        int64_t other = (int64_t)((state >> 33) % (uint64_t)(j + 1)), kept = block[j];
        block[j] = block[other];
        block[other] = kept;
    }
    int64_t end = 0;
    for (int64_t b = 0; b * B < n; b++)
        for (int64_t j = 0; j < n; j++)
            if (block[j] == b)
                order[end++] = ranked[j];
}

static s24_status make_block(babai *x, bool *positive)
{
    int64_t n = x->p->dim, cols = x->cols;
    for (int64_t j = 0; j < cols; j++) {
        memcpy(x->s_rows + j * n, x->p->s + x->inputs[j] * n, (size_t)n * sizeof(float));
        x->scale[j] = x->p->scale[x->inputs[j]];
        for (int64_t k = 0; k < cols; k++)
            x->s[j * cols + k] = x->s_rows[j * n + x->inputs[k]];
    }
    memcpy(x->r, x->s, (size_t)(cols * cols) * sizeof(float));
    s24_status status = s24i_cholesky(x->run, cols, x->r, x->u, 0, positive);
    for (int64_t j = 0; !status && *positive && j < cols; j++)
        x->inv_diag[j] = 1 / x->r[j * cols + j];
    return status;
}

static s24_status sweep_all(babai *x, const int64_t *order)
{
    int64_t n = x->p->dim, tiles = (x->target->rows + LANES - 1) / LANES;
    s24_status status = S24_OK;
    bool positive = true;
    for (int64_t first = 0; first < n && !status; first += B) {
        x->inputs = order + first;
        x->cols = n - first < B ? n - first : B;
        status = make_block(x, &positive);
        if (!status && positive)
            status = s24i_parallel(x->run->device->threads, step_tile, x, tiles);
        if (s24i_watch_step(x->run->watch, x->cols, NAN, NAN))
            break;
    }
    return status;
}

s24_status s24i_cpu_babai(const s24i_run *run, const s24i_target *target, int32_t sweeps,
                          const float *key, const s24i_grid *grid, const uint8_t *mask,
                          uint8_t *codes)
{
    size_t mark = run->arena->used, workers = (size_t)s24i_workers(run->device->threads);
    size_t n = (size_t)target->prepared->dim, tiles = (size_t)((target->rows + LANES - 1) / LANES);
    babai x = {.run = run, .target = target, .p = target->prepared, .grid = grid};
    bool positive;
    x.mask = mask;
    x.codes = codes;
    x.v = s24i_arena_take(run->arena, s24i_mul(tiles * LANES, n), sizeof(float));
    x.e = s24i_arena_take(run->arena, s24i_mul(tiles * LANES, n), sizeof(float));
    x.store = s24i_arena_take(run->arena, workers * ARRAYS * B * LANES, sizeof(float));
    x.bytes = s24i_arena_take(run->arena, workers * 2 * B * LANES, 1);
    x.s_rows = s24i_arena_take(run->arena, B * n, sizeof(float));
    x.s = s24i_arena_take(run->arena, B * B, sizeof(float));
    x.r = s24i_arena_take(run->arena, B * B, sizeof(float));
    x.u = s24i_arena_take(run->arena, B * B, sizeof(float));
    x.inv_diag = s24i_arena_take(run->arena, B, sizeof(float));
    x.scale = s24i_arena_take(run->arena, B, sizeof(double));
    int64_t *ranked = s24i_arena_take(run->arena, n, sizeof *ranked);
    int64_t *order = s24i_arena_take(run->arena, n, sizeof *order);
    int64_t *blocks = s24i_arena_take(run->arena, n, sizeof *blocks);
    s24i_cpu_order_by(run, key, target->prepared->dim, ranked);
    s24_status status = S24_OK;
    if (s24i_counting(run)) {
        status = s24i_cholesky(run, n < B ? (int64_t)n : B, NULL, NULL, 0, &positive);
    } else {
        run->arena->flops += s24i_product_flops(target->rows, target->prepared->dim) * sweeps;
        s24i_watch_phase(run->watch, "blocks", sweeps * target->prepared->dim);
        status = s24i_parallel(run->device->threads, load_tile, &x, (int64_t)tiles);
        for (int32_t k = 0; k < sweeps && !status && !s24i_watch_stopped(run->watch); k++) {
            shuffle(k, target->prepared->dim, ranked, order, blocks);
            status = sweep_all(&x, order);
        }
    }
    run->arena->used = mark;
    return status == S24_E_CANCELLED ? S24_OK : status; /* the codes are whole at any time */
}
