#include "ops.h"
#include "base/lock.h"
#include "kernels/flush.h"
#include <cblas.h>
#include <lapacke.h>
#include <stdio.h>
#include <string.h>

/* The one piece of writable global state of the library: OpenBLAS has one thread count for the whole process (docs/threads.md). */
static s24i_lock guard = S24I_LOCK_INIT;
static int holds, threads_before;

void s24i_blas_hold(void)
{
    s24i_lock_take(&guard);
    if (holds++ == 0) {
        threads_before = openblas_get_num_threads();
        if (threads_before != 1)
            openblas_set_num_threads(1);
    }
    s24i_lock_drop(&guard);
}

void s24i_blas_release(void)
{
    s24i_lock_take(&guard);
    if (--holds == 0 && threads_before != 1)
        openblas_set_num_threads(threads_before);
    s24i_lock_drop(&guard);
}

const char *s24i_blas_name(void)
{
    static char name[80];
    s24i_lock_take(&guard);
    if (!name[0]) {
        char version[32] = "";
        sscanf(openblas_get_config(), "OpenBLAS %31s", version);
        snprintf(name, sizeof name, "OpenBLAS %s %s", version, openblas_get_corename());
    }
    s24i_lock_drop(&guard);
    return name;
}

static CBLAS_TRANSPOSE transpose(bool t)
{
    return t ? CblasTrans : CblasNoTrans;
}

void s24i_sgemm_exact(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha,
                      const float *a, int64_t lda, const float *b, int64_t ldb, float beta,
                      float *c, int64_t ldc)
{
    cblas_sgemm(CblasRowMajor, transpose(ta), transpose(tb), (int)m, (int)n, (int)k, alpha, a,
                (int)lda, b, (int)ldb, beta, c, (int)ldc);
}

void s24i_sgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
                int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
    uint64_t before = s24i_flush_begin();
    s24i_sgemm_exact(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    s24i_flush_end(before);
}

void s24i_dgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, double alpha, const double *a,
                int64_t lda, const double *b, int64_t ldb, double beta, double *c, int64_t ldc)
{
    cblas_dgemm(CblasRowMajor, transpose(ta), transpose(tb), (int)m, (int)n, (int)k, alpha, a,
                (int)lda, b, (int)ldb, beta, c, (int)ldc);
}

void s24i_ssyrk(int64_t n, int64_t k, const float *a, int64_t lda, float *c, int64_t ldc)
{
    uint64_t before = s24i_flush_begin();
    cblas_ssyrk(CblasRowMajor, CblasLower, CblasTrans, (int)n, (int)k, 1, a, (int)lda, 0, c,
                (int)ldc);
    s24i_flush_end(before);
}

void s24i_ssyrk_subtract(int64_t n, int64_t k, const float *a, int64_t lda, float *c, int64_t ldc)
{
    uint64_t before = s24i_flush_begin();
    cblas_ssyrk(CblasRowMajor, CblasUpper, CblasNoTrans, (int)n, (int)k, -1, a, (int)lda, 1, c,
                (int)ldc);
    s24i_flush_end(before);
}

void s24i_dsyrk(int64_t n, int64_t k, const double *a, int64_t lda, double *c, int64_t ldc)
{
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, (int)n, (int)k, 1, a, (int)lda, 0, c,
                (int)ldc);
}

/* LAPACK is called column-major, where our row-major L is the upper triangle L^T: the row-major entry points copy and allocate. */
bool s24i_small_cholesky(int64_t n, double *a, int64_t lda)
{
    return LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', (lapack_int)n, a, (lapack_int)lda) == 0;
}

void s24i_small_invert(int64_t n, double *l, int64_t ldl)
{
    LAPACKE_dtrtri_work(LAPACK_COL_MAJOR, 'U', 'N', (lapack_int)n, l, (lapack_int)ldl);
}

size_t s24i_eigen_work(int64_t n)
{
    size_t k = (size_t)n;
    return (1 + 6 * k + 2 * k * k) * sizeof(double) + (3 + 5 * k) * sizeof(lapack_int);
}

bool s24i_symmetric_eigen(int64_t n, double *a, double *values, void *work)
{
    if (n > S24I_MOST_EIGEN)
        return false;
    lapack_int k = (lapack_int)n, doubles = 1 + 6 * k + 2 * k * k;
    return LAPACKE_dsyevd_work(LAPACK_COL_MAJOR, 'V', 'U', k, a, k, values, work, doubles,
                               (lapack_int *)((double *)work + doubles), 3 + 5 * k) == 0;
}

void s24i_small_solve(int64_t n, const double *l, int64_t ldl, double *x)
{
    LAPACKE_dpotrs_work(LAPACK_COL_MAJOR, 'U', (lapack_int)n, 1, l, (lapack_int)ldl, x,
                        (lapack_int)n);
}
