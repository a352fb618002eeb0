/* lib/api/{problem,constraints,loss,check}.c: what is asked, and whether it is obeyed. */
#include "api_test.h"
#include <stdio.h>

enum { ROWS = 9, COLS = 40, TOKENS = 300 };

/* A problem with everything around it. */
typedef struct bench {
    unit_heap heap;
    s24_ctx *ctx;
    api_mat w, x, t;
    s24_gram *gram;
    s24_cross *cross;
    s24_problem *problem;
} bench;

static void set_up(bench *b)
{
    b->ctx = api_ctx(&b->heap, 2);
    b->w = api_filled(ROWS, COLS, S24_F32, PADDED, 40);
    b->x = api_filled(TOKENS, COLS, S24_F32, ROW_MAJOR, 41);
    b->t = api_filled(TOKENS, ROWS, S24_F32, COL_MAJOR, 42);
    ok(s24_gram_create(b->ctx, COLS, S24_F64, &b->gram));
    ok(s24_cross_create(b->gram, ROWS, &b->cross));
    ok(s24_gram_add_targets(b->gram, &b->x.mat, NULL, &b->cross, &b->t.mat, 1));
    ok(s24_problem_create(b->ctx, &b->w.mat, &b->problem));
}

static void tear_down(bench *b)
{
    s24_problem_destroy(b->problem);
    s24_cross_destroy(b->cross);
    s24_gram_destroy(b->gram);
    api_free(&b->t);
    api_free(&b->x);
    api_free(&b->w);
    api_done(b->ctx, &b->heap);
}

/* ---- Losses, recomputed from X, T, W and V ---- */

/* Entry (r, i) of X A^T. */
static double output(const api_mat *x, const double *a, int64_t r, int64_t i)
{
    double sum = 0;

    for (int64_t j = 0; j < COLS; j++)
        sum += x->value[r * COLS + j] * a[i * COLS + j];
    return sum;
}

static void naive_loss(const bench *b, const double *v, double blend, double *loss, double *norm)
{
    *loss = *norm = 0;
    for (int64_t r = 0; r < TOKENS; r++)
        for (int64_t i = 0; i < ROWS; i++) {
            double target = (1 - blend) * output(&b->x, b->w.value, r, i) +
                            (blend ? blend * b->t.value[r * ROWS + i] : 0);
            double difference = output(&b->x, v, r, i) - target;
            *loss += difference * difference;
            *norm += target * target;
        }
}

/* _i: type and layout of the candidate. */
START_TEST(loss_equals_naive_loss)
{
    static const int32_t types[] = {S24_F16, S24_BF16, S24_F32, S24_F64};
    bench b;
    double loss, relative, want, norm;

    set_up(&b);
    api_mat v = api_filled(ROWS, COLS, types[_i % 4], _i / 4, 43);
    ok(s24_problem_set_gram(b.problem, b.gram));
    naive_loss(&b, v.value, 0, &want, &norm);
    for (int twice = 0; twice < 2; twice++) {
        ok(s24_problem_loss(b.problem, &v.mat, &loss, &relative));
        ck_assert_double_eq_tol(loss, want, 1e-10 * want);
        ck_assert_double_eq_tol(relative, want / norm, 1e-10 * relative);
    }
    for (int k = 0; k <= 4; k++) {
        ok(s24_problem_set_target(b.problem, b.cross, k / 4.0));
        naive_loss(&b, v.value, k / 4.0, &want, &norm);
        ok(s24_problem_target_loss(b.problem, &v.mat, &loss, &relative));
        ck_assert_double_eq_tol(loss, want, 1e-9 * want);
        ck_assert_double_eq_tol(relative, want / norm, 1e-9 * relative);
    }
    api_free(&v);
    tear_down(&b);
}
END_TEST

START_TEST(loss_follows_the_gram)
{
    bench b;
    double first, second, plain, relative;
    s24_mat zero = api_empty(ROWS, COLS, S24_F32, ROW_MAJOR);

    set_up(&b);
    ok(s24_problem_loss(b.problem, &zero, &plain, &relative));
    double squares = 0;
    for (int i = 0; i < ROWS * COLS; i++)
        squares += b.w.value[i] * b.w.value[i];
    ck_assert_double_eq_tol(plain, squares, 1e-12 * squares);
    ck_assert_double_eq(relative, 1);
    ok(s24_problem_set_gram(b.problem, b.gram));
    ok(s24_problem_loss(b.problem, &zero, &first, &relative));
    ck_assert_double_eq_tol(relative, 1, 1e-12);
    ok(s24_gram_add_targets(b.gram, &b.x.mat, NULL, &b.cross, &b.t.mat, 1));
    ok(s24_problem_loss(b.problem, &zero, &second, &relative));
    ck_assert_double_eq_tol(second, 2 * first, 1e-9 * second);
    ck_assert_double_eq_tol(relative, 1, 1e-12);
    ok(s24_problem_set_gram(b.problem, NULL));
    ok(s24_problem_loss(b.problem, &zero, &first, NULL));
    ck_assert_double_eq(first, plain);
    ok(s24_problem_loss(b.problem, &b.w.mat, &first, &relative));
    ck_assert(first == 0 && relative == 0);
    ok(s24_problem_loss(b.problem, &zero, NULL, NULL));
    free(zero.data);
    tear_down(&b);
}
END_TEST

START_TEST(nothing_wanted)
{
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 1);
    float w[8] = {0}, v[8] = {0};
    s24_mat mat = api_view(w, 2, 4, S24_F32), candidate = api_view(v, 2, 4, S24_F32);
    s24_problem *problem;
    double relative;

    ok(s24_problem_create(ctx, &mat, &problem));
    ok(s24_problem_loss(problem, &candidate, NULL, &relative));
    ck_assert_double_eq(relative, 0);
    v[3] = 1;
    ok(s24_problem_loss(problem, &candidate, NULL, &relative));
    ck_assert(isinf(relative));
    s24_problem_destroy(problem);
    api_done(ctx, &heap);
}
END_TEST

START_TEST(loss_refuses)
{
    bench b;
    s24_gram *empty;
    double loss = 7;

    set_up(&b);
    api_mat v = api_filled(ROWS, COLS, S24_F32, ROW_MAJOR, 44);
    ok(s24_gram_create(b.ctx, COLS, S24_F32, &empty));
    fails(s24_problem_target_loss(b.problem, &v.mat, &loss, NULL), S24_E_STATE,
          "the problem has no target");
    ok(s24_problem_set_target(b.problem, b.cross, .5));
    fails(s24_problem_target_loss(b.problem, &v.mat, &loss, NULL), S24_E_STATE,
          "the target hangs on a gram, and the problem has none");
    ok(s24_problem_set_gram(b.problem, empty));
    fails(s24_problem_loss(b.problem, &v.mat, &loss, NULL), S24_E_STATE, "gram has no rows yet");
    fails(s24_problem_target_loss(b.problem, &v.mat, &loss, NULL), S24_E_STATE,
          "the target hangs on another gram than the problem's");
    ok(s24_gram_add(empty, &b.x.mat, NULL));
    ok(s24_gram_merge(b.gram, empty));
    ok(s24_problem_set_gram(b.problem, b.gram));
    fails(s24_problem_target_loss(b.problem, &v.mat, &loss, NULL), S24_E_STATE,
          "half 1 of the gram holds 344 rows and that of the target 172");
    v.mat.cols--;
    fails(s24_problem_loss(b.problem, &v.mat, &loss, NULL), S24_E_SHAPE,
          "candidate is 9 x 39, but must be 9 x 40");
    v.mat.cols++;
    api_set(&v.mat, 4, 5, -INFINITY);
    fails(s24_problem_loss(b.problem, &v.mat, &loss, NULL), S24_E_NONFINITE,
          "candidate: row 4, column 5 is -inf");
    fails(s24_problem_check(b.problem, &v.mat), S24_E_NONFINITE, "candidate: row 4, column 5");
    api_set(&v.mat, 4, 5, 0);
    api_set(&b.w.mat, 1, 2, NAN);
    fails(s24_problem_loss(b.problem, &v.mat, &loss, NULL), S24_E_NONFINITE, "w: row 1, column 2");
    ck_assert_double_eq(loss, 7);
    s24_gram_destroy(empty);
    api_free(&v);
    tear_down(&b);
}
END_TEST

/* ---- Constraints ---- */

START_TEST(setters_refuse)
{
    bench b;
    s24_gram *gram;
    s24_cross *cross;
    s24_problem *problem;
    s24_mat bad;

    set_up(&b);
    bad = b.w.mat;
    bad.dtype = S24_I8;
    fails(s24_problem_create(b.ctx, &bad, &problem), S24_E_DTYPE, "w has dtype S24_I8");
    bad = b.w.mat;
    bad.rows = 0;
    fails(s24_problem_create(b.ctx, &bad, &problem), S24_E_SHAPE, "w is 0 x 40");
    fails(s24_problem_create(b.ctx, &b.w.mat, NULL), S24_E_ARG, "out is NULL");
    ok(s24_gram_create(b.ctx, COLS + 1, S24_F32, &gram));
    ok(s24_cross_create(gram, COLS, &cross));
    fails(s24_problem_set_gram(b.problem, gram), S24_E_SHAPE, "gram has dim 41 and w 40 columns");
    fails(s24_problem_set_target(b.problem, cross, .5), S24_E_SHAPE,
          "cross is 40 x 41 and w 9 x 40");
    fails(s24_problem_set_target(b.problem, b.cross, 1.5), S24_E_ARG, "blend is 1.5");
    fails(s24_problem_set_target(b.problem, b.cross, NAN), S24_E_ARG, "blend is");
    fails(s24_problem_set_pattern(b.problem, 0, 4), S24_E_ARG, "pattern 0:4");
    fails(s24_problem_set_pattern(b.problem, 5, 4), S24_E_ARG, "1 <= n <= m <= 64");
    fails(s24_problem_set_pattern(b.problem, 1, 65), S24_E_ARG, "pattern 1:65");
    fails(s24_problem_set_pattern(b.problem, 1, 3), S24_E_SHAPE,
          "the 40 columns of w are not a multiple of 3");
    fails(s24_problem_set_sparsity(b.problem, 1, "row"), S24_E_ARG, "sparsity is 1");
    fails(s24_problem_set_sparsity(b.problem, NAN, "row"), S24_E_ARG, "sparsity is");
    fails(s24_problem_set_sparsity(b.problem, .5, "rows"), S24_E_ARG, "scope is \"rows\"");
    fails(s24_problem_set_sparsity(b.problem, .5, NULL), S24_E_ARG, "scope is NULL");
    fails(s24_problem_set_mask(b.problem, &b.w.mat), S24_E_DTYPE, "mask has dtype S24_F32");
    fails(s24_problem_set_importance(b.problem, &b.x.mat), S24_E_SHAPE, "importance is 300 x 40");
    fails(s24_problem_set_previous(b.problem, &b.w.mat, NULL, NULL), S24_E_SHAPE,
          "w is 9 x 40, but must be 40 x 40");
    s24_cross_destroy(cross);
    s24_gram_destroy(gram);
    tear_down(&b);
}
END_TEST

/* mlprank reads the matrix before, and says so where there is none. */
START_TEST(the_matrix_before)
{
    bench b;
    s24_solver *solver;
    s24_result *result;
    s24_mat scores, kept, out;
    double norms[COLS], r[7] = {1, 1, 1, 1, 1, 1, 1};

    set_up(&b);
    api_mat before = api_filled(COLS, 7, S24_F32, ROW_MAJOR, 5);
    ok(s24_problem_set_gram(b.problem, b.gram));
    ok(s24_problem_parse(b.problem, "columns 8 kept"));
    fails(s24_gram_norms(b.gram, &before.mat, norms), S24_E_SHAPE, "w is 40 x 7");
    fails(s24_gram_norms(b.gram, NULL, NULL), S24_E_ARG, "norms is NULL");
    ok(s24_gram_norms(b.gram, NULL, norms));
    ok(s24_solver_create(b.ctx, "mlprank", &solver));
    ok(s24_solver_parse(solver, "score=wpr,refit=0,chain=1"));
    fails(s24_solve(solver, b.problem, &result), S24_E_STATE, "s24_problem_set_previous()");
    ok(s24_problem_set_previous(b.problem, &before.mat, r, norms));
    ok(s24_solve(solver, b.problem, &result));
    ok(s24_result_matrix(result, "scores", &scores));
    ok(s24_result_matrix(result, "kept", &kept));
    ok(s24_result_matrix(result, "output_scores", &out));
    ck_assert_int_eq(out.cols, ROWS);
    double sum = 0, least = 1, most = 0;
    for (int j = 0, k = 0; j < COLS; j++) { /* gamma=0: nothing but norms */
        double score = ((const double *)scores.data)[j];
        bool stays = k < 8 && ((const int32_t *)kept.data)[k] == j;
        k += stays;
        sum += norms[j];
        least = stays && score < least ? score : least;
        most = !stays && score > most ? score : most;
    }
    ck_assert_double_ge(least, most);
    for (int j = 0; j < COLS; j++)
        ck_assert_double_eq_tol(((const double *)scores.data)[j], norms[j] / sum, 1e-12);
    s24_result_destroy(result);
    r[3] = -1;
    fails(s24_solve(solver, b.problem, &result), S24_E_ARG, "scores of the previous: row 0");
    r[3] = NAN;
    fails(s24_solve(solver, b.problem, &result), S24_E_NONFINITE, "scores of the previous: row 0");
    r[3] = 1;
    api_set(&before.mat, 2, 1, INFINITY);
    fails(s24_solve(solver, b.problem, &result), S24_E_NONFINITE, "previous: row 2, column 1");
    ok(s24_problem_set_previous(b.problem, NULL, NULL, NULL));
    fails(s24_solve(solver, b.problem, &result), S24_E_STATE, "score=column");
    ok(s24_solver_set_str(solver, "score", "column"));
    ok(s24_solve(solver, b.problem, &result));
    s24_result_destroy(result);
    s24_solver_destroy(solver);
    api_free(&before);
    tear_down(&b);
}
END_TEST

static const struct {
    const char *text;
    s24_status status;
    const char *part; /* of the error, or the record's canonical text */
} constraint_table[] = {
    {"2:4", S24_OK, "2:4"},
    {" 2 : 4 ", S24_OK, "2:4"},
    {"4:8", S24_OK, "4:8"},
    {"1:1", S24_OK, "1:1"},
    {"1:1t", S24_OK, "1:1t"},
    {"columns 25%", S24_OK, "columns 30 kept"},
    {"columns 99.9%", S24_OK, "columns 1 kept"},
    {" columns 7 kept ", S24_OK, "columns 7 kept"},
    {"heads 3 kept of 8", S24_OK, "heads 3 kept of 8"},
    {"groups 50 % of 4", S24_OK, "groups 2 kept of 4"},
    {"columns 41 kept", S24_E_OPTION, "41 columns kept: there are 40, and at least 1"},
    {"columns 0 kept", S24_E_OPTION, "0 columns kept"},
    {"columns 25", S24_E_OPTION, "expected \"kept\" at \"\""},
    {"columns", S24_E_OPTION, "expected a share in percent, or how many are kept at \"\""},
    {"columns 100%", S24_E_OPTION, "sparsity is 1"},
    {"heads 3 kept", S24_E_OPTION, "expected \"of\" at \"\""},
    {"heads 3 kept of 9", S24_E_SHAPE,
     "9 heads: the 40 columns of w cannot be cut into so many equal"
     " parts; 8 is possible"},
    {"heads 9 kept of 8", S24_E_OPTION, "9 heads kept: there are 8"},
    {"columns 25%+heads 1 kept of 2", S24_E_OPTION, "a second term of whole columns, heads"},
    {"colums 25%", S24_E_OPTION, "did you mean \"columns 25%\"?): unknown word \"colums\""},
    {"2:4 dense 12%", S24_OK, "2:4 dense 4"},
    {" 2:4t  dense 8 ", S24_E_SHAPE, "pattern 2:4t: the 9 rows of w"},
    {"1:3t dense 4", S24_OK, "1:3t dense 4"},
    {"2:4 dense", S24_E_OPTION, "expected a share in percent, or a number of columns at \"\""},
    {"2:4 dense 0", S24_E_SHAPE, "at least 4 and at most 36 can be dense; the nearest is 4"},
    {"2:4 dense 1%", S24_E_SHAPE, "dense 0: the other columns of w's 40 have to be groups of 4"},
    {"2:4 dense 99%", S24_E_SHAPE, "the nearest is 36"},
    {"2:4 dense 100%", S24_E_OPTION, "sparsity is 1"},
    {"2:4 dense 10", S24_E_SHAPE, "the nearest is 12"},
    {"2:3 dense 5", S24_E_SHAPE, "at least 1 and at most 37 can be dense; the nearest is 4"},
    {"2:4 dens 12%", S24_E_OPTION, "expected \"+\" at \"dens"},
    {"dense 12%", S24_E_OPTION, "unknown word \"dense\""},
    {"dictionary 20%", S24_OK, "dictionary 20%"},
    {"dictionary 20 % + 2:4", S24_OK, "dictionary 20%+2:4"},
    {" dictionary 8 : 3 ", S24_OK, "dictionary 8:3"},
    {"dictionary 8:4+2:4", S24_OK, "dictionary 8:4+2:4"},
    {"dictionary 9:4+2:4", S24_E_SHAPE, "2:4 needs groups of 4 atoms; 12:6 is possible"},
    {"2:4+dictionary 20%", S24_E_OPTION, "as in \"dictionary 20%+2:4\""},
    {"dictionary 8:9", S24_E_OPTION, "a row uses 1 to 8 of the atoms"},
    {"dictionary 0:1", S24_E_OPTION, "dictionary of 0 atoms"},
    {"dictionary 20", S24_E_OPTION, "expected \":\" or \"%\""},
    {"dictionary 99%", S24_E_SHAPE, "at most 86.2% of the bytes of 9 x 40 can be saved"},
    {"dictionary 60%+2:4", S24_E_SHAPE, "at most 49.9% of the bytes"},
    {"dictionary 20%+dictionary 20%", S24_E_OPTION, "a second dictionary"},
    {"1:1 blocks 1", S24_OK, "1:1 blocks 1"},
    {"2:4 blocks 8", S24_E_SHAPE, "no multiple of 4 divides both 9 rows and 40 columns"},
    {"1:2 blocks", S24_E_OPTION, "expected the size of a block"},
    {"1:1 blocks 3", S24_E_SHAPE, "divides 9 rows and 40 columns; 1 is possible"},
    {"row 50%+1:1t", S24_OK, "1:1t+row 50%"},
    {"2:5t", S24_E_SHAPE, "pattern 2:5t: the 9 rows of w are not a multiple of 5"},
    {"1:1tt", S24_E_OPTION, "expected \"+\" at \"tt\""},
    {"1:1t 4", S24_E_OPTION, "expected \"+\" at \"4\""},
    {"2:4x", S24_E_OPTION, "expected \"+\" at \"x\""},
    {"70%", S24_OK, "70%"},
    {"layer 29 %", S24_OK, "29%"},
    {"\trow\n70%", S24_OK, "row 70%"},
    {"33.3%", S24_OK, "33.3%"},
    {"0.5%", S24_OK, "0.5%"},
    {"5%", S24_OK, "5%"},
    {"row 12.25%", S24_OK, "row 12.25%"},
    {"0%", S24_OK, "0%"},
    {"2:4+50%", S24_OK, "2:4+50%"},
    {"row 50% + 2:4", S24_OK, "2:4+row 50%"},
    {"2:3", S24_E_SHAPE, "constraints \"2:3\": pattern 2:3: the 40 columns"},
    {"4:2", S24_E_OPTION, "pattern 4:2"},
    {"0:4", S24_E_OPTION, "pattern 0:4"},
    {"2:128", S24_E_OPTION, "pattern 2:128"},
    {"2:4:8", S24_E_OPTION, "expected \"+\" at \":8\""},
    {"2:", S24_E_OPTION, "two integers"},
    {"2.5:4", S24_E_OPTION, "two integers"},
    {"2:99999999999999999999", S24_E_OPTION, "two integers"},
    {"2 4", S24_E_OPTION, "expected \":\" or \"%\" at \"4\""},
    {"70", S24_E_OPTION, "(did you mean \"70%\"?): expected \":\" or \"%\" at \"\"; terms"},
    {"0.5", S24_E_OPTION, "(did you mean \"50%\"?)"},
    {"0.29+int4", S24_E_OPTION, "did you mean \"29%+int4\"?"},
    {"0", S24_E_OPTION, "expected \":\" or \"%\" at \"\""},
    {"170", S24_E_OPTION, "expected \":\" or \"%\" at \"\""},
    {"2/4", S24_E_OPTION, "expected \":\" or \"%\" at \"/4\"; terms are"},
    {"row 70", S24_E_OPTION, "did you mean \"row 70%\"?): expected \"%\" at"},
    {"row 2:4", S24_E_OPTION, "expected \"%\" at \":4\""},
    {"-5%", S24_E_OPTION, "expected a number at \"-5%\""},
    {"100%", S24_E_OPTION, "sparsity is 1"},
    {"7.0.0%", S24_E_OPTION, "number of percent"},
    {"2:4+", S24_E_OPTION, "expected a number at \"\""},
    {"1:99999999999999999999", S24_E_OPTION, "two integers at \"9999"},
    {"2:4 1:4", S24_E_OPTION, "expected \"+\" at \"1:4\""},
    {"2:4+4:8", S24_E_OPTION, "a second pattern, 4:8"},
    {"70%+row 10%", S24_E_OPTION, "a second sparsity, 10%"},
    {"rwo 70%", S24_E_OPTION, "did you mean \"row 70%\"?): unknown word \"rwo\";"},
    {"zebra", S24_E_OPTION, "unknown word \"zebra\"; terms are \"2:4\""},
    {"w4a16", S24_E_OPTION, "unknown word \"w4a16\"; terms are"},
    {"INT4", S24_E_OPTION, "did you mean \"int4\"?): unknown word \"INT4\"; terms"},
    {"unstructured", S24_E_OPTION, "unknown word \"unstructured\"; terms are"},
    {"int4+g128", S24_E_OPTION,
     "\"g\" is not a term of its own: it follows a grid without \"+\"; terms"},
    {"int4+sym", S24_E_OPTION, "\"sym\" is not a term of its own"},
    {"int4 group=128", S24_E_OPTION, "(did you mean \"int4 g128\"?): unknown word \"group\""},
    {"int4 groupsize 128", S24_E_OPTION, "did you mean \"int4 g128\"?"},
    {"int4 g=128", S24_E_OPTION, "expected a group size at \"=128\"; terms are"},
    {"mask", S24_E_OPTION, "s24_problem_set_mask()"},
    {"int4", S24_OK, "int4"},
    {"int4 asym", S24_OK, "int4"},
    {" int 3  sym", S24_OK, "int3 sym"},
    {"int4 g128", S24_OK, "int4 g128"},
    {"int4 g64 sym", S24_OK, "int4 sym g64"},
    {"int8 real", S24_OK, "int8 real"},
    {"rank 64", S24_OK, "rank 64"},
    {"int4 g128+2:4", S24_OK, "2:4+int4 g128"},
    {"rank 8 + int4 + row 12.5%", S24_OK, "row 12.5%+int4+rank 8"},
    {"int1", S24_E_OPTION, "grid of 1 bits: must be 2 to 8"},
    {"int9", S24_E_OPTION, "grid of 9 bits"},
    {"int", S24_E_OPTION, "expected a number of bits"},
    {"int4 g0", S24_E_OPTION, "a group holds at least one input"},
    {"int4 g", S24_E_OPTION, "expected a group size"},
    {"int4 g99999999999", S24_E_OPTION, "group of 99999999999 inputs"},
    {"int4 g8 g8", S24_E_OPTION, "a second group size"},
    {"int4 sym real", S24_E_OPTION, "a second scheme, real"},
    {"int4 smy", S24_E_OPTION, "did you mean \"int4 sym\"?): unknown word \"smy\""},
    {"int4+int3", S24_E_OPTION, "a second grid, int3"},
    {"rank 0", S24_E_OPTION, "rank is 0, but must be 1"},
    {"rank", S24_E_OPTION, "expected a rank"},
    {"rank 4+rank 4", S24_E_OPTION, "a second rank, 4"},
};

/* Constraints that the canonical text shows through a refusal: nobody honours all of them. */
static bool refused(const char *text)
{
    return strchr(text, '+') || strstr(text, "int") || strstr(text, "rank") ||
           strstr(text, "kept") || strstr(text, "dictionary") || strstr(text, "blocks");
}

/* magnitude takes one of pattern, sparsity and mask only. */
START_TEST(constraints_are_parsed)
{
    const char *text = constraint_table[_i].text, *part = constraint_table[_i].part;
    bench b;
    s24_solver *solver;
    s24_result *result = NULL;
    const char *canonical;

    set_up(&b);
    ok(s24_solver_create(b.ctx, "magnitude", &solver));
    ok(s24_problem_set_pattern(b.problem, 1, 2));
    if (constraint_table[_i].status) {
        fails(s24_problem_parse(b.problem, text), constraint_table[_i].status, part);
        ok(s24_solve(solver, b.problem, &result));
        part = "1:2"; /* as it was */
    } else {
        ok(s24_problem_parse(b.problem, text));
        if (refused(part)) {
            fails(s24_solve(solver, b.problem, &result), S24_E_UNSUPPORTED,
                  strchr(part, '+') && !strstr(part, "int") && !strstr(part, "rank") &&
                          !strstr(part, "dictionary")
                      ? "at once"
                      : "magnitude cannot honour");
        } else {
            ok(s24_solve(solver, b.problem, &result));
        }
    }
    ck_assert_str_eq(s24_problem_constraints(b.problem), part);
    if (result) {
        ok(s24_result_str(result, "constraints", &canonical));
        ck_assert_str_eq(canonical, part);
        ok(s24_problem_check_result(b.problem, result));
    }
    s24_result_destroy(result);
    s24_solver_destroy(solver);
    tear_down(&b);
}
END_TEST

START_TEST(empty_text_clears)
{
    bench b;
    uint8_t zeros[ROWS * COLS] = {0};
    s24_mat mask = api_view(zeros, ROWS, COLS, S24_U8);

    set_up(&b);
    ck_assert_str_eq(s24_problem_constraints(b.problem), "");
    ok(s24_problem_set_mask(b.problem, &mask));
    ok(s24_problem_set_pattern(b.problem, 1, 4));
    const char *text = s24_problem_constraints(b.problem);
    ck_assert_str_eq(text, "1:4+mask");
    ck_assert_ptr_eq(s24_problem_constraints(b.problem), text);
    fails(s24_problem_check(b.problem, &b.w.mat), S24_E_STATE, "candidate: row 0, columns 0 to 3");
    ok(s24_problem_parse(b.problem, " "));
    ok(s24_problem_check(b.problem, &b.w.mat));
    ok(s24_problem_set_mask(b.problem, &mask));
    fails(s24_problem_check(b.problem, &b.w.mat), S24_E_STATE,
          "row 0, column 0 is not in the mask");
    ok(s24_problem_parse(b.problem, NULL));
    ok(s24_problem_check(b.problem, &b.w.mat));
    ok(s24_problem_set_mask(b.problem, &mask));
    ok(s24_problem_set_mask(b.problem, NULL));
    ok(s24_problem_check(b.problem, &b.w.mat));
    tear_down(&b);
}
END_TEST

/* _i: the scheme. Steps of .3 in groups of 16, the last one of 8. */
START_TEST(values_on_a_grid)
{
    static const char *const schemes[] = {"asym", "sym", "real"};
    static const double off[] = {0, 0, 0.1};
    bench b;

    set_up(&b);
    for (int k = 0; k < 4; k++) {
        static const int32_t types[] = {S24_F16, S24_BF16, S24_F32, S24_F64};
        s24_mat v = api_empty(ROWS, COLS, types[k], ROW_MAJOR);
        for (int64_t i = 0; i < ROWS * COLS; i++)
            api_set(&v, i / COLS, i % COLS, (float)(.3 * (double)(i * 5 % 8 - 4) + off[_i]));
        ok(s24_problem_set_grid(b.problem, 3, 16, schemes[_i]));
        ok(s24_problem_check(b.problem, &v));
        ok(s24_problem_set_grid(b.problem, 2, 16, schemes[_i]));
        fails(s24_problem_check(b.problem, &v), S24_E_STATE,
              "candidate: row 0, columns 0 to 15 are not on a grid of 4 levels");
        ok(s24_problem_set_grid(b.problem, 3, 16, schemes[_i]));
        api_set(&v, 3, 33, .3 * 1.5 + off[_i]);
        fails(s24_problem_check(b.problem, &v), S24_E_STATE, "row 3, columns 32 to 39");
        free(v.data);
    }
    fails(s24_problem_set_grid(b.problem, 9, 0, "sym"), S24_E_ARG, "grid of 9 bits");
    fails(s24_problem_set_grid(b.problem, 4, -1, "sym"), S24_E_ARG, "group of -1 inputs");
    fails(s24_problem_set_grid(b.problem, 4, 0, "round"), S24_E_ARG, "scheme is \"round\"");
    fails(s24_problem_set_grid(b.problem, 4, 0, NULL), S24_E_ARG, "scheme is NULL");
    fails(s24_problem_set_rank(b.problem, 0), S24_E_ARG, "rank is 0");
    ok(s24_problem_set_rank(b.problem, 2));
    fails(s24_problem_check(b.problem, &b.w.mat), S24_E_UNSUPPORTED, "only a whole result");
    tear_down(&b);
}
END_TEST

/* A symmetric grid reaches one step further down than up. */
START_TEST(symmetric_means_symmetric)
{
    bench b;
    float v[ROWS * COLS] = {-4, 3, 1};
    s24_mat view = api_view(v, ROWS, COLS, S24_F32);

    set_up(&b);
    ok(s24_problem_parse(b.problem, "int3 sym"));
    ok(s24_problem_check(b.problem, &view));
    v[3] = 4;
    fails(s24_problem_check(b.problem, &view), S24_E_STATE, "row 0, columns 0 to 39");
    v[0] = -3;
    ok(s24_problem_check(b.problem, &view)); /* by a scale below 0 */
    v[0] = 0;
    ok(s24_problem_parse(b.problem, "int3"));
    v[3] = 7;
    ok(s24_problem_check(b.problem, &view));
    v[3] = 8;
    fails(s24_problem_check(b.problem, &view), S24_E_STATE, "row 0");
    tear_down(&b);
}
END_TEST

START_TEST(check_names_the_place)
{
    bench b;
    double v[ROWS * COLS] = {0};
    uint8_t kept[COLS][ROWS] = {{0}}; /* by columns */
    s24_mat candidate = api_view(v, ROWS, COLS, S24_F64),
            mask = api_view(kept, ROWS, COLS, S24_BOOL);

    set_up(&b);
    mask.row_stride = 1;
    mask.col_stride = ROWS;
    ok(s24_problem_parse(b.problem, "2:4"));
    ok(s24_problem_check(b.problem, &candidate));
    v[3 * COLS + 8] = v[3 * COLS + 9] = 1e-300; /* not zero, though it would be in f32 */
    ok(s24_problem_check(b.problem, &candidate));
    v[3 * COLS + 11] = 1e-300;
    fails(s24_problem_check(b.problem, &candidate), S24_E_STATE,
          "s24_problem_check: candidate: row 3, columns 8 to 11");
    ok(s24_problem_parse(b.problem, "row 95%"));
    fails(s24_problem_check(b.problem, &candidate), S24_E_STATE, "row 3 holds 37 zeros");
    ok(s24_problem_parse(b.problem, "99.5%"));
    fails(s24_problem_check(b.problem, &candidate), S24_E_STATE, "357 zeros in all");
    ok(s24_problem_parse(b.problem, ""));
    ok(s24_problem_set_mask(b.problem, &mask));
    kept[8][3] = kept[9][3] = 1;
    fails(s24_problem_check(b.problem, &candidate), S24_E_STATE,
          "row 3, column 11 is not in the mask");
    kept[11][3] = 2;
    ok(s24_problem_check(b.problem, &candidate));
    tear_down(&b);
}
END_TEST

void api_problem_tests(Suite *suite)
{
    TCase *all = tcase_create("problem");

    tcase_add_loop_test(all, loss_equals_naive_loss, 0, 4 * LAYOUTS);
    tcase_add_test(all, loss_follows_the_gram);
    tcase_add_test(all, nothing_wanted);
    tcase_add_test(all, loss_refuses);
    tcase_add_test(all, setters_refuse);
    tcase_add_test(all, the_matrix_before);
    tcase_add_loop_test(all, constraints_are_parsed, 0,
                        sizeof constraint_table / sizeof *constraint_table);
    tcase_add_test(all, empty_text_clears);
    tcase_add_test(all, check_names_the_place);
    tcase_add_loop_test(all, values_on_a_grid, 0, 3);
    tcase_add_test(all, symmetric_means_symmetric);
    suite_add_tcase(suite, all);
}
