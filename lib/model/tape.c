#include "tape.h"
#include "extents.h"
#include "backward.h"
#include "family.h"
#include "steps.h"
#include <stdlib.h>
#include <string.h>

/* ---- What has a way back ---- */

static bool refuse(const s24m_model *model, const char *what)
{
    return s24m_wrong(S24_E_UNSUPPORTED, "%s has %s, which has no backward pass yet",
                      model->config.architecture, what);
}

static bool check_stage(const s24m_model *model, const s24m_stage *s)
{
    if (s->routed)
        return refuse(model, "experts");
    if (s->input && s->gain == S24M_NO_PART)
        return refuse(model, "inputs without a norm");
    if (s->after != S24M_NO_PART || s->over != S24M_NO_PART)
        return refuse(model, "norms behind attention and MLP");
    if (s->finish != s24m_step_attention && s->finish != s24m_step_gate &&
        s->finish != s24m_step_add)
        return refuse(model, "recurrent layers");
    return s->ending != S24M_SETS_ASIDE || refuse(model, "parallel attention and MLP");
}

static bool check_family(const s24m_model *model)
{
    const s24m_family *f = model->family;
    const s24m_config *c = &model->config;
    bool heads = f->head_norms == S24M_NO_HEAD_NORMS ||
                 (f->head_norms == S24M_HEAD_NORMS && !f->norms_after_rotation);
    const struct {
        bool has;
        const char *what;
    } without[] = {{f->norm != S24M_RMS || f->shifts, "layer norms"},
                   {f->gain != S24M_GAIN, "norms without gains, or with gains less one"},
                   {f->mlp != S24M_GATED, "a fused or plain MLP"},
                   {c->activation != S24M_SILU, "an activation other than silu"},
                   {f->encoder, "an encoder"},
                   {f->qkv != S24M_SEPARATE, "fused q, k and v"},
                   {!heads, "norms of q and k of another kind"},
                   {f->alibi || f->sinks || c->soft_cap > 0, "scores that are changed"},
                   {c->rope[0].beta > 0 || c->rope[1].beta > 0, "q that grow with the position"}};
    for (size_t i = 0; i < sizeof without / sizeof *without; i++)
        if (without[i].has)
            return refuse(model, without[i].what);
    return true;
}

bool s24m_tape_check(const s24m_model *model)
{
    bool done = check_family(model);
    for (int32_t i = 0; done && i < model->program_count; i++)
        for (const s24m_stage *s = model->programs[i].stages; done && s->count; s++)
            done = check_stage(model, s);
    return done;
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
    return model->family->head_norms != S24M_NO_HEAD_NORMS && s->finish == s24m_step_attention;
}

static void cut_stage(cutter *c, const s24m_model *model, const s24m_program *p,
                      const s24m_stage *s, s24m_trace *at)
{
    const s24m_matrix *matrix = p->matrices + s->first;
    *at = (s24m_trace){.h = s->input ? cut(c, model->config.hidden) : NULL};
    at->x = cut(c, s->inputs);
    for (int32_t i = 0; i < s->count; i++)
        at->out[i] = cut(c, matrix[i].outputs);
    for (int32_t i = 0; i < 2 && keeps_raw(model, s); i++)
        at->raw[i] = cut(c, matrix[i].outputs);
}

/* Blocks that can be taken back are all of one kind. */
static void cut_tape(cutter *c, const s24m_model *model, s24m_tape *t)
{
    const s24m_program *p = model->programs;
    int64_t inputs = 0, outputs = 0;
    for (const s24m_stage *s = p->stages; s->count; s++) {
        cut_stage(c, model, p, s, t->trace + (s - p->stages));
        inputs = s24m_most(inputs, s->inputs);
        outputs = s24m_most(outputs, s->outputs);
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
    const s24m_matrix *matrix = c->block->program->matrices + s->first;
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
            memcpy(at->raw[i], at->out[i], (size_t)(tokens * matrix[i].outputs) * sizeof(float));
    }
    return status ? status : s->finish(c, s, s->ending == S24M_LEAVES ? at[1].x : NULL);
}

bool s24m_tape_forward(s24m_tape *t, const s24m_block *block, const float *x, int64_t sequences,
                       int64_t length)
{
    s24m_stream c = {
        .model = t->model, .block = block, .sequences = sequences, .length = length, .h = t->y};
    const s24m_stage *stages = block->program->stages;
    s24_status status = S24_OK;
    t->block = block;
    t->sequences = sequences;
    t->length = length;
    memcpy(t->y, x, (size_t)(sequences * length * t->model->config.hidden) * sizeof *x);
    for (const s24m_stage *s = stages; !status && s->count; s++)
        status = run_stage(t, &c, s, t->trace + (s - stages));
    return s24m_done(status);
}

/* ---- Back ---- */

/* From the outputs' gradients to that of the input, dx, and of the matrices. */
static s24_status back_matrices(s24m_tape *t, const s24m_stage *s, const s24m_trace *at,
                                float *const dout[S24M_ABREAST], float *dx)
{
    int64_t tokens = t->sequences * t->length;
    s24_status status = S24_OK;
    memset(dx, 0, (size_t)(tokens * s->inputs) * sizeof *dx);
    for (int32_t i = 0; !status && i < s->count; i++) {
        int32_t which = s->first + i;
        const s24m_linear *linear = t->block->linear + which;
        const s24_mat *w = &linear->weights;
        s24m_linear_back b = {.weights = s24m_array_of(w->data, w->rows, w->cols),
                              .x = at->x,
                              .dy = dout[i],
                              .count = tokens,
                              .dx = dx,
                              .gradient = t->to->weights[which],
                              .bias = linear->bias ? t->to->bias[which] : NULL};
        status = s24m_back_linear(t->model->ctx, &b);
    }
    return status;
}

/* What a stage adds to h is multiplied first. */
static void back_added(s24m_tape *t, float *dout)
{
    float scale = (float)t->model->config.residual_scale;
    int64_t size = t->sequences * t->length * t->model->config.hidden;
    for (int64_t i = 0; i < size; i++)
        dout[i] = t->dy[i] * scale;
}

/* *dnext: of what the stage leaves for the next one; afterwards of its own input, if the stage
 * before left it. */
static s24_status back_stage(s24m_tape *t, const s24m_stage *s, const s24m_trace *at, float **dnext)
{
    float *dout[S24M_ABREAST], *place = t->dout;
    float *dx = *dnext == t->dx[0] ? t->dx[1] : t->dx[0];
    s24_status status = S24_OK;
    for (int32_t i = 0; i < s->count; i++) {
        dout[i] = place;
        place += t->sequences * t->length * t->block->linear[s->first + i].weights.rows;
    }
    if (s->ending == S24M_ADDS)
        back_added(t, dout[0]);
    else
        status = s->finish == s24m_step_attention ? s24m_back_finish_attention(t, at, *dnext, dout)
                                                  : s24m_back_finish_gate(t, at, *dnext, dout);
    if (!status)
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
