/* What the sources of backward.h share: the exponential of their type, loops over rows. */
#ifndef S24M_BACKWARD_SCALAR_H
#define S24M_BACKWARD_SCALAR_H
#include "backward.h"
#include "exponential.h"
#include <math.h>

#ifdef S24M_DOUBLE
#define S24M_EXP(x) exp(x)
#define S24M_LOOPS
#else
#define S24M_EXP(x) exponential(x)
#define S24M_LOOPS S24M_VECTOR
#endif

/* Calls rows(arg, first, last) on the context's threads for tiles that cover [0, count): tiles are
 * cut by `size` alone. */
typedef void (*s24m_back_rows)(void *arg, int64_t first, int64_t last);
s24_status s24m_back_loop(s24_ctx *ctx, s24m_back_rows rows, void *arg, int64_t count,
                          int64_t size);

#endif
