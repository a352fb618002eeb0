#include "api_test.h"
#include <unistd.h>

static const char *const path = "test_api_files.safetensors";

static void write_file(s24_ctx *ctx, const api_mat *a)
{
    s24_file *file;
    int64_t shape[3] = {2, 3, 4};

    ok(s24_file_create(ctx, path, "safetensors", &file));
    ok(s24_file_put(file, "a", &a->mat, NULL, 0, NULL));
    ok(s24_file_put(file, "half", &a->mat, shape, 3, "F16"));
    ok(s24_file_set_meta(file, "made by", "a test"));
    fails(s24_file_put(file, "a", &a->mat, NULL, 0, NULL), S24_E_ARG, "s24_file_put: ");
    fails(s24_file_put(file, "b", NULL, NULL, 0, NULL), S24_E_ARG, "mat is NULL");
    fails(s24_file_put(file, NULL, &a->mat, NULL, 0, NULL), S24_E_ARG, "name is NULL");
    fails(s24_file_set_meta(file, NULL, "x"), S24_E_ARG, "key is NULL");
    fails(s24_file_set_meta(file, "x", NULL), S24_E_ARG, "value is NULL");
    ck_assert_int_eq(s24_file_count(file), 0);
    ck_assert_ptr_null(s24_file_name(file, 0));
    fails(s24_file_info(file, "a", NULL, NULL, NULL), S24_E_STATE, "being written");
    ck_assert_int_ne(access(path, F_OK), 0);
    ok(s24_file_commit(file));
    s24_file_destroy(file);
}

static void read_file(s24_ctx *ctx, const api_mat *a)
{
    s24_file *file;
    int64_t shape[8];
    int32_t rank;
    const char *type;
    s24_mat view, copy = api_empty(6, 4, S24_F64, PADDED);

    ok(s24_file_open(ctx, path, &file));
    s24_ctx_destroy(ctx); /* the file keeps it */
    ck_assert_int_eq(s24_file_count(file), 2);
    ck_assert_str_eq(s24_file_name(file, 1), "half");
    ck_assert_ptr_null(s24_file_name(file, 2));
    ok(s24_file_info(file, "half", shape, &rank, &type));
    ck_assert(rank == 3 && shape[0] == 2 && shape[1] == 3 && shape[2] == 4 && !strcmp(type, "F16"));
    ok(s24_file_info(file, "half", NULL, NULL, NULL));
    ok(s24_file_get(file, "a", &view));
    ck_assert(view.rows == 6 && view.cols == 4 && view.dtype == S24_F32);
    for (int i = 0; i < 24; i++)
        unit_check(api_get(&view, i / 4, i % 4) == a->value[i]);
    ok(s24_file_read(file, "half", &copy));
    for (int i = 0; i < 24; i++)
        unit_check(api_get(&copy, i / 4, i % 4) ==
                   s24i_f16_to_f32(s24i_f32_to_f16((float)a->value[i])));
    ck_assert_str_eq(s24_file_meta(file, "made by"), "a test");
    ck_assert_str_eq(s24_file_meta_key(file, 0), "made by");
    ck_assert_ptr_null(s24_file_meta_key(file, 1));
    ck_assert_ptr_null(s24_file_meta(file, "x"));
    ck_assert_ptr_null(s24_file_meta(file, NULL));
    fails(s24_file_get(file, "hlaf", &view), S24_E_ARG, "half");
    fails(s24_file_get(file, "a", NULL), S24_E_ARG, "view is NULL");
    copy.rows = 5;
    fails(s24_file_read(file, "a", &copy), S24_E_SHAPE,
          "s24_file_read: dst is 5 x 4, but must be 6 x 4");
    fails(s24_file_commit(file), S24_E_STATE, "opened for reading");
    s24_file_destroy(file);
    free(copy.data);
}

START_TEST(written_and_read)
{
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 2);
    api_mat a = api_filled(6, 4, S24_F32, COL_MAJOR, 70);
    s24_file *file = NULL;

    unlink(path);
    fails(s24_file_create(ctx, path, "onnx", &file), S24_E_UNSUPPORTED, "format is \"onnx\"");
    fails(s24_file_create(ctx, path, NULL, &file), S24_E_ARG, "format is NULL");
    fails(s24_file_open(ctx, path, &file), S24_E_IO, path);
    fails(s24_file_open(ctx, NULL, &file), S24_E_ARG, "path is NULL");
    ck_assert_ptr_null(file);
    write_file(ctx, &a);
    read_file(ctx, &a);
    unlink(path);
    ck_assert_int_eq(heap.blocks, 0);
    api_free(&a);
}
END_TEST

void api_files_tests(Suite *suite)
{
    TCase *all = tcase_create("files");

    tcase_add_test(all, written_and_read);
    suite_add_tcase(suite, all);
}
