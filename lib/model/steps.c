/* Norms, products, gates, sums: what all architectures do between attention and experts. */
#include "steps.h"
#include "family.h"
#include "tensors.h"
#include "exponential.h"
#include <math.h>
#include <string.h>

/* ---- Norms ---- */

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

S24M_VECTOR static double sum_of(const float *h, int64_t size)
{
    enum { LANES = 8 };
    double lane[LANES] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + LANES <= size; i += LANES)
        for (int l = 0; l < LANES; l++)
            lane[l] += h[i + l];
    for (; i < size; i++)
        sum += h[i];
    for (int l = 0; l < LANES; l++)
        sum += lane[l];
    return sum;
}

void s24m_norm_row(s24m_norm_kind kind, const float *gain, const float *shift, double eps,
                   const float *h, int64_t size, float *x)
{
    if (kind == S24M_LAYER) {
        double mean = sum_of(h, size) / (double)size;
        for (int64_t i = 0; i < size; i++)
            x[i] = (float)(h[i] - mean);
        h = x;
    }
    float scale = (float)(1 / sqrt(sum_of_squares(h, size) / (double)size + eps));
    for (int64_t i = 0; i < size; i++)
        x[i] = h[i] * scale * (gain ? gain[i] : 1);
    for (int64_t i = 0; shift && i < size; i++)
        x[i] += shift[i];
}

typedef struct norm_job {
    s24m_norm_kind kind;
    const float *gain, *shift, *h;
    float *x;
    int64_t size;
    double eps;
} norm_job;

static void norm_rows(void *arg, int64_t first, int64_t last)
{
    const norm_job *j = arg;
    for (int64_t r = first; r < last; r++)
        s24m_norm_row(j->kind, j->gain, j->shift, j->eps, j->h + r * j->size, j->size,
                      j->x + r * j->size);
}

s24_status s24m_norm(const s24m_model *model, const float *gain, const float *shift, const float *h,
                     int64_t count, int64_t size, float *x)
{
    norm_job j = {model->family->norm, gain, shift, h, x, size, model->config.eps};
    return s24m_rows(model, norm_rows, &j, count);
}

/* The norm of this part of the block. */
static s24_status norm_with(const s24m_stream *c, int32_t part, const float *h, float *x)
{
    int32_t i = part - S24M_ROLES;
    return s24m_norm(c->model, c->block->gain[i], c->block->shift[i], h, c->sequences * c->length,
                     c->model->config.hidden, x);
}

s24_status s24m_step_norm(const s24m_stream *c, const s24m_stage *s, float *x)
{
    size_t size = (size_t)(c->sequences * c->length * c->model->config.hidden);
    if (s->gain != S24M_NO_PART)
        return norm_with(c, s->gain, c->h, x);
    memcpy(x, c->h, size * sizeof *x);
    return S24_OK;
}

/* ---- Products and sums ---- */

typedef struct sum_job {
    const float *y; /* one row, or as many as h */
    float *h;
    int64_t size, stride;
    float scale;
} sum_job;

static void add_rows(void *arg, int64_t first, int64_t last)
{
    const sum_job *j = arg;
    for (int64_t r = first; r < last; r++)
        for (int64_t i = 0; i < j->size; i++)
            j->h[r * j->size + i] += j->y[r * j->stride + i] * j->scale;
}

s24_status s24m_project(const s24m_model *model, const s24m_linear *linear, const float *x,
                        int64_t count, float *y)
{
    int64_t outputs = linear->weights.rows;
    s24_mat in = s24m_mat(x, count, linear->weights.cols), out = s24m_mat(y, count, outputs);
    sum_job j = {linear->bias, y, outputs, 0, 1};
    s24_status status = linear->product ? s24_product_run(linear->product, &in, &out)
                                        : s24_mat_multiply(model->ctx, &in, &linear->weights, &out);
    status = s24m_library(status, linear->name);
    return status || !linear->bias ? status : s24m_rows(model, add_rows, &j, count);
}

s24_status s24m_step_add(const s24m_stream *c, const s24m_stage *s, float *next)
{
    const s24m_config *f = &c->model->config;
    int64_t count = c->sequences * c->length;
    float *y = c->out[0];
    s24_status status = S24_OK;
    (void)next;
    if (s->after != S24M_NO_PART)
        status = norm_with(c, s->after, y, y);
    if (s->ending == S24M_SETS_ASIDE) {
        memcpy(c->aside, y, (size_t)(count * f->hidden) * sizeof *y);
        return status;
    }
    sum_job j = {y, c->h, f->hidden, f->hidden, (float)f->residual_scale};
    if (!status)
        status = s24m_rows(c->model, add_rows, &j, count);
    j.y = c->aside;
    if (!status && f->parallel)
        status = s24m_rows(c->model, add_rows, &j, count);
    return status || s->over == S24M_NO_PART ? status : norm_with(c, s->over, c->h, c->h);
}

/* ---- Gates ---- */

/* x * sigmoid(z). */
static inline float switched(float x, float z)
{
    return x / (1.0f + exponential(-z));
}

S24M_VECTOR static void silu(const float *g, int64_t count, float *x)
{
    for (int64_t i = 0; i < count; i++)
        x[i] = switched(g[i], g[i]);
}

/* x (1 + tanh z) / 2 = x sigmoid(2 z), z = sqrt(2 / pi) (x + 0.044715 x^3). */
S24M_VECTOR static void gelu_tanh(const float *g, int64_t count, float *x)
{
    for (int64_t i = 0; i < count; i++)
        x[i] = switched(g[i], 1.5957691216f * (g[i] + 0.044715f * g[i] * g[i] * g[i]));
}

static void gelu(const float *g, int64_t count, float *x)
{
    for (int64_t i = 0; i < count; i++)
        x[i] = 0.5f * g[i] * (1.0f + erff(g[i] * 0.70710678f));
}

static void relu(const float *g, int64_t count, bool squared, float *x)
{
    for (int64_t i = 0; i < count; i++) {
        float y = g[i] > 0 ? g[i] : 0;
        x[i] = squared ? y * y : y;
    }
}

/* The product in one loop with it: the four first families keep their bits. */
S24M_VECTOR static void silu_gate(const float *gate, const float *up, int64_t size, float *x)
{
    for (int64_t i = 0; i < size; i++)
        x[i] = switched(gate[i], gate[i]) * up[i];
}

void s24m_activate(s24m_activation kind, const float *g, const float *u, int64_t count, float *x)
{
    enum { PIECE = 256 };
    float piece[PIECE];
    if (kind == S24M_SILU && u) {
        silu_gate(g, u, count, x);
        return;
    }
    for (int64_t first = 0, size; first < count; first += size) {
        size = count - first < PIECE ? count - first : PIECE;
        if (kind == S24M_SILU)
            silu(g + first, size, piece);
        else if (kind == S24M_GELU_TANH)
            gelu_tanh(g + first, size, piece);
        else if (kind == S24M_GELU)
            gelu(g + first, size, piece);
        else
            relu(g + first, size, kind == S24M_RELU2, piece);
        for (int64_t i = 0; i < size; i++)
            x[first + i] = u ? piece[i] * u[first + i] : piece[i];
    }
}

typedef struct gate_job {
    const float *gate, *up; /* up NULL: none */
    float *x;
    int64_t size, stride;
    s24m_activation activation;
} gate_job;

static void gate_rows(void *arg, int64_t first, int64_t last)
{
    const gate_job *j = arg;
    for (int64_t r = first; r < last; r++)
        s24m_activate(j->activation, j->gate + r * j->stride, j->up ? j->up + r * j->stride : NULL,
                      j->size, j->x + r * j->size);
}

s24_status s24m_step_gate(const s24m_stream *c, const s24m_stage *s, float *next)
{
    int64_t ffn = c->model->config.ffn;
    s24m_mlp mlp = c->model->family->mlp;
    gate_job j = {.gate = c->out[0], .x = next, .size = ffn, .stride = ffn};
    (void)s;
    j.activation = c->model->config.activation;
    if (mlp == S24M_GATED)
        j.up = c->out[1];
    if (mlp == S24M_FUSED_GATE) {
        j.stride = 2 * ffn;
        j.up = j.gate + ffn;
    }
    return s24m_rows(c->model, gate_rows, &j, c->sequences * c->length);
}
