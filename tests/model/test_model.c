/* The handles of libsparse24-model as a host uses them: facts, misuse, threads, evaluation against
 * the same in double. */
#include "fixture.h"
#include "naive.h"
#include <locale.h>
#include <pthread.h>
#include <sparse24/model.h>
#include <stdatomic.h>

enum { ROWS = 3, LENGTH = 24, LLAMA = 0, QWEN2 = 5, MATRICES = 14 };

#define ok(call) ck_assert_msg((call) == S24_OK, "%s: %s", #call, s24_last_error())
#define fails(wanted, text, call)                                                 \
    do {                                                                          \
        s24_status got = call;                                                    \
        ck_assert_msg(got == (wanted), "%s: %s, %s", #call, s24_status_name(got), \
                      s24_last_error());                                          \
        ck_assert_ptr_nonnull(strstr(s24_last_error(), text));                    \
        ck_assert_int_eq(s24_last_status(), got);                                 \
    } while (0)

static s24_model *model;
static int32_t ids[ROWS * LENGTH];
static s24_mat tokens;

static void open_tiny(const tiny_model *m)
{
    tiny_write(ctx, path, m);
    for (int i = 0; i < ROWS * LENGTH; i++)
        ids[i] = tiny_token(m, i / LENGTH, i % LENGTH);
    ok(s24_mat_rowmajor(&tokens, ids, ROWS, LENGTH, S24_I32));
    ok(s24_model_open(ctx, path, &model));
}

static void open_llama(void)
{
    set_up();
    open_tiny(&tiny_models[LLAMA]);
}

static void close_model(void)
{
    s24_model_destroy(model);
    tear_down();
}

/* ---- Facts ---- */

static int64_t fact(const char *key)
{
    int64_t value = -1;
    ok(s24_model_int(model, key, &value));
    return value;
}

START_TEST(facts)
{
    const char *text;
    ck_assert_int_eq(fact("layers"), 2);
    ck_assert_int_eq(fact("hidden"), 64);
    ck_assert_int_eq(fact("ffn"), 96);
    ck_assert_int_eq(fact("heads"), 4);
    ck_assert_int_eq(fact("kv_heads"), 2);
    ck_assert_int_eq(fact("head_dim"), 16);
    ck_assert_int_eq(fact("vocab"), 96);
    ck_assert_int_eq(fact("window"), INT64_MAX);
    ck_assert_int_eq(fact("matrices"), MATRICES);
    /* q, o: 64 x 64; k, v: 32 x 64; gate, up, down: 96 x 64; two norms a block, the last norm, the
     * table. */
    int64_t block = 2 * 64 * 64 + 2 * 32 * 64 + 3 * 96 * 64 + 2 * 64;
    ck_assert_int_eq(fact("parameters"), 2 * block + 64 + 96 * 64);
    ck_assert_int_eq(fact("bytes"), 4 * fact("parameters"));
    ck_assert_int_eq(fact("tensors"), 2 * 9 + 2);
    ok(s24_model_str(model, "architecture", &text));
    ck_assert_str_eq(text, "llama");
    ok(s24_model_str(model, "format", &text));
    ck_assert_str_eq(text, "safetensors");
    ok(s24_model_str(model, "path", &text));
    ck_assert_str_eq(text, path);
    fails(S24_E_ARG, "there are: layers, hidden", s24_model_int(model, "depth", &(int64_t){0}));
    fails(S24_E_ARG, "there are: architecture", s24_model_str(model, "layers", &text));
}
END_TEST

START_TEST(matrices)
{
    static const char *const kinds[] = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                        "gate_proj", "up_proj", "down_proj"};
    static const int64_t shapes[][2] = {{64, 64}, {32, 64}, {32, 64}, {64, 64},
                                        {96, 64}, {96, 64}, {64, 96}};
    for (int64_t i = 0; i < MATRICES; i++) {
        const char *name, *kind;
        int64_t layer, rows, cols;
        char wanted[80];
        ok(s24_model_matrix(model, i, &name, &kind, &layer, &rows, &cols));
        snprintf(wanted, sizeof wanted, "model.layers.%d.%s.%s.weight", (int)(i / 7),
                 i % 7 < 4 ? "self_attn" : "mlp", kinds[i % 7]);
        ck_assert_str_eq(name, wanted);
        ck_assert_str_eq(kind, kinds[i % 7]);
        ck_assert_int_eq(layer, i / 7);
        ck_assert_int_eq(rows, shapes[i % 7][0]);
        ck_assert_int_eq(cols, shapes[i % 7][1]);
    }
    ok(s24_model_matrix(model, 0, NULL, NULL, NULL, NULL, NULL));
    fails(S24_E_ARG, "matrix 14, but they are 0 .. 13",
          s24_model_matrix(model, MATRICES, NULL, NULL, NULL, NULL, NULL));
    fails(S24_E_ARG, "matrix -1", s24_model_matrix(model, -1, NULL, NULL, NULL, NULL, NULL));
}
END_TEST

/* ---- Evaluation ---- */

static double naive_nll(const tiny_model *m)
{
    double sum = 0;
    for (int64_t r = 0; r < ROWS; r++) {
        double *logits = naive_logits(m, r, LENGTH);
        for (int64_t t = 0; t + 1 < LENGTH; t++) {
            double total = 0;
            for (int64_t v = 0; v < m->vocab; v++)
                total += exp(logits[t * m->vocab + v]);
            sum += log(total) - logits[t * m->vocab + ids[r * LENGTH + t + 1]];
        }
        free(logits);
    }
    return sum / (ROWS * (LENGTH - 1));
}

START_TEST(nll_as_in_double)
{
    tiny_model m = tiny_models[_i / 2];
    double nll = 0, value;
    m.gguf = _i % 2;
    if (m.gguf && m.dynamic) /* which GGUF files do not have */
        return;
    set_up();
    open_tiny(&m);
    fails(S24_E_STATE, "nothing has been evaluated", s24_model_float(model, "nll", &value));
    ok(s24_model_evaluate(model, &tokens, NULL, NULL, &nll));
    ck_assert_double_eq_tol(nll, naive_nll(&m), 1e-4);
    ok(s24_model_float(model, "nll", &value));
    ck_assert(value == nll);
    ok(s24_model_float(model, "perplexity", &value));
    ck_assert_double_eq_tol(value, exp(nll), 1e-9 * exp(nll));
    ok(s24_model_float(model, "seconds", &value));
    ck_assert(value > 0);
    fails(S24_E_ARG, "there are: nll", s24_model_float(model, "speed", &value));
    close_model();
}
END_TEST

/* Every matrix twice for each token, attention over what each query sees, the head for what is
 * predicted. */
START_TEST(flops)
{
    double value, linear = 0, attention = 4.0 * LENGTH * (LENGTH + 1) / 2 * 64;
    ok(s24_model_evaluate(model, &tokens, NULL, NULL, NULL));
    ok(s24_model_float(model, "rate", &value));
    ck_assert(value > 0);
    ok(s24_model_float(model, "flops", &value));
    for (int64_t i = 0, rows, cols; i < MATRICES; i++) {
        ok(s24_model_matrix(model, i, NULL, NULL, NULL, &rows, &cols));
        linear += 2.0 * LENGTH * (double)(rows * cols);
    }
    ck_assert_double_eq(value, ROWS * (linear + 2 * attention + 2.0 * (LENGTH - 1) * 96 * 64));
}
END_TEST

/* Wider ids, columns apart, another thread count, a limit: the same bits. */
START_TEST(one_value_for_every_way)
{
    int64_t wide[ROWS * LENGTH * 2];
    double first, nll;
    s24_mat apart = tokens;
    char limit[64];
    for (int i = 0; i < ROWS * LENGTH; i++)
        wide[2 * i] = ids[i];
    apart.data = wide;
    apart.dtype = S24_I64;
    apart.row_stride = 2 * LENGTH;
    apart.col_stride = 2;
    ok(s24_model_evaluate(model, &tokens, NULL, NULL, &first));
    ok(s24_model_evaluate(model, &apart, NULL, "", &nll));
    ck_assert(nll == first);
    ok(s24_ctx_set_int(ctx, "threads", 1));
    snprintf(limit, sizeof limit, "memory_limit=%d", 1 << 30);
    ok(s24_model_evaluate(model, &tokens, NULL, limit, &nll));
    ck_assert(nll == first);
}
END_TEST

START_TEST(bad_tokens)
{
    double nll = 7;
    float floats[4] = {0};
    s24_mat other = tokens;
    ids[LENGTH + 2] = 96;
    fails(S24_E_ARG, "--tokens: row 1, column 2 is 96",
          s24_model_evaluate(model, &tokens, "--tokens", NULL, &nll));
    ids[LENGTH + 2] = -1;
    fails(S24_E_ARG, "tokens: row 1, column 2 is -1",
          s24_model_evaluate(model, &tokens, NULL, NULL, &nll));
    ids[LENGTH + 2] = 0;
    other.cols = 1;
    fails(S24_E_SHAPE, "predict nothing", s24_model_evaluate(model, &other, NULL, NULL, &nll));
    other.cols = 0;
    fails(S24_E_SHAPE, "rows of 0", s24_model_evaluate(model, &other, NULL, NULL, &nll));
    ok(s24_mat_rowmajor(&other, floats, 1, 4, S24_F32));
    fails(S24_E_DTYPE, "integers", s24_model_evaluate(model, &other, NULL, NULL, &nll));
    fails(S24_E_ARG, "tokens", s24_model_evaluate(model, NULL, NULL, NULL, &nll));
    ck_assert(nll == 7);
}
END_TEST

START_TEST(options)
{
    static const char *const bad[] = {"memory=1",
                                      "memory_limit",
                                      "memory_limit=",
                                      "memory_limit=1GB",
                                      "memory_limit=-1",
                                      "memory_limit=1 ",
                                      "memory_limit=99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        fails(S24_E_OPTION, "memory_limit", s24_model_evaluate(model, &tokens, NULL, bad[i], NULL));
    fails(S24_E_MEMORY, "are needed",
          s24_model_evaluate(model, &tokens, NULL, "memory_limit=1", NULL));
}
END_TEST

/* ---- Errors that the program printed ---- */

START_TEST(files_that_are_refused)
{
    static const struct {
        tiny_model m;
        s24_status status;
        const char *text;
    } cases[] = {
        {{"", "gpt9", TINY_SIZES}, S24_E_UNSUPPORTED, "architecture gpt9 is not known"},
        {{"", "llama", TINY_SIZES, .tied = true, .omit = "model.norm.weight"},
         S24_E_ARG,
         "model.norm.weight"},
        {{"", "llama", TINY_SIZES, .tied = true, .extra = "model.layers.0.mlp.qweight"},
         S24_E_UNSUPPORTED,
         "packed weights (GPTQ, AWQ)"},
    };
    s24_model *other = model;
    tiny_write(ctx, path, &cases[_i].m);
    fails(cases[_i].status, cases[_i].text, s24_model_open(ctx, path, &other));
    ck_assert_ptr_null(other);
}
END_TEST

START_TEST(weights_that_are_no_numbers)
{
    tiny_model m = tiny_models[LLAMA];
    double nll = 7;
    m.nan = "model.layers.1.mlp.up_proj.weight";
    set_up();
    open_tiny(&m);
    fails(S24_E_NONFINITE, "model.layers.1.mlp.up_proj.weight: row 1, column 2 is nan",
          s24_model_evaluate(model, &tokens, NULL, NULL, &nll));
    ck_assert(nll == 7);
    close_model();
}
END_TEST

/* ---- Misuse ---- */

START_TEST(misuse)
{
    s24_model *other = model;
    double value;
    fails(S24_E_ARG, "ctx is NULL", s24_model_open(NULL, path, &other));
    ck_assert_ptr_null(other);
    fails(S24_E_ARG, "path is NULL", s24_model_open(ctx, NULL, &other));
    fails(S24_E_ARG, "out is NULL", s24_model_open(ctx, path, NULL));
    fails(S24_E_IO, "no-such-model", s24_model_open(ctx, "/no-such-model", &other));
    fails(S24_E_ARG, "model is NULL", s24_model_int(NULL, "layers", &(int64_t){0}));
    fails(S24_E_ARG, "key is NULL", s24_model_int(model, NULL, &(int64_t){0}));
    fails(S24_E_ARG, "value is NULL", s24_model_int(model, "layers", NULL));
    fails(S24_E_ARG, "model is NULL", s24_model_str(NULL, "path", &(const char *){NULL}));
    fails(S24_E_ARG, "model is NULL", s24_model_float(NULL, "nll", &value));
    fails(S24_E_ARG, "model is NULL", s24_model_matrix(NULL, 0, NULL, NULL, NULL, NULL, NULL));
    fails(S24_E_ARG, "model is NULL", s24_model_evaluate(NULL, &tokens, NULL, NULL, NULL));
    fails(S24_E_ARG, "model is NULL", s24_model_set_progress(NULL, NULL, NULL));
    fails(S24_E_ARG, "no living handle",
          s24_model_int((s24_model *)(void *)ids, "layers", &(int64_t){0}));
    s24_model_cancel(NULL);
    s24_model_destroy(NULL);
}
END_TEST

START_TEST(without_its_context)
{
    s24_ctx_destroy(ctx);
    ctx = NULL;
    ck_assert_int_eq(fact("layers"), 2);
    fails(S24_E_ARG, "ctx was already destroyed",
          s24_model_evaluate(model, &tokens, NULL, NULL, NULL));
}
END_TEST

/* ---- Progress, cancel, threads ---- */

typedef struct watching {
    int calls, stop_at, cancel_at;
    int64_t last;
    s24_status inner;
} watching;

static int32_t watch(void *user, const char *phase, int64_t step, int64_t total, double objective,
                     double residual)
{
    watching *w = user;
    ck_assert_str_eq(phase, "eval");
    ck_assert(step >= w->last && step <= total);
    ck_assert(isnan(objective) && isnan(residual));
    w->last = step;
    w->calls++;
    w->inner = s24_model_evaluate(model, &tokens, NULL, NULL, NULL);
    if (w->calls == w->cancel_at)
        s24_model_cancel(model);
    return w->calls == w->stop_at;
}

START_TEST(progress_and_cancel)
{
    watching w = {0};
    double first, nll = 7;
    ok(s24_model_evaluate(model, &tokens, NULL, NULL, &first));
    ok(s24_model_set_progress(model, watch, &w));
    ok(s24_model_evaluate(model, &tokens, NULL, NULL, &nll));
    ck_assert_int_eq(w.calls, 3); /* two blocks, the head */
    ck_assert_int_eq(w.inner, S24_E_STATE);
    ck_assert(nll == first);
    for (int at = 1; at <= 3; at++) {
        w = (watching){.stop_at = at % 2 ? at : 0, .cancel_at = at % 2 ? 0 : at};
        fails(S24_E_CANCELLED, "cancelled", s24_model_evaluate(model, &tokens, NULL, NULL, &nll));
        ck_assert_int_eq(w.calls, at);
    }
    s24_model_cancel(model); /* the next one */
    fails(S24_E_CANCELLED, "cancelled", s24_model_evaluate(model, &tokens, NULL, NULL, &nll));
    ok(s24_model_set_progress(model, NULL, NULL));
    ok(s24_model_evaluate(model, &tokens, NULL, NULL, &nll));
    ck_assert(nll == first);
}
END_TEST

static atomic_int inside, seen;

/* The first call waits for the other thread's. */
static int32_t wait_for_other(void *user, const char *phase, int64_t step, int64_t total,
                              double objective, double residual)
{
    (void)user, (void)phase, (void)step, (void)total, (void)objective, (void)residual;
    atomic_store(&inside, 1);
    while (!atomic_load(&seen))
        usleep(100);
    return 0;
}

static void *intrude(void *arg)
{
    int64_t layers = 0;
    (void)arg;
    while (!atomic_load(&inside))
        usleep(100);
    s24_status statuses[] = {s24_model_evaluate(model, &tokens, NULL, NULL, NULL),
                             s24_model_float(model, "nll", &(double){0}),
                             s24_model_set_progress(model, NULL, NULL)};
    s24_status facts = s24_model_int(model, "layers", &layers);
    atomic_store(&seen, 1);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(statuses[i], S24_E_STATE);
    ck_assert_int_eq(facts, S24_OK);
    ck_assert_int_eq(layers, 2);
    return NULL;
}

START_TEST(two_threads)
{
    pthread_t other;
    double nll;
    ok(s24_model_set_progress(model, wait_for_other, NULL));
    ck_assert_int_eq(pthread_create(&other, NULL, intrude, NULL), 0);
    ok(s24_model_evaluate(model, &tokens, NULL, NULL, &nll));
    pthread_join(other, NULL);
    ok(s24_model_evaluate(model, &tokens, NULL, NULL, &nll));
}
END_TEST

/* A host that writes 0,5. Its locale is there again afterwards. */
START_TEST(any_locale)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8"};
    locale_t local = (locale_t)0;
    s24_model *other;
    double first, nll;
    for (int i = 0; i < 3 && !local; i++)
        local = newlocale(LC_ALL_MASK, names[i], (locale_t)0);
    if (!local)
        return; /* none is installed */
    ok(s24_model_evaluate(model, &tokens, NULL, NULL, &first));
    uselocale(local);
    ok(s24_model_open(ctx, path, &other));
    ok(s24_model_evaluate(other, &tokens, NULL, NULL, &nll));
    s24_model_destroy(other);
    ck_assert(uselocale((locale_t)0) == local);
    uselocale(LC_GLOBAL_LOCALE);
    freelocale(local);
    ck_assert(nll == first);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("model");
    TCase *opened = tcase_create("opened"), *bare = tcase_create("bare");
    tcase_add_checked_fixture(opened, open_llama, close_model);
    tcase_add_test(opened, facts);
    tcase_add_test(opened, matrices);
    tcase_add_test(opened, flops);
    tcase_add_test(opened, one_value_for_every_way);
    tcase_add_test(opened, bad_tokens);
    tcase_add_test(opened, options);
    tcase_add_loop_test(opened, files_that_are_refused, 0, 3);
    tcase_add_test(opened, misuse);
    tcase_add_test(opened, without_its_context);
    tcase_add_test(opened, progress_and_cancel);
    tcase_add_test(opened, two_threads);
    tcase_add_test(opened, any_locale);
    tcase_add_loop_test(bare, nll_as_in_double, 0, 2 * TINY_MODELS);
    tcase_add_test(bare, weights_that_are_no_numbers);
    suite_add_tcase(s, opened);
    suite_add_tcase(s, bare);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
