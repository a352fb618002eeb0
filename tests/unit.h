/* What the unit tests share: running a suite, and an allocator that checks its callers and can
 * refuse. */
#ifndef S24_TESTS_UNIT_H
#define S24_TESTS_UNIT_H
#include "base/error.h"
#include "base/memory.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

static inline int unit_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);

    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

/* Blocks remember their size, so that a free with another one is seen. */
typedef struct unit_heap {
    _Atomic int64_t blocks, calls;
    int64_t refuse; /* number of the call to refuse, from 1; 0 = none */
    _Atomic bool wrong_size, wrong_align;
} unit_heap;

static inline void *unit_alloc(void *user, size_t size, size_t align)
{
    unit_heap *heap = user;
    char *block;

    if (align != S24I_ALIGN)
        heap->wrong_align = true;
    if (++heap->calls == heap->refuse || posix_memalign((void **)&block, align, align + size))
        return NULL;
    memcpy(block, &size, sizeof size);
    memset(block + align, 0xa5, size);
    heap->blocks++;
    return block + align;
}

static inline void unit_free(void *user, void *ptr, size_t size)
{
    unit_heap *heap = user;
    char *block = (char *)ptr - S24I_ALIGN;
    size_t asked;

    memcpy(&asked, block, sizeof asked);
    if (asked != size)
        heap->wrong_size = true;
    heap->blocks--;
    free(block);
}

static inline void unit_memory(s24i_memory *memory, unit_heap *heap)
{
    memset(heap, 0, sizeof *heap);
    s24i_memory_init(memory, unit_alloc, unit_free, heap);
}

/* Nothing is left, and every free was right. */
#define unit_check_heap(memory, heap)                           \
    do {                                                        \
        ck_assert_int_eq((heap)->blocks, 0);                    \
        ck_assert_uint_eq(atomic_load(&(memory)->current), 0);  \
        ck_assert(!(heap)->wrong_size && !(heap)->wrong_align); \
    } while (0)

/* For long loops: Check's own assertions write to a pipe each time. */
#define unit_check(condition)               \
    do {                                    \
        if (!(condition))                   \
            ck_abort_msg("%s", #condition); \
    } while (0)

#define unit_check_text(part)                                                            \
    ck_assert_msg(strstr(s24i_error_text(), part) != NULL, "'%s' does not contain '%s'", \
                  s24i_error_text(), part)

#endif
