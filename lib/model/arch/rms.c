/* Llama and its relatives: norms by the root of the mean square. */
#include "../family.h"

enum {
    QKV = 1 << S24M_Q | 1 << S24M_K | 1 << S24M_V,
    QKVO = QKV | 1 << S24M_O,
    MLP = 1 << S24M_GATE | 1 << S24M_UP | 1 << S24M_DOWN
};

#define WORDS(...) ((const s24m_word[]){__VA_ARGS__, {NULL, NULL}})

/* Defaults as in the configuration classes of transformers 5. */
const s24m_family s24m_rms_families[] = {
    {.name = "llama",
     .permuted = true,
     .biases = {{QKVO, "attention_bias"}, {MLP, "mlp_bias"}},
     .defaults =
         WORDS({"num_hidden_layers", "32"}, {"hidden_size", "4096"}, {"intermediate_size", "11008"},
               {"num_attention_heads", "32"}, {"max_position_embeddings", "2048"})},
    {.name = "mistral",
     .only_json = true, /* GGUF files say llama */
     .windows = S24M_ALL_WINDOWS,
     .defaults =
         WORDS({"num_hidden_layers", "32"}, {"hidden_size", "4096"}, {"intermediate_size", "14336"},
               {"num_attention_heads", "32"}, {"num_key_value_heads", "8"},
               {"max_position_embeddings", "131072"}, {"sliding_window", "4096"})},
    {.name = "qwen2",
     .biases = {{QKV, NULL}},
     .windows = S24M_SOME_WINDOWS,
     .defaults = WORDS({"num_hidden_layers", "32"}, {"hidden_size", "4096"},
                       {"intermediate_size", "22016"}, {"num_attention_heads", "32"},
                       {"num_key_value_heads", "32"}, {"max_position_embeddings", "32768"},
                       {"sliding_window", "4096"}, {"max_window_layers", "28"})},
    {.name = "qwen3",
     .head_norms = S24M_HEAD_NORMS,
     .biases = {{QKVO, "attention_bias"}},
     .windows = S24M_SOME_WINDOWS,
     .defaults =
         WORDS({"num_hidden_layers", "32"}, {"hidden_size", "4096"}, {"intermediate_size", "22016"},
               {"num_attention_heads", "32"}, {"num_key_value_heads", "32"}, {"head_dim", "128"},
               {"max_position_embeddings", "32768"}, {"sliding_window", "4096"},
               {"max_window_layers", "28"})},
    {.name = NULL},
};

const s24m_family s24m_layer_families[] = {{.name = NULL}};
const s24m_family s24m_expert_families[] = {{.name = NULL}};
const s24m_family s24m_delta_families[] = {{.name = NULL}};
