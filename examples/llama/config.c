#include "model.h"
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Metadata of a GGUF file is "ARCHITECTURE.key", of a Hugging Face config.json "config.key". */
typedef struct reader {
    const llama_model *model;
    const char *prefix;
} reader;

/* Its text, NULL if there is none; `full` receives the whole key. */
static const char *find(const reader *r, const char *key, char full[96])
{
    snprintf(full, 96, "%s.%s", r->prefix, key);
    const char *text = key ? s24_file_meta(r->model->file, full) : NULL;
    return text && strcmp(text, "null") ? text : NULL;
}

static bool is_true(const reader *r, const char *key)
{
    char full[96];
    const char *text = find(r, key, full);
    return text && !strcmp(text, "true");
}

/* A finite number above 0; `value` stays as it is if the key is missing. */
static s24_status number(const reader *r, const char *key, double *value)
{
    char full[96], *end;
    const char *text = find(r, key, full);
    if (!text)
        return S24_OK;
    double read = strtod(text, &end);
    if (end == text || *end || !isfinite(read) || read <= 0)
        return llama_fail(S24_E_FORMAT, "%s is %.40s, but must be a number above 0", full, text);
    *value = read;
    return S24_OK;
}

/* The same for an integer. So small that no product of three overflows. */
static s24_status integer(const reader *r, const char *key, int64_t *value)
{
    enum { LIMIT = 1 << 20 };
    char full[96], *end;
    const char *text = find(r, key, full);
    if (!text)
        return S24_OK;
    long long read = strtoll(text, &end, 10);
    if (end == text || *end || read < 1 || read > LIMIT)
        return llama_fail(S24_E_FORMAT, "%s is %.40s, but must be an integer in 1 .. %d", full,
                          text, LIMIT);
    *value = read;
    return S24_OK;
}

/* The model does something else than we do if the key has another value than this one. */
static s24_status only(const reader *r, const char *key, const char *value)
{
    char full[96], *end;
    const char *text = find(r, key, full);
    double wanted = strtod(value, &end);
    if (!text || !strcmp(text, value) || (!*end && strtod(text, NULL) == wanted))
        return S24_OK;
    return llama_fail(S24_E_UNSUPPORTED, "%s is %.40s, but only %s is supported", full, text,
                      value);
}

/* ---- Sizes ---- */

static s24_status read_sizes(const reader *r, llama_config *c)
{
    const struct {
        const char *name, *gguf;
        int64_t *value;
        bool optional;
    } sizes[] = {{"num_hidden_layers", "block_count", &c->layers, false},
                 {"hidden_size", "embedding_length", &c->hidden, false},
                 {"intermediate_size", "feed_forward_length", &c->ffn, false},
                 {"num_attention_heads", "attention.head_count", &c->heads, false},
                 {"num_key_value_heads", "attention.head_count_kv", &c->kv_heads, true},
                 {"head_dim", "attention.key_length", &c->head_dim, true},
                 {"max_position_embeddings", "context_length", &c->context, true}};
    s24_status status = S24_OK;
    for (size_t i = 0; !status && i < sizeof sizes / sizeof *sizes; i++) {
        const char *key = c->gguf ? sizes[i].gguf : sizes[i].name;
        status = integer(r, key, sizes[i].value);
        if (!status && !*sizes[i].value && !sizes[i].optional)
            status = llama_fail(S24_E_FORMAT, "metadata %s.%s is missing", r->prefix, key);
    }
    if (status)
        return status;
    c->kv_heads = c->kv_heads ? c->kv_heads : c->heads;
    c->context = c->context ? c->context : INT64_MAX;
    if (c->heads % c->kv_heads)
        return llama_fail(S24_E_FORMAT, "%lld heads are no multiple of %lld key/value heads",
                          (long long)c->heads, (long long)c->kv_heads);
    if (!c->head_dim && c->hidden % c->heads)
        return llama_fail(S24_E_FORMAT, "hidden size %lld is no multiple of %lld heads",
                          (long long)c->hidden, (long long)c->heads);
    c->head_dim = c->head_dim ? c->head_dim : c->hidden / c->heads;
    return c->head_dim % 2
               ? llama_fail(S24_E_FORMAT, "head size %lld is odd: rotary pairs need an even one",
                            (long long)c->head_dim)
               : S24_OK;
}

static s24_status read_vocabulary(const reader *r, llama_config *c)
{
    const char *table = c->gguf ? "token_embd.weight" : "model.embed_tokens.weight";
    int64_t shape[8];
    int32_t rank;
    const char *type;
    s24_status status = s24_file_info(r->model->file, table, shape, &rank, &type);
    if (status)
        return llama_library(status, "the embedding");
    if (rank != 2 || shape[0] < 1 || shape[0] > INT32_MAX)
        return llama_fail(S24_E_SHAPE, "%s is not a table of tokens", table);
    c->vocab = shape[0];
    return c->gguf ? S24_OK : integer(r, "vocab_size", &c->vocab);
}

/* Mistral: every layer; Qwen: only if switched on, from one layer on. */
static s24_status read_window(const reader *r, llama_config *c)
{
    bool qwen = !strncmp(c->architecture, "qwen", 4);
    c->window = INT64_MAX;
    if (c->gguf)
        return integer(r, "attention.sliding_window", &c->window);
    if (qwen ? !is_true(r, "use_sliding_window") : strcmp(c->architecture, "mistral") != 0)
        return S24_OK;
    s24_status status = integer(r, "sliding_window", &c->window);
    if (!status && qwen) {
        c->window_from = c->layers;
        status = integer(r, "max_window_layers", &c->window_from);
    }
    return status;
}

/* ---- Rotary embedding ---- */

/* Key of rope settings, "rope_scaling.x" or, in newer files, "rope_parameters.x", whichever is there. */
static void rope_key(const reader *r, const char *key, char name[64])
{
    char full[96];
    snprintf(name, 64, "rope_parameters.%s", key);
    if (!find(r, name, full))
        snprintf(name, 64, "rope_scaling.%s", key);
}

static s24_status rope_number(const reader *r, const char *key, double *value)
{
    char name[64];
    rope_key(r, key, name);
    *value = NAN;
    s24_status status = number(r, name, value);
    return !status && isnan(*value)
               ? llama_fail(S24_E_FORMAT, "metadata %s.%s is missing", r->prefix, name)
               : status;
}

static const char *rope_type(const reader *r)
{
    static const char *const keys[] = {"rope_type", "type"};
    char name[64], full[96];
    const char *type = NULL;
    if (r->model->config.gguf) {
        type = find(r, "rope.scaling.type", full);
        return type && strcmp(type, "none") ? type : "default";
    }
    for (int i = 0; !type && i < 2; i++) {
        rope_key(r, keys[i], name);
        type = find(r, name, full);
    }
    return type ? type : "default";
}

/* Llama 3: long waves are stretched, short ones kept, those between interpolated. */
static s24_status scale_llama3(const reader *r, double *frequency, int64_t count)
{
    double factor, low, high, context;
    s24_status status = rope_number(r, "factor", &factor);
    if (!status)
        status = rope_number(r, "low_freq_factor", &low);
    if (!status)
        status = rope_number(r, "high_freq_factor", &high);
    if (!status)
        status = rope_number(r, "original_max_position_embeddings", &context);
    if (!status && high <= low)
        status = llama_fail(S24_E_FORMAT,
                            "rope high_freq_factor %g is not above low_freq_factor %g", high, low);
    for (int64_t i = 0; !status && i < count; i++) {
        double turns = context * frequency[i] / (2 * acos(-1.0));
        double keep = (turns - low) / (high - low);
        keep = keep < 0 ? 0 : keep > 1 ? 1 : keep;
        frequency[i] *= keep + (1 - keep) / factor;
    }
    return status;
}

/* GGUF stores the divisors that Llama 3's rule gives. */
static s24_status divide(const llama_model *model, double *frequency, int64_t count)
{
    float *divisor = NULL;
    s24_status status = S24_OK;
    if (!model->config.gguf || !llama_has(model, "rope_freqs.weight"))
        return S24_OK;
    status = llama_read(model, "rope_freqs.weight", count, 0, &divisor);
    for (int64_t i = 0; !status && i < count; i++) {
        if (!(divisor[i] > 0))
            status = llama_fail(S24_E_FORMAT, "rope_freqs.weight: element %lld is %g", (long long)i,
                                divisor[i]);
        frequency[i] /= divisor[i];
    }
    free(divisor);
    return status;
}

static s24_status read_rope(const reader *r, llama_model *model)
{
    llama_config *c = &model->config;
    const char *type = rope_type(r);
    int64_t count = c->head_dim / 2;
    double factor = 1;
    char name[64];
    c->rope_base = 10000;
    rope_key(r, "rope_theta", name);
    s24_status status = number(r, c->gguf ? "rope.freq_base" : "rope_theta", &c->rope_base);
    if (!status && !c->gguf)
        status = number(r, name, &c->rope_base);
    if (!status && !strcmp(type, "linear"))
        status =
            c->gguf ? number(r, "rope.scaling.factor", &factor) : rope_number(r, "factor", &factor);
    else if (!status && strcmp(type, "default") && (c->gguf || strcmp(type, "llama3")))
        status =
            llama_fail(S24_E_UNSUPPORTED,
                       "rope scaling %.40s: only default, linear and llama3 are supported", type);
    model->frequency = malloc((size_t)count * sizeof *model->frequency);
    if (!status && !model->frequency)
        status = llama_fail(S24_E_MEMORY, "out of memory");
    if (status)
        return status;
    for (int64_t i = 0; i < count; i++)
        model->frequency[i] = pow(c->rope_base, -(double)i / (double)count) / factor;
    if (!strcmp(type, "llama3"))
        return scale_llama3(r, model->frequency, count);
    return divide(model, model->frequency, count);
}

/* ---- All of it ---- */

static s24_status read_architecture(llama_model *model)
{
    static const char *const known[] = {"llama", "mistral", "qwen2", "qwen3", NULL};
    const char *name = s24_file_meta(model->file, "general.architecture");
    llama_config *c = &model->config;
    c->gguf = name != NULL;
    name = name ? name : s24_file_meta(model->file, "config.model_type");
    if (!name)
        return llama_fail(S24_E_FORMAT, "no model: the file says neither config.model_type nor "
                                        "general.architecture");
    for (const char *const *k = known; *k; k++)
        if (!strcmp(*k, name))
            strcpy(c->architecture, name);
    if (!*c->architecture)
        return llama_fail(S24_E_UNSUPPORTED,
                          "architecture %.40s is not one of llama, mistral, qwen2, qwen3", name);
    c->interleaved = c->gguf && !strcmp(name, "llama");
    return S24_OK;
}

/* What these architectures can also do and this pass does not. */
static s24_status refuse_others(const reader *r, const llama_config *c)
{
    char head_dim[24];
    snprintf(head_dim, sizeof head_dim, "%lld", (long long)c->head_dim);
    const char *const keys[][2] = {{"hidden_act", "silu"},
                                   {"partial_rotary_factor", "1"},
                                   {"rope_parameters.partial_rotary_factor", "1"}};
    const char *const gguf_keys[][2] = {{"attention.value_length", head_dim},
                                        {"rope.dimension_count", head_dim},
                                        {"expert_count", "0"}};
    s24_status status = S24_OK;
    for (int i = 0; !status && i < 3; i++)
        status =
            c->gguf ? only(r, gguf_keys[i][0], gguf_keys[i][1]) : only(r, keys[i][0], keys[i][1]);
    return status;
}

static s24_status read_head(const reader *r, llama_config *c)
{
    const char *name = c->gguf ? "output.weight" : "lm_head.weight";
    c->tied = c->gguf ? !llama_has(r->model, name) : is_true(r, "tie_word_embeddings");
    return c->tied || llama_has(r->model, name)
               ? S24_OK
               : llama_fail(S24_E_FORMAT,
                            "%s is missing, and config.tie_word_embeddings is not true", name);
}

s24_status llama_read_config(llama_model *model)
{
    llama_config *c = &model->config;
    s24_status status = read_architecture(model);
    reader r = {model, c->gguf ? c->architecture : "config"};
    const char *eps = c->gguf ? "attention.layer_norm_rms_epsilon" : "rms_norm_eps";
    if (!status)
        status = read_sizes(&r, c);
    if (!status)
        status = refuse_others(&r, c);
    if (!status)
        status = read_vocabulary(&r, c);
    if (!status)
        status = read_window(&r, c);
    if (!status)
        status = number(&r, eps, &c->eps);
    if (!status && !(c->eps > 0))
        status = llama_fail(S24_E_FORMAT, "metadata %s.%s is missing", r.prefix, eps);
    if (!status)
        status = read_rope(&r, model);
    return status ? status : read_head(&r, c);
}
