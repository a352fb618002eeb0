/* A run of a compression: block by block, then the model, then what it is worth. */
#include "parts.h"
#include "beside.h"
#include "card.h"
#include "codes.h"
#include "compression.h"
#include "hidden.h"
#include "memory.h"
#include "own_rows.h"
#include "paths.h"
#include "walk_order.h"
#include "walk_rank.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Blocks ---- */

void s24m_job_matrices(s24_compression *c, const s24m_block *block, matrix *m)
{
    for (int32_t which = 0; which < block->program->count; which++) {
        const char *constraints = s24m_job_constraints(c, block->layer, which);
        const char *name = block->linear[which].name, *all = constraints ? constraints : "";
        m[which] =
            (matrix){.tensor = name,
                     .kind = s24m_kind(c->model, block->layer, which),
                     .layer = (int)block->layer,
                     .tokens = -1,
                     .constraints = constraints,
                     .w = block->linear[which].weights,
                     .source = s24m_job_source(c, name),
                     .store = s24m_job_stored(c, name, all),
                     .stored = s24m_form_stored_as(
                         c->settings.form, all, s24m_is_whole(block->program->matrices + which))};
    }
}

/* Keep the records; the matrices go. */
static void close_matrices(s24_compression *c, matrix *m, int32_t count, bool keep)
{
    for (int32_t which = 0; which < count; which++) {
        if (keep && m[which].record.json) {
            c->records[c->count++] = m[which].record;
            s24m_record_open(&m[which].record);
        }
        s24m_matrix_close(m + which);
    }
    free(m);
}

/* Vectors keep their types, whatever the matrices become. */
int32_t s24m_job_vector_type(void *from, const char *name)
{
    const s24_compression *c = from;
    static const int32_t floats[] = {S24_F64, S24_F32, S24_F16, S24_BF16};
    const char *type = "";
    s24_file_info(c->model->file, name, NULL, NULL, &type);
    for (int i = 0; i < 4; i++)
        if (!strcmp(type, s24m_matrix_type(floats[i])))
            return floats[i];
    return S24_F32;
}

static bool compress_block(s24_compression *c, int index)
{
    s24m_block block;
    trained vectors = {0};
    s24m_ranks *r = c->settings.ranks;
    int32_t count = s24m_matrices(c->model, index);
    bool found = false;
    double began = s24_seconds();
    matrix *m = s24m_have(calloc((size_t)count, sizeof *m));
    if (!m || !s24m_done(s24m_block_load(c->model, index, &block))) {
        free(m);
        return false;
    }
    s24m_memory_let_go(c->model->file);
    s24m_job_matrices(c, &block, m);
    bool done = s24m_trained_open(&vectors, c->model, &block, s24m_job_vector_type, c) &&
                s24m_checkpoint_load(&c->checkpoint, index, m, count, &vectors, &found);
    done = s24m_ranks_same(r, done, "blocks that lie in the folder", found ? index + 1 : index) &&
           (found ? s24m_order_again(c->model, &block, m) : s24m_walk_order(&c->walk, &block, m)) &&
           (found || s24m_job_read_scores(c, &block, m)) && s24m_walk_rank(&c->walk, &block, m) &&
           s24m_walk_block(&c->walk, &block, m, c->settings.refine ? &vectors : NULL) &&
           (found ||
            (s24m_order_keep(c->model, &block, m, &vectors) &&
             (s24m_rank(r) || s24m_checkpoint_save(&c->checkpoint, index, m, count, &vectors))));
    s24m_trained_close(&vectors);
    close_matrices(c, m, count, done);
    s24m_block_free(&block);
    s24m_memory_trim();
    if (done)
        s24m_watch_log(&c->watch, 2, "block %d of %lld: %s, %.1f seconds", index + 1,
                       (long long)c->model->config.layers, found ? "read" : "done",
                       s24_seconds() - began);
    return done;
}

static bool open_records(s24_compression *c)
{
    size_t most = (size_t)c->model->matrix_count;
    return (c->records = s24m_have(calloc(most + 1, sizeof *c->records)));
}

/* All that an earlier run left of a block that is wanted once no block is to be solved. */
static bool read_block(s24_compression *c, int index)
{
    s24m_block block;
    int32_t count = s24m_matrices(c->model, index);
    bool found = false;
    matrix *m = s24m_have(calloc((size_t)count, sizeof *m));
    if (!m || !s24m_done(s24m_block_load(c->model, index, &block))) {
        free(m);
        return false;
    }
    s24m_memory_let_go(c->model->file);
    s24m_job_matrices(c, &block, m);
    bool done = s24m_checkpoint_load(&c->checkpoint, index, m, count, NULL, &found);
    close_matrices(c, m, count, done);
    s24m_block_free(&block);
    return done;
}

static bool read_blocks(s24_compression *c)
{
    int layers = (int)c->model->config.layers;
    bool done = true;
    for (int index = 0; done && index < layers; index++)
        done = s24m_watch_show(&c->watch, "blocks", "reading", (double)index / layers) &&
               read_block(c, index);
    if (done)
        s24m_watch_log(&c->watch, 2, "all %d blocks: read", layers);
    return done;
}

static bool compress_blocks(s24_compression *c)
{
    double began = s24_seconds();
    if (s24m_checkpoint_has_all(&c->checkpoint, (int)c->model->config.layers))
        return open_records(c) && read_blocks(c);
    bool done = open_records(c) &&
                s24m_walk_open(&c->walk, &c->settings, c->model, c->ids, c->sequences.count,
                               c->sequences.length, c->checkpoint.folder);
    for (int index = 0; done && index < c->model->config.layers; index++)
        done = compress_block(c, index);
    s24m_watch_span(&c->watch, 0, 0);
    c->walked = s24_seconds() - began;
    double rate = 0, flops = c->walk.flops;
    s24m_walk_close(&c->walk);
    done = done && s24m_product_rate(c->settings.ctx, flops, &rate);
    c->rate = fmax(c->rate, rate); /* neighbours come and go: the better of before and after */
    c->efficiency = flops / (c->walked * c->rate);
    return done;
}

/* ---- What it is worth ---- */

/* What a loader of the output computes where the model file alone does not say it: codes and
 * factors that lie beside it, packed matrices in place of the source's. */
typedef struct overlay {
    s24_compression *c;
    s24_file *file; /* that has them; NULL: there are none */
} overlay;

/* What is written is a model of floats, of codes or of packed matrices, but for one form, of which
 * we read the matrices alone: the source takes the part of the rest. */
static bool is_packed(const form *f)
{
    return f->holder == HOLDER_FOLDER && f->layout && !f->bits;
}

static bool take_matrix(const overlay *o, s24m_linear *linear, const char *constraints)
{
    const form *f = o->c->settings.form;
    s24_ctx *ctx = o->c->settings.ctx;
    codes found;
    if (f->beside == BESIDE_FACTORS)
        return s24m_beside_add_factors(o->file, ctx, linear->name, &linear->weights);
    if (f->beside == BESIDE_NOTHING)
        return s24m_store_read(f, o->file, linear->name, &linear->weights);
    return !s24m_codes_of_file(o->file, linear->name, &found) ||
           s24m_codes_decode(&found, ctx, constraints, linear->weights.data);
}

/* Of a packed file, which has all tensors: they may stand in another order than the source's. */
static bool take_bias(const overlay *o, int64_t layer, int32_t which, const s24m_linear *linear)
{
    char name[S24M_NAME];
    s24_mat bias = {0};
    s24m_tensor_name(o->c->model, layer, which, true, name);
    if (!linear->bias || !is_packed(o->c->settings.form) ||
        s24m_program_of(o->c->model, layer)->matrices[which].slices ||
        s24_file_info(o->file, name, NULL, NULL, NULL) != S24_OK)
        return true;
    s24_mat_rowmajor(&bias, linear->bias, 1, linear->weights.rows, S24_F32);
    return s24m_good(s24_file_read(o->file, name, &bias), "%s", name);
}

static bool take_matrices(void *arg, s24m_block *block)
{
    overlay *o = arg;
    bool done = true;
    for (int32_t which = 0; done && o->file && which < block->program->count; which++) {
        const char *constraints = s24m_job_constraints(o->c, block->layer, which);
        done = (!constraints || take_matrix(o, block->linear + which, constraints)) &&
               take_bias(o, block->layer, which, block->linear + which);
    }
    return done;
}

/* Of an encoder: its hidden states before, then how far they are from those. */
static bool measure_hidden(s24m_model *model, evaluated *e, const evaluating *how)
{
    const tokens *t = &e->tokens;
    float *h = NULL;
    if (!e->dense)
        return s24m_hidden_take(model, t, how, &e->dense);
    bool done = s24m_hidden_take(model, t, how, &h);
    if (done)
        e->hidden = s24m_hidden_error(e->dense, h, t->rows * t->length * model->config.hidden);
    free(e->dense);
    e->dense = NULL;
    free(h);
    return done;
}

bool s24m_job_measure(s24_compression *c, s24m_model *model, bool after,
                      bool (*adjust)(void *arg, s24m_block *block), void *arg)
{
    evaluating how = {.watch = &c->watch,
                      .title = s24m_is_encoder(model) ? "hidden states"
                               : after                ? "perplexity after"
                                                      : "perplexity before",
                      .memory = c->eval_memory,
                      .ranks = &c->handle->ranks,
                      .adjust = adjust,
                      .arg = arg};
    bool done = true;
    for (evaluated *e = c->evaluations; done && e < c->evaluations + c->evaluated; e++) {
        evaluation found;
        if (s24m_is_encoder(model)) {
            done = measure_hidden(model, e, &how);
            continue;
        }
        done = s24m_evaluate(model, &e->tokens, &how, &found);
        *(after ? &e->after : &e->before) = done ? exp(found.mean) : NAN;
    }
    return done;
}

static bool open_written(s24_compression *c, const char *path, s24m_model **model, overlay *o)
{
    const form *f = c->settings.form;
    s24_ctx *ctx = c->settings.ctx;
    const char *source = is_packed(f) ? c->handle->path : path;
    if (!s24m_good(s24m_open(ctx, source, model), "%s", source))
        return false;
    if (is_packed(f))
        return s24m_good(s24_file_open(ctx, path, &o->file), "%s", path);
    return f->beside == BESIDE_PARTS     ? s24m_parts_open(ctx, c->out, &o->file)
           : f->beside == BESIDE_FACTORS ? s24m_beside_open_adapter(ctx, c->out, &o->file)
                                         : true;
}

/* The file that was written is what is measured. */
static bool measure_written(s24_compression *c)
{
    s24m_model *model = NULL;
    overlay o = {.c = c};
    assembly made = s24m_job_assembly(c);
    if (!c->evaluated)
        return true;
    char *path = s24m_assemble_model_path(&made, c->out);
    bool done = path && open_written(c, path, &model, &o) &&
                s24m_job_measure(c, model, true, take_matrices, &o);
    s24_file_destroy(o.file);
    s24m_close(model);
    free(path);
    return done;
}

/* ---- All of it ---- */

/* The rows that the model writes itself, behind the user's. */
static bool write_rows(s24_compression *c)
{
    const s24m_self *self = &c->settings.self;
    s24m_generating how = {.watch = &c->watch,
                           .title = "the model's own text",
                           .sampling = {1, 0, 1, self->seed},
                           .memory = c->eval_memory,
                           .ranks = c->settings.ranks};
    if (!strcmp(c->own, "auto") && !s24m_can_generate(c->model))
        s24m_watch_log(&c->watch, 1,
                       s24m_is_encoder(c->model)
                           ? "%s is an encoder and writes no rows of its own: the given ones stand "
                             "alone"
                           : "%s has recurrent layers and cannot write rows of its own yet: the "
                             "given ones stand alone",
                       c->model->config.architecture);
    return !self->rows ||
           s24m_own_rows_make(self, c->model, &how, &c->checkpoint,
                              c->sequences.count[0] - self->rows, c->sequences.length, c->ids);
}

/* What was asked, and the card. */
static bool write_beside(void *arg, const char *folder)
{
    const s24_compression *c = arg;
    char *card = s24m_card_text(c, folder, false);
    bool done = card && s24m_beside_add(folder, CARD, card) &&
                (!*c->recipe || s24m_beside_add(folder, "recipe.txt", c->recipe));
    free(card);
    return done;
}

static bool work(s24_compression *c)
{
    assembly made = s24m_job_assembly(c);
    s24_file *tuned = NULL;
    made.beside = write_beside;
    made.arg = c;
    double flops = s24m_flops_blocks(c->model, c->sequences.count[0], c->sequences.length);
    if (!s24m_product_rate(c->settings.ctx, flops, &c->rate) ||
        !s24m_job_measure(c, c->model, false, NULL, NULL) || !write_rows(c) || !compress_blocks(c))
        return false;
    bool done = s24m_job_tune_blocks(c, &tuned), writes = !s24m_rank(c->settings.ranks);
    made.tuned = tuned;
    done = done && (!writes || s24m_assemble(&made, c->records, c->count));
    s24_file_destroy(tuned);
    if (!s24m_job_see_output(c, done))
        return false;
    s24m_checkpoint_close(&c->checkpoint, &c->watch, true);
    return measure_written(c) && (!writes || s24m_card_measured(c));
}

/* The records that an earlier run wrote. */
static bool read_records(s24_compression *c)
{
    char *path = s24m_path_join(c->out, RECORDS_PLACE), *line = NULL;
    size_t room = 0, most = (size_t)c->model->matrix_count;
    FILE *file = path ? fopen(path, "r") : NULL;
    bool done = (file || (path && s24m_wrong(S24_E_IO, "%s: %s", path, strerror(errno)))) &&
                open_records(c);
    while (done && (size_t)c->count < most && getline(&line, &room, file) > 0) {
        line[strcspn(line, "\n")] = 0;
        done = s24m_record_read(c->records + c->count++, line);
    }
    if (file)
        fclose(file);
    free(line);
    free(path);
    return done;
}

bool s24m_job_run(s24_compression *c)
{
    /* What an earlier run did not come to: the evaluation, and all that is told. */
    if (c->complete)
        return read_records(c) && s24m_job_measure(c, c->model, false, NULL, NULL) &&
               measure_written(c) && (s24m_rank(c->settings.ranks) || s24m_card_measured(c));
    return work(c);
}
