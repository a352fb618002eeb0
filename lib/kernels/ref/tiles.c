#include "kernels/tiles.h"
#include "kernels/table.h"
#include <math.h>
#include <string.h>

/* The power of two that brings a tile's largest value into 1 .. 4. */
static float unit_of(float top)
{
    uint32_t bits;
    memcpy(&bits, &top, sizeof bits);
    bits = 0x7f000000u - (bits & 0x7f800000u);
    if (bits < 0x00800000u || bits > 0x7f000000u)
        bits = 0x00800000u;
    float unit;
    memcpy(&unit, &bits, sizeof unit);
    return unit;
}

/* pair[i][k]: what row i of the tile is worth with pair k. */
static void price_pairs(const float *w, const float *norm, int64_t stride, float pair[4][6])
{
    float x[4][4], top = 0;
    for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j) {
            x[i][j] = norm ? fabsf(w[i * stride + j]) * norm[j] : fabsf(w[i * stride + j]);
            top = x[i][j] > top ? x[i][j] : top;
        }
    float unit = unit_of(top);
    for (int i = 0; i < 4; ++i) {
        for (int j = 0; j < 4; ++j) {
            float y = x[i][j] * unit;
            x[i][j] = y * y;
        }
        for (int k = 0; k < 6; ++k)
            pair[i][k] = x[i][s24i_pair_columns[k][0]] + x[i][s24i_pair_columns[k][1]];
    }
}

/* The best way of two rows to keep one count; `turn` 5: to keep what that leaves of the columns. */
static float best_way(const float first[6], const float second[6], const s24i_ways *ways, int turn,
                      int kept[2])
{
    float best = -1;
    for (int way = 0; way < ways->number; ++way) {
        int a = turn ? turn - ways->pair[way][0] : ways->pair[way][0];
        int b = turn ? turn - ways->pair[way][1] : ways->pair[way][1];
        float value = first[a] + second[b];
        if (value > best) {
            best = value;
            kept[0] = a;
            kept[1] = b;
        }
    }
    return best;
}

static void select_tile(const float pair[4][6], uint8_t *mask, int64_t stride)
{
    int best[4] = {0}, kept[4];
    float most = -1;
    for (int count = 0; count < S24I_COUNTS; ++count) {
        float above = best_way(pair[0], pair[1], &s24i_counts[count], 0, kept);
        float below = best_way(pair[2], pair[3], &s24i_counts[count], 5, kept + 2);
        if (above + below > most) {
            most = above + below;
            memcpy(best, kept, sizeof best);
        }
    }
    for (int i = 0; i < 4; ++i)
        memcpy(mask + i * stride, s24i_pair_mask[best[i]], 4);
}

void s24i_ref_select_24_both(const float *w, const float *norm, uint8_t *mask, int64_t stride,
                             int64_t n)
{
    float pair[4][6];
    for (int64_t j = 0; j < n; j += 4) {
        price_pairs(w + j, norm ? norm + j : NULL, stride, pair);
        select_tile(pair, mask + j, stride);
    }
}
