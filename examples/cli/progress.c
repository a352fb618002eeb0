#include "progress.h"
#include "clock.h"
#include "message.h"
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct {
    bool shown, terminal, drawn;
    char phase[80];         /* title and phase of the last call: a new one restarts the clock */
    double began, last;     /* seconds: start of the phase, last time something was drawn */
    double from, to, start; /* the part of a job that is shown, and when and where it began */
    double job_began;
} bar;

static _Atomic(s24_solver *) watched;
static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
    s24_solver *solver = atomic_load(&watched);
    if (solver)
        s24_solver_cancel(solver);
}

void progress_start(bool wanted)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    bar.terminal = isatty(STDERR_FILENO);
    bar.shown = wanted || bar.terminal;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool progress_shown(void)
{
    return bar.shown;
}

bool progress_interrupted(void)
{
    return interrupted;
}

static void draw(double fraction, double left)
{
    enum { WIDTH = 30 };
    static const char full[] = "##############################";
    int done = (int)(fraction * WIDTH);
    fprintf(stderr, "%s%-36s [%.*s%*s] %3d %%", bar.terminal ? "\r" : "", bar.phase, done, full,
            WIDTH - done, "", (int)(100 * fraction));
    if (left >= 0)
        fprintf(stderr, "  ETA %d:%02d", (int)left / 60, (int)left % 60);
    fputs(bar.terminal ? "\033[K" : "\n", stderr);
    fflush(stderr);
    bar.drawn = bar.terminal;
}

void progress_span(double from, double to)
{
    if (to > 0 && bar.to <= 0) {
        bar.job_began = now();
        bar.start = from;
    }
    bar.from = from;
    bar.to = to;
}

/* Seconds left of what runs since `began` and went from `start` to `fraction`; -1: unknown. */
static double time_left(double began, double start, double fraction)
{
    double done = fraction - start;
    return done > 0 ? (now() - began) * (1 - fraction) / done : -1;
}

void progress_show(const char *title, const char *phase, int64_t step, int64_t total)
{
    char name[sizeof bar.phase];
    double moment = now();
    if (!bar.shown)
        return;
    snprintf(name, sizeof name, "%s%s%s", title, *phase ? ": " : "", phase);
    bool job = bar.to > 0, news = strcmp(name, bar.phase) && (bar.terminal || !job);
    if (!news && moment - bar.last < (bar.terminal ? 0.1 : job ? 5.0 : 1.0))
        return; /* a log of a long job needs no line a phase */
    if (strcmp(name, bar.phase)) {
        strcpy(bar.phase, name);
        bar.began = moment;
    }
    bar.last = moment;
    double fraction = total > 0 ? (double)step / (double)total : 0;
    fraction = fraction > 1 ? 1 : fraction;
    if (job) {
        fraction = bar.from + (bar.to - bar.from) * fraction;
        draw(fraction, time_left(bar.job_began, bar.start, fraction));
    } else {
        draw(fraction, time_left(bar.began, 0, fraction));
    }
}

void progress_clear(void)
{
    if (bar.drawn)
        fputs("\r\033[K", stderr);
    bar.drawn = false;
}

static int32_t on_progress(void *title, const char *phase, int64_t step, int64_t total,
                           double objective, double residual)
{
    (void)objective, (void)residual;
    progress_show(title, phase, step, total);
    return interrupted ? S24_E_USER : 0;
}

void progress_watch(s24_solver *solver, const char *title)
{
    if (solver)
        s24_solver_set_progress(solver, on_progress, (void *)title);
    atomic_store(&watched, solver);
}
