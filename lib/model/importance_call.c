/* s24_model_importance(): what a host asks, checked; and the file. */
#include "evaluate.h"
#include "handle.h"
#include "importance.h"
#include "memory.h"
#include "option_text.h"
#include "paths.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALL "s24_model_importance"

typedef struct asked {
    s24m_scoring s;
    uint64_t memory; /* limit in bytes; 0: none */
} asked;

/* ---- Options ---- */

static bool read_norms(const char *value, asked *a)
{
    const char *at = value;
    memset(a->s.wanted, 0, sizeof a->s.wanted);
    for (size_t length; *at; at += length + (at[length] == ',')) {
        int norm = 0;
        length = strcspn(at, ",");
        while (norm < S24M_NORMS && (strlen(s24m_norm_names[norm]) != length ||
                                     strncmp(s24m_norm_names[norm], at, length) != 0))
            norm++;
        if (norm == S24M_NORMS)
            break;
        a->s.wanted[norm] = true;
    }
    return (*value && !*at) ||
           s24m_wrong(S24_E_OPTION, CALL ": norms=%.40s: expected some of l1, l2, fisher", value);
}

static bool read_keep(const char *value, asked *a)
{
    static const char *const words[] = {"ram", "half", "disk"}; /* in the order of KEEP_... */
    for (int i = 0; i < 3; i++)
        if (!strcmp(words[i], value)) {
            a->s.keep = i;
            return true;
        }
    return s24m_wrong(S24_E_OPTION, CALL ": activations=%.40s: expected ram, half or disk", value);
}

static bool set(void *arg, const char *key, const char *value)
{
    asked *a = arg;
    char *end;
    if (!strcmp(key, "norms"))
        return read_norms(value, a);
    if (!strcmp(key, "activations"))
        return read_keep(value, a);
    if (strcmp(key, "memory_limit"))
        return s24m_wrong(S24_E_OPTION,
                          CALL ": no option %.40s; there are: norms, activations, memory_limit",
                          key);
    a->memory = strtoull(value, &end, 10);
    return (*value >= '0' && *value <= '9' && !*end && a->memory <= INT64_MAX) ||
           s24m_wrong(S24_E_OPTION, CALL ": memory_limit=%.40s: expected a number of bytes", value);
}

/* ---- The call ---- */

static bool fits(const asked *a)
{
    const s24m_scoring *s = &a->s;
    uint64_t needed = s24m_memory_base(s->model->ctx) + s24m_memory_product(s->model) +
                      s24m_importance_bytes(s->model, s->keep, s->rows->rows, s->rows->length);
    return !a->memory || needed <= a->memory ||
           s24m_wrong(S24_E_MEMORY,
                      CALL ": memory_limit is %" PRIu64 " bytes, %" PRIu64 " are needed: %s",
                      a->memory, needed,
                      s->keep == KEEP_DISK ? "take fewer or shorter rows"
                                           : "take activations=disk, or fewer rows");
}

static bool describe(const s24m_scoring *s)
{
    char text[160];
    snprintf(text, sizeof text, "{\"rows\": %" PRId64 ", \"tokens\": %" PRId64 ", \"nll\": %.9g}",
             s->rows->rows, s->rows->length, s->mean);
    return s24m_good(s24_file_set_meta(s->file, "sparse24.importance", text), CALL);
}

/* The file is begun first: a place that cannot be written is told before the work. */
static bool write(asked *a, const char *path)
{
    s24m_scoring *s = &a->s;
    char *folder = s24m_path_folder(path);
    s->folder = folder;
    bool done =
        folder &&
        s24m_good(s24_file_create(s->model->ctx, path, "safetensors", &s->file), "%s", path) &&
        s24m_importance(s) && describe(s) && s24m_good(s24_file_commit(s->file), "%s", path);
    s24_file_destroy(s->file);
    free(folder);
    return done;
}

static bool score(s24_model *model, const s24_mat *ids, const char *name, const char *options,
                  const char *path, double *nll)
{
    tokens t = {0};
    asked a = {.s = {.model = model->network,
                     .watch = &model->watch,
                     .rows = &t,
                     .keep = KEEP_RAM,
                     .wanted = {true, true, true}}};
    bool done = (path || s24m_wrong(S24_E_ARG, CALL ": path is NULL")) &&
                s24m_done(s24m_head_check(model->network)) && s24m_option_text(options, set, &a) &&
                s24m_tokens_take(&t, ids, name, model->network->config.vocab) &&
                s24m_evaluate_check(model->network, &t, name) && fits(&a) && write(&a, path);
    s24m_tokens_close(&t);
    if (done && nll)
        *nll = a.s.mean;
    return done;
}

s24_status s24_model_importance(s24_model *model, const s24_mat *ids, const char *name,
                                const char *options, const char *path, double *nll)
{
    s24_status status = s24m_enter(model, __func__);
    if (status)
        return status;
    bool done = score(model, ids, name ? name : "tokens", options, path, nll);
    s24m_watch_begin(&model->watch);
    s24m_leave(model);
    return s24m_status(done);
}
