#include "parts.h"
#include <stdlib.h>

static s24_status load_part(const s24m_model *model, int64_t layer, int32_t part, bool bias,
                            float **values)
{
    char name[S24M_NAME];
    int64_t rows, cols;
    s24m_presence presence = s24m_part_presence(model, part, bias);
    s24m_part_name(model, layer, part, bias, name);
    if (presence == S24M_NEVER || (presence == S24M_MAYBE && !s24m_has(model, name)))
        return S24_OK;
    s24m_part_shape(model, part, bias, &rows, &cols);
    return s24m_read(model, name, rows, cols, values);
}

static s24_status load_linear(const s24m_model *model, int64_t layer, int32_t which,
                              s24m_linear *linear)
{
    int64_t outputs, inputs;
    float *values = NULL;
    s24m_shape(model, which, &outputs, &inputs);
    s24m_name(model, layer, which, linear->name);
    s24_status status = load_part(model, layer, which, false, &values);
    linear->weights = s24m_mat(values, outputs, inputs);
    return status ? status : load_part(model, layer, which, true, &linear->bias);
}

s24_status s24m_block_load(const s24m_model *model, int64_t layer, s24m_block *block)
{
    *block = (s24m_block){.layer = layer};
    s24_status status = S24_OK;
    for (int32_t i = 0; !status && i < S24M_NORMS; i++)
        status = load_part(model, layer, S24M_LINEARS + i, false, &block->norm[i]);
    for (int32_t i = 0; !status && i < S24M_LINEARS; i++)
        status = load_linear(model, layer, i, &block->linear[i]);
    if (status)
        s24m_block_free(block);
    return status;
}

void s24m_block_free(s24m_block *block)
{
    for (int i = 0; i < S24M_NORMS; i++)
        free(block->norm[i]);
    for (int i = 0; i < S24M_LINEARS; i++) {
        free(block->linear[i].weights.data);
        free(block->linear[i].bias);
    }
    *block = (s24m_block){0};
}
