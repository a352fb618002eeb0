/* What a solver does to hand out a sum S + U V: the parts of the result, balanced factors, and weights that are exactly their sum. Knows no
 * method. */
#ifndef S24I_SOLVERS_LOWRANK_H
#define S24I_SOLVERS_LOWRANK_H
#include "ops/lowrank.h"
#include "solver.h"
#include <math.h>
#include <string.h>

typedef struct s24i_factors {
    float *sparse; /* rows x cols: the part, or NULL */
    s24_mat u, v;  /* the parts: rows x rank, rank x cols */
} s24i_factors;

/* Take all of it; `sparse`: there is an S. */
static inline void s24i_factors_take(s24i_job *job, bool sparse, const char *type,
                                     s24i_factors *out)
{
    const s24i_layer *layer = &job->layer;
    int64_t rank = layer->pattern.rank;
    int32_t dtype = strcmp(type, "f16") == 0    ? S24_F16
                    : strcmp(type, "bf16") == 0 ? S24_BF16
                                                : S24_F32;
    rank = rank < layer->rows ? rank : layer->rows;
    rank = rank < layer->cols ? rank : layer->cols;
    int32_t at = job->part_count;
    out->sparse = sparse ? s24i_job_part(job, "sparse", layer->rows, layer->cols, S24_F32) : NULL;
    s24i_job_part(job, "lowrank_u", layer->rows, rank, dtype);
    s24i_job_part(job, "lowrank_v", rank, layer->cols, dtype);
    out->u = job->parts[at + sparse].mat;
    out->v = job->parts[at + sparse + 1].mat;
}

/* V = C diag(1/scale), row k and column k of U sharing its length, so that neither leaves half precision before the other; by a power of two,
 * which costs no bit. */
static inline void s24i_balance(const s24i_kernels *kernels, const s24i_prepared *prepared,
                                const s24i_lowrank *low, float *u, float *v)
{
    int64_t n = prepared->dim;
    double plain = prepared->plain * prepared->unit; /* inverse / plain is near 1 */
    int shift = s24i_exponent(prepared->plain);
    for (int64_t k = 0; k < low->rank; k++) {
        for (int64_t j = 0; j < n; j++)
            v[k * n + j] = (float)(low->c[k * n + j] * (prepared->inverse[j] / plain));
        int exponent = 0;
        frexp(sqrt(kernels->sum_squares(v + k * n, n)), &exponent);
        exponent += shift;
        for (int64_t j = 0; j < n; j++)
            v[k * n + j] = ldexpf(v[k * n + j], shift - exponent / 2);
        for (int64_t i = 0; i < low->rows; i++)
            u[i * low->rank + k] = ldexpf(low->q[i * low->width + k], exponent / 2);
    }
}

typedef struct s24i_summing {
    const s24i_factors *f;
    const float *u, *v;
    float *out;
} s24i_summing;

enum { S24I_SUM_ROWS = 64 };

static inline void s24i_sum_tile(void *arg, int64_t tile, int32_t worker)
{
    (void)worker;
    const s24i_summing *s = arg;
    int64_t n = s->f->v.cols, rank = s->f->u.cols, first = tile * S24I_SUM_ROWS;
    int64_t rows = s->f->u.rows - first < S24I_SUM_ROWS ? s->f->u.rows - first : S24I_SUM_ROWS;
    float *out = s->out + first * n;
    if (s->f->sparse)
        memcpy(out, s->f->sparse + first * n, (size_t)(rows * n) * sizeof(float));
    s24i_sgemm_exact(false, false, rows, n, rank, 1, s->u + first * rank, rank, s->v, n,
                     s->f->sparse ? 1 : 0, out, n);
}

/* The factors from L = U C in unit-diagonal coordinates, and job->v = S + U V of what is stored; f->sparse is final. */
static inline s24_status s24i_factors_finish(s24i_job *job, const s24i_prepared *prepared,
                                             const s24i_lowrank *low, const s24i_factors *f)
{
    const s24i_kernels *kernels = job->ops->kernels;
    float *u = low->past_u, *v = low->past_c;
    s24i_balance(kernels, prepared, low, u, v);
    s24i_mat_store(kernels, u, &f->u, 0, f->u.rows);
    s24i_mat_store(kernels, v, &f->v, 0, f->v.rows);
    s24i_mat_load(kernels, &f->u, 0, f->u.rows, u);
    s24i_mat_load(kernels, &f->v, 0, f->v.rows, v);
    s24i_summing s = {f, u, v, job->v};
    return s24i_parallel(job->ops->threads, s24i_sum_tile, &s,
                         (job->layer.rows + S24I_SUM_ROWS - 1) / S24I_SUM_ROWS);
}

#endif
