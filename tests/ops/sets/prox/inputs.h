/* Groups on which a proximal operator is hard to get right, by families. Knows no library code. */
#ifndef TEST_INPUTS_H
#define TEST_INPUTS_H
#include <stdint.h>

enum { FAMILIES = 12 };
extern const char *const family_names[FAMILIES];

/* A group of four, shuffled and with random signs, and a power of two as lambda. */
void make_group(int family, uint64_t *state, double z[4], double *lambda);

uint64_t any_bits(uint64_t *state);
/* In (0, 1). */
double any_number(uint64_t *state);

#endif
