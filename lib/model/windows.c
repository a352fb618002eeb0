/* Which layers see a window of the last tokens only. */
#include "config.h"
#include <stdlib.h>
#include <string.h>

/* transformers' older name of full attention is "attention". */
static s24_status read_type(const s24m_reader *r, const char *full, int64_t layer, const char *type,
                            s24m_layer *to)
{
    *to = (s24m_layer){.windowed = !strcmp(type, "sliding_attention") || !strcmp(type, "true") ||
                                   !strcmp(type, "local"),
                       .recurrent = r->family->delta && !strcmp(type, "linear_attention")};
    if (to->windowed || to->recurrent || !strcmp(type, "full_attention") ||
        !strcmp(type, "attention") || !strcmp(type, "false") || !strcmp(type, "global"))
        return S24_OK;
    return s24m_fail(S24_E_UNSUPPORTED,
                     "%s: layer %lld is %s, but only full_attention and sliding_attention are "
                     "supported",
                     full, (long long)layer, type);
}

/* A list that says it layer by layer; `fixed`: it may only say what the model does anyway. */
static s24_status read_list(const s24m_reader *r, const char *key, bool fixed)
{
    s24m_config *c = &r->model->config;
    char full[S24M_KEY], type[S24M_ITEM];
    const char *text = s24m_key(r, key, full), *at = text;
    s24_status status = S24_OK;
    int64_t count = 0;
    if (!text)
        return S24_OK;
    if (*text != '[')
        return s24m_fail(S24_E_FORMAT, "%s is %.40s, but must be a list", full, text);
    for (s24m_layer is; !status && s24m_item(&at, type); count++) {
        status = read_type(r, full, count, type, &is);
        if (status || count >= c->layers)
            continue;
        if (is.windowed && c->window == INT64_MAX)
            status = s24m_fail(S24_E_FORMAT, "%s: layer %lld is %s, but no window is set", full,
                               (long long)count, type);
        else if (fixed && is.windowed != r->model->layer[count].windowed)
            status = s24m_fail(S24_E_UNSUPPORTED, "%s: layer %lld is %s, which %s has not", full,
                               (long long)count, type, c->architecture);
        r->model->layer[count].windowed = is.windowed;
        r->model->layer[count].recurrent = is.recurrent;
    }
    return status || count == c->layers
               ? status
               : s24m_fail(S24_E_FORMAT, "%s has %lld values for %lld layers", full,
                           (long long)count, (long long)c->layers);
}

static void set_windowed(s24m_model *model, int64_t from)
{
    for (int64_t i = 0; i < model->config.layers; i++)
        model->layer[i].windowed = model->config.window != INT64_MAX && i >= from;
}

/* All but every pattern-th layer. */
static void set_pattern(s24m_model *model, int64_t pattern)
{
    set_windowed(model, 0);
    for (int64_t i = pattern - 1; pattern > 0 && i < model->config.layers; i += pattern)
        model->layer[i].windowed = false;
}

/* 0 is none, as llama.cpp has it. The pattern may be a number. */
static s24_status read_gguf(const s24m_reader *r)
{
    static const char list[] = "attention.sliding_window_pattern";
    s24m_config *c = &r->model->config;
    int64_t window = 0, pattern = r->family->pattern;
    char full[S24M_KEY];
    s24_status status = s24m_key_integer(r, "attention.sliding_window", S24M_COUNT, &window);
    if (window)
        c->window = window;
    const char *text = s24m_key(r, list, full);
    bool number = r->family->pattern && text && *text != '[';
    if (!status && number)
        status = s24m_key_integer(r, list, S24M_COUNT, &pattern);
    set_pattern(r->model, pattern);
    return status || !window || number ? status : read_list(r, list, false);
}

/* Of every layer or of none, as `has` says; keys may only agree. A window that is never reached is
 * none. */
static s24_status read_plain(const s24m_reader *r, bool has)
{
    s24m_config *c = &r->model->config;
    int64_t window = INT64_MAX, from = 0;
    bool on = has;
    s24_status status = s24m_key_integer(r, "sliding_window", S24M_TOKENS, &window);
    if (!status)
        status = s24m_key_truth(r, "use_sliding_window", &on);
    if (!status && has)
        status = s24m_key_integer(r, "max_window_layers", S24M_COUNT, &from);
    if (!status && window && window < c->trained && (!has || !on || from))
        status = s24m_fail(S24_E_UNSUPPORTED,
                           "config.sliding_window is %lld, but a %s has a window in %s: remove "
                           "config.%s if it was trained so",
                           (long long)window, c->architecture, has ? "every layer" : "no layer",
                           from  ? "max_window_layers"
                           : has ? "use_sliding_window"
                                 : "sliding_window");
    if (has)
        c->window = window;
    set_windowed(r->model, 0);
    return status ? status : read_list(r, "layer_types", true);
}

static s24_status read_switched(const s24m_reader *r)
{
    s24m_config *c = &r->model->config;
    int64_t window = INT64_MAX, from = 0;
    bool on = false;
    s24_status status = s24m_key_truth(r, "use_sliding_window", &on);
    if (!status && on)
        status = s24m_key_integer(r, "sliding_window", S24M_TOKENS, &window);
    if (!status)
        status = s24m_key_integer(r, "max_window_layers", S24M_COUNT, &from);
    c->window = on ? window : INT64_MAX;
    set_windowed(r->model, from);
    return status ? status : read_list(r, "layer_types", false);
}

/* In the layers that the list or, without one, the pattern names. */
static s24_status read_listed(const s24m_reader *r)
{
    s24m_config *c = &r->model->config;
    int64_t pattern = r->family->pattern;
    bool on = true;
    s24_status status = s24m_key_truth(r, "use_sliding_window", &on);
    if (!status)
        status = s24m_key_integer(r, "sliding_window", S24M_TOKENS, &c->window);
    if (!status && pattern && !s24m_key_given(r, "layer_types"))
        status = s24m_key_integer(r, "sliding_window_pattern", S24M_COUNT, &pattern);
    c->window = on ? c->window : INT64_MAX;
    set_pattern(r->model, pattern);
    return status ? status : read_list(r, "layer_types", false);
}

s24_status s24m_read_windows(const s24m_reader *r)
{
    s24m_config *c = &r->model->config;
    c->window = INT64_MAX;
    if (c->gguf)
        return read_gguf(r);
    switch (r->family->windows) {
    case S24M_SOME_WINDOWS:
        return read_switched(r);
    case S24M_LISTED_WINDOWS:
        return read_listed(r);
    default:
        return read_plain(r, r->family->windows == S24M_ALL_WINDOWS);
    }
}
