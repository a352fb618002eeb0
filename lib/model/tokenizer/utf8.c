#include "utf8.h"

static bool is_tail(const unsigned char *s, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if ((s[i] & 0xc0) != 0x80)
            return false;
    return true;
}

size_t s24m_utf8_length(const char *text, size_t size)
{
    const unsigned char *s = (const unsigned char *)text;
    if (!size)
        return 0;
    if (s[0] < 0x80)
        return 1;
    size_t length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || size < length || !is_tail(s, 1, length))
        return 0;
    bool wrong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
                 (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f);
    return wrong ? 0 : length;
}

size_t s24m_utf8_step(const char *text)
{
    unsigned char first = (unsigned char)*text;
    return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

uint32_t s24m_utf8_at(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    switch (s24m_utf8_step(text)) {
    case 1:
        return s[0];
    case 2:
        return (uint32_t)(s[0] & 0x1f) << 6 | (s[1] & 0x3f);
    case 3:
        return (uint32_t)(s[0] & 0x0f) << 12 | (uint32_t)(s[1] & 0x3f) << 6 | (s[2] & 0x3f);
    default:
        return (uint32_t)(s[0] & 0x07) << 18 | (uint32_t)(s[1] & 0x3f) << 12 |
               (uint32_t)(s[2] & 0x3f) << 6 | (s[3] & 0x3f);
    }
}

size_t s24m_utf8_put(uint32_t c, char bytes[4])
{
    size_t length = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length - 1; i; i--, c >>= 6)
        bytes[i] = (char)(0x80 | (c & 0x3f));
    bytes[0] = (char)(first[length] | c);
    return length;
}

int s24m_utf8_stray(const char *text)
{
    if ((unsigned char)*text != 0xf4)
        return -1;
    uint32_t c = s24m_utf8_at(text);
    return c >= S24M_STRAY + 0x80 && c <= S24M_STRAY + 0xff ? (int)(c - S24M_STRAY) : -1;
}

bool s24m_utf8_clean(const char *text, size_t size)
{
    for (size_t i = 0, step; i < size; i += step) {
        step = s24m_utf8_length(text + i, size - i);
        if (!step || s24m_utf8_stray(text + i) >= 0)
            return false;
    }
    return true;
}

bool s24m_utf8_take(buffer *b, const char *text, size_t size)
{
    bool done = true;
    for (size_t i = 0, step; done && i < size; i += step) {
        char stray[4];
        step = s24m_utf8_length(text + i, size - i);
        if (step && s24m_utf8_stray(text + i) < 0) {
            done = s24m_buffer_add(b, text + i, step);
            continue;
        }
        step = 1;
        done = s24m_buffer_add(b, stray, s24m_utf8_put(S24M_STRAY + (unsigned char)text[i], stray));
    }
    return done;
}
