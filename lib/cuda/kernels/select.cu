/* Which weights are the largest: n of m, of each row, of all; ties to the lower index. */
#include "common.cuh"

__device__ static unsigned key_of(float w, const float *norm, int64_t j)
{
    return magnitude_bits(norm ? fabsf(w) * norm[j] : fabsf(w));
}

/* 2 of 4 in a thread each; others in place over their group. */
__global__ static void select_nm_kernel(const float *w, const float *norm, int64_t groups,
                                        int64_t cols, int32_t n, int32_t m, uint8_t *mask)
{
    EACH(g, groups) {
        const float *x = w + g * m;
        const float *weight = norm ? norm + g * m % cols : nullptr;
        for (int32_t t = 0; t < m; t++) {
            unsigned mine = key_of(x[t], weight, t);
            int32_t before = 0;
            for (int32_t u = 0; u < m; u++) {
                unsigned other = key_of(x[u], weight, u);
                before += other > mine || (other == mine && u < t);
            }
            mask[g * m + t] = before < n;
        }
    }
}

void s24c_select_nm(cudaStream_t s, const float *w, const float *norm, int64_t count, int64_t cols,
                    int32_t n, int32_t m, uint8_t *mask)
{
    select_nm_kernel<<<blocks_for(count / m), THREADS, 0, s>>>(w, norm, count / m, cols, n, m,
                                                               mask);
}

__global__ static void score_kernel(const float *w, const float *norm, int64_t rows, int64_t cols,
                                    float *score)
{
    EACH(i, rows * cols)
        score[i] = norm ? fabsf(w[i]) * norm[i % cols] : fabsf(w[i]);
}

void s24c_score(cudaStream_t s, const float *w, const float *norm, int64_t rows, int64_t cols,
                float *score)
{
    score_kernel<<<blocks_for(rows * cols), THREADS, 0, s>>>(w, norm, rows, cols, score);
}

/* ---- digits of 11, 11 and 10 bits from the top, as s24i_keep_largest() ---- */

enum { BINS = 2048, DIGITS = 3 };
__device__ static const int digit_shift[DIGITS] = {21, 10, 0};

__device__ static bool in_prefix(unsigned bits, unsigned prefix, int digit)
{
    int above = digit ? digit_shift[digit - 1] : 31;
    return bits >> above == prefix >> above;
}

__device__ static unsigned digit_of(unsigned bits, int digit)
{
    int above = digit ? digit_shift[digit - 1] : 31;
    return bits >> digit_shift[digit] & ((1u << (above - digit_shift[digit])) - 1);
}

/* A block of threads a row. */
__global__ static void keep_rows_kernel(const float *w, int64_t cols, int64_t keep, uint8_t *mask)
{
    __shared__ unsigned bins[BINS];
    __shared__ unsigned threshold;
    __shared__ int64_t left;
    __shared__ unsigned ties[THREADS];
    const float *x = w + blockIdx.x * cols;
    uint8_t *out = mask + blockIdx.x * cols;
    if (threadIdx.x == 0) {
        threshold = 0;
        left = keep;
    }
    for (int digit = 0; digit < DIGITS; digit++) {
        for (int b = threadIdx.x; b < BINS; b += blockDim.x)
            bins[b] = 0;
        __syncthreads();
        for (int64_t j = threadIdx.x; j < cols; j += blockDim.x) {
            unsigned bits = magnitude_bits(x[j]);
            if (in_prefix(bits, threshold, digit))
                atomicAdd(&bins[digit_of(bits, digit)], 1u);
        }
        __syncthreads();
        if (threadIdx.x == 0) {
            int b = BINS - 1;
            for (; b > 0 && int64_t(bins[b]) < left; b--)
                left -= bins[b];
            threshold |= unsigned(b) << digit_shift[digit];
        }
        __syncthreads();
    }
    /* Ties in the order of their index: a thread takes a run of columns. */
    int64_t share = (cols + blockDim.x - 1) / blockDim.x, first = threadIdx.x * share;
    int64_t end = first + share < cols ? first + share : cols;
    unsigned mine = 0;
    for (int64_t j = first; j < end; j++)
        mine += magnitude_bits(x[j]) == threshold;
    ties[threadIdx.x] = mine;
    __syncthreads();
    if (threadIdx.x == 0) {
        unsigned before = 0;
        for (int t = 0; t < THREADS; t++) {
            unsigned here = ties[t];
            ties[t] = before;
            before += here;
        }
    }
    __syncthreads();
    int64_t before = ties[threadIdx.x];
    for (int64_t j = first; j < end; j++) {
        unsigned bits = magnitude_bits(x[j]);
        out[j] = bits > threshold || (bits == threshold && before < left);
        before += bits == threshold;
    }
}

void s24c_keep_rows(cudaStream_t s, const float *w, int64_t rows, int64_t cols, int64_t keep,
                    uint8_t *mask)
{
    if (keep <= 0 || keep >= cols)
        cudaMemsetAsync(mask, keep > 0, size_t(rows * cols), s);
    else
        keep_rows_kernel<<<unsigned(rows), THREADS, 0, s>>>(w, cols, keep, mask);
}

/* state: BINS bins, then the threshold and what is left to keep. */
__global__ static void start_kernel(uint64_t *state, int64_t keep)
{
    state[BINS] = 0;
    state[BINS + 1] = uint64_t(keep);
}

__global__ static void bins_kernel(const float *x, int64_t count, int digit, uint64_t *state)
{
    __shared__ unsigned bins[BINS];
    unsigned threshold = unsigned(state[BINS]);
    for (int b = threadIdx.x; b < BINS; b += blockDim.x)
        bins[b] = 0;
    __syncthreads();
    EACH(i, count) {
        unsigned bits = magnitude_bits(x[i]);
        if (in_prefix(bits, threshold, digit))
            atomicAdd(&bins[digit_of(bits, digit)], 1u);
    }
    __syncthreads();
    for (int b = threadIdx.x; b < BINS; b += blockDim.x)
        if (bins[b])
            atomicAdd(reinterpret_cast<unsigned long long *>(state + b),
                      (unsigned long long)bins[b]);
}

__global__ static void pick_kernel(int digit, uint64_t *state)
{
    int64_t left = int64_t(state[BINS + 1]);
    int b = BINS - 1;
    for (; b > 0 && int64_t(state[b]) < left; b--)
        left -= int64_t(state[b]);
    state[BINS] |= uint64_t(b) << digit_shift[digit];
    state[BINS + 1] = uint64_t(left);
}

__global__ static void ties_kernel(const float *x, int64_t count, const uint64_t *state,
                                   int64_t *ties)
{
    unsigned threshold = unsigned(state[BINS]);
    int64_t first = int64_t(blockIdx.x) * S24C_CHUNK;
    int mine = 0;
    for (int64_t i = first + threadIdx.x; i < first + S24C_CHUNK && i < count; i += blockDim.x)
        mine += magnitude_bits(x[i]) == threshold;
    mine = block_sum(mine);
    if (threadIdx.x == 0)
        ties[blockIdx.x] = mine;
}

/* ties[k] = how many come before chunk k. */
__global__ static void deal_kernel(int64_t *ties, int64_t chunks)
{
    __shared__ int64_t part[1024];
    int64_t share = (chunks + blockDim.x - 1) / blockDim.x, first = threadIdx.x * share;
    int64_t end = first + share < chunks ? first + share : chunks, mine = 0;
    for (int64_t i = first; i < end; i++)
        mine += ties[i];
    part[threadIdx.x] = mine;
    __syncthreads();
    int64_t before = 0;
    for (unsigned t = 0; t < threadIdx.x; t++)
        before += part[t];
    for (int64_t i = first; i < end; i++) {
        int64_t here = ties[i];
        ties[i] = before;
        before += here;
    }
}

/* A warp goes over a chunk in order. */
__global__ static void mark_kernel(const float *x, int64_t count, const uint64_t *state,
                                   const int64_t *ties, uint8_t *mask)
{
    unsigned threshold = unsigned(state[BINS]);
    int64_t left = int64_t(state[BINS + 1]);
    int64_t chunk = (int64_t(blockIdx.x) * blockDim.x + threadIdx.x) / WARP;
    int64_t first = chunk * S24C_CHUNK;
    if (first >= count)
        return;
    int64_t before = ties[chunk];
    unsigned lane = threadIdx.x % WARP;
    for (int64_t k = 0; k < S24C_CHUNK; k += WARP) {
        int64_t i = first + k + lane;
        unsigned bits = i < count ? magnitude_bits(x[i]) : 0;
        bool tie = i < count && bits == threshold;
        unsigned all = __ballot_sync(0xffffffffu, tie);
        int64_t rank = before + __popc(all & ((1u << lane) - 1));
        if (i < count)
            mask[i] = bits > threshold || (tie && rank < left);
        before += __popc(all);
    }
}

void s24c_keep_all(cudaStream_t s, const float *w, int64_t count, int64_t keep, uint64_t *bins,
                   int64_t *ties, uint8_t *mask)
{
    int64_t chunks = (count + S24C_CHUNK - 1) / S24C_CHUNK;
    if (keep <= 0 || keep >= count) {
        cudaMemsetAsync(mask, keep > 0, size_t(count), s);
        return;
    }
    start_kernel<<<1, 1, 0, s>>>(bins, keep);
    for (int digit = 0; digit < DIGITS; digit++) {
        cudaMemsetAsync(bins, 0, BINS * sizeof *bins, s);
        bins_kernel<<<min(blocks_for(count), 1024u), THREADS, 0, s>>>(w, count, digit, bins);
        pick_kernel<<<1, 1, 0, s>>>(digit, bins);
    }
    ties_kernel<<<unsigned(chunks), THREADS, 0, s>>>(w, count, bins, ties);
    deal_kernel<<<1, 1024, 0, s>>>(ties, chunks);
    mark_kernel<<<blocks_for(chunks * WARP), THREADS, 0, s>>>(w, count, bins, ties, mask);
}
