/* Tests lib/model/{effort,curve}.c and s24_compression_epoch(): options that are set together, what
 * wins over them, runs that are equal; what training met, epoch by epoch. */
#include "trainee.h"

enum { ROWS = 24, LENGTH = 16, LAYERS = 2 };

static int32_t ids[ROWS * LENGTH];

static void set_up(void)
{
    open_folder("/tmp/sparse24-effort-XXXXXX", ids, ROWS * LENGTH);
    open_model(tiny_models);
}

static s24_compression *begin(const char *options)
{
    s24_mat view;
    s24_compression *c = NULL;
    ok(s24_compression_create(model, &c));
    ok(s24_compression_parse(c, "constraints=2:4,heldout=0"));
    ok(s24_compression_parse(c, options));
    ok(s24_mat_rowmajor(&view, ids, ROWS, LENGTH, S24_I32));
    ok(s24_compression_set_calibration(c, &view, "calib"));
    return c;
}

static void is(s24_compression *c, const char *option, const char *wanted)
{
    const char *value;
    ok(s24_compression_get(c, option, &value));
    ck_assert_str_eq(value, wanted);
}

START_TEST(options_together)
{
    static const char *const rows[][3] = {
        {"fast", "0", "none"}, {"default", "auto", "none"}, {"best", "auto", "model"}};
    s24_compression *c = begin("");
    is(c, "effort", "default");
    for (int i = 0; i < 6; i++) {
        ok(s24_compression_set_str(c, "effort", rows[i % 3][0]));
        is(c, "own", rows[i % 3][1]);
        is(c, "refine", rows[i % 3][2]);
    }
    ok(s24_compression_parse(c, "effort=best,own=7,refine=block"));
    is(c, "own", "7");
    is(c, "refine", "block");
    ck_assert_int_eq(s24_compression_set_str(c, "effort", "most"), S24_E_OPTION);
    ck_assert_ptr_nonnull(
        strstr(s24_last_error(), "--effort most: expected fast, default or best"));
    s24_compression_destroy(c);
}
END_TEST

static void run(const char *options, const char *out)
{
    s24_compression *c = begin(options);
    ok(s24_compression_run(c, in_folder(out)));
    s24_compression_destroy(c);
}

static bool same(const char *a, const char *b)
{
    char command[400];
    s24_mat x, y;
    s24_file *files[2];
    bool equal = true;
    for (int i = 0; i < 2; i++) {
        snprintf(command, sizeof command, "%s/tiny.safetensors", in_folder(i ? b : a));
        ok(s24_file_open(ctx, command, files + i));
    }
    for (int64_t i = 0; i < s24_file_count(files[0]); i++) {
        const char *name = s24_file_name(files[0], i);
        ok(s24_file_get(files[0], name, &x));
        ok(s24_file_get(files[1], name, &y));
        equal = equal && !memcmp(x.data, y.data, (size_t)(x.rows * x.cols) * sizeof(float));
    }
    s24_file_destroy(files[0]);
    s24_file_destroy(files[1]);
    return equal;
}

/* The level's preset, unless options name one; of solvers that have none of that name their own. */
START_TEST(presets)
{
    run("effort=fast", "fast");
    run("own=0,options=[preset=fast]", "same");
    run("own=0", "plain");
    run("effort=fast,options=[preset=default]", "named");
    run("effort=fast,solver=wanda", "wanda");
    run("own=0,solver=wanda", "its own");
    ck_assert(same("fast", "same"));
    ck_assert(!same("fast", "plain"));
    ck_assert(same("named", "plain"));
    ck_assert(same("wanda", "its own"));
}
END_TEST

/* A run that goes on has the preset that it began with. */
START_TEST(resumes_with_the_same)
{
    s24_compression *c = begin("effort=fast");
    ok(s24_compression_run(c, in_folder("out")));
    ok(s24_compression_parse(c, "effort=default,own=0,resume=1"));
    ck_assert_int_eq(s24_compression_run(c, in_folder("out")), S24_E_STATE);
    ck_assert_ptr_nonnull(strstr(s24_last_error(), "preset fast"));
    s24_compression_destroy(c);
}
END_TEST

/* Four states of each block and of the whole: before, and after three epochs; errors of rows kept
 * back as the records and numbers have them. */
START_TEST(epochs)
{
    double training, kept, best, number;
    s24_compression *c = begin("own=0,refine=model,solver=wanda,refine_epochs=3,tune_epochs=3");
    ck_assert_int_eq(s24_compression_epoch(c, 0, 0, &training, &kept), S24_E_ARG);
    ok(s24_compression_run(c, in_folder("out")));
    for (int block = 0; block <= LAYERS; block++) {
        for (int epoch = 0; epoch < 4; epoch++) {
            ok(s24_compression_epoch(c, block, epoch, &training, &kept));
            ok(s24_compression_epoch(c, block, epoch, NULL, NULL));
            ck_assert_int_eq(isnan(training), epoch == 0);
            ck_assert(kept > 0 && isfinite(kept));
            best = epoch && best < kept ? best : kept;
        }
        ck_assert_int_eq(s24_compression_epoch(c, block, 4, &training, &kept), S24_E_ARG);
        ck_assert_int_eq(s24_compression_epoch(c, block, -1, &training, &kept), S24_E_ARG);
    }
    ok(s24_compression_epoch(c, LAYERS, 0, NULL, &kept));
    ok(s24_compression_number(c, "divergence_before", 0, &number));
    ck_assert_double_eq(kept, number);
    ok(s24_compression_number(c, "divergence_after", 0, &number));
    ck_assert_double_eq_tol(best, number, 0.01 * best); /* that of the values as stored */
    ck_assert_int_eq(s24_compression_epoch(c, LAYERS + 1, 0, NULL, NULL), S24_E_ARG);
    ck_assert_int_eq(s24_compression_epoch(c, -1, 0, NULL, NULL), S24_E_ARG);
    ck_assert_int_eq(s24_compression_epoch(NULL, 0, 0, NULL, NULL), S24_E_ARG);
    s24_compression_destroy(c);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("effort");
    TCase *tests = tcase_create("effort");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, options_together);
    tcase_add_test(tests, presets);
    tcase_add_test(tests, resumes_with_the_same);
    tcase_add_test(tests, epochs);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
