/* One self-contained HTML page about a compression: what was asked, what it cost in accuracy and
 * time, matrix by matrix. Reads records (record.h); knows no model. */
#ifndef REPORT_H
#define REPORT_H
#include <stdbool.h>

typedef struct report_perplexity {
    const char *name; /* of the token file */
    double before, after;
} report_perplexity;

typedef struct report {
    const char *model, *output, *command; /* what was asked, for the head of the page */
    const char *const *records;           /* one a matrix, as in records.jsonl */
    int matrices;
    const report_perplexity *perplexity;
    int perplexities;
    double seconds, efficiency; /* of this run; efficiency NaN if it was not measured */
} report;

/* Can a page be written there, and is what it would replace a page of ours? To be asked before hours of
 * work. */
bool report_check(const char *path);
bool report_write(const report *r, const char *path);

#endif
