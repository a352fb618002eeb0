/* Runs count independent tasks on our own threads or on the host's runner. Knows nothing about what
 * the tasks do. */
#ifndef S24I_PARALLEL_H
#define S24I_PARALLEL_H
#include "memory.h"

#define S24I_MAX_WORKERS 1024

typedef struct s24i_pool s24i_pool;

/* The stack of our threads: of bytes that are touched a quarter at most (docs/embedding.md), more
 * when sanitized. */
#define S24I_STACK (1 << 20)

typedef struct s24i_threads {
    s24i_memory *memory;
    int32_t count;             /* workers of our own pool, at least 1 */
    _Atomic(s24i_pool *) pool; /* made on first use, rebuilt after fork() */
    s24_parallel_fn host;      /* NULL = own pool */
    void *host_user;
    int32_t host_workers;
    /* Asked before a thread is added to the pool: false does without it; told when `threads` of
     * them are gone. NULL: nobody is. */
    bool (*hire)(void);
    void (*part)(int32_t threads);
} s24i_threads;

/* Cores this process may use (affinity mask). */
int32_t s24i_cores(void);
/* Upper bound of `worker` + 1 in any task run through `threads`: the number of per-worker scratch
 * blocks to lay out. */
int32_t s24i_workers(const s24i_threads *threads);
/* Stop and free the pool; call before changing count and at the end, when no loop runs. A pool that
 * fork() cut off from its threads stays allocated, and counted, until then. */
void s24i_threads_stop(s24i_threads *threads);
/* True inside a task, on whatever thread. */
bool s24i_inside_task(void);
/*
 * task(arg, i, worker) for all i in [0, count), handed out in index order; returns when all are
 * done. The calling thread takes part. From inside a task, and when another thread is using the
 * pool, the loop runs serially on the caller as worker 0. A host runner's non-zero answer becomes
 * the status (S24_E_BACKEND unless it is one of ours or S24_E_USER and below), and one that skips
 * or repeats an index, uses a worker out of range or one for two tasks at once is S24_E_BACKEND.
 * Threads that cannot be had are done without; S24_E_MEMORY when the pool's few bytes are refused.
 * Else S24_OK: whether a task failed is the caller's business (s24i_failure).
 */
s24_status s24i_parallel(s24i_threads *threads, s24_task_fn task, void *arg, int64_t count);

/* *place becomes the smaller, or the larger, of itself and value: what tasks agree on without an
 * order. */
void s24i_keep_minimum(_Atomic int64_t *place, int64_t value);
void s24i_keep_maximum(_Atomic int64_t *place, int64_t value);

#endif
