/* A block of threads a row: products of rows in double, conjugate gradients, exact refits. */
#include "common.cuh"

__global__ static void row_dots_kernel(const float *a, const float *b, int64_t cols, double *sum)
{
    const float *x = a + blockIdx.x * cols, *y = b + blockIdx.x * cols;
    double mine = 0;
    for (int64_t j = threadIdx.x; j < cols; j += blockDim.x)
        mine = fma(double(x[j]), double(y[j]), mine);
    mine = block_sum(mine);
    if (threadIdx.x == 0)
        sum[blockIdx.x] = mine;
}

void s24c_row_dots(cudaStream_t s, const float *a, const float *b, int64_t rows, int64_t cols,
                   double *sum)
{
    row_dots_kernel<<<unsigned(rows), THREADS, 0, s>>>(a, b, cols, sum);
}

__global__ static void row_dots_f64_kernel(const double *a, const double *b, int64_t cols,
                                           double *sum)
{
    const double *x = a + blockIdx.x * cols, *y = b + blockIdx.x * cols;
    double mine = 0;
    for (int64_t j = threadIdx.x; j < cols; j += blockDim.x)
        mine = fma(x[j], y[j], mine);
    mine = block_sum(mine);
    if (threadIdx.x == 0)
        sum[blockIdx.x] = mine;
}

void s24c_row_dots_f64(cudaStream_t s, const double *a, const double *b, int64_t rows,
                       int64_t cols, double *sum)
{
    row_dots_f64_kernel<<<unsigned(rows), THREADS, 0, s>>>(a, b, cols, sum);
}

__global__ static void total_kernel(const double *x, int64_t n, double *total)
{
    double mine = 0;
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x)
        mine += x[i];
    mine = block_sum(mine);
    if (threadIdx.x == 0)
        *total = mine;
}

void s24c_total(cudaStream_t s, const double *x, int64_t n, double *total)
{
    total_kernel<<<1, 1024, 0, s>>>(x, n, total);
}

__global__ static void difference_kernel(const float *a, const float *b, int64_t count, double *out)
{
    EACH(i, count)
        out[i] = b ? double(a[i]) - double(b[i]) : double(a[i]);
}

void s24c_difference_f64(cudaStream_t s, const float *a, const float *b, int64_t count, double *out)
{
    difference_kernel<<<blocks_for(count), THREADS, 0, s>>>(a, b, count, out);
}

__global__ static void cross_dots_kernel(const double *first, const double *second,
                                         const int64_t *row_of, const float *a, int64_t cols,
                                         double *sum)
{
    int64_t row = blockIdx.x, source = (row_of ? row_of[row] : row) * cols;
    double mine = 0;
    for (int64_t j = threadIdx.x; j < cols; j += blockDim.x) {
        double c = (first ? first[source + j] : 0) + (second ? second[source + j] : 0);
        mine = fma(double(a[row * cols + j]), c, mine);
    }
    mine = block_sum(mine);
    if (threadIdx.x == 0)
        sum[row] = mine;
}

void s24c_cross_dots(cudaStream_t s, const double *first, const double *second,
                     const int64_t *row_of, const float *a, int64_t rows, int64_t cols, double *sum)
{
    cross_dots_kernel<<<unsigned(rows), THREADS, 0, s>>>(first, second, row_of, a, cols, sum);
}

/* tied 0: the first word of each sum decides for all rows. */
__global__ static void keep_better_kernel(const double *old, const double *now, int64_t tied,
                                          const float *first, const uint8_t *first_mask,
                                          int64_t cols, float *v, uint8_t *mask)
{
    int64_t row = blockIdx.x, strip = tied ? row / tied * tied : 0;
    double before = 0, after = 0;
    for (int64_t i = 0; i < (tied ? tied : 1); i++) {
        before += old[strip + i];
        after += now[strip + i];
    }
    if (!(before <= after))
        return;
    for (int64_t j = threadIdx.x; j < cols; j += blockDim.x) {
        v[row * cols + j] = first[row * cols + j];
        mask[row * cols + j] = first_mask[row * cols + j];
    }
}

void s24c_keep_better(cudaStream_t s, const double *old, const double *now, int64_t tied,
                      const float *first, const uint8_t *first_mask, int64_t rows, int64_t cols,
                      float *v, uint8_t *mask)
{
    keep_better_kernel<<<unsigned(rows), THREADS, 0, s>>>(old, now, tied, first, first_mask, cols,
                                                          v, mask);
}

/* ---- conjugate gradients ---- */

__device__ static void settle(const s24c_cg &c, int64_t row)
{
    int32_t runs = c.norm2[row] > c.tol2 * c.start[row];
    c.running[row] = runs;
    if (runs)
        atomicAdd(c.count, 1);
}

/* In: r = (w - v) S. */
__global__ static void cg_begin_kernel(s24c_cg c)
{
    int64_t row = blockIdx.x, at = row * c.cols;
    double mine = 0;
    for (int64_t j = threadIdx.x; j < c.cols; j += blockDim.x) {
        float r = c.mask[at + j] ? c.r[at + j] : 0.0f;
        c.r[at + j] = r;
        c.p[at + j] = r;
        mine = fma(double(r), double(r), mine);
    }
    mine = block_sum(mine);
    if (threadIdx.x == 0) {
        c.start[row] = c.norm2[row] = mine;
        settle(c, row);
    }
}

void s24c_cg_begin(cudaStream_t s, const s24c_cg *c)
{
    cudaMemsetAsync(c->count, 0, sizeof *c->count, s);
    cg_begin_kernel<<<unsigned(c->rows), THREADS, 0, s>>>(*c);
}

/* With ap = p S. A row that is done has p = 0 and stays. */
__global__ static void cg_advance_kernel(s24c_cg c)
{
    int64_t row = blockIdx.x, at = row * c.cols;
    if (!c.running[row])
        return;
    double mine = 0, before = c.norm2[row];
    for (int64_t j = threadIdx.x; j < c.cols; j += blockDim.x)
        mine = fma(double(c.p[at + j]), double(c.ap[at + j]), mine);
    double curvature = block_sum(mine), norm2 = 0;
    if (curvature > 0) {
        float alpha = float(before / curvature);
        mine = 0;
        for (int64_t j = threadIdx.x; j < c.cols; j += blockDim.x) {
            c.v[at + j] = fmaf(alpha, c.p[at + j], c.v[at + j]);
            float r = c.mask[at + j] ? fmaf(-alpha, c.ap[at + j], c.r[at + j]) : 0.0f;
            c.r[at + j] = r;
            mine = fma(double(r), double(r), mine);
        }
        norm2 = block_sum(mine);
        float beta = float(norm2 / before);
        for (int64_t j = threadIdx.x; j < c.cols; j += blockDim.x)
            c.p[at + j] = fmaf(beta, c.p[at + j], c.r[at + j]);
    }
    __syncthreads(); /* all have read running */
    if (threadIdx.x == 0) {
        c.norm2[row] = norm2;
        settle(c, row);
    }
}

void s24c_cg_advance(cudaStream_t s, const s24c_cg *c)
{
    cudaMemsetAsync(c->count, 0, sizeof *c->count, s);
    cg_advance_kernel<<<unsigned(c->rows), THREADS, 0, s>>>(*c);
}

__global__ static void cg_left_kernel(s24c_cg c, double *largest)
{
    __shared__ double part[1024];
    double mine = 0;
    for (int64_t i = threadIdx.x; i < c.rows; i += blockDim.x)
        mine = fmax(mine, c.start[i] > 0 ? sqrt(c.norm2[i] / c.start[i]) : 0);
    part[threadIdx.x] = mine;
    __syncthreads();
    if (threadIdx.x)
        return;
    for (unsigned i = 1; i < blockDim.x; i++)
        mine = fmax(mine, part[i]);
    *largest = mine;
}

void s24c_cg_left(cudaStream_t s, const s24c_cg *c, double *largest)
{
    cg_left_kernel<<<1, 1024, 0, s>>>(*c, largest);
}

/* ---- the exact minimum on a support ---- */

/* Left-looking columns of L; a block of threads a row of the matrix, rows dealt by shape alone. */
__global__ static void refit_kernel(const float *sm, const uint8_t *mask, const float *gradient,
                                    int64_t rows, int64_t dim, int64_t widest, double *system,
                                    int32_t *index, float *v, int32_t *singular)
{
    __shared__ int64_t held;
    __shared__ int bad;
    double *a = system + blockIdx.x * widest * (widest + 1), *x = a + widest * widest;
    int32_t *at = index + blockIdx.x * widest;
    for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
        __syncthreads();
        if (threadIdx.x == 0) {
            held = 0;
            bad = 0;
            for (int64_t j = 0; j < dim && held < widest; j++)
                if (mask[row * dim + j])
                    at[held++] = int32_t(j);
        }
        __syncthreads();
        int64_t k = held;
        for (int64_t i = threadIdx.x; i < k * k; i += blockDim.x)
            a[i] = sm[at[i / k] * dim + at[i % k]];
        for (int64_t i = threadIdx.x; i < k; i += blockDim.x)
            x[i] = gradient[row * dim + at[i]];
        __syncthreads();
        for (int64_t j = 0; j < k && !bad; j++) {
            if (threadIdx.x == 0) {
                if (!(a[j * k + j] > 0))
                    bad = 1;
                a[j * k + j] = sqrt(a[j * k + j]);
            }
            __syncthreads();
            double pivot = a[j * k + j];
            for (int64_t i = j + 1 + threadIdx.x; i < k; i += blockDim.x)
                a[i * k + j] /= pivot;
            __syncthreads();
            int64_t left = k - j - 1;
            for (int64_t t = threadIdx.x; t < left * left; t += blockDim.x) {
                int64_t i = j + 1 + t / left, l = j + 1 + t % left;
                if (l <= i)
                    a[i * k + l] -= a[i * k + j] * a[l * k + j];
            }
            __syncthreads();
        }
        for (int64_t i = 0; i < k && !bad; i++) { /* L y = b */
            if (threadIdx.x == 0)
                x[i] /= a[i * k + i];
            __syncthreads();
            for (int64_t l = i + 1 + threadIdx.x; l < k; l += blockDim.x)
                x[l] -= a[l * k + i] * x[i];
            __syncthreads();
        }
        for (int64_t i = k - 1; i >= 0 && !bad; i--) { /* L^T x = y */
            if (threadIdx.x == 0)
                x[i] /= a[i * k + i];
            __syncthreads();
            for (int64_t l = threadIdx.x; l < i; l += blockDim.x)
                x[l] -= a[i * k + l] * x[i];
            __syncthreads();
        }
        for (int64_t i = threadIdx.x; i < k && !bad; i += blockDim.x)
            v[row * dim + at[i]] += float(x[i]);
        if (bad && threadIdx.x == 0)
            atomicMax(singular, int32_t(row));
    }
}

void s24c_refit(cudaStream_t s, const float *sm, const uint8_t *mask, const float *gradient,
                int64_t rows, int64_t dim, int64_t widest, int32_t blocks, double *system,
                int32_t *index, float *v, int32_t *singular)
{
    cudaMemsetAsync(singular, 0xff, sizeof *singular, s);
    refit_kernel<<<unsigned(blocks), THREADS, 0, s>>>(sm, mask, gradient, rows, dim, widest,
                                                      system, index, v, singular);
}
