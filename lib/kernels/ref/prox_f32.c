#include "kernels/table.h"
#include <float.h>
#include <math.h>

typedef float real;
#define REAL_MAX FLT_MAX
#define REAL(name) name##f
#include "kernels/ref/reals.h"
#include "kernels/lanes/prox.h"

void s24i_ref_prox_2m_f32(const float *z, float *w, int64_t n, int32_t m, float lambda,
                          int32_t relative)
{
    lanes_prox_2m(z, w, n, m, lambda, relative);
}

void s24i_ref_prox_1m_f32(const float *z, float *w, int64_t n, int32_t m, float lambda)
{
    lanes_prox_1m(z, w, n, m, lambda);
}

void s24i_ref_prox_firm_f32(const float *z, float *w, int64_t n, int32_t keep, int32_t m,
                            float strength)
{
    lanes_prox_firm(z, w, n, keep, m, strength);
}
