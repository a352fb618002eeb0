#include "linear.h"
#include <math.h>
#include <string.h>

/* Arrays as a whole: copies, differences, and what the calibration says of each input. */

#define DEAD_INPUT 1e-12 /* of the largest diagonal entry */

s24_status s24i_cpu_copy(const s24i_run *run, const void *from, size_t size, void *to)
{
    memcpy(to, from, size);
    return S24_OK;
}

s24_status s24i_cpu_fill(const s24i_run *run, int byte, size_t size, void *to)
{
    memset(to, byte, size);
    return S24_OK;
}

s24_status s24i_cpu_upload(const s24i_run *run, const void *from, size_t size, void *to)
{
    return s24i_cpu_copy(run, from, size, to);
}

s24_status s24i_cpu_download(const s24i_run *run, const void *from, size_t size, void *to)
{
    return s24i_cpu_copy(run, from, size, to);
}

s24_status s24i_cpu_gather(const s24i_run *run, const void *from, const int64_t *row_of,
                           int64_t rows, int64_t bytes, void *to)
{
    for (int64_t i = 0; i < rows; i++)
        memcpy((char *)to + i * bytes, (const char *)from + row_of[i] * bytes, (size_t)bytes);
    return S24_OK;
}

s24_status s24i_cpu_subtract(const s24i_run *run, const float *a, const float *b, int64_t count,
                             float *out)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = a[i] - b[i];
    return S24_OK;
}

s24_status s24i_cpu_random(const s24i_run *run, uint64_t seed, int64_t count, float *out)
{
    uint64_t start = s24i_mixed(seed, 0);
    for (int64_t i = 0; i < count; i++) {
        uint64_t bits = s24i_mixed(start, (uint64_t)i);
        out[i] = (float)((bits >> 40) + 1) * 0x1p-24f;
    }
    return S24_OK;
}

s24_status s24i_cpu_bring_near(const s24i_run *run, bool drop, int64_t count, float *w,
                               double *unit)
{
    *unit = 1;
    if (s24i_counting(run))
        return S24_OK;
    *unit = s24i_unit_for(s24i_largest(w, count));
    s24i_multiply_by(w, *unit, count);
    for (int64_t i = 0; drop && i < count; i++)
        w[i] = s24i_drop_tiny(w[i], S24I_TINY_WEIGHT);
    return S24_OK;
}

s24_status s24i_cpu_scale_by(const s24i_run *run, double unit, int64_t count, float *v)
{
    s24i_multiply_by(v, unit, count);
    return S24_OK;
}

static double largest_diagonal(const s24i_gram *gram)
{
    double largest = 0;
    for (int64_t j = 0; gram && j < gram->dim; j++)
        largest = fmax(largest, s24i_gram_diagonal(gram, S24I_BOTH, j));
    return largest;
}

s24_status s24i_cpu_input_norms(const s24i_run *run, const s24i_gram *gram, float *norm)
{
    double largest = largest_diagonal(gram);
    for (int64_t j = 0; j < gram->dim; j++) {
        double share = largest > 0 ? s24i_gram_diagonal(gram, S24I_BOTH, j) / largest : 0;
        norm[j] = share > DEAD_INPUT ? (float)sqrt(share) : 0;
    }
    return S24_OK;
}

/* What a weight at input j is multiplied by. */
static double gradient_factor(const s24i_gram *gram, const double share_weight[2], double largest,
                              int64_t j, double gradient)
{
    double square = s24i_gram_diagonal(gram, S24I_BOTH, j);
    double norm = square > DEAD_INPUT * largest ? sqrt(square) : 0;
    return share_weight[0] * norm + share_weight[1] * fabs(gradient);
}

s24_status s24i_cpu_gradient_scores(const s24i_run *run, const s24i_gram *gram,
                                    const double share_weight[2], const float *w,
                                    const float *gradient, int64_t rows, float *score)
{
    double largest = largest_diagonal(gram), most = 0;
    int64_t cols = gram->dim, size = rows * cols;
    for (int64_t i = 0; i < size; i++)
        most = fmax(most, gradient_factor(gram, share_weight, largest, i % cols, gradient[i]));
    for (int64_t i = 0; i < size; i++) {
        double factor = gradient_factor(gram, share_weight, largest, i % cols, gradient[i]);
        score[i] = most > 0 ? fabsf(w[i]) * (float)(factor / most) : 0;
    }
    return S24_OK;
}

s24_status s24i_cpu_input_energies(const s24i_run *run, const s24i_gram *gram, int64_t cols,
                                   float *energy)
{
    double largest = largest_diagonal(gram);
    for (int64_t j = 0; j < cols; j++)
        energy[j] = largest > 0 ? (float)(s24i_gram_diagonal(gram, S24I_BOTH, j) / largest) : 1;
    return S24_OK;
}

s24_status s24i_cpu_input_weights(const s24i_run *run, const s24i_prepared *p,
                                  const float *variance, int32_t kind, float *weight)
{
    for (int64_t j = 0; j < p->dim; j++) {
        float scale = (float)(p->scale[j] * p->plain);
        weight[j] = p->dead[j]                   ? 0
                    : variance && kind           ? variance[j] * scale * scale
                    : variance                   ? scale * scale * variance[j]
                    : kind == S24I_WEIGHT_ENERGY ? scale * scale
                                                 : 1;
    }
    return S24_OK;
}

s24_status s24i_cpu_scale(const s24i_run *run, const s24i_prepared *p, float *v, int64_t rows)
{
    for (int64_t i = 0; i < rows; i++, v += p->dim)
        for (int64_t j = 0; j < p->dim; j++)
            v[j] = p->dead[j] ? 0 : (float)(v[j] * p->scale[j]);
    return S24_OK;
}
