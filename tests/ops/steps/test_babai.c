/* lib/ops/steps/babai.c: blocks of inputs, put on the grid at once. */
#include "../coded.h"

static const int64_t outliers[] = {0, 150}; /* beside the codes */

/* From where no single code can gain. */
START_TEST(blocks_never_raise_it)
{
    coded p = open_problem(4, 70, 200, 0.8);
    take_grid(&p, 3, S24I_GRID_ASYM, 0, S24_F32);
    for (int64_t i = 0; i < p.rows * p.n; i++)
        p.mask[i] = i % 7 != 0;
    p.constraints.mask = p.mask;
    ck_assert_int_eq(in_arena(fit_stage, &p), S24_OK);
    if (outliers[_i]) {
        p.grid.outliers = GRAB(uint8_t, p.rows * p.n);
        p.grid.value = GRAB(float, p.rows *p.n);
        p.outliers.count = outliers[_i];
        ck_assert_int_eq(in_arena(outlier_stage, &p), S24_OK);
    }
    ck_assert_int_eq(in_arena(sweep_stage, &p), S24_OK);
    p.limits.sweeps = 100;
    ck_assert_int_eq(in_arena(descend_stage, &p), S24_OK);
    double before = whole_loss(&p), first = before;
    for (p.sweeps = 1; p.sweeps < 5; p.sweeps++) {
        ck_assert_int_eq(in_arena(babai_stage, &p), S24_OK);
        double now = whole_loss(&p);
        ck_assert_double_le(now, before * (1 + 1e-6));
        before = now;
    }
    ck_assert_double_lt(before, first);
    for (int64_t i = 0; i < p.rows * p.n; i++)
        ck_assert(p.codes[i] < 8);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("babai");
    TCase *tcase = new_case(suite, "babai");
    tcase_add_loop_test(tcase, blocks_never_raise_it, 0, sizeof outliers / sizeof *outliers);
    return unit_run(suite);
}
