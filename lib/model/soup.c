/* The average of models that were trained from one and share their mask (model soup, Wortsman et
 * al. 2022; sparse model soups, Zimmer et al. 2023, arXiv 2306.16788). Knows files, not
 * architectures. */
#include "fail.h"
#include <sparse24/model.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { CHUNK = 65536, MOST = 64 };

typedef struct soup {
    s24_ctx *ctx;
    const char *const *paths;
    int32_t count;
    s24_file *file[MOST], *out;
    double *values, *sum; /* CHUNK each */
    bool *zero;           /* in the first */
} soup;

/* A tensor of all files. */
typedef struct ingredient {
    const char *name;
    int64_t shape[8];
    int32_t rank;
    const char *type;
    s24_mat view[MOST];
} ingredient;

/* ---- The same tensors everywhere ---- */

static bool same_shape(const soup *s, const ingredient *t, int32_t i)
{
    int64_t shape[8];
    int32_t rank;
    const char *type;
    if (!s24m_good(s24_file_info(s->file[i], t->name, shape, &rank, &type), "%s", s->paths[i]))
        return false;
    bool same = rank == t->rank && !memcmp(shape, t->shape, (size_t)rank * sizeof *shape);
    return (same && !strcmp(type, t->type)) ||
           s24m_wrong(S24_E_SHAPE, "%s: %s has another %s than in %s", s->paths[i], t->name,
                      same ? "type" : "shape", s->paths[0]);
}

/* What is no float must be the same, byte for byte. */
static bool put_equal(const soup *s, const ingredient *t)
{
    const void *first, *other;
    size_t size, size_of_other;
    if (!s24m_good(s24_file_bytes(s->file[0], t->name, &first, &size), "%s", t->name))
        return false;
    for (int32_t i = 1; i < s->count; i++) {
        if (!s24m_good(s24_file_bytes(s->file[i], t->name, &other, &size_of_other), "%s", t->name))
            return false;
        if (size != size_of_other || memcmp(first, other, size))
            return s24m_wrong(S24_E_DTYPE,
                              "%s: %s has type %s and differs from that in %s: only floats are "
                              "averaged, so export the models as floats first",
                              s->paths[i], t->name, t->type, s->paths[0]);
    }
    return s24m_good(s24_file_put_stored(s->out, s->file[0], t->name), "%s", t->name);
}

/* ---- Averages ---- */

/* Elements [at, at + count) of the tensor, whose rows lie one after the other. */
static bool load(const soup *s, const ingredient *t, int32_t i, int64_t at, int64_t count)
{
    s24_mat part = t->view[i], to;
    part.data = (char *)part.data + at * ((part.dtype & 255) / 8);
    part.rows = 1;
    part.cols = part.row_stride = count;
    s24_mat_rowmajor(&to, s->values, 1, count, S24_F64);
    return s24m_good(s24_mat_copy(s->ctx, &part, &to), "%s: %s", s->paths[i], t->name);
}

static int64_t size_of(const ingredient *t)
{
    return t->view[0].rows * t->view[0].cols;
}

/* A tensor has a mask where a tenth of it or more is 0. */
static bool has_mask(const soup *s, const ingredient *t, int32_t i, bool *masked)
{
    int64_t zeros = 0, size = size_of(t);
    bool done = true;
    for (int64_t at = 0; done && t->rank > 1 && at < size; at += CHUNK) {
        int64_t count = size - at < CHUNK ? size - at : CHUNK;
        done = load(s, t, i, at, count);
        for (int64_t j = 0; done && j < count; j++)
            zeros += s->values[j] == 0;
    }
    *masked |= t->rank > 1 && zeros * 10 >= size;
    return done;
}

static bool unequal(const soup *s, const ingredient *t, int32_t i, int64_t at)
{
    int64_t cols = t->view[0].cols;
    return s24m_wrong(
        S24_E_STATE,
        "%s: %s: row %lld, column %lld is%s 0, but in %s it is%s: a soup needs models "
        "that share a mask",
        s->paths[i], t->name, (long long)(at / cols), (long long)(at % cols),
        s->values[at % CHUNK] == 0 ? "" : " not", s->paths[0],
        s->values[at % CHUNK] == 0 ? " not" : "");
}

/* s->sum = the averages; 0 stays 0 for all, or none. */
static bool average(const soup *s, const ingredient *t, bool masked, int64_t at, int64_t count)
{
    for (int32_t i = 0; i < s->count; i++) {
        if (!load(s, t, i, at, count))
            return false;
        for (int64_t j = 0; j < count; j++) {
            if (i && masked && (s->values[j] == 0) != s->zero[j])
                return unequal(s, t, i, at + j);
            s->zero[j] = i ? s->zero[j] : s->values[j] == 0;
            s->sum[j] = (i ? s->sum[j] : 0) + s->values[j] / s->count;
        }
    }
    return true;
}

static bool fill(const soup *s, const ingredient *t, bool masked, const s24_mat *whole)
{
    bool done = true;
    int64_t size = size_of(t);
    for (int64_t at = 0; done && at < size; at += CHUNK) {
        s24_mat from, to = *whole;
        int64_t count = size - at < CHUNK ? size - at : CHUNK;
        s24_mat_rowmajor(&from, s->sum, 1, count, S24_F64);
        to.data = (char *)to.data + at * ((to.dtype & 255) / 8);
        to.rows = 1;
        to.cols = to.row_stride = count;
        done = average(s, t, masked, at, count) &&
               s24m_good(s24_mat_copy(s->ctx, &from, &to), "%s", t->name);
    }
    return done;
}

static bool put_average(const soup *s, const ingredient *t)
{
    s24_mat whole;
    bool masked = false, done = true;
    size_t width = (size_t)(t->view[0].dtype & 255) / 8;
    void *data = s24m_have(malloc((size_t)size_of(t) * width + 1));
    if (!data)
        return false;
    for (int32_t i = 0; done && i < s->count; i++)
        done = has_mask(s, t, i, &masked);
    s24_mat_rowmajor(&whole, data, t->view[0].rows, t->view[0].cols, t->view[0].dtype);
    done =
        done && fill(s, t, masked, &whole) &&
        s24m_good(s24_file_put(s->out, t->name, &whole, t->shape, t->rank, t->type), "%s", t->name);
    free(data);
    return done;
}

static bool is_float(const char *type)
{
    return !strcmp(type, "F32") || !strcmp(type, "F16") || !strcmp(type, "BF16") ||
           !strcmp(type, "F64");
}

static bool put_tensor(const soup *s, int64_t index)
{
    ingredient t = {.name = s24_file_name(s->file[0], index)};
    bool done =
        s24m_good(s24_file_info(s->file[0], t.name, t.shape, &t.rank, &t.type), "%s", t.name);
    for (int32_t i = 1; done && i < s->count; i++)
        done = same_shape(s, &t, i);
    if (!done || !is_float(t.type))
        return done && put_equal(s, &t);
    for (int32_t i = 0; done && i < s->count; i++)
        done =
            s24m_good(s24_file_get(s->file[i], t.name, t.view + i), "%s: %s", s->paths[i], t.name);
    return done && put_average(s, &t);
}

/* ---- Files ---- */

/* As that of the first. */
static const char *format_of(const char *path)
{
    struct stat state;
    char magic[4] = {0};
    if (!stat(path, &state) && S_ISDIR(state.st_mode))
        return "folder";
    FILE *file = fopen(path, "rb");
    bool gguf = file && fread(magic, 1, 4, file) == 4 && !memcmp(magic, "GGUF", 4);
    if (file)
        fclose(file);
    return gguf ? "gguf" : "safetensors";
}

static bool open_all(soup *s, const char *out)
{
    bool done = true;
    for (int32_t i = 0; done && i < s->count; i++) {
        done = s24m_good(s24_file_open(s->ctx, s->paths[i], &s->file[i]), "%s", s->paths[i]);
        if (done && s24_file_count(s->file[i]) != s24_file_count(s->file[0]))
            return s24m_wrong(S24_E_SHAPE, "%s has %lld tensors, and %s %lld", s->paths[i],
                              (long long)s24_file_count(s->file[i]), s->paths[0],
                              (long long)s24_file_count(s->file[0]));
    }
    s->values = s24m_have(malloc(CHUNK * sizeof *s->values));
    s->sum = s24m_have(malloc(CHUNK * sizeof *s->sum));
    s->zero = s24m_have(malloc(CHUNK * sizeof *s->zero));
    return done && s->values && s->sum && s->zero &&
           s24m_good(s24_file_create(s->ctx, out, format_of(s->paths[0]), &s->out), "%s", out) &&
           s24m_good(s24_file_check_copy(s->out, s->file[0]), "%s", out) &&
           s24m_good(s24_file_copy_meta(s->out, s->file[0]), "%s", out);
}

static bool cook(soup *s, const char *out)
{
    bool done = open_all(s, out);
    int64_t count = done ? s24_file_count(s->file[0]) : 0;
    for (int64_t k = 0; done && k < count; k++)
        done = put_tensor(s, k);
    for (int32_t i = 0; done && i < s->count; i++)
        done = s24m_good(s24_file_check_source(s->file[i]), "%s", s->paths[i]);
    return done && s24m_good(s24_file_commit(s->out), "%s", out);
}

static bool check(const s24_ctx *ctx, const char *const *paths, int32_t count, const char *out)
{
    if (!ctx || !paths || !out)
        return s24m_wrong(S24_E_ARG, "s24_model_soup: %s is NULL",
                          !ctx     ? "ctx"
                          : !paths ? "paths"
                                   : "out");
    if (count < 2 || count > MOST)
        return s24m_wrong(S24_E_ARG, "s24_model_soup: %d models: a soup is made of 2 to %d",
                          (int)count, (int)MOST);
    for (int32_t i = 0; i < count; i++)
        if (!paths[i])
            return s24m_wrong(S24_E_ARG, "s24_model_soup: paths[%d] is NULL", (int)i);
    return true;
}

s24_status s24_model_soup(s24_ctx *ctx, const char *const *paths, int32_t count, const char *out)
{
    soup s = {.ctx = ctx, .paths = paths, .count = count};
    char text[600];
    bool done = check(ctx, paths, count, out) && cook(&s, out);
    s24_status status = s24m_status(done);
    snprintf(text, sizeof text, "%s", done ? "" : s24_last_error());
    s24_file_destroy(s.out);
    for (int32_t i = 0; i < MOST; i++)
        s24_file_destroy(s.file[i]);
    free(s.values);
    free(s.sum);
    free(s.zero);
    if (!done)
        s24_fail(status, text);
    return status;
}
