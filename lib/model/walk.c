#include "walk_step.h"
#include "fail.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Where in the block we are ---- */

/* The progress of this part, and its end, as shares of the whole job. */
void s24m_walk_part(const step *s)
{
    const walk *w = s->w;
    double before = 0, all = 0;
    for (int p = 0; p < w->parts; p++) {
        before += p < s->part ? w->seconds[p] : 0;
        all += w->seconds[p];
    }
    double unit = 1.0 / w->blocks;
    s24m_watch_span(w->settings->watch, unit * (w->block + before / all),
                    unit * (w->block + (before + w->seconds[s->part]) / all));
}

bool s24m_walk_show(const step *s, const char *phase, double fraction)
{
    char title[40];
    snprintf(title, sizeof title, "block %d of %d", s->w->block + 1, s->w->blocks);
    return s24m_watch_show(s->w->settings->watch, title, phase, fraction);
}

/* ---- The two streams, chunk by chunk ---- */

/* What the dense matrix gave, for later; with h where the norm of the sum follows. */
static bool keep_wanted(const step *s, const s24m_stream *c, const s24m_stage *stage)
{
    walk *w = s->w;
    const float *wanted = c->out[0];
    int64_t size = s->count * w->model->config.hidden;
    if (stage->over != S24M_NO_PART) {
        for (int64_t i = 0; i < size; i++)
            w->wanted[i] = c->h[i] + c->out[0][i];
        wanted = w->wanted;
    }
    return s24m_activations_write(&w->wanted_later, s->first, s->count, wanted);
}

/* A stage of the dense model behind its products. */
static bool finish_dense(const step *s, s24m_stream *c, const s24m_stage *stage)
{
    bool later = stage->ending != S24M_LEAVES && !stage->routed && !s24m_stage_is_linear(stage);
    return (!later || keep_wanted(s, c, stage)) && s24m_done(s24m_stage_finish(c, stage));
}

static bool project_dense(s24m_stream *c, const s24m_stage *stage)
{
    bool done = s24m_done(s24m_stage_begin(c, stage));
    for (int32_t i = 0; done && !stage->routed && i < stage->count; i++)
        done = s24m_done(s24m_stage_project(c, stage, i));
    return done;
}

/* The dense model through this stage and those that take what it leaves. What its matrices give is
 * wanted for x. What it set aside is what was wanted of that stage. */
static bool run_dense(step *s, const float *x)
{
    walk *w = s->w;
    const s24m_stage *stage = s->stage;
    s24m_stream c = w->stream;
    c.block = s->dense;
    c.h = w->other;
    c.fresh = w->fresh;
    c.route = w->route;
    bool late = w->model->config.parallel && stage > s->program->stages;
    bool done = s24m_activations_read(&w->dense, s->first, s->count, c.h) &&
                (!late || s24m_activations_read(&w->wanted_later, s->first, s->count, c.aside)) &&
                project_dense(&c, stage) &&
                (stage->routed || s24m_watch_inputs(s, x, c.x, c.out)) &&
                finish_dense(s, &c, stage);
    while (done && (++stage)->count && !stage->input)
        done = project_dense(&c, stage) && finish_dense(s, &c, stage);
    return done && s24m_activations_write(&w->dense, s->first, s->count, c.h);
}

/* The compressed model through the stage before this one. Its input was kept, or is made from h
 * again. */
static bool run_before(step *s)
{
    walk *w = s->w;
    s24m_stream *c = &w->stream;
    if (s->stage == s->program->stages)
        return true;
    const s24m_stage *before = s->stage - 1;
    bool joins = w->model->config.parallel && before->ending == S24M_ADDS;
    return (before->input || s24m_activations_read(&w->inputs, s->first, s->count, c->zone)) &&
           (!joins || s24m_activations_read(&w->aside, s->first, s->count, c->aside)) &&
           s24m_done(s24m_stage_run(c, before)) &&
           (before->ending != S24M_SETS_ASIDE ||
            s24m_activations_write(&w->aside, s->first, s->count, c->aside)) &&
           (before->ending != S24M_ADDS ||
            s24m_activations_write(&w->compressed, s->first, s->count, c->h));
}

/* Up to the inputs of this stage's matrices, which the streams have seen before. */
static bool run_again(step *s)
{
    walk *w = s->w;
    return (s->stage->input ||
            s24m_activations_read(&w->inputs, s->first, s->count, w->stream.zone)) &&
           s24m_done(s24m_stage_begin(&w->stream, s->stage)) && s24m_watch_routed_inputs(s);
}

/* Both streams up to the inputs of this stage's matrices. */
static bool run_chunk(step *s)
{
    walk *w = s->w;
    s24m_stream *c = &w->stream;
    c->block = s->compressed;
    c->sequences = s->count / w->length;
    bool done = s24m_activations_read(&w->compressed, s->first, s->count, c->h);
    if (s->again)
        return done && run_again(s);
    done = done && run_before(s);
    if (!done || !s->stage->count)
        return done;
    done = s24m_done(s24m_stage_begin(c, s->stage));
    if (s->stage->routed)
        done = done && s24m_watch_routed_inputs(s);
    if (s->stage->input)
        return done && (corrects(w)        ? run_dense(s, c->x)
                        : s->stage->routed ? true
                                           : s24m_watch_inputs(s, c->x, NULL, NULL));
    return done && (s->stage->routed || s24m_watch_kept_inputs(s, c->x)) &&
           s24m_activations_write(&w->inputs, s->first, s->count, c->x);
}

/* ---- A block ---- */

/* It holds the inputs of this stage or of the one before, whichever cannot be made from h. */
static void aim_store(const step *s)
{
    const s24m_stage *kept = s->stage;
    if (kept > s->program->stages && (!kept->count || kept->input))
        kept--;
    if (!kept->input)
        s24m_activations_reuse(&s->w->inputs, kept->inputs);
}

static int64_t tokens_of(const walk *w)
{
    return (w->sequences[0] + w->sequences[1]) * w->length;
}

/* All tokens: the user's, those of rows that the model wrote, those held out. Rows that judge
 * training later are the last of the first kind that there is, and weigh nothing. */
static bool pass(step *s, const char *phase)
{
    walk *w = s->w;
    double began = s24_seconds();
    int64_t own = w->own, given = w->sequences[0] - own, kept[2] = {0, 0};
    int64_t most = s24m_chunk_tokens(w->sequences, w->length);
    float weight = (float)w->settings->self.weight;
    kept[given == 0] = w->kept;
    const struct {
        int64_t sequences;
        float weight;
    } kinds[] = {{given - kept[0], 1},
                 {kept[0], 0},
                 {own - kept[1], weight},
                 {kept[1], 0},
                 {w->sequences[1], 1}};
    const int kinds_of = sizeof kinds / sizeof *kinds;
    bool done = true;
    s24m_walk_part(s);
    aim_store(s);
    s->first = 0;
    for (int kind = 0; kind < kinds_of; kind++) {
        int64_t end = s->first + kinds[kind].sequences * w->length;
        s->held = kind == kinds_of - 1;
        s->weight = kinds[kind].weight;
        s24m_walk_weigh(w, s->weight);
        for (; done && s->first < end; s->first += s->count) {
            s->count = end - s->first < most ? end - s->first : most;
            done =
                s24m_walk_show(s, phase, (double)s->first / (double)tokens_of(w)) && run_chunk(s);
        }
    }
    w->seconds[s->part++] = s24_seconds() - began;
    return done;
}

static bool solve(step *s, bundle *b, int i)
{
    walk *w = s->w;
    int32_t which = b->group.first + i;
    matrix *m = s->matrices + which;
    double began = s24_seconds(), flops = NAN;
    bool done = !s24m_wants(s, which) || s24m_bundle_aim(s, b, i, &s->dense->linear[which].weights);
    sums calib, held;
    s24m_bundle_sums(b, i, &calib, &held);
    s24m_walk_part(s);
    if (b->group.expert >= 0)
        m->tokens = b->tokens[0];
    if (done && s24m_wants(s, which)) {
        done = s24m_walk_show(s, m->kind, 0) && w->solve(m, w->settings, &calib, &held);
        if (done && s24_result_float(m->result, "flops", &flops) == S24_OK && !isnan(flops))
            w->flops += flops;
    }
    s24m_bundle_aimed(b, i);
    s24m_matrix_let_go(m);
    if (m->v)
        s->compressed->linear[which].weights.data = m->v;
    w->seconds[s->part++] = s24_seconds() - began;
    return done;
}

static bool solve_bundle(step *s, bundle *b)
{
    bool done = true;
    if (s24m_together(s->w->settings->ranks))
        return s24m_portions_solve(s, b);
    for (int i = 0; done && i < b->group.count; i++)
        done = solve(s, b, i);
    return done;
}

static bool walk_stage(step *s)
{
    char phase[64];
    bool done = true;
    snprintf(phase, sizeof phase, "inputs of %s", s->stage->name);
    s->again = false;
    for (int32_t first = 0; done && first < s24m_groups(s->program, s->stage);
         first += s24m_walk_abreast(s->program, s->stage)) {
        done = s24m_bundles_open(s, first) && pass(s, phase) && s24m_bundles_join(s) &&
               s24m_bundles_merge(s);
        for (bundle *b = s->bundles; done && b < s->bundles + s->count_bundles; b++)
            done = solve_bundle(s, b);
        s24m_bundles_close(s);
        s->again = true;
    }
    s24_gram_destroy(s->pool);
    s->pool = NULL;
    s->again = false;
    return done;
}

/* Behind the last solve: what was trained takes part, and h goes through the whole block again. */
static bool refine(step *s, trained *vectors)
{
    bool done = s24m_walk_refine(s, vectors);
    for (int32_t i = 0; i < s->program->count; i++)
        if (s->matrices[i].v)
            s->compressed->linear[i].weights.data = s->matrices[i].v;
    s24m_trained_use(vectors, s->compressed);
    return done && s24m_walk_again(s);
}

bool s24m_walk_block(walk *w, s24m_block *block, matrix *matrices, trained *vectors)
{
    s24m_block compressed = *block;
    step s = {.w = w, .program = block->program, .dense = block, .compressed = &compressed};
    int64_t sequences = w->sequences[0] + w->sequences[1];
    size_t size = (size_t)block->program->count * sizeof *compressed.linear;
    bool done = (compressed.linear = s24m_have(malloc(size)));
    s.matrices = matrices;
    s.resumed = true;
    for (int32_t i = 0; i < block->program->count; i++)
        s.resumed = s.resumed && !s24m_wants(&s, i);
    if (done)
        memcpy(compressed.linear, block->linear, size);
    s24m_walk_guess(w, block->program);
    done = done && (!vectors || s24m_walk_keep(&s));
    for (s.stage = block->program->stages; done && s.stage->count; s.stage++)
        done = walk_stage(&s);
    done = done && (vectors ? refine(&s, vectors) : pass(&s, "outputs"));
    w->flops += s24m_flops(w->model, block->layer, sequences, w->length) * (corrects(w) ? 2 : 1);
    w->block++;
    free(compressed.linear);
    return done;
}
