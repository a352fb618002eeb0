/* The settings of the rotary embedding in a config.json, as transformers takes them. */
#include "config.h"
#include "rope.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const type_names[S24M_ROPE_TYPES] = {"default", "linear",   "dynamic",
                                                        "yarn",    "longrope", "llama3"};

/* Where the settings stand: in rope_scaling, which is the whole story if it is there, or in
 * rope_parameters, which transformers 5 writes. */
typedef struct place {
    const s24m_reader *r;
    const char *object; /* "": none */
    s24m_rope *rope;
} place;

static void name_in(const place *p, const char *key, char name[S24M_KEY])
{
    snprintf(name, S24M_KEY, *p->object ? "%s.%s" : "%s%s", p->object, key);
}

/* A key that no place but this object has. */
static bool has(const place *p, const char *key)
{
    char name[S24M_KEY], full[S24M_KEY];
    name_in(p, key, name);
    return s24m_key(p->r, name, full) != NULL;
}

/* A number above 0 of the object; *value stays if it is not there. */
static s24_status setting(const place *p, const char *key, double *value)
{
    char name[S24M_KEY];
    name_in(p, key, name);
    return s24m_key_positive(p->r, name, value);
}

/* Several of them; 0 stands for what an option is without its key. */
typedef struct wish {
    const char *key;
    double *value;
    enum { NEEDED, OPTION } kind;
} wish;

static s24_status settings(const place *p, const wish *wishes, int count)
{
    s24_status status = S24_OK;
    char name[S24M_KEY];
    for (const wish *w = wishes; !status && w < wishes + count; w++) {
        double read = 0;
        name_in(p, w->key, name);
        status = w->kind == OPTION ? s24m_key_number(p->r, name, &read)
                                   : s24m_key_positive(p->r, name, &read);
        if (!status && w->kind == NEEDED && read == 0)
            status = s24m_fail(S24_E_FORMAT, "metadata config.%s is missing", name);
        *w->value = read > 0 ? read : *w->value;
    }
    return status;
}

/* What may also stand at the top level, below the object. Two places that contradict each other are
 * nobody's rule. */
static s24_status shared(const place *p, const char *key, double *value)
{
    double other = 0;
    s24_status status = s24m_key_positive(p->r, key, value);
    if (!status && *p->object)
        status = setting(p, key, value);
    if (status || strcmp(p->object, "rope_scaling") || has(p, key))
        return status;
    place q = {p->r, "rope_parameters", p->rope};
    status = setting(&q, key, &other);
    return status || !other || other == *value
               ? status
               : s24m_fail(S24_E_UNSUPPORTED,
                           "config.rope_parameters.%s is %g, but config.rope_scaling, which goes "
                           "before it, does not say it: write it there too",
                           key, other);
}

/* ---- Types ---- */

/* "su" is what longrope was called first. */
static s24_status find_type(const char *full, const char *name, s24m_rope_type *type)
{
    name = !strcmp(name, "su") ? "longrope" : name;
    for (int i = 0; i < S24M_ROPE_TYPES; i++)
        if (!strcmp(name, type_names[i])) {
            *type = (s24m_rope_type)i;
            return S24_OK;
        }
    return s24m_fail(S24_E_UNSUPPORTED,
                     "%s is %.40s: only default, linear, dynamic, yarn, longrope and llama3 are "
                     "supported",
                     full, name);
}

/* A factor without a type is ignored by some programs and linear to others. */
static s24_status read_type(const place *p)
{
    static const char *const keys[] = {"rope_type", "type"};
    char name[S24M_KEY], full[S24M_KEY];
    for (int i = 0; *p->object && i < 2; i++) {
        name_in(p, keys[i], name);
        const char *type = s24m_key(p->r, name, full);
        if (type)
            return find_type(full, type, &p->rope->type);
    }
    double factor = 1;
    s24_status status = *p->object ? setting(p, "factor", &factor) : S24_OK;
    return status || factor == 1
               ? status
               : s24m_fail(S24_E_UNSUPPORTED,
                           "config.%s.factor is %g, but there is no config.%s.rope_type", p->object,
                           factor, p->object);
}

/* The list's numbers, as many as there are pairs. */
static s24_status read_divisors(const place *p, const char *key, double **out)
{
    char name[S24M_KEY], full[S24M_KEY], item[S24M_ITEM];
    int64_t pairs = p->rope->size / 2, count = 0;
    name_in(p, key, name);
    const char *at = s24m_key(p->r, name, full);
    double *divisor = *out = calloc((size_t)pairs, sizeof *divisor);
    if (!at)
        return s24m_fail(S24_E_FORMAT, "metadata %s is missing", full);
    if (!divisor)
        return s24m_fail(S24_E_MEMORY, "out of memory");
    for (; s24m_item(&at, item); count++)
        if (count < pairs && (!s24m_parse(item, &divisor[count]) || divisor[count] <= 0))
            return s24m_fail(S24_E_FORMAT, "%s: value %lld is %s, but must be above 0", full,
                             (long long)count, item);
    return count == pairs ? S24_OK
                          : s24m_fail(S24_E_SHAPE, "%s has %lld values for %lld rotary pairs", full,
                                      (long long)count, (long long)pairs);
}

static s24_status read_llama3(const place *p)
{
    s24m_rope *rope = p->rope;
    const wish wishes[] = {{"factor", &rope->factor, NEEDED},
                           {"low_freq_factor", &rope->low, NEEDED},
                           {"high_freq_factor", &rope->high, NEEDED}};
    s24_status status = settings(p, wishes, 3);
    return status || rope->high > rope->low
               ? status
               : s24m_fail(S24_E_FORMAT, "rope high_freq_factor %g is not above low_freq_factor %g",
                           rope->high, rope->low);
}

/* The factor, or else what the context says of it. */
static s24_status read_factor(const place *p)
{
    p->rope->factor = (double)p->r->model->config.trained / p->rope->trained;
    return setting(p, "factor", &p->rope->factor);
}

static s24_status read_yarn(const place *p)
{
    s24m_rope *rope = p->rope;
    char truncate[S24M_KEY];
    double fast = 32, slow = 1, weight = 0, all = 0;
    const wish wishes[] = {{"beta_fast", &fast, OPTION},
                           {"beta_slow", &slow, OPTION},
                           {"mscale", &weight, OPTION},
                           {"mscale_all_dim", &all, OPTION}};
    bool whole = true;
    name_in(p, "truncate", truncate);
    s24_status status = read_factor(p);
    if (!status)
        status = settings(p, wishes, 4);
    if (!status)
        status = s24m_key_truth(p->r, truncate, &whole);
    if (!status)
        status = s24m_rope_yarn(rope, fast, slow, whole);
    if (status)
        return status;
    rope->attention = weight > 0 && all > 0 ? s24m_rope_strength(rope->factor, weight) /
                                                  s24m_rope_strength(rope->factor, all)
                                            : s24m_rope_strength(rope->factor, 1);
    return setting(p, "attention_factor", &rope->attention);
}

/* The factor says only how long rows get; frequencies are divided by the lists alone. */
static s24_status read_longrope(const place *p)
{
    s24m_rope *rope = p->rope;
    s24_status status = read_factor(p);
    if (!status && rope->factor > 1)
        rope->attention = sqrt(1 + log(rope->factor) / log(rope->trained));
    s24m_rope_reach(rope, &p->r->model->config.context);
    rope->factor = 1;
    if (!status)
        status = setting(p, "attention_factor", &rope->attention);
    if (!status)
        status = read_divisors(p, "short_factor", &rope->divisor[0]);
    return status ? status : read_divisors(p, "long_factor", &rope->divisor[1]);
}

/* Every key of the object is one of those that are read here, or changes nothing. */
static s24_status know_keys(const place *p)
{
    static const char known[] =
        " rope_type type rope_theta factor original_max_position_embeddings attention_factor "
        "beta_fast beta_slow mscale mscale_all_dim truncate short_factor long_factor "
        "low_freq_factor high_freq_factor partial_rotary_factor finetuned ";
    static const char beta[] = "llama_4_scaling_beta";
    const s24_file *file = p->r->model->file;
    char word[S24M_KEY];
    size_t length = strlen(p->object);
    bool end = !length;
    for (int64_t i = 0; !end; i++) {
        const char *key = s24m_key_at(p->r, i, &end), *text;
        if (!key || strncmp(key, p->object, length) || key[length] != '.')
            continue;
        snprintf(word, sizeof word, " %s ", key + length + 1);
        text = s24_file_meta(file, s24_file_meta_key(file, i));
        if (!strcmp(key + length + 1, beta) && s24m_family_applies(p->r->family, beta))
            continue;
        if (!strstr(known, word) && text && strcmp(text, "null"))
            return s24m_fail(S24_E_UNSUPPORTED, "config.%.80s is %.40s, but this key is not known",
                             key, text);
    }
    return S24_OK;
}

/* The original context may also stand at the top level, where transformers lets it win; of dynamic
 * it takes max_position_embeddings. */
static s24_status read_trained(const place *p)
{
    static const char key[] = "original_max_position_embeddings";
    const s24m_config *c = &p->r->model->config;
    double said = (double)c->trained, top = 0;
    p->rope->trained = said;
    if (p->rope->type == S24M_ROPE_DEFAULT || p->rope->type == S24M_ROPE_LINEAR)
        return S24_OK;
    s24_status status = shared(p, key, &said);
    if (!status)
        status = s24m_key_positive(p->r, key, &top);
    if (!status && top && top != said)
        status = s24m_fail(S24_E_FORMAT, "config.%s is %g, but config.%s.%s is %g", key, top,
                           p->object, key, said);
    if (!status && p->rope->type == S24M_ROPE_DYNAMIC && said != p->rope->trained)
        status = s24m_fail(S24_E_UNSUPPORTED,
                           "%s is %g, but dynamic scaling goes by max_position_embeddings, %g", key,
                           said, p->rope->trained);
    p->rope->trained = said;
    return status;
}

/* transformers rounds towards 0. */
static s24_status read_part(const place *p)
{
    double part = 1;
    int64_t size = p->r->model->config.head_dim, whole = 0;
    s24_status status = shared(p, "partial_rotary_factor", &part);
    p->rope->size = (int64_t)((double)size * part);
    if (!status && s24m_family_applies(p->r->family, "rotary_dim"))
        status = s24m_key_integer(p->r, "rotary_dim", S24M_EXTENT, &whole);
    p->rope->size = whole ? whole : p->rope->size;
    return status || part <= 1
               ? status
               : s24m_fail(S24_E_FORMAT, "partial_rotary_factor is %g, but must be at most 1",
                           part);
}

/* Of the growth of q, which goes by the context of the training whatever the type. */
static s24_status read_beta(const place *p)
{
    if (!*p->object)
        return S24_OK;
    s24_status status = setting(p, "llama_4_scaling_beta", &p->rope->beta);
    return status || !(p->rope->beta > 0)
               ? status
               : setting(p, "original_max_position_embeddings", &p->rope->trained);
}

static s24_status read_json(const place *p)
{
    s24_status status = know_keys(p);
    if (!status)
        status = read_type(p);
    if (!status)
        status = shared(p, "rope_theta", &p->rope->base);
    if (!status)
        status = read_part(p);
    if (!status)
        status = read_trained(p);
    if (!status && s24m_family_applies(p->r->family, "llama_4_scaling_beta"))
        status = read_beta(p);
    if (status)
        return status;
    switch (p->rope->type) {
    case S24M_ROPE_YARN:
        return read_yarn(p);
    case S24M_ROPE_LONGROPE:
        return read_longrope(p);
    case S24M_ROPE_LLAMA3:
        return read_llama3(p);
    case S24M_ROPE_DEFAULT:
        return S24_OK;
    default:
        return settings(p, &(wish){"factor", &p->rope->factor, NEEDED}, 1);
    }
}

/* Settings of the layers with a window and of those without, or of all. */
static s24_status read_one(const s24m_reader *r, const char *object, s24m_rope *rope)
{
    const s24m_config *c = &r->model->config;
    place p = {r, object, rope};
    *rope = s24m_rope_plain(c->head_dim);
    s24_status status = read_json(&p);
    return status ? status : s24m_rope_check(rope, c->head_dim);
}

/* The base of layers with a window, as older Gemma 3 has it: those are not scaled. */
static s24_status read_local(const s24m_reader *r, bool *local)
{
    s24m_rope *rope = &r->model->config.rope[S24M_ROPE_WINDOWED];
    double base = 0;
    s24_status status = S24_OK;
    if (s24m_family_applies(r->family, "rope_local_base_freq"))
        status = s24m_key_positive(r, "rope_local_base_freq", &base);
    *local = base > 0;
    *rope = r->model->config.rope[S24M_ROPE_FULL];
    if (*local) {
        *rope = s24m_rope_plain(rope->size);
        rope->base = base;
    } else {
        rope->divisor[0] = rope->divisor[1] = NULL; /* they are the other's */
    }
    return status;
}

static s24_status read_all(const s24m_reader *r, bool *two)
{
    static const char *const objects[S24M_ROPES] = {"rope_parameters.full_attention",
                                                    "rope_parameters.sliding_attention"};
    s24m_rope *rope = r->model->config.rope;
    const char *object = s24m_key_is_object(r, "rope_scaling")      ? "rope_scaling"
                         : s24m_key_is_object(r, "rope_parameters") ? "rope_parameters"
                                                                    : "";
    *two = s24m_key_is_object(r, objects[0]) && s24m_key_is_object(r, objects[1]);
    if (!*two) {
        s24_status status = read_one(r, object, rope);
        return status ? status : read_local(r, two);
    }
    s24_status status = read_one(r, objects[0], rope);
    return status ? status : read_one(r, objects[1], rope + 1);
}

/* A word a layer: 0 is a layer that does not turn. */
static s24_status read_turning_list(const s24m_reader *r)
{
    char full[S24M_KEY], item[S24M_ITEM];
    const char *at = s24m_key(r, "no_rope_layers", full);
    int64_t i = 0, every = r->model->config.gguf ? 4 : 0; /* llama.cpp knows no other */
    s24_status status = s24m_key_integer(r, "no_rope_layer_interval", S24M_COUNT, &every);
    for (; at && s24m_item(&at, item) && i < r->model->config.layers; i++)
        if (!strcmp(item, "0"))
            r->model->layer[i].rope = S24M_NO_ROPE;
    for (int64_t k = every - 1; !i && every > 0 && k < r->model->config.layers; k += every)
        r->model->layer[k].rope = S24M_NO_ROPE;
    return status;
}

/* Which layers turn, and how. */
static s24_status set_turning(const s24m_reader *r, bool two)
{
    const s24m_config *c = &r->model->config;
    s24m_turning turning = r->family->turning;
    for (int64_t i = 0; i < c->layers; i++) {
        s24m_layer *layer = r->model->layer + i;
        bool still = turning == S24M_TURN_WINDOWED ||
                     (turning == S24M_TURN_WINDOWED_IF_THERE && c->window != INT64_MAX);
        layer->rope = still && !layer->windowed ? S24M_NO_ROPE
                      : two && layer->windowed  ? S24M_ROPE_WINDOWED
                                                : S24M_ROPE_FULL;
        layer->rope = r->family->rotary == S24M_UNTURNED ? S24M_NO_ROPE : layer->rope;
    }
    return turning == S24M_TURN_LISTED ? read_turning_list(r) : S24_OK;
}

s24_status s24m_read_rope(const s24m_reader *r)
{
    s24m_config *c = &r->model->config;
    bool two = false;
    s24_status status = S24_OK;
    c->rope[S24M_ROPE_FULL] = s24m_rope_plain(c->head_dim);
    if (r->family->rotary != S24M_UNTURNED) {
        status = c->gguf ? s24m_read_rope_gguf(r) : read_all(r, &two);
        if (!status && c->gguf)
            status = s24m_rope_check(c->rope, c->head_dim);
        if (!status && c->gguf)
            status = s24m_read_divisors(r->model);
        if (!status && c->gguf && s24m_family_applies(r->family, "rope_local_base_freq"))
            status = s24m_read_local_gguf(r, &two);
        if (!status)
            s24m_rope_reach(c->rope, &c->context);
    }
    return status ? status : set_turning(r, two);
}
