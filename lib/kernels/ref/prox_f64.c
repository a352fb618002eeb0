#include "kernels/table.h"
#include <float.h>
#include <math.h>

typedef double real;
#define REAL_MAX DBL_MAX
#define REAL(name) name
#include "kernels/ref/reals.h"
#include "kernels/lanes/prox.h"

void s24i_ref_prox_2m_f64(const double *z, double *w, int64_t n, int32_t m, double lambda,
                          int32_t relative)
{
    lanes_prox_2m(z, w, n, m, lambda, relative);
}

void s24i_ref_prox_1m_f64(const double *z, double *w, int64_t n, int32_t m, double lambda)
{
    lanes_prox_1m(z, w, n, m, lambda);
}

void s24i_ref_prox_firm_f64(const double *z, double *w, int64_t n, int32_t keep, int32_t m,
                            double strength)
{
    lanes_prox_firm(z, w, n, keep, m, strength);
}
