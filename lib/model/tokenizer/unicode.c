#include "unicode.h"
#include "utf8.h"
#include "unicode_tables.inc"
#include <stdlib.h>

#define SIZE(array) (sizeof(array) / sizeof *(array))

/* ---- Facts ---- */

/* Whether it is in one of the sorted ranges, first and last. */
static bool in_ranges(const uint32_t *ranges, size_t count, uint32_t c)
{
    size_t low = 0, high = count / 2;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (ranges[2 * middle + 1] < c)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count / 2 && ranges[2 * low] <= c;
}

bool s24m_is_blank(uint32_t c)
{
    return (c >= 9 && c <= 13) || c == 32 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}

bool s24m_is_word(uint32_t c)
{
    return in_ranges(word, SIZE(word), c);
}

bool s24m_is_mark(uint32_t c)
{
    return c >= 0x300 && in_ranges(marks, SIZE(marks), c);
}

/* Canonical combining class. */
static int32_t class_of(uint32_t c)
{
    size_t low = 0, high = SIZE(combining) / 3;
    if (c < 0x300)
        return 0;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (combining[3 * middle + 1] < c)
            low = middle + 1;
        else
            high = middle;
    }
    return low < SIZE(combining) / 3 && combining[3 * low] <= c ? (int32_t)combining[3 * low + 2]
                                                                : 0;
}

/* The index of a key, -1 if it is none. */
static int64_t find(const uint32_t *keys, size_t count, uint32_t c)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (keys[middle] < c)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && keys[low] == c ? (int64_t)low : -1;
}

/* ---- Decomposing ---- */

enum { HANGUL = 0xac00, LEAD = 0x1100, VOWEL = 0x1161, TAIL = 0x11a7, VOWELS = 21, TAILS = 28 };
enum { SYLLABLES = 19 * VOWELS * TAILS };

static bool add_all(id_list *out, const uint32_t *texts, size_t from, size_t to)
{
    bool done = true;
    for (size_t i = from; done && i < to; i++)
        done = s24m_ids_add(out, (int32_t)texts[i]);
    return done;
}

static bool add_syllable(id_list *out, uint32_t c)
{
    uint32_t s = c - HANGUL, tail = s % TAILS;
    return s24m_ids_add(out, (int32_t)(LEAD + s / (VOWELS * TAILS))) &&
           s24m_ids_add(out, (int32_t)(VOWEL + s / TAILS % VOWELS)) &&
           (!tail || s24m_ids_add(out, (int32_t)(TAIL + tail)));
}

static bool decompose(id_list *out, uint32_t c, bool compatible)
{
    if (c < 0xa0)
        return s24m_ids_add(out, (int32_t)c);
    if (c >= HANGUL && c < HANGUL + SYLLABLES)
        return add_syllable(out, c);
    int64_t i = compatible ? find(compatible_keys, SIZE(compatible_keys), c) : -1;
    if (i >= 0)
        return add_all(out, compatible_texts, compatible_starts[i], compatible_starts[i + 1]);
    i = find(canonical_keys, SIZE(canonical_keys), c);
    return i >= 0 ? add_all(out, canonical_texts, canonical_starts[i], canonical_starts[i + 1])
                  : s24m_ids_add(out, (int32_t)c);
}

typedef struct mark {
    int32_t class, c;
    size_t at;
} mark;

static int by_class(const void *a, const void *b)
{
    const mark *x = a, *y = b;
    return x->class != y->class ? (x->class > y->class) - (x->class < y->class)
                                : (x->at > y->at) - (x->at < y->at);
}

/* Nothing that people write, but it may not take the square of its length. */
static bool sort_long_run(int32_t *ids, size_t from, size_t to)
{
    mark *run = s24m_have(malloc((to - from) * sizeof *run));
    for (size_t i = from; run && i < to; i++)
        run[i - from] = (mark){class_of((uint32_t)ids[i]), ids[i], i};
    if (run)
        qsort(run, to - from, sizeof *run, by_class);
    for (size_t i = from; run && i < to; i++)
        ids[i] = run[i - from].c;
    free(run);
    return run != NULL;
}

static bool sort_run(int32_t *ids, size_t from, size_t to)
{
    if (to - from > 32)
        return sort_long_run(ids, from, to);
    for (size_t i = from + 1; i < to; i++) {
        int32_t c = ids[i], class = class_of((uint32_t)c);
        size_t at = i;
        for (; at > from && class_of((uint32_t)ids[at - 1]) > class; at--)
            ids[at] = ids[at - 1];
        ids[at] = c;
    }
    return true;
}

/* Marks that follow a character stand in the order of their classes. */
static bool order(id_list *list)
{
    for (size_t i = 0; i < list->count;) {
        size_t from = i++;
        if (!class_of((uint32_t)list->ids[from]))
            continue;
        while (i < list->count && class_of((uint32_t)list->ids[i]))
            i++;
        if (!sort_run(list->ids, from, i))
            return false;
    }
    return true;
}

/* ---- Composing ---- */

static uint32_t compose_hangul(uint32_t a, uint32_t b)
{
    if (a >= LEAD && a < LEAD + 19 && b >= VOWEL && b < VOWEL + VOWELS)
        return HANGUL + ((a - LEAD) * VOWELS + (b - VOWEL)) * TAILS;
    if (a >= HANGUL && a < HANGUL + SYLLABLES && (a - HANGUL) % TAILS == 0 && b > TAIL &&
        b < TAIL + TAILS)
        return a + (b - TAIL);
    return 0;
}

/* The whole of two characters, 0 if they have none. */
static uint32_t whole_of(uint32_t a, uint32_t b)
{
    size_t low = 0, high = SIZE(composed) / 3;
    uint64_t key = (uint64_t)a << 32 | b;
    uint32_t hangul = compose_hangul(a, b);
    if (hangul)
        return hangul;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (((uint64_t)composed[3 * middle] << 32 | composed[3 * middle + 1]) < key)
            low = middle + 1;
        else
            high = middle;
    }
    bool there = low < SIZE(composed) / 3 && composed[3 * low] == a && composed[3 * low + 1] == b;
    return there ? composed[3 * low + 2] : 0;
}

static void compose_all(id_list *list)
{
    int32_t *c = list->ids;
    size_t starter = SIZE_MAX, out = 0;
    int32_t last = 0; /* class of what stands behind the starter */
    for (size_t i = 0; i < list->count; i++) {
        int32_t class = class_of((uint32_t)c[i]);
        bool open = starter != SIZE_MAX && (out == starter + 1 || (last < class && last));
        uint32_t whole = open ? whole_of((uint32_t)c[starter], (uint32_t)c[i]) : 0;
        if (whole) {
            c[starter] = (int32_t)whole;
            continue;
        }
        if (!class)
            starter = out;
        last = class;
        c[out++] = c[i];
    }
    list->count = out;
}

bool s24m_normal_form(buffer *out, id_list *work, const char *text, size_t size, bool compatible,
                      bool compose)
{
    bool done = true;
    work->count = 0;
    for (size_t i = 0; done && i < size; i += s24m_utf8_step(text + i))
        done = decompose(work, s24m_utf8_at(text + i), compatible);
    done = done && order(work);
    if (done && compose)
        compose_all(work);
    for (size_t i = 0; done && i < work->count; i++) {
        char bytes[4];
        done = s24m_buffer_add(out, bytes, s24m_utf8_put((uint32_t)work->ids[i], bytes));
    }
    return done;
}

bool s24m_lower_case(buffer *out, const char *text, size_t size)
{
    bool done = true;
    for (size_t i = 0, step; done && i < size; i += step) {
        char bytes[4];
        step = s24m_utf8_step(text + i);
        int64_t at = find(lower_keys, SIZE(lower_keys), s24m_utf8_at(text + i));
        if (at < 0) {
            done = s24m_buffer_add(out, text + i, step);
            continue;
        }
        for (size_t j = lower_starts[at]; done && j < lower_starts[at + 1]; j++)
            done = s24m_buffer_add(out, bytes, s24m_utf8_put(lower_texts[j], bytes));
    }
    return done;
}
