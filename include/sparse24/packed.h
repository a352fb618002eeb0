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
 * The same matrix in another layout: "ri16x32-int4" from blocks of q4_0 that were wrapped, say. If
 * both layouts hold codes (s24_build_info("layouts") names them; all but those of floats, gptq-v2
 * and q4_1), the codes and scales stay what they are. Else the dense matrix is packed
 * again, as s24_pack() does. `packed` stays as it is.
 * - S24_E_STATE names the first row and group that do not obey the new layout's pattern.
 * - Other errors: as s24_pack().
 */
S24_API s24_status s24_packed_convert(const s24_packed *packed, const char *layout,
                                      s24_packed **out);
/**
 * The dense matrix, bit for bit; what was not kept is +0. If w has another float type, values
 * convert as in s24_mat_copy().
 */
S24_API s24_status s24_unpack(const s24_packed *packed, const s24_mat *w);
/**
 * y = x W^T with W packed. x is (tokens, cols), y is (tokens, rows), both of any float type; y must
 * not overlap x. Each output is summed in double in a fixed order, so the bits are equal for any
 * number of threads, instruction set and layout. It unpacks row by row and is slower than the dense
 * product: for speed see s24_packed_prepare().
 */
S24_API s24_status s24_packed_multiply(const s24_packed *packed, const s24_mat *x,
                                       const s24_mat *y);
/** The caller's reference; products that were prepared keep the matrix. */
S24_API void s24_packed_destroy(s24_packed *packed);

/** What a prepared product promises. */
enum {
    /** As s24_packed_multiply(): sums in double, equal bits everywhere. Any layout. */
    S24_EXACT = 0,
    /**
     * At the speed of memory; layouts whose name begins with ri16. Equal bits for any number of
     * threads and for any part of the rows, on one instruction set and batch; codes and f32
     * activations have equal bits on every instruction set. With u = 2^-24, sums over the columns j
     * and m(j) the largest |x| of its 32, 64 or 128 columns, an output differs from the exact one
     * by at most
     * - f32 activations: cols u sum |w_j x_j|;
     * - bf16 activations: (2^-8 + 2 cols u) sum |w_j x_j|;
     * - codes: sum |w_j| m(j) / 253 + cols u sum |w_j| m(j);
     * plus cols 2^-100 max |w|, for activations that are all but zero.
     */
    S24_FAST = 1,
};

/**
 * Make a packed matrix ready for products with up to `tokens` rows of x at a time; more are done in
 * slices. All that a product needs is allocated here, and s24_product_run() allocates nothing.
 *
 * promise: S24_EXACT or S24_FAST. activations: the type that x is rounded to, 0 for the one that
 * suits. S24_EXACT takes S24_F32. S24_FAST takes S24_F32 with floats, S24_BF16 with bf16 (faster
 * from about 8 tokens on, where the processor has the instruction), and S24_I8 with codes: 8 bits
 * and a scale for each group of columns.
 *
 * share: NULL, or a product of the same context whose scratch is used too. So the products of a
 * model, which run one after the other, take the scratch of the largest. *out belongs to the
 * caller; it keeps `packed`, so that this may be destroyed before. The parts of a wrapped matrix
 * must stay until both are gone.
 *
 * The product is bound to the context's threads: fewer later are fine, more are S24_E_STATE when it
 * runs. One product runs on one thread at a time; several products of one matrix may run beside
 * each other, unless they share scratch.
 * - S24_E_UNSUPPORTED: the layout, or its element type, has no fast product.
 * - S24_E_DTYPE: activations of this type do not go with it.
 * - S24_E_STATE: the scratch of `share` is in use.
 */
S24_API s24_status s24_packed_prepare(const s24_packed *packed, int32_t promise,
                                      int32_t activations, int64_t tokens, s24_product *share,
                                      s24_product **out);
/**
 * y = x W^T. x is (tokens, cols), y is (tokens, rows), both of any float type; y must not overlap
 * x. No tokens: nothing happens. A row of x with a NaN or an infinity gives what the dense product
 * gives (a zero weight times infinity is NaN) and touches no other row; such rows are slow.
 * S24_E_STATE: the product is running elsewhere, or the context has more threads than it had. If the
 * host's runner fails in the middle (S24_E_BACKEND), a part of y may have been written.
 */
S24_API s24_status s24_product_run(s24_product *product, const s24_mat *x, const s24_mat *y);
/**
 * What runs: the row of the kernel table, the instruction set whose function it is (both static
 * storage; the set is that of the context's option `isa`), the type of activations, and the bytes
 * of scratch, shared or not. Each pointer may be NULL.
 */
S24_API s24_status s24_product_info(const s24_product *product, const char **kernel,
                                    const char **isa, int32_t *activations, int64_t *scratch_bytes);
S24_API void s24_product_destroy(s24_product *product);

#ifdef __cplusplus
}
#endif
#endif
