/* Numbers brought to where neither they nor their squares leave single precision. Knows powers of
 * two, not what the numbers are. */
#ifndef S24I_RANGE_H
#define S24I_RANGE_H
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#define S24I_TINY_WEIGHT 0x1p-100f /* beside weights near 1 */
#define S24I_TINY_ENTRY 0x1p-62f   /* of S or R, beside a diagonal near 1 */
/* 0 for what is nothing beside other numbers, before it costs the time of denormals or makes
 * some. */
static inline float s24i_drop_tiny(float x, float tiny)
{
    return fabsf(x) < tiny ? 0 : x;
}

/* Of the power of two at or below x > 0. */
static inline int s24i_exponent(double x)
{
    int exponent;
    frexp(x, &exponent);
    return exponent - 1;
}

/* The power of two that brings x > 0 to [1, 2), and 1 where x is not far from there: products of
 * what is multiplied with it stay in the range of single precision, and nothing else changes. */
static inline double s24i_unit_for(double x)
{
    bool usual = !(x > 0x1p-1000 && x < 0x1p1000) || (x > 0x1p-20 && x < 0x1p40);
    return usual ? 1 : ldexp(1, -s24i_exponent(x));
}

/* The largest |x| (mat.c). */
float s24i_largest(const float *x, int64_t count);
/* x *= unit, a power of two. */
void s24i_multiply_by(float *x, double unit, int64_t count);

#endif
