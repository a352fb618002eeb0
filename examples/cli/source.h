/* A tensor of a file as named on the command line, FILE[:TENSOR]. Does not know what it is for. */
#ifndef SOURCE_H
#define SOURCE_H
#include <sparse24/sparse24.h>
#include <stdbool.h>

typedef struct source {
    char *path, *tensor; /* tensor: NULL if none was named (source_open() fills it in) */
    s24_file *file;
    s24_mat view; /* into the mapped file, or `decoded` */
    void *decoded;
} source;

/* The tensor as a matrix: where it lies in the file, or, if it is stored in blocks, decoded to F32 in
 * *decoded (to be freed). On failure the library's text is there. */
bool tensor_view(const s24_file *file, const char *name, s24_mat *view, void **decoded);

/* Split the text and map the file; `what` names the argument in messages. A path that exists wins
 * over a split. */
bool source_open_file(source *s, s24_ctx *ctx, const char *what, const char *text);
/* The same and borrow the tensor, whose rank must be 2 or, if `folded`, at least 2. Without a
 * name: the only one of rank 2, or among several the one that `solve --out` writes for this purpose: "weights", "mask". */
bool source_open(source *s, s24_ctx *ctx, const char *what, const char *text, bool folded);
/* The same for tensors of rank `lowest` or above, whose rank is returned; without a name the only one of them. */
bool source_open_ranks(source *s, s24_ctx *ctx, const char *what, const char *text, int32_t lowest,
                       int32_t *rank);
/* Whether the file has a tensor of that name. */
bool source_has(const source *s, const char *name);
void source_close(source *s);

/* Rows [first, first + count) of a view, without a copy. */
s24_mat rows_of(const s24_mat *mat, int64_t first, int64_t count);

#endif
