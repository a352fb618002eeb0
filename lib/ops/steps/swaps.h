/* Exchanges of a kept weight for a pruned one, and the tableaus that price them (swaps.c: exact,
 * schur.c: many rows at once). Knows supports and groups; not options or results. */
#ifndef S24I_SWAPS_H
#define S24I_SWAPS_H
#include "steps.h"

/*
 * A quadratic form, swept on the positions that are in: with K the inverse of the form on them, m
 * holds -K, K S_IO and the Schur complement of the others, b the fitted value where in and the
 * residual where out.
 */
typedef struct s24i_tableau {
    int64_t n;
    double *m, *b; /* n x n, n */
    uint8_t *in;   /* n */
} s24i_tableau;

typedef struct s24i_exchange {
    double gain;
    int64_t out, in; /* who leaves and who comes */
} s24i_exchange;

/* Sweep position k into the support, or out of it. */
void s24i_pivot(s24i_tableau *t, int64_t k);
/* Exchange p (in) for q (out) if that gains more than `best`. */
void s24i_consider(const s24i_tableau *t, int64_t p, int64_t q, s24i_exchange *best);

/* The tableau of S on one row's support. Positions: the support first, then the rest. */
typedef struct s24i_row_tableau {
    s24i_tableau t;
    double *factor;  /* n x n */
    int64_t *column; /* of a position */
    int64_t *place;  /* of a column */
} s24i_row_tableau;

/* Lay it out at `base`; the bytes it takes (base NULL: only that). */
size_t s24i_row_tableau_lay(s24i_row_tableau *t, int64_t n, char *base);
/* t.m from S and a mask; false when the mask is empty or full, or S on it not positive definite.
 * t.b is left to the caller. */
bool s24i_row_tableau_sweep(s24i_row_tableau *t, const float *s, const uint8_t *mask,
                            int64_t *kept);

/* One search over all rows. */
typedef struct s24i_swapping {
    const s24i_run *run;
    const s24i_prepared *p;
    const float *w;
    int64_t rows;
    int64_t group; /* inputs of a group; dim when any kept weight may go for any pruned one */
    s24i_swap_limits limits;
    float *v;
    uint8_t *mask;
    _Atomic int64_t swapped;
} s24i_swapping;

s24_status s24i_swap_exact(const s24i_run *run, s24i_swapping *s);
s24_status s24i_swap_schur(const s24i_run *run, s24i_swapping *s);

#endif
