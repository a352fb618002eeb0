/* Tests lib/model/{engine,engine_call,pack_weights}.c: models whose weights are packed against the
 * same models from their files, in every stored type. */
#include "families.h"
#include "fixture.h"
#include "tiny.h"
#include <math.h>
#include <sparse24/model.h>

enum { ROWS = 3, LENGTH = 40, LONG = 300 };

#define ok(call) ck_assert_msg((call) == S24_OK, "%s: %s", #call, s24_last_error())

static s24_model *model;
static char half_path[80];

/* ---- Models ---- */

/* The places of the two of each four columns that are kept go round. */
static void prune(float *values, int64_t size)
{
    static const int kept[6] = {3, 5, 6, 9, 10, 12};
    for (int64_t i = 0; i < size; i++)
        if (!(kept[i / 4 % 6] >> i % 4 & 1))
            values[i] = 0;
}

static bool in_block(const char *name)
{
    return strstr(name, "blk.") || strstr(name, ".layers.");
}

/* How the matrices of the blocks are written: a type, or a layout. */
typedef struct storing {
    const char *type, *layout, *grid;
    bool half;
} storing;

static void put_packed(s24_file *to, const char *name, const s24_mat *values, const storing *how)
{
    s24_packed *packed = NULL;
    s24_problem *problem = NULL;
    s24_solver *solver = NULL;
    s24_result *result = NULL;
    uint8_t *mask = malloc((size_t)(values->rows * values->cols));
    s24_mat kept;
    for (int64_t i = 0; i < values->rows * values->cols; i++)
        mask[i] = ((float *)values->data)[i] != 0;
    if (!how->grid)
        ok(s24_pack(ctx, values, NULL, how->layout, &packed));
    else {
        ok(s24_mat_rowmajor(&kept, mask, values->rows, values->cols, S24_U8));
        ok(s24_problem_create(ctx, values, &problem));
        ok(s24_problem_parse(problem, how->grid));
        ok(s24_problem_set_mask(problem, &kept));
        ok(s24_solver_create(ctx, "rtn", &solver));
        ok(s24_solver_parse(solver, "scales=f16,fit=mse"));
        ok(s24_solve(solver, problem, &result));
        ok(s24_pack_result(ctx, result, how->layout, &packed));
    }
    ok(s24_file_put_packed(to, name, packed));
    s24_packed_destroy(packed);
    s24_result_destroy(result);
    s24_solver_destroy(solver);
    s24_problem_destroy(problem);
    free(mask);
}

/* A tiny model once more, at half_path. */
static void rewrite(const tiny_model *m, const storing *how)
{
    s24_file *from = NULL, *to = NULL;
    tiny_write(ctx, path, m);
    snprintf(half_path, sizeof half_path, "%s.half", path);
    ok(s24_file_open(ctx, path, &from));
    ok(s24_file_create(ctx, half_path, m->gguf ? "gguf" : "safetensors", &to));
    ok(s24_file_copy_meta(to, from));
    for (int64_t i = 0; i < s24_file_count(from); i++) {
        const char *name = s24_file_name(from, i);
        int64_t shape[8];
        int32_t rank;
        s24_mat view;
        ok(s24_file_info(from, name, shape, &rank, NULL));
        if (rank != 2 || !in_block(name)) {
            ok(s24_file_put_stored(to, from, name));
            continue;
        }
        float *values = malloc((size_t)(shape[0] * shape[1]) * sizeof *values);
        ok(s24_mat_rowmajor(&view, values, shape[0], shape[1], S24_F32));
        ok(s24_file_read(from, name, &view));
        if (how->half)
            prune(values, shape[0] * shape[1]);
        if (how->layout)
            put_packed(to, name, &view, how);
        else
            ok(s24_file_put(to, name, &view, NULL, 2, how->type));
        free(values);
    }
    ok(s24_file_commit(to));
    s24_file_destroy(to);
    s24_file_destroy(from);
    ok(s24_model_open(ctx, half_path, &model));
}

static void close_model(void)
{
    s24_model_destroy(model);
    model = NULL;
    unlink(half_path);
}

static double loss(const tiny_model *m)
{
    int32_t ids[ROWS * LENGTH];
    s24_mat tokens;
    double nll;
    for (int i = 0; i < ROWS * LENGTH; i++)
        ids[i] = tiny_token(m, i / LENGTH, i % LENGTH);
    ok(s24_mat_rowmajor(&tokens, ids, ROWS, LENGTH, S24_I32));
    ok(s24_model_evaluate(model, &tokens, NULL, NULL, &nll));
    return nll;
}

static void generate(const tiny_model *m, int64_t given, int64_t length, int32_t *ids)
{
    int32_t *prompts = malloc((size_t)(ROWS * given) * sizeof *prompts);
    s24_mat in, out;
    for (int i = 0; i < ROWS * given; i++)
        prompts[i] = tiny_token(m, i / given, i % given);
    ok(s24_mat_rowmajor(&in, prompts, ROWS, given, S24_I32));
    ok(s24_mat_rowmajor(&out, ids, ROWS, length, S24_I32));
    ok(s24_model_generate(model, &in, NULL, "temperature=0", &out));
    free(prompts);
}

/* ---- As stored ---- */

static const struct {
    bool gguf;
    storing how;
    const char *layout; /* of blocks */
    double apart;       /* how far the loss may be from that of the file's weights */
} stored[] = {
    {false, {"F32", NULL, NULL, true}, "ri16x32", 1e-5},
    {false, {"F32", NULL, NULL, false}, "ri16", 1e-5},
    {false, {"BF16", NULL, NULL, true}, "ri16x32", 1e-5},
    {false, {"F16", NULL, NULL, true}, "ri16x32-f16", 1e-5},
    {false, {"F16", NULL, NULL, false}, "ri16", 1e-5},
    {true, {"F16", NULL, NULL, true}, "ri16x32-f16", 1e-5},
    {true, {"Q8_0", NULL, NULL, true}, "ri16x32-int8", 0.01},
    {true, {"Q8_0", NULL, NULL, false}, "ri16-int8", 0.05},
    {true, {"Q4_0", NULL, NULL, true}, "ri16x32-int4", 0.01},
    {true, {"Q4_0", NULL, NULL, false}, "ri16-int4", 0.01},
    {true, {"Q4_1", NULL, NULL, false}, "ri16", 0.001},
    {false, {NULL, "pack-quantized", "int4 sym g32", true}, "ri16x32-int4", 0.01},
    {false, {NULL, "pack-quantized", "int4 g32", true}, "ri16x32-int4-zeros", 0.01},
    {false, {NULL, "pack-quantized", "int8 sym g32", false}, "ri16-int8", 0.05},
    {false, {NULL, "ri16x32-int4", "int4 sym g64", true}, "ri16x32-int4", 0.01},
    {false, {NULL, "ri16x32", NULL, true}, "ri16x32", 1e-5},
    {false, {NULL, "nibble", NULL, true}, "ri16x32", 1e-5},
};

START_TEST(losses_as_from_files)
{
    tiny_model m = tiny_models[0];
    const char *layout, *kernel, *isa;
    int64_t matrices, bytes, sum = 0, packed = 0, token = 0;
    m.gguf = stored[_i].gguf;
    rewrite(&m, &stored[_i].how);
    double before = loss(&m);
    ok(s24_model_pack(model, NULL));
    ck_assert_double_eq_tol(loss(&m), before, stored[_i].apart);
    ok(s24_model_int(model, "matrices", &matrices));
    for (int64_t i = 0; i <= matrices; i++) {
        ok(s24_model_packed(model, i, &layout, &kernel, &isa, &bytes));
        ck_assert_msg(i == matrices || !strcmp(layout, stored[_i].layout), "%d: %s, expected %s",
                      _i, layout, stored[_i].layout);
        ck_assert(*kernel && *isa && bytes > 0);
        sum += bytes;
    }
    ok(s24_model_int(model, "packed_bytes", &packed));
    ok(s24_model_int(model, "token_bytes", &token));
    ck_assert_int_eq(packed, sum);
    ck_assert_int_eq(token, sum);
    close_model();
}
END_TEST

/* The rows of embedding and head that the file has as codes. */
START_TEST(tables_of_codes)
{
    static const char *const types[] = {"Q8_0", "Q4_0", "Q4_1", "F16"};
    static const char *const layouts[] = {"ri16-int8", "ri16-int4", "ri16", "ri16"};
    tiny_model m = tiny_models[_i & 1 ? 1 : 0]; /* tied, or not */
    const char *layout;
    int64_t matrices;
    m.gguf = true;
    m.attention_bias = m.mlp_bias = false;
    m.type = types[_i / 2];
    tiny_write(ctx, path, &m);
    ok(s24_model_open(ctx, path, &model));
    double before = loss(&m);
    ok(s24_model_pack(model, ""));
    ck_assert_double_eq_tol(loss(&m), before, 0.05);
    ok(s24_model_int(model, "matrices", &matrices));
    ok(s24_model_packed(model, matrices, &layout, NULL, NULL, NULL));
    ck_assert_msg(!strncmp(layout, layouts[_i / 2], 4), "%s", layout);
    ck_assert_str_eq(layout, layouts[_i / 2]);
    close_model();
}
END_TEST

/* ---- In a type that is asked for ---- */

static const struct {
    const char *options, *half, *dense;
    double apart;
} asked[] = {
    {"weights=f32", "ri16x32", "ri16", 1e-5},
    {"weights=bf16", "ri16x32", "ri16", 0.01},
    {"weights=f16", "ri16x32-f16", "ri16", 0.001},
    {"weights=int8", "ri16x32-int8", "ri16-int8", 0.05},
    {"weights=int4,head=int4,tokens=8", "ri16x32-int4", "ri16-int4", 0.5},
};

START_TEST(types_that_are_asked_for)
{
    tiny_model m = tiny_models[0];
    bool half = _i % 2;
    const char *layout;
    rewrite(&m, &(storing){"F32", NULL, NULL, half});
    double before = loss(&m);
    ok(s24_model_pack(model, asked[_i / 2].options));
    ck_assert_double_eq_tol(loss(&m), before, asked[_i / 2].apart);
    ok(s24_model_packed(model, 0, &layout, NULL, NULL, NULL));
    ck_assert_str_eq(layout, half ? asked[_i / 2].half : asked[_i / 2].dense);
    close_model();
}
END_TEST

/* ---- Rows ---- */

/* A prompt longer than a panel, whose tokens see those of the panels before. */
START_TEST(panels_as_whole_prompts)
{
    static int32_t whole[ROWS * (LONG + 8)], packed[ROWS * (LONG + 8)];
    tiny_model m = tiny_models[_i]; /* windows, scaled angles, norms of heads among them */
    if (m.dynamic || m.longrope)    /* a context of 8 */
        return;
    rewrite(&m, &(storing){"F32", NULL, NULL, true});
    generate(&m, LONG, LONG + 8, whole);
    ok(s24_model_pack(model, NULL));
    generate(&m, LONG, LONG + 8, packed);
    ck_assert_mem_eq(whole, packed, sizeof whole);
    close_model();
}
END_TEST

START_TEST(equal_for_any_threads)
{
    static int32_t ids[ROWS * LENGTH], again[ROWS * LENGTH];
    tiny_model m = tiny_models[0];
    double seconds = -1, tokens = 0, nll = 0;
    rewrite(&m, &(storing){"F32", NULL, NULL, true});
    for (int threads = 1; threads <= 3; threads++) {
        ok(s24_ctx_set_int(ctx, "threads", threads));
        ok(s24_model_pack(model, "weights=int8"));
        generate(&m, 3, LENGTH, threads > 1 ? again : ids);
        double now = loss(&m);
        ck_assert(threads == 1 || (!memcmp(ids, again, sizeof ids) && now == nll));
        nll = now;
    }
    ok(s24_model_float(model, "decode_tokens", &tokens));
    ck_assert_double_eq(tokens, ROWS * (LENGTH - 4));
    ok(s24_model_float(model, "prompt_tokens", &tokens));
    ck_assert_double_eq(tokens, ROWS * 3);
    ok(s24_model_float(model, "decode_seconds", &seconds));
    ck_assert(seconds > 0);
    close_model();
}
END_TEST

static family_list list;

/* Experts, fused and transposed tensors, norms and biases of all kinds. */
START_TEST(all_families)
{
    enum { GIVEN = 5 };
    char folder[64];
    family_write(ctx, &list, _i, NULL, folder);
    ok(s24_model_open(ctx, folder, &model));
    int64_t vocab;
    int32_t ids[ROWS * GIVEN];
    double before, after;
    s24_mat tokens;
    ok(s24_model_int(model, "vocab", &vocab));
    s24_status status = s24_model_pack(model, "weights=f32");
    for (int i = 0; i < ROWS * GIVEN; i++)
        ids[i] = (int32_t)((7 * i * i + 5) % (vocab ? vocab : 1));
    ok(s24_mat_rowmajor(&tokens, ids, ROWS, GIVEN, S24_I32));
    if (status == S24_E_UNSUPPORTED)
        ck_assert_ptr_nonnull(strstr(s24_last_error(), "is an encoder"));
    else {
        ck_assert_msg(status == S24_OK, "%s: %s", family_name(&list, _i), s24_last_error());
        ok(s24_model_evaluate(model, &tokens, NULL, NULL, &after));
        s24_model_destroy(model);
        ok(s24_model_open(ctx, folder, &model));
        ok(s24_model_evaluate(model, &tokens, NULL, NULL, &before));
        ck_assert_msg(fabs(after - before) < 1e-4, "%s: %g, %g from the file",
                      family_name(&list, _i), after, before);
    }
    s24_model_destroy(model);
    family_remove(folder);
}
END_TEST

/* ---- What is refused ---- */

static const struct {
    const char *options, *text;
} wrong[] = {
    {"weights=int5", "weights=int5: expected stored, f32, bf16, f16, int8 or int4"},
    {"tokens=0", "tokens=0: expected 1 .. 65536"},
    {"tokens=many", "tokens=many: expected 1 .. 65536"},
    {"head=q4_0", "head=q4_0: expected stored"},
    {"type=f32", "no option type; there are: weights, head, tokens"},
    {"f32", "f32: expected NAME=VALUE"},
};

START_TEST(refusals)
{
    tiny_model m = tiny_models[0];
    const char *layout;
    double value;
    rewrite(&m, &(storing){"F32", NULL, NULL, true});
    ck_assert_int_eq(s24_model_packed(model, 0, &layout, NULL, NULL, NULL), S24_E_STATE);
    ck_assert_ptr_nonnull(strstr(s24_last_error(), "call s24_model_pack() first"));
    ck_assert_int_eq(s24_model_float(model, "decode_seconds", &value), S24_E_STATE);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_int_eq(s24_model_pack(model, wrong[i].options), S24_E_OPTION);
        ck_assert_msg(strstr(s24_last_error(), wrong[i].text), "%s", s24_last_error());
    }
    ok(s24_model_pack(model, NULL));
    ck_assert_int_eq(s24_model_packed(model, -1, NULL, NULL, NULL, NULL), S24_E_ARG);
    ck_assert_int_eq(s24_model_packed(model, 15, NULL, NULL, NULL, NULL), S24_E_ARG);
    ck_assert_ptr_nonnull(strstr(s24_last_error(), "they are 0 .. 13, and the output head is 14"));
    close_model();
}
END_TEST

START_TEST(weights_that_are_not_finite)
{
    static const char *const names[] = {"model.layers.1.mlp.up_proj.weight",
                                        "model.embed_tokens.weight"};
    tiny_model m = tiny_models[0];
    m.nan = names[_i];
    tiny_write(ctx, path, &m);
    ok(s24_model_open(ctx, path, &model));
    ck_assert_int_eq(s24_model_pack(model, NULL), S24_E_NONFINITE);
    ck_assert_msg(strstr(s24_last_error(), names[_i]), "%s", s24_last_error());
    s24_model_destroy(model);
}
END_TEST

static int32_t stop(void *user, const char *phase, int64_t step, int64_t total, double objective,
                    double residual)
{
    (void)step, (void)total, (void)objective, (void)residual;
    *(int *)user += !strcmp(phase, "pack");
    return S24_E_USER;
}

START_TEST(stopped)
{
    tiny_model m = tiny_models[0];
    int calls = 0;
    const char *layout;
    rewrite(&m, &(storing){"F32", NULL, NULL, true});
    ok(s24_model_set_progress(model, stop, &calls));
    ck_assert_int_eq(s24_model_pack(model, NULL), S24_E_CANCELLED);
    ck_assert_int_eq(calls, 1);
    ck_assert_int_eq(s24_model_packed(model, 0, &layout, NULL, NULL, NULL), S24_E_STATE);
    close_model();
}
END_TEST

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    family_open(&list, argv[1]);
    Suite *suite = suite_create("engine");
    TCase *tc = tcase_create("engine");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, losses_as_from_files, 0, sizeof stored / sizeof *stored);
    tcase_add_loop_test(tc, tables_of_codes, 0, 8);
    tcase_add_loop_test(tc, types_that_are_asked_for, 0, 2 * sizeof asked / sizeof *asked);
    tcase_add_loop_test(tc, panels_as_whole_prompts, 0, TINY_MODELS);
    tcase_add_test(tc, equal_for_any_threads);
    tcase_add_loop_test(tc, all_families, 0, list.count);
    tcase_add_test(tc, refusals);
    tcase_add_loop_test(tc, weights_that_are_not_finite, 0, 2);
    tcase_add_test(tc, stopped);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    family_close(&list);
    return failed > 0;
}
