#include "memory.h"
#include "error.h"
#include <stdlib.h>
#include <string.h>

static void *library_alloc(void *user, size_t size, size_t align)
{
    void *block;

    return posix_memalign(&block, align, size) ? NULL : block;
}

static void library_free(void *user, void *block, size_t size)
{
    free(block);
}

void s24i_memory_init(s24i_memory *memory, s24_alloc_fn alloc, s24_free_fn release, void *user)
{
    memory->alloc = alloc ? alloc : library_alloc;
    memory->free = alloc ? release : library_free;
    memory->user = user;
    atomic_init(&memory->limit, 0);
    atomic_init(&memory->current, 0);
    atomic_init(&memory->peak, 0);
}

/* What the allocator is asked for: never 0, so that every block has an address. */
static size_t real_size(size_t size)
{
    return size ? size : 1;
}

/* Returns the bytes then in use, or 0 when the limit forbids it. */
static uint64_t charge(s24i_memory *memory, size_t size)
{
    uint64_t used = atomic_load(&memory->current), limit = atomic_load(&memory->limit);

    do {
        if (limit && (used > limit || size > limit - used))
            return 0;
    } while (!atomic_compare_exchange_weak(&memory->current, &used, used + size));
    return used + size;
}

static void raise_peak(s24i_memory *memory, uint64_t used)
{
    uint64_t peak = atomic_load(&memory->peak);

    while (used > peak && !atomic_compare_exchange_weak(&memory->peak, &peak, used))
        ;
}

static void *refuse_limit(s24i_memory *memory, size_t size)
{
    unsigned long long limit = atomic_load(&memory->limit), used = atomic_load(&memory->current);

    s24i_fail(S24_E_MEMORY, "memory: %zu bytes wanted, %llu of limit %llu in use", size, used,
              limit);
    return NULL;
}

static void *refuse_system(s24i_memory *memory, size_t size)
{
    unsigned long long used = atomic_load(&memory->current);

    s24i_fail(S24_E_MEMORY, "memory: %zu bytes wanted, %llu in use, the allocator refused", size,
              used);
    return NULL;
}

static void *refuse_address(size_t size)
{
    s24i_fail(S24_E_MEMORY,
              "memory: expected %zu bytes aligned to %d, but the allocator gave another address",
              size, S24I_ALIGN);
    return NULL;
}

void *s24i_alloc(s24i_memory *memory, size_t size)
{
    size_t real = real_size(size);

    if (real > PTRDIFF_MAX)
        return refuse_system(memory, size);
    uint64_t used = charge(memory, real);
    if (!used)
        return refuse_limit(memory, size);
    void *block = memory->alloc(memory->user, real, S24I_ALIGN);
    if (!block) {
        atomic_fetch_sub(&memory->current, real);
        return refuse_system(memory, size);
    }
    if ((uintptr_t)block % S24I_ALIGN) {
        s24i_free(memory, block, size);
        return refuse_address(size);
    }
    raise_peak(memory, used);
    return block;
}

void *s24i_alloc_zero(s24i_memory *memory, size_t size)
{
    void *block = s24i_alloc(memory, size);

    if (block)
        memset(block, 0, size);
    return block;
}

void s24i_free(s24i_memory *memory, void *block, size_t size)
{
    if (!block)
        return;
    memory->free(memory->user, block, real_size(size));
    atomic_fetch_sub(&memory->current, real_size(size));
}

char *s24i_strdup(s24i_memory *memory, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = s24i_alloc(memory, size);

    if (copy)
        memcpy(copy, text, size);
    return copy;
}

void s24i_strfree(s24i_memory *memory, char *text)
{
    if (text)
        s24i_free(memory, text, strlen(text) + 1);
}

size_t s24i_mul(size_t a, size_t b)
{
    size_t product;

    return __builtin_mul_overflow(a, b, &product) ? SIZE_MAX : product;
}

void *s24i_arena_take(s24i_arena *arena, size_t count, size_t element_size)
{
    size_t size = s24i_mul(count, element_size), end;

    if (__builtin_add_overflow(size, S24I_ALIGN - 1, &size) ||
        __builtin_add_overflow(arena->used, size & ~(size_t)(S24I_ALIGN - 1), &end))
        end = SIZE_MAX;
    if (arena->base && end > arena->size) {
        arena->exceeded = true;
        return NULL;
    }
    void *block = arena->base ? arena->base + arena->used : NULL;
    arena->used = end;
    if (end > arena->peak)
        arena->peak = end;
    return block;
}
