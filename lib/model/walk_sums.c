/* The sums of a stage's matrices: opened, gathered from both streams, closed. */
#include "walk_step.h"
#include "fail.h"
#include <stdlib.h>

void s24m_bundles_close(step *s)
{
    for (bundle *b = s->bundles; b < s->bundles + s->count_bundles; b++)
        for (int held = 0; held < 2; held++) {
            s24_gram_destroy(b->gram[held]);
            s24_gram_destroy(b->dense[held]);
            s24_cross_destroy(b->shared[held]);
            for (int i = 0; i < S24M_ABREAST; i++)
                s24_cross_destroy(b->cross[held][i]);
        }
    free(s->bundles);
    s->bundles = NULL;
    s->count_bundles = 0;
}

bool s24m_wants(const step *s, int32_t which)
{
    return s->matrices[which].constraints && !s->matrices[which].v;
}

#define WHAT "calibration sums"

/* Those solved in this run or in an earlier one: a resumed run makes the same sums. */
static int64_t outputs_of(const step *s, const s24m_group *g)
{
    int64_t outputs = 0;
    for (int32_t i = g->first; i < g->first + g->count; i++)
        outputs += s->matrices[i].constraints ? s->matrices[i].w.rows : 0;
    return outputs;
}

static bool open_crosses(const step *s, bundle *b, int held)
{
    const s24m_group *g = &b->group;
    bool done = true;
    if (b->sharing)
        return s24m_good(s24_gram_create(s->w->settings->ctx, g->inputs, S24_F32, &b->dense[held]),
                         WHAT) &&
               s24m_good(s24_cross_create(b->gram[held], g->inputs, &b->shared[held]), WHAT);
    for (int32_t i = 0; done && i < g->count; i++)
        if (s24m_wants(s, g->first + i))
            done = s24m_good(s24_cross_create(b->gram[held], s->matrices[g->first + i].w.rows,
                                              &b->cross[held][i]),
                             WHAT);
    return done;
}

static bool open_bundle(const step *s, bundle *b)
{
    s24_ctx *ctx = s->w->settings->ctx;
    const s24m_group *g = &b->group;
    bool done = true, aims = corrects(s->w) && !s->stage->routed;
    b->sharing = aims && s24m_walk_shares(s->stage, outputs_of(s, g), s->w->all[0] * s->w->length);
    for (int32_t i = 0; i < g->count; i++)
        b->watching |= s24m_wants(s, g->first + i);
    for (int held = 0; b->watching && held < 2 && s->w->all[held]; held++)
        done = done && s24m_good(s24_gram_create(ctx, g->inputs, S24_F32, &b->gram[held]), WHAT) &&
               (!aims || open_crosses(s, b, held));
    return done;
}

bool s24m_bundle_aim(step *s, bundle *b, int i, const s24_mat *w)
{
    int32_t which = b->group.first + i;
    bool done = true;
    for (int held = 0; done && held < 2 && b->shared[held]; held++) {
        done = s24m_good(s24_cross_derive(b->shared[held], b->dense[held], w, &b->cross[held][i]),
                         "%s", s->matrices[which].tensor);
        s->w->flops += 6 * (double)w->rows * (double)w->cols * (double)w->cols;
    }
    return done;
}

void s24m_bundle_aimed(bundle *b, int i)
{
    for (int held = 0; held < 2 && b->shared[held]; held++) {
        s24_cross_destroy(b->cross[held][i]);
        b->cross[held][i] = NULL;
    }
}

/* An expert that saw no held-out token is not measured on them. */
void s24m_bundle_sums(const bundle *b, int i, sums *calib, sums *held)
{
    *calib = (sums){b->gram[0], b->cross[0][i]};
    *held = (sums){b->gram[1], b->cross[1][i]};
    if (b->group.expert >= 0 && !b->tokens[1])
        held->gram = NULL;
}

/* Of the experts' common input; what down sees belongs to one expert each. */
static bool open_pool(step *s, const bundle *b)
{
    if (s->pool || !s->stage->input || !b->watching || b->group.expert < 0)
        return true;
    s->pooling = true;
    return s24m_good(s24_gram_create(s->w->settings->ctx, b->group.inputs, S24_F32, &s->pool),
                     WHAT);
}

/* Those from `first` on that are gathered in one pass. */
bool s24m_bundles_open(step *s, int32_t first)
{
    int32_t left = s24m_groups(s->program, s->stage) - first;
    int32_t most = s24m_walk_abreast(s->program, s->stage);
    bool done = true;
    s->bundles = s24m_have(calloc((size_t)most, sizeof *s->bundles));
    s->count_bundles = s->bundles ? left < most ? left : most : 0;
    for (int32_t i = 0; done && i < s->count_bundles; i++) {
        bundle *b = s->bundles + i;
        b->group = s24m_group_at(s->program, s->stage, first + i);
        done = open_bundle(s, b) && open_pool(s, b);
    }
    return done && s->bundles;
}

/* What the other experts saw, for one that saw nothing. */
static bool borrow(const step *s, const bundle *poor)
{
    bool done = true, found = false;
    for (bundle *b = s->bundles; done && b < s->bundles + s->count_bundles; b++)
        if (b->watching && b->group.expert >= 0 && b->tokens[0]) {
            found = true;
            done = s24m_good(s24_gram_merge(poor->gram[0], b->gram[0]), WHAT);
        }
    return done && (found || s24m_wrong(S24_E_STATE,
                                        "%s: neither this expert nor its neighbours saw a token: "
                                        "take more text",
                                        s->matrices[poor->group.first].tensor));
}

/* An expert's sums with those of all tokens. Of down's inputs, which other tokens do not have, only
 * if it saw none. */
bool s24m_bundles_merge(step *s)
{
    bool done = true;
    for (bundle *b = s->bundles; done && b < s->bundles + s->count_bundles; b++) {
        if (!b->watching || b->group.expert < 0)
            continue;
        if (s->pool)
            done = s24m_good(s24_gram_merge(b->gram[0], s->pool), WHAT);
        else if (!b->tokens[0])
            done = borrow(s, b);
    }
    s->pooling = false;
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

/* Weights that are all 1 need not be multiplied with. */
static const s24_mat *weights_of(const step *s, const s24_mat *weights)
{
    return s->weight == 1 ? NULL : weights;
}

/* What comes with rows of the compressed model's inputs: outputs, or the dense model's inputs. */
typedef struct wanted {
    s24_cross *crosses[S24M_ABREAST];
    s24_mat targets[S24M_ABREAST];
    int32_t count;
} wanted;

static void want(wanted *to, s24_cross *cross, const float *target, int64_t rows, int64_t cols)
{
    to->crosses[to->count] = cross;
    to->targets[to->count++] = walk_view(target, rows, cols);
}

static void want_outputs(step *s, const bundle *b, float *const *outputs, wanted *to)
{
    float *less = s->w->wanted;
    for (int i = 0; i < b->group.count; i++) {
        int32_t which = b->group.first + i;
        if (s24m_wants(s, which))
            want(to, b->cross[s->held][i], less_bias(s, which, outputs[i], &less), s->count,
                 s->matrices[which].w.rows);
    }
}

bool s24m_watch_inputs(step *s, const float *x, const float *dense, float *const *outputs)
{
    bundle *b = s->bundles;
    const matrix *leader = s->matrices + b->group.first;
    int64_t cols = leader->w.cols;
    double squares = (double)s->count * (double)cols * (double)cols;
    s24_mat rows = walk_view(x, s->count, cols), weights = walk_view(s->w->weights, s->count, 1);
    wanted to = {.count = 0};
    if (!b->watching || s->weight == 0)
        return true;
    if (b->sharing)
        want(&to, b->shared[s->held], dense, s->count, cols);
    else if (outputs)
        want_outputs(s, b, outputs, &to);
    s->w->flops += b->sharing ? 2 * squares : squares;
    for (int32_t i = 0; i < to.count; i++)
        s->w->flops += 2 * (double)s->count * (double)to.targets[i].cols * (double)cols;
    return s24m_good(s24_gram_add_targets(b->gram[s->held], &rows, weights_of(s, &weights),
                                          to.crosses, to.targets, to.count),
                     "%s, tokens from %lld", leader->tensor, (long long)s->first) &&
           (!b->sharing ||
            s24m_good(s24_gram_add(b->dense[s->held], to.targets, weights_of(s, &weights)),
                      "%s, tokens from %lld", leader->tensor, (long long)s->first));
}

/* Each expert's own tokens; those of all with their share. */
bool s24m_watch_routed_inputs(step *s)
{
    walk *w = s->w;
    bool done = true;
    for (bundle *b = s->bundles; done && b < s->bundles + s->count_bundles; b++) {
        int64_t count, cols = b->group.inputs;
        if (!b->watching || s->weight == 0)
            continue;
        const float *x = s24m_group_rows(&w->stream, s->stage, &b->group, w->gathered, &count);
        s24_mat rows = walk_view(x, count, cols), weights = walk_view(w->weights, count, 1);
        b->tokens[s->held] += count;
        w->flops += (double)count * (double)cols * (double)cols;
        if (count)
            done = s24m_good(s24_gram_add(b->gram[s->held], &rows, weights_of(s, &weights)),
                             "%s, tokens from %lld", s->matrices[b->group.first].tensor,
                             (long long)s->first);
    }
    if (!done || !s->pooling || s->held || s->weight == 0)
        return done;
    int64_t cols = w->model->config.hidden;
    s24_mat rows = walk_view(w->stream.x, s->count, cols),
            weights = walk_view(w->shares, s->count, 1);
    w->flops += (double)s->count * (double)cols * (double)cols;
    return s24m_good(s24_gram_add(s->pool, &rows, &weights), WHAT);
}

/* What takes h of the compressed model to the dense model's. */
static bool residual(step *s)
{
    walk *w = s->w;
    const s24m_config *c = &w->model->config;
    int64_t size = s->count * c->hidden;
    float scale = (float)c->residual_scale;
    if (!s24m_activations_read(&w->dense, s->first, s->count, w->other) ||
        (c->parallel && !s24m_activations_read(&w->aside, s->first, s->count, w->stream.aside)))
        return false;
    for (int64_t i = 0; i < size; i++)
        w->other[i] -= w->stream.h[i];
    for (int64_t i = 0; scale != 1 && i < size; i++)
        w->other[i] /= scale;
    for (int64_t i = 0; c->parallel && i < size; i++)
        w->other[i] -= w->stream.aside[i];
    return true;
}

/* What the dense matrix gave; of a sum that a norm follows, the way to the dense model's. */
static bool wanted_before(step *s)
{
    walk *w = s->w;
    int64_t size = s->count * w->model->config.hidden;
    bool done = s24m_activations_read(&w->wanted_later, s->first, s->count, w->other);
    for (int64_t i = 0; done && s->stage->over != S24M_NO_PART && i < size; i++)
        w->other[i] -= w->stream.h[i];
    return done;
}

/* The same for a matrix that writes to the residual stream: the way to the dense model's h, or what
 * was wanted before if that goes through a norm, or aside, first. */
bool s24m_watch_kept_inputs(step *s, const float *x)
{
    walk *w = s->w;
    float *outputs[] = {w->other};
    if (!corrects(w) || !s->bundles->watching)
        return s24m_watch_inputs(s, x, NULL, NULL);
    return (s24m_stage_is_linear(s->stage) ? residual(s) : wanted_before(s)) &&
           s24m_watch_inputs(s, x, NULL, outputs);
}
