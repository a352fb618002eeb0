/* What an inference engine does with a result: two layers of a network are compressed, go straight into packed 2:4 form, and run from it.
 * Usage: mlp [LAYERS.safetensors [LAYOUT]] */
#include <math.h>
#include <sparse24/sparse24.h>
#include <stdio.h>
#include <stdlib.h>

enum { TOKENS = 256, WIDTH = 576, OUT = 192 };
static s24_ctx *ctx;

static void must(s24_status status)
{
    if (status == S24_OK)
        return;
    fprintf(stderr, "%s: %s\n", s24_status_name(status), s24_last_error());
    exit(1);
}

static s24_mat view(float *data, int64_t rows, int64_t cols)
{
    s24_mat mat;
    must(s24_mat_rowmajor(&mat, data, rows, cols, S24_F32));
    return mat;
}

/* One layer: calibrate on its inputs, solve, pack. `v` receives the dense weights for comparison. */
static s24_packed *compress(const s24_mat *w, const s24_mat *x, const char *layout,
                            const s24_mat *v)
{
    s24_gram *gram;
    s24_problem *problem;
    s24_solver *solver;
    s24_result *result;
    s24_packed *packed;
    must(s24_gram_create(ctx, x->cols, S24_F32, &gram));
    must(s24_gram_add(gram, x, NULL));
    must(s24_problem_create(ctx, w, &problem));
    must(s24_problem_set_gram(problem, gram));
    must(s24_problem_parse(problem, "2:4"));
    must(s24_solver_create(ctx, "sparsegpt", &solver));
    must(s24_solve(solver, problem, &result));
    must(s24_pack_result(ctx, result, layout, &packed)); /* with the mask: a kept 0 stays kept */
    must(s24_unpack(packed, v));
    s24_result_destroy(result);
    s24_solver_destroy(solver);
    s24_problem_destroy(problem);
    s24_gram_destroy(gram);
    return packed;
}

static void relu(float *x)
{
    for (int i = 0; i < TOKENS * WIDTH; i++)
        x[i] = x[i] > 0 ? x[i] : 0;
}

int main(int argc, char **argv)
{
    static float h[TOKENS * WIDTH], y[TOKENS * OUT], dense[TOKENS * OUT];
    static float v[WIDTH * WIDTH], u[OUT * WIDTH];
    const char *path = argc > 1 ? argv[1] : "examples/data/smollm2-block10-small.safetensors";
    const char *layout = argc > 2 ? argv[2] : "ri16x32:bf16";
    double difference = 0, norm = 0;
    s24_file *file;
    s24_mat w1, w2, x, v1 = view(v, WIDTH, WIDTH), v2 = view(u, OUT, WIDTH);
    s24_mat hidden = view(h, TOKENS, WIDTH), out = view(y, TOKENS, OUT);
    s24_mat compare = view(dense, TOKENS, OUT);
    must(s24_ctx_create(&ctx));
    must(s24_file_open(ctx, path, &file));
    must(s24_file_get(file, "w.o", &w1));
    must(s24_file_get(file, "w.v", &w2));
    must(s24_file_get(file, "x.o", &x));
    x.rows = TOKENS;

    s24_packed *first = compress(&w1, &x, layout, &v1);
    must(s24_packed_multiply(first, &x, &hidden));
    relu(h); /* the second layer is calibrated on what the first now gives */
    s24_packed *second = compress(&w2, &hidden, layout, &v2);
    must(s24_packed_multiply(second, &hidden, &out));

    must(s24_mat_multiply(ctx, &x, &v1, &hidden)); /* the same network, dense */
    relu(h);
    must(s24_mat_multiply(ctx, &hidden, &v2, &compare));
    for (int i = 0; i < TOKENS * OUT; i++) {
        difference += (y[i] - dense[i]) * (y[i] - dense[i]);
        norm += dense[i] * dense[i];
    }
    printf("%s: relative difference to the dense product %.1e\n", layout, sqrt(difference / norm));
    s24_packed_destroy(first);
    s24_packed_destroy(second);
    s24_file_destroy(file);
    s24_ctx_destroy(ctx);
    return !(sqrt(difference / norm) < 1e-5);
}
