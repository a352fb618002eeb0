/* Inputs at the edge of what is sensible, and beyond; every option at its ends. */
#include "grid.h"
#include <float.h>

/* 2:4, row 70 %, a mask, int4, 2:4 on a grid, 2:4 and a rank */
static const int preferred[] = {0, 5, 7, 10, 13, 17, COLUMNS_25};
enum { PREFERRED = sizeof preferred / sizeof *preferred };

/* All solvers on those, over calibration rows that `spoil` changes. */
typedef void (*spoil_fn)(layer *l);
typedef void (*look_fn)(const layer *l, const char *solver, const s24_result *result);

static void visit(int64_t rows, int64_t cols, int64_t calibration, spoil_fn spoil, look_fn look)
{
    s24_ctx *ctx = open_ctx(2);
    for (int c = 0; c < PREFERRED; c++)
        for (int32_t k = 0; k < s24_solver_count(); k++) {
            const char *solver = s24_solver_name(k);
            layer l = open_layer(ctx, &constraints[preferred[c]], rows, cols, calibration);
            if (spoil) {
                spoil(&l);
                s24_gram_destroy(l.gram);
                l.gram = sum_rows(ctx, l.x, calibration, cols);
                l.rows_of_x = doubles(l.x, calibration * cols);
                pose(&l);
            }
            s24_result *result = solve(&l, solver, false);
            if (result) {
                judge(&l, solver, result);
                if (look)
                    look(&l, solver, result);
            }
            s24_result_destroy(result);
            close_layer(&l);
        }
    close_ctx(ctx);
}

/* ---- calibration rows ---- */

static bool is_dead(const layer *l, int64_t col)
{
    return col == 0 || col == 5 || (col >= 12 && col < 16) || col == l->cols - 1;
}

static void kill_inputs(layer *l)
{
    for (int64_t i = 0; i < l->calibration * l->cols; i++)
        if (is_dead(l, i % l->cols))
            l->x[i] = 0;
}

/* Solvers that know H keep nothing there; rtn rounds what nobody sees. */
static void see_dead(const layer *l, const char *solver, const s24_result *result)
{
    const float *v = weights_of(result);
    bool keeps = !strcmp(solver, "magnitude") || !strcmp(solver, "rtn") || is_random(solver);
    for (int64_t i = 0; i < l->rows * l->cols && !keeps; i++)
        grid_check(!is_dead(l, i % l->cols) || v[i] == 0, "%s keeps a weight of a dead input",
                   solver);
}

START_TEST(dead_inputs)
{
    visit(20, 64, 300, kill_inputs, see_dead);
}
END_TEST

static void fade_inputs(layer *l)
{
    for (int64_t i = 0; i < l->calibration * l->cols; i++)
        if (is_dead(l, i % l->cols))
            l->x[i] *= 1e-6f;
}

START_TEST(nearly_dead_inputs)
{
    visit(20, 64, 300, fade_inputs, NULL);
}
END_TEST

START_TEST(fewer_rows_than_inputs)
{
    visit(20, 192, 50, NULL, NULL);
    visit(20, 192, 190, NULL, NULL);
}
END_TEST

static void repeat_inputs(layer *l)
{
    for (int64_t i = 0; i < l->calibration; i++)
        for (int64_t j = 0; j < l->cols; j++)
            l->x[i * l->cols + j] = l->x[i * l->cols + j % 3];
}

START_TEST(rank_three)
{
    visit(20, 64, 300, repeat_inputs, NULL);
}
END_TEST

START_TEST(one_calibration_row)
{
    visit(20, 64, 1, NULL, NULL);
    visit(1, 4, 1, NULL, NULL);
}
END_TEST

START_TEST(one_weight_row)
{
    visit(1, 128, 300, NULL, NULL);
    visit(1, 260, 300, NULL, NULL);
}
END_TEST

static void widen_scales(layer *l)
{
    for (int64_t i = 0; i < l->calibration * l->cols; i++)
        l->x[i] *= i % l->cols % 5 ? 1 : 1e4f;
    for (int64_t i = 0; i < l->rows * l->cols; i++)
        l->w[i] *= i % l->cols % 7 ? 1 : 1e-5f;
}

START_TEST(wide_scales)
{
    visit(20, 64, 300, widen_scales, NULL);
}
END_TEST

static void zero_weights(layer *l)
{
    for (int64_t i = 0; i < l->rows * l->cols; i++)
        l->w[i] = i / l->cols % 2 ? 0 : l->w[i];
}

START_TEST(rows_of_zeros)
{
    visit(6, 64, 300, zero_weights, NULL);
}
END_TEST

static void tie_weights(layer *l)
{
    for (int64_t i = 0; i < l->rows * l->cols; i++)
        l->w[i] = i % 3 ? 0.5f : -0.5f;
}

START_TEST(nothing_but_ties)
{
    visit(20, 64, 300, tie_weights, NULL);
}
END_TEST

/* Scaling an input by 2^k (not so far that others count as dead) and its weights by 2^-k changes
 * nothing: masks equal, weights back to the bit. */
START_TEST(scales_of_inputs_do_not_matter)
{
    s24_ctx *ctx = open_ctx(2);
    static const char *const names[] = {"wanda", "sparsegpt", "refit", "alps", "prox24"};
    for (int c = 0; c < 3; c++) /* a grid is in the layer's own coordinates */
        for (int k = 0; k < 5; k++) {
            layer l = open_layer(ctx, &constraints[preferred[c]], 33, 128, 300);
            s24_result *result = solve(&l, names[k], false);
            if (!result) {
                close_layer(&l);
                continue;
            }
            for (int64_t i = 0; i < 33 * 128; i++)
                l.w[i] = ldexpf(l.w[i], -4 * (int)(i % 128 % 3 - 1));
            for (int64_t i = 0; i < 300 * 128; i++)
                l.x[i] = ldexpf(l.x[i], 4 * (int)(i % 128 % 3 - 1));
            s24_gram_destroy(l.gram);
            l.gram = sum_rows(ctx, l.x, 300, 128);
            pose(&l);
            s24_result *other = solve(&l, names[k], false);
            ck_assert(!memcmp(mask_of(result), mask_of(other), 33 * 128));
            for (int64_t i = 0; i < 33 * 128; i++)
                grid_check(weights_of(result)[i] ==
                               ldexpf(weights_of(other)[i], 4 * (int)(i % 128 % 3 - 1)),
                           "%s: weight %lld", names[k], (long long)i);
            s24_result_destroy(other);
            s24_result_destroy(result);
            close_layer(&l);
        }
    close_ctx(ctx);
}
END_TEST

/* ---- what is refused ---- */

/* A solve must fail with this status, and the text hold `part`. */
static void refused(const layer *l, const char *name, s24_status wanted, const char *part)
{
    s24_result *result = (s24_result *)l->x; /* must stay as it is */
    s24_solver *solver = new_solver(l->ctx, name, false);
    int64_t before = heap_current;
    s24_status status = s24_solve(solver, l->problem, &result);
    grid_check(status == wanted, "%s: %s, not %s: %s", name, s24_status_name(status),
               s24_status_name(wanted), s24_last_error());
    grid_check(strstr(s24_last_error(), part) != NULL, "'%s' has no '%s'", s24_last_error(), part);
    ck_assert_ptr_eq(result, l->x);
    /* the pool of threads may have been made meanwhile, and stays */
    ck_assert_int_le(heap_current - before, 4096);
    s24_solver_destroy(solver);
}

START_TEST(bad_weights_are_named)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    s24_ctx *ctx = open_ctx(2);
    for (int c = 0; c < PREFERRED; c++)
        for (int32_t k = 0; k < s24_solver_count(); k++)
            for (int b = 0; b < 3; b++) {
                const char *name = s24_solver_name(k);
                layer l = open_layer(ctx, &constraints[preferred[c]], 70, 16, 200);
                s24_result *fine = solve(&l, name, false);
                l.w[66 * 16 + 3] = bad[b];
                l.w[69 * 16] = bad[b];
                if (fine)
                    refused(&l, name, S24_E_NONFINITE, "row 66, column 3");
                s24_result_destroy(fine);
                close_layer(&l);
            }
    close_ctx(ctx);
}
END_TEST

START_TEST(doubles_beyond_f32_are_refused)
{
    s24_ctx *ctx = open_ctx(1);
    double w[8] = {1, 2, 3, 4, 5, 6e38, 7, 8};
    for (int32_t k = 0; k < s24_solver_count(); k++) {
        layer l = open_layer(ctx, &constraints[7], 2, 4, 0);
        l.view = row_major(w, 2, 4, S24_F64);
        pose(&l);
        s24_result *result = NULL;
        s24_solver *solver = new_solver(ctx, s24_solver_name(k), false);
        s24_status status = s24_solve(solver, l.problem, &result);
        ck_assert(status == S24_E_NONFINITE || status == S24_E_UNSUPPORTED);
        s24_solver_destroy(solver);
        close_layer(&l);
    }
    close_ctx(ctx);
}
END_TEST

START_TEST(empty_grams_and_no_constraint)
{
    s24_ctx *ctx = open_ctx(2);
    constraint none = {.text = ""};
    for (int32_t k = 0; k < s24_solver_count(); k++) {
        layer l = open_layer(ctx, &none, 4, 8, 100);
        if (chooses(s24_solver_name(k)))
            refused(&l, s24_solver_name(k), S24_E_STATE, "constraint");
        s24_gram_destroy(l.gram);
        grid_ok(s24_gram_create(ctx, 8, S24_F32, &l.gram));
        l.limit = usual(s24_solver_name(k));
        pose(&l);
        refused(&l, s24_solver_name(k), S24_E_STATE, "no rows");
        close_layer(&l);
    }
    close_ctx(ctx);
}
END_TEST

START_TEST(columns_that_are_no_multiple)
{
    s24_ctx *ctx = open_ctx(1);
    layer l = open_layer(ctx, &constraints[4], 3, 10, 0);
    ck_assert_int_eq(s24_problem_set_pattern(l.problem, 2, 4), S24_E_SHAPE);
    ck_assert_int_eq(s24_problem_parse(l.problem, "2:4"), S24_E_SHAPE);
    s24_result *result = solve(&l, "magnitude", false); /* the problem is as it was */
    judge(&l, "magnitude", result);
    s24_result_destroy(result);
    close_layer(&l);
    close_ctx(ctx);
}
END_TEST

/* A solver never ignores a constraint: what it does not honour it refuses, by name. */
START_TEST(refusals_name_who_can)
{
    s24_ctx *ctx = open_ctx(1);
    for (int c = 0; c < CONSTRAINTS; c++) {
        layer l = open_layer(ctx, &constraints[c], 3, 56, 100);
        for (int32_t k = 0; k < s24_solver_count(); k++) {
            s24_result *result = solve(&l, s24_solver_name(k), false);
            const char *who = constraints[c].rank                          ? "hassle"
                              : constraints[c].dictionary                  ? "cospadi"
                              : constraints[c].blocks                      ? "armor"
                              : constraints[c].both && constraints[c].bits ? "sparsegpt"
                              : constraints[c].bits                        ? "quantease"
                              : constraints[c].n || constraints[c].row     ? ""
                                                                           : "refit";
            if (!result)
                refused(&l, s24_solver_name(k), S24_E_UNSUPPORTED, who);
            s24_result_destroy(result);
        }
        close_layer(&l);
    }
    layer both = open_layer(ctx, &constraints[0], 3, 56, 100);
    grid_ok(s24_problem_parse(both.problem, "2:4 + 70%"));
    for (int32_t k = 0; k < s24_solver_count(); k++)
        refused(&both, s24_solver_name(k), S24_E_UNSUPPORTED, "");
    close_layer(&both);
    close_ctx(ctx);
}
END_TEST

START_TEST(masks_must_obey_the_rest)
{
    s24_ctx *ctx = open_ctx(1);
    layer l = open_layer(ctx, &constraints[8], 5, 64, 100);
    l.mask[3 * 64 + 8] = l.mask[3 * 64 + 9] = l.mask[3 * 64 + 10] = 1;
    pose(&l);
    refused(&l, "refit", S24_E_STATE, "mask: row 3, columns 8 to 11 hold");
    close_layer(&l);
    close_ctx(ctx);
}
END_TEST

/* Masks of booleans and bytes of any value, in any layout. */
START_TEST(masks_of_any_kind)
{
    s24_ctx *ctx = open_ctx(1);
    layer l = open_layer(ctx, &constraints[7], 5, 64, 100);
    s24_result *wanted = solve(&l, "refit", false);
    uint8_t *other = GRAB(uint8_t, 5 * 64);
    for (int64_t i = 0; i < 5 * 64; i++)
        other[i % 64 * 5 + i / 64] = (uint8_t)(l.mask[i] * (1 + i % 255));
    l.mask_view = (s24_mat){.data = other,
                            .rows = 5,
                            .cols = 64,
                            .row_stride = 1,
                            .col_stride = 5,
                            .dtype = S24_U8,
                            .device = S24_CPU};
    pose(&l);
    s24_result *result = solve(&l, "refit", false);
    ck_assert(!memcmp(weights_of(wanted), weights_of(result), 5 * 64 * sizeof(float)));
    ck_assert(!memcmp(mask_of(wanted), mask_of(result), 5 * 64));
    s24_result_destroy(result);
    s24_result_destroy(wanted);
    close_layer(&l);
    close_ctx(ctx);
}
END_TEST

START_TEST(importance_ranks)
{
    s24_ctx *ctx = open_ctx(2);
    uint64_t seed = 3;
    for (int c = 0; c < 6; c++) {
        layer l = open_layer(ctx, &constraints[c], 5, 56, 100);
        float *importance = normals(&seed, 5 * 56);
        uint8_t *wanted = GRAB(uint8_t, 5 * 56);
        for (int i = 0; i < 5 * 56; i++)
            importance[i] = fabsf(importance[i]);
        magnitude_mask(&constraints[c], importance, 5, 56, wanted);
        s24_mat view = row_major(importance, 5, 56, S24_F32);
        s24_solver *solver = new_solver(ctx, "wanda", false);
        s24_result *result;
        grid_ok(s24_solver_set_str(solver, "score", "importance"));
        ck_assert_int_eq(s24_solve(solver, l.problem, &result), S24_E_STATE);
        grid_ok(s24_problem_set_importance(l.problem, &view));
        grid_ok(s24_solve(solver, l.problem, &result));
        judge(&l, "wanda", result);
        for (int i = 0; i < 5 * 56; i++)
            grid_check(mask_of(result)[i] == wanted[i] &&
                           weights_of(result)[i] == (wanted[i] ? l.w[i] : 0),
                       "weight %d", i);
        s24_result_destroy(result);
        importance[57] = -1;
        ck_assert_int_eq(s24_solve(solver, l.problem, &result), S24_E_ARG);
        ck_assert(strstr(s24_last_error(), "row 1, column 1"));
        importance[57] = NAN;
        ck_assert_int_eq(s24_solve(solver, l.problem, &result), S24_E_NONFINITE);
        s24_solver_destroy(solver);
        close_layer(&l);
    }
    close_ctx(ctx);
}
END_TEST

/* ---- targets ---- */

static bool uncoupled(const char *solver)
{
    return !strcmp(solver, "magnitude") || !strcmp(solver, "wanda");
}

/* Weights that stay come nearer to `aim` than w is. */
static void check_nearer(const layer *l, const float *v, const float *aim)
{
    double now = 0, before = 0;
    for (int64_t i = 0; i < l->rows * l->cols; i++) {
        now += v[i] != 0 ? pow(v[i] - aim[i], 2) : 0;
        before += v[i] != 0 ? pow(l->w[i] - aim[i], 2) : 0;
    }
    ck_assert_double_lt(now, 0.3 * before);
}

START_TEST(every_solver_aims_at_the_target)
{
    s24_ctx *ctx = open_ctx(2);
    uint64_t seed = 5;
    for (int c = 0; c < PREFERRED; c++)
        for (int32_t k = 0; k < s24_solver_count(); k++) {
            layer l =
                open_layer(ctx, &constraints[preferred[c]], 20, 16, 400); /* no outlier among 16 */
            s24_result *blind = solve(&l, s24_solver_name(k), false), *result;
            if (!blind) {
                close_layer(&l);
                continue;
            }
            float *t = GRAB(float, 400 * 20), *aim = GRAB(float, 20 * 16);
            for (int64_t i = 0; i < 20 * 16; i++)
                aim[i] = l.w[i] * 1.3f + 0.3f * (float)(i % 16 % 3 - 1);
            for (int64_t i = 0; i < 400 * 20; i++) { /* outputs of other weights, and some noise */
                for (int64_t j = 0; j < 16; j++)
                    t[i] += l.x[i / 20 * 16 + j] * aim[i % 20 * 16 + j];
                t[i] += 0.1f * (float)normal(&seed);
            }
            s24_mat v = row_major((void *)(uintptr_t)weights_of(blind), 20, 16, S24_F32);
            s24_cross *cross = aim_at(&l, t, 0.8);
            double loss, relative, before;
            grid_ok(s24_problem_target_loss(l.problem, &v, NULL, &before));
            result = solve(&l, s24_solver_name(k), false);
            judge(&l, s24_solver_name(k), result);
            v.data = (void *)(uintptr_t)weights_of(result);
            grid_ok(s24_problem_target_loss(l.problem, &v, &loss, &relative));
            ck_assert(near(number(result, "target_relative_loss"), relative, 1e-6));
            grid_check(relative < before || uncoupled(s24_solver_name(k)),
                       "%s on %s: %g with the target, %g without", s24_solver_name(k),
                       l.limit->text, relative, before);
            if (uncoupled(s24_solver_name(k)))
                check_nearer(&l, weights_of(result), aim);
            s24_result_destroy(result);
            grid_ok(s24_problem_set_target(l.problem, cross, 0)); /* no weight: no difference */
            result = solve(&l, s24_solver_name(k), false);
            ck_assert(!memcmp(weights_of(result), weights_of(blind), 20 * 16 * sizeof(float)));
            s24_result_destroy(result);
            s24_result_destroy(blind);
            s24_cross_destroy(cross);
            close_layer(&l);
        }
    close_ctx(ctx);
}
END_TEST

START_TEST(targets_of_other_rows_are_refused)
{
    s24_ctx *ctx = open_ctx(1);
    layer l = open_layer(ctx, &constraints[0], 8, 16, 200);
    uint64_t seed = 7;
    float *t = normals(&seed, 200 * 8);
    s24_cross *cross = aim_at(&l, t, 0.5);
    s24_gram *other = sum_rows(ctx, l.x, 200, 16);
    double *h = GRAB(double, 16 * 16), count;
    s24_mat view = row_major(h, 16, 16, S24_F64);
    grid_ok(s24_gram_export(l.gram, 2, &view, &count));
    grid_ok(s24_gram_import(l.gram, 2, &view, count - 1));
    for (int32_t k = 0; k < s24_solver_count(); k++) {
        grid_ok(s24_problem_parse(l.problem, usual(s24_solver_name(k))->text));
        grid_ok(s24_problem_set_gram(l.problem, l.gram));
        refused(&l, s24_solver_name(k), S24_E_STATE, "same rows");
        grid_ok(s24_problem_set_gram(l.problem, other));
        refused(&l, s24_solver_name(k), S24_E_STATE, "hangs on another gram");
    }
    s24_gram_destroy(other);
    s24_cross_destroy(cross);
    close_layer(&l);
    close_ctx(ctx);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("inputs");
    TCase *rows = new_case(suite, "calibration");
    tcase_add_test(rows, dead_inputs);
    tcase_add_test(rows, nearly_dead_inputs);
    tcase_add_test(rows, fewer_rows_than_inputs);
    tcase_add_test(rows, rank_three);
    tcase_add_test(rows, one_calibration_row);
    tcase_add_test(rows, one_weight_row);
    tcase_add_test(rows, wide_scales);
    tcase_add_test(rows, rows_of_zeros);
    tcase_add_test(rows, nothing_but_ties);
    tcase_add_test(rows, scales_of_inputs_do_not_matter);
    TCase *refusals = new_case(suite, "refusals");
    tcase_add_test(refusals, bad_weights_are_named);
    tcase_add_test(refusals, doubles_beyond_f32_are_refused);
    tcase_add_test(refusals, empty_grams_and_no_constraint);
    tcase_add_test(refusals, columns_that_are_no_multiple);
    tcase_add_test(refusals, refusals_name_who_can);
    tcase_add_test(refusals, masks_must_obey_the_rest);
    tcase_add_test(refusals, masks_of_any_kind);
    TCase *extras = new_case(suite, "importance and targets");
    tcase_add_test(extras, importance_ranks);
    tcase_add_test(extras, every_solver_aims_at_the_target);
    tcase_add_test(extras, targets_of_other_rows_are_refused);
    return run_suite(suite);
}
