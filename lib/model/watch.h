/* How a host watches and stops what takes long: its progress and log functions, and a cancel that
 * reaches the solver at work. Knows no model. */
#ifndef S24M_WATCH_H
#define S24M_WATCH_H
#include <sparse24/sparse24.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { S24M_STEPS = 1000000 }; /* of the whole, as the host's function is told */

typedef struct s24m_watch {
    s24_progress_fn progress;
    void *progress_user;
    s24_log_fn log;
    void *log_user;
    double from, to; /* the part of the whole that is being shown; to = 0: all of it */
    const char *title;
    _Atomic(s24_solver *) solver; /* at work, or NULL */
    atomic_int cancelling;        /* calls that may hold `solver` */
    atomic_bool cancelled;
} s24m_watch;

/* A new job: nothing is cancelled, all of it is shown. */
void s24m_watch_begin(s24m_watch *w);
/* Tell the host "title: phase" and how much of the present part is done. False, with
 * S24_E_CANCELLED, if it wants to stop. */
bool s24m_watch_show(s24m_watch *w, const char *title, const char *phase, double fraction);
/* What is shown from now on is the part [from, to] of the whole; to = 0 ends that. */
void s24m_watch_span(s24m_watch *w, double from, double to);
/* Show the progress of this solver's next solve under `title`, which must last, and let a cancel
 * reach it; NULL ends that: before the solver is destroyed. */
void s24m_watch_solver(s24m_watch *w, s24_solver *solver, const char *title);
/* The host wants to stop. */
bool s24m_watch_stopped(const s24m_watch *w);
/* False, with S24_E_CANCELLED, if it does. */
bool s24m_watch_go_on(const s24m_watch *w);
/* False, with S24_E_CANCELLED. */
bool s24m_watch_cancelled(void);
/* From any thread or signal handler. */
void s24m_watch_cancel(s24m_watch *w);
/* One line for the host's log. */
void s24m_watch_log(const s24m_watch *w, int32_t level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
