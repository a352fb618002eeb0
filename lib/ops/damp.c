#include "ops/ops.h"
#include <math.h>

/*
 * The two-halves rule: solve a sample of rows on one half of the calibration rows for each damping
 * of the grid (sweep, then a few steps of conjugate gradients on its mask), score on the other
 * half, both ways. The grid is walked downhill from its middle. Written in
 * operations alone: it is the same on every device.
 */
static const double grid[] = {0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1};
/* Measured on 17 layers: docs/numerics.md, Damping. */
enum { GRID = sizeof grid / sizeof *grid, MIDDLE = 3, SAMPLE = 32, CG_STEPS = 6 };
#define FALLBACK 0.01 /* when a half has fewer rows than MIN_ROWS */
enum { MIN_ROWS = 64 };

typedef struct {
    s24i_run run;     /* of the inner solves */
    s24i_watch quiet; /* stops with the outer watch, reports nothing */
    const s24i_matrix *matrix;
    s24i_prepared *prepared;
    s24i_constraints constraints;
    int64_t rows;
    int64_t *row_of;
    float *w, *aim, *v;
    uint8_t *mask;
    uint8_t *fixed; /* rows of the matrix's mask */
    double norm[2]; /* of the sample on each half; NAN until asked for */
} trial;

static void take_trial(trial *t)
{
    size_t size = (size_t)(t->rows * t->matrix->cols);
    t->row_of = s24i_arena_take(t->run.arena, (size_t)t->rows, sizeof(int64_t));
    t->w = s24i_arena_take(t->run.arena, size, sizeof(float));
    t->aim = s24i_arena_take(t->run.arena, size, sizeof(float));
    t->v = s24i_arena_take(t->run.arena, size, sizeof(float));
    t->mask = s24i_arena_take(t->run.arena, size, 1);
    if (t->matrix->constraints.mask)
        t->fixed = s24i_arena_take(t->run.arena, size, 1);
}

static s24_status gather_sample(trial *t, const float *w)
{
    const s24i_run *run = &t->run;
    int64_t cols = t->matrix->cols, row_of[SAMPLE];
    for (int64_t i = 0; i < t->rows; i++)
        row_of[i] = i * t->matrix->rows / t->rows;
    t->constraints.mask = t->fixed;
    s24_status status = s24i_upload(run, row_of, (size_t)t->rows * sizeof *row_of, t->row_of);
    if (!status)
        status = s24i_gather(run, w, t->row_of, t->rows, cols * (int64_t)sizeof(float), t->w);
    return status || !t->fixed
               ? status
               : s24i_gather(run, t->matrix->constraints.mask, t->row_of, t->rows, cols, t->fixed);
}

/* Fit on `half`; into t->v, in the matrix's own coordinates. */
static s24_status fit(trial *t, int half, double damp)
{
    const s24i_run *run = &t->run;
    s24i_damping damping = {S24I_DAMP_RELATIVE, damp};
    s24i_cg_limits limits = {CG_STEPS, 1e-3};
    s24i_target target = {t->prepared, &t->constraints, t->aim, t->rows};
    int32_t iterations;
    double residual;
    s24_status status = s24i_prepare_factor(run, t->matrix->gram, half, damping, t->prepared);
    if (!status)
        status = s24i_copy(run, t->w, (size_t)(t->rows * t->matrix->cols) * sizeof(float), t->aim);
    if (!status)
        status = s24i_prepare_aim(run, t->matrix, half, t->prepared, t->aim, t->row_of, t->rows);
    if (!status)
        status = s24i_sweep(run, &target, t->v, t->mask);
    if (!status)
        status = s24i_cg(run, &target, t->mask, limits, t->v, &iterations, &residual);
    if (!status)
        status = s24i_unscale(run, t->prepared, t->v, t->rows);
    return status;
}

static s24_status score(trial *t, int half, double *loss, double *norm)
{
    const s24i_matrix *matrix = t->matrix;
    s24_mat w = s24i_view(t->w, t->rows, matrix->cols), v = s24i_view(t->v, t->rows, matrix->cols);
    double l = 0, n = 0;
    s24_status status;
    if (matrix->cross && matrix->blend > 0) {
        status = s24i_target_loss(&t->run, matrix, half, &w, &v, t->row_of, &l, &n);
    } else {
        double *known = &t->norm[half == S24I_SECOND];
        status = s24i_quadratic(&t->run, matrix->gram, half, &w, &v, &l);
        if (!status && isnan(*known))
            status = s24i_quadratic(&t->run, matrix->gram, half, &w, NULL, known);
        n = *known;
    }
    *loss += l;
    *norm += n;
    return status;
}

static s24_status try_damping(trial *t, double damp, double *relative)
{
    double loss = 0, norm = 0;
    s24_status status = S24_OK;
    for (int half = S24I_FIRST; half <= S24I_SECOND && !status; half++) {
        status = fit(t, half, damp);
        if (!status)
            status = score(t, S24I_BOTH - half, &loss, &norm);
    }
    *relative = norm > 0 ? loss / norm : 0;
    return status;
}

static s24_status walk_downhill(trial *t, s24i_watch *watch, double *damp, double *heldout)
{
    double best;
    int at = MIDDLE, moved = 0;
    s24_status status = try_damping(t, grid[at], &best);
    for (int step = -1; step <= 1 && !status; step += 2) {
        for (int next = at + step; moved != -step && next >= 0 && next < GRID; next += step) {
            double relative;
            if (s24i_watch_step(watch, 1, NAN, best))
                return s24i_fail(S24_E_CANCELLED, "stopped while the damping was chosen");
            if ((status = try_damping(t, grid[next], &relative)) || !(relative < best))
                break;
            best = relative;
            at = next;
            moved = step;
        }
    }
    *damp = grid[at];
    *heldout = best;
    return status;
}

s24_status s24i_choose_damping(const s24i_run *run, const s24i_matrix *matrix, const float *w,
                               s24i_prepared *scratch, double *damp, double *heldout)
{
    size_t mark = run->arena->used;
    s24_status status = S24_OK;
    trial t = {.run = *run, .matrix = matrix, .prepared = scratch};
    t.run.watch = &t.quiet;
    t.norm[0] = t.norm[1] = NAN;
    t.constraints = matrix->constraints;
    t.rows = matrix->rows < SAMPLE ? matrix->rows : SAMPLE;
    *damp = FALLBACK;
    *heldout = NAN;
    if (matrix->gram->rows.x.weight[0] < MIN_ROWS || matrix->gram->rows.x.weight[1] < MIN_ROWS)
        return S24_OK;
    take_trial(&t);
    if (s24i_counting(run)) {
        double unused;
        status = try_damping(&t, 1, &unused);
    } else {
        s24i_watch_init(&t.quiet, NULL, NULL, run->watch->cancel, 0);
        status = gather_sample(&t, w);
        s24i_watch_phase(run->watch, "damping", GRID);
        if (!status)
            status = walk_downhill(&t, run->watch, damp, heldout);
    }
    run->arena->used = mark;
    return status;
}
