#include <lanes.h>
#include "kernels/inline.h"
#include "kernels/table.h"
#include "kernels/tiles.h"
#include <math.h>
#include <string.h>

/* A tile of 4 x 4 in every lane. */

/* x[i][j][t] = value (i, j) of tile t; zeros in lanes without a tile. */
INLINE void load_tiles(const float *w, const float *norm, int64_t stride, int64_t tiles,
                       float x[4][4][LANES])
{
    if (tiles < LANES)
        memset(x, 0, 16 * LANES * sizeof(float));
    for (int i = 0; i < 4; ++i)
        for (int64_t t = 0; t < tiles; ++t)
            for (int j = 0; j < 4; ++j) {
                float value = fabsf(w[i * stride + 4 * t + j]);
                x[i][j][t] = norm ? value * norm[4 * t + j] : value;
            }
}

/* pair[i][k]: what row i of each tile is worth with pair k. */
INLINE void price_pairs(const float x[4][4][LANES], lane_values pair[4][6])
{
    lane_values value[4][4], top = lanes_load(x[0][0]);
    for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j)
            top = lanes_max(top, value[i][j] = lanes_load(x[i][j]));
    lane_values unit = lanes_unit(top);
    for (int i = 0; i < 4; ++i) {
        for (int j = 0; j < 4; ++j) {
            lane_values y = lanes_mul(value[i][j], unit);
            value[i][j] = lanes_mul(y, y);
        }
        for (int k = 0; k < 6; ++k)
            pair[i][k] =
                lanes_add(value[i][s24i_pair_columns[k][0]], value[i][s24i_pair_columns[k][1]]);
    }
}

/* The best way of two rows to keep one count; turn 5: to keep what that leaves of the columns. *way
 * is 6 times the first row's pair and the second's. */
INLINE lane_values best_way(const lane_values first[6], const lane_values second[6],
                            const s24i_ways *ways, int turn, lane_values *way)
{
    lane_values best = lanes_zero();
    for (int k = 0; k < ways->number; ++k) {
        int a = turn ? turn - ways->pair[k][0] : ways->pair[k][0];
        int b = turn ? turn - ways->pair[k][1] : ways->pair[k][1];
        lane_values value = lanes_add(first[a], second[b]), code = lanes_all((float)(6 * a + b));
        if (k == 0) {
            best = value;
            *way = code;
            continue;
        }
        lane_mask more = keys_greater(lanes_key(value), lanes_key(best));
        best = lanes_choose(more, value, best);
        *way = lanes_choose(more, code, *way);
    }
    return best;
}

/* code[t] = 36 times the way of the rows above, and that of the rows below. */
INLINE void select_tiles(const lane_values pair[4][6], float code[LANES])
{
    lane_values most = lanes_zero(), chosen = lanes_zero();
    for (int count = 0; count < S24I_COUNTS; ++count) {
        lane_values above = lanes_zero(), below = lanes_zero();
        lane_values value = lanes_add(best_way(pair[0], pair[1], &s24i_counts[count], 0, &above),
                                      best_way(pair[2], pair[3], &s24i_counts[count], 5, &below));
        lane_values both = lanes_fma(above, lanes_all(36), below);
        lane_mask more = keys_greater(lanes_key(value), lanes_key(most));
        most = count ? lanes_choose(more, value, most) : value;
        chosen = count ? lanes_choose(more, both, chosen) : both;
    }
    lanes_store(code, chosen);
}

INLINE void store_masks(const float code[LANES], int64_t tiles, int64_t stride, uint8_t *mask)
{
    static const int place[4] = {216, 36, 6, 1};
    for (int64_t t = 0; t < tiles; ++t)
        for (int i = 0; i < 4; ++i)
            memcpy(mask + i * stride + 4 * t, s24i_pair_mask[(int)code[t] / place[i] % 6], 4);
}

void S24I_IN_SET(select_24_both)(const float *w, const float *norm, uint8_t *mask, int64_t stride,
                                 int64_t n)
{
    float x[4][4][LANES], code[LANES];
    lane_values pair[4][6];
    for (int64_t j = 0; j < n; j += 4 * LANES) {
        int64_t tiles = n - j < 4 * LANES ? (n - j) / 4 : LANES;
        load_tiles(w + j, norm ? norm + j : NULL, stride, tiles, x);
        price_pairs(x, pair);
        select_tiles(pair, code);
        store_masks(code, tiles, stride, mask + j);
    }
}
