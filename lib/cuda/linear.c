#include "cuda.h"
#include <float.h>
#include <math.h>
#include <string.h>

/* Arrays as a whole, what the calibration says of each input, and losses (lib/ops/linear). */

#define DEAD_INPUT 1e-12 /* of the largest diagonal entry */

/* ---- Arrays ---- */

/* Rows of a host view through pinned memory. */
static s24_status read_host(const s24i_run *run, const s24_mat *mat, float *out)
{
    s24c_state *state = s24c_of(run);
    int64_t fit = S24C_LANDING / (int64_t)sizeof(float) / (mat->cols ? mat->cols : 1), turn = 0;
    cudaError_t error = cudaSuccess;

    if (fit < 1)
        return s24i_fail(S24_E_UNSUPPORTED, "%s: rows of %lld values", state->name,
                         (long long)mat->cols);
    for (int64_t row = 0; row < mat->rows && !error; row += fit, turn = !turn) {
        int64_t rows = mat->rows - row < fit ? mat->rows - row : fit;
        error = cudaEventSynchronize(state->landed[turn]);
        if (error)
            break;
        s24c_host->load(mat, row, rows, (float *)(void *)state->landing[turn]);
        error = cudaMemcpyAsync(out + row * mat->cols, state->landing[turn],
                                (size_t)(rows * mat->cols) * sizeof(float), cudaMemcpyDefault,
                                state->stream);
        if (!error)
            error = cudaEventRecord(state->landed[turn], state->stream);
    }
    if (!error)
        error = cudaStreamSynchronize(state->stream);
    return s24c_cuda(state, error, "reading a matrix");
}

s24_status s24c_read_rows(const s24i_run *run, const s24_mat *mat, float *out, bool *here)
{
    s24_status status = s24c_place(run, mat->data, here);

    if (status)
        return status;
    if (!*here && mat->device == S24_CUDA)
        return s24i_fail(S24_E_ARG, "%s: the array is said to lie on the device and does not",
                         run->device->name);
    if (!*here)
        return read_host(run, mat, out);
    s24c_read(s24c_stream(run), mat->data, mat->dtype, mat->rows, mat->cols, mat->row_stride,
              mat->col_stride, out);
    return s24c_launched(run, "reading a matrix");
}

s24_status s24c_op_mat_read(const s24i_run *run, const s24_mat *mat, const char *what, float *out)
{
    s24c_state *state = s24c_of(run);
    int64_t count = mat->rows * mat->cols;
    uint64_t found[2] = {0};
    bool here;
    s24_status status = s24c_read_rows(run, mat, out, &here);

    if (status)
        return status;
    s24c_first_bad(state->stream, out, count, (unsigned long long *)state->numbers);
    s24c_largest(state->stream, out, count, (unsigned *)(state->numbers + 1));
    if (!(status = s24c_launched(run, "reading a matrix")))
        status = s24c_fetch(run, state->numbers, sizeof found, found, "reading a matrix");
    int64_t bad = (int64_t)found[0];
    bool vanished = mat->dtype == S24_F64 && (uint32_t)found[1] < 0x00800000u;
    if (status || (bad == count && !vanished))
        return status;
    if (!here)
        return s24c_host->refuse(mat, what, bad);
    return bad == count
               ? S24_OK
               : s24i_fail(S24_E_NONFINITE,
                           "%s: row %lld, column %lld is no finite number of single "
                           "precision",
                           what, (long long)(bad / mat->cols), (long long)(bad % mat->cols));
}

s24_status s24c_op_copy(const s24i_run *run, const void *from, size_t size, void *to)
{
    return s24c_cuda(s24c_of(run),
                     cudaMemcpyAsync(to, from, size, cudaMemcpyDefault, s24c_stream(run)), "copy");
}

s24_status s24c_op_fill(const s24i_run *run, int byte, size_t size, void *to)
{
    return s24c_cuda(s24c_of(run), cudaMemsetAsync(to, byte, size, s24c_stream(run)), "fill");
}

s24_status s24c_op_subtract(const s24i_run *run, const float *a, const float *b, int64_t count,
                            float *out)
{
    s24c_subtract(s24c_stream(run), a, b, count, out);
    return s24c_launched(run, "subtract");
}

s24_status s24c_op_random(const s24i_run *run, uint64_t seed, int64_t count, float *out)
{
    s24c_random(s24c_stream(run), s24i_mixed(seed, 0), count, out);
    return s24c_launched(run, "random");
}

s24_status s24c_op_gather(const s24i_run *run, const void *from, const int64_t *row_of,
                          int64_t rows, int64_t bytes, void *to)
{
    s24c_gather(s24c_stream(run), from, row_of, rows, bytes, to);
    return s24c_launched(run, "gather");
}

s24_status s24c_op_bring_near(const s24i_run *run, bool drop, int64_t count, float *w, double *unit)
{
    s24c_state *state = s24c_of(run);
    float largest;

    *unit = 1;
    if (s24i_counting(run))
        return S24_OK;
    s24c_largest(state->stream, w, count, (unsigned *)state->numbers);
    s24_status status = s24c_launched(run, "bring_near");
    if (!status)
        status = s24c_fetch(run, state->numbers, sizeof largest, &largest, "bring_near");
    if (status)
        return status;
    *unit = s24i_unit_for(largest);
    if (*unit != 1 || drop)
        s24c_multiply(state->stream, *unit, drop ? S24I_TINY_WEIGHT : 0, count, w);
    return s24c_launched(run, "bring_near");
}

s24_status s24c_op_scale_by(const s24i_run *run, double unit, int64_t count, float *v)
{
    if (unit != 1)
        s24c_multiply(s24c_stream(run), unit, 0, count, v);
    return s24c_launched(run, "scale_by");
}

/* ---- Inputs ---- */

static double diagonal_at(const s24i_gram *gram, int64_t j)
{
    int64_t strip = j / S24I_STRIP, top = strip * S24I_STRIP;
    int64_t width = top + S24I_STRIP < gram->dim ? top + S24I_STRIP : gram->dim;
    int64_t at = (int64_t)S24I_STRIP * S24I_STRIP * strip * (strip + 1) / 2 + (j - top) * width + j;
    return gram->half[0][at] + gram->half[1][at];
}

static double largest_diagonal(const s24i_gram *gram)
{
    double largest = 0;
    for (int64_t j = 0; gram && j < gram->dim; j++)
        largest = fmax(largest, diagonal_at(gram, j));
    return largest;
}

enum { PART = 1024 };

s24_status s24c_op_input_norms(const s24i_run *run, const s24i_gram *gram, float *norm)
{
    double largest = largest_diagonal(gram);
    float part[PART];
    s24_status status = S24_OK;

    for (int64_t j = 0; j < gram->dim && !status; j++) {
        double share = largest > 0 ? diagonal_at(gram, j) / largest : 0;
        part[j % PART] = share > DEAD_INPUT ? (float)sqrt(share) : 0;
        if (j % PART == PART - 1 || j == gram->dim - 1)
            status = s24c_send(run, part, (size_t)(j % PART + 1) * sizeof(float),
                               norm + j / PART * PART);
    }
    return status;
}

s24_status s24c_op_input_energies(const s24i_run *run, const s24i_gram *gram, int64_t cols,
                                  float *energy)
{
    double largest = largest_diagonal(gram);
    float part[PART];
    s24_status status = S24_OK;

    for (int64_t j = 0; j < cols && !status; j++) {
        part[j % PART] = largest > 0 ? (float)(diagonal_at(gram, j) / largest) : 1;
        if (j % PART == PART - 1 || j == cols - 1)
            status = s24c_send(run, part, (size_t)(j % PART + 1) * sizeof(float),
                               energy + j / PART * PART);
    }
    return status;
}

s24_status s24c_op_input_weights(const s24i_run *run, const s24i_prepared *p, const float *variance,
                                 int32_t kind, float *weight)
{
    s24c_input_weights(s24c_stream(run), p->scale, p->dead, p->plain, variance, kind, p->dim,
                       weight);
    return s24c_launched(run, "input_weights");
}

s24_status s24c_op_scale(const s24i_run *run, const s24i_prepared *p, float *v, int64_t rows)
{
    s24c_scale(s24c_stream(run), p->scale, p->dead, 0, rows, p->dim, v);
    return s24c_launched(run, "scale");
}

s24_status s24c_op_unscale(const s24i_run *run, const s24i_prepared *p, float *v, int64_t rows)
{
    s24c_unscale(s24c_stream(run), p->inverse, p->unit, rows, p->dim, v);
    return s24c_launched(run, "unscale");
}

/* Few inputs: the host sorts them. */
static int falling(const float *x, const float *y)
{
    return *x > *y ? -1 : *x < *y ? 1 : x < y ? -1 : x > y;
}

static void sort_falling(const float *key, int64_t count, int64_t *order, int64_t *spare)
{
    for (int64_t j = 0; j < count; j++)
        order[j] = j;
    for (int64_t width = 1; width < count; width *= 2) {
        for (int64_t first = 0; first < count; first += 2 * width) {
            int64_t middle = first + width < count ? first + width : count;
            int64_t end = first + 2 * width < count ? first + 2 * width : count;
            for (int64_t at = first, a = first, b = middle; at < end; at++)
                spare[at] = b == end || (a < middle && falling(key + order[a], key + order[b]) < 0)
                                ? order[a++]
                                : order[b++];
        }
        memcpy(order, spare, (size_t)count * sizeof *order);
    }
}

s24_status s24c_op_order_by(const s24i_run *run, const float *key, int64_t count, int64_t *order)
{
    s24i_memory first;
    size_t bytes = s24i_mul((size_t)count, 2 * sizeof(int64_t) + sizeof(float));

    if (s24i_counting(run))
        return S24_OK;
    s24i_memory_init(&first, NULL, NULL, NULL);
    int64_t *mine = s24i_alloc(&first, bytes);
    if (!mine)
        return S24_E_MEMORY;
    float *keys = (float *)(void *)(mine + 2 * count);
    s24_status status = s24c_op_download(run, key, (size_t)count * sizeof(float), keys);
    if (!status) {
        sort_falling(keys, count, mine, mine + count);
        status = s24c_send(run, mine, (size_t)count * sizeof *mine, order);
    }
    s24i_free(&first, mine, bytes);
    return status;
}

/* ---- Losses ---- */

enum { CHUNK = 2048 };

typedef struct loss {
    const s24i_run *run;
    const s24i_gram *gram;
    int which;
    int64_t rows, n;
    float *a, *b; /* rows x cols */
    double *e, *product, *sum;
} loss;

static void take_loss(const s24i_run *run, const s24i_gram *gram, int which, const s24_mat *w,
                      loss *l)
{
    int64_t rows = w->rows, cols = w->cols;
    size_t size = s24i_mul((size_t)rows, (size_t)cols);
    size_t chunk = s24i_mul((size_t)(rows < CHUNK ? rows : CHUNK), (size_t)cols);
    *l = (loss){.run = run, .gram = gram, .which = which, .rows = rows, .n = cols};
    l->a = s24i_arena_take(run->arena, size, sizeof(float));
    l->b = s24i_arena_take(run->arena, size, sizeof(float));
    l->e = s24i_arena_take(run->arena, chunk, sizeof(double));
    l->product = s24i_arena_take(run->arena, chunk, sizeof(double));
    l->sum = s24i_arena_take(run->arena, (size_t)rows, sizeof(double));
}

/* Where it lies as contiguous floats, or a copy. */
static s24_status loss_operand(const s24i_run *run, const s24_mat *mat, float *copy,
                               const float **out)
{
    bool here;
    s24_status status = s24c_place(run, mat->data, &here);

    *out = copy;
    if (status)
        return status;
    if (here && mat->dtype == S24_F32 && mat->col_stride == 1 && mat->row_stride == mat->cols) {
        *out = mat->data;
        return S24_OK;
    }
    return s24c_read_rows(run, mat, copy, &here);
}

static s24_status chunk_loss(const loss *l, const s24c_mirror *sums, const float *a, const float *b,
                             int64_t rows, double *sum)
{
    const s24i_run *run = l->run;
    cudaStream_t s = s24c_stream(run);
    int64_t n = l->n;
    s24_status status = S24_OK;
    double beta = 0;

    s24c_difference_f64(s, a, b, rows * n, l->e);
    for (int half = 0; sums && half < 2 && !status; half++)
        if (l->which & (half ? S24I_SECOND : S24I_FIRST)) {
            status = s24c_dgemm(run, (s24c_shape){rows, n, n}, 1, s24i_f64(l->e, n),
                                s24i_f64(sums->half[half], n), beta, s24i_f64_out(l->product, n));
            beta = 1;
        }
    s24c_row_dots_f64(s, l->e, sums ? l->product : l->e, rows, n, sum);
    return status ? status : s24c_launched(run, "loss");
}

static s24_status judge(double value)
{
    if (isfinite(value))
        return S24_OK;
    return s24i_fail(S24_E_NUMERIC,
                     "a loss became %g: it leaves the range of double precision, or the "
                     "weights changed meanwhile",
                     value);
}

static s24_status loss_of(const loss *l, const float *a, const float *b, double *value)
{
    const s24i_run *run = l->run;
    s24c_state *state = s24c_of(run);
    s24c_mirror *sums = NULL;
    int64_t rows = l->rows, n = l->n;
    s24_status status = l->gram ? s24c_gram(run, l->gram, &sums) : S24_OK;

    if (l->gram)
        run->arena->flops += s24i_product_flops(rows, n) / 2;
    for (int64_t first = 0; first < rows && !status; first += CHUNK) {
        int64_t count = rows - first < CHUNK ? rows - first : CHUNK;
        status =
            chunk_loss(l, sums, a + first * n, b ? b + first * n : NULL, count, l->sum + first);
    }
    s24c_total(state->stream, l->sum, rows, (double *)(void *)state->numbers);
    if (!status)
        status = s24c_fetch(run, state->numbers, sizeof *value, value, "loss");
    if (!status)
        status = judge(*value);
    if (!status && *value < 0)
        *value = 0;
    return status;
}

s24_status s24c_op_quadratic(const s24i_run *run, const s24i_gram *gram, int which,
                             const s24_mat *a, const s24_mat *b, double *value)
{
    size_t mark = run->arena->used;
    const float *x = NULL, *y = NULL;
    loss l;
    s24_status status = S24_OK;

    take_loss(run, gram, which, a, &l);
    if (!s24i_counting(run)) {
        status = loss_operand(run, a, l.a, &x);
        if (!status && b)
            status = loss_operand(run, b, l.b, &y);
        if (!status)
            status = loss_of(&l, x, y, value);
    }
    run->arena->used = mark;
    return status;
}

static s24_status cross_of(const loss *l, const s24c_mirror *cross, const int64_t *row_of,
                           const float *a, double *value)
{
    const s24i_run *run = l->run;
    s24c_state *state = s24c_of(run);

    s24c_cross_dots(state->stream, l->which & S24I_FIRST ? cross->half[0] : NULL,
                    l->which & S24I_SECOND ? cross->half[1] : NULL, row_of, a, l->rows, l->n,
                    l->sum);
    s24c_total(state->stream, l->sum, l->rows, (double *)(void *)state->numbers);
    s24_status status = s24c_launched(run, "target");
    return status ? status : s24c_fetch(run, state->numbers, sizeof *value, value, "target");
}

/* Squares of the wanted outputs, on the host. */
static s24_status wanted_squares(const s24i_run *run, const s24i_cross *cross, int which,
                                 const int64_t *row_of, int64_t rows, double *sum)
{
    int64_t part[PART];
    s24_status status = S24_OK;

    *sum = 0;
    for (int64_t i = 0; i < rows && !status; i++) {
        int64_t left = rows - i < PART ? rows - i : PART;
        if (row_of && i % PART == 0)
            status = s24c_fetch(run, row_of + i, (size_t)left * sizeof *part, part, "target");
        int64_t output = row_of ? part[i % PART] : i;
        *sum += (which & S24I_FIRST ? cross->norm2[0][output] : 0) +
                (which & S24I_SECOND ? cross->norm2[1][output] : 0);
    }
    return status;
}

s24_status s24c_op_target_loss(const s24i_run *run, const s24i_matrix *matrix, int which,
                               const s24_mat *w, const s24_mat *v, const int64_t *row_of,
                               double *loss_out, double *norm)
{
    size_t mark = run->arena->used;
    double qv = 0, qw = 0, qe = 0, cv = 0, cw = 0, b = matrix->blend, tt = 0;
    const float *x = NULL, *y = NULL;
    s24c_mirror *cross = NULL;
    loss l;
    s24_status status = S24_OK;

    take_loss(run, matrix->gram, which, w, &l);
    run->arena->used = mark;
    if (s24i_counting(run))
        return S24_OK;
    if (!(status = loss_operand(run, w, l.a, &x)))
        status = loss_operand(run, v, l.b, &y);
    if (!status)
        status = loss_of(&l, y, NULL, &qv);
    if (!status)
        status = loss_of(&l, x, NULL, &qw);
    if (!status)
        status = loss_of(&l, x, y, &qe);
    if (!status)
        status = s24c_cross(run, matrix->cross, matrix->gram->changes, &cross);
    if (!status)
        status = cross_of(&l, cross, row_of, y, &cv);
    if (!status)
        status = cross_of(&l, cross, row_of, x, &cw);
    if (!status)
        status = wanted_squares(run, matrix->cross, which, row_of, w->rows, &tt);
    if (status)
        return status;
    *norm = (1 - b) * (1 - b) * qw + 2 * b * (1 - b) * cw + b * b * tt;
    *loss_out = qv - (1 - b) * (qv + qw - qe) - 2 * b * cv + *norm;
    if (!isfinite(*loss_out))
        return s24i_fail(S24_E_NUMERIC, "the loss against the target became %g", *loss_out);
    *loss_out = fmax(0, *loss_out);
    return S24_OK;
}
