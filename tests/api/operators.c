/* The public functions: types, layouts, threads, places, and what they refuse. */
#include "api_test.h"
#include "kernels/kernels.h"
#include <float.h>

static const int32_t types[] = {S24_F32, S24_F64};

/* What the kernels make of the values, in the matrix's type. */
static double *wanted_values(const api_mat *z, int32_t n, int32_t m, double strength, bool firm)
{
    s24i_kernels ref;
    int64_t count = z->mat.rows * z->mat.cols;
    double *w = malloc((size_t)count * sizeof *w);
    float *x = malloc((size_t)count * sizeof *x);
    s24i_kernels_ref(&ref);
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)z->value[i];
    if (firm) {
        ref.prox_firm_f64(z->value, w, count, n, m, strength);
        ref.prox_firm_f32(x, x, count, n, m, (float)strength);
    } else if (n == 1) {
        ref.prox_1m_f64(z->value, w, count, m, strength);
        ref.prox_1m_f32(x, x, count, m, (float)strength);
    } else {
        ref.prox_2m_f64(z->value, w, count, m, strength, 0);
        ref.prox_2m_f32(x, x, count, m, (float)strength, 0);
        for (int64_t i = 0; i < count && m > 8; i++) /* single precision is too rough there */
            x[i] = (float)w[i];
    }
    for (int64_t i = 0; i < count && z->mat.dtype == S24_F32; i++)
        w[i] = (double)x[i];
    free(x);
    return w;
}

static void expect_values(const s24_mat *w, const double *wanted)
{
    for (int64_t i = 0; i < w->rows; i++)
        for (int64_t j = 0; j < w->cols; j++)
            if (api_get(w, i, j) != wanted[i * w->cols + j])
                ck_abort_msg("row %lld, column %lld", (long long)i, (long long)j);
}

static void call_all(s24_ctx *ctx, api_mat *z, const s24_mat *w, int32_t m)
{
    double *wanted = wanted_values(z, 2, m, 1.25, false);
    ok(s24_prox_nm(ctx, &z->mat, 2, m, 1.25, w));
    expect_values(w, wanted);
    if (m == 4) {
        ok(s24_prox24(ctx, &z->mat, 1.25, w));
        expect_values(w, wanted);
    }
    free(wanted);
    wanted = wanted_values(z, 1, m, 0.3, false);
    ok(s24_prox_nm(ctx, &z->mat, 1, m, 0.3, w));
    expect_values(w, wanted);
    free(wanted);
    wanted = wanted_values(z, m / 2, m, 0.3, true);
    ok(s24_prox_firm(ctx, &z->mat, m / 2, m, 0.3, w));
    expect_values(w, wanted);
    free(wanted);
    ok(s24_prox_nm(ctx, &z->mat, m, m, 7, w));
    expect_values(w, z->value);
}

START_TEST(any_layout_gives_what_the_kernels_give)
{
    static const int32_t sizes[] = {2, 4, 6, 50};
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 1 + _i % 2 * 2);
    int32_t type = types[_i % 2], m = sizes[_i / 2 % 4];
    int layout = _i / 8, other = (layout + _i / 2) % LAYOUTS;
    api_mat z = api_filled(37, 12 * m, type, layout, (uint64_t)_i);
    s24_mat w = api_empty(37, 12 * m, type, other);
    call_all(ctx, &z, &w, m);
    double *wanted = wanted_values(&z, 2, m, 0.8, false);
    ok(s24_prox_nm(ctx, &z.mat, 2, m, 0.8, &z.mat)); /* in place */
    expect_values(&z.mat, wanted);
    free(wanted);
    free(w.data);
    api_free(&z);
    api_done(ctx, &heap);
}
END_TEST

START_TEST(masks_hold_the_largest)
{
    static const int32_t all[] = {S24_F16, S24_BF16, S24_F32, S24_F64};
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 2);
    int32_t n = 1 + _i % 3, m = _i % 2 ? 4 : 10;
    api_mat z = api_filled(35, 60, all[_i % 4], _i % LAYOUTS, (uint64_t)_i);
    uint8_t bytes[35 * 60 * 2];
    s24_mat mask = api_view(bytes, 35, 60, _i % 2 ? S24_U8 : S24_BOOL);
    mask.row_stride = _i % 5 ? 60 : 120;
    ok(s24_project_nm(ctx, &z.mat, n, m, &mask));
    for (int64_t i = 0; i < 35; i++)
        for (int64_t j = 0; j < 60; j++) {
            int32_t before = 0;
            const double *group = z.value + i * 60 + j - j % m;
            for (int32_t t = 0; t < m; t++)
                before += fabs(group[t]) > fabs(group[j % m]) ||
                          (fabs(group[t]) == fabs(group[j % m]) && t < j % m);
            ck_assert_int_eq(bytes[i * mask.row_stride + j], before < n);
        }
    api_free(&z);
    api_done(ctx, &heap);
}
END_TEST

/* Doubles that are one float. */
START_TEST(doubles_are_compared_as_doubles)
{
    double z[4] = {1, 1 + 1e-12, 1 + 2e-12, 1 - 1e-12};
    uint8_t bytes[4];
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 1);
    s24_mat view = api_view(z, 1, 4, S24_F64), mask = api_view(bytes, 1, 4, S24_U8);
    ok(s24_project_nm(ctx, &view, 2, 4, &mask));
    ck_assert_mem_eq(bytes, ((uint8_t[]){0, 1, 1, 0}), 4);
    api_done(ctx, &heap);
}
END_TEST

/* lambda beyond single precision, weights that make up for it: the same answer as in double. */
START_TEST(lambda_may_be_out_of_reach_of_float)
{
    static const struct {
        double scale, lambda;
    } cases[] = {{0x1p-140, 0x1p140}, {0x1p120, 0x1p-140}, {0x1p-140, 0x1p1000}, {1, 0x1p-1000}};
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float z[4] = {1.0f, -0.75f, 0.5f, 0.25f}, w[4];
        double wide[4];
        for (int j = 0; j < 4; j++) {
            z[j] *= (float)cases[i].scale;
            wide[j] = (double)z[j];
        }
        s24_mat view = api_view(z, 1, 4, S24_F32), out = api_view(w, 1, 4, S24_F32);
        s24_mat doubles = api_view(wide, 1, 4, S24_F64);
        ok(s24_prox24(ctx, &view, cases[i].lambda, &out));
        ok(s24_prox24(ctx, &doubles, cases[i].lambda, &doubles));
        for (int j = 0; j < 4; j++)
            ck_assert(w[j] == (float)wide[j]);
    }
    api_done(ctx, &heap);
}
END_TEST

START_TEST(bits_do_not_depend_on_threads_or_kernels)
{
    static const char *const sets[] = {"ref", "auto"};
    float *z = malloc(300 * 512 * sizeof *z), *w[4];
    uint64_t state = 8;
    for (int i = 0; i < 300 * 512; i++)
        z[i] = (float)api_random(&state);
    for (int run = 0; run < 4; run++) {
        unit_heap heap;
        s24_ctx *ctx = api_ctx(&heap, 1 + run % 2 * 3);
        w[run] = malloc(300 * 512 * sizeof *z);
        s24_mat view = api_view(z, 300, 512, S24_F32), out = api_view(w[run], 300, 512, S24_F32);
        ok(s24_ctx_set_str(ctx, "isa", sets[run / 2]));
        ok(s24_prox24(ctx, &view, 0.9, &out));
        api_done(ctx, &heap);
        ck_assert(memcmp(w[0], w[run], 300 * 512 * sizeof *z) == 0);
    }
    for (int run = 0; run < 4; run++)
        free(w[run]);
    free(z);
}
END_TEST

/* ---- what is refused ---- */

START_TEST(bad_arguments_are_named)
{
    float z[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, w[12] = {0};
    double d[12];
    uint16_t half[12] = {0};
    uint8_t bytes[12];
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 1);
    s24_mat in = api_view(z, 3, 4, S24_F32), out = api_view(w, 3, 4, S24_F32);
    s24_mat wide = api_view(d, 3, 4, S24_F64), short_in = api_view(half, 3, 4, S24_BF16);
    s24_mat six = api_view(z, 2, 6, S24_F32), six_out = api_view(w, 2, 6, S24_F32), turned = in;
    s24_mat mask = api_view(bytes, 3, 4, S24_U8);
    turned.row_stride = 1;
    turned.col_stride = 3;
    fails(s24_prox24(NULL, &in, 1, &out), S24_E_ARG, "s24_prox24: ctx");
    fails(s24_prox24(ctx, NULL, 1, &out), S24_E_ARG, "z");
    fails(s24_prox24(ctx, &in, 1, NULL), S24_E_ARG, "w");
    fails(s24_prox24(ctx, &in, -1, &out), S24_E_ARG,
          "s24_prox24: lambda is -1, but must be at least 0");
    fails(s24_prox24(ctx, &in, NAN, &out), S24_E_ARG, "lambda is ");
    fails(s24_prox24(ctx, &in, -INFINITY, &out), S24_E_ARG, "lambda is -inf");
    fails(s24_prox24(ctx, &six, 1, &six_out), S24_E_SHAPE,
          "z has 6 columns, but must have a multiple of m = 4");
    fails(s24_prox24(ctx, &in, 1, &six_out), S24_E_SHAPE, "w is 2 x 6, but must be 3 x 4");
    fails(s24_prox24(ctx, &in, 1, &wide), S24_E_DTYPE, "w has dtype S24_F64");
    fails(s24_prox24(ctx, &short_in, 1, &short_in), S24_E_DTYPE, "z has dtype S24_BF16");
    fails(s24_prox24(ctx, &in, 1, &turned), S24_E_ARG, "in place means the same matrix");
    fails(s24_prox_nm(ctx, &in, 3, 4, 1, &out), S24_E_UNSUPPORTED, "s24_prox_nm: n is 3");
    fails(s24_prox_nm(ctx, &in, 0, 4, 1, &out), S24_E_ARG, "n:m is 0:4");
    fails(s24_prox_nm(ctx, &in, 2, 65, 1, &out), S24_E_ARG, "1 <= n <= m <= 64");
    fails(s24_prox_firm(ctx, &in, 5, 4, 1, &out), S24_E_ARG, "n:m is 5:4");
    fails(s24_prox_firm(ctx, &in, 2, 4, 1.5, &out), S24_E_ARG, "s24_prox_firm: strength is 1.5");
    fails(s24_prox_firm(ctx, &in, 2, 4, NAN, &out), S24_E_ARG, "strength is ");
    fails(s24_project_nm(ctx, &in, 2, 4, &out), S24_E_DTYPE, "mask has dtype S24_F32");
    fails(s24_project_nm(ctx, &in, 2, 3, &mask), S24_E_SHAPE, "multiple of m = 3");
    for (int i = 0; i < 12; i++)
        ck_assert(w[i] == 0);
    api_done(ctx, &heap);
}
END_TEST

START_TEST(what_is_not_finite_is_found_first)
{
    static const double bad[] = {NAN, INFINITY, -INFINITY};
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 3);
    api_mat z = api_filled(70, 600, types[_i % 2], _i / 2 % LAYOUTS, 5);
    s24_mat w = api_empty(70, 600, types[_i % 2], ROW_MAJOR);
    uint8_t *bytes = calloc(70 * 600, 1);
    s24_mat mask = api_view(bytes, 70, 600, S24_U8);
    memset(w.data, 0x5a, 70 * 600 * (size_t)api_size(types[_i % 2]));
    double before = api_get(&w, 0, 0);
    api_set(&z.mat, 33, 517, bad[_i % 3]);
    api_set(&z.mat, 33, 599, NAN);
    api_set(&z.mat, 69, 0, NAN);
    fails(s24_prox24(ctx, &z.mat, 1, &w), S24_E_NONFINITE, "z: row 33, column 517 is ");
    fails(s24_prox_nm(ctx, &z.mat, 4, 4, 1, &w), S24_E_NONFINITE, "row 33, column 517");
    fails(s24_prox_firm(ctx, &z.mat, 2, 4, 1, &w), S24_E_NONFINITE, "row 33, column 517");
    fails(s24_project_nm(ctx, &z.mat, 2, 4, &mask), S24_E_NONFINITE, "row 33, column 517");
    for (int64_t i = 0; i < 70 * 600; i++)
        ck_assert(!bytes[i] && api_get(&w, i / 600, i % 600) == before);
    free(bytes);
    free(w.data);
    api_free(&z);
    api_done(ctx, &heap);
}
END_TEST

START_TEST(nothing_is_nothing)
{
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 1);
    s24_mat none = api_view(NULL, 0, 4, S24_F32), flat = api_view(NULL, 3, 0, S24_F64);
    s24_mat mask = api_view(NULL, 3, 0, S24_BOOL);
    ok(s24_prox24(ctx, &none, 1, &none));
    ok(s24_prox24(ctx, &flat, 1, &flat));
    ok(s24_prox_firm(ctx, &flat, 3, 5, 0.5, &flat));
    ok(s24_project_nm(ctx, &flat, 3, 5, &mask));
    api_done(ctx, &heap);
}
END_TEST

/* Any layout and type gives the same order; a block that does not fit is refused. */
START_TEST(columns_are_put_in_order)
{
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 2);
    int64_t wanted[24], order[24];
    double kept[2];

    for (int k = 0; k < LAYOUTS * 2; k++) {
        api_mat z = api_filled(11, 24, types[k % 2], k / 2, 5);
        for (int64_t i = 0; i < 11 * 24; i++)
            api_set(&z.mat, i / 24, i % 24, fabs(api_get(&z.mat, i / 24, i % 24)));
        ok(s24_permutation(ctx, &z.mat, 2, 4, 8, order, k % 2 ? kept : NULL));
        if (!k)
            memcpy(wanted, order, sizeof order);
        ck_assert(!memcmp(wanted, order, sizeof order));
        fails(s24_permutation(ctx, &z.mat, 2, 4, 16, order, NULL), S24_E_SHAPE,
              "block is 16, but must be 0, or a multiple of m = 4 that divides the 24 columns");
        fails(s24_permutation(ctx, &z.mat, 2, 4, 6, order, NULL), S24_E_SHAPE, "block is 6");
        fails(s24_permutation(ctx, &z.mat, 2, 4, -4, order, NULL), S24_E_SHAPE, "block is -4");
        fails(s24_permutation(ctx, &z.mat, 2, 5, 0, order, NULL), S24_E_SHAPE,
              "score has 24 columns, but must have a multiple of m = 5");
        fails(s24_permutation(ctx, &z.mat, 5, 4, 0, order, NULL), S24_E_ARG, "n:m is 5:4");
        fails(s24_permutation(ctx, &z.mat, 2, 4, 0, NULL, NULL), S24_E_ARG, "order");
        api_free(&z);
    }
    fails(s24_permutation(ctx, NULL, 2, 4, 0, order, NULL), S24_E_ARG, "score");
    fails(s24_permutation(NULL, NULL, 2, 4, 0, order, NULL), S24_E_ARG, "ctx");
    api_done(ctx, &heap);
}
END_TEST

void api_operators_tests(Suite *suite)
{
    TCase *test = tcase_create("operators");
    tcase_add_loop_test(test, any_layout_gives_what_the_kernels_give, 0, 24);
    tcase_add_loop_test(test, masks_hold_the_largest, 0, 12);
    tcase_add_test(test, columns_are_put_in_order);
    tcase_add_test(test, doubles_are_compared_as_doubles);
    tcase_add_test(test, lambda_may_be_out_of_reach_of_float);
    tcase_add_test(test, bits_do_not_depend_on_threads_or_kernels);
    tcase_add_test(test, bad_arguments_are_named);
    tcase_add_loop_test(test, what_is_not_finite_is_found_first, 0, 6);
    tcase_add_test(test, nothing_is_nothing);
    suite_add_tcase(suite, test);
}
