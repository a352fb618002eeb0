/* Rows of token ids from the command line, read by the library from a text or from ids. */
#ifndef TOKENS_H
#define TOKENS_H
#include "args.h"
#include <sparse24/model.h>

typedef struct tokens {
    s24_tokens *rows;
    s24_mat ids; /* one row a sequence */
    char *name;  /* for errors: which argument, file and tensor */
} tokens;

/* Take another tokenizer than the model's own, if --tokenizer names one. */
bool tokens_choose(s24_model *model, const args *a);
/* Read a file for this model, with --context, --field and --bos; the first `rows` are taken, 0 = all.
 * `what` names the argument in messages. */
bool tokens_open(tokens *t, s24_model *model, const args *a, const char *what, const char *path,
                 int64_t rows);
void tokens_close(tokens *t);

#endif
