/* lib/base/blocks.c and blocks_encode.c: GGUF's blocks against their description, both ways. */
#include "../unit.h"
#include "base/element.h"
#include "base/half.h"
#include "bytes.h"
#include <math.h>
#include <stdio.h>

static bytes block_bytes;

/* A half by its definition. */
static double half_value(const unsigned char *b)
{
    int bits = b[0] | b[1] << 8, exponent = bits >> 10 & 31, fraction = bits & 1023;
    double value = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);

    return bits & 0x8000 ? -value : value;
}

/* Weight j of a block, from the format's description, in double and one rounding to float. */
static float block_value(uint32_t type, const unsigned char *b, int j)
{
    double d = half_value(b);
    int low = j < 16, k = j % 16;

    if (type == 8)
        return (float)(d * (b[2 + j] < 128 ? b[2 + j] : b[2 + j] - 256));
    const unsigned char *codes = b + (type == 2 ? 2 : type == 3 ? 4 : type == 6 ? 6 : 8);
    int code = low ? codes[k] % 16 : codes[k] / 16;
    if (type == 6 || type == 7) {
        const unsigned char *high = b + (type == 6 ? 2 : 4);
        code += 16 * (high[j / 8] >> j % 8 & 1);
    }
    if (type == 2 || type == 6)
        return (float)(d * (code - (type == 2 ? 8 : 16)));
    return (float)(d * code + half_value(b + 2));
}

static const struct {
    uint32_t type, bytes;
    const char *name;
    bool written;
} block_types[] = {{2, 18, "Q4_0", true},
                   {3, 20, "Q4_1", true},
                   {6, 22, "Q5_0", false},
                   {7, 24, "Q5_1", false},
                   {8, 34, "Q8_0", true}};

START_TEST(blocks_decode)
{
    uint32_t type = block_types[_i].type, size = block_types[_i].bytes;
    const s24i_element *element = s24i_element_by_gguf(type);
    float out[32];

    ck_assert_str_eq(element->name, block_types[_i].name);
    ck_assert(element->bits == 8 * (int)size && element->block == 32);
    for (uint32_t round = 0; round < 2000; round++) {
        block_bytes.size = 0;
        put_noise(&block_bytes, size, round);
        for (int i = 1; i < 4; i += 2)
            block_bytes.at[i] &= 0xbf; /* halves below 2: finite, some subnormal */
        element->decode(block_bytes.at, out);
        for (int j = 0; j < 32; j++)
            unit_check(out[j] == block_value(type, block_bytes.at, j));
    }
}
END_TEST

/* The reference quantisers, from their description. */
static void reference_block(uint32_t type, const float *x, int codes[32], float *d, float *m)
{
    float top = 0, low = x[0], high = x[0];

    for (int j = 0; j < 32; j++) {
        top = fabsf(x[j]) > fabsf(top) ? x[j] : top;
        low = fminf(low, x[j]);
        high = fmaxf(high, x[j]);
    }
    *m = type == 3 ? low : 0;
    *d = type == 8 ? fabsf(top) / 127 : type == 2 ? top / -8 : (high - low) / 15;
    float inverse = *d != 0 ? 1 / *d : 0;
    for (int j = 0; j < 32; j++) {
        if (type == 8)
            codes[j] = (int)roundf(x[j] * inverse);
        else if (type == 2)
            codes[j] = (int)(x[j] * inverse + 8.5f);
        else
            codes[j] = (int)((x[j] - low) * inverse + 0.5f);
        if (type != 8 && codes[j] > 15)
            codes[j] = 15;
    }
}

static float noise(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(int32_t)*seed / 2147483648.0f;
}

START_TEST(values_encode_as_the_reference_does)
{
    uint32_t type = block_types[_i].type, seed = 5;
    const s24i_element *element = s24i_element_by_gguf(type);
    unsigned char block[34];
    float x[32], d, m;
    int codes[32];

    if (!block_types[_i].written) {
        ck_assert(!element->encode);
        return;
    }
    for (int round = 0; round < 2000; round++) {
        for (int j = 0; j < 32; j++)
            x[j] = noise(&seed) * ldexpf(1, round % 20 - 10) + (float)(round % 3);
        reference_block(type, x, codes, &d, &m);
        ck_assert(element->encode(x, block));
        uint16_t half = s24i_f32_to_f16(d), offset = s24i_f32_to_f16(m);
        unit_check(!memcmp(block, &half, 2));
        unit_check(type != 3 || !memcmp(block + 2, &offset, 2));
        for (int j = 0; j < 32; j++) {
            int at = type == 3 ? 4 : 2, k = j % 16;
            int got = type == 8 ? (int8_t)block[at + j]
                                : (j < 16 ? block[at + k] & 15 : block[at + k] >> 4);
            unit_check(got == codes[j]);
        }
    }
}
END_TEST

/* What a block holds comes back bit by bit, whichever codes it uses; pruned values as zeros. */
START_TEST(values_on_a_grid_come_back)
{
    uint32_t type = block_types[_i].type, size = block_types[_i].bytes, seed = 9;
    const s24i_element *element = s24i_element_by_gguf(type);
    unsigned char block[34];
    float x[32], y[32];

    for (uint32_t round = 0; round < 4000 && element->encode; round++) {
        block_bytes.size = 0;
        put_noise(&block_bytes, size, round * 77 + 1);
        unsigned char *b = block_bytes.at;
        b[1] = (unsigned char)((b[1] & 0x83) | 0x28); /* |d| in 2^-5 .. 2^-4, both signs */
        b[3] = type == 3 ? (unsigned char)((b[3] & 0xbf) | 0x20) : b[3];
        int narrow = (int)(round % 16); /* use few codes only */
        for (uint32_t i = type == 3 ? 4 : 2; i < size && narrow; i++)
            b[i] = type == 8 ? (unsigned char)(int8_t)((int8_t)b[i] / (1 << narrow % 7))
                             : (unsigned char)((b[i] & 15) % narrow | (b[i] >> 4) % narrow << 4);
        element->decode(b, x);
        if (round % 2 && type != 3) {
            for (int j = 0; j < 32; j++)
                x[j] = noise(&seed) < 0 ? 0 : x[j];
        }
        bool constant = true;
        for (int j = 1; j < 32; j++)
            constant &= x[j] == x[0];
        ck_assert(element->encode(x, block));
        element->decode(block, y);
        for (int j = 0; j < 32; j++)
            ck_assert_msg(y[j] == x[j] || constant, "round %u, %d: %a is %a", round, j, x[j], y[j]);
        if (round % 2 == 0 && !constant)
            unit_check(!memcmp(x, y, sizeof x));
    }
}
END_TEST

START_TEST(blocks_at_the_edge)
{
    static const float zeros[32];
    float x[32] = {0}, y[32];
    unsigned char block[34];
    const s24i_element *element = s24i_element_by_gguf(block_types[_i].type);

    if (!element->encode)
        return;
    ck_assert(element->encode(zeros, block));
    element->decode(block, y);
    ck_assert_mem_eq(y, zeros, sizeof zeros);
    x[7] = 1e30f;
    ck_assert(!element->encode(x, block));
    x[7] = -3.4e38f;
    x[8] = 3.4e38f;
    ck_assert(!element->encode(x, block));
    x[7] = x[8] = 1e-40f;
    ck_assert(element->encode(x, block));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("blocks");
    TCase *all = tcase_create("blocks");
    enum { TYPES = sizeof block_types / sizeof *block_types };

    tcase_add_loop_test(all, blocks_decode, 0, TYPES);
    tcase_add_loop_test(all, values_encode_as_the_reference_does, 0, TYPES);
    tcase_add_loop_test(all, values_on_a_grid_come_back, 0, TYPES);
    tcase_add_loop_test(all, blocks_at_the_edge, 0, TYPES);
    suite_add_tcase(suite, all);
    return unit_run(suite);
}
