/* lib/api/{gram,cross,shared}.c: sums in and out, against sums in double. */
#include "api_test.h"

enum { ROWS = 700, DIM = 37, OUT = 11 };

static const int32_t types[] = {S24_F16, S24_BF16, S24_F32, S24_F64};

/* H or C of one half, in double: sum of weight t x^T over the rows of its runs of 128. */
static void naive(const api_mat *t, const api_mat *x, const double *weight, int half, double *sum,
                  double *rows)
{
    int64_t n = x->mat.cols, m = t->mat.cols;

    memset(sum, 0, (size_t)(m * n) * sizeof *sum);
    *rows = 0;
    for (int64_t r = 0; r < x->mat.rows; r++) {
        if (r / 128 % 2 != half)
            continue;
        double w = weight ? weight[r] : 1;
        *rows += w;
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++)
                sum[i * n + j] += w * t->value[r * m + i] * x->value[r * n + j];
    }
}

static void check_half(const s24_gram *gram, int half, const double *sum, double rows)
{
    static double h[DIM * DIM];
    s24_mat view = api_view(h, DIM, DIM, S24_F64);
    double count;

    ok(s24_gram_export(gram, half + 1, &view, &count));
    ck_assert_double_eq_tol(count, rows, 1e-9 * rows);
    ck_assert_double_lt(api_distance(h, sum, DIM * DIM), 1e-6);
    for (int i = 0; i < DIM; i++)
        for (int j = 0; j < i; j++)
            unit_check(h[i * DIM + j] == h[j * DIM + i]);
}

static void add_in_batches(s24_gram *gram, const s24_mat *x, const s24_mat *weight, int64_t step)
{
    for (int64_t r = 0; r < x->rows; r += step) {
        int64_t count = x->rows - r < step ? x->rows - r : step;
        s24_mat part = api_rows(x, r, count);
        s24_mat part_weight = weight ? api_rows(weight, r, count) : (s24_mat){0};
        ok(s24_gram_add(gram, &part, weight ? &part_weight : NULL));
    }
}

/* _i: type, layout, accumulator, weights or not. */
START_TEST(gram_equals_naive_sums)
{
    static double sum[DIM * DIM];
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 3);
    int32_t accumulator = _i & 1 ? S24_F64 : S24_F32;
    api_mat x = api_filled(ROWS, DIM, types[_i / 4 % 4], _i / 16, 1);
    api_mat weight = api_filled(ROWS, 1, S24_F32, _i / 16, 2);
    s24_gram *gram;
    double rows, total, expected = 0;
    int64_t dim;

    for (int r = 0; r < ROWS; r++)
        api_set(&weight.mat, r, 0, weight.value[r] = r % 5 ? fabs(weight.value[r]) : 0);
    ok(s24_gram_create(ctx, DIM, accumulator, &gram));
    add_in_batches(gram, &x.mat, _i & 2 ? &weight.mat : NULL, 97);
    for (int half = 0; half < 2; half++) {
        naive(&x, &x, _i & 2 ? weight.value : NULL, half, sum, &rows);
        check_half(gram, half, sum, rows);
        expected += rows;
    }
    ok(s24_gram_info(gram, &dim, &total));
    ck_assert_int_eq(dim, DIM);
    ck_assert_double_eq_tol(total, expected, 1e-9 * expected);
    s24_gram_destroy(gram);
    api_free(&weight);
    api_free(&x);
    api_done(ctx, &heap);
}
END_TEST

/* _i: accumulator. */
START_TEST(batches_and_threads_do_not_change_bits)
{
    static const int64_t steps[] = {3000, 1, 127, 128, 129, 1000};
    static double h[6][2][DIM * DIM];
    api_mat x = api_filled(3000, DIM, S24_F32, ROW_MAJOR, 3);
    unit_heap heap;

    for (int k = 0; k < 6; k++) {
        s24_ctx *ctx = api_ctx(&heap, k % 3 + 1);
        s24_gram *gram;
        ok(s24_gram_create(ctx, DIM, _i ? S24_F64 : S24_F32, &gram));
        add_in_batches(gram, &x.mat, NULL, steps[k]);
        for (int half = 0; half < 2; half++) {
            s24_mat view = api_view(h[k][half], DIM, DIM, S24_F64);
            ok(s24_gram_export(gram, half + 1, &view, NULL));
        }
        s24_gram_destroy(gram);
        api_done(ctx, &heap);
        ck_assert_mem_eq(h[k], h[0], sizeof h[0]);
    }
    api_free(&x);
}
END_TEST

START_TEST(merge_adds_halves)
{
    static double sum[DIM * DIM], part[DIM * DIM];
    unit_heap heap, other_heap;
    s24_ctx *ctx = api_ctx(&heap, 2), *other = api_ctx(&other_heap, 1);
    api_mat a = api_filled(300, DIM, S24_F32, ROW_MAJOR, 4);
    api_mat b = api_filled(200, DIM, S24_F16, COL_MAJOR, 5);
    s24_gram *dst, *src, *narrow;
    double rows, part_rows;

    ok(s24_gram_create(ctx, DIM, S24_F32, &dst));
    ok(s24_gram_create(other, DIM, S24_F64, &src));
    ok(s24_gram_create(ctx, DIM - 1, S24_F32, &narrow));
    add_in_batches(dst, &a.mat, NULL, 300);
    add_in_batches(src, &b.mat, NULL, 200);
    fails(s24_gram_merge(dst, dst), S24_E_ARG, "s24_gram_merge: src is dst");
    fails(s24_gram_merge(dst, narrow), S24_E_SHAPE, "src has dim 36 and dst 37");
    ok(s24_gram_merge(dst, src));
    for (int half = 0; half < 2; half++) {
        naive(&a, &a, NULL, half, sum, &rows);
        naive(&b, &b, NULL, half, part, &part_rows);
        for (int i = 0; i < DIM * DIM; i++)
            sum[i] += part[i];
        check_half(dst, half, sum, rows + part_rows);
    }
    s24_gram_destroy(narrow);
    s24_gram_destroy(src);
    s24_gram_destroy(dst);
    api_free(&a);
    api_free(&b);
    api_done(other, &other_heap);
    api_done(ctx, &heap);
}
END_TEST

/* _i: type and layout of the copy. What was exported comes back as the same numbers. */
START_TEST(export_then_import)
{
    enum { N = 300 };
    static double before[N * N], after[N * N];
    static const double tolerance[] = {1e-3, 1e-2, 1e-7, 0};
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 2);
    api_mat x = api_filled(2 * N, N, S24_F32, ROW_MAJOR, 6);
    s24_mat copy = api_empty(N, N, types[_i % 4], _i / 4), view = api_view(before, N, N, S24_F64);
    s24_gram *gram, *made;
    double rows, total;

    ok(s24_gram_create(ctx, N, S24_F32, &gram));
    ok(s24_gram_create(ctx, N, S24_F32, &made));
    ok(s24_gram_add(gram, &x.mat, NULL));
    ok(s24_gram_add(made, &x.mat, NULL));
    for (int half = 1; half <= 2; half++) {
        ok(s24_gram_export(gram, half, &copy, &rows));
        ok(s24_gram_import(made, half, &copy, rows + 5));
        view.data = before;
        ok(s24_gram_export(gram, half, &view, NULL));
        view.data = after;
        ok(s24_gram_export(made, half, &view, &rows));
        ck_assert_double_le(api_distance(after, before, N * N), tolerance[_i % 4]);
    }
    ok(s24_gram_info(made, NULL, &total));
    ck_assert_double_eq(total, 2 * N + 10);
    s24_gram_destroy(made);
    s24_gram_destroy(gram);
    free(copy.data);
    api_free(&x);
    api_done(ctx, &heap);
}
END_TEST

START_TEST(import_refuses)
{
    static float h[4][4], back[4][4];
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 1);
    s24_mat mat = api_view(h, 4, 4, S24_F32), out = api_view(back, 4, 4, S24_F32);
    s24_gram *gram;
    double rows;

    for (int i = 0; i < 4; i++)
        h[i][i] = 2;
    ok(s24_gram_create(ctx, 4, S24_F32, &gram));
    ok(s24_gram_import(gram, 1, &mat, 3));
    h[2][1] = 1e-3f;
    fails(s24_gram_import(gram, 1, &mat, 4), S24_E_ARG, "not symmetric: row 1, column 2 is 0");
    h[1][2] = 1e-3f;
    h[3][0] = NAN;
    fails(s24_gram_import(gram, 1, &mat, 4), S24_E_NONFINITE, "h: row 3, column 0 is");
    h[3][0] = 0;
    h[0][0] = -1;
    fails(s24_gram_import(gram, 1, &mat, 4), S24_E_ARG, "row 0, column 0 is -1");
    h[0][0] = 1;
    fails(s24_gram_import(gram, 1, &mat, 0), S24_E_ARG, "rows is 0 and h is not");
    fails(s24_gram_import(gram, 1, &mat, -1), S24_E_ARG, "rows is -1");
    fails(s24_gram_import(gram, 1, &mat, NAN), S24_E_NONFINITE, "rows is");
    fails(s24_gram_import(gram, 3, &mat, 4), S24_E_ARG, "half is 3, but must be 1 or 2");
    mat.cols = 3;
    fails(s24_gram_import(gram, 1, &mat, 4), S24_E_SHAPE, "h is 4 x 3, but must be 4 x 4");
    fails(s24_gram_export(gram, 0, &out, NULL), S24_E_ARG, "half is 0");
    ok(s24_gram_export(gram, 1, &out, &rows));
    ck_assert_double_eq(rows, 3);
    ck_assert(back[0][0] == 2 && back[2][1] == 0);
    s24_gram_destroy(gram);
    api_done(ctx, &heap);
}
END_TEST

START_TEST(add_refuses)
{
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 2);
    api_mat x = api_filled(300, DIM, S24_F32, ROW_MAJOR, 7);
    api_mat weight = api_filled(300, 1, S24_F64, ROW_MAJOR, 8);
    s24_mat bad = x.mat;
    s24_gram *gram;
    static double before[DIM * DIM], after[DIM * DIM];
    s24_mat view = api_view(before, DIM, DIM, S24_F64);

    fails(s24_gram_create(ctx, 0, S24_F32, &gram), S24_E_SHAPE, "dim is 0");
    fails(s24_gram_create(ctx, 4, S24_F16, &gram), S24_E_DTYPE, "accumulator is 0x0210");
    ok(s24_gram_create(ctx, DIM, S24_F32, &gram));
    ok(s24_gram_add(gram, &x.mat, NULL));
    ok(s24_gram_export(gram, 2, &view, NULL));
    bad.cols--;
    fails(s24_gram_add(gram, &bad, NULL), S24_E_SHAPE,
          "s24_gram_add: x is 300 x 36, but must be 300 x 37");
    bad = x.mat;
    bad.dtype = S24_U8;
    fails(s24_gram_add(gram, &bad, NULL), S24_E_DTYPE, "x has dtype S24_U8");
    fails(s24_gram_add(gram, &x.mat, &x.mat), S24_E_SHAPE,
          "row_weight is 300 x 37, but must be 300 x 1");
    fails(s24_gram_add(gram, &x.mat, &weight.mat), S24_E_ARG, "row_weight");
    api_set(&x.mat, 130, 3, NAN);
    fails(s24_gram_add(gram, &x.mat, NULL), S24_E_NONFINITE, "x: row 130, column 3 is");
    view.data = after;
    ok(s24_gram_export(gram, 2, &view, NULL));
    ck_assert_mem_eq(before, after, sizeof before);
    bad = x.mat;
    bad.rows = 0;
    bad.data = NULL;
    ok(s24_gram_add(gram, &bad, NULL));
    s24_gram_destroy(gram);
    api_free(&weight);
    api_free(&x);
    api_done(ctx, &heap);
}
END_TEST

static int32_t failing_runner(void *user, s24_task_fn task, void *arg, int64_t count,
                              int32_t workers)
{
    int *calls_left = user;

    if ((*calls_left)-- <= 0)
        return S24_E_USER - 1;
    for (int64_t i = 0; i < count; i++)
        task(arg, i, 0);
    return workers < 1;
}

/* A runner that fails while sums change spoils them, as the text says. _i: loops that succeed. */
START_TEST(spoilt_sums_are_refused)
{
    enum { WIDE = 300 };
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 2);
    api_mat x = api_filled(9000, WIDE, S24_F32, ROW_MAJOR, 9);
    s24_gram *gram;
    int calls_left = _i;
    double rows;

    ok(s24_gram_create(ctx, WIDE, S24_F32, &gram));
    ok(s24_ctx_set_parallel(ctx, failing_runner, &calls_left, 2));
    s24_status status = s24_gram_add(gram, &x.mat, NULL);
    ck_assert_int_eq(status, S24_E_USER - 1);
    ok(s24_gram_info(gram, NULL, &rows));
    if (rows == 0) {
        calls_left = 1000;
        ok(s24_gram_add(gram, &x.mat, NULL));
    } else {
        fails(s24_gram_add(gram, &x.mat, NULL), S24_E_STATE, "spoilt");
    }
    s24_gram_destroy(gram);
    api_free(&x);
    api_done(ctx, &heap);
}
END_TEST

/* ---- crosses ---- */

static s24_gram *gram_with_cross(s24_ctx *ctx, int32_t accumulator, s24_cross **cross)
{
    s24_gram *gram;

    ok(s24_gram_create(ctx, DIM, accumulator, &gram));
    ok(s24_cross_create(gram, OUT, cross));
    return gram;
}

/* _i: type, layout, accumulator. */
START_TEST(cross_equals_naive_sums)
{
    static double sum[OUT * DIM], c[OUT * DIM], square[OUT * OUT], norm2[OUT];
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 2);
    api_mat x = api_filled(ROWS, DIM, types[_i / 2 % 4], _i / 8, 10);
    api_mat t = api_filled(ROWS, OUT, types[(_i / 2 + 1) % 4], (_i / 8 + 1) % LAYOUTS, 11);
    s24_mat view = api_view(c, OUT, DIM, S24_F64);
    s24_cross *cross;
    s24_gram *gram = gram_with_cross(ctx, _i & 1 ? S24_F64 : S24_F32, &cross);
    double rows, count;

    for (int64_t r = 0; r < ROWS; r += 150) {
        s24_mat px = api_rows(&x.mat, r, ROWS - r < 150 ? ROWS - r : 150);
        s24_mat pt = api_rows(&t.mat, r, px.rows);
        ok(s24_gram_add_targets(gram, &px, NULL, &cross, &pt, 1));
    }
    for (int half = 0; half < 2; half++) {
        naive(&t, &x, NULL, half, sum, &rows);
        naive(&t, &t, NULL, half, square, &rows);
        ok(s24_cross_export(cross, half + 1, &view, norm2, &count));
        ck_assert_double_eq(count, rows);
        ck_assert_double_lt(api_distance(c, sum, OUT * DIM), 1e-6);
        for (int i = 0; i < OUT; i++)
            ck_assert_double_eq_tol(norm2[i], square[i * OUT + i], 1e-6 * norm2[i]);
    }
    s24_cross_destroy(cross);
    s24_gram_destroy(gram);
    api_free(&t);
    api_free(&x);
    api_done(ctx, &heap);
}
END_TEST

START_TEST(cross_moves_between_objects)
{
    static double c[2][OUT * DIM], norm2[2][OUT], doubled[OUT * DIM];
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 2);
    api_mat x = api_filled(ROWS, DIM, S24_F32, ROW_MAJOR, 12);
    api_mat t = api_filled(ROWS, OUT, S24_F32, ROW_MAJOR, 13);
    s24_mat view = api_view(c[0], OUT, DIM, S24_F64);
    s24_cross *cross, *made, *beside;
    s24_gram *gram = gram_with_cross(ctx, S24_F32, &cross);
    s24_gram *other = gram_with_cross(ctx, S24_F32, &made);
    double rows;

    ok(s24_cross_create(other, OUT, &beside));
    ok(s24_gram_add_targets(gram, &x.mat, NULL, &cross, &t.mat, 1));
    for (int half = 1; half <= 2; half++) {
        view.data = c[0];
        ok(s24_cross_export(cross, half, &view, norm2[0], &rows));
        ok(s24_cross_import(made, half, &view, norm2[0], rows));
        view.data = c[1];
        ok(s24_cross_export(made, half, &view, norm2[1], &rows));
        ck_assert_mem_eq(c[0], c[1], sizeof c[0]);
        ck_assert_mem_eq(norm2[0], norm2[1], sizeof norm2[0]);
    }
    ok(s24_cross_merge(made, cross));
    view.data = doubled;
    ok(s24_cross_export(made, 2, &view, norm2[1], &rows));
    for (int i = 0; i < OUT * DIM; i++)
        unit_check(doubled[i] == 2 * c[0][i]);
    ck_assert_double_eq(norm2[1][0], 2 * norm2[0][0]);
    fails(s24_cross_merge(made, made), S24_E_ARG, "src is dst");
    fails(s24_cross_merge(made, beside), S24_E_ARG, "src and dst hang on the same gram");
    fails(s24_cross_import(made, 1, &view, NULL, 1), S24_E_ARG, "norm2 is NULL");
    norm2[0][4] = -1;
    fails(s24_cross_import(made, 1, &view, norm2[0], 1), S24_E_ARG, "norm2: value 4 is -1");
    fails(s24_cross_import(made, 1, &view, norm2[1], 0), S24_E_ARG, "rows is 0 and norm2 is not");
    doubled[DIM] = INFINITY;
    fails(s24_cross_import(made, 1, &view, norm2[1], 1), S24_E_NONFINITE, "c: row 1, column 0 is");
    s24_cross_destroy(beside);
    s24_cross_destroy(made);
    s24_cross_destroy(cross);
    s24_gram_destroy(other);
    s24_gram_destroy(gram);
    api_free(&t);
    api_free(&x);
    api_done(ctx, &heap);
}
END_TEST

START_TEST(cross_refuses)
{
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 1);
    api_mat x = api_filled(40, DIM, S24_F32, ROW_MAJOR, 14);
    s24_cross *cross, *other;
    s24_gram *gram = gram_with_cross(ctx, S24_F32, &cross), *wide;

    ok(s24_gram_create(ctx, DIM, S24_F32, &wide));
    ok(s24_cross_create(wide, OUT + 1, &other));
    fails(s24_cross_create(gram, 0, &cross), S24_E_SHAPE, "out_dim is 0");
    fails(s24_cross_create(gram, 1, NULL), S24_E_ARG, "out is NULL");
    fails(s24_cross_merge(cross, other), S24_E_SHAPE, "src is 12 x 37 and dst 11 x 37");
    s24_cross_destroy(other);
    ok(s24_gram_add(wide, &x.mat, NULL)); /* asks no more for the targets of what is gone */
    fails(s24_cross_create(wide, OUT, &other), S24_E_STATE, "the gram has rows already");
    s24_gram_destroy(wide);
    s24_gram_destroy(gram);
    s24_cross_destroy(cross);
    api_free(&x);
    api_done(ctx, &heap);
}
END_TEST

/* Nothing is taken, by the gram or by any cross. */
START_TEST(additions_refuse)
{
    static double before[DIM * DIM], after[DIM * DIM], c[2][OUT * DIM];
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 2);
    api_mat x = api_filled(300, DIM, S24_F32, ROW_MAJOR, 14);
    api_mat t = api_filled(300, OUT, S24_F32, ROW_MAJOR, 15);
    s24_mat targets[2] = {t.mat, t.mat}, view = api_view(before, DIM, DIM, S24_F64);
    s24_mat sums = api_view(c[0], OUT, DIM, S24_F64);
    s24_cross *crosses[2], *stranger, *twice[2];
    s24_gram *gram = gram_with_cross(ctx, S24_F32, &crosses[0]), *other;

    ok(s24_cross_create(gram, OUT, &crosses[1]));
    other = gram_with_cross(ctx, S24_F32, &stranger);
    ok(s24_gram_add_targets(gram, &x.mat, NULL, crosses, targets, 2));
    ok(s24_gram_export(gram, 2, &view, NULL));
    ok(s24_cross_export(crosses[1], 2, &sums, NULL, NULL));
    fails(s24_gram_add(gram, &x.mat, NULL), S24_E_STATE, "2 of the 2 crosses that hang");
    fails(s24_gram_add_targets(gram, &x.mat, NULL, crosses, targets, 1), S24_E_STATE,
          "1 of the 2 crosses that hang on the gram get no target");
    fails(s24_gram_add_targets(gram, &x.mat, NULL, crosses, targets, -1), S24_E_ARG, "count is -1");
    fails(s24_gram_add_targets(gram, &x.mat, NULL, NULL, targets, 1), S24_E_ARG, "crosses is NULL");
    fails(s24_gram_add_targets(gram, &x.mat, NULL, crosses, NULL, 1), S24_E_ARG, "targets is NULL");
    twice[0] = twice[1] = crosses[1];
    fails(s24_gram_add_targets(gram, &x.mat, NULL, twice, targets, 2), S24_E_ARG,
          "crosses[1] is crosses[0] again");
    twice[1] = stranger;
    fails(s24_gram_add_targets(gram, &x.mat, NULL, twice, targets, 2), S24_E_ARG,
          "crosses[1] hangs on another gram");
    twice[1] = NULL;
    fails(s24_gram_add_targets(gram, &x.mat, NULL, twice, targets, 2), S24_E_ARG,
          "crosses[1] is NULL");
    twice[0] = (s24_cross *)gram;
    fails(s24_gram_add_targets(gram, &x.mat, NULL, twice, targets, 2), S24_E_ARG,
          "crosses[0] is a gram");
    fails(s24_gram_add_targets(gram, &t.mat, NULL, crosses, targets, 2), S24_E_SHAPE,
          "x is 300 x 11, but must be 300 x 37");
    targets[1].rows = 299;
    fails(s24_gram_add_targets(gram, &x.mat, NULL, crosses, targets, 2), S24_E_SHAPE,
          "targets[1] is 299 x 11, but must be 300 x 11");
    targets[1].rows = 300;
    targets[1].dtype = S24_U8;
    fails(s24_gram_add_targets(gram, &x.mat, NULL, crosses, targets, 2), S24_E_DTYPE,
          "targets[1] has dtype S24_U8");
    targets[1].dtype = S24_F32;
    api_set(&t.mat, 170, 2, INFINITY);
    fails(s24_gram_add_targets(gram, &x.mat, NULL, crosses, targets, 2), S24_E_NONFINITE,
          "s24_gram_add_targets: targets[0]: row 170, column 2 is inf");
    view.data = after;
    ok(s24_gram_export(gram, 2, &view, NULL));
    ck_assert_mem_eq(before, after, sizeof before);
    sums.data = c[1];
    ok(s24_cross_export(crosses[1], 2, &sums, NULL, NULL));
    ck_assert_mem_eq(c[0], c[1], sizeof c[0]);
    for (int i = 0; i < 2; i++)
        s24_cross_destroy(crosses[i]);
    s24_cross_destroy(stranger);
    s24_gram_destroy(other);
    s24_gram_destroy(gram);
    api_free(&t);
    api_free(&x);
    api_done(ctx, &heap);
}
END_TEST

/* Bits are those of the cross alone, however batches are cut, targets ordered, threads many. */
START_TEST(crosses_of_one_gram)
{
    enum { MANY = 3000, CROSSES = 3, RUNS = 6, WIDE = 1100 };
    static const int64_t steps[RUNS] = {MANY, 1, 127, 128, 129, 1000}, outs[] = {OUT, 1, WIDE};
    static double h[RUNS][2][DIM * DIM], c[RUNS][2][CROSSES][WIDE * DIM];
    static double norm2[RUNS][2][CROSSES][WIDE];
    api_mat x = api_filled(MANY, DIM, S24_F32, ROW_MAJOR, 16), t[CROSSES];
    unit_heap heap;

    for (int k = 0; k < CROSSES; k++)
        t[k] = api_filled(MANY, outs[k], S24_F32, ROW_MAJOR, 17 + k);
    for (int run = 0; run < RUNS; run++) {
        s24_ctx *ctx = api_ctx(&heap, run % 3 + 1);
        s24_gram *gram;
        s24_cross *crosses[CROSSES];
        int first = run ? 0 : 2, count = CROSSES - first; /* at first the last one alone */
        ok(s24_gram_create(ctx, DIM, _i ? S24_F64 : S24_F32, &gram));
        for (int k = 0; k < count; k++)
            ok(s24_cross_create(gram, outs[first + k], &crosses[k]));
        for (int64_t r = 0; r < MANY; r += steps[run]) {
            s24_mat px = api_rows(&x.mat, r, MANY - r < steps[run] ? MANY - r : steps[run]);
            s24_mat targets[CROSSES];
            s24_cross *turned[CROSSES];
            for (int k = 0; k < count; k++) {
                int at = (k + run) % count;
                turned[k] = crosses[at];
                targets[k] = api_rows(&t[first + at].mat, r, px.rows);
            }
            ok(s24_gram_add_targets(gram, &px, NULL, turned, targets, count));
        }
        for (int half = 0; half < 2; half++) {
            s24_mat view = api_view(h[run][half], DIM, DIM, S24_F64);
            ok(s24_gram_export(gram, half + 1, &view, NULL));
            for (int k = 0; k < count; k++) {
                int at = first + k;
                s24_mat part = api_view(c[run][half][at], outs[at], DIM, S24_F64);
                ok(s24_cross_export(crosses[k], half + 1, &part, norm2[run][half][at], NULL));
            }
        }
        for (int k = 0; k < count; k++)
            s24_cross_destroy(crosses[k]);
        s24_gram_destroy(gram);
        api_done(ctx, &heap);
        ck_assert_mem_eq(h[run], h[0], sizeof h[0]);
        for (int half = 0; half < 2; half++) {
            ck_assert_mem_eq(c[run][half][2], c[0][half][2], sizeof c[0][0][2]);
            ck_assert_mem_eq(norm2[run][half][2], norm2[0][half][2], sizeof norm2[0][0][2]);
            if (run > 1) {
                ck_assert_mem_eq(c[run][half], c[1][half], sizeof c[0][0]);
                ck_assert_mem_eq(norm2[run][half], norm2[1][half], sizeof norm2[0][0]);
            }
        }
    }
    for (int k = 0; k < CROSSES; k++)
        api_free(&t[k]);
    api_free(&x);
}
END_TEST

/* A problem keeps the cross it aims at, with the rows that waited when the caller let it go. */
START_TEST(destroyed_crosses_keep_their_sums)
{
    static double kept[OUT * DIM];
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 2);
    api_mat x = api_filled(300, DIM, S24_F32, ROW_MAJOR, 20);
    api_mat t = api_filled(300, OUT, S24_F32, ROW_MAJOR, 21);
    api_mat w = api_filled(OUT, DIM, S24_F32, ROW_MAJOR, 22);
    s24_mat halved = api_view(kept, OUT, DIM, S24_F64);
    s24_cross *cross, *left;
    s24_gram *gram = gram_with_cross(ctx, S24_F32, &cross);
    s24_problem *problem;
    double loss, again;

    ok(s24_cross_create(gram, OUT, &left));
    s24_mat targets[] = {t.mat, t.mat};
    s24_cross *both[] = {cross, left};
    ok(s24_gram_add_targets(gram, &x.mat, NULL, both, targets, 2));
    ok(s24_problem_create(ctx, &w.mat, &problem));
    ok(s24_problem_set_gram(problem, gram));
    ok(s24_problem_set_target(problem, cross, .5));
    s24_cross_destroy(cross);
    ok(s24_problem_target_loss(problem, &halved, &loss, NULL));
    ok(s24_gram_add_targets(gram, &x.mat, NULL, &left, targets, 1));
    fails(s24_problem_target_loss(problem, &halved, &again, NULL), S24_E_STATE,
          "half 1 of the gram holds 344 rows and that of the target 172");
    ok(s24_problem_set_target(problem, left, .5));
    ok(s24_problem_target_loss(problem, &halved, &again, NULL));
    ck_assert_double_eq_tol(again, 2 * loss, 1e-6 * loss);
    s24_problem_destroy(problem);
    s24_cross_destroy(left);
    s24_gram_destroy(gram);
    api_free(&w);
    api_free(&t);
    api_free(&x);
    api_done(ctx, &heap);
}
END_TEST

void api_sums_tests(Suite *suite)
{
    TCase *all = tcase_create("sums");

    tcase_add_loop_test(all, gram_equals_naive_sums, 0, 16 * LAYOUTS);
    tcase_add_loop_test(all, batches_and_threads_do_not_change_bits, 0, 2);
    tcase_add_test(all, merge_adds_halves);
    tcase_add_loop_test(all, export_then_import, 0, 4 * LAYOUTS);
    tcase_add_test(all, import_refuses);
    tcase_add_test(all, add_refuses);
    tcase_add_loop_test(all, spoilt_sums_are_refused, 0, 6);
    tcase_add_loop_test(all, cross_equals_naive_sums, 0, 8 * LAYOUTS);
    tcase_add_test(all, cross_moves_between_objects);
    tcase_add_test(all, cross_refuses);
    tcase_add_test(all, additions_refuse);
    tcase_add_loop_test(all, crosses_of_one_gram, 0, 2);
    tcase_add_test(all, destroyed_crosses_keep_their_sums);
    suite_add_tcase(suite, all);
}
