/* s24_compression_tune(): a compressed model, made by anyone, trained towards the dense one. */
#include "beside.h"
#include "codes.h"
#include "disk.h"
#include "compression.h"
#include "generate.h"
#include "memory.h"
#include "own_rows.h"
#include "packed.h"
#include "tune.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct tuning_call {
    s24_compression *c;
    s24m_model *model; /* the compressed one */
    origin origin;
    record *records;
    int count;
    s24_file *parts; /* NULL: there are none */
    s24_file *tuned;
} tuning_call;

/* ---- What is trained ---- */

/* The type of a tensor of floats; 0: it is of none. */
static int32_t float_type(const s24m_model *model, const char *name)
{
    static const int32_t floats[] = {S24_F64, S24_F32, S24_F16, S24_BF16};
    char tensor[S24M_NAME];
    const char *type = "";
    snprintf(tensor, sizeof tensor, "%.*s", (int)strcspn(name, "["), name);
    s24_file_info(model->file, tensor, NULL, NULL, &type);
    for (int i = 0; i < 4; i++)
        if (!strcmp(type, s24m_matrix_type(floats[i])))
            return floats[i];
    return 0;
}

static int32_t vector_type(void *from, const char *name)
{
    int32_t type = float_type(((const tuning_call *)from)->model, name);
    return type ? type : S24_F32;
}

static const char *constraints_of(const tuning_call *t, const char *name)
{
    for (int i = 0; i < t->count; i++)
        if (!strcmp(t->records[i].text[RECORD_TENSOR], name))
            return t->records[i].text[RECORD_CONSTRAINTS];
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Of so many consecutive weights of a row fewer than half that are not 0 differ from each other. */
static bool is_coarse(const float *row, int64_t count)
{
    enum { MOST = 256 };
    float sorted[MOST];
    int64_t size = 0, different = 0;
    for (int64_t i = 0; i < count && i < MOST; i++)
        if (row[i] != 0)
            sorted[size++] = row[i];
    qsort(sorted, (size_t)size, sizeof *sorted, by_value);
    for (int64_t i = 0; i < size; i++)
        different += !i || sorted[i] != sorted[i - 1];
    return 2 * different < size;
}

/* Nobody has told of it: it is taken for pruned if a tenth of it is 0 and it does not stand on a
 * grid, which training would leave. */
static bool looks_pruned(const s24_mat *w)
{
    const float *values = w->data;
    int64_t zeros = 0, coarse = 0;
    for (int64_t i = 0; i < w->rows * w->cols; i++)
        zeros += values[i] == 0;
    for (int64_t r = 0; r < w->rows; r++)
        coarse += is_coarse(values + r * w->cols, w->cols);
    return 10 * zeros >= w->rows * w->cols && 2 * coarse < w->rows;
}

/* What stands on a grid becomes what its codes give; with its parts it is trained by them. */
static bool choose_matrix(const tuning_call *t, s24m_linear *linear, s24m_choice *choice)
{
    const char *constraints = constraints_of(t, linear->name);
    choice->store = float_type(t->model, linear->name);
    choice->compressed = constraints || !choice->store;
    choice->constraints = constraints;
    bool coded =
        t->parts && constraints && s24m_codes_of_file(t->parts, linear->name, &choice->parts);
    if (coded &&
        !s24m_codes_decode(&choice->parts, t->model->ctx, constraints, linear->weights.data))
        return false;
    choice->trains = t->parts && constraints && choice->store && s24m_composed_can(&choice->parts);
    if (choice->trains || coded || !choice->store)
        return true;
    choice->trains =
        constraints ? !s24m_plan_has_parts(constraints) : looks_pruned(&linear->weights);
    choice->compressed |= choice->trains;
    return true;
}

static bool choose(void *from, s24m_block *block, s24m_choice *choices, s24_file **holds)
{
    (void)holds;
    const tuning_call *t = from;
    bool done = true;
    for (int32_t i = 0; done && i < block->program->count; i++)
        if (!block->program->matrices[i].fixed)
            done = choose_matrix(t, block->linear + i, choices + i);
    return done;
}

/* ---- Which job it is ---- */

static char *identity(const tuning_call *t)
{
    const s24_compression *c = t->c;
    char *text = NULL, *rest = s24m_identity_text(&c->settings, &t->origin, &c->sequences);
    size_t size;
    FILE *out = rest ? open_memstream(&text, &size) : NULL;
    if (!out) {
        free(rest);
        return s24m_have(NULL);
    }
    fputs("towards\n", out);
    s24m_origin_describe(&c->origin, out);
    fputs(rest, out);
    free(rest);
    bool good = !ferror(out);
    if (!fclose(out) && good)
        return text;
    free(text);
    return s24m_have(NULL);
}

static assembly assembly_of(const tuning_call *t)
{
    return (assembly){.model = t->model,
                      .origin = &t->origin,
                      .c = &t->c->checkpoint,
                      .exporting = true,
                      .parts = t->parts,
                      .tuned = t->tuned,
                      .form = t->c->settings.form,
                      .watch = &t->c->watch,
                      .out = t->c->out};
}

static bool begin(tuning_call *t)
{
    s24_compression *c = t->c;
    assembly made = assembly_of(t);
    if (!s24m_checkpoint_open(&c->checkpoint, c->settings.ctx, c->out, c->resume) ||
        !s24m_assemble_check(&made) || !s24m_origin_hash(&c->origin, &c->watch) ||
        !s24m_origin_hash(&t->origin, &c->watch))
        return false;
    char *asked = identity(t);
    bool done = asked && s24m_checkpoint_settings(&c->checkpoint, asked);
    free(asked);
    if (done && c->complete)
        return s24m_job_check_made(c, &made);
    return done;
}

/* ---- Memory ---- */

static bool limit_memory(tuning_call *t)
{
    s24_compression *c = t->c;
    int64_t further = s24m_job_further(c).continued, rows = c->sequences.count[0] + further;
    uint64_t base = s24m_memory_base(c->settings.ctx) + s24m_memory_product(t->model);
    needs *n = &c->needs;
    n->tuning =
        base + s24m_tune_bytes(t->model, t->parts, c->settings.keep, rows, c->sequences.length);
    if (c->settings.self.rows)
        n->writing = base + s24m_own_rows_bytes(&c->settings.self, c->model, c->sequences.length,
                                                c->memory_limit > 0);
    n->memory = n->tuning > n->writing ? n->tuning : n->writing;
    n->flops = s24m_tune_flops(t->model, c->settings.tune_epochs, rows, c->sequences.length);
    c->eval_memory = c->memory_limit ? (uint64_t)c->memory_limit - base : 0;
    return s24m_job_check_memory(c, n);
}

/* ---- All of it ---- */

/* Packed weights have no place for what is trained. */
static bool check_kind(const tuning_call *t)
{
    return t->model != t->c->model
               ? !s24m_packed_any(t->model) ||
                     s24m_wrong(S24_E_UNSUPPORTED,
                                "tuning: the model's matrices are packed: tune the one of floats "
                                "that it was made from, then export it")
               : s24m_wrong(S24_E_ARG, "tuning: the compressed model is the dense one itself");
}

static bool open_call(tuning_call *t, const char *path)
{
    s24_compression *c = t->c;
    return s24m_job_begin(c) && check_kind(t) && s24m_tape_check(t->model) &&
           s24m_done(s24m_head_check(t->model)) && s24m_job_settle_tuning(c) &&
           s24m_origin_open(&t->origin, path) &&
           s24m_records_of(t->model, &t->records, &t->count) &&
           s24m_parts_open(t->model->ctx, path, &t->parts) && limit_memory(t) &&
           s24m_disk_check(c->out, s24m_tune_disk(t->model)) && begin(t);
}

/* The rows that the dense model writes, behind the user's. */
static bool write_rows(tuning_call *t)
{
    s24_compression *c = t->c;
    const s24m_self *self = &c->settings.self;
    s24m_generating how = {.watch = &c->watch,
                           .title = "the dense model's own text",
                           .sampling = {1, 0, 1, self->seed},
                           .memory = c->eval_memory};
    return !self->rows ||
           s24m_own_rows_make(self, c->model, &how, &c->checkpoint,
                              c->sequences.count[0] - self->rows, c->sequences.length, c->ids);
}

static bool measure_written(tuning_call *t)
{
    s24_compression *c = t->c;
    assembly made = assembly_of(t);
    s24m_model *model = NULL;
    char *path = c->evaluated ? s24m_assemble_model_path(&made, c->out) : NULL;
    bool done =
        !c->evaluated || (path && s24m_good(s24m_open(t->model->ctx, path, &model), "%s", path) &&
                          s24m_job_measure(c, model, true, NULL, NULL));
    s24m_close(model);
    free(path);
    return done;
}

static bool work(tuning_call *t)
{
    s24_compression *c = t->c;
    const s24m_school school = {choose, vector_type, t};
    if (!s24m_job_measure(c, t->model, false, NULL, NULL))
        return false;
    if (!c->complete) {
        if (!write_rows(t) || !s24m_job_tune(c, t->model, &school, &t->tuned))
            return false;
        assembly made = assembly_of(t);
        if (!s24m_assemble(&made, t->records, t->count))
            return false;
        s24_file_destroy(t->tuned);
        t->tuned = NULL;
        s24m_checkpoint_close(&c->checkpoint, &c->watch, true);
    }
    return measure_written(t);
}

static void close_call(tuning_call *t)
{
    for (int i = 0; i < t->count; i++)
        s24m_record_close(t->records + i);
    free(t->records);
    s24_file_destroy(t->parts);
    s24_file_destroy(t->tuned);
    s24m_origin_close(&t->origin);
}

s24_status s24_compression_tune(s24_compression *c, s24_model *compressed, const char *out)
{
    s24_status status = s24m_compression_enter(c, __func__);
    if (status)
        return status;
    if (compressed != c->handle && (status = s24m_enter(compressed, __func__))) {
        s24m_leave(c->handle);
        return status;
    }
    tuning_call t = {.c = c, .model = compressed->network};
    c->out = out ? out : "";
    bool done = s24m_job_check_alone(c, "tune") && open_call(&t, compressed->path) && work(&t);
    s24m_job_close(c, done);
    close_call(&t);
    c->out = NULL;
    if (compressed != c->handle)
        s24m_leave(compressed);
    s24m_leave(c->handle);
    return s24m_status(done);
}
