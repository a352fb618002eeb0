#include "record.h"
#include "message.h"
#include "text.h"
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
static char *find_member(char *record, const char *key, char **end)
{
    size_t length = strlen(key);
    for (char *s = record + strspn(record, SPACE "{"); *s == '"';
         s = *end + strspn(*end, SPACE ",")) {
        char *name_end = skip_string(s);
        *end = skip_value(name_end);
        if ((size_t)(name_end - s) == length + 2 && !strncmp(s + 1, key, length))
            return s;
    }
    return NULL;
}

static char *drop(char *record, const char *key)
{
    char *end, *member = find_member(record, key, &end);
    if (!member)
        return record;
    if (*end == ',')
        end += 1 + strspn(end + 1, " ");
    else
        while (member > record && strchr(" ,", member[-1]))
            member--;
    memmove(member, end, strlen(end) + 1);
    return record;
}

char *record_drop_volatile(char *record)
{
    static const char *const fields[] = {"seconds", "peak_bytes", "threads", "isa"};

    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        record = drop(record, fields[i]);
    return record;
}

/* `value` is JSON already. */
static char *put(char *record, const char *key, const char *value)
{
    record = drop(record, key);
    size_t used = (size_t)(strrchr(record, '}') - record);
    while (strchr(SPACE, record[used - 1]))
        used--;
    const char *comma = record[used - 1] == '{' ? "" : ",";
    size_t size = used + strlen(key) + strlen(value) + 8;
    record = must(realloc(record, size));
    snprintf(record + used, size - used, "%s\"%s\":%s}", comma, key, value);
    return record;
}

char *record_put_number(char *record, const char *key, double value)
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
    return put(record, key, text);
}

/* As a JSON string, to be freed. A byte that is no UTF-8, as in some paths, becomes \udcXX, from which
 * Python's os.fsencode() makes it again. */
static char *quote(const char *value)
{
    char *quoted = must(malloc(6 * strlen(value) + 3)), *q = quoted;
    *q++ = '"';
    for (const char *s = value; *s; s++) {
        size_t length = text_character(s);
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

char *record_put_text(char *record, const char *key, const char *value)
{
    char *quoted = quote(value);
    record = put(record, key, quoted);
    free(quoted);
    return record;
}

/* Where the value of a member begins; NULL if there is none. */
static const char *find_value(const char *record, const char *key)
{
    char *end, *member = find_member((char *)(uintptr_t)record, key, &end);
    if (!member)
        return NULL;
    char *value = skip_string(member);
    return value + strspn(value, SPACE ":");
}

char *record_text(const char *record, const char *key)
{
    const char *value = find_value(record, key);
    if (!value || *value != '"')
        return NULL;
    char *end = skip_string((char *)(uintptr_t)value);
    return must(strndup(value + 1, (size_t)(end - value) - 2));
}
