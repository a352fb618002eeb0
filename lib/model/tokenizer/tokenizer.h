/* A tokenizer: what the readers of files fill in, and how text becomes ids and ids text. */
#ifndef S24M_TOKENIZER_H
#define S24M_TOKENIZER_H
#include "added.h"
#include "merge.h"
#include "normalize.h"
#include "split.h"
#include "unigram.h"
#include "vocabulary.h"

typedef enum model_kind { MODEL_MERGE, MODEL_UNIGRAM } model_kind;

/* How pieces become text. */
typedef enum decode_kind {
    DECODE_PLAIN,   /* as they are */
    DECODE_LETTERS, /* letters are bytes */
    DECODE_BLANKS   /* U+2581 is a blank, <0xXX> a byte */
} decode_kind;

/* The ids of a word that was met before. */
typedef struct memo {
    uint8_t size, count;
    char word[30];
    int32_t ids[6];
} memo;

typedef struct tokenizer {
    const char *kind; /* "bpe", "sentencepiece", "unigram" */
    vocabulary words;
    added_list added;
    normalizer normal;
    splitter split;
    model_kind model;
    merger merger;
    unigram unigram;
    decode_kind decode;
    bool strip_first; /* the text of the first piece loses the blank that was put before it */
    int32_t bos, eos, eot, unknown, pad; /* -1: there is none */
    id_list prefix, suffix;              /* what the file wants around a text */
    memo *memos;
    buffer clean, text;
    id_list ids;
} tokenizer;

/* A vocabulary that is complete gets its index; the rest of the scratch is made. */
bool s24m_tokenizer_finish(tokenizer *t, const char *name);
void s24m_tokenizer_free(tokenizer *t);
/* Cut before blanks if that changes no id, so that words are short: pieces have blanks only where
 * they begin. */
bool s24m_tokenizer_cut_blanks(tokenizer *t, const char *name);

/* Add the ids of text[0 .. size) to t->ids, of any bytes; `special`: special tokens are looked for
 * in it. */
bool s24m_tokenizer_encode(tokenizer *t, const char *text, size_t size, bool special);
/* Add the text of ids to t->text; `first`: they begin a text; `special`: special tokens are shown.
 * S24_E_ARG for an id that no piece has. */
bool s24m_tokenizer_decode(tokenizer *t, const int32_t *ids, size_t count, bool first,
                           bool special);

/* ---- Readers. `name` is the file's and stands in errors. ---- */

/* Metadata of a GGUF file. */
bool s24m_tokenizer_gguf(tokenizer *t, const s24_file *file, const char *name);
/* The text of a tokenizer.json. */
bool s24m_tokenizer_json(tokenizer *t, const char *text, size_t size, const char *name);
/* What tokenizer_config.json says about special tokens, above what the other file did. */
bool s24m_tokenizer_settings(tokenizer *t, const char *text, size_t size, const char *name);
/* The bytes of a SentencePiece tokenizer.model. */
bool s24m_tokenizer_sentencepiece(tokenizer *t, const char *bytes, size_t size, const char *name);
/* The texts of GPT-2's vocab.json and merges.txt. */
bool s24m_tokenizer_pair(tokenizer *t, const buffer *pieces, const buffer *merges,
                         const char *name);
/* The pre-tokenizer that tokenizer.ggml.pre names. */
bool s24m_tokenizer_pre(tokenizer *t, const char *pre, const char *name);
/* What all readers of SentencePiece's blanks do: prefix, if wanted, and U+2581 for blanks. */
bool s24m_tokenizer_blanks(tokenizer *t, bool prefix, const char *name);
/* Any of them: a GGUF file, tokenizer.json, tokenizer.model, or a folder. */
bool s24m_tokenizer_open(tokenizer *t, s24_ctx *ctx, const char *path);

#define S24M_BLANK "\xe2\x96\x81" /* U+2581, a blank within SentencePiece's pieces */
#define S24M_GPT2 \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

#endif
