#include "codes.h"
#include "fail.h"
#include "terms.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef bool (*find_part)(const void *from, const char *tensor, const char *part, s24_mat *mat);

static bool in_result(const void *from, const char *tensor, const char *part, s24_mat *mat)
{
    (void)tensor;
    return s24_result_matrix(from, part, mat) == S24_OK;
}

static bool in_file(const void *from, const char *tensor, const char *part, s24_mat *mat)
{
    char name[600];
    snprintf(name, sizeof name, "%s.%s", tensor, part);
    return s24_file_get(from, name, mat) == S24_OK;
}

static bool find(codes *c, find_part part, const void *from, const char *tensor)
{
    *c = (codes){0};
    part(from, tensor, "outliers", &c->outliers);
    if (part(from, tensor, "sparse", &c->sparse) && part(from, tensor, "lowrank_u", &c->u))
        part(from, tensor, "lowrank_v", &c->v);
    return part(from, tensor, "codes", &c->codes) && part(from, tensor, "scales", &c->scales) &&
           part(from, tensor, "zeros", &c->zeros);
}

bool s24m_codes_of_result(const s24_result *result, codes *c)
{
    return find(c, in_result, result, NULL);
}

bool s24m_codes_of_file(const s24_file *file, const char *tensor, codes *c)
{
    return find(c, in_file, file, tensor);
}

/* A float copy, to be freed; NULL and a message on failure. */
static float *floats(s24_ctx *ctx, const s24_mat *from)
{
    float *values = s24m_have(malloc((size_t)(from->rows * from->cols) * sizeof *values + 1));
    s24_mat to = {0};
    if (values &&
        s24m_good(s24_mat_rowmajor(&to, values, from->rows, from->cols, S24_F32), "codes") &&
        s24m_good(s24_mat_copy(ctx, from, &to), "codes"))
        return values;
    free(values);
    return NULL;
}

static unsigned char byte_at(const s24_mat *mat, int64_t i, int64_t j)
{
    return ((const unsigned char *)mat->data)[i * mat->row_stride + j * mat->col_stride];
}

/* Each operation rounds to single precision; a zero without a code that gives it was pruned. */
static void decode_row(const codes *c, int64_t i, int64_t group, const float *scale,
                       const float *zero, float *values)
{
    enum { HALF_UNDERFLOW = -25 }; /* what a 16-bit float may store as 0 */
    bool real = c->zeros.dtype != S24_U8;
    for (int64_t j = 0; j < c->codes.cols; j++) {
        float s = scale[j / group], code = byte_at(&c->codes, i, j);
        float z = real ? zero[j / group] : byte_at(&c->zeros, i, j / group);
        float value = real ? s * code : s * (code - z);
        value = real ? value + z : value;
        bool outlier = c->outliers.data && byte_at(&c->outliers, i, j);
        bool pruned = values[j] == 0 && fabsf(value) > ldexpf(1, HALF_UNDERFLOW);
        if (!outlier && !pruned)
            values[j] = value;
    }
}

/* values += u v, row by row. */
static void add_product(const s24_mat *shape_u, const s24_mat *shape_v, const float *u,
                        const float *v, float *values)
{
    int64_t cols = shape_v->cols, rank = shape_u->cols;
    for (int64_t i = 0; i < shape_u->rows; i++)
        for (int64_t r = 0; r < rank; r++)
            for (int64_t j = 0; j < cols; j++)
                values[i * cols + j] += u[i * rank + r] * v[r * cols + j];
}

bool s24m_codes_add_product(s24_ctx *ctx, const s24_mat *u, const s24_mat *v, s24_mat *values)
{
    if (u->rows != values->rows || v->cols != values->cols || u->cols != v->rows)
        return s24m_wrong(S24_E_FORMAT, "factors of %lld x %lld and %lld x %lld for %lld x %lld",
                          (long long)u->rows, (long long)u->cols, (long long)v->rows,
                          (long long)v->cols, (long long)values->rows, (long long)values->cols);
    float *left = floats(ctx, u), *right = left ? floats(ctx, v) : NULL;
    if (right)
        add_product(u, v, left, right, values->data);
    free(left);
    free(right);
    return right != NULL;
}

/* The sparse part is what its codes give. */
static bool add_parts(const codes *c, s24_ctx *ctx, const char *constraints, float *values)
{
    (void)constraints;
    s24_mat sum = {0};
    int64_t rows = c->codes.rows, cols = c->codes.cols;
    if (c->sparse.rows != rows || c->sparse.cols != cols)
        return s24m_wrong(S24_E_FORMAT, "the parts of a rank do not fit each other");
    return s24m_good(s24_mat_rowmajor(&sum, values, rows, cols, S24_F32), "codes") &&
           s24m_good(s24_mat_copy(ctx, &c->sparse, &sum), "codes") &&
           s24m_codes_add_product(ctx, &c->u, &c->v, &sum);
}

static bool decode(const codes *c, s24_ctx *ctx, const char *constraints, float *values)
{
    int64_t rows = c->codes.rows, cols = c->codes.cols, groups = c->scales.cols;
    int64_t group = s24m_terms(constraints).group;
    bool real = c->zeros.dtype != S24_U8;
    group = group && group < cols ? group : cols;
    if (c->scales.rows != rows || c->zeros.rows != rows || c->zeros.cols != groups ||
        groups != (cols + group - 1) / group)
        return s24m_wrong(S24_E_FORMAT, "codes: %lld x %lld scales for groups of %lld columns",
                          (long long)c->scales.rows, (long long)groups, (long long)group);
    float *scale = floats(ctx, &c->scales), *zero = scale && real ? floats(ctx, &c->zeros) : NULL;
    bool done = scale && (zero || !real);
    for (int64_t i = 0; done && i < rows; i++)
        decode_row(c, i, group, scale + i * groups, zero ? zero + i * groups : NULL,
                   values + i * cols);
    free(scale);
    free(zero);
    return done;
}

bool s24m_codes_decode(const codes *c, s24_ctx *ctx, const char *constraints, float *values)
{
    return (c->v.data ? add_parts : decode)(c, ctx, constraints, values);
}
