#include "tune.h"
#include "activations.h"
#include "divergence.h"
#include "memory.h"
#include "tensors.h"
#include "training.h"
#include "tune_state.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TITLE "tuning"

typedef struct distilling {
    s24m_tuning *t;
    s24m_student student;
    s24m_training training;
    s24m_embedding embedding;
    s24m_divergence end;
    activations taught; /* the dense model's last hidden states, of all rows */
    s24m_tape tape;
    int64_t together;        /* rows at a time */
    float **inputs, *states; /* of each block and of the head; the dense model's, of those rows */
    float *room;
    int32_t *ids;
} distilling;

static int64_t rows_together(int64_t length)
{
    int64_t chunk = s24m_chunk(length);
    return chunk < S24M_BATCH ? chunk : S24M_BATCH;
}

/* ---- What the dense model gives ---- */

/* The tokens of a chunk of rows, embedded, or from the store; through a block; to the store. */
static bool teach_chunk(distilling *d, const s24m_block *block, int64_t first, int64_t count)
{
    const s24m_tuning *t = d->t;
    int64_t at = first * t->length, tokens = count * t->length;
    float *h = d->states;
    bool done = block ? s24m_activations_read(&d->taught, at, tokens, h)
                      : s24m_done(s24m_embed(t->dense, t->ids + at, count, t->length, h));
    return done &&
           (!block || s24m_done(s24m_forward_block(t->dense, block, h, count, t->length))) &&
           s24m_activations_write(&d->taught, at, tokens, h);
}

/* One block, or the embedding. */
static bool teach_block(distilling *d, int64_t layer)
{
    const s24m_tuning *t = d->t;
    s24m_block block = {0};
    double share = (double)(layer + 1) / (double)(t->dense->config.layers + 1);
    bool done = layer < 0 || s24m_done(s24m_block_load(t->dense, layer, &block));
    s24m_memory_let_go(t->dense->file);
    for (int64_t first = 0, count; done && first < t->rows; first += count) {
        count = t->rows - first < d->together ? t->rows - first : d->together;
        done = s24m_watch_show(t->watch, TITLE, "the dense model", share) &&
               teach_chunk(d, layer < 0 ? NULL : &block, first, count);
    }
    s24m_block_free(&block);
    return done;
}

static bool ask_teacher(distilling *d)
{
    bool done = true;
    for (int64_t layer = -1; done && layer < d->t->dense->config.layers; layer++)
        done = teach_block(d, layer);
    return done;
}

/* ---- Forth and back ---- */

/* A rate that is too high ends here. */
static bool check_finite(const distilling *d, int64_t layer, const float *h, int64_t tokens)
{
    s24m_fault fault;
    s24_mat view = s24m_mat(h, tokens, d->t->model->config.hidden);
    return s24m_done(s24m_find_fault(d->t->model, &view, &fault)) &&
           (fault.row < 0 ||
            s24m_wrong(S24_E_NUMERIC, "tuning: block %lld of the compressed model gives %g",
                       (long long)layer + 1, fault.value));
}

/* The compressed model up to the head, with the input of every block kept. */
static bool forth(distilling *d, const int64_t *rows, int64_t count)
{
    const s24m_tuning *t = d->t;
    int64_t length = t->length, hidden = t->model->config.hidden, tokens = count * length;
    s24m_places at = {count, length, 0};
    bool done = true;
    for (int64_t i = 0; done && i < count; i++) {
        memcpy(d->ids + i * length, t->ids + rows[i] * length, (size_t)length * sizeof *d->ids);
        done = s24m_activations_read(&d->taught, rows[i] * length, length,
                                     d->states + i * length * hidden);
    }
    done =
        done && s24m_done(s24m_embedding_rows(t->model, &d->embedding, d->ids, &at, d->inputs[0]));
    for (int64_t i = 0; done && i < t->model->config.layers; i++) {
        done = s24m_tape_forward(&d->tape, d->student.blocks + i, d->inputs[i], count, length) &&
               check_finite(d, i, d->tape.y, tokens);
        memcpy(d->inputs[i + 1], d->tape.y, (size_t)(tokens * hidden) * sizeof(float));
    }
    return done;
}

/* From the gradient on the tape to that of every block; all but the last go forth again. */
static bool back(distilling *d, int64_t count)
{
    int64_t layers = d->t->model->config.layers;
    bool done = true;
    for (int64_t i = layers; done && i-- > 0;)
        done = (i == layers - 1 || s24m_tape_forward(&d->tape, d->student.blocks + i, d->inputs[i],
                                                     count, d->t->length)) &&
               s24m_tape_back(&d->tape, d->student.to + i);
    return done;
}

/* Their summed divergence over all tokens, with the gradient times `scale` if that is not 0. */
static bool run_rows(distilling *d, const int64_t *rows, int64_t count, double scale, double *sum)
{
    int64_t tokens = count * d->t->length;
    const float *h = d->inputs[d->t->model->config.layers];
    return forth(d, rows, count) &&
           s24m_divergence_run(&d->end, h, d->states, tokens, scale, sum,
                               scale > 0 ? d->tape.dy : NULL) &&
           (!(scale > 0) || back(d, count));
}

static bool run_all(distilling *d, const int64_t *rows, int64_t count, double scale, double *mean)
{
    double sum = 0;
    bool done = true;
    for (int64_t i = 0, now; done && i < count; i += now) {
        now = count - i < d->together ? count - i : d->together;
        done = run_rows(d, rows + i, now, scale, &sum);
    }
    *mean = sum / (double)(count * d->t->length);
    return done;
}

/* ---- What training calls ---- */

static bool learn(void *arg, const int64_t *rows, int64_t count, double *loss)
{
    distilling *d = arg;
    return s24m_student_make(&d->student) &&
           run_all(d, rows, count, 1 / (double)(count * d->t->length), loss) &&
           s24m_student_spread(&d->student);
}

static bool judge(void *arg, double *loss)
{
    distilling *d = arg;
    return s24m_student_make(&d->student) &&
           run_all(d, d->training.guard, d->training.guards, 0, loss);
}

static bool show(void *arg, double share)
{
    const distilling *d = arg;
    return s24m_watch_show(d->t->watch, TITLE, "", share);
}

static bool keep(void *arg, double loss, double met)
{
    const distilling *d = arg;
    const s24m_training *r = &d->training;
    s24m_watch_log(d->t->watch, 2,
                   "tuning: epoch %lld of %lld: divergence %.4g, on rows kept back %.4g%s",
                   (long long)r->epoch, (long long)r->epochs, loss, met,
                   met > r->best ? ": worse than the best state" : "");
    return s24m_tune_state_keep(d->t->c, r, d->t->before);
}

/* ---- Room ---- */

static int64_t floats_of(const s24m_model *model, int64_t length)
{
    return (model->config.layers + 2) * rows_together(length) * length * model->config.hidden;
}

static bool open_room(distilling *d)
{
    const s24m_tuning *t = d->t;
    int64_t layers = t->model->config.layers, tokens = d->together * t->length;
    int64_t size = tokens * t->model->config.hidden;
    d->room = s24m_floats(floats_of(t->model, t->length));
    d->inputs = s24m_have(malloc((size_t)(layers + 1) * sizeof *d->inputs));
    d->ids = s24m_have(malloc((size_t)tokens * sizeof *d->ids));
    if (!d->room || !d->inputs || !d->ids)
        return false;
    for (int64_t i = 0; i <= layers; i++)
        d->inputs[i] = d->room + i * size;
    d->states = d->room + (layers + 1) * size;
    return s24m_activations_open(&d->taught, t->model->ctx, t->keep, t->c->folder,
                                 t->rows * t->length, t->model->config.hidden);
}

/* The head's norm is the one that is trained. */
static bool open_end(distilling *d)
{
    if (!s24m_divergence_open(&d->end, d->t->model, d->t->dense, true))
        return false;
    const s24m_head_norm *last = &d->student.last;
    if (last->gain) {
        free(d->end.head.norm);
        d->end.head.norm = last->gain;
        d->end.gain = last->dgain;
    }
    if (last->shift) {
        free(d->end.head.shift);
        d->end.head.shift = last->shift;
        d->end.shift = last->dshift;
    }
    return true;
}

static void close_all(distilling *d)
{
    if (d->student.last.gain)
        d->end.head.norm = NULL;
    if (d->student.last.shift)
        d->end.head.shift = NULL;
    s24m_divergence_close(&d->end);
    s24m_embedding_free(&d->embedding);
    s24m_tape_close(&d->tape);
    s24m_activations_close(&d->taught);
    s24m_student_close(&d->student);
    s24m_training_close(&d->training);
    free(d->room);
    free(d->inputs);
    free(d->ids);
}

static bool check_sizes(const s24m_tuning *t)
{
    const s24m_config *ours = &t->model->config, *theirs = &t->dense->config;
    return (ours->hidden == theirs->hidden && ours->layers == theirs->layers) ||
           s24m_wrong(S24_E_SHAPE,
                      "the model has %lld layers of %lld, the dense one %lld of %lld: it was made "
                      "from another",
                      (long long)ours->layers, (long long)ours->hidden, (long long)theirs->layers,
                      (long long)theirs->hidden);
}

static bool open_all(distilling *d)
{
    s24m_tuning *t = d->t;
    d->together = rows_together(t->length);
    bool done =
        check_sizes(t) && s24m_tape_check(t->model) &&
        s24m_training_split(&d->training, t->rows, t->own, "tuning") &&
        s24m_student_open(&d->student, t->model, &t->school, &d->training.adam) && open_room(d) &&
        open_end(d) && s24m_tape_open(&d->tape, t->model, d->together * t->length) &&
        s24m_done(s24m_embedding_load(t->model, t->length, NULL, &d->embedding)) && ask_teacher(d);
    t->trained = d->student.trained;
    t->left = d->student.left;
    return done;
}

/* ---- What comes of it ---- */

static bool write_tuned(const distilling *d)
{
    const s24m_tuning *t = d->t;
    char *path = s24m_checkpoint_path(t->c, TUNED_FILE);
    s24_file *file = NULL;
    bool done =
        path && s24m_good(s24_file_create(t->model->ctx, path, "safetensors", &file), "%s", path) &&
        s24m_student_write(&d->student, file) && s24m_good(s24_file_commit(file), "%s", path);
    s24_file_destroy(file);
    free(path);
    return done;
}

static void tell(const s24m_tuning *t, const char *misfit)
{
    if (misfit)
        s24m_watch_log(t->watch, 1, "tuning: %s leaves the range of its type: the model stays",
                       misfit);
    else if (t->taken)
        s24m_watch_log(t->watch, 2, "tuned: divergence on rows kept back %.4g before, %.4g after%s",
                       t->before, t->after, t->halvings ? ", at a lower rate" : "");
    else
        s24m_watch_log(t->watch, 1,
                       "tuning: the model stays as it was, for rows kept back would be met worse "
                       "than their divergence of %.4g: give a lower rate or more rows",
                       t->before);
}

/* What is stored counts. */
static bool settle(distilling *d)
{
    s24m_tuning *t = d->t;
    const char *misfit = NULL;
    double after = INFINITY;
    bool done = s24m_student_round(&d->student, &misfit) && (misfit || judge(d, &after));
    t->halvings = d->training.halvings;
    t->taken = done && after < t->before;
    t->after = t->taken ? after : t->before;
    if (done)
        tell(t, misfit);
    return done && (!t->taken || write_tuned(d));
}

/* Falls to a tenth of the rate. */
static bool train(distilling *d)
{
    s24m_tuning *t = d->t;
    s24m_training *run = &d->training;
    bool found = false;
    run->epochs = s24m_training_epochs(t->epochs, run->trains);
    run->seed = t->seed;
    run->stream = (uint64_t)t->model->config.layers;
    run->rate = t->rate;
    run->adam.end = 0.1;
    run->curve = t->curve;
    run->arg = d;
    run->learn = learn;
    run->judge = judge;
    run->show = show;
    run->keep = keep;
    if (!s24m_tune_state_find(t->c, run, &t->before, &found) || (!found && !judge(d, &t->before)))
        return false;
    if (!found)
        run->best = run->last = t->before;
    return s24m_training_run(run);
}

bool s24m_tune(s24m_tuning *t)
{
    distilling d = {.t = t};
    t->before = t->after = NAN;
    t->taken = false;
    bool done = open_all(&d) && train(&d) && settle(&d);
    close_all(&d);
    return done;
}

uint64_t s24m_tune_bytes(const s24m_model *model, bool parts, int keep, int64_t rows,
                         int64_t length)
{
    int64_t tokens = rows_together(length) * length, hidden = model->config.hidden;
    int64_t floats = floats_of(model, length) + s24m_tape_floats(model, tokens);
    floats += s24m_tape_scratch(model, tokens);
    return s24m_student_bytes(model, parts) + s24m_divergence_bytes(model) +
           s24m_memory_table(model) + s24m_activations_bytes(keep, rows * length, hidden) +
           (uint64_t)floats * sizeof(float) + s24m_memory_attention(model, length);
}

double s24m_tune_flops(const s24m_model *model, int64_t epochs, int64_t rows, int64_t length)
{
    double forward = s24m_flops_blocks(model, 1, length), head = s24m_divergence_flops(model);
    double each = 4 * forward + (double)length * head;
    return (double)rows * (forward + (double)s24m_training_epochs(epochs, rows) * each);
}

uint64_t s24m_tune_disk(const s24m_model *model)
{
    enum { ARRAYS = 4 };
    return s24m_student_bytes(model, false) / 5 * (2 * ARRAYS + 1);
}
