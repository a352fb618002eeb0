#include "trained.h"
#include "family.h"
#include "parts.h"
#include <stdlib.h>
#include <string.h>

float s24m_trained_less(const s24m_model *model)
{
    return model->family->gain == S24M_GAIN_LESS_ONE && !model->config.gguf ? 1 : 0;
}

/* ---- Which there are ---- */

static void describe(trained_vector *v, const s24m_block *block, float *values, int64_t size)
{
    v->m = (matrix){.tensor = v->name, .kind = "", .layer = (int)block->layer, .tokens = -1};
    s24_mat_rowmajor(&v->m.w, values, 1, size, S24_F32);
}

/* The gain or the shift of a norm, if there is one. */
static void add_norm(trained *t, const s24m_model *model, const s24m_block *block, int32_t which,
                     bool shift)
{
    const s24m_vector *shape = &block->program->vector[which];
    trained_vector *v = t->vectors + t->count;
    float *values = shift ? block->shift[which] : block->gain[which];
    if (which + S24M_ROLES >= S24M_SINKS || !values || shape->rows < 1)
        return;
    s24m_vector_name(model, block->layer, S24M_ROLES + which, shift, v->name);
    describe(v, block, values, shape->rows * (shape->cols && !shift ? shape->cols : 1));
    v->kind = shift ? S24M_TRAINED_SHIFT : S24M_TRAINED_GAIN;
    v->which = which;
    v->m.less = shift ? 0 : s24m_trained_less(model);
    t->count++;
}

/* Of a tensor of its own. */
static void add_bias(trained *t, const s24m_model *model, const s24m_block *block, int32_t which)
{
    trained_vector *v = t->vectors + t->count;
    if (!block->linear[which].bias || block->program->matrices[which].slices)
        return;
    s24m_tensor_name(model, block->layer, which, true, v->name);
    describe(v, block, block->linear[which].bias, block->linear[which].weights.rows);
    v->kind = S24M_TRAINED_BIAS;
    v->which = which;
    t->count++;
}

bool s24m_trained_open(trained *t, const s24m_model *model, const s24m_block *block,
                       trained_type_fn type, void *from)
{
    int32_t most = 2 * S24M_VECTORS + block->program->count;
    *t = (trained){s24m_have(calloc((size_t)most, sizeof *t->vectors)), 0};
    for (int32_t i = 0; t->vectors && i < S24M_VECTORS; i++) {
        add_norm(t, model, block, i, false);
        add_norm(t, model, block, i, true);
    }
    for (int32_t i = 0; t->vectors && i < block->program->count; i++)
        add_bias(t, model, block, i);
    for (int32_t i = 0; i < t->count; i++)
        t->vectors[i].m.store = type(from, t->vectors[i].name);
    return t->vectors;
}

/* ---- Where they are ---- */

float **s24m_trained_place(const trained_vector *v, s24m_block *block)
{
    return v->kind == S24M_TRAINED_GAIN    ? &block->gain[v->which]
           : v->kind == S24M_TRAINED_SHIFT ? &block->shift[v->which]
                                           : &block->linear[v->which].bias;
}

float **s24m_trained_gradient(const trained_vector *v, s24m_gradients *to)
{
    return v->kind == S24M_TRAINED_GAIN    ? &to->gain[v->which]
           : v->kind == S24M_TRAINED_SHIFT ? &to->shift[v->which]
                                           : &to->bias[v->which];
}

void s24m_trained_use(const trained *t, s24m_block *block)
{
    for (const trained_vector *v = t->vectors; v < t->vectors + t->count; v++)
        if (v->m.v)
            *s24m_trained_place(v, block) = v->m.v;
}

void s24m_trained_close(trained *t)
{
    for (int32_t i = 0; i < t->count; i++)
        s24m_matrix_close(&t->vectors[i].m);
    free(t->vectors);
    *t = (trained){0};
}
