/* The way back through attention: switches, softmax, rotation, norms of heads. */
#include "backward.h"
#include "exponential.h"
#include "family.h"
#include "tape.h"
#include <stdlib.h>
#include <string.h>

/* ---- Heads side by side ---- */

static void copy_heads(const s24m_tape *t, const heads *of, float *plain, bool back)
{
    int64_t size = t->model->config.head_dim;
    for (int64_t token = 0; token < s24m_tape_tokens(t); token++)
        for (int64_t n = 0; n < of->count; n++) {
            float *at = head_at(of, token, n), *side = plain + (token * of->count + n) * size;
            memcpy(back ? at : side, back ? side : at, (size_t)size * sizeof *at);
        }
}

void s24m_keep_heads(const s24m_tape *t, const s24m_trace *at)
{
    heads q, k, v;
    s24m_find_heads(t->model, at->out, &q, &k, &v);
    copy_heads(t, &q, at->raw[0], false);
    copy_heads(t, &k, at->raw[1], false);
}

/* ---- Rotation and norms of q or k ---- */

/* One of them: its heads, and what is done to them. */
typedef struct turning {
    int32_t part; /* its norm */
    int64_t heads;
    const float *raw; /* before norm and rotation; NULL: there are no norms */
    float *dx;        /* its gradient, in place */
    bool stretches;
} turning;

static s24_status rotate(const s24m_tape *t, const turning *of, bool forth, float *x)
{
    const s24m_config *c = &t->model->config;
    int which = t->model->layer[t->block->layer].rope;
    if (which == S24M_NO_ROPE)
        return S24_OK;
    s24m_rotary_back b = {.cosine = t->model->angles[which].cosine,
                          .sine = t->model->angles[which].sine,
                          .tokens = s24m_tape_tokens(t),
                          .length = t->length,
                          .heads = of->heads,
                          .size = c->head_dim,
                          .pairs = c->rope[which].size / 2,
                          .interleaved = c->interleaved,
                          .dx = x,
                          .forth = forth};
    int64_t width = of->heads * c->head_dim;
    for (int64_t i = 0; of->stretches && c->rope[which].beta > 0 && i < b.tokens; i++) {
        float by = s24m_stretch(&c->rope[which], i % t->length);
        for (int64_t k = 0; k < width; k++)
            x[i * width + k] *= by;
    }
    return s24m_back_rotary(t->model->ctx, &b);
}

/* Norms behind the rotation see what was turned. */
static s24_status back_head_norm(s24m_tape *t, const turning *of, bool late)
{
    const s24m_config *c = &t->model->config;
    s24m_head_norms kind = t->model->family->head_norms;
    int32_t which = of->part - S24M_ROLES;
    int64_t width = of->heads * c->head_dim, size = kind == S24M_WIDE_NORMS ? width : c->head_dim;
    size_t bytes = (size_t)(s24m_tape_tokens(t) * width) * sizeof *of->dx;
    s24_status status = S24_OK;
    s24m_norm_back b = {.gain = t->block->gain[which],
                        .gains = kind == S24M_OWN_NORMS ? of->heads : 0,
                        .x = late ? t->spare[1] : of->raw,
                        .dy = t->spare[0],
                        .count = s24m_tape_tokens(t) * width / size,
                        .size = size,
                        .eps = c->eps,
                        .dx = of->dx,
                        .dgain = t->to->gain[which],
                        .centred = t->model->family->norm == S24M_LAYER};
    if (!b.gain || !of->raw)
        return S24_OK;
    if (late) {
        memcpy(t->spare[1], of->raw, bytes);
        status = rotate(t, of, true, t->spare[1]);
    }
    memcpy(t->spare[0], of->dx, bytes);
    memset(of->dx, 0, bytes);
    return status ? status : s24m_back_norm(t->model->ctx, &b);
}

static s24_status back_positions(s24m_tape *t, const turning *of)
{
    const s24m_family *f = t->model->family;
    bool late = f->norms_after_rotation && f->head_norms != S24M_WIDE_NORMS;
    s24_status status = late ? back_head_norm(t, of, true) : S24_OK;
    if (!status)
        status = rotate(t, of, false, of->dx);
    return status || late ? status : back_head_norm(t, of, false);
}

/* ---- Switches ---- */

/* Of x = o / (1 + e^-z), z behind each head of q: do = dx / (1 + e^-z), dz = dx x (1 - 1 / (1 +
 * e^-z)). */
static void back_switch(const s24m_tape *t, const heads *q, const heads *dq, const float *x,
                        const float *dx, float *out)
{
    int64_t size = t->model->config.head_dim;
    for (int64_t token = 0; token < s24m_tape_tokens(t); token++)
        for (int64_t n = 0; n < q->count; n++) {
            const float *z = head_at(q, token, n) + size;
            float *dz = head_at(dq, token, n) + size;
            int64_t at = (token * q->count + n) * size;
            for (int64_t i = 0; i < size; i++) {
                float s = 1.0f / (1.0f + exponential(-z[i]));
                out[at + i] = dx[at + i] * s;
                dz[i] = dx[at + i] * x[at + i] * (1 - s);
            }
        }
}

/* ---- All of it ---- */

static float *rises_of(const s24m_tape *t)
{
    int64_t count = t->model->config.heads, length = t->length;
    float *table = s24m_have(malloc((size_t)(count * length) * sizeof *table));
    double *row = s24m_have(malloc((size_t)length * sizeof *row));
    for (int64_t n = 0; table && row && n < count; n++) {
        s24m_rises(t->model, n, 0, length, row);
        for (int64_t i = 0; i < length; i++)
            table[n * length + i] = (float)row[i];
    }
    if (!row) {
        free(table);
        table = NULL;
    }
    free(row);
    return table;
}

/* Softmax attention of heads side by side. */
static s24_status back_softmax(s24m_tape *t, const float *const qkv[3], const float *dout,
                               float *const dqkv[3])
{
    const s24m_config *c = &t->model->config;
    s24m_heads of = {.sequences = t->sequences,
                     .length = t->length,
                     .heads = c->heads,
                     .kv_heads = c->kv_heads,
                     .size = c->head_dim,
                     .scale = c->scale,
                     .all = t->model->family->encoder,
                     .soft_cap = c->soft_cap,
                     .sinks = t->block->gain[S24M_SINKS - S24M_ROLES]};
    of.window = t->model->layer[t->block->layer].windowed ? c->window : INT64_MAX;
    float *rises = t->model->family->alibi ? rises_of(t) : NULL;
    of.rises = rises;
    s24_status status = t->model->family->alibi && !rises
                            ? (s24_status)S24_E_MEMORY
                            : s24m_back_attention(t->model->ctx, &of, qkv, dout, dqkv);
    free(rises);
    return status;
}

/* The tables of angles are those of the forward pass, which was just there. */
s24_status s24m_back_finish_attention(s24m_tape *t, const s24m_trace *at, const float *x,
                                      const float *dnext, float *const dout[S24M_ABREAST])
{
    const s24m_config *c = &t->model->config;
    heads of[3], to[3];
    bool mixed = c->qkv != S24M_SEPARATE;
    float *qkv[3], *dqkv[3];
    s24m_find_heads(t->model, at->out, of, of + 1, of + 2);
    s24m_find_heads(t->model, dout, to, to + 1, to + 2);
    for (int i = 0; i < 3; i++) {
        qkv[i] = mixed ? t->heads[0][i] : at->out[i];
        dqkv[i] = mixed ? t->heads[1][i] : dout[i];
        if (mixed)
            copy_heads(t, of + i, qkv[i], false);
    }
    if (c->qkv == S24M_SWITCHED) {
        back_switch(t, of, to, x, dnext, t->spare[0]);
        dnext = t->spare[0];
    }
    s24_status status =
        back_softmax(t, (const float *const[]){qkv[0], qkv[1], qkv[2]}, dnext, dqkv);
    turning q = {S24M_Q_NORM, c->heads, at->raw[0], dqkv[0], true};
    turning k = {S24M_K_NORM, c->kv_heads, at->raw[1], dqkv[1], false};
    if (!status)
        status = back_positions(t, &q);
    if (!status)
        status = back_positions(t, &k);
    for (int i = 0; mixed && i < 3; i++)
        copy_heads(t, to + i, dqkv[i], true);
    return status;
}
