#include "backward_scalar.h"
#include "extents.h"
#include <stdlib.h>
#include <string.h>

/* ---- Loops ---- */

typedef struct loop {
    s24m_back_rows rows;
    void *arg;
    int64_t count, size;
} loop;

static void run_tile(void *arg, int64_t tile, int32_t worker)
{
    const loop *l = arg;
    (void)worker;
    l->rows(l->arg, tile * l->size, s24m_least((tile + 1) * l->size, l->count));
}

s24_status s24m_back_loop(s24_ctx *ctx, s24m_back_rows rows, void *arg, int64_t count, int64_t size)
{
    loop l = {rows, arg, count, size};
    return s24m_library(s24_ctx_parallel(ctx, run_tile, &l, (count + size - 1) / size),
                        "backward pass");
}

/* ---- Arrays ---- */

s24m_array s24m_array_of(const s24m_real *data, int64_t rows, int64_t cols)
{
    return (s24m_array){(s24m_real *)(uintptr_t)data, rows, cols, cols};
}

s24m_array s24m_array_rows(s24m_array a, int64_t first, int64_t count)
{
    a.data += first * a.stride;
    a.rows = count;
    return a;
}

#ifdef S24M_DOUBLE
s24_status s24m_product(s24_ctx *ctx, s24m_array x, s24m_array w, s24m_array y)
{
    (void)ctx;
    for (int64_t i = 0; i < x.rows; i++)
        for (int64_t j = 0; j < w.rows; j++) {
            double sum = 0;
            for (int64_t k = 0; k < x.cols; k++)
                sum += x.data[i * x.stride + k] * w.data[j * w.stride + k];
            y.data[i * y.stride + j] = sum;
        }
    return S24_OK;
}
#else
static s24_mat view(s24m_array a)
{
    return (s24_mat){.data = a.data,
                     .rows = a.rows,
                     .cols = a.cols,
                     .row_stride = a.stride,
                     .col_stride = 1,
                     .dtype = S24_F32,
                     .device = S24_CPU};
}

s24_status s24m_product(s24_ctx *ctx, s24m_array x, s24m_array w, s24m_array y)
{
    s24_mat in = view(x), by = view(w), out = view(y);
    return s24m_library(s24_mat_multiply(ctx, &in, &by, &out), "backward pass");
}
#endif

/* ---- Transposing ---- */

enum { SIDE = 16, BAND = 64 };

/* Columns [first, last) in squares that stay in the cache. */
static void turn_columns(s24m_array a, int64_t first, int64_t last, s24m_real *turned)
{
    for (int64_t r = 0; r < a.rows; r += SIDE)
        for (int64_t c = first; c < last; c += SIDE)
            for (int64_t j = c; j < s24m_least(c + SIDE, last); j++)
                for (int64_t i = r; i < s24m_least(r + SIDE, a.rows); i++)
                    turned[j * a.rows + i] = a.data[i * a.stride + j];
}

typedef struct turning {
    s24m_array a;
    s24m_real *turned;
} turning;

static void turn_band(void *arg, int64_t first, int64_t last)
{
    const turning *t = arg;
    turn_columns(t->a, first, last, t->turned);
}

s24_status s24m_turn(s24_ctx *ctx, s24m_array data, s24m_real *turned)
{
    turning t = {data, turned};
    return s24m_back_loop(ctx, turn_band, &t, data.cols, BAND);
}

void s24m_turn_here(s24m_array data, s24m_real *turned)
{
    turn_columns(data, 0, data.cols, turned);
}

/* ---- Sums over rows, and onto others ---- */

typedef struct adding {
    const s24m_real *from; /* (count, size) */
    s24m_real *to;
    int64_t count, size;
} adding;

static void add_elements(void *arg, int64_t first, int64_t last)
{
    const adding *a = arg;
    for (int64_t i = first; i < last; i++)
        a->to[i] += a->from[i];
}

/* Columns [first, last) of the rows, from the first to the last row. */
static void add_columns(void *arg, int64_t first, int64_t last)
{
    const adding *a = arg;
    for (int64_t r = 0; r < a->count; r++)
        for (int64_t j = first; j < last; j++)
            a->to[j] += a->from[r * a->size + j];
}

/* ---- Linear layers ---- */

enum { ELEMENTS = 1 << 14 };

/* to += x w^T, through `room`. */
static s24_status add_product(s24_ctx *ctx, s24m_array x, s24m_array w, s24m_real *room,
                              s24m_real *to)
{
    adding a = {room, to, 0, 0};
    s24_status status = s24m_product(ctx, x, w, s24m_array_of(room, x.rows, w.rows));
    return status ? status : s24m_back_loop(ctx, add_elements, &a, x.rows * w.rows, ELEMENTS);
}

/* dx += dy W */
static s24_status back_inputs(s24_ctx *ctx, const s24m_linear_back *b, s24m_real *room)
{
    int64_t outputs = b->weights.rows, inputs = b->weights.cols;
    s24m_real *turned = room + b->count * inputs;
    s24_status status = s24m_turn(ctx, b->weights, turned);
    return status ? status
                  : add_product(ctx, s24m_array_of(b->dy, b->count, outputs),
                                s24m_array_of(turned, inputs, outputs), room, b->dx);
}

/* gradient += dy^T x */
static s24_status back_weights(s24_ctx *ctx, const s24m_linear_back *b, s24m_real *room)
{
    int64_t outputs = b->weights.rows, inputs = b->weights.cols;
    s24m_real *dy = room + outputs * inputs, *x = dy + b->count * outputs;
    s24_status status = s24m_turn(ctx, s24m_array_of(b->dy, b->count, outputs), dy);
    if (!status)
        status = s24m_turn(ctx, s24m_array_of(b->x, b->count, inputs), x);
    return status ? status
                  : add_product(ctx, s24m_array_of(dy, outputs, b->count),
                                s24m_array_of(x, inputs, b->count), room, b->gradient);
}

s24_status s24m_back_linear(s24_ctx *ctx, const s24m_linear_back *b)
{
    int64_t outputs = b->weights.rows, inputs = b->weights.cols, size = outputs * inputs;
    int64_t floats = s24m_most(size + b->count * inputs, size + b->count * (outputs + inputs));
    adding biases = {b->dy, b->bias, b->count, outputs};
    s24m_real *room = s24m_have(malloc((size_t)floats * sizeof *room));
    s24_status status = room ? S24_OK : S24_E_MEMORY;
    if (!status && b->gradient)
        status = back_weights(ctx, b, room);
    if (!status && b->bias)
        status = s24m_back_loop(ctx, add_columns, &biases, outputs, BAND);
    if (!status && b->dx)
        status = back_inputs(ctx, b, room);
    free(room);
    return status;
}

/* ---- Norms ---- */

typedef struct norm_job {
    const s24m_norm_back *b;
    s24m_real *inverse, *mean; /* 1 / rms of each row; what was taken off it */
} norm_job;

static double mean_of(const s24m_real *x, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += x[i];
    return sum / (double)count;
}

static int64_t gain_of(const s24m_norm_back *b, int64_t row)
{
    return b->gains ? row % b->gains * b->size : 0;
}

static void norm_row(const s24m_norm_back *b, int64_t row, s24m_real *inverse, s24m_real *mean)
{
    const s24m_real *x = b->x + row * b->size, *dy = b->dy + row * b->size;
    const s24m_real *gain = b->gain ? b->gain + gain_of(b, row) : NULL;
    s24m_real *dx = b->dx + row * b->size, off = b->centred ? (s24m_real)mean_of(x, b->size) : 0;
    double squares = 0, along = 0, sum = 0;
    for (int64_t i = 0; i < b->size; i++) {
        double slope = gain ? (double)dy[i] * gain[i] : dy[i], c = x[i] - off;
        squares += c * c;
        along += slope * c;
        sum += slope;
    }
    double r = 1 / sqrt(squares / (double)b->size + b->eps);
    s24m_real scale = (s24m_real)r, back = (s24m_real)(r * r * r * along / (double)b->size);
    s24m_real less = b->centred ? (s24m_real)(r * sum / (double)b->size) : 0;
    for (int64_t i = 0; i < b->size; i++)
        dx[i] += scale * (gain ? gain[i] : 1) * dy[i] - back * (x[i] - off) - less;
    *inverse = scale;
    *mean = off;
}

static void norm_rows(void *arg, int64_t first, int64_t last)
{
    const norm_job *j = arg;
    for (int64_t row = first; row < last; row++)
        norm_row(j->b, row, j->inverse + row, j->mean + row);
}

static void norm_gains(void *arg, int64_t first, int64_t last)
{
    const norm_job *j = arg;
    const s24m_norm_back *b = j->b;
    for (int64_t row = 0; row < b->count; row++) {
        const s24m_real *x = b->x + row * b->size, *dy = b->dy + row * b->size;
        s24m_real *dgain = b->dgain + gain_of(b, row);
        for (int64_t i = first; i < last; i++)
            dgain[i] += dy[i] * (x[i] - j->mean[row]) * j->inverse[row];
    }
}

s24_status s24m_back_norm(s24_ctx *ctx, const s24m_norm_back *b)
{
    enum { ROWS = 16 };
    norm_job j = {.b = b, .inverse = s24m_have(malloc(2 * (size_t)b->count * sizeof *j.inverse))};
    adding shifts = {b->dy, b->dshift, b->count, b->size};
    s24_status status = j.inverse ? S24_OK : S24_E_MEMORY;
    j.mean = j.inverse + b->count;
    if (!status)
        status = s24m_back_loop(ctx, norm_rows, &j, b->count, ROWS);
    if (!status && b->dgain)
        status = s24m_back_loop(ctx, norm_gains, &j, b->size, BAND);
    if (!status && b->dshift)
        status = s24m_back_loop(ctx, add_columns, &shifts, b->size, BAND);
    free(j.inverse);
    return status;
}
