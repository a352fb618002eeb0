/* A reader of JSON texts of many megabytes, as vocabularies are. Knows no schema. */
#ifndef S24M_TREE_H
#define S24M_TREE_H
#include "buffer.h"

typedef enum json_kind {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
} json_kind;

/* A value. Texts have sizes: they may hold NUL bytes; numbers are as they are spelled. */
typedef struct json_value {
    const char *key, *text; /* key: inside an object, else NULL */
    uint32_t key_size, size;
    int32_t first, next; /* children and siblings by index; 0: none */
    int32_t count;       /* children */
    json_kind kind;
} json_value;

typedef struct json_tree {
    char *text; /* a copy, decoded in place */
    json_value *values;
    size_t count, room;
    const char *name; /* of the file, for errors */
} json_tree;

/* Parse text[0 .. size), strictly, strings in UTF-8; S24_E_FORMAT tells name and byte. */
bool s24m_json_parse(json_tree *tree, const char *name, const char *text, size_t size);
void s24m_json_free(json_tree *tree);

/* The root; the children, NULL past the last. */
const json_value *s24m_json_root(const json_tree *tree);
const json_value *s24m_json_first(const json_tree *tree, const json_value *v);
const json_value *s24m_json_next(const json_tree *tree, const json_value *v);
/* The member of that name, NULL if there is none, if it is null, or if `v` is NULL or no object. */
const json_value *s24m_json_get(const json_tree *tree, const json_value *v, const char *key);
/* Whether it is a text, and this one. */
bool s24m_json_is(const json_value *v, const char *text);
/* A member that is true. */
bool s24m_json_truth(const json_tree *tree, const json_value *v, const char *key, bool otherwise);
/* An integer in 0 .. 2^31 - 1; a finite number. */
bool s24m_json_integer(const json_value *v, int32_t *value);
bool s24m_json_real(const json_value *v, double *value);

#endif
