/* sparse24 compress: a whole model, block by block. */
#include "commands.h"
#include "clock.h"
#include "codes.h"
#include "job.h"
#include "memory.h"
#include "message.h"
#include "paths.h"
#include "progress.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Blocks ---- */

/* The type of a matrix to be written: as asked, else the source's, else F16. */
static int32_t stored_type(const job *j, const char *name)
{
    static const int32_t floats[] = {S24_F64, S24_F32, S24_F16, S24_BF16};
    const char *type = "";
    if (j->settings.store)
        return j->settings.store;
    s24_file_info(j->model->file, name, NULL, NULL, &type);
    for (int i = 0; i < 4; i++)
        if (!strcmp(type, s24m_matrix_type(floats[i])))
            return floats[i];
    return S24_F16; /* of blocks that share scales */
}

static void open_matrices(job *j, const s24m_block *block, matrix m[S24M_LINEARS])
{
    for (int32_t which = 0; which < S24M_LINEARS; which++)
        m[which] = (matrix){.tensor = block->linear[which].name,
                            .kind = job_kind(which),
                            .layer = (int)block->layer,
                            .constraints = job_constraints(j, block->layer, which),
                            .w = block->linear[which].weights,
                            .store = stored_type(j, block->linear[which].name)};
}

/* Keep the records; the matrices go. */
static void close_matrices(job *j, matrix m[S24M_LINEARS], bool keep)
{
    for (int32_t which = 0; which < S24M_LINEARS; which++) {
        if (keep && m[which].record) {
            j->records[j->count++] = m[which].record;
            m[which].record = NULL;
        }
        s24m_matrix_close(m + which);
    }
}

static bool compress_block(job *j, int index)
{
    s24m_block block;
    matrix m[S24M_LINEARS];
    bool found = false;
    double began = now();
    if (!s24m_done(s24m_block_load(j->model, index, &block)))
        return false;
    s24m_memory_let_go(j->model->file);
    open_matrices(j, &block, m);
    bool done = s24m_checkpoint_load(&j->checkpoint, index, m, S24M_LINEARS, &found) &&
                s24m_walk_block(&j->walk, &block, m) &&
                (found || s24m_checkpoint_save(&j->checkpoint, index, m, S24M_LINEARS));
    close_matrices(j, m, done);
    s24m_block_free(&block);
    if (done && !progress_shown())
        fprintf(stderr, "sparse24: block %d of %lld: %s, %.1f seconds\n", index + 1,
                (long long)j->model->config.layers, found ? "read" : "done", now() - began);
    return done;
}

static bool compress_blocks(job *j)
{
    double began = now();
    bool done = s24m_walk_open(&j->walk, &j->settings, j->model, j->ids, j->sequences.count,
                               j->sequences.length, j->checkpoint.folder);
    j->records =
        must(calloc((size_t)j->model->config.layers * S24M_LINEARS + 1, sizeof *j->records));
    for (int index = 0; done && index < j->model->config.layers; index++)
        done = compress_block(j, index);
    progress_span(0, 0);
    progress_clear();
    j->walked = now() - began;
    double rate = 0, flops = j->walk.flops;
    s24m_walk_close(&j->walk);
    done = done && s24m_product_rate(j->settings.ctx, &rate);
    j->rate = fmax(j->rate, rate); /* neighbours come and go: the better of before and after */
    j->efficiency = flops / (j->walked * j->rate);
    return done;
}

/* ---- What it is worth ---- */

/* On a grid it is the codes that somebody loads, not the file's rounded floats. */
typedef struct overlay {
    job *job;
    s24_file *parts; /* NULL: there are none */
} overlay;

static bool take_codes(void *arg, s24m_block *block)
{
    overlay *o = arg;
    codes c;
    bool done = true;
    for (int32_t which = 0; done && o->parts && which < S24M_LINEARS; which++)
        if (s24m_codes_of_file(o->parts, block->linear[which].name, &c))
            done = s24m_codes_decode(&c, o->job->settings.ctx,
                                     job_constraints(o->job, block->layer, which),
                                     block->linear[which].weights.data);
    return done;
}

static bool measure(job *j, s24m_model *model, overlay *o, double *perplexity)
{
    evaluating how = {.title = o ? "perplexity after" : "perplexity before",
                      .memory = j->eval_memory,
                      .adjust = o ? take_codes : NULL,
                      .arg = o};
    bool done = true;
    for (int i = 0; done && i < j->a->eval.count; i++) {
        evaluation e;
        done = s24m_evaluate(model, j->eval + i, &how, &e);
        perplexity[i] = exp(e.mean);
    }
    return done;
}

static bool open_parts(const job *j, s24_file **parts)
{
    char *path = s24m_path_join(j->a->out, "parts.safetensors");
    bool done = access(path, F_OK) || s24_file_open(j->settings.ctx, path, parts) == S24_OK ||
                fail_library("%s", path);
    free(path);
    return done;
}

/* The file that was written is what is measured. */
static bool measure_written(job *j)
{
    s24m_model *model = NULL;
    overlay o = {.job = j};
    assembly made = job_assembly(j);
    if (!j->a->eval.count)
        return true;
    char *path = s24m_assemble_model_path(&made, j->a->out);
    bool done = s24m_open(j->settings.ctx, path, &model) == S24_OK ||
                fail("%s: %s", path, s24_last_error());
    done = done && open_parts(j, &o.parts) && measure(j, model, &o, j->after);
    s24_file_destroy(o.parts);
    s24m_close(model);
    free(path);
    return done;
}

/* ---- All of it ---- */

static bool work(job *j)
{
    assembly made = job_assembly(j);
    if (!s24m_product_rate(j->settings.ctx, &j->rate) || !measure(j, j->model, NULL, j->before) ||
        !compress_blocks(j) || !s24m_assemble(&made, (const char *const *)j->records, j->count))
        return false;
    s24m_checkpoint_close(&j->checkpoint, true);
    return measure_written(j);
}

/* The records that an earlier run wrote. */
static bool read_records(job *j)
{
    char *path = s24m_path_join(j->a->out, "records.jsonl"), *line = NULL;
    size_t room = 0, most = (size_t)j->model->config.layers * S24M_LINEARS;
    FILE *file = fopen(path, "r");
    bool done = file || fail("%s: %s", path, strerror(errno));
    j->records = must(calloc(most + 1, sizeof *j->records));
    while (done && (size_t)j->count < most && getline(&line, &room, file) > 0) {
        line[strcspn(line, "\n")] = 0;
        j->records[j->count++] = must(strdup(line));
    }
    if (file)
        fclose(file);
    free(line);
    free(path);
    return done;
}

/* What an earlier run did not come to: the evaluation, and all that is told. */
static bool work_left(job *j)
{
    j->efficiency = NAN;
    return read_records(j) && measure(j, j->model, NULL, j->before) && measure_written(j);
}

int run_compress(const args *a)
{
    job j = {.a = a, .began = now(), .checkpoint = {.lock = -1}};
    progress_start(a->progress);
    bool done = job_open(&j) && (j.complete ? work_left(&j) : work(&j));
    progress_clear();
    if (done)
        done = job_tell(&j);
    else if (progress_interrupted())
        fail("interrupted: go on with --resume");
    job_close(&j, done);
    return done ? DONE : FAILED;
}
