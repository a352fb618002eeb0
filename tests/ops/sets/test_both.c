/* lib/ops/sets/both.c: n:m along both sides is the best mask, as enumeration and a certificate
 * say. */
#include "../ops_test.h"
#include "../../both.h"
#include <float.h>

typedef struct {
    const s24i_constraints *constraints;
    const float *w, *norm;
    int64_t rows, cols;
    uint8_t *mask;
} projection;

static s24_status project_stage(void *arg, const s24i_run *run)
{
    projection *p = arg;
    return s24i_cpu_project(run, p->constraints, p->w, p->norm, p->rows, p->cols, p->mask);
}

static uint8_t *project(int n, int m, const float *w, const float *norm, int64_t rows, int64_t cols)
{
    s24i_constraints constraints = {.n = n, .m = m, .both = true};
    projection p = {&constraints, w, norm, rows, cols, GRAB(uint8_t, rows * cols)};
    memset(p.mask, 7, (size_t)(rows * cols));
    ck_assert_int_eq(in_arena(project_stage, &p), S24_OK);
    return p.mask;
}

/* Of one tile, and its largest. */
static double *squares(const float *w, const float *norm, int m, double *largest)
{
    double *s = GRAB(double, m *m);
    *largest = 0;
    for (int i = 0; i < m * m; i++) {
        float x = norm ? fabsf(w[i]) * norm[i % m] : fabsf(w[i]);
        s[i] = (double)x * (double)x;
        *largest = fmax(*largest, s[i]);
    }
    return s;
}

static void check_sums(const uint8_t *mask, int n, int m)
{
    for (int i = 0; i < m; i++) {
        int row = 0, column = 0;
        for (int j = 0; j < m; j++) {
            unit_check(mask[i * m + j] <= 1);
            row += mask[i * m + j];
            column += mask[j * m + i];
        }
        unit_check(row == n && column == n);
    }
}

enum { KINDS = 8 };

static float value_of(uint64_t *seed, int kind, int i, int m)
{
    switch (kind) {
    case 0:
        return (float)normal(seed);
    case 1:
        return (float)below(seed, 4); /* ties, zeros */
    case 2:
        return -1.5f; /* all equal */
    case 3:
        return (float)below(seed, 40) * 1e-45f; /* denormals */
    case 4:
        return (float)(below(seed, 2) ? 1 : -1) * FLT_MAX * (float)uniform(seed);
    case 5:
        return i % m < m / 2 ? 100 + (float)normal(seed) : (float)normal(seed); /* heavy columns */
    case 6:
        return i / m < m / 2 ? 1e-15f * (float)normal(seed) : (float)normal(seed);
    default:
        return 0;
    }
}

/* Every n:m up to 12, some up to 64: exact sums, and no chain of exchanges gains anything. */
START_TEST(every_tile_is_the_best)
{
    static const int wide[][2] = {{8, 16}, {3, 17},  {16, 32}, {31, 32},
                                  {1, 64}, {32, 64}, {63, 64}};
    uint64_t seed = (uint64_t)_i;
    for (int m = 1, n = 1; m <= 12; n == m ? n = 1, m++ : n++) {
        int mark = naive_count;
        for (int trial = 0; trial < 20; trial++) {
            double largest, *s;
            float *w = GRAB(float, m *m);
            for (int i = 0; i < m * m; i++)
                w[i] = value_of(&seed, _i, i, m);
            uint8_t *mask = project(n, m, w, NULL, m, m);
            s = squares(w, NULL, m, &largest);
            check_sums(mask, n, m);
            ck_assert_msg(both_is_best(s, mask, n, m, (n == 2 && m == 4 ? 1e-6 : 1e-15) * largest),
                          "%d:%d, kind %d", n, m, _i);
        }
        drop_to(mark);
    }
    for (size_t k = 0; k < sizeof wide / sizeof *wide; k++) {
        int mark = naive_count, n = wide[k][0], m = wide[k][1];
        double largest, *s;
        float *w = GRAB(float, m *m), *norm = normals(&seed, m);
        for (int i = 0; i < m * m; i++)
            w[i] = value_of(&seed, _i, i, m) * (_i == 4 ? 0.1f : 1);
        for (int i = 0; i < m; i++)
            norm[i] = fabsf(norm[i]);
        uint8_t *mask = project(n, m, w, norm, m, m);
        s = squares(w, norm, m, &largest);
        check_sums(mask, n, m);
        ck_assert_msg(both_is_best(s, mask, n, m, 1e-15 * largest), "%d:%d, kind %d", n, m, _i);
        drop_to(mark);
    }
}
END_TEST

/* 2:4 against all 90 masks, written down by trying all of 2^16. */
START_TEST(no_other_of_the_90_is_better)
{
    uint16_t all[90];
    int count = 0;
    uint64_t seed = (uint64_t)_i + 100;
    for (unsigned bits = 0; bits < 65536; bits++) {
        bool fair = true;
        for (int i = 0; i < 4; i++)
            fair &= __builtin_popcount(bits >> 4 * i & 15) == 2 &&
                    __builtin_popcount(bits >> i & 0x1111) == 2;
        if (fair)
            all[count++] = (uint16_t)bits;
    }
    ck_assert_int_eq(count, 90);
    for (int trial = 0; trial < 500; trial++) {
        int mark = naive_count;
        float w[16];
        double largest, best = 0, found = 0, *s;
        for (int i = 0; i < 16; i++)
            w[i] = value_of(&seed, _i, i, 4);
        uint8_t *mask = project(2, 4, w, NULL, 4, 4);
        s = squares(w, NULL, 4, &largest);
        for (int k = 0; k < count; k++) {
            double sum = 0;
            for (int i = 0; i < 16; i++)
                sum += all[k] >> i & 1 ? s[i] : 0;
            best = fmax(best, sum);
        }
        for (int i = 0; i < 16; i++)
            found += mask[i] ? s[i] : 0;
        unit_check(found >= best * (1 - 1e-6));
        drop_to(mark);
    }
}
END_TEST

/* 1:m is an assignment: every permutation of up to 6 is tried. */
static double best_assignment(const double *s, int m, int row, unsigned taken)
{
    double best = row == m ? 0 : -INFINITY;
    for (int j = 0; row < m && j < m; j++)
        if (!(taken >> j & 1))
            best = fmax(best, s[row * m + j] + best_assignment(s, m, row + 1, taken | 1u << j));
    return best;
}

START_TEST(one_of_m_is_an_assignment)
{
    uint64_t seed = 5;
    for (int m = 1; m <= 6; m++)
        for (int trial = 0; trial < 20; trial++) {
            int mark = naive_count;
            double largest, sum = 0, *s;
            float *w = normals(&seed, m * m);
            uint8_t *mask = project(1, m, w, NULL, m, m);
            s = squares(w, NULL, m, &largest);
            for (int i = 0; i < m * m; i++)
                sum += mask[i] ? s[i] : 0;
            check_near(sum, best_assignment(s, m, 0, 0), 1e-12 * sum);
            drop_to(mark);
        }
}
END_TEST

/* The mask of the transpose is the transpose; rows and columns of a tile that change places take
 * their mask along. */
START_TEST(the_sides_are_alike)
{
    static const int patterns[][2] = {{2, 4}, {4, 8}, {3, 7}, {8, 16}};
    uint64_t seed = 9;
    int n = patterns[_i][0], m = patterns[_i][1];
    float *w = normals(&seed, m * m), *t = GRAB(float, m *m), *moved = GRAB(float, m *m);
    for (int i = 0; i < m * m; i++) {
        t[i % m * m + i / m] = w[i];
        moved[(i / m + 1) % m * m + (i % m + 3) % m] = w[i];
    }
    const uint8_t *mask = project(n, m, w, NULL, m, m), *turned = project(n, m, t, NULL, m, m);
    const uint8_t *other = project(n, m, moved, NULL, m, m);
    for (int i = 0; i < m * m; i++) {
        unit_check(mask[i] == turned[i % m * m + i / m]);
        unit_check(mask[i] == other[(i / m + 1) % m * m + (i % m + 3) % m]);
    }
}
END_TEST

/* tests/ops/sets/both_vectors: a matrix of 8 x 8 and its optima, by another program (integer
 * scores; here their roots, whose squares are summed). */
START_TEST(published_vectors)
{
    static const double s[64] = {
        36.2,   13.301, 32.702, 15.803, 7.804,  20.705, 20.006, 4.107,  37.208, 1.909,  5.21,
        8.211,  9.212,  25.113, 26.114, 28.015, 17.116, 9.817,  13.018, 19.919, 12.22,  27.221,
        27.722, 11.123, 38.724, 4.925,  11.726, 11.827, 33.328, 13.729, 17.83,  1.831,  28.332,
        0.833,  37.934, 10.235, 30.736, 32.837, 2.338,  5.039,  35.04,  34.941, 20.342, 24.943,
        5.944,  29.045, 39.746, 35.047, 27.348, 3.349,  11.15,  38.951, 38.752, 34.353, 1.854,
        16.755, 0.956,  3.757,  8.058,  24.159, 34.26,  13.061, 3.962,  27.263};
    static const struct {
        int n, m;
        double sum;
    } best[] = {{1, 2, 749.208}, {2, 4, 804.708}, {1, 4, 467.504}, {3, 4, 1067.112},
                {4, 8, 879.108}, {2, 8, 512.804}, {5, 8, 1000.16}};
    float w[64];
    for (int i = 0; i < 64; i++)
        w[i] = (float)sqrt(s[i]);
    for (size_t k = 0; k < sizeof best / sizeof *best; k++) {
        const uint8_t *mask = project(best[k].n, best[k].m, w, NULL, 8, 8);
        double sum = 0;
        for (int i = 0; i < 64; i++)
            sum += mask[i] ? s[i] : 0;
        check_near(sum, best[k].sum, 1e-6);
    }
}
END_TEST

/* Many tiles: those of a matrix are those of each alone, for any threads. */
START_TEST(tiles_are_apart)
{
    static const int patterns[][2] = {{2, 4}, {3, 6}, {8, 16}};
    uint64_t seed = 21;
    for (int k = 0; k < 3; k++) {
        int n = patterns[k][0], m = patterns[k][1];
        int64_t rows = 5 * m, cols = 43 * m;
        float *w = normals(&seed, rows * cols), *tile = GRAB(float, m *m);
        uint8_t *first = NULL;
        for (int way = 0; use_way(way, &seed); way++) {
            uint8_t *mask = project(n, m, w, NULL, rows, cols);
            first = first ? first : mask;
            ck_assert(!memcmp(first, mask, (size_t)(rows * cols)));
        }
        for (int64_t at = 0; at < 5 * 43; at++) {
            int64_t corner = at / 43 * m * cols + at % 43 * m;
            for (int i = 0; i < m; i++)
                memcpy(tile + i * m, w + corner + i * cols, (size_t)m * sizeof *tile);
            const uint8_t *alone = project(n, m, tile, NULL, m, m);
            for (int i = 0; i < m; i++)
                unit_check(!memcmp(alone + i * m, first + corner + i * cols, (size_t)m));
        }
    }
}
END_TEST

START_TEST(a_broken_column_is_named)
{
    s24i_constraints constraints = {.n = 1, .m = 2, .both = true};
    uint8_t mask[8] = {1, 0, 0, 1, 0, 1, 1, 0};
    ck_assert_int_eq(s24i_obeys(&constraints, mask, 2, 4, "V"), S24_OK);
    uint8_t broken[8] = {1, 0, 0, 1, 0, 1, 0, 1};
    ck_assert_int_eq(s24i_obeys(&constraints, broken, 2, 4, "V"), S24_E_STATE);
    ck_assert_str_eq(s24i_error_text(), "V: column 3, rows 0 to 1 hold 2 nonzeros, 1:2t allows 1");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("both");
    TCase *tcase = new_case(suite, "both");
    tcase_add_loop_test(tcase, every_tile_is_the_best, 0, KINDS);
    tcase_add_loop_test(tcase, no_other_of_the_90_is_better, 0, KINDS);
    tcase_add_test(tcase, one_of_m_is_an_assignment);
    tcase_add_loop_test(tcase, the_sides_are_alike, 0, 4);
    tcase_add_test(tcase, published_vectors);
    tcase_add_test(tcase, tiles_are_apart);
    tcase_add_test(tcase, a_broken_column_is_named);
    return unit_run(suite);
}
