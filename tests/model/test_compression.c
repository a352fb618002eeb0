/* Tests lib/model/compression.c and its parts: plan, run, cancel at any moment and resume, and
 * every error as a status with the text that the program prints. */
#include "tiny.h"
#include <check.h>
#include <math.h>
#include <pthread.h>
#include <sparse24/model.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROWS = 6, LENGTH = 24, MATRICES = 14 };

static char folder[64];
static s24_ctx *ctx;
static s24_model *model;
static int32_t ids[ROWS * LENGTH];

static char *in_folder(const char *name)
{
    static char path[4][128];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
    return path[next];
}

static void set_up(void)
{
    const tiny_model *m = tiny_models;
    strcpy(folder, "/tmp/sparse24-compression-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(s24_ctx_create(&ctx), S24_OK);
    ck_assert_str_eq(m->name, "llama");
    ck_assert_int_eq(mkdir(in_folder("tiny"), 0777), 0);
    tiny_write_folder(ctx, in_folder("tiny"), m);
    for (int i = 0; i < ROWS * LENGTH; i++)
        ids[i] = tiny_token(m, i / LENGTH, i % LENGTH);
    ck_assert_int_eq(s24_model_open(ctx, in_folder("tiny"), &model), S24_OK);
}

static void tear_down(void)
{
    char command[128];
    uint64_t bytes = 1;
    s24_model_destroy(model);
    ck_assert_int_eq(s24_ctx_memory(ctx, &bytes, NULL), S24_OK);
    s24_ctx_destroy(ctx);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

static s24_mat rows(int count)
{
    s24_mat view;
    ck_assert_int_eq(s24_mat_rowmajor(&view, ids, count, LENGTH, S24_I32), S24_OK);
    return view;
}

static s24_compression *begin(bool evaluate)
{
    s24_compression *c = NULL;
    s24_mat all = rows(ROWS);
    ck_assert_int_eq(s24_compression_create(model, &c), S24_OK);
    ck_assert_int_eq(s24_compression_parse(c, "constraints=2:4,options=[swaps=0],heldout=0,own=0"),
                     S24_OK);
    ck_assert_int_eq(s24_compression_set_calibration(c, &all, "calib"), S24_OK);
    if (evaluate)
        ck_assert_int_eq(s24_compression_add_evaluation(c, &all, "test"), S24_OK);
    return c;
}

static double number(const s24_compression *c, const char *name)
{
    double value = NAN;
    ck_assert_int_eq(s24_compression_number(c, name, 0, &value), S24_OK);
    return value;
}

static void same_model(const char *a, const char *b)
{
    char command[400];
    snprintf(command, sizeof command, "cmp %s/model.safetensors %s/model.safetensors", a, b);
    ck_assert_int_eq(system(command), 0);
}

static void make_reference(void)
{
    s24_compression *c = begin(false);
    ck_assert_int_eq(s24_compression_run(c, in_folder("reference")), S24_OK);
    s24_compression_destroy(c);
}

/* ---- What comes out ---- */

START_TEST(runs)
{
    s24_compression *c = begin(true);
    uint64_t memory, written;
    double flops, value;
    const char *text;
    ck_assert_int_eq(s24_compression_plan(c, &memory, &flops, &written), S24_OK);
    ck_assert_int_ne(access(in_folder("out.part"), F_OK), 0);
    ck_assert_int_eq(s24_compression_run(c, in_folder("out")), S24_OK);
    struct stat s;
    ck_assert_int_eq(stat(in_folder("out/model.safetensors"), &s), 0);
    ck_assert(fabs((double)written / (double)s.st_size - 1) < 0.2); /* the rest is its header */
    ck_assert(memory > written && flops > 1e6);
    ck_assert_double_eq(number(c, "matrices"), MATRICES);
    ck_assert_double_eq(number(c, "zeros"), number(c, "size") / 2);
    ck_assert(number(c, "perplexity_after") > 1 && number(c, "perplexity_before") > 1);
    ck_assert(number(c, "relative_loss") > 0 && number(c, "relative_loss") < 0.2);
    for (int i = 0; i < MATRICES; i++) {
        ck_assert_int_eq(s24_compression_matrix_float(c, i, "zeros", &value), S24_OK);
        ck_assert(value > 0);
        ck_assert_int_eq(s24_compression_matrix_float(c, i, "layer", &value), S24_OK);
        ck_assert_double_eq(value, i / 7);
        ck_assert_int_eq(s24_compression_matrix_str(c, i, "json", &text), S24_OK);
        ck_assert(text[0] == '{' && text[strlen(text) - 1] == '}');
    }
    ck_assert_int_eq(s24_compression_matrix_str(c, 6, "matrix", &text), S24_OK);
    ck_assert_str_eq(text, "down_proj");
    s24_compression_destroy(c);
}
END_TEST

/* An output that is there is evaluated, not made again. */
START_TEST(owes_the_evaluation)
{
    make_reference();
    s24_compression *c = begin(true);
    ck_assert_int_eq(s24_compression_set_int(c, "resume", 1), S24_OK);
    ck_assert_int_eq(s24_compression_run(c, in_folder("reference")), S24_OK);
    ck_assert_double_eq(number(c, "complete"), 1);
    ck_assert_double_eq(number(c, "matrices"), MATRICES);
    ck_assert(number(c, "perplexity_after") > 1 && isnan(number(c, "efficiency")));
    s24_compression_destroy(c);
}
END_TEST

/* ---- What it will take ---- */

static void count_warnings(void *user, int32_t level, const char *line)
{
    *(int *)user += level == 1 && strstr(line, " different rows for ") != NULL;
}

static void expect_matrices(const s24_compression *c)
{
    double value, sum = 0;
    const char *text;
    ck_assert_double_eq(number(c, "matrices"), MATRICES);
    for (int i = 0; i < MATRICES; i++) {
        ck_assert_int_eq(s24_compression_matrix_float(c, i, "seconds", &value), S24_OK);
        ck_assert(value > 0);
        sum += value;
        ck_assert_int_eq(s24_compression_matrix_float(c, i, "zeros", &value), S24_OK);
        ck_assert(isnan(value)); /* nothing has been solved */
        ck_assert_int_eq(s24_compression_matrix_str(c, i, "solver", &text), S24_OK);
        ck_assert_str_eq(text, i % 7 == 6 ? "quantease" : "alps");
        ck_assert_int_eq(s24_compression_matrix_str(c, i, "constraints", &text), S24_OK);
        ck_assert_str_eq(text, i % 7 == 6 ? "int4" : "2:4");
        ck_assert_int_eq(s24_compression_matrix_str(c, i, "json", &text), S24_OK);
        ck_assert_ptr_null(text);
    }
    ck_assert(fabs(number(c, "expected_solve_seconds") / sum - 1) < 1e-9);
}

START_TEST(estimates)
{
    uint64_t memory, written;
    double flops;
    int warnings = 0;
    s24_compression *c = begin(true);
    ck_assert_int_eq(s24_compression_parse(c, "options=[]"), S24_OK);
    ck_assert_int_eq(s24_compression_add_rule(c, "*.down_proj=int4"), S24_OK);
    ck_assert_int_eq(s24_compression_set_log(c, count_warnings, &warnings), S24_OK);
    ck_assert_int_eq(s24_compression_plan(c, &memory, &flops, &written), S24_OK);
    ck_assert_int_eq(s24_compression_estimate(c, in_folder("a/b/out")), S24_OK);
    ck_assert_int_eq(warnings, 0);
    ck_assert_int_ne(access(in_folder("a"), F_OK), 0);
    ck_assert_double_eq(number(c, "written"), (double)written);
    ck_assert_double_eq(number(c, "flops"), flops);
    ck_assert(number(c, "memory") >= 0.5 * (double)memory);
    ck_assert(number(c, "disk") > number(c, "written") && number(c, "disk_free") > 0);
    ck_assert(number(c, "expected_eval_seconds") > 0);
    ck_assert(number(c, "expected_seconds") >
              number(c, "expected_solve_seconds") + number(c, "expected_eval_seconds"));
    expect_matrices(c);
    s24_mat few = rows(1);
    ck_assert_int_eq(s24_compression_set_calibration(c, &few, "few"), S24_OK);
    ck_assert_int_eq(s24_compression_estimate(c, NULL), S24_OK);
    ck_assert_int_eq(warnings, MATRICES);
    ck_assert(isnan(number(c, "disk_free")));
    const char *text;
    ck_assert_int_eq(s24_compression_matrix_str(c, 0, "warning", &text), S24_OK);
    ck_assert_str_eq(text, "calibrated with 24 different rows for 64 inputs: take more text");
    s24_compression_destroy(c);
}
END_TEST

/* It leaves nothing behind that changes a run. */
START_TEST(runs_after_an_estimate)
{
    make_reference();
    s24_compression *c = begin(false);
    ck_assert_int_eq(s24_compression_estimate(c, in_folder("out")), S24_OK);
    ck_assert_int_eq(s24_compression_run(c, in_folder("out")), S24_OK);
    same_model(in_folder("reference"), in_folder("out"));
    ck_assert(isnan(number(c, "expected_seconds")));
    s24_compression_destroy(c);
}
END_TEST

/* The same folder with an embedding of zeros: every input is 0. */
static void make_silent(const char *silent)
{
    static const char embedding[] = "model.embed_tokens.weight";
    s24_file *from = NULL, *to = NULL;
    s24_mat view;
    ck_assert_int_eq(s24_file_open(ctx, in_folder("tiny"), &from), S24_OK);
    ck_assert_int_eq(s24_file_create(ctx, silent, "folder", &to), S24_OK);
    ck_assert_int_eq(s24_file_copy_meta(to, from), S24_OK);
    for (int64_t i = 0; i < s24_file_count(from); i++) {
        const char *name = s24_file_name(from, i);
        if (strcmp(name, embedding)) {
            ck_assert_int_eq(s24_file_put_stored(to, from, name), S24_OK);
            continue;
        }
        ck_assert_int_eq(s24_file_get(from, name, &view), S24_OK);
        view.data = calloc((size_t)(view.rows * view.cols), 8);
        ck_assert_int_eq(s24_file_put(to, name, &view, NULL, 2, NULL), S24_OK);
        free(view.data);
    }
    ck_assert_int_eq(s24_file_commit(to), S24_OK);
    s24_file_destroy(to);
    s24_file_destroy(from);
}

typedef struct stopping {
    s24_compression *c;
    int left, calls;
    const char *line;
} stopping;

static int32_t count_down(void *user, const char *phase, int64_t step, int64_t total,
                          double objective, double residual)
{
    stopping *s = user;
    ck_assert(step >= 0 && step <= total && *phase && isnan(objective) && isnan(residual));
    s->calls++;
    return s->left-- == 0;
}

/* How often a host is called goes by time too: a run that ended before the count did is none. */
static bool was_stopped(s24_status status, const stopping *s)
{
    ck_assert_int_eq(status, s->left < 0 ? S24_E_CANCELLED : S24_OK);
    return status != S24_OK;
}

START_TEST(estimates_refuse)
{
    static stopping all = {.left = -1};
    s24_compression *c = begin(false);
    ck_assert_int_eq(s24_compression_set_int(c, "memory_limit", 1 << 20), S24_OK);
    ck_assert_int_eq(s24_compression_estimate(c, NULL), S24_E_MEMORY);
    ck_assert_ptr_nonnull(strstr(s24_last_error(), "--memory-limit: "));
    ck_assert_double_eq(number(c, "matrices"), 0);
    ck_assert_int_eq(s24_compression_set_int(c, "memory_limit", 0), S24_OK);
    ck_assert_int_eq(s24_compression_estimate(c, in_folder("tiny")), S24_E_IO);
    ck_assert_ptr_nonnull(strstr(s24_last_error(), "exists already"));
    ck_assert_int_eq(s24_compression_set_progress(c, count_down, &all), S24_OK);
    ck_assert_int_eq(s24_compression_estimate(c, NULL), S24_OK);
    ck_assert_int_gt(all.calls, 5);
    for (int at = 0, calls = all.calls; at < calls; at += 3) {
        stopping s = {.left = at};
        ck_assert_int_eq(s24_compression_set_progress(c, count_down, &s), S24_OK);
        was_stopped(s24_compression_estimate(c, NULL), &s);
    }
    ck_assert_int_eq(s24_compression_estimate(NULL, NULL), S24_E_ARG);
    s24_compression_destroy(c);
}
END_TEST

START_TEST(silence_is_refused)
{
    s24_model *dense = model;
    make_silent(in_folder("silent"));
    ck_assert_int_eq(s24_model_open(ctx, in_folder("silent"), &model), S24_OK);
    s24_compression *c = begin(false);
    ck_assert_int_eq(s24_compression_estimate(c, NULL), S24_E_NUMERIC);
    ck_assert_ptr_nonnull(strstr(s24_last_error(), "model.layers.0.self_attn.q_proj.weight: "));
    ck_assert_int_eq(s24_compression_run(c, in_folder("out")), S24_E_NUMERIC);
    s24_compression_destroy(c);
    s24_model_destroy(model);
    model = dense;
}
END_TEST

/* ---- Cancel ---- */

static void stop_at_line(void *user, int32_t level, const char *line)
{
    stopping *s = user;
    if (level == 2 && s->line && !strncmp(line, s->line, strlen(s->line)))
        s24_compression_cancel(s->c);
}

static void resumes(s24_compression *c, const char *out)
{
    ck_assert_int_eq(s24_compression_set_progress(c, NULL, NULL), S24_OK);
    ck_assert_int_eq(s24_compression_set_log(c, NULL, NULL), S24_OK);
    ck_assert_int_eq(s24_compression_set_int(c, "resume", 1), S24_OK);
    ck_assert_int_eq(s24_compression_run(c, out), S24_OK);
    same_model(in_folder("reference"), out);
}

START_TEST(goes_on_after_any_call)
{
    make_reference();
    stopping all = {.left = -1};
    s24_compression *c = begin(false);
    ck_assert_int_eq(s24_compression_set_progress(c, count_down, &all), S24_OK);
    ck_assert_int_eq(s24_compression_run(c, in_folder("counted")), S24_OK);
    s24_compression_destroy(c);
    ck_assert_int_gt(all.calls, 40);
    for (int at = 0; at < all.calls; at += 1 + all.calls / 12) {
        char out[32];
        stopping s = {.left = at};
        snprintf(out, sizeof out, "stopped%d", at);
        c = begin(false);
        ck_assert_int_eq(s24_compression_set_progress(c, count_down, &s), S24_OK);
        s24_status status = s24_compression_run(c, in_folder(out));
        if (s.calls > at) { /* else this run was asked less often: calls go by the clock as well */
            ck_assert_int_eq(status, S24_E_CANCELLED);
            ck_assert_str_eq(s24_last_error(), "interrupted: go on with --resume");
            ck_assert_int_ne(access(in_folder(out), F_OK), 0);
        }
        resumes(c, in_folder(out));
        s24_compression_destroy(c);
    }
}
END_TEST

START_TEST(goes_on_after_each_block)
{
    static const char *const lines[] = {"block 1 of 2", "block 2 of 2"};
    make_reference();
    stopping s = {.c = begin(false), .line = lines[_i]};
    ck_assert_int_eq(s24_compression_set_log(s.c, stop_at_line, &s), S24_OK);
    ck_assert_int_eq(s24_compression_run(s.c, in_folder("out")), S24_E_CANCELLED);
    ck_assert_int_eq(access(in_folder("out.part/block-00000.safetensors"), F_OK), 0);
    ck_assert_int_eq(access(in_folder("out.part/block-00001.safetensors"), F_OK), _i ? 0 : -1);
    s24_compression *other = begin(false); /* a new one, as after a crash */
    ck_assert_int_eq(s24_compression_run(other, in_folder("out")), S24_E_STATE);
    ck_assert_ptr_nonnull(strstr(s24_last_error(), "holds an unfinished run: go on with --resume"));
    s24_compression_destroy(other);
    resumes(s.c, in_folder("out"));
    s24_compression_destroy(s.c);
}
END_TEST

static void *cancel_after(void *user)
{
    stopping *s = user;
    usleep((useconds_t)s->left);
    s24_compression_cancel(s->c);
    return NULL;
}

START_TEST(another_thread_cancels)
{
    make_reference();
    for (int at = 0; at < 60000; at += 10000) {
        char out[32];
        pthread_t thread;
        stopping s = {.c = begin(false), .left = at};
        snprintf(out, sizeof out, "thread%d", at);
        ck_assert_int_eq(pthread_create(&thread, NULL, cancel_after, &s), 0);
        s24_status status = s24_compression_run(s.c, in_folder(out));
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        ck_assert(status == S24_OK || status == S24_E_CANCELLED);
        if (status == S24_OK) { /* what came too late is for the next run */
            ck_assert_int_eq(s24_compression_set_int(s.c, "resume", 1), S24_OK);
            s24_compression_run(s.c, in_folder(out));
        }
        resumes(s.c, in_folder(out));
        s24_compression_destroy(s.c);
    }
}
END_TEST

/* ---- Errors ---- */

static void fails(s24_status got, s24_status wanted, const char *text)
{
    ck_assert_msg(got == wanted && strstr(s24_last_error(), text),
                  "%d, \"%s\" instead of %d, \"%s\"", (int)got, s24_last_error(), (int)wanted,
                  text);
}

static const struct {
    const char *assignments;
    s24_status status;
    const char *text;
} wrong[] = {
    {"correct=half", S24_E_OPTION, "--correct half: expected a number from 0 to 1"},
    {"correct=2", S24_E_OPTION, "--correct 2: expected a number from 0 to 1"},
    {"activations=tape", S24_E_OPTION, "--activations tape: expected ram, half or disk"},
    {"store=f8", S24_E_OPTION, "--store f8: expected f32, f16, bf16, q4_0"},
    {"heldout=-1", S24_E_OPTION, "--heldout -1: expected"},
    {"resume=2", S24_E_OPTION, "--resume 2: expected 0 or 1"},
    {"colour=red", S24_E_OPTION, "no option colour"},
    {"constraints", S24_E_OPTION, "expected NAME=VALUE"},
    {"constraints=3:5", S24_E_SHAPE, "multiple of 5"},
    {"constraints=", S24_E_STATE, "--constraints: there are none"},
    {"constraints=seven", S24_E_OPTION, "q_proj"},
    {"solver=alpz", S24_E_UNSUPPORTED, "--solver alpz"},
    {"options=[swops=1],solver=alps", S24_E_OPTION, "swops"},
    {"memory_limit=100000", S24_E_MEMORY, "--memory-limit: "},
};

START_TEST(options_are_refused)
{
    s24_compression *c = begin(true);
    s24_status status = s24_compression_parse(c, wrong[_i].assignments);
    if (status == S24_OK)
        status = s24_compression_run(c, in_folder("none"));
    fails(status, wrong[_i].status, wrong[_i].text);
    ck_assert_int_ne(access(in_folder("none"), F_OK), 0);
    s24_compression_destroy(c);
}
END_TEST

START_TEST(inputs_are_refused)
{
    s24_compression *c = begin(false);
    s24_mat view = rows(ROWS), narrow = rows(ROWS), floats = rows(ROWS);
    ids[LENGTH + 3] = 96;
    fails(s24_compression_set_calibration(c, &view, "calib"), S24_E_ARG,
          "calib: row 1, column 3 is 96, but the model's ids are 0 .. 95");
    ids[LENGTH + 3] = 1;
    narrow.cols = 1;
    fails(s24_compression_add_evaluation(c, &narrow, "test"), S24_E_SHAPE,
          "test: rows of one token predict nothing");
    floats.dtype = S24_F32;
    fails(s24_compression_add_evaluation(c, &floats, "test"), S24_E_DTYPE, "expected integers");
    fails(s24_compression_add_rule(c, "down_proj"), S24_E_OPTION, "expected PATTERN=CONSTRAINTS");
    fails(s24_compression_add_rule(c, "*=dense"), S24_E_OPTION, "--skip \"*\"");
    ck_assert_int_eq(s24_compression_add_skip(c, "*.nothing"), S24_OK);
    fails(s24_compression_run(c, in_folder("none")), S24_E_OPTION,
          "--skip *.nothing matches no matrix");
    fails(s24_compression_run(c, ""), S24_E_ARG, "--out: the name is empty");
    fails(s24_compression_run(c, in_folder("tiny")), S24_E_IO, "exists already");
    fails(s24_compression_run(NULL, "x"), S24_E_ARG, "is no compression");
    double value;
    fails(s24_compression_number(c, "colour", 0, &value), S24_E_ARG, "no number colour");
    fails(s24_compression_number(c, "perplexity_after", 0, &value), S24_E_ARG, "no number");
    ck_assert_int_eq(s24_compression_add_skip(c, "*"), S24_OK);
    fails(s24_compression_run(c, in_folder("none")), S24_E_OPTION, "--skip leaves no matrix");
    s24_compression_destroy(c);
}
END_TEST

/* From inside a run, or another thread, its model and options are out of reach. */
static int32_t meddle(void *user, const char *phase, int64_t step, int64_t total, double objective,
                      double residual)
{
    (void)phase, (void)step, (void)total, (void)objective, (void)residual;
    fails(s24_compression_set_int(user, "resume", 1), S24_E_STATE, "at work");
    fails(s24_compression_run(user, "x"), S24_E_STATE, "at work");
    return 0;
}

START_TEST(one_call_at_a_time)
{
    s24_compression *c = begin(false);
    ck_assert_int_eq(s24_compression_set_progress(c, meddle, c), S24_OK);
    ck_assert_int_eq(s24_compression_run(c, in_folder("out")), S24_OK);
    s24_compression_destroy(c);
}
END_TEST

START_TEST(memory_limit_is_kept)
{
    uint64_t memory;
    int64_t limit = -1;
    make_reference();
    s24_compression *c = begin(true);
    ck_assert_int_eq(s24_compression_plan(c, &memory, NULL, NULL), S24_OK);
    ck_assert_int_eq(s24_compression_set_int(c, "memory_limit", (int64_t)memory + (4 << 20)),
                     S24_OK);
    ck_assert_int_eq(s24_compression_run(c, in_folder("limited")), S24_OK);
    ck_assert_int_eq(s24_ctx_get_int(ctx, "memory_limit", &limit), S24_OK);
    ck_assert_int_eq(limit, 0); /* the context's own is back */
    same_model(in_folder("reference"), in_folder("limited"));
    s24_compression_destroy(c);
}
END_TEST

START_TEST(options_have_defaults)
{
    s24_compression *c = NULL;
    const char *name, *fallback, *value;
    ck_assert_int_eq(s24_compression_create(model, &c), S24_OK);
    for (int32_t i = 0; s24_compression_option_info(i, &name, NULL, &fallback, NULL) == S24_OK;
         i++) {
        ck_assert_int_eq(s24_compression_get(c, name, &value), S24_OK);
        ck_assert_str_eq(value, fallback);
    }
    ck_assert_int_eq(s24_compression_parse(c, "options=[rho=0.1,swaps=0],correct=0.25"), S24_OK);
    ck_assert_int_eq(s24_compression_get(c, "options", &value), S24_OK);
    ck_assert_str_eq(value, "rho=0.1,swaps=0");
    ck_assert_int_eq(s24_compression_get(c, "correct", &value), S24_OK);
    ck_assert_str_eq(value, "0.25");
    s24_compression_destroy(c);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("compression");
    TCase *tc = tcase_create("compression");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, runs);
    tcase_add_test(tc, owes_the_evaluation);
    tcase_add_test(tc, estimates);
    tcase_add_test(tc, runs_after_an_estimate);
    tcase_add_test(tc, estimates_refuse);
    tcase_add_test(tc, silence_is_refused);
    tcase_add_test(tc, goes_on_after_any_call);
    tcase_add_loop_test(tc, goes_on_after_each_block, 0, 2);
    tcase_add_test(tc, another_thread_cancels);
    tcase_add_loop_test(tc, options_are_refused, 0, sizeof wrong / sizeof *wrong);
    tcase_add_test(tc, inputs_are_refused);
    tcase_add_test(tc, one_call_at_a_time);
    tcase_add_test(tc, memory_limit_is_kept);
    tcase_add_test(tc, options_have_defaults);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
