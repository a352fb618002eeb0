#include "report.h"
#include "chart.h"
#include "message.h"
#include "paths.h"
#include "record.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
    char **kind; /* of each row */
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
            t->column[c][i] = record_number(r->records[i], keys[c]);
        t->kind[i] = record_text(r->records[i], "matrix");
        int k = 0;
        while (k < t->count && t->kind[i] && strcmp(t->kinds[k], t->kind[i]))
            k++;
        if (k == t->count && k < KINDS && t->kind[i])
            t->kinds[t->count++] = t->kind[i];
    }
}

static void table_free(table *t)
{
    for (int c = 0; c < COLUMNS; c++)
        free(t->column[c]);
    for (int i = 0; i < t->rows; i++)
        free(t->kind[i]);
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
            if (t->kind[i] && !strcmp(t->kind[i], t->kinds[k])) {
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

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<meta name=\"viewport\" content=\"width=device-width\">"
    "<title>sparse24 report</title><style>\n"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color:#212529;background:#fff}\nh1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}\n"
    "svg{width:100%;height:auto;font:12px system-ui,sans-serif}\n"
    ".title{font-weight:600;font-size:14px}.grid{stroke:#dee2e6}"
    ".same{stroke:#868e96;stroke-dasharray:4 4}\n"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}\n"
    "td,th{padding:.15rem .7rem;text-align:right;border-bottom:1px solid #dee2e6}\n"
    "td:first-child,th:first-child{text-align:left}code{background:#f1f3f5;padding:.1rem .3rem}\n"
    "</style></head><body>\n";

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
        char *name = record_text(r->records[i], "tensor");
        char *constraints = record_text(r->records[i], "constraints");
        fputs("<tr><td>", out);
        chart_text(out, name ? name : "");
        fputs("</td><td>", out);
        chart_text(out, constraints ? constraints : "");
        fputs("</td>", out);
        put_cell(out, t->column[ZEROS][i] / t->column[SIZE][i]);
        put_cell(out, t->column[ERROR][i]);
        put_cell(out, t->column[TEST_ERROR][i]);
        put_cell(out, t->column[DENSE][i]);
        put_cell(out, t->column[TEST_DENSE][i]);
        put_cell(out, t->column[SECONDS][i]);
        fputs("</tr>\n", out);
        free(name);
        free(constraints);
    }
    fputs("</table>\n", out);
}

/* What the records warn of, a line a matrix. */
static void put_warnings(FILE *out, const report *r)
{
    int count = 0;
    for (int i = 0; i < r->matrices; i++) {
        char *warning = record_text(r->records[i], "warning");
        char *name = warning ? record_text(r->records[i], "tensor") : NULL;
        if (warning) {
            fputs(count++ ? "" : "<h2>Warnings</h2>\n<ul>\n", out);
            fputs("<li>", out);
            chart_text(out, name ? name : "");
            fputs(": ", out);
            chart_text(out, warning);
            fputs("</li>\n", out);
        }
        free(name);
        free(warning);
    }
    fputs(count ? "</ul>\n" : "", out);
}

static void put_page(FILE *out, const report *r)
{
    table t = {0};
    table_read(&t, r);
    fputs(head, out);
    put_summary(out, r, &t);
    put_warnings(out, r);
    put_perplexity(out, r);
    if (t.rows)
        put_charts(out, &t);
    put_table(out, r, &t);
    fputs("</body></html>\n", out);
    table_free(&t);
}

/* ---- Writing it ---- */

/* Whether what is there may be replaced: nothing, an empty file or a page of ours. */
static bool is_ours(const char *path)
{
    char begin[sizeof head];
    struct stat info;
    if (stat(path, &info))
        return errno == ENOENT || fail("--report %s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return fail("--report %s: not a regular file", path);
    FILE *file = fopen(path, "r");
    size_t length = file ? fread(begin, 1, sizeof head - 1, file) : 0;
    if (file)
        fclose(file);
    return !info.st_size || (length == sizeof head - 1 && !memcmp(begin, head, length)) ||
           fail("--report %s: is there and not a report of sparse24: give another name, or remove "
                "it",
                path);
}

/* A new file beside the page, to become it in one step; one that a killed run left goes. */
static FILE *open_beside(const char *path, char **name)
{
    size_t size = strlen(path) + 8;
    *name = must(malloc(size));
    snprintf(*name, size, "%s.part", path);
    if (!is_ours(path) || !is_ours(*name))
        return NULL;
    unlink(*name);
    int file = open(*name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    FILE *out = file < 0 ? NULL : fdopen(file, "w");
    if (!out)
        fail("--report %s: %s", path, strerror(errno));
    return out;
}

bool report_check(const char *path)
{
    char *name;
    FILE *out = open_beside(path, &name);
    bool done =
        out && ((!fclose(out) && !unlink(name)) || fail("--report %s: %s", path, strerror(errno)));
    free(name);
    return done;
}

bool report_write(const report *r, const char *path)
{
    char *name;
    FILE *out = open_beside(path, &name);
    if (out) {
        put_page(out, r);
        bool good = !ferror(out) && !fflush(out) && s24m_path_sync(fileno(out));
        good = !fclose(out) && good && !rename(name, path);
        if (!good) {
            fail("--report %s: %s", path, strerror(errno));
            unlink(name);
            out = NULL;
        }
    }
    free(name);
    return out != NULL;
}
