/* What a long call tells its host while it works, and how the host stops it. Knows solvers; not what the work is for. */
#ifndef S24M_WATCH_H
#define S24M_WATCH_H
#include "error.h"
#include <stdatomic.h>

/* A watch of zeros tells nobody; NULL in its place is allowed. */
typedef struct watch {
    s24_progress_fn progress;
    void *user;
    s24_log_fn log;
    void *log_user;
    double from, to; /* what is shown is this part of one long job; to = 0: it is all there is */
    char title[80];  /* of the solve at work */
    atomic_bool stop;
    atomic_int cancelling;        /* calls of s24m_watch_cancel() at work */
    _Atomic(s24_solver *) solver; /* at work */
} watch;

/* Tell how far the work is. False, with the error remembered, when the host wants it to stop. */
bool s24m_watch_show(watch *w, const char *title, const char *phase, int64_t step, int64_t total);
/* What is shown from now on is the part [from, to] of one long job; to = 0 ends that. */
void s24m_watch_span(watch *w, double from, double to);
/* False, with the error remembered, when the host wants the work to stop. */
bool s24m_watch_go_on(watch *w);
/* s24_solve(), shown under this title and stopped with the rest. */
s24_status s24m_watch_solve(watch *w, const char *title, s24_solver *solver,
                            const s24_problem *problem, s24_result **result);
/* A line for people, of level 1, a warning, or 2, information. */
void s24m_watch_say(watch *w, int32_t level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Any thread; async-signal-safe. Ends the work that is watched, or the next. */
void s24m_watch_cancel(watch *w);

#endif
