#include "config.h"
#include "packed.h"
#include "parts.h"
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* ---- Sizes ---- */

static const struct {
    const char *json, *gguf;
    size_t at; /* in s24m_config */
} sizes[S24M_SIZES] = {
    [S24M_LAYERS] = {"num_hidden_layers", "block_count", offsetof(s24m_config, layers)},
    [S24M_HIDDEN] = {"hidden_size", "embedding_length", offsetof(s24m_config, hidden)},
    [S24M_FFN] = {"intermediate_size", "feed_forward_length", offsetof(s24m_config, ffn)},
    [S24M_HEADS] = {"num_attention_heads", "attention.head_count", offsetof(s24m_config, heads)},
    [S24M_KV_HEADS] = {"num_key_value_heads", "attention.head_count_kv",
                       offsetof(s24m_config, kv_heads)},
    [S24M_HEAD_DIM] = {"head_dim", "attention.key_length", offsetof(s24m_config, head_dim)},
    [S24M_CONTEXT] = {"max_position_embeddings", "context_length", offsetof(s24m_config, trained)},
};

/* A key that a config.json leaves out has the default of its model type; null, and a key that a
 * GGUF file leaves out, stand for what follows from the other sizes. */
static s24_status read_size(const s24m_reader *r, const s24m_family *family, int which)
{
    s24m_config *c = &r->model->config;
    int64_t *value = (int64_t *)(void *)((char *)c + sizes[which].at);
    const char *key = c->gguf ? sizes[which].gguf : sizes[which].json;
    *value = c->gguf || s24m_key_given(r, key) ? 0 : family->sizes[which];
    s24_status status =
        s24m_key_integer(r, key, which == S24M_CONTEXT ? S24M_TOKENS : S24M_EXTENT, value);
    return status || *value || which >= S24M_KV_HEADS
               ? status
               : s24m_fail(S24_E_FORMAT, "metadata %s.%s is missing", r->prefix, key);
}

static s24_status read_sizes(const s24m_reader *r, const s24m_family *family)
{
    s24m_config *c = &r->model->config;
    s24_status status = S24_OK;
    for (int i = 0; !status && i < S24M_SIZES; i++)
        status = read_size(r, family, i);
    if (status)
        return status;
    c->kv_heads = c->kv_heads ? c->kv_heads : c->heads;
    c->trained = c->trained ? c->trained : INT64_MAX;
    c->context = c->gguf || s24m_key_given(r, sizes[S24M_CONTEXT].json) ? c->trained : INT64_MAX;
    if (c->heads % c->kv_heads)
        return s24m_fail(S24_E_FORMAT, "%lld heads are no multiple of %lld key/value heads",
                         (long long)c->heads, (long long)c->kv_heads);
    if (!c->head_dim && c->hidden % c->heads)
        return s24m_fail(S24_E_FORMAT, "hidden size %lld is no multiple of %lld heads",
                         (long long)c->hidden, (long long)c->heads);
    c->head_dim = c->head_dim ? c->head_dim : c->hidden / c->heads;
    return S24_OK;
}

static s24_status read_vocabulary(const s24m_reader *r)
{
    s24m_config *c = &r->model->config;
    const char *table = s24m_global(r->model, S24M_EMBEDDING);
    int64_t shape[8];
    int32_t rank = 2;
    s24_status status = S24_OK;
    if (!s24m_packed(r->model, table, shape, shape + 1))
        status = s24_file_info(r->model->file, table, shape, &rank, NULL);
    if (status)
        return s24m_library(status, "the embedding");
    if (rank != 2 || shape[0] < 1 || shape[0] > INT32_MAX)
        return s24m_fail(S24_E_SHAPE, "%s is not a table of tokens", table);
    c->vocab = shape[0];
    return c->gguf ? S24_OK : s24m_key_integer(r, "vocab_size", S24M_TABLE, &c->vocab);
}

/* ---- Blocks ---- */

/* GGUF: wherever the tensor is there. */
static s24_status read_biases(const s24m_reader *r, const s24m_family *family)
{
    enum { QKV = 1 << S24M_Q | 1 << S24M_K | 1 << S24M_V, O = 1 << S24M_O };
    enum { MLP = 1 << S24M_GATE | 1 << S24M_UP | 1 << S24M_DOWN };
    s24m_config *c = &r->model->config;
    bool attention = false, mlp = false;
    s24_status status = S24_OK;
    if (!c->gguf && family->attention_bias)
        status = s24m_key_truth(r, "attention_bias", &attention);
    if (!status && !c->gguf && family->mlp_bias)
        status = s24m_key_truth(r, "mlp_bias", &mlp);
    c->biased = (family->qkv_bias ? QKV : 0) | (attention ? QKV | O : 0) | (mlp ? MLP : 0);
    return status;
}

static s24_status read_eps(const s24m_reader *r)
{
    s24m_config *c = &r->model->config;
    const char *key = c->gguf ? "attention.layer_norm_rms_epsilon" : "rms_norm_eps";
    char full[S24M_KEY];
    c->eps = 1e-6;
    return c->gguf && !s24m_key(r, key, full)
               ? s24m_fail(S24_E_FORMAT, "metadata %s is missing", full)
               : s24m_key_number(r, key, &c->eps);
}

/* ---- The head ---- */

/* A head that is stored is meant, whatever tie_word_embeddings says: as transformers 5 and
 * llama.cpp do. */
static s24_status read_head(const s24m_reader *r)
{
    s24m_config *c = &r->model->config;
    bool tied = c->gguf;
    c->tied = !s24m_has(r->model, s24m_global(r->model, S24M_OUTPUT));
    s24_status status = c->gguf ? S24_OK : s24m_key_truth(r, "tie_word_embeddings", &tied);
    return status || !c->tied || tied
               ? status
               : s24m_fail(S24_E_FORMAT, "lm_head.weight is missing, and "
                                         "config.tie_word_embeddings is not true");
}

/* ---- All of it ---- */

static s24_status read_architecture(s24m_model *model, const s24m_family **family)
{
    const char *name = s24_file_meta(model->file, "general.architecture");
    s24m_config *c = &model->config;
    c->gguf = name != NULL;
    name = name ? name : s24_file_meta(model->file, "config.model_type");
    if (!name)
        return s24m_fail(S24_E_FORMAT, "no model: the file says neither config.model_type nor "
                                       "general.architecture");
    *family = s24m_family_find(name);
    if (!*family)
        return s24m_fail(S24_E_UNSUPPORTED,
                         "architecture %.40s is not one of llama, mistral, qwen2, qwen3", name);
    snprintf(c->architecture, sizeof c->architecture, "%s", (*family)->name);
    c->interleaved = c->gguf && !strcmp(name, "llama");
    c->head_norms = (*family)->head_norms;
    model->stages = (*family)->stages;
    return S24_OK;
}

s24_status s24m_read_config(s24m_model *model)
{
    const s24m_family *family;
    s24_status status = read_architecture(model, &family);
    s24m_reader r = {model, model->config.gguf ? model->config.architecture : "config"};
    if (!status)
        status = s24m_key_load_all(&r);
    if (!status)
        status = read_sizes(&r, family);
    if (!status)
        status = s24m_refuse_keys(&r, family);
    if (!status)
        status = read_vocabulary(&r);
    if (!status)
        status = read_biases(&r, family);
    if (!status)
        status = s24m_read_windows(&r, family);
    if (!status)
        status = read_eps(&r);
    if (!status)
        status = s24m_read_rope(&r);
    return status ? status : read_head(&r);
}
