/* sparse24 tune: a compressed model, trained as a whole towards the dense one. */
#include "commands.h"
#include "job.h"
#include "layer.h"
#include "message.h"
#include "progress.h"
#include <math.h>
#include <stdio.h>

/* The job, whose model is the dense one; and the compressed one. */
typedef struct tuning {
    job job; /* first: what job_run() hands on */
    s24_model *compressed;
} tuning;

static bool set_options(s24_compression *c, const args *a)
{
    const char *const texts[][2] = {{"activations", a->activations},
                                    {"own", a->no_self ? "0" : NULL},
                                    {"chat_start", a->chat_start},
                                    {"open_start", a->open_start}};
    const struct {
        const char *name;
        int64_t value;
    } counts[] = {{"heldout", 0},
                  {"memory_limit", a->memory_limit},
                  {"seed", a->seed},
                  {"tune_epochs", a->tune_epochs},
                  {"resume", a->resume}};
    s24_status status = job_set_number(c, "tune_rate", a->tune_rate);
    for (size_t i = 0; !status && i < sizeof texts / sizeof *texts; i++)
        if (texts[i][1])
            status = s24_compression_set_str(c, texts[i][0], texts[i][1]);
    for (size_t i = 0; !status && i < sizeof counts / sizeof *counts; i++)
        status = s24_compression_set_int(c, counts[i].name, counts[i].value);
    return status == S24_OK || fail("%s", s24_last_error());
}

static bool open_tuning(tuning *t)
{
    const args *a = t->job.a;
    return job_open(&t->job, a->dense) &&
           (s24_model_open(t->job.ctx, a->operand, &t->compressed) == S24_OK ||
            fail_library("tune %s", a->operand)) &&
           set_options(t->job.work, a) && job_add_tokens(&t->job);
}

static s24_status tune(const job *j)
{
    const tuning *t = (const tuning *)j;
    return s24_compression_tune(j->work, t->compressed, j->a->out);
}

static void tell(const job *j)
{
    double before = job_number(j, "divergence_before", 0);
    if (job_number(j, "complete", 0) > 0)
        printf("%s is complete already\n", j->a->out);
    if (!isnan(before))
        printf("%-13s%.4g before, %.4g after, from the dense model on rows kept back\n",
               "divergence", before, job_number(j, "divergence_after", 0));
    for (int i = 0; i < j->a->eval.count; i++)
        printf("%-13s%.3f before, %.3f after (%s)\n", "perplexity",
               job_number(j, "perplexity_before", i), job_number(j, "perplexity_after", i),
               j->a->eval.text[i]);
    printf("%-13s%.1f\n", "seconds", s24_seconds() - j->began);
    printf("%-13s%s\n", "written", j->a->out);
}

int run_tune(const args *a)
{
    tuning t = {.job = {.a = a, .began = s24_seconds()}};
    progress_start(a->progress);
    bool done = open_tuning(&t) && job_run(&t.job, tune);
    if (done)
        tell(&t.job);
    s24_model_destroy(t.compressed);
    job_close(&t.job);
    return done ? DONE : FAILED;
}
