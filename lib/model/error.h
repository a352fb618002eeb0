/* Why the last call on this thread failed: a status and a text. Knows nothing else. */
#ifndef S24M_ERROR_H
#define S24M_ERROR_H
#include <sparse24/sparse24.h>
#include <stdbool.h>

/* Remember both. Returns the status. */
s24_status s24m_fail(s24_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The same where a statement is a condition: false. */
bool s24m_refuse(s24_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Whether a call of the core is done; if not, its text is remembered behind this one. */
bool s24m_good(s24_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same as a status, behind a name. */
s24_status s24m_library(s24_status status, const char *what);
/* The block; that there is none is remembered. */
void *s24m_have(void *block);

s24_status s24m_error_status(void);
const char *s24m_error(void);

#endif
