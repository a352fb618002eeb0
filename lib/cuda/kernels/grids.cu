/* Values on a grid: fitted, rounded, decoded, and their outliers (lib/ops/sets). */
#include "grids.cuh"

enum { CANDIDATES = 46, MSE_CANDIDATES = 80, REFINEMENTS = 3 };

/* ---- fitting: a warp a group ---- */

struct fitted_group {
    s24c_grid grid;
    const float *w, *weight;
    const uint8_t *mask;
    int64_t row, first, end; /* of the matrix */
    float unit, heaviest, low, high;
    double down;
    bool fine;

    __device__ bool holds(int64_t j) const
    {
        int64_t at = row * grid.cols + j;
        return !(mask && !mask[at]) && !(grid.outliers && grid.outliers[at]);
    }
    __device__ float x(int64_t j) const
    {
        return w[row * grid.cols + j] / unit;
    }
    __device__ float weight_of(int64_t j) const
    {
        return (weight ? weight[j] : 1.0f) / (heaviest > 0 ? heaviest : 1.0f);
    }
};

struct candidate {
    float scale, zero, error, stored;
};

__device__ static float stored_as(int32_t type, float x)
{
    return type == 0x0210   ? __half2float(__float2half_rn(x))
           : type == 0x0220 ? x
                            : __bfloat162float(__float2bfloat16_rn(x));
}

__device__ static void set_scale(const fitted_group &g, float scale, candidate *c)
{
    c->stored = stored_as(g.grid.type, float(scale * g.unit * g.down));
    if (c->stored == 0 && scale > 0 && g.fine)
        c->stored = g.grid.type == 0x0210   ? 5.9604644775390625e-8f
                    : g.grid.type == 0x0220 ? 1.401298464324817e-45f
                                            : 9.183549615799121e-41f;
    c->scale = isfinite(c->stored) && c->stored > 0 ? float(c->stored / g.down) / g.unit : 0.0f;
}

__device__ static candidate shrunk(const fitted_group &g, float factor)
{
    float low = factor * g.low, high = factor * g.high;
    candidate c = {0, 0, CUDART_INF_F, 0};
    if (g.grid.scheme == SYM) {
        set_scale(g, 2 * fmaxf(-low, high) / g.grid.top, &c);
        c.zero = (g.grid.top + 1) / 2;
        return c;
    }
    set_scale(g, (high - low) / g.grid.top, &c);
    if (c.scale > 0)
        c.zero = g.grid.scheme == REAL_ZERO ? -low / c.scale
                                            : nearest_code(-low / c.scale, g.grid.top);
    return c;
}

__device__ static void keep_better(candidate *best, candidate c)
{
    if (c.scale > 0 && (c.error < best->error || best->scale == 0))
        *best = c;
}

__device__ static candidate search_mse(const fitted_group &g, int lane)
{
    candidate best = {0, 0, 0, 0};
    for (int k = 0; k < MSE_CANDIDATES; k++) {
        candidate c = shrunk(g, 1 - float(k) / 100);
        if (!(c.scale > 0))
            continue;
        float sum = 0;
        for (int64_t j = g.first + lane; j < g.end; j += WARP)
            if (g.holds(j)) {
                float x = g.x(j), code = nearest_code(x / c.scale + c.zero, g.grid.top);
                sum += powf(fabsf(c.scale * (code - c.zero) - x), 2.4f);
            }
        c.error = warp_sum(sum);
        keep_better(&best, c);
    }
    return best;
}

/* The three zeros around c's. */
__device__ static void judge(const fitted_group &g, candidate c, int lane, candidate *best)
{
    float sum[3] = {0, 0, 0}, inverse = 1 / c.scale;
    if (!(c.scale > 0))
        return;
    for (int64_t j = g.first + lane; j < g.end; j += WARP) {
        if (!g.holds(j))
            continue;
        float x = g.x(j), weight = g.weight_of(j);
#pragma unroll
        for (int k = 0; k < 3; k++) {
            float zero = c.zero + float(k - 1);
            float e = c.scale * (nearest_code(fmaf(x, inverse, zero), g.grid.top) - zero) - x;
            sum[k] = fmaf(weight * e, e, sum[k]);
        }
    }
    for (int k = 0; k < 3; k++) {
        candidate one = {c.scale, c.zero + float(k - 1), warp_sum(sum[k]), c.stored};
        bool allowed = g.grid.scheme == SYM    ? k == 1
                       : g.grid.scheme == ASYM ? one.zero >= 0 && one.zero <= g.grid.top
                                               : true;
        if (allowed)
            keep_better(best, one);
    }
}

/* Scale and zero given the codes; only for real zeros. */
__device__ static candidate least_squares(const fitted_group &g, candidate c, int lane)
{
    double n = 0, sc = 0, scc = 0, sx = 0, scx = 0;
    for (int64_t j = g.first + lane; j < g.end; j += WARP) {
        if (!g.holds(j))
            continue;
        double weight = g.weight_of(j), x = g.x(j);
        double code = nearest_code(g.x(j) / c.scale + c.zero, g.grid.top);
        n += weight;
        sc += weight * code;
        scc += weight * code * code;
        sx += weight * x;
        scx += weight * code * x;
    }
    n = warp_sum(n);
    sc = warp_sum(sc);
    scc = warp_sum(scc);
    sx = warp_sum(sx);
    scx = warp_sum(scx);
    double determinant = n * scc - sc * sc;
    if (!(determinant > 1e-9 * n * scc))
        return candidate{0, 0, 0, 0};
    double scale = (n * scx - sc * sx) / determinant, least = (sx - scale * sc) / n;
    set_scale(g, float(scale), &c);
    c.zero = c.scale > 0 ? float(-least / double(c.scale)) : 0.0f;
    return c;
}

__device__ static candidate search_weighted(const fitted_group &g, int lane)
{
    candidate best = {0, 0, 0, 0};
    for (int k = 0; k < CANDIDATES; k++)
        judge(g, shrunk(g, 1.1f - 0.9f * float(k) / (CANDIDATES - 1)), lane, &best);
    for (int k = 0; k < REFINEMENTS && g.grid.scheme == REAL_ZERO && best.scale > 0; k++)
        judge(g, least_squares(g, best, lane), lane, &best);
    return best;
}

__device__ static float warp_largest(float x)
{
    for (int half = 16; half > 0; half /= 2)
        x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, half));
    return x;
}

/* Units and range; false: nothing is held, or it is all zero. */
__device__ static bool measure(fitted_group *g, float largest, int lane)
{
    float unit = 0, heaviest = 0, low = 0, high = 0, least = CUDART_INF_F, most = -CUDART_INF_F;
    for (int64_t j = g->first + lane; j < g->end; j += WARP)
        if (g->holds(j)) {
            unit = fmaxf(unit, fabsf(g->w[g->row * g->grid.cols + j]));
            heaviest = fmaxf(heaviest, g->weight ? g->weight[j] : 1.0f);
        }
    g->unit = warp_largest(unit);
    g->heaviest = warp_largest(heaviest);
    if (!(g->unit > 0))
        return false;
    for (int64_t j = g->first + lane; j < g->end; j += WARP)
        if (g->holds(j)) {
            least = fminf(least, g->x(j));
            most = fmaxf(most, g->x(j));
        }
    least = -warp_largest(-least);
    most = warp_largest(most);
    low = least < 0 ? least : 0;
    high = most > 0 ? most : 0;
    if (g->grid.scheme == REAL_ZERO && least != most) { /* 0 need not be in the range */
        low = least;
        high = most;
    }
    g->low = low;
    g->high = high;
    g->fine = g->grid.scheme == REAL_ZERO || g->grid.type == 0x0220 ||
              g->unit < largest * 0.0009765625f;
    return true;
}

__global__ static void fit_kernel(s24c_grid grid, int32_t method, const float *weight,
                                  const float *w, const uint8_t *mask, const unsigned int *largest,
                                  int64_t rows, double down, unsigned long long *failed)
{
    int64_t place = (int64_t(blockIdx.x) * blockDim.x + threadIdx.x) / WARP;
    int lane = threadIdx.x % WARP;
    if (place >= rows * grid.groups)
        return;
    fitted_group g = {grid, w, weight, mask};
    g.row = place / grid.groups;
    g.first = place % grid.groups * grid.group;
    g.end = g.first + grid.group < grid.cols ? g.first + grid.group : grid.cols;
    g.down = down;
    candidate c = {0, 0, 0, 0};
    bool some = measure(&g, __uint_as_float(*largest), lane);
    if (some)
        c = method == 2   ? shrunk(g, 1) /* as S24I_FIT_... */
            : method == 1 ? search_mse(g, lane)
                          : search_weighted(g, lane);
    if (lane)
        return;
    if (some && !(c.scale > 0))
        atomicMin(failed, (unsigned long long)place);
    grid.scale[place] = c.stored;
    grid.zero[place] =
        grid.scheme == REAL_ZERO && some
            ? stored_as(grid.type, float(-c.zero * c.scale * g.unit * g.down))
            : c.zero;
}

/* Groups of nothing but zeros: every level of a scale that the row knows anyway. */
__global__ static void fill_empty_kernel(s24c_grid grid, int64_t rows)
{
    EACH(row, rows) {
        float *scale = grid.scale + row * grid.groups, *zero = grid.zero + row * grid.groups;
        float largest = 0;
        for (int64_t g = 0; g < grid.groups; g++)
            largest = fmaxf(largest, scale[g]);
        for (int64_t g = 0; g < grid.groups; g++)
            if (scale[g] == 0) {
                scale[g] = largest > 0 ? largest : 1;
                zero[g] = grid.scheme == REAL_ZERO ? 0 : (grid.top + 1) / 2;
            }
    }
}

void s24c_grid_fit(cudaStream_t s, const s24c_grid *grid, int32_t method, const float *weight,
                   const float *w, const uint8_t *mask, const unsigned int *largest, int64_t rows,
                   unsigned long long *failed)
{
    cudaMemsetAsync(failed, 0xff, sizeof *failed, s);
    fit_kernel<<<unsigned((rows * grid->groups * WARP + 127) / 128), 128, 0, s>>>(
        *grid, method, weight, w, mask, largest, rows, ldexp(1.0, -grid->shift), failed);
    fill_empty_kernel<<<blocks_for(rows), THREADS, 0, s>>>(*grid, rows);
}

/* ---- codes and values ---- */

__global__ static void round_kernel(s24c_grid grid, const float *w, int64_t rows, double up,
                                    uint8_t *codes)
{
    EACH(i, rows * grid.cols) {
        int64_t at = group_of(grid, i / grid.cols, i % grid.cols);
        float t = w[i] / float(grid.scale[at] * up) + zero_of(grid, at);
        codes[i] = uint8_t(nearest_code(t, grid.top));
    }
}

void s24c_grid_round(cudaStream_t s, const s24c_grid *grid, const float *w, int64_t rows,
                     uint8_t *codes)
{
    round_kernel<<<blocks_for(rows * grid->cols), THREADS, 0, s>>>(*grid, w, rows,
                                                                   ldexp(1.0, grid->shift), codes);
}

__global__ static void decode_kernel(s24c_grid grid, const uint8_t *mask, int64_t rows,
                                     uint8_t *codes, float *v)
{
    EACH(i, rows * grid.cols) {
        int64_t at = group_of(grid, i / grid.cols, i % grid.cols);
        bool kept = mask[i], outlier = kept && grid.outliers && grid.outliers[i];
        if (!kept || outlier)
            codes[i] = uint8_t(nearest_code(zero_of(grid, at), grid.top));
        float code = codes[i], scale = grid.scale[at], zero = grid.zero[at];
        float value = grid.scheme == REAL_ZERO ? scale * code + zero : scale * (code - zero);
        v[i] = outlier ? grid.value[i] : kept ? value : 0.0f;
    }
}

void s24c_grid_decode(cudaStream_t s, const s24c_grid *grid, const uint8_t *mask, int64_t rows,
                      uint8_t *codes, float *v)
{
    decode_kernel<<<blocks_for(rows * grid->cols), THREADS, 0, s>>>(*grid, mask, rows, codes, v);
}

__global__ static void values_kernel(s24c_grid grid, const double *scale, const uint8_t *mask,
                                     const uint8_t *codes, int64_t rows, float *v)
{
    EACH(i, rows * grid.cols) {
        int64_t at = group_of(grid, i / grid.cols, i % grid.cols);
        bool outlier = grid.outliers && grid.outliers[i];
        float value = outlier ? grid.value[i]
                              : grid.scale[at] * (float(codes[i]) - zero_of(grid, at));
        v[i] = mask[i] ? float(scale[i % grid.cols] * value) : 0.0f;
    }
}

void s24c_grid_values(cudaStream_t s, const s24c_grid *grid, const double *scale,
                      const uint8_t *mask, const uint8_t *codes, int64_t rows, float *v)
{
    values_kernel<<<blocks_for(rows * grid->cols), THREADS, 0, s>>>(*grid, scale, mask, codes, rows,
                                                                    v);
}

/* ---- outliers ---- */

__global__ static void outlier_scores_kernel(s24c_grid grid, int32_t by_magnitude,
                                             const float *weight, const float *w,
                                             const uint8_t *mask, int64_t rows, double up,
                                             float *score)
{
    EACH(i, rows * grid.cols) {
        int64_t at = group_of(grid, i / grid.cols, i % grid.cols);
        float zero = zero_of(grid, at), e = w[i], heavy = 1;
        if (!by_magnitude) {
            float scale = float(grid.scale[at] * up);
            e -= scale * (nearest_code(e / scale + zero, grid.top) - zero);
            heavy = weight[i % grid.cols];
        }
        double squared = double(heavy) * e * e;
        score[i] = mask[i] ? float(squared < 3.4028234663852886e38 ? squared : 3.4028234663852886e38)
                           : 0.0f;
    }
}

void s24c_outlier_scores(cudaStream_t s, const s24c_grid *grid, int32_t by_magnitude,
                         const float *weight, const float *w, const uint8_t *mask, int64_t rows,
                         float *score)
{
    outlier_scores_kernel<<<blocks_for(rows * grid->cols), THREADS, 0, s>>>(
        *grid, by_magnitude, weight, w, mask, rows, ldexp(1.0, grid->shift), score);
}

__global__ static void outlier_sums_kernel(const float *score, int64_t rows, int64_t cols,
                                           float *sums)
{
    EACH(j, cols) {
        double sum = 0;
        for (int64_t i = 0; i < rows; i++)
            sum += double(score[i * cols + j]);
        sums[j] = float(sum < 3.4028234663852886e38 ? sum : 3.4028234663852886e38);
    }
}

void s24c_outlier_sums(cudaStream_t s, const float *score, int64_t rows, int64_t cols, float *sums)
{
    outlier_sums_kernel<<<blocks_for(cols), THREADS, 0, s>>>(score, rows, cols, sums);
}

__global__ static void outlier_marks_kernel(const uint8_t *inputs, const uint8_t *mask,
                                            const float *w, double down, int64_t rows, int64_t cols,
                                            uint8_t *outliers, float *value)
{
    EACH(i, rows * cols) {
        bool chosen = inputs ? inputs[i % cols] : outliers[i];
        outliers[i] = chosen && mask[i];
        value[i] = float(w[i] * down);
    }
}

void s24c_outlier_marks(cudaStream_t s, const uint8_t *inputs, const uint8_t *mask, const float *w,
                        double down, int64_t rows, int64_t cols, uint8_t *outliers, float *value)
{
    outlier_marks_kernel<<<blocks_for(rows * cols), THREADS, 0, s>>>(inputs, mask, w, down, rows,
                                                                     cols, outliers, value);
}
