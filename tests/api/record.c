/* lib/api/record.c: members of a JSON object as text, and UTF-8. tests/python/test_records.py
 * compares with another reader. */
#include "api_test.h"
#include <stdio.h>

static const struct {
    const char *record, *key, *value, *after;
} text_table[] = {
    {"{}", "a", "b", "{\"a\":\"b\"}"},
    {" { } ", "a", "b", " {\"a\":\"b\"}"},
    {"{\"a\":1}", "b", "x", "{\"a\":1,\"b\":\"x\"}"},
    {"{\"a\": 1, \"b\": [1, {\"c\": 2}], \"d\": null}", "b", NULL, "{\"a\": 1, \"d\": null}"},
    {"{\"a\": 1, \"b\": 2 }", "b", NULL, "{\"a\": 1}"},
    {"{ \"a\": 1 }", "a", NULL, "{}"},
    {"{\"a\": 1, \"b\": 2}", "a", "z", "{\"b\": 2,\"a\":\"z\"}"},
    {"{\"a\":1}", "none", NULL, "{\"a\":1}"},
    {"{\"x\":{\"a\":1}}", "a", NULL, "{\"x\":{\"a\":1}}"}, /* of the object itself only */
    {"{\"x\":\"a\\\"}\",\"a\":1}", "a", NULL, "{\"x\":\"a\\\"}\"}"},
    {"{\"ab\":1,\"a\":2}", "a", NULL, "{\"ab\":1}"},
    {"{}", "q\"", "\\ \n\x01\x7f", "{\"q\\\"\":\"\\\\ \\u000a\\u0001\x7f\"}"},
    {"{}", "a", "\xc3\xa4\xff\xe2\x82", "{\"a\":\"\xc3\xa4\\udcff\\udce2\\udc82\"}"},
};

START_TEST(texts_are_set)
{
    char out[200];
    const char *after = text_table[_i].after;
    size_t size = s24_record_set_str(text_table[_i].record, text_table[_i].key,
                                     text_table[_i].value, NULL, 0);

    ck_assert_uint_eq(size, strlen(after) + 1);
    for (size_t room = 1; room < size; room++) { /* too little: nothing is written beyond it */
        memset(out, '#', sizeof out);
        ck_assert_uint_eq(s24_record_set_str(text_table[_i].record, text_table[_i].key,
                                             text_table[_i].value, out, room),
                          size);
        ck_assert_int_eq(out[0], 0);
        ck_assert_int_eq(out[room], '#');
    }
    ck_assert_uint_eq(s24_record_set_str(text_table[_i].record, text_table[_i].key,
                                         text_table[_i].value, out, size),
                      size);
    ck_assert_str_eq(out, after);
    if (text_table[_i].value) {
        char value[100];
        ck_assert_uint_eq(s24_record_str(out, "a", value, sizeof value) ||
                              text_table[_i].key[0] == 'q' || text_table[_i].key[0] == 'b',
                          1);
    }
}
END_TEST

START_TEST(numbers_are_set)
{
    static const double values[] = {0, -1, 0.1, 1e300, 4.94e-324, 1e15 + 2, 1.0 / 3, 123456789};
    double value = 7;
    char out[100];

    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        ck_assert_uint_gt(s24_record_set_float("{\"a\":1}", "b", values[i], out, sizeof out), 0);
        ck_assert_int_eq(s24_record_float(out, "b", &value), S24_OK);
        ck_assert_double_eq(value, values[i]);
    }
    s24_record_set_float("{\"a\":1}", "a", 0.5, out, sizeof out);
    ck_assert_str_eq(out, "{\"a\":0.5}");
    s24_record_set_float("{}", "a", NAN, out, sizeof out);
    ck_assert_str_eq(out, "{\"a\":null}");
    ck_assert_int_eq(s24_record_float(out, "a", &value), S24_E_ARG);
    s24_record_set_float("{}", "a", -INFINITY, out, sizeof out);
    ck_assert_str_eq(out, "{\"a\":null}");
    fails(s24_record_float("{\"a\":\"1\"}", "a", &value), S24_E_ARG, "no number \"a\"");
    fails(s24_record_float("{}", "a", &value), S24_E_ARG, "no number \"a\"");
    fails(s24_record_float(NULL, "a", &value), S24_E_ARG, "no number");
    fails(s24_record_float("{\"a\":1}", "a", NULL), S24_E_ARG, "no number");
    ck_assert_double_eq(value, 123456789); /* untouched */
}
END_TEST

static const struct {
    const char *json, *value;
} escape_table[] = {
    {"\"\"", ""},
    {"\"a\\\"b\\\\c\\/d\"", "a\"b\\c/d"},
    {"\"\\b\\f\\n\\r\\t\"", "\b\f\n\r\t"},
    {"\"\\u00e4\\u20ac\\ud83d\\ude00\"", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
    {"\"\\udcff\\udc80\"", "\xff\x80"},
    {"\"\\ud83d!\\ude00\"", "\xef\xbf\xbd!\xef\xbf\xbd"},
    {"\"\\u12\\x\"", "u12x"},
    {"\"cut", "cut"},
};

START_TEST(texts_are_read)
{
    char record[100], value[100];

    snprintf(record, sizeof record, "{\"n\":1, \"a\" : %s}", escape_table[_i].json);
    size_t size = s24_record_str(record, "a", value, sizeof value);
    if (strcmp(escape_table[_i].value, "cut"))
        ck_assert_uint_eq(size, strlen(escape_table[_i].value) + 1);
    ck_assert_int_eq(strncmp(value, escape_table[_i].value, strlen(escape_table[_i].value)), 0);
    ck_assert_uint_eq(s24_record_str(record, "n", value, sizeof value), 0);
    ck_assert_int_eq(s24_last_status(), S24_E_ARG);
    ck_assert_ptr_nonnull(strstr(s24_last_error(), "s24_record_str: the record has no text \"n\""));
}
END_TEST

START_TEST(no_objects)
{
    static const char *const records[] = {"", "[]", "1", "{", "}", "x{}", "{\"a\":1", NULL};
    char out[100];

    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        ck_assert_uint_eq(s24_record_set_str(records[i], "a", "b", out, sizeof out), 0);
        ck_assert_int_eq(s24_last_status(), S24_E_ARG);
        ck_assert_ptr_nonnull(strstr(s24_last_error(), "is no JSON object"));
        ck_assert_uint_eq(s24_record_set_float(records[i], "a", 1, out, sizeof out), 0);
    }
    ck_assert_uint_eq(s24_record_set_str("{}", NULL, "b", out, sizeof out), 0);
}
END_TEST

/* Whatever stands there, nothing beyond its end is looked at. */
START_TEST(records_that_are_cut)
{
    static const char whole[] =
        "{\"a\":[1,{\"b\":\"\\\"\\u00e4\"}],\"c\":\"\\ud83d\\ude00\",\"d\":1e5}";
    double value;

    for (size_t length = 0; length < sizeof whole; length++) {
        char *cut = malloc(length + 2), out[200];
        memcpy(cut, whole, length);
        strcpy(cut + length, "");
        for (int i = 0; i < 2; i++, strcpy(cut + length, "}")) {
            static const char *const keys[] = {"a", "b", "c", "d", "e"};
            for (size_t k = 0; k < 5; k++) {
                s24_record_float(cut, keys[k], &value);
                s24_record_str(cut, keys[k], out, sizeof out);
                s24_record_set_str(cut, keys[k], i ? NULL : "x", out, sizeof out);
            }
        }
        free(cut);
    }
}
END_TEST

START_TEST(characters)
{
    ck_assert_uint_eq(s24_utf8_length("a", 1), 1);
    ck_assert_uint_eq(s24_utf8_length("\xc3\xa4", 2), 2);
    ck_assert_uint_eq(s24_utf8_length("\xc3\xa4", 1), 0);
    ck_assert_uint_eq(s24_utf8_length("\xf0\x9f\x98\x80", 4), 4);
    ck_assert_uint_eq(s24_utf8_length("\xed\xa0\x80", 3), 0);
    ck_assert_uint_eq(s24_utf8_length("\xc0\x80", 2), 0);
    ck_assert_uint_eq(s24_utf8_length("\xff", 1), 0);
    ck_assert_uint_eq(s24_utf8_length("", 0), 0);
    ck_assert_uint_eq(s24_utf8_length(NULL, 4), 0);
    double moment = s24_seconds();
    ck_assert(s24_seconds() >= moment);
}
END_TEST

void api_record_tests(Suite *suite)
{
    TCase *all = tcase_create("record");

    tcase_add_loop_test(all, texts_are_set, 0, sizeof text_table / sizeof *text_table);
    tcase_add_test(all, numbers_are_set);
    tcase_add_loop_test(all, texts_are_read, 0, sizeof escape_table / sizeof *escape_table);
    tcase_add_test(all, no_objects);
    tcase_add_test(all, records_that_are_cut);
    tcase_add_test(all, characters);
    suite_add_tcase(suite, all);
}
