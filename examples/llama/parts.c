#include "parts.h"
#include <stdio.h>

static const char *const names[LLAMA_PARTS][2] = {
    [LLAMA_Q] = {"self_attn.q_proj", "attn_q"},
    [LLAMA_K] = {"self_attn.k_proj", "attn_k"},
    [LLAMA_V] = {"self_attn.v_proj", "attn_v"},
    [LLAMA_O] = {"self_attn.o_proj", "attn_output"},
    [LLAMA_GATE] = {"mlp.gate_proj", "ffn_gate"},
    [LLAMA_UP] = {"mlp.up_proj", "ffn_up"},
    [LLAMA_DOWN] = {"mlp.down_proj", "ffn_down"},
    [LLAMA_ATTENTION_NORM] = {"input_layernorm", "attn_norm"},
    [LLAMA_MLP_NORM] = {"post_attention_layernorm", "ffn_norm"},
    [LLAMA_Q_NORM] = {"self_attn.q_norm", "attn_q_norm"},
    [LLAMA_K_NORM] = {"self_attn.k_norm", "attn_k_norm"},
};

const char *llama_global(const llama_model *model, int32_t which)
{
    static const char *const globals[LLAMA_GLOBALS][2] = {
        [LLAMA_EMBEDDING] = {"model.embed_tokens.weight", "token_embd.weight"},
        [LLAMA_LAST_NORM] = {"model.norm.weight", "output_norm.weight"},
        [LLAMA_OUTPUT] = {"lm_head.weight", "output.weight"},
    };
    return globals[which][model->config.gguf];
}

const char *llama_part(const llama_model *model, int32_t part)
{
    return names[part][model->config.gguf];
}

void llama_part_name(const llama_model *model, int64_t layer, int32_t part, bool bias,
                     char name[LLAMA_NAME])
{
    snprintf(name, LLAMA_NAME, model->config.gguf ? "blk.%lld.%s.%s" : "model.layers.%lld.%s.%s",
             (long long)layer, llama_part(model, part), bias ? "bias" : "weight");
}

void llama_name(const llama_model *model, int64_t layer, int32_t which, char name[LLAMA_NAME])
{
    llama_part_name(model, layer, which, false, name);
}

void llama_shape(const llama_model *model, int32_t which, int64_t *outputs, int64_t *inputs)
{
    const llama_config *c = &model->config;
    int64_t q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    const int64_t out[] = {q, kv, kv, c->hidden, c->ffn, c->ffn, c->hidden};
    *outputs = out[which];
    *inputs = which == LLAMA_O ? q : which == LLAMA_DOWN ? c->ffn : c->hidden;
}

void llama_part_shape(const llama_model *model, int32_t part, bool bias, int64_t *rows,
                      int64_t *cols)
{
    const llama_config *c = &model->config;
    *rows = part >= LLAMA_Q_NORM ? c->head_dim : c->hidden;
    *cols = 0;
    if (part < LLAMA_LINEARS)
        llama_shape(model, part, rows, cols);
    *cols = bias ? 0 : *cols;
}

llama_presence llama_part_presence(const llama_model *model, int32_t part, bool bias)
{
    const llama_config *c = &model->config;
    if (part >= LLAMA_LINEARS)
        return !bias && (part < LLAMA_Q_NORM || c->head_norms) ? LLAMA_ALWAYS : LLAMA_NEVER;
    if (!bias || c->biased >> part & 1)
        return LLAMA_ALWAYS;
    return c->gguf ? LLAMA_MAYBE : LLAMA_NEVER;
}
