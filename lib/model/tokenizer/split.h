/* Cutting a text into words, the pre-tokenizer: a list of steps, each of which cuts or rewrites the
 * pieces of the one before. Knows no vocabulary. */
#ifndef S24M_SPLIT_H
#define S24M_SPLIT_H
#include "buffer.h"
#include "regex.h"

/* What becomes of the pieces that match and of those between, as tokenizer.json names it. */
typedef enum behaviour {
    ISOLATED,
    REMOVED,
    MERGED_WITH_PREVIOUS,
    MERGED_WITH_NEXT,
    CONTIGUOUS
} behaviour;

typedef enum split_kind {
    SPLIT_CUT,     /* by a regular expression */
    SPLIT_LETTERS, /* bytes become the letters of byte-level vocabularies */
    SPLIT_REPLACE, /* each blank becomes `text` */
    SPLIT_PREPEND  /* `text` goes before, unless it is there */
} split_kind;

typedef struct split_step {
    split_kind kind;
    behaviour how;
    bool invert;     /* SPLIT_CUT: what does not match is the match */
    bool first_only; /* SPLIT_PREPEND: only before the whole text */
    char text[8];
    regex *regex;
    buffer scratch;
} split_step;

enum { SPLIT_STEPS = 24 };

typedef struct splitter {
    split_step steps[SPLIT_STEPS];
    int count;
} splitter;

/* Add a step; `name` stands in errors. */
bool s24m_split_add_cut(splitter *s, const char *pattern, size_t size, behaviour how, bool invert,
                        const char *name);
bool s24m_split_add(splitter *s, split_kind kind, const char *text, bool first_only,
                    const char *name);
bool s24m_split_has(const splitter *s, split_kind kind);
void s24m_splitter_free(splitter *s);

typedef bool (*word_fn)(void *arg, const char *text, size_t size);
/* Call `word` for each word in order. `first`: the text begins here. */
bool s24m_split(splitter *s, const char *text, size_t size, bool first, word_fn word, void *arg);

/* The letter of a byte, in UTF-8; the byte of a letter, -1 for any other character. */
size_t s24m_letter(unsigned char byte, char text[4]);
int s24m_letter_byte(uint32_t c);

#endif
