#include "importance.h"
#include "divergence.h"
#include "memory.h"
#include "tape.h"
#include "tensors.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TITLE "importance"

const char *const s24m_norm_names[S24M_NORMS] = {"l1", "l2", "fisher"};

/* A block on its way back. */
typedef struct scored {
    s24m_gradients of; /* weights of one row */
    float **sums;      /* of |g|, and behind them of g^2, of each matrix */
    int32_t count;
} scored;

typedef struct scoring {
    s24m_scoring *s;
    activations inputs;  /* of all blocks, block by block */
    activations changes; /* what the loss changes by with the outputs of the block at hand */
    s24m_tape tape;
    float *h; /* of one row */
} scoring;

static int64_t tokens_of(const scoring *x)
{
    return x->s->rows->rows * x->s->rows->length;
}

/* Where a row's inputs of a block lie in the store. */
static int64_t place_of(const scoring *x, int64_t layer, int64_t row)
{
    return layer * tokens_of(x) + row * x->s->rows->length;
}

static bool show(const scoring *x, const char *phase, double share)
{
    return s24m_watch_show(x->s->watch, TITLE, phase, share);
}

/* ---- Forth ---- */

static bool embed(scoring *x)
{
    const tokens *t = x->s->rows;
    s24m_places at = {1, t->length, 0};
    s24m_embedding e = {0};
    bool done = s24m_done(s24m_embedding_load(x->s->model, t->length, NULL, &e));
    for (int64_t row = 0; done && row < t->rows; row++)
        done =
            s24m_done(s24m_embedding_rows(x->s->model, &e, t->ids + row * t->length, &at, x->h)) &&
            s24m_activations_write(&x->inputs, place_of(x, 0, row), t->length, x->h);
    s24m_embedding_free(&e);
    return done;
}

/* The last block's outputs are kept as the changes, which take their place. */
static bool run_block(scoring *x, int64_t layer)
{
    const tokens *t = x->s->rows;
    s24m_model *model = x->s->model;
    bool last = layer == model->config.layers - 1;
    s24m_block block = {0};
    bool done = s24m_done(s24m_block_load(model, layer, &block));
    s24m_memory_let_go(model->file);
    for (int64_t row = 0; done && row < t->rows; row++)
        done = s24m_activations_read(&x->inputs, place_of(x, layer, row), t->length, x->h) &&
               s24m_done(s24m_forward_block(model, &block, x->h, 1, t->length)) &&
               s24m_activations_write(last ? &x->changes : &x->inputs,
                                      place_of(x, last ? 0 : layer + 1, row), t->length, x->h);
    s24m_block_free(&block);
    return done;
}

static bool forth(scoring *x)
{
    int64_t layers = x->s->model->config.layers;
    bool done = embed(x);
    for (int64_t layer = 0; done && layer < layers; layer++)
        done = show(x, "forth", 0.25 * (double)layer / (double)layers) && run_block(x, layer);
    return done;
}

/* ---- The loss ---- */

/* From what the last block gives to what the loss changes by with it. */
static bool turn_row(scoring *x, s24m_divergence *end, int64_t row, double *sum)
{
    const tokens *t = x->s->rows;
    int64_t length = t->length, hidden = x->s->model->config.hidden;
    const int32_t *ids = t->ids + row * length;
    int32_t *next = s24m_have(malloc((size_t)length * sizeof *next));
    float *dh = s24m_floats(length * hidden);
    double loss = 0;
    bool done = next && dh;
    for (int64_t i = 0; done && i < length; i++)
        next[i] = i + 1 < length ? ids[i + 1] : -1;
    done =
        done && s24m_activations_read(&x->changes, row * length, length, x->h) &&
        s24m_divergence_predict(end, x->h, next, length, 1 / (double)(length - 1), &loss, dh) &&
        (isfinite(loss) ||
         s24m_wrong(S24_E_NUMERIC, "importance: the loss of row %" PRId64 " is %g", row, loss)) &&
        s24m_activations_write(&x->changes, row * length, length, dh);
    *sum += loss;
    free(next);
    free(dh);
    return done;
}

static bool turn(scoring *x)
{
    const tokens *t = x->s->rows;
    s24m_divergence end = {0};
    double sum = 0;
    bool done = s24m_divergence_open(&end, x->s->model, NULL, true);
    for (int64_t row = 0; done && row < t->rows; row++)
        done = show(x, "loss", 0.25) && turn_row(x, &end, row, &sum);
    s24m_divergence_close(&end);
    x->s->mean = sum / (double)(t->rows * (t->length - 1));
    return done;
}

/* ---- Back ---- */

static int64_t size_of(const s24m_block *block, int32_t which)
{
    const s24_mat *w = &block->linear[which].weights;
    return w->rows * w->cols;
}

static void close_scored(scored *b)
{
    for (int32_t i = 0; i < b->count; i++) {
        free(b->of.weights[i]);
        free(b->sums[i]);
    }
    free(b->sums);
    s24m_gradients_close(&b->of);
}

static bool open_scored(scored *b, const s24m_block *block)
{
    int32_t count = block->program->count;
    *b = (scored){.sums = s24m_have(calloc((size_t)count, sizeof *b->sums))};
    bool done = b->sums && s24m_gradients_open(&b->of, count);
    b->count = done ? count : 0;
    for (int32_t i = 0; done && i < b->count; i++) {
        size_t size = (size_t)size_of(block, i);
        b->of.weights[i] = s24m_have(calloc(size, sizeof(float)));
        b->sums[i] = s24m_have(calloc(2 * size, sizeof(float)));
        done = b->of.weights[i] && b->sums[i];
    }
    return done;
}

typedef struct adding {
    float *gradient, *sums;
    int64_t cols, size;
} adding;

/* A row's gradient joins the sums, and is 0 for the next one. */
static void add_rows(void *arg, int64_t first, int64_t last)
{
    const adding *a = arg;
    for (int64_t i = first * a->cols; i < last * a->cols; i++) {
        float g = a->gradient[i];
        a->sums[i] += fabsf(g);
        a->sums[a->size + i] += g * g;
        a->gradient[i] = 0;
    }
}

static bool add_row(const scoring *x, const s24m_block *block, scored *b)
{
    bool done = true;
    for (int32_t i = 0; done && i < b->count; i++) {
        const s24_mat *w = &block->linear[i].weights;
        adding a = {b->of.weights[i], b->sums[i], w->cols, w->rows * w->cols};
        done = s24m_done(s24m_rows(x->s->model, add_rows, &a, w->rows));
    }
    return done;
}

static bool back_row(scoring *x, const s24m_block *block, int64_t row, scored *b)
{
    int64_t length = x->s->rows->length, at = row * length;
    return s24m_activations_read(&x->inputs, place_of(x, block->layer, row), length, x->h) &&
           s24m_tape_forward(&x->tape, block, x->h, 1, length) &&
           s24m_activations_read(&x->changes, at, length, x->tape.dy) &&
           s24m_tape_back(&x->tape, &b->of) &&
           s24m_activations_write(&x->changes, at, length, x->tape.dy) && add_row(x, block, b);
}

/* From a sum of |g|, or of g^2. */
static void finish(float *values, int64_t size, int norm, int64_t rows)
{
    for (int64_t i = 0; i < size && norm != S24M_L1; i++)
        values[i] = norm == S24M_L2 ? sqrtf(values[i]) : values[i] / (float)rows;
}

static bool write_norm(const scoring *x, const s24m_linear *linear, float *sums, int norm)
{
    char name[S24M_NAME + 16];
    const s24_mat *w = &linear->weights;
    int64_t size = w->rows * w->cols, rows = x->s->rows->rows;
    s24m_fault fault;
    s24_mat view = s24m_mat(norm == S24M_L1 ? sums : sums + size, w->rows, w->cols);
    snprintf(name, sizeof name, "%s.%s", linear->name, s24m_norm_names[norm]);
    float *copy = s24m_floats(size);
    if (!copy)
        return false;
    memcpy(copy, view.data, (size_t)size * sizeof *copy);
    finish(copy, size, norm, rows);
    view.data = copy;
    bool done = s24m_done(s24m_find_fault(x->s->model, &view, &fault)) &&
                (fault.row < 0 || s24m_wrong(S24_E_NUMERIC,
                                             "importance: the gradient of %s, row %" PRId64
                                             ", column %" PRId64 ", is no finite number",
                                             linear->name, fault.row, fault.col)) &&
                s24m_good(s24_file_put(x->s->file, name, &view, NULL, 2, NULL), "%s", name);
    free(copy);
    return done;
}

static bool write_block(const scoring *x, const s24m_block *block, const scored *b)
{
    bool done = true;
    for (int32_t i = 0; done && i < b->count; i++)
        for (int norm = 0; done && norm < S24M_NORMS; norm++)
            done = !x->s->wanted[norm] || block->program->matrices[i].fixed ||
                   write_norm(x, block->linear + i, b->sums[i], norm);
    return done;
}

static bool back_block(scoring *x, int64_t layer)
{
    s24m_model *model = x->s->model;
    int64_t layers = model->config.layers, rows = x->s->rows->rows;
    s24m_block block = {0};
    scored b = {.count = 0};
    bool done = s24m_done(s24m_block_load(model, layer, &block)) && open_scored(&b, &block);
    s24m_memory_let_go(model->file);
    for (int64_t row = 0; done && row < rows; row++) {
        double behind = (double)(layers - 1 - layer) + (double)row / (double)rows;
        done = show(x, "back", 0.3 + 0.7 * behind / (double)layers) && back_row(x, &block, row, &b);
    }
    done = done && write_block(x, &block, &b);
    close_scored(&b);
    s24m_block_free(&block);
    return done;
}

static bool back(scoring *x)
{
    bool done = true;
    for (int64_t layer = x->s->model->config.layers; done && layer-- > 0;)
        done = back_block(x, layer);
    return done;
}

/* ---- All of it ---- */

/* Changes are too small for halves. */
static int keep_changes(int keep)
{
    return keep == KEEP_HALF ? KEEP_RAM : keep;
}

static bool open_all(scoring *x)
{
    const s24m_scoring *s = x->s;
    s24_ctx *ctx = s->model->ctx;
    int64_t count = tokens_of(x), hidden = s->model->config.hidden;
    return s24m_done(s24m_head_check(s->model)) && s24m_tape_check(s->model) &&
           s24m_activations_open(&x->inputs, ctx, s->keep, s->folder,
                                 s->model->config.layers * count, hidden) &&
           s24m_activations_open(&x->changes, ctx, keep_changes(s->keep), s->folder, count,
                                 hidden) &&
           s24m_tape_open(&x->tape, s->model, s->rows->length) &&
           (x->h = s24m_floats(s->rows->length * hidden));
}

static void close_all(scoring *x)
{
    s24m_activations_close(&x->inputs);
    s24m_activations_close(&x->changes);
    s24m_tape_close(&x->tape);
    free(x->h);
}

bool s24m_importance(s24m_scoring *s)
{
    scoring x = {.s = s};
    bool done = open_all(&x) && forth(&x) && turn(&x) && back(&x);
    close_all(&x);
    return done;
}

uint64_t s24m_importance_bytes(const s24m_model *model, int keep, int64_t rows, int64_t length)
{
    int64_t layers = model->config.layers, hidden = model->config.hidden, count = rows * length;
    uint64_t floats = (uint64_t)(s24m_tape_floats(model, length) + 3 * length * hidden);
    /* the products' scratch on the way back: a matrix and its operands, turned */
    floats += 3 * s24m_memory_matrix(model) + (uint64_t)(2 * length * (hidden + model->config.ffn));
    uint64_t block = 4 * s24m_memory_block(model) + s24m_memory_block_source(model);
    uint64_t head = s24m_divergence_bytes(model) + s24m_memory_table(model);
    return (head > block ? head : block) + floats * sizeof(float) +
           s24m_memory_attention(model, length) +
           s24m_activations_bytes(keep, layers * count, hidden) +
           s24m_activations_bytes(keep_changes(keep), count, hidden);
}
