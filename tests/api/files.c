/* lib/api/file.c: tensors in and out of files by the public functions. */
#include "api_test.h"
#include <stdio.h>
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
    ok(s24_file_set_meta(file, "x", "y"));
    ok(s24_file_set_meta(file, "x", NULL)); /* gone again: read_file() */
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

/* Values that Q4_0 holds exactly: multiples of 1/4 from -2 to 7/4, all codes in each block. */
static void write_blocks(s24_ctx *ctx, const char *to)
{
    static float data[48 * 64];
    s24_mat mat = {data, 48, 64, 64, 1, S24_F32, S24_CPU};
    s24_file *file;

    for (int i = 0; i < 48 * 64; i++)
        data[i] = (float)((i * 7 + i / 32) % 16 - 8) / 4;
    ok(s24_file_create(ctx, to, "gguf", &file));
    ok(s24_file_set_meta(file, "general.architecture", "llama"));
    ok(s24_file_put(file, "w", &mat, NULL, 0, "Q4_0"));
    ok(s24_file_commit(file));
    s24_file_destroy(file);
}

START_TEST(blocks_are_decoded)
{
    static const int32_t types[] = {S24_F16, S24_BF16, S24_F32, S24_F64};
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 3);
    s24_file *file;
    s24_mat view, ints = api_empty(48, 64, S24_I32, ROW_MAJOR);
    const void *stored;
    size_t size;

    write_blocks(ctx, path);
    ok(s24_file_open(ctx, path, &file));
    for (int t = 0; t < 4; t++) {
        s24_mat copy = api_empty(48, 64, types[t], t % 2 ? COL_MAJOR : PADDED);
        ok(s24_file_read(file, "w", &copy));
        for (int i = 0; i < 48 * 64; i++)
            unit_check(api_get(&copy, i / 64, i % 64) == ((i * 7 + i / 32) % 16 - 8) / 4.0);
        copy.rows = 47;
        fails(s24_file_read(file, "w", &copy), S24_E_SHAPE, "dst is 47 x 64, but must be 48 x 64");
        free(copy.data);
    }
    fails(s24_file_read(file, "w", &ints), S24_E_DTYPE, "dst has dtype S24_I32");
    fails(s24_file_get(file, "w", &view), S24_E_DTYPE, "elements of type Q4_0");
    ok(s24_file_check_read(file, "w"));
    fails(s24_file_check_read(file, "v"), S24_E_ARG, "no tensor 'v'");
    fails(s24_file_check_read(file, NULL), S24_E_ARG, "name is NULL");
    ok(s24_file_bytes(file, "w", &stored, &size));
    ck_assert(size == 48 * 2 * 18 && stored != NULL);
    fails(s24_file_bytes(file, "v", &stored, &size), S24_E_ARG, "no tensor 'v'");
    fails(s24_file_bytes(file, "w", NULL, &size), S24_E_ARG, "data is NULL");
    ok(s24_file_check_source(file));
    ck_assert_int_eq(truncate(path, 0), 0);
    fails(s24_file_check_source(file), S24_E_STATE, path);
    s24_file_destroy(file);
    s24_ctx_destroy(ctx);
    free(ints.data);
    unlink(path);
    ck_assert_int_eq(heap.blocks, 0);
}
END_TEST

START_TEST(carried_over)
{
    static const char *const other = "test_api_files.gguf";
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 1);
    s24_file *from, *to, *plain;
    char bytes[2][4096];

    write_blocks(ctx, path);
    ok(s24_file_open(ctx, path, &from));
    ok(s24_file_create(ctx, other, "gguf", &to));
    ok(s24_file_create(ctx, other, "safetensors", &plain));
    ok(s24_file_copy_meta(to, from));
    ok(s24_file_put_stored(to, from, "w"));
    fails(s24_file_put_stored(to, from, "v"), S24_E_ARG, "s24_file_put_stored: no tensor 'v'");
    fails(s24_file_put_stored(to, from, NULL), S24_E_ARG, "name is NULL");
    fails(s24_file_put_stored(to, NULL, "w"), S24_E_ARG, "file");
    fails(s24_file_put_stored(to, to, "w"), S24_E_STATE, "being written");
    fails(s24_file_put_stored(from, from, "w"), S24_E_STATE, "opened for reading");
    fails(s24_file_put_stored(plain, from, "w"), S24_E_DTYPE, "has no type Q4_0");
    fails(s24_file_copy_meta(plain, from), S24_E_UNSUPPORTED, "s24_file_copy_meta: metadata of");
    fails(s24_file_copy_meta(from, from), S24_E_STATE, "opened for reading");
    ok(s24_file_commit(to));
    fails(s24_file_copy_meta(to, from), S24_E_STATE, "already committed");
    s24_file_destroy(to);
    s24_file_destroy(plain);
    s24_file_destroy(from);
    s24_ctx_destroy(ctx);
    for (int i = 0; i < 2; i++) {
        FILE *f = fopen(i ? other : path, "rb");
        memset(bytes[i], 0, sizeof bytes[i]);
        ck_assert_uint_gt(fread(bytes[i], 1, sizeof bytes[i], f), 1700);
        fclose(f);
    }
    ck_assert_mem_eq(bytes[0], bytes[1], sizeof bytes[0]);
    unlink(path);
    unlink(other);
    ck_assert_int_eq(heap.blocks, 0);
}
END_TEST

void api_files_tests(Suite *suite)
{
    TCase *all = tcase_create("files");

    tcase_add_test(all, written_and_read);
    tcase_add_test(all, blocks_are_decoded);
    tcase_add_test(all, carried_over);
    suite_add_tcase(suite, all);
}
