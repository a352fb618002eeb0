/* lib/api/solve.c: progress, cancelling, limits of time and memory while a solve runs. */
#include "api_bench.h"
#include <pthread.h>

/* ---- Progress, cancel, time ---- */

typedef struct watcher {
    bench *b;
    int calls, stop_at, cancel_at;
    bool wrong;
    pthread_t caller;
    int64_t last;
    const char *phase;
} watcher;

/* Also tries what may not be done while a solve runs. */
static int32_t look(void *user, const char *phase, int64_t step, int64_t total, double objective,
                    double residual)
{
    watcher *w = user;
    bench *b = w->b;
    s24_result *result;

    w->wrong |= !pthread_equal(pthread_self(), w->caller) || !phase || !*phase;
    w->wrong |= step < 0 || (total >= 0 && step > total);
    w->wrong |= w->phase && !strcmp(w->phase, phase) && step != 0 && step < w->last;
    w->phase = phase;
    w->last = step;
    if (w->calls++ == 0) {
        w->wrong |= s24_gram_add(b->gram, &b->x.mat, NULL) != S24_E_STATE;
        w->wrong |= s24_gram_merge(b->gram, b->gram) == S24_OK;
        w->wrong |= s24_solver_set_float(b->solver, "damp", 1) != S24_E_STATE;
        w->wrong |= s24_solver_reset(b->solver) != S24_E_STATE;
        w->wrong |= s24_solver_set_progress(b->solver, NULL, NULL) != S24_E_STATE;
        w->wrong |= s24_solve(b->solver, b->problem, &result) != S24_E_STATE;
        w->wrong |= s24_problem_set_pattern(b->problem, 1, 4) != S24_E_STATE;
        w->wrong |= s24_problem_set_gram(b->problem, NULL) != S24_E_STATE;
        w->wrong |= s24_problem_parse(b->problem, "") != S24_E_STATE;
        w->wrong |= s24_ctx_set_int(b->ctx, "threads", 1) != S24_E_STATE;
        w->wrong |= s24_ctx_set_log(b->ctx, NULL, NULL) != S24_E_STATE;
        w->wrong |= s24_gram_info(b->gram, NULL, NULL) != S24_OK;
    }
    if (w->calls == w->cancel_at)
        s24_solver_cancel(b->solver);
    (void)objective;
    (void)residual;
    return w->calls == w->stop_at;
}

static s24_status watched(bench *b, watcher *w, s24_result **result)
{
    w->b = b;
    w->caller = pthread_self();
    *result = NULL;
    ok(s24_solver_set_progress(b->solver, look, w));
    s24_status status = s24_solve(b->solver, b->problem, result);
    ck_assert(!w->wrong);
    return status;
}

START_TEST(progress)
{
    static bench b;
    watcher w = {0};
    s24_result *result;

    set_up(&b, "sparsegpt", 2);
    ok(watched(&b, &w, &result));
    ck_assert_int_gt(w.calls, 1);
    s24_result_destroy(result);
    tear_down(&b);
}
END_TEST

/* ---- Cancelled inside a factorisation ---- */

enum { WIDE = 640, NARROW = 8 };

typedef struct canceller {
    s24_solver *solver;
    int calls, cancel_at;
} canceller;

/* A runner that cancels the solve when one of its loops begins. */
static int32_t cancelling_runner(void *user, s24_task_fn task, void *arg, int64_t count,
                                 int32_t max_workers)
{
    canceller *c = user;

    if (++c->calls == c->cancel_at)
        s24_solver_cancel(c->solver);
    for (int64_t i = 0; i < count; i++)
        task(arg, i, 0);
    return 0;
}

/* Whatever loop it is in, a cancelled solve soon ends: with nothing, or with something that
 * obeys. */
START_TEST(cancelled_in_every_loop)
{
    static const char *const names[] = {"sparsegpt", "alps"};
    unit_heap heap;
    canceller c = {0};
    s24_ctx *ctx = api_ctx(&heap, 1);
    api_mat w = api_filled(NARROW, WIDE, S24_F32, ROW_MAJOR, 1);
    api_mat x = api_filled(2 * WIDE, WIDE, S24_F32, ROW_MAJOR, 2);
    s24_gram *gram;
    s24_problem *problem;
    s24_result *result = NULL;
    int nothing = 0, feasible = 0;

    ok(s24_gram_create(ctx, WIDE, S24_F32, &gram));
    ok(s24_gram_add(gram, &x.mat, NULL));
    ok(s24_problem_create(ctx, &w.mat, &problem));
    ok(s24_problem_set_gram(problem, gram));
    ok(s24_problem_parse(problem, "2:4"));
    ok(s24_solver_create(ctx, names[_i], &c.solver));
    ok(s24_solver_parse(c.solver, "damp_rule=relative"));
    ok(s24_ctx_set_parallel(ctx, cancelling_runner, &c, 2));
    ok(s24_solve(c.solver, problem, &result));
    s24_result_destroy(result);
    int calls = c.calls;
    for (int k = 1; k <= calls; k += 1 + k / 16) {
        c.calls = 0;
        c.cancel_at = k;
        result = NULL;
        s24_status status = s24_solve(c.solver, problem, &result);
        if (status == S24_E_CANCELLED) {
            ck_assert_ptr_null(result);
            ck_assert_int_le(c.calls, k + 2);
            nothing++;
        } else {
            ck_assert_int_eq(status, S24_OK);
            ok(s24_problem_check_result(problem, result));
            feasible++;
        }
        s24_result_destroy(result);
    }
    ck_assert_int_ge(nothing, 5); /* five blocks of columns */
    ck_assert_int_ge(feasible, 1);
    s24_solver_destroy(c.solver);
    s24_problem_destroy(problem);
    s24_gram_destroy(gram);
    api_free(&w);
    api_free(&x);
    api_done(ctx, &heap);
}
END_TEST

/* _i: progress call that stops the solve, by its answer or by cancelling. The solver is good for
 * another solve. */
START_TEST(stopped_at_any_step)
{
    static bench b;
    s24_result *result;

    set_up(&b, "refit", 2);
    set_constraint(&b, 4);
    ok(s24_solver_parse(b.solver, "method=cg,tol=0,damp_rule=relative"));
    watcher w = {.stop_at = _i & 1 ? _i / 2 + 1 : 0, .cancel_at = _i & 1 ? 0 : _i / 2 + 1};
    s24_status status = watched(&b, &w, &result);
    ck_assert(status == S24_OK || status == S24_E_CANCELLED);
    ck_assert(!result == !!status);
    if (status) {
        fails(status, S24_E_CANCELLED, "s24_solve: solver refit was stopped before");
    } else {
        check_result(&b, result, false);
        if (w.calls >= _i / 2 + 1)
            ck_assert_str_eq(word(result, "stop"), "cancelled");
    }
    s24_result_destroy(result);
    w = (watcher){0};
    s24_solver_cancel(b.solver);
    ok(watched(&b, &w, &result));
    ck_assert_str_ne(word(result, "stop"), "cancelled");
    s24_result_destroy(result);
    tear_down(&b);
}
END_TEST

START_TEST(time_limit)
{
    static bench b;
    s24_result *result;

    set_up(&b, "refit", 1);
    set_constraint(&b, 4);
    ok(s24_solver_parse(b.solver, "method=cg,tol=0,damp_rule=relative,time_limit=1e-9"));
    ok(s24_solve(b.solver, b.problem, &result));
    ck_assert_str_eq(word(result, "stop"), "time");
    check_result(&b, result, false);
    s24_result_destroy(result);
    ok(s24_solver_parse(b.solver, "time_limit=0,max_iter=1"));
    ok(s24_solve(b.solver, b.problem, &result));
    ck_assert_str_eq(word(result, "stop"), "max_iter");
    s24_result_destroy(result);
    ok(s24_solver_parse(b.solver, "max_iter=1000,tol=0.01"));
    ok(s24_solve(b.solver, b.problem, &result));
    ck_assert_str_eq(word(result, "stop"), "converged");
    s24_result_destroy(result);
    tear_down(&b);
}
END_TEST

static int32_t destroy_all(void *user, const char *phase, int64_t step, int64_t total,
                           double objective, double residual)
{
    bench *b = user;

    s24_gram_destroy(b->gram);
    s24_problem_destroy(b->problem);
    s24_solver_destroy(b->solver);
    s24_ctx_destroy(b->ctx);
    b->gram = NULL;
    b->problem = NULL;
    b->solver = NULL;
    b->ctx = NULL;
    (void)phase, (void)step, (void)total, (void)objective, (void)residual;
    return 0;
}

START_TEST(a_callback_may_destroy)
{
    static bench b;
    s24_result *result;

    set_up(&b, "sparsegpt", 2);
    ok(s24_solver_set_progress(b.solver, destroy_all, &b));
    ok(s24_solve(b.solver, b.problem, &result));
    ck_assert_double_gt(number(result, "nnz"), 0);
    s24_result_destroy(result);
    tear_down(&b);
}
END_TEST

/* ---- Threads ---- */

typedef struct job {
    bench *b;
    s24_status status;
    float weights[SIZE];
} job;

static void *solve_alone(void *arg)
{
    job *j = arg;
    static const char *const solvers[] = {"wanda", "sparsegpt"};
    s24_problem *problem;
    s24_solver *solver;
    s24_result *result;

    for (int i = 0; i < 6; i++) {
        ok(s24_problem_create(j->b->ctx, &j->b->w.mat, &problem));
        ok(s24_problem_set_gram(problem, j->b->gram));
        ok(s24_problem_parse(problem, "2:4"));
        ok(s24_solver_create(j->b->ctx, solvers[i % 2], &solver));
        j->status |= s24_solve(solver, problem, &result);
        s24_mat view = part(result, "weights");
        memcpy(j->weights, view.data, sizeof j->weights);
        s24_result_destroy(result);
        s24_solver_destroy(solver);
        s24_problem_destroy(problem);
    }
    return NULL;
}

/* _i == 0: two contexts; 1: one context and one gram. */
START_TEST(two_threads)
{
    static bench a, b;
    static job jobs[2];
    pthread_t thread[2];

    set_up(&a, "wanda", 2);
    set_up(&b, "wanda", 3);
    for (int i = 0; i < 2; i++) {
        jobs[i].b = i && _i == 0 ? &b : &a;
        ck_assert_int_eq(pthread_create(&thread[i], NULL, solve_alone, &jobs[i]), 0);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    ck_assert(jobs[0].status == S24_OK && jobs[1].status == S24_OK);
    ck_assert_mem_eq(jobs[0].weights, jobs[1].weights, sizeof jobs[0].weights);
    tear_down(&b);
    tear_down(&a);
}
END_TEST

/* ---- s24_compress ---- */

/* _i: type and layout of w. */
START_TEST(compress_in_place)
{
    static const int32_t types[] = {S24_F16, S24_BF16, S24_F32, S24_F64};
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 2);
    api_mat w = api_filled(ROWS, COLS, types[_i % 4], _i / 4, 60);
    api_mat x = api_filled(TOKENS, COLS, S24_F32, ROW_MAJOR, 61);
    s24_mat original = api_view(w.value, ROWS, COLS, S24_F64);
    s24_problem *problem;
    s24_gram *gram;
    double relative, want;

    ok(s24_compress(ctx, "sparsegpt", "damp_rule=relative", "2:4", &x.mat, &w.mat, &relative));
    ok(s24_gram_create(ctx, COLS, S24_F32, &gram));
    ok(s24_gram_add(gram, &x.mat, NULL));
    ok(s24_problem_create(ctx, &original, &problem));
    ok(s24_problem_set_gram(problem, gram));
    ok(s24_problem_parse(problem, "2:4"));
    ok(s24_problem_check(problem, &w.mat));
    ok(s24_problem_loss(problem, &w.mat, NULL, &want));
    ck_assert_double_eq_tol(relative, want, 1e-6 * want);
    s24_problem_destroy(problem);
    s24_gram_destroy(gram);
    api_free(&x);
    api_free(&w);
    api_done(ctx, &heap);
}
END_TEST

START_TEST(compress_refuses)
{
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 1);
    float data[2][4] = {{1, 2, 3, 4}, {5, 6, 7, 8}}, before[2][4], rows[3][4] = {{1, 2, 3, 4}};
    s24_mat w = api_view(data, 2, 4, S24_F32), x = api_view(rows, 3, 4, S24_F32), narrow = x;
    double relative = 5;

    narrow.cols = 3;
    memcpy(before, data, sizeof data);
    fails(s24_compress(ctx, "wanada", NULL, "2:4", &x, &w, &relative), S24_E_UNSUPPORTED,
          "s24_compress: s24_solver_create");
    fails(s24_compress(ctx, "wanda", "a=1", "2:4", &x, &w, &relative), S24_E_OPTION,
          "unknown option 'a'");
    fails(s24_compress(ctx, "wanda", NULL, "2;4", &x, &w, &relative), S24_E_OPTION,
          "constraints \"2;4\"");
    fails(s24_compress(ctx, "wanda", NULL, NULL, &x, &w, &relative), S24_E_STATE, "no constraint");
    fails(s24_compress(ctx, "wanda", NULL, "2:4", &narrow, &w, &relative), S24_E_SHAPE,
          "gram has dim 3");
    fails(s24_compress(ctx, "wanda", NULL, "2:4", &x, NULL, &relative), S24_E_ARG, "w is NULL");
    data[1][1] = NAN;
    fails(s24_compress(ctx, "wanda", NULL, "2:4", &x, &w, &relative), S24_E_NONFINITE,
          "w: row 1, column 1");
    data[1][1] = 6;
    ck_assert_mem_eq(before, data, sizeof data);
    ck_assert_double_eq(relative, 5);
    ok(s24_compress(ctx, "wanda", NULL, "2:4", NULL, &w, &relative));
    ck_assert(data[0][0] == 0 && data[0][3] == 4);
    api_done(ctx, &heap);
}
END_TEST

/* Every allocation fails once: S24_E_MEMORY, w untouched, nothing lost. */
START_TEST(any_allocation_may_fail)
{
    unit_heap heap;
    api_mat x = api_filled(TOKENS, COLS, S24_F32, ROW_MAJOR, 62);
    s24_status status = S24_E_MEMORY;

    for (int64_t k = 1; status; k++) {
        api_mat w = api_filled(ROWS, COLS, S24_BF16, ROW_MAJOR, 63);
        s24_ctx *ctx = api_ctx(&heap, 2);
        heap.refuse = heap.calls + k;
        status = s24_compress(ctx, "sparsegpt", NULL, "2:4", &x.mat, &w.mat, NULL);
        unit_check(status == S24_OK || status == S24_E_MEMORY);
        if (status)
            unit_check_text("s24_compress: ");
        for (int64_t i = 0; status && i < SIZE; i++)
            unit_check(api_get(&w.mat, i / COLS, i % COLS) == w.value[i]);
        api_done(ctx, &heap);
        api_free(&w);
    }
    api_free(&x);
}
END_TEST

void api_run_tests(Suite *suite)
{
    TCase *all = tcase_create("run");

    tcase_add_test(all, progress);
    tcase_add_loop_test(all, stopped_at_any_step, 0, 24);
    tcase_add_loop_test(all, cancelled_in_every_loop, 0, 2);
    tcase_add_test(all, time_limit);
    tcase_add_test(all, a_callback_may_destroy);
    tcase_add_loop_test(all, two_threads, 0, 2);
    tcase_add_loop_test(all, compress_in_place, 0, 4 * LAYOUTS);
    tcase_add_test(all, compress_refuses);
    tcase_add_test(all, any_allocation_may_fail);
    suite_add_tcase(suite, all);
}
