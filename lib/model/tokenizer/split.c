#include "split.h"
#include "utf8.h"
#include <string.h>

/* ---- Steps ---- */

static split_step *add(splitter *s, split_kind kind, const char *name)
{
    if (s->count == SPLIT_STEPS) {
        s24m_fail(S24_E_UNSUPPORTED, "%s: more than %d steps cut the text", name, SPLIT_STEPS);
        return NULL;
    }
    s->steps[s->count] = (split_step){.kind = kind};
    return &s->steps[s->count++];
}

bool s24m_split_add_cut(splitter *s, const char *pattern, size_t size, behaviour how, bool invert,
                        const char *name)
{
    split_step *step = add(s, SPLIT_CUT, name);
    if (!step)
        return false;
    step->how = how;
    step->invert = invert;
    return s24m_regex_open(&step->regex, pattern, size, name);
}

bool s24m_split_add(splitter *s, split_kind kind, const char *text, bool first_only,
                    const char *name)
{
    split_step *step = add(s, kind, name);
    if (!step)
        return false;
    if (strlen(text) >= sizeof step->text)
        return s24m_wrong(S24_E_UNSUPPORTED, "%s: '%.40s' stands for blanks: too long", name, text);
    strcpy(step->text, text);
    step->first_only = first_only;
    return true;
}

bool s24m_split_has(const splitter *s, split_kind kind)
{
    for (int i = 0; i < s->count; i++)
        if (s->steps[i].kind == kind)
            return true;
    return false;
}

void s24m_splitter_free(splitter *s)
{
    for (int i = 0; i < s->count; i++) {
        s24m_regex_close(s->steps[i].regex);
        s24m_buffer_free(&s->steps[i].scratch);
    }
    s->count = 0;
}

/* ---- Letters ---- */

static bool is_plain(unsigned char byte)
{
    return (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
}

/* The other bytes, 0 .. 32, 127 .. 160 and 173, follow from 256 on, in this order. */
static uint32_t letter_of(unsigned char byte)
{
    return is_plain(byte) ? byte : byte <= 32 ? 256u + byte : byte <= 160 ? 162u + byte : 323u;
}

size_t s24m_letter(unsigned char byte, char text[4])
{
    return s24m_utf8_put(letter_of(byte), text);
}

int s24m_letter_byte(uint32_t c)
{
    if (c < 256)
        return is_plain((unsigned char)c) ? (int)c : -1;
    return c <= 288 ? (int)c - 256 : c <= 322 ? (int)c - 162 : c == 323 ? 173 : -1;
}

/* ---- A text ---- */

typedef struct span {
    const char *text;
    size_t size;
    bool first; /* it begins where the whole text does */
} span;

typedef struct work {
    splitter *s;
    word_fn word;
    void *arg;
} work;

static bool run(const work *w, int level, span piece);

/* A piece that may yet grow by the next, and whether its last part matched. */
typedef struct pending {
    size_t begin, end;
    bool there, matched;
} pending;

static bool joins(behaviour how, bool before, bool now)
{
    return (how == CONTIGUOUS && before == now) ||
           (how == MERGED_WITH_PREVIOUS && now && !before) ||
           (how == MERGED_WITH_NEXT && before && !now);
}

static bool give(const work *w, int level, span piece, const pending *p)
{
    if (!p->there || p->begin == p->end || (w->s->steps[level].how == REMOVED && p->matched))
        return true;
    return run(w, level + 1,
               (span){piece.text + p->begin, p->end - p->begin, piece.first && !p->begin});
}

static bool add_part(const work *w, int level, span piece, pending *p, size_t begin, size_t end,
                     bool matched)
{
    const split_step *step = &w->s->steps[level];
    matched ^= step->invert;
    if (p->there && joins(step->how, p->matched, matched)) {
        p->end = end;
        p->matched = matched;
        return true;
    }
    bool done = give(w, level, piece, p);
    *p = (pending){begin, end, true, matched};
    return done;
}

static bool cut(const work *w, int level, span piece)
{
    pending p = {0};
    size_t done_to = 0, from = 0;
    bool done = true, found = true;
    while (done && from <= piece.size) {
        size_t begin, end;
        done = s24m_regex_find(w->s->steps[level].regex, piece.text, piece.size, from, &found,
                               &begin, &end);
        if (!done || !found)
            break;
        if (begin > done_to)
            done = add_part(w, level, piece, &p, done_to, begin, false);
        done = done && add_part(w, level, piece, &p, begin, end, true);
        done_to = end;
        from = end > begin        ? end
               : end < piece.size ? end + s24m_utf8_step(piece.text + end)
                                  : piece.size + 1;
    }
    if (done && done_to < piece.size)
        done = add_part(w, level, piece, &p, done_to, piece.size, false);
    return done && give(w, level, piece, &p);
}

static bool to_letters(buffer *b, span piece)
{
    bool done = true;
    for (size_t i = 0; done && i < piece.size; i++) {
        char text[4];
        int stray = s24m_utf8_stray(piece.text + i);
        unsigned char byte = stray >= 0 ? (unsigned char)stray : (unsigned char)piece.text[i];
        done = s24m_buffer_add(b, text, s24m_letter(byte, text));
        i += stray >= 0 ? 3 : 0;
    }
    return done;
}

static bool replace(buffer *b, const char *with, span piece)
{
    size_t length = strlen(with);
    bool done = true;
    for (size_t i = 0, to; done && i < piece.size; i = to + 1) {
        const char *blank = memchr(piece.text + i, ' ', piece.size - i);
        to = blank ? (size_t)(blank - piece.text) : piece.size;
        done = s24m_buffer_add(b, piece.text + i, to - i) &&
               (!blank || s24m_buffer_add(b, with, length));
    }
    return done;
}

static bool starts(span piece, const char *text)
{
    size_t length = strlen(text);
    return piece.size >= length && !memcmp(piece.text, text, length);
}

static bool rewrite(const work *w, int level, span piece)
{
    split_step *step = &w->s->steps[level];
    buffer *b = &step->scratch;
    bool needed = step->kind != SPLIT_PREPEND ||
                  ((piece.first || !step->first_only) && !starts(piece, step->text));
    if (!needed)
        return run(w, level + 1, piece);
    b->size = 0;
    bool done = step->kind == SPLIT_LETTERS ? to_letters(b, piece)
                : step->kind == SPLIT_REPLACE
                    ? replace(b, step->text, piece)
                    : s24m_buffer_add(b, step->text, strlen(step->text)) &&
                          s24m_buffer_add(b, piece.text, piece.size);
    return done && run(w, level + 1, (span){b->data, b->size, piece.first});
}

static bool run(const work *w, int level, span piece)
{
    if (level == w->s->count)
        return w->word(w->arg, piece.text, piece.size);
    return w->s->steps[level].kind == SPLIT_CUT ? cut(w, level, piece) : rewrite(w, level, piece);
}

bool s24m_split(splitter *s, const char *text, size_t size, bool first, word_fn word, void *arg)
{
    work w = {s, word, arg};
    return !size || run(&w, 0, (span){text, size, first});
}
