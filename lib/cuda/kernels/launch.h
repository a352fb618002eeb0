/*
 * The device's inner loops behind plain C functions: each launches kernels on a stream and returns
 * at once. Knows flat arrays of the device; not runs, arenas or texts. Reductions have one order,
 * of the shape alone: equal bits from run to run.
 */
#ifndef S24C_LAUNCH_H
#define S24C_LAUNCH_H
#include <cuda_runtime_api.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/* ---- vectors.cu ---- */

/* out (contiguous) = a view of the device; type: S24_F32 ... */
void s24c_read(cudaStream_t s, const void *data, int32_t type, int64_t rows, int64_t cols,
               int64_t row_stride, int64_t col_stride, float *out);
void s24c_store(cudaStream_t s, const float *in, int32_t type, int64_t count, void *out);
/* *first = the index of the first that is no finite number, or count. */
void s24c_first_bad(cudaStream_t s, const float *x, int64_t count, unsigned long long *first);
/* *bits = those of the largest |x|. */
void s24c_largest(cudaStream_t s, const float *x, int64_t count, unsigned int *bits);
void s24c_subtract(cudaStream_t s, const float *a, const float *b, int64_t count, float *out);
void s24c_random(cudaStream_t s, uint64_t start, int64_t count, float *out);
void s24c_multiply(cudaStream_t s, double unit, float tiny, int64_t count, float *v);
/* v_ij = dead_j ? 0 : v_ij scale_j, below `tiny` 0. */
void s24c_scale(cudaStream_t s, const double *scale, const uint8_t *dead, float tiny, int64_t rows,
                int64_t cols, float *v);
void s24c_unscale(cudaStream_t s, const double *inverse, double unit, int64_t rows, int64_t cols,
                  float *v);
void s24c_gather(cudaStream_t s, const void *from, const int64_t *row_of, int64_t rows,
                 int64_t bytes, void *to);
void s24c_apply_mask(cudaStream_t s, const float *w, const uint8_t *mask, int64_t count, float *v);
void s24c_drop_columns(cudaStream_t s, const float *norm, int64_t rows, int64_t cols, float *v);
void s24c_support(cudaStream_t s, const float *w, int64_t count, uint8_t *mask);
/* *sum += how many are not 0; and how many differ from seen, which becomes mask. */
void s24c_count(cudaStream_t s, const uint8_t *mask, int64_t count, unsigned long long *sum);
void s24c_changed(cudaStream_t s, const uint8_t *mask, int64_t count, uint8_t *seen,
                  unsigned long long *sum);
/* out_ij = in_i,order(j) and back; of floats and bytes. */
void s24c_permute(cudaStream_t s, const float *in, const int64_t *order, int64_t rows, int64_t cols,
                  float *out);
void s24c_permute_bytes(cudaStream_t s, const uint8_t *in, const int64_t *order, int64_t rows,
                        int64_t cols, uint8_t *out);
void s24c_restore_bytes(cudaStream_t s, const uint8_t *in, const int64_t *order, int64_t rows,
                        int64_t cols, uint8_t *out);

/* ---- factor.cu ---- */

/* S from the sums of one or two halves (dim x dim, symmetric; second may be NULL). */
void s24c_fill(cudaStream_t s, const double *first, const double *second, const double *inverse,
               float tiny, int64_t dim, float *out);
/* diagonal_j of one or two halves. */
void s24c_diagonal(cudaStream_t s, const double *first, const double *second, int64_t dim,
                   double *out);
/* scale, inverse, share and dead of s24i_prepared from the diagonal (NULL: ones). */
void s24c_scales(cudaStream_t s, const double *diagonal, double mean, double largest, double damp,
                 int32_t rule, double plain, double prepared_plain, int64_t dim, double *scale,
                 double *inverse, float *share, uint8_t *dead);
/* out = in from the last element to the first; out = the identity; lower triangle = 0;
 * diagonal += shift; the lower triangle becomes the upper's mirror. */
void s24c_reverse(cudaStream_t s, const float *in, int64_t count, float *out);
void s24c_reverse_upper(cudaStream_t s, int64_t dim, float *a);
void s24c_identity(cudaStream_t s, int64_t dim, float *out);
void s24c_shift(cudaStream_t s, int64_t dim, float shift, float *a);
void s24c_mirror_upper(cudaStream_t s, int64_t dim, float *a);
/* *bits = those of the least diagonal entry; NaN and negative ones count as 0. */
void s24c_least_diagonal(cudaStream_t s, int64_t dim, const float *r, unsigned int *bits);
void s24c_inverse_diagonal(cudaStream_t s, int64_t dim, const float *r, float *out);
/* variance_j = 1 / the square of column j of U. */
void s24c_column_variances(cudaStream_t s, int64_t dim, const float *u, float *variance);
void s24c_reorder(cudaStream_t s, const float *from, const double *scale, const int64_t *order,
                  int64_t dim, float *r, double *scale_out);
void s24c_expand(cudaStream_t s, const double *strips, int64_t dim, double *out);
/* step = (C inverse unit - (step - w share)). */
void s24c_aim(cudaStream_t s, const double *first, const double *second, const int64_t *row_of,
              const double *inverse, const float *share, double unit, const float *w, int64_t rows,
              int64_t cols, float *step);
void s24c_add_step(cudaStream_t s, const float *step, float blend, int64_t count, float *w);
void s24c_input_weights(cudaStream_t s, const double *scale, const uint8_t *dead, double plain,
                        const float *variance, int32_t kind, int64_t dim, float *weight);

/* ---- batches.cu: rows on their way into sums ---- */

typedef struct s24c_intake {
    const void *x; /* a view of the device */
    int32_t type, out_type;
    int64_t rows, cols, row_stride, col_stride;
    int64_t next;         /* running index of the first row */
    int64_t filled[2];    /* of the batches */
    const double *weight; /* a row, or NULL */
    void *batch[2];
} s24c_intake;
/* Rows are dealt to halves in runs of 128, as lib/ops/linear/rows.c does. */
void s24c_take_rows(cudaStream_t s, const s24c_intake *in);
/* found[0] = the first row with a value that is not finite, or whose square times the weight is
 * 1e35 or more (rows: none); found[1] = bits of the largest |x| sqrt(weight), a float. */
void s24c_look_at_rows(cudaStream_t s, const s24c_intake *in, uint64_t found[2]);
void s24c_scale_batch(cudaStream_t s, int32_t type, double unit, int64_t count, void *batch);
/* sum += product / unit^2: its lower triangle (cols = rows), or all of it. */
void s24c_add_product(cudaStream_t s, const float *product, double factor, int64_t rows,
                      int64_t cols, int32_t lower, double *sum);
/* norm2_j += squares of column j of a batch / unit^2. */
void s24c_add_squares(cudaStream_t s, const void *batch, int32_t type, double factor, int64_t rows,
                      int64_t cols, double *norm2);
void s24c_mirror_lower(cudaStream_t s, int64_t dim, double *a);
/* The strips of a whole matrix (run.h). */
void s24c_contract(cudaStream_t s, const double *in, int64_t dim, double *strips);

/* ---- rows.cu: one block of threads a row ---- */

/* sum_i = <a_i, b_i> in double. */
void s24c_row_dots(cudaStream_t s, const float *a, const float *b, int64_t rows, int64_t cols,
                   double *sum);
void s24c_row_dots_f64(cudaStream_t s, const double *a, const double *b, int64_t rows, int64_t cols,
                       double *sum);
/* *total = the sum of n doubles, in one order. */
void s24c_total(cudaStream_t s, const double *x, int64_t n, double *total);
void s24c_difference_f64(cudaStream_t s, const float *a, const float *b, int64_t count,
                         double *out);
/* <C of row_of[i], a_i> of one or two halves. */
void s24c_cross_dots(cudaStream_t s, const double *first, const double *second,
                     const int64_t *row_of, const float *a, int64_t rows, int64_t cols,
                     double *sum);
void s24c_keep_better(cudaStream_t s, const double *old, const double *now, int64_t tied,
                      const float *first, const uint8_t *first_mask, int64_t rows, int64_t cols,
                      float *v, uint8_t *mask);
/* Conjugate gradients, a row its own system: state of a row is start, norm2, left and running. */
typedef struct s24c_cg {
    int64_t rows, cols;
    double tol2;
    float *v, *r, *p, *ap;
    const uint8_t *mask;
    double *start, *norm2;
    int32_t *running; /* a row: 1 while it runs */
    int32_t *count;   /* how many run */
} s24c_cg;
void s24c_cg_begin(cudaStream_t s, const s24c_cg *c);
void s24c_cg_advance(cudaStream_t s, const s24c_cg *c);
/* *largest = the largest relative residual. */
void s24c_cg_left(cudaStream_t s, const s24c_cg *c, double *largest);
/* One row's kept inputs solved by Cholesky in double; gradient = (w - v) S; system: blocks x widest
 * x (widest + 1). *singular = the largest row without a factor, or -1. */
void s24c_refit(cudaStream_t s, const float *sm, const uint8_t *mask, const float *gradient,
                int64_t rows, int64_t dim, int64_t widest, int32_t blocks, double *system,
                int32_t *index, float *v, int32_t *singular);

/* ---- select.cu ---- */

/* mask = n of m by |w| norm (NULL: ones) in flat groups; cols for the norm. */
void s24c_select_nm(cudaStream_t s, const float *w, const float *norm, int64_t count, int64_t cols,
                    int32_t n, int32_t m, uint8_t *mask);
void s24c_score(cudaStream_t s, const float *w, const float *norm, int64_t rows, int64_t cols,
                float *score);
/* The `keep` largest |w| of each row; then of all, with `bins`: 4096 words and `ties`: a word for
 * each 4096 scores and one more. */
void s24c_keep_rows(cudaStream_t s, const float *w, int64_t rows, int64_t cols, int64_t keep,
                    uint8_t *mask);
#define S24C_CHUNK 4096
void s24c_keep_all(cudaStream_t s, const float *w, int64_t count, int64_t keep, uint64_t *bins,
                   int64_t *ties, uint8_t *mask);

/* ---- admm.cu ---- */

void s24c_admm_gap(cudaStream_t s, const float *z, const float *w, const uint8_t *mask, float dual,
                   int64_t count, float *gap);
/* z moves; n > 0: and mask becomes its n of m. */
void s24c_admm_move(cudaStream_t s, const float *p, const float *w, float rho, float dual,
                    int32_t n, int32_t m, int64_t count, uint8_t *mask, float *z, float *b);
/* The shrinking searches: gap = 2 v - z - w; z = w + rho p + (z - v). gradient: gap = w - v; z = v
 * + step p, and on the mask v = v + step p. */
void s24c_shrink_gap(cudaStream_t s, const float *v, const float *z, const float *w, int64_t count,
                     float *gap);
void s24c_shrink_move(cudaStream_t s, const float *w, const float *p, const float *v, float rho,
                      int64_t count, float *z);
void s24c_add_scaled(cudaStream_t s, const float *v, const float *p, float step, int64_t count,
                     float *z);
void s24c_masked_step(cudaStream_t s, const float *p, const uint8_t *mask, float step,
                      int64_t count, float *v);
/* v = the operator's minimum for z in flat groups: kind 1: 1:m, 2: 2:m, 3: firm. */
void s24c_prox(cudaStream_t s, int32_t kind, const float *z, int64_t count, int32_t n, int32_t m,
               float strength, int32_t relative, float *v);
/* *unsettled += groups of v that keep more than n. */
void s24c_unsettled(cudaStream_t s, const float *v, int64_t count, int32_t n, int32_t m,
                    unsigned long long *unsettled);
/* gap = v != 0 ? 2 largest : |w|. */
void s24c_fill_score(cudaStream_t s, const float *v, const float *w, const unsigned int *largest,
                     int64_t count, float *gap);

/* ---- sweep.cu ---- */

/* Columns [first, first + cols) of the sweep for all rows: a warp a row. w, d: rows x dim; a: rows
 * x S24I_BLOCK, in; mask: rows x dim, in, or out when n > 0. */
typedef struct s24c_sweep {
    int64_t rows, dim, first;
    int32_t cols, n, m;
    const float *w, *r, *inv_r; /* inv_r of all columns */
    float *d;
    const float *a;
    uint8_t *mask;
    /* a grid, or codes NULL: scale, zero: rows x groups; input of column j: order[j], or j */
    uint8_t *codes;
    const float *scale, *zero;
    const double *unit; /* s24i_prepared's scale of the columns as they are swept */
    const int64_t *order;
    const uint8_t *outliers; /* rows x dim by input, or NULL */
    int64_t groups, group;
    float top;
    int32_t real;  /* the zero is a value */
    int32_t ones;  /* 1 / R_jj is 1 and S takes R's place */
    int32_t round; /* put what is kept on the grid */
} s24c_sweep;
void s24c_sweep_block(cudaStream_t s, const s24c_sweep *block);
/* v = w - d where kept, else 0. */
void s24c_sweep_finish(cudaStream_t s, const float *w, const float *d, const uint8_t *mask,
                       int64_t count, float *v);
/* score = |(w + step) / inv_r| of a block of columns, rows x cols; and the chosen back. */
void s24c_block_scores(cudaStream_t s, const float *w, const float *step, const float *inv_r,
                       int64_t rows, int64_t dim, int64_t first, int32_t cols, float *score);
void s24c_block_mask(cudaStream_t s, const uint8_t *chosen, int64_t rows, int64_t dim,
                     int64_t first, int32_t cols, uint8_t *mask);
/* value = (w - d) / scale of outliers, by input. */
void s24c_outlier_values(cudaStream_t s, const float *w, const float *d, const double *scale,
                         const int64_t *order, const uint8_t *outliers, int64_t rows, int64_t dim,
                         float *value);

/* Of a sweep of relaxation: v -= d, e += d in a block of columns. */
void s24c_relax_update(cudaStream_t s, const float *d, int64_t rows, int64_t dim, int64_t first,
                       int32_t cols, float *v, float *e);

/* ---- grids.cu ---- */

typedef struct s24c_grid {
    int64_t cols, group, groups;
    int32_t scheme; /* of s24i_grid_form */
    int32_t bits;
    int32_t type; /* of scales */
    int32_t shift;
    float top;
    float *scale, *zero;
    const uint8_t *outliers;
    float *value;
} s24c_grid;
/* *failed = the first row x groups + group whose scale its type cannot hold, or the largest
 * number. */
void s24c_grid_fit(cudaStream_t s, const s24c_grid *grid, int32_t method, const float *weight,
                   const float *w, const uint8_t *mask, const unsigned int *largest, int64_t rows,
                   unsigned long long *failed);
void s24c_grid_round(cudaStream_t s, const s24c_grid *grid, const float *w, int64_t rows,
                     uint8_t *codes);
void s24c_grid_decode(cudaStream_t s, const s24c_grid *grid, const uint8_t *mask, int64_t rows,
                      uint8_t *codes, float *v);
/* v_ij = scale_j value of the code, or the outlier's; 0 where the mask is 0. */
void s24c_grid_values(cudaStream_t s, const s24c_grid *grid, const double *scale,
                      const uint8_t *mask, const uint8_t *codes, int64_t rows, float *v);
void s24c_outlier_scores(cudaStream_t s, const s24c_grid *grid, int32_t by_magnitude,
                         const float *weight, const float *w, const uint8_t *mask, int64_t rows,
                         float *score);
void s24c_outlier_sums(cudaStream_t s, const float *score, int64_t rows, int64_t cols, float *sums);
void s24c_outlier_marks(cudaStream_t s, const uint8_t *inputs, const uint8_t *mask, const float *w,
                        double down, int64_t rows, int64_t cols, uint8_t *outliers, float *value);
/* Coordinate descent over the codes of each row: a block of threads a row; g = (w - v) S. */
typedef struct s24c_descent {
    s24c_grid grid;
    int64_t rows, dim;
    int32_t sweeps; /* at most */
    int32_t n, m;   /* n > 0: over supports and codes together */
    const float *s;
    const double *unit; /* scale of the columns */
    const uint8_t *dead;
    uint8_t *codes, *mask;
    float *g;
    int32_t *taken; /* a row: sweeps */
} s24c_descent;
void s24c_descend(cudaStream_t s, const s24c_descent *d);
/* v = step (code - zero) of what is on the grid, 0 elsewhere. */
void s24c_descent_values(cudaStream_t s, const s24c_descent *d, float *v);
/* Scales of group g of each row from v, g and t = v S of the group's columns (rows x width); v
 * becomes what is added. */
void s24c_descent_refit(cudaStream_t s, const s24c_descent *d, int64_t at, int64_t width,
                        const float *t, float *v);

#ifdef __cplusplus
}
#endif
#endif
