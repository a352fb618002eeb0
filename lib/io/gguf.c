#include "gguf.h"
#include "base/error.h"
#include "base/sort.h"
#include "base/utf8.h"
#include <string.h>

enum {
    MAX_NAME = 65535,
    LEAST_ITEM = 8 + 1 + 4 + 1,       /* bytes of the shortest metadata item */
    LEAST_TENSOR = 8 + 1 + 4 + 4 + 8, /* and of the shortest entry of a tensor */
};

typedef struct item {
    char *key;
    s24i_gguf_value value;
    s24i_text text; /* made when first asked for */
} item;

typedef struct gguf {
    s24i_reader reader;
    const unsigned char *bytes; /* the mapping, or `turned` */
    unsigned char *turned;      /* a copy of a big-endian file in our order */
    int64_t item_count, item_room;
    item *items;
    const void **by_key; /* item */
    int64_t part_count;  /* 0: one file */
    s24i_reader **parts;
} gguf;

/* ---- Reading. ---- */

/* A copy of the next string, as a name. */
static s24_status take_name(gguf *file, s24i_cursor *cursor, const char *what, char **name)
{
    const unsigned char *bytes;
    uint64_t size, at = (uint64_t)(cursor->at - cursor->start);
    s24_status status = s24i_take_bytes(cursor, &bytes, &size);

    if (status)
        return status;
    const char *fault = size == 0         ? "is empty"
                        : size > MAX_NAME ? "has more than 65535 bytes"
                                          : NULL;
    for (size_t i = 0, n; i < size && !fault; i += n) {
        n = s24i_utf8_length((const char *)bytes + i, size - i);
        if (n == 0)
            fault = "is not UTF-8";
        else if (bytes[i] < 0x20 || bytes[i] == 0x7f)
            fault = "has control characters";
    }
    if (fault)
        return s24i_fail(S24_E_FORMAT, "byte %llu: the name of a %s %s", (unsigned long long)at,
                         what, fault);
    *name = s24i_alloc(file->reader.memory, size + 1);
    if (!*name)
        return S24_E_MEMORY;
    memcpy(*name, bytes, size);
    (*name)[size] = 0;
    return S24_OK;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const item *)a)->key, ((const item *)b)->key);
}

static void index_items(gguf *file)
{
    for (int64_t i = 0; i < file->item_count; i++)
        file->by_key[i] = &file->items[i];
    s24i_sort(file->by_key, file->item_count, by_key);
}

static s24_status read_items(gguf *file, s24i_cursor *cursor)
{
    for (int64_t i = 0; i < file->item_count; i++) {
        item *it = &file->items[i];
        s24_status status = take_name(file, cursor, "metadata key", &it->key);
        if (!status)
            status = s24i_take_value(cursor, &it->value);
        if (status)
            return it->key ? s24i_fail(status, "key '%.100s': %s", it->key, s24i_error_text())
                           : status;
        it->text.memory = file->reader.memory;
    }
    index_items(file);
    for (int64_t i = 1; i < file->item_count; i++) {
        if (!by_key(file->by_key[i - 1], file->by_key[i]))
            return s24i_fail(S24_E_FORMAT, "key '%.100s' is there twice",
                             ((const item *)file->by_key[i])->key);
    }
    return S24_OK;
}

static const char *key_at(const void *sorted, int64_t index)
{
    return ((const item *)((const void *const *)sorted)[index])->key;
}

static item *find_item(const gguf *file, const char *key)
{
    bool found;
    int64_t at = s24i_search(file->by_key, file->item_count, key_at, key, &found);

    return found ? &file->items[(const item *)file->by_key[at] - file->items] : NULL;
}

static s24_status read_alignment(const gguf *file, uint64_t *alignment)
{
    const item *it = find_item(file, S24I_GGUF_ALIGNMENT_KEY);

    *alignment = S24I_GGUF_ALIGNMENT;
    if (!it)
        return S24_OK;
    if (it->value.type != S24I_GGUF_U32)
        return s24i_fail(S24_E_FORMAT, S24I_GGUF_ALIGNMENT_KEY " is not of type u32");
    s24i_cursor cursor = {it->value.bytes, it->value.bytes, it->value.bytes + it->value.size};
    uint32_t value;
    s24_status status = s24i_take_u32(&cursor, &value);
    if (!status && !s24i_gguf_alignment_fits(value))
        status = s24i_fail(S24_E_FORMAT,
                           S24I_GGUF_ALIGNMENT_KEY " is %u, but must be a power of 2 up to 2^20",
                           (unsigned)value);
    *alignment = value;
    return status;
}

/* Extents are stored with the contiguous one first. */
static s24_status take_shape(s24i_cursor *cursor, s24i_tensor *t)
{
    uint32_t rank = 0;
    uint64_t extent = 0;
    s24_status status = s24i_take_u32(cursor, &rank);

    if (!status && rank > S24I_GGUF_MAX_RANK)
        status = s24i_fail(S24_E_FORMAT, "tensor '%.100s': %u dimensions, at most %d are allowed",
                           t->name, (unsigned)rank, S24I_GGUF_MAX_RANK);
    for (uint32_t i = 0; !status && i < rank; i++) {
        status = s24i_take_u64(cursor, &extent);
        if (!status && extent > INT64_MAX)
            status = s24i_bad_tensor(t, "a dimension is not in [0, 2^63)");
        t->rank = (int32_t)rank;
        t->shape[rank - 1 - i] = (int64_t)extent;
    }
    return status;
}

/* One that is not known is called by its number. */
static s24_status take_type(gguf *file, s24i_tensor *t, uint32_t number)
{
    s24i_text name = {.memory = file->reader.memory};

    t->element = s24i_element_by_gguf(number);
    t->number = number;
    if (t->element) {
        t->type = t->element->name;
        return S24_OK;
    }
    t->element = &s24i_element_of_gguf;
    s24i_text_append(&name, "type %u", (unsigned)number);
    t->type = name.data ? s24i_strdup(name.memory, name.data) : NULL;
    s24i_text_free(&name);
    return t->type ? S24_OK : S24_E_MEMORY;
}

/* `begin` is from the start of the data. */
static s24_status take_tensor(gguf *file, s24i_cursor *cursor, s24i_tensor *t, uint64_t *begin)
{
    char *name;
    uint32_t type;
    s24_status status = take_name(file, cursor, "tensor", &name);

    if (status)
        return status;
    t->name = name;
    status = take_shape(cursor, t);
    if (!status)
        status = s24i_take_u32(cursor, &type);
    if (!status)
        status = s24i_take_u64(cursor, begin);
    if (status)
        return status;
    status = take_type(file, t, type);
    return status ? status : s24i_tensor_measure(t, &t->size);
}

static s24_status place_tensor(const gguf *file, s24i_tensor *t, uint64_t data, uint64_t begin,
                               uint64_t alignment)
{
    uint64_t size = data < file->reader.map_size ? file->reader.map_size - data : 0;

    if (begin % alignment)
        return s24i_fail(S24_E_FORMAT, "tensor '%.100s': offset %llu is not a multiple of %llu",
                         t->name, (unsigned long long)begin, (unsigned long long)alignment);
    if (begin > size || t->size > size - begin)
        return s24i_fail(
            S24_E_FORMAT,
            "tensor '%.100s': %llu bytes at %llu do not lie in the %llu of data: is the "
            "file whole?",
            t->name, (unsigned long long)t->size, (unsigned long long)begin,
            (unsigned long long)size);
    t->data = file->bytes + (size ? data : file->reader.map_size) + begin;
    return S24_OK;
}

static int by_begin(const void *a, const void *b)
{
    uint64_t s = *(const uint64_t *)a, t = *(const uint64_t *)b;

    return s < t ? -1 : s > t;
}

/* The least of the sorted beginnings beyond `begin`, or `end`. */
static uint64_t next_begin(const void **sorted, int64_t count, uint64_t begin, uint64_t end)
{
    int64_t low = 0, high = count;

    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (*(const uint64_t *)sorted[middle] > begin)
            high = middle;
        else
            low = middle + 1;
    }
    return low < count && *(const uint64_t *)sorted[low] < end ? *(const uint64_t *)sorted[low]
                                                               : end;
}

/* A tensor whose type is not known reaches to the next one, or to the end of the data. */
static void measure_unknown(gguf *file, const uint64_t *begins, uint64_t data)
{
    s24i_reader *reader = &file->reader;
    const void **sorted = reader->by_place; /* not in use yet */
    uint64_t end = data < reader->map_size ? reader->map_size - data : 0;

    for (int64_t i = 0; i < reader->count; i++)
        sorted[i] = &begins[i];
    s24i_sort(sorted, reader->count, by_begin);
    for (int64_t i = 0; i < reader->count; i++) {
        s24i_tensor *t = &reader->tensors[i];
        if (!t->element->bits && begins[i] < end)
            t->size = next_begin(sorted, reader->count, begins[i], end) - begins[i];
    }
}

static s24_status read_tensors(gguf *file, s24i_cursor *cursor, uint64_t *begins)
{
    s24i_reader *reader = &file->reader;
    uint64_t alignment;
    s24_status status = read_alignment(file, &alignment);

    for (int64_t i = 0; !status && i < reader->count; i++)
        status = take_tensor(file, cursor, &reader->tensors[i], &begins[i]);
    if (status)
        return status;
    uint64_t header = (uint64_t)(cursor->at - cursor->start);
    uint64_t data = (header + alignment - 1) / alignment * alignment;
    measure_unknown(file, begins, data);
    for (int64_t i = 0; !status && i < reader->count; i++)
        status = place_tensor(file, &reader->tensors[i], data, begins[i], alignment);
    return status ? status : s24i_reader_index_places(reader);
}

static s24_status check_version(uint32_t version)
{
    if (version == 2 || version == S24I_GGUF_VERSION)
        return S24_OK;
    return s24i_fail(S24_E_UNSUPPORTED, "GGUF version %u, only 2 and 3 are read",
                     (unsigned)version);
}

/* Neither count may promise more than the file has bytes for. */
static s24_status read_counts(s24i_cursor *cursor, uint64_t *tensors, uint64_t *items)
{
    s24_status status = s24i_take_u64(cursor, tensors);

    if (!status)
        status = s24i_take_u64(cursor, items);
    uint64_t left = (uint64_t)(cursor->end - cursor->at);
    if (!status &&
        (*items > left / LEAST_ITEM || *tensors > (left - *items * LEAST_ITEM) / LEAST_TENSOR))
        status = s24i_fail(S24_E_FORMAT, "%llu tensors and %llu metadata items in %llu bytes",
                           (unsigned long long)*tensors, (unsigned long long)*items,
                           (unsigned long long)left);
    return status;
}

/* A file of the other byte order is known by its version, and copied. */
static s24_status settle_order(gguf *file)
{
    const unsigned char *map = file->reader.map;
    uint64_t size = file->reader.map_size;

    file->bytes = map;
    if (size < 8 || map[4] || map[5] || map[6] || !map[7])
        return S24_OK;
    file->turned = s24i_alloc(file->reader.memory, size);
    if (!file->turned)
        return S24_E_MEMORY;
    memcpy(file->turned, map, size);
    s24i_gguf_turn_header(file->turned, size);
    file->bytes = file->turned;
    return S24_OK;
}

/* The data too, once it is known where they are. */
static s24_status turn_tensors(gguf *file)
{
    s24_status status = S24_OK;

    for (int64_t i = 0; !status && file->turned && i < file->reader.count; i++) {
        s24i_tensor *t = &file->reader.tensors[i];
        t->stored = (const unsigned char *)file->reader.map + (t->data - file->bytes);
        status = s24i_gguf_turn_tensor(t, file->turned + (t->data - file->bytes));
    }
    return status;
}

static s24_status read_map(gguf *file)
{
    s24i_memory *memory = file->reader.memory;
    const unsigned char *bytes = file->bytes;
    s24i_cursor cursor = {bytes, bytes + 4, bytes + file->reader.map_size};
    uint64_t tensors, items;
    uint32_t version;
    s24_status status = s24i_take_u32(&cursor, &version);

    if (!status)
        status = check_version(version);
    if (!status)
        status = read_counts(&cursor, &tensors, &items);
    if (status)
        return status;
    file->item_count = file->item_room = (int64_t)items;
    file->items = s24i_alloc_zero(memory, s24i_mul(items, sizeof *file->items));
    file->by_key = s24i_alloc(memory, s24i_mul(items, sizeof(void *)));
    uint64_t *begins = s24i_alloc(memory, s24i_mul(tensors, sizeof *begins));
    status = s24i_reader_reserve(&file->reader, (int64_t)tensors);
    if (!file->items || !file->by_key || !begins)
        status = S24_E_MEMORY;
    if (!status)
        status = read_items(file, &cursor);
    if (!status)
        status = read_tensors(file, &cursor, begins);
    s24i_free(memory, begins, s24i_mul(tensors, sizeof *begins));
    return status;
}

static void free_item(s24i_memory *memory, item *it)
{
    s24i_strfree(memory, it->key);
    s24i_text_free(&it->text);
}

static void close_gguf(s24i_reader *reader)
{
    gguf *file = (gguf *)reader;
    s24i_memory *memory = reader->memory;
    size_t n = (size_t)file->item_room;

    for (int64_t i = 0; i < file->item_count && file->items; i++)
        free_item(memory, &file->items[i]);
    for (int64_t i = 0; i < reader->count && reader->tensors && !file->parts; i++) {
        const s24i_tensor *t = &reader->tensors[i];
        s24i_strfree(memory, (char *)(uintptr_t)t->name);
        if (t->element && !t->element->bits)
            s24i_strfree(memory, (char *)(uintptr_t)t->type);
    }
    s24i_free(memory, file->by_key, s24i_mul(n, sizeof(void *)));
    s24i_free(memory, file->items, s24i_mul(n, sizeof *file->items));
    s24i_free(memory, file->turned, reader->map_size);
    s24i_reader_release(reader);
    for (int64_t i = 0; i < file->part_count; i++)
        s24i_reader_close(file->parts[i]);
    s24i_free(memory, file->parts, (size_t)file->part_count * sizeof *file->parts);
    s24i_free(memory, file, sizeof *file);
}

/* ---- Metadata. ---- */

static s24_status meta_value(s24i_reader *reader, const char *key, const char **value)
{
    item *it = find_item((const gguf *)reader, key);

    if (it && !it->text.data) {
        it->text.failed = false;
        s24i_gguf_value_text(&it->value, &it->text);
    }
    *value = it ? it->text.data : NULL;
    return it && !*value ? S24_E_MEMORY : S24_OK;
}

static const char *meta_key(const s24i_reader *reader, int64_t index)
{
    const gguf *file = (const gguf *)reader;

    return index >= 0 && index < file->item_count ? file->items[index].key : NULL;
}

static const s24i_reader_class gguf_class = {"gguf", close_gguf, meta_value, meta_key};

int64_t s24i_gguf_value_count(const s24i_reader *reader)
{
    return reader->class == &gguf_class ? ((const gguf *)reader)->item_count : -1;
}

const char *s24i_gguf_value_at(const s24i_reader *reader, int64_t index, s24i_gguf_value *value)
{
    const gguf *file = (const gguf *)reader;

    *value = file->items[index].value;
    return file->items[index].key;
}

bool s24i_gguf_value_of(const s24i_reader *reader, const char *key, s24i_gguf_value *value)
{
    const item *it = find_item((const gguf *)reader, key);

    if (it)
        *value = it->value;
    return it != NULL;
}

/* ---- Of several files. ---- */

/* The metadata of the first part, but those that say which part it is. */
static void take_items(gguf *file, gguf *first)
{
    file->items = first->items;
    file->by_key = first->by_key;
    file->item_room = first->item_room;
    for (int64_t i = 0; i < first->item_count; i++) {
        if (strncmp(first->items[i].key, S24I_GGUF_SPLIT, sizeof S24I_GGUF_SPLIT - 1))
            file->items[file->item_count++] = first->items[i];
        else
            free_item(file->reader.memory, &first->items[i]);
    }
    first->items = NULL;
    first->by_key = NULL;
    first->item_count = first->item_room = 0;
    index_items(file);
}

static s24_status gather_parts(s24i_reader *whole, s24i_reader **parts, int64_t count)
{
    int64_t tensors = 0, n = 0;

    for (int64_t i = 0; i < count; i++)
        tensors += parts[i]->count;
    s24_status status = s24i_reader_reserve(whole, tensors);
    for (int64_t i = 0; !status && i < count; i++) {
        const s24i_source *source = parts[i]->sources.items;
        for (int64_t j = 0; j < parts[i]->count; j++)
            whole->tensors[n++] = *s24i_reader_at(parts[i], j);
        status = s24i_reader_note(whole, source->path, source->stamp);
    }
    return status ? status : s24i_reader_index(whole);
}

s24_status s24i_gguf_join(s24i_memory *memory, s24i_reader **parts, int64_t count,
                          s24i_reader **out)
{
    gguf *file = s24i_alloc_zero(memory, sizeof *file);

    if (!file)
        return S24_E_MEMORY;
    file->reader = (s24i_reader){.class = &gguf_class, .memory = memory};
    file->parts = parts;
    s24_status status = gather_parts(&file->reader, parts, count);
    if (status) {
        s24i_reader_release(&file->reader);
        s24i_free(memory, file, sizeof *file);
        return status;
    }
    file->part_count = count;
    take_items(file, (gguf *)parts[0]);
    *out = &file->reader;
    return S24_OK;
}

s24_status s24i_gguf_read(s24i_memory *memory, const void *map, uint64_t size, s24i_reader **out)
{
    gguf *file = s24i_alloc_zero(memory, sizeof *file);

    if (!file)
        return S24_E_MEMORY;
    file->reader = (s24i_reader){&gguf_class, memory, map, size};
    s24_status status = settle_order(file);
    if (!status)
        status = read_map(file);
    if (!status)
        status = turn_tensors(file);
    if (status)
        close_gguf(&file->reader); /* the mapping is still the caller's */
    else
        *out = &file->reader;
    return status;
}
