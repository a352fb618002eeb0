/* Masks for the last, incomplete register of an array. Knows no kernel. */
#ifndef S24I_AVX512_TAIL_H
#define S24I_AVX512_TAIL_H
#include <immintrin.h>
#include <stdint.h>

#define S24I_ALL16 ((__mmask16)0xffff)

/* The first `left` of 16 lanes, 0 <= left < 16. */
static inline __mmask16 s24i_first_lanes(int64_t left)
{
    return (__mmask16)((1u << left) - 1);
}

#endif
