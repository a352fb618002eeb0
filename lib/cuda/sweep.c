#include "cuda.h"
#include <math.h>

/* The column sweep, and whole sweeps of relaxation (lib/ops/steps/sweep.c, relax.c). */

enum { B = S24I_BLOCK };

typedef struct sweep {
    const s24i_run *run;
    const s24i_target *target;
    const s24i_prepared *p;
    int64_t block_cols, rows, n;
    float *w, *d, *a, *inv_r, *step, *score;
    uint8_t *kept, *codes, *chosen;
    s24c_sweep block;
} sweep;

static bool by_score(const s24i_constraints *constraints)
{
    return !constraints->mask && !constraints->n && constraints->scope;
}

static void take(sweep *s, bool order, bool grid)
{
    s24i_arena *arena = s->run->arena;
    size_t size = s24i_mul((size_t)s->rows, (size_t)s->n), block = (size_t)(s->rows * B);
    bool scores = by_score(s->target->constraints);

    s->d = s24i_arena_take(arena, size, sizeof(float));
    s->a = s24i_arena_take(arena, block, sizeof(float));
    s->inv_r = s24i_arena_take(arena, (size_t)s->n, sizeof(float));
    s->w = s24i_arena_take(arena, order ? size : 0, sizeof(float));
    s->kept = s24i_arena_take(arena, order ? size : 0, 1);
    s->codes = s24i_arena_take(arena, grid && order ? size : 0, 1);
    s->step = s24i_arena_take(arena, scores ? block : 0, sizeof(float));
    s->score = s24i_arena_take(arena, scores ? block : 0, sizeof(float));
    s->chosen = s24i_arena_take(arena, scores ? block : 0, 1);
}

static int64_t zeros(double sparsity, int64_t size)
{
    int64_t count = (int64_t)nearbyint(sparsity * (double)size);
    return count < size ? count : size - 1;
}

static int64_t share(int64_t zeros, int64_t end, int64_t size)
{
    return (int64_t)nearbyint((double)zeros * (double)end / (double)size);
}

/* |c R_jj| of a block's current weights, c = w + a R_bb^-1; its largest stay. */
static s24_status choose(sweep *s, int64_t first, int32_t cols)
{
    s24c_state *state = s24c_of(s->run);
    const s24i_constraints *constraints = s->target->constraints;
    bool layer = s24i_over_layer(constraints);
    int64_t tied = layer ? s->rows : 1, all = zeros(constraints->sparsity, tied * s->n);
    int64_t keep = tied * cols - (share(all, first + cols, s->n) - share(all, first, s->n));
    const float one = 1;

    s24_status status = s24c_op_copy(s->run, s->a, (size_t)(s->rows * B) * sizeof(float), s->step);
    if (!status)
        status = s24c_blas(state,
                           cublasStrsm(state->blas, CUBLAS_SIDE_LEFT, CUBLAS_FILL_MODE_LOWER,
                                       CUBLAS_OP_N, CUBLAS_DIAG_NON_UNIT, cols, (int)s->rows, &one,
                                       s->p->r + first * s->n + first, (int)s->n, s->step, B),
                           "scores");
    if (status)
        return status;
    s24c_block_scores(state->stream, s->block.w, s->step, s->inv_r, s->rows, s->n, first, cols,
                      s->score);
    if (layer)
        status = s24c_select(s->run, s->score, s->rows * cols, keep, s->chosen);
    else
        s24c_keep_rows(state->stream, s->score, s->rows, cols, keep, s->chosen);
    s24c_block_mask(state->stream, s->chosen, s->rows, s->n, first, cols, s->block.mask);
    return status;
}

/* a = sum over the columns before the block of D_i R_ij, rows x B. */
static s24_status gather(const sweep *s, int64_t first, int32_t cols)
{
    if (first == 0)
        return s24c_op_fill(s->run, 0, (size_t)(s->rows * B) * sizeof(float), s->a);
    return s24c_gemm(s->run, (s24c_shape){s->rows, cols, first}, 1, s24i_f32(s->d, s->n),
                     s24i_f32(s->p->r + first, s->n), 0, s24i_f32_out(s->a, B));
}

static s24_status sweep_columns(sweep *s)
{
    const s24i_constraints *constraints = s->target->constraints;
    bool groups = constraints->n && !constraints->mask;
    s24_status status = S24_OK;

    s->block.n = groups ? constraints->n : 0;
    s->block.m = groups ? constraints->m : 1;
    for (int64_t first = 0; first < s->n && !status; first += s->block_cols) {
        int32_t cols = (int32_t)(s->n - first < s->block_cols ? s->n - first : s->block_cols);
        status = gather(s, first, cols);
        if (!status && by_score(constraints))
            status = choose(s, first, cols);
        s->block.first = first;
        s->block.cols = cols;
        s24c_sweep_block(s24c_stream(s->run), &s->block);
        if (!status)
            status = s24c_launched(s->run, "sweep");
        if (!status && s24i_watch_stopped(s->run->watch))
            status =
                s24i_fail(S24_E_CANCELLED, "stopped before the sweep over the columns was done");
    }
    s24i_watch_step(s->run->watch, s->rows, NAN, NAN);
    return status;
}

static void describe(sweep *s, uint8_t *mask)
{
    s->block = (s24c_sweep){.rows = s->rows,
                            .dim = s->n,
                            .w = s->target->w,
                            .r = s->p->r,
                            .inv_r = s->inv_r,
                            .d = s->d,
                            .a = s->a,
                            .mask = mask};
}

/* What the mask is before the columns are gone over. */
static s24_status open_mask(const sweep *s, const int64_t *order)
{
    const s24i_constraints *constraints = s->target->constraints;
    size_t size = (size_t)(s->rows * s->n);

    if (!s24i_has_support(constraints))
        return s24c_op_fill(s->run, 1, size, s->block.mask);
    if (constraints->mask && order)
        s24c_permute_bytes(s24c_stream(s->run), constraints->mask, order, s->rows, s->n,
                           s->block.mask);
    else if (constraints->mask)
        return s24c_op_copy(s->run, constraints->mask, size, s->block.mask);
    return s24c_launched(s->run, "sweep");
}

static void begin(sweep *s, const s24i_run *run, const s24i_target *target)
{
    const s24i_constraints *constraints = target->constraints;

    *s = (sweep){.run = run, .target = target, .p = target->prepared, .rows = target->rows};
    s->n = s->p->dim;
    s->block_cols = constraints->n ? B / constraints->m * constraints->m : B;
}

static void count_selection(const sweep *s)
{
    if (s24i_over_layer(s->target->constraints))
        s24c_select(s->run, NULL, s->rows * B, 0, NULL);
}

s24_status s24c_op_sweep(const s24i_run *run, const s24i_target *target, float *v, uint8_t *mask)
{
    size_t mark = run->arena->used;
    sweep s;
    s24_status status = s24c_refuse_both(run, target->constraints, "sweep");

    if (status)
        return status;
    begin(&s, run, target);
    take(&s, false, false);
    if (s24i_counting(run)) {
        count_selection(&s);
    } else {
        run->arena->flops += s24i_product_flops(s.rows, s.n) / 2;
        s24i_watch_phase(run->watch, "sweep", s.rows);
        describe(&s, mask);
        s24c_inverse_diagonal(s24c_stream(run), s.n, s.p->r, s.inv_r);
        status = open_mask(&s, NULL);
        if (!status)
            status = sweep_columns(&s);
        s24c_sweep_finish(s24c_stream(run), target->w, s.d, mask, s.rows * s.n, v);
        if (!status)
            status = s24c_launched(run, "sweep");
    }
    run->arena->used = mark;
    return status;
}

static void put_on_grid(sweep *s, const s24i_grid *grid, const int64_t *order, uint8_t *codes)
{
    s24c_grid g = s24c_grid_of(grid);

    s->block.codes = order ? s->codes : codes;
    s->block.scale = g.scale;
    s->block.zero = g.zero;
    s->block.unit = s->p->scale;
    s->block.order = order;
    s->block.outliers = g.outliers;
    s->block.groups = g.groups;
    s->block.group = g.group;
    s->block.top = g.top;
    s->block.real = g.scheme == S24I_GRID_REAL;
    s->block.round = 1;
}

static s24_status sweep_on_grid(sweep *s, const s24i_grid *grid, const int64_t *order,
                                uint8_t *codes, uint8_t *mask)
{
    cudaStream_t stream = s24c_stream(s->run);

    s->run->arena->flops += s24i_product_flops(s->rows, s->n) / 2;
    s24i_watch_phase(s->run->watch, "sweep", s->rows);
    describe(s, order ? s->kept : mask);
    put_on_grid(s, grid, order, codes);
    if (order) {
        s24c_permute(stream, s->target->w, order, s->rows, s->n, s->w);
        s->block.w = s->w;
    }
    s24c_inverse_diagonal(stream, s->n, s->p->r, s->inv_r);
    s24_status status = open_mask(s, order);
    if (!status)
        status = sweep_columns(s);
    if (order) {
        s24c_restore_bytes(stream, s->kept, order, s->rows, s->n, mask);
        s24c_restore_bytes(stream, s->codes, order, s->rows, s->n, codes);
    }
    if (grid->outliers)
        s24c_outlier_values(stream, s->block.w, s->d, s->p->scale, order, grid->outliers, s->rows,
                            s->n, grid->value);
    return status ? status : s24c_launched(s->run, "sweep_grid");
}

s24_status s24c_op_sweep_grid(const s24i_run *run, const s24i_target *target, const s24i_grid *grid,
                              const int64_t *order, uint8_t *codes, uint8_t *mask)
{
    size_t mark = run->arena->used;
    sweep s;
    s24_status status = s24c_refuse_both(run, target->constraints, "sweep_grid");

    if (status)
        return status;
    begin(&s, run, target);
    take(&s, true, true);
    if (s24i_counting(run))
        count_selection(&s);
    else
        status = sweep_on_grid(&s, grid, order, codes, mask);
    run->arena->used = mark;
    return status;
}

/* ---- relaxation ---- */

enum { PERIOD = 3, LAST_RELAXED = 25 };

/* A block of columns takes g = e S from one product, then is a sweep with S in place of R. */
static s24_status relax_sweep(sweep *s, float *v, float *e, bool round)
{
    s24_status status = S24_OK;

    s->block.round = round;
    for (int64_t first = 0; first < s->n && !status; first += B) {
        int32_t cols = (int32_t)(s->n - first < B ? s->n - first : B);
        status = s24c_gemm(s->run, (s24c_shape){s->rows, cols, s->n}, 1, s24i_f32(e, s->n),
                           s24i_f32(s->p->s + first, s->n), 0, s24i_f32_out(s->a, B));
        s->block.first = first;
        s->block.cols = cols;
        s24c_sweep_block(s24c_stream(s->run), &s->block);
        s24c_relax_update(s24c_stream(s->run), s->d, s->rows, s->n, first, cols, v, e);
        if (!status)
            status = s24c_launched(s->run, "relax");
    }
    return status;
}

/* What it begins with: v on the mask, and e = w - v. */
static void start_relaxation(sweep *s, bool from_w, const s24i_grid *grid, const uint8_t *mask,
                             const uint8_t *codes, float *e)
{
    cudaStream_t stream = s24c_stream(s->run);
    s24c_grid g = s24c_grid_of(grid);

    if (from_w)
        s24c_apply_mask(stream, s->target->w, mask, s->rows * s->n, s->w);
    else
        s24c_grid_values(stream, &g, s->p->scale, mask, codes, s->rows, s->w);
    s24c_subtract(stream, s->target->w, s->w, s->rows * s->n, e);
}

static s24_status relax_all(sweep *s, int32_t sweeps, bool relaxed, const s24i_grid *grid,
                            const uint8_t *mask, uint8_t *codes, float *e)
{
    cudaStream_t stream = s24c_stream(s->run);
    float *v = s->w;
    s24_status status = S24_OK;

    s->run->arena->flops += s24i_product_flops(s->rows, s->n) * sweeps;
    s24i_watch_phase(s->run->watch, "sweeps", s->rows);
    describe(s, (uint8_t *)(uintptr_t)mask);
    put_on_grid(s, grid, NULL, codes);
    s->block.w = v;
    s->block.r = s->p->s;
    s->block.ones = 1;
    for (int32_t k = 0; k < sweeps && !status; k++) {
        bool last = k == sweeps - 1;
        bool round = !relaxed || k % PERIOD != 1 || k > LAST_RELAXED || last;
        status = relax_sweep(s, v, e, round);
        if (round && s24i_watch_stopped(s->run->watch))
            break;
    }
    s24i_watch_step(s->run->watch, s->rows, NAN, NAN);
    if (grid->outliers) { /* v is w - d where d is 0 */
        s24c_subtract(stream, v, v, s->rows * s->n, s->d);
        s24c_outlier_values(stream, v, s->d, s->p->scale, NULL, grid->outliers, s->rows, s->n,
                            grid->value);
    }
    return status ? status : s24c_launched(s->run, "relax");
}

s24_status s24c_op_relax(const s24i_run *run, const s24i_target *target, int32_t sweeps,
                         bool relaxed, bool from_w, const s24i_grid *grid, const uint8_t *mask,
                         uint8_t *codes)
{
    size_t mark = run->arena->used;
    sweep s;
    s24_status status = S24_OK;

    begin(&s, run, target);
    take(&s, true, false);
    size_t size = s24i_mul((size_t)s.rows, (size_t)s.n);
    float *e = s24i_arena_take(run->arena, size, sizeof(float));
    if (!s24i_counting(run)) {
        start_relaxation(&s, from_w, grid, mask, codes, e);
        status = relax_all(&s, sweeps, relaxed, grid, mask, codes, e);
    }
    run->arena->used = mark;
    return status;
}
