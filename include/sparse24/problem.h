#ifndef SPARSE24_PROBLEM_H
#define SPARSE24_PROBLEM_H
#include "types.h"
#ifdef __cplusplus
extern "C" {
#endif

/**
 * Accumulator of H = sum of x x^T over calibration rows x: dim x dim, in S24_F32 or S24_F64. Two
 * disjoint halves are kept, so that damping can be chosen without more data. Runs of 128 rows go to
 * them in turn, by their running index, however the caller cuts batches.
 */
S24_API s24_status s24_gram_create(s24_ctx *ctx, int64_t dim, int32_t accumulator, s24_gram **out);
/**
 * Add a batch. x is (tokens, dim), of any float type and layout, and batches may differ in size.
 * row_weight is (tokens, 1), or NULL for ones. A weight is 0, which masks padding, or at least
 * 1e-40 (S24_F64: 1e-290). Inputs may be as small as floats are.
 * - S24_E_NONFINITE names the row and column; H is as it was.
 * - S24_E_STATE: crosses hang on the gram. Their wanted outputs belong to the same call,
 *   s24_gram_add_targets().
 */
S24_API s24_status s24_gram_add(s24_gram *gram, const s24_mat *x, const s24_mat *row_weight);
/**
 * H(dst) += H(src) and the counts too, half by half: so data-parallel workers combine. src may
 * belong to another context, but must not be dst.
 */
S24_API s24_status s24_gram_merge(s24_gram *dst, const s24_gram *src);
/**
 * Copy a half (1 or 2) of H, unnormalised, and its sum of weights out or in: for MPI, checkpoints
 * and other programs. h is the whole symmetric (dim, dim) matrix, of any float type and layout.
 *
 * Export: `rows` may be NULL. S24_E_NONFINITE: the type of h cannot hold a sum.
 *
 * Import replaces the half. h must be finite, symmetric to 1e-6 sqrt(h_ii h_jj), and not negative
 * on its diagonal. No entry may exceed that root by more than the rounding of its type (1e-5 in
 * single and double precision). If rows is 0, h must be 0.
 */
S24_API s24_status s24_gram_export(const s24_gram *gram, int32_t half, const s24_mat *h,
                                   double *rows);
S24_API s24_status s24_gram_import(s24_gram *gram, int32_t half, const s24_mat *h, double rows);
/** Dimension, and rows added so far (sum of weights). Either pointer may be NULL. */
S24_API s24_status s24_gram_info(const s24_gram *gram, int64_t *dim, double *rows);
/**
 * Norms over the calibration rows: norms[i] = |X w_i| = sqrt(w_i H w_i^T) of output i of w, which is
 * (out, dim) of any float type and layout; `norms` holds `out` numbers. w NULL: of each input,
 * sqrt(H_jj), dim numbers. Equal bits for any number of threads. S24_E_NONFINITE names the place of
 * a NaN or infinity in w; after an error `norms` is untouched.
 */
S24_API s24_status s24_gram_norms(const s24_gram *gram, const s24_mat *w, double *norms);
S24_API void s24_gram_destroy(s24_gram *gram);

/**
 * Accumulator of C = sum of t x^T (out_dim x dim of the gram) and of the squares of t, over the
 * rows of a gram. x are the inputs that a matrix will really get, t the outputs wanted from it. So
 * a matrix repairs the error of matrices before it.
 *
 * A cross hangs on its gram and keeps the gram alive. Row weights, halves and the type of the
 * accumulator are those of the gram. Matrices with the same inputs (q, k, v) each hang a cross on
 * the same gram. S24_E_STATE: the gram has rows already.
 */
S24_API s24_status s24_cross_create(s24_gram *gram, int64_t out_dim, s24_cross **out);
/**
 * Add a batch to a gram and to all crosses that hang on it: s24_gram_add() for a gram with crosses.
 * targets[i] holds the outputs wanted for x: (tokens, out_dim of crosses[i]), of any float type and
 * layout. `crosses` names each living cross of the gram once, in any order. With count 0 this is
 * s24_gram_add(). After an error every sum is as it was.
 * - S24_E_STATE: a cross of the gram is missing.
 * - S24_E_ARG: a cross hangs on another gram or comes twice.
 * - S24_E_NONFINITE names the array, row and column.
 */
S24_API s24_status s24_gram_add_targets(s24_gram *gram, const s24_mat *x, const s24_mat *row_weight,
                                        s24_cross *const *crosses, const s24_mat *targets,
                                        int32_t count);
/**
 * The cross of a matrix's outputs from that of its inputs. Where several matrices see the same
 * inputs Y (q, k, v), and Y W^T is wanted from each when it really gets X, one cross of Y serves
 * all: T^T X = W (Y^T X), and |t_i|^2 = w_i (Y^T Y) w_i^T. That saves work over many rows; each
 * derivation takes 6 out dim^2 operations in double precision.
 * - `inputs` is a cross on the gram of X whose targets were Y, `dense` a gram of Y over the same
 *   rows, added in the same order with the same weights. dim(dense) = out_dim(inputs).
 * - `w` is (out, dim(dense)), of any float type and layout. Only this call reads it.
 * - *out is a cross of w->rows outputs for the gram that `inputs` hangs on. It keeps that gram
 *   alive, and nothing else. It asks for no targets in s24_gram_add_targets(): rows that come later
 *   are not in it. Destroy it with s24_cross_destroy().
 *
 * The two halves stay apart. Equal bits for any number of threads.
 * - S24_E_SHAPE: the shapes do not fit.
 * - S24_E_STATE: the sums do not hold the same rows.
 * - S24_E_NONFINITE names the row and column of w.
 * - S24_E_NUMERIC: sums of an output leave the range of double precision.
 */
S24_API s24_status s24_cross_derive(const s24_cross *inputs, const s24_gram *dense,
                                    const s24_mat *w, s24_cross **out);
/**
 * C(dst) += C(src), half by half, and the counts of rows. The grams stay as they are: merge these
 * as well.
 */
S24_API s24_status s24_cross_merge(s24_cross *dst, const s24_cross *src);
/**
 * Copy a half (1 or 2) out or in, as of a gram. c is (out_dim, dim), of any float type and layout.
 * `norm2` holds out_dim values, the sum of squares of each output. `rows` is the sum of weights. In
 * export norm2 and rows may be NULL. Import checks as for a gram.
 *
 * Import a half of a gram and the same half of its crosses by a call each, in any order. If the
 * rows of a cross differ from those of its gram, a solve or a loss refuses it with S24_E_STATE.
 */
S24_API s24_status s24_cross_export(const s24_cross *cross, int32_t half, const s24_mat *c,
                                    double *norm2, double *rows);
S24_API s24_status s24_cross_import(s24_cross *cross, int32_t half, const s24_mat *c,
                                    const double *norm2, double rows);
/**
 * From now on the gram does not ask for this cross's targets. Problems that aim at it keep the
 * sums.
 */
S24_API void s24_cross_destroy(s24_cross *cross);

/**
 * A layer to compress: minimise ||(W - V) X^T||_F^2 over V that obeys the constraints set below.
 * `w` is (out, in) and is borrowed: its data must stay alive and unchanged until the problem is
 * destroyed. Without a gram H is the identity. While a solve runs on the problem it cannot be
 * changed (S24_E_STATE). If a solver cannot honour one of the constraints, it refuses the problem
 * with S24_E_UNSUPPORTED.
 */
S24_API s24_status s24_problem_create(s24_ctx *ctx, const s24_mat *w, s24_problem **out);
/**
 * Use this gram, NULL = none. dim must equal w->cols. The gram is shared, not copied: layers with
 * common inputs use the same gram, and several solves may read it at once. While a solve runs on it
 * the gram cannot be changed (S24_E_STATE).
 */
S24_API s24_status s24_problem_set_gram(s24_problem *problem, s24_gram *gram);
/**
 * Aim at wanted outputs T instead of X W^T: minimise ||X V^T - ((1 - blend) X W^T + blend T)||_F^2
 * with blend in [0, 1]. The problem's gram must be the gram that the cross hangs on: otherwise the
 * solve answers S24_E_STATE. Every solver honours a target. NULL removes it.
 */
S24_API s24_status s24_problem_set_target(s24_problem *problem, s24_cross *cross, double blend);
/**
 * Keep at most n of each m consecutive inputs of a row; 1 <= n <= m <= 64. cols must be a multiple
 * of m.
 */
S24_API s24_status s24_problem_set_pattern(s24_problem *problem, int32_t n, int32_t m);
/**
 * Make at least round(sparsity * size) weights zero, with 0 <= sparsity < 1. Scope "layer" chooses
 * them over the whole matrix, "row" equally many in each row; size is that of the matrix or of a
 * row. Halves are rounded to even (50 % of 5 weights: 2 zeros). At least one weight is kept (99.9 %
 * of a row of a single weight: no zero).
 */
S24_API s24_status s24_problem_set_sparsity(s24_problem *problem, double sparsity,
                                            const char *scope);
/**
 * Values on a grid of 2^bits levels, 2 <= bits <= 8, with a scale for each `group` consecutive
 * inputs of a row. group 0 is the whole row. The last group may be shorter, and a group wider than
 * the row is the row. Schemes:
 * - "asym": the zero point is an integer.
 * - "sym": the middle level is 0.
 * - "real": the least value is any number, so that 0 need not be on the grid.
 */
S24_API s24_status s24_problem_set_grid(s24_problem *problem, int32_t bits, int64_t group,
                                        const char *scheme);
/**
 * V = S + L with L of at most this rank, 1 or more. The other constraints apply to S. Without any,
 * S = 0.
 */
S24_API s24_status s24_problem_set_rank(s24_problem *problem, int64_t rank);
/**
 * Importance of each weight: (out, in), any float type, finite and non-negative. It serves solvers
 * that rank weights by a score of the caller (wanda with score=importance). Borrowed like w. NULL
 * removes it.
 */
S24_API s24_status s24_problem_set_importance(s24_problem *problem, const s24_mat *importance);
/**
 * The matrix before this one, for solvers that rank whole inputs by the graph of weights (mlprank):
 * w is (in of this problem, its own inputs), of any float type, such as the up projection before a
 * down projection. `scores` holds w->cols numbers, the scores of its inputs: norms of these inputs
 * (s24_gram_norms()), or what mlprank gave for the outputs of the matrix before; NULL: all alike.
 * `norms` holds w->rows numbers, the norms of its outputs over the calibration rows; NULL: the
 * norms of this problem's inputs. All are finite, scores and norms at least 0. Borrowed like w of
 * the problem. A NULL w forgets all three.
 */
S24_API s24_status s24_problem_set_previous(s24_problem *problem, const s24_mat *w,
                                            const double *scores, const double *norms);
/** Keep exactly this support (S24_BOOL or S24_U8, shape of w). Borrowed like w. NULL removes it. */
S24_API s24_status s24_problem_set_mask(s24_problem *problem, const s24_mat *mask);
/**
 * Replace all constraints, the mask included, by a text: terms joined by "+", white space is free.
 * NULL or "" clears them.
 * - "2:4": n of m.
 * - "2:4t": n of m along both sides: at most n of each m consecutive inputs of a row, and n of each
 *   m consecutive outputs of a column. So the transpose obeys 2:4 too. Rows must be a multiple of m
 *   as well.
 * - "2:4 dense 12%", "2:4 dense 68": so many columns of w stay whole, and n:m holds on the others as
 *   if they lay side by side. The solver chooses which: part "dense" of the result (S24_I32) names
 *   them. A share is rounded so that the others are groups of m. Not beside other terms.
 * - "2:4 blocks 64": n:m is that of a core between two block-diagonal matrices of this size, a
 *   multiple of m that divides rows and cols; parts "left", "sparse" and "right" of the result.
 * - "columns 25%", "columns 1152 kept": whole inputs. A share is rounded as a sparsity is.
 * - "heads 3 kept of 9", "groups 33% of 3": the same for units of equally many consecutive inputs,
 *   such as those of an attention head.
 * - "70%" or "layer 70%", "row 70%": a sparsity, the share of zeros.
 * - "int4", "int3 sym", "int4 g128", "int4 sym g64", "int4 real": a grid, asymmetric and over whole
 *   rows unless the text says otherwise.
 * - "rank 64".
 * - "dictionary 20%": the matrix is a product of sparse coefficients and a dictionary that saves so
 *   much of the bytes, with 16 bits a number and one for the place of a coefficient. "dictionary
 *   294:147": 294 atoms, of which a row uses 147. "dictionary 20%+2:4": coefficients that obey 2:4.
 *
 * After an error no constraint has changed. S24_E_OPTION: the text is malformed or a number is out
 * of range. S24_E_SHAPE: cols (less the dense ones; of n:mt also rows) is not a multiple of m.
 */
S24_API s24_status s24_problem_parse(s24_problem *problem, const char *constraints);
/**
 * The constraints in force as the shortest text that s24_problem_parse() reads: "2:4+int4 sym g64",
 * "" for none. A mask that is set shows as "mask"; only s24_problem_set_mask() can set it. The text
 * lives until the constraints change or the problem is destroyed. NULL: the handle is not a
 * problem.
 */
S24_API const char *s24_problem_constraints(const s24_problem *problem);
/**
 * The name of the solver to take when nobody chose one: "alps", for a grid "quantease", for a rank
 * "hassle". If no solver honours all constraints it is "alps", whose error says what is wrong.
 * Static storage. NULL: the handle is not a problem.
 */
S24_API const char *s24_problem_solver(const s24_problem *problem);
/**
 * The loss of a candidate, accumulated in double and independent of any solver: every claim is
 * checked with this number. `relative` is the loss over the loss of all zeros, a ratio of squares.
 * loss and relative may be NULL. S24_E_STATE: the gram has no rows yet. S24_E_NUMERIC: double
 * cannot hold the loss, no sums of squares could give it, or all inputs of the gram were 0.
 */
S24_API s24_status s24_problem_loss(const s24_problem *problem, const s24_mat *candidate,
                                    double *loss, double *relative);
/**
 * The same against the target of s24_problem_set_target(), relative to the target's squared norm.
 * S24_E_STATE: there is no target.
 */
S24_API s24_status s24_problem_target_loss(const s24_problem *problem, const s24_mat *candidate,
                                           double *loss, double *relative);
/**
 * S24_OK if the candidate obeys every constraint; otherwise S24_E_STATE and a text that names the
 * first offending place. A candidate obeys a grid if the values of each group are equal steps
 * apart, within the rounding of its type. S24_E_UNSUPPORTED: the problem has a rank, and the parts
 * cannot be told from their sum.
 */
S24_API s24_status s24_problem_check(const s24_problem *problem, const s24_mat *candidate);
/**
 * The same for everything in a result: pattern and mask of the weights (or of their sparse part),
 * the rank of the factors, and the sum of the parts. Under a grid the weights, outliers apart, must
 * be exactly what the codes decode to.
 */
S24_API s24_status s24_problem_check_result(const s24_problem *problem, const s24_result *result);
S24_API void s24_problem_destroy(s24_problem *problem);

#ifdef __cplusplus
}
#endif
#endif
