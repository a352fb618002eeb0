#include "vocabulary.h"
#include "utf8.h"
#include <stdlib.h>
#include <string.h>

uint64_t s24m_hash(const char *text, size_t size)
{
    uint64_t h = 0x9e3779b97f4a7c15u ^ size, word;
    for (; size >= 8; size -= 8, text += 8) {
        memcpy(&word, text, 8);
        h = (h ^ word) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    for (; size; size--, text++)
        h = (h ^ (unsigned char)*text) * 0x100000001b3u;
    h = (h ^ h >> 29) * 0xc4ceb9fe1a85ec53u;
    return h ^ h >> 32;
}

/* Ids up to this one exist, though they may be missing. */
static bool reach(vocabulary *v, size_t count)
{
    void *pieces = v->pieces;
    if (count <= v->count)
        return true;
    if (!s24m_grow(&pieces, &v->room, v->count, count - v->count, sizeof *v->pieces))
        return false;
    v->pieces = pieces;
    memset(v->pieces + v->count, 0, (count - v->count) * sizeof *v->pieces);
    v->count = count;
    return true;
}

bool s24m_vocabulary_add(vocabulary *v, int32_t id, const char *text, size_t size, piece_kind kind,
                         double score, const char *name)
{
    if (id < 0 || id >= VOCABULARY_MOST)
        return s24m_wrong(S24_E_FORMAT, "%s: the id %d is not in 0 .. %d", name, (int)id,
                          VOCABULARY_MOST - 1);
    if (!reach(v, (size_t)id + 1))
        return false;
    piece *p = v->pieces + id;
    if (p->kind)
        return s24m_wrong(S24_E_FORMAT, "%s: two pieces have the id %d", name, (int)id);
    bool hidden = kind == PIECE_UNKNOWN || kind == PIECE_CONTROL || kind == PIECE_BYTE;
    *p = (piece){v->text.size, (uint32_t)size, kind, hidden, score};
    v->longest = v->longest < p->size ? p->size : v->longest;
    return s24m_buffer_add(&v->text, text, size) && s24m_buffer_add(&v->text, "", 1);
}

const char *s24m_vocabulary_text(const vocabulary *v, int32_t id)
{
    return v->text.data + v->pieces[id].at;
}

/* Where the piece is, or would be. */
static size_t slot_of(const vocabulary *v, const char *text, size_t size)
{
    size_t i = s24m_hash(text, size) & v->mask;
    for (int32_t id; (id = v->slots[i]) >= 0; i = (i + 1) & v->mask)
        if (v->pieces[id].size == size && !memcmp(s24m_vocabulary_text(v, id), text, size))
            break;
    return i;
}

int32_t s24m_vocabulary_find_any(const vocabulary *v, const char *text, size_t size)
{
    return size && size <= v->longest ? v->slots[slot_of(v, text, size)] : -1;
}

int32_t s24m_vocabulary_find(const vocabulary *v, const char *text, size_t size)
{
    int32_t id = s24m_vocabulary_find_any(v, text, size);
    return id >= 0 && !v->pieces[id].hidden ? id : -1;
}

int s24m_vocabulary_byte(const char *text, size_t size)
{
    static const char digits[] = "0123456789ABCDEF";
    if (size != 6 || memcmp(text, "<0x", 3) || text[5] != '>' || !text[3] || !text[4])
        return -1;
    const char *high = strchr(digits, text[3]), *low = strchr(digits, text[4]);
    return high && low ? (int)((high - digits) << 4 | (low - digits)) : -1;
}

static void find_letters(vocabulary *v)
{
    for (uint32_t c = 0; c < 512; c++) {
        char text[4];
        v->letters[c] = s24m_vocabulary_find(v, text, s24m_utf8_put(c, text));
    }
    memset(v->bytes, -1, sizeof v->bytes);
    for (size_t id = 0; id < v->count; id++) {
        int byte = s24m_vocabulary_byte(s24m_vocabulary_text(v, (int32_t)id), v->pieces[id].size);
        if (byte >= 0 && v->pieces[id].kind)
            v->bytes[byte] = (int32_t)id;
    }
}

bool s24m_vocabulary_index(vocabulary *v, const char *name)
{
    size_t slots = 16;
    while (slots < 2 * v->count)
        slots *= 2;
    v->slots = s24m_have(malloc(slots * sizeof *v->slots));
    if (!v->slots)
        return false;
    memset(v->slots, -1, slots * sizeof *v->slots);
    v->mask = slots - 1;
    for (size_t id = 0; id < v->count; id++) {
        const piece *p = v->pieces + id;
        if (!p->kind || !p->size)
            continue;
        int32_t *slot = v->slots + slot_of(v, s24m_vocabulary_text(v, (int32_t)id), p->size);
        if (*slot >= 0)
            return s24m_wrong(S24_E_FORMAT, "%s: the ids %d and %zu have the same piece '%.*s'",
                              name, (int)*slot, id, (int)(p->size < 40 ? p->size : 40),
                              s24m_vocabulary_text(v, (int32_t)id));
        *slot = (int32_t)id;
    }
    find_letters(v);
    return true;
}

void s24m_vocabulary_free(vocabulary *v)
{
    s24m_buffer_free(&v->text);
    free(v->pieces);
    free(v->slots);
    *v = (vocabulary){0};
}
