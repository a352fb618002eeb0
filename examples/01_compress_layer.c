/* Compress one layer to 2:4: read weights and activations, solve, check, write.
 * Usage: 01_compress_layer [LAYERS.safetensors [OUT.safetensors]] */
#include <sparse24/sparse24.h>
#include <stdio.h>
#include <stdlib.h>

/* Every call answers with a status; s24_last_error() says in words what was wrong. */
static void must(s24_status status)
{
    if (status == S24_OK)
        return;
    fprintf(stderr, "%s: %s\n", s24_status_name(status), s24_last_error());
    exit(1);
}

static void write_weights(s24_ctx *ctx, const char *path, const s24_mat *v)
{
    s24_file *file;
    int64_t shape[] = {v->rows, v->cols};
    must(s24_file_create(ctx, path, "safetensors", &file));
    must(s24_file_put(file, "w.o", v, shape, 2, "F16"));
    must(s24_file_commit(file)); /* only now the file appears */
    s24_file_destroy(file);
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "examples/data/smollm2-block10-small.safetensors";
    s24_ctx *ctx;
    s24_file *file;
    s24_mat w, x, v;
    s24_gram *gram;
    s24_problem *problem;
    s24_solver *solver;
    s24_result *result;
    double error;

    must(s24_ctx_create(&ctx));
    must(s24_file_open(ctx, path, &file));
    must(s24_file_get(file, "w.o", &w)); /* views into the mapped file, in f16 as they are */
    must(s24_file_get(file, "x.o", &x));

    must(s24_gram_create(ctx, x.cols, S24_F32, &gram));
    must(s24_gram_add(gram, &x, NULL)); /* once for each batch; rows are not kept */
    must(s24_problem_create(ctx, &w, &problem));
    must(s24_problem_set_gram(problem, gram));
    must(s24_problem_parse(problem, "2:4"));
    must(s24_solver_create(ctx, "sparsegpt", &solver));
    must(s24_solver_set_str(solver, "damp_rule", "auto"));
    must(s24_solve(solver, problem, &result));
    must(s24_problem_check_result(problem, result));

    must(s24_result_matrix(result, "weights", &v));
    must(s24_result_float(result, "relative_loss", &error));
    printf("w.o, %lld x %lld, to 2:4: relative error of the outputs %.4f\n", (long long)v.rows,
           (long long)v.cols, error);
    if (argc > 2)
        write_weights(ctx, argv[2], &v);

    s24_result_destroy(result); /* in any order: what is still needed stays alive */
    s24_solver_destroy(solver);
    s24_problem_destroy(problem);
    s24_gram_destroy(gram);
    s24_file_destroy(file);
    s24_ctx_destroy(ctx);
    return 0;
}
