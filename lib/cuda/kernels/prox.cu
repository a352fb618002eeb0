/* The shrinking operators of groups: kernels/lanes/prox.h itself, one value of one group a thread. */
#include "common.cuh"
#include <cfloat>
#include <cstring>

typedef float real;
#define REAL_MAX FLT_MAX
#define REAL(name) name##f
/* For what is taken over from the CPU: its functions run here, and copies are of whole groups. */
__device__ static void move_reals(real *to, const real *from, size_t bytes)
{
    for (size_t i = 0; i < bytes / sizeof *to; i++)
        to[i] = from[i];
}

#define memmove move_reals
#define static __device__ static
#include "kernels/ref/reals.h"
#include "kernels/lanes/prox.h"
#undef static
#undef memmove

/* Groups are whole, so each thread calls for one alone. */
static __global__ void prox_kernel(int32_t kind, const float *z, int64_t groups, int32_t n,
                                   int32_t m, float strength, int32_t relative, float *v)
{
    EACH(g, groups) {
        const float *from = z + g * m;
        float *to = v + g * m;
        if (kind == 1)
            lanes_prox_1m(from, to, m, m, strength);
        else if (kind == 2)
            lanes_prox_2m(from, to, m, m, strength, relative);
        else
            lanes_prox_firm(from, to, m, n, m, strength);
    }
}

void s24c_prox(cudaStream_t s, int32_t kind, const float *z, int64_t count, int32_t n, int32_t m,
               float strength, int32_t relative, float *v)
{
    prox_kernel<<<blocks_for(count / m, 128), 128, 0, s>>>(kind, z, count / m, n, m, strength,
                                                           relative, v);
}
