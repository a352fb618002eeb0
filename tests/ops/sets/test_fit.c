/* lib/ops/sets/fit.c and grid.c: scales and zeros of odd groups, and codes by them. */
#include "../coded.h"

START_TEST(groups_are_fitted_one_by_one)
{
    uint64_t seed = 5;
    coded p = {.rows = 6, .n = 40, .plain = normals(&seed, 240)};
    for (p.method = S24I_FIT_SEARCH; p.method <= S24I_FIT_MINMAX; p.method++)
        for (int32_t scheme = S24I_GRID_ASYM; scheme <= S24I_GRID_REAL; scheme++) {
            take_grid(&p, 4, scheme, 16, S24_F32);
            ck_assert_int_eq(in_arena(fit_stage, &p), S24_OK);
            for (int64_t g = 0; g < 3; g++) {
                coded q = {.rows = 6, .n = g < 2 ? 16 : 8, .method = p.method};
                q.plain = GRAB(float, 6 * q.n);
                for (int64_t i = 0; i < 6; i++)
                    memcpy(q.plain + i * q.n, p.plain + i * 40 + 16 * g, (size_t)q.n * 4);
                take_grid(&q, 4, scheme, 0, S24_F32);
                ck_assert_int_eq(in_arena(fit_stage, &q), S24_OK);
                for (int64_t i = 0; i < 6; i++)
                    ck_assert(q.grid.scale[i] == p.grid.scale[3 * i + g] &&
                              q.grid.zero[i] == p.grid.zero[3 * i + g]);
            }
        }
}
END_TEST

/* Rows of 16: zeros, positive, negative, one value, one huge value, denormal, all equal. Nothing
 * breaks, and what can be exact is. */
START_TEST(odd_groups)
{
    coded p = {.rows = 7, .n = 16, .plain = GRAB(float, 7 * 16)};
    uint64_t seed = 9;
    float *v = GRAB(float, 7 * 16);
    for (int64_t j = 0; j < 16; j++) {
        p.plain[16 + j] = (float)(1 + uniform(&seed));
        p.plain[32 + j] = (float)(-1 - uniform(&seed));
        p.plain[64 + j] = (float)uniform(&seed);
        p.plain[80 + j] = 1e-42f * (float)j;
        p.plain[96 + j] = 0.7f;
    }
    p.plain[48 + 3] = -2;
    p.plain[64 + 5] = 1e30f;
    for (p.method = S24I_FIT_SEARCH; p.method <= S24I_FIT_MINMAX; p.method++)
        for (int32_t scheme = S24I_GRID_ASYM; scheme <= S24I_GRID_REAL; scheme++)
            for (int32_t bits = 2; bits <= 8; bits += 3) {
                take_grid(&p, bits, scheme, 0, S24_F32);
                ck_assert_int_eq(in_arena(fit_stage, &p), S24_OK);
                ck_assert_int_eq(s24i_grid_round(&plainly, &p.grid, p.plain, 7, p.codes), S24_OK);
                ck_assert_int_eq(s24i_grid_decode(&plainly, &p.grid, p.mask, 7, p.codes, v),
                                 S24_OK);
                for (int64_t i = 0; i < 7 * 16; i++) {
                    ck_assert(isfinite(v[i]) && fabsf(v[i]) <= 2.2f * fabsf(p.plain[64 + 5]));
                    ck_assert(i >= 16 || v[i] == 0);
                    ck_assert(p.grid.scale[i / 16] > 0 && p.codes[i] < 1 << bits);
                }
                ck_assert_float_eq_tol(v[48 + 3], -2, 0.7f); /* one level is near */
            }
}
END_TEST

START_TEST(scales_keep_to_their_type)
{
    uint64_t seed = 2;
    coded p = {.rows = 4, .n = 32, .method = S24I_FIT_SEARCH, .plain = normals(&seed, 128)};
    take_grid(&p, 4, S24I_GRID_ASYM, 8, S24_F16);
    ck_assert_int_eq(in_arena(fit_stage, &p), S24_OK);
    for (int64_t k = 0; k < 16; k++)
        ck_assert(p.grid.scale[k] == s24i_stored(S24_F16, p.grid.scale[k]));
    p.plain[70] = 1e30f;
    ck_assert_int_eq(in_arena(fit_stage, &p), S24_E_NUMERIC);
    unit_check(strstr(s24i_error_text(), "row 2, group 0") != NULL);
    take_grid(&p, 4, S24I_GRID_ASYM, 8, S24_BF16);
    ck_assert_int_eq(in_arena(fit_stage, &p), S24_OK);
}
END_TEST

/* Steps below the least number of their type: a group of nearly one value is that value, one of
 * nearly nothing beside others is zeros. */
START_TEST(finest_scales)
{
    uint64_t seed = 6;
    coded p = {.rows = 2, .n = 32, .method = S24I_FIT_SEARCH, .plain = normals(&seed, 64)};
    float *v = GRAB(float, 64);
    for (p.method = S24I_FIT_MINMAX; p.method <= S24I_FIT_SEARCH; p.method++)
        for (int32_t scheme = S24I_GRID_ASYM; scheme <= S24I_GRID_REAL; scheme++) {
            for (int64_t j = 0; j < 16; j++)
                p.plain[j] = scheme == S24I_GRID_REAL ? 1 + 1e-7f * (float)j : 1e-9f * (float)j;
            take_grid(&p, 4, scheme, 16, S24_F16);
            ck_assert_int_eq(in_arena(fit_stage, &p), S24_OK);
            ck_assert_int_eq(s24i_grid_round(&plainly, &p.grid, p.plain, 2, p.codes), S24_OK);
            ck_assert_int_eq(s24i_grid_decode(&plainly, &p.grid, p.mask, 2, p.codes, v), S24_OK);
            ck_assert(p.grid.scale[0] > 0 && p.grid.scale[0] <= 0x1p-23f);
            for (int64_t j = 0; j < 16; j++)
                ck_assert(fabsf(v[j] - p.plain[j]) <= 1e-6f);
        }
    for (int64_t i = 0; i < 64; i++) /* but a matrix of nothing else has no grid */
        p.plain[i] = 1e-9f * (float)(i + 1);
    take_grid(&p, 4, S24I_GRID_SYM, 16, S24_F16);
    ck_assert_int_eq(in_arena(fit_stage, &p), S24_E_NUMERIC);
    unit_check(strstr(s24i_error_text(), "need a scale beyond the range") != NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fit");
    TCase *tcase = new_case(suite, "fit");
    tcase_add_test(tcase, groups_are_fitted_one_by_one);
    tcase_add_test(tcase, odd_groups);
    tcase_add_test(tcase, scales_keep_to_their_type);
    tcase_add_test(tcase, finest_scales);
    return unit_run(suite);
}
