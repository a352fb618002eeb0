#include "kernels/avx2/reals_f64.h"
#include "kernels/avx2/table.h"
#include "kernels/lanes_prox.h"

void s24i_avx2_prox_2m_f64(const double *z, double *w, int64_t n, int32_t m, double lambda,
                           int32_t relative)
{
    lanes_prox_2m(z, w, n, m, lambda, relative);
}

void s24i_avx2_prox_1m_f64(const double *z, double *w, int64_t n, int32_t m, double lambda)
{
    lanes_prox_1m(z, w, n, m, lambda);
}

void s24i_avx2_prox_firm_f64(const double *z, double *w, int64_t n, int32_t keep, int32_t m,
                             double strength)
{
    lanes_prox_firm(z, w, n, keep, m, strength);
}
