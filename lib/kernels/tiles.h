/* The 90 masks that keep 2 of 4 in each row and in each column of a tile. Two rows keep in each
 * column 0, 1 or 2 weights: one of 19 counts; the two rows below keep what is left. Knows no
 * arithmetic. */
#ifndef S24I_KERNELS_TILES_H
#define S24I_KERNELS_TILES_H
#include <stdint.h>

enum { S24I_COUNTS = 19, S24I_MOST_WAYS = 6 };

/* The ways to keep one count: for the first row and the second a pair of columns each, of 01 02 03
 * 12 13 23. The other columns of a pair are pair 5 - i. */
typedef struct s24i_ways {
    uint8_t number;
    uint8_t pair[S24I_MOST_WAYS][2];
} s24i_ways;

static const s24i_ways s24i_counts[S24I_COUNTS] = {
    {1, {{0, 0}}},         {2, {{0, 1}, {1, 0}}},
    {2, {{0, 2}, {2, 0}}}, {2, {{0, 3}, {3, 0}}},
    {2, {{0, 4}, {4, 0}}}, {6, {{0, 5}, {1, 4}, {2, 3}, {3, 2}, {4, 1}, {5, 0}}},
    {1, {{1, 1}}},         {2, {{1, 2}, {2, 1}}},
    {2, {{1, 3}, {3, 1}}}, {2, {{1, 5}, {5, 1}}},
    {1, {{2, 2}}},         {2, {{2, 4}, {4, 2}}},
    {2, {{2, 5}, {5, 2}}}, {1, {{3, 3}}},
    {2, {{3, 4}, {4, 3}}}, {2, {{3, 5}, {5, 3}}},
    {1, {{4, 4}}},         {2, {{4, 5}, {5, 4}}},
    {1, {{5, 5}}},
};

/* The columns of a pair, and the mask bytes of its row. */
static const uint8_t s24i_pair_columns[6][2] = {{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}};
static const uint8_t s24i_pair_mask[6][4] = {{1, 1, 0, 0}, {1, 0, 1, 0}, {1, 0, 0, 1},
                                             {0, 1, 1, 0}, {0, 1, 0, 1}, {0, 0, 1, 1}};

#endif
