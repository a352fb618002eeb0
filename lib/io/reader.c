#include "reader.h"
#include "base/error.h"
#include "base/sort.h"
#include "os.h"
#include <string.h>

#define DECODED                                                                          \
    "; decoded are fp8, gptq, mxfp4 and compressed-tensors (pack-, int-, float-, naive-" \
    "quantized)"

enum { NEAREST = 3, MANY = 256 };

void s24i_reader_close(s24i_reader *reader)
{
    if (!reader)
        return;
    const void *map = reader->map;
    uint64_t size = reader->map_size;
    reader->class->close(reader);
    s24i_os_unmap(map, size);
}

const s24i_tensor *s24i_reader_at(const s24i_reader *reader, int64_t index)
{
    return index >= 0 && index < reader->count ? reader->by_place[index] : NULL;
}

/* Names that contain what was asked for come first, then those that are few edits away; of very
 * many only those around its place. */
static void tell_unknown(const s24i_reader *reader, const char *name, int64_t at_name)
{
    const char *near[NEAREST + 1] = {0};
    int32_t far[NEAREST + 1] = {0}, n = 0;
    int64_t first = at_name > MANY ? at_name - MANY : 0;

    for (int64_t i = first; i < reader->count && i < first + 2 * MANY; i++) {
        const char *known = ((const s24i_tensor *)reader->by_name[i])->name;
        int32_t distance = strstr(known, name) ? 0 : s24i_distance(name, known), at = n;
        for (; at > 0 && distance < far[at - 1]; at--) {
            far[at] = far[at - 1];
            near[at] = near[at - 1];
        }
        far[at] = distance;
        near[at] = known;
        n += n < NEAREST;
    }
    s24i_fail(S24_E_ARG,
              "no tensor '%.100s' among the %lld of the file%s%.130s%s%s%.100s%s%.100s%s%.100s",
              name, (long long)reader->count, reader->undecoded ? "; not decoded: " : "",
              reader->undecoded ? reader->undecoded : "", reader->undecoded ? DECODED : "",
              n > 0 ? "; nearest: " : "", n > 0 ? near[0] : "", n > 1 ? ", " : "",
              n > 1 ? near[1] : "", n > 2 ? ", " : "", n > 2 ? near[2] : "");
}

static const char *name_at(const void *sorted, int64_t index)
{
    return ((const s24i_tensor *)((const void *const *)sorted)[index])->name;
}

const s24i_tensor *s24i_reader_look(const s24i_reader *reader, const char *name)
{
    bool found;
    int64_t at = s24i_search(reader->by_name, reader->count, name_at, name, &found);

    return found ? reader->by_name[at] : NULL;
}

/* NULL, and a text that goes with S24_E_ARG, if there is none. */
static s24i_tensor *find(const s24i_reader *reader, const char *name)
{
    bool found;
    int64_t at = s24i_search(reader->by_name, reader->count, name_at, name, &found);

    if (!found)
        tell_unknown(reader, name, at);
    return found ? &reader->tensors[(const s24i_tensor *)reader->by_name[at] - reader->tensors]
                 : NULL;
}

s24_status s24i_reader_find(const s24i_reader *reader, const char *name, const s24i_tensor **out)
{
    s24i_tensor *t = find(reader, name);

    if (!t)
        return S24_E_ARG;
    *out = t;
    return S24_OK;
}

void s24i_tensor_extents(const s24i_tensor *t, int64_t *rows, int64_t *cols)
{
    *rows = 1;
    for (int32_t i = 0; i < t->rank - 1; i++)
        *rows *= t->shape[i];
    *cols = t->rank ? t->shape[t->rank - 1] : 1;
}

/* Where the tensor's bytes are, at an address that suits its type; NULL: no memory for a copy. */
static const void *aligned_data(s24i_reader *reader, s24i_tensor *t)
{
    if ((uintptr_t)t->data % (uintptr_t)(t->element->bits / 8) == 0 || t->size == 0)
        return t->data;
    if (!t->aligned) {
        t->aligned = s24i_alloc(reader->memory, t->size);
        if (t->aligned)
            memcpy(t->aligned, t->data, t->size);
    }
    return t->aligned;
}

/* What can be done with a tensor that cannot be viewed. */
static const char *way_out(const s24i_tensor *t)
{
    const s24i_element *e = t->element;

    if (s24i_tensor_is_decoded(t))
        return "cannot be used where they lie, only be read";
    if (e->block > 1)
        return "are not decoded, but Q4_0 to Q8_0, Q2_K to Q6_K, IQ1 to IQ4, TQ1_0, TQ2_0, MXFP4 "
               "and NVFP4 are: take the model in one of these or as F16, or make it so: "
               "llama-quantize --allow-requantize IN OUT Q8_0";
    return "are listed and copied, but not used as numbers: convert the model to F16, BF16 or F32";
}

static s24_status fail_type(const s24i_tensor *t)
{
    return s24i_fail(S24_E_DTYPE, "tensor '%.100s': elements of type %.32s %s", t->name, t->type,
                     way_out(t));
}

s24_status s24i_reader_check_values(const s24i_reader *reader, const char *name)
{
    const s24i_tensor *t = find(reader, name);

    if (!t)
        return S24_E_ARG;
    if (s24i_tensor_is_decoded(t) || s24i_is_float(t->element->dtype))
        return S24_OK;
    if (!t->element->dtype)
        return fail_type(t);
    int32_t dtype = t->element->dtype;
    return s24i_fail(S24_E_DTYPE, "tensor '%.100s': %s is not converted to floats%s", t->name,
                     t->type,
                     dtype == S24_E4M3FN || dtype == S24_E5M2 || dtype == S24_I8
                         ? ": codes of a quantised model have no value without their scales, so "
                           "take the model in F16, BF16 or F32"
                         : "");
}

s24_status s24i_reader_view(s24i_reader *reader, const char *name, s24_mat *view)
{
    s24i_tensor *t = find(reader, name);
    int64_t rows, cols;

    if (!t)
        return S24_E_ARG;
    if (!t->element->dtype || t->packing)
        return fail_type(t);
    const void *data = aligned_data(reader, t);
    if (!data)
        return S24_E_MEMORY;
    s24i_tensor_extents(t, &rows, &cols);
    *view = (s24_mat){.data = (void *)(uintptr_t)data,
                      .rows = rows,
                      .cols = cols,
                      .row_stride = cols ? cols : 1,
                      .col_stride = 1,
                      .dtype = t->element->dtype,
                      .device = S24_CPU};
    return S24_OK;
}

s24_status s24i_reader_meta(s24i_reader *reader, const char *key, const char **value)
{
    return reader->class->meta(reader, key, value);
}

const char *s24i_reader_meta_key(const s24i_reader *reader, int64_t index)
{
    return reader->class->meta_key(reader, index);
}

s24_status s24i_reader_check_sources(const s24i_reader *reader)
{
    const s24i_source *sources = reader->sources.items;

    for (int64_t i = 0; i < reader->sources.count; i++) {
        s24i_os_stamp then = sources[i].stamp, now = s24i_os_stamp_of(sources[i].path);
        if (memcmp(&then, &now, sizeof now))
            return s24i_fail(S24_E_STATE, "%.300s was changed or removed after it was opened",
                             sources[i].path);
    }
    return S24_OK;
}

/* ---- For the formats. ---- */

s24_status s24i_reader_note(s24i_reader *reader, const char *path, s24i_os_stamp stamp)
{
    s24i_source source = {.stamp = stamp};
    s24_status status = s24i_list_reserve(reader->memory, &reader->sources, sizeof source);

    if (status)
        return status;
    source.path = s24i_strdup(reader->memory, path);
    if (!source.path)
        return S24_E_MEMORY;
    s24i_list_insert(&reader->sources, reader->sources.count, &source, sizeof source);
    return S24_OK;
}

s24_status s24i_bad_tensor(const s24i_tensor *t, const char *what)
{
    return s24i_fail(S24_E_FORMAT, "tensor '%.100s': %s", t->name, what);
}

s24_status s24i_reader_reserve(s24i_reader *reader, int64_t count)
{
    size_t n = (size_t)count;

    reader->count = count;
    reader->tensors = s24i_alloc_zero(reader->memory, s24i_mul(n, sizeof *reader->tensors));
    reader->by_place = s24i_alloc(reader->memory, s24i_mul(n, sizeof(void *)));
    reader->by_name = s24i_alloc(reader->memory, s24i_mul(n, sizeof(void *)));
    return reader->tensors && reader->by_place && reader->by_name ? S24_OK : S24_E_MEMORY;
}

void s24i_reader_release(s24i_reader *reader)
{
    size_t n = (size_t)reader->count;
    s24i_source *sources = reader->sources.items;

    for (int64_t i = 0; i < reader->sources.count; i++)
        s24i_strfree(reader->memory, sources[i].path);
    s24i_list_free(reader->memory, &reader->sources, sizeof *sources);
    for (size_t i = 0; i < n && reader->tensors; i++)
        s24i_free(reader->memory, reader->tensors[i].aligned, reader->tensors[i].size);
    s24i_free(reader->memory, reader->by_name, s24i_mul(n, sizeof(void *)));
    s24i_free(reader->memory, reader->by_place, s24i_mul(n, sizeof(void *)));
    s24i_free(reader->memory, reader->tensors, s24i_mul(n, sizeof *reader->tensors));
}

s24_status s24i_tensor_measure(const s24i_tensor *t, uint64_t *size)
{
    int64_t elements_but_0 = 1, bits, block = t->element->block;
    bool empty = false;

    for (int32_t i = 0; i < t->rank; i++) {
        int64_t extent = t->shape[i] ? t->shape[i] : 1;
        empty |= t->shape[i] == 0;
        if (__builtin_mul_overflow(elements_but_0, extent, &elements_but_0))
            return s24i_bad_tensor(t, "the shape has 2^63 elements or more");
    }
    if (block > 1 && (t->rank ? t->shape[t->rank - 1] : 1) % block)
        return s24i_fail(S24_E_FORMAT, "tensor '%.100s': rows of %lld in blocks of %lld", t->name,
                         (long long)(t->rank ? t->shape[t->rank - 1] : 1), (long long)block);
    if (__builtin_mul_overflow(elements_but_0 / block + (block > 1), t->element->bits, &bits))
        return s24i_bad_tensor(t, "the shape has 2^63 bits or more");
    bits = empty ? 0 : elements_but_0 / block * t->element->bits;
    if (bits % 8)
        return s24i_fail(S24_E_FORMAT, "tensor '%.100s': shape and dtype need %lld bits", t->name,
                         (long long)bits);
    *size = (uint64_t)bits / 8;
    return S24_OK;
}

static int by_place(const void *a, const void *b)
{
    const s24i_tensor *s = a, *t = b;

    if (s->data != t->data)
        return s->data < t->data ? -1 : 1;
    if (s->size != t->size)
        return s->size < t->size ? -1 : 1;
    return strcmp(s->name, t->name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const s24i_tensor *)a)->name, ((const s24i_tensor *)b)->name);
}

s24_status s24i_reader_index(s24i_reader *reader)
{
    for (int64_t i = 0; i < reader->count; i++)
        reader->by_place[i] = reader->by_name[i] = &reader->tensors[i];
    s24i_sort(reader->by_name, reader->count, by_name);
    for (int64_t i = 1; i < reader->count; i++) {
        if (!by_name(reader->by_name[i - 1], reader->by_name[i]))
            return s24i_bad_tensor(reader->by_name[i], "is there twice");
    }
    return S24_OK;
}

s24_status s24i_reader_index_places(s24i_reader *reader)
{
    s24_status status = s24i_reader_index(reader);

    s24i_sort(reader->by_place, reader->count, by_place);
    for (int64_t i = 1; !status && i < reader->count; i++) {
        const s24i_tensor *before = reader->by_place[i - 1], *t = reader->by_place[i];
        if (t->data < before->data + before->size)
            status = s24i_bad_tensor(t, "overlaps the tensor before it");
    }
    return status;
}
