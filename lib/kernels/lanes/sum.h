/* Sums in 16 single accumulators, which lie in one or more registers. Written in the vocabulary of
 * an instruction set's lanes.h, which comes first; knows no instruction set. */
#ifndef S24I_LANES_SUM_H
#define S24I_LANES_SUM_H
#include "kernels/inline.h"
#include "kernels/sum.h"

enum { PARTS = S24I_ACCUMULATORS / LANES }; /* registers of the accumulators */

INLINE float lanes_sum(const lane_values part[PARTS])
{
    float acc[S24I_ACCUMULATORS];
    for (int p = 0; p < PARTS; ++p)
        lanes_store(acc + p * LANES, part[p]);
    return s24i_sum_singles(acc);
}

#endif
