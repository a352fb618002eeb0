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

/* Columns [from, to), which share scale and zero. */
static void decode_run(const s24i_packing *p, const unsigned char *codes, const float values[256],
                       float zero, float scale, int64_t from, int64_t to, float *out)
{
    int bits = p->bits, mask = (1 << bits) - 1;
    float few[16];

    if (bits == 8) {
        for (int64_t j = from; j < to; j++)
            out[j] = (values[codes[j]] - zero) * scale;
        return;
    }
    for (int code = 0; code <= mask; code++)
        few[code] = (values[code] - zero) * scale;
    for (int64_t j = from; j < to; j++) {
        uint64_t at = (uint64_t)(j * bits);
        out[j] = few[codes[at / 8] >> at % 8 & mask];
    }
}

/* Behind the last of the columns from `col` that share its group. */
static int64_t run_end(const s24i_packing *p, int64_t col, int64_t group)
{
    int64_t end = col + 1;

    if (!p->groups.data)
        end = (group + 1) * p->col_block;
    while (p->groups.data && end < p->cols && integer_at(&p->groups, end) == group)
        end++;
    return end < p->cols ? end : p->cols;
}

static void decode_row(const s24i_packing *p, int64_t row, const float values[256], float *out)
{
    bool packed = p->codes.element->dtype == S24_I32;
    int64_t bytes = packed ? (p->cols * p->bits + 31) / 32 * 4 : p->cols;
    int64_t scale_row = row % p->rows / p->row_block;
    int64_t first = row / p->rows * p->matrix_scales + scale_row * p->scale_cols;

    for (int64_t j = 0, end; j < p->cols; j = end) {
        int64_t group = group_of(p, j);
        end = run_end(p, j, group);
        decode_run(p, p->codes.data + row * bytes, values, row_zero(p, scale_row, group),
                   float_at(&p->scales, first + group), j, end, out);
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

/* Zeros follow each other along a row. Version 1 has each less one. Its readers add one to each of
 * a word's codes at once, so that a carry restores what the writers' borrow has taken. */
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

enum { SLOTS = 64, CHUNK = 32 };

/* Of a group, what a strip of outputs has. */
typedef struct strip {
    int64_t group; /* -1: none yet */
    float scale[S24I_DECODED_ROWS];
    int zero[S24I_DECODED_ROWS];
} strip;

/* By output and input of a chunk. */
typedef struct chunk {
    float scale[S24I_DECODED_ROWS][CHUNK];
    int zero[S24I_DECODED_ROWS][CHUNK];
} chunk;

/* Of `count` inputs from `col` on. Inputs in an order of their own meet a group often: `recent` has
 * the last one for each remainder. */
static void find_strips(const s24i_packing *p, int64_t first, int64_t rows, int64_t col,
                        int64_t count, strip recent[SLOTS], chunk *found)
{
    for (int64_t k = 0; k < count; k++) {
        int64_t group = group_of(p, col + k);
        strip *s = &recent[group % SLOTS];
        for (int64_t i = 0; i < rows && s->group != group; i++) {
            s->scale[i] = float_at(&p->scales, group * p->rows + first + i);
            s->zero[i] = gptq_zero(p, group, first + i);
        }
        s->group = group;
        for (int64_t i = 0; i < rows; i++) {
            found->scale[i][k] = s->scale[i];
            found->zero[i][k] = s->zero[i];
        }
    }
}

/* `count` codes of one output from input `col` on: they begin with a word, and are whole words. */
static void decode_chunk(const s24i_packing *p, int64_t output, int64_t col, int64_t count,
                         int codes[CHUNK])
{
    uint32_t words[CHUNK / 4 + 1] = {0}, mask = (1u << p->bits) - 1;

    for (int64_t i = 0; i < count * p->bits / 32; i++)
        words[i] = word_at(&p->codes, (col * p->bits / 32 + i) * p->rows + output);
    for (int64_t k = 0; k < count; k++) {
        uint64_t at = (uint64_t)(k * p->bits), word = at / 32;
        uint64_t both = words[word] | (uint64_t)words[word + 1] << 32;
        codes[k] = (int)(both >> at % 32 & mask);
    }
}

void s24i_decode_gptq(const s24i_packing *p, int64_t first, int64_t count, float *out,
                      int64_t stride)
{
    strip recent[SLOTS];
    chunk found;
    int codes[CHUNK];

    for (int slot = 0; slot < SLOTS; slot++)
        recent[slot].group = -1;
    for (int64_t j = 0; j < p->cols; j += CHUNK) {
        int64_t left = p->cols - j, width = left < CHUNK ? left : CHUNK;
        find_strips(p, first, count, j, width, recent, &found);
        for (int64_t i = 0; i < count; i++) {
            float *row = out + i * stride + j;
            decode_chunk(p, first + i, j, width, codes);
            for (int64_t k = 0; k < width; k++)
                row[k] = (float)(codes[k] - found.zero[i][k]) * found.scale[i][k];
        }
    }
}

/* ---- MXFP4. ---- */

void s24i_decode_mxfp4_turned(const s24i_packing *p, int64_t first, int64_t count, float *out,
                              int64_t stride)
{
    static const float values[16] = {0,   0.5f,  1,  1.5f,  2,  3,  4,  6,
                                     -0., -0.5f, -1, -1.5f, -2, -3, -4, -6};
    int64_t blocks = p->rows / 32, block[S24I_DECODED_ROWS];
    int byte[S24I_DECODED_ROWS], shift[S24I_DECODED_ROWS];

    for (int64_t i = 0; i < count; i++) {
        int64_t matrix = (first + i) / p->rows, input = (first + i) % p->rows;
        block[i] = matrix * p->cols * blocks + input / 32;
        byte[i] = (int)(input % 32 / 2);
        shift[i] = input % 2 ? 4 : 0;
    }
    for (int64_t j = 0; j < p->cols; j++) {
        for (int64_t i = 0; i < count; i++) {
            int64_t at = block[i] + j * blocks;
            int code = p->codes.data[at * 16 + byte[i]] >> shift[i] & 15;
            out[i * stride + j] = values[code] * power(p->scales.data[at]);
        }
    }
}
