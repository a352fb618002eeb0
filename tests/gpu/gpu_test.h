/* What the programs of tests/gpu share: checks, random numbers, layers. Knows no device. */
#ifndef S24_GPU_TEST_H
#define S24_GPU_TEST_H
#include "api/api.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int passed, failed;

static void check(bool good, const char *format, ...)
{
    va_list arguments;

    good ? passed++ : failed++;
    if (good || failed > 300)
        return;
    printf("not ok - ");
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    fflush(stdout);
}

static uint64_t state = 1;

static float normal(void)
{
    float sum = -6;
    for (int i = 0; i < 12; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        sum += (float)(state >> 40) * 0x1p-24f;
    }
    return sum;
}

static void ok(s24_status status, const char *what)
{
    if (status == S24_OK)
        return;
    printf("%s: %s\n", what, s24_last_error());
    exit(1);
}

static s24_mat view(void *data, int64_t rows, int64_t cols)
{
    s24_mat mat;
    ok(s24_mat_rowmajor(&mat, data, rows, cols, S24_F32), "view");
    return mat;
}

typedef struct layer {
    int64_t rows, cols, tokens;
    float *w, *x, *t;
    s24_gram *gram;
    s24_cross *cross;
    s24_problem *problem;
} layer;

/* Inputs with correlations: a random walk over the columns, and one that is dead. */
static layer open_layer(s24_ctx *ctx, int64_t rows, int64_t cols, int64_t tokens,
                        const char *constraints, bool target)
{
    layer l = {rows, cols, tokens, NULL, NULL, NULL, NULL, NULL, NULL};
    l.w = malloc((size_t)(rows * cols) * sizeof(float));
    l.x = malloc((size_t)(tokens * cols) * sizeof(float));
    l.t = malloc((size_t)(tokens * rows) * sizeof(float));
    for (int64_t i = 0; i < rows * cols; i++)
        l.w[i] = 0.05f * normal();
    for (int64_t i = 0; i < tokens; i++)
        for (int64_t j = 0; j < cols; j++)
            l.x[i * cols + j] = cols > 8 && j == 5 ? 0
                                : j                ? 0.6f * l.x[i * cols + j - 1] + normal()
                                                   : normal();
    for (int64_t i = 0; i < tokens * rows; i++)
        l.t[i] = normal();
    s24_mat w = view(l.w, rows, cols), x = view(l.x, tokens, cols), t = view(l.t, tokens, rows);
    ok(s24_gram_create(ctx, cols, S24_F32, &l.gram), "gram");
    if (target)
        ok(s24_cross_create(l.gram, rows, &l.cross), "cross");
    ok(target ? s24_gram_add_targets(l.gram, &x, NULL, &l.cross, &t, 1)
              : s24_gram_add(l.gram, &x, NULL),
       "add");
    ok(s24_problem_create(ctx, &w, &l.problem), "problem");
    ok(s24_problem_set_gram(l.problem, l.gram), "set_gram");
    if (target)
        ok(s24_problem_set_target(l.problem, l.cross, 0.5), "set_target");
    ok(s24_problem_parse(l.problem, constraints), constraints);
    return l;
}

static void close_layer(layer *l)
{
    s24_problem_destroy(l->problem);
    s24_cross_destroy(l->cross);
    s24_gram_destroy(l->gram);
    free(l->w);
    free(l->x);
    free(l->t);
}

#endif
