/* lib/pack/codes.c: layouts of values on a grid hold codes as a solver left them. */
#include "test_pack.h"
#include <stdio.h>

static s24_ctx *ctx;
static unit_heap heap;

static void set_up(void)
{
    ctx = api_ctx(&heap, 2);
}

static void tear_down(void)
{
    api_done(ctx, &heap);
}

static s24_result *quantised(int64_t rows, int64_t cols, const char *constraints,
                             const char *options)
{
    api_mat w = api_filled(rows, cols, S24_F32, ROW_MAJOR, 5);
    s24_problem *problem;
    s24_solver *solver;
    s24_result *result;

    ok(s24_problem_create(ctx, &w.mat, &problem));
    ok(s24_problem_parse(problem, constraints));
    ok(s24_solver_create(ctx,
                         strstr(options, "outliers") ? "quantease"
                         : strchr(constraints, ':')  ? "sparsegpt"
                                                     : "rtn",
                         &solver));
    ok(s24_solver_parse(solver, options));
    ok(s24_solve(solver, problem, &result));
    s24_solver_destroy(solver);
    s24_problem_destroy(problem);
    api_free(&w);
    return result;
}

static const struct {
    const char *layout, *constraints;
    int64_t rows, cols;
} cases[] = {
    {"gptq-v2", "int4", 32, 64},
    {"gptq-v2", "int4 g48", 96, 128}, /* the last shorter */
    {"gptq-v2", "int3 g16", 8, 64},
    {"gptq-v2", "int2 sym g8", 16, 32},
    {"gptq-v2", "int8 sym g32", 68, 64},
    {"gptq-v2", "2:4+int4 g32", 64, 96},
    {"gptq-v1", "int4 sym g32", 64, 96},
    {"gptq-v1", "int8 sym", 8, 64},
    {"gptq-v1", "2:4+int2 sym g8", 16, 32},
    {"pack-quantized", "int4", 5, 33},
    {"pack-quantized", "int4 sym g16", 70, 64},
    {"pack-quantized", "int8 g8", 9, 24},
    {"pack-quantized", "int3 g16", 33, 48},
    {"pack-quantized", "int5 sym", 7, 21},
    {"pack-quantized", "2:4+int4 g32", 64, 96},
    {"q4_0", "int4 sym g32", 65, 96},
    {"q4_0", "int3 sym g32", 3, 64},
    {"q4_0", "2:4+int4 sym g32", 64, 64},
    {"q4_1", "int4 real g32", 65, 96},
    {"q4_1", "int2 real g32", 3, 64},
    {"q8_0", "int8 sym g32", 65, 96},
    {"q8_0", "int5 sym g32", 2, 32},
    {"q8_0", "2:4+int8 sym g32", 8, 64},
    {"ri16x32-int8", "2:4+int8 sym", 33, 68},
    {"ri16x32-int8", "2:4+int5 sym g64", 8, 200},
    {"ri16x32-int4", "2:4+int4 sym g32", 33, 68},
    {"ri16x32-int4", "2:4+int4 sym g128", 16, 300},
    {"ri16x32-int4", "2:4+int3 sym", 5, 36},
    {"ri16x32-int4-zeros", "2:4+int4 g64", 33, 132},
    {"ri16x32-int4-zeros", "2:4+int3 g32", 16, 96},
    {"ri16x32-int4-p6", "2:4+int4 sym g64", 33, 68},
    {"ri16x32-int4-p6", "2:4+int4 sym", 16, 256},
    {"ri16-int8", "int8 sym g32", 33, 65},
    {"ri16-int8", "int8 sym", 16, 128},
    {"ri16-int4", "int4 sym g128", 33, 257},
    {"ri16-int4", "2:4+int4 sym g32", 7, 64},
    {"ri16-int4-zeros", "int4 g64", 33, 131},
    {"ri16-int4-zeros", "int2", 9, 31},
};
enum { CASES = sizeof cases / sizeof *cases };

static void check_unpacked(const s24_packed *packed, const s24_mat *weights)
{
    s24_mat back = api_empty(weights->rows, weights->cols, S24_F32, ROW_MAJOR);

    ok(s24_unpack(packed, &back));
    ck_assert(
        !memcmp(back.data, weights->data, (size_t)(weights->rows * weights->cols) * sizeof(float)));
    free(back.data);
}

START_TEST(codes_come_back)
{
    s24_result *result =
        quantised(cases[_i].rows, cases[_i].cols, cases[_i].constraints, "scales=f16");
    s24_mat weights, codes, scales, zeros;
    s24_packed *packed, *again, *wrapped;

    ok(s24_result_matrix(result, "weights", &weights));
    ok(s24_result_matrix(result, "codes", &codes));
    ok(s24_result_matrix(result, "scales", &scales));
    ok(s24_result_matrix(result, "zeros", &zeros));
    ok(s24_pack_result(ctx, result, cases[_i].layout, &packed));
    check_unpacked(packed, &weights);
    parts p = pack_parts(packed);
    ok(s24_packed_wrap(ctx, cases[_i].layout, weights.rows, weights.cols, S24_F32, p.data, p.size,
                       p.count, &wrapped));
    check_unpacked(wrapped, &weights);
    ok(s24_pack_codes(ctx, cases[_i].constraints, &codes, &scales, &zeros, cases[_i].layout,
                      &again));
    parts q = pack_parts(again);
    ck_assert_int_eq(p.count, q.count);
    check_unpacked(again, &weights);
    /* A mask may keep what decodes to 0; without one 2:4 finds other places for it. */
    for (int32_t i = 0; i < p.count && !strstr(cases[_i].layout, "ri16x32"); i++)
        ck_assert(p.size[i] == q.size[i] && !memcmp(p.data[i], q.data[i], p.size[i]));
    s24_packed_destroy(again);
    s24_packed_destroy(wrapped);
    s24_packed_destroy(packed);
    s24_result_destroy(result);
}
END_TEST

/* ---- where each bit lies, written down a second time ---- */

enum { R = 8, C = 32 };
static uint8_t code[R * C], zero[R];
static uint16_t scale[R];

static void make_codes(void)
{
    for (int i = 0; i < R * C; i++)
        code[i] = (uint8_t)(i * 7 % 16);
    for (int i = 0; i < R; i++) {
        zero[i] = (uint8_t)(i + 3);
        scale[i] = (uint16_t)(0x2c00 + i); /* f16, about 1 / 16 */
    }
}

static s24_packed *packed_codes(const char *grid, const char *layout)
{
    s24_mat codes = api_view(code, R, C, S24_U8), scales = api_view(scale, R, 1, S24_F16);
    s24_mat zeros = api_view(zero, R, 1, S24_U8);
    s24_packed *packed;

    ok(s24_pack_codes(ctx, grid, &codes, &scales, &zeros, layout, &packed));
    return packed;
}

START_TEST(gptq_s_places)
{
    make_codes();
    s24_packed *packed = packed_codes("int4", "gptq-v2");
    parts p = pack_parts(packed);
    const uint32_t *qweight = p.data[0], *qzeros = p.data[1];
    const uint16_t *scales = p.data[2];
    const int32_t *g_idx = p.data[3];

    ck_assert(p.count == 4 && p.size[0] == R * C / 2 && p.size[1] == R / 2 && p.size[2] == 2 * R);
    for (int j = 0; j < C; j++)
        for (int i = 0; i < R; i++)
            ck_assert_uint_eq(qweight[j / 8 * R + i] >> j % 8 * 4 & 15, code[i * C + j]);
    for (int i = 0; i < R; i++) {
        ck_assert_uint_eq(qzeros[i / 8] >> i % 8 * 4 & 15, zero[i]); /* not minus 1 */
        ck_assert_uint_eq(scales[i], scale[i]);
    }
    for (int j = 0; j < C; j++)
        ck_assert_int_eq(g_idx[j], 0);
    int64_t shape[8] = {0};
    int32_t rank;
    ok(s24_packed_shape(packed, "g_idx", shape, &rank));
    ck_assert(rank == 1 && shape[0] == C);
    ok(s24_packed_shape(packed, "qweight", shape, &rank));
    ck_assert(rank == 2 && shape[0] == C / 8 && shape[1] == R);
    fails(s24_packed_shape(packed, "meta", shape, &rank), S24_E_UNSUPPORTED, "has no part");
    fails(s24_packed_shape(packed, "g_idx", NULL, &rank), S24_E_ARG, "shape is NULL");
    s24_packed_destroy(packed);
}
END_TEST

START_TEST(compressed_tensors_places)
{
    make_codes();
    s24_packed *packed = packed_codes("int4", "pack-quantized");
    parts p = pack_parts(packed);
    const uint32_t *words = p.data[0], *zeros = p.data[3];

    ck_assert_int_eq(p.count, 4);
    for (int i = 0; i < R; i++) {
        for (int j = 0; j < C; j++) /* signed codes plus 8 */
            ck_assert_uint_eq(words[i * C / 8 + j / 8] >> j % 8 * 4 & 15, code[i * C + j]);
        ck_assert_uint_eq(zeros[0] >> i * 4 & 15, zero[i]);
    }
    s24_packed_destroy(packed);
    memset(zero, 8, sizeof zero); /* in the middle: no zero points */
    packed = packed_codes("int4 sym", "pack-quantized");
    p = pack_parts(packed);
    ck_assert_int_eq(p.count, 3);
    ck_assert_int_eq(((const int64_t *)p.data[2])[0], R);
    ck_assert_int_eq(((const int64_t *)p.data[2])[1], C);
    s24_packed_destroy(packed);
}
END_TEST

START_TEST(gguf_s_places)
{
    make_codes();
    memset(zero, 8, sizeof zero);
    s24_packed *packed = packed_codes("int4 sym g32", "q4_0");
    parts p = pack_parts(packed);
    const uint8_t *block = p.data[0];

    ck_assert(p.count == 1 && p.size[0] == R * 18);
    for (int i = 0; i < R; i++, block += 18) {
        ck_assert_uint_eq(block[0] | block[1] << 8, scale[i]);
        for (int j = 0; j < 16; j++) {
            ck_assert_uint_eq(block[2 + j] & 15, code[i * C + j]);
            ck_assert_uint_eq(block[2 + j] >> 4, code[i * C + j + 16]);
        }
    }
    s24_packed_destroy(packed);
    packed = packed_codes("int4 sym g32", "q8_0");
    p = pack_parts(packed);
    block = p.data[0];
    for (int i = 0; i < R; i++, block += 34)
        for (int j = 0; j < C; j++)
            ck_assert_int_eq((int8_t)block[2 + j], code[i * C + j] - 8);
    s24_packed_destroy(packed);
}
END_TEST

/* ---- what does not fit ---- */

static const struct {
    const char *constraints, *options, *layout;
    int64_t rows, cols;
    s24_status status;
    const char *text;
} misfits[] = {
    {"int4", "", "gptq-v2", 32, 64, S24_E_DTYPE, "holds f16 scales: solve with scales=f16"},
    {"int4 real", "scales=f16", "gptq-v2", 32, 64, S24_E_UNSUPPORTED, "holds integer zeros"},
    {"int4", "scales=f16", "gptq-v2", 32, 60, S24_E_SHAPE, "multiples of 8, not 32 x 60"},
    {"int4", "scales=f16", "gptq-v2", 33, 64, S24_E_SHAPE, "multiples of 8, not 33 x 64"},
    {"int4 g48", "scales=f16", "pack-quantized", 32, 64, S24_E_SHAPE, "groups of one size"},
    {"int8 sym g32", "scales=f16", "q4_0", 32, 64, S24_E_UNSUPPORTED, "codes of 4 bits, not of 8"},
    {"int4 sym g16", "scales=f16", "q4_0", 32, 64, S24_E_UNSUPPORTED, "ask for g32"},
    {"int4 sym g32", "scales=f16", "q4_0", 32, 48, S24_E_SHAPE, "multiples of 32, not 48"},
    {"int4 g32", "scales=f16", "q4_1", 32, 64, S24_E_UNSUPPORTED, "ask for \"int4 real\""},
    {"int4 g32", "scales=f16", "q4_0", 32, 64, S24_E_STATE, "layout q4_0 holds -8 .. 7"},
    {"int8 sym g32", "scales=bf16", "q8_0", 32, 64, S24_E_DTYPE, "f16"},
    {"int4 sym g32", "scales=f16,outliers=0.1", "q4_0", 32, 64, S24_E_UNSUPPORTED, "outliers"},
};

START_TEST(misfits_are_refused)
{
    s24_result *result =
        quantised(misfits[_i].rows, misfits[_i].cols, misfits[_i].constraints, misfits[_i].options);
    s24_packed *packed = NULL;

    fails(s24_pack_result(ctx, result, misfits[_i].layout, &packed), misfits[_i].status,
          misfits[_i].text);
    ck_assert_ptr_null(packed);
    s24_result_destroy(result);
}
END_TEST

/* The zeros of version 1 are less by one. */
START_TEST(gptq_versions_differ_in_their_zeros)
{
    make_codes();
    s24_packed *two = packed_codes("int4", "gptq-v2"), *one = packed_codes("int4", "gptq-v1");
    parts p = pack_parts(two), q = pack_parts(one);
    const uint32_t *zeros = p.data[1], *less = q.data[1];

    for (int32_t i = 0; i < 4; i++)
        ck_assert(p.size[i] == q.size[i] && (i == 1 || !memcmp(p.data[i], q.data[i], p.size[i])));
    for (size_t i = 0; i < p.size[1] / 4; i++)
        ck_assert_uint_eq(zeros[i], less[i] + 0x11111111);
    s24_packed_destroy(one);
    s24_packed_destroy(two);
    zero[5] = 0;
    s24_mat codes = api_view(code, R, C, S24_U8), scales = api_view(scale, R, 1, S24_F16);
    s24_mat zeroes = api_view(zero, R, 1, S24_U8);
    fails(s24_pack_codes(ctx, "int4", &codes, &scales, &zeroes, "gptq-v1", &one), S24_E_STATE,
          "zeros: row 5, group 0 is 0, but layout gptq-v1 holds 1 .. 16");
}
END_TEST

/* No code of a real grid stands for a pruned weight. */
START_TEST(real_grids_beside_patterns_are_refused)
{
    make_codes();
    s24_mat codes = api_view(code, R, C, S24_U8), scales = api_view(scale, R, 1, S24_F16);
    s24_packed *packed = NULL;

    fails(s24_pack_codes(ctx, "2:4+int4 real g32", &codes, &scales, &scales, "q4_1", &packed),
          S24_E_UNSUPPORTED, "pruned weights have no code");
    fails(s24_pack_codes(ctx, "50%+int4 real g32", &codes, &scales, &scales, "q4_1", &packed),
          S24_E_UNSUPPORTED, "ask for sym");
    ok(s24_pack_codes(ctx, "int4 real g32", &codes, &scales, &scales, "q4_1", &packed));
    s24_packed_destroy(packed);
}
END_TEST

START_TEST(given_codes_are_checked)
{
    make_codes();
    s24_mat codes = api_view(code, R, C, S24_U8), scales = api_view(scale, R, 1, S24_F16);
    s24_mat zeros = api_view(zero, R, 1, S24_U8), few = api_view(scale, R, 1, S24_F16);
    s24_packed *packed = NULL;

    code[3 * C + 5] = 16;
    fails(s24_pack_codes(ctx, "int4", &codes, &scales, &zeros, "gptq-v2", &packed), S24_E_STATE,
          "codes: row 3, column 5 is 16, beyond 4 bits");
    code[3 * C + 5] = 1;
    zero[2] = 16;
    fails(s24_pack_codes(ctx, "int4", &codes, &scales, &zeros, "gptq-v2", &packed), S24_E_STATE,
          "zeros: row 2, group 0 is 16");
    zero[2] = 8;
    few.rows = R - 1;
    fails(s24_pack_codes(ctx, "int4", &codes, &few, &zeros, "gptq-v2", &packed), S24_E_SHAPE,
          "scales must be 8 x 1");
    fails(s24_pack_codes(ctx, "2:4", &codes, &scales, &zeros, "gptq-v2", &packed),
          S24_E_UNSUPPORTED, "needs codes");
    fails(s24_pack_codes(ctx, "int4 g0", &codes, &scales, &zeros, "gptq-v2", &packed), S24_E_OPTION,
          "int4 g0");
    fails(s24_pack_codes(ctx, "int4", &codes, &scales, &zeros, "nibble", &packed),
          S24_E_UNSUPPORTED, "needs weights");
    fails(s24_pack_codes(ctx, "int4", &codes, &scales, &zeros, "gptq-v2:f16", &packed), S24_E_DTYPE,
          "not rounded");
    fails(s24_pack_codes(ctx, NULL, &codes, &scales, &zeros, "gptq-v2", &packed), S24_E_ARG,
          "grid is NULL");
    fails(s24_pack_codes(ctx, "int4", NULL, &scales, &zeros, "gptq-v2", &packed), S24_E_ARG,
          "codes");
    fails(s24_pack(ctx, &codes, NULL, "gptq-v2", &packed), S24_E_DTYPE, "gptq-v2");
    ck_assert_ptr_null(packed);
}
END_TEST

/* Parts of others: one value wrong. */
static void spoilt(const char *grid, const char *layout, int32_t part, size_t byte, int value,
                   const char *text)
{
    static char copy[4][4096];
    make_codes();
    memset(zero, 8, sizeof zero);
    zero[1] = strstr(grid, "sym") ? 8 : 7;
    s24_packed *packed = packed_codes(grid, layout), *wrapped = NULL;
    parts p = pack_parts(packed);

    for (int32_t i = 0; i < p.count; i++) {
        memcpy(copy[i] + 1, p.data[i], p.size[i]);
        p.data[i] = copy[i] + 1;
    }
    s24_packed_destroy(packed);
    copy[part][1 + byte] = (char)value;
    fails(s24_packed_wrap(ctx, layout, R, C, S24_F32, p.data, p.size, p.count, &wrapped),
          S24_E_FORMAT, text);
    p.size[part]--;
    ck_assert_int_eq(s24_packed_wrap(ctx, layout, R, C, S24_F32, p.data, p.size, p.count, &wrapped),
                     S24_E_SHAPE);
    ck_assert_ptr_null(wrapped);
}

START_TEST(foreign_parts_are_checked)
{
    spoilt("int4", "gptq-v2", 3, 4 * 9, 1, "\"g_idx\": column 9 is in group 1 of 1");
    spoilt("int4", "gptq-v2", 3, 4 * 9 + 3, 0x80, "column 9 is in group");
    spoilt("int4", "gptq-v2", 2, 5, 0x7c, "\"scales\": row 0, column 2 is not finite");
    spoilt("int4", "pack-quantized", 1, 5, 0xfc, "\"weight_scale\": row 2, column 0");
    spoilt("int4", "pack-quantized", 2, 0, 9, "says 9 x 32, not 8 x 32");
    spoilt("int4 sym g32", "q4_0", 0, 18 * 3 + 1, 0x7e, "row 3, block 0: its scale");
    spoilt("int4 sym g32", "q8_0", 0, 34 * 3 + 1, 0x7e, "row 3, block 0: its scale");
}
END_TEST

/* Any bytes of any size: refused, or a matrix. */
START_TEST(any_bytes_unpack)
{
    static const char *const layouts[] = {"gptq-v1", "gptq-v2", "pack-quantized",
                                          "q4_0",    "q4_1",    "q8_0"};
    static char bytes[4][600];
    uint64_t seed = 11;
    int accepted = 0;

    for (int trial = 0; trial < 4000; trial++) {
        s24_mat back = api_empty(R, C, S24_F32, ROW_MAJOR);
        s24_packed *packed;
        size_t sizes[4], room[] = {R * C / 2, 16, 16, 128};
        const void *data[4];
        int32_t count = 1 + (int32_t)((api_random(&seed) + 1) * 2);
        for (int i = 0; i < 4; i++) {
            sizes[i] = room[i];
            if (trial % 4 == 1)
                sizes[i] = (size_t)((api_random(&seed) + 1) * 300);
            if (trial % 5 == 2)
                sizes[0] = trial % 2 ? R * 18 : R * 34;
            data[i] = bytes[i];
            for (size_t k = 0; k < sizes[i]; k++)
                bytes[i][k] = trial % 3 ? 0 : (char)(api_random(&seed) * 127);
        }
        bytes[2][0] = trial % 7 ? R : bytes[2][0];
        bytes[2][8] = trial % 7 ? C : bytes[2][8];
        if (s24_packed_wrap(ctx, layouts[trial % 6], R, C, S24_F32, data, sizes,
                            count > 4 ? 4 : count, &packed) == S24_OK) {
            accepted++;
            ok(s24_unpack(packed, &back));
            s24_packed_destroy(packed);
        }
        free(back.data);
    }
    ck_assert_int_gt(accepted, 50);
}
END_TEST

void codes_tests(Suite *suite)
{
    TCase *tcase = tcase_create("codes");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, codes_come_back, 0, CASES);
    tcase_add_test(tcase, gptq_s_places);
    tcase_add_test(tcase, compressed_tensors_places);
    tcase_add_test(tcase, gguf_s_places);
    tcase_add_loop_test(tcase, misfits_are_refused, 0, sizeof misfits / sizeof *misfits);
    tcase_add_test(tcase, gptq_versions_differ_in_their_zeros);
    tcase_add_test(tcase, real_grids_beside_patterns_are_refused);
    tcase_add_test(tcase, given_codes_are_checked);
    tcase_add_test(tcase, foreign_parts_are_checked);
    tcase_add_test(tcase, any_bytes_unpack);
    suite_add_tcase(suite, tcase);
}
