/* lib/ops/steps/rank.c and lib/ops/linear/norms.c: scores of nodes and norms of outputs, against
 * another program's numbers and the definitions. */
#include "../ops_test.h"

typedef struct {
    s24i_ranking how;
    const float *w;
    int64_t rows, cols;
    const double *r, *a;
    double *score;
} ranking;

static s24_status rank_stage(void *arg, const s24i_run *run)
{
    ranking *k = arg;
    return s24i_rank_nodes(run, &k->how, k->w, k->rows, k->cols, k->r, k->a, k->score);
}

static void rank(s24i_ranking how, const float *w, int64_t rows, int64_t cols, const double *r,
                 const double *a, double *score)
{
    ranking k = {how, w, rows, cols, r, a, score};
    ck_assert_int_eq(in_arena(rank_stage, &k), S24_OK);
}

/* Weights 4 x 3 with zeros; scores by the published classes. */
static const float given_w[12] = {0, 2, 5, 1, 6, 0, 3, 3, 5, 1, 5, 6};
static const double given_r[3] = {1, 2, 5}, given_a[4] = {3, 1, 4, 2};

START_TEST(published_vectors)
{
    static const struct {
        s24i_ranking how;
        double score[4];
    } cases[] = {
        {{S24I_RANK_WPR, 0, 0.5}, {0.3, 0.1, 0.4, 0.2}},
        {{S24I_RANK_WPR, 0.5, 0.5},
         {0.2743489583333333, 0.10572916666666667, 0.357421875, 0.26249999999999996}},
        {{S24I_RANK_MPR, 0, 0},
         {0.27358490566037735, 0.040880503144654086, 0.4276729559748428, 0.2578616352201258}},
        {{S24I_RANK_NORM, 0, 0}, {7.0 / 37, 7.0 / 37, 11.0 / 37, 12.0 / 37}},
    };
    double score[4];
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        rank(cases[c].how, given_w, 4, 3, given_r, given_a, score);
        for (int i = 0; i < 4; i++)
            check_near(score[i], cases[c].score[i], 1e-15);
    }
}
END_TEST

/* Sum 1; the scale of r, and of W for WPR, does not matter; neurons may be permuted; columns and
 * rows of zeros are no NaN. */
START_TEST(properties)
{
    enum { ROWS = 40, COLS = 23 };
    static float w[ROWS * COLS], other[ROWS * COLS];
    static double r[COLS], twice[COLS], a[ROWS], b[ROWS], score[ROWS], again[ROWS];
    uint64_t seed = 11;
    for (int kind = S24I_RANK_NORM; kind <= S24I_RANK_WPR; kind++) {
        s24i_ranking how = {kind, 0.7, 0.3};
        float *numbers = normals(&seed, ROWS * COLS);
        for (int k = 0; k < COLS; k++)
            twice[k] = 4 * (r[k] = (double)below(&seed, 100));
        for (int i = 0; i < ROWS; i++)
            b[ROWS - 1 - i] = a[i] = (double)below(&seed, 50);
        for (int i = 0; i < ROWS * COLS; i++) {
            w[i] = i % COLS == 3 || i / COLS == 5 ? 0 : numbers[i];
            other[(ROWS - 1 - i / COLS) * COLS + i % COLS] =
                kind == S24I_RANK_WPR ? 8 * w[i] : w[i];
        }
        rank(how, w, ROWS, COLS, r, a, score);
        rank(how, other, ROWS, COLS, twice, b, again);
        double sum = 0;
        for (int i = 0; i < ROWS; i++) {
            unit_check(score[i] >= 0);
            sum += score[i];
            check_near(score[i], again[ROWS - 1 - i], 1e-14);
        }
        check_near(sum, 1, 1e-14);
        check_near(score[5], kind == S24I_RANK_WPR ? score[5] : 0, 0);
    }
}
END_TEST

/* Nothing anywhere: all alike. */
START_TEST(nothing_to_tell)
{
    static const float w[12];
    static const double none[4];
    double score[4];
    for (int kind = S24I_RANK_NORM; kind <= S24I_RANK_WPR; kind++) {
        rank((s24i_ranking){kind, 0.5, 0.5}, w, 4, 3, none, none, score);
        for (int i = 0; i < 4; i++)
            check_near(score[i], 0.25, 0);
    }
}
END_TEST

START_TEST(same_bits_for_any_threads)
{
    enum { ROWS = 150, COLS = 60 };
    static double r[COLS], a[ROWS], score[ROWS], first[ROWS];
    uint64_t seed = 3;
    const float *w = normals(&seed, ROWS * COLS);
    for (int k = 0; k < COLS; k++)
        r[k] = (double)below(&seed, 1000) / 7;
    for (int i = 0; i < ROWS; i++)
        a[i] = (double)below(&seed, 1000) / 9;
    for (int way = 0; use_way(way, &seed); way++) {
        rank((s24i_ranking){S24I_RANK_WPR, 0.5, 0.5}, w, ROWS, COLS, r, a, score);
        if (way == 0)
            memcpy(first, score, sizeof first);
        ck_assert_mem_eq(score, first, sizeof first);
    }
}
END_TEST

/* ---- Norms ---- */

typedef struct {
    const s24i_gram *gram;
    const s24_mat *w;
    int64_t cols;
    double *norm;
} norms;

static s24_status norm_stage(void *arg, const s24i_run *run)
{
    const norms *n = arg;
    return s24i_norms(run, n->gram, n->w, n->cols, n->norm);
}

START_TEST(norms_are_those_of_outputs)
{
    enum { TOKENS = 300, COLS = 270, ROWS = 70 };
    static double norm[COLS];
    uint64_t seed = 8;
    float *x = normals(&seed, TOKENS * COLS), *w = normals(&seed, ROWS * COLS);
    s24i_gram gram = gram_of(x, TOKENS, COLS, S24_F64);
    s24_mat mat = s24i_view(w, ROWS, COLS);
    norms n = {&gram, &mat, COLS, norm};
    ck_assert_int_eq(in_arena(norm_stage, &n), S24_OK);
    for (int i = 0; i < ROWS; i++) {
        double sum = 0;
        for (int t = 0; t < TOKENS; t++) {
            double y = 0;
            for (int j = 0; j < COLS; j++)
                y += (double)x[t * COLS + j] * (double)w[i * COLS + j];
            sum += y * y;
        }
        check_near(norm[i], sqrt(sum), 1e-9 * sqrt(sum));
    }
    n.w = NULL;
    ck_assert_int_eq(in_arena(norm_stage, &n), S24_OK);
    for (int j = 0; j < COLS; j++) {
        double sum = 0;
        for (int t = 0; t < TOKENS; t++)
            sum += (double)x[t * COLS + j] * (double)x[t * COLS + j];
        check_near(norm[j], sqrt(sum), 1e-9 * sqrt(sum));
    }
    n.gram = NULL;
    n.w = &mat;
    ck_assert_int_eq(in_arena(norm_stage, &n), S24_OK);
    for (int i = 0; i < ROWS; i++) {
        double sum = 0;
        for (int j = 0; j < COLS; j++)
            sum += (double)w[i * COLS + j] * (double)w[i * COLS + j];
        check_near(norm[i], sqrt(sum), 1e-9 * sqrt(sum));
    }
    s24i_gram_fini(&device, &gram);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rank");
    TCase *tcase = new_case(suite, "rank");
    tcase_add_test(tcase, published_vectors);
    tcase_add_test(tcase, properties);
    tcase_add_test(tcase, nothing_to_tell);
    tcase_add_test(tcase, same_bits_for_any_threads);
    tcase_add_test(tcase, norms_are_those_of_outputs);
    return unit_run(suite);
}
