/* Weights of ggml as packed matrices of libsparse24, and products with them. Knows of ggml types
 * and tensors only. */
#ifndef WEIGHTS_H
#define WEIGHTS_H
#include <ggml.h>
#include <sparse24/sparse24.h>
#include <stdbool.h>

/* What all weights share: a context, its threads, the scratch of products. */
typedef struct pool {
    s24_ctx *ctx;
    s24_product *sharing;
    int64_t round;  /* products that were prepared for fewer threads are of an earlier one */
    int64_t packed; /* matrices that were packed, of them as 2:4, and their bytes */
    int64_t half, bytes;
} pool;

typedef struct weights {
    s24_packed *packed;
    s24_product *product;
    int64_t round;
} weights;

/* A type of which weights are taken. */
bool weights_type(enum ggml_type type);
/* The tensor's content as it lies in a file: 2:4 if it obeys that, else dense; NULL, with the
 * library's error text, if it cannot be packed. */
weights *weights_pack(pool *p, const struct ggml_tensor *tensor, const void *data);
void weights_free(weights *w);
/* The content again; bit for bit but for zeros, which lose their sign. */
bool weights_unpack(pool *p, const weights *w, const struct ggml_tensor *tensor, void *data);
/* dst = x w^T, as GGML_OP_MUL_MAT. */
bool weights_multiply(pool *p, weights *w, const struct ggml_tensor *x, struct ggml_tensor *dst);

#endif
