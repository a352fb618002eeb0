#include "watch.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

bool s24m_watch_go_on(watch *w)
{
    return !w || !atomic_load(&w->stop) ||
           s24m_refuse(S24_E_CANCELLED, "interrupted: go on with --resume");
}

/* All of a long job is one count, in millionths. */
bool s24m_watch_show(watch *w, const char *title, const char *phase, int64_t step, int64_t total)
{
    enum { MILLION = 1000000 };
    char name[160];
    if (!w)
        return true;
    snprintf(name, sizeof name, "%s%s%s", title, *phase ? ": " : "", phase);
    if (w->to > 0) {
        double share = total > 0 ? fmin((double)step / (double)total, 1) : 0;
        step = (int64_t)(MILLION * (w->from + (w->to - w->from) * share));
        total = MILLION;
    }
    if (w->progress && !atomic_load(&w->stop) && w->progress(w->user, name, step, total, NAN, NAN))
        atomic_store(&w->stop, true);
    return s24m_watch_go_on(w);
}

void s24m_watch_span(watch *w, double from, double to)
{
    if (w) {
        w->from = from;
        w->to = to;
    }
}

void s24m_watch_say(watch *w, int32_t level, const char *format, ...)
{
    char text[2048];
    va_list list;
    if (!w || !w->log)
        return;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    w->log(w->log_user, level, text);
}

static int32_t on_progress(void *user, const char *phase, int64_t step, int64_t total,
                           double objective, double residual)
{
    watch *w = user;
    (void)objective, (void)residual;
    return s24m_watch_show(w, w->title, phase, step, total) ? 0 : S24_E_CANCELLED;
}

/* Whoever has found the solver may still be about to cancel it: it must not go before that. */
static void forget_solver(watch *w)
{
    atomic_store(&w->solver, NULL);
    while (atomic_load(&w->cancelling))
        ;
}

s24_status s24m_watch_solve(watch *w, const char *title, s24_solver *solver,
                            const s24_problem *problem, s24_result **result)
{
    if (!w)
        return s24_solve(solver, problem, result);
    snprintf(w->title, sizeof w->title, "%s", title);
    s24_status status = s24_solver_set_progress(solver, on_progress, w);
    atomic_store(&w->solver, solver);
    if (!status && s24m_watch_go_on(w))
        status = s24_solve(solver, problem, result);
    forget_solver(w);
    return s24m_watch_go_on(w) ? status : S24_E_CANCELLED;
}

void s24m_watch_cancel(watch *w)
{
    atomic_fetch_add(&w->cancelling, 1);
    atomic_store(&w->stop, true);
    s24_solver *solver = atomic_load(&w->solver);
    if (solver)
        s24_solver_cancel(solver);
    atomic_fetch_sub(&w->cancelling, 1);
}
