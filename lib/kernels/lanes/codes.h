/* Products with a block of 16 rows of codes, a row in each lane. The tiles that share scales are
 * done for the rows in one register and for the tokens whose sums fit into registers, then the same
 * tiles for the next. Written in the vocabulary of an instruction set's codes.h, which comes first;
 * knows no instruction set. */
#ifndef S24I_LANES_CODES_H
#define S24I_LANES_CODES_H
#include "kernels/kernels.h"
#include <string.h>

enum { ROWS = 16, COLS = 32, REGISTERS = ROWS / CODE_LANES, LINE = 64, SCALES = 2 * ROWS };
enum { DENSE = 0, IN_PAIRS = 48, INDICES = 64 }; /* bytes of metadata */

/* Constants, once everything is inlined. */
typedef struct {
    int bits, meta;
    bool zeros;
    int batch, first, some; /* tokens: all, and those at hand */
    int part;               /* which register of rows */
} code_shape;

/* Integers, so that it is free how many sums an output has: two hide the latency of a step. */
typedef struct {
    code_dwords of[16][2], bias[2];
} code_sums;

INLINE int tile_bytes(const code_shape s)
{
    return s.meta + ROWS * (s.meta ? COLS / 2 : COLS) * s.bits / 8;
}

/* The lines that a tile of this size will be in when the stream has come so far. */
INLINE void prefetch(const uint8_t *at, const int64_t ahead, const int bytes)
{
    UNROLL_LINES
    for (int line = 0; line < (bytes + LINE - 1) / LINE; ++line)
        __builtin_prefetch(at + ahead + line * LINE, 0, 3);
}

/* What the rows take of the metadata of a tile. */
INLINE code_dwords meta_of(const uint8_t *tile, const code_shape s)
{
    if (s.meta == INDICES)
        return codes_load(tile + s.part * CODE_LANES * 4);
    return s.meta == IN_PAIRS ? codes_meta_of_pairs(tile, s.part) : codes_zero();
}

INLINE code_dwords places_of(code_dwords meta, const int v, const code_shape s)
{
    if (s.meta == DENSE)
        return meta;
    return s.meta == INDICES ? codes_places(meta, v) : codes_places_of_pairs(meta, v);
}

/* 4 codes of each row: vector v of a tile. */
INLINE code_dwords four_codes(const uint8_t *tile, const int v, const code_shape s)
{
    const uint8_t *at = tile + s.meta + s.part * CODE_LANES * 4;
    if (s.bits == 8)
        return codes_load(at + 64 * v);
    code_dwords bytes = codes_load(at + 64 * (v / 2));
    return v % 2 ? codes_high(bytes) : codes_low(bytes);
}

/* The activations of vector v for a token. */
INLINE code_dwords four_activations(const uint8_t *x, const int v, code_dwords places,
                                    const int token, const code_shape s)
{
    if (s.meta)
        return codes_pick(codes_eight(x + (v * s.batch + token) * 8), places);
    return codes_four(x + (v / 2 * s.batch + token) * 8 + v % 2 * 4);
}

/* Vectors [4 q, 4 q + 4) of a tile. */
INLINE void four_vectors(const uint8_t *tile, const uint8_t *x, const int q, code_dwords meta,
                         code_dwords zero, const code_shape s, code_sums *sums)
{
    const int n = s.batch > 4 ? 1 : 2;
    UNROLL_16
    for (int v = 4 * q; v < 4 * q + 4; ++v) {
        code_dwords w = four_codes(tile, v, s), places = places_of(meta, v, s);
        w = s.zeros ? codes_less(w, zero) : w;
        sums->bias[v % n] = codes_bias(sums->bias[v % n], w, s.bits);
        UNROLL_16
        for (int b = 0; b < s.some; ++b) {
            code_dwords a = four_activations(x, v, places, s.first + b, s);
            sums->of[b][v % n] = codes_step(sums->of[b][v % n], a, w, s.bits);
        }
    }
}

/* The same by sums of 16 bits, which hold four vectors' products. */
INLINE void four_vectors_in_words(const uint8_t *tile, const uint8_t *x, const int q,
                                  code_dwords meta, code_dwords zero, const code_shape s,
                                  code_sums *sums)
{
    code_dwords words[16], bias = codes_zero();
    UNROLL_16
    for (int b = 0; b < s.some; ++b)
        words[b] = codes_zero();
    UNROLL_16
    for (int v = 4 * q; v < 4 * q + 4; ++v) {
        code_dwords w = four_codes(tile, v, s), places = places_of(meta, v, s);
        w = s.zeros ? codes_less(w, zero) : w;
        bias = codes_bias(bias, w, s.bits);
        UNROLL_16
        for (int b = 0; b < s.some; ++b) {
            code_dwords a = four_activations(x, v, places, s.first + b, s);
            words[b] = codes_step(words[b], a, w, s.bits);
        }
    }
    UNROLL_16
    for (int b = 0; b < s.some; ++b)
        sums->of[b][0] = codes_widen(sums->of[b][0], words[b], bias);
}

INLINE void half_a_tile(const uint8_t *tile, const uint8_t *x, const int q, code_dwords meta,
                        code_dwords zero, const code_shape s, code_sums *sums)
{
    if (SHORT_SUMS && s.bits == 4)
        four_vectors_in_words(tile, x, q, meta, zero, s, sums);
    else
        four_vectors(tile, x, q, meta, zero, s, sums);
}

INLINE void one_tile(const uint8_t *tile, const uint8_t *x, code_dwords zero, const code_shape s,
                     code_sums *sums)
{
    code_dwords meta = meta_of(tile, s);
    half_a_tile(tile, x, 0, meta, zero, s, sums);
    if (s.meta == DENSE)
        half_a_tile(tile, x, 1, meta, zero, s, sums);
}

INLINE void clear_sums(code_sums *sums, const code_shape s)
{
    UNROLL_16
    for (int i = 0; i < 2; ++i) {
        sums->bias[i] = codes_zero();
        UNROLL_16
        for (int b = 0; b < s.some; ++b)
            sums->of[b][i] = codes_zero();
    }
}

/* Where an x group begins: its tiles, the scales of the weights, the activations and theirs. */
typedef struct {
    const uint8_t *tile, *front, *x;
    const float *x_scale;
    int64_t tiles;
} code_group;

INLINE void one_group(const code_group *g, int64_t ahead, const code_shape s, code_floats *y)
{
    const uint8_t *tile = g->tile, *x = g->x;
    code_floats scale = codes_scales(g->front + s.part * CODE_LANES * 2);
    code_dwords zero =
        s.zeros ? codes_zeros(g->front + SCALES + s.part * CODE_LANES) : codes_zero();
    code_sums sums;
    clear_sums(&sums, s);
    for (int64_t t = 0; t < g->tiles; ++t) {
        if (!s.part && !s.first)
            prefetch(tile, ahead, tile_bytes(s));
        one_tile(tile, x, zero, s, &sums);
        tile += tile_bytes(s);
        x += COLS * s.batch;
    }
    code_dwords bias = codes_add(sums.bias[0], sums.bias[1]);
    UNROLL_16
    for (int b = 0; b < s.some; ++b) {
        code_dwords sum = codes_subtract(codes_add(sums.of[b][0], sums.of[b][1]), bias);
        y[b] = codes_scaled(y[b], sum, scale, g->x_scale[s.first + b]);
    }
}

INLINE void code_block(const s24i_lane_product *p, const uint8_t *at, float *y, code_shape s)
{
    code_group g = {.x = p->x, .x_scale = p->x_scale};
    code_floats sums[REGISTERS][16];
    s.some = s.batch < CODE_TOKENS ? s.batch : CODE_TOKENS;
    memset(sums, 0, sizeof sums);
    for (int64_t t = 0, end = 0; t < p->tiles; t += g.tiles) {
        if (t == end) {
            g.front = at;
            at += SCALES + (s.zeros ? ROWS : 0);
            end = p->group < p->tiles - t ? t + p->group : p->tiles;
        }
        g.tile = at;
        g.tiles = p->x_group < end - t ? p->x_group : end - t;
        UNROLL_16
        for (s.part = 0; s.part < REGISTERS; ++s.part)
            UNROLL_16
        for (s.first = 0; s.first < s.batch; s.first += s.some)
            one_group(&g, p->prefetch, s, &sums[s.part][s.first]);
        at += g.tiles * tile_bytes(s);
        g.x += g.tiles * COLS * s.batch;
        g.x_scale += s.batch;
    }
    UNROLL_16
    for (s.part = 0; s.part < REGISTERS; ++s.part)
        UNROLL_16
    for (int b = 0; b < s.batch; ++b)
        codes_store(y + b * ROWS + s.part * CODE_LANES, sums[s.part][b]);
}

#define CODE_BLOCK(batch, bits, meta, zeros) \
    code_block(p, block, y, (code_shape){bits, meta, zeros, batch, 0, 0, 0})

/* Bodies for every batch: sums are registers only when their number is a constant. */
#define CODE_PRODUCT(name, bits, meta, zeros)                                       \
    void S24I_IN_SET(name)(const s24i_lane_product *p, const void *block, float *y) \
    {                                                                               \
        switch (p->batch) {                                                         \
        case 1:                                                                     \
            CODE_BLOCK(1, bits, meta, zeros);                                       \
            break;                                                                  \
        case 2:                                                                     \
            CODE_BLOCK(2, bits, meta, zeros);                                       \
            break;                                                                  \
        case 4:                                                                     \
            CODE_BLOCK(4, bits, meta, zeros);                                       \
            break;                                                                  \
        case 8:                                                                     \
            CODE_BLOCK(8, bits, meta, zeros);                                       \
            break;                                                                  \
        default:                                                                    \
            CODE_BLOCK(16, bits, meta, zeros);                                      \
        }                                                                           \
    }

#endif
