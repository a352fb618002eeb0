/* A long-lived host makes everything, solves and destroys it, 1000 times: nothing grows. Usage:
 * test_cycles */
#include "process.h"
#include <sparse24/sparse24.h>

enum { ROWS = 32, COLS = 64, TOKENS = 128, CYCLES = 1000, WARM_UP = 100 };

static void must(s24_status status)
{
    if (status == S24_OK)
        return;
    printf("not ok - %s: %s\n", s24_status_name(status), s24_last_error());
    exit(1);
}

static void cycle(const s24_mat *x, const s24_mat *w, const s24_mat *y)
{
    s24_ctx *ctx;
    s24_gram *gram;
    s24_problem *problem;
    s24_solver *solver;
    s24_result *result = NULL;
    s24_packed *packed;

    must(s24_ctx_create(&ctx));
    must(s24_ctx_set_int(ctx, "threads", 3));
    must(s24_gram_create(ctx, COLS, S24_F32, &gram));
    must(s24_gram_add(gram, x, NULL));
    must(s24_problem_create(ctx, w, &problem));
    must(s24_problem_set_gram(problem, gram));
    must(s24_problem_parse(problem, "2:4"));
    must(s24_solver_create(ctx, "sparsegpt", &solver));
    must(s24_solve(solver, problem, &result));
    must(s24_pack_result(ctx, result, "ri16x32", &packed));
    must(s24_packed_multiply(packed, x, y));
    if (s24_solver_set_str(solver, "damp_rule", "nonsense") == S24_OK)
        exit(1);
    s24_ctx_destroy(ctx); /* the first to go: the others keep it */
    s24_packed_destroy(packed);
    s24_result_destroy(result);
    s24_gram_destroy(gram);
    s24_problem_destroy(problem);
    s24_solver_destroy(solver);
}

int main(void)
{
    static float x[TOKENS * COLS], w[ROWS * COLS], y[TOKENS * ROWS];
    s24_mat inputs, weights, outputs;
    process warm = {0};
    uint32_t state = 1;

    for (int i = 0; i < TOKENS * COLS; i++)
        x[i] = (float)(int32_t)(state = state * 1664525u + 1013904223u) / 2147483648.0f;
    for (int i = 0; i < ROWS * COLS; i++)
        w[i] = (float)(int32_t)(state = state * 1664525u + 1013904223u) / 2147483648.0f;
    must(s24_mat_rowmajor(&inputs, x, TOKENS, COLS, S24_F32));
    must(s24_mat_rowmajor(&weights, w, ROWS, COLS, S24_F32));
    must(s24_mat_rowmajor(&outputs, y, TOKENS, ROWS, S24_F32));
    for (int i = 0; i < CYCLES; i++) {
        cycle(&inputs, &weights, &outputs);
        if (i == WARM_UP)
            warm = process_now();
    }
    process after = process_now();
    printf("# %d cycles: resident %ld, %ld KiB; threads %d, %d; mappings %d, %d\n", CYCLES,
           warm.resident, after.resident, warm.threads, after.threads, warm.mappings,
           after.mappings);
    expect(after.threads == warm.threads, "no thread is left behind");
    expect(after.mappings <= warm.mappings + 2, "no mapping is left behind");
    expect(after.resident <= warm.resident + 512, "resident memory does not grow");
    return failures != 0;
}
