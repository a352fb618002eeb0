/*
 * The table of inner loops. Each entry is defined by its C reference in ref/; every faster version returns the same bits. Knows flat
 * arrays only: no matrices, no threads, no allocation.
 *
 * Bits are equal everywhere because (a) lane-wise arithmetic is written down operation by operation, a fused multiply-add where the
 * reference says fmaf, and (b) a sum over n values has one order: 16 double accumulators, value i into accumulator i mod 16, then halved
 * (8, 4, 2, 1: low += high).
 */
#ifndef S24I_KERNELS_H
#define S24I_KERNELS_H
#include <stdint.h>

#define S24I_MAX_GROUP 64 /* largest m of n:m */
#define S24I_LANES 16     /* rows are padded to a multiple of this in lane layouts */

/*
 * One block of columns of the column sweep (SparseGPT, GPTQ, coordinate descent) for `lanes` rows at once. Arrays [cols][lanes], a row of
 * the layer in each lane. With S = R R^T, R upper triangular, and D = W - V for the columns done so far, the weights that the rest should
 * take next are w_j = W_j + a_j / R_jj, a = sum over earlier columns i of D_i R_ij.
 */
typedef struct s24i_sweep_block {
    int64_t lanes;  /* multiple of S24I_LANES */
    int64_t cols;   /* of the block; a multiple of m when n > 0 */
    const float *w; /* W */
    float *a;       /* in: a over the columns before the block; destroyed */
    float *d;       /* out: D = W - V */
    uint8_t *mask;  /* [cols][lanes], 1 = kept: out when n > 0, else in */
    const float *r; /* the diagonal block of R, row-major, strictly lower part not read */
    int64_t ldr;
    const float *inv_diag; /* 1 / R_jj */
    /* Keep n of m, chosen by |w_j R_jj| on the weights current at the group's first column; n == 0: the mask is given. */
    int32_t n, m;
} s24i_sweep_block;

typedef struct s24i_kernels {
    const char *isa;
#define S24I_KERNEL(type, name, arguments) type(*name) arguments;
#include "kernels.def"
#undef S24I_KERNEL
} s24i_kernels;

/* Fill `table` with the reference, then override up to `isa` ("auto", "ref", "avx2", "avx512"). 0 if the name is unknown, -1 if this
 * processor or build lacks it, 1 if done. */
int s24i_kernels_select(s24i_kernels *table, const char *isa);
/* The sets that this processor and build offer, weakest first, NULL past the end. */
const char *s24i_kernels_isa(int index);

/* One per folder: fill in (or override) the entries that it has. */
void s24i_kernels_ref(s24i_kernels *table);
void s24i_kernels_avx2(s24i_kernels *table);
void s24i_kernels_avx512(s24i_kernels *table);

#endif
