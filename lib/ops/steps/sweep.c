#include "steps.h"
#include <math.h>
#include <string.h>

/*
 * The column sweep. Published as an update of all later columns by rows of the Cholesky factor of
 * H^-1 (Frantar and Alistarh 2023, eqs. 3 to 5); done here with R, S = R R^T, alone: with D = W - V
 * over the columns done, the weights that column j should take next are W_j + (sum_{i<j} D_i R_ij)
 * / R_jj. No inverse is formed, and a block of columns needs one product with the columns before
 * it, so that rows are independent but for selections over the whole layer. Tiles of rows lie
 * transposed: a lane is a row of the layer.
 */
enum { LANES = 64, B = S24I_BLOCK };

typedef struct {
    const s24i_run *run;
    const s24i_target *target;
    const s24i_prepared *p;
    int64_t block_cols;
    float *v;
    uint8_t *mask;
    float *inv_r;   /* 1 / R_jj */
    float *store;   /* tiles of [w | d | a], per worker or per tile */
    uint8_t *kept;  /* cols x LANES, likewise */
    int64_t height; /* rows of a tile: LANES, or whole strips of m */
    double *square; /* both sides: of a tile of m x m a worker */
    bool resident;  /* tiles keep their state from block to block */
    int64_t first;  /* column of the block in work, when resident */
    float *score;   /* rows x B of that block, then LANES x B a worker */
    uint8_t *chosen;
    const s24i_grid *grid; /* NULL: any value, and then v is wanted, else codes */
    const int64_t *order;
    uint8_t *codes;
    uint8_t *lane_codes; /* cols x LANES, as kept */
    float *steps;        /* B x LANES of [step | inverse | zero] of a block a worker */
} sweep;

/* The state of one tile of LANES rows, all [column][lane]. */
typedef struct {
    int64_t first, rows;
    float *w, *d, *a, *c;
    uint8_t *kept, *codes;
} tile_state;

static int64_t tiles(const sweep *s)
{
    return (s->target->rows + s->height - 1) / s->height;
}

static size_t floats_of(const sweep *s)
{
    return (size_t)(2 * s->p->dim + 2 * B) * LANES;
}

static tile_state state_of(const sweep *s, int64_t tile, int64_t slot)
{
    tile_state t = {.first = tile * s->height};
    int64_t n = s->p->dim;
    t.rows = s->target->rows - t.first < s->height ? s->target->rows - t.first : s->height;
    t.w = s->store + (size_t)slot * floats_of(s);
    t.d = t.w + n * LANES;
    t.a = t.d + n * LANES;
    t.c = t.a + B * LANES;
    t.kept = s->kept + (size_t)slot * (size_t)(n * LANES);
    if (s->grid)
        t.codes = s->lane_codes + (size_t)slot * (size_t)(n * LANES);
    return t;
}

/* The matrix's input that column j is. */
static int64_t input(const sweep *s, int64_t j)
{
    return s->order ? s->order[j] : j;
}

static bool all_kept(const sweep *s)
{
    return !s24i_has_support(s->target->constraints);
}

static bool by_score(const sweep *s)
{
    const s24i_constraints *constraints = s->target->constraints;
    return !constraints->mask && !constraints->n && constraints->scope;
}

static void load(const sweep *s, tile_state *t)
{
    int64_t n = s->p->dim;
    if (t->rows < LANES)
        memset(t->w, 0, (size_t)(n * LANES) * sizeof(float));
    float *to = s->order ? t->d : t->w;
    if (s->order && t->rows < LANES)
        memset(to, 0, (size_t)(n * LANES) * sizeof(float));
    s->run->device->kernels->transpose(s->target->w + t->first * n, n, to, LANES, t->rows, n);
    for (int64_t j = 0; s->order && j < n; j++)
        memcpy(t->w + j * LANES, t->d + s->order[j] * LANES, LANES * sizeof(float));
    const uint8_t *given = s->target->constraints->mask;
    for (int64_t j = 0; given && j < n; j++)
        for (int64_t r = 0; r < LANES; r++)
            t->kept[j * LANES + r] = r < t->rows && given[(t->first + r) * n + input(s, j)];
    if (all_kept(s))
        memset(t->kept, 1, (size_t)(n * LANES));
}

static void finish_codes(const sweep *s, const tile_state *t)
{
    int64_t n = s->p->dim;
    for (int64_t r = 0; r < t->rows; r++)
        for (int64_t j = 0; j < n; j++) {
            int64_t at = (t->first + r) * n + input(s, j), k = j * LANES + r;
            s->codes[at] = t->codes[k];
            s->mask[at] = t->kept[k];
            if (s24i_is_outlier(s->grid, at))
                s->grid->value[at] = (float)((t->w[k] - t->d[k]) / s->p->scale[j]);
        }
}

/* V = W - D where kept, back to rows. */
static void finish(const sweep *s, tile_state *t)
{
    int64_t n = s->p->dim;
    if (s->grid) {
        finish_codes(s, t);
        return;
    }
    for (int64_t i = 0; i < n * LANES; i++)
        t->w[i] = t->kept[i] ? t->w[i] - t->d[i] : 0;
    s->run->device->kernels->transpose(t->w, LANES, s->v + t->first * n, n, n, t->rows);
    for (int64_t r = 0; r < t->rows; r++)
        for (int64_t j = 0; j < n; j++)
            s->mask[(t->first + r) * n + j] = t->kept[j * LANES + r];
}

/* a = sum over the columns before the block of D_i R_ij. */
static void gather(const sweep *s, tile_state *t, int64_t first, int64_t cols)
{
    int64_t n = s->p->dim;
    if (first == 0)
        memset(t->a, 0, (size_t)(cols * LANES) * sizeof(float));
    else
        s24i_sgemm(cols, LANES, first, 1, s24i_f32_turned(s->p->r + first, n),
                   s24i_f32(t->d, LANES), 0, s24i_f32_out(t->a, LANES));
}

/* The columns from `first` on, `a` being theirs. */
static void step(const sweep *s, tile_state *t, int64_t first, int64_t cols, float *a, bool choose,
                 int32_t worker)
{
    s24i_sweep_block block = {.lanes = LANES, .cols = cols};
    if (s->grid) {
        s24i_grid_spread(s->grid, s->p->scale, s->order, t->first, t->rows, first, &block,
                         s->steps + (int64_t)worker * 3 * B * LANES);
        block.codes = t->codes + first * LANES;
    }
    block.w = t->w + first * LANES;
    block.a = a;
    block.d = t->d + first * LANES;
    block.mask = t->kept + first * LANES;
    block.r = s->p->r + first * s->p->dim + first;
    block.ldr = s->p->dim;
    block.inv_diag = s->inv_r + first;
    block.n = choose ? s->target->constraints->n : 0;
    block.m = choose ? s->target->constraints->m : 1;
    s->run->device->kernels->sweep_block(&block);
}

/* |c_j R_jj| of the weights current at the block's start, c = w + a R_bb^-1, as rows. */
static void scores(const sweep *s, tile_state *t, int64_t first, int64_t cols, float *out)
{
    memcpy(t->c, t->w + first * LANES, (size_t)(cols * LANES) * sizeof(float));
    s24i_sgemm(cols, LANES, cols, 1, s24i_f32_turned(s->p->inv_diag + first * B, B),
               s24i_f32(t->a, LANES), 1, s24i_f32_out(t->c, LANES));
    for (int64_t j = 0; j < cols; j++)
        for (int64_t r = 0; r < LANES; r++)
            t->c[j * LANES + r] = fabsf(t->c[j * LANES + r] / s->inv_r[first + j]);
    s->run->device->kernels->transpose(t->c, LANES, out, cols, cols, t->rows);
}

/* Zeros up to column `end` when `zeros` are spread evenly over `size` columns. */
static int64_t share(int64_t zeros, int64_t end, int64_t size)
{
    return (int64_t)nearbyint((double)zeros * (double)end / (double)size);
}

static int64_t keep_of_block(int64_t zeros, int64_t rows, int64_t first, int64_t cols, int64_t size)
{
    return rows * cols - (share(zeros, first + cols, size) - share(zeros, first, size));
}

/* ---- both sides: a group of m columns at a time ---- */

static bool by_tiles(const sweep *s)
{
    const s24i_constraints *constraints = s->target->constraints;
    return constraints->both && !constraints->mask;
}

/* c = what the group's columns would take next, by forward substitution with no further loss; its
 * tile keeps the largest |c R_jj|. `a` is of the group. */
static void choose_tile(const sweep *s, tile_state *t, int64_t first, const float *a,
                        int32_t worker)
{
    int64_t n = s->p->dim, m = s->target->constraints->m;
    const float *r = s->p->r + first * n + first, *w = t->w + first * LANES;
    for (int64_t j = 0; j < m; j++)
        for (int64_t lane = 0; lane < LANES; lane++) {
            float b = a[j * LANES + lane];
            for (int64_t i = 0; i < j; i++)
                b += (w[i * LANES + lane] - t->c[i * LANES + lane]) * r[i * n + j];
            t->c[j * LANES + lane] = w[j * LANES + lane] + b * s->inv_r[first + j];
        }
    for (int64_t j = 0; j < m; j++)
        for (int64_t lane = 0; lane < LANES; lane++)
            t->c[j * LANES + lane] /= s->inv_r[first + j];
    s24i_select_both(s->run->device->kernels, s->target->constraints,
                     (s24i_strip){t->c, NULL, LANES}, s->height, t->kept + first * LANES,
                     s->square + (size_t)worker * s24i_both_scratch(s->target->constraints));
}

/* The groups of a block in order; what one loses goes to the block's later columns. */
static void step_by_tiles(const sweep *s, tile_state *t, int64_t first, int64_t cols,
                          int32_t worker)
{
    int64_t n = s->p->dim, m = s->target->constraints->m;
    memset(t->kept + first * LANES, 0, (size_t)(cols * LANES));
    for (int64_t j = 0; j < cols; j += m) {
        float *a = t->a + j * LANES;
        int64_t at = first + j, later = cols - j - m;
        choose_tile(s, t, at, a, worker);
        step(s, t, at, m, a, false, worker);
        if (later > 0)
            s24i_sgemm(later, LANES, m, 1, s24i_f32_turned(s->p->r + at * n + at + m, n),
                       s24i_f32(t->d + at * LANES, LANES), 1, s24i_f32_out(a + m * LANES, LANES));
    }
}

/* ---- rows independent: one task takes a tile through all blocks ---- */

static void choose_by_row(const sweep *s, tile_state *t, int64_t first, int64_t cols, float *score)
{
    int64_t n = s->p->dim, zeros = s24i_zeros(s->target->constraints->sparsity, n);
    uint8_t chosen[B];
    scores(s, t, first, cols, score);
    memset(t->kept + first * LANES, 0, (size_t)(cols * LANES));
    for (int64_t r = 0; r < t->rows; r++) {
        s24i_keep_largest(score + r * cols, cols, keep_of_block(zeros, 1, first, cols, n), chosen);
        for (int64_t j = 0; j < cols; j++)
            t->kept[(first + j) * LANES + r] = chosen[j];
    }
}

static void sweep_tile(void *arg, int64_t tile, int32_t worker)
{
    sweep *s = arg;
    if (s24i_watch_stopped(s->run->watch))
        return;
    tile_state t = state_of(s, tile, worker);
    bool by_row = by_score(s);
    load(s, &t);
    for (int64_t first = 0; first < s->p->dim; first += s->block_cols) {
        int64_t cols = s->p->dim - first < s->block_cols ? s->p->dim - first : s->block_cols;
        gather(s, &t, first, cols);
        if (by_row)
            choose_by_row(s, &t, first, cols, s->score + (int64_t)worker * LANES * B);
        if (by_tiles(s))
            step_by_tiles(s, &t, first, cols, worker);
        else
            step(s, &t, first, cols, t.a, !s->target->constraints->mask && !by_row, worker);
    }
    finish(s, &t);
    s24i_watch_step(s->run->watch, t.rows, NAN, NAN);
}

/* ---- selections over the layer: all tiles stay, block after block ---- */

static void load_tile(void *arg, int64_t tile, int32_t worker)
{
    (void)worker;
    tile_state t = state_of(arg, tile, tile);
    load(arg, &t);
}

static int64_t cols_of(const sweep *s)
{
    return s->p->dim - s->first < B ? s->p->dim - s->first : B;
}

static void score_tile(void *arg, int64_t tile, int32_t worker)
{
    (void)worker;
    const sweep *s = arg;
    tile_state t = state_of(s, tile, tile);
    gather(s, &t, s->first, cols_of(s));
    scores(s, &t, s->first, cols_of(s), s->score + t.first * cols_of(s));
}

static void step_tile(void *arg, int64_t tile, int32_t worker)
{
    const sweep *s = arg;
    tile_state t = state_of(s, tile, tile);
    int64_t cols = cols_of(s);
    for (int64_t j = 0; j < cols; j++)
        for (int64_t r = 0; r < LANES; r++)
            t.kept[(s->first + j) * LANES + r] = r < t.rows && s->chosen[(t.first + r) * cols + j];
    step(s, &t, s->first, cols, t.a, false, worker);
}

static void finish_tile(void *arg, int64_t tile, int32_t worker)
{
    (void)worker;
    tile_state t = state_of(arg, tile, tile);
    finish(arg, &t);
}

static s24_status sweep_matrix(sweep *s)
{
    const s24i_run *run = s->run;
    s24i_threads *threads = run->device->threads;
    int64_t n = s->p->dim,
            zeros = s24i_zeros(s->target->constraints->sparsity, s->target->rows * n);
    s24_status status = s24i_parallel(threads, load_tile, s, tiles(s));
    for (s->first = 0; s->first < n && !status; s->first += B) {
        int64_t cols = cols_of(s);
        status = s24i_parallel(threads, score_tile, s, tiles(s));
        if (!status)
            status = s24i_select_largest(run, s->score, s->target->rows * cols,
                                         keep_of_block(zeros, s->target->rows, s->first, cols, n),
                                         s->chosen);
        if (!status)
            status = s24i_parallel(threads, step_tile, s, tiles(s));
        if (s24i_watch_step(s->run->watch, cols, NAN, NAN))
            break;
    }
    return status ? status : s24i_parallel(threads, finish_tile, s, tiles(s));
}

/* ---- */

static void take_sweep(sweep *s)
{
    s24i_arena *arena = s->run->arena;
    size_t slots = (size_t)(s->resident ? tiles(s) : s24i_workers(s->run->device->threads));
    s->square =
        s24i_arena_take(arena, slots * s24i_both_scratch(s->target->constraints), sizeof(double));
    s->inv_r = s24i_arena_take(arena, (size_t)s->p->dim, sizeof(float));
    s->store = s24i_arena_take(arena, s24i_mul(slots, floats_of(s)), sizeof(float));
    s->kept = s24i_arena_take(arena, slots, (size_t)(s->p->dim * LANES));
    if (by_score(s))
        s->score = s24i_arena_take(
            arena, s->resident ? (size_t)(s->target->rows * B) : slots * LANES * B, sizeof(float));
    if (s->resident)
        s->chosen = s24i_arena_take(arena, (size_t)(s->target->rows * B), 1);
    if (s->grid) {
        s->lane_codes = s24i_arena_take(arena, slots, (size_t)(s->p->dim * LANES));
        s->steps = s24i_arena_take(
            arena, (size_t)s24i_workers(s->run->device->threads) * 3 * B * LANES, sizeof(float));
    }
}

static s24_status run_sweep(sweep *s)
{
    const s24i_run *run = s->run;
    const s24i_constraints *constraints = s->target->constraints;
    size_t mark = run->arena->used;
    int64_t n = s->p->dim;
    s->block_cols = constraints->n ? B / constraints->m * constraints->m : B;
    s->resident = s24i_over_layer(constraints);
    s->height = LANES / s24i_tied_rows(constraints) * s24i_tied_rows(constraints);
    take_sweep(s);
    s24_status status = S24_OK;
    if (s24i_counting(run)) {
        if (s->resident)
            s24i_select_largest(run, NULL, s->target->rows * B, 0, NULL);
        goto done;
    }
    for (int64_t j = 0; j < n; j++)
        s->inv_r[j] = 1 / s->p->r[j * n + j];
    run->arena->flops += s24i_product_flops(s->target->rows, n) / 2;
    s24i_watch_phase(s->run->watch, "sweep", s->resident ? n : s->target->rows);
    status = s->resident ? sweep_matrix(s)
                         : s24i_parallel(s->run->device->threads, sweep_tile, s, tiles(s));
    if (!status && atomic_load(&s->run->watch->done) < s->run->watch->total)
        status = s24i_fail(S24_E_CANCELLED, "stopped before the sweep over the columns was done");
done:
    run->arena->used = mark;
    return status;
}

s24_status s24i_cpu_sweep(const s24i_run *run, const s24i_target *target, float *v, uint8_t *mask)
{
    sweep s = {.run = run, .target = target, .p = target->prepared, .mask = mask};
    s.v = v;
    return run_sweep(&s);
}

s24_status s24i_cpu_sweep_grid(const s24i_run *run, const s24i_target *target,
                               const s24i_grid *grid, const int64_t *order, uint8_t *codes,
                               uint8_t *mask)
{
    sweep s = {.run = run, .target = target, .p = target->prepared, .mask = mask};
    s.grid = grid;
    s.order = order;
    s.codes = codes;
    return run_sweep(&s);
}
