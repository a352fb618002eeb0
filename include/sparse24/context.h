#ifndef SPARSE24_CONTEXT_H
#define SPARSE24_CONTEXT_H
#include "types.h"
#ifdef __cplusplus
extern "C" {
#endif

/**
 * Create a context with the C library's allocator. The environment variable SPARSE24_ISA, if set,
 * is read now, and never later, as the default of the option "isa". Different contexts are
 * independent. Several threads may use the same context if each has its own other handles.
 */
S24_API s24_status s24_ctx_create(s24_ctx **out);
/**
 * The same with the caller's allocator, which serves every byte of this context and its children.
 * Give both functions or neither.
 */
S24_API s24_status s24_ctx_create_with(s24_alloc_fn alloc_fn, s24_free_fn free_fn, void *user,
                                       s24_ctx **out);
/**
 * Drop the caller's reference. Children keep the context alive, so handles may be destroyed in any
 * order. NULL is allowed.
 */
S24_API void s24_ctx_destroy(s24_ctx *ctx);

/**
 * Context options follow the rules of solver options. While a call runs in the context they cannot
 * be changed: S24_E_STATE. The same holds for s24_ctx_set_parallel() and s24_ctx_set_log().
 *
 * - "threads": worker threads. Default 0: all cores that this process may use.
 * - "isa": "auto", "ref", "avx2" or "avx512". S24_E_UNSUPPORTED: this processor or build lacks it.
 * - "memory_limit": a cap on the context's memory in bytes. Default 0: none.
 * - "log_level": the highest level that is logged. Default 1: errors and warnings.
 * - "hold_blas": by default 1: while a call of ours runs, OpenBLAS uses one thread and our threads
 *   do the rest; afterwards the host's setting comes back. With 0 BLAS is left alone, and equal
 *   bits are promised only for equal numbers of BLAS threads.
 * - "device": where solvers run: "cpu", the default, or PATH:INDEX with the path of a library such
 *   as libsparse24-cuda.so and the number of the device (docs/gpu.md). S24_E_BACKEND: the library,
 *   a driver or the device is missing, or is of another version. S24_E_STATE: other handles of the
 *   context exist. What a device cannot do is S24_E_UNSUPPORTED: nothing falls back to the CPU.
 */
S24_API s24_status s24_ctx_set_int(s24_ctx *ctx, const char *option, int64_t value);
S24_API s24_status s24_ctx_set_str(s24_ctx *ctx, const char *option, const char *value);
S24_API s24_status s24_ctx_get_int(const s24_ctx *ctx, const char *option, int64_t *value);
S24_API s24_status s24_ctx_get_str(const s24_ctx *ctx, const char *option, const char **value);

/**
 * Let the host's thread pool run our loops, with 1 <= max_workers <= 1024. NULL restores the
 * built-in pool. S24_E_MEMORY: no address space is left for the buffers that OpenBLAS keeps for
 * each worker (docs/memory.md). Every call that computes may answer S24_E_MEMORY for the same
 * reason.
 */
S24_API s24_status s24_ctx_set_parallel(s24_ctx *ctx, s24_parallel_fn fn, void *user,
                                        int32_t max_workers);
/**
 * Run task(arg, i, worker) for every i in [0, count) on the context's threads, with worker below
 * "threads". BLAS is held as in our own calls. Calls of this library made inside a task run on that
 * worker alone. After fork() the child makes itself a new pool.
 */
S24_API s24_status s24_ctx_parallel(s24_ctx *ctx, s24_task_fn task, void *arg, int64_t count);
/**
 * Receive log lines. NULL, the default, drops them. The library never writes to stdout or stderr.
 */
S24_API s24_status s24_ctx_set_log(s24_ctx *ctx, s24_log_fn fn, void *user);
/**
 * Bytes in use now, and at the peak, of everything made from this context. Either pointer may be
 * NULL.
 */
S24_API s24_status s24_ctx_memory(const s24_ctx *ctx, uint64_t *current, uint64_t *peak);

#ifdef __cplusplus
}
#endif
#endif
