/* What the processor and the operating system offer. Knows no kernel. */
#ifndef S24I_CPU_H
#define S24I_CPU_H
#include <stdint.h>

enum {
    S24I_CPU_AVX2 = 1,   /* avx2, fma, f16c, bmi2, and the OS saves ymm */
    S24I_CPU_AVX512 = 2, /* the above and avx512 f, bw, dq, vl, and the OS saves zmm */
    S24I_CPU_AVXVNNI = 4,
    S24I_CPU_AVX512VNNI = 8, /* avx512 vnni and vbmi, and gfni */
    S24I_CPU_AVX512BF16 = 16,
    S24I_CPU_AMD = 32, /* who made it: how far ahead memory is best asked for */
};
uint32_t s24i_cpu_flags(void);

#endif
