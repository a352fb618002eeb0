/* Sets of matrices that a constraint allows: the nearest point, fit and check of each. Knows no
 * method. */
#ifndef S24I_SETS_H
#define S24I_SETS_H
#include "ops/linear/linear.h"

/* ---- Supports (project.c) ---- */

/* The most weights that a row can keep (a fixed mask is not looked at). */
int64_t s24i_most_kept(const s24i_constraints *constraints, int64_t cols);
/* round(sparsity * size), ties to even, never size. */
int64_t s24i_zeros(double sparsity, int64_t size);
/* mask = 1 on the `keep` largest of count non-negative scores, ties to the lower index. */
void s24i_keep_largest(const float *score, int64_t count, int64_t keep, uint8_t *mask);
/* The same on all threads. */
s24_status s24i_select_largest(const s24i_run *run, const float *score, int64_t count, int64_t keep,
                               uint8_t *mask);

/* A strip of m rows of a matrix, `stride` apart, and what its columns weigh (NULL: ones). */
typedef struct s24i_strip {
    const float *w, *norm;
    int64_t stride;
} s24i_strip;
/* mask (rows as far apart as those of w) = n of m along both sides of every tile of the strip, of
 * the largest sum of (|w| norm)^2; cols a multiple of m. scratch: so many doubles. */
size_t s24i_both_scratch(const s24i_constraints *constraints);
void s24i_select_both(const s24i_kernels *kernels, const s24i_constraints *constraints,
                      s24i_strip strip, int64_t cols, uint8_t *mask, double *scratch);

/* ---- A core between block-diagonal matrices (blocks.c) ---- */

/* left: rows x b, the blocks below each other; core: rows x cols; right: cols x b. */
typedef struct s24i_blocked {
    const s24_mat *left, *core, *right;
} s24i_blocked;
/* S24_E_STATE and the first weight (f32, contiguous) that is not left core right. */
s24_status s24i_check_blocks(const s24i_run *run, const s24_mat *weights, const s24i_blocked *b);

/* ---- Columns that stay whole (dense.c) ---- */

/* A support, and the sum of the squares of each column (NULL: not known). */
typedef struct s24i_columns {
    const uint8_t *support; /* rows x cols */
    const double *energy;
    int64_t rows, cols;
} s24i_columns;
/* at = the `count` columns that hold most, rising; of equal ones those of more energy, then the
 * first. */
void s24i_fullest(s24i_columns columns, int64_t count, void *scratch, int32_t *at);
size_t s24i_fullest_scratch(int64_t cols); /* bytes, aligned for double */
/* The same as s24i_obeys() for n:m on the columns beside constraints->dense_at. */
s24_status s24i_obeys_dense(const s24i_constraints *constraints, const uint8_t *support,
                            int64_t rows, int64_t cols, const char *name);
bool s24i_is_dense(const s24i_constraints *constraints, int64_t col);

/* S24_E_STATE and the first offending place when a support of the host breaks the constraints. */
s24_status s24i_obeys(const s24i_constraints *constraints, const uint8_t *support, int64_t rows,
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

/* The value of a code: scale (code - zero); of S24I_GRID_REAL, whose zero is the least value, scale
 * code + zero. Rounded after each step. */
static inline float s24i_decode(const s24i_grid_form *form, float scale, float zero, float code)
{
    return form->scheme == S24I_GRID_REAL ? scale * code + zero : scale * (code - zero);
}

/* One that was fitted to a matrix. */
typedef struct s24i_grid {
    s24i_grid_form form;
    int64_t cols;
    int32_t type; /* scales (and real zeros) are numbers of this type */
    /* what is fitted, rounded or looked through for outliers is 2^shift times the weights */
    int32_t shift;
    float *scale, *zero; /* rows x groups */
    /* rows x cols, NULL: none. Where it is 1 a weight is not on the grid but any value (matrix
     * coordinates). */
    uint8_t *outliers;
    float *value;
} s24i_grid;

static inline bool s24i_is_outlier(const s24i_grid *grid, int64_t at)
{
    return grid->outliers && grid->outliers[at];
}

/* In codes, so that a value is scale (code - zero') whatever the scheme. */
static inline float s24i_grid_zero(const s24i_grid *grid, int64_t at)
{
    return grid->form.scheme == S24I_GRID_REAL ? -grid->zero[at] / grid->scale[at] : grid->zero[at];
}

/* x as a number of S24_F32, S24_F16 or S24_BF16. */
float s24i_stored(int32_t type, float x);

enum { S24I_FIT_SEARCH, S24I_FIT_MSE, S24I_FIT_MINMAX };
/* Of the outliers in a matrix: how many, and what they are chosen by. */
typedef struct s24i_outliers {
    int64_t count; /* weights, or whole inputs */
    bool inputs;
    bool by_magnitude; /* else by weight_j (error on the grid)^2 */
} s24i_outliers;

/* scale (code - zero') of one weight, or the outlier's value (matrix coordinates). */
float s24i_grid_value(const s24i_grid *grid, const uint8_t *codes, int64_t row, int64_t col);

/* The grid of a block of columns from `first` on, in unit-diagonal coordinates (scale: of those
 * columns), a lane a row from `row` on. `out` has room for 3 cols lanes. `order` as in
 * s24i_sweep_grid(). */
void s24i_grid_spread(const s24i_grid *grid, const double *scale, const int64_t *order, int64_t row,
                      int64_t rows, int64_t first, s24i_sweep_block *block, float *out);

/* The kernel for n of m over flat groups: the fast path of 2:4, or any. */
static inline void s24i_select_nm(const s24i_kernels *kernels, const float *w, const float *norm,
                                  uint8_t *mask, int64_t count, int32_t n, int32_t m)
{
    if (n == 2 && m == 4)
        kernels->select_24(w, norm, mask, count);
    else
        kernels->select_nm(w, norm, mask, count, n, m);
}

/* ---- Checks of what is there, in memory of the host (check.c) ---- */

/* A candidate, or all that a solver made: NULL where there is none. */
typedef struct s24i_solution {
    const char *name; /* of the weights, in texts */
    const s24_mat *weights;
    /* what covers them; NULL: a candidate, of which nothing else is known */
    const s24_mat *mask;
    const s24_mat *sparse, *u, *v; /* weights = sparse + u v */
    const s24_mat *codes, *scales, *zeros, *outliers;
} s24i_solution;

/* The matrix that support and grid are about: NULL when a rank is all there is. */
static inline const s24_mat *s24i_subject(const s24i_solution *s)
{
    return s->sparse || s->u ? s->sparse : s->weights;
}

/* S24_E_STATE and the first place where the support, or the mask, breaks the constraints. */
s24_status s24i_check_zeros(const s24i_run *run, const s24i_constraints *constraints,
                            const s24i_solution *s);
/* S24_E_NUMERIC and the first of contiguous weights that is no number. */
s24_status s24i_check_finite(const s24i_run *run, const s24_mat *weights, const char *solver);
/* S24_E_STATE and the first place where the subject is not what the codes decode to. */
s24_status s24i_check_coded(const s24i_run *run, const s24i_grid_form *form,
                            const s24i_solution *s);
/* The same for v (contiguous rows), or not 0 where the mask (NULL: ones) is 0; where
 * grid->outliers is 1 it may be anything. */
s24_status s24i_check_codes(const s24i_device *device, const s24i_grid *grid, const uint8_t *codes,
                            const uint8_t *mask, const float *v, int64_t rows);
/* S24_E_STATE and the first group of weights, of which nothing else is known, that are not equal
 * steps apart, within the rounding of their type. `sparse`: zeros are no values. */
s24_status s24i_check_on_grid(const s24i_run *run, const s24i_grid_form *form,
                              const s24i_solution *s, bool sparse);
/* S24_E_STATE and the first place where the weights are not sparse + u v. */
s24_status s24i_check_factors(const s24i_run *run, const s24i_solution *s);

/* ---- The nearest product of low rank (lowrank.c) ---- */

/* L = U C, U the first `rank` columns of Q and C the first rows of c. The caller fills in the first
 * block and takes the rest with s24i_lowrank_take(). */
typedef struct s24i_lowrank {
    const s24i_run *run;
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

/* Its arrays from the arena; they stay taken. */
void s24i_lowrank_take(const s24i_run *run, s24i_lowrank *l);
/* c = Q^T M, M rows x dim: at once, or columns [first, first + cols) from inside a task. */
s24_status s24i_lowrank_project(const s24i_run *run, s24i_lowrank *l, const float *m);
void s24i_lowrank_gather(const s24i_lowrank *l, const float *m, int64_t first, int64_t cols);
/* One iteration from c = Q^T M: Q <- orth(M' (S (M'^T Q))), M' = M + momentum (U U^T M - L of the
 * step before). `rotate`: to the left singular vectors, largest first; else the order is kept. c is
 * stale afterwards. */
s24_status s24i_lowrank_step(const s24i_run *run, s24i_lowrank *l, const float *m, bool rotate);
void s24i_lowrank_subtract(const s24i_lowrank *l, int64_t first, int64_t rows, float *m);

#define S24I_OPERATION(scratch, name, parameters, arguments) s24_status s24i_cpu_##name parameters;
#include "ops/sets/sets.def"
#undef S24I_OPERATION

#endif
