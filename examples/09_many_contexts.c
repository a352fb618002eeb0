/* A server with one context a request: contexts in several threads at once never meet, and each gives the bits that it gives alone.
 * Usage: 09_many_contexts [LAYERS.safetensors] */
#include <pthread.h>
#include <sparse24/sparse24.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REQUESTS = 4, ROWS = 192, COLS = 576 };
static const char *path = "examples/data/smollm2-block10-small.safetensors";

typedef struct request {
    const char *solver, *tensor;
    int threads;
    char error[512]; /* texts are kept a thread: copy them before it ends */
    float v[ROWS * COLS];
} request;

static void *serve(void *pointer)
{
    request *r = pointer;
    s24_ctx *ctx = NULL;
    s24_file *file = NULL;
    s24_mat w, x;
    double error;
    if (s24_ctx_create(&ctx) || s24_ctx_set_int(ctx, "threads", r->threads) ||
        s24_mat_rowmajor(&w, r->v, ROWS, COLS, S24_F32) || s24_file_open(ctx, path, &file) ||
        s24_file_read(file, r->tensor, &w) || s24_file_get(file, "x.attn", &x) ||
        s24_compress(ctx, r->solver, NULL, "2:4", &x, &w, &error))
        snprintf(r->error, sizeof r->error, "%s", s24_last_error());
    s24_file_destroy(file);
    s24_ctx_destroy(ctx);
    return r;
}

int main(int argc, char **argv)
{
    static const char *const work[REQUESTS][2] = {
        {"sparsegpt", "w.k"}, {"wanda", "w.v"}, {"magnitude", "w.k"}, {"sparsegpt", "w.v"}};
    static request alone[REQUESTS], together[REQUESTS];
    pthread_t threads[REQUESTS];
    int failed = 0;
    if (argc > 1)
        path = argv[1];
    for (int i = 0; i < REQUESTS; i++) {
        together[i] = (request){.solver = work[i][0], .tensor = work[i][1], .threads = 1 + i % 2};
        alone[i] = together[i];
        alone[i].threads = 1; /* the number of threads does not matter either */
        serve(&alone[i]);
    }
    for (int i = 0; i < REQUESTS; i++)
        if (pthread_create(&threads[i], NULL, serve, &together[i]))
            return 1;
    for (int i = 0; i < REQUESTS; i++) {
        pthread_join(threads[i], NULL);
        const char *error = *together[i].error ? together[i].error : alone[i].error;
        int same = !*error && !memcmp(alone[i].v, together[i].v, sizeof alone[i].v);
        printf("%-10s %s: %s\n", work[i][0], work[i][1],
               *error ? error
               : same ? "the same bits as alone"
                      : "other bits than alone");
        failed |= !same;
    }
    return failed;
}
