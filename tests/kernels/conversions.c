/* lib/kernels/ref/convert.c: 16-bit formats by their definition. */
#include "reference.h"
#include "trial.h"
#include <math.h>
#include <string.h>

/* A 16-bit format by its definition: a sign, an exponent and `fraction` bits. */
typedef struct half_format {
    int fraction, bias;
    void (*widen)(const uint16_t *x, float *y, int64_t n);
    void (*narrow)(const float *x, uint16_t *y, int64_t n);
} half_format;

static half_format formats[2];

static void setup(void)
{
    s24i_kernels ref;
    s24i_kernels_ref(&ref);
    formats[0] = (half_format){10, 15, ref.f16_to_f32, ref.f32_to_f16};
    formats[1] = (half_format){7, 127, ref.bf16_to_f32, ref.f32_to_bf16};
}

static uint16_t infinity_of(const half_format *f)
{
    return (uint16_t)(0x7fffu >> f->fraction << f->fraction);
}

/* Of a finite, positive one; that of infinity is the number that would come next. */
static double value_of(const half_format *f, uint16_t h)
{
    int exponent = h >> f->fraction, fraction = h & ((1 << f->fraction) - 1);
    if (exponent == 0)
        return ldexp(fraction, 1 - f->bias - f->fraction);
    return ldexp(fraction + (1 << f->fraction), exponent - f->bias - f->fraction);
}

/* Positive numbers are ordered as their bits: search for the last one not above x, then take the
 * nearer neighbour or the even one. */
static uint16_t nearest(const half_format *f, double x)
{
    uint16_t low = 0, high = infinity_of(f);
    if (x >= value_of(f, high))
        return high;
    while (high - low > 1) {
        uint16_t middle = (uint16_t)((low + high) / 2);
        if (value_of(f, middle) <= x)
            low = middle;
        else
            high = middle;
    }
    double below = x - value_of(f, low), above = value_of(f, high) - x;
    return below < above || (below == above && low % 2 == 0) ? low : high;
}

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void expect_widened(const half_format *f, uint16_t h)
{
    float y;
    f->widen(&h, &y, 1);
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, magnitude = bits_of(y) & 0x7fffffff;
    uint16_t positive = h & 0x7fff;
    uint32_t payload = (uint32_t)(positive & ((1 << f->fraction) - 1)) << (23 - f->fraction);
    uint32_t wanted;
    if (positive > infinity_of(f))
        wanted = 0x7f800000 | 0x400000 | payload;
    else if (positive == infinity_of(f))
        wanted = 0x7f800000;
    else
        wanted = bits_of((float)value_of(f, positive));
    if (magnitude != wanted || (bits_of(y) & 0x80000000) != sign)
        ck_abort_msg("%04x of %d fraction bits: %08x", h, f->fraction, bits_of(y));
}

static void expect_narrowed(const half_format *f, uint32_t bits)
{
    float x = float_of(bits);
    uint16_t h, sign = (uint16_t)(bits >> 16 & 0x8000), wanted;
    f->narrow(&x, &h, 1);
    if (isnan(x)) {
        uint32_t payload = (bits & 0x7fffff) >> (23 - f->fraction);
        wanted = (uint16_t)(infinity_of(f) | 1u << (f->fraction - 1) | payload);
    } else {
        wanted = nearest(f, fabs((double)x));
    }
    if (h != (sign | wanted))
        ck_abort_msg("%08x to %d fraction bits: %04x", bits, f->fraction, h);
}

START_TEST(every_half_widens)
{
    for (int i = 0; i < 2; ++i)
        for (uint32_t h = 0; h < 0x10000; ++h)
            expect_widened(&formats[i], (uint16_t)h);
}
END_TEST

START_TEST(floats_narrow_to_the_nearest)
{
    uint64_t state = 1;
    for (int i = 0; i < 2; ++i)
        for (int round = 0; round < 18; ++round)
            for (uint32_t high = 0; high < 0x10000; ++high)
                expect_narrowed(&formats[i], high << 16 | low_half(round, &state));
}
END_TEST

/* The number half way between neighbours, and the floats next to it. */
START_TEST(ties_go_to_even)
{
    for (int i = 0; i < 2; ++i) {
        const half_format *f = &formats[i];
        for (uint16_t h = 0; h < infinity_of(f); ++h) {
            double middle = (value_of(f, h) + value_of(f, (uint16_t)(h + 1))) / 2;
            uint32_t bits = bits_of((float)middle);
            if ((double)(float)middle != middle)
                continue; /* between the smallest bfloat16 there is no float */
            expect_narrowed(f, bits - (bits > 0));
            expect_narrowed(f, bits);
            expect_narrowed(f, bits + 1);
            expect_narrowed(f, bits | 0x80000000);
        }
    }
}
END_TEST

TCase *conversion_tests(void)
{
    TCase *test = tcase_create("conversions");
    tcase_add_checked_fixture(test, setup, NULL);
    tcase_add_test(test, every_half_widens);
    tcase_add_test(test, floats_narrow_to_the_nearest);
    tcase_add_test(test, ties_go_to_even);
    return test;
}
