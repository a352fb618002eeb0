#include "job.h"
#include "clock.h"
#include "message.h"
#include "record.h"
#include "report.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static double mean(const job *j, const char *key)
{
    double sum = 0;
    for (int i = 0; i < j->count; i++)
        sum += record_number(j->records[i], key);
    return j->count ? sum / j->count : NAN;
}

static double sum(const job *j, const char *key)
{
    return j->count ? j->count * mean(j, key) : 0;
}

static int64_t peak_memory(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) ? 0 : (int64_t)usage.ru_maxrss * 1024;
}

static void print_json(const job *j)
{
    char key[32], *record = must(strdup("{}"));
    for (int i = 0; i < j->count; i++)
        puts(j->records[i]);
    record = record_put_text(record, "model", j->a->operand);
    record = record_put_text(record, "out", j->a->out);
    record = record_put_number(record, "matrices", j->count);
    record = record_put_number(record, "zeros", sum(j, "zeros"));
    record = record_put_number(record, "size", sum(j, "size"));
    for (int i = 0; i < j->a->eval.count; i++) {
        snprintf(key, sizeof key, i ? "perplexity_before_%d" : "perplexity_before", i + 1);
        record = record_put_number(record, key, j->before[i]);
        snprintf(key, sizeof key, i ? "perplexity_after_%d" : "perplexity_after", i + 1);
        record = record_put_number(record, key, j->after[i]);
    }
    record = record_put_number(record, "seconds", now() - j->began);
    record = record_put_number(record, "efficiency", j->efficiency);
    record = record_put_number(record, "peak_bytes", (double)peak_memory());
    puts(record);
    free(record);
}

static void print_summary(const job *j, bool reported)
{
    double size = sum(j, "size");
    if (j->complete)
        printf("%s is complete already\n", j->a->out);
    printf("%-13s%d, %.2f %% of their weights zero\n", "matrices", j->count,
           size > 0 ? 100 * sum(j, "zeros") / size : 0);
    printf("%-13s%.4g mean relative error of their outputs\n", "calibration",
           mean(j, "relative_loss"));
    if (j->settings.correct > 0)
        printf("%-13s%.4g mean relative distance from the dense model's\n", "",
               mean(j, "dense_relative_loss"));
    for (int i = 0; i < j->a->eval.count; i++)
        printf("%-13s%.3f before, %.3f after (%s)\n", "perplexity", j->before[i], j->after[i],
               j->a->eval.text[i]);
    if (j->complete)
        printf("%-13s%.1f in all, the blocks by an earlier run\n", "seconds", now() - j->began);
    else
        printf("%-13s%.1f in all, %.1f in the blocks at %.0f %% of the rate of a large product\n",
               "seconds", now() - j->began, j->walked, 100 * j->efficiency);
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
    for (int i = 0; i < a->eval.count; i++) {
        const char *slash = strrchr(a->eval.text[i], '/');
        perplexity[i] =
            (report_perplexity){slash ? slash + 1 : a->eval.text[i], j->before[i], j->after[i]};
    }
    snprintf(asked, sizeof asked, "--constraints \"%s\" --solver %s%s%s --correct %g",
             a->constraints, j->settings.solver ? j->settings.solver : "by constraints",
             a->options ? " --options " : "", a->options ? a->options : "", j->settings.correct);
    report r = {.model = a->operand,
                .output = a->out,
                .command = asked,
                .records = (const char *const *)j->records,
                .matrices = j->count,
                .perplexity = perplexity,
                .perplexities = a->eval.count,
                .seconds = now() - j->began,
                .efficiency = j->efficiency};
    return report_write(&r, a->report);
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
