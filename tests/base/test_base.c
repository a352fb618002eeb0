/* lib/base/{error,memory,number,sort,utf8,cpu,clock}.c: what all else stands on. */
#include "../unit.h"
#include "base/clock.h"
#include "base/cpu.h"
#include "base/number.h"
#include "base/sort.h"
#include "base/utf8.h"
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>

/* ---- error ---- */

START_TEST(error_text)
{
    char long_name[1000];

    ck_assert_int_eq(s24i_fail(S24_E_SHAPE, "rows = %d", 7), S24_E_SHAPE);
    ck_assert_str_eq(s24i_error_text(), "rows = 7");
    ck_assert_int_eq(s24i_fail_in(S24_E_ARG, "gram"), S24_E_ARG);
    ck_assert_str_eq(s24i_error_text(), "gram: rows = 7");
    s24i_fail(S24_E_ARG, "%s and %s", s24i_error_text(), s24i_error_text());
    ck_assert_str_eq(s24i_error_text(), "gram: rows = 7 and gram: rows = 7");

    memset(long_name, 'x', sizeof long_name);
    long_name[999] = 0;
    s24i_fail(S24_E_ARG, "%s", long_name);
    ck_assert_uint_eq(strlen(s24i_error_text()), 511);
    long_name[510] = '\xc3'; /* cut between the bytes of one character */
    long_name[511] = '\xa4';
    s24i_fail(S24_E_ARG, "%s", long_name);
    ck_assert_uint_eq(strlen(s24i_error_text()), 511);
    ck_assert(s24i_utf8_valid(s24i_error_text()));
    s24i_fail(S24_E_ARG, "a\nb\x1b[0m\xff\xc3\xa4");
    ck_assert_str_eq(s24i_error_text(), "a?b?[0m?\xc3\xa4");
}
END_TEST

static void *fail_elsewhere(void *arg)
{
    s24i_fail(S24_E_ARG, "there");
    return NULL;
}

START_TEST(error_text_is_per_thread)
{
    pthread_t thread;

    s24i_fail(S24_E_ARG, "here");
    pthread_create(&thread, NULL, fail_elsewhere, NULL);
    pthread_join(thread, NULL);
    ck_assert_str_eq(s24i_error_text(), "here");
}
END_TEST

static void *keep_failures(void *arg)
{
    for (int64_t i = 1000; i > 0; i--)
        s24i_failure_keep(arg, i, s24i_fail((s24_status) - (i % 13) - 1, "task %d", (int)i));
    return NULL;
}

START_TEST(failure_of_the_first_index_wins)
{
    s24i_failure failure = {0};
    pthread_t threads[4];

    ck_assert_int_eq(s24i_failure_raise(&failure), S24_OK);
    s24i_failure_keep(&failure, 0, S24_OK);
    ck_assert_int_eq(s24i_failure_raise(&failure), S24_OK);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, keep_failures, &failure);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    s24i_fail(S24_E_ARG, "something else");
    ck_assert_int_eq(s24i_failure_raise(&failure), -2);
    ck_assert_str_eq(s24i_error_text(), "task 1");
}
END_TEST

START_TEST(nearest_names)
{
    static const char *const known[] = {"damp", "damp_rule", "preset", "max_iter"};
    char longer[300];

    ck_assert_int_eq(s24i_distance("", ""), 0);
    ck_assert_int_eq(s24i_distance("abc", ""), 3);
    ck_assert_int_eq(s24i_distance("", "ab"), 2);
    ck_assert_int_eq(s24i_distance("kitten@[", "sitting`{"), 5);
    ck_assert_int_eq(s24i_distance("DMap", "damp"), 1);
    ck_assert_int_eq(s24i_distance("ca", "abc"), 3);
    memset(longer, 'x', sizeof longer);
    longer[299] = 0;
    ck_assert_int_eq(s24i_distance(longer, "y"), 128);
    ck_assert_str_eq(s24i_nearest("dmap", known, 4), "damp");
    ck_assert_str_eq(s24i_nearest("maxiter", known, 4), "max_iter");
    ck_assert_str_eq(s24i_nearest("preset", known, 4), "preset");
    ck_assert_ptr_null(s24i_nearest("zzzzz", known, 4));
    ck_assert_ptr_null(s24i_nearest("damp", known, 0));
    ck_assert_str_eq(s24i_nearest("dam", (const char *const[]){"damp", "dame"}, 2), "damp");
}
END_TEST

/* ---- memory ---- */

START_TEST(memory_counts_and_limits)
{
    s24i_memory memory;
    unit_heap heap;

    unit_memory(&memory, &heap);
    memory.limit = 2000;
    void *a = s24i_alloc(&memory, 1000), *b = s24i_alloc(&memory, 1000);
    ck_assert(a && b);
    ck_assert_uint_eq(memory.current, 2000);
    s24i_free(&memory, b, 1000);
    ck_assert_ptr_null(s24i_alloc(&memory, 123456));
    ck_assert_str_eq(s24i_error_text(), "memory: 123456 bytes wanted, 1000 of limit 2000 in use");
    ck_assert_ptr_null(s24i_alloc(&memory, 1001));
    ck_assert_ptr_null(s24i_alloc(&memory, SIZE_MAX));
    memory.limit = 10; /* below what is in use */
    ck_assert_ptr_null(s24i_alloc(&memory, 1));
    ck_assert_uint_eq(memory.current, 1000);
    ck_assert_uint_eq(memory.peak, 2000);
    s24i_free(&memory, a, 1000);
    s24i_free(&memory, NULL, 1000);
    unit_check_heap(&memory, &heap);
    ck_assert_uint_eq(memory.peak, 2000);
}
END_TEST

START_TEST(memory_blocks)
{
    s24i_memory memory;
    unit_heap heap;

    unit_memory(&memory, &heap);
    void *empty = s24i_alloc(&memory, 0), *other = s24i_alloc(&memory, 0);
    ck_assert(empty && other && empty != other);
    s24i_free(&memory, empty, 0);
    s24i_free(&memory, other, 0);
    unsigned char *zeros = s24i_alloc_zero(&memory, 5000);
    for (int i = 0; i < 5000; i++)
        ck_assert_uint_eq(zeros[i], 0);
    s24i_free(&memory, zeros, 5000);
    char *text = s24i_strdup(&memory, "text");
    ck_assert_str_eq(text, "text");
    s24i_strfree(&memory, text);
    s24i_strfree(&memory, NULL);
    heap.refuse = heap.calls + 1;
    ck_assert_ptr_null(s24i_alloc(&memory, 77));
    unit_check_text("77 bytes wanted");
    unit_check_text("allocator refused");
    unit_check_heap(&memory, &heap);

    s24i_memory_init(&memory, NULL, NULL, NULL);
    for (size_t size = 0; size < 300; size += 7) {
        void *block = s24i_alloc(&memory, size);
        ck_assert_uint_eq((uintptr_t)block % S24I_ALIGN, 0);
        memset(block, 1, size);
        s24i_free(&memory, block, size);
    }
    ck_assert_ptr_null(s24i_alloc(&memory, (size_t)PTRDIFF_MAX + 1));
    ck_assert_uint_eq(memory.current, 0);
    ck_assert_uint_eq(s24i_mul(3, 5), 15);
    ck_assert_uint_eq(s24i_mul((size_t)1 << 32, (size_t)1 << 32), SIZE_MAX);
}
END_TEST

static void *allocate_much(void *arg)
{
    s24i_memory *memory = arg;

    for (int i = 0; i < 20000; i++) {
        void *block = s24i_alloc(memory, 600);
        if (memory->current > 1000)
            return memory;
        s24i_free(memory, block, 600);
    }
    return NULL;
}

START_TEST(memory_limit_holds_between_threads)
{
    s24i_memory memory;
    pthread_t threads[3];
    void *broken;

    s24i_memory_init(&memory, NULL, NULL, NULL);
    memory.limit = 1000;
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, allocate_much, &memory);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], &broken);
        ck_assert_ptr_null(broken);
    }
    ck_assert_uint_eq(memory.current, 0);
    ck_assert_uint_eq(memory.peak, 600);
}
END_TEST

static void lay_out(s24i_arena *arena, char **a, double **b, char **c)
{
    *a = s24i_arena_take(arena, 1, 1);
    size_t mark = arena->used;
    *b = s24i_arena_take(arena, 100, sizeof **b);
    arena->used = mark;
    *c = s24i_arena_take(arena, 65, 1);
}

START_TEST(arena_prediction_is_exact)
{
    s24i_memory memory;
    s24i_arena counting = {0}, arena = {0};
    char *a, *c;
    double *b;

    s24i_memory_init(&memory, NULL, NULL, NULL);
    lay_out(&counting, &a, &b, &c);
    ck_assert(!a && !b && !c && !counting.exceeded);
    ck_assert_uint_eq(counting.peak, 64 + 832);
    ck_assert_uint_eq(counting.used, 64 + 128);
    arena.size = counting.peak;
    arena.base = s24i_alloc(&memory, arena.size);
    lay_out(&arena, &a, &b, &c);
    ck_assert(a == arena.base && (char *)b == a + 64 && c == a + 64 && !arena.exceeded);
    ck_assert_uint_eq(arena.peak, counting.peak);
    ck_assert_ptr_nonnull(s24i_arena_take(&arena, arena.size - arena.used, 1));
    ck_assert(!arena.exceeded);
    ck_assert_ptr_null(s24i_arena_take(&arena, 1, 1));
    ck_assert(arena.exceeded);
    ck_assert_uint_eq(arena.used, arena.size);
    s24i_free(&memory, arena.base, arena.size);
}
END_TEST

START_TEST(arena_saturates)
{
    s24i_arena arena = {0};

    s24i_arena_take(&arena, SIZE_MAX / 8, 16);
    ck_assert_uint_eq(arena.peak, SIZE_MAX);
    s24i_arena_take(&arena, 1, 64);
    ck_assert_uint_eq(arena.used, SIZE_MAX);
    arena = (s24i_arena){0};
    s24i_arena_take(&arena, SIZE_MAX - 100, 1);
    s24i_arena_take(&arena, 100, 1);
    ck_assert_uint_eq(arena.peak, SIZE_MAX);
    arena = (s24i_arena){0};
    s24i_arena_take(&arena, SIZE_MAX - 10, 1); /* rounding up overflows */
    ck_assert_uint_eq(arena.peak, SIZE_MAX);
}
END_TEST

/* ---- the rest ---- */

START_TEST(numbers_are_read)
{
    static const struct {
        const char *text;
        double value;
    } good[] = {{"0", 0},
                {"-0", 0},
                {"12", 12},
                {"1e3", 1000},
                {".5", .5},
                {"5.", 5},
                {"+2.5", 2.5},
                {"1E-2", .01},
                {"-inf", -INFINITY},
                {"1e999", INFINITY},
                {"0.1", 0.1},
                {"5e-324", 5e-324},
                {"Infinity", INFINITY}};
    static const char *const bad[] = {"",   " 1", "1 ",  "0x10",   "1,5", "1e",    "e5", "--1",
                                      "1a", ".",  "1_0", "nan(1)", "in",  "1.5.2", "+"};
    double value;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        ck_assert_msg(s24i_number_read(good[i].text, &value), "%s", good[i].text);
        ck_assert(value == good[i].value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        value = 4;
        ck_assert_msg(!s24i_number_read(bad[i], &value), "%s", bad[i]);
        ck_assert(value == 4);
    }
    ck_assert(s24i_number_read("nan", &value) && isnan(value));
}
END_TEST

START_TEST(integers_are_read)
{
    static const char *const bad[] = {
        "",    "-",  "+", "1.0", "1e3", " 1", "1 ", "9223372036854775808", "-9223372036854775809",
        "0x1", "--1"};
    int64_t value;

    ck_assert(s24i_integer_read("9223372036854775807", &value) && value == INT64_MAX);
    ck_assert(s24i_integer_read("-9223372036854775808", &value) && value == INT64_MIN);
    ck_assert(s24i_integer_read("+007", &value) && value == 7);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!s24i_integer_read(bad[i], &value), "%s", bad[i]);
}
END_TEST

START_TEST(numbers_are_written_shortest)
{
    static const struct {
        double value;
        const char *text;
    } table[] = {{0, "0"},
                 {-0.0, "-0"},
                 {0.1, "0.1"},
                 {1.0 / 3, "0.3333333333333333"},
                 {1e300, "1e+300"},
                 {100, "100"},
                 {NAN, "nan"},
                 {INFINITY, "inf"},
                 {-INFINITY, "-inf"},
                 {5e-324, "4.94065645841247e-324"},
                 {0.1 + 0.2, "0.30000000000000004"}};
    char text[S24I_NUMBER_SIZE];
    uint64_t state = 1;

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        s24i_number_write(text, table[i].value);
        ck_assert_str_eq(text, table[i].text);
    }
    for (int i = 0; i < 100000; i++) {
        double value, back;
        state = state * 6364136223846793005u + 1442695040888963407u;
        uint64_t bits = state ^ state >> 29;
        memcpy(&value, &bits, sizeof value);
        s24i_number_write(text, value);
        unit_check(s24i_number_read(text, &back));
        unit_check(isnan(value) ? isnan(back) : value == back);
    }
}
END_TEST

START_TEST(numbers_ignore_the_locale)
{
    static const char *const commas[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE",
                                         "fr_FR"};
    char text[S24I_NUMBER_SIZE];
    double value;

    for (size_t i = 0; i < sizeof commas / sizeof *commas; i++) {
        if (!setlocale(LC_NUMERIC, commas[i]))
            continue;
        s24i_number_write(text, -1234.5e-20);
        ck_assert_str_eq(text, "-1.2345e-17");
        ck_assert(s24i_number_read("1.5", &value) && value == 1.5);
        ck_assert(!s24i_number_read("1,5", &value));
    }
    setlocale(LC_NUMERIC, "C");
}
END_TEST

static int by_value(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static const char *word_at(const void *sorted, int64_t index)
{
    return ((const char *const *)sorted)[index];
}

START_TEST(searching)
{
    static const char *const wanted[] = {"", "a", "b", "ba", "bb", "c", "d", "e"};
    static const char *const words[] = {"", "b", "bb", "d"};
    for (int64_t count = 0; count <= 4; count++)
        for (int k = 0; k < 8; k++) {
            bool found;
            int64_t at = k / 2 + k % 2; /* words are every other one of wanted */
            at = at < count ? at : count;
            ck_assert(s24i_search(words, count, word_at, wanted[k], &found) == at &&
                      found == (at < count && !strcmp(words[at], wanted[k])));
        }
}
END_TEST

START_TEST(sorting)
{
    int values[200];
    const void *items[200];

    for (int n = 0; n <= 200; n += n < 20 ? 1 : 45) {
        for (int i = 0; i < n; i++) {
            values[i] = i * 7919 % 101 - (i % 3) * 50;
            items[i] = &values[i];
        }
        s24i_sort(items, n, by_value);
        int64_t sum = 0;
        for (int i = 0; i < n; i++) {
            ck_assert(i == 0 || by_value(items[i - 1], items[i]) <= 0);
            sum += (const int *)items[i] - values;
        }
        ck_assert_int_eq(sum, n * (n - 1) / 2);
    }
}
END_TEST

START_TEST(utf8)
{
    static const char *const good[] = {"",
                                       "abc",
                                       "\xc3\xa4",
                                       "\xe2\x82\xac",
                                       "\xf0\x9f\x98\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {
        "\x80",         "\xc0\x80",         "\xc1\xbf",         "\xe0\x9f\xbf",
        "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
        "\xc3",         "\xe2\x82",         "\xe2\x82x",        "\xf0\x9f\x98",
        "a\xff",        "\xc3\xc3"};

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ck_assert(s24i_utf8_valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!s24i_utf8_valid(bad[i]), "bad[%d]", (int)i);
    ck_assert_uint_eq(s24i_utf8_length("\xe2\x82\xac", 2), 0);
    ck_assert_uint_eq(s24i_utf8_length("\xe2\x82\xac", 3), 3);
}
END_TEST

START_TEST(cpu_and_clock)
{
    uint32_t flags = s24i_cpu_flags();
    double before = s24i_seconds();

    ck_assert(!(flags & S24I_CPU_AVX512) || (flags & S24I_CPU_AVX2));
#if defined __x86_64__
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                __builtin_cpu_supports("bmi2");
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    ck_assert_int_eq((flags & S24I_CPU_AVX2) != 0, avx2);
    ck_assert_int_eq((flags & S24I_CPU_AVX512) != 0, avx512);
    bool vnni = avx512 && __builtin_cpu_supports("avx512vnni") &&
                __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("gfni");
    ck_assert_int_eq((flags & S24I_CPU_AVX512VNNI) != 0, vnni);
    ck_assert((flags & S24I_CPU_AMD) || !avx2 || !__builtin_cpu_is("amd"));
#endif
    ck_assert(s24i_seconds() >= before);
    ck_assert(before > 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base");
    TCase *errors = tcase_create("error"), *memory = tcase_create("memory");
    TCase *rest = tcase_create("rest");

    tcase_add_test(errors, error_text);
    tcase_add_test(errors, error_text_is_per_thread);
    tcase_add_test(errors, failure_of_the_first_index_wins);
    tcase_add_test(errors, nearest_names);
    suite_add_tcase(suite, errors);
    tcase_add_test(memory, memory_counts_and_limits);
    tcase_add_test(memory, memory_blocks);
    tcase_add_test(memory, memory_limit_holds_between_threads);
    tcase_add_test(memory, arena_prediction_is_exact);
    tcase_add_test(memory, arena_saturates);
    suite_add_tcase(suite, memory);
    tcase_add_test(rest, numbers_are_read);
    tcase_add_test(rest, integers_are_read);
    tcase_add_test(rest, numbers_are_written_shortest);
    tcase_add_test(rest, numbers_ignore_the_locale);
    tcase_add_test(rest, sorting);
    tcase_add_test(rest, searching);
    tcase_add_test(rest, utf8);
    tcase_add_test(rest, cpu_and_clock);
    suite_add_tcase(suite, rest);
    return unit_run(suite);
}
