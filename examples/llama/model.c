#include "model.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local char error_text[600];

const char *llama_error(void)
{
    return error_text;
}

s24_status llama_fail(s24_status status, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(error_text, sizeof error_text, format, list);
    va_end(list);
    return status;
}

s24_status llama_library(s24_status status, const char *what)
{
    return status ? llama_fail(status, "%s: %s", what, s24_last_error()) : S24_OK;
}

float *llama_floats(int64_t count)
{
    float *block = malloc((size_t)count * sizeof *block + 1);
    if (!block)
        llama_fail(S24_E_MEMORY, "no memory for %lld floats", (long long)count);
    return block;
}

s24_mat llama_mat(const float *data, int64_t rows, int64_t cols)
{
    return (s24_mat){.data = (void *)(uintptr_t)data,
                     .rows = rows,
                     .cols = cols,
                     .row_stride = cols,
                     .col_stride = 1,
                     .dtype = S24_F32,
                     .device = S24_CPU};
}

/* ---- Opening ---- */

s24_status llama_open(s24_ctx *ctx, const char *path, llama_model **out)
{
    llama_model *model = calloc(1, sizeof *model);
    if (!model)
        return llama_fail(S24_E_MEMORY, "out of memory");
    model->ctx = ctx;
    s24_status status = s24_file_open(ctx, path, &model->file);
    if (status)
        llama_fail(status, "%s", s24_last_error());
    else
        status = llama_read_config(model);
    if (status)
        llama_close(model);
    else
        *out = model;
    return status;
}

void llama_close(llama_model *model)
{
    if (!model)
        return;
    s24_file_destroy(model->file);
    free(model->frequency);
    free(model->cosine);
    free(model->sine);
    free(model);
}

/* ---- Tensors ---- */

bool llama_has(const llama_model *model, const char *name)
{
    int64_t shape[8];
    int32_t rank;
    const char *type;
    return s24_file_info(model->file, name, shape, &rank, &type) == S24_OK;
}

static s24_status check_shape(const llama_model *model, const char *name, int64_t rows,
                              int64_t cols)
{
    int64_t shape[8];
    int32_t rank = 0;
    const char *type;
    s24_status status = s24_file_info(model->file, name, shape, &rank, &type);
    if (status)
        return llama_fail(status, "%s", s24_last_error());
    if (cols ? rank == 2 && shape[0] == rows && shape[1] == cols : rank == 1 && shape[0] == rows)
        return S24_OK;
    char found[200] = "a scalar", wanted[64];
    for (int32_t i = 0, used = 0; i < rank; i++)
        used += snprintf(found + used, sizeof found - (size_t)used, i ? " x %lld" : "%lld",
                         (long long)shape[i]);
    snprintf(wanted, sizeof wanted, cols ? "%lld x %lld" : "%lld", (long long)rows,
             (long long)cols);
    return llama_fail(S24_E_SHAPE, "%s is %s, but the configuration wants %s", name, found, wanted);
}

s24_status llama_read(const llama_model *model, const char *name, int64_t rows, int64_t cols,
                      float **out)
{
    s24_status status = check_shape(model, name, rows, cols);
    if (status)
        return status;
    float *values = llama_floats(rows * (cols ? cols : 1));
    if (!values)
        return S24_E_MEMORY;
    s24_mat view = cols ? llama_mat(values, rows, cols) : llama_mat(values, 1, rows);
    status = s24_file_read(model->file, name, &view);
    if (status) {
        free(values);
        return llama_fail(status, "%s", s24_last_error());
    }
    *out = values;
    return S24_OK;
}

static bool is_float(int32_t dtype)
{
    return dtype == S24_F32 || dtype == S24_F16 || dtype == S24_BF16 || dtype == S24_F64;
}

s24_status llama_table(const llama_model *model, const char *name, int64_t rows, int64_t cols,
                       s24_mat *table, void **storage)
{
    float *values;
    s24_status status = check_shape(model, name, rows, cols);
    if (!status && s24_file_get(model->file, name, table) == S24_OK && is_float(table->dtype))
        return S24_OK;
    if (!status)
        status = llama_read(model, name, rows, cols, &values);
    if (!status) {
        *table = llama_mat(values, rows, cols);
        *storage = values;
    }
    return status;
}

/* ---- Blocks ---- */

static const char *const linear_names[LLAMA_LINEARS][2] = {
    {"self_attn.q_proj", "attn_q"}, {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"}, {"self_attn.o_proj", "attn_output"},
    {"mlp.gate_proj", "ffn_gate"},  {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
};

void llama_shape(const llama_model *model, int32_t which, int64_t *outputs, int64_t *inputs)
{
    const llama_config *c = &model->config;
    int64_t q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    const int64_t out[] = {q, kv, kv, c->hidden, c->ffn, c->ffn, c->hidden};
    *outputs = out[which];
    *inputs = which == LLAMA_O ? q : which == LLAMA_DOWN ? c->ffn : c->hidden;
}

static void tensor_name(const llama_model *model, int64_t layer, const char *const part[2],
                        const char *end, char name[LLAMA_NAME])
{
    bool gguf = model->config.gguf;
    snprintf(name, LLAMA_NAME, gguf ? "blk.%lld.%s.%s" : "model.layers.%lld.%s.%s",
             (long long)layer, part[gguf], end);
}

void llama_name(const llama_model *model, int64_t layer, int32_t which, char name[LLAMA_NAME])
{
    tensor_name(model, layer, linear_names[which], "weight", name);
}

/* Whether the architecture cannot do without the bias; else it is used if the file has one. */
static bool needs_bias(const llama_model *model, int32_t which)
{
    const char *key = which <= LLAMA_O ? "config.attention_bias" : "config.mlp_bias";
    const char *text = s24_file_meta(model->file, key);
    if (!strcmp(model->config.architecture, "qwen2"))
        return which <= LLAMA_V;
    return !model->config.gguf && text && !strcmp(text, "true");
}

static s24_status load_linear(const llama_model *model, int64_t layer, int32_t which,
                              llama_linear *linear)
{
    int64_t outputs, inputs;
    float *values = NULL;
    char bias[LLAMA_NAME];
    llama_shape(model, which, &outputs, &inputs);
    llama_name(model, layer, which, linear->name);
    tensor_name(model, layer, linear_names[which], "bias", bias);
    s24_status status = llama_read(model, linear->name, outputs, inputs, &values);
    linear->weights = llama_mat(values, outputs, inputs);
    if (!status && (needs_bias(model, which) || llama_has(model, bias)))
        status = llama_read(model, bias, outputs, 0, &linear->bias);
    return status;
}

static s24_status load_norms(const llama_model *model, int64_t layer, llama_block *block)
{
    const llama_config *c = &model->config;
    const struct {
        const char *const names[2];
        int64_t size;
        float **gain;
    } norms[] = {{{"input_layernorm", "attn_norm"}, c->hidden, &block->attention_norm},
                 {{"post_attention_layernorm", "ffn_norm"}, c->hidden, &block->mlp_norm},
                 {{"self_attn.q_norm", "attn_q_norm"}, c->head_dim, &block->q_norm},
                 {{"self_attn.k_norm", "attn_k_norm"}, c->head_dim, &block->k_norm}};
    int count = !strcmp(c->architecture, "qwen3") ? 4 : 2;
    s24_status status = S24_OK;
    for (int i = 0; !status && i < count; i++) {
        char name[LLAMA_NAME];
        tensor_name(model, layer, norms[i].names, "weight", name);
        status = llama_read(model, name, norms[i].size, 0, norms[i].gain);
    }
    return status;
}

s24_status llama_block_load(const llama_model *model, int64_t layer, llama_block *block)
{
    *block = (llama_block){.layer = layer};
    s24_status status = load_norms(model, layer, block);
    for (int32_t i = 0; !status && i < LLAMA_LINEARS; i++)
        status = load_linear(model, layer, i, &block->linear[i]);
    if (status)
        llama_block_free(block);
    return status;
}

void llama_block_free(llama_block *block)
{
    float *const norms[] = {block->attention_norm, block->mlp_norm, block->q_norm, block->k_norm};
    for (int i = 0; i < 4; i++)
        free(norms[i]);
    for (int i = 0; i < LLAMA_LINEARS; i++) {
        free(block->linear[i].weights.data);
        free(block->linear[i].bias);
    }
    *block = (llama_block){0};
}
