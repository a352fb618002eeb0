#include "exponential.h"
#include "tensors.h"
#include "rope.h"
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

/* ---- Rotary embedding ---- */

/* Tables for rows of this length: the angle of a position may depend on it. */
static s24_status make_tables(s24m_model *model, int64_t length)
{
    const s24m_rope *rope = &model->config.rope;
    int64_t pairs = rope->size / 2;
    if (length == model->rope_length)
        return S24_OK;
    float *cosine = s24m_floats(length * pairs), *sine = s24m_floats(length * pairs);
    if (!cosine || !sine) {
        free(cosine);
        free(sine);
        return S24_E_MEMORY;
    }
    for (int64_t i = 0; i < pairs; i++) {
        double frequency = s24m_rope_frequency(rope, i, length);
        for (int64_t p = 0; p < length; p++) {
            cosine[p * pairs + i] = (float)(rope->attention * cos((double)p * frequency));
            sine[p * pairs + i] = (float)(rope->attention * sin((double)p * frequency));
        }
    }
    free(model->cosine);
    free(model->sine);
    model->cosine = cosine;
    model->sine = sine;
    model->rope_length = length;
    return S24_OK;
}

/* Turn each pair (a, b) of one head by its angle. */
static void rotate(float *head, const float *cosine, const float *sine, int64_t pairs,
                   bool interleaved)
{
    int64_t step = interleaved ? 2 : 1, apart = interleaved ? 1 : pairs;
    for (int64_t i = 0; i < pairs; i++) {
        float *a = head + i * step, *b = a + apart, old = *a;
        *a = old * cosine[i] - *b * sine[i];
        *b = old * sine[i] + *b * cosine[i];
    }
}

typedef struct rotary_job {
    const s24m_model *model;
    const float *gain; /* of the norm of each head, or NULL */
    float *x;
    int64_t heads, length;
} rotary_job;

static void rotate_rows(void *arg, int64_t first, int64_t last)
{
    const rotary_job *j = arg;
    const s24m_config *c = &j->model->config;
    int64_t pairs = c->rope.size / 2;
    for (int64_t r = first; r < last; r++) {
        int64_t place = r % j->length * pairs;
        for (int64_t n = 0; n < j->heads; n++) {
            float *head = j->x + (r * j->heads + n) * c->head_dim;
            if (j->gain)
                s24m_norm_row(j->gain, c->eps, head, c->head_dim, head);
            rotate(head, j->model->cosine + place, j->model->sine + place, pairs, c->interleaved);
        }
    }
}

/* ---- Softmax attention ---- */

enum { QUERIES = 128 };

typedef struct attention_job {
    s24m_model *model;
    const float *q, *k, *v;
    float *out;
    int64_t length, window, blocks; /* blocks of queries in a sequence */
    _Atomic s24_status status;
} attention_job;

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* scores[0 .. count) = e^(scale * (score - largest)); returns their sum, in one order whatever the
 * vector unit. */
S24M_VECTOR static float exponentials(float *scores, int64_t count, float scale)
{
    enum { LANES = 16 };
    float largest[LANES], sum[LANES] = {0}, top, total = 0;
    int64_t i;
    for (int l = 0; l < LANES; l++)
        largest[l] = scores[0];
    for (i = 0; i + LANES <= count; i += LANES)
        for (int l = 0; l < LANES; l++)
            largest[l] = scores[i + l] > largest[l] ? scores[i + l] : largest[l];
    for (top = largest[0]; i < count; i++)
        top = scores[i] > top ? scores[i] : top;
    for (int l = 0; l < LANES; l++)
        top = largest[l] > top ? largest[l] : top;
    for (i = 0; i + LANES <= count; i += LANES)
        for (int l = 0; l < LANES; l++)
            sum[l] += scores[i + l] = exponential((scores[i + l] - top) * scale);
    for (; i < count; i++)
        total += scores[i] = exponential((scores[i] - top) * scale);
    for (int l = 0; l < LANES; l++)
        total += sum[l];
    return total;
}

/* Rows of a matrix of heads: `count` tokens from `token` on, of one head of `size` among
 * `heads`. */
static s24_mat head_view(const float *data, int64_t token, int64_t count, int64_t heads,
                         int64_t head, int64_t size)
{
    s24_mat view = s24m_mat(data + (token * heads + head) * size, count, size);
    view.row_stride = heads * size;
    return view;
}

/* Queries [first, first + count) of one head against the keys from `low` on that any of them
 * sees. */
static s24_status attend(const attention_job *j, int64_t sequence, int64_t head, int64_t first,
                         int64_t count, float *scores)
{
    const s24m_config *c = &j->model->config;
    int64_t start = sequence * j->length, size = c->head_dim;
    int64_t low = j->window < first + 1 ? first + 1 - j->window : 0, keys = first + count - low;
    int64_t shared = head / (c->heads / c->kv_heads);
    float scale = (float)(1 / sqrt((double)size)), sums[QUERIES];
    s24_mat q = head_view(j->q, start + first, count, c->heads, head, size);
    s24_mat k = head_view(j->k, start + low, keys, c->kv_heads, shared, size);
    s24_mat v = head_view(j->v, start + low, keys, c->kv_heads, shared, size);
    s24_mat out = head_view(j->out, start + first, count, c->heads, head, size);
    s24_mat values = v, p = s24m_mat(scores, count, keys);
    values.rows = v.cols;
    values.cols = v.rows;
    values.row_stride = 1;
    values.col_stride = v.row_stride;
    s24_status status = s24_mat_multiply(j->model->ctx, &q, &k, &p);
    if (status)
        return status;
    for (int64_t i = 0; i < count; i++) {
        float *row = scores + i * keys;
        int64_t end = first + i + 1 - low, begin = most(0, first + i + 1 - j->window - low);
        for (int64_t t = 0; t < begin; t++)
            row[t] = 0;
        sums[i] = exponentials(row + begin, end - begin, scale);
        for (int64_t t = end; t < keys; t++)
            row[t] = 0;
    }
    status = s24_mat_multiply(j->model->ctx, &p, &values, &out);
    for (int64_t i = 0; !status && i < count; i++)
        for (int64_t d = 0; d < size; d++)
            ((float *)out.data)[i * out.row_stride + d] /= sums[i];
    return status;
}

static void attend_tile(void *arg, int64_t tile, int32_t worker)
{
    attention_job *j = arg;
    int64_t heads = j->model->config.heads, first = tile % j->blocks * QUERIES;
    int64_t head = tile / j->blocks % heads, sequence = tile / j->blocks / heads;
    int64_t count = j->length - first < QUERIES ? j->length - first : QUERIES;
    float *scores = malloc((size_t)(count * (first + count)) * sizeof *scores);
    s24_status status =
        scores ? attend(j, sequence, head, first, count, scores) : (s24_status)S24_E_MEMORY;
    (void)worker;
    free(scores);
    if (status)
        atomic_store(&j->status, status);
}

s24_status s24m_attention(s24m_model *model, const s24m_block *block, float *q, float *k,
                          const float *v, int64_t sequences, int64_t length, float *out)
{
    const s24m_config *c = &model->config;
    if (length < 1 || length > c->context)
        return s24m_fail(S24_E_ARG, "sequences of %lld tokens, but the model takes 1 .. %lld",
                         (long long)length, (long long)c->context);
    rotary_job of_q = {model, block->norm[S24M_Q_NORM - S24M_LINEARS], q, c->heads, length};
    rotary_job of_k = {model, block->norm[S24M_K_NORM - S24M_LINEARS], k, c->kv_heads, length};
    attention_job j = {.model = model, .q = q, .k = k, .v = v, .out = out, .length = length};
    j.window = model->windowed[block->layer] ? c->window : INT64_MAX;
    j.blocks = (length + QUERIES - 1) / QUERIES;
    s24_status status = make_tables(model, length);
    if (!status)
        status = s24m_rows(model, rotate_rows, &of_q, sequences * length);
    if (!status)
        status = s24m_rows(model, rotate_rows, &of_k, sequences * length);
    if (!status)
        status = s24m_library(
            s24_ctx_parallel(model->ctx, attend_tile, &j, sequences * c->heads * j.blocks),
            "attention");
    if (!status && j.status)
        status = s24m_fail(j.status, "attention: %s", s24_status_name(j.status));
    return status;
}
