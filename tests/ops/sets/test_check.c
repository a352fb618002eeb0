/* lib/ops/sets/check.c: codes that do not decode to the weights are told by place. */
#include "../coded.h"

/* The first place is told, whichever thread found one. */
START_TEST(codes_are_checked)
{
    uint64_t seed = 8;
    coded p = {.rows = 40, .n = 20, .method = S24I_FIT_MINMAX, .plain = normals(&seed, 800)};
    uint8_t *outliers = GRAB(uint8_t, 800);
    float *v = GRAB(float, 800);
    take_grid(&p, 3, S24I_GRID_ASYM, 8, S24_F32);
    ck_assert_int_eq(in_arena(fit_stage, &p), S24_OK);
    ck_assert_int_eq(s24i_grid_round(&plainly, &p.grid, p.plain, 40, p.codes), S24_OK);
    ck_assert_int_eq(s24i_grid_decode(&plainly, &p.grid, p.mask, 40, p.codes, v), S24_OK);
#define CHECK_CODES(outlier) \
    (p.grid.outliers = (outlier), s24i_check_codes(&device, &p.grid, p.codes, p.mask, v, 40))
    ck_assert_int_eq(CHECK_CODES(NULL), S24_OK);
    v[39 * 20] += 1;
    v[17 * 20 + 11] += 1;
    ck_assert_int_eq(CHECK_CODES(NULL), S24_E_STATE);
    unit_check(strstr(s24i_error_text(), "weights: row 17, column 11 is") != NULL);
    outliers[17 * 20 + 11] = outliers[39 * 20] = 1;
    ck_assert_int_eq(CHECK_CODES(outliers), S24_OK);
    p.mask[39 * 20] = 0; /* pruned: neither a code nor an outlier */
    ck_assert_int_eq(CHECK_CODES(outliers), S24_E_STATE);
    p.codes[3 * 20 + 4] = 8;
    ck_assert_int_eq(CHECK_CODES(outliers), S24_E_STATE);
    unit_check(strstr(s24i_error_text(), "codes: row 3, column 4 is 8, beyond 3 bits") != NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("check");
    TCase *tcase = new_case(suite, "check");
    tcase_add_test(tcase, codes_are_checked);
    return unit_run(suite);
}
