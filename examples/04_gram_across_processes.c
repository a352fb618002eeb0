/* Data-parallel calibration: two processes read half of the rows each, the parent adds their sums.
 * Over MPI or sockets it is the same: export, send, import, merge.
 * Usage: 04_gram_across_processes [LAYERS.safetensors] */
#include <math.h>
#include <sparse24/sparse24.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DIM = 576, ROWS = 2048, WORKERS = 2, HALVES = 2 };
static s24_ctx *ctx;
static s24_file *file;

/* What a worker sends for each of the two halves that a gram keeps: sums and row count. */
typedef struct message {
    float h[DIM * DIM];
    double rows;
} message;

static void must(int fine)
{
    if (!fine) {
        fprintf(stderr, "process %d: %s\n", (int)getpid(), s24_last_error());
        exit(1);
    }
}

static s24_gram *read_rows(int64_t first, int64_t count)
{
    s24_gram *gram;
    s24_mat x;
    must(!s24_file_get(file, "x.attn", &x) && x.dtype == S24_F16 && first + count <= x.rows);
    x.data = (uint16_t *)x.data + first * x.row_stride;
    x.rows = count;
    must(!s24_gram_create(ctx, DIM, S24_F32, &gram) && !s24_gram_add(gram, &x, NULL));
    return gram;
}

static double error_with(s24_gram *gram)
{
    s24_problem *problem = NULL;
    s24_solver *solver = NULL;
    s24_result *result = NULL;
    s24_mat w;
    double error;
    must(!s24_file_get(file, "w.k", &w) && !s24_problem_create(ctx, &w, &problem));
    must(!s24_problem_set_gram(problem, gram) && !s24_problem_parse(problem, "2:4"));
    must(!s24_solver_create(ctx, "wanda", &solver) && !s24_solve(solver, problem, &result));
    must(!s24_result_float(result, "relative_loss", &error));
    s24_result_destroy(result);
    s24_solver_destroy(solver);
    s24_problem_destroy(problem);
    s24_gram_destroy(gram);
    return error;
}

int main(int argc, char **argv)
{
    message(*sent)[HALVES] = mmap(NULL, WORKERS * sizeof *sent, PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    s24_gram *part, *sum;
    s24_mat h;
    must(sent != MAP_FAILED && !s24_ctx_create(&ctx));
    must(!s24_file_open(ctx, argc > 1 ? argv[1] : "examples/data/smollm2-block10-small.safetensors",
                        &file));
    for (int i = 0; i < WORKERS; i++) {
        if (fork() != 0)
            continue;
        part = read_rows(i * ROWS / WORKERS, ROWS / WORKERS); /* context and file came along */
        for (int k = 0; k < HALVES; k++)
            must(!s24_mat_rowmajor(&h, sent[i][k].h, DIM, DIM, S24_F32) &&
                 !s24_gram_export(part, k + 1, &h, &sent[i][k].rows));
        _exit(0);
    }
    for (int i = 0, status; i < WORKERS; i++)
        must(wait(&status) > 0 && status == 0);

    must(!s24_gram_create(ctx, DIM, S24_F32, &sum) && !s24_gram_create(ctx, DIM, S24_F32, &part));
    for (int i = 0; i < WORKERS; i++) {
        for (int k = 0; k < HALVES; k++)
            must(!s24_mat_rowmajor(&h, sent[i][k].h, DIM, DIM, S24_F32) &&
                 !s24_gram_import(part, k + 1, &h, sent[i][k].rows));
        must(!s24_gram_merge(sum, part));
    }
    double two = error_with(sum), one = error_with(read_rows(0, ROWS));
    printf("w.k to 2:4: error %.8f from two processes, %.8f from one\n", two, one);
    s24_gram_destroy(part);
    s24_file_destroy(file);
    s24_ctx_destroy(ctx);
    return fabs(two - one) > 1e-5 * one; /* sums in another order: rounding, no more */
}
