/* What a method repeats, written over sets and products. Knows no method. */
#ifndef S24I_STEPS_H
#define S24I_STEPS_H
#include "ops/sets/sets.h"

/* ---- The problem made ready (prepare.c, damp.c) ---- */

/* The two-halves rule: the relative damping whose solution on one half does best on the other, both
 * ways, on a sample of rows. */
s24_status s24i_choose_damping(const s24i_run *run, const s24i_matrix *matrix, const float *w,
                               s24i_prepared *scratch, double *damp, double *heldout);

/* ---- Solving (sweep.c, cg.c, refit.c) ---- */

/* Methods whose rows do not see each other may take a matrix in blocks of a multiple of so many
 * rows: it is cut into the same tiles, and gives the same bits. */
#define S24I_ROW_BLOCK 256

/* Coordinate descent over the codes of a row (descend.c), with the pattern n:m over codes and
 * support together, else under the mask. */
typedef struct s24i_descent_limits {
    int32_t sweeps; /* at most, of each pass */
    int32_t refits; /* fits of the scales, each followed by another pass */
} s24i_descent_limits;

typedef struct s24i_cg_limits {
    int32_t max_iter;
    /* a row is done when its masked residual falls below tol times the one it started with */
    double tol;
    int64_t of_rows; /* of the matrix whose rows these are, S24I_ROW_BLOCK cuts it; 0: all of it */
} s24i_cg_limits;

/* The same for some rows (up to S24I_CG_ROWS), from inside a task; scratch is 3 x rows x dim,
 * left[i] the relative residual of row i, *products the rows that were multiplied by S. Returns the
 * iterations. */
#define S24I_CG_ROWS 128
int32_t s24i_cg_rows(const s24i_run *run, const s24i_target *target, const uint8_t *mask,
                     s24i_cg_limits limits, float *v, float *scratch, double *left,
                     int64_t *products);
/* The same minimum by one Cholesky solve a row, in double. No row of the mask holds more than
 * `widest` ones. */
s24_status s24i_refit_exact(const s24i_run *run, const s24i_target *target, const uint8_t *mask,
                            int64_t widest, float *v);

enum { S24I_REFIT_AUTO, S24I_REFIT_EXACT, S24I_REFIT_CG };
/* One of the two: AUTO solves exactly up to S24I_EXACT_COLS inputs. `constraints` bounds the
 * supports. */
#define S24I_EXACT_COLS 256

/* ---- Whole columns (units.c) ---- */

typedef struct s24i_removal {
    int64_t batch; /* units of a round, at least; up to twice as many when they do not divide */
    bool all;      /* try every choice, where there are few */
    int64_t swaps; /* of single columns at the end, at most */
} s24i_removal;
/* Flops that trying every choice may take; and there may be 20000 of them. */
#define S24I_MOST_TRIED 2e12

/* ---- Scores of nodes by the graph of weights (rank.c) ---- */

/* NORM: sums of |w|. MPR: (|W| r)_i a_i. WPR: gamma (P r)_i + (1 - gamma) a_i / sum of a, where
 * column k of P is theta |w_ik| and (1 - theta) [w_ik is not 0], each over its sum. */
enum { S24I_RANK_NORM, S24I_RANK_MPR, S24I_RANK_WPR };

typedef struct s24i_ranking {
    int32_t kind;
    double gamma, theta;
} s24i_ranking;

/* ---- Columns that stay whole (dense.c) ---- */

/* The others as a matrix of their own, `rest` columns: those that stay have been eliminated. */
typedef struct s24i_reduced {
    s24i_matrix matrix; /* its gram: NULL, or the sums below */
    s24i_gram sums;
    float *w;      /* rows x rest */
    int32_t *rest; /* which they are, rising */
    int64_t dense; /* how many stay */
    /* rest x dense: what an error in one of them adds to a column that stays; NULL: nothing */
    float *back;
} s24i_reduced;

/* ---- A core between block-diagonal matrices (blocks.c) ---- */

/* W ~ A Z B. The caller fills in the first block and takes the rest with s24i_blocks_take(). */
#define S24I_BLOCKS_ROOM 5
typedef struct s24i_blocks {
    const s24i_target *target; /* W */
    int64_t size;              /* of a block; rows and dim are multiples */
    const uint8_t *mask;       /* of the core */
    bool diagonal;             /* the identity in place of S */

    float *left, *right;           /* A: rows x size, B: dim x size, blocks below each other */
    float *core;                   /* Z: rows x dim */
    float *room[S24I_BLOCKS_ROOM]; /* rows x dim */
    float *column;                 /* rows x size */
    double *square, *sums;         /* a worker: 3 size^2; a row */
} s24i_blocks;

typedef struct s24i_blocks_parts {
    const s24_mat *left, *core, *right;
} s24i_blocks_parts;

/* ---- Sparse codes over a dictionary (dictionary.c) ---- */

/* W ~ C D, rows of C sparse. The caller fills in the first block and takes the rest with
 * s24i_dictionary_take(). */
typedef struct s24i_dictionary {
    const s24i_target *target; /* W */
    int64_t atoms;

    s24i_lowrank low;     /* the start */
    float *atom;          /* D: atoms x dim */
    float *image;         /* D S */
    float *turned;        /* dim x atoms */
    float *codes;         /* C: rows x atoms */
    uint8_t *kept;        /* its support */
    float *aim;           /* what C would be if it were dense */
    double *norm;         /* an atom */
    s24i_prepared metric; /* D S D^T, as the S of the rows of C */
} s24i_dictionary;

/* ---- ADMM on the pattern (admm.c) ---- */

/* One run. The caller fills in the first block and takes the rest with s24i_admm_take(). */
typedef struct s24i_admm {
    const s24i_run *run;
    s24i_target target;
    int64_t of_rows; /* of the matrix whose rows these are, as for s24i_cg() */
    uint8_t *mask;   /* in: where the start is not zero; then the projected iterate's support */
    float *b;        /* rows x dim for the unconstrained iterate, or NULL */

    float *z;       /* rows x dim: the projected iterate on the mask, the scaled dual off it */
    float *inverse; /* (S + rho I)^-1, and as an operand */
    s24i_panels f;
    float *scratch; /* `share` floats a worker: 2 tiles, and what both sides take */
    size_t share;
    int64_t tile;     /* rows of one */
    double rho, dual; /* dual: what the dual in z is still to be multiplied with */
    int32_t steps;
} s24i_admm;

/* ---- The published schedules (schedule.c) ---- */

/* *rho grows by one of the factors as over 10 %, over .5 % or less of what is kept changed, or
 * falls to a fifth where so little changed before it ever grew; false when nothing changes any
 * more. */
bool s24i_penalty_grows(const double growth[3], double changed, double kept, bool *grew,
                        double *rho);

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

/* ---- Exchanges of kept for pruned weights (swaps.c, swaps_schur.c) ---- */

enum { S24I_SWAP_AUTO, S24I_SWAP_EXACT, S24I_SWAP_SCHUR };

typedef struct s24i_swap_limits {
    int32_t method; /* AUTO is exact up to S24I_EXACT_COLS inputs */
    double tol;     /* an exchange must gain more than this times its row's loss */
    int64_t most;   /* exchanges in a row */
} s24i_swap_limits;

/* ---- ADMM on the pattern beside a product of low rank (sparse_lowrank.c) ---- */

/* One run. The caller fills in the first block, takes the rest with s24i_split_take(). */
typedef struct s24i_split {
    const s24i_run *run;
    s24i_target target;
    uint8_t *mask;
    float *z,
        *h; /* rows x dim: as of s24i_admm; scratch, after an iteration W - S as L is to see it */
    /* the published blocks: L from the iteration before, fitted to the unconstrained iterate,
     * without momentum */
    bool apart;
    s24i_lowrank low; /* rank set */

    float *inverse; /* (S + rho I)^-1, and as an operand */
    s24i_panels f;
    float *scratch; /* `share` floats a worker */
    size_t share;
    int64_t tile;
    double rho, dual;
} s24i_split;

#define S24I_OPERATION(scratch, name, parameters, arguments) s24_status s24i_cpu_##name parameters;
#include "ops/steps/steps.def"
#undef S24I_OPERATION

#endif
