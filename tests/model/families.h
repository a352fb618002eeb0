/* The models of families.safetensors: config.json, tensors' names and shapes, logits of one row.
 * Knows the public interface only. */
#ifndef S24_TESTS_FAMILIES_H
#define S24_TESTS_FAMILIES_H
#include "tiny.h"
#include <unistd.h>

enum { FAMILIES = 128 };

typedef struct family_list {
    s24_ctx *ctx;
    s24_file *file;
    const char *name[FAMILIES];
    int count;
} family_list;

static inline void family_open(family_list *l, const char *path)
{
    *l = (family_list){0};
    tiny_must(s24_ctx_create(&l->ctx));
    tiny_must(s24_file_open(l->ctx, path, &l->file));
    for (int64_t i = 0; i < s24_file_count(l->file) && l->count < FAMILIES; i++)
        l->name[l->count++] = s24_file_name(l->file, i);
}

static inline void family_close(family_list *l)
{
    s24_file_destroy(l->file);
    s24_ctx_destroy(l->ctx);
}

static inline const char *family_name(const family_list *l, int index)
{
    return l->name[index];
}

static inline const char *family_note(const family_list *l, int index, const char *what)
{
    char key[96];
    snprintf(key, sizeof key, "%s.%s", l->name[index], what);
    const char *text = s24_file_meta(l->file, key);
    return text ? text : "";
}

static inline bool family_has_type(const family_list *l, const char *type)
{
    char key[96];
    snprintf(key, sizeof key, "\"model_type\":\"%s\"", type);
    for (int i = 0; i < l->count; i++)
        if (strstr(family_note(l, i, "config"), key))
            return true;
    return false;
}

static inline void family_logits(const family_list *l, int index, s24_mat *logits)
{
    tiny_must(s24_file_get(l->file, l->name[index], logits));
}

/* One element of a tensor that is written otherwise; what stands before names instead of "model.",
 * in a wrapper or in a model without its head. */
typedef struct family_change {
    const char *name;
    int64_t element;
    float value;
    const char *root;
} family_change;

/* The name below this root; a wrapper's head stands below the first word of it. */
static inline void put_root(const char *root, char name[160])
{
    char old[160];
    bool inside = !strncmp(name, "model.", 6);
    strcpy(old, name);
    if (root && inside)
        snprintf(name, 160, "%s%.100s", root, old + 6);
    else if (root && strstr(root, "_model.model."))
        snprintf(name, 160, "language_model.%.100s", old);
}

/* "NAME:2x3x4" */
static inline void family_write_tensor(s24_file *file, const char *text, size_t length,
                                       const family_change *change)
{
    char name[160];
    int64_t shape[8], count = 1;
    int32_t rank = 0;
    const char *colon = memchr(text, ':', length);
    snprintf(name, sizeof name, "%.*s", (int)(colon - text), text);
    for (const char *at = colon + 1; at < text + length; rank++) {
        char *end;
        shape[rank] = strtoll(at, &end, 10);
        count *= shape[rank];
        at = end + 1;
    }
    s24_mat mat;
    float *values = tiny_tensor(name, count);
    if (change && change->name && !strcmp(change->name, name))
        values[change->element] = change->value;
    put_root(change ? change->root : NULL, name);
    s24_mat_rowmajor(&mat, values, count / (rank ? shape[rank - 1] : 1), rank ? shape[rank - 1] : 1,
                     S24_F32);
    tiny_must(s24_file_put(file, name, &mat, shape, rank, "F32"));
    free(values);
}

static inline int family_find(const family_list *l, const char *name)
{
    for (int i = 0; i < l->count; i++)
        if (!strcmp(l->name[i], name))
            return i;
    fprintf(stderr, "no model %s\n", name);
    exit(1);
}

/* The model as a folder that did not exist. */
static inline void family_write(s24_ctx *ctx, const family_list *l, int index,
                                const family_change *change, char folder[64])
{
    char path[128];
    s24_file *file;
    strcpy(folder, "/tmp/sparse24-family-XXXXXX");
    if (!mkdtemp(folder))
        exit(1);
    snprintf(path, sizeof path, "%s/config.json", folder);
    FILE *config = fopen(path, "w");
    bool wrapped = change && change->root && *change->root;
    fprintf(config,
            wrapped ? "{\"model_type\":\"wrapper\",\"vision_config\":{\"hidden_size\":7},"
                      "\"text_config\":%s}"
                    : "%s",
            family_note(l, index, "config"));
    fclose(config);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    tiny_must(s24_file_create(ctx, path, "safetensors", &file));
    for (const char *at = family_note(l, index, "tensors"); *at;) {
        size_t length = strcspn(at, ";");
        family_write_tensor(file, at, length, change);
        at += length + (at[length] == ';');
    }
    tiny_must(s24_file_commit(file));
    s24_file_destroy(file);
}

static inline void family_remove(const char *folder)
{
    static const char *const names[] = {"config.json", "model.safetensors"};
    char path[128];
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

#endif
