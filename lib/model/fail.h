/* How a function of this library fails: the text goes to the core, where s24_last_error() finds it.
 * Those that return bool return false. */
#ifndef S24M_FAIL_H
#define S24M_FAIL_H
#include <sparse24/sparse24.h>
#include <stdbool.h>

/* Set the text and return the status. */
s24_status s24m_fail(s24_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* For a call of the core that failed: its own text follows "what: ". S24_OK passes through. */
s24_status s24m_library(s24_status status, const char *what);
/* As s24m_fail(), but false. */
bool s24m_wrong(s24_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Whether a call of the core is done; if not, its text follows "...: ". */
bool s24m_good(s24_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The block; without one the error is set. */
void *s24m_have(void *block);
/* Whether a call that sets its own text is done. */
static inline bool s24m_done(s24_status status)
{
    return status == S24_OK;
}
/* What a function that returned `done` returns to a host. */
s24_status s24m_status(bool done);

#endif
