/* Under a host's memory rules: its allocator, what a solve will need, and a cap that is never crossed.
 * Usage: 07_memory [LAYERS.safetensors] */
#include <sparse24/sparse24.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* Every byte of the context comes from here; threads of the context may call it at once. */
typedef struct counter {
    _Atomic int64_t bytes, blocks, calls;
} counter;

static void *count_alloc(void *user, size_t size, size_t align)
{
    counter *c = user;
    void *block = aligned_alloc(align, (size + align - 1) / align * align);
    if (block) {
        c->bytes += (int64_t)size;
        c->blocks++;
        c->calls++;
    }
    return block;
}

static void count_free(void *user, void *block, size_t size) /* the size it was asked with */
{
    counter *c = user;
    c->bytes -= (int64_t)size;
    c->blocks--;
    free(block);
}

static void must(s24_status status)
{
    if (status == S24_OK)
        return;
    fprintf(stderr, "%s: %s\n", s24_status_name(status), s24_last_error());
    exit(1);
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "examples/data/smollm2-block10-small.safetensors";
    counter c = {0};
    uint64_t needed, before, peak;
    s24_ctx *ctx;
    s24_file *file;
    s24_mat w;
    s24_problem *problem;
    s24_solver *solver;
    s24_result *result = NULL;
    must(s24_ctx_create_with(count_alloc, count_free, &c, &ctx));
    must(s24_file_open(ctx, path, &file));
    must(s24_file_get(file, "w.down", &w));
    must(s24_problem_create(ctx, &w, &problem));
    must(s24_problem_parse(problem, "2:4"));
    must(s24_solver_create(ctx, "magnitude", &solver));

    must(s24_solver_memory(solver, problem, &needed)); /* beside what is held already */
    must(s24_ctx_memory(ctx, &before, NULL));
    must(s24_ctx_set_int(ctx, "memory_limit", (int64_t)(before + needed / 2)));
    int64_t calls = c.calls;
    s24_status status = s24_solve(solver, problem, &result);
    printf("half of it: %s: %s\n", s24_status_name(status), s24_last_error());
    int honest = status == S24_E_MEMORY && !result && (uint64_t)c.bytes == before;
    printf("            refused after %lld allocations, nothing held\n",
           (long long)(c.calls - calls));

    must(s24_ctx_set_int(ctx, "memory_limit",
                         (int64_t)(before + needed))); /* the same handles go on */
    must(s24_solve(solver, problem, &result));
    must(s24_ctx_memory(ctx, NULL, &peak));
    printf("predicted %llu bytes, peak %llu beside the %llu held before\n",
           (unsigned long long)needed, (unsigned long long)(peak - before),
           (unsigned long long)before);
    s24_result_destroy(result);
    s24_solver_destroy(solver);
    s24_problem_destroy(problem);
    s24_file_destroy(file);
    s24_ctx_destroy(ctx);
    printf("%lld blocks and %lld bytes left\n", (long long)c.blocks, (long long)c.bytes);
    return !honest || c.blocks || c.bytes || peak > before + needed;
}
