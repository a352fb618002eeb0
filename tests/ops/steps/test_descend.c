/* lib/ops/steps/descend.c and joint.c: codes that never get worse, near the best there are. */
#include "../coded.h"

static const struct {
    int32_t n, m, bits, scheme, type;
    int64_t group;
} kinds[] = {{0, 1, 4, S24I_GRID_ASYM, S24_F32, 0},  {0, 1, 3, S24I_GRID_SYM, S24_F16, 24},
             {0, 1, 2, S24I_GRID_REAL, S24_F32, 16}, {2, 4, 4, S24I_GRID_ASYM, S24_F32, 0},
             {2, 4, 2, S24I_GRID_SYM, S24_BF16, 24}, {4, 8, 3, S24I_GRID_ASYM, S24_F32, 32},
             {3, 8, 2, S24I_GRID_REAL, S24_F32, 0}};

/* _i: the kind. One sweep a call, then scales; f is looked at after each. */
START_TEST(the_loss_never_rises)
{
    coded p = open_problem(7 + (uint64_t)_i, 37, 72, 0.6);
    p.constraints.n = kinds[_i].n;
    p.constraints.m = kinds[_i].m;
    take_grid(&p, kinds[_i].bits, kinds[_i].scheme, kinds[_i].group, kinds[_i].type);
    ck_assert_int_eq(in_arena(fit_stage, &p), S24_OK);
    ck_assert_int_eq(in_arena(sweep_stage, &p), S24_OK);
    double first = whole_loss(&p), before = first;
    for (int k = 0; k < 24; k++) {
        p.limits = (s24i_descent_limits){k < 12 ? 1 : 3, k < 12 ? 0 : 1};
        ck_assert_int_eq(in_arena(descend_stage, &p), S24_OK);
        double now = whole_loss(&p);
        ck_assert_msg(now <= before * (1 + 1e-6), "call %d: %.9g after %.9g", k, now, before);
        before = now;
    }
    ck_assert_double_lt(before, 0.995 * first); /* it does something */
    for (int64_t i = 0; i < p.rows * p.n; i += p.constraints.m) {
        int kept = 0;
        for (int64_t j = i; p.constraints.n && j < i + p.constraints.m; j++)
            kept += p.mask[j];
        ck_assert_int_le(kept, p.constraints.n);
    }
}
END_TEST

/* ---- against all there is ---- */

/* The least loss of row i, by trying every code (and every support of 2:4). */
static double least_loss(coded *p, int64_t i)
{
    uint8_t codes[8], mask[8];
    double least = INFINITY;
    memcpy(codes, p->codes + i * 8, 8);
    memcpy(mask, p->mask + i * 8, 8);
    for (int s = 0; s < (p->constraints.n ? 256 : 1); s++) {
        int left = __builtin_popcount(s & 15), right = __builtin_popcount(s >> 4);
        if (p->constraints.n && (left != 2 || right != 2))
            continue;
        for (int j = 0; j < 8; j++)
            p->mask[i * 8 + j] = !p->constraints.n || (s >> j & 1);
        for (int c = 0; c < (p->constraints.n ? 256 : 65536); c++) {
            int rest = c;
            for (int j = 0; j < 8; j++)
                if (p->mask[i * 8 + j]) {
                    p->codes[i * 8 + j] = rest & 3;
                    rest >>= 2;
                }
            least = fmin(least, row_loss(p, i));
        }
    }
    memcpy(p->codes + i * 8, codes, 8);
    memcpy(p->mask + i * 8, mask, 8);
    return least;
}

/* 8 inputs of 2 bits: most rows end within 5 % of the optimum. */
static void compare_with_all(int32_t n, int32_t m, int64_t rows, double share)
{
    coded p = open_problem(11, rows, 8, 0.3);
    int near = 0;
    p.constraints.n = n;
    p.constraints.m = m;
    take_grid(&p, 2, S24I_GRID_ASYM, 0, S24_F32);
    p.limits = (s24i_descent_limits){50, 0};
    ck_assert_int_eq(in_arena(fit_stage, &p), S24_OK);
    ck_assert_int_eq(in_arena(sweep_stage, &p), S24_OK);
    ck_assert_int_eq(in_arena(descend_stage, &p), S24_OK);
    p.sweeps = 2; /* all 8 inputs are one block */
    ck_assert_int_eq(in_arena(babai_stage, &p), S24_OK);
    for (int64_t i = 0; i < rows; i++) {
        double loss = row_loss(&p, i), least = least_loss(&p, i);
        ck_assert_double_ge(loss, least * (1 - 1e-9));
        near += loss <= 1.05 * least;
    }
    ck_assert_msg(near >= share * (double)rows, "%d:%d: %d of %d rows are near the optimum", n, m,
                  near, (int)rows);
}

START_TEST(near_the_optimum)
{
    compare_with_all(0, 1, 20, 0.75);
    compare_with_all(2, 4, 100, 0.85);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("descend");
    TCase *tcase = new_case(suite, "descend");
    tcase_add_loop_test(tcase, the_loss_never_rises, 0, sizeof kinds / sizeof *kinds);
    tcase_add_test(tcase, near_the_optimum);
    return unit_run(suite);
}
