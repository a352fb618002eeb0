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
/* The same for more rounds. */
#if defined __clang__
#define UNROLL_16 UNROLL
#define UNROLL_LINES UNROLL
#else
#define UNROLL_16 _Pragma("GCC unroll 16")
#define UNROLL_LINES _Pragma("GCC unroll 40")
#endif

#endif
