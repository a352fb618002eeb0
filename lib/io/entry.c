#include "base/error.h"
#include "base/utf8.h"
#include "spool.h"
#include <math.h>
#include <string.h>

/* ---- Values. ---- */

static bool is_truth(int32_t dtype)
{
    return dtype == S24_BOOL || dtype == S24_U8;
}

static void store(const s24i_element *from_type, const void *from, const s24i_element *type,
                  void *to)
{
    if (from_type == type)
        memcpy(to, from, (size_t)type->bits / 8);
    else if (s24i_is_float(type->dtype))
        s24i_store(type->dtype, s24i_load(from_type->dtype, from), to);
    else
        *(unsigned char *)to = *(const unsigned char *)from != 0;
}

static bool is_contiguous(const s24_mat *mat)
{
    return (mat->cols <= 1 || mat->col_stride == 1) &&
           (mat->rows <= 1 || mat->row_stride == mat->cols);
}

static const char *address(const s24_mat *mat, int64_t i, int64_t j, int64_t size)
{
    int64_t rows = mat->rows > 1 ? mat->row_stride : 0, cols = mat->cols > 1 ? mat->col_stride : 0;

    return (const char *)mat->data + (i * rows + j * cols) * size;
}

/* ---- Checks. ---- */

const char *s24i_fault_of_name(const s24i_spool_class *class, const char *name)
{
    if (!name || !*name)
        return "empty";
    if (class->reserved && !strcmp(name, class->reserved))
        return "reserved";
    size_t left = strlen(name);
    if (left > (size_t) class->max_name)
        return "longer than the format allows";
    for (size_t n; left; name += n, left -= n) {
        n = s24i_utf8_length(name, left);
        if (n == 0)
            return "not UTF-8";
        if ((unsigned char)*name < 0x20 || *name == 0x7f)
            return "has control characters";
    }
    return NULL;
}

static s24_status check_matrix(const s24_mat *mat)
{
    int64_t count;

    if (!mat || mat->device != S24_CPU || mat->flags || mat->reserved || mat->rows < 0 ||
        mat->cols < 0)
        return s24i_fail(S24_E_ARG, "not a matrix in the processor's memory");
    if (__builtin_mul_overflow(mat->rows, mat->cols, &count) || count > INT64_MAX / 64)
        return s24i_fail(S24_E_SHAPE, "too many elements");
    if (count && !mat->data)
        return s24i_fail(S24_E_ARG, "a matrix without data");
    if (count && ((mat->rows > 1 && mat->row_stride < 1) || (mat->cols > 1 && mat->col_stride < 1)))
        return s24i_fail(S24_E_SHAPE, "strides must be positive");
    return S24_OK;
}

static s24_status set_shape(s24i_entry *e, int32_t max_rank, const s24_mat *mat,
                            const int64_t *shape, int32_t rank)
{
    int64_t count = 1, plain[2] = {mat->rows, mat->cols};

    e->rank = shape ? rank : 2;
    if (e->rank < 0 || e->rank > max_rank)
        return s24i_fail(S24_E_SHAPE, "rank %d is not in 0 .. %d", (int)rank, (int)max_rank);
    for (int32_t i = 0; i < e->rank; i++) {
        e->shape[i] = shape ? shape[i] : plain[i];
        if (e->shape[i] < 0 || __builtin_mul_overflow(count, e->shape[i], &count))
            return s24i_fail(S24_E_SHAPE, "dimension %d, %lld, is negative or too large", (int)i,
                             (long long)e->shape[i]);
    }
    if (count != mat->rows * mat->cols)
        return s24i_fail(S24_E_SHAPE, "a shape of %lld elements for a matrix of %lld x %lld",
                         (long long)count, (long long)mat->rows, (long long)mat->cols);
    return S24_OK;
}

static s24_status choose_type(s24i_entry *e, const s24i_spool_class *class, const s24_mat *mat,
                              const char *type)
{
    const s24i_element *from = s24i_element_by_dtype(mat->dtype);
    const s24i_element *to = type ? s24i_element_by_name(type) : from;

    if (!from)
        return s24i_fail(S24_E_DTYPE, "unknown dtype 0x%x", (unsigned)mat->dtype);
    if (!to)
        return s24i_fail(S24_E_DTYPE, "unknown type '%.32s'", type);
    if (!class->takes(to))
        return s24i_fail(S24_E_DTYPE, "format %s has no type %s", class->writer.format, to->name);
    int32_t a = from->dtype, b = to->dtype;
    if (from != to && !(s24i_is_float(a) && (s24i_is_float(b) || to->encode)) &&
        !(is_truth(a) && is_truth(b)))
        return s24i_fail(S24_E_DTYPE, "%s cannot be stored as %s", from->name, to->name);
    e->element = to;
    return S24_OK;
}

static s24_status set_size(s24i_entry *e, int64_t count)
{
    int64_t block = e->element->block, last = e->rank ? e->shape[e->rank - 1] : 1;

    if (last % block)
        return s24i_fail(S24_E_SHAPE, "rows of %lld are not whole blocks of %lld", (long long)last,
                         (long long)block);
    e->size = (uint64_t)(count / block * (e->element->bits / 8));
    return S24_OK;
}

s24_status s24i_entry_fill(s24i_entry *e, const s24i_spool_class *class, const s24_mat *mat,
                           const int64_t *shape, int32_t rank, const char *type)
{
    s24_status status = check_matrix(mat);

    if (!status)
        status = set_shape(e, class->max_rank, mat, shape, rank);
    if (!status)
        status = choose_type(e, class, mat, type);
    return status ? status : set_size(e, mat->rows * mat->cols);
}

/* ---- Encoding. ---- */

bool s24i_entry_is_plain(const s24i_entry *e, const s24_mat *mat)
{
    return e->element->dtype == mat->dtype && is_contiguous(mat);
}

/* 32 values that follow in the matrix, the first of them in row i, column j. */
static s24_status encode_block(const s24i_entry *e, const s24_mat *mat, int64_t first,
                               unsigned char *bytes)
{
    const s24i_element *from = s24i_element_by_dtype(mat->dtype);
    int64_t i = first / mat->cols, j = first % mat->cols;
    float values[S24I_GGUF_BLOCK];

    for (int k = 0; k < S24I_GGUF_BLOCK; k++) {
        values[k] = (float)s24i_load(mat->dtype, address(mat, i, j, from->bits / 8));
        if (!isfinite(values[k]))
            return s24i_fail(S24_E_NONFINITE, "row %lld, column %lld is %g as a float",
                             (long long)i, (long long)j, values[k]);
        if (++j == mat->cols) {
            j = 0;
            i++;
        }
    }
    if (e->element->encode(values, bytes))
        return S24_OK;
    return s24i_fail(S24_E_NONFINITE, "row %lld, column %lld: too large for %s",
                     (long long)(first / mat->cols), (long long)(first % mat->cols),
                     e->element->name);
}

s24_status s24i_entry_encode(const s24i_entry *e, const s24_mat *mat, int64_t first, int64_t count,
                             unsigned char *bytes)
{
    const s24i_element *from = s24i_element_by_dtype(mat->dtype);
    int64_t i = first / mat->cols, j = first % mat->cols, size = e->element->bits / 8;
    s24_status status = S24_OK;

    if (e->element->encode) {
        for (int64_t k = 0; !status && k < count; k += S24I_GGUF_BLOCK, bytes += size)
            status = encode_block(e, mat, first + k, bytes);
        return status;
    }
    for (int64_t k = 0; k < count; k++, bytes += size) {
        store(from, address(mat, i, j, from->bits / 8), e->element, bytes);
        if (++j == mat->cols) {
            j = 0;
            i++;
        }
    }
    return S24_OK;
}
