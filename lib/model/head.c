#include "exponential.h"
#include "family.h"
#include "image.h"
#include "packed.h"
#include "parts.h"
#include "steps.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Embedding ---- */

typedef struct gather_job {
    const s24m_model *model;
    const s24_mat *table;
    const s24_packed *packed; /* instead, or NULL */
    const int32_t *tokens;
    const float *positions; /* (length, hidden), or NULL */
    const float *type;      /* hidden, or NULL */
    int64_t length, past;   /* past: the position of the first of `length` tokens */
    float *rows;            /* of the table */
    float *h;
} gather_job;

static void gather_rows(void *arg, int64_t first, int64_t last)
{
    const gather_job *j = arg;
    int64_t width = j->model->config.width;
    for (int64_t r = first; r < last; r++) {
        s24_mat row = *j->table, to = s24m_mat(j->rows + r * width, 1, width);
        row.data = (char *)row.data + j->tokens[r] * row.row_stride * ((row.dtype & 0xff) / 8);
        row.rows = 1;
        s24_mat_copy(j->model->ctx, &row, &to);
    }
}

/* The same from a packed table: rows stand in blocks of 16, each a matrix of its own. */
static s24_status gather_packed(const gather_job *j, int64_t count)
{
    int64_t width = j->model->config.width;
    float *values = s24m_floats(S24M_PACKED_ROWS * width);
    s24_status status = values ? S24_OK : S24_E_MEMORY;
    for (int64_t r = 0; !status && r < count; r++) {
        int64_t row = j->tokens[r] % S24M_PACKED_ROWS;
        status = s24m_packed_block(j->model, j->packed, j->tokens[r] / S24M_PACKED_ROWS, values);
        if (!status)
            memcpy(j->rows + r * width, values + row * width, (size_t)width * sizeof *values);
    }
    free(values);
    return status;
}

/* Scaled; the rows of the position and of the kind of token added. */
static void finish_rows(void *arg, int64_t first, int64_t last)
{
    const gather_job *j = arg;
    int64_t hidden = j->model->config.hidden;
    float scale = (float)j->model->config.embedding_scale;
    for (int64_t r = first; r < last; r++) {
        float *h = j->h + r * hidden;
        int64_t position = j->past + r % j->length;
        const float *row = j->positions ? j->positions + position * hidden : NULL;
        for (int64_t i = 0; scale != 1 && i < hidden; i++)
            h[i] *= scale;
        for (int64_t i = 0; j->type && i < hidden; i++)
            h[i] += j->type[i];
        for (int64_t i = 0; row && i < hidden; i++)
            h[i] += row[i];
    }
}

/* Only the rows that are used matter. */
static s24_status check_rows(const s24m_model *model, const char *name, const int32_t *tokens,
                             int64_t count, const float *values)
{
    s24m_fault fault;
    s24_mat rows = s24m_mat(values, count, model->config.width);
    s24_status status = s24m_find_fault(model, &rows, &fault);
    return status || fault.row < 0
               ? status
               : s24m_fail(S24_E_NONFINITE, "%s: row %d, column %lld is %g", name,
                           (int)tokens[fault.row], (long long)fault.col, fault.value);
}

/* The table as far as positions go, and all of it behind what is read. */
static s24_status read_positions(const s24m_model *model, int64_t length, float **all)
{
    int64_t rows, cols;
    char name[S24M_NAME];
    *all = NULL;
    if (!s24m_global(model, S24M_POSITIONS, name))
        return S24_OK;
    if (length > model->config.trained)
        return s24m_fail(S24_E_ARG, "sequences of %lld tokens, but %s has %lld positions",
                         (long long)length, name, (long long)model->config.trained);
    s24m_global_shape(model, S24M_POSITIONS, &rows, &cols);
    return s24m_read(model, name, rows, cols, all);
}

/* The norm behind the embedding, where there is one. */
static s24_status read_norm(const s24m_model *model, s24m_embedding *e)
{
    char name[S24M_NAME];
    int64_t hidden = model->config.hidden;
    if (!s24m_global(model, S24M_EMBEDDING_NORM, name))
        return S24_OK;
    s24_status status = s24m_read(model, name, hidden, 0, &e->gain);
    if (!status && s24m_global(model, S24M_EMBEDDING_SHIFT, name))
        status = s24m_read(model, name, hidden, 0, &e->shift);
    return status;
}

/* A table, where there is one. */
static s24_status read_global(const s24m_model *model, int32_t which, float **out)
{
    char name[S24M_NAME];
    int64_t rows, cols;
    s24m_global_shape(model, which, &rows, &cols);
    return s24m_global(model, which, name) ? s24m_read(model, name, rows, cols, out) : S24_OK;
}

s24_status s24m_embedding_load(const s24m_model *model, int64_t length, const s24_mat *table,
                               s24m_embedding *e)
{
    const s24m_config *c = &model->config;
    char name[S24M_NAME];
    *e = (s24m_embedding){0};
    if (table)
        e->table = *table;
    s24m_global(model, S24M_EMBEDDING, name);
    s24_status status = read_positions(model, length, &e->positions);
    if (!status && !table)
        status = s24m_table(model, name, c->vocab, c->width, &e->table, &e->storage);
    if (!status)
        status = read_global(model, S24M_TYPES, &e->types);
    if (!status)
        status = read_global(model, S24M_PROJECT_IN, &e->project);
    if (!status)
        status = read_norm(model, e);
    if (status)
        s24m_embedding_free(e);
    return status;
}

void s24m_embedding_free(s24m_embedding *e)
{
    free(e->storage);
    free(e->positions);
    free(e->gain);
    free(e->shift);
    free(e->types);
    free(e->project);
    *e = (s24m_embedding){0};
}

/* y (count, outputs) = x (count, inputs) m^T. */
static s24_status project(const s24m_model *model, const float *m, const float *x, float *y,
                          const int64_t shape[3])
{
    s24_mat by = s24m_mat(m, shape[2], shape[1]), in = s24m_mat(x, shape[0], shape[1]);
    s24_mat out = s24m_mat(y, shape[0], shape[2]);
    return s24m_library(s24_mat_multiply(model->ctx, &in, &by, &out), "the projection of tables");
}

/* Rows of the table into h, projected where they are narrower. */
static s24_status gather(const s24m_embedding *e, gather_job *j, const char *name, int64_t count)
{
    const s24m_config *c = &j->model->config;
    float *narrow = e->project ? s24m_floats(count * c->width) : NULL;
    if (e->project && !narrow)
        return S24_E_MEMORY;
    j->rows = narrow ? narrow : j->h;
    s24_status status =
        j->packed ? gather_packed(j, count) : s24m_rows(j->model, gather_rows, j, count);
    if (!status)
        status = check_rows(j->model, name, j->tokens, count, j->rows);
    if (!status && narrow)
        status = project(j->model, e->project, narrow, j->h,
                         (const int64_t[]){count, c->width, c->hidden});
    free(narrow);
    return status ? status : s24m_rows(j->model, finish_rows, j, count);
}

s24_status s24m_embedding_rows(const s24m_model *model, const s24m_embedding *e,
                               const int32_t *tokens, const s24m_places *at, float *h)
{
    const s24m_config *c = &model->config;
    int64_t count = at->sequences * at->length;
    char name[S24M_NAME];
    gather_job j = {.model = model,
                    .table = &e->table,
                    .packed = e->packed,
                    .tokens = tokens,
                    .type = e->types,
                    .length = at->length,
                    .past = at->past,
                    .h = h};
    j.positions = e->positions ? e->positions + model->family->position_offset * c->hidden : NULL;
    for (int64_t i = 0; i < count; i++)
        if (tokens[i] < 0 || tokens[i] >= c->vocab)
            return s24m_fail(S24_E_ARG, "token %lld is %d, but the vocabulary has %lld",
                             (long long)i, (int)tokens[i], (long long)c->vocab);
    s24m_global(model, S24M_EMBEDDING, name);
    s24_status status = gather(e, &j, name, count);
    return status || !e->gain ? status
                              : s24m_norm(model, e->gain, e->shift, h, count, c->hidden, h);
}

int64_t s24m_row_values(const s24m_model *model, int64_t length)
{
    return model->config.image.size ? model->config.image.values : length;
}

s24_status s24m_embed(const s24m_model *model, const int32_t *tokens, int64_t sequences,
                      int64_t length, float *h)
{
    s24m_embedding e;
    s24m_places at = {sequences, length, 0};
    if (model->config.image.size)
        return s24m_image_embed(model, (const float *)(const void *)tokens, sequences, h);
    s24_status status = s24m_embedding_load(model, length, NULL, &e);
    if (!status)
        status = s24m_embedding_rows(model, &e, tokens, &at, h);
    s24m_embedding_free(&e);
    return status;
}

/* ---- Head ---- */

/* A vector, where there is one. */
static s24_status read_vector(const s24m_model *model, int32_t which, float **out)
{
    char name[S24M_NAME];
    int64_t rows, cols;
    s24m_global_shape(model, which, &rows, &cols);
    return s24m_global(model, which, name) ? s24m_read(model, name, rows, 0, out) : S24_OK;
}

/* Some files hold gains less one. */
static void complete_gain(const s24m_model *model, float *gain)
{
    bool less = model->family->gain == S24M_GAIN_LESS_ONE && !model->config.gguf;
    for (int64_t i = 0; less && i < model->config.hidden; i++)
        gain[i] += 1;
}

bool s24m_is_encoder(const s24m_model *model)
{
    return model->family->encoder;
}

s24_status s24m_last_norm(const s24m_model *model, float *h, int64_t count)
{
    float *gain = NULL, *shift = NULL;
    char name[S24M_NAME];
    if (!s24m_global(model, S24M_LAST_NORM, name))
        return S24_OK;
    s24_status status = read_vector(model, S24M_LAST_NORM, &gain);
    if (!status)
        status = read_vector(model, S24M_LAST_SHIFT, &shift);
    if (!status)
        status = s24m_norm(model, gain, shift, h, count, model->config.hidden, h);
    free(gain);
    free(shift);
    return status;
}

s24_status s24m_head_check(const s24m_model *model)
{
    return s24m_is_encoder(model)
               ? s24m_fail(S24_E_UNSUPPORTED,
                           "%s is an encoder: it has no output head, and so no perplexity; "
                           "compress --eval tells how far its hidden states move",
                           model->config.architecture)
               : S24_OK;
}

s24_status s24m_head_load_rest(const s24m_model *model, s24m_head *head)
{
    *head = (s24m_head){.table = s24m_mat(NULL, model->config.vocab, model->config.width)};
    s24_status status = s24m_head_check(model);
    if (!status)
        status = read_vector(model, S24M_LAST_NORM, &head->norm);
    if (!status && head->norm)
        complete_gain(model, head->norm);
    if (!status)
        status = read_vector(model, S24M_LAST_SHIFT, &head->shift);
    if (!status)
        status = read_vector(model, S24M_OUTPUT_BIAS, &head->bias);
    if (!status)
        status = read_global(model, S24M_PROJECT_OUT, &head->project);
    if (status)
        s24m_head_free(head);
    return status;
}

s24_status s24m_head_load(const s24m_model *model, s24m_head *head)
{
    const s24m_config *c = &model->config;
    char name[S24M_NAME];
    s24_status status = s24m_head_load_rest(model, head);
    s24m_global(model, c->tied ? S24M_EMBEDDING : S24M_OUTPUT, name);
    if (!status)
        status = s24m_table(model, name, c->vocab, c->width, &head->table, &head->storage);
    if (!status && !head->storage)
        status = s24m_check_finite(model, name, &head->table);
    if (status)
        s24m_head_free(head);
    return status;
}

void s24m_head_free(s24m_head *head)
{
    free(head->norm);
    free(head->shift);
    free(head->bias);
    free(head->project);
    free(head->storage);
    s24_product_destroy(head->product);
    s24_packed_destroy(head->packed);
    *head = (s24m_head){0};
}

typedef struct logit_job {
    const s24m_head *head;
    const s24m_config *c;
    float *logits;
} logit_job;

/* Bias, scale, soft cap. */
static void finish_logits(void *arg, int64_t first, int64_t last)
{
    const logit_job *j = arg;
    int64_t vocab = j->c->vocab;
    float scale = (float)j->c->logit_scale;
    double cap = j->c->final_soft_cap;
    for (int64_t r = first; r < last; r++) {
        float *row = j->logits + r * vocab;
        for (int64_t i = 0; j->head->bias && i < vocab; i++)
            row[i] += j->head->bias[i];
        for (int64_t i = 0; scale != 1 && i < vocab; i++)
            row[i] *= scale;
        for (int64_t i = 0; cap > 0 && i < vocab; i++)
            row[i] = (float)(cap * tanh(row[i] / cap));
    }
}

/* Normalise `x` in place and multiply. */
static s24_status multiply(const s24m_model *model, const s24m_head *head, float *x, int64_t count,
                           float *logits)
{
    const s24m_config *c = &model->config;
    logit_job j = {head, c, logits};
    s24_mat in = s24m_mat(x, count, c->width), out = s24m_mat(logits, count, c->vocab);
    bool bare = model->family->last_norm && !*model->family->last_norm;
    float *narrow = head->project ? s24m_floats(count * c->width) : NULL;
    s24_status status = head->project && !narrow ? S24_E_MEMORY : S24_OK;
    if (!status && !bare)
        status = s24m_norm(model, head->norm, head->shift, x, count, c->hidden, x);
    if (!status && narrow) {
        in.data = narrow;
        status =
            project(model, head->project, x, narrow, (const int64_t[]){count, c->hidden, c->width});
    }
    if (!status)
        status = s24m_library(head->product ? s24_product_run(head->product, &in, &out)
                                            : s24_mat_multiply(model->ctx, &in, &head->table, &out),
                              "head");
    free(narrow);
    bool plain = !head->bias && c->logit_scale == 1 && !(c->final_soft_cap > 0);
    return status || plain ? status : s24m_rows(model, finish_logits, &j, count);
}

s24_status s24m_logits(const s24m_model *model, const s24m_head *head, const float *h,
                       int64_t count, float *logits)
{
    size_t size = (size_t)(count * model->config.hidden);
    float *x = s24m_floats((int64_t)size);
    if (!x)
        return S24_E_MEMORY;
    memcpy(x, h, size * sizeof *x);
    s24_status status = multiply(model, head, x, count, logits);
    free(x);
    return status;
}

/* ---- Loss ---- */

/* log of the sum of e^logits, summed in double in eight lanes. */
S24M_VECTOR static double log_sum(const float *logits, int64_t count)
{
    enum { LANES = 8 };
    float largest[LANES], top;
    double sum[LANES] = {0}, total = 0;
    int64_t i;
    for (int l = 0; l < LANES; l++)
        largest[l] = logits[0];
    for (i = 0; i + LANES <= count; i += LANES)
        for (int l = 0; l < LANES; l++)
            largest[l] = logits[i + l] > largest[l] ? logits[i + l] : largest[l];
    for (top = largest[0]; i < count; i++)
        top = logits[i] > top ? logits[i] : top;
    for (int l = 0; l < LANES; l++)
        top = largest[l] > top ? largest[l] : top;
    for (i = 0; i + LANES <= count; i += LANES)
        for (int l = 0; l < LANES; l++)
            sum[l] += exponential(logits[i + l] - top);
    for (; i < count; i++)
        total += exponential(logits[i] - top);
    for (int l = 0; l < LANES; l++)
        total += sum[l];
    return top + log(total);
}

typedef struct loss_job {
    const int32_t *tokens;
    const float *logits;
    double *nll;
    int64_t first, length, vocab; /* first: number of the chunk's first prediction */
} loss_job;

static void loss_rows(void *arg, int64_t first, int64_t last)
{
    const loss_job *j = arg;
    for (int64_t r = first; r < last; r++) {
        int64_t n = j->first + r, predicted = j->length - 1;
        int32_t target = j->tokens[n / predicted * j->length + n % predicted + 1];
        const float *logits = j->logits + r * j->vocab;
        j->nll[n] = log_sum(logits, j->vocab) - logits[target];
    }
}

s24_status s24m_head_loss(const s24m_model *model, const s24m_head *head, const float *h,
                          const int32_t *tokens, int64_t sequences, int64_t length, double *nll)
{
    enum { LOGITS = 1 << 24 }; /* 64 MiB */
    int64_t vocab = model->config.vocab, hidden = model->config.hidden;
    int64_t predicted = length - 1, total = sequences * predicted;
    int64_t chunk = LOGITS / vocab < 1 ? 1 : LOGITS / vocab;
    chunk = chunk > 128 ? chunk / 128 * 128 : chunk; /* whole tiles of the product */
    chunk = chunk < total ? chunk : total;
    float *x = s24m_floats(chunk * hidden), *logits = s24m_floats(chunk * vocab);
    s24_status status = x && logits ? S24_OK : S24_E_MEMORY;
    for (int64_t first = 0; !status && first < total; first += chunk) {
        int64_t count = total - first < chunk ? total - first : chunk;
        loss_job j = {tokens, logits, nll, first, length, vocab};
        for (int64_t r = 0; r < count; r++) {
            int64_t n = first + r, place = n / predicted * length + n % predicted;
            memcpy(x + r * hidden, h + place * hidden, (size_t)hidden * sizeof *x);
        }
        status = multiply(model, head, x, count, logits);
        if (!status)
            status = s24m_rows(model, loss_rows, &j, count);
    }
    free(logits);
    free(x);
    return status;
}
