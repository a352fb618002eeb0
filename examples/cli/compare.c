/* sparse24 compare: one layer, several solvers, one row each. */
#include "commands.h"
#include "message.h"
#include "outcome.h"
#include "progress.h"
#include "text.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct contest {
    layer layer;
    method *methods;
    int count;
    bool warned;  /* of the calibration, which is the same for all */
    bool chosen;  /* the user named the solvers: one that cannot do it is a failure, not left out */
    outcome best; /* of those that ran so far */
} contest;

/* Length of the first entry of a list, "name" or "name[options]"; 0 if it is malformed. */
static size_t entry_length(const char *list)
{
    size_t length = strcspn(list, ",[]");
    if (!length || list[length] != '[')
        return list[length] == ']' ? 0 : length;
    const char *end = list + length + 1 + strcspn(list + length + 1, "[]");
    return *end == ']' && (!end[1] || end[1] == ',') ? (size_t)(end + 1 - list) : 0;
}

/* Number of entries, 0 if the list is malformed. */
static int count_entries(const char *list)
{
    for (int count = 1;; count++) {
        size_t length = entry_length(list);
        if (!length || !list[length])
            return length ? count : 0;
        list += length + 1;
    }
}

/* Cut "name[options]" in two, in place; returns the options or NULL. */
static char *cut_options(char *entry)
{
    char *bracket = strchr(entry, '[');
    if (!bracket)
        return NULL;
    bracket[strlen(bracket) - 1] = 0;
    *bracket = 0;
    return bracket + 1;
}

static bool open_chosen(contest *c, const char *list)
{
    bool done = true;
    c->chosen = true;
    c->methods = must(calloc((size_t)count_entries(list), sizeof *c->methods));
    while (done && *list) {
        size_t length = entry_length(list);
        char *label = must(strndup(list, length)), *name = must(strdup(label));
        const char *options = cut_options(name);
        done = method_open(&c->methods[c->count++], c->layer.ctx, label, name, options);
        free(name);
        free(label);
        list += length + (list[length] == ',');
    }
    return done;
}

static bool open_all(contest *c)
{
    int32_t count = s24_solver_count();
    c->methods = must(calloc((size_t)count, sizeof *c->methods));
    for (int32_t i = 0; i < count; i++) {
        const char *name = s24_solver_name(i);
        if (!method_open(&c->methods[c->count++], c->layer.ctx, name, name, NULL))
            return false;
    }
    return true;
}

static int label_width(const contest *c)
{
    size_t width = sizeof "solver";
    for (int i = 0; i < c->count; i++)
        width = strlen(c->methods[i].label) > width ? strlen(c->methods[i].label) : width;
    return (int)width;
}

/* `style`: f or g, as in printf. */
static void print_number(int width, char style, int digits, double value)
{
    char text[40] = "-";
    if (!isnan(value))
        snprintf(text, sizeof text, style == 'f' ? "%.*f" : "%.*g", digits, value);
    printf("  %*s", width, text);
}

static void print_row(const contest *c, const char *label, const outcome *o)
{
    double size = (double)(o->weights.rows * o->weights.cols);
    char *clean = text_clean(label);
    printf("%-*s", label_width(c), clean);
    free(clean);
    print_number(11, 'f', 6, o->relative_loss);
    print_number(9, 'f', 6, o->test_relative_loss);
    print_number(7, 'f', 2, 100 * (double)o->zeros / size);
    print_number(7, 'g', 3, o->damp);
    print_number(7, 'f', 2, o->seconds);
    puts("");
}

static void print_header(const contest *c)
{
    printf("%-*s  calibration   held-out  zeros %%  damping  seconds\n", label_width(c), "solver");
}

static void report(const contest *c, const char *label, const outcome *o, bool as_json)
{
    if (as_json) {
        char *json = outcome_json(o, NULL);
        puts(json);
        free(json);
    } else {
        if (!c->best.result)
            print_header(c);
        print_row(c, label, o);
    }
    fflush(stdout);
}

static bool is_better(const outcome *o, const outcome *best)
{
    if (!best->result)
        return true;
    return isnan(o->test_relative_loss) ? o->relative_loss < best->relative_loss
                                        : o->test_relative_loss < best->test_relative_loss;
}

/* Keep the better of the best so far and `o`, close the other. */
static void keep_better(contest *c, outcome *o)
{
    if (is_better(o, &c->best)) {
        outcome_close(&c->best);
        c->best = *o;
    } else {
        outcome_close(o);
    }
}

static bool run_method(contest *c, const method *m, const args *a)
{
    outcome o = {0};
    s24_status status = outcome_solve(&o, &c->layer, m);
    if (progress_interrupted()) {
        outcome_close(&o);
        return fail("interrupted");
    }
    if ((status == S24_E_UNSUPPORTED || status == S24_E_STATE) && !c->chosen)
        return true; /* cannot honour the constraints, or needs a support that there is not */
    if (status != S24_OK)
        return fail_library("%s", m->label);
    c->warned = c->warned || outcome_warn(&o, c->layer.calib.path);
    bool done = outcome_measure(&o, &c->layer, a->store);
    if (done)
        report(c, m->label, &o, a->json);
    keep_better(c, &o);
    return done;
}

static bool run_all(contest *c, const args *a)
{
    for (int i = 0; i < c->count; i++)
        if (!run_method(c, c->methods + i, a))
            return false;
    return c->best.result || fail_library("no solver can run");
}

int run_compare(const args *a)
{
    contest c = {0};
    s24_file *file = NULL;
    if (a->solvers && !count_entries(a->solvers))
        return wrong_usage(
            "compare", "--solvers %s: expected name or name[option=value,...], joined by commas",
            a->solvers);
    progress_start(a->progress);
    bool done = layer_open(&c.layer, a) &&
                (a->solvers ? open_chosen(&c, a->solvers) : open_all(&c)) &&
                (!a->out || output_open(&file, &c.layer, a->out)) && layer_calibrate(&c.layer) &&
                run_all(&c, a) && (!file || outcome_write(&c.best, file, a->out));
    s24_file_destroy(file);
    outcome_close(&c.best);
    for (int i = 0; i < c.count; i++)
        method_close(c.methods + i);
    free(c.methods);
    layer_close(&c.layer);
    return done ? DONE : FAILED;
}
