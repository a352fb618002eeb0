/* Compression of encoders, of tokens and of images, which are judged by their hidden states, and of
 * OPT-350m, whose norms stand over h as BERT's do and whose tables are narrower than h. */
#include "family_outputs.h"
#include "family.h"
#include "model.h"
#include <check.h>
#include <sparse24/model.h>

enum { ROWS = 3, LENGTH = 24, PIXELS = 3 * 16 * 16 };

static family_list list;
static int32_t ids[ROWS * LENGTH];
static float pixels[ROWS * PIXELS];

static void fails(s24_status got, s24_status wanted, const char *text)
{
    ck_assert_msg(got == wanted && strstr(s24_last_error(), text), "%d, \"%s\" instead of \"%s\"",
                  (int)got, s24_last_error(), text);
}

static void set_up(void)
{
    open_outputs("/tmp/sparse24-encoders-XXXXXX");
    for (int i = 0; i < ROWS * LENGTH; i++)
        ids[i] = 3 + (i * i + 7 * i / LENGTH + 3 * i) % 45;
    for (int i = 0; i < ROWS * PIXELS; i++)
        pixels[i] = (float)((i * 37 + i / 11 * 5) % 101) / 50 - 1;
}

static s24_model *open_model(const char *name)
{
    s24_model *model = NULL;
    family_write(ctx, &list, family_find(&list, name), NULL, folder);
    ok(s24_model_open(ctx, folder, &model));
    return model;
}

static s24_mat rows_of_ids(void)
{
    s24_mat rows;
    ok(s24_mat_rowmajor(&rows, ids, ROWS, LENGTH, S24_I32));
    return rows;
}

/* What the model takes. */
static s24_mat rows_of(s24_model *model)
{
    s24_mat rows;
    const char *kind = NULL;
    ok(s24_model_str(model, "architecture", &kind));
    if (strcmp(kind, "vit"))
        return rows_of_ids();
    ok(s24_mat_rowmajor(&rows, pixels, ROWS, PIXELS, S24_F32));
    return rows;
}

static s24_compression *begin(s24_model *model, const char *constraints, const char *options)
{
    s24_compression *c = NULL;
    s24_mat rows = rows_of(model);
    ok(s24_compression_create(model, &c));
    ok(s24_compression_parse(c, "heldout=1"));
    ok(s24_compression_set_str(c, "constraints", constraints));
    ok(s24_compression_parse(c, options));
    ok(s24_compression_set_calibration(c, &rows, "calib"));
    ok(s24_compression_add_evaluation(c, &rows, "test"));
    return c;
}

static double number(const s24_compression *c, const char *name)
{
    double value = -1;
    ok(s24_compression_number(c, name, 0, &value));
    return value;
}

/* ---- What is printed ---- */

/* Row by row, where the product goes over all rows. */
static float *hidden_of(const char *path)
{
    s24m_model *model = NULL;
    ok(s24m_open(ctx, path, &model));
    int64_t hidden = model->config.hidden, each = model->config.image.tokens;
    bool image = each > 0;
    each = image ? each : LENGTH;
    float *h = calloc((size_t)(ROWS * LENGTH * hidden), sizeof *h);
    for (int row = 0; row < ROWS; row++) {
        float *at = h + row * each * hidden;
        ok(s24m_embed(model,
                      image ? (const int32_t *)(const void *)(pixels + row * PIXELS)
                            : ids + row * LENGTH,
                      1, each, at));
        for (int64_t i = 0; i < model->config.layers; i++) {
            s24m_block block;
            ok(s24m_block_load(model, i, &block));
            ok(s24m_forward_block(model, &block, at, 1, each));
            s24m_block_free(&block);
        }
        ok(s24m_last_norm(model, at, each));
    }
    s24m_close(model);
    return h;
}

static double error_of(const char *path, int64_t hidden)
{
    float *dense = hidden_of(folder), *found = hidden_of(path);
    double apart = 0, all = 0;
    for (int64_t i = 0; i < ROWS * LENGTH * hidden; i++) {
        apart += ((double)found[i] - dense[i]) * ((double)found[i] - dense[i]);
        all += (double)dense[i] * dense[i];
    }
    free(dense);
    free(found);
    return apart / all;
}

static const struct {
    const char *model, *constraints, *options;
} forms[] = {{"bert", "2:4", ""},
             {"bert-plain", "2:4", "correct=0"},
             {"roberta", "int4 sym g16", "format=pack-quantized-all"},
             {"xlm-roberta", "2:4+int4 sym g16", "format=gptq"},
             {"distilbert", "int4 sym g16", "format=pack-quantized"},
             {"vit", "2:4", ""},
             {"vit", "int4 sym g16", "format=pack-quantized"},
             {"vit", "int4 sym g16", "format=pack-quantized-all"},
             {"distilbert", "50%", "format=dense,memory_limit=200000000"}};
enum { FORMS = sizeof forms / sizeof *forms };

START_TEST(the_written_hidden_states_are_judged)
{
    s24_model *model = open_model(forms[_i].model);
    s24_compression *c = begin(model, forms[_i].constraints, forms[_i].options);
    ok(s24_compression_run(c, out_path("out")));
    double printed = number(c, "hidden_error");
    ck_assert(printed > 0 && printed < .3);
    ck_assert(isnan(number(c, "perplexity_before")) && isnan(number(c, "perplexity_after")));
    ck_assert_double_eq_tol(error_of(out_path("out"), 32), printed, 1e-4 * printed);
    s24_compression_destroy(c);
    s24_model_destroy(model);
}
END_TEST

/* Correction and better methods bring the hidden states nearer. */
START_TEST(better_methods_are_nearer)
{
    s24_model *model = open_model("distilbert");
    s24_compression *c = begin(model, "2:4", "solver=magnitude,correct=0");
    ok(s24_compression_run(c, out_path("a")));
    double worse = number(c, "hidden_error");
    s24_compression_destroy(c);
    c = begin(model, "2:4", "");
    ok(s24_compression_run(c, out_path("b")));
    ck_assert_double_lt(number(c, "hidden_error"), worse);
    s24_compression_destroy(c);
    s24_model_destroy(model);
}
END_TEST

/* A complete output tells the same again. */
START_TEST(resumed_runs_say_the_same)
{
    s24_model *model = open_model("bert");
    s24_compression *c = begin(model, "2:4", "");
    ok(s24_compression_run(c, out_path("out")));
    double printed = number(c, "hidden_error");
    ok(s24_compression_parse(c, "resume=1"));
    ok(s24_compression_run(c, out_path("out")));
    ck_assert_double_eq(number(c, "hidden_error"), printed);
    s24_compression_destroy(c);
    s24_model_destroy(model);
}
END_TEST

/* ---- OPT-350m ---- */

START_TEST(narrow_tables_and_norms_over_h)
{
    s24_model *model = open_model("opt-350m"), *written = NULL;
    s24_compression *c = begin(model, "2:4", "own=4");
    s24_mat rows = rows_of_ids();
    double nll;
    ok(s24_compression_run(c, out_path("out")));
    ck_assert(isnan(number(c, "hidden_error")));
    ok(s24_model_open(ctx, out_path("out"), &written));
    ok(s24_model_evaluate(written, &rows, NULL, NULL, &nll));
    ck_assert_double_eq(exp(nll), number(c, "perplexity_after"));
    s24_model_destroy(written);
    s24_compression_destroy(c);
    c = begin(model, "int4 sym g16", "own=0,format=pack-quantized-all");
    ok(s24_compression_run(c, out_path("codes")));
    ok(s24_model_open(ctx, out_path("codes"), &written));
    ok(s24_model_evaluate(written, &rows, NULL, NULL, &nll));
    ck_assert_double_eq(exp(nll), number(c, "perplexity_after"));
    s24_model_destroy(written);
    s24_compression_destroy(c);
    s24_model_destroy(model);
}
END_TEST

/* ---- Refusals ---- */

/* Images come from files as tensors, and nothing else will do. */
START_TEST(rows_of_pixels)
{
    s24_model *model = open_model("vit");
    s24_tokens *t = NULL;
    s24_file *file = NULL;
    s24_mat made = rows_of(model), found, wrong = made;
    const int64_t shape[] = {ROWS, 3, 16, 16}, other[] = {ROWS, 16, 16, 3};
    s24_compression *c = begin(model, "2:4", "");
    ok(s24_file_create(ctx, out_path("a.safetensors"), "safetensors", &file));
    ok(s24_file_put(file, "pixel_values", &made, shape, 4, NULL));
    wrong.rows = ROWS * PIXELS / 8;
    wrong.cols = wrong.row_stride = 8;
    ok(s24_file_put(file, "labels", &wrong, NULL, 2, NULL));
    ok(s24_file_commit(file));
    s24_file_destroy(file);
    ok(s24_tokens_open(model, out_path("a.safetensors"), "rows=2", &t));
    ok(s24_tokens_get(t, &found, NULL));
    ck_assert(found.rows == 2 && found.cols == PIXELS && found.dtype == S24_F32);
    ck_assert(!memcmp(found.data, pixels, 2 * PIXELS * sizeof *pixels));
    s24_tokens_destroy(t);
    fails(s24_tokens_open(model, out_path("a.safetensors"), "rows=4", &t), S24_E_SHAPE, "has 3");
    ok(s24_file_create(ctx, out_path("b.safetensors"), "safetensors", &file));
    ok(s24_file_put(file, "a", &made, shape, 4, NULL));
    ok(s24_file_put(file, "b", &made, other, 4, NULL));
    ok(s24_file_commit(file));
    s24_file_destroy(file);
    fails(s24_tokens_open(model, out_path("b.safetensors"), NULL, &t), S24_E_SHAPE,
          "name one as FILE:TENSOR");
    fails(s24_tokens_open(model, out_path("c.safetensors"), NULL, &t), S24_E_IO, "c.safetensors");
    fails(s24_compression_set_calibration(c, &wrong, NULL), S24_E_SHAPE, "3 x 16 x 16");
    wrong = rows_of_ids();
    fails(s24_compression_set_calibration(c, &wrong, NULL), S24_E_DTYPE, "takes pixels");
    pixels[PIXELS + 5] = NAN;
    fails(s24_compression_set_calibration(c, &made, NULL), S24_E_NONFINITE, "row 1, value 5");
    ok(s24_compression_parse(c, "format=pack-quantized"));
    ok(s24_compression_add_skip(c, "*query*"));
    fails(s24_compression_run(c, out_path("out")), S24_E_UNSUPPORTED, "leave --rule and --skip");
    ok(s24_compression_parse(c, "format=gptq"));
    fails(s24_compression_run(c, out_path("out")), S24_E_UNSUPPORTED, "take --format dense");
    s24_compression_destroy(c);
    s24_model_destroy(model);
}
END_TEST

/* transformers 5.24 would take the heads that are left for wider ones, and load nothing. */
static const char *const divided[] = {
    "bert",     "roberta", "xlm-roberta", "camembert", "electra", "distilbert", "opt",
    "opt-350m", "biogpt",  "gpt_neo",     "gptj",      "helium",  "stablelm"};
enum { DIVIDED = sizeof divided / sizeof *divided };

START_TEST(heads_stay)
{
    s24_model *model = open_model(divided[_i]);
    s24_compression *c = begin(model, "2:4", "");
    ok(s24_compression_add_rule(c, "attention=groups 50%"));
    fails(s24_compression_run(c, out_path("out")), S24_E_UNSUPPORTED, "divide the hidden size");
    s24_compression_destroy(c);
    s24_model_destroy(model);
}
END_TEST

/* Bloom's MLP is four times hidden, whatever its configuration says. */
START_TEST(a_width_that_no_file_says)
{
    s24_model *model = open_model("bloom");
    s24_compression *c = begin(model, "2:4", "");
    ok(s24_compression_add_rule(c, "mlp=columns 32 kept"));
    fails(s24_compression_run(c, out_path("out")), S24_E_UNSUPPORTED, "not say intermediate_size");
    s24_compression_destroy(c);
    s24_model_destroy(model);
}
END_TEST

START_TEST(inner_channels_go)
{
    int64_t ffn = 0;
    s24_model *model = open_model("bert"), *written = NULL;
    s24_compression *c = begin(model, "", "");
    ok(s24_compression_add_rule(c, "mlp=columns 32 kept"));
    ok(s24_compression_run(c, out_path("out")));
    ok(s24_model_open(ctx, out_path("out"), &written));
    ok(s24_model_int(written, "ffn", &ffn));
    ck_assert_int_eq(ffn, 32);
    s24_model_destroy(written);
    s24_compression_destroy(c);
    s24_model_destroy(model);
}
END_TEST

START_TEST(encoders_neither_predict_nor_write)
{
    s24_model *model = open_model(_i ? "vit" : "bert");
    s24_mat rows = rows_of_ids(), made;
    int32_t more[ROWS * (LENGTH + 2)];
    ok(s24_mat_rowmajor(&made, more, ROWS, LENGTH + 2, S24_I32));
    fails(s24_model_evaluate(model, &rows, NULL, NULL, NULL), S24_E_UNSUPPORTED,
          "is an encoder: it has no output head");
    fails(s24_model_generate(model, &rows, NULL, NULL, &made), S24_E_UNSUPPORTED, "writes no text");
    s24_compression *c = begin(model, "2:4", "own=4");
    fails(s24_compression_run(c, out_path("out")), S24_E_UNSUPPORTED, "writes no text");
    ok(s24_compression_parse(c, "own=0,refine=model"));
    fails(s24_compression_run(c, out_path("other")), S24_E_UNSUPPORTED, "it has no output head");
    ok(s24_compression_parse(c, "refine=block,heldout=0"));
    ok(s24_compression_run(c, out_path("refined"))); /* that needs no head */
    s24_compression_destroy(c);
    s24_model_destroy(model);
}
END_TEST

/* Values of keys that make another model of the same tensors. */
static const struct {
    const char *model, *before, *after, *text;
} others[] = {
    {"bert", "\"is_decoder\":false", "\"is_decoder\":true", "config.is_decoder"},
    {"bert", "\"is_decoder\":false", "\"position_embedding_type\":\"relative_key\"",
     "position_embedding_type is relative_key"},
    {"bert", "\"type_vocab_size\":2", "\"type_vocab_size\":3", "token_type_embeddings"},
    {"roberta", "\"pad_token_id\":1", "\"pad_token_id\":0", "config.pad_token_id"},
    {"distilbert", "\"n_layers\":2", "\"n_layers\":1", "the configuration says 1 layers"},
    {"vit", "\"image_size\":16", "\"image_size\":[16,24]", "config.image_size is [16"},
    {"vit", "\"image_size\":16", "\"image_size\":18", "have no whole patches"},
    {"vit", "\"patch_size\":4", "\"patch_size\":8", "projection.weight"},
    {"vit", "\"qkv_bias\":true", "\"qkv_bias\":false", "bias"},
    {"opt-350m", "\"word_embed_proj_dim\":16", "\"word_embed_proj_dim\":8", "embed_tokens"},
    {"opt-350m", "\"do_layer_norm_before\":false", "\"do_layer_norm_before\":0",
     "config.do_layer_norm_before"},
};

START_TEST(other_models_are_refused)
{
    char file[96], text[4000], changed[4200];
    family_write(ctx, &list, family_find(&list, others[_i].model), NULL, folder);
    snprintf(file, sizeof file, "%s/config.json", folder);
    FILE *config = fopen(file, "r");
    text[fread(text, 1, sizeof text - 1, config)] = 0;
    fclose(config);
    char *at = strstr(text, others[_i].before);
    ck_assert_msg(at != NULL, "%s: no %s in %s", others[_i].model, others[_i].before, text);
    snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text, others[_i].after,
             at + strlen(others[_i].before));
    config = fopen(file, "w");
    fputs(changed, config);
    fclose(config);
    s24_model *model = NULL;
    s24_status status = s24_model_open(ctx, folder, &model);
    ck_assert_msg(status && strstr(s24_last_error(), others[_i].text), "%d: %s", (int)status,
                  s24_last_error());
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("encoders");
    TCase *tests = tcase_create("encoders");
    if (argc < 2)
        return 1;
    family_open(&list, argv[1]);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, the_written_hidden_states_are_judged, 0, FORMS);
    tcase_add_test(tests, better_methods_are_nearer);
    tcase_add_test(tests, resumed_runs_say_the_same);
    tcase_add_test(tests, narrow_tables_and_norms_over_h);
    tcase_add_loop_test(tests, heads_stay, 0, DIVIDED);
    tcase_add_test(tests, inner_channels_go);
    tcase_add_test(tests, a_width_that_no_file_says);
    tcase_add_loop_test(tests, encoders_neither_predict_nor_write, 0, 2);
    tcase_add_test(tests, rows_of_pixels);
    tcase_add_loop_test(tests, other_models_are_refused, 0, sizeof others / sizeof *others);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    family_close(&list);
    return failed != 0;
}
