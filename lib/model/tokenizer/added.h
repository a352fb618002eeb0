/* Tokens that stand in a text as a whole, before anything else is cut. Knows places, no words. */
#ifndef S24M_ADDED_H
#define S24M_ADDED_H
#include "trie.h"

typedef struct added_token {
    int32_t id;
    bool special;     /* only where special tokens are asked for */
    bool word;        /* not within a word */
    bool left, right; /* takes the white space beside it along */
    bool normalized;  /* looked for behind the normaliser, and normalised itself */
    size_t at, size;  /* in the list's text */
} added_token;

typedef struct added_list {
    buffer text;
    added_token *tokens;
    size_t count, room;
    trie raw, normal; /* values are indices of tokens */
    bool starts_raw[256], starts_normal[256];
} added_list;

bool s24m_added_add(added_list *a, added_token token, const char *text, size_t size);
void s24m_added_free(added_list *a);

typedef struct added_match {
    size_t begin, end;
    int32_t id;
} added_match;

/* The first of text[from .. size), the longest of those that begin there; false: there is none. */
bool s24m_added_find(const added_list *a, bool normalized, bool special, const char *text,
                     size_t size, size_t from, added_match *m);

#endif
