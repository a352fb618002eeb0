/* An order of columns in which n:m keeps more of a score. Knows no weights and no method. */
#ifndef S24I_PERMUTE_H
#define S24I_PERMUTE_H
#include "steps.h"

typedef struct s24i_permuting {
    int32_t n, m;
    int64_t block; /* columns stay in their aligned block of so many, a multiple of m */
} s24i_permuting;

/* order[j]: the column that goes to place j, so that the sum of the n largest of each m in a row
 * grows as far as the search can see, and never falls. kept: the share of the scores that n:m
 * keeps, before and after. Scores are at least 0: S24_E_ARG and S24_E_NONFINITE name the first
 * place that is not. */
s24_status s24i_permute(const s24i_device *device, const s24i_permuting *how, const s24_mat *score,
                        int64_t *order, double kept[2]);

/* The assignment of largest value (assign.c): column[i] of row i of value, size x size, rows `ld`
 * apart. size up to S24I_MOST_ASSIGNED. */
#define S24I_MOST_ASSIGNED 64
void s24i_assign(const float *value, int64_t ld, int32_t size, int32_t *column);

#endif
