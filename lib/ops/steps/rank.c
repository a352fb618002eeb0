#include "steps.h"
#include <math.h>
#include <string.h>

/*
 * Scores of nodes by the graph of weights (MLPRank, LLM-Rank): a node of the layer before gives its
 * score r_k to node i in proportion to |w_ik|. Sums are in double, in index order.
 */
enum { TILE = 16 };

typedef struct {
    const s24i_ranking *how;
    const float *w;
    int64_t rows, cols;
    const double *r, *a;
    double *weight, *link; /* a column: what 1 of |w| and what each weight that is not 0 carry */
    double *score;
} graph;

/* Weighted PageRank: column k hands out theta r_k by size, the rest of r_k evenly. */
static void share_out(const graph *g)
{
    double theta = g->how->theta, all = 0;
    for (int64_t k = 0; k < g->cols; k++)
        all += g->r[k];
    memset(g->weight, 0, (size_t)g->cols * sizeof *g->weight);
    memset(g->link, 0, (size_t)g->cols * sizeof *g->link);
    for (int64_t i = 0; i < g->rows; i++)
        for (int64_t k = 0; k < g->cols; k++) {
            float w = g->w[i * g->cols + k];
            g->weight[k] += fabs((double)w);
            g->link[k] += w != 0;
        }
    for (int64_t k = 0; k < g->cols; k++) {
        double share = g->link[k] > 0 && all > 0 ? g->r[k] / all : 0;
        g->weight[k] = share > 0 ? theta * share / g->weight[k] : 0;
        g->link[k] = share > 0 ? (1 - theta) * share / g->link[k] : 0;
    }
}

static double sum_row(const graph *g, int64_t i)
{
    const float *w = g->w + i * g->cols;
    double sum = 0;
    for (int64_t k = 0; k < g->cols; k++)
        sum += g->how->kind == S24I_RANK_WPR
                   ? fabs((double)w[k]) * g->weight[k] + (w[k] != 0 ? g->link[k] : 0)
               : g->how->kind == S24I_RANK_MPR ? fabs((double)w[k]) * g->r[k]
                                               : fabs((double)w[k]);
    return sum;
}

static void sum_tile(void *arg, int64_t tile, int32_t worker)
{
    (void)worker;
    const graph *g = arg;
    for (int64_t i = tile * TILE; i < (tile + 1) * TILE && i < g->rows; i++)
        g->score[i] = sum_row(g, i);
}

/* Sum 1; where there is nothing all nodes are alike. */
static void normalise(double *score, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += score[i];
    for (int64_t i = 0; i < count; i++)
        score[i] = sum > 0 ? score[i] / sum : 1 / (double)count;
}

/* The graph's part and that of the outputs' own norms. */
static void finish(const graph *g)
{
    double gamma = g->how->gamma, all = 0;
    for (int64_t i = 0; i < g->rows; i++)
        all += g->a[i];
    for (int64_t i = 0; i < g->rows; i++)
        if (g->how->kind == S24I_RANK_MPR)
            g->score[i] *= g->a[i];
        else if (g->how->kind == S24I_RANK_WPR)
            g->score[i] = gamma * g->score[i] + (all > 0 ? (1 - gamma) * g->a[i] / all : 0);
    normalise(g->score, g->rows);
}

s24_status s24i_cpu_rank_nodes(const s24i_run *run, const s24i_ranking *how, const float *w,
                               int64_t rows, int64_t cols, const double *r, const double *a,
                               double *score)
{
    size_t mark = run->arena->used, n = (size_t)cols;
    graph g = {.how = how, .w = w, .rows = rows, .cols = cols, .r = r, .a = a, .score = score};
    g.weight = s24i_arena_take(run->arena, n, sizeof(double));
    g.link = s24i_arena_take(run->arena, n, sizeof(double));
    s24_status status = S24_OK;
    if (!s24i_counting(run)) {
        if (how->kind == S24I_RANK_WPR)
            share_out(&g);
        run->arena->flops += 4 * (double)rows * (double)cols;
        status = s24i_parallel(run->device->threads, sum_tile, &g, (rows + TILE - 1) / TILE);
        finish(&g);
    }
    run->arena->used = mark;
    return status;
}

s24_status s24i_cpu_rank_columns(const s24i_run *run, const float *w, int64_t rows, int64_t cols,
                                 const double *a, double *score)
{
    memset(score, 0, (size_t)cols * sizeof *score);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            score[j] += (double)w[i * cols + j] * (double)w[i * cols + j];
    for (int64_t j = 0; j < cols; j++)
        score[j] = sqrt(score[j]) * a[j];
    run->arena->flops += 2 * (double)rows * (double)cols;
    normalise(score, cols);
    return S24_OK;
}
