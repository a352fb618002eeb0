/* Token ids from the command line, cut into rows of equal length. Knows no model. */
#ifndef TOKENS_H
#define TOKENS_H
#include "source.h"

typedef struct tokens {
    source source;
    s24_mat ids; /* one row a sequence, where they lie */
    char *name;  /* for errors: which argument, file and tensor */
} tokens;

/* Read FILE[:TENSOR], an integer tensor of rank 2, one row a sequence, or of rank 1. With `context` all its ids are joined and cut anew
 * into rows of that length, an incomplete last one left out; a tensor of rank 1 needs it. The first `rows` are taken, 0 = all. `what` names the
 * argument in messages. */
bool tokens_open(tokens *t, s24_ctx *ctx, const char *what, const char *text, int64_t rows,
                 int64_t context);
void tokens_close(tokens *t);

#endif
