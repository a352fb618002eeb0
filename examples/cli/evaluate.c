#include "evaluate.h"
#include "clock.h"
#include "message.h"
#include "progress.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One pass over all rows. */
typedef struct pass {
    llama_model *model;
    const tokens *t;
    const char *title;
    float *h;                 /* activations of all rows */
    double flops, done_flops; /* of the whole pass; so far */
} pass;

bool product_rate(s24_ctx *ctx, double *rate)
{
    enum { SIZE = 1024, TIMES = 8 };
    float *data = must(calloc(3 * SIZE * SIZE, sizeof *data));
    s24_mat x, w, y;
    bool done = s24_mat_rowmajor(&x, data, SIZE, SIZE, S24_F32) == S24_OK &&
                s24_mat_rowmajor(&w, data + SIZE * SIZE, SIZE, SIZE, S24_F32) == S24_OK &&
                s24_mat_rowmajor(&y, data + 2 * SIZE * SIZE, SIZE, SIZE, S24_F32) == S24_OK;
    *rate = 0;
    for (int i = 0; done && i < TIMES; i++) {
        double start = now();
        done = s24_mat_multiply(ctx, &x, &w, &y) == S24_OK;
        *rate = fmax(*rate, 2.0 * SIZE * SIZE * SIZE / (now() - start));
    }
    free(data);
    return done || fail_library("a product of %d x %d", (int)SIZE, (int)SIZE);
}

bool evaluate_check(const llama_model *model, const tokens *t, const char *what)
{
    return t->length <= model->config.context ||
           fail("%s: rows of %lld tokens, but the model's context is %lld", what,
                (long long)t->length, (long long)model->config.context);
}

/* Account for what a chunk took, show it; false if the user wants to stop. */
static bool go_on(pass *p, double flops)
{
    p->done_flops += flops;
    progress_show(p->title, "", (int64_t)(p->done_flops / 1e6), (int64_t)(p->flops / 1e6));
    return !progress_interrupted();
}

static int64_t rows_in_chunk(const tokens *t, int64_t first)
{
    int64_t chunk = llama_chunk(t->length);
    return t->rows - first < chunk ? t->rows - first : chunk;
}

static float *activations_at(const pass *p, int64_t row)
{
    return p->h + row * p->t->length * p->model->config.hidden;
}

static bool run_block(pass *p, int64_t index)
{
    const tokens *t = p->t;
    llama_block block;
    if (!llama_done(llama_block_load(p->model, index, &block)))
        return false;
    bool done = true;
    for (int64_t r = 0, count; done && r < t->rows; r += count) {
        double flops, head;
        count = rows_in_chunk(t, r);
        llama_flops(p->model, count, t->length, &flops, &head);
        done = llama_done(
                   llama_forward_block(p->model, &block, activations_at(p, r), count, t->length)) &&
               go_on(p, flops);
    }
    llama_block_free(&block);
    return done;
}

static bool run_head(pass *p, double *nll)
{
    const tokens *t = p->t;
    llama_head head;
    if (!llama_done(llama_head_load(p->model, &head)))
        return false;
    bool done = true;
    for (int64_t r = 0, count; done && r < t->rows; r += count) {
        double block, flops;
        count = rows_in_chunk(t, r);
        llama_flops(p->model, count, t->length, &block, &flops);
        done = llama_done(llama_head_loss(p->model, &head, activations_at(p, r),
                                          t->ids + r * t->length, count, t->length,
                                          nll + r * (t->length - 1))) &&
               go_on(p, flops);
    }
    llama_head_free(&head);
    return done;
}

bool evaluate(llama_model *model, const tokens *t, const char *title, evaluation *e)
{
    pass p = {.model = model, .t = t, .title = title};
    const llama_config *c = &model->config;
    int64_t count = t->rows * (t->length - 1);
    double block, head, start = now();
    llama_flops(model, t->rows, t->length, &block, &head);
    p.flops = block * (double)c->layers + head;
    p.h = must(malloc((size_t)(t->rows * t->length * c->hidden) * sizeof *p.h));
    double *nll = must(malloc((size_t)count * sizeof *nll));
    bool done = llama_done(llama_embed(model, t->ids, t->rows * t->length, p.h));
    for (int64_t i = 0; done && i < c->layers; i++)
        done = run_block(&p, i);
    done = done && run_head(&p, nll);
    *e = (evaluation){.flops = p.flops};
    for (int64_t i = 0; done && i < count; i++)
        e->mean += nll[i] / (double)count;
    e->seconds = now() - start;
    progress_clear();
    free(nll);
    free(p.h);
    return done && (isfinite(e->mean) || fail("the loss is not finite: weights with NaN?"));
}
