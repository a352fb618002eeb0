#include "watch.h"
#include "clock.h"
#include <math.h>

static const void *this_thread(void)
{
    static _Thread_local char identity;
    return &identity;
}

static void report(s24i_watch *watch, int64_t step, double objective, double residual)
{
    if (watch->progress && this_thread() == watch->caller && !atomic_load(&watch->stop) &&
        watch->progress(watch->user, watch->phase, step, watch->total, objective, residual))
        atomic_store(&watch->stop, S24I_STOP_CANCELLED);
}

void s24i_watch_init(s24i_watch *watch, s24_progress_fn progress, void *user,
                     _Atomic int32_t *cancel, double time_limit)
{
    *watch = (s24i_watch){.progress = progress, .user = user, .cancel = cancel};
    watch->deadline = time_limit > 0 ? s24i_seconds() + time_limit : INFINITY;
    watch->caller = this_thread();
    watch->phase = "start";
    watch->total = -1;
}

void s24i_watch_phase(s24i_watch *watch, const char *phase, int64_t total)
{
    watch->phase = phase;
    watch->total = total;
    atomic_store(&watch->done, 0);
    report(watch, 0, NAN, NAN);
}

bool s24i_watch_step(s24i_watch *watch, int64_t steps, double objective, double residual)
{
    int64_t done = atomic_fetch_add(&watch->done, steps) + steps;
    report(watch, done, objective, residual);
    return watch->once || s24i_watch_stopped(watch);
}

bool s24i_watch_stopped(s24i_watch *watch)
{
    if (atomic_load(&watch->stop))
        return true;
    if (watch->cancel && atomic_load(watch->cancel))
        atomic_store(&watch->stop, S24I_STOP_CANCELLED);
    else if (watch->deadline < INFINITY && s24i_seconds() > watch->deadline)
        atomic_store(&watch->stop, S24I_STOP_TIME);
    return atomic_load(&watch->stop) != 0;
}

bool s24i_watch_cancelled(const s24i_watch *watch)
{
    return atomic_load(&watch->stop) == S24I_STOP_CANCELLED ||
           (watch->cancel && atomic_load(watch->cancel));
}
