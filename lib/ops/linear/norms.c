#include "linear.h"
#include <math.h>

/* Norms of outputs over the calibration rows: |x w_i|^2 = w_i H w_i^T, in double. */

enum { BLOCK = 64 };

/* The rows of strip `top` and their mirrors: twice the lower triangle, the diagonal once. */
static void add_strip(const s24i_kernels *kernels, s24i_gram_half h, int64_t top,
                      s24i_weight_rows w, double *product, double *norm2)
{
    int64_t n = h.gram->dim, width = s24i_strip_width(n, top / S24I_STRIP), height = width - top;
    s24i_dgemm(w.rows, height, width, 1, s24i_f64(w.data, n),
               s24i_f64_turned(s24i_gram_row(h.gram, h.half, top), width), 0,
               s24i_f64_out(product, height));
    for (int64_t i = 0; i < w.rows; i++) {
        const double *weights = w.data + i * n + top;
        norm2[i] += 2 * kernels->dot_f64(weights, product + i * height, height);
        for (int64_t j = 0; j < height; j++)
            norm2[i] -= weights[j] * weights[j] * s24i_gram_row(h.gram, h.half, top + j)[top + j];
    }
}

void s24i_add_output_squares(const s24i_kernels *kernels, s24i_gram_half h, s24i_weight_rows w,
                             double *product, double *norm2)
{
    for (int64_t top = 0; top < h.gram->dim; top += S24I_STRIP)
        add_strip(kernels, h, top, w, product, norm2);
}

typedef struct {
    const s24i_run *run;
    const s24i_gram *gram;
    const s24_mat *w;
    double *scratch; /* BLOCK rows of W and as many of one strip's products, a worker */
    double *norm;
} outputs;

static void block_norms(void *arg, int64_t block, int32_t worker)
{
    const outputs *o = arg;
    const s24i_kernels *kernels = o->run->device->kernels;
    int64_t first = block * BLOCK, n = o->w->cols;
    int64_t rows = o->w->rows - first < BLOCK ? o->w->rows - first : BLOCK;
    double *w = o->scratch + worker * BLOCK * (n + S24I_STRIP), *norm = o->norm + first;
    s24i_mat_load_f64(kernels, o->w, first, rows, w);
    for (int64_t i = 0; i < rows; i++)
        norm[i] = o->gram ? 0 : kernels->dot_f64(w + i * n, w + i * n, n);
    for (int half = 0; half < 2 && o->gram; half++)
        s24i_add_output_squares(kernels, (s24i_gram_half){o->gram, half},
                                (s24i_weight_rows){w, rows}, w + BLOCK * n, norm);
    for (int64_t i = 0; i < rows; i++)
        norm[i] = norm[i] <= 0 ? 0 : sqrt(norm[i]);
}

s24_status s24i_cpu_norms(const s24i_run *run, const s24i_gram *gram, const s24_mat *w,
                          int64_t cols, double *norm)
{
    size_t mark = run->arena->used, workers = (size_t)s24i_workers(run->device->threads);
    outputs o = {.run = run, .gram = gram, .w = w, .norm = norm};
    s24_status status = S24_OK;
    if (w)
        o.scratch = s24i_arena_take(
            run->arena, s24i_mul(workers * BLOCK, (size_t)cols + S24I_STRIP), sizeof(double));
    if (s24i_counting(run))
        goto done;
    for (int64_t j = 0; !w && j < cols; j++)
        norm[j] = gram ? sqrt(s24i_gram_diagonal(gram, S24I_BOTH, j)) : 1;
    if (w) {
        run->arena->flops += s24i_product_flops(w->rows, cols);
        status =
            s24i_parallel(run->device->threads, block_norms, &o, (w->rows + BLOCK - 1) / BLOCK);
    }
done:
    run->arena->used = mark;
    return status;
}
