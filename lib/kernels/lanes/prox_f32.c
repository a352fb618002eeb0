#include <reals_f32.h>
#include "kernels/table.h"
#include "kernels/lanes/prox.h"

void S24I_IN_SET(prox_2m_f32)(const float *z, float *w, int64_t n, int32_t m, float lambda,
                              int32_t relative)
{
    lanes_prox_2m(z, w, n, m, lambda, relative);
}

void S24I_IN_SET(prox_1m_f32)(const float *z, float *w, int64_t n, int32_t m, float lambda)
{
    lanes_prox_1m(z, w, n, m, lambda);
}

void S24I_IN_SET(prox_firm_f32)(const float *z, float *w, int64_t n, int32_t keep, int32_t m,
                                float strength)
{
    lanes_prox_firm(z, w, n, keep, m, strength);
}
