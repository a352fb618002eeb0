#include "family.h"
#include "parts.h"
#include "steps.h"
#include <stdlib.h>

/* What a program is made from. */
typedef struct maker {
    const s24m_model *model;
    const s24m_family *family;
    const s24m_config *c;
    s24m_program *p;
    bool failed;         /* no memory */
    s24m_matrix nowhere; /* what is written then */
} maker;

/* ---- Matrices ---- */

static bool is_fixed(int32_t role)
{
    return role == S24M_ROUTER || role == S24M_SHARED_SWITCH || role == S24M_DELTA_A ||
           role == S24M_DELTA_B;
}

static s24m_presence bias_of(const maker *m, int32_t role)
{
    if (m->c->biased >> role & 1)
        return S24M_ALWAYS;
    return m->c->gguf ? S24M_MAYBE : S24M_NEVER;
}

static s24m_matrix *add(maker *m, int32_t role, int64_t outputs, int64_t inputs)
{
    s24m_program *p = m->p;
    if (p->count == p->room) {
        int32_t room = 2 * p->room + 8;
        s24m_matrix *more = realloc(p->matrices, (size_t)room * sizeof *more);
        m->failed |= !more;
        if (!more)
            return &m->nowhere;
        p->matrices = more;
        p->room = room;
    }
    if (p->first[role] < 0)
        p->first[role] = p->count;
    p->matrices[p->count] = (s24m_matrix){.role = role,
                                          .expert = -1,
                                          .outputs = outputs,
                                          .inputs = inputs,
                                          .transposed = m->family->transposed && !m->c->gguf,
                                          .fixed = is_fixed(role),
                                          .bias = bias_of(m, role)};
    return &p->matrices[p->count++];
}

static void add_expert(maker *m, int32_t role, int32_t expert, int64_t outputs, int64_t inputs)
{
    s24m_stacking stacking = m->family->experts->stacking;
    s24m_matrix *made = add(m, role, outputs, inputs);
    made->expert = expert;
    if (m->c->gguf || stacking != S24M_EACH)
        made->slices = m->c->experts.count;
    made->transposed = !m->c->gguf && stacking == S24M_STACKED_TURNED;
}

/* ---- Stages ---- */

static s24m_stage *next_stage(const maker *m, const char *name)
{
    s24m_stage *s = m->p->stages;
    while (s->name)
        s++;
    *s = (s24m_stage){.name = name,
                      .first = m->p->count,
                      .gain = S24M_NO_PART,
                      .after = S24M_NO_PART,
                      .over = S24M_NO_PART,
                      .flops = s24m_flops_products};
    return s;
}

/* Matrices were added since it began. */
static void close_stage(const maker *m, s24m_stage *s)
{
    const s24m_matrix *matrix = m->p->matrices + s->first;
    s->count = m->p->count - s->first;
    for (int32_t i = 0; !s->routed && !m->failed && i < s->count; i++) {
        s->inputs = matrix[i].inputs;
        s->outputs += matrix[i].outputs;
    }
}

static void set_vector(const maker *m, int32_t part, int64_t rows, int64_t cols)
{
    const s24m_family *f = m->family;
    bool norm = part < S24M_SINKS || part == S24M_DELTA_NORM;
    bool heads = part == S24M_Q_NORM || part == S24M_K_NORM || part == S24M_DELTA_NORM;
    bool bare = norm && !heads && f->gain == S24M_NO_GAIN;
    m->p->vector[part - S24M_ROLES] =
        (s24m_vector){.rows = rows,
                      .cols = cols,
                      .gain = bare ? S24M_NEVER : S24M_ALWAYS,
                      .shift = norm && !heads && f->shifts ? S24M_ALWAYS : S24M_NEVER};
}

/* `which` of the norms around attention and MLP, if the family has it. */
static int32_t norm_of(const maker *m, int32_t bit, int32_t part)
{
    int32_t norms = m->family->norms ? m->family->norms : S24M_BEFORE;
    if (!(norms & bit))
        return S24M_NO_PART;
    set_vector(m, part, m->c->hidden, 0);
    return part;
}

/* Whatever goes to the residual stream last of a branch. */
static void add_out(maker *m, const char *name, int32_t role, int64_t inputs, int32_t bit,
                    int32_t norm)
{
    s24m_stage *s = next_stage(m, name);
    add(m, role, m->c->hidden, inputs);
    s->finish = s24m_step_add;
    s->ending = S24M_ADDS;
    s->after = norm_of(m, bit, norm);
    s->over = norm_of(m, bit == S24M_AFTER_MLP ? S24M_OVER_MLP : S24M_OVER_ATTENTION, norm);
    close_stage(m, s);
}

/* ---- Attention ---- */

static void add_head_norms(const maker *m)
{
    const s24m_config *c = m->c;
    int64_t q = c->heads * c->head_dim, k = c->kv_heads * c->head_dim, size = c->head_dim;
    if (m->family->head_norms == S24M_NO_HEAD_NORMS)
        return;
    bool wide = m->family->head_norms == S24M_WIDE_NORMS;
    bool own = m->family->head_norms == S24M_OWN_NORMS;
    set_vector(m, S24M_Q_NORM, wide ? q : own ? c->heads : size, own ? size : 0);
    set_vector(m, S24M_K_NORM, wide ? k : own ? c->kv_heads : size, own ? size : 0);
}

static void add_attention(maker *m)
{
    const s24m_config *c = m->c;
    int layout = c->qkv;
    int64_t q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    s24m_stage *s = next_stage(m, "q, k, v");
    s->input = s24m_step_norm;
    s->gain = norm_of(m, S24M_BEFORE_ATTENTION, S24M_ATTENTION_NORM);
    s->finish = s24m_step_attention;
    s->apart = true;
    s->flops = s24m_flops_attention;
    if (layout == S24M_SEPARATE || layout == S24M_SWITCHED) {
        add(m, S24M_Q, layout == S24M_SWITCHED ? 2 * q : q, c->hidden);
        add(m, S24M_K, kv, c->hidden);
        add(m, S24M_V, kv, c->hidden);
    } else {
        add(m, S24M_Q, q + 2 * kv, c->hidden);
    }
    close_stage(m, s);
    add_head_norms(m);
    if (m->family->sinks)
        set_vector(m, S24M_SINKS, c->heads, 0);
    add_out(m, "o", S24M_O, q, S24M_AFTER_ATTENTION, S24M_ATTENTION_OUT_NORM);
}

static void add_delta(maker *m)
{
    const s24m_delta *d = &m->c->delta;
    int64_t hidden = m->c->hidden, keys = d->key_heads * d->key_size;
    int64_t values = d->value_heads * d->value_size;
    s24m_stage *s = next_stage(m, "qkv, z");
    s->input = s24m_step_norm;
    s->gain = norm_of(m, S24M_BEFORE_ATTENTION, S24M_ATTENTION_NORM);
    s->finish = s24m_step_delta;
    s->apart = true;
    s->flops = s24m_flops_delta;
    add(m, S24M_DELTA_QKV, 2 * keys + values, hidden);
    add(m, S24M_DELTA_Z, values, hidden);
    add(m, S24M_DELTA_B, d->value_heads, hidden);
    add(m, S24M_DELTA_A, d->value_heads, hidden);
    close_stage(m, s);
    set_vector(m, S24M_CONVOLUTION, 2 * keys + values, d->kernel);
    set_vector(m, S24M_DECAY, d->value_heads, 0);
    set_vector(m, S24M_STEP, d->value_heads, 0);
    set_vector(m, S24M_DELTA_NORM, d->value_size, 0);
    add_out(m, "out", S24M_DELTA_OUT, values, S24M_AFTER_ATTENTION, S24M_ATTENTION_OUT_NORM);
}

/* ---- MLP ---- */

/* In a parallel block without a norm of its own the MLP takes attention's. */
static int32_t mlp_norm(const maker *m)
{
    int32_t part = norm_of(m, S24M_BEFORE_MLP, S24M_MLP_NORM);
    return part == S24M_NO_PART && m->c->parallel
               ? norm_of(m, S24M_BEFORE_ATTENTION, S24M_ATTENTION_NORM)
               : part;
}

static void add_mlp(maker *m)
{
    const s24m_config *c = m->c;
    s24m_mlp mlp = m->family->mlp;
    s24m_stage *s = next_stage(m, mlp == S24M_PLAIN_MLP ? "up" : "gate, up");
    s->input = s24m_step_norm;
    s->gain = mlp_norm(m);
    s->finish = s24m_step_gate;
    if (mlp != S24M_PLAIN_MLP)
        add(m, S24M_GATE, mlp == S24M_FUSED_GATE ? 2 * c->ffn : c->ffn, c->hidden);
    if (mlp != S24M_FUSED_GATE)
        add(m, S24M_UP, c->ffn, c->hidden);
    close_stage(m, s);
    s->apart = mlp == S24M_FUSED_GATE;
    add_out(m, "down", S24M_DOWN, c->ffn, S24M_AFTER_MLP, S24M_MLP_OUT_NORM);
}

/* ---- Experts ---- */

static int64_t wider(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Gate and up side by side, then those for all, then what is not compressed. */
static void add_experts_in(maker *m)
{
    const s24m_experts *e = &m->c->experts;
    const s24m_routing *how = m->family->experts;
    bool fused = !m->c->gguf && how->stacking != S24M_EACH;
    int64_t hidden = m->c->hidden;
    s24m_stage *s = next_stage(m, "gate, up of experts");
    s->routed = s->apart = true;
    s->input = s24m_step_route;
    s->gain = mlp_norm(m);
    s->finish = s24m_step_experts_in;
    s->flops = s24m_flops_experts;
    s->inputs = hidden;
    s->outputs = hidden + 2 * wider(e->ffn, e->shared);
    for (int32_t i = 0; i < e->count; i++) {
        add_expert(m, S24M_EXPERT_GATE, i, fused ? 2 * e->ffn : e->ffn, hidden);
        if (!fused)
            add_expert(m, S24M_EXPERT_UP, i, e->ffn, hidden);
    }
    if (e->shared) {
        add(m, S24M_SHARED_GATE, e->shared, hidden);
        add(m, S24M_SHARED_UP, e->shared, hidden);
    }
    add(m, S24M_ROUTER, e->count, hidden);
    if (how->switched)
        add(m, S24M_SHARED_SWITCH, 1, hidden);
    close_stage(m, s);
    if (how->correction)
        set_vector(m, S24M_CORRECTION, how->correction_row ? 1 : e->count,
                   how->correction_row ? e->count : 0);
}

static void add_experts_out(maker *m)
{
    const s24m_experts *e = &m->c->experts;
    int64_t hidden = m->c->hidden;
    s24m_stage *s = next_stage(m, "down of experts");
    s->routed = true;
    s->finish = s24m_step_experts_out;
    s->ending = S24M_ADDS;
    s->after = norm_of(m, S24M_AFTER_MLP, S24M_MLP_OUT_NORM);
    s->flops = s24m_flops_experts;
    s->inputs = s24m_experts_width(e);
    s->outputs = 2 * hidden + wider(e->ffn, e->shared);
    for (int32_t i = 0; i < e->count; i++)
        add_expert(m, S24M_EXPERT_DOWN, i, hidden, e->ffn);
    if (e->shared)
        add(m, S24M_SHARED_DOWN, hidden, e->shared);
    close_stage(m, s);
}

/* ---- All of it ---- */

static bool is_same_kind(const s24m_layer *a, const s24m_layer *b)
{
    return a->recurrent == b->recurrent && a->experts == b->experts;
}

static bool make(maker *m, const s24m_layer *layer)
{
    *m->p = (s24m_program){0};
    for (int32_t i = 0; i < S24M_ROLES; i++)
        m->p->first[i] = -1;
    if (layer->recurrent)
        add_delta(m);
    else
        add_attention(m);
    if (m->c->parallel)
        m->p->stages[1].ending = S24M_SETS_ASIDE;
    if (layer->experts) {
        add_experts_in(m);
        add_experts_out(m);
    } else {
        add_mlp(m);
    }
    return !m->failed;
}

s24_status s24m_make_programs(s24m_model *model)
{
    enum { KINDS = 4 };
    int64_t of[KINDS];
    model->programs = calloc(KINDS, sizeof *model->programs);
    for (int64_t i = 0; model->programs && i < model->config.layers; i++) {
        int16_t kind = 0;
        while (kind < model->program_count &&
               !is_same_kind(model->layer + of[kind], model->layer + i))
            kind++;
        if (kind == model->program_count) {
            maker m = {.model = model,
                       .family = model->family,
                       .c = &model->config,
                       .p = model->programs + kind};
            of[kind] = i;
            model->program_count++;
            if (!make(&m, model->layer + i))
                return s24m_fail(S24_E_MEMORY, "out of memory");
        }
        model->layer[i].program = kind;
        model->matrix_count += model->programs[kind].count;
    }
    return model->programs ? S24_OK : s24m_fail(S24_E_MEMORY, "out of memory");
}

void s24m_free_programs(s24m_model *model)
{
    for (int32_t i = 0; i < model->program_count; i++)
        free(model->programs[i].matrices);
    free(model->programs);
}

const s24m_program *s24m_program_of(const s24m_model *model, int64_t layer)
{
    return model->programs + model->layer[layer].program;
}

int32_t s24m_matrices(const s24m_model *model, int64_t layer)
{
    return s24m_program_of(model, layer)->count;
}

const s24m_stage *s24m_stages(const s24m_model *model, int64_t layer)
{
    return s24m_program_of(model, layer)->stages;
}

void s24m_shape(const s24m_model *model, int64_t layer, int32_t which, int64_t *outputs,
                int64_t *inputs)
{
    const s24m_matrix *matrix = s24m_program_of(model, layer)->matrices + which;
    *outputs = matrix->outputs;
    *inputs = matrix->inputs;
}
