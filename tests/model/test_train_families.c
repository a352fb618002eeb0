/* Tests --refine model and tuning on tiny models of families that differ from Llama: rows kept back
 * are met better, and the written model is what was trained, which a second tuning measures. */
#include "family_outputs.h"
#include <check.h>
#include <math.h>
#include <sparse24/model.h>

enum { ROWS = 24, LENGTH = 16 };

static family_list list;
static int32_t ids[ROWS * LENGTH];
static double after; /* of what was written */

static void set_up(void)
{
    open_outputs("/tmp/sparse24-train-XXXXXX");
    uint64_t state = 1;
    for (int i = 0; i < ROWS * LENGTH; i++)
        ids[i] =
            (int32_t)((state = state * 6364136223846793005u + 1442695040888963407u) >> 33) % 48;
}

/* Gains less one, soft caps and norms behind branches; fused q, k, v and transposed tensors; fused
 * gates; parallel branches; q, k and v by head; ALiBi; wide norms; experts apart, in one tensor,
 * turned, with a switch, with sinks. */
static const char *const names[] = {"gemma2", "gpt2",    "phi3",       "pythia",  "mpt",
                                    "olmo2",  "mixtral", "granitemoe", "gpt_oss", "qwen2_moe"};

static s24_model *open_family(const char *name)
{
    s24_model *model = NULL;
    family_write(ctx, &list, family_find(&list, name), NULL, folder);
    ok(s24_model_open(ctx, folder, &model));
    return model;
}

static s24_compression *begin(s24_model *model, const char *options)
{
    s24_compression *c = NULL;
    s24_mat view;
    ok(s24_compression_create(model, &c));
    ok(s24_compression_parse(c, "constraints=2:4,solver=wanda,own=0,tune_epochs=3"));
    ok(s24_compression_parse(c, options));
    ok(s24_mat_rowmajor(&view, ids, ROWS, LENGTH, S24_I32));
    ok(s24_compression_set_calibration(c, &view, "calib"));
    return c;
}

/* The divergence of the model in `out`, by tuning it further, which needs no luck to measure. */
static double measure(s24_model *dense, const char *out)
{
    s24_model *model = NULL;
    s24_compression *c = begin(dense, "tune_epochs=1");
    double before = NAN;
    ok(s24_model_open(ctx, out, &model));
    ok(s24_compression_tune(c, model, out_path("further")));
    ok(s24_compression_number(c, "divergence_before", 0, &before));
    s24_compression_destroy(c);
    s24_model_destroy(model);
    return before;
}

START_TEST(whole_models)
{
    s24_model *model = open_family(names[_i]);
    const char *out = out_path("out");
    double before = NAN;
    s24_compression *c = begin(model, "refine=model,refine_epochs=1");
    ok(s24_compression_run(c, out));
    ok(s24_compression_number(c, "divergence_before", 0, &before));
    ok(s24_compression_number(c, "divergence_after", 0, &after));
    ck_assert_msg(after < 0.97 * before, "%s: %g, %g", names[_i], before, after);
    s24_compression_destroy(c);
    double again = measure(model, out);
    ck_assert_msg(fabs(again - after) < 1e-6 * after, "%s: %g is written, %g trained", names[_i],
                  again, after);
    s24_model_destroy(model);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    family_open(&list, argv[1]);
    Suite *suite = suite_create("train families");
    TCase *tc = tcase_create("train families");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, whole_models, 0, sizeof names / sizeof *names);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    family_close(&list);
    return failed > 0;
}
