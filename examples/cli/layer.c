#include "layer.h"
#include "message.h"
#include "progress.h"

bool context_open(s24_ctx **ctx, const args *a)
{
    if (s24_ctx_create(ctx) != S24_OK)
        return fail_library("context");
    if (s24_ctx_set_int(*ctx, "threads", a->threads) != S24_OK)
        return fail_library("--threads");
    return s24_ctx_set_int(*ctx, "memory_limit", a->memory_limit) == S24_OK ||
           fail_library("--memory-limit");
}

static bool open_sources(layer *l, const args *a)
{
    return source_open(&l->weights, l->ctx, "--weights", a->weights, false) &&
           source_open(&l->calib, l->ctx, "--calib", a->calib, true) &&
           (!a->test || source_open(&l->test, l->ctx, "--test", a->test, true)) &&
           (!a->mask || source_open(&l->mask, l->ctx, "--mask", a->mask, false)) &&
           (!a->importance ||
            source_open(&l->importance, l->ctx, "--importance", a->importance, false));
}

/* A problem on the weights with a gram that is still empty: wrong dimensions show now, not after
 * reading the rows. */
static bool open_problem(layer *l, const source *x, const char *what, s24_gram **gram,
                         s24_problem **problem)
{
    if (s24_problem_create(l->ctx, &l->weights.view, problem) != S24_OK)
        return fail_library("--weights %s", l->weights.path);
    if (s24_gram_create(l->ctx, x->view.cols, S24_F32, gram) != S24_OK ||
        s24_problem_set_gram(*problem, *gram) != S24_OK)
        return fail_library("%s %s", what, x->path);
    return true;
}

static bool set_constraints(layer *l, const args *a)
{
    if (a->constraints && s24_problem_parse(l->problem, a->constraints) != S24_OK)
        return fail_library("--constraints");
    if (a->mask && s24_problem_set_mask(l->problem, &l->mask.view) != S24_OK)
        return fail_library("--mask %s", l->mask.path);
    if (a->importance && s24_problem_set_importance(l->problem, &l->importance.view) != S24_OK)
        return fail_library("--importance %s", l->importance.path);
    return true;
}

bool layer_open(layer *l, const args *a)
{
    return context_open(&l->ctx, a) && open_sources(l, a) &&
           open_problem(l, &l->calib, "--calib", &l->gram, &l->problem) && set_constraints(l, a) &&
           (!a->test || open_problem(l, &l->test, "--test", &l->test_gram, &l->test_problem));
}

/* Batches straight from the mapped file: large enough to be fast, small enough for Ctrl-C and the
 * bar. */
static bool add_rows(s24_gram *gram, const source *x, const char *what)
{
    enum { BATCH = 1024 };
    for (int64_t i = 0; i < x->view.rows; i += BATCH) {
        int64_t left = x->view.rows - i;
        s24_mat batch = rows_of(&x->view, i, left < BATCH ? left : BATCH);
        progress_show("reading", what + 2, i, x->view.rows);
        s24_status status = s24_gram_add(gram, &batch, NULL);
        progress_clear();
        if (status != S24_OK)
            return fail_library("%s %s, rows from %lld", what, x->path, (long long)i);
        if (progress_interrupted())
            return fail("interrupted");
    }
    return true;
}

bool layer_calibrate(layer *l)
{
    return add_rows(l->gram, &l->calib, "--calib") &&
           (!l->test_gram || add_rows(l->test_gram, &l->test, "--test"));
}

void layer_close(layer *l)
{
    s24_problem_destroy(l->test_problem);
    s24_problem_destroy(l->problem);
    s24_gram_destroy(l->test_gram);
    s24_gram_destroy(l->gram);
    source_close(&l->importance);
    source_close(&l->mask);
    source_close(&l->test);
    source_close(&l->calib);
    source_close(&l->weights);
    s24_ctx_destroy(l->ctx);
}
