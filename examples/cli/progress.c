#include "progress.h"
#include "message.h"
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct {
    bool shown, terminal, drawn;
    char phase[80];          /* title and phase of the last call: a new one restarts the clock */
    double began, last;      /* seconds: start of the phase, last time something was drawn */
    bool job;                /* what is shown is a part of one */
    double start, job_began; /* where and when that began */
} bar;

static void (*cancel_watched)(void *object);
static _Atomic(void *) watched;
static volatile sig_atomic_t interrupted;

/* For signals: where the work is, in one of two places. */
static char place[2][100];
static volatile sig_atomic_t place_now, tells;

static void keep_place(const char *title, const char *phase)
{
    int next = 1 - place_now;
    snprintf(place[next], sizeof place[next], "%s%s%s", title, *phase ? ": " : "", phase);
    place_now = next;
}

static void write_text(const char *text)
{
    ssize_t written = write(STDERR_FILENO, text, strlen(text));
    (void)written; /* nobody can be told */
}

void progress_tell_signals(void)
{
    tells = 1;
}

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
    if (tells) {
        write_text("sparse24: stopped at \"");
        write_text(place[place_now]);
        write_text("\"; --resume goes on\n");
    }
    void *object = atomic_load(&watched);
    if (object)
        cancel_watched(object);
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

/* Seconds left of what runs since `began` and went from `start` to `fraction`; -1: unknown. */
static double time_left(double began, double start, double fraction)
{
    double done = fraction - start;
    return done > 0 ? (s24_seconds() - began) * (1 - fraction) / done : -1;
}

static bool is_job(const char *title, double fraction)
{
    bool job = !strncmp(title, "block ", 6);
    if (job && !bar.job) {
        bar.job_began = s24_seconds();
        bar.start = fraction;
    }
    return bar.job = job;
}

void progress_show(const char *title, const char *phase, int64_t step, int64_t total)
{
    char name[sizeof bar.phase];
    double moment = s24_seconds();
    if (tells)
        keep_place(title, phase);
    if (!bar.shown)
        return;
    snprintf(name, sizeof name, "%s%s%s", title, *phase ? ": " : "", phase);
    double fraction = total > 0 ? (double)step / (double)total : 0;
    fraction = fraction > 1 ? 1 : fraction;
    bool job = is_job(title, fraction), news = strcmp(name, bar.phase) && (bar.terminal || !job);
    if (!news && moment - bar.last < (bar.terminal ? 0.1 : job ? 5.0 : 1.0))
        return; /* a log of a long job needs no line a phase */
    if (strcmp(name, bar.phase)) {
        strcpy(bar.phase, name);
        bar.began = moment;
    }
    bar.last = moment;
    draw(fraction,
         job ? time_left(bar.job_began, bar.start, fraction) : time_left(bar.began, 0, fraction));
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

void progress_on_signal(void (*cancel)(void *object), void *object)
{
    if (object)
        cancel_watched = cancel;
    atomic_store(&watched, object);
}

static void cancel_solver(void *solver)
{
    s24_solver_cancel(solver);
}

void progress_watch(s24_solver *solver, const char *title)
{
    if (solver)
        s24_solver_set_progress(solver, on_progress, (void *)title);
    progress_on_signal(cancel_solver, solver);
}
