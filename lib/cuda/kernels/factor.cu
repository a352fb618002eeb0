/* What a factorisation needs beside cuSOLVER: S from sums, reversals, diagonals, the aim. */
#include "common.cuh"

enum { STRIP = 256 };

/* The strips of a half (run.h) as a whole symmetric matrix. */
__global__ static void expand_kernel(const double *strips, int64_t dim, double *out)
{
    EACH(at, dim * dim) {
        int64_t i = at / dim, j = at % dim;
        if (j > i) {
            int64_t t = i;
            i = j;
            j = t;
        }
        int64_t strip = i / STRIP, width = (strip + 1) * STRIP < dim ? (strip + 1) * STRIP : dim;
        out[at] = strips[int64_t(STRIP) * STRIP * strip * (strip + 1) / 2 +
                         (i - strip * STRIP) * width + j];
    }
}

void s24c_expand(cudaStream_t s, const double *strips, int64_t dim, double *out)
{
    expand_kernel<<<blocks_for(dim * dim), THREADS, 0, s>>>(strips, dim, out);
}

__global__ static void fill_kernel(const double *first, const double *second, const double *inverse,
                                   float tiny, int64_t dim, float *out)
{
    EACH(at, dim * dim) {
        int64_t i = at / dim, j = at % dim, hi = i > j ? i : j, lo = i > j ? j : i;
        double h = second ? first[at] + second[at] : first[at];
        out[at] = i == j ? 1.0f : drop_tiny(float(h * inverse[hi] * inverse[lo]), tiny);
    }
}

void s24c_fill(cudaStream_t s, const double *first, const double *second, const double *inverse,
               float tiny, int64_t dim, float *out)
{
    fill_kernel<<<blocks_for(dim * dim), THREADS, 0, s>>>(first, second, inverse, tiny, dim, out);
}

__global__ static void diagonal_kernel(const double *first, const double *second, int64_t dim,
                                       double *out)
{
    EACH(j, dim)
        out[j] = (first ? first[j * dim + j] : 0) + (second ? second[j * dim + j] : 0);
}

void s24c_diagonal(cudaStream_t s, const double *first, const double *second, int64_t dim,
                   double *out)
{
    diagonal_kernel<<<blocks_for(dim), THREADS, 0, s>>>(first, second, dim, out);
}

/* rule: 1 relative, 2 mean, else both, as S24I_DAMP_... */
__global__ static void scales_kernel(const double *diagonal, double mean, double largest,
                                     double damp, int32_t rule, double plain,
                                     double prepared_plain, int64_t dim, double *scale,
                                     double *inverse, float *share, uint8_t *dead)
{
    EACH(j, dim) {
        double h = diagonal ? diagonal[j] : 1;
        bool none = !(h > 1e-12 * largest);
        double delta = damp * ((rule == 2 ? 0 : h) + (rule == 1 ? 0 : mean));
        double root = sqrt(h + delta);
        dead[j] = none;
        scale[j] = (none ? 1 : double(float(root * plain))) / prepared_plain;
        inverse[j] = none ? 0 : 1 / root;
        share[j] = none ? 0 : float(delta / (h + delta));
    }
}

void s24c_scales(cudaStream_t s, const double *diagonal, double mean, double largest, double damp,
                 int32_t rule, double plain, double prepared_plain, int64_t dim, double *scale,
                 double *inverse, float *share, uint8_t *dead)
{
    scales_kernel<<<blocks_for(dim), THREADS, 0, s>>>(diagonal, mean, largest, damp, rule, plain,
                                                      prepared_plain, dim, scale, inverse, share,
                                                      dead);
}

__global__ static void reverse_kernel(const float *in, int64_t count, float *out)
{
    EACH(i, count)
        out[i] = in[count - 1 - i];
}

void s24c_reverse(cudaStream_t s, const float *in, int64_t count, float *out)
{
    reverse_kernel<<<blocks_for(count), THREADS, 0, s>>>(in, count, out);
}

/* In place, pairs at a time; then what is below the diagonal is 0. */
__global__ static void reverse_pairs(float *a, int64_t count)
{
    EACH(i, count / 2) {
        float t = a[i];
        a[i] = a[count - 1 - i];
        a[count - 1 - i] = t;
    }
}

__global__ static void clear_lower(int64_t dim, float *a)
{
    EACH(at, dim * dim)
        if (at % dim < at / dim)
            a[at] = 0;
}

void s24c_reverse_upper(cudaStream_t s, int64_t dim, float *a)
{
    reverse_pairs<<<blocks_for(dim * dim / 2), THREADS, 0, s>>>(a, dim * dim);
    clear_lower<<<blocks_for(dim * dim), THREADS, 0, s>>>(dim, a);
}

__global__ static void identity_kernel(int64_t dim, float *out)
{
    EACH(at, dim * dim)
        out[at] = at / dim == at % dim ? 1.0f : 0.0f;
}

void s24c_identity(cudaStream_t s, int64_t dim, float *out)
{
    identity_kernel<<<blocks_for(dim * dim), THREADS, 0, s>>>(dim, out);
}

__global__ static void shift_kernel(int64_t dim, float shift, float *a)
{
    EACH(j, dim)
        a[j * dim + j] += shift;
}

void s24c_shift(cudaStream_t s, int64_t dim, float shift, float *a)
{
    shift_kernel<<<blocks_for(dim), THREADS, 0, s>>>(dim, shift, a);
}

__global__ static void mirror_kernel(int64_t dim, float *a)
{
    EACH(at, dim * dim)
        if (at % dim < at / dim)
            a[at] = a[at % dim * dim + at / dim];
}

void s24c_mirror_upper(cudaStream_t s, int64_t dim, float *a)
{
    mirror_kernel<<<blocks_for(dim * dim), THREADS, 0, s>>>(dim, a);
}

__global__ static void least_diagonal_kernel(int64_t dim, const float *r, unsigned int *bits)
{
    unsigned mine = 0x7f800000u;
    EACH(j, dim) {
        float x = r[j * dim + j];
        mine = min(mine, x > 0 ? __float_as_uint(x) : 0u);
    }
    atomicMin(bits, mine);
}

void s24c_least_diagonal(cudaStream_t s, int64_t dim, const float *r, unsigned int *bits)
{
    cudaMemsetAsync(bits, 0x7f, sizeof *bits, s);
    least_diagonal_kernel<<<blocks_for(dim), THREADS, 0, s>>>(dim, r, bits);
}

__global__ static void inverse_diagonal_kernel(int64_t dim, const float *r, float *out)
{
    EACH(j, dim)
        out[j] = 1 / r[j * dim + j];
}

void s24c_inverse_diagonal(cudaStream_t s, int64_t dim, const float *r, float *out)
{
    inverse_diagonal_kernel<<<blocks_for(dim), THREADS, 0, s>>>(dim, r, out);
}

/* 32 columns a block, eight threads a column; each sums its rows in order, then the eight. */
__global__ static void column_variances_kernel(int64_t dim, const float *u, float *variance)
{
    __shared__ double part[8][33];
    int64_t j = int64_t(blockIdx.x) * 32 + threadIdx.x;
    double sum = 0;
    for (int64_t i = threadIdx.y; j < dim && i <= j; i += 8)
        sum += double(u[i * dim + j]) * double(u[i * dim + j]);
    part[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y || j >= dim)
        return;
    sum = 0;
    for (int k = 0; k < 8; k++)
        sum += part[k][threadIdx.x];
    variance[j] = float(1 / sum);
}

void s24c_column_variances(cudaStream_t s, int64_t dim, const float *u, float *variance)
{
    column_variances_kernel<<<unsigned((dim + 31) / 32), dim3(32, 8), 0, s>>>(dim, u, variance);
}

__global__ static void reorder_kernel(const float *from, const int64_t *order, int64_t dim,
                                      float *r)
{
    EACH(at, dim * dim)
        r[at] = from[order[at / dim] * dim + order[at % dim]];
}

__global__ static void reorder_scale(const double *scale, const int64_t *order, int64_t dim,
                                     double *out)
{
    EACH(j, dim)
        out[j] = scale[order[j]];
}

void s24c_reorder(cudaStream_t s, const float *from, const double *scale, const int64_t *order,
                  int64_t dim, float *r, double *scale_out)
{
    reorder_kernel<<<blocks_for(dim * dim), THREADS, 0, s>>>(from, order, dim, r);
    reorder_scale<<<blocks_for(dim), THREADS, 0, s>>>(scale, order, dim, scale_out);
}

__global__ static void aim_kernel(const double *first, const double *second, const int64_t *row_of,
                                  const double *inverse, const float *share, double unit,
                                  const float *w, int64_t rows, int64_t cols, float *step)
{
    EACH(at, rows * cols) {
        int64_t i = at / cols, j = at % cols, source = (row_of ? row_of[i] : i) * cols + j;
        double c = (first ? first[source] : 0) + (second ? second[source] : 0);
        double wh = double(step[at]) - double(w[at]) * double(share[j]);
        step[at] = float(c * inverse[j] * unit - wh);
    }
}

void s24c_aim(cudaStream_t s, const double *first, const double *second, const int64_t *row_of,
              const double *inverse, const float *share, double unit, const float *w, int64_t rows,
              int64_t cols, float *step)
{
    aim_kernel<<<blocks_for(rows * cols), THREADS, 0, s>>>(first, second, row_of, inverse, share,
                                                           unit, w, rows, cols, step);
}

__global__ static void add_step_kernel(const float *step, float blend, int64_t count, float *w)
{
    EACH(i, count)
        w[i] = fmaf(blend, step[i], w[i]);
}

void s24c_add_step(cudaStream_t s, const float *step, float blend, int64_t count, float *w)
{
    add_step_kernel<<<blocks_for(count), THREADS, 0, s>>>(step, blend, count, w);
}

/* kind: as S24I_WEIGHT_..., 0 energy, 1 error. */
__global__ static void input_weights_kernel(const double *scale, const uint8_t *dead, double plain,
                                            const float *variance, int32_t kind, int64_t dim,
                                            float *weight)
{
    EACH(j, dim) {
        float root = float(scale[j] * plain);
        weight[j] = dead[j]              ? 0
                    : variance && kind   ? variance[j] * root * root
                    : variance           ? root * root * variance[j]
                    : kind == 0          ? root * root
                                         : 1;
    }
}

void s24c_input_weights(cudaStream_t s, const double *scale, const uint8_t *dead, double plain,
                        const float *variance, int32_t kind, int64_t dim, float *weight)
{
    input_weights_kernel<<<blocks_for(dim), THREADS, 0, s>>>(scale, dead, plain, variance, kind,
                                                             dim, weight);
}
