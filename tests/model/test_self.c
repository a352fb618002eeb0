/* Tests lib/model/{self,own_rows}.c: what is asked, how rows begin, that they join the user's with
 * their weight, and that a stopped run goes on with the rows that it has. */
#include "own_rows.h"
#include "start.h"
#include "tiny.h"
#include <check.h>
#include <sparse24/model.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GIVEN = 16, OWN = 6, LENGTH = 24 };

static char folder[64];
static s24_ctx *ctx;
static s24_model *model;
static int32_t ids[(GIVEN + OWN) * LENGTH];

#define ok(call) ck_assert_msg((call) == S24_OK, "%s: %s", #call, s24_last_error())

static char *in_folder(const char *name)
{
    static char path[4][128];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
    return path[next];
}

static void set_up(void)
{
    strcpy(folder, "/tmp/sparse24-self-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ok(s24_ctx_create(&ctx));
    tiny_write(ctx, in_folder("tiny.safetensors"), tiny_models);
    for (int i = 0; i < GIVEN * LENGTH; i++)
        ids[i] = tiny_token(tiny_models, i / LENGTH, i % LENGTH);
    ok(s24_model_open(ctx, in_folder("tiny.safetensors"), &model));
}

static void tear_down(void)
{
    char command[128];
    s24_model_destroy(model);
    s24_ctx_destroy(ctx);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

/* ---- What is asked ---- */

static const struct {
    const char *text;
    int64_t given, rows;
    double weight;
} asked[] = {
    {"auto", 64, 128, 0.25}, {"auto", 256, 256, 0.25}, {"auto", 4, 32, 0.25}, {"auto", 0, 128, 1},
    {"0", 64, 0, 0.25},      {"100", 64, 100, 0.25},   {"100", 0, 100, 1},    {"7*2.5", 64, 7, 2.5},
    {"x", 64, -1, 0},        {"-1", 64, -1, 0},        {"5*", 64, -1, 0},     {"5*0", 64, -1, 0},
    {"5*nan", 64, -1, 0},    {"5*0.25x", 64, -1, 0},   {"", 64, -1, 0},
};

START_TEST(rows_and_weights)
{
    s24m_self self = {0};
    bool good = s24m_self_read(&self, asked[_i].text, asked[_i].given);
    ck_assert_int_eq(good, asked[_i].rows >= 0);
    if (!good)
        ck_assert_ptr_nonnull(strstr(s24_last_error(), "expected ROWS or ROWS*WEIGHT"));
    else
        ck_assert(self.rows == asked[_i].rows && self.weight == asked[_i].weight);
}
END_TEST

/* Metadata of GGUF files without a tokenizer; ids that are given go first. */
START_TEST(starts_of_metadata)
{
    tiny_model m = tiny_models[0];
    s24_model *other = NULL;
    s24m_start start;
    m.gguf = true;
    if (_i) {
        m.set[0].key = "tokenizer.ggml.bos_token_id";
        m.set[0].value = _i == 1 ? "5" : "96";
    }
    tiny_write(ctx, in_folder("tiny.gguf"), &m);
    ok(s24_model_open(ctx, in_folder("tiny.gguf"), &other));
    ck_assert(s24m_start_read(&start, "open_start", "", other));
    ck_assert(start.count == (_i == 1) && (_i != 1 || start.ids[0] == 5));
    ck_assert(s24m_start_read(&start, "chat_start", "", other));
    ck_assert_int_eq(start.count, 0);
    ck_assert(s24m_start_read(&start, "open_start", "7,8", other));
    ck_assert(start.count == 2 && start.ids[0] == 7 && start.ids[1] == 8);
    ck_assert(!s24m_start_read(&start, "chat_start", "7,96", other));
    ck_assert_ptr_nonnull(strstr(s24_last_error(), "chat_start: \"96\": expected at most 64 ids "
                                                   "below 96"));
    s24_model_destroy(other);
}
END_TEST

/* Templates that a folder may have, with a tokenizer of bytes beside them: how a conversation and a
 * text begin, as text. */
static const struct {
    const char *file, *text, *chat;
} templates[] = {
    {"chat_template.jinja",
     "{% if x %}{{ '<|im_start|>system\\nBe kind.<|im_end|>\\n' }}{% endif %}<|im_start|>",
     "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\n"},
    {"tokenizer_config.json",
     "{\"chat_template\": \"{{ '<|im_start|>system\\\\nHi<|im_end|>\\\\n' }}\"}",
     "<|im_start|>system\nHi<|im_end|>\n<|im_start|>user\n"},
    {"chat_template.jinja",
     "{% if x %}{{ '<|im_start|>system\nBe kind.<|im_end|>\n' }}{% endif %}<|im_start|>",
     "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\n"},
    {"chat_template.jinja", "{% for m in messages %}{{ '<|im_start|>system\n' + m }}",
     "<|im_start|>user\n"},
    {"chat_template.jinja", "{% for m in messages %}<|im_start|>{{ m }}", "<|im_start|>user\n"},
    {"chat_template.jinja", "{% for m in messages %}[INST]", "[INST]"},
    {"chat_template.jinja", "{% for m in messages %}unknown", ""},
    {"tokenizer_config.json", "{\"bos_token\": \"[INST]\"}", ""},
};

static void write_text(const char *name, const char *text)
{
    FILE *file = fopen(in_folder(name), "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

/* 94 printing characters, a blank and a line end as bytes, then special pieces. */
static void write_tokenizer(void)
{
    FILE *file = fopen(in_folder("folder/tokenizer.json"), "w");
    int id = 0;
    ck_assert_ptr_nonnull(file);
    fputs("{\"added_tokens\": [{\"id\": 96, \"content\": \"<|endoftext|>\", \"special\": true}], "
          "\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false}, "
          "\"decoder\": {\"type\": \"ByteLevel\"}, "
          "\"model\": {\"type\": \"BPE\", \"merges\": [], \"vocab\": {\"\xC4\xA0\": 0, "
          "\"\xC4\x8A\": 1",
          file);
    for (id = 2; id < 96; id++)
        fprintf(file, ", \"%s%c\": %d", id + 31 == '"' || id + 31 == '\\' ? "\\" : "", id + 31, id);
    fputs("}}}", file);
    fclose(file);
}

START_TEST(starts_of_templates)
{
    tiny_model m = tiny_models[0];
    s24_model *other = NULL;
    s24_tokenizer *t;
    s24m_start start;
    const char *text;
    m.vocab = 97;
    ck_assert_int_eq(mkdir(in_folder("folder"), 0777), 0);
    tiny_write_folder(ctx, in_folder("folder"), &m);
    write_tokenizer();
    char name[64];
    snprintf(name, sizeof name, "folder/%s", templates[_i].file);
    write_text(name, templates[_i].text);
    ok(s24_model_open(ctx, in_folder("folder"), &other));
    ok(s24_model_tokenizer(other, NULL, &t));
    ck_assert(s24m_start_read(&start, "chat_start", "", other));
    ok(s24_tokenizer_decode(t, start.ids, start.count, "special=1", &text, NULL));
    ck_assert_str_eq(text, templates[_i].chat);
    ck_assert(s24m_start_read(&start, "open_start", "", other));
    ck_assert(start.count == 1 && start.ids[0] == 96);
    s24_model_destroy(other);
}
END_TEST

/* ---- The rows ---- */

static void write_rows(const s24m_self *self, int64_t given, int32_t *out)
{
    s24m_model *inner = NULL;
    s24m_watch watch = {0};
    s24m_generating how = {.watch = &watch, .title = "own", .sampling = {1, 0, 1, self->seed}};
    ok(s24m_open(ctx, in_folder("tiny.safetensors"), &inner));
    ck_assert_msg(s24m_own_rows_write(self, inner, &how, given, LENGTH, out), "%s",
                  s24_last_error());
    s24m_close(inner);
}

START_TEST(beginnings)
{
    s24m_self self = {.rows = OWN, .weight = 1, .chat = {{4, 5, 6}, 3}, .open = {{9}, 1}};
    int32_t *own = ids + GIVEN * LENGTH, alone[OWN * LENGTH];
    write_rows(&self, GIVEN, ids);
    for (int r = 0; r < OWN; r++) {
        const int32_t *row = own + r * LENGTH;
        ck_assert(r < OWN / 2 ? row[0] == 4 && row[1] == 5 && row[2] == 6 : row[0] == 9);
        for (int t = 0; t < LENGTH; t++)
            ck_assert(row[t] >= 0 && row[t] < 96);
    }
    ck_assert_mem_ne(own + 3 * LENGTH, own + 4 * LENGTH, LENGTH * sizeof *own);
    self.open.count = 0; /* no rows of the user's: one start serves both */
    write_rows(&self, 0, alone);
    for (int r = 0; r < OWN; r++)
        ck_assert(alone[r * LENGTH] == 4 && alone[r * LENGTH + 2] == 6);
    self.chat.count = 0; /* they go on from a quarter of the user's rows */
    write_rows(&self, GIVEN, ids);
    for (int r = 0; r < OWN; r++)
        ck_assert_mem_eq(own + r * LENGTH, ids + r % GIVEN * LENGTH, LENGTH / 4 * sizeof *ids);
    ck_assert(!s24m_self_check(&self, 0));
    ck_assert_ptr_nonnull(strstr(s24_last_error(), "give --open-start ID"));
    self.rows = 0;
    ck_assert(s24m_self_check(&self, 0));
}
END_TEST

/* ---- In a compression ---- */

static s24_compression *begin(const char *options, int64_t rows)
{
    s24_compression *c = NULL;
    s24_mat given;
    ok(s24_compression_create(model, &c));
    ok(s24_compression_parse(c, "constraints=2:4,options=[swaps=0],open_start=[9],seed=3"));
    ok(s24_compression_parse(c, options));
    if (!rows)
        return c;
    ok(s24_mat_rowmajor(&given, ids, rows, LENGTH, S24_I32));
    ok(s24_compression_set_calibration(c, &given, "calib"));
    return c;
}

static void compress(const char *options, int64_t rows, const char *out)
{
    s24_compression *c = begin(options, rows);
    ok(s24_compression_run(c, in_folder(out)));
    s24_compression_destroy(c);
}

/* The weights, not what was asked. */
static bool same_model(const char *a, const char *b)
{
    s24_file *files[2];
    char path[2][160];
    bool same = true;
    snprintf(path[0], sizeof path[0], "%s/tiny.safetensors", in_folder(a));
    snprintf(path[1], sizeof path[1], "%s/tiny.safetensors", in_folder(b));
    for (int i = 0; i < 2; i++)
        ok(s24_file_open(ctx, path[i], &files[i]));
    for (int64_t i = 0; i < s24_file_count(files[0]); i++) {
        const void *data[2];
        size_t size[2];
        for (int f = 0; f < 2; f++)
            ok(s24_file_bytes(files[f], s24_file_name(files[0], i), &data[f], &size[f]));
        same = same && size[0] == size[1] && !memcmp(data[0], data[1], size[0]);
    }
    for (int i = 0; i < 2; i++)
        s24_file_destroy(files[i]);
    return same;
}

/* With the weight 1 they are as if the user had given them; to the bit, for 16 rows of 24 tokens
 * are whole tiles of products. */
START_TEST(join_the_users_rows)
{
    s24m_self self = {.rows = OWN, .weight = 1, .seed = 3, .open = {{9}, 1}};
    write_rows(&self, GIVEN, ids);
    compress("own=6*1", GIVEN, "own");
    compress("own=0", GIVEN + OWN, "given");
    ck_assert(same_model("own", "given"));
    compress("own=6", GIVEN, "quarter");
    ck_assert(!same_model("own", "quarter"));
    compress("own=0", GIVEN, "none");
    ck_assert(!same_model("none", "quarter"));
}
END_TEST

START_TEST(equal_for_any_threads)
{
    for (int threads = 1; threads <= 3; threads++) {
        char name[16];
        ok(s24_ctx_set_int(ctx, "threads", threads));
        snprintf(name, sizeof name, "t%d", threads);
        compress("own=6,own_length=24", 0, name);
        ck_assert(threads == 1 || same_model("t1", name));
    }
}
END_TEST

typedef struct listener {
    s24_compression *c;
    const char *stop_at; /* a phase */
    int rows, warnings;
} listener;

static int32_t on_progress(void *user, const char *phase, int64_t step, int64_t total,
                           double objective, double residual)
{
    listener *l = user;
    (void)step, (void)total, (void)objective, (void)residual;
    l->rows += !strncmp(phase, "the model's own text", 20);
    return l->stop_at && !strncmp(phase, l->stop_at, strlen(l->stop_at));
}

static void on_line(void *user, int32_t level, const char *line)
{
    listener *l = user;
    l->warnings += level == 1 && strstr(line, "repeats itself") != NULL;
}

static void listen(listener *l)
{
    ok(s24_compression_set_progress(l->c, on_progress, l));
    ok(s24_compression_set_log(l->c, on_line, l));
}

/* What was written is not written again; what is damaged is. */
START_TEST(goes_on_with_its_rows)
{
    compress("own=6", GIVEN, "reference");
    listener l = {.c = begin("own=6", GIVEN), .stop_at = "block 2"};
    listen(&l);
    ck_assert_int_eq(s24_compression_run(l.c, in_folder("out")), S24_E_CANCELLED);
    ck_assert_int_gt(l.rows, 0);
    const char *kept = in_folder("out.part/self.safetensors");
    ck_assert_int_eq(access(kept, F_OK), 0);
    if (_i) { /* the last id, and so the sum */
        FILE *file = fopen(kept, "r+b");
        ck_assert_ptr_nonnull(file);
        ck_assert_int_eq(fseek(file, -4, SEEK_END), 0);
        fputc(90, file);
        fclose(file);
    }
    l.rows = 0;
    l.stop_at = NULL;
    ok(s24_compression_set_int(l.c, "resume", 1));
    ok(s24_compression_run(l.c, in_folder("out")));
    ck_assert_int_eq(l.rows > 0, _i);
    ck_assert(same_model("reference", "out"));
    s24_compression_destroy(l.c);
}
END_TEST

START_TEST(other_rows_are_another_job)
{
    listener l = {.c = begin("own=6", GIVEN), .stop_at = "block 2"};
    listen(&l);
    ck_assert_int_eq(s24_compression_run(l.c, in_folder("out")), S24_E_CANCELLED);
    s24_compression_destroy(l.c);
    s24_compression *c = begin("own=6,seed=4,resume=1", GIVEN);
    ck_assert_int_eq(s24_compression_run(c, in_folder("out")), S24_E_STATE);
    ck_assert_ptr_nonnull(strstr(s24_last_error(), "self 6 x 24 weight 0.25 seed 3"));
    s24_compression_destroy(c);
}
END_TEST

static const struct {
    const char *options, *text;
    int64_t rows;
    s24_status status;
} wrong[] = {
    {"own=many", "--calib self:many: expected", GIVEN, S24_E_OPTION},
    {"own=6,open_start=[96]", "open_start: \"96\"", GIVEN, S24_E_OPTION},
    {"own=6,own_length=12", "own_length is 12, but the rows that are given have 24", GIVEN,
     S24_E_SHAPE},
    {"own=6,own_length=2000", "rows of 2000 tokens: the model takes 2 .. 1024", 0, S24_E_SHAPE},
    {"own=auto", "--calib: there are no tokens", 0, S24_E_STATE},
    {"own=0", "--calib: there are no tokens", 0, S24_E_STATE},
    {"own=6,open_start=", "name no token that begins a text", 0, S24_E_OPTION},
};

START_TEST(is_refused)
{
    s24_compression *c = begin(wrong[_i].options, wrong[_i].rows);
    s24_status status = s24_compression_run(c, in_folder("none"));
    ck_assert_msg(status == wrong[_i].status && strstr(s24_last_error(), wrong[_i].text), "%d: %s",
                  (int)status, s24_last_error());
    ck_assert_int_ne(access(in_folder("none"), F_OK), 0);
    s24_compression_destroy(c);
}
END_TEST

/* Rows of a tiny model with 96 words come in loops. */
START_TEST(repetition_is_told)
{
    listener l = {.c = begin("own=6,own_length=200,seed=1", 0)};
    listen(&l);
    ok(s24_compression_run(l.c, in_folder("out")));
    int before = l.warnings;
    s24_compression_destroy(l.c);
    ck_assert_int_eq(before, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("self");
    TCase *tc = tcase_create("self");
    tcase_add_loop_test(tc, rows_and_weights, 0, sizeof asked / sizeof *asked);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, starts_of_metadata, 0, 3);
    tcase_add_loop_test(tc, starts_of_templates, 0, sizeof templates / sizeof *templates);
    tcase_add_test(tc, beginnings);
    tcase_add_test(tc, join_the_users_rows);
    tcase_add_test(tc, equal_for_any_threads);
    tcase_add_loop_test(tc, goes_on_with_its_rows, 0, 2);
    tcase_add_test(tc, other_rows_are_another_job);
    tcase_add_loop_test(tc, is_refused, 0, sizeof wrong / sizeof *wrong);
    tcase_add_test(tc, repetition_is_told);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
