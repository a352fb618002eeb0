/* Allocations of lib/model refused, one a time: opening, reading rows, compressing and exporting
 * say S24_E_MEMORY, leave nothing behind and succeed when they are called again. */
#include "families_gguf.h"
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <sparse24/model.h>
#include <sys/stat.h>

enum { ROWS = 3, LENGTH = 24, PIXELS = 3 * 16 * 16 };

static family_list list;
static s24_ctx *ctx;
static char place[64];
static int32_t ids[ROWS * LENGTH];
static float pixels[ROWS * PIXELS];

/* ---- Allocations ---- */

static long counted, refused = -1; /* so far; the number of the one that fails */

static bool refuse(void)
{
    bool now = counted++ == refused;
    if (now)
        errno = ENOMEM;
    return now;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);

void *__wrap_malloc(size_t size)
{
    return refuse() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return refuse() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size)
{
    return refuse() ? NULL : __real_realloc(block, size);
}

char *__wrap_strdup(const char *text)
{
    return refuse() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t size)
{
    return refuse() ? NULL : __real_strndup(text, size);
}

/* ---- Stories ---- */

#define ok(call) ck_assert_msg((call) == S24_OK, "%s: %s", #call, s24_last_error())

static const char *in_place(const char *name)
{
    static char path[4][128];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", place, name);
    return path[next];
}

static void clear(const char *name)
{
    char command[200];
    snprintf(command, sizeof command, "rm -rf %s/%s", place, name);
    ck_assert_int_eq(system(command), 0);
}

static s24_mat rows_of(bool images)
{
    s24_mat rows;
    ok(images ? s24_mat_rowmajor(&rows, pixels, ROWS, PIXELS, S24_F32)
              : s24_mat_rowmajor(&rows, ids, ROWS, LENGTH, S24_I32));
    return rows;
}

/* A compression of "source" into "out", or an export of that. */
static const struct {
    const char *family, *constraints, *options, *form;
    int tries; /* allocations that are refused, evenly spread */
    bool images;
} stories[] = {
    {"bert", "int4 sym g16", "options=[scales=f16]", "format=pack-quantized-all", 60},
    {"mixtral.gguf", "int4 sym g32", "options=[scales=f16]", "store=q4_0", 40},
    {"gpt2", "2:4+rank 4", "store=f32", "format=adapter", 40},
    {"starcoder2", "mlp=columns 32 kept", "", NULL, 40}, /* a rule alone */
    {"vit", "int4 sym g16", "format=pack-quantized", NULL, 6, .images = true},
    {"bert", "int4 sym g16", "format=pack-quantized-all", NULL, 6},
};
enum { STORIES = sizeof stories / sizeof *stories };

static s24_status compress(int i, const char *options)
{
    s24_model *model = NULL;
    s24_compression *c = NULL;
    s24_mat rows = rows_of(stories[i].images);
    bool gguf = strstr(stories[i].family, "gguf") != NULL;
    s24_status status = s24_model_open(ctx, in_place(gguf ? "source.gguf" : "source"), &model);
    status = status ? status : s24_compression_create(model, &c);
    status = status ? status : s24_compression_parse(c, "heldout=0,own=0,correct=0,solver=");
    if (!status)
        status = strchr(stories[i].constraints, '=')
                     ? s24_compression_add_rule(c, stories[i].constraints)
                     : s24_compression_set_str(c, "constraints", stories[i].constraints);
    status = status ? status : s24_compression_parse(c, options);
    status = status || !gguf ? status : s24_compression_add_skip(c, "*down*");
    status = status ? status : s24_compression_set_calibration(c, &rows, "calib");
    status = status ? status : s24_compression_add_evaluation(c, &rows, "test");
    status = status ? status : s24_compression_run(c, in_place("out"));
    s24_compression_destroy(c);
    s24_model_destroy(model);
    return status;
}

static s24_status export(int i)
{
    s24_model *model = NULL;
    s24_status status = s24_model_open(ctx, in_place("out"), &model);
    status = status ? status : s24_model_export(model, stories[i].form, in_place("later"));
    s24_model_destroy(model);
    return status;
}

static s24_status tell(int i)
{
    return stories[i].form ? export(i) : compress(i, stories[i].options);
}

static void write_source(int i)
{
    const char *dot = strchr(stories[i].family, '.');
    char plain[64], made[64];
    snprintf(plain, sizeof plain, "%.*s",
             (int)(dot ? dot - stories[i].family : (ptrdiff_t)strlen(stories[i].family)),
             stories[i].family);
    int index = family_find(&list, plain);
    if (dot) {
        gguf_write(ctx, &list, index, in_place("source.gguf"));
        return;
    }
    family_write(ctx, &list, index, NULL, made);
    ck_assert_int_eq(rename(made, in_place("source")), 0);
}

static void set_up(void)
{
    strcpy(place, "/tmp/sparse24-memory-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(place));
    ok(s24_ctx_create(&ctx));
    for (int i = 0; i < ROWS * LENGTH; i++)
        ids[i] = 3 + (i * i + 7 * i / LENGTH + 3 * i) % 45;
    for (int i = 0; i < ROWS * PIXELS; i++)
        pixels[i] = (float)(i * 37 % 101) / 50 - 1;
}

static void tear_down(void)
{
    char command[200];
    refused = -1;
    s24_ctx_destroy(ctx);
    snprintf(command, sizeof command, "rm -rf %s", place);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(each_allocation_may_fail)
{
    const char *made = stories[_i].form ? "later" : "out";
    int failed = 0;
    write_source(_i);
    if (stories[_i].form)
        ok(compress(_i, stories[_i].options));
    counted = 0;
    ok(tell(_i));
    long all = counted, step = all / stories[_i].tries;
    for (long k = 0; k<all; k += step> 0 ? step : 1) {
        clear(made);
        clear("*.part");
        counted = 0;
        refused = k;
        s24_status status = tell(_i);
        refused = -1;
        failed += status != S24_OK;
        ck_assert_msg(!status || status == S24_E_MEMORY, "allocation %ld of %ld: %d, %s", k, all,
                      (int)status, s24_last_error());
        ck_assert_msg(!status == !access(in_place(made), F_OK) || !stories[_i].form,
                      "allocation %ld of %ld: %d, but the output is there", k, all, (int)status);
    }
    ck_assert_int_gt(failed, 4);
    clear(made);
    clear("*.part");
    ok(tell(_i));
}
END_TEST

/* Rows of images from a file. */
START_TEST(rows_may_fail)
{
    s24_model *model = NULL;
    s24_tokens *t = NULL;
    s24_file *file = NULL;
    s24_mat made = rows_of(true);
    const int64_t shape[] = {ROWS, 3, 16, 16};
    int failed = 0;
    write_source(STORIES - 2);
    ok(s24_file_create(ctx, in_place("images.safetensors"), "safetensors", &file));
    ok(s24_file_put(file, "pixel_values", &made, shape, 4, NULL));
    ok(s24_file_commit(file));
    s24_file_destroy(file);
    ok(s24_model_open(ctx, in_place("source"), &model));
    for (refused = counted = 0; failed >= 0; refused++, counted = 0) {
        s24_status status = s24_tokens_open(model, in_place("images.safetensors"), NULL, &t);
        if (counted <= refused)
            break;
        ck_assert_int_eq(status, S24_E_MEMORY);
        failed++;
    }
    ck_assert_int_gt(failed, 3);
    s24_tokens_destroy(t);
    s24_model_destroy(model);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("no memory");
    TCase *tests = tcase_create("no memory");
    if (argc < 2)
        return 1;
    family_open(&list, argv[1]);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, each_allocation_may_fail, 0, STORIES);
    tcase_add_test(tests, rows_may_fail);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int found = srunner_ntests_failed(runner);
    srunner_free(runner);
    family_close(&list);
    return found != 0;
}
