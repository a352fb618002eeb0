/* GGUF's blocks of 256 weights: K-quants, whose scales are small codes under one or two halves, and
 * the ternary types. A scale times a code has at most 24 significant bits, so products are exact in
 * float; only a minimum that is subtracted rounds. */
#include "blocks.h"
#include "half.h"

enum { BLOCK = S24I_GGUF_LARGE_BLOCK };

static float half_at(const unsigned char *place)
{
    return s24i_f16_to_f32((uint16_t)(place[0] | place[1] << 8));
}

/* ---- Codes and minima: Q2_K, Q4_K, Q5_K. ---- */

/* 16 scales (low four bits) and minima, 64 bytes of 2-bit codes, d, dmin. A shift of 32 bytes holds
 * the codes of 32 weights that follow each other. */
void s24i_decode_q2_k(const unsigned char *block, float *out)
{
    float d = half_at(block + 80), least = half_at(block + 82);

    for (int s = 0; s < 16; s++) {
        const unsigned char *codes = block + 16 + s / 8 * 32 + s % 2 * 16;
        float scale = d * (float)(block[s] & 15), minimum = least * (float)(block[s] >> 4);
        int shift = s % 8 / 2 * 2;
        for (int j = 0; j < 16; j++)
            out[16 * s + j] = scale * (float)(codes[j] >> shift & 3) - minimum;
    }
}

/* The six bits of scale and of minimum `s` out of 12 bytes: four bits of the last four pairs lie
 * apart from the upper two. */
static void scale_and_minimum(const unsigned char *packed, int s, int *scale, int *minimum)
{
    if (s < 4) {
        *scale = packed[s] & 63;
        *minimum = packed[s + 4] & 63;
    } else {
        *scale = (packed[s + 4] & 15) | packed[s - 4] >> 6 << 4;
        *minimum = packed[s + 4] >> 4 | packed[s] >> 6 << 4;
    }
}

/* d, dmin, 12 bytes of scales and minima, perhaps 32 of fifth bits, 128 of codes: 32 weights are
 * the low halves of 32 bytes, the next ones their high halves. */
void s24i_decode_q4_k(const unsigned char *block, float *out)
{
    float d = half_at(block), least = half_at(block + 2);

    for (int s = 0; s < 8; s++) {
        const unsigned char *codes = block + 16 + s / 2 * 32;
        int code, lowest, shift = s % 2 * 4;
        scale_and_minimum(block + 4, s, &code, &lowest);
        float scale = d * (float)code, minimum = least * (float)lowest;
        for (int j = 0; j < 32; j++)
            out[32 * s + j] = scale * (float)(codes[j] >> shift & 15) - minimum;
    }
}

void s24i_decode_q5_k(const unsigned char *block, float *out)
{
    const unsigned char *fifth = block + 16;
    float d = half_at(block), least = half_at(block + 2);

    for (int s = 0; s < 8; s++) {
        const unsigned char *codes = block + 48 + s / 2 * 32;
        int code, lowest, shift = s % 2 * 4;
        scale_and_minimum(block + 4, s, &code, &lowest);
        float scale = d * (float)code, minimum = least * (float)lowest;
        for (int j = 0; j < 32; j++) {
            int q = (codes[j] >> shift & 15) | (fifth[j] >> s & 1) << 4;
            out[32 * s + j] = scale * (float)q - minimum;
        }
    }
}

/* ---- Signed codes: Q3_K, Q6_K. ---- */

/* 32 bytes of third bits (0: four less), 64 of 2-bit codes, 12 of 16 scales of six bits, d. */
void s24i_decode_q3_k(const unsigned char *block, float *out)
{
    const unsigned char *packed = block + 96;
    float d = half_at(block + 108);

    for (int s = 0; s < 16; s++) {
        const unsigned char *third = block + s % 2 * 16;
        const unsigned char *codes = block + 32 + s / 8 * 32 + s % 2 * 16;
        int low = packed[s % 8] >> s / 8 * 4 & 15, high = packed[8 + s % 4] >> s / 4 * 2 & 3;
        float scale = d * (float)((low | high << 4) - 32);
        int shift = s % 8 / 2 * 2, bit = s / 2;
        for (int j = 0; j < 16; j++) {
            int q = (codes[j] >> shift & 3) | (third[j] >> bit & 1) << 2;
            out[16 * s + j] = scale * (float)(q - 4);
        }
    }
}

/* 128 bytes of low halves, 64 of upper two bits, 16 signed scales, d. */
void s24i_decode_q6_k(const unsigned char *block, float *out)
{
    float d = half_at(block + 208);

    for (int s = 0; s < 16; s++) {
        int half = s / 8, part = s % 8 / 2;
        const unsigned char *low = block + half * 64 + part % 2 * 32 + s % 2 * 16;
        const unsigned char *high = block + 128 + half * 32 + s % 2 * 16;
        float scale = d * (float)(int8_t)block[192 + s];
        int shift = part / 2 * 4, upper = part * 2;
        for (int j = 0; j < 16; j++) {
            int q = (low[j] >> shift & 15) | (high[j] >> upper & 3) << 4;
            out[16 * s + j] = scale * (float)(q - 32);
        }
    }
}

/* ---- Ternary: -d, 0, d. ---- */

/* Byte b is the fraction b / 256 of five digits to the base 3, the first digit foremost. */
static void ternary(const unsigned char *bytes, int count, int digits, float d, float *out)
{
    static const unsigned char powers[5] = {1, 3, 9, 27, 81};

    for (int n = 0; n < digits; n++) {
        for (int j = 0; j < count; j++) {
            unsigned char rest = (unsigned char)(bytes[j] * powers[n]);
            out[n * count + j] = d * (float)((rest * 3 >> 8) - 1);
        }
    }
}

void s24i_decode_tq1_0(const unsigned char *block, float *out)
{
    float d = half_at(block + 52);

    ternary(block, 32, 5, d, out);
    ternary(block + 32, 16, 5, d, out + 160);
    ternary(block + 48, 4, 4, d, out + 240);
}

void s24i_decode_tq2_0(const unsigned char *block, float *out)
{
    float d = half_at(block + 64);

    for (int s = 0; s < BLOCK / 32; s++) {
        const unsigned char *codes = block + s / 4 * 32;
        int shift = s % 4 * 2;
        for (int j = 0; j < 32; j++)
            out[32 * s + j] = d * (float)((codes[j] >> shift & 3) - 1);
    }
}
