/* lib/ops/sets/project.c and supports.c: the largest are kept, as a sort says. */
#include "../ops_test.h"
#include <float.h>

/* ---- what a sort says ---- */

typedef struct {
    float score;
    int64_t index;
} ranked;

static int by_score(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

/* 1 on the `keep` largest, ties to the lower index. */
static void sorted_mask(const float *score, int64_t count, int64_t keep, uint8_t *mask)
{
    int mark = naive_count;
    ranked *order = GRAB(ranked, count);
    for (int64_t i = 0; i < count; i++)
        order[i] = (ranked){score[i], i};
    qsort(order, (size_t)count, sizeof *order, by_score);
    for (int64_t i = 0; i < count; i++)
        mask[order[i].index] = i < keep;
    drop_to(mark);
}

/* ---- keep_largest ---- */

enum { KINDS = 9 };

static float score_of(uint64_t *seed, int kind, int64_t i)
{
    switch (kind) {
    case 0:
        return fabsf((float)normal(seed));
    case 1:
        return (float)below(seed, 5); /* ties, zeros */
    case 2:
        return 1.5f; /* all equal */
    case 3:
        return 0;
    case 4:
        return (float)below(seed, 40) * 1e-45f; /* denormals */
    case 5:
        return ldexpf((float)uniform(seed), (int)below(seed, 250) - 125);
    case 6:
        return below(seed, 2) ? FLT_MAX : FLT_MIN;
    case 7: { /* differ in the lowest digit alone */
        uint32_t bits = 0x40000000u + (uint32_t)below(seed, 700);
        float value;
        memcpy(&value, &bits, sizeof value);
        return value;
    }
    default:
        return i % 2 ? 0.0f : -0.0f;
    }
}

START_TEST(keeps_the_largest)
{
    static const int64_t counts[] = {1, 2, 3, 17, 128, 1000, 5000};
    uint64_t seed = (uint64_t)_i;
    for (int c = 0; c < 7; c++) {
        int64_t n = counts[c];
        float *score = GRAB(float, n);
        uint8_t *mask = GRAB(uint8_t, n), *wanted = GRAB(uint8_t, n);
        for (int64_t i = 0; i < n; i++)
            score[i] = score_of(&seed, _i, i);
        int64_t keeps[] = {0, 1, n / 3, n / 2, n - 1, n, below(&seed, n)};
        for (int k = 0; k < 7; k++) {
            memset(mask, 7, (size_t)n);
            s24i_keep_largest(score, n, keeps[k], mask);
            sorted_mask(score, n, keeps[k], wanted);
            ck_assert(!memcmp(mask, wanted, (size_t)n));
        }
    }
}
END_TEST

typedef struct {
    const float *score;
    int64_t count, keep;
    uint8_t *mask;
} selection;

static s24_status select_stage(void *arg, const s24i_run *run)
{
    selection *s = arg;
    return s24i_select_largest(run, s->score, s->count, s->keep, s->mask);
}

/* The same on all threads, across the ends of chunks, with ties in several. */
START_TEST(selects_the_largest_in_parallel)
{
    static const int64_t counts[] = {1, 100, 65536, 65537, 200000};
    uint64_t seed = (uint64_t)_i + 50;
    for (int c = 0; c < 5; c++) {
        int mark = naive_count;
        int64_t n = counts[c], keeps[] = {1, n / 2, n - 1, n};
        float *score = GRAB(float, n);
        uint8_t *wanted = GRAB(uint8_t, n);
        for (int64_t i = 0; i < n; i++)
            score[i] = score_of(&seed, _i, i);
        for (int k = 0; k < 4; k++) {
            selection s = {score, n, keeps[k] > 0 ? keeps[k] : 1, GRAB(uint8_t, n)};
            ck_assert_int_eq(in_arena(select_stage, &s), S24_OK);
            sorted_mask(score, n, s.keep, wanted);
            ck_assert(!memcmp(s.mask, wanted, (size_t)n));
        }
        drop_to(mark);
    }
}
END_TEST

/* ---- counts ---- */

START_TEST(counts_zeros)
{
    ck_assert_int_eq(s24i_zeros(0, 10), 0);
    ck_assert_int_eq(s24i_zeros(0.5, 7), 4); /* 3.5: ties to even */
    ck_assert_int_eq(s24i_zeros(0.5, 5), 2);
    ck_assert_int_eq(s24i_zeros(0.7, 10), 7);
    ck_assert_int_eq(s24i_zeros(0.7, 1024), 717);
    ck_assert_int_eq(s24i_zeros(0.999, 3), 2); /* never all */
    ck_assert_int_eq(s24i_zeros(0.9, 1), 0);
    ck_assert_int_eq(s24i_zeros(1.0 / 3, (int64_t)3 << 40), (int64_t)1 << 40);
    s24i_constraints constraints = {.n = 3, .m = 7};
    ck_assert_int_eq(s24i_most_kept(&constraints, 21), 9);
    constraints = (s24i_constraints){.scope = S24I_SCOPE_ROW, .sparsity = 0.7};
    ck_assert_int_eq(s24i_most_kept(&constraints, 10), 3);
    constraints.scope = S24I_SCOPE_LAYER;
    ck_assert_int_eq(s24i_most_kept(&constraints, 10), 10);
    constraints = (s24i_constraints){0};
    ck_assert_int_eq(s24i_most_kept(&constraints, 10), 10);
}
END_TEST

/* ---- project ---- */

typedef struct {
    const s24i_constraints *constraints;
    const float *w, *norm;
    int64_t rows, cols;
    uint8_t *mask;
} projection;

static s24_status project_stage(void *arg, const s24i_run *run)
{
    projection *p = arg;
    return s24i_project(run, p->constraints, p->w, p->norm, p->rows, p->cols, p->mask);
}

static void wanted_mask(const projection *p, uint8_t *mask)
{
    int64_t size = p->rows * p->cols, m = p->constraints->m;
    float *score = GRAB(float, size);
    for (int64_t i = 0; i < size; i++)
        score[i] = fabsf(p->w[i]) * (p->norm ? p->norm[i % p->cols] : 1);
    if (p->constraints->n) {
        for (int64_t i = 0; i < size; i += m)
            sorted_mask(score + i, m, p->constraints->n, mask + i);
    } else if (p->constraints->scope == S24I_SCOPE_ROW) {
        for (int64_t i = 0; i < size; i += p->cols)
            sorted_mask(score + i, p->cols, p->cols - s24i_zeros(p->constraints->sparsity, p->cols),
                        mask + i);
    } else {
        sorted_mask(score, size, size - s24i_zeros(p->constraints->sparsity, size), mask);
    }
}

static void check_projection(const s24i_constraints *constraints, int64_t rows, int64_t cols,
                             const float *norm, const float *w)
{
    int mark = naive_count;
    uint8_t *wanted = GRAB(uint8_t, rows * cols);
    projection p = {constraints, w, norm, rows, cols, GRAB(uint8_t, rows * cols)};
    memset(p.mask, 9, (size_t)(rows * cols));
    ck_assert_int_eq(in_arena(project_stage, &p), S24_OK);
    wanted_mask(&p, wanted);
    ck_assert(!memcmp(p.mask, wanted, (size_t)(rows * cols)));
    ck_assert_int_eq(s24i_obeys(constraints, p.mask, rows, cols, "mask"), S24_OK);
    drop_to(mark);
}

static const int64_t shapes[][2] = {{1, 1}, {1, 84}, {5, 168}, {33, 252}, {300, 504}, {1, 70000}};
enum { SHAPES = 6 };

START_TEST(projects)
{
    static const struct {
        int32_t n, m;
    } patterns[] = {{1, 1}, {2, 4}, {1, 4}, {4, 8}, {3, 7}, {12, 12}, {5, 42}};
    static const double sparsities[] = {0, 0.3, 0.5, 0.7, 0.999};
    uint64_t seed = (uint64_t)_i;
    int64_t rows = shapes[_i / 2][0], cols = shapes[_i / 2][1];
    bool ties = _i % 2;
    float *w = GRAB(float, rows *cols), *norm = GRAB(float, cols);
    for (int64_t i = 0; i < rows * cols; i++)
        w[i] = ties ? (float)(below(&seed, 9) - 4) : (float)normal(&seed);
    for (int64_t j = 0; j < cols; j++)
        norm[j] = ties ? (float)below(&seed, 3) : (float)uniform(&seed);
    for (int with = 0; with < 2; with++) {
        for (int p = 0; p < 7; p++)
            if (cols % patterns[p].m == 0)
                check_projection(&(s24i_constraints){.n = patterns[p].n, .m = patterns[p].m}, rows,
                                 cols, with ? norm : NULL, w);
        for (int s = 0; s < 10; s++)
            check_projection(&(s24i_constraints){.scope = s % 2 ? S24I_SCOPE_ROW : S24I_SCOPE_LAYER,
                                                 .sparsity = sparsities[s / 2]},
                             rows, cols, with ? norm : NULL, w);
    }
}
END_TEST

/* ---- check_support ---- */

static s24_status check_edit(const s24i_constraints *constraints, const uint8_t *mask, int64_t rows,
                             int64_t cols, int64_t at, uint8_t value)
{
    uint8_t *copy = GRAB(uint8_t, rows * cols);
    memcpy(copy, mask, (size_t)(rows * cols));
    copy[at] = value;
    return s24i_obeys(constraints, copy, rows, cols, "V");
}

START_TEST(names_the_first_offence)
{
    uint8_t mask[3 * 8] = {1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0};
    s24i_constraints constraints = {.n = 2, .m = 4};
    ck_assert_int_eq(s24i_obeys(&constraints, mask, 3, 8, "V"), S24_OK);
    ck_assert_int_eq(check_edit(&constraints, mask, 3, 8, 12 + 2, 200), S24_E_STATE);
    ck_assert_str_eq(s24i_error_text(), "V: row 1, columns 4 to 7 hold 3 nonzeros, 2:4 allows 2");
    ck_assert_int_eq(check_edit(&constraints, mask, 3, 8, 8, 1), S24_OK); /* fewer than n is fine */

    constraints = (s24i_constraints){.scope = S24I_SCOPE_ROW, .sparsity = 0.5};
    ck_assert_int_eq(s24i_obeys(&constraints, mask, 3, 8, "V"), S24_OK);
    ck_assert_int_eq(check_edit(&constraints, mask, 3, 8, 2, 1), S24_E_STATE);
    ck_assert_str_eq(s24i_error_text(), "V: row 0 holds 3 zeros, the constraint asks for 4");

    constraints = (s24i_constraints){.scope = S24I_SCOPE_LAYER, .sparsity = 16.0 / 24};
    ck_assert_int_eq(s24i_obeys(&constraints, mask, 3, 8, "V"), S24_OK);
    ck_assert_int_eq(check_edit(&constraints, mask, 3, 8, 2, 1), S24_E_STATE);
    ck_assert_str_eq(s24i_error_text(), "V: 15 zeros in all, the constraint asks for 16");

    uint8_t given[3 * 8];
    memset(given, 1, sizeof given);
    given[17] = 0;
    constraints = (s24i_constraints){.mask = given};
    ck_assert_int_eq(s24i_obeys(&constraints, mask, 3, 8, "V"), S24_OK);
    ck_assert_int_eq(check_edit(&constraints, mask, 3, 8, 17, 1), S24_E_STATE);
    ck_assert_str_eq(s24i_error_text(), "V: row 2, column 1 is not in the mask");
    constraints = (s24i_constraints){0};
    memset(mask, 1, sizeof mask);
    ck_assert_int_eq(s24i_obeys(&constraints, mask, 3, 8, "V"), S24_OK);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("project");
    TCase *tcase = new_case(suite, "project");
    tcase_add_loop_test(tcase, keeps_the_largest, 0, KINDS);
    tcase_add_loop_test(tcase, selects_the_largest_in_parallel, 0, 2);
    tcase_add_test(tcase, counts_zeros);
    tcase_add_loop_test(tcase, projects, 0, 2 * SHAPES);
    tcase_add_test(tcase, names_the_first_offence);
    return unit_run(suite);
}
