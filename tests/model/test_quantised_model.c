/* lib/model on a folder of FP8 codes: the same model as the folder of floats that it is decoded to,
 * all the way to what a compression writes and records. */
#include "tiny.h"
#include <check.h>
#include <sparse24/model.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROWS = 4, LENGTH = 24, ROOM = 8192 };

static char folder[64];
static s24_ctx *ctx;
static int32_t ids[ROWS * LENGTH];

static char *in_folder(const char *name)
{
    static char path[4][128];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
    return path[next];
}

static s24_mat tokens(void)
{
    s24_mat view;
    ck_assert_int_eq(s24_mat_rowmajor(&view, ids, ROWS, LENGTH, S24_I32), S24_OK);
    return view;
}

/* ---- Folders ---- */

/* The configuration, with more at its end. */
static void extend_config(const char *from, const char *to, const char *more)
{
    char text[4000];
    FILE *file = fopen(from, "r");
    ck_assert_ptr_nonnull(file);
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    while (size && text[size - 1] != '}')
        size--;
    file = fopen(to, "w");
    ck_assert_ptr_nonnull(file);
    fprintf(file, "%.*s, %s}\n", (int)size - 1, text, more);
    ck_assert_int_eq(fclose(file), 0);
}

/* A scale for all, and the values as codes without a NaN. */
static void put_codes(s24_file *out, const char *name, const s24_mat *w, const char *scale_name)
{
    static unsigned char codes[ROOM];
    char full[200];
    s24_mat view, one;
    float scale = 1.0f / 256;
    ck_assert_int_le(w->rows * w->cols, ROOM);
    for (int64_t i = 0; i < w->rows * w->cols; i++) {
        uint32_t bits;
        memcpy(&bits, (const float *)w->data + i, sizeof bits);
        codes[i] = (unsigned char)(bits >> 24 & 128) | (unsigned char)((bits >> 12) % 104);
    }
    ck_assert_int_eq(s24_mat_rowmajor(&view, codes, w->rows, w->cols, S24_E4M3FN), S24_OK);
    ck_assert_int_eq(s24_mat_rowmajor(&one, &scale, 1, 1, S24_F32), S24_OK);
    ck_assert_int_eq(s24_file_put(out, name, &view, NULL, 0, NULL), S24_OK);
    snprintf(full, sizeof full, "%s%s", name, scale_name);
    ck_assert_int_eq(s24_file_put(out, full, &one, NULL, 0, NULL), S24_OK);
}

/* The tiny model with its blocks' matrices as codes. */
static void write_codes(const char *settings, const char *scale_name)
{
    s24_file *from, *out;
    s24_mat w;
    const char *name;
    ck_assert_int_eq(s24_file_open(ctx, in_folder("tiny"), &from), S24_OK);
    ck_assert_int_eq(s24_file_create(ctx, in_folder("codes"), "folder", &out), S24_OK);
    for (int64_t i = 0; (name = s24_file_name(from, i)); i++) {
        ck_assert_int_eq(s24_file_get(from, name, &w), S24_OK);
        if (w.rows > 1 && strstr(name, "layers."))
            put_codes(out, name, &w, scale_name);
        else
            ck_assert_int_eq(s24_file_put_stored(out, from, name), S24_OK);
    }
    ck_assert_int_eq(s24_file_commit(out), S24_OK);
    s24_file_destroy(out);
    s24_file_destroy(from);
    extend_config(in_folder("tiny/config.json"), in_folder("codes/config.json"), settings);
}

static void copy_folder(const char *from_name, const char *to_name)
{
    s24_file *from, *to;
    const char *name;
    ck_assert_int_eq(s24_file_open(ctx, in_folder(from_name), &from), S24_OK);
    ck_assert_int_eq(s24_file_create(ctx, in_folder(to_name), "folder", &to), S24_OK);
    ck_assert_int_eq(s24_file_check_copy(to, from), S24_OK);
    ck_assert_int_eq(s24_file_copy_meta(to, from), S24_OK);
    for (int64_t i = 0; (name = s24_file_name(from, i)); i++)
        ck_assert_int_eq(s24_file_put_stored(to, from, name), S24_OK);
    ck_assert_int_eq(s24_file_commit(to), S24_OK);
    s24_file_destroy(to);
    s24_file_destroy(from);
}

static void set_up(void)
{
    strcpy(folder, "/tmp/sparse24-quantised-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(s24_ctx_create(&ctx), S24_OK);
    ck_assert_int_eq(mkdir(in_folder("tiny"), 0777), 0);
    tiny_write_folder(ctx, in_folder("tiny"), tiny_models);
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

/* ---- Tests ---- */

static double perplexity(const char *name)
{
    s24_model *model;
    s24_mat view = tokens();
    double value = NAN;
    ck_assert_msg(s24_model_open(ctx, in_folder(name), &model) == S24_OK, "%s", s24_last_error());
    ck_assert_int_eq(s24_model_evaluate(model, &view, "test", NULL, &value), S24_OK);
    s24_model_destroy(model);
    return value;
}

#define FP8 \
    "\"quantization_config\": {\"quant_method\": \"fp8\", \"weight_block_size\": [128, 128]}"

START_TEST(one_model)
{
    write_codes(FP8, "_scale_inv");
    copy_folder("codes", "floats");
    double of_codes = perplexity("codes"), of_floats = perplexity("floats");
    ck_assert(of_codes > 1 && of_codes == of_floats);
    ck_assert(of_codes != perplexity("tiny"));
}
END_TEST

START_TEST(compressed)
{
    s24_model *model;
    s24_compression *c;
    s24_file *file;
    s24_mat view = tokens();
    const char *text = NULL;
    write_codes(FP8 ", \"torch_dtype\": \"bfloat16\"", "_scale_inv");
    ck_assert_int_eq(s24_model_open(ctx, in_folder("codes"), &model), S24_OK);
    ck_assert_int_eq(s24_compression_create(model, &c), S24_OK);
    ck_assert_int_eq(s24_compression_parse(c, "constraints=2:4,solver=wanda,correct=0,heldout=0"),
                     S24_OK);
    ck_assert_int_eq(s24_compression_add_skip(c, "*.v_proj.weight"), S24_OK);
    ck_assert_int_eq(s24_compression_set_calibration(c, &view, "calib"), S24_OK);
    ck_assert_msg(s24_compression_run(c, in_folder("out")) == S24_OK, "%s", s24_last_error());
    ck_assert_int_eq(s24_compression_matrix_str(c, 0, "source", &text), S24_OK);
    ck_assert_str_eq(text, "fp8:e4m3");
    ck_assert_int_eq(s24_compression_matrix_str(c, 0, "stored", &text), S24_OK);
    ck_assert_str_eq(text, "BF16");
    s24_compression_destroy(c);
    s24_model_destroy(model);
    ck_assert_int_eq(s24_file_open(ctx, in_folder("out"), &file), S24_OK);
    for (int64_t i = 0; (text = s24_file_meta_key(file, i)); i++)
        ck_assert(!strstr(text, "quantization_config"));
    ck_assert_int_eq(
        s24_file_info(file, "model.layers.0.self_attn.v_proj.weight", NULL, NULL, &text), S24_OK);
    ck_assert_str_eq(text, "F32"); /* left as it was, exact */
    s24_file_destroy(file);
    ck_assert(perplexity("out") > 1);
}
END_TEST

START_TEST(refused)
{
    s24_model *model;
    write_codes("\"quantization_config\": {\"quant_method\": \"quark\"}", "_scale");
    ck_assert_int_eq(s24_model_open(ctx, in_folder("codes"), &model), S24_E_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(s24_last_error(), "_proj.weight_scale holds"));
    ck_assert_ptr_nonnull(strstr(s24_last_error(), "codes of a quantised model have no value"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("quantised model");
    TCase *tc = tcase_create("quantised model");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, one_model);
    tcase_add_test(tc, compressed);
    tcase_add_test(tc, refused);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
