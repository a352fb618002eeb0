/* config.json as text: values as metadata have them, and the file with one key changed. */
#include "base/error.h"
#include "folder.h"
#include <string.h>

enum { MAX_DEPTH = 16, MAX_VALUES = 1 << 22, COMPACT = -1 };

/* ---- Writing. ---- */

/* `depth` COMPACT: no white space. */
static void new_line(s24i_text *text, int depth)
{
    if (depth >= 0)
        s24i_text_append(text, "\n%*s", 2 * depth, "");
}

static void append(s24i_text *text, const s24i_json *value, int depth);

static void append_children(s24i_text *text, const s24i_json *parent, int depth)
{
    for (const s24i_json *item = parent->first; item; item = item->next) {
        new_line(text, depth);
        if (item->key) {
            s24i_text_json_string(text, item->key);
            s24i_text_append(text, depth >= 0 ? ": " : ":");
        }
        append(text, item, depth);
        s24i_text_append(text, "%s", item->next ? "," : "");
    }
}

static void append(s24i_text *text, const s24i_json *value, int depth)
{
    bool object = value->kind == S24I_JSON_OBJECT;

    switch (value->kind) {
    case S24I_JSON_NULL:
        s24i_text_append(text, "null");
        break;
    case S24I_JSON_BOOL:
        s24i_text_append(text, value->number != 0 ? "true" : "false");
        break;
    case S24I_JSON_NUMBER:
        s24i_text_append(text, "%s", value->string);
        break;
    case S24I_JSON_STRING:
        s24i_text_json_string(text, value->string);
        break;
    default:
        s24i_text_append(text, object ? "{" : "[");
        append_children(text, value, depth >= 0 ? depth + 1 : COMPACT);
        if (value->first)
            new_line(text, depth);
        s24i_text_append(text, object ? "}" : "]");
    }
}

void s24i_config_value(s24i_text *text, const s24i_json *value)
{
    append(text, value, COMPACT);
}

/* ---- Changing. ---- */

/* What is left of a path below the key it begins with: "" if it is the key; NULL if it begins with
 * another. */
static const char *below(const char *path, const char *key)
{
    size_t length = strlen(key);

    if (strncmp(path, key, length))
        return NULL;
    return !path[length] ? path + length : path[length] == '.' ? path + length + 1 : NULL;
}

/* Where the value of that path hangs; the end of the list if there is none. */
static s24i_json **find(s24i_json *object, const char *path)
{
    s24i_json **link = &object->first;

    for (; *link; link = &(*link)->next) {
        const char *rest = below(path, (*link)->key);
        if (rest && !*rest)
            return link;
        s24i_json **inner = rest && (*link)->kind == S24I_JSON_OBJECT ? find(*link, rest) : NULL;
        if (inner && *inner)
            return inner;
    }
    return link;
}

/* The new value has the kind of the old one: its spelling is read as JSON, but for strings. */
static s24_status replace(s24i_memory *memory, s24i_json *there, const char *key, const char *value)
{
    static const char *const kinds[] = {"null", "bool", "number", "string", "array", "object"};
    s24i_json_doc *doc = NULL;

    if (there->kind == S24I_JSON_STRING || there->kind == S24I_JSON_NULL) {
        there->kind = S24I_JSON_STRING;
        there->string = value;
        return S24_OK;
    }
    bool scalar = there->kind == S24I_JSON_NUMBER || there->kind == S24I_JSON_BOOL;
    s24_status status =
        scalar ? s24i_json_parse(memory, value, strlen(value), 1, 1, &doc) : S24_E_FORMAT;
    if (status == S24_E_MEMORY)
        return status;
    if (status || s24i_json_root(doc)->kind != there->kind)
        status = s24i_fail(S24_E_ARG, "key 'config.%.100s' holds a value of kind %s, not '%.100s'",
                           key, kinds[there->kind], value);
    else if (there->kind == S24I_JSON_BOOL)
        there->number = s24i_json_root(doc)->number;
    else
        there->string = value;
    s24i_json_free(doc);
    return status;
}

static s24_status change(s24i_memory *memory, s24i_json *root, const char *key, const char *value,
                         s24i_json *added)
{
    s24i_json **link = find(root, key);

    if (!value && *link)
        *link = (*link)->next;
    else if (*link)
        return replace(memory, *link, key, value);
    else if (value && strchr(key, '.'))
        return s24i_fail(S24_E_ARG, "there is no key 'config.%.100s': a new one has no '.'", key);
    else if (value)
        *link = added;
    return S24_OK;
}

/* Sizes that a configuration may leave out as long as others say them. */
static bool is_size(const char *key)
{
    return !strcmp(key, "head_dim") || !strcmp(key, "num_key_value_heads");
}

/* A new value: an object or an array as JSON, and a size; anything else as a string. */
static s24_status make_value(s24i_memory *memory, const char *key, const char *value,
                             s24i_json *added, s24i_json_doc **doc)
{
    bool compound = value && (*value == '{' || *value == '[' || is_size(key));
    s24_status status =
        compound ? s24i_json_parse(memory, value, strlen(value), MAX_DEPTH, MAX_VALUES, doc)
                 : S24_OK;

    if (status == S24_E_FORMAT)
        return s24i_fail(S24_E_ARG, "key 'config.%.100s': the value begins as JSON: %s", key,
                         s24i_error_text());
    *added = (s24i_json){.kind = S24I_JSON_STRING, .string = value};
    if (*doc)
        *added = *s24i_json_root(*doc);
    added->key = key;
    return status;
}

static s24_status edit(s24i_memory *memory, s24i_json *root, const char *key, const char *value,
                       s24i_text *out)
{
    s24i_json added;
    s24i_json_doc *doc = NULL;
    s24_status status = make_value(memory, key, value, &added, &doc);

    if (!status)
        status = change(memory, root, key, value, &added);
    if (!status) {
        append(out, root, 0);
        s24i_text_append(out, "\n");
        status = out->failed ? S24_E_MEMORY : S24_OK;
    }
    s24i_json_free(doc);
    return status;
}

s24_status s24i_config_edit(s24i_memory *memory, const char *json, uint64_t size, const char *key,
                            const char *value, s24i_text *out)
{
    s24i_json_doc *doc;
    s24_status status = s24i_json_parse(memory, json, size, MAX_DEPTH, MAX_VALUES, &doc);

    if (status)
        return s24i_fail(status, S24I_FOLDER_CONFIG ": %s", s24i_error_text());
    s24i_json *root = (s24i_json *)(uintptr_t)s24i_json_root(doc);
    if (root->kind != S24I_JSON_OBJECT)
        status = s24i_fail(S24_E_FORMAT, S24I_FOLDER_CONFIG ": not an object");
    if (!status)
        status = edit(memory, root, key, value, out);
    s24i_json_free(doc);
    return status;
}
