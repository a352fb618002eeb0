/* Numbers at the ends of single and double precision: what is told is true, or the call says that
 * it cannot tell. */
#include "grid.h"
#include <float.h>

/* 2:4, row 70 %, a mask, int4, 2:4 on a grid, 2:4 and a rank, a rank alone, a grid and a rank */
static const int chosen[] = {0, 5, 7, 10, 13, 17, 21, 23};
enum { CHOSEN = sizeof chosen / sizeof *chosen, ROWS = 12, COLS = 48, TOKENS = 200 };

static void sum_again(layer *l)
{
    s24_gram_destroy(l->gram);
    l->gram = sum_rows(l->ctx, l->x, l->calibration, l->cols);
    pose(l);
}

/* w and x times powers of two. */
static layer scaled_layer(s24_ctx *ctx, const constraint *limit, int w, int x)
{
    layer l = open_layer(ctx, limit, ROWS, COLS, TOKENS);
    for (int64_t i = 0; i < ROWS * COLS; i++)
        l.w[i] = ldexpf(l.w[i], w);
    for (int64_t i = 0; i < TOKENS * COLS; i++)
        l.x[i] = ldexpf(l.x[i], x);
    sum_again(&l);
    return l;
}

/* ||X (W - V)^T||^2, v NULL: of W alone. */
static long double true_loss(const layer *l, const float *v)
{
    long double total = 0;
    for (int64_t o = 0; o < l->rows; o++)
        for (int64_t t = 0; t < l->calibration; t++) {
            long double y = 0;
            for (int64_t j = 0; j < l->cols; j++)
                y += ((long double)l->w[o * l->cols + j] - (v ? v[o * l->cols + j] : 0)) *
                     l->x[t * l->cols + j];
            total += y * y;
        }
    return total;
}

static void check_told(const layer *l, const char *solver, const s24_result *result, int w, int x)
{
    long double loss = true_loss(l, weights_of(result)), norm = true_loss(l, NULL);
    double relative = number(result, "relative_loss");
    grid_check(fabsl(number(result, "loss") - loss) <= 1e-4L * loss + 1e-6L * norm,
               "%s on %s, w 2^%d, x 2^%d: loss %g is %Lg", solver, l->limit->text, w, x,
               number(result, "loss"), loss);
    grid_check(fabsl(relative - loss / norm) <= 1e-4L * relative + 1e-6L,
               "%s on %s, w 2^%d, x 2^%d: relative loss %g is %Lg", solver, l->limit->text, w, x,
               relative, loss / norm);
    grid_check(number(result, "nnz") > 0 || l->limit->alone, "%s on %s, w 2^%d, x 2^%d: all zero",
               solver, l->limit->text, w, x);
}

/* Powers of two of weights and inputs. */
static const int ends[][2] = {{-66, 0},    {-73, 0},  {-76, 0},   {-100, 0}, {63, 0},
                              {100, 0},    {-83, 49}, {0, -80},   {0, 52},   {-60, -60},
                              {110, -100}, {-126, 0}, {-140, 30}, {-146, 0}};
enum { ENDS = sizeof ends / sizeof *ends, NORMAL_ENDS = 11 };

START_TEST(losses_are_true_at_any_scale)
{
    s24_ctx *ctx = open_ctx(2);
    const constraint *limit = &constraints[chosen[_i]];
    for (int e = 0; e < ENDS; e++)
        for (int32_t k = 0; k < s24_solver_count(); k++) {
            layer l = scaled_layer(ctx, limit, ends[e][0], ends[e][1]);
            s24_result *result = solve(&l, s24_solver_name(k), false);
            if (result) {
                check_told(&l, s24_solver_name(k), result, ends[e][0], ends[e][1]);
                grid_ok(s24_problem_check_result(l.problem, result));
            }
            s24_result_destroy(result);
            close_layer(&l);
        }
    close_ctx(ctx);
}
END_TEST

/* As long as the weights are normal numbers, a power of two changes nothing but their exponents. */
START_TEST(powers_of_two_change_exponents_alone)
{
    s24_ctx *ctx = open_ctx(2);
    const constraint *limit = &constraints[chosen[_i]];
    for (int32_t k = 0; k < s24_solver_count(); k++) {
        layer plain = scaled_layer(ctx, limit, 0, 0);
        s24_result *wanted = solve(&plain, s24_solver_name(k), false);
        for (int e = 0; wanted && e < NORMAL_ENDS; e++) {
            layer l = scaled_layer(ctx, limit, ends[e][0], ends[e][1]);
            s24_result *result = solve(&l, s24_solver_name(k), false);
            for (int64_t i = 0; i < ROWS * COLS; i++)
                grid_check(mask_of(result)[i] == mask_of(wanted)[i] &&
                               weights_of(result)[i] == ldexpf(weights_of(wanted)[i], ends[e][0]),
                           "%s on %s, w 2^%d, x 2^%d: weight %lld is %g, not %g",
                           s24_solver_name(k), limit->text, ends[e][0], ends[e][1], (long long)i,
                           (double)weights_of(result)[i],
                           (double)ldexpf(weights_of(wanted)[i], ends[e][0]));
            s24_result_destroy(result);
            close_layer(&l);
        }
        s24_result_destroy(wanted);
        close_layer(&plain);
    }
    close_ctx(ctx);
}
END_TEST

/* Denormals here and there: decayed weights, decayed inputs, inputs whose squares vanish in single
 * precision. */
static void decay(layer *l)
{
    for (int64_t i = 0; i < ROWS * COLS; i++)
        l->w[i] *= i % 3 == 0 ? 1e-40f : 1;
    for (int64_t i = 0; i < TOKENS * COLS; i++)
        l->x[i] *= i % COLS % 5 == 0 ? 1e-20f : i % 7 == 0 ? 1e-40f : 1;
}

/* Outputs from 1 down to what single precision cannot hold; inputs likewise. */
static void fall(layer *l)
{
    for (int64_t i = 0; i < ROWS * COLS; i++)
        l->w[i] = ldexpf(l->w[i], -(int)(i / COLS) * 14);
    for (int64_t i = 0; i < TOKENS * COLS; i++)
        l->x[i] = ldexpf(l->x[i], -(int)(i % COLS) / 2);
}

/* One far beyond the others. */
static void tower(layer *l)
{
    l->w[17] = 3e38f;
}

typedef void (*spoil_fn)(layer *l);

START_TEST(mixed_magnitudes)
{
    static const spoil_fn spoils[] = {decay, fall, tower};
    s24_ctx *ctx = open_ctx(2);
    const constraint *limit = &constraints[chosen[_i]];
    for (int s = 0; s < 3; s++)
        for (int32_t k = 0; k < s24_solver_count(); k++) {
            layer l = open_layer(ctx, limit, ROWS, COLS, TOKENS);
            spoils[s](&l);
            sum_again(&l);
            s24_result *result = NULL;
            s24_solver *solver = new_solver(ctx, s24_solver_name(k), false);
            s24_status status = s24_solve(solver, l.problem, &result);
            if (status == S24_E_STATE && strstr(s24_last_error(), "support of w")) {
                prune(&l);
                status = s24_solve(solver, l.problem, &result);
            }
            grid_check(status == S24_OK || status == S24_E_UNSUPPORTED ||
                           (s == 2 && status == S24_E_NUMERIC),
                       "%s on %s: %s", s24_solver_name(k), limit->text, s24_last_error());
            if (result)
                check_told(&l, s24_solver_name(k), result, 0, 0);
            s24_result_destroy(result);
            s24_solver_destroy(solver);
            close_layer(&l);
        }
    close_ctx(ctx);
}
END_TEST

/* Wanted outputs are scaled with the weights, or come to weights that are nothing beside them. */
START_TEST(targets_at_any_scale)
{
    s24_ctx *ctx = open_ctx(2);
    const constraint *limit = &constraints[chosen[_i]];
    uint64_t seed = 4;
    float *noise = normals(&seed, TOKENS * ROWS), *t = GRAB(float, TOKENS *ROWS);
    for (int32_t k = 0; k < s24_solver_count(); k++) {
        double wanted = NAN;
        for (int e = 0; e < NORMAL_ENDS; e++) {
            int w = e ? ends[e][0] : 0, x = e ? ends[e][1] : 0;
            if (w + x > 55) /* squares of t are refused */
                continue;
            layer l = scaled_layer(ctx, limit, w, x);
            for (int64_t i = 0; i < TOKENS * ROWS; i++)
                t[i] = ldexpf(noise[i], w + x);
            s24_cross *cross = aim_at(&l, t, 0.7);
            s24_solver *solver = new_solver(ctx, s24_solver_name(k), false);
            s24_result *result = NULL;
            if (!s24_solve(solver, l.problem, &result)) {
                double relative = number(result, "target_relative_loss");
                wanted = e ? wanted : relative;
                grid_check(near(relative, wanted, 1e-6) && relative > 0,
                           "%s on %s, w 2^%d, x 2^%d: %g, not %g", s24_solver_name(k), limit->text,
                           w, x, relative, wanted);
            }
            s24_result_destroy(result);
            s24_solver_destroy(solver);
            s24_cross_destroy(cross);
            close_layer(&l);
        }
    }
    close_ctx(ctx);
}
END_TEST

/* ---- sums in double, far from 1 ---- */

/* A gram of `factor` times that of l->x. */
static void import_scaled(layer *l, double factor)
{
    double *h = naive_gram(l->x, TOKENS, COLS, NULL, -1);
    s24_mat view = row_major(h, COLS, COLS, S24_F64);
    for (int64_t i = 0; i < COLS * COLS; i++)
        h[i] *= factor;
    s24_gram_destroy(l->gram);
    grid_ok(s24_gram_create(l->ctx, COLS, S24_F64, &l->gram));
    grid_ok(s24_gram_import(l->gram, 1, &view, TOKENS));
    pose(l);
}

START_TEST(sums_of_any_size)
{
    static const int powers[] = {-960, -400, -140, 140, 330, 960};
    s24_ctx *ctx = open_ctx(2);
    const constraint *limit = &constraints[chosen[_i]];
    for (int32_t k = 0; k < s24_solver_count(); k++) {
        layer l = open_layer(ctx, limit, ROWS, COLS, TOKENS);
        import_scaled(&l, 1);
        s24_result *wanted = solve(&l, s24_solver_name(k), false);
        for (int p = 0; wanted && p < 6; p++) {
            import_scaled(&l, ldexp(1, powers[p]));
            s24_result *result = solve(&l, s24_solver_name(k), false);
            grid_check(!memcmp(weights_of(result), weights_of(wanted), ROWS * COLS * 4),
                       "%s on %s: H 2^%d gives other weights", s24_solver_name(k), limit->text,
                       powers[p]);
            ck_assert(number(result, "relative_loss") == number(wanted, "relative_loss"));
            ck_assert(number(result, "loss") == ldexp(number(wanted, "loss"), powers[p]));
            s24_result_destroy(result);
        }
        s24_result_destroy(wanted);
        close_layer(&l);
    }
    close_ctx(ctx);
}
END_TEST

/* ---- what cannot be told ---- */

/* Every solver that honours 2:4 (refit: where w obeys already) must fail so. */
static void all_refuse(layer *l, s24_status wanted, const char *part)
{
    for (int32_t k = 0; k < s24_solver_count(); k++) {
        s24_result *result = NULL;
        s24_solver *solver = new_solver(l->ctx, s24_solver_name(k), false);
        s24_status status = s24_solve(solver, l->problem, &result);
        grid_check(status == S24_E_UNSUPPORTED ||
                       (status == wanted && strstr(s24_last_error(), part)),
                   "%s: %s, not %s with '%s': %s", s24_solver_name(k), s24_status_name(status),
                   s24_status_name(wanted), part, s24_last_error());
        s24_solver_destroy(solver);
    }
}

START_TEST(doubles_that_single_precision_cannot_hold)
{
    s24_ctx *ctx = open_ctx(1);
    layer l = open_layer(ctx, &constraints[0], ROWS, COLS, TOKENS);
    double *w = doubles(l.w, ROWS * COLS);
    l.view = row_major(w, ROWS, COLS, S24_F64);
    for (int64_t i = 0; i < ROWS * COLS; i++)
        w[i] *= i % 4 < 2 ? 1e-50 : 0;
    pose(&l);
    all_refuse(&l, S24_E_NONFINITE, "vanish in single precision");
    w[COLS + 4] = 1e300;
    all_refuse(&l, S24_E_NONFINITE, "row 1, column 4 is 1e+300, beyond single precision");
    w[COLS + 4] = 1; /* what vanishes beside it is nothing */
    s24_result *result = solve(&l, "sparsegpt", false);
    ck_assert_double_eq(number(result, "nnz"), 1);
    s24_result_destroy(result);
    close_layer(&l);
    close_ctx(ctx);
}
END_TEST

START_TEST(sums_without_content)
{
    s24_ctx *ctx = open_ctx(1);
    layer l = open_layer(ctx, &constraints[0], ROWS, COLS, TOKENS);
    prune(&l);
    import_scaled(&l, 0);
    all_refuse(&l, S24_E_NUMERIC, "all zero: every input was 0 in all 200 rows");
    double relative;
    ck_assert_int_eq(s24_problem_loss(l.problem, &l.view, NULL, &relative), S24_E_NUMERIC);
    import_scaled(&l, 0x1p-1000);
    all_refuse(&l, S24_E_NUMERIC, "diagonal entry");
    close_layer(&l);
    close_ctx(ctx);
}
END_TEST

START_TEST(row_weights_that_vanish)
{
    s24_ctx *ctx = open_ctx(1);
    layer l = open_layer(ctx, &constraints[0], ROWS, COLS, TOKENS);
    double *weight = GRAB(double, TOKENS);
    s24_mat x = row_major(l.x, TOKENS, COLS, S24_F32);
    s24_mat view = row_major(weight, TOKENS, 1, S24_F64);
    s24_gram_destroy(l.gram);
    grid_ok(s24_gram_create(ctx, COLS, S24_F32, &l.gram));
    for (int64_t i = 0; i < TOKENS; i++)
        weight[i] = i == 7 ? 1e-300 : 1;
    ck_assert_int_eq(s24_gram_add(l.gram, &x, &view), S24_E_ARG);
    ck_assert(strstr(s24_last_error(), "row 7 is 1e-300"));
    for (int64_t i = 0; i < TOKENS; i++)
        weight[i] = 0x1p-120;
    grid_ok(s24_gram_add(l.gram, &x, &view));
    pose(&l);
    s24_result *result = solve(&l, "alps", false);
    long double loss = true_loss(&l, weights_of(result));
    ck_assert(near(number(result, "loss"), (double)(loss * 0x1p-120L), 1e-5));
    s24_result_destroy(result);
    close_layer(&l);
    close_ctx(ctx);
}
END_TEST

/* A loss that double cannot hold is an error, not 0 or infinity. */
START_TEST(losses_beyond_double)
{
    s24_ctx *ctx = open_ctx(1);
    layer l = open_layer(ctx, &constraints[0], ROWS, COLS, TOKENS);
    double *w = doubles(l.w, ROWS * COLS), loss = -1, relative = -1;
    float *zeros = GRAB(float, ROWS *COLS);
    s24_mat candidate = row_major(zeros, ROWS, COLS, S24_F32);
    for (int gram = 0; gram < 2; gram++)
        for (int sign = -1; sign <= 1; sign += 2) {
            double *far = GRAB(double, ROWS *COLS);
            for (int64_t i = 0; i < ROWS * COLS; i++)
                far[i] = ldexp(w[i], sign * 600);
            l.view = row_major(far, ROWS, COLS, S24_F64);
            s24_gram *kept = l.gram;
            l.gram = gram ? kept : NULL;
            pose(&l);
            l.gram = kept;
            ck_assert_int_eq(s24_problem_loss(l.problem, &candidate, &loss, &relative),
                             S24_E_NUMERIC);
            ck_assert(loss == -1 && relative == -1);
        }
    close_layer(&l);
    close_ctx(ctx);
}
END_TEST

/* ---- sums that no rows have ---- */

static s24_status import(s24_gram *gram, const double *h)
{
    s24_mat view = row_major((void *)(uintptr_t)h, 4, 4, S24_F64);
    return s24_gram_import(gram, 1, &view, 100);
}

START_TEST(sums_of_no_rows)
{
    s24_ctx *ctx = open_ctx(1);
    s24_gram *gram;
    double wide[16] = {1, 5, 0, 0, 5, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
    double empty[16] = {0, 1e-3, 0, 0, 1e-3, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
    /* Each pair is possible, all of them are not: x H x^T = -0.2 for x = (1, -1, 1, 0) */
    double three[16] = {1, .7, -.7, 0, .7, 1, .7, 0, -.7, .7, 1, 0, 0, 0, 0, 1};
    double fine[16] = {4, 2, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    float w[4] = {3, -3, 3, 0}, v[4] = {0};
    double loss;
    grid_ok(s24_gram_create(ctx, 4, S24_F64, &gram));
    ck_assert_int_eq(import(gram, wide), S24_E_ARG);
    ck_assert(strstr(s24_last_error(), "row 0, column 1 is 5"));
    ck_assert_int_eq(import(gram, empty), S24_E_ARG);
    grid_ok(import(gram, fine));
    grid_ok(import(gram, three));
    s24_mat view = row_major(w, 1, 4, S24_F32), zeros = row_major(v, 1, 4, S24_F32);
    s24_problem *problem;
    grid_ok(s24_problem_create(ctx, &view, &problem));
    grid_ok(s24_problem_set_gram(problem, gram));
    ck_assert_int_eq(s24_problem_loss(problem, &zeros, &loss, NULL), S24_E_NUMERIC);
    ck_assert(strstr(s24_last_error(), "not a sum of squares"));
    s24_problem_destroy(problem);
    for (int i = 0; i < 16; i++)
        fine[i] *= 1e5;
    grid_ok(import(gram, fine));
    uint16_t half[16];
    s24_mat small = row_major(half, 4, 4, S24_F16);
    ck_assert_int_eq(s24_gram_export(gram, 1, &small, NULL), S24_E_NONFINITE);
    ck_assert(strstr(s24_last_error(), "row 0, column 0 is 400000"));
    s24_gram_destroy(gram);
    close_ctx(ctx);
}
END_TEST

/* ---- thin calibration ---- */

static const char *warning_of(const s24_result *result)
{
    const char *text = "";
    return s24_result_str(result, "warning", &text) ? "" : text;
}

static char logged[512];

static void log_line(void *user, int32_t level, const char *line)
{
    (void)user;
    if (level == 1 && strstr(line, "calibration rows"))
        snprintf(logged, sizeof logged, "%s", line);
}

START_TEST(thin_calibration_is_told)
{
    s24_ctx *ctx = open_ctx(1);
    grid_ok(s24_ctx_set_log(ctx, log_line, NULL));
    for (int32_t k = 0; k < s24_solver_count(); k++) {
        const char *name = s24_solver_name(k);
        for (int kind = 0; kind < 3; kind++) {
            static const char *const part[] = {"", "30 calibration rows for 48 inputs",
                                               "multiples of one row"};
            layer l = open_layer(ctx, usual(name), ROWS, COLS, kind == 1 ? 30 : TOKENS);
            for (int64_t i = COLS; kind == 2 && i < TOKENS * COLS; i++)
                l.x[i] = l.x[i % COLS] * (float)(1 + i / COLS % 3);
            sum_again(&l);
            *logged = 0;
            s24_result *result = solve(&l, name, false);
            bool told = kind && strcmp(name, "magnitude") != 0;
            grid_check(told ? strstr(warning_of(result), part[kind]) != NULL : !*warning_of(result),
                       "%s: \"%s\"", name, warning_of(result));
            ck_assert(!*logged == !told);
            ck_assert(!!strstr(word(result, "record"), "\"warning\":null") == !told);
            s24_result_destroy(result);
            close_layer(&l);
        }
    }
    close_ctx(ctx);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("range");
    TCase *scales = new_case(suite, "scales");
    tcase_add_loop_test(scales, losses_are_true_at_any_scale, 0, CHOSEN);
    tcase_add_loop_test(scales, powers_of_two_change_exponents_alone, 0, CHOSEN);
    tcase_add_loop_test(scales, mixed_magnitudes, 0, CHOSEN);
    tcase_add_loop_test(scales, targets_at_any_scale, 0, CHOSEN);
    tcase_add_loop_test(scales, sums_of_any_size, 0, CHOSEN);
    TCase *refusals = new_case(suite, "refusals");
    tcase_add_test(refusals, doubles_that_single_precision_cannot_hold);
    tcase_add_test(refusals, sums_without_content);
    tcase_add_test(refusals, row_weights_that_vanish);
    tcase_add_test(refusals, losses_beyond_double);
    tcase_add_test(refusals, sums_of_no_rows);
    TCase *warnings = new_case(suite, "warnings");
    tcase_add_test(warnings, thin_calibration_is_told);
    return run_suite(suite);
}
