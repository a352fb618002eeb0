/* Which of many texts begin at a place. Knows no tokens. */
#ifndef S24M_TRIE_H
#define S24M_TRIE_H
#include "buffer.h"

typedef struct trie_edge {
    uint64_t key; /* node, byte, and 1; 0: empty */
    int32_t node;
} trie_edge;

typedef struct trie {
    trie_edge *edges; /* a hash table */
    size_t mask, used;
    int32_t *values; /* of nodes, -1: no text ends here */
    size_t nodes, room;
} trie;

/* Add a text and its value, at least 0; the last of equal texts counts. */
bool s24m_trie_add(trie *t, const char *text, size_t size, int32_t value);
void s24m_trie_free(trie *t);
/* Go down from `node`, the root is 0, by a byte; -1: nothing goes on so. */
int32_t s24m_trie_step(const trie *t, int32_t node, char byte);
static inline int32_t s24m_trie_value(const trie *t, int32_t node)
{
    return t->values[node];
}

#endif
