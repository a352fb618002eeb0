#include "linear.h"
#include <math.h>

/*
 * The cross of outputs T = Y W^T from sums over their inputs Y: T^T X = W (Y^T X), and
 * |t_i|^2 = w_i (Y^T Y) w_i^T. In double, a task for BLOCK outputs of a half; no sum depends on how
 * many there are.
 */
enum { BLOCK = 128 };

typedef struct {
    const s24i_device *device;
    const s24i_gram *gram; /* of X */
    const s24i_cross *inputs;
    const s24i_gram *dense; /* of Y */
    const s24_mat *w;
    s24i_cross *out;
    double *scratch;      /* BLOCK rows of W and as many of one strip's products, a worker */
    _Atomic int64_t bad;  /* first row of W that is not finite, INT64_MAX when none */
    _Atomic int64_t lost; /* the same of a row whose sums are not */
} derivation;

static int64_t blocks(const derivation *d)
{
    return (d->w->rows + BLOCK - 1) / BLOCK;
}

static size_t scratch_size(const derivation *d)
{
    return s24i_mul(BLOCK, (size_t)d->w->cols + S24I_STRIP);
}

static bool all_finite(const double *values, int64_t count)
{
    for (int64_t j = 0; j < count; j++)
        if (!isfinite(values[j]))
            return false;
    return true;
}

/* By Cauchy and Schwarz |t|^2 is at least c_j^2 / |x_j|^2, also where it is nearly nothing beside
 * what cancelled. */
static double least_square(const derivation *d, int half, const double *c)
{
    double least = 0;
    for (int64_t j = 0; j < d->gram->dim; j++) {
        double h = s24i_gram_row(d->gram, half, j)[j], t = h > 0 ? c[j] / sqrt(h) : 0;
        least = t * t > least ? t * t : least;
    }
    return least;
}

static void derive_rows(derivation *d, int half, int64_t first, int64_t rows, double *w)
{
    int64_t n = d->w->cols, in = d->gram->dim;
    double *c = d->out->half[half] + first * in, *norm2 = d->out->norm2[half] + first;
    s24i_dgemm(rows, in, n, 1, s24i_f64(w, n), s24i_f64(d->inputs->half[half], in), 0,
               s24i_f64_out(c, in));
    s24i_add_output_squares(d->device->kernels, (s24i_gram_half){d->dense, half},
                            (s24i_weight_rows){w, rows}, w + BLOCK * n, norm2);
    for (int64_t i = 0; i < rows; i++) {
        double least = least_square(d, half, c + i * in);
        norm2[i] = norm2[i] < least ? least : norm2[i];
        if (!all_finite(c + i * in, in) || !isfinite(norm2[i]))
            s24i_keep_minimum(&d->lost, first + i);
    }
}

static void derive_block(void *arg, int64_t index, int32_t worker)
{
    derivation *d = arg;
    int half = (int)(index / blocks(d));
    int64_t n = d->w->cols, first = index % blocks(d) * BLOCK;
    int64_t rows = d->w->rows - first < BLOCK ? d->w->rows - first : BLOCK;
    double *w = d->scratch + (size_t)worker * scratch_size(d);
    s24i_mat_load_f64(d->device->kernels, d->w, first, rows, w);
    for (int64_t i = 0; i < rows; i++)
        if (!all_finite(w + i * n, n)) {
            s24i_keep_minimum(&d->bad, first + i);
            return;
        }
    derive_rows(d, half, first, rows, w);
}

static s24_status judge(const derivation *d)
{
    int64_t row = atomic_load(&d->bad), column = 0;
    if (row < INT64_MAX) {
        s24i_mat_load_f64(d->device->kernels, d->w, row, 1, d->scratch);
        while (isfinite(d->scratch[column]))
            column++;
        return s24i_fail(S24_E_NONFINITE, "w: row %lld, column %lld is %g", (long long)row,
                         (long long)column, d->scratch[column]);
    }
    row = atomic_load(&d->lost);
    return row == INT64_MAX
               ? S24_OK
               : s24i_fail(S24_E_NUMERIC,
                           "w: row %lld: the sums of this output leave the range of double "
                           "precision: multiply the weights or the inputs by a power of two",
                           (long long)row);
}

s24_status s24i_cross_derive(const s24i_device *device, const s24i_gram *gram,
                             const s24i_cross *inputs, const s24i_gram *dense, const s24_mat *w,
                             s24i_cross *out)
{
    derivation d = {.device = device, .gram = gram, .inputs = inputs};
    d.dense = dense;
    d.w = w;
    d.out = out;
    atomic_init(&d.bad, INT64_MAX);
    atomic_init(&d.lost, INT64_MAX);
    size_t size =
        s24i_mul(s24i_mul(scratch_size(&d), sizeof(double)), (size_t)s24i_workers(device->threads));
    d.scratch = s24i_alloc(device->memory, size);
    s24_status status = d.scratch ? s24i_cross_open(device, out, gram, w->rows) : S24_E_MEMORY;
    if (!status)
        status = s24i_parallel(device->threads, derive_block, &d, 2 * blocks(&d));
    if (!status)
        status = judge(&d);
    for (int half = 0; half < 2; half++)
        out->t.weight[half] = inputs->t.weight[half];
    s24i_free(device->memory, d.scratch, size);
    if (status)
        s24i_cross_fini(device, out);
    return status;
}

s24_status s24i_cross_compare_inputs(const s24i_cross *inputs, const s24i_gram *dense, int half)
{
    double largest = 0;
    for (int64_t j = 0; j < dense->dim; j++)
        largest = fmax(largest, s24i_gram_row(dense, half, j)[j]);
    for (int64_t j = 0; j < dense->dim; j++) {
        double t = inputs->norm2[half][j], h = s24i_gram_row(dense, half, j)[j];
        if (fabs(t - h) > 0.01 * fmax(t, h) + 1e-12 * largest)
            return s24i_fail(S24_E_STATE,
                             "half %d of dense: the square of input %lld is %g, and that of target "
                             "%lld of inputs %g: both must hold the same rows of the same inputs",
                             half + 1, (long long)j, h, (long long)j, t);
    }
    return S24_OK;
}
