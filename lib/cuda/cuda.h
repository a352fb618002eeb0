/*
 * The device's state and what all its operations use. Knows the CUDA runtime, cuBLAS and cuSOLVER;
 * no handle of the public interface.
 */
#ifndef S24C_CUDA_H
#define S24C_CUDA_H
#include "cuda/kernels/launch.h"
#include "ops/backend.h"
#include <cublas_v2.h>
#include <cusolverDn.h>

#define S24C_LANDING (8 << 20) /* bytes of pinned memory that host data passes through */
#define S24C_NUMBERS 64        /* words of single results on the device */

typedef struct s24c_state {
    int32_t index;
    char name[24];
    cudaStream_t stream;
    cublasHandle_t blas;
    cusolverDnHandle_t solver;
    s24i_memory memory;
    void *workspace; /* of cuBLAS: with one of its own a product could differ from run to run */
    uint64_t *numbers;
    char *landing[2]; /* of the host, pinned */
    cudaEvent_t landed[2];
} s24c_state;

extern const s24i_host *s24c_host;
extern const s24i_operations s24c_operations;

static inline s24c_state *s24c_of(const s24i_run *run)
{
    return run->device->state;
}

static inline cudaStream_t s24c_stream(const s24i_run *run)
{
    return s24c_of(run)->stream;
}

/* S24_E_BACKEND or S24_E_MEMORY, naming the device, what was done and CUDA's text. */
s24_status s24c_cuda(const s24c_state *state, cudaError_t error, const char *what);
s24_status s24c_blas(const s24c_state *state, cublasStatus_t error, const char *what);
s24_status s24c_solver(const s24c_state *state, cusolverStatus_t error, const char *what);
/* What the launches of `what` came to, as far as is known without waiting. */
s24_status s24c_launched(const s24i_run *run, const char *what);
/* Wait for `size` bytes of the device, at most S24C_LANDING. */
s24_status s24c_fetch(const s24i_run *run, const void *from, size_t size, void *to,
                      const char *what);
/* Does it lie on this device? S24_E_ARG: on another, or where this one cannot reach. */
s24_status s24c_place(const s24i_run *run, const void *data, bool *here);
/* Bytes of the host to the device, which the caller may change at once. */
s24_status s24c_send(const s24i_run *run, const void *from, size_t size, void *to);

/* Row-major products as s24i_sgemm() and s24i_dgemm(): m x n, k terms a sum. */
typedef struct s24c_shape {
    int64_t m, n, k;
} s24c_shape;
s24_status s24c_gemm(const s24i_run *run, s24c_shape shape, float alpha, s24i_f32s a, s24i_f32s b,
                     float beta, s24i_f32s_out c);
s24_status s24c_times(const s24i_run *run, int64_t rows, int64_t n, const float *x, const float *s,
                      float *y);
s24_status s24c_dgemm(const s24i_run *run, s24c_shape shape, double alpha, s24i_f64s a, s24i_f64s b,
                      double beta, s24i_f64s_out c);

/* ---- Factors (factor.c); as the functions of the same names in ops/linear ---- */

s24_status s24c_cholesky(const s24i_run *run, int64_t dim, float *s, float floor, bool *positive);
s24_status s24c_invert_factor(const s24i_run *run, int64_t dim, const float *r, float *u);
s24_status s24c_solve_rows(const s24i_run *run, int64_t dim, const float *r, float *x,
                           int64_t rows);
s24_status s24c_shifted_inverse(const s24i_run *run, const s24i_prepared *prepared, double rho,
                                float *f);

/* ---- Sums on the device (sums.c) ---- */

/* What the device keeps of a gram (half: dim x dim, symmetric) or a cross (out x in). */
typedef struct s24c_mirror {
    double *half[2];
    size_t bytes;     /* of a half */
    uint64_t changes; /* of the host's, that are in here */
    /* Rows on their way, where the device makes the sums (rows.c): */
    bool away;    /* the host does not have them yet */
    bool lower;   /* what is above the diagonal is old */
    int32_t type; /* of the batches */
    void *batch[2];
    size_t batch_bytes, norm_bytes;
    int64_t filled[2];
    double largest[2]; /* of a batch, at most */
    double *norm2[2];  /* of a cross: squares of each output */
    void *scratch;     /* of a gram: for a product, until all rows are in */
    size_t scratch_bytes;
} s24c_mirror;

/* Up to date; may wait for a copy. */
s24_status s24c_gram(const s24i_run *run, const s24i_gram *gram, s24c_mirror **out);
s24_status s24c_cross(const s24i_run *run, const s24i_cross *cross, uint64_t changes,
                      s24c_mirror **out);
void s24c_forget(const s24i_device *device, void *mirror);
s24_status s24c_open_mirror(const s24i_run *run, void **mirror, size_t bytes, uint64_t changes,
                            s24c_mirror **out, bool *stale);

/* ---- Sums that the device makes (rows.c) ---- */

s24_status s24c_sums_add(const s24i_device *device, s24i_gram *gram, const s24i_addition *addition);
s24_status s24c_sums_flush(const s24i_device *device, s24i_gram *gram);
s24_status s24c_sums_fetch(const s24i_device *device, s24i_gram *gram, bool whole);
/* Rows of a view of the host or the device as contiguous floats. */
s24_status s24c_read_rows(const s24i_run *run, const s24_mat *mat, float *out, bool *here);

/* ---- Selections (sets.c) ---- */

/* The `keep` largest of count scores. */
s24_status s24c_select(const s24i_run *run, const float *score, int64_t count, int64_t keep,
                       uint8_t *mask);
/* S24_E_UNSUPPORTED for what no kernel takes; `what` is the operation. */
s24_status s24c_refuse_both(const s24i_run *run, const s24i_constraints *constraints,
                            const char *what);
s24c_grid s24c_grid_of(const s24i_grid *grid);

#define S24I_OPERATION(scratch, name, parameters, arguments) s24_status s24c_op_##name parameters;
#include "ops/ops.def"
#undef S24I_OPERATION

#endif
