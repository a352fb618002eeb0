#ifndef SPARSE24_PROBLEM_H
#define SPARSE24_PROBLEM_H
#include "types.h"
#ifdef __cplusplus
extern "C" {
#endif

/**
 * Accumulator of H = sum of x x^T over calibration rows x, dim x dim, in S24_F32 or S24_F64. Two disjoint halves are kept
 * (runs of 128 rows, by running index whatever the batches, go to them in turn), so that damping can be chosen without more data.
 */
S24_API s24_status s24_gram_create(s24_ctx *ctx, int64_t dim, int32_t accumulator, s24_gram **out);
/**
 * Add one batch: x is (tokens, dim), any float type and layout; row_weight is (tokens, 1) non-negative, or NULL for ones
 * (0 masks padding), other weights being at least 1e-40 (S24_F64: 1e-290). Batches may differ in size. S24_E_NONFINITE names the row and
 * column and leaves H as it was. Inputs as small as floats are do no harm.
 */
S24_API s24_status s24_gram_add(s24_gram *gram, const s24_mat *x, const s24_mat *row_weight);
/** H(dst) += H(src), counts added, half by half. How data-parallel workers combine. src may belong to another context but is not dst. */
S24_API s24_status s24_gram_merge(s24_gram *dst, const s24_gram *src);
/**
 * Copy one half (1 or 2) of H, unnormalised, and its weight sum out or in: for MPI, checkpoints, other programs. h is the whole
 * symmetric (dim, dim) matrix, any float type and layout. `rows` may be NULL in export, which is S24_E_NONFINITE when the type of h cannot
 * hold a sum. Import replaces that half; h must be finite, symmetric to 1e-6 sqrt(h_ii h_jj), nowhere larger than that root (but for the
 * rounding of its type, 1e-5 in single and double precision), not negative on its diagonal, and 0 if rows is 0.
 */
S24_API s24_status s24_gram_export(const s24_gram *gram, int32_t half, const s24_mat *h,
                                   double *rows);
S24_API s24_status s24_gram_import(s24_gram *gram, int32_t half, const s24_mat *h, double rows);
/** Dimension, and rows added so far (sum of weights). Either pointer may be NULL. */
S24_API s24_status s24_gram_info(const s24_gram *gram, int64_t *dim, double *rows);
S24_API void s24_gram_destroy(s24_gram *gram);

/**
 * Accumulator of C = sum of t x^T (out x in) and of the squares of t over the same rows a gram sees: t are the outputs wanted from the
 * layer, x the inputs it will really get. Lets a layer repair the error of layers before it. Halves, merging and errors as for grams;
 * `norm2` holds out_dim values, the sum of squares of each output; it and `rows` may be NULL in export.
 */
S24_API s24_status s24_cross_create(s24_ctx *ctx, int64_t out_dim, int64_t in_dim,
                                    int32_t accumulator, s24_cross **out);
S24_API s24_status s24_cross_add(s24_cross *cross, const s24_mat *x, const s24_mat *t,
                                 const s24_mat *row_weight);
S24_API s24_status s24_cross_merge(s24_cross *dst, const s24_cross *src);
S24_API s24_status s24_cross_export(const s24_cross *cross, int32_t half, const s24_mat *c,
                                    double *norm2, double *rows);
S24_API s24_status s24_cross_import(s24_cross *cross, int32_t half, const s24_mat *c,
                                    const double *norm2, double rows);
S24_API void s24_cross_destroy(s24_cross *cross);

/**
 * A layer to compress: minimise ||(W - V) X^T||_F^2 over V that obeys the constraints set below. `w` is (out, in) and is
 * borrowed: its data must stay alive and unchanged until the problem is destroyed. No gram means H = identity.
 * While a solve runs on it the problem cannot be changed (S24_E_STATE).
 * A solver that cannot honour one of the constraints refuses the problem with S24_E_UNSUPPORTED.
 */
S24_API s24_status s24_problem_create(s24_ctx *ctx, const s24_mat *w, s24_problem **out);
/** Use this gram (shared, not copied; layers with common inputs use the same one), NULL = none. dim must equal w->cols. Solves may share it
 *  at once; changing it while one runs is S24_E_STATE. */
S24_API s24_status s24_problem_set_gram(s24_problem *problem, s24_gram *gram);
/**
 * Aim at wanted outputs T instead of X W^T: minimise ||X V^T - ((1 - blend) X W^T + blend T)||_F^2, blend in [0, 1].
 * Needs the gram of the same rows (equal counts, else S24_E_STATE at solve). Every solver honours it. NULL removes it.
 */
S24_API s24_status s24_problem_set_target(s24_problem *problem, s24_cross *cross, double blend);
/** Keep at most n of each m consecutive inputs of a row; 1 <= n <= m <= 64; cols must be a multiple of m. */
S24_API s24_status s24_problem_set_pattern(s24_problem *problem, int32_t n, int32_t m);
/** Make at least round(sparsity * size) weights zero, 0 <= sparsity < 1, chosen over the whole matrix ("layer") or equally many in each
 *  row ("row"). size is that of the matrix or of a row; halves are rounded to even (50 % of 5 weights: 2 zeros), and one weight is always
 *  kept (99.9 % of a row of one: none). */
S24_API s24_status s24_problem_set_sparsity(s24_problem *problem, double sparsity,
                                            const char *scope);
/**
 * Values on a grid of 2^bits levels, 2 <= bits <= 8, one scale per `group` consecutive inputs of a row (0 = the whole row; the last group
 * may be shorter, and a group wider than the row is the row). scheme: "asym" (integer zero point), "sym" (the middle level is 0), or
 * "real" (the least value is any number, so that 0 need not be on the grid).
 */
S24_API s24_status s24_problem_set_grid(s24_problem *problem, int32_t bits, int64_t group,
                                        const char *scheme);
/** V = S + L with L of at most this rank, 1 or more; the other constraints apply to S, and S = 0 where there are none. */
S24_API s24_status s24_problem_set_rank(s24_problem *problem, int64_t rank);
/**
 * Importance of each weight, (out, in), any float type, finite and non-negative, for solvers that rank weights by a score the caller
 * made (wanda with score=importance). Borrowed like w. NULL removes it.
 */
S24_API s24_status s24_problem_set_importance(s24_problem *problem, const s24_mat *importance);
/** Keep exactly this support (S24_BOOL or S24_U8, shape of w). Borrowed like w. NULL removes it. */
S24_API s24_status s24_problem_set_mask(s24_problem *problem, const s24_mat *mask);
/**
 * Replace all constraints, the mask included, by a text: terms joined by "+": "2:4"; "70%" (or "layer 70%") or "row 70%" (sparsity,
 * i.e. zeros); "int4", "int3 sym", "int4 g128", "int4 sym g64", "int4 real" (asymmetric and whole rows unless said); "rank 64". White
 * space is free. NULL or "" clears them. All or nothing: S24_E_OPTION when malformed or out of range, S24_E_SHAPE when cols is no
 * multiple of m.
 */
S24_API s24_status s24_problem_parse(s24_problem *problem, const char *constraints);
/** The loss of a candidate, accumulated in double, independent of any solver: the number every claim is checked with. relative: to the
 *  loss of all zeros. loss and relative may be NULL. S24_E_STATE while the gram has no rows; S24_E_NUMERIC for a loss that double cannot
 *  hold, or that no sums of squares could give, or if all inputs of the gram were 0. */
S24_API s24_status s24_problem_loss(const s24_problem *problem, const s24_mat *candidate,
                                    double *loss, double *relative);
/** The same against the target of s24_problem_set_target(), relative to the target's squared norm; S24_E_STATE if there is none. */
S24_API s24_status s24_problem_target_loss(const s24_problem *problem, const s24_mat *candidate,
                                           double *loss, double *relative);
/** S24_OK if the candidate obeys every constraint, else S24_E_STATE and a text that names the first offending place. On a grid: in each
 *  group equal steps apart, within the rounding of its type. S24_E_UNSUPPORTED with a rank: the parts cannot be told from their sum. */
S24_API s24_status s24_problem_check(const s24_problem *problem, const s24_mat *candidate);
/** The same for everything in a result: pattern, mask over the weights (or their sparse part), grid (they are exactly what the codes
 *  decode to, outliers apart), rank of the factors, sum of the parts. */
S24_API s24_status s24_problem_check_result(const s24_problem *problem, const s24_result *result);
S24_API void s24_problem_destroy(s24_problem *problem);

#ifdef __cplusplus
}
#endif
#endif
