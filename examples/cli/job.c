#include "job.h"
#include "layer.h"
#include "message.h"
#include "paths.h"
#include "report.h"
#include <errno.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool read_share(const char *text, double *share)
{
    char *end;
    *share = text ? strtod(text, &end) : 0.5;
    return !text || (end != text && !*end && *share >= 0 && *share <= 1) ||
           fail("--correct %s: expected a number from 0 to 1", text);
}

static int32_t read_store(const char *text)
{
    return !text ? 0 : !strcmp(text, "f32") ? S24_F32 : !strcmp(text, "f16") ? S24_F16 : S24_BF16;
}

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
    bool complete = !access(path, F_OK);
    free(path);
    return complete;
}

/* OUT is not there, or an empty folder, or, to be gone on with, what an earlier run has made. */
static bool check_out(job *j)
{
    struct stat s;
    const char *out = j->a->out;
    if (!*out)
        return fail("--out: the name is empty");
    if (lstat(out, &s))
        return errno == ENOENT || fail("--out %s: %s", out, strerror(errno));
    if (S_ISLNK(s.st_mode))
        return fail("--out %s: is a symbolic link: give the name of the folder itself", out);
    j->complete = j->a->resume && is_complete(out);
    return j->complete || (S_ISDIR(s.st_mode) && is_empty(out)) ||
           fail("--out %s exists already", out);
}

/* ---- What to do with each matrix ---- */

static const char *const kinds[S24M_LINEARS] = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                                "gate_proj", "up_proj", "down_proj"};

const char *job_kind(int32_t which)
{
    return kinds[which];
}

static bool read_plan(job *j)
{
    plan *p = &j->settings.plan;
    p->constraints = j->a->constraints;
    bool done = true;
    for (int i = 0; done && i < j->a->rules.count; i++)
        done = s24m_plan_add_rule(p, j->a->rules.text[i]);
    for (int i = 0; done && i < j->a->skips.count; i++)
        done = s24m_plan_add_skip(p, j->a->skips.text[i]);
    return done;
}

/* The names that rules may use: the file's, and one that is the same for all files. */
const char *job_constraints(job *j, int64_t index, int32_t which)
{
    char name[S24M_NAME], common[64];
    s24m_name(j->model, index, which, name);
    snprintf(common, sizeof common, "model.layers.%lld.%s.%s", (long long)index,
             which <= S24M_O ? "self_attn" : "mlp", kinds[which]);
    return s24m_plan_constraints(&j->settings.plan, (const char *const[]){name, common, NULL});
}

/* ---- Tokens ---- */

/* Calibration sequences, then those held out, which are the first of the first --eval. */
static bool gather_tokens(job *j)
{
    const args *a = j->a;
    int64_t length = j->calib.length, rows = j->calib.rows, held = a->eval.count ? a->heldout : 0;
    if (held && j->eval[0].length != length)
        held = 0;
    if (held > j->eval[0].rows)
        held = j->eval[0].rows;
    j->ids = must(malloc((size_t)((rows + held) * length) * sizeof *j->ids));
    memcpy(j->ids, j->calib.ids, (size_t)(rows * length) * sizeof *j->ids);
    if (held)
        memcpy(j->ids + rows * length, j->eval[0].ids, (size_t)(held * length) * sizeof *j->ids);
    j->sequences = (sequences){j->ids, {rows, held}, length};
    j->settings.rows = s24m_identity_rows(&j->sequences);
    return true;
}

static bool open_tokens(job *j)
{
    const args *a = j->a;
    bool done = tokens_open(&j->calib, j->settings.ctx, "--calib", a->calib, a->rows, a->context,
                            j->model->config.vocab) &&
                s24m_evaluate_check(j->model, &j->calib, "--calib");
    for (int i = 0; done && i < a->eval.count; i++)
        done = tokens_open(j->eval + i, j->settings.ctx, "--eval", a->eval.text[i], a->eval_rows,
                           a->context, j->model->config.vocab) &&
               s24m_evaluate_check(j->model, j->eval + i, "--eval");
    return done && gather_tokens(j);
}

/* ---- The page ---- */

/* FILE or FILE:TENSOR */
static bool is_source(const char *text, const struct stat *file)
{
    struct stat s;
    const char *colon = access(text, F_OK) ? strrchr(text, ':') : NULL;
    char *path = must(colon ? strndup(text, (size_t)(colon - text)) : strdup(text));
    bool same = !stat(path, &s) && s.st_dev == file->st_dev && s.st_ino == file->st_ino;
    free(path);
    return same;
}

static bool is_input(const job *j, const struct stat *file)
{
    bool found = s24m_origin_has(&j->origin, file) || is_source(j->a->calib, file);
    for (int i = 0; !found && i < j->a->eval.count; i++)
        found = is_source(j->a->eval.text[i], file);
    return found;
}

static bool check_report(const job *j)
{
    struct stat s;
    const char *path = j->a->report;
    if (!path)
        return true;
    if (!*path)
        return fail("--report: the name is empty");
    if (!stat(path, &s) && is_input(j, &s))
        return fail("--report %s: is an input of this run", path);
    return (strcmp(path, j->a->out) != 0 || fail("--report %s: is what --out names", path)) &&
           report_check(path);
}

/* ---- Which job it is ---- */

/* An output that is there answers for nothing but what it was made with. */
static bool is_same_output(const job *j)
{
    s24_file *file = NULL;
    assembly made = job_assembly(j);
    char *path = s24m_assemble_model_path(&made, j->a->out);
    bool done = s24_file_open(j->settings.ctx, path, &file) == S24_OK || fail_library("--resume");
    const char *theirs = done ? s24_file_meta(file, "sparse24.settings") : NULL;
    done = done &&
           (theirs || fail("--out %s exists already, and not from sparse24 compress", path)) &&
           s24m_identity_made_same(j->a->out, theirs, j->checkpoint.settings);
    s24_file_destroy(file);
    free(path);
    return done;
}

static bool begin(job *j)
{
    checkpoint *c = &j->checkpoint;
    assembly made = job_assembly(j);
    if (!s24m_checkpoint_open(c, j->settings.ctx, j->a->out, j->a->resume) ||
        !s24m_assemble_check(&made) || !s24m_origin_hash(&j->origin))
        return false;
    char *asked = s24m_identity_text(&j->settings, &j->origin, &j->sequences);
    bool done = s24m_checkpoint_settings(c, asked);
    free(asked);
    if (done && j->complete)
        return is_same_output(j);
    if (done && j->a->resume && !c->begun)
        warn("--resume: %s holds no finished block: starting from the beginning", c->folder);
    return done;
}

assembly job_assembly(const job *j)
{
    return (assembly){j->model, &j->origin, &j->checkpoint, j->a->out, j->settings.store};
}

bool job_open(job *j)
{
    const args *a = j->a;
    settings *s = &j->settings;
    s->solver = a->solver;
    s->options = a->options;
    s->store = read_store(a->store);
    if (!s24m_activations_kind(a->activations ? a->activations : "ram", &s->keep))
        return fail("--activations %s: expected ram, half or disk", a->activations);
    if (!read_share(a->correct, &s->correct) || !check_out(j) || !context_open(&s->ctx, a))
        return false;
    if (s24m_open(s->ctx, a->operand, &j->model) != S24_OK)
        return fail("%s: %s", a->operand, s24_last_error());
    return s24m_origin_open(&j->origin, a->operand) && check_report(j) && read_plan(j) &&
           open_tokens(j) && job_limit_memory(j) && s24m_plan_check_used(&s->plan) && begin(j);
}

void job_close(job *j, bool done)
{
    s24m_checkpoint_close(&j->checkpoint, done);
    for (int i = 0; i < j->count; i++)
        free(j->records[i]);
    free(j->records);
    for (int i = 0; i < j->a->eval.count; i++)
        tokens_close(j->eval + i);
    tokens_close(&j->calib);
    free(j->ids);
    s24m_plan_close(&j->settings.plan);
    s24m_close(j->model);
    s24m_origin_close(&j->origin);
    s24_ctx_destroy(j->settings.ctx);
}
