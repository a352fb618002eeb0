/* Sorting of pointers in place: no allocation and no slow case, which qsort() does not promise. Not stable. */
#ifndef S24I_SORT_H
#define S24I_SORT_H
#include <stdint.h>

/* Negative, 0 or positive as a goes before, with or after b. */
typedef int (*s24i_order_fn)(const void *a, const void *b);

void s24i_sort(const void **items, int64_t count, s24i_order_fn order);

#endif
