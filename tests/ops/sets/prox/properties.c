/* What holds for every group, whatever the numbers. */
#include "test_prox.h"
#include <float.h>
#include <math.h>
#include <string.h>

static s24i_kernels ref;

static void setup(void)
{
    s24i_kernels_ref(&ref);
}

static const double lambdas[] = {0, 1e-300, 1e-30, 0.1, 0.7, 1, 1.3, 5, 1e30, 1e300, INFINITY};
enum { LAMBDAS = sizeof lambdas / sizeof *lambdas };

/* Families, and on top of them what breaks squares and quotients. */
static void make_any(int64_t index, uint64_t *state, double z[4])
{
    static const double scales[] = {1,     1,    1,    0x1p-40, 0x1p40, 1e-39,
                                    1e-45, 1e30, 1e38, 1e-320,  1e300};
    double lambda;
    make_group((int)(index % FAMILIES), state, z, &lambda);
    for (int i = 0; i < 4; ++i)
        z[i] *= scales[index / FAMILIES % 11] * (any_bits(state) % 16 ? 1 : 1e-3);
}

static void expect_shrunk(const double *z, const double *w, double lambda)
{
    for (int i = 0; i < 4; ++i) {
        int fine = isfinite(w[i]) && fabs(w[i]) <= fabs(z[i]) &&
                   (w[i] == 0 || signbit(w[i]) == signbit(z[i])) &&
                   (z[i] == 0 || w[i] != 0 || !signbit(w[i]));
        for (int j = 0; j < 4; ++j)
            fine &= !(fabs(z[i]) > fabs(z[j])) || fabs(w[i]) >= fabs(w[j]);
        if (!fine)
            ck_abort_msg("lambda %g: %a %a %a %a became %a %a %a %a", lambda, z[0], z[1], z[2],
                         z[3], w[0], w[1], w[2], w[3]);
    }
}

static void expect_single(const double *z, double lambda, int relative)
{
    float x[4], y[4];
    double wide[4], w[4];
    for (int i = 0; i < 4; ++i) {
        double clipped = fmin(fmax(z[i], -(double)FLT_MAX), (double)FLT_MAX);
        x[i] = (float)clipped;
        wide[i] = (double)x[i];
    }
    ref.prox_2m_f32(x, y, 4, 4, (float)fmin(lambda, lambda < HUGE_VAL ? 3e38 : lambda), relative);
    for (int i = 0; i < 4; ++i)
        w[i] = (double)y[i];
    expect_shrunk(wide, w, lambda);
}

START_TEST(signs_and_order_stay_and_nothing_grows)
{
    uint64_t state = 3;
    int64_t count = group_count(120000);
    for (int64_t index = 0; index < count; ++index) {
        double z[4], w[4], lambda = lambdas[any_bits(&state) % LAMBDAS];
        make_any(index, &state, z);
        for (int relative = 0; relative < 2; ++relative) {
            ref.prox_2m_f64(z, w, 4, 4, lambda, relative);
            expect_shrunk(z, w, lambda);
            expect_single(z, lambda, relative);
        }
        ref.prox_1m_f64(z, w, 4, 4, lambda);
        expect_shrunk(z, w, lambda);
        ref.prox_firm_f64(z, w, 4, 1 + (int32_t)(index % 4), 4, fmin(lambda, 1));
        expect_shrunk(z, w, lambda);
    }
}
END_TEST

static void expect_same(const double *w, const double *wanted, int count, const char *what)
{
    if (memcmp(w, wanted, (size_t)count * sizeof *w))
        ck_abort_msg("%s: %a %a %a %a, not %a %a %a %a", what, w[0], w[1], w[2], w[3], wanted[0],
                     wanted[1], wanted[2], wanted[3]);
}

static void keep_two(const double *z, double *w)
{
    for (int i = 0; i < 4; ++i) {
        int before = 0;
        for (int j = 0; j < 4; ++j)
            before += fabs(z[j]) > fabs(z[i]) || (fabs(z[j]) == fabs(z[i]) && j < i);
        w[i] = before < 2 || z[i] == 0 ? z[i] : 0;
    }
}

START_TEST(limits_are_exact)
{
    uint64_t state = 4;
    int64_t count = group_count(30000);
    for (int64_t index = 0; index < count; ++index) {
        double z[4], w[4], two[4], largest = 0;
        make_any(index, &state, z);
        keep_two(z, two);
        ref.prox_2m_f64(z, w, 4, 4, 0, 0);
        expect_same(w, z, 4, "lambda 0");
        ref.prox_2m_f64(z, w, 4, 4, INFINITY, 0);
        expect_same(w, two, 4, "lambda infinite");
        ref.prox_2m_f64(z, w, 4, 4, 2.01, 1);
        expect_same(w, two, 4, "relative lambda above 2");
        for (int i = 0; i < 4; ++i)
            largest = fmax(largest, fabs(z[i]));
        if (largest > 1e-300) {
            ref.prox_2m_f64(z, w, 4, 4, fmin(2.01 / largest, DBL_MAX), 0);
            expect_same(w, two, 4, "lambda max above 2");
        }
        ref.prox_2m_f64(two, w, 4, 4, 0.01 + any_number(&state), 0);
        for (int i = 0; i < 4; ++i)
            ck_assert(w[i] == two[i]);
    }
}
END_TEST

START_TEST(order_within_the_group_does_not_matter)
{
    uint64_t state = 5;
    for (int64_t index = 0; index < 20000; ++index) {
        double z[4], w[4], turned[4], back[4], lambda;
        make_group((int)(index % FAMILIES), &state, z, &lambda);
        for (int i = 0; i < 4; ++i) { /* no ties */
            z[i] *= 1 + 1e-9 * any_number(&state);
            turned[(i + index) % 4] = z[i];
        }
        ref.prox_2m_f64(z, w, 4, 4, lambda, 0);
        ref.prox_2m_f64(turned, turned, 4, 4, lambda, 0);
        for (int i = 0; i < 4; ++i)
            back[i] = turned[(i + index) % 4];
        for (int i = 0; i < 4; ++i)
            if (z[i] == 0)
                back[i] = w[i];
        expect_same(back, w, 4, "turned");
    }
}
END_TEST

/* prox of c z at lambda = c times the prox of z at c lambda; bit for bit when c is a power of
 * two. */
START_TEST(the_scale_rule_holds)
{
    uint64_t state = 6;
    for (int64_t index = 0; index < 20000; ++index) {
        double z[4], w[4], scaled[4], lambda, c = index % 2 ? 0x1p40 : 0x1p-40;
        make_group((int)(index % FAMILIES), &state, z, &lambda);
        for (int i = 0; i < 4; ++i)
            scaled[i] = c * z[i];
        ref.prox_2m_f64(z, w, 4, 4, c * lambda, 0);
        ref.prox_2m_f64(scaled, scaled, 4, 4, lambda, 0);
        for (int i = 0; i < 4; ++i)
            scaled[i] /= c;
        expect_same(scaled, w, 4, "scaled");
        /* And the relative form is the other with its lambda divided by the maximum. */
        double largest = fmax(fmax(fabs(z[0]), fabs(z[1])), fmax(fabs(z[2]), fabs(z[3])));
        long double scale = triples_scale(z, 4, 1 / largest);
        ref.prox_2m_f64(z, w, 4, 4, 1.1, 1);
        ref.prox_2m_f64(z, scaled, 4, 4, 1.1 / largest, 0);
        long double gap = triples_objective(z, w, 4, 1.1 / largest) -
                          triples_objective(z, scaled, 4, 1.1 / largest);
        ck_assert(largest == 0 || fabsl(gap) <= 1e-13L * scale);
    }
}
END_TEST

START_TEST(the_firm_threshold_is_what_it_says)
{
    static const double z[6] = {3, -1, 2, -5, 0.5, 4}; /* 5 4 3 | 2 1 0.5: t = 2.5 for 3:6 */
    double w[6];
    ref.prox_firm_f64(z, w, 6, 3, 6, 0);
    expect_same(w, z, 6, "strength 0");
    ref.prox_firm_f64(z, w, 6, 3, 6, 1);
    expect_same(w, (double[6]){3, 0, 0, -5, 0, 4}, 6, "strength 1");
    /* strength .5: 0 up to 1.25, unchanged from 3.75 on, slope 1.5 */
    ref.prox_firm_f64(z, w, 6, 3, 6, 0.5);
    expect_same(w, (double[6]){1.5 * 1.75, 0, 1.5 * 0.75, -5, 0, 4}, 6, "strength 1/2");
    static const double ties[4] = {1, -1, 1, 1};
    ref.prox_firm_f64(ties, w, 4, 2, 4, 1);
    expect_same(w, (double[4]){1, -1, 0, 0}, 4, "ties");
    ref.prox_firm_f64(ties, w, 4, 2, 4, 0.5);
    expect_same(w, (double[4]){.75, -.75, .75, .75}, 4, "ties half-way");
}
END_TEST

START_TEST(zeros_keep_their_sign_and_new_ones_have_none)
{
    static const double z[4] = {-0.0, -5, -1, -4}, wanted[4] = {-0.0, -5, 0, -4};
    double w[4];
    ref.prox_2m_f64(z, w, 4, 4, INFINITY, 0);
    expect_same(w, wanted, 4, "2:4");
    ref.prox_firm_f64(z, w, 4, 2, 4, 1);
    expect_same(w, wanted, 4, "firm");
    ref.prox_1m_f64(z, w, 4, 4, 2);
    expect_same(w, (double[4]){-0.0, -5, 0, 0}, 4, "1:4");
    memset(w, 0, sizeof w);
    for (int i = 0; i < LAMBDAS; ++i) {
        static const double none[4] = {0, -0.0, 0, -0.0};
        ref.prox_2m_f64(none, w, 4, 4, lambdas[i], 0);
        expect_same(w, none, 4, "zeros");
        ref.prox_2m_f64(none, w, 4, 4, lambdas[i], 1);
        expect_same(w, none, 4, "zeros, relative");
        ref.prox_1m_f64(none, w, 4, 4, lambdas[i]);
        expect_same(w, none, 4, "zeros, 1:4");
    }
}
END_TEST

TCase *property_tests(void)
{
    TCase *test = tcase_create("properties");
    tcase_add_checked_fixture(test, setup, NULL);
    tcase_add_test(test, signs_and_order_stay_and_nothing_grows);
    tcase_add_test(test, limits_are_exact);
    tcase_add_test(test, order_within_the_group_does_not_matter);
    tcase_add_test(test, the_scale_rule_holds);
    tcase_add_test(test, the_firm_threshold_is_what_it_says);
    tcase_add_test(test, zeros_keep_their_sign_and_new_ones_have_none);
    return test;
}
