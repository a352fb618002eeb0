#include "fuzz.h"

/* Constraint texts. Accepted: some solver obeys, and the canonical text means the same. Refused:
 * the problem is as it was. */

enum { ROWS = 1, COLS = 64 };

/* The canonical text of what is asked, or "" where no solver of the table honours it. */
static void canonical(s24_ctx *ctx, const s24_problem *problem, char out[64])
{
    out[0] = 0;
    for (int32_t k = 0; k < s24_solver_count() && !*out; k++) {
        s24_solver *solver;
        s24_result *result = NULL;
        const char *text;
        CLAIM(!s24_solver_create(ctx, s24_solver_name(k), &solver));
        s24_solver_set_int(solver, "max_iter", 1); /* whoever has it */
        s24_status status = s24_solve(solver, problem, &result);
        CLAIM(status == S24_OK || status == S24_E_UNSUPPORTED || status == S24_E_STATE);
        if (result) {
            CLAIM(!s24_problem_check_result(problem, result));
            CLAIM(!s24_result_str(result, "constraints", &text) && strlen(text) < 64);
            strcpy(out, text);
        }
        s24_result_destroy(result);
        s24_solver_destroy(solver);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = {data, data + size};
    int64_t cols = fuzz_between(&in, 1, COLS);
    static float w[ROWS * COLS];
    char first[64], again[64], *text = fuzz_text(&in);
    s24_ctx *ctx = fuzz_open();
    s24_problem *problem;
    s24_mat view;

    for (int i = 0; i < ROWS * COLS; i++)
        w[i] = (float)(i * 37 % 101 - 50);
    CLAIM(!s24_ctx_set_int(ctx, "threads", 1));
    CLAIM(!s24_mat_rowmajor(&view, w, ROWS, cols, S24_F32));
    CLAIM(!s24_problem_create(ctx, &view, &problem) && !s24_problem_parse(problem, "row 10%"));
    s24_status status = s24_problem_parse(problem, text);
    fuzz_check_status(status);
    canonical(ctx, problem, first);
    CLAIM(!status || !strcmp(first, "row 10%"));
    if (*first) {
        CLAIM(!s24_problem_parse(problem, first));
        canonical(ctx, problem, again);
        CLAIM(!strcmp(first, again));
    }
    s24_problem_destroy(problem);
    fuzz_close(ctx);
    free(text);
    return 0;
}
