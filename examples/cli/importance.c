/* sparse24 importance: norms of the gradients of a model's weights. */
#include "commands.h"
#include "layer.h"
#include "message.h"
#include "progress.h"
#include "tokens.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static bool open_inputs(const args *a, s24_ctx **ctx, s24_model **model, tokens *t)
{
    return context_open(ctx, a) &&
           (s24_model_open(*ctx, a->operand, model) == S24_OK ||
            fail_library("importance %s", a->operand)) &&
           tokens_choose(*model, a) && tokens_open(t, *model, a, "--calib", a->calib, a->rows);
}

static int32_t on_progress(void *user, const char *phase, int64_t step, int64_t total,
                           double objective, double residual)
{
    (void)user, (void)objective, (void)residual;
    progress_show(phase, "", step, total);
    return progress_interrupted() ? S24_E_USER : 0;
}

static bool score(s24_model *model, const args *a, const tokens *t, double *mean)
{
    char options[200];
    snprintf(options, sizeof options, "activations=%.20s,norms=[%.80s],memory_limit=%" PRId64,
             a->activations ? a->activations : "ram", a->norms ? a->norms : "l1,l2,fisher",
             a->memory_limit);
    s24_model_set_progress(model, on_progress, NULL);
    s24_status status = s24_model_importance(model, &t->ids, t->name, options, a->out, mean);
    progress_clear();
    return status == S24_OK ||
           fail("%s", status == S24_E_CANCELLED ? "interrupted" : s24_last_error());
}

static void tell(const args *a, const tokens *t, double mean, double began)
{
    printf("%-13s%.6g\n", "perplexity", exp(mean));
    printf("%-13s%" PRId64 " of %" PRId64 " tokens\n", "rows", t->ids.rows, t->ids.cols);
    printf("%-13s%.1f\n", "seconds", s24_seconds() - began);
    printf("%-13s%s\n", "written", a->out);
}

int run_importance(const args *a)
{
    s24_ctx *ctx = NULL;
    s24_model *model = NULL;
    tokens t = {0};
    double mean = NAN, began = s24_seconds();
    progress_start(a->progress);
    bool done = open_inputs(a, &ctx, &model, &t) && score(model, a, &t, &mean);
    if (done)
        tell(a, &t, mean, began);
    tokens_close(&t);
    s24_model_destroy(model);
    s24_ctx_destroy(ctx);
    return done ? DONE : FAILED;
}
