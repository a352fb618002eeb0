/* Arrays as a whole: reading, copies, masks, counts. */
#include "common.cuh"

enum { F16 = 0x0210, F32 = 0x0220, F64 = 0x0240 }; /* others are bf16 */

__device__ static float load(const void *data, int32_t type, int64_t at)
{
    return type == F32   ? static_cast<const float *>(data)[at]
           : type == F64 ? float(static_cast<const double *>(data)[at])
           : type == F16 ? __half2float(static_cast<const __half *>(data)[at])
                         : __bfloat162float(static_cast<const __nv_bfloat16 *>(data)[at]);
}

__global__ static void read_kernel(const void *data, int32_t type, int64_t rows, int64_t cols,
                                   int64_t row_stride, int64_t col_stride, float *out)
{
    EACH(i, rows * cols)
        out[i] = load(data, type, i / cols * row_stride + i % cols * col_stride);
}

void s24c_read(cudaStream_t s, const void *data, int32_t type, int64_t rows, int64_t cols,
               int64_t row_stride, int64_t col_stride, float *out)
{
    read_kernel<<<blocks_for(rows * cols), THREADS, 0, s>>>(data, type, rows, cols, row_stride,
                                                            col_stride, out);
}

__global__ static void store_kernel(const float *in, int32_t type, int64_t count, void *out)
{
    EACH(i, count) {
        if (type == F32)
            static_cast<float *>(out)[i] = in[i];
        else if (type == F64)
            static_cast<double *>(out)[i] = in[i];
        else if (type == F16)
            static_cast<__half *>(out)[i] = __float2half_rn(in[i]);
        else if (type == 0x0108)
            static_cast<uint8_t *>(out)[i] = uint8_t(in[i]);
        else
            static_cast<__nv_bfloat16 *>(out)[i] = __float2bfloat16_rn(in[i]);
    }
}

void s24c_store(cudaStream_t s, const float *in, int32_t type, int64_t count, void *out)
{
    store_kernel<<<blocks_for(count), THREADS, 0, s>>>(in, type, count, out);
}

__global__ static void first_bad_kernel(const float *x, int64_t count, unsigned long long *first)
{
    EACH(i, count)
        if (magnitude_bits(x[i]) >= 0x7f800000u)
            atomicMin(first, (unsigned long long)i);
}

__global__ static void set_word(unsigned long long *word, unsigned long long value)
{
    *word = value;
}

void s24c_first_bad(cudaStream_t s, const float *x, int64_t count, unsigned long long *first)
{
    set_word<<<1, 1, 0, s>>>(first, (unsigned long long)count);
    first_bad_kernel<<<blocks_for(count), THREADS, 0, s>>>(x, count, first);
}

__global__ static void largest_kernel(const float *x, int64_t count, unsigned int *bits)
{
    unsigned mine = 0;
    EACH(i, count)
        mine = max(mine, magnitude_bits(x[i]));
    mine = warp_most(mine);
    if (threadIdx.x % WARP == 0 && mine)
        atomicMax(bits, mine);
}

void s24c_largest(cudaStream_t s, const float *x, int64_t count, unsigned int *bits)
{
    cudaMemsetAsync(bits, 0, sizeof *bits, s);
    largest_kernel<<<min(blocks_for(count), 1024u), THREADS, 0, s>>>(x, count, bits);
}

__global__ static void subtract_kernel(const float *a, const float *b, int64_t count, float *out)
{
    EACH(i, count)
        out[i] = a[i] - b[i];
}

void s24c_subtract(cudaStream_t s, const float *a, const float *b, int64_t count, float *out)
{
    subtract_kernel<<<blocks_for(count), THREADS, 0, s>>>(a, b, count, out);
}

__device__ static uint64_t mixed(uint64_t seed, uint64_t place)
{
    uint64_t x = seed + (place + 1) * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

__global__ static void random_kernel(uint64_t start, int64_t count, float *out)
{
    EACH(i, count)
        out[i] = float((mixed(start, uint64_t(i)) >> 40) + 1) * 5.9604644775390625e-8f;
}

void s24c_random(cudaStream_t s, uint64_t start, int64_t count, float *out)
{
    random_kernel<<<blocks_for(count), THREADS, 0, s>>>(start, count, out);
}

__global__ static void multiply_kernel(double unit, float tiny, int64_t count, float *v)
{
    EACH(i, count)
        v[i] = drop_tiny(float(v[i] * unit), tiny);
}

void s24c_multiply(cudaStream_t s, double unit, float tiny, int64_t count, float *v)
{
    multiply_kernel<<<blocks_for(count), THREADS, 0, s>>>(unit, tiny, count, v);
}

__global__ static void scale_kernel(const double *scale, const uint8_t *dead, float tiny,
                                    int64_t rows, int64_t cols, float *v)
{
    EACH(i, rows * cols) {
        int64_t j = i % cols;
        v[i] = dead[j] ? 0.0f : drop_tiny(float(v[i] * scale[j]), tiny);
    }
}

void s24c_scale(cudaStream_t s, const double *scale, const uint8_t *dead, float tiny, int64_t rows,
                int64_t cols, float *v)
{
    scale_kernel<<<blocks_for(rows * cols), THREADS, 0, s>>>(scale, dead, tiny, rows, cols, v);
}

__global__ static void unscale_kernel(const double *inverse, double unit, int64_t rows,
                                      int64_t cols, float *v)
{
    EACH(i, rows * cols)
        v[i] = float(v[i] * inverse[i % cols] / unit);
}

void s24c_unscale(cudaStream_t s, const double *inverse, double unit, int64_t rows, int64_t cols,
                  float *v)
{
    unscale_kernel<<<blocks_for(rows * cols), THREADS, 0, s>>>(inverse, unit, rows, cols, v);
}

__global__ static void gather_kernel(const char *from, const int64_t *row_of, int64_t rows,
                                     int64_t bytes, char *to)
{
    EACH(i, rows * bytes)
        to[i] = from[row_of[i / bytes] * bytes + i % bytes];
}

void s24c_gather(cudaStream_t s, const void *from, const int64_t *row_of, int64_t rows,
                 int64_t bytes, void *to)
{
    gather_kernel<<<blocks_for(rows * bytes), THREADS, 0, s>>>(static_cast<const char *>(from),
                                                               row_of, rows, bytes,
                                                               static_cast<char *>(to));
}

__global__ static void mask_kernel(const float *w, const uint8_t *mask, int64_t count, float *v)
{
    EACH(i, count)
        v[i] = mask[i] ? w[i] : 0.0f;
}

void s24c_apply_mask(cudaStream_t s, const float *w, const uint8_t *mask, int64_t count, float *v)
{
    mask_kernel<<<blocks_for(count), THREADS, 0, s>>>(w, mask, count, v);
}

__global__ static void drop_kernel(const float *norm, int64_t rows, int64_t cols, float *v)
{
    EACH(i, rows * cols)
        if (norm[i % cols] == 0)
            v[i] = 0;
}

void s24c_drop_columns(cudaStream_t s, const float *norm, int64_t rows, int64_t cols, float *v)
{
    drop_kernel<<<blocks_for(rows * cols), THREADS, 0, s>>>(norm, rows, cols, v);
}

__global__ static void support_kernel(const float *w, int64_t count, uint8_t *mask)
{
    EACH(i, count)
        mask[i] = w[i] != 0;
}

void s24c_support(cudaStream_t s, const float *w, int64_t count, uint8_t *mask)
{
    support_kernel<<<blocks_for(count), THREADS, 0, s>>>(w, count, mask);
}

__global__ static void count_kernel(const uint8_t *mask, int64_t count, uint8_t *seen,
                                    unsigned long long *sum)
{
    unsigned long long mine = 0;
    EACH(i, count) {
        mine += seen ? seen[i] != mask[i] : mask[i] != 0;
        if (seen)
            seen[i] = mask[i];
    }
    mine = warp_sum(mine);
    if (threadIdx.x % WARP == 0 && mine)
        atomicAdd(sum, mine);
}

void s24c_count(cudaStream_t s, const uint8_t *mask, int64_t count, unsigned long long *sum)
{
    cudaMemsetAsync(sum, 0, sizeof *sum, s);
    count_kernel<<<min(blocks_for(count), 2048u), THREADS, 0, s>>>(mask, count, nullptr, sum);
}

void s24c_changed(cudaStream_t s, const uint8_t *mask, int64_t count, uint8_t *seen,
                  unsigned long long *sum)
{
    cudaMemsetAsync(sum, 0, sizeof *sum, s);
    count_kernel<<<min(blocks_for(count), 2048u), THREADS, 0, s>>>(mask, count, seen, sum);
}

template <typename T>
__global__ static void permute_kernel(const T *in, const int64_t *order, int64_t rows, int64_t cols,
                                      bool back, T *out)
{
    EACH(i, rows * cols) {
        int64_t row = i / cols * cols, other = row + order[i % cols];
        if (back)
            out[other] = in[i];
        else
            out[i] = in[other];
    }
}

void s24c_permute(cudaStream_t s, const float *in, const int64_t *order, int64_t rows, int64_t cols,
                  float *out)
{
    permute_kernel<<<blocks_for(rows * cols), THREADS, 0, s>>>(in, order, rows, cols, false, out);
}

void s24c_permute_bytes(cudaStream_t s, const uint8_t *in, const int64_t *order, int64_t rows,
                        int64_t cols, uint8_t *out)
{
    permute_kernel<<<blocks_for(rows * cols), THREADS, 0, s>>>(in, order, rows, cols, false, out);
}

void s24c_restore_bytes(cudaStream_t s, const uint8_t *in, const int64_t *order, int64_t rows,
                        int64_t cols, uint8_t *out)
{
    permute_kernel<<<blocks_for(rows * cols), THREADS, 0, s>>>(in, order, rows, cols, true, out);
}
