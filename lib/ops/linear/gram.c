#include "rows.h"
#include <string.h>

int64_t s24i_strip_width(int64_t dim, int64_t strip)
{
    int64_t width = (strip + 1) * S24I_STRIP;
    return width < dim ? width : dim;
}

int64_t s24i_strip_offset(int64_t dim, int64_t strip)
{
    (void)dim; /* all strips before the last are complete */
    return (int64_t)S24I_STRIP * S24I_STRIP * strip * (strip + 1) / 2;
}

static int64_t strips(int64_t dim)
{
    return (dim + S24I_STRIP - 1) / S24I_STRIP;
}

static int64_t strip_rows(int64_t dim, int64_t strip)
{
    return s24i_strip_width(dim, strip) - strip * S24I_STRIP;
}

size_t s24i_gram_half_bytes(int64_t dim)
{
    int64_t last = strips(dim) - 1;
    return s24i_mul((size_t)(s24i_strip_offset(dim, last) + strip_rows(dim, last) * dim),
                    sizeof(double));
}

const double *s24i_gram_row(const s24i_gram *gram, int half, int64_t i)
{
    int64_t strip = i / S24I_STRIP;
    return gram->half[half] + s24i_strip_offset(gram->dim, strip) +
           (i - strip * S24I_STRIP) * s24i_strip_width(gram->dim, strip);
}

double s24i_gram_diagonal(const s24i_gram *gram, int which, int64_t j)
{
    return (which & S24I_FIRST ? s24i_gram_row(gram, 0, j)[j] : 0) +
           (which & S24I_SECOND ? s24i_gram_row(gram, 1, j)[j] : 0);
}

/* ---- adding a batch: the sums of one task are one strip ---- */

/* Columns of one product: what it leaves is added while it is in the cache. Rows that are looked at
 * together. */
enum { TILE = 1024, ROWS = 32 };

typedef struct {
    const s24i_device *device;
    s24i_gram *gram;
    s24i_cross *cross;
    const s24i_rows *rows; /* of one of them */
    char *scratch;         /* S24I_STRIP x TILE of the accumulator's type, a worker */
    int half;
    double x_unit, t_unit;                    /* what the batch was multiplied with */
    float largest[2][S24I_BATCH_ROWS / ROWS]; /* |x|, |t| of a tile of rows */
} batch;

static size_t element_size(const s24i_rows *rows)
{
    return rows->type == S24_F32 ? sizeof(float) : sizeof(double);
}

static size_t scratch_bytes(const s24i_rows *rows)
{
    return (size_t)(S24I_STRIP * TILE) * element_size(rows);
}

/* out (height x width) = A^T B over the batch, A and B starting at columns a and b of its rows. */
static void batch_product(const s24i_rows *rows, int half, int64_t a, int64_t b, int64_t height,
                          int64_t width, void *out)
{
    int64_t ld = rows->x_cols + rows->t_cols, k = rows->filled[half];
    const float *f = rows->batch[half];
    const double *d = rows->batch[half];
    if (rows->type == S24_F32)
        s24i_sgemm(height, width, k, 1, s24i_f32_turned(f + a, ld), s24i_f32(f + b, ld), 0,
                   s24i_f32_out(out, width));
    else
        s24i_dgemm(height, width, k, 1, s24i_f64_turned(d + a, ld), s24i_f64(d + b, ld), 0,
                   s24i_f64_out(out, width));
}

/* The lower triangle of the same with A = B. */
static void batch_square(const s24i_rows *rows, int half, int64_t a, int64_t size, void *out)
{
    int64_t ld = rows->x_cols + rows->t_cols, k = rows->filled[half];
    if (rows->type == S24_F32)
        s24i_ssyrk(size, k, (const float *)rows->batch[half] + a, ld, out, size);
    else
        s24i_dsyrk(size, k, (const double *)rows->batch[half] + a, ld, out, size);
}

/* acc += in / unit */
static void add_row(const batch *job, int32_t type, const void *in, int64_t offset, double unit,
                    double *acc, int64_t n)
{
    if (unit != 1) {
        for (int64_t j = 0; j < n; j++)
            acc[j] += ((const float *)in)[offset + j] / unit;
        return;
    }
    if (type == S24_F32) {
        job->device->kernels->add_f32_to_f64((const float *)in + offset, acc, n);
        return;
    }
    const double *x = (const double *)in + offset;
    for (int64_t j = 0; j < n; j++)
        acc[j] += x[j];
}

/* ---- batches in single precision, brought to where squares neither vanish nor overflow ---- */

static int64_t row_tiles(const s24i_rows *rows, int half)
{
    return (rows->filled[half] + ROWS - 1) / ROWS;
}

static void measure_tile(void *arg, int64_t tile, int32_t worker)
{
    (void)worker;
    batch *job = arg;
    const s24i_rows *rows = job->rows;
    int64_t width = rows->x_cols + rows->t_cols, first = tile * ROWS, last = first + ROWS;
    float x = 0, t = 0;
    for (int64_t i = first; i < last && i < rows->filled[job->half]; i++) {
        const float *row = (const float *)rows->batch[job->half] + i * width;
        x = fmaxf(x, s24i_largest(row, rows->x_cols));
        t = fmaxf(t, s24i_largest(row + rows->x_cols, rows->t_cols));
    }
    job->largest[0][tile] = x;
    job->largest[1][tile] = t;
}

static void multiply_tile(void *arg, int64_t tile, int32_t worker)
{
    (void)worker;
    const batch *job = arg;
    const s24i_rows *rows = job->rows;
    int64_t width = rows->x_cols + rows->t_cols, first = tile * ROWS, last = first + ROWS;
    for (int64_t i = first; i < last && i < rows->filled[job->half]; i++) {
        float *row = (float *)rows->batch[job->half] + i * width;
        for (int64_t j = 0; j < width; j++)
            row[j] = (float)(row[j] * (j < rows->x_cols ? job->x_unit : job->t_unit));
    }
}

static s24_status choose_units(batch *job)
{
    const s24i_rows *rows = job->rows;
    float x = 0, t = 0;
    job->x_unit = job->t_unit = 1;
    if (rows->type != S24_F32)
        return S24_OK;
    s24i_threads *threads = job->device->threads;
    s24_status status = s24i_parallel(threads, measure_tile, job, row_tiles(rows, job->half));
    for (int64_t i = 0; !status && i < row_tiles(rows, job->half); i++) {
        x = fmaxf(x, job->largest[0][i]);
        t = fmaxf(t, job->largest[1][i]);
    }
    job->x_unit = s24i_unit_for(x);
    job->t_unit = s24i_unit_for(t);
    if (status || (job->x_unit == 1 && job->t_unit == 1))
        return status;
    return s24i_parallel(threads, multiply_tile, job, row_tiles(rows, job->half));
}

/* ---- their products ---- */

static int64_t tile_width(int64_t column, int64_t end)
{
    return end - column < TILE ? end - column : TILE;
}

static void gram_strip(void *arg, int64_t index, int32_t worker)
{
    const batch *job = arg;
    const s24i_gram *gram = job->gram;
    const s24i_rows *rows = &gram->rows;
    int64_t strip = strips(gram->dim) - 1 - index; /* the widest first */
    int64_t first = strip * S24I_STRIP, height = strip_rows(gram->dim, strip);
    int64_t ld = s24i_strip_width(gram->dim, strip);
    double *sum = gram->half[job->half] + s24i_strip_offset(gram->dim, strip);
    double unit = job->x_unit * job->x_unit;
    void *out = job->scratch + (size_t)worker * scratch_bytes(rows);
    for (int64_t column = 0; column < first; column += TILE) {
        int64_t width = tile_width(column, first);
        batch_product(rows, job->half, first, column, height, width, out);
        for (int64_t i = 0; i < height; i++)
            add_row(job, rows->type, out, i * width, unit, sum + i * ld + column, width);
    }
    batch_square(rows, job->half, first, height, out);
    for (int64_t i = 0; i < height; i++)
        add_row(job, rows->type, out, i * height, unit, sum + i * ld + first, i + 1);
}

static s24_status add_gram_batch(void *sums, int half)
{
    batch *job = sums;
    job->half = half;
    s24_status status = choose_units(job);
    return status ? status
                  : s24i_parallel(job->device->threads, gram_strip, job, strips(job->gram->dim));
}

static s24_status with_scratch(const s24i_device *device, s24i_rows *rows, batch *job,
                               const s24_mat *x, const s24_mat *t, const s24_mat *row_weight,
                               s24i_add_batch_fn add)
{
    size_t size = scratch_bytes(rows) * (size_t)s24i_workers(device->threads);
    job->rows = rows;
    if (!(job->scratch = s24i_alloc(device->memory, size)))
        return S24_E_MEMORY;
    s24_status status = S24_OK;
    if (x)
        status = s24i_rows_add(device, rows, x, t, row_weight, add, job);
    for (int half = 0; !x && !status && half < 2; half++)
        if (rows->filled[half]) {
            status = add(job, half);
            rows->filled[half] = 0;
        }
    s24i_free(device->memory, job->scratch, size);
    return status;
}

s24_status s24i_gram_init(const s24i_device *device, s24i_gram *gram, int64_t dim, int32_t type)
{
    *gram = (s24i_gram){.dim = dim};
    s24_status status = s24i_rows_init(device, &gram->rows, dim, 0, type);
    for (int half = 0; !status && half < 2; half++)
        if (!(gram->half[half] = s24i_alloc_zero(device->memory, s24i_gram_half_bytes(dim))))
            status = S24_E_MEMORY;
    if (status)
        s24i_gram_fini(device, gram);
    return status;
}

void s24i_gram_fini(const s24i_device *device, s24i_gram *gram)
{
    for (int half = 0; half < 2; half++)
        s24i_free(device->memory, gram->half[half], s24i_gram_half_bytes(gram->dim));
    s24i_rows_fini(device, &gram->rows);
    gram->half[0] = gram->half[1] = NULL;
}

s24_status s24i_gram_add(const s24i_device *device, s24i_gram *gram, const s24_mat *x,
                         const s24_mat *row_weight)
{
    batch job = {.device = device, .gram = gram};
    return with_scratch(device, &gram->rows, &job, x, NULL, row_weight, add_gram_batch);
}

s24_status s24i_gram_flush(const s24i_device *device, s24i_gram *gram)
{
    batch job = {.device = device, .gram = gram};
    if (!gram->rows.filled[0] && !gram->rows.filled[1])
        return S24_OK;
    return with_scratch(device, &gram->rows, &job, NULL, NULL, NULL, add_gram_batch);
}

/* ---- cross: T^T X, strips of outputs ---- */

static void cross_strip(void *arg, int64_t strip, int32_t worker)
{
    const batch *job = arg;
    const s24i_cross *cross = job->cross;
    const s24i_rows *rows = &cross->rows;
    int64_t first = strip * S24I_STRIP, height = cross->out - first;
    if (height > S24I_STRIP)
        height = S24I_STRIP;
    double *sum = cross->half[job->half] + first * cross->in, unit = job->x_unit * job->t_unit;
    void *out = job->scratch + (size_t)worker * scratch_bytes(rows);
    for (int64_t column = 0; column < cross->in; column += TILE) {
        int64_t width = tile_width(column, cross->in);
        batch_product(rows, job->half, cross->in + first, column, height, width, out);
        for (int64_t i = 0; i < height; i++)
            add_row(job, rows->type, out, i * width, unit, sum + i * cross->in + column, width);
    }
}

static void add_norms(const batch *job)
{
    const s24i_rows *rows = &job->cross->rows;
    int64_t width = rows->x_cols + rows->t_cols;
    double *norm2 = job->cross->norm2[job->half];
    for (int64_t i = 0; i < rows->filled[job->half]; i++) {
        int64_t t = i * width + rows->x_cols;
        if (rows->type == S24_F32) {
            job->device->kernels->add_squares((const float *)rows->batch[job->half] + t, norm2,
                                              rows->t_cols);
            continue;
        }
        const double *row = (const double *)rows->batch[job->half] + t;
        for (int64_t j = 0; j < rows->t_cols; j++)
            norm2[j] += row[j] * row[j];
    }
}

static s24_status add_cross_batch(void *sums, int half)
{
    batch *job = sums;
    job->half = half;
    add_norms(job);
    s24_status status = choose_units(job);
    return status ? status
                  : s24i_parallel(job->device->threads, cross_strip, job,
                                  (job->cross->out + S24I_STRIP - 1) / S24I_STRIP);
}

static size_t cross_half_bytes(const s24i_cross *cross)
{
    return s24i_mul(s24i_mul((size_t)cross->out, (size_t)cross->in), sizeof(double));
}

s24_status s24i_cross_init(const s24i_device *device, s24i_cross *cross, int64_t out, int64_t in,
                           int32_t type)
{
    *cross = (s24i_cross){.out = out, .in = in};
    s24_status status = s24i_rows_init(device, &cross->rows, in, out, type);
    for (int half = 0; !status && half < 2; half++) {
        cross->half[half] = s24i_alloc_zero(device->memory, cross_half_bytes(cross));
        cross->norm2[half] = s24i_alloc_zero(device->memory, (size_t)out * sizeof(double));
        if (!cross->half[half] || !cross->norm2[half])
            status = S24_E_MEMORY;
    }
    if (status)
        s24i_cross_fini(device, cross);
    return status;
}

void s24i_cross_fini(const s24i_device *device, s24i_cross *cross)
{
    for (int half = 0; half < 2; half++) {
        s24i_free(device->memory, cross->half[half], cross_half_bytes(cross));
        s24i_free(device->memory, cross->norm2[half], (size_t)cross->out * sizeof(double));
        cross->half[half] = cross->norm2[half] = NULL;
    }
    s24i_rows_fini(device, &cross->rows);
}

s24_status s24i_cross_add(const s24i_device *device, s24i_cross *cross, const s24_mat *x,
                          const s24_mat *t, const s24_mat *row_weight)
{
    batch job = {.device = device, .cross = cross};
    return with_scratch(device, &cross->rows, &job, x, t, row_weight, add_cross_batch);
}

s24_status s24i_cross_flush(const s24i_device *device, s24i_cross *cross)
{
    batch job = {.device = device, .cross = cross};
    if (!cross->rows.filled[0] && !cross->rows.filled[1])
        return S24_OK;
    return with_scratch(device, &cross->rows, &job, NULL, NULL, NULL, add_cross_batch);
}
