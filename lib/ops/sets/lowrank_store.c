#include "sets.h"
#include <math.h>
#include <string.h>

/* A product of low rank as it is handed out: balanced factors in their types, and a sum that is
 * exactly of what is stored. */
enum { ROWS = 64 };

/* V = C diag(1/scale), row k and column k of U sharing its length, so that neither leaves half
 * precision before the other; by a power of two, which costs no bit. */
static void balance(const s24i_lowrank *low, float *u, float *v)
{
    int64_t n = low->p->dim;
    double plain = low->p->plain * low->p->unit; /* inverse / plain is near 1 */
    int shift = s24i_exponent(low->p->plain);
    for (int64_t k = 0; k < low->rank; k++) {
        for (int64_t j = 0; j < n; j++)
            v[k * n + j] = (float)(low->c[k * n + j] * (low->p->inverse[j] / plain));
        int exponent = 0;
        frexp(sqrt(low->run->device->kernels->sum_squares(v + k * n, n)), &exponent);
        exponent += shift;
        for (int64_t j = 0; j < n; j++)
            v[k * n + j] = ldexpf(v[k * n + j], shift - exponent / 2);
        for (int64_t i = 0; i < low->rows; i++)
            u[i * low->rank + k] = ldexpf(low->q[i * low->width + k], exponent / 2);
    }
}

typedef struct {
    int64_t rows, cols, rank;
    const float *u, *v, *sparse;
    float *out;
} summing;

static void sum_tile(void *arg, int64_t tile, int32_t worker)
{
    (void)worker;
    const summing *s = arg;
    int64_t n = s->cols, first = tile * ROWS;
    int64_t rows = s->rows - first < ROWS ? s->rows - first : ROWS;
    float *out = s->out + first * n;
    if (s->sparse)
        memcpy(out, s->sparse + first * n, (size_t)(rows * n) * sizeof(float));
    s24i_sgemm_exact(rows, n, s->rank, 1, s24i_f32(s->u + first * s->rank, s->rank),
                     s24i_f32(s->v, n), s->sparse ? 1 : 0, s24i_f32_out(out, n));
}

s24_status s24i_cpu_lowrank_store(const s24i_run *run, const s24i_lowrank *l, const s24_mat *u,
                                  const s24_mat *v, const float *sparse, float *sum)
{
    const s24i_kernels *kernels = run->device->kernels;
    balance(l, l->past_u, l->past_c);
    s24i_mat_store(kernels, l->past_u, u, 0, u->rows);
    s24i_mat_store(kernels, l->past_c, v, 0, v->rows);
    s24i_mat_load(kernels, u, 0, u->rows, l->past_u);
    s24i_mat_load(kernels, v, 0, v->rows, l->past_c);
    summing s = {u->rows, v->cols, u->cols, l->past_u, l->past_c, sparse, sum};
    return s24i_parallel(run->device->threads, sum_tile, &s, (s.rows + ROWS - 1) / ROWS);
}
