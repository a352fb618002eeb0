/* Tests lib/model/{random,sample,cache,generate}.c: published values of the generator, frequencies
 * of what is drawn, and rows against the forward pass over the whole row, for every tiny model. */
#include "families.h"
#include "fixture.h"
#include "generate.h"
#include "random.h"
#include "stages.h"
#include "tiny.h"
#include <sparse24/model.h>

enum { ROWS = 5, GIVEN = 3, LENGTH = 24 };

#define ok(call) ck_assert_msg((call) == S24_OK, "%s: %s", #call, s24_last_error())

/* ---- The generator ---- */

/* Of Random123's file kat_vectors, philox4x32 with 10 rounds. */
START_TEST(philox_as_published)
{
    static const struct {
        uint32_t counter[4], key[2], words[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (int i = 0; i < 3; i++) {
        uint32_t words[4];
        s24m_philox(known[i].counter, known[i].key, words);
        ck_assert_mem_eq(words, known[i].words, sizeof words);
    }
    double first = ((0x6627e8d5u >> 5) * 67108864.0 + (0xe169c58du >> 6)) / 9007199254740992.0;
    ck_assert_double_eq(s24m_uniform(0, 0, 0), first);
}
END_TEST

START_TEST(shuffles)
{
    enum { COUNT = 7, ROUNDS = 7000 };
    int64_t order[COUNT], again[COUNT], at_first[COUNT] = {0};
    for (int round = 0; round < ROUNDS; round++) {
        int64_t seen = 0;
        s24m_shuffle(9, (uint64_t)round, COUNT, order);
        for (int i = 0; i < COUNT; i++)
            seen |= (int64_t)1 << order[i];
        ck_assert_int_eq(seen, (1 << COUNT) - 1);
        at_first[order[0]]++;
    }
    for (int i = 0; i < COUNT; i++) /* 1000 expected, standard deviation 29 */
        ck_assert(at_first[i] > 880 && at_first[i] < 1120);
    s24m_shuffle(9, ROUNDS - 1, COUNT, again);
    ck_assert_mem_eq(order, again, sizeof order);
}
END_TEST

/* ---- What is drawn ---- */

enum { CHOICES = 6, DRAWS = 20000 };

/* Logits 0, 1, .. 5 in another order. */
static const float ramp[CHOICES] = {3, 0, 5, 1, 4, 2};

static void count_draws(const s24m_sampling *how, double share[CHOICES])
{
    memset(share, 0, CHOICES * sizeof *share);
    for (int64_t i = 0; i < DRAWS; i++) {
        float logits[CHOICES];
        s24m_candidate room[CHOICES];
        memcpy(logits, ramp, sizeof logits);
        int32_t token = s24m_sample(how, logits, CHOICES, (uint64_t)(i / 100), i % 100, room);
        ck_assert(token >= 0 && token < CHOICES);
        share[token] += 1.0 / DRAWS;
    }
}

static const struct {
    s24m_sampling how;
    int kept; /* of the likeliest */
} drawn[] = {
    {{1, 0, 1, 1}, CHOICES}, {{0.5, 0, 1, 2}, CHOICES}, {{2, 0, 1, 3}, CHOICES},
    {{1, 3, 1, 4}, 3},       {{1, 100, 1, 5}, CHOICES}, {{1, 0, 0.7, 6}, 2},
    {{1, 0, 0.6, 6}, 1},     {{1, 2, 0.99, 7}, 2},      {{0, 0, 1, 8}, 1},
    {{1, 1, 1, 9}, 1},       {{1, 0, 1e-9, 9}, 1},
};

START_TEST(draws_as_often_as_probable)
{
    double share[CHOICES], total = 0;
    double temperature = drawn[_i].how.temperature > 0 ? drawn[_i].how.temperature : 1;
    count_draws(&drawn[_i].how, share);
    for (int i = 0; i < CHOICES; i++)
        total += ramp[i] >= CHOICES - drawn[_i].kept ? exp(ramp[i] / temperature) : 0;
    for (int i = 0; i < CHOICES; i++) {
        double p = ramp[i] >= CHOICES - drawn[_i].kept ? exp(ramp[i] / temperature) / total : 0;
        double spread = 4.5 * sqrt(p * (1 - p) / DRAWS);
        ck_assert_msg(fabs(share[i] - p) <= spread + 1e-12, "%d, token %d: %g, expected %g", _i, i,
                      share[i], p);
    }
}
END_TEST

START_TEST(ties_and_faults)
{
    float equal[4] = {1, 2, 2, 2}, nan[2] = {0, NAN}, infinite[2] = {INFINITY, 0};
    s24m_candidate room[4];
    s24m_sampling greedy = {0, 0, 1, 0}, two = {1, 2, 1, 3}, all = {1, 0, 1, 0};
    ck_assert_int_eq(s24m_sample(&greedy, equal, 4, 0, 0, NULL), 1);
    for (int i = 0; i < 100; i++) { /* of equal logits the lower tokens are the two likeliest */
        float logits[4] = {1, 2, 2, 2};
        int32_t token = s24m_sample(&two, logits, 4, 0, i, room);
        ck_assert(token == 1 || token == 2);
    }
    ck_assert_int_eq(s24m_sample(&all, nan, 2, 0, 0, NULL), -1);
    ck_assert_int_eq(s24m_sample(&greedy, infinite, 2, 0, 0, NULL), -1);
}
END_TEST

START_TEST(repetition)
{
    int32_t ids[64];
    for (int i = 0; i < 64; i++)
        ids[i] = i;
    ck_assert_double_eq(s24m_repetition(ids, 64), 0);
    ck_assert_double_eq(s24m_repetition(ids, 4), 0);
    for (int i = 0; i < 64; i++)
        ids[i] = i % 5;
    ck_assert_double_eq(s24m_repetition(ids, 64), 56.0 / 60); /* all but the first five of 61 */
    for (int i = 0; i < 64; i++)
        ids[i] = 3;
    ck_assert_double_eq(s24m_repetition(ids, 64), 1);
}
END_TEST

/* ---- Rows ---- */

static s24_model *model;

static void prompts_of(const tiny_model *m, int32_t prompts[ROWS * GIVEN])
{
    for (int i = 0; i < ROWS * GIVEN; i++)
        prompts[i] = tiny_token(m, i / GIVEN, i % GIVEN);
}

static s24_status generate(const tiny_model *m, const char *options, int32_t ids[ROWS * LENGTH])
{
    int32_t prompts[ROWS * GIVEN];
    s24_mat given, made;
    prompts_of(m, prompts);
    ok(s24_mat_rowmajor(&given, prompts, ROWS, GIVEN, S24_I32));
    ok(s24_mat_rowmajor(&made, ids, ROWS, LENGTH, S24_I32));
    return s24_model_generate(model, &given, NULL, options, &made);
}

/* Logits of rows by the forward pass over whole rows, to be freed. */
static float *whole_logits(const char *file, const int32_t *ids, int64_t rows)
{
    s24m_model *inner = NULL;
    s24m_head head;
    ok(s24m_open(ctx, file, &inner));
    float *h = malloc((size_t)(rows * LENGTH * inner->config.hidden) * sizeof *h);
    float *logits = malloc((size_t)(rows * LENGTH * inner->config.vocab) * sizeof *logits);
    ok(s24m_embed(inner, ids, rows, LENGTH, h));
    for (int64_t i = 0; i < inner->config.layers; i++) {
        s24m_block block;
        ok(s24m_block_load(inner, i, &block));
        ok(s24m_forward_block(inner, &block, h, rows, LENGTH));
        s24m_block_free(&block);
    }
    ok(s24m_head_load(inner, &head));
    ok(s24m_logits(inner, &head, h, rows * LENGTH, logits));
    s24m_head_free(&head);
    s24m_close(inner);
    free(h);
    return logits;
}

/* Each token is the likeliest of the forward pass over the row that came out, whose tokens before
 * it are the same. */
static void are_likeliest(const char *name, const char *file, const int32_t *ids, int64_t vocab)
{
    float *logits = whole_logits(file, ids, ROWS);
    for (int64_t i = 0; i < ROWS * LENGTH; i++) {
        const float *row = logits + (i - 1) * vocab;
        int64_t best = 0;
        if (i % LENGTH < GIVEN)
            continue;
        for (int64_t v = 0; v < vocab; v++)
            best = row[v] > row[best] ? v : best;
        ck_assert_msg(row[ids[i]] >= row[best] - 1e-4f, "%s: row %d, token %d: %g, likeliest %g",
                      name, (int)(i / LENGTH), (int)(i % LENGTH), (double)row[ids[i]],
                      (double)row[best]);
    }
    free(logits);
}

START_TEST(rows_as_the_forward_pass)
{
    tiny_model m = tiny_models[_i / 2];
    int32_t ids[ROWS * LENGTH];
    m.gguf = _i % 2;
    if (m.gguf && m.dynamic) /* which GGUF files do not have */
        return;
    tiny_write(ctx, path, &m);
    ok(s24_model_open(ctx, path, &model));
    ok(generate(&m, "temperature=0", ids));
    for (int64_t i = 0; i < ROWS * LENGTH; i++)
        if (i % LENGTH < GIVEN)
            ck_assert_int_eq(ids[i], tiny_token(&m, i / LENGTH, i % LENGTH));
    are_likeliest(m.name, path, ids, m.vocab);
    s24_model_destroy(model);
}
END_TEST

static family_list list;

/* The same of every architecture: positions, slopes, caps and norms of all kinds behind a cache.
 * Recurrent layers are refused. */
START_TEST(rows_of_all_families)
{
    char folder[64];
    const char *name = family_name(&list, _i);
    int32_t ids[ROWS * LENGTH], prompts[ROWS * GIVEN];
    int64_t vocab;
    s24_mat given, made;
    family_write(ctx, &list, _i, NULL, folder);
    ok(s24_model_open(ctx, folder, &model));
    ok(s24_model_int(model, "vocab", &vocab));
    for (int i = 0; i < ROWS * GIVEN; i++)
        prompts[i] = (int32_t)((7 * i * i + 5) % (vocab ? vocab : 1)); /* images have none */
    ok(s24_mat_rowmajor(&given, prompts, ROWS, GIVEN, S24_I32));
    ok(s24_mat_rowmajor(&made, ids, ROWS, LENGTH, S24_I32));
    s24_status status = s24_model_generate(model, &given, NULL, "temperature=0", &made);
    if (status == S24_E_UNSUPPORTED)
        ck_assert_msg(
            strstr(s24_last_error(), "is an encoder") ||
                (strstr(s24_last_error(), "recurrent layers") && !strncmp(name, "qwen3.5", 7)),
            "%s: %s", name, s24_last_error());
    else {
        ck_assert_msg(status == S24_OK, "%s: %s", name, s24_last_error());
        are_likeliest(name, folder, ids, vocab);
    }
    s24_model_destroy(model);
    family_remove(folder);
}
END_TEST

static void open_llama(void)
{
    set_up();
    tiny_write(ctx, path, tiny_models);
    ok(s24_model_open(ctx, path, &model));
}

static void close_llama(void)
{
    s24_model_destroy(model);
    tear_down();
}

/* Whatever the threads; and the rows of a call are those of calls for each of them. */
START_TEST(equal_rows)
{
    int32_t ids[ROWS * LENGTH], again[ROWS * LENGTH], other[ROWS * LENGTH];
    ok(generate(tiny_models, "seed=5", ids));
    for (int threads = 1; threads <= 3; threads++) {
        ok(s24_ctx_set_int(ctx, "threads", threads));
        ok(generate(tiny_models, "seed=5", again));
        ck_assert_mem_eq(ids, again, sizeof ids);
    }
    ok(generate(tiny_models, "seed=6", other));
    ck_assert_mem_ne(ids, other, sizeof ids);
    for (int i = 0; i < ROWS * LENGTH; i++)
        ck_assert(ids[i] >= 0 && ids[i] < 96);
    for (int r = 0; r < ROWS; r++) {
        int32_t prompts[ROWS * GIVEN], row[LENGTH];
        char options[64];
        s24_mat given, made;
        prompts_of(tiny_models, prompts);
        snprintf(options, sizeof options, "seed=5,first_row=%d", r);
        ok(s24_mat_rowmajor(&given, prompts + r * GIVEN, 1, GIVEN, S24_I32));
        ok(s24_mat_rowmajor(&made, row, 1, LENGTH, S24_I32));
        ok(s24_model_generate(model, &given, NULL, options, &made));
        ck_assert_mem_eq(row, ids + r * LENGTH, sizeof row);
    }
}
END_TEST

/* Blocks that do not fit are read again, rows that do not are taken apart. */
START_TEST(under_a_limit)
{
    int32_t ids[ROWS * LENGTH], again[ROWS * LENGTH];
    char options[64];
    s24m_model *inner = NULL;
    ok(s24m_open(ctx, path, &inner));
    uint64_t least = s24m_generate_bytes(inner, ROWS, GIVEN, LENGTH);
    s24m_close(inner);
    ok(generate(tiny_models, "temperature=0", ids));
    for (uint64_t limit = least; limit < 4 * least; limit += least / 4) {
        snprintf(options, sizeof options, "temperature=0,memory_limit=%llu",
                 (unsigned long long)limit);
        ok(generate(tiny_models, options, again));
        ck_assert_mem_eq(ids, again, sizeof ids);
    }
    snprintf(options, sizeof options, "memory_limit=%llu", (unsigned long long)least - 1);
    ck_assert_int_eq(generate(tiny_models, options, again), S24_E_MEMORY);
    ck_assert_ptr_nonnull(strstr(s24_last_error(), "are needed: take shorter rows"));
}
END_TEST

START_TEST(stops)
{
    int32_t ids[ROWS * LENGTH], stopped[ROWS * LENGTH];
    char options[64];
    ok(generate(tiny_models, "seed=5", ids));
    int32_t stop = ids[GIVEN + 4], first[ROWS];
    snprintf(options, sizeof options, "seed=5,stop=[%d,95]", stop);
    ok(generate(tiny_models, options, stopped));
    for (int r = 0; r < ROWS; r++) {
        first[r] = GIVEN;
        while (first[r] < LENGTH && ids[r * LENGTH + first[r]] != stop &&
               ids[r * LENGTH + first[r]] != 95)
            first[r]++;
        for (int t = 0; t < LENGTH; t++)
            ck_assert_int_eq(stopped[r * LENGTH + t], t > first[r] ? -1 : ids[r * LENGTH + t]);
    }
    ck_assert_int_le(first[0], GIVEN + 4);
}
END_TEST

static const struct {
    const char *options, *text;
    s24_status status;
} wrong[] = {
    {"colour=1", "no option colour; there are: temperature", S24_E_OPTION},
    {"temperature", "expected NAME=VALUE", S24_E_OPTION},
    {"temperature=-1", "temperature=-1: expected a number, 0 or more", S24_E_OPTION},
    {"temperature=nan", "expected a number", S24_E_OPTION},
    {"top_p=0", "top_p=0: expected a number above 0", S24_E_OPTION},
    {"top_p=1.5", "expected a number above 0, at most 1", S24_E_OPTION},
    {"top_k=2.5", "top_k=2.5: expected a whole number", S24_E_OPTION},
    {"seed=-1", "seed=-1: expected a whole number", S24_E_OPTION},
    {"seed=5,stop=[1,x]", "expected at most 16 ids", S24_E_OPTION},
    {"memory_limit=1000", "are needed", S24_E_MEMORY},
};

START_TEST(options_are_refused)
{
    int32_t ids[ROWS * LENGTH];
    ck_assert_int_eq(generate(tiny_models, wrong[_i].options, ids), wrong[_i].status);
    ck_assert_msg(strstr(s24_last_error(), wrong[_i].text), "%s", s24_last_error());
}
END_TEST

#define fails(wanted, text, given, made)                                              \
    do {                                                                              \
        ck_assert_int_eq(s24_model_generate(model, given, NULL, NULL, made), wanted); \
        ck_assert_msg(strstr(s24_last_error(), text), "%s", s24_last_error());        \
    } while (0)

START_TEST(arguments_are_refused)
{
    int32_t prompts[ROWS * GIVEN], ids[ROWS * LENGTH];
    s24_mat given, made, bad;
    prompts_of(tiny_models, prompts);
    ok(s24_mat_rowmajor(&given, prompts, ROWS, GIVEN, S24_I32));
    ok(s24_mat_rowmajor(&made, ids, ROWS, LENGTH, S24_I32));
    fails(S24_E_ARG, "no matrix", NULL, &made);
    fails(S24_E_DTYPE, "ids must be S24_I32", &given, NULL);
    bad = made, bad.rows = 2;
    fails(S24_E_SHAPE, "as many rows", &given, &bad);
    bad = made, bad.cols = GIVEN;
    fails(S24_E_SHAPE, "and longer ones", &given, &bad);
    bad = made, bad.dtype = S24_F32;
    fails(S24_E_DTYPE, "ids must be", &given, &bad);
    prompts[4] = 96;
    fails(S24_E_ARG, "prompts: row 1, column 1 is 96", &given, &made);
    ck_assert_int_eq(s24_model_generate(NULL, &given, NULL, NULL, &made), S24_E_ARG);
}
END_TEST

START_TEST(rows_beyond_the_context)
{
    enum { LONG = 1100 };
    int32_t prompt = 1, *ids = malloc(LONG * sizeof *ids);
    s24_mat given, made;
    ok(s24_mat_rowmajor(&given, &prompt, 1, 1, S24_I32));
    ok(s24_mat_rowmajor(&made, ids, 1, LONG, S24_I32));
    fails(S24_E_SHAPE, "the model's context is 1024", &given, &made);
    free(ids);
}
END_TEST

static int32_t stop_at(void *user, const char *phase, int64_t step, int64_t total, double objective,
                       double residual)
{
    (void)objective, (void)residual;
    ck_assert_str_eq(phase, "generate");
    ck_assert(step >= 0 && step <= total);
    return (*(int *)user)-- == 0;
}

START_TEST(cancelled)
{
    int32_t ids[ROWS * LENGTH];
    int left = 7;
    ok(s24_model_set_progress(model, stop_at, &left));
    ck_assert_int_eq(generate(tiny_models, NULL, ids), S24_E_CANCELLED);
    left = 1000;
    ok(generate(tiny_models, NULL, ids));
    ck_assert_int_eq(left, 1000 - (LENGTH - GIVEN)); /* the prompts, then each token */
}
END_TEST

START_TEST(faults_are_named)
{
    tiny_model m = tiny_models[0];
    int32_t ids[ROWS * LENGTH];
    m.nan = "model.norm.weight";
    tiny_write(ctx, path, &m);
    ok(s24_model_open(ctx, path, &model));
    ck_assert_int_eq(generate(&m, NULL, ids), S24_E_NONFINITE);
    ck_assert_ptr_nonnull(strstr(s24_last_error(), "model.norm.weight: row 0, column 2 is nan"));
    s24_model_destroy(model);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    family_open(&list, argv[1]);
    Suite *suite = suite_create("generate");
    TCase *parts = tcase_create("parts"), *all = tcase_create("all models"),
          *one = tcase_create("one model");
    tcase_add_test(parts, philox_as_published);
    tcase_add_test(parts, shuffles);
    tcase_add_loop_test(parts, draws_as_often_as_probable, 0, sizeof drawn / sizeof *drawn);
    tcase_add_test(parts, ties_and_faults);
    tcase_add_test(parts, repetition);
    tcase_add_checked_fixture(all, set_up, tear_down);
    tcase_add_loop_test(all, rows_as_the_forward_pass, 0, 2 * TINY_MODELS);
    tcase_add_loop_test(all, rows_of_all_families, 0, list.count);
    tcase_add_test(all, faults_are_named);
    tcase_add_checked_fixture(one, open_llama, close_llama);
    tcase_add_test(one, equal_rows);
    tcase_add_test(one, under_a_limit);
    tcase_add_test(one, stops);
    tcase_add_loop_test(one, options_are_refused, 0, sizeof wrong / sizeof *wrong);
    tcase_add_test(one, arguments_are_refused);
    tcase_add_test(one, rows_beyond_the_context);
    tcase_add_test(one, cancelled);
    suite_add_tcase(suite, parts);
    suite_add_tcase(suite, all);
    suite_add_tcase(suite, one);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    family_close(&list);
    return failed > 0;
}
