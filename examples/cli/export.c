/* sparse24 export: a compressed model in another form. */
#include "commands.h"
#include "layer.h"
#include "message.h"
#include "progress.h"
#include <sparse24/model.h>
#include <stdio.h>

static int32_t on_progress(void *user, const char *phase, int64_t step, int64_t total,
                           double objective, double residual)
{
    (void)user, (void)objective, (void)residual;
    progress_show(phase, "", step, total);
    return progress_interrupted() ? S24_E_USER : 0;
}

static void cancel(void *model)
{
    s24_model_cancel(model);
}

static bool export(s24_model *model, const args *a)
{
    char options[128];
    snprintf(options, sizeof options, "%s%.40s%s%s%.40s", a->format ? "format=" : "",
             a->format ? a->format : "", a->format && a->store ? "," : "", a->store ? "store=" : "",
             a->store ? a->store : "");
    s24_model_set_progress(model, on_progress, NULL);
    progress_on_signal(cancel, model);
    s24_status status = s24_model_export(model, options, a->out);
    progress_on_signal(NULL, NULL);
    progress_clear();
    return status == S24_OK ||
           fail("%s", status == S24_E_CANCELLED ? "interrupted" : s24_last_error());
}

int run_export(const args *a)
{
    s24_ctx *ctx = NULL;
    s24_model *model = NULL;
    progress_start(a->progress);
    bool done = context_open(&ctx, a) &&
                (s24_model_open(ctx, a->operand, &model) == S24_OK ||
                 fail_library("export %s", a->operand)) &&
                export(model, a);
    if (done)
        say("written      %s", a->out);
    s24_model_destroy(model);
    s24_ctx_destroy(ctx);
    return done ? DONE : FAILED;
}
