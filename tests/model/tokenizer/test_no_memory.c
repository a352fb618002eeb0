/* lib/model/tokenizer: a call that gets no memory says so, leaks nothing, and works when it is made
 * again. The k-th allocation fails, for every k there is. */
#include "scene.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);

static long countdown; /* 0: nothing fails */
static bool refused;

static bool refuse(void)
{
    bool now = countdown && !--countdown;
    refused |= now;
    return now;
}

void *__wrap_malloc(size_t size)
{
    return refuse() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return refuse() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size)
{
    return refuse() ? NULL : __real_realloc(block, size);
}

static void arm(long k)
{
    countdown = k;
    refused = false;
}

static bool disarm(void)
{
    countdown = 0;
    return refused;
}

static int told, silent; /* refusals that were an error, and that were not */

/* PCRE2 without memory for machine code interprets a pattern, with the same result. */
static void check_status(s24_status status, bool was_refused, const char *what)
{
    ck_assert_msg(status == S24_OK || (was_refused && status == S24_E_MEMORY), "%s: %s, '%s'", what,
                  s24_status_name(status), s24_last_error());
    told += was_refused && status;
    silent += was_refused && !status;
}

/* Open with the k-th allocation refused, until none is. */
static long open_refused(const char *path)
{
    long k = 1;
    for (bool more = true; more; k++) {
        s24_tokenizer *t;
        arm(k);
        s24_status status = s24_tokenizer_open(ctx, path, &t);
        more = disarm();
        check_status(status, more, path);
        ck_assert(!status == (t != NULL));
        s24_tokenizer_destroy(t);
    }
    return k;
}

START_TEST(test_open)
{
    static const char *const names[] = {"qwen2", "falcon", "sentencepiece", "charsmap"};
    char path[300];
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s.json", folder, names[i]);
        ck_assert_int_gt(open_refused(path), 20);
    }
    write_gguf(scratch_path("a.gguf"), "gpt-2", "gpt2", "gpt-2");
    ck_assert_int_gt(open_refused(scratch_path("a.gguf")), 20);
    write_gguf(scratch_path("b.gguf"), "sentencepiece", "llama", NULL);
    ck_assert_int_gt(open_refused(scratch_path("b.gguf")), 20);
    ck_assert_int_gt(told, 3 * silent);
}
END_TEST

START_TEST(test_both_ways)
{
    static const char *const names[] = {"qwen2", "gpt-4o", "sentencepiece", "charsmap"};
    part text = stored_part("bytes", "ends", 1);
    for (int i = 0; i < 4; i++) {
        for (long k = 1, more = true; more; k++) {
            s24_tokenizer *t = open_stored(names[i]);
            const int32_t *ids;
            const char *back;
            int64_t count = 0;
            size_t size;
            arm(k);
            s24_status status = s24_tokenizer_encode(t, text.bytes, text.count, NULL, &ids, &count);
            if (!status)
                status = s24_tokenizer_decode(t, ids, count, NULL, &back, &size);
            more = disarm();
            check_status(status, more, names[i]);
            ck_assert_int_eq(s24_tokenizer_encode(t, text.bytes, text.count, NULL, &ids, &count),
                             S24_OK);
            char ends[60];
            snprintf(ends, sizeof ends, "%s.ends", names[i]);
            ck_assert_int_eq(count, (int64_t)stored_part(names[i], ends, 1).count);
            s24_tokenizer_destroy(t);
        }
    }
    ck_assert_int_gt(told, 3 * silent);
}
END_TEST

int main(int argc, char **argv)
{
    folder = argv[argc - 1];
    Suite *suite = suite_create("tokenizer without memory");
    TCase *c = tcase_create("no memory");
    tcase_add_checked_fixture(c, scene_open, scene_close);
    tcase_add_test(c, test_open);
    tcase_add_test(c, test_both_ways);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
