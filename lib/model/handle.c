#include "handle.h"
#include "hash.h"
#include "origin.h"
#include "parts.h"
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { MAGIC = 0x6d34326d };

/* ---- Who may be in ---- */

s24_status s24m_check_model(const s24_model *model, const char *function)
{
    if (!model)
        return s24m_fail(S24_E_ARG, "%s: model is NULL", function);
    return model->magic == MAGIC
               ? S24_OK
               : s24m_fail(S24_E_ARG, "%s: model is no living handle of a model", function);
}

s24_status s24m_enter(s24_model *model, const char *function)
{
    s24_status status = s24m_check_model(model, function);
    if (!status && atomic_exchange(&model->busy, 1))
        status = s24m_fail(S24_E_STATE, "%s: another call is at work on this model", function);
    if (!status)
        model->hosts = uselocale(model->plain);
    return status;
}

void s24m_leave(s24_model *model)
{
    uselocale(model->hosts);
    atomic_store(&model->busy, 0);
}

/* ---- Opening ---- */

static bool name_matrices(s24_model *m)
{
    size_t count = (size_t)m->network->matrix_count + 1, i = 0;
    m->names = s24m_have(calloc(count, sizeof *m->names));
    m->places = s24m_have(calloc(count, sizeof *m->places));
    for (int64_t layer = 0; m->names && m->places && layer < m->network->config.layers; layer++)
        for (int32_t which = 0; which < s24m_matrices(m->network, layer); which++, i++) {
            s24m_name(m->network, layer, which, m->names[i]);
            m->places[i] = (struct s24m_place){layer, which};
        }
    return m->names && m->places;
}

static bool open_model(s24_model *m, s24_ctx *ctx, const char *path)
{
    m->magic = MAGIC;
    m->plain = s24m_have(newlocale(LC_ALL_MASK, "C", (locale_t)0));
    m->path = s24m_have(strdup(path));
    if (!m->plain || !m->path)
        return false;
    m->hosts = uselocale(m->plain);
    bool done = s24m_open(ctx, path, &m->network) == S24_OK && name_matrices(m);
    uselocale(m->hosts);
    return done;
}

s24_status s24_model_open(s24_ctx *ctx, const char *path, s24_model **out)
{
    if (out)
        *out = NULL;
    if (!ctx || !path || !out)
        return s24m_fail(S24_E_ARG, "%s: %s is NULL", __func__,
                         !ctx    ? "ctx"
                         : !path ? "path"
                                 : "out");
    s24_model *m = s24m_have(calloc(1, sizeof *m));
    bool done = m && open_model(m, ctx, path);
    if (done)
        *out = m;
    else
        s24_model_destroy(m);
    return s24m_status(done);
}

void s24_model_destroy(s24_model *model)
{
    if (!model || model->magic != MAGIC)
        return;
    model->magic = 0;
    s24_tokenizer_destroy(model->tokenizer);
    s24m_engine_close(model->engine);
    s24m_close(model->network);
    s24m_ranks_close(&model->ranks);
    if (model->plain)
        freelocale(model->plain);
    free(model->names);
    free(model->places);
    free(model->path);
    free(model);
}

/* ---- Facts ---- */

static s24_status fail_key(const char *function, const char *key, const char *known)
{
    return s24m_fail(S24_E_ARG, "%s: no fact \"%.40s\"; there are: %s", function, key, known);
}

static s24_status check_fact(const s24_model *model, const char *function, const char *key,
                             const void *value)
{
    s24_status status = s24m_check_model(model, function);
    return status || (key && value)
               ? status
               : s24m_fail(S24_E_ARG, "%s: %s is NULL", function, key ? "value" : "key");
}

static int64_t count_parameters(const s24_file *file)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < s24_file_count(file); i++) {
        int64_t shape[8], size = 1;
        int32_t rank = 0;
        s24_file_info(file, s24_file_name(file, i), shape, &rank, NULL);
        for (int32_t d = 0; d < rank; d++)
            size *= shape[d];
        sum += size;
    }
    return sum;
}

static int64_t count_bytes(const s24_file *file)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < s24_file_count(file); i++) {
        const void *data;
        size_t size = 0;
        s24_file_bytes(file, s24_file_name(file, i), &data, &size);
        sum += (int64_t)size;
    }
    return sum;
}

/* Matrices that are not packed are multiplied with as f32, the head as it is stored. */
static int64_t token_bytes(const s24_model *model)
{
    const s24m_model *m = model->network;
    double sum = 0;
    if (model->engine)
        return (int64_t)model->engine->token;
    for (int64_t i = 0; i < m->config.layers; i++) {
        const s24m_program *p = s24m_program_of(m, i);
        for (int32_t k = 0; k < p->count; k++)
            sum += (double)(p->matrices[k].outputs * p->matrices[k].inputs) * sizeof(float) *
                   s24m_share_of_tokens(m, p->matrices + k);
    }
    return (int64_t)sum + (s24m_is_encoder(m) ? 0 : s24m_head_bytes(m));
}

static int64_t count_matrices(const s24_model *model)
{
    return model->network->matrix_count;
}

s24_status s24_model_int(const s24_model *model, const char *key, int64_t *value)
{
    static const struct {
        const char *key;
        size_t at;
    } sizes[] = {{"layers", offsetof(s24m_config, layers)},
                 {"hidden", offsetof(s24m_config, hidden)},
                 {"ffn", offsetof(s24m_config, ffn)},
                 {"heads", offsetof(s24m_config, heads)},
                 {"kv_heads", offsetof(s24m_config, kv_heads)},
                 {"head_dim", offsetof(s24m_config, head_dim)},
                 {"vocab", offsetof(s24m_config, vocab)},
                 {"context", offsetof(s24m_config, context)},
                 {"window", offsetof(s24m_config, window)}};
    s24_status status = check_fact(model, __func__, key, value);
    if (status)
        return status;
    const s24m_model *m = model->network;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (!strcmp(key, sizes[i].key)) {
            memcpy(value, (const char *)&m->config + sizes[i].at, sizeof *value);
            return S24_OK;
        }
    if (!strcmp(key, "matrices"))
        *value = count_matrices(model);
    else if (!strcmp(key, "tensors"))
        *value = s24_file_count(m->file);
    else if (!strcmp(key, "parameters"))
        *value = count_parameters(m->file);
    else if (!strcmp(key, "bytes"))
        *value = count_bytes(m->file);
    else if (!strcmp(key, "packed_bytes"))
        *value = model->engine ? (int64_t)model->engine->bytes : 0;
    else if (!strcmp(key, "token_bytes"))
        *value = token_bytes(model);
    else
        return fail_key(__func__, key,
                        "layers, hidden, ffn, heads, kv_heads, head_dim, vocab, context, window, "
                        "matrices, tensors, parameters, bytes, packed_bytes, token_bytes");
    return S24_OK;
}

s24_status s24_model_str(const s24_model *model, const char *key, const char **value)
{
    s24_status status = check_fact(model, __func__, key, value);
    if (status)
        return status;
    const s24m_config *c = &model->network->config;
    if (!strcmp(key, "architecture"))
        *value = c->architecture;
    else if (!strcmp(key, "format"))
        *value = c->gguf ? "gguf" : "safetensors";
    else if (!strcmp(key, "path"))
        *value = model->path;
    else
        return fail_key(__func__, key, "architecture, format, path");
    return S24_OK;
}

s24_status s24_model_matrix(const s24_model *model, int64_t index, const char **name,
                            const char **kind, int64_t *layer, int64_t *rows, int64_t *cols)
{
    int64_t outputs, inputs;
    s24_status status = s24m_check_model(model, __func__);
    if (status)
        return status;
    if (index < 0 || index >= count_matrices(model))
        return s24m_fail(S24_E_ARG, "%s: matrix %" PRId64 ", but they are 0 .. %" PRId64, __func__,
                         index, count_matrices(model) - 1);
    struct s24m_place at = model->places[index];
    s24m_shape(model->network, at.layer, at.which, &outputs, &inputs);
    if (name)
        *name = model->names[index];
    if (kind)
        *kind = s24m_kind(model->network, at.layer, at.which);
    if (layer)
        *layer = at.layer;
    if (rows)
        *rows = outputs;
    if (cols)
        *cols = inputs;
    return S24_OK;
}

/* ---- Evaluation ---- */

/* "memory_limit=BYTES" or nothing. */
static bool read_options(const char *options, uint64_t *memory)
{
    static const char key[] = "memory_limit=";
    char *end;
    *memory = 0;
    if (!options || !*options)
        return true;
    if (strncmp(options, key, sizeof key - 1))
        return s24m_wrong(S24_E_OPTION,
                          "s24_model_evaluate: options \"%.60s\": expected memory_limit=BYTES",
                          options);
    const char *number = options + sizeof key - 1;
    *memory = strtoull(number, &end, 10);
    return (*number >= '0' && *number <= '9' && !*end && *memory <= INT64_MAX) ||
           s24m_wrong(S24_E_OPTION,
                      "s24_model_evaluate: memory_limit \"%.40s\" is no number of bytes", number);
}

/* The least that it can do with is one chunk of rows. */
static bool fits(const s24m_model *m, const tokens *t, uint64_t memory)
{
    int64_t chunk = s24m_chunk(t->length);
    uint64_t least = s24m_evaluate_bytes(m, t, t->rows < chunk ? t->rows : chunk);
    return !memory || least <= memory ||
           s24m_wrong(S24_E_MEMORY,
                      "s24_model_evaluate: memory_limit is %" PRIu64 " bytes, %" PRIu64
                      " are needed: take shorter rows",
                      memory, least);
}

/* The ranks of a group have the same files and rows. */
static bool agree_on(s24_model *model, const tokens *t, bool done)
{
    origin o = {0};
    char *text = NULL;
    size_t size = 0;
    FILE *out = NULL;
    if (!s24m_together(&model->ranks))
        return done;
    done = done && s24m_origin_open(&o, model->path) && s24m_origin_hash(&o, &model->watch) &&
           (out = s24m_have(open_memstream(&text, &size)));
    if (done) {
        s24m_origin_describe(&o, out);
        fprintf(out, "tokens %" PRId64 " x %" PRId64 " %016" PRIx64 "\n", t->rows, t->length,
                hash(HASH_BEGIN, t->ids, (size_t)(t->rows * t->length) * sizeof *t->ids));
        done = !fclose(out) && s24m_have(text);
    }
    s24m_origin_close(&o);
    done = s24m_ranks_same_text(&model->ranks, done, text);
    free(text);
    return done;
}

static bool evaluate(s24_model *model, const s24_mat *ids, const char *name, const char *options)
{
    tokens t = {0};
    s24m_model *m = model->network;
    evaluating how = {
        .watch = &model->watch, .title = "eval", .ranks = &model->ranks, .engine = model->engine};
    evaluation e;
    bool done = s24m_done(s24m_head_check(m)) && read_options(options, &how.memory) &&
                s24m_tokens_take(&t, ids, name, m->config.vocab) &&
                s24m_evaluate_check(m, &t, name) && fits(m, &t, how.memory);
    done = agree_on(model, &t, done) && s24m_evaluate(m, &t, &how, &e);
    s24m_tokens_close(&t);
    if (done)
        model->last = e;
    model->evaluated |= done;
    return done;
}

s24_status s24_model_evaluate(s24_model *model, const s24_mat *ids, const char *name,
                              const char *options, double *nll)
{
    s24_status status = s24m_enter(model, __func__);
    if (status)
        return status;
    s24m_ranks_begin(&model->ranks);
    bool done =
        s24m_ranks_agree(&model->ranks, evaluate(model, ids, name ? name : "tokens", options));
    if (done && nll)
        *nll = model->last.mean;
    s24m_watch_begin(&model->watch);
    s24m_leave(model);
    return s24m_status(done);
}

static bool read_number(s24_model *model, const char *key, double *value)
{
    const evaluation *e = &model->last;
    const s24m_pace *pace = &model->pace;
    const struct {
        const char *key;
        double value;
    } paces[] = {{"prompt_seconds", pace->prompt_seconds},
                 {"prompt_tokens", (double)pace->prompt_tokens},
                 {"decode_seconds", pace->decode_seconds},
                 {"decode_tokens", (double)pace->decode_tokens}};
    if (!strcmp(key, "rate"))
        return s24m_product_rate(model->network->ctx, INFINITY, value);
    if (!strcmp(key, "read_rate"))
        return s24m_read_rate(model->network->ctx, value);
    for (size_t i = 0; i < sizeof paces / sizeof *paces; i++)
        if (!strcmp(key, paces[i].key)) {
            *value = paces[i].value;
            return pace->prompt_tokens || s24m_wrong(S24_E_STATE, "s24_model_float: nothing has "
                                                                  "been generated yet");
        }
    if (!model->evaluated)
        return s24m_wrong(S24_E_STATE, "s24_model_float: nothing has been evaluated yet");
    if (!strcmp(key, "nll"))
        *value = e->mean;
    else if (!strcmp(key, "perplexity"))
        *value = exp(e->mean);
    else if (!strcmp(key, "seconds"))
        *value = e->seconds;
    else if (!strcmp(key, "flops"))
        *value = e->flops;
    else
        return !fail_key("s24_model_float", key,
                         "nll, perplexity, seconds, flops, rate, read_rate, prompt_seconds, "
                         "prompt_tokens, decode_seconds, decode_tokens");
    return true;
}

s24_status s24_model_float(s24_model *model, const char *key, double *value)
{
    s24_status status = check_fact(model, __func__, key, value);
    if (!status)
        status = s24m_enter(model, __func__);
    if (status)
        return status;
    bool done = read_number(model, key, value);
    s24m_leave(model);
    return s24m_status(done);
}

s24_status s24_model_set_group(s24_model *model, const s24_group *group)
{
    s24_status status = s24m_enter(model, __func__);
    if (status)
        return status;
    bool done = s24m_ranks_open(&model->ranks, group);
    s24m_leave(model);
    return s24m_status(done);
}

s24_status s24_model_set_progress(s24_model *model, s24_progress_fn fn, void *user)
{
    s24_status status = s24m_enter(model, __func__);
    if (status)
        return status;
    model->watch.progress = fn;
    model->watch.progress_user = user;
    s24m_leave(model);
    return S24_OK;
}

void s24_model_cancel(s24_model *model)
{
    if (model)
        s24m_watch_cancel(&model->watch);
}
