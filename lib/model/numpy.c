/* NumPy's .npy: magic, version, the size of a header, the header as a dictionary of Python, then
 * the data. */
#include "ids.h"
#include "tokenizer/contents.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct header {
    const char *text; /* NUL-terminated */
    size_t data;      /* where the elements begin */
} header;

static bool bad(const char *path, const char *what)
{
    return s24m_wrong(S24_E_FORMAT, "%s: .npy: %s", path, what);
}

static bool read_header(buffer *b, const char *path, header *h)
{
    const unsigned char *s = (const unsigned char *)b->data;
    size_t size = 0, wide = b->size > 6 && s[6] > 1 ? 4 : 2;
    if (b->size < 8 + wide)
        return bad(path, "is cut off");
    for (size_t i = 0; i < wide; i++)
        size |= (size_t)s[8 + i] << 8 * i;
    h->data = 8 + wide + size;
    if (s[6] < 1 || s[6] > 3 || !size || size > b->size - 8 - wide)
        return bad(path, "is of another version, or cut off");
    h->text = b->data + 8 + wide;
    b->data[h->data - 1] = 0; /* in place of its line end */
    return true;
}

/* What follows a key; NULL: it is not there. */
static const char *value_of(const header *h, const char *key)
{
    const char *at = strstr(h->text, key);
    at = at ? strchr(at + strlen(key), ':') : NULL;
    return at ? at + 1 + strspn(at + 1, " ") : NULL;
}

static bool read_type(const header *h, const char *path, int32_t *dtype, size_t *size)
{
    static const struct {
        const char *name;
        int32_t dtype;
        size_t size;
    } types[] = {{"'<i2'", S24_I16, 2},
                 {"'<u2'", S24_U16, 2},
                 {"'<i4'", S24_I32, 4},
                 {"'<u4'", S24_U32, 4},
                 {"'<i8'", S24_I64, 8}};
    const char *value = value_of(h, "'descr'");
    for (size_t i = 0; value && i < sizeof types / sizeof *types; i++)
        if (!strncmp(value, types[i].name, 5)) {
            *dtype = types[i].dtype;
            *size = types[i].size;
            return true;
        }
    return s24m_wrong(S24_E_DTYPE,
                      "%s: holds elements %.12s: expected integers of 16, 32 or 64 bits, little-"
                      "endian",
                      path, value ? value : "without a type");
}

/* "(8, 512)" or "(4096,)". */
static bool read_shape(const header *h, const char *path, int64_t shape[2], int32_t *rank)
{
    const char *at = value_of(h, "'shape'"), *order = value_of(h, "'fortran_order'");
    char *end;
    if (!at || *at != '(' || !order)
        return bad(path, "has no shape");
    for (at++, *rank = 0; *at && *at != ')'; at += strspn(at, ", ")) {
        long long extent = strtoll(at, &end, 10);
        if (end == at || extent < 0 || *rank == 2)
            return s24m_wrong(S24_E_SHAPE, "%s: expected an array of one or two dimensions", path);
        shape[(*rank)++] = extent;
        at = end;
    }
    if (!*rank)
        return s24m_wrong(S24_E_SHAPE, "%s: expected an array of one or two dimensions", path);
    return *rank < 2 || !strncmp(order, "False", 5) ||
           bad(path, "is in Fortran's order: save it with numpy.ascontiguousarray()");
}

bool s24m_numpy_open(id_source *s, const char *path)
{
    header h = {0};
    int64_t shape[2] = {0};
    int32_t rank = 1, dtype = 0;
    size_t size = 1;
    s->name = s24m_have(strdup(path));
    if (!s->name || !s24m_contents_read(&s->bytes, path) || !read_header(&s->bytes, path, &h) ||
        !read_type(&h, path, &dtype, &size) || !read_shape(&h, path, shape, &rank))
        return false;
    int64_t rows = rank < 2 ? 1 : shape[0], cols = shape[rank - 1];
    uint64_t held = (s->bytes.size - h.data) / size;
    if (rows && (uint64_t)cols > held / (uint64_t)rows)
        return bad(path, "is cut off: its shape wants more elements than there are");
    if (!rows || !cols)
        return s24m_wrong(S24_E_SHAPE, "%s: is empty", path);
    /* The header's size is a multiple of 64, at least in files that NumPy writes. */
    if (h.data % size)
        memmove(s->bytes.data, s->bytes.data + h.data, s->bytes.size - h.data);
    void *data = s->bytes.data + (h.data % size ? 0 : h.data);
    s->is_list = rank < 2;
    return s24m_good(s24_mat_rowmajor(&s->ids, data, rows, cols, dtype), "%s", path);
}

void s24m_id_source_close(id_source *s)
{
    s24_file_destroy(s->file);
    s24m_buffer_free(&s->bytes);
    free(s->name);
}
