#include "config.h"
#include "image.h"
#include "packed.h"
#include "parts.h"
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Sizes ---- */

enum { LAYERS, HIDDEN, FFN, HEADS, KV_HEADS, HEAD_DIM, CONTEXT, SIZES };

static const struct {
    const char *json, *gguf;
    size_t at; /* in s24m_config */
} sizes[SIZES] = {
    [LAYERS] = {"num_hidden_layers", "block_count", offsetof(s24m_config, layers)},
    [HIDDEN] = {"hidden_size", "embedding_length", offsetof(s24m_config, hidden)},
    [FFN] = {"intermediate_size", "feed_forward_length", offsetof(s24m_config, ffn)},
    [HEADS] = {"num_attention_heads", "attention.head_count", offsetof(s24m_config, heads)},
    [KV_HEADS] = {"num_key_value_heads", "attention.head_count_kv",
                  offsetof(s24m_config, kv_heads)},
    [HEAD_DIM] = {"head_dim", "attention.key_length", offsetof(s24m_config, head_dim)},
    [CONTEXT] = {"max_position_embeddings", "context_length", offsetof(s24m_config, trained)},
};

/* What follows from other sizes may be missing; so may the width of an MLP that is not there, or
 * that is a multiple. */
static bool may_miss(const s24m_reader *r, int which)
{
    return which >= KV_HEADS || (which == FFN && (r->family->ffn_times || r->family->experts));
}

/* A key that a config.json leaves out has the default of its model type; null, and a key that a
 * GGUF file leaves out, stand for what follows from the other sizes. */
static s24_status read_size(const s24m_reader *r, int which)
{
    s24m_config *c = &r->model->config;
    int64_t *value = (int64_t *)(void *)((char *)c + sizes[which].at);
    const char *key = c->gguf ? sizes[which].gguf : sizes[which].json;
    char full[S24M_KEY];
    *value = 0;
    s24_status status =
        s24m_key_integer(r, key, which == CONTEXT ? S24M_TOKENS : S24M_EXTENT, value);
    s24m_key(r, key, full);
    return status || *value || may_miss(r, which)
               ? status
               : s24m_fail(S24_E_FORMAT, "metadata %s is missing", full);
}

/* A row is an image, and as long as that has tokens. */
static s24_status read_image(const s24m_reader *r)
{
    static const char *const keys[] = {"image_size", "patch_size", "num_channels"};
    s24m_config *c = &r->model->config;
    int64_t extents[3] = {0};
    s24_status status = S24_OK;
    for (int i = 0; !status && i < 3; i++) {
        char full[S24M_KEY];
        const char *text = s24m_key(r, keys[i], full);
        if (!text || *text == '[')
            return s24m_fail(S24_E_UNSUPPORTED, "%s is %.40s, but only one number is supported",
                             full, text ? text : "missing");
        status = s24m_key_integer(r, keys[i], S24M_EXTENT, extents + i);
    }
    if (!status)
        status = s24m_image_config(r->model, extents, c);
    c->trained = c->context = c->image.tokens;
    return status;
}

static s24_status read_sizes(const s24m_reader *r)
{
    s24m_config *c = &r->model->config;
    s24_status status = S24_OK;
    for (int i = 0; !status && i < SIZES; i++)
        status = read_size(r, i);
    if (status)
        return status;
    c->ffn = c->ffn ? c->ffn : r->family->ffn_times * c->hidden;
    c->kv_heads = r->family->kv_heads ? r->family->kv_heads : c->kv_heads;
    c->kv_heads = c->kv_heads ? c->kv_heads : c->heads;
    c->trained = c->trained ? c->trained : INT64_MAX;
    if (r->family->offset_inside)
        c->trained -= r->family->position_offset;
    if (c->trained < 1)
        return s24m_fail(S24_E_FORMAT, "max_position_embeddings leaves no place for a token");
    c->context = c->gguf || s24m_key_given(r, sizes[CONTEXT].json) ? c->trained : INT64_MAX;
    if (c->heads % c->kv_heads)
        return s24m_fail(S24_E_FORMAT, "%lld heads are no multiple of %lld key/value heads",
                         (long long)c->heads, (long long)c->kv_heads);
    if (!c->head_dim && c->hidden % c->heads)
        return s24m_fail(S24_E_FORMAT, "hidden size %lld is no multiple of %lld heads",
                         (long long)c->hidden, (long long)c->heads);
    if (r->family->positions && c->trained == INT64_MAX)
        return s24m_fail(S24_E_FORMAT,
                         "the configuration does not say how many positions there are");
    c->head_dim = c->head_dim ? c->head_dim : c->hidden / c->heads;
    c->scale = r->family->unscaled ? 1 : 1 / sqrt((double)c->head_dim);
    c->residual_scale = c->logit_scale = 1;
    c->embedding_scale = r->family->scaled_embedding ? sqrt((double)c->hidden) : 1;
    c->parallel = r->family->parallel;
    c->qkv = r->family->qkv;
    if (c->gguf && (c->qkv == S24M_BY_HEAD || c->qkv == S24M_BY_GROUP))
        c->qkv = S24M_BLOCKS; /* llama.cpp's converter reorders them */
    if (c->gguf && r->family->wide_from && c->layers == r->family->wide_from)
        c->scale = 1 / sqrt((double)c->hidden / (double)c->heads);
    return S24_OK;
}

static s24_status read_vocabulary(const s24m_reader *r)
{
    s24m_config *c = &r->model->config;
    char table[S24M_NAME];
    int64_t shape[8];
    int32_t rank = 2;
    s24_status status = S24_OK;
    if (r->family->image)
        return S24_OK;
    s24m_global(r->model, S24M_EMBEDDING, table);
    if (!s24m_packed(r->model, table, shape, shape + 1))
        status = s24_file_info(r->model->file, table, shape, &rank, NULL);
    if (status)
        return s24m_library(status, "the embedding");
    if (rank != 2 || shape[0] < 1 || shape[0] > INT32_MAX)
        return s24m_fail(S24_E_SHAPE, "%s is not a table of tokens", table);
    c->vocab = shape[0];
    return c->gguf ? S24_OK : s24m_key_integer(r, "vocab_size", S24M_TABLE, &c->vocab);
}

/* Tables that are narrower than h; kinds of tokens; images in the place of tokens. */
static s24_status read_tables(const s24m_reader *r)
{
    s24m_config *c = &r->model->config;
    s24_status status = r->family->image ? read_image(r) : S24_OK;
    c->width = c->hidden;
    if (r->family->project)
        status = s24m_key_integer(r, "word_embed_proj_dim", S24M_EXTENT, &c->width);
    if (!status && r->family->types)
        status = s24m_key_integer(r, "type_vocab_size", S24M_EXTENT, &c->types);
    return status;
}

/* ---- Blocks ---- */

/* GGUF: wherever the tensor is there, beside those that always are. */
static s24_status read_biases(const s24m_reader *r)
{
    s24m_config *c = &r->model->config;
    s24_status status = S24_OK;
    for (const s24m_biases *b = r->family->biases; !status && b < r->family->biases + 3; b++) {
        bool on = !b->key;
        if (b->key && !c->gguf)
            status = s24m_key_truth(r, b->key, &on);
        c->biased |= on ? b->roles : 0;
    }
    return status;
}

static s24_status read_eps(const s24m_reader *r)
{
    s24m_config *c = &r->model->config;
    const char *key = !c->gguf                        ? "rms_norm_eps"
                      : r->family->norm == S24M_LAYER ? "attention.layer_norm_epsilon"
                                                      : "attention.layer_norm_rms_epsilon";
    char full[S24M_KEY];
    c->eps = 1e-6;
    return c->gguf && !s24m_key(r, key, full)
               ? s24m_fail(S24_E_FORMAT, "metadata %s is missing", full)
               : s24m_key_number(r, key, &c->eps);
}

/* hidden_activation, where it is said, goes before hidden_act. GGUF files do not say it. */
static s24_status read_activation(const s24m_reader *r)
{
    static const struct {
        const char *name;
        s24m_activation kind;
    } names[] = {{"silu", S24M_SILU},           {"swish", S24M_SILU},
                 {"gelu", S24M_GELU},           {"gelu_new", S24M_GELU_TANH},
                 {"gelu_fast", S24M_GELU_TANH}, {"gelu_pytorch_tanh", S24M_GELU_TANH},
                 {"relu", S24M_RELU},           {"relu2", S24M_RELU2}};
    s24m_config *c = &r->model->config;
    char full[S24M_KEY];
    const char *text = c->gguf ? NULL : s24m_key(r, "hidden_activation", full);
    text = text || c->gguf ? text : s24m_key(r, "hidden_act", full);
    c->activation = r->family->activation;
    for (size_t i = 0; text && i < sizeof names / sizeof *names; i++)
        if (!strcmp(text, names[i].name)) {
            c->activation = names[i].kind;
            return S24_OK;
        }
    return text ? s24m_fail(S24_E_UNSUPPORTED,
                            "%s is %.40s, but only silu, gelu, gelu_new, gelu_fast, "
                            "gelu_pytorch_tanh, relu and relu2 are supported",
                            full, text)
                : S24_OK;
}

/* ---- The head ---- */

/* A head that is stored is meant, whatever tie_word_embeddings says: as transformers 5 and
 * llama.cpp do. */
static s24_status read_head(const s24m_reader *r)
{
    s24m_config *c = &r->model->config;
    char name[S24M_NAME];
    bool tied = c->gguf;
    if (r->family->encoder)
        return S24_OK;
    s24m_global(r->model, S24M_OUTPUT, name);
    c->tied = !s24m_has(r->model, name);
    s24_status status = c->gguf ? S24_OK : s24m_key_truth(r, "tie_word_embeddings", &tied);
    return status || !c->tied || tied
               ? status
               : s24m_fail(S24_E_FORMAT,
                           "%s is missing, and config.tie_word_embeddings is not true", name);
}

/* ---- All of it ---- */

/* Wrappers of several models, and files of a model without its head, put something else in front
 * of the names. */
static void find_root(s24m_model *model)
{
    static const struct {
        const char *root, *outer;
    } places[] = {{NULL, NULL},
                  {"model.language_model.", NULL},
                  {"language_model.model.", "language_model."},
                  {"language_model.", NULL},
                  {"", NULL}};
    char name[S24M_NAME];
    bool found = model->config.gguf;
    for (size_t i = 0; !found && i < sizeof places / sizeof *places; i++) {
        model->root = places[i].root;
        model->outer = places[i].outer;
        s24m_global(model, S24M_EMBEDDING, name);
        found = s24m_has(model, name);
    }
    if (!found)
        model->root = model->outer = NULL;
}

/* The language model of a wrapper is described in an object of its own. */
static s24_status read_architecture(s24m_reader *r)
{
    s24m_model *model = r->model;
    const char *name = s24_file_meta(model->file, "general.architecture");
    const char *inner = s24_file_meta(model->file, "config.text_config.model_type");
    s24m_config *c = &model->config;
    c->gguf = name != NULL;
    r->prefix = "config";
    if (!name && inner) {
        r->prefix = "config.text_config";
        name = inner;
    }
    name = name ? name : s24_file_meta(model->file, "config.model_type");
    if (!name)
        return s24m_fail(S24_E_FORMAT, "no model: the file says neither config.model_type nor "
                                       "general.architecture");
    s24_status status =
        s24m_family_find(model->file, c->gguf ? name : r->prefix, name, c->gguf, &model->family);
    if (status)
        return status;
    snprintf(c->architecture, sizeof c->architecture, "%s", name);
    r->prefix = c->gguf ? c->architecture : r->prefix;
    r->family = model->family;
    c->interleaved = c->gguf ? r->family->permuted || r->family->rotary == S24M_PAIRS
                             : r->family->rotary == S24M_PAIRS;
    find_root(model);
    return S24_OK;
}

bool s24m_config_key(const s24m_model *model, const char *json, const char *gguf,
                     char full[S24M_KEY])
{
    const s24m_config *c = &model->config;
    bool inner = !c->gguf && s24_file_meta(model->file, "config.text_config.model_type");
    s24m_reader r = {.model = (s24m_model *)(uintptr_t)model,
                     .prefix = c->gguf ? c->architecture
                               : inner ? "config.text_config"
                                       : "config",
                     .family = model->family};
    s24m_key(&r, c->gguf ? gguf : json, full);
    const char *text = s24_file_meta(model->file, full);
    return text && strcmp(text, "null");
}

s24_status s24m_read_config(s24m_model *model)
{
    static s24_status (*const parts[])(const s24m_reader *r) = {
        s24m_key_load_all, read_sizes,  s24m_read_multipliers, s24m_refuse_keys,
        read_vocabulary,   read_tables, read_biases,           s24m_read_experts,
        s24m_read_windows, read_eps,    read_activation,       s24m_read_rope,
        read_head};
    s24m_reader r = {.model = model};
    s24_status status = read_architecture(&r);
    for (size_t i = 0; !status && i < sizeof parts / sizeof *parts; i++)
        status = parts[i](&r);
    return status;
}
