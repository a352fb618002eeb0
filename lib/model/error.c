#include "error.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TEXT = 2048 };

static _Thread_local char error_text[TEXT];
static _Thread_local s24_status error_status;

/* The arguments may point into the text before; behind it goes, after a colon, what the core says. */
static s24_status remember(s24_status status, const char *more, const char *format, va_list list)
{
    char text[TEXT];
    vsnprintf(text, sizeof text, format, list);
    size_t used = strlen(text);
    snprintf(text + used, sizeof text - used, "%s%s", more ? ": " : "", more ? more : "");
    memcpy(error_text, text, sizeof text);
    error_status = status;
    return status;
}

s24_status s24m_fail(s24_status status, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    remember(status, NULL, format, list);
    va_end(list);
    return status;
}

bool s24m_refuse(s24_status status, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    remember(status, NULL, format, list);
    va_end(list);
    return false;
}

bool s24m_good(s24_status status, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    if (status)
        remember(status, s24_last_error(), format, list);
    va_end(list);
    return status == S24_OK;
}

s24_status s24m_library(s24_status status, const char *what)
{
    return s24m_good(status, "%s", what) ? S24_OK : status;
}

void *s24m_have(void *block)
{
    if (!block)
        s24m_fail(S24_E_MEMORY, "out of memory");
    return block;
}

s24_status s24m_error_status(void)
{
    return error_status;
}

const char *s24m_error(void)
{
    return error_text;
}
