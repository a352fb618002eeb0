/* What a run of a compression is: what it works on, where it goes, which job it is. */
#include "parts.h"
#include "compression.h"
#include "paths.h"
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Where it goes ---- */

static bool is_empty(const char *folder)
{
    struct dirent *entry;
    DIR *open = opendir(folder);
    bool empty = open != NULL;
    while (empty && (entry = readdir(open)))
        empty = !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..");
    if (open)
        closedir(open);
    return empty;
}

/* The model and all beside it appeared in one rename, the records with it. */
static bool is_complete(const char *out)
{
    char *path = s24m_path_join(out, "records.jsonl");
    bool complete = path && !access(path, F_OK);
    free(path);
    return complete;
}

/* OUT is not there, or an empty folder, or, to be gone on with, what an earlier run has made. */
bool s24m_job_check_out(s24_compression *c)
{
    struct stat s;
    const char *out = c->out;
    if (!*out)
        return s24m_wrong(S24_E_ARG, "--out: the name is empty");
    if (lstat(out, &s))
        return errno == ENOENT || s24m_wrong(S24_E_IO, "--out %s: %s", out, strerror(errno));
    if (S_ISLNK(s.st_mode))
        return s24m_wrong(S24_E_IO,
                          "--out %s: is a symbolic link: give the name of the folder itself", out);
    c->complete = c->resume && is_complete(out);
    return c->complete || (S_ISDIR(s.st_mode) && is_empty(out)) ||
           s24m_wrong(S24_E_IO, "--out %s exists already", out);
}

/* ---- What to do with each matrix ---- */

/* The names that rules may use: the file's, and one that is the same for all files. */
const char *s24m_job_constraints(s24_compression *c, int64_t index, int32_t which)
{
    char name[S24M_NAME], common[S24M_NAME];
    if (s24m_program_of(c->model, index)->matrices[which].fixed)
        return NULL;
    s24m_name(c->model, index, which, name);
    s24m_common_name(c->model, index, which, common);
    return s24m_plan_constraints(&c->settings.plan, (const char *const[]){name, common, NULL});
}

/* Of what is decoded: as config.json tells of the whole; F16 in GGUF. */
static int32_t decoded_type(const s24m_model *model)
{
    const char *type = s24_file_meta(model->file, "config.dtype");
    if (!type)
        type = s24_file_meta(model->file, "config.torch_dtype");
    return !type                       ? S24_F16
           : !strcmp(type, "bfloat16") ? S24_BF16
           : !strcmp(type, "float32")  ? S24_F32
                                       : S24_F16;
}

int32_t s24m_job_stored(const s24_compression *c, const char *name)
{
    static const int32_t floats[] = {S24_F64, S24_F32, S24_F16, S24_BF16};
    const char *type = "";
    char tensor[S24M_NAME];
    if (c->settings.store)
        return c->settings.store;
    snprintf(tensor, sizeof tensor, "%.*s", (int)strcspn(name, "["), name);
    s24_file_info(c->model->file, tensor, NULL, NULL, &type);
    for (int i = 0; i < 4; i++)
        if (!strcmp(type, s24m_matrix_type(floats[i])))
            return floats[i];
    return decoded_type(c->model);
}

const char *s24m_job_source(const s24_compression *c, const char *name)
{
    s24_mat view;
    const char *type = NULL;
    if (s24_file_get(c->model->file, name, &view) != S24_OK)
        s24_file_info(c->model->file, name, NULL, NULL, &type);
    return type;
}

/* ---- Tokens ---- */

/* Calibration sequences, then those held out, which are the first of the first evaluation. */
static bool gather_tokens(s24_compression *c)
{
    const tokens *calibration = &c->calibration, *first = &c->evaluations->tokens;
    int64_t length = calibration->length, rows = calibration->rows, held = 0;
    if (c->evaluated && first->length == length)
        held = c->heldout < first->rows ? c->heldout : first->rows;
    free(c->ids);
    c->ids = s24m_have(malloc((size_t)((rows + held) * length) * sizeof *c->ids));
    if (!c->ids)
        return false;
    memcpy(c->ids, calibration->ids, (size_t)(rows * length) * sizeof *c->ids);
    if (held)
        memcpy(c->ids + rows * length, first->ids, (size_t)(held * length) * sizeof *c->ids);
    c->sequences = (sequences){c->ids, {rows, held}, length};
    c->settings.rows = s24m_identity_rows(&c->sequences);
    return c->settings.rows;
}

bool s24m_job_settle(s24_compression *c)
{
    static const int32_t stores[] = {0, S24_F32, S24_F16, S24_BF16};
    settings *s = &c->settings;
    s->ctx = c->model->ctx;
    s->watch = &c->watch;
    s->blocks = (int)c->model->config.layers;
    s->solver = *c->solver ? c->solver : NULL;
    s->options = *c->options ? c->options : NULL;
    s->store = stores[c->store];
    s->correct = c->correct;
    s->keep = (int)c->activations; /* the words are in the order of KEEP_... */
    s->plan.constraints = c->constraints;
    if (!*c->constraints)
        return s24m_wrong(S24_E_STATE, "--constraints: there are none");
    if (!c->calibration.ids)
        return s24m_wrong(S24_E_STATE, "--calib: there are no tokens");
    return gather_tokens(c);
}

/* ---- Which job it is ---- */

/* An output that is there answers for nothing but what it was made with. */
static bool is_same_output(s24_compression *c)
{
    s24_file *file = NULL;
    assembly made = s24m_job_assembly(c);
    char *path = s24m_assemble_model_path(&made, c->out);
    bool done = path && s24m_good(s24_file_open(c->settings.ctx, path, &file), "--resume");
    const char *theirs = done ? s24_file_meta(file, "sparse24.settings") : NULL;
    done =
        done &&
        (theirs ||
         s24m_wrong(S24_E_IO, "--out %s exists already, and not from sparse24 compress", path)) &&
        s24m_identity_made_same(c->out, theirs, c->checkpoint.settings);
    s24_file_destroy(file);
    free(path);
    return done;
}

static bool begin(s24_compression *c)
{
    checkpoint *k = &c->checkpoint;
    assembly made = s24m_job_assembly(c);
    if (!s24m_checkpoint_open(k, c->settings.ctx, c->out, c->resume) ||
        !s24m_assemble_check(&made) || !s24m_origin_hash(&c->origin, &c->watch))
        return false;
    char *asked = s24m_identity_text(&c->settings, &c->origin, &c->sequences);
    bool done = asked && s24m_checkpoint_settings(k, asked);
    free(asked);
    if (done && c->complete)
        return is_same_output(c);
    if (done && c->resume && !k->begun)
        s24m_watch_log(&c->watch, 1,
                       "--resume: %s holds no finished block: starting from the beginning",
                       k->folder);
    return done;
}

assembly s24m_job_assembly(s24_compression *c)
{
    return (assembly){.model = c->model,
                      .origin = &c->origin,
                      .c = &c->checkpoint,
                      .watch = &c->watch,
                      .out = c->out,
                      .store = c->settings.store};
}

bool s24m_job_open(s24_compression *c)
{
    s24m_job_forget(c);
    c->began = s24_seconds();
    c->limit_before = 0;
    return s24m_good(s24_ctx_get_int(c->model->ctx, "memory_limit", &c->limit_before),
                     "--memory-limit") &&
           s24m_job_check_out(c) && s24m_job_settle(c) && s24m_job_limit_memory(c) &&
           s24m_job_check_disk(c, &c->needs) && s24m_plan_check_used(&c->settings.plan) && begin(c);
}

/* What comes of closing hides no error. */
void s24m_job_close(s24_compression *c, bool done)
{
    char text[600];
    s24_status status = s24m_status(done);
    snprintf(text, sizeof text, "%s",
             status == S24_E_CANCELLED ? "interrupted: go on with --resume" : s24_last_error());
    s24m_checkpoint_close(&c->checkpoint, &c->watch, done);
    s24_ctx_set_int(c->model->ctx, "memory_limit", c->limit_before);
    s24m_watch_begin(&c->watch);
    free(c->ids);
    c->ids = NULL;
    c->seconds = s24_seconds() - c->began;
    if (!done)
        s24_fail(status, text);
}

void s24m_job_forget(s24_compression *c)
{
    for (int i = 0; i < c->count; i++)
        s24m_record_close(c->records + i);
    free(c->records);
    free(c->ids);
    c->records = NULL;
    c->ids = NULL;
    c->count = 0;
    c->complete = false;
    c->walked = c->efficiency = c->seconds = NAN;
    c->needs = (needs){0};
    c->disk_free = UINT64_MAX;
    c->forecast = (forecast){NAN, NAN, NAN};
    for (evaluated *e = c->evaluations; e < c->evaluations + c->evaluated; e++)
        e->before = e->after = NAN;
}
