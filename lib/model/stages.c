#include "stages.h"
#include "extents.h"
#include "steps.h"
#include "tensors.h"
#include <stdlib.h>
#include <string.h>

/* ---- Sizes ---- */

int32_t s24m_stage_of(const s24m_program *p, int32_t which)
{
    const s24m_stage *s = p->stages;
    while (which >= s->first + s->count)
        s++;
    return (int32_t)(s - p->stages);
}

bool s24m_stage_is_linear(const s24m_stage *s)
{
    return s->ending == S24M_ADDS && s->after == S24M_NO_PART && s->over == S24M_NO_PART &&
           !s->routed;
}

/* Room in front of the outputs in the zone, for the next x. */
static int64_t gap(const s24m_stage *s)
{
    return s->apart ? s[1].inputs : 0;
}

static void widen(s24m_widths *w, const s24m_program *p, const s24m_stage *s)
{
    int64_t zone = s->input ? gap(s) + s->outputs : s->inputs;
    w->fresh = s24m_most(w->fresh, s->input ? s->inputs : s->outputs);
    w->zone = s24m_most(w->zone, zone);
    if (!s->input)
        w->kept = s24m_most(w->kept, s->inputs);
    if (!s->routed)
        w->outputs = s24m_most(w->outputs, s->outputs);
    w->wanted |= !s->input && !s->routed && !s24m_stage_is_linear(s);
    for (int32_t i = 0; s->routed && i < s24m_groups(p, s); i++)
        w->group = s24m_most(w->group, s24m_group_at(p, s, i).inputs);
}

s24m_widths s24m_room(const s24m_model *model)
{
    const s24m_config *c = &model->config;
    s24m_widths w = {.aside = c->parallel ? c->hidden : 0, .route = 2 * c->experts.used};
    for (int32_t i = 0; i < model->program_count; i++)
        for (const s24m_stage *s = model->programs[i].stages; s->count; s++)
            widen(&w, model->programs + i, s);
    return w;
}

/* ---- Groups ---- */

static bool ends_group(const s24m_matrix *a, const s24m_matrix *b)
{
    return a->expert != b->expert || a->inputs != b->inputs;
}

static int32_t group_end(const s24m_program *p, const s24m_stage *s, int32_t first)
{
    int32_t end = first + 1;
    while (end < s->first + s->count && !ends_group(p->matrices + first, p->matrices + end))
        end++;
    return end;
}

int32_t s24m_groups(const s24m_program *p, const s24m_stage *s)
{
    int32_t groups = 0;
    for (int32_t i = s->first; i < s->first + s->count; i = group_end(p, s, i))
        groups++;
    return groups;
}

s24m_group s24m_group_at(const s24m_program *p, const s24m_stage *s, int32_t index)
{
    int32_t first = s->first;
    for (int32_t i = 0; i < index; i++)
        first = group_end(p, s, first);
    const s24m_matrix *matrix = p->matrices + first;
    return (s24m_group){first, group_end(p, s, first) - first, matrix->expert, matrix->inputs};
}

/* ---- One stage ---- */

/* An input made from h is fresh and its outputs go to the zone; what lies in the zone already has
 * its outputs elsewhere. */
s24_status s24m_stage_begin(s24m_stream *c, const s24m_stage *s)
{
    int64_t tokens = c->sequences * c->length;
    float *out = s->input ? c->zone + tokens * gap(s) : c->fresh;
    const s24m_matrix *matrix = c->block->program->matrices + s->first;
    c->x = s->input ? c->fresh : c->zone;
    c->out[0] = out;
    for (int32_t i = 0; !s->routed && i < s->count; i++) {
        c->out[i] = out;
        out += tokens * matrix[i].outputs;
    }
    return s->input ? s->input(c, s, c->x) : S24_OK;
}

s24_status s24m_stage_project(const s24m_stream *c, const s24m_stage *s, int32_t i)
{
    return s24m_project(c->model, c->block->linear + s->first + i, c->x, c->sequences * c->length,
                        c->out[i]);
}

s24_status s24m_stage_finish(const s24m_stream *c, const s24m_stage *s)
{
    return s->finish(c, s, s->ending == S24M_LEAVES ? c->zone : NULL);
}

s24_status s24m_stage_run(s24m_stream *c, const s24m_stage *s)
{
    s24_status status = s24m_stage_begin(c, s);
    for (int32_t i = 0; !status && !s->routed && i < s->count; i++)
        status = s24m_stage_project(c, s, i);
    return status ? status : s24m_stage_finish(c, s);
}

/* ---- A block ---- */

int64_t s24m_chunk(int64_t length)
{
    enum { TOKENS = 4096 };
    return length < TOKENS ? TOKENS / length : 1;
}

s24_status s24m_forward_block(s24m_model *model, const s24m_block *block, float *h,
                              int64_t sequences, int64_t length)
{
    int64_t most = s24m_chunk(length), tokens = (most < sequences ? most : sequences) * length;
    s24m_widths width = s24m_room(model);
    float *room = s24m_floats(tokens * (width.fresh + width.zone + width.aside + width.route));
    s24m_stream c = {.model = model,
                     .block = block,
                     .length = length,
                     .h = h,
                     .fresh = room,
                     .zone = room + tokens * width.fresh,
                     .aside = room + tokens * (width.fresh + width.zone),
                     .route = room + tokens * (width.fresh + width.zone + width.aside)};
    s24_status status = room ? S24_OK : S24_E_MEMORY;
    for (int64_t left = sequences; !status && left; left -= c.sequences) {
        c.sequences = most < left ? most : left;
        for (const s24m_stage *s = block->program->stages; !status && s->count; s++)
            status = s24m_stage_run(&c, s);
        c.h += c.sequences * length * model->config.hidden;
    }
    free(room);
    return status;
}

/* ---- Operations ---- */

double s24m_flops_products(const s24m_model *model, const s24m_program *p, const s24m_stage *s,
                           int64_t sequences, int64_t length)
{
    double tokens = (double)(sequences * length), products = 0;
    const s24m_matrix *matrix = p->matrices + s->first;
    (void)model;
    for (int32_t i = 0; i < s->count; i++)
        products += (double)matrix[i].inputs * (double)matrix[i].outputs;
    return 2 * tokens * products;
}

double s24m_flops(const s24m_model *model, int64_t layer, int64_t sequences, int64_t length)
{
    const s24m_program *p = s24m_program_of(model, layer);
    double sum = 0;
    for (const s24m_stage *s = p->stages; s->count; s++)
        sum += s->flops(model, p, s, sequences, length);
    return sum;
}

double s24m_flops_blocks(const s24m_model *model, int64_t sequences, int64_t length)
{
    double sum = 0;
    for (int64_t i = 0; i < model->config.layers; i++)
        sum += s24m_flops(model, i, sequences, length);
    return sum;
}

double s24m_flops_head(const s24m_model *model, int64_t sequences, int64_t length)
{
    double predictions = (double)(sequences * (length - 1));
    return 2 * predictions * (double)model->config.vocab * (double)model->config.hidden;
}
