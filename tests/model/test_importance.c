/* Tests lib/model/{importance,importance_call,scores,job_scores}.c: norms of gradients against
 * those of torch's autograd, threads and stores, what a file says; compressions that rank by them,
 * errors. */
#include "trainee.h"

static const char *golden_path;

enum { ROWS = 3, LENGTH = 24, ENTRIES = 16 };

static int32_t ids[ROWS * LENGTH];

static void set_up(void)
{
    open_folder("/tmp/sparse24-importance-XXXXXX", ids, ROWS * LENGTH);
    for (int i = 0; i < ROWS * LENGTH; i++)
        ids[i] = tiny_token(tiny_models, i / LENGTH, i % LENGTH);
}

static s24_status score_rows(int64_t rows, const char *options, const char *name, double *nll)
{
    s24_mat view;
    ok(s24_mat_rowmajor(&view, ids, rows, LENGTH, S24_I32));
    return s24_model_importance(model, &view, "rows", options, in_folder(name), nll);
}

static s24_status score(const char *options, const char *name)
{
    return score_rows(ROWS, options, name, NULL);
}

static s24_file *open_file(const char *path)
{
    s24_file *file = NULL;
    ok(s24_file_open(ctx, path, &file));
    return file;
}

/* ---- Values ---- */

static void near(double value, double wanted, double scale, const char *what)
{
    ck_assert_msg(fabs(value - wanted) <= 1e-3 * fabs(wanted) + 1e-5 * scale,
                  "%s: %.9g, wanted %.9g", what, value, wanted);
}

/* A stored tensor: entries spread over it, then their sum. */
static void compare(const s24_file *golden, const char *key, const s24_mat *found)
{
    s24_mat wanted;
    double sum = 0;
    int64_t size = found->rows * found->cols;
    const float *values = found->data;
    ok(s24_file_get(golden, key, &wanted));
    const float *stored = wanted.data;
    for (int64_t i = 0; i < size; i++)
        sum += values[i];
    near(sum, stored[ENTRIES], 0, key);
    for (int64_t i = 0; i < ENTRIES; i++)
        near(values[i * (size / ENTRIES)], stored[i], stored[ENTRIES] / (double)size, key);
}

/* A model's matrices; l2 is fisher's root times that of the rows. */
START_TEST(as_autograd)
{
    static const int which[] = {0, 6}; /* llama, qwen3 */
    static const char *const norms[] = {"l1", "fisher"};
    const tiny_model *m = tiny_models + which[_i];
    char name[200], key[240];
    double nll;
    s24_mat loss, values, roots;
    open_model(m);
    ok(score_rows(ROWS, NULL, "out.safetensors", &nll));
    s24_file *golden = open_file(golden_path), *file = open_file(in_folder("out.safetensors"));
    snprintf(key, sizeof key, "%s.loss", m->name);
    ok(s24_file_get(golden, key, &loss));
    near(nll, *(const float *)loss.data, 0, key);
    ck_assert_int_eq(s24_file_count(file), 3 * 14);
    for (int64_t i = 0; i < 14; i++) {
        const char *matrix;
        int64_t rows, cols;
        ok(s24_model_matrix(model, i, &matrix, NULL, NULL, &rows, &cols));
        for (int k = 0; k < 2; k++) {
            snprintf(name, sizeof name, "%.150s.%s", matrix, norms[k]);
            snprintf(key, sizeof key, "%s.%s", m->name, name);
            ok(s24_file_get(file, name, &values));
            ck_assert_int_eq(values.rows, rows);
            ck_assert_int_eq(values.cols, cols);
            compare(golden, key, &values);
        }
        snprintf(name, sizeof name, "%.150s.l2", matrix);
        ok(s24_file_get(file, name, &roots));
        for (int64_t k = 0; k < rows * cols; k++) {
            double wanted = sqrt((double)ROWS * ((const float *)values.data)[k]);
            near(((const float *)roots.data)[k], wanted, 0, name);
        }
    }
    ck_assert_ptr_nonnull(strstr(s24_file_meta(file, "sparse24.importance"),
                                 "\"rows\": 3, \"tokens\": 24, \"nll\":"));
    s24_file_destroy(file);
    s24_file_destroy(golden);
}
END_TEST

/* The same bytes, whatever they are made with. */
START_TEST(equal_bytes)
{
    static const char *const ways[] = {"", "activations=disk", "memory_limit=1000000000"};
    char command[400];
    open_model(tiny_models);
    ok(score("", "one"));
    for (int threads = 1; threads <= 3; threads++) {
        ok(s24_ctx_set_int(ctx, "threads", threads));
        ok(score(ways[threads - 1], "other"));
        snprintf(command, sizeof command, "cmp %s %s", in_folder("one"), in_folder("other"));
        ck_assert_int_eq(system(command), 0);
    }
}
END_TEST

START_TEST(some_norms)
{
    open_model(tiny_models);
    ok(score("norms=l2,activations=half", "out"));
    s24_file *file = open_file(in_folder("out"));
    ck_assert_int_eq(s24_file_count(file), 14);
    ck_assert_ptr_nonnull(strstr(s24_file_name(file, 0), ".weight.l2"));
    s24_file_destroy(file);
}
END_TEST

/* ---- What must not work ---- */

static void fails(s24_status status, s24_status wanted, const char *text)
{
    ck_assert_msg(status == wanted && strstr(s24_last_error(), text), "%d, %s", status,
                  s24_last_error());
    ck_assert_int_eq(access(in_folder("out"), F_OK), -1);
}

static int32_t stop(void *user, const char *phase, int64_t step, int64_t total, double objective,
                    double residual)
{
    (void)objective, (void)residual, (void)total, (void)step;
    return strstr(phase, user) != NULL;
}

START_TEST(bad_arguments)
{
    s24_mat view;
    open_model(tiny_models);
    ok(s24_mat_rowmajor(&view, ids, ROWS, LENGTH, S24_I32));
    fails(s24_model_importance(model, &view, NULL, NULL, NULL, NULL), S24_E_ARG, "path is NULL");
    fails(s24_model_importance(model, NULL, NULL, NULL, in_folder("out"), NULL), S24_E_ARG, "");
    fails(score("norms=l3", "out"), S24_E_OPTION, "l1, l2, fisher");
    fails(score("norms=", "out"), S24_E_OPTION, "l1, l2, fisher");
    fails(score("activations=tape", "out"), S24_E_OPTION, "ram, half or disk");
    fails(score("memory_limit=-1", "out"), S24_E_OPTION, "number of bytes");
    fails(score("color=red", "out"), S24_E_OPTION, "no option color");
    fails(score("memory_limit=1000", "out"), S24_E_MEMORY, "are needed");
    fails(score("", "none/out"), S24_E_IO, "none");
    ids[30] = 96;
    fails(score("", "out"), S24_E_ARG, "96");
}
END_TEST

START_TEST(can_be_stopped)
{
    static const char *const phases[] = {"forth", "loss", "back"};
    open_model(tiny_models);
    for (int i = 0; i < 3; i++) {
        ok(s24_model_set_progress(model, stop, (void *)(uintptr_t)phases[i]));
        fails(score("", "out"), S24_E_CANCELLED, "");
    }
    ok(s24_model_set_progress(model, NULL, NULL));
    ok(score("", "out"));
}
END_TEST

/* A model that gives no finite numbers. */
START_TEST(not_finite)
{
    tiny_model m = tiny_models[0];
    m.nan = "model.layers.1.mlp.up_proj.weight";
    open_model(&m);
    fails(score("", "out"), S24_E_NONFINITE, "up_proj");
}
END_TEST

/* ---- Compressions that rank by scores ---- */

static s24_status compress(const char *options, const char *out)
{
    char name[32];
    s24_mat view;
    s24_compression *c = NULL;
    ok(s24_compression_create(model, &c));
    ok(s24_compression_parse(c, "constraints=2:4,solver=wanda,own=0,heldout=0,correct=0"));
    ok(s24_compression_parse(c, options));
    ok(s24_mat_rowmajor(&view, ids, ROWS, LENGTH, S24_I32));
    ok(s24_compression_set_calibration(c, &view, "calib"));
    snprintf(name, sizeof name, "%s", out);
    s24_status status = s24_compression_run(c, in_folder(name));
    s24_compression_destroy(c);
    return status;
}

static s24_file *open_compressed(const char *out)
{
    char name[64];
    snprintf(name, sizeof name, "%s/tiny.safetensors", out);
    return open_file(in_folder(name));
}

/* Weights of all matrices that are 0 in one and not in the other. */
static int64_t apart(const char *a, const char *b)
{
    s24_file *files[2] = {open_compressed(a), open_compressed(b)};
    int64_t count = 0;
    for (int64_t i = 0; i < s24_file_count(files[0]); i++) {
        s24_mat x, y;
        const char *name = s24_file_name(files[0], i);
        if (!strstr(name, "proj.weight"))
            continue;
        ok(s24_file_get(files[0], name, &x));
        ok(s24_file_get(files[1], name, &y));
        for (int64_t k = 0; k < x.rows * x.cols; k++)
            count += (((const float *)x.data)[k] == 0) != (((const float *)y.data)[k] == 0);
    }
    s24_file_destroy(files[0]);
    s24_file_destroy(files[1]);
    return count;
}

static char *asked(const char *file, const char *more)
{
    static char text[2][400];
    static int next;
    next = !next;
    snprintf(text[next], sizeof text[next], "importance=%s%s", in_folder(file), more);
    return text[next];
}

/* Scores are those of the weights, also where channels have moved: importance alone keeps the
 * largest of each four of them. */
START_TEST(scores_go_with_their_weights)
{
    static const char *const ways[] = {",permute=none", ""};
    char options[500];
    int64_t moved = 0;
    open_model(tiny_models);
    ok(score("norms=l2", "scores"));
    snprintf(options, sizeof options, "%s,options=[score=importance]%s", asked("scores", ":l2"),
             ways[_i]);
    ok(compress(options, "out"));
    s24_file *scores = open_file(in_folder("scores")), *made = open_compressed("out"), *dense;
    dense = open_file(in_folder("tiny.safetensors"));
    for (int64_t i = 0; i < 14; i++) {
        const char *matrix;
        char name[200];
        s24_mat s, v, w;
        int64_t rows, cols;
        double kept = 0, best = 0, all = 0;
        ok(s24_model_matrix(model, i, &matrix, NULL, NULL, &rows, &cols));
        snprintf(name, sizeof name, "%.150s.l2", matrix);
        ok(s24_file_get(scores, name, &s));
        ok(s24_file_get(made, matrix, &v));
        ok(s24_file_get(dense, matrix, &w));
        const float *score_of = s.data, *values = v.data, *whole = w.data;
        for (int64_t k = 0; k < rows * cols; k++) {
            /* where the weight stands now: its value is its name */
            int64_t from = 0;
            while (values[k] != 0 && whole[from] != values[k])
                from++;
            moved += values[k] != 0 && (values[k] < whole[k] || values[k] > whole[k]);
            kept += values[k] != 0 ? score_of[from] : 0;
            all += score_of[k];
            if (k % 4 == 3) {
                float four[4], t;
                memcpy(four, score_of + k - 3, sizeof four);
                for (int a = 0; a < 3; a++)
                    for (int b = a + 1; b < 4; b++)
                        if (four[b] > four[a])
                            t = four[a], four[a] = four[b], four[b] = t;
                best += four[0] + four[1];
            }
        }
        if (_i == 0)
            near(kept, best, 0, matrix);
        else /* channels stand in other fours */
            ck_assert_msg(kept > 0.6 * all, "%s: %g of %g", matrix, kept, all);
    }
    ck_assert_int_eq(moved > 0, _i == 1);
    s24_file_destroy(scores);
    s24_file_destroy(made);
    s24_file_destroy(dense);
}
END_TEST

/* rms of n rows and the inputs' norm of their mean rank as l2 and the norm of all do; l1 and the
 * mean of it are the same scores. */
START_TEST(norms_of_both_kinds)
{
    char text[500];
    open_model(tiny_models);
    ok(score("", "scores"));
    const char *const ways[][2] = {
        {"", "wanda"},        {":rms", "rms"}, {"", "given"},     {":l2", "l2"},
        {":l2", "published"}, {":l1", "l1"},   {":mean", "mean"},
    };
    static const char *const more[] = {",options=[score=gblm,alpha=0]",
                                       ",options=[score=gblm,alpha=1]",
                                       ",options=[score=gblm,alpha=1]",
                                       ",options=[score=gblm,alpha=1,samples=1]",
                                       ",options=[score=gblm,alpha=1,samples=3]",
                                       ",options=[score=importance]",
                                       ",options=[score=importance]"};
    for (int i = 0; i < 7; i++) {
        snprintf(text, sizeof text, "%s,permute=none%s", asked("scores", ways[i][0]), more[i]);
        ok(compress(text, ways[i][1]));
    }
    ok(compress("permute=none", "none"));
    ck_assert_int_eq(apart("none", "wanda"), 0);
    ck_assert_int_eq(apart("rms", "given"), 0);
    ck_assert_int_eq(apart("rms", "l2"), 0);
    ck_assert_int_eq(apart("l1", "mean"), 0);
    ck_assert_int_gt(apart("rms", "published"), 0);
    ck_assert_int_gt(apart("rms", "wanda"), 0);
}
END_TEST

/* A file that was made otherwise: names of matrices, any type of floats. */
static void write_scores(const char *name, const char *omit, const char *odd, float first)
{
    s24_file *file;
    ok(s24_file_create(ctx, in_folder(name), "safetensors", &file));
    for (int64_t i = 0; i < 14; i++) {
        const char *matrix;
        int64_t rows, cols;
        s24_mat view;
        ok(s24_model_matrix(model, i, &matrix, NULL, NULL, &rows, &cols));
        if (omit && strstr(matrix, omit))
            continue;
        bool strange = odd && strstr(matrix, odd);
        float *values = tiny_tensor(matrix, rows * cols);
        for (int64_t k = 0; k < rows * cols; k++)
            values[k] = fabsf(values[k]);
        values[5] = strange && first < 1 ? first : values[5];
        ok(s24_mat_rowmajor(&view, values, strange && first == 1 ? cols : rows,
                            strange && first == 1 ? rows : cols, S24_F32));
        ok(s24_file_put(file, matrix, &view, NULL, 2, "F16"));
        free(values);
    }
    ok(s24_file_commit(file));
    s24_file_destroy(file);
}

static void refuses(const char *options, s24_status wanted, const char *text)
{
    s24_status status = compress(options, "out");
    ck_assert_msg(status == wanted && strstr(s24_last_error(), text), "%s: %d, %s", options, status,
                  s24_last_error());
    ck_assert_int_eq(access(in_folder("out"), F_OK), -1);
}

START_TEST(bad_scores)
{
    char text[500];
    const char *ranked = ",options=[score=importance]";
    open_model(tiny_models);
    write_scores("good", NULL, NULL, 0);
    snprintf(text, sizeof text, "%s%s", asked("good", ""), ranked);
    ok(compress(text, "fine"));
    refuses("options=[score=gblm]", S24_E_STATE, "give --importance FILE");
    refuses(asked("good", ""), S24_E_OPTION, "ranks by no scores");
    snprintf(text, sizeof text, "%s,solver=alps", asked("good", ""));
    refuses(text, S24_E_OPTION, "ranks by no scores");
    snprintf(text, sizeof text, "%s%s", asked("none", ""), ranked);
    refuses(text, S24_E_IO, "--importance");
    snprintf(text, sizeof text, "%s%s", asked("good", ":l2"), ranked);
    refuses(text, S24_E_ARG, ".weight.l2");
    snprintf(text, sizeof text, "%s%s", asked("good", ":mean"), ranked);
    refuses(text, S24_E_FORMAT, "how many rows");
    write_scores("missing", "1.mlp.up_proj", NULL, 0);
    snprintf(text, sizeof text, "%s%s", asked("missing", ""), ranked);
    refuses(text, S24_E_ARG, "layers.1.mlp.up_proj.weight");
    write_scores("turned", NULL, "1.mlp.up_proj", 1);
    snprintf(text, sizeof text, "%s%s", asked("turned", ""), ranked);
    refuses(text, S24_E_SHAPE, "expected 96 x 64");
    write_scores("negative", NULL, "1.mlp.up_proj", -1);
    snprintf(text, sizeof text, "%s%s", asked("negative", ""), ranked);
    refuses(text, S24_E_ARG, "row 0, column 5 is -1");
}
END_TEST

/* What the file holds is part of the job. */
START_TEST(resumes_with_the_same_scores)
{
    char text[500];
    open_model(tiny_models);
    ok(score("", "scores"));
    snprintf(text, sizeof text, "%s,options=[score=gblm]", asked("scores", ""));
    ok(compress(text, "out"));
    snprintf(text, sizeof text, "%s,options=[score=gblm],resume=1", asked("scores", ""));
    ok(compress(text, "out"));
    ok(score_rows(2, NULL, "scores", NULL));
    ck_assert_int_eq(compress(text, "out"), S24_E_STATE);
    ck_assert_ptr_nonnull(strstr(s24_last_error(), "importance rms"));
}
END_TEST

int main(int argc, char **argv)
{
    (void)argc;
    golden_path = argv[1];
    Suite *suite = suite_create("importance");
    TCase *tests = tcase_create("importance");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, as_autograd, 0, 2);
    tcase_add_test(tests, equal_bytes);
    tcase_add_test(tests, some_norms);
    tcase_add_test(tests, bad_arguments);
    tcase_add_test(tests, can_be_stopped);
    tcase_add_test(tests, not_finite);
    tcase_add_loop_test(tests, scores_go_with_their_weights, 0, 2);
    tcase_add_test(tests, norms_of_both_kinds);
    tcase_add_test(tests, bad_scores);
    tcase_add_test(tests, resumes_with_the_same_scores);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
