/* ADMM on the pattern, and the shrinking searches. */
#include "common.cuh"

__global__ static void gap_kernel(const float *z, const float *w, const uint8_t *mask, float dual,
                                  int64_t count, float *gap)
{
    EACH(i, count)
        gap[i] = (mask[i] ? z[i] : -(dual * z[i])) - w[i];
}

void s24c_admm_gap(cudaStream_t s, const float *z, const float *w, const uint8_t *mask, float dual,
                   int64_t count, float *gap)
{
    gap_kernel<<<blocks_for(count), THREADS, 0, s>>>(z, w, mask, dual, count, gap);
}

__global__ static void move_kernel(const float *p, const float *w, float rho, float dual,
                                   int64_t count, const uint8_t *mask, float *z, float *b_out)
{
    EACH(i, count) {
        float b = fmaf(rho, p[i], w[i]);
        z[i] = mask[i] ? b : b + dual * z[i];
        if (b_out)
            b_out[i] = b;
    }
}

/* The same for groups of four, and their two largest. */
__global__ static void move_24_kernel(const float4 *p, const float4 *w, float rho, float dual,
                                      int64_t groups, uchar4 *mask, float4 *z, float4 *b_out)
{
    EACH(g, groups) {
        const float4 pg = p[g], wg = w[g], zg = z[g];
        const uchar4 kept = mask[g];
        float b[4] = {fmaf(rho, pg.x, wg.x), fmaf(rho, pg.y, wg.y), fmaf(rho, pg.z, wg.z),
                      fmaf(rho, pg.w, wg.w)};
        float y[4] = {kept.x ? b[0] : b[0] + dual * zg.x, kept.y ? b[1] : b[1] + dual * zg.y,
                      kept.z ? b[2] : b[2] + dual * zg.z, kept.w ? b[3] : b[3] + dual * zg.w};
        uint8_t chosen[4];
#pragma unroll
        for (int t = 0; t < 4; t++) {
            int before = 0;
#pragma unroll
            for (int u = 0; u < 4; u++)
                before += magnitude_bits(y[u]) > magnitude_bits(y[t]) ||
                          (magnitude_bits(y[u]) == magnitude_bits(y[t]) && u < t);
            chosen[t] = before < 2;
        }
        z[g] = make_float4(y[0], y[1], y[2], y[3]);
        if (b_out)
            b_out[g] = make_float4(b[0], b[1], b[2], b[3]);
        mask[g] = make_uchar4(chosen[0], chosen[1], chosen[2], chosen[3]);
    }
}

static bool by_fours(const void *a, const void *b)
{
    return (uintptr_t(a) | uintptr_t(b)) % 16 == 0;
}

void s24c_admm_move(cudaStream_t s, const float *p, const float *w, float rho, float dual,
                    int32_t n, int32_t m, int64_t count, uint8_t *mask, float *z, float *b)
{
    if (n == 2 && m == 4 && by_fours(p, w) && by_fours(z, b) && uintptr_t(mask) % 4 == 0) {
        move_24_kernel<<<blocks_for(count / 4), THREADS, 0, s>>>(
            reinterpret_cast<const float4 *>(p), reinterpret_cast<const float4 *>(w), rho, dual,
            count / 4, reinterpret_cast<uchar4 *>(mask), reinterpret_cast<float4 *>(z),
            reinterpret_cast<float4 *>(b));
        return;
    }
    move_kernel<<<blocks_for(count), THREADS, 0, s>>>(p, w, rho, dual, count, mask, z, b);
    if (n > 0)
        s24c_select_nm(s, z, nullptr, count, count, n, m, mask);
}

/* ---- shrinking ---- */

__global__ static void shrink_gap_kernel(const float *v, const float *z, const float *w,
                                         int64_t count, float *gap)
{
    EACH(i, count)
        gap[i] = 2 * v[i] - z[i] - w[i];
}

void s24c_shrink_gap(cudaStream_t s, const float *v, const float *z, const float *w, int64_t count,
                     float *gap)
{
    shrink_gap_kernel<<<blocks_for(count), THREADS, 0, s>>>(v, z, w, count, gap);
}

__global__ static void shrink_move_kernel(const float *w, const float *p, const float *v, float rho,
                                          int64_t count, float *z)
{
    EACH(i, count)
        z[i] = w[i] + rho * p[i] + (z[i] - v[i]);
}

void s24c_shrink_move(cudaStream_t s, const float *w, const float *p, const float *v, float rho,
                      int64_t count, float *z)
{
    shrink_move_kernel<<<blocks_for(count), THREADS, 0, s>>>(w, p, v, rho, count, z);
}

__global__ static void add_scaled_kernel(const float *v, const float *p, float step, int64_t count,
                                         float *z)
{
    EACH(i, count)
        z[i] = v[i] + step * p[i];
}

void s24c_add_scaled(cudaStream_t s, const float *v, const float *p, float step, int64_t count,
                     float *z)
{
    add_scaled_kernel<<<blocks_for(count), THREADS, 0, s>>>(v, p, step, count, z);
}

__global__ static void masked_step_kernel(const float *p, const uint8_t *mask, float step,
                                          int64_t count, float *v)
{
    EACH(i, count)
        v[i] = mask[i] ? v[i] + step * p[i] : 0;
}

void s24c_masked_step(cudaStream_t s, const float *p, const uint8_t *mask, float step,
                      int64_t count, float *v)
{
    masked_step_kernel<<<blocks_for(count), THREADS, 0, s>>>(p, mask, step, count, v);
}

__global__ static void unsettled_kernel(const float *v, int64_t groups, int32_t n, int32_t m,
                                        unsigned long long *unsettled)
{
    unsigned long long mine = 0;
    EACH(g, groups) {
        int32_t kept = 0;
        for (int32_t t = 0; t < m; t++)
            kept += v[g * m + t] != 0;
        mine += kept > n;
    }
    if (mine)
        atomicAdd(unsettled, mine);
}

void s24c_unsettled(cudaStream_t s, const float *v, int64_t count, int32_t n, int32_t m,
                    unsigned long long *unsettled)
{
    cudaMemsetAsync(unsettled, 0, sizeof *unsettled, s);
    unsettled_kernel<<<blocks_for(count / m), THREADS, 0, s>>>(v, count / m, n, m, unsettled);
}

__global__ static void fill_score_kernel(const float *v, const float *w, const unsigned int *largest,
                                         int64_t count, float *gap)
{
    float twice = 2 * __uint_as_float(*largest);
    EACH(i, count)
        gap[i] = v[i] != 0 ? twice : fabsf(w[i]);
}

void s24c_fill_score(cudaStream_t s, const float *v, const float *w, const unsigned int *largest,
                     int64_t count, float *gap)
{
    fill_score_kernel<<<blocks_for(count), THREADS, 0, s>>>(v, w, largest, count, gap);
}
