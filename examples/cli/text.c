#include "text.h"
#include "message.h"
#include <sparse24/record.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* C0, C1, and Unicode's line ends and marks of direction: U+2028 to U+202E, U+2066 to U+2069. */
static bool is_control(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    return *s < 0x20 || *s == 0x7f || (*s == 0xc2 && s[1] < 0xa0) ||
           (*s == 0xe2 && s[1] == 0x80 && s[2] >= 0xa8 && s[2] <= 0xae) ||
           (*s == 0xe2 && s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9);
}

static char *escape(char *out, unsigned char byte)
{
    const char *at = strchr("\nn\tt\rr", byte);
    return out + (at ? sprintf(out, "\\%c", at[1]) : sprintf(out, "\\x%02x", byte));
}

char *text_clean(const char *text)
{
    char *clean = must(malloc(4 * strlen(text) + 1)), *out = clean;
    while (*text) {
        size_t length = s24_utf8_length(text, strnlen(text, 4));
        bool shown = length && !is_control(text);
        for (length += !length; length; length--, text++)
            out = shown ? (*out = *text, out + 1) : escape(out, (unsigned char)*text);
    }
    *out = 0;
    return clean;
}

/* Insertions, deletions and replacements from a to b, of words of at most MOST letters. */
static size_t distance(const char *a, const char *b)
{
    enum { MOST = 63 };
    size_t row[MOST + 1], length = strnlen(b, MOST);
    for (size_t j = 0; j <= length; j++)
        row[j] = j;
    for (; *a; a++) {
        size_t diagonal = row[0]++;
        for (size_t j = 1; j <= length; j++) {
            size_t least =
                diagonal + (tolower((unsigned char)*a) != tolower((unsigned char)b[j - 1]));
            diagonal = row[j];
            least = row[j] + 1 < least ? row[j] + 1 : least;
            row[j] = row[j - 1] + 1 < least ? row[j - 1] + 1 : least;
        }
    }
    return row[length];
}

const char *text_nearest(const char *word, const char *const *known)
{
    const char *nearest = NULL;
    size_t best = strlen(word) / 2;
    for (; *known; known++) {
        size_t edits = distance(word, *known);
        if (edits < best || (edits == best && !nearest)) {
            best = edits;
            nearest = *known;
        }
    }
    return nearest;
}
