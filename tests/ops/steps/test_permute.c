/* lib/ops/steps/permute.c, assign.c: an order of columns in which n:m keeps more. */
#include "../ops_test.h"
#include "ops/steps/permute.h"

/* ---- assignments ---- */

static double best_value(const float *value, int size, int row, unsigned taken)
{
    double best = row == size ? 0 : -INFINITY;
    for (int j = 0; row < size && j < size; j++)
        if (!(taken >> j & 1))
            best = fmax(best, (double)value[row * size + j] +
                                  best_value(value, size, row + 1, taken | 1u << j));
    return best;
}

static double value_of(const float *value, int64_t ld, int size)
{
    int32_t column[S24I_MOST_ASSIGNED];
    bool seen[S24I_MOST_ASSIGNED] = {false};
    double sum = 0;
    s24i_assign(value, ld, size, column);
    for (int i = 0; i < size; i++) {
        unit_check(column[i] >= 0 && column[i] < size && !seen[column[i]]);
        seen[column[i]] = true;
        sum += (double)value[i * ld + column[i]];
    }
    return sum;
}

START_TEST(assignments_are_the_best)
{
    uint64_t seed = 3;
    for (int size = 1; size <= 7; size++)
        for (int trial = 0; trial < 30; trial++) {
            int mark = naive_count;
            float *value = normals(&seed, size * size);
            for (int i = 0; i < size * size && trial % 3 == 0; i++)
                value[i] = (float)below(&seed, 3); /* ties */
            check_near(value_of(value, size, size), best_value(value, size, 0, 0), 1e-6);
            drop_to(mark);
        }
}
END_TEST

/* A planted permutation is found, whatever the potentials have to bridge. */
START_TEST(large_assignments)
{
    enum { N = S24I_MOST_ASSIGNED, LD = N + 3 };
    uint64_t seed = 4;
    float *value = normals(&seed, (int64_t)N * LD);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            value[i * LD + j] +=
                (float)(1000 * (i % 5) + 100 * (j % 7)) + (j == i * 37 % N ? 9 : 0);
    double wanted = 0;
    for (int i = 0; i < N; i++)
        wanted += (double)value[i * LD + i * 37 % N];
    ck_assert_double_ge(value_of(value, LD, N), wanted - 1e-3);
}
END_TEST

/* ---- orders ---- */

static double kept_of(const double *a, int64_t rows, int64_t cols, const int64_t *order, int n,
                      int m)
{
    double sum = 0;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t g = 0; g < cols; g += m)
            for (int k = 0; k < m; k++) {
                double x = a[i * cols + order[g + k]];
                int before = 0;
                for (int l = 0; l < m; l++) {
                    double y = a[i * cols + order[g + l]];
                    before += y > x || (y == x && l < k);
                }
                sum += before < n ? x : 0;
            }
    return sum;
}

static void check_order(const int64_t *order, int64_t cols, int64_t block, int m)
{
    bool *seen = GRAB(bool, cols);
    for (int64_t j = 0; j < cols; j++) {
        unit_check(order[j] / block == j / block && !seen[order[j]]);
        seen[order[j]] = true;
        unit_check(j % m == 0 || order[j] > order[j - 1]);
        unit_check(j % m || j % block == 0 || order[j] > order[j - m]);
    }
}

/* Shares as they are told, and never less than as it is. */
static int64_t *search(const float *a, int64_t rows, int64_t cols, int n, int m, int64_t block)
{
    s24i_permuting how = {n, m, block};
    s24_mat score = s24i_view(a, rows, cols);
    int64_t *order = GRAB(int64_t, cols), *same = GRAB(int64_t, cols);
    double kept[2], all = 0, *x = GRAB(double, rows *cols);
    ck_assert_int_eq(s24i_permute(&device, &how, &score, order, kept), S24_OK);
    check_order(order, cols, block, m);
    for (int64_t i = 0; i < rows * cols; i++)
        all += x[i] = (double)a[i];
    for (int64_t j = 0; j < cols; j++)
        same[j] = j;
    check_near(kept[0] * all, kept_of(x, rows, cols, same, n, m), 1e-6 * all);
    check_near(kept[1] * all, kept_of(x, rows, cols, order, n, m), 1e-6 * all);
    ck_assert_double_ge(kept[1], kept[0]);
    return order;
}

static float *scores(uint64_t *seed, int64_t count)
{
    float *a = normals(seed, count);
    for (int64_t i = 0; i < count; i++)
        a[i] *= a[i];
    return a;
}

/* A matrix of 5 x 8 of which another program tried all 35 splits: 461 as it is, 477 second best,
 * 479 best. No exchange of one column for another leads from the second to the first. */
START_TEST(second_best_of_all_splits)
{
    static const float a[40] = {6,  23, 21, 25, 12, 3,  28, 30, 9,  6,  30, 21, 18, 16,
                                21, 14, 1,  13, 20, 26, 6,  13, 25, 10, 18, 28, 7,  29,
                                8,  5,  12, 24, 11, 0,  4,  24, 9,  27, 26, 23};
    double x[40];
    for (int i = 0; i < 40; i++)
        x[i] = (double)a[i];
    int64_t *order = search(a, 5, 8, 2, 4, 8);
    ck_assert_double_ge(kept_of(x, 5, 8, order, 2, 4), 477);
}
END_TEST

/* Near the best of all 35 splits on random matrices, and far above as it is. */
START_TEST(small_searches)
{
    uint64_t seed = 7;
    double reached = 0, start = 0, best_sum = 0;
    for (int trial = 0; trial < 40; trial++) {
        int mark = naive_count;
        float *a = scores(&seed, 6 * 8);
        double x[48], best = 0;
        for (int i = 0; i < 48; i++)
            x[i] = (double)a[i];
        for (unsigned set = 0; set < 256; set++) {
            int64_t order[8], low = 0, high = 4;
            if (__builtin_popcount(set) != 4)
                continue;
            for (int j = 0; j < 8; j++)
                order[set >> j & 1 ? low++ : high++] = j;
            best = fmax(best, kept_of(x, 6, 8, order, 2, 4));
        }
        int64_t same[8] = {0, 1, 2, 3, 4, 5, 6, 7}, *order = search(a, 6, 8, 2, 4, 8);
        reached += kept_of(x, 6, 8, order, 2, 4);
        start += kept_of(x, 6, 8, same, 2, 4);
        best_sum += best;
        ck_assert_double_le(kept_of(x, 6, 8, order, 2, 4), best * (1 + 1e-6));
        drop_to(mark);
    }
    ck_assert_double_ge(reached - start, 0.9 * (best_sum - start));
}
END_TEST

/* Shapes, patterns, blocks and parts; the same for any threads. */
START_TEST(any_shape)
{
    static const int64_t cases[][5] = {
        /* rows, cols, n, m, block */
        {1, 4, 2, 4, 4},       {3, 6, 1, 3, 6},     {70, 64, 2, 4, 16},
        {5, 1040, 1, 2, 1040}, {9, 640, 3, 5, 320}, {2, 128, 31, 64, 128},
        {65, 96, 4, 8, 48},    {4, 8, 4, 4, 8},     {3, 12, 2, 4, 4}};
    uint64_t seed = 11;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        int mark = naive_count;
        const int64_t *c = cases[k];
        float *a = scores(&seed, c[0] * c[1]);
        int64_t *first = NULL;
        for (int way = 0; use_way(way, &seed); way++) {
            int64_t *order = search(a, c[0], c[1], (int)c[2], (int)c[3], c[4]);
            first = first ? first : order;
            ck_assert(!memcmp(first, order, (size_t)c[1] * sizeof *order));
        }
        for (int64_t j = 0; (c[2] == c[3] || c[3] == c[4]) && j < c[1]; j++)
            ck_assert_int_eq(first[j], j);
        drop_to(mark);
    }
}
END_TEST

/* Columns that hold all of a row's score come apart: 2 of 4 then keeps everything. */
START_TEST(heavy_columns_part)
{
    enum { ROWS = 20, COLS = 64 };
    float *a = GRAB(float, ROWS *COLS);
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLS; j++)
            a[i * COLS + j] = j < COLS / 2 ? 1 : 0;
    s24i_permuting how = {2, 4, COLS};
    s24_mat score = s24i_view(a, ROWS, COLS);
    int64_t order[COLS];
    double kept[2];
    ck_assert_int_eq(s24i_permute(&device, &how, &score, order, kept), S24_OK);
    check_near(kept[0], 0.5, 1e-12);
    check_near(kept[1], 1, 1e-12);
}
END_TEST

/* Scores near the ends of single precision give the order of those near 1; zeros give none. */
START_TEST(any_scale)
{
    uint64_t seed = 13;
    float *a = scores(&seed, 7 * 48), *b = GRAB(float, 7 * 48);
    int64_t *wanted = search(a, 7, 48, 2, 4, 48);
    for (int k = -100; k <= 100; k += 200) {
        for (int i = 0; i < 7 * 48; i++)
            b[i] = ldexpf(a[i], k);
        ck_assert(!memcmp(search(b, 7, 48, 2, 4, 48), wanted, 48 * sizeof *wanted));
    }
    memset(b, 0, 7 * 48 * sizeof *b);
    s24i_permuting how = {2, 4, 48};
    s24_mat score = s24i_view(b, 7, 48);
    int64_t order[48];
    double kept[2];
    ck_assert_int_eq(s24i_permute(&device, &how, &score, order, kept), S24_OK);
    ck_assert(order[47] == 47 && kept[0] == 1 && kept[1] == 1);
}
END_TEST

START_TEST(bad_scores_are_named)
{
    static const float bad[] = {-1e-30f, NAN, INFINITY, -INFINITY};
    uint64_t seed = 17;
    s24i_permuting how = {2, 4, 8};
    for (int k = 0; k < 4; k++) {
        float *a = scores(&seed, 130 * 8);
        int64_t order[8] = {7};
        double kept[2];
        s24_mat score = s24i_view(a, 130, 8);
        a[129 * 8 + 3] = bad[k];
        ck_assert_int_eq(s24i_permute(&device, &how, &score, order, kept),
                         k ? S24_E_NONFINITE : S24_E_ARG);
        unit_check_text("score: row 129, column 3 is ");
        ck_assert_int_eq(order[0], 7);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("permute");
    TCase *tcase = new_case(suite, "permute");
    tcase_add_test(tcase, assignments_are_the_best);
    tcase_add_test(tcase, large_assignments);
    tcase_add_test(tcase, second_best_of_all_splits);
    tcase_add_test(tcase, small_searches);
    tcase_add_test(tcase, any_shape);
    tcase_add_test(tcase, heavy_columns_part);
    tcase_add_test(tcase, any_scale);
    tcase_add_test(tcase, bad_scores_are_named);
    return unit_run(suite);
}
