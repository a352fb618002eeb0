/* All tensors of a file against the configuration, before anything is done with them. */
#include "family.h"
#include "image.h"
#include "packed.h"
#include "parts.h"
#include "paths.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- What is expected ---- */

/* A tensor that the configuration announces. */
typedef struct expected {
    char name[S24M_NAME];
    int64_t shape[4];
    int32_t rank;
    s24m_presence presence;
} expected;

typedef struct list {
    const s24m_model *model;
    expected *items;
    int64_t count, room;
    bool failed;      /* no memory */
    expected nowhere; /* what is written then */
} list;

static expected *add(list *l, s24m_presence presence)
{
    if (l->count == l->room) {
        int64_t room = 2 * l->room + 64;
        expected *more = realloc(l->items, (size_t)room * sizeof *more);
        l->failed |= !more;
        if (!more)
            return &l->nowhere;
        l->items = more;
        l->room = room;
    }
    l->items[l->count] = (expected){.presence = presence};
    return &l->items[l->count++];
}

static void add_plain(list *l, s24m_presence presence, const char *name, int64_t rows, int64_t cols)
{
    expected *e = add(l, presence);
    snprintf(e->name, sizeof e->name, "%s", name);
    e->shape[0] = rows;
    e->shape[1] = cols;
    e->rank = cols ? 2 : 1;
}

static void add_globals(list *l)
{
    expected e = {.presence = S24M_ALWAYS};
    for (int32_t i = 0; s24m_image_tensor(l->model, i, e.name, e.shape, &e.rank); i++)
        *add(l, e.presence) = e;
    for (int32_t i = l->model->family->image ? S24M_EMBEDDING + 1 : 0; i < S24M_GLOBALS; i++) {
        char name[S24M_NAME];
        int64_t rows, cols;
        s24m_presence presence = s24m_global_presence(l->model, i);
        s24m_global_shape(l->model, i, &rows, &cols);
        if (presence && s24m_global(l->model, i, name))
            add_plain(l, presence, name, rows, cols);
    }
}

static void add_vectors(list *l, int64_t layer)
{
    const s24m_program *p = s24m_program_of(l->model, layer);
    char name[S24M_NAME];
    for (int32_t part = S24M_ROLES; part < S24M_PARTS; part++) {
        const s24m_vector *v = &p->vector[part - S24M_ROLES];
        s24m_vector_name(l->model, layer, part, false, name);
        if (v->gain)
            add_plain(l, v->gain, name, v->rows, v->cols);
        if (v->gain && part == S24M_CONVOLUTION && !l->model->config.gguf) {
            expected *e = &l->items[l->count - 1];
            e->shape[1] = 1;
            e->shape[2] = v->cols;
            e->rank = 3;
        }
        s24m_vector_name(l->model, layer, part, true, name);
        if (v->shift)
            add_plain(l, v->shift, name, v->rows, 0);
    }
}

static void add_matrices(list *l, int64_t layer)
{
    const s24m_program *p = s24m_program_of(l->model, layer);
    for (int32_t i = 0; i < p->count; i++)
        for (int bias = 0; bias < 2; bias++) {
            const s24m_matrix *m = p->matrices + i;
            if ((m->slices && m->expert) || (bias && !m->bias))
                continue;
            expected *e = add(l, bias ? m->bias : S24M_ALWAYS);
            s24m_tensor_name(l->model, layer, i, bias, e->name);
            s24m_tensor_shape(m, bias, e->shape, &e->rank);
        }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const expected *)a)->name, ((const expected *)b)->name);
}

static const expected *find(const list *sorted, const char *name)
{
    expected key;
    snprintf(key.name, sizeof key.name, "%s", name);
    return bsearch(&key, sorted->items, (size_t)sorted->count, sizeof key, by_name);
}

/* ---- Names ---- */

/* The layer of a name in a block, INT64_MAX outside; NULL or what follows its number. */
static const char *layer_of(const s24m_model *model, const char *name, int64_t *layer)
{
    char prefix[S24M_NAME];
    s24m_block_prefix(model, prefix);
    size_t length = strlen(prefix);
    char *end;
    *layer = INT64_MAX;
    if (strncmp(name, prefix, length) || name[length] < '0' || name[length] > '9' ||
        (name[length] == '0' && name[length + 1] != '.'))
        return NULL;
    int64_t number = strtoll(name + length, &end, 10);
    if (*end != '.')
        return NULL;
    *layer = number;
    return end + 1;
}

/* Tables of angles and masks, which are computed here. */
static bool is_harmless(const char *name)
{
    return s24m_path_ends_with(name, "rotary_emb.inv_freq") ||
           s24m_path_ends_with(name, "attn_rot_embd.weight") ||
           s24m_path_ends_with(name, ".attn.bias") ||
           s24m_path_ends_with(name, ".attn.masked_bias") ||
           s24m_path_ends_with(name, ".attention.bias") ||
           s24m_path_ends_with(name, ".attention.masked_bias");
}

/* One of these names, or below it. */
static bool is_carried(const char *names, const char *name)
{
    size_t length;
    for (const char *at = names; at && *at; at += length + strspn(at + length, " ")) {
        length = strcspn(at, " ");
        if (!strncmp(at, name, length) && (!name[length] || name[length] == '.'))
            return true;
    }
    return false;
}

/* Outside the blocks of a folder other parts may stand, a classifier's head or another model: none
 * that goes by the names of this one. */
static bool is_allowed(const s24m_model *model, const char *name)
{
    char first[S24M_NAME];
    if (model->config.gguf)
        return !strcmp(name, "rope_freqs.weight") || !strcmp(name, "rope_factors_long.weight") ||
               !strcmp(name, "rope_factors_short.weight");
    s24m_global(model, S24M_EMBEDDING, first);
    size_t length = model->root ? strlen(model->root) : strcspn(first, ".") + 1;
    bool inside = length && !strncmp(name, first, length);
    if (inside && is_carried(model->family->carried, name + length))
        return true;
    return !inside && (strncmp(name, "lm_head.", 8) || model->family->encoder) &&
           !strstr(name, "lora_");
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

/* What it is; *stem is how much of the name goes before. */
static const char *leftover(const char *name, int *stem)
{
    for (size_t i = 0; i < sizeof leftovers / sizeof *leftovers; i++) {
        const char *at = strstr(name, leftovers[i].end);
        if (at && (at == name || at[-1] == '.' || at[-1] == '_')) {
            *stem = (int)(at - name);
            return leftovers[i].what;
        }
    }
    return NULL;
}

/* Of a matrix that is there. */
static bool is_bias(const list *sorted, const char *name)
{
    char weight[S24M_NAME];
    if (!s24m_path_ends_with(name, ".bias"))
        return false;
    snprintf(weight, sizeof weight, "%.*sweight", (int)(strlen(name) - 4), name);
    const expected *e = find(sorted, weight);
    return e && e->rank > 1;
}

static s24_status refuse(const list *sorted, const char *name)
{
    const s24m_model *model = sorted->model;
    static const char way_out[] = "take the model they were made from, or load this one with "
                                  "transformers, dequantize() or merge it, and save it";
    int stem = 0;
    const char *what = leftover(name, &stem);
    const char *method = s24_file_meta(model->file, "config.quantization_config.quant_method");
    char weight[S24M_NAME];
    int64_t layer;
    snprintf(weight, sizeof weight, "%.*sweight", stem, name);
    if (what && method && s24_file_check_read(model->file, weight) != S24_OK)
        return s24m_fail(S24_E_UNSUPPORTED, "%.100s holds %s: %s", name, what, s24_last_error());
    if (what)
        return s24m_fail(S24_E_UNSUPPORTED, "%.200s holds %s; plain weights are wanted: %s", name,
                         what, way_out);
    if (layer_of(model, name, &layer) && layer >= model->config.layers)
        return s24m_fail(S24_E_UNSUPPORTED,
                         "%.200s is there, but the configuration says %lld layers", name,
                         (long long)model->config.layers);
    if (is_bias(sorted, name))
        return s24m_fail(S24_E_UNSUPPORTED,
                         "%.200s is there, but the configuration of this %s says no such bias",
                         name, model->config.architecture);
    return s24m_fail(S24_E_UNSUPPORTED,
                     "%.200s is not known in a %s: the model would be another one "
                     "without it",
                     name, model->config.architecture);
}

/* Layers behind the last guess further tokens; they are carried over, as transformers does. */
static int64_t count_guessing(const s24m_model *model)
{
    static const char *const keys[] = {"config.num_nextn_predict_layers",
                                       "config.text_config.num_nextn_predict_layers"};
    const char *text = s24_file_meta(model->file, keys[0]);
    text = text ? text : s24_file_meta(model->file, keys[1]);
    long long count = text && !model->config.gguf ? strtoll(text, NULL, 10) : 0;
    return count > 0 && count < 64 ? count : 0;
}

/* The matrix of its layer that a leftover is of; behind all of them: none. */
static int32_t matrix_of(const s24m_model *model, int64_t layer, const char *name)
{
    char weight[S24M_NAME], tensor[S24M_NAME];
    int stem = 0;
    bool inside = layer >= 0 && layer < model->config.layers;
    int32_t which = 0, count = inside ? s24m_matrices(model, layer) : 0;
    leftover(name, &stem);
    snprintf(weight, sizeof weight, "%.*sweight", stem, name);
    for (; which < count; which++) {
        s24m_tensor_name(model, layer, which, false, tensor);
        if (!strcmp(tensor, weight))
            break;
    }
    return which;
}

/* The first one in the order of the forward pass. */
static s24_status refuse_unknown(const list *sorted)
{
    const s24m_model *model = sorted->model;
    int64_t count = s24_file_count(model->file), first = INT64_MAX;
    int64_t guessing = model->config.layers + count_guessing(model);
    const char *found = NULL;
    int32_t matrix = 0;
    for (int64_t i = 0; i < count; i++) {
        const char *name = s24_file_name(model->file, i);
        int64_t layer;
        bool inside = layer_of(model, name, &layer);
        if (inside && layer >= model->config.layers && layer < guessing)
            continue;
        if (find(sorted, name) || is_harmless(name) || s24m_packed_part(model, name) ||
            (!inside && is_allowed(model, name)))
            continue;
        int32_t which = matrix_of(model, layer, name);
        if (!found || layer < first || (layer == first && which < matrix)) {
            found = name;
            first = layer;
            matrix = which;
        }
    }
    return found ? refuse(sorted, found) : S24_OK;
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

static s24_status check(const list *l)
{
    s24_status status = S24_OK;
    for (const expected *e = l->items; !status && e < l->items + l->count; e++)
        if (e->presence == S24M_ALWAYS || s24m_has(l->model, e->name))
            status = s24m_check_shape(l->model, e->name, e->shape, e->rank);
    return status;
}

static s24_status survey(list *l)
{
    list sorted = *l;
    sorted.items = malloc((size_t)l->count * sizeof *sorted.items);
    if (!sorted.items)
        return s24m_fail(S24_E_MEMORY, "out of memory");
    memcpy(sorted.items, l->items, (size_t)l->count * sizeof *sorted.items);
    qsort(sorted.items, (size_t)l->count, sizeof *sorted.items, by_name);
    s24_status status = refuse_unknown(&sorted);
    free(sorted.items);
    if (!status)
        status = refuse_quantised(l->model);
    return status ? status : check(l);
}

/* In the order of the forward pass, so that the first that is wrong is named. */
s24_status s24m_check_tensors(const s24m_model *model)
{
    list l = {.model = model};
    int64_t enough = 2 * s24_file_count(model->file) + 1024; /* then some are missing anyway */
    add_globals(&l);
    for (int64_t i = 0; i < model->config.layers && !l.failed && l.count < enough; i++) {
        add_matrices(&l, i);
        add_vectors(&l, i);
    }
    s24_status status = l.failed ? s24m_fail(S24_E_MEMORY, "out of memory") : survey(&l);
    free(l.items);
    return status;
}
