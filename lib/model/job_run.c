/* A run of a compression: block by block, then the model, then what it is worth. */
#include "parts.h"
#include "beside.h"
#include "card.h"
#include "codes.h"
#include "compression.h"
#include "memory.h"
#include "paths.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Blocks ---- */

static void open_matrices(s24_compression *c, const s24m_block *block, matrix *m)
{
    for (int32_t which = 0; which < block->program->count; which++)
        m[which] = (matrix){.tensor = block->linear[which].name,
                            .kind = s24m_kind(c->model, block->layer, which),
                            .layer = (int)block->layer,
                            .tokens = -1,
                            .constraints = s24m_job_constraints(c, block->layer, which),
                            .w = block->linear[which].weights,
                            .source = s24m_job_source(c, block->linear[which].name),
                            .store = s24m_job_stored(c, block->linear[which].name)};
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

static bool compress_block(s24_compression *c, int index)
{
    s24m_block block;
    int32_t count = s24m_matrices(c->model, index);
    bool found = false;
    double began = s24_seconds();
    matrix *m = s24m_have(calloc((size_t)count, sizeof *m));
    if (!m || !s24m_done(s24m_block_load(c->model, index, &block))) {
        free(m);
        return false;
    }
    s24m_memory_let_go(c->model->file);
    open_matrices(c, &block, m);
    bool done = s24m_checkpoint_load(&c->checkpoint, index, m, count, &found) &&
                s24m_walk_block(&c->walk, &block, m) &&
                (found || s24m_checkpoint_save(&c->checkpoint, index, m, count));
    close_matrices(c, m, count, done);
    s24m_block_free(&block);
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

static bool compress_blocks(s24_compression *c)
{
    double began = s24_seconds();
    bool done = open_records(c) &&
                s24m_walk_open(&c->walk, &c->settings, c->model, c->ids, c->sequences.count,
                               c->sequences.length, c->checkpoint.folder);
    for (int index = 0; done && index < c->model->config.layers; index++)
        done = compress_block(c, index);
    s24m_watch_span(&c->watch, 0, 0);
    c->walked = s24_seconds() - began;
    double rate = 0, flops = c->walk.flops;
    s24m_walk_close(&c->walk);
    done = done && s24m_product_rate(c->settings.ctx, &rate);
    c->rate = fmax(c->rate, rate); /* neighbours come and go: the better of before and after */
    c->efficiency = flops / (c->walked * c->rate);
    return done;
}

/* ---- What it is worth ---- */

/* On a grid it is the codes that somebody loads, not the file's rounded floats. */
typedef struct overlay {
    s24_compression *c;
    s24_file *parts; /* NULL: there are none */
} overlay;

static bool take_codes(void *arg, s24m_block *block)
{
    overlay *o = arg;
    codes found;
    bool done = true;
    for (int32_t which = 0; done && o->parts && which < block->program->count; which++)
        if (s24m_codes_of_file(o->parts, block->linear[which].name, &found))
            done = s24m_codes_decode(&found, o->c->settings.ctx,
                                     s24m_job_constraints(o->c, block->layer, which),
                                     block->linear[which].weights.data);
    return done;
}

/* Without an overlay: before. */
static bool measure(s24_compression *c, s24m_model *model, overlay *o)
{
    evaluating how = {.watch = &c->watch,
                      .title = o ? "perplexity after" : "perplexity before",
                      .memory = c->eval_memory,
                      .adjust = o ? take_codes : NULL,
                      .arg = o};
    bool done = true;
    for (evaluated *e = c->evaluations; done && e < c->evaluations + c->evaluated; e++) {
        evaluation found;
        done = s24m_evaluate(model, &e->tokens, &how, &found);
        *(o ? &e->after : &e->before) = done ? exp(found.mean) : NAN;
    }
    return done;
}

static bool open_parts(const s24_compression *c, s24_file **parts)
{
    char *path = s24m_path_join(c->out, "parts.safetensors");
    bool done = path && (access(path, F_OK) ||
                         s24m_good(s24_file_open(c->settings.ctx, path, parts), "%s", path));
    free(path);
    return done;
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
    bool done = path && s24m_good(s24m_open(c->settings.ctx, path, &model), "%s", path) &&
                open_parts(c, &o.parts) && measure(c, model, &o);
    s24_file_destroy(o.parts);
    s24m_close(model);
    free(path);
    return done;
}

/* ---- All of it ---- */

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
    made.beside = write_beside;
    made.arg = c;
    if (!s24m_product_rate(c->settings.ctx, &c->rate) || !measure(c, c->model, NULL) ||
        !compress_blocks(c) || !s24m_assemble(&made, c->records, c->count))
        return false;
    s24m_checkpoint_close(&c->checkpoint, &c->watch, true);
    return measure_written(c) && s24m_card_measured(c);
}

/* The records that an earlier run wrote. */
static bool read_records(s24_compression *c)
{
    char *path = s24m_path_join(c->out, "records.jsonl"), *line = NULL;
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
        return read_records(c) && measure(c, c->model, NULL) && measure_written(c) &&
               s24m_card_measured(c);
    return work(c);
}
