#include "block_file.h"
#include "codes.h"
#include "hash.h"
#include "identity.h"
#include "fail.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECKSUM "checksum"
#define SETTINGS "settings"
#define ORDER "%s.order"

/* ---- The checksum: a sum, whatever the order ---- */

static uint64_t checksum(uint64_t sum, const char *name, const s24_mat *mat)
{
    int32_t width = (mat->dtype & 0xff) / 8; /* the low byte of a type is its width in bits */
    uint64_t h = hash_word(hash_text(HASH_BEGIN, name), (uint64_t)mat->dtype);
    h = hash_word(hash_word(h, (uint64_t)mat->rows), (uint64_t)mat->cols);
    return sum + hash(h, mat->data, (size_t)(mat->rows * mat->cols * width));
}

static uint64_t checksum_text(uint64_t sum, const char *key, const char *value)
{
    return sum + hash_text(hash_text(HASH_BEGIN, key), value);
}

/* Everything in the file but what says it. */
static bool verify(const s24_file *file, const char *path)
{
    char text[24];
    const char *key, *wanted = s24_file_meta(file, CHECKSUM);
    uint64_t sum = 0;
    for (int64_t i = 0; (key = s24_file_meta_key(file, i)); i++)
        if (strcmp(key, CHECKSUM) && strcmp(key, "format"))
            sum = checksum_text(sum, key, s24_file_meta(file, key));
    for (int64_t i = 0; i < s24_file_count(file); i++) {
        s24_mat mat;
        const char *name = s24_file_name(file, i);
        if (!s24m_good(s24_file_get(file, name, &mat), "%s", path))
            return false;
        sum = checksum(sum, name, &mat);
    }
    snprintf(text, sizeof text, "%016" PRIx64, sum);
    return (wanted && !strcmp(text, wanted)) ||
           s24m_wrong(S24_E_FORMAT,
                      "%s is damaged: remove it, then --resume solves this block again", path);
}

bool s24m_block_file_open(s24_ctx *ctx, const char *path, const char *where, const char *asked,
                          s24_file **file)
{
    if (!s24m_good(s24_file_open(ctx, path, file), "%s", path))
        return false;
    const char *theirs = s24_file_meta(*file, SETTINGS);
    return (theirs || s24m_wrong(S24_E_FORMAT, "%s: it is not from sparse24 compress", path)) &&
           s24m_identity_same(where, theirs, asked) && verify(*file, path);
}

/* ---- Writing ---- */

/* A file that is being written, and the checksum of what is in it. */
typedef struct saving {
    const char *path;
    s24_file *file;
    uint64_t sum;
} saving;

static bool put(saving *to, const char *name, const s24_mat *mat)
{
    to->sum = checksum(to->sum, name, mat);
    return s24m_good(s24_file_put(to->file, name, mat, NULL, 2, NULL), "%s", to->path);
}

static bool put_text(saving *to, const char *key, const char *value)
{
    to->sum = checksum_text(to->sum, key, value);
    return s24m_good(s24_file_set_meta(to->file, key, value), "%s", to->path);
}

static bool put_part(saving *to, const matrix *m, const char *part, const s24_mat *values)
{
    char name[600];
    const s24_mat *made = s24m_made_part(&m->made, part);
    snprintf(name, sizeof name, "%s.%s", m->tensor, part);
    return put(to, name, made ? made : values);
}

static bool put_parts(saving *to, const matrix *m)
{
    const char *part;
    s24_mat values;
    bool done = true;
    for (int32_t i = 0; done && s24m_result_part(m->result, i, &part, &values); i++)
        done = put_part(to, m, part, &values);
    for (int32_t i = 0; done && m->parts && i < m->parts->count; i++)
        done = put_part(to, m, m->parts->part[i].name, &m->parts->part[i].values);
    return done;
}

static bool put_order(saving *to, const matrix *m)
{
    char name[600];
    s24_mat order;
    snprintf(name, sizeof name, ORDER, m->tensor);
    s24_mat_rowmajor(&order, m->order, 1, m->w.cols, S24_I32);
    return !m->order || put(to, name, &order);
}

static bool put_matrix(saving *to, s24_ctx *ctx, const matrix *m)
{
    char key[600];
    s24_mat narrow = {0};
    snprintf(key, sizeof key, "record.%s", m->tensor);
    bool done = s24m_matrix_narrow(m, ctx, &narrow) && put(to, m->tensor, &narrow) &&
                put_text(to, key, m->record.json) && put_parts(to, m) && put_order(to, m);
    free(narrow.data);
    return done;
}

/* Of those that were trained. */
static bool put_vector(saving *to, s24_ctx *ctx, const matrix *m)
{
    s24_mat narrow = {0};
    bool done = !m->v || (s24m_matrix_narrow(m, ctx, &narrow) && put(to, m->tensor, &narrow));
    free(narrow.data);
    return done;
}

bool s24m_block_file_write(s24_ctx *ctx, const char *path, const char *asked,
                           const matrix *matrices, int count, const trained *vectors)
{
    char text[24];
    saving to = {.path = path};
    bool done = s24m_good(s24_file_create(ctx, path, "safetensors", &to.file), "%s", path) &&
                put_text(&to, SETTINGS, asked);
    for (int i = 0; done && i < count; i++)
        done = !matrices[i].constraints || put_matrix(&to, ctx, matrices + i);
    for (int i = 0; done && vectors && i < vectors->count; i++)
        done = put_vector(&to, ctx, &vectors->vectors[i].m);
    snprintf(text, sizeof text, "%016" PRIx64, to.sum);
    done = done && s24m_good(s24_file_set_meta(to.file, CHECKSUM, text), "%s", path) &&
           s24m_good(s24_file_commit(to.file), "%s", path);
    s24_file_destroy(to.file);
    return done;
}

/* ---- Reading ---- */

/* What a checksum cannot tell: that the file was right when it was written. */
static bool obeys(s24_ctx *ctx, const matrix *m)
{
    s24_problem *problem = NULL;
    s24_mat v = s24m_matrix_values(m);
    for (int64_t i = 0; i < m->w.rows * m->w.cols; i++)
        if (!isfinite(m->v[i]))
            return s24m_wrong(S24_E_FORMAT, "--resume: %s: row %lld, column %lld is %g", m->tensor,
                              (long long)(i / m->w.cols), (long long)(i % m->w.cols),
                              (double)m->v[i]);
    if (s24m_matrix_has_parts(m))
        return true;
    s24_status status = s24_problem_create(ctx, &m->w, &problem);
    status = status ? status : s24_problem_parse(problem, m->constraints);
    status = status ? status : s24_problem_check(problem, &v);
    bool done = s24m_good(status, "--resume: %s", m->tensor);
    s24_problem_destroy(problem);
    return done;
}

/* Whether it is an order of the block is asked where it is used. */
static bool get_order(const s24_file *file, matrix *m)
{
    char name[600];
    s24_mat order;
    size_t size = (size_t)m->w.cols * sizeof *m->order;
    snprintf(name, sizeof name, ORDER, m->tensor);
    if (s24_file_info(file, name, NULL, NULL, NULL) != S24_OK)
        return true;
    if (!s24m_good(s24_file_get(file, name, &order), "--resume: %s", name))
        return false;
    if (order.dtype != S24_I32 || order.rows != 1 || order.cols != m->w.cols)
        return s24m_wrong(S24_E_FORMAT, "--resume: %s is not one row of %lld numbers of type I32",
                          name, (long long)m->w.cols);
    if (!(m->order = s24m_have(malloc(size))))
        return false;
    memcpy(m->order, order.data, size);
    return true;
}

static bool get_matrix(s24_ctx *ctx, const s24_file *file, matrix *m)
{
    char key[600];
    codes parts;
    snprintf(key, sizeof key, "record.%s", m->tensor);
    const char *told = s24_file_meta(file, key);
    if (!told)
        return s24m_wrong(S24_E_FORMAT, "--resume: the file of block %d has no record of %s",
                          m->layer, m->tensor);
    m->v = s24m_have(malloc((size_t)(m->w.rows * m->w.cols) * sizeof(float)));
    if (!m->v || !s24m_record_read(&m->record, told))
        return false;
    s24_mat v = s24m_matrix_values(m);
    return s24m_good(s24_file_read(file, m->tensor, &v), "--resume") &&
           (!s24m_codes_of_file(file, m->tensor, &parts) ||
            s24m_codes_decode(&parts, ctx, m->constraints, m->v)) &&
           obeys(ctx, m) && get_order(file, m);
}

static bool get_vector(const s24_file *file, matrix *m)
{
    if (s24_file_info(file, m->tensor, NULL, NULL, NULL) != S24_OK)
        return true;
    m->v = s24m_have(malloc((size_t)m->w.cols * sizeof(float)));
    s24_mat v = s24m_matrix_values(m);
    bool done = m->v && s24m_good(s24_file_read(file, m->tensor, &v), "--resume");
    for (int64_t i = 0; done && m->less != 0 && i < m->w.cols; i++)
        m->v[i] += m->less;
    return done;
}

bool s24m_block_file_read(s24_ctx *ctx, const s24_file *file, matrix *matrices, int count,
                          trained *vectors)
{
    bool done = true;
    for (int i = 0; done && i < count; i++)
        done = !matrices[i].constraints || get_matrix(ctx, file, matrices + i);
    for (int i = 0; done && vectors && i < vectors->count; i++)
        done = get_vector(file, &vectors->vectors[i].m);
    return done;
}
