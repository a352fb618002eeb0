#include "walk_first.h"
#include "fail.h"
#include "steps.h"
#include "walk_step.h"

static bool run_stage(s24m_stream *c, const s24m_stage *stage, s24m_visit visit, void *arg)
{
    bool done = s24m_done(s24m_stage_begin(c, stage)) && visit(arg, c, stage);
    for (int32_t i = 0; done && !stage->routed && i < stage->count; i++)
        done = s24m_done(s24m_stage_project(c, stage, i));
    return done && s24m_done(s24m_stage_finish(c, stage));
}

bool s24m_walk_first(walk *w, s24m_block *block, s24m_visit visit, void *arg)
{
    s24m_stream c = w->stream;
    int64_t most = s24m_chunk(w->length), all = w->all[0];
    int64_t left = (most < all ? most : all) - w->first[0], mine = w->sequences[0];
    c.block = block;
    c.sequences = left < 0 ? 0 : left < mine ? left : mine;
    bool done = s24m_activations_read(&w->compressed, 0, c.sequences * w->length, c.h);
    for (const s24m_stage *stage = block->program->stages; done && c.sequences && stage->count;
         stage++)
        done = run_stage(&c, stage, visit, arg);
    w->flops += s24m_flops(w->model, block->layer, c.sequences, w->length);
    return done;
}
