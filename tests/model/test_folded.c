/* Forms of matrices that are no tensors of their own: experts as slices of one, GPT-2's, which lie
 * transposed. Codes are never rounded again there either. */
#include "families_gguf.h"
#include "family_outputs.h"
#include <check.h>
#include <math.h>
#include <sparse24/model.h>
#include <sys/stat.h>

enum { ROWS = 3, LENGTH = 24 };

static family_list list;
static int32_t ids[ROWS * LENGTH];

static void fails(s24_status got, const char *text)
{
    ck_assert_msg(got == S24_E_UNSUPPORTED && strstr(s24_last_error(), text),
                  "%d, \"%s\" instead of \"%s\"", (int)got, s24_last_error(), text);
}

static void set_up(void)
{
    open_outputs("/tmp/sparse24-folded-XXXXXX");
    for (int i = 0; i < ROWS * LENGTH; i++)
        ids[i] = (i * i + 7 * i / LENGTH + 3 * i) % 48;
}

/* As a GGUF file "NAME.gguf" or as a folder. */
static s24_model *open_model(const char *name)
{
    s24_model *model = NULL;
    const char *dot = strchr(name, '.');
    char plain[64];
    snprintf(plain, sizeof plain, "%.*s", (int)(dot ? dot - name : (ptrdiff_t)strlen(name)), name);
    int index = family_find(&list, plain);
    if (dot)
        gguf_write(ctx, &list, index, out_path(name));
    else
        family_write(ctx, &list, index, NULL, folder);
    ok(s24_model_open(ctx, dot ? out_path(name) : folder, &model));
    return model;
}

static s24_compression *begin(s24_model *model, const char *constraints, const char *skip,
                              const char *options)
{
    s24_compression *c = NULL;
    s24_mat rows;
    ok(s24_mat_rowmajor(&rows, ids, ROWS, LENGTH, S24_I32));
    ok(s24_compression_create(model, &c));
    ok(s24_compression_parse(c, "heldout=0,own=0"));
    ok(s24_compression_set_str(c, "constraints", constraints));
    ok(s24_compression_parse(c, options));
    if (*skip)
        ok(s24_compression_add_skip(c, skip));
    ok(s24_compression_set_calibration(c, &rows, "calib"));
    ok(s24_compression_add_evaluation(c, &rows, "test"));
    return c;
}

static double run(const char *source, const char *constraints, const char *skip,
                  const char *options, const char *out)
{
    double after = NAN;
    s24_model *model = open_model(source);
    s24_compression *c = begin(model, constraints, skip, options);
    ok(s24_compression_run(c, out_path(out)));
    ok(s24_compression_number(c, "perplexity_after", 0, &after));
    s24_compression_destroy(c);
    s24_model_destroy(model);
    family_remove(folder);
    return after;
}

static double evaluate(const char *path)
{
    s24_model *model = NULL;
    s24_mat rows;
    double nll;
    ok(s24_mat_rowmajor(&rows, ids, ROWS, LENGTH, S24_I32));
    ok(s24_model_open(ctx, out_path(path), &model));
    ok(s24_model_evaluate(model, &rows, NULL, NULL, &nll));
    s24_model_destroy(model);
    return exp(nll);
}

/* ---- What holds them ---- */

static const struct {
    const char *source, *constraints, *skip, *form, *model;
    const char *tensor, *type; /* of a matrix in the output */
} cases[] = {
    {"mixtral.gguf", "2:4+int4 sym g32", "*down*", "store=q4_0", "/mixtral.gguf",
     "blk.0.ffn_gate_exps.weight", "Q4_0"},
    {"qwen2_moe.gguf", "int4 real g32", "*down*", "store=q4_1", "/qwen2_moe.gguf",
     "blk.0.ffn_up_exps.weight", "Q4_1"},
    {"granitemoe.gguf", "int8 sym g32", "*down*", "store=q8_0", "/granitemoe.gguf",
     "blk.1.ffn_gate_exps.weight", "Q8_0"},
    {"granitemoe", "int4 sym g16", "", "format=s24", "/model.s24",
     "model.layers.0.block_sparse_moe.input_linear.weight", "F32"},
    {"gpt2", "2:4+int4 sym g16", "", "format=s24", "/model.s24",
     "transformer.h.0.attn.c_attn.weight", "F32"},
    {"gpt2", "2:4", "", "format=s24", "/model.s24", "transformer.h.1.mlp.c_fc.weight", "F32"},
};
enum { CASES = sizeof cases / sizeof *cases };

static void check_tensor(const char *path, int i)
{
    s24_file *file = NULL;
    const char *type;
    ok(s24_file_open(ctx, out_path(path), &file));
    ok(s24_file_info(file, cases[i].tensor, NULL, NULL, &type));
    ck_assert_str_eq(type, cases[i].type);
    s24_file_destroy(file);
}

/* The same perplexity as of codes beside floats, as printed and as the file gives it, to the last
 * bit; and from an export. */
START_TEST(codes_of_folded_matrices)
{
    char path[96];
    s24_model *model = NULL;
    bool grid = strstr(cases[_i].constraints, "int") != NULL;
    double packed =
        run(cases[_i].source, cases[_i].constraints, cases[_i].skip, cases[_i].form, "packed");
    double plain = run(cases[_i].source, cases[_i].constraints, cases[_i].skip,
                       grid ? "options=[scales=f16]" : "", "plain");
    ck_assert_double_eq(packed, plain);
    snprintf(path, sizeof path, "packed%s", cases[_i].model);
    ck_assert_double_eq(evaluate(path), packed);
    check_tensor(path, _i);
    ok(s24_model_open(ctx, out_path("plain"), &model));
    ok(s24_model_export(model, cases[_i].form, out_path("later")));
    s24_model_destroy(model);
    snprintf(path, sizeof path, "later%s", cases[_i].model);
    ck_assert_double_eq(evaluate(path), packed);
    check_tensor(path, _i);
}
END_TEST

/* Factors of transposed matrices, and what their adapter says of them. */
START_TEST(adapters_of_transposed_matrices)
{
    static char text[8192];
    s24_model *model = NULL;
    double whole = run("gpt2", "2:4+rank 4", "", "store=f32", "plain");
    double apart = run("gpt2", "2:4+rank 4", "", "store=f32,format=adapter", "out");
    ck_assert(fabs(apart / whole - 1) < 1e-6);           /* sums of sums */
    ck_assert(fabs(evaluate("out") / whole - 1) > 1e-6); /* the base alone is another model */
    FILE *config = fopen(out_path("out/adapter/adapter_config.json"), "r");
    ck_assert_ptr_nonnull(config);
    text[fread(text, 1, sizeof text - 1, config)] = 0;
    fclose(config);
    ck_assert(strstr(text, "\"fan_in_fan_out\":true") && strstr(text, "transformer.h.0.mlp.c_fc"));
    ok(s24_model_open(ctx, out_path("plain"), &model));
    ok(s24_model_export(model, "format=adapter", out_path("later")));
    s24_model_destroy(model);
    ck_assert_double_eq(evaluate("later"), evaluate("out"));
}
END_TEST

/* ---- What does not ---- */

static const struct {
    const char *source, *constraints, *skip, *form, *text;
} misfits[] = {
    {"gpt2", "int4 sym g16", "", "format=pack-quantized", "stored as inputs x outputs"},
    {"granitemoe", "int4 sym g16", "", "format=pack-quantized", "one of several in a tensor"},
    {"granitemoe", "2:4+rank 4", "", "format=adapter", "one of several in a tensor"},
    {"mixtral.gguf", "int4 sym g32", "*down*,*experts.3.*", "store=q4_0",
     "holds all matrices of a tensor or none"},
};

START_TEST(misfits_are_refused)
{
    s24_model *model = open_model(misfits[_i].source);
    char first[64];
    snprintf(first, sizeof first, "%.*s", (int)strcspn(misfits[_i].skip, ","), misfits[_i].skip);
    s24_compression *c = begin(model, misfits[_i].constraints, first, misfits[_i].form);
    if (strchr(misfits[_i].skip, ','))
        ok(s24_compression_add_skip(c, strchr(misfits[_i].skip, ',') + 1));
    fails(s24_compression_run(c, out_path("out")), misfits[_i].text);
    ck_assert(access(out_path("out"), F_OK) && access(out_path("out.part"), F_OK));
    s24_compression_destroy(c);
    s24_model_destroy(model);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("folded");
    TCase *tests = tcase_create("folded");
    if (argc < 2)
        return 1;
    family_open(&list, argv[1]);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, codes_of_folded_matrices, 0, CASES);
    tcase_add_test(tests, adapters_of_transposed_matrices);
    tcase_add_loop_test(tests, misfits_are_refused, 0, sizeof misfits / sizeof *misfits);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    family_close(&list);
    return failed != 0;
}
