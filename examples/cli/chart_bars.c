#include "chart.h"
#include <math.h>

enum { WIDTH = 720, TOP = 34 };

static void bar(FILE *out, int y, double value, double largest, const char *colour)
{
    double width = value > 0 && isfinite(value) ? 360 * value / largest : 0;
    fprintf(out,
            "<rect x=\"250\" y=\"%d\" width=\"%.1f\" height=\"14\" fill=\"%s\"/>"
            "<text x=\"%.1f\" y=\"%d\">%.2f</text>\n",
            y, width, colour, 256 + width, y + 12, value);
}

void chart_bars(FILE *out, const char *title, const char *const *names, const double *before,
                const double *after, int count)
{
    double largest = 0;
    for (int i = 0; i < count; i++)
        largest = fmax(largest, fmax(before[i], after[i]));
    fprintf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\"><text x=\"10\" y=\"20\" class=\"title\">",
            WIDTH, TOP + 46 * count + 10);
    chart_text(out, title);
    fputs("</text>\n", out);
    for (int i = 0; i < count; i++) {
        int y = TOP + 46 * i;
        fprintf(out, "<text x=\"240\" y=\"%d\" text-anchor=\"end\">", y + 20);
        chart_text(out, names[i]);
        fputs("</text>\n", out);
        bar(out, y, before[i], largest, "#495057");
        bar(out, y + 17, after[i], largest, "#0b6fb8");
    }
    fputs("</svg>\n", out);
}
