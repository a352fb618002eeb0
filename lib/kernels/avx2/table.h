/* AVX2, FMA, F16C and BMI2 versions of the entries of kernels.def, by their names s24i_avx2_<entry>. Knows only their prototypes. */
#ifndef S24I_AVX2_TABLE_H
#define S24I_AVX2_TABLE_H
#include "kernels/kernels.h"

#define S24I_KERNEL(type, name, arguments) type s24i_avx2_##name arguments;
#include "kernels/kernels.def"
#undef S24I_KERNEL

#endif
