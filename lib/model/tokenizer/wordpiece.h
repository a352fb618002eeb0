/* WordPiece: the longest piece that a word begins with, then the longest of the rest, whose pieces
 * have a prefix. Source: Wu and others 2016, as BERT has it. */
#ifndef S24M_WORDPIECE_H
#define S24M_WORDPIECE_H
#include "vocabulary.h"

typedef struct wordpiece {
    buffer prefix;   /* "##" */
    int32_t unknown; /* for words that cannot be cut, or are longer than `most` characters */
    int32_t most;
    buffer scratch;
} wordpiece;

void s24m_wordpiece_free(wordpiece *w);
/* Add the ids of a word. */
bool s24m_wordpiece_word(wordpiece *w, const vocabulary *v, const char *text, size_t size,
                         id_list *ids);

#endif
