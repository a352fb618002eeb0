/* Pieces of text by id, and ids by piece. Knows no way of cutting texts. */
#ifndef S24M_VOCABULARY_H
#define S24M_VOCABULARY_H
#include "buffer.h"

/* In the numbers of tokenizer.ggml.token_type, which are SentencePiece's. */
typedef enum piece_kind {
    PIECE_MISSING, /* no piece has this id */
    PIECE_NORMAL,
    PIECE_UNKNOWN,
    PIECE_CONTROL, /* stands in no text */
    PIECE_USER,    /* stands in texts, before anything else is cut */
    PIECE_UNUSED,
    PIECE_BYTE, /* <0x00> .. <0xFF> */
    PIECE_KINDS
} piece_kind;

typedef struct piece {
    size_t at; /* in the vocabulary's text, NUL-terminated */
    uint32_t size;
    piece_kind kind;
    bool hidden;  /* no model makes it of a text */
    double score; /* of SentencePiece's kinds */
} piece;

enum { VOCABULARY_MOST = 1 << 22 };

typedef struct vocabulary {
    buffer text;
    piece *pieces;
    size_t count, room;
    int32_t *slots; /* a hash table of ids, -1: empty */
    size_t mask;
    int32_t letters[512]; /* ids of the characters below 512, for speed */
    int32_t bytes[256];   /* ids of <0x00> .. <0xFF>, -1: none */
    uint32_t longest;     /* bytes of a piece */
} vocabulary;

/* Give the id, 0 .. VOCABULARY_MOST - 1, a piece; ids may come in any order. False for an id that
 * has one. Then, once, index them: no two pieces may be equal. `name` stands in errors. */
bool s24m_vocabulary_add(vocabulary *v, int32_t id, const char *text, size_t size, piece_kind kind,
                         double score, const char *name);
bool s24m_vocabulary_index(vocabulary *v, const char *name);
void s24m_vocabulary_free(vocabulary *v);

/* The id of a piece that is not hidden, and of any; -1 if there is none. */
int32_t s24m_vocabulary_find(const vocabulary *v, const char *text, size_t size);
int32_t s24m_vocabulary_find_any(const vocabulary *v, const char *text, size_t size);
const char *s24m_vocabulary_text(const vocabulary *v, int32_t id);
/* Of <0xXX> the byte, -1 for any other piece. */
int s24m_vocabulary_byte(const char *text, size_t size);
/* A hash of bytes, the same on every machine. */
uint64_t s24m_hash(const char *text, size_t size);

#endif
