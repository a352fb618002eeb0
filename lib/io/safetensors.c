#include "base/error.h"
#include "base/json.h"
#include "base/sort.h"
#include "reader.h"
#include "sniff.h"
#include <string.h>

enum {
    LENGTH = 8,             /* bytes of the header's length, before it */
    MAX_HEADER = 100000000, /* as the reference reader has it */
    MAX_DEPTH = 8,          /* 3 are used; more only below keys that are not ours */
    MAX_VALUES = 1 << 24,   /* two million tensors, which fill such a header */
};

typedef struct safetensors {
    s24i_reader reader;
    const unsigned char *data; /* after the header */
    uint64_t data_size;
    s24i_json_doc *doc; /* holds all names */
    int64_t meta_count;
    const void **meta, **by_key; /* s24i_json: in order, and sorted */
} safetensors;

static s24_status read_type(s24i_tensor *t, const s24i_json *type)
{
    if (!type || type->kind != S24I_JSON_STRING)
        return s24i_bad_tensor(t, "no dtype");
    t->element = s24i_element_by_name(type->string);
    if (!t->element || !t->element->safetensors)
        t->element = &s24i_element_of_safetensors;
    t->type = type->string;
    return S24_OK;
}

static s24_status read_shape(s24i_tensor *t, const s24i_json *shape)
{
    if (!shape || shape->kind != S24I_JSON_ARRAY)
        return s24i_bad_tensor(t, "no shape");
    if (shape->count > S24I_MAX_RANK)
        return s24i_bad_tensor(t, "more than 8 dimensions");
    for (const s24i_json *extent = shape->first; extent; extent = extent->next) {
        if (!s24i_json_u63(extent, &t->shape[t->rank++]))
            return s24i_bad_tensor(t, "a dimension is not an integer in [0, 2^63)");
    }
    return S24_OK;
}

static s24_status read_offsets(const safetensors *file, s24i_tensor *t, const s24i_json *offsets)
{
    int64_t begin, end;

    if (!offsets || offsets->kind != S24I_JSON_ARRAY || offsets->count != 2)
        return s24i_bad_tensor(t, "data_offsets is not [begin, end]");
    if (!s24i_json_u63(offsets->first, &begin) || !s24i_json_u63(offsets->first->next, &end))
        return s24i_bad_tensor(t, "data_offsets are not integers in [0, 2^63)");
    if (begin > end || (uint64_t)end > file->data_size)
        return s24i_fail(S24_E_FORMAT,
                         "tensor '%.100s': data_offsets [%lld, %lld] do not lie in the %llu bytes "
                         "of data: is the file whole?",
                         t->name, (long long)begin, (long long)end,
                         (unsigned long long)file->data_size);
    t->data = file->data + begin;
    t->size = (uint64_t)(end - begin);
    return S24_OK;
}

/* The shape must need exactly the bytes given, where the type says how many that are. */
static s24_status check_size(const s24i_tensor *t)
{
    uint64_t size;
    s24_status status = s24i_tensor_measure(t, &size);

    if (!status && t->element->bits && size != t->size)
        status =
            s24i_fail(S24_E_FORMAT,
                      "tensor '%.100s': shape and dtype need %llu bytes, data_offsets give %llu",
                      t->name, (unsigned long long)size, (unsigned long long)t->size);
    return status;
}

static s24_status read_tensor(const safetensors *file, const s24i_json *entry, s24i_tensor *t)
{
    t->name = entry->key;
    if (entry->kind != S24I_JSON_OBJECT)
        return s24i_bad_tensor(t, "not an object");
    s24_status status = read_type(t, s24i_json_get(entry, "dtype"));
    if (!status)
        status = read_shape(t, s24i_json_get(entry, "shape"));
    if (!status)
        status = read_offsets(file, t, s24i_json_get(entry, "data_offsets"));
    if (!status)
        status = check_size(t);
    return status;
}

/* In order of place each must begin where the last one ended. */
static s24_status check_cover(const safetensors *file)
{
    const unsigned char *end = file->data;

    for (int64_t i = 0; i < file->reader.count; i++) {
        const s24i_tensor *t = file->reader.by_place[i];
        if (t->data != end)
            return s24i_bad_tensor(t, "unused bytes before its data");
        end += t->size;
    }
    if (end != file->data + file->data_size)
        return s24i_fail(S24_E_FORMAT, "%llu bytes after the last tensor",
                         (unsigned long long)(file->data + file->data_size - end));
    return S24_OK;
}

static s24_status read_tensors(safetensors *file, const s24i_json *root)
{
    int64_t n = 0;

    for (const s24i_json *entry = root->first; entry; entry = entry->next) {
        if (!strcmp(entry->key, "__metadata__"))
            continue;
        s24i_tensor *t = &file->reader.tensors[n++];
        s24_status status = read_tensor(file, entry, t);
        if (status)
            return status;
    }
    s24_status status = s24i_reader_index_places(&file->reader);
    return status ? status : check_cover(file);
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const s24i_json *)a)->key, ((const s24i_json *)b)->key);
}

static const char *key_at(const void *sorted, int64_t index)
{
    return ((const s24i_json *)((const void *const *)sorted)[index])->key;
}

static s24_status read_meta(safetensors *file, const s24i_json *meta)
{
    int64_t n = 0;

    for (const s24i_json *item = meta ? meta->first : NULL; item; item = item->next) {
        if (item->kind != S24I_JSON_STRING)
            return s24i_fail(S24_E_FORMAT, "__metadata__: '%.100s' is not a string", item->key);
        file->meta[n] = file->by_key[n] = item;
        n++;
    }
    s24i_sort(file->by_key, n, by_key);
    return S24_OK;
}

static s24_status read_header(safetensors *file, const char *text, size_t size)
{
    s24_status status =
        s24i_json_parse(file->reader.memory, text, size, MAX_DEPTH, MAX_VALUES, &file->doc);

    if (status)
        return status;
    const s24i_json *root = s24i_json_root(file->doc), *meta = s24i_json_get(root, "__metadata__");
    if (meta && meta->kind != S24I_JSON_OBJECT && meta->kind != S24I_JSON_NULL)
        return s24i_fail(S24_E_FORMAT, "__metadata__ is not an object");
    file->meta_count = meta ? meta->count : 0; /* null has none */
    file->meta =
        s24i_alloc(file->reader.memory, s24i_mul((size_t)file->meta_count, sizeof(void *)));
    file->by_key =
        s24i_alloc(file->reader.memory, s24i_mul((size_t)file->meta_count, sizeof(void *)));
    status = s24i_reader_reserve(&file->reader, root->count - (meta != NULL));
    if (!file->meta || !file->by_key)
        status = S24_E_MEMORY;
    if (!status)
        status = read_tensors(file, root);
    return status ? status : read_meta(file, meta);
}

/* A header must follow: says what the file is if it is something else. */
static s24_status check_start(const unsigned char *bytes, uint64_t size, uint64_t length)
{
    uint64_t room = size < LENGTH ? 0 : size - LENGTH;
    bool open = room && bytes[LENGTH] == '{';
    const char *what = open && length <= MAX_HEADER ? NULL : s24i_sniff(bytes, size);

    if (what)
        return s24i_fail(S24_E_FORMAT, "this is %s", what);
    if (size < LENGTH)
        return s24i_fail(S24_E_FORMAT, "%llu bytes are too few for a safetensors file",
                         (unsigned long long)size);
    if (length > MAX_HEADER || length > room)
        return s24i_fail(S24_E_FORMAT,
                         "header of %llu bytes in a file of %llu (and no more than %d are "
                         "allowed): %s",
                         (unsigned long long)length, (unsigned long long)size, (int)MAX_HEADER,
                         open && length <= MAX_HEADER ? "is the file whole?"
                                                      : "this is no safetensors file");
    return length && open ? S24_OK : s24i_fail(S24_E_FORMAT, "the header does not begin with '{'");
}

static s24_status read_map(safetensors *file)
{
    const unsigned char *bytes = file->reader.map;
    uint64_t length = 0, size = file->reader.map_size;

    for (uint64_t i = 0; i < LENGTH && i < size; i++)
        length |= (uint64_t)bytes[i] << 8 * i;
    s24_status status = check_start(bytes, size, length);
    if (status)
        return status;
    file->data = bytes + LENGTH + length;
    file->data_size = size - LENGTH - length;
    return read_header(file, (const char *)bytes + LENGTH, length);
}

static void close_safetensors(s24i_reader *reader)
{
    safetensors *file = (safetensors *)reader;
    s24i_memory *memory = reader->memory;

    s24i_reader_release(reader);
    s24i_free(memory, file->by_key, s24i_mul((size_t)file->meta_count, sizeof(void *)));
    s24i_free(memory, file->meta, s24i_mul((size_t)file->meta_count, sizeof(void *)));
    s24i_json_free(file->doc);
    s24i_free(memory, file, sizeof *file);
}

static s24_status meta_value(s24i_reader *reader, const char *key, const char **value)
{
    const safetensors *file = (const safetensors *)reader;

    bool found;
    int64_t at = s24i_search(file->by_key, file->meta_count, key_at, key, &found);

    *value = found ? ((const s24i_json *)file->by_key[at])->string : NULL;
    return S24_OK;
}

static const char *meta_key(const s24i_reader *reader, int64_t index)
{
    const safetensors *file = (const safetensors *)reader;

    return index >= 0 && index < file->meta_count ? ((const s24i_json *)file->meta[index])->key
                                                  : NULL;
}

static const s24i_reader_class safetensors_class = {"safetensors", close_safetensors, meta_value,
                                                    meta_key};

s24_status s24i_safetensors_read(s24i_memory *memory, const void *map, uint64_t size,
                                 s24i_reader **out)
{
    safetensors *file = s24i_alloc_zero(memory, sizeof *file);

    if (!file)
        return S24_E_MEMORY;
    file->reader = (s24i_reader){&safetensors_class, memory, map, size};
    s24_status status = read_map(file);
    if (status)
        close_safetensors(&file->reader); /* the mapping is still the caller's */
    else
        *out = &file->reader;
    return status;
}
