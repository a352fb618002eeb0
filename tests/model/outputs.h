/* What the tests of written models share: a tiny model in both kinds of file, a compression of it,
 * and what is in a folder. */
#ifndef S24_TESTS_OUTPUTS_H
#define S24_TESTS_OUTPUTS_H
#include "tiny.h"
#include <check.h>
#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <sparse24/model.h>
#include <stdio.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROWS = 6, LENGTH = 24, MATRICES = 14 };

static char folder[64];
static s24_ctx *ctx;
static int32_t ids[ROWS * LENGTH];

static inline char *in_folder(const char *name)
{
    static char path[8][192];
    static int next;
    next = (next + 1) % 8;
    snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
    return path[next];
}

static void set_up(void)
{
    tiny_model gguf = *tiny_models;
    gguf.gguf = true;
    strcpy(folder, "/tmp/sparse24-outputs-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(s24_ctx_create(&ctx), S24_OK);
    ck_assert_int_eq(mkdir(in_folder("tiny"), 0777), 0);
    tiny_write_folder(ctx, in_folder("tiny"), tiny_models);
    tiny_write(ctx, in_folder("tiny-F32.gguf"), &gguf);
    for (int i = 0; i < ROWS * LENGTH; i++)
        ids[i] = tiny_token(tiny_models, i / LENGTH, i % LENGTH);
}

static void tear_down(void)
{
    char command[128];
    s24_ctx_destroy(ctx);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

static inline void ok(s24_status status)
{
    ck_assert_msg(status == S24_OK, "%s", s24_last_error());
}

static inline void fails(s24_status got, s24_status wanted, const char *text)
{
    ck_assert_msg(got == wanted && strstr(s24_last_error(), text),
                  "%d, \"%s\" instead of %d, \"%s\"", (int)got, s24_last_error(), (int)wanted,
                  text);
}

/* ---- A run ---- */

typedef struct job {
    s24_model *model;
    s24_compression *c;
} job;

static inline job begin(const char *source, const char *constraints, const char *form)
{
    job j = {NULL, NULL};
    s24_mat rows;
    ok(s24_model_open(ctx, in_folder(source), &j.model));
    ok(s24_compression_create(j.model, &j.c));
    ok(s24_compression_set_str(j.c, "constraints", constraints));
    ok(s24_compression_parse(j.c, "heldout=0,own=0"));
    ok(s24_compression_parse(j.c, form));
    ok(s24_mat_rowmajor(&rows, ids, ROWS, LENGTH, S24_I32));
    ok(s24_compression_set_calibration(j.c, &rows, "calib"));
    ok(s24_compression_add_evaluation(j.c, &rows, "test"));
    return j;
}

static inline void end(job j)
{
    s24_compression_destroy(j.c);
    s24_model_destroy(j.model);
}

static inline double perplexity(job j)
{
    double value = NAN;
    ok(s24_compression_number(j.c, "perplexity_after", 0, &value));
    return value;
}

static inline double run(const char *source, const char *constraints, const char *form,
                         const char *out)
{
    job j = begin(source, constraints, form);
    ok(s24_compression_run(j.c, in_folder(out)));
    double value = perplexity(j);
    end(j);
    return value;
}

/* As `sparse24 eval` measures it. */
static inline double evaluate(const char *path)
{
    s24_model *model;
    s24_mat rows;
    double nll;
    ok(s24_model_open(ctx, in_folder(path), &model));
    ok(s24_mat_rowmajor(&rows, ids, ROWS, LENGTH, S24_I32));
    ok(s24_model_evaluate(model, &rows, NULL, NULL, &nll));
    s24_model_destroy(model);
    return exp(nll);
}

static inline s24_status export(const char *source, const char *options, const char *out)
{
    s24_model *model;
    ok(s24_model_open(ctx, in_folder(source), &model));
    s24_status status = s24_model_export(model, options, in_folder(out));
    s24_model_destroy(model);
    return status;
}

static inline bool exists(const char *path)
{
    return !access(in_folder(path), F_OK);
}

static inline s24_file *opened(const char *path)
{
    s24_file *file;
    ok(s24_file_open(ctx, in_folder(path), &file));
    return file;
}

/* Names in a folder, sorted, a blank after each. */
static inline char *names(const char *path)
{
    static char all[512];
    struct dirent **entries;
    int count = scandir(in_folder(path), &entries, NULL, alphasort);
    *all = 0;
    for (int i = 0; i < count; i++) {
        if (*entries[i]->d_name != '.')
            strcat(strcat(all, entries[i]->d_name), " ");
        free(entries[i]);
    }
    free(entries);
    return all;
}

static inline void same_tensors(const char *a, const char *b)
{
    s24_file *left = opened(a), *right = opened(b);
    const void *x, *y;
    const char *type, *other;
    size_t m, n;
    ck_assert_int_eq(s24_file_count(left), s24_file_count(right));
    for (int64_t i = 0; i < s24_file_count(left); i++) {
        const char *name = s24_file_name(left, i);
        ok(s24_file_info(left, name, NULL, NULL, &type));
        ok(s24_file_info(right, name, NULL, NULL, &other));
        ok(s24_file_bytes(left, name, &x, &m));
        ok(s24_file_bytes(right, name, &y, &n));
        ck_assert_msg(!strcmp(type, other) && m == n && !memcmp(x, y, n), "%s", name);
    }
    s24_file_destroy(left);
    s24_file_destroy(right);
}

/* Run a suite of one case with the fixture above. */
static inline int run_case(const char *name, void (*add)(TCase *tc))
{
    Suite *suite = suite_create(name);
    TCase *tc = tcase_create(name);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    add(tc);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}

#endif
