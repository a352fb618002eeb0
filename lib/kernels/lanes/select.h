/* The keep-th largest of up to 64 keys in every lane. Written in the vocabulary of an instruction
 * set's lanes.h, which comes first; knows no array layout. */
#ifndef S24I_LANES_SELECT_H
#define S24I_LANES_SELECT_H
#include "kernels/kernels.h"

static inline void sort_pair(lane_keys *x, lane_keys *y)
{
    lane_keys least = keys_min(*x, *y);
    *y = keys_max(*x, *y);
    *x = least;
}

/* Ascending in every lane. Batcher's merge exchange for any count: Knuth, volume 3, 5.2.2,
 * algorithm M. */
static inline void keys_sort(lane_keys *key, int32_t count)
{
    int32_t top = 1;
    while (top * 2 < count)
        top *= 2;
    for (int32_t p = top; p > 0; p /= 2) {
        int32_t residue = 0, distance = p;
        for (int32_t q = top;; q /= 2) {
            for (int32_t i = 0; i + distance < count; ++i)
                if ((i & p) == residue)
                    sort_pair(&key[i], &key[i + distance]);
            if (q == p)
                break;
            distance = q - p;
            residue = p;
        }
    }
}

/* Sorts `key`. */
static inline lane_keys keys_kth_largest(lane_keys *key, int32_t count, int32_t keep)
{
    keys_sort(key, count);
    return key[count - keep];
}

#endif
