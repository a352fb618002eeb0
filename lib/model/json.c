#include "json.h"
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPACE " \t\r\n"

/* Past the string that begins at s. */
static char *skip_string(char *s)
{
    for (s++; *s && *s != '"'; s++)
        if (*s == '\\' && s[1])
            s++;
    return *s ? s + 1 : s;
}

/* To the comma or brace that ends the value at s. */
static char *skip_value(char *s)
{
    int depth = 0;
    while (*s && (depth || !strchr(",}", *s))) {
        if (*s == '"') {
            s = skip_string(s);
            continue;
        }
        depth += (*s == '{' || *s == '[') - (*s == '}' || *s == ']');
        s++;
    }
    return s;
}

/* The member named `key`, from its opening quote to `end`, the comma or brace after it; NULL if
 * there is none. */
static char *find_member(char *object, const char *key, char **end)
{
    size_t length = strlen(key);
    for (char *s = object + strspn(object, SPACE "{"); *s == '"';
         s = *end + strspn(*end, SPACE ",")) {
        char *name_end = skip_string(s);
        *end = skip_value(name_end);
        if ((size_t)(name_end - s) == length + 2 && !strncmp(s + 1, key, length))
            return s;
    }
    return NULL;
}

char *s24m_json_drop(char *object, const char *key)
{
    char *end, *member = object ? find_member(object, key, &end) : NULL;
    if (!member)
        return object;
    if (*end == ',')
        end += 1 + strspn(end + 1, " ");
    else
        while (member > object && strchr(" ,", member[-1]))
            member--;
    memmove(member, end, strlen(end) + 1);
    return object;
}

/* `value` is JSON already. */
static char *put(char *object, const char *key, const char *value)
{
    object = s24m_json_drop(object, key);
    if (!object || !value)
        return free(object), NULL;
    size_t used = (size_t)(strrchr(object, '}') - object);
    while (strchr(SPACE, object[used - 1]))
        used--;
    const char *comma = object[used - 1] == '{' ? "" : ",";
    size_t size = used + strlen(key) + strlen(value) + 8;
    char *longer = realloc(object, size);
    if (!longer) {
        free(object);
        return s24m_have(NULL);
    }
    object = longer;
    snprintf(object + used, size - used, "%s\"%s\":%s}", comma, key, value);
    return object;
}

char *s24m_json_put_number(char *object, const char *key, double value)
{
    char text[40] = "null";
    bool whole = value == rint(value) && fabs(value) < 1e15;
    if (whole)
        snprintf(text, sizeof text, "%.0f", value);
    for (int digits = 1; !whole && isfinite(value) && digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break; /* the shortest that reads back equal */
    }
    return put(object, key, text);
}

/* Bytes of the UTF-8 character that begins here; 0: there is none. */
static size_t character_length(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t length = *s < 0x80   ? *s != 0
                    : *s < 0xc2 ? 0
                    : *s < 0xe0 ? 2
                    : *s < 0xf0 ? 3
                    : *s < 0xf5 ? 4
                                : 0;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (*s == 0xe0 && s[1] < 0xa0) || (*s == 0xf0 && s[1] < 0x90);
    bool beyond = (*s == 0xed && s[1] > 0x9f) || (*s == 0xf4 && s[1] > 0x8f);
    return overlong || beyond ? 0 : length;
}

/* As a JSON string, to be freed. A byte that is no UTF-8, as in some paths, becomes \udcXX, from
 * which Python's os.fsencode() makes it again. */
static char *quote(const char *value)
{
    char *quoted = s24m_have(malloc(6 * strlen(value) + 3)), *q = quoted;
    if (!quoted)
        return NULL;
    *q++ = '"';
    for (const char *s = value; *s; s++) {
        size_t length = character_length(s);
        if (!length || (unsigned char)*s < ' ') {
            q += sprintf(q, "\\u%s%02x", length ? "00" : "dc", (unsigned char)*s);
            continue;
        }
        if (strchr("\"\\", *s))
            *q++ = '\\';
        memcpy(q, s, length);
        q += length;
        s += length - 1;
    }
    strcpy(q, "\"");
    return quoted;
}

char *s24m_json_put_text(char *object, const char *key, const char *value)
{
    char *quoted = quote(value);
    object = put(object, key, quoted);
    free(quoted);
    return object;
}

/* Where the value of a member begins; NULL if there is none. */
static const char *find_value(const char *object, const char *key)
{
    char *end, *member = find_member((char *)(uintptr_t)object, key, &end);
    if (!member)
        return NULL;
    char *value = skip_string(member);
    return value + strspn(value, SPACE ":");
}

double s24m_json_number(const char *object, const char *key)
{
    const char *value = find_value(object, key);
    char *end;
    double number = value ? strtod(value, &end) : NAN;
    return value && end != value ? number : NAN;
}

char *s24m_json_text(const char *object, const char *key)
{
    const char *value = find_value(object, key);
    if (!value || *value != '"')
        return NULL;
    char *end = skip_string((char *)(uintptr_t)value);
    return s24m_have(strndup(value + 1, (size_t)(end - value) - 2));
}
