#include "base/error.h"
#include "base/half.h"
#include "base/json.h"
#include "base/utf8.h"
#include "os.h"
#include "safetensors.h"
#include <string.h>

enum { CHUNK = 65536, LENGTH = 8, MAX_HEADER = 100000000 };

typedef struct entry {
    char *name;
    const s24i_element *element;
    int32_t rank;
    int64_t shape[S24I_MAX_RANK];
    uint64_t begin, size;
} entry;

typedef struct meta_item {
    char *key, *value;
} meta_item;

/* An array that grows; `size` of an element is passed in. */
typedef struct list {
    void *items;
    int64_t count, room;
} list;

struct s24i_safetensors_writer {
    s24i_memory *memory;
    char *path;
    int spool; /* all tensor bytes so far, in order; bytes after `spooled` are of no account */
    uint64_t spooled;
    bool committed;
    list entries; /* entry, in the order of the calls */
    list order;   /* int64_t: indices of entries, sorted by name */
    list meta;    /* meta_item, sorted by key */
    unsigned char *chunk;
};

/* Room for one more element. */
static s24_status list_reserve(s24i_memory *memory, list *l, size_t size)
{
    if (l->count < l->room)
        return S24_OK;
    int64_t room = l->room ? 2 * l->room : 16;
    void *items = s24i_alloc(memory, s24i_mul((size_t)room, size));
    if (!items)
        return S24_E_MEMORY;
    if (l->count)
        memcpy(items, l->items, (size_t)l->count * size);
    s24i_free(memory, l->items, (size_t)l->room * size);
    l->items = items;
    l->room = room;
    return S24_OK;
}

/* Insert at `at`, for which there is room. */
static void list_insert(list *l, int64_t at, const void *item, size_t size)
{
    char *place = (char *)l->items + (size_t)at * size;

    memmove(place + size, place, (size_t)(l->count - at) * size);
    memcpy(place, item, size);
    l->count++;
}

/* ---- Values. ---- */

static bool is_float(int32_t dtype)
{
    return dtype == S24_F64 || dtype == S24_F32 || dtype == S24_F16 || dtype == S24_BF16;
}

static bool is_truth(int32_t dtype)
{
    return dtype == S24_BOOL || dtype == S24_U8;
}

static double load_float(int32_t dtype, const void *from)
{
    double d;
    float f;
    uint16_t h;

    switch (dtype) {
    case S24_F64:
        memcpy(&d, from, sizeof d);
        return d;
    case S24_F32:
        memcpy(&f, from, sizeof f);
        return f;
    default:
        memcpy(&h, from, sizeof h);
        return dtype == S24_F16 ? s24i_f16_to_f32(h) : s24i_bf16_to_f32(h);
    }
}

static void store_float(int32_t dtype, double value, void *to)
{
    float f = dtype == S24_F32 ? (float)value : s24i_f64_to_f32_odd(value);
    uint16_t h = dtype == S24_F16 ? s24i_f32_to_f16(f) : s24i_f32_to_bf16(f);

    if (dtype == S24_F64)
        memcpy(to, &value, sizeof value);
    else if (dtype == S24_F32)
        memcpy(to, &f, sizeof f);
    else
        memcpy(to, &h, sizeof h);
}

static void store(const s24i_element *from_type, const void *from, const s24i_element *type,
                  void *to)
{
    if (from_type == type)
        memcpy(to, from, (size_t)type->bits / 8);
    else if (is_float(type->dtype))
        store_float(type->dtype, load_float(from_type->dtype, from), to);
    else
        *(unsigned char *)to = *(const unsigned char *)from != 0;
}

static bool is_contiguous(const s24_mat *mat)
{
    return (mat->cols <= 1 || mat->col_stride == 1) &&
           (mat->rows <= 1 || mat->row_stride == mat->cols);
}

static const char *address(const s24_mat *mat, int64_t i, int64_t j, int64_t size)
{
    int64_t rows = mat->rows > 1 ? mat->row_stride : 0, cols = mat->cols > 1 ? mat->col_stride : 0;

    return (const char *)mat->data + (i * rows + j * cols) * size;
}

/* Append the matrix to the spool, in row-major order and chunks. */
static s24_status spool_matrix(s24i_safetensors_writer *w, const s24_mat *mat,
                               const s24i_element *from, const s24i_element *type)
{
    int64_t count = mat->rows * mat->cols, size = type->bits / 8, i = 0, j = 0;

    if (from == type && is_contiguous(mat))
        return s24i_os_write(w->spool, w->path, mat->data, (uint64_t)(count * size), w->spooled);
    for (int64_t done = 0, n; done < count; done += n) {
        n = count - done < CHUNK / size ? count - done : CHUNK / size;
        for (int64_t k = 0; k < n; k++) {
            store(from, address(mat, i, j, from->bits / 8), type, w->chunk + k * size);
            if (++j == mat->cols) {
                j = 0;
                i++;
            }
        }
        s24_status status = s24i_os_write(w->spool, w->path, w->chunk, (uint64_t)(n * size),
                                          w->spooled + (uint64_t)(done * size));
        if (status)
            return status;
    }
    return S24_OK;
}

/* ---- Checks. ---- */

/* 0, or what is wrong. */
static const char *fault_of_name(const char *name)
{
    if (!name || !*name)
        return "empty";
    if (!strcmp(name, "__metadata__"))
        return "reserved";
    for (size_t left = strlen(name), n; left; name += n, left -= n) {
        n = s24i_utf8_length(name, left);
        if (n == 0)
            return "not UTF-8";
        if ((unsigned char)*name < 0x20 || *name == 0x7f)
            return "has control characters";
    }
    return NULL;
}

static s24_status check_matrix(const s24_mat *mat)
{
    int64_t count;

    if (!mat || mat->device != S24_CPU || mat->flags || mat->reserved || mat->rows < 0 ||
        mat->cols < 0)
        return s24i_fail(S24_E_ARG, "not a matrix in the processor's memory");
    if (__builtin_mul_overflow(mat->rows, mat->cols, &count) || count > INT64_MAX / 64)
        return s24i_fail(S24_E_SHAPE, "too many elements");
    if (count && !mat->data)
        return s24i_fail(S24_E_ARG, "a matrix without data");
    if (count && ((mat->rows > 1 && mat->row_stride < 1) || (mat->cols > 1 && mat->col_stride < 1)))
        return s24i_fail(S24_E_SHAPE, "strides must be positive");
    return S24_OK;
}

static s24_status set_shape(entry *e, const s24_mat *mat, const int64_t *shape, int32_t rank)
{
    int64_t count = 1, plain[2] = {mat->rows, mat->cols};

    e->rank = shape ? rank : 2;
    if (e->rank < 0 || e->rank > S24I_MAX_RANK)
        return s24i_fail(S24_E_SHAPE, "rank %d is not in 0 .. %d", (int)rank, S24I_MAX_RANK);
    for (int32_t i = 0; i < e->rank; i++) {
        e->shape[i] = shape ? shape[i] : plain[i];
        if (e->shape[i] < 0 || __builtin_mul_overflow(count, e->shape[i], &count))
            return s24i_fail(S24_E_SHAPE, "dimension %d, %lld, is negative or too large", (int)i,
                             (long long)e->shape[i]);
    }
    if (count != mat->rows * mat->cols)
        return s24i_fail(S24_E_SHAPE, "a shape of %lld elements for a matrix of %lld x %lld",
                         (long long)count, (long long)mat->rows, (long long)mat->cols);
    return S24_OK;
}

static s24_status choose_type(entry *e, const s24_mat *mat, const char *type,
                              const s24i_element **from)
{
    *from = s24i_element_by_dtype(mat->dtype);
    e->element = type ? s24i_element_by_name(type) : *from;
    if (!*from)
        return s24i_fail(S24_E_DTYPE, "unknown dtype 0x%x", (unsigned)mat->dtype);
    if (!e->element)
        return s24i_fail(S24_E_DTYPE, "unknown type '%.32s'", type);
    int32_t a = (*from)->dtype, b = e->element->dtype;
    if (a != b && !(is_float(a) && is_float(b)) && !(is_truth(a) && is_truth(b)))
        return s24i_fail(S24_E_DTYPE, "%s cannot be stored as %s", (*from)->name, e->element->name);
    return S24_OK;
}

/* Position of `name` in w->order; *found: it is taken. */
static int64_t place_of(const s24i_safetensors_writer *w, const char *name, bool *found)
{
    const entry *entries = w->entries.items;
    const int64_t *order = w->order.items;
    int64_t low = 0, high = w->order.count;

    *found = false;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        int sign = strcmp(entries[order[middle]].name, name);
        if (sign == 0)
            *found = true;
        if (sign < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- The calls. ---- */

s24_status s24i_safetensors_create(s24i_memory *memory, const char *path,
                                   s24i_safetensors_writer **out)
{
    s24i_safetensors_writer *w = s24i_alloc_zero(memory, sizeof *w);
    s24_status status = S24_E_MEMORY;

    if (!w)
        return status;
    w->memory = memory;
    w->spool = -1;
    w->path = s24i_strdup(memory, path);
    w->chunk = w->path ? s24i_alloc(memory, CHUNK) : NULL;
    if (w->chunk)
        status = s24i_os_check_target(path);
    if (!status)
        status = s24i_os_spool(memory, path, &w->spool);
    if (status)
        s24i_safetensors_discard(w);
    else
        *out = w;
    return status;
}

static s24_status check_open(const s24i_safetensors_writer *w)
{
    return w->committed ? s24i_fail(S24_E_STATE, "%.300s: already committed", w->path) : S24_OK;
}

/* Fill in everything of `e` but its name, and write its data. */
static s24_status put_data(s24i_safetensors_writer *w, entry *e, const s24_mat *mat,
                           const int64_t *shape, int32_t rank, const char *type)
{
    const s24i_element *from;
    s24_status status = check_matrix(mat);

    if (!status)
        status = set_shape(e, mat, shape, rank);
    if (!status)
        status = choose_type(e, mat, type, &from);
    if (status)
        return s24i_fail(status, "tensor '%.100s': %s", e->name, s24i_error_text());
    e->begin = w->spooled;
    e->size = (uint64_t)(mat->rows * mat->cols * (e->element->bits / 8));
    return spool_matrix(w, mat, from, e->element);
}

s24_status s24i_safetensors_put(s24i_safetensors_writer *w, const char *name, const s24_mat *mat,
                                const int64_t *shape, int32_t rank, const char *type)
{
    const char *fault = fault_of_name(name);
    entry e = {0};
    bool taken;
    s24_status status = check_open(w);

    if (status)
        return status;
    if (fault)
        return s24i_fail(S24_E_ARG, "tensor name '%.100s': %s", name ? name : "", fault);
    int64_t at = place_of(w, name, &taken);
    if (taken)
        return s24i_fail(S24_E_ARG, "tensor name '%.100s': already in the file", name);
    if ((status = list_reserve(w->memory, &w->entries, sizeof(entry))) ||
        (status = list_reserve(w->memory, &w->order, sizeof(int64_t))))
        return status;
    e.name = s24i_strdup(w->memory, name);
    if (!e.name)
        return S24_E_MEMORY;
    status = put_data(w, &e, mat, shape, rank, type);
    if (status) {
        s24i_strfree(w->memory, e.name);
        return status;
    }
    w->spooled += e.size;
    list_insert(&w->order, at, &w->entries.count, sizeof(int64_t));
    list_insert(&w->entries, w->entries.count, &e, sizeof e);
    return S24_OK;
}

s24_status s24i_safetensors_set_meta(s24i_safetensors_writer *w, const char *key, const char *value)
{
    meta_item item, *items;
    int64_t at = 0;
    s24_status status = check_open(w);

    if (status)
        return status;
    if (!key || !*key || !value || !s24i_utf8_valid(key) || !s24i_utf8_valid(value))
        return s24i_fail(S24_E_ARG, "metadata wants a key and a value, both UTF-8");
    status = list_reserve(w->memory, &w->meta, sizeof item);
    if (status)
        return status;
    item.key = s24i_strdup(w->memory, key);
    item.value = item.key ? s24i_strdup(w->memory, value) : NULL;
    if (!item.value) {
        s24i_strfree(w->memory, item.key);
        return S24_E_MEMORY;
    }
    for (items = w->meta.items; at < w->meta.count && strcmp(items[at].key, key) < 0; at++)
        ;
    if (at < w->meta.count && !strcmp(items[at].key, key)) {
        s24i_strfree(w->memory, items[at].key);
        s24i_strfree(w->memory, items[at].value);
        items[at] = item;
    } else {
        list_insert(&w->meta, at, &item, sizeof item);
    }
    return S24_OK;
}

/* ---- Commit. ---- */

static void append_meta(const s24i_safetensors_writer *w, s24i_text *text)
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

static void append_entry(const entry *e, s24i_text *text)
{
    s24i_text_json_string(text, e->name);
    s24i_text_append(text, ":{\"dtype\":\"%s\",\"shape\":[", e->element->name);
    for (int32_t i = 0; i < e->rank; i++)
        s24i_text_append(text, "%s%lld", i ? "," : "", (long long)e->shape[i]);
    s24i_text_append(text, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)e->begin,
                     (unsigned long long)(e->begin + e->size));
}

/* Length and JSON, padded so that the data begin at a multiple of 8. */
static s24_status make_header(const s24i_safetensors_writer *w, s24i_text *text)
{
    const entry *entries = w->entries.items;

    s24i_text_append(text, "%*s{", LENGTH, "");
    if (w->meta.count)
        append_meta(w, text);
    for (int64_t i = 0; i < w->entries.count; i++) {
        s24i_text_append(text, "%s", i || w->meta.count ? "," : "");
        append_entry(&entries[i], text);
    }
    s24i_text_append(text, "}");
    s24i_text_append(text, "%*s", (int)(-text->size % 8), "");
    if (text->failed)
        return S24_E_MEMORY;
    uint64_t length = text->size - LENGTH;
    if (length > MAX_HEADER)
        return s24i_fail(S24_E_FORMAT, "%.300s: the header would have more than %d bytes", w->path,
                         (int)MAX_HEADER);
    for (int i = 0; i < LENGTH; i++)
        text->data[i] = (char)(length >> 8 * i & 0xff);
    return S24_OK;
}

static s24_status write_temporary(const s24i_safetensors_writer *w, const s24i_text *header, int fd)
{
    s24_status status = s24i_os_write(fd, w->path, header->data, header->size, 0);

    if (!status)
        status = s24i_os_copy(w->spool, fd, w->path, w->spooled, header->size);
    if (!status)
        status = s24i_os_sync(fd, w->path);
    return status;
}

/* Make `path` appear, with all of its bytes or not at all. */
static s24_status publish(s24i_safetensors_writer *w, const s24i_text *header)
{
    char *name;
    int fd;
    s24_status status = s24i_os_beside(w->memory, w->path, &fd, &name), closed;

    if (status)
        return status;
    status = write_temporary(w, header, fd);
    closed = s24i_os_close(fd, w->path);
    if (!status)
        status = closed;
    if (!status)
        status = s24i_os_replace(name, w->path);
    w->committed = !status;
    if (status)
        s24i_os_unlink(name);
    s24i_strfree(w->memory, name);
    return status;
}

s24_status s24i_safetensors_commit(s24i_safetensors_writer *w)
{
    s24i_text header = {.memory = w->memory};
    int directory = -1;
    s24_status status = check_open(w);

    if (!status)
        status = make_header(w, &header);
    if (!status)
        status = s24i_os_directory(w->memory, w->path, &directory);
    if (!status)
        status = publish(w, &header);
    if (!status) {
        status = s24i_os_sync(directory, w->path);
        if (status)
            s24i_fail_in(status, "the file is in place, but its directory may not be on disk");
    }
    if (directory >= 0)
        s24i_os_close(directory, w->path);
    s24i_text_free(&header);
    return status;
}

void s24i_safetensors_discard(s24i_safetensors_writer *w)
{
    if (!w)
        return;
    s24i_memory *memory = w->memory;
    entry *entries = w->entries.items;
    meta_item *meta = w->meta.items;
    for (int64_t i = 0; i < w->entries.count; i++)
        s24i_strfree(memory, entries[i].name);
    for (int64_t i = 0; i < w->meta.count; i++) {
        s24i_strfree(memory, meta[i].key);
        s24i_strfree(memory, meta[i].value);
    }
    s24i_free(memory, w->entries.items, (size_t)w->entries.room * sizeof(entry));
    s24i_free(memory, w->order.items, (size_t)w->order.room * sizeof(int64_t));
    s24i_free(memory, w->meta.items, (size_t)w->meta.room * sizeof(meta_item));
    if (w->spool >= 0)
        s24i_os_close(w->spool, w->path);
    s24i_free(memory, w->chunk, CHUNK);
    s24i_strfree(memory, w->path);
    s24i_free(memory, w, sizeof *w);
}
