/*
 * A block of columns of the sweep, a warp a row. The lanes hold four columns each of a = sum of D_i
 * R_ij; column after column the owner's weight is decided, its error goes to all lanes, and each
 * adds it to its own columns. Groups of n:m are chosen when their first column comes.
 */
#include "common.cuh"

enum { BLOCK = 128, OWN = BLOCK / WARP, WARPS = 8, MOST = 64 };

struct grid_place {
    float step, inverse, zero;
};

/* Step 0: any value. */
__device__ static grid_place place_of(const s24c_sweep &b, int64_t row, int64_t column)
{
    int64_t input = b.order ? b.order[column] : column, at = row * b.groups + input / b.group;
    bool outlier = b.outliers && b.outliers[row * b.dim + input];
    grid_place place;
    place.step = outlier ? 0.0f : float(b.scale[at] * b.unit[column]);
    place.inverse = outlier ? 0.0f : 1 / place.step;
    place.zero = b.real ? -b.zero[at] / b.scale[at] : b.zero[at];
    return place;
}

/* Rows of the block's own part of R, in shared memory. */
extern __shared__ float tile[];

/* The n of m largest |c R_jj| by forward substitution with nothing dropped: all lanes work out the
 * same. a of the group's columns comes from their owners. */
__device__ static unsigned long long choose_group(const s24c_sweep &b, const float *row_w,
                                                  const float *own, int32_t first)
{
    float score[MOST], e[MOST];
    unsigned long long chosen = 0;
    for (int32_t t = 0; t < b.m; t++) {
        int32_t j = first + t;
        int64_t column = b.first + j;
        float mine = own[0];
#pragma unroll
        for (int k = 1; k < OWN; k++)
            mine = j / WARP == k ? own[k] : mine;
        float sum = __shfl_sync(0xffffffffu, mine, j % WARP);
        for (int32_t u = 0; u < t; u++)
            sum = fmaf(e[u], tile[(first + u) * BLOCK + j], sum);
        float w = row_w[column], c = fmaf(sum, b.inv_r[column], w);
        e[t] = w - c;
        score[t] = c * tile[j * BLOCK + j];
    }
    for (int32_t t = 0; t < b.m; t++) {
        int32_t before = 0;
        for (int32_t u = 0; u < b.m; u++)
            before += magnitude_bits(score[u]) > magnitude_bits(score[t]) ||
                      (magnitude_bits(score[u]) == magnitude_bits(score[t]) && u < t);
        if (before < b.n)
            chosen |= 1ull << t;
    }
    return chosen;
}

template <int M> __device__ static unsigned long long choose_small(const s24c_sweep &b,
                                                                   const float *row_w,
                                                                   const float *own, int32_t first)
{
    float score[M], e[M];
    unsigned long long chosen = 0;
#pragma unroll
    for (int t = 0; t < M; t++) {
        int32_t j = first + t;
        int64_t column = b.first + j;
        float mine = own[0];
#pragma unroll
        for (int k = 1; k < OWN; k++)
            mine = j / WARP == k ? own[k] : mine;
        float sum = __shfl_sync(0xffffffffu, mine, j % WARP);
#pragma unroll
        for (int u = 0; u < t; u++)
            sum = fmaf(e[u], tile[(first + u) * BLOCK + j], sum);
        float w = row_w[column], c = fmaf(sum, b.inv_r[column], w);
        e[t] = w - c;
        score[t] = c * tile[j * BLOCK + j];
    }
#pragma unroll
    for (int t = 0; t < M; t++) {
        int before = 0;
#pragma unroll
        for (int u = 0; u < M; u++)
            before += magnitude_bits(score[u]) > magnitude_bits(score[t]) ||
                      (magnitude_bits(score[u]) == magnitude_bits(score[t]) && u < t);
        if (before < b.n)
            chosen |= 1ull << t;
    }
    return chosen;
}

/* Columns lie lane after lane: lane l owns l, l + 32, l + 64, l + 96. */
__global__ static void sweep_kernel(s24c_sweep b)
{
    int64_t row = int64_t(blockIdx.x) * WARPS + threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    for (int k = threadIdx.x; k < b.cols * BLOCK; k += blockDim.x)
        tile[k] = k % BLOCK < b.cols ? b.r[(b.first + k / BLOCK) * b.dim + b.first + k % BLOCK] : 0;
    __syncthreads();
    if (row >= b.rows)
        return;
    const float *w = b.w + row * b.dim;
    float *d = b.d + row * b.dim;
    uint8_t *mask = b.mask + row * b.dim;
    float own[OWN], weights[OWN], inverse[OWN];
    unsigned held[OWN]; /* what the mask keeps, a bit a column */
#pragma unroll
    for (int k = 0; k < OWN; k++) {
        int32_t j = k * WARP + lane;
        bool in = j < b.cols;
        own[k] = in ? b.a[row * BLOCK + j] : 0.0f;
        weights[k] = in ? w[b.first + j] : 0.0f;
        inverse[k] = !in || b.ones ? 1.0f : b.inv_r[b.first + j];
        held[k] = __ballot_sync(0xffffffffu, in && b.n == 0 && mask[b.first + j]);
    }
    unsigned long long group = 0;
    for (int32_t j = 0; j < b.cols; j++) {
        int64_t column = b.first + j;
        if (b.n > 0 && j % b.m == 0)
            group = b.m == 4 ? choose_small<4>(b, w, own, j) : choose_group(b, w, own, j);
        float mine = own[0], mine_w = weights[0], mine_i = inverse[0];
        unsigned bits = held[0];
#pragma unroll
        for (int k = 1; k < OWN; k++) {
            bool here = j / WARP == k;
            mine = here ? own[k] : mine;
            mine_w = here ? weights[k] : mine_w;
            mine_i = here ? inverse[k] : mine_i;
            bits = here ? held[k] : bits;
        }
        float sum = __shfl_sync(0xffffffffu, mine, j % WARP);
        float weight = __shfl_sync(0xffffffffu, mine_w, j % WARP);
        float over = __shfl_sync(0xffffffffu, mine_i, j % WARP);
        bool kept = b.n > 0 ? group >> j % b.m & 1 : bits >> j % WARP & 1;
        float c = fmaf(sum, over, weight);
        uint8_t code = 0;
        if (b.codes && b.round) {
            grid_place place = place_of(b, row, column);
            float nearest = nearest_code(fmaf(c, place.inverse, place.zero), b.top);
            code = uint8_t(nearest);
            c = place.step == 0 ? c : place.step * (nearest - place.zero);
        }
        float lost = kept ? weight - c : weight;
        if (lane == 0) {
            d[column] = lost;
            if (b.n > 0)
                mask[column] = kept;
            if (b.codes && b.round)
                b.codes[row * b.dim + column] = code;
        }
        const float *r = tile + j * BLOCK;
#pragma unroll
        for (int k = 0; k < OWN; k++) {
            int32_t other = k * WARP + lane;
            if (other > j && other < b.cols)
                own[k] = fmaf(lost, r[other], own[k]);
        }
    }
}

void s24c_sweep_block(cudaStream_t s, const s24c_sweep *block)
{
    const int bytes = BLOCK * BLOCK * sizeof(float); /* more than a block has unasked */
    cudaFuncSetAttribute(sweep_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
    sweep_kernel<<<unsigned((block->rows + WARPS - 1) / WARPS), WARPS * WARP, bytes, s>>>(*block);
}

__global__ static void finish_kernel(const float *w, const float *d, const uint8_t *mask,
                                     int64_t count, float *v)
{
    EACH(i, count)
        v[i] = mask[i] ? w[i] - d[i] : 0;
}

void s24c_sweep_finish(cudaStream_t s, const float *w, const float *d, const uint8_t *mask,
                       int64_t count, float *v)
{
    finish_kernel<<<blocks_for(count), THREADS, 0, s>>>(w, d, mask, count, v);
}

__global__ static void scores_kernel(const float *w, const float *step, const float *inv_r,
                                     int64_t rows, int64_t dim, int64_t first, int32_t cols,
                                     float *score)
{
    EACH(i, rows * cols) {
        int64_t row = i / cols, j = i % cols;
        float c = w[row * dim + first + j] + step[row * BLOCK + j];
        score[i] = fabsf(c / inv_r[first + j]);
    }
}

void s24c_block_scores(cudaStream_t s, const float *w, const float *step, const float *inv_r,
                       int64_t rows, int64_t dim, int64_t first, int32_t cols, float *score)
{
    scores_kernel<<<blocks_for(rows * cols), THREADS, 0, s>>>(w, step, inv_r, rows, dim, first,
                                                              cols, score);
}

__global__ static void block_mask_kernel(const uint8_t *chosen, int64_t rows, int64_t dim,
                                         int64_t first, int32_t cols, uint8_t *mask)
{
    EACH(i, rows * cols)
        mask[i / cols * dim + first + i % cols] = chosen[i];
}

void s24c_block_mask(cudaStream_t s, const uint8_t *chosen, int64_t rows, int64_t dim,
                     int64_t first, int32_t cols, uint8_t *mask)
{
    block_mask_kernel<<<blocks_for(rows * cols), THREADS, 0, s>>>(chosen, rows, dim, first, cols,
                                                                  mask);
}

__global__ static void outlier_values_kernel(const float *w, const float *d, const double *scale,
                                             const int64_t *order, const uint8_t *outliers,
                                             int64_t rows, int64_t dim, float *value)
{
    EACH(i, rows * dim) {
        int64_t j = i % dim, at = i / dim * dim + (order ? order[j] : j);
        if (outliers[at])
            value[at] = float((w[i] - d[i]) / scale[j]);
    }
}

void s24c_outlier_values(cudaStream_t s, const float *w, const float *d, const double *scale,
                         const int64_t *order, const uint8_t *outliers, int64_t rows, int64_t dim,
                         float *value)
{
    outlier_values_kernel<<<blocks_for(rows * dim), THREADS, 0, s>>>(w, d, scale, order, outliers,
                                                                     rows, dim, value);
}

__global__ static void relax_update_kernel(const float *d, int64_t rows, int64_t dim, int64_t first,
                                           int32_t cols, float *v, float *e)
{
    EACH(i, rows * cols) {
        int64_t at = i / cols * dim + first + i % cols;
        v[at] -= d[at];
        e[at] += d[at];
    }
}

void s24c_relax_update(cudaStream_t s, const float *d, int64_t rows, int64_t dim, int64_t first,
                       int32_t cols, float *v, float *e)
{
    relax_update_kernel<<<blocks_for(rows * cols), THREADS, 0, s>>>(d, rows, dim, first, cols, v,
                                                                    e);
}
