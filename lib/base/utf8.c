#include "utf8.h"
#include <string.h>

size_t s24i_utf8_length(const char *text, size_t size)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t length;
    unsigned char low = 0x80, high = 0xbf; /* of the second byte: no overlong form, no surrogate */

    if (size == 0)
        return 0;
    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    length = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (s[0] == 0xe0)
        low = 0xa0;
    else if (s[0] == 0xed)
        high = 0x9f;
    else if (s[0] == 0xf0)
        low = 0x90;
    else if (s[0] == 0xf4)
        high = 0x8f;
    if (size < length || s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    }
    return length;
}

bool s24i_utf8_valid(const char *text)
{
    size_t left = strlen(text), length;

    for (; left; text += length, left -= length) {
        length = s24i_utf8_length(text, left);
        if (length == 0)
            return false;
    }
    return true;
}
