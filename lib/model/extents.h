/* The smaller and the larger of two extents, the larger of two sizes in memory. */
#ifndef S24M_EXTENTS_H
#define S24M_EXTENTS_H
#include <stdint.h>

static inline int64_t s24m_least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t s24m_most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static inline uint64_t s24m_most_bytes(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

#endif
