#include "packing.h"
#include <math.h>
#include <string.h>

/* ---- Numbers that lie at any address. ---- */

/* 2^(e - 127), the value of E8M0. */
static float power(unsigned char e)
{
    uint32_t bits = e ? (uint32_t)e << 23 : 0x00400000;
    float value;

    memcpy(&value, &bits, sizeof value);
    return e == 255 ? NAN : value;
}

static float float_at(const s24i_tensor *t, int64_t index)
{
    const unsigned char *place = t->data + index * (t->element->bits / 8);

    return t->element->dtype ? (float)s24i_load(t->element->dtype, place) : power(*place);
}

static uint32_t word_at(const s24i_tensor *t, int64_t index)
{
    uint32_t word;

    memcpy(&word, t->data + 4 * index, sizeof word); /* little-endian */
    return word;
}

static int32_t integer_at(const s24i_tensor *t, int64_t index)
{
    return t->element->dtype == S24_I8 ? (int8_t)t->data[index] : (int32_t)word_at(t, index);
}

static int64_t group_of(const s24i_packing *p, int64_t col)
{
    return p->groups.data ? integer_at(&p->groups, col) : col / p->col_block;
}

/* ---- Codes in rows. ---- */

static float e4m3(int code)
{
    int exponent = code >> 3 & 15, fraction = code & 7;
    float value =
        exponent ? ldexpf((float)(8 + fraction), exponent - 10) : ldexpf((float)fraction, -9);

    value = (code & 127) == 127 ? NAN : value;
    return code & 128 ? -value : value;
}

static float e5m2(int code)
{
    return s24i_f16_to_f32((uint16_t)(code << 8));
}

/* What each code stands for. */
static void fill_values(const s24i_packing *p, float values[256])
{
    int32_t dtype = p->codes.element->dtype;

    for (int code = 0; code < 1 << p->bits; code++)
        values[code] = dtype == S24_E4M3FN ? e4m3(code)
                       : dtype == S24_E5M2 ? e5m2(code)
                       : dtype == S24_I8   ? (float)(int8_t)code
                                           : (float)(code - (1 << (p->bits - 1)));
}

/* A zero per scale: as integers, or packed along the rows. */
static float row_zero(const s24i_packing *p, int64_t scale_row, int64_t group)
{
    int64_t at = scale_row * p->bits;

    if (!p->zeros.data)
        return 0;
    if (p->zeros.element->dtype == S24_I8)
        return (float)integer_at(&p->zeros, scale_row * p->scale_cols + group);
    uint32_t word = word_at(&p->zeros, at / 32 * p->scale_cols + group);
    return (float)((int)(word >> at % 32 & ((1u << p->bits) - 1)) - (1 << (p->bits - 1)));
}

static void decode_row(const s24i_packing *p, int64_t row, const float values[256], float *out)
{
    int64_t bytes =
        p->codes.element->dtype == S24_I32 ? (p->cols * p->bits + 31) / 32 * 4 : p->cols;
    const unsigned char *codes = p->codes.data + row * bytes;
    int64_t scale_row = row % p->rows / p->row_block, group = -1;
    int64_t first = row / p->rows * p->matrix_scales + scale_row * p->scale_cols;
    float scale = 0, zero = 0;
    int mask = (1 << p->bits) - 1;

    for (int64_t j = 0; j < p->cols; j++) {
        int64_t at = j * p->bits, now = group_of(p, j);
        if (now != group) {
            group = now;
            scale = float_at(&p->scales, first + group);
            zero = row_zero(p, scale_row, group);
        }
        out[j] = (values[codes[at / 8] >> at % 8 & mask] - zero) * scale;
    }
}

void s24i_decode_rows(const s24i_packing *p, int64_t first, int64_t count, float *out,
                      int64_t stride)
{
    float values[256];

    fill_values(p, values);
    for (int64_t i = 0; i < count; i++)
        decode_row(p, first + i, values, out + i * stride);
}

/* ---- GPTQ. ---- */

/* Code `index` of those that follow each other down column `col` of a matrix of words. */
static int code_down(const s24i_tensor *words, int64_t width, int64_t col, int64_t index, int bits)
{
    int64_t at = index * bits, word = at / 32;
    uint64_t both = word_at(words, word * width + col);

    if (at % 32 + bits > 32)
        both |= (uint64_t)word_at(words, (word + 1) * width + col) << 32;
    return (int)(both >> at % 32 & ((1u << bits) - 1));
}

/* The same along a row. Version 1 has each zero less one. Its readers add one to each of a word's
 * codes at once, so that a carry restores what the writers' borrow has taken. */
static int gptq_zero(const s24i_packing *p, int64_t group, int64_t output)
{
    int64_t width = (p->rows * p->bits + 31) / 32, at = output * p->bits;
    int64_t place = group * width + at / 32;
    uint32_t ones = UINT32_MAX / ((1u << p->bits) - 1), mask = (1u << p->bits) - 1;
    uint64_t word = word_at(&p->zeros, place);

    if (32 % p->bits == 0)
        return (int)((uint32_t)(word + (p->plus_one ? ones : 0)) >> at % 32 & mask);
    if (at % 32 + p->bits > 32)
        word |= (uint64_t)word_at(&p->zeros, place + 1) << 32;
    return (int)(((word >> at % 32) + p->plus_one) & mask);
}

void s24i_decode_gptq(const s24i_packing *p, int64_t first, int64_t count, float *out,
                      int64_t stride)
{
    float scale[S24I_DECODED_ROWS] = {0};
    int zero[S24I_DECODED_ROWS] = {0};
    int64_t group = -1;

    for (int64_t j = 0; j < p->cols; j++) {
        int64_t now = group_of(p, j);
        for (int64_t i = 0; i < count && now != group; i++) {
            scale[i] = float_at(&p->scales, now * p->rows + first + i);
            zero[i] = gptq_zero(p, now, first + i);
        }
        group = now;
        for (int64_t i = 0; i < count; i++) {
            int code = code_down(&p->codes, p->rows, first + i, j, p->bits);
            out[i * stride + j] = (float)(code - zero[i]) * scale[i];
        }
    }
}

/* ---- MXFP4. ---- */

void s24i_decode_mxfp4_turned(const s24i_packing *p, int64_t first, int64_t count, float *out,
                              int64_t stride)
{
    static const float values[16] = {0,   0.5f,  1,  1.5f,  2,  3,  4,  6,
                                     -0., -0.5f, -1, -1.5f, -2, -3, -4, -6};
    int64_t blocks = p->rows / 32;

    for (int64_t i = 0; i < count; i++) {
        int64_t matrix = (first + i) / p->rows, input = (first + i) % p->rows;
        for (int64_t j = 0; j < p->cols; j++) {
            int64_t block = (matrix * p->cols + j) * blocks + input / 32;
            int pair = p->codes.data[block * 16 + input % 32 / 2];
            float scale = power(p->scales.data[block]);
            out[i * stride + j] = values[input % 2 ? pair >> 4 : pair & 15] * scale;
        }
    }
}
