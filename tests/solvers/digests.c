/*
 * One line for each solver and constraint: a digest of everything in the result, the same for 1, 2,
 * 3 and 8 threads of ours, for a host's runner in another order, on each instruction set, for new
 * handles and for used ones. check_digests.sh compares the lines of several runs. With the word
 * "wide" the layer is so wide that BLAS would share its products out if it were not held; then in
 * one way only.
 */
#include <sparse24/sparse24.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 70, TOKENS = 300, MOST = 520 };

static int32_t cols = 136;
static float w[ROWS * MOST], pruned[ROWS * MOST], x[TOKENS * MOST], t[TOKENS * ROWS];
static uint8_t kept[ROWS * MOST];

static const char *const constraints[] = {"2:4",  "4:8",      "50%",        "row 70%",
                                          "mask", "int4 g68", "2:4 + int4", "2:4 + rank 4"};
enum { CONSTRAINTS = sizeof constraints / sizeof *constraints };

static void need(s24_status status, const char *what)
{
    if (status == S24_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, s24_last_error());
    exit(1);
}
#define NEED(call) need(call, #call)

static s24_mat view(void *data, int64_t rows, int64_t cols, int32_t dtype)
{
    s24_mat mat;

    NEED(s24_mat_rowmajor(&mat, data, rows, cols, dtype));
    return mat;
}

static void fill(void)
{
    uint64_t seed = 7;

    for (int i = 0; i < TOKENS * cols; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        x[i] = (float)(int32_t)(seed >> 32) / 2147483648.0f + (i % cols ? 0.7f * x[i - 1] : 0);
    }
    for (int i = 0; i < ROWS * cols; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        w[i] = (float)(int32_t)(seed >> 32) / 2147483648.0f;
        kept[i] = i % 4 == 1 || i % 4 == 2;
        pruned[i] = kept[i] ? w[i] : 0;
    }
    for (int i = 0; i < TOKENS * ROWS; i++)
        t[i] = x[i / ROWS * cols + i % ROWS] * 0.5f;
}

/* ---- Ways to run ---- */

/* From the last index to the first, on workers in turn. */
static int32_t backwards(void *user, s24_task_fn task, void *arg, int64_t count, int32_t workers)
{
    (void)user;
    for (int64_t i = count - 1; i >= 0; i--)
        task(arg, i, (int32_t)(i * 5 % workers));
    return 0;
}

/* Way 0 .. 3: our threads; 4 .. 7: the host's; 8 and on: other instruction sets. False past the
 * last. */
static bool set_way(s24_ctx *ctx, int way)
{
    static const int64_t threads[] = {1, 2, 3, 8};
    static const char *const isas[] = {"ref", "avx2", "avx512"};

    if (way < 4)
        NEED(s24_ctx_set_int(ctx, "threads", threads[way]));
    else if (way < 8)
        NEED(s24_ctx_set_parallel(ctx, backwards, NULL, (int32_t)threads[way - 4]));
    else if (way < 11)
        return s24_ctx_set_str(ctx, "isa", isas[way - 8]) != S24_E_OPTION;
    return way < 11;
}

/* ---- One solve ---- */

static uint64_t digest_result(const s24_result *result)
{
    uint64_t digest = 14695981039346656037u;
    const char *name;

    for (int32_t i = 0, kind; (name = s24_result_name(result, i, &kind)); i++) {
        s24_mat part;
        if (kind != S24_RESULT_MATRIX || s24_result_matrix(result, name, &part))
            continue;
        const uint8_t *bytes = part.data;
        for (int64_t k = 0; k < part.rows * part.cols * (part.dtype & 255) / 8; k++)
            digest = (digest ^ bytes[k]) * 1099511628211u;
    }
    double loss;
    NEED(s24_result_float(result, "loss", &loss));
    for (size_t k = 0; k < sizeof loss; k++)
        digest = (digest ^ ((uint8_t *)&loss)[k]) * 1099511628211u;
    return digest;
}

/* 0: the solver does not honour it. */
static uint64_t solve(s24_solver *solver, const s24_problem *problem)
{
    s24_result *result = NULL;
    s24_status status = s24_solve(solver, problem, &result);

    if (status == S24_E_UNSUPPORTED || status == S24_E_STATE)
        return 0;
    need(status, "s24_solve");
    uint64_t digest = digest_result(result);
    s24_result_destroy(result);
    return digest;
}

/* Everything anew, then once more with the same handles. */
static uint64_t run(const char *name, const char *text, bool *repeats, bool *more, int way)
{
    s24_ctx *ctx;
    s24_gram *gram;
    s24_cross *cross;
    s24_problem *problem;
    s24_solver *solver;
    bool masked = !strcmp(text, "mask");
    s24_mat rows = view(x, TOKENS, cols, S24_F32), wanted = view(t, TOKENS, ROWS, S24_F32),
            mask = view(kept, ROWS, cols, S24_U8),
            weights = view(strcmp(name, "refit") ? w : pruned, ROWS, cols, S24_F32);

    NEED(s24_ctx_create(&ctx));
    *more = set_way(ctx, way);
    NEED(s24_gram_create(ctx, cols, S24_F32, &gram));
    NEED(s24_cross_create(gram, ROWS, &cross));
    NEED(s24_gram_add_targets(gram, &rows, NULL, &cross, &wanted, 1));
    NEED(s24_problem_create(ctx, &weights, &problem));
    NEED(s24_problem_set_gram(problem, gram));
    NEED(s24_problem_set_target(problem, cross, 0.3));
    NEED(s24_solver_create(ctx, name, &solver));
    if (cols == MOST)
        s24_solver_set_int(solver, "max_iter", 4); /* where there are iterations */
    uint64_t digest = 0;
    if (masked ? s24_problem_set_mask(problem, &mask) == S24_OK
               : s24_problem_parse(problem, text) == S24_OK)
        digest = solve(solver, problem);
    *repeats = !digest || solve(solver, problem) == digest;
    s24_solver_destroy(solver);
    s24_problem_destroy(problem);
    s24_cross_destroy(cross);
    s24_gram_destroy(gram);
    s24_ctx_destroy(ctx);
    return digest;
}

int main(int count, char **words)
{
    int failed = 0;
    bool repeats, more = true;

    bool wide = count > 1 && !strcmp(words[1], "wide");
    if (wide)
        cols = MOST;
    fill();
    for (int32_t k = 0; k < s24_solver_count(); k++)
        for (int c = 0; c < CONSTRAINTS; c++) {
            const char *name = s24_solver_name(k);
            uint64_t first = run(name, constraints[c], &repeats, &more, 0);
            for (int way = 1; first && more && !wide; way++) {
                uint64_t other = run(name, constraints[c], &repeats, &more, way);
                if (more && (other != first || !repeats)) {
                    printf("%s on %s: other bits (way %d)\n", name, constraints[c], way);
                    failed = 1;
                }
            }
            if (first)
                printf("%s %s %016" PRIx64 "\n", name, constraints[c], first);
        }
    return failed;
}
