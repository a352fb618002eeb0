#include "linear.h"
#include <math.h>
#include <string.h>

/* Halves of sums put together, given away and taken back, in groups of whole rows. */

enum { GROUP = 64 };

static int64_t group_rows(int64_t rows, int64_t first)
{
    return rows - first < GROUP ? rows - first : GROUP;
}

static s24_mat group_of(const s24_mat *mat, int64_t first)
{
    s24_mat part = *mat;
    part.data = (char *)mat->data + first * mat->row_stride * s24i_dtype_size(mat->dtype);
    part.rows = group_rows(mat->rows, first);
    return part;
}

static s24_mat plain(double *data, int64_t rows, int64_t cols)
{
    s24_mat mat = s24i_view(NULL, rows, cols);
    mat.data = data;
    mat.dtype = S24_F64;
    return mat;
}

static void add_sums(double *to, const double *from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] += from[i];
}

static void swap(double **a, double **b)
{
    double *kept = *a;
    *a = *b;
    *b = kept;
}

static s24_status check_empty(const double *sums, size_t count, const char *what, double rows)
{
    for (size_t i = 0; rows == 0 && i < count; i++)
        if (sums[i] != 0)
            return s24i_fail(S24_E_ARG, "rows is 0 and %s is not: sums over no rows are 0", what);
    return S24_OK;
}

static s24_status refuse_type(const char *what, int64_t row, int64_t col, double value)
{
    return s24i_fail(S24_E_NONFINITE,
                     "row %lld, column %lld is %g, which the type of %s cannot hold: take S24_F64",
                     (long long)row, (long long)col, value, what);
}

static s24_status check_finite(const char *what, int64_t i, const double *row, int64_t count)
{
    for (int64_t j = 0; j < count; j++)
        if (!isfinite(row[j]))
            return s24i_fail(S24_E_NONFINITE, "%s: row %lld, column %lld is %g", what, (long long)i,
                             (long long)j, row[j]);
    return S24_OK;
}

/* ---- of a gram ---- */

static size_t gram_count(const s24i_gram *gram)
{
    return s24i_gram_half_bytes(gram->dim) / sizeof(double);
}

void s24i_gram_merge(s24i_gram *dst, const s24i_gram *src)
{
    for (int half = 0; half < 2; half++) {
        add_sums(dst->half[half], src->half[half], gram_count(dst));
        dst->rows.x.weight[half] += src->rows.x.weight[half];
        dst->rows.count[half] += src->rows.count[half];
    }
}

static void spread_row(const s24i_gram *gram, int half, int64_t i, double *row)
{
    memcpy(row, s24i_gram_row(gram, half, i), (size_t)(i + 1) * sizeof *row);
    for (int64_t j = i + 1; j < gram->dim; j++)
        row[j] = s24i_gram_row(gram, half, j)[i];
}

s24_status s24i_gram_export(const s24i_device *device, const s24i_gram *gram, int half,
                            const s24_mat *h)
{
    int64_t dim = gram->dim;
    size_t size = s24i_mul((size_t)(GROUP * dim), sizeof(double));
    /* No entry of a sum of squares is larger than the largest of its diagonal. */
    for (int64_t j = 0; j < dim; j++)
        if (!s24i_fits(s24i_gram_row(gram, half, j)[j], h->dtype))
            return refuse_type("h", j, j, s24i_gram_row(gram, half, j)[j]);
    double *rows = s24i_alloc(device->memory, size);
    s24_status status = rows ? S24_OK : S24_E_MEMORY;
    for (int64_t first = 0; !status && first < dim; first += GROUP) {
        s24_mat dst = group_of(h, first), src = plain(rows, dst.rows, dim);
        for (int64_t i = 0; i < dst.rows; i++)
            spread_row(gram, half, first + i, rows + i * dim);
        status = s24i_mat_copy(device, &src, &dst);
    }
    s24i_free(device->memory, rows, size);
    return status;
}

/* The lower part of one row, checked, into the stored form. */
static s24_status take_lower(s24i_gram *gram, int64_t i, const double *row)
{
    s24_status status = check_finite("h", i, row, gram->dim);
    if (!status && row[i] < 0)
        status =
            s24i_fail(S24_E_ARG, "h: row %lld, column %lld is %g: a sum of squares is not negative",
                      (long long)i, (long long)i, row[i]);
    if (!status)
        memcpy((double *)s24i_gram_row(gram, 0, i), row, (size_t)(i + 1) * sizeof *row);
    return status;
}

/* By how much rounding to its type may take an entry over sqrt(h_ii h_jj); sums made in single
 * precision come in doubles too. */
static double excess(int32_t dtype)
{
    return dtype == S24_F16 ? 0x1p-10 : dtype == S24_BF16 ? 0x1p-7 : 1e-5;
}

/* The upper part of one row against the stored lower part; all rows below are stored already.
 * Squares of inputs far below the others may have vanished where their products with others have
 * not. */
static s24_status compare_upper(const s24i_gram *gram, int64_t i, const double *row,
                                double tolerance)
{
    for (int64_t j = i + 1; j < gram->dim; j++) {
        const double *mirror = s24i_gram_row(gram, 0, j);
        double most = sqrt(row[i]) * sqrt(mirror[j]);
        if (fabs(row[j] - mirror[i]) > 1e-6 * most)
            return s24i_fail(S24_E_ARG,
                             "h is not symmetric: row %lld, column %lld is %g and its mirror is %g",
                             (long long)i, (long long)j, row[j], mirror[i]);
        if (fabs(row[j]) > (1 + tolerance) * most + 1e-12 * fmax(row[i], mirror[j]))
            return s24i_fail(S24_E_ARG,
                             "h: row %lld, column %lld is %g: sums over rows with squares of %g "
                             "and %g are at most %g",
                             (long long)i, (long long)j, row[j], row[i], mirror[j], most);
    }
    return S24_OK;
}

/* From the last rows to the first, so that one pass sees both triangles. */
static s24_status read_gram(const s24i_device *device, s24i_gram *made, const s24_mat *h,
                            double *rows)
{
    s24_status status = S24_OK;
    int64_t dim = made->dim;
    for (int64_t first = (dim - 1) / GROUP * GROUP; !status && first >= 0; first -= GROUP) {
        int64_t count = group_rows(dim, first);
        s24i_mat_load_f64(device->kernels, h, first, count, rows);
        for (int64_t i = 0; !status && i < count; i++)
            status = take_lower(made, first + i, rows + i * dim);
        for (int64_t i = 0; !status && i < count; i++)
            status = compare_upper(made, first + i, rows + i * dim, excess(h->dtype));
    }
    return status;
}

/* Into a half of its own, which then takes the place of the old one. */
s24_status s24i_gram_import(const s24i_device *device, s24i_gram *gram, int half, const s24_mat *h,
                            double rows)
{
    s24i_gram made = {.dim = gram->dim};
    size_t size = s24i_gram_half_bytes(made.dim);
    size_t group = s24i_mul((size_t)(GROUP * made.dim), sizeof(double));
    double *scratch = s24i_alloc(device->memory, group);
    made.half[0] = s24i_alloc_zero(device->memory, size);
    s24_status status =
        made.half[0] && scratch ? read_gram(device, &made, h, scratch) : S24_E_MEMORY;
    s24i_free(device->memory, scratch, group);
    if (!status)
        status = check_empty(made.half[0], gram_count(&made), "h", rows);
    if (!status)
        status = s24i_gram_flush(device, gram, half ? S24I_SECOND : S24I_FIRST);
    if (!status) {
        swap(&gram->half[half], &made.half[0]);
        gram->rows.x.weight[half] = gram->rows.count[half] = rows;
    }
    s24i_free(device->memory, made.half[0], size);
    return status;
}

/* ---- of a cross ---- */

static size_t cross_count(const s24i_cross *cross)
{
    return s24i_cross_half_bytes(cross) / sizeof(double);
}

void s24i_cross_merge(s24i_cross *dst, const s24i_cross *src)
{
    for (int half = 0; half < 2; half++) {
        add_sums(dst->half[half], src->half[half], cross_count(dst));
        add_sums(dst->norm2[half], src->norm2[half], (size_t)dst->out);
        dst->t.weight[half] += src->t.weight[half];
    }
}

s24_status s24i_cross_export(const s24i_device *device, const s24i_cross *cross, int half,
                             const s24_mat *c, double *norm2)
{
    s24_mat sums = plain(cross->half[half], cross->out, cross->in);
    for (int64_t i = 0; i < cross->out * cross->in; i++)
        if (!s24i_fits(cross->half[half][i], c->dtype))
            return refuse_type("c", i / cross->in, i % cross->in, cross->half[half][i]);
    s24_status status = s24i_mat_copy(device, &sums, c);
    if (!status && norm2)
        memcpy(norm2, cross->norm2[half], (size_t)cross->out * sizeof *norm2);
    return status;
}

static s24_status check_norm2(const double *norm2, int64_t count, double rows)
{
    for (int64_t i = 0; i < count; i++)
        if (!(norm2[i] >= 0 && isfinite(norm2[i])))
            return s24i_fail(isfinite(norm2[i]) ? S24_E_ARG : S24_E_NONFINITE,
                             "norm2: value %lld is %g: a sum of squares is finite and not negative",
                             (long long)i, norm2[i]);
    return check_empty(norm2, (size_t)count, "norm2", rows);
}

/* Read the arguments into half 0 of `made`, which has the room. */
static s24_status read_cross(const s24i_device *device, s24i_cross *made, const s24_mat *c,
                             const double *norm2, double rows)
{
    s24_status status = check_norm2(norm2, made->out, rows);
    for (int64_t i = 0; !status && i < made->out; i++) {
        double *row = made->half[0] + i * made->in;
        s24i_mat_load_f64(device->kernels, c, i, 1, row);
        status = check_finite("c", i, row, made->in);
    }
    memcpy(made->norm2[0], norm2, (size_t)made->out * sizeof *norm2);
    return status ? status : check_empty(made->half[0], cross_count(made), "c", rows);
}

s24_status s24i_cross_import(const s24i_device *device, s24i_gram *gram, s24i_cross *cross,
                             int half, const s24_mat *c, const double *norm2, double rows)
{
    s24i_cross made = {.out = cross->out, .in = cross->in};
    size_t size = s24i_cross_half_bytes(cross), norm2_size = (size_t)made.out * sizeof(double);
    made.half[0] = s24i_alloc(device->memory, size);
    made.norm2[0] = s24i_alloc(device->memory, norm2_size);
    s24_status status =
        made.half[0] && made.norm2[0] ? read_cross(device, &made, c, norm2, rows) : S24_E_MEMORY;
    if (!status)
        status = s24i_gram_flush(device, gram, half ? S24I_SECOND : S24I_FIRST);
    if (!status) {
        swap(&cross->half[half], &made.half[0]);
        swap(&cross->norm2[half], &made.norm2[0]);
        cross->t.weight[half] = rows;
    }
    s24i_free(device->memory, made.norm2[0], norm2_size);
    s24i_free(device->memory, made.half[0], size);
    return status;
}

/* Cauchy and Schwarz: |c_ij|^2 <= |t_i|^2 h_jj in sums over the same rows; what comes in 16 bits
 * is rounded. */
s24_status s24i_cross_compare(const s24i_gram *gram, const s24i_cross *cross, int half)
{
    for (int64_t i = 0; i < cross->out * cross->in; i++) {
        double t = cross->norm2[half][i / cross->in];
        double h = s24i_gram_row(gram, half, i % cross->in)[i % cross->in];
        double most = sqrt(t) * sqrt(h);
        if (fabs(cross->half[half][i]) > 1.01 * most + 1e-12 * fmax(t, h))
            return s24i_fail(S24_E_STATE,
                             "half %d of the target: row %lld, column %lld is %g: sums over rows "
                             "with squares of %g and %g are at most %g",
                             half + 1, (long long)(i / cross->in), (long long)(i % cross->in),
                             cross->half[half][i], t, h, most);
    }
    return S24_OK;
}
