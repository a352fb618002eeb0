/* A fast hash of bytes: 64 bits, four words at a time. It finds accidents, not forgers. */
#ifndef HASH_H
#define HASH_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define HASH_BEGIN 0x9e3779b97f4a7c15u

/* For a given word the step is one to one in h: no change of a single word is lost. */
static inline uint64_t hash_word(uint64_t h, uint64_t word)
{
    h = (h ^ word) * 0xff51afd7ed558ccdu;
    return h ^ h >> 32;
}

static inline uint64_t hash(uint64_t h, const void *data, size_t size)
{
    enum { LANES = 4, WORD = sizeof(uint64_t) };
    const unsigned char *bytes = data;
    uint64_t lane[LANES], word[LANES], rest = size;
    for (int l = 0; l < LANES; l++)
        lane[l] = hash_word(h, (uint64_t)l);
    for (; size >= sizeof word; bytes += sizeof word, size -= sizeof word) {
        memcpy(word, bytes, sizeof word);
        for (int l = 0; l < LANES; l++)
            lane[l] = hash_word(lane[l], word[l]);
    }
    h = hash_word(h, rest);
    for (int l = 0; l < LANES; l++)
        h = hash_word(h, lane[l]);
    for (; size; bytes++, size--)
        h = hash_word(h, *bytes);
    return h;
}

static inline uint64_t hash_text(uint64_t h, const char *text)
{
    return hash(h, text, strlen(text));
}

#endif
