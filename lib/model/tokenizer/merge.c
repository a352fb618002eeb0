#include "merge.h"
#include "utf8.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- Rules ---- */

static uint64_t key_of(int32_t left, int32_t right)
{
    return ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) + 1;
}

static merge *slot_of(const merger *m, uint64_t pair)
{
    size_t i = (size_t)(pair * 0x9e3779b97f4a7c15u >> 20) & m->mask;
    while (m->merges[i].pair && m->merges[i].pair != pair)
        i = (i + 1) & m->mask;
    return m->merges + i;
}

bool s24m_merger_open(merger *m, size_t pairs)
{
    size_t slots = 16;
    while (slots < 2 * pairs)
        slots *= 2;
    m->mask = slots - 1;
    m->merges = s24m_have(calloc(slots, sizeof *m->merges));
    return m->merges;
}

void s24m_merger_add(merger *m, int32_t left, int32_t right, int32_t rank, int32_t id)
{
    uint64_t pair = key_of(left, right);
    *slot_of(m, pair) = (merge){pair, rank, id};
}

typedef struct scored {
    double score;
    int32_t id;
} scored;

static int by_score(const void *a, const void *b)
{
    double x = ((const scored *)a)->score, y = ((const scored *)b)->score;
    return (x < y) - (x > y);
}

bool s24m_merger_rank(merger *m, const vocabulary *v)
{
    scored *order = s24m_have(malloc(v->count * sizeof *order + 1));
    m->ranks = order ? s24m_have(calloc(v->count + 1, sizeof *m->ranks)) : NULL;
    for (size_t i = 0; m->ranks && i < v->count; i++)
        order[i] = (scored){v->pieces[i].score, (int32_t)i};
    if (m->ranks)
        qsort(order, v->count, sizeof *order, by_score);
    /* Equal scores have equal ranks. */
    for (size_t i = 1; m->ranks && i < v->count; i++)
        m->ranks[order[i].id] =
            order[i].score < order[i - 1].score ? (int32_t)i : m->ranks[order[i - 1].id];
    free(order);
    return m->ranks;
}

void s24m_merger_free(merger *m)
{
    free(m->merges);
    free(m->ranks);
    free(m->symbols);
    free(m->heap);
    *m = (merger){0};
}

/* ---- The queue of pairs ---- */

static bool goes_first(const candidate *a, const candidate *b)
{
    return a->rank < b->rank || (a->rank == b->rank && a->left < b->left);
}

static bool push(merger *m, candidate c)
{
    void *heap = m->heap;
    if (!s24m_grow(&heap, &m->heap_room, m->heap_count, 1, sizeof *m->heap))
        return false;
    m->heap = heap;
    size_t i = m->heap_count++;
    for (; i && goes_first(&c, m->heap + (i - 1) / 2); i = (i - 1) / 2)
        m->heap[i] = m->heap[(i - 1) / 2];
    m->heap[i] = c;
    return true;
}

static candidate pop(merger *m)
{
    candidate first = m->heap[0], last = m->heap[--m->heap_count];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < m->heap_count) {
        child += child + 1 < m->heap_count && goes_first(m->heap + child + 1, m->heap + child);
        if (!goes_first(m->heap + child, &last))
            break;
        m->heap[i] = m->heap[child];
        i = child;
    }
    m->heap[i] = last;
    return first;
}

/* ---- A word ---- */

typedef struct word {
    merger *m;
    const vocabulary *v;
    const char *text;
    size_t size, count; /* of symbols */
} word;

static bool consider(const word *w, int32_t left)
{
    const symbol *s = w->m->symbols;
    int32_t right = left < 0 ? -1 : s[left].next;
    if (right < 0)
        return true;
    candidate c = {.left = left, .size = s[left].size + s[right].size};
    if (w->m->merges) {
        const merge *m = slot_of(w->m, key_of(s[left].id, s[right].id));
        if (!m->pair || s[left].id < 0 || s[right].id < 0)
            return true;
        c.rank = m->rank;
        c.id = m->id;
    } else {
        c.id = s24m_vocabulary_find(w->v, w->text + s[left].at, c.size);
        if (c.id < 0)
            return true;
        c.rank = w->m->ranks[c.id];
    }
    return push(w->m, c);
}

static bool add_symbol(word *w, int32_t id, size_t at, size_t size)
{
    void *symbols = w->m->symbols;
    if (!s24m_grow(&symbols, &w->m->symbol_room, w->count, 1, sizeof *w->m->symbols))
        return false;
    w->m->symbols = symbols;
    w->m->symbols[w->count] =
        (symbol){(int32_t)w->count - 1, (int32_t)w->count + 1, id, at, (uint32_t)size};
    w->count++;
    return true;
}

/* Whether the bytes of a character all have pieces; a stray byte is one. */
static bool has_bytes(const word *w, size_t at, size_t step)
{
    int stray = s24m_utf8_stray(w->text + at);
    if (stray >= 0)
        return w->v->bytes[stray] >= 0;
    for (size_t i = 0; i < step; i++)
        if (w->v->bytes[(unsigned char)w->text[at + i]] < 0)
            return false;
    return true;
}

/* Before any merge if merges go by ids. A character's first byte carries its size, so that pairs
 * that changed are seen. */
static bool add_bytes(word *w, size_t at, size_t step)
{
    int stray = s24m_utf8_stray(w->text + at);
    if (stray >= 0)
        return add_symbol(w, w->v->bytes[stray], at, step);
    bool done = true;
    for (size_t i = 0; done && i < step; i++)
        done = add_symbol(w, w->v->bytes[(unsigned char)w->text[at + i]], at + i, 1);
    return done;
}

static bool add_character(word *w, size_t at, size_t step)
{
    uint32_t c = s24m_utf8_at(w->text + at);
    int32_t id = c < 512 ? w->v->letters[c] : s24m_vocabulary_find(w->v, w->text + at, step);
    merger *m = w->m;
    if (id >= 0 || !m->merges)
        return add_symbol(w, id, at, step);
    if (m->byte_fallback && has_bytes(w, at, step))
        return add_bytes(w, at, step);
    if (m->unknown < 0)
        return true;
    symbol *last = w->count ? m->symbols + w->count - 1 : NULL;
    if (m->fuse_unknown && last && last->id == m->unknown) {
        last->size += (uint32_t)step;
        return true;
    }
    return add_symbol(w, m->unknown, at, step);
}

static bool cut(word *w)
{
    bool done = true;
    for (size_t i = 0, step; done && i < w->size; i += step) {
        step = s24m_utf8_step(w->text + i);
        done = add_character(w, i, step);
    }
    if (done && w->count)
        w->m->symbols[w->count - 1].next = -1;
    return done;
}

static bool join(word *w)
{
    merger *m = w->m;
    bool done = true;
    m->heap_count = 0;
    for (size_t i = 0; done && i + 1 < w->count; i++)
        done = consider(w, (int32_t)i);
    while (done && m->heap_count) {
        candidate c = pop(m);
        symbol *left = m->symbols + c.left, *right = m->symbols + left->next;
        if (!left->size || left->next < 0 || left->size + right->size != c.size)
            continue;
        left->size = c.size;
        left->id = c.id;
        left->next = right->next;
        right->size = 0;
        if (left->next >= 0)
            m->symbols[left->next].prev = c.left;
        done = consider(w, left->prev) && consider(w, c.left);
    }
    return done;
}

/* What is no piece: its bytes, or unknown. */
static bool give_unknown(const word *w, const symbol *s, bool *before, id_list *ids)
{
    const merger *m = w->m;
    bool fused = *before && m->fuse_unknown, done = true;
    if (m->byte_fallback && has_bytes(w, s->at, s->size)) {
        int stray = s24m_utf8_stray(w->text + s->at);
        *before = false;
        if (stray >= 0)
            return s24m_ids_add(ids, w->v->bytes[stray]);
        for (uint32_t i = 0; done && i < s->size; i++)
            done = s24m_ids_add(ids, w->v->bytes[(unsigned char)w->text[s->at + i]]);
        return done;
    }
    *before = true;
    return fused || m->unknown < 0 || s24m_ids_add(ids, m->unknown);
}

static bool give(const word *w, id_list *ids)
{
    const symbol *s = w->m->symbols;
    bool before = false, done = true;
    for (int32_t i = w->count ? 0 : -1; done && i >= 0; i = s[i].next) {
        if (s[i].id < 0) {
            done = give_unknown(w, s + i, &before, ids);
            continue;
        }
        before = false;
        done = s24m_ids_add(ids, s[i].id);
    }
    return done;
}

bool s24m_merge_word(merger *m, const vocabulary *v, const char *text, size_t size, id_list *ids)
{
    word w = {m, v, text, size, 0};
    if (size > INT32_MAX - 1)
        return s24m_wrong(S24_E_UNSUPPORTED,
                          "a word of %zu bytes: at most %d can be taken, so put line ends or blanks"
                          " in between",
                          size, INT32_MAX - 1);
    int32_t id = m->whole ? s24m_vocabulary_find(v, text, size) : -1;
    if (id >= 0)
        return s24m_ids_add(ids, id);
    return cut(&w) && join(&w) && give(&w, ids);
}
