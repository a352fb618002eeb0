/* The one order in which sums are taken. Knows no array and no instruction set. */
#ifndef S24I_SUM_H
#define S24I_SUM_H

enum { S24I_ACCUMULATORS = 16 };

/* Halve: 8, 4, 2, 1, low += high. */
static inline double s24i_sum_accumulators(double acc[S24I_ACCUMULATORS])
{
    for (int half = S24I_ACCUMULATORS / 2; half > 0; half /= 2)
        for (int i = 0; i < half; ++i)
            acc[i] += acc[i + half];
    return acc[0];
}

/* The same in single precision. */
static inline float s24i_sum_singles(float acc[S24I_ACCUMULATORS])
{
    for (int half = S24I_ACCUMULATORS / 2; half > 0; half /= 2)
        for (int i = 0; i < half; ++i)
            acc[i] += acc[i + half];
    return acc[0];
}

#endif
