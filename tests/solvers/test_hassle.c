/* What only a sum of a sparse and a low-rank part can be asked. */
#include "grid.h"

static s24_result *solve_with(layer *l, const char *options)
{
    s24_result *result;
    s24_solver *solver = new_solver(l->ctx, "hassle", false);
    grid_ok(s24_solver_parse(solver, options));
    grid_ok(s24_solve(solver, l->problem, &result));
    s24_solver_destroy(solver);
    judge(l, "hassle", result);
    return result;
}

static const constraint both = {"2:4+rank 6", .n = 2, .m = 4, .rank = 6};
static const constraint sparse = {"2:4", .n = 2, .m = 4};

/* Each method beats the sparse part alone by SparseGPT on the same damping; the joint one beats
 * alternation. */
START_TEST(every_method_beats_the_sparse_part)
{
    static const char *const methods[] = {"", "preset=3basil", "preset=paper, max_iter=10",
                                          "preset=paper, sparse=alps, max_iter=3", "preset=fast"};
    s24_ctx *ctx = open_ctx(2);
    layer l = open_layer(ctx, &both, 64, 96, 500), alone = open_layer(ctx, &sparse, 64, 96, 500);
    s24_solver *solver = new_solver(ctx, "sparsegpt", true);
    s24_result *only, *result;
    double joint = 0;
    grid_ok(s24_solve(solver, alone.problem, &only));
    for (int i = 0; i < 5; i++) {
        result = solve_with(&l, methods[i]);
        double loss = number(result, "loss");
        grid_check(loss < 0.9 * number(only, "loss"), "%s: %g, SparseGPT alone %g", methods[i],
                   loss, number(only, "loss"));
        joint = i ? joint : loss;
        grid_check(i != 2 || joint < loss, "alternation %g, joint %g", loss, joint);
        s24_result_destroy(result);
    }
    s24_result_destroy(only);
    s24_solver_destroy(solver);
    close_layer(&alone);
    close_layer(&l);
    close_ctx(ctx);
}
END_TEST

/* More rank, less loss. */
START_TEST(loss_falls_with_the_rank)
{
    static const constraint ranks[] = {{"2:4+rank 1", .n = 2, .m = 4, .rank = 1},
                                       {"2:4+rank 4", .n = 2, .m = 4, .rank = 4},
                                       {"2:4+rank 16", .n = 2, .m = 4, .rank = 16},
                                       {"2:4+rank 40", .n = 2, .m = 4, .rank = 40},
                                       {"2:4+rank 1000", .n = 2, .m = 4, .rank = 1000}};
    s24_ctx *ctx = open_ctx(2);
    double before = INFINITY;
    for (int i = 0; i < 5; i++) {
        layer l = open_layer(ctx, &ranks[i], 40, 96, 500);
        s24_result *result = solve_with(&l, "");
        ck_assert(i < 4 ? number(result, "loss") < before : number(result, "loss") <= before);
        before = number(result, "loss");
        ck_assert(i < 3 || number(result, "relative_loss") < 1e-10); /* L alone can be W */
        s24_result_destroy(result);
        close_layer(&l);
    }
    close_ctx(ctx);
}
END_TEST

/* W that is a sum of what is asked is found again, from few calibration rows too. */
START_TEST(a_sum_is_found_again)
{
    static const constraint alone = {"rank 2", .rank = 2, .alone = true};
    s24_ctx *ctx = open_ctx(2);
    for (int64_t calibration = 10; calibration <= 500; calibration += 490) {
        layer l = open_layer(ctx, &alone, 30, 64, calibration);
        uint64_t seed = 9;
        float *u = normals(&seed, 60), *v = normals(&seed, 128);
        for (int64_t i = 0; i < 30 * 64; i++)
            l.w[i] = u[i / 64] * v[i % 64] + u[30 + i / 64] * v[64 + i % 64];
        pose(&l);
        s24_result *result = solve_with(&l, "");
        ck_assert_double_lt(number(result, "relative_loss"), 1e-10);
        s24_result_destroy(result);
        close_layer(&l);
    }
    close_ctx(ctx);
}
END_TEST

/* Losses are those of the factors as stored. */
START_TEST(factors_of_half_precision)
{
    static const char *const types[] = {"factors=f16", "factors=bf16"};
    s24_ctx *ctx = open_ctx(2);
    layer l = open_layer(ctx, &both, 64, 96, 500);
    for (int i = 0; i < 2; i++) {
        s24_mat u, v, weights;
        s24_result *result;
        s24_solver *solver = new_solver(ctx, "hassle", false);
        double loss, relative;
        grid_ok(s24_solver_parse(solver, types[i]));
        grid_ok(s24_solve(solver, l.problem, &result));
        grid_ok(s24_problem_check_result(l.problem, result));
        grid_ok(s24_result_matrix(result, "lowrank_u", &u));
        grid_ok(s24_result_matrix(result, "lowrank_v", &v));
        grid_ok(s24_result_matrix(result, "weights", &weights));
        ck_assert_int_eq(u.dtype, i ? S24_BF16 : S24_F16);
        ck_assert_int_eq(v.dtype, u.dtype);
        grid_ok(s24_problem_loss(l.problem, &weights, &loss, &relative));
        ck_assert(near(loss, number(result, "loss"), 1e-9));
        /* Columns of U and rows of V are of one size, up to a factor of 2. */
        s24_mat wide_u = row_major(GRAB(float, u.rows *u.cols), u.rows, u.cols, S24_F32);
        s24_mat wide_v = row_major(GRAB(float, v.rows *v.cols), v.rows, v.cols, S24_F32);
        grid_ok(s24_mat_copy(ctx, &u, &wide_u));
        grid_ok(s24_mat_copy(ctx, &v, &wide_v));
        for (int64_t k = 0; k < u.cols; k++) {
            double a = 0, b = 0;
            for (int64_t j = 0; j < u.rows; j++)
                a += pow(((float *)wide_u.data)[j * u.cols + k], 2);
            for (int64_t j = 0; j < v.cols; j++)
                b += pow(((float *)wide_v.data)[k * v.cols + j], 2);
            ck_assert_double_ge(a, b / 4.1);
            ck_assert_double_le(a, b * 4.1);
        }
        s24_result_destroy(result);
        s24_solver_destroy(solver);
    }
    close_layer(&l);
    close_ctx(ctx);
}
END_TEST

START_TEST(thin_layers)
{
    static const int64_t sizes[][2] = {{1, 64}, {50, 4}, {1, 4}, {2, 8}};
    s24_ctx *ctx = open_ctx(2);
    for (int i = 0; i < 4; i++) {
        layer l = open_layer(ctx, &both, sizes[i][0], sizes[i][1], 100);
        s24_result *result = solve_with(&l, "");
        ck_assert(number(result, "relative_loss") < 1e-10);
        s24_result_destroy(result);
        close_layer(&l);
    }
    close_ctx(ctx);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hassle");
    TCase *tcase = new_case(suite, "hassle");
    tcase_add_test(tcase, every_method_beats_the_sparse_part);
    tcase_add_test(tcase, loss_falls_with_the_rank);
    tcase_add_test(tcase, a_sum_is_found_again);
    tcase_add_test(tcase, factors_of_half_precision);
    tcase_add_test(tcase, thin_layers);
    return run_suite(suite);
}
