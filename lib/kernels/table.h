/* The entries of kernels.def in every instruction set, by their names s24i_<set>_<entry>. Knows
 * only their prototypes. */
#ifndef S24I_KERNELS_TABLE_H
#define S24I_KERNELS_TABLE_H
#include "kernels/kernels.h"

#define S24I_KERNEL(type, name, arguments) \
    type s24i_ref_##name arguments;        \
    type s24i_avx2_##name arguments;       \
    type s24i_avxvnni_##name arguments;    \
    type s24i_avx512_##name arguments;     \
    type s24i_avx512vnni_##name arguments; \
    type s24i_avx512bf16_##name arguments;
#include "kernels/kernels.def"
#undef S24I_KERNEL

/* The build compiles what sets share once for each of them: S24I_SET is its name, its own headers
 * come first on the include path. */
#define S24I_JOIN(a, b) S24I_JOIN_NAMES(a, b)
#define S24I_JOIN_NAMES(a, b) a##b
#define S24I_IN_SET(name) S24I_JOIN(S24I_JOIN(s24i_, S24I_SET), _##name)

#endif
