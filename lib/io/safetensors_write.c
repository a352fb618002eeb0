#include "base/error.h"
#include "base/sort.h"
#include "base/utf8.h"
#include "os.h"
#include "spool.h"
#include <string.h>

enum { LENGTH = 8, MAX_HEADER = 100000000 };

typedef struct meta_item {
    char *key, *value;
} meta_item;

typedef struct safetensors {
    s24i_spool spool;
    s24i_list meta; /* meta_item, sorted by key */
} safetensors;

/* ---- Metadata. ---- */

static const char *key_at(const void *sorted, int64_t index)
{
    return ((const meta_item *)sorted)[index].key;
}

static void free_meta(s24i_memory *memory, const meta_item *item)
{
    s24i_strfree(memory, item->key);
    s24i_strfree(memory, item->value);
}

static void remove_meta(safetensors *w, int64_t at)
{
    free_meta(w->spool.writer.memory, (const meta_item *)w->meta.items + at);
    s24i_list_remove(&w->meta, at, sizeof(meta_item));
}

static s24_status set_meta(s24i_writer *writer, const char *key, const char *value)
{
    safetensors *w = (safetensors *)writer;
    s24i_memory *memory = writer->memory;
    meta_item item;
    bool there;

    if (!key || !*key || !s24i_utf8_valid(key) || (value && !s24i_utf8_valid(value)))
        return s24i_fail(S24_E_ARG, "metadata needs a key and a value, both UTF-8");
    int64_t at = s24i_search(w->meta.items, w->meta.count, key_at, key, &there);
    if (!value) {
        if (there)
            remove_meta(w, at);
        return S24_OK;
    }
    s24_status status = s24i_list_reserve(memory, &w->meta, sizeof item);
    if (status)
        return status;
    item.key = s24i_strdup(memory, key);
    item.value = item.key ? s24i_strdup(memory, value) : NULL;
    if (!item.value) {
        s24i_strfree(memory, item.key);
        return S24_E_MEMORY;
    }
    if (there)
        remove_meta(w, at);
    s24i_list_insert(&w->meta, at, &item, sizeof item);
    return S24_OK;
}

static s24_status copy_meta(s24i_writer *writer, s24i_reader *from)
{
    const char *key, *value;
    s24_status status = S24_OK;

    for (int64_t i = 0; !status && (key = s24i_reader_meta_key(from, i)); i++) {
        status = s24i_reader_meta(from, key, &value);
        status = status ? status : set_meta(writer, key, value);
    }
    return status;
}

/* ---- The file. ---- */

static bool takes(const s24i_element *element)
{
    return element->safetensors;
}

/* Tensors follow each other without gaps. */
static uint64_t alignment(const s24i_spool *spool)
{
    (void)spool;
    return 1;
}

static void append_meta(const safetensors *w, s24i_text *text)
{
    const meta_item *items = w->meta.items;

    s24i_text_append(text, "\"__metadata__\":{");
    for (int64_t i = 0; i < w->meta.count; i++) {
        s24i_text_append(text, "%s", i ? "," : "");
        s24i_text_json_string(text, items[i].key);
        s24i_text_append(text, ":");
        s24i_text_json_string(text, items[i].value);
    }
    s24i_text_append(text, "}");
}

static void append_entry(const s24i_entry *e, s24i_text *text)
{
    s24i_text_json_string(text, e->name);
    s24i_text_append(text, ":{\"dtype\":");
    s24i_text_json_string(text, e->type ? e->type : e->element->name);
    s24i_text_append(text, ",\"shape\":[");
    for (int32_t i = 0; i < e->rank; i++)
        s24i_text_append(text, "%s%lld", i ? "," : "", (long long)e->shape[i]);
    s24i_text_append(text, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)e->begin,
                     (unsigned long long)(e->begin + e->size));
}

/* Length and JSON, padded so that the data begin at a multiple of 8. */
static s24_status header(const s24i_spool *spool, s24i_text *text)
{
    const safetensors *w = (const safetensors *)spool;
    const s24i_entry *entries = spool->entries.items;

    s24i_text_append(text, "%*s{", LENGTH, "");
    if (w->meta.count)
        append_meta(w, text);
    for (int64_t i = 0; i < spool->entries.count; i++) {
        s24i_text_append(text, "%s", i || w->meta.count ? "," : "");
        append_entry(&entries[i], text);
    }
    s24i_text_append(text, "}");
    s24i_text_append(text, "%*s", (int)(-text->size % 8), "");
    if (text->failed)
        return S24_E_MEMORY;
    uint64_t length = text->size - LENGTH;
    if (length > MAX_HEADER)
        return s24i_fail(S24_E_FORMAT, "%.300s: the header would have more than %d bytes",
                         spool->writer.path, (int)MAX_HEADER);
    for (int i = 0; i < LENGTH; i++)
        text->data[i] = (char)(length >> 8 * i & 0xff);
    return S24_OK;
}

static void discard(s24i_writer *writer)
{
    safetensors *w = (safetensors *)writer;
    s24i_memory *memory = writer->memory;
    meta_item *meta = w->meta.items;

    for (int64_t i = 0; i < w->meta.count; i++)
        free_meta(memory, &meta[i]);
    s24i_list_free(memory, &w->meta, sizeof(meta_item));
    s24i_spool_close(&w->spool);
    s24i_free(memory, w, sizeof *w);
}

static const s24i_spool_class class = {
    {"safetensors", s24i_spool_put, s24i_spool_put_stored, s24i_spool_check_stored, set_meta,
     copy_meta, NULL, s24i_spool_appear, discard},
    .max_rank = S24I_MAX_RANK,
    .max_name = 1 << 20,
    .reserved = "__metadata__",
    .takes = takes,
    .alignment = alignment,
    .header = header,
};

s24_status s24i_safetensors_shard(s24i_memory *memory, const char *path, s24i_writer **out)
{
    safetensors *w = s24i_alloc_zero(memory, sizeof *w);

    if (!w)
        return S24_E_MEMORY;
    s24_status status = s24i_spool_open(&w->spool, &class, memory, path);
    if (status)
        discard(&w->spool.writer);
    else
        *out = &w->spool.writer;
    return status;
}

s24_status s24i_safetensors_create(s24i_memory *memory, const char *path, s24i_writer **out)
{
    s24_status status = s24i_os_check_target(path);

    return status ? status : s24i_safetensors_shard(memory, path, out);
}
