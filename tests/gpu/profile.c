/* Where the time of a solve goes: profile LIBRARY:INDEX ROWS COLS SOLVER OPTIONS CONSTRAINTS. Every
 * operation is waited for and timed. */
#include "api/api.h"
#include "base/clock.h"
#include <stdio.h>
#include <stdlib.h>

extern int cudaDeviceSynchronize(void);

static s24i_device *gpu;
static struct {
    const char *what;
    double seconds;
    int64_t calls;
} spent[256];

enum {
#define S24I_OPERATION(scratch, name, parameters, arguments) AT_##name,
#include "ops/ops.def"
#undef S24I_OPERATION
    OPERATIONS
};

/* Those written in operations count by what they call. */
#define S24I_OPERATION(scratch, name, parameters, arguments)  \
    static s24_status timed_##name parameters                 \
    {                                                         \
        double began;                                         \
        cudaDeviceSynchronize();                              \
        began = s24i_seconds();                               \
        s24_status status_ = gpu->operations->name arguments; \
        cudaDeviceSynchronize();                              \
        spent[AT_##name].what = #name;                        \
        spent[AT_##name].seconds += s24i_seconds() - began;   \
        spent[AT_##name].calls++;                             \
        return status_;                                       \
    }
#include "ops/ops.def"
#undef S24I_OPERATION

static s24i_operations timed = {
#define S24I_OPERATION(scratch, name, parameters, arguments) .name = timed_##name,
#include "ops/ops.def"
#undef S24I_OPERATION
};

static void ok(s24_status status, const char *what)
{
    if (status == S24_OK)
        return;
    printf("not ok - %s: %s\n", what, s24_last_error());
    exit(1);
}

int main(int argc, char **argv)
{
    s24_ctx *ctx;
    s24_gram *gram;
    s24_problem *problem;
    s24_solver *solver;
    s24_result *result;
    s24_mat w, x;
    double began;

    if (argc < 7)
        return 2;
    int64_t rows = atoll(argv[2]), cols = atoll(argv[3]), tokens = cols + 1000;
    float *weights = malloc((size_t)(rows * cols) * sizeof(float));
    float *inputs = malloc((size_t)(tokens * cols) * sizeof(float));
    for (int64_t i = 0; i < rows * cols; i++)
        weights[i] = (float)(s24i_mixed(1, (uint64_t)i) >> 40) * 0x1p-24f - 0.5f;
    for (int64_t i = 0; i < tokens * cols; i++)
        inputs[i] = (float)(s24i_mixed(2, (uint64_t)i) >> 40) * 0x1p-24f - 0.5f +
                    (i % cols ? 0.5f * inputs[i - 1] : 0);
    ok(s24_ctx_create(&ctx), "context");
    ok(s24_ctx_set_str(ctx, "device", argv[1]), argv[1]);
    gpu = &ctx->plug.device;
    static s24i_device slow;
    slow = *gpu;
    timed.prepare = gpu->operations->prepare;
    timed.aim = gpu->operations->aim;
    timed.admm_published = gpu->operations->admm_published;
    slow.operations = &timed;
    ctx->device = &slow;
    ok(s24_mat_rowmajor(&w, weights, rows, cols, S24_F32), "w");
    ok(s24_mat_rowmajor(&x, inputs, tokens, cols, S24_F32), "x");
    ok(s24_gram_create(ctx, cols, S24_F32, &gram), "gram");
    began = s24i_seconds();
    ok(s24_gram_add(gram, &x, NULL), "add");
    printf("gram of %lld host rows: %.4f s\n", (long long)tokens, s24i_seconds() - began);
    ok(s24_problem_create(ctx, &w, &problem), "problem");
    ok(s24_problem_set_gram(problem, gram), "set_gram");
    ok(s24_problem_parse(problem, argv[6]), argv[6]);
    ok(s24_solver_create(ctx, argv[4], &solver), argv[4]);
    ok(s24_solver_parse(solver, argv[5]), argv[5]);
    for (int i = 0; i < 2; i++) {
        double all = 0;
        for (int k = 0; k < OPERATIONS; k++)
            spent[k].seconds = 0, spent[k].calls = 0;
        began = s24i_seconds();
        ok(s24_solve(solver, problem, &result), "solve");
        began = s24i_seconds() - began;
        for (int k = 0; k < OPERATIONS; k++)
            all += spent[k].seconds;
        printf("%s[%s] %s %lld x %lld: %.4f s, in operations %.4f\n", argv[4], argv[5], argv[6],
               (long long)rows, (long long)cols, began, all);
        for (int k = 0; k < OPERATIONS && i; k++)
            if (spent[k].calls && spent[k].seconds > 0.0005)
                printf("  %-18s %4lld calls %.4f s\n", spent[k].what, (long long)spent[k].calls,
                       spent[k].seconds);
        s24_result_destroy(result);
    }
    return 0;
}
