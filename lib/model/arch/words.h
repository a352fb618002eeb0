/* What the tables of architectures write their rows with. */
#ifndef S24M_WORDS_H
#define S24M_WORDS_H
#include "../family.h"

enum {
    QKV = 1 << S24M_Q | 1 << S24M_K | 1 << S24M_V,
    O = 1 << S24M_O,
    QKVO = QKV | O,
    MLP = 1 << S24M_GATE | 1 << S24M_UP | 1 << S24M_DOWN,
    DOWN = 1 << S24M_DOWN,
    EXPERTS = 1 << S24M_EXPERT_GATE | 1 << S24M_EXPERT_UP | 1 << S24M_EXPERT_DOWN,
    ROUTER = 1 << S24M_ROUTER
};

/* A list of keys: their own names, or what they mean where they are missing. */
#define WORDS(...) ((const s24m_word[]){__VA_ARGS__, {NULL, NULL}})

/* Sizes that older configurations call otherwise. */
#define GPT_KEYS                                                                      \
    {"hidden_size", "n_embd"}, {"num_hidden_layers", "n_layer"},                      \
        {"num_attention_heads", "n_head"}, {"num_key_value_heads", "-"},              \
        {"max_position_embeddings", "n_positions"}, {"intermediate_size", "n_inner"}, \
        {"hidden_act", "activation_function"},                                        \
    {                                                                                 \
        "rms_norm_eps", "layer_norm_epsilon"                                          \
    }

#endif
