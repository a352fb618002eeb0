#include "api.h"
#include "base/utf8.h"
#include <math.h>
#include <sparse24/record.h>
#include <stdio.h>
#include <string.h>

#define SPACE " \t\r\n"

/* ---- Where things are ---- */

/* Past the string that begins at s. */
static const char *skip_string(const char *s)
{
    for (s++; *s && *s != '"'; s++)
        if (*s == '\\' && s[1])
            s++;
    return *s ? s + 1 : s;
}

/* To the comma or brace that ends the value at s. */
static const char *skip_value(const char *s)
{
    int64_t depth = 0;

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

/* The member named `key`, from its opening quote to *end, the comma or brace after it, or NULL. */
static const char *find_member(const char *record, const char *key, const char **end)
{
    size_t length = strlen(key);

    for (const char *s = record + strspn(record, SPACE "{"); *s == '"';
         s = *end + strspn(*end, SPACE ",")) {
        const char *name_end = skip_string(s);
        *end = skip_value(name_end);
        if ((size_t)(name_end - s) == length + 2 && !strncmp(s + 1, key, length))
            return s;
    }
    return NULL;
}

/* Where the value of a member begins, or NULL. */
static const char *find_value(const char *record, const char *key)
{
    const char *end, *member = record && key ? find_member(record, key, &end) : NULL;

    if (!member)
        return NULL;
    member = skip_string(member);
    return member + strspn(member, SPACE ":");
}

static s24_status no_member(const char *function, const char *key, const char *kind)
{
    return s24i_fail(S24_E_ARG, "%s: the record has no %s \"%.60s\"", function, kind,
                     key ? key : "");
}

/* ---- Writing ---- */

/* A text that is counted beyond the room there is. */
typedef struct sink {
    char *out;
    size_t size, used;
} sink;

static void put(sink *to, const char *bytes, size_t count)
{
    if (to->out && to->used + count <= to->size)
        memcpy(to->out + to->used, bytes, count);
    to->used += count;
}

static size_t finish(sink *to)
{
    put(to, "", 1);
    if (to->out && to->used > to->size && to->size)
        *to->out = 0;
    return to->used;
}

static void put_string(sink *to, const char *value)
{
    char escape[8];

    put(to, "\"", 1);
    for (size_t left = strlen(value), length; left; value += length, left -= length) {
        length = s24i_utf8_length(value, left);
        if (length && (unsigned char)*value >= 0x20) {
            if (*value == '"' || *value == '\\')
                put(to, "\\", 1);
            put(to, value, length);
            continue;
        }
        snprintf(escape, sizeof escape, "\\u%s%02x", length ? "00" : "dc", (unsigned char)*value);
        put(to, escape, 6);
        length = 1;
    }
    put(to, "\"", 1);
}

/* The record without a member, and without its closing brace. Returns whether a member is left;
 * -1: it is no object. */
static int put_rest(sink *to, const char *record, const char *key)
{
    const char *close = strrchr(record, '}'), *end = record, *member;
    const char *start = record + strspn(record, SPACE);

    if (*start != '{' || !close)
        return -1;
    member = find_member(record, key, &end);
    const char *first = member ? member : close;
    const char *second = member ? end + (*end == ',' ? 1 + strspn(end + 1, SPACE) : 0) : close;
    if (member && *end != ',') /* the last one: the comma before it goes too */
        while (first > start && strchr(SPACE ",", first[-1]))
            first--;
    while (second >= close && first > start && strchr(SPACE, first[-1]))
        first--;
    put(to, record, (size_t)(first - record));
    while (close > second && strchr(SPACE, close[-1]))
        close--;
    if (close > second)
        put(to, second, (size_t)(close - second));
    return close > second || first[-1] != '{';
}

static size_t set(sink *to, const char *function, const char *record, const char *key,
                  const char *text, const char *number)
{
    int more = record && key ? put_rest(to, record, key) : -1;

    if (more < 0) {
        s24i_fail(S24_E_ARG, "%s: %s is no JSON object", function,
                  record ? record[0] ? "the record" : "an empty text" : "NULL");
        return 0;
    }
    if (text || number) {
        put(to, ",", (size_t)more);
        put_string(to, key);
        put(to, ":", 1);
    }
    if (text)
        put_string(to, text);
    else if (number)
        put(to, number, strlen(number));
    put(to, "}", 1);
    return finish(to);
}

size_t s24_record_set_float(const char *record, const char *key, double value, char *out,
                            size_t size)
{
    char number[S24I_NUMBER_SIZE] = "null";
    sink to = {out, size, 0};

    if (isfinite(value))
        s24i_number_write(number, value);
    return set(&to, __func__, record, key, NULL, number);
}

size_t s24_record_set_str(const char *record, const char *key, const char *value, char *out,
                          size_t size)
{
    sink to = {out, size, 0};

    return set(&to, __func__, record, key, value, NULL);
}

/* ---- Reading ---- */

s24_status s24_record_float(const char *record, const char *key, double *value)
{
    const char *at = find_value(record, key);
    char number[S24I_NUMBER_SIZE + 32];
    size_t length = at ? strspn(at, "+-.0123456789eE") : 0;

    if (!value || !length || length >= sizeof number)
        return no_member(__func__, key, "number");
    memcpy(number, at, length);
    number[length] = 0;
    return s24i_number_read(number, value) ? S24_OK : no_member(__func__, key, "number");
}

/* Four hexadecimal digits, -1 if they are none. */
static int32_t read_hex(const char *s)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    int32_t value = 0;

    for (int i = 0; i < 4; i++) {
        const char *digit = s[i] ? strchr(digits, s[i]) : NULL;
        if (!digit)
            return -1;
        value = 16 * value + (int32_t)(digit - digits) - (digit - digits > 15 ? 6 : 0);
    }
    return value;
}

static void put_character(sink *to, int32_t c)
{
    char bytes[4];
    size_t count = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

    for (size_t i = count - 1; i > 0; i--, c >>= 6)
        bytes[i] = (char)(0x80 | (c & 0x3f));
    bytes[0] = (char)(count == 1 ? c : (0xf00 >> count & 0xff) | c);
    put(to, bytes, count);
}

/* What stands behind a backslash; returns how many characters that are. */
static size_t put_escaped(sink *to, const char *s)
{
    static const char letters[] = "bfnrt", meant[] = "\b\f\n\r\t";
    const char *letter = *s ? strchr(letters, *s) : NULL;
    int32_t c = *s == 'u' ? read_hex(s + 1) : -1, low;

    if (letter)
        put(to, meant + (letter - letters), 1);
    else if (c < 0)
        put(to, s, 1); /* itself */
    else if (c >= 0xdc80 && c <= 0xdcff)
        put(to, (char[]){(char)c}, 1); /* a byte that was not UTF-8 */
    else if (c >= 0xd800 && c <= 0xdbff && s[5] == '\\' && s[6] == 'u' &&
             (low = read_hex(s + 7)) >= 0xdc00 && low <= 0xdfff) {
        put_character(to, 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00));
        return 11;
    } else
        put_character(to, c >= 0xd800 && c <= 0xdfff ? 0xfffd : c);
    return c < 0 ? 1 : 5;
}

size_t s24_record_str(const char *record, const char *key, char *out, size_t size)
{
    const char *s = find_value(record, key);
    sink to = {out, size, 0};

    if (!s || *s != '"') {
        no_member(__func__, key, "text");
        return 0;
    }
    for (s++; *s && *s != '"'; s++) {
        if (*s == '\\' && s[1])
            s += put_escaped(&to, s + 1);
        else
            put(&to, s, 1);
    }
    return finish(&to);
}

size_t s24_utf8_length(const char *text, size_t size)
{
    return text ? s24i_utf8_length(text, size) : 0;
}
