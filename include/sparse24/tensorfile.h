#ifndef SPARSE24_TENSORFILE_H
#define SPARSE24_TENSORFILE_H
#include "types.h"
#ifdef __cplusplus
extern "C" {
#endif

/** Experimental until interface version 1: names and signatures here may still change. */

/**
 * Map a model or a set of tensors, read-only. The path's content decides which of these it is:
 * - a safetensors file;
 * - a GGUF file, version 2 or 3, of either byte order. Any part of a split model stands for all of
 *   its parts, which must lie beside it;
 * - a Hugging Face folder: model.safetensors, or model.safetensors.index.json and the shards it
 *   names. A quantised one whose method is decoded (docs/formats.md: fp8, gptq, mxfp4,
 *   compressed-tensors) offers its weights as the matrices that they stand for;
 * - a folder that holds one GGUF model.
 *
 * Everything is validated before use: sizes, offsets, overlaps, types, depth, counts. Nothing
 * outside a folder is ever opened (docs/formats.md: symbolic links). Only one thread at a time may
 * use a file.
 * - S24_E_IO: the system refused.
 * - S24_E_FORMAT: the file is malformed, and the text says where. A file of another kind is named
 *   by its first bytes (a Git LFS pointer, a pickle, a page, ...), with the way out.
 * - S24_E_UNSUPPORTED: another version of GGUF, or a block type that is not known in that order.
 */
S24_API s24_status s24_file_open(s24_ctx *ctx, const char *path, s24_file **out);
/**
 * Number of tensors of an open file, and their names in the order in which they lie. A file that is
 * being written answers 0 and NULL.
 */
S24_API int64_t s24_file_count(const s24_file *file);
S24_API const char *s24_file_name(const s24_file *file, int64_t index);
/**
 * Shape, rank and stored type of a tensor. `shape` has room for 8 extents, outputs x inputs, the
 * contiguous extent last. The type is a name: "F32", "BF16", "Q4_1", ..., of a weight in a
 * quantised folder "gptq:int4" and the like; an unknown type has the name that the file gives it,
 * in GGUF "type 57". Each pointer may be NULL. S24_E_ARG: no tensor has this name, and the text
 * lists the nearest.
 */
S24_API s24_status s24_file_info(const s24_file *file, const char *name, int64_t *shape,
                                 int32_t *rank, const char **type);
/**
 * Borrow a tensor where it lies, read-only, until the file is destroyed. Rank 1 gives one row; a
 * rank above 2 is folded into rows. S24_E_DTYPE: the type has no S24 code, as all block types of
 * GGUF.
 */
S24_API s24_status s24_file_get(const s24_file *file, const char *name, s24_mat *view);
/**
 * The bytes of a tensor as they are stored, whatever its type, until the file is destroyed. They
 * may lie at any address. Of a weight in a quantised folder: its codes.
 */
S24_API s24_status s24_file_bytes(const s24_file *file, const char *name, const void **data,
                                  size_t *size);
/**
 * Copy a tensor out and convert it to dst->dtype as s24_mat_copy() does. Block types of GGUF and
 * weights of quantised folders (docs/formats.md lists them) are decoded to floats as their
 * definitions say, and converted from there. S24_E_DTYPE: a block type that is not decoded, an
 * unknown type; also integers and 8-bit floats where dst is of floats, since the codes of a
 * quantised model have no value without their scales.
 */
S24_API s24_status s24_file_read(const s24_file *file, const char *name, const s24_mat *dst);
/**
 * Whether s24_file_read() gives the tensor's values as floats: it holds floats, or is decoded to
 * them. S24_E_DTYPE: it does not, and the text says why and what can be done. Reads no values.
 */
S24_API s24_status s24_file_check_read(const s24_file *file, const char *name);
/**
 * Metadata as text, by key; s24_file_meta_key() enumerates the keys. NULL: there is no such key, or
 * no memory for the text, in which case s24_last_error() says so. The text is made when first asked
 * for and lives as long as the file.
 * - GGUF: numbers in decimal, "true" and "false", arrays as JSON.
 * - Folder: each value of config.json as "config.<key>", in nested objects "config.<key>.<key>",
 *   arrays as JSON; then the metadata of the safetensors files.
 */
S24_API const char *s24_file_meta(const s24_file *file, const char *key);
S24_API const char *s24_file_meta_key(const s24_file *file, int64_t index);
/**
 * Whether all files that were read (weights, index, config.json) still have the size and the time
 * of last change that they had when the file was opened. S24_E_STATE names a file that has changed
 * or is gone. Ask before committing what was made from this file.
 */
S24_API s24_status s24_file_check_source(const s24_file *file);

/**
 * Start a new file. It appears under `path` only when s24_file_commit() succeeds. A symbolic link
 * is replaced, not followed. Formats:
 * - "safetensors";
 * - "gguf" (version 3);
 * - "folder": safetensors files of at most 5 GB of tensors each, their index, and the files that
 *   s24_file_copy_meta() carries over. "folder[shard_bytes=N]" sets another limit of N bytes.
 *
 * S24_E_IO: the folder exists and is not empty, or the path is a directory, device or pipe where a
 * file is to be written.
 */
S24_API s24_status s24_file_create(s24_ctx *ctx, const char *path, const char *format,
                                   s24_file **out);
/**
 * Write a tensor now; nothing is borrowed. `type` is the stored type, NULL = that of mat. shape
 * NULL = (rows, cols); otherwise `rank` extents whose product is rows * cols, elements in row-major
 * order.
 *
 * GGUF also takes floats as Q4_0, Q4_1 and Q8_0. Values that such blocks hold exactly come back
 * equal (docs/formats.md); others are rounded as the format's reference quantiser does.
 * S24_E_NONFINITE: a value is not finite. S24_E_SHAPE: a row is not a whole number of blocks.
 */
S24_API s24_status s24_file_put(s24_file *file, const char *name, const s24_mat *mat,
                                const int64_t *shape, int32_t rank, const char *type);
/**
 * Write a tensor of an open file as it is stored there, whatever its type; a weight in a quantised
 * folder as the F32 that it is decoded to. S24_E_DTYPE: the new file's format has no such type.
 */
S24_API s24_status s24_file_put_stored(s24_file *file, const s24_file *from, const char *name);
/**
 * Write a packed matrix now; nothing is borrowed.
 * - GGUF: layouts q4_0, q4_1 and q8_0 become a tensor of that type, whose blocks are the packed
 *   bytes. S24_E_DTYPE: the format has no such type.
 * - safetensors and folder: each part becomes a tensor "<name>.<part>" with the shape that loaders
 *   of the layout want. The metadata "sparse24.packed.<name>" say how they belong together:
 *   "pack-quantized 576 192 F32 weight_packed,weight_scale,weight_shape".
 *
 * S24_E_ARG: the name is empty, too long or in use.
 */
S24_API s24_status s24_file_put_packed(s24_file *file, const char *name, const s24_packed *packed);
/**
 * The packed matrix of that name, where it lies in the file: checked completely, then borrowed, so
 * that s24_unpack() and s24_packed_multiply() work from the mapping. A tensor of type Q4_0, Q4_1 or
 * Q8_0 of a GGUF file is one in the layout of that name. Destroy it before the file.
 * - S24_E_ARG: the file has no such packed matrix.
 * - S24_E_FORMAT, S24_E_SHAPE: its parts or the metadata are damaged.
 */
S24_API s24_status s24_file_packed(const s24_file *file, const char *name, s24_packed **out);
/**
 * Take over all metadata of an open file of the same format. Typed values are copied byte for byte
 * and replace equal keys. Of a folder, the files beside its weights (configuration, tokenizer,
 * licence) are copied byte for byte, but without quantization_config if weights are decoded.
 * S24_E_UNSUPPORTED: another format.
 */
S24_API s24_status s24_file_copy_meta(s24_file *file, const s24_file *from);
/**
 * Whether every tensor and all metadata of `from` can be carried over into the file being written.
 * Ask before any work.
 * - S24_E_ARG: the format cannot hold a name (GGUF: 63 bytes).
 * - S24_E_DTYPE, S24_E_SHAPE: the format cannot hold a tensor.
 * - S24_E_UNSUPPORTED: another format, or a file beside the weights of more than 1 GiB.
 * - S24_E_IO, S24_E_FORMAT: a file beside the weights cannot be read, is a pipe, or is a link out
 *   of the folder.
 */
S24_API s24_status s24_file_check_copy(const s24_file *file, const s24_file *from);
/**
 * Set one key; value NULL removes it.
 * - GGUF: an existing key keeps its type. S24_E_ARG: the key is an array, or its type cannot hold
 *   the value. A new key is a string, except "general.alignment", "general.file_type" and
 *   "general.quantization_version", and lengths of keys, values and rotation, which are u32.
 * - Folder: "config.<key>" and "config.<key>.<key>" change the config.json that was carried over
 *   (S24_E_STATE before that). An existing value keeps its kind. A new value that begins with '{' or
 *   '[' is JSON, as are those of head_dim and num_key_value_heads; any other is a string. An object
 *   can only be removed as a whole.
 */
S24_API s24_status s24_file_set_meta(s24_file *file, const char *key, const char *value);
S24_API s24_status s24_file_commit(s24_file *file);
/** Close; a created file that was not committed leaves nothing behind. */
S24_API void s24_file_destroy(s24_file *file);

#ifdef __cplusplus
}
#endif
#endif
