/* lib/api/cross.c, lib/ops/linear/derive.c: the cross of outputs from that of their inputs. */
#include "api_test.h"

enum { ROWS = 1500, MOST = 300, MOST_OUT = 270 };

/* Inputs of the dense model and what really comes; a matrix; sums of all of it. */
typedef struct {
    api_mat y, x, w;
    s24_gram *gram, *dense;
    s24_cross *inputs;
} scene;

static void make(scene *s, s24_ctx *ctx, int32_t accumulator)
{
    ok(s24_gram_create(ctx, s->x.mat.cols, accumulator, &s->gram));
    ok(s24_gram_create(ctx, s->y.mat.cols, accumulator, &s->dense));
    ok(s24_cross_create(s->gram, s->y.mat.cols, &s->inputs));
}

static void fill(scene *s, const s24_mat *weight)
{
    ok(s24_gram_add_targets(s->gram, &s->x.mat, weight, &s->inputs, &s->y.mat, 1));
    ok(s24_gram_add(s->dense, &s->y.mat, weight));
}

static void drop(scene *s)
{
    s24_cross_destroy(s->inputs);
    s24_gram_destroy(s->dense);
    s24_gram_destroy(s->gram);
}

static void drop_values(scene *s)
{
    api_free(&s->y);
    api_free(&s->x);
    api_free(&s->w);
}

/* T = Y W^T in double. */
static void outputs(const scene *s, double *t)
{
    int64_t n = s->w.mat.cols, m = s->w.mat.rows;

    for (int64_t r = 0; r < s->y.mat.rows; r++)
        for (int64_t i = 0; i < m; i++) {
            double sum = 0;
            for (int64_t j = 0; j < n; j++)
                sum += s->y.value[r * n + j] * s->w.value[i * n + j];
            t[r * m + i] = sum;
        }
}

/* T^T X and the squares of T of one half. */
static void naive(const scene *s, const double *t, const double *weight, int half, double *c,
                  double *norm2)
{
    int64_t n = s->x.mat.cols, m = s->w.mat.rows;

    memset(c, 0, (size_t)(m * n) * sizeof *c);
    memset(norm2, 0, (size_t)m * sizeof *norm2);
    for (int64_t r = 0; r < s->x.mat.rows; r++) {
        if (r / 128 % 2 != half)
            continue;
        for (int64_t i = 0; i < m; i++) {
            double u = (weight ? weight[r] : 1) * t[r * m + i];
            norm2[i] += u * t[r * m + i];
            for (int64_t j = 0; j < n; j++)
                c[i * n + j] += u * s->x.value[r * n + j];
        }
    }
}

static const int64_t shapes[][3] = {/* outputs, dense inputs, inputs */
                                    {1, 1, 1},
                                    {7, 5, 9},
                                    {MOST_OUT, 37, 20},
                                    {20, MOST, MOST}};
enum { SHAPES = 4 };

/* _i: shape, accumulator, weights or not. Each with another type and layout of w. */
START_TEST(derived_equals_naive_sums)
{
    static const int32_t types[] = {S24_F16, S24_BF16, S24_F32, S24_F64};
    static double t[ROWS * MOST_OUT], c[MOST_OUT * MOST], want[MOST_OUT * MOST];
    static double norm2[MOST_OUT], square[MOST_OUT], h[MOST * MOST];
    const int64_t *shape = shapes[_i / 4];
    int64_t rows = _i / 4 ? ROWS : 200;
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 2);
    api_mat weight = api_filled(rows, 1, S24_F64, ROW_MAJOR, 2);
    scene s = {.y = api_filled(rows, shape[1], S24_F32, ROW_MAJOR, 3),
               .x = api_filled(rows, shape[2], S24_F32, ROW_MAJOR, 4),
               .w = api_filled(shape[0], shape[1], types[_i % 4], _i % LAYOUTS, 5)};
    s24_mat view = api_view(c, shape[0], shape[2], S24_F64);
    s24_mat sums = api_view(h, shape[2], shape[2], S24_F64);
    s24_cross *made;
    double count, expected;

    for (int64_t r = 0; r < rows; r++)
        api_set(&weight.mat, r, 0, weight.value[r] = r % 5 ? fabs(weight.value[r]) : 0);
    make(&s, ctx, _i & 1 ? S24_F64 : S24_F32);
    fill(&s, _i & 2 ? &weight.mat : NULL);
    ok(s24_cross_derive(s.inputs, s.dense, &s.w.mat, &made));
    outputs(&s, t);
    for (int half = 0; half < 2; half++) {
        naive(&s, t, _i & 2 ? weight.value : NULL, half, want, square);
        ok(s24_cross_export(made, half + 1, &view, norm2, &count));
        ok(s24_gram_export(s.gram, half + 1, &sums, &expected));
        ck_assert_double_eq(count, expected);
        double error = _i & 1 ? 1e-12 : 2e-6;
        ck_assert_double_lt(api_distance(c, want, shape[0] * shape[2]), error);
        ck_assert_double_lt(api_distance(norm2, square, shape[0]), error);
    }
    s24_cross_destroy(made);
    drop(&s);
    drop_values(&s);
    api_free(&weight);
    api_done(ctx, &heap);
}
END_TEST

static scene wide_scene(void)
{
    return (scene){.y = api_filled(600, MOST, S24_F32, ROW_MAJOR, 6),
                   .x = api_filled(600, 64, S24_F32, ROW_MAJOR, 7),
                   .w = api_filled(MOST_OUT, MOST, S24_F32, ROW_MAJOR, 8)};
}

START_TEST(threads_do_not_change_bits)
{
    static double c[3][2][MOST_OUT * 64], norm2[3][2][MOST_OUT];
    scene s = wide_scene();
    unit_heap heap;

    for (int k = 0; k < 3; k++) {
        s24_ctx *ctx = api_ctx(&heap, k + 1);
        s24_cross *made;
        make(&s, ctx, S24_F32);
        fill(&s, NULL);
        ok(s24_cross_derive(s.inputs, s.dense, &s.w.mat, &made));
        drop(&s); /* it keeps what it needs */
        for (int half = 0; half < 2; half++) {
            s24_mat view = api_view(c[k][half], MOST_OUT, 64, S24_F64);
            ok(s24_cross_export(made, half + 1, &view, norm2[k][half], NULL));
        }
        s24_cross_destroy(made);
        api_done(ctx, &heap);
        ck_assert_mem_eq(c[k], c[0], sizeof c[0]);
        ck_assert_mem_eq(norm2[k], norm2[0], sizeof norm2[0]);
    }
    drop_values(&s);
}
END_TEST

/* A solve that aims at it finds what it finds with the outputs themselves. */
START_TEST(derived_is_a_target)
{
    enum { N = 32, OUT = 9, TOKENS = 700 };
    static double t[TOKENS * OUT];
    static float wanted[TOKENS * OUT];
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 2);
    scene s = {.y = api_filled(TOKENS, N, S24_F32, ROW_MAJOR, 9),
               .x = api_filled(TOKENS, N, S24_F32, ROW_MAJOR, 10),
               .w = api_filled(OUT, N, S24_F32, ROW_MAJOR, 11)};
    s24_cross *crosses[2], *direct;
    s24_mat targets[2] = {s.y.mat, api_view(wanted, TOKENS, OUT, S24_F32)}, weights;
    s24_problem *problem;
    s24_solver *solver;
    double loss[2], relative[2];

    for (int64_t i = 0; i < TOKENS * N; i++) /* the two streams are near each other */
        ((float *)s.x.mat.data)[i] = (float)(s.y.value[i] + 0.2 * s.x.value[i]);
    outputs(&s, t);
    for (int64_t i = 0; i < TOKENS * OUT; i++)
        wanted[i] = (float)t[i];
    make(&s, ctx, S24_F32);
    ok(s24_cross_create(s.gram, OUT, &direct));
    crosses[0] = s.inputs;
    crosses[1] = direct;
    ok(s24_gram_add_targets(s.gram, &s.x.mat, NULL, crosses, targets, 2));
    ok(s24_gram_add(s.dense, &s.y.mat, NULL));
    ok(s24_cross_derive(s.inputs, s.dense, &s.w.mat, &crosses[0]));
    ok(s24_problem_create(ctx, &s.w.mat, &problem));
    ok(s24_problem_set_gram(problem, s.gram));
    ok(s24_problem_parse(problem, "2:4"));
    ok(s24_solver_create(ctx, "sparsegpt", &solver));
    for (int k = 0; k < 2; k++) {
        s24_result *result;
        ok(s24_problem_set_target(problem, crosses[k], 1));
        ok(s24_solve(solver, problem, &result));
        ok(s24_result_matrix(result, "weights", &weights));
        ok(s24_problem_target_loss(problem, &weights, &loss[k], &relative[k]));
        s24_result_destroy(result);
    }
    ck_assert_double_gt(loss[0], 0);
    ck_assert_double_eq_tol(loss[0], loss[1], 1e-5 * loss[1]);
    ck_assert_double_eq_tol(relative[0], relative[1], 1e-5 * relative[1]);
    s24_solver_destroy(solver);
    s24_problem_destroy(problem);
    s24_cross_destroy(crosses[0]);
    s24_cross_destroy(direct);
    drop(&s);
    drop_values(&s);
    api_done(ctx, &heap);
}
END_TEST

/* Where an output is the difference of inputs that are nearly equal, its square is not less than
 * its sums allow, and a loss takes it. */
START_TEST(cancelled_outputs_stay_possible)
{
    enum { N = 40, OUT = 4 };
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 1);
    scene s = {.y = api_filled(500, N, S24_F32, ROW_MAJOR, 12),
               .x = api_filled(500, N, S24_F32, ROW_MAJOR, 13),
               .w = api_filled(OUT, N, S24_F32, ROW_MAJOR, 14)};
    s24_cross *made;
    s24_problem *problem;
    double loss;

    for (int64_t r = 0; r < 500; r++)
        for (int64_t j = 1; j < N; j++) {
            double other = api_get(&s.y.mat, r, j);
            api_set(&s.y.mat, r, j, 100 * (1 + api_get(&s.y.mat, r, 0)) + 1e-4 * other);
            api_set(&s.x.mat, r, j, other + api_get(&s.x.mat, r, j));
        }
    for (int64_t i = 0; i < OUT; i++)
        for (int64_t j = 0; j < N; j++)
            api_set(&s.w.mat, i, j, j == i + 1 ? 1 : j == 20 + i ? -1 : 0);
    make(&s, ctx, S24_F32);
    fill(&s, NULL);
    ok(s24_cross_derive(s.inputs, s.dense, &s.w.mat, &made));
    ok(s24_problem_create(ctx, &s.w.mat, &problem));
    ok(s24_problem_set_gram(problem, s.gram));
    ok(s24_problem_set_target(problem, made, 1));
    ok(s24_problem_target_loss(problem, &s.w.mat, &loss, NULL));
    s24_problem_destroy(problem);
    s24_cross_destroy(made);
    drop(&s);
    drop_values(&s);
    api_done(ctx, &heap);
}
END_TEST

START_TEST(derive_refuses)
{
    scene s = wide_scene(), other;
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 2);
    s24_mat w = s.w.mat;
    s24_cross *made = NULL;

    make(&s, ctx, S24_F32);
    fill(&s, NULL);
    fails(s24_cross_derive(NULL, s.dense, &w, &made), S24_E_ARG, "inputs is NULL");
    fails(s24_cross_derive(s.inputs, NULL, &w, &made), S24_E_ARG, "dense is NULL");
    fails(s24_cross_derive(s.inputs, s.dense, NULL, &made), S24_E_ARG, "w is NULL");
    fails(s24_cross_derive(s.inputs, s.dense, &w, NULL), S24_E_ARG, "out is NULL");
    fails(s24_cross_derive(s.inputs, s.gram, &w, &made), S24_E_SHAPE,
          "dense has dim 64, but must have 300");
    w.cols--;
    fails(s24_cross_derive(s.inputs, s.dense, &w, &made), S24_E_SHAPE,
          "w is 270 x 299, but must be 270 x 300");
    w = s.w.mat;
    w.rows = 0;
    fails(s24_cross_derive(s.inputs, s.dense, &w, &made), S24_E_SHAPE, "w->rows is 0");
    w = s.w.mat;
    w.dtype = S24_U8;
    fails(s24_cross_derive(s.inputs, s.dense, &w, &made), S24_E_DTYPE, "w has dtype S24_U8");
    w.dtype = S24_F32;
    ((float *)w.data)[200 * MOST + 7] = NAN;
    ((float *)w.data)[129 * MOST + 3] = INFINITY;
    fails(s24_cross_derive(s.inputs, s.dense, &w, &made), S24_E_NONFINITE,
          "s24_cross_derive: w: row 129, column 3 is inf");
    ck_assert_ptr_null(made);
    api_mat huge = api_filled(2, MOST, S24_F64, ROW_MAJOR, 1);
    api_set(&huge.mat, 1, 5, 1e200);
    fails(s24_cross_derive(s.inputs, s.dense, &huge.mat, &made), S24_E_NUMERIC,
          "w: row 1: the sums of this output leave the range");
    api_free(&huge);
    w.rows = 100;
    ok(s24_cross_derive(s.inputs, s.dense, &w, &made));
    fails(s24_gram_add_targets(s.gram, &s.x.mat, NULL, &made, &s.y.mat, 1), S24_E_ARG,
          "crosses[0] was derived");
    s24_cross_destroy(made);
    ok(s24_gram_add(s.dense, &s.y.mat, NULL));
    fails(s24_cross_derive(s.inputs, s.dense, &w, &made), S24_E_STATE,
          "half 1 of inputs holds 344 rows, of its gram 344 and of dense 640");
    other = wide_scene();
    for (int64_t r = 0; r < 600; r++) /* as many rows of other inputs */
        api_set(&other.y.mat, r, 2, 3);
    make(&other, ctx, S24_F32);
    fill(&other, NULL);
    s24_gram_destroy(s.dense);
    ok(s24_gram_create(ctx, MOST, S24_F32, &s.dense));
    ok(s24_gram_add(s.dense, &s.y.mat, NULL));
    fails(s24_cross_derive(other.inputs, s.dense, &w, &made), S24_E_STATE,
          "half 1 of dense: the square of input 2 is");
    drop(&other);
    drop_values(&other);
    drop(&s);
    drop_values(&s);
    api_done(ctx, &heap);
}
END_TEST

void api_derive_tests(Suite *suite)
{
    TCase *all = tcase_create("derive");

    tcase_add_loop_test(all, derived_equals_naive_sums, 0, 4 * SHAPES);
    tcase_add_test(all, threads_do_not_change_bits);
    tcase_add_test(all, derived_is_a_target);
    tcase_add_test(all, cancelled_outputs_stay_possible);
    tcase_add_test(all, derive_refuses);
    suite_add_tcase(suite, all);
}
