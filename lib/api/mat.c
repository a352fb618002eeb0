#include "api.h"
#include <math.h>
#include <stdio.h>

s24_mat s24i_mat_plain(void *data, int64_t rows, int64_t cols, int32_t dtype)
{
    return (s24_mat){.data = data,
                     .rows = rows,
                     .cols = cols,
                     .row_stride = cols,
                     .col_stride = 1,
                     .dtype = dtype,
                     .device = S24_CPU};
}

s24_mat s24i_mat_rows(const s24_mat *mat, int64_t row, int64_t count)
{
    s24_mat part = *mat;

    if (row > 0)
        part.data = (char *)mat->data + row * mat->row_stride * s24i_dtype_size(mat->dtype);
    part.rows = count;
    return part;
}

/* ---- Checks ---- */

static const char *type_name(int32_t dtype, char spare[16])
{
    const s24i_element *element = s24i_element_by_dtype(dtype);

    if (element)
        return element->code;
    snprintf(spare, 16, "0x%04x", (unsigned)dtype);
    return spare;
}

static s24_status check_type(int32_t dtype, const char *what, int32_t accept)
{
    char spare[16];

    if (!s24i_element_by_dtype(dtype))
        return s24i_fail(S24_E_DTYPE, "%s has the unknown dtype %s", what, type_name(dtype, spare));
    if (accept == S24I_FLOAT_TYPE && !s24i_is_float(dtype))
        return s24i_fail(S24_E_DTYPE,
                         "%s has dtype %s, but must be S24_F16, S24_BF16, S24_F32 or S24_F64", what,
                         type_name(dtype, spare));
    if (accept == S24I_MASK_TYPE && dtype != S24_BOOL && dtype != S24_U8)
        return s24i_fail(S24_E_DTYPE, "%s has dtype %s, but must be S24_BOOL or S24_U8", what,
                         type_name(dtype, spare));
    return S24_OK;
}

static s24_status check_place(const s24_mat *mat, const char *what, bool anywhere)
{
    bool device = mat->device == S24_CUDA || mat->device == S24_CUDA_MANAGED;

    if (mat->device != S24_CPU && !(anywhere && device))
        return s24i_fail(mat->device == S24_CUDA || mat->device == S24_CUDA_HOST ||
                                 mat->device == S24_CUDA_MANAGED
                             ? S24_E_UNSUPPORTED
                             : S24_E_ARG,
                         "%s is on device %d, but S24_CPU (%d) is read here", what,
                         (int)mat->device, S24_CPU);
    if (mat->flags || mat->reserved)
        return s24i_fail(S24_E_ARG, "%s has flags %d and reserved %llu, but both must be 0", what,
                         (int)mat->flags, (unsigned long long)mat->reserved);
    return S24_OK;
}

/* Does the block of extents times element size, and the last element's address, stay in reach of a
 * pointer? */
static bool fits(const s24_mat *mat)
{
    int64_t last_row = 0, last_col = 0, count, span, bytes;

    if (__builtin_mul_overflow(mat->rows, mat->cols, &count) ||
        __builtin_mul_overflow(count, (int64_t)sizeof(double), &bytes))
        return false;
    if (mat->rows > 1 && __builtin_mul_overflow(mat->rows - 1, mat->row_stride, &last_row))
        return false;
    if (mat->cols > 1 && __builtin_mul_overflow(mat->cols - 1, mat->col_stride, &last_col))
        return false;
    return !__builtin_add_overflow(last_row, last_col, &span) && span < INT64_MAX &&
           !__builtin_mul_overflow(span + 1, (int64_t)s24i_dtype_size(mat->dtype), &bytes);
}

static s24_status check_extents(const s24_mat *mat, const char *what)
{
    if (mat->rows < 0 || mat->cols < 0)
        return s24i_fail(S24_E_SHAPE, "%s is %lld x %lld: an extent is negative", what,
                         (long long)mat->rows, (long long)mat->cols);
    if (mat->rows == 0 || mat->cols == 0)
        return S24_OK;
    if ((mat->rows > 1 && mat->row_stride < 1) || (mat->cols > 1 && mat->col_stride < 1))
        return s24i_fail(S24_E_SHAPE, "%s has strides %lld and %lld, but they must be positive",
                         what, (long long)mat->row_stride, (long long)mat->col_stride);
    if (!fits(mat))
        return s24i_fail(S24_E_SHAPE,
                         "%s is %lld x %lld with strides %lld and %lld: too large for an address",
                         what, (long long)mat->rows, (long long)mat->cols,
                         (long long)mat->row_stride, (long long)mat->col_stride);
    if (!mat->data)
        return s24i_fail(S24_E_ARG, "%s has no data: its pointer is NULL", what);
    if ((uintptr_t)mat->data % (uintptr_t)s24i_dtype_size(mat->dtype))
        return s24i_fail(S24_E_ARG, "%s is not aligned to its %d-byte elements", what,
                         (int)s24i_dtype_size(mat->dtype));
    return S24_OK;
}

s24_status s24i_check_mat(const s24_mat *mat, const char *what, int32_t accept)
{
    s24_status status = s24i_check_pointer(mat, what);

    if (!status)
        status = check_place(mat, what, accept & S24I_ON_DEVICE);
    if (!status)
        status = check_type(mat->dtype, what, accept & S24I_TYPES);
    return status ? status : check_extents(mat, what);
}

s24_status s24i_check_shape(const s24_mat *mat, const char *what, int64_t rows, int64_t cols)
{
    if (mat->rows == rows && mat->cols == cols)
        return S24_OK;
    return s24i_fail(S24_E_SHAPE, "%s is %lld x %lld, but must be %lld x %lld", what,
                     (long long)mat->rows, (long long)mat->cols, (long long)rows, (long long)cols);
}

static s24_status check_row(const s24_mat *mat, const char *what, int64_t row, const double *values,
                            bool non_negative)
{
    for (int64_t j = 0; j < mat->cols; j++) {
        bool finite = isfinite(values[j]);
        if (!finite || (non_negative && values[j] < 0))
            return s24i_fail(finite ? S24_E_ARG : S24_E_NONFINITE,
                             "%s: row %lld, column %lld is %g%s", what, (long long)row,
                             (long long)j, values[j], finite ? ", but may not be negative" : "");
    }
    return S24_OK;
}

s24_status s24i_check_dim(int64_t dim, const char *what)
{
    if (dim >= 1 && dim <= S24I_MAX_DIM)
        return S24_OK;
    return s24i_fail(S24_E_SHAPE, "%s is %lld, but must be in 1 .. %d", what, (long long)dim,
                     S24I_MAX_DIM);
}

s24_status s24i_check_sum(double value, const char *what)
{
    if (value >= 0 && isfinite(value))
        return S24_OK;
    return s24i_fail(isfinite(value) ? S24_E_ARG : S24_E_NONFINITE,
                     "%s is %g, but must be finite and not negative", what, value);
}

s24_status s24i_check_values(s24_ctx *ctx, const s24_mat *mat, const char *what, bool non_negative)
{
    size_t size = s24i_mul((size_t)mat->cols, sizeof(double));
    double *row = s24i_alloc(&ctx->memory, size);
    s24_status status = row ? S24_OK : S24_E_MEMORY;

    for (int64_t i = 0; !status && i < mat->rows; i++) {
        s24i_mat_load_f64(&ctx->kernels, mat, i, 1, row);
        status = check_row(mat, what, i, row, non_negative);
    }
    s24i_free(&ctx->memory, row, size);
    return status;
}

/* ---- Results beside operands ---- */

/* Bytes from the first element to behind the last. */
static uintptr_t extent_of(const s24_mat *mat)
{
    int64_t last = (mat->rows > 1 ? (mat->rows - 1) * mat->row_stride : 0) +
                   (mat->cols > 1 ? (mat->cols - 1) * mat->col_stride : 0);

    return mat->rows && mat->cols ? (uintptr_t)(last + 1) * (uintptr_t)s24i_dtype_size(mat->dtype)
                                  : 0;
}

static bool ranges_meet(const s24_mat *a, const s24_mat *b)
{
    uintptr_t first = (uintptr_t)a->data, other = (uintptr_t)b->data;

    return extent_of(a) && extent_of(b) && first < other + extent_of(b) &&
           other < first + extent_of(a);
}

static bool same_strides(const s24_mat *a, const s24_mat *b)
{
    return a->dtype == b->dtype &&
           (a->rows <= 1 || b->rows <= 1 || a->row_stride == b->row_stride) &&
           (a->cols <= 1 || b->cols <= 1 || a->col_stride == b->col_stride);
}

/* Of two with the same strides, `steps` rows apart and on: is any element of one an element of the
 * other? Blocks of columns of one matrix lie in each other's range and have none in common. */
static bool elements_meet(const s24_mat *a, const s24_mat *b, int64_t steps)
{
    const s24_mat *tall = a->rows > 1 ? a : b, *wide = a->cols > 1 ? a : b;
    int64_t row_stride = tall->rows > 1 ? tall->row_stride : 1;
    int64_t col_stride = wide->cols > 1 ? wide->col_stride : 1;
    int64_t between = ((const char *)b->data - (const char *)a->data) / s24i_dtype_size(a->dtype);

    for (; steps < b->rows; steps++) {
        int64_t rest = -between - steps * row_stride, cols = rest / col_stride;
        if (cols <= -a->cols)
            return false;
        if (rest % col_stride == 0 && cols < b->cols)
            return true;
    }
    return false;
}

s24_status s24i_check_apart(const s24_mat *out, const char *out_name, const s24_mat *in,
                            const char *in_name, bool in_place)
{
    if (elements_meet(out, out, 1))
        return s24i_fail(S24_E_ARG,
                         "%s has strides %lld and %lld, with which elements of its %lld x %lld lie "
                         "on each other",
                         out_name, (long long)out->row_stride, (long long)out->col_stride,
                         (long long)out->rows, (long long)out->cols);
    if (!ranges_meet(out, in) || (in_place && out->data == in->data && same_strides(out, in)) ||
        (same_strides(out, in) && !elements_meet(out, in, 1 - out->rows)))
        return S24_OK;
    return s24i_fail(S24_E_ARG, "%s lies where %s lies: %s", out_name, in_name,
                     in_place ? "in place means the same matrix"
                              : "the result may not overlap an operand");
}

/* ---- Public ---- */

static s24_status rowmajor(s24_mat *mat, void *data, int64_t rows, int64_t cols, int32_t dtype)
{
    s24_mat made = s24i_mat_plain(data, rows, cols, dtype);
    s24_status status = s24i_check_pointer(mat, "mat");

    if (!status)
        status = s24i_check_mat(&made, "the matrix", S24I_ANY_TYPE);
    if (!status)
        *mat = made;
    return status;
}

s24_status s24_mat_rowmajor(s24_mat *mat, void *data, int64_t rows, int64_t cols, int32_t dtype)
{
    return s24i_done(__func__, rowmajor(mat, data, rows, cols, dtype));
}

s24_status s24i_copy_mat(s24_ctx *ctx, const s24_mat *src, const s24_mat *dst)
{
    char spare[2][16];
    s24_status status = s24i_check_mat(src, "src", S24I_ANY_TYPE);

    if (!status)
        status = s24i_check_mat(dst, "dst", S24I_ANY_TYPE);
    if (!status)
        status = s24i_check_shape(dst, "dst", src->rows, src->cols);
    if (!status)
        status = s24i_check_apart(dst, "dst", src, "src", true);
    if (status)
        return status;
    if (src->dtype != dst->dtype && !(s24i_is_float(src->dtype) && s24i_is_float(dst->dtype)))
        return s24i_fail(S24_E_DTYPE,
                         "no conversion from %s to %s: both must be 16-, 32- or 64-bit "
                         "floats, or equal",
                         type_name(src->dtype, spare[0]), type_name(dst->dtype, spare[1]));
    s24i_enter(ctx);
    status = s24i_mat_copy(&ctx->cpu, src, dst);
    s24i_leave(ctx);
    return status;
}

s24_status s24_mat_copy(s24_ctx *ctx, const s24_mat *src, const s24_mat *dst)
{
    s24_status status = s24i_check_handle(ctx, S24I_CTX, "ctx");

    return s24i_done(__func__, status ? status : s24i_copy_mat(ctx, src, dst));
}

static s24_status check_product(const s24_mat *x, const s24_mat *w, const s24_mat *y)
{
    s24_status status = s24i_check_mat(x, "x", S24I_FLOAT_TYPE);

    if (!status)
        status = s24i_check_mat(w, "w", S24I_FLOAT_TYPE);
    if (!status)
        status = s24i_check_mat(y, "y", S24I_FLOAT_TYPE);
    if (!status)
        status = s24i_check_shape(w, "w", w->rows, x->cols);
    if (!status)
        status = s24i_check_shape(y, "y", x->rows, w->rows);
    if (!status)
        status = s24i_check_apart(y, "y", x, "x", false);
    return status ? status : s24i_check_apart(y, "y", w, "w", false);
}

s24_status s24_mat_multiply(s24_ctx *ctx, const s24_mat *x, const s24_mat *w, const s24_mat *y)
{
    s24_status status = s24i_check_handle(ctx, S24I_CTX, "ctx");

    if (!status)
        status = check_product(x, w, y);
    if (status)
        return s24i_done(__func__, status);
    status = s24i_enter(ctx);
    if (!status)
        status = s24i_mat_multiply(&ctx->cpu, x, w, y);
    s24i_leave(ctx);
    return s24i_done(__func__, status);
}
