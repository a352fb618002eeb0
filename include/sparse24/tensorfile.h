#ifndef SPARSE24_TENSORFILE_H
#define SPARSE24_TENSORFILE_H
#include "types.h"
#ifdef __cplusplus
extern "C" {
#endif

/* Experimental until interface version 1: names and signatures here may still change. */

/**
 * Map a safetensors file read-only. The header is validated before use: sizes, offsets, overlaps, types, depth, counts. S24_E_IO: the system refused;
 * S24_E_FORMAT: malformed, the text says where.
 */
S24_API s24_status s24_file_open(s24_ctx *ctx, const char *path, s24_file **out);
/** Tensors of an open file, by index in the order in which they lie; 0 and NULL for one that is being written. */
S24_API int64_t s24_file_count(const s24_file *file);
S24_API const char *s24_file_name(const s24_file *file, int64_t index);
/** Shape (room for 8), rank and stored type ("F32", "BF16", ...) of a tensor; each may be NULL. Unknown name: S24_E_ARG, the text lists
 *  the nearest. */
S24_API s24_status s24_file_info(const s24_file *file, const char *name, int64_t *shape,
                                 int32_t *rank, const char **type);
/** Borrow a tensor where it lies, read-only, until the file is destroyed. Rank 1 gives one row; rank above 2 is folded into rows. Types without an S24 code: S24_E_DTYPE. */
S24_API s24_status s24_file_get(const s24_file *file, const char *name, s24_mat *view);
/** Copy a tensor out, converting to dst->dtype as s24_mat_copy() does. */
S24_API s24_status s24_file_read(const s24_file *file, const char *name, const s24_mat *dst);
/** Metadata as text; enumerable; NULL if there is none. */
S24_API const char *s24_file_meta(const s24_file *file, const char *key);
S24_API const char *s24_file_meta_key(const s24_file *file, int64_t index);

/** Start a new file, format "safetensors"; it appears under `path` only when s24_file_commit() succeeds. */
S24_API s24_status s24_file_create(s24_ctx *ctx, const char *path, const char *format,
                                   s24_file **out);
/** Write a tensor now (nothing is borrowed), stored as `type` (NULL = as it is). shape NULL = (rows, cols); else `rank` extents whose
 *  product is rows * cols, elements in row-major order. */
S24_API s24_status s24_file_put(s24_file *file, const char *name, const s24_mat *mat,
                                const int64_t *shape, int32_t rank, const char *type);
S24_API s24_status s24_file_set_meta(s24_file *file, const char *key, const char *value);
S24_API s24_status s24_file_commit(s24_file *file);
/** Close; a created file that was not committed leaves nothing behind. */
S24_API void s24_file_destroy(s24_file *file);

#ifdef __cplusplus
}
#endif
#endif
