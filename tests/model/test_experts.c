/* Compression of what is no plain Llama: experts by their own tokens, slices of tensors, transposed
 * tensors, branches side by side, norms behind the matrices. */
#include "family_outputs.h"
#include "model.h"
#include "thread_group.h"
#include <check.h>
#include <sparse24/model.h>
#include <sys/stat.h>

enum { ROWS = 3, LENGTH = 24, EXPERTS = 8, USED = 2 };

static family_list list;
static int32_t ids[ROWS * LENGTH];

static void set_up(void)
{
    open_outputs("/tmp/sparse24-experts-XXXXXX");
    for (int i = 0; i < ROWS * LENGTH; i++)
        ids[i] = (i * i + 7 * i / LENGTH + 3 * i) % 48;
}

static s24_model *open_model(const char *name, const family_change *change)
{
    s24_model *model = NULL;
    family_write(ctx, &list, family_find(&list, name), change, folder);
    ok(s24_model_open(ctx, folder, &model));
    return model;
}

static s24_compression *begin(s24_model *model, const char *options)
{
    s24_compression *c = NULL;
    s24_mat rows;
    ok(s24_mat_rowmajor(&rows, ids, ROWS, LENGTH, S24_I32));
    ok(s24_compression_create(model, &c));
    ok(s24_compression_parse(c, "constraints=2:4,solver=sparsegpt,heldout=1,own=0"));
    ok(s24_compression_parse(c, options));
    ok(s24_compression_set_calibration(c, &rows, "calib"));
    ok(s24_compression_add_evaluation(c, &rows, "test"));
    return c;
}

static double number(const s24_compression *c, const char *name)
{
    double value = NAN;
    ok(s24_compression_number(c, name, 0, &value));
    return value;
}

/* ---- Experts ---- */

/* Tokens of experts of one kind of matrix in a layer; how many matrices saw none, and say so. */
static double count_tokens(const s24_compression *c, const char *kind, double layer, int *empty)
{
    double sum = 0;
    *empty = 0;
    for (int32_t i = 0; i < (int32_t)number(c, "matrices"); i++) {
        const char *matrix, *tensor, *warning = NULL;
        double tokens, of;
        ok(s24_compression_matrix_str(c, i, "matrix", &matrix));
        ok(s24_compression_matrix_str(c, i, "tensor", &tensor));
        ok(s24_compression_matrix_float(c, i, "tokens", &tokens));
        ok(s24_compression_matrix_float(c, i, "layer", &of));
        if (strcmp(matrix, kind) || of != layer || isnan(tokens))
            continue;
        sum += tokens;
        if (tokens > 0)
            continue;
        ok(s24_compression_matrix_str(c, i, "warning", &warning));
        ck_assert_msg(warning && strstr(warning, "no token came to this expert"), "%s", tensor);
        (*empty)++;
    }
    return sum;
}

/* Every expert is compressed, and one that nobody chooses is named. */
START_TEST(every_expert)
{
    const family_change never = {"model.layers.1.mlp.gate.e_score_correction_bias", 5, -100};
    static const char *const kinds[] = {"gate_proj", "up_proj", "down_proj"};
    s24_model *model = open_model("dots1", _i ? &never : NULL);
    s24_compression *c = begin(model, _i == 2 ? "activations=half" : "");
    int empty;
    ok(s24_compression_run(c, out_path("out")));
    ck_assert_double_eq(number(c, "matrices"), 7 + 4 + 3 * EXPERTS + 3);
    ck_assert_double_eq(number(c, "zeros"), number(c, "size") / 2);
    ck_assert(number(c, "perplexity_after") < 1.5 * number(c, "perplexity_before"));
    for (int k = 0; k < 3; k++) {
        ck_assert_double_eq(count_tokens(c, kinds[k], 1, &empty), ROWS * LENGTH * USED);
        ck_assert_int_ge(empty, _i > 0);
    }
    ck_assert_double_eq(count_tokens(c, kinds[0], 0, &empty), 0);
    s24_compression_destroy(c);
    s24_model_destroy(model);
}
END_TEST

/* Blocks of two kinds, dense and with experts: both are measured. */
START_TEST(estimates)
{
    s24_model *model = open_model("dots1", NULL);
    s24_compression *c = begin(model, "");
    ok(s24_compression_estimate(c, NULL));
    ck_assert_double_eq(number(c, "matrices"), 7 + 4 + 3 * EXPERTS + 3);
    ck_assert(number(c, "expected_solve_seconds") > 0 &&
              number(c, "expected_seconds") > number(c, "expected_solve_seconds"));
    for (int32_t i = 0; i < (int32_t)number(c, "matrices"); i++) {
        double seconds;
        ok(s24_compression_matrix_float(c, i, "seconds", &seconds));
        ck_assert(seconds > 0);
    }
    s24_compression_destroy(c);
    s24_model_destroy(model);
}
END_TEST

/* ---- How matrices lie ---- */

/* Of four neighbours along the inputs at most two are there, `step` apart. */
static void check_groups(const float *values, int64_t count, int64_t step)
{
    for (int64_t i = 0; i < count; i += 4 * step)
        for (int64_t j = 0; j < step; j++) {
            int kept = 0;
            for (int64_t k = 0; k < 4; k++)
                kept += values[i + k * step + j] != 0;
            ck_assert_int_le(kept, 2);
        }
}

/* Written with the shape and the order of the source. */
START_TEST(slices_and_transposed)
{
    static const struct {
        const char *model, *tensor;
        int64_t shape[3];
        int32_t rank;
        bool transposed;
    } cases[] = {
        {"gpt_oss", "model.layers.1.mlp.experts.gate_up_proj", {8, 32, 32}, 3, true},
        {"gpt_oss", "model.layers.0.mlp.experts.down_proj", {8, 16, 32}, 3, true},
        {"granitemoe",
         "model.layers.0.block_sparse_moe.input_linear.weight",
         {8, 32, 32},
         3,
         false},
        {"gpt2", "transformer.h.1.mlp.c_fc.weight", {32, 48}, 2, true},
        {"phi3", "model.layers.0.self_attn.qkv_proj.weight", {64, 32}, 2, false},
    };
    s24_model *model = open_model(cases[_i].model, NULL);
    s24_compression *c = begin(model, "");
    s24_file *file;
    s24_mat view;
    int64_t shape[8];
    int32_t rank;
    ok(s24_compression_run(c, out_path("out")));
    ok(s24_file_open(ctx, out_path("out"), &file));
    ok(s24_file_info(file, cases[_i].tensor, shape, &rank, NULL));
    ck_assert_int_eq(rank, cases[_i].rank);
    ck_assert_mem_eq(shape, cases[_i].shape, (size_t)rank * sizeof *shape);
    ok(s24_file_get(file, cases[_i].tensor, &view));
    check_groups(view.data, view.rows * view.cols, cases[_i].transposed ? view.cols : 1);
    s24_file_destroy(file);
    s24_compression_destroy(c);
    s24_model_destroy(model);
}
END_TEST

/* ---- Any way of running gives the same bits ---- */

static const char *const kinds_of_blocks[] = {"pythia",  "gemma2",  "granite", "qwen2_moe",
                                              "gpt_oss", "qwen3.5", "cohere"};
enum { KINDS = sizeof kinds_of_blocks / sizeof *kinds_of_blocks };

static void run_into(s24_model *model, const char *name)
{
    s24_compression *c = begin(model, "");
    ok(s24_compression_run(c, out_path(name)));
    s24_compression_destroy(c);
}

static void same_weights(const char *a, const char *b)
{
    char command[300];
    snprintf(command, sizeof command, "cmp %s/%s/model.safetensors %s/%s/model.safetensors",
             outputs, a, outputs, b);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(equal_bits_for_any_number_of_threads)
{
    s24_model *model = open_model(kinds_of_blocks[_i], NULL);
    ok(s24_ctx_set_int(ctx, "threads", 1));
    run_into(model, "one");
    ok(s24_ctx_set_int(ctx, "threads", 3));
    run_into(model, "three");
    same_weights("one", "three");
    s24_model_destroy(model);
}
END_TEST

/* ---- Experts of several ranks ---- */

enum { RANKS = 2, EXPERTS_MATRICES = 7 + 4 + 3 * EXPERTS + 3 };

typedef struct rank_run {
    thread_rank rank;
    bool alone;
    double losses[EXPERTS_MATRICES], tokens[EXPERTS_MATRICES];
} rank_run;

static void *run_rank(void *arg)
{
    rank_run *r = arg;
    s24_ctx *own;
    s24_model *model;
    s24_group group = group_table(&r->rank);
    ok(s24_ctx_create(&own));
    ok(s24_ctx_set_int(own, "threads", 1));
    ok(s24_model_open(own, folder, &model));
    if (!r->alone)
        ok(s24_model_set_group(model, &group));
    s24_compression *c = begin(model, "");
    ok(s24_compression_run(c, r->alone ? out_path("alone") : out_path("ranks")));
    for (int32_t i = 0; i < EXPERTS_MATRICES; i++) {
        ok(s24_compression_matrix_float(c, i, "relative_loss", r->losses + i));
        ok(s24_compression_matrix_float(c, i, "tokens", r->tokens + i));
    }
    s24_compression_destroy(c);
    s24_model_destroy(model);
    s24_ctx_destroy(own);
    return NULL;
}

/* An expert's tokens are those of all ranks, also of one that nobody chooses. */
START_TEST(ranks_share_experts)
{
    const family_change never = {"model.layers.1.mlp.gate.e_score_correction_bias", 5, -100};
    pthread_t threads[RANKS];
    thread_group group;
    rank_run alone = {.alone = true}, runs[RANKS];
    s24_model_destroy(open_model("dots1", &never));
    group_open(&group, RANKS);
    alone.rank.group = &group;
    run_rank(&alone);
    for (int i = 0; i < RANKS; i++) {
        runs[i] = (rank_run){.rank = {.group = &group, .rank = i}};
        ck_assert_int_eq(pthread_create(threads + i, NULL, run_rank, runs + i), 0);
    }
    for (int i = 0; i < RANKS; i++)
        pthread_join(threads[i], NULL);
    group_close(&group);
    for (int i = 0; i < EXPERTS_MATRICES; i++) {
        ck_assert_msg(fabs(runs[1].losses[i] - alone.losses[i]) < 2e-3, "matrix %d: %g %g", i,
                      runs[1].losses[i], alone.losses[i]);
        ck_assert(runs[0].losses[i] == runs[1].losses[i]);
        ck_assert(runs[1].tokens[i] == alone.tokens[i] ||
                  (isnan(runs[1].tokens[i]) && isnan(alone.tokens[i])));
    }
}
END_TEST

/* Stops at a share of the way. */
static int32_t stop_late(void *user, const char *phase, int64_t step, int64_t total,
                         double objective, double residual)
{
    (void)phase, (void)objective, (void)residual;
    return (double)step > *(const double *)user * (double)total;
}

START_TEST(resumes)
{
    double most = 0.7;
    s24_model *model = open_model(kinds_of_blocks[_i], NULL);
    s24_compression *c = begin(model, "");
    run_into(model, "whole");
    ok(s24_compression_set_progress(c, stop_late, &most));
    ck_assert_int_eq(s24_compression_run(c, out_path("parts")), S24_E_CANCELLED);
    most = 2;
    ok(s24_compression_set_int(c, "resume", 1));
    ok(s24_compression_run(c, out_path("parts")));
    same_weights("whole", "parts");
    s24_compression_destroy(c);
    s24_model_destroy(model);
}
END_TEST

/* ---- What is aimed at ---- */

/* Logits of the calibration's rows. */
static float *logits_of(const char *path)
{
    s24m_model *m = NULL;
    s24m_head head;
    ok(s24m_open(ctx, path, &m));
    float *h = malloc((size_t)(ROWS * LENGTH * m->config.hidden) * sizeof *h);
    float *logits = malloc((size_t)(ROWS * LENGTH * m->config.vocab) * sizeof *logits);
    ok(s24m_embed(m, ids, ROWS, LENGTH, h));
    for (int64_t i = 0; i < m->config.layers; i++) {
        s24m_block block;
        ok(s24m_block_load(m, i, &block));
        ok(s24m_forward_block(m, &block, h, ROWS, LENGTH));
        s24m_block_free(&block);
    }
    ok(s24m_head_load(m, &head));
    ok(s24m_logits(m, &head, h, ROWS * LENGTH, logits));
    s24m_head_free(&head);
    s24m_close(m);
    free(h);
    return logits;
}

static double apart(const char *a, const char *b)
{
    float *x = logits_of(a), *y = logits_of(b);
    double sum = 0;
    for (int i = 0; i < ROWS * LENGTH * 48; i++)
        sum += ((double)x[i] - y[i]) * ((double)x[i] - y[i]);
    free(x);
    free(y);
    return sum;
}

/* Whatever stands between a matrix and the residual stream: correction takes the model nearer to
 * the dense one on the calibration's rows. */
START_TEST(correction_helps)
{
    double error[2];
    s24_model *model = open_model(kinds_of_blocks[_i], NULL);
    for (int corrects = 0; corrects < 2; corrects++) {
        const char *name = corrects ? "with" : "without";
        s24_compression *c = begin(model, corrects ? "correct=0.5" : "correct=0");
        ok(s24_compression_run(c, out_path(name)));
        s24_compression_destroy(c);
        error[corrects] = apart(folder, out_path(name));
    }
    ck_assert_msg(error[1] < error[0], "%s: %g, without correction %g", kinds_of_blocks[_i],
                  error[1], error[0]);
    s24_model_destroy(model);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("experts");
    TCase *tests = tcase_create("experts");
    if (argc < 2)
        return 1;
    family_open(&list, argv[1]);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, every_expert, 0, 3);
    tcase_add_test(tests, estimates);
    tcase_add_loop_test(tests, slices_and_transposed, 0, 5);
    tcase_add_loop_test(tests, equal_bits_for_any_number_of_threads, 0, KINDS);
    tcase_add_test(tests, ranks_share_experts);
    tcase_add_loop_test(tests, resumes, 0, KINDS);
    tcase_add_loop_test(tests, correction_helps, 0, KINDS);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    family_close(&list);
    return failed != 0;
}
