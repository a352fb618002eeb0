#include "rows.h"
#include <math.h>
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

static size_t batch_bytes(const s24i_rows *rows)
{
    return s24i_mul(s24i_mul(S24I_BATCH_ROWS, (size_t)(rows->x_cols + rows->t_cols)),
                    rows->type == S24_F32 ? sizeof(float) : sizeof(double));
}

s24_status s24i_rows_init(const s24i_device *device, s24i_rows *rows, int64_t x_cols,
                          int64_t t_cols, int32_t type)
{
    *rows = (s24i_rows){.x_cols = x_cols, .t_cols = t_cols, .type = type};
    for (int half = 0; half < 2; half++)
        if (!(rows->batch[half] = s24i_alloc(device->memory, batch_bytes(rows)))) {
            s24i_rows_fini(device, rows);
            return S24_E_MEMORY;
        }
    return S24_OK;
}

void s24i_rows_fini(const s24i_device *device, s24i_rows *rows)
{
    for (int half = 0; half < 2; half++) {
        s24i_free(device->memory, rows->batch[half], batch_bytes(rows));
        rows->batch[half] = NULL;
    }
}

typedef struct {
    const s24i_device *device;
    s24i_rows *rows;
    const s24_mat *x, *t;
    const double *weight; /* one a row of x, NULL for ones */
    double *scratch;      /* one row a worker */
    int64_t first, count; /* rows of x in work */
    _Atomic int64_t bad;  /* first offending row, INT64_MAX when none */
} intake;

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
    int64_t widest = in->rows->x_cols > in->rows->t_cols ? in->rows->x_cols : in->rows->t_cols;
    double *scratch = in->scratch + worker * widest;
    for (int64_t row = tile * TILE; row < (tile + 1) * TILE && row < in->x->rows; row++) {
        if (weight_of(in, row) == 0 || (row_is_good(in, in->x, row, scratch) &&
                                        (!in->t || row_is_good(in, in->t, row, scratch))))
            continue;
        s24i_keep_minimum(&in->bad, row);
        return;
    }
}

static s24_status name_bad_row(const intake *in, int64_t row)
{
    const s24_mat *mat = in->x;
    int64_t col = first_bad(in, mat, row, in->scratch);
    if (col < 0)
        col = first_bad(in, mat = in->t, row, in->scratch);
    double value = in->scratch[col];
    const char *name = mat == in->x ? "x" : "t";
    if (isfinite(value))
        return s24i_fail(S24_E_NONFINITE,
                         "%s: row %lld, column %lld is %g: its square leaves the range of the "
                         "accumulator (S24_F64 reaches further)",
                         name, (long long)row, (long long)col, value);
    return s24i_fail(S24_E_NONFINITE, "%s: row %lld, column %lld is %g", name, (long long)row,
                     (long long)col, value);
}

static s24_status check_all(intake *in)
{
    atomic_store(&in->bad, INT64_MAX);
    s24_status status =
        s24i_parallel(in->device->threads, check_tile, in, (in->x->rows + TILE - 1) / TILE);
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

static void take_row(const intake *in, int64_t row, int64_t half, int64_t place)
{
    const s24i_rows *rows = in->rows;
    const s24i_kernels *kernels = in->device->kernels;
    int64_t width = rows->x_cols + rows->t_cols;
    double weight = weight_of(in, row);
    if (rows->type == S24_F32) {
        float *to = (float *)rows->batch[half] + place * width;
        if (weight == 0) {
            memset(to, 0, (size_t)width * sizeof *to);
            return;
        }
        s24i_mat_load(kernels, in->x, row, 1, to);
        if (in->t)
            s24i_mat_load(kernels, in->t, row, 1, to + rows->x_cols);
        if (weight != 1)
            scale_f32(to, width, weight);
    } else {
        double *to = (double *)rows->batch[half] + place * width;
        if (weight == 0) {
            memset(to, 0, (size_t)width * sizeof *to);
            return;
        }
        s24i_mat_load_f64(kernels, in->x, row, 1, to);
        if (in->t)
            s24i_mat_load_f64(kernels, in->t, row, 1, to + rows->x_cols);
        if (weight != 1)
            scale_f64(to, width, weight);
    }
}

static void take_tile(void *arg, int64_t tile, int32_t worker)
{
    (void)worker;
    intake *in = arg;
    for (int64_t i = tile * TILE; i < (tile + 1) * TILE && i < in->count; i++) {
        int64_t index = in->rows->next + i, half = half_of(index);
        int64_t place = in->rows->filled[half] + before(index, half) - before(in->rows->next, half);
        take_row(in, in->first + i, half, place);
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

static s24_status take_some(intake *in, s24i_add_batch_fn add, void *sums)
{
    s24i_rows *rows = in->rows;
    in->count = room(rows, in->x->rows - in->first);
    s24_status status =
        s24i_parallel(in->device->threads, take_tile, in, (in->count + TILE - 1) / TILE);
    if (status)
        return status;
    for (int64_t i = 0; i < in->count; i++) {
        int64_t half = half_of(rows->next + i);
        rows->weight[half] += weight_of(in, in->first + i);
        rows->count[half] += weight_of(in, in->first + i) > 0;
        rows->filled[half]++;
    }
    rows->next += in->count;
    in->first += in->count;
    for (int half = 0; !status && half < 2; half++)
        if (rows->filled[half] == S24I_BATCH_ROWS) {
            status = add(sums, half);
            rows->filled[half] = 0;
        }
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

s24_status s24i_rows_add(const s24i_device *device, s24i_rows *rows, const s24_mat *x,
                         const s24_mat *t, const s24_mat *row_weight, s24i_add_batch_fn add,
                         void *sums)
{
    intake in = {.device = device, .rows = rows, .x = x, .t = t};
    int64_t widest = rows->x_cols > rows->t_cols ? rows->x_cols : rows->t_cols;
    size_t scratch = s24i_mul((size_t)(s24i_workers(device->threads) * widest), sizeof(double));
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
    while (!status && in.first < x->rows)
        status = take_some(&in, add, sums);
    s24i_free(device->memory, block, scratch + weights);
    return status;
}
