/* lib/io/safetensors.c: headers that are right and wrong, and views. */
#include "../scratch.h"
#include <sys/stat.h>

/* A file of this header and `data` bytes; `lie` is added to the length. */
static size_t make_file(char *bytes, const char *header, size_t data, int64_t lie)
{
    uint64_t length = strlen(header) + (uint64_t)lie;

    for (int i = 0; i < 8; i++)
        bytes[i] = (char)(length >> 8 * i);
    strcpy(bytes + 8, header);
    for (size_t i = 0; i < data; i++)
        bytes[8 + strlen(header) + i] = (char)i;
    return 8 + strlen(header) + data;
}

START_TEST(order_and_lookup)
{
    s24i_writer *w = create();
    const s24i_tensor *t = NULL;
    s24_mat mat = matrix("abcdefgh", 1, 1, S24_U8);
    char name[64];

    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "model.layers.%d.weight", i * 77 % 200);
        ck_assert_int_eq(s24i_writer_put(w, name, &mat, NULL, 0, NULL), S24_OK);
    }
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "model.layers.%d.weight", i);
        ck_assert_int_eq(s24i_writer_put(w, name, &mat, NULL, 0, NULL), S24_E_ARG);
        unit_check_text("already in the file");
    }
    commit(w);
    s24i_reader *file = reopen();
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "model.layers.%d.weight", i * 77 % 200);
        ck_assert_str_eq(s24i_reader_at(file, i)->name, name);
        ck_assert_int_eq(s24i_reader_find(file, name, &t), S24_OK);
        ck_assert_ptr_eq(t, s24i_reader_at(file, i));
    }
    ck_assert_ptr_null(s24i_reader_at(file, 200));
    ck_assert_ptr_null(s24i_reader_at(file, -1));
    ck_assert_int_eq(s24i_reader_find(file, "model.layers.17.wieght", &t), S24_E_ARG);
    unit_check_text("no tensor 'model.layers.17.wieght' among the 200 of the file; nearest: "
                    "model.layers.17.weight, model.layers.1");
    ck_assert_int_eq(s24i_reader_find(file, "layers.199", &t), S24_E_ARG);
    unit_check_text("nearest: model.layers.199.weight, ");
    s24_mat view = {.rows = -5};
    ck_assert_int_eq(s24i_reader_view(file, "", &view), S24_E_ARG);
    ck_assert_int_eq(view.rows, -5);
    s24i_reader_close(file);
}
END_TEST

START_TEST(foreign_but_good)
{
    static const struct {
        const char *header;
        size_t data;
        int64_t count;
    } good[] = {
        {"{}", 0, 0},
        {"{}      \n\t", 0, 0},
        {"{\"a\":{\"data_offsets\":[0,8],\"shape\":[2],\"dtype\":\"U32\",\"more\":[{\"x\":1}]}}", 8,
         1},
        {"{\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]},"
         "\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}",
         8, 2},
        {"{\"a\":{\"dtype\":\"F4\",\"shape\":[3,2],\"data_offsets\":[0,3]}}", 3, 1},
        {"{\"a\":{\"dtype\":\"U64\",\"shape\":[],\"data_offsets\":[0,8]},\"__metadata__\":{}}", 8,
         1},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, 1},
        {"{\"z\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[4,4]},"
         "\"y\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"x\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}",
         4, 3},
    };
    char bytes[500];

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        write_bytes(bytes, make_file(bytes, good[i].header, good[i].data, 0));
        s24i_reader *file = reopen();
        ck_assert_int_eq(file->count, good[i].count);
        s24i_reader_close(file);
    }
}
END_TEST

START_TEST(types_without_a_code)
{
    char bytes[500];
    s24_mat view;

    write_bytes(bytes, make_file(bytes,
                                 "{\"a\":{\"dtype\":\"U64\",\"shape\":[2],\"data_offsets\":[0,16]},"
                                 "\"b\":{\"dtype\":\"F4\",\"shape\":[2],\"data_offsets\":[16,17]}}",
                                 17, 0));
    s24i_reader *file = reopen();
    ck_assert_int_eq(file->count, 2);
    ck_assert_str_eq(s24i_reader_at(file, 0)->element->name, "U64");
    ck_assert_int_eq(s24i_reader_view(file, "a", &view), S24_E_DTYPE);
    unit_check_text("tensor 'a': elements of type U64");
    ck_assert_int_eq(s24i_reader_view(file, "b", &view), S24_E_DTYPE);
    s24i_reader_close(file);
}
END_TEST

/* Listed, and copied byte for byte; the metadata may be null. */
START_TEST(unknown_types)
{
    static const char header[] =
        "{\"a\":{\"dtype\":\"F8_E4M3FNUZ\",\"shape\":[2],\"data_offsets\":[0,2]},"
        "\"b\":{\"dtype\":\"U3_\\\"new\\\"\",\"shape\":[3,7],\"data_offsets\":[2,10]},"
        "\"c\":{\"dtype\":\"f32\",\"shape\":[1],\"data_offsets\":[10,14]}}";
    static const char *const types[] = {"F8_E4M3FNUZ", "U3_\"new\"", "f32"};
    char bytes[500], again[500], with_null[400];
    s24i_writer *w = NULL;
    s24_mat view;

    snprintf(with_null, sizeof with_null, "{\"__metadata__\":null,%s", header + 1);
    write_bytes(bytes, make_file(bytes, with_null, 14, 0));
    s24i_reader *file = reopen();
    ck_assert_ptr_null(s24i_reader_meta_key(file, 0));
    ck_assert_int_eq(s24i_writer_create(&memory, path, "safetensors", &w), S24_OK);
    for (int i = 0; i < 3; i++) {
        const s24i_tensor *t = s24i_reader_at(file, i);
        ck_assert_str_eq(t->type, types[i]);
        ck_assert_int_eq(s24i_reader_view(file, t->name, &view), S24_E_DTYPE);
        unit_check_text(types[i]);
        ck_assert_int_eq(s24i_writer_put_stored(w, t), S24_OK);
    }
    s24i_reader_close(file);
    commit(w);
    size_t size = make_file(bytes, header, 14, 0), length = read_bytes(again, sizeof again);
    ck_assert_mem_eq(again + length - 14, bytes + size - 14, 14);
    ck_assert_mem_eq(again + 8, header, sizeof header - 1);
}
END_TEST

/* ---- bad files ---- */

#define ENTRY(fields) "{\"a\":{" fields "}}"
#define FIELDS(dtype, shape, offsets) \
    "\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets

static const struct {
    const char *header;
    int data;
    int64_t lie;
    const char *says;
} bad[] = {
    {"", 0, 0, "does not begin with '{'"},
    {"[]", 0, 0, "does not begin with '{'"},
    {" {}", 0, 0, "does not begin with '{'"},
    {"null", 0, 0, "does not begin with '{'"},
    {"{}", 0, 1, "header of 3 bytes"},
    {"{}", 0, -1, "json: byte 1"},
    {"{}", 0, INT64_MAX, "header of 9223372036854775809 bytes"},
    {"{}", 0, -3, "header of 18446744073709551615 bytes"},
    {"{}", 0, 100000000, "no more than 100000000"},
    {"{}", 1, 0, "1 bytes after the last tensor"},
    {"{},", 0, 0, "json: byte 2"},
    {"{\"a\":1}", 0, 0, "tensor 'a': not an object"},
    {"{\"a\":[]}", 0, 0, "tensor 'a': not an object"},
    {"{\"a\":{}}", 0, 0, "tensor 'a': no dtype"},
    {ENTRY("\"dtype\":\"F32\""), 0, 0, "tensor 'a': no shape"},
    {ENTRY("\"dtype\":\"F32\",\"shape\":[1]"), 4, 0, "not [begin, end]"},
    {ENTRY(FIELDS("32", "[1]", "[0,4]")), 4, 0, "no dtype"},
    {ENTRY(FIELDS("\"F32\"", "1", "[0,4]")), 4, 0, "no shape"},
    {ENTRY(FIELDS("\"F32\"", "[-1]", "[0,4]")), 4, 0, "a dimension is not an integer"},
    {ENTRY(FIELDS("\"F32\"", "[1.0]", "[0,4]")), 4, 0, "a dimension is not an integer"},
    {ENTRY(FIELDS("\"F32\"", "[\"1\"]", "[0,4]")), 4, 0, "a dimension is not an integer"},
    {ENTRY(FIELDS("\"F32\"", "[[1]]", "[0,4]")), 4, 0, "a dimension is not an integer"},
    {ENTRY(FIELDS("\"F32\"", "[9223372036854775808]", "[0,4]")), 4, 0, "a dimension is not"},
    {ENTRY(FIELDS("\"F32\"", "[1,1,1,1,1,1,1,1,1]", "[0,4]")), 4, 0, "more than 8 dimensions"},
    {ENTRY(FIELDS("\"F32\"", "[4294967296,4294967296]", "[0,0]")), 0, 0, "2^63 elements"},
    {ENTRY(FIELDS("\"F32\"", "[4294967296,4294967296,0]", "[0,0]")), 0, 0, "2^63 elements"},
    {ENTRY(FIELDS("\"F32\"", "[2305843009213693952]", "[0,0]")), 0, 0, "2^63 bits"},
    {ENTRY(FIELDS("\"F64\"", "[4611686018427387904]", "[0,0]")), 0, 0, "2^63 bits"},
    {ENTRY(FIELDS("\"F32\"", "[0,9223372036854775807]", "[0,0]")), 0, 0, "2^63 bits"},
    {ENTRY(FIELDS("\"F32\"", "[2]", "[0,4]")), 4, 0, "need 8 bytes, data_offsets give 4"},
    {ENTRY(FIELDS("\"F32\"", "[1]", "[0,8]")), 8, 0, "need 4 bytes, data_offsets give 8"},
    {ENTRY(FIELDS("\"F32\"", "[0]", "[0,4]")), 4, 0, "need 0 bytes"},
    {ENTRY(FIELDS("\"F4\"", "[3]", "[0,1]")), 1, 0, "need 12 bits"},
    {ENTRY(FIELDS("\"F4\"", "[3]", "[0,2]")), 2, 0, "need 12 bits"},
    {ENTRY(FIELDS("\"F32\"", "[1]", "[0,4]")), 3, 0, "do not lie in the 3 bytes"},
    {ENTRY(FIELDS("\"F32\"", "[1]", "[4,8]")), 7, 0, "do not lie in the 7 bytes"},
    {ENTRY(FIELDS("\"F32\"", "[1]", "[4,0]")), 8, 0, "do not lie"},
    {ENTRY(FIELDS("\"F32\"", "[1]", "[-4,0]")), 8, 0, "not integers"},
    {ENTRY(FIELDS("\"F32\"", "[1]", "[0.0,4]")), 4, 0, "not integers"},
    {ENTRY(FIELDS("\"F32\"", "[1]", "[9223372036854775808,9223372036854775812]")), 4, 0,
     "not integers"},
    {ENTRY(FIELDS("\"F32\"", "[1]", "[9223372036854775803,9223372036854775807]")), 4, 0,
     "do not lie"},
    {ENTRY(FIELDS("\"F32\"", "[1]", "[18446744073709551612,0]")), 4, 0, "not integers"},
    {ENTRY(FIELDS("\"F32\"", "[1]", "[0]")), 4, 0, "not [begin, end]"},
    {ENTRY(FIELDS("\"F32\"", "[1]", "[0,4,4]")), 4, 0, "not [begin, end]"},
    {ENTRY(FIELDS("\"F32\"", "[1]", "{\"0\":0,\"1\":4}")), 4, 0, "not [begin, end]"},
    {ENTRY(FIELDS("\"F32\"", "[1]", "[4,8]")), 8, 0, "tensor 'a': unused bytes before"},
    {ENTRY(FIELDS("\"F32\"", "[1]", "[0,4]")), 8, 0, "4 bytes after the last tensor"},
    {"{\"a\":{" FIELDS("\"U8\"", "[4]", "[0,4]") "},\"b\":{" FIELDS("\"U8\"", "[4]", "[3,7]") "}}",
     7, 0, "tensor 'b': overlaps"},
    {"{\"a\":{" FIELDS("\"U8\"", "[4]", "[0,4]") "},\"b\":{" FIELDS("\"U8\"", "[4]", "[0,4]") "}}",
     4, 0, "tensor 'b': overlaps"},
    {"{\"a\":{" FIELDS("\"U8\"", "[4]", "[0,4]") "},\"b\":{" FIELDS("\"U8\"", "[0]", "[2,2]") "}}",
     4, 0, "overlaps"},
    {"{\"a\":{" FIELDS("\"U8\"", "[4]", "[0,4]") "},\"b\":{" FIELDS("\"U8\"", "[2]", "[5,7]") "}}",
     7, 0, "tensor 'b': unused bytes"},
    {"{\"a\":{" FIELDS("\"U8\"", "[4]", "[0,4]") "},\"a\":{" FIELDS("\"U8\"", "[4]", "[4,8]") "}}",
     8, 0, "'a' twice"},
    {ENTRY("\"dtype\":\"U8\"," FIELDS("\"U8\"", "[4]", "[0,4]")), 4, 0, "'dtype' twice"},
    {"{\"__metadata__\":[]}", 0, 0, "__metadata__ is not an object"},
    {"{\"__metadata__\":\"x\"}", 0, 0, "__metadata__ is not an object"},
    {"{\"__metadata__\":{\"k\":1}}", 0, 0, "__metadata__: 'k' is not a string"},
    {"{\"__metadata__\":{\"k\":null}}", 0, 0, "__metadata__: 'k' is not a string"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, 0, "twice"},
    {"{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, 0, "twice"},
    {"{\"a\\u0000\":{}}", 0, 0, "NUL in a string"},
    {"{\"a\xff\":{}}", 0, 0, "not UTF-8"},
    {"{\"a\":[[[[[[[[[[[[]]]]]]]]]]]]}", 0, 0, "nested too deeply"},
};

START_TEST(malformed_files)
{
    char bytes[600];
    s24i_reader *file = NULL;

    write_bytes(bytes, make_file(bytes, bad[_i].header, (size_t)bad[_i].data, bad[_i].lie));
    ck_assert_int_eq(s24i_reader_open(&memory, path, &file), S24_E_FORMAT);
    unit_check_text(bad[_i].says);
    unit_check_text(path); /* and which file */
    ck_assert_ptr_null(file);
}
END_TEST

static const char small[] = "{\"__metadata__\":{\"k\":\"v\"},\"a\":{\"dtype\":\"F32\",\"shape\":[1,"
                            "2],\"data_offsets\":[0,8]}}";

START_TEST(truncated_anywhere)
{
    char bytes[300];
    size_t size = make_file(bytes, small, 8, 0);

    for (size_t n = 0; n < size; n++) {
        s24i_reader *file;
        write_bytes(bytes, n);
        ck_assert_int_eq(s24i_reader_open(&memory, path, &file), S24_E_FORMAT);
    }
    write_bytes(bytes, size);
    s24i_reader_close(reopen());
}
END_TEST

START_TEST(damaged_anywhere)
{
    char good[300], bytes[300];
    size_t size = make_file(good, small, 8, 0);

    for (size_t n = 0; n < size - 8; n++) {
        for (int change = 0; change < 5; change++) {
            s24i_reader *file = NULL;
            s24_mat view;
            memcpy(bytes, good, size);
            bytes[n] = "\0\"0}\xff"[change];
            write_bytes(bytes, size);
            s24_status status = s24i_reader_open(&memory, path, &file);
            ck_assert(status == S24_OK || status == S24_E_FORMAT);
            for (int64_t i = 0; file && i < file->count; i++)
                s24i_reader_view(file, s24i_reader_at(file, i)->name, &view);
            s24i_reader_close(file);
        }
    }
}
END_TEST

START_TEST(depth_bomb)
{
    enum { DEPTH = 100000 };
    char *bytes = malloc(8 + DEPTH + 10);
    char *header = malloc(DEPTH + 10);
    s24i_reader *file;

    strcpy(header, "{\"a\":");
    memset(header + 5, '[', DEPTH);
    header[5 + DEPTH] = 0;
    write_bytes(bytes, make_file(bytes, header, 0, 0));
    ck_assert_int_eq(s24i_reader_open(&memory, path, &file), S24_E_FORMAT);
    unit_check_text("nested too deeply");
    free(header);
    free(bytes);
}
END_TEST

/* The limit itself, on a file that is large enough. */
START_TEST(header_too_long)
{
    s24i_reader *file;
    char bytes[16];

    write_bytes(bytes, make_file(bytes, "{", 0, 100000000));
    ck_assert_int_eq(truncate(path, 100000100), 0);
    ck_assert_int_eq(s24i_reader_open(&memory, path, &file), S24_E_FORMAT);
    unit_check_text("header of 100000001 bytes");
}
END_TEST

START_TEST(not_a_file)
{
    s24i_reader *file = NULL;
    char fifo[160];

    ck_assert_int_eq(s24i_reader_open(&memory, path, &file), S24_E_IO);
    unit_check_text(path);
    unit_check_text("open: No such file");
    ck_assert_int_eq(s24i_reader_open(&memory, directory, &file), S24_E_FORMAT);
    unit_check_text("has neither model.safetensors nor model.safetensors.index.json");
    snprintf(fifo, sizeof fifo, "%s/fifo", directory);
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    ck_assert_int_eq(s24i_reader_open(&memory, fifo, &file), S24_E_IO);
    unit_check_text("not a regular file");
    unlink(fifo);
    ck_assert_ptr_null(file);
    write_bytes("", 0);
    ck_assert_int_eq(s24i_reader_open(&memory, path, &file), S24_E_FORMAT);
    unit_check_text("this is an empty file");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("files");
    TCase *good = tcase_create("good"), *wrong = tcase_create("bad");

    tcase_add_checked_fixture(good, set_up, tear_down);
    tcase_add_checked_fixture(wrong, set_up, tear_down);
    tcase_add_test(good, order_and_lookup);
    tcase_add_test(good, foreign_but_good);
    tcase_add_test(good, types_without_a_code);
    tcase_add_test(good, unknown_types);
    suite_add_tcase(suite, good);
    tcase_add_loop_test(wrong, malformed_files, 0, sizeof bad / sizeof *bad);
    tcase_add_test(wrong, truncated_anywhere);
    tcase_add_test(wrong, damaged_anywhere);
    tcase_add_test(wrong, depth_bomb);
    tcase_add_test(wrong, header_too_long);
    tcase_add_test(wrong, not_a_file);
    suite_add_tcase(suite, wrong);
    return unit_run(suite);
}
