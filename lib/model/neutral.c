/* Keys that would make another model of the same tensors, with the values at which they do not. */
#include "config.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct neutral_key {
    const char *key, *values; /* "HIDDEN", "HEAD": sizes, "SCALE": 1 / sqrt(the latter) */
} neutral_key;

/* Those of the families read here and of their relatives; a config.json holds many other keys,
 * which are notes. pretraining_tp is one: it cuts products into pieces. */
static const neutral_key json_keys[] = {
    {"is_causal", "true"},
    {"use_bidirectional_attention", "false"},
    {"attn_logit_softcapping", "0"},
    {"final_logit_softcapping", "0"},
    {"logit_scale", "1"},
    {"logits_scaling", "1"},
    {"residual_multiplier", "1"},
    {"embedding_multiplier", "1"},
    {"attention_multiplier", "SCALE"},
    {"query_pre_attn_scalar", "HEAD"},
    {"scale_emb", "1"},
    {"scale_attn_weights", "true"},
    {"qkv_clip", "0"},
    {"clip_qkv", "0"},
    {"rotary_dim", "HEAD"},
    {"rope_interleaved", "false"},
    {"rope_interleave", "false"},
    {"rope_scaling_factor", "1"},
    {"position_embedding_type", "rope|rotary|absolute"},
    {"alibi", "false"},
    {"no_rope_layers", "[]"},
    {"no_rope_layer_interval", "0"},
    {"attention_chunk_size", "0"},
    {"attn_temperature_tuning", "false"},
    {"num_experts", "0"},
    {"num_local_experts", "0"},
    {"n_routed_experts", "0"},
    {"num_kv_shared_layers", "0"},
    {"parallel_attn", "false"},
    {"expansion_ratio", "4"}, /* transformers' MPT ignores it */
    {"attn_config.clip_qkv", "0"},
    {"attn_config.softmax_scale", "0"},
    {"attn_config.qk_ln", "false"},
    {"attn_config.prefix_lm", "false"},
    {"attn_config.alibi_bias_max", "8"},
    {"do_layer_norm_before", "true"},
    {"apply_residual_connection_post_layernorm", "false"},
    {"scale_attn_by_inverse_layer_idx", "false"},
    {"layer_norm_elementwise_affine", "true"},
    {"word_embed_proj_dim", "HIDDEN"},
    {"embedding_size", "HIDDEN"},
    {"use_parallel_residual", "false"},
    {"add_cross_attention", "false"},
    {"is_encoder_decoder", "false"},
};

/* All others below the architecture's name are refused: GGUF files put nothing else there. */
static const neutral_key gguf_keys[] = {
    {"attention.value_length", "HEAD"},
    {"attention.scale", "0|SCALE"},
    {"attention.causal", "true"},
    {"attention.clamp_kqv", "0"},
    {"attention.max_alibi_bias", "ALIBI"},
    {"attn_logit_softcapping", "0"},
    {"final_logit_softcapping", "0"},
    {"logit_scale", "0|1"},
    {"embedding_scale", "0|1"},
    {"residual_scale", "0|1"},
    {"expert_count", "0"},
    {"expert_used_count", "0"},
    {"expert_shared_count", "0"},
    {"use_parallel_residual", "false"},
    {"rope.scaling.yarn_log_multiplier", "0"},
    {"rope.scaling.yarn_ext_factor", "-1|1"},
    {"rope.scaling.yarn_attn_factor", "1"},
};

/* What is read elsewhere, and notes. */
static const char gguf_known[] =
    " block_count embedding_length feed_forward_length attention.head_count "
    "attention.head_count_kv attention.key_length context_length "
    "attention.layer_norm_rms_epsilon attention.layer_norm_epsilon attention.sliding_window "
    "attention.sliding_window_pattern "
    "rope.freq_base rope.dimension_count rope.scaling.type rope.scaling.factor rope.scale_linear "
    "rope.scaling.original_context_length rope.scaling.attn_factor rope.scaling.yarn_beta_fast "
    "rope.scaling.yarn_beta_slow rope.scaling.finetuned vocab_size tensor_data_layout "
    "pooling_type classifier.output_labels ";

enum {
    JSON_KEYS = sizeof json_keys / sizeof *json_keys,
    GGUF_KEYS = sizeof gguf_keys / sizeof *gguf_keys
};

/* The values with the model's own numbers in them. */
static void fill_in(const s24m_model *model, const char *values, char text[64])
{
    const s24m_config *c = &model->config;
    const struct {
        const char *word;
        double number;
    } words[] = {{"HIDDEN", (double)c->hidden},
                 {"HEAD", (double)c->head_dim},
                 {"ALIBI", model->family->alibi ? 8 : 0},
                 {"SCALE", 1 / sqrt((double)c->head_dim)}};
    snprintf(text, 64, "%s", values);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const char *at = strstr(values, words[i].word);
        if (at)
            snprintf(text, 64, "%.*s%.9g%s", (int)(at - values), values, words[i].number,
                     at + strlen(words[i].word));
    }
}

static s24_status check_keys(const s24m_reader *r, const neutral_key *keys, int count)
{
    s24_status status = S24_OK;
    char values[64];
    for (int i = 0; !status && i < count; i++) {
        if (s24m_family_applies(r->family, keys[i].key) || s24m_is_multiplier(r, keys[i].key))
            continue;
        fill_in(r->model, keys[i].values, values);
        status = s24m_key_only(r, keys[i].key, values);
    }
    return status;
}

static bool is_known(const s24m_reader *r, const char *key)
{
    char word[S24M_KEY];
    if (s24m_is_multiplier(r, key) || s24m_family_applies(r->family, key))
        return true;
    snprintf(word, sizeof word, " %s ", key);
    for (int i = 0; i < GGUF_KEYS; i++)
        if (!strcmp(key, gguf_keys[i].key))
            return true;
    return strstr(gguf_known, word) != NULL;
}

static s24_status refuse_unknown(const s24m_reader *r)
{
    const s24_file *file = r->model->file;
    bool end = false;
    for (int64_t i = 0; !end; i++) {
        const char *key = s24m_key_at(r, i, &end);
        if (!key || is_known(r, key))
            continue;
        const char *name = s24_file_meta_key(file, i), *text = s24_file_meta(file, name);
        return s24m_fail(S24_E_UNSUPPORTED, "%.80s is %.40s, but this key is not known", name,
                         text);
    }
    return S24_OK;
}

/* An object where a value belongs would look like a missing key; a value where an object belongs,
 * too. */
static s24_status check_kinds(const s24m_reader *r)
{
    static const char *const objects[] = {"rope_scaling", "rope_parameters", "quantization_config"};
    static const char *const values[] = {
        "hidden_act",     "hidden_size",    "num_hidden_layers",    "num_attention_heads",
        "head_dim",       "rms_norm_eps",   "num_key_value_heads",  "intermediate_size",
        "rope_theta",     "vocab_size",     "tie_word_embeddings",  "max_position_embeddings",
        "attention_bias", "sliding_window", "use_sliding_window",   "max_window_layers",
        "mlp_bias",       "layer_types",    "partial_rotary_factor"};
    char full[S24M_KEY];
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++) {
        const char *text = s24m_key(r, objects[i], full);
        if (text)
            return s24m_fail(S24_E_FORMAT, "%s is %.40s, but must be an object", full, text);
    }
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (s24m_key_is_object(r, values[i]))
            return s24m_fail(S24_E_FORMAT, "config.%s is an object, but must be a value",
                             values[i]);
    return S24_OK;
}

/* Some bias of these roles hangs on this key. */
static bool reads(const s24m_reader *r, const char *key)
{
    for (const s24m_biases *b = r->family->biases; b < r->family->biases + 3; b++)
        if (b->key && !strcmp(b->key, key))
            return true;
    return false;
}

static bool always(const s24m_reader *r, int32_t role)
{
    for (const s24m_biases *b = r->family->biases; b < r->family->biases + 3; b++)
        if (!b->key && b->roles >> role & 1)
            return true;
    return false;
}

/* Keys of biases and head norms, which an architecture has always, never or if they say so. */
static s24_status check_own(const s24m_reader *r)
{
    bool norms = r->family->head_norms != S24M_NO_HEAD_NORMS, qkv = always(r, S24M_Q);
    bool all = always(r, S24M_O);
    const neutral_key own[] = {{"attention_bias", all ? "true" : "false"},
                               {"mlp_bias", always(r, S24M_DOWN) ? "true" : "false"},
                               {"bias", all ? "true" : "false"},
                               {"use_bias", all ? "true" : "false"},
                               {"enable_bias", all ? "true" : "false"},
                               {"qkv_bias", qkv ? "true" : "false"},
                               {"use_qkv_bias", qkv ? "true" : "false"},
                               {"use_qk_norm", norms ? "true" : "false"},
                               {"qk_layernorm", norms ? "true" : "false"}};
    s24_status status = S24_OK;
    for (size_t i = 0; !status && i < sizeof own / sizeof *own; i++)
        if (!reads(r, own[i].key) && !(i == 0 && qkv && !all))
            status = check_keys(r, own + i, 1);
    return status;
}

s24_status s24m_refuse_keys(const s24m_reader *r)
{
    if (r->model->config.gguf) {
        s24_status status = check_keys(r, gguf_keys, GGUF_KEYS);
        return status ? status : refuse_unknown(r);
    }
    s24_status status = check_kinds(r);
    if (!status)
        status = check_own(r);
    return status ? status : check_keys(r, json_keys, JSON_KEYS);
}
