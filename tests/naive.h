/* Random numbers and plain fp64 algebra for tests: slow, obvious, and independent of the
 * library. */
#ifndef S24_TESTS_NAIVE_H
#define S24_TESTS_NAIVE_H
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* ---- Memory that the end of a test gives back ---- */

static void *naive_blocks[65536];
static int naive_count;

static inline void *grab(size_t size)
{
    void *block = aligned_alloc(64, (size + 127) / 64 * 64);

    if (!block || naive_count == 65536)
        abort();
    memset(block, 0, size);
    return naive_blocks[naive_count++] = block;
}

#define GRAB(type, count) ((type *)grab((size_t)(count) * sizeof(type)))

/* Give back everything grabbed since `mark` (an earlier naive_count). */
static inline void drop_to(int mark)
{
    while (naive_count > mark)
        free(naive_blocks[--naive_count]);
}

static inline void drop_all(void)
{
    drop_to(0);
}

/* ---- Random numbers, the same everywhere ---- */

static inline uint64_t draw(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* [0, 1) */
static inline double uniform(uint64_t *seed)
{
    return (double)(draw(seed) >> 11) * 0x1p-53;
}

static inline int64_t below(uint64_t *seed, int64_t count)
{
    return (int64_t)(uniform(seed) * (double)count);
}

/* Of twelve uniform numbers: near enough, and without libm. */
static inline double normal(uint64_t *seed)
{
    double sum = -6;

    for (int i = 0; i < 12; i++)
        sum += uniform(seed);
    return sum;
}

static inline float *normals(uint64_t *seed, int64_t count)
{
    float *x = GRAB(float, count);

    for (int64_t i = 0; i < count; i++)
        x[i] = (float)normal(seed);
    return x;
}

/* Activations as layers have them: neighbours correlated (rho), scales over two decades, one column
 * of 37 an outlier. */
static inline float *activations(uint64_t *seed, int64_t rows, int64_t cols, double rho)
{
    float *x = GRAB(float, rows *cols);
    double *scale = GRAB(double, cols);

    for (int64_t j = 0; j < cols; j++)
        scale[j] = pow(10, uniform(seed) - 1) * (j % 37 == 17 ? 30 : 1);
    for (int64_t i = 0; i < rows; i++) {
        double state = normal(seed);
        for (int64_t j = 0; j < cols; j++) {
            state = rho * state + sqrt(1 - rho * rho) * normal(seed);
            x[i * cols + j] = (float)(state * scale[j]);
        }
    }
    return x;
}

/* ---- fp64 algebra, row-major, contiguous ---- */

static inline double *doubles(const float *x, int64_t count)
{
    double *out = GRAB(double, count);

    for (int64_t i = 0; i < count; i++)
        out[i] = x[i];
    return out;
}

/* C (m x n) = A (m x k) B (k x n); ta, tb: A is given k x m, B n x k. */
static inline void naive_multiply(bool ta, bool tb, int64_t m, int64_t n, int64_t k,
                                  const double *a, const double *b, double *c)
{
    for (int64_t i = 0; i < m * n; i++)
        c[i] = 0;
    for (int64_t i = 0; i < m; i++)
        for (int64_t l = 0; l < k; l++) {
            double x = ta ? a[l * m + i] : a[i * k + l];
            for (int64_t j = 0; j < n; j++)
                c[i * n + j] += x * (tb ? b[j * k + l] : b[l * n + j]);
        }
}

static inline double naive_dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;

    while (n-- > 0)
        sum += *a++ * *b++;
    return sum;
}

/* A = L L^T in the lower part of a; the upper part becomes 0. */
static inline bool naive_cholesky(double *a, int64_t n)
{
    for (int64_t j = 0; j < n; j++) {
        for (int64_t i = j; i < n; i++) {
            double rest = a[i * n + j] - naive_dot(a + i * n, a + j * n, j);
            if (i == j && !(rest > 0))
                return false;
            a[i * n + j] = i == j ? sqrt(rest) : rest / a[j * n + j];
        }
        for (int64_t i = 0; i < j; i++)
            a[i * n + j] = 0;
    }
    return true;
}

/* x (rows x n) <- x (L L^T)^-1. */
static inline void naive_solve(const double *l, int64_t n, double *x, int64_t rows)
{
    for (int64_t r = 0; r < rows; r++, x += n) {
        for (int64_t i = 0; i < n; i++)
            x[i] = (x[i] - naive_dot(l + i * n, x, i)) / l[i * n + i];
        for (int64_t i = n - 1; i >= 0; i--) {
            const double *row = l + i * n;
            double value = x[i] /= row[i];
            for (int64_t j = 0; j < i; j++)
                x[j] -= row[j] * value;
        }
    }
}

/* The inverse of a symmetric positive definite matrix, or NULL. */
static inline double *naive_inverse(const double *a, int64_t n)
{
    double *l = GRAB(double, n *n), *inverse = GRAB(double, n *n);

    memcpy(l, a, (size_t)(n * n) * sizeof *l);
    if (!naive_cholesky(l, n))
        return NULL;
    for (int64_t i = 0; i < n; i++)
        inverse[i * n + i] = 1;
    naive_solve(l, n, inverse, n);
    return inverse;
}

/* U upper with A^-1 = U^T U: the factor that SparseGPT sweeps with. */
static inline double *naive_upper_of_inverse(const double *a, int64_t n)
{
    double *inverse = naive_inverse(a, n), *u = GRAB(double, n *n);

    if (!inverse || !naive_cholesky(inverse, n))
        return NULL;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j <= i; j++)
            u[j * n + i] = inverse[i * n + j];
    return u;
}

/* sum of weight t x^T (outs x cols) over the rows of `half` (0, 1; -1: all), where runs of 128 rows
 * take turns. With t == x only the lower triangle is summed. */
static inline double *naive_cross(const float *x, const float *t, int64_t rows, int64_t cols,
                                  int64_t outs, const double *weight, int half)
{
    double *c = GRAB(double, outs *cols), *row = GRAB(double, cols);

    for (int64_t i = 0; i < rows; i++, x += cols, t += outs) {
        double w = weight ? weight[i] : 1;
        if ((half >= 0 && i / 128 % 2 != half) || w == 0)
            continue;
        for (int64_t b = 0; b < cols; b++)
            row[b] = x[b];
        for (int64_t a = 0; a < outs; a++) {
            double wanted = w * t[a], *to = c + a * cols;
            for (int64_t b = 0, end = t == x ? a + 1 : cols; b < end; b++)
                to[b] += wanted * row[b];
        }
    }
    return c;
}

static inline double *naive_gram(const float *x, int64_t rows, int64_t cols, const double *weight,
                                 int half)
{
    double *h = naive_cross(x, x, rows, cols, cols, weight, half);

    for (int64_t a = 0; a < cols; a++)
        for (int64_t b = 0; b < a; b++)
            h[b * cols + a] = h[a * cols + b];
    return h;
}

/* sum over rows e of e H e^T. */
static inline double naive_quadratic(const double *e, const double *h, int64_t rows, int64_t cols)
{
    double total = 0;

    for (int64_t r = 0; r < rows; r++, e += cols)
        for (int64_t i = 0; i < cols; i++)
            total += e[i] * naive_dot(h + i * cols, e, cols);
    return total;
}

static inline double norm_of(const double *x, int64_t count)
{
    double sum = 0;

    for (int64_t i = 0; i < count; i++)
        sum += x[i] * x[i];
    return sqrt(sum);
}

/* ||a - b|| / ||b|| */
static inline double distance(const double *a, const double *b, int64_t count)
{
    double sum = 0, norm = norm_of(b, count);

    for (int64_t i = 0; i < count; i++)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return norm > 0 ? sqrt(sum) / norm : sqrt(sum);
}

#endif
