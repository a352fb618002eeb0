/* JSON both ways: a strict reader for untrusted headers and an appending writer. Knows no
 * schema. */
#ifndef S24I_JSON_H
#define S24I_JSON_H
#include "memory.h"

enum {
    S24I_JSON_NULL,
    S24I_JSON_BOOL,
    S24I_JSON_NUMBER,
    S24I_JSON_STRING,
    S24I_JSON_ARRAY,
    S24I_JSON_OBJECT
};

/* One value; children are linked in order. Strings are decoded, NUL-terminated and contain no
 * NUL. */
typedef struct s24i_json {
    int32_t kind;
    const char *key;    /* name inside an object, else NULL */
    const char *string; /* STRING: the text; NUMBER: its spelling */
    double number;      /* NUMBER; BOOL: 0 or 1 */
    struct s24i_json *first, *next;
    int64_t count; /* children */
} s24i_json;

typedef struct s24i_json_doc s24i_json_doc;

/*
 * Parse text[0..size) (strict RFC 8259, UTF-8 checked, no duplicate keys, nothing but white space
 * after the value). Nesting deeper than `max_depth` and more than `max_values` values are
 * S24_E_FORMAT, as is every error; the text gives the byte offset.
 */
s24_status s24i_json_parse(s24i_memory *memory, const char *text, size_t size, int32_t max_depth,
                           int64_t max_values, s24i_json_doc **out);
const s24i_json *s24i_json_root(const s24i_json_doc *doc);
void s24i_json_free(s24i_json_doc *doc);
const s24i_json *s24i_json_get(const s24i_json *object, const char *key);
/* A NUMBER that is an integer in [0, 2^63), spelled as one; false otherwise. */
bool s24i_json_u63(const s24i_json *value, int64_t *out);

/* A text that grows. After a failed allocation it stays empty and `failed` is set: test it once, at
 * the end. */
struct s24i_text {
    s24i_memory *memory;
    char *data; /* NUL-terminated once anything was appended */
    size_t size, capacity;
    bool failed;
};
typedef struct s24i_text s24i_text;

void s24i_text_append(s24i_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void s24i_text_bytes(s24i_text *text, const void *bytes, size_t size); /* any, also 0 */
/* As it is, but a byte that is not UTF-8, or 0, becomes U+FFFD. */
void s24i_text_utf8(s24i_text *text, const char *bytes, size_t size);
void s24i_text_json_string(s24i_text *text, const char *value); /* with quotes and escapes */
void s24i_text_json_bytes(s24i_text *text, const char *value, size_t size); /* the same */
void s24i_text_json_number(
    s24i_text *text, double value); /* shortest spelling that reads back equal; NaN and inf: null */
void s24i_text_free(s24i_text *text);

#endif
