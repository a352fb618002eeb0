/* Two contexts that solve at once in two threads, and one context that two threads share, give the
 * bits that they give alone. Also the program for ThreadSanitizer: see docs/embedding.md. Usage:
 * test_contexts */
#include "process.h"
#include <pthread.h>
#include <sparse24/sparse24.h>
#include <string.h>

enum { ROWS = 48, COLS = 64, TOKENS = 256, ROUNDS = 5 };

static float x[TOKENS * COLS], w[ROWS * COLS];

typedef struct job {
    const char *solver, *options, *constraints;
    s24_ctx *ctx;     /* NULL: one of its own */
    s24_gram *shared; /* NULL: one of its own */
    int failed;
    float v[ROWS * COLS], y[TOKENS * ROWS];
} job;

static int step_count;

static int32_t progress(void *user, const char *phase, int64_t step, int64_t total,
                        double objective, double residual)
{
    return user != &step_count;
}

/* All but the context, from calibration to a packed product. */
static s24_status solve_in(job *j, s24_ctx *ctx)
{
    s24_gram *gram = j->shared;
    s24_problem *problem = NULL;
    s24_solver *solver = NULL;
    s24_result *result = NULL;
    s24_packed *packed = NULL;
    s24_mat inputs, weights, v, out, view;
    s24_status status = s24_mat_rowmajor(&inputs, x, TOKENS, COLS, S24_F32);

#define then(call)        \
    if (status == S24_OK) \
    status = call
    then(s24_mat_rowmajor(&weights, w, ROWS, COLS, S24_F32));
    then(s24_mat_rowmajor(&v, j->v, ROWS, COLS, S24_F32));
    then(s24_mat_rowmajor(&out, j->y, TOKENS, ROWS, S24_F32));
    if (!gram) {
        then(s24_gram_create(ctx, COLS, S24_F32, &gram));
        then(s24_gram_add(gram, &inputs, NULL));
    }
    then(s24_problem_create(ctx, &weights, &problem));
    then(s24_problem_set_gram(problem, gram));
    then(s24_problem_parse(problem, j->constraints));
    then(s24_solver_create(ctx, j->solver, &solver));
    then(s24_solver_parse(solver, j->options));
    then(s24_solver_set_progress(solver, progress, &step_count));
    then(s24_solve(solver, problem, &result));
    then(s24_result_matrix(result, "weights", &view));
    then(s24_mat_copy(ctx, &view, &v));
    then(s24_pack_result(ctx, result, "ri16x32", &packed));
    then(s24_packed_multiply(packed, &inputs, &out));
#undef then
    s24_packed_destroy(packed);
    s24_result_destroy(result);
    s24_solver_destroy(solver);
    s24_problem_destroy(problem);
    if (!j->shared)
        s24_gram_destroy(gram);
    return status;
}

static void *run(void *pointer)
{
    job *j = pointer;
    s24_ctx *ctx = j->ctx;

    j->failed = (!ctx && s24_ctx_create(&ctx)) || (!j->ctx && s24_ctx_set_int(ctx, "threads", 2)) ||
                solve_in(j, ctx);
    if (j->failed)
        printf("not ok - %s: %s\n", j->solver, s24_last_error());
    if (!j->ctx)
        s24_ctx_destroy(ctx);
    return NULL;
}

static int same_bits(const job *a, const job *b)
{
    return !a->failed && !b->failed && !memcmp(a->v, b->v, sizeof a->v) &&
           !memcmp(a->y, b->y, sizeof a->y);
}

/* Both at once, several times; equal to what they were alone. */
static int together(const job alone[2], s24_ctx *ctx, s24_gram *gram)
{
    static job now[2];
    pthread_t threads[2];
    int same = 1;

    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < 2; i++) {
            now[i] = alone[i];
            now[i].ctx = ctx;
            now[i].shared = gram;
            memset(now[i].v, 0, sizeof now[i].v);
            if (pthread_create(&threads[i], NULL, run, &now[i]))
                exit(2);
        }
        for (int i = 0; i < 2; i++)
            pthread_join(threads[i], NULL);
        for (int i = 0; i < 2; i++)
            same &= same_bits(&alone[i], &now[i]);
    }
    return same;
}

int main(void)
{
    static job pairs[][2] = {
        {{.solver = "sparsegpt", .constraints = "2:4"},
         {.solver = "sparsegpt", .options = "preset=paper", .constraints = "2:4"}},
        {{.solver = "alps", .constraints = "2:4"}, {.solver = "wanda", .constraints = "2:4"}},
        {{.solver = "prox24", .constraints = "2:4"}, {.solver = "magnitude", .constraints = "1:4"}},
    };
    uint32_t state = 3;

    for (int i = 0; i < TOKENS * COLS; i++)
        x[i] = (float)(int32_t)(state = state * 1664525u + 1013904223u) / 2147483648.0f;
    for (int i = 0; i < ROWS * COLS; i++)
        w[i] = (float)(int32_t)(state = state * 1664525u + 1013904223u) / 2147483648.0f;
    for (size_t p = 0; p < sizeof pairs / sizeof *pairs; p++) {
        char text[100];
        s24_ctx *ctx;
        s24_gram *gram;
        s24_mat inputs;
        run(&pairs[p][0]);
        run(&pairs[p][1]);
        snprintf(text, sizeof text, "%s and %s", pairs[p][0].solver, pairs[p][1].solver);
        expect(together(pairs[p], NULL, NULL), strcat(text, " in two contexts"));
        if (s24_ctx_create(&ctx) || s24_ctx_set_int(ctx, "threads", 2) ||
            s24_gram_create(ctx, COLS, S24_F32, &gram) ||
            s24_mat_rowmajor(&inputs, x, TOKENS, COLS, S24_F32) ||
            s24_gram_add(gram, &inputs, NULL))
            return 2;
        snprintf(text, sizeof text, "%s and %s", pairs[p][0].solver, pairs[p][1].solver);
        expect(together(pairs[p], ctx, gram), strcat(text, " in one context on one gram"));
        s24_gram_destroy(gram);
        s24_ctx_destroy(ctx);
    }
    return failures != 0;
}
