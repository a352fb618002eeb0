/* The tuning of what a run has compressed: from the blocks of its checkpoint to a file beside
 * them. */
#include "compression.h"
#include "generate.h"
#include "own_rows.h"
#include "tune.h"
#include "walk_order.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- The student ---- */

static void copy_values(float *to, const matrix *m)
{
    if (m->v)
        memcpy(to, m->v, (size_t)(m->w.rows * m->w.cols) * sizeof *to);
}

/* A block as the run left it: what was solved, and vectors that refinement trained. */
static bool take_block(s24_compression *c, s24m_block *block, matrix *m, trained *vectors)
{
    bool found = false;
    if (!s24m_trained_open(vectors, c->model, block, s24m_job_vector_type, c) ||
        !s24m_checkpoint_load(&c->checkpoint, (int)block->layer, m, block->program->count, vectors,
                              &found) ||
        !s24m_order_again(c->model, block, m))
        return false;
    for (int32_t i = 0; i < block->program->count; i++)
        copy_values(block->linear[i].weights.data, m + i);
    for (const trained_vector *v = vectors->vectors; v < vectors->vectors + vectors->count; v++)
        copy_values(*s24m_trained_place(v, block), &v->m);
    return found || s24m_wrong(S24_E_STATE, "block %d is not there", (int)block->layer);
}

static bool choose(void *from, s24m_block *block, s24m_choice *choices, s24_file **holds)
{
    s24_compression *c = from;
    trained vectors = {0};
    int32_t count = block->program->count;
    matrix *m = s24m_have(calloc((size_t)count + 1, sizeof *m));
    if (!m)
        return false;
    s24m_job_matrices(c, block, m);
    bool done = take_block(c, block, m, &vectors) &&
                (*holds = s24m_checkpoint_file(&c->checkpoint, (int)block->layer));
    for (int32_t i = 0; i < count; i++) {
        bool compressed = m[i].constraints != NULL;
        s24m_choice *choice = choices + i;
        *choice = (s24m_choice){.compressed = compressed, .store = m[i].store};
        choice->constraints = m[i].constraints;
        choice->trains = compressed && !s24m_matrix_has_parts(m + i);
        if (done && compressed && !choice->trains) {
            s24m_codes_of_file(*holds, m[i].tensor, &choice->parts);
            choice->trains = s24m_composed_can(&choice->parts);
        }
        s24m_matrix_close(m + i);
    }
    s24m_trained_close(&vectors);
    free(m);
    return done;
}

/* ---- Rows ---- */

s24m_self s24m_job_further(const s24_compression *c)
{
    s24m_self further = c->settings.self;
    further.continued = further.rows ? c->sequences.count[0] - further.rows : 0;
    further.rows = 0;
    return further;
}

/* Those of the calibration, and as many that go on from the user's. */
static int32_t *gather(s24_compression *c, const s24m_self *further)
{
    int64_t rows = c->sequences.count[0], length = c->sequences.length;
    s24m_generating how = {.watch = &c->watch,
                           .title = "continuations",
                           .sampling = {1, 0, 1, further->seed},
                           .first_row = (uint64_t)c->settings.self.rows,
                           .memory = c->eval_memory};
    int32_t *ids = s24m_have(malloc((size_t)((rows + further->continued) * length) * sizeof *ids));
    if (ids)
        memcpy(ids, c->ids, (size_t)(rows * length) * sizeof *ids);
    if (ids && further->continued &&
        !s24m_own_rows_make(further, c->model, &how, &c->checkpoint, rows, length, ids)) {
        free(ids);
        return NULL;
    }
    return ids;
}

/* ---- All of it ---- */

bool s24m_job_tune(s24_compression *c, s24m_model *model, const s24m_school *school,
                   s24_file **tuned)
{
    s24m_self further = s24m_job_further(c);
    int32_t *ids = gather(c, &further);
    s24m_tuning t = {.watch = &c->watch,
                     .model = model,
                     .dense = c->model,
                     .school = *school,
                     .c = &c->checkpoint,
                     .ids = ids,
                     .rows = c->sequences.count[0] + further.continued,
                     .own = c->settings.self.rows + further.continued,
                     .length = c->sequences.length,
                     .rate = c->settings.tune_rate,
                     .epochs = c->settings.tune_epochs,
                     .seed = c->settings.self.seed,
                     .keep = c->settings.keep,
                     .curve = c->settings.curves + c->model->config.layers,
                     .before = NAN,
                     .after = NAN};
    bool done = ids && s24m_tune(&t);
    char *path = done && t.taken ? s24m_checkpoint_path(&c->checkpoint, TUNED_FILE) : NULL;
    if (done && t.taken)
        done = path && s24m_good(s24_file_open(model->ctx, path, tuned), "%s", path);
    c->divergence[0] = t.before;
    c->divergence[1] = t.after;
    free(path);
    free(ids);
    return done;
}

bool s24m_job_tune_blocks(s24_compression *c, s24_file **tuned)
{
    const s24m_school school = {choose, s24m_job_vector_type, c};
    return !c->settings.tune || s24m_job_tune(c, c->model, &school, tuned);
}
