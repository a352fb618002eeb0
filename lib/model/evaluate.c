#include "evaluate.h"
#include "memory.h"
#include "fail.h"
#include "tensors.h"
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

bool s24m_product_rate(s24_ctx *ctx, double flops, double *rate)
{
    enum { SIZE = 1024, TIMES = 8 };
    const double each = 2.0 * SIZE * SIZE * SIZE, share = 0.01 * flops / each;
    int times = share > 1 ? (int)fmin(share, TIMES) : 1;
    float *data = s24m_have(calloc(3 * SIZE * SIZE, sizeof *data));
    s24_mat x, w, y;
    bool done = data && s24_mat_rowmajor(&x, data, SIZE, SIZE, S24_F32) == S24_OK &&
                s24_mat_rowmajor(&w, data + SIZE * SIZE, SIZE, SIZE, S24_F32) == S24_OK &&
                s24_mat_rowmajor(&y, data + 2 * SIZE * SIZE, SIZE, SIZE, S24_F32) == S24_OK;
    *rate = 0;
    for (int i = 0; done && i < times; i++) {
        double start = s24_seconds();
        done = s24m_good(s24_mat_multiply(ctx, &x, &w, &y), "a product of %d x %d", (int)SIZE,
                         (int)SIZE);
        *rate = fmax(*rate, each / (s24_seconds() - start));
    }
    free(data);
    return done;
}

bool s24m_evaluate_check(const s24m_model *model, const tokens *t, const char *what)
{
    return t->length <= model->config.context ||
           s24m_wrong(S24_E_SHAPE, "%s: rows of %lld tokens, but the model's context is %lld", what,
                      (long long)t->length, (long long)model->config.context);
}

/* Account for what a chunk took, show it; false if the user wants to stop. */
static bool go_on(pass *p, double flops)
{
    p->done_flops += flops;
    return s24m_watch_show(p->how->watch, p->how->title, "", p->done_flops / p->flops);
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

static bool forward(pass *p, const s24m_block *block)
{
    const tokens *t = p->t;
    bool done = true;
    for (int64_t r = 0, count; done && r < t->rows; r += count) {
        count = rows_in_chunk(t, r);
        double flops = s24m_flops(p->model, block->layer, count, t->length);
        done = s24m_done(
                   s24m_forward_block(p->model, block, activations_at(p, r), count, t->length)) &&
               go_on(p, flops);
    }
    return done;
}

static bool run_block(pass *p, int64_t index)
{
    s24m_block block;
    if (p->how->engine)
        return forward(p, p->how->engine->blocks + index);
    if (!s24m_done(s24m_block_load(p->model, index, &block)))
        return false;
    s24m_memory_let_go(p->model->file);
    bool done = (!p->how->adjust || p->how->adjust(p->how->arg, &block)) && forward(p, &block);
    s24m_block_free(&block);
    return done;
}

static bool lose(pass *p, const s24m_head *head, double *nll)
{
    const tokens *t = p->t;
    bool done = true;
    for (int64_t r = 0, count; done && r < t->rows; r += count) {
        count = rows_in_chunk(t, r);
        double flops = s24m_flops_head(p->model, count, t->length);
        done =
            s24m_done(s24m_head_loss(p->model, head, activations_at(p, r), t->ids + r * t->length,
                                     count, t->length, nll + r * (t->length - 1))) &&
            go_on(p, flops);
    }
    return done;
}

static bool run_head(pass *p, double *nll)
{
    s24m_head head;
    if (p->how->engine)
        return lose(p, &p->how->engine->head, nll);
    if (!s24m_done(s24m_head_load(p->model, &head)))
        return false;
    bool done = lose(p, &head, nll);
    s24m_head_free(&head);
    s24m_memory_let_go(p->model->file);
    return done;
}

/* The rows of the engine's table. */
static s24_status embed(const pass *p)
{
    const tokens *t = p->t;
    s24m_embedding e;
    s24m_places at = {t->rows, t->length, 0};
    if (!p->how->engine)
        return s24m_embed(p->model, t->ids, t->rows, t->length, p->h);
    s24_status status = s24m_engine_embedding(p->how->engine, p->model, t->length, &e);
    if (!status)
        status = s24m_embedding_rows(p->model, &e, t->ids, &at, p->h);
    s24m_embedding_free(&e);
    return status;
}

static bool run_blocks(pass *p)
{
    bool done = s24m_done(embed(p));
    for (int64_t i = 0; done && i < p->model->config.layers; i++)
        done = run_block(p, i);
    return done;
}

bool s24m_evaluate_blocks(s24m_model *model, const tokens *t, const evaluating *how, float *h)
{
    pass p = {.model = model, .t = t, .how = how, .h = h};
    p.flops = s24m_flops_blocks(model, t->rows, t->length);
    return run_blocks(&p);
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

/* Why a loss is not finite: false, having named the first weight that is not. */
static bool find_fault(const s24m_model *model)
{
    s24_status status = S24_OK;
    for (int64_t i = 0; status != S24_E_NONFINITE && i < s24_file_count(model->file); i++) {
        const char *name = s24_file_name(model->file, i);
        float *values = NULL;
        status = s24m_read_any(model, name, &values);
        free(values);
    }
    return status != S24_E_NONFINITE &&
           s24m_wrong(S24_E_NUMERIC,
                      "the loss is not finite, though all weights are: activations overflow");
}

/* ---- All of it ---- */

/* Of all tokens but the first of each row; as many rows at a time as memory allows. */
static bool run_rows(pass *p, const tokens *t, double *nll)
{
    s24m_model *model = p->model;
    int64_t most = rows_at_once(model, t, p->how->memory);
    p->flops =
        s24m_flops_blocks(model, t->rows, t->length) + s24m_flops_head(model, t->rows, t->length);
    p->h = s24m_have(malloc((size_t)(most * t->length * model->config.hidden) * sizeof *p->h + 1));
    bool done = p->h;
    for (int64_t r = 0; done && r < t->rows; r += most) {
        tokens rows = {.ids = t->ids + r * t->length,
                       .rows = t->rows - r < most ? t->rows - r : most,
                       .length = t->length};
        p->t = &rows;
        done = run_blocks(p) && run_head(p, nll + r * (t->length - 1));
    }
    free(p->h);
    return done;
}

bool s24m_evaluate(s24m_model *model, const tokens *t, const evaluating *how, evaluation *e)
{
    pass p = {.model = model, .how = how};
    int64_t predicted = t->length - 1, count = t->rows * predicted;
    s24m_share share = s24m_share_mine(how->ranks, t->rows);
    tokens mine = {
        .ids = t->ids + share.first * t->length, .rows = share.count, .length = t->length};
    double start = s24_seconds();
    double *nll = s24m_have(malloc((size_t)count * sizeof *nll));
    bool done = nll && s24m_done(s24m_head_check(model)) &&
                run_rows(&p, &mine, nll + share.first * predicted);
    done =
        s24m_ranks_gather_shares(how->ranks, done, nll, t->rows, (size_t)predicted * sizeof *nll);
    *e = (evaluation){.flops = p.flops};
    for (int64_t i = 0; done && i < count; i++)
        e->mean += nll[i] / (double)count;
    e->seconds = s24_seconds() - start;
    free(nll);
    return done && (isfinite(e->mean) || find_fault(model));
}
