/* The sizes of a mixture of experts and of the delta rule, and which layers have them. */
#include "config.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first of several keys that the file has, else of those that mean something without. */
static s24_status first_of(const s24m_reader *r, const char *const *keys, int64_t *value)
{
    char full[S24M_KEY];
    const char *const *said = keys;
    while (*said && !s24m_key_given(r, *said))
        said++;
    while (!*said && *keys && !s24m_key(r, *keys, full))
        keys++;
    const char *key = *said ? *said : *keys;
    return key ? s24m_key_integer(r, key, S24M_COUNT, value) : S24_OK;
}

static s24_status missing(const s24m_reader *r, const char *what)
{
    return s24m_fail(S24_E_FORMAT, "%s: the configuration does not say %s", r->prefix, what);
}

static s24_status read_counts(const s24m_reader *r)
{
    static const char *const keys[][6] = {
        {"num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts", NULL},
        {"num_experts_per_tok", "num_experts_per_token", "moe_k", "moe_topk", NULL},
        {"moe_intermediate_size", NULL}};
    static const char *const gguf[][2] = {
        {"expert_count"}, {"expert_used_count"}, {"expert_feed_forward_length"}};
    s24m_config *c = &r->model->config;
    s24m_experts *e = &c->experts;
    int64_t *to[] = {&e->count, &e->used, &e->ffn};
    s24_status status = S24_OK;
    for (int i = 0; !status && i < 3; i++)
        status = first_of(r, c->gguf ? gguf[i] : keys[i], to[i]);
    e->ffn = e->ffn ? e->ffn : c->ffn;
    if (!status && !e->count)
        return missing(r, "how many experts there are");
    if (!status && !e->ffn)
        return missing(r, "how wide an expert is");
    if (!status && (e->count < 1 || e->used < 1 || e->used > e->count || e->count > 65536))
        return s24m_fail(S24_E_FORMAT, "%lld of %lld experts a token", (long long)e->used,
                         (long long)e->count);
    return status;
}

/* Experts for all tokens: so many of the width of the others, or of a width of their own. */
static s24_status read_shared(const s24m_reader *r)
{
    s24m_experts *e = &r->model->config.experts;
    bool gguf = r->model->config.gguf;
    const char *const counts[] = {gguf ? "expert_shared_count" : "n_shared_experts",
                                  gguf ? NULL : "moe_num_shared_experts", NULL};
    int64_t count = 0;
    if (!r->family->experts->shared)
        return S24_OK;
    s24_status status = s24m_key_integer(
        r, gguf ? "expert_shared_feed_forward_length" : "shared_expert_intermediate_size",
        S24M_COUNT, &e->shared);
    if (!status && !e->shared)
        status = first_of(r, counts, &count);
    e->shared = e->shared ? e->shared : count * e->ffn;
    return status;
}

static s24_status read_weights(const s24m_reader *r)
{
    s24m_experts *e = &r->model->config.experts;
    bool gguf = r->model->config.gguf;
    int64_t groups = 1, best = 1;
    const s24m_routing *how = r->family->experts;
    e->renormalise = how->renormalised || (gguf && how->renormalised_gguf);
    e->factor = 1;
    e->limit = 7;
    e->alpha = 1.702;
    s24_status status = S24_OK;
    if (!e->renormalise)
        status =
            s24m_key_truth(r, gguf ? "expert_weights_norm" : "norm_topk_prob", &e->renormalise);
    if (!status)
        status =
            s24m_key_number(r, gguf ? "expert_weights_scale" : "routed_scaling_factor", &e->factor);
    if (!status)
        status = s24m_key_integer(r, gguf ? "expert_group_count" : "n_group", S24M_EXTENT, &groups);
    if (!status)
        status = s24m_key_integer(r, gguf ? "expert_group_used_count" : "topk_group", S24M_EXTENT,
                                  &best);
    if (!status)
        status = s24m_key_number(r, "swiglu_limit", &e->limit);
    e->groups = groups;
    e->best = best;
    return status || (e->count % groups == 0 && best <= groups)
               ? status
               : s24m_fail(S24_E_FORMAT, "%lld of %lld groups of %lld experts", (long long)best,
                           (long long)groups, (long long)e->count);
}

/* Layers without: those before the first that has them, those that are listed, all but every
 * step-th. */
static s24_status read_layers(const s24m_reader *r)
{
    bool gguf = r->model->config.gguf;
    static const char *const starts[] = {"first_k_dense_replace", "moe_layer_start_index", NULL};
    static const char *const steps[] = {"decoder_sparse_step", "moe_layer_interval", NULL};
    static const char *const blocks[] = {"leading_dense_block_count", NULL};
    int64_t from = 0, step = 1, last = INT64_MAX;
    char full[S24M_KEY], item[S24M_ITEM];
    s24_status status = first_of(r, gguf ? blocks : starts, &from);
    if (!status && !gguf)
        status = first_of(r, steps, &step);
    if (!status && !gguf && s24m_key_given(r, "moe_layer_end_index"))
        status = s24m_key_integer(r, "moe_layer_end_index", S24M_COUNT, &last);
    step = step ? step : 1;
    for (int64_t i = 0; i < r->model->config.layers; i++)
        r->model->layer[i].experts = i >= from && i <= last && (i + 1) % step == 0;
    const char *at = gguf ? NULL : s24m_key(r, "mlp_only_layers", full);
    while (!status && at && s24m_item(&at, item)) {
        double layer;
        if (!s24m_parse(item, &layer) || layer < 0)
            return s24m_fail(S24_E_FORMAT, "%s: %s is no layer", full, item);
        if (layer < (double)r->model->config.layers)
            r->model->layer[(int64_t)layer].experts = false;
    }
    return status;
}

static s24_status read_delta(const s24m_reader *r)
{
    s24m_delta *d = &r->model->config.delta;
    const struct {
        const char *key;
        int64_t *to;
    } sizes[] = {{"linear_num_key_heads", &d->key_heads},
                 {"linear_num_value_heads", &d->value_heads},
                 {"linear_key_head_dim", &d->key_size},
                 {"linear_value_head_dim", &d->value_size},
                 {"linear_conv_kernel_dim", &d->kernel}};
    s24_status status = S24_OK;
    for (size_t i = 0; !status && i < sizeof sizes / sizeof *sizes; i++) {
        status = s24m_key_integer(r, sizes[i].key, S24M_EXTENT, sizes[i].to);
        if (!status && !*sizes[i].to)
            return s24m_fail(S24_E_FORMAT, "metadata %s.%s is missing", r->prefix, sizes[i].key);
    }
    return status || d->value_heads % d->key_heads == 0
               ? status
               : s24m_fail(S24_E_FORMAT, "%lld value heads are no multiple of %lld key heads",
                           (long long)d->value_heads, (long long)d->key_heads);
}

s24_status s24m_read_experts(const s24m_reader *r)
{
    s24_status status = S24_OK;
    r->model->layer = calloc((size_t)r->model->config.layers, sizeof *r->model->layer);
    if (!r->model->layer)
        return s24m_fail(S24_E_MEMORY, "out of memory");
    if (r->family->experts) {
        status = read_counts(r);
        if (!status)
            status = read_shared(r);
        if (!status)
            status = read_weights(r);
        if (!status)
            status = read_layers(r);
    }
    return status || !r->family->delta ? status : read_delta(r);
}
