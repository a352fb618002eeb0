/* The curves of training in a report: blocks that were refined, the whole model that was tuned; rows
 * that were trained on against rows that were kept back. */
#include "report_training.h"
#include "chart.h"
#include "job.h"
#include "message.h"
#include <math.h>
#include <stdlib.h>

typedef struct curve {
    double *epochs, *training, *kept; /* `count` of each */
    int count;
} curve;

static int count_epochs(const job *j, int block)
{
    int count = 0;
    while (s24_compression_epoch(j->work, block, count, NULL, NULL) == S24_OK)
        count++;
    return count;
}

static curve open_curve(int count)
{
    size_t size = (size_t)count + 1;
    curve c = {must(calloc(size, sizeof(double))), must(calloc(size, sizeof(double))),
               must(calloc(size, sizeof(double))), count};
    for (int i = 0; i < count; i++)
        c.epochs[i] = i;
    return c;
}

static void close_curve(curve *c)
{
    free(c->epochs);
    free(c->training);
    free(c->kept);
}

static void draw(FILE *out, const curve *c, const char *title, const char *y_label)
{
    chart shown = {.title = title,
                   .x_label = "epoch (0: before)",
                   .x_whole = 1,
                   .y_label = y_label,
                   .lines = 1};
    series both[] = {{"trained on", c->epochs, c->training, c->count},
                     {"kept back", c->epochs, c->kept, c->count}};
    chart_draw(out, &shown, both, 2);
}

/* The means over all blocks that this run refined. */
static void draw_refinement(FILE *out, const job *j, int layers)
{
    int blocks = 0, count = 0;
    for (int b = 0; b < layers; b++)
        count = count ? count : count_epochs(j, b);
    curve c = open_curve(count);
    for (int b = 0; b < layers; b++) {
        if (count_epochs(j, b) != count || !count)
            continue;
        blocks++;
        for (int i = 0; i < count; i++) {
            double training, kept;
            s24_compression_epoch(j->work, b, i, &training, &kept);
            c.training[i] += training;
            c.kept[i] += kept;
        }
    }
    for (int i = 0; blocks && i < count; i++) {
        c.training[i] /= blocks;
        c.kept[i] /= blocks;
    }
    if (blocks)
        draw(out, &c, "Refinement of blocks: mean relative error of their outputs",
             "relative error");
    close_curve(&c);
}

/* Each block before its training and at its best. */
static void draw_blocks(FILE *out, const job *j, int layers)
{
    chart shown = {.title = "Error of each block's outputs on rows kept back",
                   .x_label = "layer",
                   .x_whole = 1,
                   .y_label = "relative error",
                   .y_log = 1,
                   .lines = 1};
    curve c = open_curve(layers);
    int any = 0;
    for (int b = 0; b < layers; b++) {
        c.training[b] = c.kept[b] = NAN;
        for (int i = 0; i < count_epochs(j, b); i++) {
            double kept;
            s24_compression_epoch(j->work, b, i, NULL, &kept);
            any = 1;
            c.training[b] = i ? c.training[b] : kept;
            c.kept[b] = i ? fmin(c.kept[b], kept) : kept;
        }
    }
    series both[] = {{"as solved", c.epochs, c.training, layers},
                     {"refined", c.epochs, c.kept, layers}};
    if (any)
        chart_draw(out, &shown, both, 2);
    close_curve(&c);
}

static void draw_tuning(FILE *out, const job *j, int layers)
{
    curve c = open_curve(count_epochs(j, layers));
    for (int i = 0; i < c.count; i++)
        s24_compression_epoch(j->work, layers, i, c.training + i, c.kept + i);
    if (c.count)
        draw(out, &c, "Tuning of the whole model: divergence from the dense one", "divergence");
    close_curve(&c);
}

void report_training(FILE *out, const job *j)
{
    int64_t layers = 0;
    int any = 0;
    s24_model_int(j->model, "layers", &layers);
    for (int b = 0; b <= layers; b++)
        any = any || count_epochs(j, b);
    if (!any)
        return;
    fputs("<h2>Training</h2>\n", out);
    draw_refinement(out, j, (int)layers);
    draw_blocks(out, j, (int)layers);
    draw_tuning(out, j, (int)layers);
}
