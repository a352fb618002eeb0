#ifndef SPARSE24_PACKED_H
#define SPARSE24_PACKED_H
#include "types.h"
#ifdef __cplusplus
extern "C" {
#endif

/* Experimental until interface version 1: names and signatures here may still change. */

/**
 * Compress a matrix (S24_F32, S24_F16, S24_BF16 or S24_I8, by layout) into a named layout (docs/formats.md; s24_build_info("layouts") lists them). "LAYOUT:f16", ":bf16" or
 * ":f32" rounds the weights to that type first. `mask` (S24_U8 or S24_BOOL, shape of w) says which positions are kept, so that a kept weight may be 0, and what it does not keep is
 * dropped; NULL = the nonzeros. S24_E_STATE names the first row and group that keep more than the layout holds; S24_E_SHAPE: not a multiple of what it needs; S24_E_DTYPE:
 * a type that it does not hold; S24_E_UNSUPPORTED: no such layout. Negative zero is stored as zero. Everything is copied. Runs on the context's threads.
 */
S24_API s24_status s24_pack(s24_ctx *ctx, const s24_mat *w, const s24_mat *mask, const char *layout,
                            s24_packed **out);
/** The same from a result, with its mask; for layouts with codes and scales those are taken from it, never derived from floats again (S24_E_UNSUPPORTED: it has none). */
S24_API s24_status s24_pack_result(s24_ctx *ctx, const s24_result *result, const char *layout,
                                   s24_packed **out);
/**
 * The same from codes, scales and zeros made elsewhere, which "int4 sym g128" (as s24_problem_parse(), other constraints are ignored) says how to read: codes S24_U8, scales S24_F16, zeros S24_U8 or with
 * real ones S24_F16, contiguous, rows x cols, rows x groups twice. Only for layouts with codes (S24_E_UNSUPPORTED, S24_E_DTYPE: another layout, or one that does not hold such a grid).
 */
S24_API s24_status s24_pack_codes(s24_ctx *ctx, const char *grid, const s24_mat *codes,
                                  const s24_mat *scales, const s24_mat *zeros, const char *layout,
                                  s24_packed **out);
/** The named byte arrays that an engine stores or uploads ("values", "meta", "scales", ...), borrowed until the handle is destroyed; *name = NULL past the end (then data
 *  and size stay untouched). data and size may be NULL. */
S24_API s24_status s24_packed_part(const s24_packed *packed, int32_t index, const char **name,
                                   const void **data, size_t *size);
/** One of them by name as a typed matrix, for files: read-only. S24_E_UNSUPPORTED: no such part. */
S24_API s24_status s24_packed_matrix(const s24_packed *packed, const char *name, s24_mat *view);
/** Its shape as programs that load the layout want it in a file (room for 8): two extents, or one where the layout has a vector (weight_shape of pack-quantized, g_idx
 *  of gptq-v2), which s24_packed_matrix() gives as a row. */
S24_API s24_status s24_packed_shape(const s24_packed *packed, const char *name, int64_t *shape,
                                    int32_t *rank);
/** Layout (static storage), shape and element type of the dense matrix; each may be NULL. */
S24_API s24_status s24_packed_info(const s24_packed *packed, const char **layout, int64_t *rows,
                                   int64_t *cols, int32_t *dtype);
/** Wrap parts made elsewhere, in the order of s24_packed_part(); they are checked completely (S24_E_SHAPE: sizes; S24_E_FORMAT: contents, the text says where), then borrowed:
 *  they must stay as they are until the handle is destroyed. They need no alignment, but views from s24_packed_matrix() have theirs. */
S24_API s24_status s24_packed_wrap(s24_ctx *ctx, const char *layout, int64_t rows, int64_t cols,
                                   int32_t dtype, const void *const *parts, const size_t *sizes,
                                   int32_t count, s24_packed **out);
/** The dense matrix, bit for bit (float types convert as s24_mat_copy() does when w has another); what was not kept is +0. */
S24_API s24_status s24_unpack(const s24_packed *packed, const s24_mat *w);
/** y = x W^T with W packed; x is (tokens, cols), y is (tokens, rows), any float types; y may not overlap x. Each output is summed in double in a fixed order: equal bits for any
 *  threads, instruction set and layout. This version unpacks row by row: correct, not yet fast. */
S24_API s24_status s24_packed_multiply(const s24_packed *packed, const s24_mat *x,
                                       const s24_mat *y);
S24_API void s24_packed_destroy(s24_packed *packed);

#ifdef __cplusplus
}
#endif
#endif
