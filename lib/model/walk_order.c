/* The order of inner channels in which n:m loses least, found at the head of a block: from its
 * dense weights and the norms of their inputs over some of the calibration. */
#include "walk_order.h"
#include "fail.h"
#include "json.h"
#include "order.h"
#include "steps.h"
#include "tensors.h"
#include "terms.h"
#include "walk_first.h"
#include "walk_step.h"
#include <stdlib.h>

/* One matrix whose inputs may move. */
typedef struct ordered {
    int32_t which;
    terms pattern;
    s24m_movable movable;
    double *squares; /* of each of its inputs, summed over tokens */
} ordered;

typedef struct search {
    walk *w;
    s24m_block *block;
    matrix *matrices;
    ordered each[S24M_STAGES];
    int count;
} search;

/* ---- Which ---- */

/* The givers are written anew only where they are compressed too. */
static bool may_move(const search *s, const ordered *o)
{
    const s24m_model *model = s->w->model;
    s24m_giver g;
    bool may = o->movable.width && o->pattern.of && o->pattern.kept < o->pattern.of &&
               o->movable.width % o->pattern.of == 0;
    for (int32_t i = 0; may && s24m_order_giver(model, s->block->program, o->which, i, &g); i++)
        may = s->matrices[g.which].constraints;
    return may;
}

static bool open_search(search *s)
{
    const s24m_program *p = s->block->program;
    bool done = true;
    for (const s24m_stage *stage = p->stages; done && stage->count; stage++) {
        int32_t which = stage->first;
        ordered *o = s->each + s->count;
        if (!s->matrices[which].constraints)
            continue;
        *o = (ordered){.which = which,
                       .pattern = s24m_terms(s->matrices[which].constraints),
                       .movable = s24m_order_movable(s->w->model, p, which)};
        if (!may_move(s, o))
            continue;
        done =
            (o->squares = s24m_have(calloc((size_t)p->matrices[which].inputs, sizeof *o->squares)));
        s->count++;
    }
    return done;
}

static void close_search(search *s)
{
    for (int i = 0; i < s->count; i++)
        free(s->each[i].squares);
}

/* ---- Norms ---- */

static void add_squares(const s24m_stream *c, const s24m_stage *stage, ordered *o)
{
    int64_t tokens = c->sequences * c->length;
    for (int64_t t = 0; t < tokens; t++) {
        const float *x = c->x + t * stage->inputs;
        for (int64_t i = 0; i < stage->inputs; i++)
            o->squares[i] += (double)x[i] * (double)x[i];
    }
}

static bool visit(void *arg, const s24m_stream *c, const s24m_stage *stage)
{
    search *s = arg;
    for (int i = 0; i < s->count; i++)
        if (s->each[i].which == stage->first)
            add_squares(c, stage, s->each + i);
    return true;
}

/* What all ranks saw of it. */
static bool measure_together(search *s)
{
    bool done = s24m_walk_first(s->w, s->block, visit, s);
    for (int i = 0; i < s->count; i++) {
        const ordered *o = s->each + i;
        done = s24m_ranks_sum(s->w->settings->ranks, done, o->squares,
                              s->block->program->matrices[o->which].inputs);
    }
    return done;
}

/* ---- Order ---- */

/* What is lost with each weight: its square times the norm of its input. Rows of tied stretches
 * stand below each other. */
static float *score_of(const search *s, const ordered *o)
{
    const s24_mat *w = &s->block->linear[o->which].weights;
    const s24m_movable *m = &o->movable;
    int64_t cols = m->groups * m->width;
    float *score = s24m_have(malloc((size_t)(w->rows * w->cols) * sizeof *score));
    for (int64_t t = 0; score && t < m->tied; t++)
        for (int64_t r = 0; r < w->rows; r++) {
            const float *row = (const float *)w->data + r * w->cols;
            for (int64_t j = 0; j < cols; j++) {
                int64_t i = (j / m->width * m->tied + t) * m->width + j % m->width;
                score[(t * w->rows + r) * cols + j] =
                    (float)((double)row[i] * (double)row[i] * o->squares[i]);
            }
        }
    return score;
}

/* From an order of one stretch a group to that of all inputs. */
static bool spread(const ordered *o, const int64_t *order, matrix *to)
{
    const s24m_movable *m = &o->movable;
    int64_t count = m->groups * m->tied * m->width;
    to->order = s24m_have(malloc((size_t)count * sizeof *to->order));
    for (int64_t i = 0; to->order && i < count; i++) {
        int64_t group = i / (m->tied * m->width), stretch = i - i % m->width;
        int64_t moved = order[group * m->width + i % m->width] - group * m->width;
        to->order[i] = (int32_t)(stretch + moved);
    }
    return to->order;
}

static bool find_order(const search *s, const ordered *o)
{
    const s24m_movable *m = &o->movable;
    matrix *to = s->matrices + o->which;
    int64_t cols = m->groups * m->width, rows = s->block->linear[o->which].weights.rows;
    float *score = score_of(s, o);
    int64_t *order = s24m_have(malloc((size_t)cols * sizeof *order));
    bool done = score && order;
    if (done) {
        s24_mat view = s24m_mat(score, m->tied * rows, cols);
        done = s24m_good(s24_permutation(s->w->settings->ctx, &view, o->pattern.kept, o->pattern.of,
                                         m->width, order, to->kept),
                         "%s: order of its inputs", to->tensor);
    }
    free(score);
    if (done && to->kept[1] > to->kept[0])
        done = spread(o, order, to) &&
               s24m_done(s24m_order_apply(s->w->model, s->block, o->which, to->order));
    free(order);
    return done;
}

bool s24m_walk_order(walk *w, s24m_block *block, matrix *matrices)
{
    search s = {.w = w, .block = block, .matrices = matrices};
    bool done = !w->settings->permute || (open_search(&s) && (!s.count || measure_together(&s)));
    for (int i = 0; done && i < s.count; i++)
        done = s24m_watch_go_on(w->settings->watch) && find_order(&s, s.each + i);
    close_search(&s);
    return done;
}

/* ---- What is kept of it ---- */

bool s24m_order_again(const s24m_model *model, s24m_block *block, const matrix *matrices)
{
    bool done = true;
    for (int32_t i = 0; done && i < block->program->count; i++)
        done =
            !matrices[i].order || s24m_done(s24m_order_apply(model, block, i, matrices[i].order));
    return done;
}

static bool keep_bias(trained *t, const s24m_block *block, int32_t which)
{
    for (trained_vector *v = t->vectors; v < t->vectors + t->count; v++)
        if (v->kind == S24M_TRAINED_BIAS && v->which == which && !v->m.v) {
            int64_t count = block->linear[which].weights.rows;
            v->m.v = s24m_have(malloc((size_t)count * sizeof(float)));
            for (int64_t i = 0; v->m.v && i < count; i++)
                v->m.v[i] = block->linear[which].bias[i];
            return v->m.v;
        }
    return true;
}

static bool note(matrix *m)
{
    char *json = m->record.json;
    json = s24m_json_put_number(json, "permuted", 1);
    json = s24m_json_put_number(json, "score_kept", m->kept[1]);
    m->record.json = json = s24m_json_put_number(json, "score_kept_unpermuted", m->kept[0]);
    return json;
}

bool s24m_order_keep(const s24m_model *model, const s24m_block *block, matrix *matrices,
                     trained *vectors)
{
    s24m_giver g;
    bool done = true;
    for (int32_t which = 0; done && which < block->program->count; which++) {
        if (!matrices[which].order)
            continue;
        done = note(matrices + which);
        for (int32_t i = 0; done && s24m_order_giver(model, block->program, which, i, &g); i++)
            done = keep_bias(vectors, block, g.which);
    }
    return done;
}
