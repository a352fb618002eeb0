/* The ways back of what stages begin and end with. */
#include "backward.h"
#include "family.h"
#include "tape.h"
#include <string.h>

int64_t s24m_tape_tokens(const s24m_tape *t)
{
    return t->sequences * t->length;
}

s24_status s24m_back_matrix(s24m_tape *t, int32_t which, const float *x, const float *dy,
                            int64_t count, float *dx)
{
    const s24m_linear *linear = t->block->linear + which;
    const s24_mat *w = &linear->weights;
    s24m_linear_back b = {.weights = s24m_array_of(w->data, w->rows, w->cols),
                          .x = x,
                          .dy = dy,
                          .count = count,
                          .dx = dx,
                          .gradient = t->to->weights[which],
                          .bias = linear->bias ? t->to->bias[which] : NULL};
    return s24m_back_linear(t->model->ctx, &b);
}

/* ---- Norms ---- */

/* Of one of the norms over all of h: dx is added to. */
static s24_status back_norm(s24m_tape *t, int32_t part, const float *x, const float *dy, float *dx)
{
    const s24m_config *c = &t->model->config;
    int32_t which = part - S24M_ROLES;
    bool gain = t->block->gain[which], shift = t->block->shift[which];
    s24m_norm_back b = {.gain = t->block->gain[which],
                        .x = x,
                        .dy = dy,
                        .count = s24m_tape_tokens(t),
                        .size = c->hidden,
                        .eps = c->eps,
                        .dx = dx,
                        .dgain = gain ? t->to->gain[which] : NULL,
                        .dshift = shift ? t->to->shift[which] : NULL,
                        .centred = t->model->family->norm == S24M_LAYER};
    return s24m_back_norm(t->model->ctx, &b);
}

s24_status s24m_back_input_norm(s24m_tape *t, const s24m_stage *s, const s24m_trace *at,
                                const float *dx)
{
    int64_t size = s24m_tape_tokens(t) * t->model->config.hidden;
    if (s->gain != S24M_NO_PART)
        return back_norm(t, s->gain, at->h, dx, t->dy);
    for (int64_t i = 0; i < size; i++)
        t->dy[i] += dx[i];
    return S24_OK;
}

/* The stream before the norm is what it was before the stage, and what the stage added. */
s24_status s24m_back_over_norm(s24m_tape *t, const s24m_stage *s, const s24m_trace *at)
{
    float *h = t->spare[0], *dh = t->spare[1], scale = (float)t->model->config.residual_scale;
    int64_t size = s24m_tape_tokens(t) * t->model->config.hidden;
    for (int64_t i = 0; i < size; i++)
        h[i] = at->h[i] + at->out[0][i] * scale;
    memcpy(dh, t->dy, (size_t)size * sizeof *dh);
    memset(t->dy, 0, (size_t)size * sizeof *dh);
    return back_norm(t, s->over, h, dh, t->dy);
}

/* ---- Sums ---- */

/* What is added is multiplied first. A parallel block adds both at its end. */
s24_status s24m_back_finish_add(s24m_tape *t, const s24m_stage *s, const s24m_trace *at,
                                float *dout)
{
    float scale = (float)t->model->config.residual_scale;
    int64_t size = s24m_tape_tokens(t) * t->model->config.hidden;
    const float *from = s->ending == S24M_SETS_ASIDE ? t->dlast : t->dy;
    for (int64_t i = 0; i < size; i++)
        dout[i] = from[i] * scale;
    if (s->ending != S24M_SETS_ASIDE && t->dlast)
        memcpy(t->dlast, t->dy, (size_t)size * sizeof *dout);
    if (s->after == S24M_NO_PART)
        return S24_OK;
    memcpy(t->spare[0], dout, (size_t)size * sizeof *dout);
    memset(dout, 0, (size_t)size * sizeof *dout);
    return back_norm(t, s->after, at->raw[0], t->spare[0], dout);
}

/* ---- Gates ---- */

s24_status s24m_back_finish_gate(s24m_tape *t, const s24m_trace *at, const float *dnext,
                                 float *const dout[S24M_ABREAST])
{
    s24m_mlp mlp = t->model->family->mlp;
    int64_t ffn = t->model->config.ffn;
    s24m_gate_back b = {.kind = t->model->config.activation,
                        .gate = at->out[0],
                        .up = mlp == S24M_GATED ? at->out[1] : NULL,
                        .dx = dnext,
                        .rows = s24m_tape_tokens(t),
                        .size = ffn,
                        .stride = ffn,
                        .dgate = dout[0],
                        .dup = dout[1]};
    if (mlp == S24M_FUSED_GATE) {
        b.stride = 2 * ffn;
        b.up = b.gate + ffn;
        b.dup = b.dgate + ffn;
    }
    return s24m_back_gate(t->model->ctx, &b);
}
