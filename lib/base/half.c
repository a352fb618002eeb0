#include "half.h"
#include <string.h>

static uint32_t bits_of(float f)
{
    uint32_t bits;

    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float f;

    memcpy(&f, &bits, sizeof f);
    return f;
}

/* x / 2^shift, to nearest, ties to even. 1 <= shift <= 31. */
static uint32_t shift_to_even(uint32_t x, int shift)
{
    uint32_t half = 1u << (shift - 1), rest = x & ((half << 1) - 1), q = x >> shift;

    return q + (rest > half || (rest == half && (q & 1)));
}

float s24i_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 0x3ff;

    if (exponent == 31)
        return float_of(sign | 0x7f800000 | (fraction ? 0x400000 | fraction << 13 : 0));
    if (exponent)
        return float_of(sign | (exponent + 112) << 23 | fraction << 13);
    float magnitude = (float)fraction * 0x1p-24f;
    return float_of(sign | bits_of(magnitude));
}

uint16_t s24i_f32_to_f16(float f)
{
    uint32_t bits = bits_of(f), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;

    if (magnitude > 0x7f800000)
        return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
    if (magnitude >= 0x477ff000) /* half way from the largest number, 65504, to 2^16 */
        return (uint16_t)(sign | 0x7c00);
    if (magnitude >= 0x38800000) /* 2^-14: a carry out of the fraction steps the exponent */
        return (uint16_t)(sign | shift_to_even(magnitude - 0x38000000, 13));
    if (magnitude < 0x33000000) /* 2^-25: below half of the smallest number */
        return (uint16_t)sign;
    uint32_t significand = (magnitude & 0x7fffff) | 0x800000;
    return (uint16_t)(sign | shift_to_even(significand, 126 - (int)(magnitude >> 23)));
}

float s24i_bf16_to_f32(uint16_t h)
{
    uint32_t bits = (uint32_t)h << 16;

    if ((bits & 0x7fffffff) > 0x7f800000)
        bits |= 0x400000;
    return float_of(bits);
}

uint16_t s24i_f32_to_bf16(float f)
{
    uint32_t bits = bits_of(f);

    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)shift_to_even(bits, 16);
}

float s24i_f64_to_f32_odd(double d)
{
    float f = (float)d;

    if (d != d || (double)f == d)
        return f;
    uint32_t bits = bits_of(f);
    if (__builtin_fabs((double)f) > __builtin_fabs(d))
        bits--; /* towards zero; from infinity to the largest number */
    return float_of(bits | 1);
}
