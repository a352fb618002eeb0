/* The forward pass of examples/llama against the same in double, against transformers' logits, and for any number of threads. */
#include "fixture.h"
#include "llama.h"
#include "naive.h"

static const char *golden_path;

#define ok(call) ck_assert_msg((call) == S24_OK, "%s: %s", #call, llama_error())

/* The larger difference; NaN is the largest, which fmax() would drop. */
static double larger(double worst, double difference)
{
    return fabs(difference) <= worst ? worst : isnan(difference) ? INFINITY : fabs(difference);
}

static llama_model *open_tiny(const tiny_model *m)
{
    llama_model *model = NULL;
    tiny_write(ctx, path, m);
    ok(llama_open(ctx, path, &model));
    return model;
}

static int32_t *make_tokens(const tiny_model *m, int64_t sequences, int64_t length)
{
    int32_t *tokens = malloc((size_t)(sequences * length) * sizeof *tokens);
    for (int64_t i = 0; i < sequences * length; i++)
        tokens[i] = tiny_token(m, i / length, i % length);
    return tokens;
}

/* The hidden states behind the last block, to be freed. */
static float *forward(llama_model *model, const int32_t *tokens, int64_t sequences, int64_t length)
{
    float *h = malloc((size_t)(sequences * length * model->config.hidden) * sizeof *h);
    ok(llama_embed(model, tokens, sequences * length, h));
    for (int64_t i = 0; i < model->config.layers; i++) {
        llama_block block;
        ok(llama_block_load(model, i, &block));
        ok(llama_forward_block(model, &block, h, sequences, length));
        llama_block_free(&block);
    }
    return h;
}

/* All logits, to be freed; closes the model. */
static float *logits_of(llama_model *model, const tiny_model *m, int64_t sequences, int64_t length)
{
    int32_t *tokens = make_tokens(m, sequences, length);
    float *h = forward(model, tokens, sequences, length);
    float *logits = malloc((size_t)(sequences * length * m->vocab) * sizeof *logits);
    llama_head head;
    ok(llama_head_load(model, &head));
    ok(llama_logits(model, &head, h, sequences * length, logits));
    llama_head_free(&head);
    llama_close(model);
    free(tokens);
    free(h);
    return logits;
}

static float *run(const tiny_model *m, int64_t sequences, int64_t length)
{
    return logits_of(open_tiny(m), m, sequences, length);
}

static void compare_naive(const tiny_model *m, int64_t sequences, int64_t length, double tolerance)
{
    float *logits = run(m, sequences, length);
    for (int64_t s = 0; s < sequences; s++) {
        double *wanted = naive_logits(m, s, length), worst = 0;
        for (int64_t i = 0; i < length * m->vocab; i++)
            worst = larger(worst, logits[s * length * m->vocab + i] - wanted[i]);
        ck_assert_msg(worst < tolerance, "%s%s, sequence %d: off by %g", m->name,
                      m->gguf ? ", GGUF" : "", (int)s, worst);
        free(wanted);
    }
    free(logits);
}

START_TEST(every_model_as_in_double)
{
    tiny_model m = tiny_models[_i / 2];
    m.gguf = _i % 2;
    compare_naive(&m, 3, 24, 1e-4);
}
END_TEST

/* More than one block of queries, a window that starts within one, an incomplete last block. */
START_TEST(long_sequences_as_in_double)
{
    tiny_model m = tiny_models[4];
    const int64_t windows[] = {0, 1, 50, 128, 200};
    m.layers = 1;
    m.window = windows[_i];
    compare_naive(&m, 1, 300, 1e-4);
}
END_TEST

/* Narrow matrices: the formula's values have 24 bits, so only near. */
START_TEST(stored_types)
{
    static const struct {
        const char *type;
        double tolerance;
    } types[] = {{"F16", 0.1}, {"BF16", 0.5}, {"Q8_0", 0.5}};
    tiny_model m = tiny_models[0];
    m.type = types[_i].type;
    m.gguf = _i == 2;
    compare_naive(&m, 1, 24, types[_i].tolerance);
}
END_TEST

/* A folder with config.json gives the bits of the same tensors with metadata. */
START_TEST(folders)
{
    enum { LENGTH = 24 };
    const tiny_model *m = &tiny_models[_i];
    char folder[64], name[96];
    strcpy(folder, "/tmp/sparse24-folder-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    float *wanted = run(m, 1, LENGTH);
    llama_model *model = NULL;
    tiny_write_folder(ctx, folder, m);
    ok(llama_open(ctx, folder, &model));
    float *logits = logits_of(model, m, 1, LENGTH);
    ck_assert_mem_eq(wanted, logits, (size_t)(LENGTH * m->vocab) * sizeof *logits);
    free(wanted);
    free(logits);
    snprintf(name, sizeof name, "%s/model.safetensors", folder);
    ck_assert_int_eq(unlink(name), 0);
    snprintf(name, sizeof name, "%s/config.json", folder);
    ck_assert_int_eq(unlink(name), 0);
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

START_TEST(every_model_as_transformers)
{
    enum { LENGTH = 24 };
    const tiny_model *m = &tiny_models[_i];
    float *logits = run(m, 1, LENGTH);
    s24_file *file;
    s24_mat golden;
    double worst = 0;
    tiny_must(s24_file_open(ctx, golden_path, &file));
    tiny_must(s24_file_get(file, m->name, &golden));
    ck_assert_int_eq(golden.rows, LENGTH);
    ck_assert_int_eq(golden.cols, m->vocab);
    for (int64_t i = 0; i < LENGTH * m->vocab; i++)
        worst = larger(worst, logits[i] - ((const float *)golden.data)[i]);
    ck_assert_msg(worst < 1e-4, "%s: off by %g", m->name, worst);
    s24_file_destroy(file);
    free(logits);
}
END_TEST

START_TEST(losses_are_log_probabilities)
{
    enum { ROWS = 3, LENGTH = 24 };
    const tiny_model *m = &tiny_models[3];
    llama_model *model = open_tiny(m);
    int32_t *tokens = make_tokens(m, ROWS, LENGTH);
    float *h = forward(model, tokens, ROWS, LENGTH);
    double nll[ROWS * (LENGTH - 1)];
    llama_head head;
    ok(llama_head_load(model, &head));
    ok(llama_head_loss(model, &head, h, tokens, ROWS, LENGTH, nll));
    for (int64_t s = 0; s < ROWS; s++) {
        double *logits = naive_logits(m, s, LENGTH);
        for (int64_t t = 0; t + 1 < LENGTH; t++) {
            const double *row = logits + t * m->vocab;
            double sum = 0;
            for (int64_t i = 0; i < m->vocab; i++)
                sum += exp(row[i]);
            double wanted = log(sum) - row[tokens[s * LENGTH + t + 1]];
            ck_assert_double_eq_tol(nll[s * (LENGTH - 1) + t], wanted, 1e-4);
        }
        free(logits);
    }
    llama_head_free(&head);
    llama_close(model);
    free(tokens);
    free(h);
}
END_TEST

START_TEST(equal_bits_for_any_number_of_threads)
{
    const tiny_model *m = &tiny_models[_i];
    float *first = NULL;
    for (int64_t threads = 1; threads <= 3; threads++) {
        tiny_must(s24_ctx_set_int(ctx, "threads", threads));
        float *logits = run(m, 2, 150);
        if (first)
            ck_assert_mem_eq(first, logits, (size_t)(300 * m->vocab) * sizeof *logits);
        else
            first = logits;
        if (first != logits)
            free(logits);
    }
    free(first);
}
END_TEST

/* What a driver asks before it loads anything. */
START_TEST(names_and_shapes)
{
    tiny_model m = tiny_models[6];
    char name[LLAMA_NAME];
    int64_t outputs, inputs;
    m.gguf = _i;
    llama_model *model = open_tiny(&m);
    llama_name(model, 1, LLAMA_DOWN, name);
    ck_assert_str_eq(name, _i ? "blk.1.ffn_down.weight" : "model.layers.1.mlp.down_proj.weight");
    llama_shape(model, LLAMA_O, &outputs, &inputs);
    ck_assert_int_eq(outputs, 64);
    ck_assert_int_eq(inputs, 128);
    ck_assert_int_eq(llama_chunk(512), 8);
    ck_assert_int_eq(llama_chunk(1 << 20), 1);
    llama_close(model);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("llama");
    TCase *tests = tcase_create("forward");
    if (argc < 2)
        return 1;
    golden_path = argv[1];
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, every_model_as_in_double, 0, 2 * TINY_MODELS);
    tcase_add_loop_test(tests, long_sequences_as_in_double, 0, 5);
    tcase_add_loop_test(tests, stored_types, 0, 3);
    tcase_add_loop_test(tests, folders, 0, TINY_MODELS);
    tcase_add_loop_test(tests, every_model_as_transformers, 0, TINY_MODELS);
    tcase_add_test(tests, losses_are_log_probabilities);
    tcase_add_loop_test(tests, equal_bits_for_any_number_of_threads, 0, TINY_MODELS);
    tcase_add_loop_test(tests, names_and_shapes, 0, 2);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
