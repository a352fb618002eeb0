/* sparse24 solve: one layer, one solver. */
#include "commands.h"
#include "message.h"
#include "outcome.h"
#include "progress.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const outcome *o, const char *name)
{
    const char *text = "";
    s24_result_str(o->result, name, &text);
    return text;
}

static bool ended_early(const char *stop)
{
    return strcmp(stop, "done") && strcmp(stop, "converged");
}

static void print_summary(const outcome *o, const layer *l, const args *a)
{
    double size = (double)(o->weights.rows * o->weights.cols);
    const char *stop = text_of(o, "stop");
    say("%-13s%s", "solver", text_of(o, "solver"));
    say("%-13s%s", "options", text_of(o, "options"));
    say("%-13s%s", "constraints", text_of(o, "constraints"));
    printf("%-13s%lld x %lld, %lld zeros (%.2f %%)\n", "weights", (long long)o->weights.rows,
           (long long)o->weights.cols, (long long)o->zeros, 100 * (double)o->zeros / size);
    printf("%-13s%.6g relative error on %lld rows\n", "calibration", o->relative_loss,
           (long long)l->calib.view.rows);
    if (l->test_problem)
        printf("%-13s%.6g relative error on %lld rows\n", "held out", o->test_relative_loss,
               (long long)l->test.view.rows);
    if (!isnan(o->damp))
        printf("%-13s%.3g\n", "damping", o->damp);
    if (ended_early(stop))
        printf("%-13s%s\n", "stopped by", stop);
    printf("%-13s%.2f\n", "seconds", o->seconds);
    if (a->out)
        say("%-13s%s", "written", a->out);
}

static void report(const outcome *o, const layer *l, const args *a)
{
    if (!a->json) {
        print_summary(o, l, a);
        return;
    }
    char *json = outcome_json(o, a->out);
    puts(json);
    free(json);
}

static bool solve(outcome *o, const layer *l, const method *m)
{
    s24_status status = outcome_solve(o, l, m);
    if (status != S24_OK && progress_interrupted())
        return fail("interrupted");
    if (status != S24_OK)
        return fail_library("%s", m->label);
    outcome_warn(o, l->calib.path);
    return true;
}

static bool open_method(method *m, const layer *l, const args *a)
{
    const char *name = a->solver ? a->solver : s24_problem_solver(l->problem);
    return method_open(m, l->ctx, name, name, a->options);
}

int run_solve(const args *a)
{
    layer l = {0};
    method m = {0};
    outcome o = {0};
    s24_file *file = NULL;
    progress_start(a->progress);
    bool done = layer_open(&l, a) && open_method(&m, &l, a) &&
                (!a->out || output_open(&file, &l, a->out)) && layer_calibrate(&l) &&
                solve(&o, &l, &m) && outcome_measure(&o, &l, a->store) &&
                (!file || outcome_write(&o, file, a->out));
    if (done)
        report(&o, &l, a);
    s24_file_destroy(file);
    outcome_close(&o);
    method_close(&m);
    layer_close(&l);
    return done ? DONE : FAILED;
}
