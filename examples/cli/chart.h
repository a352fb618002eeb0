/* Charts as inline SVG: axes, ticks, lines, points and a legend. Knows numbers and colours only. */
#ifndef CHART_H
#define CHART_H
#include <stdio.h>

typedef struct series {
    const char *name;
    const double *x, *y; /* points with a NaN are left out; of logarithmic axes also those <= 0 */
    int count;
} series;

typedef struct chart {
    const char *title, *x_label, *y_label;
    int x_log, y_log;
    int x_whole;  /* x counts something */
    int lines;    /* join the points of a series */
    int diagonal; /* draw y = x */
} chart;

void chart_draw(FILE *out, const chart *c, const series *s, int count);
/* Horizontal bars, two a row: before and after. */
void chart_bars(FILE *out, const char *title, const char *const *names, const double *before,
                const double *after, int count);
/* Text with the characters that HTML minds replaced. */
void chart_text(FILE *out, const char *text);

#endif
