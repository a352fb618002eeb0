#include "kernels/table.h"
#include "kernels/sum.h"
#include <math.h>

double s24i_ref_sum_squares(const float *x, int64_t n)
{
    return s24i_ref_dot(x, x, n);
}

double s24i_ref_dot(const float *x, const float *y, int64_t n)
{
    double acc[S24I_ACCUMULATORS] = {0};
    for (int64_t i = 0; i < n; ++i) {
        double *sum = &acc[i % S24I_ACCUMULATORS];
        *sum = fma((double)x[i], (double)y[i], *sum);
    }
    return s24i_sum_accumulators(acc);
}

double s24i_ref_dot_f64(const double *x, const double *y, int64_t n)
{
    double acc[S24I_ACCUMULATORS] = {0};
    for (int64_t i = 0; i < n; ++i) {
        double *sum = &acc[i % S24I_ACCUMULATORS];
        *sum = fma(x[i], y[i], *sum);
    }
    return s24i_sum_accumulators(acc);
}

void s24i_ref_add_squares(const float *x, double *acc, int64_t n)
{
    for (int64_t i = 0; i < n; ++i)
        acc[i] = fma((double)x[i], (double)x[i], acc[i]);
}

void s24i_ref_add_f32_to_f64(const float *x, double *acc, int64_t n)
{
    for (int64_t i = 0; i < n; ++i)
        acc[i] += (double)x[i];
}

void s24i_ref_difference_f64(const float *x, const float *y, double *out, int64_t n)
{
    for (int64_t i = 0; i < n; ++i)
        out[i] = y ? (double)x[i] - (double)y[i] : (double)x[i];
}
