/* The exponential of a float as straight-line code, so that loops over it become vector code. */
#ifndef EXPONENTIAL_H
#define EXPONENTIAL_H
#include <stdint.h>

/* Let the compiler make a version of a function for each kind of vector unit; bits are equal, for
 * nothing is contracted or reordered. */
#if defined __x86_64__ && defined __GNUC__ && !defined __clang__ && \
    !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
#define S24M_VECTOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define S24M_VECTOR
#endif

/* e^x = 2^n e^r with n = round(x / ln 2), |r| <= ln 2 / 2, where eight terms of the series leave a
 * relative error of 1e-8. x is taken into
 * [-87, 88], where float results are normal; NaN stays NaN. Adding 1.5 * 2^23 rounds to an integer,
 * which then stands in the low bits. */
static inline float exponential(float x)
{
    union {
        float value;
        uint32_t bits;
    } shifted, power;
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    shifted.value = x * 1.44269504f + 12582912.0f;
    power.bits = (shifted.bits + 127) << 23;
    float n = shifted.value - 12582912.0f;
    float r = (x - n * 0.693359375f) + n * 2.12194440e-4f; /* ln 2 in two parts */
    float series = 1.0f / 5040;
    series = series * r + 1.0f / 720;
    series = series * r + 1.0f / 120;
    series = series * r + 1.0f / 24;
    series = series * r + 1.0f / 6;
    series = series * r + 0.5f;
    return ((series * r) * r + r + 1.0f) * power.value;
}

#endif
