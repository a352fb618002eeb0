/* The scores of weights of a run: asked for and used by the same run, moved as channels are. */
#include "compression.h"
#include "order.h"
#include <stdlib.h>
#include <string.h>

/* Whether the solver's options say that it ranks by scores that come with a problem. */
static bool ranks(const s24_compression *c, bool *by_scores)
{
    const settings *s = &c->settings;
    const char *score = "input";
    s24_solver *solver = NULL;
    *by_scores = false;
    if (!s->solver)
        return true;
    bool done =
        s24m_good(s24_solver_create(s->ctx, s->solver, &solver), "--solver %s", s->solver) &&
        s24m_good(s24_solver_parse(solver, s->options), "--solver %s", s->solver);
    if (done && s24_solver_get_str(solver, "score", &score) == S24_OK)
        *by_scores = !strcmp(score, "importance") || !strcmp(score, "gblm");
    s24_solver_destroy(solver);
    return done;
}

/* Rows that the model wrote count by their weight, as they do in the sums. */
static double samples_of(const s24_compression *c)
{
    const s24m_self *self = &c->settings.self;
    double samples =
        (double)(c->sequences.count[0] - self->rows) + self->weight * (double)self->rows;
    return samples > 1 ? samples : 1;
}

bool s24m_job_settle_scores(s24_compression *c)
{
    settings *s = &c->settings;
    bool by_scores, asked = *c->importance;
    s->samples = samples_of(c);
    s24m_scores_close(&s->scores);
    if (!ranks(c, &by_scores) || (asked && !s24m_scores_open(&s->scores, s->ctx, c->importance)))
        return false;
    if (asked && !by_scores)
        return s24m_wrong(S24_E_OPTION,
                          "--importance: %s ranks by no scores: give --solver wanda --options "
                          "score=gblm or score=importance",
                          s->solver ? s->solver : "no solver that constraints choose");
    return asked || !by_scores ||
           s24m_wrong(S24_E_STATE,
                      "--options %s: it ranks by scores: give --importance FILE, which sparse24 "
                      "importance writes",
                      s->options ? s->options : "");
}

bool s24m_job_check_scores(const s24_compression *c, const char *name, int64_t rows, int64_t cols)
{
    return !c->settings.scores.file || s24m_scores_check(&c->settings.scores, name, rows, cols);
}

static bool read_all(const s24_compression *c, const s24m_block *block, matrix *m)
{
    bool done = true;
    for (int32_t i = 0; done && i < block->program->count; i++)
        if (m[i].constraints)
            done = (m[i].scores = s24m_scores_read(&c->settings.scores, m[i].tensor, m[i].w.rows,
                                                   m[i].w.cols));
    return done;
}

/* Scores stand in the places of weights, and go where those went. */
static bool move(const s24_compression *c, const s24m_block *block, const matrix *m)
{
    s24m_block scores = *block;
    size_t size = (size_t)block->program->count * sizeof *scores.linear;
    bool done = (scores.linear = s24m_have(malloc(size)));
    if (done)
        memcpy(scores.linear, block->linear, size);
    for (int32_t i = 0; done && i < block->program->count; i++) {
        scores.linear[i].weights.data = m[i].scores;
        scores.linear[i].bias = NULL;
    }
    for (int32_t i = 0; done && i < block->program->count; i++)
        done = !m[i].order || s24m_done(s24m_order_apply(c->model, &scores, i, m[i].order));
    free(scores.linear);
    return done;
}

bool s24m_job_read_scores(s24_compression *c, const s24m_block *block, matrix *m)
{
    return !c->settings.scores.file || (read_all(c, block, m) && move(c, block, m));
}
