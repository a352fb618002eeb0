/* What a run of a compression is: what it works on, where it goes, which job it is. */
#include "parts.h"
#include "beside.h"
#include "packed.h"
#include "compression.h"
#include "effort.h"
#include "generate.h"
#include "paths.h"
#include "start.h"
#include "tape.h"
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
    char *path = s24m_path_join(out, RECORDS_PLACE);
    bool complete = path && !access(path, F_OK);
    free(path);
    return complete;
}

/* OUT is not there, or an empty folder, or, to be gone on with, what an earlier run has made. */
bool s24m_job_check_out(const char *out, bool resume, bool *complete)
{
    struct stat s;
    *complete = false;
    if (!*out)
        return s24m_wrong(S24_E_ARG, "--out: the name is empty");
    if (lstat(out, &s))
        return errno == ENOENT || s24m_wrong(S24_E_IO, "--out %s: %s", out, strerror(errno));
    if (S_ISLNK(s.st_mode))
        return s24m_wrong(S24_E_IO,
                          "--out %s: is a symbolic link: give the name of the folder itself", out);
    *complete = resume && is_complete(out);
    return *complete || (S_ISDIR(s.st_mode) && is_empty(out)) ||
           s24m_wrong(S24_E_IO, "--out %s exists already", out);
}

/* ---- What to do with each matrix ---- */

/* The names that rules may use: the file's, and one that is the same for all files. */
const char *s24m_job_constraints(s24_compression *c, int64_t index, int32_t which)
{
    char name[S24M_NAME], common[S24M_NAME];
    const char *shrinks = s24m_shrink_constraints(&c->shrink, c->model, index, which);
    if (s24m_program_of(c->model, index)->matrices[which].fixed || shrinks)
        return shrinks;
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

/* The tensor of a matrix, which may be a slice of it. */
static void tensor_of(const char *name, char tensor[S24M_NAME])
{
    snprintf(tensor, S24M_NAME, "%.*s", (int)strcspn(name, "["), name);
}

int32_t s24m_job_stored(const s24_compression *c, const char *name, const char *constraints)
{
    static const int32_t floats[] = {S24_F64, S24_F32, S24_F16, S24_BF16};
    const char *type = "";
    char tensor[S24M_NAME];
    if (s24m_form_has_codes(c->settings.form, constraints))
        return S24_F32; /* what codes give */
    if (c->settings.store)
        return c->settings.store;
    tensor_of(name, tensor);
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
    char tensor[S24M_NAME];
    tensor_of(name, tensor);
    if (s24_file_get(c->model->file, tensor, &view) != S24_OK)
        s24_file_info(c->model->file, tensor, NULL, NULL, &type);
    return type;
}

/* ---- Tokens ---- */

/* Without rows of the user's: as long as those that are evaluated. */
static int64_t row_length(const s24_compression *c)
{
    int64_t usual = c->model->config.context < 512 ? c->model->config.context : 512;
    return c->calibration.ids ? c->calibration.length
           : c->own_length    ? c->own_length
           : c->evaluated     ? c->evaluations->tokens.length
                              : usual;
}

/* What the model is to write. */
static bool settle_self(s24_compression *c)
{
    s24m_self *self = &c->settings.self;
    int64_t given = c->calibration.ids ? c->calibration.rows : 0, length = row_length(c);
    self->seed = (uint64_t)c->seed;
    if (!s24m_self_read(self, c->own, given))
        return false;
    if (!strcmp(c->own, "auto") && !s24m_can_generate(c->model))
        self->rows = 0; /* said when the work begins */
    if (!given && (!strcmp(c->own, "auto") || !self->rows))
        return s24m_wrong(S24_E_STATE, "--calib: there are no tokens; --calib self:128 lets the "
                                       "model write them");
    self->chat.count = self->open.count = 0;
    if (self->rows && !(s24m_start_read(&self->chat, "chat_start", c->chat_start, c->handle) &&
                        s24m_start_read(&self->open, "open_start", c->open_start, c->handle) &&
                        s24m_self_check(self, given)))
        return false;
    if (c->own_length && c->own_length != length)
        return s24m_wrong(S24_E_SHAPE,
                          "own_length is %lld, but the rows that are given have %lld tokens",
                          (long long)c->own_length, (long long)length);
    return (length > 1 && length <= c->model->config.context) ||
           s24m_wrong(S24_E_SHAPE, "own_length: rows of %lld tokens: the model takes 2 .. %lld",
                      (long long)length, (long long)c->model->config.context);
}

/* Calibration sequences, places for those that the model will write, then those held out, which
 * are the first of the first evaluation. */
static bool gather_tokens(s24_compression *c)
{
    const tokens *calibration = &c->calibration, *first = &c->evaluations->tokens;
    int64_t length = row_length(c), own = c->settings.self.rows, held = 0;
    int64_t width = s24m_row_values(c->model, length);
    int64_t given = calibration->ids ? calibration->rows : 0, rows = given + own;
    if (c->evaluated && first->length == length)
        held = c->heldout < first->rows ? c->heldout : first->rows;
    free(c->ids);
    c->ids = s24m_have(calloc((size_t)((rows + held) * width), sizeof *c->ids));
    if (!c->ids)
        return false;
    if (given)
        memcpy(c->ids, calibration->ids, (size_t)(given * width) * sizeof *c->ids);
    if (held)
        memcpy(c->ids + rows * width, first->ids, (size_t)(held * width) * sizeof *c->ids);
    c->sequences = (sequences){c->ids, {rows, held}, length, width};
    c->settings.rows = s24m_identity_rows(&c->sequences, own);
    return c->settings.rows;
}

/* ---- The form ---- */

bool s24m_job_check_holder(const s24m_model *model, const origin *o, const form *f)
{
    bool gguf = model->config.gguf, folder = o->folder && !gguf;
    if (s24m_packed_any(model))
        return s24m_wrong(S24_E_UNSUPPORTED,
                          "%s: its matrices are packed already: take the model that it was made "
                          "from",
                          s24m_path_name(o->files->path));
    if (f->holder == HOLDER_GGUF && !gguf)
        return s24m_wrong(S24_E_UNSUPPORTED,
                          "%s: the model is no GGUF file: make one of it with llama.cpp's "
                          "convert_hf_to_gguf.py, or write a folder: --format pack-quantized",
                          f->option);
    if (f->holder == HOLDER_FOLDER && !folder)
        return s24m_wrong(S24_E_UNSUPPORTED,
                          "%s: the model is no Hugging Face folder, which has the config.json and "
                          "tokenizer that loaders want: take the folder that the file was made "
                          "from%s",
                          f->option, gguf ? ", or --store q4_0, q4_1 or q8_0" : "");
    return true;
}

static bool choose_form(s24_compression *c)
{
    static const int32_t stores[] = {0, S24_F32, S24_F16, S24_BF16, 0, 0, 0};
    const char *store, *format;
    c->settings.store = stores[c->store];
    s24m_compression_words(c, &store, &format);
    c->settings.form = s24m_form_find(store, format);
    return c->settings.form && s24m_job_check_holder(c->model, &c->origin, c->settings.form);
}

static void settle_training(s24_compression *c)
{
    settings *s = &c->settings;
    s->refine = c->refine > 0;
    s->refine_rate = c->refine_rate;
    s->refine_epochs = c->refine_epochs;
    s->tune = c->refine > 1;
    s->tune_rate = c->tune_rate;
    s->tune_epochs = c->tune_epochs;
}

/* What does not depend on constraints. */
static void settle_common(s24_compression *c)
{
    settings *s = &c->settings;
    s->ctx = c->model->ctx;
    s->watch = &c->watch;
    s->ranks = &c->handle->ranks;
    s->blocks = (int)c->model->config.layers;
    s->solver = *c->solver ? c->solver : NULL;
    s->options = *c->options ? c->options : NULL;
    s->preset = s24m_effort_preset(c);
    s->curves = c->curves;
    s->correct = c->correct;
    s->keep = (int)c->activations; /* the words are in the order of KEEP_... */
    s->plan.constraints = *c->constraints ? c->constraints : NULL;
    s->permute = c->permute == 0;
    settle_training(c);
}

bool s24m_job_settle_tuning(s24_compression *c)
{
    settings *s = &c->settings;
    settle_common(c);
    s->refine = s->permute = false;
    s->tune = true;
    s->store = 0;
    return (s->form = s24m_form_find("", "")) && settle_self(c) && gather_tokens(c);
}

bool s24m_job_settle(s24_compression *c)
{
    settings *s = &c->settings;
    settle_common(c);
    if (!*c->constraints && !s24m_plan_has_rules(&s->plan))
        return s24m_wrong(S24_E_STATE, "--constraints: there are none");
    return (!s->refine || s24m_tape_check(c->model)) &&
           (!s->tune || s24m_done(s24m_head_check(c->model))) && choose_form(c) &&
           s24m_shrink_settle(&c->shrink, c->model, &s->plan, s->form) && settle_self(c) &&
           gather_tokens(c) && s24m_job_settle_scores(c) && s24m_job_check_ranks(c);
}

/* ---- Which job it is ---- */

bool s24m_job_check_made(const s24_compression *c, const assembly *made)
{
    s24_file *file = NULL;
    char *path = s24m_assemble_model_path(made, c->out);
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

/* Rank 0 holds the lock; the others are there as its guests. */
static bool open_folder(s24_compression *c)
{
    checkpoint *k = &c->checkpoint;
    s24_ctx *ctx = c->settings.ctx;
    assembly made = s24m_job_assembly(c);
    if (s24m_rank(c->settings.ranks))
        return s24m_checkpoint_visit(k, ctx, c->out);
    return s24m_checkpoint_open(k, ctx, c->out, c->resume) && s24m_assemble_check(&made);
}

/* Before ranks touch anything they know that they do the same. */
static char *identify(s24_compression *c)
{
    if (!s24m_origin_hash(&c->origin, &c->watch))
        return NULL;
    char *asked = s24m_identity_text(&c->settings, &c->origin, &c->sequences);
    if (asked && s24m_job_same(c, asked))
        return asked;
    free(asked);
    return NULL;
}

static bool begin(s24_compression *c)
{
    checkpoint *k = &c->checkpoint;
    assembly made = s24m_job_assembly(c);
    bool together = s24m_together(c->settings.ranks);
    char *asked = together ? identify(c) : NULL;
    bool done = (!together || asked) && open_folder(c);
    if (!together)
        asked = done ? identify(c) : NULL;
    int64_t complete = c->complete;
    done = s24m_job_share_folder(c, done && asked) && s24m_checkpoint_settings(k, asked);
    done = s24m_ranks_tell(c->settings.ranks, done, &complete);
    c->complete = complete;
    free(asked);
    if (done && c->complete)
        return s24m_job_check_made(c, &made);
    if (done && c->resume && !k->begun && !s24m_rank(c->settings.ranks))
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
                      .form = c->settings.form,
                      .shrink = s24m_shrinks(&c->shrink) ? &c->shrink : NULL,
                      .watch = &c->watch,
                      .out = c->out,
                      .store = c->settings.store};
}

bool s24m_job_begin(s24_compression *c)
{
    s24m_job_forget(c);
    s24m_ranks_begin(&c->handle->ranks);
    c->began = s24_seconds();
    c->limit_before = 0;
    return s24m_good(s24_ctx_get_int(c->model->ctx, "memory_limit", &c->limit_before),
                     "--memory-limit") &&
           s24m_job_check_out(c->out, c->resume, &c->complete);
}

bool s24m_job_open(s24_compression *c)
{
    return s24m_job_begin(c) && s24m_job_settle(c) && s24m_job_limit_memory(c) &&
           (s24m_rank(c->settings.ranks) || s24m_job_check_disk(c, &c->needs)) &&
           s24m_plan_check_used(&c->settings.plan) && begin(c);
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
    for (int64_t i = 0; c->curves && i <= c->model->config.layers; i++)
        s24m_curve_close(c->curves + i);
    free(c->records);
    free(c->ids);
    c->records = NULL;
    c->ids = NULL;
    c->count = 0;
    c->complete = false;
    c->divergence[0] = c->divergence[1] = NAN;
    c->walked = c->efficiency = c->seconds = NAN;
    c->needs = (needs){0};
    c->disk_free = UINT64_MAX;
    c->forecast = (forecast){NAN, NAN, NAN, NAN, NAN};
    for (evaluated *e = c->evaluations; e < c->evaluations + c->evaluated; e++) {
        e->before = e->after = e->hidden = NAN;
        free(e->dense);
        e->dense = NULL;
    }
}
