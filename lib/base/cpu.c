#include "cpu.h"

#if defined __x86_64__
#include <cpuid.h>

/* Bits of extended control register 0: the OS saves xmm and ymm; opmask and both zmm halves too. */
enum { SAVES_YMM = 0x06, SAVES_ZMM = 0xe6 };

static uint32_t saved_state(void)
{
    uint32_t low, high;

    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static int has(uint32_t bits, uint32_t wanted)
{
    return (bits & wanted) == wanted;
}

uint32_t s24i_cpu_flags(void)
{
    const uint32_t basic = bit_FMA | bit_OSXSAVE | bit_AVX | bit_F16C;
    const uint32_t avx512 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    uint32_t a, b, c, d, flags = 0;

    if (!__get_cpuid(1, &a, &b, &c, &d) || !has(c, basic))
        return 0;
    uint32_t saved = saved_state();
    if (!has(saved, SAVES_YMM) || !__get_cpuid_count(7, 0, &a, &b, &c, &d) ||
        !has(b, bit_AVX2 | bit_BMI2))
        return 0;
    flags |= S24I_CPU_AVX2;
    if (has(saved, SAVES_ZMM) && has(b, avx512))
        flags |= S24I_CPU_AVX512;
    return flags;
}

#else

uint32_t s24i_cpu_flags(void)
{
    return 0;
}

#endif
