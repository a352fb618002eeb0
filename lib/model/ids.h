/* Token ids where they lie in files. Knows no model. */
#ifndef S24M_IDS_H
#define S24M_IDS_H
#include "tokenizer/buffer.h"

typedef struct id_source {
    s24_mat ids;  /* a list is one row */
    bool is_list; /* of rank 1 */
    char *name;   /* FILE or FILE:TENSOR */
    s24_file *file;
    buffer bytes;
} id_source;

/* The array of a .npy. */
bool s24m_numpy_open(id_source *s, const char *path);
/* FILE, whose only tensor of rank 1 or 2 it is, or with its name. */
bool s24m_id_tensor_open(id_source *s, s24_ctx *ctx, const char *path, const char *tensor);
void s24m_id_source_close(id_source *s);

#endif
