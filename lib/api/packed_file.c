/* Packed matrices in files: as a type of GGUF, or as a tensor a part with a line of metadata. */
#include "api.h"
#include "base/number.h"
#include "io/reader.h"
#include "io/writer.h"
#include "pack/pack.h"
#include <stdio.h>
#include <string.h>

#define KEY "sparse24.packed."

enum { WORD = 64, NAME = 1000 };

/* The element types that packed matrices may have. */
static const int32_t dtypes[] = {S24_F32, S24_F16, S24_BF16, S24_I8};
enum { DTYPES = sizeof dtypes / sizeof *dtypes };

static int upper(int c)
{
    return c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c;
}

static int lower(int c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

/* "q4_0" as "Q4_0" and back. */
static void convert(const char *from, int (*each)(int), char to[WORD])
{
    size_t i = 0;

    for (; from[i] && i < WORD - 1; i++)
        to[i] = (char)each((unsigned char)from[i]);
    to[i] = 0;
}

/* "<a><b>" and "<a>.<b>". */
static s24_status join(const char *a, const char *between, const char *b, char joined[NAME])
{
    int length = snprintf(joined, NAME, "%s%s%s", a, between, b);

    return length > 0 && length < NAME
               ? S24_OK
               : s24i_fail(S24_E_ARG, "the name '%.100s' is too long", *between ? a : b);
}

/* ---- Writing ---- */

static s24_status put_blocks(s24i_writer *writer, const char *name, const s24_packed *packed)
{
    const char *layout;
    char type[WORD];
    s24i_tensor tensor = {.name = name, .rank = 2};
    s24_mat blocks;

    s24_packed_info(packed, &layout, &tensor.shape[0], &tensor.shape[1], NULL);
    convert(layout, upper, type);
    tensor.element = s24i_element_by_name(type);
    if (!tensor.element)
        return s24i_fail(S24_E_DTYPE,
                         "a GGUF file has no type for layout %s, only for q4_0, q4_1 and q8_0",
                         layout);
    s24_status status = s24_packed_matrix(packed, "blocks", &blocks);
    tensor.type = tensor.element->name;
    tensor.data = blocks.data;
    tensor.size = (uint64_t)(blocks.rows * blocks.cols);
    return status ? status : s24i_writer_put_stored(writer, &tensor);
}

/* "LAYOUT ROWS COLS TYPE PART,PART" */
static void describe(const s24_packed *packed, char line[NAME])
{
    const char *layout, *name;
    int64_t rows, cols;
    int32_t dtype, used;

    s24_packed_info(packed, &layout, &rows, &cols, &dtype);
    used = snprintf(line, NAME, "%s %lld %lld %s ", layout, (long long)rows, (long long)cols,
                    s24i_element_by_dtype(dtype)->name);
    for (int32_t i = 0; !s24_packed_part(packed, i, &name, NULL, NULL) && name; i++)
        used += snprintf(line + used, (size_t)(NAME - used), "%s%s", i ? "," : "", name);
}

static s24_status put_part(s24i_writer *writer, const char *name, const s24_packed *packed,
                           const char *part)
{
    char full[NAME];
    int64_t shape[8];
    int32_t rank;
    s24_mat view;
    s24_status status = join(name, ".", part, full);

    if (!status)
        status = s24_packed_matrix(packed, part, &view);
    if (!status)
        status = s24_packed_shape(packed, part, shape, &rank);
    return status ? status : s24i_writer_put(writer, full, &view, shape, rank, NULL);
}

static s24_status put_parts(s24i_writer *writer, const char *name, const s24_packed *packed)
{
    char key[NAME], line[NAME];
    const char *part;
    s24_status status = join(KEY, "", name, key);

    for (int32_t i = 0; !status && !s24_packed_part(packed, i, &part, NULL, NULL) && part; i++)
        status = put_part(writer, name, packed, part);
    describe(packed, line);
    return status ? status : s24i_writer_set_meta(writer, key, line);
}

s24_status s24_file_put_packed(s24_file *file, const char *name, const s24_packed *packed)
{
    s24_status status = s24i_check_writer(file);

    if (!status)
        status = s24i_check_pointer(name, "name");
    if (!status && !*name)
        status = s24i_fail(S24_E_ARG, "the name is empty");
    if (!status)
        status = s24i_check_handle(packed, S24I_PACKED, "packed");
    if (status)
        return s24i_done(__func__, status);
    bool gguf = !strcmp(file->writer->class->format, "gguf");
    return s24i_done(__func__, (gguf ? put_blocks : put_parts)(file->writer, name, packed));
}

/* ---- Reading ---- */

/* What was found of a packed matrix. */
typedef struct found {
    char layout[WORD];
    int64_t rows, cols;
    int32_t dtype, count;
    const void *data[S24I_MAX_PARTS];
    size_t sizes[S24I_MAX_PARTS];
} found;

static void take(const s24i_tensor *tensor, found *f)
{
    f->data[f->count] = tensor->data;
    f->sizes[f->count++] = tensor->size;
}

/* The type of the tensor says it all. */
static s24_status find_blocks(s24i_reader *reader, const char *name, found *f)
{
    const s24i_tensor *tensor;
    s24_status status = s24i_reader_find(reader, name, &tensor);

    if (status)
        return status;
    if (tensor->rank != 2 || !tensor->element->encode)
        return s24i_fail(S24_E_ARG, "tensor '%.100s' of type %s is no packed matrix", name,
                         tensor->type);
    convert(tensor->type, lower, f->layout);
    f->rows = tensor->shape[0];
    f->cols = tensor->shape[1];
    f->dtype = S24_F32;
    take(tensor, f);
    return S24_OK;
}

/* The word that *at begins with, which goes behind it. */
static bool next(const char **at, char end, char word[WORD])
{
    size_t length = strcspn(*at, (const char[]){end, 0});

    if (!length || length >= WORD)
        return false;
    memcpy(word, *at, length);
    word[length] = 0;
    *at += length + ((*at)[length] == end);
    return true;
}

/* What goes before the parts. */
static bool read_facts(const char **at, found *f)
{
    char rows[WORD], cols[WORD], type[WORD];

    if (!next(at, ' ', f->layout) || !next(at, ' ', rows) || !next(at, ' ', cols) ||
        !next(at, ' ', type))
        return false;
    for (int i = 0; i < DTYPES; i++)
        if (!strcmp(type, s24i_element_by_dtype(dtypes[i])->name))
            f->dtype = dtypes[i];
    return f->dtype && s24i_integer_read(rows, &f->rows) && s24i_integer_read(cols, &f->cols);
}

static s24_status find_parts(s24i_reader *reader, const char *name, found *f)
{
    char key[NAME], part[WORD], full[NAME];
    const char *line = NULL;
    const s24i_tensor *tensor;
    s24_status status = join(KEY, "", name, key);

    if (!status)
        status = s24i_reader_meta(reader, key, &line);
    if (status)
        return status;
    if (!line)
        return s24i_fail(S24_E_ARG, "there is no packed matrix '%.100s'", name);
    const char *at = line;
    bool good = read_facts(&at, f);
    while (good && *at && !status) {
        good = f->count < S24I_MAX_PARTS && next(&at, ',', part);
        status = good ? join(name, ".", part, full) : S24_OK;
        if (good && !status)
            status = s24i_reader_find(reader, full, &tensor);
        if (good && !status)
            take(tensor, f);
    }
    return good ? status : s24i_fail(S24_E_FORMAT, "%.100s: malformed: '%.100s'", key, line);
}

static s24_status find(const s24_file *file, const char *name, found *f)
{
    bool gguf = !strcmp(file->reader->class->format, "gguf");

    return (gguf ? find_blocks : find_parts)(file->reader, name, f);
}

s24_status s24_file_packed(const s24_file *file, const char *name, s24_packed **out)
{
    found f = {.dtype = 0};
    s24_status status = s24i_check_reader(file, name);

    if (!status)
        status = s24i_check_pointer(out, "out");
    if (!status)
        status = find(file, name, &f);
    if (status)
        return s24i_done(__func__, status);
    return s24_packed_wrap(file->object.ctx, f.layout, f.rows, f.cols, f.dtype, f.data, f.sizes,
                           f.count, out);
}
