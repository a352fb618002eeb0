#include "walk_rank.h"
#include "fail.h"
#include "order.h"
#include "terms.h"
#include "walk_first.h"
#include <stdlib.h>
#include <string.h>

typedef struct ranks {
    walk *w;
    s24m_block *block;
    matrix *down;
    s24_mat up;                   /* rows of it, or of gate and up in one */
    int32_t stage_up, stage_down; /* first matrices of their stages */
    s24_gram *inputs, *inner;
} ranks;

/* ---- Which ---- */

/* The last giver is up. */
static bool find(ranks *r, matrix *matrices)
{
    const s24m_program *p = r->block->program;
    int32_t which = p->first[S24M_DOWN];
    s24m_giver g, up = {0};
    int32_t count = 0;
    if (!r->w->settings->solver || strcmp(r->w->settings->solver, "mlprank") || which < 0 ||
        !matrices[which].constraints || s24m_terms(matrices[which].constraints).unit != UNIT_COLUMN)
        return false;
    while (s24m_order_giver(r->w->model, p, which, count, &g)) {
        up = g;
        count++;
    }
    if (!count)
        return false;
    r->down = matrices + which;
    r->up = r->block->linear[up.which].weights;
    r->up.data = (float *)r->up.data + up.row * r->up.cols;
    r->up.rows = up.count;
    r->stage_up = p->stages[s24m_stage_of(p, up.which)].first;
    r->stage_down = p->stages[s24m_stage_of(p, which)].first;
    return true;
}

/* ---- Sums ---- */

static bool add(s24_gram *gram, const s24m_stream *c, const s24m_stage *stage)
{
    s24_mat x = {0};
    s24_mat_rowmajor(&x, c->x, c->sequences * c->length, stage->inputs, S24_F32);
    return s24m_good(s24_gram_add(gram, &x, NULL), "inputs of %s", stage->name);
}

static bool visit(void *arg, const s24m_stream *c, const s24m_stage *stage)
{
    ranks *r = arg;
    return (stage->first != r->stage_up || add(r->inputs, c, stage)) &&
           (stage->first != r->stage_down || add(r->inner, c, stage));
}

/* ---- Scores ---- */

static bool take_norms(ranks *r)
{
    matrix *m = r->down;
    size_t cols = (size_t)r->up.cols;
    m->input_scores = s24m_have(malloc(cols * sizeof *m->input_scores));
    m->output_norms = s24m_have(malloc((size_t)r->up.rows * sizeof *m->output_norms));
    if (!m->input_scores || !m->output_norms)
        return false;
    m->previous = r->up;
    if (r->w->scores)
        memcpy(m->input_scores, r->w->scores, cols * sizeof *m->input_scores);
    else if (!s24m_good(s24_gram_norms(r->inputs, NULL, m->input_scores), "%s", m->tensor))
        return false;
    return s24m_good(s24_gram_norms(r->inputs, &r->up, m->output_norms), "%s", m->tensor);
}

/* The scores of the block's outputs, which the next block starts from. */
static bool pass_on(ranks *r, s24_solver *solver, const s24_problem *problem)
{
    walk *w = r->w;
    s24_result *result = NULL;
    s24_mat scores;
    size_t size = (size_t)r->down->w.rows * sizeof *w->scores;
    s24_status status = s24_solver_set_int(solver, "refit", 0);
    status = status ? status : s24_solve(solver, problem, &result);
    status = status ? status : s24_result_matrix(result, "output_scores", &scores);
    bool done = s24m_good(status, "%s", r->down->tensor) &&
                (w->scores || (w->scores = s24m_have(malloc(size))));
    if (done)
        memcpy(w->scores, scores.data, size);
    s24_result_destroy(result);
    return done;
}

static bool chain(ranks *r)
{
    const settings *s = r->w->settings;
    s24_problem *problem = NULL;
    s24_solver *solver = NULL;
    int64_t chains = 0;
    const sums given = {r->inner, NULL};
    bool done = s24m_matrix_problem(&problem, r->down, s, &given) &&
                s24m_matrix_solver(&solver, s, problem) &&
                s24m_good(s24_solver_get_int(solver, "chain", &chains), "%s", r->down->tensor) &&
                (!chains || pass_on(r, solver, problem));
    s24_solver_destroy(solver);
    s24_problem_destroy(problem);
    return done;
}

bool s24m_walk_rank(walk *w, s24m_block *block, matrix *matrices)
{
    ranks r = {.w = w, .block = block};
    if (!find(&r, matrices))
        return true;
    s24_ctx *ctx = w->settings->ctx;
    bool done =
        s24m_good(s24_gram_create(ctx, r.up.cols, S24_F32, &r.inputs), "%s", r.down->tensor) &&
        s24m_good(s24_gram_create(ctx, r.up.rows, S24_F32, &r.inner), "%s", r.down->tensor) &&
        s24m_walk_first(w, block, visit, &r) && take_norms(&r) && chain(&r);
    s24_gram_destroy(r.inner);
    s24_gram_destroy(r.inputs);
    return done;
}
