/* Products, sums, factors, unit-diagonal coordinates and losses. Knows no constraint. */
#ifndef S24I_LINEAR_H
#define S24I_LINEAR_H
#include "ops/run.h"

/* ---- BLAS (blas.c) ---- */

/* While at least one hold is in force OpenBLAS runs on one thread; the setting of before comes back
 * with the last release. */
void s24i_blas_hold(void);
void s24i_blas_release(void);
/* The address space that OpenBLAS maps for each thread inside it at once (x86-64, 64-bit ARM); it
 * keeps it, and touches little of it. */
#define S24I_BLAS_BUFFER (1 << 27)
/* So many threads more may call BLAS from now on, until they part. S24_E_MEMORY: no room for their
 * buffers; they must not, but part. */
s24_status s24i_blas_join(int32_t threads);
/* One more thread of a pool; false: there is no buffer for it, or too little beside it, so it must
 * not be. */
bool s24i_blas_hire(void);
void s24i_blas_part(int32_t threads);
/* "OpenBLAS 0.3.21 SkylakeX". Static storage. */
const char *s24i_blas_name(void);
/* A factor of a product: row-major, a row every `stride`; turned: its transpose is meant. And where
 * a product goes. */
typedef struct s24i_f32s {
    const float *data;
    int64_t stride;
    bool turned;
} s24i_f32s;

typedef struct s24i_f64s {
    const double *data;
    int64_t stride;
    bool turned;
} s24i_f64s;

typedef struct s24i_f32s_out {
    float *data;
    int64_t stride;
} s24i_f32s_out;

typedef struct s24i_f64s_out {
    double *data;
    int64_t stride;
} s24i_f64s_out;

#define S24I_FACTORS(name, type)                                                        \
    static inline s24i_##name##s s24i_##name(const type *data, int64_t stride)          \
    {                                                                                   \
        return (s24i_##name##s){data, stride, false};                                   \
    }                                                                                   \
    static inline s24i_##name##s s24i_##name##_turned(const type *data, int64_t stride) \
    {                                                                                   \
        return (s24i_##name##s){data, stride, true};                                    \
    }                                                                                   \
    static inline s24i_##name##s_out s24i_##name##_out(type *data, int64_t stride)      \
    {                                                                                   \
        return (s24i_##name##s_out){data, stride};                                      \
    }
S24I_FACTORS(f32, float)
S24I_FACTORS(f64, double)
#undef S24I_FACTORS

/* One-thread products C = alpha A B + beta C, C m x n, k terms a sum. Those in single precision
 * take denormals for zeros, which is nothing beside numbers that were brought near 1;
 * s24i_sgemm_exact() is for those that were not. */
void s24i_sgemm_exact(int64_t m, int64_t n, int64_t k, float alpha, s24i_f32s a, s24i_f32s b,
                      float beta, s24i_f32s_out c);
void s24i_sgemm(int64_t m, int64_t n, int64_t k, float alpha, s24i_f32s a, s24i_f32s b, float beta,
                s24i_f32s_out c);
void s24i_dgemm(int64_t m, int64_t n, int64_t k, double alpha, s24i_f64s a, s24i_f64s b,
                double beta, s24i_f64s_out c);
/* y = x S for x rows x n, S n x n. */
static inline void s24i_times(int64_t rows, int64_t n, const float *x, const float *s, float *y)
{
    s24i_sgemm(rows, n, n, 1, s24i_f32(x, n), s24i_f32(s, n), 0, s24i_f32_out(y, n));
}
/* The lower triangle of C (n x n) = A^T A, A k x n. */
void s24i_ssyrk(int64_t n, int64_t k, const float *a, int64_t lda, float *c, int64_t ldc);
/* The upper triangle of C (n x n) -= A A^T, A n x k. */
void s24i_ssyrk_subtract(int64_t n, int64_t k, const float *a, int64_t lda, float *c, int64_t ldc);
void s24i_dsyrk(int64_t n, int64_t k, const double *a, int64_t lda, double *c, int64_t ldc);
/* A = L L^T of an n x n block, row-major, in place, lower part; false when A is not positive
 * definite. */
bool s24i_small_cholesky(int64_t n, double *a, int64_t lda);
/* L <- L^-1, lower, row-major. */
void s24i_small_invert(int64_t n, double *l, int64_t ldl);
/* Solve L L^T x = b for one right-hand side. */
void s24i_small_solve(int64_t n, const double *l, int64_t ldl, double *x);
#define S24I_MOST_EIGEN 32000 /* LAPACK counts 2 n^2 in 32 bits */
/* Of the symmetric a (n x n, lower part read): values rise, row k becomes vector k. False when
 * LAPACK does not converge, or n is more than S24I_MOST_EIGEN. */
bool s24i_symmetric_eigen(int64_t n, double *a, double *values, void *work);
size_t s24i_eigen_work(int64_t n); /* bytes of `work`, aligned for double */

/* ---- Products with a packed operand (panels.c) ---- */

/* B, k x n, in panels of S24I_PANEL_COLS columns. */
typedef struct s24i_panels {
    int64_t k, n;
    const float *data;
} s24i_panels;

/* Rows [first, first + terms) of B, at least one. */
typedef struct s24i_slice {
    const s24i_panels *panels;
    int64_t first, terms;
} s24i_slice;

static inline s24i_slice s24i_whole(const s24i_panels *panels)
{
    return (s24i_slice){panels, 0, panels->k};
}

size_t s24i_panels_size(int64_t k, int64_t n); /* in floats */
s24_status s24i_pack_panels(const s24i_device *device, s24i_f32s b, int64_t k, int64_t n,
                            float *out, s24i_panels *panels);
/* The same of the whole n x n S, in scratch of the run. */
s24_status s24i_take_panels(const s24i_run *run, int64_t n, const float *s, s24i_panels *panels);
/* C = alpha A B, added to C or in its place, on one thread, C apart from A. The bits depend on the
 * operands alone. Denormals as in s24i_sgemm() and s24i_sgemm_exact(). */
void s24i_times_panels(const s24i_kernels *kernels, int64_t rows, float alpha, s24i_f32s a,
                       s24i_slice b, bool add, s24i_f32s_out c);
void s24i_times_panels_exact(const s24i_kernels *kernels, int64_t rows, float alpha, s24i_f32s a,
                             s24i_slice b, bool add, s24i_f32s_out c);
/* y = x S for x rows x n, S n x n. */
static inline void s24i_times_packed(const s24i_device *device, int64_t rows, const float *x,
                                     const s24i_panels *s, float *y)
{
    s24i_times_panels(device->kernels, rows, 1, s24i_f32(x, s->n), s24i_whole(s), false,
                      s24i_f32_out(y, s->n));
}

/* ---- Views of the caller's matrices (mat.c) ---- */

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
/* Is it a finite number of that float type, once it is rounded? */
bool s24i_fits(double value, int32_t dtype);
/* S24_E_NONFINITE, naming the element `bad` that single precision cannot hold; when that is rows x
 * cols, the first that is not 0. */
s24_status s24i_mat_refuse(const s24_mat *mat, const char *what, int64_t bad);
/* dst = src, any types (integers and booleans only to themselves). */
s24_status s24i_mat_copy(const s24i_device *device, const s24_mat *src, const s24_mat *dst);
/* y = x w^T, f32 accumulation (gemm.c). */
s24_status s24i_mat_multiply(const s24i_device *device, const s24_mat *x, const s24_mat *w,
                             const s24_mat *y);

/* ---- Calibration sums (gram.c) ---- */

/* Rows for a gram and all crosses that hang on it. */
typedef struct s24i_addition {
    const s24_mat *x, *row_weight; /* NULL: ones */
    const s24_mat *targets;        /* that of a cross is number cross->t.target */
} s24i_addition;

s24_status s24i_gram_init(const s24i_device *device, s24i_gram *gram, int64_t dim, int32_t type);
void s24i_gram_fini(const s24i_device *device, s24i_gram *gram);
s24_status s24i_gram_add(const s24i_device *device, s24i_gram *gram, const s24i_addition *addition);
/* Bring the rows that wait for `which` halves into the sums. Everything that reads a gram or a
 * cross needs both flushed. */
s24_status s24i_gram_flush(const s24i_device *device, s24i_gram *gram, int which);
size_t s24i_gram_half_bytes(int64_t dim);
/* Offset in doubles and width of strip i; its rows start at i * S24I_STRIP. */
int64_t s24i_strip_offset(int64_t dim, int64_t strip);
int64_t s24i_strip_width(int64_t dim, int64_t strip);
/* Row i, columns 0 .. i, of half 0 or 1. */
const double *s24i_gram_row(const s24i_gram *gram, int half, int64_t i);
/* H_jj of `which` halves. */
double s24i_gram_diagonal(const s24i_gram *gram, int which, int64_t j);

/* One half of a gram, and rows of weights in double (norms.c). */
typedef struct s24i_gram_half {
    const s24i_gram *gram;
    int half;
} s24i_gram_half;

typedef struct s24i_weight_rows {
    const double *data;
    int64_t rows;
} s24i_weight_rows;

/* norm2_i += w_i H w_i^T; product: S24I_STRIP numbers a row, scratch. */
void s24i_add_output_squares(const s24i_kernels *kernels, s24i_gram_half h, s24i_weight_rows w,
                             double *product, double *norm2);

/* The sums of a cross, zero, that does not hang on the gram. */
s24_status s24i_cross_open(const s24i_device *device, s24i_cross *cross, const s24i_gram *gram,
                           int64_t out);
/* Hang a cross on the gram; it may not move until it is taken off. */
s24_status s24i_cross_init(const s24i_device *device, s24i_cross *cross, s24i_gram *gram,
                           int64_t out);
/* Take it off: the gram's further rows are not for it, and those that wait are lost to it. */
void s24i_cross_detach(s24i_cross *cross, s24i_gram *gram);
void s24i_cross_fini(const s24i_device *device, s24i_cross *cross);
size_t s24i_cross_half_bytes(const s24i_cross *cross);

/* Open the cross of outputs Y W^T from that of their inputs Y on the same gram and the gram of Y
 * (derive.c). S24_E_NONFINITE names the place in w. */
s24_status s24i_cross_derive(const s24i_device *device, const s24i_gram *gram,
                             const s24i_cross *inputs, const s24i_gram *dense, const s24_mat *w,
                             s24i_cross *out);
/* S24_E_STATE when a half of the two cannot be sums over the same rows of Y. */
s24_status s24i_cross_compare_inputs(const s24i_cross *inputs, const s24i_gram *dense, int half);

/* ---- Halves (0 or 1) of flushed sums, whole (halves.c); mat has the shape of the sums ---- */

/* dst += src, of equal shapes. */
void s24i_gram_merge(s24i_gram *dst, const s24i_gram *src);
void s24i_cross_merge(s24i_cross *dst, const s24i_cross *src);
/* S24_E_NONFINITE when the type of mat cannot hold a sum. */
s24_status s24i_gram_export(const s24i_device *device, const s24i_gram *gram, int half,
                            const s24_mat *h);
s24_status s24i_cross_export(const s24i_device *device, const s24i_cross *cross, int half,
                             const s24_mat *c, double *norm2);
/* In place of a half, `rows` the sum of its weights; refused when no rows could give it. Rows that
 * wait for the half go into the other sums first. */
s24_status s24i_gram_import(const s24i_device *device, s24i_gram *gram, int half, const s24_mat *h,
                            double rows);
s24_status s24i_cross_import(const s24i_device *device, s24i_gram *gram, s24i_cross *cross,
                             int half, const s24_mat *c, const double *norm2, double rows);
/* S24_E_STATE when a half of both cannot be sums over the same rows. */
s24_status s24i_cross_compare(const s24i_gram *gram, const s24i_cross *cross, int half);

/* ---- Factorisation (factor.c) ---- */

/* Bytes for the inverted diagonal blocks that go with a factor: dim x S24I_BLOCK floats. */
/* In place: the upper triangle of the symmetric s (dim x dim) becomes R with S = R R^T, R upper
 * triangular; inverses of R's diagonal blocks go to inv_diag (dim x S24I_BLOCK, block k at row k
 * S24I_BLOCK, upper). False when a pivot R_jj^2 falls below `floor`. */
s24_status s24i_cholesky(const s24i_run *run, int64_t dim, float *s, float *inv_diag, float floor,
                         bool *positive);
/* U = R^-1, dim x dim, upper: what is below its diagonal is not written. */
s24_status s24i_invert_factor(const s24i_run *run, int64_t dim, const float *r,
                              const float *inv_diag, float *u);
/* K = (R R^T)^-1, dim x dim, symmetric; may be r itself. */
s24_status s24i_inverse(const s24i_run *run, int64_t dim, const float *r, const float *inv_diag,
                        float *k);
/* X <- X (R R^T)^-1 for X rows x dim. */
s24_status s24i_solve_rows(const s24i_run *run, int64_t dim, const float *r, const float *inv_diag,
                           float *x, int64_t rows);

/* ---- Unit-diagonal coordinates (scaled.c) ---- */

/* Its arrays from the arena; they stay taken. */
static inline void s24i_prepared_take(const s24i_run *run, int64_t dim, s24i_prepared *out)
{
    size_t n = (size_t)dim;
    *out = (s24i_prepared){.dim = dim, .unit = 1, .plain = 1, .heldout = NAN};
    out->scale = s24i_arena_take(run->arena, n, sizeof(double));
    out->inverse = s24i_arena_take(run->arena, n, sizeof(double));
    out->share = s24i_arena_take(run->arena, n, sizeof(float));
    out->dead = s24i_arena_take(run->arena, n, 1);
    out->s = s24i_arena_take(run->arena, s24i_mul(n, n), sizeof(float));
    out->r = s24i_arena_take(run->arena, s24i_mul(n, n), sizeof(float));
    out->inv_diag = s24i_arena_take(run->arena, n * S24I_BLOCK, sizeof(float));
}
/* F = (S + rho I)^-1, dim x dim; S24_E_NUMERIC when that has no Cholesky factor. Or in panels, of
 * s24i_panels_size() floats. */
s24_status s24i_shifted_inverse(const s24i_run *run, const s24i_prepared *prepared, double rho,
                                float *f);
s24_status s24i_shifted_panels(const s24i_run *run, const s24i_prepared *prepared, double rho,
                               float *data, s24i_panels *panels);

/* Of input_weights: where there is no variance. */
enum { S24I_WEIGHT_ENERGY, S24I_WEIGHT_ERROR };

#define S24I_OPERATION(scratch, name, parameters, arguments) s24_status s24i_cpu_##name parameters;
#include "ops/linear/linear.def"
#undef S24I_OPERATION

#endif
