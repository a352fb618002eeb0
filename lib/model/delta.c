/* The gated delta rule of Qwen3.5: a causal convolution of what q, k and v gave, then a state a
 * head, (key_size, value_size), that forgets, corrects and answers token by token. */
#include "exponential.h"
#include "family.h"
#include "steps.h"
#include "tensors.h"
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

typedef struct delta_job {
    const s24m_stream *c;
    const float *qkv, *z, *beta, *alpha;
    float *out;
    _Atomic s24_status status;
} delta_job;

static float silu(double x)
{
    return (float)(x / (1 + exp(-x)));
}

/* Channels [first, first + count) of a token behind the convolution over it and those before. */
static void convolve(const delta_job *j, int64_t token, int64_t first, int64_t count, double *x)
{
    const s24m_delta *d = &j->c->model->config.delta;
    int64_t width = 2 * d->key_heads * d->key_size + d->value_heads * d->value_size;
    const float *kernel = j->c->block->gain[S24M_CONVOLUTION - S24M_ROLES];
    int64_t before = token % j->c->length;
    for (int64_t i = 0; i < count; i++) {
        double sum = 0;
        for (int64_t k = 0; k < d->kernel; k++) {
            int64_t back = d->kernel - 1 - k;
            if (back <= before)
                sum += (double)kernel[(first + i) * d->kernel + k] *
                       j->qkv[(token - back) * width + first + i];
        }
        x[i] = silu(sum);
    }
}

static void make_unit(double *x, int64_t size, double scale)
{
    double sum = 0;
    for (int64_t i = 0; i < size; i++)
        sum += x[i] * x[i];
    for (int64_t i = 0; i < size; i++)
        x[i] *= scale / sqrt(sum + 1e-6);
}

static double softplus(double x)
{
    return x > 30 ? x : log1p(exp(x));
}

/* What a head works in. */
typedef struct head_room {
    double *state, *q, *k, *v, *error, *out;
} head_room;

/* state = decay state + k beta (v - k^T decay state); out = q^T state. */
static void step_state(const s24m_delta *d, const head_room *r, double decay, double beta)
{
    int64_t keys = d->key_size, values = d->value_size;
    double *state = r->state, *error = r->error, *out = r->out;
    const double *q = r->q, *k = r->k, *v = r->v;
    for (int64_t i = 0; i < values; i++)
        error[i] = out[i] = 0;
    for (int64_t a = 0; a < keys; a++)
        for (int64_t i = 0; i < values; i++) {
            state[a * values + i] *= decay;
            error[i] += k[a] * state[a * values + i];
        }
    for (int64_t i = 0; i < values; i++)
        error[i] = beta * (v[i] - error[i]);
    for (int64_t a = 0; a < keys; a++)
        for (int64_t i = 0; i < values; i++) {
            state[a * values + i] += k[a] * error[i];
            out[i] += q[a] * state[a * values + i];
        }
}

/* The norm of a head's output, switched by z. */
static void put_out(const delta_job *j, int64_t token, int64_t head, const double *out)
{
    const s24m_config *c = &j->c->model->config;
    const s24m_delta *d = &c->delta;
    int64_t size = d->value_size, at = (token * d->value_heads + head) * size;
    const float *gain = j->c->block->gain[S24M_DELTA_NORM - S24M_ROLES];
    double sum = 0;
    for (int64_t i = 0; i < size; i++)
        sum += out[i] * out[i];
    double scale = 1 / sqrt(sum / (double)size + c->eps);
    for (int64_t i = 0; i < size; i++)
        j->out[at + i] = (float)(out[i] * scale * gain[i]) * silu(j->z[at + i]);
}

static void run_head(const delta_job *j, int64_t sequence, int64_t head, double *room)
{
    const s24m_stream *c = j->c;
    const s24m_delta *d = &c->model->config.delta;
    int64_t keys = d->key_size, values = d->value_size;
    int64_t from = head / (d->value_heads / d->key_heads) * keys, all = d->key_heads * keys;
    head_room x = {.state = room, .q = room + keys * values};
    x.k = x.q + keys;
    x.v = x.k + keys;
    x.error = x.v + values;
    x.out = x.error + values;
    double rate = exp((double)c->block->gain[S24M_DECAY - S24M_ROLES][head]);
    double step = c->block->gain[S24M_STEP - S24M_ROLES][head];
    for (int64_t i = 0; i < keys * values; i++)
        x.state[i] = 0;
    for (int64_t t = sequence * c->length; t < (sequence + 1) * c->length; t++) {
        int64_t at = t * d->value_heads + head;
        convolve(j, t, from, keys, x.q);
        convolve(j, t, all + from, keys, x.k);
        convolve(j, t, 2 * all + head * values, values, x.v);
        make_unit(x.q, keys, 1 / sqrt((double)keys));
        make_unit(x.k, keys, 1);
        double decay = exp(-rate * softplus(j->alpha[at] + step));
        step_state(d, &x, decay, 1 / (1 + exp(-(double)j->beta[at])));
        put_out(j, t, head, x.out);
    }
}

static void run_tile(void *arg, int64_t tile, int32_t worker)
{
    delta_job *j = arg;
    const s24m_delta *d = &j->c->model->config.delta;
    int64_t size = d->key_size * d->value_size + 2 * d->key_size + 3 * d->value_size;
    double *room = malloc((size_t)size * sizeof *room);
    (void)worker;
    if (room)
        run_head(j, tile / d->value_heads, tile % d->value_heads, room);
    else
        atomic_store(&j->status, S24_E_MEMORY);
    free(room);
}

s24_status s24m_step_delta(const s24m_stream *c, const s24m_stage *s, float *next)
{
    const s24m_config *f = &c->model->config;
    delta_job j = {.c = c,
                   .qkv = c->out[0],
                   .z = c->out[1],
                   .beta = c->out[2],
                   .alpha = c->out[3],
                   .out = next};
    (void)s;
    if (c->length < 1 || c->length > f->context)
        return s24m_fail(S24_E_ARG, "sequences of %lld tokens, but the model takes 1 .. %lld",
                         (long long)c->length, (long long)f->context);
    s24_status status = s24m_library(
        s24_ctx_parallel(c->model->ctx, run_tile, &j, c->sequences * f->delta.value_heads),
        "delta rule");
    return status || !j.status ? status : s24m_fail(j.status, "out of memory");
}

double s24m_flops_delta(const s24m_model *model, const s24m_program *p, const s24m_stage *s,
                        int64_t sequences, int64_t length)
{
    const s24m_delta *d = &model->config.delta;
    double states = (double)d->value_heads * (double)(d->key_size * d->value_size);
    return s24m_flops_products(model, p, s, sequences, length) +
           8 * states * (double)(sequences * length);
}
