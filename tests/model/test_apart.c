/* Tests what lib/model/apart.c takes for granted: solvers whose rows may be solved apart from each
 * other. */
#include "tiny.h"
#include <check.h>

static s24_ctx *reader;

static void ok(s24_status status)
{
    ck_assert_msg(!status, "%s", s24_last_error());
}

static void set_up(void)
{
    ok(s24_ctx_create(&reader));
}

static void tear_down(void)
{
    s24_ctx_destroy(reader);
}

enum { W_ROWS = 40, W_COLS = 32, X_ROWS = 160 };

/* Weights of rows [first, first + count) of a matrix, solved by themselves. */
static void solve_rows(const char *solver, const char *constraints, int first, int count, float *v)
{
    float *w = tiny_values("w", W_ROWS * W_COLS, 1, 0),
          *x = tiny_values("x", X_ROWS * W_COLS, 1, 0);
    s24_gram *gram;
    s24_problem *problem;
    s24_solver *one;
    s24_result *result;
    s24_mat rows, inputs, weights, out;
    int32_t set;
    ok(s24_mat_rowmajor(&rows, w + first * W_COLS, count, W_COLS, S24_F32));
    ok(s24_mat_rowmajor(&inputs, x, X_ROWS, W_COLS, S24_F32));
    ok(s24_mat_rowmajor(&out, v + first * W_COLS, count, W_COLS, S24_F32));
    ok(s24_gram_create(reader, W_COLS, S24_F32, &gram));
    ok(s24_gram_add(gram, &inputs, NULL));
    ok(s24_problem_create(reader, &rows, &problem));
    ok(s24_problem_parse(problem, constraints));
    ok(s24_problem_set_gram(problem, gram));
    ok(s24_solver_create(reader, solver, &one));
    if (s24_solver_is_set(one, "damp_rule", &set) == S24_OK)
        ok(s24_solver_set_str(one, "damp_rule", "transfer"));
    ok(s24_solve(one, problem, &result));
    ok(s24_result_matrix(result, "weights", &weights));
    ok(s24_mat_copy(reader, &weights, &out));
    s24_result_destroy(result);
    s24_solver_destroy(one);
    s24_problem_destroy(problem);
    s24_gram_destroy(gram);
    free(w);
    free(x);
}

/* All solvers of apart.c: the same places and, up to rounding, the same values. */
static const char *const apart[][2] = {
    {"magnitude", "2:4"},      {"wanda", "row 50%"},  {"sparsegpt", "2:4"},
    {"sparsegpt", "2:4+int4"}, {"prox24", "2:4"},     {"alps", "2:4"},
    {"alps", "row 50%"},       {"alps", "2:4t"},      {"rtn", "int4 g16"},
    {"gptq", "int4"},          {"quantease", "int4"}, {"quantease", "2:4+int4 sym g16"},
};

START_TEST(rows_do_not_know_of_each_other)
{
    static float whole[W_ROWS * W_COLS], parts[W_ROWS * W_COLS];
    static const int cuts[] = {0, 8, 16, W_ROWS};
    const char *solver = apart[_i][0], *constraints = apart[_i][1];
    solve_rows(solver, constraints, 0, W_ROWS, whole);
    for (int i = 0; i < 3; i++)
        solve_rows(solver, constraints, cuts[i], cuts[i + 1] - cuts[i], parts);
    for (int i = 0; i < W_ROWS * W_COLS; i++)
        ck_assert_msg((whole[i] == 0) == (parts[i] == 0) && fabsf(whole[i] - parts[i]) < 1e-4F,
                      "%s %s: row %d, column %d: %g %g", solver, constraints, i / W_COLS,
                      i % W_COLS, (double)whole[i], (double)parts[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("apart");
    TCase *one = tcase_create("solvers");
    tcase_add_checked_fixture(one, set_up, tear_down);
    tcase_add_loop_test(one, rows_do_not_know_of_each_other, 0,
                        (int)(sizeof apart / sizeof *apart));
    suite_add_tcase(suite, one);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
