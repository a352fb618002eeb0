/* Tests lib/model/ranks.c and what is built on it (walk_ranks.c, walk_portions.c, apart.c,
 * job_ranks.c): a model compressed by several ranks, which are threads here. */
#include "thread_group.h"
#include "tiny.h"
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROWS = 10, LENGTH = 24, MATRICES = 14, HELD = 3 };

static char folder[64];
static s24_ctx *reader;
static int32_t ids[ROWS * LENGTH];

static char *in_folder(const char *name)
{
    static _Thread_local char path[4][160];
    static _Thread_local int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
    return path[next];
}

static void ok(s24_status status)
{
    ck_assert_msg(!status, "%s", s24_last_error());
}

static void set_up(void)
{
    const tiny_model *m = tiny_models;
    strcpy(folder, "/tmp/sparse24-ranks-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ok(s24_ctx_create(&reader));
    ck_assert_int_eq(mkdir(in_folder("tiny"), 0777), 0);
    tiny_write_folder(reader, in_folder("tiny"), m);
    for (int i = 0; i < ROWS * LENGTH; i++)
        ids[i] = tiny_token(m, i / LENGTH, i % LENGTH);
}

static void tear_down(void)
{
    char command[128];
    s24_ctx_destroy(reader);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

/* ---- A job of some ranks ---- */

/* What is asked of every rank, and of rank `odd` instead. */
typedef struct job {
    const char *options, *rule, *out, *model;
    int ranks, threads, rows;
    bool lone; /* without a group at all */
    int odd;   /* the rank that does something else; -1: none */
    const char *odd_options, *odd_model, *odd_out;
    int odd_token;   /* id of its first place; -1: as the others */
    int failing;     /* its host's call that fails */
    int cancel_step; /* it is cancelled when its progress comes so far; 0: never */
} job;

static const job usual = {.options = "",
                          .rule = "",
                          .out = "out",
                          .model = "tiny",
                          .ranks = 1,
                          .threads = 1,
                          .odd = -1,
                          .odd_token = -1};

/* What came of it, of each rank. */
typedef struct outcome {
    s24_status status;
    char text[600];
    double number[MATRICES][6], before, after, size, zeros, received, counted, ranks, memory;
    char *first_record;
} outcome;

typedef struct run {
    const job *j;
    thread_rank rank;
    outcome *to;
} run;

static const char *const losses[] = {
    "relative_loss",      "target_relative_loss",      "dense_relative_loss",
    "test_relative_loss", "test_target_relative_loss", "test_dense_relative_loss"};

static void take_numbers(s24_compression *c, outcome *to)
{
    const char *text;
    double count;
    ok(s24_compression_number(c, "matrices", 0, &count));
    for (int i = 0; i < (int)count; i++)
        for (int k = 0; k < 6; k++)
            ok(s24_compression_matrix_float(c, i, losses[k], &to->number[i][k]));
    ok(s24_compression_number(c, "perplexity_before", 0, &to->before));
    ok(s24_compression_number(c, "perplexity_after", 0, &to->after));
    ok(s24_compression_number(c, "size", 0, &to->size));
    ok(s24_compression_number(c, "zeros", 0, &to->zeros));
    ok(s24_compression_number(c, "received_bytes", 0, &to->received));
    ok(s24_compression_number(c, "ranks", 0, &to->ranks));
    ok(s24_compression_number(c, "memory", 0, &to->memory));
    ok(s24_compression_matrix_str(c, 0, "json", &text));
    to->first_record = strdup(text);
}

static int32_t cancel_at(void *user, const char *phase, int64_t step, int64_t total, double a,
                         double b)
{
    const job *j = user;
    (void)total, (void)a, (void)b;
    return !strncmp(phase, "block 2", 7) && step >= j->cancel_step;
}

static s24_status set_all(s24_compression *c, const run *r, bool odd)
{
    const job *j = r->j;
    int32_t mine[ROWS * LENGTH];
    s24_mat rows, held;
    s24_status status = s24_compression_parse(c, "constraints=2:4,own=5,seed=3");
    memcpy(mine, ids, sizeof mine);
    if (odd && j->odd_token >= 0)
        mine[0] = j->odd_token;
    ok(s24_mat_rowmajor(&rows, mine, j->rows ? j->rows : ROWS, LENGTH, S24_I32));
    ok(s24_mat_rowmajor(&held, ids, HELD, LENGTH, S24_I32));
    status = status ? status : s24_compression_parse(c, j->options);
    if (!status && odd && j->odd_options)
        status = s24_compression_parse(c, j->odd_options);
    if (!status && *j->rule)
        status = s24_compression_add_rule(c, j->rule);
    status = status ? status : s24_compression_set_calibration(c, &rows, "calib");
    status = status ? status : s24_compression_add_evaluation(c, &held, "test");
    if (!status && odd && j->cancel_step)
        status = s24_compression_set_progress(c, cancel_at, (void *)(uintptr_t)j);
    return status;
}

static void *work(void *arg)
{
    run *r = arg;
    const job *j = r->j;
    bool odd = r->rank.rank == j->odd;
    s24_ctx *ctx;
    s24_model *model;
    s24_compression *c;
    s24_group group = group_table(&r->rank);
    r->rank.failing = odd ? j->failing : 0;
    ok(s24_ctx_create(&ctx));
    ok(s24_ctx_set_int(ctx, "threads", j->threads));
    ok(s24_model_open(ctx, in_folder(odd && j->odd_model ? j->odd_model : j->model), &model));
    if (!j->lone)
        ok(s24_model_set_group(model, &group));
    ok(s24_compression_create(model, &c));
    ok(set_all(c, r, odd));
    r->to->status = s24_compression_run(c, in_folder(odd && j->odd_out ? j->odd_out : j->out));
    snprintf(r->to->text, sizeof r->to->text, "%s", r->to->status ? s24_last_error() : "");
    if (!r->to->status)
        take_numbers(c, r->to);
    r->to->counted = r->rank.received;
    s24_compression_destroy(c);
    s24_model_destroy(model);
    s24_ctx_destroy(ctx);
    return NULL;
}

static void go(const job *j, outcome found[GROUP_MOST])
{
    pthread_t threads[GROUP_MOST];
    thread_group group;
    run runs[GROUP_MOST];
    memset(found, 0, GROUP_MOST * sizeof *found);
    group_open(&group, j->ranks);
    for (int i = 0; i < j->ranks; i++) {
        runs[i] = (run){j, {.group = &group, .rank = i}, found + i};
        ck_assert_int_eq(pthread_create(threads + i, NULL, work, runs + i), 0);
    }
    for (int i = 0; i < j->ranks; i++)
        pthread_join(threads[i], NULL);
    group_close(&group);
}

static void forget(outcome found[GROUP_MOST])
{
    for (int i = 0; i < GROUP_MOST; i++)
        free(found[i].first_record);
}

static void succeeds(const job *j, outcome *first)
{
    outcome found[GROUP_MOST];
    go(j, found);
    for (int i = 0; i < j->ranks; i++) {
        ck_assert_msg(!found[i].status, "rank %d: %s", i, found[i].text);
        ck_assert(!memcmp(found[i].number, found[0].number, sizeof found[i].number));
        ck_assert_double_eq(found[i].after, found[0].after);
        ck_assert_double_eq(found[i].received, found[i].counted);
    }
    if (first)
        *first = found[0];
    if (first)
        first->first_record = NULL;
    forget(found);
}

static bool same_files(const char *a, const char *b)
{
    char command[400];
    snprintf(command, sizeof command, "cmp -s %s/model.safetensors %s/model.safetensors",
             in_folder(a), in_folder(b));
    return !system(command);
}

static double weight_difference(const char *a, const char *b, double *places)
{
    s24_file *file[2];
    double difference = 0, size = 0, differ = 0, all = 0;
    ok(s24_file_open(reader, in_folder(a), file));
    ok(s24_file_open(reader, in_folder(b), file + 1));
    for (int64_t i = 0; i < s24_file_count(file[0]); i++) {
        const char *name = s24_file_name(file[0], i);
        s24_mat x, y;
        ok(s24_file_get(file[0], name, &x));
        ok(s24_file_get(file[1], name, &y));
        const float *p = x.data, *q = y.data;
        for (int64_t k = 0; k < x.rows * x.cols; k++, all++) {
            difference += (p[k] - q[k]) * (p[k] - q[k]);
            size += p[k] * p[k];
            differ += (p[k] == 0) != (q[k] == 0);
        }
    }
    s24_file_destroy(file[0]);
    s24_file_destroy(file[1]);
    *places = differ / all;
    return sqrt(difference / size);
}

/* ---- What comes out ---- */

START_TEST(a_group_of_one_is_no_group)
{
    job alone = usual, one = usual;
    outcome a, b;
    alone.lone = true;
    alone.out = "alone";
    succeeds(&alone, &a);
    succeeds(&one, &b);
    ck_assert(same_files("alone", "out"));
    ck_assert(!memcmp(a.number, b.number, sizeof a.number));
    ck_assert_double_eq(a.before, b.before);
    ck_assert_double_eq(a.after, b.after);
    ck_assert_double_eq(b.received, 0);
    ck_assert_double_eq(b.ranks, 1);
}
END_TEST

/* Behind a decision that was nearly a tie a block of so few weights is another one: what came
 * before is as it was. */
static void close_to(const outcome *a, const outcome *b)
{
    for (int i = 0; i < MATRICES; i++)
        for (int k = 0; k < 6; k++)
            ck_assert_msg(fabs(a->number[i][k] - b->number[i][k]) <= (i < 7 ? 1e-6 : 5e-3),
                          "matrix %d: %s %g %g", i, losses[k], a->number[i][k], b->number[i][k]);
    ck_assert_msg(fabs(a->before / b->before - 1) < 1e-5, "perplexity %g %g", a->before, b->before);
    ck_assert_msg(fabs(a->after / b->after - 1) < 0.05, "perplexity %g %g", a->after, b->after);
    ck_assert_double_eq(a->size, b->size);
    ck_assert_double_eq(a->zeros, b->zeros);
}

START_TEST(ranks_agree_with_one)
{
    job alone = usual, many = usual;
    outcome a, b, again;
    double places;
    alone.out = "alone";
    alone.options = many.options = "own=0";
    succeeds(&alone, &a);
    many.ranks = _i;
    succeeds(&many, &b);
    close_to(&a, &b);
    ck_assert_double_eq(b.ranks, _i);
    ck_assert(b.received > 0);
    ck_assert_double_le(weight_difference("alone", "out", &places), 0.1);
    ck_assert_double_le(places, 1e-2);
    many.threads = 2;
    many.out = "threads";
    succeeds(&many, &again);
    ck_assert(same_files("out", "threads"));
}
END_TEST

/* ---- Constraints and solvers ---- */

/* `apart`: rows of the first matrix are shared; else one rank solves it whole. */
static const struct {
    const char *options, *rule;
    bool apart;
    double near; /* of losses: 1 where damping is chosen on halves, which are others here */
} kinds[] = {
    {"constraints=2:4", "", true, 5e-3},
    {"constraints=row 50%,solver=wanda", "", true, 5e-3},
    {"constraints=2:4t,solver=sparsegpt", "", true, 5e-3},
    {"constraints=2:4,solver=prox24", "", true, 5e-3},
    {"constraints=2:4+int4 sym g32", "", true, 5e-3},
    {"constraints=int4,solver=gptq,format=pack-quantized", "", true, 5e-3},
    {"constraints=50%", "", false, 5e-3},
    {"constraints=2:4+rank 4", "", false, 5e-3},
    {"constraints=2:4", "*.down_proj=columns 64 kept", true, 5e-3},
    {"constraints=int4,options=[outliers=0.01]", "", false, 5e-3},
    {"constraints=2:4,options=[damp_rule=auto],correct=0,heldout=0", "", false, 1},
    {"constraints=2:4,activations=disk", "", true, 5e-3},
};

START_TEST(every_kind_of_constraints)
{
    job alone = usual, many = usual;
    outcome a, found[GROUP_MOST];
    alone.out = "alone";
    alone.options = many.options = kinds[_i].options;
    alone.rule = many.rule = kinds[_i].rule;
    many.ranks = 3;
    succeeds(&alone, &a);
    go(&many, found);
    for (int i = 0; i < many.ranks; i++)
        ck_assert_msg(!found[i].status, "%s: %s", kinds[_i].options, found[i].text);
    for (int i = 0; i < 7; i++)
        for (int k = 0; k < 6; k++)
            ck_assert_msg(isnan(a.number[i][k]) == isnan(found[1].number[i][k]) &&
                              !(fabs(a.number[i][k] - found[1].number[i][k]) > kinds[_i].near),
                          "%s, matrix %d: %s %g %g", kinds[_i].options, i, losses[k],
                          a.number[i][k], found[1].number[i][k]);
    ck_assert_msg((strstr(found[0].first_record, "\"ranks\":") != NULL) == kinds[_i].apart, "%s",
                  found[0].first_record);
    ck_assert_double_eq_tol(found[0].zeros, a.zeros, 0.002 * a.size);
    forget(found);
}
END_TEST

/* Codes, scales and zeros of all ranks are put together. */
START_TEST(parts_are_put_together)
{
    job many = usual;
    s24_file *parts;
    many.options = "constraints=int4 g32";
    many.ranks = 3;
    succeeds(&many, NULL);
    ok(s24_file_open(reader, in_folder("out/sparse24/parts.safetensors"), &parts));
    ck_assert_int_eq(s24_file_count(parts), 3 * MATRICES);
    for (int64_t i = 0; i < s24_file_count(parts); i++) {
        s24_mat mat;
        const char *name = s24_file_name(parts, i);
        ok(s24_file_get(parts, name, &mat));
        if (!strstr(name, ".scales"))
            continue;
        ck_assert_int_eq(mat.cols, strstr(name, "down") ? 3 : 2);
        for (int64_t k = 0; k < mat.rows * mat.cols; k++)
            ck_assert(((const float *)mat.data)[k] > 0);
    }
    s24_file_destroy(parts);
}
END_TEST

/* ---- What is sent ---- */

/* docs/distributed.md: what a rank of N is sent for a stage of n inputs and `outputs`. */
static double stage_bytes(int ranks, int sums, double n, double outputs, double width)
{
    return (ranks - 1) * (sums * (8 * n * (n + 1 + outputs) / ranks + 16 * outputs) +
                          width * n * outputs / ranks);
}

START_TEST(bytes_are_those_of_the_formula)
{
    enum { HIDDEN = 128, FFN = 256 };
    job j = usual;
    outcome found;
    tiny_model wide = tiny_models[0];
    wide.layers = 1;
    wide.hidden = HIDDEN;
    wide.ffn = FFN;
    wide.heads = wide.kv_heads = 4;
    wide.head_dim = HIDDEN / 4;
    ck_assert_int_eq(mkdir(in_folder("wide"), 0777), 0);
    tiny_write_folder(reader, in_folder("wide"), &wide);
    j.model = "wide";
    j.ranks = 4;
    j.options = _i ? "own=0,heldout=0" : "own=0";
    succeeds(&j, &found);
    int sums = _i ? 1 : 2;
    double expected =
        stage_bytes(4, sums, HIDDEN, 3 * HIDDEN, 4) + stage_bytes(4, sums, HIDDEN, HIDDEN, 4) +
        stage_bytes(4, sums, HIDDEN, 2 * FFN, 4) + stage_bytes(4, sums, FFN, HIDDEN, 4);
    ck_assert_msg(fabs(found.counted / expected - 1) < 0.02, "%g bytes, expected %g", found.counted,
                  expected);
    ck_assert_double_eq(found.received, found.counted);
}
END_TEST

/* ---- Going on ---- */

static void block_stays(int ranks, int stop)
{
    job half = usual;
    outcome found[GROUP_MOST];
    half.ranks = ranks;
    half.odd = ranks - 1;
    half.cancel_step = stop;
    go(&half, found);
    for (int i = 0; i < ranks; i++) {
        ck_assert_msg(found[i].status == S24_E_CANCELLED, "rank %d: %d %s", i, found[i].status,
                      found[i].text);
        ck_assert_str_eq(found[i].text, "interrupted: go on with --resume");
    }
    ck_assert_int_eq(access(in_folder("out.part/block-00000.safetensors"), F_OK), 0);
    ck_assert_int_ne(access(in_folder("out"), F_OK), 0);
}

START_TEST(one_rank_stops_all_and_they_go_on)
{
    job whole = usual, rest = usual;
    whole.ranks = rest.ranks = 3;
    whole.out = "whole";
    rest.options = "resume=1";
    succeeds(&whole, NULL);
    block_stays(3, 700000);
    succeeds(&rest, NULL);
    ck_assert(same_files("whole", "out"));
    ck_assert_int_ne(access(in_folder("out.part"), F_OK), 0);
}
END_TEST

START_TEST(any_number_of_ranks_goes_on)
{
    job rest = usual, again = usual;
    outcome a, b;
    rest.options = again.options = "resume=1";
    rest.ranks = _i;
    block_stays(3, 700000);
    succeeds(&rest, &a);
    again.ranks = 2;
    succeeds(&again, &b); /* complete: it is evaluated */
    ck_assert(fabs(a.after / b.after - 1) < 1e-5);
}
END_TEST

/* ---- What is refused, and what fails ---- */

static void fails(const job *j, s24_status status, const char *part)
{
    outcome found[GROUP_MOST];
    go(j, found);
    for (int i = 0; i < j->ranks; i++) {
        ck_assert_msg(found[i].status == status && strstr(found[i].text, part), "rank %d: %d %s", i,
                      found[i].status, found[i].text);
        ck_assert_str_eq(found[i].text, found[0].text);
    }
    ck_assert_int_ne(access(in_folder("out"), F_OK), 0);
    forget(found);
}

START_TEST(ranks_that_differ)
{
    job j = usual;
    j.ranks = 3;
    j.odd = 2;
    j.odd_options = "correct=0.25";
    fails(&j, S24_E_STATE,
          "rank 2 of 3: the ranks do not do the same: \"correct 0.25\" here, \"correct 0.5\" on "
          "rank 0");
    j.odd_options = "heldout=1";
    fails(&j, S24_E_STATE, "rank 2 of 3: the ranks do not do the same: \"--eval, held out 1 x");
    j.odd_options = NULL;
    j.odd_token = 1;
    fails(&j, S24_E_STATE, "rank 2 of 3: the ranks do not do the same: \"--calib 10 x 24 ");
    j.odd_token = -1;
    j.odd_out = "elsewhere";
    fails(&j, S24_E_IO, "rank 2 of 3: --out ");
    ck_assert_int_ne(access(in_folder("elsewhere.part"), F_OK), 0);
    ck_assert_int_ne(access(in_folder("out.part"), F_OK), 0);
}
END_TEST

START_TEST(another_model)
{
    job j = usual;
    tiny_model other = tiny_models[0];
    other.tied = false;
    ck_assert_int_eq(mkdir(in_folder("other"), 0777), 0);
    tiny_write_folder(reader, in_folder("other"), &other);
    j.ranks = 2;
    j.odd = 1;
    j.odd_model = "other";
    fails(&j, S24_E_STATE, "rank 1 of 2: the ranks do not do the same: \"file ");
}
END_TEST

START_TEST(what_ranks_cannot_share)
{
    job j = usual;
    j.ranks = 4;
    j.options = "own=0,refine=block";
    fails(&j, S24_E_UNSUPPORTED, "--refine: 4 ranks cannot share this: do it with one");
    j.options = "own=0";
    j.rows = 3;
    fails(&j, S24_E_SHAPE, "4 ranks, but 3 calibration rows: start at most 3 ranks");
    j.rows = 0;
    j.options = "memory_limit=100000";
    fails(&j, S24_E_MEMORY, "--memory-limit: ");
}
END_TEST

/* A host that fails in one rank ends all. */
START_TEST(a_host_that_fails)
{
    job j = usual;
    outcome found[GROUP_MOST];
    j.ranks = 3;
    j.odd = 1;
    j.failing = _i;
    go(&j, found);
    for (int i = 0; i < 3; i++)
        ck_assert_msg(found[i].status == S24_E_BACKEND, "rank %d: %d %s", i, found[i].status,
                      found[i].text);
    ck_assert_ptr_nonnull(strstr(found[1].text, "rank 1 of 3: the host's "));
    ck_assert_ptr_nonnull(strstr(found[1].text, "failed (7)"));
    forget(found);
}
END_TEST

START_TEST(tables_that_cannot_be)
{
    s24_ctx *ctx;
    s24_model *model;
    thread_group group;
    group_open(&group, 2);
    thread_rank rank = {.group = &group};
    s24_group table = group_table(&rank);
    ok(s24_ctx_create(&ctx));
    ok(s24_model_open(ctx, in_folder("tiny"), &model));
    ok(s24_model_set_group(model, &table));
    ok(s24_model_set_group(model, NULL));
    table.rank = 2;
    ck_assert_int_eq(s24_model_set_group(model, &table), S24_E_ARG);
    table.rank = 0;
    table.gather = NULL;
    ck_assert_int_eq(s24_model_set_group(model, &table), S24_E_ARG);
    ck_assert_ptr_nonnull(strstr(s24_last_error(), "gather"));
    table.size = 1; /* then nothing is called */
    ok(s24_model_set_group(model, &table));
    table.size = 0;
    ck_assert_int_eq(s24_model_set_group(model, &table), S24_E_ARG);
    ck_assert_int_eq(s24_model_set_group(NULL, NULL), S24_E_ARG);
    s24_model_destroy(model);
    s24_ctx_destroy(ctx);
    group_close(&group);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ranks");
    TCase *one = tcase_create("results");
    tcase_add_checked_fixture(one, set_up, tear_down);
    tcase_add_test(one, a_group_of_one_is_no_group);
    tcase_add_loop_test(one, ranks_agree_with_one, 2, 5);
    tcase_add_loop_test(one, every_kind_of_constraints, 0, (int)(sizeof kinds / sizeof *kinds));
    tcase_add_loop_test(one, bytes_are_those_of_the_formula, 0, 2);
    tcase_add_test(one, parts_are_put_together);
    tcase_add_test(one, one_rank_stops_all_and_they_go_on);
    tcase_add_loop_test(one, any_number_of_ranks_goes_on, 1, 3);
    tcase_add_test(one, ranks_that_differ);
    tcase_add_test(one, another_model);
    tcase_add_test(one, what_ranks_cannot_share);
    tcase_add_loop_test(one, a_host_that_fails, 2, 4);
    tcase_add_loop_test(one, a_host_that_fails, 41, 43);
    tcase_add_test(one, tables_that_cannot_be);
    suite_add_tcase(suite, one);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
