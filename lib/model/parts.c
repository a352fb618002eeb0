#include "parts.h"
#include <stdio.h>
#include <string.h>

/* How long a side is. */
enum { NONE, HIDDEN, FFN, QUERIES, KEYS, HEAD, SIDES };

static const struct {
    const char *names[2]; /* Hugging Face, GGUF */
    int32_t rows, cols;
} parts[S24M_PARTS] = {
    [S24M_Q] = {{"self_attn.q_proj", "attn_q"}, QUERIES, HIDDEN},
    [S24M_K] = {{"self_attn.k_proj", "attn_k"}, KEYS, HIDDEN},
    [S24M_V] = {{"self_attn.v_proj", "attn_v"}, KEYS, HIDDEN},
    [S24M_O] = {{"self_attn.o_proj", "attn_output"}, HIDDEN, QUERIES},
    [S24M_GATE] = {{"mlp.gate_proj", "ffn_gate"}, FFN, HIDDEN},
    [S24M_UP] = {{"mlp.up_proj", "ffn_up"}, FFN, HIDDEN},
    [S24M_DOWN] = {{"mlp.down_proj", "ffn_down"}, HIDDEN, FFN},
    [S24M_ATTENTION_NORM] = {{"input_layernorm", "attn_norm"}, HIDDEN, NONE},
    [S24M_MLP_NORM] = {{"post_attention_layernorm", "ffn_norm"}, HIDDEN, NONE},
    [S24M_Q_NORM] = {{"self_attn.q_norm", "attn_q_norm"}, HEAD, NONE},
    [S24M_K_NORM] = {{"self_attn.k_norm", "attn_k_norm"}, HEAD, NONE},
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
    return parts[part].names[model->config.gguf];
}

const char *s24m_common_part(int32_t part)
{
    return parts[part].names[0];
}

const char *s24m_kind(int32_t part)
{
    const char *name = s24m_common_part(part), *dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
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

bool s24m_find_matrix(const s24m_model *model, const char *tensor, int64_t *layer, int32_t *which)
{
    char name[S24M_NAME];
    for (*layer = 0; *layer < model->config.layers; ++*layer)
        for (*which = 0; *which < S24M_LINEARS; ++*which) {
            s24m_name(model, *layer, *which, name);
            if (!strcmp(name, tensor))
                return true;
        }
    return false;
}

void s24m_part_shape(const s24m_model *model, int32_t part, bool bias, int64_t *rows, int64_t *cols)
{
    const s24m_config *c = &model->config;
    const int64_t sides[SIDES] = {[HIDDEN] = c->hidden,
                                  [FFN] = c->ffn,
                                  [QUERIES] = c->heads * c->head_dim,
                                  [KEYS] = c->kv_heads * c->head_dim,
                                  [HEAD] = c->head_dim};
    *rows = sides[parts[part].rows];
    *cols = sides[bias ? NONE : parts[part].cols];
}

void s24m_shape(const s24m_model *model, int32_t which, int64_t *outputs, int64_t *inputs)
{
    s24m_part_shape(model, which, false, outputs, inputs);
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
