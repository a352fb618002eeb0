#ifndef SPARSE24_RESULT_H
#define SPARSE24_RESULT_H
#include "types.h"
#ifdef __cplusplus
extern "C" {
#endif

/**
 * Borrow a matrix of the result until the result is destroyed. S24_E_UNSUPPORTED: this result has
 * no such part.
 * - "weights" (S24_F32) and "mask" (S24_U8) always exist; both are (out, in).
 * - Under a grid: "codes" (S24_U8, shape of the weights), "scales" and "zeros" (out x groups of a
 *   row). Where the mask is 0 the weight is 0. Elsewhere it is scale (code - zero), or scale code +
 *   zero with scheme "real", computed in single precision.
 * - "outliers" (S24_U8), if the solver was asked for some, is 1 where a weight is off the grid.
 * - Under a rank: "sparse" (absent: 0), "lowrank_u" and "lowrank_v": weights = sparse + U V. Then
 *   mask, codes, scales and zeros are those of "sparse".
 */
S24_API s24_status s24_result_matrix(const s24_result *result, const char *name, s24_mat *view);
/**
 * Numbers and texts of a result. S24_E_UNSUPPORTED: this result has no such value. S24_E_ARG: the
 * value is of another kind. Floats can also be read from integers.
 *
 * Integers:
 * - "rows", "cols"; "nnz" and "zeros" of the weights, or of "sparse" if there is one.
 * - "iterations"; "swaps": exchanges of kept for pruned weights, 0 for solvers that make none.
 * - "threads"; "peak_bytes": what the solve and its result took at the peak.
 *
 * Floats:
 * - "loss", "relative_loss" (loss over the loss of all zeros: a ratio of squares).
 * - "heldout_relative_loss": the score of the two-halves rule; NaN if nothing was held out.
 * - "target_relative_loss", if a target was set.
 * - "damp_used" (NaN if none), "calibration_rows", "residual" (NaN if the solver has none).
 * - "flops" of the solver's products and factorisations, two for each multiplication; "seconds".
 *
 * Texts:
 * - "solver", "options", "constraints"; "damp_rule", if the solver has one.
 * - "warning", if the calibration is thin: fewer rows than inputs, or all rows multiples of one
 *   row.
 * - "stop": "done", or of iterative solvers "converged", "max_iter", "time" or "cancelled".
 * - "blas": name, version and kernels of the BLAS, which decide the last bits.
 * - "isa": the instruction set of our kernels; all give equal bits.
 * - "record": all these numbers and texts as one JSON object, for logs and metadata. What is
 *   missing or NaN is null.
 */
S24_API s24_status s24_result_int(const s24_result *result, const char *name, int64_t *value);
S24_API s24_status s24_result_float(const s24_result *result, const char *name, double *value);
S24_API s24_status s24_result_str(const s24_result *result, const char *name, const char **value);
enum { S24_RESULT_MATRIX = 1, S24_RESULT_INT = 2, S24_RESULT_FLOAT = 3, S24_RESULT_STR = 4 };
/** Enumerate what this result holds. NULL past the end. kind may be NULL. */
S24_API const char *s24_result_name(const s24_result *result, int32_t index, int32_t *kind);
S24_API void s24_result_destroy(s24_result *result);

#ifdef __cplusplus
}
#endif
#endif
