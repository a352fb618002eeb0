#include "json.h"
#include "error.h"
#include "number.h"
#include "sort.h"
#include "utf8.h"
#include <string.h>

/* Memory of a document: blocks that only grow, each twice the one before. */
typedef struct block {
    struct block *next;
    size_t size, used; /* bytes, this header included */
} block;

enum { FIRST_BLOCK = 4096, LARGEST_BLOCK = 1 << 20, ALIGN = 16, FEW_KEYS = 8 };

struct s24i_json_doc {
    s24i_memory *memory;
    block *blocks;
    s24i_json *root;
};

typedef struct reader {
    s24i_json_doc *doc;
    const char *text;
    size_t size, at;
    int32_t depth_left;
    int64_t values_left;
} reader;

static s24_status bad(const reader *r, const char *what)
{
    return s24i_fail(S24_E_FORMAT, "json: byte %zu: %s", r->at, what);
}

static void *take(s24i_json_doc *doc, size_t size)
{
    block *b = doc->blocks;

    size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (!b || size > b->size - b->used) {
        size_t header = (sizeof(block) + ALIGN - 1) & ~(size_t)(ALIGN - 1);
        size_t next = b ? (b->size < LARGEST_BLOCK ? 2 * b->size : LARGEST_BLOCK) : FIRST_BLOCK;
        if (next < size + header)
            next = size + header;
        b = s24i_alloc(doc->memory, next);
        if (!b)
            return NULL;
        b->next = doc->blocks;
        b->size = next;
        b->used = header;
        doc->blocks = b;
    }
    void *result = (char *)b + b->used;
    b->used += size;
    return result;
}

static int peek(const reader *r)
{
    return r->at < r->size ? (unsigned char)r->text[r->at] : -1;
}

static void skip_space(reader *r)
{
    int c;

    while ((c = peek(r)) == ' ' || c == '\t' || c == '\n' || c == '\r')
        r->at++;
}

static bool accept(reader *r, char c)
{
    bool here = peek(r) == c;

    r->at += here;
    return here;
}

static bool hex4(reader *r, uint32_t *code)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";

    *code = 0;
    for (int i = 0; i < 4; i++, r->at++) {
        int c = peek(r);
        const char *found = c > 0 ? strchr(digits, c) : NULL;
        if (!found)
            return false;
        *code = *code * 16 + (uint32_t)(found - digits) % 16;
    }
    return true;
}

static char *put_utf8(char *to, uint32_t code)
{
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
        *to++ = (char)(0x80 | (code & 63));
    } else if (code < 0x10000) {
        *to++ = (char)(0xe0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 63));
        *to++ = (char)(0x80 | (code & 63));
    } else {
        *to++ = (char)(0xf0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 63));
        *to++ = (char)(0x80 | (code >> 6 & 63));
        *to++ = (char)(0x80 | (code & 63));
    }
    return to;
}

/* After "\u". */
static s24_status unicode_escape(reader *r, char **to)
{
    uint32_t code, low;

    if (!hex4(r, &code))
        return bad(r, "\\u needs four hexadecimal digits");
    if (code == 0)
        return bad(r, "NUL in a string");
    if (code >= 0xdc00 && code <= 0xdfff)
        return bad(r, "low surrogate without a high one");
    if (code >= 0xd800 && code <= 0xdbff) {
        if (!accept(r, '\\') || !accept(r, 'u') || !hex4(r, &low) || low < 0xdc00 || low > 0xdfff)
            return bad(r, "high surrogate without a low one");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    *to = put_utf8(*to, code);
    return S24_OK;
}

/* After a backslash. */
static s24_status escape(reader *r, char **to)
{
    static const char letters[] = "\"\\/bfnrt", meaning[] = "\"\\/\b\f\n\r\t";
    int c = peek(r);
    const char *found = c > 0 ? strchr(letters, c) : NULL;

    if (found) {
        r->at++;
        *(*to)++ = meaning[found - letters];
        return S24_OK;
    }
    if (!accept(r, 'u'))
        return bad(r, "unknown escape");
    return unicode_escape(r, to);
}

/* Bytes up to the closing quote, an upper bound of the decoded size. */
static size_t raw_length(const reader *r)
{
    size_t end = r->at;

    while (end < r->size && r->text[end] != '"')
        end += r->text[end] == '\\' ? 2 : 1;
    return end - r->at;
}

static s24_status read_string(reader *r, const char **out)
{
    if (!accept(r, '"'))
        return bad(r, "a string expected");
    char *start = take(r->doc, raw_length(r) + 1), *to = start;
    if (!start)
        return S24_E_MEMORY;
    while (!accept(r, '"')) {
        if (r->at >= r->size)
            return bad(r, "string without an end");
        if ((unsigned char)r->text[r->at] < 0x20)
            return bad(r, "control character in a string");
        if (accept(r, '\\')) {
            s24_status status = escape(r, &to);
            if (status)
                return status;
            continue;
        }
        size_t length = s24i_utf8_length(r->text + r->at, r->size - r->at);
        if (length == 0)
            return bad(r, "not UTF-8");
        memcpy(to, r->text + r->at, length);
        to += length;
        r->at += length;
    }
    *to = 0;
    *out = start;
    return S24_OK;
}

static bool skip_digits(reader *r)
{
    size_t start = r->at;

    while (peek(r) >= '0' && peek(r) <= '9')
        r->at++;
    return r->at > start;
}

static bool skip_number(reader *r)
{
    accept(r, '-');
    if (!accept(r, '0') && !skip_digits(r))
        return false;
    if (accept(r, '.') && !skip_digits(r))
        return false;
    if (accept(r, 'e') || accept(r, 'E')) {
        if (!accept(r, '+'))
            accept(r, '-');
        return skip_digits(r);
    }
    return true;
}

static s24_status read_number(reader *r, s24i_json *value)
{
    size_t start = r->at;

    if (!skip_number(r))
        return bad(r, "a digit expected");
    char *spelling = take(r->doc, r->at - start + 1);
    if (!spelling)
        return S24_E_MEMORY;
    memcpy(spelling, r->text + start, r->at - start);
    spelling[r->at - start] = 0;
    value->kind = S24I_JSON_NUMBER;
    value->string = spelling;
    if (!s24i_number_read(spelling, &value->number))
        return bad(r, "unreadable number");
    return S24_OK;
}

static s24_status read_word(reader *r, s24i_json *value)
{
    static const struct {
        const char *text;
        int32_t kind, number;
    } words[] = {
        {"null", S24I_JSON_NULL, 0}, {"true", S24I_JSON_BOOL, 1}, {"false", S24I_JSON_BOOL, 0}};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t length = strlen(words[i].text);
        if (r->size - r->at >= length && !memcmp(r->text + r->at, words[i].text, length)) {
            r->at += length;
            value->kind = words[i].kind;
            value->number = words[i].number;
            return S24_OK;
        }
    }
    return bad(r, "a value expected");
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const s24i_json *)a)->key, ((const s24i_json *)b)->key);
}

static const char *duplicate_among_few(const s24i_json *object)
{
    for (const s24i_json *a = object->first; a; a = a->next) {
        for (const s24i_json *b = a->next; b; b = b->next) {
            if (!by_key(a, b))
                return a->key;
        }
    }
    return NULL;
}

static s24_status refuse_duplicates(reader *r, const s24i_json *object)
{
    const char *twice = NULL;

    if (object->count <= FEW_KEYS) {
        twice = duplicate_among_few(object);
    } else {
        size_t size = s24i_mul((size_t)object->count, sizeof(void *));
        const void **sorted = s24i_alloc(r->doc->memory, size);
        if (!sorted)
            return S24_E_MEMORY;
        int64_t n = 0;
        for (const s24i_json *child = object->first; child; child = child->next)
            sorted[n++] = child;
        s24i_sort(sorted, n, by_key);
        for (int64_t i = 1; i < n && !twice; i++) {
            if (!by_key(sorted[i - 1], sorted[i]))
                twice = ((const s24i_json *)sorted[i])->key;
        }
        s24i_free(r->doc->memory, sorted, size);
    }
    if (twice)
        return s24i_fail(S24_E_FORMAT,
                         "json: byte %zu: the object that ends here has the key '%.100s' twice",
                         r->at, twice);
    return S24_OK;
}

static s24_status read_value(reader *r, s24i_json **out);

static s24_status read_member(reader *r, bool in_object, s24i_json **out)
{
    const char *key = NULL;
    s24_status status;

    skip_space(r);
    if (in_object) {
        status = read_string(r, &key);
        if (status)
            return status;
        skip_space(r);
        if (!accept(r, ':'))
            return bad(r, "':' expected");
    }
    status = read_value(r, out);
    if (status)
        return status;
    (*out)->key = key;
    skip_space(r);
    return S24_OK;
}

/* After the opening bracket. */
static s24_status read_children(reader *r, s24i_json *parent)
{
    bool object = parent->kind == S24I_JSON_OBJECT;
    char end = object ? '}' : ']';
    s24i_json **link = &parent->first;

    skip_space(r);
    if (accept(r, end))
        return S24_OK;
    do {
        s24_status status = read_member(r, object, link);
        if (status)
            return status;
        link = &(*link)->next;
        parent->count++;
    } while (accept(r, ','));
    if (!accept(r, end))
        return bad(r, object ? "',' or '}' expected" : "',' or ']' expected");
    return object ? refuse_duplicates(r, parent) : S24_OK;
}

static s24_status read_container(reader *r, s24i_json *value)
{
    if (r->depth_left == 0)
        return bad(r, "nested too deeply");
    value->kind = accept(r, '{') ? S24I_JSON_OBJECT : S24I_JSON_ARRAY;
    if (value->kind == S24I_JSON_ARRAY)
        r->at++;
    r->depth_left--;
    s24_status status = read_children(r, value);
    r->depth_left++;
    return status;
}

static s24_status read_value(reader *r, s24i_json **out)
{
    skip_space(r);
    if (r->values_left-- <= 0)
        return bad(r, "too many values");
    s24i_json *value = take(r->doc, sizeof *value);
    if (!value)
        return S24_E_MEMORY;
    memset(value, 0, sizeof *value);
    *out = value;
    int c = peek(r);
    if (c == '{' || c == '[')
        return read_container(r, value);
    if (c == '"') {
        value->kind = S24I_JSON_STRING;
        return read_string(r, &value->string);
    }
    if (c == '-' || (c >= '0' && c <= '9'))
        return read_number(r, value);
    return read_word(r, value);
}

s24_status s24i_json_parse(s24i_memory *memory, const char *text, size_t size, int32_t max_depth,
                           int64_t max_values, s24i_json_doc **out)
{
    s24i_json_doc *doc = s24i_alloc_zero(memory, sizeof *doc);
    reader r = {doc, text, size, 0, max_depth, max_values};

    if (!doc)
        return S24_E_MEMORY;
    doc->memory = memory;
    s24_status status = read_value(&r, &doc->root);
    skip_space(&r);
    if (!status && r.at < size)
        status = bad(&r, "text after the value");
    if (status)
        s24i_json_free(doc);
    else
        *out = doc;
    return status;
}

const s24i_json *s24i_json_root(const s24i_json_doc *doc)
{
    return doc->root;
}

void s24i_json_free(s24i_json_doc *doc)
{
    if (!doc)
        return;
    for (block *b = doc->blocks, *next; b; b = next) {
        next = b->next;
        s24i_free(doc->memory, b, b->size);
    }
    s24i_free(doc->memory, doc, sizeof *doc);
}

const s24i_json *s24i_json_get(const s24i_json *object, const char *key)
{
    if (!object || object->kind != S24I_JSON_OBJECT)
        return NULL;
    for (const s24i_json *child = object->first; child; child = child->next) {
        if (!strcmp(child->key, key))
            return child;
    }
    return NULL;
}

bool s24i_json_u63(const s24i_json *value, int64_t *out)
{
    if (!value || value->kind != S24I_JSON_NUMBER || value->string[0] == '-')
        return false;
    return s24i_integer_read(value->string, out);
}
