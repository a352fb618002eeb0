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

/* ---- adding a batch: the sums of one task are a strip of the gram, or a block of a cross ---- */

/* Columns of one product, and rows of that of a cross: what it leaves is added while it is in the
 * cache. Rows that are multiplied at once. */
enum { TILE = 1024, OUTPUTS = 1024, ROWS = 32 };

typedef struct {
    const s24i_device *device;
    s24i_gram *gram;
    char *scratch; /* scratch_size() elements of the accumulator's type, a worker */
    int half;
    s24i_stream *stream; /* that is multiplied */
} batch;

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static s24i_cross *first_cross(const s24i_gram *gram)
{
    return (s24i_cross *)gram->rows.x.next;
}

static s24i_cross *next_cross(const s24i_cross *cross)
{
    return (s24i_cross *)cross->t.next;
}

/* Outputs of one block: shares of at most OUTPUTS that are nearly equal. */
static int64_t block_height(const s24i_cross *cross)
{
    int64_t blocks = (cross->out + OUTPUTS - 1) / OUTPUTS;
    int64_t share = (cross->out + blocks - 1) / blocks;
    return (share + S24I_STRIP - 1) / S24I_STRIP * S24I_STRIP;
}

static size_t scratch_size(const s24i_gram *gram)
{
    int64_t size = S24I_STRIP * TILE;
    for (const s24i_cross *c = first_cross(gram); c; c = next_cross(c))
        size = larger(size, smaller(block_height(c), c->out) * smaller(c->in, TILE));
    return (size_t)size;
}

static size_t element_size(const s24i_rows *rows)
{
    return rows->type == S24_F32 ? sizeof(float) : sizeof(double);
}

static void *scratch_of(const batch *job, int32_t worker)
{
    return job->scratch + (size_t)worker * scratch_size(job->gram) * element_size(&job->gram->rows);
}

/* Columns of a batch. */
typedef struct {
    const s24i_stream *stream;
    int64_t first, count;
} columns;

/* out (a's x b's) = A^T B over the batch. */
static void batch_product(const batch *job, columns a, columns b, void *out)
{
    const s24i_rows *rows = &job->gram->rows;
    int64_t lda = a.stream->cols, ldb = b.stream->cols, k = rows->filled[job->half];
    const void *left = a.stream->batch[job->half], *right = b.stream->batch[job->half];
    if (rows->type == S24_F32)
        s24i_sgemm(a.count, b.count, k, 1, s24i_f32_turned((const float *)left + a.first, lda),
                   s24i_f32((const float *)right + b.first, ldb), 0, s24i_f32_out(out, b.count));
    else
        s24i_dgemm(a.count, b.count, k, 1, s24i_f64_turned((const double *)left + a.first, lda),
                   s24i_f64((const double *)right + b.first, ldb), 0, s24i_f64_out(out, b.count));
}

/* The lower triangle of the same with A = B. */
static void batch_square(const batch *job, columns a, void *out)
{
    const s24i_rows *rows = &job->gram->rows;
    int64_t ld = a.stream->cols, k = rows->filled[job->half];
    const void *left = a.stream->batch[job->half];
    if (rows->type == S24_F32)
        s24i_ssyrk(a.count, k, (const float *)left + a.first, ld, out, a.count);
    else
        s24i_dsyrk(a.count, k, (const double *)left + a.first, ld, out, a.count);
}

/* acc += in / unit */
static void add_row(const batch *job, const void *in, int64_t offset, double unit, double *acc,
                    int64_t n)
{
    if (unit != 1) {
        for (int64_t j = 0; j < n; j++)
            acc[j] += ((const float *)in)[offset + j] / unit;
        return;
    }
    if (job->gram->rows.type == S24_F32) {
        job->device->kernels->add_f32_to_f64((const float *)in + offset, acc, n);
        return;
    }
    const double *x = (const double *)in + offset;
    for (int64_t j = 0; j < n; j++)
        acc[j] += x[j];
}

/* ---- batches in single precision, brought to where squares neither vanish nor overflow ---- */

static void multiply_tile(void *arg, int64_t tile, int32_t worker)
{
    (void)worker;
    const batch *job = arg;
    const s24i_stream *stream = job->stream;
    int64_t last = smaller((tile + 1) * ROWS, job->gram->rows.filled[job->half]);
    for (int64_t i = tile * ROWS; i < last; i++)
        s24i_multiply_by((float *)stream->batch[job->half] + i * stream->cols, stream->unit,
                         stream->cols);
}

static s24_status choose_units(batch *job)
{
    const s24i_rows *rows = &job->gram->rows;
    s24_status status = S24_OK;
    for (s24i_stream *s = &job->gram->rows.x; s && !status; s = s->next) {
        int32_t bits = (int32_t)atomic_load(&s->largest[job->half]);
        float largest;
        memcpy(&largest, &bits, sizeof largest);
        s->unit = s24i_unit_for(largest);
        job->stream = s;
        if (s->unit != 1)
            status = s24i_parallel(job->device->threads, multiply_tile, job,
                                   (rows->filled[job->half] + ROWS - 1) / ROWS);
    }
    return status;
}

/* ---- their products ---- */

static void gram_strip(const batch *job, int64_t strip, void *out)
{
    const s24i_gram *gram = job->gram;
    const s24i_stream *x = &gram->rows.x;
    int64_t first = strip * S24I_STRIP, height = strip_rows(gram->dim, strip);
    int64_t ld = s24i_strip_width(gram->dim, strip);
    double *sum = gram->half[job->half] + s24i_strip_offset(gram->dim, strip);
    double unit = x->unit * x->unit;
    for (int64_t column = 0; column < first; column += TILE) {
        int64_t width = smaller(TILE, first - column);
        batch_product(job, (columns){x, first, height}, (columns){x, column, width}, out);
        for (int64_t i = 0; i < height; i++)
            add_row(job, out, i * width, unit, sum + i * ld + column, width);
    }
    batch_square(job, (columns){x, first, height}, out);
    for (int64_t i = 0; i < height; i++)
        add_row(job, out, i * height, unit, sum + i * ld + first, i + 1);
}

static int64_t blocks_across(const s24i_cross *cross)
{
    return (cross->in + TILE - 1) / TILE;
}

static int64_t blocks(const s24i_cross *cross)
{
    int64_t height = block_height(cross);
    return (cross->out + height - 1) / height * blocks_across(cross);
}

/* Block `index` of T^T X. */
static void cross_block(const batch *job, const s24i_cross *cross, int64_t index, void *out)
{
    const s24i_stream *x = &job->gram->rows.x;
    int64_t first = index / blocks_across(cross) * block_height(cross);
    int64_t column = index % blocks_across(cross) * TILE;
    int64_t height = smaller(block_height(cross), cross->out - first);
    int64_t width = smaller(TILE, cross->in - column);
    double *sum = cross->half[job->half] + first * cross->in + column;
    batch_product(job, (columns){&cross->t, first, height}, (columns){x, column, width}, out);
    for (int64_t i = 0; i < height; i++)
        add_row(job, out, i * width, x->unit * cross->t.unit, sum + i * cross->in, width);
}

static void sum_task(void *arg, int64_t index, int32_t worker)
{
    const batch *job = arg;
    const s24i_cross *cross = first_cross(job->gram);
    int64_t strip = strips(job->gram->dim) - 1 - index; /* the widest first */
    if (strip >= 0) {
        gram_strip(job, strip, scratch_of(job, worker));
        return;
    }
    for (index = -strip - 1; index >= blocks(cross); cross = next_cross(cross))
        index -= blocks(cross);
    cross_block(job, cross, index, scratch_of(job, worker));
}

/* The squares of some outputs, row after row: a part for each worker, since no sum depends on how
 * they are cut. */
static void norm_task(void *arg, int64_t index, int32_t worker)
{
    (void)worker;
    const batch *job = arg;
    const s24i_rows *rows = &job->gram->rows;
    const s24i_cross *cross = first_cross(job->gram);
    int64_t parts = s24i_workers(job->device->threads);
    for (; index >= parts; index -= parts)
        cross = next_cross(cross);
    int64_t first = cross->out * index / parts, count = cross->out * (index + 1) / parts - first;
    double *norm2 = cross->norm2[job->half] + first;
    for (int64_t i = 0; i < rows->filled[job->half]; i++) {
        int64_t t = i * cross->out + first;
        if (rows->type == S24_F32) {
            job->device->kernels->add_squares((const float *)cross->t.batch[job->half] + t, norm2,
                                              count);
            continue;
        }
        const double *row = (const double *)cross->t.batch[job->half] + t;
        for (int64_t j = 0; j < count; j++)
            norm2[j] += row[j] * row[j];
    }
}

static s24_status add_batch(void *sums, int half)
{
    batch *job = sums;
    s24i_threads *threads = job->device->threads;
    int64_t norms = 0, products = strips(job->gram->dim);
    for (const s24i_cross *c = first_cross(job->gram); c; c = next_cross(c)) {
        norms += s24i_workers(threads);
        products += blocks(c);
    }
    job->half = half;
    s24_status status = s24i_parallel(threads, norm_task, job, norms);
    if (!status)
        status = choose_units(job);
    return status ? status : s24i_parallel(threads, sum_task, job, products);
}

/* ---- rows in ---- */

static size_t open_job(batch *job, const s24i_device *device, s24i_gram *gram)
{
    size_t size = s24i_mul(s24i_mul(scratch_size(gram), element_size(&gram->rows)),
                           (size_t)s24i_workers(device->threads));
    *job = (batch){.device = device, .gram = gram};
    job->scratch = s24i_alloc(device->memory, size);
    return size;
}

s24_status s24i_gram_add(const s24i_device *device, s24i_gram *gram, const s24i_addition *addition)
{
    batch job;
    size_t size = open_job(&job, device, gram);
    s24_status status = S24_E_MEMORY;
    if (job.scratch)
        status = s24i_rows_add(device, &gram->rows, addition, add_batch, &job);
    s24i_free(device->memory, job.scratch, size);
    return status;
}

s24_status s24i_gram_flush(const s24i_device *device, s24i_gram *gram, int which)
{
    bool waits[2];
    for (int half = 0; half < 2; half++)
        waits[half] = which & (half ? S24I_SECOND : S24I_FIRST) && gram->rows.filled[half];
    if (!waits[0] && !waits[1])
        return S24_OK;
    batch job;
    size_t size = open_job(&job, device, gram);
    s24_status status = job.scratch ? S24_OK : S24_E_MEMORY;
    for (int half = 0; !status && half < 2; half++)
        if (waits[half])
            status = s24i_rows_flush(&gram->rows, half, add_batch, &job);
    s24i_free(device->memory, job.scratch, size);
    return status;
}

/* ---- a gram and its crosses ---- */

s24_status s24i_gram_init(const s24i_device *device, s24i_gram *gram, int64_t dim, int32_t type)
{
    *gram = (s24i_gram){.dim = dim, .rows.type = type};
    s24_status status = s24i_stream_init(device, &gram->rows.x, dim, type);
    for (int half = 0; !status && half < 2; half++)
        if (!(gram->half[half] = s24i_alloc_zero(device->memory, s24i_gram_half_bytes(dim))))
            status = S24_E_MEMORY;
    if (status)
        s24i_gram_fini(device, gram);
    return status;
}

void s24i_gram_fini(const s24i_device *device, s24i_gram *gram)
{
    for (int half = 0; half < 2; half++) {
        s24i_free(device->memory, gram->half[half], s24i_gram_half_bytes(gram->dim));
        gram->half[half] = NULL;
    }
    s24i_stream_fini(device, &gram->rows.x);
}

size_t s24i_cross_half_bytes(const s24i_cross *cross)
{
    return s24i_mul(s24i_mul((size_t)cross->out, (size_t)cross->in), sizeof(double));
}

s24_status s24i_cross_open(const s24i_device *device, s24i_cross *cross, const s24i_gram *gram,
                           int64_t out)
{
    s24_status status = S24_OK;
    *cross = (s24i_cross){.out = out, .in = gram->dim};
    cross->t = (s24i_stream){.cols = out, .type = gram->rows.type, .target = -1};
    for (int half = 0; !status && half < 2; half++) {
        cross->half[half] = s24i_alloc_zero(device->memory, s24i_cross_half_bytes(cross));
        cross->norm2[half] = s24i_alloc_zero(device->memory, (size_t)out * sizeof(double));
        if (!cross->half[half] || !cross->norm2[half])
            status = S24_E_MEMORY;
    }
    if (status)
        s24i_cross_fini(device, cross);
    return status;
}

s24_status s24i_cross_init(const s24i_device *device, s24i_cross *cross, s24i_gram *gram,
                           int64_t out)
{
    s24_status status = s24i_cross_open(device, cross, gram, out);
    if (!status)
        status = s24i_stream_init(device, &cross->t, out, gram->rows.type);
    if (status) {
        s24i_cross_fini(device, cross);
        return status;
    }
    s24i_stream **end = &gram->rows.x.next;
    while (*end)
        end = &(*end)->next;
    *end = &cross->t;
    return S24_OK;
}

void s24i_cross_detach(s24i_cross *cross, s24i_gram *gram)
{
    for (s24i_stream **at = &gram->rows.x.next; *at; at = &(*at)->next)
        if (*at == &cross->t) {
            *at = cross->t.next;
            return;
        }
}

void s24i_cross_fini(const s24i_device *device, s24i_cross *cross)
{
    for (int half = 0; half < 2; half++) {
        s24i_free(device->memory, cross->half[half], s24i_cross_half_bytes(cross));
        s24i_free(device->memory, cross->norm2[half], (size_t)cross->out * sizeof(double));
        cross->half[half] = cross->norm2[half] = NULL;
    }
    s24i_stream_fini(device, &cross->t);
}
