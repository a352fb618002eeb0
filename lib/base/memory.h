/* Every byte of the library: the host's allocator pair, counted and capped; and arenas, whose size
 * is predicted by the code that fills them. Does not know what is stored. The only place that may
 * call malloc. */
#ifndef S24I_MEMORY_H
#define S24I_MEMORY_H
#include <sparse24/types.h>
#include <stdatomic.h>
#include <stdbool.h>

#define S24I_ALIGN 64

typedef struct s24i_memory {
    s24_alloc_fn alloc;
    s24_free_fn free;
    void *user;
    _Atomic uint64_t limit; /* bytes, 0 = none */
    _Atomic uint64_t current, peak;
} s24i_memory;

/* alloc == NULL selects the C library. */
void s24i_memory_init(s24i_memory *memory, s24_alloc_fn alloc, s24_free_fn free, void *user);
/* S24I_ALIGN-aligned, uninitialised. NULL and an error text (status S24_E_MEMORY) when refused.
 * size 0 gives a valid block. */
void *s24i_alloc(s24i_memory *memory, size_t size);
void *s24i_alloc_zero(s24i_memory *memory, size_t size);
/* `size` is the size it was asked with; ptr may be NULL. */
void s24i_free(s24i_memory *memory, void *ptr, size_t size);
char *s24i_strdup(s24i_memory *memory, const char *text);
void s24i_strfree(s24i_memory *memory, char *text);
/* a * b, or SIZE_MAX when that overflows (which no allocator grants). */
size_t s24i_mul(size_t a, size_t b);

/*
 * A stack of blocks inside one allocation. With base == NULL it counts instead: take() returns NULL
 * and `peak` is the size to allocate. The same layout function runs both ways, so the prediction
 * cannot drift from the use. Release by restoring `used`.
 */
typedef struct s24i_arena {
    char *base;
    size_t size, used, peak;
    bool exceeded; /* a take() did not fit: a bug in a layout function */
    double flops;  /* of the operations that worked in it, two for each multiplication */
} s24i_arena;

void *s24i_arena_take(s24i_arena *arena, size_t count, size_t element_size);

#endif
