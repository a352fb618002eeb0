#include "exponential.h"
#include "tensors.h"
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* ---- Loops over rows ---- */

enum { ROWS = 16 };

typedef struct row_loop {
    s24m_rows_fn rows;
    void *arg;
    int64_t count;
} row_loop;

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void run_rows(void *arg, int64_t tile, int32_t worker)
{
    const row_loop *loop = arg;
    (void)worker;
    loop->rows(loop->arg, tile * ROWS, least((tile + 1) * ROWS, loop->count));
}

s24_status s24m_rows(const s24m_model *model, s24m_rows_fn rows, void *arg, int64_t count)
{
    row_loop loop = {rows, arg, count};
    return s24m_library(s24_ctx_parallel(model->ctx, run_rows, &loop, (count + ROWS - 1) / ROWS),
                        "forward pass");
}

/* ---- Norm ---- */

/* Eight partial sums, so that this is vector code with one order of summation. */
S24M_VECTOR static double sum_of_squares(const float *h, int64_t size)
{
    enum { LANES = 8 };
    double lane[LANES] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + LANES <= size; i += LANES)
        for (int l = 0; l < LANES; l++)
            lane[l] += (double)h[i + l] * h[i + l];
    for (; i < size; i++)
        sum += (double)h[i] * h[i];
    for (int l = 0; l < LANES; l++)
        sum += lane[l];
    return sum;
}

void s24m_norm_row(const float *gain, double eps, const float *h, int64_t size, float *x)
{
    float scale = (float)(1 / sqrt(sum_of_squares(h, size) / (double)size + eps));
    for (int64_t i = 0; i < size; i++)
        x[i] = h[i] * scale * gain[i];
}

typedef struct norm_job {
    const float *gain, *h;
    float *x;
    int64_t size;
    double eps;
} norm_job;

static void norm_rows(void *arg, int64_t first, int64_t last)
{
    const norm_job *j = arg;
    for (int64_t r = first; r < last; r++)
        s24m_norm_row(j->gain, j->eps, j->h + r * j->size, j->size, j->x + r * j->size);
}

s24_status s24m_norm(const s24m_model *model, const float *gain, const float *h, int64_t count,
                     float *x)
{
    norm_job j = {gain, h, x, model->config.hidden, model->config.eps};
    return s24m_rows(model, norm_rows, &j, count);
}

/* ---- Linear layers ---- */

typedef struct sum_job {
    const float *y; /* one row, or as many as h */
    float *h;
    int64_t size, stride;
} sum_job;

static void add_rows(void *arg, int64_t first, int64_t last)
{
    const sum_job *j = arg;
    for (int64_t r = first; r < last; r++)
        for (int64_t i = 0; i < j->size; i++)
            j->h[r * j->size + i] += j->y[r * j->stride + i];
}

s24_status s24m_project(const s24m_model *model, const s24m_block *block, int32_t which,
                        const float *x, int64_t count, float *y)
{
    const s24m_linear *linear = &block->linear[which];
    int64_t outputs = linear->weights.rows;
    s24_mat in = s24m_mat(x, count, linear->weights.cols), out = s24m_mat(y, count, outputs);
    sum_job j = {linear->bias, y, outputs, 0};
    s24_status status =
        s24m_library(s24_mat_multiply(model->ctx, &in, &linear->weights, &out), linear->name);
    return status || !linear->bias ? status : s24m_rows(model, add_rows, &j, count);
}

s24_status s24m_add(const s24m_model *model, const float *y, int64_t count, float *h)
{
    sum_job j = {y, h, model->config.hidden, model->config.hidden};
    return s24m_rows(model, add_rows, &j, count);
}

typedef struct gate_job {
    const float *gate, *up;
    float *x;
    int64_t size;
} gate_job;

S24M_VECTOR static void gate_row(const float *gate, const float *up, int64_t size, float *x)
{
    for (int64_t i = 0; i < size; i++)
        x[i] = gate[i] / (1.0f + exponential(-gate[i])) * up[i];
}

static void gate_rows(void *arg, int64_t first, int64_t last)
{
    const gate_job *j = arg;
    for (int64_t r = first * j->size; r < last * j->size; r += j->size)
        gate_row(j->gate + r, j->up + r, j->size, j->x + r);
}

s24_status s24m_gate(const s24m_model *model, const float *gate, const float *up, int64_t count,
                     float *x)
{
    gate_job j = {gate, up, x, model->config.ffn};
    return s24m_rows(model, gate_rows, &j, count);
}

/* ---- One block ---- */

int64_t s24m_chunk(int64_t length)
{
    enum { TOKENS = 4096 };
    return length < TOKENS ? TOKENS / length : 1;
}

/* One chunk; q, k, v, x and o share the workspace with gate and up, which come after them. */
static s24_status forward_chunk(s24m_model *model, const s24m_block *block, float *h,
                                int64_t sequences, int64_t length, float *work)
{
    const s24m_config *c = &model->config;
    int64_t tokens = sequences * length, q_size = c->heads * c->head_dim;
    float *y = work, *x = y + tokens * c->hidden;
    float *o = x + tokens * c->hidden, *q = o + tokens * q_size, *k = q + tokens * q_size;
    float *v = k + tokens * c->kv_heads * c->head_dim;
    float *gate = o, *up = gate + tokens * c->ffn;
    s24_status status = s24m_norm(model, block->attention_norm, h, tokens, x);
    if (!status)
        status = s24m_project(model, block, S24M_Q, x, tokens, q);
    if (!status)
        status = s24m_project(model, block, S24M_K, x, tokens, k);
    if (!status)
        status = s24m_project(model, block, S24M_V, x, tokens, v);
    if (!status)
        status = s24m_attention(model, block, q, k, v, sequences, length, o);
    if (!status)
        status = s24m_project(model, block, S24M_O, o, tokens, y);
    if (!status)
        status = s24m_add(model, y, tokens, h);
    if (!status)
        status = s24m_norm(model, block->mlp_norm, h, tokens, x);
    if (!status)
        status = s24m_project(model, block, S24M_GATE, x, tokens, gate);
    if (!status)
        status = s24m_project(model, block, S24M_UP, x, tokens, up);
    if (!status)
        status = s24m_gate(model, gate, up, tokens, up);
    if (!status)
        status = s24m_project(model, block, S24M_DOWN, up, tokens, y);
    return status ? status : s24m_add(model, y, tokens, h);
}

s24_status s24m_forward_block(s24m_model *model, const s24m_block *block, float *h,
                              int64_t sequences, int64_t length)
{
    const s24m_config *c = &model->config;
    int64_t chunk = least(s24m_chunk(length), sequences);
    int64_t attention = 2 * (c->heads + c->kv_heads) * c->head_dim, mlp = 2 * c->ffn;
    int64_t each = 2 * c->hidden + (attention > mlp ? attention : mlp);
    float *work = s24m_floats(chunk * length * each);
    s24_status status = work ? S24_OK : S24_E_MEMORY;
    for (int64_t s = 0; !status && s < sequences; s += chunk)
        status = forward_chunk(model, block, h + s * length * c->hidden,
                               least(chunk, sequences - s), length, work);
    free(work);
    return status;
}

void s24m_flops(const s24m_model *model, int64_t sequences, int64_t length, double *block,
                double *head)
{
    const s24m_config *c = &model->config;
    double tokens = (double)(sequences * length), weights = 0, pairs = 0;
    for (int32_t i = 0; i < S24M_LINEARS; i++) {
        int64_t outputs, inputs;
        s24m_shape(model, i, &outputs, &inputs);
        weights += (double)(outputs * inputs);
    }
    pairs = (double)length * (double)(length + 1) / 2 * (double)sequences;
    *block = 2 * tokens * weights + 4 * pairs * (double)(c->heads * c->head_dim);
    *head = 2 * (tokens - (double)sequences) * (double)c->vocab * (double)c->hidden;
}
