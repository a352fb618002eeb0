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

/* "AuthenticAMD" and its licensee "HygonGenuine". */
static int made_by_amd(void)
{
    uint32_t a, b, c, d;

    return __get_cpuid(0, &a, &b, &c, &d) && (b == 0x68747541 || b == 0x6f677948);
}

static int has(uint32_t bits, uint32_t wanted)
{
    return (bits & wanted) == wanted;
}

uint32_t s24i_cpu_flags(void)
{
    const uint32_t basic = bit_FMA | bit_OSXSAVE | bit_AVX | bit_F16C;
    const uint32_t avx512 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    const uint32_t vnni = 1u << 11 | 1u << 1 | 1u << 8; /* and avx512 vbmi, gfni */
    uint32_t a, b, c, d, leaves, more = 0, flags = 0;

    if (!__get_cpuid(1, &a, &b, &c, &d) || !has(c, basic))
        return 0;
    uint32_t saved = saved_state();
    if (!has(saved, SAVES_YMM) || !__get_cpuid_count(7, 0, &a, &b, &c, &d) ||
        !has(b, bit_AVX2 | bit_BMI2))
        return 0;
    flags |= S24I_CPU_AVX2 | (made_by_amd() ? S24I_CPU_AMD : 0);
    leaves = a;
    if (has(saved, SAVES_ZMM) && has(b, avx512))
        flags |= S24I_CPU_AVX512 | (has(c, vnni) ? S24I_CPU_AVX512VNNI : 0);
    if (leaves >= 1 && __get_cpuid_count(7, 1, &more, &b, &c, &d)) {
        flags |= has(more, 1u << 4) ? S24I_CPU_AVXVNNI : 0;
        flags |= has(more, 1u << 5) && has(flags, S24I_CPU_AVX512) ? S24I_CPU_AVX512BF16 : 0;
    }
    return flags;
}

#else

uint32_t s24i_cpu_flags(void)
{
    return 0;
}

#endif
