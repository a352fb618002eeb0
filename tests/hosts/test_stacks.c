/* Every solver works on a thread with the stack that docs/embedding.md asks for. One that needs
 * more ends this program with SIGSEGV. Usage: test_stacks */
#include "process.h"
#include <pthread.h>
#include <sparse24/sparse24.h>

enum { ROWS = 130, COLS = 320, TOKENS = 400, STACK = 256 * 1024 };

static float x[TOKENS * COLS], w[ROWS * COLS];

/* One of each kind of mask and of what is on top of it. */
static const char *const constraints[] = {"2:4",  "2:5t",     "16:32",    "50%",       "row 50%",
                                          "int4", "2:4+int4", "4:8+int4", "2:4+rank 8"};
enum { CONSTRAINTS = sizeof constraints / sizeof *constraints };

static int solved;

static void solve(s24_ctx *ctx, s24_gram *gram, const s24_mat *weights, const char *name,
                  const char *constraint)
{
    s24_problem *problem = NULL;
    s24_solver *solver = NULL;
    s24_result *result = NULL;

    if (s24_problem_create(ctx, weights, &problem) || s24_problem_set_gram(problem, gram) ||
        s24_problem_parse(problem, constraint) || s24_solver_create(ctx, name, &solver))
        exit(2);
    s24_status status = s24_solve(solver, problem, &result);
    if (status == S24_OK)
        solved++;
    else if (status != S24_E_UNSUPPORTED && status != S24_E_STATE)
        expect(0, s24_last_error());
    s24_result_destroy(result);
    s24_solver_destroy(solver);
    s24_problem_destroy(problem);
}

static void *work(void *nothing)
{
    s24_ctx *ctx = NULL;
    s24_gram *gram = NULL;
    s24_mat inputs, weights;

    if (s24_ctx_create(&ctx) || s24_ctx_set_int(ctx, "threads", 1) ||
        s24_mat_rowmajor(&inputs, x, TOKENS, COLS, S24_F32) ||
        s24_mat_rowmajor(&weights, w, ROWS, COLS, S24_F32) ||
        s24_gram_create(ctx, COLS, S24_F32, &gram) || s24_gram_add(gram, &inputs, NULL))
        exit(2);
    for (int32_t k = 0; k < s24_solver_count(); k++)
        for (int c = 0; c < CONSTRAINTS; c++)
            solve(ctx, gram, &weights, s24_solver_name(k), constraints[c]);
    s24_gram_destroy(gram);
    s24_ctx_destroy(ctx);
    return nothing;
}

static void fill(float *to, int n, uint32_t state)
{
    for (int i = 0; i < n; i++)
        to[i] = (float)(int32_t)(state = state * 1664525u + 1013904223u) / 2147483648.0f;
}

int main(void)
{
    pthread_attr_t how;
    pthread_t thread;

    fill(x, TOKENS * COLS, 1);
    fill(w, ROWS * COLS, 2);
    if (pthread_attr_init(&how) || pthread_attr_setstacksize(&how, STACK) ||
        pthread_create(&thread, &how, work, NULL) || pthread_join(thread, NULL))
        return 2;
    pthread_attr_destroy(&how);
    printf("# %d solves\n", solved);
    expect(solved >= s24_solver_count(), "every solver works with 256 KiB of stack");
    return failures != 0;
}
