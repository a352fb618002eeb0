#ifndef SPARSE24_TRAINING_H
#define SPARSE24_TRAINING_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Operators for networks that are trained with n:m masks. The training loop is the caller's, in any
 * framework: weights, gradients and masks are borrowed views of any layout. mask is S24_U8 or
 * S24_BOOL in the shape of w; 1 keeps. Work runs on the context's threads; the bits are equal for
 * any number of them. S24_E_NONFINITE names the place of a NaN or infinity. After an error no output
 * has changed. docs/training.md shows them at work.
 */

/** Which consecutive weights are a group: inputs of a row, outputs of a column, or both at once. */
enum { S24_ALONG_INPUTS = 0, S24_ALONG_OUTPUTS = 1, S24_ALONG_BOTH = 2 };
/**
 * mask = 1 on the n largest magnitudes of each m consecutive weights, ties to the lower index; 1 <=
 * n <= m <= 64. w is (out, in), of any float type. The mask along outputs is the one that serves the
 * backward product dy W. S24_ALONG_BOTH: n in each row and each column of every tile of m x m, so
 * that one mask serves both products; it is the one of the largest sum of squares, exactly, with
 * weights taken in single precision. S24_E_SHAPE: the sizes along which groups lie must be multiples
 * of m.
 */
S24_API s24_status s24_nm_mask(s24_ctx *ctx, const s24_mat *w, int32_t n, int32_t m, int32_t along,
                               const s24_mat *mask);
/**
 * The same along both sides by TSENOR (arXiv 2505.23949), to compare with: an approximation of the
 * largest sum of magnitudes by entropy (tau > 0, in units of 1 / the tile's largest magnitude; 200),
 * `rounds` rounds of projections (1 .. 100000; 300), and greedy rounding. S24_E_NUMERIC names the
 * first tile that does not end at n:m.
 */
S24_API s24_status s24_nm_mask_tsenor(s24_ctx *ctx, const s24_mat *w, int32_t n, int32_t m,
                                      double tau, int32_t rounds, const s24_mat *mask);
/**
 * out = w where the mask keeps, beta w elsewhere: masks that close gently (Kao et al. 2022). beta is
 * in 0 .. 1: 1 gives w, 0 the masked weights. w and out are both S24_F32 or S24_F64 and may be the
 * same matrix. Apply it to the gradient too where the exact gradient of the decayed weights is
 * wanted.
 */
S24_API s24_status s24_mask_decay(s24_ctx *ctx, const s24_mat *w, const s24_mat *mask, double beta,
                                  const s24_mat *out);
/**
 * grad += lambda w where the mask does not keep: SR-STE (Zhou et al. 2021, arXiv 2102.04010; lambda
 * = 2e-4). lambda 0 leaves every bit of grad: the straight-through estimator. w and grad are both
 * S24_F32 or S24_F64 and lie apart.
 */
S24_API s24_status s24_srste_add(s24_ctx *ctx, const s24_mat *w, const s24_mat *mask, double lambda,
                                 const s24_mat *grad);
/**
 * What a step of a schedule asks for: pattern[0] of pattern[1] weights, and *beta for
 * s24_mask_decay(). The first shares[0] of the steps are dense (n = m, beta 1), the last shares[1]
 * have n:m and beta 0; shares are at least 0 and their sum at most 1. 0 <= step < steps. Between
 * them, as `kind` says:
 * - "step": n:m at once.
 * - "linear": n:m, and beta falls from 1 to 0 on a line; "exponential": by a factor of 1000, so that
 *   the last jump is small.
 * - "structure": (m - 1):m, m/2 :m, m/4 :m .. n:m in equal spans, beta 0; m must be n times a power
 *   of two.
 * - "geometry": 8n:8m, 4n:4m, 2n:2m, n:m in equal spans, beta 0; 8 m is at most 64.
 *
 * Kao et al. 2022, arXiv 2209.07617; Bambhaniya et al. 2024, arXiv 2402.04744.
 */
S24_API s24_status s24_mask_schedule(const char *kind, int32_t n, int32_t m, int64_t step,
                                     int64_t steps, const double *shares, int32_t *pattern,
                                     double *beta);
/**
 * Drop and grow (Evci et al. 2020, arXiv 1911.11134) within n:m: of the weights that the mask keeps,
 * the round(share count) of least magnitude go, over the whole matrix; then each group of m inputs
 * takes back as many as it lost, those of the largest magnitude in g, the gradient of the dense
 * weights. So every group keeps as many as before. Ties go to the lower index. w and g are of any
 * float type and taken in single precision. share is in 0 .. 1. *changed, which may be NULL: how
 * many kept weights are new; set these to 0. A weight that went may come back at once.
 */
S24_API s24_status s24_nm_regrow(s24_ctx *ctx, const s24_mat *w, const s24_mat *g, int32_t m,
                                 double share, const s24_mat *mask, int64_t *changed);

#ifdef __cplusplus
}
#endif
#endif
