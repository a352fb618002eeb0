#include "report.h"
#include "chart.h"
#include "job.h"
#include "message.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Columns of numbers, one a matrix, from the records. */
enum { LAYER, ERROR, DENSE, TEST_ERROR, TEST_DENSE, SECONDS, ZEROS, SIZE, COLUMNS };
static const char *const keys[COLUMNS] = {"layer",
                                          "relative_loss",
                                          "dense_relative_loss",
                                          "test_relative_loss",
                                          "test_dense_relative_loss",
                                          "seconds",
                                          "zeros",
                                          "size"};
/* Matrices that sit at the same place of each block. */
enum { KINDS = 16 };

typedef struct table {
    int rows;
    double *column[COLUMNS];
    const char **kind; /* of each row */
    const char *kinds[KINDS];
    int count;
} table;

static void table_read(table *t, const report *r)
{
    t->rows = r->matrices;
    size_t rows = (size_t)t->rows + 1;
    for (int c = 0; c < COLUMNS; c++)
        t->column[c] = must(malloc(rows * sizeof(double)));
    t->kind = must(calloc(rows, sizeof *t->kind));
    for (int i = 0; i < t->rows; i++) {
        for (int c = 0; c < COLUMNS; c++)
            t->column[c][i] = job_matrix_number(r->job, i, keys[c]);
        t->kind[i] = job_matrix_text(r->job, i, "matrix");
        int k = 0;
        while (k < t->count && strcmp(t->kinds[k], t->kind[i]))
            k++;
        if (k == t->count && k < KINDS)
            t->kinds[t->count++] = t->kind[i];
    }
}

static void table_free(table *t)
{
    for (int c = 0; c < COLUMNS; c++)
        free(t->column[c]);
    free(t->kind);
}

static double sum(const table *t, int column)
{
    double total = 0;
    for (int i = 0; i < t->rows; i++)
        total += isnan(t->column[column][i]) ? 0 : t->column[column][i];
    return total;
}

/* One series a kind: column y against column x. */
static void draw_by_kind(FILE *out, const table *t, const chart *c, int x, int y)
{
    series s[KINDS];
    double *points = must(malloc(2 * ((size_t)t->rows * KINDS + 1) * sizeof(double)));
    double *next = points;
    for (int k = 0; k < t->count; k++) {
        s[k] = (series){.name = t->kinds[k], .x = next, .y = next + t->rows};
        for (int i = 0; i < t->rows; i++)
            if (!strcmp(t->kind[i], t->kinds[k])) {
                next[s[k].count] = t->column[x][i];
                next[t->rows + s[k].count++] = t->column[y][i];
            }
        next += 2 * t->rows;
    }
    chart_draw(out, c, s, t->count);
    free(points);
}

static bool any_number(const table *t, int column)
{
    for (int i = 0; i < t->rows; i++)
        if (!isnan(t->column[column][i]))
            return true;
    return false;
}

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
    snprintf(text, sizeof text, "%d, %.0f of %.0f weights zero (%.2f %%)", t->rows, sum(t, ZEROS),
             sum(t, SIZE), sum(t, SIZE) > 0 ? 100 * sum(t, ZEROS) / sum(t, SIZE) : 0);
    put_pair(out, "Matrices", text);
    snprintf(text, sizeof text, "%.0f s in all, %.0f s of them solving", r->seconds,
             sum(t, SECONDS));
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

static void put_charts(FILE *out, const table *t)
{
    static const chart by_layer = {.title = "Relative error of each matrix's outputs on the "
                                            "calibration tokens",
                                   .x_label = "layer",
                                   .x_whole = 1,
                                   .y_label = "relative error",
                                   .y_log = 1,
                                   .lines = 1};
    static const chart against = {.title = "Held-out against calibration error",
                                  .x_label = "calibration",
                                  .y_label = "held out",
                                  .x_log = 1,
                                  .y_log = 1,
                                  .diagonal = 1};
    static const chart dense = {.title = "Distance from the dense model's outputs",
                                .x_label = "layer",
                                .x_whole = 1,
                                .y_label = "relative error",
                                .y_log = 1,
                                .lines = 1};
    static const chart time = {
        .title = "Seconds of each solve", .x_label = "layer", .y_label = "seconds", .lines = 1};
    fputs("<h2>Error</h2>\n", out);
    draw_by_kind(out, t, &by_layer, LAYER, ERROR);
    if (any_number(t, DENSE))
        draw_by_kind(out, t, &dense, LAYER, DENSE);
    if (any_number(t, TEST_DENSE))
        draw_by_kind(out, t, &against, DENSE, TEST_DENSE);
    else if (any_number(t, TEST_ERROR))
        draw_by_kind(out, t, &against, ERROR, TEST_ERROR);
    fputs("<h2>Time</h2>\n", out);
    draw_by_kind(out, t, &time, LAYER, SECONDS);
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
    if (t.rows)
        put_charts(out, &t);
    put_table(out, r, &t);
    fputs("</body></html>\n", out);
    table_free(&t);
}
