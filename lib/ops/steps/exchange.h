/* Exact exchanges of single columns, after a removal (exchange.c). Internal to units.c. */
#ifndef S24I_EXCHANGE_H
#define S24I_EXCHANGE_H
#include "steps.h"

typedef struct s24i_exchanges {
    const s24i_run *run;
    int64_t dim, most; /* columns; exchanges at most */
    /* dim x dim, of all columns kept: S^-1 and B^T B; they are used up */
    double *k, *q;
    uint8_t *kept; /* in and out */
} s24i_exchanges;

/* Until none gains more than `least` of the loss. */
s24_status s24i_exchange_columns(const s24i_exchanges *e, double least, int64_t *swapped);

#endif
