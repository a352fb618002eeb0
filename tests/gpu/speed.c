/* Seconds of solvers on a device: usage: speed LIBRARY:INDEX ROWS COLS [TOKENS]. The second of two
 * runs counts: the first opens libraries and copies the sums. */
#include <sparse24/sparse24.h>
#include <stdio.h>
#include <stdlib.h>

static void ok(s24_status status, const char *what)
{
    if (status == S24_OK)
        return;
    printf("not ok - %s: %s\n", what, s24_last_error());
    exit(1);
}

static uint64_t state = 88172645463325252u;

static float uniform(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (float)(state >> 40) * 0x1p-24f - 0.5f;
}

static void run(s24_ctx *ctx, s24_problem *problem, const char *name, const char *options,
                const char *constraints)
{
    s24_solver *solver;
    s24_result *result;
    double seconds = 0, loss = 0;

    ok(s24_problem_parse(problem, constraints), constraints);
    ok(s24_solver_create(ctx, name, &solver), name);
    ok(s24_solver_parse(solver, options), options);
    for (int i = 0; i < 2; i++) {
        s24_status status = s24_solve(solver, problem, &result);
        if (status) {
            printf("not ok - %s[%s] %s: %s\n", name, options, constraints, s24_last_error());
            break;
        }
        ok(s24_result_float(result, "seconds", &seconds), "seconds");
        ok(s24_result_float(result, "relative_loss", &loss), "relative_loss");
        printf("%s[%s] %s: %.4f s, relative loss %.6g\n", name, options, constraints, seconds,
               loss);
        fflush(stdout);
        s24_result_destroy(result);
    }
    s24_solver_destroy(solver);
}

int main(int argc, char **argv)
{
    s24_ctx *ctx;
    s24_gram *gram;
    s24_problem *problem;
    s24_mat w, x;

    if (argc < 4)
        return 2;
    int64_t rows = atoll(argv[2]), cols = atoll(argv[3]), tokens = argc > 4 ? atoll(argv[4]) : 8192;
    float *weights = malloc((size_t)(rows * cols) * sizeof(float));
    float *inputs = malloc((size_t)(tokens * cols) * sizeof(float));
    for (int64_t i = 0; i < rows * cols; i++)
        weights[i] = uniform();
    for (int64_t i = 0; i < tokens; i++)
        for (int64_t j = 0; j < cols; j++)
            inputs[i * cols + j] = j ? 0.5f * inputs[i * cols + j - 1] + uniform() : uniform();
    ok(s24_ctx_create(&ctx), "context");
    ok(s24_ctx_set_str(ctx, "device", argv[1]), argv[1]);
    ok(s24_mat_rowmajor(&w, weights, rows, cols, S24_F32), "w");
    ok(s24_mat_rowmajor(&x, inputs, tokens, cols, S24_F32), "x");
    ok(s24_gram_create(ctx, cols, S24_F32, &gram), "gram");
    ok(s24_gram_add(gram, &x, NULL), "add");
    ok(s24_problem_create(ctx, &w, &problem), "problem");
    ok(s24_problem_set_gram(problem, gram), "set_gram");
    printf("%lld x %lld, %lld rows\n", (long long)rows, (long long)cols, (long long)tokens);
    run(ctx, problem, "wanda", "", "2:4");
    run(ctx, problem, "sparsegpt", "preset=paper", "2:4");
    run(ctx, problem, "sparsegpt", "", "2:4");
    run(ctx, problem, "alps", "", "2:4");
    run(ctx, problem, "alps", "damp_rule=transfer", "2:4");
    run(ctx, problem, "gptq", "", "int4 g128");
    run(ctx, problem, "quantease", "", "int4 g128");
    s24_problem_destroy(problem);
    s24_gram_destroy(gram);
    s24_ctx_destroy(ctx);
    return 0;
}
