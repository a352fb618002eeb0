/* One self-contained HTML page about a compression: what was asked, what it cost in accuracy and
 * time, matrix by matrix. */
#ifndef REPORT_H
#define REPORT_H
#include <stdbool.h>
#include <stdio.h>

typedef struct report_perplexity {
    const char *name; /* of the token file */
    double before, after;
} report_perplexity;

typedef struct report {
    const char *model, *output, *command; /* what was asked, for the head of the page */
    const struct job *job;                /* has the matrices */
    int matrices;
    const report_perplexity *perplexity;
    int perplexities;
    double seconds, efficiency; /* of this run; efficiency NaN if it was not measured */
} report;

/* Can a page be written there, and is what it would replace a page of ours? To be asked before hours of
 * work. */
bool report_check(const char *path);
/* The page; what it begins with tells a page of ours. */
enum { REPORT_HEAD = 744 };
extern const char report_head[REPORT_HEAD];
void report_put(FILE *out, const report *r);
bool report_write(const report *r, const char *path);

#endif
