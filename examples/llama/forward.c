#include "exponential.h"
#include "model.h"
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* ---- Loops over rows ---- */

enum { ROWS = 16 };

typedef struct row_loop {
    llama_rows_fn rows;
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

s24_status llama_rows(const llama_model *model, llama_rows_fn rows, void *arg, int64_t count)
{
    row_loop loop = {rows, arg, count};
    return llama_library(s24_ctx_parallel(model->ctx, run_rows, &loop, (count + ROWS - 1) / ROWS),
                         "forward pass");
}

/* ---- Norm ---- */

/* Eight partial sums, so that this is vector code with one order of summation. */
LLAMA_VECTOR static double sum_of_squares(const float *h, int64_t size)
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

void llama_norm_row(const float *gain, double eps, const float *h, int64_t size, float *x)
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
        llama_norm_row(j->gain, j->eps, j->h + r * j->size, j->size, j->x + r * j->size);
}

s24_status llama_norm(const llama_model *model, const float *gain, const float *h, int64_t count,
                      float *x)
{
    norm_job j = {gain, h, x, model->config.hidden, model->config.eps};
    return llama_rows(model, norm_rows, &j, count);
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

s24_status llama_project(const llama_model *model, const llama_block *block, int32_t which,
                         const float *x, int64_t count, float *y)
{
    const llama_linear *linear = &block->linear[which];
    int64_t outputs = linear->weights.rows;
    s24_mat in = llama_mat(x, count, linear->weights.cols), out = llama_mat(y, count, outputs);
    sum_job j = {linear->bias, y, outputs, 0};
    s24_status status =
        llama_library(s24_mat_multiply(model->ctx, &in, &linear->weights, &out), linear->name);
    return status || !linear->bias ? status : llama_rows(model, add_rows, &j, count);
}

s24_status llama_add(const llama_model *model, const float *y, int64_t count, float *h)
{
    sum_job j = {y, h, model->config.hidden, model->config.hidden};
    return llama_rows(model, add_rows, &j, count);
}

typedef struct gate_job {
    const float *gate, *up;
    float *x;
    int64_t size;
} gate_job;

LLAMA_VECTOR static void gate_row(const float *gate, const float *up, int64_t size, float *x)
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

s24_status llama_gate(const llama_model *model, const float *gate, const float *up, int64_t count,
                      float *x)
{
    gate_job j = {gate, up, x, model->config.ffn};
    return llama_rows(model, gate_rows, &j, count);
}

/* ---- One block ---- */

int64_t llama_chunk(int64_t length)
{
    enum { TOKENS = 4096 };
    return length < TOKENS ? TOKENS / length : 1;
}

/* One chunk; q, k, v, x and o share the workspace with gate and up, which come after them. */
static s24_status forward_chunk(llama_model *model, const llama_block *block, float *h,
                                int64_t sequences, int64_t length, float *work)
{
    const llama_config *c = &model->config;
    int64_t tokens = sequences * length, q_size = c->heads * c->head_dim;
    float *y = work, *x = y + tokens * c->hidden;
    float *o = x + tokens * c->hidden, *q = o + tokens * q_size, *k = q + tokens * q_size;
    float *v = k + tokens * c->kv_heads * c->head_dim;
    float *gate = o, *up = gate + tokens * c->ffn;
    s24_status status = llama_norm(model, block->attention_norm, h, tokens, x);
    if (!status)
        status = llama_project(model, block, LLAMA_Q, x, tokens, q);
    if (!status)
        status = llama_project(model, block, LLAMA_K, x, tokens, k);
    if (!status)
        status = llama_project(model, block, LLAMA_V, x, tokens, v);
    if (!status)
        status = llama_attention(model, block, q, k, v, sequences, length, o);
    if (!status)
        status = llama_project(model, block, LLAMA_O, o, tokens, y);
    if (!status)
        status = llama_add(model, y, tokens, h);
    if (!status)
        status = llama_norm(model, block->mlp_norm, h, tokens, x);
    if (!status)
        status = llama_project(model, block, LLAMA_GATE, x, tokens, gate);
    if (!status)
        status = llama_project(model, block, LLAMA_UP, x, tokens, up);
    if (!status)
        status = llama_gate(model, gate, up, tokens, up);
    if (!status)
        status = llama_project(model, block, LLAMA_DOWN, up, tokens, y);
    return status ? status : llama_add(model, y, tokens, h);
}

s24_status llama_forward_block(llama_model *model, const llama_block *block, float *h,
                               int64_t sequences, int64_t length)
{
    const llama_config *c = &model->config;
    int64_t chunk = least(llama_chunk(length), sequences);
    int64_t attention = 2 * (c->heads + c->kv_heads) * c->head_dim, mlp = 2 * c->ffn;
    int64_t each = 2 * c->hidden + (attention > mlp ? attention : mlp);
    float *work = llama_floats(chunk * length * each);
    s24_status status = work ? S24_OK : S24_E_MEMORY;
    for (int64_t s = 0; !status && s < sequences; s += chunk)
        status = forward_chunk(model, block, h + s * length * c->hidden,
                               least(chunk, sequences - s), length, work);
    free(work);
    return status;
}

void llama_flops(const llama_model *model, int64_t sequences, int64_t length, double *block,
                 double *head)
{
    const llama_config *c = &model->config;
    double tokens = (double)(sequences * length), weights = 0, pairs = 0;
    for (int32_t i = 0; i < LLAMA_LINEARS; i++) {
        int64_t outputs, inputs;
        llama_shape(model, i, &outputs, &inputs);
        weights += (double)(outputs * inputs);
    }
    pairs = (double)length * (double)(length + 1) / 2 * (double)sequences;
    *block = 2 * tokens * weights + 4 * pairs * (double)(c->heads * c->head_dim);
    *head = 2 * (tokens - (double)sequences) * (double)c->vocab * (double)c->hidden;
}
