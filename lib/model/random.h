/* Random numbers without a state: each is a function of a key and of its place, so that it does not
 * matter who asks first. Knows nothing of models. */
#ifndef S24M_RANDOM_H
#define S24M_RANDOM_H
#include <stdint.h>

/* Philox4x32 with ten rounds (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2,
 * 3; 2011): four words from a counter of four and a key of two. */
void s24m_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t words[4]);
/* A number of [0, 1) with 53 bits: that of this seed at this place; low and high 32 bits of seed
 * and row make the key and, after the position, the counter. */
double s24m_uniform(uint64_t seed, uint64_t row, uint64_t position);
/* 0 .. count - 1 in an order that the seed and `round` decide (Fisher, Yates). */
void s24m_shuffle(uint64_t seed, uint64_t round, int64_t count, int64_t *order);

#endif
