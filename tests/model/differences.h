/* What tests of lib/model/backward*.c share: a context, random numbers, and gradients against
 * central differences, all in double. */
#ifndef S24_TESTS_DIFFERENCES_H
#define S24_TESTS_DIFFERENCES_H
#include "backward.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static s24_ctx *ctx;

static void set_up(void)
{
    ck_assert_int_eq(s24_ctx_create(&ctx), S24_OK);
}

static void tear_down(void)
{
    s24_ctx_destroy(ctx);
}

#define ok(call) ck_assert_msg((call) == S24_OK, "%s: %s", #call, s24_last_error())

/* ---- Random inputs, differences ---- */

static uint64_t state;

static inline double *numbers(int64_t count)
{
    double *x = malloc((size_t)(count + 1) * sizeof *x);
    for (int64_t i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        x[i] = (double)(state >> 40) / 8388608 - 1;
    }
    return x;
}

static inline double *zeros(int64_t count)
{
    return calloc((size_t)count + 1, sizeof(double));
}

static inline double inner(const double *a, const double *b, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

typedef double (*loss_fn)(const void *arg);

/* The gradient of `loss` with respect to x, whose numbers it reads, against `gradient`: relative to
 * the largest entry. */
static inline void compare(const char *what, loss_fn loss, const void *arg, double *x,
                           const double *gradient, int64_t count)
{
    double largest = 0, worst = 0;
    const double step = 1e-5;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(gradient[i]));
    for (int64_t i = 0; i < count; i++) {
        double old = x[i], up, down;
        x[i] = old + step;
        up = loss(arg);
        x[i] = old - step;
        down = loss(arg);
        x[i] = old;
        worst = fmax(worst, fabs((up - down) / (2 * step) - gradient[i]) / largest);
    }
    ck_assert_msg(largest > 0 && worst < 1e-7, "%s: off by %g of %g", what, worst, largest);
}

/* The suite's only case. */
static inline int run_suite(Suite *suite, TCase *tc)
{
    tcase_add_checked_fixture(tc, set_up, tear_down);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}

#endif
