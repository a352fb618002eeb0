#ifndef SPARSE24_CONTEXT_H
#define SPARSE24_CONTEXT_H
#include "types.h"
#ifdef __cplusplus
extern "C" {
#endif

/**
 * Create a context with the C library's allocator. SPARSE24_ISA, if set, is read now, and never later, as the default of "isa".
 * Different contexts are independent. One context may be used by several threads if each has its own other handles.
 */
S24_API s24_status s24_ctx_create(s24_ctx **out);
/** The same with the caller's allocator, used for every byte of this context and its children. Both or neither function. */
S24_API s24_status s24_ctx_create_with(s24_alloc_fn alloc_fn, s24_free_fn free_fn, void *user,
                                       s24_ctx **out);
/** Drop the caller's reference. Children keep the context alive, so handles may be destroyed in any order. NULL is allowed. */
S24_API void s24_ctx_destroy(s24_ctx *ctx);

/**
 * Context options, same rules as solver options, changed only while no call runs in the context (else S24_E_STATE; so are
 * s24_ctx_set_parallel() and s24_ctx_set_log()): "threads" (default 0 = all cores allowed to this process),
 * "isa" ("auto", "ref", "avx2", "avx512"; S24_E_UNSUPPORTED: this processor or build lacks it), "memory_limit" (bytes, 0 = none),
 * "log_level" (the highest that is logged, default 1), "hold_blas" (default 1:
 * while one of our calls runs OpenBLAS uses one thread, ours do the rest; restored afterwards; 0 = leave BLAS alone, and then
 * the promise of equal bits holds only for equal BLAS thread counts).
 */
S24_API s24_status s24_ctx_set_int(s24_ctx *ctx, const char *option, int64_t value);
S24_API s24_status s24_ctx_set_str(s24_ctx *ctx, const char *option, const char *value);
S24_API s24_status s24_ctx_get_int(const s24_ctx *ctx, const char *option, int64_t *value);
S24_API s24_status s24_ctx_get_str(const s24_ctx *ctx, const char *option, const char **value);

/** Let the host's thread pool run our loops, 1 <= max_workers <= 1024; NULL restores the built-in pool. S24_E_MEMORY: no address space
 *  for the buffers that OpenBLAS wants for each worker (docs/memory.md); so may every call that works. */
S24_API s24_status s24_ctx_set_parallel(s24_ctx *ctx, s24_parallel_fn fn, void *user,
                                        int32_t max_workers);
/** Run task(arg, i, worker) for every i in [0, count) on the context's threads (worker < "threads"); BLAS is held as in our own calls.
 *  Calls of this library made inside a task run on that worker alone. A pool lost in fork() is rebuilt in the child. */
S24_API s24_status s24_ctx_parallel(s24_ctx *ctx, s24_task_fn task, void *arg, int64_t count);
/** Receive log lines; NULL (the default) drops them. The library never writes to stdout or stderr. */
S24_API s24_status s24_ctx_set_log(s24_ctx *ctx, s24_log_fn fn, void *user);
/** Bytes now and at the peak, over everything made from this context. Either pointer may be NULL. */
S24_API s24_status s24_ctx_memory(const s24_ctx *ctx, uint64_t *current, uint64_t *peak);

#ifdef __cplusplus
}
#endif
#endif
