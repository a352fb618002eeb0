/* Run every solver of this build on one layer; those that cannot honour the constraints say so.
 * Usage: 02_compare_solvers [LAYERS.safetensors [CONSTRAINTS]] */
#include <sparse24/sparse24.h>
#include <stdio.h>
#include <stdlib.h>

static void must(s24_status status)
{
    if (status == S24_OK)
        return;
    fprintf(stderr, "%s: %s\n", s24_status_name(status), s24_last_error());
    exit(1);
}

static s24_problem *make_problem(s24_ctx *ctx, const s24_file *file, const char *rows)
{
    s24_mat w, x;
    s24_gram *gram;
    s24_problem *problem;
    must(s24_file_get(file, "w.v", &w));
    must(s24_file_get(file, rows, &x));
    must(s24_gram_create(ctx, x.cols, S24_F32, &gram));
    must(s24_gram_add(gram, &x, NULL));
    must(s24_problem_create(ctx, &w, &problem));
    must(s24_problem_set_gram(problem, gram));
    s24_gram_destroy(gram); /* the problem keeps it */
    return problem;
}

/* `judge` is the same layer on rows that the solver never sees. */
static void report(const char *name, const s24_result *result, const s24_problem *judge)
{
    s24_mat v;
    double error, loss, heldout, seconds;
    must(s24_result_matrix(result, "weights", &v));
    must(s24_result_float(result, "relative_loss", &error));
    must(s24_result_float(result, "seconds", &seconds));
    must(s24_problem_loss(judge, &v, &loss, &heldout));
    printf("%-12s %11.4f %9.4f %8.2f\n", name, error, heldout, seconds);
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "examples/data/smollm2-block10-small.safetensors";
    s24_ctx *ctx;
    s24_file *file;
    must(s24_ctx_create(&ctx));
    must(s24_file_open(ctx, path, &file));
    s24_problem *problem = make_problem(ctx, file, "x.attn");
    s24_problem *judge = make_problem(ctx, file, "x_test.attn");
    must(s24_problem_parse(problem, argc > 2 ? argv[2] : "2:4"));

    printf("%-12s %11s %9s %8s\n", "solver", "calibration", "held-out", "seconds");
    for (int32_t i = 0; i < s24_solver_count(); i++) {
        const char *name = s24_solver_name(i);
        s24_solver *solver;
        s24_result *result = NULL;
        must(s24_solver_create(ctx, name, &solver));
        s24_status status = s24_solve(solver, problem, &result);
        if (status == S24_OK)
            report(name, result, judge);
        else
            printf("%-12s %s\n", name, s24_last_error());
        s24_result_destroy(result);
        s24_solver_destroy(solver);
    }
    s24_problem_destroy(judge);
    s24_problem_destroy(problem);
    s24_file_destroy(file);
    s24_ctx_destroy(ctx);
    return 0;
}
