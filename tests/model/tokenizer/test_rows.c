/* lib/model/rows.c: rows of ids from texts, .jsonl, .npy and tensors, and what is no such file. */
#include "scene.h"
#include "tiny.h"
#include <sparse24/model.h>

/* As many pieces as the tiny models have rows: letters, two merges, and a token for the begin. */
enum { VOCAB = 96 };
static s24_model *model;

static void write_tokenizer(const char *path, int pieces)
{
    buffer b = {0};
    char text[100];
    static const char head[] = "{\"model\":{\"type\":\"BPE\",\"vocab\":{";
    ck_assert(s24m_buffer_add(&b, head, sizeof head - 1));
    for (int i = 0; i < pieces - 3; i++) {
        char c[4];
        size_t size = s24m_letter((unsigned char)(i > 1 ? 128 - i : i ? '\n' : ' '), c);
        int length = snprintf(text, sizeof text, "\"%s%.*s\":%d,",
                              *c == '"' || *c == '\\' ? "\\" : "", (int)size, c, i);
        ck_assert(s24m_buffer_add(&b, text, (size_t)length));
    }
    int length =
        snprintf(text, sizeof text, "\"th\":%d,\"the\":%d},\"merges\":[\"t h\",\"th e\"]},",
                 pieces - 3, pieces - 2);
    ck_assert(s24m_buffer_add(&b, text, (size_t)length));
    length = snprintf(text, sizeof text,
                      "\"added_tokens\":[{\"id\":%d,\"content\":\"<s>\",\"special\":true}],",
                      pieces - 1);
    ck_assert(s24m_buffer_add(&b, text, (size_t)length));
    static const char rest[] =
        "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
        "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":"
        "{\"id\":\"<s>\"}},{\"Sequence\":{}}]}}";
    ck_assert(s24m_buffer_add(&b, rest, sizeof rest - 1));
    write_file(path, b.data, b.size);
    s24m_buffer_free(&b);
}

static const char text[] = "the tree, the other tree; then three trees. ";

static void write_texts(void)
{
    buffer b = {0};
    for (int i = 0; i < 40; i++)
        ck_assert(s24m_buffer_add(&b, text, sizeof text - 1));
    write_file(scratch_path("a.txt"), b.data, b.size);
    s24m_buffer_free(&b);
}

static void set_up(void)
{
    scene_open();
    const char *path = scratch_path("model.safetensors");
    tiny_write(ctx, path, &tiny_models[0]);
    write_tokenizer(scratch_path("tokenizer.json"), VOCAB);
    write_texts();
    ck_assert_msg(s24_model_open(ctx, scratch_path("model.safetensors"), &model) == S24_OK, "%s",
                  s24_last_error());
}

static void tear_down(void)
{
    s24_model_destroy(model);
    scene_close();
}

static s24_mat open_rows(const char *name, const char *options, s24_tokens **t)
{
    s24_mat ids;
    const char *called;
    s24_status status = s24_tokens_open(model, scratch_path(name), options, t);
    ck_assert_msg(status == S24_OK, "%s, %s: %s", name, options, s24_last_error());
    ck_assert_int_eq(s24_tokens_get(*t, &ids, &called), S24_OK);
    ck_assert(strstr(called, name) != NULL && ids.dtype == S24_I32);
    return ids;
}

static void fails(const char *name, const char *options, s24_status wanted, const char *part_of)
{
    s24_tokens *t = (s24_tokens *)scratch;
    s24_status status = s24_tokens_open(model, scratch_path(name), options, &t);
    ck_assert_msg(status == wanted, "%s, %s: %s, '%s'", name, options, s24_status_name(status),
                  s24_last_error());
    ck_assert_msg(strstr(s24_last_error(), part_of) != NULL, "'%s' does not tell '%s'",
                  s24_last_error(), part_of);
    ck_assert(t == NULL);
}

/* Row after row, each with the first id if the file or the caller wants it. */
START_TEST(test_text)
{
    static const char *const bos[] = {"auto", "yes", "no"};
    char options[60];
    s24_tokenizer *tokenizer;
    s24_tokens *t;
    const int32_t *all;
    int64_t count;
    bool put = _i < 2;
    snprintf(options, sizeof options, "context=16,rows=5,bos=%s", bos[_i]);
    s24_mat ids = open_rows("a.txt", options, &t);
    ck_assert(ids.rows == 5 && ids.cols == 16);
    ck_assert_int_eq(s24_model_tokenizer(model, NULL, &tokenizer), S24_OK);
    ck_assert_int_eq(s24_tokenizer_encode(tokenizer, text, sizeof text - 1, "bos=no", &all, &count),
                     S24_OK);
    for (int r = 0, next = 0; r < 5; r++)
        for (int c = 0; c < 16; c++) {
            int32_t id = ((const int32_t *)ids.data)[16 * r + c];
            ck_assert_int_eq(id, put && !c ? VOCAB - 1 : all[next++ % count]);
        }
    s24_tokens_destroy(t);
}
END_TEST

START_TEST(test_same_perplexity)
{
    s24_tokens *t;
    double a, b;
    s24_mat ids = open_rows("a.txt", "context=30", &t);
    ck_assert_int_eq(s24_model_evaluate(model, &ids, NULL, NULL, &a), S24_OK);
    s24_file *file;
    ck_assert_int_eq(s24_file_create(ctx, scratch_path("ids.safetensors"), "safetensors", &file),
                     S24_OK);
    ck_assert_int_eq(s24_file_put(file, "tokens", &ids, NULL, 0, NULL), S24_OK);
    ck_assert_int_eq(s24_file_commit(file), S24_OK);
    s24_file_destroy(file);
    s24_tokens_destroy(t);
    ids = open_rows("ids.safetensors", NULL, &t);
    ck_assert_int_eq(s24_model_evaluate(model, &ids, NULL, NULL, &b), S24_OK);
    ck_assert_mem_eq(&a, &b, sizeof a);
    s24_tokens_destroy(t);
}
END_TEST

/* Texts are joined by an empty line; lines without one are passed over. */
START_TEST(test_lines)
{
    static const char lines[] =
        "{\"text\": \"the tree\"}\n\n{\"x\": 1, \"text\": \"th\\u0065n\"}\r\n";
    s24_tokens *t;
    write_file(scratch_path("a.jsonl"), lines, sizeof lines - 1);
    s24_mat ids = open_rows("a.jsonl", "context=10,bos=no", &t);
    const int32_t *id = ids.data; /* the, blank, t, r, e, e, two line ends, the, n */
    ck_assert(id[0] == VOCAB - 2 && id[1] == 0 && id[6] == 1 && id[7] == 1 && id[8] == VOCAB - 2);
    s24_tokens_destroy(t);
    write_file(scratch_path("b.jsonl"), "{\"a\":\"the the\"}", 15);
    ids = open_rows("b.jsonl", "context=3,field=a,bos=no", &t);
    ck_assert(ids.rows == 1 && *(const int32_t *)ids.data == VOCAB - 2);
    s24_tokens_destroy(t);
    fails("b.jsonl", NULL, S24_E_FORMAT, "line 1: has no \"text\"");
    write_file(scratch_path("c.jsonl"), "{\"text\":\"a\"}\n{\"text\":5}", 23);
    fails("c.jsonl", NULL, S24_E_FORMAT, "line 2: \"text\" is no text");
    write_file(scratch_path("d.jsonl"), "{\"text\":\"a\"}\n[", 14);
    fails("d.jsonl", NULL, S24_E_FORMAT, "line 2");
}
END_TEST

static void write_numpy(const char *name, const char *header, const void *data, size_t size)
{
    buffer b = {0};
    char head[128] = "\x93NUMPY\x01\x00\x76\x00";
    size_t length = strlen(header);
    memset(head + 10, ' ', 117);
    memcpy(head + 10, header, length);
    head[127] = '\n';
    ck_assert(s24m_buffer_add(&b, head, 128) && s24m_buffer_add(&b, data, size));
    write_file(scratch_path(name), b.data, b.size);
    s24m_buffer_free(&b);
}

START_TEST(test_numpy)
{
    int64_t wide[12];
    int16_t narrow[12];
    s24_tokens *t;
    for (int i = 0; i < 12; i++)
        wide[i] = narrow[i] = (int16_t)(i * 3);
    write_numpy("a.npy", "{'descr': '<i8', 'fortran_order': False, 'shape': (3, 4), }", wide, 96);
    s24_mat ids = open_rows("a.npy", NULL, &t);
    ck_assert(ids.rows == 3 && ids.cols == 4 && ((const int32_t *)ids.data)[11] == 33);
    s24_tokens_destroy(t);
    ids = open_rows("a.npy", "context=5,rows=2", &t);
    ck_assert(ids.rows == 2 && ids.cols == 5 && ((const int32_t *)ids.data)[9] == 27);
    s24_tokens_destroy(t);
    ids = open_rows("a.npy", "bos=yes", &t);
    ck_assert(ids.rows == 4 && ids.cols == 4 && *(const int32_t *)ids.data == VOCAB - 1 &&
              ((const int32_t *)ids.data)[5] == 9);
    s24_tokens_destroy(t);
    write_numpy("b.npy", "{'descr': '<u2', 'fortran_order': False, 'shape': (12,), }", narrow, 24);
    fails("b.npy", NULL, S24_E_SHAPE, "--context");
    ids = open_rows("b.npy", "context=6", &t);
    ck_assert(ids.rows == 2 && ((const int32_t *)ids.data)[11] == 33);
    s24_tokens_destroy(t);
    wide[7] = 96;
    write_numpy("c.npy", "{'descr': '<i8', 'fortran_order': False, 'shape': (3, 4), }", wide, 96);
    fails("c.npy", NULL, S24_E_ARG, "row 1, column 3 is 96");
    write_numpy("d.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }", wide, 96);
    fails("d.npy", NULL, S24_E_DTYPE, "'<f4'");
    write_numpy("e.npy", "{'descr': '<i8', 'fortran_order': True, 'shape': (3, 4), }", wide, 96);
    fails("e.npy", NULL, S24_E_FORMAT, "Fortran");
    write_numpy("f.npy", "{'descr': '<i8', 'fortran_order': False, 'shape': (3, 5), }", wide, 96);
    fails("f.npy", NULL, S24_E_FORMAT, "cut off");
    write_numpy("g.npy", "{'descr': '<i8', 'fortran_order': False, 'shape': (3, 2, 2), }", wide,
                96);
    fails("g.npy", NULL, S24_E_SHAPE, "one or two dimensions");
    write_file(scratch_path("h.npy"), "\x93NUMPY\x01\x00\xff\xff", 10);
    fails("h.npy", NULL, S24_E_FORMAT, "cut off");
}
END_TEST

typedef struct bad_rows {
    const char *name, *bytes;
    size_t size;
    const char *options;
    s24_status status;
    const char *part;
} bad_rows;

static const bad_rows bad[] = {
    {"a", "", 0, NULL, S24_E_FORMAT, "is empty"},
    {"a", "the", 3, NULL, S24_E_SHAPE, "no row of 512"},
    {"a", "the", 3, "context=2,bos=no", S24_E_SHAPE, "holds 1 ids, no row of 2"},
    {"a", "the the", 7, "context=3,bos=no,rows=2", S24_E_SHAPE, "--rows 2"},
    {"a", "the the", 7, "context=x", S24_E_OPTION, "context=x"},
    {"a", "the the", 7, "colour=x", S24_E_OPTION, "rows, context, field, bos"},
    {"a", "the the", 7, "bos=x", S24_E_OPTION, "auto, yes or no"},
    {"a", "\x1f\x8b\x08", 3, NULL, S24_E_FORMAT, "gzip"},
    {"a", "PK\x03\x04", 4, NULL, S24_E_FORMAT, "zip"},
    {"a", "PAR1", 4, NULL, S24_E_FORMAT, "Parquet"},
    {"a", "\xff\xfet\0h\0e\0", 8, NULL, S24_E_FORMAT, "UTF-16"},
    {"a", "the\0tree", 8, NULL, S24_E_FORMAT, "NUL bytes"},
    {"a.json", "{}", 2, NULL, S24_E_FORMAT, ".jsonl"},
    {"a.safetensors", "the", 3, NULL, S24_E_FORMAT, "a.safetensors"},
};

START_TEST(test_bad)
{
    const bad_rows *b = bad + _i;
    write_file(scratch_path(b->name), b->bytes, b->size);
    fails(b->name, b->options, b->status, b->part);
}
END_TEST

/* A vocabulary of another model. */
START_TEST(test_vocabularies)
{
    s24_tokenizer *t;
    write_tokenizer(scratch_path("small.json"), 60);
    ck_assert_int_eq(s24_model_tokenizer(model, scratch_path("small.json"), &t), S24_E_SHAPE);
    ck_assert(strstr(s24_last_error(), "60 pieces") != NULL);
    char path[300];
    snprintf(path, sizeof path, "%s/gpt-2.json", folder);
    ck_assert_int_eq(s24_model_tokenizer(model, path, &t), S24_E_SHAPE);
    ck_assert(strstr(s24_last_error(), "go up to 399") != NULL);
    ck_assert_int_eq(s24_model_tokenizer(model, NULL, &t), S24_OK);
    unlink(scratch_path("tokenizer.json"));
    ck_assert_int_eq(s24_model_tokenizer(model, scratch_path("nowhere.json"), &t), S24_E_IO);
    ck_assert_int_eq(s24_model_tokenizer(model, NULL, &t), S24_OK); /* it is kept */
}
END_TEST

int main(int argc, char **argv)
{
    folder = argv[argc - 1];
    Suite *suite = suite_create("rows of tokens");
    TCase *c = tcase_create("rows");
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_loop_test(c, test_text, 0, 3);
    tcase_add_test(c, test_same_perplexity);
    tcase_add_test(c, test_lines);
    tcase_add_test(c, test_numpy);
    tcase_add_loop_test(c, test_bad, 0, sizeof bad / sizeof *bad);
    tcase_add_test(c, test_vocabularies);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
