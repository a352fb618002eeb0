/* Speed of a block's forward and backward pass with the gradients of all matrices, and of a step
 * of Adam, against large products of the same run: one JSON object a line. Sizes of
 * SmolLM2-135M's blocks, 8 rows of 512 tokens; rates are of processor time, for neighbours come and
 * go. Usage: bench_training [THREADS] */
#include "../tests/model/tiny.h"
#include "adam.h"
#include "tape.h"
#include <time.h>
#include <unistd.h>

enum { ROWS = 8, LENGTH = 512, TOKENS = ROWS * LENGTH, SIDE = 2048, SAMPLES = 5, MATRICES = 7 };

static const tiny_model smol = {"smol",      "llama",     .layers = 1,    .hidden = 576,
                                .ffn = 1536, .heads = 9,  .kv_heads = 3,  .head_dim = 64,
                                .vocab = 96, .eps = 1e-5, .base = 100000, .tied = true};

/* Of all threads of this process. */
static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void must(bool done)
{
    if (!done) {
        fprintf(stderr, "%s\n", s24_last_error());
        exit(1);
    }
}

/* What is measured in turn. */
typedef struct work {
    s24_ctx *ctx;
    s24m_model *model;
    s24m_block block;
    s24m_tape tape;
    s24m_adam adam;
    s24m_gradients to;
    float *x, *a, *b, *y;
} work;

static void open_work(work *w, int threads)
{
    char path[] = "/tmp/sparse24-bench-XXXXXX";
    close(mkstemp(path));
    tiny_must(s24_ctx_create(&w->ctx));
    tiny_must(s24_ctx_set_int(w->ctx, "threads", threads));
    tiny_write(w->ctx, path, &smol);
    tiny_must(s24m_open(w->ctx, path, &w->model));
    tiny_must(s24m_block_load(w->model, 0, &w->block));
    unlink(path);
    must(s24m_tape_open(&w->tape, w->model, TOKENS));
    must(s24m_gradients_open(&w->to, MATRICES));
    must(s24m_adam_open(&w->adam, w->ctx, MATRICES));
    w->adam.rate = 1e-6;
    w->adam.steps = 1000;
    for (int i = 0; i < MATRICES; i++) {
        const s24_mat *m = &w->block.linear[i].weights;
        s24m_parameter *p = s24m_adam_add(&w->adam, "w", m->data, m->rows * m->cols, true);
        must(p);
        w->to.weights[i] = p->gradient;
    }
    w->x = tiny_values("input", TOKENS * smol.hidden, 0.25, 0);
    w->a = tiny_values("a", (int64_t)SIDE * SIDE, 1, 0);
    w->b = tiny_values("b", (int64_t)SIDE * SIDE, 1, 0);
    w->y = tiny_values("y", (int64_t)SIDE * SIDE, 1, 0);
}

static void run_forward(work *w)
{
    must(s24m_tape_forward(&w->tape, &w->block, w->x, ROWS, LENGTH));
}

static void run_back(work *w)
{
    memcpy(w->tape.dy, w->x, (size_t)(TOKENS * smol.hidden) * sizeof(float));
    must(s24m_tape_back(&w->tape, &w->to));
}

static void run_adam(work *w)
{
    must(s24m_adam_step(&w->adam));
}

static void run_products(work *w)
{
    s24_mat a, b, y;
    tiny_must(s24_mat_rowmajor(&a, w->a, SIDE, SIDE, S24_F32));
    tiny_must(s24_mat_rowmajor(&b, w->b, SIDE, SIDE, S24_F32));
    tiny_must(s24_mat_rowmajor(&y, w->y, SIDE, SIDE, S24_F32));
    tiny_must(s24_mat_multiply(w->ctx, &a, &b, &y));
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(work *w);
        double forwards; /* operations of so many forward passes */
    } parts[] = {{"products", run_products, 0},
                 {"forward", run_forward, 1},
                 {"back", run_back, 2},
                 {"adam", run_adam, 0}};
    enum { PARTS = sizeof parts / sizeof *parts };
    int threads = argc > 1 ? atoi(argv[1]) : 2;
    double best[PARTS] = {0};
    work w = {.ctx = NULL};
    open_work(&w, threads);
    for (int i = 0; i < SAMPLES; i++)
        for (int p = 0; p < PARTS; p++) {
            double start = seconds();
            parts[p].run(&w);
            double took = seconds() - start;
            best[p] = i && best[p] < took ? best[p] : took;
        }
    double forward = s24m_flops(w.model, 0, ROWS, LENGTH), rate = 2.0 * SIDE * SIDE * SIDE / *best;
    for (int p = 0; p < PARTS; p++)
        printf("{\"part\": \"%s\", \"threads\": %d, \"seconds\": %.4f, \"of_products\": %.2f}\n",
               parts[p].name, threads, best[p],
               p ? parts[p].forwards * forward / best[p] / rate : 1);
    printf("{\"part\": \"forward and back\", \"threads\": %d, \"of_products\": %.2f}\n", threads,
           3 * forward / (best[1] + best[2]) / rate);
    return 0;
}
