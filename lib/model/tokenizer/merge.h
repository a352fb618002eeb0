/* Byte pair encoding: a word's characters are joined pair by pair, the best pair first. Sources:
 * Sennrich, Haddow and Birch 2016; Kudo and Richardson 2018 for pairs by score. */
#ifndef S24M_MERGE_H
#define S24M_MERGE_H
#include "vocabulary.h"

typedef struct merge {
    uint64_t pair; /* left id, right id, and 1; 0: empty */
    int32_t rank, id;
} merge;

typedef struct symbol {
    int32_t prev, next; /* -1: the word ends */
    int32_t id;         /* -1: no piece */
    size_t at;          /* where it begins in the word */
    uint32_t size;      /* in bytes; 0: it went into the one before */
} symbol;

/* A pair that may be joined. Of equal ranks the left one goes first. */
typedef struct candidate {
    int32_t rank, left, id;
    uint32_t size; /* of both; if they differ from it by now, one of them has changed */
} candidate;

typedef struct merger {
    /* The rules: a table of pairs, or, without one, ranks of pieces: any two are joined whose text
     * is a piece. */
    merge *merges;
    size_t mask;
    int32_t *ranks;
    bool byte_fallback; /* a character without a piece becomes its bytes' <0xXX> */
    bool fuse_unknown;  /* neighbours that are unknown are one */
    int32_t unknown;    /* -1: what has no piece is left out */
    bool whole;         /* a word that is a piece is not cut */
    /* Scratch. */
    symbol *symbols;
    candidate *heap;
    size_t symbol_room, heap_room, heap_count;
} merger;

/* Room for that many pairs; then each, in the order of their ranks. The last of equal pairs
 * counts. */
bool s24m_merger_open(merger *m, size_t pairs);
void s24m_merger_add(merger *m, int32_t left, int32_t right, int32_t rank, int32_t id);
/* Ranks by score, the highest first. */
bool s24m_merger_rank(merger *m, const vocabulary *v);
void s24m_merger_free(merger *m);

/* Add the ids of a word in time n log n. */
bool s24m_merge_word(merger *m, const vocabulary *v, const char *text, size_t size, id_list *ids);

#endif
