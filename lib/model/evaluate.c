#include "evaluate.h"
#include "clock.h"
#include "memory.h"
#include "message.h"
#include "progress.h"
#include "source.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One pass over rows that are taken together. */
typedef struct pass {
    s24m_model *model;
    const tokens *t;
    const evaluating *how;
    float *h;                 /* activations of all rows */
    double flops, done_flops; /* of all passes; so far */
} pass;

bool s24m_product_rate(s24_ctx *ctx, double *rate)
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

bool s24m_evaluate_check(const s24m_model *model, const tokens *t, const char *what)
{
    return t->length <= model->config.context ||
           fail("%s: rows of %lld tokens, but the model's context is %lld", what,
                (long long)t->length, (long long)model->config.context);
}

/* Account for what a chunk took, show it; false if the user wants to stop. */
static bool go_on(pass *p, double flops)
{
    p->done_flops += flops;
    progress_show(p->how->title, "", (int64_t)(p->done_flops / 1e6), (int64_t)(p->flops / 1e6));
    return !progress_interrupted();
}

static int64_t rows_in_chunk(const tokens *t, int64_t first)
{
    int64_t chunk = s24m_chunk(t->length);
    return t->rows - first < chunk ? t->rows - first : chunk;
}

static float *activations_at(const pass *p, int64_t row)
{
    return p->h + row * p->t->length * p->model->config.hidden;
}

static bool run_block(pass *p, int64_t index)
{
    const tokens *t = p->t;
    s24m_block block;
    if (!s24m_done(s24m_block_load(p->model, index, &block)))
        return false;
    s24m_memory_let_go(p->model->file);
    bool done = !p->how->adjust || p->how->adjust(p->how->arg, &block);
    for (int64_t r = 0, count; done && r < t->rows; r += count) {
        double flops, head;
        count = rows_in_chunk(t, r);
        s24m_flops(p->model, count, t->length, &flops, &head);
        done = s24m_done(
                   s24m_forward_block(p->model, &block, activations_at(p, r), count, t->length)) &&
               go_on(p, flops);
    }
    s24m_block_free(&block);
    return done;
}

static bool run_head(pass *p, double *nll)
{
    const tokens *t = p->t;
    s24m_head head;
    if (!s24m_done(s24m_head_load(p->model, &head)))
        return false;
    bool done = true;
    for (int64_t r = 0, count; done && r < t->rows; r += count) {
        double block, flops;
        count = rows_in_chunk(t, r);
        s24m_flops(p->model, count, t->length, &block, &flops);
        done =
            s24m_done(s24m_head_loss(p->model, &head, activations_at(p, r), t->ids + r * t->length,
                                     count, t->length, nll + r * (t->length - 1))) &&
            go_on(p, flops);
    }
    s24m_head_free(&head);
    s24m_memory_let_go(p->model->file);
    return done;
}

static bool run_rows(pass *p, double *nll)
{
    const tokens *t = p->t;
    bool done = s24m_done(s24m_embed(p->model, t->ids, t->rows * t->length, p->h));
    for (int64_t i = 0; done && i < p->model->config.layers; i++)
        done = run_block(p, i);
    return done && run_head(p, nll);
}

/* ---- Memory ---- */

uint64_t s24m_evaluate_bytes(const s24m_model *model, const tokens *t, int64_t rows)
{
    int64_t hidden = model->config.hidden;
    int64_t kept = rows * t->length * hidden * (int64_t)sizeof(float) +
                   t->rows * (t->length - 1) * (int64_t)sizeof(double);
    return (uint64_t)kept + s24m_memory_forward(model, rows, t->length);
}

/* As many rows at a time as fit, in whole chunks. */
static int64_t rows_at_once(const s24m_model *model, const tokens *t, uint64_t memory)
{
    int64_t chunk = s24m_chunk(t->length), rows = t->rows;
    while (memory && rows > chunk && s24m_evaluate_bytes(model, t, rows) > memory)
        rows = (rows / 2 + chunk - 1) / chunk * chunk;
    return rows;
}

/* ---- Weights that are not finite ---- */

static bool is_finite(s24_ctx *ctx, const char *name, const s24_mat *view)
{
    float *row = must(malloc((size_t)view->cols * sizeof *row + 1));
    bool finite = true;
    s24_mat to = {0};
    s24_mat_rowmajor(&to, row, 1, view->cols, S24_F32);
    for (int64_t i = 0; finite && i < view->rows; i++) {
        s24_mat from = rows_of(view, i, 1);
        if (s24_mat_copy(ctx, &from, &to) != S24_OK)
            break; /* no floats */
        for (int64_t j = 0; finite && j < view->cols; j++)
            finite = isfinite(row[j]) || fail("%s: row %lld, column %lld is %g", name, (long long)i,
                                              (long long)j, (double)row[j]);
    }
    free(row);
    return finite;
}

/* Why a loss is not finite: false, having named the first weight that is not. */
static bool find_fault(const s24m_model *model)
{
    bool finite = true;
    for (int64_t i = 0; finite && i < s24_file_count(model->file); i++) {
        s24_mat view;
        void *decoded = NULL;
        const char *name = s24_file_name(model->file, i);
        if (tensor_view(model->file, name, &view, &decoded))
            finite = is_finite(model->ctx, name, &view);
        free(decoded);
    }
    return finite && fail("the loss is not finite, though all weights are: activations overflow");
}

/* ---- All of it ---- */

bool s24m_evaluate(s24m_model *model, const tokens *t, const evaluating *how, evaluation *e)
{
    pass p = {.model = model, .how = how};
    int64_t count = t->rows * (t->length - 1), most = rows_at_once(model, t, how->memory);
    double block, head, start = now();
    bool done = true;
    s24m_flops(model, t->rows, t->length, &block, &head);
    p.flops = block * (double)model->config.layers + head;
    p.h = must(malloc((size_t)(most * t->length * model->config.hidden) * sizeof *p.h));
    double *nll = must(malloc((size_t)count * sizeof *nll));
    for (int64_t r = 0; done && r < t->rows; r += most) {
        tokens rows = {t->ids + r * t->length, t->rows - r < most ? t->rows - r : most, t->length};
        p.t = &rows;
        done = run_rows(&p, nll + r * (t->length - 1));
    }
    *e = (evaluation){.flops = p.flops};
    for (int64_t i = 0; done && i < count; i++)
        e->mean += nll[i] / (double)count;
    e->seconds = now() - start;
    progress_clear();
    free(nll);
    free(p.h);
    return done && (isfinite(e->mean) || find_fault(model));
}
