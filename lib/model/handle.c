#include "handle.h"
#include "evaluate.h"
#include <stdlib.h>
#include <string.h>

s24_status s24m_enter(s24_model *model, const char *function)
{
    return atomic_exchange(&model->busy, 1)
               ? s24m_fail(S24_E_STATE, "%s: another call is at work on this model", function)
               : S24_OK;
}

void s24m_leave(s24_model *model)
{
    atomic_store(&model->busy, 0);
}

s24_status s24_model_open(s24_ctx *ctx, const char *path, s24_model **out)
{
    s24_model *m = s24m_have(calloc(1, sizeof *m));
    bool done = m && (m->path = s24m_have(strdup(path))) && !s24m_open(ctx, path, &m->network);
    if (done)
        *out = m;
    else
        s24_model_destroy(m);
    return s24m_status(done);
}

void s24_model_destroy(s24_model *model)
{
    if (!model)
        return;
    s24m_close(model->network);
    free(model->path);
    free(model);
}

s24_status s24_model_evaluate(s24_model *model, const s24_mat *ids, const char *name, double *mean,
                              double *seconds, double *flops, double *rate)
{
    tokens t = {0};
    evaluation e;
    double best;
    s24_status status = s24m_enter(model, __func__);
    if (status)
        return status;
    s24m_model *m = model->network;
    bool done = s24m_tokens_take(&t, ids, name ? name : "--tokens", m->config.vocab) &&
                s24m_evaluate_check(m, &t, name ? name : "--tokens") &&
                s24m_product_rate(m->ctx, &best) &&
                s24m_evaluate(m, &t, &(evaluating){.watch = &m->watch, .title = "eval"}, &e);
    if (done) {
        double *to[] = {mean, seconds, flops, rate}, from[] = {e.mean, e.seconds, e.flops, best};
        for (int i = 0; i < 4; i++)
            if (to[i])
                *to[i] = from[i];
    }
    status = s24m_status(done);
    s24m_tokens_close(&t);
    s24m_watch_begin(&m->watch);
    s24m_leave(model);
    return status;
}

s24_status s24_model_set_progress(s24_model *model, s24_progress_fn fn, void *user)
{
    model->network->watch.progress = fn;
    model->network->watch.progress_user = user;
    return S24_OK;
}

void s24_model_cancel(s24_model *model)
{
    s24m_watch_cancel(&model->network->watch);
}
