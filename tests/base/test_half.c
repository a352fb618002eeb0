/* lib/base/half.c: every value, and both sides of every rounding boundary. */
#include "../unit.h"
#include "base/half.h"
#include <math.h>

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

/* By the definition of the format. */
static double value_of(uint16_t h, int exponent_bits)
{
    int fraction_bits = 15 - exponent_bits, bias = (1 << (exponent_bits - 1)) - 1;
    int exponent = (h & 0x7fff) >> fraction_bits, fraction = h & ((1 << fraction_bits) - 1);
    double magnitude = exponent
                           ? ldexp((1 << fraction_bits) + fraction, exponent - bias - fraction_bits)
                           : ldexp(fraction, 1 - bias - fraction_bits);

    return h & 0x8000 ? -magnitude : magnitude;
}

typedef struct format {
    int exponent_bits;
    uint16_t infinity, quiet;
    float (*widen)(uint16_t h);
    uint16_t (*narrow)(float f);
} format;

static const format formats[] = {
    {5, 0x7c00, 0x200, s24i_f16_to_f32, s24i_f32_to_f16},
    {8, 0x7f80, 0x40, s24i_bf16_to_f32, s24i_f32_to_bf16},
};

START_TEST(half_every_value)
{
    const format *f = &formats[_i];

    for (uint32_t h = 0; h < 0x10000; h++) {
        uint32_t magnitude = h & 0x7fff;
        float wide = f->widen((uint16_t)h);
        unit_check(bits_of(wide) >> 31 == (h >> 15));
        if (magnitude < f->infinity)
            unit_check(wide == value_of((uint16_t)h, f->exponent_bits));
        else if (magnitude == f->infinity)
            unit_check(isinf(wide));
        else
            unit_check(isnan(wide) && (bits_of(wide) & 0x400000));
        unit_check(f->narrow(wide) == (magnitude > f->infinity ? h | f->quiet : h));
    }
}
END_TEST

START_TEST(half_every_boundary)
{
    const format *f = &formats[_i];
    int fraction_bits = 15 - f->exponent_bits;

    for (uint16_t h = 0; h < f->infinity; h++) {
        int exponent = h >> fraction_bits ? h >> fraction_bits : 1;
        double ulp = ldexp(1, exponent - (1 << (f->exponent_bits - 1)) + 1 - fraction_bits);
        double middle = value_of(h, f->exponent_bits) + ulp / 2;
        uint16_t even = h & 1 ? h + 1 : h;
        for (int sign = 0; sign < 2; sign++) {
            float m = (float)(sign ? -middle : middle);
            uint16_t s = (uint16_t)(sign << 15);
            unit_check((double)m == (sign ? -middle : middle));
            unit_check(f->narrow(m) == (s | even));
            unit_check(f->narrow(nextafterf(m, 0)) == (s | h));
            unit_check(f->narrow(nextafterf(m, sign ? -INFINITY : INFINITY)) == (s | (h + 1)));
        }
    }
    ck_assert_uint_eq(f->narrow(0x1.fffffep127f), f->infinity);
    ck_assert_uint_eq(f->narrow(INFINITY), f->infinity);
    ck_assert_uint_eq(f->narrow(-INFINITY), 0x8000 | f->infinity);
}
END_TEST

START_TEST(half_nan_payloads)
{
    ck_assert_uint_eq(s24i_f32_to_f16(float_of(0x7f800001)), 0x7e00);
    ck_assert_uint_eq(s24i_f32_to_f16(float_of(0xffa02000)), 0xff01);
    ck_assert_uint_eq(s24i_f32_to_bf16(float_of(0x7f800001)), 0x7fc0);
    ck_assert_uint_eq(s24i_f32_to_bf16(float_of(0xffa1ffff)), 0xffe1);
    ck_assert_uint_eq(s24i_f32_to_bf16(float_of(0xffffffff)), 0xffff);
}
END_TEST

START_TEST(half_from_double_rounds_once)
{
    const format *f = &formats[_i];

    for (uint16_t h = 0; h < f->infinity; h++) {
        float v = f->widen(h);
        double next = h + 1 < f->infinity ? f->widen(h + 1) : 2.0 * v - f->widen(h - 1);
        double middle = (v + next) / 2;
        unit_check(f->narrow(s24i_f64_to_f32_odd(middle)) == (h & 1 ? h + 1 : h));
        unit_check(f->narrow(s24i_f64_to_f32_odd(nextafter(middle, 0))) == h);
        unit_check(f->narrow(s24i_f64_to_f32_odd(nextafter(middle, INFINITY))) == (h + 1));
        unit_check(f->narrow(s24i_f64_to_f32_odd(-nextafter(middle, 0))) == (0x8000 | h));
    }
    ck_assert_uint_eq(f->narrow(s24i_f64_to_f32_odd(1e300)), f->infinity);
    ck_assert_uint_eq(f->narrow(s24i_f64_to_f32_odd(-1e-300)), 0x8000);
    ck_assert(isnan(s24i_f64_to_f32_odd(NAN)));
    ck_assert(s24i_f64_to_f32_odd(0.1f) == 0.1f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("half");
    TCase *half = tcase_create("half");

    tcase_add_loop_test(half, half_every_value, 0, 2);
    tcase_add_loop_test(half, half_every_boundary, 0, 2);
    tcase_add_loop_test(half, half_from_double_rounds_once, 0, 2);
    tcase_add_test(half, half_nan_payloads);
    suite_add_tcase(suite, half);
    return unit_run(suite);
}
