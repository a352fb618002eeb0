/* The definitions of the entries of kernels.def, by their names s24i_ref_<entry>. Knows only their prototypes. */
#ifndef S24I_REF_TABLE_H
#define S24I_REF_TABLE_H
#include "kernels/kernels.h"

#define S24I_KERNEL(type, name, arguments) type s24i_ref_##name arguments;
#include "kernels/kernels.def"
#undef S24I_KERNEL

#endif
