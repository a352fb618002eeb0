#include "prox.h"
#include <float.h>
#include <math.h>
#include <string.h>

/* Matrices go through pieces of a few rows that fit on the stack: any layout, and in place. */
enum { PIECE_ROWS = 16, PIECE_COLS = 256 };
/* The largest m of 2:m for which the single-precision kernel is within 1e-7 of the minimum
 * (tests/prox). */
enum { WIDEST_F32 = 8 };

typedef union piece {
    float f32[PIECE_ROWS * PIECE_COLS];
    double f64[PIECE_ROWS * PIECE_COLS];
} piece;

typedef struct prox_job {
    const s24i_device *device;
    const s24i_prox *prox;
    const s24_mat *z, *out;
    bool wide;           /* in double */
    int64_t step;        /* columns of a piece: whole groups */
    _Atomic int64_t bad; /* first element that is not finite, rows * cols when none */
} prox_job;

static s24_mat part_of(const s24_mat *mat, int64_t row, int64_t rows, int64_t col, int64_t cols)
{
    s24_mat part = *mat;
    int64_t offset = (row > 0 ? row * mat->row_stride : 0) + (col > 0 ? col * mat->col_stride : 0);
    part.data = (char *)mat->data + offset * s24i_dtype_size(mat->dtype);
    part.rows = rows;
    part.cols = cols;
    return part;
}

typedef void (*piece_fn)(prox_job *job, int64_t row, int64_t rows, int64_t col, int64_t cols);

static void each_piece(prox_job *job, int64_t strip, piece_fn work)
{
    int64_t row = strip * PIECE_ROWS, left = job->z->rows - row;
    int64_t rows = left < PIECE_ROWS ? left : PIECE_ROWS;
    for (int64_t col = 0; col < job->z->cols; col += job->step) {
        int64_t cols = job->z->cols - col < job->step ? job->z->cols - col : job->step;
        work(job, row, rows, col, cols);
    }
}

static void load_piece(const prox_job *job, int64_t row, int64_t rows, int64_t col, int64_t cols,
                       piece *out)
{
    s24_mat part = part_of(job->z, row, rows, col, cols);
    if (job->wide)
        s24i_mat_load_f64(job->device->kernels, &part, 0, rows, out->f64);
    else
        s24i_mat_load(job->device->kernels, &part, 0, rows, out->f32);
}

/* ---- what is there has to be finite ---- */

static int64_t first_nonfinite(const prox_job *job, const piece *x, int64_t count)
{
    if (!job->wide)
        return job->device->kernels->first_nonfinite(x->f32, count);
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(x->f64[i]))
            return i;
    return -1;
}

static void check_piece(prox_job *job, int64_t row, int64_t rows, int64_t col, int64_t cols)
{
    piece x;
    load_piece(job, row, rows, col, cols, &x);
    int64_t bad = first_nonfinite(job, &x, rows * cols);
    if (bad >= 0)
        s24i_keep_minimum(&job->bad, (row + bad / cols) * job->z->cols + col + bad % cols);
}

static void check_strip(void *arg, int64_t strip, int32_t worker)
{
    (void)worker;
    each_piece(arg, strip, check_piece);
}

static s24_status check_finite(prox_job *job, int64_t strips)
{
    int64_t count = job->z->rows * job->z->cols;
    atomic_store(&job->bad, count);
    s24_status status = s24i_parallel(job->device->threads, check_strip, job, strips);
    int64_t bad = atomic_load(&job->bad);
    if (status || bad == count)
        return status;
    double value;
    s24_mat one = part_of(job->z, bad / job->z->cols, 1, bad % job->z->cols, 1);
    s24i_mat_load_f64(job->device->kernels, &one, 0, 1, &value);
    return s24i_fail(S24_E_NONFINITE, "z: row %lld, column %lld is %g",
                     (long long)(bad / job->z->cols), (long long)(bad % job->z->cols), value);
}

/* ---- shrinking ---- */

static void shrink_f32(const prox_job *job, float *x, int64_t count)
{
    const s24i_kernels *kernels = job->device->kernels;
    const s24i_prox *prox = job->prox;
    float strength = (float)prox->strength;
    if (prox->kind == S24I_PROX_FIRM)
        kernels->prox_firm_f32(x, x, count, prox->n, prox->m, strength);
    else if (prox->n == 1)
        kernels->prox_1m_f32(x, x, count, prox->m, strength);
    else
        kernels->prox_2m_f32(x, x, count, prox->m, strength, prox->kind == S24I_PROX_RELATIVE);
}

static void shrink_f64(const prox_job *job, double *x, int64_t count)
{
    const s24i_kernels *kernels = job->device->kernels;
    const s24i_prox *prox = job->prox;
    if (prox->kind == S24I_PROX_FIRM)
        kernels->prox_firm_f64(x, x, count, prox->n, prox->m, prox->strength);
    else if (prox->n == 1)
        kernels->prox_1m_f64(x, x, count, prox->m, prox->strength);
    else
        kernels->prox_2m_f64(x, x, count, prox->m, prox->strength,
                             prox->kind == S24I_PROX_RELATIVE);
}

static void store_f64(const double *x, const s24_mat *part)
{
    for (int64_t i = 0; i < part->rows; i++)
        for (int64_t j = 0; j < part->cols; j++, x++) {
            s24_mat one = part_of(part, i, 1, j, 1);
            if (part->dtype == S24_F64)
                *(double *)one.data = *x;
            else
                *(float *)one.data = (float)*x;
        }
}

static void shrink_piece(prox_job *job, int64_t row, int64_t rows, int64_t col, int64_t cols)
{
    piece x;
    s24_mat part = part_of(job->out, row, rows, col, cols);
    load_piece(job, row, rows, col, cols, &x);
    if (job->wide) {
        shrink_f64(job, x.f64, rows * cols);
        store_f64(x.f64, &part);
    } else {
        shrink_f32(job, x.f32, rows * cols);
        s24i_mat_store(job->device->kernels, x.f32, &part, 0, rows);
    }
}

static void shrink_strip(void *arg, int64_t strip, int32_t worker)
{
    (void)worker;
    each_piece(arg, strip, shrink_piece);
}

/* In double, also for single precision: a lambda that that cannot hold, against weights that may
 * make up for it; and so many squares to a group that their sum would be too rough to tell the
 * better of two minima. */
static bool needs_double(const s24i_prox *prox)
{
    double lambda = prox->strength;
    if (prox->kind == S24I_PROX_FIRM)
        return false;
    return (prox->n == 2 && prox->m > WIDEST_F32) || (lambda > 0 && lambda < (double)FLT_MIN) ||
           (lambda > (double)FLT_MAX && lambda < HUGE_VAL);
}

static prox_job make_job(const s24i_device *device, const s24i_prox *prox, const s24_mat *z,
                         const s24_mat *out)
{
    return (prox_job){.device = device,
                      .prox = prox,
                      .z = z,
                      .out = out,
                      .wide = z->dtype == S24_F64 || needs_double(prox),
                      .step = PIECE_COLS / prox->m * prox->m};
}

s24_status s24i_prox_apply(const s24i_device *device, const s24i_prox *prox, const s24_mat *z,
                           const s24_mat *w)
{
    prox_job job = make_job(device, prox, z, w);
    int64_t strips = (z->rows + PIECE_ROWS - 1) / PIECE_ROWS;
    s24_status status = check_finite(&job, strips);
    return status ? status : s24i_parallel(device->threads, shrink_strip, &job, strips);
}

/* ---- masks ---- */

/* As kernels->select_nm, for doubles. */
static void select_f64(const double *x, uint8_t *mask, int64_t count, int32_t n, int32_t m)
{
    for (int64_t group = 0; group < count; group += m)
        for (int32_t t = 0; t < m; t++) {
            int32_t before = 0;
            for (int32_t u = 0; u < m; u++) {
                double other = fabs(x[group + u]), this = fabs(x[group + t]);
                before += other > this || (other == this && u < t);
            }
            mask[group + t] = before < n;
        }
}

static void project_piece(prox_job *job, int64_t row, int64_t rows, int64_t col, int64_t cols)
{
    const s24i_kernels *kernels = job->device->kernels;
    int32_t n = job->prox->n, m = job->prox->m;
    piece x;
    uint8_t mask[PIECE_ROWS * PIECE_COLS];
    s24_mat part = part_of(job->out, row, rows, col, cols);
    load_piece(job, row, rows, col, cols, &x);
    if (job->wide)
        select_f64(x.f64, mask, rows * cols, n, m);
    else
        s24i_select_nm(kernels, x.f32, NULL, mask, rows * cols, n, m);
    for (int64_t i = 0; i < rows; i++) {
        uint8_t *to = part_of(&part, i, 1, 0, 1).data;
        for (int64_t j = 0; j < cols; j++)
            to[j * part.col_stride] = mask[i * cols + j];
    }
}

static void project_strip(void *arg, int64_t strip, int32_t worker)
{
    (void)worker;
    each_piece(arg, strip, project_piece);
}

s24_status s24i_project_nm(const s24i_device *device, int32_t n, int32_t m, const s24_mat *z,
                           const s24_mat *mask)
{
    const s24i_prox constraints = {S24I_PROX_FIRM, n, m, 1};
    prox_job job = make_job(device, &constraints, z, mask);
    int64_t strips = (z->rows + PIECE_ROWS - 1) / PIECE_ROWS;
    s24_status status = check_finite(&job, strips);
    return status ? status : s24i_parallel(device->threads, project_strip, &job, strips);
}
