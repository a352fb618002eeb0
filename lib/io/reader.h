/* Files of tensors, open for reading: what all formats have in common. Knows tensors as s24_mat and
 * nothing of contexts or handles. */
#ifndef S24I_READER_H
#define S24I_READER_H
#include "base/element.h"
#include "base/memory.h"
#include "list.h"
#include "os.h"

#define S24I_MAX_RANK 8

typedef struct s24i_packing s24i_packing;

typedef struct s24i_tensor {
    const char *name;
    const s24i_element *element;
    const char *type; /* the element's name, also of one that is not known */
    uint32_t number;  /* of such a one in GGUF */
    int32_t rank;
    int64_t shape[S24I_MAX_RANK]; /* row-major: the last extent is contiguous */
    const unsigned char *data;    /* in a mapping, or a copy in our byte order */
    const unsigned char *stored;  /* then the mapping's; else NULL */
    const s24i_packing *packing;  /* that it is decoded from (packing.h), `data` being its codes */
    uint64_t size;                /* bytes */
    void *aligned; /* private copy of one that lies misaligned in the file, once it was viewed */
} s24i_tensor;

/* A file that was read, as it was then. */
typedef struct s24i_source {
    char *path;
    s24i_os_stamp stamp;
} s24i_source;

/* A reader never changes after opening, except for copies that a view makes and texts of metadata:
 * one thread at a time. Each format's own struct begins with this one. */
typedef struct s24i_reader s24i_reader;

typedef struct s24i_reader_class {
    const char *format;                 /* as s24_file_create() takes it */
    void (*close)(s24i_reader *reader); /* all but the mapping */
    /* Value of a key, NULL without it (S24_E_MEMORY for its text); the key at an index, NULL past
     * the end. In the file's order. */
    s24_status (*meta)(s24i_reader *reader, const char *key, const char **value);
    const char *(*meta_key)(const s24i_reader *reader, int64_t index);
} s24i_reader_class;

struct s24i_reader {
    const s24i_reader_class *class;
    s24i_memory *memory;
    const void *map; /* of the one file that is read, or NULL */
    uint64_t map_size;
    s24i_list sources; /* s24i_source */
    int64_t count;
    s24i_tensor *tensors;
    const void **by_place, **by_name; /* s24i_tensor */
    const char *undecoded;            /* of a quantised model: what is not, or NULL */
};

/* (open.c, open_file.c) A safetensors file, a GGUF file or a folder, by what is there. Everything
 * is validated: S24_E_IO, S24_E_FORMAT (the text says where), S24_E_UNSUPPORTED or S24_E_MEMORY. */
s24_status s24i_reader_open(s24i_memory *memory, const char *path, s24i_reader **out);
/* One file, also when it is but a part. */
s24_status s24i_reader_open_file(s24i_memory *memory, const char *path, s24i_reader **out);
void s24i_reader_close(s24i_reader *reader); /* NULL is allowed */

/* In the order in which they lie. NULL outside [0, count). */
const s24i_tensor *s24i_reader_at(const s24i_reader *reader, int64_t index);
const s24i_tensor *s24i_reader_look(const s24i_reader *reader, const char *name); /* or NULL */
/* S24_E_ARG and the three nearest names if there is none of that name. */
s24_status s24i_reader_find(const s24i_reader *reader, const char *name, const s24i_tensor **out);
/* Rows and columns of the tensor as a matrix: rank 0 is 1 x 1, rank 1 is one row, above 2 all but
 * the last dimension are folded into rows. */
void s24i_tensor_extents(const s24i_tensor *tensor, int64_t *rows, int64_t *cols);
/*
 * The tensor as that matrix. It lies in the read-only mapping, or in a copy owned by `reader` when
 * the file has it at an address that its type cannot have (S24_E_MEMORY). Writing to it is a crash.
 * S24_E_DTYPE for types without an S24 code.
 */
s24_status s24i_reader_view(s24i_reader *reader, const char *name, s24_mat *view);
/* Whether s24i_reader_view() gives floats or s24i_tensor_decode() makes some: S24_E_DTYPE says why
 * not. */
s24_status s24i_reader_check_values(const s24i_reader *reader, const char *name);
s24_status s24i_reader_meta(s24i_reader *reader, const char *key, const char **value);
const char *s24i_reader_meta_key(const s24i_reader *reader, int64_t index);
/* S24_E_STATE and the file's name if one that was read has been changed or is gone since. */
s24_status s24i_reader_check_sources(const s24i_reader *reader);

/* ---- decode.c: tensors whose values are no numbers as they lie. ---- */

enum { S24I_DECODED_ROWS = 16 };

/* Bytes that a copy has: of codes and scales it is of floats. */
uint64_t s24i_tensor_written(const s24i_tensor *tensor);

static inline bool s24i_tensor_is_decoded(const s24i_tensor *tensor)
{
    return tensor->packing || tensor->element->decode;
}
/* Rows [first, first + count) of the matrix that s24i_tensor_extents() tells, as floats; they lie
 * `stride` apart. Only of a tensor that is decoded; at most S24I_DECODED_ROWS rows. */
void s24i_tensor_decode(const s24i_tensor *tensor, int64_t first, int64_t count, float *out,
                        int64_t stride);

/* ---- For the formats. ---- */

/* Note a file that is read, with a stamp from before that. */
s24_status s24i_reader_note(s24i_reader *reader, const char *path, s24i_os_stamp stamp);
/* Room for `count` tensors, zero. */
s24_status s24i_reader_reserve(s24i_reader *reader, int64_t count);
/* Bytes that element and shape want: S24_E_FORMAT when they are not whole or too many. A dimension
 * of 0 does not excuse an overflow of the others: a view counts rows on their own. */
s24_status s24i_tensor_measure(const s24i_tensor *tensor, uint64_t *size);
/* S24_E_FORMAT and "tensor 'name': what". */
s24_status s24i_bad_tensor(const s24i_tensor *tensor, const char *what);
/* Once all tensors are filled in: index them by name, in the order as filled. S24_E_FORMAT: a name
 * twice. */
s24_status s24i_reader_index(s24i_reader *reader);
/* The same for tensors of one mapping, in the order in which they lie. S24_E_FORMAT also when data
 * overlap. */
s24_status s24i_reader_index_places(s24i_reader *reader);
/* What s24i_reader_reserve() took and the copies of views. */
void s24i_reader_release(s24i_reader *reader);

/* On success the mapping is the reader's. */
s24_status s24i_safetensors_read(s24i_memory *memory, const void *map, uint64_t size,
                                 s24i_reader **out);
s24_status s24i_gguf_read(s24i_memory *memory, const void *map, uint64_t size, s24i_reader **out);
/* With a GGUF model in place of safetensors files: no reader, but the path of one of its files, for
 * s24i_strfree(). */
s24_status s24i_folder_open(s24i_memory *memory, const char *path, char **gguf, s24i_reader **out);

#endif
