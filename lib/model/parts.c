#include "parts.h"
#include "family.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Names ---- */

/* Hugging Face's for Llama, GGUF's for all; %d is an expert's number. Those that end in '!' are
 * whole, without ".weight". */
static const char *const parts[S24M_PARTS][2] = {
    [S24M_Q] = {"self_attn.q_proj", "attn_q"},
    [S24M_K] = {"self_attn.k_proj", "attn_k"},
    [S24M_V] = {"self_attn.v_proj", "attn_v"},
    [S24M_O] = {"self_attn.o_proj", "attn_output"},
    [S24M_GATE] = {"mlp.gate_proj", "ffn_gate"},
    [S24M_UP] = {"mlp.up_proj", "ffn_up"},
    [S24M_DOWN] = {"mlp.down_proj", "ffn_down"},
    [S24M_DELTA_QKV] = {"linear_attn.in_proj_qkv", "attn_qkv"},
    [S24M_DELTA_Z] = {"linear_attn.in_proj_z", "attn_gate"},
    [S24M_DELTA_B] = {"linear_attn.in_proj_b", "ssm_beta"},
    [S24M_DELTA_A] = {"linear_attn.in_proj_a", "ssm_alpha"},
    [S24M_DELTA_OUT] = {"linear_attn.out_proj", "ssm_out"},
    [S24M_ROUTER] = {"mlp.gate", "ffn_gate_inp"},
    [S24M_EXPERT_GATE] = {"mlp.experts.%d.gate_proj", "ffn_gate_exps"},
    [S24M_EXPERT_UP] = {"mlp.experts.%d.up_proj", "ffn_up_exps"},
    [S24M_EXPERT_DOWN] = {"mlp.experts.%d.down_proj", "ffn_down_exps"},
    [S24M_SHARED_GATE] = {"mlp.shared_expert.gate_proj", "ffn_gate_shexp"},
    [S24M_SHARED_UP] = {"mlp.shared_expert.up_proj", "ffn_up_shexp"},
    [S24M_SHARED_DOWN] = {"mlp.shared_expert.down_proj", "ffn_down_shexp"},
    [S24M_SHARED_SWITCH] = {"mlp.shared_expert_gate", "ffn_gate_inp_shexp"},
    [S24M_ATTENTION_NORM] = {"input_layernorm", "attn_norm"},
    [S24M_ATTENTION_OUT_NORM] = {"post_attention_layernorm", "post_attention_norm"},
    [S24M_MLP_NORM] = {"post_attention_layernorm", "ffn_norm"},
    [S24M_MLP_OUT_NORM] = {"post_feedforward_layernorm", "post_ffw_norm"},
    [S24M_Q_NORM] = {"self_attn.q_norm", "attn_q_norm"},
    [S24M_K_NORM] = {"self_attn.k_norm", "attn_k_norm"},
    [S24M_SINKS] = {"self_attn.sinks!", "attn_sinks"},
    [S24M_CONVOLUTION] = {"linear_attn.conv1d", "ssm_conv1d"},
    [S24M_DECAY] = {"linear_attn.A_log!", "ssm_a!"},
    [S24M_STEP] = {"linear_attn.dt_bias!", "ssm_dt.bias!"},
    [S24M_DELTA_NORM] = {"linear_attn.norm", "ssm_norm"},
    [S24M_CORRECTION] = {"mlp.gate.e_score_correction_bias!", "exp_probs_b.bias!"},
};

static bool is_fused(const s24m_model *model, int32_t role)
{
    int qkv = model->config.qkv;
    return (role == S24M_Q && qkv != S24M_SEPARATE && qkv != S24M_SWITCHED) ||
           (role == S24M_GATE && model->family->mlp == S24M_FUSED_GATE);
}

static const char *part_name(const s24m_model *model, int32_t part)
{
    if (!model->config.gguf)
        return model->family->part[part] ? model->family->part[part] : parts[part][0];
    if (is_fused(model, part))
        return part == S24M_Q ? "attn_qkv" : "ffn_up";
    if (part == S24M_MLP_NORM && model->family->gguf_mlp_norm)
        return model->family->gguf_mlp_norm;
    return parts[part][1];
}

/* "HEAD" + part + ending, with the expert's number. */
static void put(const char *head, const char *part, int32_t expert, const char *ending,
                char name[S24M_NAME])
{
    char whole[S24M_NAME];
    size_t length = strlen(part);
    bool bare = length && part[length - 1] == '!';
    const char *place = strstr(part, "%d");
    if (place)
        snprintf(whole, sizeof whole, "%.*s%d%s", (int)(place - part), part, (int)expert,
                 place + 2);
    else
        snprintf(whole, sizeof whole, "%.*s", (int)length - bare, part);
    if (bare && strcmp(ending, "weight"))
        snprintf(name, S24M_NAME, "%.60s%.60s_%s", head, whole, ending);
    else
        snprintf(name, S24M_NAME, "%.60s%.60s%s%s", head, whole, bare ? "" : ".",
                 bare ? "" : ending);
}

/* Names below the first word of the embedding's, "model.", go by the root that this file has. */
static void rooted(const s24m_model *model, const char *name, char whole[S24M_NAME])
{
    const char *embedding = model->family->embedding ? model->family->embedding : "model.";
    size_t first = strcspn(embedding, ".") + 1;
    if (model->root && !strncmp(name, embedding, first))
        snprintf(whole, S24M_NAME, "%s%s", model->root, name + first);
    else
        snprintf(whole, S24M_NAME, "%s%s", model->outer ? model->outer : "", name);
}

void s24m_block_prefix(const s24m_model *model, char name[S24M_NAME])
{
    const char *blocks = model->family->blocks;
    if (model->config.gguf)
        snprintf(name, S24M_NAME, "blk.");
    else
        rooted(model, blocks ? blocks : "model.layers.", name);
}

int64_t s24m_layer_of(const s24m_model *model, const char *tensor)
{
    char prefix[S24M_NAME], *end;
    s24m_block_prefix(model, prefix);
    size_t length = strlen(prefix);
    if (strncmp(tensor, prefix, length) || tensor[length] < '0' || tensor[length] > '9')
        return -1;
    long layer = strtol(tensor + length, &end, 10);
    return *end == '.' && layer < model->config.layers ? layer : -1;
}

bool s24m_find_matrix(const s24m_model *model, const char *name, int64_t *layer, int32_t *which)
{
    char own[S24M_NAME];
    *layer = s24m_layer_of(model, name);
    for (*which = 0; *layer >= 0 && *which < s24m_matrices(model, *layer); ++*which) {
        s24m_name(model, *layer, *which, own);
        if (!strcmp(own, name))
            return true;
    }
    return false;
}

static void block_head(const s24m_model *model, int64_t layer, char head[S24M_NAME])
{
    char prefix[S24M_NAME];
    s24m_block_prefix(model, prefix);
    snprintf(head, S24M_NAME, "%.100s%lld.", prefix, (long long)layer);
}

void s24m_vector_name(const s24m_model *model, int64_t layer, int32_t part, bool shift,
                      char name[S24M_NAME])
{
    char head[S24M_NAME];
    block_head(model, layer, head);
    put(head, part_name(model, part), -1, shift ? "bias" : "weight", name);
}

void s24m_tensor_name(const s24m_model *model, int64_t layer, int32_t which, bool bias,
                      char name[S24M_NAME])
{
    const s24m_matrix *m = s24m_program_of(model, layer)->matrices + which;
    char head[S24M_NAME];
    block_head(model, layer, head);
    put(head, part_name(model, m->role), m->expert, bias ? "bias" : "weight", name);
}

void s24m_name(const s24m_model *model, int64_t layer, int32_t which, char name[S24M_NAME])
{
    const s24m_matrix *m = s24m_program_of(model, layer)->matrices + which;
    s24m_tensor_name(model, layer, which, false, name);
    size_t length = strlen(name);
    if (m->slices)
        snprintf(name + length, S24M_NAME - length, "[%d]", (int)m->expert);
}

static const char *common_part(const s24m_model *model, int32_t role)
{
    if (is_fused(model, role))
        return role == S24M_Q ? "self_attn.qkv_proj" : "mlp.gate_up_proj";
    return parts[role][0];
}

void s24m_common_name(const s24m_model *model, int64_t layer, int32_t which, char name[S24M_NAME])
{
    const s24m_matrix *m = s24m_program_of(model, layer)->matrices + which;
    char head[S24M_NAME];
    snprintf(head, sizeof head, "model.layers.%lld.", (long long)layer);
    put(head, common_part(model, m->role), m->expert, "weight", name);
    name[strlen(name) - strlen(".weight")] = 0;
}

const char *s24m_kind(const s24m_model *model, int64_t layer, int32_t which)
{
    const s24m_matrix *m = s24m_program_of(model, layer)->matrices + which;
    const char *name = common_part(model, m->role), *dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

/* ---- Shapes ---- */

void s24m_tensor_shape(const s24m_matrix *m, bool bias, int64_t shape[3], int32_t *rank)
{
    *rank = 0;
    if (m->slices)
        shape[(*rank)++] = m->slices;
    if (bias) {
        shape[(*rank)++] = m->outputs;
        return;
    }
    shape[(*rank)++] = m->transposed ? m->inputs : m->outputs;
    shape[(*rank)++] = m->transposed ? m->outputs : m->inputs;
}

/* ---- Outside the blocks ---- */

static bool projection(const s24m_model *model, int32_t which, char name[S24M_NAME])
{
    char whole[S24M_NAME];
    if (!model->family->project || model->config.width == model->config.hidden)
        return false;
    rooted(model, model->family->project, whole);
    snprintf(name, S24M_NAME, "%.140s%s.weight", whole, which == S24M_PROJECT_IN ? "in" : "out");
    return true;
}

bool s24m_global(const s24m_model *model, int32_t which, char name[S24M_NAME])
{
    const s24m_family *f = model->family;
    const char *own[S24M_GLOBALS] = {[S24M_EMBEDDING] =
                                         f->embedding ? f->embedding : "model.embed_tokens",
                                     [S24M_LAST_NORM] = f->last_norm ? f->last_norm : "model.norm",
                                     [S24M_OUTPUT] = f->output ? f->output : "lm_head",
                                     [S24M_POSITIONS] = f->positions,
                                     [S24M_EMBEDDING_NORM] = f->embedding_norm,
                                     [S24M_TYPES] = model->config.types ? f->types : NULL};
    static const char *const gguf[S24M_GLOBALS] = {[S24M_EMBEDDING] = "token_embd",
                                                   [S24M_LAST_NORM] = "output_norm",
                                                   [S24M_OUTPUT] = "output",
                                                   [S24M_POSITIONS] = "position_embd",
                                                   [S24M_EMBEDDING_NORM] = "token_embd_norm"};
    bool bias =
        which == S24M_LAST_SHIFT || which == S24M_OUTPUT_BIAS || which == S24M_EMBEDDING_SHIFT;
    int32_t of = which - bias;
    char whole[S24M_NAME];
    *name = 0;
    if (which == S24M_PROJECT_IN || which == S24M_PROJECT_OUT)
        return projection(model, which, name);
    if (!own[of] || !*own[of] || (f->encoder && of == S24M_OUTPUT) ||
        (which == S24M_OUTPUT_BIAS && !f->head_bias) ||
        (bias && which != S24M_OUTPUT_BIAS && !f->shifts) ||
        (which == S24M_LAST_NORM && f->gain == S24M_NO_GAIN))
        return false;
    rooted(model, model->config.gguf ? gguf[of] : own[of], whole);
    snprintf(name, S24M_NAME, "%.140s.%s", model->config.gguf ? gguf[of] : whole,
             bias ? "bias" : "weight");
    return true;
}

void s24m_global_shape(const s24m_model *model, int32_t which, int64_t *rows, int64_t *cols)
{
    const s24m_config *c = &model->config;
    bool table = which == S24M_EMBEDDING || which == S24M_OUTPUT || which == S24M_PROJECT_OUT;
    bool wide = which == S24M_POSITIONS || which == S24M_TYPES;
    *rows = c->hidden;
    if (which == S24M_POSITIONS)
        *rows = c->trained + model->family->position_offset;
    else if (which == S24M_TYPES)
        *rows = c->types;
    else if (which == S24M_PROJECT_OUT)
        *rows = c->width;
    else if (table || which == S24M_OUTPUT_BIAS)
        *rows = c->vocab;
    *cols = wide || which == S24M_PROJECT_OUT   ? c->hidden
            : table || which == S24M_PROJECT_IN ? c->width
                                                : 0;
}

s24m_presence s24m_global_presence(const s24m_model *model, int32_t which)
{
    char name[S24M_NAME];
    if (!s24m_global(model, which, name))
        return S24M_NEVER;
    return which == S24M_OUTPUT && model->config.tied ? S24M_MAYBE : S24M_ALWAYS;
}
