/* lib/kernels/ref/sweep.c: blocks of the column sweep, column by column. */
#include "reference.h"
#include "trial.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/*
 * The column sweep as published (SparseGPT, Frantar and Alistarh 2023, algorithm 1), in double: U
 * the upper Cholesky factor of the inverse of H, U^T U = H^-1; at column j the error (w_j - q_j) /
 * U_jj times row j of U is taken off the columns from j on. Masks by w_j^2 / U_jj^2 on the weights
 * as they are at the first column of a group.
 */
enum { SIZE = 48, LANES = 16 };

typedef struct layer {
    double h[SIZE][SIZE], u[SIZE][SIZE];
    double r[SIZE][SIZE]; /* inverse of U: H = R R^T */
    float w[SIZE][LANES];
} layer;

static double product(const double *a, int64_t step_a, const double *b, int64_t step_b, int count)
{
    double sum = 0;
    for (int i = 0; i < count; ++i)
        sum += a[i * step_a] * b[i * step_b];
    return sum;
}

static void make_hessian(layer *l, uint64_t *state)
{
    static double x[2 * SIZE][SIZE];
    for (int i = 0; i < 2 * SIZE; ++i)
        for (int j = 0; j < SIZE; ++j)
            x[i][j] = random_number(state) + (j ? 0.5 * x[i][j - 1] : 0);
    for (int i = 0; i < SIZE; ++i)
        for (int j = 0; j < SIZE; ++j)
            l->h[i][j] = product(&x[0][i], SIZE, &x[0][j], SIZE, 2 * SIZE) / (2 * SIZE) +
                         (i == j ? 0.02 : 0);
}

/* By Gauss and Jordan; pivots of a positive definite matrix need no search. */
static void invert(double a[SIZE][SIZE])
{
    for (int p = 0; p < SIZE; ++p) {
        double pivot = a[p][p];
        a[p][p] = 1;
        for (int j = 0; j < SIZE; ++j)
            a[p][j] /= pivot;
        for (int i = 0; i < SIZE; ++i) {
            double factor = a[i][p];
            if (i == p)
                continue;
            a[i][p] = 0;
            for (int j = 0; j < SIZE; ++j)
                a[i][j] -= factor * a[p][j];
        }
    }
}

/* U with U^T U = a, a positive definite. */
static void upper_cholesky(double a[SIZE][SIZE], double u[SIZE][SIZE])
{
    memset(u, 0, sizeof(double[SIZE][SIZE]));
    for (int i = 0; i < SIZE; ++i)
        for (int j = i; j < SIZE; ++j) {
            double rest = a[i][j] - product(&u[0][i], SIZE, &u[0][j], SIZE, i);
            u[i][j] = i == j ? sqrt(rest) : rest / u[i][i];
        }
}

static void make_layer(layer *l, uint64_t seed)
{
    static double inverse[SIZE][SIZE];
    uint64_t state = seed;
    make_hessian(l, &state);
    memcpy(inverse, l->h, sizeof inverse);
    invert(inverse);
    upper_cholesky(inverse, l->u);
    memcpy(l->r, l->u, sizeof l->r);
    invert(l->r);
    for (int i = 0; i < SIZE; ++i)
        for (int j = 0; j < SIZE; ++j)
            if (fabs(product(l->r[i], 1, l->r[j], 1, SIZE) - l->h[i][j]) > 1e-9)
                ck_abort_msg("R R^T is not H at %d, %d", i, j);
    for (int j = 0; j < SIZE; ++j)
        for (int lane = 0; lane < LANES; ++lane)
            l->w[j][lane] = (float)random_number(&state);
}

static void publish_mask(const layer *l, const double *w, int first, int n, int m, uint8_t *mask)
{
    for (int t = first; t < first + m; ++t) {
        int better = 0;
        for (int s = first; s < first + m; ++s)
            better += fabs(w[s] / l->u[s][s]) > fabs(w[t] / l->u[t][t]);
        mask[t] = better < n;
    }
}

/* One row; n == 0: mask given. */
static void publish_row(const layer *l, int lane, int n, int m, uint8_t mask[SIZE], double v[SIZE])
{
    double w[SIZE];
    for (int j = 0; j < SIZE; ++j)
        w[j] = (double)l->w[j][lane];
    for (int j = 0; j < SIZE; ++j) {
        if (n > 0 && j % m == 0)
            publish_mask(l, w, j, n, m, mask);
        v[j] = mask[j] ? w[j] : 0;
        double error = (w[j] - v[j]) / l->u[j][j];
        for (int k = j; k < SIZE; ++k)
            w[k] -= error * l->u[j][k];
    }
}

/* The kernel on two blocks of columns, with what the first leaves to the second handed over in `a`
 * as the operations do it. */
static void sweep_blocks(const layer *l, int n, int m, int first_block, uint8_t mask[SIZE][LANES],
                         float d[SIZE][LANES])
{
    static float r[SIZE][SIZE], inv_diag[SIZE], a[SIZE][LANES];
    s24i_kernels ref;
    s24i_kernels_ref(&ref);
    for (int i = 0; i < SIZE; ++i) {
        inv_diag[i] = (float)(1 / l->r[i][i]);
        for (int j = 0; j < SIZE; ++j)
            r[i][j] = (float)l->r[i][j];
    }
    memset(a, 0, sizeof a);
    for (int start = 0, cols = first_block; start < SIZE; start += cols, cols = SIZE - start) {
        for (int k = start; k < SIZE && start > 0; ++k)
            for (int lane = 0; lane < LANES; ++lane)
                for (int j = 0; j < start; ++j)
                    a[k][lane] += d[j][lane] * r[j][k];
        s24i_sweep_block block = {LANES,
                                  cols,
                                  l->w[start],
                                  a[start],
                                  d[start],
                                  mask[start],
                                  &r[start][start],
                                  SIZE,
                                  &inv_diag[start],
                                  n,
                                  m};
        ref.sweep_block(&block);
    }
}

static void expect_published(int n, int m, int first_block, uint64_t seed)
{
    static layer l;
    static uint8_t mask[SIZE][LANES], published_mask[SIZE];
    static float d[SIZE][LANES];
    double v[SIZE];
    uint64_t state = seed;
    make_layer(&l, seed);
    for (int j = 0; j < SIZE; ++j)
        for (int lane = 0; lane < LANES; ++lane)
            mask[j][lane] = random_bits(&state) & 1;
    sweep_blocks(&l, n, m, first_block, mask, d);
    for (int lane = 0; lane < LANES; ++lane) {
        for (int j = 0; j < SIZE && n == 0; ++j)
            published_mask[j] = mask[j][lane];
        publish_row(&l, lane, n, m, published_mask, v);
        for (int j = 0; j < SIZE; ++j) {
            double difference = (double)(l.w[j][lane] - d[j][lane]) - v[j];
            if (mask[j][lane] != published_mask[j] || !(fabs(difference) < 2e-5))
                ck_abort_msg("%d:%d, seed %d, column %d, lane %d: mask %d, %d, value off by %g", n,
                             m, (int)seed, j, lane, mask[j][lane], published_mask[j], difference);
        }
    }
}

START_TEST(sweep_is_the_published_one)
{
    static const int patterns[][2] = {{2, 4}, {1, 4}, {3, 4},  {4, 8},
                                      {1, 2}, {3, 6}, {8, 16}, {0, 1}};
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; ++i)
        for (uint64_t seed = 1; seed <= 3; ++seed) {
            expect_published(patterns[i][0], patterns[i][1], SIZE, seed);
            expect_published(patterns[i][0], patterns[i][1],
                             (20 / patterns[i][1] + 1) * patterns[i][1], seed);
        }
    expect_published(24, 48, SIZE, 4);
}
END_TEST

TCase *sweep_tests(void)
{
    TCase *test = tcase_create("sweeps");
    tcase_add_test(test, sweep_is_the_published_one);
    return test;
}
