#include "text.h"
#include "paths.h"
#include "tokenizer/contents.h"
#include "tokenizer/json.h"
#include <stdio.h>
#include <string.h>

/* ---- Kinds ---- */

typedef struct magic {
    const char *bytes;
    size_t size;
    const char *what;
} magic;

/* What is no text, and the way out. */
static const magic others[] = {
    {"\x1f\x8b", 2, "is compressed (gzip): unpack it first"},
    {"\x28\xb5\x2f\xfd", 4, "is compressed (zstd): unpack it first"},
    {"\xfd"
     "7zXZ",
     5, "is compressed (xz): unpack it first"},
    {"BZh", 3, "is compressed (bzip2): unpack it first"},
    {"PK\x03\x04", 4, "is a zip file, or a checkpoint of torch: expected a text or token ids"},
    {"PAR1", 4, "is a Parquet file: write its texts as .jsonl first"},
    {"ARROW1", 6, "is an Arrow file: write its texts as .jsonl first"},
    {"%PDF", 4, "is a PDF: expected a text"},
    {"\x7f"
     "ELF",
     4, "is a program: expected a text or token ids"},
    {"\xff\xfe", 2, "is text in UTF-16: write it as UTF-8 first"},
    {"\xfe\xff", 2, "is text in UTF-16: write it as UTF-8 first"},
};

static bool is_tensors(const char *path, const char *bytes, size_t size)
{
    return s24m_path_ends_with(path, ".safetensors") || s24m_path_ends_with(path, ".gguf") ||
           (size >= 4 && !memcmp(bytes, "GGUF", 4)) ||
           (size > 9 && bytes[8] == '{' && !bytes[6] && !bytes[7]);
}

static bool is_lines(const char *path)
{
    return s24m_path_ends_with(path, ".jsonl") || s24m_path_ends_with(path, ".ndjson");
}

bool s24m_text_kind(const char *path, text_kind *kind)
{
    char bytes[4096];
    size_t size;
    if (!s24m_contents_peek(path, bytes, sizeof bytes, &size))
        return false;
    if (!size)
        return s24m_wrong(S24_E_FORMAT, "%s: is empty", path);
    *kind = TEXT_TENSORS;
    if (is_tensors(path, bytes, size))
        return true;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (size >= others[i].size && !memcmp(bytes, others[i].bytes, others[i].size))
            return s24m_wrong(S24_E_FORMAT, "%s: %s", path, others[i].what);
    *kind = size >= 6 && !memcmp(bytes, "\x93NUMPY", 6) ? TEXT_NUMPY
            : is_lines(path)                            ? TEXT_LINES
                                                        : TEXT_PLAIN;
    if (*kind != TEXT_NUMPY && memchr(bytes, 0, size))
        return s24m_wrong(S24_E_FORMAT,
                          "%s: is no text, it holds NUL bytes: expected UTF-8, .jsonl, .npy or "
                          "safetensors",
                          path);
    if (*kind == TEXT_PLAIN && s24m_path_ends_with(path, ".json"))
        return s24m_wrong(S24_E_FORMAT, "%s: expected .jsonl, an object a line", path);
    return true;
}

/* ---- Objects ---- */

/* Names that a line has, for the error that one is missing. */
static void list_names(const json_tree *tree, char *names, size_t room)
{
    size_t used = 0;
    const json_value *v = s24m_json_first(tree, s24m_json_root(tree));
    *names = 0;
    for (; v && used + v->key_size + 3 < room; v = s24m_json_next(tree, v))
        used += (size_t)snprintf(names + used, room - used, " %.*s", (int)v->key_size, v->key);
}

static bool no_field(const json_tree *tree, const json_value *found, const char *field)
{
    char names[200];
    if (s24m_json_root(tree)->kind != JSON_OBJECT)
        return s24m_wrong(S24_E_FORMAT, "%s: is no object", tree->name);
    if (found)
        return s24m_wrong(S24_E_FORMAT, "%s: \"%s\" is no text", tree->name, field);
    list_names(tree, names, sizeof names);
    return s24m_wrong(S24_E_FORMAT, "%s: has no \"%s\": name one of its members with --field:%s",
                      tree->name, field, names);
}

static bool add_object(buffer *b, const char *name, const char *line, size_t size,
                       const char *field)
{
    json_tree tree;
    if (!s24m_json_parse(&tree, name, line, size))
        return false;
    const json_value *text = s24m_json_get(&tree, s24m_json_root(&tree), field);
    bool done = text && text->kind == JSON_STRING ? (!b->size || s24m_buffer_add(b, "\n\n", 2)) &&
                                                        s24m_buffer_add(b, text->text, text->size)
                                                  : no_field(&tree, text, field);
    s24m_json_free(&tree);
    return done;
}

static bool is_blank_line(const char *line, size_t size)
{
    while (size && memchr(" \t\r", *line, 3))
        line++, size--;
    return !size;
}

static bool add_lines(buffer *b, const char *path, const char *text, size_t size, const char *field)
{
    char name[300];
    bool done = true;
    long number = 1;
    for (size_t i = 0, to; done && i < size; i = to + 1, number++) {
        const char *end = memchr(text + i, '\n', size - i);
        to = end ? (size_t)(end - text) : size;
        snprintf(name, sizeof name, "%s: line %ld", path, number);
        if (!is_blank_line(text + i, to - i))
            done = add_object(b, name, text + i, to - i, field);
    }
    return done;
}

bool s24m_text_read(buffer *b, const char *path, text_kind kind, const char *field)
{
    buffer whole = {0};
    if (!s24m_contents_read(&whole, path))
        return false;
    /* The mark of UTF-8 that some editors write is no text. */
    size_t from = whole.size >= 3 && !memcmp(whole.data, "\xef\xbb\xbf", 3) ? 3 : 0;
    if (kind == TEXT_PLAIN && !b->size && !from) {
        s24m_buffer_free(b);
        *b = whole;
        return true;
    }
    bool done = kind == TEXT_PLAIN
                    ? s24m_buffer_add(b, whole.data + from, whole.size - from)
                    : add_lines(b, path, whole.data + from, whole.size - from, field);
    s24m_buffer_free(&whole);
    return done;
}
