/* Denormals as zeros, for the thread that asks and while it asks: some processors take a hundred
 * times as long over each of them. Knows the processor's control word only; where there is none
 * that is known, nothing changes. */
#ifndef S24I_FLUSH_H
#define S24I_FLUSH_H
#include <stdint.h>
#if defined __SSE__
#include <immintrin.h>
#endif

/* What to hand to s24i_flush_end(). */
static inline uint64_t s24i_flush_begin(void)
{
    uint64_t before = 0;
#if defined __SSE__
    before = _mm_getcsr();
    _mm_setcsr((unsigned)before | 0x8040); /* results, operands */
#elif defined __aarch64__
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(before | UINT64_C(1) << 24) : "memory");
#endif
    return before;
}

static inline void s24i_flush_end(uint64_t before)
{
#if defined __SSE__
    _mm_setcsr((unsigned)before);
#elif defined __aarch64__
    __asm__ volatile("msr fpcr, %0" : : "r"(before) : "memory");
#else
    (void)before;
#endif
}

#endif
