#include "unigram.h"
#include "utf8.h"
#include <math.h>
#include <stdlib.h>

enum { PENALTY = 10 }; /* an unknown character is this much worse than the worst piece */

bool s24m_unigram_open(unigram *u, const vocabulary *v)
{
    double least = INFINITY;
    bool done = true;
    for (size_t id = 0; done && id < v->count; id++) {
        const piece *p = v->pieces + id;
        if (!p->kind || p->hidden || !p->size)
            continue;
        least = fmin(least, p->score);
        done =
            s24m_trie_add(&u->pieces, s24m_vocabulary_text(v, (int32_t)id), p->size, (int32_t)id);
    }
    u->unknown_score = least - PENALTY;
    return done;
}

void s24m_unigram_free(unigram *u)
{
    s24m_trie_free(&u->pieces);
    free(u->ways);
    *u = (unigram){0};
}

static void improve(way *w, double score, size_t from, int32_t id)
{
    if (w->from == SIZE_MAX || score > w->score)
        *w = (way){score, from, id};
}

/* All pieces that begin at `from`. */
static void extend(unigram *u, const vocabulary *v, const char *text, size_t size, size_t from)
{
    size_t step = s24m_utf8_step(text + from);
    double score = u->ways[from].score;
    bool single = false;
    int32_t node = 0;
    for (size_t at = from; u->pieces.nodes && at < size; at++) {
        node = s24m_trie_step(&u->pieces, node, text[at]);
        if (node < 0)
            break;
        int32_t id = s24m_trie_value(&u->pieces, node);
        if (id < 0)
            continue;
        improve(u->ways + at + 1, score + v->pieces[id].score, from, id == u->unknown ? -1 : id);
        single |= at + 1 - from == step;
    }
    if (!single)
        improve(u->ways + from + step, score + u->unknown_score, from, -1);
}

/* A run of characters without pieces. */
static bool give_unknown(const unigram *u, const vocabulary *v, const char *text, size_t size,
                         id_list *ids)
{
    bool bytes = u->byte_fallback, done = true;
    int32_t id = s24m_vocabulary_find(v, text, size);
    if (id >= 0)
        return s24m_ids_add(ids, id);
    for (size_t i = 0; bytes && i < size; i++) {
        int stray = s24m_utf8_stray(text + i);
        bytes = v->bytes[stray >= 0 ? stray : (unsigned char)text[i]] >= 0;
        i += stray >= 0 ? 3 : 0;
    }
    if (!bytes)
        return u->unknown < 0 || s24m_ids_add(ids, u->unknown);
    for (size_t i = 0; done && i < size; i++) {
        int stray = s24m_utf8_stray(text + i);
        done = s24m_ids_add(ids, v->bytes[stray >= 0 ? stray : (unsigned char)text[i]]);
        i += stray >= 0 ? 3 : 0;
    }
    return done;
}

/* The ways lead backwards; turn each piece's link around. */
static void turn(way *ways, size_t size)
{
    size_t to = size, next = SIZE_MAX;
    int32_t id = -1;
    for (bool more = true; more;) {
        way w = ways[to];
        ways[to] = (way){0, next, id};
        next = to;
        id = w.id;
        more = to > 0;
        to = more ? w.from : 0;
    }
}

bool s24m_unigram_word(unigram *u, const vocabulary *v, const char *text, size_t size, id_list *ids)
{
    void *ways = u->ways;
    if (!s24m_grow(&ways, &u->room, 0, size + 1, sizeof *u->ways))
        return false;
    u->ways = ways;
    for (size_t i = 0; i <= size; i++)
        u->ways[i] = (way){0, SIZE_MAX, -1};
    for (size_t i = 0; i < size; i += s24m_utf8_step(text + i))
        extend(u, v, text, size, i);
    turn(u->ways, size);
    bool done = true;
    for (size_t at = 0, to; done && at < size; at = to) {
        int32_t id = u->ways[at].id;
        to = u->ways[at].from;
        while (id < 0 && to < size && u->ways[to].id < 0)
            to = u->ways[to].from;
        done = id >= 0 ? s24m_ids_add(ids, id) : give_unknown(u, v, text + at, to - at, ids);
    }
    return done;
}
