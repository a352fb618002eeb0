/* All tensors of a file against the configuration, before anything is done with them. */
#include "packed.h"
#include "parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Names ---- */

typedef struct place {
    int64_t layer;
    int32_t part; /* S24M_PARTS: none that is known */
    const char *end;
} place;

/* Names in a block; the part goes before a '.', `end` is what follows. */
static bool parse(const s24m_model *model, const char *name, place *p)
{
    const char *prefix = model->config.gguf ? "blk." : "model.layers.";
    size_t length = strlen(prefix);
    char *end;
    if (strncmp(name, prefix, length) || name[length] < '0' || name[length] > '9' ||
        (name[length] == '0' && name[length + 1] != '.'))
        return false;
    p->layer = strtoll(name + length, &end, 10);
    p->end = end;
    if (*end != '.')
        return false;
    for (p->part = 0; p->part < S24M_PARTS; p->part++) {
        const char *part = s24m_part(model, p->part);
        size_t size = strlen(part);
        p->end = end + 1 + size;
        if (!strncmp(end + 1, part, size) && end[1 + size] == '.')
            break;
    }
    p->end = p->part < S24M_PARTS ? p->end + 1 : end + 1;
    return true;
}

static s24m_presence presence(const s24m_model *model, const place *p)
{
    bool bias = !strcmp(p->end, "bias");
    return p->part < S24M_PARTS && p->layer < model->config.layers &&
                   (bias || !strcmp(p->end, "weight"))
               ? s24m_part_presence(model, p->part, bias)
               : S24M_NEVER;
}

static bool ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), size = strlen(end);
    return length >= size && !strcmp(name + length - size, end);
}

/* Tables of angles, which are computed here. */
static bool is_harmless(const char *name)
{
    return ends_with(name, "rotary_emb.inv_freq") || ends_with(name, "attn_rot_embd.weight");
}

/* Outside the blocks of a folder other parts may stand, a classifier's head or another model: none
 * that goes by the names of this one. */
static bool is_known(const s24m_model *model, const char *name)
{
    for (int32_t i = 0; i < S24M_GLOBALS; i++)
        if (!strcmp(name, s24m_global(model, i)))
            return true;
    if (model->config.gguf)
        return !strcmp(name, "rope_freqs.weight") || !strcmp(name, "rope_factors_long.weight") ||
               !strcmp(name, "rope_factors_short.weight");
    return strncmp(name, "model.", 6) && strncmp(name, "lm_head.", 8) && !strstr(name, "lora_");
}

/* ---- What must not be there ---- */

/* Endings of what goes with weights that are no plain numbers. */
static const struct {
    const char *end, *what;
} leftovers[] = {
    {"weight_scale_inv", "the scales of 8-bit weights in blocks (FP8)"},
    {"weight_packed", "packed weights (compressed-tensors)"},
    {"weight_shape", "the shape of packed weights (compressed-tensors)"},
    {"weight_zero_point", "the zeros of integer weights (compressed-tensors)"},
    {"weight_scale_2", "the scales of 4-bit weights (NVFP4)"},
    {"weight_scale", "the scales of 8-bit or packed weights (FP8, compressed-tensors)"},
    {"input_scale", "the scale of 8-bit inputs"},
    {"k_scale", "the scale of 8-bit keys"},
    {"v_scale", "the scale of 8-bit values"},
    {"SCB", "the scales of 8-bit weights (bitsandbytes)"},
    {"weight_format", "a note on 8-bit weights (bitsandbytes)"},
    {"absmax", "the scales of 4-bit weights (bitsandbytes)"},
    {"quant_map", "the values of 4-bit weights (bitsandbytes)"},
    {"quant_state", "a note on 4-bit weights (bitsandbytes)"},
    {"qweight", "packed weights (GPTQ, AWQ)"},
    {"qzeros", "the zeros of packed weights (GPTQ, AWQ)"},
    {"scales", "the scales of packed weights (GPTQ, AWQ)"},
    {"g_idx", "the groups of packed weights (GPTQ)"},
    {"W_q", "packed weights (HQQ)"},
    {"lora_", "an adapter that is not merged"},
    {"base_layer", "weights below an adapter that is not merged"},
};

static const char *leftover(const char *name)
{
    for (size_t i = 0; i < sizeof leftovers / sizeof *leftovers; i++) {
        const char *at = strstr(name, leftovers[i].end);
        if (at && (at == name || at[-1] == '.' || at[-1] == '_'))
            return leftovers[i].what;
    }
    return NULL;
}

static s24_status refuse(const s24m_model *model, const char *name)
{
    static const char way_out[] = "take the model they were made from, or load this one with "
                                  "transformers, dequantize() or merge it, and save it";
    const char *what = leftover(name);
    const char *method = s24_file_meta(model->file, "config.quantization_config.quant_method");
    place p = {0};
    if (what)
        return s24m_fail(S24_E_UNSUPPORTED, "%.200s holds %s%s%.20s; plain weights are wanted: %s",
                         name, what, method ? ", config.quantization_config.quant_method is " : "",
                         method ? method : "", way_out);
    if (parse(model, name, &p) && p.layer >= model->config.layers)
        return s24m_fail(S24_E_UNSUPPORTED,
                         "%.200s is there, but the configuration says %lld layers", name,
                         (long long)model->config.layers);
    if (p.part < S24M_LINEARS && p.end && !strcmp(p.end, "bias"))
        return s24m_fail(S24_E_UNSUPPORTED,
                         "%.200s is there, but the configuration of this %s says no such bias",
                         name, model->config.architecture);
    return s24m_fail(S24_E_UNSUPPORTED,
                     "%.200s is not known in a %s: the model would be another one "
                     "without it",
                     name, model->config.architecture);
}

/* The first one in the order of the forward pass. */
static s24_status refuse_unknown(const s24m_model *model)
{
    int64_t count = s24_file_count(model->file);
    const char *found = NULL;
    place first = {.layer = INT64_MAX};
    for (int64_t i = 0; i < count; i++) {
        const char *name = s24_file_name(model->file, i);
        place p = {.layer = INT64_MAX};
        bool inside = parse(model, name, &p);
        if ((inside ? presence(model, &p) != S24M_NEVER : is_known(model, name)) ||
            is_harmless(name) || s24m_packed_part(model, name))
            continue;
        if (!found || p.layer < first.layer || (p.layer == first.layer && p.part < first.part)) {
            found = name;
            first = p;
        }
    }
    return found ? refuse(model, found) : S24_OK;
}

/* Quantised weights without any of those names. */
static s24_status refuse_quantised(const s24m_model *model)
{
    const char *key = NULL, *text = NULL;
    for (int64_t i = 0; !text && (key = s24_file_meta_key(model->file, i)); i++)
        if (!strncmp(key, "config.quantization_config.", 27) ||
            !strncmp(key, "config.compression_config.", 26))
            text = s24_file_meta(model->file, key);
    return text
               ? s24m_fail(S24_E_UNSUPPORTED,
                           "%.80s is %.40s, but plain weights are wanted: take the model they were "
                           "made from, or remove that object if they are plain",
                           key, text)
               : S24_OK;
}

/* ---- What must be there ---- */

static s24_status check_part(const s24m_model *model, int64_t layer, int32_t part, bool bias)
{
    char name[S24M_NAME];
    int64_t rows, cols;
    s24m_part_name(model, layer, part, bias, name);
    s24m_part_shape(model, part, bias, &rows, &cols);
    return s24m_check_tensor(model, name, rows, cols);
}

/* Those of a GGUF file that may be missing, in its order. */
static s24_status check_biases(const s24m_model *model)
{
    int64_t count = s24_file_count(model->file);
    s24_status status = S24_OK;
    for (int64_t i = 0; !status && i < count; i++) {
        place p;
        if (parse(model, s24_file_name(model->file, i), &p) && presence(model, &p) == S24M_MAYBE)
            status = check_part(model, p.layer, p.part, true);
    }
    return status;
}

static s24_status check_globals(const s24m_model *model)
{
    const s24m_config *c = &model->config;
    s24_status status = S24_OK;
    for (int32_t i = 0; !status && i < S24M_GLOBALS - c->tied; i++)
        status = s24m_check_tensor(model, s24m_global(model, i),
                                   i == S24M_LAST_NORM ? c->hidden : c->vocab,
                                   i == S24M_LAST_NORM ? 0 : c->hidden);
    return status;
}

s24_status s24m_check_tensors(const s24m_model *model)
{
    s24_status status = refuse_unknown(model);
    if (!status)
        status = refuse_quantised(model);
    if (!status)
        status = check_globals(model);
    for (int64_t i = 0; !status && i < 2 * S24M_PARTS * model->config.layers; i++) {
        int32_t part = (int32_t)(i / 2 % S24M_PARTS);
        if (s24m_part_presence(model, part, i % 2) == S24M_ALWAYS)
            status = check_part(model, i / 2 / S24M_PARTS, part, i % 2);
    }
    return status ? status : check_biases(model);
}
