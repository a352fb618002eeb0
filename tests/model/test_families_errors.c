/* Configurations of all architectures with anything in place of a value: a status and a text, or a
 * model that runs; never a crash. And what must be refused, by name. */
#include "families.h"
#include "fixture.h"
#include "model.h"

static family_list list;

/* One value of a JSON text of objects, lists and plain values. */
typedef struct place {
    const char *key, *value;
    size_t key_length, length;
} place;

/* The next value behind *at that is no object. */
static bool next_value(const char **at, place *p)
{
    for (const char *s = *at; *s; s++) {
        if (*s != '"')
            continue;
        const char *end = strchr(s + 1, '"');
        if (end[1] != ':' || end[2] == '{') {
            s = end;
            continue;
        }
        *p = (place){s + 1, end + 2, (size_t)(end - s - 1), 0};
        p->length = *p->value == '['   ? strcspn(p->value, "]") + 1
                    : *p->value == '"' ? strcspn(p->value + 1, "\"") + 2
                                       : strcspn(p->value, ",}");
        *at = p->value + p->length;
        return true;
    }
    return false;
}

static void write_config(const char *folder, const char *config, const place *p, const char *value)
{
    char name[128];
    snprintf(name, sizeof name, "%s/config.json", folder);
    FILE *file = fopen(name, "w");
    fprintf(file, "%.*s%s%s", (int)(p->value - config), config, value, p->value + p->length);
    fclose(file);
}

static s24_status run_blocks(s24m_model *model, float *h, int64_t length)
{
    s24_status status = S24_OK;
    for (int64_t i = 0; !status && i < model->config.layers; i++) {
        s24m_block block;
        status = s24m_block_load(model, i, &block);
        if (!status)
            status = s24m_forward_block(model, &block, h, 1, length);
        if (block.linear)
            s24m_block_free(&block);
    }
    return status;
}

/* What becomes of an image. */
static s24_status run_image(s24m_model *model)
{
    const s24m_image *image = &model->config.image;
    float *pixels = calloc((size_t)image->values, sizeof *pixels);
    float *h = malloc((size_t)(image->tokens * model->config.hidden) * sizeof *h);
    s24_status status =
        s24m_embed(model, (const int32_t *)(const void *)pixels, 1, image->tokens, h);
    if (!status)
        status = run_blocks(model, h, image->tokens);
    free(pixels);
    free(h);
    return status;
}

/* What becomes of eight tokens. */
static s24_status run(const char *folder)
{
    enum { LENGTH = 8 };
    int32_t tokens[LENGTH] = {1, 2, 3, 5, 8, 13, 21, 34};
    s24m_model *model = NULL;
    s24m_head head = {0};
    double nll[LENGTH];
    s24_status status = s24m_open(ctx, folder, &model);
    if (status)
        return status;
    if (model->config.image.size) {
        status = run_image(model);
        s24m_close(model);
        return status;
    }
    float *h = malloc((size_t)(LENGTH * model->config.hidden) * sizeof *h);
    status = s24m_embed(model, tokens, 1, LENGTH, h);
    if (!status)
        status = run_blocks(model, h, LENGTH);
    if (!status)
        status = s24m_head_load(model, &head);
    if (!status)
        status = s24m_head_loss(model, &head, h, tokens, 1, LENGTH, nll);
    s24m_head_free(&head);
    s24m_close(model);
    free(h);
    return status;
}

START_TEST(any_value_anywhere)
{
    static const char *const values[] = {"0", "3", "1000000000", "null", "\"x\"", "true", "[1, 2]"};
    const char *config = family_note(&list, _i, "config"), *at = config;
    char folder[64];
    place p;
    family_write(ctx, &list, _i, NULL, folder);
    while (next_value(&at, &p))
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            write_config(folder, config, &p, values[v]);
            if (run(folder))
                ck_assert_msg(strlen(s24_last_error()) > 8, "%s, %.*s is %s: no text",
                              family_name(&list, _i), (int)p.key_length, p.key, values[v]);
        }
    family_remove(folder);
}
END_TEST

START_TEST(refused_by_name)
{
    static const struct {
        const char *model, *key, *value;
        s24_status status;
        const char *text;
    } cases[] = {
        {"opt", "do_layer_norm_before", "false", S24_E_UNSUPPORTED, "final_layer_norm.bias is not"},
        {"opt", "word_embed_proj_dim", "16", S24_E_SHAPE, "embed_tokens.weight"},
        {"opt", "max_position_embeddings", "65", S24_E_SHAPE, "embed_positions.weight"},
        {"gpt2", "scale_attn_by_inverse_layer_idx", "true", S24_E_UNSUPPORTED, "inverse_layer"},
        {"gpt2", "activation_function", "\"tanh\"", S24_E_UNSUPPORTED, "activation_function is ta"},
        {"gpt_bigcode", "multi_query", "false", S24_E_UNSUPPORTED, "values of config.multi_query"},
        {"falcon-7b", "parallel_attn", "false", S24_E_UNSUPPORTED, "config.parallel_attn"},
        {"phi", "qk_layernorm", "true", S24_E_UNSUPPORTED, "config.qk_layernorm is true"},
        {"olmo", "clip_qkv", "8", S24_E_UNSUPPORTED, "config.clip_qkv is 8"},
        {"gemma3", "use_bidirectional_attention", "true", S24_E_UNSUPPORTED, "bidirectional"},
        {"mixtral", "num_experts_per_tok", "9", S24_E_FORMAT, "9 of 8 experts a token"},
        {"mixtral", "num_local_experts", "7", S24_E_UNSUPPORTED, "experts.7.w1.weight"},
        {"mixtral", "num_local_experts", "9", S24_E_ARG, "experts.8.w1.weight"},
        {"gpt_oss", "num_local_experts", "9", S24_E_SHAPE, "gate_up_proj is 8 x 32 x 32"},
        {"glm4_moe", "n_group", "3", S24_E_FORMAT, "of 3 groups of 8 experts"},
        {"glm4_moe", "topk_group", "5", S24_E_FORMAT, "5 of 2 groups"},
        {"qwen3.5", "linear_num_value_heads", "3", S24_E_FORMAT, "3 value heads are no multiple"},
        {"qwen3.5", "linear_conv_kernel_dim", "5", S24_E_SHAPE, "conv1d.weight"},
        {"cohere2", "layer_types", "[\"full_attention\"]", S24_E_FORMAT, "1 values for 4 layers"},
        {"llama-gelu", "model_type", "\"llame\"", S24_E_UNSUPPORTED,
         "the nearest that is is llama"},
        {"gemma", "model_type", "\"gemma4_text\"", S24_E_UNSUPPORTED, "nearest that is is gemma3"},
    };
    const char *config = family_note(&list, family_find(&list, cases[_i].model), "config");
    const char *at = config;
    char folder[64];
    place p;
    bool found = false;
    family_write(ctx, &list, family_find(&list, cases[_i].model), NULL, folder);
    while (!found && next_value(&at, &p))
        found =
            p.key_length == strlen(cases[_i].key) && !strncmp(p.key, cases[_i].key, p.key_length);
    ck_assert_msg(found, "%s has no %s", cases[_i].model, cases[_i].key);
    write_config(folder, config, &p, cases[_i].value);
    ck_assert_int_eq(run(folder), cases[_i].status);
    ck_assert_msg(strstr(s24_last_error(), cases[_i].text), "%s", s24_last_error());
    family_remove(folder);
}
END_TEST
enum { CASES = 21 };

/* Layers that guess further tokens lie behind the model's, and are no part of it. */
START_TEST(guessing_layers)
{
    int index = family_find(&list, _i ? "glm4_moe" : "mixtral");
    const char *config = family_note(&list, index, "config"), *at = config;
    char folder[64];
    place p;
    family_write(ctx, &list, index, NULL, folder);
    while (next_value(&at, &p) && strncmp(p.key, "num_hidden_layers", p.key_length))
        continue;
    ck_assert(!_i == !strstr(config, "\"num_nextn_predict_layers\":1"));
    write_config(folder, config, &p, "1");
    ck_assert_int_eq(run(folder), _i ? S24_OK : S24_E_UNSUPPORTED);
    family_remove(folder);
}
END_TEST

/* Rows longer than the learned positions. */
START_TEST(too_long)
{
    enum { LENGTH = 65 };
    int32_t tokens[LENGTH] = {0};
    char folder[64];
    s24m_model *model = NULL;
    float h[LENGTH * 32];
    family_write(ctx, &list, family_find(&list, "opt"), NULL, folder);
    ck_assert_int_eq(s24m_open(ctx, folder, &model), S24_OK);
    ck_assert_int_eq(s24m_embed(model, tokens, 1, LENGTH, h), S24_E_ARG);
    ck_assert_msg(strstr(s24_last_error(), "64 positions"), "%s", s24_last_error());
    s24m_close(model);
    family_remove(folder);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("families errors");
    TCase *tests = tcase_create("errors");
    if (argc < 2)
        return 1;
    family_open(&list, argv[1]);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, any_value_anywhere, 0, list.count);
    tcase_add_loop_test(tests, refused_by_name, 0, CASES);
    tcase_add_loop_test(tests, guessing_layers, 0, 2);
    tcase_add_test(tests, too_long);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    family_close(&list);
    return failed != 0;
}
