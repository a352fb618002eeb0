#include "keys.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Finding ---- */

/* An architecture may have names of its own for a key: the first that the file has, else the common
 * one; "-": it has no such key. */
static void full_name(const s24m_reader *r, const char *key, char full[S24M_KEY])
{
    const s24_file *file = r->model->file;
    const char *own = NULL;
    for (const s24m_word *w = r->model->config.gguf ? NULL : r->family->keys; w && w->key; w++)
        if (!strcmp(w->key, key)) {
            own = own ? own : w->is;
            snprintf(full, S24M_KEY, "%s.%s", r->prefix, w->is);
            if (s24_file_meta(file, full))
                return;
        }
    snprintf(full, S24M_KEY, "%s.%s", r->prefix, key);
    if (own && (*own == '-' || !s24_file_meta(file, full)))
        snprintf(full, S24M_KEY, "%s.%s", r->prefix, own);
}

const char *s24m_key(const s24m_reader *r, const char *key, char full[S24M_KEY])
{
    full_name(r, key, full);
    const char *text = s24_file_meta(r->model->file, full);
    if (!text && !r->model->config.gguf)
        text = s24m_word_of(r->family->defaults, key);
    return text && strcmp(text, "null") ? text : NULL;
}

bool s24m_key_given(const s24m_reader *r, const char *key)
{
    char full[S24M_KEY];
    full_name(r, key, full);
    return s24_file_meta(r->model->file, full) != NULL;
}

const char *s24m_key_at(const s24m_reader *r, int64_t index, bool *end)
{
    const char *name = s24_file_meta_key(r->model->file, index);
    size_t length = strlen(r->prefix);
    *end = !name;
    return name && !strncmp(name, r->prefix, length) && name[length] == '.' ? name + length + 1
                                                                            : NULL;
}

s24_status s24m_key_load_all(const s24m_reader *r)
{
    const s24_file *file = r->model->file;
    bool end = false;
    for (int64_t i = 0; !end; i++)
        if (s24m_key_at(r, i, &end) && !s24_file_meta(file, s24_file_meta_key(file, i)))
            return s24m_fail(S24_E_MEMORY, "no memory for the configuration");
    return S24_OK;
}

bool s24m_key_is_object(const s24m_reader *r, const char *key)
{
    size_t length = strlen(key);
    bool end = false, found = false;
    for (int64_t i = 0; !end && !found; i++) {
        const char *name = s24m_key_at(r, i, &end);
        found = name && !strncmp(name, key, length) && name[length] == '.';
    }
    return found;
}

/* ---- Reading ---- */

bool s24m_parse(const char *text, double *value)
{
    char *end;
    *value = strtod(text, &end);
    return end != text && !*end && isfinite(*value);
}

static s24_status read_number(const s24m_reader *r, const char *key, bool positive, double *value)
{
    char full[S24M_KEY];
    const char *text = s24m_key(r, key, full);
    double read;
    if (!text)
        return S24_OK;
    if (!s24m_parse(text, &read) || read < 0 || (positive && read == 0))
        return s24m_fail(S24_E_FORMAT, "%s is %.40s, but must be a number %s", full, text,
                         positive ? "above 0" : "of at least 0");
    *value = read;
    return S24_OK;
}

s24_status s24m_key_number(const s24m_reader *r, const char *key, double *value)
{
    return read_number(r, key, false, value);
}

s24_status s24m_key_positive(const s24m_reader *r, const char *key, double *value)
{
    return read_number(r, key, true, value);
}

bool s24m_item(const char **at, char item[S24M_ITEM])
{
    const char *s = *at + strspn(*at, "[,\" \n\t");
    size_t length = strcspn(s, ",\"] \n\t");
    snprintf(item, S24M_ITEM, "%.*s", (int)(length < S24M_ITEM ? length : S24M_ITEM), s);
    *at = s + length + (s[length] == '"');
    return length > 0;
}

/* The one value of a list that has it for each layer. */
static s24_status agree(const char *full, const char *text, int64_t layers, char item[S24M_ITEM])
{
    char next[S24M_ITEM];
    const char *at = text;
    int64_t count = 0;
    for (*item = 0; s24m_item(&at, next); count++) {
        if (count && strcmp(item, next))
            return s24m_fail(S24_E_UNSUPPORTED,
                             "%s is %.60s: blocks of unequal sizes are not supported", full, text);
        memcpy(item, next, sizeof next);
    }
    return count == layers ? S24_OK
                           : s24m_fail(S24_E_FORMAT, "%s has %lld values for %lld layers", full,
                                       (long long)count, (long long)layers);
}

s24_status s24m_key_integer(const s24m_reader *r, const char *key, s24m_range range, int64_t *value)
{
    char full[S24M_KEY], item[S24M_ITEM];
    const char *text = s24m_key(r, key, full);
    double read;
    if (!text)
        return S24_OK;
    if (*text == '[') {
        s24_status status = agree(full, text, r->model->config.layers, item);
        if (status)
            return status;
        text = item;
    }
    if (!s24m_parse(text, &read) || read != floor(read) || read < (double)range.least ||
        read > (double)range.most)
        return s24m_fail(S24_E_FORMAT, "%s is %.40s, but must be an integer in %lld .. %lld", full,
                         text, (long long)range.least, (long long)range.most);
    *value = (int64_t)read;
    return S24_OK;
}

s24_status s24m_key_truth(const s24m_reader *r, const char *key, bool *value)
{
    char full[S24M_KEY];
    const char *text = s24m_key(r, key, full);
    if (text && strcmp(text, "true") && strcmp(text, "false"))
        return s24m_fail(S24_E_FORMAT, "%s is %.40s, but must be true or false", full, text);
    *value = text ? !strcmp(text, "true") : *value;
    return S24_OK;
}

/* Equal as texts, or as numbers. */
static bool same(const char *text, const char *value)
{
    double a, b;
    return !strcmp(text, value) ||
           (s24m_parse(text, &a) && s24m_parse(value, &b) && fabs(a - b) <= 1e-6 * fabs(b));
}

s24_status s24m_key_only(const s24m_reader *r, const char *key, const char *values)
{
    char full[S24M_KEY], value[S24M_ITEM];
    const char *text = s24m_key(r, key, full);
    for (const char *at = values; text && *at; at += strspn(at, "|")) {
        size_t length = strcspn(at, "|");
        snprintf(value, sizeof value, "%.*s", (int)length, at);
        if (same(text, value))
            return S24_OK;
        at += length;
    }
    return text ? s24m_fail(S24_E_UNSUPPORTED, "%s is %.40s, but only %s is supported", full, text,
                            values)
                : S24_OK;
}
