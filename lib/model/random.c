#include "random.h"

enum { ROUNDS = 10 };

static void multiply(uint32_t a, uint32_t b, uint32_t *high, uint32_t *low)
{
    uint64_t product = (uint64_t)a * b;
    *high = (uint32_t)(product >> 32);
    *low = (uint32_t)product;
}

void s24m_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t words[4])
{
    uint32_t x[4] = {counter[0], counter[1], counter[2], counter[3]}, k[2] = {key[0], key[1]};
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t high[2], low[2];
        multiply(0xd2511f53u, x[0], &high[0], &low[0]);
        multiply(0xcd9e8d57u, x[2], &high[1], &low[1]);
        x[0] = high[1] ^ x[1] ^ k[0];
        x[1] = low[1];
        x[2] = high[0] ^ x[3] ^ k[1];
        x[3] = low[0];
        k[0] += 0x9e3779b9u;
        k[1] += 0xbb67ae85u;
    }
    for (int i = 0; i < 4; i++)
        words[i] = x[i];
}

double s24m_uniform(uint64_t seed, uint64_t row, uint64_t position)
{
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    const uint32_t counter[4] = {(uint32_t)position, (uint32_t)(position >> 32), (uint32_t)row,
                                 (uint32_t)(row >> 32)};
    uint32_t words[4];
    s24m_philox(counter, key, words);
    return ((double)(words[0] >> 5) * 67108864 + (double)(words[1] >> 6)) * 0x1p-53;
}

void s24m_shuffle(uint64_t seed, uint64_t round, int64_t count, int64_t *order)
{
    for (int64_t i = 0; i < count; i++)
        order[i] = i;
    for (int64_t i = count - 1; i > 0; i--) {
        int64_t j = (int64_t)(s24m_uniform(seed, round, (uint64_t)i) * (double)(i + 1)), old;
        old = order[i];
        order[i] = order[j];
        order[j] = old;
    }
}
