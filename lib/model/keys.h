/* One key of the configuration: found, read and judged. Metadata of a GGUF file is
 * "ARCHITECTURE.key", of a config.json "config.key". */
#ifndef S24M_KEYS_H
#define S24M_KEYS_H
#include "family.h"
#include "tensors.h"

enum { S24M_KEY = 96, S24M_ITEM = 64 };

typedef struct s24m_range {
    int64_t least, most;
} s24m_range;

/* Extents: no product of three overflows. Counts of tokens and layers: each is a double. */
#define S24M_EXTENT ((s24m_range){1, 1 << 20})
#define S24M_TABLE ((s24m_range){1, INT32_MAX})
#define S24M_TOKENS ((s24m_range){1, (int64_t)1 << 52})
#define S24M_COUNT ((s24m_range){0, (int64_t)1 << 52})

typedef struct s24m_reader {
    s24m_model *model;
    const char *prefix;
    const s24m_family *family; /* its own names of keys, and what missing ones mean */
} s24m_reader;

/* Its text, or what the architecture means without it; NULL if it is null or means nothing. `full`
 * receives the whole name. */
const char *s24m_key(const s24m_reader *r, const char *key, char full[S24M_KEY]);
/* It is there, null or not: what is left out has the default of its model type, what is null has
 * none. */
bool s24m_key_given(const s24m_reader *r, const char *key);
/* The index-th name in the file that goes on after "PREFIX.", NULL if that one does not; *end is
 * set behind the last. */
const char *s24m_key_at(const s24m_reader *r, int64_t index, bool *end);
/* S24_E_MEMORY if there is no room for the texts: a key without its text would look like one that
 * is missing. */
s24_status s24m_key_load_all(const s24m_reader *r);
/* The file has keys below "key.", so that it is an object. */
bool s24m_key_is_object(const s24m_reader *r, const char *key);

/* These leave *value as it is without the key. A finite number, at least 0, or above it. */
s24_status s24m_key_number(const s24m_reader *r, const char *key, double *value);
s24_status s24m_key_positive(const s24m_reader *r, const char *key, double *value);
/* An integer of this range, or a list of one for each layer if all are equal. */
s24_status s24m_key_integer(const s24m_reader *r, const char *key, s24m_range range,
                            int64_t *value);
s24_status s24m_key_truth(const s24m_reader *r, const char *key, bool *value);
/* S24_E_UNSUPPORTED, naming key and value, unless it is missing or one of "a|b|c". */
s24_status s24m_key_only(const s24m_reader *r, const char *key, const char *values);

/* The next item of a JSON list of numbers or words; false behind the last. Start with *at = the
 * list's text. */
bool s24m_item(const char **at, char item[S24M_ITEM]);
/* The whole text is a finite number. */
bool s24m_parse(const char *text, double *value);

#endif
