/* One value of one group, under the names in which lanes/prox.h is written. `real`, REAL_MAX and
 * REAL(name) for the C library's functions of that type come first. Knows no kernel. */
#ifndef S24I_REF_REALS_H
#define S24I_REF_REALS_H
#include <math.h>
#include <stdbool.h>

enum { REALS = 1 };
typedef real reals;
typedef bool which;

static inline reals reals_load(const real *x)
{
    return *x;
}

static inline void reals_store(real *x, reals value)
{
    *x = value;
}

static inline reals reals_all(real x)
{
    return x;
}

static inline reals reals_sqrt(reals x)
{
    return REAL(sqrt)(x);
}

/* Of equal values, which may be zeros of both signs, the second: as the instructions do. */
static inline reals reals_min(reals x, reals y)
{
    return x < y ? x : y;
}

static inline reals reals_max(reals x, reals y)
{
    return x > y ? x : y;
}

static inline reals reals_magnitude(reals x)
{
    return REAL(fabs)(x);
}

/* A magnitude with the sign of z. */
static inline reals reals_signed(reals magnitude, reals z)
{
    return REAL(copysign)(magnitude, z);
}

static inline which reals_greater(reals x, reals y)
{
    return x > y;
}

static inline reals reals_choose(which mask, reals yes, reals no)
{
    return mask ? yes : no;
}

static inline which which_and(which x, which y)
{
    return x && y;
}

static inline bool which_all(which x)
{
    return x;
}

/* REALS groups of four: x[i] has the i-th value of each. */
static inline void groups_load(const real *z, reals x[4])
{
    for (int i = 0; i < 4; ++i)
        x[i] = z[i];
}

static inline void groups_store(real *w, const reals x[4])
{
    for (int i = 0; i < 4; ++i)
        w[i] = x[i];
}

#endif
