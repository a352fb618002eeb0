#include "quantised.h"
#include "base/error.h"
#include "base/number.h"
#include <stdio.h>
#include <string.h>

static const char *const objects[] = {"config.quantization_config", "config.compression_config",
                                      "config.text_config.quantization_config", NULL};
static const s24i_method *const methods[] = {&s24i_method_fp8, &s24i_method_compressed,
                                             &s24i_method_gptq, &s24i_method_mxfp4};

enum { METHODS = sizeof methods / sizeof *methods };

/* ---- Settings. ---- */

bool s24i_quantised_key(const char *key)
{
    for (int i = 0; objects[i]; i++) {
        size_t length = strlen(objects[i]);
        if (!strncmp(key, objects[i], length) && (!key[length] || key[length] == '.'))
            return true;
    }
    return false;
}

const char *s24i_quantised_object(int index)
{
    return objects[index];
}

const char *s24i_fold_text(const s24i_fold *fold, const char *key)
{
    char full[200];
    const char *text = NULL;

    if (snprintf(full, sizeof full, "%s.%s", fold->object, key) >= (int)sizeof full)
        return NULL;
    s24i_reader_meta(fold->reader, full, &text); /* made when it was read */
    return text && strcmp(text, "null") != 0 ? text : NULL;
}

const char *s24i_fold_inner(const s24i_fold *fold, const char *key)
{
    size_t length = strlen(fold->object);

    return !strncmp(key, fold->object, length) && key[length] == '.' ? key + length + 1 : NULL;
}

bool s24i_fold_has(const s24i_fold *fold, const char *key)
{
    size_t size = strlen(key);
    const char *name;

    for (int64_t i = 0; (name = s24i_reader_meta_key(fold->reader, i)); i++) {
        const char *inner = s24i_fold_inner(fold, name);
        if (inner && !strncmp(inner, key, size) && (!inner[size] || inner[size] == '.'))
            return true;
    }
    return false;
}

s24_status s24i_fold_integer(const s24i_fold *fold, const char *key, int64_t least, int64_t most,
                             int64_t *value)
{
    const char *text = s24i_fold_text(fold, key);

    if (!text || (s24i_integer_read(text, value) && *value >= least && *value <= most))
        return S24_OK;
    return s24i_fail(S24_E_FORMAT, "%s.%s is %.40s, but must be an integer in %lld .. %lld",
                     fold->object, key, text, (long long)least, (long long)most);
}

s24_status s24i_fold_undecoded(s24i_fold *fold, const char *what, const char *value)
{
    s24i_text *text = &fold->q->undecoded;

    if (!text->size)
        s24i_text_append(text, "%.60s %.60s", what, value);
    return text->failed ? S24_E_MEMORY : S24_OK;
}

/* ---- Tensors. ---- */

size_t s24i_fold_stem(const char *name, const char *ending)
{
    size_t length = strlen(name), size = strlen(ending);

    return length > size && !strcmp(name + length - size, ending) ? length - size : 0;
}

static s24_status join(const s24i_fold *fold, const char *name, size_t stem, const char *ending,
                       s24i_text *out)
{
    *out = (s24i_text){.memory = fold->reader->memory};
    s24i_text_bytes(out, name, stem);
    s24i_text_append(out, "%s", ending);
    return out->failed ? S24_E_MEMORY : S24_OK;
}

s24_status s24i_fold_look(const s24i_fold *fold, const char *name, size_t stem, const char *ending,
                          const s24i_tensor **tensor)
{
    s24i_text full;
    s24_status status = join(fold, name, stem, ending, &full);

    *tensor = status ? NULL : s24i_reader_look(fold->reader, full.data);
    s24i_text_free(&full);
    return status;
}

s24_status s24i_fold_part(s24i_fold *fold, const char *name, size_t stem, const char *ending,
                          s24i_tensor *part)
{
    const s24i_tensor *t;
    s24_status status = s24i_fold_look(fold, name, stem, ending, &t);

    if (t) {
        fold->hidden[t - fold->reader->tensors] = 1;
        *part = *t;
    }
    return status;
}

s24_status s24i_fold_need(s24i_fold *fold, const char *name, size_t stem, const char *ending,
                          s24i_tensor *part)
{
    s24_status status = s24i_fold_part(fold, name, stem, ending, part);

    return status || part->data
               ? status
               : s24i_fail(S24_E_FORMAT, "tensor '%.100s' holds codes, but '%.*s%s' is missing",
                           name, (int)(stem < 100 ? stem : 100), name, ending);
}

s24_status s24i_fold_drop(s24i_fold *fold, const char *name, size_t stem)
{
    static const char *const endings[] = {
        ".input_scale",  ".input_zero_point",  ".input_global_scale", ".activation_scale",
        ".output_scale", ".output_zero_point", "_activation_scale",   "_input_scale"};
    s24_status status = S24_OK;
    s24i_tensor part;

    for (size_t i = 0; !status && i < sizeof endings / sizeof *endings; i++)
        status = s24i_fold_part(fold, name, stem, endings[i], &part);
    return status;
}

s24_status s24i_fold_name(s24i_fold *fold, const char *name, size_t stem, const char *ending,
                          s24i_packing *packing)
{
    s24i_text full;
    s24_status status = join(fold, name, stem, ending, &full);

    packing->name = status ? NULL : s24i_strdup(fold->reader->memory, full.data);
    s24i_text_free(&full);
    return packing->name ? S24_OK : S24_E_MEMORY;
}

/* ---- Shapes. ---- */

s24_status s24i_fold_matrix(const s24i_tensor *t, int32_t dtype, int64_t rows, int64_t cols)
{
    if (t->element->dtype == dtype && t->rank == 2 && t->shape[0] == rows && t->shape[1] == cols)
        return S24_OK;
    return s24i_fail(S24_E_FORMAT, "tensor '%.100s' must be %s, %lld x %lld", t->name,
                     s24i_element_by_dtype(dtype)->name, (long long)rows, (long long)cols);
}

/* Weights that share a scale along one extent: 0 if so many scales do not go with it. */
static int64_t block_of(int64_t extent, int64_t scales, int64_t block)
{
    if (scales == 1)
        return extent;
    if (scales == extent)
        return 1;
    return block > 0 && (extent - 1) / block + 1 == scales ? block : 0;
}

static bool is_scale(const s24i_element *e)
{
    return s24i_is_float(e->dtype) || !strcmp(e->name, "F8_E8M0");
}

s24_status s24i_fold_scales(s24i_packing *p, int64_t row_block, int64_t col_block)
{
    const s24i_tensor *t = &p->scales;
    int64_t rows, cols, matrices = p->matrices ? p->matrices : 1;

    s24i_tensor_extents(t, &rows, &cols);
    if (t->rank == 1 && cols > 1) { /* one a row, or a matrix */
        rows = cols;
        cols = 1;
    }
    bool one = rows == 1 && cols == 1;
    p->scale_rows = one ? 1 : rows / matrices;
    p->scale_cols = cols;
    p->matrix_scales = one ? 0 : p->scale_rows * cols;
    p->row_block = block_of(p->rows, p->scale_rows, row_block);
    p->col_block = block_of(p->cols, cols, col_block);
    if (is_scale(t->element) && (one || rows % matrices == 0) && p->row_block && p->col_block)
        return S24_OK;
    return s24i_fail(
        S24_E_FORMAT,
        "tensor '%.100s' holds %lld x %lld of %s, which are no scales of %lld x %lld weights in "
        "blocks of %lld x %lld",
        t->name, (long long)rows, (long long)cols, t->type, (long long)(matrices * p->rows),
        (long long)p->cols, (long long)row_block, (long long)col_block);
}

s24_status s24i_fold_groups(const s24i_packing *p, int64_t count)
{
    const s24i_tensor *t = &p->groups;

    if (!t->data)
        return S24_OK;
    if (t->element->dtype != S24_I32 || t->rank != 1 || t->shape[0] != p->cols)
        return s24i_fail(S24_E_FORMAT, "tensor '%.100s' must be I32, one for each of %lld inputs",
                         t->name, (long long)p->cols);
    for (int64_t j = 0; j < p->cols; j++) {
        int32_t group;
        memcpy(&group, t->data + 4 * j, sizeof group); /* little-endian */
        if (group < 0 || group >= count)
            return s24i_fail(S24_E_FORMAT,
                             "tensor '%.100s': group %d of input %lld is not in 0 .. "
                             "%lld",
                             t->name, (int)group, (long long)j, (long long)count - 1);
    }
    return S24_OK;
}

/* ---- Folding. ---- */

/* The tensor that is offered for a packing; it has the place that the codes have. */
static s24i_tensor matrix_of(const s24i_packing *p)
{
    s24i_tensor t = p->codes;
    int64_t shape[] = {p->matrices, p->rows, p->cols};

    t.rank = p->matrices ? 3 : 2;
    memcpy(t.shape, shape + 3 - t.rank, (size_t)t.rank * sizeof *shape);
    t.name = p->name ? p->name : t.name;
    t.type = p->type;
    t.element = s24i_element_by_dtype(S24_F32);
    t.packing = p;
    return t;
}

/* Of keys and values that are kept in 8 bits while a text is made: it says nothing of weights. */
static bool is_cache_scale(const s24i_tensor *t)
{
    int64_t rows, cols;

    s24i_tensor_extents(t, &rows, &cols);
    return rows == 1 && cols == 1 &&
           (s24i_fold_stem(t->name, ".k_scale") || s24i_fold_stem(t->name, ".v_scale"));
}

static s24_status take_all(s24i_fold *fold, const s24i_method *method)
{
    s24i_reader *reader = fold->reader;
    s24_status status = S24_OK;

    for (int64_t i = 0; !status && i < reader->count; i++) {
        const s24i_tensor *t = &reader->tensors[i];
        s24i_packing *p = &fold->q->packings[fold->q->count];
        if (is_cache_scale(t)) {
            fold->hidden[i] = 1;
            continue;
        }
        status = method->take(fold, t, p);
        if (p->decode) {
            p->codes = *t;
            fold->hidden[i] = 1;
        }
        fold->q->count += p->decode || p->name;
    }
    return status;
}

/* A list of what is left and what was made, in place of the old one. */
static s24_status rebuild(s24i_fold *fold)
{
    s24i_reader *reader = fold->reader, made = {.memory = reader->memory};
    int64_t count = fold->q->count, n = 0;

    for (int64_t i = 0; i < reader->count; i++)
        count += !fold->hidden[i];
    s24_status status = s24i_reader_reserve(&made, count);
    for (int64_t i = 0, next = 0; !status && i < reader->count; i++) {
        const s24i_packing *p = &fold->q->packings[next];
        if (next < fold->q->count && !strcmp(p->codes.name, reader->tensors[i].name)) {
            made.tensors[n++] = matrix_of(p);
            next++;
        } else if (!fold->hidden[i]) {
            made.tensors[n++] = reader->tensors[i];
        }
    }
    if (!status)
        status = s24i_reader_index(&made);
    if (status) {
        s24i_reader_release(&made);
        return status;
    }
    made.class = reader->class;
    made.sources = reader->sources;
    reader->sources = (s24i_list){0};
    s24i_reader_release(reader);
    *reader = made;
    return S24_OK;
}

static s24_status fold_with(s24i_fold *fold, const s24i_method *method)
{
    s24i_memory *memory = fold->reader->memory;
    size_t count = (size_t)fold->reader->count;
    s24_status status = method->check(fold);

    if (status || fold->q->undecoded.size)
        return status;
    fold->q->packings = s24i_alloc_zero(memory, s24i_mul(count + 1, sizeof *fold->q->packings));
    fold->q->room = fold->q->packings ? (int64_t)count + 1 : 0;
    fold->hidden = s24i_alloc_zero(memory, count);
    status = fold->q->packings && fold->hidden ? take_all(fold, method) : S24_E_MEMORY;
    if (!status)
        status = rebuild(fold);
    s24i_free(memory, fold->hidden, count);
    fold->q->decoded = !status;
    return status;
}

s24_status s24i_quantised_fold(s24i_reader *reader, s24i_quantised *q)
{
    s24i_fold fold = {.reader = reader, .q = q};
    const char *name = NULL;

    q->undecoded.memory = reader->memory;
    for (int i = 0; objects[i] && !name; i++) {
        fold.object = objects[i];
        name = s24i_fold_text(&fold, "quant_method");
    }
    for (int i = 0; i < METHODS && name; i++) {
        if (!strcmp(methods[i]->name, name))
            return fold_with(&fold, methods[i]);
    }
    return name ? s24i_fold_undecoded(&fold, "quant_method", name) : S24_OK;
}

void s24i_quantised_free(s24i_memory *memory, s24i_quantised *q)
{
    for (int64_t i = 0; i < q->count; i++)
        s24i_strfree(memory, q->packings[i].name);
    s24i_free(memory, q->packings, s24i_mul((size_t)q->room, sizeof *q->packings));
    s24i_text_free(&q->undecoded);
}
