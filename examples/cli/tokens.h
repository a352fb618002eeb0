/* Token ids from the command line, cut into rows of equal length and checked. Knows no model but the size of its vocabulary. */
#ifndef TOKENS_H
#define TOKENS_H
#include <sparse24/sparse24.h>
#include <stdbool.h>

typedef struct tokens {
    int32_t *ids; /* rows x length */
    int64_t rows, length;
} tokens;

/* Read FILE[:TENSOR], an integer tensor of rank 2, one row a sequence, or of rank 1. With `context` all its ids are joined and cut anew
 * into rows of that length, an incomplete last one left out; a tensor of rank 1 needs it. The first `rows` are taken, 0 = all. `what` names the
 * argument in messages. */
bool tokens_open(tokens *t, s24_ctx *ctx, const char *what, const char *text, int64_t rows,
                 int64_t context, int64_t vocabulary);
void tokens_close(tokens *t);

#endif
