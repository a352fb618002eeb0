/* AVX-512 (F, BW, DQ, VL) versions of the entries of kernels.def, by their names s24i_avx512_<entry>. Knows only their prototypes. */
#ifndef S24I_AVX512_TABLE_H
#define S24I_AVX512_TABLE_H
#include "kernels/kernels.h"

#define S24I_KERNEL(type, name, arguments) type s24i_avx512_##name arguments;
#include "kernels/kernels.def"
#undef S24I_KERNEL

#endif
