/* The room of a walk, its stores of activations, and what it will take. */
#include "training.h"
#include "walk_step.h"
#include "extents.h"
#include "fail.h"
#include "refine.h"
#include <stdlib.h>
#include <string.h>

/* What tokens of other experts weigh beside an expert's own: .1 against .9 + .1. */
static const float share = 1.0f / 9;

/* Tokens that are taken at once, at most. */
int64_t s24m_chunk_tokens(const int64_t sequences[2], int64_t length)
{
    int64_t most = s24m_chunk(length), all = s24m_most(sequences[0], sequences[1]);
    return (most < all ? most : all) * length;
}

int32_t s24m_walk_abreast(const s24m_program *p, const s24m_stage *s)
{
    enum { ROOM = 1 << 30 }; /* bytes of sums, docs/memory.md */
    int64_t widest = 1;
    if (!s->routed)
        return 1;
    for (int32_t i = s->first; i < s->first + s->count; i++)
        widest = s24m_most(widest, p->matrices[i].inputs);
    int32_t groups = s24m_groups(p, s);
    int64_t most = ROOM / (8 * widest * widest + 16384 * widest);
    return most < 1 ? 1 : most < groups ? (int32_t)most : groups;
}

/* Operations, those in double precision counted twice: a token's products with its inputs, whole
 * and symmetric, against those with its outputs; and two halves of W C and of the triangle of
 * W H W^T. Where both are nearly equal the longer products of each matrix are faster. Tokens held
 * out only measure: they decide nothing. */
bool s24m_walk_shares(const s24m_stage *s, int64_t outputs, int64_t tokens)
{
    double n = (double)s->inputs, direct = 2 * (double)outputs * n;
    double derived = 2 * 3 * 2 * (double)outputs * n * n;
    return s->input && !s->routed &&
           (double)tokens * 3 * n * n + derived < 0.9 * (double)tokens * direct;
}

/* The chunk's arrays: where their addresses go and their widths. */
enum { ARRAYS = 12 };
static void arrays(walk *w, float **to[ARRAYS], int64_t width[ARRAYS])
{
    int64_t hidden = w->model->config.hidden;
    s24m_widths room = s24m_room(w->model);
    float **all[ARRAYS] = {&w->stream.h, &w->stream.fresh, &w->stream.zone,  &w->other,
                           &w->fresh,    &w->wanted,       &w->stream.aside, &w->stream.route,
                           &w->route,    &w->gathered,     &w->shares,       &w->weights};
    int64_t each[ARRAYS] = {hidden,     room.fresh,   room.zone,          hidden,
                            room.fresh, room.outputs, room.aside,         room.route,
                            room.route, room.group,   room.group ? 1 : 0, 1};
    memcpy(to, all, sizeof all);
    memcpy(width, each, sizeof each);
}

static uint64_t store_bytes(const s24m_model *model, const settings *s, int64_t tokens, int kind)
{
    s24m_widths room = s24m_room(model);
    int streams =
        (s->correct > 0 ? 2 : 1) + s->refine + (room.aside > 0) + (room.wanted && s->correct > 0);
    return (uint64_t)streams * s24m_activations_bytes(kind, tokens, model->config.hidden) +
           s24m_activations_bytes(kind, tokens, room.kept);
}

void s24m_walk_mine(const settings *s, int32_t rank, const int64_t all[2], s24m_share mine[2])
{
    for (int held = 0; held < 2; held++)
        mine[held] = s24m_share_of(s->ranks, rank, all[held]);
}

/* Of rank 0, which has as many as any. */
static void most_sequences(const settings *s, const int64_t all[2], int64_t most[2])
{
    s24m_share mine[2];
    s24m_walk_mine(s, 0, all, mine);
    for (int held = 0; held < 2; held++)
        most[held] = mine[held].count;
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
    int64_t width[ARRAYS], most[2], chunk = 0;
    most_sequences(s, sequences, most);
    int64_t tokens = (most[0] + most[1]) * length;
    arrays(&w, to, width);
    for (int i = 0; i < ARRAYS; i++)
        chunk += width[i];
    return (s->refine ? s24m_refine_bytes(model, s24m_plan_asks_parts(&s->plan), length) : 0) +
           (uint64_t)(chunk * s24m_chunk_tokens(most, length)) * sizeof(float) +
           store_bytes(model, s, tokens, s->keep);
}

void s24m_walk_weigh(walk *w, float weight)
{
    int64_t chunk = s24m_chunk_tokens(w->sequences, w->length);
    bool shared = s24m_room(w->model).group > 0;
    for (int64_t i = 0; i < chunk; i++)
        w->weights[i] = weight;
    for (int64_t i = 0; shared && i < chunk; i++)
        w->shares[i] = share * weight;
}

/* Both streams begin with the embedding: `sequences` of `tokens`, to be kept from `first` on. */
static bool embed(walk *w, const int32_t *tokens, int64_t sequences, int64_t first)
{
    int64_t most = s24m_chunk_tokens(w->sequences, w->length) / w->length;
    int64_t width = s24m_row_values(w->model, w->length);
    bool done = true;
    for (int64_t at = 0, count; done && at < sequences; at += count) {
        count = sequences - at < most ? sequences - at : most;
        int64_t to = (first + at) * w->length, size = count * w->length;
        done =
            s24m_done(s24m_embed(w->model, tokens + at * width, count, w->length, w->stream.h)) &&
            s24m_activations_write(&w->compressed, to, size, w->stream.h) &&
            (!corrects(w) || s24m_activations_write(&w->dense, to, size, w->stream.h));
    }
    return done;
}

/* This rank's sequences, those held out behind the others. */
static bool embed_mine(walk *w, const int32_t *tokens, const s24m_share mine[2])
{
    int64_t width = s24m_row_values(w->model, w->length);
    return embed(w, tokens + mine[0].first * width, mine[0].count, 0) &&
           embed(w, tokens + (w->all[0] + mine[1].first) * width, mine[1].count, mine[0].count);
}

static void take_share(walk *w, const int64_t all[2], const s24m_share mine[2])
{
    int64_t end = mine[0].first + mine[0].count, own = end - (all[0] - w->settings->self.rows);
    w->own = own < 0 ? 0 : own < mine[0].count ? own : mine[0].count;
    w->kept = w->settings->refine || w->settings->tune
                  ? s24m_training_guard(all[0], w->settings->self.rows)
                  : 0;
    w->kept -= w->kept == all[0]; /* training will say so */
    for (int held = 0; held < 2; held++) {
        w->all[held] = all[held];
        w->sequences[held] = mine[held].count;
        w->first[held] = mine[held].first;
    }
}

/* Passes of a block and one behind, and solves. */
static int parts_of(const s24m_program *p)
{
    int parts = p->count + 2; /* behind: refinement */
    for (const s24m_stage *s = p->stages; s->count; s++) {
        int32_t abreast = s24m_walk_abreast(p, s);
        parts += (s24m_groups(p, s) + abreast - 1) / abreast;
    }
    return parts;
}

/* Before anything is measured of this kind of block: operations, with forty products for a
 * solve. */
void s24m_walk_guess(walk *w, const s24m_program *p)
{
    int n = 0;
    int16_t program = (int16_t)(p - w->model->programs);
    double tokens = (double)((w->sequences[0] + w->sequences[1]) * w->length);
    if (program == w->program)
        return;
    w->program = program;
    w->parts = parts_of(p);
    for (const s24m_stage *stage = p->stages; stage->count; stage++) {
        int32_t groups = s24m_groups(p, stage), abreast = s24m_walk_abreast(p, stage);
        for (int32_t g = 0; g < groups; g++) {
            s24m_group group = s24m_group_at(p, stage, g);
            int pass = g % abreast ? -1 : n++;
            if (pass >= 0)
                w->seconds[pass] = 0;
            for (int32_t i = 0; i < group.count; i++) {
                const s24m_matrix *m = p->matrices + group.first + i;
                double size = (double)m->outputs * (double)m->inputs;
                w->seconds[pass >= 0 ? pass : 0] += tokens * size * (corrects(w) ? 6 : 2);
                w->seconds[n++] = 40 * size * (double)m->inputs;
            }
        }
    }
    if (w->settings->refine)
        w->seconds[n++] =
            s24m_refine_flops(w->settings, w->model, w->block, w->sequences[0], w->length);
    w->seconds[n] = s24m_flops(w->model, w->block, w->sequences[0], w->length);
}

static bool open_stores(walk *w, const char *folder, int64_t tokens)
{
    const settings *s = w->settings;
    int64_t hidden = w->model->config.hidden;
    s24m_widths room = s24m_room(w->model);
    const struct {
        activations *a;
        bool needed;
        int64_t width;
    } stores[] = {
        {&w->compressed, true, hidden},  {&w->dense, corrects(w), hidden},
        {&w->inputs, true, room.kept},   {&w->aside, room.aside > 0, hidden},
        {&w->before, s->refine, hidden}, {&w->wanted_later, room.wanted && corrects(w), hidden}};
    bool done = true;
    for (size_t i = 0; done && i < sizeof stores / sizeof *stores; i++)
        if (stores[i].needed)
            done = s24m_activations_open(stores[i].a, s->ctx, s->keep, folder, tokens,
                                         stores[i].width);
    return done;
}

static bool open_seconds(walk *w)
{
    int most = 0;
    for (int32_t i = 0; i < w->model->program_count; i++)
        most = (int)s24m_most(most, parts_of(w->model->programs + i));
    w->program = -1;
    w->seconds = s24m_have(calloc((size_t)most, sizeof *w->seconds));
    if (w->seconds)
        s24m_walk_guess(w, s24m_program_of(w->model, 0));
    return w->seconds;
}

bool s24m_walk_open(walk *w, const settings *s, s24m_model *model, const int32_t *tokens,
                    const int64_t sequences[2], int64_t length, const char *folder)
{
    float **to[ARRAYS];
    int64_t width[ARRAYS];
    s24m_share mine[2];
    s24m_walk_mine(s, s24m_rank(s->ranks), sequences, mine);
    *w = (walk){.settings = s,
                .model = model,
                .length = length,
                .stream = {.model = model, .length = length},
                .blocks = (int)model->config.layers,
                .solve = s24m_matrix_solve};
    take_share(w, sequences, mine);
    int64_t chunk = s24m_chunk_tokens(w->sequences, length);
    bool done = open_stores(w, folder, (w->sequences[0] + w->sequences[1]) * length);
    arrays(w, to, width);
    for (int i = 0; i < ARRAYS; i++)
        done = done && (*to[i] = s24m_have(malloc((size_t)(width[i] * chunk) * sizeof(float) + 1)));
    return done && open_seconds(w) && embed_mine(w, tokens, mine);
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
    free(w->seconds);
    free(w->scores);
    s24m_activations_close(&w->compressed);
    s24m_activations_close(&w->dense);
    s24m_activations_close(&w->inputs);
    s24m_activations_close(&w->aside);
    s24m_activations_close(&w->before);
    s24m_activations_close(&w->wanted_later);
    *w = (walk){0};
}
