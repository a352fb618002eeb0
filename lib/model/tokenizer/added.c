#include "added.h"
#include "unicode.h"
#include "utf8.h"
#include <stdlib.h>

bool s24m_added_add(added_list *a, added_token token, const char *text, size_t size)
{
    void *tokens = a->tokens;
    if (!size)
        return true;
    if (!s24m_grow(&tokens, &a->room, a->count, 1, sizeof *a->tokens))
        return false;
    a->tokens = tokens;
    token.at = a->text.size;
    token.size = size;
    a->tokens[a->count] = token;
    (token.normalized ? a->starts_normal : a->starts_raw)[(unsigned char)*text] = true;
    return s24m_buffer_add(&a->text, text, size) &&
           s24m_trie_add(token.normalized ? &a->normal : &a->raw, text, size, (int32_t)a->count++);
}

void s24m_added_free(added_list *a)
{
    s24m_buffer_free(&a->text);
    s24m_trie_free(&a->raw);
    s24m_trie_free(&a->normal);
    free(a->tokens);
    *a = (added_list){0};
}

/* The longest token that begins here, -1: none. */
static int32_t longest(const trie *t, const char *text, size_t size)
{
    int32_t node = 0, best = -1;
    for (size_t i = 0; node >= 0 && i < size; i++) {
        node = s24m_trie_step(t, node, text[i]);
        if (node >= 0 && s24m_trie_value(t, node) >= 0)
            best = s24m_trie_value(t, node);
    }
    return best;
}

static size_t before(const char *text, size_t at)
{
    do
        at--;
    while (((unsigned char)text[at] & 0xc0) == 0x80);
    return at;
}

static bool within_word(const char *text, size_t size, size_t begin, size_t end)
{
    return (begin && s24m_is_word(s24m_utf8_at(text + before(text, begin)))) ||
           (end < size && s24m_is_word(s24m_utf8_at(text + end)));
}

static void stretch(const added_token *token, const char *text, size_t size, size_t from,
                    added_match *m)
{
    while (token->left && m->begin > from) {
        size_t at = before(text, m->begin);
        if (!s24m_is_blank(s24m_utf8_at(text + at)))
            break;
        m->begin = at;
    }
    while (token->right && m->end < size && s24m_is_blank(s24m_utf8_at(text + m->end)))
        m->end += s24m_utf8_step(text + m->end);
}

bool s24m_added_find(const added_list *a, bool normalized, bool special, const char *text,
                     size_t size, size_t from, added_match *m)
{
    const bool *starts = normalized ? a->starts_normal : a->starts_raw;
    const trie *t = normalized ? &a->normal : &a->raw;
    for (size_t i = from; t->nodes && i < size; i++) {
        if (!starts[(unsigned char)text[i]])
            continue;
        int32_t index = longest(t, text + i, size - i);
        if (index < 0)
            continue;
        const added_token *token = a->tokens + index;
        if ((token->special && !special) ||
            (token->word && within_word(text, size, i, i + token->size))) {
            i += token->size - 1; /* what is passed over is passed over as a whole */
            continue;
        }
        *m = (added_match){i, i + token->size, token->id};
        stretch(token, text, size, from, m);
        return true;
    }
    return false;
}
