/* The first word of every public object: what kind it is, or that it is gone. Best effort for dead
 * ones: memory may be reused. */
#ifndef S24I_HANDLE_H
#define S24I_HANDLE_H
#include <stdint.h>

enum {
    S24I_DEAD = 0x64656164,
    S24I_CTX = 0x53324301,
    S24I_GRAM,
    S24I_CROSS,
    S24I_PROBLEM,
    S24I_SOLVER,
    S24I_RESULT,
    S24I_FILE,
    S24I_PACKED,
    S24I_PRODUCT,
};

typedef struct s24i_handle {
    uint32_t magic;
} s24i_handle;

static inline int s24i_is(const void *object, uint32_t magic)
{
    return object && ((const s24i_handle *)object)->magic == magic;
}

#endif
