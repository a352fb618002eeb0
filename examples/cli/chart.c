#include "chart.h"
#include <float.h>
#include <math.h>
#include <stdbool.h>

enum { WIDTH = 720, HEIGHT = 340, LEFT = 70, RIGHT = 130, TOP = 34, BOTTOM = 46 };

static const char *const colours[] = {"#0b6fb8", "#d9480f", "#2b8a3e", "#862e9c",
                                      "#c2255c", "#5c940d", "#495057", "#e8590c"};
enum { COLOURS = sizeof colours / sizeof *colours };

void chart_text(FILE *out, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            fputc(*text, out);
        }
}

/* One axis: values low .. high onto pixels from .. to. */
typedef struct axis {
    bool log, whole; /* whole: ticks at integers only */
    double low, high, from, to;
} axis;

static double on_scale(const axis *a, double value)
{
    return a->log ? log10(value) : value;
}

static bool can_show(const axis *a, double value)
{
    return isfinite(value) && (!a->log || value > 0);
}

static double place(const axis *a, double value)
{
    double t = (on_scale(a, value) - a->low) / (a->high - a->low);
    return a->from + t * (a->to - a->from);
}

static void widen(axis *a, double value)
{
    double v = on_scale(a, value);
    a->low = v < a->low ? v : a->low;
    a->high = v > a->high ? v : a->high;
}

/* A little room; something to divide by. */
static void settle(axis *a)
{
    if (a->low > a->high)
        a->low = 0, a->high = 1;
    double room = a->high > a->low ? 0.04 * (a->high - a->low) : a->log ? 0.5 : 1;
    a->low -= room;
    a->high += room;
}

/* 1, 2 or 5 times a power of ten, about `count` steps. */
static double step_of(double span, int count)
{
    double rough = span / count, power = pow(10, floor(log10(rough)));
    double digit = rough / power;
    return power * (digit < 1.5 ? 1 : digit < 3.5 ? 2 : digit < 7.5 ? 5 : 10);
}

static void tick(FILE *out, const axis *a, double value, bool vertical)
{
    double p = place(a, value);
    if (vertical)
        fprintf(out,
                "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" class=\"grid\"/>"
                "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.4g</text>\n",
                LEFT, p, WIDTH - RIGHT, p, LEFT - 6, p + 4, value);
    else
        fprintf(out,
                "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" class=\"grid\"/>"
                "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.4g</text>\n",
                p, TOP, p, HEIGHT - BOTTOM, p, HEIGHT - BOTTOM + 16, value);
}

static void ticks(FILE *out, const axis *a, bool vertical)
{
    static const double parts[] = {1, 2, 5};
    if (!a->log) {
        double step = step_of(a->high - a->low, 6);
        step = a->whole && step < 1 ? 1 : step;
        for (double v = ceil(a->low / step) * step; v <= a->high; v += step)
            tick(out, a, fabs(v) < step / 2 ? 0 : v, vertical);
        return;
    }
    bool sparse = a->high - a->low > 2;
    for (int power = (int)floor(a->low); power <= a->high; power++)
        for (int i = 0; i < (sparse ? 1 : 3); i++) {
            double value = parts[i] * pow(10, power), v = log10(value);
            if (v >= a->low && v <= a->high)
                tick(out, a, value, vertical);
        }
}

static void frame(FILE *out, const chart *c, const axis *x, const axis *y)
{
    fprintf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\"><text x=\"%d\" y=\"20\" class=\"title\">",
            WIDTH, HEIGHT, LEFT);
    chart_text(out, c->title);
    fputs("</text>\n", out);
    ticks(out, x, false);
    ticks(out, y, true);
    fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">", (LEFT + WIDTH - RIGHT) / 2,
            HEIGHT - 8);
    chart_text(out, c->x_label);
    int middle = (TOP + HEIGHT - BOTTOM) / 2;
    fprintf(out, "</text><text transform=\"translate(16 %d) rotate(-90)\" text-anchor=\"middle\">",
            middle);
    chart_text(out, c->y_label);
    fputs("</text>\n", out);
    if (c->diagonal) {
        double low = fmax(x->low, y->low), high = fmin(x->high, y->high);
        double a = x->log ? pow(10, low) : low, b = x->log ? pow(10, high) : high;
        fprintf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"same\"/>\n",
                place(x, a), place(y, a), place(x, b), place(y, b));
    }
}

static void draw_series(FILE *out, const chart *c, const axis *x, const axis *y, const series *s,
                        int index)
{
    const char *colour = colours[index % COLOURS];
    if (c->lines) {
        fprintf(out, "<polyline fill=\"none\" stroke=\"%s\" points=\"", colour);
        for (int i = 0; i < s->count; i++)
            if (can_show(x, s->x[i]) && can_show(y, s->y[i]))
                fprintf(out, "%.1f,%.1f ", place(x, s->x[i]), place(y, s->y[i]));
        fputs("\"/>\n", out);
    }
    for (int i = 0; i < s->count; i++)
        if (can_show(x, s->x[i]) && can_show(y, s->y[i]))
            fprintf(out,
                    "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\" fill=\"%s\"><title>%s: %.4g, "
                    "%.4g</title></circle>\n",
                    place(x, s->x[i]), place(y, s->y[i]), colour, s->name, s->x[i], s->y[i]);
    int top = TOP + 10 + 18 * index;
    fprintf(out,
            "<rect x=\"%d\" y=\"%d\" width=\"12\" height=\"12\" fill=\"%s\"/><text x=\"%d\" "
            "y=\"%d\">",
            WIDTH - RIGHT + 12, top, colour, WIDTH - RIGHT + 30, top + 10);
    chart_text(out, s->name);
    fputs("</text>\n", out);
}

void chart_draw(FILE *out, const chart *c, const series *s, int count)
{
    axis x = {.log = c->x_log, .whole = c->x_whole, .low = DBL_MAX, .high = -DBL_MAX, .from = LEFT};
    axis y = {.log = c->y_log, .low = DBL_MAX, .high = -DBL_MAX, .from = HEIGHT - BOTTOM};
    x.to = WIDTH - RIGHT;
    y.to = TOP;
    for (int k = 0; k < count; k++)
        for (int i = 0; i < s[k].count; i++)
            if (can_show(&x, s[k].x[i]) && can_show(&y, s[k].y[i])) {
                widen(&x, s[k].x[i]);
                widen(&y, s[k].y[i]);
            }
    settle(&x);
    settle(&y);
    frame(out, c, &x, &y);
    for (int k = 0; k < count; k++)
        draw_series(out, c, &x, &y, s + k, k);
    fputs("</svg>\n", out);
}
