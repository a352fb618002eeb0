/* Mixtures of experts. */
#include "words.h"

/* Keys that say how many experts there are and how they are chosen. */
#define EXPERT_KEYS                                                                     \
    "num_experts num_local_experts n_routed_experts expert_count expert_used_count "    \
    "expert_shared_count expert_feed_forward_length expert_shared_feed_forward_length " \
    "expert_weights_norm expert_weights_scale expert_gating_func expert_group_count "   \
    "expert_group_used_count leading_dense_block_count"

static const s24m_routing all_weights = {.score = S24M_SOFTMAX, .renormalised = true};
static const s24m_routing asked = {.score = S24M_SOFTMAX};
static const s24m_routing asked_qwen = {.score = S24M_SOFTMAX, .renormalised_gguf = true};
static const s24m_routing with_shared = {.score = S24M_SOFTMAX, .shared = true, .switched = true};
static const s24m_routing stacked = {.score = S24M_SOFTMAX_OF_USED, .stacking = S24M_STACKED};
static const s24m_routing oss = {.score = S24M_SOFTMAX_OF_USED, .stacking = S24M_STACKED_TURNED};
static const s24m_routing ernie = {.score = S24M_SOFTMAX,
                                   .renormalised = true,
                                   .correction = true,
                                   .correction_row = true,
                                   .shared = true};
static const s24m_routing near_best = {.score = S24M_NEAR_BEST};
static const s24m_routing hunyuan = {.score = S24M_SOFTMAX, .renormalised = true, .shared = true};
static const s24m_routing corrected = {.score = S24M_SIGMOID, .correction = true, .shared = true};

#define SHARED_EXPERTS                                   \
    [S24M_SHARED_GATE] = "mlp.shared_experts.gate_proj", \
    [S24M_SHARED_UP] = "mlp.shared_experts.up_proj",     \
    [S24M_SHARED_DOWN] = "mlp.shared_experts.down_proj"
#define GLM_PARTS .part = {SHARED_EXPERTS}

#define MIXTRAL_PARTS                                          \
    {                                                          \
        [S24M_ROUTER] = "block_sparse_moe.gate",               \
        [S24M_EXPERT_GATE] = "block_sparse_moe.experts.%d.w1", \
        [S24M_EXPERT_UP] = "block_sparse_moe.experts.%d.w3",   \
        [S24M_EXPERT_DOWN] = "block_sparse_moe.experts.%d.w2"  \
    }
#define PHIMOE                                                                                     \
    .only_json = true, .experts = &near_best, .norm = S24M_LAYER, .shifts = true,                  \
    .part = MIXTRAL_PARTS, .windows = S24M_ALL_WINDOWS, .applies = EXPERT_KEYS,                    \
    .biases = {{QKVO, "attention_bias"}}, .keys = WORDS({"moe_intermediate_size", "-"}),           \
    .defaults =                                                                                    \
        WORDS({"rms_norm_eps", "1e-5"}, {"num_local_experts", "16"}, {"num_experts_per_tok", "2"}, \
              {"lm_head_bias", "false"}, {"rope_theta", "1000000"})

const s24m_family s24m_expert_families[] = {
    {.name = "mixtral",
     .gguf = "llama",
     .permuted = true,
     .experts = &all_weights,
     .part = MIXTRAL_PARTS,
     .windows = S24M_ALL_WINDOWS,
     .applies = EXPERT_KEYS,
     .defaults =
         WORDS({"rms_norm_eps", "1e-5"}, {"num_local_experts", "8"}, {"num_experts_per_tok", "2"})},
    {.name = "qwen2_moe",
     .gguf = "qwen2moe",
     .divided_gguf = true,
     .experts = &with_shared,
     .windows = S24M_SOME_WINDOWS,
     .applies = EXPERT_KEYS,
     .biases = {{QKV, "qkv_bias"}},
     .defaults = WORDS({"qkv_bias", "true"}, {"num_experts", "60"}, {"num_experts_per_tok", "4"},
                       {"max_window_layers", "28"})},
    {.name = "qwen3_moe",
     .gguf = "qwen3moe",
     .experts = &asked_qwen,
     .head_norms = S24M_HEAD_NORMS,
     .windows = S24M_SOME_WINDOWS,
     .applies = EXPERT_KEYS,
     .biases = {{QKVO, "attention_bias"}},
     .defaults = WORDS({"num_experts", "128"}, {"num_experts_per_tok", "8"},
                       {"moe_intermediate_size", "768"}, {"max_window_layers", "28"})},
    {.name = "olmoe",
     .experts = &asked,
     .head_norms = S24M_WIDE_NORMS,
     .applies = EXPERT_KEYS,
     .biases = {{QKVO, "attention_bias"}},
     .keys = WORDS({"moe_intermediate_size", "-"}),
     .defaults =
         WORDS({"rms_norm_eps", "1e-5"}, {"num_experts", "64"}, {"num_experts_per_tok", "8"})},
    {.name = "flex_olmo",
     .only_json = true,
     .experts = &asked,
     .norms = S24M_AFTER,
     .head_norms = S24M_WIDE_NORMS,
     .applies = EXPERT_KEYS,
     .biases = {{QKVO, "attention_bias"}},
     .keys = WORDS({"moe_intermediate_size", "-"})},
    {.name = "granitemoe",
     .permuted = true,
     .experts = &stacked,
     .part = {[S24M_ROUTER] = "block_sparse_moe.router.layer",
              [S24M_EXPERT_GATE] = "block_sparse_moe.input_linear",
              [S24M_EXPERT_DOWN] = "block_sparse_moe.output_linear"},
     .applies = EXPERT_KEYS " embedding_multiplier residual_multiplier attention_multiplier "
                            "logits_scaling",
     .biases = {{QKVO, "attention_bias"}},
     .keys = WORDS({"moe_intermediate_size", "-"}),
     .defaults = WORDS({"num_local_experts", "8"}, {"num_experts_per_tok", "2"})},
    {.name = "gpt_oss",
     .gguf = "gpt-oss",
     .only_json = true,
     .experts = &oss,
     .sinks = true,
     .part = {[S24M_ROUTER] = "mlp.router",
              [S24M_EXPERT_GATE] = "mlp.experts.gate_up_proj!",
              [S24M_EXPERT_DOWN] = "mlp.experts.down_proj!"},
     .windows = S24M_LISTED_WINDOWS,
     .pattern = 2,
     .applies = EXPERT_KEYS,
     .biases = {{EXPERTS | ROUTER, NULL}, {QKVO, "attention_bias"}},
     .keys = WORDS({"moe_intermediate_size", "-"}),
     .defaults =
         WORDS({"rms_norm_eps", "1e-5"}, {"attention_bias", "true"}, {"num_local_experts", "128"},
               {"num_experts_per_tok", "4"}, {"sliding_window", "128"})},
    {.name = "glm4_moe",
     .gguf = "glm4moe",
     .only_json = true,
     .when = {{"use_qk_norm", "false"}},
     .experts = &corrected,
     GLM_PARTS,
     .applies = EXPERT_KEYS,
     .biases = {{QKV, "attention_bias"}},
     .defaults =
         WORDS({"use_qk_norm", "false"}, {"rms_norm_eps", "1e-5"}, {"norm_topk_prob", "true"},
               {"partial_rotary_factor", "0.5"}, {"first_k_dense_replace", "1"})},
    {.name = "glm4_moe",
     .only_json = true,
     .when = {{"use_qk_norm", "true"}},
     .experts = &corrected,
     .head_norms = S24M_HEAD_NORMS,
     GLM_PARTS,
     .applies = EXPERT_KEYS,
     .biases = {{QKV, "attention_bias"}},
     .defaults = WORDS({"rms_norm_eps", "1e-5"}, {"norm_topk_prob", "true"},
                       {"partial_rotary_factor", "0.5"}, {"first_k_dense_replace", "1"})},
    {.name = "dots1",
     .only_json = true,
     .experts = &corrected,
     .head_norms = S24M_HEAD_NORMS,
     .windows = S24M_LISTED_WINDOWS,
     GLM_PARTS,
     .applies = EXPERT_KEYS,
     .biases = {{QKV, "attention_bias"}},
     .defaults = WORDS({"sliding_window", "4096"})},
    {.name = "ernie4_5_moe",
     .only_json = true,
     .experts = &ernie,
     .rotary = S24M_PAIRS,
     .part = {SHARED_EXPERTS, [S24M_CORRECTION] = "mlp.moe_statics.e_score_correction_bias!"},
     .applies = EXPERT_KEYS,
     .biases = {{QKVO | MLP, "use_bias"}},
     .keys = WORDS({"num_experts", "moe_num_experts"}, {"num_experts_per_tok", "moe_k"}),
     .defaults = WORDS({"rms_norm_eps", "1e-5"}, {"rope_theta", "500000"})},
    {.name = "hunyuan_v1_moe",
     .only_json = true,
     .experts = &hunyuan,
     .head_norms = S24M_HEAD_NORMS,
     .norms_after_rotation = true,
     .part = {[S24M_Q_NORM] = "self_attn.query_layernorm",
              [S24M_K_NORM] = "self_attn.key_layernorm",
              [S24M_ROUTER] = "mlp.gate.wg",
              [S24M_SHARED_GATE] = "mlp.shared_mlp.gate_proj",
              [S24M_SHARED_UP] = "mlp.shared_mlp.up_proj",
              [S24M_SHARED_DOWN] = "mlp.shared_mlp.down_proj"},
     .applies = EXPERT_KEYS,
     .biases = {{QKVO, "attention_bias"}},
     .keys = WORDS({"num_experts_per_tok", "moe_topk"}, {"n_shared_experts", "-"},
                   {"moe_intermediate_size", "-"}),
     .defaults = WORDS({"rms_norm_eps", "1e-5"}, {"n_shared_experts", "1"})},
    {.name = "phimoe", .when = {{"lm_head_bias", "false"}}, PHIMOE},
    {.name = "phimoe", .when = {{"lm_head_bias", "true"}}, .head_bias = true, PHIMOE},
    {.name = NULL},
};
