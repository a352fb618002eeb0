#include "folder.h"
#include "base/error.h"
#include "base/sort.h"
#include "gguf.h"
#include "names.h"
#include "os.h"
#include "quantised.h"
#include "sniff.h"
#include <string.h>

enum { MAX_JSON = 1 << 28, MAX_DEPTH = 16, MAX_VALUES = 1 << 22 };

typedef struct meta_item {
    char *key;
    s24i_text value;
} meta_item;

typedef struct model_folder {
    s24i_reader reader;
    char *path;
    s24i_json_doc *index; /* NULL: one file */
    int64_t item_count;
    const void **items; /* s24i_json: the index's entries, by shard, then name */
    s24i_list shards;   /* s24i_reader * */
    s24i_list meta;     /* meta_item */
    s24i_names keys;    /* of them */
    int64_t key_count;
    const void **by_key; /* meta_item, once all are there */
    s24i_quantised quantised;
} model_folder;

/* ---- Files of the folder. ---- */

char *s24i_folder_path(s24i_memory *memory, const char *path, const char *name)
{
    s24i_text text = {.memory = memory};

    s24i_text_append(&text, "%s/%s", path, name);
    char *copy = text.data ? s24i_strdup(memory, text.data) : NULL;
    s24i_text_free(&text);
    return copy;
}

static s24_status check_name(const char *name)
{
    if (*name && !strchr(name, '/') && strcmp(name, ".") && strcmp(name, ".."))
        return S24_OK;
    return s24i_fail(S24_E_FORMAT, "'%.100s' is not the name of a file in the folder", name);
}

static s24_status check_place(s24i_memory *memory, const char *folder, const char *file)
{
    char *blobs = s24i_folder_path(memory, folder, "../../blobs");
    s24_status status = S24_OK;

    if (!blobs)
        return S24_E_MEMORY;
    if (!s24i_os_is_below(file, folder) && !s24i_os_is_below(file, blobs))
        status = s24i_fail(S24_E_FORMAT, "%.200s: a symbolic link out of the folder", file);
    s24i_strfree(memory, blobs);
    return status;
}

s24_status s24i_folder_map(s24i_memory *memory, const char *folder, const char *name,
                           const void **data, uint64_t *size)
{
    s24_status status = check_name(name);

    if (status)
        return status;
    char *path = s24i_folder_path(memory, folder, name);
    if (!path)
        return S24_E_MEMORY;
    if (s24i_os_exists(path))
        status = check_place(memory, folder, path);
    if (!status)
        status = s24i_os_map(path, data, size);
    s24i_strfree(memory, path);
    return status;
}

/* The same, and noted as read. */
static s24_status map_noted(model_folder *f, const char *name, const void **data, uint64_t *size)
{
    s24i_memory *memory = f->reader.memory;
    char *path = s24i_folder_path(memory, f->path, name);
    s24_status status =
        path ? s24i_reader_note(&f->reader, path, s24i_os_stamp_of(path)) : S24_E_MEMORY;

    s24i_strfree(memory, path);
    return status ? status : s24i_folder_map(memory, f->path, name, data, size);
}

static s24_status look_for(model_folder *f, const char *name, bool *found)
{
    char *path = s24i_folder_path(f->reader.memory, f->path, name);

    if (!path)
        return S24_E_MEMORY;
    *found = s24i_os_exists(path);
    s24i_strfree(f->reader.memory, path);
    return S24_OK;
}

static s24_status open_shard(model_folder *f, const char *name)
{
    const void *map;
    uint64_t size;
    s24i_reader *shard;
    s24i_memory *memory = f->reader.memory;
    s24_status status = s24i_list_reserve(memory, &f->shards, sizeof shard);

    if (!status)
        status = map_noted(f, name, &map, &size);
    if (status)
        return status;
    status = s24i_safetensors_read(memory, map, size, &shard);
    if (status) {
        s24i_os_unmap(map, size);
        return s24i_fail(status, "%.100s: %s", name, s24i_error_text());
    }
    s24i_list_insert(&f->shards, f->shards.count, &shard, sizeof shard);
    return S24_OK;
}

static s24_status parse_file(model_folder *f, const char *name, s24i_json_doc **doc)
{
    const void *map;
    uint64_t size;
    s24_status status = map_noted(f, name, &map, &size);

    if (status)
        return status;
    if (size > MAX_JSON)
        status = s24i_fail(S24_E_FORMAT, "%.100s has %llu bytes, at most %d are read", name,
                           (unsigned long long)size, MAX_JSON);
    else
        status =
            s24i_json_parse(f->reader.memory, size ? map : "", size, MAX_DEPTH, MAX_VALUES, doc);
    const char *what = status == S24_E_FORMAT && size <= MAX_JSON ? s24i_sniff(map, size) : NULL;
    if (what && strncmp(what, "JSON", 4) && strncmp(what, "a text", 6))
        status = s24i_fail(S24_E_FORMAT, "this is %s", what);
    s24i_os_unmap(map, size);
    if (!status && s24i_json_root(*doc)->kind != S24I_JSON_OBJECT)
        status = s24i_fail(S24_E_FORMAT, "not an object");
    return status ? s24i_fail(status, "%.100s: %s", name, s24i_error_text()) : S24_OK;
}

/* ---- Tensors. ---- */

static int by_shard(const void *a, const void *b)
{
    const s24i_json *s = a, *t = b;
    int order = strcmp(s->string, t->string);

    return order ? order : strcmp(s->key, t->key);
}

static s24_status read_index(model_folder *f)
{
    s24_status status = parse_file(f, S24I_FOLDER_INDEX, &f->index);

    if (status)
        return status;
    const s24i_json *map = s24i_json_get(s24i_json_root(f->index), "weight_map");
    if (!map || map->kind != S24I_JSON_OBJECT)
        return s24i_fail(S24_E_FORMAT, S24I_FOLDER_INDEX ": no weight_map");
    f->item_count = map->count;
    f->items = s24i_alloc(f->reader.memory, s24i_mul((size_t)map->count, sizeof(void *)));
    if (!f->items)
        return S24_E_MEMORY;
    int64_t n = 0;
    for (const s24i_json *item = map->first; item; item = item->next) {
        if (item->kind != S24I_JSON_STRING)
            return s24i_fail(S24_E_FORMAT, S24I_FOLDER_INDEX ": '%.100s' has no file", item->key);
        f->items[n++] = item;
    }
    s24i_sort(f->items, n, by_shard);
    return S24_OK;
}

/* The shard must hold what the index says of it. */
static s24_status check_shard(const s24i_reader *shard, const void **items, int64_t count)
{
    const s24i_tensor *t;

    for (int64_t i = 0; i < count; i++) {
        const s24i_json *item = items[i];
        if (s24i_reader_find(shard, item->key, &t))
            return s24i_fail(S24_E_FORMAT, S24I_FOLDER_INDEX ": '%.100s' is not in %.100s",
                             item->key, item->string);
    }
    return S24_OK;
}

/* Behind the last of the items that name the same shard as this one. */
static int64_t next_shard(const model_folder *f, int64_t item)
{
    const char *name = ((const s24i_json *)f->items[item])->string;

    while (++item < f->item_count && !strcmp(((const s24i_json *)f->items[item])->string, name))
        ;
    return item;
}

static s24_status open_shards(model_folder *f)
{
    s24_status status = read_index(f);

    for (int64_t i = 0, next; !status && i < f->item_count; i = next) {
        next = next_shard(f, i);
        status = open_shard(f, ((const s24i_json *)f->items[i])->string);
        if (!status) {
            s24i_reader *const *shards = f->shards.items;
            status = check_shard(shards[f->shards.count - 1], f->items + i, next - i);
        }
    }
    return status;
}

static const char *key_at(const void *sorted, int64_t index)
{
    return ((const s24i_json *)((const void *const *)sorted)[index])->key;
}

/* The index is the authority: a tensor that a shard holds beyond it is another's, or no part of the
 * model. */
static s24_status gather_tensors(model_folder *f)
{
    s24i_reader *const *shards = f->shards.items;
    bool wanted = true;
    s24_status status =
        s24i_reader_reserve(&f->reader, f->index ? f->item_count : shards[0]->count);
    s24i_tensor *t = f->reader.tensors;

    for (int64_t i = 0, first = 0, end; !status && i < f->shards.count; i++, first = end) {
        end = f->index ? next_shard(f, first) : 0;
        for (int64_t j = 0; j < shards[i]->count; j++) {
            const s24i_tensor *held = s24i_reader_at(shards[i], j);
            if (f->index)
                s24i_search(f->items + first, end - first, key_at, held->name, &wanted);
            if (wanted)
                *t++ = *held;
        }
    }
    return status ? status : s24i_reader_index(&f->reader);
}

/* ---- Metadata. ---- */

static const char *item_key(const void *sorted, int64_t index)
{
    return ((const meta_item *)((const void *const *)sorted)[index])->key;
}

static s24_status meta_value(s24i_reader *reader, const char *key, const char **value)
{
    const model_folder *f = (const model_folder *)reader;
    bool found;
    int64_t at = s24i_search(f->by_key, f->key_count, item_key, key, &found);

    *value = found ? ((const meta_item *)f->by_key[at])->value.data : NULL;
    return S24_OK;
}

static const char *meta_key(const s24i_reader *reader, int64_t index)
{
    const model_folder *f = (const model_folder *)reader;
    const meta_item *items = f->meta.items;

    return index >= 0 && index < f->meta.count ? items[index].key : NULL;
}

/* Of equal keys the first counts. Takes the value's text, also when it fails. */
static s24_status add_meta(model_folder *f, const char *key, s24i_text *value)
{
    s24i_memory *memory = f->reader.memory;
    meta_item item = {.value = *value};

    if (s24i_names_hold(&f->keys, key)) {
        s24i_text_free(&item.value);
        return S24_OK;
    }
    s24_status status = s24i_list_reserve(memory, &f->meta, sizeof item);

    if (!status)
        status = s24i_names_reserve(memory, &f->keys);
    item.key = status ? NULL : s24i_strdup(memory, key);
    if (item.key && !value->failed) {
        s24i_list_insert(&f->meta, f->meta.count, &item, sizeof item);
        s24i_names_add(&f->keys, item.key);
        return S24_OK;
    }
    s24i_strfree(memory, item.key);
    s24i_text_free(&item.value);
    return S24_E_MEMORY;
}

/* Everything below `value`, whose own key is `path`. */
static s24_status add_config(model_folder *f, const char *path, const s24i_json *value)
{
    s24i_text text = {.memory = f->reader.memory};
    s24_status status = S24_OK;

    if (value->kind == S24I_JSON_STRING)
        s24i_text_append(&text, "%s", value->string);
    else if (value->kind != S24I_JSON_OBJECT)
        s24i_config_value(&text, value);
    if (value->kind != S24I_JSON_OBJECT)
        return add_meta(f, path, &text);
    for (const s24i_json *item = value->first; item && !status; item = item->next) {
        s24i_text key = {.memory = f->reader.memory};
        s24i_text_append(&key, "%s.%s", path, item->key);
        status = key.data ? add_config(f, key.data, item) : S24_E_MEMORY;
        s24i_text_free(&key);
    }
    return status;
}

static s24_status read_config(model_folder *f)
{
    s24i_json_doc *doc = NULL;
    bool found = false;
    s24_status status = look_for(f, S24I_FOLDER_CONFIG, &found);

    if (found)
        status = parse_file(f, S24I_FOLDER_CONFIG, &doc);
    if (doc && !status)
        status = add_config(f, "config", s24i_json_root(doc));
    s24i_json_free(doc);
    return status;
}

/* The settings of codes that lie in a file of their own, unless config.json has some. */
static s24_status read_codes(model_folder *f)
{
    static const char object[] = "config.quantization_config", method[] = ".quant_method";
    s24i_text text = {.memory = f->reader.memory};
    s24i_json_doc *doc = NULL;
    bool found = false;
    s24_status status = look_for(f, S24I_FOLDER_CODES, &found);

    s24i_text_append(&text, "%s%s", object, method);
    if (text.failed)
        status = S24_E_MEMORY;
    found = found && !status && !s24i_names_hold(&f->keys, text.data);
    if (found)
        status = parse_file(f, S24I_FOLDER_CODES, &doc);
    if (doc && !status)
        status = add_config(f, object, s24i_json_root(doc));
    if (doc && !status) {
        s24i_text gptq = {.memory = f->reader.memory};
        s24i_text_append(&gptq, "gptq"); /* by whose programs the file is written */
        status = add_meta(f, text.data, &gptq);
    }
    s24i_json_free(doc);
    s24i_text_free(&text);
    return status;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const meta_item *)a)->key, ((const meta_item *)b)->key);
}

static s24_status index_meta(model_folder *f)
{
    f->by_key = s24i_alloc(f->reader.memory, (size_t)f->meta.count * sizeof(void *));
    if (!f->by_key)
        return S24_E_MEMORY;
    f->key_count = f->meta.count;
    for (int64_t i = 0; i < f->key_count; i++)
        f->by_key[i] = (const meta_item *)f->meta.items + i;
    s24i_sort(f->by_key, f->key_count, by_key);
    return S24_OK;
}

static s24_status gather_meta(model_folder *f)
{
    s24i_reader *const *shards = f->shards.items;
    s24_status status = read_config(f);
    const char *key, *value;

    if (!status)
        status = read_codes(f);

    for (int64_t i = 0; i < f->shards.count; i++) {
        for (int64_t j = 0; !status && (key = s24i_reader_meta_key(shards[i], j)); j++) {
            s24i_text text = {.memory = f->reader.memory};
            status = s24i_reader_meta(shards[i], key, &value);
            if (!status)
                s24i_text_append(&text, "%s", value);
            status = status ? status : add_meta(f, key, &text);
        }
    }
    return status ? status : index_meta(f);
}

/* ---- Codes. ---- */

/* The metadata without what tells of codes. */
static s24_status drop_codes(model_folder *f)
{
    s24i_memory *memory = f->reader.memory;
    meta_item *items = f->meta.items;
    int64_t n = 0;

    for (int64_t i = 0; i < f->meta.count; i++) {
        if (s24i_quantised_key(items[i].key)) {
            s24i_strfree(memory, items[i].key);
            s24i_text_free(&items[i].value);
        } else {
            items[n++] = items[i];
        }
    }
    f->meta.count = n;
    s24i_free(memory, f->by_key, (size_t)f->key_count * sizeof(void *));
    f->key_count = 0;
    return index_meta(f);
}

static s24_status fold_codes(model_folder *f)
{
    s24_status status = s24i_quantised_fold(&f->reader, &f->quantised);

    f->reader.undecoded = f->quantised.undecoded.data;
    return status || !f->quantised.decoded ? status : drop_codes(f);
}

/* ---- Closing, and the weights. ---- */

static void close_folder(s24i_reader *reader)
{
    model_folder *f = (model_folder *)reader;
    s24i_memory *memory = reader->memory;
    s24i_reader **shards = f->shards.items;
    meta_item *meta = f->meta.items;

    for (int64_t i = 0; i < f->meta.count; i++) {
        s24i_strfree(memory, meta[i].key);
        s24i_text_free(&meta[i].value);
    }
    s24i_names_free(memory, &f->keys);
    s24i_free(memory, f->by_key, (size_t)f->key_count * sizeof(void *));
    s24i_reader_release(reader);
    s24i_quantised_free(memory, &f->quantised);
    for (int64_t i = 0; i < f->shards.count; i++)
        s24i_reader_close(shards[i]);
    s24i_list_free(memory, &f->meta, sizeof(meta_item));
    s24i_list_free(memory, &f->shards, sizeof(s24i_reader *));
    s24i_free(memory, f->items, s24i_mul((size_t)f->item_count, sizeof(void *)));
    s24i_json_free(f->index);
    s24i_strfree(memory, f->path);
    s24i_free(memory, f, sizeof *f);
}

static const s24i_reader_class folder_class = {"folder", close_folder, meta_value, meta_key};

const char *s24i_folder_of(const s24i_reader *reader)
{
    return reader->class == &folder_class ? ((const model_folder *)reader)->path : NULL;
}

bool s24i_folder_decoded(const s24i_reader *reader)
{
    return reader->class == &folder_class && ((const model_folder *)reader)->quantised.decoded;
}

/* The single file comes first, as the format's own library has it. */
static s24_status open_weights(model_folder *f, bool *found)
{
    bool index = false;
    s24_status status = look_for(f, S24I_FOLDER_SINGLE, found);

    if (!status)
        status = look_for(f, S24I_FOLDER_INDEX, &index);
    if (status)
        return status;
    if (*found)
        return open_shard(f, S24I_FOLDER_SINGLE);
    *found = index;
    return index ? open_shards(f) : S24_OK;
}

/* ---- A folder that holds one GGUF model. ---- */

typedef struct search {
    s24i_memory *memory;
    const char *folder;
    char *gguf;  /* a file of the model */
    char *other; /* a file that looks like weights of another kind */
} search;

bool s24i_folder_ends_with(const char *name, const char *ending)
{
    size_t length = strlen(name), size = strlen(ending);

    return length > size && !strcmp(name + length - size, ending);
}

static s24_status keep(search *s, char **kept, const char *name)
{
    if (!*kept)
        *kept = s24i_strdup(s->memory, name);
    return *kept ? S24_OK : S24_E_MEMORY;
}

static s24_status look_at(void *arg, const char *name)
{
    static const char *const others[] = {".safetensors", ".bin", ".pt",  ".pth",
                                         ".ckpt",        ".h5",  ".onnx"};
    search *s = arg;

    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (s24i_folder_ends_with(name, others[i]))
            return keep(s, &s->other, name);
    }
    if (*name == '.' || !s24i_folder_ends_with(name, ".gguf"))
        return S24_OK;
    size_t stem = s24i_gguf_stem(name);
    if (s->gguf && (stem != s24i_gguf_stem(s->gguf) || memcmp(name, s->gguf, stem)))
        return s24i_fail(S24_E_FORMAT,
                         "holds more than one GGUF model, '%.100s' and '%.100s': name one of them",
                         s->gguf, name);
    char *path = s24i_folder_path(s->memory, s->folder, name);
    s24_status status = path ? check_place(s->memory, s->folder, path) : S24_E_MEMORY;
    s24i_strfree(s->memory, path);
    return status ? status : keep(s, &s->gguf, name);
}

static s24_status find_gguf(s24i_memory *memory, const char *folder, char **gguf)
{
    search s = {.memory = memory, .folder = folder};
    s24_status status = s24i_os_list(folder, look_at, &s);

    if (!status && s.gguf)
        status = (*gguf = s24i_folder_path(memory, folder, s.gguf)) ? S24_OK : S24_E_MEMORY;
    else if (!status)
        status = s24i_fail(S24_E_FORMAT,
                           "has neither " S24I_FOLDER_SINGLE " nor " S24I_FOLDER_INDEX
                           " nor a GGUF model%s%.100s%s",
                           s.other ? ", but '" : "", s.other ? s.other : "",
                           s.other ? "': name that file itself to see what it is" : "");
    s24i_strfree(memory, s.gguf);
    s24i_strfree(memory, s.other);
    return status;
}

/* ---- Opening. ---- */

s24_status s24i_folder_open(s24i_memory *memory, const char *path, char **gguf, s24i_reader **out)
{
    model_folder *f = s24i_alloc_zero(memory, sizeof *f);

    if (!f)
        return S24_E_MEMORY;
    f->reader.class = &folder_class;
    f->reader.memory = memory;
    f->path = s24i_strdup(memory, path);
    bool found = false;
    s24_status status = f->path ? open_weights(f, &found) : S24_E_MEMORY;
    if (!status && found)
        status = gather_tensors(f);
    if (!status && found)
        status = gather_meta(f);
    if (!status && found)
        status = fold_codes(f);
    if (status || !found)
        close_folder(&f->reader);
    else
        *out = &f->reader;
    return status || found ? status : find_gguf(memory, path, gguf);
}
