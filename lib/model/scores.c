#include "scores.h"
#include "hash.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What norms are made from: value = stored / rows, or its root. */
typedef struct made {
    const char *norm, *from;
    bool root; /* of what is stored, else the share of one row */
} made;

static const made makings[] = {{"mean", "l1", false}, {"rms", "fisher", true}};

static const made *making_of(const s24m_scores *s)
{
    for (size_t i = 0; i < sizeof makings / sizeof *makings; i++)
        if (!strcmp(makings[i].norm, s->norm))
            return makings + i;
    return NULL;
}

/* FILE:NORM; a path that exists is no split. */
static bool open_file(s24m_scores *s, s24_ctx *ctx, const char *text)
{
    const char *colon = access(text, F_OK) ? strrchr(text, ':') : NULL;
    char *path = s24m_have(colon ? strndup(text, (size_t)(colon - text)) : strdup(text));
    if (colon)
        snprintf(s->norm, sizeof s->norm, "%s", colon + 1);
    bool done = path && s24m_good(s24_file_open(ctx, path, &s->file), "--importance %s", text);
    free(path);
    return done && (!colon || (colon[1] && strlen(colon + 1) < sizeof s->norm) ||
                    s24m_wrong(S24_E_OPTION,
                               "--importance %s: expected FILE:NORM with l1, l2, fisher, mean or "
                               "rms as NORM",
                               text));
}

bool s24m_scores_open(s24m_scores *s, s24_ctx *ctx, const char *text)
{
    *s = (s24m_scores){.text = s24m_have(strdup(text))};
    if (!s->text || !open_file(s, ctx, text))
        return false;
    const char *about = s24_file_meta(s->file, "sparse24.importance");
    const char *rows = about ? strstr(about, "\"rows\": ") : NULL;
    s->rows = rows ? strtoll(rows + 8, NULL, 10) : 0;
    if (about && !*s->norm)
        snprintf(s->norm, sizeof s->norm, "rms");
    return strcmp(s->norm, "mean") != 0 || s->rows > 0 ||
           s24m_wrong(S24_E_FORMAT, "--importance %s: the file does not say of how many rows",
                      text);
}

/* The tensor that a matrix' scores are made from. */
static void tensor_of(const s24m_scores *s, const char *name, char *tensor, size_t size)
{
    const made *m = making_of(s);
    const char *norm = m ? m->from : s->norm;
    snprintf(tensor, size, "%s%s%s", name, *norm ? "." : "", norm);
}

bool s24m_scores_check(const s24m_scores *s, const char *name, int64_t rows, int64_t cols)
{
    char tensor[256];
    int64_t shape[8] = {0};
    int32_t rank = 0;
    tensor_of(s, name, tensor, sizeof tensor);
    return s24m_good(s24_file_info(s->file, tensor, shape, &rank, NULL), "--importance %s",
                     s->text) &&
           ((rank == 2 && shape[0] == rows && shape[1] == cols) ||
            s24m_wrong(S24_E_SHAPE,
                       "--importance %s: %s has rank %d and %" PRId64 " x %" PRId64
                       " values, expected %" PRId64 " x %" PRId64 " as the matrix has",
                       s->text, tensor, (int)rank, shape[0], rank > 1 ? shape[1] : 1, rows,
                       cols)) &&
           s24m_good(s24_file_check_read(s->file, tensor), "--importance %s", s->text);
}

static void make(const s24m_scores *s, float *values, int64_t count)
{
    const made *m = making_of(s);
    for (int64_t i = 0; m && i < count; i++)
        values[i] = m->root ? sqrtf(values[i]) : values[i] / (float)s->rows;
}

/* What ranks is a number, and not below 0. */
static bool check_values(const s24m_scores *s, const char *tensor, const float *values,
                         int64_t rows, int64_t cols)
{
    int64_t i = 0, count = rows * cols;
    while (i < count && values[i] >= 0 && isfinite(values[i]))
        i++;
    return i == count || s24m_wrong(isfinite(values[i]) ? S24_E_ARG : S24_E_NONFINITE,
                                    "--importance %s: %s: row %" PRId64 ", column %" PRId64
                                    " is %g, expected a finite number, 0 or more",
                                    s->text, tensor, i / cols, i % cols, (double)values[i]);
}

float *s24m_scores_read(const s24m_scores *s, const char *name, int64_t rows, int64_t cols)
{
    char tensor[256];
    s24_mat view = {0};
    float *values = s24m_have(malloc((size_t)(rows * cols) * sizeof *values));
    if (!values)
        return NULL;
    tensor_of(s, name, tensor, sizeof tensor);
    s24_mat_rowmajor(&view, values, rows, cols, S24_F32);
    bool done =
        s24m_good(s24_file_read(s->file, tensor, &view), "--importance %s: %s", s->text, tensor) &&
        check_values(s, tensor, values, rows, cols);
    make(s, values, rows * cols);
    if (done)
        return values;
    free(values);
    return NULL;
}

uint64_t s24m_scores_hash(const s24m_scores *s)
{
    uint64_t sum = HASH_BEGIN;
    for (int64_t i = 0; i < s24_file_count(s->file); i++) {
        const char *name = s24_file_name(s->file, i);
        const void *data;
        size_t size;
        sum = hash_text(sum, name);
        if (s24_file_bytes(s->file, name, &data, &size) == S24_OK)
            sum = hash(sum, data, size);
    }
    return sum;
}

void s24m_scores_close(s24m_scores *s)
{
    s24_file_destroy(s->file);
    free(s->text);
    *s = (s24m_scores){0};
}
