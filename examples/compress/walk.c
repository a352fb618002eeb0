#include "walk.h"
#include "clock.h"
#include "message.h"
#include "progress.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A stage: matrices with one input. `last` ends the list. */
enum { STAGES = 4, MOST = 3 };
static const int32_t stages[STAGES][MOST + 1] = {{LLAMA_Q, LLAMA_K, LLAMA_V, LLAMA_LINEARS},
                                                 {LLAMA_O, LLAMA_LINEARS},
                                                 {LLAMA_GATE, LLAMA_UP, LLAMA_LINEARS},
                                                 {LLAMA_DOWN, LLAMA_LINEARS}};

/* The walk of one block. */
typedef struct step {
    walk *w;
    const llama_block *dense; /* as the file has it */
    llama_block *compressed;  /* the same with the solved weights so far */
    matrix *matrices;         /* LLAMA_LINEARS */
    bool watching;            /* this stage has something to solve */
    const int32_t *stage;
    s24_gram *gram[2]; /* calibration, held out */
    s24_cross *cross[2][MOST];
    int part; /* of the block, for the progress */
    /* The chunk at hand: */
    int held;             /* 1: of the held-out sequences */
    int64_t first, count; /* tokens */
} step;

static s24_mat view(const float *data, int64_t rows, int64_t cols)
{
    s24_mat mat = {0};
    s24_mat_rowmajor(&mat, (void *)(uintptr_t)data, rows, cols, S24_F32);
    return mat;
}

static bool corrects(const walk *w)
{
    return w->settings->correct > 0;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Tokens that are taken at once, at most. */
static int64_t chunk_tokens(const int64_t sequences[2], int64_t length)
{
    int64_t most = llama_chunk(length), all = larger(sequences[0], sequences[1]);
    return (most < all ? most : all) * length;
}

/* ---- Where in the block we are ---- */

/* The progress of this part, and its end, as shares of the whole job. */
static void begin_part(const step *s)
{
    const walk *w = s->w;
    double before = 0, all = 0;
    for (int p = 0; p < WALK_PARTS; p++) {
        before += p < s->part ? w->seconds[p] : 0;
        all += w->seconds[p];
    }
    double unit = 1.0 / w->blocks;
    progress_span(unit * (w->block + before / all),
                  unit * (w->block + (before + w->seconds[s->part]) / all));
}

static void show(const step *s, const char *phase, double fraction)
{
    char title[40];
    snprintf(title, sizeof title, "block %d of %d", s->w->block + 1, s->w->blocks);
    progress_show(title, phase, (int64_t)(fraction * 1000), 1000);
}

/* ---- One stage's sums ---- */

static void close_sums(step *s)
{
    for (int held = 0; held < 2; held++) {
        s24_gram_destroy(s->gram[held]);
        s->gram[held] = NULL;
        for (int i = 0; i < MOST; i++) {
            s24_cross_destroy(s->cross[held][i]);
            s->cross[held][i] = NULL;
        }
    }
}

static bool wants(const step *s, int32_t which)
{
    return s->matrices[which].constraints && !s->matrices[which].v;
}

static bool open_sums(step *s)
{
    s24_ctx *ctx = s->w->settings->ctx;
    bool done = true;
    s->watching = false;
    for (int i = 0; s->stage[i] < LLAMA_LINEARS; i++)
        s->watching |= wants(s, s->stage[i]);
    for (int held = 0; s->watching && held < 2 && s->w->sequences[held]; held++) {
        const s24_mat *w = &s->matrices[s->stage[0]].w;
        done = done && s24_gram_create(ctx, w->cols, S24_F32, &s->gram[held]) == S24_OK;
        for (int i = 0; done && corrects(s->w) && s->stage[i] < LLAMA_LINEARS; i++) {
            w = &s->matrices[s->stage[i]].w;
            if (wants(s, s->stage[i]))
                done = s24_cross_create(s->gram[held], w->rows, &s->cross[held][i]) == S24_OK;
        }
    }
    return done || fail_library("calibration sums");
}

/* Outputs of a matrix less its bias, in a part of w->wanted where it has one. */
static const float *less_bias(const step *s, int32_t which, const float *outputs, float **wanted)
{
    const float *bias = s->dense->linear[which].bias;
    int64_t rows = s->matrices[which].w.rows;
    float *less = *wanted;
    if (!bias)
        return outputs;
    for (int64_t t = 0; t < s->count; t++)
        for (int64_t j = 0; j < rows; j++)
            less[t * rows + j] = outputs[t * rows + j] - bias[j];
    *wanted += s->count * rows;
    return less;
}

/* The inputs of this stage's matrices in the compressed model, and what each should give for them:
 * `outputs`, less its bias; NULL where nothing is corrected. */
static bool watch(step *s, const float *x, const float *const *outputs)
{
    walk *w = s->w;
    const matrix *leader = s->matrices + s->stage[0];
    double tokens = (double)s->count, cols = (double)leader->w.cols;
    float *wanted = w->wanted;
    s24_mat rows = view(x, s->count, leader->w.cols), targets[MOST];
    s24_cross *crosses[MOST];
    int32_t count = 0;
    if (!s->watching)
        return true;
    w->flops += tokens * cols * cols;
    for (int i = 0; outputs && s->stage[i] < LLAMA_LINEARS; i++) {
        int32_t which = s->stage[i];
        int64_t outs = s->matrices[which].w.rows;
        if (!wants(s, which))
            continue;
        targets[count] = view(less_bias(s, which, outputs[i], &wanted), s->count, outs);
        crosses[count++] = s->cross[s->held][i];
        w->flops += 2 * tokens * (double)outs * cols;
    }
    return s24_gram_add_targets(s->gram[s->held], &rows, NULL, crosses, targets, count) == S24_OK ||
           fail_library("%s, tokens from %lld", leader->tensor, (long long)s->first);
}

/* The same for a matrix that writes to the residual stream h: what takes it to the dense model's. */
static bool watch_residual(step *s, const float *x)
{
    walk *w = s->w;
    const float *outputs[] = {w->other};
    int64_t size = s->count * w->model->config.hidden;
    if (!corrects(w) || !s->watching)
        return watch(s, x, NULL);
    if (!activations_read(&w->dense, s->first, s->count, w->other))
        return false;
    for (int64_t i = 0; i < size; i++)
        w->other[i] -= w->h[i];
    return watch(s, x, outputs);
}

/* ---- The passes, chunk by chunk ---- */

static bool project(const step *s, const llama_block *block, int32_t which, const float *x,
                    float *y)
{
    return llama_done(llama_project(s->w->model, block, which, x, s->count, y));
}

static bool norm(const step *s, const float *gain, const float *h, float *x)
{
    return llama_done(llama_norm(s->w->model, gain, h, s->count, x));
}

static bool attend(const step *s, const llama_block *block, float *out)
{
    walk *w = s->w;
    return llama_done(
        llama_attention(w->model, block, w->q, w->k, w->v, s->count / w->length, w->length, out));
}

/* h + W x of a stream, written back. */
static bool add_to_stream(const step *s, const llama_block *block, int32_t which, const float *x,
                          float *h, activations *stream)
{
    return project(s, block, which, x, s->w->y) &&
           llama_done(llama_add(s->w->model, s->w->y, s->count, h)) &&
           activations_write(stream, s->first, s->count, h);
}

static bool dense_attention(step *s, const float *x)
{
    walk *w = s->w;
    float *outputs[] = {w->q, w->k, w->v};
    bool done = activations_read(&w->dense, s->first, s->count, w->other) &&
                norm(s, s->dense->attention_norm, w->other, w->y);
    for (int i = 0; done && i < 3; i++)
        done = project(s, s->dense, LLAMA_Q + i, w->y, outputs[i]);
    return done && watch(s, x, (const float *const *)outputs) && attend(s, s->dense, w->gate) &&
           add_to_stream(s, s->dense, LLAMA_O, w->gate, w->other, &w->dense);
}

static bool before_qkv(step *s)
{
    walk *w = s->w;
    return activations_read(&w->compressed, s->first, s->count, w->h) &&
           norm(s, s->dense->attention_norm, w->h, w->x) &&
           (corrects(w) ? dense_attention(s, w->x) : watch(s, w->x, NULL));
}

static bool before_o(step *s)
{
    walk *w = s->w;
    return activations_read(&w->compressed, s->first, s->count, w->h) &&
           norm(s, s->dense->attention_norm, w->h, w->x) &&
           project(s, s->compressed, LLAMA_Q, w->x, w->q) &&
           project(s, s->compressed, LLAMA_K, w->x, w->k) &&
           project(s, s->compressed, LLAMA_V, w->x, w->v) && attend(s, s->compressed, w->gate) &&
           watch_residual(s, w->gate) && activations_write(&w->inputs, s->first, s->count, w->gate);
}

static bool dense_mlp(step *s, const float *x)
{
    walk *w = s->w;
    const float *outputs[] = {w->gate, w->up};
    return activations_read(&w->dense, s->first, s->count, w->other) &&
           norm(s, s->dense->mlp_norm, w->other, w->y) &&
           project(s, s->dense, LLAMA_GATE, w->y, w->gate) &&
           project(s, s->dense, LLAMA_UP, w->y, w->up) && watch(s, x, outputs) &&
           llama_done(llama_gate(w->model, w->gate, w->up, s->count, w->gate)) &&
           add_to_stream(s, s->dense, LLAMA_DOWN, w->gate, w->other, &w->dense);
}

static bool before_gate(step *s)
{
    walk *w = s->w;
    return activations_read(&w->compressed, s->first, s->count, w->h) &&
           activations_read(&w->inputs, s->first, s->count, w->gate) &&
           add_to_stream(s, s->compressed, LLAMA_O, w->gate, w->h, &w->compressed) &&
           norm(s, s->dense->mlp_norm, w->h, w->x) &&
           (corrects(w) ? dense_mlp(s, w->x) : watch(s, w->x, NULL));
}

static bool before_down(step *s)
{
    walk *w = s->w;
    return activations_read(&w->compressed, s->first, s->count, w->h) &&
           norm(s, s->dense->mlp_norm, w->h, w->x) &&
           project(s, s->compressed, LLAMA_GATE, w->x, w->gate) &&
           project(s, s->compressed, LLAMA_UP, w->x, w->up) &&
           llama_done(llama_gate(w->model, w->gate, w->up, s->count, w->gate)) &&
           watch_residual(s, w->gate) && activations_write(&w->inputs, s->first, s->count, w->gate);
}

static bool after_down(step *s)
{
    walk *w = s->w;
    return activations_read(&w->compressed, s->first, s->count, w->h) &&
           activations_read(&w->inputs, s->first, s->count, w->gate) &&
           add_to_stream(s, s->compressed, LLAMA_DOWN, w->gate, w->h, &w->compressed);
}

/* ---- A block ---- */

static bool pass(step *s, bool (*chunk)(step *), const char *phase)
{
    walk *w = s->w;
    double began = now();
    int64_t tokens = (w->sequences[0] + w->sequences[1]) * w->length;
    int64_t most = chunk_tokens(w->sequences, w->length);
    bool done = true;
    begin_part(s);
    s->first = 0;
    for (s->held = 0; s->held < 2; s->held++) {
        int64_t end = s->first + w->sequences[s->held] * w->length;
        for (; done && s->first < end; s->first += s->count) {
            s->count = end - s->first < most ? end - s->first : most;
            show(s, phase, (double)s->first / (double)tokens);
            done = !progress_interrupted() && chunk(s);
        }
    }
    w->seconds[s->part++] = now() - began;
    return done;
}

static bool solve(step *s, int i)
{
    walk *w = s->w;
    int32_t which = s->stage[i];
    matrix *m = s->matrices + which;
    sums calib = {s->gram[0], s->cross[0][i]}, held = {s->gram[1], s->cross[1][i]};
    double began = now(), flops = NAN;
    bool done = true;
    begin_part(s);
    if (wants(s, which)) {
        show(s, m->kind, 0);
        done = matrix_solve(m, w->settings, &calib, &held);
        if (done && s24_result_float(m->result, "flops", &flops) == S24_OK && !isnan(flops))
            w->flops += flops;
    }
    matrix_let_go(m);
    if (m->v)
        s->compressed->linear[which].weights.data = m->v;
    w->seconds[s->part++] = now() - began;
    return done;
}

static bool walk_stage(step *s, int index, bool (*chunk)(step *), const char *phase)
{
    s->stage = stages[index];
    activations_reuse(&s->w->inputs, s->matrices[index < 3 ? LLAMA_O : LLAMA_DOWN].w.cols);
    bool done = open_sums(s) && pass(s, chunk, phase);
    for (int i = 0; done && s->stage[i] < LLAMA_LINEARS; i++)
        done = solve(s, i);
    close_sums(s);
    return done;
}

bool walk_block(walk *w, llama_block *block, matrix matrices[LLAMA_LINEARS])
{
    llama_block compressed = *block;
    step s = {.w = w, .dense = block, .compressed = &compressed, .matrices = matrices};
    double block_flops, head_flops;
    llama_flops(w->model, w->sequences[0] + w->sequences[1], w->length, &block_flops, &head_flops);
    bool done = walk_stage(&s, 0, before_qkv, "inputs of q, k, v") &&
                walk_stage(&s, 1, before_o, "inputs of o") &&
                walk_stage(&s, 2, before_gate, "inputs of gate, up") &&
                walk_stage(&s, 3, before_down, "inputs of down");
    s.watching = false;
    done = done && pass(&s, after_down, "outputs");
    w->flops += block_flops * (corrects(w) ? 2 : 1);
    w->block++;
    return done;
}

/* ---- All of it ---- */

static int64_t inputs_width(const llama_config *c)
{
    return larger(c->heads * c->head_dim, c->ffn);
}

/* The chunk's arrays: where their addresses go and their widths. */
enum { ARRAYS = 10 };
static void arrays(walk *w, float **to[ARRAYS], int64_t width[ARRAYS])
{
    const llama_config *c = &w->model->config;
    int64_t wide = larger(inputs_width(c), c->hidden), kv = c->kv_heads * c->head_dim;
    int64_t targets = larger(c->heads * c->head_dim + 2 * kv, larger(2 * c->ffn, c->hidden));
    float **all[ARRAYS] = {&w->h, &w->x, &w->other, &w->y,  &w->q,
                           &w->k, &w->v, &w->gate,  &w->up, &w->wanted};
    int64_t widths[ARRAYS] = {c->hidden, c->hidden, c->hidden, c->hidden, c->heads * c->head_dim,
                              kv,        kv,        wide,      c->ffn,    targets};
    memcpy(to, all, sizeof all);
    memcpy(width, widths, sizeof widths);
}

uint64_t walk_bytes(const llama_model *model, const settings *s, const int64_t sequences[2],
                    int64_t length)
{
    walk w = {.model = (llama_model *)(uintptr_t)model};
    float **to[ARRAYS];
    int64_t width[ARRAYS], tokens = (sequences[0] + sequences[1]) * length, chunk = 0;
    arrays(&w, to, width);
    for (int i = 0; i < ARRAYS; i++)
        chunk += width[i];
    int streams = s->correct > 0 ? 2 : 1;
    return (uint64_t)(chunk * chunk_tokens(sequences, length)) * sizeof(float) +
           (uint64_t)streams * activations_bytes(s->keep, tokens, model->config.hidden) +
           activations_bytes(s->keep, tokens, inputs_width(&model->config));
}

/* Both streams begin with the embedding. */
static bool embed(walk *w, const int32_t *tokens)
{
    int64_t total = (w->sequences[0] + w->sequences[1]) * w->length;
    int64_t most = chunk_tokens(w->sequences, w->length);
    bool done = true;
    for (int64_t first = 0, count; done && first < total; first += count) {
        count = total - first < most ? total - first : most;
        done = llama_done(llama_embed(w->model, tokens + first, count, w->h)) &&
               activations_write(&w->compressed, first, count, w->h) &&
               (!corrects(w) || activations_write(&w->dense, first, count, w->h));
    }
    return done;
}

/* Before anything is measured: operations, with forty products for a solve. */
static void guess(walk *w)
{
    int p = 0;
    double tokens = (double)((w->sequences[0] + w->sequences[1]) * w->length);
    for (int i = 0; i < STAGES; i++) {
        int pass = p++;
        w->seconds[pass] = 0;
        for (const int32_t *which = stages[i]; *which < LLAMA_LINEARS; which++) {
            int64_t outputs, inputs;
            llama_shape(w->model, *which, &outputs, &inputs);
            double size = (double)outputs * (double)inputs;
            w->seconds[pass] += tokens * size * (corrects(w) ? 6 : 2);
            w->seconds[p++] = 40 * size * (double)inputs;
        }
    }
    w->seconds[p] = w->seconds[p - 1] / 8;
}

bool walk_open(walk *w, const settings *s, llama_model *model, const int32_t *tokens,
               const int64_t sequences[2], int64_t length, const char *folder)
{
    float **to[ARRAYS];
    int64_t width[ARRAYS], count = (sequences[0] + sequences[1]) * length;
    const llama_config *c = &model->config;
    *w = (walk){.settings = s, .model = model, .length = length, .blocks = (int)c->layers};
    memcpy(w->sequences, sequences, sizeof w->sequences);
    bool done =
        activations_open(&w->compressed, s->ctx, s->keep, folder, count, c->hidden) &&
        (!corrects(w) || activations_open(&w->dense, s->ctx, s->keep, folder, count, c->hidden)) &&
        activations_open(&w->inputs, s->ctx, s->keep, folder, count, inputs_width(c));
    arrays(w, to, width);
    for (int i = 0; i < ARRAYS; i++)
        *to[i] = must(malloc((size_t)(width[i] * chunk_tokens(sequences, length)) * sizeof(float)));
    guess(w);
    return done && embed(w, tokens);
}

void walk_close(walk *w)
{
    float **to[ARRAYS];
    int64_t width[ARRAYS];
    if (!w->model)
        return;
    arrays(w, to, width);
    for (int i = 0; i < ARRAYS; i++)
        free(*to[i]);
    activations_close(&w->compressed);
    activations_close(&w->dense);
    activations_close(&w->inputs);
    *w = (walk){0};
}
