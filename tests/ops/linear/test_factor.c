/* lib/ops/linear/factor.c: S = R R^T, its inverses and solutions, in fp64. */
#include "../ops_test.h"

static const int64_t dims[] = {1, 2, 127, 128, 129, 200, 257, 385};
enum { DIMS = 8 };

/* Unit-diagonal, positive definite, condition some thousands. */
static float *unit_matrix(uint64_t *seed, int64_t n)
{
    int64_t rows = 2 * n + 3;
    float *x = activations(seed, rows, n, 0.6), *s = GRAB(float, n *n);
    double *h = naive_gram(x, rows, n, NULL, -1), *scale = GRAB(double, n);
    for (int64_t j = 0; j < n; j++)
        scale[j] = 1 / sqrt(1.01 * h[j * n + j]);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            s[i * n + j] = i == j ? 1 : (float)(h[i * n + j] * scale[i] * scale[j]);
    return s;
}

typedef struct {
    int64_t dim, rows;
    const float *s;
    float *r, *inv_diag, *k, *x;
    float floor;
    bool positive;
} factor;

static s24_status cholesky_stage(void *arg, const s24i_run *run)
{
    factor *f = arg;
    return s24i_cholesky(run, f->dim, f->r, f->inv_diag, f->floor, &f->positive);
}

static s24_status inverse_stage(void *arg, const s24i_run *run)
{
    factor *f = arg;
    return s24i_inverse(run, f->dim, f->r, f->inv_diag, f->k);
}

static s24_status solve_stage(void *arg, const s24i_run *run)
{
    factor *f = arg;
    return s24i_solve_rows(run, f->dim, f->r, f->inv_diag, f->x, f->rows);
}

/* Factor a copy of s; what lies under the diagonal is poison, which nothing may read. */
static factor factor_of(const float *s, int64_t n, float floor)
{
    factor f = {.dim = n, .s = s, .floor = floor};
    f.r = GRAB(float, n *n);
    f.inv_diag = GRAB(float, n *S24I_BLOCK);
    memcpy(f.r, s, (size_t)(n * n) * sizeof *s);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++)
            f.r[i * n + j] = NAN;
    ck_assert_int_eq(in_arena(cholesky_stage, &f), S24_OK);
    return f;
}

static double *upper(const float *r, int64_t n)
{
    double *out = GRAB(double, n *n);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i; j < n; j++)
            out[i * n + j] = r[i * n + j];
    return out;
}

START_TEST(cholesky_factors)
{
    uint64_t seed = (uint64_t)_i;
    int64_t n = dims[_i];
    float *s = unit_matrix(&seed, n);
    factor f = factor_of(s, n, 1e-6f);
    ck_assert(f.positive);
    double *r = upper(f.r, n), *product = GRAB(double, n *n);
    naive_multiply(false, true, n, n, n, r, r, product);
    ck_assert_double_le(distance(product, doubles(s, n * n), n * n), 1e-6);
    for (int64_t j = 0; j < n; j++)
        unit_check(r[j * n + j] > 0);
}
END_TEST

/* Upper triangular, and the inverse of each diagonal block. */
START_TEST(diagonal_blocks_are_inverted)
{
    uint64_t seed = (uint64_t)_i;
    int64_t n = dims[_i];
    factor f = factor_of(unit_matrix(&seed, n), n, 1e-6f);
    for (int64_t first = 0; first < n; first += S24I_BLOCK) {
        int64_t width = n - first < S24I_BLOCK ? n - first : S24I_BLOCK;
        for (int64_t i = 0; i < width; i++)
            for (int64_t j = 0; j < S24I_BLOCK; j++) {
                double sum = 0;
                for (int64_t l = i; l < width && j < width; l++)
                    sum += (double)f.r[(first + i) * n + first + l] *
                           f.inv_diag[(first + l) * S24I_BLOCK + j];
                unit_check(j < width ? fabs(sum - (i == j)) < 2e-5
                                     : f.inv_diag[(first + i) * S24I_BLOCK + j] == 0);
                unit_check(j >= i || f.inv_diag[(first + i) * S24I_BLOCK + j] == 0);
            }
    }
}
END_TEST

START_TEST(inverts)
{
    uint64_t seed = (uint64_t)_i;
    int64_t n = dims[_i];
    float *s = unit_matrix(&seed, n);
    factor f = factor_of(s, n, 1e-6f);
    f.k = GRAB(float, n *n);
    ck_assert_int_eq(in_arena(inverse_stage, &f), S24_OK);
    double *k = doubles(f.k, n * n), *wanted = naive_inverse(doubles(s, n * n), n);
    ck_assert_double_le(distance(k, wanted, n * n), 2e-5);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++)
            unit_check(f.k[i * n + j] == f.k[j * n + i]);
}
END_TEST

START_TEST(solves_rows)
{
    static const int64_t counts[] = {1, 63, 64, 65, 200};
    uint64_t seed = (uint64_t)_i;
    int64_t n = dims[_i];
    float *s = unit_matrix(&seed, n);
    factor f = factor_of(s, n, 1e-6f);
    double *matrix = doubles(s, n * n);
    for (int c = 0; c < 5; c++) {
        f.rows = counts[c];
        float *b = normals(&seed, f.rows * n);
        f.x = GRAB(float, f.rows *n);
        memcpy(f.x, b, (size_t)(f.rows * n) * sizeof *b);
        ck_assert_int_eq(in_arena(solve_stage, &f), S24_OK);
        double *back = GRAB(double, f.rows *n);
        naive_multiply(false, false, f.rows, n, n, doubles(f.x, f.rows * n), matrix, back);
        ck_assert_double_le(distance(back, doubles(b, f.rows * n), f.rows * n), 2e-5);
    }
}
END_TEST

/* Column `at` a copy of its left neighbour but for `apart` of its variance. The pivot that this
 * leaves is the left one's. */
static float *with_twins(const float *good, int64_t n, int64_t at, double apart)
{
    float *s = GRAB(float, n *n);
    memcpy(s, good, (size_t)(n * n) * sizeof *s);
    float share = (float)sqrt(1 - apart);
    for (int64_t j = 0; j < n; j++)
        if (j != at)
            s[j * n + at] = s[at * n + j] = j == at - 1 ? share : s[j * n + at - 1] * share;
    return s;
}

START_TEST(notices_what_is_not_positive_definite)
{
    static const int64_t at[] = {1, 5, 127, 128, 129, 250, 256};
    uint64_t seed = 31;
    int64_t n = 257;
    float *good = unit_matrix(&seed, n), *s = GRAB(float, n *n);
    size_t size = (size_t)(n * n) * sizeof *s;
    ck_assert(factor_of(good, n, 0).positive);
    for (int a = 0; a < 7; a++) {
        memcpy(s, good, size);
        s[(at[a] - 1) * n + at[a]] = s[at[a] * n + at[a] - 1] = 1.01f;
        ck_assert(!factor_of(s, n, 0).positive);
        memcpy(s, good, size);
        s[at[a] * n + at[a]] = -1e-3f;
        ck_assert(!factor_of(s, n, 0).positive);
        memcpy(s, good, size);
        s[at[a] * n + at[a]] = NAN;
        ck_assert(!factor_of(s, n, 0).positive);
    }
    float zero = 0, one = 1;
    ck_assert(!factor_of(&zero, 1, 0).positive);
    ck_assert(factor_of(&one, 1, 1).positive);
    ck_assert(!factor_of(&one, 1, 1.0001f).positive);
}
END_TEST

START_TEST(the_floor_is_under_each_pivot)
{
    static const int64_t at[] = {1, 100, 128, 200, 256};
    uint64_t seed = 37;
    float *good = unit_matrix(&seed, 257);
    for (int a = 0; a < 5; a++) {
        float *s = with_twins(good, 257, at[a], 1e-3);
        /* the left twin's pivot is at most what tells it from the right one, 1e-3 of its
         * variance */
        ck_assert(!factor_of(s, 257, 1.2e-3f).positive);
        factor f = factor_of(s, 257, 1e-5f);
        ck_assert(f.positive);
        double pivot = f.r[(at[a] - 1) * 257 + at[a] - 1];
        ck_assert_double_le(pivot * pivot, 1.1e-3);
        ck_assert(!factor_of(s, 257, (float)(pivot * pivot * 1.001)).positive);
        ck_assert(factor_of(s, 257, (float)(pivot * pivot * 0.999)).positive ==
                  (pivot * pivot * 0.999 > 0));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("factor");
    TCase *tcase = new_case(suite, "factor");
    tcase_add_loop_test(tcase, cholesky_factors, 0, DIMS);
    tcase_add_loop_test(tcase, diagonal_blocks_are_inverted, 0, DIMS);
    tcase_add_loop_test(tcase, inverts, 0, DIMS);
    tcase_add_loop_test(tcase, solves_rows, 0, DIMS);
    tcase_add_test(tcase, notices_what_is_not_positive_definite);
    tcase_add_test(tcase, the_floor_is_under_each_pivot);
    return unit_run(suite);
}
