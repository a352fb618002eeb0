/* GGUF's block types of 32 weights: little-endian half scales, then codes; byte j of the codes
 * holds weight j in its low four bits and weight j + 16 in its high ones. A code times a scale has
 * at most 19 significant bits, so products are exact in float. */
#include "blocks.h"
#include "half.h"
#include <string.h>

enum { HALF = S24I_GGUF_BLOCK / 2 };

static float half_at(const unsigned char *place)
{
    return s24i_f16_to_f32((uint16_t)(place[0] | place[1] << 8));
}

/* The fifth bits of 32 codes. */
static uint32_t high_bits(const unsigned char *place)
{
    return (uint32_t)place[0] | (uint32_t)place[1] << 8 | (uint32_t)place[2] << 16 |
           (uint32_t)place[3] << 24;
}

/* out = (code + shift) d + m, codes of four low bits and perhaps a fifth. */
static void decode(const unsigned char *codes, uint32_t high, int shift, float d, float m,
                   float *out)
{
    for (int j = 0; j < HALF; j++) {
        int low = (codes[j] & 15) | (int)(high >> j & 1) << 4;
        int top = codes[j] >> 4 | (int)(high >> (j + HALF) & 1) << 4;
        out[j] = (float)(low + shift) * d + m;
        out[j + HALF] = (float)(top + shift) * d + m;
    }
}

/* Adding -0 changes nothing, not even a sign. */
void s24i_decode_q4_0(const unsigned char *block, float *out)
{
    decode(block + 2, 0, -8, half_at(block), -0.0f, out);
}

void s24i_decode_q4_1(const unsigned char *block, float *out)
{
    decode(block + 4, 0, 0, half_at(block), half_at(block + 2), out);
}

void s24i_decode_q5_0(const unsigned char *block, float *out)
{
    decode(block + 6, high_bits(block + 2), -16, half_at(block), -0.0f, out);
}

void s24i_decode_q5_1(const unsigned char *block, float *out)
{
    decode(block + 8, high_bits(block + 4), 0, half_at(block), half_at(block + 2), out);
}

void s24i_decode_q8_0(const unsigned char *block, float *out)
{
    float d = half_at(block);

    for (int j = 0; j < S24I_GGUF_BLOCK; j++)
        out[j] = (float)(int8_t)block[2 + j] * d;
}
