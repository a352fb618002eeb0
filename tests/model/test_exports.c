/* Tests lib/model/export.c, and what can stop the writing of a form: cancel, a full disk, no
 * memory. */
#include "outputs.h"

static const struct {
    const char *source, *constraints, *form, *model, *made; /* made: the file that is exported */
} exports[] = {
    {"tiny-F32.gguf", "2:4+int4 sym g32", "store=q4_0", "/tiny-Q4_0.gguf", ""},
    {"tiny-F32.gguf", "int4 real g32", "store=q4_1", "/tiny-Q4_1.gguf", "/tiny-F32.gguf"},
    {"tiny", "2:4+int4 sym g32", "format=pack-quantized", "", ""},
    {"tiny", "2:4+int4 sym g32", "format=pack-quantized-all", "", ""},
    {"tiny", "2:4+int4 sym g32", "format=gptq", "", ""},
    {"tiny", "int4 g32", "format=gptq-v2", "", ""},
    {"tiny", "2:4+int4 sym g32", "format=s24", "/model.s24", ""},
    {"tiny", "2:4", "format=sparse-24-bitmask", "", ""},
    {"tiny", "2:4", "format=s24", "/model.s24", ""},
    {"tiny", "2:4+rank 4", "format=adapter", "", ""},
    {"tiny", "2:4+rank 4", "format=dense", "", ""},
};

START_TEST(exports_are_what_compress_writes)
{
    char a[64], b[64], made[64];
    bool grid = strstr(exports[_i].constraints, "int") != NULL;
    run(exports[_i].source, exports[_i].constraints, grid ? "options=[scales=f16]" : "", "plain");
    run(exports[_i].source, exports[_i].constraints, exports[_i].form, "direct");
    snprintf(made, sizeof made, "plain%s", exports[_i].made);
    ok(export(made, exports[_i].form, "later"));
    ck_assert(!exists("later.part"));
    snprintf(a, sizeof a, "direct%s", exports[_i].model);
    snprintf(b, sizeof b, "later%s", exports[_i].model);
    same_tensors(a, b);
    if (strstr(exports[_i].form, "adapter"))
        same_tensors("direct/adapter/adapter_model.safetensors",
                     "later/adapter/adapter_model.safetensors");
    if (!strcmp(exports[_i].model, "")) {
        char command[500];
        snprintf(command, sizeof command, "cmp %s %s", in_folder("direct/config.json"),
                 in_folder("later/config.json"));
        ck_assert_int_eq(system(command), 0);
    }
}
END_TEST

/* The card says what it is, and leaves the one that compress wrote beside it. */
START_TEST(exports_have_a_card)
{
    static char text[4096];
    static const struct {
        const char *source, *constraints, *form, *words[3];
        bool old; /* a folder carries the card of its source over */
    } cards[] = {
        {"tiny",
         "int4 sym g32",
         "format=pack-quantized-all",
         {"# `plain`, in another form", "`sparse24 export --format pack-quantized-all`",
          "Embedding and head are integers of 8 bits, norms are as they were."},
         true},
        {"tiny-F32.gguf",
         "2:4+int4 sym g32",
         "store=q4_0",
         {"| 2:4+int4 sym g32 | quantease | 14 | 5", "Embeddings, norms and head are as they were.",
          "| MiB of weights |"},
         false},
        {"tiny",
         "2:4",
         "format=s24",
         {"`sparse24 export --format s24`", "| 2:4 | alps | 14 | 50.00 % |", "## Licence"},
         false},
    };
    run(cards[_i].source, cards[_i].constraints,
        strstr(cards[_i].constraints, "int") ? "options=[scales=f16]" : "", "plain");
    ok(export("plain", cards[_i].form, "later"));
    FILE *card = fopen(in_folder("later/README.md"), "r");
    ck_assert_ptr_nonnull(card);
    text[fread(text, 1, sizeof text - 1, card)] = 0;
    fclose(card);
    for (int i = 0; i < 3; i++)
        ck_assert_msg(strstr(text, cards[_i].words[i]), "no %s in %s", cards[_i].words[i], text);
    ck_assert(!strstr(text, "Calibration") && !strstr(text, "nan"));
    ck_assert(exists("later/README.source.md") == cards[_i].old);
}
END_TEST

/* A model of another program: matrices that obey 2:4 are found. */
START_TEST(foreign_models_are_looked_at)
{
    char command[500];
    run("tiny", "2:4", "", "made");
    snprintf(command, sizeof command, "cd %s && mkdir other && cp made/*.json other", folder);
    ck_assert_int_eq(system(command), 0);
    s24_file *file = opened("made"), *bare;
    ok(s24_file_create(ctx, in_folder("other/model.safetensors"), "safetensors", &bare));
    for (int64_t i = 0; i < s24_file_count(file); i++)
        ok(s24_file_put_stored(bare, file, s24_file_name(file, i)));
    ok(s24_file_commit(bare));
    s24_file_destroy(bare);
    s24_file_destroy(file);
    ok(export("other", "format=s24", "a"));
    ok(export("made", "format=s24", "b"));
    same_tensors("a/model.s24", "b/model.s24");
    fails(export("tiny", "format=s24", "c"), S24_E_UNSUPPORTED, "none of its matrices obeys 2:4");
}
END_TEST

START_TEST(exports_are_refused)
{
    run("tiny", "2:4+int4 sym g32", "", "f32"); /* scales of 32 bits */
    run("tiny-F32.gguf", "int8 sym g32", "options=[scales=f16]", "int8");
    run("tiny-F32.gguf", "int4 sym g32", "store=q4_0", "q4");
    fails(export("f32", "format=gptq", "no"), S24_E_DTYPE, "f16 scales");
    fails(export("int8", "store=q4_0", "no"), S24_E_UNSUPPORTED, "ask for \"int4 sym g32\"");
    fails(export("int8", "store=f16", "no"), S24_E_OPTION, "expected q4_0, q4_1 or q8_0");
    fails(export("int8", "", "no"), S24_E_OPTION, "expected --format");
    fails(export("int8", "format=zip", "no"), S24_E_OPTION, "--format zip");
    fails(export("int8", "colour=red", "no"), S24_E_OPTION, "expected format=FORMAT");
    fails(export("int8", "format=adapter", "no"), S24_E_UNSUPPORTED, "no Hugging Face folder");
    fails(export("q4", "format=dense", "no"), S24_E_UNSUPPORTED, "stored as Q4_0 already");
    fails(export("f32", "format=adapter", "no"), S24_E_UNSUPPORTED, "no matrix of the model");
    fails(export("f32", "format=dense", "int8"), S24_E_IO, "exists already");
    fails(export("f32", "format=dense", ""), S24_E_IO, "exists already");
    ck_assert(!exists("no") && !exists("no.part"));
}
END_TEST

/* ---- Stopping, and what can fail ---- */

typedef struct stopping {
    int left, calls;
} stopping;

static int32_t count_down(void *user, const char *phase, int64_t step, int64_t total,
                          double objective, double residual)
{
    stopping *s = user;
    (void)phase, (void)step, (void)total, (void)objective, (void)residual;
    s->calls++;
    return s->left-- == 0;
}

START_TEST(goes_on_after_any_call)
{
    static const char *const forms[][2] = {
        {"tiny-F32.gguf", "store=q4_0"}, {"tiny", "format=gptq"}, {"tiny", "format=s24"}};
    stopping all = {.left = -1};
    int cancelled = 0;
    job j = begin(forms[_i][0], "int4 sym g32", forms[_i][1]);
    ok(s24_compression_set_progress(j.c, count_down, &all));
    ok(s24_compression_run(j.c, in_folder("reference")));
    double value = perplexity(j);
    end(j);
    for (int at = all.calls - 1; at >= 0; at -= 1 + all.calls / 10) {
        char out[32], command[600];
        stopping s = {.left = at};
        snprintf(out, sizeof out, "stopped%d", at);
        j = begin(forms[_i][0], "int4 sym g32", forms[_i][1]);
        ok(s24_compression_set_progress(j.c, count_down, &s));
        s24_status status = s24_compression_run(j.c, in_folder(out)); /* it may call less often */
        ck_assert(status == S24_OK || status == S24_E_CANCELLED);
        cancelled += status == S24_E_CANCELLED;
        ok(s24_compression_set_progress(j.c, NULL, NULL));
        ok(s24_compression_set_int(j.c, "resume", 1));
        ok(s24_compression_run(j.c, in_folder(out)));
        ck_assert_double_eq(perplexity(j), value);
        end(j);
        snprintf(command, sizeof command,
                 "cd %s && for f in $(cd reference && ls); do "
                 "[ $f = records.jsonl ] || cmp reference/$f %s/$f; done",
                 folder, out);
        ck_assert_int_eq(system(command), 0);
    }
    ck_assert_int_gt(cancelled, 5);
}
END_TEST

/* Another form of the same matrices is another job. */
START_TEST(the_form_belongs_to_the_job)
{
    run("tiny", "int4 sym g32", "format=gptq", "out");
    job j = begin("tiny", "int4 sym g32", "format=gptq-v2,resume=1");
    fails(s24_compression_run(j.c, in_folder("out")), S24_E_STATE, "form --format gptq");
    end(j);
}
END_TEST

START_TEST(a_full_disk_harms_nothing)
{
    struct rlimit before, small;
    run("tiny", "2:4+int4 sym g32", "options=[scales=f16]", "plain");
    ok(export("plain", "format=gptq", "right"));
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    for (rlim_t size = 0; size < 60000; size += 6000) {
        small = (struct rlimit){size, before.rlim_max};
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
        s24_status status = export("plain", "format=gptq", "out");
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
        ck_assert_int_eq(status, S24_E_IO);
        ck_assert(!exists("out") && !exists("out.part"));
    }
    ok(export("plain", "format=gptq", "out"));
    same_tensors("right", "out");
}
END_TEST

START_TEST(no_memory_harms_nothing)
{
    int failed = 0;
    run("tiny", "2:4+int4 sym g32", "options=[scales=f16]", "plain");
    for (int64_t limit = 200 << 10; limit < 4 << 20; limit += 150 << 10) {
        s24_model *model = NULL;
        ok(s24_ctx_set_int(ctx, "memory_limit", limit));
        s24_status status = s24_model_open(ctx, in_folder("plain"), &model);
        if (status == S24_OK)
            status = s24_model_export(model, "format=pack-quantized", in_folder("out"));
        s24_model_destroy(model);
        ok(s24_ctx_set_int(ctx, "memory_limit", 0));
        if (status == S24_OK)
            break;
        failed++;
        ck_assert_int_eq(status, S24_E_MEMORY);
        ck_assert(!exists("out") && !exists("out.part"));
    }
    ck_assert(failed > 0 && exists("out"));
}
END_TEST

static void stop_after_block(void *user, int32_t level, const char *line)
{
    if (level == 2 && !strncmp(line, "block ", 6))
        s24_compression_cancel(user);
}

/* What is in OUT.part may be hours of work. */
START_TEST(an_unfinished_run_is_left_alone)
{
    run("tiny", "int4 sym g32", "options=[scales=f16]", "plain");
    job j = begin("tiny", "2:4", "");
    ok(s24_compression_set_log(j.c, stop_after_block, j.c));
    ck_assert_int_eq(s24_compression_run(j.c, in_folder("out")), S24_E_CANCELLED);
    ck_assert(exists("out.part/block-00000.safetensors"));
    fails(export("plain", "format=gptq", "out"), S24_E_STATE, "holds an unfinished run");
    ck_assert(exists("out.part/block-00000.safetensors"));
    end(j);
}
END_TEST

static void add(TCase *tc)
{
    tcase_add_loop_test(tc, exports_are_what_compress_writes, 0, sizeof exports / sizeof *exports);
    tcase_add_loop_test(tc, exports_have_a_card, 0, 3);
    tcase_add_test(tc, foreign_models_are_looked_at);
    tcase_add_test(tc, exports_are_refused);
    tcase_add_loop_test(tc, goes_on_after_any_call, 0, 3);
    tcase_add_test(tc, the_form_belongs_to_the_job);
    tcase_add_test(tc, a_full_disk_harms_nothing);
    tcase_add_test(tc, no_memory_harms_nothing);
    tcase_add_test(tc, an_unfinished_run_is_left_alone);
}

int main(void)
{
    return run_case("exports", add);
}
