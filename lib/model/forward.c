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
