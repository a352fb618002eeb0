#ifndef SPARSE24_OPERATORS_H
#define SPARSE24_OPERATORS_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Operators on every aligned group of m weights along the columns, whose number must be a multiple
 * of m; 1 <= n <= m <= 64.
 *
 * z is S24_F32 or S24_F64. w has the same shape and type; it may be the same matrix as z, but must
 * not overlap it otherwise. Any layout is taken. The work runs on the context's threads; the bits
 * are equal for any number of them and on every processor.
 *
 * |w| <= |z|, and signs and the order of magnitudes are kept. Of equal magnitudes the lower index
 * counts as the larger. A weight that becomes 0 is +0.
 *
 * S24_E_NONFINITE names the place of a NaN or infinity in z. S24_E_ARG: lambda is NaN or below 0.
 * After an error w is untouched. docs/operators.md has the mathematics.
 */

/**
 * The proximal operator of the 2:4 regulariser, exact (Kuebler et al. 2025, arXiv 2501.18015):
 *   w = argmin_w 1/2 ||w - z||^2 + lambda (|w1 w2 w3| + |w2 w3 w4| + |w3 w4 w1| + |w4 w1 w2|)
 * lambda is at least 0; +infinity keeps the two largest. Where lambda times the largest magnitude
 * exceeds 2, the two largest are kept unchanged.
 */
S24_API s24_status s24_prox24(s24_ctx *ctx, const s24_mat *z, double lambda, const s24_mat *w);
/**
 * The same for groups of any m. n = 2: the penalty is the sum over all triples of the m weights. n
 * = 1: it is the sum over all pairs; lambda then has no unit, and from 1 on only the largest stays.
 * Both are exact for every m. n = m changes nothing. 3 <= n < m is S24_E_UNSUPPORTED:
 * s24_prox_firm() takes any n.
 */
S24_API s24_status s24_prox_nm(s24_ctx *ctx, const s24_mat *z, int32_t n, int32_t m, double lambda,
                               const s24_mat *w);
/**
 * Firm threshold for any n:m. Let t be half-way between the n-th largest magnitude and the next.
 * Magnitudes up to strength t become 0, those from (2 - strength) t on stay, and between them the
 * operator is linear. strength is in [0, 1]: 0 changes nothing, 1 keeps the n largest.
 */
S24_API s24_status s24_prox_firm(s24_ctx *ctx, const s24_mat *z, int32_t n, int32_t m,
                                 double strength, const s24_mat *w);
/**
 * mask (S24_U8 or S24_BOOL, shape of z) = 1 on the n largest magnitudes of each group, else 0. z
 * may be of any float type.
 */
S24_API s24_status s24_project_nm(s24_ctx *ctx, const s24_mat *z, int32_t n, int32_t m,
                                  const s24_mat *mask);
/**
 * An order of the columns in which n:m keeps more of a score: order[j] is the column that goes to
 * place j. The search never keeps less than the order as it is, and does not depend on threads.
 * Groups and places within them rise, so that as little as possible moves.
 *
 * score is (rows, cols), of any float type, at least 0: what is lost if a weight is dropped, such
 * as (w_ij)^2 H_jj. Rows of several matrices whose inputs move together are stacked. Columns stay in
 * their aligned block of `block` columns, a multiple of m that divides cols, such as a head; 0 lets
 * them move anywhere. order holds cols numbers. kept may be NULL: the shares of the score that n:m
 * keeps, before and after.
 *
 * S24_E_ARG or S24_E_NONFINITE name the first score below 0, NaN or beyond single precision. After
 * an error order is untouched. docs/operators.md has the mathematics.
 */
S24_API s24_status s24_permutation(s24_ctx *ctx, const s24_mat *score, int32_t n, int32_t m,
                                   int64_t block, int64_t *order, double *kept);

#ifdef __cplusplus
}
#endif
#endif
