/* The published column sweep (Frantar and Alistarh 2023) and the least-squares refit, in fp64,
 * as the papers have them: the explicit inverse, its upper Cholesky factor, one column after
 * another. */
#ifndef S24_TESTS_PUBLISHED_H
#define S24_TESTS_PUBLISHED_H
#include "../naive.h"
#include "ops/ops.h"

typedef struct {
    const s24i_constraints *constraints;
    int64_t rows, cols;
    double *w;            /* in: the weights; out: V */
    uint8_t *mask;        /* out */
    const uint8_t *guide; /* take these masks and judge them, instead of choosing */
    int64_t miscounts;    /* selections of `guide` that keep a wrong number */
    /* largest pruned over smallest kept score of its selections: above 1 it chose wrongly */
    double worst;
    int64_t differences; /* weights that a sort would have chosen otherwise */
} published;

typedef struct {
    double score;
    int64_t at;
} published_rank;

static inline int published_order(const void *a, const void *b)
{
    const published_rank *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->at < y->at ? -1 : 1;
}

/* One selection: keep of rows [row, row + rows), columns [col, col + cols), by w^2 / U_jj^2. */
static inline void published_choose(published *p, const double *u, int64_t row, int64_t rows,
                                    int64_t col, int64_t cols, int64_t keep)
{
    int mark = naive_count;
    int64_t size = rows * cols, n = p->cols, kept = 0;
    published_rank *order = GRAB(published_rank, size);
    double least = INFINITY, most = 0;
    for (int64_t i = 0; i < size; i++) {
        int64_t j = col + i % cols, at = (row + i / cols) * n + j;
        order[i] = (published_rank){pow(p->w[at] / u[j * n + j], 2), at};
    }
    qsort(order, (size_t)size, sizeof *order, published_order);
    for (int64_t i = 0; i < size; i++) {
        bool chosen = p->guide ? p->guide[order[i].at] : i < keep;
        p->differences += chosen != (i < keep);
        p->mask[order[i].at] = chosen;
        kept += chosen;
        if (chosen)
            least = fmin(least, order[i].score);
        else
            most = fmax(most, order[i].score);
    }
    p->miscounts += kept != keep;
    if (most > 0)
        p->worst = fmax(p->worst, most / least);
    drop_to(mark);
}

/* Zeros in the columns before `end` when they are spread evenly. */
static inline int64_t published_share(int64_t zeros, int64_t end, int64_t cols)
{
    return (int64_t)nearbyint((double)zeros * (double)end / (double)cols);
}

/* Choose what begins at column j: groups of m, or blocks of 128 columns of each row or of the
 * layer. */
static inline void published_select(published *p, const double *u, int64_t j)
{
    const s24i_constraints *constraints = p->constraints;
    int64_t n = p->cols, width = n - j < 128 ? n - j : 128;
    if (constraints->mask) {
        for (int64_t i = 0; i < p->rows && j == 0; i++)
            memcpy(p->mask + i * n, constraints->mask + i * n, (size_t)n);
    } else if (constraints->n) {
        for (int64_t i = 0; i < p->rows && j % constraints->m == 0; i++)
            published_choose(p, u, i, 1, j, constraints->m, constraints->n);
    } else if (j % 128 == 0) {
        int64_t rows = constraints->scope == S24I_SCOPE_ROW ? 1 : p->rows;
        int64_t zeros = (int64_t)nearbyint(constraints->sparsity * (double)(rows * n));
        zeros -= zeros == rows * n; /* never all */
        int64_t keep =
            rows * width - published_share(zeros, j + width, n) + published_share(zeros, j, n);
        for (int64_t i = 0; i < p->rows; i += rows)
            published_choose(p, u, i, rows, j, width, keep);
    }
}

static inline void published_sweep(published *p, const double *h)
{
    int64_t n = p->cols;
    double *u = naive_upper_of_inverse(h, n);
    for (int64_t j = 0; j < n; j++) {
        published_select(p, u, j);
        for (int64_t i = 0; i < p->rows; i++) {
            double *w = p->w + i * n;
            if (p->mask[i * n + j])
                continue;
            double error = w[j] / u[j * n + j];
            for (int64_t k = j; k < n; k++)
                w[k] -= error * u[j * n + k];
            w[j] = 0;
        }
    }
}

/* v = the minimiser of (v - w) h (v - w)^T on each row's mask. */
static inline void published_refit(const double *h, const double *w, const uint8_t *mask,
                                   int64_t rows, int64_t n, double *v)
{
    double *target = GRAB(double, n), *system = GRAB(double, n *n);
    int64_t *index = GRAB(int64_t, n);
    for (int64_t r = 0; r < rows; r++, w += n, v += n, mask += n) {
        int64_t k = 0;
        for (int64_t j = 0; j < n; j++)
            if (mask[j])
                index[k++] = j;
        for (int64_t a = 0; a < k; a++) {
            target[a] = naive_dot(h + index[a] * n, w, n);
            for (int64_t b = 0; b < k; b++)
                system[a * k + b] = h[index[a] * n + index[b]];
        }
        naive_cholesky(system, k);
        naive_solve(system, k, target, k > 0);
        memset(v, 0, (size_t)n * sizeof *v);
        for (int64_t a = 0; a < k; a++)
            v[index[a]] = target[a];
    }
}

#endif
