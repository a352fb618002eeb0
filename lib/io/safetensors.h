/* safetensors files, written. Knows the format, matrices as s24_mat and nothing of contexts or handles. */
#ifndef S24I_SAFETENSORS_H
#define S24I_SAFETENSORS_H
#include "reader.h"

/* ---- Writing. Tensor bytes go to a nameless file beside `path` at once; `path` appears, complete, in commit. ---- */

typedef struct s24i_safetensors_writer s24i_safetensors_writer;

s24_status s24i_safetensors_create(s24i_memory *memory, const char *path,
                                   s24i_safetensors_writer **out);
/*
 * `shape` NULL: (rows, cols). Else its product must be rows * cols; elements go in row-major order. `type` NULL: as mat->dtype. Conversions
 * offered: between F64, F32, F16 and BF16 (to nearest even, one rounding), and between BOOL and U8 (not 0 becomes 1). S24_E_ARG: an empty
 * name, "__metadata__", a name in use, not UTF-8 or with control characters; S24_E_DTYPE: no such type or conversion; S24_E_SHAPE;
 * S24_E_STATE after commit. A call that fails has added nothing.
 */
s24_status s24i_safetensors_put(s24i_safetensors_writer *writer, const char *name,
                                const s24_mat *mat, const int64_t *shape, int32_t rank,
                                const char *type);
/* Setting a key again replaces its value. S24_E_ARG: empty key, or not UTF-8; S24_E_STATE after commit. */
s24_status s24i_safetensors_set_meta(s24i_safetensors_writer *writer, const char *key,
                                     const char *value);
/*
 * Write header and data to a temporary file, fsync it, rename it over `path`, fsync the directory. On failure what was at `path` is
 * untouched, nothing is left beside it, and commit may be tried again; only when the very last step, the directory's fsync, fails the
 * new file is in place and the text says so. Equal calls give equal bytes.
 */
s24_status s24i_safetensors_commit(s24i_safetensors_writer *writer);
void s24i_safetensors_discard(s24i_safetensors_writer *writer); /* release; NULL is allowed */

#endif
