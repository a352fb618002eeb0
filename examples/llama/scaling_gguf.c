/* The settings of the rotary embedding in GGUF files, as llama.cpp takes them. */
#include "config.h"
#include "rope.h"
#include <stdlib.h>
#include <string.h>

/* ---- Keys ---- */

/* A factor without a type is linear; type none switches it off. */
static s24_status read_type(const llama_reader *r, bool *none)
{
    static const char *const names[LLAMA_ROPE_TYPES] = {[LLAMA_ROPE_DEFAULT] = "none",
                                                        [LLAMA_ROPE_LINEAR] = "linear",
                                                        [LLAMA_ROPE_YARN] = "yarn",
                                                        [LLAMA_ROPE_LONGROPE] = "longrope"};
    llama_rope *rope = &r->model->config.rope;
    char full[LLAMA_KEY];
    const char *type = llama_key(r, "rope.scaling.type", full);
    rope->type = LLAMA_ROPE_LINEAR;
    for (int i = 0; type && i < LLAMA_ROPE_TYPES; i++)
        if (names[i] && !strcmp(type, names[i])) {
            rope->type = (llama_rope_type)i;
            type = NULL;
        }
    *none = rope->type == LLAMA_ROPE_DEFAULT;
    return type ? llama_fail(S24_E_UNSUPPORTED,
                             "%s is %.40s: only none, linear, yarn and longrope are supported",
                             full, type)
                : S24_OK;
}

/* "rope.scale_linear" is the older name; 0 is 1. */
static s24_status read_factor(const llama_reader *r, double *factor)
{
    double read = 0;
    s24_status status = llama_key_number(r, "rope.scale_linear", &read);
    if (!status)
        status = llama_key_number(r, "rope.scaling.factor", &read);
    *factor = read > 0 ? read : 1;
    return status;
}

static s24_status read_yarn(const llama_reader *r)
{
    llama_rope *rope = &r->model->config.rope;
    double fast = 32, slow = 1;
    s24_status status = llama_key_positive(r, "rope.scaling.yarn_beta_fast", &fast);
    if (!status)
        status = llama_key_positive(r, "rope.scaling.yarn_beta_slow", &slow);
    rope->attention *= llama_rope_strength(rope->factor, 1);
    return status ? status : llama_rope_yarn(rope, fast, slow, true);
}

s24_status llama_read_rope_gguf(const llama_reader *r)
{
    llama_config *c = &r->model->config;
    llama_rope *rope = &c->rope;
    bool none;
    rope->trained = (double)c->trained;
    s24_status status = read_type(r, &none);
    if (!status)
        status = llama_key_positive(r, "rope.freq_base", &rope->base);
    if (!status)
        status = llama_key_integer(r, "rope.dimension_count", LLAMA_EXTENT, &rope->size);
    if (!status)
        status = read_factor(r, &rope->factor);
    if (!status)
        status = llama_key_positive(r, "rope.scaling.original_context_length", &rope->trained);
    if (!status)
        status = llama_key_positive(r, "rope.scaling.attn_factor", &rope->attention);
    rope->factor = none ? 1 : rope->factor;
    return status || rope->type != LLAMA_ROPE_YARN ? status : read_yarn(r);
}

/* ---- Tensors ---- */

/* Divisors in a tensor. */
static s24_status load_divisors(const llama_model *model, const char *name, int64_t count,
                                double **out)
{
    float *values = NULL;
    s24_status status = llama_read(model, name, count, 0, &values);
    double *divisor = status ? NULL : calloc((size_t)count, sizeof *divisor);
    if (!status && !divisor)
        status = llama_fail(S24_E_MEMORY, "out of memory");
    for (int64_t i = 0; !status && i < count; i++) {
        divisor[i] = values[i];
        if (!(values[i] > 0))
            status =
                llama_fail(S24_E_FORMAT, "%s: element %lld is %g", name, (long long)i, values[i]);
    }
    free(values);
    *out = divisor;
    return status;
}

/* Those of Llama 3's rule, for rows of any length, or those of longrope. */
s24_status llama_read_divisors(llama_model *model)
{
    static const char *const names[] = {"rope_factors_short.weight", "rope_factors_long.weight"};
    llama_rope *rope = &model->config.rope;
    bool same = llama_has(model, "rope_freqs.weight");
    s24_status status = S24_OK;
    for (int i = 0; !status && i < 2; i++)
        if (same || rope->type == LLAMA_ROPE_LONGROPE)
            status = load_divisors(model, same ? "rope_freqs.weight" : names[i], rope->size / 2,
                                   &rope->divisor[i]);
    return status;
}
