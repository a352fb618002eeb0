/*
 * The algebra that solvers are written in: products, factorisations, sweeps, conjugate gradients, selections, losses. Knows matrices,
 * tiles, BLAS and kernels; not handles, options or methods.
 *
 * Matrices are row-major and contiguous unless a stride is named: W and V are rows x cols (a layer's outputs x inputs), H is cols x cols.
 * Every operation cuts its work by shape alone, so the bits do not depend on the threads. Scratch comes from the arena given; an operation
 * leaves `arena->used` as it found it. With a counting arena (base NULL) an operation only takes its scratch and returns: the same code
 * predicts memory and uses it.
 */
#ifndef S24I_OPS_H
#define S24I_OPS_H
#include "base/error.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/watch.h"
#include "kernels/kernels.h"
#include "range.h"

#define S24I_BLOCK 128 /* columns of one block of the sweep and of the factorisation */

typedef struct s24i_ops {
    s24i_memory *memory;
    s24i_threads *threads;
    const s24i_kernels *kernels;
} s24i_ops;

/* A contiguous f32 matrix as the caller's kind of view. */
static inline s24_mat s24i_view(const float *data, int64_t rows, int64_t cols)
{
    return (s24_mat){.data = (void *)(uintptr_t)data,
                     .rows = rows,
                     .cols = cols,
                     .row_stride = cols,
                     .col_stride = 1,
                     .dtype = S24_F32,
                     .device = S24_CPU};
}

/* Of X S with X rows x dim. */
static inline double s24i_product_flops(int64_t rows, int64_t dim)
{
    return 2 * (double)rows * (double)dim * (double)dim;
}

static inline bool s24i_counting(const s24i_arena *arena)
{
    return arena->base == NULL;
}

/* ---- BLAS (blas.c) ---- */

/* While at least one hold is in force OpenBLAS runs on one thread; the setting of before comes back with the last release. */
void s24i_blas_hold(void);
void s24i_blas_release(void);
/* The address space that OpenBLAS maps for each thread inside it at once (x86-64, 64-bit ARM); it keeps it, and touches little of it. */
#define S24I_BLAS_BUFFER (1 << 27)
/* So many threads more may call BLAS from now on, until they part. S24_E_MEMORY: no room for their buffers; they must not, but part. */
s24_status s24i_blas_join(int32_t threads);
/* One more thread of a pool; false: there is no buffer for it, or too little beside it, so it must not be. */
bool s24i_blas_hire(void);
void s24i_blas_part(int32_t threads);
/* "OpenBLAS 0.3.21 SkylakeX". Static storage. */
const char *s24i_blas_name(void);
/* One-thread products C = alpha op(A) op(B) + beta C; `ta`, `tb` transpose. Those in single precision take denormals for zeros, which is
 * nothing beside numbers that were brought near 1; s24i_sgemm_exact() is for those that were not. */
void s24i_sgemm_exact(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha,
                      const float *a, int64_t lda, const float *b, int64_t ldb, float beta,
                      float *c, int64_t ldc);
void s24i_sgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
                int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc);
void s24i_dgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, double alpha, const double *a,
                int64_t lda, const double *b, int64_t ldb, double beta, double *c, int64_t ldc);
/* The lower triangle of C (n x n) = A^T A, A k x n. */
void s24i_ssyrk(int64_t n, int64_t k, const float *a, int64_t lda, float *c, int64_t ldc);
/* The upper triangle of C (n x n) -= A A^T, A n x k. */
void s24i_ssyrk_subtract(int64_t n, int64_t k, const float *a, int64_t lda, float *c, int64_t ldc);
void s24i_dsyrk(int64_t n, int64_t k, const double *a, int64_t lda, double *c, int64_t ldc);
/* A = L L^T of an n x n block, row-major, in place, lower part; false when A is not positive definite. */
bool s24i_small_cholesky(int64_t n, double *a, int64_t lda);
/* L <- L^-1, lower, row-major. */
void s24i_small_invert(int64_t n, double *l, int64_t ldl);
/* Solve L L^T x = b for one right-hand side. */
void s24i_small_solve(int64_t n, const double *l, int64_t ldl, double *x);
#define S24I_MOST_EIGEN 32000 /* LAPACK counts 2 n^2 in 32 bits */
/* Of the symmetric a (n x n, lower part read): values rise, row k becomes vector k. False when LAPACK does not converge, or n is more than
 * S24I_MOST_EIGEN. */
bool s24i_symmetric_eigen(int64_t n, double *a, double *values, void *work);
size_t s24i_eigen_work(int64_t n); /* bytes of `work`, aligned for double */

/* ---- Views of the caller's matrices (mat.c) ---- */

bool s24i_is_float(int32_t dtype);
/* Bytes of one element, 0 for unknown types. */
int32_t s24i_dtype_size(int32_t dtype);
/* Rows [row, row + count) of any float view as contiguous f32 or f64. */
void s24i_mat_load(const s24i_kernels *kernels, const s24_mat *mat, int64_t row, int64_t count,
                   float *out);
void s24i_mat_load_f64(const s24i_kernels *kernels, const s24_mat *mat, int64_t row, int64_t count,
                       double *out);
/* Row `row` where it lies when it is contiguous f32, else NULL. */
const float *s24i_mat_row(const s24_mat *mat, int64_t row);
/* The reverse, rounding to nearest even. */
void s24i_mat_store(const s24i_kernels *kernels, const float *in, const s24_mat *mat, int64_t row,
                    int64_t count);
/* The whole view as contiguous f32, on all threads; S24_E_NONFINITE names the first place as `what`. */
s24_status s24i_mat_read(const s24i_ops *ops, const s24_mat *mat, const char *what, float *out);
/* Is it a finite number of that float type, once it is rounded? */
bool s24i_fits(double value, int32_t dtype);
/* dst = src, any types (integers and booleans only to themselves). */
s24_status s24i_mat_copy(const s24i_ops *ops, const s24_mat *src, const s24_mat *dst);
/* y = x w^T, f32 accumulation (gemm.c). */
s24_status s24i_mat_multiply(const s24i_ops *ops, const s24_mat *x, const s24_mat *w,
                             const s24_mat *y);

/* ---- Calibration sums (rows.c, gram.c) ---- */

#define S24I_RUN 128 /* consecutive rows that go to the same half */
/* Rows of one half whose products are summed in the accumulator's type before they join the double sums. */
#define S24I_BATCH_ROWS 2048
#define S24I_STRIP 256 /* rows of one stored strip of H */

enum { S24I_FIRST = 1, S24I_SECOND = 2, S24I_BOTH = 3 };

/* Rows on their way into sums: converted, weighted, dealt to two halves, and kept until a half has a full batch, so that sums do not
 * depend on how the caller cuts its batches. A row is [x | t] (t_cols 0 for a gram). */
typedef struct s24i_rows {
    int64_t x_cols, t_cols;
    int32_t type; /* S24_F32 or S24_F64 */
    int64_t next; /* running index of the next row */
    int64_t filled[2];
    void *batch[2];   /* S24I_BATCH_ROWS x (x_cols + t_cols) */
    double weight[2]; /* sums of row weights */
    double count[2];  /* rows of weight above 0 */
} s24i_rows;

/* Sum of x x^T in two halves: lower triangle in strips of S24I_STRIP rows, strip i of width min(dim, (i + 1) S24I_STRIP), double, zero
 * above the diagonal. */
typedef struct s24i_gram {
    int64_t dim;
    double *half[2];
    s24i_rows rows;
} s24i_gram;

/* Sum of t x^T (out x in, row-major, double) and of the squares of each output (out) in two halves. */
typedef struct s24i_cross {
    int64_t out, in;
    double *half[2];
    double *norm2[2];
    s24i_rows rows;
} s24i_cross;

s24_status s24i_gram_init(const s24i_ops *ops, s24i_gram *gram, int64_t dim, int32_t type);
void s24i_gram_fini(const s24i_ops *ops, s24i_gram *gram);
s24_status s24i_gram_add(const s24i_ops *ops, s24i_gram *gram, const s24_mat *x,
                         const s24_mat *row_weight);
/* Bring the rows that wait into the sums. Everything that reads a gram or a cross needs it flushed. */
s24_status s24i_gram_flush(const s24i_ops *ops, s24i_gram *gram);
size_t s24i_gram_half_bytes(int64_t dim);
/* Offset in doubles and width of strip i; its rows start at i * S24I_STRIP. */
int64_t s24i_strip_offset(int64_t dim, int64_t strip);
int64_t s24i_strip_width(int64_t dim, int64_t strip);
/* Row i, columns 0 .. i, of half 0 or 1. */
const double *s24i_gram_row(const s24i_gram *gram, int half, int64_t i);
/* H_jj of `which` halves. */
double s24i_gram_diagonal(const s24i_gram *gram, int which, int64_t j);

s24_status s24i_cross_init(const s24i_ops *ops, s24i_cross *cross, int64_t out, int64_t in,
                           int32_t type);
void s24i_cross_fini(const s24i_ops *ops, s24i_cross *cross);
s24_status s24i_cross_add(const s24i_ops *ops, s24i_cross *cross, const s24_mat *x,
                          const s24_mat *t, const s24_mat *row_weight);
s24_status s24i_cross_flush(const s24i_ops *ops, s24i_cross *cross);

/* ---- Factorisation (factor.c) ---- */

/* Bytes for the inverted diagonal blocks that go with a factor: dim x S24I_BLOCK floats. */
/* In place: the upper triangle of the symmetric s (dim x dim) becomes R with S = R R^T, R upper triangular; inverses of R's diagonal blocks
 * go to inv_diag (dim x S24I_BLOCK, block k at row k S24I_BLOCK, upper). False when a pivot R_jj^2 falls below `floor`. */
s24_status s24i_cholesky(const s24i_ops *ops, s24i_arena *arena, int64_t dim, float *s,
                         float *inv_diag, float floor, bool *positive);
/* U = R^-1, dim x dim, upper: what is below its diagonal is not written. */
s24_status s24i_invert_factor(const s24i_ops *ops, s24i_arena *arena, int64_t dim, const float *r,
                              const float *inv_diag, float *u);
/* K = (R R^T)^-1, dim x dim, symmetric; may be r itself. */
s24_status s24i_inverse(const s24i_ops *ops, s24i_arena *arena, int64_t dim, const float *r,
                        const float *inv_diag, float *k);
/* X <- X (R R^T)^-1 for X rows x dim. */
s24_status s24i_solve_rows(const s24i_ops *ops, s24i_arena *arena, int64_t dim, const float *r,
                           const float *inv_diag, float *x, int64_t rows);

/* ---- What is wanted (project.c) ---- */

enum { S24I_SCOPE_NONE, S24I_SCOPE_LAYER, S24I_SCOPE_ROW };

enum { S24I_GRID_ASYM, S24I_GRID_SYM, S24I_GRID_REAL };

/* Which values are allowed: see grid.c. */
typedef struct s24i_grid_form {
    int32_t bits; /* 2^bits levels; 0: any value */
    int32_t scheme;
    int64_t group; /* consecutive columns under one scale; 0: all */
} s24i_grid_form;

/* What is asked of a solution: first of its support, then of its values, then of what may be added to it. */
typedef struct s24i_pattern {
    int32_t n, m;  /* keep n of m; n == 0: none */
    int32_t scope; /* of the sparsity */
    double sparsity;
    const uint8_t *mask; /* fixed support, rows x cols, or NULL */
    s24i_grid_form grid;
    int64_t
        rank; /* a product U V of at most this rank comes on top; 0: none. Alone: the product is all there is */
} s24i_pattern;

/* The most weights that a row can keep (a fixed mask is not looked at). */
int64_t s24i_most_kept(const s24i_pattern *pattern, int64_t cols);
/* round(sparsity * size), ties to even, never size. */
int64_t s24i_zeros(double sparsity, int64_t size);
/* mask = 1 on what the pattern keeps, ranked by |w| * norm (norm over columns; NULL: ones), ties to the lower index. Exact counts. */
s24_status s24i_project(const s24i_ops *ops, s24i_arena *arena, const s24i_pattern *pattern,
                        const float *w, const float *norm, int64_t rows, int64_t cols,
                        uint8_t *mask);
/* v = w where the mask is 1, else 0; may be in place. */
s24_status s24i_apply_mask(const s24i_ops *ops, const float *w, const uint8_t *mask, int64_t rows,
                           int64_t cols, float *v);
/* mask = 1 on the `keep` largest of count non-negative scores, ties to the lower index. */
void s24i_keep_largest(const float *score, int64_t count, int64_t keep, uint8_t *mask);
/* The same on all threads. */
s24_status s24i_select_largest(const s24i_ops *ops, s24i_arena *arena, const float *score,
                               int64_t count, int64_t keep, uint8_t *mask);
/* S24_E_STATE and the first offending place when the support (v != 0, or mask) breaks the pattern. `name` is what it is called. */
s24_status s24i_check_support(const s24i_pattern *pattern, const uint8_t *support, int64_t rows,
                              int64_t cols, const char *name);

/* ---- Values on a grid (grid.c) ---- */

#define S24I_MOST_LEVELS 256

static inline int64_t s24i_grid_group(const s24i_grid_form *form, int64_t cols)
{
    return form->group && form->group < cols ? form->group : cols;
}

/* How many groups a row has. */
static inline int64_t s24i_grid_groups(const s24i_grid_form *form, int64_t cols)
{
    int64_t group = s24i_grid_group(form, cols);
    return (cols + group - 1) / group;
}

/* The largest code. */
static inline float s24i_grid_top(const s24i_grid_form *form)
{
    return (float)((1 << form->bits) - 1);
}

/* The value of a code: scale (code - zero); of S24I_GRID_REAL, whose zero is the least value, scale code + zero. Rounded after each step. */
static inline float s24i_decode(const s24i_grid_form *form, float scale, float zero, float code)
{
    return form->scheme == S24I_GRID_REAL ? scale * code + zero : scale * (code - zero);
}

/* One that was fitted to a layer. */
typedef struct s24i_grid {
    s24i_grid_form form;
    int64_t cols;
    int32_t type; /* scales (and real zeros) are numbers of this type */
    int32_t
        shift; /* what is fitted, rounded or looked through for outliers is 2^shift times the layer's weights */
    float *scale, *zero; /* rows x groups */
    /* rows x cols, NULL: no outliers. Where `free` is 1 a weight is not on the grid but any value (layer coordinates). */
    uint8_t *free;
    float *value;
} s24i_grid;

static inline bool s24i_is_outlier(const s24i_grid *grid, int64_t at)
{
    return grid->free && grid->free[at];
}

/* In codes, so that a value is scale (code - zero') whatever the scheme. */
static inline float s24i_grid_zero(const s24i_grid *grid, int64_t at)
{
    return grid->form.scheme == S24I_GRID_REAL ? -grid->zero[at] / grid->scale[at] : grid->zero[at];
}

/* x as a number of S24_F32, S24_F16 or S24_BF16. */
float s24i_stored(int32_t type, float x);

enum { S24I_FIT_MINMAX, S24I_FIT_MSE, S24I_FIT_SEARCH };
/* Scales and zeros for w (rows x cols, layer coordinates but for the shift) where the mask (NULL: ones) is 1 and grid->free is not: the range; the shrunk range of least
 * |error|^2.4 (Frantar et al. 2022); or that of least sum of weight_j error^2 (weight NULL: ones), zeros one code off tried too. A group
 * without weights gets the row's largest scale. S24_E_NUMERIC when no scale fits the type. */
s24_status s24i_grid_fit(const s24i_ops *ops, s24i_arena *arena, int32_t method,
                         const float *weight, const float *w, const uint8_t *mask, int64_t rows,
                         s24i_grid *grid);
/* Of the outliers in a layer: how many, and what they are chosen by. */
typedef struct s24i_outliers {
    int64_t count; /* weights, or whole inputs */
    bool inputs;
    bool by_magnitude; /* else by weight_j (error on the grid)^2 */
} s24i_outliers;

/* grid->free = 1 on the outliers of w (layer coordinates) under the mask, grid->value = w there (outliers.c). */
s24_status s24i_choose_outliers(const s24i_ops *ops, s24i_arena *arena, s24i_outliers outliers,
                                const float *weight, const float *w, const uint8_t *mask,
                                int64_t rows, s24i_grid *grid);
/* scale (code - zero') of one weight, or the outlier's value (layer coordinates). */
float s24i_grid_value(const s24i_grid *grid, const uint8_t *codes, int64_t row, int64_t col);
/* codes = the nearest levels to w (layer coordinates). */
s24_status s24i_grid_round(const s24i_ops *ops, const s24i_grid *grid, const float *w, int64_t rows,
                           uint8_t *codes);
/* v = what the codes decode to, the outlier's value, 0 where the mask is 0; in the last two places codes become those of 0. */
s24_status s24i_grid_decode(const s24i_ops *ops, const s24i_grid *grid, const uint8_t *mask,
                            int64_t rows, uint8_t *codes, float *v);

/* The grid of a block of columns from `first` on, in unit-diagonal coordinates (scale: of those columns), a lane a row from `row` on.
 * `out` has room for 3 cols lanes. `order` as in s24i_sweep_grid(). */
void s24i_grid_spread(const s24i_grid *grid, const double *scale, const int64_t *order, int64_t row,
                      int64_t rows, int64_t first, s24i_sweep_block *block, float *out);

/* S24_E_STATE and the first place where v (contiguous rows) is not what the codes decode to, or not 0 where the mask (NULL: ones) is 0;
 * where `free` (NULL: nowhere) is 1 it may be anything. scale and zero are rows x groups. */
s24_status s24i_check_codes(const s24i_ops *ops, const s24i_grid_form *form, const uint8_t *codes,
                            const float *scale, const float *zero, const uint8_t *mask,
                            const uint8_t *free, const float *v, int64_t rows, int64_t cols);
/* The same for the values of one row of which nothing else is known: they must be equal steps apart, within `error` of the largest or `least`.
 * `sparse`: zeros are no values. `row` is only for texts. */
s24_status s24i_check_levels(const s24i_grid_form *form, const double *v, int64_t cols,
                             double error, double least, bool sparse, int64_t row,
                             const char *name);

/* The kernel for n of m over flat groups: the fast path of 2:4, or any. */
static inline void s24i_select_nm(const s24i_kernels *kernels, const float *w, const float *norm,
                                  uint8_t *mask, int64_t count, int32_t n, int32_t m)
{
    if (n == 2 && m == 4)
        kernels->select_24(w, norm, mask, count);
    else
        kernels->select_nm(w, norm, mask, count, n, m);
}

/* Some weights have to be zero. */
static inline bool s24i_has_support(const s24i_pattern *pattern)
{
    return pattern->n || pattern->scope || pattern->mask;
}

/* Zeros are chosen over the whole layer, so that rows depend on each other. */
static inline bool s24i_over_layer(const s24i_pattern *pattern)
{
    return !pattern->mask && !pattern->n && pattern->scope == S24I_SCOPE_LAYER;
}

/* ---- The problem made ready (prepare.c, damp.c) ---- */

enum { S24I_DAMP_AUTO, S24I_DAMP_RELATIVE, S24I_DAMP_MEAN, S24I_DAMP_MIXED };

typedef struct s24i_damping {
    int32_t rule;
    double
        value; /* relative to each diagonal entry, to the mean of the diagonal, or (MIXED) to their sum */
    double divisor; /* of AUTO's winner (docs/numerics.md); 0 is 1 */
} s24i_damping;

/* A layer as prepare() reads it. */
typedef struct s24i_layer {
    int64_t rows, cols;
    const s24i_gram *gram;   /* NULL: H = identity */
    const s24i_cross *cross; /* NULL: aim at W */
    double blend;
    s24i_pattern pattern;
} s24i_layer;

/*
 * The layer in unit-diagonal coordinates: S = diag(inverse) (H + Delta) diag(inverse) with unit diagonal, S = R R^T, and W diag(scale), whose
 * common unit keeps the largest of it (and of wanted outputs) in the range of single precision. Dead inputs (H_jj <= 1e-12 of the largest)
 * have S_jj = 1, nothing beside it, scale 1 in that unit.
 */
typedef struct s24i_prepared {
    int64_t dim;
    double unit;     /* a power of two, 1 unless numbers are far from it */
    double plain;    /* another: plain scale_j is near 1 where unit scale_j need not be */
    double *scale;   /* dim: unit sqrt(H_jj + Delta_j), its digits those of a float */
    double *inverse; /* dim: 1 / sqrt(H_jj + Delta_j), 0 for dead inputs */
    float *share;    /* dim: Delta_j / (H_jj + Delta_j) */
    uint8_t *dead;   /* dim */
    float *s;        /* dim x dim */
    float *r;        /* dim x dim, upper */
    float *inv_diag; /* dim x S24I_BLOCK */
    double damp;     /* what was used after the ladder */
    int32_t climbs;  /* times the damping was multiplied by ten */
    double heldout; /* relative error on the other half where the two-halves rule chose, else NAN */
    double largest, wanted; /* of |W|, and |T| of one output: what the unit is chosen by */
} s24i_prepared;

/*
 * Fill `out` (whose arrays are taken from the arena and stay taken) and turn w (rows x cols) in place into the aim W* in unit-diagonal
 * coordinates: W diag(scale), plus blend (C - W H)(H + Delta)^-1 diag(scale) when there is a target
 * (docs/numerics.md). Dead inputs' columns of w become 0. S24_E_NUMERIC when the ladder ends.
 */
s24_status s24i_prepare(const s24i_ops *ops, s24i_arena *arena, s24i_watch *watch,
                        const s24i_layer *layer, s24i_damping damping, float *w,
                        s24i_prepared *out);
/* The parts of it that the two-halves rule repeats: S and R from `which` halves with one damping; then the aim. */
s24_status s24i_prepare_factor(const s24i_ops *ops, s24i_arena *arena, const s24i_gram *gram,
                               int which, s24i_damping damping, s24i_prepared *out);
s24_status s24i_prepare_aim(const s24i_ops *ops, s24i_arena *arena, const s24i_layer *layer,
                            int which, const s24i_prepared *prepared, float *w,
                            const int64_t *row_of, int64_t rows);
/* The two-halves rule: the relative damping whose solution on one half does best on the other, both ways, on a sample of rows. */
s24_status s24i_choose_damping(const s24i_ops *ops, s24i_arena *arena, s24i_watch *watch,
                               const s24i_layer *layer, const float *w, s24i_prepared *scratch,
                               double *damp, double *heldout);
/* For methods without damping of their own: w becomes W* in the layer's coordinates when there is a target (relative damping 0.1), and
 * stays as it is when there is none. */
s24_status s24i_aim(const s24i_ops *ops, s24i_arena *arena, s24i_watch *watch,
                    const s24i_layer *layer, float *w);
/* F = (S + rho I)^-1, dim x dim; S24_E_NUMERIC when that has no Cholesky factor. */
s24_status s24i_shifted_inverse(const s24i_ops *ops, s24i_arena *arena,
                                const s24i_prepared *prepared, double rho, float *f);
/* variance[j] = 1 / [S^-1]_jj: of input j given all others. */
s24_status s24i_variances(const s24i_ops *ops, s24i_arena *arena, const s24i_prepared *prepared,
                          float *variance);
/* order = the inputs by falling key, ties to the lower index. */
void s24i_order_by(s24i_arena *arena, const float *key, int64_t count, int64_t *order);
/* The same layer with its inputs in another order: scale, r and inv_diag only. Its arrays stay taken. */
s24_status s24i_reorder(const s24i_ops *ops, s24i_arena *arena, const s24i_prepared *prepared,
                        const int64_t *order, s24i_prepared *out);
/* v <- v diag(1/scale), dead columns 0. */
s24_status s24i_unscale(const s24i_ops *ops, const s24i_prepared *prepared, float *v, int64_t rows);

/* ---- Solving (sweep.c, pcg.c, refit.c) ---- */

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
/* Set rho: one factorisation and inverse. The unscaled dual stays as it is. Ends early when cancelled, after which no iteration works. */
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

/* ---- Exchanges of kept for pruned weights (swaps.c, schur.c) ---- */

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

/* ---- Losses in double (loss.c) ---- */

/* sum over rows e of A - B of e H e^T, H of `which` halves (gram NULL: identity). b NULL: zero. */
s24_status s24i_quadratic(const s24i_ops *ops, s24i_arena *arena, const s24i_gram *gram, int which,
                          const s24_mat *a, const s24_mat *b, double *value);
/* The loss against the blended target and the squared norm of that target. Row i of w and v is output row_of[i] (NULL: i). */
s24_status s24i_target_loss(const s24i_ops *ops, s24i_arena *arena, const s24i_gram *gram,
                            const s24i_cross *cross, int which, double blend, const s24_mat *w,
                            const s24_mat *v, const int64_t *row_of, double *loss, double *norm);

#endif
