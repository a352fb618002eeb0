/* The forward pass of a tiny model once more, in double, token by token, from the formula's weights
 * in Hugging Face order. */
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

/* Yarn: how much of pair i's frequency is kept. Pairs are counted down from those that turn 32
 * times in the context to those that turn once. */
static inline double naive_yarn(const tiny_model *m, int64_t i)
{
    double turns = 4096 / (2 * acos(-1.0)), step = pow(m->base, -2.0 / (double)m->head_dim);
    double low = 0, high = 0;
    while (turns * pow(step, low + 1) >= 32)
        low++;
    while (turns * pow(step, high) > 1)
        high++;
    return (double)i <= low ? 1 : (double)i >= high ? 0 : (high - (double)i) / (high - low);
}

/* Angle of pair i of one position. */
static inline double naive_frequency(const tiny_model *m, int64_t i, int64_t length)
{
    double size = (double)(m->rotary ? m->rotary : m->head_dim), base = m->base;
    if (m->dynamic && length > 8)
        base *= pow(m->dynamic * (double)length / 8 - (m->dynamic - 1), size / (size - 2));
    double frequency = pow(base, -2.0 * (double)i / size);
    if (m->linear)
        return frequency / m->linear;
    if (m->llama3)
        return frequency / tiny_stretch(m, i);
    if (m->longrope)
        return frequency / tiny_divisor(i, length > 8);
    if (m->yarn)
        return frequency * naive_yarn(m, i) + frequency / m->yarn * (1 - naive_yarn(m, i));
    return frequency;
}

/* What scaled angles multiply cosines and sines by. */
static inline double naive_strength(const tiny_model *m)
{
    return m->yarn ? 1 + 0.1 * log(m->yarn) : m->longrope ? sqrt(1 + log(m->longrope) / log(8)) : 1;
}

/* Complex rotation of the pairs (i, i + half). */
static inline void naive_rope(const tiny_model *m, double *head, int64_t position, int64_t length)
{
    int64_t half = (m->rotary ? m->rotary : m->head_dim) / 2;
    for (int64_t i = 0; i < half; i++) {
        double angle = (double)position * naive_frequency(m, i, length), r = naive_strength(m);
        double a = head[i], b = head[i + half];
        head[i] = r * (a * cos(angle) - b * sin(angle));
        head[i + half] = r * (b * cos(angle) + a * sin(angle));
    }
}

/* Norm and rotation of every head of one token. */
static inline void naive_heads(const tiny_model *m, const char *norm, int64_t heads,
                               int64_t position, int64_t length, double *x)
{
    for (int64_t h = 0; h < heads; h++) {
        double *head = x + h * m->head_dim;
        if (!strcmp(m->architecture, "qwen3"))
            naive_norm(norm, m->eps, m->head_dim, head, head);
        naive_rope(m, head, position, length);
    }
}

/* One query head over keys and values, (position + 1, kv_heads * head_dim). */
static inline void naive_attend(const tiny_model *m, const double *q, const double *k,
                                const double *v, int64_t head, int64_t position, int64_t window,
                                double *out)
{
    int64_t size = m->head_dim, width = m->kv_heads * size;
    int64_t shared = head * m->kv_heads / m->heads;
    double total = 0;
    for (int64_t d = 0; d < size; d++)
        out[d] = 0;
    for (int64_t t = 0; t <= position; t++) {
        double score = 0;
        if (window && position - t >= window)
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
    int64_t window = !m->windowed || m->windowed >> layer & 1 ? m->window : 0;
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
        naive_heads(m, norm[0], m->heads, t, length, q);
        naive_heads(m, norm[1], m->kv_heads, t, length, k + t * kv_size);
        for (int64_t n = 0; n < m->heads; n++)
            naive_attend(m, q + n * m->head_dim, k, v, n, t, window, o + n * m->head_dim);
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
