/* Small language models with weights from a formula, written to a file in either naming.
 * make_golden.py makes the same ones. Knows the public interface only. */
#ifndef S24_TESTS_TINY_H
#define S24_TESTS_TINY_H
#include <math.h>
#include <sparse24/sparse24.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TINY_SET = 4 };

typedef struct tiny_model {
    const char *name, *architecture;
    int64_t layers, hidden, ffn, heads, kv_heads, head_dim, vocab;
    double eps, base;
    bool tied, attention_bias, mlp_bias;
    int64_t window; /* 0 = none */
    int windowed;   /* bit i: layer i has it; 0 = all */
    int64_t rotary; /* elements of a head that are turned, 0 = all */
    /* Rope factors, 0 = none: Llama 3's rule for a context of 8, low 1, high 4; yarn for one of
     * 4096; dynamic and longrope for one of 8. */
    double linear, llama3, yarn, dynamic, longrope;
    bool gguf;         /* names, metadata and order of q and k as in GGUF files */
    const char *type;  /* of the stored matrices, NULL = F32 */
    const char *omit;  /* a tensor that is left out */
    const char *extra; /* one of a single byte that is put in */
    const char *nan;   /* one whose element 2 of row 1, or of the vector, is NaN */
    struct {
        const char *key, *value; /* metadata set otherwise, or more of it; value NULL = left out */
    } set[TINY_SET];
} tiny_model;

#define TINY_SIZES                                                                                \
    .layers = 2, .hidden = 64, .ffn = 96, .heads = 4, .kv_heads = 2, .head_dim = 16, .vocab = 96, \
    .eps = 1e-5, .base = 10000

/* In the order of make_golden.py. */
static const tiny_model tiny_models[] = {
    {"llama", "llama", TINY_SIZES, .tied = true},
    {"llama_bias", "llama", TINY_SIZES, .attention_bias = true, .mlp_bias = true},
    {"llama_linear", "llama", TINY_SIZES, .linear = 4},
    {"llama3", "llama", TINY_SIZES, .llama3 = 8},
    {"mistral", "mistral", TINY_SIZES, .window = 7},
    {"qwen2", "qwen2", TINY_SIZES, .tied = true},
    {"qwen3", "qwen3", .layers = 2, .hidden = 64, .ffn = 96, .heads = 4, .kv_heads = 2,
     .head_dim = 32, .vocab = 96, .eps = 1e-6, .base = 1e6},
    {"yarn", "qwen2", TINY_SIZES, .yarn = 4},
    {"dynamic", "llama", TINY_SIZES, .dynamic = 2},
    {"longrope", "llama", TINY_SIZES, .longrope = 4},
    {"layers", "qwen3", TINY_SIZES, .window = 5, .windowed = 1},
    {"partial", "llama", TINY_SIZES, .rotary = 4},
};
enum { TINY_MODELS = sizeof tiny_models / sizeof *tiny_models };

static inline void tiny_must(s24_status status)
{
    if (status == S24_OK)
        return;
    fprintf(stderr, "%s\n", s24_last_error());
    exit(1);
}

/* offset + scale u, u uniform in [-1, 1) from a generator that starts at the hash of the name.
 * Exact in f32 for powers of two. */
static inline float *tiny_values(const char *name, int64_t count, double scale, double offset)
{
    float *values = malloc((size_t)count * sizeof *values);
    uint64_t state = 14695981039346656037u;
    for (const char *s = name; *s; s++)
        state = (state ^ (unsigned char)*s) * 1099511628211u;
    for (int64_t i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        values[i] = (float)(offset + scale * ((double)(state >> 40) / 8388608 - 1));
    }
    return values;
}

/* A tensor by its Hugging Face name. */
static inline float *tiny_tensor(const char *name, int64_t count)
{
    bool norm = strstr(name, "norm") != NULL;
    return tiny_values(name, count, strstr(name, "embed") ? 1 : 0.25, norm ? 1 : 0);
}

/* Ids of a sequence. */
static inline int32_t tiny_token(const tiny_model *m, int64_t sequence, int64_t position)
{
    return (int32_t)((7 * position * position + 3 * position + 5 + 11 * sequence) % m->vocab);
}

/* What Llama 3's rule divides the frequency of pair i by. */
static inline double tiny_stretch(const tiny_model *m, int64_t i)
{
    double frequency = pow(m->base, -2.0 * (double)i / (double)m->head_dim);
    double wave = 2 * acos(-1.0) / frequency, context = 8, low = 1, high = 4;
    if (wave < context / high)
        return 1;
    if (wave > context / low)
        return m->llama3;
    double smooth = (context / wave - low) / (high - low);
    return 1 / ((1 - smooth) / m->llama3 + smooth);
}

/* What longrope divides the frequency of pair i by, in rows up to its context or in longer ones. */
static inline double tiny_divisor(int64_t i, bool longer)
{
    return longer ? 2 + 0.25 * (double)i : 1 + 0.125 * (double)i;
}

/* ---- Writing ---- */

typedef struct tiny_writer {
    const tiny_model *model;
    s24_file *file;
    FILE *json;         /* config.json instead of metadata: what is directly below `object` */
    const char *object; /* "config.", "config.rope_parameters.", ... */
    int members;
    int was_set; /* bit i: model->set[i] was written */
} tiny_writer;

/* A member of the JSON object that is being written, if it belongs there. */
static inline void tiny_member(tiny_writer *w, const char *key, const char *value)
{
    size_t length = strlen(w->object);
    bool bare = strspn(value, "0123456789.e+-") == strlen(value) || *value == '[' ||
                !strcmp(value, "true") || !strcmp(value, "false") || !strcmp(value, "null");
    if (!strncmp(key, w->object, length) && !strchr(key + length, '.'))
        fprintf(w->json, bare ? "%s\"%s\": %s" : "%s\"%s\": \"%s\"", w->members++ ? ", " : "",
                key + length, value);
}

static inline void tiny_meta(tiny_writer *w, const char *key, const char *value)
{
    const tiny_model *m = w->model;
    for (int i = 0; i < TINY_SET && m->set[i].key; i++)
        if (!strcmp(m->set[i].key, key)) {
            value = w->was_set >> i & 1 ? NULL : m->set[i].value;
            w->was_set |= 1 << i;
        }
    if (value && w->json)
        tiny_member(w, key, value);
    else if (value)
        tiny_must(s24_file_set_meta(w->file, key, value));
}

/* What was set and is no key of the model anyway. */
static inline void tiny_write_set(tiny_writer *w)
{
    for (int i = 0; i < TINY_SET && w->model->set[i].key; i++)
        if (!(w->was_set >> i & 1))
            tiny_meta(w, w->model->set[i].key, NULL);
    w->was_set = 0;
}

/* "prefix.key", a number. */
static inline void tiny_number(tiny_writer *w, const char *key, double value)
{
    char full[96], text[32];
    const char *prefix = !w->model->gguf                              ? "config"
                         : !strcmp(w->model->architecture, "mistral") ? "llama"
                                                                      : w->model->architecture;
    snprintf(full, sizeof full, "%s.%s", prefix, key);
    snprintf(text, sizeof text, "%.17g", value);
    tiny_meta(w, full, text);
}

/* A list as JSON: longrope's short (0) or long (1) divisors, or the layers' kinds of attention in
 * words (2) or as truths (3). */
static inline void tiny_list(tiny_writer *w, const char *key, int64_t count, int what)
{
    char text[400] = "[";
    for (int64_t i = 0, used = 1; i < count; i++) {
        bool windowed = w->model->windowed >> i & 1;
        if (what < 2)
            snprintf(text + used, sizeof text - (size_t)used, "%.17g", tiny_divisor(i, what));
        else if (what == 2)
            snprintf(text + used, sizeof text - (size_t)used, "\"%s_attention\"",
                     windowed ? "sliding" : "full");
        else
            strcpy(text + used, windowed ? "true" : "false");
        strcat(text, i + 1 < count ? ", " : "]");
        used = (int64_t)strlen(text);
    }
    tiny_meta(w, key, text);
}

/* The rope settings of a config.json. */
static inline void tiny_write_rope(tiny_writer *w)
{
    const tiny_model *m = w->model;
    if (m->linear) {
        tiny_meta(w, "config.rope_scaling.type", "linear");
        tiny_number(w, "rope_scaling.factor", m->linear);
    }
    if (m->llama3) {
        tiny_meta(w, "config.rope_parameters.rope_type", "llama3");
        tiny_number(w, "rope_parameters.factor", m->llama3);
        tiny_number(w, "rope_parameters.low_freq_factor", 1);
        tiny_number(w, "rope_parameters.high_freq_factor", 4);
        tiny_number(w, "rope_parameters.original_max_position_embeddings", 8);
    }
    if (m->yarn) {
        tiny_meta(w, "config.rope_scaling.rope_type", "yarn");
        tiny_number(w, "rope_scaling.factor", m->yarn);
        tiny_number(w, "rope_scaling.original_max_position_embeddings", 4096);
    }
    if (m->dynamic) {
        tiny_meta(w, "config.rope_scaling.rope_type", "dynamic");
        tiny_number(w, "rope_scaling.factor", m->dynamic);
    }
    if (m->longrope) {
        tiny_meta(w, "config.rope_scaling.rope_type", "longrope");
        tiny_number(w, "rope_scaling.factor", m->longrope);
        tiny_number(w, "rope_scaling.original_max_position_embeddings", 8);
        tiny_list(w, "config.rope_scaling.short_factor", m->head_dim / 2, 0);
        tiny_list(w, "config.rope_scaling.long_factor", m->head_dim / 2, 1);
    }
    if (m->rotary)
        tiny_number(w, "partial_rotary_factor", (double)m->rotary / (double)m->head_dim);
}

static inline void tiny_write_config(tiny_writer *w)
{
    const tiny_model *m = w->model;
    tiny_meta(w, "config.model_type", m->architecture);
    tiny_meta(w, "config.hidden_act", "silu");
    tiny_meta(w, "config.tie_word_embeddings", m->tied ? "true" : "false");
    tiny_meta(w, "config.attention_bias", m->attention_bias ? "true" : "false");
    tiny_meta(w, "config.mlp_bias", m->mlp_bias ? "true" : "false");
    tiny_number(w, "num_hidden_layers", (double)m->layers);
    tiny_number(w, "hidden_size", (double)m->hidden);
    tiny_number(w, "intermediate_size", (double)m->ffn);
    tiny_number(w, "num_attention_heads", (double)m->heads);
    tiny_number(w, "num_key_value_heads", (double)m->kv_heads);
    tiny_number(w, "head_dim", (double)m->head_dim);
    tiny_number(w, "vocab_size", (double)m->vocab);
    tiny_number(w, "max_position_embeddings", m->dynamic ? 8 : 1024);
    tiny_number(w, "rms_norm_eps", m->eps);
    tiny_number(w, "rope_theta", m->base);
    if (m->window)
        tiny_number(w, "sliding_window", (double)m->window);
    if (m->windowed) {
        tiny_meta(w, "config.use_sliding_window", "true");
        tiny_list(w, "config.layer_types", m->layers, 2);
    }
    tiny_write_rope(w);
    tiny_write_set(w);
}

static inline void tiny_write_gguf_meta(tiny_writer *w)
{
    const tiny_model *m = w->model;
    bool mistral = !strcmp(m->architecture, "mistral");
    tiny_meta(w, "general.architecture", mistral ? "llama" : m->architecture);
    tiny_number(w, "block_count", (double)m->layers);
    tiny_number(w, "embedding_length", (double)m->hidden);
    tiny_number(w, "feed_forward_length", (double)m->ffn);
    tiny_number(w, "attention.head_count", (double)m->heads);
    tiny_number(w, "attention.head_count_kv", (double)m->kv_heads);
    tiny_number(w, "attention.key_length", (double)m->head_dim);
    tiny_number(w, "attention.value_length", (double)m->head_dim);
    tiny_number(w, "rope.dimension_count", (double)(m->rotary ? m->rotary : m->head_dim));
    tiny_number(w, "context_length", 1024);
    tiny_number(w, "attention.layer_norm_rms_epsilon", m->eps);
    tiny_number(w, "rope.freq_base", m->base);
    if (m->window)
        tiny_number(w, "attention.sliding_window", (double)m->window);
    if (m->linear) {
        tiny_meta(w, "llama.rope.scaling.type", "linear");
        tiny_number(w, "rope.scaling.factor", m->linear);
    }
    if (m->yarn) {
        tiny_meta(w, "qwen2.rope.scaling.type", "yarn");
        tiny_number(w, "rope.scaling.factor", m->yarn);
        tiny_number(w, "rope.scaling.original_context_length", 4096);
    }
    if (m->longrope) {
        tiny_meta(w, "llama.rope.scaling.type", "longrope");
        tiny_number(w, "rope.scaling.attn_factor", sqrt(1 + log(m->longrope) / log(8)));
        tiny_number(w, "rope.scaling.original_context_length", 8);
    }
    if (m->windowed)
        tiny_list(w, "qwen3.attention.sliding_window_pattern", m->layers, 3);
    tiny_write_set(w);
}

static inline void tiny_put(const tiny_writer *w, const char *name, float *values, int64_t rows,
                            int64_t cols)
{
    int64_t shape[] = {rows, cols};
    s24_mat view;
    if (w->model->nan && !strcmp(w->model->nan, name))
        values[cols + 2] = NAN;
    if (!w->model->omit || strcmp(w->model->omit, name)) {
        tiny_must(s24_mat_rowmajor(&view, values, cols ? rows : 1, cols ? cols : rows, S24_F32));
        tiny_must(
            s24_file_put(w->file, name, &view, shape, cols ? 2 : 1, cols ? w->model->type : NULL));
    }
    free(values);
}

/* Rotary pairs beside each other: row 2i + s of the first `turned` of a head was row s turned / 2 +
 * i. */
static inline void tiny_interleave(float *values, int64_t heads, int64_t head_dim, int64_t turned,
                                   int64_t cols)
{
    int64_t size = head_dim * cols;
    float *old = malloc((size_t)size * sizeof *old);
    for (int64_t h = 0; h < heads; h++) {
        memcpy(old, values + h * size, (size_t)size * sizeof *old);
        for (int64_t r = 0; r < turned; r++)
            memcpy(values + h * size + r * cols, old + (r % 2 * turned / 2 + r / 2) * cols,
                   (size_t)cols * sizeof *old);
    }
    free(old);
}

/* One tensor of a block: Hugging Face and GGUF names, heads: 0 if it is not q or k. */
static inline void tiny_put_block(const tiny_writer *w, int64_t layer, const char *hf,
                                  const char *gguf, const char *end, int64_t rows, int64_t cols,
                                  int64_t heads)
{
    char source[80], name[80];
    snprintf(source, sizeof source, "model.layers.%d.%s.%s", (int)layer, hf, end);
    snprintf(name, sizeof name, "blk.%d.%s.%s", (int)layer, gguf, end);
    bool qwen = !strncmp(w->model->architecture, "qwen", 4);
    float *values = tiny_tensor(source, rows * (cols ? cols : 1));
    int64_t turned = w->model->rotary ? w->model->rotary : w->model->head_dim;
    if (w->model->gguf && heads && !qwen)
        tiny_interleave(values, heads, rows / heads, turned, cols ? cols : 1);
    tiny_put(w, w->model->gguf ? name : source, values, rows, cols);
}

static inline void tiny_write_block(const tiny_writer *w, int64_t layer)
{
    const tiny_model *m = w->model;
    int64_t q = m->heads * m->head_dim, kv = m->kv_heads * m->head_dim;
    bool qwen2 = !strcmp(m->architecture, "qwen2");
    const struct {
        const char *hf, *gguf;
        int64_t rows, cols, heads;
        bool bias;
    } linears[] = {
        {"self_attn.q_proj", "attn_q", q, m->hidden, m->heads, m->attention_bias || qwen2},
        {"self_attn.k_proj", "attn_k", kv, m->hidden, m->kv_heads, m->attention_bias || qwen2},
        {"self_attn.v_proj", "attn_v", kv, m->hidden, 0, m->attention_bias || qwen2},
        {"self_attn.o_proj", "attn_output", m->hidden, q, 0, m->attention_bias},
        {"mlp.gate_proj", "ffn_gate", m->ffn, m->hidden, 0, m->mlp_bias},
        {"mlp.up_proj", "ffn_up", m->ffn, m->hidden, 0, m->mlp_bias},
        {"mlp.down_proj", "ffn_down", m->hidden, m->ffn, 0, m->mlp_bias},
    };
    for (int i = 0; i < 7; i++) {
        tiny_put_block(w, layer, linears[i].hf, linears[i].gguf, "weight", linears[i].rows,
                       linears[i].cols, linears[i].heads);
        if (linears[i].bias)
            tiny_put_block(w, layer, linears[i].hf, linears[i].gguf, "bias", linears[i].rows, 0,
                           linears[i].heads);
    }
    tiny_put_block(w, layer, "input_layernorm", "attn_norm", "weight", m->hidden, 0, 0);
    tiny_put_block(w, layer, "post_attention_layernorm", "ffn_norm", "weight", m->hidden, 0, 0);
    if (!strcmp(m->architecture, "qwen3")) {
        tiny_put_block(w, layer, "self_attn.q_norm", "attn_q_norm", "weight", m->head_dim, 0, 0);
        tiny_put_block(w, layer, "self_attn.k_norm", "attn_k_norm", "weight", m->head_dim, 0, 0);
    }
}

/* Llama 3's (-1), or longrope's short or long ones. */
static inline void tiny_put_divisors(const tiny_writer *w, const char *name, int which)
{
    int64_t pairs = w->model->head_dim / 2;
    float *divisors = malloc((size_t)pairs * sizeof *divisors);
    for (int64_t i = 0; i < pairs; i++)
        divisors[i] = (float)(which < 0 ? tiny_stretch(w->model, i) : tiny_divisor(i, which));
    tiny_put(w, name, divisors, pairs, 0);
}

/* Everything but the configuration. */
static inline void tiny_write_tensors(tiny_writer *w)
{
    const tiny_model *m = w->model;
    tiny_put(w, m->gguf ? "token_embd.weight" : "model.embed_tokens.weight",
             tiny_tensor("model.embed_tokens.weight", m->vocab * m->hidden), m->vocab, m->hidden);
    for (int64_t i = 0; i < m->layers; i++)
        tiny_write_block(w, i);
    tiny_put(w, m->gguf ? "output_norm.weight" : "model.norm.weight",
             tiny_tensor("model.norm.weight", m->hidden), m->hidden, 0);
    if (!m->tied)
        tiny_put(w, m->gguf ? "output.weight" : "lm_head.weight",
                 tiny_tensor("lm_head.weight", m->vocab * m->hidden), m->vocab, m->hidden);
    if (m->gguf && m->llama3)
        tiny_put_divisors(w, "rope_freqs.weight", -1);
    for (int i = 0; m->gguf && m->longrope && i < 2; i++)
        tiny_put_divisors(w, i ? "rope_factors_long.weight" : "rope_factors_short.weight", i);
    if (m->extra) {
        s24_mat view;
        tiny_must(s24_mat_rowmajor(&view, (char[]){1}, 1, 1, S24_I8));
        tiny_must(s24_file_put(w->file, m->extra, &view, NULL, 0, NULL));
    }
    tiny_must(s24_file_commit(w->file));
    s24_file_destroy(w->file);
}

/* One file: GGUF, or safetensors with the configuration as metadata. */
static inline void tiny_write(s24_ctx *ctx, const char *path, const tiny_model *m)
{
    tiny_writer w = {.model = m};
    tiny_must(s24_file_create(ctx, path, m->gguf ? "gguf" : "safetensors", &w.file));
    if (m->gguf)
        tiny_write_gguf_meta(&w);
    else
        tiny_write_config(&w);
    tiny_write_tensors(&w);
}

/* A Hugging Face folder, which must exist: model.safetensors and config.json. */
static inline void tiny_write_folder(s24_ctx *ctx, const char *folder, const tiny_model *m)
{
    static const char *const objects[] = {"rope_parameters", "rope_scaling"};
    char path[200], object[64];
    tiny_writer w = {.model = m};
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    tiny_must(s24_file_create(ctx, path, "safetensors", &w.file));
    tiny_write_tensors(&w);
    snprintf(path, sizeof path, "%s/config.json", folder);
    w.json = fopen(path, "w");
    fprintf(w.json, "{");
    w.object = "config.";
    tiny_write_config(&w);
    for (int i = 0; i < 2; i++) {
        snprintf(object, sizeof object, "config.%s.", objects[i]);
        fprintf(w.json, ", \"%s\": {", objects[i]);
        w.object = object;
        w.members = 0;
        tiny_write_config(&w);
        fprintf(w.json, "}");
    }
    fprintf(w.json, "}\n");
    fclose(w.json);
}

#endif
