#include "linear.h"
#include <float.h>
#include <math.h>
#include <string.h>

static const char *element(const s24_mat *mat, int64_t row, int64_t col)
{
    int64_t offset =
        (mat->rows > 1 ? row * mat->row_stride : 0) + (mat->cols > 1 ? col * mat->col_stride : 0);
    return (const char *)mat->data + offset * s24i_dtype_size(mat->dtype);
}

static bool contiguous_row(const s24_mat *mat)
{
    return mat->cols <= 1 || mat->col_stride == 1;
}

static void load_row(const s24i_kernels *kernels, const s24_mat *mat, int64_t row, float *out)
{
    const void *p = element(mat, row, 0);
    if (contiguous_row(mat) && mat->dtype == S24_F32) {
        memcpy(out, p, (size_t)mat->cols * sizeof(float));
    } else if (contiguous_row(mat) && mat->dtype == S24_F16) {
        kernels->f16_to_f32(p, out, mat->cols);
    } else if (contiguous_row(mat) && mat->dtype == S24_BF16) {
        kernels->bf16_to_f32(p, out, mat->cols);
    } else {
        for (int64_t j = 0; j < mat->cols; j++)
            out[j] = (float)s24i_load(mat->dtype, element(mat, row, j));
    }
}

const float *s24i_mat_row(const s24_mat *mat, int64_t row)
{
    return contiguous_row(mat) && mat->dtype == S24_F32 ? (const float *)element(mat, row, 0)
                                                        : NULL;
}

void s24i_mat_load(const s24i_kernels *kernels, const s24_mat *mat, int64_t row, int64_t count,
                   float *out)
{
    if (mat->dtype == S24_F32 && !contiguous_row(mat) && (mat->rows <= 1 || mat->row_stride == 1)) {
        kernels->transpose((const float *)element(mat, row, 0), mat->col_stride, out, mat->cols,
                           mat->cols, count);
        return;
    }
    for (int64_t i = 0; i < count; i++)
        load_row(kernels, mat, row + i, out + i * mat->cols);
}

void s24i_mat_load_f64(const s24i_kernels *kernels, const s24_mat *mat, int64_t row, int64_t count,
                       double *out)
{
    for (int64_t i = 0; i < count; i++, out += mat->cols) {
        if (contiguous_row(mat) && mat->dtype == S24_F32) {
            kernels->difference_f64((const float *)element(mat, row + i, 0), NULL, out, mat->cols);
            continue;
        }
        for (int64_t j = 0; j < mat->cols; j++)
            out[j] = s24i_load(mat->dtype, element(mat, row + i, j));
    }
}

bool s24i_fits(double value, int32_t dtype)
{
    double rounded;
    if (dtype == S24_F64)
        return isfinite(value);
    s24i_store(dtype, (float)value, &rounded);
    return isfinite(s24i_load(dtype, &rounded));
}

static void store_row(const s24i_kernels *kernels, const float *in, const s24_mat *mat, int64_t row)
{
    void *p = (void *)element(mat, row, 0);
    if (contiguous_row(mat) && mat->dtype == S24_F32) {
        memcpy(p, in, (size_t)mat->cols * sizeof(float));
    } else if (contiguous_row(mat) && mat->dtype == S24_F16) {
        kernels->f32_to_f16(in, p, mat->cols);
    } else if (contiguous_row(mat) && mat->dtype == S24_BF16) {
        kernels->f32_to_bf16(in, p, mat->cols);
    } else {
        for (int64_t j = 0; j < mat->cols; j++)
            s24i_store(mat->dtype, in[j], (void *)element(mat, row, j));
    }
}

void s24i_mat_store(const s24i_kernels *kernels, const float *in, const s24_mat *mat, int64_t row,
                    int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        store_row(kernels, in + i * mat->cols, mat, row + i);
}

/* Magnitudes order like their bits. */
float s24i_largest(const float *x, int64_t count)
{
    uint32_t largest = 0;
    float value;
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits &= 0x7fffffff;
        largest = bits > largest ? bits : largest;
    }
    memcpy(&value, &largest, sizeof value);
    return value;
}

void s24i_multiply_by(float *x, double unit, int64_t count)
{
    for (int64_t i = 0; unit != 1 && i < count; i++)
        x[i] = (float)(x[i] * unit);
}

/* ---- whole matrices, in tiles of rows ---- */

enum { TILE = 64 };

typedef struct {
    const s24i_device *device;
    const s24_mat *src, *dst;
    float *out;
    _Atomic int64_t bad; /* first offending element, rows * cols when none */
} whole;

static int64_t tiles(int64_t rows)
{
    return (rows + TILE - 1) / TILE;
}

static int64_t tile_rows(int64_t rows, int64_t tile)
{
    return rows - tile * TILE < TILE ? rows - tile * TILE : TILE;
}

static void read_tile(void *arg, int64_t tile, int32_t worker)
{
    (void)worker;
    whole *job = arg;
    int64_t cols = job->src->cols, count = tile_rows(job->src->rows, tile) * cols;
    float *out = job->out + tile * TILE * cols;
    s24i_mat_load(job->device->kernels, job->src, tile * TILE, tile_rows(job->src->rows, tile),
                  out);
    int64_t bad = job->device->kernels->first_nonfinite(out, count);
    if (bad >= 0)
        s24i_keep_minimum(&job->bad, tile * TILE * cols + bad);
}

static s24_status refuse(const s24_mat *mat, const char *what, int64_t at, const char *why)
{
    int64_t row = at / mat->cols, col = at % mat->cols;
    return s24i_fail(S24_E_NONFINITE, "%s: row %lld, column %lld is %g%s", what, (long long)row,
                     (long long)col, s24i_load(mat->dtype, element(mat, row, col)), why);
}

s24_status s24i_mat_refuse(const s24_mat *mat, const char *what, int64_t bad)
{
    int64_t count = mat->rows * mat->cols;
    if (bad < count) {
        bool finite =
            isfinite(s24i_load(mat->dtype, element(mat, bad / mat->cols, bad % mat->cols)));
        return refuse(mat, what, bad, finite ? ", beyond single precision (3.4e38)" : "");
    }
    for (int64_t i = 0; i < count; i++)
        if (s24i_load(mat->dtype, element(mat, i / mat->cols, i % mat->cols)) != 0)
            return refuse(mat, what, i,
                          ", and no other is larger than 1.2e-38: these vanish in single "
                          "precision, multiply them by a power of two");
    return S24_OK;
}

/* Doubles of which nothing is left would be a matrix of zeros. */
static s24_status check_vanished(const s24_mat *mat, const char *what, const float *out)
{
    int64_t count = mat->rows * mat->cols;
    if (mat->dtype != S24_F64 || s24i_largest(out, count) >= FLT_MIN)
        return S24_OK;
    return s24i_mat_refuse(mat, what, count);
}

s24_status s24i_cpu_mat_read(const s24i_run *run, const s24_mat *mat, const char *what, float *out)
{
    whole job = {.device = run->device, .src = mat, .out = out, .bad = mat->rows * mat->cols};
    s24_status status = s24i_parallel(run->device->threads, read_tile, &job, tiles(mat->rows));
    int64_t bad = atomic_load(&job.bad);
    if (status)
        return status;
    return bad == mat->rows * mat->cols ? check_vanished(mat, what, out)
                                        : s24i_mat_refuse(mat, what, bad);
}

static void copy_exact(const s24_mat *src, const s24_mat *dst, int64_t row)
{
    size_t size = (size_t)s24i_dtype_size(src->dtype);
    if (contiguous_row(src) && contiguous_row(dst)) {
        memmove((void *)element(dst, row, 0), element(src, row, 0), (size_t)src->cols * size);
        return;
    }
    for (int64_t j = 0; j < src->cols; j++)
        memcpy((void *)element(dst, row, j), element(src, row, j), size);
}

static void convert_row(const s24i_kernels *kernels, const s24_mat *src, const s24_mat *dst,
                        int64_t row)
{
    if (dst->dtype == S24_F32 && contiguous_row(dst)) {
        load_row(kernels, src, row, (float *)element(dst, row, 0));
    } else if (src->dtype == S24_F32 && contiguous_row(src)) {
        store_row(kernels, (const float *)element(src, row, 0), dst, row);
    } else {
        for (int64_t j = 0; j < src->cols; j++)
            s24i_store(dst->dtype, s24i_load(src->dtype, element(src, row, j)),
                       (void *)element(dst, row, j));
    }
}

static void copy_tile(void *arg, int64_t tile, int32_t worker)
{
    (void)worker;
    whole *job = arg;
    for (int64_t i = 0; i < tile_rows(job->src->rows, tile); i++) {
        if (job->src->dtype == job->dst->dtype)
            copy_exact(job->src, job->dst, tile * TILE + i);
        else
            convert_row(job->device->kernels, job->src, job->dst, tile * TILE + i);
    }
}

s24_status s24i_mat_copy(const s24i_device *device, const s24_mat *src, const s24_mat *dst)
{
    whole job = {.device = device, .src = src, .dst = dst};
    return s24i_parallel(device->threads, copy_tile, &job, tiles(src->rows));
}
