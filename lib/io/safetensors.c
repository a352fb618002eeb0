#include "safetensors.h"
#include "base/error.h"
#include "base/json.h"
#include "base/sort.h"
#include "os.h"
#include <string.h>

enum {
    LENGTH = 8,             /* bytes of the header's length, before it */
    MAX_HEADER = 100000000, /* as the reference reader has it */
    MAX_DEPTH = 8,          /* 3 are used; more only below keys that are not ours */
    MAX_VALUES = 1 << 22,   /* some 300000 tensors */
    NEAREST = 3,
};

struct s24i_safetensors {
    s24i_memory *memory;
    const void *map;
    uint64_t map_size;
    const unsigned char *data; /* after the header */
    uint64_t data_size;
    s24i_json_doc *doc; /* holds all names */
    int64_t count, meta_count;
    s24i_tensor *tensors;
    const void **by_place, **by_name; /* s24i_tensor */
    const void **meta;                /* s24i_json */
};

/* All that the format's own implementation knows; 4 and 6 bits are packed. */
static const s24i_element elements[] = {
    {"F64", 64, S24_F64},
    {"F32", 32, S24_F32},
    {"F16", 16, S24_F16},
    {"BF16", 16, S24_BF16},
    {"I64", 64, S24_I64},
    {"I32", 32, S24_I32},
    {"I16", 16, S24_I16},
    {"I8", 8, S24_I8},
    {"U64", 64, 0},
    {"U32", 32, S24_U32},
    {"U16", 16, S24_U16},
    {"U8", 8, S24_U8},
    {"BOOL", 8, S24_BOOL},
    {"F8_E4M3", 8, S24_E4M3FN},
    {"F8_E5M2", 8, S24_E5M2},
    {"F8_E8M0", 8, 0},
    {"F6_E2M3", 6, 0},
    {"F6_E3M2", 6, 0},
    {"F4", 4, 0},
    {"C64", 64, 0},
};

enum { ELEMENTS = sizeof elements / sizeof *elements };

const s24i_element *s24i_element_by_name(const char *name)
{
    for (int i = 0; i < ELEMENTS; i++) {
        if (!strcmp(elements[i].name, name))
            return &elements[i];
    }
    return NULL;
}

const s24i_element *s24i_element_by_dtype(int32_t dtype)
{
    for (int i = 0; i < ELEMENTS && dtype; i++) {
        if (elements[i].dtype == dtype)
            return &elements[i];
    }
    return NULL;
}

static s24_status bad_tensor(const s24i_tensor *t, const char *what)
{
    return s24i_fail(S24_E_FORMAT, "tensor '%.100s': %s", t->name, what);
}

static s24_status read_type(s24i_tensor *t, const s24i_json *type)
{
    if (!type || type->kind != S24I_JSON_STRING)
        return bad_tensor(t, "no dtype");
    t->element = s24i_element_by_name(type->string);
    if (!t->element)
        return s24i_fail(S24_E_FORMAT, "tensor '%.100s': unknown dtype '%.32s'", t->name,
                         type->string);
    return S24_OK;
}

static s24_status read_shape(s24i_tensor *t, const s24i_json *shape)
{
    if (!shape || shape->kind != S24I_JSON_ARRAY)
        return bad_tensor(t, "no shape");
    if (shape->count > S24I_MAX_RANK)
        return bad_tensor(t, "more than 8 dimensions");
    for (const s24i_json *extent = shape->first; extent; extent = extent->next) {
        if (!s24i_json_u63(extent, &t->shape[t->rank++]))
            return bad_tensor(t, "a dimension is not an integer in [0, 2^63)");
    }
    return S24_OK;
}

static s24_status read_offsets(s24i_tensor *t, const s24i_json *offsets, uint64_t data_size)
{
    int64_t begin, end;

    if (!offsets || offsets->kind != S24I_JSON_ARRAY || offsets->count != 2)
        return bad_tensor(t, "data_offsets is not [begin, end]");
    if (!s24i_json_u63(offsets->first, &begin) || !s24i_json_u63(offsets->first->next, &end))
        return bad_tensor(t, "data_offsets are not integers in [0, 2^63)");
    if (begin > end || (uint64_t)end > data_size)
        return s24i_fail(
            S24_E_FORMAT,
            "tensor '%.100s': data_offsets [%lld, %lld] do not lie in the %llu bytes of data",
            t->name, (long long)begin, (long long)end, (unsigned long long)data_size);
    t->begin = (uint64_t)begin;
    t->size = (uint64_t)(end - begin);
    return S24_OK;
}

/* The shape must need exactly the bytes given. A dimension of 0 does not excuse an overflow of the
 * others: a view counts rows on their own. */
static s24_status check_size(const s24i_tensor *t)
{
    int64_t elements_but_0 = 1, bits;
    bool empty = false;

    for (int32_t i = 0; i < t->rank; i++) {
        int64_t extent = t->shape[i] ? t->shape[i] : 1;
        empty |= t->shape[i] == 0;
        if (__builtin_mul_overflow(elements_but_0, extent, &elements_but_0))
            return bad_tensor(t, "the shape has 2^63 elements or more");
    }
    if (__builtin_mul_overflow(elements_but_0, t->element->bits, &bits))
        return bad_tensor(t, "the shape has 2^63 bits or more");
    if (empty)
        bits = 0;
    if (bits % 8 || (uint64_t)bits / 8 != t->size)
        return s24i_fail(
            S24_E_FORMAT,
            "tensor '%.100s': shape and dtype want %lld bits, data_offsets give %llu bytes",
            t->name, (long long)bits, (unsigned long long)t->size);
    return S24_OK;
}

static s24_status read_tensor(const s24i_safetensors *file, const s24i_json *entry, s24i_tensor *t)
{
    t->name = entry->key;
    if (entry->kind != S24I_JSON_OBJECT)
        return bad_tensor(t, "not an object");
    s24_status status = read_type(t, s24i_json_get(entry, "dtype"));
    if (!status)
        status = read_shape(t, s24i_json_get(entry, "shape"));
    if (!status)
        status = read_offsets(t, s24i_json_get(entry, "data_offsets"), file->data_size);
    if (!status)
        status = check_size(t);
    return status;
}

static int by_place(const void *a, const void *b)
{
    const s24i_tensor *s = a, *t = b;

    if (s->begin != t->begin)
        return s->begin < t->begin ? -1 : 1;
    if (s->size != t->size)
        return s->size < t->size ? -1 : 1;
    return strcmp(s->name, t->name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const s24i_tensor *)a)->name, ((const s24i_tensor *)b)->name);
}

/* In order of place each must begin where the last one ended. */
static s24_status check_cover(const s24i_safetensors *file)
{
    uint64_t end = 0;

    for (int64_t i = 0; i < file->count; i++) {
        const s24i_tensor *t = file->by_place[i];
        if (t->begin != end)
            return bad_tensor(t, t->begin < end ? "overlaps the tensor before it"
                                                : "unused bytes before its data");
        end += t->size;
    }
    if (end != file->data_size)
        return s24i_fail(S24_E_FORMAT, "%llu bytes after the last tensor",
                         (unsigned long long)(file->data_size - end));
    return S24_OK;
}

/* Arrays of file->count and file->meta_count. */
static bool make_room(s24i_safetensors *file)
{
    size_t n = (size_t)file->count;

    file->tensors = s24i_alloc_zero(file->memory, s24i_mul(n, sizeof *file->tensors));
    file->by_place = s24i_alloc(file->memory, s24i_mul(n, sizeof(void *)));
    file->by_name = s24i_alloc(file->memory, s24i_mul(n, sizeof(void *)));
    file->meta = s24i_alloc(file->memory, s24i_mul((size_t)file->meta_count, sizeof(void *)));
    return file->tensors && file->by_place && file->by_name && file->meta;
}

static s24_status read_tensors(s24i_safetensors *file, const s24i_json *root)
{
    int64_t n = 0;

    for (const s24i_json *entry = root->first; entry; entry = entry->next) {
        if (!strcmp(entry->key, "__metadata__"))
            continue;
        s24i_tensor *t = &file->tensors[n];
        s24_status status = read_tensor(file, entry, t);
        if (status)
            return status;
        file->by_place[n] = file->by_name[n] = t;
        n++;
    }
    s24i_sort(file->by_place, n, by_place);
    s24i_sort(file->by_name, n, by_name);
    return check_cover(file);
}

static s24_status read_meta(s24i_safetensors *file, const s24i_json *meta)
{
    int64_t n = 0;

    for (const s24i_json *item = meta ? meta->first : NULL; item; item = item->next) {
        if (item->kind != S24I_JSON_STRING)
            return s24i_fail(S24_E_FORMAT, "__metadata__: '%.100s' is not a string", item->key);
        file->meta[n++] = item;
    }
    return S24_OK;
}

static s24_status read_header(s24i_safetensors *file, const char *text, size_t size)
{
    s24_status status =
        s24i_json_parse(file->memory, text, size, MAX_DEPTH, MAX_VALUES, &file->doc);

    if (status)
        return status;
    const s24i_json *root = s24i_json_root(file->doc), *meta = s24i_json_get(root, "__metadata__");
    if (meta && meta->kind != S24I_JSON_OBJECT)
        return s24i_fail(S24_E_FORMAT, "__metadata__ is not an object");
    file->count = root->count - (meta != NULL);
    file->meta_count = meta ? meta->count : 0;
    if (!make_room(file))
        return S24_E_MEMORY;
    status = read_tensors(file, root);
    return status ? status : read_meta(file, meta);
}

static s24_status read_map(s24i_safetensors *file)
{
    const unsigned char *bytes = file->map;
    uint64_t length = 0;

    if (file->map_size < LENGTH)
        return s24i_fail(S24_E_FORMAT, "%llu bytes are too few for a safetensors file",
                         (unsigned long long)file->map_size);
    for (int i = 0; i < LENGTH; i++)
        length |= (uint64_t)bytes[i] << 8 * i;
    if (length > MAX_HEADER || length > file->map_size - LENGTH)
        return s24i_fail(S24_E_FORMAT,
                         "header of %llu bytes in a file of %llu (and no more than %d are allowed)",
                         (unsigned long long)length, (unsigned long long)file->map_size,
                         (int)MAX_HEADER);
    if (length == 0 || bytes[LENGTH] != '{')
        return s24i_fail(S24_E_FORMAT, "the header does not begin with '{'");
    file->data = bytes + LENGTH + length;
    file->data_size = file->map_size - LENGTH - length;
    return read_header(file, (const char *)bytes + LENGTH, length);
}

s24_status s24i_safetensors_open(s24i_memory *memory, const char *path, s24i_safetensors **out)
{
    s24i_safetensors *file = s24i_alloc_zero(memory, sizeof *file);

    if (!file)
        return S24_E_MEMORY;
    file->memory = memory;
    s24_status status = s24i_os_map(path, &file->map, &file->map_size);
    if (!status) {
        status = read_map(file);
        if (status == S24_E_FORMAT)
            s24i_fail(status, "%.200s: %s", path, s24i_error_text());
    }
    if (status)
        s24i_safetensors_close(file);
    else
        *out = file;
    return status;
}

void s24i_safetensors_close(s24i_safetensors *file)
{
    if (!file)
        return;
    s24i_memory *memory = file->memory;
    size_t n = (size_t)file->count;
    for (size_t i = 0; i < n && file->tensors; i++)
        s24i_free(memory, file->tensors[i].aligned, file->tensors[i].size);
    s24i_free(memory, file->meta, s24i_mul((size_t)file->meta_count, sizeof(void *)));
    s24i_free(memory, file->by_name, s24i_mul(n, sizeof(void *)));
    s24i_free(memory, file->by_place, s24i_mul(n, sizeof(void *)));
    s24i_free(memory, file->tensors, s24i_mul(n, sizeof *file->tensors));
    s24i_json_free(file->doc);
    s24i_os_unmap(file->map, file->map_size);
    s24i_free(memory, file, sizeof *file);
}

int64_t s24i_safetensors_count(const s24i_safetensors *file)
{
    return file->count;
}

const s24i_tensor *s24i_safetensors_at(const s24i_safetensors *file, int64_t index)
{
    return index >= 0 && index < file->count ? file->by_place[index] : NULL;
}

/* Names that contain what was asked for come first, then those that are few edits away. */
static s24_status unknown_name(const s24i_safetensors *file, const char *name)
{
    const char *near[NEAREST + 1] = {0};
    int32_t far[NEAREST + 1] = {0}, n = 0;

    for (int64_t i = 0; i < file->count; i++) {
        const char *known = ((const s24i_tensor *)file->by_name[i])->name;
        int32_t distance = strstr(known, name) ? 0 : s24i_distance(name, known), at = n;
        for (; at > 0 && distance < far[at - 1]; at--) {
            far[at] = far[at - 1];
            near[at] = near[at - 1];
        }
        far[at] = distance;
        near[at] = known;
        n += n < NEAREST;
    }
    return s24i_fail(
        S24_E_ARG, "no tensor '%.100s' among the %lld of the file%s%.100s%s%.100s%s%.100s", name,
        (long long)file->count, n > 0 ? "; nearest: " : "", n > 0 ? near[0] : "", n > 1 ? ", " : "",
        n > 1 ? near[1] : "", n > 2 ? ", " : "", n > 2 ? near[2] : "");
}

static s24_status find(const s24i_safetensors *file, const char *name, s24i_tensor **out)
{
    int64_t low = 0, high = file->count;

    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        const s24i_tensor *t = file->by_name[middle];
        int order = strcmp(name, t->name);
        if (order == 0) {
            *out = &file->tensors[t - file->tensors];
            return S24_OK;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return unknown_name(file, name);
}

s24_status s24i_safetensors_find(const s24i_safetensors *file, const char *name,
                                 const s24i_tensor **out)
{
    s24i_tensor *t;
    s24_status status = find(file, name, &t);

    if (status == S24_OK)
        *out = t;
    return status;
}

/* Where the tensor's bytes are, at an address that suits its type; NULL: no memory for a copy. */
static const void *aligned_data(s24i_safetensors *file, s24i_tensor *t)
{
    const unsigned char *place = file->data + t->begin;

    if ((uintptr_t)place % (uintptr_t)(t->element->bits / 8) == 0 || t->size == 0)
        return place;
    if (!t->aligned) {
        t->aligned = s24i_alloc(file->memory, t->size);
        if (t->aligned)
            memcpy(t->aligned, place, t->size);
    }
    return t->aligned;
}

s24_status s24i_safetensors_view(s24i_safetensors *file, const char *name, s24_mat *view)
{
    s24i_tensor *t;
    int64_t rows = 1;
    s24_status status = find(file, name, &t);

    if (status)
        return status;
    if (!t->element->dtype)
        return s24i_fail(S24_E_DTYPE, "tensor '%.100s': elements of type %s cannot be used here",
                         t->name, t->element->name);
    const void *data = aligned_data(file, t);
    if (!data)
        return S24_E_MEMORY;
    for (int32_t i = 0; i < t->rank - 1; i++)
        rows *= t->shape[i];
    int64_t cols = t->rank ? t->shape[t->rank - 1] : 1;
    *view = (s24_mat){.data = (void *)(uintptr_t)data,
                      .rows = rows,
                      .cols = cols,
                      .row_stride = cols ? cols : 1,
                      .col_stride = 1,
                      .dtype = t->element->dtype,
                      .device = S24_CPU};
    return S24_OK;
}

const char *s24i_safetensors_meta(const s24i_safetensors *file, const char *key)
{
    for (int64_t i = 0; i < file->meta_count; i++) {
        const s24i_json *item = file->meta[i];
        if (!strcmp(item->key, key))
            return item->string;
    }
    return NULL;
}

const char *s24i_safetensors_meta_key(const s24i_safetensors *file, int64_t index)
{
    return index >= 0 && index < file->meta_count ? ((const s24i_json *)file->meta[index])->key
                                                  : NULL;
}
