/* lib/base/json.c: a strict reader against texts that are right and wrong, and the writer. */
#include "../unit.h"
#include "base/json.h"
#include <math.h>
#include <stdio.h>

enum { DEPTH = 5, VALUES = 100 };

/* The text in a block of its own, so that reading past its end is seen by sanitizers. */
static s24_status parse_bytes(s24i_memory *memory, const char *text, size_t size,
                              s24i_json_doc **doc)
{
    char *exact = malloc(size ? size : 1);

    memcpy(exact, text, size);
    s24_status status = s24i_json_parse(memory, exact, size, DEPTH, VALUES, doc);
    free(exact);
    return status;
}

static void print_value(const s24i_json *value, s24i_text *out)
{
    int64_t children = 0;

    switch (value->kind) {
    case S24I_JSON_NULL:
        s24i_text_append(out, "null");
        return;
    case S24I_JSON_BOOL:
        s24i_text_append(out, value->number ? "true" : "false");
        return;
    case S24I_JSON_NUMBER:
        s24i_text_json_number(out, value->number);
        return;
    case S24I_JSON_STRING:
        s24i_text_json_string(out, value->string);
        return;
    default:
        break;
    }
    bool object = value->kind == S24I_JSON_OBJECT;
    s24i_text_append(out, object ? "{" : "[");
    for (const s24i_json *child = value->first; child; child = child->next, children++) {
        s24i_text_append(out, child == value->first ? "" : ",");
        ck_assert_int_eq(object, child->key != NULL);
        if (object) {
            s24i_text_json_string(out, child->key);
            s24i_text_append(out, ":");
        }
        print_value(child, out);
    }
    s24i_text_append(out, object ? "}" : "]");
    ck_assert_int_eq(children, value->count);
}

static const struct {
    const char *text, *printed;
} good[] = {
    {"null", "null"},
    {" \t\r\n true \n", "true"},
    {"false", "false"},
    {"0", "0"},
    {"-0", "-0"},
    {"-0.50e+1", "-5"},
    {"1E2", "100"},
    {"123456789012345678901234567890", "1.2345678901234568e+29"},
    {"1e999", "null"},
    {"\"\"", "\"\""},
    {"\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"a\\\"\\\\/\\b\\f\\n\\r\\t\""},
    {"\"\\u0041\\u00e4\\u20AC\\ud83d\\ude00\"", "\"A\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\""},
    {"\"\xc3\xa4\xf4\x8f\xbf\xbf\"", "\"\xc3\xa4\xf4\x8f\xbf\xbf\""},
    {"\"\\u0001\\u001f\x7f\"", "\"\\u0001\\u001f\\u007f\""},
    {"[\"\\\"a string that goes on after its first quote\",\"another\"]",
     "[\"\\\"a string that goes on after its first quote\",\"another\"]"},
    {"[]", "[]"},
    {"[ ]", "[]"},
    {"{ }", "{}"},
    {"[1, 2 ,[3]]", "[1,2,[3]]"},
    {"{\"a\" : 1 , \"b\":{\"a\":[null]}}", "{\"a\":1,\"b\":{\"a\":[null]}}"},
    {"[[[[[]]]]]", "[[[[[]]]]]"},
    {"[[[]],[[]],{},{},{},{},{}]", "[[[]],[[]],{},{},{},{},{}]"},
    {"{\"\":{}}", "{\"\":{}}"},
    {"{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,\"A\":9}",
     "{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,\"A\":9}"},
};

START_TEST(good_texts)
{
    s24i_memory memory;
    unit_heap heap;
    s24i_json_doc *doc;

    unit_memory(&memory, &heap);
    s24i_text out = {.memory = &memory};
    ck_assert_msg(parse_bytes(&memory, good[_i].text, strlen(good[_i].text), &doc) == S24_OK,
                  "%s: %s", good[_i].text, s24i_error_text());
    print_value(s24i_json_root(doc), &out);
    ck_assert_str_eq(out.data, good[_i].printed);
    s24i_json_free(doc);
    s24i_text_free(&out);
    unit_check_heap(&memory, &heap);
}
END_TEST

static const struct {
    const char *text;
    int byte;
    const char *what;
} bad[] = {
    {"", 0, "a value expected"},
    {"  ", 2, "a value expected"},
    {"nul", 0, "a value expected"},
    {"True", 0, "a value expected"},
    {"NaN", 0, "a value expected"},
    {"'a'", 0, "a value expected"},
    {"\xef\xbb\xbf{}", 0, "a value expected"},
    {"01", 1, "text after the value"},
    {"1.", 2, "a digit expected"},
    {".5", 0, "a value expected"},
    {"+1", 0, "a value expected"},
    {"-", 1, "a digit expected"},
    {"-a", 1, "a digit expected"},
    {"1e", 2, "a digit expected"},
    {"1e+", 3, "a digit expected"},
    {"1.e1", 2, "a digit expected"},
    {"0x10", 1, "text after the value"},
    {"1 2", 2, "text after the value"},
    {"[1,]", 3, "a value expected"},
    {"[,1]", 1, "a value expected"},
    {"[1 2]", 3, "',' or ']' expected"},
    {"[1", 2, "',' or ']' expected"},
    {"[", 1, "a value expected"},
    {"[1}", 2, "',' or ']' expected"},
    {"]", 0, "a value expected"},
    {"{\"a\":1,}", 7, "a string expected"},
    {"{\"a\" 1}", 5, "':' expected"},
    {"{\"a\"}", 4, "':' expected"},
    {"{a:1}", 1, "a string expected"},
    {"{1:1}", 1, "a string expected"},
    {"{\"a\":}", 5, "a value expected"},
    {"{\"a\":1 \"b\":2}", 7, "',' or '}' expected"},
    {"{\"a\":1]", 6, "',' or '}' expected"},
    {"{\"a\":1,\"a\":2}", 13, "has the key 'a' twice"},
    {"{\"a\":1,\"b\":{\"\\u0061\":0,\"a\":2}}", 29, "has the key 'a' twice"},
    {"{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,\"i\":9,\"c\":9}", 61,
     "has the key 'c' twice"},
    {"\"a", 2, "string without an end"},
    {"\"a\\", 3, "unknown escape"},
    {"\"a\\\"", 4, "string without an end"},
    {"\"\\x41\"", 2, "unknown escape"},
    {"\"\\U0041\"", 2, "unknown escape"},
    {"\"\\u12\"", 5, "four hexadecimal digits"},
    {"\"\\u12g4\"", 5, "four hexadecimal digits"},
    {"\"\\u0000\"", 7, "NUL in a string"},
    {"\"\\ud800\"", 7, "high surrogate"},
    {"\"\\ud800x\"", 7, "high surrogate"},
    {"\"\\ud800\\n\"", 8, "high surrogate"},
    {"\"\\ud800\\u0041\"", 13, "high surrogate"},
    {"\"\\ud800\\ud800\"", 13, "high surrogate"},
    {"\"\\udc00\"", 7, "low surrogate"},
    {"\"a\nb\"", 2, "control character"},
    {"\"\t\"", 1, "control character"},
    {"\"\xff\"", 1, "not UTF-8"},
    {"\"\xc0\x80\"", 1, "not UTF-8"},
    {"\"\xed\xa0\x80\"", 1, "not UTF-8"},
    {"\"ab\xe2\x82\"", 3, "not UTF-8"},
    {"[[[[[[]]]]]]", 5, "nested too deeply"},
    {"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}}", 25, "nested too deeply"},
    {"//a\n1", 0, "a value expected"},
    {"1/**/", 1, "text after the value"},
};

START_TEST(bad_texts)
{
    s24i_memory memory;
    unit_heap heap;
    s24i_json_doc *doc = NULL;
    char prefix[64];

    unit_memory(&memory, &heap);
    ck_assert_int_eq(parse_bytes(&memory, bad[_i].text, strlen(bad[_i].text), &doc), S24_E_FORMAT);
    snprintf(prefix, sizeof prefix, "json: byte %d: ", bad[_i].byte);
    unit_check_text(prefix);
    unit_check_text(bad[_i].what);
    ck_assert_ptr_null(doc);
    unit_check_heap(&memory, &heap);
}
END_TEST

START_TEST(nul_bytes)
{
    s24i_memory memory;
    s24i_json_doc *doc;

    s24i_memory_init(&memory, NULL, NULL, NULL);
    ck_assert_int_eq(parse_bytes(&memory, "\"a\0b\"", 5, &doc), S24_E_FORMAT);
    unit_check_text("byte 2: control character");
    ck_assert_int_eq(parse_bytes(&memory, "1\0", 2, &doc), S24_E_FORMAT);
    ck_assert_int_eq(parse_bytes(&memory, "\"\\\0\"", 4, &doc), S24_E_FORMAT);
    ck_assert_int_eq(parse_bytes(&memory, "\"\\u00\0\0\"", 8, &doc), S24_E_FORMAT);
    ck_assert_int_eq(parse_bytes(&memory, "\0", 1, &doc), S24_E_FORMAT);
}
END_TEST

START_TEST(value_limit)
{
    s24i_memory memory;
    unit_heap heap;
    s24i_json_doc *doc;
    char text[2 * VALUES + 2] = "[";

    unit_memory(&memory, &heap);
    for (int i = 0; i < VALUES - 1; i++)
        strcat(text, i ? ",1" : "1");
    strcat(text, "]");
    ck_assert_int_eq(parse_bytes(&memory, text, strlen(text), &doc), S24_OK);
    ck_assert_int_eq(s24i_json_root(doc)->count, VALUES - 1);
    s24i_json_free(doc);
    strcpy(text + strlen(text) - 1, ",1]");
    ck_assert_int_eq(parse_bytes(&memory, text, strlen(text), &doc), S24_E_FORMAT);
    unit_check_text("too many values");
    unit_check_heap(&memory, &heap);
}
END_TEST

static const char mixed[] =
    "{\"key\":[1,-2.5e3,\"\\ud83d\\ude00\xc3\xa4\",null,{\"a\":true}],\"b\":\"\"}";

START_TEST(every_prefix_is_bad)
{
    s24i_memory memory;
    unit_heap heap;
    s24i_json_doc *doc;

    unit_memory(&memory, &heap);
    for (size_t size = 0; size < sizeof mixed - 1; size++)
        ck_assert_int_eq(parse_bytes(&memory, mixed, size, &doc), S24_E_FORMAT);
    unit_check_heap(&memory, &heap);
}
END_TEST

/* Whatever is accepted prints to something that is accepted and prints the same. */
static void check_stable(s24i_memory *memory, const char *text, size_t size)
{
    s24i_text first = {.memory = memory}, second = {.memory = memory};
    s24i_json_doc *doc;

    if (parse_bytes(memory, text, size, &doc))
        return;
    print_value(s24i_json_root(doc), &first);
    s24i_json_free(doc);
    ck_assert_int_eq(parse_bytes(memory, first.data, first.size, &doc), S24_OK);
    print_value(s24i_json_root(doc), &second);
    s24i_json_free(doc);
    ck_assert_str_eq(first.data, second.data);
    s24i_text_free(&first);
    s24i_text_free(&second);
}

START_TEST(damaged_texts)
{
    static const char pieces[] = "{}[]\",:\\u0d1-.eE tfn\x01\x80\xc3\xff";
    s24i_memory memory;
    unit_heap heap;
    uint32_t state = 1;

    unit_memory(&memory, &heap);
    for (int i = 0; i < 20000; i++) {
        char text[sizeof mixed];
        memcpy(text, mixed, sizeof mixed);
        for (int change = 0; change < 1 + i % 3; change++) {
            state = state * 1664525 + 1013904223;
            text[(state >> 8) % (sizeof mixed - 1)] = pieces[(state >> 20) % (sizeof pieces - 1)];
        }
        check_stable(&memory, text, sizeof mixed - 1);
    }
    unit_check_heap(&memory, &heap);
}
END_TEST

START_TEST(memory_is_refused)
{
    s24i_memory memory;
    unit_heap heap;
    s24i_json_doc *doc = NULL;
    s24_status status = S24_E_MEMORY;
    char text[12000] = "{\"0\":0";

    for (int i = 1; i < 90; i++)
        sprintf(text + strlen(text), ",\"%0100d\":%d", i, i);
    strcat(text, "}");
    for (int64_t k = 1; status; k++) {
        unit_memory(&memory, &heap);
        heap.refuse = k;
        status = parse_bytes(&memory, text, strlen(text), &doc);
        ck_assert(status == S24_E_MEMORY || (status == S24_OK && k > 3));
        if (status)
            ck_assert_ptr_null(doc);
        else
            s24i_json_free(doc);
        unit_check_heap(&memory, &heap);
    }
}
END_TEST

/* Whoever compares each key with each waits for minutes here. */
START_TEST(many_keys)
{
    enum { KEYS = 100000 };
    s24i_memory memory;
    unit_heap heap;
    s24i_json_doc *doc;
    int64_t value;

    unit_memory(&memory, &heap);
    s24i_text text = {.memory = &memory};
    for (int i = 0; i < KEYS; i++)
        s24i_text_append(&text, "%s\"key %d\":%d", i ? "," : "{", i * 7919 % KEYS, i);
    s24i_text_append(&text, "}");
    ck_assert_int_eq(s24i_json_parse(&memory, text.data, text.size, 1, KEYS + 1, &doc), S24_OK);
    ck_assert(s24i_json_u63(s24i_json_get(s24i_json_root(doc), "key 7919"), &value));
    ck_assert_int_eq(value, 1);
    ck_assert_ptr_null(s24i_json_get(s24i_json_root(doc), "key"));
    s24i_json_free(doc);
    text.size--;
    s24i_text_append(&text, ",\"key 500\":0}");
    ck_assert_int_eq(s24i_json_parse(&memory, text.data, text.size, 1, KEYS + 2, &doc),
                     S24_E_FORMAT);
    unit_check_text("'key 500' twice");
    s24i_text_free(&text);
    unit_check_heap(&memory, &heap);
}
END_TEST

START_TEST(integers)
{
    static const struct {
        const char *text;
        int64_t value; /* -1: not one */
    } table[] = {{"[0]", 0},
                 {"[9223372036854775807]", INT64_MAX},
                 {"[9223372036854775808]", -1},
                 {"[-1]", -1},
                 {"[-0]", -1},
                 {"[1.0]", -1},
                 {"[1e3]", -1},
                 {"[\"1\"]", -1},
                 {"[true]", -1},
                 {"[null]", -1},
                 {"[[]]", -1},
                 {"[]", -1}};
    s24i_memory memory;
    s24i_json_doc *doc;

    s24i_memory_init(&memory, NULL, NULL, NULL);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        int64_t value = -1;
        ck_assert_int_eq(parse_bytes(&memory, table[i].text, strlen(table[i].text), &doc), S24_OK);
        ck_assert_int_eq(s24i_json_u63(s24i_json_root(doc)->first, &value), table[i].value >= 0);
        ck_assert_int_eq(value, table[i].value);
        s24i_json_free(doc);
    }
    ck_assert_int_eq(parse_bytes(&memory, "123456789012345678901234567890", 30, &doc), S24_OK);
    ck_assert_str_eq(s24i_json_root(doc)->string, "123456789012345678901234567890");
    ck_assert_ptr_null(s24i_json_get(s24i_json_root(doc), "a"));
    ck_assert_ptr_null(s24i_json_get(NULL, "a"));
    s24i_json_free(doc);
}
END_TEST

/* ---- writing ---- */

START_TEST(text_grows)
{
    s24i_memory memory;
    unit_heap heap;

    unit_memory(&memory, &heap);
    s24i_text text = {.memory = &memory};
    for (int i = 0; i < 1000; i++)
        s24i_text_append(&text, "%d,", i);
    ck_assert_uint_eq(text.size, strlen(text.data));
    ck_assert_uint_eq(text.size, 10 * 2 + 90 * 3 + 900 * 4);
    ck_assert_str_eq(text.data + text.size - 4, "999,");
    s24i_text_json_string(&text, "a\xff\n\"\x02");
    ck_assert_str_eq(text.data + 3890, "\"a\xef\xbf\xbd\\n\\\"\\u0002\"");
    s24i_text_free(&text);
    unit_check_heap(&memory, &heap);
}
END_TEST

START_TEST(text_fails_for_good)
{
    s24i_memory memory;
    unit_heap heap;

    unit_memory(&memory, &heap);
    heap.refuse = 2;
    s24i_text text = {.memory = &memory};
    for (int i = 0; i < 1000; i++)
        s24i_text_append(&text, "%d,", i);
    s24i_text_json_string(&text, "x");
    ck_assert(text.failed);
    ck_assert_ptr_null(text.data);
    ck_assert_uint_eq(text.size, 0);
    ck_assert_int_eq(heap.calls, 2);
    unit_check_heap(&memory, &heap);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json");
    TCase *reading = tcase_create("reading"), *writing = tcase_create("writing");

    tcase_add_loop_test(reading, good_texts, 0, sizeof good / sizeof *good);
    tcase_add_loop_test(reading, bad_texts, 0, sizeof bad / sizeof *bad);
    tcase_add_test(reading, nul_bytes);
    tcase_add_test(reading, value_limit);
    tcase_add_test(reading, every_prefix_is_bad);
    tcase_add_test(reading, damaged_texts);
    tcase_add_test(reading, memory_is_refused);
    tcase_add_test(reading, many_keys);
    tcase_add_test(reading, integers);
    suite_add_tcase(suite, reading);
    tcase_add_test(writing, text_grows);
    tcase_add_test(writing, text_fails_for_good);
    suite_add_tcase(suite, writing);
    return unit_run(suite);
}
