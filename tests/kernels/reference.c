/* lib/kernels/ref: the reference against independent definitions. */
#include "reference.h"
#include "trial.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static s24i_kernels ref;

static void setup(void)
{
    s24i_kernels_ref(&ref);
}

/* ---- the table ---- */

START_TEST(sets_are_chosen_by_name)
{
    s24i_kernels table, other;
    int count = 0;
    while (s24i_kernels_isa(count))
        ++count;
    ck_assert_str_eq(s24i_kernels_isa(0), "ref");
    ck_assert_ptr_null(s24i_kernels_isa(-1));
    ck_assert_int_eq(s24i_kernels_dispatch(&table, "auto"), 1);
    ck_assert_str_eq(table.isa, s24i_kernels_isa(count - 1));
    memcpy(&other, &table, sizeof other);
    ck_assert_int_eq(s24i_kernels_dispatch(&other, "avx"), 0);
    ck_assert_int_eq(s24i_kernels_dispatch(&other, ""), 0);
    ck_assert_mem_eq(&table, &other, sizeof other);
    for (int i = 0; i < count; ++i)
        ck_assert_int_eq(s24i_kernels_dispatch(&table, s24i_kernels_isa(i)), 1);
    static const char *const known[] = {"avx2", "avxvnni", "avx512", "avx512vnni", "avx512bf16"};
    for (int i = 0; i < 5; ++i) {
        bool offered = false;
        for (int k = 0; k < count; ++k)
            offered |= !strcmp(s24i_kernels_isa(k), known[i]);
        ck_assert_int_eq(s24i_kernels_dispatch(&table, known[i]), offered ? 1 : -1);
    }
}
END_TEST

START_TEST(no_entry_is_missing)
{
    for (int i = 0; s24i_kernels_isa(i); ++i) {
        s24i_kernels table;
        memset(&table, 0, sizeof table);
        s24i_kernels_dispatch(&table, s24i_kernels_isa(i));
#define S24I_KERNEL(type, name, arguments) ck_assert_msg(table.name != NULL, #name);
#include "kernels/kernels.def"
#undef S24I_KERNEL
    }
}
END_TEST

/* ---- selection by sorting ---- */

typedef struct candidate {
    float score;
    int32_t index;
} candidate;

static int best_first(const void *left, const void *right)
{
    const candidate *a = left, *b = right;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return a->index - b->index;
}

static void expect_best(const float *w, const float *norm, const uint8_t *mask, int32_t keep,
                        int32_t m)
{
    candidate all[S24I_MAX_GROUP];
    for (int32_t t = 0; t < m; ++t)
        all[t] = (candidate){norm ? fabsf(w[t]) * norm[t] : fabsf(w[t]), t};
    qsort(all, (size_t)m, sizeof *all, best_first);
    for (int32_t place = 0; place < m; ++place)
        if (mask[all[place].index] != (place < keep))
            ck_abort_msg("%d:%d, place %d", keep, m, place);
}

START_TEST(selection_is_that_of_a_sort)
{
    static float w[S24I_MAX_GROUP], norm[S24I_MAX_GROUP];
    uint8_t mask[S24I_MAX_GROUP];
    for (int32_t m = 1; m <= S24I_MAX_GROUP; ++m)
        for (int32_t keep = 1; keep <= m; ++keep)
            for (number_kind kind = 0; kind < KINDS; ++kind) {
                fill_floats(w, m, kind, FLT_MAX, (uint64_t)(m * 100 + keep));
                fill_floats(norm, m, kind, 1, (uint64_t)(m * 200 + keep));
                for (int32_t t = 0; t < m; ++t)
                    norm[t] = fabsf(norm[t]);
                ref.select_nm(w, norm, mask, m, keep, m);
                expect_best(w, norm, mask, keep, m);
                ref.select_nm(w, NULL, mask, m, keep, m);
                expect_best(w, NULL, mask, keep, m);
                if (keep == 2 && m == 4) {
                    memset(mask, 7, 4);
                    ref.select_24(w, norm, mask, 4);
                    expect_best(w, norm, mask, keep, m);
                }
            }
}
END_TEST

START_TEST(a_dropped_weight_is_plus_zero)
{
    const float w[4] = {-1, NAN, -0.0f, -0.0f};
    const uint8_t mask[4] = {0, 0, 0, 255};
    const uint32_t wanted[4] = {0, 0, 0, 0x80000000u};
    float v[4];
    ref.apply_mask(w, mask, v, 4);
    ck_assert_mem_eq(v, wanted, sizeof v);
}
END_TEST

/* ---- sums ---- */

/* The order of kernels.h written out for 32 values. */
static double sum_in_order(const double *x)
{
    double a[16];
    for (int i = 0; i < 16; ++i)
        a[i] = x[i] + x[i + 16];
    double b0 = (a[0] + a[8]) + (a[4] + a[12]), b1 = (a[1] + a[9]) + (a[5] + a[13]);
    double b2 = (a[2] + a[10]) + (a[6] + a[14]), b3 = (a[3] + a[11]) + (a[7] + a[15]);
    return (b0 + b2) + (b1 + b3);
}

START_TEST(sums_have_one_order)
{
    float x[32], ones[32];
    double wide[32], units[32];
    uint64_t state = 5;
    for (int i = 0; i < 32; ++i) {
        x[i] = (float)ldexp(random_number(&state), i * 7 % 60);
        wide[i] = (double)x[i];
        ones[i] = 1;
        units[i] = 1;
    }
    double wanted = sum_in_order(wide), sum = ref.dot(x, ones, 32);
    ck_assert_mem_eq(&sum, &wanted, sizeof sum);
    sum = ref.dot_f64(wide, units, 32);
    ck_assert_mem_eq(&sum, &wanted, sizeof sum);
    for (int i = 0; i < 32; ++i)
        wide[i] *= wide[i]; /* exact */
    wanted = sum_in_order(wide);
    sum = ref.sum_squares(x, 32);
    ck_assert_mem_eq(&sum, &wanted, sizeof sum);
}
END_TEST

/* One step of ADMM on the mask and off it, from its equations. */
START_TEST(admm_keeps_the_dual_off_the_mask)
{
    float z[2] = {3, 5}, w[2] = {1, 2}, gap[2], p[2] = {0.5f, 0.25f}, b[2];
    uint8_t mask[2] = {1, 0};
    ref.admm_gap(z, w, mask, 0.5f, gap, 2); /* D - U - W: D = (3, 0), U = (0, 2.5) */
    ck_assert(gap[0] == 2 && gap[1] == -4.5f);
    ref.admm_move(p, w, mask, 4, 0.5f, z, b, 2); /* B = W + rho P, Z = B + U */
    ck_assert(b[0] == 3 && b[1] == 3 && z[0] == 3 && z[1] == 5.5f);
}
END_TEST

START_TEST(a_split_moves_as_admm_does)
{
    float h[] = {-1, -2}, w[] = {1, 2}, z[] = {3, 5}, rest[2];
    uint8_t mask[] = {1, 0};
    ref.split_move(h, mask, 0.5f, z, 2); /* B = D - U - h: D = (3, 0), U = (0, 2.5); Z = B + U */
    ck_assert(h[0] == 4 && h[1] == -0.5f && z[0] == 4 && z[1] == 2);
    ref.split_rest(w, h, z, mask, 0.5f, rest, 2); /* W - (B + D) / 2, D = (4, 0) */
    ck_assert(rest[0] == -3 && rest[1] == 2.25f);
}
END_TEST

START_TEST(a_product_is_fused_into_its_sum)
{
    /* (1 + e)(1 - e) - 1 = -e^2, which a rounded product loses. */
    double x[17] = {-1}, y[17] = {1}, e = 0x1p-40;
    x[16] = 1 + e;
    y[16] = 1 - e;
    ck_assert(ref.dot_f64(x, y, 17) == -e * e);
    float v = -1, r = -1, p = 1 - 0x1p-20f, ap = -p;
    uint8_t mask = 1;
    ref.cg_step(&v, &r, &p, &ap, &mask, 1 + 0x1p-20f, 1);
    ck_assert(v == -0x1p-40f && r == -0x1p-40f);
    v = 1 - 0x1p-20f;
    r = -1;
    ref.cg_direction(&v, &r, 1 + 0x1p-20f, 1);
    ck_assert(v == -0x1p-40f);
}
END_TEST

/* Integers, so that any order gives the same. */
START_TEST(rows_are_multiplied_with_rows)
{
    float rows[2][20], columns[3][20], out[2][4] = {{0}};
    for (int k = 0; k < 60; ++k)
        columns[k / 20][k % 20] = (float)(k * 7 % 11 - 5);
    for (int k = 0; k < 40; ++k)
        rows[k / 20][k % 20] = (float)(k * 5 % 13 - 6);
    ref.dot_rows(rows[0], 2, columns[0], 3, 20, out[0], 4);
    for (int i = 0; i < 2; ++i)
        for (int j = 0; j < 3; ++j) {
            float sum = 0;
            for (int k = 0; k < 20; ++k)
                sum += rows[i][k] * columns[j][k];
            ck_assert(out[i][j] == sum);
        }
    ck_assert(out[0][3] == 0 && out[1][3] == 0);
}
END_TEST

TCase *reference_tests(void)
{
    TCase *test = tcase_create("reference");
    tcase_add_checked_fixture(test, setup, NULL);
    tcase_add_test(test, admm_keeps_the_dual_off_the_mask);
    tcase_add_test(test, a_split_moves_as_admm_does);
    tcase_add_test(test, rows_are_multiplied_with_rows);
    tcase_add_test(test, sets_are_chosen_by_name);
    tcase_add_test(test, no_entry_is_missing);
    tcase_add_test(test, selection_is_that_of_a_sort);
    tcase_add_test(test, a_dropped_weight_is_plus_zero);
    tcase_add_test(test, sums_have_one_order);
    tcase_add_test(test, a_product_is_fused_into_its_sum);
    return test;
}
