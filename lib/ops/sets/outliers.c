#include "sets.h"
#include <float.h>
#include <math.h>

/*
 * Which weights of a matrix stay off its grid. By error: those whose error on the grid, weighted by
 * the variance of their input given all others, is largest: about what the matrix would gain
 * without it. By magnitude: the largest (Behdin et al. 2023, where the choice never moves from its
 * start). Whole inputs by the sum over their column.
 */
typedef struct {
    s24i_outliers outliers;
    const s24i_grid *grid;
    const float *weight, *w;
    const uint8_t *mask;
    int64_t rows;
    double unit;         /* of errors, so that their squares stay in range */
    float *score, *sums; /* rows x cols; cols */
    uint8_t *chosen;     /* inputs */
} choice;

static void score_row(void *arg, int64_t i, int32_t worker)
{
    (void)worker;
    const choice *c = arg;
    const s24i_grid *grid = c->grid;
    int64_t n = grid->cols, group = s24i_grid_group(&grid->form, n);
    int64_t groups = s24i_grid_groups(&grid->form, n);
    float top = s24i_grid_top(&grid->form);
    double up = ldexp(1, grid->shift);
    for (int64_t j = 0; j < n; j++) {
        int64_t at = i * n + j, g = i * groups + j / group;
        float zero = s24i_grid_zero(grid, g), e = c->w[at], weight = 1;
        if (!c->outliers.by_magnitude) {
            float scale = (float)(grid->scale[g] * up);
            e -= scale * (s24i_nearest_code(e / scale + zero, top) - zero);
            weight = c->weight[j];
        }
        c->score[at] = c->mask[at] ? (float)fmin((double)weight * e * e, FLT_MAX) : 0;
    }
}

static void sum_inputs(const choice *c)
{
    int64_t n = c->grid->cols;
    for (int64_t j = 0; j < n; j++) {
        double sum = 0;
        for (int64_t i = 0; i < c->rows; i++)
            sum += (double)c->score[i * n + j];
        c->sums[j] = (float)fmin(sum, FLT_MAX);
    }
}

static void mark_row(void *arg, int64_t i, int32_t worker)
{
    (void)worker;
    const choice *c = arg;
    int64_t n = c->grid->cols;
    double down = ldexp(1, -c->grid->shift);
    for (int64_t at = i * n; at < (i + 1) * n; at++) {
        bool chosen = c->outliers.inputs ? c->chosen[at % n] : c->grid->outliers[at];
        c->grid->outliers[at] = chosen && c->mask[at];
        c->grid->value[at] = (float)(c->w[at] * down);
    }
}

s24_status s24i_cpu_choose_outliers(const s24i_run *run, s24i_outliers outliers,
                                    const float *weight, const float *w, const uint8_t *mask,
                                    int64_t rows, s24i_grid *grid)
{
    size_t mark = run->arena->used, n = (size_t)grid->cols, size = s24i_mul((size_t)rows, n);
    choice c = {.outliers = outliers, .grid = grid, .weight = weight, .w = w, .mask = mask};
    c.rows = rows;
    c.score = s24i_arena_take(run->arena, size, sizeof(float));
    c.sums = s24i_arena_take(run->arena, n, sizeof(float));
    c.chosen = s24i_arena_take(run->arena, n, 1);
    s24_status status = S24_OK;
    if (!s24i_counting(run))
        status = s24i_parallel(run->device->threads, score_row, &c, rows);
    if (!status && !s24i_counting(run) && outliers.inputs) {
        sum_inputs(&c);
        s24i_keep_largest(c.sums, grid->cols, outliers.count, c.chosen);
    }
    if (!status && !outliers.inputs)
        status =
            s24i_select_largest(run, c.score, rows * grid->cols, outliers.count, grid->outliers);
    if (!status && !s24i_counting(run))
        status = s24i_parallel(run->device->threads, mark_row, &c, rows);
    run->arena->used = mark;
    return status;
}
