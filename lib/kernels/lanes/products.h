/* Products with a block of 16 rows of floats, a row in each lane. Some tiles are done for the rows
 * in one register and for the tokens whose sums fit into registers, then the same tiles for the
 * next. Written in the vocabulary of an instruction set's products.h, which comes first; knows no
 * instruction set. */
#ifndef S24I_LANES_PRODUCTS_H
#define S24I_LANES_PRODUCTS_H
#include "kernels/kernels.h"
#include <string.h>

enum { ROWS = 16, COLS = 32, REGISTERS = ROWS / LANES, META = 64, LINE = 64 };
enum { TILES = 4 }; /* at a time: their lines stay in the first cache */
enum value_form { F32, BF16, F16, BF16_DOT };

/* Constants, once everything is inlined. */
typedef struct {
    int form;
    bool sparse;
    int batch, first, some; /* tokens: all, and those at hand */
    int part;               /* which register of rows */
} float_shape;

/* Sums under way of each output: as many as hide the latency of one while registers last. */
INLINE int accumulators_of(const int batch)
{
    return batch <= 2 ? 4 : batch == 4 ? 2 : 1;
}

INLINE int tile_bytes(const float_shape s)
{
    const int size = s.form == F32 ? 4 : 2;

    return s.sparse ? META + ROWS * COLS / 2 * size : ROWS * COLS * size;
}

INLINE int bytes_of_x(const float_shape s)
{
    return COLS * s.batch * (s.form == BF16_DOT ? 2 : 4);
}

/* The lines that a tile of this size will be in when the stream has come so far. */
INLINE void prefetch(const char *at, const int64_t ahead, const int bytes)
{
    UNROLL_LINES
    for (int line = 0; line < (bytes + LINE - 1) / LINE; ++line)
        __builtin_prefetch(at + ahead + line * LINE, 0, 3);
}

/* Values 2 g and 2 g + 1 of the rows in one register. */
INLINE void two_values(const char *values, const int g, const float_shape s, lane_values v[2])
{
    if (s.form == F32) {
        v[0] = lanes_load((const float *)(values + 128 * g + s.part * LANES * 4));
        v[1] = lanes_load((const float *)(values + 128 * g + 64 + s.part * LANES * 4));
    } else if (s.form == F16) {
        v[0] = lanes_of_halves(values + 64 * g + s.part * LANES * 2);
        v[1] = lanes_of_halves(values + 64 * g + 32 + s.part * LANES * 2);
    } else {
        lane_dwords pairs = dwords_load(values + 64 * g + s.part * LANES * 4);
        v[0] = lanes_of_earlier(pairs);
        v[1] = lanes_of_later(pairs);
    }
}

typedef struct {
    lane_values of[16][4];
} lane_sums;

INLINE void sparse_tile(const char *tile, const float *x, const float_shape s, lane_sums *sums)
{
    const int n = accumulators_of(s.batch);
    const bool several = s.batch > 1;
    lane_dwords meta = dwords_load(tile + s.part * LANES * 4);
    UNROLL_16
    for (int g = 0; g < COLS / 4; ++g) {
        lane_values v[2];
        two_values(tile + META, g, s, v);
        lane_dwords early = dwords_places(meta, 4 * g, g, several);
        lane_dwords late = dwords_places(meta, 4 * g + 2, g, several);
        UNROLL_16
        for (int b = 0; b < s.some; ++b) {
            lane_values quad = lanes_quad(x + (g / 4 * s.batch + s.first + b) * 16, g, several);
            lane_values *sum = sums->of[b];
            sum[2 * g % n] = lanes_fma(lanes_pick(quad, early, several), v[0], sum[2 * g % n]);
            sum[(2 * g + 1) % n] =
                lanes_fma(lanes_pick(quad, late, several), v[1], sum[(2 * g + 1) % n]);
        }
    }
}

INLINE void dense_tile(const char *tile, const float *x, const float_shape s, lane_sums *sums)
{
    const int n = accumulators_of(s.batch), column = s.form == F32 ? 64 : 32;
    for (int q = 0; q < COLS / 8; ++q) {
        UNROLL_16
        for (int g = 0; g < 4; ++g) {
            lane_values v[2];
            two_values(tile + q * 8 * column, g, s, v);
            UNROLL_16
            for (int b = 0; b < s.some; ++b) {
                const float *pair = x + (q / 2 * s.batch + s.first + b) * 16 + q % 2 * 8 + 2 * g;
                lane_values *sum = sums->of[b];
                sum[2 * g % n] = lanes_fma(lanes_all(pair[0]), v[0], sum[2 * g % n]);
                sum[(2 * g + 1) % n] = lanes_fma(lanes_all(pair[1]), v[1], sum[(2 * g + 1) % n]);
            }
        }
    }
}

INLINE void sparse_dot_tile(const char *tile, const uint16_t *x, const float_shape s,
                            lane_sums *sums)
{
    const int n = accumulators_of(s.batch);
    lane_dwords meta = dwords_load(tile + s.part * LANES * 4);
    UNROLL_16
    for (int g = 0; g < COLS / 4; ++g) {
        lane_dwords pairs = dwords_load(tile + META + 64 * g + s.part * LANES * 4);
        lane_dwords places = dwords_pair_bytes(meta, g);
        UNROLL_16
        for (int b = 0; b < s.some; ++b) {
            lane_dwords four = dwords_all_of_8(x + (g * s.batch + s.first + b) * 4);
            lane_values *sum = &sums->of[b][g % n];
            *sum = lanes_dot_bf16(*sum, dwords_bytes(four, places), pairs);
        }
    }
}

INLINE void dense_dot_tile(const char *tile, const uint16_t *x, const float_shape s,
                           lane_sums *sums)
{
    const int n = accumulators_of(s.batch);
    for (int q = 0; q < COLS / 8; ++q) {
        UNROLL_16
        for (int g = 0; g < 4; ++g) {
            lane_dwords pairs = dwords_load(tile + q * 256 + 64 * g + s.part * LANES * 4);
            UNROLL_16
            for (int b = 0; b < s.some; ++b) {
                const uint16_t *two = x + ((2 * q + g / 2) * s.batch + s.first + b) * 4;
                lane_values *sum = &sums->of[b][g % n];
                *sum = lanes_dot_bf16(*sum, dwords_all_of_4(two + g % 2 * 2), pairs);
            }
        }
    }
}

INLINE void any_tile(const char *tile, const char *x, const float_shape s, lane_sums *sums)
{
    if (s.form == BF16_DOT && s.sparse)
        sparse_dot_tile(tile, (const uint16_t *)x, s, sums);
    else if (s.form == BF16_DOT)
        dense_dot_tile(tile, (const uint16_t *)x, s, sums);
    else if (s.sparse)
        sparse_tile(tile, (const float *)x, s, sums);
    else
        dense_tile(tile, (const float *)x, s, sums);
}

INLINE void copy_sums(lane_sums *to, const lane_sums *from, const float_shape s)
{
    UNROLL_16
    for (int b = 0; b < s.some; ++b) {
        UNROLL_16
        for (int i = 0; i < accumulators_of(s.batch); ++i)
            to->of[b][i] = from->of[b][i];
    }
}

/* Sums that are local to the loop, or they would not be registers. */
INLINE void some_tiles(const s24i_lane_product *p, const char *tile, const char *x, int64_t tiles,
                       const float_shape s, lane_sums *sums)
{
    lane_sums own;
    copy_sums(&own, sums, s);
    for (int64_t t = 0; t < tiles; ++t) {
        if (!s.part && !s.first)
            prefetch(tile, p->prefetch, tile_bytes(s));
        any_tile(tile, x, s, &own);
        tile += tile_bytes(s);
        x += bytes_of_x(s);
    }
    copy_sums(sums, &own, s);
}

INLINE void store_sums(float *y, const lane_sums *sums, const float_shape s)
{
    UNROLL_16
    for (int b = 0; b < s.some; ++b) {
        lane_values sum = sums->of[b][0];
        UNROLL_16
        for (int i = 1; i < accumulators_of(s.batch); ++i)
            sum = lanes_add(sum, sums->of[b][i]);
        lanes_store(y + (s.first + b) * ROWS + s.part * LANES, sum);
    }
}

INLINE void float_block(const s24i_lane_product *p, const char *tile, float *y, float_shape s)
{
    enum { MOST = 16 / TOKENS };
    const char *x = p->x;
    lane_sums sums[REGISTERS][MOST];
    s.some = s.batch < TOKENS ? s.batch : TOKENS;
    memset(sums, 0, sizeof sums);
    for (int64_t t = 0; t < p->tiles; t += TILES) {
        int64_t tiles = p->tiles - t < TILES ? p->tiles - t : TILES;
        UNROLL_16
        for (s.part = 0; s.part < REGISTERS; ++s.part)
            UNROLL_16
        for (s.first = 0; s.first < s.batch; s.first += s.some)
            some_tiles(p, tile, x, tiles, s, &sums[s.part][s.first / s.some]);
        tile += tiles * tile_bytes(s);
        x += tiles * bytes_of_x(s);
    }
    UNROLL_16
    for (s.part = 0; s.part < REGISTERS; ++s.part)
        UNROLL_16
    for (s.first = 0; s.first < s.batch; s.first += s.some)
        store_sums(y, &sums[s.part][s.first / s.some], s);
}

#define FLOAT_BLOCK(batch, form, sparse) \
    float_block(p, block, y, (float_shape){form, sparse, batch, 0, 0, 0})

/* Bodies for every batch: sums are registers only when their number is a constant. */
#define FLOAT_PRODUCT(name, form, sparse)                                           \
    void S24I_IN_SET(name)(const s24i_lane_product *p, const void *block, float *y) \
    {                                                                               \
        switch (p->batch) {                                                         \
        case 1:                                                                     \
            FLOAT_BLOCK(1, form, sparse);                                           \
            break;                                                                  \
        case 2:                                                                     \
            FLOAT_BLOCK(2, form, sparse);                                           \
            break;                                                                  \
        case 4:                                                                     \
            FLOAT_BLOCK(4, form, sparse);                                           \
            break;                                                                  \
        case 8:                                                                     \
            FLOAT_BLOCK(8, form, sparse);                                           \
            break;                                                                  \
        default:                                                                    \
            FLOAT_BLOCK(16, form, sparse);                                          \
        }                                                                           \
    }

#endif
