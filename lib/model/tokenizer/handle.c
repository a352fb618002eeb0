/* The public handle of a tokenizer. */
#include "handle.h"
#include "../option_text.h"
#include <stdlib.h>
#include <string.h>

enum { MAGIC = 0x7434326d };

/* ---- Life ---- */

s24_status s24_tokenizer_open(s24_ctx *ctx, const char *path, s24_tokenizer **out)
{
    if (out)
        *out = NULL;
    if (!ctx || !path || !out)
        return s24m_fail(S24_E_ARG, "%s: %s is NULL", __func__,
                         !ctx    ? "ctx"
                         : !path ? "path"
                                 : "out");
    s24_tokenizer *h = s24m_have(calloc(1, sizeof *h));
    locale_t plain = h ? s24m_have(newlocale(LC_ALL_MASK, "C", (locale_t)0)) : (locale_t)0;
    bool done = false;
    if (plain) {
        h->magic = MAGIC;
        locale_t hosts = uselocale(plain);
        done = s24m_tokenizer_open(&h->t, ctx, path);
        uselocale(hosts);
        freelocale(plain);
    }
    if (done) {
        *out = h;
        return S24_OK;
    }
    s24_status status = s24_last_status();
    if (h)
        s24m_tokenizer_free(&h->t);
    free(h);
    return status;
}

void s24_tokenizer_destroy(s24_tokenizer *h)
{
    if (!h || h->magic != MAGIC)
        return;
    h->magic = 0;
    s24m_tokenizer_free(&h->t);
    free(h);
}

static s24_status check(const s24_tokenizer *h, const char *function)
{
    return h && h->magic == MAGIC ? S24_OK
                                  : s24m_fail(S24_E_ARG, "%s: tokenizer is %s", function,
                                              h ? "no living handle of a tokenizer" : "NULL");
}

static s24_status enter(s24_tokenizer *h, const char *function)
{
    s24_status status = check(h, function);
    return !status && atomic_exchange(&h->busy, 1)
               ? s24m_fail(S24_E_STATE, "%s: another call is at work on this tokenizer", function)
               : status;
}

/* ---- Facts ---- */

s24_status s24_tokenizer_int(const s24_tokenizer *h, const char *key, int64_t *value)
{
    s24_status status = check(h, __func__);
    if (status)
        return status;
    if (!key || !value)
        return s24m_fail(S24_E_ARG, "%s: %s is NULL", __func__, key ? "value" : "key");
    const tokenizer *t = &h->t;
    const struct {
        const char *key;
        int64_t value;
    } facts[] = {{"vocab", (int64_t)t->words.count},
                 {"bos", t->bos},
                 {"eos", t->eos},
                 {"eot", t->eot},
                 {"unk", t->unknown},
                 {"pad", t->pad},
                 {"prefix", (int64_t)t->prefix.count},
                 {"suffix", (int64_t)t->suffix.count}};
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        if (!strcmp(key, facts[i].key)) {
            *value = facts[i].value;
            return S24_OK;
        }
    return s24m_fail(S24_E_ARG,
                     "%s: no fact \"%.40s\"; there are: vocab, bos, eos, eot, unk, pad, prefix, "
                     "suffix",
                     __func__, key);
}

s24_status s24_tokenizer_piece(const s24_tokenizer *h, int32_t id, const char **text, size_t *size)
{
    s24_status status = check(h, __func__);
    if (status)
        return status;
    const vocabulary *v = &h->t.words;
    if (id < 0 || (size_t)id >= v->count || !v->pieces[id].kind)
        return s24m_fail(S24_E_ARG, "%s: no piece has the id %d", __func__, (int)id);
    if (text)
        *text = s24m_vocabulary_text(v, id);
    if (size)
        *size = v->pieces[id].size;
    return S24_OK;
}

s24_status s24_tokenizer_find(const s24_tokenizer *h, const char *spelling, int64_t *id)
{
    s24_status status = check(h, __func__);
    if (status)
        return status;
    if (!spelling || !id)
        return s24m_fail(S24_E_ARG, "%s: %s is NULL", __func__, spelling ? "id" : "piece");
    *id = s24m_vocabulary_find_any(&h->t.words, spelling, strlen(spelling));
    return S24_OK;
}

/* ---- Both ways ---- */

bool s24m_around(const tokenizer *t, s24m_bos bos, id_list *prefix)
{
    *prefix = bos == S24M_BOS_NO ? (id_list){0} : t->prefix;
    if (bos != S24M_BOS_YES || prefix->count)
        return true;
    *prefix = (id_list){.ids = (int32_t *)(uintptr_t)&t->bos, .count = 1};
    return t->bos >= 0 ||
           s24m_wrong(S24_E_OPTION, "bos=yes: the tokenizer has no token for the begin of a text");
}

bool s24m_read_bos(const char *value, s24m_bos *bos)
{
    static const char *const words[] = {"auto", "yes", "no"};
    for (int i = 0; i < 3; i++)
        if (!strcmp(value, words[i])) {
            *bos = (s24m_bos)i;
            return true;
        }
    return s24m_wrong(S24_E_OPTION, "bos=%.20s: expected auto, yes or no", value);
}

static bool take_option(void *arg, const char *name, const char *value)
{
    how *h = arg;
    bool *flag = !strcmp(name, "special")               ? &h->special
                 : !strcmp(name, "first") && h->decodes ? &h->first
                                                        : NULL;
    if (!strcmp(name, "bos") && !h->decodes)
        return s24m_read_bos(value, &h->bos);
    if (!flag)
        return s24m_wrong(S24_E_OPTION, "no option %.20s; there are: special, %s", name,
                          h->decodes ? "first" : "bos");
    *flag = !strcmp(value, "1");
    return *flag || !strcmp(value, "0") ||
           s24m_wrong(S24_E_OPTION, "%s=%.20s: expected 0 or 1", name, value);
}

static bool add_all(id_list *ids, const id_list *more)
{
    bool done = true;
    for (size_t i = 0; done && i < more->count; i++)
        done = s24m_ids_add(ids, more->ids[i]);
    return done;
}

bool s24m_tokenize(s24_tokenizer *h, const char *text, size_t size, const how *w)
{
    tokenizer *t = &h->t;
    id_list prefix;
    t->ids.count = 0;
    return s24m_around(t, w->bos, &prefix) && add_all(&t->ids, &prefix) &&
           s24m_tokenizer_encode(t, text, size, w->special) &&
           (w->bos == S24M_BOS_NO || add_all(&t->ids, &t->suffix));
}

s24_status s24_tokenizer_encode(s24_tokenizer *h, const void *text, size_t size,
                                const char *options, const int32_t **ids, int64_t *count)
{
    how w = {0};
    s24_status status = enter(h, __func__);
    if (status)
        return status;
    bool done =
        (ids && count && (text || !size)) || s24m_wrong(S24_E_ARG, "%s: %s is NULL", __func__,
                                                        !ids     ? "ids"
                                                        : !count ? "count"
                                                                 : "text");
    done = done && s24m_option_text(options, take_option, &w) &&
           s24m_tokenize(h, text ? text : "", size, &w);
    if (done) {
        *ids = h->t.ids.ids;
        *count = (int64_t)h->t.ids.count;
    }
    status = s24m_status(done);
    atomic_store(&h->busy, 0);
    return status;
}

s24_status s24_tokenizer_decode(s24_tokenizer *h, const int32_t *ids, int64_t count,
                                const char *options, const char **text, size_t *size)
{
    how w = {.decodes = true, .first = true};
    s24_status status = enter(h, __func__);
    if (status)
        return status;
    bool done =
        (text && (ids || !count) && count >= 0) || s24m_wrong(S24_E_ARG, "%s: %s", __func__,
                                                              !text       ? "text is NULL"
                                                              : count < 0 ? "count is negative"
                                                                          : "ids is NULL");
    done = done && s24m_option_text(options, take_option, &w);
    if (done) {
        h->t.text.size = 0;
        done = s24m_tokenizer_decode(&h->t, ids, (size_t)count, w.first, w.special) &&
               s24m_buffer_add(&h->t.text, "", 1);
    }
    if (done) {
        *text = h->t.text.data;
        if (size)
            *size = h->t.text.size - 1;
    }
    status = s24m_status(done);
    atomic_store(&h->busy, 0);
    return status;
}
