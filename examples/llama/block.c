#include "parts.h"
#include <stdlib.h>

static s24_status load_part(const llama_model *model, int64_t layer, int32_t part, bool bias,
                            float **values)
{
    char name[LLAMA_NAME];
    int64_t rows, cols;
    llama_presence presence = llama_part_presence(model, part, bias);
    llama_part_name(model, layer, part, bias, name);
    if (presence == LLAMA_NEVER || (presence == LLAMA_MAYBE && !llama_has(model, name)))
        return S24_OK;
    llama_part_shape(model, part, bias, &rows, &cols);
    return llama_read(model, name, rows, cols, values);
}

static s24_status load_linear(const llama_model *model, int64_t layer, int32_t which,
                              llama_linear *linear)
{
    int64_t outputs, inputs;
    float *values = NULL;
    llama_shape(model, which, &outputs, &inputs);
    llama_name(model, layer, which, linear->name);
    s24_status status = load_part(model, layer, which, false, &values);
    linear->weights = llama_mat(values, outputs, inputs);
    return status ? status : load_part(model, layer, which, true, &linear->bias);
}

s24_status llama_block_load(const llama_model *model, int64_t layer, llama_block *block)
{
    *block = (llama_block){.layer = layer};
    float **const norms[] = {&block->attention_norm, &block->mlp_norm, &block->q_norm,
                             &block->k_norm};
    s24_status status = S24_OK;
    for (int32_t i = 0; !status && i < LLAMA_PARTS - LLAMA_LINEARS; i++)
        status = load_part(model, layer, LLAMA_LINEARS + i, false, norms[i]);
    for (int32_t i = 0; !status && i < LLAMA_LINEARS; i++)
        status = load_linear(model, layer, i, &block->linear[i]);
    if (status)
        llama_block_free(block);
    return status;
}

void llama_block_free(llama_block *block)
{
    float *const norms[] = {block->attention_norm, block->mlp_norm, block->q_norm, block->k_norm};
    for (int i = 0; i < 4; i++)
        free(norms[i]);
    for (int i = 0; i < LLAMA_LINEARS; i++) {
        free(block->linear[i].weights.data);
        free(block->linear[i].bias);
    }
    *block = (llama_block){0};
}
