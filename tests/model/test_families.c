/* Tiny models of all architectures against logits of transformers: each is written as a folder from
 * its config.json, the names and shapes of its tensors and the formula of tiny.h. */
#include "family.h"
#include "fixture.h"
#include "families_gguf.h"
#include "model.h"

enum { LENGTH = 24 };
static family_list list;

#define ok(call) ck_assert_msg((call) == S24_OK, "%s: %s", #call, s24_last_error())

static void run_blocks(s24m_model *model, float *h, int64_t length)
{
    for (int64_t i = 0; i < model->config.layers; i++) {
        s24m_block block;
        ok(s24m_block_load(model, i, &block));
        ok(s24m_forward_block(model, &block, h, 1, length));
        s24m_block_free(&block);
    }
}

/* Of one image. */
static float *hidden_of_pixels(s24m_model *model)
{
    int64_t count = model->config.image.tokens;
    float *h = malloc((size_t)(count * model->config.hidden) * sizeof *h);
    float *pixels = tiny_tensor("pixels", model->config.image.values);
    ok(s24m_embed(model, (const int32_t *)(const void *)pixels, 1, count, h));
    run_blocks(model, h, count);
    ok(s24m_last_norm(model, h, count));
    free(pixels);
    return h;
}

/* Of an encoder hidden states take their place. */
static float *logits_of(s24m_model *model)
{
    if (model->config.image.size)
        return hidden_of_pixels(model);
    int64_t hidden = model->config.hidden, vocab = model->config.vocab;
    int32_t tokens[LENGTH];
    float *h = malloc((size_t)(LENGTH * hidden) * sizeof *h);
    float *logits = malloc((size_t)(LENGTH * vocab) * sizeof *logits);
    s24m_head head;
    for (int64_t t = 0; t < LENGTH; t++)
        tokens[t] = (int32_t)((7 * t * t + 3 * t + 5) % vocab);
    ok(s24m_embed(model, tokens, 1, LENGTH, h));
    run_blocks(model, h, LENGTH);
    if (model->family->encoder) {
        free(logits);
        return h;
    }
    ok(s24m_head_load(model, &head));
    ok(s24m_logits(model, &head, h, LENGTH, logits));
    s24m_head_free(&head);
    free(h);
    return logits;
}

/* The model at `file` has the logits of this one. */
static void compare(int index, const char *file)
{
    const char *name = family_name(&list, index);
    s24m_model *model = NULL;
    s24_mat golden;
    double worst = 0;
    s24_status status = s24m_open(ctx, file, &model);
    ck_assert_msg(status == S24_OK, "%s: %s", name, s24_last_error());
    float *logits = logits_of(model);
    family_logits(&list, index, &golden);
    ck_assert_int_eq(golden.rows, model->config.image.size ? model->config.image.tokens : LENGTH);
    ck_assert_int_eq(golden.cols,
                     model->family->encoder ? model->config.hidden : model->config.vocab);
    for (int64_t i = 0; i < golden.rows * golden.cols; i++) {
        double apart = fabs(logits[i] - ((const float *)golden.data)[i]);
        worst = apart <= worst ? worst : isnan(apart) ? INFINITY : apart;
    }
    ck_assert_msg(worst < 5e-5, "%s: off by %g", name, worst);
    free(logits);
    s24m_close(model);
}

static void check_logits(int index, const family_change *change)
{
    char folder[64];
    family_write(ctx, &list, index, change, folder);
    compare(index, folder);
    family_remove(folder);
}

START_TEST(logits_as_transformers)
{
    check_logits(_i, NULL);
}
END_TEST

/* The same from a GGUF file as llama.cpp's converter writes it. */
START_TEST(logits_of_gguf)
{
    if (!gguf_exists(&list, _i))
        return;
    gguf_write(ctx, &list, _i, path);
    compare(_i, path);
}
END_TEST

/* The language model of a wrapper, and one without its head. */
START_TEST(other_roots)
{
    static const char *const roots[] = {"model.language_model.", "language_model.model.",
                                        "language_model.", ""};
    static const char *const names[] = {"gemma3", "ministral3", "qwen3.5-moe"};
    const family_change change = {.root = roots[_i / 3]};
    if (!strcmp(names[_i % 3], "gemma3") || *change.root)
        check_logits(family_find(&list, names[_i % 3]), &change);
}
END_TEST

START_TEST(many_gguf_files)
{
    int count = 0;
    for (int i = 0; i < list.count; i++)
        count += gguf_exists(&list, i);
    ck_assert_int_ge(count, 32);
}
END_TEST

/* Every row of the tables is tried, but for rows of those that test_forward.c has. */
START_TEST(no_row_without_a_model)
{
    static const char elsewhere[] = " llama mistral qwen2 qwen3 ";
    const s24m_family *f;
    for (int32_t i = 0; (f = s24m_family_at(i)); i++) {
        char word[48];
        snprintf(word, sizeof word, " %s ", f->name);
        ck_assert_msg(strstr(elsewhere, word) || family_has_type(&list, f->name),
                      "no model of type %s in families.safetensors", f->name);
    }
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("families");
    TCase *tests = tcase_create("families");
    if (argc < 2)
        return 1;
    family_open(&list, argv[1]);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, logits_as_transformers, 0, list.count);
    tcase_add_loop_test(tests, logits_of_gguf, 0, list.count);
    tcase_add_loop_test(tests, other_roots, 0, 12);
    tcase_add_test(tests, many_gguf_files);
    tcase_add_test(tests, no_row_without_a_model);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    family_close(&list);
    return failed != 0;
}
