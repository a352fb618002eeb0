/* The forward pass of a tiny model once more, in double, token by token, from the formula's weights in Hugging Face order. */
#ifndef S24_TESTS_NAIVE_LLAMA_H
#define S24_TESTS_NAIVE_LLAMA_H
#include "tiny.h"

/* y = W x + bias. */
static inline void naive_linear(const char *prefix, bool bias, const double *x, int64_t inputs,
                                int64_t outputs, double *y)
{
    char name[120];
    snprintf(name, sizeof name, "%s.weight", prefix);
    float *w = tiny_tensor(name, outputs * inputs);
    snprintf(name, sizeof name, "%s.bias", prefix);
    float *b = tiny_tensor(name, outputs);
    for (int64_t o = 0; o < outputs; o++) {
        y[o] = bias ? b[o] : 0;
        for (int64_t i = 0; i < inputs; i++)
            y[o] += (double)w[o * inputs + i] * x[i];
    }
    free(w);
    free(b);
}

static inline void naive_norm(const char *prefix, double eps, int64_t size, const double *x,
                              double *y)
{
    char name[120];
    double sum = 0;
    snprintf(name, sizeof name, "%s.weight", prefix);
    float *gain = tiny_tensor(name, size);
    for (int64_t i = 0; i < size; i++)
        sum += x[i] * x[i] / (double)size;
    for (int64_t i = 0; i < size; i++)
        y[i] = x[i] / sqrt(sum + eps) * gain[i];
    free(gain);
}

/* Complex rotation of the pairs (i, i + half). */
static inline void naive_rope(const tiny_model *m, double *head, int64_t position)
{
    int64_t half = m->head_dim / 2;
    for (int64_t i = 0; i < half; i++) {
        double angle = (double)position * pow(m->base, -(double)i / (double)half);
        double a = head[i], b = head[i + half];
        angle /= m->linear ? m->linear : m->llama3 ? tiny_stretch(m, i) : 1;
        head[i] = a * cos(angle) - b * sin(angle);
        head[i + half] = b * cos(angle) + a * sin(angle);
    }
}

/* Norm and rotation of every head of one token. */
static inline void naive_heads(const tiny_model *m, const char *norm, int64_t heads,
                               int64_t position, double *x)
{
    for (int64_t h = 0; h < heads; h++) {
        double *head = x + h * m->head_dim;
        if (!strcmp(m->architecture, "qwen3"))
            naive_norm(norm, m->eps, m->head_dim, head, head);
        naive_rope(m, head, position);
    }
}

/* One query head over keys and values, (position + 1, kv_heads * head_dim). */
static inline void naive_attend(const tiny_model *m, const double *q, const double *k,
                                const double *v, int64_t head, int64_t position, double *out)
{
    int64_t size = m->head_dim, width = m->kv_heads * size;
    int64_t shared = head * m->kv_heads / m->heads;
    double total = 0;
    for (int64_t d = 0; d < size; d++)
        out[d] = 0;
    for (int64_t t = 0; t <= position; t++) {
        double score = 0;
        if (m->window && position - t >= m->window)
            continue;
        for (int64_t d = 0; d < size; d++)
            score += q[d] * k[t * width + shared * size + d];
        double p =
            exp(score / sqrt((double)size)); /* tiny scores: no need to subtract the largest */
        total += p;
        for (int64_t d = 0; d < size; d++)
            out[d] += p * v[t * width + shared * size + d];
    }
    for (int64_t d = 0; d < size; d++)
        out[d] /= total;
}

static inline void naive_mlp(const tiny_model *m, int64_t layer, double *h)
{
    char name[80];
    double *x = malloc((size_t)m->hidden * sizeof *x), *g = malloc((size_t)m->ffn * sizeof *g);
    double *u = malloc((size_t)m->ffn * sizeof *u);
#define NAMED(part) (snprintf(name, sizeof name, "model.layers.%d." part, (int)layer), name)
    naive_norm(NAMED("post_attention_layernorm"), m->eps, m->hidden, h, x);
    naive_linear(NAMED("mlp.gate_proj"), m->mlp_bias, x, m->hidden, m->ffn, g);
    naive_linear(NAMED("mlp.up_proj"), m->mlp_bias, x, m->hidden, m->ffn, u);
    for (int64_t i = 0; i < m->ffn; i++)
        u[i] *= g[i] / (1 + exp(-g[i]));
    naive_linear(NAMED("mlp.down_proj"), m->mlp_bias, u, m->ffn, m->hidden, x);
    for (int64_t i = 0; i < m->hidden; i++)
        h[i] += x[i];
    free(x);
    free(g);
    free(u);
}

static inline void naive_attention(const tiny_model *m, int64_t layer, int64_t length, double *h)
{
    char name[80], norm[2][80];
    bool bias = m->attention_bias || !strcmp(m->architecture, "qwen2");
    int64_t q_size = m->heads * m->head_dim, kv_size = m->kv_heads * m->head_dim;
    double *x = malloc((size_t)m->hidden * sizeof *x), *q = malloc((size_t)q_size * sizeof *q);
    double *o = malloc((size_t)q_size * sizeof *o);
    double *k = malloc((size_t)(length * kv_size) * sizeof *k);
    double *v = malloc((size_t)(length * kv_size) * sizeof *v);
    strcpy(norm[0], NAMED("self_attn.q_norm"));
    strcpy(norm[1], NAMED("self_attn.k_norm"));
    for (int64_t t = 0; t < length; t++) {
        naive_norm(NAMED("input_layernorm"), m->eps, m->hidden, h + t * m->hidden, x);
        naive_linear(NAMED("self_attn.q_proj"), bias, x, m->hidden, q_size, q);
        naive_linear(NAMED("self_attn.k_proj"), bias, x, m->hidden, kv_size, k + t * kv_size);
        naive_linear(NAMED("self_attn.v_proj"), bias, x, m->hidden, kv_size, v + t * kv_size);
        naive_heads(m, norm[0], m->heads, t, q);
        naive_heads(m, norm[1], m->kv_heads, t, k + t * kv_size);
        for (int64_t n = 0; n < m->heads; n++)
            naive_attend(m, q + n * m->head_dim, k, v, n, t, o + n * m->head_dim);
        naive_linear(NAMED("self_attn.o_proj"), m->attention_bias, o, q_size, m->hidden, x);
        for (int64_t i = 0; i < m->hidden; i++)
            h[t * m->hidden + i] += x[i];
    }
    free(x);
    free(q);
    free(o);
    free(k);
    free(v);
#undef NAMED
}

/* (length, vocab) logits of one sequence, to be freed. */
static inline double *naive_logits(const tiny_model *m, int64_t sequence, int64_t length)
{
    double *h = malloc((size_t)(length * m->hidden) * sizeof *h);
    double *x = malloc((size_t)m->hidden * sizeof *x);
    double *logits = malloc((size_t)(length * m->vocab) * sizeof *logits);
    float *table = tiny_tensor("model.embed_tokens.weight", m->vocab * m->hidden);
    for (int64_t t = 0; t < length; t++)
        for (int64_t i = 0; i < m->hidden; i++)
            h[t * m->hidden + i] = table[tiny_token(m, sequence, t) * m->hidden + i];
    for (int64_t layer = 0; layer < m->layers; layer++) {
        naive_attention(m, layer, length, h);
        for (int64_t t = 0; t < length; t++)
            naive_mlp(m, layer, h + t * m->hidden);
    }
    for (int64_t t = 0; t < length; t++) {
        naive_norm("model.norm", m->eps, m->hidden, h + t * m->hidden, x);
        naive_linear(m->tied ? "model.embed_tokens" : "lm_head", false, x, m->hidden, m->vocab,
                     logits + t * m->vocab);
    }
    free(table);
    free(x);
    free(h);
    return logits;
}

#endif
