/* lib/ops/steps/relax.c: whole sweeps, relaxed and not. */
#include "../coded.h"

START_TEST(whole_sweeps_never_raise_it)
{
    coded p = open_problem(3, 70, 140, 0.6);
    take_grid(&p, 3, S24I_GRID_ASYM, 0, S24_F32);
    for (int64_t i = 0; i < p.rows * p.n; i++)
        p.mask[i] = i % 3 != 0;
    ck_assert_int_eq(in_arena(fit_stage, &p), S24_OK);
    ck_assert_int_eq(s24i_grid_round(&plainly, &p.grid, p.plain, p.rows, p.codes), S24_OK);
    double before = whole_loss(&p), first = before;
    for (int k = 0; k < 8; k++, p.sweeps = 1) {
        p.sweeps = 1;
        ck_assert_int_eq(in_arena(relax_stage, &p), S24_OK);
        double now = whole_loss(&p);
        ck_assert_double_le(now, before * (1 + 1e-6));
        before = now;
    }
    ck_assert_double_lt(before, 0.9 * first);
    p.sweeps = 30;
    p.relaxed = true;
    ck_assert_int_eq(in_arena(relax_stage, &p), S24_OK);
    ck_assert_double_lt(whole_loss(&p), 0.9 * first); /* rounded in the end */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("relax");
    TCase *tcase = new_case(suite, "relax");
    tcase_add_test(tcase, whole_sweeps_never_raise_it);
    return unit_run(suite);
}
