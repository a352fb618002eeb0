/* Sums of a sparse and a low-rank matrix: the nearest product of low rank, and ADMM beside one. Same conventions as ops.h. */
#ifndef S24I_OPS_LOWRANK_H
#define S24I_OPS_LOWRANK_H
#include "ops.h"

/* ---- The nearest product of low rank (lowrank.c) ---- */

/* L = U C, U the first `rank` columns of Q and C the first rows of c. The caller fills in the first block and takes the rest with
 * s24i_lowrank_take(). */
typedef struct s24i_lowrank {
    const s24i_ops *ops;
    const s24i_prepared *p;
    int64_t rows, rank; /* rank becomes min(rank, rows, dim) */
    float momentum;     /* of s24i_lowrank_step() */

    int64_t width;           /* columns of Q */
    float *q;                /* rows x width, orthonormal columns */
    float *c;                /* width x dim: Q^T M */
    float *past_u, *past_c;  /* rows x rank, rank x dim: L of the step before */
    float *moved, *image;    /* width x dim: Q^T (M + momentum (L - L before)), and that times S */
    float *small;            /* factors of the momentum */
    double *y;               /* rows x width */
    double *square, *values; /* width x width, four of them; 2 width */
    void *work;
    double *tile; /* a worker */
} s24i_lowrank;

/* Arrays from the arena; they stay taken. */
void s24i_lowrank_take(s24i_arena *arena, s24i_lowrank *l);
/* Q from what M (rows x dim) makes of numbers that depend on their place alone. */
s24_status s24i_lowrank_start(s24i_lowrank *l, const float *m);
/* c = Q^T M, M rows x dim: at once, or columns [first, first + cols) from inside a task. */
s24_status s24i_lowrank_project(s24i_lowrank *l, s24i_arena *arena, const float *m);
void s24i_lowrank_gather(const s24i_lowrank *l, const float *m, int64_t first, int64_t cols);
/* One iteration from c = Q^T M: Q <- orth(M' (S (M'^T Q))), M' = M + momentum (U U^T M - L of the step before). `rotate`: to the left singular
 * vectors, largest first; else the order is kept. c is stale afterwards. */
s24_status s24i_lowrank_step(s24i_lowrank *l, s24i_arena *arena, const float *m, bool rotate);
/* Iterations without momentum until one takes less than tol of the loss that is left, `most` at most; then c = Q^T M, and L is the one
 * that momentum is measured from. total is
 * tr(M S M^T); *left (or NULL) becomes tr((M - L) S (M - L)^T). */
s24_status s24i_lowrank_fit(s24i_lowrank *l, s24i_arena *arena, s24i_watch *watch, const float *m,
                            double total, double tol, int32_t most, double *left);
/* That loss for c = Q^T M. */
s24_status s24i_lowrank_left(s24i_lowrank *l, s24i_arena *arena, double total, double *left);
/* rest = M - L, may not be M; or in place for rows [first, first + rows), m their first, from inside a task. */
s24_status s24i_lowrank_rest(s24i_lowrank *l, s24i_arena *arena, const float *m, float *rest);
void s24i_lowrank_subtract(const s24i_lowrank *l, int64_t first, int64_t rows, float *m);

/* ---- ADMM on the pattern beside a product of low rank (split.c) ---- */

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
