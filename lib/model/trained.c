#include "trained.h"
#include "parts.h"
#include <stdlib.h>
#include <string.h>

static void describe(trained_vector *v, const s24m_block *block, float *values, int64_t size)
{
    v->m = (matrix){.tensor = v->name, .kind = "", .layer = (int)block->layer, .tokens = -1};
    s24_mat_rowmajor(&v->m.w, values, 1, size, S24_F32);
}

/* Those of norms. */
static bool is_gain(const s24m_block *block, int32_t i)
{
    const s24m_vector *v = &block->program->vector[i];
    return i + S24M_ROLES < S24M_SINKS && block->gain[i] && v->rows > 0;
}

bool s24m_trained_open(trained *t, const s24m_model *model, const s24m_block *block,
                       trained_type_fn type, void *from)
{
    int32_t most = S24M_VECTORS + block->program->count;
    *t = (trained){s24m_have(calloc((size_t)most, sizeof *t->vectors)), 0};
    for (int32_t i = 0; t->vectors && i < S24M_VECTORS; i++) {
        const s24m_vector *shape = &block->program->vector[i];
        trained_vector *v = t->vectors + t->count;
        if (!is_gain(block, i))
            continue;
        s24m_vector_name(model, block->layer, S24M_ROLES + i, false, v->name);
        describe(v, block, block->gain[i], shape->rows * (shape->cols ? shape->cols : 1));
        v->gain = i;
        v->bias = -1;
        t->count++;
    }
    for (int32_t i = 0; t->vectors && i < block->program->count; i++) {
        trained_vector *v = t->vectors + t->count;
        if (!block->linear[i].bias || block->program->matrices[i].slices)
            continue;
        s24m_tensor_name(model, block->layer, i, true, v->name);
        describe(v, block, block->linear[i].bias, block->linear[i].weights.rows);
        v->gain = -1;
        v->bias = i;
        t->count++;
    }
    for (int32_t i = 0; i < t->count; i++)
        t->vectors[i].m.store = type(from, t->vectors[i].name);
    return t->vectors;
}

void s24m_trained_use(const trained *t, s24m_block *block)
{
    for (const trained_vector *v = t->vectors; v < t->vectors + t->count; v++)
        if (v->m.v && v->gain >= 0)
            block->gain[v->gain] = v->m.v;
        else if (v->m.v)
            block->linear[v->bias].bias = v->m.v;
}

void s24m_trained_close(trained *t)
{
    for (int32_t i = 0; i < t->count; i++)
        s24m_matrix_close(&t->vectors[i].m);
    free(t->vectors);
    *t = (trained){0};
}
