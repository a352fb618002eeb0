#include "report_table.h"
#include "chart.h"
#include "job.h"
#include "message.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const keys[COLUMNS] = {"layer",
                                          "relative_loss",
                                          "dense_relative_loss",
                                          "test_relative_loss",
                                          "test_dense_relative_loss",
                                          "seconds",
                                          "zeros",
                                          "size"};
void table_read(table *t, const report *r)
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

void table_free(table *t)
{
    for (int c = 0; c < COLUMNS; c++)
        free(t->column[c]);
    free(t->kind);
}

double table_sum(const table *t, int column)
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

void table_charts(FILE *out, const table *t)
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
