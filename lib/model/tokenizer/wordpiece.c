#include "wordpiece.h"
#include "utf8.h"

void s24m_wordpiece_free(wordpiece *w)
{
    s24m_buffer_free(&w->prefix);
    s24m_buffer_free(&w->scratch);
}

static bool is_long(const wordpiece *w, const char *text, size_t size)
{
    int32_t count = 0;
    for (size_t i = 0; i < size && count <= w->most; i += s24m_utf8_step(text + i))
        count++;
    return count > w->most;
}

/* The longest piece of text[0 .. *size), whose size is returned in it; -1: there is none. */
static int32_t longest(const vocabulary *v, const char *text, size_t *size, size_t prefix)
{
    while (*size > prefix) {
        int32_t id = s24m_vocabulary_find(v, text, *size);
        if (id >= 0)
            return id;
        do
            --*size;
        while (*size > prefix && ((unsigned char)text[*size] & 0xc0) == 0x80);
    }
    return -1;
}

static bool give_unknown(const wordpiece *w, size_t before, id_list *ids)
{
    ids->count = before;
    return s24m_ids_add(ids, w->unknown);
}

bool s24m_wordpiece_word(wordpiece *w, const vocabulary *v, const char *text, size_t size,
                         id_list *ids)
{
    size_t before = ids->count, at = 0, prefix = w->prefix.size;
    if (is_long(w, text, size))
        return give_unknown(w, before, ids);
    while (at < size) {
        size_t put = at ? prefix : 0, length = put + size - at;
        w->scratch.size = 0;
        if (!s24m_buffer_add(&w->scratch, w->prefix.data, put) ||
            !s24m_buffer_add(&w->scratch, text + at, size - at))
            return false;
        int32_t id = longest(v, w->scratch.data, &length, put);
        if (id < 0)
            return give_unknown(w, before, ids);
        if (!s24m_ids_add(ids, id))
            return false;
        at += length - put;
    }
    return true;
}
