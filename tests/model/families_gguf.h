/* The models of families.safetensors as GGUF files: keys, and tensors from their sources by the
 * steps of make_families_gguf.py. */
#ifndef S24_TESTS_FAMILIES_GGUF_H
#define S24_TESTS_FAMILIES_GGUF_H
#include "families.h"

typedef struct gguf_tensor {
    char name[96], source[96], step[16];
    int64_t number, shape[8];
    int32_t rank;
    float *values;
} gguf_tensor;

static inline bool gguf_exists(const family_list *l, int index)
{
    return *family_note(l, index, "keys") != 0;
}

/* "ARCHITECTURE;key=value;..." */
static inline void gguf_write_keys(s24_file *file, const char *text)
{
    char arch[48], key[96], value[48];
    int length = (int)strcspn(text, ";");
    snprintf(arch, sizeof arch, "%.*s", length, text);
    tiny_must(s24_file_set_meta(file, "general.architecture", arch));
    for (text += length; *text; text += strcspn(text + 1, ";") + 1) {
        const char *equals = strchr(text, '=');
        snprintf(key, sizeof key, "%s.%.*s", arch, (int)(equals - text - 1), text + 1);
        snprintf(value, sizeof value, "%.*s", (int)strcspn(equals + 1, ";"), equals + 1);
        tiny_must(s24_file_set_meta(file, key, value));
    }
}

/* Shape of a source, whose %d is 0. */
static inline void gguf_find_shape(const char *tensors, gguf_tensor *t)
{
    char name[96];
    const char *place = strstr(t->source, "%d");
    snprintf(name, sizeof name, "%.*s%s%s:", place ? (int)(place - t->source) : 95, t->source,
             place ? "0" : "", place ? place + 2 : "");
    const char *at = tensors;
    while (strncmp(at, name, strlen(name)))
        at += strcspn(at, ";") + 1;
    at += strlen(name);
    for (t->rank = 0; *at && *at != ';'; t->rank++) {
        char *end;
        t->shape[t->rank] = strtoll(at, &end, 10);
        at = end + (*end == 'x');
    }
}

static inline int64_t gguf_count(const gguf_tensor *t)
{
    int64_t count = 1;
    for (int32_t i = 0; i < t->rank; i++)
        count *= t->shape[i];
    return count;
}

/* Rows in another order: of `heads` heads, each of two halves or of q, k, v. */
static inline void gguf_reorder(gguf_tensor *t, bool pairs)
{
    int64_t rows = t->shape[0], cols = gguf_count(t) / rows, head = rows / t->number;
    float *to = malloc((size_t)(rows * cols) * sizeof *to);
    for (int64_t r = 0; r < rows; r++) {
        int64_t h = r / head, i = r % head, third = head / 3;
        int64_t place = pairs ? h * head + i % (head / 2) * 2 + i / (head / 2)
                              : i / third * (rows / 3) + h * third + i % third;
        memcpy(to + place * cols, t->values + r * cols, (size_t)cols * sizeof *to);
    }
    free(t->values);
    t->values = to;
}

static inline void gguf_turn(gguf_tensor *t)
{
    int64_t rows = t->shape[0], cols = t->shape[1];
    float *to = malloc((size_t)(rows * cols) * sizeof *to);
    for (int64_t i = 0; i < rows * cols; i++)
        to[i % cols * rows + i / cols] = t->values[i];
    free(t->values);
    t->values = to;
    t->shape[0] = cols;
    t->shape[1] = rows;
}

static inline void gguf_stack(gguf_tensor *t)
{
    int64_t count = gguf_count(t);
    char name[96];
    free(t->values);
    t->values = malloc((size_t)(t->number * count) * sizeof *t->values);
    for (int64_t i = 0; i < t->number; i++) {
        const char *place = strstr(t->source, "%d");
        snprintf(name, sizeof name, "%.*s%d%s", (int)(place - t->source), t->source, (int)i,
                 place + 2);
        float *one = tiny_tensor(name, count);
        memcpy(t->values + i * count, one, (size_t)count * sizeof *one);
        free(one);
    }
    memmove(t->shape + 1, t->shape, 2 * sizeof *t->shape);
    t->shape[0] = t->number;
    t->rank = 3;
}

static inline void gguf_half(gguf_tensor *t, bool lower)
{
    int64_t half = t->shape[1] / 2 * t->shape[2];
    for (int64_t i = 0; i < t->shape[0]; i++)
        memmove(t->values + i * half, t->values + (2 * i + lower) * half,
                (size_t)half * sizeof *t->values);
    t->shape[1] /= 2;
}

static inline void gguf_step(gguf_tensor *t)
{
    for (int64_t i = 0; !strcmp(t->step, "plus") && i < gguf_count(t); i++)
        t->values[i] += 1;
    if (!strcmp(t->step, "pairs") || !strcmp(t->step, "blocks"))
        gguf_reorder(t, *t->step == 'p');
    if (!strcmp(t->step, "turn"))
        gguf_turn(t);
    if (!strcmp(t->step, "stack"))
        gguf_stack(t);
    if (!strcmp(t->step, "upper") || !strcmp(t->step, "lower"))
        gguf_half(t, *t->step == 'l');
}

/* "NAME=SOURCE:STEP:NUMBER" */
static inline void gguf_write_tensor(s24_file *file, const char *text, const char *tensors)
{
    gguf_tensor t;
    s24_mat mat;
    int number;
    if (sscanf(text, "%95[^=]=%95[^:]:%15[^:]:%d", t.name, t.source, t.step, &number) != 4)
        exit(1);
    t.number = number;
    gguf_find_shape(tensors, &t);
    t.values = tiny_tensor(t.source, gguf_count(&t));
    gguf_step(&t);
    int64_t cols = t.shape[t.rank - 1];
    s24_mat_rowmajor(&mat, t.values, gguf_count(&t) / cols, cols, S24_F32);
    tiny_must(s24_file_put(file, t.name, &mat, t.shape, t.rank, "F32"));
    free(t.values);
}

static inline void gguf_write(s24_ctx *ctx, const family_list *l, int index, const char *path)
{
    s24_file *file;
    tiny_must(s24_file_create(ctx, path, "gguf", &file));
    gguf_write_keys(file, family_note(l, index, "keys"));
    for (const char *at = family_note(l, index, "sources"); *at;) {
        size_t length = strcspn(at, ";");
        gguf_write_tensor(file, at, family_note(l, index, "tensors"));
        at += length + (at[length] == ';');
    }
    tiny_must(s24_file_commit(file));
    s24_file_destroy(file);
}

#endif
