/* Models that cannot be run, and calls that ask for what a model cannot do: a status and a text that says what and where. */
#include "fixture.h"
#include "llama.h"
#include "tiny.h"

static void check_failure(s24_status status, s24_status wanted, const char *part)
{
    ck_assert_msg(status == wanted, "%s, '%s'; wanted %s", s24_status_name(status), llama_error(),
                  s24_status_name(wanted));
    ck_assert_msg(strstr(llama_error(), part) != NULL, "'%s' does not contain '%s'", llama_error(),
                  part);
}

typedef struct bad_value {
    int model; /* of tiny_models */
    bool gguf;
    const char *key, *value; /* value NULL: the key is left out */
    s24_status status;
    const char *text;
} bad_value;

enum { LLAMA, BIAS, LINEAR, LLAMA3, MISTRAL, QWEN2, QWEN3 };

static const bad_value bad_values[] = {
    {LLAMA, 0, "config.model_type", NULL, S24_E_FORMAT, "no model"},
    {LLAMA, 0, "config.model_type", "gpt2", S24_E_UNSUPPORTED, "gpt2 is not one of llama"},
    {LLAMA, 1, "general.architecture", "gemma3", S24_E_UNSUPPORTED, "gemma3"},
    {LLAMA, 0, "config.hidden_act", "gelu", S24_E_UNSUPPORTED, "config.hidden_act is gelu"},
    {LLAMA, 0, "config.num_attention_heads", "0", S24_E_FORMAT, "num_attention_heads is 0"},
    {LLAMA, 0, "config.num_attention_heads", "-4", S24_E_FORMAT, "num_attention_heads is -4"},
    {LLAMA, 0, "config.num_attention_heads", "4.5", S24_E_FORMAT, "num_attention_heads is 4.5"},
    {LLAMA, 0, "config.num_attention_heads", NULL, S24_E_FORMAT, "num_attention_heads is missing"},
    {LLAMA, 0, "config.num_attention_heads", "null", S24_E_FORMAT,
     "num_attention_heads is missing"},
    {LLAMA, 1, "llama.attention.head_count", "0", S24_E_FORMAT, "llama.attention.head_count is 0"},
    {LLAMA, 1, "llama.block_count", NULL, S24_E_FORMAT, "llama.block_count is missing"},
    {LLAMA, 0, "config.num_hidden_layers", "99999999999999999999", S24_E_FORMAT, "is 9999"},
    {LLAMA, 0, "config.num_key_value_heads", "3", S24_E_FORMAT, "no multiple of 3"},
    {LLAMA, 0, "config.head_dim", "15", S24_E_FORMAT, "15 is odd"},
    {LLAMA, 0, "config.rms_norm_eps", "nan", S24_E_FORMAT, "rms_norm_eps is nan"},
    {LLAMA, 0, "config.rms_norm_eps", "-1e-5", S24_E_FORMAT, "rms_norm_eps is -1e-5"},
    {LLAMA, 0, "config.rms_norm_eps", "small", S24_E_FORMAT, "rms_norm_eps is small"},
    {LLAMA, 0, "config.rms_norm_eps", NULL, S24_E_FORMAT, "config.rms_norm_eps is missing"},
    {LLAMA, 0, "config.rope_theta", "0", S24_E_FORMAT, "rope_theta is 0"},
    {LLAMA, 0, "config.rope_theta", "inf", S24_E_FORMAT, "rope_theta is inf"},
    {LINEAR, 0, "config.rope_scaling.type", "yarn", S24_E_UNSUPPORTED, "yarn"},
    {LINEAR, 1, "llama.rope.scaling.type", "yarn", S24_E_UNSUPPORTED, "yarn"},
    {LINEAR, 0, "config.rope_scaling.factor", NULL, S24_E_FORMAT, "rope_scaling.factor is missing"},
    {LINEAR, 0, "config.rope_scaling.factor", "0", S24_E_FORMAT, "rope_scaling.factor is 0"},
    {LLAMA3, 0, "config.rope_parameters.high_freq_factor", "1", S24_E_FORMAT, "not above"},
    {LLAMA3, 0, "config.rope_parameters.low_freq_factor", NULL, S24_E_FORMAT, "low_freq_factor"},
    {MISTRAL, 0, "config.sliding_window", "0", S24_E_FORMAT, "sliding_window is 0"},
    {BIAS, 0, "config.tie_word_embeddings", NULL, S24_OK, ""},
    {QWEN3, 1, "qwen3.attention.value_length", "16", S24_E_UNSUPPORTED, "value_length is 16"},
    {QWEN3, 1, "qwen3.rope.dimension_count", "16", S24_E_UNSUPPORTED, "dimension_count is 16"},
};
enum { BAD_VALUES = sizeof bad_values / sizeof *bad_values };

START_TEST(bad_metadata)
{
    const bad_value *bad = &bad_values[_i];
    tiny_model m = tiny_models[bad->model];
    llama_model *model = NULL;
    m.gguf = bad->gguf;
    m.key = bad->key;
    m.value = bad->value;
    tiny_write(ctx, path, &m);
    s24_status status = llama_open(ctx, path, &model);
    if (bad->status) {
        check_failure(status, bad->status, bad->text);
        ck_assert_ptr_null(model);
    } else {
        ck_assert_msg(status == S24_OK, "%s", llama_error());
    }
    llama_close(model);
}
END_TEST

START_TEST(no_file)
{
    llama_model *model = NULL;
    check_failure(llama_open(ctx, "/nowhere/model", &model), S24_E_IO, "/nowhere/model");
    ck_assert_ptr_null(model);
}
END_TEST

/* What opening and then everything that loads weights says. */
static s24_status load_all(const tiny_model *m)
{
    llama_model *model = NULL;
    llama_head head = {0};
    float h[64];
    int32_t token = 1;
    tiny_write(ctx, path, m);
    s24_status status = llama_open(ctx, path, &model);
    if (!status)
        status = llama_embed(model, &token, 1, h);
    for (int64_t i = 0; !status && i < m->layers; i++) {
        llama_block block;
        status = llama_block_load(model, i, &block);
        if (!status)
            llama_block_free(&block);
    }
    if (!status)
        status = llama_head_load(model, &head);
    if (!status)
        llama_head_free(&head);
    llama_close(model);
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
        m.key = cases[i].key;
        m.value = cases[i].value;
        check_failure(load_all(&m), S24_E_SHAPE, cases[i].text);
    }
}
END_TEST

START_TEST(bad_calls)
{
    enum { LENGTH = 24 };
    tiny_model m = tiny_models[LLAMA];
    llama_model *model = NULL;
    llama_block block;
    int32_t tokens[] = {1, 96, -1};
    float h[LENGTH * 64] = {0};
    m.key = "config.max_position_embeddings";
    m.value = "23";
    tiny_write(ctx, path, &m);
    ck_assert_int_eq(llama_open(ctx, path, &model), S24_OK);
    check_failure(llama_embed(model, tokens, 2, h), S24_E_ARG, "token 1 is 96");
    check_failure(llama_embed(model, tokens + 2, 1, h), S24_E_ARG, "is -1");
    check_failure(llama_block_load(model, 2, &block), S24_E_ARG, "model.layers.2");
    ck_assert_int_eq(llama_block_load(model, 1, &block), S24_OK);
    check_failure(llama_forward_block(model, &block, h, 1, LENGTH), S24_E_ARG, "1 .. 23");
    llama_block_free(&block);
    llama_close(model);
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
    tcase_add_test(tests, wrong_shapes);
    tcase_add_test(tests, bad_calls);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
