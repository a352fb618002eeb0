/* lib/api/packed_file.c: packed matrices in files, mapped back and damaged. */
#include "test_pack.h"
#include <stdio.h>
#include <unistd.h>

enum { ROWS = 64, COLS = 128 };

static s24_ctx *ctx;
static char path[64];
static uint8_t codes[ROWS * COLS], zeros[ROWS * COLS / 32];
static uint16_t scales[ROWS * COLS / 32];

static void set_up(void)
{
    strcpy(path, "/tmp/sparse24-packed-XXXXXX");
    int file = mkstemp(path);
    ck_assert_int_ge(file, 0);
    close(file);
    ok(s24_ctx_create(&ctx));
    for (int i = 0; i < ROWS * COLS; i++)
        codes[i] = (uint8_t)(i * 11 % 16);
    for (int i = 0; i < ROWS * COLS / 32; i++) {
        zeros[i] = 8;
        scales[i] = (uint16_t)(0x2c00 + i);
    }
}

static void tear_down(void)
{
    s24_ctx_destroy(ctx);
    unlink(path);
}

/* Of codes, or of a 2:4 matrix. */
static s24_packed *packed_matrix(const char *layout)
{
    static int8_t integers[ROWS * COLS];
    s24_mat code = api_view(codes, ROWS, COLS, S24_U8);
    s24_mat scale = api_view(scales, ROWS, COLS / 32, S24_F16), zero = scale;
    s24_packed *packed = NULL;

    if (!strchr("gpq", *layout)) {
        pack_integers(ROWS, COLS, 4, true, integers);
        s24_mat w = pack_matrix(integers, ROWS, COLS, S24_BF16, ROW_MAJOR);
        ok(s24_pack(ctx, &w, NULL, layout, &packed));
        free(w.data);
        return packed;
    }
    bool real = !strcmp(layout, "q4_1");
    if (!real)
        zero = api_view(zeros, ROWS, COLS / 32, S24_U8);
    ok(s24_pack_codes(ctx, real ? "int4 real g32" : "int4 sym g32", &code, &scale, &zero, layout,
                      &packed));
    return packed;
}

static void put(const s24_packed *packed, const char *format)
{
    s24_file *file;

    ok(s24_file_create(ctx, path, format, &file));
    ok(s24_file_put_packed(file, "m.weight", packed));
    fails(s24_file_put_packed(file, "m.weight", packed), S24_E_ARG, "m.weight");
    ok(s24_file_commit(file));
    s24_file_destroy(file);
}

static void same(const s24_packed *a, const s24_packed *b)
{
    static float x[2 * COLS], y[2][2 * ROWS];
    parts p = pack_parts(a), q = pack_parts(b);

    ck_assert_int_eq(p.count, q.count);
    for (int32_t i = 0; i < p.count; i++)
        ck_assert(p.size[i] == q.size[i] && !memcmp(p.data[i], q.data[i], p.size[i]));
    for (int i = 0; i < 2 * COLS; i++)
        x[i] = (float)(i % 13 - 6);
    s24_mat rows = api_view(x, 2, COLS, S24_F32);
    for (int i = 0; i < 2; i++) {
        s24_mat out = api_view(y[i], 2, ROWS, S24_F32);
        ok(s24_packed_multiply(i ? b : a, &rows, &out));
    }
    ck_assert(!memcmp(y[0], y[1], sizeof y[0]));
}

static const struct {
    const char *layout, *format;
} cases[] = {{"nibble", "safetensors"},
             {"cutlass-sm80", "safetensors"},
             {"ri16x32", "safetensors"},
             {"sparse-24-bitmask", "safetensors"},
             {"gptq-v1", "safetensors"},
             {"gptq-v2", "safetensors"},
             {"pack-quantized", "safetensors"},
             {"q4_0", "safetensors"},
             {"q4_0", "gguf"},
             {"q4_1", "gguf"},
             {"q8_0", "gguf"}};
enum { CASES = sizeof cases / sizeof *cases };

START_TEST(come_back_and_multiply)
{
    s24_packed *packed = packed_matrix(cases[_i].layout), *mapped = NULL;
    s24_file *file;
    const char *type;
    int64_t shape[8];
    int32_t rank;

    put(packed, cases[_i].format);
    ok(s24_file_open(ctx, path, &file));
    ok(s24_file_packed(file, "m.weight", &mapped));
    same(packed, mapped);
    s24_packed_destroy(mapped);
    if (!strcmp(cases[_i].format, "gguf")) { /* a tensor like any other of its type */
        ok(s24_file_info(file, "m.weight", shape, &rank, &type));
        ck_assert(!strcasecmp(type, cases[_i].layout) && rank == 2);
        ck_assert(shape[0] == ROWS && shape[1] == COLS);
    }
    fails(s24_file_packed(file, "n.weight", &mapped), S24_E_ARG, "n.weight");
    s24_file_destroy(file);
    s24_packed_destroy(packed);
}
END_TEST

START_TEST(what_does_not_fit_is_refused)
{
    s24_packed *half = packed_matrix("ri16x32"), *packed = NULL;
    char name[1100];
    s24_file *file;

    ok(s24_file_create(ctx, path, "gguf", &file));
    fails(s24_file_put_packed(file, "m", half), S24_E_DTYPE, "no type for layout ri16x32");
    fails(s24_file_put_packed(file, "", half), S24_E_ARG, "the name is empty");
    fails(s24_file_put_packed(file, NULL, half), S24_E_ARG, "name is NULL");
    fails(s24_file_put_packed(file, "m", NULL), S24_E_ARG, "packed is NULL");
    fails(s24_file_packed(file, "m", &packed), S24_E_STATE, "being written");
    s24_file_destroy(file);
    ok(s24_file_create(ctx, path, "safetensors", &file));
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    fails(s24_file_put_packed(file, name, half), S24_E_ARG, "too long");
    ok(s24_file_put_packed(file, "m", half));
    ok(s24_file_commit(file));
    s24_file_destroy(file);
    ok(s24_file_open(ctx, path, &file));
    fails(s24_file_put_packed(file, "m", half), S24_E_STATE, "opened for reading");
    fails(s24_file_packed(file, NULL, &packed), S24_E_ARG, "name is NULL");
    fails(s24_file_packed(file, "m", NULL), S24_E_ARG, "out is NULL");
    s24_file_destroy(file);
    s24_packed_destroy(half);
}
END_TEST

/* ---- Damage ---- */

static const struct {
    const char *line; /* of metadata instead of the right one */
    s24_status status;
    const char *text;
} lines[] = {
    {"", S24_E_FORMAT, "malformed"},
    {"ri16x32", S24_E_FORMAT, "malformed"},
    {"ri16x32 64 x BF16 tiles", S24_E_FORMAT, "malformed"},
    {"ri16x32 64 128 U9 tiles", S24_E_FORMAT, "malformed"},
    {"ri16x32 64 128 BF16 ,tiles", S24_E_FORMAT, "malformed"},
    {"ri16x32 64 128 BF16 tiles,a,b,c,d,e,f,g,h", S24_E_ARG, "m.a"},
    {"ri16x32 64 128 BF16 styles", S24_E_ARG, "m.styles"},
    {"ri16x32 64 256 BF16 tiles", S24_E_SHAPE, "bytes"},
    {"ri16x32 0 128 BF16 tiles", S24_E_SHAPE, "rows"},
    {"ri16x33 64 128 BF16 tiles", S24_E_UNSUPPORTED, "no layout"},
};

START_TEST(damaged_metadata_are_named)
{
    s24_packed *half = packed_matrix("ri16x32"), *packed = NULL;
    s24_file *file;

    ok(s24_file_create(ctx, path, "safetensors", &file));
    ok(s24_file_put_packed(file, "m", half));
    ok(s24_file_set_meta(file, "sparse24.packed.m", lines[_i].line));
    ok(s24_file_commit(file));
    s24_file_destroy(file);
    ok(s24_file_open(ctx, path, &file));
    fails(s24_file_packed(file, "m", &packed), lines[_i].status, lines[_i].text);
    ck_assert_ptr_null(packed);
    s24_file_destroy(file);
    s24_packed_destroy(half);
}
END_TEST

void files_tests(Suite *suite)
{
    TCase *tc = tcase_create("files");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, come_back_and_multiply, 0, CASES);
    tcase_add_test(tc, what_does_not_fit_is_refused);
    tcase_add_loop_test(tc, damaged_metadata_are_named, 0, sizeof lines / sizeof *lines);
    suite_add_tcase(suite, tc);
}
