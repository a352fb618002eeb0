/* One key of the configuration: found, read and judged. Metadata of a GGUF file is "ARCHITECTURE.key", of a config.json "config.key". */
#ifndef LLAMA_KEYS_H
#define LLAMA_KEYS_H
#include "model.h"

enum { LLAMA_KEY = 96, LLAMA_ITEM = 64 };

typedef struct llama_range {
    int64_t least, most;
} llama_range;

/* Extents: no product of three overflows. Counts of tokens and layers: each is a double. */
#define LLAMA_EXTENT ((llama_range){1, 1 << 20})
#define LLAMA_TABLE ((llama_range){1, INT32_MAX})
#define LLAMA_TOKENS ((llama_range){1, (int64_t)1 << 52})
#define LLAMA_COUNT ((llama_range){0, (int64_t)1 << 52})

typedef struct llama_reader {
    llama_model *model;
    const char *prefix;
} llama_reader;

/* Its text; NULL if it is missing or null. `full` receives the whole name. */
const char *llama_key(const llama_reader *r, const char *key, char full[LLAMA_KEY]);
/* It is there, null or not: what is left out has the default of its model type, what is null has none. */
bool llama_key_given(const llama_reader *r, const char *key);
/* The index-th name in the file that goes on after "PREFIX.", NULL if that one does not; *end is set behind the last. */
const char *llama_key_at(const llama_reader *r, int64_t index, bool *end);
/* S24_E_MEMORY if there is no room for the texts: a key without its text would look like one that is missing. */
s24_status llama_key_load_all(const llama_reader *r);
/* The file has keys below "key.", so that it is an object. */
bool llama_key_is_object(const llama_reader *r, const char *key);

/* These leave *value as it is without the key. A finite number, at least 0, or above it. */
s24_status llama_key_number(const llama_reader *r, const char *key, double *value);
s24_status llama_key_positive(const llama_reader *r, const char *key, double *value);
/* An integer of this range, or a list of one for each layer if all are equal. */
s24_status llama_key_integer(const llama_reader *r, const char *key, llama_range range,
                             int64_t *value);
s24_status llama_key_truth(const llama_reader *r, const char *key, bool *value);
/* S24_E_UNSUPPORTED, naming key and value, unless it is missing or one of "a|b|c". */
s24_status llama_key_only(const llama_reader *r, const char *key, const char *values);

/* The next item of a JSON list of numbers or words; false behind the last. Start with *at = the list's text. */
bool llama_item(const char **at, char item[LLAMA_ITEM]);
/* The whole text is a finite number. */
bool llama_parse(const char *text, double *value);

#endif
