/* The ways back of what stages begin and end with. */
#include "backward.h"
#include "tape.h"
#include <string.h>

static int64_t tokens_of(const s24m_tape *t)
{
    return t->sequences * t->length;
}

s24_status s24m_back_input_norm(s24m_tape *t, const s24m_stage *s, const s24m_trace *at,
                                const float *dx)
{
    const s24m_config *c = &t->model->config;
    int32_t which = s->gain - S24M_ROLES;
    s24m_norm_back b = {.gain = t->block->gain[which],
                        .x = at->h,
                        .dy = dx,
                        .count = tokens_of(t),
                        .size = c->hidden,
                        .eps = c->eps,
                        .dx = t->dy,
                        .dgain = t->to->gain[which]};
    return s24m_back_norm(t->model->ctx, &b);
}

/* Of the norms of the heads of q or k, if there are some, in place. */
static s24_status back_head_norm(s24m_tape *t, int32_t part, const float *raw, int64_t heads,
                                 float *dx)
{
    const s24m_config *c = &t->model->config;
    int64_t which = part - S24M_ROLES, size = tokens_of(t) * heads * c->head_dim;
    s24m_norm_back b = {.gain = t->block->gain[which],
                        .x = raw,
                        .dy = t->spare,
                        .count = tokens_of(t) * heads,
                        .size = c->head_dim,
                        .eps = c->eps,
                        .dx = dx,
                        .dgain = t->to->gain[which]};
    if (!b.gain)
        return S24_OK;
    memcpy(t->spare, dx, (size_t)size * sizeof *dx);
    memset(dx, 0, (size_t)size * sizeof *dx);
    return s24m_back_norm(t->model->ctx, &b);
}

/* From the rotated q or k to what the matrix gave. */
static s24_status back_positions(s24m_tape *t, int32_t part, const float *raw, int64_t heads,
                                 float *dx)
{
    const s24m_config *c = &t->model->config;
    int which = t->model->layer[t->block->layer].rope;
    if (which == S24M_NO_ROPE)
        return back_head_norm(t, part, raw, heads, dx);
    s24m_rotary_back b = {.cosine = t->model->angles[which].cosine,
                          .sine = t->model->angles[which].sine,
                          .tokens = tokens_of(t),
                          .length = t->length,
                          .heads = heads,
                          .size = c->head_dim,
                          .pairs = c->rope[which].size / 2,
                          .interleaved = c->interleaved,
                          .dx = dx};
    s24_status status = s24m_back_rotary(t->model->ctx, &b);
    return status ? status : back_head_norm(t, part, raw, heads, dx);
}

/* The tables of angles are those of the forward pass, which was just there. */
s24_status s24m_back_finish_attention(s24m_tape *t, const s24m_trace *at, const float *dnext,
                                      float *const dout[S24M_ABREAST])
{
    const s24m_config *c = &t->model->config;
    s24m_heads of = {.sequences = t->sequences,
                     .length = t->length,
                     .heads = c->heads,
                     .kv_heads = c->kv_heads,
                     .size = c->head_dim,
                     .scale = c->scale};
    of.window = t->model->layer[t->block->layer].windowed ? c->window : INT64_MAX;
    s24_status status = s24m_back_attention(
        t->model->ctx, &of, (const float *const[]){at->out[0], at->out[1], at->out[2]}, dnext,
        dout);
    if (!status)
        status = back_positions(t, S24M_Q_NORM, at->raw[0], c->heads, dout[0]);
    return status ? status : back_positions(t, S24M_K_NORM, at->raw[1], c->kv_heads, dout[1]);
}

s24_status s24m_back_finish_gate(s24m_tape *t, const s24m_trace *at, const float *dnext,
                                 float *const dout[S24M_ABREAST])
{
    return s24m_back_gate(t->model->ctx, (const float *const[]){at->out[0], at->out[1]}, dnext,
                          tokens_of(t) * t->model->config.ffn, dout);
}
