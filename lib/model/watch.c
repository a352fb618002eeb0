#include "watch.h"
#include "fail.h"
#include <math.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>

void s24m_watch_begin(s24m_watch *w)
{
    atomic_store(&w->cancelled, false);
    w->from = w->to = 0;
}

bool s24m_watch_stopped(const s24m_watch *w)
{
    return atomic_load(&w->cancelled);
}

bool s24m_watch_cancelled(void)
{
    return s24m_wrong(S24_E_CANCELLED, "cancelled");
}

bool s24m_watch_go_on(const s24m_watch *w)
{
    return !s24m_watch_stopped(w) || s24m_watch_cancelled();
}

bool s24m_watch_show(s24m_watch *w, const char *title, const char *phase, double fraction)
{
    char name[120];
    fraction = fraction < 0 ? 0 : fraction > 1 ? 1 : fraction;
    if (w->to > 0)
        fraction = w->from + (w->to - w->from) * fraction;
    snprintf(name, sizeof name, "%s%s%s", title, *phase ? ": " : "", phase);
    if (!s24m_watch_stopped(w) && w->progress &&
        w->progress(w->progress_user, name, (int64_t)(fraction * S24M_STEPS), S24M_STEPS, NAN, NAN))
        s24m_watch_cancel(w);
    return !s24m_watch_stopped(w) || s24m_watch_cancelled();
}

void s24m_watch_span(s24m_watch *w, double from, double to)
{
    w->from = from;
    w->to = to;
}

static int32_t on_progress(void *user, const char *phase, int64_t step, int64_t total,
                           double objective, double residual)
{
    s24m_watch *w = user;
    (void)objective, (void)residual;
    return !s24m_watch_show(w, w->title, phase, total > 0 ? (double)step / (double)total : 0);
}

/* A cancel that runs meanwhile may hold the solver that is taken away. */
void s24m_watch_solver(s24m_watch *w, s24_solver *solver, const char *title)
{
    w->title = title;
    atomic_store(&w->solver, solver);
    while (!solver && atomic_load(&w->cancelling))
        sched_yield();
    if (solver)
        s24_solver_set_progress(solver, on_progress, w);
}

void s24m_watch_cancel(s24m_watch *w)
{
    atomic_store(&w->cancelled, true);
    atomic_fetch_add(&w->cancelling, 1);
    s24_solver *solver = atomic_load(&w->solver);
    if (solver)
        s24_solver_cancel(solver);
    atomic_fetch_sub(&w->cancelling, 1);
}

void s24m_watch_log(const s24m_watch *w, int32_t level, const char *format, ...)
{
    char text[600];
    va_list list;
    if (!w->log)
        return;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    w->log(w->log_user, level, text);
}
