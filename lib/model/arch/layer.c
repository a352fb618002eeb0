/* Families with norms that take the mean off: GPT-2 and what came of it, and Cohere's. */
#include "words.h"

#define GPT2_PARTS                                                                      \
    [S24M_ATTENTION_NORM] = "ln_1", [S24M_MLP_NORM] = "ln_2", [S24M_Q] = "attn.c_attn", \
    [S24M_O] = "attn.c_proj", [S24M_UP] = "mlp.c_fc", [S24M_DOWN] = "mlp.c_proj"
#define OPT_PARTS [S24M_O] = "self_attn.out_proj", [S24M_UP] = "fc1", [S24M_DOWN] = "fc2"
#define OPT                                                                                        \
    .only_json = true, .divided = true, .blocks = "model.decoder.layers.",                         \
    .embedding = "model.decoder.embed_tokens", .positions = "model.decoder.embed_positions",       \
    .project = "model.decoder.project_", .position_offset = 2, .norm = S24M_LAYER, .shifts = true, \
    .rotary = S24M_UNTURNED, .mlp = S24M_PLAIN_MLP, .activation = S24M_RELU,                       \
    .biases = {{QKVO | MLP, "enable_bias"}},                                                       \
    .applies = "do_layer_norm_before word_embed_proj_dim",                                         \
    .keys = WORDS({"intermediate_size", "ffn_dim"}, {"hidden_act", "activation_function"},         \
                  {"rms_norm_eps", "-"}, {"num_key_value_heads", "-"}),                            \
    .defaults =                                                                                    \
        WORDS({"rms_norm_eps", "1e-5"}, {"enable_bias", "true"}, {"tie_word_embeddings", "true"},  \
              {"max_position_embeddings", "2048"}, {"do_layer_norm_before", "true"})
#define FALCON_PARTS                                                                \
    [S24M_Q] = "self_attention.query_key_value", [S24M_O] = "self_attention.dense", \
    [S24M_UP] = "mlp.dense_h_to_4h", [S24M_DOWN] = "mlp.dense_4h_to_h"
#define FALCON_FILE                                                                             \
    .blocks = "transformer.h.", .embedding = "transformer.word_embeddings",                     \
    .last_norm = "transformer.ln_f", .norm = S24M_LAYER, .shifts = true, .mlp = S24M_PLAIN_MLP, \
    .ffn_times = 4
#define FALCON_KEYS                                                                       \
    {"num_key_value_heads", "num_kv_heads"}, {"hidden_act", "activation"},                \
        {"rms_norm_eps", "layer_norm_epsilon"}, {"intermediate_size", "ffn_hidden_size"}, \
        {"num_hidden_layers", "n_layer"},                                                 \
    {                                                                                     \
        "num_attention_heads", "n_head"                                                   \
    }
#define FALCON_DEFAULTS                                                                            \
    {"hidden_act", "gelu"}, {"rms_norm_eps", "1e-5"}, {"tie_word_embeddings", "true"},             \
        {"new_decoder_architecture", "false"}, {"multi_query", "true"}, {"parallel_attn", "true"}, \
        {"alibi", "false"},                                                                        \
    {                                                                                              \
        "bias", "false"                                                                            \
    }
#define NEOX                                                                                   \
    .gguf = "gptneox", .blocks = "gpt_neox.layers.", .embedding = "gpt_neox.embed_in",         \
    .last_norm = "gpt_neox.final_layer_norm", .output = "embed_out", .norm = S24M_LAYER,       \
    .shifts = true, .qkv = S24M_BY_HEAD, .mlp = S24M_PLAIN_MLP, .activation = S24M_GELU,       \
    .part = {[S24M_Q] = "attention.query_key_value",                                           \
             [S24M_O] = "attention.dense",                                                     \
             [S24M_UP] = "mlp.dense_h_to_4h",                                                  \
             [S24M_DOWN] = "mlp.dense_4h_to_h"},                                               \
    .biases = {{QKVO, "attention_bias"}, {MLP, NULL}}, .applies = "use_parallel_residual",     \
    .keys = WORDS({"num_key_value_heads", "-"}, {"rms_norm_eps", "layer_norm_eps"},            \
                  {"partial_rotary_factor", "rotary_pct"}, {"rope_theta", "rotary_emb_base"}), \
    .defaults = WORDS({"attention_bias", "true"}, {"rms_norm_eps", "1e-5"},                    \
                      {"partial_rotary_factor", "0.25"}, {"use_parallel_residual", "true"})
#define STABLELM                                                                            \
    .norm = S24M_LAYER, .shifts = true, .biases = {{QKV, "use_qkv_bias"}}, .divided = true, \
    .applies = "use_parallel_residual",                                                     \
    .keys = WORDS({"rms_norm_eps", "layer_norm_eps"}, {"rms_norm_eps", "norm_eps"},         \
                  {"partial_rotary_factor", "rope_pct"}),                                   \
    .defaults = WORDS({"rms_norm_eps", "1e-5"}, {"partial_rotary_factor", "0.25"},          \
                      {"use_parallel_residual", "false"})
#define COHERE                                                                                  \
    .norm = S24M_LAYER, .parallel = true, .norms = S24M_BEFORE_ATTENTION, .rotary = S24M_PAIRS, \
    .biases = {{QKVO, "attention_bias"}}, .applies = "logit_scale"
#define COHERE_DEFAULTS                                  \
    {"rms_norm_eps", "1e-5"}, {"logit_scale", "0.0625"}, \
    {                                                    \
        "tie_word_embeddings", "true"                    \
    }
#define COHERE_KEYS .keys = WORDS({"rms_norm_eps", "layer_norm_eps"})

const s24m_family s24m_layer_families[] = {
    {.name = "gpt2",
     .blocks = "transformer.h.",
     .embedding = "transformer.wte",
     .last_norm = "transformer.ln_f",
     .positions = "transformer.wpe",
     .part = {GPT2_PARTS},
     .norm = S24M_LAYER,
     .shifts = true,
     .qkv = S24M_BLOCKS,
     .transposed = true,
     .rotary = S24M_UNTURNED,
     .mlp = S24M_PLAIN_MLP,
     .ffn_times = 4,
     .activation = S24M_GELU_TANH,
     .biases = {{QKVO | MLP, NULL}},
     .keys = WORDS(GPT_KEYS),
     .defaults = WORDS({"rms_norm_eps", "1e-5"}, {"tie_word_embeddings", "true"},
                       {"max_position_embeddings", "1024"})},
    {.name = "gpt_bigcode",
     .gguf = "starcoder",
     .when = {{"multi_query", "true"}},
     .blocks = "transformer.h.",
     .embedding = "transformer.wte",
     .last_norm = "transformer.ln_f",
     .positions = "transformer.wpe",
     .part = {GPT2_PARTS},
     .norm = S24M_LAYER,
     .shifts = true,
     .qkv = S24M_BLOCKS,
     .kv_heads = 1,
     .rotary = S24M_UNTURNED,
     .mlp = S24M_PLAIN_MLP,
     .ffn_times = 4,
     .activation = S24M_GELU_TANH,
     .biases = {{QKVO | MLP, NULL}},
     .keys = WORDS(GPT_KEYS),
     .defaults = WORDS({"rms_norm_eps", "1e-5"}, {"tie_word_embeddings", "true"},
                       {"max_position_embeddings", "1024"}, {"multi_query", "true"})},
    {.name = "gpt_neo",
     .only_json = true,
     .divided = true,
     .blocks = "transformer.h.",
     .embedding = "transformer.wte",
     .last_norm = "transformer.ln_f",
     .positions = "transformer.wpe",
     .part = {[S24M_ATTENTION_NORM] = "ln_1",
              [S24M_MLP_NORM] = "ln_2",
              [S24M_Q] = "attn.attention.q_proj",
              [S24M_K] = "attn.attention.k_proj",
              [S24M_V] = "attn.attention.v_proj",
              [S24M_O] = "attn.attention.out_proj",
              [S24M_UP] = "mlp.c_fc",
              [S24M_DOWN] = "mlp.c_proj"},
     .norm = S24M_LAYER,
     .shifts = true,
     .unscaled = true,
     .windows = S24M_LISTED_WINDOWS,
     .rotary = S24M_UNTURNED,
     .mlp = S24M_PLAIN_MLP,
     .ffn_times = 4,
     .activation = S24M_GELU_TANH,
     .biases = {{O | MLP, NULL}},
     .keys = WORDS({"num_hidden_layers", "num_layers"}, {"num_attention_heads", "num_heads"},
                   {"num_key_value_heads", "-"}, {"layer_types", "attention_layers"},
                   {"sliding_window", "window_size"}, {"rms_norm_eps", "layer_norm_epsilon"},
                   {"hidden_act", "activation_function"}, {"use_sliding_window", "-"}),
     .defaults = WORDS({"rms_norm_eps", "1e-5"}, {"tie_word_embeddings", "true"},
                       {"sliding_window", "256"}, {"max_position_embeddings", "2048"})},
    {.name = "gptj",
     .only_json = true,
     .divided = true,
     .blocks = "transformer.h.",
     .embedding = "transformer.wte",
     .last_norm = "transformer.ln_f",
     .head_bias = true,
     .part = {[S24M_ATTENTION_NORM] = "ln_1",
              [S24M_Q] = "attn.q_proj",
              [S24M_K] = "attn.k_proj",
              [S24M_V] = "attn.v_proj",
              [S24M_O] = "attn.out_proj",
              [S24M_UP] = "mlp.fc_in",
              [S24M_DOWN] = "mlp.fc_out"},
     .norm = S24M_LAYER,
     .shifts = true,
     .norms = S24M_BEFORE_ATTENTION,
     .parallel = true,
     .rotary = S24M_PAIRS,
     .mlp = S24M_PLAIN_MLP,
     .ffn_times = 4,
     .activation = S24M_GELU_TANH,
     .biases = {{MLP, NULL}},
     .applies = "rotary_dim",
     .keys = WORDS(GPT_KEYS),
     .defaults = WORDS({"rms_norm_eps", "1e-5"}, {"rotary_dim", "64"})},
    {.name = "opt",
     .when = {{"do_layer_norm_before", "true"}},
     OPT,
     .last_norm = "model.decoder.final_layer_norm",
     .part = {[S24M_ATTENTION_NORM] = "self_attn_layer_norm",
              [S24M_MLP_NORM] = "final_layer_norm",
              OPT_PARTS}},
    {.name = "opt",
     .when = {{"do_layer_norm_before", "false"}},
     OPT,
     .last_norm = "",
     .part = {[S24M_ATTENTION_OUT_NORM] = "self_attn_layer_norm",
              [S24M_MLP_OUT_NORM] = "final_layer_norm",
              OPT_PARTS},
     .norms = S24M_OVER},
    {.name = "biogpt",
     .when = {{"scale_embedding", "true"}},
     .only_json = true,
     .divided = true,
     .blocks = "biogpt.layers.",
     .embedding = "biogpt.embed_tokens",
     .last_norm = "biogpt.layer_norm",
     .output = "output_projection",
     .positions = "biogpt.embed_positions",
     .position_offset = 2,
     .scaled_embedding = true,
     .part = {[S24M_ATTENTION_NORM] = "self_attn_layer_norm",
              [S24M_MLP_NORM] = "final_layer_norm",
              [S24M_O] = "self_attn.out_proj",
              [S24M_UP] = "fc1",
              [S24M_DOWN] = "fc2"},
     .norm = S24M_LAYER,
     .shifts = true,
     .rotary = S24M_UNTURNED,
     .mlp = S24M_PLAIN_MLP,
     .activation = S24M_GELU,
     .biases = {{QKVO | MLP, NULL}},
     .keys = WORDS({"rms_norm_eps", "-"}, {"num_key_value_heads", "-"}),
     .defaults = WORDS({"rms_norm_eps", "1e-5"}, {"scale_embedding", "true"},
                       {"tie_word_embeddings", "true"}, {"max_position_embeddings", "1024"})},
    /* Pythia; attention and MLP side by side, or one after the other. */
    {.name = "gpt_neox", .when = {{"use_parallel_residual", "true"}}, .parallel = true, NEOX},
    {.name = "gpt_neox", .when = {{"use_parallel_residual", "false"}}, NEOX},
    /* 7B; 11B, whose branches share a norm; 40B and 180B; RW, which is not parallel. */
    {.name = "falcon",
     FALCON_FILE,
     .when = {{"new_decoder_architecture", "false"},
              {"multi_query", "true"},
              {"parallel_attn", "true"}},
     .part = {FALCON_PARTS},
     .norms = S24M_BEFORE_ATTENTION,
     .parallel = true,
     .qkv = S24M_BLOCKS,
     .kv_heads = 1,
     .activation = S24M_GELU,
     .biases = {{QKVO | MLP, "bias"}},
     .applies = "parallel_attn",
     .keys = WORDS(FALCON_KEYS),
     .defaults = WORDS(FALCON_DEFAULTS)},
    {.name = "falcon",
     FALCON_FILE,
     .only_json = true,
     .when = {{"new_decoder_architecture", "true"}, {"num_ln_in_parallel_attn", "1"}},
     .part = {FALCON_PARTS},
     .norms = S24M_BEFORE_ATTENTION,
     .parallel = true,
     .qkv = S24M_BY_GROUP,
     .biases = {{QKVO | MLP, "bias"}},
     .applies = "parallel_attn",
     .keys = WORDS(FALCON_KEYS),
     .defaults = WORDS(FALCON_DEFAULTS)},
    {.name = "falcon",
     FALCON_FILE,
     .only_json = true,
     .when = {{"new_decoder_architecture", "true"}},
     .part = {FALCON_PARTS, [S24M_ATTENTION_NORM] = "ln_attn", [S24M_MLP_NORM] = "ln_mlp"},
     .parallel = true,
     .qkv = S24M_BY_GROUP,
     .biases = {{QKVO | MLP, "bias"}},
     .applies = "parallel_attn",
     .keys = WORDS(FALCON_KEYS),
     .defaults = WORDS(FALCON_DEFAULTS)},
    {.name = "falcon",
     FALCON_FILE,
     .only_json = true,
     .when = {{"multi_query", "false"}, {"parallel_attn", "false"}, {"alibi", "true"}},
     .part = {FALCON_PARTS},
     .qkv = S24M_BY_HEAD,
     .rotary = S24M_UNTURNED,
     .alibi = S24M_ALIBI_ROUNDED,
     .biases = {{QKVO | MLP, "bias"}},
     .applies = "alibi",
     .keys = WORDS({"num_key_value_heads", "-"}, FALCON_KEYS),
     .defaults = WORDS(FALCON_DEFAULTS)},
    {.name = "bloom",
     FALCON_FILE,
     .part = {FALCON_PARTS},
     .embedding_norm = "transformer.word_embeddings_layernorm",
     .qkv = S24M_BY_HEAD,
     .rotary = S24M_UNTURNED,
     .alibi = S24M_ALIBI,
     .activation = S24M_GELU_TANH,
     .biases = {{QKVO | MLP, NULL}},
     .keys = WORDS({"num_key_value_heads", "-"}, {"num_hidden_layers", "n_layer"},
                   {"num_attention_heads", "n_head"}, {"hidden_size", "n_embed"},
                   {"rms_norm_eps", "layer_norm_epsilon"}, {"intermediate_size", "-"},
                   {"hidden_act", "-"}),
     .defaults = WORDS({"rms_norm_eps", "1e-5"}, {"tie_word_embeddings", "true"})},
    {.name = "mpt",
     .when = {{"attn_config.alibi", "true"}, {"no_bias", "true"}},
     .blocks = "transformer.blocks.",
     .embedding = "transformer.wte",
     .last_norm = "transformer.norm_f",
     .part = {[S24M_ATTENTION_NORM] = "norm_1",
              [S24M_MLP_NORM] = "norm_2",
              [S24M_Q] = "attn.Wqkv",
              [S24M_O] = "attn.out_proj",
              [S24M_UP] = "ffn.up_proj",
              [S24M_DOWN] = "ffn.down_proj"},
     .norm = S24M_LAYER,
     .qkv = S24M_BLOCKS,
     .rotary = S24M_UNTURNED,
     .alibi = S24M_ALIBI_EVERY,
     .mlp = S24M_PLAIN_MLP,
     .ffn_times = 4,
     .activation = S24M_GELU,
     .keys =
         WORDS({"hidden_size", "d_model"}, {"num_hidden_layers", "n_layers"},
               {"num_attention_heads", "n_heads"}, {"num_key_value_heads", "-"},
               {"max_position_embeddings", "max_seq_len"}, {"rms_norm_eps", "layer_norm_epsilon"},
               {"hidden_act", "-"}, {"intermediate_size", "-"}),
     .defaults = WORDS({"rms_norm_eps", "1e-5"}, {"tie_word_embeddings", "true"},
                       {"attn_config.alibi", "true"}, {"no_bias", "true"})},
    {.name = "phi",
     .gguf = "phi2",
     .divided_gguf = true,
     .last_norm = "model.final_layernorm",
     .head_bias = true,
     .part = {[S24M_O] = "self_attn.dense", [S24M_UP] = "mlp.fc1", [S24M_DOWN] = "mlp.fc2"},
     .norm = S24M_LAYER,
     .shifts = true,
     .norms = S24M_BEFORE_ATTENTION,
     .parallel = true,
     .mlp = S24M_PLAIN_MLP,
     .activation = S24M_GELU_TANH,
     .biases = {{QKVO | MLP, NULL}},
     .keys = WORDS({"rms_norm_eps", "layer_norm_eps"}),
     .defaults = WORDS({"rms_norm_eps", "1e-5"}, {"partial_rotary_factor", "0.5"})},
    {.name = "starcoder2",
     .divided_gguf = true,
     .part = {[S24M_UP] = "mlp.c_fc", [S24M_DOWN] = "mlp.c_proj"},
     .norm = S24M_LAYER,
     .shifts = true,
     .mlp = S24M_PLAIN_MLP,
     .activation = S24M_GELU_TANH,
     .windows = S24M_ALL_WINDOWS,
     .biases = {{QKVO | MLP, "use_bias"}},
     .keys = WORDS({"rms_norm_eps", "norm_epsilon"}),
     .defaults =
         WORDS({"rms_norm_eps", "1e-5"}, {"use_bias", "true"}, {"tie_word_embeddings", "true"})},
    {.name = "stablelm", .when = {{"use_parallel_residual", "false"}}, STABLELM},
    {.name = "stablelm",
     .when = {{"use_parallel_residual", "true"}},
     .norms = S24M_BEFORE_ATTENTION,
     .parallel = true,
     STABLELM},
    {.name = "nemotron",
     .divided_gguf = true,
     .norm = S24M_LAYER,
     .gain = S24M_GAIN_LESS_ONE,
     .shifts = true,
     .mlp = S24M_PLAIN_MLP,
     .activation = S24M_RELU2,
     .biases = {{QKVO, "attention_bias"}, {MLP, "mlp_bias"}},
     .keys = WORDS({"rms_norm_eps", "norm_eps"}),
     .defaults = WORDS({"rms_norm_eps", "1e-5"}, {"partial_rotary_factor", "0.5"})},
    {.name = "olmo",
     .divided_gguf = true,
     .permuted = true,
     .norm = S24M_LAYER,
     .gain = S24M_NO_GAIN,
     .biases = {{QKVO, "attention_bias"}},
     .keys = WORDS({"rms_norm_eps", "-"}),
     .defaults = WORDS({"rms_norm_eps", "1e-5"})},
    /* Attention and MLP take the same norm. */
    {.name = "cohere",
     .gguf = "command-r",
     .divided_gguf = true,
     .when = {{"use_qk_norm", "false"}},
     COHERE,
     COHERE_KEYS,
     .defaults = WORDS(COHERE_DEFAULTS, {"use_qk_norm", "false"})},
    {.name = "cohere",
     .only_json = true,
     .when = {{"use_qk_norm", "true"}},
     COHERE,
     .head_norms = S24M_OWN_NORMS,
     COHERE_KEYS,
     .defaults = WORDS(COHERE_DEFAULTS)},
    {.name = "cohere2",
     .divided_gguf = true,
     COHERE,
     .windows = S24M_LISTED_WINDOWS,
     .pattern = 4,
     .turning = S24M_TURN_WINDOWED,
     COHERE_KEYS,
     .defaults = WORDS(COHERE_DEFAULTS, {"sliding_window", "4096"})},
    {.name = NULL},
};
