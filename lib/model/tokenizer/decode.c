#include "tokenizer.h"
#include "utf8.h"
#include <string.h>

/* A piece whose characters are all letters of bytes; any other is shown as it is. */
static bool add_letters(buffer *out, const char *text, size_t size)
{
    size_t before = out->size;
    for (size_t i = 0; i < size; i += s24m_utf8_step(text + i)) {
        int byte = s24m_letter_byte(s24m_utf8_at(text + i));
        if (byte < 0) {
            out->size = before;
            return s24m_buffer_add(out, text, size);
        }
        if (!s24m_buffer_add(out, &(char){(char)byte}, 1))
            return false;
    }
    return true;
}

static bool add_blanks(buffer *out, const char *text, size_t size, const piece *p)
{
    int byte = s24m_vocabulary_byte(text, size);
    bool done = true;
    if (byte >= 0 && p->kind != PIECE_USER)
        return s24m_buffer_add(out, &(char){(char)byte}, 1);
    for (size_t i = 0, step; done && i < size; i += step) {
        bool blank = size - i >= 3 && !memcmp(text + i, S24M_BLANK, 3);
        step = blank ? 3 : s24m_utf8_step(text + i);
        done = s24m_buffer_add(out, blank ? " " : text + i, blank ? 1 : step);
    }
    return done;
}

static bool add_piece(tokenizer *t, int32_t id)
{
    const char *text = s24m_vocabulary_text(&t->words, id);
    const piece *p = t->words.pieces + id;
    switch (t->decode) {
    case DECODE_LETTERS:
        return add_letters(&t->text, text, p->size);
    case DECODE_BLANKS:
        return add_blanks(&t->text, text, p->size, p);
    default:
        return s24m_buffer_add(&t->text, text, p->size);
    }
}

bool s24m_tokenizer_decode(tokenizer *t, const int32_t *ids, size_t count, bool first, bool special)
{
    const vocabulary *v = &t->words;
    size_t before = t->text.size;
    for (size_t i = 0; i < count; i++) {
        int32_t id = ids[i];
        if (id < 0 || (size_t)id >= v->count || !v->pieces[id].kind)
            return s24m_wrong(S24_E_ARG, "id %zu is %d, but the vocabulary's are 0 .. %zu%s", i,
                              (int)id, v->count - 1,
                              id < 0 || (size_t)id >= v->count ? ""
                                                               : ", and this one has no piece");
        if ((v->pieces[id].kind == PIECE_CONTROL || v->pieces[id].kind == PIECE_UNKNOWN) &&
            !special)
            continue;
        if (!add_piece(t, id))
            return false;
    }
    bool stripped = t->strip_first && first && t->text.size > before && t->text.data[before] == ' ';
    if (stripped) {
        t->text.size--;
        memmove(t->text.data + before, t->text.data + before + 1, t->text.size - before);
    }
    return true;
}
