/* GGUF's blocks of 256 weights whose codes name a point of a lattice: eight (IQ1, IQ2) or four
 * (IQ3) weights at once, up to their signs. Products are exact in float. */
#include "blocks_grids.h"
#include "blocks.h"
#include "half.h"

enum { BLOCK = S24I_GGUF_LARGE_BLOCK };

static uint32_t word_at(const unsigned char *place)
{
    return (uint32_t)place[0] | (uint32_t)place[1] << 8;
}

static uint32_t double_word_at(const unsigned char *place)
{
    return word_at(place) | word_at(place + 2) << 16;
}

static float half_at(const unsigned char *place)
{
    return s24i_f16_to_f32((uint16_t)word_at(place));
}

/* Seven signs and an eighth that makes the number of minuses even. */
static uint32_t even_signs(uint32_t seven)
{
    uint32_t parity = seven ^ seven >> 4;

    parity ^= parity >> 2;
    parity ^= parity >> 1;
    return seven | (parity & 1) << 7;
}

/* ---- IQ2: values 8, 25 and 43. ---- */

static void put_eight(uint32_t point, uint32_t signs, float scale, float *out)
{
    static const float values[4] = {8, 25, 43, 0}; /* no point has the last */

    for (int k = 0; k < 8; k++) {
        int sign = 1 - 2 * (int)(signs >> k & 1);
        out[k] = scale * values[point >> 2 * k & 3] * (float)sign;
    }
}

static float quarter(float d, uint32_t code)
{
    return d * (0.5f + (float)code) * 0.25f;
}

/* d; for 32 weights four bytes of codes, then four signs and a scale in 32 bits. */
void s24i_decode_iq2_xxs(const unsigned char *block, float *out)
{
    float d = half_at(block);

    for (int s = 0; s < 8; s++) {
        const unsigned char *codes = block + 2 + 8 * s;
        uint32_t word = double_word_at(codes + 4);
        float scale = quarter(d, word >> 28);
        for (int k = 0; k < 4; k++)
            put_eight(s24i_grid_iq2_xxs[codes[k]], even_signs(word >> 7 * k & 127), scale,
                      out + 32 * s + 8 * k);
    }
}

/* d, 32 words of nine bits of code and seven of signs, eight bytes of scales. */
void s24i_decode_iq2_xs(const unsigned char *block, float *out)
{
    float d = half_at(block);

    for (int k = 0; k < 32; k++) {
        uint32_t word = word_at(block + 2 + 2 * k);
        float scale = quarter(d, block[66 + k / 4] >> k % 4 / 2 * 4 & 15);
        put_eight(s24i_grid_iq2_xs[word & 511], even_signs(word >> 9), scale, out + 8 * k);
    }
}

/* d, 32 bytes of codes, 32 of signs, eight of the codes' upper two bits, eight of scales. */
void s24i_decode_iq2_s(const unsigned char *block, float *out)
{
    float d = half_at(block);

    for (int k = 0; k < 32; k++) {
        uint32_t code = block[2 + k] | (uint32_t)(block[66 + k / 4] >> k % 4 * 2 & 3) << 8;
        float scale = quarter(d, block[74 + k / 4] >> k % 4 / 2 * 4 & 15);
        put_eight(s24i_grid_iq2_s[code], block[34 + k], scale, out + 8 * k);
    }
}

/* ---- IQ3: eight values. ---- */

static void put_four(uint32_t point, const float values[8], uint32_t signs, float scale, float *out)
{
    for (int k = 0; k < 4; k++) {
        int sign = 1 - 2 * (int)(signs >> k & 1);
        out[k] = scale * values[point >> 4 * k & 7] * (float)sign;
    }
}

/* d, 64 bytes of codes, then for 32 weights four signs and a scale in 32 bits. */
void s24i_decode_iq3_xxs(const unsigned char *block, float *out)
{
    static const float values[8] = {4, 12, 20, 28, 36, 44, 52, 62};
    float d = half_at(block);

    for (int s = 0; s < 8; s++) {
        uint32_t word = double_word_at(block + 66 + 4 * s);
        float scale = d * (0.5f + (float)(word >> 28)) * 0.5f;
        for (int k = 0; k < 8; k++) {
            uint32_t signs = even_signs(word >> k / 2 * 7 & 127) >> k % 2 * 4;
            put_four(s24i_grid_iq3_xxs[block[2 + 8 * s + k]], values, signs, scale,
                     out + 32 * s + 4 * k);
        }
    }
}

/* d, 64 bytes of codes, eight of their ninth bits, 32 of signs, four of scales. */
void s24i_decode_iq3_s(const unsigned char *block, float *out)
{
    static const float values[8] = {1, 3, 5, 7, 9, 11, 13, 15};
    float d = half_at(block);

    for (int k = 0; k < 64; k++) {
        uint32_t code = block[2 + k] | (uint32_t)(block[66 + k / 8] >> k % 8 & 1) << 8;
        int scale = 1 + 2 * (block[106 + k / 16] >> k % 16 / 8 * 4 & 15);
        put_four(s24i_grid_iq3_s[code], values, block[74 + k / 2] >> k % 2 * 4, d * (float)scale,
                 out + 4 * k);
    }
}

/* ---- IQ1: -1, 0 and 1, moved by an eighth. ---- */

static void put_moved(uint32_t point, bool down, float scale, float *out)
{
    float shift = down ? -0.125f : 0.125f;

    for (int k = 0; k < 8; k++)
        out[k] = scale * ((float)(int)(point >> 2 * k & 3) - 1 + shift);
}

/* d, 32 bytes of codes, then for 32 weights a word: upper three bits of four codes, a scale, the
 * direction. */
void s24i_decode_iq1_s(const unsigned char *block, float *out)
{
    float d = half_at(block);

    for (int k = 0; k < BLOCK / 8; k++) {
        uint32_t word = word_at(block + 34 + k / 4 * 2);
        uint32_t code = block[2 + k] | (word >> k % 4 * 3 & 7) << 8;
        float scale = d * (float)(2 * (word >> 12 & 7) + 1);
        put_moved(s24i_grid_iq1[code], word >> 15, scale, out + 8 * k);
    }
}

/* 32 bytes of codes, 16 of halves with their upper three bits and a direction, four words of four
 * scales and a quarter of d. */
void s24i_decode_iq1_m(const unsigned char *block, float *out)
{
    const unsigned char *scales = block + 48;
    uint32_t bits = 0;

    for (int i = 0; i < 4; i++)
        bits |= (word_at(scales + 2 * i) >> 12) << 4 * i;
    float d = s24i_f16_to_f32((uint16_t)bits);
    for (int k = 0; k < BLOCK / 8; k++) {
        uint32_t upper = block[32 + k / 2] >> k % 2 * 4 & 15;
        uint32_t code = block[k] | (upper & 7) << 8;
        uint32_t scale = word_at(scales + k / 8 * 2) >> k % 8 / 2 * 3 & 7;
        put_moved(s24i_grid_iq1[code], upper >> 3, d * (float)(2 * scale + 1), out + 8 * k);
    }
}
