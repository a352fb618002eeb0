#include "json.h"
#include "number.h"
#include "utf8.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void give_up(s24i_text *text)
{
    s24i_text_free(text);
    text->failed = true;
}

/* Make room for `more` bytes and the NUL. */
static bool reserve(s24i_text *text, size_t more)
{
    size_t wanted = text->size + more + 1, capacity = text->capacity ? text->capacity : 256;

    if (text->failed)
        return false;
    if (wanted <= text->capacity)
        return true;
    while (capacity < wanted)
        capacity = s24i_mul(capacity, 2);
    char *data = s24i_alloc(text->memory, capacity);
    if (!data) {
        give_up(text);
        return false;
    }
    if (text->size)
        memcpy(data, text->data, text->size);
    data[text->size] = 0;
    s24i_free(text->memory, text->data, text->capacity);
    text->data = data;
    text->capacity = capacity;
    return true;
}

void s24i_text_bytes(s24i_text *text, const void *bytes, size_t size)
{
    if (!reserve(text, size))
        return;
    memcpy(text->data + text->size, bytes, size);
    text->size += size;
    text->data[text->size] = 0;
}

void s24i_text_append(s24i_text *text, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (size < 0) {
        give_up(text);
        return;
    }
    if (!reserve(text, (size_t)size))
        return;
    va_start(arguments, format);
    vsnprintf(text->data + text->size, (size_t)size + 1, format, arguments);
    va_end(arguments);
    text->size += (size_t)size;
}

void s24i_text_utf8(s24i_text *text, const char *bytes, size_t size)
{
    for (size_t length, step; size; bytes += step, size -= step) {
        length = *bytes ? s24i_utf8_length(bytes, size) : 0;
        step = length ? length : 1;
        s24i_text_bytes(text, length ? bytes : "\xef\xbf\xbd", length ? length : 3);
    }
}

/* One character as JSON wants it inside quotes; a byte that is not UTF-8 becomes U+FFFD. */
static void append_character(s24i_text *text, const char *character, size_t length)
{
    static const char special[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
    const char *found;

    if (length == 0)
        s24i_text_bytes(text, "\xef\xbf\xbd", 3);
    else if (*character && (found = strchr(special, *character)))
        s24i_text_append(text, "\\%c", letter[found - special]);
    else if (length == 1 && ((unsigned char)*character < 0x20 || *character == 0x7f))
        s24i_text_append(text, "\\u%04x", (unsigned)*character);
    else
        s24i_text_bytes(text, character, length);
}

void s24i_text_json_bytes(s24i_text *text, const char *value, size_t size)
{
    s24i_text_bytes(text, "\"", 1);
    for (size_t length, step; size; value += step, size -= step) {
        length = s24i_utf8_length(value, size);
        step = length ? length : 1;
        append_character(text, value, length);
    }
    s24i_text_bytes(text, "\"", 1);
}

void s24i_text_json_string(s24i_text *text, const char *value)
{
    s24i_text_json_bytes(text, value, strlen(value));
}

void s24i_text_json_number(s24i_text *text, double value)
{
    char spelling[S24I_NUMBER_SIZE];

    s24i_number_write(spelling, value);
    s24i_text_append(text, "%s", value - value == 0 ? spelling : "null");
}

void s24i_text_free(s24i_text *text)
{
    s24i_free(text->memory, text->data, text->capacity);
    text->data = NULL;
    text->size = text->capacity = 0;
}
