#include "engine.h"
#include "memory.h"
#include "packed.h"
#include "parts.h"
#include <stdlib.h>
#include <string.h>

/* An engine on its way. */
typedef struct builder {
    const s24m_model *model;
    const s24m_engine_plan *plan;
    s24m_engine *engine;
} builder;

/* ---- One matrix ---- */

/* All share the scratch, which grows to that of the largest. */
static s24_status prepare(builder *b, const char *tensor, const s24_packed *packed,
                          s24_product **product)
{
    s24m_engine *e = b->engine;
    s24_status status =
        s24_packed_prepare(packed, S24_FAST, 0, b->plan->tokens, e->sharing, product);
    if (!status)
        e->sharing = *product;
    return s24m_library(status, tensor);
}

double s24m_share_of_tokens(const s24m_model *model, const s24m_matrix *m)
{
    const s24m_experts *x = &model->config.experts;
    return m->expert >= 0 ? (double)x->used / (double)x->count : 1;
}

int64_t s24m_head_bytes(const s24m_model *model)
{
    const s24m_config *c = &model->config;
    char name[S24M_NAME];
    s24_mat view;
    s24m_global(model, c->tied ? S24M_EMBEDDING : S24M_OUTPUT, name);
    bool lies = s24_file_get(model->file, name, &view) == S24_OK;
    return c->vocab * c->width * (lies ? (view.dtype & 0xff) / 8 : (int64_t)sizeof(float));
}

static void count(builder *b, const s24_packed *packed, double share)
{
    uint64_t bytes = s24m_packed_bytes(packed);
    b->engine->bytes += bytes;
    b->engine->token += (uint64_t)(share * (double)bytes);
}

/* From the file if it can be, else from the values, which go. */
static s24_status take(void *arg, const s24m_block *block, int32_t which)
{
    builder *b = arg;
    const s24m_matrix *m = block->program->matrices + which;
    s24m_linear *linear = block->linear + which;
    s24_status status = S24_OK;
    char name[S24M_NAME];
    s24m_tensor_name(b->model, block->layer, which, false, name);
    if (linear->weights.data)
        status = s24m_pack_values(b->model, name, &linear->weights, b->plan->as, &linear->packed);
    else if (b->plan->as == S24M_AS_STORED && !m->slices && !m->transposed)
        status = s24m_pack_stored(b->model, name, &linear->packed);
    if (status || !linear->packed)
        return status;
    free(linear->weights.data);
    linear->weights.data = NULL;
    count(b, linear->packed, s24m_share_of_tokens(b->model, m));
    return prepare(b, linear->name, linear->packed, &linear->product);
}

/* ---- All of them ---- */

/* Pages of the file and of what was freed do not stay. */
static bool go_on(builder *b, int64_t layer)
{
    s24m_memory_let_go(b->model->file);
    s24m_memory_trim();
    return s24m_watch_show(b->plan->watch, "pack", "",
                           (double)(layer + 1) / (double)b->model->config.layers);
}

static bool open_head(builder *b)
{
    const s24m_config *c = &b->model->config;
    s24m_engine *e = b->engine;
    char name[S24M_NAME];
    s24m_global(b->model, c->tied ? S24M_EMBEDDING : S24M_OUTPUT, name);
    s24_status status = s24m_head_load_rest(b->model, &e->head);
    if (!status)
        status =
            s24m_pack_table(b->model, name, c->vocab, c->width, b->plan->head, &e->head.packed);
    if (!status)
        status = prepare(b, name, e->head.packed, &e->head.product);
    if (!status)
        count(b, e->head.packed, 1);
    return s24m_done(status);
}

/* Rows of floats are read where they lie, others are unpacked. */
static bool open_embedding(builder *b)
{
    const s24m_config *c = &b->model->config;
    s24m_engine *e = b->engine;
    char name[S24M_NAME];
    s24m_global(b->model, S24M_EMBEDDING, name);
    bool floats = s24_file_get(b->model->file, name, &e->table) == S24_OK &&
                  e->table.dtype != S24_U8 && e->table.dtype != S24_I8;
    if (floats && (b->plan->head == S24M_AS_STORED || !c->tied))
        return s24m_done(s24m_check_tensor(b->model, name, c->vocab, c->width));
    e->table = s24m_mat(NULL, c->vocab, c->width);
    if (c->tied) {
        e->rows = e->head.packed;
        return true;
    }
    s24_status status =
        s24m_pack_table(b->model, name, c->vocab, c->width, S24M_AS_STORED, &e->rows);
    if (!status)
        count(b, e->rows, 0);
    return s24m_done(status);
}

static bool open_blocks(builder *b)
{
    int64_t layers = b->model->config.layers;
    bool done = (b->engine->blocks = s24m_have(calloc((size_t)layers + 1, sizeof(s24m_block))));
    for (int64_t i = 0; done && i < layers; i++)
        done =
            s24m_done(s24m_block_take(b->model, i, take, b, b->engine->blocks + i)) && go_on(b, i);
    return done;
}

/* The largest tables first, while nothing else is in memory. */
bool s24m_engine_open(const s24m_model *model, const s24m_engine_plan *plan, s24m_engine **out)
{
    builder b = {model, plan, s24m_have(calloc(1, sizeof *b.engine))};
    bool done = b.engine && open_head(&b) && open_embedding(&b) && go_on(&b, -1) && open_blocks(&b);
    if (done)
        *out = b.engine;
    else
        s24m_engine_close(b.engine);
    s24m_memory_trim();
    return done;
}

void s24m_engine_close(s24m_engine *engine)
{
    if (!engine)
        return;
    for (s24m_block *b = engine->blocks; b && b->program; b++)
        s24m_block_free(b);
    free(engine->blocks);
    if (engine->rows != engine->head.packed)
        s24_packed_destroy(engine->rows);
    s24m_head_free(&engine->head);
    free(engine);
}

s24_status s24m_engine_embedding(const s24m_engine *engine, const s24m_model *model, int64_t length,
                                 s24m_embedding *e)
{
    s24_status status = s24m_embedding_load(model, length, &engine->table, e);
    e->packed = status ? NULL : engine->rows;
    return status;
}
