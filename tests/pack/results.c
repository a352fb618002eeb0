/* lib/pack: from a solve, from weights and mask, and back. */
#include "test_pack.h"
#include <stdio.h>

/* ---- From a solve ---- */

static s24_result *solve(s24_ctx *ctx, const api_mat *w, const char *constraints)
{
    s24_problem *problem;
    s24_solver *solver;
    s24_result *result;

    ok(s24_problem_create(ctx, &w->mat, &problem));
    ok(s24_problem_parse(problem, constraints));
    ok(s24_solver_create(ctx, "magnitude", &solver));
    ok(s24_solve(solver, problem, &result));
    s24_solver_destroy(solver);
    s24_problem_destroy(problem);
    return result;
}

static void same_parts(const s24_packed *a, const s24_packed *b)
{
    parts p = pack_parts(a), q = pack_parts(b);

    ck_assert_int_eq(p.count, q.count);
    for (int32_t i = 0; i < p.count; i++) {
        ck_assert_uint_eq(p.size[i], q.size[i]);
        ck_assert(!memcmp(p.data[i], q.data[i], p.size[i]));
    }
}

START_TEST(results_go_straight_in)
{
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 2);
    api_mat w = api_filled(64, 128, S24_F32, ROW_MAJOR, 3);
    const char *layout = layout_names[_i];
    bool half = !strcmp(layout, "cutlass-sm80");
    static uint16_t narrow[64 * 128];
    s24_mat v, mask, b = api_view(narrow, 64, 128, S24_BF16), view;
    s24_packed *packed, *again;
    char text[64];

    memset(w.mat.data, 0, 16); /* a group of zeros: two are kept all the same */
    s24_result *result = solve(ctx, &w, "2:4");
    ok(s24_result_matrix(result, "weights", &v));
    ok(s24_result_matrix(result, "mask", &mask));
    if (half)
        fails(s24_pack_result(ctx, result, layout, &packed), S24_E_STATE, "holds 1 of 2");
    else
        ok(s24_pack_result(ctx, result, layout, &packed));
    if (!half) {
        ok(s24_pack(ctx, &v, &mask, layout, &again));
        same_parts(packed, again);
        s24_packed_destroy(packed);
        s24_packed_destroy(again);
    }
    snprintf(text, sizeof text, "%s:bf16", layout);
    ok(s24_pack_result(ctx, result, text, &packed));
    ok(s24_mat_copy(ctx, &v, &b));
    ok(s24_pack(ctx, &b, &mask, layout, &again));
    same_parts(packed, again);
    fails(s24_packed_matrix(packed, "scales", &view), S24_E_UNSUPPORTED, "has no part \"scales\"");
    ok(s24_packed_matrix(packed, pack_parts(packed).name[0], &view));
    ck_assert(view.data == pack_parts(packed).data[0]);
    s24_result_destroy(result);
    s24_packed_destroy(packed);
    s24_ctx_destroy(ctx); /* handles die in any order */
    s24_packed_destroy(again);
    ck_assert_int_eq(heap.blocks, 0);
    api_free(&w);
}
END_TEST

/* A denser result does not fit; a sparser one does. */
START_TEST(other_patterns)
{
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 1);
    api_mat w = api_filled(16, 32, S24_F32, ROW_MAJOR, 4);
    s24_packed *packed;
    s24_result *result = solve(ctx, &w, "3:4");

    fails(s24_pack_result(ctx, result, "ri16x32", &packed), S24_E_STATE,
          "s24_pack_result: mask: row 0, group 0 (columns 0 .. 3) keeps 3");
    s24_result_destroy(result);
    result = solve(ctx, &w, "1:4");
    ok(s24_pack_result(ctx, result, "ri16x32", &packed));
    s24_packed_destroy(packed);
    s24_result_destroy(result);
    api_free(&w);
    api_done(ctx, &heap);
}
END_TEST

/* What obeys 2:4 along both sides packs both ways: for x W^T, and for the gradient's y W. */
START_TEST(transposes_of_both_sides)
{
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 2);
    api_mat w = api_filled(64, 128, S24_F32, ROW_MAJOR, 6);
    static uint16_t half[128 * 64], back[128 * 64];
    s24_mat v, mask, narrow = api_view(half, 128, 64, S24_BF16), dense = narrow;
    s24_packed *packed;
    s24_result *result = solve(ctx, &w, "2:4t");

    ok(s24_result_matrix(result, "weights", &v));
    ok(s24_result_matrix(result, "mask", &mask));
    for (s24_mat *side = &v; side; side = side == &v ? &mask : NULL) {
        side->rows = 128;
        side->cols = 64;
        side->row_stride = 1;
        side->col_stride = 128;
    }
    ok(s24_mat_copy(ctx, &v, &narrow));
    dense.data = back;
    ok(s24_pack(ctx, &narrow, &mask, layout_names[_i], &packed));
    ok(s24_unpack(packed, &dense));
    ck_assert(!memcmp(back, half, sizeof half));
    s24_packed_destroy(packed);
    s24_result_destroy(result);
    api_free(&w);
    api_done(ctx, &heap);
}
END_TEST

/* ---- Products ---- */

enum { TOKENS = 5, OUT = 160, IN = 256 };

static void expect_product(const s24_mat *y, const s24_mat *x, const int8_t *w, double tolerance)
{
    for (int64_t t = 0; t < TOKENS; t++)
        for (int64_t r = 0; r < OUT; r++) {
            double sum = 0, norm = 0;
            for (int64_t j = 0; j < IN; j++) {
                sum += api_get(x, t, j) * w[r * IN + j];
                norm += fabs(api_get(x, t, j) * w[r * IN + j]);
            }
            ck_assert_double_le(fabs(api_get(y, t, r) - sum), tolerance * norm);
        }
}

START_TEST(products)
{
    static int8_t integers[OUT * IN];
    const char *layout = layout_names[_i / ELEMENT_TYPES];
    int32_t dtype = element_types[_i % ELEMENT_TYPES];
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 3);
    s24_packed *packed;

    pack_integers(OUT, IN, group_width(layout, dtype), true, integers);
    s24_mat w = pack_matrix(integers, OUT, IN, dtype, COL_MAJOR);
    ok(s24_pack(ctx, &w, NULL, layout, &packed));
    for (int strides = 0; strides < LAYOUTS; strides++) {
        api_mat x = api_filled(TOKENS, IN, strides ? S24_F32 : S24_BF16, strides, 9);
        s24_mat y = api_empty(TOKENS, OUT, strides == PADDED ? S24_F16 : S24_F32, strides);
        const s24_mat kept = y;
        ok(s24_packed_multiply(packed, &x.mat, &y));
        expect_product(&y, &x.mat, integers, strides == PADDED ? 0x1p-11 : 0x1p-24);
        x.mat.cols = IN - 4;
        fails(s24_packed_multiply(packed, &x.mat, &y), S24_E_SHAPE, "x is 5 x 252");
        x.mat.cols = IN;
        y.cols = OUT - 1;
        fails(s24_packed_multiply(packed, &x.mat, &y), S24_E_SHAPE, "y is 5 x 159");
        y = x.mat;
        y.cols = OUT;
        fails(s24_packed_multiply(packed, &x.mat, &y), S24_E_ARG, "y lies where x lies");
        y = kept;
        x.mat.rows = y.rows = 0;
        ok(s24_packed_multiply(packed, &x.mat, &y));
        api_free(&x);
        free(y.data);
    }
    s24_packed_destroy(packed);
    free(w.data);
    api_done(ctx, &heap);
}
END_TEST

/* Threads, instruction sets and layouts: the same bits. */
START_TEST(products_have_equal_bits)
{
    static const struct {
        const char *layout, *isa;
        int64_t threads;
    } ways[] = {{"ri16x32", "auto", 1},
                {"ri16x32", "ref", 2},
                {"nibble", "auto", 3},
                {"nibble", "ref", 8},
                {"sparse-24-bitmask", "auto", 2},
                {"ri16x32", "auto", 8}};
    static float first[TOKENS * OUT], y[TOKENS * OUT];
    api_mat w = api_filled(OUT, IN, S24_F32, ROW_MAJOR, 5);
    api_mat x = api_filled(TOKENS, IN, S24_F32, ROW_MAJOR, 6);
    s24_mat product = api_view(y, TOKENS, OUT, S24_F32);

    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        unit_heap heap;
        s24_ctx *ctx = api_ctx(&heap, ways[i].threads);
        s24_packed *packed;
        ok(s24_ctx_set_str(ctx, "isa", ways[i].isa));
        s24_result *result = solve(ctx, &w, "2:4");
        ok(s24_pack_result(ctx, result, ways[i].layout, &packed));
        ok(s24_packed_multiply(packed, &x.mat, &product));
        if (i == 0)
            memcpy(first, y, sizeof y);
        ck_assert_mem_eq(first, y, sizeof y);
        s24_packed_destroy(packed);
        s24_result_destroy(result);
        api_done(ctx, &heap);
    }
    api_free(&w);
    api_free(&x);
}
END_TEST

void results_tests(Suite *suite)
{
    TCase *tc = tcase_create("results");

    tcase_add_loop_test(tc, results_go_straight_in, 0, LAYOUT_NAMES);
    tcase_add_test(tc, other_patterns);
    tcase_add_loop_test(tc, transposes_of_both_sides, 0, LAYOUT_NAMES);
    tcase_add_loop_test(tc, products, 0, LAYOUT_NAMES * ELEMENT_TYPES);
    tcase_add_test(tc, products_have_equal_bits);
    suite_add_tcase(suite, tc);
}
