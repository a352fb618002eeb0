#include "base/error.h"
#include "base/number.h"
#include "base/utf8.h"
#include "gguf.h"
#include "os.h"
#include "spool.h"
#include <string.h>

enum { MAX_NAME = 63, MAX_KEY = 65535 };

typedef struct item {
    char *key;
    uint32_t type;
    unsigned char *bytes;
    uint64_t size;
} item;

typedef struct gguf {
    s24i_spool spool;
    s24i_list items; /* item, in the order of the calls */
} gguf;

/* ---- Metadata. ---- */

static item *find_item(const gguf *w, const char *key)
{
    item *items = w->items.items;

    for (int64_t i = 0; i < w->items.count; i++) {
        if (!strcmp(items[i].key, key))
            return &items[i];
    }
    return NULL;
}

/* A copy of `bytes` under the key, instead of what was there. */
static s24_status set_item(gguf *w, const char *key, uint32_t type, const void *bytes,
                           uint64_t size)
{
    s24i_memory *memory = w->spool.writer.memory;
    item *there = find_item(w, key), made = {.type = type, .size = size};
    s24_status status = there ? S24_OK : s24i_list_reserve(memory, &w->items, sizeof made);

    if (status)
        return status;
    made.bytes = s24i_alloc(memory, size);
    made.key = made.bytes ? s24i_strdup(memory, key) : NULL;
    if (!made.key) {
        s24i_free(memory, made.bytes, size);
        return S24_E_MEMORY;
    }
    memcpy(made.bytes, bytes, size);
    if (there) {
        s24i_strfree(memory, there->key);
        s24i_free(memory, there->bytes, there->size);
        *there = made;
    } else {
        s24i_list_insert(&w->items, w->items.count, &made, sizeof made);
    }
    return S24_OK;
}

static void remove_item(gguf *w, item *it)
{
    s24i_strfree(w->spool.writer.memory, it->key);
    s24i_free(w->spool.writer.memory, it->bytes, it->size);
    s24i_list_remove(&w->items, it - (item *)w->items.items, sizeof *it);
}

static s24_status set_string(gguf *w, const char *key, const char *value)
{
    s24i_text text = {.memory = w->spool.writer.memory};
    uint64_t length = strlen(value);

    s24i_text_bytes(&text, &length, sizeof length);
    s24i_text_bytes(&text, value, length);
    s24_status status =
        text.failed ? S24_E_MEMORY : set_item(w, key, S24I_GGUF_STRING, text.data, text.size);
    s24i_text_free(&text);
    return status;
}

/* The integer of `size` bytes, if the text is one. */
static bool read_integer(const char *text, uint32_t size, bool is_signed, int64_t *value)
{
    if (!s24i_integer_read(text, value))
        return false;
    int bits = 8 * (int)size - is_signed;
    int64_t high = bits >= 63 ? INT64_MAX : ((int64_t)1 << bits) - 1;
    return *value <= high && *value >= (is_signed ? -high - 1 : 0);
}

/* The text as a value of that type. */
static bool read_scalar(const char *text, uint32_t type, uint32_t size, void *bytes)
{
    double wide;
    int64_t integer;
    bool is_signed = type == S24I_GGUF_I8 || type == S24I_GGUF_I16 || type == S24I_GGUF_I32 ||
                     type == S24I_GGUF_I64;

    if (type == S24I_GGUF_BOOL) {
        *(unsigned char *)bytes = !strcmp(text, "true");
        return !strcmp(text, "true") || !strcmp(text, "false");
    }
    if (type == S24I_GGUF_F32 || type == S24I_GGUF_F64) {
        if (!s24i_number_read(text, &wide))
            return false;
        float narrow = (float)wide;
        memcpy(bytes, type == S24I_GGUF_F64 ? (void *)&wide : (void *)&narrow, size);
        return true;
    }
    if (!read_integer(text, size, is_signed, &integer))
        return false;
    memcpy(bytes, &integer, size); /* little-endian */
    return true;
}

static s24_status set_scalar(gguf *w, const char *key, const char *value, uint32_t type,
                             uint32_t size)
{
    unsigned char bytes[8];
    uint32_t alignment;

    if (!read_scalar(value, type, size, bytes))
        return s24i_fail(S24_E_ARG, "key '%.100s' is '%.40s', which its type cannot hold", key,
                         value);
    memcpy(&alignment, bytes, sizeof alignment);
    if (!strcmp(key, S24I_GGUF_ALIGNMENT_KEY) && !s24i_gguf_alignment_fits(alignment))
        return s24i_fail(S24_E_ARG, "%s is %.40s, but must be a power of 2 up to 2^20", key, value);
    return set_item(w, key, type, bytes, size);
}

static bool is_u32(const char *key)
{
    static const char *const ends[] = {".attention.key_length", ".attention.value_length",
                                       ".rope.dimension_count"};
    size_t length = strlen(key);

    for (int i = 0; i < 3; i++)
        if (length > strlen(ends[i]) && !strcmp(key + length - strlen(ends[i]), ends[i]))
            return true;
    return !strcmp(key, S24I_GGUF_ALIGNMENT_KEY) || !strcmp(key, "general.file_type") ||
           !strcmp(key, "general.quantization_version");
}

/* A key that is there keeps its type, a new one is a string unless it is one of these. */
static s24_status set_meta(s24i_writer *writer, const char *key, const char *value)
{
    gguf *w = (gguf *)writer;

    if (!key || !*key || !s24i_utf8_valid(key) || (value && !s24i_utf8_valid(value)) ||
        strlen(key) > MAX_KEY)
        return s24i_fail(S24_E_ARG, "metadata needs a key and a value, both UTF-8");
    for (const char *c = key; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return s24i_fail(S24_E_ARG, "key '%.100s' has control characters", key);
    }
    item *there = find_item(w, key);
    if (!value) {
        if (there)
            remove_item(w, there);
        return S24_OK;
    }
    if (there && there->type == S24I_GGUF_ARRAY)
        return s24i_fail(S24_E_ARG, "key '%.100s' is an array: it can only be copied", key);
    if (there && there->type != S24I_GGUF_STRING)
        return set_scalar(w, key, value, there->type, (uint32_t)there->size);
    if (is_u32(key))
        return set_scalar(w, key, value, S24I_GGUF_U32, 4);
    return set_string(w, key, value);
}

static s24_status copy_meta(s24i_writer *writer, s24i_reader *from)
{
    s24i_gguf_value value;
    s24_status status = S24_OK;

    for (int64_t i = 0; !status && i < s24i_gguf_value_count(from); i++) {
        const char *key = s24i_gguf_value_at(from, i, &value);
        status = set_item((gguf *)writer, key, value.type, value.bytes, value.size);
    }
    return status;
}

/* ---- The file. ---- */

static bool takes(const s24i_element *element)
{
    return element->gguf >= 0;
}

static uint64_t alignment(const s24i_spool *spool)
{
    const item *it = find_item((const gguf *)spool, S24I_GGUF_ALIGNMENT_KEY);
    uint32_t value = S24I_GGUF_ALIGNMENT;

    if (it)
        memcpy(&value, it->bytes, sizeof value);
    return value;
}

static void append_u32(s24i_text *text, uint32_t value)
{
    s24i_text_bytes(text, &value, sizeof value); /* little-endian */
}

static void append_u64(s24i_text *text, uint64_t value)
{
    s24i_text_bytes(text, &value, sizeof value);
}

static void append_string(s24i_text *text, const char *string)
{
    append_u64(text, strlen(string));
    s24i_text_bytes(text, string, strlen(string));
}

static void append_entry(const s24i_entry *e, uint64_t offset, s24i_text *text)
{
    append_string(text, e->name);
    append_u32(text, (uint32_t)e->rank);
    for (int32_t i = e->rank; i-- > 0;)
        append_u64(text, (uint64_t)e->shape[i]);
    append_u32(text, e->type ? e->number : (uint32_t)e->element->gguf);
    append_u64(text, offset);
}

static s24_status header(const s24i_spool *spool, s24i_text *text)
{
    const gguf *w = (const gguf *)spool;
    const item *items = w->items.items;
    const s24i_entry *entries = spool->entries.items;
    uint64_t offset = 0, step = alignment(spool);
    static const char zeros[64];

    s24i_text_bytes(text, "GGUF", 4);
    append_u32(text, S24I_GGUF_VERSION);
    append_u64(text, (uint64_t)spool->entries.count);
    append_u64(text, (uint64_t)w->items.count);
    for (int64_t i = 0; i < w->items.count; i++) {
        append_string(text, items[i].key);
        append_u32(text, items[i].type);
        s24i_text_bytes(text, items[i].bytes, items[i].size);
    }
    for (int64_t i = 0; i < spool->entries.count; i++) {
        append_entry(&entries[i], offset, text);
        offset = s24i_align(offset + entries[i].size, step);
    }
    while (!text->failed && text->size % step) {
        uint64_t gap = s24i_align(text->size, step) - text->size;
        s24i_text_bytes(text, zeros, gap < sizeof zeros ? gap : sizeof zeros);
    }
    return text->failed ? S24_E_MEMORY : S24_OK;
}

static void discard(s24i_writer *writer)
{
    gguf *w = (gguf *)writer;
    s24i_memory *memory = writer->memory;
    item *items = w->items.items;

    for (int64_t i = 0; i < w->items.count; i++) {
        s24i_strfree(memory, items[i].key);
        s24i_free(memory, items[i].bytes, items[i].size);
    }
    s24i_list_free(memory, &w->items, sizeof(item));
    s24i_spool_close(&w->spool);
    s24i_free(memory, w, sizeof *w);
}

static const s24i_spool_class class = {
    {"gguf", s24i_spool_put, s24i_spool_put_stored, s24i_spool_check_stored, set_meta, copy_meta,
     NULL, s24i_spool_appear, discard},
    .max_rank = S24I_GGUF_MAX_RANK,
    .max_name = MAX_NAME,
    .takes = takes,
    .alignment = alignment,
    .header = header,
};

s24_status s24i_gguf_create(s24i_memory *memory, const char *path, s24i_writer **out)
{
    s24_status status = s24i_os_check_target(path);
    gguf *w = status ? NULL : s24i_alloc_zero(memory, sizeof *w);

    if (!w)
        return status ? status : S24_E_MEMORY;
    status = s24i_spool_open(&w->spool, &class, memory, path);
    if (status)
        discard(&w->spool.writer);
    else
        *out = &w->spool.writer;
    return status;
}
