/* sparse24 eval: perplexity of a model, layer by layer over all rows, so that weights are read once. */
#include "commands.h"
#include "layer.h"
#include "llama.h"
#include "message.h"
#include "progress.h"
#include "record.h"
#include "tokens.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct evaluation {
    s24_ctx *ctx;
    llama_model *model;
    tokens tokens;
    float *h;                 /* activations of all rows */
    double flops, done_flops; /* of the whole pass; so far */
    double rate;              /* of large products, flop/s */
    double seconds, mean;     /* of -log p */
} evaluation;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The best of some large products: what this machine could do. */
static bool measure_rate(evaluation *e)
{
    enum { SIZE = 1024, TIMES = 8 };
    float *data = must(calloc(3 * SIZE * SIZE, sizeof *data));
    s24_mat x, w, y;
    bool done = s24_mat_rowmajor(&x, data, SIZE, SIZE, S24_F32) == S24_OK &&
                s24_mat_rowmajor(&w, data + SIZE * SIZE, SIZE, SIZE, S24_F32) == S24_OK &&
                s24_mat_rowmajor(&y, data + 2 * SIZE * SIZE, SIZE, SIZE, S24_F32) == S24_OK;
    for (int i = 0; done && i < TIMES; i++) {
        double start = now();
        done = s24_mat_multiply(e->ctx, &x, &w, &y) == S24_OK;
        e->rate = fmax(e->rate, 2.0 * SIZE * SIZE * SIZE / (now() - start));
    }
    free(data);
    return done || fail_library("eval");
}

static bool open_inputs(evaluation *e, const args *a)
{
    if (!context_open(&e->ctx, a))
        return false;
    if (llama_open(e->ctx, a->operand, &e->model) != S24_OK)
        return fail("eval %s: %s", a->operand, llama_error());
    const llama_config *c = &e->model->config;
    if (!tokens_open(&e->tokens, e->ctx, "--tokens", a->tokens, a->rows, a->context, c->vocab))
        return false;
    return e->tokens.length <= c->context ||
           fail("--tokens %s: rows of %lld tokens, but the model's context is %lld", a->tokens,
                (long long)e->tokens.length, (long long)c->context);
}

/* Account for what a chunk took, show it; false if the user wants to stop. */
static bool go_on(evaluation *e, double flops)
{
    e->done_flops += flops;
    progress_show("eval", "", (int64_t)(e->done_flops / 1e6), (int64_t)(e->flops / 1e6));
    if (!progress_interrupted())
        return true;
    progress_clear();
    return fail("interrupted");
}

static int64_t rows_in_chunk(const tokens *t, int64_t first)
{
    int64_t chunk = llama_chunk(t->length);
    return t->rows - first < chunk ? t->rows - first : chunk;
}

static bool run_block(evaluation *e, int64_t index)
{
    const tokens *t = &e->tokens;
    llama_block block;
    bool done = true;
    if (llama_block_load(e->model, index, &block) != S24_OK)
        return fail("%s", llama_error());
    for (int64_t r = 0, count; done && r < t->rows; r += count) {
        double flops, head;
        count = rows_in_chunk(t, r);
        llama_flops(e->model, count, t->length, &flops, &head);
        float *h = e->h + r * t->length * e->model->config.hidden;
        done = llama_forward_block(e->model, &block, h, count, t->length) == S24_OK ||
               fail("%s", llama_error());
        done = done && go_on(e, flops);
    }
    llama_block_free(&block);
    return done;
}

static bool run_head(evaluation *e, double *nll)
{
    const tokens *t = &e->tokens;
    llama_head head;
    bool done = true;
    if (llama_head_load(e->model, &head) != S24_OK)
        return fail("%s", llama_error());
    for (int64_t r = 0, count; done && r < t->rows; r += count) {
        double block, flops;
        count = rows_in_chunk(t, r);
        llama_flops(e->model, count, t->length, &block, &flops);
        done = llama_head_loss(e->model, &head, e->h + r * t->length * e->model->config.hidden,
                               t->ids + r * t->length, count, t->length,
                               nll + r * (t->length - 1)) == S24_OK ||
               fail("%s", llama_error());
        done = done && go_on(e, flops);
    }
    llama_head_free(&head);
    return done;
}

static bool forward(evaluation *e)
{
    const tokens *t = &e->tokens;
    const llama_config *c = &e->model->config;
    int64_t count = t->rows * (t->length - 1);
    double block, head, start = now();
    llama_flops(e->model, t->rows, t->length, &block, &head);
    e->flops = block * (double)c->layers + head;
    e->h = must(malloc((size_t)(t->rows * t->length * c->hidden) * sizeof *e->h));
    double *nll = must(malloc((size_t)count * sizeof *nll));
    bool done = llama_embed(e->model, t->ids, t->rows * t->length, e->h) == S24_OK ||
                fail("%s", llama_error());
    for (int64_t i = 0; done && i < c->layers; i++)
        done = run_block(e, i);
    done = done && run_head(e, nll);
    for (int64_t i = 0; done && i < count; i++)
        e->mean += nll[i] / (double)count;
    e->seconds = now() - start;
    progress_clear();
    free(nll);
    return done && (isfinite(e->mean) || fail("the loss is not finite: weights with NaN?"));
}

static void report(const evaluation *e, bool as_json)
{
    const tokens *t = &e->tokens;
    double count = (double)(t->rows * (t->length - 1));
    double efficiency = e->flops / (e->seconds * e->rate);
    if (!as_json) {
        printf("%-13s%.6g\n", "perplexity", exp(e->mean));
        printf("%-13s%.0f predicted in %lld rows of %lld\n", "tokens", count, (long long)t->rows,
               (long long)t->length);
        printf("%-13s%.2f\n", "seconds", e->seconds);
        printf("%-13s%.2f of the rate of large products, %.0f GFLOP/s\n", "efficiency", efficiency,
               1e-9 * e->rate);
        return;
    }
    char *record = must(strdup("{}"));
    record = record_put_number(record, "perplexity", exp(e->mean));
    record = record_put_number(record, "nll", e->mean);
    record = record_put_number(record, "tokens", count);
    record = record_put_number(record, "rows", (double)t->rows);
    record = record_put_number(record, "context", (double)t->length);
    record = record_put_number(record, "seconds", e->seconds);
    record = record_put_number(record, "efficiency", efficiency);
    puts(record);
    free(record);
}

int run_eval(const args *a)
{
    evaluation e = {0};
    progress_start(a->progress);
    bool done = open_inputs(&e, a) && measure_rate(&e) && forward(&e);
    if (done)
        report(&e, a->json);
    free(e.h);
    tokens_close(&e.tokens);
    llama_close(e.model);
    s24_ctx_destroy(e.ctx);
    return done ? DONE : FAILED;
}
