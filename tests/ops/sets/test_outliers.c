/* lib/ops/sets/outliers.c: which weights are free of the grid, and what is left of the loss. */
#include "../coded.h"

static double slope(const coded *p, int64_t i, int64_t j)
{
    double g = 0;
    for (int64_t k = 0; k < p->n; k++)
        g += ((double)p->w[i * p->n + k] - (double)value(p, i, k) * p->prepared.scale[k]) *
             p->prepared.s[k * p->n + j];
    return g;
}

static const struct {
    const char *name;
    s24i_outliers rule;
} rules[] = {{"by error", {.count = 30}},
             {"by magnitude", {.count = 30, .by_magnitude = true}},
             {"whole inputs", {.count = 2, .inputs = true}}};

/* As many as asked for, where the mask allows, the worst by the rule; the sweep and the descent
 * leave them at their minima; less loss. */
START_TEST(outliers_are_free)
{
    coded p = open_problem(6, 20, 48, 0.6);
    take_grid(&p, 2, S24I_GRID_SYM, 0, S24_F32);
    for (int64_t i = 0; i < p.rows * p.n; i++)
        p.mask[i] = i % 5 != 0;
    p.constraints.mask = p.mask;
    p.limits.sweeps = 100;
    ck_assert_int_eq(in_arena(fit_stage, &p), S24_OK);
    ck_assert_int_eq(in_arena(sweep_stage, &p), S24_OK);
    ck_assert_int_eq(in_arena(descend_stage, &p), S24_OK);
    double without = whole_loss(&p), least = INFINITY, most = 0;
    p.grid.outliers = GRAB(uint8_t, p.rows * p.n);
    p.grid.value = GRAB(float, p.rows *p.n);
    p.outliers = rules[_i].rule;
    ck_assert_int_eq(in_arena(outlier_stage, &p), S24_OK);
    int64_t count = 0, columns = 0;
    for (int64_t i = 0; i < p.rows * p.n; i++) {
        ck_assert(!p.grid.outliers[i] || p.mask[i]);
        count += p.grid.outliers[i];
        if (p.outliers.by_magnitude && p.mask[i]) {
            least = p.grid.outliers[i] ? fmin(least, fabsf(p.plain[i])) : least;
            most = p.grid.outliers[i] ? most : fmax(most, fabsf(p.plain[i]));
        }
    }
    for (int64_t j = 0; j < p.n; j++) {
        int64_t here = 0;
        for (int64_t i = 0; i < p.rows; i++)
            here += p.grid.outliers[i * p.n + j];
        columns += here == p.rows * 4 / 5;
    }
    ck_assert_msg((p.outliers.inputs ? columns : count) == p.outliers.count, "%s", rules[_i].name);
    ck_assert(least >= most || !p.outliers.by_magnitude);
    ck_assert_int_eq(in_arena(fit_stage, &p), S24_OK);
    ck_assert_int_eq(in_arena(sweep_stage, &p), S24_OK);
    ck_assert_int_eq(in_arena(descend_stage, &p), S24_OK);
    ck_assert_double_lt(whole_loss(&p), 0.95 * without);
    p.limits.sweeps = 0;
    for (int64_t i = 0; i < p.rows * p.n; i++)
        if (p.grid.outliers[i])
            ck_assert_double_eq_tol(slope(&p, i / p.n, i % p.n), 0,
                                    1e-3 * p.prepared.scale[i % p.n]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("outliers");
    TCase *tcase = new_case(suite, "outliers");
    tcase_add_loop_test(tcase, outliers_are_free, 0, sizeof rules / sizeof *rules);
    return unit_run(suite);
}
