/* GGUF files byte by byte, as the format's description has them; shares nothing with the library's
 * writer. */
#ifndef S24_TESTS_BYTES_H
#define S24_TESTS_BYTES_H
#include <stdint.h>
#include <string.h>

enum { BYTES_ROOM = 1 << 16 };

typedef struct bytes {
    unsigned char at[BYTES_ROOM];
    size_t size;
} bytes;

static inline void put_raw(bytes *b, const void *data, size_t size)
{
    memcpy(b->at + b->size, data, size);
    b->size += size;
}

static int put_big_endian; /* what put_int() does */

/* By hand. */
static inline void put_int(bytes *b, uint64_t value, int size)
{
    for (int i = 0; i < size; i++)
        b->at[b->size++] = (unsigned char)(value >> 8 * (put_big_endian ? size - 1 - i : i));
}

static inline void put_text(bytes *b, const char *text)
{
    put_int(b, strlen(text), 8);
    put_raw(b, text, strlen(text));
}

static inline void put_header(bytes *b, uint32_t version, uint64_t tensors, uint64_t items)
{
    b->size = 0;
    put_raw(b, "GGUF", 4);
    put_int(b, version, 4);
    put_int(b, tensors, 8);
    put_int(b, items, 8);
}

static inline void put_key(bytes *b, const char *key, uint32_t type)
{
    put_text(b, key);
    put_int(b, type, 4);
}

static inline void put_number(bytes *b, const char *key, uint32_t type, uint64_t value, int size)
{
    put_key(b, key, type);
    put_int(b, value, size);
}

static inline void put_string(bytes *b, const char *key, const char *value)
{
    put_key(b, key, 8);
    put_text(b, value);
}

static inline void put_array(bytes *b, const char *key, uint32_t type, uint64_t count)
{
    put_key(b, key, 9);
    put_int(b, type, 4);
    put_int(b, count, 8);
}

/* Extents as the format has them: the contiguous one first. */
static inline void put_tensor(bytes *b, const char *name, int rank, uint64_t cols, uint64_t rows,
                              uint32_t type, uint64_t offset)
{
    put_text(b, name);
    put_int(b, (uint64_t)rank, 4);
    if (rank > 0)
        put_int(b, cols, 8);
    if (rank > 1)
        put_int(b, rows, 8);
    for (int i = 2; i < rank; i++)
        put_int(b, 1, 8);
    put_int(b, type, 4);
    put_int(b, offset, 8);
}

static inline void pad(bytes *b, size_t alignment)
{
    while (b->size % alignment)
        b->at[b->size++] = 0;
}

/* `count` bytes that depend on `seed`. */
static inline void put_noise(bytes *b, size_t count, uint32_t seed)
{
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        b->at[b->size++] = (unsigned char)(seed >> 24);
    }
}

#endif
