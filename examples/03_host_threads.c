/* Inside a program with its own threads, memory and log: the library uses those.
 * Usage: 03_host_threads [LAYERS.safetensors] */
#include <pthread.h>
#include <sparse24/sparse24.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORKERS = 3 };
static _Atomic int64_t blocks; /* allocated and not yet freed */
static int64_t loops;

typedef struct loop {
    s24_task_fn task;
    void *arg;
    int64_t count;
    _Atomic int64_t next;
    _Atomic int32_t workers;
} loop;

static void *work(void *pointer)
{
    loop *l = pointer;
    int32_t worker = atomic_fetch_add(&l->workers, 1);
    for (int64_t i; (i = atomic_fetch_add(&l->next, 1)) < l->count;)
        l->task(l->arg, i, worker);
    return NULL;
}

/* A real host would hand the loop to its own pool; new threads each time keep this short. */
static int32_t run(void *user, s24_task_fn task, void *arg, int64_t count, int32_t max_workers)
{
    loop l = {.task = task, .arg = arg, .count = count};
    pthread_t threads[WORKERS];
    int started = 0;
    while (started < max_workers - 1 && !pthread_create(&threads[started], NULL, work, &l))
        started++;
    work(&l); /* the caller helps, so the loop ends even if no thread could be started */
    while (started > 0)
        pthread_join(threads[--started], NULL);
    loops++;
    return 0;
}

static void *count_alloc(void *user, size_t size, size_t align)
{
    void *block = aligned_alloc(align, (size + align - 1) / align * align);
    blocks += block != NULL;
    return block;
}

static void count_free(void *user, void *block, size_t size)
{
    free(block);
    blocks--;
}

static void log_line(void *user, int32_t level, const char *message)
{
    fprintf(stderr, "log level %d: %s\n", (int)level, message);
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "examples/data/smollm2-block10-small.safetensors";
    static float v[192 * 576];
    s24_ctx *ctx = NULL;
    s24_file *file = NULL;
    s24_mat w, x;
    double error;
    uint64_t peak;
    if (s24_ctx_create_with(count_alloc, count_free, NULL, &ctx) ||
        s24_ctx_set_log(ctx, log_line, NULL) || s24_ctx_set_parallel(ctx, run, NULL, WORKERS) ||
        s24_mat_rowmajor(&w, v, 192, 576, S24_F32) || s24_file_open(ctx, path, &file) ||
        s24_file_read(file, "w.k", &w) || s24_file_get(file, "x.attn", &x) ||
        s24_compress(ctx, "sparsegpt", NULL, "2:4", &x, &w, &error) ||
        s24_ctx_memory(ctx, NULL, &peak)) {
        fprintf(stderr, "%s\n", s24_last_error());
        return 1;
    }
    s24_file_destroy(file);
    s24_ctx_destroy(ctx);
    printf("error %.4f, %lld loops on the host's threads, peak %.1f MiB, %lld blocks left\n", error,
           (long long)loops, (double)peak / (1 << 20), (long long)blocks);
    return blocks || !loops;
}
