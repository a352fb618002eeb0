#include "spool.h"
#include "base/error.h"
#include "os.h"
#include "temporary.h"
#include <string.h>

enum { CHUNK = 65536 };

uint64_t s24i_align(uint64_t at, uint64_t alignment)
{
    return (at + alignment - 1) / alignment * alignment;
}

static const s24i_spool_class *class_of(const s24i_spool *s)
{
    return (const s24i_spool_class *)s->writer.class;
}

s24_status s24i_spool_open(s24i_spool *s, const s24i_spool_class *class, s24i_memory *memory,
                           const char *path)
{
    s->writer.class = &class->writer;
    s->writer.memory = memory;
    s->fd = -1;
    s->writer.path = s24i_strdup(memory, path);
    s->chunk = s->writer.path ? s24i_alloc(memory, CHUNK) : NULL;
    return s->chunk ? s24i_temporary_spool(memory, path, &s->fd) : S24_E_MEMORY;
}

static void free_entry(s24i_memory *memory, const s24i_entry *e)
{
    s24i_strfree(memory, e->name);
    s24i_strfree(memory, e->type);
}

void s24i_spool_close(s24i_spool *s)
{
    s24i_memory *memory = s->writer.memory;
    s24i_entry *entries = s->entries.items;

    for (int64_t i = 0; i < s->entries.count; i++)
        free_entry(memory, &entries[i]);
    s24i_list_free(memory, &s->entries, sizeof(s24i_entry));
    s24i_names_free(memory, &s->names);
    if (s->fd >= 0)
        s24i_os_discard(s->fd);
    s24i_free(memory, s->chunk, CHUNK);
    s24i_strfree(memory, s->writer.path);
}

/* ---- Tensors. ---- */

/* Append the matrix to the spool, in row-major order and chunks. */
static s24_status write_matrix(s24i_spool *s, const s24i_entry *e, const s24_mat *mat)
{
    int64_t count = mat->rows * mat->cols, block = e->element->block,
            chunk = CHUNK / (e->element->bits / 8) * block;
    uint64_t at = e->begin;
    s24_status status = S24_OK;

    if (s24i_entry_is_plain(e, mat))
        return s24i_os_write(s->fd, s->writer.path, mat->data, e->size, at);
    for (int64_t done = 0, n; !status && done < count; done += n) {
        n = count - done < chunk ? count - done : chunk;
        uint64_t size = (uint64_t)(n / block * (e->element->bits / 8));
        status = s24i_entry_encode(e, mat, done, n, s->chunk);
        if (!status)
            status = s24i_os_write(s->fd, s->writer.path, s->chunk, size, at);
        at += size;
    }
    return status;
}

/* Append what a tensor is decoded to. */
static s24_status write_decoded(s24i_spool *s, const s24i_entry *e, const s24i_tensor *t)
{
    int64_t rows, cols;

    s24i_tensor_extents(t, &rows, &cols);
    size_t row = (size_t)cols * sizeof(float);
    float *strip = s24i_alloc(s->writer.memory, s24i_mul(S24I_DECODED_ROWS, row));
    s24_status status = strip ? S24_OK : S24_E_MEMORY;
    for (int64_t i = 0, n; !status && i < rows; i += n) {
        n = rows - i < S24I_DECODED_ROWS ? rows - i : S24I_DECODED_ROWS;
        s24i_tensor_decode(t, i, n, strip, cols);
        status = s24i_os_write(s->fd, s->writer.path, strip, (uint64_t)n * row,
                               e->begin + (uint64_t)i * row);
    }
    s24i_free(s->writer.memory, strip, s24i_mul(S24I_DECODED_ROWS, row));
    return status;
}

static s24_status write_stored(s24i_spool *s, const s24i_entry *e, const s24i_tensor *t)
{
    return t->packing ? write_decoded(s, e, t)
                      : s24i_os_write(s->fd, s->writer.path, t->data, e->size, e->begin);
}

/* Write the data of an entry that is complete but for its name, and add it: those of a matrix, or
 * of a tensor as it is stored. */
static s24_status add(s24i_spool *s, s24i_entry *e, const char *name, const s24_mat *mat,
                      const s24i_tensor *stored)
{
    s24i_memory *memory = s->writer.memory;
    s24_status status;

    if (s24i_names_hold(&s->names, name))
        return s24i_fail(S24_E_ARG, "tensor name '%.100s': already in the file", name);
    if ((status = s24i_list_reserve(memory, &s->entries, sizeof *e)) ||
        (status = s24i_names_reserve(memory, &s->names)))
        return status;
    e->name = s24i_strdup(memory, name);
    e->type = stored && !stored->element->bits ? s24i_strdup(memory, stored->type) : NULL;
    e->begin = s->size;
    if (!e->name || (stored && !stored->element->bits && !e->type))
        status = S24_E_MEMORY;
    else
        status = mat ? write_matrix(s, e, mat) : write_stored(s, e, stored);
    if (status) {
        free_entry(memory, e);
        return status;
    }
    s->size += e->size;
    s24i_names_add(&s->names, e->name);
    s24i_list_insert(&s->entries, s->entries.count, e, sizeof *e);
    return S24_OK;
}

static s24_status check_name(const s24i_spool *s, const char *name)
{
    const char *fault = s24i_fault_of_name(class_of(s), name);

    return fault ? s24i_fail(S24_E_ARG, "tensor name '%.100s': %s", name ? name : "", fault)
                 : S24_OK;
}

s24_status s24i_spool_put(s24i_writer *w, const char *name, const s24_mat *mat,
                          const int64_t *shape, int32_t rank, const char *type)
{
    s24i_spool *s = (s24i_spool *)w;
    s24i_entry e = {0};
    s24_status status = check_name(s, name);

    if (status)
        return status;
    status = s24i_entry_fill(&e, class_of(s), mat, shape, rank, type);
    if (status)
        return s24i_fail(status, "tensor '%.100s': %s", name, s24i_error_text());
    status = add(s, &e, name, mat, NULL);
    return status == S24_E_NONFINITE
               ? s24i_fail(status, "tensor '%.100s': %s", name, s24i_error_text())
               : status;
}

s24_status s24i_spool_check_stored(s24i_writer *w, const s24i_tensor *t)
{
    const s24i_spool *s = (const s24i_spool *)w;
    const s24i_spool_class *class = class_of(s);
    s24_status status = check_name(s, t->name);

    if (status)
        return status;
    if (!class->takes(t->element))
        return s24i_fail(S24_E_DTYPE, "tensor '%.100s': format %s has no type %s", t->name,
                         class->writer.format, t->type);
    if (t->rank > class->max_rank)
        return s24i_fail(S24_E_SHAPE, "tensor '%.100s': rank %d is not in 0 .. %d", t->name,
                         (int)t->rank, (int)class->max_rank);
    return S24_OK;
}

s24_status s24i_spool_put_stored(s24i_writer *w, const s24i_tensor *t)
{
    s24i_entry e = {.element = t->element,
                    .number = t->number,
                    .rank = t->rank,
                    .size = s24i_tensor_written(t)};
    s24_status status = s24i_spool_check_stored(w, t);

    memcpy(e.shape, t->shape, sizeof e.shape);
    return status ? status : add((s24i_spool *)w, &e, t->name, NULL, t);
}

/* ---- Commit. ---- */

static s24_status write_temporary(const s24i_spool *s, const s24i_text *header, const char *path,
                                  int fd)
{
    const s24i_entry *entries = s->entries.items;
    uint64_t alignment = class_of(s)->alignment(s), at = header->size;
    s24_status status = s24i_os_write(fd, path, header->data, header->size, 0);

    for (int64_t i = 0; !status && i < s->entries.count; i++) {
        const s24i_entry *e = &entries[i];
        status = s24i_os_copy(s->fd, fd, path, e->begin, e->size, at);
        at = s24i_align(at + e->size, alignment);
    }
    return status ? status : s24i_os_extend(fd, path, at);
}

/* Make `path` appear, with all of its bytes or not at all. */
static s24_status replace(const s24i_spool *s, const s24i_text *header, const char *path)
{
    s24i_temporary t;
    s24_status status = s24i_temporary_file(s->writer.memory, path, &t);

    if (status)
        return status;
    status = write_temporary(s, header, path, t.fd);
    if (!status)
        status = s24i_temporary_publish(&t, path);
    s24i_temporary_drop(&t);
    return status;
}

s24_status s24i_spool_publish(const s24i_spool *s, const char *path)
{
    s24i_text header = {.memory = s->writer.memory};
    s24_status status = class_of(s)->header(s, &header);

    if (!status && header.failed)
        status = S24_E_MEMORY;
    if (!status)
        status = replace(s, &header, path);
    s24i_text_free(&header);
    return status;
}

s24_status s24i_spool_appear(s24i_writer *w)
{
    return s24i_spool_publish((const s24i_spool *)w, w->path);
}
