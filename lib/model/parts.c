#include "parts.h"
#include <stdio.h>

static const char *const names[S24M_PARTS][2] = {
    [S24M_Q] = {"self_attn.q_proj", "attn_q"},
    [S24M_K] = {"self_attn.k_proj", "attn_k"},
    [S24M_V] = {"self_attn.v_proj", "attn_v"},
    [S24M_O] = {"self_attn.o_proj", "attn_output"},
    [S24M_GATE] = {"mlp.gate_proj", "ffn_gate"},
    [S24M_UP] = {"mlp.up_proj", "ffn_up"},
    [S24M_DOWN] = {"mlp.down_proj", "ffn_down"},
    [S24M_ATTENTION_NORM] = {"input_layernorm", "attn_norm"},
    [S24M_MLP_NORM] = {"post_attention_layernorm", "ffn_norm"},
    [S24M_Q_NORM] = {"self_attn.q_norm", "attn_q_norm"},
    [S24M_K_NORM] = {"self_attn.k_norm", "attn_k_norm"},
};

const char *s24m_global(const s24m_model *model, int32_t which)
{
    static const char *const globals[S24M_GLOBALS][2] = {
        [S24M_EMBEDDING] = {"model.embed_tokens.weight", "token_embd.weight"},
        [S24M_LAST_NORM] = {"model.norm.weight", "output_norm.weight"},
        [S24M_OUTPUT] = {"lm_head.weight", "output.weight"},
    };
    return globals[which][model->config.gguf];
}

const char *s24m_part(const s24m_model *model, int32_t part)
{
    return names[part][model->config.gguf];
}

void s24m_part_name(const s24m_model *model, int64_t layer, int32_t part, bool bias,
                    char name[S24M_NAME])
{
    snprintf(name, S24M_NAME, model->config.gguf ? "blk.%lld.%s.%s" : "model.layers.%lld.%s.%s",
             (long long)layer, s24m_part(model, part), bias ? "bias" : "weight");
}

void s24m_name(const s24m_model *model, int64_t layer, int32_t which, char name[S24M_NAME])
{
    s24m_part_name(model, layer, which, false, name);
}

void s24m_shape(const s24m_model *model, int32_t which, int64_t *outputs, int64_t *inputs)
{
    const s24m_config *c = &model->config;
    int64_t q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    const int64_t out[] = {q, kv, kv, c->hidden, c->ffn, c->ffn, c->hidden};
    *outputs = out[which];
    *inputs = which == S24M_O ? q : which == S24M_DOWN ? c->ffn : c->hidden;
}

void s24m_part_shape(const s24m_model *model, int32_t part, bool bias, int64_t *rows, int64_t *cols)
{
    const s24m_config *c = &model->config;
    *rows = part >= S24M_Q_NORM ? c->head_dim : c->hidden;
    *cols = 0;
    if (part < S24M_LINEARS)
        s24m_shape(model, part, rows, cols);
    *cols = bias ? 0 : *cols;
}

s24m_presence s24m_part_presence(const s24m_model *model, int32_t part, bool bias)
{
    const s24m_config *c = &model->config;
    if (part >= S24M_LINEARS)
        return !bias && (part < S24M_Q_NORM || c->head_norms) ? S24M_ALWAYS : S24M_NEVER;
    if (!bias || c->biased >> part & 1)
        return S24M_ALWAYS;
    return c->gguf ? S24M_MAYBE : S24M_NEVER;
}
