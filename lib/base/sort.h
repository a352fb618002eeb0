/* Sorting of pointers in place: no allocation and no slow case, which qsort() does not promise. Not
 * stable. And finding names in what is sorted. */
#ifndef S24I_SORT_H
#define S24I_SORT_H
#include <stdbool.h>
#include <stdint.h>

/* Negative, 0 or positive as a goes before, with or after b. */
typedef int (*s24i_order_fn)(const void *a, const void *b);

void s24i_sort(const void **items, int64_t count, s24i_order_fn order);

/* The index-th name of something sorted by strcmp(). */
typedef const char *(*s24i_name_fn)(const void *sorted, int64_t index);

/* Where `name` is in [0, count), or where it belongs; *found tells which. */
int64_t s24i_search(const void *sorted, int64_t count, s24i_name_fn name_at, const char *name,
                    bool *found);

#endif
