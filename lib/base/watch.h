/* One running solve as the outside sees it: progress, cancel, time limit. Knows no algorithm. */
#ifndef S24I_WATCH_H
#define S24I_WATCH_H
#include "memory.h"

enum { S24I_GO = 0, S24I_STOP_CANCELLED = 1, S24I_STOP_TIME = 2 };

typedef struct s24i_watch {
    s24_progress_fn progress;
    void *user;
    _Atomic int32_t *cancel; /* set by any thread */
    double deadline;         /* on s24i_seconds(); INFINITY = none */
    const void *caller;      /* identity of the thread that progress must run on */
    const char *phase;
    int64_t total;
    _Atomic int64_t done;
    _Atomic int32_t stop;
    bool once; /* every phase stops after its first step: memory is predicted */
} s24i_watch;

/* Start watching on the calling thread. */
void s24i_watch_init(s24i_watch *watch, s24_progress_fn progress, void *user,
                     _Atomic int32_t *cancel, double time_limit);
/* Begin a phase of `total` steps and report step 0. */
void s24i_watch_phase(s24i_watch *watch, const char *phase, int64_t total);
/* Count steps, from any task. Reports when it happens to run on the caller's thread. Returns true
 * when the work should stop. */
bool s24i_watch_step(s24i_watch *watch, int64_t steps, double objective, double residual);
/* True when the work should stop; asks the clock and the cancel flag, not the callback. */
bool s24i_watch_stopped(s24i_watch *watch);
/* True when nothing is wanted any more, not even what can be had in no time; asks the flag
 * alone. */
bool s24i_watch_cancelled(const s24i_watch *watch);

#endif
