/* Qwen3.5: three layers of the gated delta rule to one of switched attention. */
#include "words.h"

#define QWEN35                                                                       \
    .gain = S24M_GAIN_LESS_ONE, .qkv = S24M_SWITCHED, .head_norms = S24M_HEAD_NORMS, \
    .windows = S24M_LISTED_WINDOWS, .delta = true, .only_json = true,                \
    .biases = {{QKVO, "attention_bias"}}
#define QWEN35_DEFAULTS                                                 \
    {"partial_rotary_factor", "0.25"}, {"linear_conv_kernel_dim", "4"}, \
    {                                                                   \
        "head_dim", "256"                                               \
    }

static const s24m_routing routing = {
    .score = S24M_SOFTMAX, .renormalised = true, .shared = true, .switched = true};

const s24m_family s24m_delta_families[] = {
    {.name = "qwen3_5_text", QWEN35, .defaults = WORDS(QWEN35_DEFAULTS)},
    {.name = "qwen3_5_moe_text",
     QWEN35,
     .experts = &routing,
     .applies = "num_experts num_local_experts n_routed_experts",
     .defaults = WORDS(QWEN35_DEFAULTS)},
    {.name = NULL},
};
