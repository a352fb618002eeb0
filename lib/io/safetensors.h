/* safetensors files, both ways. Knows the format, matrices as s24_mat and nothing of contexts or handles. */
#ifndef S24I_SAFETENSORS_H
#define S24I_SAFETENSORS_H
#include "base/memory.h"

#define S24I_MAX_RANK 8

/* One row of the format's element types. */
typedef struct s24i_element {
    const char *name; /* "BF16" */
    int32_t bits;
    int32_t dtype; /* S24_BF16; 0: no code for it */
} s24i_element;

const s24i_element *s24i_element_by_name(const char *name); /* NULL if unknown */
const s24i_element *s24i_element_by_dtype(int32_t dtype);

/* ---- Reading. A reader never changes after opening, except for copies that s24i_safetensors_view() makes: one thread at a time. ---- */

typedef struct s24i_tensor {
    const char *name;
    const s24i_element *element;
    int32_t rank;
    int64_t shape[S24I_MAX_RANK];
    uint64_t begin, size; /* in the data section */
    void *aligned; /* private copy of one that lies misaligned in the file, once it was viewed */
} s24i_tensor;

typedef struct s24i_safetensors s24i_safetensors;

/* Map and validate everything. S24_E_IO, S24_E_FORMAT (the text says where) or S24_E_MEMORY. */
s24_status s24i_safetensors_open(s24i_memory *memory, const char *path, s24i_safetensors **out);
void s24i_safetensors_close(s24i_safetensors *file); /* NULL is allowed */

/* In the order in which they lie. NULL outside [0, count). */
int64_t s24i_safetensors_count(const s24i_safetensors *file);
const s24i_tensor *s24i_safetensors_at(const s24i_safetensors *file, int64_t index);
/* S24_E_ARG and the three nearest names if there is none of that name. */
s24_status s24i_safetensors_find(const s24i_safetensors *file, const char *name,
                                 const s24i_tensor **out);
/*
 * The tensor as a matrix: rank 0 is 1 x 1, rank 1 is one row, above 2 all but the last dimension are folded into rows. It lies in the
 * read-only mapping, or in a copy owned by `file` when the file has it at an address that its type cannot have (S24_E_MEMORY). Writing to
 * it is a crash. S24_E_DTYPE for types without an S24 code.
 */
s24_status s24i_safetensors_view(s24i_safetensors *file, const char *name, s24_mat *view);

/* NULL without that key, or past the end. In the file's order. */
const char *s24i_safetensors_meta(const s24i_safetensors *file, const char *key);
const char *s24i_safetensors_meta_key(const s24i_safetensors *file, int64_t index);

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
