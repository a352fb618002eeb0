/* A set of names that grows. Knows nothing of what bears them. */
#ifndef S24I_NAMES_H
#define S24I_NAMES_H
#include "list.h"

/* Sorted runs whose lengths are the powers of two in the count, the longest first: no order of
 * additions takes quadratic time. */
typedef struct s24i_names {
    s24i_list list; /* const char *, the caller's */
} s24i_names;

bool s24i_names_hold(const s24i_names *names, const char *name);
/* Room for one more. */
s24_status s24i_names_reserve(s24i_memory *memory, s24i_names *names);
void s24i_names_add(s24i_names *names, const char *name);
void s24i_names_free(s24i_memory *memory, s24i_names *names);

#endif
