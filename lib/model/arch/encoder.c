/* Encoders: every token sees all others, norms stand over h, and hidden states are what comes
 * out. */
#include "words.h"

#define BERT_PARTS                                                                              \
    [S24M_Q] = "attention.self.query", [S24M_K] = "attention.self.key",                         \
    [S24M_V] = "attention.self.value", [S24M_O] = "attention.output.dense",                     \
    [S24M_ATTENTION_OUT_NORM] = "attention.output.LayerNorm", [S24M_UP] = "intermediate.dense", \
    [S24M_DOWN] = "output.dense", [S24M_MLP_OUT_NORM] = "output.LayerNorm"
#define ENCODER                                                                                  \
    .only_json = true, .encoder = true, .last_norm = "", .norm = S24M_LAYER, .shifts = true,     \
    .norms = S24M_OVER, .rotary = S24M_UNTURNED, .mlp = S24M_PLAIN_MLP, .activation = S24M_GELU, \
    .biases = {{QKVO | MLP, NULL}}
#define BERT(root)                                                              \
    ENCODER, .divided = true, .blocks = root ".encoder.layer.",                 \
             .embedding = root ".embeddings.word_embeddings",                   \
             .positions = root ".embeddings.position_embeddings",               \
             .types = root ".embeddings.token_type_embeddings",                 \
             .embedding_norm = root ".embeddings.LayerNorm",                    \
             .carried = "pooler embeddings.position_ids", .part = {BERT_PARTS}, \
             .keys = WORDS({"rms_norm_eps", "layer_norm_eps"}, {"num_key_value_heads", "-"})
#define BERT_DEFAULTS                                                            \
    {"rms_norm_eps", "1e-12"}, {"hidden_act", "gelu"}, {"type_vocab_size", "2"}, \
        {"max_position_embeddings", "512"},                                      \
    {                                                                            \
        "is_decoder", "false"                                                    \
    }
/* Positions begin behind that of padding. */
#define ROBERTA                                                                \
    BERT("roberta"), .when = {{"is_decoder", "false"}, {"pad_token_id", "1"}}, \
                     .position_offset = 2, .offset_inside = true,              \
                     .defaults = WORDS(BERT_DEFAULTS, {"pad_token_id", "1"})

const s24m_family s24m_encoder_families[] = {
    {.name = "bert",
     .when = {{"is_decoder", "false"}},
     BERT("bert"),
     .defaults = WORDS(BERT_DEFAULTS)},
    {.name = "roberta", ROBERTA},
    {.name = "xlm-roberta", ROBERTA},
    {.name = "camembert", ROBERTA},
    {.name = "electra",
     .when = {{"is_decoder", "false"}},
     BERT("electra"),
     .defaults = WORDS(BERT_DEFAULTS, {"embedding_size", "128"})},
    {.name = "distilbert",
     ENCODER,
     .divided = true,
     .blocks = "distilbert.transformer.layer.",
     .embedding = "distilbert.embeddings.word_embeddings",
     .positions = "distilbert.embeddings.position_embeddings",
     .embedding_norm = "distilbert.embeddings.LayerNorm",
     .carried = "embeddings.position_ids",
     .part = {[S24M_Q] = "attention.q_lin",
              [S24M_K] = "attention.k_lin",
              [S24M_V] = "attention.v_lin",
              [S24M_O] = "attention.out_lin",
              [S24M_ATTENTION_OUT_NORM] = "sa_layer_norm",
              [S24M_UP] = "ffn.lin1",
              [S24M_DOWN] = "ffn.lin2",
              [S24M_MLP_OUT_NORM] = "output_layer_norm"},
     .keys =
         WORDS({"hidden_size", "dim"}, {"num_hidden_layers", "n_layers"},
               {"num_attention_heads", "n_heads"}, {"intermediate_size", "hidden_dim"},
               {"hidden_act", "activation"}, {"num_key_value_heads", "-"}, {"rms_norm_eps", "-"}),
     .defaults = WORDS({"rms_norm_eps", "1e-12"}, {"hidden_act", "gelu"},
                       {"max_position_embeddings", "512"}, {"dim", "768"})},
    {.name = "vit",
     .only_json = true,
     .encoder = true,
     .image = true,
     .blocks = "vit.encoder.layer.",
     .embedding = "vit.embeddings.patch_embeddings.projection",
     .last_norm = "vit.layernorm",
     .carried = "pooler embeddings.mask_token",
     .part = {[S24M_ATTENTION_NORM] = "layernorm_before",
              [S24M_Q] = "attention.attention.query",
              [S24M_K] = "attention.attention.key",
              [S24M_V] = "attention.attention.value",
              [S24M_O] = "attention.output.dense",
              [S24M_MLP_NORM] = "layernorm_after",
              [S24M_UP] = "intermediate.dense",
              [S24M_DOWN] = "output.dense"},
     .norm = S24M_LAYER,
     .shifts = true,
     .rotary = S24M_UNTURNED,
     .mlp = S24M_PLAIN_MLP,
     .activation = S24M_GELU,
     .biases = {{QKV, "qkv_bias"}, {O | MLP, NULL}},
     .keys = WORDS({"rms_norm_eps", "layer_norm_eps"}, {"num_key_value_heads", "-"},
                   {"max_position_embeddings", "-"}),
     .defaults = WORDS({"rms_norm_eps", "1e-12"}, {"hidden_act", "gelu"}, {"qkv_bias", "true"},
                       {"image_size", "224"}, {"patch_size", "16"}, {"num_channels", "3"})},
    {.name = NULL},
};
