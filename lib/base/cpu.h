/* What the processor and the operating system offer. Knows no kernel. */
#ifndef S24I_CPU_H
#define S24I_CPU_H
#include <stdint.h>

enum {
    S24I_CPU_AVX2 = 1,   /* avx2, fma, f16c, bmi2, and the OS saves ymm */
    S24I_CPU_AVX512 = 2, /* the above and avx512 f, bw, dq, vl, and the OS saves zmm */
};
uint32_t s24i_cpu_flags(void);

#endif
