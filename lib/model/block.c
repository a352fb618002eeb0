/* The weights of one block. */
#include "family.h"
#include "parts.h"
#include <stdlib.h>
#include <string.h>

/* ---- Vectors ---- */

/* Some files hold gains less one. */
static void complete_gain(const s24m_model *model, int32_t part, const s24m_vector *v, float *gain)
{
    int64_t count = v->rows * (v->cols ? v->cols : 1);
    bool norm = part < S24M_SINKS;
    if (!norm || model->family->gain != S24M_GAIN_LESS_ONE || model->config.gguf)
        return;
    for (int64_t i = 0; i < count; i++)
        gain[i] += 1;
}

/* Hugging Face's convolutions have a dimension of one input. */
static s24_status read_vector(const s24m_model *model, const char *name, int32_t part,
                              const s24m_vector *v, float **out)
{
    if (part == S24M_CONVOLUTION && !model->config.gguf)
        return s24m_read_shape(model, name, (const int64_t[]){v->rows, 1, v->cols}, 3, out);
    return s24m_read(model, name, v->rows, v->cols, out);
}

static s24_status load_vector(const s24m_model *model, int32_t part, s24m_block *block)
{
    int32_t i = part - S24M_ROLES;
    const s24m_vector *v = &block->program->vector[i];
    char name[S24M_NAME];
    s24_status status = S24_OK;
    if (v->gain) {
        s24m_vector_name(model, block->layer, part, false, name);
        status = read_vector(model, name, part, v, &block->gain[i]);
        if (!status)
            complete_gain(model, part, v, block->gain[i]);
    }
    if (status || !v->shift)
        return status;
    s24m_vector_name(model, block->layer, part, true, name);
    return s24m_read(model, name, v->rows, 0, &block->shift[i]);
}

/* ---- Matrices ---- */

/* A whole tensor as it lies in the file, until its last slice is taken. */
typedef struct tensor {
    char name[S24M_NAME];
    float *values;
} tensor;

static s24_status open_tensor(const s24m_model *model, const s24m_matrix *m, bool bias,
                              const char *name, tensor *t)
{
    int64_t shape[3];
    int32_t rank;
    if (t->values && !strcmp(t->name, name))
        return S24_OK;
    free(t->values);
    t->values = NULL;
    strcpy(t->name, name);
    s24m_tensor_shape(m, bias, shape, &rank);
    return s24m_read_shape(model, name, shape, rank, &t->values);
}

/* Takes over what is no slice and not transposed. */
static s24_status take(const s24m_matrix *m, bool bias, tensor *t, float **out)
{
    int64_t rows = m->outputs, cols = bias ? 1 : m->inputs;
    const float *from = t->values + (m->slices ? m->expert * rows * cols : 0);
    if (!m->slices && (bias || !m->transposed)) {
        *out = t->values;
        t->values = NULL;
        return S24_OK;
    }
    float *to = *out = s24m_floats(rows * cols);
    if (!to)
        return S24_E_MEMORY;
    if (bias || !m->transposed) {
        memcpy(to, from, (size_t)(rows * cols) * sizeof *to);
        return S24_OK;
    }
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < cols; i++)
            to[r * cols + i] = from[i * rows + r];
    return S24_OK;
}

/* Who looks at the matrices of a block while they are read. */
typedef struct taker {
    s24m_take_fn seen; /* or NULL */
    void *arg;
} taker;

/* The weights, unless they have been packed already. */
static s24_status load_weights(const s24m_model *model, int32_t which, tensor *t, const taker *by,
                               const s24m_block *block)
{
    const s24m_matrix *m = block->program->matrices + which;
    s24m_linear *linear = block->linear + which;
    char name[S24M_NAME];
    float *values = NULL;
    linear->weights = s24m_mat(NULL, m->outputs, m->inputs);
    s24_status status = by->seen ? by->seen(by->arg, block, which) : S24_OK;
    if (status || linear->packed)
        return status;
    s24m_tensor_name(model, block->layer, which, false, name);
    status = open_tensor(model, m, false, name, t + m->role);
    if (!status)
        status = take(m, false, t + m->role, &values);
    linear->weights.data = values;
    return status || !by->seen ? status : by->seen(by->arg, block, which);
}

/* Tensors of a role that all experts share are read once: they are its own. */
static s24_status load_matrix(const s24m_model *model, int32_t which, tensor *t, const taker *by,
                              s24m_block *block)
{
    const s24m_matrix *m = block->program->matrices + which;
    s24m_linear *linear = block->linear + which;
    char name[S24M_NAME];
    s24m_name(model, block->layer, which, linear->name);
    s24_status status = load_weights(model, which, t, by, block);
    s24m_tensor_name(model, block->layer, which, true, name);
    if (status || m->bias == S24M_NEVER || (m->bias == S24M_MAYBE && !s24m_has(model, name)))
        return status;
    status = open_tensor(model, m, true, name, t + S24M_ROLES + m->role);
    return status ? status : take(m, true, t + S24M_ROLES + m->role, &linear->bias);
}

static s24_status load_matrices(const s24m_model *model, const taker *by, s24m_block *block)
{
    tensor t[2 * S24M_ROLES] = {{{0}, NULL}};
    int32_t count = block->program->count;
    s24_status status = S24_OK;
    for (int32_t i = 0; !status && i < count; i++)
        status = load_matrix(model, i, t, by, block);
    for (int i = 0; i < 2 * S24M_ROLES; i++)
        free(t[i].values);
    return status;
}

/* ---- A block ---- */

static s24_status load(const s24m_model *model, int64_t layer, const taker *by, s24m_block *block)
{
    *block = (s24m_block){0};
    if (layer < 0 || layer >= model->config.layers)
        return s24m_fail(S24_E_ARG, "block %lld, but the model has %lld", (long long)layer,
                         (long long)model->config.layers);
    block->layer = layer;
    block->program = s24m_program_of(model, layer);
    block->linear = calloc((size_t)block->program->count, sizeof *block->linear);
    s24_status status = block->linear ? S24_OK : s24m_fail(S24_E_MEMORY, "out of memory");
    for (int32_t part = S24M_ROLES; !status && part < S24M_PARTS; part++)
        status = load_vector(model, part, block);
    if (!status)
        status = load_matrices(model, by, block);
    if (status)
        s24m_block_free(block);
    return status;
}

s24_status s24m_block_load(const s24m_model *model, int64_t layer, s24m_block *block)
{
    return load(model, layer, &(taker){NULL, NULL}, block);
}

s24_status s24m_block_take(const s24m_model *model, int64_t layer, s24m_take_fn seen, void *arg,
                           s24m_block *block)
{
    return load(model, layer, &(taker){seen, arg}, block);
}

void s24m_block_free(s24m_block *block)
{
    for (int i = 0; i < S24M_VECTORS; i++) {
        free(block->gain[i]);
        free(block->shift[i]);
    }
    for (int32_t i = 0; block->linear && i < block->program->count; i++) {
        free(block->linear[i].weights.data);
        free(block->linear[i].bias);
        s24_product_destroy(block->linear[i].product);
        s24_packed_destroy(block->linear[i].packed);
    }
    free(block->linear);
    *block = (s24m_block){0};
}
