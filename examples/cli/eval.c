/* sparse24 eval: perplexity of a model. */
#include "commands.h"
#include "evaluate.h"
#include "layer.h"
#include "message.h"
#include "progress.h"
#include "record.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void report(const tokens *t, const evaluation *e, double rate, bool as_json)
{
    double count = (double)(t->rows * (t->length - 1));
    double efficiency = e->flops / (e->seconds * rate);
    if (!as_json) {
        printf("%-13s%.6g\n", "perplexity", exp(e->mean));
        printf("%-13s%.0f predicted in %lld rows of %lld\n", "tokens", count, (long long)t->rows,
               (long long)t->length);
        printf("%-13s%.2f\n", "seconds", e->seconds);
        printf("%-13s%.2f of the rate of large products, %.0f GFLOP/s\n", "efficiency", efficiency,
               1e-9 * rate);
        return;
    }
    char *record = must(strdup("{}"));
    record = record_put_number(record, "perplexity", exp(e->mean));
    record = record_put_number(record, "nll", e->mean);
    record = record_put_number(record, "tokens", count);
    record = record_put_number(record, "rows", (double)t->rows);
    record = record_put_number(record, "context", (double)t->length);
    record = record_put_number(record, "seconds", e->seconds);
    record = record_put_number(record, "efficiency", efficiency);
    puts(record);
    free(record);
}

static bool open_inputs(const args *a, s24_ctx **ctx, s24m_model **model, tokens *t)
{
    if (!context_open(ctx, a))
        return false;
    if (s24m_open(*ctx, a->operand, model) != S24_OK)
        return fail("eval %s: %s", a->operand, s24_last_error());
    return tokens_open(t, *ctx, "--tokens", a->tokens, a->rows, a->context,
                       (*model)->config.vocab) &&
           s24m_evaluate_check(*model, t, "--tokens");
}

int run_eval(const args *a)
{
    s24_ctx *ctx = NULL;
    s24m_model *model = NULL;
    tokens t = {0};
    evaluation e;
    double rate;
    progress_start(a->progress);
    bool done = open_inputs(a, &ctx, &model, &t) && s24m_product_rate(ctx, &rate) &&
                s24m_evaluate(model, &t, &(evaluating){.title = "eval"}, &e);
    if (done)
        report(&t, &e, rate, a->json);
    else if (progress_interrupted())
        fail("interrupted");
    tokens_close(&t);
    s24m_close(model);
    s24_ctx_destroy(ctx);
    return done ? DONE : FAILED;
}
