#include "base/half.h"
#include "kernels/table.h"
#include <math.h>
#include <string.h>

enum { ROWS = 16, COLS = 32 };

static uint32_t dword_at(const void *from)
{
    uint32_t bits;

    memcpy(&bits, from, 4);
    return bits;
}

static uint16_t half_at(const void *from)
{
    uint16_t half;

    memcpy(&half, from, 2);
    return half;
}

/* ---- Floats ---- */

enum { F32, BF16, F16 };

/* Value v of a row of a tile. */
static float value_at(const char *values, int form, int v, int row)
{
    float f;

    if (form == BF16)
        return s24i_bf16_to_f32(half_at(values + v / 2 * 64 + row * 4 + v % 2 * 2));
    if (form == F16)
        return s24i_f16_to_f32(half_at(values + v * 32 + row * 2));
    memcpy(&f, values + v * 64 + row * 4, 4);
    return f;
}

/* Its column in the tile. */
static int column_of(uint32_t meta, int sparse, int v)
{
    return sparse ? v / 2 * 4 + (int)(meta >> 2 * v & 3) : v;
}

static int accumulators_of(int32_t batch)
{
    return batch <= 2 ? 4 : batch == 4 ? 2 : 1;
}

static float sum_up(const float acc[4], int32_t batch)
{
    float sum = acc[0];

    for (int i = 1; i < accumulators_of(batch); ++i)
        sum += acc[i];
    return sum;
}

/* One row with one token. */
static float float_row(const s24i_lane_product *p, const char *tile, int form, int sparse, int row,
                       int32_t token)
{
    int values = sparse ? COLS / 2 : COLS, n = accumulators_of(p->batch);
    float acc[4] = {0};

    for (int64_t t = 0; t < p->tiles; ++t) {
        uint32_t meta = sparse ? dword_at(tile + 4 * row) : 0;
        tile += sparse ? 64 : 0;
        for (int v = 0; v < values; ++v) {
            int64_t c = t * COLS + column_of(meta, sparse, v);
            float x = ((const float *)p->x)[(c / 16 * p->batch + token) * 16 + c % 16];
            acc[v % n] = fmaf(x, value_at(tile, form, v, row), acc[v % n]);
        }
        tile += values * ROWS * (form == F32 ? 4 : 2);
    }
    return sum_up(acc, p->batch);
}

static float dot_row(const s24i_lane_product *p, const char *tile, int sparse, int row,
                     int32_t token)
{
    int values = sparse ? COLS / 2 : COLS, n = accumulators_of(p->batch);
    float acc[4] = {0};

    for (int64_t t = 0; t < p->tiles; ++t) {
        uint32_t meta = sparse ? dword_at(tile + 4 * row) : 0;
        tile += sparse ? 64 : 0;
        for (int v = 0; v < values; ++v) {
            int late = v ^ 1; /* of each pair the later first */
            int64_t c = t * COLS + column_of(meta, sparse, late);
            uint16_t x = ((const uint16_t *)p->x)[(c / 4 * p->batch + token) * 4 + c % 4];
            int at = v / 2 % n;
            acc[at] = fmaf(s24i_bf16_to_f32(x), value_at(tile, BF16, late, row), acc[at]);
        }
        tile += values * ROWS * 2;
    }
    return sum_up(acc, p->batch);
}

#define EACH_OUTPUT(of_row)                  \
    for (int32_t b = 0; b < p->batch; ++b)   \
        for (int row = 0; row < ROWS; ++row) \
    y[b * ROWS + row] = of_row

#define FLOATS(name, form, sparse)                                                \
    void s24i_ref_##name(const s24i_lane_product *p, const void *block, float *y) \
    {                                                                             \
        EACH_OUTPUT(float_row(p, block, form, sparse, row, b));                   \
    }
#define DOTS(name, sparse)                                                        \
    void s24i_ref_##name(const s24i_lane_product *p, const void *block, float *y) \
    {                                                                             \
        EACH_OUTPUT(dot_row(p, block, sparse, row, b));                           \
    }

FLOATS(sparse_f32, F32, 1)
FLOATS(sparse_bf16, BF16, 1)
FLOATS(sparse_f16, F16, 1)
FLOATS(dense_f32, F32, 0)
FLOATS(dense_bf16, BF16, 0)
FLOATS(dense_f16, F16, 0)
DOTS(sparse_bf16_dot, 1)
DOTS(dense_bf16_dot, 0)

/* ---- Codes ---- */

typedef struct {
    int bits, meta, zeros;
} form;

/* Code k of a row of a tile. */
static int code_at(const uint8_t *codes, const form *f, int k, int row)
{
    if (f->bits == 8)
        return (int8_t)codes[k / 4 * 64 + row * 4 + k % 4];
    return ((codes[k / 8 * 64 + row * 4 + k % 4] >> (k & 4) & 15) ^ 8) - 8;
}

/* The place in its group of 4 that kept code k came from. */
static int index_at(const uint8_t *meta, const form *f, int k, int row)
{
    static const uint8_t nibbles[6] = {0x4, 0x8, 0x9, 0xC, 0xD, 0xE};
    const uint8_t *at = meta + 3 * row;

    if (f->meta == 64)
        return (int)(dword_at(meta + 4 * row) >> (8 * (k % 4) + 2 * (k / 4)) & 3);
    uint32_t fields = at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16;
    uint32_t pair = fields >> 6 * (k / 4) & 63;
    return nibbles[(k % 4 < 2 ? pair : pair / 6) % 6] >> 2 * (k % 2) & 3;
}

static int32_t tile_sum(const s24i_lane_product *p, const uint8_t *tile, const form *f, int64_t t,
                        int row, int32_t token, int zero)
{
    int32_t sum = 0;

    for (int k = 0; k < (f->meta ? COLS / 2 : COLS); ++k) {
        int64_t c = t * COLS + (f->meta ? k / 2 * 4 + index_at(tile, f, k, row) : k);
        int q = ((const uint8_t *)p->x)[(c / 8 * p->batch + token) * 8 + c % 8] - 128;
        sum += q * (code_at(tile + f->meta, f, k, row) - zero);
    }
    return sum;
}

static float code_row(const s24i_lane_product *p, const uint8_t *at, const form *f, int row,
                      int32_t token)
{
    int64_t tile = f->meta + (f->meta ? COLS / 2 : COLS) * ROWS * f->bits / 8, t = 0;
    const float *x_scale = p->x_scale + token;
    float y = 0;

    while (t < p->tiles) {
        int64_t end = p->group < p->tiles - t ? t + p->group : p->tiles;
        float scale = s24i_f16_to_f32(half_at(at + 2 * row));
        int zero = f->zeros ? (int8_t)at[2 * ROWS + row] : 0;
        at += 2 * ROWS + (f->zeros ? ROWS : 0);
        for (; t < end; x_scale += p->batch) {
            int64_t stop = p->x_group < end - t ? t + p->x_group : end;
            int32_t sum = 0;
            for (; t < stop; ++t, at += tile)
                sum += tile_sum(p, at, f, t, row, token, zero);
            y = fmaf((float)sum, scale * *x_scale, y);
        }
    }
    return y;
}

#define CODES(name, bits, meta, zeros)                                            \
    void s24i_ref_##name(const s24i_lane_product *p, const void *block, float *y) \
    {                                                                             \
        static const form f = {bits, meta, zeros};                                \
        EACH_OUTPUT(code_row(p, block, &f, row, b));                              \
    }

CODES(sparse_int8, 8, 64, 0)
CODES(sparse_int4, 4, 64, 0)
CODES(sparse_int4_zeros, 4, 64, 1)
CODES(sparse_int4_p6, 4, 48, 0)
CODES(dense_int8, 8, 0, 0)
CODES(dense_int4, 4, 0, 0)
CODES(dense_int4_zeros, 4, 0, 1)

void s24i_ref_quantise_token(const float *x, int64_t n, int64_t group, int64_t batch,
                             uint8_t *codes, float *scales)
{
    for (int64_t first = 0; first < n; first += group, scales += batch) {
        int64_t end = first + group < n ? first + group : n;
        float most = 0;
        for (int64_t j = first; j < end; ++j)
            most = fabsf(x[j]) > most ? fabsf(x[j]) : most;
        float inverse = most < 0x1p-100f ? 0 : 127 / most;
        *scales = most < 0x1p-100f ? 0 : most / 127;
        for (int64_t j = first; j < end; ++j)
            codes[j / 8 * 8 * batch + j % 8] = (uint8_t)(128 + (int)rintf(x[j] * inverse));
    }
}
