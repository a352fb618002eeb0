/* The parts of a matrix on a grid, and what a loader of them computes. docs/formats.md. */
#ifndef CODES_H
#define CODES_H
#include <sparse24/sparse24.h>
#include <stdbool.h>

typedef struct codes {
    s24_mat codes, scales, zeros;
    s24_mat outliers, sparse, u, v; /* data NULL: there are none */
} codes;

/* False: not on a grid. */
bool s24m_codes_of_result(const s24_result *result, codes *c);
/* Of a file with tensors "<tensor>.codes" and so on. */
bool s24m_codes_of_file(const s24_file *file, const char *tensor, codes *c);
/* `values`, of the codes' shape, come in as they are stored, zero where something was pruned, and
 * become the codes'; under a rank the sum of the sparse part and the factors. `constraints` tell
 * the groups. */
bool s24m_codes_decode(const codes *c, s24_ctx *ctx, const char *constraints, float *values);
/* values += u v, of floats; values contiguous and of single precision. */
bool s24m_codes_add_product(s24_ctx *ctx, const s24_mat *u, const s24_mat *v, s24_mat *values);

#endif
