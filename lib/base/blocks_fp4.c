/* GGUF's blocks whose codes name one of 16 values: those of a 4-bit float (MXFP4, NVFP4), or of a
 * table (IQ4_NL, IQ4_XS). */
#include "blocks.h"
#include "half.h"
#include <string.h>

/* Twice the values of E2M1; and what IQ4 has instead. */
static const int8_t fp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
static const int8_t iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                      1,    13,   25,  38,  53,  69,  89,  113};

/* `count` low halves of bytes, then their high ones. */
static void decode(const unsigned char *codes, int count, const int8_t *values, float scale,
                   float *out)
{
    for (int j = 0; j < count; j++) {
        out[j] = scale * (float)values[codes[j] & 15];
        out[j + count] = scale * (float)values[codes[j] >> 4];
    }
}

static float half_at(const unsigned char *place)
{
    return s24i_f16_to_f32((uint16_t)(place[0] | place[1] << 8));
}

/* 2^(e - 128), half of E8M0's value. */
static float power(unsigned char e)
{
    uint32_t bits = e < 2 ? (uint32_t)0x00200000 << e : (uint32_t)(e - 1) << 23;
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

void s24i_decode_mxfp4(const unsigned char *block, float *out)
{
    decode(block + 1, 16, fp4_values, power(block[0]), out);
}

/* Half the value of an unsigned E4M3, whose NaN is 0; its first bit is of no account. */
static float small_scale(unsigned char code)
{
    int exponent = code >> 3 & 15, fraction = code & 7;

    if (code == 0x7f)
        return 0;
    if (!exponent)
        return (float)fraction / 1024;
    return (float)(8 + fraction) * (float)(1 << exponent) / 2048;
}

/* Four scales, then 16 weights under each. */
void s24i_decode_nvfp4(const unsigned char *block, float *out)
{
    for (int s = 0; s < 4; s++)
        decode(block + 4 + 8 * s, 8, fp4_values, small_scale(block[s]), out + 16 * s);
}

void s24i_decode_iq4_nl(const unsigned char *block, float *out)
{
    decode(block + 2, 16, iq4_values, half_at(block), out);
}

/* d, two upper bits of eight scales, their low halves, 32 weights under each. */
void s24i_decode_iq4_xs(const unsigned char *block, float *out)
{
    float d = half_at(block);
    int upper = block[2] | block[3] << 8;

    for (int s = 0; s < 8; s++) {
        int scale = (block[4 + s / 2] >> s % 2 * 4 & 15) | (upper >> 2 * s & 3) << 4;
        decode(block + 8 + 16 * s, 16, iq4_values, d * (float)(scale - 32), out + 32 * s);
    }
}
