#include "order.h"
#include "family.h"
#include "steps.h"
#include <stdlib.h>
#include <string.h>

/* ---- What may move ---- */

/* The stage that leaves the inputs of a matrix; NULL: they are made from h. */
static const s24m_stage *giving_stage(const s24m_program *p, int32_t which)
{
    const s24m_stage *s = p->stages + s24m_stage_of(p, which);
    return s->input || s->routed || s == p->stages ? NULL : s - 1;
}

s24m_movable s24m_order_movable(const s24m_model *model, const s24m_program *p, int32_t which)
{
    const s24m_config *c = &model->config;
    const s24m_stage *s = giving_stage(p, which);
    if (s && s->finish == s24m_step_gate)
        return (s24m_movable){1, 1, c->ffn};
    if (s && s->finish == s24m_step_attention && c->qkv != S24M_SWITCHED)
        return (s24m_movable){c->kv_heads, c->heads / c->kv_heads, c->head_dim};
    return (s24m_movable){0, 0, 0};
}

/* Where v of key's head `head` lies. */
static s24m_giver value_rows(const s24m_config *c, const s24m_program *p, int64_t head)
{
    int64_t size = c->head_dim, each = c->heads / c->kv_heads;
    s24m_giver v = {.which = p->first[S24M_Q], .input = head * each * size, .count = size};
    switch (c->qkv) {
    case S24M_BLOCKS:
        v.row = (c->heads + c->kv_heads + head) * size;
        return v;
    case S24M_BY_HEAD:
    case S24M_BY_GROUP:
        v.row = (head * (each + 2) + each + 1) * size;
        return v;
    default:
        v.which = p->first[S24M_V];
        v.row = head * size;
        return v;
    }
}

/* gate and up; either may be half of a tensor, or there is up alone. */
static bool mlp_rows(const s24m_config *c, const s24m_program *p, int32_t i, s24m_giver *giver)
{
    int32_t gate = p->first[S24M_GATE], up = p->first[S24M_UP];
    int32_t which = i ? up : gate < 0 ? up : gate;
    bool fused = up < 0, there = i < (gate < 0 ? 1 : 2);
    *giver = (s24m_giver){fused ? gate : which, fused ? i * c->ffn : 0, 0, c->ffn};
    return there;
}

bool s24m_order_giver(const s24m_model *model, const s24m_program *p, int32_t which, int32_t i,
                      s24m_giver *giver)
{
    s24m_movable m = s24m_order_movable(model, p, which);
    if (!m.width)
        return false;
    if (giving_stage(p, which)->finish == s24m_step_gate)
        return mlp_rows(&model->config, p, i, giver);
    *giver = value_rows(&model->config, p, i < m.groups ? i : 0);
    return i < m.groups;
}

/* ---- Moving ---- */

/* Every stretch of the order has each of its own inputs once, and tied stretches move alike. */
static s24_status check(const s24m_movable *m, const int32_t *order, const char *name)
{
    int64_t count = m->groups * m->tied * m->width;
    char *seen = calloc((size_t)count + 1, 1);
    bool good = seen;
    for (int64_t j = 0; good && j < count; j++) {
        int64_t first = j - j % m->width, run = j - j % (m->tied * m->width);
        good = order[j] >= first && order[j] < first + m->width && !seen[order[j]] &&
               order[j] - first == order[run + j % m->width] - run;
        if (good)
            seen[order[j]] = 1;
    }
    bool memory = seen;
    free(seen);
    return good     ? S24_OK
           : memory ? s24m_fail(S24_E_FORMAT, "%s: this is no order of its inputs", name)
                    : s24m_fail(S24_E_MEMORY, "out of memory");
}

/* Room to move rows of so many floats. */
typedef struct mover {
    float *row;
    char *moved;
} mover;

/* rows[j] = rows[order[j] - base], cycle by cycle. */
static void move_rows(const mover *m, float *rows, int64_t width, const s24m_giver *g,
                      const int32_t *order)
{
    size_t size = (size_t)width * sizeof *rows;
    for (int64_t i = 0; i < g->count; i++)
        m->moved[i] = 0;
    rows += g->row * width;
    order += g->input;
    for (int64_t start = 0; start < g->count; start++) {
        int64_t to = start, from;
        if (m->moved[start])
            continue;
        memcpy(m->row, rows + start * width, size);
        while (m->moved[to] = 1, (from = order[to] - g->input) != start) {
            memcpy(rows + to * width, rows + from * width, size);
            to = from;
        }
        memcpy(rows + to * width, m->row, size);
    }
}

static void move_columns(const mover *m, const s24_mat *w, const int32_t *order)
{
    for (int64_t r = 0; r < w->rows; r++) {
        float *row = (float *)w->data + r * w->cols;
        memcpy(m->row, row, (size_t)w->cols * sizeof *row);
        for (int64_t j = 0; j < w->cols; j++)
            row[j] = m->row[order[j]];
    }
}

s24_status s24m_order_apply(const s24m_model *model, s24m_block *block, int32_t which,
                            const int32_t *order)
{
    const s24m_program *p = block->program;
    s24m_movable movable = s24m_order_movable(model, p, which);
    s24m_linear *linear = block->linear + which;
    s24m_giver g;
    if (!movable.width)
        return s24m_fail(S24_E_FORMAT, "%s: its inputs cannot move", linear->name);
    s24_status status = check(&movable, order, linear->name);
    int64_t widest = linear->weights.cols;
    for (int32_t i = 0; s24m_order_giver(model, p, which, i, &g); i++)
        if (p->matrices[g.which].inputs > widest)
            widest = p->matrices[g.which].inputs;
    mover m = {malloc((size_t)widest * sizeof(float)), malloc((size_t)linear->weights.cols)};
    if (!status && (!m.row || !m.moved))
        status = s24m_fail(S24_E_MEMORY, "out of memory");
    for (int32_t i = 0; !status && s24m_order_giver(model, p, which, i, &g); i++) {
        s24m_linear *giver = block->linear + g.which;
        move_rows(&m, giver->weights.data, giver->weights.cols, &g, order);
        if (giver->bias)
            move_rows(&m, giver->bias, 1, &g, order);
    }
    if (!status)
        move_columns(&m, &linear->weights, order);
    free(m.row);
    free(m.moved);
    return status;
}
