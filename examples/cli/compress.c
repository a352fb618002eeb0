/* sparse24 compress: a whole model, block by block. */
#include "commands.h"
#include "job.h"
#include "layer.h"
#include "message.h"
#include "progress.h"
#include "recipe.h"
#include "report.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

double job_number(const job *j, const char *name, int index)
{
    double value = NAN;
    s24_compression_number(j->work, name, index, &value);
    return value;
}

double job_matrix_number(const job *j, int matrix, const char *name)
{
    double value = NAN;
    s24_compression_matrix_float(j->work, matrix, name, &value);
    return value;
}

const char *job_matrix_text(const job *j, int matrix, const char *name)
{
    const char *value = NULL;
    s24_compression_matrix_str(j->work, matrix, name, &value);
    return value ? value : "";
}

/* ---- What was asked ---- */

/* A number as it was typed: the library reads and judges it. */
static s24_status set_number(s24_compression *c, const char *name, const char *value)
{
    char text[120];
    snprintf(text, sizeof text, "%s=[%.80s]", name, value ? value : "");
    return value ? s24_compression_parse(c, text) : S24_OK;
}

static bool set_options(s24_compression *c, const args *a)
{
    const char *const texts[][2] = {{"constraints", a->constraints},
                                    {"solver", a->solver},
                                    {"options", a->options},
                                    {"activations", a->activations},
                                    {"own", a->no_self ? "0" : NULL},
                                    {"chat_start", a->chat_start},
                                    {"open_start", a->open_start},
                                    {"store", a->store},
                                    {"format", a->format},
                                    {"permute", a->permute},
                                    {"refine", a->refine}};
    const struct {
        const char *name;
        int64_t value;
    } counts[] = {{"heldout", a->heldout},
                  {"memory_limit", a->memory_limit},
                  {"seed", a->seed},
                  {"refine_epochs", a->refine_epochs},
                  {"resume", a->resume}};
    s24_status status = S24_OK;
    for (size_t i = 0; !status && i < sizeof texts / sizeof *texts; i++)
        if (texts[i][1])
            status = s24_compression_set_str(c, texts[i][0], texts[i][1]);
    status = status ? status : set_number(c, "correct", a->correct);
    status = status ? status : set_number(c, "refine_rate", a->refine_rate);
    for (size_t i = 0; !status && i < sizeof counts / sizeof *counts; i++)
        status = s24_compression_set_int(c, counts[i].name, counts[i].value);
    return status == S24_OK || fail("%s", s24_last_error());
}

static bool add_patterns(s24_compression *c, const args *a)
{
    s24_status status = S24_OK;
    for (int i = 0; !status && i < a->rules.count; i++)
        status = s24_compression_add_rule(c, a->rules.text[i]);
    for (int i = 0; !status && i < a->skips.count; i++)
        status = s24_compression_add_skip(c, a->skips.text[i]);
    return status == S24_OK || fail("%s", s24_last_error());
}

/* What is in force where nothing was given; NULL: the library has no such option, or no value. */
static const char *in_force(void *arg, const char *name)
{
    char own[32];
    const char *value = NULL;
    snprintf(own, sizeof own, "%s", name);
    for (char *s = own; *s; s++)
        *s = *s == '-' ? '_' : *s;
    return s24_compression_get(arg, own, &value) == S24_OK && *value ? value : NULL;
}

static bool set_recipe(job *j)
{
    char *text = recipe_text(command_find("compress"), j->a, in_force, j->work);
    s24_status status = s24_compression_set_str(j->work, "recipe", text);
    free(text);
    return status == S24_OK || fail("%s", s24_last_error());
}

/* ---- While it works ---- */

static int32_t on_progress(void *user, const char *phase, int64_t step, int64_t total,
                           double objective, double residual)
{
    (void)user, (void)objective, (void)residual;
    progress_show(phase, "", step, total);
    return progress_interrupted() ? S24_E_USER : 0;
}

static void on_line(void *user, int32_t level, const char *line)
{
    (void)user;
    if (level > 1 && progress_shown())
        return;
    progress_clear();
    if (level > 1)
        fail("%s", line);
    else
        warn("%s", line);
}

static void cancel(void *work)
{
    s24_compression_cancel(work);
}

static bool open_job(job *j)
{
    const args *a = j->a;
    if (!context_open(&j->ctx, a))
        return false;
    if (s24_model_open(j->ctx, a->operand, &j->model) != S24_OK)
        return fail_library("%s", a->operand);
    if (s24_compression_create(j->model, &j->work) != S24_OK ||
        s24_compression_set_progress(j->work, on_progress, NULL) != S24_OK ||
        s24_compression_set_log(j->work, on_line, NULL) != S24_OK)
        return fail("%s", s24_last_error());
    return set_options(j->work, a) && job_check_report(j) && add_patterns(j->work, a) &&
           job_add_tokens(j) && set_recipe(j);
}

static bool run(const job *j)
{
    progress_on_signal(cancel, j->work);
    s24_status status = s24_compression_run(j->work, j->a->out);
    progress_on_signal(NULL, NULL);
    progress_clear();
    return status == S24_OK || fail("%s", s24_last_error());
}

static bool plan(const job *j)
{
    progress_on_signal(cancel, j->work);
    s24_status status = s24_compression_estimate(j->work, j->a->out);
    progress_on_signal(NULL, NULL);
    progress_clear();
    if (status != S24_OK)
        return fail("%s", s24_last_error());
    job_tell_plan(j);
    return true;
}

int run_compress(const args *a)
{
    job j = {.a = a, .began = s24_seconds()};
    progress_start(a->progress);
    bool done = open_job(&j) && (a->plan ? plan(&j) : run(&j) && job_tell(&j));
    s24_compression_destroy(j.work);
    s24_model_destroy(j.model);
    s24_ctx_destroy(j.ctx);
    return done ? DONE : FAILED;
}
