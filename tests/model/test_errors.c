/* Models that cannot be run, and calls that ask for what a model cannot do: a status and a text
 * that says what and where. */
#include "disk.h"
#include "fixture.h"
#include "model.h"
#include "tiny.h"

static void check_failure(s24_status status, s24_status wanted, const char *part)
{
    ck_assert_msg(status == wanted, "%s, '%s'; wanted %s", s24_status_name(status),
                  s24_last_error(), s24_status_name(wanted));
    ck_assert_msg(strstr(s24_last_error(), part) != NULL, "'%s' does not contain '%s'",
                  s24_last_error(), part);
}

typedef struct bad_value {
    int model; /* of tiny_models */
    bool gguf;
    const char *key, *value; /* value NULL: the key is left out */
    s24_status status;
    const char *text;
} bad_value;

enum { LLAMA, BIAS, LINEAR, LLAMA3, MISTRAL, QWEN2, QWEN3, YARN, DYNAMIC, LONGROPE, LAYERS };

static const bad_value bad_values[] = {
    {LLAMA, 0, "config.model_type", NULL, S24_E_FORMAT, "no model"},
    {LLAMA, 0, "config.model_type", "gpt9", S24_E_UNSUPPORTED, "architecture gpt9 is not known"},
    {LLAMA, 1, "general.architecture", "gemma9", S24_E_UNSUPPORTED, "gemma9"},
    {LLAMA, 0, "config.hidden_act", "tanh", S24_E_UNSUPPORTED, "config.hidden_act is tanh"},
    {LLAMA, 0, "config.num_attention_heads", "0", S24_E_FORMAT, "num_attention_heads is 0"},
    {LLAMA, 0, "config.num_attention_heads", "-4", S24_E_FORMAT, "num_attention_heads is -4"},
    {LLAMA, 0, "config.num_attention_heads", "4.5", S24_E_FORMAT, "num_attention_heads is 4.5"},
    {LLAMA, 0, "config.num_attention_heads", NULL, S24_E_SHAPE, "wants 512 x 64"}, /* 32 heads */
    {LLAMA, 0, "config.num_attention_heads", "null", S24_E_FORMAT,
     "num_attention_heads is missing"},
    {LLAMA, 1, "llama.attention.head_count", "0", S24_E_FORMAT, "llama.attention.head_count is 0"},
    {LLAMA, 1, "llama.block_count", NULL, S24_E_FORMAT, "llama.block_count is missing"},
    {LLAMA, 0, "config.num_hidden_layers", "99999999999999999999", S24_E_FORMAT, "is 9999"},
    {LLAMA, 0, "config.num_key_value_heads", "3", S24_E_FORMAT, "no multiple of 3"},
    {LLAMA, 0, "config.head_dim", "15", S24_E_FORMAT, "15 elements of each head of 15"},
    {LLAMA, 0, "config.rms_norm_eps", "nan", S24_E_FORMAT, "rms_norm_eps is nan"},
    {LLAMA, 0, "config.rms_norm_eps", "-1e-5", S24_E_FORMAT, "rms_norm_eps is -1e-5"},
    {LLAMA, 0, "config.rms_norm_eps", "small", S24_E_FORMAT, "rms_norm_eps is small"},
    {LLAMA, 1, "llama.attention.layer_norm_rms_epsilon", NULL, S24_E_FORMAT, "is missing"},
    {LLAMA, 0, "config.rope_theta", "0", S24_E_FORMAT, "rope_theta is 0"},
    {LLAMA, 0, "config.rope_theta", "inf", S24_E_FORMAT, "rope_theta is inf"},
    {LINEAR, 0, "config.rope_scaling.type", "mrope", S24_E_UNSUPPORTED, "type is mrope"},
    {LINEAR, 0, "config.rope_scaling.type", NULL, S24_E_UNSUPPORTED,
     "no config.rope_scaling.rope_type"},
    {LINEAR, 1, "llama.rope.scaling.type", "dynamic", S24_E_UNSUPPORTED, "type is dynamic"},
    {LINEAR, 0, "config.rope_scaling.factor", NULL, S24_E_FORMAT, "rope_scaling.factor is missing"},
    {LINEAR, 0, "config.rope_scaling.factor", "0", S24_E_FORMAT, "rope_scaling.factor is 0"},
    {LLAMA3, 0, "config.rope_parameters.high_freq_factor", "1", S24_E_FORMAT, "not above"},
    {LLAMA3, 0, "config.rope_parameters.low_freq_factor", NULL, S24_E_FORMAT, "low_freq_factor"},
    {MISTRAL, 0, "config.sliding_window", "0", S24_E_FORMAT, "sliding_window is 0"},
    {BIAS, 0, "config.tie_word_embeddings", NULL, S24_OK, ""},
    {QWEN3, 1, "qwen3.attention.value_length", "16", S24_E_UNSUPPORTED, "value_length is 16"},
    {QWEN3, 1, "qwen3.rope.dimension_count", "15", S24_E_FORMAT, "15 elements of each head"},
    /* Another kind of value. */
    {LLAMA, 0, "config.rope_scaling", "linear", S24_E_FORMAT,
     "rope_scaling is linear, but must be an"},
    {LLAMA, 0, "config.rope_scaling", "5", S24_E_FORMAT,
     "rope_scaling is 5, but must be an object"},
    {LLAMA, 0, "config.rope_scaling", "[]", S24_E_FORMAT,
     "rope_scaling is [], but must be an object"},
    {LLAMA, 0, "config.rope_parameters", "[1]", S24_E_FORMAT, "rope_parameters is [1]"},
    {LLAMA, 0, "config.quantization_config", "fp8", S24_E_FORMAT, "quantization_config is fp8"},
    {LLAMA, 0, "config.hidden_act.name", "gelu", S24_E_FORMAT, "hidden_act is an object"},
    {LLAMA, 0, "config.tie_word_embeddings", "maybe", S24_E_FORMAT, "is maybe, but must be true"},
    {LAYERS, 0, "config.layer_types", "sliding_attention", S24_E_FORMAT, "must be a list"},
    /* Sizes. */
    {LLAMA, 0, "config.num_hidden_layers", "1048576", S24_E_ARG, "model.layers.2."},
    {LLAMA, 0, "config.num_hidden_layers", "1", S24_E_UNSUPPORTED, "says 1 layers"},
    {LLAMA, 1, "llama.block_count", "1", S24_E_UNSUPPORTED, "says 1 layers"},
    {LLAMA, 0, "config.num_key_value_heads", "null", S24_E_SHAPE, "k_proj.weight is 32 x 64"},
    {LLAMA, 1, "llama.attention.head_count_kv", "[2,4]", S24_E_UNSUPPORTED, "unequal sizes"},
    {LLAMA, 1, "llama.attention.head_count_kv", "[2]", S24_E_FORMAT, "1 values for 2 layers"},
    {LLAMA, 0, "config.partial_rotary_factor", "1.5", S24_E_FORMAT, "partial_rotary_factor is 1.5"},
    {LLAMA, 0, "config.partial_rotary_factor", "0.01", S24_E_FORMAT, "0 elements of each head"},
    /* Windows. */
    {LLAMA, 0, "config.sliding_window", "16", S24_E_UNSUPPORTED, "config.sliding_window is 16"},
    {LLAMA, 0, "config.layer_types", "[\"full_attention\", \"sliding_attention\"]", S24_E_FORMAT,
     "layer 1 is sliding_attention, but no window"},
    {MISTRAL, 0, "config.layer_types", "[\"full_attention\", \"sliding_attention\"]",
     S24_E_UNSUPPORTED, "layer 0 is full_attention"},
    {MISTRAL, 0, "config.use_sliding_window", "false", S24_E_UNSUPPORTED,
     "config.use_sliding_window"},
    {MISTRAL, 0, "config.max_window_layers", "1", S24_E_UNSUPPORTED, "config.max_window_layers"},
    {LAYERS, 0, "config.layer_types", "[\"sliding_attention\"]", S24_E_FORMAT, "1 values for 2"},
    {LAYERS, 0, "config.layer_types", "[\"sliding_attention\", \"linear_attention\"]",
     S24_E_UNSUPPORTED, "layer 1 is linear_attention"},
    {LAYERS, 0, "config.use_sliding_window", "false", S24_E_FORMAT, "no window is set"},
    {LAYERS, 1, "qwen3.attention.sliding_window_pattern", "6", S24_E_FORMAT, "must be a list"},
    /* Angles. */
    {LINEAR, 0, "config.rope_parameters.rope_theta", "1000000", S24_E_UNSUPPORTED,
     "config.rope_parameters.rope_theta is 1e+06"},
    {LLAMA3, 0, "config.original_max_position_embeddings", "16", S24_E_FORMAT,
     "is 16, but config."},
    {DYNAMIC, 0, "config.rope_scaling.original_max_position_embeddings", "4", S24_E_UNSUPPORTED,
     "goes by max_position_embeddings, 8"},
    {YARN, 0, "config.rope_scaling.alpha", "1000", S24_E_UNSUPPORTED, "rope_scaling.alpha is 1000"},
    {YARN, 0, "config.rope_scaling.beta_slow", "33", S24_E_FORMAT, "beta_slow 33"},
    {YARN, 0, "config.rope_scaling.attention_factor", "-1", S24_E_FORMAT, "attention_factor is -1"},
    {YARN, 1, "qwen2.rope.scaling.yarn_log_multiplier", "0.1", S24_E_UNSUPPORTED,
     "multiplier is 0.1"},
    {LONGROPE, 0, "config.rope_scaling.long_factor", "[1,2]", S24_E_SHAPE, "2 values for 8 rotary"},
    {LONGROPE, 0, "config.rope_scaling.long_factor", "[1,0,1,1,1,1,1,1]", S24_E_FORMAT,
     "value 1 is 0"},
    {LONGROPE, 0, "config.rope_scaling.long_factor", NULL, S24_E_FORMAT, "long_factor is missing"},
    {LONGROPE, 0, "config.rope_scaling.original_max_position_embeddings", "1", S24_E_FORMAT,
     "angles without a number"},
    /* Other models of the same tensors. */
    {LLAMA, 0, "config.final_logit_softcapping", "30.0", S24_E_UNSUPPORTED, "softcapping is 30.0"},
    {LLAMA, 0, "config.logit_scale", "0.5", S24_E_UNSUPPORTED, "config.logit_scale is 0.5"},
    {LLAMA, 0, "config.residual_multiplier", "0.22", S24_E_UNSUPPORTED,
     "residual_multiplier is 0.22"},
    {LLAMA, 0, "config.attention_multiplier", "0.5", S24_E_UNSUPPORTED,
     "attention_multiplier is 0.5"},
    {LLAMA, 0, "config.attention_multiplier", "0.25", S24_OK, ""}, /* 1 / sqrt(16) */
    {LLAMA, 0, "config.num_local_experts", "8", S24_E_UNSUPPORTED, "num_local_experts is 8"},
    {LLAMA, 0, "config.is_causal", "false", S24_E_UNSUPPORTED, "config.is_causal is false"},
    {LLAMA, 0, "config.pretraining_tp", "2", S24_OK, ""}, /* the same sums in pieces */
    {LLAMA, 0, "config.unknown_note", "17", S24_OK, ""},
    {QWEN2, 0, "config.mlp_bias", "true", S24_E_UNSUPPORTED, "config.mlp_bias is true"},
    {MISTRAL, 0, "config.attention_bias", "true", S24_E_UNSUPPORTED,
     "config.attention_bias is true"},
    {BIAS, 0, "config.attention_bias", NULL, S24_E_UNSUPPORTED, "q_proj.bias is there"},
    {LLAMA, 0, "config.quantization_config.quant_method", "gptq", S24_E_UNSUPPORTED,
     "quant_method is gptq"},
    {LLAMA, 1, "llama.logit_scale", "0.5", S24_E_UNSUPPORTED, "llama.logit_scale is 0.5"},
    {LLAMA, 1, "llama.attention.scale", "0.25", S24_OK, ""},
    {LLAMA, 1, "llama.attention.scale", "0.5", S24_E_UNSUPPORTED, "llama.attention.scale is 0.5"},
    {LLAMA, 1, "llama.unknown", "1", S24_E_UNSUPPORTED, "llama.unknown is 1"},
    {LLAMA, 1, "general.unknown", "1", S24_OK, ""},
};
enum { BAD_VALUES = sizeof bad_values / sizeof *bad_values };

START_TEST(bad_metadata)
{
    const bad_value *bad = &bad_values[_i];
    tiny_model m = tiny_models[bad->model];
    s24m_model *model = NULL;
    m.gguf = bad->gguf;
    m.set[0].key = bad->key;
    m.set[0].value = bad->value;
    tiny_write(ctx, path, &m);
    s24_status status = s24m_open(ctx, path, &model);
    if (bad->status) {
        check_failure(status, bad->status, bad->text);
        ck_assert_ptr_null(model);
    } else {
        ck_assert_msg(status == S24_OK, "%s", s24_last_error());
    }
    s24m_close(model);
}
END_TEST

START_TEST(no_file)
{
    s24m_model *model = NULL;
    check_failure(s24m_open(ctx, "/nowhere/model", &model), S24_E_IO, "/nowhere/model");
    ck_assert_ptr_null(model);
}
END_TEST

/* What opening and then everything that loads weights says. */
static s24_status load_all(const tiny_model *m)
{
    s24m_model *model = NULL;
    s24m_head head = {0};
    float h[64];
    int32_t token = 1;
    tiny_write(ctx, path, m);
    s24_status status = s24m_open(ctx, path, &model);
    if (!status)
        status = s24m_embed(model, &token, 1, 1, h);
    for (int64_t i = 0; !status && i < m->layers; i++) {
        s24m_block block;
        status = s24m_block_load(model, i, &block);
        if (!status)
            s24m_block_free(&block);
    }
    if (!status)
        status = s24m_head_load(model, &head);
    if (!status)
        s24m_head_free(&head);
    s24m_close(model);
    return status;
}

START_TEST(missing_tensors)
{
    static const struct {
        int model;
        bool gguf;
        const char *name;
        s24_status status;
    } cases[] = {
        {LLAMA, 0, "model.embed_tokens.weight", S24_E_ARG},
        {LLAMA, 0, "model.layers.1.mlp.up_proj.weight", S24_E_ARG},
        {LLAMA, 0, "model.layers.0.input_layernorm.weight", S24_E_ARG},
        {LLAMA, 0, "model.norm.weight", S24_E_ARG},
        {BIAS, 0, "lm_head.weight", S24_E_FORMAT},
        {BIAS, 0, "model.layers.1.self_attn.o_proj.bias", S24_E_ARG},
        {BIAS, 0, "model.layers.0.mlp.down_proj.bias", S24_E_ARG},
        {QWEN2, 0, "model.layers.0.self_attn.v_proj.bias", S24_E_ARG},
        {QWEN2, 1, "blk.1.attn_k.bias", S24_E_ARG},
        {QWEN3, 1, "blk.1.attn_q_norm.weight", S24_E_ARG},
        {QWEN3, 1, "token_embd.weight", S24_E_ARG},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tiny_model m = tiny_models[cases[i].model];
        m.gguf = cases[i].gguf;
        m.omit = cases[i].name;
        check_failure(load_all(&m), cases[i].status, cases[i].name);
    }
}
END_TEST

/* Tensors that say that the weights beside them are not what is to be multiplied. */
START_TEST(unknown_tensors)
{
    static const struct {
        int model;
        bool gguf;
        const char *name, *text;
    } cases[] = {
        {LLAMA, 0, "model.layers.0.self_attn.q_proj.weight_scale_inv",
         "8-bit weights in blocks (FP8)"},
        {LLAMA, 0, "model.layers.1.mlp.up_proj.weight_scale", "scales of 8-bit or packed weights"},
        {LLAMA, 0, "model.layers.1.mlp.up_proj.SCB", "bitsandbytes"},
        {LLAMA, 0, "model.layers.1.mlp.up_proj.weight.absmax", "bitsandbytes"},
        {LLAMA, 0, "model.layers.1.mlp.up_proj.qweight", "GPTQ, AWQ"},
        {LLAMA, 0, "model.layers.1.mlp.up_proj.weight_packed", "compressed-tensors"},
        {LLAMA, 0, "model.layers.1.mlp.up_proj.lora_A.weight", "an adapter that is not merged"},
        {LLAMA, 0, "lm_head.weight_scale", "scales of 8-bit or packed weights"},
        {LLAMA, 0, "lm_head.bias", "says no such bias"},
        {LLAMA, 0, "model.layers.0.self_attn.q_norm.weight", "is not known in a llama"},
        {LLAMA, 0, "model.layers.0.self_attn.q_proj.bias", "says no such bias"},
        {QWEN2, 0, "model.layers.0.self_attn.o_proj.bias", "says no such bias"},
        {LLAMA, 0, "model.layers.0.post_feedforward_layernorm.weight", "is not known in a llama"},
        {LLAMA, 0, "model.layers.2.mlp.up_proj.weight", "says 2 layers"},
        {LLAMA, 1, "blk.0.attn_q.scale", "is not known in a llama"},
        {LLAMA, 1, "blk.0.attn_sinks.weight", "is not known in a llama"},
        {LLAMA, 1, "position_embd.weight", "is not known in a llama"},
        {LLAMA, 0, "score.weight", NULL},
        {LLAMA, 0, "model.layers.0.self_attn.rotary_emb.inv_freq", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tiny_model m = tiny_models[cases[i].model];
        m.gguf = cases[i].gguf;
        m.extra = cases[i].name;
        s24_status status = load_all(&m);
        if (cases[i].text) {
            check_failure(status, S24_E_UNSUPPORTED, cases[i].name);
            check_failure(status, S24_E_UNSUPPORTED, cases[i].text);
        } else {
            ck_assert_msg(status == S24_OK, "%s: %s", cases[i].name, s24_last_error());
        }
    }
}
END_TEST

START_TEST(no_weights)
{
    tiny_model m = tiny_models[LLAMA];
    m.omit = m.extra = "model.layers.1.mlp.down_proj.weight";
    check_failure(load_all(&m), S24_E_DTYPE,
                  "tensor 'model.layers.1.mlp.down_proj.weight': I8 is not converted");
}
END_TEST

START_TEST(no_numbers)
{
    static const struct {
        bool gguf;
        const char *name, *place;
    } cases[] = {{0, "model.layers.1.mlp.up_proj.weight", "row 1, column 2 is"},
                 {1, "blk.0.attn_k.weight", "row 1, column 2 is"},
                 {0, "model.layers.0.self_attn.v_proj.bias", "row 0, column 2 is"},
                 {0, "model.layers.0.input_layernorm.weight", "row 0, column 2 is"},
                 {0, "model.norm.weight", "row 0, column 2 is"},
                 {0, "model.embed_tokens.weight", "row 1, column 2 is"},
                 {0, "lm_head.weight", "row 1, column 2 is"}};
    static const char *const types[] = {NULL, "F16", "BF16", "F64"};
    for (size_t i = 0; i < 4 * sizeof cases / sizeof *cases; i++) {
        tiny_model m = tiny_models[BIAS];
        char text[120];
        m.gguf = cases[i / 4].gguf;
        m.nan = cases[i / 4].name;
        m.type = types[i % 4];
        snprintf(text, sizeof text, "%s: %s", m.nan, cases[i / 4].place);
        check_failure(load_all(&m), S24_E_NONFINITE, text);
    }
}
END_TEST

START_TEST(wrong_shapes)
{
    static const struct {
        const char *key, *value, *text;
    } cases[] = {
        {"config.intermediate_size", "97",
         "mlp.gate_proj.weight is 96 x 64, but the configuration wants 97 x 64"},
        {"config.hidden_size", "65", "65"},
        {"config.vocab_size", "97", "model.embed_tokens.weight is 96 x 64"},
        {"config.num_key_value_heads", "4", "self_attn.k_proj.weight is 32 x 64"},
        {"config.head_dim", "32", "self_attn.q_proj.weight is 64 x 64"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tiny_model m = tiny_models[LLAMA];
        m.set[0].key = cases[i].key;
        m.set[0].value = cases[i].value;
        check_failure(load_all(&m), S24_E_SHAPE, cases[i].text);
    }
}
END_TEST

/* lib/model/disk.c */
START_TEST(no_room)
{
    ck_assert(s24m_disk_check("/tmp/is/not/there", 1));
    ck_assert(s24m_disk_check("not-there", 1));
    ck_assert(s24m_disk_check("", 1));
    ck_assert(s24m_disk_free("/tmp") < UINT64_MAX && s24m_disk_free("/tmp") > 0);
    ck_assert_uint_eq(s24m_disk_free("/dev/null/file"), UINT64_MAX); /* another error names it */
    ck_assert(!s24m_disk_check("/tmp/out", UINT64_MAX - 1));
    ck_assert_int_eq(s24_last_status(), S24_E_IO);
    ck_assert_ptr_nonnull(strstr(s24_last_error(), "--out /tmp/out: 17592186044417"));
    ck_assert_ptr_nonnull(strstr(s24_last_error(), "MiB are needed on its disk, and "));
    ck_assert_uint_eq(s24m_disk_used("/tmp/is/not/there"), 0);
}
END_TEST

START_TEST(bad_calls)
{
    enum { LENGTH = 24 };
    tiny_model m = tiny_models[LLAMA];
    s24m_model *model = NULL;
    s24m_block block;
    int32_t tokens[] = {1, 96, -1};
    float h[LENGTH * 64] = {0};
    m.set[0].key = "config.max_position_embeddings";
    m.set[0].value = "23";
    tiny_write(ctx, path, &m);
    ck_assert_int_eq(s24m_open(ctx, path, &model), S24_OK);
    check_failure(s24m_embed(model, tokens, 1, 2, h), S24_E_ARG, "token 1 is 96");
    check_failure(s24m_embed(model, tokens + 2, 1, 1, h), S24_E_ARG, "is -1");
    check_failure(s24m_block_load(model, 2, &block), S24_E_ARG, "block 2, but");
    ck_assert_int_eq(s24m_block_load(model, 1, &block), S24_OK);
    check_failure(s24m_forward_block(model, &block, h, 1, LENGTH), S24_E_ARG, "1 .. 23");
    s24m_block_free(&block);
    s24m_close(model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("llama errors");
    TCase *tests = tcase_create("errors");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, bad_metadata, 0, BAD_VALUES);
    tcase_add_test(tests, no_file);
    tcase_add_test(tests, missing_tensors);
    tcase_add_test(tests, unknown_tensors);
    tcase_add_test(tests, no_weights);
    tcase_add_test(tests, no_numbers);
    tcase_add_test(tests, wrong_shapes);
    tcase_add_test(tests, bad_calls);
    tcase_add_test(tests, no_room);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
