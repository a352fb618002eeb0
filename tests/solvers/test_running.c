/* A solve as the host sees it: memory predicted and capped, allocations refused, progress,
 * cancelling at any step. */
#include "grid.h"

static const int64_t large[][3] = {{130, 260, 600}, {400, 132, 100}, {33, 392, 200}};
enum { LARGE = sizeof large / sizeof *large };

/* ---- memory ---- */

static void check_memory(layer *l, const char *name, const char *assignments, bool close)
{
    s24_solver *solver = new_solver(l->ctx, name, false);
    s24_result *result = NULL;
    uint64_t bytes = 0;
    if (!chooses(name))
        prune(l);
    grid_ok(s24_solver_parse(solver, assignments));
    if (s24_solver_memory(solver, l->problem, &bytes) == S24_OK) {
        int64_t before = heap_current;
        heap_peak = before;
        grid_ok(s24_solve(solver, l->problem, &result));
        int64_t used = heap_peak - before;
        grid_check(used <= (int64_t)bytes, "%s (%s) on %s, %lld x %lld: %lld bytes, predicted %lld",
                   name, assignments, l->limit->text, (long long)l->rows, (long long)l->cols,
                   (long long)used, (long long)bytes);
        grid_check(!close || (double)bytes <= 1.25 * (double)used,
                   "%s (%s) on %s, %lld x %lld: only %lld bytes, predicted %lld", name, assignments,
                   l->limit->text, (long long)l->rows, (long long)l->cols, (long long)used,
                   (long long)bytes);
        ck_assert_double_le(number(result, "peak_bytes"), (double)bytes);
        ck_assert_double_gt(number(result, "peak_bytes"), 0);
        s24_result_destroy(result);
    }
    s24_solver_destroy(solver);
}

/* Options that change what a solver needs. */
static const char *const variants[] = {"",
                                       "damp_rule=mean",
                                       "refit=none",
                                       "refit=exact",
                                       "refit=cg",
                                       "method=exact",
                                       "method=cg",
                                       "score=importance",
                                       "swaps=9, swap_method=exact",
                                       "swaps=9, swap_method=schur",
                                       "sweeps=3",
                                       "start=weights",
                                       "scales=f16",
                                       "outliers=0.1, block_sweeps=2",
                                       "order=none",
                                       "preset=3basil, max_iter=20",
                                       "method=alternate, sparse=alps, max_iter=2",
                                       "factors=bf16",
                                       "preset=paper"};
enum { VARIANTS = sizeof variants / sizeof *variants };

static bool accepts(s24_ctx *ctx, const char *name, const char *assignments)
{
    s24_solver *solver = new_solver(ctx, name, false);
    bool good = s24_solver_parse(solver, assignments) == S24_OK;
    s24_solver_destroy(solver);
    return good;
}

static void visit_memory(const int64_t *shape, int64_t calibration, bool target, bool close)
{
    uint64_t seed = 3;
    s24_ctx *ctx = open_ctx(3);
    for (int c = 0; c < CONSTRAINTS; c++)
        for (int32_t k = 0; k < s24_solver_count() && fits(&constraints[c], shape[1]); k++)
            for (int v = 0; v < VARIANTS; v++) {
                int mark = naive_count;
                if (close && c != 0 && c != 4 && c != 5 && c != 8 && c != 10 && c != 13)
                    continue; /* one of each kind will do */
                if (!accepts(ctx, s24_solver_name(k), variants[v]))
                    continue;
                layer l = open_layer(ctx, &constraints[c], shape[0], shape[1], calibration);
                s24_cross *cross = NULL;
                s24_mat importance = l.view;
                if (target)
                    cross = aim_at(&l, normals(&seed, calibration * l.rows), 0.5);
                importance.data = GRAB(float, l.rows *l.cols);
                grid_ok(s24_problem_set_importance(l.problem, &importance));
                check_memory(&l, s24_solver_name(k), variants[v], close);
                s24_cross_destroy(cross);
                close_layer(&l);
                drop_to(mark);
            }
    close_ctx(ctx);
}

START_TEST(prediction_holds_and_is_close)
{
    visit_memory(large[_i], large[_i][2], false, true);
}
END_TEST

START_TEST(prediction_holds_for_targets)
{
    visit_memory(large[1], 300, true, true);
}
END_TEST

START_TEST(prediction_holds_for_small_layers)
{
    for (int s = 0; s < SHAPES - 1; s += 2)
        visit_memory(shapes[s], s % 4 ? shapes[s][2] : 0, false, false);
}
END_TEST

/* Too little memory for a layer at once: blocks of rows, where the solver can, with the same
 * bits. */
static void check_blocks(const constraint *limit, const char *assignments, bool possible)
{
    s24_ctx *ctx = open_ctx(2);
    layer l = open_layer(ctx, limit, 700, 64, 200);
    s24_solver *solver = new_solver(ctx, "alps", false);
    s24_result *whole, *result;
    static const char *const same[] = {"loss", "residual", "iterations", "damp_used", "nnz"};
    uint64_t bytes, used;
    int solved = 0;
    grid_ok(s24_solver_parse(solver, assignments));
    grid_ok(s24_solve(solver, l.problem, &whole));
    grid_ok(s24_solver_memory(solver, l.problem, &bytes));
    grid_ok(s24_ctx_memory(ctx, &used, NULL));
    for (int part = 40; part < 100; part += 4) {
        grid_ok(
            s24_ctx_set_int(ctx, "memory_limit", (int64_t)(used + bytes * (uint64_t)part / 100)));
        s24_status status = s24_solve(solver, l.problem, &result);
        if (status == S24_E_MEMORY)
            continue;
        grid_ok(status);
        solved++;
        ck_assert_double_lt(number(result, "peak_bytes"), number(whole, "peak_bytes"));
        ck_assert(!memcmp(weights_of(result), weights_of(whole), 700 * 64 * sizeof(float)));
        ck_assert(!memcmp(mask_of(result), mask_of(whole), 700 * 64));
        for (int k = 0; k < 5; k++)
            ck_assert_double_eq(number(result, same[k]), number(whole, same[k]));
        s24_result_destroy(result);
    }
    grid_check(possible ? solved > (limit->dense > 0 ? 0 : 2) : solved == 0, "%s, %s: %d limits",
               limit->text, assignments, solved);
    s24_result_destroy(whole);
    s24_solver_destroy(solver);
    close_layer(&l);
    close_ctx(ctx);
}

START_TEST(blocks_of_rows_give_the_same)
{
    for (int c = 0; c < CONSTRAINTS; c++)
        if (fits(&constraints[c], 64) && !constraints[c].bits && !constraints[c].rank &&
            !(constraints[c].gone > 0) && !constraints[c].dictionary && !constraints[c].blocks &&
            !(constraints[c].mask && *constraints[c].text))
            check_blocks(&constraints[c], "",
                         !strstr(constraints[c].text, "%") || strstr(constraints[c].text, "row") ||
                             constraints[c].dense > 0); /* the other columns are held once more */
    check_blocks(&constraints[0], "preset=paper", false);
    check_blocks(&constraints[0], "swaps=2", true);
}
END_TEST

START_TEST(memory_limit_is_kept)
{
    s24_ctx *ctx = open_ctx(2);
    for (int32_t k = 0; k < s24_solver_count(); k++) {
        layer l = open_layer(ctx, usual(s24_solver_name(k)), 33, 128, 300);
        s24_solver *solver = new_solver(ctx, s24_solver_name(k), false);
        s24_result *result = NULL;
        uint64_t bytes, used;
        if (!chooses(s24_solver_name(k)))
            prune(&l);
        grid_ok(s24_solver_memory(solver, l.problem, &bytes));
        grid_ok(s24_ctx_memory(ctx, &used, NULL));
        for (int part = 0; part < 8; part++) {
            int64_t before = heap_current;
            grid_ok(s24_ctx_set_int(ctx, "memory_limit",
                                    (int64_t)(used + bytes * (uint64_t)part / 8 + 1)));
            heap_peak = before;
            ck_assert_int_eq(s24_solve(solver, l.problem, &result), S24_E_MEMORY);
            ck_assert(result == NULL && strstr(s24_last_error(), "memory"));
            ck_assert_int_eq(heap_current, before);
            ck_assert_int_eq(heap_peak, before); /* before any work */
        }
        grid_ok(s24_ctx_set_int(ctx, "memory_limit", (int64_t)(used + bytes)));
        grid_ok(s24_solve(solver, l.problem, &result));
        s24_result_destroy(result);
        grid_ok(s24_ctx_set_int(ctx, "memory_limit", 0));
        s24_solver_destroy(solver);
        close_layer(&l);
    }
    close_ctx(ctx);
}
END_TEST

/* Refuse the k-th allocation of a solve, for every k. */
START_TEST(refused_allocations_leak_nothing)
{
    for (int c = 0; c < CONSTRAINTS; c++)
        for (int32_t k = 0; k < s24_solver_count() && fits(&constraints[c], 64); k++) {
            bool done = false;
            for (int64_t refuse = 1; !done && refuse < 100; refuse++) {
                s24_ctx *ctx = open_ctx(2); /* a new one, so that its pool is made inside too */
                layer l = open_layer(ctx, &constraints[c], 17, 64, 300);
                s24_solver *solver = new_solver(ctx, s24_solver_name(k), false);
                s24_result *result = NULL;
                if (!chooses(s24_solver_name(k)))
                    prune(&l);
                heap_calls = 0;
                heap_refuse = refuse;
                s24_status status = s24_solve(solver, l.problem, &result);
                done = heap_calls < refuse;
                heap_refuse = 0;
                grid_check(done || status == S24_E_MEMORY || status == S24_OK ||
                               status == S24_E_UNSUPPORTED,
                           "%s, call %lld refused: %s", s24_solver_name(k), (long long)refuse,
                           s24_last_error());
                ck_assert((status == S24_OK) == (result != NULL));
                s24_result_destroy(result);
                result = NULL;
                status = s24_solve(solver, l.problem, &result); /* usable still */
                ck_assert(status == S24_OK || status == S24_E_UNSUPPORTED);
                s24_result_destroy(result);
                s24_solver_destroy(solver);
                close_layer(&l);
                close_ctx(ctx);
            }
            ck_assert(done);
        }
}
END_TEST

/* ---- progress ---- */

typedef struct {
    s24_solver *solver;
    int64_t calls, stop_at, last, total;
    bool by_handle; /* cancel through the handle instead of the answer */
    char phase[32];
} watcher;

static int32_t look(void *user, const char *phase, int64_t step, int64_t total, double objective,
                    double residual)
{
    watcher *w = user;
    (void)objective;
    (void)residual;
    w->calls++;
    if (strcmp(phase, w->phase) || step == 0) {
        grid_check(step == 0, "phase %s begins with step %lld", phase, (long long)step);
        snprintf(w->phase, sizeof w->phase, "%s", phase);
        w->total = total;
    } else {
        grid_check(step >= w->last, "%s: step %lld after %lld", phase, (long long)step,
                   (long long)w->last);
        ck_assert(total == w->total);
    }
    ck_assert(total < 0 || step <= total);
    w->last = step;
    if (w->calls == w->stop_at && w->by_handle)
        s24_solver_cancel(w->solver);
    return w->calls == w->stop_at && !w->by_handle;
}

static bool is_iterative(const char *solver)
{
    return !strcmp(solver, "sparsegpt") || !strcmp(solver, "refit");
}

START_TEST(progress_is_monotone)
{
    static const int64_t threads[] = {1, 3};
    /* A total that no stride of iterations divides. */
    static const char *const cut_short[] = {"", "preset=paper, max_iter=10"};
    for (int c = 0; c < CONSTRAINTS; c++)
        for (int32_t k = 0; k < s24_solver_count() && fits(&constraints[c], 260); k++) {
            s24_ctx *ctx = open_ctx((int32_t)threads[c % 2]);
            layer l = open_layer(ctx, &constraints[c], 130, 260, 400);
            watcher w = {.solver = new_solver(ctx, s24_solver_name(k), false)};
            s24_result *result = NULL;
            if (!chooses(s24_solver_name(k)))
                prune(&l);
            if (accepts(ctx, s24_solver_name(k), cut_short[_i]))
                grid_ok(s24_solver_parse(w.solver, cut_short[_i]));
            grid_ok(s24_solver_set_progress(w.solver, look, &w));
            if (s24_solve(w.solver, l.problem, &result) == S24_OK &&
                is_iterative(s24_solver_name(k)) && !_i) {
                ck_assert_int_ge(w.calls, 3);
                if (threads[c % 2] == 1)
                    ck_assert_int_eq(w.last, w.total);
            }
            s24_result_destroy(result);
            s24_solver_destroy(w.solver);
            close_layer(&l);
            close_ctx(ctx);
        }
}
END_TEST

/* Stop at the k-th call of progress, for every k: nothing, or something that obeys. */
static void cancel_everywhere(layer *l, const char *name, const char *assignments, bool by_handle)
{
    watcher w = {.solver = new_solver(l->ctx, name, false), .by_handle = by_handle};
    int64_t cancelled = 0, feasible = 0, calls;
    s24_result *result = NULL;
    if (!accepts(l->ctx, name, assignments)) {
        s24_solver_destroy(w.solver);
        return;
    }
    grid_ok(s24_solver_parse(w.solver, assignments));
    grid_ok(s24_solver_set_progress(w.solver, look, &w));
    if (s24_solve(w.solver, l->problem, &result) != S24_OK) {
        s24_solver_destroy(w.solver);
        return;
    }
    calls = w.calls;
    s24_result_destroy(result);
    int64_t tried = 0, next; /* the first 32, then fewer, and the last; faults takes all */
    for (int64_t k = 1; k <= calls; k = k < calls && next > calls ? calls : next, tried++) {
        next = k + 1 + k / 32;
        int64_t before = heap_current;
        result = NULL;
        w = (watcher){.solver = w.solver, .by_handle = by_handle, .stop_at = k};
        s24_status status = s24_solve(w.solver, l->problem, &result);
        ck_assert_int_ge(w.calls, k);
        ck_assert_int_le(w.calls, by_handle ? k + 1 : k); /* who asked to stop is left alone */
        if (status == S24_E_CANCELLED) {
            ck_assert(result == NULL);
            cancelled++;
        } else {
            grid_check(status == S24_OK, "%s", s24_last_error());
            judge(l, name, result);
            ck_assert_str_eq(word(result, "stop"), "cancelled");
            feasible++;
        }
        s24_result_destroy(result);
        ck_assert_int_eq(heap_current, before);
    }
    /* and once more undisturbed */
    w = (watcher){.solver = w.solver};
    grid_ok(s24_solve(w.solver, l->problem, &result));
    ck_assert_int_eq(w.calls, calls);
    ck_assert_str_ne(word(result, "stop"), "cancelled");
    s24_result_destroy(result);
    ck_assert(cancelled + feasible == tried && (calls == 0 || feasible > 0));
    s24_solver_destroy(w.solver);
}

START_TEST(cancelled_at_every_step)
{
    static const char *const some[] = {"",
                                       "refit=cg, damp_rule=relative",
                                       "refit=none",
                                       "method=cg",
                                       "damp_rule=relative",
                                       "max_iter=4, swaps=9, swap_method=schur",
                                       "max_iter=4, swaps=9, swap_method=exact"};
    s24_ctx *ctx =
        open_ctx(1); /* progress comes on this thread, so that the calls are always the same */
    for (int c = 0; c < CONSTRAINTS; c++)
        for (int32_t k = 0; k < s24_solver_count() && fits(&constraints[c], 264); k++)
            for (int v = 0; v < (_i ? 1 : 7); v++) {
                int mark = naive_count;
                if (v > 4 && c != 1 && c != 5)
                    continue; /* swaps in groups and in rows will do */
                layer l = open_layer(ctx, &constraints[c], 70, c ? 64 : 264, 300);
                if (!fits(&constraints[c], l.cols))
                    continue;
                if (!chooses(s24_solver_name(k)))
                    prune(&l);
                cancel_everywhere(&l, s24_solver_name(k), some[v], _i);
                close_layer(&l);
                drop_to(mark);
            }
    close_ctx(ctx);
}
END_TEST

START_TEST(time_limit_ends_a_refit)
{
    s24_ctx *ctx = open_ctx(2);
    layer l = open_layer(ctx, &constraints[7], 70, 264, 300);
    for (int k = 0; k < 2; k++) {
        s24_solver *solver = new_solver(ctx, "refit", k);
        s24_result *result = NULL;
        grid_ok(s24_solver_set_float(solver, "time_limit", 1e-9));
        s24_status status = s24_solve(solver, l.problem, &result);
        ck_assert(status == S24_OK || (!k && status == S24_E_CANCELLED));
        if (result) {
            judge(&l, "refit", result);
            ck_assert_str_eq(word(result, "stop"), "time");
        }
        s24_result_destroy(result);
        s24_solver_destroy(solver);
    }
    close_layer(&l);
    close_ctx(ctx);
}
END_TEST

START_TEST(stop_tells_why)
{
    s24_ctx *ctx = open_ctx(2);
    layer l = open_layer(ctx, &constraints[7], 20, 128, 300);
    static const struct {
        const char *solver, *assignments, *stop;
    } rows[] = {{"refit", "method=cg, max_iter=2", "max_iter"},
                {"refit", "method=cg, max_iter=1000", "converged"},
                {"refit", "method=exact", "converged"},
                {"sparsegpt", "refit=none", "done"},
                {"sparsegpt", "refit=cg, max_iter=1", "max_iter"}};
    for (int i = 0; i < 5; i++) {
        s24_solver *solver = new_solver(ctx, rows[i].solver, false);
        s24_result *result;
        grid_ok(s24_solver_parse(solver, rows[i].assignments));
        grid_ok(s24_solve(solver, l.problem, &result));
        ck_assert_str_eq(word(result, "stop"), rows[i].stop);
        s24_result_destroy(result);
        s24_solver_destroy(solver);
    }
    close_layer(&l);
    close_ctx(ctx);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("running");
    TCase *memory = new_case(suite, "memory");
    tcase_add_loop_test(memory, prediction_holds_and_is_close, 0, LARGE);
    tcase_add_test(memory, prediction_holds_for_targets);
    tcase_add_test(memory, prediction_holds_for_small_layers);
    tcase_add_test(memory, blocks_of_rows_give_the_same);
    tcase_add_test(memory, memory_limit_is_kept);
    tcase_add_test(memory, refused_allocations_leak_nothing);
    TCase *running = new_case(suite, "progress");
    tcase_add_loop_test(running, progress_is_monotone, 0, 2);
    tcase_add_loop_test(running, cancelled_at_every_step, 0, 2);
    tcase_add_test(running, time_limit_ends_a_refit);
    tcase_add_test(running, stop_tells_why);
    return run_suite(suite);
}
