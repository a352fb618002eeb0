/* What a method repeats, written over sets and products. Knows no method. */
#ifndef S24I_STEPS_H
#define S24I_STEPS_H
#include "ops/sets/sets.h"

/* ---- The problem made ready (prepare.c, damp.c) ---- */

/*
 * Fill `out` (whose arrays are taken from the arena and stay taken) and turn w (rows x cols) in place into the aim W* in unit-diagonal
 * coordinates: W diag(scale), plus blend (C - W H)(H + Delta)^-1 diag(scale) when there is a target
 * (docs/numerics.md). Dead inputs' columns of w become 0. S24_E_NUMERIC when the ladder ends.
 */
s24_status s24i_prepare(const s24i_ops *ops, s24i_arena *arena, s24i_watch *watch,
                        const s24i_layer *layer, s24i_damping damping, float *w,
                        s24i_prepared *out);
/* The two-halves rule: the relative damping whose solution on one half does best on the other, both ways, on a sample of rows. */
s24_status s24i_choose_damping(const s24i_ops *ops, s24i_arena *arena, s24i_watch *watch,
                               const s24i_layer *layer, const float *w, s24i_prepared *scratch,
                               double *damp, double *heldout);
/* For methods without damping of their own: w becomes W* in the layer's coordinates when there is a target (relative damping 0.1), and
 * stays as it is when there is none. */
s24_status s24i_aim(const s24i_ops *ops, s24i_arena *arena, s24i_watch *watch,
                    const s24i_layer *layer, float *w);
/* ---- Solving (sweep.c, cg.c, refit.c) ---- */

/* Methods whose rows do not see each other may take a layer in blocks of a multiple of so many rows: it is cut into the same tiles, and
 * gives the same bits. */
#define S24I_ROW_BLOCK 256

/* The blocked column sweep: mask and v (unit-diagonal coordinates) from w under the pattern; SparseGPT for N:M, sparsity and fixed masks. */
s24_status s24i_sweep(const s24i_ops *ops, s24i_arena *arena, s24i_watch *watch,
                      const s24i_prepared *prepared, const s24i_pattern *pattern, const float *w,
                      int64_t rows, float *v, uint8_t *mask);

/* The same, but what is kept goes on the grid: GPTQ without a pattern, SparseGPT's joint mode with one. `order` says which input of the
 * layer a column of `prepared` is (NULL: the same), also of the pattern's; all else is in the layer's order. */
s24_status s24i_sweep_grid(const s24i_ops *ops, s24i_arena *arena, s24i_watch *watch,
                           const s24i_prepared *prepared, const s24i_pattern *pattern,
                           const s24i_grid *grid, const int64_t *order, const float *w,
                           int64_t rows, uint8_t *codes, uint8_t *mask);

/* Coordinate descent over the codes of a row (descend.c), with the pattern n:m over codes and support together, else under the mask. */
typedef struct s24i_descent_limits {
    int32_t sweeps; /* at most, of each pass */
    int32_t refits; /* fits of the scales, each followed by another pass */
} s24i_descent_limits;

s24_status s24i_descend(const s24i_ops *ops, s24i_arena *arena, s24i_watch *watch,
                        const s24i_prepared *prepared, const s24i_pattern *pattern, const float *w,
                        int64_t rows, s24i_descent_limits limits, s24i_grid *grid, uint8_t *codes,
                        uint8_t *mask, int32_t *iterations);
/* Whole sweeps over all columns (Behdin et al. 2023), from the codes, or from w itself: every third without rounding, from the second on
 * and up to the 26th, if `relaxed`; never the last. */
s24_status s24i_relax(const s24i_ops *ops, s24i_arena *arena, s24i_watch *watch,
                      const s24i_prepared *prepared, const float *w, int64_t rows, int32_t sweeps,
                      bool relaxed, bool from_w, const s24i_grid *grid, const uint8_t *mask,
                      uint8_t *codes);

/* Sweeps over random blocks of inputs, each put on the grid as a whole (babai.c), in a block by falling key. The loss never rises. */
s24_status s24i_babai(const s24i_ops *ops, s24i_arena *arena, s24i_watch *watch,
                      const s24i_prepared *prepared, const float *w, int64_t rows, int32_t sweeps,
                      const float *key, const s24i_grid *grid, const uint8_t *mask, uint8_t *codes);

typedef struct s24i_cg_limits {
    int32_t max_iter;
    double
        tol; /* a row is done when its masked residual falls below tol times the one it started with */
    int64_t of_rows; /* of the layer whose rows these are, S24I_ROW_BLOCK cuts it; 0: all of it */
} s24i_cg_limits;

/* Conjugate gradients on the mask from v, rows independent: minimises (v - w) S (v - w)^T over the support. Stops early when the watch
 * says so (v is feasible at any time). *iterations is the largest number any row took; *residual the largest relative one left. */
s24_status s24i_cg(const s24i_ops *ops, s24i_arena *arena, s24i_watch *watch,
                   const s24i_prepared *prepared, const float *w, int64_t rows, const uint8_t *mask,
                   s24i_cg_limits limits, float *v, int32_t *iterations, double *residual);
/* The same for some rows (up to S24I_CG_ROWS), from inside a task; scratch is 3 x rows x dim, left[i] the relative residual of row i,
 * *products the rows that were multiplied by S. Returns the iterations. */
#define S24I_CG_ROWS 128
int32_t s24i_cg_rows(const s24i_ops *ops, s24i_watch *watch, const s24i_prepared *prepared,
                     const float *w, int64_t rows, const uint8_t *mask, s24i_cg_limits limits,
                     float *v, float *scratch, double *left, int64_t *products);
/* loss[i] = (v - w) S (v - w)^T of row i. */
s24_status s24i_row_losses(const s24i_ops *ops, s24i_arena *arena, const s24i_prepared *prepared,
                           const float *w, int64_t rows, const float *v, double *loss);
/* The same minimum by one Cholesky solve a row, in double. No row of the mask holds more than `widest` ones. */
s24_status s24i_refit_exact(const s24i_ops *ops, s24i_arena *arena, s24i_watch *watch,
                            const s24i_prepared *prepared, const float *w, int64_t rows,
                            const uint8_t *mask, int64_t widest, float *v);

enum { S24I_REFIT_AUTO, S24I_REFIT_EXACT, S24I_REFIT_CG };
/* One of the two: AUTO solves exactly up to S24I_EXACT_COLS inputs. `pattern` bounds the supports. */
#define S24I_EXACT_COLS 256
s24_status s24i_refit(const s24i_ops *ops, s24i_arena *arena, s24i_watch *watch,
                      const s24i_prepared *prepared, const s24i_pattern *pattern, const float *w,
                      int64_t rows, const uint8_t *mask, int32_t method, s24i_cg_limits limits,
                      float *v, int32_t *iterations, double *residual);

/* ---- ADMM on the pattern (admm.c) ---- */

/* One run. The caller fills in the first block and takes the rest with s24i_admm_take(). */
typedef struct s24i_admm {
    const s24i_ops *ops;
    s24i_watch *watch;
    const s24i_prepared *p;
    const s24i_pattern *pattern;
    const float *w;        /* the aim, rows x dim, unit-diagonal coordinates */
    int64_t rows, of_rows; /* of the layer whose rows these are, as for s24i_cg() */
    uint8_t *mask; /* in: where the start is not zero; then the projected iterate's support */
    float *b;      /* rows x dim for the unconstrained iterate, or NULL */

    float *z;         /* rows x dim: the projected iterate on the mask, the scaled dual off it */
    float *f;         /* (S + rho I)^-1 */
    float *scratch;   /* 2 tiles a worker */
    int64_t tile;     /* rows of one */
    double rho, dual; /* dual: what the dual in z is still to be multiplied with */
    int32_t steps;
} s24i_admm;

/* 1 / the upper median of diag(S^-1), the unit of penalties. */
s24_status s24i_penalty_unit(const s24i_ops *ops, s24i_arena *arena, const s24i_prepared *prepared,
                             double *unit);
/* Arrays from the arena; they stay taken. */
void s24i_admm_take(const s24i_ops *ops, s24i_arena *arena, s24i_admm *admm);
/* Start from `from` (rows x dim) on the mask, dual 0. */
s24_status s24i_admm_start(const s24i_ops *ops, s24i_admm *admm, const float *from);
/* Set rho: one factorisation and inverse. The unscaled dual stays as it is. */
s24_status s24i_admm_penalty(const s24i_ops *ops, s24i_arena *arena, s24i_admm *admm, double rho);
/* `steps` iterations; rows are independent unless the pattern is a sparsity over the layer. Stops early with the watch. */
s24_status s24i_admm_iterate(const s24i_ops *ops, s24i_arena *arena, s24i_admm *admm,
                             int32_t steps);

/* ---- The published schedules (schedule.c) ---- */

/* How many differ from what was last seen; seen becomes mask. */
int64_t s24i_changed(const uint8_t *mask, int64_t size, uint8_t *seen);
/* *rho grows by one of the factors as over 10 %, over .5 % or less of what is kept changed, or falls to a fifth where so little changed
 * before it ever grew; false when nothing changes any more. */
bool s24i_penalty_grows(const double growth[3], double changed, double kept, bool *grew,
                        double *rho);
/* ALPS from the largest of w and rho on, `most` iterations at most; a->b is needed, seen is rows x dim. */
s24_status s24i_admm_published(const s24i_ops *ops, s24i_arena *arena, s24i_admm *a, uint8_t *seen,
                               double rho, int64_t most, int32_t *iterations);

/* ---- Shrinking searches for n:m (shrink.c) ---- */

typedef struct s24i_shrinking {
    bool gradient;          /* proximal gradient instead of ADMM */
    int32_t iterations;     /* at most; ADMM takes them all */
    double rho;             /* ADMM: the penalty, fixed */
    double lambda;          /* gradient: first strength, in units of 1 / rms of w */
    double growth;          /* gradient: its factor an iteration */
    int32_t refit_steps;    /* gradient: masked gradient steps at the end */
    _Atomic int64_t *taken; /* out: the largest number of iterations any tile took */
} s24i_shrinking;

/* mask and v from w; the pattern is n:m. */
s24_status s24i_shrink(const s24i_ops *ops, s24i_arena *arena, s24i_watch *watch,
                       const s24i_prepared *prepared, const s24i_pattern *pattern, const float *w,
                       int64_t rows, s24i_shrinking how, float *v, uint8_t *mask);

/* ---- Exchanges of kept for pruned weights (swaps.c, swaps_schur.c) ---- */

enum { S24I_SWAP_AUTO, S24I_SWAP_EXACT, S24I_SWAP_SCHUR };

typedef struct s24i_swap_limits {
    int32_t method; /* AUTO is exact up to S24I_EXACT_COLS inputs */
    double tol;     /* an exchange must gain more than this times its row's loss */
    int64_t most;   /* exchanges in a row */
} s24i_swap_limits;

/* Exchanges within a group of n:m, within the row otherwise, other weights of the row re-fitted: EXACT prices each with the tableau of the
 * row, one at a time; SCHUR prices many with tableaus averaged over rows and takes back what did not lower the loss. v and mask are feasible
 * at any time, the loss of no row grows. A fixed mask is the caller's to refuse. */
s24_status s24i_swap(const s24i_ops *ops, s24i_arena *arena, s24i_watch *watch,
                     const s24i_prepared *prepared, const s24i_pattern *pattern, const float *w,
                     int64_t rows, s24i_swap_limits limits, float *v, uint8_t *mask,
                     int64_t *swapped);

/* ---- ADMM on the pattern beside a product of low rank (sparse_lowrank.c) ---- */

/* One run. The caller fills in the first block, takes the rest with s24i_split_take(). */
typedef struct s24i_split {
    const s24i_ops *ops;
    s24i_watch *watch;
    const s24i_prepared *p;
    const s24i_pattern *pattern;
    const float *w; /* the aim, rows x dim, unit-diagonal coordinates */
    int64_t rows;
    uint8_t *mask;
    float *z,
        *h; /* rows x dim: as of s24i_admm; scratch, after an iteration W - S as L is to see it */
    bool
        apart; /* the published blocks: L from the iteration before, fitted to the unconstrained iterate, without momentum */
    s24i_lowrank low; /* rank set */

    float *f, *scratch; /* (S + rho I)^-1; `share` floats a worker */
    size_t share;
    int64_t tile;
    double rho, dual;
} s24i_split;

void s24i_split_take(s24i_arena *arena, s24i_split *a);
/* From z on the mask, dual 0, and from L fitted to the rest of it. */
s24_status s24i_split_start(s24i_arena *arena, s24i_split *a);
s24_status s24i_split_penalty(s24i_arena *arena, s24i_split *a, double rho);
/* One iteration; `rotate` as of s24i_lowrank_step(). */
s24_status s24i_split_iterate(s24i_arena *arena, s24i_split *a, bool rotate);
/* h = W - S for the S that z holds on the mask. */
s24_status s24i_split_rest(s24i_split *a);

#endif
