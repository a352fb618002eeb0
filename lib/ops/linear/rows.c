#include "rows.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TILE = 32 };

/* A product of a full batch must stay finite in the accumulator's type. */
static double largest_square(int32_t type)
{
    return type == S24_F32 ? 1e35 : 1e300;
}

/* The root of a weight must be a normal number there, and leave some room for the inputs. */
static double least_weight(int32_t type)
{
    return type == S24_F32 ? 1e-40 : 1e-290;
}

static size_t batch_bytes(const s24i_stream *stream)
{
    return s24i_mul(s24i_mul(S24I_BATCH_ROWS, (size_t)stream->cols),
                    stream->type == S24_F32 ? sizeof(float) : sizeof(double));
}

s24_status s24i_stream_init(const s24i_device *device, s24i_stream *stream, int64_t cols,
                            int32_t type)
{
    *stream = (s24i_stream){.cols = cols, .type = type, .target = -1};
    for (int half = 0; half < 2; half++)
        if (!(stream->batch[half] = s24i_alloc(device->memory, batch_bytes(stream)))) {
            s24i_stream_fini(device, stream);
            return S24_E_MEMORY;
        }
    return S24_OK;
}

void s24i_stream_fini(const s24i_device *device, s24i_stream *stream)
{
    for (int half = 0; half < 2; half++) {
        s24i_free(device->memory, stream->batch[half], batch_bytes(stream));
        stream->batch[half] = NULL;
    }
}

typedef struct {
    const s24i_device *device;
    s24i_rows *rows;
    const s24i_addition *given;
    const double *weight; /* one a row of x, NULL for ones */
    double *scratch;      /* the widest row, a worker */
    int64_t widest;
    int64_t first, count; /* rows of x in work */
    _Atomic int64_t bad;  /* first offending row, INT64_MAX when none */
} intake;

static const s24_mat *given_to(const intake *in, const s24i_stream *stream)
{
    return stream->target < 0 ? in->given->x : in->given->targets + stream->target;
}

static double weight_of(const intake *in, int64_t row)
{
    return in->weight ? in->weight[row] : 1;
}

/* ---- pass one: nothing is taken before everything was looked at ---- */

static int64_t first_bad(const intake *in, const s24_mat *mat, int64_t row, double *scratch)
{
    double limit = largest_square(in->rows->type), weight = weight_of(in, row);
    s24i_mat_load_f64(in->device->kernels, mat, row, 1, scratch);
    for (int64_t j = 0; j < mat->cols; j++)
        if (!(scratch[j] * scratch[j] * weight < limit))
            return j;
    return -1;
}

static bool row_is_good(const intake *in, const s24_mat *mat, int64_t row, double *scratch)
{
    const s24i_kernels *kernels = in->device->kernels;
    double sum;
    if (in->rows->type == S24_F32) {
        const float *values = s24i_mat_row(mat, row);
        if (!values) {
            s24i_mat_load(kernels, mat, row, 1, (float *)scratch);
            values = (float *)scratch;
        }
        sum = kernels->sum_squares(values, mat->cols);
    } else {
        s24i_mat_load_f64(kernels, mat, row, 1, scratch);
        sum = kernels->dot_f64(scratch, scratch, mat->cols);
    }
    return sum * weight_of(in, row) < largest_square(in->rows->type) ||
           first_bad(in, mat, row, scratch) < 0;
}

static void check_tile(void *arg, int64_t tile, int32_t worker)
{
    intake *in = arg;
    double *scratch = in->scratch + worker * in->widest;
    for (int64_t row = tile * TILE; row < (tile + 1) * TILE && row < in->given->x->rows; row++)
        for (const s24i_stream *s = &in->rows->x; s && weight_of(in, row) > 0; s = s->next)
            if (!row_is_good(in, given_to(in, s), row, scratch)) {
                s24i_keep_minimum(&in->bad, row);
                return;
            }
}

static s24_status name_bad_row(const intake *in, int64_t row)
{
    const s24i_stream *stream = &in->rows->x;
    char name[24] = "x";
    int64_t col;
    while ((col = first_bad(in, given_to(in, stream), row, in->scratch)) < 0)
        stream = stream->next;
    double value = in->scratch[col];
    if (stream->target >= 0)
        snprintf(name, sizeof name, "targets[%d]", (int)stream->target);
    return s24i_fail(S24_E_NONFINITE, "%s: row %lld, column %lld is %g%s", name, (long long)row,
                     (long long)col, value,
                     isfinite(value) ? ": its square leaves the range of the accumulator (S24_F64 "
                                       "reaches further)"
                                     : "");
}

static s24_status check_all(intake *in)
{
    atomic_store(&in->bad, INT64_MAX);
    s24_status status =
        s24i_parallel(in->device->threads, check_tile, in, (in->given->x->rows + TILE - 1) / TILE);
    int64_t bad = atomic_load(&in->bad);
    return status || bad == INT64_MAX ? status : name_bad_row(in, bad);
}

/* ---- pass two ---- */

static int64_t half_of(int64_t index)
{
    return index / S24I_RUN % 2;
}

/* How many of the running indices [0, index) belong to `half`. */
static int64_t before(int64_t index, int64_t half)
{
    int64_t rest = index % (2 * S24I_RUN) - half * S24I_RUN;
    return index / (2 * S24I_RUN) * S24I_RUN + (rest < 0 ? 0 : rest > S24I_RUN ? S24I_RUN : rest);
}

static void scale_f32(float *row, int64_t n, double weight)
{
    float root = (float)sqrt(weight);
    for (int64_t j = 0; j < n; j++)
        row[j] *= root;
}

static void scale_f64(double *row, int64_t n, double weight)
{
    double root = sqrt(weight);
    for (int64_t j = 0; j < n; j++)
        row[j] *= root;
}

static void keep_largest(s24i_stream *stream, int64_t half, const float *row)
{
    float largest = s24i_largest(row, stream->cols);
    int32_t bits;
    memcpy(&bits, &largest, sizeof bits);
    s24i_keep_maximum(&stream->largest[half], bits);
}

static void take_f32(const intake *in, s24i_stream *stream, int64_t row, int64_t half, float *to)
{
    double weight = weight_of(in, row);
    if (weight == 0) {
        memset(to, 0, (size_t)stream->cols * sizeof *to);
        return;
    }
    s24i_mat_load(in->device->kernels, given_to(in, stream), row, 1, to);
    if (weight != 1)
        scale_f32(to, stream->cols, weight);
    keep_largest(stream, half, to);
}

static void take_f64(const intake *in, const s24i_stream *stream, int64_t row, double *to)
{
    double weight = weight_of(in, row);
    if (weight == 0) {
        memset(to, 0, (size_t)stream->cols * sizeof *to);
        return;
    }
    s24i_mat_load_f64(in->device->kernels, given_to(in, stream), row, 1, to);
    if (weight != 1)
        scale_f64(to, stream->cols, weight);
}

static void take_tile(void *arg, int64_t tile, int32_t worker)
{
    (void)worker;
    intake *in = arg;
    const s24i_rows *rows = in->rows;
    for (int64_t i = tile * TILE; i < (tile + 1) * TILE && i < in->count; i++) {
        int64_t index = rows->next + i, half = half_of(index), row = in->first + i;
        int64_t place = rows->filled[half] + before(index, half) - before(rows->next, half);
        for (s24i_stream *s = &in->rows->x; s; s = s->next)
            if (rows->type == S24_F32)
                take_f32(in, s, row, half, (float *)s->batch[half] + place * s->cols);
            else
                take_f64(in, s, row, (double *)s->batch[half] + place * s->cols);
    }
}

/* Rows that can be taken before a half is full. */
static int64_t room(const s24i_rows *rows, int64_t wanted)
{
    int64_t count = 0, filled[2] = {rows->filled[0], rows->filled[1]};
    while (count < wanted) {
        int64_t index = rows->next + count, half = half_of(index);
        int64_t step = S24I_RUN - index % S24I_RUN;
        if (step > wanted - count)
            step = wanted - count;
        if (step > S24I_BATCH_ROWS - filled[half])
            step = S24I_BATCH_ROWS - filled[half];
        if (step == 0)
            break;
        count += step;
        filled[half] += step;
    }
    return count;
}

s24_status s24i_rows_flush(s24i_rows *rows, int half, s24i_add_batch_fn add, void *sums)
{
    s24_status status = add(sums, half);
    rows->filled[half] = 0;
    for (s24i_stream *s = &rows->x; s; s = s->next)
        atomic_store(&s->largest[half], 0);
    return status;
}

static s24_status take_some(intake *in, s24i_add_batch_fn add, void *sums)
{
    s24i_rows *rows = in->rows;
    in->count = room(rows, in->given->x->rows - in->first);
    s24_status status =
        s24i_parallel(in->device->threads, take_tile, in, (in->count + TILE - 1) / TILE);
    if (status)
        return status;
    for (int64_t i = 0; i < in->count; i++) {
        int64_t half = half_of(rows->next + i);
        double weight = weight_of(in, in->first + i);
        for (s24i_stream *s = &rows->x; s; s = s->next)
            s->weight[half] += weight;
        rows->count[half] += weight > 0;
        rows->filled[half]++;
    }
    rows->next += in->count;
    in->first += in->count;
    for (int half = 0; !status && half < 2; half++)
        if (rows->filled[half] == S24I_BATCH_ROWS)
            status = s24i_rows_flush(rows, half, add, sums);
    return status;
}

static s24_status read_weights(const intake *in, const s24_mat *row_weight, double *weight)
{
    s24i_mat_load_f64(in->device->kernels, row_weight, 0, row_weight->rows, weight);
    for (int64_t i = 0; i < row_weight->rows; i++) {
        if (!(weight[i] >= 0 && weight[i] < INFINITY))
            return s24i_fail(isfinite(weight[i]) ? S24_E_ARG : S24_E_NONFINITE,
                             "row_weight: row %lld is %g: a weight is finite and not negative",
                             (long long)i, weight[i]);
        if (weight[i] > 0 && weight[i] < least_weight(in->rows->type))
            return s24i_fail(S24_E_ARG,
                             "row_weight: row %lld is %g, but must be 0 or at least %g: it leaves "
                             "the range of the accumulator%s",
                             (long long)i, weight[i], least_weight(in->rows->type),
                             in->rows->type == S24_F32 ? " (S24_F64 reaches further)" : "");
    }
    return S24_OK;
}

s24_status s24i_rows_add(const s24i_device *device, s24i_rows *rows, const s24i_addition *addition,
                         s24i_add_batch_fn add, void *sums)
{
    intake in = {.device = device, .rows = rows, .given = addition};
    const s24_mat *row_weight = addition->row_weight;
    for (const s24i_stream *s = &rows->x; s; s = s->next)
        in.widest = s->cols > in.widest ? s->cols : in.widest;
    size_t scratch = s24i_mul((size_t)(s24i_workers(device->threads) * in.widest), sizeof(double));
    size_t weights = row_weight ? (size_t)row_weight->rows * sizeof(double) : 0;
    double *block = s24i_alloc(device->memory, scratch + weights);
    if (!block)
        return S24_E_MEMORY;
    in.scratch = block;
    s24_status status = S24_OK;
    if (row_weight) {
        double *weight = block + scratch / sizeof(double);
        status = read_weights(&in, row_weight, weight);
        in.weight = weight;
    }
    if (!status)
        status = check_all(&in);
    while (!status && in.first < addition->x->rows)
        status = take_some(&in, add, sums);
    s24i_free(device->memory, block, scratch + weights);
    return status;
}
