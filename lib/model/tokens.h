/* Token ids of rows of equal length, as numbers of a vocabulary. Knows no model but the size of
 * that. */
#ifndef S24M_TOKENS_H
#define S24M_TOKENS_H
#include "fail.h"

typedef struct tokens {
    int32_t *ids; /* rows x length */
    int64_t rows, length;
    int64_t pixels; /* of a row, floats in the place of ids (image.h); 0: they are ids */
} tokens;

/* Whether ids may be of that type. */
bool s24m_is_integer(int32_t dtype);
/* Copy the ids of a matrix of 16, 32 or 64-bit integers, one row a sequence of at least two. `name`
 * goes into errors, which tell the place of an id that is outside the vocabulary. */
bool s24m_tokens_take(tokens *t, const s24_mat *ids, const char *name, int64_t vocabulary);
/* The same of at least one token. */
bool s24m_tokens_take_prompts(tokens *t, const s24_mat *ids, const char *name, int64_t vocabulary);
void s24m_tokens_close(tokens *t);

#endif
