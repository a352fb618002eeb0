/* What happens to a text before it is cut: a list of steps. Knows no vocabulary. */
#ifndef S24M_NORMALIZE_H
#define S24M_NORMALIZE_H
#include "regex.h"

typedef enum normal_kind {
    NORMAL_FORM, /* compatible, compose */
    NORMAL_LOWER,
    NORMAL_REPLACE, /* `what`, or what `regex` finds, by `with` */
    NORMAL_PREPEND, /* `with` goes before a text that is not empty */
    NORMAL_STRIP,   /* white space at the ends: left, right */
    NORMAL_MARKS,   /* marks are left out */
    NORMAL_CHARSMAP /* SentencePiece's own table */
} normal_kind;

typedef struct normal_step {
    normal_kind kind;
    bool compatible, compose, left, right;
    buffer what, with; /* of NORMAL_CHARSMAP `what` is the table */
    regex *regex;
} normal_step;

enum { NORMAL_STEPS = 32 };

typedef struct normalizer {
    normal_step steps[NORMAL_STEPS];
    int count;
    buffer text[2]; /* in and out of a step, in turns */
    id_list work;
    regex *clusters;
} normalizer;

/* Add a step, of which all else is 0; NULL with the error set if there is no room. */
normal_step *s24m_normalizer_add(normalizer *n, normal_kind kind, const char *name);
void s24m_normalizer_free(normalizer *n);
/* The normalised text, borrowed until the next call; `text` itself without steps. */
bool s24m_normalize(normalizer *n, const char **text, size_t *size);

/* Add what the table of a SentencePiece model makes of a text; `clusters` finds its grapheme
 * clusters. Check the table before, once. */
bool s24m_charsmap_check(const buffer *table, const char *name);
bool s24m_charsmap(buffer *out, const buffer *table, regex *clusters, const char *text,
                   size_t size);

#endif
