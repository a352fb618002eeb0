#include "tape.h"
#include "backward.h"
#include <stdlib.h>
#include <string.h>

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t outputs_of(const s24m_model *model, int32_t matrix)
{
    int64_t outputs, inputs;
    s24m_shape(model, matrix, &outputs, &inputs);
    return outputs;
}

/* ---- Room ---- */

/* Hands out the floats of `room` one array after the other; NULL counts them only. */
typedef struct cutter {
    float *room;
    int64_t used, tokens;
} cutter;

static float *cut(cutter *c, int64_t width)
{
    float *at = c->room ? c->room + c->used : NULL;
    c->used += c->tokens * width;
    return at;
}

/* Norms of heads change q and k in place, and need what they were. */
static bool keeps_raw(const s24m_model *model, const s24m_stage *s)
{
    return model->config.head_norms && s->count == S24M_ABREAST;
}

static void cut_stage(cutter *c, const s24m_model *model, const s24m_stage *s, s24m_trace *at)
{
    *at = (s24m_trace){.h = s->input ? cut(c, model->config.hidden) : NULL};
    at->x = cut(c, s24m_stage_inputs(model, s));
    for (int32_t i = 0; i < s->count; i++)
        at->out[i] = cut(c, outputs_of(model, s->matrices[i]));
    for (int32_t i = 0; i < 2 && keeps_raw(model, s); i++)
        at->raw[i] = cut(c, outputs_of(model, s->matrices[i]));
}

static void cut_tape(cutter *c, const s24m_model *model, s24m_tape *t)
{
    int64_t inputs = 0, outputs = 0;
    for (const s24m_stage *s = model->stages; s->count; s++) {
        cut_stage(c, model, s, t->trace + (s - model->stages));
        inputs = larger(inputs, s24m_stage_inputs(model, s));
        outputs = larger(outputs, s24m_stage_outputs(model, s));
    }
    t->y = cut(c, model->config.hidden);
    t->dy = cut(c, model->config.hidden);
    t->dx[0] = cut(c, inputs);
    t->dx[1] = cut(c, inputs);
    t->dout = cut(c, outputs);
    t->spare = cut(c, outputs);
}

int64_t s24m_tape_floats(const s24m_model *model, int64_t most)
{
    s24m_tape t;
    cutter c = {.tokens = most};
    cut_tape(&c, model, &t);
    return c.used;
}

bool s24m_tape_open(s24m_tape *t, s24m_model *model, int64_t most)
{
    *t = (s24m_tape){.model = model, .most = most};
    t->room = s24m_have(malloc((size_t)s24m_tape_floats(model, most) * sizeof(float)));
    cutter c = {t->room, 0, most};
    if (t->room)
        cut_tape(&c, model, t);
    return t->room;
}

void s24m_tape_close(s24m_tape *t)
{
    free(t->room);
    *t = (s24m_tape){0};
}

/* ---- Forth ---- */

static s24_status run_stage(s24m_tape *t, s24m_stream *c, const s24m_stage *s, s24m_trace *at)
{
    int64_t tokens = c->sequences * c->length;
    size_t hidden = (size_t)(tokens * t->model->config.hidden) * sizeof(float);
    s24_status status = S24_OK;
    c->x = at->x;
    if (s->input) {
        memcpy(at->h, c->h, hidden);
        status = s->input(c, s, c->x);
    }
    for (int32_t i = 0; !status && i < s->count; i++) {
        c->out[i] = at->out[i];
        status = s24m_stage_project(c, s, i);
        if (!status && i < 2 && at->raw[i])
            memcpy(at->raw[i], at->out[i],
                   (size_t)(tokens * outputs_of(t->model, s->matrices[i])) * sizeof(float));
    }
    return status ? status : s->finish(c, s->adds ? NULL : at[1].x);
}

bool s24m_tape_forward(s24m_tape *t, const s24m_block *block, const float *x, int64_t sequences,
                       int64_t length)
{
    s24m_stream c = {
        .model = t->model, .block = block, .sequences = sequences, .length = length, .h = t->y};
    s24_status status = S24_OK;
    t->block = block;
    t->sequences = sequences;
    t->length = length;
    memcpy(t->y, x, (size_t)(sequences * length * t->model->config.hidden) * sizeof *x);
    for (const s24m_stage *s = t->model->stages; !status && s->count; s++)
        status = run_stage(t, &c, s, t->trace + (s - t->model->stages));
    return s24m_done(status);
}

/* ---- Back ---- */

/* From the outputs' gradients to that of the input, dx, and of the matrices. */
static s24_status back_matrices(s24m_tape *t, const s24m_stage *s, const s24m_trace *at,
                                float *const dout[S24M_ABREAST], float *dx)
{
    int64_t tokens = t->sequences * t->length;
    s24_status status = S24_OK;
    memset(dx, 0, (size_t)(tokens * s24m_stage_inputs(t->model, s)) * sizeof *dx);
    for (int32_t i = 0; !status && i < s->count; i++) {
        const s24m_linear *linear = t->block->linear + s->matrices[i];
        const s24_mat *w = &linear->weights;
        s24m_linear_back b = {.weights = s24m_array_of(w->data, w->rows, w->cols),
                              .x = at->x,
                              .dy = dout[i],
                              .count = tokens,
                              .dx = dx,
                              .gradient = t->to->weights[s->matrices[i]],
                              .bias = linear->bias ? t->to->bias[s->matrices[i]] : NULL};
        status = s24m_back_linear(t->model->ctx, &b);
    }
    return status;
}

/* *dnext: of what the stage leaves for the next one; afterwards of its own input, if the stage
 * before left it. */
static s24_status back_stage(s24m_tape *t, const s24m_stage *s, const s24m_trace *at, float **dnext)
{
    float *dout[S24M_ABREAST], *place = t->dout;
    float *dx = *dnext == t->dx[0] ? t->dx[1] : t->dx[0];
    s24_status status = S24_OK;
    for (int32_t i = 0; i < s->count; i++) {
        dout[i] = s->adds ? t->dy : place;
        place += t->sequences * t->length * outputs_of(t->model, s->matrices[i]);
    }
    if (!s->adds)
        status = s->back_finish(t, s, at, *dnext, dout);
    if (!status)
        status = back_matrices(t, s, at, dout, dx);
    *dnext = dx;
    return status || !s->input ? status : s->back_input(t, s, at, dx);
}

bool s24m_tape_back(s24m_tape *t, s24m_gradients *to)
{
    const s24m_stage *last = t->model->stages;
    float *dnext = NULL;
    s24_status status = S24_OK;
    t->to = to;
    while (last->count)
        last++;
    for (const s24m_stage *s = last; !status && s-- > t->model->stages;)
        status = back_stage(t, s, t->trace + (s - t->model->stages), &dnext);
    return s24m_done(status);
}
