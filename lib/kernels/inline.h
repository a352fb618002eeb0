/* How inner loops are written so that the compiler takes them apart: always inlined, unrolled in
 * full. */
#ifndef S24I_INLINE_H
#define S24I_INLINE_H

#define INLINE static inline __attribute__((always_inline))
#if defined __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

#endif
