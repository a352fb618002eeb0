/* A block that was solved, trained as a whole: what it starts from, what it is wanted to give. */
#include "json.h"
#include "refine.h"
#include "walk_step.h"
#include <math.h>
#include <stdio.h>

static int64_t tokens_of(const walk *w)
{
    return (w->sequences[0] + w->sequences[1]) * w->length;
}

/* For all tokens, chunk by chunk. */
static bool each_chunk(step *s, const char *phase, bool (*work)(step *s))
{
    walk *w = s->w;
    int64_t most = s24m_chunk_tokens(w->sequences, w->length), all = tokens_of(w);
    bool done = true;
    for (s->first = 0; done && s->first < all; s->first += s->count) {
        s->count = all - s->first < most ? all - s->first : most;
        done = (!phase || s24m_walk_show(s, phase, (double)s->first / (double)all)) && work(s);
    }
    return done;
}

static bool keep_chunk(step *s)
{
    walk *w = s->w;
    return s24m_activations_read(&w->compressed, s->first, s->count, w->stream.h) &&
           s24m_activations_write(&w->before, s->first, s->count, w->stream.h);
}

bool s24m_walk_keep(step *s)
{
    return each_chunk(s, NULL, keep_chunk);
}

/* Half what the dense model gave, half what its block gives for the inputs that the compressed one
 * gets; without a dense stream the latter alone. In the place of the compressed stream, which is
 * made again. */
static bool want_chunk(step *s)
{
    walk *w = s->w;
    int64_t size = s->count * w->model->config.hidden;
    bool done = s24m_activations_read(&w->before, s->first, s->count, w->stream.h) &&
                s24m_done(s24m_forward_block(w->model, s->dense, w->stream.h, s->count / w->length,
                                             w->length)) &&
                (!corrects(w) || s24m_activations_read(&w->dense, s->first, s->count, w->other));
    for (int64_t i = 0; done && corrects(w) && i < size; i++)
        w->stream.h[i] = 0.5f * (w->stream.h[i] + w->other[i]);
    return done && s24m_activations_write(&w->compressed, s->first, s->count, w->stream.h);
}

static bool again_chunk(step *s)
{
    walk *w = s->w;
    return s24m_activations_read(&w->before, s->first, s->count, w->stream.h) &&
           s24m_done(s24m_forward_block(w->model, s->compressed, w->stream.h, s->count / w->length,
                                        w->length)) &&
           s24m_activations_write(&w->compressed, s->first, s->count, w->stream.h);
}

bool s24m_walk_again(step *s)
{
    double began = s24_seconds();
    s24m_walk_part(s);
    bool done = each_chunk(s, "outputs", again_chunk);
    s->w->seconds[s->part++] = s24_seconds() - began;
    return done;
}

static bool show(void *arg, double share)
{
    return s24m_walk_show(arg, "refinement", share);
}

/* The records are of the matrices as they were solved; this is of the block. */
static bool note(const matrix *m, const s24m_refinement *r)
{
    record *at = (record *)(uintptr_t)&m->record;
    if (!m->constraints || !at->json)
        return true;
    at->json = s24m_json_put_number(at->json, "block_error", r->before);
    at->json = s24m_json_put_number(at->json, "refined_block_error", r->after);
    return at->json;
}

static void tell(const step *s, const s24m_refinement *r)
{
    const s24m_watch *watch = s->w->settings->watch;
    if (r->taken)
        s24m_watch_log(watch, 2,
                       "block %d of %d: refined, error on rows kept back %.4g before, %.4g after%s",
                       s->w->block + 1, s->w->blocks, r->before, r->after,
                       r->halvings ? ", at a lower rate" : "");
    else if (r->misfit)
        s24m_watch_log(watch, 1,
                       "block %d of %d: as solved, for %s would leave the range of its type once "
                       "trained",
                       s->w->block + 1, s->w->blocks, r->misfit);
    else
        s24m_watch_log(watch, 2,
                       "block %d of %d: as solved, for training would raise the error on rows kept "
                       "back, %.4g",
                       s->w->block + 1, s->w->blocks, r->before);
}

/* What an earlier run trained is there already. */
bool s24m_walk_refine(step *s, trained *vectors)
{
    walk *w = s->w;
    double began = s24_seconds();
    s24m_refinement r = {.settings = w->settings,
                         .model = w->model,
                         .inputs = &w->before,
                         .wanted = &w->compressed,
                         .rows = w->sequences[0],
                         .own = w->settings->self.rows,
                         .length = w->length,
                         .show = show,
                         .arg = s};
    s24m_walk_part(s);
    if (s->resumed) {
        w->seconds[s->part++] = s24_seconds() - began;
        return true;
    }
    bool done = each_chunk(s, "what is wanted", want_chunk) &&
                s24m_refine_block(&r, s->compressed, s->matrices, vectors);
    for (int32_t i = 0; done && i < s->program->count; i++)
        done = note(s->matrices + i, &r);
    if (done)
        tell(s, &r);
    w->flops +=
        s24m_refine_flops(w->settings, w->model, s->dense->layer, w->sequences[0], w->length);
    w->seconds[s->part++] = s24_seconds() - began;
    return done;
}
