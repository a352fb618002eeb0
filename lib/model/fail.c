#include "fail.h"
#include <stdarg.h>
#include <stdio.h>

enum { TEXT = 600 }; /* the core cuts it */

s24_status s24m_fail(s24_status status, const char *format, ...)
{
    char text[TEXT];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    return s24_fail(status, text);
}

s24_status s24m_library(s24_status status, const char *what)
{
    return status ? s24m_fail(status, "%s: %s", what, s24_last_error()) : S24_OK;
}

bool s24m_wrong(s24_status status, const char *format, ...)
{
    char text[TEXT];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    s24_fail(status, text);
    return false;
}

bool s24m_good(s24_status status, const char *format, ...)
{
    char what[TEXT];
    va_list list;
    if (!status)
        return true;
    va_start(list, format);
    vsnprintf(what, sizeof what, format, list);
    va_end(list);
    s24m_library(status, what);
    return false;
}

void *s24m_have(void *block)
{
    if (!block)
        s24m_fail(S24_E_MEMORY, "out of memory");
    return block;
}

s24_status s24m_status(bool done)
{
    return done ? S24_OK : s24_last_status();
}
