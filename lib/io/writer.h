/* Files of tensors being written: what all formats have in common. Knows tensors as s24_mat and
 * nothing of contexts or handles. */
#ifndef S24I_WRITER_H
#define S24I_WRITER_H
#include "reader.h"

/* Each format's own struct begins with this one. */
typedef struct s24i_writer s24i_writer;

typedef struct s24i_writer_class {
    const char *format; /* as s24_file_create() takes it */
    s24_status (*put)(s24i_writer *writer, const char *name, const s24_mat *mat,
                      const int64_t *shape, int32_t rank, const char *type);
    s24_status (*put_stored)(s24i_writer *writer, const s24i_tensor *tensor);
    s24_status (*check_stored)(s24i_writer *writer, const s24i_tensor *tensor);
    s24_status (*set_meta)(s24i_writer *writer, const char *key, const char *value);
    s24_status (*copy_meta)(s24i_writer *writer, s24i_reader *from);  /* from the same format */
    s24_status (*check_meta)(s24i_writer *writer, s24i_reader *from); /* NULL: any can be copied */
    s24_status (*appear)(s24i_writer *writer); /* under its path, all of it or not at all */
    void (*discard)(s24i_writer *writer);
} s24i_writer_class;

struct s24i_writer {
    const s24i_writer_class *class;
    s24i_memory *memory;
    char *path;
    bool committed;
};

/* (create.c) `format` is "safetensors", "gguf", "folder" or "folder[shard_bytes=N]";
 * S24_E_UNSUPPORTED if it is another, S24_E_OPTION for a bad N. */
s24_status s24i_writer_create(s24i_memory *memory, const char *path, const char *format,
                              s24i_writer **out);
/*
 * `shape` NULL: (rows, cols). Else its product must be rows * cols; elements go in row-major order.
 * `type` NULL: as mat->dtype. Conversions offered: between F64, F32, F16 and BF16 (to nearest even,
 * one rounding), from these to the block types that can be encoded (blocks.c; S24_E_NONFINITE), and
 * between BOOL and U8 (not 0 becomes 1). S24_E_ARG: an empty name, one that the format reserves or
 * finds too long, a name in use, not UTF-8 or with control characters; S24_E_DTYPE: no such type or
 * conversion; S24_E_SHAPE; S24_E_STATE after commit. A call that fails has added nothing.
 */
s24_status s24i_writer_put(s24i_writer *writer, const char *name, const s24_mat *mat,
                           const int64_t *shape, int32_t rank, const char *type);
/* The bytes of a tensor as they are. S24_E_DTYPE: the format has no such type. */
s24_status s24i_writer_put_stored(s24i_writer *writer, const s24i_tensor *tensor);
/* Setting a key again replaces its value, NULL removes it. S24_E_ARG: empty key, or not UTF-8;
 * S24_E_STATE after commit. */
s24_status s24i_writer_set_meta(s24i_writer *writer, const char *key, const char *value);
/* All metadata of a file of the same format, byte for byte (S24_E_UNSUPPORTED from another); of a
 * folder, the files beside the weights. */
s24_status s24i_writer_copy_meta(s24i_writer *writer, s24i_reader *from);
/* Whether all that is in `from` could be put and copied, before anything is: the first fault of a
 * tensor's name, type or rank, of the format, of a file beside the weights. */
s24_status s24i_writer_check_copy(s24i_writer *writer, s24i_reader *from);
/*
 * Write everything to a temporary name, fsync it, rename it to `path`, fsync the directory. On
 * failure what was at `path` is untouched, nothing is left beside it, and commit may be tried
 * again; only when the very last step, the directory's fsync, fails the new file is in place and
 * the text says so. Equal calls give equal bytes.
 */
s24_status s24i_writer_commit(s24i_writer *writer);
void s24i_writer_discard(s24i_writer *writer); /* release; NULL is allowed */

s24_status s24i_safetensors_create(s24i_memory *memory, const char *path, s24i_writer **out);
/* A part of a folder: nothing is looked for at `path`, in whose directory the data wait, and
 * s24i_spool_publish() names the file. */
s24_status s24i_safetensors_shard(s24i_memory *memory, const char *path, s24i_writer **out);
s24_status s24i_gguf_create(s24i_memory *memory, const char *path, s24i_writer **out);
/* Files of at most `shard_bytes` of tensors each, but a larger tensor has one of its own. */
s24_status s24i_folder_create(s24i_memory *memory, const char *path, uint64_t shard_bytes,
                              s24i_writer **out);

#endif
