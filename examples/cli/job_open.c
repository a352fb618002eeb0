/* What the runs of compress and tune share: how they begin, are watched and end. */
#include "job.h"
#include "layer.h"
#include "message.h"
#include "progress.h"
#include <math.h>
#include <stdio.h>

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

/* A number as it was typed: the library reads and judges it. */
s24_status job_set_number(s24_compression *c, const char *name, const char *value)
{
    char text[120];
    snprintf(text, sizeof text, "%s=[%.80s]", name, value ? value : "");
    return value ? s24_compression_parse(c, text) : S24_OK;
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

bool job_open(job *j, const char *model)
{
    if (!context_open(&j->ctx, j->a))
        return false;
    if (s24_model_open(j->ctx, model, &j->model) != S24_OK)
        return fail_library("%s", model);
    if (j->a->group && s24_model_set_group(j->model, j->a->group) != S24_OK)
        return fail("%s", s24_last_error());
    return (s24_compression_create(j->model, &j->work) == S24_OK &&
            s24_compression_set_progress(j->work, on_progress, NULL) == S24_OK &&
            s24_compression_set_log(j->work, on_line, NULL) == S24_OK) ||
           fail("%s", s24_last_error());
}

bool job_run(const job *j, s24_status (*work)(const job *j))
{
    progress_on_signal(cancel, j->work);
    s24_status status = work(j);
    progress_on_signal(NULL, NULL);
    progress_clear();
    return status == S24_OK || fail("%s", s24_last_error());
}

void job_close(job *j)
{
    s24_compression_destroy(j->work);
    s24_model_destroy(j->model);
    s24_ctx_destroy(j->ctx);
}
