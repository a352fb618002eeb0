/* sparse24 compress --plan: what would be done, and what that takes. */
#include "job.h"
#include "message.h"
#include "record.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "2 min 10 s", "3 h 5 min": what one says of a time that is only expected. */
static const char *duration(double seconds, char text[32])
{
    int whole = (int)fmin(seconds + 0.5, 1e9);
    if (seconds < 10)
        snprintf(text, 32, "%.1f s", seconds);
    else if (whole < 60)
        snprintf(text, 32, "%d s", whole);
    else if (whole < 3600)
        snprintf(text, 32, "%d min %d s", whole / 60, whole % 60);
    else
        snprintf(text, 32, "%d h %d min", whole / 3600, whole / 60 % 60);
    return text;
}

static const char *size(double bytes, char text[32])
{
    if (bytes < 10e9)
        snprintf(text, 32, "%.1f MiB", bytes / 1048576);
    else
        snprintf(text, 32, "%.1f GiB", bytes / 1073741824);
    return text;
}

static bool is_alike(const job *j, int a, int b)
{
    return !strcmp(job_matrix_text(j, a, "constraints"), job_matrix_text(j, b, "constraints")) &&
           !strcmp(job_matrix_text(j, a, "solver"), job_matrix_text(j, b, "solver"));
}

/* A line for each pair of constraints and solver. */
static void print_kinds(const job *j, int count)
{
    for (int i = 0; i < count; i++) {
        int alike = 0, before = 0;
        for (int k = 0; k < count; k++) {
            alike += is_alike(j, i, k);
            before += k < i && is_alike(j, i, k);
        }
        if (!before)
            say("%-13s%d: %s by %s", "", alike, job_matrix_text(j, i, "constraints"),
                job_matrix_text(j, i, "solver"));
    }
}

static void print_time(const job *j)
{
    static const struct {
        const char *number, *what;
    } rest[] = {{"expected_pass_seconds", "passing the rows through"},
                {"expected_refine_seconds", "refining"},
                {"expected_own_seconds", "the model's own rows"},
                {"expected_eval_seconds", "perplexities"}};
    char all[32], part[32];
    printf("%-13sabout %s on this machine: solving %s", "time",
           duration(job_number(j, "expected_seconds", 0), all),
           duration(job_number(j, "expected_solve_seconds", 0), part));
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
        if (job_number(j, rest[i].number, 0) > 0)
            printf(", %s %s", rest[i].what, duration(job_number(j, rest[i].number, 0), part));
    puts("");
}

static void print_disk(const job *j)
{
    char wanted[32], left[32];
    double free_bytes = job_number(j, "disk_free", 0);
    printf("%-13s%s while it works", "disk", size(job_number(j, "disk", 0), wanted));
    if (!isnan(free_bytes))
        printf(", %s are free", size(free_bytes, left));
    puts("");
}

static void print_plan(const job *j)
{
    char text[32];
    int64_t all = 0, bytes = 0;
    int count = (int)job_number(j, "matrices", 0);
    s24_model_int(j->model, "matrices", &all);
    s24_model_int(j->model, "bytes", &bytes);
    say("%-13s%s, %s of weights", "model", j->a->operand, size((double)bytes, text));
    printf("%-13s%d of %lld in its blocks\n", "matrices", count, (long long)all);
    print_kinds(j, count);
    print_time(j);
    printf("%-13s%s at most\n", "memory", size(job_number(j, "memory", 0), text));
    print_disk(j);
    say("%-13s%s, %s: not now, this is the plan", "will write", j->a->out,
        size(job_number(j, "written", 0), text));
}

static void print_matrix(const job *j, int i)
{
    static const char *const texts[] = {"tensor", "constraints", "solver", "stored", "warning"};
    char *record = must(strdup("{}"));
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
        if (*job_matrix_text(j, i, texts[k]))
            record = record_put_text(record, texts[k], job_matrix_text(j, i, texts[k]));
    record = record_put_number(record, "size", job_matrix_number(j, i, "size"));
    record = record_put_number(record, "seconds", job_matrix_number(j, i, "seconds"));
    puts(record);
    free(record);
}

static void print_json(const job *j)
{
    static const char *const numbers[] = {"matrices",
                                          "expected_seconds",
                                          "expected_solve_seconds",
                                          "expected_refine_seconds",
                                          "expected_own_seconds",
                                          "expected_eval_seconds",
                                          "memory",
                                          "disk",
                                          "disk_free",
                                          "written"};
    char *record = must(strdup("{}"));
    for (int i = 0; i < (int)job_number(j, "matrices", 0); i++)
        print_matrix(j, i);
    record = record_put_text(record, "model", j->a->operand);
    record = record_put_text(record, "out", j->a->out);
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
        record = record_put_number(record, numbers[k], job_number(j, numbers[k], 0));
    puts(record);
    free(record);
}

void job_tell_plan(const job *j)
{
    if (j->a->json)
        print_json(j);
    else
        print_plan(j);
}
