#include "sets.h"
#include <math.h>
#include <string.h>

/* Are weights the product of block-diagonal matrices and the core between them? In double. */

typedef struct {
    const s24i_blocked *b;
    const s24_mat *weights;
    double *scratch; /* a worker: two rows, of the product and of its magnitudes */
    s24i_failure failure;
} claim;

/* A row of left core, and of |left| |core|. */
static void times_core(const s24i_blocked *b, int64_t row, int64_t cols, double *sum, double *size)
{
    const float *left = b->left->data, *core = b->core->data;
    int64_t width = b->left->cols, first = row / width * width;
    memset(sum, 0, (size_t)cols * sizeof *sum);
    memset(size, 0, (size_t)cols * sizeof *size);
    for (int64_t t = 0; t < width; t++)
        for (int64_t j = 0; j < cols; j++) {
            double x = (double)left[row * width + t] * core[(first + t) * cols + j];
            sum[j] += x;
            size[j] += fabs(x);
        }
}

static void check_row(void *arg, int64_t row, int32_t worker)
{
    claim *c = arg;
    int64_t cols = c->weights->cols, width = c->b->right->cols;
    double *sum = c->scratch + worker * 2 * cols, *size = sum + cols;
    const float *right = c->b->right->data, *w = (const float *)c->weights->data + row * cols;
    times_core(c->b, row, cols, sum, size);
    for (int64_t j = 0; j < cols; j++) {
        double is = 0, most = 0;
        for (int64_t t = 0; t < width; t++) {
            double x = right[(j / width * width + t) * width + j % width];
            is += sum[j / width * width + t] * x;
            most += size[j / width * width + t] * fabs(x);
        }
        if (fabs(w[j] - is) <= 1e-5 * most + 1e-44)
            continue;
        s24i_failure_keep(&c->failure, row,
                          s24i_fail(S24_E_STATE,
                                    "weights: row %lld, column %lld is %.9g, but left sparse right "
                                    "is %.9g",
                                    (long long)row, (long long)j, w[j], is));
        return;
    }
}

s24_status s24i_check_blocks(const s24i_run *run, const s24_mat *weights, const s24i_blocked *b)
{
    size_t mark = run->arena->used, workers = (size_t)s24i_workers(run->device->threads);
    claim c = {.b = b, .weights = weights};
    c.scratch = s24i_arena_take(run->arena, 2 * workers * (size_t)weights->cols, sizeof(double));
    s24_status status = S24_OK;
    if (!s24i_counting(run))
        status = s24i_parallel(run->device->threads, check_row, &c, weights->rows);
    run->arena->used = mark;
    return status ? status : s24i_failure_raise(&c.failure);
}
