/*
 * Coordinate descent over the codes of a row, a block of threads a row: the threads look at as many
 * columns at once, the first that would change is changed, and they go on behind it. So columns
 * change in the order of a sweep, one after the other.
 */
#include "grids.cuh"

__device__ static bool is_outlier(const s24c_descent &d, int64_t at)
{
    return d.grid.outliers && d.grid.outliers[at] && d.mask[at];
}

__device__ static float step_of(const s24c_descent &d, int64_t row, int64_t j)
{
    int64_t at = row * d.dim + j;
    return d.mask[at] && !is_outlier(d, at)
               ? float(d.grid.scale[group_of(d.grid, row, j)] * d.unit[j])
               : 0.0f;
}

/* The column's change in codes, 0: it stays. */
__device__ static float change_of(const s24c_descent &d, int64_t row, int64_t j, const float *g)
{
    float step = step_of(d, row, j), inverse = step != 0 ? 1 / step : 0;
    float code = d.codes[row * d.dim + j], x = g[j] * inverse;
    float k = nearest_code(fmaf(g[j], inverse, code), d.grid.top) - code;
    return 2 * x * k > 1.00001f * k * k ? k : 0.0f;
}

__device__ static void subtract_row(const s24c_descent &d, int64_t j, float a, float *g)
{
    const float *s = d.s + j * d.dim;
    for (int64_t i = threadIdx.x; i < d.dim; i += blockDim.x)
        g[i] = fmaf(-a, s[i], g[i]);
    __syncthreads();
}

/* One sweep; how many changed. */
__device__ static int sweep_codes(const s24c_descent &d, int64_t row, float *g)
{
    __shared__ int first;
    __shared__ float change;
    int changed = 0;
    for (int64_t start = 0; start < d.dim;) {
        int64_t j = start + threadIdx.x;
        if (threadIdx.x == 0)
            first = int(blockDim.x);
        __syncthreads();
        float k = j < d.dim ? change_of(d, row, j, g) : 0.0f;
        if (k != 0)
            atomicMin(&first, int(threadIdx.x));
        __syncthreads();
        int at = first;
        if (int(threadIdx.x) == at) {
            change = k * step_of(d, row, j);
            d.codes[row * d.dim + j] = uint8_t(float(d.codes[row * d.dim + j]) + k);
        }
        __syncthreads();
        if (at == int(blockDim.x)) {
            start += blockDim.x;
            continue;
        }
        float amount = change;
        subtract_row(d, start + at, amount, g);
        start += at + 1;
        changed++;
    }
    return changed;
}

__device__ static void move_outliers(const s24c_descent &d, int64_t row, float *g)
{
    __shared__ float change;
    for (int64_t j = 0; j < d.dim; j++) {
        int64_t at = row * d.dim + j;
        if (!is_outlier(d, at) || d.dead[j])
            continue;
        if (threadIdx.x == 0) {
            float before = d.grid.value[at];
            float now = float(before + float(g[j] / d.unit[j]));
            d.grid.value[at] = now;
            change = float((now - before) * d.unit[j]);
        }
        __syncthreads();
        float amount = change;
        __syncthreads();
        subtract_row(d, j, amount, g);
    }
}

__global__ static void descend_kernel(s24c_descent d)
{
    int64_t row = blockIdx.x;
    float *g = d.g + row * d.dim;
    int sweeps = 0, idle = 0, patience = d.grid.outliers ? 1 : 0;
    while (sweeps < d.sweeps && idle <= patience) {
        bool changed = sweep_codes(d, row, g) > 0;
        if (d.grid.outliers)
            move_outliers(d, row, g);
        sweeps += changed;
        idle = changed ? 0 : idle + 1;
    }
    if (threadIdx.x == 0)
        d.taken[row] = max(d.taken[row], sweeps);
}

void s24c_descend(cudaStream_t s, const s24c_descent *d)
{
    descend_kernel<<<unsigned(d->rows), THREADS, 0, s>>>(*d);
}

__global__ static void descent_values_kernel(s24c_descent d, float *v)
{
    EACH(i, d.rows * d.dim) {
        int64_t row = i / d.dim, j = i % d.dim;
        float zero = zero_of(d.grid, group_of(d.grid, row, j));
        v[i] = step_of(d, row, j) * (float(d.codes[i]) - zero);
    }
}

void s24c_descent_values(cudaStream_t s, const s24c_descent *d, float *v)
{
    descent_values_kernel<<<blocks_for(d->rows * d->dim), THREADS, 0, s>>>(*d, v);
}

/* A warp a row: as refit_row() of lib/ops/steps/descend.c. */
__global__ static void descent_refit_kernel(s24c_descent d, int64_t first, int64_t width,
                                            const float *t, float *v)
{
    int64_t row = (int64_t(blockIdx.x) * blockDim.x + threadIdx.x) / WARP;
    int lane = threadIdx.x % WARP;
    if (row >= d.rows)
        return;
    const float *g = d.g + row * d.dim;
    float *x = v + row * d.dim;
    int64_t at = group_of(d.grid, row, first);
    double along = 0, curvature = 0, delta = 0;
    for (int64_t j = lane; j < width; j += WARP) {
        along += double(x[first + j]) * g[first + j];
        curvature += double(x[first + j]) * t[row * width + j];
    }
    along = warp_sum(along);
    curvature = warp_sum(curvature);
    float scale = d.grid.scale[at];
    if (curvature > 0 && scale != 0) {
        float wanted = float(scale * (1 + along / curvature));
        wanted = d.grid.type == 0x0210   ? __half2float(__float2half_rn(wanted))
                 : d.grid.type == 0x0220 ? wanted
                                         : __bfloat162float(__float2bfloat16_rn(wanted));
        delta = double(wanted) / scale - 1;
        if (!(wanted > 0 && isfinite(wanted) && delta * (2 * along - delta * curvature) > 0))
            delta = 0;
        __syncwarp();
        if (delta != 0 && lane == 0) {
            if (d.grid.scheme == REAL_ZERO)
                d.grid.zero[at] *= wanted / scale;
            d.grid.scale[at] = wanted;
        }
    }
    for (int64_t j = lane; j < width; j += WARP)
        x[first + j] *= float(delta);
}

void s24c_descent_refit(cudaStream_t s, const s24c_descent *d, int64_t at, int64_t width,
                        const float *t, float *v)
{
    descent_refit_kernel<<<unsigned((d->rows * WARP + 255) / 256), 256, 0, s>>>(*d, at, width, t,
                                                                               v);
}
