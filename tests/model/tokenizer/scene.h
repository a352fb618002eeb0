/* What the tests of tokenizers share: the stored texts and ids, tokenizers in files, and GGUF files
 * made from the vocabulary of a tokenizer.json. */
#ifndef S24_TESTS_TOKENIZER_SCENE_H
#define S24_TESTS_TOKENIZER_SCENE_H
#include "tokenizer/contents.h"
#include "tokenizer/handle.h"
#include "tokenizer/json.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern const char *folder; /* of the stored files */
extern s24_ctx *ctx;
extern char scratch[64]; /* a folder of the test's own */

void scene_open(void);
void scene_close(void);
/* "scratch/name", until the next call but three. */
const char *scratch_path(const char *name);
void write_file(const char *path, const void *bytes, size_t size);

/* The stored tokenizer of that name, or of a path. */
s24_tokenizer *open_stored(const char *name);
s24_tokenizer *open_path(const char *path);

/* A tensor of expected.safetensors, and part `index` of one that others end. */
typedef struct part {
    const char *bytes;
    size_t count; /* of elements */
} part;
part stored(const char *name);
part stored_part(const char *name, const char *ends, int64_t index);
int64_t texts(void);

/* Whether the ids of a text are those. */
void check_ids(s24_tokenizer *t, const char *name, const char *options, int64_t text,
               const int16_t *ids, size_t count);

/* A GGUF file of the vocabulary of a stored tokenizer: of model "gpt2" with its merges and that
 * pre-tokenizer; of "llama" with scores by id; of "t5" with the pieces' own. */
void write_gguf(const char *path, const char *name, const char *model, const char *pre);

/* A tokenizer.model of the vocabulary of stored "sentencepiece", its scores by id. */
void write_sentencepiece(const char *path);
/* vocab.json and merges.txt of a stored tokenizer in the scratch folder. */
void write_pair(const char *name);

#endif
