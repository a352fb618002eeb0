/* Unigram language models: of all ways to cut a word into pieces the one whose pieces' scores sum
 * highest. Source: Kudo 2018, arXiv:1804.10959, section 3.2. */
#ifndef S24M_UNIGRAM_H
#define S24M_UNIGRAM_H
#include "trie.h"
#include "vocabulary.h"

/* The best way to a place in the word. */
typedef struct way {
    double score;
    size_t from; /* where its last piece begins; SIZE_MAX: there is none */
    int32_t id;
} way;

typedef struct unigram {
    trie pieces;
    double unknown_score;
    int32_t unknown; /* -1: none */
    bool byte_fallback;
    way *ways;
    size_t room;
} unigram;

bool s24m_unigram_open(unigram *u, const vocabulary *v);
void s24m_unigram_free(unigram *u);
/* Add the ids of a word; neighbours without pieces are one unknown. */
bool s24m_unigram_word(unigram *u, const vocabulary *v, const char *text, size_t size,
                       id_list *ids);

#endif
