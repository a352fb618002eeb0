/* A host that listens and may change its mind: log lines go to its sink, and another thread stops a solve.
 * Usage: 08_log_and_cancel [LAYERS.safetensors] */
#include <pthread.h>
#include <sched.h>
#include <sparse24/sparse24.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static void must(s24_status status)
{
    if (status == S24_OK)
        return;
    fprintf(stderr, "%s: %s\n", s24_status_name(status), s24_last_error());
    exit(1);
}

/* Called on the thread that called the library, one line each. */
static void log_line(void *user, int32_t level, const char *message)
{
    static const char *const names[] = {"error", "warning", "information", "debugging"};
    fprintf(user, "[%s] %s\n", names[level], message);
}

static _Atomic int steps, ended; /* of the first solve */

static int32_t progress(void *user, const char *phase, int64_t step, int64_t total,
                        double objective, double residual)
{
    steps++;
    return 0; /* anything else would stop it too */
}

static void *stop(void *solver)
{
    while (!steps && !ended)
        sched_yield(); /* a host would wait for its user */
    s24_solver_cancel(
        solver); /* from any thread, also from a signal handler; nothing if none runs */
    return NULL;
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "examples/data/smollm2-block10-small.safetensors";
    pthread_t thread;
    s24_ctx *ctx;
    s24_file *file;
    s24_mat w, x;
    s24_gram *gram;
    s24_problem *problem;
    s24_solver *solver;
    s24_result *result = NULL;
    must(s24_ctx_create(&ctx));
    must(s24_ctx_set_int(ctx, "log_level", 3));
    must(s24_ctx_set_log(ctx, log_line, stdout));
    must(s24_file_open(ctx, path, &file));
    must(s24_file_get(file, "w.k", &w));
    must(s24_file_get(file, "x.attn", &x));
    must(s24_gram_create(ctx, x.cols, S24_F32, &gram));
    must(s24_gram_add(gram, &x, NULL));
    must(s24_problem_create(ctx, &w, &problem));
    must(s24_problem_set_gram(problem, gram));
    must(s24_problem_parse(problem, "2:4"));
    must(s24_solver_create(ctx, "sparsegpt", &solver));
    must(s24_solver_set_progress(solver, progress, NULL));

    if (pthread_create(&thread, NULL, stop, solver))
        return 1;
    s24_status status = s24_solve(solver, problem, &result);
    ended = 1;
    pthread_join(thread, NULL);
    /* Stopped before anything feasible exists there is no result; later the best one so far comes back. */
    const char *how = "";
    if (status == S24_OK)
        must(s24_result_str(result, "stop", &how));
    printf("first solve: %s %s\n", s24_status_name(status), how);
    s24_result_destroy(result);
    must(s24_solve(solver, problem, &result)); /* a stop counts once */
    must(s24_result_str(result, "stop", &how));
    printf("second solve: %s\n", how);

    s24_result_destroy(result);
    s24_solver_destroy(solver);
    s24_problem_destroy(problem);
    s24_gram_destroy(gram);
    s24_file_destroy(file);
    s24_ctx_destroy(ctx);
    return status != S24_OK && status != S24_E_CANCELLED;
}
