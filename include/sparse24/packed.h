#ifndef SPARSE24_PACKED_H
#define SPARSE24_PACKED_H
#include "types.h"
#ifdef __cplusplus
extern "C" {
#endif

/** Experimental until interface version 1: names and signatures here may still change. */

/**
 * Compress a matrix into a named layout. docs/formats.md describes the layouts bit by bit, and
 * s24_build_info("layouts") lists them. w is S24_F32, S24_F16, S24_BF16 or S24_I8, as the layout
 * demands. "LAYOUT:f16", ":bf16" or ":f32" rounds the weights to that type first.
 *
 * `mask` (S24_U8 or S24_BOOL, shape of w) says which positions are kept. So a kept weight may be 0,
 * and a weight outside the mask is dropped. NULL: the nonzeros are kept.
 *
 * Negative zero is stored as zero. Everything is copied. The work runs on the context's threads.
 * - S24_E_STATE names the first row and group that keep more than the layout holds.
 * - S24_E_SHAPE: an extent is not a multiple of what the layout needs.
 * - S24_E_DTYPE: the layout does not hold this type.
 * - S24_E_UNSUPPORTED: there is no such layout.
 */
S24_API s24_status s24_pack(s24_ctx *ctx, const s24_mat *w, const s24_mat *mask, const char *layout,
                            s24_packed **out);
/**
 * The same from a result, with its mask. A layout with codes and scales takes those of the result;
 * they are never derived from floats again. S24_E_UNSUPPORTED: the layout needs codes and the
 * result has none.
 */
S24_API s24_status s24_pack_result(s24_ctx *ctx, const s24_result *result, const char *layout,
                                   s24_packed **out);
/**
 * The same from codes, scales and zeros made elsewhere. `grid` says how to read them: "int4 sym
 * g128", spelt as for s24_problem_parse(); constraints other than the grid are ignored. codes
 * (S24_U8) is rows x cols. scales (S24_F16) and zeros (S24_U8, or S24_F16 with scheme "real") are
 * rows x groups. All three are contiguous.
 * - S24_E_UNSUPPORTED: the layout has no codes, or the grid is "real" beside a pattern or a
 *   sparsity. No code of a real grid stands for a pruned weight.
 * - S24_E_DTYPE: the layout does not hold such a grid.
 */
S24_API s24_status s24_pack_codes(s24_ctx *ctx, const char *grid, const s24_mat *codes,
                                  const s24_mat *scales, const s24_mat *zeros, const char *layout,
                                  s24_packed **out);
/**
 * The named byte arrays that an engine stores or uploads ("values", "meta", "scales", ...). They
 * are borrowed until the handle is destroyed. Past the end *name = NULL, and data and size stay
 * untouched. data and size may be NULL.
 */
S24_API s24_status s24_packed_part(const s24_packed *packed, int32_t index, const char **name,
                                   const void **data, size_t *size);
/**
 * A part by name as a typed matrix, for files: read-only, borrowed. S24_E_UNSUPPORTED: no such
 * part.
 */
S24_API s24_status s24_packed_matrix(const s24_packed *packed, const char *name, s24_mat *view);
/**
 * The shape of a part as programs that load the layout want it in a file; `shape` has room for 8.
 * Most parts have two extents. A part that the layout defines as a vector (weight_shape of
 * pack-quantized, g_idx of gptq-v2) has one; s24_packed_matrix() gives it as a row.
 */
S24_API s24_status s24_packed_shape(const s24_packed *packed, const char *name, int64_t *shape,
                                    int32_t *rank);
/**
 * Layout (static storage), and shape and element type of the dense matrix. Each pointer may be
 * NULL.
 */
S24_API s24_status s24_packed_info(const s24_packed *packed, const char **layout, int64_t *rows,
                                   int64_t *cols, int32_t *dtype);
/**
 * Wrap parts made elsewhere, in the order of s24_packed_part(). They are checked completely, then
 * borrowed: they must stay as they are until the handle is destroyed. The parts need no alignment,
 * but views from s24_packed_matrix() have that of the parts. S24_E_SHAPE: a size is wrong.
 * S24_E_FORMAT: the content is wrong, and the text says where.
 */
S24_API s24_status s24_packed_wrap(s24_ctx *ctx, const char *layout, int64_t rows, int64_t cols,
                                   int32_t dtype, const void *const *parts, const size_t *sizes,
                                   int32_t count, s24_packed **out);
/**
 * The dense matrix, bit for bit; what was not kept is +0. If w has another float type, values
 * convert as in s24_mat_copy().
 */
S24_API s24_status s24_unpack(const s24_packed *packed, const s24_mat *w);
/**
 * y = x W^T with W packed. x is (tokens, cols), y is (tokens, rows), both of any float type; y must
 * not overlap x. Each output is summed in double in a fixed order, so the bits are equal for any
 * number of threads, instruction set and layout. This version unpacks row by row: it is correct but
 * slower than the dense product.
 */
S24_API s24_status s24_packed_multiply(const s24_packed *packed, const s24_mat *x,
                                       const s24_mat *y);
S24_API void s24_packed_destroy(s24_packed *packed);

#ifdef __cplusplus
}
#endif
#endif
