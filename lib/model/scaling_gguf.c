/* The settings of the rotary embedding in GGUF files, as llama.cpp takes them. */
#include "config.h"
#include "rope.h"
#include <stdlib.h>
#include <string.h>

/* ---- Keys ---- */

/* A factor without a type is linear; type none switches it off. */
static s24_status read_type(const s24m_reader *r, bool *none)
{
    static const char *const names[S24M_ROPE_TYPES] = {[S24M_ROPE_DEFAULT] = "none",
                                                       [S24M_ROPE_LINEAR] = "linear",
                                                       [S24M_ROPE_YARN] = "yarn",
                                                       [S24M_ROPE_LONGROPE] = "longrope"};
    s24m_rope *rope = r->model->config.rope;
    char full[S24M_KEY];
    const char *type = s24m_key(r, "rope.scaling.type", full);
    rope->type = S24M_ROPE_LINEAR;
    for (int i = 0; type && i < S24M_ROPE_TYPES; i++)
        if (names[i] && !strcmp(type, names[i])) {
            rope->type = (s24m_rope_type)i;
            type = NULL;
        }
    *none = rope->type == S24M_ROPE_DEFAULT;
    return type ? s24m_fail(S24_E_UNSUPPORTED,
                            "%s is %.40s: only none, linear, yarn and longrope are supported", full,
                            type)
                : S24_OK;
}

/* "rope.scale_linear" is the older name; 0 is 1. */
static s24_status read_factor(const s24m_reader *r, double *factor)
{
    double read = 0;
    s24_status status = s24m_key_number(r, "rope.scale_linear", &read);
    if (!status)
        status = s24m_key_number(r, "rope.scaling.factor", &read);
    *factor = read > 0 ? read : 1;
    return status;
}

static s24_status read_yarn(const s24m_reader *r)
{
    s24m_rope *rope = r->model->config.rope;
    double fast = 32, slow = 1;
    s24_status status = s24m_key_positive(r, "rope.scaling.yarn_beta_fast", &fast);
    if (!status)
        status = s24m_key_positive(r, "rope.scaling.yarn_beta_slow", &slow);
    rope->attention *= s24m_rope_strength(rope->factor, 1);
    return status ? status : s24m_rope_yarn(rope, fast, slow, true);
}

s24_status s24m_read_rope_gguf(const s24m_reader *r)
{
    s24m_config *c = &r->model->config;
    s24m_rope *rope = c->rope;
    bool none;
    rope->trained = (double)c->trained;
    s24_status status = read_type(r, &none);
    if (!status)
        status = s24m_key_positive(r, "rope.freq_base", &rope->base);
    if (!status)
        status = s24m_key_integer(r, "rope.dimension_count", S24M_EXTENT, &rope->size);
    if (!status)
        status = read_factor(r, &rope->factor);
    if (!status)
        status = s24m_key_positive(r, "rope.scaling.original_context_length", &rope->trained);
    if (!status)
        status = s24m_key_positive(r, "rope.scaling.attn_factor", &rope->attention);
    rope->factor = none ? 1 : rope->factor;
    return status || rope->type != S24M_ROPE_YARN ? status : read_yarn(r);
}

/* ---- Tensors ---- */

/* Divisors in a tensor. */
static s24_status load_divisors(const s24m_model *model, const char *name, int64_t count,
                                double **out)
{
    float *values = NULL;
    s24_status status = s24m_read(model, name, count, 0, &values);
    double *divisor = status ? NULL : calloc((size_t)count, sizeof *divisor);
    if (!status && !divisor)
        status = s24m_fail(S24_E_MEMORY, "out of memory");
    for (int64_t i = 0; !status && i < count; i++) {
        divisor[i] = values[i];
        if (!(values[i] > 0))
            status =
                s24m_fail(S24_E_FORMAT, "%s: element %lld is %g", name, (long long)i, values[i]);
    }
    free(values);
    *out = divisor;
    return status;
}

/* Those of Llama 3's rule, for rows of any length, or those of longrope. */
s24_status s24m_read_divisors(s24m_model *model)
{
    static const char *const names[] = {"rope_factors_short.weight", "rope_factors_long.weight"};
    s24m_rope *rope = model->config.rope;
    bool same = s24m_has(model, "rope_freqs.weight");
    s24_status status = S24_OK;
    for (int i = 0; !status && i < 2; i++)
        if (same || rope->type == S24M_ROPE_LONGROPE)
            status = load_divisors(model, same ? "rope_freqs.weight" : names[i], rope->size / 2,
                                   &rope->divisor[i]);
    return status;
}

/* Layers with a window turn by a base of their own and are not scaled; files did not say it at
 * first. */
s24_status s24m_read_local_gguf(const s24m_reader *r, bool *two)
{
    s24m_rope *rope = r->model->config.rope;
    double base = 10000;
    s24_status status = s24m_key_positive(r, "rope.freq_base_swa", &base);
    rope[S24M_ROPE_WINDOWED] = s24m_rope_plain(rope->size);
    rope[S24M_ROPE_WINDOWED].base = base;
    *two = true;
    return status;
}
