#include "api.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const s24i_option option_table[] = {
    S24I_OPTION_INT(s24i_ctx_options, threads, 0, 1024, "0",
                    "number of worker threads; 0: all cores that this process may use"),
    S24I_OPTION_STR(s24i_ctx_options, isa, "auto|ref|avx2|avxvnni|avx512|avx512vnni|avx512bf16",
                    "auto", "strongest instruction set that kernels may use"),
    S24I_OPTION_INT(s24i_ctx_options, memory_limit, 0, 9007199254740992, "0",
                    "bytes that the context and its children may hold; 0: no limit"),
    S24I_OPTION_INT(
        s24i_ctx_options, log_level, 0, 3, "1",
        "highest level that is logged: 0 errors, 1 warnings, 2 information, 3 debugging"),
    S24I_OPTION_INT(s24i_ctx_options, hold_blas, 0, 1, "1",
                    "1: OpenBLAS runs on one thread while a call works; 0: OpenBLAS is left alone"),
    {NULL}};

/* Ours or the host's. */
static void drop_workers(s24_ctx *ctx)
{
    s24i_threads_stop(&ctx->threads);
    if (ctx->threads.host)
        s24i_blas_part(ctx->threads.host_workers);
}

void s24i_ctx_release(s24_ctx *ctx)
{
    s24i_memory last;

    if (atomic_fetch_sub(&ctx->references, 1) != 1)
        return;
    drop_workers(ctx);
    s24i_plug_close(&ctx->plug);
    s24i_lock_fini(&ctx->plug_lock);
    s24i_lock_fini(&ctx->lock);
    s24i_memory_init(&last, ctx->memory.alloc, ctx->memory.free, ctx->memory.user);
    s24i_free(&last, ctx, sizeof *ctx);
}

s24_status s24i_enter(s24_ctx *ctx)
{
    s24i_ctx_retain(ctx);
    s24i_lock_take(&ctx->lock);
    ctx->running++;
    s24i_lock_drop(&ctx->lock);
    if (ctx->values.hold_blas)
        s24i_blas_hold();
    return s24i_inside_task() ? S24_OK : s24i_blas_join(1);
}

void s24i_leave(s24_ctx *ctx)
{
    if (!s24i_inside_task())
        s24i_blas_part(1);
    if (ctx->values.hold_blas)
        s24i_blas_release();
    s24i_lock_take(&ctx->lock);
    ctx->running--;
    s24i_lock_drop(&ctx->lock);
    s24i_ctx_release(ctx);
}

static s24_status in_arena_of(const s24i_device *device, s24i_stage_fn stage, void *arg)
{
    s24i_arena arena = {0};
    s24i_run run = {.device = device, .arena = &arena};
    s24_status status = stage(arg, &run);

    if (status)
        return status;
    arena = (s24i_arena){.size = arena.peak};
    if (!(arena.base = s24i_alloc(device->memory, arena.size)))
        return S24_E_MEMORY;
    status = stage(arg, &run);
    if (arena.exceeded)
        status =
            s24i_fail(S24_E_INTERNAL, "more scratch used than predicted (%zu bytes)", arena.size);
    s24i_free(device->memory, arena.base, arena.size);
    return status;
}

s24_status s24i_in_arena(s24_ctx *ctx, s24i_stage_fn stage, void *arg)
{
    return in_arena_of(&ctx->cpu, stage, arg);
}

s24_status s24i_on_device(s24_ctx *ctx, s24i_stage_fn stage, void *arg)
{
    int32_t before = s24i_device_enter(ctx);
    s24_status status = in_arena_of(ctx->device, stage, arg);

    s24i_device_leave(ctx, before);
    return status;
}

/* ---- Making one ---- */

/* The only place that reads the environment. */
static s24_status read_environment(s24i_option_set *options)
{
    const char *isa = getenv("SPARSE24_ISA");

    if (!isa || !*isa || s24i_options_set_str(options, "isa", isa) == S24_OK)
        return S24_OK;
    return s24i_fail_in(S24_E_OPTION, "environment variable SPARSE24_ISA");
}

static int32_t thread_count(const s24i_ctx_options *values)
{
    return values->threads ? (int32_t)values->threads : s24i_cores();
}

static s24_status set_up(s24_ctx *ctx)
{
    ctx->options = (s24i_option_set){.table = option_table,
                                     .owner = "context",
                                     .values = &ctx->values,
                                     .size = sizeof ctx->values};
    s24i_options_reset(&ctx->options);
    s24_status status = read_environment(&ctx->options);
    if (!status)
        status = s24i_cpu_kernels(ctx->values.isa.text, &ctx->kernels);
    if (status)
        return status;
    ctx->threads.memory = &ctx->memory;
    ctx->threads.count = thread_count(&ctx->values);
    ctx->threads.hire = s24i_blas_hire;
    ctx->threads.part = s24i_blas_part;
    ctx->cpu = (s24i_device){.name = "cpu",
                             .memory = &ctx->memory,
                             .threads = &ctx->threads,
                             .kernels = &ctx->kernels,
                             .operations = &s24i_cpu_operations,
                             .host = true};
    ctx->device = &ctx->cpu;
    s24i_lock_init(&ctx->lock);
    s24i_lock_init(&ctx->plug_lock);
    ctx->handle.magic = S24I_CTX;
    atomic_init(&ctx->references, 1);
    return S24_OK;
}

static s24_status create(s24_alloc_fn alloc_fn, s24_free_fn free_fn, void *user, s24_ctx **out)
{
    s24i_memory first;

    if (!out)
        return s24i_check_pointer(out, "out");
    if (!alloc_fn != !free_fn)
        return s24i_fail(S24_E_ARG, "%s is NULL and the other allocator function is not",
                         alloc_fn ? "free_fn" : "alloc_fn");
    s24i_memory_init(&first, alloc_fn, free_fn, user);
    s24_ctx *ctx = s24i_alloc_zero(&first, sizeof *ctx);
    if (!ctx)
        return S24_E_MEMORY;
    s24i_memory_init(&ctx->memory, alloc_fn, free_fn, user);
    atomic_store(&ctx->memory.current, sizeof *ctx);
    atomic_store(&ctx->memory.peak, sizeof *ctx);
    s24_status status = set_up(ctx);
    if (status)
        s24i_free(&first, ctx, sizeof *ctx);
    else
        *out = ctx;
    return status;
}

s24_status s24_ctx_create(s24_ctx **out)
{
    return s24i_done(__func__, create(NULL, NULL, NULL, out));
}

s24_status s24_ctx_create_with(s24_alloc_fn alloc_fn, s24_free_fn free_fn, void *user,
                               s24_ctx **out)
{
    return s24i_done(__func__, create(alloc_fn, free_fn, user, out));
}

void s24_ctx_destroy(s24_ctx *ctx)
{
    if (!s24i_is(ctx, S24I_CTX))
        return;
    ctx->handle.magic = S24I_DEAD;
    s24i_ctx_release(ctx);
}

/* ---- Options ---- */

/* Take the lock of an idle context. */
static s24_status begin_change(s24_ctx *ctx)
{
    s24i_lock_take(&ctx->lock);
    if (ctx->running == 0)
        return S24_OK;
    s24i_lock_drop(&ctx->lock);
    return s24i_fail(S24_E_STATE, "a call is running in this context: change it between calls");
}

/* Under the lock. */
static void apply(s24_ctx *ctx, const s24i_option_set *options, const s24i_ctx_options *values)
{
    if (values->threads != ctx->values.threads) {
        s24i_threads_stop(&ctx->threads);
        ctx->threads.count = thread_count(values);
    }
    atomic_store(&ctx->memory.limit, (uint64_t)values->memory_limit);
    ctx->values = *values;
    ctx->options.explicit_mask = options->explicit_mask;
}

/* Only while nothing else was made from the context: sums may lie on the device. */
static s24_status change_device(s24_ctx *ctx, const char *text)
{
    s24_status status = begin_change(ctx);
    s24i_plug *plug = NULL;

    if (status)
        return status;
    if (atomic_load(&ctx->references) != 1)
        status = s24i_fail(S24_E_STATE, "option device: other handles of the context exist: set it "
                                        "before anything else is made");
    if (!status && !(plug = s24i_alloc_zero(&ctx->memory, sizeof *plug)))
        status = S24_E_MEMORY;
    if (!status && !(status = s24i_plug_open(ctx, text, plug))) {
        s24i_plug_close(&ctx->plug);
        ctx->plug = *plug;
        ctx->device = ctx->plug.open ? &ctx->plug.device : &ctx->cpu;
    }
    s24i_free(&ctx->memory, plug, sizeof *plug);
    s24i_lock_drop(&ctx->lock);
    return status;
}

/* Set one option in a copy and take the copy over if everything about it works. */
static s24_status set_option(s24_ctx *ctx, const char *option, const char *text, int64_t number)
{
    s24_status status = begin_change(ctx);

    if (status)
        return status;
    s24i_ctx_options values = ctx->values;
    s24i_option_set options = ctx->options;
    s24i_kernels kernels = ctx->kernels;
    options.values = &values;
    status = text ? s24i_options_set_str(&options, option, text)
                  : s24i_options_set_int(&options, option, number);
    if (!status)
        status = s24i_cpu_kernels(values.isa.text, &kernels);
    if (!status) {
        apply(ctx, &options, &values);
        ctx->kernels = kernels;
    }
    s24i_lock_drop(&ctx->lock);
    return status;
}

s24_status s24_ctx_set_int(s24_ctx *ctx, const char *option, int64_t value)
{
    s24_status status = s24i_check_handle(ctx, S24I_CTX, "ctx");

    if (!status)
        status = s24i_check_pointer(option, "option");
    return s24i_done(__func__, status ? status : set_option(ctx, option, NULL, value));
}

s24_status s24_ctx_set_str(s24_ctx *ctx, const char *option, const char *value)
{
    s24_status status = s24i_check_handle(ctx, S24I_CTX, "ctx");

    if (!status)
        status = s24i_check_pointer(option, "option");
    if (!status)
        status = s24i_check_pointer(value, "value");
    if (!status && !strcmp(option, "device"))
        return s24i_done(__func__, change_device(ctx, value));
    return s24i_done(__func__, status ? status : set_option(ctx, option, value, 0));
}

s24_status s24_ctx_get_int(const s24_ctx *ctx, const char *option, int64_t *value)
{
    s24_status status = s24i_check_handle(ctx, S24I_CTX, "ctx");

    if (!status)
        status = s24i_check_pointer(option, "option");
    if (!status)
        status = s24i_check_pointer(value, "value");
    return s24i_done(__func__,
                     status ? status : s24i_options_get_int(&ctx->options, option, value));
}

s24_status s24_ctx_get_str(const s24_ctx *ctx, const char *option, const char **value)
{
    s24_status status = s24i_check_handle(ctx, S24I_CTX, "ctx");

    if (!status)
        status = s24i_check_pointer(option, "option");
    if (!status)
        status = s24i_check_pointer(value, "value");
    if (!status && !strcmp(option, "device")) {
        *value = ctx->plug.open ? ctx->plug.text : "cpu";
        return S24_OK;
    }
    return s24i_done(__func__,
                     status ? status : s24i_options_get_str(&ctx->options, option, value));
}

/* ---- Threads, log, memory ---- */

static s24_status set_parallel(s24_ctx *ctx, s24_parallel_fn fn, void *user, int32_t max_workers)
{
    if (fn && (max_workers < 1 || max_workers > S24I_MAX_WORKERS))
        return s24i_fail(S24_E_ARG, "max_workers is %d, but must be in 1 .. %d", (int)max_workers,
                         S24I_MAX_WORKERS);
    s24_status status = begin_change(ctx);
    if (status)
        return status;
    if (fn && (status = s24i_blas_join(max_workers))) {
        s24i_blas_part(max_workers);
    } else {
        drop_workers(ctx);
        ctx->threads.host = fn;
        ctx->threads.host_user = user;
        ctx->threads.host_workers = max_workers;
    }
    s24i_lock_drop(&ctx->lock);
    return status;
}

s24_status s24_ctx_set_parallel(s24_ctx *ctx, s24_parallel_fn fn, void *user, int32_t max_workers)
{
    s24_status status = s24i_check_handle(ctx, S24I_CTX, "ctx");

    return s24i_done(__func__, status ? status : set_parallel(ctx, fn, user, max_workers));
}

s24_status s24_ctx_parallel(s24_ctx *ctx, s24_task_fn task, void *arg, int64_t count)
{
    s24_status status = s24i_check_handle(ctx, S24I_CTX, "ctx");

    if (!status && !task)
        status = s24i_fail(S24_E_ARG, "task is NULL");
    if (!status && count < 0)
        status = s24i_fail(S24_E_ARG, "count is %lld, but must not be negative", (long long)count);
    if (status)
        return s24i_done(__func__, status);
    status = s24i_enter(ctx);
    if (!status)
        status = s24i_parallel(&ctx->threads, task, arg, count);
    s24i_leave(ctx);
    return s24i_done(__func__, status);
}

static s24_status set_log(s24_ctx *ctx, s24_log_fn fn, void *user)
{
    s24_status status = begin_change(ctx);

    if (status)
        return status;
    ctx->log = fn;
    ctx->log_user = user;
    s24i_lock_drop(&ctx->lock);
    s24i_warn_blas(ctx);
    return S24_OK;
}

s24_status s24_ctx_set_log(s24_ctx *ctx, s24_log_fn fn, void *user)
{
    s24_status status = s24i_check_handle(ctx, S24I_CTX, "ctx");

    return s24i_done(__func__, status ? status : set_log(ctx, fn, user));
}

s24_status s24_ctx_memory(const s24_ctx *ctx, uint64_t *current, uint64_t *peak)
{
    s24_status status = s24i_check_handle(ctx, S24I_CTX, "ctx");

    if (status)
        return s24i_done(__func__, status);
    if (current)
        *current = atomic_load(&ctx->memory.current);
    if (peak)
        *peak = atomic_load(&ctx->memory.peak);
    return S24_OK;
}
