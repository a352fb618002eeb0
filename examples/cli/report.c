#include "report_table.h"
#include "report_training.h"
#include "chart.h"
#include "job.h"
#include <math.h>
#include <stdio.h>

static void put_pair(FILE *out, const char *name, const char *value)
{
    fprintf(out, "<tr><td>%s</td><td style=\"text-align:left\">", name);
    chart_text(out, value);
    fputs("</td></tr>\n", out);
}

static void put_summary(FILE *out, const report *r, const table *t)
{
    char text[160];
    fputs("<h1>sparse24 compress</h1>\n<table>\n", out);
    put_pair(out, "Model", r->model);
    put_pair(out, "Written", r->output);
    put_pair(out, "Command", r->command);
    snprintf(text, sizeof text, "%d, %.0f of %.0f weights zero (%.2f %%)", t->rows,
             table_sum(t, ZEROS), table_sum(t, SIZE),
             table_sum(t, SIZE) > 0 ? 100 * table_sum(t, ZEROS) / table_sum(t, SIZE) : 0);
    put_pair(out, "Matrices", text);
    job_sources(r->job, text);
    if (*text)
        put_pair(out, "Decoded from", text);
    snprintf(text, sizeof text, "%.0f s in all, %.0f s of them solving", r->seconds,
             table_sum(t, SECONDS));
    put_pair(out, "Time", text);
    if (!isnan(r->efficiency)) {
        snprintf(text, sizeof text, "%.0f %% of the rate of a large matrix product",
                 100 * r->efficiency);
        put_pair(out, "Efficiency", text);
    }
    fputs("</table>\n", out);
}

static void put_perplexity(FILE *out, const report *r)
{
    enum { MOST = 16 };
    const char *names[MOST];
    double before[MOST], after[MOST];
    int count = r->perplexities < MOST ? r->perplexities : MOST;
    for (int i = 0; i < count; i++) {
        names[i] = r->perplexity[i].name;
        before[i] = r->perplexity[i].before;
        after[i] = r->perplexity[i].after;
    }
    if (!count)
        return;
    fputs("<h2>Perplexity</h2>\n", out);
    chart_bars(out, "Before (grey) and after (blue); lower is better", names, before, after, count);
}

static void put_cell(FILE *out, double value)
{
    if (isnan(value))
        fputs("<td>&ndash;</td>", out);
    else
        fprintf(out, "<td>%.4g</td>", value);
}

static void put_table(FILE *out, const report *r, const table *t)
{
    fputs("<h2>Matrices</h2>\n<table><tr><th>matrix</th><th>constraints</th><th>zeros</th>"
          "<th>error</th><th>held out</th><th>from dense</th><th>held out</th><th>seconds</th>"
          "</tr>\n",
          out);
    for (int i = 0; i < t->rows; i++) {
        fputs("<tr><td>", out);
        chart_text(out, job_matrix_text(r->job, i, "tensor"));
        fputs("</td><td>", out);
        chart_text(out, job_matrix_text(r->job, i, "constraints"));
        fputs("</td>", out);
        put_cell(out, t->column[ZEROS][i] / t->column[SIZE][i]);
        put_cell(out, t->column[ERROR][i]);
        put_cell(out, t->column[TEST_ERROR][i]);
        put_cell(out, t->column[DENSE][i]);
        put_cell(out, t->column[TEST_DENSE][i]);
        put_cell(out, t->column[SECONDS][i]);
        fputs("</tr>\n", out);
    }
    fputs("</table>\n", out);
}

/* What the records warn of, a line a matrix. */
static void put_warnings(FILE *out, const report *r)
{
    int count = 0;
    for (int i = 0; i < r->matrices; i++) {
        const char *warning = job_matrix_text(r->job, i, "warning");
        if (!*warning)
            continue;
        fputs(count++ ? "<li>" : "<h2>Warnings</h2>\n<ul>\n<li>", out);
        chart_text(out, job_matrix_text(r->job, i, "tensor"));
        fputs(": ", out);
        chart_text(out, warning);
        fputs("</li>\n", out);
    }
    fputs(count ? "</ul>\n" : "", out);
}

void report_put(FILE *out, const report *r)
{
    table t = {0};
    table_read(&t, r);
    fputs(report_head, out);
    put_summary(out, r, &t);
    put_warnings(out, r);
    put_perplexity(out, r);
    report_training(out, r->job);
    if (t.rows)
        table_charts(out, &t);
    put_table(out, r, &t);
    fputs("</body></html>\n", out);
    table_free(&t);
}
