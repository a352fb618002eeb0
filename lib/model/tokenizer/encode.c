#include "tokenizer.h"
#include "utf8.h"
#include <stdlib.h>
#include <string.h>

enum { MEMOS = 1 << 15 };

/* ---- Words ---- */

static bool word_anew(tokenizer *t, const char *text, size_t size)
{
    return t->model == MODEL_MERGE ? s24m_merge_word(&t->merger, &t->words, text, size, &t->ids)
                                   : s24m_unigram_word(&t->unigram, &t->words, text, size, &t->ids);
}

static bool on_word(void *arg, const char *text, size_t size)
{
    tokenizer *t = arg;
    if (size > sizeof t->memos->word)
        return word_anew(t, text, size);
    memo *m = t->memos + (s24m_hash(text, size) & (MEMOS - 1));
    if (m->size != size || memcmp(m->word, text, size)) {
        size_t before = t->ids.count;
        if (!word_anew(t, text, size))
            return false;
        size_t made = t->ids.count - before;
        if (made > sizeof m->ids / sizeof *m->ids)
            return true;
        m->size = (uint8_t)size;
        m->count = (uint8_t)made;
        memcpy(m->word, text, size);
        if (made)
            memcpy(m->ids, t->ids.ids + before, made * sizeof *m->ids);
        return true;
    }
    bool done = true;
    for (uint8_t i = 0; done && i < m->count; i++)
        done = s24m_ids_add(&t->ids, m->ids[i]);
    return done;
}

/* ---- Texts ---- */

/* What lies between tokens that are looked for behind the normaliser. */
static bool encode_normal(tokenizer *t, const char *text, size_t size, bool first, bool special)
{
    size_t from = 0;
    added_match m;
    bool done = true;
    while (done && s24m_added_find(&t->added, true, special, text, size, from, &m)) {
        done = s24m_split(&t->split, text + from, m.begin - from, first && !from, on_word, t) &&
               s24m_ids_add(&t->ids, m.id);
        from = m.end;
    }
    return done && s24m_split(&t->split, text + from, size - from, first && !from, on_word, t);
}

static bool encode_raw(tokenizer *t, const char *text, size_t size, bool first, bool special)
{
    return s24m_normalize(&t->normal, &text, &size) && encode_normal(t, text, size, first, special);
}

bool s24m_tokenizer_encode(tokenizer *t, const char *text, size_t size, bool special)
{
    size_t from = 0;
    added_match m;
    bool done = true;
    if (!s24m_utf8_clean(text, size)) {
        t->clean.size = 0;
        if (!s24m_utf8_take(&t->clean, text, size))
            return false;
        text = t->clean.data;
        size = t->clean.size;
    }
    while (done && s24m_added_find(&t->added, false, special, text, size, from, &m)) {
        done = encode_raw(t, text + from, m.begin - from, !from, special) &&
               s24m_ids_add(&t->ids, m.id);
        from = m.end;
    }
    return done && encode_raw(t, text + from, size - from, !from, special);
}

/* ---- The whole ---- */

bool s24m_tokenizer_finish(tokenizer *t, const char *name)
{
    t->memos = s24m_have(calloc(MEMOS, sizeof *t->memos));
    return t->memos && s24m_vocabulary_index(&t->words, name);
}

void s24m_tokenizer_free(tokenizer *t)
{
    s24m_vocabulary_free(&t->words);
    s24m_added_free(&t->added);
    s24m_normalizer_free(&t->normal);
    s24m_splitter_free(&t->split);
    s24m_merger_free(&t->merger);
    s24m_unigram_free(&t->unigram);
    s24m_ids_free(&t->prefix);
    s24m_ids_free(&t->suffix);
    s24m_ids_free(&t->ids);
    s24m_buffer_free(&t->clean);
    s24m_buffer_free(&t->text);
    free(t->memos);
}

bool s24m_tokenizer_blanks(tokenizer *t, bool prefix, const char *name)
{
    normal_step *step = prefix ? s24m_normalizer_add(&t->normal, NORMAL_PREPEND, name) : NULL;
    if (prefix && (!step || !s24m_buffer_add(&step->with, S24M_BLANK, 3)))
        return false;
    step = s24m_normalizer_add(&t->normal, NORMAL_REPLACE, name);
    return step && s24m_buffer_add(&step->what, " ", 1) &&
           s24m_buffer_add(&step->with, S24M_BLANK, 3);
}

/* Whether a piece has a blank behind anything else. */
static bool has_inner_blank(const char *text, size_t size)
{
    size_t i = 0;
    while (i + 3 <= size && !memcmp(text + i, S24M_BLANK, 3))
        i += 3;
    return i < size && memmem(text + i, size - i, S24M_BLANK, 3);
}

bool s24m_tokenizer_cut_blanks(tokenizer *t, const char *name)
{
    static const char pattern[] = S24M_BLANK "*[^" S24M_BLANK "]+|" S24M_BLANK "+";
    const vocabulary *v = &t->words;
    if (t->merger.whole || s24m_vocabulary_find(v, S24M_BLANK, 3) < 0)
        return true;
    for (size_t id = 0; id < v->count; id++) {
        const piece *p = v->pieces + id;
        if (p->kind && !p->hidden && has_inner_blank(s24m_vocabulary_text(v, (int32_t)id), p->size))
            return true;
    }
    return s24m_split_add_cut(&t->split, pattern, sizeof pattern - 1, ISOLATED, false, name);
}
