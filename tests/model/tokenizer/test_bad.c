/* lib/model/tokenizer: files that are no tokenizers, or say what is not done: a status and a text
 * that tells what and where. */
#include "scene.h"

typedef struct bad_file {
    const char *name, *text;
    s24_status status;
    const char *part; /* of the error */
} bad_file;

#define MODEL "{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]"
#define WITH(rest) "{\"model\":" MODEL "}," rest "}"

static const bad_file files[] = {
    {"a.json", "", S24_E_FORMAT, "is no tokenizer"},
    {"a.json", "hello", S24_E_FORMAT, "is no tokenizer"},
    {"a.json", "{", S24_E_FORMAT, "byte 1"},
    {"a.json", "{}", S24_E_FORMAT, "no \"model\""},
    {"a.json", "{\"model\":{}}", S24_E_UNSUPPORTED, "only BPE and Unigram"},
    {"a.json", "{\"model\":{\"type\":\"WordPiece\"}}", S24_E_UNSUPPORTED, "WordPiece"},
    {"a.json", "{\"model\":{\"type\":\"BPE\",\"vocab\":[]}}", S24_E_FORMAT, "model.vocab"},
    {"a.json", "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0}}}", S24_E_FORMAT, "merges"},
    {"a.json", "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}",
     S24_E_FORMAT, "the id 0"},
    {"a.json", "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"a\":1},\"merges\":[]}}",
     S24_E_FORMAT, "same piece 'a'"},
    {"a.json", "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", S24_E_FORMAT,
     "'a'"},
    {"a.json", "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":4194304},\"merges\":[]}}",
     S24_E_FORMAT, "4194304"},
    {"a.json", "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":[\"a b\"]}}",
     S24_E_FORMAT, "merge 0"},
    {"a.json", "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[7]}}", S24_E_FORMAT,
     "merge 0"},
    {"a.json", "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],\"dropout\":0.1}}",
     S24_E_UNSUPPORTED, "dropout"},
    {"a.json",
     "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],"
     "\"end_of_word_suffix\":\"</w>\"}}",
     S24_E_UNSUPPORTED, "</w>"},
    {"a.json", "{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\"]]}}", S24_E_FORMAT, "item 0"},
    {"a.json", "{\"model\":{\"type\":\"Unigram\",\"unk_id\":9,\"vocab\":[[\"a\",-1]]}}",
     S24_E_FORMAT, "unk_id"},
    {"a.json", WITH("\"normalizer\":{\"type\":\"Upper\"}"), S24_E_UNSUPPORTED, "'Upper'"},
    {"a.json", WITH("\"normalizer\":{\"type\":\"Replace\"}"), S24_E_FORMAT, "Replace"},
    {"a.json", WITH("\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AA\"}"),
     S24_E_FORMAT, "precompiled_charsmap"},
    {"a.json", WITH("\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"}"), S24_E_UNSUPPORTED,
     "'UnicodeScripts'"},
    {"a.json", WITH("\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"}}"),
     S24_E_UNSUPPORTED, "pattern '('"},
    {"a.json", WITH("\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[a&&b]\"}}"),
     S24_E_UNSUPPORTED, "intersection"},
    {"a.json", WITH("\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[a[b]]\"}}"),
     S24_E_UNSUPPORTED, "class within a class"},
    {"a.json",
     WITH("\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},"
          "\"behavior\":\"Odd\"}"),
     S24_E_FORMAT, "behavior"},
    {"a.json", WITH("\"post_processor\":{\"type\":\"Odd\"}"), S24_E_UNSUPPORTED, "'Odd'"},
    {"a.json",
     WITH("\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":"
          "{\"id\":\"<s>\"}}]}"),
     S24_E_FORMAT, "special token"},
    {"a.json", WITH("\"decoder\":{\"type\":\"Odd\"}"), S24_E_UNSUPPORTED, "'Odd'"},
    {"a.json", WITH("\"added_tokens\":[{\"id\":0,\"content\":\"x\"}]"), S24_E_FORMAT,
     "of another piece"},
    {"a.json", WITH("\"added_tokens\":[{\"content\":\"x\"}]"), S24_E_FORMAT, "content and id"},
    {"a.json", "{\"model\":\"\xff\"}", S24_E_FORMAT, "not UTF-8"},
    {"a.json", "{\"model\":\"\\ud800\"}", S24_E_FORMAT, "surrogate"},
    {"a.json", "{\"model\":01}", S24_E_FORMAT, "expected a value"},
    {"tokenizer.model",
     "\n\x05\n\x01"
     "a\x15",
     S24_E_FORMAT, "cut off"},
    {"tokenizer.model", "\n\x03\n\x01\xff", S24_E_FORMAT, "not UTF-8"},
    {"a.gguf", "GGUF", S24_E_FORMAT, "a.gguf"},
};

START_TEST(test_files)
{
    const bad_file *f = files + _i;
    const char *path = scratch_path(f->name);
    s24_tokenizer *t = (s24_tokenizer *)scratch;
    write_file(path, f->text, strlen(f->text));
    s24_status status = s24_tokenizer_open(ctx, path, &t);
    ck_assert_msg(status == f->status, "%s: %s, '%s'", f->text, s24_status_name(status),
                  s24_last_error());
    ck_assert_msg(strstr(s24_last_error(), f->part) != NULL, "'%s' does not tell '%s'",
                  s24_last_error(), f->part);
    ck_assert(t == NULL);
}
END_TEST

/* Truncated anywhere, a file is an error and no crash. */
START_TEST(test_truncated)
{
    char path[300];
    buffer text = {0};
    snprintf(path, sizeof path, "%s/unigram.json", folder);
    ck_assert(s24m_contents_read(&text, path));
    for (size_t size = 0; size + 2 < text.size; size += 97) {
        s24_tokenizer *t;
        write_file(scratch_path("a.json"), text.data, size);
        ck_assert_int_eq(s24_tokenizer_open(ctx, scratch_path("a.json"), &t), S24_E_FORMAT);
    }
    s24m_buffer_free(&text);
    write_gguf(scratch_path("b.gguf"), "gpt-2", "gpt2", "gpt-2");
    ck_assert(s24m_contents_read(&text, scratch_path("b.gguf")));
    for (size_t size = 5; size < text.size; size += 211) {
        s24_tokenizer *t;
        write_file(scratch_path("c.gguf"), text.data, size);
        ck_assert_int_eq(s24_tokenizer_open(ctx, scratch_path("c.gguf"), &t), S24_E_FORMAT);
    }
    s24m_buffer_free(&text);
}
END_TEST

/* A pattern that backtracks without an end is stopped by the limit, and named. */
START_TEST(test_endless_pattern)
{
    static const char file[] =
        WITH("\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a|aa)+b\"}}");
    char text[4000];
    const int32_t *ids;
    int64_t count;
    memset(text, 'a', sizeof text);
    memcpy(text + sizeof text - 2, "cb", 2);
    write_file(scratch_path("a.json"), file, sizeof file - 1);
    s24_tokenizer *t = open_path(scratch_path("a.json"));
    ck_assert_int_eq(s24_tokenizer_encode(t, text, sizeof text, NULL, &ids, &count),
                     S24_E_UNSUPPORTED);
    ck_assert(strstr(s24_last_error(), "takes too long") != NULL);
    s24_tokenizer_destroy(t);
}
END_TEST

int main(int argc, char **argv)
{
    folder = argv[argc - 1];
    Suite *suite = suite_create("bad tokenizers");
    TCase *c = tcase_create("bad");
    tcase_add_checked_fixture(c, scene_open, scene_close);
    tcase_add_loop_test(c, test_files, 0, sizeof files / sizeof *files);
    tcase_add_test(c, test_truncated);
    tcase_add_test(c, test_endless_pattern);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
