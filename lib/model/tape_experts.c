/* The way back through experts: of the tokens that each of them saw, one after the other, with what
 * the forward pass did not keep made again. */
#include "backward_experts.h"
#include "exponential.h"
#include "extents.h"
#include "routes.h"
#include "tape.h"
#include "tensors.h"
#include <stdlib.h>
#include <string.h>

/* What a pass over the experts works with. */
typedef struct passing {
    s24m_tape *t;
    const s24m_stage *stage;
    s24m_stream c; /* as the forward pass had it, for routes and groups */
    routes r;
    float *x, *rows, *drows, *dx; /* gathered inputs, outputs, their gradients; of the inputs */
    float *room;
} passing;

/* Outputs of a group, at most: gate and up of an expert, or what is added to h. */
static int64_t widest(const s24m_tape *t)
{
    const s24m_config *c = &t->model->config;
    return s24m_most(c->hidden, 2 * s24m_most(c->experts.ffn, c->experts.shared));
}

static bool open_pass(passing *p, s24m_tape *t, const s24m_stage *s, const s24m_trace *at)
{
    int64_t tokens = s24m_tape_tokens(t), wide = widest(t);
    *p = (passing){.t = t, .stage = s};
    p->c = (s24m_stream){.model = t->model,
                         .block = t->block,
                         .sequences = t->sequences,
                         .length = t->length,
                         .route = at->route,
                         .x = at->x};
    p->r = s24m_routes(&p->c, s);
    p->room = s24m_floats(4 * tokens * wide);
    if (!p->room)
        return false;
    p->x = p->room;
    p->rows = p->x + tokens * wide;
    p->drows = p->rows + tokens * wide;
    p->dx = p->drows + tokens * wide;
    return true;
}

/* ---- Down ---- */

/* Gradients of one expert's rows, and of their weights, which stand in the stage's input. */
static void weigh_rows(const passing *p, int32_t expert, const float *dy, float *dinput)
{
    int64_t hidden = p->t->model->config.hidden, width = p->stage->inputs, row = 0;
    for (int64_t token = 0; token < p->r.tokens; token++) {
        int64_t slot = s24m_slot(&p->r, token, expert);
        if (slot < 0)
            continue;
        const float *from = dy + token * hidden, *made = p->rows + row * hidden;
        float weight = p->r.at[token * p->r.stride + p->r.used + slot], along = 0;
        for (int64_t i = 0; i < hidden; i++) {
            p->drows[row * hidden + i] = weight * from[i];
            along += made[i] * from[i];
        }
        dinput[(token + 1) * width - p->r.used + slot] = along;
        row++;
    }
}

/* Gradients of the inputs of those rows to their tokens' places. */
static void scatter(const passing *p, int32_t expert, float *dinput)
{
    const s24m_experts *e = &p->t->model->config.experts;
    int64_t width = p->stage->inputs, row = 0, size = expert < 0 ? e->shared : e->ffn;
    for (int64_t token = 0; token < p->r.tokens; token++) {
        int64_t slot = expert < 0 ? p->r.used : s24m_slot(&p->r, token, expert);
        if (slot >= 0)
            memcpy(dinput + token * width + slot * e->ffn, p->dx + row++ * size,
                   (size_t)size * sizeof *dinput);
    }
}

/* What all tokens' expert gives goes through a switch, if there is one: the norm at the head of the
 * stage before is the switch's input, and on the tape. */
static s24_status switch_rows(const passing *p, const float *dy)
{
    s24m_tape *t = p->t;
    const s24m_program *of = t->block->program;
    int64_t hidden = t->model->config.hidden, tokens = p->r.tokens;
    int32_t which = of->first[S24M_SHARED_SWITCH];
    if (which < 0) {
        memcpy(p->drows, dy, (size_t)(tokens * hidden) * sizeof *dy);
        return S24_OK;
    }
    const float *x = t->trace[s24m_stage_of(of, which)].x;
    s24_status status = s24m_project(t->model, t->block->linear + which, x, tokens, t->dswitch);
    for (int64_t token = 0; !status && token < tokens; token++) {
        float s = 1.0f / (1.0f + exponential(-t->dswitch[token])), along = 0;
        for (int64_t i = token * hidden; i < (token + 1) * hidden; i++) {
            p->drows[i] = s * dy[i];
            along += p->rows[i] * dy[i];
        }
        t->dswitch[token] = along * s * (1 - s);
    }
    return status;
}

static s24_status down_group(const passing *p, const s24m_group *group, const float *dy,
                             float *dinput)
{
    const s24m_linear *linear = p->t->block->linear + group->first;
    s24_status status = S24_OK;
    int64_t count;
    const float *x = s24m_group_rows(&p->c, p->stage, group, p->x, &count);
    if (!count)
        return S24_OK;
    status = s24m_project(p->t->model, linear, x, count, p->rows);
    if (!status && group->expert >= 0)
        weigh_rows(p, group->expert, dy, dinput);
    else if (!status)
        status = switch_rows(p, dy);
    memset(p->dx, 0, (size_t)(count * group->inputs) * sizeof *p->dx);
    if (!status)
        status = s24m_back_matrix(p->t, group->first, x, p->drows, count, p->dx);
    if (!status)
        scatter(p, group->expert, dinput);
    return status;
}

s24_status s24m_back_experts_out(s24m_tape *t, const s24m_stage *s, const s24m_trace *at,
                                 const float *dy, float *dx)
{
    const s24m_program *of = t->block->program;
    passing p;
    s24_status status = open_pass(&p, t, s, at) ? S24_OK : S24_E_MEMORY;
    memset(dx, 0, (size_t)(s24m_tape_tokens(t) * s->inputs) * sizeof *dx);
    for (int32_t i = 0; !status && i < s24m_groups(of, s); i++) {
        s24m_group group = s24m_group_at(of, s, i);
        status = down_group(&p, &group, dy, dx);
    }
    free(p.room);
    return status;
}

/* ---- Gate and up ---- */

/* Gradients of gate and up, p->drows, from those of act(gate) up of the same rows. */
static s24_status back_gate(const passing *p, bool both, int64_t count, int64_t size,
                            const float *dnext)
{
    const s24m_config *c = &p->t->model->config;
    if (both && p->t->model->family->experts->stacking == S24M_STACKED_TURNED) {
        s24m_clamped_back b = {c->experts.limit, c->experts.alpha, p->rows, dnext, count, size,
                               p->drows};
        return s24m_back_clamped_gate(p->t->model->ctx, &b);
    }
    int64_t apart = both ? size : count * size;
    s24m_gate_back b = {.kind = c->activation,
                        .gate = p->rows,
                        .up = p->rows + apart,
                        .dx = dnext,
                        .rows = count,
                        .size = size,
                        .stride = both ? 2 * size : size,
                        .dgate = p->drows,
                        .dup = p->drows + apart};
    return s24m_back_gate(p->t->model->ctx, &b);
}

/* Of `count` rows x through gate and up of an expert, side by side in one matrix or not. */
static s24_status back_pair(const passing *p, int32_t first, bool both, const float *x,
                            int64_t count, int64_t size, const float *dnext)
{
    const s24m_linear *gate = p->t->block->linear + first;
    int64_t apart = count * size;
    s24_status status = s24m_project(p->t->model, gate, x, count, p->rows);
    if (!status && !both)
        status = s24m_project(p->t->model, gate + 1, x, count, p->rows + apart);
    if (!status)
        status = back_gate(p, both, count, size, dnext);
    if (!status)
        status = s24m_back_matrix(p->t, first, x, p->drows, count, p->dx);
    return status || both ? status
                          : s24m_back_matrix(p->t, first + 1, x, p->drows + apart, count, p->dx);
}

/* The gradients that a group's tokens have in the next stage's input, in rows. */
static void gather(const passing *p, int32_t expert, const float *dnext, float *to)
{
    const s24m_experts *e = &p->t->model->config.experts;
    int64_t width = p->stage[1].inputs, row = 0, size = expert < 0 ? e->shared : e->ffn;
    for (int64_t token = 0; token < p->r.tokens; token++) {
        int64_t slot = expert < 0 ? p->r.used : s24m_slot(&p->r, token, expert);
        if (slot >= 0)
            memcpy(to + row++ * size, dnext + token * width + slot * e->ffn,
                   (size_t)size * sizeof *to);
    }
}

/* dx of all tokens += that of a group's rows. */
static void add_rows(const passing *p, int32_t expert, float *dx)
{
    int64_t hidden = p->t->model->config.hidden, row = 0;
    for (int64_t token = 0; token < p->r.tokens; token++) {
        if (expert >= 0 && s24m_slot(&p->r, token, expert) < 0)
            continue;
        for (int64_t i = 0; i < hidden; i++)
            dx[token * hidden + i] += p->dx[row * hidden + i];
        row++;
    }
}

static s24_status up_group(const passing *p, const s24m_group *group, const float *dnext,
                           float *dslots, float *dx)
{
    const s24m_experts *e = &p->t->model->config.experts;
    int64_t count, hidden = p->t->model->config.hidden;
    int64_t size = group->expert < 0 ? e->shared : e->ffn;
    bool both = group->expert >= 0 && p->t->block->program->first[S24M_EXPERT_UP] < 0;
    if (!size)
        return S24_OK;
    const float *x = s24m_group_rows(&p->c, p->stage, group, p->x, &count);
    if (!count)
        return S24_OK;
    gather(p, group->expert, dnext, dslots);
    memset(p->dx, 0, (size_t)(count * hidden) * sizeof *dx);
    s24_status status = back_pair(p, group->first, both, x, count, size, dslots);
    if (!status)
        add_rows(p, group->expert, dx);
    return status;
}

/* ---- The router ---- */

/* Which experts tokens take, and the gradients of their weights, from the route's place in the next
 * stage's input. */
static void read_routes(const passing *p, const float *dnext, int32_t *taken, float *dweights)
{
    int64_t width = p->stage[1].inputs, used = p->r.used;
    for (int64_t token = 0; token < p->r.tokens; token++)
        for (int64_t k = 0; k < used; k++) {
            taken[token * used + k] = (int32_t)p->r.at[token * p->r.stride + k];
            dweights[token * used + k] = dnext[(token + 1) * width - used + k];
        }
}

static s24_status back_router(const passing *p, const float *dnext, float *dx)
{
    const s24m_experts *e = &p->t->model->config.experts;
    const s24m_routing *how = p->t->model->family->experts;
    int64_t tokens = p->r.tokens, count = e->count, used = p->r.used;
    int32_t which = p->t->block->program->first[S24M_ROUTER];
    float *room = s24m_floats(tokens * (2 * count + used) + 3 * count);
    int32_t *taken = malloc((size_t)(tokens * used) * sizeof *taken);
    bool *open = malloc((size_t)count * sizeof *open);
    s24_status status = room && taken && open ? S24_OK : S24_E_MEMORY;
    s24m_route_back b = {.kind = how->score,
                         .shares = e->renormalise,
                         .factor = e->factor,
                         .near = e->near,
                         .tokens = tokens,
                         .count = count,
                         .used = used,
                         .logits = room,
                         .taken = taken,
                         .dweights = room ? room + 2 * tokens * count : NULL,
                         .dlogits = room ? room + tokens * count : NULL,
                         .room = room ? room + tokens * (2 * count + used) : NULL,
                         .open = open};
    if (!status)
        status = s24m_project(p->t->model, p->t->block->linear + which, p->c.x, tokens, room);
    if (!status) {
        read_routes(p, dnext, taken, room + 2 * tokens * count);
        s24m_back_route(&b);
        status = s24m_back_matrix(p->t, which, p->c.x, b.dlogits, tokens, dx);
    }
    free(room);
    free(taken);
    free(open);
    return status;
}

s24_status s24m_back_experts_in(s24m_tape *t, const s24m_stage *s, const s24m_trace *at,
                                const float *dnext, float *dx)
{
    const s24m_program *of = t->block->program;
    const s24m_experts *e = &t->model->config.experts;
    int64_t tokens = s24m_tape_tokens(t);
    int32_t which = of->first[S24M_SHARED_SWITCH];
    passing p;
    float *dslots = s24m_floats(tokens * s24m_most(e->ffn, e->shared));
    s24_status status = dslots && open_pass(&p, t, s, at) ? S24_OK : S24_E_MEMORY;
    memset(dx, 0, (size_t)(tokens * s->inputs) * sizeof *dx);
    for (int32_t i = 0; !status && i < s24m_groups(of, s); i++) {
        s24m_group group = s24m_group_at(of, s, i);
        status = up_group(&p, &group, dnext, dslots, dx);
    }
    if (!status && which >= 0)
        status = s24m_back_matrix(t, which, at->x, t->dswitch, tokens, dx);
    if (!status)
        status = back_router(&p, dnext, dx);
    if (dslots)
        free(p.room);
    free(dslots);
    return status;
}
