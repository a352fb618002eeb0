/* Rows on their way into sums: taken, looked at, and their products added in double. */
#include "common.cuh"

enum { RUN = 128, F16 = 0x0210, F32 = 0x0220, F64 = 0x0240 };

__device__ static double load(const void *data, int32_t type, int64_t at)
{
    return type == F32   ? double(static_cast<const float *>(data)[at])
           : type == F64 ? static_cast<const double *>(data)[at]
           : type == F16 ? double(__half2float(static_cast<const __half *>(data)[at]))
                         : double(__bfloat162float(static_cast<const __nv_bfloat16 *>(data)[at]));
}

__device__ static void store(void *data, int32_t type, int64_t at, float value)
{
    if (type == F32)
        static_cast<float *>(data)[at] = value;
    else if (type == F16)
        static_cast<__half *>(data)[at] = __float2half_rn(value);
    else
        static_cast<__nv_bfloat16 *>(data)[at] = __float2bfloat16_rn(value);
}

/* How many of the running indices [0, index) belong to `half`. */
__device__ static int64_t before(int64_t index, int64_t half)
{
    int64_t rest = index % (2 * RUN) - half * RUN;
    return index / (2 * RUN) * RUN + (rest < 0 ? 0 : rest > RUN ? RUN : rest);
}

/* A block of threads a row. */
__global__ static void take_kernel(s24c_intake in)
{
    int64_t i = blockIdx.x, index = in.next + i, half = index / RUN % 2;
    int64_t place = in.filled[half] + before(index, half) - before(in.next, half);
    double weight = in.weight ? in.weight[i] : 1;
    float root = float(sqrt(weight));
    for (int64_t j = threadIdx.x; j < in.cols; j += blockDim.x) {
        float value = float(load(in.x, in.type, i * in.row_stride + j * in.col_stride));
        value = weight == 0 ? 0.0f : weight == 1 ? value : value * root;
        store(in.batch[half], in.out_type, place * in.cols + j, value);
    }
}

void s24c_take_rows(cudaStream_t s, const s24c_intake *in)
{
    if (in->rows > 0)
        take_kernel<<<unsigned(in->rows), THREADS, 0, s>>>(*in);
}

__global__ static void start_look(uint64_t *found, uint64_t rows)
{
    found[0] = rows;
    found[1] = 0;
}

__global__ static void look_kernel(s24c_intake in, unsigned long long *found)
{
    int64_t i = blockIdx.x;
    double weight = in.weight ? in.weight[i] : 1, largest = 0;
    bool bad = false;
    if (weight == 0)
        return;
    for (int64_t j = threadIdx.x; j < in.cols; j += blockDim.x) {
        double value = load(in.x, in.type, i * in.row_stride + j * in.col_stride);
        bad |= !(value * value * weight < 1e35);
        largest = fmax(largest, fabs(value));
    }
    if (bad)
        atomicMin(found, (unsigned long long)i);
    unsigned most = warp_most(__float_as_uint(float(largest * sqrt(weight))));
    if (threadIdx.x % WARP == 0)
        atomicMax(found + 1, (unsigned long long)most);
}

void s24c_look_at_rows(cudaStream_t s, const s24c_intake *in, uint64_t found[2])
{
    start_look<<<1, 1, 0, s>>>(found, uint64_t(in->rows));
    if (in->rows > 0)
        look_kernel<<<unsigned(in->rows), THREADS, 0, s>>>(
            *in, reinterpret_cast<unsigned long long *>(found));
}

__global__ static void scale_batch_kernel(int32_t type, double unit, int64_t count, void *batch)
{
    EACH(i, count)
        store(batch, type, i, float(load(batch, type, i) * unit));
}

void s24c_scale_batch(cudaStream_t s, int32_t type, double unit, int64_t count, void *batch)
{
    scale_batch_kernel<<<blocks_for(count), THREADS, 0, s>>>(type, unit, count, batch);
}

__global__ static void add_kernel(const float *product, double factor, int64_t rows, int64_t cols,
                                  int32_t lower, double *sum)
{
    for (int64_t i = blockIdx.y; i < rows; i += gridDim.y) {
        int64_t end = lower ? i + 1 : cols;
        for (int64_t j = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; j < end;
             j += int64_t(gridDim.x) * blockDim.x)
            sum[i * cols + j] += double(product[i * cols + j]) * factor;
    }
}

void s24c_add_product(cudaStream_t s, const float *product, double factor, int64_t rows,
                      int64_t cols, int32_t lower, double *sum)
{
    dim3 grid(unsigned((cols + 1023) / 1024), unsigned(rows < 16384 ? rows : 16384));
    add_kernel<<<grid, THREADS, 0, s>>>(product, factor, rows, cols, lower, sum);
}

__global__ static void squares_kernel(const void *batch, int32_t type, double factor, int64_t rows,
                                      int64_t cols, double *norm2)
{
    EACH(j, cols) {
        double sum = 0;
        for (int64_t i = 0; i < rows; i++) {
            double value = load(batch, type, i * cols + j);
            sum = fma(value, value, sum);
        }
        norm2[j] += sum * factor;
    }
}

void s24c_add_squares(cudaStream_t s, const void *batch, int32_t type, double factor, int64_t rows,
                      int64_t cols, double *norm2)
{
    squares_kernel<<<blocks_for(cols, 64), 64, 0, s>>>(batch, type, factor, rows, cols, norm2);
}

__global__ static void mirror_lower_kernel(int64_t dim, double *a)
{
    EACH(at, dim * dim)
        if (at % dim > at / dim)
            a[at] = a[at % dim * dim + at / dim];
}

void s24c_mirror_lower(cudaStream_t s, int64_t dim, double *a)
{
    mirror_lower_kernel<<<blocks_for(dim * dim), THREADS, 0, s>>>(dim, a);
}

/* Zero above the diagonal. */
__global__ static void contract_kernel(const double *in, int64_t dim, double *strips)
{
    EACH(at, dim * dim) {
        int64_t i = at / dim, j = at % dim, strip = i / 256;
        int64_t width = (strip + 1) * 256 < dim ? (strip + 1) * 256 : dim;
        if (j < width)
            strips[int64_t(256) * 256 * strip * (strip + 1) / 2 + (i - strip * 256) * width + j] =
                j <= i ? in[at] : 0;
    }
}

void s24c_contract(cudaStream_t s, const double *in, int64_t dim, double *strips)
{
    contract_kernel<<<blocks_for(dim * dim), THREADS, 0, s>>>(in, dim, strips);
}
