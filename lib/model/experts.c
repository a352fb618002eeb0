/* Mixture of experts: the router's choice, and the experts' own tokens.
 *
 * What experts_in leaves for experts_out is one row a token: act(gate) * up of each expert that it
 * took, in order of the choice; the same of those for all, already switched; the route. A route is
 * the numbers of the experts, then their weights. */
#include "exponential.h"
#include "family.h"
#include "routes.h"
#include "steps.h"
#include "tensors.h"
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

int64_t s24m_experts_width(const s24m_experts *e)
{
    return e->used * e->ffn + e->shared + 2 * e->used;
}

/* ---- The choice ---- */

typedef struct route_job {
    const s24m_experts *e;
    const s24m_routing *how;
    const float *logits, *correction; /* the latter or NULL */
    float *route;
    _Atomic s24_status status;
} route_job;

/* Probabilities, in place. */
static void score(const route_job *j, float *p)
{
    int64_t count = j->e->count;
    double top = p[0], sum = 0;
    if (j->how->score == S24M_SOFTMAX_OF_USED)
        return;
    for (int64_t i = 0; j->how->score == S24M_SIGMOID && i < count; i++)
        p[i] = (float)(1 / (1 + exp(-(double)p[i])));
    if (j->how->score == S24M_SIGMOID)
        return;
    for (int64_t i = 1; i < count; i++)
        top = p[i] > top ? p[i] : top;
    for (int64_t i = 0; i < count; i++)
        sum += exp(p[i] - top);
    for (int64_t i = 0; i < count; i++)
        p[i] = (float)(exp(p[i] - top) / sum);
}

/* The largest that is not taken yet, the first of equal ones; it is taken. */
static int64_t take_best(float *values, int64_t count)
{
    int64_t best = 0;
    for (int64_t i = 1; i < count; i++)
        best = values[i] > values[best] ? i : best;
    values[best] = -INFINITY;
    return best;
}

static float two_best(const float *values, int64_t count)
{
    float first = -INFINITY, second = -INFINITY;
    for (int64_t i = 0; i < count; i++) {
        float v = values[i];
        second = v > first ? first : v > second ? v : second;
        first = v > first ? v : first;
    }
    return first + (count > 1 ? second : 0);
}

/* What is chosen by: groups whose two best do not belong to the best groups are closed. `room` has
 * place for groups and for experts. */
static void choose_by(const route_job *j, const float *p, float *chosen, float *groups)
{
    const s24m_experts *e = j->e;
    int64_t each = e->count / e->groups;
    for (int64_t i = 0; i < e->count; i++)
        chosen[i] = p[i] + (j->correction ? j->correction[i] : 0);
    if (e->best >= e->groups)
        return;
    for (int64_t g = 0; g < e->groups; g++)
        groups[g] = two_best(chosen + g * each, each);
    for (int64_t n = 0; n < e->best; n++)
        take_best(groups, e->groups);
    for (int64_t g = 0; g < e->groups; g++)
        for (int64_t i = 0; groups[g] > -INFINITY && i < each; i++)
            chosen[g * each + i] = 0;
}

/* Softmax of what was taken, or shares of their sum, times the factor. */
static void weigh(const route_job *j, float *weights)
{
    int64_t used = j->e->used;
    double sum = 0, top = weights[0];
    for (int64_t k = 0; k < used; k++)
        top = weights[k] > top ? weights[k] : top;
    if (j->how->score == S24M_SOFTMAX_OF_USED)
        for (int64_t k = 0; k < used; k++)
            weights[k] = (float)exp(weights[k] - top);
    for (int64_t k = 0; k < used; k++)
        sum += weights[k];
    sum += j->how->score == S24M_SIGMOID ? 1e-20 : 0;
    bool shares = j->e->renormalise || j->how->score == S24M_SOFTMAX_OF_USED;
    for (int64_t k = 0; k < used; k++)
        weights[k] = (float)(weights[k] / (shares ? sum : 1) * j->e->factor);
}

/* The weight of the best of what is left: its softmax among those that are near it. */
static float weigh_near(const route_job *j, const float *logits, const float *left, int64_t best)
{
    double top = logits[best], sum = 0;
    for (int64_t i = 0; i < j->e->count; i++) {
        double size = fabs((double)logits[i]) > top ? fabs((double)logits[i]) : top;
        if ((left[i] > -INFINITY || i == best) && !((top - logits[i]) / size > 2 * j->e->near))
            sum += exp(logits[i] - top);
    }
    return (float)(1 / sum);
}

/* One after the other; `left` becomes what nobody took. */
static void take_near(const route_job *j, const float *logits, float *left, float *taken)
{
    int64_t used = j->e->used;
    memcpy(left, logits, (size_t)j->e->count * sizeof *left);
    for (int64_t k = 0; k < used; k++) {
        int64_t best = take_best(left, j->e->count);
        taken[k] = (float)best;
        taken[used + k] = weigh_near(j, logits, left, best);
    }
}

static void route_rows(void *arg, int64_t first, int64_t last)
{
    route_job *j = arg;
    const s24m_experts *e = j->e;
    int64_t count = e->count, used = e->used;
    float *room = s24m_floats(2 * count + e->groups), *p = room, *chosen = room + count;
    if (!room)
        atomic_store(&j->status, S24_E_MEMORY);
    for (int64_t r = first; room && r < last; r++) {
        float *taken = j->route + 2 * used * r, *weights = taken + used;
        if (j->how->score == S24M_NEAR_BEST) {
            take_near(j, j->logits + r * count, chosen, taken);
            continue;
        }
        memcpy(p, j->logits + r * count, (size_t)count * sizeof *p);
        score(j, p);
        choose_by(j, p, chosen, room + 2 * count);
        for (int64_t k = 0; k < used; k++) {
            int64_t best = take_best(chosen, count);
            taken[k] = (float)best;
            weights[k] = p[best];
        }
        weigh(j, weights);
    }
    free(room);
}

s24_status s24m_step_route(const s24m_stream *c, const s24m_stage *s, float *x)
{
    const s24m_model *m = c->model;
    int64_t tokens = c->sequences * c->length;
    const s24m_linear *router = c->block->linear + c->block->program->first[S24M_ROUTER];
    float *logits = s24m_floats(tokens * m->config.experts.count);
    route_job j = {.e = &m->config.experts,
                   .how = m->family->experts,
                   .logits = logits,
                   .correction = c->block->gain[S24M_CORRECTION - S24M_ROLES],
                   .route = c->route};
    s24_status status = logits ? s24m_step_norm(c, s, x) : (s24_status)S24_E_MEMORY;
    if (!status)
        status = s24m_project(m, router, x, tokens, logits);
    if (!status)
        status = s24m_rows(m, route_rows, &j, tokens);
    free(logits);
    return status || !j.status ? status : s24m_fail(j.status, "out of memory");
}

/* ---- Tokens of an expert ---- */

routes s24m_routes(const s24m_stream *c, const s24m_stage *s)
{
    int64_t used = c->model->config.experts.used, tokens = c->sequences * c->length;
    return s->input ? (routes){c->route, 2 * used, used, tokens}
                    : (routes){c->x + s->inputs - 2 * used, s->inputs, used, tokens};
}

int64_t s24m_slot(const routes *r, int64_t token, int32_t expert)
{
    const float *route = r->at + token * r->stride;
    for (int64_t k = 0; k < r->used; k++)
        if (route[k] == (float)expert)
            return k;
    return -1;
}

const float *s24m_group_rows(const s24m_stream *c, const s24m_stage *s, const s24m_group *group,
                             float *room, int64_t *count)
{
    const s24m_experts *e = &c->model->config.experts;
    routes r = s24m_routes(c, s);
    size_t size = (size_t)group->inputs * sizeof *room;
    *count = r.tokens;
    if (!s->routed || (s->input && group->expert < 0))
        return c->x;
    *count = 0;
    for (int64_t t = 0; t < r.tokens; t++) {
        int64_t slot = group->expert < 0 ? e->used : s24m_slot(&r, t, group->expert);
        if (slot >= 0)
            memcpy(room + (*count)++ * group->inputs,
                   c->x + t * s->inputs + (s->input ? 0 : slot * e->ffn), size);
    }
    return room;
}

/* ---- Gate and up ---- */

/* gpt-oss: (up + 1) gate sigmoid(alpha gate), both held within the limit; they alternate. */
static void clamped_gate(const s24m_experts *e, const float *both, float *x)
{
    float limit = (float)e->limit, alpha = (float)e->alpha;
    for (int64_t i = 0; i < e->ffn; i++) {
        float gate = both[2 * i], up = both[2 * i + 1];
        gate = gate > limit ? limit : gate;
        up = up > limit ? limit : up < -limit ? -limit : up;
        x[i] = (up + 1) * (gate / (1.0f + exponential(-alpha * gate)));
    }
}

typedef struct gate_job {
    const s24m_model *m;
    const float *gate, *up; /* up NULL: both are in gate */
    float *x;               /* may be gate */
    int64_t size;
} gate_job;

static void gate_rows(void *arg, int64_t first, int64_t last)
{
    const gate_job *j = arg;
    const s24m_config *c = &j->m->config;
    s24m_stacking stacking = j->m->family->experts->stacking;
    for (int64_t r = first; r < last; r++) {
        const float *both = j->gate + 2 * r * j->size;
        float *x = j->x + r * j->size;
        if (j->up)
            s24m_activate(c->activation, j->gate + r * j->size, j->up + r * j->size, j->size, x);
        else if (stacking == S24M_STACKED_TURNED)
            clamped_gate(&c->experts, both, x);
        else
            s24m_activate(c->activation, both, both + j->size, j->size, x);
    }
}

/* act(gate x) * (up x) of one group's matrices into `out`, (count, size). */
static s24_status run_gate(const s24m_stream *c, int32_t first, bool both, const float *x,
                           int64_t count, int64_t size, float *room, float *out)
{
    const s24m_linear *gate = c->block->linear + first;
    gate_job j = {c->model, room, both ? NULL : room + count * size, out, size};
    s24_status status = s24m_project(c->model, gate, x, count, room);
    if (!status && !both)
        status = s24m_project(c->model, gate + 1, x, count, room + count * size);
    return status ? status : s24m_rows(c->model, gate_rows, &j, count);
}

/* ---- The two stages ---- */

/* Rows of an expert back to their tokens' slots. */
static void scatter(const s24m_stream *c, const s24m_stage *s, int32_t expert, const float *rows,
                    float *next)
{
    const s24m_experts *e = &c->model->config.experts;
    routes r = s24m_routes(c, s);
    for (int64_t t = 0; t < r.tokens; t++) {
        int64_t slot = s24m_slot(&r, t, expert);
        if (slot < 0)
            continue;
        memcpy(next + t * s[1].inputs + slot * e->ffn, rows, (size_t)e->ffn * sizeof *rows);
        rows += e->ffn;
    }
}

/* What every token's experts give, and the route behind it. */
static s24_status put_shared(const s24m_stream *c, const s24m_stage *s, const s24m_group *group,
                             float *room, float *out, float *next)
{
    const s24m_experts *e = &c->model->config.experts;
    int64_t tokens = c->sequences * c->length, width = s[1].inputs;
    s24_status status = run_gate(c, group->first, false, c->x, tokens, e->shared, room, out);
    for (int64_t t = 0; !status && t < tokens; t++)
        memcpy(next + t * width + e->used * e->ffn, out + t * e->shared,
               (size_t)e->shared * sizeof *out);
    return status;
}

static void put_routes(const s24m_stream *c, const s24m_stage *s, float *next)
{
    int64_t size = 2 * c->model->config.experts.used, width = s[1].inputs;
    for (int64_t t = 0; t < c->sequences * c->length; t++)
        memcpy(next + (t + 1) * width - size, c->route + t * size, (size_t)size * sizeof *next);
}

s24_status s24m_step_experts_in(const s24m_stream *c, const s24m_stage *s, float *next)
{
    const s24m_program *p = c->block->program;
    const s24m_experts *e = &c->model->config.experts;
    int64_t tokens = c->sequences * c->length, wide = e->ffn > e->shared ? e->ffn : e->shared;
    float *gathered = c->out[0], *room = gathered + tokens * c->model->config.hidden;
    float *out = s24m_floats(tokens * wide);
    s24_status status = out ? S24_OK : S24_E_MEMORY;
    for (int32_t i = 0; !status && i < s24m_groups(p, s); i++) {
        s24m_group group = s24m_group_at(p, s, i);
        int64_t count;
        if (group.expert < 0) {
            if (e->shared)
                status = put_shared(c, s, &group, room, out, next);
            continue;
        }
        bool both = p->first[S24M_EXPERT_UP] < 0;
        const float *x = s24m_group_rows(c, s, &group, gathered, &count);
        if (count)
            status = run_gate(c, group.first, both, x, count, e->ffn, room, out);
        if (!status)
            scatter(c, s, group.expert, out, next);
    }
    put_routes(c, s, next);
    free(out);
    return status;
}

/* y += weight * row, for the tokens of an expert. */
static void add_weighted(const s24m_stream *c, const s24m_stage *s, int32_t expert,
                         const float *rows, float *y)
{
    int64_t hidden = c->model->config.hidden;
    routes r = s24m_routes(c, s);
    for (int64_t t = 0; t < r.tokens; t++) {
        int64_t slot = s24m_slot(&r, t, expert);
        if (slot < 0)
            continue;
        float weight = r.at[t * r.stride + r.used + slot];
        for (int64_t i = 0; i < hidden; i++)
            y[t * hidden + i] += weight * rows[i];
        rows += hidden;
    }
}

/* sigmoid of the switch's product with the norm of h, which is made again: the same bits. */
static s24_status switch_shared(const s24m_stream *c, float *rows)
{
    const s24m_program *p = c->block->program;
    int64_t hidden = c->model->config.hidden, tokens = c->sequences * c->length;
    if (p->first[S24M_SHARED_SWITCH] < 0)
        return S24_OK;
    float *x = s24m_floats(tokens * (hidden + 1)), *gate = x + tokens * hidden;
    const s24m_stage *in = p->stages + s24m_stage_of(p, p->first[S24M_SHARED_SWITCH]);
    s24_status status = x ? s24m_step_norm(c, in, x) : (s24_status)S24_E_MEMORY;
    if (!status)
        status = s24m_project(c->model, c->block->linear + p->first[S24M_SHARED_SWITCH], x, tokens,
                              gate);
    for (int64_t t = 0; !status && t < tokens; t++)
        for (int64_t i = 0; i < hidden; i++)
            rows[t * hidden + i] *= 1.0f / (1.0f + exponential(-gate[t]));
    free(x);
    return status;
}

static void add_all(float *y, const float *rows, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        y[i] += rows[i];
}

s24_status s24m_experts_sum(const s24m_stream *c, const s24m_stage *s)
{
    const s24m_program *p = c->block->program;
    int64_t hidden = c->model->config.hidden, tokens = c->sequences * c->length;
    float *y = c->out[0], *rows = y + tokens * hidden, *room = rows + tokens * hidden;
    s24_status status = S24_OK;
    memset(y, 0, (size_t)(tokens * hidden) * sizeof *y);
    for (int32_t i = 0; !status && i < s24m_groups(p, s); i++) {
        s24m_group group = s24m_group_at(p, s, i);
        int64_t count;
        const float *x = s24m_group_rows(c, s, &group, room, &count);
        if (count)
            status = s24m_project(c->model, c->block->linear + group.first, x, count, rows);
        if (!status && group.expert >= 0)
            add_weighted(c, s, group.expert, rows, y);
        else if (!status && !(status = switch_shared(c, rows)))
            add_all(y, rows, tokens * hidden);
    }
    return status;
}

s24_status s24m_step_experts_out(const s24m_stream *c, const s24m_stage *s, float *next)
{
    s24_status status = s24m_experts_sum(c, s);
    return status ? status : s24m_step_add(c, s, next);
}

/* Of the experts that a token takes, not of all. */
double s24m_flops_experts(const s24m_model *model, const s24m_program *p, const s24m_stage *s,
                          int64_t sequences, int64_t length)
{
    const s24m_experts *e = &model->config.experts;
    double tokens = (double)(sequences * length), products = 0;
    const s24m_matrix *matrix = p->matrices + s->first;
    for (int32_t i = 0; i < s->count; i++) {
        double share = matrix[i].expert < 0 ? 1 : (double)e->used / (double)e->count;
        products += share * (double)matrix[i].inputs * (double)matrix[i].outputs;
    }
    return 2 * tokens * products;
}
