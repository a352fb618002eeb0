/* What all kernels share. Compiled without contraction: a fused multiply-add is written as fmaf. */
#ifndef S24C_COMMON_CUH
#define S24C_COMMON_CUH
#include "launch.h"
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <math_constants.h>

enum { THREADS = 256, WARP = 32 };

static inline unsigned blocks_for(int64_t count, int64_t threads = THREADS)
{
    int64_t blocks = (count + threads - 1) / threads;
    return unsigned(blocks < 1 ? 1 : blocks > 1 << 20 ? 1 << 20 : blocks);
}

/* A loop over all elements, a thread from its own place on. */
#define EACH(i, count)                                                    \
    for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < (count); \
         i += int64_t(gridDim.x) * blockDim.x)

__device__ inline float drop_tiny(float x, float tiny)
{
    return fabsf(x) < tiny ? 0.0f : x;
}

/* As s24i_nearest_code(). */
__device__ inline float nearest_code(float t, float top)
{
    t = t > 0 ? t : 0;
    t = t < top ? t : top;
    return rintf(t);
}

__device__ inline unsigned magnitude_bits(float x)
{
    return __float_as_uint(x) & 0x7fffffffu;
}

/* The sum over a block of threads, a power of two of them, in one order; valid in every thread. */
template <typename T> __device__ inline T block_sum(T value)
{
    __shared__ T part[1024];
    __syncthreads();
    part[threadIdx.x] = value;
    __syncthreads();
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half)
            part[threadIdx.x] += part[threadIdx.x + half];
        __syncthreads();
    }
    return part[0];
}

template <typename T> __device__ inline T warp_sum(T value)
{
    for (int half = 16; half > 0; half /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, half);
    return value;
}

/* Not __reduce_max_sync(), which capability 7.5 does not have. */
__device__ inline unsigned warp_most(unsigned value)
{
    for (int half = 16; half > 0; half /= 2)
        value = max(value, __shfl_xor_sync(0xffffffffu, value, half));
    return value;
}

#endif
