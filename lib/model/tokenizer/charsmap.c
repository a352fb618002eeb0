/* SentencePiece's precompiled_charsmap: four bytes with the size of a double array, the array, and
 * texts that end with NUL. The trie is that of Darts-clone: Yata 2008. */
#include "normalize.h"
#include "utf8.h"
#include <string.h>

static uint32_t word_at(const buffer *table, size_t index)
{
    const unsigned char *s = (const unsigned char *)table->data + 4 + 4 * index;
    return (uint32_t)s[0] | (uint32_t)s[1] << 8 | (uint32_t)s[2] << 16 | (uint32_t)s[3] << 24;
}

static size_t units(const buffer *table)
{
    const unsigned char *s = (const unsigned char *)table->data;
    return ((uint32_t)s[0] | (uint32_t)s[1] << 8 | (uint32_t)s[2] << 16 | (uint32_t)s[3] << 24) / 4;
}

bool s24m_charsmap_check(const buffer *table, const char *name)
{
    size_t size = table->size;
    bool right =
        size > 9 && units(table) > 0 && units(table) <= (size - 5) / 4 && !table->data[size - 1];
    return right || s24m_wrong(S24_E_FORMAT,
                               "%s: precompiled_charsmap: %zu bytes that are no table", name, size);
}

static uint32_t offset_of(uint32_t unit)
{
    return unit >> 10 << ((unit & 1u << 9) >> 6);
}

/* The text that the shortest key which text[0 .. size) begins with stands for; NULL: none. As the
 * reference does, a NUL byte ends it. */
static const char *find(const buffer *table, const char *text, size_t size)
{
    size_t count = units(table), at = 0;
    uint32_t unit = word_at(table, 0);
    at ^= offset_of(unit);
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        at ^= c;
        if (!c || at >= count)
            return NULL;
        unit = word_at(table, at);
        if ((unit & (1u << 31 | 0xff)) != c)
            return NULL;
        at ^= offset_of(unit);
        if (at >= count)
            return NULL;
        if (unit >> 8 & 1) {
            size_t value = word_at(table, at) & ((1u << 31) - 1), from = 4 + 4 * count;
            return value < table->size - from ? table->data + from + value : NULL;
        }
    }
    return NULL;
}

/* A cluster of less than six bytes as a whole, else its characters. */
static bool add_cluster(buffer *out, const buffer *table, const char *text, size_t size)
{
    const char *whole = size < 6 ? find(table, text, size) : NULL;
    if (whole)
        return s24m_buffer_add(out, whole, strlen(whole));
    bool done = true;
    for (size_t i = 0, step; done && i < size; i += step) {
        step = s24m_utf8_step(text + i);
        const char *found = find(table, text + i, step);
        done = s24m_buffer_add(out, found ? found : text + i, found ? strlen(found) : step);
    }
    return done;
}

bool s24m_charsmap(buffer *out, const buffer *table, regex *clusters, const char *text, size_t size)
{
    bool found = true, done = true;
    for (size_t at = 0; done && at < size;) {
        size_t begin = at, end = at + 1;
        if (at + 1 == size || (unsigned char)text[at] < 0x80) {
            /* Of plain letters each is a cluster, unless a mark follows or CR LF stand together. */
            bool alone = at + 1 == size || ((unsigned char)text[at + 1] < 0x80 && text[at] != '\r');
            if (alone) {
                done = add_cluster(out, table, text + at, 1);
                at++;
                continue;
            }
        }
        done = s24m_regex_find(clusters, text, size, at, &found, &begin, &end);
        if (done && !found)
            begin = at, end = size;
        done = done && add_cluster(out, table, text + at, end - at);
        at = end;
    }
    return done;
}
