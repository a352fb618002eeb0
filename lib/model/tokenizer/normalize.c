#include "normalize.h"
#include "unicode.h"
#include "utf8.h"
#include <string.h>

normal_step *s24m_normalizer_add(normalizer *n, normal_kind kind, const char *name)
{
    if (n->count == NORMAL_STEPS) {
        s24m_fail(S24_E_UNSUPPORTED, "%s: more than %d steps normalise the text", name,
                  NORMAL_STEPS);
        return NULL;
    }
    n->steps[n->count] = (normal_step){.kind = kind};
    return &n->steps[n->count++];
}

void s24m_normalizer_free(normalizer *n)
{
    for (int i = 0; i < n->count; i++) {
        s24m_buffer_free(&n->steps[i].what);
        s24m_buffer_free(&n->steps[i].with);
        s24m_regex_close(n->steps[i].regex);
    }
    s24m_buffer_free(n->text);
    s24m_buffer_free(n->text + 1);
    s24m_ids_free(&n->work);
    s24m_regex_close(n->clusters);
    *n = (normalizer){0};
}

/* ---- Steps ---- */

static bool find_next(normal_step *s, const char *text, size_t size, size_t from, bool *found,
                      size_t *begin, size_t *end)
{
    if (s->regex)
        return s24m_regex_find(s->regex, text, size, from, found, begin, end);
    const char *at = s->what.size && from < size
                         ? memmem(text + from, size - from, s->what.data, s->what.size)
                         : NULL;
    *found = at;
    *begin = at ? (size_t)(at - text) : size;
    *end = *begin + s->what.size;
    return true;
}

static bool replace(buffer *out, normal_step *s, const char *text, size_t size)
{
    size_t copied = 0, from = 0;
    bool found = true;
    while (from <= size) {
        size_t begin, end;
        if (!find_next(s, text, size, from, &found, &begin, &end))
            return false;
        if (!found)
            break;
        if (!s24m_buffer_add(out, text + copied, begin - copied) ||
            !s24m_buffer_add(out, s->with.data, s->with.size))
            return false;
        copied = end;
        from = end > begin ? end : end < size ? end + s24m_utf8_step(text + end) : size + 1;
    }
    return s24m_buffer_add(out, text + copied, size - copied);
}

static bool strip(buffer *out, const normal_step *s, const char *text, size_t size)
{
    size_t from = 0, to = size;
    while (s->left && from < to && s24m_is_blank(s24m_utf8_at(text + from)))
        from += s24m_utf8_step(text + from);
    while (s->right && to > from) {
        size_t at = to - 1;
        while (((unsigned char)text[at] & 0xc0) == 0x80)
            at--;
        if (!s24m_is_blank(s24m_utf8_at(text + at)))
            break;
        to = at;
    }
    return s24m_buffer_add(out, text + from, to - from);
}

static bool drop_marks(buffer *out, const char *text, size_t size)
{
    bool done = true;
    for (size_t i = 0, step; done && i < size; i += step) {
        step = s24m_utf8_step(text + i);
        if (!s24m_is_mark(s24m_utf8_at(text + i)))
            done = s24m_buffer_add(out, text + i, step);
    }
    return done;
}

static bool apply(normalizer *n, normal_step *s, buffer *out, const char *text, size_t size)
{
    switch (s->kind) {
    case NORMAL_FORM:
        return s24m_normal_form(out, &n->work, text, size, s->compatible, s->compose);
    case NORMAL_LOWER:
        return s24m_lower_case(out, text, size);
    case NORMAL_REPLACE:
        return replace(out, s, text, size);
    case NORMAL_PREPEND:
        return s24m_buffer_add(out, s->with.data, size ? s->with.size : 0) &&
               s24m_buffer_add(out, text, size);
    case NORMAL_STRIP:
        return strip(out, s, text, size);
    case NORMAL_MARKS:
        return drop_marks(out, text, size);
    default:
        return (n->clusters || s24m_regex_clusters(&n->clusters)) &&
               s24m_charsmap(out, &s->what, n->clusters, text, size);
    }
}

static bool is_ascii(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] & 0x80)
            return false;
    return true;
}

bool s24m_normalize(normalizer *n, const char **text, size_t *size)
{
    int turn = 0;
    for (int i = 0; i < n->count; i++) {
        if (n->steps[i].kind == NORMAL_FORM && is_ascii(*text, *size))
            continue;
        buffer *out = n->text + turn;
        out->size = 0;
        if (!apply(n, n->steps + i, out, *text, *size) || !s24m_buffer_add(out, "", 1))
            return false;
        *text = out->data;
        *size = out->size - 1;
        turn = !turn;
    }
    return true;
}
