/* A layer with everything around it, on an allocator that knows its peak: what the tests of solving
 * share. */
#ifndef S24_TESTS_API_BENCH_H
#define S24_TESTS_API_BENCH_H
#include "api_test.h"

enum { ROWS = 48, COLS = 96, TOKENS = 600, SIZE = ROWS * COLS };

/* ---- An allocator that knows its peak and can refuse ---- */

typedef struct counter {
    _Atomic int64_t bytes, peak, calls;
    int64_t refuse;
} counter;

static inline void *counting_alloc(void *user, size_t size, size_t align)
{
    counter *c = user;
    void *block;

    if (++c->calls == c->refuse || posix_memalign(&block, align, size))
        return NULL;
    int64_t now = c->bytes += (int64_t)size;
    if (now > c->peak)
        c->peak = now;
    return block;
}

static inline void counting_free(void *user, void *block, size_t size)
{
    ((counter *)user)->bytes -= (int64_t)size;
    free(block);
}

/* ---- A problem with everything around it ---- */

typedef struct bench {
    counter count;
    s24_ctx *ctx;
    api_mat w, x, t, importance;
    uint8_t kept[SIZE];
    s24_mat mask;
    s24_gram *gram;
    s24_cross *cross;
    s24_problem *problem;
    s24_solver *solver;
} bench;

static inline void set_up(bench *b, const char *solver, int64_t threads)
{
    memset(b, 0, sizeof *b);
    ok(s24_ctx_create_with(counting_alloc, counting_free, &b->count, &b->ctx));
    ok(s24_ctx_set_int(b->ctx, "threads", threads));
    b->w = api_filled(ROWS, COLS, S24_F32, ROW_MAJOR, 50);
    b->x = api_filled(TOKENS, COLS, S24_F32, ROW_MAJOR, 51);
    b->t = api_filled(TOKENS, ROWS, S24_F32, ROW_MAJOR, 52);
    b->importance = api_filled(ROWS, COLS, S24_F16, PADDED, 53);
    for (int i = 0; i < SIZE; i++) {
        api_set(&b->importance.mat, i / COLS, i % COLS, fabs(b->importance.value[i]));
        b->kept[i] = i % 3 != 0;
    }
    b->mask = api_view(b->kept, ROWS, COLS, S24_U8);
    ok(s24_gram_create(b->ctx, COLS, S24_F32, &b->gram));
    ok(s24_cross_create(b->gram, ROWS, &b->cross));
    ok(s24_gram_add_targets(b->gram, &b->x.mat, NULL, &b->cross, &b->t.mat, 1));
    ok(s24_problem_create(b->ctx, &b->w.mat, &b->problem));
    ok(s24_problem_set_gram(b->problem, b->gram));
    ok(s24_problem_set_pattern(b->problem, 2, 4));
    ok(s24_solver_create(b->ctx, solver, &b->solver));
}

static inline void tear_down(bench *b)
{
    s24_solver_destroy(b->solver);
    s24_problem_destroy(b->problem);
    s24_cross_destroy(b->cross);
    s24_gram_destroy(b->gram);
    s24_ctx_destroy(b->ctx);
    api_free(&b->importance);
    api_free(&b->t);
    api_free(&b->x);
    api_free(&b->w);
    ck_assert_int_eq(b->count.bytes, 0);
}

static inline double number(const s24_result *result, const char *name)
{
    double value;

    ok(s24_result_float(result, name, &value));
    return value;
}

static const char *word(const s24_result *result, const char *name)
{
    const char *value;

    ok(s24_result_str(result, name, &value));
    return value;
}

static inline s24_mat part(const s24_result *result, const char *name)
{
    s24_mat view;

    ok(s24_result_matrix(result, name, &view));
    return view;
}

/* Constraints that some solver honours, by number; false past the end. */
static inline bool set_constraint(bench *b, int which)
{
    static const char *const texts[] = {"2:4", "4:8", "60%", "row 60%", ""};

    if (which > 4)
        return false;
    ok(s24_problem_parse(b->problem, texts[which]));
    if (which == 4)
        ok(s24_problem_set_mask(b->problem, &b->mask));
    return true;
}

/* Refit takes the support of w, which must obey. */
static inline void obey(bench *b, int which)
{
    s24_result *result;
    s24_solver *magnitude;

    if (which == 4)
        return;
    ok(s24_solver_create(b->ctx, "magnitude", &magnitude));
    ok(s24_solve(magnitude, b->problem, &result));
    s24_mat weights = part(result, "weights");
    ok(s24_mat_copy(b->ctx, &weights, &b->w.mat));
    s24_result_destroy(result);
    s24_solver_destroy(magnitude);
}

static inline void check_result(const bench *b, const s24_result *result, bool target)
{
    double loss, relative, nnz = 0;
    s24_mat weights = part(result, "weights"), mask = part(result, "mask");

    ok(s24_problem_check_result(b->problem, result));
    ok(s24_problem_check(b->problem, &weights));
    ok(s24_problem_loss(b->problem, &weights, &loss, &relative));
    ck_assert_double_eq(number(result, "loss"), loss);
    ck_assert_double_eq(number(result, "relative_loss"), relative);
    if (target) {
        ok(s24_problem_target_loss(b->problem, &weights, NULL, &relative));
        ck_assert_double_eq(number(result, "target_relative_loss"), relative);
    }
    for (int64_t i = 0; i < SIZE; i++) {
        unit_check(((uint8_t *)mask.data)[i] <= 1);
        unit_check(((uint8_t *)mask.data)[i] || ((uint32_t *)weights.data)[i] == 0);
        nnz += ((float *)weights.data)[i] != 0;
    }
    ck_assert_double_eq(number(result, "nnz"), nnz);
    ck_assert_double_eq(number(result, "zeros"), SIZE - nnz);
    ck_assert_double_eq(number(result, "calibration_rows"), TOKENS);
}

#endif
