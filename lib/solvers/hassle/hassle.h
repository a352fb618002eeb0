/* One run of hassle, and what its methods share. Knows no method. */
#ifndef S24I_HASSLE_H
#define S24I_HASSLE_H
#include "solvers/damping.h"
#include "solvers/gridding.h"
#include "solvers/lowrank.h"

typedef struct s24i_hassle_values {
    s24i_word preset;
    s24i_word damp_rule;
    double damp;
    s24i_word method;
    s24i_word sparse;
    int64_t max_iter;
    double rho;
    double rho_end;
    int64_t polish;
    int64_t rounds;
    s24i_word fit;
    s24i_word scales;
    s24i_word factors;
    double time_limit;
} s24i_hassle_values;

enum { S24I_HASSLE_KEPT = 7, S24I_HASSLE_FIT_POLISH = 3 };
/* The choices of `method` and `sparse`. */
enum { S24I_HASSLE_JOINT, S24I_HASSLE_3BASIL, S24I_HASSLE_ALTERNATE };
enum { S24I_HASSLE_BY_SPARSEGPT, S24I_HASSLE_BY_ALPS };

typedef struct s24i_hassle {
    s24i_job *job;
    const s24i_hassle_values *o;
    s24i_prepared prepared;
    s24i_target target;
    s24i_split split;
    s24i_factors factors;
    double *row_loss;
    uint8_t *seen;  /* 3basil: the support last looked at */
    s24i_admm admm; /* alternating: the sparse step by ALPS */
    s24i_gridding g;
    float *variance, *key;
    struct {
        void *now, *best;
        size_t size;
    } kept[S24I_HASSLE_KEPT]; /* of alternating and of rounds on a grid: the best so far */
    int32_t kept_count;
    int32_t iterations;
    bool converged;
} s24i_hassle;

/* ---- what methods share (steps.c) ---- */

/* max_iter, or the usual number. */
int64_t s24i_hassle_length(const s24i_hassle *r, int64_t usual);
/* tr((W - V) S (W - V)^T) for V = S + L, c = U^T (W - S). */
s24_status s24i_hassle_loss(s24i_hassle *r, double *value);
/* L = the best for what S leaves, warm. */
s24_status s24i_hassle_fit_rest(s24i_hassle *r, int32_t most);
/* SparseGPT's S for what is wanted, h or w. */
s24_status s24i_hassle_sweep(s24i_hassle *r, const float *wanted);
/* SparseGPT's S (without H the largest weights) and an L for its rest. */
s24_status s24i_hassle_first_point(s24i_hassle *r);
/* Conjugate gradients on S for the present L, then L, and again. */
s24_status s24i_hassle_polish(s24i_hassle *r);
/* Arrays that belong to the best so far; its copy, and back. */
void s24i_hassle_keep(s24i_hassle *r, void *now, size_t size);
s24_status s24i_hassle_save_best(s24i_hassle *r);
s24_status s24i_hassle_restore_best(s24i_hassle *r);

/* ---- the methods, a file each ---- */

s24_status s24i_hassle_joint(s24i_hassle *r);
s24_status s24i_hassle_three_blocks(s24i_hassle *r);
s24_status s24i_hassle_alternate(s24i_hassle *r);
/* S is put on the grid, L fitted to what that leaves, and both again. */
s24_status s24i_hassle_rounds_on_grid(s24i_hassle *r);

#endif
