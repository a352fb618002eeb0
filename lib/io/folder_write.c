#include "base/error.h"
#include "base/sort.h"
#include "folder.h"
#include "os.h"
#include "quantised.h"
#include "spool.h"
#include "temporary.h"
#include <stdio.h>
#include <string.h>

#define CONFIG "config."

enum { MAX_SIDE = 1 << 30 }; /* bytes of a file that is carried over: they wait in memory */

/* A file carried over from another folder. */
typedef struct carried {
    char *name;
    unsigned char *bytes;
    uint64_t size;
} carried;

/* Which shard has a tensor; the name is the shard's. */
typedef struct place {
    const char *name;
    int64_t shard;
} place;

typedef struct folder_writer {
    s24i_writer writer;
    uint64_t shard_bytes, total;
    s24i_list shards; /* s24i_spool *: tensors go to the last one */
    s24i_names names; /* of all tensors */
    s24i_list files;  /* carried */
} folder_writer;

static s24i_spool *shard_at(const folder_writer *w, int64_t index)
{
    return ((s24i_spool *const *)w->shards.items)[index];
}

/* ---- Tensors. ---- */

/* Libraries that load such files ask what they were made with, and know this answer. */
static s24_status add_shard(folder_writer *w)
{
    s24i_memory *memory = w->writer.memory;
    s24i_writer *shard;
    s24_status status = s24i_list_reserve(memory, &w->shards, sizeof shard);

    if (!status)
        status = s24i_safetensors_shard(memory, w->writer.path, &shard);
    if (status)
        return status;
    status = s24i_writer_set_meta(shard, "format", "pt");
    if (status)
        s24i_writer_discard(shard);
    else
        s24i_list_insert(&w->shards, w->shards.count, &shard, sizeof shard);
    return status;
}

/* The shard for `size` more bytes. */
static s24_status choose_shard(folder_writer *w, uint64_t size, s24i_spool **shard)
{
    s24i_spool *last = shard_at(w, w->shards.count - 1);
    s24_status status = S24_OK;

    if (last->entries.count && (size > w->shard_bytes || last->size > w->shard_bytes - size))
        status = add_shard(w);
    *shard = shard_at(w, w->shards.count - 1);
    return status;
}

/* Before a tensor of that name goes to a shard: it is new and there is room to note it. */
static s24_status check_new(folder_writer *w, const char *name)
{
    if (name && s24i_names_hold(&w->names, name))
        return s24i_fail(S24_E_ARG, "tensor name '%.100s': already in the folder", name);
    return s24i_names_reserve(w->writer.memory, &w->names);
}

static void note(folder_writer *w, const s24i_spool *shard)
{
    const s24i_entry *e = (const s24i_entry *)shard->entries.items + shard->entries.count - 1;

    s24i_names_add(&w->names, e->name);
    w->total += e->size;
}

static s24_status put(s24i_writer *writer, const char *name, const s24_mat *mat,
                      const int64_t *shape, int32_t rank, const char *type)
{
    folder_writer *w = (folder_writer *)writer;
    s24i_entry e = {0};
    s24i_spool *shard = shard_at(w, 0);
    s24_status status = check_new(w, name);

    /* A tensor that the shard will refuse needs no room. */
    if (!status &&
        s24i_entry_fill(&e, (const s24i_spool_class *)shard->writer.class, mat, shape, rank, type))
        e.size = 0;
    if (!status)
        status = choose_shard(w, e.size, &shard);
    if (!status)
        status = s24i_writer_put(&shard->writer, name, mat, shape, rank, type);
    if (!status)
        note(w, shard);
    return status;
}

static s24_status put_stored(s24i_writer *writer, const s24i_tensor *tensor)
{
    folder_writer *w = (folder_writer *)writer;
    s24i_spool *shard;
    s24_status status = check_new(w, tensor->name);

    if (!status)
        status = choose_shard(w, s24i_tensor_written(tensor), &shard);
    if (!status)
        status = s24i_writer_put_stored(&shard->writer, tensor);
    if (!status)
        note(w, shard);
    return status;
}

static s24_status check_stored(s24i_writer *writer, const s24i_tensor *tensor)
{
    return s24i_spool_check_stored(&shard_at((folder_writer *)writer, 0)->writer, tensor);
}

/* ---- Metadata, and files beside the weights. ---- */

static bool is_config(const char *key)
{
    return !strncmp(key, CONFIG, sizeof CONFIG - 1);
}

/* Configuration, tokenizer, code, licence and description: all that is no weights. */
static bool is_carried(const char *name)
{
    static const char *const endings[] = {".json", ".jinja", ".md",      ".model",
                                          ".py",   ".txt",   ".tiktoken"};

    if (*name == '.' || s24i_folder_ends_with(name, ".index.json"))
        return false;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        if (s24i_folder_ends_with(name, endings[i]))
            return true;
    }
    return !strncmp(name, "LICENSE", 7) || !strncmp(name, "NOTICE", 6);
}

static carried *find_file(const folder_writer *w, const char *name)
{
    carried *files = w->files.items;

    for (int64_t i = 0; i < w->files.count; i++) {
        if (!strcmp(files[i].name, name))
            return &files[i];
    }
    return NULL;
}

/* Mapped, if it may be carried over. */
static s24_status map_side(const folder_writer *w, const char *folder, const char *name,
                           const void **data, uint64_t *size)
{
    s24_status status = s24i_folder_map(w->writer.memory, folder, name, data, size);

    if (status || *size <= MAX_SIDE)
        return status;
    s24i_os_unmap(*data, *size);
    return s24i_fail(S24_E_UNSUPPORTED,
                     "%.200s/%.100s has %llu bytes: of a file beside the weights at most %d are "
                     "carried over, so move it elsewhere",
                     folder, name, (unsigned long long)*size, MAX_SIDE);
}

/* The bytes are copied now. */
static s24_status carry(folder_writer *w, const char *folder, const char *name)
{
    s24i_memory *memory = w->writer.memory;
    carried *there = find_file(w, name), made = {0};
    const void *data;
    s24_status status = there ? S24_OK : s24i_list_reserve(memory, &w->files, sizeof made);

    if (!status)
        status = map_side(w, folder, name, &data, &made.size);
    if (status)
        return status;
    made.bytes = s24i_alloc(memory, made.size);
    made.name = made.bytes && !there ? s24i_strdup(memory, name) : NULL;
    if (made.bytes && made.size)
        memcpy(made.bytes, data, made.size);
    s24i_os_unmap(data, made.size);
    if (!made.bytes || (!there && !made.name)) {
        s24i_free(memory, made.bytes, made.size);
        return S24_E_MEMORY;
    }
    if (there) {
        made.name = there->name;
        s24i_free(memory, there->bytes, there->size);
        *there = made;
    } else {
        s24i_list_insert(&w->files, w->files.count, &made, sizeof made);
    }
    return S24_OK;
}

/* config.json is changed where it was carried over to. */
static s24_status set_config(folder_writer *w, const char *key, const char *value)
{
    s24i_memory *memory = w->writer.memory;
    carried *config = find_file(w, S24I_FOLDER_CONFIG);
    s24i_text text = {.memory = memory};

    if (!config)
        return s24i_fail(S24_E_STATE, "key '%.100s': no " S24I_FOLDER_CONFIG " was carried over",
                         key);
    s24_status status = s24i_config_edit(memory, (const char *)config->bytes, config->size,
                                         key + sizeof CONFIG - 1, value, &text);
    unsigned char *bytes = status ? NULL : s24i_alloc(memory, text.size);
    if (bytes) {
        s24i_free(memory, config->bytes, config->size);
        config->bytes = memcpy(bytes, text.data, text.size);
        config->size = text.size;
    } else if (!status) {
        status = S24_E_MEMORY;
    }
    s24i_text_free(&text);
    return status;
}

static s24_status set_meta(s24i_writer *writer, const char *key, const char *value)
{
    folder_writer *w = (folder_writer *)writer;

    return key && is_config(key) ? set_config(w, key, value)
                                 : s24i_writer_set_meta(&shard_at(w, 0)->writer, key, value);
}

typedef struct carrying {
    folder_writer *w;
    const char *folder;
    bool decoded; /* what is told of codes is no more so */
} carrying;

static bool is_ours(const carrying *job, const char *name)
{
    return is_carried(name) && !(job->decoded && !strcmp(name, S24I_FOLDER_CODES));
}

static s24_status carry_if_ours(void *arg, const char *name)
{
    const carrying *job = arg;

    return is_ours(job, name) ? carry(job->w, job->folder, name) : S24_OK;
}

static s24_status forget_codes(folder_writer *w)
{
    const char *object;
    s24_status status = S24_OK;

    if (!find_file(w, S24I_FOLDER_CONFIG))
        return S24_OK;
    for (int i = 0; !status && (object = s24i_quantised_object(i)); i++)
        status = set_config(w, object, NULL);
    return status;
}

static s24_status check_if_ours(void *arg, const char *name)
{
    const carrying *job = arg;
    const void *data;
    uint64_t size;
    bool ours = is_ours(job, name);
    s24_status status = ours ? map_side(job->w, job->folder, name, &data, &size) : S24_OK;

    if (ours && !status)
        s24i_os_unmap(data, size);
    return status;
}

static s24_status check_meta(s24i_writer *writer, s24i_reader *from)
{
    carrying job = {(folder_writer *)writer, s24i_folder_of(from), s24i_folder_decoded(from)};

    return s24i_os_list(job.folder, check_if_ours, &job);
}

static s24_status copy_meta(s24i_writer *writer, s24i_reader *from)
{
    carrying job = {(folder_writer *)writer, s24i_folder_of(from), s24i_folder_decoded(from)};
    s24_status status = s24i_os_list(job.folder, carry_if_ours, &job);
    const char *key, *value;

    if (!status && job.decoded)
        status = forget_codes(job.w);

    for (int64_t i = 0; !status && (key = s24i_reader_meta_key(from, i)); i++) {
        if (is_config(key) || !strcmp(key, "format"))
            continue;
        status = s24i_reader_meta(from, key, &value);
        status = status ? status : set_meta(writer, key, value);
    }
    return status;
}

/* ---- Commit: a folder beside the target, complete, takes its name. ---- */

/* All but a last one that got nothing. */
static int64_t count_shards(const folder_writer *w)
{
    int64_t count = w->shards.count;

    return count > 1 && !shard_at(w, count - 1)->entries.count ? count - 1 : count;
}

static void shard_name(int64_t index, int64_t count, char name[64])
{
    if (count == 1)
        snprintf(name, 64, S24I_FOLDER_SINGLE);
    else
        snprintf(name, 64, "model-%05lld-of-%05lld.safetensors", (long long)index + 1,
                 (long long)count);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const place *)a)->name, ((const place *)b)->name);
}

/* Where every tensor is, by name. `places` and `sorted` have room for all. */
static void sort_places(const folder_writer *w, place *places, const void **sorted)
{
    int64_t n = 0;

    for (int64_t i = 0; i < w->shards.count; i++) {
        const s24i_list *entries = &shard_at(w, i)->entries;
        for (int64_t j = 0; j < entries->count; j++, n++) {
            places[n] = (place){((const s24i_entry *)entries->items)[j].name, i};
            sorted[n] = &places[n];
        }
    }
    s24i_sort(sorted, n, by_name);
}

/* The index of the shards, as text. */
static void append_index(const folder_writer *w, const void **places, s24i_text *text)
{
    char name[64];

    s24i_text_append(text, "{\n  \"metadata\": {\n    \"total_size\": %llu\n  },\n",
                     (unsigned long long)w->total);
    s24i_text_append(text, "  \"weight_map\": {");
    for (int64_t i = 0; i < w->names.list.count; i++) {
        const place *p = places[i];
        shard_name(p->shard, count_shards(w), name);
        s24i_text_append(text, "%s\n    ", i ? "," : "");
        s24i_text_json_string(text, p->name);
        s24i_text_append(text, ": \"%s\"", name);
    }
    s24i_text_append(text, "\n  }\n}\n");
}

static s24_status write_file(const folder_writer *w, const char *folder, const char *name,
                             const void *bytes, uint64_t size)
{
    char *path = s24i_folder_path(w->writer.memory, folder, name);
    s24_status status = path ? s24i_os_make(path, bytes, size) : S24_E_MEMORY;

    s24i_strfree(w->writer.memory, path);
    return status;
}

static s24_status write_shard(const folder_writer *w, const char *folder, int64_t index)
{
    char name[64];

    shard_name(index, count_shards(w), name);
    char *path = s24i_folder_path(w->writer.memory, folder, name);
    s24_status status = path ? s24i_spool_publish(shard_at(w, index), path) : S24_E_MEMORY;
    s24i_strfree(w->writer.memory, path);
    return status;
}

static s24_status write_index(const folder_writer *w, const char *folder)
{
    s24i_memory *memory = w->writer.memory;
    s24i_text text = {.memory = memory};
    size_t count = (size_t)w->names.list.count;
    place *places = s24i_alloc(memory, count * sizeof *places);
    const void **sorted = places ? s24i_alloc(memory, count * sizeof *sorted) : NULL;
    s24_status status = sorted ? S24_OK : S24_E_MEMORY;

    if (!status) {
        sort_places(w, places, sorted);
        append_index(w, sorted, &text);
        status = text.failed ? S24_E_MEMORY
                             : write_file(w, folder, S24I_FOLDER_INDEX, text.data, text.size);
    }
    s24i_text_free(&text);
    s24i_free(memory, sorted, count * sizeof *sorted);
    s24i_free(memory, places, count * sizeof *places);
    return status;
}

static s24_status fill(const folder_writer *w, const char *folder)
{
    const carried *files = w->files.items;
    int64_t count = count_shards(w);
    s24_status status = S24_OK;

    for (int64_t i = 0; !status && i < count; i++)
        status = write_shard(w, folder, i);
    if (!status && count > 1)
        status = write_index(w, folder);
    for (int64_t i = 0; !status && i < w->files.count; i++)
        status = write_file(w, folder, files[i].name, files[i].bytes, files[i].size);
    return status;
}

static s24_status appear(s24i_writer *writer)
{
    s24i_temporary t;
    s24_status status = s24i_temporary_folder(writer->memory, writer->path, &t);

    if (status)
        return status;
    status = fill((folder_writer *)writer, t.name);
    if (!status)
        status = s24i_temporary_publish(&t, writer->path);
    s24i_temporary_drop(&t);
    return status;
}

static void discard(s24i_writer *writer)
{
    folder_writer *w = (folder_writer *)writer;
    s24i_memory *memory = writer->memory;
    carried *files = w->files.items;

    for (int64_t i = 0; i < w->files.count; i++) {
        s24i_strfree(memory, files[i].name);
        s24i_free(memory, files[i].bytes, files[i].size);
    }
    for (int64_t i = 0; i < w->shards.count; i++)
        s24i_writer_discard(&shard_at(w, i)->writer);
    s24i_list_free(memory, &w->files, sizeof(carried));
    s24i_names_free(memory, &w->names);
    s24i_list_free(memory, &w->shards, sizeof(s24i_spool *));
    s24i_strfree(memory, writer->path);
    s24i_free(memory, w, sizeof *w);
}

static const s24i_writer_class class = {"folder",  put,        put_stored, check_stored, set_meta,
                                        copy_meta, check_meta, appear,     discard};

s24_status s24i_folder_create(s24i_memory *memory, const char *path, uint64_t shard_bytes,
                              s24i_writer **out)
{
    folder_writer *w = s24i_alloc_zero(memory, sizeof *w);

    if (!w)
        return S24_E_MEMORY;
    w->writer.class = &class;
    w->writer.memory = memory;
    w->shard_bytes = shard_bytes;
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    w->writer.path = s24i_alloc(memory, length + 1);
    s24_status status = w->writer.path ? S24_OK : S24_E_MEMORY;
    if (!status) {
        memcpy(w->writer.path, path, length);
        w->writer.path[length] = 0;
        status = s24i_os_check_folder(w->writer.path);
    }
    if (!status)
        status = add_shard(w);
    if (status)
        discard(&w->writer);
    else
        *out = &w->writer;
    return status;
}
