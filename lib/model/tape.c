#include "tape.h"
#include "extents.h"
#include "family.h"
#include "steps.h"
#include <stdlib.h>
#include <string.h>

/* ---- Gradients ---- */

bool s24m_gradients_open(s24m_gradients *g, int32_t matrices)
{
    *g = (s24m_gradients){.weights =
                              s24m_have(calloc(2 * (size_t)matrices + 1, sizeof *g->weights))};
    g->bias = g->weights ? g->weights + matrices : NULL;
    return g->weights;
}

void s24m_gradients_close(s24m_gradients *g)
{
    free(g->weights);
    *g = (s24m_gradients){.weights = NULL};
}

/* ---- What has a way back ---- */

static bool has_way_back(const s24m_stage *s)
{
    if (s->routed && s->over != S24M_NO_PART)
        return false;
    return s->finish == s24m_step_attention || s->finish == s24m_step_gate ||
           s->finish == s24m_step_add || s->finish == s24m_step_experts_in ||
           s->finish == s24m_step_experts_out;
}

bool s24m_tape_check(const s24m_model *model)
{
    for (int32_t i = 0; i < model->program_count; i++)
        for (const s24m_stage *s = model->programs[i].stages; s->count; s++)
            if (!has_way_back(s))
                return s24m_wrong(S24_E_UNSUPPORTED,
                                  "%s has recurrent layers, which have no backward pass: it can "
                                  "be compressed, but neither refined nor tuned",
                                  model->config.architecture);
    return true;
}

/* ---- Room ---- */

/* Hands out the floats of `room` one array after the other; NULL counts them only. */
typedef struct cutter {
    float *room;
    int64_t used, tokens;
} cutter;

static float *cut(cutter *c, int64_t width)
{
    float *at = c->room && width ? c->room + c->used : NULL;
    c->used += c->tokens * width;
    return at;
}

static bool has_head_norms(const s24m_model *model, const s24m_stage *s)
{
    return model->family->head_norms != S24M_NO_HEAD_NORMS && s->finish == s24m_step_attention;
}

static void cut_stage(cutter *c, const s24m_model *model, const s24m_program *p,
                      const s24m_stage *s, s24m_trace *at)
{
    const s24m_config *f = &model->config;
    const s24m_matrix *matrix = p->matrices + s->first;
    bool first = s->input && s->gain != S24M_NO_PART;
    *at = (s24m_trace){.h = cut(c, first || s->over != S24M_NO_PART ? f->hidden : 0)};
    at->x = cut(c, s->inputs);
    at->route = cut(c, s->routed && s->input ? 2 * f->experts.used : 0);
    for (int32_t i = 0; !s->routed && i < s->count; i++)
        at->out[i] = cut(c, matrix[i].outputs);
    if (has_head_norms(model, s)) {
        at->raw[0] = cut(c, f->heads * f->head_dim);
        at->raw[1] = cut(c, f->kv_heads * f->head_dim);
    } else if (s->after != S24M_NO_PART) {
        at->raw[0] = cut(c, f->hidden);
    }
}

static void cut_heads(cutter *c, const s24m_model *model, s24m_tape *t)
{
    const s24m_config *f = &model->config;
    bool mixed = f->qkv != S24M_SEPARATE;
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 3; k++)
            t->heads[i][k] = cut(c, mixed ? (k ? f->kv_heads : f->heads) * f->head_dim : 0);
}

/* What stays from one block to the next stands first, at one place whatever their kinds. */
static void cut_tape(cutter *c, const s24m_model *model, const s24m_program *p, s24m_tape *t)
{
    const s24m_config *f = &model->config;
    int64_t inputs = 0, outputs = s24m_most(f->hidden, f->heads * f->head_dim);
    t->y = cut(c, f->hidden);
    t->dy = cut(c, f->hidden);
    for (const s24m_stage *s = p->stages; s->count; s++) {
        cut_stage(c, model, p, s, t->trace + (s - p->stages));
        inputs = s24m_most(inputs, s->inputs);
        outputs = s24m_most(outputs, s->outputs);
    }
    t->dx[0] = cut(c, inputs);
    t->dx[1] = cut(c, inputs);
    t->dout = cut(c, outputs);
    t->spare[0] = cut(c, outputs);
    t->spare[1] = cut(c, outputs);
    t->aside = cut(c, f->parallel ? f->hidden : 0);
    t->dlast = cut(c, f->parallel ? f->hidden : 0);
    t->dswitch = cut(c, f->experts.count > 0);
    cut_heads(c, model, t);
}

int64_t s24m_tape_floats(const s24m_model *model, int64_t most)
{
    int64_t floats = 0;
    for (int32_t i = 0; i < model->program_count; i++) {
        s24m_tape t;
        cutter c = {.tokens = most};
        cut_tape(&c, model, model->programs + i, &t);
        floats = s24m_most(floats, c.used);
    }
    return floats;
}

/* A matrix and its operands, turned, with the sum that is added; of experts their rows too. */
int64_t s24m_tape_scratch(const s24m_model *model, int64_t most)
{
    const s24m_config *c = &model->config;
    int64_t largest = 0, wide = 0, rows = 0;
    for (int32_t i = 0; i < model->program_count; i++) {
        const s24m_program *p = model->programs + i;
        for (const s24m_matrix *m = p->matrices; m < p->matrices + p->count; m++) {
            largest = s24m_most(largest, m->outputs * m->inputs);
            wide = s24m_most(wide, m->outputs + m->inputs);
        }
    }
    if (c->experts.count)
        rows = 5 * s24m_most(c->hidden, 2 * s24m_most(c->experts.ffn, c->experts.shared)) +
               2 * (c->experts.count + c->experts.used);
    return 2 * largest + most * (wide + rows);
}

bool s24m_tape_open(s24m_tape *t, s24m_model *model, int64_t most)
{
    *t = (s24m_tape){.model = model, .most = most};
    t->room = s24m_have(malloc((size_t)s24m_tape_floats(model, most) * sizeof(float)));
    cutter c = {t->room, 0, most};
    if (t->room)
        cut_tape(&c, model, model->programs, t);
    return t->room;
}

void s24m_tape_close(s24m_tape *t)
{
    free(t->room);
    *t = (s24m_tape){0};
}

/* ---- Forth ---- */

static size_t hidden_bytes(const s24m_tape *t)
{
    return (size_t)(s24m_tape_tokens(t) * t->model->config.hidden) * sizeof(float);
}

/* All that a stage does but what `finish` does. */
static s24_status run_matrices(s24m_tape *t, s24m_stream *c, const s24m_stage *s, s24m_trace *at)
{
    s24_status status = S24_OK;
    c->x = at->x;
    c->route = at->route;
    c->out[0] = t->dout; /* room to work in */
    if (at->h)
        memcpy(at->h, c->h, hidden_bytes(t));
    if (s->input)
        status = s->input(c, s, c->x);
    for (int32_t i = 0; !status && !s->routed && i < s->count; i++) {
        c->out[i] = at->out[i];
        status = s24m_stage_project(c, s, i);
    }
    if (!status && s->finish == s24m_step_experts_out)
        status = s24m_experts_sum(c, s);
    return status;
}

static s24_status run_stage(s24m_tape *t, s24m_stream *c, const s24m_stage *s, s24m_trace *at)
{
    s24_status status = run_matrices(t, c, s, at);
    if (!status && at->raw[1])
        s24m_keep_heads(t, at);
    else if (!status && at->raw[0])
        memcpy(at->raw[0], c->out[0], hidden_bytes(t));
    if (status)
        return status;
    return s->ending != S24M_LEAVES ? s24m_step_add(c, s, NULL) : s->finish(c, s, at[1].x);
}

bool s24m_tape_forward(s24m_tape *t, const s24m_block *block, const float *x, int64_t sequences,
                       int64_t length)
{
    const s24m_stage *stages = block->program->stages;
    s24_status status = S24_OK;
    cutter places = {t->room, 0, t->most};
    cut_tape(&places, t->model, block->program, t);
    t->block = block;
    t->sequences = sequences;
    t->length = length;
    s24m_stream c = {.model = t->model,
                     .block = block,
                     .sequences = sequences,
                     .length = length,
                     .h = t->y,
                     .aside = t->aside};
    memcpy(t->y, x, hidden_bytes(t));
    for (const s24m_stage *s = stages; !status && s->count; s++)
        status = run_stage(t, &c, s, t->trace + (s - stages));
    return s24m_done(status);
}

/* ---- Back ---- */

/* From the outputs' gradients to that of the input, dx, and of the matrices. */
static s24_status back_matrices(s24m_tape *t, const s24m_stage *s, const s24m_trace *at,
                                float *const dout[S24M_ABREAST], float *dx)
{
    int64_t tokens = s24m_tape_tokens(t);
    s24_status status = S24_OK;
    memset(dx, 0, (size_t)(tokens * s->inputs) * sizeof *dx);
    for (int32_t i = 0; !status && i < s->count; i++)
        status = s24m_back_matrix(t, s->first + i, at->x, dout[i], tokens, dx);
    return status;
}

static void cut_outputs(const s24m_tape *t, const s24m_stage *s, float *dout[S24M_ABREAST])
{
    float *place = t->dout;
    for (int32_t i = 0; !s->routed && i < s->count; i++) {
        dout[i] = place;
        place += s24m_tape_tokens(t) * t->block->linear[s->first + i].weights.rows;
    }
}

/* *dnext: of what the stage leaves for the next one; afterwards of its own input, if the stage
 * before left it. */
static s24_status back_stage(s24m_tape *t, const s24m_stage *s, const s24m_trace *at, float **dnext)
{
    float *dout[S24M_ABREAST] = {t->dout}, *dx = *dnext == t->dx[0] ? t->dx[1] : t->dx[0];
    s24_status status = S24_OK;
    cut_outputs(t, s, dout);
    if (s->over != S24M_NO_PART)
        status = s24m_back_over_norm(t, s, at);
    if (!status && s->ending != S24M_LEAVES)
        status = s24m_back_finish_add(t, s, at, dout[0]);
    else if (!status && s->finish == s24m_step_attention)
        status = s24m_back_finish_attention(t, at, at[1].x, *dnext, dout);
    else if (!status && s->finish == s24m_step_gate)
        status = s24m_back_finish_gate(t, at, *dnext, dout);
    if (!status && s->routed)
        status = s->input ? s24m_back_experts_in(t, s, at, *dnext, dx)
                          : s24m_back_experts_out(t, s, at, dout[0], dx);
    else if (!status)
        status = back_matrices(t, s, at, dout, dx);
    *dnext = dx;
    return status || !s->input ? status : s24m_back_input_norm(t, s, at, dx);
}

bool s24m_tape_back(s24m_tape *t, s24m_gradients *to)
{
    const s24m_stage *stages = t->block->program->stages, *last = stages;
    float *dnext = NULL;
    s24_status status = S24_OK;
    t->to = to;
    while (last->count)
        last++;
    for (const s24m_stage *s = last; !status && s-- > stages;)
        status = back_stage(t, s, t->trace + (s - stages), &dnext);
    return s24m_done(status);
}
