/* The forward pass of lib/model against the same in double, against transformers' logits, and
 * for any number of threads. */
#include "fixture.h"
#include "model.h"
#include "naive.h"

static const char *golden_path;

#define ok(call) ck_assert_msg((call) == S24_OK, "%s: %s", #call, s24_last_error())

/* The larger difference; NaN is the largest, which fmax() would drop. */
static double larger(double worst, double difference)
{
    return fabs(difference) <= worst ? worst : isnan(difference) ? INFINITY : fabs(difference);
}

static s24m_model *open_tiny(const tiny_model *m)
{
    s24m_model *model = NULL;
    tiny_write(ctx, path, m);
    ok(s24m_open(ctx, path, &model));
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
static float *forward(s24m_model *model, const int32_t *tokens, int64_t sequences, int64_t length)
{
    float *h = malloc((size_t)(sequences * length * model->config.hidden) * sizeof *h);
    ok(s24m_embed(model, tokens, sequences, length, h));
    for (int64_t i = 0; i < model->config.layers; i++) {
        s24m_block block;
        ok(s24m_block_load(model, i, &block));
        ok(s24m_forward_block(model, &block, h, sequences, length));
        s24m_block_free(&block);
    }
    return h;
}

/* All logits, to be freed; closes the model. */
static float *logits_of(s24m_model *model, const tiny_model *m, int64_t sequences, int64_t length)
{
    int32_t *tokens = make_tokens(m, sequences, length);
    float *h = forward(model, tokens, sequences, length);
    float *logits = malloc((size_t)(sequences * length * m->vocab) * sizeof *logits);
    s24m_head head;
    ok(s24m_head_load(model, &head));
    ok(s24m_logits(model, &head, h, sequences * length, logits));
    s24m_head_free(&head);
    s24m_close(model);
    free(tokens);
    free(h);
    return logits;
}

static float *run(const tiny_model *m, int64_t sequences, int64_t length)
{
    return logits_of(open_tiny(m), m, sequences, length);
}

/* The model that is written against the one that is meant. */
static void compare(const tiny_model *m, const tiny_model *meant, int64_t sequences, int64_t length,
                    double tolerance)
{
    float *logits = run(m, sequences, length);
    for (int64_t s = 0; s < sequences; s++) {
        double *wanted = naive_logits(meant, s, length), worst = 0;
        for (int64_t i = 0; i < length * m->vocab; i++)
            worst = larger(worst, logits[s * length * m->vocab + i] - wanted[i]);
        ck_assert_msg(worst < tolerance, "%s%s, sequence %d: off by %g", m->name,
                      m->gguf ? ", GGUF" : "", (int)s, worst);
        free(wanted);
    }
    free(logits);
}

static void compare_naive(const tiny_model *m, int64_t sequences, int64_t length, double tolerance)
{
    compare(m, m, sequences, length, tolerance);
}

START_TEST(every_model_as_in_double)
{
    tiny_model m = tiny_models[_i / 2];
    m.gguf = _i % 2;
    if (!m.gguf || !m.dynamic) /* which GGUF files do not have */
        compare_naive(&m, 3, 24, 1e-4);
}
END_TEST

/* Other ways to say the same model. */
typedef struct spelling {
    int model;
    bool gguf;
    const char *set[3][2];
    int64_t window, windowed; /* of the model that is meant, if it has one */
    bool unscaled;            /* it has no rope scaling */
} spelling;

enum { LLAMA, BIAS, LINEAR, LLAMA3, MISTRAL, QWEN2, QWEN3, YARN, DYNAMIC, LONGROPE, LAYERS };

static const spelling spellings[] = {
    {LLAMA, 0, {{"config.hidden_act", "swish"}}},
    {LLAMA,
     0,
     {{"config.hidden_act", NULL}, {"config.rope_theta", NULL}, {"config.head_dim", NULL}}},
    {QWEN3, 0, {{"config.rms_norm_eps", NULL}}},
    {LLAMA,
     0,
     {{"config.max_position_embeddings", "4194304"}, {"config.sliding_window", "4194304"}}},
    {LLAMA, 0, {{"config.max_position_embeddings", NULL}}},
    {LLAMA, 1, {{"llama.context_length", "4194304"}, {"llama.attention.head_count_kv", "[2, 2]"}}},
    {BIAS, 0, {{"config.tie_word_embeddings", "true"}}},
    {LLAMA, 0, {{"config.rope_scaling", "null"}, {"config.num_experts", "null"}}},
    /* Where rope settings stand. */
    {LINEAR, 0, {{"config.rope_scaling.type", NULL}, {"config.rope_scaling.rope_type", "linear"}}},
    {LINEAR, 0, {{"config.rope_parameters.rope_type", "default"}}},
    {LINEAR, 0, {{"config.rope_theta", "3"}, {"config.rope_scaling.rope_theta", "10000"}}},
    {LINEAR, 0, {{"config.rope_scaling.type", "default"}}, .unscaled = true},
    {LLAMA3,
     0,
     {{"config.rope_parameters.original_max_position_embeddings", NULL},
      {"config.original_max_position_embeddings", "8"}}},
    {LLAMA3,
     0,
     {{"config.rope_parameters.original_max_position_embeddings", NULL},
      {"config.max_position_embeddings", "8"}}},
    {YARN, 0, {{"config.rope_scaling.factor", NULL}, {"config.max_position_embeddings", "16384"}}},
    {YARN, 0, {{"config.rope_scaling.mscale", "1"}, {"config.rope_scaling.beta_fast", "32.0"}}},
    {LINEAR, 1, {{"llama.rope.scaling.type", NULL}}},
    {LINEAR, 1, {{"llama.rope.scaling.factor", NULL}, {"llama.rope.scale_linear", "4"}}},
    {LINEAR, 1, {{"llama.rope.scaling.type", "none"}}, .unscaled = true},
    {YARN,
     1,
     {{"qwen2.rope.scaling.original_context_length", NULL}, {"qwen2.context_length", "4096"}}},
    /* Windows. */
    {LLAMA, 1, {{"llama.attention.sliding_window", "0"}}},
    {MISTRAL, 0, {{"config.sliding_window", "null"}}, .window = 0},
    {MISTRAL, 0, {{"config.layer_types", "[\"sliding_attention\", \"sliding_attention\"]"}}, 7},
    {QWEN2, 0, {{"config.sliding_window", "5"}}},
    {QWEN2, 0, {{"config.sliding_window", "5"}, {"config.use_sliding_window", "true"}}},
    {QWEN2,
     0,
     {{"config.sliding_window", "5"},
      {"config.use_sliding_window", "true"},
      {"config.max_window_layers", "0"}},
     5},
    {QWEN2,
     0,
     {{"config.sliding_window", "5"},
      {"config.use_sliding_window", "true"},
      {"config.max_window_layers", "1"}},
     5,
     2},
    {LAYERS,
     0,
     {{"config.layer_types", "[\"attention\", \"sliding_attention\"]"},
      {"config.max_window_layers", "0"}},
     5,
     2},
    {LAYERS, 0, {{"config.layer_types", "null"}, {"config.max_window_layers", "1"}}, 5, 2},
    {LAYERS, 1, {{"qwen3.attention.sliding_window_pattern", "[false, true]"}}, 5, 2},
};
enum { SPELLINGS = sizeof spellings / sizeof *spellings };

START_TEST(other_spellings)
{
    const spelling *s = &spellings[_i];
    tiny_model m = tiny_models[s->model], meant = m;
    m.gguf = s->gguf;
    for (int i = 0; i < 3; i++) {
        m.set[i].key = s->set[i][0];
        m.set[i].value = s->set[i][1];
    }
    meant.window = s->window;
    meant.windowed = (int)s->windowed;
    meant.linear = s->unscaled ? 0 : m.linear;
    compare(&m, &meant, 2, 24, 1e-4);
}
END_TEST

/* A key that is left out has the default of its model type, which other sizes must fit. */
START_TEST(defaults)
{
    tiny_model m = tiny_models[_i < 2 ? MISTRAL : _i < 3 ? QWEN3 : QWEN2];
    m.heads = _i < 2 ? 16 : m.heads;
    m.kv_heads = _i < 1 ? 8 : _i < 2 ? 16 : m.kv_heads;
    m.head_dim = _i == 2 ? 128 : 16;
    m.heads = _i == 3 ? 32 : m.heads;
    m.kv_heads = _i == 3 ? 32 : m.kv_heads;
    m.set[0].key = _i == 2 ? "config.head_dim" : "config.num_key_value_heads";
    m.set[0].value = _i == 1 ? "null" : NULL;
    compare_naive(&m, 1, 24, 1e-4);
}
END_TEST

/* Where the length of a row decides about its angles: one model, rows within the trained context
 * and beyond it, in any order. */
START_TEST(lengths_of_rows)
{
    static const int64_t lengths[] = {24, 8, 9, 5, 24};
    tiny_model m = tiny_models[_i];
    s24m_model *model = open_tiny(&m);
    for (size_t n = 0; n < sizeof lengths / sizeof *lengths; n++) {
        int32_t *tokens = make_tokens(&m, 1, lengths[n]);
        float *h = forward(model, tokens, 1, lengths[n]), *logits;
        s24m_head head;
        double *wanted = naive_logits(&m, 0, lengths[n]), worst = 0;
        logits = malloc((size_t)(lengths[n] * m.vocab) * sizeof *logits);
        ok(s24m_head_load(model, &head));
        ok(s24m_logits(model, &head, h, lengths[n], logits));
        for (int64_t i = 0; i < lengths[n] * m.vocab; i++)
            worst = larger(worst, logits[i] - wanted[i]);
        ck_assert_msg(worst < 1e-4, "%s, %d tokens: off by %g", m.name, (int)lengths[n], worst);
        s24m_head_free(&head);
        free(wanted);
        free(logits);
        free(h);
        free(tokens);
    }
    s24m_close(model);
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
    s24m_model *model = NULL;
    tiny_write_folder(ctx, folder, m);
    ok(s24m_open(ctx, folder, &model));
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
    if (m->rotary) /* which transformers ignores in these architectures */
        return;
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
    s24m_model *model = open_tiny(m);
    int32_t *tokens = make_tokens(m, ROWS, LENGTH);
    float *h = forward(model, tokens, ROWS, LENGTH);
    double nll[ROWS * (LENGTH - 1)];
    s24m_head head;
    ok(s24m_head_load(model, &head));
    ok(s24m_head_loss(model, &head, h, tokens, ROWS, LENGTH, nll));
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
    s24m_head_free(&head);
    s24m_close(model);
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
    char name[S24M_NAME];
    int64_t outputs, inputs;
    m.gguf = _i;
    s24m_model *model = open_tiny(&m);
    s24m_name(model, 1, S24M_DOWN, name);
    ck_assert_str_eq(name, _i ? "blk.1.ffn_down.weight" : "model.layers.1.mlp.down_proj.weight");
    s24m_shape(model, 1, S24M_O, &outputs, &inputs);
    ck_assert_int_eq(outputs, 64);
    ck_assert_int_eq(inputs, 128);
    ck_assert_int_eq(s24m_chunk(512), 8);
    ck_assert_int_eq(s24m_chunk(1 << 20), 1);
    s24m_close(model);
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
    tcase_add_loop_test(tests, other_spellings, 0, SPELLINGS);
    tcase_add_loop_test(tests, defaults, 0, 4);
    tcase_add_loop_test(tests, lengths_of_rows, 7, 10);
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
