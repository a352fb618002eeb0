/* What a long command shows on stderr while it works, and how Ctrl-C stops it. One of each a
 * process. */
#ifndef PROGRESS_H
#define PROGRESS_H
#include <sparse24/sparse24.h>
#include <stdbool.h>

/* Show progress if `wanted` or stderr is a terminal; from now on SIGINT and SIGTERM only ask to
 * stop, the second one kills. */
void progress_start(bool wanted);
/* Show the progress of this solver's next solve under `title`, and let signals cancel it. solver
 * NULL ends that. */
void progress_watch(s24_solver *solver, const char *title);
/* Whether anything is shown at all. */
bool progress_shown(void);
/* Titles that begin with "block " are parts of one long job, whose time counts from the first. */
void progress_show(const char *title, const char *phase, int64_t step, int64_t total);
/* What a signal calls with this object, besides what it does for a solver; NULL ends that. One at a time. */
void progress_on_signal(void (*cancel)(void *object), void *object);
/* Signals say at once, on stderr, what was going on: what waits for another process may not come to
 * an end. */
void progress_tell_signals(void);
/* Remove the bar, before anything else is printed. */
void progress_clear(void);
/* A signal asked to stop. */
bool progress_interrupted(void);

#endif
