#include "shrink.h"
#include "config.h"
#include "keys.h"
#include "parts.h"
#include "terms.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Elements of the widest blocks that every file and runtime has: Q4_0, Q8_0. */
enum { STEP = 32 };

/* ---- What rules say of one matrix of each block ---- */

static const char *asked_of(const s24m_model *model, plan *p, int64_t layer, int32_t role)
{
    char name[S24M_NAME], common[S24M_NAME];
    int32_t which = s24m_program_of(model, layer)->first[role];
    if (which < 0)
        return NULL;
    s24m_name(model, layer, which, name);
    s24m_common_name(model, layer, which, common);
    const char *text = s24m_plan_constraints(p, (const char *const[]){name, common, NULL});
    terms t = s24m_terms(text ? text : "");
    bool ours = role == S24M_DOWN ? t.unit == UNIT_COLUMN : t.unit > UNIT_COLUMN;
    return ours ? text : NULL;
}

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && !strcmp(a, b));
}

/* NULL in *asked: it keeps its columns. */
static bool agree(const s24m_model *model, plan *p, int32_t role, const char **asked)
{
    *asked = asked_of(model, p, 0, role);
    for (int64_t layer = 1; layer < model->config.layers; layer++) {
        const char *other = asked_of(model, p, layer, role);
        if (!same(*asked, other))
            return s24m_wrong(S24_E_UNSUPPORTED,
                              "--rule: %s of block 1 has \"%s\", of block %lld \"%s\": files tell "
                              "one size for all blocks, so ask the same of all",
                              role == S24M_DOWN ? "down" : "o", *asked ? *asked : "no columns",
                              (long long)layer + 1, other ? other : "no columns");
    }
    return true;
}

/* ---- The text of a rule ---- */

/* "columns 25%", "columns 96 kept", "heads 2 kept of 4", and nothing behind it. */
static bool is_whole_text(const char *text)
{
    char *end;
    bool columns = !strncmp(text, "columns ", 8);
    const char *number = strchr(text, ' ') + 1;
    if (*number < '0' || *number > '9')
        return false;
    double share = strtod(number, &end);
    if (!strcmp(end, "%"))
        return share > 0 && share < 100;
    if (strtoll(number, &end, 10) < 1 || strncmp(end, " kept", 5))
        return false;
    end += 5;
    if (!columns && !strncmp(end, " of ", 4) && end[4] >= '1' && end[4] <= '9')
        strtoll(end + 4, &end, 10);
    return !*end;
}

static bool check_text(const char *text)
{
    return is_whole_text(text + strspn(text, " ")) ||
           (strchr(text, '+')
                ? s24m_wrong(S24_E_UNSUPPORTED,
                             "--rule: \"%s\": what is removed whole takes no other term: remove "
                             "it first, then compress the smaller model",
                             text)
                : s24m_wrong(S24_E_OPTION,
                             "--rule: \"%s\": expected \"columns 25%%\" or \"columns 96 kept\", "
                             "for attention \"groups 50%%\", \"groups 1 kept\" or \"heads 2 kept "
                             "of 4\"; shares are above 0 and below 100 %%",
                             text));
}

/* ---- Sizes ---- */

/* As the library rounds a share, half to even, but not below one. */
static int64_t kept_of(const terms *t, int64_t count)
{
    int64_t kept = t->unit_kept ? t->unit_kept : count - (int64_t)rint(t->share * (double)count);
    return kept < 1 ? 1 : kept;
}

/* The nearest counts that can be asked for. */
static bool refuse_count(const char *asked, int64_t ffn, int64_t kept)
{
    char legal[96];
    int64_t most = (ffn - 1) / STEP * STEP, below = kept / STEP * STEP, above = below + STEP;
    below = below < STEP ? STEP : below > most ? most : below;
    above = above > most ? most : above;
    if (!most)
        return s24m_wrong(S24_E_UNSUPPORTED,
                          "--rule: \"%s\": %lld inner channels cannot be fewer: block types hold "
                          "multiples of %d",
                          asked, (long long)ffn, (int)STEP);
    snprintf(legal, sizeof legal, "\"columns %lld kept\"", (long long)below);
    if (above > below)
        snprintf(legal, sizeof legal, "\"columns %lld kept\" or \"columns %lld kept\"",
                 (long long)below, (long long)above);
    return s24m_wrong(S24_E_UNSUPPORTED,
                      "--rule: \"%s\" of %lld inner channels: block types hold multiples of %d: "
                      "ask for %s",
                      asked, (long long)ffn, (int)STEP, legal);
}

/* A share is rounded up. */
static bool settle_down(s24m_shrink *s, const s24m_model *model, const char *asked)
{
    int64_t ffn = model->config.ffn;
    if (!check_text(asked))
        return false;
    terms t = s24m_terms(asked);
    int64_t kept = kept_of(&t, ffn), up = (kept + STEP - 1) / STEP * STEP;
    if (up >= ffn || (t.unit_kept && up != kept))
        return refuse_count(asked, ffn, kept);
    s->ffn = up;
    snprintf(s->down, sizeof s->down, "columns %lld kept", (long long)up);
    return true;
}

/* transformers wants heads that divide the hidden size, whatever head_dim says. */
static bool divides(const s24m_model *model, int64_t heads)
{
    return model->config.gguf || model->config.hidden % heads == 0;
}

static bool refuse_heads(const s24m_model *model, const char *asked, int64_t units, int64_t kept)
{
    int64_t each = model->config.heads / units, below = kept, above = kept;
    char legal[64] = "no other number does";
    while (below > 0 && !divides(model, below * each))
        below--;
    while (above < units && !divides(model, above * each))
        above++;
    if (above < units && below > 0)
        snprintf(legal, sizeof legal, "keep %lld or %lld", (long long)below, (long long)above);
    else if (above < units || below > 0)
        snprintf(legal, sizeof legal, "keep %lld", (long long)(below > 0 ? below : above));
    return s24m_wrong(S24_E_UNSUPPORTED,
                      "--rule: \"%s\" leaves %lld heads, which do not divide the hidden size %lld, "
                      "as transformers wants: %s",
                      asked, (long long)(kept * each), (long long)model->config.hidden, legal);
}

static bool settle_o(s24m_shrink *s, const s24m_model *model, const char *asked)
{
    const s24m_config *c = &model->config;
    if (!check_text(asked))
        return false;
    terms t = s24m_terms(asked);
    bool groups = t.unit == UNIT_GROUP, shared = c->kv_heads < c->heads && c->kv_heads > 1;
    int64_t units = groups ? c->kv_heads : c->heads, each = c->heads / units;
    int64_t kept = kept_of(&t, units);
    if (!groups && shared)
        return s24m_wrong(S24_E_UNSUPPORTED,
                          "--rule: \"%s\": %lld heads share a key and leave together: ask for "
                          "\"groups 1 kept\" up to \"groups %lld kept\"",
                          asked, (long long)(c->heads / c->kv_heads), (long long)c->kv_heads - 1);
    if ((t.unit_of && t.unit_of != units) || kept >= units)
        return s24m_wrong(S24_E_UNSUPPORTED,
                          "--rule: \"%s\": the model has %lld %s: keep 1 .. %lld", asked,
                          (long long)units, groups ? "groups" : "heads", (long long)units - 1);
    if (!divides(model, kept * each))
        return refuse_heads(model, asked, units, kept);
    s->heads = kept * each;
    s->kv_heads = groups || c->kv_heads == c->heads ? kept : c->kv_heads;
    snprintf(s->o, sizeof s->o, "%s %lld kept of %lld", groups ? "groups" : "heads",
             (long long)kept, (long long)units);
    return true;
}

/* ---- Whether the model can lose them ---- */

static bool refuse(const s24m_model *model, const char *what, const char *why)
{
    return s24m_wrong(S24_E_UNSUPPORTED, "--rule: %s of %s cannot be removed: %s", what,
                      model->config.architecture, why);
}

static bool check_heads(const s24m_model *model)
{
    const s24m_family *f = model->family;
    return model->config.qkv != S24M_SEPARATE
               ? refuse(model, "heads", "q, k and v lie in one tensor, or a switch beside them")
           : f->head_norms == S24M_OWN_NORMS || f->head_norms == S24M_WIDE_NORMS
               ? refuse(model, "heads", "norms of q and k span them")
           : f->sinks ? refuse(model, "heads", "each has a sink of its own")
           : f->alibi ? refuse(model, "heads", "their slopes follow from their number")
           : f->divided || (f->divided_gguf && model->config.gguf)
               ? refuse(model, "heads",
                        "loaders divide the hidden size by their number and would take "
                        "those that are left for wider ones; \"mlp=columns 25%\" can be")
               : true;
}

/* Rows of these go with the columns: as floats they can be cut, as codes they cannot. */
static bool check_givers(const s24m_model *model, plan *p, const int32_t *roles, int count)
{
    char name[S24M_NAME], common[S24M_NAME];
    for (int64_t layer = 0; layer < model->config.layers; layer++)
        for (int i = 0; i < count; i++) {
            const s24m_program *program = s24m_program_of(model, layer);
            int32_t which = program->first[roles[i]];
            if (which < 0)
                continue;
            s24m_name(model, layer, which, name);
            s24m_common_name(model, layer, which, common);
            const char *text = s24m_plan_constraints(p, (const char *const[]){name, common, NULL});
            if (program->matrices[which].transposed)
                return refuse(model, "columns", "its weights are stored as inputs x outputs");
            if (text && s24m_plan_has_parts(text))
                return s24m_wrong(S24_E_UNSUPPORTED,
                                  "%s: its rows go with columns that are removed, and \"%s\" has "
                                  "codes or factors: remove the columns first, then compress the "
                                  "smaller model",
                                  name, text);
        }
    return true;
}

/* The configuration says this size, so that it can say another. */
static bool check_key(const s24m_model *model, const char *json, const char *gguf)
{
    char full[S24M_KEY];
    return s24m_config_key(model, json, gguf, full) ||
           s24m_wrong(S24_E_UNSUPPORTED,
                      "--rule: the model's files do not say %s, so a smaller one cannot be written",
                      full[strlen(full) - 1] == '-' ? json : full); /* it has no such key */
}

static bool check(const s24m_shrink *s, const s24m_model *model, plan *p, const form *f)
{
    static const int32_t roles[] = {S24M_GATE, S24M_UP, S24M_DOWN, S24M_Q, S24M_K, S24M_V, S24M_O};
    bool down = *s->down, o = *s->o;
    if (f->holder == HOLDER_S24 || f->layout || f->type || f->beside == BESIDE_FACTORS)
        return s24m_wrong(S24_E_UNSUPPORTED,
                          "%s: whole columns are removed from models of floats: do that first, "
                          "then compress the smaller model",
                          f->option);
    return (!o || check_heads(model)) && (!down || check_givers(model, p, roles, 3)) &&
           (!o || check_givers(model, p, roles + 3, 4)) &&
           (!down || check_key(model, "intermediate_size", "feed_forward_length")) &&
           (!o || check_key(model, "num_attention_heads", "attention.head_count"));
}

bool s24m_shrink_settle(s24m_shrink *s, const s24m_model *model, plan *p, const form *f)
{
    const s24m_config *c = &model->config;
    const char *down, *o;
    *s = (s24m_shrink){.ffn = c->ffn, .heads = c->heads, .kv_heads = c->kv_heads};
    if (!agree(model, p, S24M_DOWN, &down) || !agree(model, p, S24M_O, &o))
        return false;
    return (!down || settle_down(s, model, down)) && (!o || settle_o(s, model, o)) &&
           (!s24m_shrinks(s) || check(s, model, p, f));
}

const char *s24m_shrink_constraints(const s24m_shrink *s, const s24m_model *model, int64_t layer,
                                    int32_t which)
{
    const s24m_program *p = s24m_program_of(model, layer);
    return *s->down && which == p->first[S24M_DOWN] ? s->down
           : *s->o && which == p->first[S24M_O]     ? s->o
                                                    : NULL;
}

/* ---- The configuration ---- */

/* `always`: even where the file does not say it. */
static bool put(s24_file *out, const s24m_model *model, const char *json, const char *gguf,
                int64_t value, bool always)
{
    char full[S24M_KEY], text[24];
    const char *key = model->config.gguf ? gguf : json;
    bool there = key && s24m_config_key(model, json, gguf, full);
    snprintf(text, sizeof text, "%lld", (long long)value);
    return !key || (!there && !always) || s24m_good(s24_file_set_meta(out, full, text), "%s", full);
}

bool s24m_shrink_put(const s24m_shrink *s, const s24m_model *model, s24_file *out)
{
    const s24m_config *c = &model->config;
    if (*s->down && !put(out, model, "intermediate_size", "feed_forward_length", s->ffn, false))
        return false;
    return !*s->o ||
           (put(out, model, "num_attention_heads", "attention.head_count", s->heads, false) &&
            put(out, model, "num_key_value_heads", "attention.head_count_kv", s->kv_heads,
                s->kv_heads != s->heads) &&
            put(out, model, "head_dim", "attention.key_length", c->head_dim, true) &&
            put(out, model, NULL, "attention.value_length", c->head_dim, true) &&
            put(out, model, NULL, "rope.dimension_count", c->rope[S24M_ROPE_FULL].size,
                c->rope[S24M_ROPE_FULL].size > 0));
}
