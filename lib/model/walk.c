#include "walk.h"
#include "fail.h"
#include "stages.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The walk of one block. */
typedef struct step {
    walk *w;
    const s24m_block *dense; /* as the file has it */
    s24m_block *compressed;  /* the same with the solved weights so far */
    matrix *matrices;        /* S24M_LINEARS */
    const s24m_stage *stage; /* at hand; the one without matrices: behind the last */
    bool watching;           /* it has something to solve */
    s24_gram *gram[2];       /* calibration, held out */
    s24_cross *cross[2][S24M_ABREAST];
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
    int64_t most = s24m_chunk(length), all = larger(sequences[0], sequences[1]);
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
    s24m_watch_span(w->settings->watch, unit * (w->block + before / all),
                    unit * (w->block + (before + w->seconds[s->part]) / all));
}

static bool show(const step *s, const char *phase, double fraction)
{
    char title[40];
    snprintf(title, sizeof title, "block %d of %d", s->w->block + 1, s->w->blocks);
    return s24m_watch_show(s->w->settings->watch, title, phase, fraction);
}

/* ---- One stage's sums ---- */

static void close_sums(step *s)
{
    for (int held = 0; held < 2; held++) {
        s24_gram_destroy(s->gram[held]);
        s->gram[held] = NULL;
        for (int i = 0; i < S24M_ABREAST; i++) {
            s24_cross_destroy(s->cross[held][i]);
            s->cross[held][i] = NULL;
        }
    }
}

static bool wants(const step *s, int32_t which)
{
    return s->matrices[which].constraints && !s->matrices[which].v;
}

#define WHAT "calibration sums"

static bool open_sums(step *s)
{
    s24_ctx *ctx = s->w->settings->ctx;
    bool done = true;
    s->watching = false;
    for (int i = 0; i < s->stage->count; i++)
        s->watching |= wants(s, s->stage->matrices[i]);
    for (int held = 0; s->watching && held < 2 && s->w->sequences[held]; held++) {
        const s24_mat *w = &s->matrices[s->stage->matrices[0]].w;
        done = done && s24m_good(s24_gram_create(ctx, w->cols, S24_F32, &s->gram[held]), WHAT);
        for (int i = 0; done && corrects(s->w) && i < s->stage->count; i++) {
            w = &s->matrices[s->stage->matrices[i]].w;
            if (wants(s, s->stage->matrices[i]))
                done =
                    s24m_good(s24_cross_create(s->gram[held], w->rows, &s->cross[held][i]), WHAT);
        }
    }
    return done;
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
static bool watch(step *s, const float *x, float *const *outputs)
{
    walk *w = s->w;
    const matrix *leader = s->matrices + s->stage->matrices[0];
    double tokens = (double)s->count, cols = (double)leader->w.cols;
    float *wanted = w->wanted;
    s24_mat rows = view(x, s->count, leader->w.cols), targets[S24M_ABREAST];
    s24_cross *crosses[S24M_ABREAST];
    int32_t count = 0;
    if (!s->watching)
        return true;
    w->flops += tokens * cols * cols;
    for (int i = 0; outputs && i < s->stage->count; i++) {
        int32_t which = s->stage->matrices[i];
        int64_t outs = s->matrices[which].w.rows;
        if (!wants(s, which))
            continue;
        targets[count] = view(less_bias(s, which, outputs[i], &wanted), s->count, outs);
        crosses[count++] = s->cross[s->held][i];
        w->flops += 2 * tokens * (double)outs * cols;
    }
    return s24m_good(s24_gram_add_targets(s->gram[s->held], &rows, NULL, crosses, targets, count),
                     "%s, tokens from %lld", leader->tensor, (long long)s->first);
}

/* The same for a matrix that writes to the residual stream h: what takes it to the dense
 * model's. */
static bool watch_residual(step *s, const float *x)
{
    walk *w = s->w;
    float *outputs[] = {w->other};
    int64_t size = s->count * w->model->config.hidden;
    if (!corrects(w) || !s->watching)
        return watch(s, x, NULL);
    if (!s24m_activations_read(&w->dense, s->first, s->count, w->other))
        return false;
    for (int64_t i = 0; i < size; i++)
        w->other[i] -= w->stream.h[i];
    return watch(s, x, outputs);
}

/* ---- The two streams, chunk by chunk ---- */

/* The dense model through this stage and those that take what it leaves. What its matrices give is
 * wanted for x. */
static bool run_dense(step *s, const float *x)
{
    walk *w = s->w;
    const s24m_stage *stage = s->stage;
    s24m_stream c = w->stream;
    c.block = s->dense;
    c.h = w->other;
    c.fresh = w->fresh;
    bool done = s24m_activations_read(&w->dense, s->first, s->count, c.h) &&
                s24m_done(s24m_stage_begin(&c, stage));
    for (int32_t i = 0; done && i < stage->count; i++)
        done = s24m_done(s24m_stage_project(&c, stage, i));
    done = done && watch(s, x, c.out) && s24m_done(s24m_stage_finish(&c, stage));
    while (done && (++stage)->count && !stage->input)
        done = s24m_done(s24m_stage_run(&c, stage));
    return done && s24m_activations_write(&w->dense, s->first, s->count, c.h);
}

/* The compressed model through the stage before this one. Its input was kept, or is made from h
 * again. */
static bool run_before(step *s)
{
    walk *w = s->w;
    s24m_stream *c = &w->stream;
    if (s->stage == w->model->stages)
        return true;
    const s24m_stage *before = s->stage - 1;
    return (before->input || s24m_activations_read(&w->inputs, s->first, s->count, c->zone)) &&
           s24m_done(s24m_stage_run(c, before)) &&
           (!before->adds || s24m_activations_write(&w->compressed, s->first, s->count, c->h));
}

/* Both streams up to the inputs of this stage's matrices. */
static bool run_chunk(step *s)
{
    walk *w = s->w;
    s24m_stream *c = &w->stream;
    c->block = s->compressed;
    c->sequences = s->count / w->length;
    bool done = s24m_activations_read(&w->compressed, s->first, s->count, c->h) && run_before(s);
    if (!done || !s->stage->count)
        return done;
    done = s24m_done(s24m_stage_begin(c, s->stage));
    if (s->stage->input)
        return done && (corrects(w) ? run_dense(s, c->x) : watch(s, c->x, NULL));
    return done && watch_residual(s, c->x) &&
           s24m_activations_write(&w->inputs, s->first, s->count, c->x);
}

/* ---- A block ---- */

/* It holds the inputs of this stage or of the one before, whichever cannot be made from h. */
static void aim_store(const step *s)
{
    const s24m_model *model = s->w->model;
    const s24m_stage *kept = s->stage;
    if (kept > model->stages && (!kept->count || kept->input))
        kept--;
    if (!kept->input)
        s24m_activations_reuse(&s->w->inputs, s24m_stage_inputs(model, kept));
}

static bool pass(step *s, const char *phase)
{
    walk *w = s->w;
    double began = s24_seconds();
    int64_t tokens = (w->sequences[0] + w->sequences[1]) * w->length;
    int64_t most = chunk_tokens(w->sequences, w->length);
    bool done = true;
    begin_part(s);
    aim_store(s);
    s->first = 0;
    for (s->held = 0; s->held < 2; s->held++) {
        int64_t end = s->first + w->sequences[s->held] * w->length;
        for (; done && s->first < end; s->first += s->count) {
            s->count = end - s->first < most ? end - s->first : most;
            done = show(s, phase, (double)s->first / (double)tokens) && run_chunk(s);
        }
    }
    w->seconds[s->part++] = s24_seconds() - began;
    return done;
}

static bool solve(step *s, int i)
{
    walk *w = s->w;
    int32_t which = s->stage->matrices[i];
    matrix *m = s->matrices + which;
    sums calib = {s->gram[0], s->cross[0][i]}, held = {s->gram[1], s->cross[1][i]};
    double began = s24_seconds(), flops = NAN;
    bool done = true;
    begin_part(s);
    if (wants(s, which)) {
        done = show(s, m->kind, 0) && w->solve(m, w->settings, &calib, &held);
        if (done && s24_result_float(m->result, "flops", &flops) == S24_OK && !isnan(flops))
            w->flops += flops;
    }
    s24m_matrix_let_go(m);
    if (m->v)
        s->compressed->linear[which].weights.data = m->v;
    w->seconds[s->part++] = s24_seconds() - began;
    return done;
}

static bool walk_stage(step *s)
{
    char phase[64];
    snprintf(phase, sizeof phase, "inputs of %s", s->stage->name);
    bool done = open_sums(s) && pass(s, phase);
    for (int i = 0; done && i < s->stage->count; i++)
        done = solve(s, i);
    close_sums(s);
    return done;
}

bool s24m_walk_block(walk *w, s24m_block *block, matrix matrices[S24M_LINEARS])
{
    s24m_block compressed = *block;
    step s = {.w = w, .dense = block, .compressed = &compressed, .matrices = matrices};
    double block_flops, head_flops;
    s24m_flops(w->model, w->sequences[0] + w->sequences[1], w->length, &block_flops, &head_flops);
    bool done = true;
    for (s.stage = w->model->stages; done && s.stage->count; s.stage++)
        done = walk_stage(&s);
    s.watching = false;
    done = done && pass(&s, "outputs");
    w->flops += block_flops * (corrects(w) ? 2 : 1);
    w->block++;
    return done;
}

/* ---- All of it ---- */

/* Widest of the inputs that are kept, and of the outputs of a matrix. */
static void widths(const s24m_model *model, int64_t *kept, int64_t *outputs)
{
    *kept = *outputs = 0;
    for (const s24m_stage *stage = model->stages; stage->count; stage++) {
        if (!stage->input)
            *kept = larger(*kept, s24m_stage_inputs(model, stage));
        *outputs = larger(*outputs, s24m_stage_outputs(model, stage));
    }
}

/* The chunk's arrays: where their addresses go and their widths. */
enum { ARRAYS = 6 };
static void arrays(walk *w, float **to[ARRAYS], int64_t width[ARRAYS])
{
    int64_t hidden = w->model->config.hidden, kept, outputs;
    s24m_widths room = s24m_room(w->model);
    widths(w->model, &kept, &outputs);
    float **all[ARRAYS] = {&w->stream.h, &w->stream.fresh, &w->stream.zone,
                           &w->other,    &w->fresh,        &w->wanted};
    int64_t each[ARRAYS] = {hidden, room.fresh, room.zone, hidden, room.fresh, outputs};
    memcpy(to, all, sizeof all);
    memcpy(width, each, sizeof each);
}

static uint64_t store_bytes(const s24m_model *model, const settings *s, int64_t tokens, int kind)
{
    int64_t kept, outputs;
    int streams = s->correct > 0 ? 2 : 1;
    widths(model, &kept, &outputs);
    return (uint64_t)streams * s24m_activations_bytes(kind, tokens, model->config.hidden) +
           s24m_activations_bytes(kind, tokens, kept);
}

uint64_t s24m_walk_store_bytes(const s24m_model *model, const settings *s,
                               const int64_t sequences[2], int64_t length)
{
    return store_bytes(model, s, (sequences[0] + sequences[1]) * length, KEEP_RAM);
}

uint64_t s24m_walk_bytes(const s24m_model *model, const settings *s, const int64_t sequences[2],
                         int64_t length)
{
    walk w = {.model = (s24m_model *)(uintptr_t)model};
    float **to[ARRAYS];
    int64_t width[ARRAYS], tokens = (sequences[0] + sequences[1]) * length, chunk = 0;
    arrays(&w, to, width);
    for (int i = 0; i < ARRAYS; i++)
        chunk += width[i];
    return (uint64_t)(chunk * chunk_tokens(sequences, length)) * sizeof(float) +
           store_bytes(model, s, tokens, s->keep);
}

/* Both streams begin with the embedding. */
static bool embed(walk *w, const int32_t *tokens)
{
    int64_t total = (w->sequences[0] + w->sequences[1]) * w->length;
    int64_t most = chunk_tokens(w->sequences, w->length);
    bool done = true;
    for (int64_t first = 0, count; done && first < total; first += count) {
        count = total - first < most ? total - first : most;
        done = s24m_done(s24m_embed(w->model, tokens + first, count, w->stream.h)) &&
               s24m_activations_write(&w->compressed, first, count, w->stream.h) &&
               (!corrects(w) || s24m_activations_write(&w->dense, first, count, w->stream.h));
    }
    return done;
}

/* Before anything is measured: operations, with forty products for a solve. */
static void guess(walk *w)
{
    int p = 0;
    double tokens = (double)((w->sequences[0] + w->sequences[1]) * w->length);
    for (const s24m_stage *stage = w->model->stages; stage->count; stage++) {
        int pass = p++;
        w->seconds[pass] = 0;
        for (int32_t i = 0; i < stage->count; i++) {
            int64_t outputs, inputs;
            s24m_shape(w->model, stage->matrices[i], &outputs, &inputs);
            double size = (double)outputs * (double)inputs;
            w->seconds[pass] += tokens * size * (corrects(w) ? 6 : 2);
            w->seconds[p++] = 40 * size * (double)inputs;
        }
    }
    w->seconds[p] = w->seconds[p - 1] / 8;
}

bool s24m_walk_open(walk *w, const settings *s, s24m_model *model, const int32_t *tokens,
                    const int64_t sequences[2], int64_t length, const char *folder)
{
    float **to[ARRAYS];
    int64_t width[ARRAYS], count = (sequences[0] + sequences[1]) * length, kept, outputs;
    const s24m_config *c = &model->config;
    widths(model, &kept, &outputs);
    *w = (walk){.settings = s,
                .model = model,
                .length = length,
                .stream = {.model = model, .length = length},
                .blocks = (int)c->layers,
                .solve = s24m_matrix_solve};
    memcpy(w->sequences, sequences, sizeof w->sequences);
    bool done = s24m_activations_open(&w->compressed, s->ctx, s->keep, folder, count, c->hidden) &&
                (!corrects(w) ||
                 s24m_activations_open(&w->dense, s->ctx, s->keep, folder, count, c->hidden)) &&
                s24m_activations_open(&w->inputs, s->ctx, s->keep, folder, count, kept);
    arrays(w, to, width);
    for (int i = 0; i < ARRAYS; i++)
        done = done && (*to[i] = s24m_have(malloc(
                            (size_t)(width[i] * chunk_tokens(sequences, length)) * sizeof(float))));
    guess(w);
    return done && embed(w, tokens);
}

void s24m_walk_close(walk *w)
{
    float **to[ARRAYS];
    int64_t width[ARRAYS];
    if (!w->model)
        return;
    arrays(w, to, width);
    for (int i = 0; i < ARRAYS; i++)
        free(*to[i]);
    s24m_activations_close(&w->compressed);
    s24m_activations_close(&w->dense);
    s24m_activations_close(&w->inputs);
    *w = (walk){0};
}
