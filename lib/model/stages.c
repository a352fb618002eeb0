#include "stages.h"
#include "tensors.h"
#include <stdlib.h>

/* ---- Sizes ---- */

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t outputs_of(const s24m_model *model, int32_t matrix)
{
    int64_t outputs, inputs;
    s24m_shape(model, matrix, &outputs, &inputs);
    return outputs;
}

int64_t s24m_stage_inputs(const s24m_model *model, const s24m_stage *s)
{
    int64_t outputs, inputs;
    s24m_shape(model, s->matrices[0], &outputs, &inputs);
    return inputs;
}

int64_t s24m_stage_outputs(const s24m_model *model, const s24m_stage *s)
{
    int64_t sum = 0;
    for (int32_t i = 0; i < s->count; i++)
        sum += outputs_of(model, s->matrices[i]);
    return sum;
}

int32_t s24m_stage_of(const s24m_model *model, int32_t matrix)
{
    for (const s24m_stage *s = model->stages; s->count; s++)
        for (int32_t i = 0; i < s->count; i++)
            if (s->matrices[i] == matrix)
                return (int32_t)(s - model->stages);
    return -1;
}

/* Room in front of the outputs in the zone, for the next x. */
static int64_t gap(const s24m_model *model, const s24m_stage *s)
{
    return s->apart ? s24m_stage_inputs(model, s + 1) : 0;
}

s24m_widths s24m_room(const s24m_model *model)
{
    s24m_widths w = {0, 0};
    for (const s24m_stage *s = model->stages; s->count; s++) {
        int64_t inputs = s24m_stage_inputs(model, s), outputs = s24m_stage_outputs(model, s);
        int64_t zone = s->input ? gap(model, s) + outputs : inputs;
        w.fresh = larger(w.fresh, s->input ? inputs : outputs);
        w.zone = larger(w.zone, zone);
    }
    return w;
}

/* ---- One stage ---- */

/* An input made from h is fresh and its outputs go to the zone; what lies in the zone already has
 * its outputs elsewhere. */
s24_status s24m_stage_begin(s24m_stream *c, const s24m_stage *s)
{
    int64_t tokens = c->sequences * c->length;
    float *out = s->input ? c->zone + tokens * gap(c->model, s) : c->fresh;
    c->x = s->input ? c->fresh : c->zone;
    for (int32_t i = 0; i < s->count; i++) {
        c->out[i] = out;
        out += tokens * outputs_of(c->model, s->matrices[i]);
    }
    return s->input ? s->input(c, s, c->x) : S24_OK;
}

s24_status s24m_stage_project(const s24m_stream *c, const s24m_stage *s, int32_t i)
{
    return s24m_project(c->model, c->block, s->matrices[i], c->x, c->sequences * c->length,
                        c->out[i]);
}

s24_status s24m_stage_finish(const s24m_stream *c, const s24m_stage *s)
{
    return s->finish(c, s->adds ? NULL : c->zone);
}

s24_status s24m_stage_run(s24m_stream *c, const s24m_stage *s)
{
    s24_status status = s24m_stage_begin(c, s);
    for (int32_t i = 0; !status && i < s->count; i++)
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
    float *room = s24m_floats(tokens * (width.fresh + width.zone));
    s24m_stream c = {.model = model,
                     .block = block,
                     .length = length,
                     .h = h,
                     .fresh = room,
                     .zone = room + tokens * width.fresh};
    s24_status status = room ? S24_OK : S24_E_MEMORY;
    for (int64_t left = sequences; !status && left; left -= c.sequences) {
        c.sequences = most < left ? most : left;
        for (const s24m_stage *s = model->stages; !status && s->count; s++)
            status = s24m_stage_run(&c, s);
        c.h += c.sequences * length * model->config.hidden;
    }
    free(room);
    return status;
}

void s24m_flops(const s24m_model *model, int64_t sequences, int64_t length, double *block,
                double *head)
{
    const s24m_config *c = &model->config;
    double tokens = (double)(sequences * length), products = 0;
    *block = 0;
    for (const s24m_stage *s = model->stages; s->count; s++) {
        products += (double)s24m_stage_inputs(model, s) * (double)s24m_stage_outputs(model, s);
        *block += s->flops ? s->flops(c, sequences, length) : 0;
    }
    *block += 2 * tokens * products;
    *head = 2 * (tokens - (double)sequences) * (double)c->vocab * (double)c->hidden;
}
