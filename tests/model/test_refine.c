/* Tests lib/model/{adam,training,refine,trained,walk_refine}.c: steps of Adam as written down,
 * blocks that meet rows kept back better, what must not change, threads, resuming, rates that
 * diverge. */
#include "adam.h"
#include "refine.h"
#include "trainee.h"
#include "training.h"
#include <sys/stat.h>

enum { ROWS = 48, MANY = 2048, LENGTH = 16, LAYERS = 2 };

static int32_t ids[MANY * LENGTH];

static void set_up(void)
{
    open_folder("/tmp/sparse24-refine-XXXXXX", ids, ROWS * LENGTH);
}

/* ---- Adam ---- */

START_TEST(steps_of_adam)
{
    enum { COUNT = 5, STEPS = 7 };
    float start[COUNT] = {1, -2, 0, 0.5f, 3};
    double w[COUNT], m[COUNT] = {0}, v[COUNT] = {0}, size = 0;
    s24m_adam a;
    done(s24m_adam_open(&a, ctx, 2));
    s24m_parameter *p = s24m_adam_add(&a, "w", start, COUNT, true);
    ck_assert_ptr_nonnull(p);
    a.rate = 0.01;
    a.end = 0.2;
    a.steps = STEPS;
    for (int i = 0; i < COUNT; i++)
        size += start[i] * start[i] / 4, w[i] = start[i];
    for (int t = 1; t <= STEPS; t++) {
        double at = (t - 0.5) / STEPS, behind = (at - 0.05) / 0.95;
        double rate = 0.01 * sqrt(size) * (0.2 + 0.8 * 0.5 * (1 + cos(acos(-1.0) * behind)));
        for (int i = 0; i < COUNT; i++) {
            double g = p->gradient[i] = (float)(0.3 * i - 0.2 * t);
            m[i] += 0.1 * (g - m[i]);
            v[i] += 0.001 * (g * g - v[i]);
            w[i] -= i == 2 ? 0
                           : rate * (m[i] / (1 - pow(0.9, t))) /
                                 (sqrt(v[i] / (1 - pow(0.999, t))) + 1e-8);
        }
        done(s24m_adam_step(&a));
        for (int i = 0; i < COUNT; i++) {
            ck_assert_double_eq_tol(p->values[i], w[i], 1e-5);
            ck_assert(p->gradient[i] == 0);
        }
        ck_assert(p->values[2] == 0); /* what is 0 stays 0 */
        if (t == 3)
            s24m_adam_keep(&a);
    }
    s24m_adam_return(&a);
    ck_assert_double_ne(p->values[0], w[0]);
    p->gradient[1] = NAN;
    ck_assert(!s24m_adam_step(&a));
    ck_assert_str_eq(s24_last_error(), "w: its gradient is no number");
    s24m_adam_close(&a);
}
END_TEST

static const struct {
    int64_t rows, own, guard;
} guards[] = {{64, 0, 4}, {192, 128, 4}, {512, 256, 16}, {16, 0, 4},  {8, 0, 2},
              {3, 0, 1},  {2, 0, 1},     {1, 0, 1},      {10, 10, 2}, {300, 0, 19}};

START_TEST(rows_kept_back)
{
    ck_assert_int_eq(s24m_training_guard(guards[_i].rows, guards[_i].own), guards[_i].guard);
}
END_TEST

/* ---- Compressions ---- */

typedef struct listener {
    s24_compression *c;
    const char *stop_at; /* a phase, at its second call */
    int calls, refined, left, slower;
    double before, after;
} listener;

static int32_t on_progress(void *user, const char *phase, int64_t step, int64_t total,
                           double objective, double residual)
{
    listener *l = user;
    ck_assert(step >= 0 && step <= total);
    (void)objective, (void)residual;
    l->calls += l->stop_at && strstr(phase, l->stop_at) != NULL;
    return l->calls == 2;
}

static void on_line(void *user, int32_t level, const char *line)
{
    listener *l = user;
    const char *errors = strstr(line, "error on rows kept back");
    if (level != 2 || !errors)
        return;
    bool refined = strstr(line, ": refined") != NULL;
    l->refined += refined;
    l->left += !refined;
    l->slower += strstr(line, "at a lower rate") != NULL;
    if (refined) {
        ck_assert_int_eq(
            sscanf(errors, "error on rows kept back %lf before, %lf", &l->before, &l->after), 2);
        ck_assert(l->after <= l->before);
    }
}

static s24_compression *begin(const char *options, int64_t rows, listener *l)
{
    s24_mat view;
    *l = (listener){.c = NULL};
    ok(s24_compression_create(model, &l->c));
    ok(s24_compression_parse(l->c, "constraints=2:4,solver=wanda,own=0,refine=block"));
    ok(s24_compression_parse(l->c, options));
    ok(s24_mat_rowmajor(&view, ids, rows, LENGTH, S24_I32));
    ok(s24_compression_set_calibration(l->c, &view, "calib"));
    ok(s24_compression_set_log(l->c, on_line, l));
    ok(s24_compression_set_progress(l->c, on_progress, l));
    return l->c;
}

static listener compress(const char *options, const char *out)
{
    listener l;
    s24_compression *c = begin(options, ROWS, &l);
    ok(s24_compression_run(c, in_folder(out)));
    s24_compression_destroy(c);
    return l;
}

/* The same without training: rows that judge it are in no sum, only in the choice of an order. */
static listener solve(const char *out)
{
    listener l;
    s24_compression *c = begin("refine=none,permute=none", ROWS - s24m_training_guard(ROWS, 0), &l);
    ok(s24_compression_run(c, in_folder(out)));
    s24_compression_destroy(c);
    return l;
}

static s24_file *open_file(const char *out)
{
    char name[64];
    s24_file *file = NULL;
    snprintf(name, sizeof name, "%s/tiny.safetensors", out);
    ok(s24_file_open(ctx, in_folder(name), &file));
    return file;
}

/* Tensors that differ. */
static int differences(const char *a, const char *b, const char *part)
{
    s24_file *files[2] = {open_file(a), open_file(b)};
    int count = 0;
    for (int64_t i = 0; i < s24_file_count(files[0]); i++) {
        const void *data[2];
        size_t size[2];
        const char *name = s24_file_name(files[0], i);
        for (int f = 0; f < 2; f++)
            ok(s24_file_bytes(files[f], name, &data[f], &size[f]));
        ck_assert(size[0] == size[1]);
        count += strstr(name, part) && memcmp(data[0], data[1], size[0]);
    }
    s24_file_destroy(files[0]);
    s24_file_destroy(files[1]);
    return count;
}

/* Matrices and norms of both blocks change, what lies outside does not; the pattern stays. */
START_TEST(blocks_are_refined)
{
    open_model(tiny_models + _i);
    listener l = compress("permute=none", "out");
    ck_assert_int_eq(l.refined, LAYERS);
    listener plain = solve("plain");
    ck_assert_int_eq(plain.refined + plain.left, 0);
    bool biased = tiny_models[_i].attention_bias || !strcmp(tiny_models[_i].architecture, "qwen2");
    ck_assert_int_eq(differences("plain", "out", "proj.weight"), 14);
    ck_assert_int_ge(differences("plain", "out", "layernorm"), 4);
    ck_assert_int_eq(differences("plain", "out", "bias") > 0, biased);
    ck_assert_int_eq(differences("plain", "out", "model.norm"), 0);
    ck_assert_int_eq(differences("plain", "out", "embed"), 0);
    s24_file *a = open_file("plain"), *b = open_file("out");
    for (int64_t i = 0; i < s24_file_count(a); i++) {
        s24_mat x, y;
        const char *name = s24_file_name(a, i);
        if (!strstr(name, "proj.weight"))
            continue;
        ok(s24_file_get(a, name, &x));
        ok(s24_file_get(b, name, &y));
        for (int64_t k = 0; k < x.rows * x.cols; k++)
            if (((float *)x.data)[k] == 0) /* in the first block the masks are the same */
                ck_assert(strstr(name, "layers.1") || ((float *)y.data)[k] == 0);
    }
    s24_file_destroy(a);
    s24_file_destroy(b);
}
END_TEST

START_TEST(equal_for_any_threads)
{
    open_model(tiny_models);
    for (int threads = 1; threads <= 3; threads++) {
        char name[16];
        ok(s24_ctx_set_int(ctx, "threads", threads));
        snprintf(name, sizeof name, "t%d", threads);
        compress("", name);
        ck_assert_int_eq(differences("t1", name, ""), 0);
    }
}
END_TEST

/* Stopped in the middle of a block's training, and behind one: the same bytes, norms too. */
START_TEST(goes_on)
{
    static const char *const places[] = {"block 1 of 2: refinement", "block 2 of 2: refinement",
                                         "block 2 of 2: outputs"};
    listener l;
    open_model(tiny_models + 1); /* with biases */
    compress("activations=disk", "reference");
    s24_compression *c = begin("", ROWS, &l);
    l.stop_at = places[_i];
    s24_status status = s24_compression_run(c, in_folder("out"));
    ck_assert_msg(status == S24_E_CANCELLED || _i == 2, "%s", s24_last_error());
    s24_compression_destroy(c);
    if (status == S24_E_CANCELLED) {
        c = begin("resume=1", ROWS, &l);
        ok(s24_compression_run(c, in_folder("out")));
        ck_assert_int_eq(l.refined, _i ? 1 : 2); /* a block that is there is read */
        s24_compression_destroy(c);
    }
    ck_assert_int_eq(differences("reference", "out", ""), 0);
    c = begin("resume=1,refine_rate=0.003", ROWS, &l);
    ck_assert_int_eq(s24_compression_run(c, in_folder("out")), S24_E_STATE);
    ck_assert_ptr_nonnull(strstr(s24_last_error(), "refine block rate 0.002"));
    s24_compression_destroy(c);
}
END_TEST

/* A rate that diverges: the best state is kept, and where there is none the solved block. */
START_TEST(rates_that_diverge)
{
    static const char *const rates[] = {"refine_rate=1,permute=none",
                                        "refine_rate=0.2,permute=none"};
    open_model(tiny_models);
    listener l = compress(rates[_i], "out");
    ck_assert_int_eq(l.refined + l.left, LAYERS);
    ck_assert(l.left || l.slower || l.after < l.before);
    if (l.left == LAYERS) {
        solve("plain");
        ck_assert_int_eq(differences("plain", "out", ""), 0);
    }
}
END_TEST

/* Nothing is aimed at but what the block gives already: nothing changes. */
START_TEST(a_dense_block_stays)
{
    listener l;
    open_model(tiny_models);
    s24_compression *c = begin("constraints=4:4", ROWS, &l);
    ok(s24_compression_run(c, in_folder("out")));
    ck_assert_int_eq(l.refined, 0);
    s24_compression_destroy(c);
}
END_TEST

/* Matrices on a grid change by their parts, as test_train_parts.c says more closely. */
START_TEST(grids_are_refined)
{
    open_model(tiny_models);
    listener l = compress("constraints=int4 g16,solver=rtn", "out");
    ck_assert_int_ge(l.refined + l.left, LAYERS);
    compress("constraints=int4 g16,solver=rtn,refine=none", "plain");
    ck_assert_int_eq(differences("plain", "out", "layers.0.mlp.down_proj"), l.refined > 0);
}
END_TEST

START_TEST(records_say_it)
{
    listener l;
    const char *text;
    open_model(tiny_models);
    s24_compression *c = begin("", ROWS, &l);
    ok(s24_compression_run(c, in_folder("out")));
    ok(s24_compression_matrix_str(c, 13, "json", &text));
    ck_assert_ptr_nonnull(strstr(text, "\"block_error\":"));
    ck_assert_ptr_nonnull(strstr(text, "\"refined_block_error\":"));
    s24_compression_destroy(c);
}
END_TEST

/* Of so many rows that the streams are the most of it. */
START_TEST(memory_is_predicted)
{
    listener l;
    uint64_t plain, refined;
    open_model(tiny_models);
    s24_compression *c = begin("refine=none", MANY, &l);
    ok(s24_compression_plan(c, &plain, NULL, NULL));
    ok(s24_compression_parse(c, "refine=block"));
    ok(s24_compression_plan(c, &refined, NULL, NULL));
    uint64_t stream = (uint64_t)MANY * LENGTH * 64 * sizeof(float);
    ck_assert_msg(refined > plain + stream / 2, "%llu, without %llu", (unsigned long long)refined,
                  (unsigned long long)plain);
    s24_compression_destroy(c);
    c = begin("", ROWS, &l);
    ok(s24_compression_plan(c, &refined, NULL, NULL));
    ok(s24_compression_set_int(c, "memory_limit", (int64_t)refined / 2));
    ck_assert_int_eq(s24_compression_run(c, in_folder("out")), S24_E_MEMORY);
    ok(s24_compression_set_int(c, "memory_limit", (int64_t)refined + (4 << 20)));
    ok(s24_compression_run(c, in_folder("out")));
    s24_compression_destroy(c);
}
END_TEST

START_TEST(one_row_is_too_few)
{
    listener l;
    open_model(tiny_models);
    s24_compression *c = begin("", 1, &l);
    ck_assert_int_eq(s24_compression_run(c, in_folder("out")), S24_E_STATE);
    ck_assert_ptr_nonnull(strstr(s24_last_error(), "one row is too few"));
    s24_compression_destroy(c);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("refine");
    TCase *tc = tcase_create("refine");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, steps_of_adam);
    tcase_add_loop_test(tc, rows_kept_back, 0, sizeof guards / sizeof *guards);
    tcase_add_loop_test(tc, blocks_are_refined, 0, 7);
    tcase_add_test(tc, equal_for_any_threads);
    tcase_add_loop_test(tc, goes_on, 0, 3);
    tcase_add_loop_test(tc, rates_that_diverge, 0, 2);
    tcase_add_test(tc, a_dense_block_stays);
    tcase_add_test(tc, grids_are_refined);
    tcase_add_test(tc, records_say_it);
    tcase_add_test(tc, memory_is_predicted);
    tcase_add_test(tc, one_row_is_too_few);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
