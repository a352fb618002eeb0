#include "linear.h"
#include "base/lock.h"
#include "kernels/flush.h"
#include <cblas.h>
#include <lapacke.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* OpenBLAS's own, in no header: a buffer of its pool, and back. Weak, for builds that do not show
 * them. */
__attribute__((weak)) void *blas_memory_alloc(int kind);
__attribute__((weak)) void blas_memory_free(void *buffer);

/* The writable global state of the library: OpenBLAS has one thread count and one pool of buffers
 * for the whole process (docs/threads.md, docs/memory.md). */
static s24i_lock guard = S24I_LOCK_INIT;
static _Atomic int holds;
static int threads_before;
static int32_t users,
    mapped; /* threads that may be inside BLAS at once; buffers that are there for them */

/* Under the guard. What was set last comes back. */
static void take_one_thread(void)
{
    int threads = openblas_get_num_threads();

    if (threads == 1)
        return;
    threads_before = threads;
    openblas_set_num_threads(1);
}

/* Before each product: the host, or another copy of this library that ends its own hold, may have
 * set the count. */
static void keep_one_thread(void)
{
    if (!atomic_load_explicit(&holds, memory_order_relaxed) || openblas_get_num_threads() == 1)
        return;
    s24i_lock_take(&guard);
    if (holds)
        take_one_thread();
    s24i_lock_drop(&guard);
}

void s24i_blas_hold(void)
{
    s24i_lock_take(&guard);
    if (holds++ == 0)
        threads_before = 1;
    take_one_thread();
    s24i_lock_drop(&guard);
}

void s24i_blas_release(void)
{
    s24i_lock_take(&guard);
    if (--holds == 0 && openblas_get_num_threads() == 1 && threads_before != 1)
        openblas_set_num_threads(threads_before);
    s24i_lock_drop(&guard);
}

/* ---- Buffers ----
 *
 * Each thread inside OpenBLAS needs a buffer of its pool. A missing one is mapped by the call that
 * needs it, again and again for ever when the system refuses (0.3.21, driver/others/memory.c). So
 * they are mapped beforehand, after a look whether there is room. */

/* The room that must be left for all else when a helper is hired. */
enum { SPARE = 1 << 29 };

static bool room_for(size_t bytes, int protection)
{
    void *place = mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return place != MAP_FAILED && munmap(place, bytes) == 0;
}

/* The buffers that OpenBLAS can keep before it speaks up on standard error: twice the threads that
 * it was built for, at least 50. */
static int32_t most_buffers(void)
{
    const char *built = strstr(openblas_get_config(), "MAX_THREADS=");
    int threads = 0;

    if (built)
        sscanf(built, "MAX_THREADS=%d", &threads);
    return threads > 25 ? 2 * threads : 50;
}

/* Take as many as there shall be all at once, then give them back: each holds the address of the
 * one taken before it. */
static void map_buffers(int32_t count)
{
    void **held = NULL, **buffer;

    while (count-- > 0 && (buffer = blas_memory_alloc(0))) {
        *buffer = held;
        held = buffer;
    }
    while ((buffer = held)) {
        held = *buffer;
        blas_memory_free(buffer);
    }
}

/* Under the guard. While other calls work they may want what is held here for a moment. */
static bool find_buffers(void)
{
    int32_t most = most_buffers(), wanted = users < most ? users : most;

    if (wanted <= mapped)
        return true;
    size_t missing = (size_t)(wanted - mapped) + (holds > 1 ? (size_t)mapped : 0);
    if (!room_for(missing * S24I_BLAS_BUFFER, PROT_READ | PROT_WRITE))
        return false;
    if (blas_memory_alloc && blas_memory_free)
        map_buffers(wanted);
    mapped = wanted;
    return true;
}

s24_status s24i_blas_join(int32_t threads)
{
    s24i_lock_take(&guard);
    users += threads;
    bool found = find_buffers();
    s24i_lock_drop(&guard);
    if (found)
        return S24_OK;
    return s24i_fail(S24_E_MEMORY,
                     "OpenBLAS needs %d MiB of address space for each thread that calls it; there "
                     "is no room for %d more (ulimit -v)",
                     S24I_BLAS_BUFFER >> 20, (int)threads);
}

bool s24i_blas_hire(void)
{
    s24i_lock_take(&guard);
    bool found = ++users <= mapped ||
                 (users <= most_buffers() && room_for(SPARE, PROT_NONE) && find_buffers());
    users -= !found;
    s24i_lock_drop(&guard);
    return found;
}

void s24i_blas_part(int32_t threads)
{
    s24i_lock_take(&guard);
    users -= threads;
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

void s24i_sgemm_exact(int64_t m, int64_t n, int64_t k, float alpha, s24i_f32s a, s24i_f32s b,
                      float beta, s24i_f32s_out c)
{
    keep_one_thread();
    cblas_sgemm(CblasRowMajor, transpose(a.turned), transpose(b.turned), (int)m, (int)n, (int)k,
                alpha, a.data, (int)a.stride, b.data, (int)b.stride, beta, c.data, (int)c.stride);
}

void s24i_sgemm(int64_t m, int64_t n, int64_t k, float alpha, s24i_f32s a, s24i_f32s b, float beta,
                s24i_f32s_out c)
{
    uint64_t before = s24i_flush_begin();
    s24i_sgemm_exact(m, n, k, alpha, a, b, beta, c);
    s24i_flush_end(before);
}

void s24i_dgemm(int64_t m, int64_t n, int64_t k, double alpha, s24i_f64s a, s24i_f64s b,
                double beta, s24i_f64s_out c)
{
    keep_one_thread();
    cblas_dgemm(CblasRowMajor, transpose(a.turned), transpose(b.turned), (int)m, (int)n, (int)k,
                alpha, a.data, (int)a.stride, b.data, (int)b.stride, beta, c.data, (int)c.stride);
}

void s24i_ssyrk(int64_t n, int64_t k, const float *a, int64_t lda, float *c, int64_t ldc)
{
    uint64_t before = s24i_flush_begin();
    keep_one_thread();
    cblas_ssyrk(CblasRowMajor, CblasLower, CblasTrans, (int)n, (int)k, 1, a, (int)lda, 0, c,
                (int)ldc);
    s24i_flush_end(before);
}

void s24i_ssyrk_subtract(int64_t n, int64_t k, const float *a, int64_t lda, float *c, int64_t ldc)
{
    uint64_t before = s24i_flush_begin();
    keep_one_thread();
    cblas_ssyrk(CblasRowMajor, CblasUpper, CblasNoTrans, (int)n, (int)k, -1, a, (int)lda, 1, c,
                (int)ldc);
    s24i_flush_end(before);
}

void s24i_dsyrk(int64_t n, int64_t k, const double *a, int64_t lda, double *c, int64_t ldc)
{
    keep_one_thread();
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, (int)n, (int)k, 1, a, (int)lda, 0, c,
                (int)ldc);
}

/* LAPACK is called column-major, where our row-major L is the upper triangle L^T: the row-major
 * entry points copy and allocate. */
bool s24i_small_cholesky(int64_t n, double *a, int64_t lda)
{
    keep_one_thread();
    return LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', (lapack_int)n, a, (lapack_int)lda) == 0;
}

void s24i_small_invert(int64_t n, double *l, int64_t ldl)
{
    keep_one_thread();
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
    keep_one_thread();
    return LAPACKE_dsyevd_work(LAPACK_COL_MAJOR, 'V', 'U', k, a, k, values, work, doubles,
                               (lapack_int *)((double *)work + doubles), 3 + 5 * k) == 0;
}

void s24i_small_solve(int64_t n, const double *l, int64_t ldl, double *x)
{
    keep_one_thread();
    LAPACKE_dpotrs_work(LAPACK_COL_MAJOR, 'U', (lapack_int)n, 1, l, (lapack_int)ldl, x,
                        (lapack_int)n);
}
