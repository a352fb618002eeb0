#include "generate.h"
#include "extents.h"
#include "memory.h"
#include "parts.h"
#include "stages.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Rows at work, from their prompts to their last token. */
typedef struct writer {
    s24m_model *model;
    const s24m_generating *how;
    int64_t rows, given, length; /* rows together; tokens of a prompt, of a row */
    int64_t panel;               /* tokens of a prompt that are taken at once */
    int64_t first;               /* of these rows among all */
    s24m_block *blocks;          /* of all layers; those from `kept` on are read when needed */
    int64_t kept;
    s24m_head own_head;
    const s24m_head *head;
    s24m_embedding embedding;
    s24m_cache cache;
    s24m_stream stream;
    float *room, *h, *last, *logits; /* of the stream; chunk's h; last tokens' h; their logits */
    int32_t *next;                   /* the last token of each row */
    int32_t *part;                   /* of prompts: a panel */
    s24m_candidate *candidates;
    int32_t *ids;
    double done, whole;    /* tokens of all rows, for the progress */
    _Atomic int64_t fault; /* a row without finite logits, -1: none */
} writer;

/* ---- Memory ---- */

/* Rows of a prompt that are taken at once: their tokens are a chunk. */
static int64_t rows_in_chunk(int64_t rows, int64_t given)
{
    return s24m_least(rows, s24m_chunk(given));
}

/* Tokens for which there is room: a chunk of prompts, and a token of each row. */
static int64_t room_tokens(int64_t rows, int64_t given)
{
    int64_t chunk = rows_in_chunk(rows, given) * given;
    return chunk > rows ? chunk : rows;
}

/* Floats a token of the stream's room. */
static int64_t room_width(const s24m_model *model)
{
    s24m_widths room = s24m_room(model);
    return room.fresh + room.zone + room.aside + room.route;
}

/* Beside all weights. */
static uint64_t bytes_beside(const s24m_model *model, int64_t rows, int64_t given, int64_t length)
{
    const s24m_config *c = &model->config;
    int64_t most = room_tokens(rows, given);
    int64_t floats = most * (room_width(model) + c->hidden) + rows * (c->hidden + c->vocab) +
                     2 * rows * c->vocab;
    return (uint64_t)floats * sizeof(float) + s24m_cache_bytes(model, rows, length) +
           s24m_memory_attention(model, length);
}

/* But for the blocks that are kept. */
static uint64_t bytes_of(const s24m_model *model, int64_t rows, int64_t given, int64_t length)
{
    return bytes_beside(model, rows, given, length) +
           (model->config.tied ? 1 : 2) * s24m_memory_table(model) + s24m_memory_block(model) +
           s24m_memory_block_source(model);
}

uint64_t s24m_generate_bytes_beside(const s24m_model *model, int64_t given, int64_t length)
{
    return bytes_beside(model, 1, s24m_least(given, S24M_PANEL), length);
}

uint64_t s24m_generate_bytes(const s24m_model *model, int64_t rows, int64_t given, int64_t length)
{
    (void)rows;
    return bytes_of(model, 1, given, length);
}

uint64_t s24m_generate_most(const s24m_model *model, int64_t rows, int64_t given, int64_t length)
{
    return bytes_of(model, s24m_least(rows, S24M_TOGETHER), given, length) +
           (uint64_t)model->config.layers * s24m_memory_block(model);
}

static int64_t rows_together(const writer *w, int64_t rows)
{
    int64_t together = s24m_least(rows, S24M_TOGETHER);
    while (w->how->memory && together > 1 &&
           (w->how->engine ? bytes_beside : bytes_of)(w->model, together, w->panel, w->length) >
               w->how->memory)
        together = (together + 1) / 2;
    return together;
}

static int64_t blocks_kept(const writer *w)
{
    if (w->how->engine)
        return w->model->config.layers;
    uint64_t needed = bytes_of(w->model, w->rows, w->given, w->length), memory = w->how->memory;
    int64_t layers = w->model->config.layers;
    if (!memory)
        return layers;
    uint64_t more = memory > needed ? (memory - needed) / s24m_memory_block(w->model) : 0;
    return more < (uint64_t)layers ? (int64_t)more : layers;
}

double s24m_generate_flops(const s24m_model *model, int64_t rows, int64_t length)
{
    return s24m_flops_blocks(model, rows, length) + s24m_flops_head(model, rows, length);
}

/* ---- Blocks ---- */

/* Whose weights are there: those that are kept are read once. */
static bool take_block(writer *w, int64_t layer)
{
    if (w->how->engine)
        return true;
    bool there = w->blocks[layer].linear != NULL;
    bool done = there || s24m_done(s24m_block_load(w->model, layer, w->blocks + layer));
    if (!there)
        s24m_memory_let_go(w->model->file);
    return done;
}

static void leave_block(writer *w, int64_t layer)
{
    if (layer >= w->kept)
        s24m_block_free(w->blocks + layer);
}

static bool run_block(writer *w, int64_t layer)
{
    s24_status status = S24_OK;
    w->stream.block = (w->how->engine ? w->how->engine->blocks : w->blocks) + layer;
    for (const s24m_stage *s = s24m_stages(w->model, layer); !status && s->count; s++)
        status = s24m_stage_run(&w->stream, s);
    return s24m_done(status);
}

/* ---- Tokens ---- */

/* The hidden states of `count` new tokens of `rows` rows from `first` on, in w->h. All layers see
 * the same past. */
static bool run_rows(writer *w, const int32_t *ids, int64_t first, int64_t rows, int64_t count)
{
    s24m_widths room = s24m_room(w->model);
    int64_t now = rows * count;
    s24m_places at = {rows, count, w->cache.past};
    w->cache.first = first;
    w->stream.sequences = rows;
    w->stream.length = count;
    w->stream.zone = w->room + now * room.fresh;
    w->stream.aside = w->stream.zone + now * room.zone;
    w->stream.route = w->stream.aside + now * room.aside;
    bool done = s24m_done(s24m_embedding_rows(w->model, &w->embedding, ids, &at, w->h));
    for (int64_t layer = 0; done && layer < w->model->config.layers; layer++) {
        done = take_block(w, layer) && run_block(w, layer);
        leave_block(w, layer);
    }
    return done;
}

/* One token of each row, in w->last. */
static bool run_token(writer *w)
{
    if (!run_rows(w, w->next, 0, w->rows, 1))
        return false;
    memcpy(w->last, w->h, (size_t)(w->rows * w->model->config.hidden) * sizeof *w->h);
    w->cache.past++;
    return true;
}

/* Tokens [past, past + count) of some prompts, which come after those before them. */
static bool run_panel(writer *w, const int32_t *prompts, int64_t first, int64_t rows, int64_t count)
{
    for (int64_t i = 0; i < rows; i++)
        memcpy(w->part + i * count, prompts + (first + i) * w->given + w->cache.past,
               (size_t)count * sizeof *w->part);
    return run_rows(w, w->part, first, rows, count);
}

static bool run_prompts(writer *w, const int32_t *prompts)
{
    int64_t hidden = w->model->config.hidden, most = rows_in_chunk(w->rows, w->panel);
    bool done = true;
    for (int64_t r = 0, rows; done && r < w->rows; r += rows) {
        int64_t count = 0;
        rows = s24m_least(most, w->rows - r);
        for (w->cache.past = 0; done && w->cache.past < w->given; w->cache.past += count) {
            count = s24m_least(w->panel, w->given - w->cache.past);
            done = run_panel(w, prompts, r, rows, count) && s24m_watch_go_on(w->how->watch);
        }
        for (int64_t i = 0; done && i < rows; i++)
            memcpy(w->last + (r + i) * hidden, w->h + ((i + 1) * count - 1) * hidden,
                   (size_t)hidden * sizeof *w->h);
    }
    w->cache.past = w->given;
    return done;
}

/* ---- The next token ---- */

static bool is_stop(const s24m_generating *how, int32_t token)
{
    for (int i = 0; i < how->stop_count; i++)
        if (how->stops[i] == token)
            return true;
    return false;
}

/* A row that has ended goes on with any token, and its places are -1. */
static void sample_row(void *arg, int64_t row, int32_t worker)
{
    writer *w = arg;
    int64_t vocab = w->model->config.vocab, at = w->cache.past, none = -1;
    int32_t *ids = w->ids + (w->first + row) * w->length, before = ids[at - 1];
    (void)worker;
    w->next[row] = s24m_sample(&w->how->sampling, w->logits + row * vocab, vocab,
                               w->how->first_row + (uint64_t)(w->first + row), at,
                               w->candidates ? w->candidates + row * vocab : NULL);
    if (w->next[row] < 0) {
        atomic_compare_exchange_strong(&w->fault, &none, row);
        w->next[row] = 0;
    }
    bool ended = at > w->given && (before < 0 || is_stop(w->how, before));
    ids[at] = ended ? -1 : w->next[row];
}

static bool sample(writer *w)
{
    atomic_store(&w->fault, -1);
    if (!s24m_done(s24m_logits(w->model, w->head, w->last, w->rows, w->logits)) ||
        !s24m_good(s24_ctx_parallel(w->model->ctx, sample_row, w, w->rows), "sampling"))
        return false;
    return w->fault < 0 ||
           s24m_wrong(S24_E_NUMERIC,
                      "%s: row %lld: the logits of token %lld are not finite: a weight is not, "
                      "or activations overflow",
                      w->how->title, (long long)(w->first + w->fault), (long long)w->cache.past);
}

static bool all_ended(const writer *w)
{
    bool ended = true;
    for (int64_t r = 0; ended && r < w->rows; r++) {
        int32_t last = w->ids[(w->first + r) * w->length + w->cache.past];
        ended = last < 0 || is_stop(w->how, last);
    }
    return ended;
}

static bool show(writer *w, int64_t count)
{
    w->done += (double)(w->rows * count);
    return s24m_watch_show(w->how->watch, w->how->title, "", w->done / w->whole);
}

/* Rows [first, first + rows) of all. */
static bool write_rows(writer *w, const tokens *prompts)
{
    const int32_t *given = prompts->ids + w->first * w->given;
    for (int64_t r = 0; r < w->rows; r++) {
        int32_t *ids = w->ids + (w->first + r) * w->length;
        memcpy(ids, given + r * w->given, (size_t)w->given * sizeof *ids);
        for (int64_t i = w->given; i < w->length; i++)
            ids[i] = -1;
    }
    double start = s24_seconds();
    bool done = run_prompts(w, given) && show(w, w->given) && sample(w);
    double prompted = s24_seconds();
    while (done && w->cache.past + 1 < w->length && !all_ended(w))
        done = run_token(w) && show(w, 1) && sample(w);
    if (w->how->pace) {
        w->how->pace->prompt_seconds += prompted - start;
        w->how->pace->decode_seconds += s24_seconds() - prompted;
        w->how->pace->prompt_tokens += w->rows * w->given;
        w->how->pace->decode_tokens += w->rows * (w->cache.past - w->given);
    }
    return done;
}

/* ---- All of it ---- */

static void close_writer(writer *w)
{
    for (int64_t i = 0; w->blocks && i < w->model->config.layers; i++)
        s24m_block_free(w->blocks + i);
    free(w->blocks);
    s24m_head_free(&w->own_head);
    s24m_embedding_free(&w->embedding);
    s24m_cache_close(&w->cache);
    free(w->room);
    free(w->h);
    free(w->last);
    free(w->logits);
    free(w->next);
    free(w->part);
    free(w->candidates);
}

static float *new_floats(int64_t count)
{
    return s24m_have(malloc((size_t)count * sizeof(float)));
}

/* Embedding and head: the engine's, or read for this. */
static bool open_tables(writer *w)
{
    const s24m_engine *e = w->how->engine;
    w->head = e ? &e->head : &w->own_head;
    if (e)
        return s24m_done(s24m_engine_embedding(e, w->model, w->length, &w->embedding));
    return s24m_done(s24m_head_load(w->model, &w->own_head)) &&
           s24m_done(s24m_embedding_load(w->model, w->length,
                                         w->model->config.tied ? &w->own_head.table : NULL,
                                         &w->embedding));
}

static bool open_writer(writer *w)
{
    const s24m_config *c = &w->model->config;
    int64_t most = room_tokens(w->rows, w->panel), choices = w->rows * c->vocab;
    bool truncates = s24m_sample_truncates(&w->how->sampling);
    bool done = (w->blocks = s24m_have(calloc((size_t)c->layers, sizeof *w->blocks))) &&
                open_tables(w) && s24m_cache_open(&w->cache, w->model, w->rows, w->length) &&
                (w->room = new_floats(most * room_width(w->model))) &&
                (w->h = new_floats(most * c->hidden)) &&
                (w->last = new_floats(w->rows * c->hidden)) && (w->logits = new_floats(choices)) &&
                (w->next = s24m_have(malloc((size_t)w->rows * sizeof *w->next))) &&
                (w->part = s24m_have(malloc((size_t)most * sizeof *w->part))) &&
                (!truncates ||
                 (w->candidates = s24m_have(malloc((size_t)choices * sizeof *w->candidates))));
    w->stream = (s24m_stream){
        .model = w->model, .cache = &w->cache, .h = w->h, .fresh = w->room, .zone = w->room};
    return done;
}

bool s24m_can_generate(const s24m_model *model)
{
    if (s24m_is_encoder(model))
        return false;
    for (int64_t i = 0; i < model->config.layers; i++)
        if (model->layer[i].recurrent)
            return false;
    return true;
}

bool s24m_generate_check(const s24m_model *model)
{
    return s24m_can_generate(model) ||
           s24m_wrong(S24_E_UNSUPPORTED,
                      s24m_is_encoder(model)
                          ? "%s is an encoder and writes no text: calibrate with text of your own"
                          : "%s has recurrent layers, whose state is not kept from token to token "
                            "yet: compress with text of your own and --no-self",
                      model->config.architecture);
}

bool s24m_generate(s24m_model *model, const tokens *prompts, const s24m_generating *how,
                   int64_t length, int32_t *ids)
{
    writer w = {.model = model,
                .how = how,
                .given = prompts->length,
                .length = length,
                .ids = ids,
                .panel = how->engine ? s24m_least(prompts->length, S24M_PANEL) : prompts->length,
                .whole = (double)(prompts->rows * length)};
    w.rows = rows_together(&w, prompts->rows);
    w.kept = blocks_kept(&w);
    int64_t together = w.rows;
    bool done = s24m_generate_check(model) && open_writer(&w);
    for (; done && w.first < prompts->rows; w.first += w.rows) {
        w.rows = s24m_least(together, prompts->rows - w.first);
        done = write_rows(&w, prompts);
    }
    close_writer(&w);
    return done;
}
