#include "json.h"
#include "utf8.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 64 };

typedef struct reader {
    json_tree *tree;
    char *at, *end;
} reader;

static bool wrong(const reader *r, const char *what)
{
    return s24m_wrong(S24_E_FORMAT, "%s: byte %zu: %s", r->tree->name,
                      (size_t)(r->at - r->tree->text), what);
}

static void skip(reader *r)
{
    while (r->at < r->end && memchr(" \t\r\n", *r->at, 4))
        r->at++;
}

static bool next_is(reader *r, char c)
{
    skip(r);
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

/* ---- Strings ---- */

static bool read_hex(reader *r, uint32_t *value)
{
    *value = 0;
    if (r->end - r->at < 4)
        return wrong(r, "an escape is cut off");
    for (int i = 0; i < 4; i++, r->at++) {
        static const char digits[] = "0123456789abcdef";
        const char *digit = *r->at ? strchr(digits, *r->at | 0x20) : NULL;
        if (!digit)
            return wrong(r, "expected four hexadecimal digits");
        *value = *value << 4 | (uint32_t)(digit - digits);
    }
    return true;
}

static bool read_unicode(reader *r, char **out)
{
    uint32_t c, low;
    if (!read_hex(r, &c))
        return false;
    if (c >= 0xd800 && c < 0xdc00 && r->end - r->at > 6 && r->at[0] == '\\' && r->at[1] == 'u') {
        r->at += 2;
        if (!read_hex(r, &low))
            return false;
        if (low < 0xdc00 || low > 0xdfff)
            return wrong(r, "half of a surrogate pair");
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    if (c >= 0xd800 && c <= 0xdfff)
        return wrong(r, "half of a surrogate pair");
    *out += s24m_utf8_put(c, *out);
    return true;
}

static bool read_escape(reader *r, char **out)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    r->at++;
    if (r->at < r->end && *r->at == 'u') {
        r->at++;
        return read_unicode(r, out);
    }
    const char *name = r->at < r->end && *r->at ? strchr(names, *r->at) : NULL;
    if (!name)
        return wrong(r, "an escape that JSON does not know");
    *(*out)++ = values[name - names];
    r->at++;
    return true;
}

/* Decoded where it stands: no escape is shorter than what it means. */
static bool read_string(reader *r, const char **text, uint32_t *size)
{
    if (!next_is(r, '"'))
        return wrong(r, "expected a string");
    char *from = r->at, *out = r->at;
    while (r->at < r->end && *r->at != '"') {
        size_t length = s24m_utf8_length(r->at, (size_t)(r->end - r->at));
        if (!length || (unsigned char)*r->at < 0x20)
            return wrong(r, length ? "a control character in a string" : "not UTF-8");
        if (*r->at == '\\') {
            if (!read_escape(r, &out))
                return false;
            continue;
        }
        memmove(out, r->at, length);
        r->at += length;
        out += length;
    }
    if (r->at == r->end)
        return wrong(r, "a string has no end");
    r->at++;
    if (out - from > INT32_MAX)
        return wrong(r, "a string of more than 2 GiB");
    *text = from;
    *size = (uint32_t)(out - from);
    return true;
}

/* ---- Values ---- */

static bool read_value(reader *r, int depth, int32_t *index);

static int32_t digits(reader *r)
{
    int32_t count = 0;
    for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++)
        count++;
    return count;
}

static bool read_number(reader *r, json_value *v)
{
    v->kind = JSON_NUMBER;
    v->text = r->at;
    r->at += *r->at == '-';
    bool zero = r->at < r->end && *r->at == '0';
    int32_t whole = digits(r);
    if (!whole || (zero && whole > 1))
        return wrong(r, "expected a value");
    if (r->at < r->end && *r->at == '.') {
        r->at++;
        if (!digits(r))
            return wrong(r, "expected digits");
    }
    if (r->at < r->end && (*r->at | 0x20) == 'e') {
        r->at++;
        r->at += r->at < r->end && (*r->at == '+' || *r->at == '-');
        if (!digits(r))
            return wrong(r, "expected digits");
    }
    v->size = (uint32_t)(r->at - v->text);
    return true;
}

static bool read_word(reader *r, json_value *v)
{
    static const struct {
        const char *word;
        json_kind kind;
    } words[] = {{"null", JSON_NULL}, {"true", JSON_TRUE}, {"false", JSON_FALSE}};
    for (size_t i = 0; i < 3; i++) {
        size_t length = strlen(words[i].word);
        if ((size_t)(r->end - r->at) >= length && !memcmp(r->at, words[i].word, length)) {
            r->at += length;
            v->kind = words[i].kind;
            return true;
        }
    }
    return read_number(r, v);
}

/* Members of an object or items of an array, up to the closing bracket. */
static bool read_children(reader *r, int depth, int32_t parent, bool object)
{
    char close = object ? '}' : ']';
    int32_t last = 0;
    r->at++;
    if (next_is(r, close))
        return true;
    do {
        const char *key = NULL;
        uint32_t size = 0;
        int32_t child;
        if (object &&
            (!read_string(r, &key, &size) || !(next_is(r, ':') || wrong(r, "expected :"))))
            return false;
        if (!read_value(r, depth + 1, &child))
            return false;
        json_value *values = r->tree->values;
        values[child].key = key;
        values[child].key_size = size;
        *(last ? &values[last].next : &values[parent].first) = child;
        values[parent].count++;
        last = child;
    } while (next_is(r, ','));
    return next_is(r, close) || wrong(r, object ? "expected , or }" : "expected , or ]");
}

static bool read_value(reader *r, int depth, int32_t *index)
{
    json_tree *t = r->tree;
    void *values = t->values;
    if (depth > DEPTH || t->count >= INT32_MAX - 1)
        return wrong(r, "nested too deeply, or too many values");
    if (!s24m_grow(&values, &t->room, t->count, 1, sizeof *t->values))
        return false;
    t->values = values;
    json_value *v = &t->values[ *index = (int32_t)t->count++];
    *v = (json_value){0};
    skip(r);
    if (r->at == r->end)
        return wrong(r, "the text ends within a value");
    if (*r->at == '"') {
        v->kind = JSON_STRING;
        return read_string(r, &v->text, &v->size);
    }
    bool object = *r->at == '{';
    if (!object && *r->at != '[')
        return read_word(r, v);
    v->kind = object ? JSON_OBJECT : JSON_ARRAY;
    return read_children(r, depth, *index, object);
}

bool s24m_json_parse(json_tree *tree, const char *name, const char *text, size_t size)
{
    int32_t root;
    *tree = (json_tree){.name = name, .text = s24m_have(malloc(size + 1))};
    if (!tree->text)
        return false;
    memcpy(tree->text, text, size);
    tree->text[size] = 0;
    reader r = {tree, tree->text, tree->text + size};
    bool done = read_value(&r, 0, &root);
    skip(&r);
    done = done && (r.at == r.end || wrong(&r, "more behind the value"));
    if (!done)
        s24m_json_free(tree);
    return done;
}

void s24m_json_free(json_tree *tree)
{
    free(tree->text);
    free(tree->values);
    *tree = (json_tree){0};
}

/* ---- Asking ---- */

const json_value *s24m_json_root(const json_tree *tree)
{
    return tree->values;
}

const json_value *s24m_json_first(const json_tree *tree, const json_value *v)
{
    return v && v->first ? tree->values + v->first : NULL;
}

const json_value *s24m_json_next(const json_tree *tree, const json_value *v)
{
    return v->next ? tree->values + v->next : NULL;
}

const json_value *s24m_json_get(const json_tree *tree, const json_value *v, const char *key)
{
    size_t size = strlen(key);
    const json_value *child = v && v->kind == JSON_OBJECT ? s24m_json_first(tree, v) : NULL;
    while (child && (child->key_size != size || memcmp(child->key, key, size)))
        child = s24m_json_next(tree, child);
    return child && child->kind != JSON_NULL ? child : NULL;
}

bool s24m_json_is(const json_value *v, const char *text)
{
    return v && v->kind == JSON_STRING && v->size == strlen(text) &&
           !memcmp(v->text, text, v->size);
}

bool s24m_json_truth(const json_tree *tree, const json_value *v, const char *key, bool otherwise)
{
    const json_value *member = s24m_json_get(tree, v, key);
    return member ? member->kind == JSON_TRUE : otherwise;
}

bool s24m_json_real(const json_value *v, double *value)
{
    char text[64], *end;
    if (!v || v->kind != JSON_NUMBER || v->size >= sizeof text)
        return false;
    memcpy(text, v->text, v->size);
    text[v->size] = 0;
    *value = strtod(text, &end);
    return !*end && isfinite(*value);
}

bool s24m_json_integer(const json_value *v, int32_t *value)
{
    double number;
    if (!s24m_json_real(v, &number) || !(number >= 0 && number <= INT32_MAX) ||
        number != rint(number))
        return false;
    *value = (int32_t)number;
    return true;
}
