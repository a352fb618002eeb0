#ifndef SPARSE24_TENSORFILE_H
#define SPARSE24_TENSORFILE_H
#include "types.h"
#ifdef __cplusplus
extern "C" {
#endif

/* Experimental until interface version 1: names and signatures here may still change. */

/**
 * Map a safetensors file, a GGUF file (version 2 or 3, little-endian; any part of one that was split stands for all of them, which lie
 * beside it), a Hugging Face folder (model.safetensors, or model.safetensors.index.json and the shards it names) or a folder that holds one GGUF
 * model, read-only; which of them, the path's content says. Everything is validated before use:
 * sizes, offsets, overlaps, types, depth, counts. Of a folder nothing outside is ever opened (docs/formats.md: symbolic links).
 * S24_E_IO: the system refused; S24_E_FORMAT: malformed, the text says where; S24_E_UNSUPPORTED: another version or byte order of GGUF. What is none of these is
 * named by its first bytes (a Git LFS pointer, a pickle, a page, ...), with the way out.
 * One thread at a time may use a file.
 */
S24_API s24_status s24_file_open(s24_ctx *ctx, const char *path, s24_file **out);
/** Tensors of an open file, by index in the order in which they lie; 0 and NULL for one that is being written. */
S24_API int64_t s24_file_count(const s24_file *file);
S24_API const char *s24_file_name(const s24_file *file, int64_t index);
/** Shape (room for 8; outputs x inputs, the contiguous extent last), rank and stored type ("F32", "BF16", "Q4_1", ...; one that is not known
 *  by the name that the file has for it, in GGUF "type 57") of a tensor; each may be NULL. Unknown name: S24_E_ARG, the text lists the nearest. */
S24_API s24_status s24_file_info(const s24_file *file, const char *name, int64_t *shape,
                                 int32_t *rank, const char **type);
/** Borrow a tensor where it lies, read-only, until the file is destroyed. Rank 1 gives one row; rank above 2 is folded into rows. Types without an S24 code,
 *  all of GGUF's block types among them: S24_E_DTYPE. */
S24_API s24_status s24_file_get(const s24_file *file, const char *name, s24_mat *view);
/** The bytes of a tensor as they are stored, whatever its type, until the file is destroyed. They may lie at any address. */
S24_API s24_status s24_file_bytes(const s24_file *file, const char *name, const void **data,
                                  size_t *size);
/** Copy a tensor out, converting to dst->dtype as s24_mat_copy() does. Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0 are decoded, to floats as their
 *  definition says and from there to dst->dtype; S24_E_DTYPE for other block types, unknown ones, and integers and 8-bit floats where dst is of
 *  floats: codes of a quantised model have no value without their scales. */
S24_API s24_status s24_file_read(const s24_file *file, const char *name, const s24_mat *dst);
/**
 * Metadata as text; enumerable; NULL if there is none (or no memory for the text, s24_last_error() says so). GGUF: numbers in decimal,
 * true and false, arrays as JSON; folder: each value of config.json as "config.<key>", in nested objects "config.<key>.<key>", arrays as
 * JSON, then what the safetensors files have. The text is made when first asked for and lives as long as the file.
 */
S24_API const char *s24_file_meta(const s24_file *file, const char *key);
S24_API const char *s24_file_meta_key(const s24_file *file, int64_t index);
/** Whether all that was read (weights, index, config.json) still has the size and the time of last change that it had when the file was
 *  opened: S24_E_STATE names what has not, or is gone. Ask before committing what was made from it. */
S24_API s24_status s24_file_check_source(const s24_file *file);

/**
 * Start a new file, which appears under `path` only when s24_file_commit() succeeds. Format "safetensors"; "gguf" (version 3); or "folder",
 * safetensors files of at most 5 GB of tensors each ("folder[shard_bytes=N]": N bytes), their index, and what s24_file_copy_meta() carries
 * over. S24_E_IO: a folder that is not new or empty; a file in place of a directory, device or pipe. A
 * symbolic link is replaced, not followed.
 */
S24_API s24_status s24_file_create(s24_ctx *ctx, const char *path, const char *format,
                                   s24_file **out);
/** Write a tensor now (nothing is borrowed), stored as `type` (NULL = as it is). shape NULL = (rows, cols); else `rank` extents whose
 *  product is rows * cols, elements in row-major order. GGUF also takes floats as Q4_0, Q4_1 and Q8_0: values that such blocks can hold
 *  exactly come back equal (docs/formats.md), others as the format's reference quantiser rounds them; S24_E_NONFINITE for values that are
 *  not finite, S24_E_SHAPE for rows of no whole blocks. */
S24_API s24_status s24_file_put(s24_file *file, const char *name, const s24_mat *mat,
                                const int64_t *shape, int32_t rank, const char *type);
/** Write a tensor of an open file as it is stored there, whatever its type. S24_E_DTYPE: the new file's format has no such type. */
S24_API s24_status s24_file_put_stored(s24_file *file, const s24_file *from, const char *name);
/** Take over all metadata of an open file of the same format, typed values byte for byte, replacing equal keys; of a folder, the files
 *  beside its weights (configuration, tokenizer, licence) byte for byte. S24_E_UNSUPPORTED: another format. */
S24_API s24_status s24_file_copy_meta(s24_file *file, const s24_file *from);
/** Whether every tensor and all metadata of `from` could be carried over into the file being written, before any work: S24_E_ARG for a
 *  name that the format cannot hold (GGUF: 63 bytes), S24_E_DTYPE, S24_E_SHAPE, S24_E_UNSUPPORTED (another format; a file beside the weights of
 *  more than 1 GiB), S24_E_IO, S24_E_FORMAT (one that is a pipe, or a link out of the folder). */
S24_API s24_status s24_file_check_copy(const s24_file *file, const s24_file *from);
/** Set one key; value NULL removes it. GGUF: a key that is there keeps its type (S24_E_ARG for arrays and for what the type cannot hold), a new
 *  one is a string, but "general.alignment" and "general.file_type" a u32. Folder: "config.<key>" and "config.<key>.<key>" change the
 *  config.json that was carried over (S24_E_STATE before that); a value that is there keeps its kind, a new one is a string, an object can be removed whole. */
S24_API s24_status s24_file_set_meta(s24_file *file, const char *key, const char *value);
S24_API s24_status s24_file_commit(s24_file *file);
/** Close; a created file that was not committed leaves nothing behind. */
S24_API void s24_file_destroy(s24_file *file);

#ifdef __cplusplus
}
#endif
#endif
