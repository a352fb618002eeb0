/* lib/model/tokenizer: ids equal to those of the package `tokenizers`, from tokenizer.json and from
 * GGUF; bytes that are no UTF-8, long words, and text back from ids. */
#include "scene.h"
#include "tokenizer/utf8.h"

static const char *const names[] = {
    "gpt-2", "llama-bpe", "qwen2",      "qwen35",        "gpt-4o",  "tekken",  "deepseek-v3",
    "bloom", "falcon",    "behaviours", "sentencepiece", "unknown", "unigram", "charsmap"};
enum { NAMES = sizeof names / sizeof *names, LETTERED = 8 };

/* ---- The reference ---- */

START_TEST(test_ids)
{
    char ends[60], special[60];
    const char *name = names[_i];
    s24_tokenizer *t = open_stored(name);
    for (int64_t i = 0; i < texts(); i++) {
        snprintf(ends, sizeof ends, "%s.ends", name);
        part ids = stored_part(name, ends, i);
        check_ids(t, name, NULL, i, (const int16_t *)(const void *)ids.bytes, ids.count);
        snprintf(special, sizeof special, "%s.special", name);
        snprintf(ends, sizeof ends, "%s.special.ends", name);
        ids = stored_part(special, ends, i);
        check_ids(t, name, "special=1", i, (const int16_t *)(const void *)ids.bytes, ids.count);
    }
    s24_tokenizer_destroy(t);
}
END_TEST

/* The reference puts U+FFFD for what is no UTF-8; here bytes stay. */
START_TEST(test_text)
{
    char buffers[4][60];
    const char *name = names[_i];
    s24_tokenizer *t = open_stored(name);
    snprintf(buffers[0], 60, "%s.special", name);
    snprintf(buffers[1], 60, "%s.special.ends", name);
    snprintf(buffers[2], 60, "%s.bytes", name);
    snprintf(buffers[3], 60, "%s.back", name);
    int compared = 0;
    for (int64_t i = 0; i < texts(); i++) {
        part ids = stored_part(buffers[0], buffers[1], i);
        part back = stored_part(buffers[2], buffers[3], i);
        int32_t *wide = calloc(ids.count + 1, sizeof *wide);
        for (size_t j = 0; j < ids.count; j++) {
            int16_t id;
            memcpy(&id, ids.bytes + 2 * j, 2);
            wide[j] = id;
        }
        const char *text;
        size_t size;
        ck_assert_int_eq(
            s24_tokenizer_decode(t, wide, (int64_t)ids.count, "special=1", &text, &size), S24_OK);
        bool lossy = memmem(back.bytes, back.count, "\xef\xbf\xbd", 3) != NULL;
        if (!lossy) {
            ck_assert_msg(size == back.count && !memcmp(text, back.bytes, size),
                          "%s, text %d: '%s' instead of '%.*s'", name, (int)i, text,
                          (int)back.count, back.bytes);
            compared++;
        }
        free(wide);
    }
    ck_assert_int_gt(compared, 40);
    s24_tokenizer_destroy(t);
}
END_TEST

/* ---- GGUF ---- */

static void compare_on_texts(s24_tokenizer *a, s24_tokenizer *b, const char *name)
{
    for (int64_t i = 0; i < texts(); i++) {
        part p = stored_part("bytes", "ends", i);
        const int32_t *x, *y;
        int64_t m, n;
        ck_assert_int_eq(s24_tokenizer_encode(a, p.bytes, p.count, "bos=no", &x, &m), S24_OK);
        ck_assert_int_eq(s24_tokenizer_encode(b, p.bytes, p.count, "bos=no", &y, &n), S24_OK);
        ck_assert_msg(m == n && !memcmp(x, y, (size_t)n * sizeof *x),
                      "%s, text %d: %d and %d ids that differ", name, (int)i, (int)m, (int)n);
    }
}

/* Normal forms are no matter of GGUF. */
static s24_tokenizer *open_without_normalizer(const char *name)
{
    char path[300];
    buffer text = {0};
    snprintf(path, sizeof path, "%s/%s.json", folder, name);
    ck_assert(s24m_contents_read(&text, path));
    char *at = strstr(text.data, "\"normalizer\":");
    ck_assert(at != NULL);
    memcpy(at, "\"rormalizer\":", 13);
    write_file(scratch_path("plain.json"), text.data, text.size);
    s24m_buffer_free(&text);
    return open_path(scratch_path("plain.json"));
}

START_TEST(test_gguf_letters)
{
    const char *name = names[_i];
    const char *path = scratch_path("a.gguf");
    write_gguf(path, name, "gpt2", name);
    s24_tokenizer *a = open_without_normalizer(name), *b = open_path(path);
    compare_on_texts(a, b, name);
    s24_tokenizer_destroy(a);
    s24_tokenizer_destroy(b);
}
END_TEST

START_TEST(test_gguf_llama)
{
    const char *path = scratch_path("a.gguf");
    int64_t prefix, bos;
    write_gguf(path, "sentencepiece", "llama", NULL);
    s24_tokenizer *a = open_stored("sentencepiece"), *b = open_path(path);
    compare_on_texts(a, b, "sentencepiece");
    ck_assert_int_eq(s24_tokenizer_int(b, "prefix", &prefix), S24_OK);
    ck_assert_int_eq(s24_tokenizer_int(b, "bos", &bos), S24_OK);
    ck_assert(prefix == 1 && bos == 1);
    s24_tokenizer_destroy(a);
    s24_tokenizer_destroy(b);
}
END_TEST

START_TEST(test_sentencepiece_model)
{
    write_sentencepiece(scratch_path("tokenizer.model"));
    s24_tokenizer *a = open_stored("sentencepiece"), *b = open_path(scratch);
    compare_on_texts(a, b, "tokenizer.model");
    s24_tokenizer_destroy(a);
    s24_tokenizer_destroy(b);
}
END_TEST

START_TEST(test_pair)
{
    write_pair("gpt-2");
    s24_tokenizer *a = open_stored("gpt-2"), *b = open_path(scratch);
    compare_on_texts(a, b, "vocab.json");
    s24_tokenizer_destroy(a);
    s24_tokenizer_destroy(b);
}
END_TEST

/* tokenizer_config.json has the last word. */
START_TEST(test_settings)
{
    static const struct {
        const char *name, *text;
        int64_t bos, eos, prefix, suffix;
    } cases[] = {
        {"sentencepiece", "{}", 1, -1, 1, 0},
        {"sentencepiece", "{\"add_bos_token\":false,\"eos_token\":\"</s>\"}", 1, 2, 0, 0},
        {"gpt-2", "{\"bos_token\":{\"content\":\"<|endoftext|>\"},\"add_bos_token\":true}", 0, -1,
         1, 0},
        {"unigram", "{\"bos_token\":null}", -1, -1, 0, 1},
        {"sentencepiece", "{\"add_eos_token\":true,\"eos_token\":\"</s>\"}", 1, 2, 1, 1},
    };
    static const char *const keys[] = {"bos", "eos", "prefix", "suffix"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[300];
        buffer text = {0};
        snprintf(path, sizeof path, "%s/%s.json", folder, cases[i].name);
        ck_assert(s24m_contents_read(&text, path));
        write_file(scratch_path("tokenizer.json"), text.data, text.size);
        write_file(scratch_path("tokenizer_config.json"), cases[i].text, strlen(cases[i].text));
        s24m_buffer_free(&text);
        s24_tokenizer *t = open_path(scratch);
        const int64_t expected[] = {cases[i].bos, cases[i].eos, cases[i].prefix, cases[i].suffix};
        for (int k = 0; k < 4; k++) {
            int64_t value;
            ck_assert_int_eq(s24_tokenizer_int(t, keys[k], &value), S24_OK);
            ck_assert_msg(value == expected[k], "%s: %s is %d, expected %d", cases[i].text, keys[k],
                          (int)value, (int)expected[k]);
        }
        s24_tokenizer_destroy(t);
    }
}
END_TEST

/* Marks on one letter are put in order, however many. */
START_TEST(test_many_marks)
{
    enum { MARKS = 400000 };
    static const char below[] = "\xcc\xa3", above[] = "\xcc\x88";
    char *text = malloc(4 * MARKS + 1);
    const int32_t *ids;
    const char *back;
    int64_t count;
    size_t size;
    *text = 'x';
    for (int i = 0; i < 2 * MARKS; i++)
        memcpy(text + 1 + 2 * i, i % 2 ? below : above, 2);
    s24_tokenizer *t = open_stored("qwen2");
    ck_assert_int_eq(s24_tokenizer_encode(t, text, 4 * MARKS + 1, NULL, &ids, &count), S24_OK);
    ck_assert_int_eq(s24_tokenizer_decode(t, ids, count, NULL, &back, &size), S24_OK);
    /* Those below, of class 220, come first; the first above is composed with the x. */
    ck_assert_uint_eq(size, 3 + 2 * (2 * MARKS - 1));
    ck_assert(!memcmp(back, "\xe1\xba\x8d", 3));
    for (size_t k = 0; k < 2 * MARKS - 1; k++)
        ck_assert(!memcmp(back + 3 + 2 * k, k < MARKS ? below : above, 2));
    free(text);
    s24_tokenizer_destroy(t);
}
END_TEST

START_TEST(test_unknown_pre)
{
    s24_tokenizer *t;
    write_gguf(scratch_path("a.gguf"), "gpt-2", "gpt2", "gpt-5");
    ck_assert_int_eq(s24_tokenizer_open(ctx, scratch_path("a.gguf"), &t), S24_E_UNSUPPORTED);
    ck_assert(t == NULL && strstr(s24_last_error(), "gpt-5") != NULL);
    write_gguf(scratch_path("a.gguf"), "gpt-2", "bert", "gpt-2");
    ck_assert_int_eq(s24_tokenizer_open(ctx, scratch_path("a.gguf"), &t), S24_E_UNSUPPORTED);
    ck_assert(strstr(s24_last_error(), "gpt2, llama and t5") != NULL);
}
END_TEST

/* ---- Bytes ---- */

/* What is no UTF-8 comes back as it was, and its neighbours have the ids that they have alone. */
START_TEST(test_bytes)
{
    static const char *const bad[] = {"\xff",
                                      "a\xc3",
                                      "\x80zz",
                                      "\xed\xa0\x80",
                                      "\xf4\x8a\xae\x80",
                                      "x\xf0\x9f\x98 y",
                                      "\xc0\xaf",
                                      "\xf4\x90\x80\x80"};
    static const char *const kinds[] = {"gpt-2", "llama-bpe", "sentencepiece"};
    for (int k = 0; k < 3; k++) {
        s24_tokenizer *t = open_stored(kinds[k]);
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            const int32_t *ids;
            int64_t count;
            const char *back;
            size_t size;
            ck_assert_int_eq(
                s24_tokenizer_encode(t, bad[i], strlen(bad[i]), "bos=no", &ids, &count), S24_OK);
            ck_assert_int_eq(s24_tokenizer_decode(t, ids, count, NULL, &back, &size), S24_OK);
            ck_assert_msg(size == strlen(bad[i]) && !memcmp(back, bad[i], size),
                          "%s, text %d: %d bytes", kinds[k], (int)i, (int)size);
        }
        s24_tokenizer_destroy(t);
    }
}
END_TEST

START_TEST(test_utf8)
{
    static const struct {
        const char *text;
        size_t length;
    } cases[] = {{"a", 1},
                 {"\x7f", 1},
                 {"\x80", 0},
                 {"\xc2\x80", 2},
                 {"\xc1\xbf", 0},
                 {"\xe0\xa0\x80", 3},
                 {"\xe0\x9f\xbf", 0},
                 {"\xed\x9f\xbf", 3},
                 {"\xed\xa0\x80", 0},
                 {"\xf0\x90\x80\x80", 4},
                 {"\xf0\x8f\xbf\xbf", 0},
                 {"\xf4\x8f\xbf\xbf", 4},
                 {"\xf4\x90\x80\x80", 0},
                 {"\xf5\x80\x80\x80", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size = strlen(cases[i].text);
        ck_assert_uint_eq(s24m_utf8_length(cases[i].text, size), cases[i].length);
        ck_assert_uint_eq(s24m_utf8_length(cases[i].text, size - 1), 0);
    }
    for (uint32_t c = 0; c < 0x110000; c += c == 0xd7ff ? 0x801 : 1) {
        char text[4];
        size_t size = s24m_utf8_put(c, text);
        ck_assert(s24m_utf8_length(text, size) == size && s24m_utf8_step(text) == size &&
                  s24m_utf8_at(text) == c);
    }
}
END_TEST

START_TEST(test_letters)
{
    bool seen[256] = {false};
    for (int byte = 0; byte < 256; byte++) {
        char text[4];
        s24m_letter((unsigned char)byte, text);
        ck_assert_int_eq(s24m_letter_byte(s24m_utf8_at(text)), byte);
        ck_assert(!seen[byte]);
        seen[byte] = true;
    }
    ck_assert_int_eq(s24m_letter_byte(324), -1);
    ck_assert_int_eq(s24m_letter_byte(' '), -1);
}
END_TEST

/* ---- Long words ---- */

/* Two million letters or blanks without an end: minutes if time grew with their square. */
START_TEST(test_long_words)
{
    enum { SIZE = 2000000 };
    static const char *const kinds[] = {"gpt-2", "llama-bpe", "gpt-4o", "sentencepiece", "unigram"};
    char *text = malloc(SIZE);
    s24_tokenizer *t = open_stored(kinds[_i]);
    for (const char *c = "a A"; *c; c++) {
        const int32_t *ids;
        int64_t count;
        const char *back;
        size_t size;
        memset(text, *c, SIZE);
        ck_assert_msg(s24_tokenizer_encode(t, text, SIZE, "bos=no", &ids, &count) == S24_OK, "%s",
                      s24_last_error());
        ck_assert_int_gt(count, SIZE / 80);
        ck_assert_int_eq(s24_tokenizer_decode(t, ids, count, NULL, &back, &size), S24_OK);
        bool lower = !strcmp(kinds[_i], "gpt-4o") && *c == 'A'; /* it has no upper case */
        ck_assert_int_ge((int64_t)size, SIZE - 1);
        ck_assert_int_eq(back[SIZE / 2], lower ? 'a' : *c);
    }
    free(text);
    s24_tokenizer_destroy(t);
}
END_TEST

/* ---- Calls ---- */

START_TEST(test_calls)
{
    s24_tokenizer *t = open_stored("sentencepiece");
    const int32_t *ids;
    const char *text;
    int64_t count, value;
    size_t size;
    ck_assert_int_eq(s24_tokenizer_encode(t, "a", 1, "bos=yes", &ids, &count), S24_OK);
    ck_assert(count == 2 && ids[0] == 1);
    ck_assert_int_eq(s24_tokenizer_encode(t, NULL, 0, "bos=no", &ids, &count), S24_OK);
    ck_assert_int_eq(count, 0);
    ck_assert_int_eq(s24_tokenizer_encode(t, NULL, 1, NULL, &ids, &count), S24_E_ARG);
    ck_assert_int_eq(s24_tokenizer_encode(t, "a", 1, "bos", &ids, &count), S24_E_OPTION);
    ck_assert_int_eq(s24_tokenizer_encode(t, "a", 1, "first=0", &ids, &count), S24_E_OPTION);
    ck_assert_int_eq(s24_tokenizer_encode(t, "a", 1, "special=2", &ids, &count), S24_E_OPTION);
    ck_assert_int_eq(s24_tokenizer_encode(NULL, "a", 1, NULL, &ids, &count), S24_E_ARG);
    ck_assert_int_eq(s24_tokenizer_find(t, S24M_BLANK "the", &value), S24_OK);
    int32_t id = (int32_t)value;
    ck_assert_int_eq(s24_tokenizer_decode(t, &id, 1, NULL, &text, &size), S24_OK);
    ck_assert_str_eq(text, "the");
    ck_assert_int_eq(s24_tokenizer_decode(t, &id, 1, "first=0", &text, &size), S24_OK);
    ck_assert_str_eq(text, " the");
    ck_assert_int_eq(s24_tokenizer_decode(t, &(int32_t){-1}, 1, NULL, &text, &size), S24_E_ARG);
    ck_assert(strstr(s24_last_error(), "id 0 is -1") != NULL);
    ck_assert_int_eq(s24_tokenizer_piece(t, id, &text, &size), S24_OK);
    ck_assert(size == 6 && !strcmp(text, S24M_BLANK "the"));
    ck_assert_int_eq(s24_tokenizer_piece(t, 1 << 20, &text, &size), S24_E_ARG);
    s24_tokenizer_destroy(t);
    s24_tokenizer_destroy(NULL);
}
END_TEST

int main(int argc, char **argv)
{
    folder = argv[argc - 1];
    Suite *suite = suite_create("tokenizer");
    TCase *c = tcase_create("tokenizer");
    tcase_add_checked_fixture(c, scene_open, scene_close);
    tcase_add_loop_test(c, test_ids, 0, NAMES);
    tcase_add_loop_test(c, test_text, 0, NAMES);
    tcase_add_loop_test(c, test_gguf_letters, 0, LETTERED);
    tcase_add_test(c, test_gguf_llama);
    tcase_add_test(c, test_sentencepiece_model);
    tcase_add_test(c, test_pair);
    tcase_add_test(c, test_settings);
    tcase_add_test(c, test_many_marks);
    tcase_add_test(c, test_unknown_pre);
    tcase_add_test(c, test_bytes);
    tcase_add_test(c, test_utf8);
    tcase_add_test(c, test_letters);
    tcase_add_loop_test(c, test_long_words, 0, 5);
    tcase_add_test(c, test_calls);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
