/* sparse24 compress: a whole model, block by block. */
#include "commands.h"
#include "job.h"
#include "layer.h"
#include "message.h"
#include "progress.h"
#include "ranks.h"
#include "recipe.h"
#include "report.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- What was asked ---- */

static bool set_options(s24_compression *c, const args *a)
{
    const char *const texts[][2] = {{"effort", a->effort}, /* first: the others win */
                                    {"constraints", a->constraints},
                                    {"solver", a->solver},
                                    {"options", a->options},
                                    {"activations", a->activations},
                                    {"own", a->no_self ? "0" : NULL},
                                    {"chat_start", a->chat_start},
                                    {"open_start", a->open_start},
                                    {"store", a->store},
                                    {"format", a->format},
                                    {"permute", a->permute},
                                    {"importance", a->importance},
                                    {"refine", a->refine}};
    const struct {
        const char *name;
        int64_t value;
    } counts[] = {{"heldout", a->heldout},
                  {"memory_limit", a->memory_limit},
                  {"seed", a->seed},
                  {"refine_epochs", a->refine_epochs},
                  {"tune_epochs", a->tune_epochs},
                  {"resume", a->resume}};
    s24_status status = S24_OK;
    for (size_t i = 0; !status && i < sizeof texts / sizeof *texts; i++)
        if (texts[i][1])
            status = s24_compression_set_str(c, texts[i][0], texts[i][1]);
    status = status ? status : job_set_number(c, "correct", a->correct);
    status = status ? status : job_set_number(c, "refine_rate", a->refine_rate);
    status = status ? status : job_set_number(c, "tune_rate", a->tune_rate);
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

static bool open_job(job *j)
{
    const args *a = j->a;
    return job_open(j, a->operand) && set_options(j->work, a) && job_check_report(j) &&
           add_patterns(j->work, a) && job_add_tokens(j) && set_recipe(j);
}

static s24_status compress(const job *j)
{
    return s24_compression_run(j->work, j->a->out);
}

static s24_status estimate(const job *j)
{
    return s24_compression_estimate(j->work, j->a->out);
}

static bool plan(const job *j)
{
    if (!job_run(j, estimate))
        return false;
    job_tell_plan(j);
    return true;
}

int run_compress(const args *a)
{
    job j = {.a = a, .began = s24_seconds()};
    progress_start(a->progress);
    bool done = ranks_ready(a, open_job(&j)) &&
                (a->plan ? plan(&j) : job_run(&j, compress) && job_tell(&j));
    job_close(&j);
    return done ? DONE : FAILED;
}
