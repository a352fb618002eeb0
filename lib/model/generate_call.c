/* s24_model_generate(): what a host asks, checked. */
#include "generate.h"
#include "handle.h"
#include "option_text.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Options ---- */

#define OPTIONS "temperature, top_k, top_p, seed, first_row, stop, memory_limit"

static bool refuse(const char *key, const char *value, const char *range)
{
    return s24m_wrong(S24_E_OPTION, "s24_model_generate: %s=%.40s: expected %s", key, value, range);
}

static bool read_count(const char *key, const char *value, uint64_t most, uint64_t *number)
{
    char *end;
    errno = 0;
    *number = strtoull(value, &end, 10);
    return (*value >= '0' && *value <= '9' && !*end && !errno && *number <= most) ||
           refuse(key, value, "a whole number, 0 or more");
}

static bool read_real(const char *key, const char *value, double most, double *number)
{
    char *end;
    *number = strtod(value, &end);
    return (end != value && !*end && *number >= 0 && *number <= most) ||
           refuse(key, value, most > 1 ? "a number, 0 or more" : "a number above 0, at most 1");
}

/* "2" or "0,2" */
static bool read_stops(const char *value, s24m_generating *how)
{
    const char *at = value;
    how->stop_count = 0;
    for (char *end; *at; at = end + (*end == ',')) {
        long id = strtol(at, &end, 10);
        if (end == at || id < 0 || id > INT32_MAX || how->stop_count == S24M_STOPS)
            return refuse("stop", value, "at most 16 ids, stop=2 or stop=[0,2]");
        how->stops[how->stop_count++] = (int32_t)id;
    }
    return true;
}

static bool set(void *arg, const char *key, const char *value)
{
    s24m_generating *how = arg;
    s24m_sampling *s = &how->sampling;
    uint64_t number = 0;
    if (!strcmp(key, "temperature"))
        return read_real(key, value, 1e6, &s->temperature);
    if (!strcmp(key, "top_p"))
        return read_real(key, value, 1, &s->top_p) &&
               (s->top_p > 0 || refuse(key, value, "a number above 0, at most 1"));
    if (!strcmp(key, "stop"))
        return read_stops(value, how);
    if (!strcmp(key, "seed"))
        return read_count(key, value, UINT64_MAX, &s->seed);
    if (!strcmp(key, "first_row"))
        return read_count(key, value, INT64_MAX, &how->first_row);
    if (!strcmp(key, "memory_limit"))
        return read_count(key, value, INT64_MAX, &how->memory);
    if (strcmp(key, "top_k"))
        return s24m_wrong(S24_E_OPTION, "s24_model_generate: no option %.40s; there are: " OPTIONS,
                          key);
    bool done = read_count(key, value, INT32_MAX, &number);
    s->top_k = (int64_t)number;
    return done;
}

/* ---- The call ---- */

static bool check_out(const s24_model *model, const tokens *prompts, const s24_mat *ids,
                      const char *name)
{
    int64_t context = model->network->config.context;
    if (!ids || !ids->data || ids->device != S24_CPU || ids->dtype != S24_I32)
        return s24m_wrong(S24_E_DTYPE, "s24_model_generate: ids must be S24_I32 in memory");
    if (ids->rows != prompts->rows || ids->cols <= prompts->length)
        return s24m_wrong(S24_E_SHAPE,
                          "s24_model_generate: ids are %" PRId64 " x %" PRId64
                          ", but %s has %" PRId64 " rows of %" PRId64
                          ": expected as many rows, and longer ones",
                          ids->rows, ids->cols, name, prompts->rows, prompts->length);
    return ids->cols <= context || s24m_wrong(S24_E_SHAPE,
                                              "s24_model_generate: rows of %" PRId64
                                              " tokens, but the model's context is %" PRId64,
                                              ids->cols, context);
}

static bool fits(const s24_model *model, const tokens *prompts, int64_t length, uint64_t memory)
{
    uint64_t least =
        model->engine ? s24m_generate_bytes_beside(model->network, prompts->length, length)
                      : s24m_generate_bytes(model->network, prompts->rows, prompts->length, length);
    return !memory || least <= memory ||
           s24m_wrong(S24_E_MEMORY,
                      "s24_model_generate: memory_limit is %" PRIu64 " bytes, %" PRIu64
                      " are needed: take shorter rows",
                      memory, least);
}

static bool generate(s24_model *model, const s24_mat *prompts, const char *name,
                     const char *options, const s24_mat *ids)
{
    s24m_pace pace = {0};
    s24m_generating how = {.watch = &model->watch,
                           .title = "generate",
                           .sampling = {.temperature = 1, .top_p = 1},
                           .engine = model->engine,
                           .pace = &pace};
    tokens given = {0};
    int32_t *made = NULL;
    bool done = s24m_generate_check(model->network) && s24m_option_text(options, set, &how) &&
                s24m_tokens_take_prompts(&given, prompts, name, model->network->config.vocab) &&
                check_out(model, &given, ids, name) && fits(model, &given, ids->cols, how.memory) &&
                (made = s24m_have(malloc((size_t)(ids->rows * ids->cols) * sizeof *made))) &&
                s24m_generate(model->network, &given, &how, ids->cols, made);
    for (int64_t i = 0; done && i < ids->rows * ids->cols; i++)
        ((int32_t *)ids->data)[i / ids->cols * ids->row_stride + i % ids->cols * ids->col_stride] =
            made[i];
    if (done)
        model->pace = pace;
    free(made);
    s24m_tokens_close(&given);
    return done;
}

s24_status s24_model_generate(s24_model *model, const s24_mat *prompts, const char *name,
                              const char *options, const s24_mat *ids)
{
    s24_status status = s24m_enter(model, __func__);
    if (status)
        return status;
    bool done = generate(model, prompts, name ? name : "prompts", options, ids);
    s24m_watch_begin(&model->watch);
    s24m_leave(model);
    return s24m_status(done);
}
