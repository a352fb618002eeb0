#include "compression.h"
#include "image.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC UINT64_C(0x636f6d7072657373)

static bool is_one(const s24_compression *c)
{
    return c && c->magic == MAGIC;
}

s24_status s24m_compression_enter(s24_compression *c, const char *function)
{
    return is_one(c) ? s24m_enter(c->handle, function)
                     : s24m_fail(S24_E_ARG, "%s: is no compression", function);
}

s24_status s24_compression_create(s24_model *model, s24_compression **out)
{
    if (!model || !out)
        return s24m_fail(S24_E_ARG, "%s: %s is NULL", __func__, model ? "out" : "model");
    s24_compression *c = s24m_have(calloc(1, sizeof *c));
    if (!c)
        return S24_E_MEMORY;
    c->magic = MAGIC;
    c->handle = model;
    c->model = model->network;
    c->checkpoint.lock = -1;
    s24m_job_forget(c);
    c->curves = s24m_have(calloc((size_t)c->model->config.layers + 1, sizeof *c->curves));
    bool done = c->curves && s24m_compression_reset(c) && s24m_origin_open(&c->origin, model->path);
    if (done)
        *out = c;
    else
        s24_compression_destroy(c);
    return s24m_status(done);
}

void s24_compression_destroy(s24_compression *c)
{
    if (!is_one(c))
        return;
    c->magic = 0;
    s24m_job_forget(c);
    s24m_plan_close(&c->settings.plan);
    s24m_origin_close(&c->origin);
    s24m_tokens_close(&c->calibration);
    for (int i = 0; i < c->evaluated; i++) {
        s24m_tokens_close(&c->evaluations[i].tokens);
        free(c->evaluations[i].name);
        free(c->evaluations[i].dense);
    }
    free(c->constraints);
    free(c->solver);
    free(c->options);
    free(c->own);
    free(c->chat_start);
    free(c->open_start);
    free(c->importance);
    s24m_scores_close(&c->settings.scores);
    free(c->recipe);
    free(c->curves);
    free(c);
}

/* ---- What is given ---- */

static s24_status add_pattern(s24_compression *c, const char *text, const char *function,
                              bool (*add)(plan *p, const char *text))
{
    s24_status status = s24m_compression_enter(c, function);
    if (status)
        return status;
    bool done = text ? add(&c->settings.plan, text)
                     : s24m_wrong(S24_E_ARG, "%s: the text is NULL", function);
    s24m_leave(c->handle);
    return s24m_status(done);
}

s24_status s24_compression_add_rule(s24_compression *c, const char *text)
{
    return add_pattern(c, text, __func__, s24m_plan_add_rule);
}

s24_status s24_compression_add_skip(s24_compression *c, const char *pattern)
{
    return add_pattern(c, pattern, __func__, s24m_plan_add_skip);
}

/* Of rows that the model can take. */
static bool take(const s24_compression *c, tokens *t, const s24_mat *ids, const char *name)
{
    if (c->model->config.image.size)
        return s24m_pixels_take(t, c->model, ids, name);
    if (!s24m_tokens_take(t, ids, name, c->model->config.vocab))
        return false;
    bool done = s24m_evaluate_check(c->model, t, name);
    if (!done)
        s24m_tokens_close(t);
    return done;
}

s24_status s24_compression_set_calibration(s24_compression *c, const s24_mat *ids, const char *name)
{
    tokens t;
    s24_status status = s24m_compression_enter(c, __func__);
    if (status)
        return status;
    bool done = take(c, &t, ids, name ? name : "--calib");
    if (done) {
        s24m_tokens_close(&c->calibration);
        c->calibration = t;
    }
    s24m_leave(c->handle);
    return s24m_status(done);
}

s24_status s24_compression_add_evaluation(s24_compression *c, const s24_mat *ids, const char *name)
{
    s24_status status = s24m_compression_enter(c, __func__);
    if (status)
        return status;
    evaluated e = {.before = NAN, .after = NAN};
    bool done = (c->evaluated < S24M_EVALUATIONS ||
                 s24m_wrong(S24_E_ARG, "more than %d evaluations", (int)S24M_EVALUATIONS)) &&
                (e.name = s24m_have(strdup(name ? name : "--eval"))) &&
                take(c, &e.tokens, ids, e.name);
    if (done)
        c->evaluations[c->evaluated++] = e;
    else
        free(e.name);
    s24m_leave(c->handle);
    return s24m_status(done);
}

s24_status s24_compression_set_progress(s24_compression *c, s24_progress_fn fn, void *user)
{
    s24_status status = s24m_compression_enter(c, __func__);
    if (status)
        return status;
    c->watch.progress = fn;
    c->watch.progress_user = user;
    s24m_leave(c->handle);
    return S24_OK;
}

s24_status s24_compression_set_log(s24_compression *c, s24_log_fn fn, void *user)
{
    s24_status status = s24m_compression_enter(c, __func__);
    if (status)
        return status;
    c->watch.log = fn;
    c->watch.log_user = user;
    s24m_leave(c->handle);
    return S24_OK;
}

/* ---- The work ---- */

s24_status s24_compression_plan(s24_compression *c, uint64_t *memory, double *flops,
                                uint64_t *written)
{
    needs n;
    s24_status status = s24m_compression_enter(c, __func__);
    if (status)
        return status;
    bool done = s24m_job_settle(c) && s24m_job_needs(c, &n);
    if (done && memory)
        *memory = n.memory;
    if (done && flops)
        *flops = n.flops;
    if (done && written)
        *written = n.written;
    s24m_leave(c->handle);
    return s24m_status(done);
}

s24_status s24_compression_run(s24_compression *c, const char *out)
{
    s24_status status = s24m_compression_enter(c, __func__);
    if (status)
        return status;
    c->out = out ? out : "";
    bool done = s24m_ranks_agree(&c->handle->ranks, s24m_job_open(c) && s24m_job_run(c));
    s24m_job_close(c, done);
    c->out = NULL;
    s24m_leave(c->handle);
    return s24m_status(done);
}

void s24_compression_cancel(s24_compression *c)
{
    if (is_one(c))
        s24m_watch_cancel(&c->watch);
}

/* ---- What came of it ---- */

static double sum(const s24_compression *c, int number)
{
    double total = 0;
    for (int i = 0; i < c->count; i++)
        total += c->records[i].number[number];
    return total;
}

static bool find_number(const s24_compression *c, const char *name, int32_t index, double *value)
{
    const evaluated *e = c->evaluations + index;
    const forecast *x = &c->forecast;
    const struct {
        const char *name;
        double value;
    } numbers[] = {
        {"matrices", c->count},
        {"zeros", sum(c, RECORD_ZEROS)},
        {"size", sum(c, RECORD_SIZE)},
        {"relative_loss", sum(c, RECORD_LOSS) / c->count},
        {"dense_relative_loss", sum(c, RECORD_DENSE_LOSS) / c->count},
        {"seconds", c->seconds},
        {"block_seconds", c->walked},
        {"efficiency", c->efficiency},
        {"complete", c->complete},
        {"divergence_before", c->divergence[0]},
        {"divergence_after", c->divergence[1]},
        {"memory", (double)c->needs.memory},
        {"flops", c->needs.flops},
        {"written", (double)c->needs.written},
        {"ranks", s24m_rank_count(&c->handle->ranks)},
        {"received_bytes", (double)c->handle->ranks.received},
        {"disk", (double)c->needs.disk},
        {"disk_free", c->disk_free == UINT64_MAX ? NAN : (double)c->disk_free},
        {"expected_seconds", x->passes + x->solves + x->refinement + x->own_rows + x->evaluations},
        {"expected_pass_seconds", x->passes},
        {"expected_solve_seconds", x->solves},
        {"expected_refine_seconds", x->refinement},
        {"expected_own_seconds", x->own_rows},
        {"expected_eval_seconds", x->evaluations},
        {"perplexity_before", e->before},
        {"perplexity_after", e->after},
        {"hidden_error", e->hidden},
    };
    enum { NUMBERS = sizeof numbers / sizeof *numbers, OF_EVALUATIONS = NUMBERS - 3 };
    int i = 0;
    while (i < NUMBERS && strcmp(numbers[i].name, name))
        i++;
    if (i == NUMBERS || index >= (i < OF_EVALUATIONS ? 1 : c->evaluated))
        return s24m_wrong(S24_E_ARG, "a compression has no number %s of index %d", name,
                          (int)index);
    *value = numbers[i].value;
    return true;
}

s24_status s24_compression_number(const s24_compression *c, const char *name, int32_t index,
                                  double *value)
{
    if (!is_one(c) || !name || !value || index < 0 || index >= S24M_EVALUATIONS)
        return s24m_fail(S24_E_ARG, "%s: no such number", __func__);
    return s24m_status(find_number(c, name, index, value));
}

static const record *find_record(const s24_compression *c, int32_t index)
{
    return is_one(c) && index >= 0 && index < c->count ? c->records + index : NULL;
}

s24_status s24_compression_matrix_float(const s24_compression *c, int32_t index, const char *name,
                                        double *value)
{
    const record *r = find_record(c, index);
    const double *found = r && name && value ? s24m_record_number(r, name) : NULL;
    if (!found)
        return s24m_fail(S24_E_ARG, "%s: no such matrix or number", __func__);
    *value = *found;
    return S24_OK;
}

s24_status s24_compression_matrix_str(const s24_compression *c, int32_t index, const char *name,
                                      const char **value)
{
    const record *r = find_record(c, index);
    const char *const *found = r && name && value ? s24m_record_text(r, name) : NULL;
    if (!found)
        return s24m_fail(S24_E_ARG, "%s: no such matrix or text", __func__);
    *value = *found;
    return S24_OK;
}

s24_status s24_compression_epoch(const s24_compression *c, int32_t block, int32_t epoch,
                                 double *training, double *kept_back)
{
    if (!is_one(c) || block < 0 || block > c->model->config.layers)
        return s24m_fail(S24_E_ARG, "%s: no such block", __func__);
    const s24m_curve *curve = c->curves + block;
    if (epoch < 0 || epoch >= curve->count)
        return s24m_fail(S24_E_ARG, "%s: block %d has %d states that were measured", __func__,
                         (int)block, (int)curve->count);
    if (training)
        *training = curve->points[epoch][0];
    if (kept_back)
        *kept_back = curve->points[epoch][1];
    return S24_OK;
}

const char *s24_compression_source(const s24_compression *c, int32_t index)
{
    return is_one(c) && index >= 0 && index < c->origin.count ? c->origin.files[index].path : NULL;
}
