/* lib/ops/steps/refit.c and cg.c: the exact minimum on a support, both ways. */
#include "../published.h"
#include "../ops_test.h"

typedef struct {
    const s24i_prepared *prepared;
    const s24i_constraints *constraints;
    const float *w;
    int64_t rows, widest;
    const uint8_t *mask;
    int32_t method;
    s24i_cg_limits limits;
    float *v;
    int32_t iterations;
    double residual;
} refit;

static s24_status cg_stage(void *arg, const s24i_run *run)
{
    refit *r = arg;
    return s24i_cg(run, &(s24i_target){.prepared = r->prepared, .w = r->w, .rows = r->rows},
                   r->mask, r->limits, r->v, &r->iterations, &r->residual);
}

static s24_status exact_stage(void *arg, const s24i_run *run)
{
    refit *r = arg;
    return s24i_refit_exact(run,
                            &(s24i_target){.prepared = r->prepared, .w = r->w, .rows = r->rows},
                            r->mask, r->widest, r->v);
}

static s24_status refit_stage(void *arg, const s24i_run *run)
{
    refit *r = arg;
    return s24i_refit(run, &(s24i_target){r->prepared, r->constraints, r->w, r->rows}, r->mask,
                      r->method, r->limits, r->v, &r->iterations, &r->residual);
}

/* A matrix in unit-diagonal coordinates and a mask: row 0 empty, row 1 full, the others random. */
typedef struct {
    int64_t rows, n;
    s24i_prepared prepared;
    float *w;
    uint8_t *mask;
    double *s;
} system_t;

static system_t new_system(uint64_t *seed, int64_t rows, int64_t n, double damp)
{
    system_t y = {
        .rows = rows, .n = n, .w = normals(seed, rows * n), .mask = GRAB(uint8_t, rows * n)};
    s24i_gram gram = gram_of(activations(seed, 2 * n + 20, n, 0.8), 2 * n + 20, n, S24_F32);
    s24i_matrix matrix = matrix_of(rows, n, &gram);
    y.prepared = prepare(&matrix, S24I_DAMP_RELATIVE, damp, y.w);
    for (int64_t i = 0; i < rows * n; i++)
        y.mask[i] = i / n == 1 || (i / n > 1 && below(seed, 2));
    y.s = doubles(y.prepared.s, n * n);
    s24i_gram_fini(&device, &gram);
    return y;
}

/* V = W on the mask. */
static float *start(const system_t *y)
{
    float *v = GRAB(float, y->rows * y->n);
    kernels.apply_mask(y->w, y->mask, v, y->rows * y->n);
    return v;
}

static refit refit_of(const system_t *y, float *v)
{
    return (refit){.prepared = &y->prepared,
                   .w = y->w,
                   .rows = y->rows,
                   .widest = y->n,
                   .mask = y->mask,
                   .limits = {1000, 1e-6},
                   .v = v};
}

static double loss_of(const system_t *y, const float *v)
{
    double *e = GRAB(double, y->rows * y->n);
    for (int64_t i = 0; i < y->rows * y->n; i++)
        e[i] = (double)v[i] - y->w[i];
    return naive_quadratic(e, y->s, y->rows, y->n);
}

/* Largest of the rows' || ((W - V) S) on the mask ||, relative to that of `from`. */
static double gradient_left(const system_t *y, const float *v, const float *from)
{
    double worst = 0, *e = GRAB(double, y->n);
    for (int64_t i = 0; i < y->rows; i++) {
        double norm2[2] = {0, 0};
        for (int side = 0; side < 2; side++) {
            for (int64_t j = 0; j < y->n; j++)
                e[j] = (double)y->w[i * y->n + j] - (side ? from : v)[i * y->n + j];
            for (int64_t j = 0; j < y->n; j++)
                if (y->mask[i * y->n + j])
                    norm2[side] += pow(naive_dot(y->s + j * y->n, e, y->n), 2);
        }
        if (norm2[1] > 0)
            worst = fmax(worst, sqrt(norm2[0] / norm2[1]));
    }
    return worst;
}

static void check_support_of(const system_t *y, const float *v)
{
    for (int64_t j = 0; j < y->n; j++) {
        unit_check(v[j] == 0); /* the empty row */
        if (y->rows > 1)
            unit_check(fabsf(v[y->n + j] - y->w[y->n + j]) <=
                       1e-5f * fabsf(y->w[y->n + j]) + 1e-6f);
    }
    for (int64_t i = 0; i < y->rows * y->n; i++)
        unit_check(y->mask[i] || v[i] == 0);
}

/* Rows: all tile sizes of cg (16, 32, 64, 128) and their ends. */
static const int64_t shapes[][2] = {{1, 1},    {2, 3},     {17, 128}, {70, 60},
                                    {300, 40}, {1030, 12}, {20, 257}};
enum { SHAPES = 7 };

START_TEST(exact_solves_the_normal_equations)
{
    uint64_t seed = (uint64_t)_i + 1;
    system_t y = new_system(&seed, shapes[_i][0], shapes[_i][1], 0.01);
    float *v = start(&y), *from = start(&y);
    double *wanted = GRAB(double, y.rows *y.n);
    refit r = refit_of(&y, v);
    ck_assert_int_eq(in_arena(exact_stage, &r), S24_OK);
    check_support_of(&y, v);
    ck_assert_double_le(gradient_left(&y, v, from), 1e-5);
    published_refit(y.s, doubles(y.w, y.rows * y.n), y.mask, y.rows, y.n, wanted);
    ck_assert_double_le(distance(doubles(v, y.rows * y.n), wanted, y.rows * y.n), 2e-6);
}
END_TEST

START_TEST(exact_needs_no_good_start)
{
    uint64_t seed = 3;
    system_t y = new_system(&seed, 20, 50, 0.01);
    float *v = GRAB(float, 20 * 50), *zero = GRAB(float, 20 * 50), *other = start(&y);
    refit r = refit_of(&y, v);
    ck_assert_int_eq(in_arena(exact_stage, &r), S24_OK);
    ck_assert_double_le(gradient_left(&y, v, zero), 1e-5);
    r.v = other;
    ck_assert_int_eq(in_arena(exact_stage, &r), S24_OK);
    ck_assert_double_le(distance(doubles(v, 1000), doubles(other, 1000), 1000), 3e-6);
}
END_TEST

/* Room for the widest row is enough. */
START_TEST(exact_takes_the_widest_row)
{
    uint64_t seed = 5;
    system_t y = new_system(&seed, 9, 64, 0.01);
    for (int64_t i = 0; i < 9 * 64; i++)
        y.mask[i] = i % 64 % 4 < 2;
    float *v = start(&y), *all = start(&y);
    refit r = refit_of(&y, v);
    r.widest = 32;
    ck_assert_int_eq(in_arena(exact_stage, &r), S24_OK);
    r.v = all;
    r.widest = 64;
    ck_assert_int_eq(in_arena(exact_stage, &r), S24_OK);
    ck_assert(!memcmp(v, all, 9 * 64 * sizeof *v));
}
END_TEST

START_TEST(exact_refuses_singular_systems)
{
    float s[9] = {1, 1, 0, 1, 1, 0, 0, 0, 1}, w[6] = {1, 2, 3, 4, 5, 6}, v[6] = {0};
    uint8_t mask[6] = {1, 0, 1, 1, 1, 1};
    s24i_prepared p = {.dim = 3, .s = s};
    refit r = {.prepared = &p, .w = w, .rows = 2, .widest = 3, .mask = mask, .v = v};
    s[1] = s[3] = 1.5f;
    ck_assert_int_eq(in_arena(exact_stage, &r), S24_E_NUMERIC);
    unit_check_text("the system of row 1 is not positive definite");
}
END_TEST

START_TEST(cg_is_exact_in_the_end)
{
    uint64_t seed = (uint64_t)_i + 21;
    system_t y = new_system(&seed, shapes[_i][0], shapes[_i][1], 0.05);
    float *v = start(&y), *from = start(&y), *best = start(&y);
    refit r = refit_of(&y, v), e = refit_of(&y, best);
    ck_assert_int_eq(in_arena(cg_stage, &r), S24_OK);
    ck_assert_int_eq(in_arena(exact_stage, &e), S24_OK);
    check_support_of(&y, v);
    ck_assert_double_le(gradient_left(&y, v, from), 1e-4);
    ck_assert_double_le(
        distance(doubles(v, y.rows * y.n), doubles(best, y.rows * y.n), y.rows * y.n), 1e-4);
    double excess = loss_of(&y, v) - loss_of(&y, best);
    ck_assert_double_le(excess, 1e-8 * loss_of(&y, from) + 1e-30);
    ck_assert_double_le(r.residual, 1e-6);
    ck_assert_int_le(r.iterations, 1000);
}
END_TEST

/* Every iteration lowers the loss; the reported residual is the true one. */
START_TEST(cg_goes_down)
{
    uint64_t seed = 31;
    system_t y = new_system(&seed, 40, 150, 0.01);
    float *from = start(&y);
    double last = loss_of(&y, from);
    for (int iterations = 1; iterations < 20; iterations++) {
        float *v = start(&y);
        refit r = refit_of(&y, v);
        r.limits = (s24i_cg_limits){.max_iter = iterations};
        ck_assert_int_eq(in_arena(cg_stage, &r), S24_OK);
        ck_assert_int_eq(r.iterations, iterations);
        check_near(r.residual, gradient_left(&y, v, from), 1e-5 + 0.01 * r.residual);
        double loss = loss_of(&y, v);
        ck_assert_double_lt(loss, last);
        last = loss;
    }
}
END_TEST

/* tol ends each row by itself: the result is that of rows alone. */
START_TEST(cg_rows_are_independent)
{
    uint64_t seed = 37;
    system_t y = new_system(&seed, 33, 70, 0.02);
    float *v = start(&y), *alone = start(&y);
    refit r = refit_of(&y, v);
    r.limits.tol = 1e-3;
    ck_assert_int_eq(in_arena(cg_stage, &r), S24_OK);
    ck_assert_double_le(r.residual, 1e-3);
    for (int64_t i = 0; i < 33; i++) {
        refit one = r;
        one.rows = 1;
        one.w = y.w + i * 70;
        one.mask = y.mask + i * 70;
        one.v = alone + i * 70;
        ck_assert_int_eq(in_arena(cg_stage, &one), S24_OK);
    }
    ck_assert_double_le(distance(doubles(v, 33 * 70), doubles(alone, 33 * 70), 33 * 70), 1e-3);
}
END_TEST

START_TEST(cg_of_nothing)
{
    uint64_t seed = 41;
    system_t y = new_system(&seed, 5, 30, 0.02);
    memset(y.mask, 1, 5 * 30);
    float *v = start(&y); /* already there */
    refit r = refit_of(&y, v);
    ck_assert_int_eq(in_arena(cg_stage, &r), S24_OK);
    ck_assert_int_eq(r.iterations, 0);
    ck_assert_double_eq(r.residual, 0);
    ck_assert(!memcmp(v, y.w, 5 * 30 * sizeof *v));
    memset(y.mask, 0, 5 * 30);
    v = start(&y);
    r.v = v;
    ck_assert_int_eq(in_arena(cg_stage, &r), S24_OK);
    ck_assert_int_eq(r.iterations, 0);
    for (int i = 0; i < 5 * 30; i++)
        unit_check(v[i] == 0);
}
END_TEST

START_TEST(stopping_leaves_something_feasible)
{
    uint64_t seed = 43;
    system_t y = new_system(&seed, 40, 60, 0.02);
    _Atomic int32_t cancel = 1;
    for (int exact = 0; exact < 2; exact++) {
        float *v = start(&y), *from = start(&y);
        refit r = refit_of(&y, v);
        s24i_watch_init(&watch, NULL, NULL, &cancel, 0);
        ck_assert_int_eq(in_arena(exact ? exact_stage : cg_stage, &r), S24_OK);
        ck_assert(!memcmp(v, from, 40 * 60 * sizeof *v));
        if (!exact)
            ck_assert_double_eq(r.residual, 1);
    }
}
END_TEST

START_TEST(refit_chooses)
{
    uint64_t seed = 47;
    s24i_constraints constraints = {.n = 1, .m = 2};
    for (int64_t n = 256; n <= 258; n += 2) {
        system_t y = new_system(&seed, 4, n, 0.02);
        for (int64_t i = 0; i < 4 * n; i++)
            y.mask[i] = i % 2 == 0;
        float *results[3], *one = start(&y);
        int32_t iterations[3];
        for (int method = S24I_REFIT_AUTO; method <= S24I_REFIT_CG; method++) {
            refit r = refit_of(&y, results[method] = start(&y));
            r.constraints = &constraints;
            r.method = method;
            ck_assert_int_eq(in_arena(refit_stage, &r), S24_OK);
            ck_assert_double_le(r.residual, 1e-6);
            iterations[method] = r.iterations;
        }
        ck_assert_int_eq(iterations[S24I_REFIT_EXACT], 1);
        ck_assert_int_gt(iterations[S24I_REFIT_CG], 1);
        int chosen = n <= S24I_EXACT_COLS ? S24I_REFIT_EXACT : S24I_REFIT_CG;
        ck_assert_int_eq(iterations[S24I_REFIT_AUTO], iterations[chosen]);
        ck_assert(
            !memcmp(results[S24I_REFIT_AUTO], results[chosen], (size_t)(4 * n) * sizeof(float)));
        refit exact = refit_of(&y, one);
        ck_assert_int_eq(in_arena(exact_stage, &exact), S24_OK);
        ck_assert(!memcmp(one, results[S24I_REFIT_EXACT], (size_t)(4 * n) * sizeof(float)));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("refit");
    TCase *tcase = new_case(suite, "refit");
    tcase_add_loop_test(tcase, exact_solves_the_normal_equations, 0, SHAPES);
    tcase_add_test(tcase, exact_needs_no_good_start);
    tcase_add_test(tcase, exact_takes_the_widest_row);
    tcase_add_test(tcase, exact_refuses_singular_systems);
    tcase_add_loop_test(tcase, cg_is_exact_in_the_end, 0, SHAPES);
    tcase_add_test(tcase, cg_goes_down);
    tcase_add_test(tcase, cg_rows_are_independent);
    tcase_add_test(tcase, cg_of_nothing);
    tcase_add_test(tcase, stopping_leaves_something_feasible);
    tcase_add_test(tcase, refit_chooses);
    return unit_run(suite);
}
