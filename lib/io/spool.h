/* Writers of one file: tensors go to a nameless file at once, a header and they make the file in
 * commit. Knows matrices and elements; the formats supply the header. */
#ifndef S24I_SPOOL_H
#define S24I_SPOOL_H
#include "base/json.h"
#include "names.h"
#include "writer.h"

typedef struct s24i_entry {
    char *name;
    const s24i_element *element;
    char *type;      /* of one that is not known; else NULL */
    uint32_t number; /* of such a one in GGUF */
    int32_t rank;
    int64_t shape[S24I_MAX_RANK];
    uint64_t begin, size; /* in the spool */
} s24i_entry;

typedef struct s24i_spool s24i_spool;

typedef struct s24i_spool_class {
    s24i_writer_class writer;
    int32_t max_rank, max_name;
    const char *reserved; /* a name that no tensor may have, or NULL */
    bool (*takes)(const s24i_element *element);
    uint64_t (*alignment)(const s24i_spool *spool);                 /* of each tensor in the file */
    s24_status (*header)(const s24i_spool *spool, s24i_text *text); /* all that goes before them */
} s24i_spool_class;

struct s24i_spool {
    s24i_writer writer;
    int fd; /* all tensor bytes so far, in order; bytes after `size` are of no account */
    uint64_t size;
    s24i_list entries; /* s24i_entry, in the order of the calls */
    s24i_names names;  /* of all of them */
    unsigned char *chunk;
};

/* Fill in a struct of the format that begins with `spool` and is zero; on failure
 * s24i_spool_close() it. */
s24_status s24i_spool_open(s24i_spool *spool, const s24i_spool_class *class, s24i_memory *memory,
                           const char *path);
void s24i_spool_close(s24i_spool *spool);
/* For the class record. */
s24_status s24i_spool_put(s24i_writer *writer, const char *name, const s24_mat *mat,
                          const int64_t *shape, int32_t rank, const char *type);
s24_status s24i_spool_put_stored(s24i_writer *writer, const s24i_tensor *tensor);
s24_status s24i_spool_check_stored(s24i_writer *writer, const s24i_tensor *tensor);
s24_status s24i_spool_appear(s24i_writer *writer);
/* The file under another path than the writer's, which stays open. */
s24_status s24i_spool_publish(const s24i_spool *spool, const char *path);
/* `at` or the next multiple. */
uint64_t s24i_align(uint64_t at, uint64_t alignment);

/* ---- entry.c: what a call wants, checked, and its values. ---- */

/* NULL, or what is wrong with a name. */
const char *s24i_fault_of_name(const s24i_spool_class *class, const char *name);
/* Element, rank, shape and size of `entry`. S24_E_ARG, S24_E_SHAPE, S24_E_DTYPE. */
s24_status s24i_entry_fill(s24i_entry *entry, const s24i_spool_class *class, const s24_mat *mat,
                           const int64_t *shape, int32_t rank, const char *type);
/* Elements [first, first + count) of the matrix, in row-major order, as bytes of the entry's type.
 * `count` is of whole blocks. S24_E_NONFINITE names the place. */
s24_status s24i_entry_encode(const s24i_entry *entry, const s24_mat *mat, int64_t first,
                             int64_t count, unsigned char *bytes);
/* May the matrix be written where it lies? */
bool s24i_entry_is_plain(const s24i_entry *entry, const s24_mat *mat);

#endif
