/* sparse24 eval: perplexity of a model. */
#include "commands.h"
#include "engine.h"
#include "layer.h"
#include "message.h"
#include "progress.h"
#include "ranks.h"
#include "record.h"
#include "tokens.h"
#include <sparse24/model.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct evaluation {
    double mean, seconds, flops, rate;
} evaluation;

static void report(const s24_mat *ids, const evaluation *e, bool as_json)
{
    double count = (double)(ids->rows * (ids->cols - 1));
    double efficiency = e->flops / (e->seconds * e->rate);
    if (!as_json) {
        printf("%-13s%.6g\n", "perplexity", exp(e->mean));
        printf("%-13s%.0f predicted in %lld rows of %lld\n", "tokens", count, (long long)ids->rows,
               (long long)ids->cols);
        printf("%-13s%.2f\n", "seconds", e->seconds);
        printf("%-13s%.2f of the rate of large products, %.0f GFLOP/s\n", "efficiency", efficiency,
               1e-9 * e->rate);
        return;
    }
    char *record = must(strdup("{}"));
    record = record_put_number(record, "perplexity", exp(e->mean));
    record = record_put_number(record, "nll", e->mean);
    record = record_put_number(record, "tokens", count);
    record = record_put_number(record, "rows", (double)ids->rows);
    record = record_put_number(record, "context", (double)ids->cols);
    record = record_put_number(record, "seconds", e->seconds);
    record = record_put_number(record, "efficiency", efficiency);
    puts(record);
    free(record);
}

static bool open_inputs(const args *a, s24_ctx **ctx, s24_model **model, tokens *t)
{
    return context_open(ctx, a) &&
           (s24_model_open(*ctx, a->operand, model) == S24_OK ||
            fail_library("eval %s", a->operand)) &&
           (!a->group || s24_model_set_group(*model, a->group) == S24_OK ||
            fail("%s", s24_last_error())) &&
           tokens_choose(*model, a) && tokens_open(t, *model, a, "--tokens", a->tokens, a->rows) &&
           engine_pack(*model, a, "none");
}

static int32_t on_progress(void *user, const char *phase, int64_t step, int64_t total,
                           double objective, double residual)
{
    (void)user, (void)objective, (void)residual;
    progress_show(phase, "", step, total);
    return progress_interrupted() ? S24_E_USER : 0;
}

static bool evaluate(s24_model *model, const tokens *t, evaluation *e)
{
    s24_model_set_progress(model, on_progress, NULL);
    s24_status status = s24_model_evaluate(model, &t->ids, t->name, NULL, &e->mean);
    if (!status)
        status = s24_model_float(model, "seconds", &e->seconds);
    if (!status)
        status = s24_model_float(model, "flops", &e->flops);
    if (!status)
        status = s24_model_float(model, "rate", &e->rate);
    progress_clear();
    return status == S24_OK ||
           fail("%s", status == S24_E_CANCELLED ? "interrupted" : s24_last_error());
}

int run_eval(const args *a)
{
    s24_ctx *ctx = NULL;
    s24_model *model = NULL;
    tokens t = {0};
    evaluation e;
    progress_start(a->progress);
    bool done = ranks_ready(a, open_inputs(a, &ctx, &model, &t)) && evaluate(model, &t, &e);
    if (done)
        report(&t.ids, &e, a->json);
    tokens_close(&t);
    s24_model_destroy(model);
    s24_ctx_destroy(ctx);
    return done ? DONE : FAILED;
}
