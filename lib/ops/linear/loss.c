#include "linear.h"
#include <float.h>
#include <math.h>

/*
 * sum e H e^T = <H, E^T E>: one product for each strip of H, halved by symmetry, over chunks of
 * rows of E. The products are in the type that H itself was accumulated in, everything else is in
 * double (docs/numerics.md has the error). A chunk far from 1 is multiplied by a power of two, so
 * that its squares stay in that type.
 */
enum { CHUNK = 1024, TILE = 16 };
#define NEGATIVE 1e-6 /* of dim <diag H, diag E^T E>: as far below 0 may rounding take a sum */

typedef struct {
    const s24i_device *device;
    const s24i_gram *gram;
    const s24i_cross *cross;
    int which;
    const s24_mat *a, *b;
    const int64_t *row_of;
    int64_t first, rows;          /* of the chunk */
    double unit;                  /* e is unit times the difference */
    void *e;                      /* chunk x cols of the accumulator's type */
    double *product;              /* S24I_STRIP x cols a worker */
    double *partial;              /* a strip, or a row */
    double *diagonal;             /* a strip: <diag H, diag E^T E> */
    _Atomic bool vanished;        /* some part of the sum, below the least normal double */
    double largest[CHUNK / TILE]; /* of the unmultiplied E, a tile */
} sum;

/* ---- E = A - B ---- */

static void difference_row(const sum *s, int64_t row, double *e, double *scratch)
{
    s24i_mat_load_f64(s->device->kernels, s->a, row, 1, e);
    if (!s->b)
        return;
    s24i_mat_load_f64(s->device->kernels, s->b, row, 1, scratch);
    for (int64_t j = 0; j < s->a->cols; j++)
        e[j] -= scratch[j];
}

static bool single(const sum *s)
{
    return s->gram->rows.type == S24_F32;
}

static double largest_of(const double *row, int64_t n, double largest)
{
    for (int64_t j = 0; j < n; j++)
        largest = fabs(row[j]) > largest ? fabs(row[j]) : largest;
    return largest;
}

static void difference_tile(void *arg, int64_t tile, int32_t worker)
{
    sum *s = arg;
    int64_t n = s->a->cols;
    double *scratch = s->product + worker * S24I_STRIP * n, *row = scratch + n;
    s->largest[tile] = 0;
    for (int64_t i = tile * TILE; i < (tile + 1) * TILE && i < s->rows; i++) {
        difference_row(s, s->first + i, row, scratch);
        s->largest[tile] = largest_of(row, n, s->largest[tile]);
        for (int64_t j = 0; j < n; j++)
            if (single(s))
                ((float *)s->e)[i * n + j] = (float)(s->unit * row[j]);
            else
                ((double *)s->e)[i * n + j] = s->unit * row[j];
    }
}

/* E of the chunk, a second time where it has to be multiplied. */
static s24_status difference_chunk(sum *s)
{
    int64_t tiles = (s->rows + TILE - 1) / TILE;
    double largest = 0;
    s->unit = 1;
    s24_status status = s24i_parallel(s->device->threads, difference_tile, s, tiles);
    for (int64_t i = 0; i < tiles && !status; i++)
        largest = fmax(largest, s->largest[i]);
    s->unit = s24i_unit_for(largest);
    return status || s->unit == 1 ? status
                                  : s24i_parallel(s->device->threads, difference_tile, s, tiles);
}

static void square_row(void *arg, int64_t row, int32_t worker)
{
    sum *s = arg;
    int64_t n = s->a->cols;
    double *e = s->product + worker * S24I_STRIP * n;
    difference_row(s, row, e, e + n);
    s->partial[row] = s->device->kernels->dot_f64(e, e, n);
    if (s->partial[row] < DBL_MIN && largest_of(e, n, 0) > 0)
        atomic_store(&s->vanished, true);
}

/* ---- one strip ---- */

/* Twice the row of the lower triangle of <H, G>, its diagonal once. */
static double row_sum(const sum *s, int64_t i, const double *g, double *diagonal)
{
    double total = 0;
    for (int half = 0; half < 2; half++) {
        if (!(s->which & (half ? S24I_SECOND : S24I_FIRST)))
            continue;
        const double *h = s24i_gram_row(s->gram, half, i);
        total += 2 * s->device->kernels->dot_f64(g, h, i + 1) - g[i] * h[i];
        *diagonal += g[i] * h[i];
    }
    return total;
}

/* G = rows [top, top + height) of E^T E, up to the diagonal block. */
static double block_sum(const sum *s, int64_t top, int64_t height, double *product,
                        double *diagonal)
{
    int64_t n = s->a->cols, width = top + height;
    double total = 0;
    if (single(s)) {
        const float *e = s->e;
        float *g = (float *)(product + n);
        s24i_sgemm(height, width, s->rows, 1, s24i_f32_turned(e + top, n), s24i_f32(e, n), 0,
                   s24i_f32_out(g, width));
        for (int64_t i = 0; i < height; i++) {
            s->device->kernels->difference_f64(g + i * width, NULL, product, top + i + 1);
            total += row_sum(s, top + i, product, diagonal);
        }
        return total;
    }
    const double *e = s->e;
    s24i_dgemm(height, width, s->rows, 1, s24i_f64_turned(e + top, n), s24i_f64(e, n), 0,
               s24i_f64_out(product, width));
    for (int64_t i = 0; i < height; i++)
        total += row_sum(s, top + i, product + i * width, diagonal);
    return total;
}

static void strip_task(void *arg, int64_t index, int32_t worker)
{
    sum *s = arg;
    int64_t n = s->a->cols, strip = (n - 1) / S24I_STRIP - index; /* the widest first */
    int64_t last = s24i_strip_width(n, strip);
    double *product = s->product + worker * S24I_STRIP * n;
    for (int64_t top = strip * S24I_STRIP; top < last; top += S24I_STRIP / 2) {
        int64_t height = last - top < S24I_STRIP / 2 ? last - top : S24I_STRIP / 2;
        double diagonal = 0, part = block_sum(s, top, height, product, &diagonal);
        s->partial[strip] += part / s->unit / s->unit;
        s->diagonal[strip] += diagonal / s->unit / s->unit;
        if (part != 0 && fabs(part / s->unit / s->unit) < DBL_MIN)
            atomic_store(&s->vanished, true);
    }
}

static double in_order(const double *partial, int64_t count)
{
    double total = 0;
    for (int64_t i = 0; i < count; i++)
        total += partial[i];
    return total;
}

static s24_status sum_chunks(sum *s, double *value)
{
    int64_t strips = (s->a->cols + S24I_STRIP - 1) / S24I_STRIP;
    s24i_threads *threads = s->device->threads;
    s24_status status = S24_OK;
    for (int64_t i = 0; i < strips; i++)
        s->partial[i] = s->diagonal[i] = 0;
    for (s->first = 0; s->first < s->a->rows && !status; s->first += CHUNK) {
        s->rows = s->a->rows - s->first < CHUNK ? s->a->rows - s->first : CHUNK;
        status = difference_chunk(s);
        if (!status)
            status = s24i_parallel(threads, strip_task, s, strips);
    }
    double total = in_order(s->partial, strips), diagonal = in_order(s->diagonal, strips);
    if (!status && total < -NEGATIVE * (double)s->a->cols * diagonal)
        return s24i_fail(S24_E_NUMERIC,
                         "a loss came out as %g: the gram is not a sum of squares of rows", total);
    *value = total < 0 ? 0 : total; /* of nearly nothing rounding can take more; NaN stays */
    return status;
}

/* What was computed, or why it could not be. */
static s24_status judge(const sum *s, double value)
{
    if (!isfinite(value))
        return s24i_fail(S24_E_NUMERIC,
                         "a loss became %g: it leaves the range of double precision, or the "
                         "weights changed meanwhile",
                         value);
    if (value < DBL_MIN && atomic_load(&s->vanished))
        return s24i_fail(S24_E_NUMERIC, "a loss vanishes in double precision: multiply the weights "
                                        "or the inputs by a power of two");
    return S24_OK;
}

s24_status s24i_cpu_quadratic(const s24i_run *run, const s24i_gram *gram, int which,
                              const s24_mat *a, const s24_mat *b, double *value)
{
    size_t mark = run->arena->used, rows = (size_t)a->rows, cols = (size_t)a->cols;
    size_t strips = cols / S24I_STRIP + 1;
    sum s = {.device = run->device, .gram = gram, .which = which, .a = a, .b = b};
    s.product = s24i_arena_take(
        run->arena, s24i_mul(S24I_STRIP * cols, (size_t)s24i_workers(run->device->threads)),
        sizeof(double));
    s.partial = s24i_arena_take(run->arena, gram ? strips : rows, sizeof(double));
    s.diagonal = s24i_arena_take(run->arena, gram ? strips : 0, sizeof(double));
    if (gram)
        s.e = s24i_arena_take(run->arena, cols * (rows < CHUNK ? rows : CHUNK),
                              gram->rows.type == S24_F32 ? sizeof(float) : sizeof(double));
    s24_status status = S24_OK;
    if (s24i_counting(run))
        goto done;
    if (gram) {
        run->arena->flops += s24i_product_flops(a->rows, a->cols) / 2; /* E^T E is symmetric */
        status = sum_chunks(&s, value);
    } else {
        status = s24i_parallel(run->device->threads, square_row, &s, a->rows);
        *value = in_order(s.partial, a->rows);
    }
    if (!status)
        status = judge(&s, *value);
done:
    run->arena->used = mark;
    return status;
}

/* ---- the target ---- */

static void cross_row(void *arg, int64_t row, int32_t worker)
{
    const sum *s = arg;
    int64_t n = s->a->cols, source = (s->row_of ? s->row_of[row] : row) * n;
    double *a = s->product + worker * n;
    s24i_mat_load_f64(s->device->kernels, s->a, row, 1, a);
    s->partial[row] = 0;
    for (int half = 0; half < 2; half++)
        if (s->which & (half ? S24I_SECOND : S24I_FIRST))
            s->partial[row] += s->device->kernels->dot_f64(a, s->cross->half[half] + source, n);
}

/* <C, A> */
static s24_status cross_product(const s24i_run *run, const s24i_cross *cross, int which,
                                const s24_mat *a, const int64_t *row_of, double *value)
{
    size_t mark = run->arena->used;
    sum s = {.device = run->device, .cross = cross, .which = which, .a = a, .row_of = row_of};
    s.product = s24i_arena_take(
        run->arena, (size_t)a->cols * (size_t)s24i_workers(run->device->threads), sizeof(double));
    s.partial = s24i_arena_take(run->arena, (size_t)a->rows, sizeof(double));
    s24_status status = S24_OK;
    if (!s24i_counting(run)) {
        status = s24i_parallel(run->device->threads, cross_row, &s, a->rows);
        *value = in_order(s.partial, a->rows);
    }
    run->arena->used = mark;
    return status;
}

/*
 * With q(A) = sum a H a^T, the inner product of X V^T and X W^T is (q(V) + q(W) - q(W - V)) / 2, so
 * the loss against T = (1 - b) X W^T + b T_d needs three quadratic forms and two products with C.
 */
s24_status s24i_cpu_target_loss(const s24i_run *run, const s24i_matrix *matrix, int which,
                                const s24_mat *w, const s24_mat *v, const int64_t *row_of,
                                double *loss, double *norm)
{
    const s24i_gram *gram = matrix->gram;
    const s24i_cross *cross = matrix->cross;
    double qv = 0, qw = 0, qe = 0, cv = 0, cw = 0, b = matrix->blend, tt = 0;
    s24_status status = s24i_cpu_quadratic(run, gram, which, v, NULL, &qv);
    if (!status)
        status = s24i_cpu_quadratic(run, gram, which, w, NULL, &qw);
    if (!status)
        status = s24i_cpu_quadratic(run, gram, which, w, v, &qe);
    if (!status)
        status = cross_product(run, cross, which, v, row_of, &cv);
    if (!status)
        status = cross_product(run, cross, which, w, row_of, &cw);
    if (status || s24i_counting(run))
        return status;
    for (int64_t i = 0; i < 2 * w->rows; i++)
        if (which & (i % 2 ? S24I_SECOND : S24I_FIRST))
            tt += cross->norm2[i % 2][row_of ? row_of[i / 2] : i / 2];
    *norm = (1 - b) * (1 - b) * qw + 2 * b * (1 - b) * cw + b * b * tt;
    *loss = qv - (1 - b) * (qv + qw - qe) - 2 * b * cv + *norm;
    if (!isfinite(*loss))
        return s24i_fail(S24_E_NUMERIC, "the loss against the target became %g", *loss);
    *loss = fmax(0, *loss);
    return S24_OK;
}
