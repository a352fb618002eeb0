#include "cuda.h"
#include <stdarg.h>
#include <stdio.h>

/* The core's own functions under the names that shared code calls them by: texts and progress are
 * those of the library that loaded this one. */

s24_status s24i_fail(s24_status status, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return s24c_host->fail(status, text);
}

void s24i_watch_init(s24i_watch *watch, s24_progress_fn progress, void *user,
                     _Atomic int32_t *cancel, double time_limit)
{
    s24c_host->watch_init(watch, progress, user, cancel, time_limit);
}

void s24i_watch_phase(s24i_watch *watch, const char *phase, int64_t total)
{
    s24c_host->watch_phase(watch, phase, total);
}

bool s24i_watch_step(s24i_watch *watch, int64_t steps, double objective, double residual)
{
    return s24c_host->watch_step(watch, steps, objective, residual);
}

bool s24i_watch_stopped(s24i_watch *watch)
{
    return s24c_host->watch_stopped(watch);
}

bool s24i_watch_cancelled(const s24i_watch *watch)
{
    return s24c_host->watch_cancelled(watch);
}
