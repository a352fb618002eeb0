#include "job.h"
#include "message.h"
#include "record.h"
#include "report.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static int64_t peak_memory(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) ? 0 : (int64_t)usage.ru_maxrss * 1024;
}

void job_sources(const job *j, char out[JOB_SOURCES])
{
    size_t used = 0;
    *out = 0;
    for (int i = 0; i < (int)job_number(j, "matrices", 0); i++) {
        const char *type = job_matrix_text(j, i, "source"), *at = strstr(out, type);
        size_t length = strlen(type);
        while (at && at[length] && at[length] != ',')
            at = strstr(at + 1, type);
        if (length && !at && used + length + 3 < JOB_SOURCES)
            used +=
                (size_t)snprintf(out + used, JOB_SOURCES - used, "%s%s", used ? ", " : "", type);
    }
}

static void print_json(const job *j)
{
    char key[32], *record = must(strdup("{}"));
    for (int i = 0; i < (int)job_number(j, "matrices", 0); i++)
        puts(job_matrix_text(j, i, "json"));
    record = record_put_text(record, "model", j->a->operand);
    record = record_put_text(record, "out", j->a->out);
    record = record_put_number(record, "matrices", job_number(j, "matrices", 0));
    record = record_put_number(record, "zeros", job_number(j, "zeros", 0));
    record = record_put_number(record, "size", job_number(j, "size", 0));
    for (int i = 0; i < j->a->eval.count; i++) {
        snprintf(key, sizeof key, i ? "perplexity_before_%d" : "perplexity_before", i + 1);
        record = record_put_number(record, key, job_number(j, "perplexity_before", i));
        snprintf(key, sizeof key, i ? "perplexity_after_%d" : "perplexity_after", i + 1);
        record = record_put_number(record, key, job_number(j, "perplexity_after", i));
        snprintf(key, sizeof key, i ? "hidden_error_%d" : "hidden_error", i + 1);
        if (!isnan(job_number(j, "hidden_error", i)))
            record = record_put_number(record, key, job_number(j, "hidden_error", i));
    }
    record = record_put_number(record, "seconds", s24_seconds() - j->began);
    record = record_put_number(record, "efficiency", job_number(j, "efficiency", 0));
    record = record_put_number(record, "peak_bytes", (double)peak_memory());
    puts(record);
    free(record);
}

static void print_evaluation(const job *j, int i)
{
    double hidden = job_number(j, "hidden_error", i);
    if (!isnan(hidden))
        printf("%-13s%.4g relative error of the last hidden states (%s)\n", "encoder", hidden,
               j->a->eval.text[i]);
    else
        printf("%-13s%.3f before, %.3f after (%s)\n", "perplexity",
               job_number(j, "perplexity_before", i), job_number(j, "perplexity_after", i),
               j->a->eval.text[i]);
}

static void print_summary(const job *j, bool reported)
{
    double size = job_number(j, "size", 0);
    if (job_number(j, "complete", 0) > 0)
        printf("%s is complete already\n", j->a->out);
    printf("%-13s%.0f, %.2f %% of their weights zero\n", "matrices", job_number(j, "matrices", 0),
           size > 0 ? 100 * job_number(j, "zeros", 0) / size : 0);
    char sources[JOB_SOURCES];
    job_sources(j, sources);
    if (*sources)
        printf("%-13s%s, decoded\n", "source", sources);
    printf("%-13s%.4g mean relative error of their outputs\n", "calibration",
           job_number(j, "relative_loss", 0));
    if (!isnan(job_number(j, "dense_relative_loss", 0)))
        printf("%-13s%.4g mean relative distance from the dense model's\n", "",
               job_number(j, "dense_relative_loss", 0));
    for (int i = 0; i < j->a->eval.count; i++)
        print_evaluation(j, i);
    if (job_number(j, "complete", 0) > 0 || isnan(job_number(j, "efficiency", 0)))
        printf("%-13s%.1f in all, the blocks by an earlier run\n", "seconds",
               s24_seconds() - j->began);
    else
        printf("%-13s%.1f in all, %.1f in the blocks at %.0f %% of the rate of a large product\n",
               "seconds", s24_seconds() - j->began, job_number(j, "block_seconds", 0),
               100 * job_number(j, "efficiency", 0));
    printf("%-13s%.0f MiB at most\n", "memory", (double)peak_memory() / 1048576);
    printf("%-13s%s\n", "written", j->a->out);
    if (reported)
        printf("%-13s%s\n", "report", j->a->report);
}

static bool write_report(const job *j)
{
    report_perplexity perplexity[ARGS_LIST];
    const args *a = j->a;
    char asked[400];
    int measured = isnan(job_number(j, "hidden_error", 0)) ? a->eval.count : 0;
    for (int i = 0; i < measured; i++) {
        const char *slash = strrchr(a->eval.text[i], '/');
        perplexity[i] = (report_perplexity){slash ? slash + 1 : a->eval.text[i],
                                            job_number(j, "perplexity_before", i),
                                            job_number(j, "perplexity_after", i)};
    }
    snprintf(asked, sizeof asked, "--constraints \"%s\" --solver %s%s%s --correct %g",
             a->constraints, a->solver ? a->solver : "by constraints",
             a->options ? " --options " : "", a->options ? a->options : "",
             a->correct ? atof(a->correct) : 0.5);
    report r = {.model = a->operand,
                .output = a->out,
                .command = asked,
                .job = j,
                .matrices = (int)job_number(j, "matrices", 0),
                .perplexity = perplexity,
                .perplexities = measured,
                .seconds = s24_seconds() - j->began,
                .efficiency = job_number(j, "efficiency", 0)};
    return report_write(&r, a->report);
}

/* FILE or FILE:TENSOR */
static bool is_source(const char *text, const struct stat *file)
{
    struct stat s;
    const char *colon = access(text, F_OK) ? strrchr(text, ':') : NULL;
    char *path = must(colon ? strndup(text, (size_t)(colon - text)) : strdup(text));
    bool same = !stat(path, &s) && s.st_dev == file->st_dev && s.st_ino == file->st_ino;
    free(path);
    return same;
}

static bool is_input(const job *j, const struct stat *file)
{
    const char *path;
    bool found = false;
    for (int i = 0; !found && i < j->a->calibs.count; i++)
        found = is_source(j->a->calibs.text[i], file);
    for (int i = 0; !found && i < j->a->eval.count; i++)
        found = is_source(j->a->eval.text[i], file);
    for (int i = 0; !found && (path = s24_compression_source(j->work, i)); i++)
        found = is_source(path, file);
    return found;
}

bool job_check_report(const job *j)
{
    struct stat s;
    const char *path = j->a->report;
    if (!path)
        return true;
    if (!*path)
        return fail("--report: the name is empty");
    if (!stat(path, &s) && is_input(j, &s))
        return fail("--report %s: is an input of this run", path);
    return (strcmp(path, j->a->out) != 0 || fail("--report %s: is what --out names", path)) &&
           report_check(path);
}

/* What was measured is printed also when the page cannot be written. */
bool job_tell(const job *j)
{
    bool reported = j->a->report && write_report(j);
    if (j->a->json)
        print_json(j);
    else
        print_summary(j, reported);
    return reported || !j->a->report;
}
