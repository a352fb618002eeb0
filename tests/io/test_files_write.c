/* lib/io/safetensors_write.c, writer.c, temporary.c: what is written is read; what fails leaves
 * nothing. */
#include "../scratch.h"
#include "base/half.h"
#include "io/temporary.h"
#include <fcntl.h>
#include <math.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- what is written is read ---- */

static const struct {
    const char *name;
    int32_t dtype, size;
} types[] = {{"F64", S24_F64, 8},        {"F32", S24_F32, 4},     {"F16", S24_F16, 2},
             {"BF16", S24_BF16, 2},      {"I64", S24_I64, 8},     {"I32", S24_I32, 4},
             {"I16", S24_I16, 2},        {"I8", S24_I8, 1},       {"U32", S24_U32, 4},
             {"U16", S24_U16, 2},        {"U8", S24_U8, 1},       {"BOOL", S24_BOOL, 1},
             {"F8_E4M3", S24_E4M3FN, 1}, {"F8_E5M2", S24_E5M2, 1}};

START_TEST(every_type_round_trips)
{
    static const struct {
        int32_t rank;
        int64_t shape[4], rows, cols;
    } shapes[] = {{0, {0}, 1, 1},       {1, {12}, 1, 12},        {2, {3, 4}, 3, 4},
                  {3, {2, 3, 4}, 6, 4}, {4, {2, 1, 2, 5}, 4, 5}, {2, {3, 0}, 3, 0},
                  {1, {0}, 1, 0},       {3, {0, 3, 2}, 0, 2}};
    enum { SHAPES = sizeof shapes / sizeof *shapes };
    static _Alignas(8) unsigned char data[SHAPES][256];
    s24i_writer *w = create();
    char name[16];

    for (int s = 0; s < SHAPES; s++) {
        for (int i = 0; i < 256; i++)
            data[s][i] = (unsigned char)(i * 37 + s * 11 + _i);
        s24_mat mat = matrix(data[s], shapes[s].rows, shapes[s].cols, types[_i].dtype);
        snprintf(name, sizeof name, "t%d", s);
        ck_assert_int_eq(s24i_writer_put(w, name, &mat, shapes[s].shape, shapes[s].rank, NULL),
                         S24_OK);
    }
    commit(w);
    s24i_reader *file = reopen();
    ck_assert_int_eq(file->count, SHAPES);
    for (int s = 0; s < SHAPES; s++) {
        const s24i_tensor *t;
        s24_mat view;
        snprintf(name, sizeof name, "t%d", s);
        ck_assert_int_eq(s24i_reader_find(file, name, &t), S24_OK);
        ck_assert_str_eq(t->element->name, types[_i].name);
        ck_assert_int_eq(t->rank, shapes[s].rank);
        ck_assert_mem_eq(t->shape, shapes[s].shape, (size_t)t->rank * sizeof(int64_t));
        ck_assert_int_eq(s24i_reader_view(file, name, &view), S24_OK);
        ck_assert(view.rows == shapes[s].rows && view.cols == shapes[s].cols);
        ck_assert(view.dtype == types[_i].dtype && view.device == S24_CPU && view.col_stride == 1);
        ck_assert(view.row_stride == (view.cols ? view.cols : 1) && !view.flags && !view.reserved);
        ck_assert_uint_eq((uintptr_t)view.data % (uintptr_t)types[_i].size, 0);
        if (t->size)
            ck_assert_mem_eq(view.data, data[s], t->size);
        ck_assert_uint_eq(t->size, (uint64_t)(view.rows * view.cols * types[_i].size));
    }
    s24i_reader_close(file);
}
END_TEST

START_TEST(strided_sources)
{
    static float data[1000];
    float *read;
    s24i_writer *w = create();
    s24_mat mat = matrix(data, 7, 11, S24_F32), view;

    for (int i = 0; i < 1000; i++)
        data[i] = (float)i;
    mat.row_stride = 20;
    ck_assert_int_eq(s24i_writer_put(w, "rows", &mat, NULL, 0, NULL), S24_OK);
    mat.row_stride = 1;
    mat.col_stride = 9;
    ck_assert_int_eq(s24i_writer_put(w, "columns", &mat, NULL, 0, NULL), S24_OK);
    mat.row_stride = 50;
    mat.col_stride = 3;
    ck_assert_int_eq(s24i_writer_put(w, "both", &mat, NULL, 0, "F64"), S24_OK);
    mat = matrix(data + 5, 1, 1, S24_F32);
    mat.row_stride = mat.col_stride = -77; /* ignored where the extent is 1 */
    ck_assert_int_eq(s24i_writer_put(w, "one", &mat, (int64_t[]){1, 1, 1}, 3, "F64"), S24_OK);
    commit(w);
    s24i_reader *file = reopen();
    for (int i = 0; i < 77; i++) {
        s24i_reader_view(file, "rows", &view);
        read = view.data;
        ck_assert(read[i] == (float)(i / 11 * 20 + i % 11));
        s24i_reader_view(file, "columns", &view);
        read = view.data;
        ck_assert(read[i] == (float)(i / 11 + i % 11 * 9));
        s24i_reader_view(file, "both", &view);
        ck_assert(((double *)view.data)[i] == i / 11 * 50 + i % 11 * 3);
    }
    s24i_reader_view(file, "one", &view);
    ck_assert(*(double *)view.data == 5);
    s24i_reader_close(file);
}
END_TEST

/* More than one chunk, of strided and of converted values. */
START_TEST(many_chunks)
{
    enum { ROWS = 300, COLS = 257, STRIDE = 300 };
    static float data[ROWS * STRIDE];
    s24i_writer *w = create();
    s24_mat mat = matrix(data, ROWS, COLS, S24_F32), wide, narrow;

    for (int i = 0; i < ROWS * STRIDE; i++)
        data[i] = (float)i * 1.37f;
    mat.row_stride = STRIDE;
    ck_assert_int_eq(s24i_writer_put(w, "narrow", &mat, NULL, 0, "BF16"), S24_OK);
    ck_assert_int_eq(s24i_writer_put(w, "wide", &mat, NULL, 0, "F32"), S24_OK);
    commit(w);
    s24i_reader *file = reopen();
    s24i_reader_view(file, "wide", &wide);
    s24i_reader_view(file, "narrow", &narrow);
    for (int i = 0; i < ROWS * COLS; i++) {
        float value = data[i / COLS * STRIDE + i % COLS];
        unit_check(((float *)wide.data)[i] == value);
        unit_check(((uint16_t *)narrow.data)[i] == s24i_f32_to_bf16(value));
    }
    s24i_reader_close(file);
}
END_TEST

START_TEST(conversions)
{
    static const double d[] = {1, -0.0, 1e300, 1.00390625000001, 65504, 1e-40, NAN, 2.5};
    static const uint8_t bytes[] = {0, 1, 2, 255};
    uint16_t h[8], b[8];
    float f[8];
    s24_mat view, mat = matrix(d, 2, 4, S24_F64), flags = matrix(bytes, 1, 4, S24_U8);
    s24i_writer *w = create();

    for (int i = 0; i < 8; i++) {
        f[i] = (float)d[i];
        h[i] = s24i_f32_to_f16(s24i_f64_to_f32_odd(d[i]));
        b[i] = s24i_f32_to_bf16(s24i_f64_to_f32_odd(d[i]));
    }
    ck_assert_uint_eq(b[3], 0x3f81); /* 1 + 2^-8 and a bit more: twice rounded it would be a tie */
    s24_mat halves = matrix(h, 2, 4, S24_F16), brains = matrix(b, 2, 4, S24_BF16);
    ck_assert_int_eq(s24i_writer_put(w, "d-f", &mat, NULL, 0, "F32"), S24_OK);
    ck_assert_int_eq(s24i_writer_put(w, "d-h", &mat, NULL, 0, "F16"), S24_OK);
    ck_assert_int_eq(s24i_writer_put(w, "d-b", &mat, NULL, 0, "BF16"), S24_OK);
    ck_assert_int_eq(s24i_writer_put(w, "h-d", &halves, NULL, 0, "F64"), S24_OK);
    ck_assert_int_eq(s24i_writer_put(w, "b-f", &brains, NULL, 0, "F32"), S24_OK);
    ck_assert_int_eq(s24i_writer_put(w, "flags", &flags, NULL, 0, "BOOL"), S24_OK);
    flags.dtype = S24_BOOL;
    ck_assert_int_eq(s24i_writer_put(w, "bytes", &flags, NULL, 0, "U8"), S24_OK);
    commit(w);
    s24i_reader *file = reopen();
    s24i_reader_view(file, "d-f", &view);
    ck_assert_mem_eq(view.data, f, sizeof f);
    s24i_reader_view(file, "d-h", &view);
    ck_assert_mem_eq(view.data, h, sizeof h);
    s24i_reader_view(file, "d-b", &view);
    ck_assert_mem_eq(view.data, b, sizeof b);
    for (int i = 0; i < 8; i++) {
        s24i_reader_view(file, "h-d", &view);
        ck_assert(((double *)view.data)[i] == s24i_f16_to_f32(h[i]) || i == 6);
        s24i_reader_view(file, "b-f", &view);
        ck_assert(((float *)view.data)[i] == s24i_bf16_to_f32(b[i]) || i == 6);
    }
    s24i_reader_view(file, "flags", &view);
    ck_assert_mem_eq(view.data, ((uint8_t[]){0, 1, 1, 1}), 4);
    s24i_reader_view(file, "bytes", &view);
    ck_assert_mem_eq(view.data, ((uint8_t[]){0, 1, 1, 1}), 4);
    s24i_reader_close(file);
}
END_TEST

START_TEST(exact_bytes)
{
    static const char header[] = "{\"__metadata__\":{\"a\":\"1\",\"b\":\"2\"},"
                                 "\"w\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[0,8]},"
                                 "\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[8,11]},"
                                 "\"e\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[11,19]}}";
    float f[2] = {1, 2};
    int64_t number = 7, three = 3;
    s24_mat w = matrix(f, 1, 2, S24_F32), a = matrix("xyz", 1, 3, S24_U8),
            e = matrix(&number, 1, 1, S24_I64);
    char expected[400], got[400];

    for (int round = 0; round < 2; round++) {
        s24i_writer *writer = create();
        s24i_writer_set_meta(writer, round ? "a" : "b", round ? "1" : "2");
        ck_assert_int_eq(s24i_writer_put(writer, "w", &w, NULL, 0, NULL), S24_OK);
        s24i_writer_set_meta(writer, round ? "b" : "a", round ? "2" : "1");
        ck_assert_int_eq(s24i_writer_put(writer, "a", &a, &three, 1, NULL), S24_OK);
        ck_assert_int_eq(s24i_writer_put(writer, "e", &e, &three, 0, NULL), S24_OK);
        commit(writer);
        size_t padding = -(sizeof header - 1) % 8, length = sizeof header - 1 + padding;
        memcpy(expected, &(uint64_t){length}, 8); /* little-endian machines only */
        memcpy(expected + 8, header, sizeof header);
        memset(expected + 8 + length - padding, ' ', padding);
        memcpy(expected + 8 + length, f, 8);
        memcpy(expected + 8 + length + 8, "xyz", 3);
        memcpy(expected + 8 + length + 11, &number, 8);
        ck_assert_uint_eq(read_bytes(got, sizeof got), 8 + length + 19);
        ck_assert_mem_eq(got, expected, 8 + length + 19);
        ck_assert_uint_eq(length % 8, 0);
    }
    s24i_reader *file = reopen();
    s24_mat view;
    ck_assert_int_eq(s24i_reader_view(file, "e", &view), S24_OK); /* misaligned in the file */
    ck_assert_uint_eq((uintptr_t)view.data % 8, 0);
    ck_assert_int_eq(*(int64_t *)view.data, 7);
    void *copy = view.data;
    ck_assert_int_eq(s24i_reader_view(file, "e", &view), S24_OK);
    ck_assert_ptr_eq(view.data, copy);
    s24i_reader_close(file);
}
END_TEST

START_TEST(metadata)
{
    s24i_writer *w = create();

    ck_assert_int_eq(s24i_writer_set_meta(w, "z", "last"), S24_OK);
    ck_assert_int_eq(s24i_writer_set_meta(w, "b", "old"), S24_OK);
    ck_assert_int_eq(s24i_writer_set_meta(w, "a\"\xc3\xa4", "line\nand \"quotes\" \\"), S24_OK);
    ck_assert_int_eq(s24i_writer_set_meta(w, "b", "new"), S24_OK);
    ck_assert_int_eq(s24i_writer_set_meta(w, "", "x"), S24_E_ARG);
    ck_assert_int_eq(s24i_writer_set_meta(w, NULL, "x"), S24_E_ARG);
    ck_assert_int_eq(s24i_writer_set_meta(w, "k", "soon gone"), S24_OK);
    ck_assert_int_eq(s24i_writer_set_meta(w, "k", NULL), S24_OK);
    ck_assert_int_eq(s24i_writer_set_meta(w, "k", "\xff"), S24_E_ARG);
    ck_assert_int_eq(s24i_writer_set_meta(w, "\xff", "v"), S24_E_ARG);
    commit(w);
    s24i_reader *file = reopen();
    ck_assert_int_eq(file->count, 0);
    ck_assert_str_eq(s24i_reader_meta_key(file, 0), "a\"\xc3\xa4");
    ck_assert_str_eq(s24i_reader_meta_key(file, 1), "b");
    ck_assert_str_eq(s24i_reader_meta_key(file, 2), "z");
    ck_assert_ptr_null(s24i_reader_meta_key(file, 3));
    ck_assert_ptr_null(s24i_reader_meta_key(file, -1));
    ck_assert_str_eq(meta_of(file, "b"), "new");
    ck_assert_str_eq(meta_of(file, "a\"\xc3\xa4"), "line\nand \"quotes\" \\");
    ck_assert_ptr_null(meta_of(file, "c"));
    s24i_reader_close(file);
}
END_TEST

/* ---- refusals and failures ---- */

START_TEST(refused_tensors_add_nothing)
{
    static const char *const names[] = {"",     "__metadata__", "a\n", "\x7f",
                                        "\xff", "a\xc3",        NULL,  "taken"};
    float data[4] = {1, 2, 3, 4};
    int64_t shape[9] = {2, 2, 1, 1, 1, 1, 1, 1, 1};
    s24_mat good = matrix(data, 2, 2, S24_F32), m;
    s24i_writer *w = create();

    ck_assert_int_eq(s24i_writer_put(w, "taken", &good, NULL, 0, NULL), S24_OK);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        ck_assert_int_eq(s24i_writer_put(w, names[i], &good, NULL, 0, NULL), S24_E_ARG);
    ck_assert_int_eq(s24i_writer_put(w, "x", &good, shape, 9, NULL), S24_E_SHAPE);
    ck_assert_int_eq(s24i_writer_put(w, "x", &good, shape, -1, NULL), S24_E_SHAPE);
    ck_assert_int_eq(s24i_writer_put(w, "x", &good, shape, 1, NULL), S24_E_SHAPE);
    ck_assert_int_eq(s24i_writer_put(w, "x", &good, shape, 0, NULL), S24_E_SHAPE);
    ck_assert_int_eq(s24i_writer_put(w, "x", &good, (int64_t[]){-2, -2}, 2, NULL), S24_E_SHAPE);
    unit_check_text("tensor 'x': dimension 0, -2");
    ck_assert_int_eq(s24i_writer_put(w, "x", &good, NULL, 0, "F99"), S24_E_DTYPE);
    unit_check_text("tensor 'x': unknown type 'F99'");
    ck_assert_int_eq(s24i_writer_put(w, "x", &good, NULL, 0, "I32"), S24_E_DTYPE);
    unit_check_text("F32 cannot be stored as I32");
    ck_assert_int_eq(s24i_writer_put(w, "x", &good, NULL, 0, "F4"), S24_E_DTYPE);
    ck_assert_int_eq(s24i_writer_put(w, "x", &good, NULL, 0, "BOOL"), S24_E_DTYPE);
    ck_assert_int_eq(s24i_writer_put(w, "x", NULL, NULL, 0, NULL), S24_E_ARG);
    m = good, m.dtype = 0;
    ck_assert_int_eq(s24i_writer_put(w, "x", &m, NULL, 0, NULL), S24_E_DTYPE);
    m = good, m.dtype = S24_I8;
    ck_assert_int_eq(s24i_writer_put(w, "x", &m, NULL, 0, "U8"), S24_E_DTYPE);
    m = good, m.device = S24_CUDA;
    ck_assert_int_eq(s24i_writer_put(w, "x", &m, NULL, 0, NULL), S24_E_ARG);
    m = good, m.data = NULL;
    ck_assert_int_eq(s24i_writer_put(w, "x", &m, NULL, 0, NULL), S24_E_ARG);
    m = good, m.flags = 1;
    ck_assert_int_eq(s24i_writer_put(w, "x", &m, NULL, 0, NULL), S24_E_ARG);
    m = good, m.rows = -1;
    ck_assert_int_eq(s24i_writer_put(w, "x", &m, NULL, 0, NULL), S24_E_ARG);
    m = good, m.rows = INT64_MAX;
    ck_assert_int_eq(s24i_writer_put(w, "x", &m, NULL, 0, NULL), S24_E_SHAPE);
    m = good, m.row_stride = 0;
    ck_assert_int_eq(s24i_writer_put(w, "x", &m, NULL, 0, NULL), S24_E_SHAPE);
    m = good, m.col_stride = -1;
    ck_assert_int_eq(s24i_writer_put(w, "x", &m, NULL, 0, NULL), S24_E_SHAPE);
    ck_assert_int_eq(s24i_writer_put(w, "x", &good, NULL, 0, NULL), S24_OK);
    commit(w);
    s24i_reader *file = reopen();
    ck_assert_int_eq(file->count, 2);
    s24i_reader_close(file);
}
END_TEST

START_TEST(nothing_until_commit)
{
    s24_mat mat = matrix("abcd", 1, 4, S24_U8);
    char bytes[100];

    write_bytes("old", 3);
    s24i_writer *w = create();
    ck_assert_int_eq(s24i_writer_put(w, "x", &mat, NULL, 0, NULL), S24_OK);
    ck_assert_int_eq(files_here(), 1);
    s24i_writer_discard(w);
    ck_assert_int_eq(files_here(), 1);
    ck_assert_uint_eq(read_bytes(bytes, sizeof bytes), 3);

    w = create();
    ck_assert_int_eq(s24i_writer_put(w, "x", &mat, NULL, 0, NULL), S24_OK);
    ck_assert_int_eq(s24i_writer_commit(w), S24_OK);
    ck_assert_int_eq(files_here(), 1);
    ck_assert_int_eq(s24i_writer_commit(w), S24_E_STATE);
    unit_check_text("already committed");
    ck_assert_int_eq(s24i_writer_put(w, "y", &mat, NULL, 0, NULL), S24_E_STATE);
    ck_assert_int_eq(s24i_writer_set_meta(w, "y", "z"), S24_E_STATE);
    s24i_writer_discard(w);
    s24i_writer_discard(NULL);
    s24i_reader_close(NULL);
    s24i_reader_close(reopen());
}
END_TEST

START_TEST(hopeless_targets)
{
    static const char *const targets[] = {"/nonexistent/directory/x", "/proc/x", "", "/tmp/",
                                          "/dev/null/x"};
    s24i_writer *w = NULL;

    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
        ck_assert_int_eq(s24i_safetensors_create(&memory, targets[i], &w), S24_E_IO);
    ck_assert_int_eq(s24i_safetensors_create(&memory, directory, &w), S24_E_IO);
    unit_check_text("create: Is a directory");
    ck_assert_ptr_null(w);
    ck_assert_int_eq(mkfifo(path, 0600), 0); /* a rename would put a file in its place */
    ck_assert_int_eq(s24i_safetensors_create(&memory, path, &w), S24_E_IO);
    unit_check_text("create: not a regular file");
    ck_assert_int_eq(unlink(path), 0);
    if (geteuid() != 0) {
        chmod(directory, 0500);
        ck_assert_int_eq(s24i_safetensors_create(&memory, path, &w), S24_E_IO);
        unit_check_text("Permission denied");
        chmod(directory, 0700);
    }
}
END_TEST

/* The target turns into a directory before commit: that stays, nothing else appears, and a later
 * try can succeed. */
START_TEST(commit_fails_and_is_tried_again)
{
    s24_mat mat = matrix("abcd", 1, 4, S24_U8);
    s24i_writer *w = create();

    ck_assert_int_eq(s24i_writer_put(w, "x", &mat, NULL, 0, NULL), S24_OK);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_eq(s24i_writer_commit(w), S24_E_IO);
    unit_check_text("rename: Is a directory");
    ck_assert_int_eq(files_here(), 1);
    ck_assert_int_eq(rmdir(path), 0);
    ck_assert_int_eq(s24i_writer_put(w, "y", &mat, NULL, 0, NULL), S24_OK);
    commit(w);
    s24i_reader *file = reopen();
    ck_assert_int_eq(file->count, 2);
    s24i_reader_close(file);
}
END_TEST

/* A name beside the target that is locked is another writer's; the others were left behind by
 * writers that were killed. */
START_TEST(names_beside_are_taken)
{
    char names[4][128], inside[160];
    int held[2];

    for (int i = 0; i < 4; i++)
        snprintf(names[i], sizeof names[i], "%s/.sparse24-%ld-%d.tmp", directory,
                 i < 2 ? (long)getpid() : 1L, i);
    held[0] = open(names[0], O_RDWR | O_CREAT, 0600);
    ck_assert_int_eq(mkdir(names[1], 0700), 0);
    held[1] = open(names[1], O_RDONLY);
    ck_assert(!flock(held[0], LOCK_EX) && !flock(held[1], LOCK_EX));
    fclose(fopen(names[2], "w"));
    ck_assert_int_eq(mkdir(names[3], 0700), 0);
    snprintf(inside, sizeof inside, "%s/model.safetensors", names[3]);
    fclose(fopen(inside, "w"));
    for (int i = 0; i < 2; i++) { /* a new file, and one that is replaced */
        commit(create());
        ck_assert_int_eq(files_here(), 3);
    }
    ck_assert_int_eq(access(names[0], F_OK) | access(names[1], F_OK), 0);
    ck_assert_int_eq(unlink(names[0]) | rmdir(names[1]), 0);
    close(held[0]);
    close(held[1]);
}
END_TEST

/* A file that is not published leaves nothing, whatever becomes of its writer; where it had to have
 * a name, until the next one comes. */
START_TEST(killed_writers_leave_nothing)
{
    s24i_temporary t;

    pid_t child = fork();
    if (child == 0) {
        if (s24i_temporary_file(&memory, path, &t) == S24_OK)
            s24i_os_write(t.fd, path, "half", 4, 0);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    commit(create());
    ck_assert_int_eq(files_here(), 1);
}
END_TEST

/* Write and read with the k-th allocation refused, for every k. */
static s24_status whole_story(void)
{
    static const double data[40];
    s24_mat mat = matrix(data, 5, 8, S24_F64), view;
    s24i_writer *w = NULL;
    s24i_reader *file = NULL;
    char name[16];
    s24_status status = s24i_safetensors_create(&memory, path, &w);

    for (int i = 0; i < 20 && !status; i++) {
        snprintf(name, sizeof name, "t%d", i);
        status = s24i_writer_put(w, name, &mat, NULL, 0, i % 3 ? "F32" : NULL);
        if (!status)
            status = s24i_writer_set_meta(w, name, name);
    }
    mat = matrix("abc", 1, 3, S24_U8);
    if (!status)
        status = s24i_writer_put(w, "odd", &mat, NULL, 0, NULL);
    mat = matrix(data, 1, 1, S24_F64);
    if (!status)
        status = s24i_writer_put(w, "misaligned", &mat, NULL, 0, NULL);
    if (!status)
        status = s24i_writer_commit(w);
    s24i_writer_discard(w);
    ck_assert_int_eq(files_here(), !status);
    if (!status)
        status = s24i_reader_open(&memory, path, &file);
    if (!status)
        status = s24i_reader_view(file, "misaligned", &view);
    s24i_reader_close(file);
    unlink(path);
    return status;
}

START_TEST(memory_is_refused)
{
    s24_status status = S24_E_MEMORY;
    int64_t k;

    for (k = 1; status; k++) {
        unit_memory(&memory, &heap);
        heap.refuse = k;
        status = whole_story();
        ck_assert(status == S24_OK || status == S24_E_MEMORY);
        if (status)
            unit_check_text("memory: ");
        unit_check_heap(&memory, &heap);
    }
    ck_assert_int_gt(k, 80);
}
END_TEST

START_TEST(copying)
{
    static char data[100000], got[100003];
    int from, to;

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 31 >> 3);
    ck_assert_int_eq(s24i_temporary_spool(&memory, path, &from), S24_OK);
    ck_assert_int_eq(s24i_temporary_spool(&memory, path, &to), S24_OK);
    ck_assert_int_eq(files_here(), 0);
    ck_assert_int_eq(s24i_os_write(from, path, data, sizeof data, 0), S24_OK);
    ck_assert_int_eq(s24i_os_copy(from, to, path, 0, sizeof data, 3), S24_OK);
    ck_assert_int_eq(pread(to, got, sizeof got, 0), sizeof got);
    ck_assert_mem_eq(got + 3, data, sizeof data);
    ck_assert_int_eq(s24i_os_copy(from, to, path, 0, sizeof data + 1, 0), S24_E_IO);
    unit_check_text("shorter");
    s24i_os_close(to, path);
    ck_assert_int_eq(s24i_os_write(to, path, data, 1, 0), S24_E_IO);
    unit_check_text("write: Bad file descriptor");
    ck_assert_int_eq(s24i_os_close(to, path), S24_E_IO);
    ck_assert_int_eq(s24i_os_sync(to, path), S24_E_IO);
    s24i_os_close(from, path);
}
END_TEST

/* From memory to a disk the kernel does not copy (EXDEV): the loop does. */
START_TEST(copying_by_hand)
{
    static char data[100000], got[100004];
    int from = memfd_create("source", 0), to = open(path, O_RDWR | O_CREAT, 0600);

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 31 >> 3);
    ck_assert_int_eq(s24i_os_write(from, path, data, sizeof data, 0), S24_OK);
    ck_assert_int_eq(s24i_os_copy(from, to, path, 0, sizeof data, 3), S24_OK);
    ck_assert_uint_eq(read_bytes(got, sizeof got), sizeof data + 3);
    ck_assert_mem_eq(got + 3, data, sizeof data);
    s24i_os_close(to, path);
    to = open(path, O_RDWR | O_TRUNC | O_APPEND); /* nor to a file that only appends (EBADF) */
    ck_assert_int_eq(s24i_os_copy(from, to, path, 0, sizeof data, 0), S24_OK);
    ck_assert_uint_eq(read_bytes(got, sizeof got), sizeof data);
    ck_assert_mem_eq(got, data, sizeof data);
    s24i_os_close(to, path);
    s24i_os_close(from, path);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("files_write");
    TCase *good = tcase_create("good"), *failing = tcase_create("failing");

    tcase_add_checked_fixture(good, set_up, tear_down);
    tcase_add_checked_fixture(failing, set_up, tear_down);
    tcase_add_loop_test(good, every_type_round_trips, 0, sizeof types / sizeof *types);
    tcase_add_test(good, strided_sources);
    tcase_add_test(good, many_chunks);
    tcase_add_test(good, conversions);
    tcase_add_test(good, exact_bytes);
    tcase_add_test(good, metadata);
    suite_add_tcase(suite, good);
    tcase_add_test(failing, refused_tensors_add_nothing);
    tcase_add_test(failing, nothing_until_commit);
    tcase_add_test(failing, hopeless_targets);
    tcase_add_test(failing, commit_fails_and_is_tried_again);
    tcase_add_test(failing, names_beside_are_taken);
    tcase_add_test(failing, killed_writers_leave_nothing);
    tcase_add_test(failing, memory_is_refused);
    tcase_add_test(failing, copying);
    tcase_add_test(failing, copying_by_hand);
    suite_add_tcase(suite, failing);
    return unit_run(suite);
}
