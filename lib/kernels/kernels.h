/*
 * The table of inner loops. Each entry is defined by its C reference in ref/; every faster version
 * returns the same bits. Knows flat arrays only: no matrices, no threads, no allocation.
 *
 * Bits are equal everywhere because (a) lane-wise arithmetic is written down operation by
 * operation, a fused multiply-add where the reference says fmaf, and (b) a sum over n values has
 * one order: 16 double accumulators, value i into accumulator i mod 16, then halved (8, 4, 2, 1:
 * low += high).
 */
#ifndef S24I_KERNELS_H
#define S24I_KERNELS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define S24I_MAX_GROUP 64 /* largest m of n:m */
#define S24I_LANES 16     /* rows are padded to a multiple of this in lane layouts */

/*
 * One block of columns of the column sweep (SparseGPT, GPTQ, coordinate descent) for `lanes` rows
 * at once. Arrays [cols][lanes], a row of the matrix in each lane. With S = R R^T, R upper
 * triangular, and D = W - V for the columns done so far, the weights that the rest should take next
 * are w_j = W_j + a_j / R_jj, a = sum over earlier columns i of D_i R_ij.
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
    /* Keep n of m, chosen by |w_j R_jj| on the weights current at the group's first column; n ==
     * 0: the mask is given. */
    int32_t n, m;
    /* Put what is kept on a grid: step (code - zero), code in 0 .. top. NULL, or step 0: any
     * value. */
    const float *step, *inverse, *zero; /* [cols][lanes], inverse = 1 / step */
    float top;
    uint8_t *codes; /* out: [cols][lanes] */
} s24i_sweep_block;

/*
 * One row of coordinate descent on (v - w) S (v - w)^T with S_jj = 1: v_j = step_j (code_j - zero),
 * of which only steps matter here. A column with step 0 and inverse 0 stays as it is.
 */
typedef struct s24i_descent {
    int64_t n;
    float *code; /* in, out: integers 0 .. top */
    float *g;    /* in, out: (w - v) S */
    const float *step, *inverse;
    const float *s; /* n x n */
    float top;
} s24i_descent;

/*
 * A product of some tokens with weights whose row is the vector lane (docs/products.md). A kernel
 * does a block of 16 rows, which is `tiles` tiles of 32 columns: y[batch][16]. Nothing of it needs
 * alignment; no byte beyond the block is read, but some may be prefetched.
 */
typedef struct s24i_lane_product {
    int64_t tiles;
    int32_t batch;    /* tokens: 1, 2, 4, 8 or 16 */
    int64_t prefetch; /* how many bytes ahead of what is read */
    /* The activations, finite. Of floats: f32 [columns / 16][batch][16]. Of bf16_dot: bf16 [columns
     * / 4][batch][4]. Of codes: q + 128 in u8 [columns / 8][batch][8], and x_scale [x groups]
     * [batch]. */
    const void *x;
    const float *x_scale;
    /* Of codes: tiles to a scale of the weights and of the activations. A group may end early, at
     * the end of the block; x_group divides group, or is more than the block has. */
    int64_t group, x_group;
} s24i_lane_product;

/* One tile of C = alpha A B, or of C += alpha A B: the operands lie in the order in which they are
 * read. */
#define S24I_PANEL_ROWS 12 /* of A in a panel, at most */
#define S24I_PANEL_COLS 32 /* of B in a panel; the last one of a matrix is filled up with zeros */

typedef struct s24i_panel_product {
    int64_t rows, cols, k; /* of the tile; terms a sum */
    const float *a;        /* [k][rows] */
    const float *b;        /* [k][S24I_PANEL_COLS] */
    float alpha;
    bool add; /* to what is in C */
    float *c;
    int64_t ldc;
} s24i_panel_product;

/* The integer nearest to t in 0 .. top < 2^22, ties to even. */
static inline float s24i_nearest_code(float t, float top)
{
    t = t > 0 ? t : 0;
    t = t < top ? t : top;
    return (t + 8388608.0f) - 8388608.0f;
}

typedef struct s24i_kernels {
    const char *isa;
#define S24I_KERNEL(type, name, arguments) type(*name) arguments;
#include "kernels.def"
#undef S24I_KERNEL
} s24i_kernels;

/* Fill `table` with the reference, then override up to `isa` ("auto", "ref", "avx2", ...). 0 if the
 * name is unknown, -1 if this processor or build lacks it, 1 if done. */
int s24i_kernels_dispatch(s24i_kernels *table, const char *isa);
/* The set whose function an entry of the table points to; `entry` is its offset in s24i_kernels. */
const char *s24i_kernels_set_of(const s24i_kernels *table, size_t entry);
/* The sets that this processor and build offer, weakest first, NULL past the end. */
const char *s24i_kernels_isa(int index);

/* One per folder: fill in (or override) the entries that it has. */
void s24i_kernels_ref(s24i_kernels *table);
void s24i_kernels_avx2(s24i_kernels *table);
void s24i_kernels_avx512(s24i_kernels *table);
/* These have some entries only: products of codes, of codes, and of bf16. */
void s24i_kernels_avxvnni(s24i_kernels *table);
void s24i_kernels_avx512vnni(s24i_kernels *table);
void s24i_kernels_avx512bf16(s24i_kernels *table);

#endif
